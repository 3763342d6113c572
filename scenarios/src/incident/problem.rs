//! What can be wrong with an incident: one constructor for each problem.

use firedrill_core::problem::{Place, Problem, near_miss};

use crate::problem::list;

/// A file that the incident names and that cannot be read.
#[must_use]
pub fn unreadable(place: &Place, file: &str, reason: &str) -> Problem {
    Problem::at("FD0501", place, format!("cannot read `{file}`: {reason}")).remedy("paths are relative to the incident's folder")
}

/// The incident's own file cannot be read.
#[must_use]
pub fn no_incident(path: &str, reason: &str) -> Problem {
    Problem::in_file("FD0501", path, format!("cannot read the incident: {reason}"))
        .remedy("an incident is a folder with an `incident.yaml` and a recording")
}

/// A recording that is not what its format says. `reason` names the line, `remedy` says what would be right.
#[must_use]
pub fn recording(path: &str, reason: &str, remedy: &str) -> Problem {
    Problem::in_file("FD0502", path, reason).remedy(remedy)
}

/// A recording without a sample.
#[must_use]
pub fn empty_recording(place: &Place) -> Problem {
    Problem::at("FD0503", place, "the recording holds no sample").remedy("check that the mapping's patterns match the files and columns")
}

/// A folder in which the mapping finds nothing to read.
#[must_use]
pub fn nothing_mapped(place: &Place, folder: &str, found: usize) -> Problem {
    let what = if found == 0 { "holds no file" } else { "holds no file that the mapping knows" };
    Problem::at("FD0504", place, format!("`{folder}` {what}")).remedy("the mapping's `file:` patterns match whole paths below this folder")
}

/// A column that a mapping names and that none of the files has that it reads. `known` are those that they have.
#[must_use]
pub fn absent_column(place: &Place, name: &str, known: &[&str]) -> Problem {
    let remedy = match near_miss(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("they have {}; or leave this entry out", list(known)),
    };
    Problem::at("FD0516", place, format!("no file that this mapping reads has a column `{name}`")).remedy(remedy)
}

/// A mapping that is neither a file nor in the library.
#[must_use]
pub fn unknown_mapping(place: &Place, name: &str, known: &[&str]) -> Problem {
    let remedy = match near_miss(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("name a file of the incident's folder, or one of {}", known.join(", ")),
    };
    Problem::at("FD0505", place, format!("no mapping is called `{name}`, and no file is there")).remedy(remedy)
}

/// A text that is no instant.
#[must_use]
pub fn instant(place: &Place, reason: String) -> Problem {
    Problem::at("FD0506", place, reason).remedy("write it as `2026-01-05T09:30:00Z`")
}

/// Something that ends before it begins, or in the moment in which it begins; `end` is where its end stands.
#[must_use]
pub fn backwards(end: &Place, what: &str, begins: &str) -> Problem {
    Problem::at("FD0507", end, format!("{what} ends before it begins"))
        .label(format!("it begins at {begins}"))
        .remedy("write a later time here, or swap the two; mind the zones")
}

/// A text that is no target. `services` are those that the incident declares.
#[must_use]
pub fn target(place: &Place, text: &str, reason: String, services: &[&str]) -> Problem {
    let remedy = match near_miss(text, services) {
        Some(near) => format!("write `service/{near}`"),
        None => "write its kind, a slash and its name: `service/api`".to_owned(),
    };
    Problem::at("FD0508", place, reason).remedy(remedy)
}

/// A target that the incident does not declare, so that no decision can ever be about it. `known` are those of its kind.
#[must_use]
pub fn undeclared(place: &Place, kind: &str, name: &str, known: &[&str]) -> Problem {
    let remedy = match near_miss(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declared are {}; or add `{name}` to `services:`", list(known)),
    };
    Problem::at("FD0515", place, format!("there is no {kind} `{name}` in this incident's `services`")).remedy(remedy)
}

/// An incident that says nothing about when it began.
#[must_use]
pub fn no_onset(place: &Place) -> Problem {
    Problem::at("FD0509", place, "the incident does not say when it began").remedy("add `onset:`, or a list of `faults:` with their times")
}

/// An entry that says nothing of what is expected.
#[must_use]
pub fn expects_nothing(place: &Place) -> Problem {
    Problem::at("FD0510", place, "this entry names neither an action, nor a target, nor a page")
        .remedy("write `{ action: restart, target: service/api }` or `{ page: oncall }`")
}

/// An entry that expects a page and an action at once.
#[must_use]
pub fn page_and_action(place: &Place) -> Problem {
    Problem::at("FD0511", place, "a page has no action and no target").remedy("make two entries of it")
}

/// A recording in no format, or in several.
#[must_use]
pub fn one_recording(place: &Place) -> Problem {
    Problem::at("FD0512", place, "`recording` names exactly one format")
        .remedy("write one of `firedrill:`, `openmetrics:`, `prometheus:`, `csv:`")
}

/// What is expected cannot be measured without an onset.
#[must_use]
pub fn needs_onset(place: &Place, what: &str) -> Problem {
    Problem::at("FD0513", place, format!("{what} counts from the onset, and the incident has none")).remedy("add `onset:`")
}

/// An incident that does not lie in its recording. Both are given as people read them: `the incident lasts from A to B`, `A to B`.
#[must_use]
pub fn elsewhere(place: &Place, lasts: &str, recorded: &str) -> Problem {
    Problem::at("FD0514", place, format!("{lasts}, and the recording from {recorded}"))
        .remedy("correct `onset:` and `end:` (mind the zone), or the unit of the recording's times")
}
