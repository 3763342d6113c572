//! What deciding costs: a notification in, the guards asked, an action out. 50 services alert in turn, and what telemetry would answer is there at
//! once, so that PromQL is not measured. Once for each policy of the library, and once for a policy that asks for every guard there is.
//!
//! With the feature `rego` the same is done again with the three example bundles of policy as code.

#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]

mod measure;

use std::sync::Arc;

use firedrill_core::action::{ActionOutcome, ActionResult, Actuator, Command};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::{AlertStatus, Event, Input, LabelSet, Notification, Truth};
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, SourceFile};
use firedrill_core::time::{Span, Time};
use firedrill_policies::code;
use firedrill_policies::controller::{Controller, Effect};
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::guard::{Fact, Guards};
use firedrill_policies::library;
use firedrill_policies::policy::{ConditionAt, Policy};
use firedrill_policies::shared::Shared;

const SERVICES: u64 = 50;

const REPLICAS: u64 = 6;

/// Seconds from one alert to the next; each service alerts again after 50 times as long.
const GAP: u64 = 30;

const POLICY: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $service }
precheck: [{ expr: 'up{service=$service} == 0', because: it is down }]
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{service=$service} == 1', within: 1m }
guard:
  kill_switch: { expr: 'automation_off == 1' }
  freeze: [{ from: 2026-12-18T00:00, zone: Europe/Berlin, lasting: 16d, repeats: FREQ=YEARLY }]
  change_in_progress: { expr: 'rollout{service=$service} > 0' }
  detector_sanity: { fresh: 'time() - timestamp(up{service=$service}) < 60', clock: 30s, healthy: 'up == 1', scope: all }
  correlated_failure: { services: 10, share: 90%, of: zone, within: 2m }
  max_unhealthy: { healthy: 'up{service=$service} == 1', scope: service, max: 40%, rounding: floor }
  disruption_budget: { healthy: 'up{service=$service} == 1', scope: service, desired: quorum, headroom: { busy: 'avg(busy)', at_most: 80% } }
  caps:
    - { scope: service, of: replicas, max: 25%, at_least: 1, rounding: floor }
    - { scope: zone, of: targets, max: 3 }
    - { scope: all, of: targets, max: 5 }
  rate_limit: [{ max: 3, window: 1h, scope: service }, { max: 200, window: 1h, scope: all }]
  cooldown: { same_policy: 2m, any_policy: 1m }
  backoff: { base: 1m, factor: x2, cap: 10m, jitter: 20%, reset_after: 2h }
  ineffective_chain: { actions: 3, within: 6h }
  mutual_exclusion: { lease: 15m }
  breaker: { failures: 50%, of_at_least: 4, actions: 500, within: 1h, try_again_after: 30m, harm: { expr: 'sum(errors)', by: 0.1 } }
  canary: { trust: 6h }
";

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    of_the_library();
    let policy = read_policy("bench.yaml", POLICY).unwrap_or_else(|problems| panic!("{problems:?}"));
    let bare = figure(&policy, GAP);
    println!("deciding, every guard, {SERVICES} services: {bare:.2} µs a notification");
    if code::is_there() {
        let policy = Shared { code: Some(bundle()), ..Shared::default() }.around(policy);
        let offered = figure(&policy, GAP);
        println!("deciding, with three bundles of Rego: {offered:.2} µs a notification (aim: at most 20)");
    }
}

/// Every policy of the library that acts, as it is.
fn of_the_library() {
    let mut figures: Vec<(f64, Name)> = Vec::new();
    for library::Entry { path, text } in library::POLICIES.iter().filter(|entry| !entry.path.contains("/hazards/")) {
        let policy = read_policy(path, text).unwrap_or_else(|problems| panic!("{problems:?}"));
        // Seldom enough for its limits.
        figures.push((figure(&policy, 2 * 3_600), policy.name.clone()));
    }
    figures.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (least, most) = (&figures[0], &figures[figures.len() - 1]);
    let mean = figures.iter().map(|(figure, _)| figure).sum::<f64>() / figures.len() as f64;
    println!(
        "deciding, {} policies of the library, {SERVICES} services: {mean:.2} µs a notification on the mean (aim: at most 5), {:.2} ({}) to {:.2} ({})",
        figures.len(),
        least.0,
        least.1,
        most.0,
        most.1
    );
}

