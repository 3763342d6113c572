//! What rules make of a recording, held against what a Prometheus recorded of its alerts at that time.

use firedrill_core::journal::Journal;
use firedrill_core::time::Time;
use firedrill_core::transcript::Desk;
use firedrill_policies::rules::{Ruler, RulerSettings};
use firedrill_telemetry::labels::{Labels, METRIC_NAME, Matcher};
use firedrill_telemetry::recording::{Playback, Recording};
use firedrill_telemetry::store::{SeriesId, Store, is_stale};
use serde::Serialize;

use crate::drill::Rules;

/// Between two evaluations of a group at most so much time lies, as far as anybody sets it.
const LONGEST_INTERVAL_MS: i64 = 300_000;

/// An alert that fired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Firing {
    /// When it was first seen firing, milliseconds since 1970.
    pub from_ms: i64,
    /// Its labels, `alertname` among them.
    #[serde(serialize_with = "as_text")]
    pub labels: Labels,
    /// When it was last seen firing.
    pub until_ms: i64,
}

/// How well rules reproduce what was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fidelity {
    /// The firings that were recorded and began within the recording.
    pub recorded: usize,
    /// Those of them that the replay has too, with the same labels but for those that were added where they are stored, and begun at most two evaluations apart.
    pub reproduced: usize,
    /// Those of them that the replay has not.
    pub missed: Vec<Firing>,
    /// What fires in the replay and was not recorded.
    pub extra: Vec<Firing>,
    /// What fired already when the recording begins: nobody can tell when it began, so it does not count.
    pub before: Vec<Firing>,
}

impl Fidelity {
    /// Whether at least 19 of 20 firings are reproduced, which is what counts as the same rules on the same samples.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.reproduced * 20 >= self.recorded * 19
    }

    /// In one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { recorded, reproduced, extra, .. } = self;
        let extra = if extra.is_empty() { String::new() } else { format!("; {} more that were not recorded", extra.len()) };
        match recorded {
            0 => format!("no alert began to fire in this time{extra}"),
            _ => format!("the rules reproduce {reproduced} of {recorded} recorded firings{extra}"),
        }
    }
}

/// Holds what rules make of a recording against the `ALERTS` that were recorded. Alerts that the rules do not make are left out.
#[must_use]
pub fn fidelity(recording: &Recording, rules: &Rules, alerts: &Store) -> Fidelity {
    let replayed = replayed(recording, rules);
    let names: Vec<&str> = rules.set.rules().filter(|(_, rule)| rule.is_alerting()).map(|(_, rule)| rule.name.as_str()).collect();
    let is_ours = |firing: &Firing| firing.labels.get("alertname").is_some_and(|name| names.contains(&name));
    let tolerance_ms = tolerance_ms(rules);
    // Whoever stores alerts for several Prometheus servers adds labels to tell them apart.
    let has_all_of = |firing: &Firing, other: &Firing| other.labels.iter().all(|(name, value)| firing.labels.get(name) == Some(&**value));
    let mut left = firings(&replayed);
    let mut fidelity = Fidelity::default();
    for firing in firings(alerts).into_iter().filter(is_ours) {
        let twin = |other: &Firing| has_all_of(&firing, other) && (other.from_ms - firing.from_ms).abs() <= tolerance_ms;
        let found = left.iter().position(twin).map(|index| left.remove(index)).is_some();
        if firing.from_ms <= recording.start.unix_millis() + tolerance_ms / 2 {
            // It may have begun long ago, and then the replay has it later: its twin is no surplus either.
            left.retain(|other| !has_all_of(&firing, other) || other.from_ms > firing.until_ms);
            fidelity.before.push(firing);
            continue;
        }
        fidelity.recorded += 1;
        if found {
            fidelity.reproduced += 1;
        } else {
            fidelity.missed.push(firing);
        }
    }
    fidelity.extra = left;
    fidelity
}

/// Two evaluations of the slowest group: one for where in its interval a group is evaluated, which Prometheus tells nobody, and one for a `for` that
/// ends by a hair.
fn tolerance_ms(rules: &Rules) -> i64 {
    let default = RulerSettings::default().evaluation_interval;
    let longest = rules.set.groups.iter().map(|group| group.interval.unwrap_or(default).as_millis()).max().unwrap_or(0);
    i64::try_from(longest * 2).unwrap_or(LONGEST_INTERVAL_MS).min(2 * LONGEST_INTERVAL_MS)
}

/// The series that the rules write over a recording.
#[must_use]
pub fn replayed(recording: &Recording, rules: &Rules) -> Store {
    let start = recording.start;
    let mut playback = Playback::new(&recording.store);
    let ruler = || Ruler::new(std::sync::Arc::clone(&rules.set), start, RulerSettings::default());
    let memory = ruler().recall(playback.until(start.unix_millis()));
    let mut ruler = ruler();
    ruler.remember(&memory);
    let end = start.time_of(recording.end_ms).unwrap_or(Time::ZERO);
    let (mut journal, mut commands) = (Journal::new(), Vec::new());
    while let Some(now) = ruler.due().filter(|now| *now <= end) {
        let raw = playback.until(start.prometheus_millis(now));
        ruler.advance(raw, &mut Desk { journal: &mut journal, commands: &mut commands });
    }
    ruler.derived().clone()
}

