//! What the policy did and said: its actions, notifications and pages, judged by the incidents that were open at the time.

use std::collections::BTreeMap;

use firedrill_core::action::{Action, ActionId, ActionOutcome, Target};
use firedrill_core::journal::{AlertStatus, Event, Journal, LabelSet, ProposalChange, Record};
use firedrill_core::ledger::Ledger;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;
use serde::{Deserialize, Serialize};

use super::incident::Incident;
use super::{ArmOutcome, IncidentOutcome};

/// An action that was started. Waiting on purpose is none: it changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// Which action of the run.
    pub id: ActionId,
    /// What was done.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// When it was decided; when it began, if nobody decided it.
    pub started: Time,
    /// When it ended; `None` if it had not when the run did.
    pub finished: Option<Time>,
    /// How it ended.
    pub outcome: Option<ActionOutcome>,
}

/// An action with its judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeedOutcome {
    /// Which action of the run.
    pub action: ActionId,
    /// What was done, for people.
    pub what: String,
    /// To what.
    pub target: Target,
    /// When it was decided, seconds since the start.
    pub started_seconds: f64,
    /// When it ended, seconds since the start; `None` if it had not.
    pub finished_seconds: Option<f64>,
    /// Whether it was carried out; `None` if it had not ended.
    pub succeeded: Option<bool>,
    /// Whether any incident was open when it started.
    pub while_open: bool,
    /// Whether no open incident's scope held its target.
    pub false_positive: bool,
}

/// The actions of a run, in order of start.
#[must_use]
pub(super) fn deeds(journal: &Journal) -> Vec<Deed> {
    let mut deeds: Vec<Deed> = Vec::new();
    let mut known: BTreeMap<ActionId, usize> = BTreeMap::new();
    for record in journal.records() {
        match &record.event {
            Event::Decided { action, what, target, .. } | Event::ActionStarted { action, what, target }
                if !known.contains_key(action) && !matches!(what, Action::Wait { .. }) =>
            {
                known.insert(action.clone(), deeds.len());
                let (id, target) = (action.clone(), target.clone());
                deeds.push(Deed { id, action: what.clone(), target, started: record.at, finished: None, outcome: None });
            }
            Event::ActionFinished { action, outcome } => {
                if let Some(&index) = known.get(action) {
                    deeds[index].finished = Some(record.at);
                    deeds[index].outcome = Some(outcome.clone());
                }
            }
            _ => {}
        }
    }
    deeds
}

/// Judges each action by the incidents of its own arm.
pub(super) fn judge(deeds: &[Deed], incidents: &[Incident]) -> Vec<DeedOutcome> {
    let judged = deeds.iter().map(|deed| {
        let mut open = incidents.iter().filter(|incident| incident.is_open_at(deed.started)).peekable();
        let while_open = open.peek().is_some();
        DeedOutcome {
            action: deed.id.clone(),
            what: deed.action.to_string(),
            target: deed.target.clone(),
            started_seconds: deed.started.as_seconds(),
            finished_seconds: deed.finished.map(Time::as_seconds),
            succeeded: deed.outcome.as_ref().map(|outcome| *outcome == ActionOutcome::Succeeded),
            while_open,
            false_positive: !open.any(|incident| incident.scope.contains(&deed.target)),
        }
    });
    judged.collect()
}

/// Actions started while no open incident's scope held their target.
pub(super) fn false_positives(deeds: &[DeedOutcome]) -> u64 {
    deeds.iter().filter(|deed| deed.false_positive).count() as u64
}

/// Actions started where the same kind of action was under way on the same target.
pub(super) fn duplicates(deeds: &[Deed]) -> u64 {
    let same = |one: &Deed, other: &Deed| one.target == other.target && one.action.word() == other.action.word();
    let under_way = |deed: &Deed, at: Time| deed.finished.is_none_or(|finished| finished > at);
    let twice = (0..deeds.len()).filter(|&index| {
        let deed = &deeds[index];
        deeds[..index].iter().any(|earlier| same(earlier, deed) && under_way(earlier, deed.started))
    });
    twice.count() as u64
}

