//! Every guard in the middle of what it waits for and at its very end, through the engine, and again with an engine that is stopped and started anew
//! at every moment; every guard without its input, and every guard that nobody asks for. A guard that is new has no row here until it has one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::action::{ActionId, ActionOutcome, ActionResult, Actuator, Target};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::{AlertStatus, CountedPart, Event, GuardVerdict, Input, LabelSet, Notification, Truth};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_policies::controller::{Controller, Effect, State};
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::guard::{Fact, Guard, Guards, Scope};
use firedrill_policies::policy::{ConditionAt, Policy};
use firedrill_policies::shared::Shared;

/// Something that happens to one of two policies.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// An alert for a replica begins.
    Fires(usize, &'static str),
    /// An alert for a replica that began so many seconds from now, by the clock of whoever tells it.
    FiresAhead(usize, &'static str, u64),
    /// The alert is over.
    Resolves(usize, &'static str),
    /// The action that has been running for longest has succeeded.
    Ends,
    /// Somebody on call says yes.
    Yes(usize),
}
use Happening::{Ends, Fires, FiresAhead, Resolves, Yes};

/// A guard with a story in which it refuses, and then does not any more.
struct Row {
    /// What a policy says besides its guards.
    top: &'static str,
    /// What it says under `guard`.
    guard: &'static str,
    /// Until this second telemetry says what forbids, and from then on what does not.
    bad_until: u64,
    /// Whether what is verified holds.
    helps: bool,
    story: &'static [(u64, Happening)],
    /// Refusals of this guard, and starts.
    told: &'static [&'static str],
}

/// One incident that telemetry keeps back until the second 100: it is proposed again every minute.
const KEPT_BACK: Row = Row {
    top: "",
    guard: "",
    bad_until: 100,
    helps: true,
    story: &[(0, Fires(0, "api-1"))],
    told: &["0 refused", "60 refused", "120 start api-1"],
};

/// An incident of another service that waits for the first one to end.
const IN_FLIGHT: Row = Row {
    top: "",
    guard: "",
    bad_until: 0,
    helps: true,
    story: &[(0, Fires(0, "api-1")), (1, Fires(0, "cart-1")), (10, Ends)],
    // Whoever waits for others is proposed again after a minute.
    told: &["0 start api-1", "1 refused", "61 start cart-1"],
};

/// A target that is acted on, is well, and alerts again.
const AGAIN: Row = Row {
    top: "",
    guard: "",
    bad_until: 0,
    helps: true,
    story: &[(0, Fires(0, "api-1")), (10, Ends), (20, Resolves(0, "api-1")), (30, Fires(0, "api-1"))],
    told: &["0 start api-1", "30 refused", "50 start api-1"],
};

/// What was left to people, and alerts again just before the end of a window and at it.
const LEFT: Row = Row {
    story: &[
        (0, Fires(0, "api-1")),
        (10, Ends),
        (31, Resolves(0, "api-1")),
        (40, Fires(0, "api-1")),
        (41, Resolves(0, "api-1")),
        (89, Fires(0, "api-1")),
        (89, Resolves(0, "api-1")),
        (90, Fires(0, "api-1")),
    ],
    told: &["0 start api-1", "40 refused", "89 refused", "90 start api-1"],
    ..AGAIN
};

/// Whoever is not sure leaves the alert to people, until it comes again.
const UNSURE: Row = Row {
    guard: "confidence: { expr: sure }",
    story: &[
        (0, Fires(0, "api-1")),
        (50, Resolves(0, "api-1")),
        (99, Fires(0, "api-1")),
        (99, Resolves(0, "api-1")),
        (100, Fires(0, "api-1")),
    ],
    told: &["0 refused", "99 refused", "100 start api-1"],
    ..KEPT_BACK
};

fn row(guard: Guard) -> Row {
    match guard {
        Guard::Stage => Row { top: "stage: limited\n", ..IN_FLIGHT },
        Guard::KillSwitch => Row { guard: "kill_switch: { expr: off == 1 }", ..KEPT_BACK },
        Guard::Freeze => Row {
            guard: "freeze: [{ from: 2026-01-05T00:00, zone: UTC, lasting: 100s }]",
            told: &["0 refused", "100 start api-1"],
            ..KEPT_BACK
        },
        Guard::Change => Row { guard: "change_in_progress: { expr: rollout == 1 }", ..KEPT_BACK },
        Guard::Dedup => Row {
            story: &[(0, Fires(0, "api-1")), (1, Fires(0, "api-2")), (10, Ends)],
            told: &["0 start api-1", "1 refused", "10 start api-2"],
            ..IN_FLIGHT
        },
        Guard::DetectorSanity => Row {
            guard: "detector_sanity: { clock: 30s }",
            story: &[(0, FiresAhead(0, "api-1", 130))],
            told: &["0 refused", "100 start api-1"],
            ..KEPT_BACK
        },
        Guard::CorrelatedFailure => Row {
            guard: "correlated_failure: { services: 2, within: 60s }",
            // What is still on would go on counting.
            story: &[(0, Fires(0, "api-1")), (0, Fires(0, "cart-1")), (10, Ends), (30, Resolves(0, "api-1"))],
            told: &["0 start api-1", "0 refused", "60 start cart-1"],
            ..IN_FLIGHT
        },
        Guard::Confidence => UNSURE,
        Guard::Precheck => Row { top: "precheck: [{ expr: down == 1, because: it is down }]\n", ..KEPT_BACK },
        Guard::MaxUnhealthy => Row { guard: "max_unhealthy: { healthy: up == 1, scope: service, max: 1 }", ..KEPT_BACK },
        Guard::DisruptionBudget => Row { guard: "disruption_budget: { healthy: up == 1, scope: all, desired: 8 }", ..IN_FLIGHT },
        Guard::Caps => Row { guard: "caps: [{ scope: all, of: targets, max: 1 }]", ..IN_FLIGHT },
        Guard::RateLimit => Row {
            guard: "rate_limit: [{ max: 1, window: 60s, scope: all }]",
            story: &[(0, Fires(0, "api-1")), (10, Ends), (30, Fires(0, "cart-1"))],
            told: &["0 start api-1", "30 refused", "60 start cart-1"],
            ..IN_FLIGHT
        },
        Guard::Cooldown => Row { guard: "cooldown: 40s", ..AGAIN },
        Guard::Backoff => Row { guard: "backoff: { base: 40s, factor: x2, cap: 5m, reset_after: 10m }", ..AGAIN },
        // What did not help is known at the second 30, when its time to be verified is over.
        Guard::IneffectiveChain => Row { guard: "ineffective_chain: { actions: 1, within: 60s }", helps: false, ..LEFT },
        Guard::MutualExclusion => Row {
            guard: "mutual_exclusion: { lease: 60s }",
            story: &[(0, Fires(0, "api-1")), (1, Fires(1, "api-2"))],
            told: &["0 start api-1", "1 refused", "60 start api-2"],
            ..IN_FLIGHT
        },
        Guard::Breaker => Row { guard: "breaker: { actions: 1, within: 10m, try_again_after: 90s }", ..LEFT },
        Guard::Code => KEPT_BACK,
        Guard::Approval => Row {
            guard: "approval: { from: oncall, expires: 100s }",
            story: &[(0, Fires(0, "api-1")), (50, Yes(0))],
            told: &["0 refused", "50 start api-1"],
            ..KEPT_BACK
        },
        Guard::Canary => Row {
            guard: "canary: { trust: 60s }",
            helps: false,
            story: &[(0, Fires(0, "api-1")), (10, Ends), (31, Resolves(0, "api-1")), (40, Fires(0, "cart-1"))],
            told: &["0 start api-1", "40 refused", "90 start cart-1"],
            ..AGAIN
        },
    }
}

/// Without the feature there are no rules of a project to ask.
fn can_be_asked(guard: Guard) -> bool {
    guard != Guard::Code || firedrill_policies::code::is_there()
}

/// api: 4 replicas, cart: 3, shop: 2, which alone are not critical; bare: 2, of which nobody says where they stand.
fn inventory() -> Arc<Inventory> {
    let entry = |replicas, zones: &[&str]| {
        let zones = zones.iter().map(|zone| Name::new(zone)).collect();
        ServiceEntry { replicas, zones, critical: false, calls: Vec::new() }
    };
    let services = [("api", entry(4, &["a", "b"])), ("cart", entry(3, &["a", "b"])), ("shop", entry(2, &["a"])), ("bare", entry(2, &[]))];
    let services = services.map(|(name, entry)| (Name::new(name), entry)).into();
    Arc::new(Inventory { services, clients: vec![Name::new("users")], ..Inventory::default() })
}

/// What telemetry says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Telemetry {
    /// What forbids until a second, then what does not; and whether what is verified holds.
    Clear(u64, bool),
    /// Nothing.
    Silent,
}

