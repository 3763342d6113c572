//! What all incidents together teach: steps that never helped, alerts and incidents that nobody answers, and what to automate first.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::action::Action;
use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::guard::stage::is_reversible;
use firedrill_policies::policy::Policy;
use serde::Serialize;

use super::lesson::{Lesson, Resolution};
use super::told::{Deed, Kind, Told};

/// A step of a policy that was taken and never changed anything for the better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdleStep {
    /// The policy.
    pub policy: Name,
    /// Its number, from 1.
    pub step: u32,
    /// How often it was taken.
    pub taken: u64,
    /// How often its verification failed; the rest ended without one, or had no data.
    pub failed: u64,
}

/// What fired or happened and was answered by no policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The alert, or the incident.
    pub name: String,
    /// How often it was seen.
    pub count: u64,
    /// A policy of the library that answers the alert; `None`: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<Name>,
}

/// An alert that people answer, and what it would be worth to have a policy do it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Automate {
    /// The alert.
    pub alert: Name,
    /// How often it fired.
    pub frequency: u64,
    /// How many minutes people spent each time, on average: from the alert to the last thing that they did; where nobody wrote that down, how long
    /// the alert was on.
    pub minutes: f64,
    /// Whether these are minutes that people told of.
    pub is_told: bool,
    /// How far what people do can be undone: 1, 0.25 if it cannot; 0.5 where nobody wrote down what they do.
    pub reversibility: f64,
    /// How far success can be told: 1 if the alert names what it is about, so that its own expression tells of it alone; 0.5 otherwise.
    pub verifiability: f64,
    /// The product of the four.
    pub worth: f64,
}

/// What all of it teaches.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Together {
    /// How many incidents of policies came to what.
    pub resolutions: BTreeMap<&'static str, u64>,
    /// Steps that never changed an outcome.
    pub idle_steps: Vec<IdleStep>,
    /// Alerts that no policy answers.
    pub uncovered_alerts: Vec<Uncovered>,
    /// What was told of, and no policy took anything up.
    pub uncovered_incidents: Vec<Uncovered>,
    /// What to automate first, the worthiest first.
    pub automate: Vec<Automate>,
}

/// Looks at all of it; `policies` are those that answer alerts today, `offers` those that somebody could take.
#[must_use]
pub fn together(all: &[Told], lessons: &[Lesson], (policies, offers): (&[Arc<Policy>], &[Arc<Policy>])) -> Together {
    let mut resolutions = BTreeMap::new();
    for lesson in lessons {
        *resolutions.entry(lesson.resolution.word()).or_default() += 1;
    }
    let seen = seen(all, lessons);
    let is_taken = |alert: &Name| seen[alert].labels.iter().any(|labels| is_answered(alert, labels, policies));
    let open: Vec<&Name> = seen.keys().filter(|alert| !is_taken(alert)).collect();
    let offer = |alert: &Name| {
        let fits =
            |policy: &&Arc<Policy>| seen[alert].labels.iter().any(|labels| is_answered(alert, labels, std::slice::from_ref(*policy)));
        offers.iter().filter(|policy| policy.alerts.contains(alert)).find(fits).map(|policy| policy.name.clone())
    };
    let uncovered = |alert: &&Name| Uncovered { name: alert.to_string(), count: seen[*alert].count, offer: offer(alert) };
    let nobody =
        |told: &&Told| told.kind != Kind::Live && told.onset.is_some() && !lessons.iter().any(|lesson| lesson.is_told_by(&told.name));
    // An alert whose policy only ever calls people is still people's work.
    let by_people = |alert: &Name| {
        let own: Vec<&Lesson> = lessons.iter().filter(|lesson| lesson.alert == *alert).collect();
        !own.is_empty() && own.iter().all(|lesson| lesson.resolution == Resolution::None)
    };
    let mut automate: Vec<Automate> =
        seen.iter().filter(|(alert, _)| open.contains(alert) || by_people(alert)).map(|(alert, seen)| worth(alert, seen)).collect();
    automate.sort_by(|one, other| other.worth.total_cmp(&one.worth).then_with(|| one.alert.cmp(&other.alert)));
    Together {
        resolutions,
        idle_steps: idle_steps(all),
        uncovered_alerts: open.iter().map(uncovered).collect(),
        uncovered_incidents: all.iter().filter(nobody).map(|told| Uncovered { name: told.name.clone(), count: 1, offer: None }).collect(),
        automate,
    }
}

/// What was seen of an alert in all sources.
#[derive(Default)]
struct SeenAlert {
    count: u64,
    labels: Vec<LabelSet>,
    /// What it took people each time, and what they did.
    work: Vec<Span>,
    deeds: Vec<String>,
}

