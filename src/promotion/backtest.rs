//! Whether our ruler says on recorded history what the real one said then: only then is what a policy decides on it evidence.

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, Journal, LabelSet};
use firedrill_core::name::Name;
use firedrill_policies::rules::RuleSet;
use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::recording::Recording;

/// Between two samples of one firing there are at most so many milliseconds: ten minutes.
const GAP_MS: i64 = 600_000;

/// So far apart may both rulers begin to fire: their scrapes and evaluations have phases of their own. Two minutes.
const APART_MS: i64 = 120_000;

/// What was recorded, and what of it our ruler says too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reproduced {
    /// Firings of alerts that the rules here have.
    pub recorded: u64,
    /// Those that our ruler reproduces.
    pub reproduced: u64,
    /// Firings of alerts that no rule here has; they count for nothing.
    pub elsewhere: u64,
}

/// Holds the recorded series `ALERTS` against the alerts of a replay of the same recording.
#[must_use]
pub fn reproduced(recording: &Recording, journal: &Journal, rules: &RuleSet) -> Reproduced {
    let store = &recording.store;
    let matchers = [Matcher::equal("__name__", "ALERTS"), Matcher::equal("alertstate", "firing")];
    let own = firings(recording, journal);
    let mut found = Reproduced::default();
    for series in store.select(&matchers) {
        let labels: BTreeMap<&str, &str> = store.labels(series).iter().map(|(name, value)| (&**name, &**value)).collect();
        let alert = labels.get("alertname").copied().unwrap_or_default();
        let is_known = rules.alerting(alert).next().is_some();
        for begin in episodes(store.times(series), recording.start.unix_millis()) {
            if !is_known {
                found.elsewhere += 1;
                continue;
            }
            found.recorded += 1;
            let near = |firing: &&Firing| (firing.at_ms - begin).abs() <= APART_MS;
            let is_same = |firing: &Firing| {
                let has =
                    |(name, value): (&Name, &Name)| name.as_str() == "alertname" || labels.get(name.as_str()) == Some(&value.as_str());
                // People's Prometheus may add labels to what it stores.
                firing.alert.as_str() == alert && firing.labels.iter().all(has)
            };
            found.reproduced += u64::from(own.iter().filter(near).any(is_same));
        }
    }
    found
}

/// An alert that our ruler fired.
struct Firing {
    alert: Name,
    labels: LabelSet,
    at_ms: i64,
}

fn firings(recording: &Recording, journal: &Journal) -> Vec<Firing> {
    let of = |record: &firedrill_core::journal::Record| match &record.event {
        Event::AlertFiring { alert, labels, .. } => {
            Some(Firing { alert: alert.clone(), labels: labels.clone(), at_ms: recording.start.prometheus_millis(record.at) })
        }
        _ => None,
    };
    journal.records().iter().filter_map(of).collect()
}

/// When each firing of a series begins. One that goes on from before the recording cannot be told from one that begins there, and is left out.
fn episodes(times: &[i64], start_ms: i64) -> Vec<i64> {
    let mut begins = Vec::new();
    let mut last = start_ms;
    for (index, at) in times.iter().enumerate() {
        let is_new = if index == 0 { *at - start_ms > APART_MS } else { *at - last > GAP_MS };
        if is_new {
            begins.push(*at);
        }
        last = *at;
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firing_begins_after_a_gap_and_not_with_the_recording() {
        let minute = 60_000;
        assert_eq!(episodes(&[0, minute, 2 * minute], 0), Vec::<i64>::new());
        assert_eq!(episodes(&[5 * minute, 6 * minute, 30 * minute, 31 * minute], 0), [5 * minute, 30 * minute]);
        // After what was on from the start a second one counts.
        assert_eq!(episodes(&[minute, 40 * minute], 0), [40 * minute]);
    }
}
