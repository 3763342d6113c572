//! What can be wrong with an incident: one constructor for each problem.

use firedrill_core::problem::{Place, Problem, near_miss};

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

/// A recording that is not what its format says. `reason` names the line.
#[must_use]
pub fn recording(path: &str, reason: &str) -> Problem {
    Problem::in_file("FD0502", path, reason)
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

/// Something that ends before it begins.
#[must_use]
pub fn backwards(place: &Place, what: &str) -> Problem {
    Problem::at("FD0507", place, format!("{what} ends before it begins")).remedy("swap the two times")
}

/// A text that is no target.
#[must_use]
pub fn target(place: &Place, reason: String) -> Problem {
    Problem::at("FD0508", place, reason)
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