impl SeenAlert {
    /// On average, minutes.
    fn minutes(&self) -> f64 {
        self.work.iter().map(|span| span.as_seconds() / 60.0).sum::<f64>() / (self.work.len().max(1) as f64)
    }
}

fn seen(all: &[Told], lessons: &[Lesson]) -> BTreeMap<Name, SeenAlert> {
    // What the ledger has as an incident counts there.
    let is_known = |told: &Told, alert: &Name| lessons.iter().any(|own| own.alert == *alert && own.also.contains(&told.name));
    let mut seen: BTreeMap<Name, SeenAlert> = BTreeMap::new();
    for told in all {
        let last = told.records.last().map_or(Time::ZERO, |record| record.at);
        for (number, record) in told.records.iter().enumerate() {
            let (alert, labels) = match &record.event {
                Event::AlertFiring { alert, labels, .. } => (alert, labels),
                // A watcher is told of alerts and evaluates none.
                Event::IncidentOpened { alert, labels, .. } if told.kind == Kind::Live => (alert, labels),
                _ => continue,
            };
            if is_known(told, alert) {
                continue;
            }
            let own = seen.entry(alert.clone()).or_default();
            own.count += 1;
            if !own.labels.contains(labels) {
                own.labels.push(labels.clone());
            }
            // What a watcher was told of its end stands in no decision; that its incident is over does.
            let incident = told.incident_of(record);
            let over = told.records[number..].iter().find(|later| match &later.event {
                Event::AlertResolved { alert: other, labels: set } => other == alert && set == labels,
                Event::IncidentClosed { .. } => incident.is_some() && told.incident_of(later) == incident,
                _ => false,
            });
            let over = over.map_or(last, |later| later.at);
            let is_of_it = |deed: &&Deed| deed.at >= record.at && incident.as_ref().is_none_or(|incident| deed.is_of(incident));
            let deeds: Vec<&Deed> = told.people.iter().filter(is_of_it).collect();
            own.work.push(deeds.iter().map(|deed| deed.at).max().unwrap_or(over).since(record.at));
            own.deeds.extend(deeds.into_iter().map(|deed| deed.what.clone()));
        }
    }
    seen
}

fn is_answered(alert: &Name, labels: &LabelSet, policies: &[Arc<Policy>]) -> bool {
    let mut labels = labels.clone();
    labels.insert(Name::new("alertname"), alert.clone());
    let listens = |policy: &Arc<Policy>| {
        let notification = Notification {
            alert: alert.clone(),
            status: AlertStatus::Firing,
            labels: labels.clone(),
            starts_at: Time::ZERO,
            // Who is told of it is a matter of routing.
            receiver: policy.receiver.clone(),
        };
        policy.listens_to(&notification) || policy.correlation.is_some() && policy.answers(alert)
    };
    policies.iter().any(listens)
}

fn worth(alert: &Name, seen: &SeenAlert) -> Automate {
    let minutes = seen.minutes();
    let names_a_target = |labels: &LabelSet| {
        ["pod", "replica", "service", "node", "instance", "deployment", "zone"].iter().any(|name| labels.contains_key(*name))
    };
    let reversibility = reversibility(&seen.deeds);
    let verifiability = if seen.labels.iter().all(names_a_target) { 1.0 } else { 0.5 };
    let worth = seen.count as f64 * minutes * reversibility * verifiability;
    let is_told = !seen.deeds.is_empty();
    Automate { alert: alert.clone(), frequency: seen.count, minutes, is_told, reversibility, verifiability, worth }
}

/// What people did, as far as it names an action that policies have.
fn reversibility(deeds: &[String]) -> f64 {
    const UNDONE: [(&str, Action); 3] = [("rollback", Action::Rollback), ("roll back", Action::Rollback), ("drain", Action::Drain)];
    const GONE: [&str; 8] = ["restart", "kill", "purge", "delete", "fail over", "failover", "reboot", "flush"];
    let text = deeds.join("\n").to_lowercase();
    let can_be_undone = text.contains("rolled back")
        || text.contains("scale")
        || UNDONE.iter().any(|(word, action)| text.contains(word) && is_reversible(action));
    match (GONE.iter().any(|word| text.contains(word)), can_be_undone) {
        (true, _) => 0.25,
        (false, true) => 1.0,
        (false, false) => 0.5,
    }
}

