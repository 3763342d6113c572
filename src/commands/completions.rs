//! `firedrill completions`: what a shell needs to complete commands, options and their values.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Writes the script of one shell.
pub fn execute(arguments: &CompletionsArgs, output: Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "firedrill", &mut script);
    output.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Held)
}
