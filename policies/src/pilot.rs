//! Ruler, routing, guards and controllers put together: an automation that watches telemetry and gives commands.
//!
//! It does one thing at a time, when it is due, and is `Clone`, so that a run can branch. It knows no world: it reads the series that it is
//! handed and writes on the desk that it is handed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use firedrill_core::action::{ActionResult, Actuator};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Event, Evidence, Input, LabelSet, Notification, Truth};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Aged, PreparedCondition, PreparedFormula, Sample, Verdict3, written};
use firedrill_telemetry::store::Store;

use crate::alertmanager::{Config, Heard, Hearing, Silence};
use crate::controller::{Controller, Effect, Question, Wanted};
use crate::correlation::{Correlation, Correlator, INCIDENT, service_named};
use crate::evidence;
use crate::guard::placing::Count;
use crate::guard::stage::Stage;
use crate::guard::{Fact, Guards, service_of};
use crate::policy::{ConditionAt, Each, NameSource, Policy};
use crate::rules::{Memory, RuleSet, Ruler, RulerSettings};

/// At most so many inputs for controllers at one instant; more are dropped, and the journal says so.
pub const MOST_INPUTS_AT_ONCE: u32 = 10_000;

/// At most so many conditions with bound parameters are remembered.
const MOST_BOUND: usize = 4_096;

/// What is known while Prometheus does not run.
const NO_ANSWER: &str = "Prometheus does not answer";

/// What a pilot is made of.
#[derive(Clone, Debug)]
pub struct PilotSetup {
    /// The calendar instant of the run's start.
    pub start: Start,
    /// The rules that it watches.
    pub rules: Arc<RuleSet>,
    /// How the rules are evaluated.
    pub ruler: RulerSettings,
    /// How alerts become notifications; `None`: each at once and by itself.
    pub alertmanager: Option<Arc<Config>>,
    /// What it does about alerts. Invariant: no two have one name.
    pub policies: Vec<Arc<Policy>>,
    /// The stage at which the policies run; a policy's own may be lower.
    pub stage: Stage,
    /// The capability to act; `None`: dry-run, whatever the stage.
    pub actuator: Option<Actuator>,
    /// The declared population.
    pub inventory: Arc<Inventory>,
}

/// The automation of one arm of a run.
#[derive(Clone, Debug)]
pub struct Pilot {
    start: Start,
    ruler: Ruler,
    hearing: Hearing,
    /// What policies that are behind every receiver were last told of an alert, and since when it was active.
    heard: BTreeMap<(usize, LabelSet), (AlertStatus, Time)>,
    correlator: Correlator,
    /// The controllers that answer the incidents of each correlation.
    answering: Vec<Vec<usize>>,
    guards: Guards,
    controllers: Vec<Controller>,
    /// What controllers wait for, by time and order of asking.
    agenda: BTreeMap<(Time, u64), (usize, Errand)>,
    /// Where each timer of each controller stands in the agenda.
    timers: BTreeMap<(usize, u64), (Time, u64)>,
    next_errand: u64,
    bound: BTreeMap<(usize, Question), PreparedCondition>,
    formulas: BTreeMap<(usize, Question), PreparedFormula>,
    inventory: Arc<Inventory>,
    inputs_at: (Time, u32),
    /// Whether Prometheus does not run.
    is_blind: bool,
    /// Whether a policy asks what else fails.
    weighs_failures: bool,
}

/// Something that a controller is told at its time.
#[derive(Clone, Debug)]
enum Errand {
    Tell(Notification),
    Wake(u64),
    Evaluate(u64, Question),
}

impl Pilot {
    /// A pilot at the start of a run.
    ///
    /// # Panics
    /// If two policies have one name; `lints::twins` finds that beforehand.
    #[must_use]
    pub fn new(setup: PilotSetup) -> Self {
        let PilotSetup { start, rules, ruler, alertmanager, mut policies, stage, actuator, inventory } = setup;
        // Of several that are told at one instant the first by name comes first, whatever the order of their files.
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        assert!(policies.windows(2).all(|pair| pair[0].name != pair[1].name), "no two policies have one name");
        let (correlations, answering) = correlations(&policies);
        let controller =
            |policy: &Arc<Policy>| Controller::new(Arc::clone(policy), Arc::clone(&inventory), stage, actuator).starting(start);
        Self {
            start,
            ruler: Ruler::new(rules, start, ruler),
            hearing: Hearing::new(alertmanager.as_ref(), start),
            heard: BTreeMap::new(),
            correlator: Correlator::new(correlations, Arc::clone(&inventory)),
            answering,
            guards: Guards::new(),
            controllers: policies.iter().map(controller).collect(),
            agenda: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_errand: 0,
            bound: BTreeMap::new(),
            formulas: BTreeMap::new(),
            inventory,
            inputs_at: (Time::ZERO, 0),
            is_blind: false,
            weighs_failures: policies.iter().any(|policy| policy.guards.correlated_failure.is_some()),
        }
    }

    /// The same with what recording rules made of the time before the start.
    #[must_use]
    pub fn remembering(mut self, memory: &Memory) -> Self {
        self.ruler.remember(memory);
        self
    }

    /// The same in a run of a seed, on which what guards leave to luck depends.
    #[must_use]
    pub fn seeded(mut self, seed: Seed) -> Self {
        self.controllers = self.controllers.into_iter().map(|controller| controller.seeded(seed)).collect();
        self
    }

    /// The same with silences, set at the start.
    #[must_use]
    pub fn silenced(mut self, silences: &[Silence]) -> Self {
        for silence in silences {
            self.hearing.silence(Time::ZERO, silence.clone());
        }
        self
    }