/// Actions on one target beyond `limit` within `window`, the window open at its far end.
pub(super) fn flapping(deeds: &[Deed], limit: usize, window: Span) -> u64 {
    let mut starts: BTreeMap<&Target, Vec<Time>> = BTreeMap::new();
    let mut beyond = 0;
    for deed in deeds {
        let starts = starts.entry(&deed.target).or_default();
        starts.push(deed.started);
        let recent = starts.iter().filter(|&&start| deed.started.since(start) < window).count();
        beyond += u64::from(recent > limit);
    }
    beyond
}

/// A call to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// When, seconds since the start.
    pub at_seconds: f64,
    /// Who called.
    pub policy: Name,
    /// Who was called.
    pub to: Name,
    /// Why, in the policy's words.
    pub reason: String,
}

/// The first call of a run.
pub(super) fn first_page(journal: &Journal) -> Option<Called> {
    journal.records().iter().find_map(|record| match &record.event {
        Event::Paged { policy, to, reason, .. } => {
            Some(Called { at_seconds: record.at.as_seconds(), policy: policy.clone(), to: to.clone(), reason: reason.clone() })
        }
        _ => None,
    })
}

/// Pages, of one incident or of the whole run.
pub(super) fn pages(journal: &Journal, incident: Option<&Incident>) -> u64 {
    let counted = |at: Time| incident.is_none_or(|incident| incident.is_open_at(at));
    journal.records().iter().filter(|record| matches!(record.event, Event::Paged { .. }) && counted(record.at)).count() as u64
}

/// Pages while every incident that was open was over before the run ended; nobody answers a page in the policy's arm, so nobody was needed. Unless
/// an incident was open and people allowed afterwards what was then done about it: that is an answer.
pub(super) fn needless_pages(journal: &Journal, incidents: &[Incident]) -> u64 {
    let needed = |at: Time, policy: &Name, of: u64| {
        let open = || incidents.iter().filter(|incident| incident.is_open_at(at));
        open().any(|incident| incident.closed.is_none()) || (open().next().is_some() && was_allowed(journal, at, policy, of))
    };
    let is_needless = |record: &&Record| match &record.event {
        Event::Paged { policy, incident, .. } => !needed(record.at, policy, *incident),
        _ => false,
    };
    journal.records().iter().filter(is_needless).count() as u64
}

/// Whether people allowed something of a policy's incident from a time on, and it was done.
fn was_allowed(journal: &Journal, from: Time, policy: &Name, incident: u64) -> bool {
    let later = || journal.records().iter().skip_while(move |record| record.at < from);
    let yes = later().position(|record| match &record.event {
        Event::ProposalChanged { policy: own, incident: of, change, .. } => {
            own == policy && *of == incident && *change == ProposalChange::Granted
        }
        _ => false,
    });
    let is_done = |record: &Record| {
        matches!(&record.event, Event::Decided { policy: own, incident: of, what, .. }
        if own == policy && *of == incident && !matches!(what, Action::Wait { .. }))
    };
    yes.is_some_and(|yes| later().skip(yes).any(is_done))
}

/// When the first notification about an incident came.
pub(super) fn detected(transcript: &Transcript, incident: &Incident) -> Option<Time> {
    firings(&transcript.journal).find(|(at, labels)| concerns(labels, *at, incident, &transcript.ledger)).map(|(at, _)| at)
}

/// Notifications about nothing that an open incident's scope is felt at.
pub(super) fn false_alarms(transcript: &Transcript, incidents: &[Incident]) -> u64 {
    let about_one = |at: Time, labels: &LabelSet| incidents.iter().any(|incident| concerns(labels, at, incident, &transcript.ledger));
    firings(&transcript.journal).filter(|(at, labels)| !about_one(*at, labels)).count() as u64
}