/// The firings in `ALERTS`, by the time of their beginning.
#[must_use]
pub fn firings(store: &Store) -> Vec<Firing> {
    let matchers = [Matcher::equal(METRIC_NAME, "ALERTS"), Matcher::equal("alertstate", "firing")];
    let mut all: Vec<Firing> = store.select(&matchers).into_iter().flat_map(|id| firings_of(store, id)).collect();
    all.sort();
    all
}

/// A series of an alert falls into firings where it ended, and where nothing was written for much longer than usual.
fn firings_of(store: &Store, id: SeriesId) -> Vec<Firing> {
    let (times, values) = (store.times(id), store.values(id));
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(LONGEST_INTERVAL_MS);
    let labels = store.labels(id).without(METRIC_NAME).without("alertstate");
    let mut all: Vec<Firing> = Vec::new();
    let mut is_on = false;
    for (at_ms, value) in times.iter().zip(values) {
        if is_stale(*value) {
            is_on = false;
            continue;
        }
        match all.last_mut() {
            Some(last) if is_on && at_ms - last.until_ms <= usual.saturating_mul(5) / 2 => last.until_ms = *at_ms,
            _ => all.push(Firing { from_ms: *at_ms, labels: labels.clone(), until_ms: *at_ms }),
        }
        is_on = true;
    }
    all
}

fn as_text<S: serde::Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::time::Start;
    use firedrill_policies::rules::RuleSet;
    use firedrill_telemetry::store::STALE;

    const RULES: &str = "groups:\n  - name: g\n    interval: 10s\n    rules:\n      - { alert: Down, expr: up == 0, for: 20s, labels: { severity: page } }\n";

    /// A target that is down from one second to another, scraped every 5 s.
    fn recording(down: std::ops::Range<i64>) -> Recording {
        let mut store = Store::new();
        let up = store.series(&Labels::named("up", &[("pod", "a")]));
        for second in (0..600).step_by(5) {
            store.append(up, second * 1_000, if down.contains(&second) { 0.0 } else { 1.0 }).unwrap();
        }
        Recording { start: Start::from_unix_millis(0), end_ms: 600_000, source: "a test".to_owned(), store }
    }

    fn rules() -> Rules {
        Rules { set: RuleSet::read([("r.yml", RULES)]).unwrap(), hash: String::new(), routing: None }
    }

    fn alerts(pod: &str, samples: &[(i64, f64)]) -> Store {
        let mut store = Store::new();
        let labels = [("alertname", "Down"), ("alertstate", "firing"), ("pod", pod), ("severity", "page")];
        let id = store.series(&Labels::named("ALERTS", &labels));
        for (second, value) in samples {
            store.append(id, second * 1_000, *value).unwrap();
        }
        store
    }

    #[test]
    fn a_firing_ends_with_its_marker_or_where_nothing_is_written_for_long() {
        let store = alerts("a", &[(10, 1.0), (20, 1.0), (30, STALE), (60, 1.0), (70, 1.0), (80, 1.0), (140, 1.0)]);
        let told: Vec<_> = firings(&store).iter().map(|firing| (firing.from_ms / 1_000, firing.until_ms / 1_000)).collect();
        assert_eq!(told, [(10, 20), (60, 80), (140, 140)]);
    }

    #[test]
    fn what_fires_with_the_same_labels_at_about_the_same_time_is_reproduced() {
        let recording = recording(100..200);
        let same = fidelity(&recording, &rules(), &alerts("a", &[(131, 1.0), (141, 1.0), (151, 1.0), (161, 1.0), (201, STALE)]));
        assert_eq!((same.recorded, same.reproduced, same.extra.len()), (1, 1, 0), "{same:?}");
        assert!(same.is_good());
        let other = fidelity(&recording, &rules(), &alerts("b", &[(131, 1.0), (201, STALE)]));
        assert_eq!((other.recorded, other.reproduced, other.missed.len(), other.extra.len()), (1, 0, 1, 1));
        assert!(!other.is_good());
        assert_eq!(other.sentence(), "the rules reproduce 0 of 1 recorded firings; 1 more that were not recorded");
        let late = fidelity(&recording, &rules(), &alerts("a", &[(300, 1.0)]));
        assert_eq!((late.reproduced, late.extra.len()), (0, 1));
    }

    #[test]
    fn what_fired_already_does_not_count() {
        let before = fidelity(&recording(0..200), &rules(), &alerts("a", &[(1, 1.0), (11, 1.0), (21, 1.0), (31, 1.0), (201, STALE)]));
        assert_eq!((before.recorded, before.before.len(), before.extra.len()), (0, 1, 0), "{before:?}");
        assert_eq!(before.sentence(), "no alert began to fire in this time");
    }
}
