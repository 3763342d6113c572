//! Runs made by hand, whose measures can be checked by hand. Only tests use them.
//!
//! The system: client `users` calls `web` (2 replicas), which calls `api` (2), which calls `db` (1); zones a and b.
//! Ten requests a second, all good unless said otherwise; policy `sample` is on duty.

use std::collections::BTreeMap;

use firedrill_core::action::{Action, ActionId, ActionOutcome, RestartMode, Target};
use firedrill_core::journal::{AlertStatus, Event, GuardVerdict, Header, Journal, LabelSet, Notification, SCHEMA, Verification};
use firedrill_core::ledger::{BIN, ClientLedger, FaultSpan, Ledger, RequestOutcome, ServiceBin, ServiceLedger, ServiceTotals};
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;

use crate::outcome::{Approach, Arms, Outcome, OutcomeSettings, measure};
use crate::scrutiny::{Fate, MutantResult, MutationScore, Survival};
use crate::verdict::{Case, IncidentResult, IncidentStatus, JudgeSettings, Threshold, Verdict};
use crate::worth::{DeedWorth, Figures, PartWorth, RunWorth, Worth};

const SERVICES: [(&str, u32, &[&str], &[&str]); 3] = [("api", 2, &["db"], &[]), ("db", 1, &[], &[]), ("web", 2, &["api"], &["users"])];

/// A run under construction. Times are seconds; stretches are cut to bins of 10 s.
pub struct Sample {
    seconds: u64,
    rate_per_bin: usize,
    users: Option<u64>,
    bad: Vec<(u64, u64, usize)>,
    states: Vec<(&'static str, u64, u64, Change)>,
    faults: Vec<FaultSpan>,
    events: Vec<(Time, Event)>,
    actions: u64,
}

enum Change {
    Queued(u64),
    Retrying(u64),
    Attempts(u64),
    Ready(u32),
    Wanted(u32),
}

impl Sample {
    pub fn new(seconds: u64) -> Self {
        Self {
            seconds,
            rate_per_bin: 100,
            users: None,
            bad: Vec::new(),
            states: Vec::new(),
            faults: Vec::new(),
            events: Vec::new(),
            actions: 0,
        }
    }

    pub fn rate_per_bin(mut self, requests: usize) -> Self {
        self.rate_per_bin = requests;
        self
    }

    pub fn users(mut self, users: u64) -> Self {
        self.users = Some(users);
        self
    }

    /// Of the requests in each bin, the first `percent` in a hundred fail.
    pub fn bad(mut self, from: u64, to: u64, percent: usize) -> Self {
        self.bad.push((from, to, percent));
        self
    }

    pub fn queued(self, service: &'static str, from: u64, to: u64, queued: u64) -> Self {
        self.state(service, from, to, Change::Queued(queued))
    }

    pub fn retrying(self, service: &'static str, from: u64, to: u64, retrying: u64) -> Self {
        self.state(service, from, to, Change::Retrying(retrying))
    }

    /// Attempts in each bin; 100 otherwise.
    pub fn attempts(self, service: &'static str, from: u64, to: u64, attempts: u64) -> Self {
        self.state(service, from, to, Change::Attempts(attempts))
    }

    pub fn ready(self, service: &'static str, from: u64, to: u64, ready: u32) -> Self {
        self.state(service, from, to, Change::Ready(ready))
    }

    pub fn wanted(self, service: &'static str, from: u64, to: u64, wanted: u32) -> Self {
        self.state(service, from, to, Change::Wanted(wanted))
    }

    fn state(mut self, service: &'static str, from: u64, to: u64, change: Change) -> Self {
        self.states.push((service, from, to, change));
        self
    }

    /// A crash of a service.
    pub fn fault(self, service: &str, from: u64, to: u64) -> Self {
        self.fault_on(Target::Service(Name::new(service)), from, to)
    }