/// A count for 1,000 hours of one service; 0 for a run without time or services.
pub(super) fn per_thousand_service_hours(count: u64, ledger: &Ledger) -> f64 {
    let hours = ledger.ended.as_seconds() / 3600.0 * ledger.services.len() as f64;
    if hours > 0.0 { count as f64 / hours * 1000.0 } else { 0.0 }
}

/// Incidents that users felt in P and that got neither a page nor a curing action: one within the scope, with users well
/// or all recovered sooner than in N.
pub(super) fn missed(nothing: &ArmOutcome, policy: &ArmOutcome) -> u64 {
    let same = |incident: &IncidentOutcome| nothing.incidents.iter().find(|other| other.faults.first() == incident.faults.first());
    let cured = |incident: &IncidentOutcome| incident.actions > 0 && same(incident).is_none_or(|alone| sooner(incident, alone));
    policy.incidents.iter().filter(|incident| incident.felt && incident.pages == 0 && !cured(incident)).count() as u64
}

fn sooner(with: &IncidentOutcome, alone: &IncidentOutcome) -> bool {
    let earlier = |with: super::Elapsed, alone: super::Elapsed| !with.censored && (alone.censored || with.seconds < alone.seconds);
    earlier(with.time_to_recover, alone.time_to_recover) || earlier(with.time_to_mitigate, alone.time_to_mitigate)
}

fn firings(journal: &Journal) -> impl Iterator<Item = (Time, &LabelSet)> {
    journal.records().iter().filter_map(|record| match &record.event {
        Event::Notified { notification } if notification.status == AlertStatus::Firing => Some((record.at, &notification.labels)),
        _ => None,
    })
}

/// Whether a notification is about an incident that is open. One that names no component speaks of the whole system.
fn concerns(labels: &LabelSet, at: Time, incident: &Incident, ledger: &Ledger) -> bool {
    incident.is_open_at(at) && target_of(labels, ledger).is_none_or(|target| incident.scope.is_felt_at(&target))
}

/// The component that an alert's labels name: the most specific one that exists.
fn target_of(labels: &LabelSet, ledger: &Ledger) -> Option<Target> {
    let service = |name: &Name| ledger.services.iter().any(|service| service.service == *name);
    let zone = |name: &Name| ledger.services.iter().any(|service| service.zones.contains(name));
    let node = |name: &Name| ledger.nodes.contains_key(name);
    let client = |name: &Name| ledger.clients.iter().any(|client| client.client == *name);
    let label = |names: &[&str], exists: &dyn Fn(&Name) -> bool| {
        names.iter().filter_map(|name| labels.get(*name)).find(|value| exists(value)).cloned()
    };
    let replica = |name: &Name| Target::Replica(name.clone()).service().is_some_and(|owner| service(&owner));
    label(&["pod", "replica"], &replica)
        .map(Target::Replica)
        .or_else(|| label(&["service", "deployment", "app", "job"], &service).map(Target::Service))
        .or_else(|| label(&["client"], &client).map(Target::Client))
        .or_else(|| label(&["node"], &node).map(Target::Node))
        .or_else(|| label(&["zone"], &zone).map(Target::Zone))
}

#[cfg(test)]
mod tests {
    use super::super::{Arms, Outcome, OutcomeSettings, measure};
    use super::*;
    use crate::sample::Sample;
    use firedrill_core::action::RestartMode;

    fn measured(nothing: Sample, policy: Sample) -> Outcome {
        let (nothing, policy) = (nothing.build(), policy.build());
        measure(&Arms { nothing: &nothing, policy: &policy, oracle: None, human: None }, &OutcomeSettings::default())
    }

    fn alone(sample: Sample) -> Outcome {
        let run = sample.build();
        measure(&Arms { nothing: &run, policy: &run, oracle: None, human: None }, &OutcomeSettings::default())
    }

    const RESTART: Action = Action::Restart { mode: RestartMode::AtOnce };