/// Two policies of one text, what they share, and what they wait for.
struct Engine {
    policies: Vec<Arc<Policy>>,
    controllers: Vec<Controller>,
    guards: Guards,
    agenda: BTreeMap<(u64, u64), (usize, Due)>,
    next: u64,
    running: VecDeque<(usize, ActionId)>,
    telemetry: Telemetry,
    events: Vec<(u64, Event)>,
    /// The engine is started anew before every input from this one on.
    restarts_from: usize,
    inputs: usize,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Timer(u64),
    Answer(u64, ConditionAt),
}

impl Engine {
    fn new((top, guard): (&str, &str), telemetry: Telemetry, restarts_from: usize) -> Self {
        // What may be done at the stage `limited` is what can be undone.
        let (deed, target) = if top.contains("limited") {
            ("scale: { by: 1 }", "service: $service")
        } else {
            ("restart: { mode: rolling }", "replica: $pod")
        };
        let policy = |name: &str| {
            let guard = if guard.is_empty() { String::new() } else { format!("guard:\n  {guard}\n") };
            let text = format!(
                "schema: policy/1\npolicy: {name}\nowner: team\n{top}on: {{ alert: Down }}\ntarget: {{ {target} }}\nsteps:\n  - {deed}\n    \
                 verify: {{ expr: up == 1, within: 20s }}\n  - escalate: {{ to: oncall }}\n{guard}"
            );
            read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
        };
        let policies = ["first", "second"].map(policy).to_vec();
        let controllers = Self::controllers(&policies);
        let (agenda, running, events) = Default::default();
        Self { policies, controllers, guards: Guards::new(), agenda, next: 0, running, telemetry, events, restarts_from, inputs: 0 }
    }

