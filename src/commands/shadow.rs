//! `firedrill shadow`: what people did beside what a policy would have done.

use std::path::Path;

use firedrill_core::words::counted;
use serde_json::json;

use super::promoting::Books;
use crate::cli::{Format, ShadowArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load;
use crate::output::Output;
use crate::shadow::{Shadow, Story, TakenUp, read_pagerduty, taken_up};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.shadow/1";

/// What cannot be said from a recording or a log.
const CLAIM: &str = "whether it would have helped or harmed nobody can tell from this: nothing was done. `firedrill gate` plays that where a scenario exists";

/// Compares, prints, and writes what is new into the policy's ledger if somebody answers for it.
///
/// # Errors
/// The policy or a file is unknown or wrong, or the ledger is not sound.
pub fn execute(arguments: &ShadowArgs, output: Output) -> Result<Exit, Failure> {
    let books = Books::here()?;
    let subject = books.subject(&arguments.policy)?;
    let stories = arguments.people.iter().map(|path| stories(&books, path)).collect::<Result<Vec<_>, _>>()?.concat();
    let taken = taken_up(&subject.chain);
    let shadow = Shadow::of(&taken, &stories);
    let entries: Vec<_> = shadow
        .compared
        .iter()
        .filter_map(|compared| {
            let own: &TakenUp = taken.iter().find(|own| own.incident == compared.incident).filter(|own| !own.is_compared)?;
            Some(compared.entries(&own.hashes))
        })
        .collect();
    let written = entries.len();
    if let Some(writer) = arguments.writer().filter(|_| written > 0) {
        books.write(&subject.chain.name, entries.concat(), (&writer, output))?;
    }
    match output.format {
        Format::Json => {
            let document = json!({
                "schema": SCHEMA, "policy": subject.policy.name, "compared": shadow.compared, "untold": shadow.untold, "unseen": shadow.unseen,
                "agreeing": shadow.agreeing(), "written": if arguments.by.is_some() { written } else { 0 }, "claim": CLAIM,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => output.data(&told(&shadow, (written, arguments.by.is_some())))?,
    }
    Ok(Exit::Held)
}

fn told(shadow: &Shadow, (new, is_written): (usize, bool)) -> String {
    let mut lines: Vec<String> = shadow.compared.iter().map(|own| format!("{} {}", own.incident, own.told())).collect();
    lines.extend(shadow.untold.iter().map(|incident| format!("{incident} · nobody says what people did")));
    lines.extend(shadow.unseen.iter().map(|name| format!("{name} · the policy did not take it up")));
    let compared = counted(shadow.compared.len() as u64, "incident");
    lines.push(format!(
        "{compared} compared, {} agree, {} wrong",
        shadow.agreeing(),
        shadow.compared.iter().filter(|own| own.wrong).count()
    ));
    lines.push(match (new, is_written) {
        (0, _) => "nothing new for the ledger".to_owned(),
        (new, true) => format!("{} written to the ledger", counted(new as u64, "comparison")),
        (new, false) => format!("hint: `--by NAME` writes {} to the ledger, which promotion counts", counted(new as u64, "comparison")),
    });
    lines.push(CLAIM.to_owned());
    lines.join("\n") + "\n"
}

/// What a file or a folder tells of people: an incident, or an export of PagerDuty's.
fn stories(books: &Books, path: &str) -> Result<Vec<Story>, Failure> {
    let is_incident = Path::new(path).is_dir() || path.ends_with(".yaml") || path.ends_with(".yml");
    if is_incident || !Path::new(path).exists() {
        let folder = path.strip_suffix("/incident.yaml").unwrap_or(path);
        let (incident, _) = books.home.incident(folder)?;
        return Ok(vec![Story::of_incident(&incident)]);
    }
    Ok(read_pagerduty(path, &load::read_file(Path::new(path))?.text)?)
}
