//! A watcher with the ledger that would be kept of it: what it decides, and that nothing is decided twice.

use firedrill_core::inventory::ServiceEntry;
use firedrill_core::journal::Truth;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Sample, Value};

use super::*;
use crate::document::read_policy;

const RESTART: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
precheck: [{ expr: 'up{pod=$pod} == 0', because: it must be down, max_age: 1m }]
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 1m }
  - escalate: { to: oncall, with: [metrics, alerts] }
escalate_after: 10m
guard:
  cooldown: 2m
";

const TOGETHER: &str = "
schema: policy/1
policy: together
owner: team
on: { incident: { alerts: { of: [Down, Slow], min: 2 }, scope: service } }
target: { service: $service }
steps:
  - restart: { mode: at_once }
";

fn setup(policies: &[&str]) -> WatcherSetup {
    let entry = ServiceEntry { replicas: 4, zones: vec![], critical: true, calls: vec![] };
    let inventory = Inventory { services: [(Name::new("api"), entry)].into(), ..Inventory::default() };
    let read = |text: &&str| (read_policy("policy.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}")), Stage::DryRun);
    WatcherSetup { start: Start::default(), policies: policies.iter().map(read).collect(), inventory: Arc::new(inventory) }
}

fn alert(name: &str, pod: &str, began: u64, ended: Option<u64>) -> Alerted {
    let labels = [("alertname", name), ("pod", pod), ("service", "api")];
    let labels = labels.into_iter().map(|(label, value)| (Name::new(label), Name::new(value))).collect();
    let status = if ended.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
    let notification = Notification { alert: Name::new(name), status, labels, starts_at: Time::from_seconds(began), receiver: None };
    Alerted { notification, ends_at: ended.map(Time::from_seconds), group: None }
}

/// A watcher with the ledger that would be kept of it.
#[derive(Clone)]
struct Desk {
    watcher: Watcher,
    observed: Vec<Observed>,
    decided: Vec<Decision>,
    up: Option<f64>,
}

impl Desk {
    fn new(policies: &[&str]) -> Self {
        let mut desk = Self { watcher: Watcher::new(setup(policies)), observed: vec![], decided: vec![], up: Some(0.0) };
        desk.begin(1_000);
        desk
    }

    fn begin(&mut self, second: u64) {
        let decided = self.decided.clone();
        let past = |name: &Name| {
            let own = || decided.iter().filter(|decision| decision.policy == *name);
            let opened = |decision: &&Decision| matches!(decision.record.event, Event::IncidentOpened { .. });
            let closed =
                |id: u64| own().any(|decision| matches!(decision.record.event, Event::IncidentClosed { incident, .. } if incident == id));
            let incidents = own().filter(opened).count() as u64;
            Past { decisions: own().count() as u64, incidents, open: (0..incidents).filter(|id| !closed(*id)).collect() }
        };
        let what = self.watcher.beginning("test", past);
        self.take_in(second, what);
    }

    fn take_in(&mut self, second: u64, what: Observation) {
        let observed = Observed { at: Time::from_seconds(second), what };
        self.decided.extend(self.watcher.take_in(&observed));
        self.observed.push(observed);
    }

    fn tell(&mut self, second: u64, alerts: &[Alerted]) {
        let news = self.watcher.news(Time::from_seconds(second), alerts.to_vec());
        self.take_in(second, Observation::Told { alerts: news.alerts });
    }

    /// Answers all that is asked, and what is asked then, with `up`; without it nobody answers.
    fn answer(&mut self, second: u64) {
        let up = self.up;
        let mut ask = |text: &str, at_ms: i64| match up {
            None => Err("no answer within 10s".to_owned()),
            Some(_) if text.starts_with("timestamp(") => {
                Ok(Value::Vector(vec![Sample { labels: Labels::named("up", &[]), value: at_ms as f64 / 1e3 }]))
            }
            Some(up) => Ok(Value::Vector(vec![Sample { labels: Labels::named("up", &[("pod", "api-1")]), value: up }])),
        };
        loop {
            let wants = self.watcher.take_wants();
            if wants.is_empty() {
                return;
            }
            for want in wants {
                let input = want.answer(Time::from_seconds(second), &mut ask);
                self.take_in(second, Observation::Answered { policy: want.policy.name.clone(), input });
            }
        }
    }