    fn under(mut self, shared: &Shared) -> Self {
        self.policies = self.policies.iter().map(|policy| shared.around(Arc::clone(policy))).collect();
        self.controllers = Self::controllers(&self.policies);
        self
    }

    fn controllers(policies: &[Arc<Policy>]) -> Vec<Controller> {
        policies.iter().map(|policy| Controller::new(Arc::clone(policy), inventory(), Stage::Full, Some(Actuator::simulated()))).collect()
    }

    /// Everything is written down, and another engine goes on with it.
    fn restart(&mut self) {
        let states: Vec<String> = self.controllers.iter().map(|own| serde_json::to_string(own.state()).unwrap()).collect();
        let guards = serde_json::to_string(&self.guards).unwrap();
        self.controllers = Self::controllers(&self.policies);
        for (controller, state) in self.controllers.iter_mut().zip(states) {
            controller.restore(serde_json::from_str::<State>(&state).unwrap()).unwrap();
        }
        self.guards = serde_json::from_str(&guards).unwrap();
    }

    fn play(mut self, story: &[(u64, Happening)]) -> Self {
        for (second, happening) in story {
            self.pass(*second);
            let (index, input) = match happening {
                Fires(index, pod) => (*index, notification(AlertStatus::Firing, pod, *second)),
                FiresAhead(index, pod, ahead) => (*index, notification(AlertStatus::Firing, pod, second + ahead)),
                Resolves(index, pod) => (*index, notification(AlertStatus::Resolved, pod, *second)),
                Yes(index) => (*index, Input::Answered { proposal: 0, who: Name::new("ada"), role: Name::new("oncall"), yes: true }),
                Ends => {
                    let (index, action) = self.running.pop_front().expect("something runs");
                    (index, Input::Finished(ActionResult { action, at: Time::from_seconds(*second), outcome: ActionOutcome::Succeeded }))
                }
            };
            self.feed(*second, index, input);
            self.pass(*second);
        }
        self.pass(200);
        self
    }