    #[test]
    fn the_right_cure_after_the_trigger_is_gone_is_no_false_positive() {
        // The brownout lasts 20 s; retries keep the queue full; the purge comes 2 min after the trigger ended.
        let storm =
            |until| Sample::new(600).fault("api", 60, 80).bad(60, until, 90).queued("api", 60, until, 500).retrying("api", 60, until, 200);
        let outcome = measured(
            storm(600),
            storm(210).act(200, Action::PurgeQueue, "service/api").act(
                200,
                Action::LimitRetries { retries: 0, lasting: Span::from_seconds(20) },
                "client/users",
            ),
        );
        assert_eq!((outcome.actions, outcome.false_positives, outcome.false_positive_rate), (2, 0, Some(0.0)));
        assert_eq!(outcome.missed, 0);
    }

    #[test]
    fn the_same_cure_after_the_system_has_healed_is_a_false_positive() {
        let outcome = alone(Sample::new(600).fault("api", 60, 80).bad(60, 90, 90).act(200, Action::PurgeQueue, "service/api"));
        assert_eq!((outcome.false_positives, outcome.wrong_target), (1, 0));
    }

    #[test]
    fn an_action_on_a_bystander_is_a_wrong_target() {
        let outcome = alone(Sample::new(600).fault("api", 60, 300).act(100, RESTART, "service/db").act(100, RESTART, "replica/api-1"));
        assert_eq!((outcome.actions, outcome.false_positives, outcome.wrong_target), (2, 1, 1));
        assert_eq!(outcome.false_positive_rate, Some(0.5));
        assert_eq!(outcome.amplification, Some(2.0));
    }

    #[test]
    fn every_action_in_a_scenario_without_a_fault_is_a_false_positive() {
        let outcome = alone(Sample::new(300).act(100, RESTART, "service/api"));
        assert_eq!((outcome.false_positives, outcome.noop_false_positives), (1, Some(1)));
        assert_eq!(alone(Sample::new(300).fault("api", 60, 80)).noop_false_positives, None);
    }

    #[test]
    fn waiting_on_purpose_is_no_action() {
        let outcome = alone(Sample::new(300).act(100, Action::Wait { span: Span::from_seconds(5) }, "service/api"));
        assert_eq!((outcome.actions, outcome.false_positive_rate), (0, None));
    }

    #[test]
    fn an_action_counts_once_although_it_is_decided_started_and_finished() {
        let outcome = alone(Sample::new(300).fault("api", 60, 200).act(100, RESTART, "service/api"));
        let deed = &outcome.deeds[0];
        assert_eq!((outcome.actions, deed.started_seconds, deed.finished_seconds, deed.succeeded), (1, 100.0, Some(105.0), Some(true)));
    }

    #[test]
    fn the_fourth_action_on_a_target_within_half_an_hour_is_flapping() {
        let deeds = |starts: &[u64]| {
            let run = starts.iter().fold(Sample::new(7200), |run, &at| run.act(at, RESTART, "service/api")).build();
            flapping(&super::deeds(&run.journal), 3, Span::from_minutes(30))
        };
        assert_eq!(deeds(&[0, 100, 200]), 0);
        assert_eq!(deeds(&[0, 100, 200, 300, 400]), 2);
        // The window is open at its far end: exactly half an hour later the first no longer counts.
        assert_eq!(deeds(&[0, 100, 200, 1800]), 0);
    }

    #[test]
    fn the_same_action_twice_at_a_time_is_a_duplicate() {
        let outcome =
            alone(Sample::new(300).act(100, RESTART, "service/api").act(102, RESTART, "service/api").act(120, RESTART, "service/api"));
        assert_eq!(outcome.duplicate, 1);
    }

    #[test]
    fn detection_is_the_first_notification_about_the_incident() {
        let outcome = alone(
            Sample::new(300).fault("api", 60, 200).notify(70, "service", "db").notify(90, "service", "api").notify(95, "service", "web"),
        );
        let detect = outcome.time_to_detect.unwrap();
        assert_eq!((detect.seconds, detect.censored, outcome.false_alarms), (30.0, false, 1));
        // 1 alarm in 3 services for 300 s.
        assert_eq!(outcome.false_alarm_rate, 4000.0);
    }