    fn pass(&mut self, second: u64) {
        while let Some(due) = self.watcher.due().filter(|due| *due <= Time::from_seconds(second)) {
            self.take_in(due.as_seconds() as u64, Observation::Passed);
            self.answer(due.as_seconds() as u64);
        }
    }

    fn told(&self) -> Vec<String> {
        self.decided.iter().filter_map(|decision| short(&decision.record.event)).collect()
    }
}

fn short(event: &Event) -> Option<String> {
    Some(match event {
        Event::IncidentOpened { policy, incident, .. } => format!("open {policy}#{incident}"),
        Event::IncidentClosed { policy, incident, reason } => format!("close {policy}#{incident}: {reason}"),
        Event::WouldAct { what, target, .. } => format!("would {what} {target}"),
        Event::Refused { guard, figures, .. } => format!("refuse by {guard}: {figures}"),
        Event::Paged { to, evidence, .. } => format!("page {to} with {}", evidence.iter().map(|own| own.lines.len()).sum::<usize>()),
        Event::Correlated { change, .. } => format!("{change:?}"),
        _ => return None,
    })
}

#[test]
fn an_alert_is_taken_up_asked_about_and_what_would_be_done_is_decided() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    assert_eq!(desk.told(), ["open restart#0"], "nothing is decided before the answer is there");
    let wants = desk.watcher.wants();
    assert_eq!(wants[0].texts(), [r#"up{pod="api-1"}"#]);
    desk.answer(1_011);
    assert_eq!(desk.told(), ["open restart#0", "would restart (rolling) replica/api-1"]);
    assert!(desk.watcher.wants().is_empty());
}

#[test]
fn what_is_false_refuses_and_no_answer_is_unknown_and_refuses_too() {
    let mut desk = Desk::new(&[RESTART]);
    desk.up = Some(1.0);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    desk.answer(1_011);
    assert!(desk.told()[1].starts_with("refuse by precheck: ") && desk.told()[1].contains("1 == 0"), "{:?}", desk.told());
    desk.up = None;
    desk.pass(1_080);
    assert!(desk.told()[2].contains("no answer within 10s"), "{:?}", desk.told());
    desk.up = Some(0.0);
    desk.pass(1_140);
    assert!(desk.told().contains(&"would restart (rolling) replica/api-1".to_owned()), "it is tried again: {:?}", desk.told());
}

#[test]
fn people_are_given_metrics_and_the_alerts_around_when_it_takes_too_long() {
    let mut desk = Desk::new(&[RESTART]);
    desk.up = Some(1.0);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None), alert("Other", "api-2", 1_000, None)]);
    desk.answer(1_010);
    desk.pass(1_010 + 660);
    let paged: Vec<String> = desk.told().into_iter().filter(|told| told.starts_with("page")).collect();
    // A precheck and a verification, and both alerts.
    assert_eq!(paged.first().map(String::as_str), Some("page oncall with 4"));
}

#[test]
fn alerts_that_come_together_are_told_as_one_incident() {
    let mut desk = Desk::new(&[TOGETHER]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None), alert("Slow", "api-2", 1_005, None)]);
    assert_eq!(desk.told(), ["Opened", "open together#0", "would restart (at once) service/api"]);
}

