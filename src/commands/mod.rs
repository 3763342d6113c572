//! The commands, one module each: from arguments to an exit code.

mod progress;
mod setting;
mod terminal;
mod approve;
mod calibrate;
mod check;
mod compare;
mod explain;
mod gate;
mod import;
mod init;
mod list;
mod replay;
mod run;
mod test;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::logs;
use crate::output::Output;

/// Does what the command line says.
#[must_use]
pub fn execute(cli: &Cli) -> Exit {
    logs::start(&cli.common);
    let output = Output::new(&cli.common);
    if let Some(jobs) = cli.common.jobs {
        // A second call in one process (tests) keeps the first pool; results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs)).build_global();
    }
    let done = match &cli.command {
        Command::Init(arguments) => init::execute(arguments, output),
        Command::Check(arguments) => check::execute(arguments, output),
        Command::Test(arguments) => test::execute(arguments, output),
        Command::Run(arguments) => run::execute(arguments, output),
        Command::Compare(arguments) => compare::execute(arguments, output),
        Command::Calibrate(arguments) => calibrate::execute(arguments, output),
        Command::Gate(arguments) => gate::execute(arguments, output),
        Command::Replay(arguments) => replay::execute(arguments, output),
        Command::Import(arguments) => import::execute(arguments, output),
        Command::List(arguments) => list::execute(arguments, output),
        Command::Explain(arguments) => explain::execute(arguments, output),
        Command::Approve(arguments) => approve::execute(arguments),
    };
    match done {
        Ok(exit) => exit,
        Err(Failure::Input(problems)) => {
            output.problems(&problems);
            Exit::WrongInput
        }
        Err(Failure::Machine(error)) => {
            eprintln!("error: {error:#}");
            Exit::WrongInput
        }
    }
}