    #[test]
    fn an_incident_that_nobody_noticed_is_censored_at_the_end() {
        let detect = alone(Sample::new(300).fault("api", 60, 200).bad(60, 200, 50)).time_to_detect.unwrap();
        assert_eq!((detect.seconds, detect.censored), (240.0, true));
    }

    #[test]
    fn an_alert_without_a_component_speaks_of_the_whole_system() {
        let outcome = alone(Sample::new(300).fault("api", 60, 200).notify(40, "severity", "page").notify(80, "severity", "page"));
        assert_eq!((outcome.time_to_detect.unwrap().seconds, outcome.false_alarms), (20.0, 1));
    }

    #[test]
    fn the_most_specific_label_names_the_target() {
        let ledger = Sample::new(60).build().ledger;
        let target = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
            target_of(&labels, &ledger).map(|target| target.to_string())
        };
        assert_eq!(target(&[("pod", "api-1"), ("service", "api"), ("zone", "a")]).as_deref(), Some("replica/api-1"));
        assert_eq!(target(&[("job", "api"), ("zone", "a")]).as_deref(), Some("service/api"));
        assert_eq!(target(&[("job", "node-exporter"), ("zone", "a")]).as_deref(), Some("zone/a"));
        assert_eq!(target(&[("job", "node-exporter")]), None);
    }

    #[test]
    fn an_incident_with_neither_cure_nor_page_is_missed() {
        let felt = || Sample::new(600).fault("api", 60, 300).bad(60, 300, 50);
        assert_eq!(alone(felt()).missed, 1);
        assert_eq!(alone(felt().page(200)).missed, 0);
        assert_eq!(alone(felt().act(200, RESTART, "service/api")).missed, 1, "an action that changes nothing cures nothing");
        let cured = Sample::new(600).fault("api", 60, 120).bad(60, 120, 50).act(110, RESTART, "service/api");
        assert_eq!(measured(felt(), cured).missed, 0);
        assert_eq!(alone(Sample::new(600).fault("api", 60, 300)).missed, 0, "users did not feel it");
    }

    #[test]
    fn a_page_is_needless_if_all_was_over_without_anybody() {
        let needless = |sample: Sample| alone(sample).needless_pages;
        let passing = || Sample::new(600).fault("api", 60, 120).bad(60, 120, 50);
        assert_eq!(needless(passing().page(30)), 1, "nothing had happened yet");
        assert_eq!(needless(passing().page(100).page(110)), 2, "nobody came, and it was over");
        let lasting = || Sample::new(600).fault("api", 60, 600).bad(60, 600, 50);
        assert_eq!(needless(lasting().page(100)), 0, "it was not over when the run ended");
        assert_eq!(needless(lasting().page(30).page(100)), 1);
    }

    #[test]
    fn a_page_is_not_needless_if_people_allowed_the_cure() {
        let needless = |sample: Sample| alone(sample).needless_pages;
        let passing = || Sample::new(600).fault("api", 60, 120).bad(60, 120, 50).page(100);
        let allowed = |sample: Sample, at: u64| {
            let (policy, change) = (Name::new("sample"), ProposalChange::Granted);
            sample
                .record(at, Event::ProposalChanged { policy, incident: 0, proposal: 0, change, figures: String::new(), waited: Span::ZERO })
        };
        assert_eq!(needless(allowed(passing(), 105).act(110, RESTART, "service/api")), 0);
        assert_eq!(needless(allowed(passing(), 105)), 1, "nothing came of it");
        assert_eq!(needless(allowed(passing().act(102, RESTART, "service/api"), 105)), 1, "it was done before anybody answered");
        assert_eq!(needless(allowed(Sample::new(600).page(100), 105).act(110, RESTART, "service/api")), 1, "nothing was wrong");
    }

    #[test]
    fn toil_is_what_pages_cost() {
        let outcome = alone(Sample::new(300).fault("api", 60, 200).page(100).page(150));
        assert_eq!((outcome.pages, outcome.toil), (2, 30.0));
    }
}
