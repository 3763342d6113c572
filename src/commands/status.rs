//! `firedrill status`: where policies stand, and what their next stage asks for.

use std::collections::BTreeSet;

use firedrill_core::words::{counted, in_one_line};
use serde_json::{Value, json};

use super::promoting::{Books, Outlook, Subject, lines};
use crate::cli::{Format, StatusArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::promotion::profile::{days_told, next};
use crate::promotion::statement::counted_entries;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.status/1";

/// Tells it of one policy, or of all.
///
/// # Errors
/// A policy is unknown or wrong, or the ledger is not sound.
pub fn execute(arguments: &StatusArgs, output: Output) -> Result<Exit, Failure> {
    let books = Books::here()?;
    let names = match &arguments.policy {
        Some(policy) => vec![policy.clone()],
        None => books.policies()?,
    };
    let mut all = Vec::new();
    let mut known = BTreeSet::new();
    for name in names.into_iter().filter(|name| known.insert(name.clone())) {
        let subject = books.subject(&name)?;
        let outlook = books.outlook(&subject, arguments.profile);
        all.push((subject, outlook));
    }
    match output.format {
        Format::Json => {
            let policies: Vec<Value> = all.iter().map(|(subject, outlook)| as_json(&books, subject, outlook)).collect();
            let document = json!({ "schema": SCHEMA, "policies": policies });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text if all.is_empty() => output.data("the project has no policies\n")?,
        Format::Text => {
            let text: Vec<String> = all.iter().map(|(subject, outlook)| as_text(&books, subject, outlook)).collect();
            output.data(&text.join("\n"))?;
        }
    }
    // Whoever runs it must not take it for what was promoted.
    Ok(if all.iter().any(|(subject, _)| subject.is_another().is_some()) { Exit::Broken } else { Exit::Held })
}

fn as_json(books: &Books, subject: &Subject, outlook: &Outlook) -> Value {
    let standing = &subject.standing;
    let promoted = subject.promoted.promoted.as_ref();
    let is_promoted_version = promoted.map(|own| own.hashes == subject.hashes);
    let promoted =
        promoted.map(|own| json!({ "stage": subject.promoted.stage, "at": own.at.to_string(), "by": own.by, "hashes": own.hashes }));
    let due = outlook.due.as_ref().map(|due| json!({ "to": due.to, "because": due.because }));
    json!({
        "policy": subject.policy.name, "stage": standing.stage, "since": standing.since.map(|at| at.to_string()), "by": standing.by,
        "next": next(standing.stage), "profile": outlook.profile.word(), "needs": outlook.needs, "weakened": outlook.weakened,
        "on_trial": outlook.bake, "demotion_due": due, "hashes": subject.hashes, "evidence": subject.evidence,
        "unverified": books.unverified(&subject.chain), "strangers": books.strangers(&subject.chain), "promoted": promoted, "is_promoted_version": is_promoted_version,
        "branches": subject.promoted.branches,
    })
}

fn as_text(books: &Books, subject: &Subject, outlook: &Outlook) -> String {
    let standing = &subject.standing;
    let came = standing.promoted.as_ref().map(|own| (own.at, own.by.as_str())).filter(|_| standing.is_promoted);
    let came = came.or_else(|| standing.since.zip(standing.by.as_deref()));
    let since = came.map_or_else(String::new, |(since, by)| format!(" since {}, by {by}", since.strftime("%Y-%m-%d")));
    let mut told = vec![format!("{}: {}{since}", subject.policy.name, standing.stage.word())];
    if let Some(why) = subject.is_another() {
        told.push(format!("  ✗ {why}"));
        told.push(
            "    → promote it anew, one stage at a time, on what was seen, decided again; or bring back what was promoted".to_owned(),
        );
    }
    if let Some(why) = subject.looks_on() {
        told.push(format!("  · {why}; to look on is open to every version, and what was seen is decided again"));
    }
    if !subject.promoted.branches.is_empty() {
        told.push(format!("  · two branches changed its stage, and the lower counts: {}", subject.promoted.branches.join(" and ")));
    }
    if let Some(bake) = outlook.bake {
        let actions = counted(bake.actions_left, "action");
        told.push(format!("  · on trial for {actions} more, or {}", days_left(bake.time_left.as_millis())));
    }
    if let Some(due) = &outlook.due {
        told.push(format!("  ✗ to be demoted to {}: {}; the next command that writes does that", due.to.word(), due.because));
    }
    told.extend(uncounted(books, subject));
    let next = next(standing.stage);
    told.push(match next {
        None => "  there is no stage beyond".to_owned(),
        Some(next) => format!("  for {} (profile {}):", next.word(), outlook.profile.word()),
    });
    if next.is_some() && outlook.needs.is_empty() {
        told.push("  · `check` clean, `gate` held, every recorded incident with `expect` passes: `firedrill promote` asks them".to_owned());
    }
    let mut text: String = told.iter().map(|line| in_one_line(line) + "\n").collect();
    if next.is_some() {
        text += &lines(&outlook.needs);
        text.extend(outlook.weakened.iter().map(|told| format!("  · less is asked for than usual: {}\n", in_one_line(told))));
    }
    text
}

/// Whose entries do not count, and how many.
fn uncounted(books: &Books, subject: &Subject) -> Vec<String> {
    let mut told = Vec::new();
    let unverified = books.unverified(&subject.chain);
    if unverified > 0 {
        let why = "in the name of people who have a key, and not signed by it: what is said there does not count";
        told.push(format!("  ✗ {} {why}", counted_entries(unverified)));
    }
    let stranger = |(by, count): (String, usize)| {
        format!("  ✗ {} by `{by}`, who is not among `people:` of firedrill.yaml: what is said there does not count", counted_entries(count))
    };
    told.extend(books.strangers(&subject.chain).into_iter().map(stranger));
    told
}

fn days_left(millis: u64) -> String {
    days_told(firedrill_core::time::Span::from_millis(millis.div_ceil(86_400_000) * 86_400_000))
}
