//! The commands, one module each: from arguments to an exit code.

mod progress;
mod setting;
mod promoting;
mod terminal;
mod approve;
mod audit;
mod backtest;
mod calibrate;
mod check;
mod compare;
mod completions;
mod demote;
mod explain;
mod explore;
mod gate;
mod import;
mod init;
mod label;
mod list;
mod meaning;
mod promote;
mod rehearse_live;
mod replay;
mod schema;
mod run;
mod shadow;
mod status;
mod test;
mod watch;

use crate::cli::{Cli, Command, LogFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::logs;
use crate::output::Output;

/// Does what the command line says.
#[must_use]
pub fn execute(cli: &Cli) -> Exit {
    match &cli.command {
        Command::Watch(arguments) => logs::start_service(&cli.common, arguments.log == LogFormat::Json),
        _ => logs::start(&cli.common),
    }
    let output = Output::new(&cli.common);
    if let Some(jobs) = cli.common.jobs {
        // A second call in one process (tests) keeps the first pool; results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs)).build_global();
    }
    let done = allowed(&cli.command, output).and_then(|()| match &cli.command {
        Command::Init(arguments) => init::execute(arguments, output),
        Command::Check(arguments) => check::execute(arguments, output),
        Command::Test(arguments) => test::execute(arguments, output),
        Command::Run(arguments) => run::execute(arguments, output),
        Command::Compare(arguments) => compare::execute(arguments, output),
        Command::Explore(arguments) => explore::execute(arguments, output),
        Command::Calibrate(arguments) => calibrate::execute(arguments, output),
        Command::Gate(arguments) => gate::execute(arguments, output),
        Command::Merge(arguments) => gate::merge(arguments, output),
        Command::Replay(arguments) => replay::execute(arguments, output),
        Command::Import(arguments) => import::execute(arguments, output),
        Command::RehearseLive(arguments) => rehearse_live::execute(arguments, output),
        Command::List(arguments) => list::execute(arguments, output),
        Command::Explain(arguments) => explain::execute(arguments, output),
        Command::Schema(arguments) => schema::execute(arguments, output),
        Command::Completions(arguments) => completions::execute(arguments, output),
        Command::Watch(arguments) => watch::execute(arguments, output),
        Command::Shadow(arguments) => shadow::execute(arguments, output),
        Command::Audit(arguments) => audit::execute(arguments, output),
        Command::Approve(arguments) => approve::execute(arguments, output),
        Command::Promote(arguments) => promote::execute(arguments, output),
        Command::Demote(arguments) => demote::execute(arguments, output),
        Command::Label(arguments) => label::execute(arguments, output),
        Command::Status(arguments) => status::execute(arguments, output),
    });
    match done {
        Ok(exit) => exit,
        Err(Failure::Input(problems)) => {
            output.problems(&problems);
            if let Err(error) = output.findings(&problems) {
                eprintln!("error: {error:#}");
            }
            Exit::WrongInput
        }
        Err(Failure::Machine(error)) => {
            eprintln!("error: {error:#}");
            Exit::WrongInput
        }
    }
}

/// What code hosts read comes from the commands that have something to tell them.
fn allowed(command: &Command, output: Output) -> Result<(), Failure> {
    let word = match command {
        Command::Check(_) | Command::Gate(_) | Command::Merge(_) => return Ok(()),
        Command::Init(_) => "init",
        Command::Test(_) => "test",
        Command::Run(_) => "run",
        Command::Compare(_) => "compare",
        Command::Calibrate(_) => "calibrate",
        Command::Replay(_) => "replay",
        Command::Import(_) => "import",
        Command::RehearseLive(_) => "rehearse-live",
        Command::List(_) => "list",
        Command::Explain(_) => "explain",
        Command::Explore(_) => "explore",
        Command::Schema(_) => "schema",
        Command::Completions(_) => "completions",
        Command::Watch(_) => "watch",
        Command::Shadow(_) => "shadow",
        Command::Audit(_) => "audit",
        Command::Approve(_) => "approve",
        Command::Promote(_) => "promote",
        Command::Demote(_) => "demote",
        Command::Label(_) => "label",
        Command::Status(_) => "status",
    };
    output.only_text_and_json(word)
}
