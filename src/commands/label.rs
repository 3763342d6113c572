//! `firedrill label`: what people say that a decision was.

use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use serde_json::json;

use super::promoting::{Books, labelled, numbered};
use crate::cli::{Format, LabelArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ledger::{Chain, Ledger, Recorded, What, name_of};
use crate::output::Output;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.label/1";

/// Writes down what a decision was.
///
/// # Errors
/// There is no such event, or it is no decision to act; or the ledger is not sound.
pub fn execute(arguments: &LabelArgs, output: Output) -> Result<Exit, Failure> {
    let books = Books::here()?;
    let (chain, hash) = found(&books, &arguments.event)?;
    let own = chain.by_hash(&hash).expect("it was found by its hash");
    let (what, target) = acted(own).ok_or_else(|| {
        let message = format!("`{}` is no decision to act", arguments.event);
        Failure::argument(message, format!("`firedrill status {}` names those that want a label", chain.name))
    })?;
    let says = labelled(arguments.says);
    let mut entries = vec![What::Label { event: hash.clone(), says, cause: arguments.cause.clone() }];
    if let Some(fault) = &arguments.drill {
        entries.push(What::Drill { event: hash.clone(), fault: Name::new(fault), target: target.clone() });
    }
    books.write(&chain.name, entries, (&arguments.writer, output))?;
    let id = format!("{}#{}", chain.name, own.number);
    match output.format {
        Format::Json => {
            let document = json!({
                "schema": SCHEMA, "event": id, "hash": hash, "what": what, "target": target, "says": says, "cause": arguments.cause,
                "drill": arguments.drill, "by": arguments.writer.by,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let drill = arguments.drill.as_ref().map_or_else(String::new, |fault| format!(", of a drill of {fault}"));
            output.data(&format!("{id} ({what} {target}) was {}{drill}\n", says.word()))?;
        }
    }
    Ok(Exit::Held)
}

/// What an entry did or would have done, to what.
fn acted(own: &Recorded) -> Option<(String, String)> {
    let What::Decision { event, .. } = &own.entry.what else { return None };
    match serde_json::from_value(event.clone()).ok()? {
        Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. } => Some((what.to_string(), target.to_string())),
        _ => None,
    }
}

/// The chain and the hash of an event.
fn found(books: &Books, event: &str) -> Result<(Chain, String), Failure> {
    let unknown = |what: String| Failure::argument(what, "`firedrill status` names the events of each policy that want a label");
    let Some((policy, number)) = numbered(event) else {
        let names = Ledger::chains(&books.folder)?;
        for name in names {
            let chain = Ledger::read(&books.folder, &name)?.sound()?;
            if let Some(hash) = chain.by_hash(event).map(|own| own.hash.clone()) {
                return Ok((chain, hash));
            }
        }
        return Err(unknown(format!("`{event}` is neither POLICY#NUMBER nor the hash of one entry")));
    };
    let chain = Ledger::read(&books.folder, &name_of(policy)?)?.sound()?;
    let hashes: Vec<String> = chain.entries.iter().filter(|own| own.number == number).map(|own| own.hash.clone()).collect();
    match hashes.as_slice() {
        [hash] => Ok((chain, hash.clone())),
        [] => Err(unknown(format!("the ledger has no `{event}`"))),
        several => {
            let message = format!("`{event}` is {} entries, of two branches", several.len());
            Err(Failure::argument(message, format!("name one by its hash: {}", several.join(" or "))))
        }
    }
}
