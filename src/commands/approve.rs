//! `firedrill approve`: a person's yes or no to what a policy has proposed.

use firedrill_core::journal::Event;
use firedrill_core::problem::Problem;
use serde_json::json;

use super::promoting::{Books, numbered};
use crate::cli::{ApproveArgs, Format, Writer};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ledger::{Chain, What};
use crate::output::Output;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.approval/1";

/// Writes an answer down for whoever runs the policy.
///
/// # Errors
/// Nobody waits for it, or whoever answers may not.
pub fn execute(arguments: &ApproveArgs, output: Output) -> Result<Exit, Failure> {
    let nobody = || {
        Failure::argument(
            format!("nobody waits for a yes to `{}`: no policy that runs here has proposed that, or it is answered", arguments.proposal),
            "in a simulation people answer as the scenario says: `human: { approvers: … }`, as in `firedrill explain approvers`",
        )
    };
    let (policy, number) = numbered(&arguments.proposal).ok_or_else(nobody)?;
    let books = Books::here().map_err(|_| nobody())?;
    let subject = books.subject(policy)?;
    if !is_open(&subject.chain, number) {
        return Err(nobody());
    }
    let Some(by) = arguments.by.clone() else {
        let message = format!("nobody says who answers `{}`", arguments.proposal);
        return Err(Failure::argument(message, format!("`firedrill approve {} --by NAME`", arguments.proposal)));
    };
    if books.promotions().is_author(&by, &subject.policy.owner, subject.policy.author.as_ref()) {
        let message = format!("{by} wrote `{policy}` or owns it, and nobody approves their own");
        return Err(vec![Problem::in_file("FD0824", "the command line", message).remedy("have somebody else answer")].into());
    }
    let role = arguments.role.clone().unwrap_or_else(|| by.clone());
    let what = What::Approval { proposal: number, role: role.clone(), yes: !arguments.no };
    let writer = Writer { by: by.clone(), key: arguments.key.clone() };
    books.write(policy, vec![what], (&writer, output))?;
    match output.format {
        Format::Json => {
            let document = json!({ "schema": SCHEMA, "policy": policy, "proposal": number, "by": by, "role": role, "yes": !arguments.no });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let word = if arguments.no { "no" } else { "yes" };
            output.data(&format!(
                "{by} says {word} to {policy}#{number}, as {role}; whether it counts is decided by who runs the policy\n"
            ))?;
        }
    }
    Ok(Exit::Held)
}

/// Whether a proposal was made and nothing has become of it.
fn is_open(chain: &Chain, wanted: u64) -> bool {
    let mut is_open = false;
    for own in &chain.entries {
        let What::Decision { event, .. } = &own.entry.what else { continue };
        match serde_json::from_value(event.clone()) {
            Ok(Event::Proposed { proposal, .. }) if proposal == wanted => is_open = true,
            Ok(Event::ProposalChanged { proposal, .. }) if proposal == wanted => is_open = false,
            _ => {}
        }
    }
    is_open
}
