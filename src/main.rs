//! The `firedrill` command.

use std::io::ErrorKind;
use std::panic;
use std::process::ExitCode;

use clap::Parser;
use firedrill::cli::Cli;
use firedrill::commands;
use firedrill::exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a wrong argument.
            let exit = if error.use_stderr() { Exit::WrongInput } else { Exit::Held };
            return match error.print() {
                Err(failed) if failed.kind() != ErrorKind::BrokenPipe => Exit::WrongInput.into(),
                _ => exit.into(),
            };
        }
    };
    panic::set_hook(Box::new(|report| {
        eprintln!("firedrill {} found a bug in itself: {report}", env!("CARGO_PKG_VERSION"));
        eprintln!("hint: please report it with the command that caused it: {}", std::env::args().collect::<Vec<_>>().join(" "));
    }));
    panic::catch_unwind(|| commands::execute(&cli)).unwrap_or(Exit::Bug).into()
}
