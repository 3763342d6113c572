//! What the forms of the policy language promise together, whatever steps a policy has and whatever happens to it: every start has been
//! decided, no limit is exceeded by what runs side by side, nothing that looks like a credential is written down, a restart of the engine in
//! the middle changes nothing, feeding the inputs again reproduces every effect, and dry-run starts nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::{ActionOutcome, ActionResult, Actuator, Command, Target};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::{AlertStatus, Event, Evidence, Input, LabelSet, Notification, Truth};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::controller::{Controller, Effect, State};
use firedrill_policies::document::read_policy_with;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::guard::{Fact, Guards};
use firedrill_policies::policy::{ConditionAt, Policy};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Every form of a step; most can be verified.
const FORMS: [(&str, bool); 10] = [
    ("restart: { mode: rolling }", true),
    ("wait: 15s", true),
    ("notify: { to: team, with: [metrics] }", false),
    ("collect: { with: [metrics, alerts, logs] }", false),
    (
        "choose:\n      - { restart: { mode: rolling }, score: 'hung', risk: low }\n      - { scale: { by: 1 }, score: 'busy', risk: 0.2, \
         when: { expr: up == 1, because: so } }",
        true,
    ),
    ("choose:\n      - { rollback: {}, score: 0.5, risk: low }\n      - { wait: 20s, score: 'calm' }", true),
    (
        "parallel:\n      - restart: { mode: rolling }\n      - scale: { by: 1 }\n      - limit_retries: { retries: 0, lasting: 1m }\n        \
         target: { client: users }",
        true,
    ),
    ("staged: { restart: { mode: rolling }, each: { replica: pod, from: 'up == 0' }, first: 1, then: 50%, rounding: ceil }", true),
    ("staged: { scale: { by: 1 }, each: { service: service, from: alerts }, first: 2, then: 3, order: dependencies }", true),
    ("action: rebuild", true),
];

#[derive(Clone, Debug)]
struct Spec {
    /// Each a form, whether it is verified, and what follows a failure.
    steps: Vec<(usize, bool, bool)>,
    ladder: bool,
    overdue: bool,
    rate: Option<u64>,
    caps: Option<u64>,
    lease: bool,
    kill_switch: bool,
    precheck: bool,
}

fn specs() -> impl Strategy<Value = Spec> {
    let steps = prop::collection::vec((0..FORMS.len(), any::<bool>(), any::<bool>()), 1..4);
    let rest = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (steps, rest, prop::option::of(1_u64..6), prop::option::of(1_u64..4)).prop_map(|(steps, rest, rate, caps)| {
        let (ladder, overdue, lease, kill_switch, precheck) = rest;
        Spec { steps, ladder, overdue, rate, caps, lease, kill_switch, precheck }
    })
}

impl Spec {
    fn policy(&self) -> Arc<Policy> {
        let mut text = "schema: policy/1\npolicy: p\nowner: team\non: { alert: Down }\ntarget: { service: $service }\nactions:\n  rebuild:\n    \
            models:\n      - { purge_queue: {}, takes: 10s, fails: 2% }\n      - { restart: { mode: at_once }, takes: 1m, fails: 5% }\n    runs: \
            ./rebuild.sh\nevidence: [{ expr: 'errors', because: errors }]\n"
            .to_owned();
        if self.precheck {
            text += "precheck: [{ expr: up == 0, because: so }]\n";
        }
        text += "steps:\n";
        for (form, verified, next) in &self.steps {
            let (deed, verifiable) = FORMS[*form];
            text += &format!("  - {deed}\n");
            let must = deed.starts_with("staged");
            if verifiable && (*verified || must) {
                text += "    verify: { expr: up == 1, hold: 5s, within: 20s }\n";
            }
            if verifiable && *next {
                text += "    on_failure: next\n";
            }
        }
        text += if self.ladder {
            "  - escalate: { ladder: [{ to: oncall }, { to: lead, after: 1m }, { to: head, after: 3m }], with: [metrics, alerts] }\n"
        } else {
            "  - escalate: { to: oncall }\n"
        };
        if self.overdue {
            text += "escalate_after: 90s\n";
        }
        let rate = self.rate.map(|max| format!("  rate_limit: [{{ max: {max}, window: 3m, scope: all }}]\n"));
        let caps = self.caps.map(|max| format!("  caps: [{{ scope: all, of: targets, max: {max} }}]\n"));
        let lease = self.lease.then(|| "  mutual_exclusion: { lease: 2m }\n".to_owned());
        let kill = self.kill_switch.then(|| "  kill_switch: { expr: off == 1, effect: ask }\n".to_owned());
        let guards: String = [rate, caps, lease, kill].into_iter().flatten().collect();
        if !guards.is_empty() {
            text += &format!("guard:\n{guards}");
        }
        read_policy_with("p.yaml", &text, &|_| Ok("hash".to_owned())).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
    }
}