/// Steps that were taken in runs where actions have effects, and whose verification never held.
fn idle_steps(all: &[Told]) -> Vec<IdleStep> {
    // Taken, held, failed.
    let mut steps: BTreeMap<(Name, u32), (u64, u64, u64)> = BTreeMap::new();
    for record in all.iter().filter(|told| told.kind == Kind::Run).flat_map(|told| &told.records) {
        match &record.event {
            Event::Decided { policy, step, .. } => steps.entry((policy.clone(), *step)).or_default().0 += 1,
            Event::Verified { policy, step, verdict: Verification::Held, .. } => steps.entry((policy.clone(), *step)).or_default().1 += 1,
            Event::Verified { policy, step, verdict: Verification::Failed, .. } => steps.entry((policy.clone(), *step)).or_default().2 += 1,
            _ => {}
        }
    }
    let idle = steps.into_iter().filter(|(_, (taken, held, _))| *taken > 0 && *held == 0);
    idle.map(|((policy, step), (taken, _, failed))| IdleStep { policy, step: step + 1, taken, failed }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lesson::lessons;
    use super::super::told::tests::{Script, deed, ledger, script};
    use super::*;
    use firedrill_policies::document::read_policy;

    fn policy(alert: &str) -> Arc<Policy> {
        let text = format!(
            "schema: policy/1\npolicy: p\nowner: o\non: {{ alert: {alert} }}\ntarget: {{ replica: $pod }}\nsteps:\n  - restart: {{ mode: rolling }}\n"
        );
        read_policy("p.yaml", &text).unwrap()
    }

    #[test]
    fn a_step_whose_verification_never_held_never_changed_an_outcome() {
        let twice =
            [Script::Open(1, 1), Script::Act(1, 2), Script::Failed(1, 9), Script::Open(2, 10), Script::Act(2, 11), Script::Failed(2, 19)];
        let told = script(&twice);
        let found = together(std::slice::from_ref(&told), &lessons(&told), (&[policy("A")], &[]));
        assert_eq!(found.idle_steps, [IdleStep { policy: Name::new("p"), step: 1, taken: 2, failed: 2 }]);
        assert_eq!(found.resolutions, [("none", 2)].into());
        let once = script(&[Script::Open(1, 1), Script::Act(1, 2), Script::Held(1, 9)]);
        assert_eq!(together(&[told, once], &[], (&[], &[])).idle_steps, []);
    }

    #[test]
    fn an_alert_that_no_policy_answers_is_told_with_what_it_would_be_worth() {
        let mut told = script(&[Script::Fire("A", 1), Script::Fire("B", 60), Script::Fire("B", 120), Script::Open(1, 661)]);
        told.onset = Some(Time::ZERO);
        told.people = vec![deed(660, "rolled back the deploy")];
        let found = together(&[told], &[], (&[policy("A")], &[policy("B")]));
        assert_eq!(found.uncovered_alerts, [Uncovered { name: "B".to_owned(), count: 2, offer: Some(Name::new("p")) }]);
        assert_eq!(found.uncovered_incidents.len(), 1);
        let [best] = &found.automate[..] else { panic!("{found:?}") };
        assert_eq!((best.frequency, best.minutes, best.reversibility, best.verifiability, best.worth), (2, 9.5, 1.0, 1.0, 19.0));
    }

    #[test]
    fn minutes_of_the_ledger_are_of_each_incident_by_itself() {
        let later = 10 * 86_400;
        let lines = |paged: [u64; 2]| {
            [
                Script::Open(0, paged[0]),
                Script::Page(0, paged[0] + 1),
                Script::Close(0, paged[0] + 120),
                Script::Open(1, paged[1]),
                Script::Page(1, paged[1] + 1),
                Script::Close(1, paged[1] + 120),
            ]
        };
        let minutes = |deeds: &[(&str, u64)]| {
            let told = ledger(&lines([100, later]), deeds);
            let found = together(std::slice::from_ref(&told), &lessons(&told), (&[], &[]));
            let [best] = &found.automate[..] else { panic!("{found:?}") };
            (best.frequency, best.minutes, best.is_told)
        };
        assert_eq!(minutes(&[("p#0", 400), ("p#1", later + 300)]), (2, 5.0, true), "five minutes each, ten days apart");
        assert_eq!(minutes(&[]), (2, 2.0, false), "as long as each was open, where nobody wrote down what people did");
    }

    #[test]
    fn what_cannot_be_undone_is_worth_less() {
        let deeds = |text: &str| reversibility(&[text.to_owned()]);
        assert_eq!([deeds("Restarted checkout"), deeds("scaled to 5"), deeds("looked at it")], [0.25, 1.0, 0.5]);
        assert_eq!(deeds("restarted it, then rolled back"), 0.25);
    }
}