#[test]
fn the_same_observations_yield_the_same_decisions_with_the_same_numbers_from_any_saved_memory() {
    let mut desk = Desk::new(&[RESTART, TOGETHER]);
    let mut saved = vec![(desk.observed.len(), desk.decided.len(), desk.watcher.saved())];
    let note = |desk: &Desk, saved: &mut Vec<_>| saved.push((desk.observed.len(), desk.decided.len(), desk.watcher.saved()));
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    note(&desk, &mut saved);
    desk.answer(1_011);
    note(&desk, &mut saved);
    desk.tell(1_020, &[alert("Slow", "api-2", 1_005, None), alert("Down", "api-3", 1_018, None)]);
    note(&desk, &mut saved);
    desk.pass(1_300);
    note(&desk, &mut saved);
    desk.tell(1_310, &[alert("Down", "api-1", 1_000, Some(1_309)), alert("Slow", "api-2", 1_005, Some(1_309))]);
    desk.pass(3_000);
    assert!(desk.decided.len() > 20 && desk.told().iter().any(|told| told.starts_with("close")), "{:?}", desk.told());
    for (observed, decided, memory) in saved {
        let text = serde_json::to_string(&memory).unwrap();
        let mut again = Watcher::new(setup(&[RESTART, TOGETHER]));
        again.restore(serde_json::from_str(&text).unwrap()).unwrap();
        let later = desk.observed[observed..].iter().map(|observed| serde_json::to_string(observed).unwrap());
        let found: Vec<Decision> = later.flat_map(|line| again.take_in(&serde_json::from_str(&line).unwrap())).collect();
        assert_eq!(found, desk.decided[decided..], "from observation {observed} on");
        assert_eq!(again.saved(), desk.watcher.saved());
    }
}

#[test]
fn a_session_of_the_same_policies_goes_on_and_asks_again_what_nobody_answered() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    desk.begin(1_100);
    assert_eq!(desk.watcher.wants().len(), 1);
    desk.answer(1_101);
    assert_eq!(desk.told(), ["open restart#0", "would restart (rolling) replica/api-1"]);
}

#[test]
fn a_policy_that_changed_begins_anew_with_what_fires_and_no_number_comes_twice() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    let memory = desk.watcher.saved();
    let changed = RESTART.replace("cooldown: 2m", "cooldown: 3m");
    desk.watcher = Watcher::new(setup(&[&changed]));
    desk.watcher.restore(memory).unwrap();
    desk.begin(1_100);
    desk.answer(1_101);
    let why = "close restart#0: the policy is not what it was when this was taken up";
    assert_eq!(desk.told(), ["open restart#0", why, "open restart#1", "would restart (rolling) replica/api-1"]);
    let numbers: Vec<u64> = desk.decided.iter().map(|decision| decision.record.number).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn what_an_older_policy_was_told_is_not_decided_again_by_the_newer() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    desk.answer(1_011);
    // Without a saved memory all is heard again.
    let changed = RESTART.replace("cooldown: 2m", "cooldown: 3m");
    let mut again = Watcher::new(setup(&[&changed]));
    assert!(desk.observed.iter().all(|observed| again.take_in(observed).is_empty()));
}

#[test]
fn a_clock_that_is_set_takes_timers_along() {
    for (to, due) in [(900, 1_510), (5_000, 5_610)] {
        let mut desk = Desk::new(&[RESTART]);
        desk.up = Some(1.0);
        desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
        desk.answer(1_010);
        desk.pass(1_610 - 1);
        desk.take_in(to, Observation::ClockSet { expected: Time::from_seconds(1_000) });
        // Ten minutes after 1,010 somebody is called; 390 of these seconds were left, and of the retry some.
        let latest = desk.watcher.agenda.keys().map(|(at, _)| at.as_seconds() as u64).max();
        assert_eq!(latest, Some(due));
    }
}

#[test]
fn a_clock_that_was_set_back_while_nobody_watched_refuses_where_a_policy_asks_for_that() {
    let policy = RESTART.replace("  cooldown: 2m", "  detector_sanity: { clock: 30s }");
    let mut desk = Desk::new(&[&policy]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    desk.answer(1_011);
    assert_eq!(desk.told().len(), 2);
    desk.begin(600);
    desk.tell(610, &[alert("Down", "api-2", 600, None)]);
    desk.answer(611);
    desk.pass(660);
    let told = desk.told();
    assert!(told.iter().any(|told| told.contains("this clock was set back")), "{told:?}");
    assert_eq!(told.iter().filter(|told| told.starts_with("would")).count(), 1, "{told:?}");
}

#[test]
fn an_answer_that_comes_twice_changes_nothing() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    let input = Input::Evaluated { query: 0, verdict: Truth::True, figures: String::new() };
    let answer = Observation::Answered { policy: Name::new("restart"), input };
    desk.take_in(1_011, answer.clone());
    let decided = desk.decided.clone();
    desk.take_in(1_012, answer);
    assert_eq!(desk.decided, decided);
}