fn inventory() -> Arc<Inventory> {
    let entry = |calls: &[&str]| ServiceEntry {
        replicas: 3,
        zones: vec![Name::new("a"), Name::new("b")],
        critical: false,
        calls: calls.iter().map(|name| Name::new(name)).collect(),
    };
    let services = [(Name::new("api"), entry(&["cart"])), (Name::new("cart"), entry(&[]))].into();
    Arc::new(Inventory { services, clients: vec![Name::new("users")], ..Inventory::default() })
}

enum Pending {
    Timer(u64),
    Answer(u64, ConditionAt),
}

/// One policy and all that happens to it.
struct Rig {
    spec: Spec,
    policy: Arc<Policy>,
    stage: Stage,
    controller: Controller,
    guards: Guards,
    agenda: BTreeMap<(Time, u64), Pending>,
    next: u64,
    gatherings: Vec<(u64, Vec<Name>)>,
    running: Vec<Command>,
    /// Starts that a rate limit counts.
    starts: Vec<Time>,
    luck: Vec<u8>,
    used: usize,
    inputs: Vec<(Time, Input, Vec<Effect>)>,
}

fn controller(policy: &Arc<Policy>, stage: Stage) -> Controller {
    Controller::new(policy.clone(), inventory(), stage, Some(Actuator::simulated()))
}

impl Rig {
    fn new(spec: Spec, luck: Vec<u8>, stage: Stage) -> Self {
        let policy = spec.policy();
        let controller = controller(&policy, stage);
        let (guards, agenda, gatherings, running, starts) = Default::default();
        Self { spec, policy, stage, controller, guards, agenda, next: 0, gatherings, running, starts, luck, used: 0, inputs: Vec::new() }
    }

    fn luck(&mut self, below: u8) -> u8 {
        self.used += 1;
        self.luck[self.used % self.luck.len()] % below
    }

    /// The engine is stopped, its state written down, and another one goes on with it.
    fn restart(&mut self) {
        let saved = serde_json::to_string(&(self.controller.state(), &self.guards)).unwrap();
        let (state, guards): (State, Guards) = serde_json::from_str(&saved).unwrap();
        self.controller = controller(&self.policy, self.stage);
        self.controller.restore(state).unwrap();
        self.guards = guards;
    }

    fn pass(&mut self, until: Time) -> Result<(), String> {
        while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            let ((at, _), pending) = self.agenda.pop_first().unwrap();
            let input = match pending {
                Pending::Timer(timer) => Input::Timer { timer },
                Pending::Answer(query, condition) => self.answer(query, condition),
            };
            self.feed(at, input)?;
        }
        Ok(())
    }

    fn answer(&mut self, query: u64, condition: ConditionAt) -> Input {
        match condition {
            ConditionAt::Score(..) => match self.luck(4) {
                0 => Input::Measured { query, value: None, figures: "no element".to_owned() },
                more => Input::Measured { query, value: Some(f64::from(more) / 3.0), figures: more.to_string() },
            },
            ConditionAt::Each(_) => {
                let count = self.luck(4);
                let names = (0..count).map(|index| Name::from(format!("api-{index}"))).collect();
                Input::Listed { query, names, error: String::new() }
            }
            ConditionAt::Guard(Fact::Off) => {
                let verdict = if self.luck(4) == 0 { Truth::True } else { Truth::False };
                Input::Evaluated { query, verdict, figures: String::new() }
            }
            _ => {
                let verdict = [Truth::True, Truth::False, Truth::True, Truth::Unknown, Truth::True][usize::from(self.luck(5))];
                Input::Evaluated { query, verdict, figures: String::new() }
            }
        }
    }

    fn feed(&mut self, now: Time, input: Input) -> Result<(), String> {
        let effects = self.controller.step(now, input.clone(), &mut self.guards);
        self.inputs.push((now, input, effects.clone()));
        let text = format!("{effects:?}");
        if text.contains("hunter2") {
            return Err(format!("a password was written down: {text}"));
        }
        let mut decided = None;
        for effect in effects {
            match effect {
                Effect::Evaluate { query, question, at } => self.plan(at.max(now), Pending::Answer(query, question.condition)),
                Effect::SetTimer { timer, at } => self.plan(at, Pending::Timer(timer)),
                Effect::CancelTimer { timer } => self.agenda.retain(|_, pending| !matches!(pending, Pending::Timer(own) if *own == timer)),
                Effect::Gather { query, wanted } => self.gatherings.push((query, wanted.kinds)),
                Effect::Record(Event::Decided { action, reason, .. }) => {
                    let is_counted = !reason.starts_with("undo: ") && (!reason.contains("of rebuild") || reason.contains("part 1 of"));
                    decided = Some((action, is_counted));
                }
                Effect::Start(command) => {
                    match decided.take() {
                        Some((action, is_counted)) if action == *command.id() => {
                            if is_counted {
                                self.starts.push(now);
                            }
                        }
                        other => return Err(format!("{} was started, and {other:?} decided", command.id())),
                    }
                    self.running.push(command);
                }
                Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } | Effect::Record(_) => {}
            }
        }
        self.within_limits(now)
    }

    fn within_limits(&self, now: Time) -> Result<(), String> {
        if let Some(max) = self.spec.rate {
            let recent = self.starts.iter().filter(|at| at.saturating_add(Span::from_minutes(3)) > now).count() as u64;
            // What is undone is not counted against others, and is a start all the same.
            if recent > max {
                return Err(format!("{recent} starts within 3m, and {max} are allowed"));
            }
        }
        let targets: BTreeSet<&Target> = self.running.iter().map(Command::target).collect();
        match self.spec.caps {
            Some(max) if targets.len() as u64 > max => Err(format!("{} targets at a time, and {max} are allowed", targets.len())),
            _ => Ok(()),
        }
    }

    fn plan(&mut self, at: Time, pending: Pending) {
        self.agenda.insert((at, self.next), pending);
        self.next += 1;
    }
}

