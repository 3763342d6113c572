//! `firedrill label`: what people say that a decision was.

use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::problem::{Problem, near_miss};
use firedrill_core::words::in_one_line;
use firedrill_scenarios::document::fault::entries;
use serde_json::json;

use super::promoting::{Books, labelled, numbered, plain_words};
use crate::cli::{Format, LabelArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ledger::{Chain, LEAST_DIGITS, Ledger, Recorded, UnreadAct, What, name_of};
use crate::output::Output;
use crate::promotion::profile::folded;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.label/1";

/// Writes down what a decision was.
///
/// # Errors
/// There is no such event, or it is no decision to act; or the ledger is not sound.
pub fn execute(arguments: &LabelArgs, output: Output) -> Result<Exit, Failure> {
    arguments.cause.iter().try_for_each(|cause| plain_words("--cause", cause))?;
    let books = Books::here()?;
    let drill = arguments.drill.as_ref().map(|fault| drill_of(&books, fault)).transpose()?;
    let (chain, hash) = found(&books, &arguments.event)?;
    let own = chain.by_hash(&hash).expect("it was found by its hash");
    let (what, target) = acted(own).ok_or_else(|| {
        let message = format!("`{}` is no decision to act", arguments.event);
        Failure::argument(message, format!("`firedrill status {}` names those that want a label", chain.name))
    })?;
    let says = labelled(arguments.says);
    let mut whats = vec![What::Label { event: hash.clone(), says, cause: arguments.cause.clone() }];
    if let Some(fault) = &drill {
        whats.push(What::Drill { event: hash.clone(), fault: fault.clone(), target: target.clone() });
    }
    books.write(&chain.name, whats, (&arguments.writer, output))?;
    let id = chain.called(own);
    match output.format {
        Format::Json => {
            let document = json!({
                "schema": SCHEMA, "event": id, "hash": hash, "what": what, "target": target, "says": says, "cause": arguments.cause,
                "drill": drill, "by": arguments.writer.by,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let drill = match (&drill, drill_before(&chain, &hash)) {
                (Some(fault), _) => format!(", of a drill of {fault}"),
                (None, Some(before)) => format!(", and of no drill: it was said to be one of {before}"),
                (None, None) => String::new(),
            };
            output.data(&in_one_line(&format!("{id} ({what} {target}) was {}{drill}", says.word())))?;
        }
    }
    Ok(Exit::Held)
}

/// The fault of a drill, as it is written once and for all. Where scenarios have faults it is one of a kind that they can have: each counts once, whatever it is
/// called.
fn drill_of(books: &Books, fault: &str) -> Result<Name, Failure> {
    plain_words("--drill", fault.trim())?;
    let own = folded(fault).replace([' ', '-'], "_");
    let known = entries();
    let has_scenarios = books.home.project.as_ref().is_some_and(|project| !project.scenarios.is_empty());
    if !has_scenarios || known.contains(&own.as_str()) {
        return Ok(Name::new(&own));
    }
    let remedy = match near_miss(&own, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("name the kind of fault that comes nearest: {}", known.join(", ")),
    };
    let message = format!("`--drill {fault}` is no kind of fault");
    Err(vec![Problem::in_file("FD0816", "the command line", message).remedy(remedy)].into())
}

/// What an entry did or would have done, to what.
fn acted(own: &Recorded) -> Option<(String, String)> {
    let What::Decision { event, .. } = &own.entry.what else { return None };
    match serde_json::from_value(event.clone()) {
        Ok(Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. }) => Some((what.to_string(), target.to_string())),
        Ok(_) => None,
        // Whoever can say what it was need not wait until this version can read it.
        Err(_) => UnreadAct::of(event).map(|act| (act.what, act.target)),
    }
}

/// The drill that a decision was said to come of; `None`: none, or that was taken back.
fn drill_before(chain: &Chain, hash: &str) -> Option<Name> {
    let said = chain.entries.iter().rev().find_map(|own| match &own.entry.what {
        What::Drill { event, fault, .. } if event == hash => Some(Some(fault.clone())),
        What::Label { event, .. } if event == hash => Some(None),
        _ => None,
    });
    said.flatten()
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
        let told =
            format!("`{event}` is neither POLICY#NUMBER nor the hash of one entry, or the first {LEAST_DIGITS} digits or more of it");
        return Err(unknown(told));
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