    /// Prometheus runs again, or does not run any more. Until it does, no rule is evaluated and no question answered; alerts that were pending
    /// begin anew when it is back.
    pub fn prometheus_runs(&mut self, runs: bool) {
        self.is_blind = !runs;
        if runs {
            self.ruler.restart();
        }
    }

    /// The next thing that it must do, and its class among what is due at that instant.
    #[must_use]
    pub fn due(&self) -> Option<(Time, Class)> {
        let rules = self.ruler.due().map(|at| (at, Class::Rules));
        let routing = self.hearing.due().into_iter().chain(self.correlator.due()).min().map(|at| (at, Class::Routing));
        let controller = self.agenda.keys().next().map(|(at, _)| (*at, Class::Controller));
        [rules, routing, controller].into_iter().flatten().min()
    }

    /// Does exactly the one thing that is due.
    pub fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        match self.due() {
            Some((_, Class::Rules)) if self.is_blind => self.ruler.miss(),
            Some((now, Class::Rules)) => {
                let changes = self.ruler.advance(raw, desk);
                // Before any policy hears of any of them: what begins at one instant is weighed together.
                for change in changes.iter().filter(|_| self.weighs_failures) {
                    self.guards.failures.hear(change, &self.inventory, now);
                }
                self.hearing.take_in(now, changes, self.ruler.sent(), desk);
            }
            // Everything that is told at an instant is told before it is correlated.
            Some((now, Class::Routing)) if self.hearing.due() != Some(now) => self.correlate(now, desk),
            Some((now, Class::Routing)) => {
                for heard in self.hearing.advance(now, desk) {
                    self.correlator.take_in(now, &heard.notification);
                    self.tell(now, &heard);
                }
            }
            Some((now, _)) => {
                let Some((_, (index, errand))) = self.agenda.pop_first() else { return };
                let input = self.input(now, index, errand, raw);
                self.step((now, index), input, raw, desk);
            }
            None => {}
        }
    }

    /// An action that it had commanded has ended; the controller that asked is told at once. Reports of other automations' actions are
    /// none of its business.
    pub fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk<'_>) {
        let asked = |controller: &Controller| controller.policy().name == result.action.policy;
        if let Some(index) = self.controllers.iter().position(asked) {
            self.step((result.at, index), Input::Finished(result.clone()), raw, desk);
        }
    }

    /// A person has answered what a policy had proposed; the policy is told at once. Answers to policies that are not here are none of its business.
    pub fn answered(&mut self, (now, policy): (Time, &Name), answer: Input, raw: &Store, desk: &mut Desk<'_>) {
        if let Some(index) = self.controllers.iter().position(|controller| controller.policy().name == *policy) {
            self.step((now, index), answer, raw, desk);
        }
    }

    /// The ruler, with the series that it has written.
    #[must_use]
    pub const fn ruler(&self) -> &Ruler {
        &self.ruler
    }

    /// The controllers, in the order of the policies' names.
    #[must_use]
    pub fn controllers(&self) -> &[Controller] {
        &self.controllers
    }

    /// What the guards remember.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// A notification goes to every policy that listens to it. One that is behind every receiver hears an alert from the first that is told
    /// of it, and what the others are told of the same is no news.
    fn tell(&mut self, now: Time, Heard { notification, is_repeat }: &Heard) {
        for index in 0..self.controllers.len() {
            if !self.controllers[index].policy().listens_to(notification) {
                continue;
            }
            if notification.receiver.is_some() {
                let news = (notification.status, notification.starts_at);
                let before = self.heard.insert((index, notification.labels.clone()), news);
                if before == Some(news) && !is_repeat {
                    continue;
                }
            }
            self.plan(now, index, Errand::Tell(notification.clone()));
        }
    }

    /// What was told at this instant is settled into incidents, and those that open or close go to the policies that answer them.
    fn correlate(&mut self, now: Time, desk: &mut Desk<'_>) {
        for settled in self.correlator.settle() {
            desk.write(now, settled.event);
            let Some((correlation, notification)) = settled.told else { continue };
            for index in self.answering[correlation].clone() {
                self.plan(now, index, Errand::Tell(notification.clone()));
            }
        }
    }

    fn plan(&mut self, at: Time, index: usize, errand: Errand) -> (Time, u64) {
        let key = (at, self.next_errand);
        self.next_errand += 1;
        self.agenda.insert(key, (index, errand));
        key
    }

    fn input(&mut self, now: Time, index: usize, errand: Errand, raw: &Store) -> Input {
        match errand {
            Errand::Tell(notification) => Input::Notified(notification),
            Errand::Wake(timer) => {
                self.timers.remove(&(index, timer));
                Input::Timer { timer }
            }
            Errand::Evaluate(query, question) => self.evaluate((now, index), query, &question, raw),
        }
    }

    /// Feeds a controller one input, and the answers to what it asks at once.
    fn step(&mut self, (now, index): (Time, usize), input: Input, raw: &Store, desk: &mut Desk<'_>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if !self.within_bound(now, desk) {
                return;
            }
            for effect in self.controllers[index].step(now, input, &mut self.guards) {
                match effect {
                    Effect::Evaluate { query, question, at } if at <= now => {
                        inputs.push_back(self.evaluate((now, index), query, &question, raw));
                    }
                    Effect::Evaluate { query, question, at } => {
                        self.plan(at, index, Errand::Evaluate(query, question));
                    }
                    Effect::Start(command) => desk.commands.push(command),
                    Effect::Record(event) => desk.write(now, event),
                    Effect::SetTimer { timer, at } => {
                        let key = self.plan(at.max(now), index, Errand::Wake(timer));
                        self.timers.insert((index, timer), key);
                    }
                    Effect::CancelTimer { timer } => {
                        if let Some(key) = self.timers.remove(&(index, timer)) {
                            self.agenda.remove(&key);
                        }
                    }
                    Effect::Gather { query, wanted } => inputs.push_back(self.gather((now, index), query, &wanted, raw)),
                    // Nobody is at the other end of the line here; the page stands in the journal, and so does a question. Whoever drives the pilot
                    // tells of the answers.
                    Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } => {}
                }
            }
        }
    }

    /// Counts an input; at one too many for one instant everything else that is due then is dropped.
    fn within_bound(&mut self, now: Time, desk: &mut Desk<'_>) -> bool {
        let (at, count) = self.inputs_at;
        self.inputs_at = if at == now { (now, count.saturating_add(1)) } else { (now, 1) };
        if self.inputs_at.1 <= MOST_INPUTS_AT_ONCE {
            return true;
        }
        if self.inputs_at.1 == MOST_INPUTS_AT_ONCE + 1 {
            let figures = format!("more than {MOST_INPUTS_AT_ONCE} inputs for policies at one instant");
            desk.write(now, Event::BoundReached { bound: Name::new("inputs_at_once"), figures });
        }
        self.agenda.retain(|(at, _), _| *at > now);
        self.timers.retain(|_, (at, _)| *at > now);
        false
    }

    fn evaluate(&mut self, (now, index): (Time, usize), query: u64, question: &Question, raw: &Store) -> Input {
        if let ConditionAt::Each(step) = question.condition {
            let (names, error) =
                self.names((now, index), step, question, raw).map_or_else(|error| (Vec::new(), error), |names| (names, String::new()));
            return Input::Listed { query, names, error };
        }
        if question.condition.is_formula() {
            let (value, figures) = match self.numbers((now, index), question, raw) {
                Ok(samples) => one_number(&samples),
                Err(error) => (None, error),
            };
            return Input::Measured { query, value, figures };
        }
        if let ConditionAt::Guard(fact) = question.condition
            && fact.is_count()
        {
            let counted = self.count((now, index), (question, fact), raw);
            let (Count { holding, elements, parts }, error) =
                counted.map_or_else(|error| (Count::default(), error), |count| (count, String::new()));
            return Input::Counted { query, holding, elements, error, parts };
        }
        let (verdict, figures) = self.judge((now, index), question, raw);
        Input::Evaluated { query, verdict, figures }
    }

    /// How many replicas or nodes a condition holds for, or why that cannot be told.
    fn count(&mut self, (now, index): (Time, usize), (question, fact): (&Question, Fact), raw: &Store) -> Result<Count, String> {
        if self.is_blind {
            return Err(NO_ANSWER.to_owned());
        }
        let condition = self.bind(index, question)?;
        let at_ms = self.start.prometheus_millis(now);
        let elements = self.ruler.elements(&condition, at_ms, raw).map_err(|error| error.to_string())?;
        let policy = self.controllers[index].policy();
        policy.guards.count(fact, &elements, &self.inventory)
    }

    /// The answer to a question; what cannot be evaluated is unknown, with the reason.
    fn judge(&mut self, (now, index): (Time, usize), question: &Question, raw: &Store) -> (Truth, String) {
        if self.is_blind {
            return (Truth::Unknown, NO_ANSWER.to_owned());
        }
        let condition = match self.bind(index, question) {
            Ok(condition) => condition,
            Err(message) => return (Truth::Unknown, message),
        };
        let at_ms = self.start.prometheus_millis(now);
        match self.ruler.judge(&condition, at_ms, raw) {
            Ok(judgement) => {
                if let Some(old) = self.too_old((index, question), &condition, at_ms, raw) {
                    return (Truth::Unknown, old);
                }
                let truth = match judgement.verdict {
                    Verdict3::True => Truth::True,
                    Verdict3::False => Truth::False,
                    Verdict3::Unknown => Truth::Unknown,
                };
                (truth, judgement.figures)
            }
            Err(error) => (Truth::Unknown, error.to_string()),
        }
    }

    /// What of what a condition reads is older than its policy allows, in words; `None` if nothing is, or nobody asks.
    fn too_old(&self, (index, question): (usize, &Question), condition: &PreparedCondition, at_ms: i64, raw: &Store) -> Option<String> {
        let max_age = self.controllers[index].policy().max_age(question.condition)?;
        let Aged { labels, age_ms } = self.ruler.oldest(condition, at_ms, raw)?;
        let age = Span::from_millis(age_ms.unsigned_abs());
        (age > max_age).then(|| format!("the newest sample of {labels} is {age} old > {max_age}"))
    }

    /// The elements of a formula, or why they cannot be told.
    fn numbers(&mut self, (now, index): (Time, usize), question: &Question, raw: &Store) -> Result<Vec<Sample>, String> {
        if self.is_blind {
            return Err(NO_ANSWER.to_owned());
        }
        let formula = self.bind_formula(index, question)?;
        self.ruler.evaluate(formula, self.start.prometheus_millis(now), raw).map_err(|error| error.to_string())
    }

    /// The names of the targets of a staged step, or why they cannot be told.
    fn names(&mut self, (now, index): (Time, usize), step: usize, question: &Question, raw: &Store) -> Result<Vec<Name>, String> {
        let policy = Arc::clone(self.controllers[index].policy());
        let staged = policy.staged(step).ok_or("the policy has no such step")?;
        let NameSource::Label(label) = &staged.each.name else { return Err("its targets have no label".to_owned()) };
        let names: BTreeSet<Name> = match staged.from {
            Each::Alerts => {
                let number = question.parameters.get(INCIDENT).ok_or("there is no correlated incident")?;
                self.correlator.members(number).filter_map(|labels| labels.get(label).cloned()).collect()
            }
            Each::Series(_) | Each::Declared => {
                let samples = self.numbers((now, index), question, raw)?;
                samples.iter().filter_map(|sample| sample.labels.get(label.as_str()).map(Name::new)).collect()
            }
        };
        Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
    }

    /// Evidence as far as it can be had here: what telemetry and alerts tell. Nobody here keeps logs and traces or knows of changes.
    fn gather(&mut self, (now, index): (Time, usize), query: u64, wanted: &Wanted, raw: &Store) -> Input {
        let mut evidence = Vec::new();
        for kind in &wanted.kinds {
            evidence.push(match kind.as_str() {
                "metrics" => self.metrics((now, index), wanted, raw),
                "alerts" => self.alerts(wanted),
                _ => evidence::missing(kind, "not available here"),
            });
        }
        Input::Gathered { query, evidence }
    }

    /// The value of the alert's own expression, and what the policy asks of telemetry.
    fn metrics(&mut self, (now, index): (Time, usize), wanted: &Wanted, raw: &Store) -> Evidence {
        let names = wanted.alert.as_str().split(" + ").collect::<Vec<_>>();
        let own = self.ruler.firing_values().filter(|(name, labels, _)| names.contains(&name.as_str()) && agrees(&wanted.labels, labels));
        let mut lines: Vec<String> = own.map(|(name, labels, value)| alert_line(name, labels, value)).collect();
        for question in &wanted.questions {
            let policy = Arc::clone(self.controllers[index].policy());
            let what = match question.condition {
                ConditionAt::Precheck(number) => format!("precheck {}", number + 1),
                ConditionAt::Verify(step) => format!("verify of step {}", step + 1),
                ConditionAt::Shown(number) => policy.evidence.get(number).map(|shown| shown.because.clone()).unwrap_or_default(),
                ConditionAt::Confidence => "the confidence".to_owned(),
                ConditionAt::When(..) | ConditionAt::Score(..) | ConditionAt::Each(_) | ConditionAt::Guard(_) => continue,
            };
            if !question.condition.is_formula() {
                let (truth, figures) = self.judge((now, index), question, raw);
                let word = match truth {
                    Truth::True => "holds",
                    Truth::False => "does not hold",
                    Truth::Unknown => "cannot be told",
                };
                lines.push(format!("{what} {word}: {figures}"));
                continue;
            }
            match self.numbers((now, index), question, raw) {
                Err(error) => lines.push(format!("{what}: {error}")),
                Ok(samples) if samples.is_empty() => lines.push(format!("{what}: no element")),
                Ok(samples) => lines.extend(samples.iter().map(|sample| format!("{what}: {}", number(sample)))),
            }
        }
        Evidence { kind: Name::new("metrics"), lines, note: String::new() }
    }

    /// The alerts that fire now on what the incident is about, on what calls it and on what it calls; all if that cannot be told.
    fn alerts(&self, wanted: &Wanted) -> Evidence {
        let inventory = &self.inventory;
        let of_target = || wanted.target.as_ref().and_then(|target| service_of(target, inventory));
        let service = of_target().or_else(|| service_named(&wanted.labels, inventory));
        let calls = |caller: &Name, service: &Name| inventory.services.get(caller).is_some_and(|entry| entry.calls.contains(service));
        let is_near = |labels: &LabelSet| match (&service, service_named(labels, inventory)) {
            (Some(own), Some(other)) => *own == other || calls(own, &other) || calls(&other, own),
            _ => true,
        };
        let firing = self.ruler.firing_values().filter(|(_, labels, _)| is_near(&label_set(labels)));
        let lines = firing.map(|(name, labels, value)| alert_line(name, labels, value)).collect();
        Evidence { kind: Name::new("alerts"), lines, note: String::new() }
    }

    fn bind_formula(&mut self, index: usize, question: &Question) -> Result<PreparedFormula, String> {
        let key = (index, question.clone());
        if let Some(formula) = self.formulas.get(&key) {
            return Ok(*formula);
        }
        let policy = self.controllers[index].policy();
        let formula = policy.formula(question.condition).ok_or("the policy has no such expression")?;
        let formula = formula.bind(&values(question)).map_err(|missing| missing.to_string())?;
        self.make_room();
        let formula = self.ruler.prepare_formula(&formula);
        self.formulas.insert(key, formula);
        Ok(formula)
    }

    /// What is prepared is forgotten when there is too much of it.
    fn make_room(&mut self) {
        if self.bound.len() + self.formulas.len() >= MOST_BOUND {
            self.bound.clear();
            self.formulas.clear();
            self.ruler.forget_conditions();
        }
    }

    fn bind(&mut self, index: usize, question: &Question) -> Result<PreparedCondition, String> {
        let key = (index, question.clone());
        if let Some(condition) = self.bound.get(&key) {
            return Ok(condition.clone());
        }
        let policy = self.controllers[index].policy();
        let condition = policy.condition(question.condition).ok_or("the policy has no such condition")?;
        let condition = condition.bind(&values(question)).map_err(|missing| missing.to_string())?;
        self.make_room();
        let condition = self.ruler.prepare(&condition);
        self.bound.insert(key, condition.clone());
        Ok(condition)
    }
}

