//! What a run reached of its policies: which of their parts, and how near it came to their limits. From the journal alone.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::ActionId;
use firedrill_core::journal::{Event, GuardVerdict, Journal, Verification};
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use serde::{Deserialize, Serialize};

/// What was reached of all policies of a run, or of a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// By policy that took something up: its parts.
    pub parts: BTreeMap<Name, BTreeSet<Part>>,
    /// How near actions came to limits, sorted by policy, guard and limit.
    pub approaches: Vec<Approach>,
}

/// How near a run came to one limit of one guard. Only actions that started count, each as the guard counted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approach {
    /// Whose limit.
    pub policy: Name,
    /// Which guard, by its word.
    pub guard: Name,
    /// The limit without what it was counted over, such as `3 starts within 30m`.
    pub limit: String,
    /// What was used of it at most, 0 to 1; 1 is all of it.
    pub used: f64,
    /// The figures at that moment, with the action that started then.
    pub figures: String,
}

impl Reached {
    /// Reads it out of a journal.
    #[must_use]
    pub fn of(journal: &Journal) -> Self {
        let mut reading = Reading::default();
        for record in journal.records() {
            reading.take_in(&record.event);
        }
        Self { parts: reading.parts, approaches: reading.nearest.into_values().collect() }
    }

    /// Whether any policy took anything up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[derive(Default)]
struct Reading {
    parts: BTreeMap<Name, BTreeSet<Part>>,
    nearest: BTreeMap<(Name, Name, String), Approach>,
    /// What guards have let pass and what has not started yet, by policy and incident.
    passed: BTreeMap<(Name, u64), Vec<(Name, String)>>,
    /// The steps of actions under way.
    steps: BTreeMap<ActionId, u32>,
    /// What a step that chooses is to do, by policy, incident and step.
    chosen: BTreeMap<(Name, u64, u32), Part>,
}

impl Reading {
    fn take_in(&mut self, event: &Event) {
        match event {
            Event::IncidentOpened { policy, .. } => drop(self.parts.entry(policy.clone()).or_default()),
            Event::Guarded { policy, incident, guard, verdict: GuardVerdict::Passed, figures } => {
                self.passed.entry((policy.clone(), *incident)).or_default().push((guard.clone(), figures.clone()));
            }
            Event::Decided { policy, incident, step, action, reason, .. } => {
                self.steps.insert(action.clone(), *step);
                self.started(policy, *incident, *step, reason);
            }
            Event::Chosen { policy, incident, step, candidates } => {
                let best = candidates.iter().find(|own| own.is_best).and_then(|own| Some((own.candidate?, own)));
                let part = best.map(|(index, own)| Part::Candidate(*step, index, Name::from(own.what.to_string())));
                let place = (policy.clone(), *incident, *step);
                drop(match part {
                    Some(part) => self.chosen.insert(place, part),
                    None => self.chosen.remove(&place),
                });
            }
            Event::WouldAct { policy, incident, step, reason, .. } => self.started(policy, *incident, *step, reason),
            Event::Refused { policy, incident, guard, .. } => {
                self.passed.remove(&(policy.clone(), *incident));
                self.part(policy, Part::Guard(guard.clone()));
            }
            Event::Informed { policy, step, .. } | Event::Collected { policy, step, .. } => self.part(policy, Part::Step(*step)),
            Event::Verified { policy, step, verdict, .. } => {
                self.part(policy, Part::Verify(*step, *verdict));
                if *verdict != Verification::Held {
                    self.part(policy, Part::OnFailure(*step));
                }
            }
            Event::ActionFinished { action, outcome } if outcome.failure().is_some() => {
                if let Some(step) = self.steps.get(action).copied() {
                    self.part(&action.policy, Part::OnFailure(step));
                }
            }
            Event::Paged { policy, to, reason, .. } => {
                self.part(policy, Part::Call(to.clone()));
                if reason.contains(" is unresolved after ") {
                    self.part(policy, Part::EscalateAfter);
                }
            }
            _ => {}
        }
    }

    fn part(&mut self, policy: &Name, part: Part) {
        self.parts.entry(policy.clone()).or_default().insert(part);
    }