/// The example bundles, together.
fn bundle() -> Arc<code::Bundle> {
    let text = |name: &str| {
        let path = format!("{}/policies/library/rego/{name}.rego", env!("CARGO_MANIFEST_DIR"));
        code::Text { text: std::fs::read_to_string(&path).expect("it is there"), path }
    };
    let texts: Vec<code::Text> = ["freeze", "irreversible", "many_replicas"].map(text).into();
    let file = Arc::new(SourceFile { path: "firedrill.yaml".to_owned(), text: "rego".to_owned() });
    code::read(&Place::new(&file, 0, 4), &texts, String::new()).unwrap_or_else(|problems| panic!("{problems:?}")).bundle
}

/// The median of several runs, microseconds a notification.
fn figure(policy: &Arc<Policy>, gap: u64) -> f64 {
    let (runs, notifications) = if measure::is_full() { (9, 5_000) } else { (1, 100) };
    measure::median((0..runs).map(|_| run(policy, notifications, gap)).collect())
}

fn inventory() -> Inventory {
    let zones: Vec<Name> = ["a", "b", "c"].map(Name::new).into();
    let entry = ServiceEntry { replicas: REPLICAS as u32, zones, critical: false, calls: Vec::new() };
    let services = (0..SERVICES).map(|index| (service(index), entry.clone())).collect();
    let nodes = (0..SERVICES).map(|index| (node(index), Name::new("a"))).collect();
    Inventory { services, clients: vec![Name::new("users")], nodes }
}

fn service(index: u64) -> Name {
    Name::from(format!("service-{index}"))
}

fn node(index: u64) -> Name {
    Name::from(format!("node-{index}"))
}

fn notification(index: u64, status: AlertStatus, starts_at: Time) -> Notification {
    let service = service(index);
    let labels = [("alertname", "Down"), ("client", "users"), ("pool", "connections"), ("severity", "critical"), ("zone", "a")];
    let mut labels: LabelSet = labels.into_iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
    labels.insert(Name::new("pod"), Name::from(format!("{service}-0")));
    labels.insert(Name::new("node"), node(index));
    labels.extend(["service", "target"].map(|name| (Name::new(name), service.clone())));
    Notification { alert: Name::new("Down"), status, labels, starts_at, receiver: None }
}

/// What telemetry says: all is well but the service that alerts.
fn answer(query: u64, condition: ConditionAt) -> Input {
    let evaluated = |verdict| Input::Evaluated { query, verdict, figures: "1 == 1".to_owned() };
    let counted = |all| Input::Counted { query, holding: all, elements: all, error: String::new(), parts: None };
    match condition {
        condition if condition.is_formula() => Input::Measured { query, value: Some(0.5), figures: "0.5".to_owned() },
        // Of all replicas of all services, and of those of one.
        ConditionAt::Guard(Fact::Sane) => counted(SERVICES * REPLICAS),
        ConditionAt::Guard(fact) if fact.is_count() => counted(REPLICAS),
        ConditionAt::Guard(Fact::Off | Fact::Changing) => evaluated(Truth::False),
        _ => evaluated(Truth::True),
    }
}

/// What is to be fed back at once, and what later, in no order.
#[derive(Default)]
struct Due {
    now: Vec<Input>,
    later: Vec<(Time, Input)>,
}