/// The values of a question's parameters.
pub(crate) fn values(question: &Question) -> BTreeMap<String, String> {
    question.parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The one finite number among elements, with its figures; without exactly one of them, why.
pub(crate) fn one_number(samples: &[Sample]) -> (Option<f64>, String) {
    match samples {
        [] => (None, "no element".to_owned()),
        [one] if one.value.is_finite() => (Some(one.value), number(one)),
        [one] => (None, format!("{} is no number to compare", number(one))),
        several => (None, format!("{} elements, and one is needed", several.len())),
    }
}

pub(crate) fn number(sample: &Sample) -> String {
    if sample.labels.is_empty() { written(sample.value) } else { format!("{} {}", sample.labels, written(sample.value)) }
}

fn alert_line(name: &Name, labels: &Labels, value: f64) -> String {
    let labels: Vec<String> =
        labels.iter().filter(|label| &*label.0 != "alertname").map(|label| format!("{}={:?}", label.0, label.1)).collect();
    format!("{name}{{{}}} {}", labels.join(", "), written(value))
}

fn label_set(labels: &Labels) -> LabelSet {
    labels.iter().map(|label| (Name::new(&label.0), Name::new(&label.1))).collect()
}

/// Whether what an alert says agrees with the labels of what is asked about, wherever both say something.
fn agrees(asked: &LabelSet, labels: &Labels) -> bool {
    labels.iter().all(|label| &*label.0 == "alertname" || asked.get(&*label.0).is_none_or(|asked| *asked.as_str() == *label.1))
}

/// The different correlations that policies ask for, and by each the policies that do.
pub(crate) fn correlations(policies: &[Arc<Policy>]) -> (Vec<Correlation>, Vec<Vec<usize>>) {
    let (mut correlations, mut answering): (Vec<Correlation>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for (index, policy) in policies.iter().enumerate() {
        let Some(own) = &policy.correlation else { continue };
        match correlations.iter().position(|known| known.is_same(own)) {
            Some(known) => answering[known].push(index),
            None => {
                correlations.push(own.clone());
                answering.push(vec![index]);
            }
        }
    }
    (correlations, answering)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;
    use crate::rules::Phase;
    use firedrill_core::action::{ActionOutcome, Command};
    use firedrill_core::inventory::ServiceEntry;
    use firedrill_core::journal::Journal;
    use firedrill_core::time::Span;
    use firedrill_telemetry::labels::Labels;

    const RULES: &str = "
groups:
  - name: g
    interval: 10s
    rules:
      - { alert: Down, expr: up == 0, for: 20s }
      - { record: 'pods:up', expr: sum(up) }
";

    const POLICY: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
precheck: [{ expr: 'pods:up >= 1', because: the last replica is not restarted }]
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 60s }
";

    /// Two pods, scraped every 5 s; a pod is down from a second on until it is restarted, which takes 7 s.
    #[derive(Clone)]
    struct World {
        pilot: Pilot,
        raw: Store,
        journal: Journal,
        commands: Vec<Command>,
        down: BTreeMap<&'static str, u64>,
        running: Vec<(Time, Command)>,
        second: u64,
    }

    impl World {
        fn new(policies: &[&str], actuator: Option<Actuator>) -> Self {
            let entry = ServiceEntry { replicas: 2, zones: vec![], critical: true, calls: vec![] };
            let inventory = Inventory { services: [(Name::new("api"), entry)].into(), clients: vec![], ..Inventory::default() };
            let setup = PilotSetup {
                start: Start::default(),
                rules: RuleSet::read([("r.yml", RULES)]).unwrap(),
                alertmanager: None,
                ruler: RulerSettings { evaluation_interval: Span::from_seconds(10), phase: Phase::Fixed(0), ..RulerSettings::default() },
                policies: policies.iter().map(|policy| read_policy("p.yaml", policy).unwrap()).collect(),
                stage: Stage::Full,
                actuator,
                inventory: Arc::new(inventory),
            };
            let pilot = Pilot::new(setup);
            let (journal, raw) = (Journal::new(), Store::new());
            Self { pilot, raw, journal, commands: Vec::new(), down: BTreeMap::new(), running: Vec::new(), second: 0 }
        }

        fn run(&mut self, until: u64) {
            while self.second <= until {
                let now = Time::from_seconds(self.second);
                if self.second.is_multiple_of(5) {
                    for pod in ["api-0", "api-1"] {
                        let is_down = self.down.get(pod).is_some_and(|since| *since <= self.second);
                        let id = self.raw.series(&Labels::named("up", &[("pod", pod)]));
                        let at_ms = Start::default().prometheus_millis(now);
                        self.raw.append(id, at_ms, f64::from(u8::from(!is_down))).unwrap();
                    }
                }
                self.act(now);
                self.second += 1;
            }
        }

        fn act(&mut self, now: Time) {
            while self.pilot.due().is_some_and(|(at, _)| at <= now) {
                self.pilot.advance(&self.raw, &mut Desk { journal: &mut self.journal, commands: &mut self.commands });
            }
            self.running.extend(self.commands.drain(..).map(|command| (now + Span::from_seconds(7), command)));
            for (_, command) in self.running.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
                self.down.retain(|pod, _| *pod != command.target().name().as_str());
                let result = ActionResult { action: command.id().clone(), at: now, outcome: ActionOutcome::Succeeded };
                self.pilot.finished(&result, &self.raw, &mut Desk { journal: &mut self.journal, commands: &mut self.commands });
            }
        }

        fn told(&self) -> Vec<String> {
            let tell = |event: &Event| match event {
                Event::AlertFiring { alert, .. } => Some(format!("{alert} fires")),
                Event::AlertResolved { alert, .. } => Some(format!("{alert} over")),
                Event::Decided { what, target, reason, .. } => Some(format!("{what} {target}: {reason}")),
                Event::WouldAct { what, target, .. } => Some(format!("would {what} {target}")),
                Event::Verified { verdict, .. } => Some(format!("{verdict:?}")),
                Event::Refused { guard, figures, .. } => Some(format!("{guard}: {figures}")),
                Event::IncidentClosed { reason, .. } => Some(format!("closed: {reason}")),
                Event::BoundReached { bound, .. } => Some(format!("bound {bound}")),
                _ => None,
            };
            let records = self.journal.records().iter();
            records.filter_map(|record| tell(&record.event).map(|text| format!("{} {text}", record.at.as_seconds()))).collect()
        }
    }

    #[test]
    fn from_an_alert_to_a_verified_restart() {
        let mut world = World::new(&[POLICY], Some(Actuator::simulated()));
        world.down.insert("api-1", 12);
        world.run(90);
        let told = [
            "40 Down fires",
            "40 restart (rolling) replica/api-1: Down fires, and pods:up 1 >= 1",
            "50 Down over",
            "62 Held",
            "62 closed: the remediation is verified",
        ];
        assert_eq!(world.told(), told);
    }

    #[test]
    fn a_precheck_that_fails_is_recorded_with_its_figures_and_its_reason() {
        let mut world = World::new(&[POLICY], Some(Actuator::simulated()));
        world.down.extend([("api-0", 12), ("api-1", 12)]);
        world.run(45);
        let refusal = "40 precheck: pods:up 0 >= 1: the last replica is not restarted";
        assert_eq!(world.told().iter().filter(|line| *line == refusal).count(), 2);
    }

    #[test]
    fn what_fails_at_one_instant_is_weighed_together_also_if_the_policy_hears_of_one_alone() {
        let told = |matched: &str| {
            let guard = "guard: { correlated_failure: { share: 100%, of: service, within: 1m } }\n";
            let policy = POLICY.replace("pods:up >= 1", "pods:up >= 0").replace("{ alert: Down }", matched);
            let mut world = World::new(&[&format!("{}{guard}", policy.trim_start())], Some(Actuator::simulated()));
            world.down.extend([("api-0", 12), ("api-1", 12)]);
            world.run(200);
            assert!(!world.told().iter().any(|line| line.contains(" restart (")), "{:?}", world.told());
            let refusal = "correlated_failure: 2 of the 2 replicas of service/api failed within 1m >= 2 (100%)";
            world.told().iter().filter(|line| line.ends_with(refusal)).map(|line| line[..3].trim().to_owned()).collect::<Vec<_>>()
        };
        // Both are still on when the minute is over.
        assert_eq!(told("{ alert: Down, match: { pod: api-1 } }"), ["40", "100", "160"]);
        assert_eq!(told("{ alert: Down }"), ["40", "40", "100", "100", "160", "160"]);
    }

    #[test]
    fn one_of_three_that_hangs_keeps_a_verification_of_all_from_holding() {
        let both = "up{pod=~\"api.*\"} == 1 and on () absent(gone)";
        let policy = POLICY
            .replace("pods:up >= 1", "pods:up >= 0")
            .replace("up{pod=$pod} == 1", both)
            .replace("Down }", "Down, match: { pod: api-1 } }");
        let told = |down: &[(&'static str, u64)]| {
            let mut world = World::new(&[&policy], Some(Actuator::simulated()));
            world.down.extend(down.iter().copied());
            world.run(150);
            world.told().into_iter().filter(|line| line.ends_with("Held") || line.ends_with("Failed")).collect::<Vec<_>>()
        };
        assert_eq!(told(&[("api-1", 12)]), ["62 Held"]);
        assert_eq!(told(&[("api-0", 12), ("api-1", 12)]), ["107 Failed"]);
    }

    #[test]
    fn what_is_healthy_is_counted_in_telemetry_when_an_action_is_proposed() {
        let gate = |max: u64| {
            let guard = format!("guard: {{ max_unhealthy: {{ healthy: 'up{{pod=~\"api.*\"}} == 1', scope: service, max: {max} }} }}\n");
            format!("{}{guard}", POLICY.trim_start().replace("pods:up >= 1", "pods:up >= 0"))
        };
        let told = |max, down: &[(&'static str, u64)]| {
            let mut world = World::new(&[&gate(max)], Some(Actuator::simulated()));
            world.down.extend(down.iter().copied());
            world.run(45);
            world.told().into_iter().filter(|line| line.contains("max_unhealthy") || line.contains("restart")).collect::<Vec<_>>()
        };
        let both = [("api-0", 12), ("api-1", 12)];
        assert_eq!(told(1, &both)[0], "40 max_unhealthy: 2 of 2 unhealthy > 1 (1)");
        assert_eq!(told(1, &both[1..]), ["40 restart (rolling) replica/api-1: Down fires, and pods:up 1 >= 0"]);
        assert_eq!(told(2, &both)[0], "40 restart (rolling) replica/api-0: Down fires, and pods:up 0 >= 0");
    }

    #[test]
    fn while_prometheus_is_down_no_rule_is_evaluated_and_what_was_pending_begins_anew() {
        let mut world = World::new(&[POLICY], Some(Actuator::simulated()));
        world.down.insert("api-1", 12);
        world.run(25);
        world.pilot.prometheus_runs(false);
        world.run(59);
        assert_eq!(world.told(), [] as [&str; 0]);
        world.pilot.prometheus_runs(true);
        world.run(85);
        assert_eq!(world.told()[0], "80 Down fires");
    }

    #[test]
    fn a_question_that_nobody_answers_is_unknown_and_an_alert_that_fires_goes_on_or_is_over_when_prometheus_is_back() {
        let mut world = World::new(&[POLICY], Some(Actuator::simulated()));
        world.down.insert("api-1", 12);
        world.run(46);
        world.pilot.prometheus_runs(false);
        world.run(119);
        let unknown = "closed: step 1: its verification was inconclusive: Prometheus does not answer";
        assert_eq!(world.told()[2..], ["107 Inconclusive".to_owned(), format!("107 {unknown}")]);
        world.pilot.prometheus_runs(true);
        world.run(125);
        assert_eq!(world.told().last().map(String::as_str), Some("120 Down over"));
    }

    /// The alert that the policy answers, at 30 s.
    fn told_down() -> Notification {
        Notification {
            alert: Name::new("Down"),
            status: AlertStatus::Firing,
            labels: [("alertname", "Down"), ("pod", "api-1")].map(|(name, value)| (Name::new(name), Name::new(value))).into(),
            starts_at: Time::from_seconds(30),
            receiver: None,
        }
    }

    #[test]
    fn a_number_that_prometheus_does_not_tell_while_it_is_down_is_not_read_from_its_store() {
        let sure = format!("{}guard: {{ confidence: {{ expr: 'sum(up)' }} }}\n", POLICY.trim_start());
        let told = |is_down: bool| {
            let mut world = World::new(&[&sure], Some(Actuator::simulated()));
            world.down.insert("api-1", 12);
            world.run(39);
            world.pilot.prometheus_runs(!is_down);
            world.pilot.plan(Time::from_seconds(39), 0, Errand::Tell(told_down()));
            world.act(Time::from_seconds(39));
            let measured = |event: &Event| match event {
                Event::Received { input: Input::Measured { value, figures, .. }, .. } => Some((*value, figures.clone())),
                _ => None,
            };
            world.journal.records().iter().find_map(|record| measured(&record.event))
        };
        assert_eq!(told(false), Some((Some(1.0), "1".to_owned())));
        assert_eq!(told(true), Some((None, NO_ANSWER.to_owned())));
    }

    #[test]
    fn a_precheck_that_reads_older_samples_than_it_may_cannot_be_told_and_passes_at_the_age_itself() {
        // The ruler evaluates every 10 s, a scrape comes every 5 s, and the alert is told at 40 s.
        let checked = |precheck: &str| POLICY.replace("expr: 'pods:up >= 1', because: the last replica is not restarted", precheck);
        let told = |precheck: &str, silent_from: u64| {
            let mut world = World::new(&[&checked(precheck)], Some(Actuator::simulated()));
            world.down.insert("api-1", 12);
            let id = world.raw.series(&Labels::named("depth", &[("pod", "api-1")]));
            for second in (0..=silent_from).step_by(5) {
                world.raw.append(id, Start::default().prometheus_millis(Time::from_seconds(second)), 1.0).unwrap();
            }
            world.run(40);
            world.told().into_iter().find(|line| line.starts_with("40 ") && !line.ends_with("fires")).unwrap()
        };
        let fresh = "expr: 'depth{pod=$pod} > 0', max_age: 20s, because: something waits";
        let old = "40 precheck: cannot tell: the newest sample of depth{pod=\"api-1\"} is 25s old > 20s";
        assert_eq!(told(fresh, 15), old);
        let acts = "40 restart (rolling) replica/api-1: Down fires, and depth{pod=\"api-1\"} 1 > 0";
        assert_eq!(told(fresh, 20), acts);
        assert_eq!(told("expr: 'depth{pod=$pod} > 0', because: something waits", 15), acts, "by itself Prometheus looks back five minutes");
        // What says nothing itself hides no age.
        let absent = "expr: 'absent(depth{pod=$pod} > 5)', max_age: 20s, because: not too much waits";
        assert_eq!(told(absent, 15), old);
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_everything_old_so_that_nothing_is_believed() {
        let sane = format!(
            "{}guard: {{ detector_sanity: {{ fresh: 'time() - timestamp(up{{pod=$pod}}) < 60' }} }}\n",
            POLICY.trim_start().replace("pods:up >= 1", "pods:up >= 0")
        );
        for (jump, why) in [(60, "60 < 60"), (3600, "no element")] {
            let mut world = World::new(&[&sane], Some(Actuator::simulated()));
            world.down.insert("api-1", 12);
            world.run(35);
            // Nothing was scraped since, by this clock. The alert is pending, so it fires now.
            let now = Time::from_seconds(35 + jump);
            let desk = &mut Desk { journal: &mut world.journal, commands: &mut world.commands };
            world.pilot.step((now, 0), Input::Notified(told_down()), &world.raw, desk);
            let told = world.told();
            assert!(told.iter().any(|line| line.contains("detector_sanity: ") && line.ends_with(why)), "{told:?}");
            assert!(world.commands.is_empty(), "{told:?}");
        }
    }

    #[test]
    fn of_two_that_are_told_at_one_instant_the_first_by_name_acts_and_the_other_waits_for_its_locks_whatever_the_order_of_files() {
        let locked = |name: &str| {
            let guard = "guard: { mutual_exclusion: { lease: 2m } }\n";
            format!("{}{guard}", POLICY.trim_start()).replace("policy: restart", &format!("policy: {name}"))
        };
        let (first, second) = (locked("first"), locked("second"));
        let run = |policies: [&str; 2]| {
            let mut world = World::new(&policies, Some(Actuator::simulated()));
            world.down.insert("api-1", 12);
            world.run(200);
            world
        };
        let world = run([&first, &second]);
        assert_eq!(world.journal.to_json_lines(), run([&second, &first]).journal.to_json_lines());
        let told = world.journal.records().iter().filter_map(|record| match &record.event {
            Event::Decided { policy, .. } => Some(format!("{} {policy} acts", record.at.as_seconds())),
            Event::Refused { policy, guard, held_by: Some(holder), .. } => {
                let until = holder.until.map_or(0.0, Time::as_seconds);
                Some(format!("{} {policy} by {guard}: {} has {} until {until}", record.at.as_seconds(), holder.policy, holder.target))
            }
            Event::IncidentClosed { policy, reason, .. } => Some(format!("{} {policy} closes: {reason}", record.at.as_seconds())),
            _ => None,
        });
        let expected = [
            "40 first acts",
            "40 second by mutual_exclusion: first has service/api until 160",
            "50 second closes: the alert is over before anything was done",
            "62 first closes: the remediation is verified",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_an_actuator_no_command_is_given() {
        let mut world = World::new(&[POLICY], None);
        world.down.insert("api-1", 12);
        world.run(200);
        assert_eq!(world.told()[..2], ["40 Down fires", "40 would restart (rolling) replica/api-1"]);
        assert!(world.running.is_empty());
    }

    #[test]
    fn a_branch_in_the_middle_of_an_incident_goes_on_as_the_trunk_does() {
        let mut trunk = World::new(&[POLICY], Some(Actuator::simulated()));
        trunk.down.insert("api-1", 12);
        for second in [30, 41, 50, 60] {
            trunk.run(second);
            let (mut one, mut two) = (trunk.clone(), trunk.clone());
            one.run(120);
            two.run(120);
            assert_eq!(one.journal.to_json_lines(), two.journal.to_json_lines());
        }
    }

    #[test]
    fn feeding_the_journaled_inputs_to_fresh_controllers_reproduces_every_record() {
        let other = POLICY.replace("policy: restart", "policy: second");
        let mut world = World::new(&[POLICY, &other], Some(Actuator::simulated()));
        world.down.extend([("api-1", 12), ("api-0", 80)]);
        world.run(300);
        let mut fresh = World::new(&[POLICY, &other], Some(Actuator::simulated())).pilot;
        let mut again = Journal::new();
        for record in world.journal.records() {
            let Event::Received { policy, input } = &record.event else { continue };
            let index = fresh.controllers.iter().position(|controller| controller.policy().name == *policy).unwrap();
            for effect in fresh.controllers[index].step(record.at, input.clone(), &mut fresh.guards) {
                if let Effect::Record(event) = effect {
                    again.write(record.at, event);
                }
            }
        }
        let by_controllers = |journal: &Journal| -> Vec<String> {
            let is_rulers = |event: &Event| {
                matches!(
                    event,
                    Event::AlertPending { .. } | Event::AlertFiring { .. } | Event::AlertResolved { .. } | Event::Notified { .. }
                )
            };
            let own = journal.records().iter().filter(|record| !is_rulers(&record.event));
            own.map(|record| format!("{} {:?}", record.at, record.event)).collect()
        };
        assert!(by_controllers(&again).len() > 20);
        assert_eq!(by_controllers(&again), by_controllers(&world.journal));
    }

    const TOGETHER: &str = "
schema: policy/1
policy: together
owner: team
on: { incident: { alerts: { of: [Down] }, scope: service, window: 1m } }
target: { service: $service }
steps:
  - restart: { mode: at_once }
    verify: { expr: 'min(up{pod=~\"api.*\"}) == 1', hold: 10s, within: 60s }
";

    #[test]
    fn alerts_that_come_together_are_an_incident_and_still_alerts_and_a_cap_keeps_the_two_apart() {
        let capped = |policy: &str| format!("{}guard: {{ caps: [{{ scope: service, of: targets, max: 1 }}] }}\n", policy.trim_start());
        let alone = capped(POLICY).replace("pods:up >= 1", "pods:up >= 0");
        let mut world = World::new(&[&alone, &capped(TOGETHER)], Some(Actuator::simulated()));
        world.down = [("api-0", 12), ("api-1", 12)].into();
        world.run(100);
        let correlated = world.journal.records().iter().filter_map(|record| match &record.event {
            Event::Correlated { incident, change, reason, .. } => {
                Some(format!("{} {incident} {change:?} {reason}", record.at.as_seconds()))
            }
            _ => None,
        });
        let expected = ["40 0 Opened 2 of Down began within 0s", "50 0 Shrank Down is over", "70 0 Closed Down is over"];
        assert_eq!(correlated.collect::<Vec<_>>(), expected);
        insta::assert_debug_snapshot!(world.told());
    }

    #[test]
    fn endless_work_at_one_instant_reaches_a_bound_with_a_name() {
        let mut world = World::new(&[POLICY], Some(Actuator::simulated()));
        for _ in 0..=MOST_INPUTS_AT_ONCE {
            world.pilot.plan(Time::ZERO, 0, Errand::Wake(99));
        }
        world.run(0);
        assert_eq!(world.told(), ["0 bound inputs_at_once"]);
        world.down.insert("api-1", 12);
        world.run(40);
        assert_eq!(world.told()[1..], ["40 Down fires", "40 restart (rolling) replica/api-1: Down fires, and pods:up 1 >= 1"]);
    }
}