    /// An action starts, so what its guards have counted is used.
    fn started(&mut self, policy: &Name, incident: u64, step: u32, reason: &str) {
        // What is undone is no step of its own; that its step failed was told by its verification or its end.
        if !reason.starts_with("undo: ") {
            self.part(policy, Part::Step(step));
            if let Some(part) = self.chosen.remove(&(policy.clone(), incident, step)) {
                self.part(policy, part);
            }
        }
        for (guard, figures) in self.passed.remove(&(policy.clone(), incident)).unwrap_or_default() {
            for near in approaches(&guard, &figures) {
                let key = (policy.clone(), guard.clone(), near.limit.clone());
                let approach = Approach { policy: policy.clone(), guard: guard.clone(), ..near };
                match self.nearest.get_mut(&key) {
                    Some(known) if known.used >= approach.used => {}
                    Some(known) => *known = approach,
                    None => drop(self.nearest.insert(key, approach)),
                }
            }
        }
    }
}

/// Guards whose figures are a sum, a sign and a limit: `1 in flight + 1 <= 2 (...)`.
const COMPARING: [&str; 6] = ["caps", "max_unhealthy", "disruption_budget", "detector_sanity", "correlated_failure", "ineffective_chain"];

/// The limits in what a guard said when it let an action pass: one for each of its counts. Policy and guard are left for the caller.
fn approaches(guard: &Name, figures: &str) -> Vec<Approach> {
    let read: fn(&str) -> Option<Approach> = match guard.as_str() {
        "rate_limit" => starts,
        word if COMPARING.contains(&word) => compared,
        _ => return Vec::new(),
    };
    figures.split("; ").filter_map(read).collect()
}

fn approach(limit: String, used: f64, figures: String) -> Approach {
    Approach { policy: Name::new(""), guard: Name::new(""), limit, used, figures }
}

/// `1 of 3 starts within 30m on service/api`: the action that starts now is the second.
fn starts(figures: &str) -> Option<Approach> {
    let (before, rest) = figures.split_once(" of ")?;
    let (max, rest) = rest.split_once(" starts within ")?;
    let (window, place) = rest.split_once(" on ")?;
    let (now, most): (u64, u64) = (before.parse::<u64>().ok()? + 1, max.parse().ok()?);
    let used = if most == 0 { 1.0 } else { now as f64 / most as f64 };
    Some(approach(format!("{max} starts within {window}"), used, format!("{now} of {max} starts within {window} on {place}")))
}

/// A sum of counts, `<`, `<=` or `>=`, and a limit.
fn compared(figures: &str) -> Option<Approach> {
    let words: Vec<&str> = figures.split(' ').collect();
    let sign = words.iter().position(|word| matches!(*word, "<" | "<=" | ">="))?;
    let limit: f64 = words.get(sign + 1)?.parse().ok()?;
    let mut count: f64 = words.first()?.parse().ok()?;
    for pair in words[..sign].windows(2) {
        match (pair[0], pair[1].parse::<f64>()) {
            ("+", Ok(more)) => count += more,
            ("-", Ok(less)) => count -= less,
            // A share of a share is no count.
            ("*" | "/", _) => return None,
            _ => {}
        }
    }
    let used = match words[sign] {
        ">=" if count > 0.0 => limit / count,
        _ if limit > 0.0 => count / limit,
        _ => 1.0,
    };
    Some(approach(without_names(&words[sign..].join(" ")), used.clamp(0.0, 1.0), figures.to_owned()))
}

/// The limit of one service is the limit of each: `34% of the replicas of service/api` speaks of any service.
fn without_names(limit: &str) -> String {
    let bare = |word: &str| match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() => {
            let rest: String = name.chars().rev().take_while(|own| matches!(own, ',' | ')')).collect();
            format!("a {kind}{}", rest.chars().rev().collect::<String>())
        }
        _ => word.to_owned(),
    };
    limit.split(' ').map(bare).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample};
    use firedrill_core::time::Span;

    #[track_caller]
    fn check(guard: &str, figures: &str, expected: &[(&str, f64, &str)]) {
        let found = approaches(&Name::new(guard), figures);
        let found: Vec<_> = found.iter().map(|own| (own.limit.as_str(), own.used, own.figures.as_str())).collect();
        assert_eq!(found, expected, "{figures}");
    }

    #[test]
    fn each_limit_is_read_out_of_what_its_guard_says() {
        let two = "1 of 4 starts within 30m on replica/api-1; 11 of 12 starts within 1h on all";
        let told = [
            ("4 starts within 30m", 0.5, "2 of 4 starts within 30m on replica/api-1"),
            ("12 starts within 1h", 1.0, "12 of 12 starts within 1h on all"),
        ];
        check("rate_limit", two, &told);
        let cap = "0 in flight + 1 <= 2 (34% of the replicas of service/api, rounded down, at least 1)";
        check("caps", cap, &[("<= 2 (34% of the replicas of a service, rounded down, at least 1)", 0.5, cap)]);
        let budget = "6 healthy - 1 being worked on - 1 >= 2 desired (2)";
        check("disruption_budget", budget, &[(">= 2 desired (2)", 0.5, budget)]);
        let gate = "1 of 5 unhealthy <= 2 (40%, rounded down)";
        check("max_unhealthy", gate, &[("<= 2 (40%, rounded down)", 0.5, gate)]);
        check(
            "detector_sanity",
            "fresh: 3 < 60; 1 of 6 unhealthy at once < 4 (80%)",
            &[("< 4 (80%)", 0.25, "1 of 6 unhealthy at once < 4 (80%)")],
        );
        check("disruption_budget", "0.25 busy * 6 / 5 <= 75%", &[]);
        check("cooldown", "no action on service/api before", &[]);
        check("caps", "zone/a lies in no service", &[]);
    }

    #[test]
    fn only_what_starts_uses_a_limit_and_the_nearest_is_kept() {
        let passed = |figures: &str| Event::Guarded {
            policy: Name::new("sample"),
            incident: 0,
            guard: Name::new("rate_limit"),
            verdict: GuardVerdict::Passed,
            figures: figures.to_owned(),
        };
        let limit = || firedrill_core::action::Action::LimitRetries { retries: 0, lasting: Span::from_seconds(20) };
        let run = Sample::new(300)
            .record(10, passed("0 of 3 starts within 1h on service/api"))
            .act(10, limit(), "client/users")
            .record(20, passed("1 of 3 starts within 1h on service/api"))
            .act(20, limit(), "client/users")
            .record(30, passed("2 of 3 starts within 1h on service/api"))
            .refuse(30)
            .record(40, passed("0 of 3 starts within 1h on service/db"))
            .act(40, limit(), "client/users");
        let reached = Reached::of(&run.build().journal);
        let told: Vec<_> = reached.approaches.iter().map(|own| own.figures.as_str()).collect();
        assert_eq!(told, ["2 of 3 starts within 1h on service/api"]);
    }

    #[test]
    fn a_candidate_is_reached_once_it_is_done() {
        use firedrill_core::action::Action;
        use firedrill_core::journal::Weighed;
        let weighed = |index: u32, is_best: bool| Weighed {
            candidate: Some(index),
            what: Action::PurgeQueue,
            target: "service/api".parse().unwrap(),
            score: Some(1.0),
            risk: 0.0,
            why: String::new(),
            is_best,
        };
        let chosen =
            || Event::Chosen { policy: Name::new("sample"), incident: 0, step: 0, candidates: vec![weighed(1, true), weighed(0, false)] };
        let told = |run: Sample| -> Vec<String> {
            let reached = Reached::of(&run.build().journal);
            reached.parts.get(&Name::new("sample")).into_iter().flatten().map(ToString::to_string).collect()
        };
        assert!(told(Sample::new(300).record(10, chosen())).is_empty(), "nobody has allowed it yet");
        let done = Sample::new(300).record(10, chosen()).act(10, Action::PurgeQueue, "service/api");
        assert_eq!(told(done), ["step 1", "candidate 2 of step 1 (purge_queue)"]);
    }

    #[test]
    fn the_parts_of_a_story_are_those_that_it_tells_of() {
        let reached = Reached::of(&sample::story().journal);
        let told: Vec<String> = reached.parts[&Name::new("sample")].iter().map(ToString::to_string).collect();
        assert_eq!(told, ["step 1", "verify of step 2 held", "call to oncall", "guard cooldown refused"]);
    }
}