    fn pass(&mut self, until: u64) {
        while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            let ((at, _), (index, due)) = self.agenda.pop_first().unwrap();
            let input = match due {
                Due::Timer(timer) => Input::Timer { timer },
                Due::Answer(query, condition) => self.answer((at, index), query, condition),
            };
            self.feed(at, index, input);
        }
    }

    fn feed(&mut self, second: u64, index: usize, input: Input) {
        if self.inputs >= self.restarts_from {
            self.restart();
        }
        self.inputs += 1;
        for effect in self.controllers[index].step(Time::from_seconds(second), input, &mut self.guards) {
            match effect {
                Effect::Evaluate { query, question, at } => self.plan(at, index, Due::Answer(query, question.condition)),
                Effect::SetTimer { timer, at } => self.plan(at, index, Due::Timer(timer)),
                Effect::CancelTimer { timer } => {
                    self.agenda.retain(|_, (own, due)| *own != index || !matches!(due, Due::Timer(other) if *other == timer));
                }
                Effect::Record(event) => self.events.push((second, event)),
                Effect::Start(command) => self.running.push_back((index, command.id().clone())),
                Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } | Effect::Gather { .. } => {}
            }
        }
    }

    fn plan(&mut self, at: Time, index: usize, due: Due) {
        self.agenda.insert((at.as_nanos() / 1_000_000_000, self.next), (index, due));
        self.next += 1;
    }

    fn answer(&self, (second, index): (u64, usize), query: u64, condition: ConditionAt) -> Input {
        let figures = String::new();
        let scope = match condition {
            ConditionAt::Guard(fact) => self.policies[index].guards.watch(fact).map(|watch| watch.scope),
            _ => None,
        };
        let is_apart = scope == Some(Scope::Service);
        let (is_bad, helps) = match self.telemetry {
            Telemetry::Clear(until, helps) => (second < until, helps),
            Telemetry::Silent => return silence(query, condition, is_apart),
        };
        let judged =
            |holds: bool| Input::Evaluated { query, verdict: if holds { Truth::True } else { Truth::False }, figures: String::new() };
        match condition {
            ConditionAt::Guard(Fact::Off | Fact::Changing | Fact::Halted(_)) => judged(is_bad),
            ConditionAt::Guard(fact) if fact.is_count() => {
                // Of nine replicas that are counted together; of one service that is more than are declared. Another is well at all times.
                let holding = if is_bad { 2 } else { 9 };
                let part = |service: &str, holding| CountedPart { part: Target::Service(Name::new(service)), holding, elements: 9 };
                if is_apart {
                    let parts = Some(vec![part("api", holding), part("cart", 9)]);
                    return Input::Counted { query, holding: holding + 9, elements: 18, error: figures, parts };
                }
                Input::Counted { query, holding, elements: 9, error: figures, parts: None }
            }
            ConditionAt::Confidence => Input::Measured { query, value: Some(if is_bad { 0.69 } else { 0.9 }), figures },
            ConditionAt::Guard(_) if condition.is_formula() => Input::Measured { query, value: Some(0.0), figures },
            ConditionAt::Verify(_) => judged(helps),
            _ => judged(!is_bad),
        }
    }

    /// Refusals of a guard, and starts.
    fn told(&self, guard: Guard) -> Vec<String> {
        let told = |(second, event): &(u64, Event)| match event {
            Event::Refused { guard: own, .. } if own.as_str() == guard.word() => Some(format!("{second} refused")),
            Event::Decided { target, .. } => {
                // Where services are acted on the alerts were for their replicas of this number.
                let name = if target.kind() == "service" { format!("{}-1", target.name()) } else { target.name().to_string() };
                Some(format!("{second} start {name}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }
}

/// Nothing; where each service is counted by itself, nothing of any of them, and others that stand nowhere are well.
fn silence(query: u64, condition: ConditionAt, is_apart: bool) -> Input {
    let figures = "no element".to_owned();
    match condition {
        ConditionAt::Guard(fact) if fact.is_count() => {
            let all = if is_apart { 9 } else { 0 };
            Input::Counted { query, holding: all, elements: all, error: String::new(), parts: is_apart.then(Vec::new) }
        }
        condition if condition.is_formula() => Input::Measured { query, value: None, figures },
        _ => Input::Evaluated { query, verdict: Truth::Unknown, figures },
    }
}

fn notification(status: AlertStatus, pod: &str, starts_at: u64) -> Input {
    let service = pod.split('-').next().unwrap();
    let labels: LabelSet =
        [("alertname", "Down"), ("service", service), ("pod", pod)].map(|(name, value)| (Name::new(name), Name::new(value))).into();
    Input::Notified(Notification { alert: Name::new("Down"), status, labels, starts_at: Time::from_seconds(starts_at), receiver: None })
}

/// What a project says for a guard that no policy asks for by itself.
fn shared(guard: Guard, rule: &str) -> Shared {
    if guard == Guard::Code { Shared { code: Some(bundle(rule)), ..Shared::default() } } else { Shared::default() }
}

fn bundle(rule: &str) -> Arc<firedrill_policies::code::Bundle> {
    use firedrill_core::problem::{Place, SourceFile};
    let file = Arc::new(SourceFile { path: "firedrill.yaml".to_owned(), text: "rego".to_owned() });
    let text = firedrill_policies::code::Text { path: "a.rego".to_owned(), text: format!("package firedrill\n{rule}\n") };
    let read = firedrill_policies::code::read(&Place::new(&file, 0, 4), &[text], "hash".to_owned());
    read.unwrap_or_else(|problems| panic!("{problems:?}")).bundle
}

const EARLY: &str = "deny contains \"early\" if input.time.elapsed < 100";

#[test]
fn every_guard_refuses_until_the_end_of_its_window_and_not_at_it_whether_the_engine_is_restarted_meanwhile_or_not() {
    let mut wrong = Vec::new();
    for guard in Guard::ALL.into_iter().filter(|guard| can_be_asked(*guard)) {
        let Row { top, guard: line, bad_until, helps, story, told } = row(guard);
        let play = |restarts_from| {
            let engine = Engine::new((top, line), Telemetry::Clear(bad_until, helps), restarts_from).under(&shared(guard, EARLY));
            engine.play(story)
        };
        let whole = play(usize::MAX);
        if whole.told(guard) != told {
            wrong.push(format!("{}: {:?}, and not {told:?}", guard.word(), whole.told(guard)));
        }
        for restarts_from in 0..whole.inputs {
            let restarted = play(restarts_from);
            assert_eq!(restarted.events, whole.events, "{}: the engine is started anew from input {restarts_from} on", guard.word());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How a guard is left without what it asks for, and whom the story is about; `None`: all that it needs it has itself.
fn without_input(guard: Guard) -> Option<(&'static str, &'static str, &'static str)> {
    let line = row(guard).guard;
    match guard {
        // Its windows stand in the policy, and what these remember the engine has written down itself.
        Guard::Freeze | Guard::Dedup | Guard::Cooldown | Guard::Backoff | Guard::IneffectiveChain | Guard::Canary => None,
        // What is not declared is critical.
        Guard::Stage => Some(("stage: limited\n", "", "ghost-1")),
        Guard::Precheck => Some((row(guard).top, "", "api-1")),
        Guard::DetectorSanity => Some(("", "detector_sanity: { fresh: 'time() - timestamp(up) < 60' }", "api-1")),
        Guard::CorrelatedFailure => Some(("", "correlated_failure: { share: 50%, of: zone, within: 60s }", "bare-1")),
        Guard::Caps => Some(("", "caps: [{ scope: region, of: targets, max: 1 }]", "api-1")),
        Guard::RateLimit => Some(("", "rate_limit: [{ max: 1, window: 60s, scope: zone }]", "bare-1")),
        Guard::Breaker => Some(("", "breaker: { within: 10m, harm: { expr: sum(errors), by: 0 } }", "api-1")),
        // Whose locks these would be nobody knows; what is not declared is refused before.
        Guard::MutualExclusion => Some(("", line, "ghost-1")),
        Guard::KillSwitch
        | Guard::Change
        | Guard::Confidence
        | Guard::MaxUnhealthy
        | Guard::DisruptionBudget
        | Guard::Code
        | Guard::Approval => Some(("", line, "api-1")),
    }
}

#[test]
fn a_guard_that_is_asked_for_and_has_not_what_it_needs_refuses_for_as_long_as_that_is_so() {
    for guard in Guard::ALL.into_iter().filter(|guard| can_be_asked(*guard)) {
        let Some((top, line, pod)) = without_input(guard) else { continue };
        let cannot_tell = "deny contains \"x\" if 1 / (input.action.replicas - 1) > 0";
        let story = [(0, Fires(0, pod))];
        let engine = Engine::new((top, line), Telemetry::Silent, usize::MAX).under(&shared(guard, cannot_tell)).play(&story);
        let by = if guard == Guard::MutualExclusion { Guard::Precheck } else { guard };
        let told = engine.told(by);
        assert!(!told.is_empty() && told.iter().all(|line| line.ends_with("refused")), "{}: {told:?}", guard.word());
    }
}

#[test]
fn a_guard_that_nobody_asks_for_passes_and_that_is_journaled() {
    let engine = Engine::new(("", ""), Telemetry::Silent, usize::MAX).play(&[(0, Fires(0, "api-1"))]);
    assert_eq!(engine.told(Guard::Stage), ["0 start api-1"]);
    let once =
        engine.events.iter().find_map(|(_, event)| if let Event::Unguarded { guards, .. } = event { Some(guards.clone()) } else { None });
    let once: BTreeSet<Name> = once.unwrap().into_iter().collect();
    let verdict = |guard: Guard| {
        let of = |(_, event): &(u64, Event)| match event {
            Event::Guarded { guard: own, verdict, .. } if own.as_str() == guard.word() => Some(*verdict),
            _ => None,
        };
        engine.events.iter().find_map(of)
    };
    for guard in Guard::ALL {
        let expected = match guard {
            // These two are there for all.
            Guard::Stage | Guard::Dedup => (Some(GuardVerdict::Passed), false),
            Guard::Precheck | Guard::Caps | Guard::RateLimit | Guard::Cooldown => (Some(GuardVerdict::NotConfigured), false),
            // The project's, of which a policy is told nothing.
            Guard::Code => (None, false),
            _ => (None, true),
        };
        assert_eq!((verdict(guard), once.contains(guard.word())), expected, "{}", guard.word());
    }
}

/// The boundary cases that are each guard's own, with the test in its module that has them.
const CASES: [(&str, &[(Guard, &str)]); 6] = [
    (
        "exactly at t - W",
        &[
            (Guard::Freeze, "one_window_holds_from_its_first_instant_to_its_last"),
            (Guard::DetectorSanity, "an_alert_from_the_future_refuses_from_more_than_the_allowed_on"),
            (Guard::CorrelatedFailure, "so_many_services_within_the_window_are_one_incident_and_the_window_is_open_on_its_left"),
            (Guard::RateLimit, "the_third_start_within_the_window_is_refused_and_the_window_is_open_on_its_left"),
            (Guard::Cooldown, "the_rest_counts_from_the_end_and_its_last_instant_is_free"),
            (Guard::Backoff, "only_a_stable_period_makes_the_next_one_the_first_again"),
            (Guard::IneffectiveChain, "the_kth_in_vain_within_the_window_stops_and_the_window_is_open_on_its_left"),
            (Guard::MutualExclusion, "a_lock_keeps_others_out_until_it_is_given_back_or_its_lease_is_over"),
            (Guard::Breaker, "it_opens_at_its_number_of_starts"),
            (Guard::Canary, "one_that_did_not_help_keeps_the_others_back_for_the_time_of_trust"),
        ],
    ),
    (
        "the N+1st",
        &[
            (Guard::Stage, "limited_means_not_critical_and_reversible_and_one_at_a_time"),
            (Guard::Dedup, "two_replicas_of_one_service_are_one_owner"),
            (Guard::MaxUnhealthy, "a_number_is_the_number"),
            (Guard::DisruptionBudget, "healthy_less_desired_may_be_taken"),
            (Guard::Caps, "everything_counts_together_under_all"),
            (Guard::RateLimit, "the_third_start_within_the_window_is_refused_and_the_window_is_open_on_its_left"),
            (Guard::IneffectiveChain, "the_kth_in_vain_within_the_window_stops_and_the_window_is_open_on_its_left"),
            (Guard::Breaker, "it_opens_at_its_number_of_starts"),
            (Guard::Confidence, "a_bound_belongs_to_the_band_above_it"),
        ],
    ),
    (
        "40 % of 6, floor and ceil",
        &[
            (Guard::DetectorSanity, "from_its_share_on_the_detector_is_suspected"),
            (Guard::CorrelatedFailure, "such_a_share_of_a_zone_is_one_incident"),
            (Guard::MaxUnhealthy, "forty_percent_of_six_is_two_or_three_as_its_rounding_says"),
            (Guard::DisruptionBudget, "a_share_is_of_what_is_declared_and_rounds_as_it_says"),
            (Guard::Caps, "a_share_of_six_replicas_allows_what_its_rounding_says"),
            (Guard::Breaker, "it_opens_at_its_share_of_enough_actions"),
        ],
    ),
    ("at_least on a service of 3", &[(Guard::Caps, "at_least_keeps_small_services_actionable")]),
    (
        "overlapping scopes",
        &[
            (Guard::KillSwitch, "the_projects_switch_stops_the_services_that_it_names_and_what_may_touch_any"),
            (Guard::Dedup, "two_replicas_of_one_service_are_one_owner"),
            (Guard::CorrelatedFailure, "one_replica_is_no_correlation_and_a_whole_zone_is_not_one_of_many"),
            (Guard::Caps, "a_region_a_cluster_and_an_owner_are_counted_over_all_that_lies_there"),
            (Guard::RateLimit, "scopes_count_apart_and_all_counts_together"),
            (Guard::MutualExclusion, "overlapping_targets_exclude_each_other_and_others_do_not"),
        ],
    ),
    (
        "the clocks change in a freeze",
        &[
            (Guard::Freeze, "a_window_of_days_ends_at_its_time_of_day_across_a_change_of_clocks_and_one_of_hours_does_not"),
            (Guard::Freeze, "a_time_that_is_skipped_comes_later_and_one_that_comes_twice_counts_the_first_time"),
        ],
    ),
];

/// The module of a guard, where it is not called as the guard is.
fn module(guard: Guard) -> &'static str {
    match guard {
        Guard::KillSwitch | Guard::Change => "switch",
        Guard::Code => "code",
        other => other.word(),
    }
}

#[test]
fn each_boundary_case_has_a_test_in_the_module_of_its_guard() {
    for (case, tests) in CASES {
        for (guard, test) in tests {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guard").join(format!("{}.rs", module(*guard)));
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(&format!("#[test]\n    fn {test}()")), "{case}: {} has no test {test}", path.display());
        }
    }
}
