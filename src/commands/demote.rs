//! `firedrill demote`: less from now on; it needs no evidence.

use serde_json::json;

use super::promoting::{Books, plain_words};
use crate::cli::{DemoteArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ledger::What;
use crate::output::Output;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.demotion/1";

/// Takes a policy back.
///
/// # Errors
/// The policy is unknown, the stage is no lower one, or the ledger is not sound.
pub fn execute(arguments: &DemoteArgs, output: Output) -> Result<Exit, Failure> {
    plain_words("--because", &arguments.because)?;
    let books = Books::here()?;
    let subject = books.subject(&arguments.policy)?;
    let (name, from, to) = (&subject.policy.name, subject.promoted.stage, arguments.to);
    if to >= from {
        let message = format!("{name} is at the stage {}, and {} is no lower one", from.word(), to.word());
        return Err(Failure::argument(message, "`firedrill promote` lets it do more, on evidence"));
    }
    let what = What::Demotion { from, to, because: arguments.because.clone(), automatic: false };
    books.write(name, vec![what], (&arguments.writer, output))?;
    match output.format {
        Format::Json => {
            let document = json!({ "schema": SCHEMA, "policy": name, "from": from, "to": to, "because": arguments.because });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => output.data(&format!("{name} is demoted from {} to {}: {}\n", from.word(), to.word(), arguments.because))?,
    }
    Ok(Exit::Held)
}