proptest::proptest! {
    /// Whatever comes, and however the clock is set: no panic, numbers without gaps, and a memory that reads back.
    #[test]
    fn no_clock_and_no_order_of_messages_breaks_a_promise(events in proptest::collection::vec((0_u8..7, 0_u8..3, 0_u64..900), 1..50)) {
        let mut desk = Desk::new(&[RESTART, TOGETHER]);
        let mut now = 1_000;
        for (kind, pod, gap) in events {
            let pod = format!("api-{pod}");
            match kind {
                0 | 1 => desk.tell(now, &[alert(if kind == 0 { "Down" } else { "Slow" }, &pod, now, None)]),
                2 => desk.tell(now, &[alert("Down", &pod, now.saturating_sub(gap), Some(now))]),
                3 => desk.answer(now),
                4 => {
                    let expected = Time::from_seconds(now);
                    now = now.saturating_sub(gap);
                    desk.take_in(now, Observation::ClockSet { expected });
                }
                5 => {
                    now = now.saturating_sub(gap / 2);
                    desk.begin(now);
                }
                _ => {
                    desk.pass(now + gap);
                    now += gap;
                }
            }
        }
        for policy in ["restart", "together"] {
            let numbers: Vec<u64> = desk.decided.iter().filter(|own| &*own.policy == policy).map(|own| own.record.number).collect();
            proptest::prop_assert_eq!(&numbers, &(0..numbers.len() as u64).collect::<Vec<_>>());
        }
        let text = serde_json::to_string(&desk.watcher.saved()).unwrap();
        proptest::prop_assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), desk.watcher.saved());
    }
}

#[test]
fn only_alerts_that_are_not_remembered_need_room_and_what_has_been_over_for_long_makes_it() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None), alert("Down", "api-2", 1_000, None)]);
    let (first, other) = (alert("Down", "api-1", 1_000, Some(1_019)), alert("Down", "api-3", 1_015, None));
    assert!(desk.watcher.has_room(std::slice::from_ref(&first), 2), "an end needs none");
    assert!(!desk.watcher.has_room(&[first.clone(), other.clone()], 2) && desk.watcher.has_room(&[first.clone(), other.clone()], 3));
    let unknown = alert("Down", "api-4", 1_000, Some(1_019));
    let ends = desk.watcher.ends(vec![first.clone(), other.clone(), unknown, alert("Down", "api-2", 1_018, None)]);
    assert_eq!(ends, std::slice::from_ref(&first), "an end of what nobody knows makes no room, and another episode is none");
    desk.tell(1_020, &ends);
    let forgotten = 1_020 + LATE.as_seconds() as u64;
    assert!(!desk.watcher.can_forget(Time::from_seconds(forgotten - 1)) && desk.watcher.can_forget(Time::from_seconds(forgotten)));
    assert!(!desk.watcher.has_room(std::slice::from_ref(&other), 2));
    desk.take_in(forgotten, Observation::Passed);
    assert!(desk.watcher.has_room(&[other], 2) && !desk.watcher.can_forget(Time::MAX), "what fires is never forgotten");
}

#[test]
fn what_an_incident_that_is_over_has_asked_is_asked_no_more() {
    let mut desk = Desk::new(&[RESTART]);
    desk.tell(1_010, &[alert("Down", "api-1", 1_000, None)]);
    assert_eq!(desk.watcher.load().1, 1);
    let query = desk.watcher.wants()[0].query;
    assert!(desk.watcher.is_asked(&Name::new("restart"), query));
    desk.tell(1_020, &[alert("Down", "api-1", 1_000, Some(1_019))]);
    assert!(desk.told().iter().any(|told| told.starts_with("close restart#0")), "{:?}", desk.told());
    assert_eq!((desk.watcher.load().1, desk.watcher.wants().len()), (0, 0));
    assert!(!desk.watcher.is_asked(&Name::new("restart"), query));
}