/// Takes up what a step leaves behind at an instant: what is to be fed back, and when; gives the action that it started.
fn follow(now: Time, effects: Vec<Effect>, due: &mut Due) -> Option<Command> {
    let mut started = None;
    for effect in effects {
        match effect {
            Effect::Start(command) => started = Some(command),
            Effect::Record(Event::Refused { guard, figures, .. }) => panic!("the bench would measure refusals: {guard}: {figures}"),
            Effect::Evaluate { query, question, at } if at <= now => due.now.push(answer(query, question.condition)),
            Effect::Evaluate { query, question, at } => due.later.push((at, answer(query, question.condition))),
            Effect::Gather { query, .. } => due.now.push(Input::Gathered { query, evidence: Vec::new() }),
            Effect::SetTimer { timer, at } => due.later.push((at, Input::Timer { timer })),
            Effect::CancelTimer { timer } => due.later.retain(|(_, input)| *input != Input::Timer { timer }),
            _ => {}
        }
    }
    started
}

/// What happens because of one notification.
struct Story {
    /// The notification and all answers, until the action starts or, if nothing is to be started, nothing more is asked.
    deciding: Vec<Input>,
    /// What comes after that: each action helps, and the alert is over then.
    after: Vec<(Time, Input)>,
}

/// What happens because of a notification of a service, played with a controller.
fn story(index: u64, now: Time, (controller, guards): (&mut Controller, &mut Guards)) -> Story {
    let mut due = Due { now: vec![Input::Notified(notification(index, AlertStatus::Firing, now))], later: Vec::new() };
    let (mut started, mut deciding, mut after) = (None, Vec::new(), Vec::new());
    while let Some(input) = due.now.pop() {
        deciding.push(input.clone());
        started = follow(now, controller.step(now, input, guards), &mut due).or(started.take());
    }
    let over = Input::Notified(notification(index, AlertStatus::Resolved, now));
    due.later.push((now + Span::from_seconds(6), over));
    let mut end = now + Span::from_seconds(5);
    loop {
        if let Some(command) = started.take() {
            let result = ActionResult { action: command.id().clone(), at: end, outcome: ActionOutcome::Succeeded };
            due.now.push(Input::Finished(result));
        }
        while let Some(input) = due.now.pop() {
            after.push((end, input.clone()));
            started = follow(end, controller.step(end, input, guards), &mut due).or(started.take());
        }
        if started.is_some() {
            continue;
        }
        let Some(next) = (0..due.later.len()).min_by_key(|index| due.later[*index].0) else { break };
        let (at, input) = due.later.swap_remove(next);
        end = end.max(at);
        due.now.push(input);
    }
    Story { deciding, after }
}

/// The time from a notification to its action, or to the call if nothing is to be started, on the mean, microseconds.
///
/// Each story is played by another controller first, and what came in is then fed to the one that is measured, which does the same. So the time is that of
/// its steps alone: neither what telemetry would answer is in it, nor what becomes of the effects, nor reading the clock.
fn run(policy: &Arc<Policy>, notifications: u64, gap: u64) -> f64 {
    let fresh = || (Controller::new(Arc::clone(policy), Arc::new(inventory()), Stage::Full, Some(Actuator::simulated())), Guards::new());
    let ((mut player, mut known), (mut controller, mut guards)) = (fresh(), fresh());
    let mut deciding = 0.0;
    for number in 0..notifications {
        let time = Time::from_seconds(1_000 + number * gap);
        let Story { deciding: inputs, after } = story(number % SERVICES, time, (&mut player, &mut known));
        let mut effects = Vec::with_capacity(inputs.len());
        deciding += measure::seconds(|| effects.extend(inputs.into_iter().map(|input| controller.step(time, input, &mut guards))));
        drop(effects);
        for (at, input) in after {
            controller.step(at, input, &mut guards);
        }
    }
    (deciding / notifications as f64 - clock()) * 1e6
}

/// What reading the clock before and after nothing takes, on the mean, seconds.
fn clock() -> f64 {
    let times = 10_000;
    (0..times).map(|_| measure::seconds(|| {})).sum::<f64>() / f64::from(times)
}