    pub fn fault_on(mut self, target: Target, from: u64, to: u64) -> Self {
        let fault = Name::from(format!("fault-{}", self.faults.len()));
        let kind = Name::new("crash");
        let detail = "all replicas".to_owned();
        self.events.push((
            Time::from_seconds(from),
            Event::FaultStarted { fault: fault.clone(), kind: kind.clone(), target: target.clone(), detail },
        ));
        self.events.push((Time::from_seconds(to), Event::FaultEnded { fault: fault.clone(), reason: "its time was up".into() }));
        self.faults.push(FaultSpan { fault, kind, target, started: Time::from_seconds(from), ended: Some(Time::from_seconds(to)) });
        self
    }

    pub fn record(mut self, at: u64, event: Event) -> Self {
        self.events.push((Time::from_seconds(at), event));
        self
    }

    /// An action that is decided and begins at `at` and takes 5 s.
    pub fn act(self, at: u64, what: Action, target: &str) -> Self {
        self.act_until(at, what, target, ActionOutcome::Succeeded)
    }

    /// The same, which the platform turns away.
    pub fn act_in_vain(self, at: u64, what: Action, target: &str, why: &str) -> Self {
        self.act_until(at, what, target, ActionOutcome::Refused(why.to_owned()))
    }

    fn act_until(mut self, at: u64, what: Action, target: &str, outcome: ActionOutcome) -> Self {
        let action = ActionId { policy: Name::new("sample"), ordinal: self.actions };
        self.actions += 1;
        let target: Target = target.parse().unwrap();
        let decided = Event::Decided {
            policy: Name::new("sample"),
            incident: 0,
            step: 0,
            action: action.clone(),
            what: what.clone(),
            target: target.clone(),
            reason: "the alert fires".into(),
        };
        self.record(at, decided)
            .record(at, Event::ActionStarted { action: action.clone(), what, target })
            .record(at + 5, Event::ActionFinished { action, outcome })
    }

    pub fn would_act(self, at: u64) -> Self {
        let target = Target::Service(Name::new("api"));
        let policy = Name::new("sample");
        self.record(
            at,
            Event::WouldAct { policy, incident: 0, step: 0, what: Action::PurgeQueue, target, reason: "the alert fires".into() },
        )
    }

    pub fn refuse(self, at: u64) -> Self {
        let refused = Event::Refused {
            policy: Name::new("sample"),
            incident: 0,
            step: 0,
            what: Some(Action::PurgeQueue),
            target: Some(Target::Service(Name::new("api"))),
            guard: Name::new("cooldown"),
            figures: "1m left of 10m".into(),
            held_by: None,
        };
        self.record(at, refused)
    }

    pub fn page(self, at: u64) -> Self {
        let (policy, to) = (Name::new("sample"), Name::new("oncall"));
        self.record(
            at,
            Event::Paged {
                policy,
                incident: 0,
                to,
                reason: "not resolved in 5m".into(),
                with: vec![Name::new("metrics")],
                evidence: Vec::new(),
            },
        )
    }

    pub fn fire(self, at: u64, alert: &str) -> Self {
        self.record(at, Event::AlertFiring { alert: Name::new(alert), labels: LabelSet::default(), value: 1.0 })
    }

    /// A notification with one label.
    pub fn notify(self, at: u64, label: &str, value: &str) -> Self {
        let labels = LabelSet::from([(Name::new(label), Name::new(value))]);
        let starts_at = Time::from_seconds(at);
        let notification = Notification { alert: Name::new("Slow"), status: AlertStatus::Firing, labels, starts_at, receiver: None };
        self.record(at, Event::Notified { notification })
    }

    pub fn build(mut self) -> Transcript {
        let ended = Time::from_seconds(self.seconds);
        self.events.sort_by_key(|(at, _)| *at);
        let mut journal = Journal::new();
        for (at, event) in std::mem::take(&mut self.events) {
            journal.write(at, event);
        }
        let ledger = Ledger {
            ended,
            events: 0,
            clients: vec![self.client()],
            services: SERVICES.iter().map(|entry| self.service(entry)).collect(),
            topics: Vec::new(),
            faults: std::mem::take(&mut self.faults),
            faults_to_come: 0,
            nodes: BTreeMap::new(),
        };
        Transcript { header: header(), journal, ledger }
    }

    fn bins(&self) -> u64 {
        self.seconds.div_ceil(10)
    }