fn notification(status: AlertStatus, service: &str, now: Time) -> Input {
    let labels = [("alertname", "Down"), ("service", service)];
    let labels: LabelSet = labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
    Input::Notified(Notification { alert: Name::new("Down"), status, labels, starts_at: now, receiver: None })
}

/// One thing that happens: a kind, a service, seconds since the last, and whether the engine is restarted before it.
type Happening = (u8, bool, u64, bool);

fn play(rig: &mut Rig, happenings: &[Happening], restarts: bool) -> Result<(), String> {
    let mut now = Time::ZERO;
    for (kind, cart, gap, restart) in happenings {
        now = now.saturating_add(Span::from_seconds(*gap));
        rig.pass(now)?;
        if *restart && restarts {
            rig.restart();
        }
        let service = if *cart { "cart" } else { "api" };
        match kind {
            0 | 1 => rig.feed(now, notification(AlertStatus::Firing, service, now))?,
            2 => rig.feed(now, notification(AlertStatus::Resolved, service, now))?,
            3..=5 if !rig.gatherings.is_empty() => {
                let (query, kinds) = rig.gatherings.remove(0);
                let lines = vec!["db{password=\"hunter2\"} 1".to_owned(); 30];
                let evidence = kinds.into_iter().map(|kind| Evidence { kind, lines: lines.clone(), note: String::new() }).collect();
                rig.feed(now, Input::Gathered { query, evidence })?;
            }
            _ if !rig.running.is_empty() => {
                let index = usize::from(rig.luck(8)) % rig.running.len();
                let command = rig.running.remove(index);
                let outcome = if kind % 4 == 0 { ActionOutcome::Failed("no".into()) } else { ActionOutcome::Succeeded };
                rig.feed(now, Input::Finished(ActionResult { action: command.id().clone(), at: now, outcome }))?;
            }
            _ => {}
        }
        rig.pass(now)?;
    }
    Ok(())
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec((0_u8..14, any::<bool>(), 0_u64..60, prop::bool::weighted(0.2)), 5..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_form_keeps_its_promises_and_a_restart_changes_nothing(
        spec in specs(), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let mut whole = Rig::new(spec.clone(), luck.clone(), Stage::Full);
        play(&mut whole, &happenings, false).map_err(TestCaseError::fail)?;
        let mut restarted = Rig::new(spec, luck, Stage::Full);
        play(&mut restarted, &happenings, true).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&whole.inputs, &restarted.inputs);
        // Feeding the journaled inputs again reproduces every effect.
        let mut again = controller(&whole.policy, Stage::Full);
        let mut guards = Guards::new();
        for (now, _, effects) in &whole.inputs {
            let Some(Effect::Record(Event::Received { input, .. })) = effects.first() else { panic!("inputs are journaled first") };
            prop_assert_eq!(&again.step(*now, input.clone(), &mut guards), effects);
        }
    }

    #[test]
    fn no_form_starts_anything_in_dry_run(
        spec in specs(), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let mut rig = Rig::new(spec, luck, Stage::DryRun);
        play(&mut rig, &happenings, true).map_err(TestCaseError::fail)?;
        prop_assert!(!rig.inputs.iter().any(|(.., effects)| effects.iter().any(|effect| matches!(effect, Effect::Start(_)))));
    }
}

/// It would be easy to promise much by doing nothing: every form comes to act somewhere.
#[test]
fn every_form_acts_somewhere() {
    let mut runner = TestRunner::deterministic();
    let cases = (specs(), happenings(), prop::collection::vec(any::<u8>(), 16..64));
    let (mut seen, mut topmost) = (BTreeSet::new(), 0);
    for _ in 0..300 {
        let (mut spec, happenings, luck) = cases.new_tree(&mut runner).unwrap().current();
        let form = spec.steps[0].0;
        spec.precheck = false;
        let mut rig = Rig::new(spec, luck, Stage::Full);
        play(&mut rig, &happenings, false).unwrap();
        for effect in rig.inputs.iter().flat_map(|(.., effects)| effects) {
            match effect {
                Effect::Record(Event::Decided { step: 0, .. } | Event::Informed { step: 0, .. } | Event::Collected { step: 0, .. }) => {
                    seen.insert(form);
                }
                Effect::Page { to, .. } if to.as_str() == "head" => topmost += 1,
                _ => {}
            }
        }
    }
    assert_eq!(seen.len(), FORMS.len(), "{seen:?}");
    assert!(topmost > 3, "the top of the ladder was reached {topmost} times");
}