    fn client(&self) -> ClientLedger {
        let mut outcomes = Vec::new();
        let mut bin_starts = Vec::new();
        for bin in 0..self.bins() {
            bin_starts.push(outcomes.len() as u64);
            let percent = self.bad.iter().filter(|(from, to, _)| (*from..*to).contains(&(bin * 10))).map(|(.., percent)| *percent).max();
            let bad = self.rate_per_bin * percent.unwrap_or(0) / 100;
            outcomes.extend(std::iter::repeat_n(RequestOutcome::Failed as u8, bad));
            outcomes.extend(std::iter::repeat_n(RequestOutcome::Good as u8, self.rate_per_bin - bad));
        }
        ClientLedger { client: Name::new("users"), objective: Span::from_seconds(1), users: self.users, outcomes, bin_starts, came: None }
    }

    fn service(&self, (name, declared, calls, clients): &(&str, u32, &[&str], &[&str])) -> ServiceLedger {
        let names = |names: &[&str]| names.iter().map(|name| Name::new(name)).collect();
        let zones: &[&str] = if *declared > 1 { &["a", "b"] } else { &["a"] };
        let mut bins = Vec::new();
        for bin in 0..self.bins() {
            let mut state = ServiceBin {
                attempts: 100,
                wanted: *declared,
                replicas: *declared,
                ready: *declared,
                healthy_version: true,
                ..ServiceBin::default()
            };
            for (service, from, to, change) in &self.states {
                if service == name && (*from..*to).contains(&(bin * 10)) {
                    match change {
                        Change::Queued(value) => state.queued = *value,
                        Change::Retrying(value) => state.retrying = *value,
                        Change::Attempts(value) => state.attempts = *value,
                        Change::Ready(value) => state.ready = *value,
                        Change::Wanted(value) => state.wanted = *value,
                    }
                }
            }
            bins.push(state);
        }
        let (calls, clients, zones) = (names(calls), names(clients), names(zones));
        let totals = ServiceTotals::default();
        let (service, declared, autoscaled, caches, primary) = (Name::new(name), *declared, false, Vec::new(), None);
        ServiceLedger { service, calls, clients, zones, declared, autoscaled, caches, primary, bins, totals }
    }
}

/// A retry storm that the policy ends after two minutes and the oracle after 30 s.
pub fn storm_outcome() -> Outcome {
    let (nothing, policy, oracle) = storm();
    measure(&Arms { nothing: &nothing, policy: &policy, oracle: Some(&oracle), human: None }, &OutcomeSettings::default())
}

/// The arms of [`storm_outcome`].
pub fn storm() -> (Transcript, Transcript, Transcript) {
    let storm = |until| {
        let run = Sample::new(600).fault("api", 60, 80).bad(60, until, 90);
        run.queued("api", 60, until, 500).retrying("api", 60, until, 200)
    };
    let limit = Action::LimitRetries { retries: 0, lasting: Span::from_seconds(20) };
    let policy = storm(180).notify(95, "service", "api").act(150, limit, "client/users").act(151, Action::PurgeQueue, "service/api");
    (storm(600).build(), policy.build(), storm(90).build())
}

fn header() -> Header {
    assert_eq!(BIN, Span::from_seconds(10), "samples are made of bins of 10 s");
    Header {
        schema: SCHEMA.to_owned(),
        engine: "0.1.0".to_owned(),
        scenario: Name::new("sample-storm"),
        scenario_hash: "5ce0".to_owned(),
        rules_hash: "0011".to_owned(),
        policies: vec![Name::new("sample")],
        policies_hash: "2233".to_owned(),
        arm: Name::new("policy"),
        seed: 7,
        start: "2026-01-05T00:00:00Z".to_owned(),
    }
}

/// The whole story of a retry storm: fault, alert, a refusal, an action, its verification, a page, recovery.
pub fn story() -> Transcript {
    let labels = || {
        LabelSet::from([("alertname", "RetryStorm"), ("service", "api"), ("severity", "page")].map(|(n, v)| (Name::new(n), Name::new(v))))
    };
    let notification = |status, at| Notification {
        alert: Name::new("RetryStorm"),
        status,
        labels: labels(),
        starts_at: Time::from_seconds(at),
        receiver: None,
    };
    let (policy, incident, target) = (Name::new("sample"), 0, Target::Service(Name::new("api")));
    let guarded = |guard: &str, verdict| Event::Guarded {
        policy: policy.clone(),
        incident,
        guard: Name::new(guard),
        verdict,
        figures: "0 of 3 starts in 1h".into(),
    };
    let limit = Action::LimitRetries { retries: 0, lasting: Span::from_seconds(20) };
    let alert = || Name::new("RetryStorm");
    let run = Sample::new(600).fault("api", 60, 80).bad(60, 180, 90).queued("api", 60, 180, 500).retrying("api", 60, 180, 200);
    let run = run
        .record(75, Event::AlertPending { alert: alert(), labels: labels(), value: 0.8431 })
        .record(90, Event::AlertFiring { alert: alert(), labels: labels(), value: 0.9012 })
        .record(90, Event::Notified { notification: notification(AlertStatus::Firing, 90) })
        .record(90, Event::IncidentOpened { policy: policy.clone(), incident, alert: alert(), target: Some(target), labels: labels() })
        .record(90, guarded("stage", GuardVerdict::Passed))
        .record(90, guarded("cooldown", GuardVerdict::Refused))
        .refuse(90)
        .record(120, guarded("cooldown", GuardVerdict::Refused))
        .refuse(120);
    let run = ["stage", "dedup", "precheck", "rate_limit", "cooldown"]
        .iter()
        .fold(run, |run, guard| run.record(150, guarded(guard, GuardVerdict::Passed)));
    run.record(150, guarded("caps", GuardVerdict::NotConfigured))
        .act(150, limit, "client/users")
        .record(151, Event::RetriesLimited { caller: Name::new("users"), retries: Some(0) })
        .act(156, Action::PurgeQueue, "service/api")
        .record(157, Event::QueuePurged { service: Name::new("api"), dropped: 12_345 })
        .record(171, Event::RetriesLimited { caller: Name::new("users"), retries: None })
        .record(
            200,
            Event::Verified {
                policy: policy.clone(),
                incident,
                step: 1,
                verdict: Verification::Held,
                figures: "error_rate 0.002 < 0.01".into(),
                took: Span::from_seconds(39),
            },
        )
        .page(205)
        .record(210, Event::AlertResolved { alert: alert(), labels: labels() })
        .record(210, Event::Notified { notification: notification(AlertStatus::Resolved, 90) })
        .record(210, Event::IncidentClosed { policy, incident, reason: "step 2 is verified".into() })
        .record(600, Event::RunEnded { reason: "the horizon".into() })
        .build()
}

/// Two seeds of a retry storm, a crash loop where no alert fires, a calm day, and a second storm that goes wrong.
pub fn cases() -> Vec<Case> {
    let case = |class: &str, scenario: &str, seed: u64, outcome: Outcome| {
        let outcome = Outcome { scenario: Name::new(scenario), seed, ..outcome };
        Case { class: Name::new(class), outcome }
    };
    let alone = |nothing: &Transcript, policy: &Transcript| {
        measure(&Arms { nothing, policy, oracle: None, human: None }, &OutcomeSettings::default())
    };
    let (stuck, cured, _) = storm();
    let restarted = Sample::new(600).fault("api", 60, 80).bad(60, 600, 100).queued("api", 60, 600, 500);
    let restart = Action::Restart { mode: RestartMode::AtOnce };
    let restarted = restarted.act(100, restart.clone(), "service/db").act(160, restart, "service/api").build();
    let crash = Sample::new(600).fault("db", 60, 300).bad(60, 300, 40).build();
    let calm = Sample::new(600).build();
    vec![
        case("calm", "busy-hour", 1, alone(&calm, &calm)),
        case("crash-loop", "crash-loop", 1, alone(&crash, &crash)),
        case("retry-storm", "retry-storm", 1, storm_outcome()),
        case("retry-storm", "retry-storm", 2, alone(&stuck, &cured)),
        case("retry-storm-at-night", "retry-storm-at-night", 3, alone(&stuck, &restarted)),
    ]
}

/// Thresholds as a project would set them.
pub fn judge_settings() -> JudgeSettings {
    let thresholds = [("time_to_recover", "p90 < 5m"), ("false_positive_rate", "< 2 %"), ("harm", "max < 1 user-minute")];
    let thresholds = thresholds.map(|(measure, text)| Threshold::parse(measure, text).unwrap()).to_vec();
    JudgeSettings { thresholds, command: "firedrill run {scenario} --policy sample --seed {seed}".into(), ..JudgeSettings::default() }
}

/// One incident that passes and one that does not.
pub fn incident_results() -> Vec<IncidentResult> {
    let result = |incident: &str, status, finding: &str| IncidentResult {
        incident: Name::new(incident),
        status,
        findings: vec![finding.into()],
        command: format!("firedrill replay {incident}"),
        decisions: vec!["purge_queue on service/api at 1m12s".to_owned()],
        before: None,
        reached: BTreeMap::new(),
    };
    vec![
        result("black-friday", IncidentStatus::Passed, "purge_queue on service/api proposed after 1m12s"),
        result("cache|flush", IncidentStatus::Failed, "restart on service/db proposed at 3m20s, which must not be"),
    ]
}

/// An approach to a limit of three starts.
pub fn approach(used: f64) -> Approach {
    Approach {
        policy: Name::new("sample"),
        guard: Name::new("rate_limit"),
        limit: "4 starts within 1h".to_owned(),
        used,
        figures: format!("{} of 4 starts within 1h on service/api", 4.0 * used),
    }
}

/// A guard that refused in two runs, one of which was played without it; and a step that changes nothing.
pub fn part_worths() -> Vec<PartWorth> {
    let figures = |lost, actions, false_positives| Figures {
        user_minutes_lost: lost,
        data_lost: 0,
        time_to_recover: None,
        actions,
        false_positives,
        pages: 0,
    };
    let run = |with, without| vec![RunWorth { scenario: Name::new("busy-hour"), seed: 2, worth: Worth { with, without } }];
    let part = |part: Part, words: &str, runs| PartWorth { policy: Name::new("sample"), part, words: words.to_owned(), met: 2, runs };
    vec![
        part(Part::Step(1), "step 2, scale by 1", run(figures(3.5, 2, 0), figures(3.5, 1, 0))),
        part(Part::Guard(Name::new("cooldown")), "guard cooldown", run(figures(3.5, 1, 0), figures(15.5, 3, 1))),
    ]
}

/// An action that harmed users.
pub fn deed_worth() -> DeedWorth {
    let figures =
        |lost, actions| Figures { user_minutes_lost: lost, data_lost: 0, time_to_recover: None, actions, false_positives: 0, pages: 0 };
    DeedWorth {
        scenario: Name::new("busy-hour"),
        seed: 3,
        action: ActionId { policy: Name::new("sample"), ordinal: 0 },
        what: "restart at once".to_owned(),
        target: "service/api".parse().unwrap(),
        started_seconds: 125.0,
        worth: Worth { with: figures(90.0, 1), without: figures(12.0, 0) },
    }
}

/// Two mutants that are killed, and two that survive.
pub fn mutation_score() -> MutationScore {
    let mutant = |what: &str, line: u64, fate: Fate| MutantResult {
        policy: Name::new("sample"),
        what: what.to_owned(),
        file: "sample.yaml".to_owned(),
        line,
        fate,
    };
    let killed = |reason: &str| Fate::Killed { verdict: Verdict::Broken, reason: reason.to_owned() };
    let never = Survival::NeverReached { part: "guard cooldown refused".to_owned() };
    let soon = "the alert again soon after an action on the same target".to_owned();
    let within = Survival::WithinWhatMustHold { runs: 1 };
    let look = "something that looks cured for less than 15s after step 1".to_owned();
    let mutants = vec![
        mutant("precheck 1 is not asked", 8, killed("retry-storm: harm max < 1 user-minute: found 12 user-min (n = 2)")),
        mutant("step 1 is not verified", 12, killed("retry-storm: missed max == 0: found 1 (n = 2)")),
        mutant("the guard cooldown is left out", 19, Fate::Survived { why: never, wanted: soon }),
        mutant("the verification of step 1 need not hold for any time", 12, Fate::Survived { why: within, wanted: look }),
    ];
    MutationScore { mutants, runs: 9 }
}
