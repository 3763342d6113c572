//! What guards promise, held against an account of its own: whatever two policies ask for and whatever happens to them, no limit is exceeded,
//! every start has been decided, every refusal has its guard, a restart of the engine changes nothing, and dry-run starts nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use firedrill_core::action::{Action, ActionOutcome, ActionResult, Actuator, Command, Target};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::{AlertStatus, CountedPart, Event, GuardVerdict, Input, LabelSet, Notification, Truth, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::controller::{Controller, Effect, State};
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::guard::{Fact, Guard, Guards};
use firedrill_policies::policy::{ConditionAt, Policy};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Which guards a random policy asks for, times in seconds.
#[derive(Clone, Debug)]
struct Spec {
    on_service: bool,
    scales: bool,
    verifies: bool,
    kill_switch: bool,
    freeze: Option<(u64, u64)>,
    correlated: Option<(u64, u64)>,
    gate: Option<u64>,
    budget: Option<u64>,
    /// Whether the gate and the budget count each zone by itself, and not each service.
    by_zone: bool,
    caps: Option<u64>,
    rate: Option<(u64, u64)>,
    queue: Option<u64>,
    cooldown: Option<u64>,
    backoff: Option<(u64, u64)>,
    chain: Option<(u64, u64)>,
    lease: Option<u64>,
    breaker: Option<(u64, u64)>,
    canary: Option<u64>,
    /// How many must say yes, and within which time.
    approval: Option<(u64, u64)>,
    confidence: bool,
    /// Whether its first step is an action of its own, of two parts; and whether the second of them is on a service of its own.
    is_own: bool,
    is_apart: bool,
    precheck: bool,
    change: bool,
    fresh: bool,
}

/// Whom the policies ask, and how many of them; and who may not answer: whose the policies are, and a role that nobody has named.
const PEOPLE: [(&str, &str); 5] = [("ada", "oncall"), ("bob", "oncall"), ("cleo", "lead"), ("team", "oncall"), ("eve", "guest")];

/// How many of them may answer.
const ENTITLED: usize = 3;

/// How many of them are called.
const CALLED: usize = 2;

fn specs() -> impl Strategy<Value = Spec> {
    let seconds = || 1_u64..200;
    let what = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let seen = (option::of((0_u64..20, 1_u64..20)), option::of((1_u64..101, seconds())), option::of(0_u64..4), option::of(0_u64..4));
    let counted = (option::of(0_u64..3), option::of((1_u64..4, seconds())), option::of(seconds()), option::of(seconds()));
    let learnt = (option::of((1_u64..60, 1_u64..400)), option::of((1_u64..3, seconds())), option::of(seconds()));
    let own = (option::of((1_u64..5, seconds())), option::of(seconds()));
    let people = (option::weighted(0.4, (1_u64..3, seconds())), prop::bool::weighted(0.3));
    let seldom = || prop::bool::weighted(0.2);
    let asked = (prop::bool::weighted(0.3), seldom(), seldom(), seldom(), any::<bool>());
    (what, seen, counted, learnt, own, people, asked).prop_map(|(what, seen, counted, learnt, own, people, asked)| {
        let (is_own, precheck, change, fresh, by_zone) = asked;
        let (approval, confidence) = people;
        let (on_service, scales, verifies, kill_switch) = what;
        let (freeze, correlated, gate, budget) = seen;
        let (caps, rate, queue, cooldown) = counted;
        let (backoff, chain, lease) = learnt;
        let (breaker, canary) = own;
        let on_service = on_service || scales || is_own;
        Spec {
            on_service,
            scales,
            verifies,
            kill_switch,
            freeze,
            correlated,
            gate,
            budget,
            by_zone,
            caps,
            rate,
            queue,
            cooldown,
            backoff,
            chain,
            lease,
            breaker,
            canary,
            approval,
            confidence,
            is_own,
            is_apart: by_zone,
            precheck,
            change,
            fresh,
        }
    })
}

impl Spec {
    /// What an action of its own goes on with after its first part.
    fn later(&self, first: &Target) -> (Target, u64) {
        let target = if self.is_apart { Target::Service(Name::new("cart")) } else { first.clone() };
        (target, u64::from(!self.scales))
    }

    fn policy(&self, name: &str) -> Arc<Policy> {
        let target = if self.on_service { "service: $service" } else { "replica: $pod" };
        let (deed, failure) = match (self.is_own, self.scales) {
            (true, scales) => ("action: in-two-parts", if scales { "revert" } else { "next" }),
            (false, true) => ("scale: { by: 1 }", "revert"),
            (false, false) => ("restart: { mode: rolling }", "next"),
        };
        // Only what can be undone as a whole may be undone.
        let second = if self.scales { "scale: { by: 2 }" } else { "restart: { mode: rolling }" };
        let place = if self.is_apart { ", target: { service: cart }" } else { "" };
        let own = format!(
            "actions:\n  in-two-parts:\n    models:\n      - {{ scale: {{ by: 1 }}, takes: 5s, fails: 0% }}\n      - {{ {second}, takes: 10s, fails: 0%{place} }}\n"
        );
        let own = if self.is_own { own.as_str() } else { "" };
        let precheck = if self.precheck { "precheck: [{ expr: down == 1, because: it must be down }]\n" } else { "" };
        let verify = if self.verifies { "\n    verify: { expr: 'up == 1', hold: 5s, within: 20s }" } else { "" };
        let mut text = format!(
            "schema: policy/1\npolicy: {name}\nowner: team\n{own}{precheck}on: {{ alert: Down }}\ntarget: {{ {target} }}\nsteps:\n  - {deed}{verify}\n    \
             on_failure: {failure}\n  - restart: {{ mode: rolling }}\n  - escalate: {{ to: oncall }}\nguard:\n"
        );
        let mut guard = |line: Option<String>| {
            if let Some(line) = line {
                writeln!(text, "  {line}").unwrap();
            }
        };
        guard(self.kill_switch.then(|| "kill_switch: { expr: off == 1 }".to_owned()));
        guard(self.change.then(|| "change_in_progress: { expr: rollout == 1 }".to_owned()));
        guard(self.fresh.then(|| "detector_sanity: { fresh: 'time() - timestamp(up) < 60' }".to_owned()));
        guard(self.freeze.map(|(from, minutes)| format!("freeze: [{{ from: 2026-01-05T00:{from:02}, zone: UTC, lasting: {minutes}m }}]")));
        guard(self.correlated.map(|(share, within)| format!("correlated_failure: {{ share: {share}%, of: service, within: {within}s }}")));
        let scope = if self.by_zone { "zone" } else { "service" };
        guard(self.gate.map(|max| format!("max_unhealthy: {{ healthy: up == 1, scope: {scope}, max: {max} }}")));
        guard(self.budget.map(|desired| format!("disruption_budget: {{ healthy: up == 1, scope: {scope}, desired: {desired} }}")));
        guard(self.caps.map(|max| format!("caps: [{{ scope: all, of: targets, max: {max} }}]")));
        let overflow = self.queue.map_or_else(String::new, |queue| format!(", overflow: {{ queue: {queue}s }}"));
        guard(self.rate.map(|(max, window)| format!("rate_limit: [{{ max: {max}, window: {window}s, scope: all{overflow} }}]")));
        guard(self.cooldown.map(|rest| format!("cooldown: {rest}s")));
        guard(
            self.backoff
                // Longer than the longest rest.
                .map(|(base, reset)| (base, 301 + reset))
                .map(|(base, reset)| format!("backoff: {{ base: {base}s, factor: x2, cap: 5m, jitter: 10%, reset_after: {reset}s }}")),
        );
        guard(self.chain.map(|(actions, within)| format!("ineffective_chain: {{ actions: {actions}, within: {within}s }}")));
        guard(self.lease.map(|lease| format!("mutual_exclusion: {{ lease: {lease}s }}")));
        guard(self.breaker.map(|(actions, within)| format!("breaker: {{ actions: {actions}, within: {within}s }}")));
        guard(
            self.approval.map(|(quorum, expires)| format!("approval: {{ from: [oncall, lead], quorum: {quorum}, expires: {expires}s }}")),
        );
        guard(self.confidence.then(|| "confidence: { expr: sure }".to_owned()));
        guard(self.canary.map(|trust| format!("canary: {{ trust: {trust}s }}")));
        let text = text.trim_end_matches("guard:\n").to_owned();
        read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
    }
}

/// api: 4 replicas, cart: 3; of each every other stands in zone a, the rest in b.
fn inventory() -> Arc<Inventory> {
    let entry = |replicas| ServiceEntry { replicas, zones: vec![Name::new("a"), Name::new("b")], critical: true, calls: Vec::new() };
    Arc::new(Inventory { services: [(Name::new("api"), entry(4)), (Name::new("cart"), entry(3))].into(), ..Inventory::default() })
}

fn declared(service: &Name) -> u64 {
    if service.as_str() == "api" { 4 } else { 3 }
}

/// The parts of the system that a target touches, each with its declared replicas.
fn parts(target: &Target, by_zone: bool) -> Vec<(Target, u64)> {
    let zone = |(name, declared): (&str, u64)| (Target::Zone(Name::new(name)), declared);
    match target {
        _ if !by_zone => vec![(Target::Service(service(target)), declared(&service(target)))],
        Target::Replica(name) => {
            let index: usize = name.rsplit('-').next().unwrap().parse().unwrap();
            vec![zone(ZONES[index % 2])]
        }
        _ => ZONES.into_iter().map(zone).collect(),
    }
}

/// The zones with their declared replicas.
const ZONES: [(&str, u64); 2] = [("a", 4), ("b", 3)];

fn service(target: &Target) -> Name {
    target.service().unwrap()
}

/// An incident of one of the two policies.
type Case = (usize, u64);

/// Targets, each with how many replicas an action there takes from their users.
type Whole = Vec<(Target, u64)>;

/// What an incident has acted on; whether it does now, how many replicas that takes from their users, and what it will go on with: it has been let in.
#[derive(Debug, Default)]
struct Deeds {
    targets: Vec<Target>,
    runs: bool,
    takes: u64,
    ahead: Whole,
    /// Where the first target of its last step stands.
    step: usize,
    /// Whether its last step is being undone.
    undoes: bool,
}

impl Deeds {
    /// What it works on, and what it has been let in to work on, each with how much that takes.
    fn held(&self) -> impl Iterator<Item = (&Target, u64)> {
        let runs = self.targets.last().filter(|_| self.runs).map(|target| (target, self.takes));
        runs.into_iter().chain(self.ahead.iter().map(|(target, takes)| (target, *takes)))
    }

    /// All that it has touched or will.
    fn touched(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(self.ahead.iter().map(|(target, _)| target))
    }
}

/// What happened, as far as limits are concerned, by an account that knows nothing of how guards work.
#[derive(Debug, Default)]
struct Account {
    /// Start, whose, on what.
    starts: Vec<(Time, Case, Target)>,
    /// The same of ends.
    ends: Vec<(Time, Case, Target)>,
    /// Those of incidents that are open.
    deeds: BTreeMap<Case, Deeds>,
    /// What was known of each action at last: whether it is known to have helped.
    outcomes: Vec<(Time, Case, Target, bool)>,
    /// When an incident last took the lock of a service.
    locked: BTreeMap<(Case, Name), Time>,
    /// When alerts for targets began.
    failures: Vec<(Time, Target)>,
    /// The last answers to what guards of an incident wanted to know.
    judged: BTreeMap<(Case, ConditionAt), Truth>,
    counted: BTreeMap<(Case, Fact), SeenHealthy>,
    /// Policies whose breaker has opened.
    stopped: BTreeSet<usize>,
    /// How sure an incident was said to be at last.
    sure: BTreeMap<Case, Option<f64>>,
    /// What people were asked.
    questions: BTreeMap<(usize, u64), Question>,
}

/// How many were seen, and how many of them healthy; and the same of each part of which any was.
#[derive(Clone, Debug)]
struct SeenHealthy {
    all: (u64, u64),
    parts: Option<Vec<CountedPart>>,
}

impl SeenHealthy {
    /// Of one of so many parts: what is not told apart is that of none of several.
    fn of(&self, part: &Target, count: usize) -> (u64, u64) {
        let Some(parts) = &self.parts else { return if count > 1 { (0, 0) } else { self.all } };
        parts.iter().find(|own| own.part == *part).map_or((0, 0), |own| (own.holding, own.elements))
    }
}

/// What people were asked, and who said yes.
#[derive(Debug)]
struct Question {
    case: Case,
    target: Target,
    at: Time,
    yes: BTreeSet<&'static str>,
    is_denied: bool,
    is_used: bool,
}

fn within(at: Time, window: u64, now: Time) -> bool {
    at <= now && now.since(at) < Span::from_seconds(window)
}

/// Whether a decision goes on with an action of which a part is done already: it has passed the guards, and is one start.
fn goes_on(reason: &str) -> bool {
    reason.contains(": part ") && !reason.contains(": part 1 of ")
}

impl Account {
    /// Whether the last answer to a condition of an incident was this.
    fn is(&self, case: Case, condition: ConditionAt, verdict: Truth) -> bool {
        self.judged.get(&(case, condition)) == Some(&verdict)
    }

    /// Whether an action may start that is not an undoing, by each guard that its policy asks for; of one of several parts all of them.
    fn judge(&self, spec: &Spec, case: Case, whole: &Whole, now: Time) -> Result<(), String> {
        let target = &whole[0].0;
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {case:?} on {target} at {now}")) };
        let others = || self.deeds.iter().filter(|(other, _)| **other != case);
        must(!spec.kill_switch || self.is(case, ConditionAt::Guard(Fact::Off), Truth::False), "kill_switch")?;
        must(!spec.change || self.is(case, ConditionAt::Guard(Fact::Changing), Truth::False), "change_in_progress")?;
        must(!spec.fresh || self.is(case, ConditionAt::Guard(Fact::Fresh), Truth::True), "detector_sanity")?;
        must(!spec.precheck || self.is(case, ConditionAt::Precheck(0), Truth::True), "precheck")?;
        let minutes = |minute| Time::from_seconds(60 * minute);
        must(spec.freeze.is_none_or(|(from, length)| now < minutes(from) || now >= minutes(from + length)), "freeze")?;
        must(!others().any(|(other, deeds)| other.0 == case.0 && service(&deeds.targets[0]) == service(target)), "dedup")?;
        if let (Some((share, window)), Target::Replica(_)) = (spec.correlated, target) {
            let failed = self.failures.iter().filter(|(at, _)| within(*at, window, now)).map(|(_, target)| target).chain([target]);
            let failed: BTreeSet<&Target> =
                failed.filter(|own| matches!(own, Target::Replica(_)) && service(own) == service(target)).collect();
            let limit = (share * declared(&service(target))).div_ceil(100).max(2);
            must((failed.len() as u64) < limit, "correlated_failure")?;
        }
        if let Some(max) = spec.caps {
            let touched: BTreeSet<&Target> = others().flat_map(|(_, deeds)| deeds.touched()).collect();
            let own: BTreeSet<&Target> = whole.iter().map(|(own, _)| own).collect();
            must(own.is_subset(&touched) || touched.union(&own).count() as u64 <= max, "caps")?;
        }
        if let Some((max, window)) = spec.rate {
            let count = self.starts.iter().filter(|(at, other, _)| other.0 == case.0 && within(*at, window, now)).count() as u64;
            must(count < max, "rate_limit")?;
        }
        for (own, _) in whole {
            self.judge_health(spec, case, (own, whole), now)?;
            self.judge_rest(spec, case, own, now)?;
            self.judge_record(spec, case, own, now)?;
        }
        Ok(())
    }

    /// What is healthy where a target is: enough, when all that others work on or have been let in to, and all of this, is taken.
    fn judge_health(&self, spec: &Spec, case: Case, (target, whole): (&Target, &Whole), now: Time) -> Result<(), String> {
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {case:?} on {target} at {now}")) };
        let touched = parts(target, spec.by_zone);
        for (part, declared) in &touched {
            if let Some(max) = spec.gate {
                let (healthy, elements) = self.counted[&(case, Fact::Healthy)].of(part, touched.len());
                must(elements > 0 && (*declared).max(elements) - healthy <= max, "max_unhealthy")?;
            }
            if let Some(desired) = spec.budget {
                let (healthy, elements) = self.counted[&(case, Fact::Budget)].of(part, touched.len());
                let touches = |own: &Target| parts(own, spec.by_zone).iter().any(|(own, _)| own == part);
                let held = self.deeds.iter().filter(|(other, _)| **other != case).flat_map(|(_, deeds)| deeds.held());
                let held: u64 = held.filter(|(own, _)| touches(own)).map(|(_, takes)| takes).sum();
                let this: u64 = whole.iter().filter(|(own, _)| touches(own)).map(|(_, takes)| takes).sum();
                must(elements > 0 && healthy.saturating_sub(held + this) >= desired, "disruption_budget")?;
            }
        }
        Ok(())
    }

    /// Whether a target has rested, and nobody works on what overlaps with it or has been let in to.
    fn judge_rest(&self, spec: &Spec, case: Case, target: &Target, now: Time) -> Result<(), String> {
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {case:?} on {target} at {now}")) };
        let others = || self.deeds.iter().filter(|(other, _)| **other != case);
        let is_whole = |own: &Target| matches!(own, Target::Service(_));
        let overlaps = |own: &Target| own == target || service(own) == service(target) && (is_whole(own) || is_whole(target));
        if let Some(rest) = spec.cooldown {
            must(!self.ends.iter().any(|(at, other, own)| *other != case && own == target && within(*at, rest, now)), "cooldown")?;
            must(!others().flat_map(|(_, deeds)| deeds.held()).any(|(own, _)| overlaps(own)), "cooldown")?;
        }
        if let Some((base, _)) = spec.backoff {
            let is_start = |case: &Case| self.starts.iter().any(|(_, other, own)| other == case && own == target);
            let ends = self.ends.iter().filter(|(_, other, own)| other.0 == case.0 && *other != case && own == target && is_start(other));
            must(ends.map(|(at, ..)| now.since(*at)).all(|rest| rest >= Span::from_seconds(base)), "backoff")?;
        }
        Ok(())
    }

    /// The guards that look at what became of earlier actions.
    fn judge_record(&self, spec: &Spec, case: Case, target: &Target, now: Time) -> Result<(), String> {
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {case:?} on {target} at {now}")) };
        if let Some((actions, window)) = spec.chain {
            let own = self.outcomes.iter().rev().filter(|(at, _, own, _)| own == target && within(*at, window, now));
            let in_vain = own.take_while(|(.., helped)| !*helped);
            must((in_vain.count() as u64) < actions, "ineffective_chain")?;
        }
        must(!self.stopped.contains(&case.0), "breaker")?;
        if let Some(trust) = spec.canary {
            let judged = |(at, other, ..): &&(Time, Case, Target, bool)| other.0 == case.0 && *other != case && within(*at, trust, now);
            let acting = self.deeds.keys().any(|other| other.0 == case.0 && *other != case);
            must(self.outcomes.iter().rev().find(judged).map_or(!acting, |(.., helped)| *helped), "canary")?;
        }
        Ok(())
    }

    /// Enough people who may have said yes to this and to nothing else, in time, and it is the first use of it; where the policy is not sure, what nothing
    /// undoes needs one of them too.
    fn judge_people(&mut self, spec: &Spec, case: Case, (target, scales): (&Target, bool), now: Time) -> Result<(), String> {
        let mut needed = spec.approval;
        if spec.confidence {
            let sure = self.sure.get(&case).copied().flatten().unwrap_or(0.0);
            if sure < 0.7 {
                return Err(format!("confidence: {case:?} on {target} at {now}, {sure}"));
            }
            let is_careful = scales && spec.verifies;
            needed = needed.or((sure < 0.9 && !is_careful).then_some((1, 15 * 60)));
        }
        let Some((quorum, expires)) = needed else { return Ok(()) };
        let allows = |own: &&mut Question| {
            let is_of_it = own.case == case && own.target == *target && !own.is_used && !own.is_denied;
            is_of_it && own.yes.len() as u64 >= quorum && now.since(own.at) <= Span::from_seconds(expires)
        };
        let question = self.questions.values_mut().find(allows).ok_or_else(|| format!("approval: {case:?} on {target} at {now}"))?;
        question.is_used = true;
        Ok(())
    }

    /// Nobody else who asks for locks may hold the service.
    fn judge_locks(&self, specs: &[Spec], case: Case, target: &Target, now: Time) -> Result<(), String> {
        if specs[case.0].lease.is_none() {
            return Ok(());
        }
        for (other, deeds) in self.deeds.iter().filter(|(other, _)| **other != case) {
            let Some(lease) = specs[other.0].lease else { continue };
            let last = self.locked.get(&(*other, service(target)));
            let holds = deeds.touched().any(|own| service(own) == service(target)) && last.is_some_and(|at| within(*at, lease, now));
            if holds {
                return Err(format!("mutual_exclusion: {case:?} on {target} at {now}, held by {other:?}"));
            }
        }
        Ok(())
    }
}

/// What a policy waits for.
enum Pending {
    Timer(u64),
    Answer(u64, ConditionAt),
    Reply(u64, usize, bool),
}

/// Two policies, what they share, and all that happens to them.
struct Rig {
    specs: Vec<Spec>,
    policies: Vec<Arc<Policy>>,
    controllers: Vec<Controller>,
    guards: Guards,
    agenda: BTreeMap<(Time, u64), (usize, Pending)>,
    next: u64,
    running: VecDeque<(usize, Command)>,
    account: Account,
    luck: Vec<u8>,
    used: usize,
    inputs: Vec<(Time, usize, Input, Vec<Effect>)>,
    acts: bool,
}

fn controllers(policies: &[Arc<Policy>], acts: bool) -> Vec<Controller> {
    let actuator = acts.then(Actuator::simulated);
    policies.iter().map(|policy| Controller::new(policy.clone(), inventory(), Stage::Full, actuator)).collect()
}

impl Rig {
    fn new(specs: Vec<Spec>, luck: Vec<u8>, acts: bool) -> Self {
        let policies: Vec<_> = specs.iter().zip(["first", "second"]).map(|(spec, name)| spec.policy(name)).collect();
        let controllers = controllers(&policies, acts);
        let (guards, agenda, running, account) = Default::default();
        Self { specs, policies, controllers, guards, agenda, next: 0, running, account, luck, used: 0, inputs: Vec::new(), acts }
    }

    fn luck(&mut self, below: u8) -> u8 {
        self.used += 1;
        self.luck[self.used % self.luck.len()] % below
    }

    /// The engine is stopped, its state written down, and another one goes on with it.
    fn restart(&mut self) {
        let states: Vec<String> = self.controllers.iter().map(|own| serde_json::to_string(own.state()).unwrap()).collect();
        let guards = serde_json::to_string(&self.guards).unwrap();
        self.controllers = controllers(&self.policies, self.acts);
        for (controller, state) in self.controllers.iter_mut().zip(states) {
            controller.restore(serde_json::from_str::<State>(&state).unwrap()).unwrap();
        }
        self.guards = serde_json::from_str(&guards).unwrap();
    }

    /// Until a time: everything that is due, in its order.
    fn pass(&mut self, until: Time) -> Result<(), String> {
        while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            let ((at, _), (index, pending)) = self.agenda.pop_first().unwrap();
            let input = match pending {
                Pending::Timer(timer) => Input::Timer { timer },
                Pending::Answer(query, condition) => self.answer(query, condition, self.specs[index].by_zone),
                Pending::Reply(proposal, person, yes) => {
                    let (who, role) = PEOPLE[person];
                    Input::Answered { proposal, who: Name::new(who), role: Name::new(role), yes }
                }
            };
            self.feed(at, index, input)?;
        }
        Ok(())
    }

    fn answer(&mut self, query: u64, condition: ConditionAt, by_zone: bool) -> Input {
        if let ConditionAt::Guard(Fact::Healthy | Fact::Budget) = condition {
            return self.count(query, by_zone);
        }
        if condition == ConditionAt::Confidence {
            let value = [None, Some(0.7_f64.next_down()), Some(0.7), Some(0.8), Some(0.9), Some(1.0)][usize::from(self.luck(6))];
            return Input::Measured { query, value, figures: format!("{value:?}") };
        }
        let verdict = [Truth::True, Truth::False, Truth::False, Truth::Unknown, Truth::True][usize::from(self.luck(5))];
        Input::Evaluated { query, verdict, figures: String::new() }
    }

    /// What is seen of two services or zones, of either of them nothing at times; seldom nobody has told them apart.
    fn count(&mut self, query: u64, by_zone: bool) -> Input {
        let names = if by_zone {
            ZONES.map(|(name, _)| Target::Zone(Name::new(name)))
        } else {
            ["api", "cart"].map(|name| Target::Service(Name::new(name)))
        };
        let mut parts = Vec::new();
        for part in names {
            let elements = u64::from(self.luck(6));
            let holding = u64::from(self.luck(8)).min(elements);
            if elements > 0 {
                parts.push(CountedPart { part, holding, elements });
            }
        }
        let (holding, elements) = parts.iter().fold((0, 0), |(holding, elements), own| (holding + own.holding, elements + own.elements));
        let parts = (self.luck(8) > 0).then_some(parts);
        Input::Counted { query, holding, elements, error: String::new(), parts }
    }

    fn feed(&mut self, now: Time, index: usize, input: Input) -> Result<(), String> {
        self.know(now, index, &input);
        let effects = self.controllers[index].step(now, input.clone(), &mut self.guards);
        self.inputs.push((now, index, input, effects.clone()));
        audit(&self.policies[index], &effects)?;
        let mut undoing = false;
        for effect in effects {
            match effect {
                Effect::Evaluate { query, question, at } => self.plan(at.max(now), index, Pending::Answer(query, question.condition)),
                Effect::SetTimer { timer, at } => self.plan(at, index, Pending::Timer(timer)),
                Effect::CancelTimer { timer } => {
                    self.agenda.retain(|_, (own, pending)| *own != index || !matches!(pending, Pending::Timer(other) if *other == timer));
                }
                Effect::Record(event) => {
                    if let Event::Decided { reason, .. } = &event {
                        undoing = reason.starts_with("undo: ");
                    }
                    self.note(now, index, &event, undoing).map_err(|error| format!("{error}: {event:?}"))?;
                }
                Effect::Start(command) => self.running.push_back((index, command)),
                Effect::Ask { proposal, consent: Some(_), .. } => {
                    // Some never answer, some twice, and some who may not.
                    for _ in 0..self.luck(5) {
                        let (person, after, no) = (self.luck(PEOPLE.len() as u8), self.luck(200), self.luck(8));
                        let at = now.saturating_add(Span::from_seconds(after.into()));
                        self.plan(at, index, Pending::Reply(proposal, person.into(), no != 0));
                    }
                }
                // What nobody gathers is given up after a time, which its timer tells.
                Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } | Effect::Gather { .. } => {}
            }
        }
        Ok(())
    }

    fn plan(&mut self, at: Time, index: usize, pending: Pending) {
        self.agenda.insert((at, self.next), (index, pending));
        self.next += 1;
    }

    /// What an input tells the account before the policy hears it.
    fn know(&mut self, now: Time, index: usize, input: &Input) {
        if let Input::Finished(result) = input {
            let cases = self.account.deeds.iter_mut().filter(|((own, _), deeds)| *own == index && deeds.runs);
            // One policy runs several actions at a time only for different services, and each has the number of its decision.
            for (case, deeds) in cases {
                if self.inputs.iter().rev().any(|(_, own, _, effects)| *own == index && decides(effects, *case, result)) {
                    deeds.runs = false;
                    if result.outcome.failure().is_some() {
                        deeds.ahead.clear();
                    }
                    let target = deeds.targets.last().unwrap().clone();
                    self.account.ends.push((now, *case, target.clone()));
                    if result.outcome.failure().is_some() && !undoes(&self.inputs, index, result) {
                        self.account.outcomes.push((now, *case, target, false));
                    }
                    break;
                }
            }
        }
        let asked = |state: &Self, query: u64| -> Option<(Case, ConditionAt)> {
            let asks = |effect: &Effect| match effect {
                Effect::Evaluate { query: own, question, .. } if *own == query => Some(question.condition),
                _ => None,
            };
            let earlier = state.inputs.iter().rev().filter(|(_, own, ..)| *own == index);
            let condition = earlier.flat_map(|(.., effects)| effects).find_map(asks)?;
            Some(((index, state.waits_for(index, query)?), condition))
        };
        match input {
            Input::Evaluated { query, verdict, .. } => {
                if let Some(asked) = asked(self, *query) {
                    self.account.judged.insert(asked, *verdict);
                }
            }
            Input::Measured { query, value, .. } => {
                if let Some((case, ConditionAt::Confidence)) = asked(self, *query) {
                    self.account.sure.insert(case, *value);
                }
            }
            Input::Answered { proposal, who, role, yes } => {
                // Where the policy names nobody, those may answer whom it calls.
                let entitled = if self.specs[index].approval.is_some() { ENTITLED } else { CALLED };
                let person = PEOPLE[..entitled].iter().find(|(own, of)| *own == who.as_str() && *of == role.as_str());
                if let (Some((who, _)), Some(question)) = (person, self.account.questions.get_mut(&(index, *proposal))) {
                    if *yes {
                        question.yes.insert(who);
                    } else if question.yes.len() < self.specs[index].approval.map_or(1, |(quorum, _)| quorum as usize) {
                        // A no that comes after it was allowed comes too late.
                        question.is_denied = true;
                    }
                }
            }
            Input::Counted { query, holding, elements, parts, .. } => {
                if let Some((case, ConditionAt::Guard(fact))) = asked(self, *query) {
                    let seen = SeenHealthy { all: (*holding, *elements), parts: parts.clone() };
                    self.account.counted.insert((case, fact), seen);
                }
            }
            _ => {}
        }
    }

    /// The incident that waits for an answer, as the state says that would be saved now.
    fn waits_for(&self, index: usize, query: u64) -> Option<u64> {
        let state = serde_json::to_value(self.controllers[index].state()).unwrap();
        let waits = |incident: &serde_json::Value| {
            let checking = &incident["phase"]["Checking"];
            let (first, count) = (checking["first"].as_u64()?, checking["answers"].as_array()?.len() as u64);
            (first..first + count).contains(&query).then(|| incident["id"].as_u64().unwrap())
        };
        state["incidents"].as_object().unwrap().values().find_map(waits)
    }

    /// What the journal tells the account; a start must be allowed by it.
    fn note(&mut self, now: Time, index: usize, event: &Event, undoing: bool) -> Result<(), String> {
        match event {
            Event::IncidentOpened { target: Some(target), .. } => {
                let began = self.inputs.iter().rev().find_map(|(at, own, input, _)| match input {
                    Input::Notified(told) if *own == index && told.status == AlertStatus::Firing => Some((*at).min(told.starts_at)),
                    _ => None,
                });
                // An alert that is taken up again began when it began.
                if matches!(self.inputs.last(), Some((_, _, Input::Notified(_), _))) {
                    self.account.failures.push((began.unwrap(), target.clone()));
                }
            }
            Event::Proposed { incident, proposal, target, consent: Some(_), .. } => {
                let question = Question {
                    case: (index, *incident),
                    target: target.clone(),
                    at: now,
                    yes: BTreeSet::new(),
                    is_denied: false,
                    is_used: false,
                };
                self.account.questions.insert((index, *proposal), question);
            }
            Event::IncidentClosed { incident, .. } => {
                self.account.deeds.remove(&(index, *incident));
            }
            Event::Verified { incident, verdict, .. } => {
                let case = (index, *incident);
                if let Some(deeds) = self.account.deeds.get(&case) {
                    // What cannot be told to have helped is in vain. Of one action of several parts all are judged.
                    let helped = matches!(verdict, Verification::Held);
                    let judged = deeds.targets[deeds.step..].iter();
                    self.account.outcomes.extend(judged.map(|target| (now, case, target.clone(), helped)));
                }
            }
            Event::Decided { incident, target, what, reason, .. } if goes_on(reason) => {
                let case = (index, *incident);
                let is_off = self.account.is(case, ConditionAt::Guard(Fact::Off), Truth::False);
                if self.specs[index].kill_switch && matches!(what, Action::Restart { .. }) && !is_off {
                    return Err(format!("kill_switch: {case:?} goes on with {target} at {now}"));
                }
                let deeds = self.account.deeds.get_mut(&case).ok_or_else(|| format!("{case:?} goes on with what never began"))?;
                let part = (target.clone(), u64::from(matches!(what, Action::Restart { .. })));
                if deeds.ahead.first() != Some(&part) {
                    return Err(format!("{case:?} goes on with what was not let in"));
                }
                deeds.ahead.remove(0);
                deeds.targets.push(part.0);
                (deeds.runs, deeds.takes) = (true, part.1);
            }
            Event::Decided { incident, target, what, reason, .. } | Event::WouldAct { incident, target, what, reason, .. } => {
                self.decided(now, (index, *incident), (what, target, reason), undoing)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// An action starts, or would: the first of a step, or one that undoes.
    fn decided(&mut self, now: Time, case: Case, (what, target, reason): (&Action, &Target, &str), undoing: bool) -> Result<(), String> {
        let index = case.0;
        let takes = u64::from(matches!(what, Action::Restart { .. }));
        let mut whole = vec![(target.clone(), takes)];
        if reason.contains(": part 1 of ") {
            whole.push(self.specs[index].later(target));
        }
        if !undoing {
            self.account.judge(&self.specs[index], case, &whole, now)?;
            if self.acts {
                // Of an action of its own the whole counts, of which another part may be what nothing undoes.
                let spec = &self.specs[index];
                let scales = matches!(what, Action::Scale { .. }) && (spec.scales || !spec.is_own);
                self.account.judge_people(&self.specs[index], case, (target, scales), now)?;
            }
        }
        // Of what is undone as one the guards are asked once, and its locks are taken with the first of it.
        let goes_on = undoing && self.account.deeds.get(&case).is_some_and(|deeds| deeds.undoes);
        for (target, _) in whole.iter().filter(|_| !goes_on) {
            self.account.judge_locks(&self.specs, case, target, now)?;
        }
        let deeds = self.account.deeds.entry(case).or_default();
        if !goes_on {
            self.account.starts.push((now, case, target.clone()));
            let locked = whole.iter().map(|(target, _)| ((case, service(target)), now));
            self.account.locked.extend(locked);
        }
        (deeds.step, deeds.undoes) = (deeds.targets.len(), undoing);
        deeds.targets.push(target.clone());
        (deeds.runs, deeds.takes, deeds.ahead) = (true, takes, whole.split_off(1));
        if let Some((most, window)) = self.specs[index].breaker {
            let count = self.account.starts.iter().filter(|(at, own, _)| own.0 == index && within(*at, window, now)).count() as u64;
            if count >= most {
                self.account.stopped.insert(index);
            }
        }
        Ok(())
    }
}

fn decides(effects: &[Effect], case: Case, result: &ActionResult) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Record(Event::Decided { incident, action, .. }) if *incident == case.1 && *action == result.action))
}

fn undoes(inputs: &[(Time, usize, Input, Vec<Effect>)], index: usize, result: &ActionResult) -> bool {
    let undo = |effect: &Effect| matches!(effect, Effect::Record(Event::Decided { action, reason, .. }) if *action == result.action && reason.starts_with("undo: "));
    inputs.iter().any(|(_, own, _, effects)| *own == index && effects.iter().any(undo))
}

/// Every start is decided in its step and by its number; every refusal of a guard is a refusal of the action by that guard; guards are asked in
/// their order, and all that the policy asks for before a decision.
fn audit(policy: &Policy, effects: &[Effect]) -> Result<(), String> {
    let mut decided = None;
    let mut asked: BTreeMap<u64, Vec<(Name, GuardVerdict)>> = BTreeMap::new();
    let place = |guard: &Name| Guard::ALL.iter().position(|own| own.word() == guard.as_str()).unwrap();
    for effect in effects {
        match effect {
            Effect::Record(Event::Guarded { incident, guard, verdict, .. }) => {
                let before = asked.entry(*incident).or_default();
                if let Some((last, verdict)) = before.last() {
                    if *verdict == GuardVerdict::Refused {
                        return Err(format!("{guard} was asked after {last} had refused"));
                    }
                    if place(last) >= place(guard) {
                        return Err(format!("{guard} was asked after {last}"));
                    }
                }
                before.push((guard.clone(), *verdict));
            }
            Effect::Record(Event::Refused { incident, guard, .. }) => {
                let last = asked.remove(incident).and_then(|asked| asked.last().cloned());
                if last != Some((guard.clone(), GuardVerdict::Refused)) {
                    return Err(format!("refused by {guard}, and the last that was asked is {last:?}"));
                }
            }
            Effect::Record(Event::Decided { incident, action, reason, .. }) => {
                let passed = asked.remove(incident).unwrap_or_default();
                let is_exempt = reason.starts_with("undo: ") || goes_on(reason);
                let needed = |guard: &&Guard| **guard > Guard::Dedup && policy.guards.has(**guard) && !is_exempt;
                for guard in Guard::ALL.iter().filter(needed) {
                    if !passed.iter().any(|(name, _)| name.as_str() == guard.word()) {
                        return Err(format!("{action} was decided, and nobody asked {}", guard.word()));
                    }
                }
                decided = Some(action.clone());
            }
            Effect::Start(command) if decided.take().as_ref() != Some(command.id()) => {
                return Err(format!("nobody decided {}", command.id()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn notification(status: AlertStatus, pod: u8, now: Time) -> Input {
    let (service, replica) = if pod < 4 { ("api", pod) } else { ("cart", pod - 4) };
    let labels = [("alertname", "Down".to_owned()), ("service", service.to_owned()), ("pod", format!("{service}-{replica}"))];
    let labels: LabelSet = labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
    Input::Notified(Notification { alert: Name::new("Down"), status, labels, starts_at: now, receiver: None })
}

/// One thing that happens: a kind, a replica, seconds since the last, and whether the engine is restarted before it.
type Happening = (u8, u8, u64, bool);

fn play(stage: &mut Rig, happenings: &[Happening], restarts: bool) -> Result<(), String> {
    let mut now = Time::ZERO;
    for (kind, pod, gap, restart) in happenings {
        now = now.saturating_add(Span::from_seconds(*gap));
        stage.pass(now)?;
        if *restart && restarts {
            stage.restart();
        }
        match kind {
            0..=2 => {
                for index in 0..2 {
                    stage.feed(now, index, notification(AlertStatus::Firing, *pod, now))?;
                }
            }
            3 | 4 => {
                for index in 0..2 {
                    stage.feed(now, index, notification(AlertStatus::Resolved, *pod, now))?;
                }
            }
            _ => {
                if let Some((index, command)) = stage.running.pop_front() {
                    let outcome = if kind % 3 == 0 { ActionOutcome::Failed("no".into()) } else { ActionOutcome::Succeeded };
                    let result = ActionResult { action: command.id().clone(), at: now, outcome };
                    stage.feed(now, index, Input::Finished(result))?;
                }
            }
        }
        stage.pass(now)?;
    }
    Ok(())
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec((0_u8..12, 0_u8..7, 0_u64..90, prop::bool::weighted(0.2)), 5..70)
}

/// What policies have done, and which guards have kept them from more.
#[derive(Default)]
struct Seen {
    starts: u64,
    undone: u64,
    goes_on: u64,
    refused: BTreeSet<Name>,
}

impl Seen {
    fn count(&mut self, rig: &Rig) {
        for effect in rig.inputs.iter().flat_map(|(.., effects)| effects) {
            match effect {
                Effect::Start(_) => self.starts += 1,
                Effect::Record(Event::Decided { reason, .. }) if reason.starts_with("undo: ") => self.undone += 1,
                Effect::Record(Event::Decided { reason, .. }) if goes_on(reason) => self.goes_on += 1,
                Effect::Record(Event::Refused { guard, .. }) => _ = self.refused.insert(guard.clone()),
                _ => {}
            }
        }
    }
}

/// Feeding the inputs that the journal has reproduces every effect.
fn check_journal(whole: &Rig) -> Result<(), TestCaseError> {
    let mut again = controllers(&whole.policies, true);
    let mut guards = Guards::new();
    for (now, index, input, effects) in &whole.inputs {
        let Some(Effect::Record(Event::Received { policy, input: journaled })) = effects.first() else {
            return Err(TestCaseError::fail("an input is not in the journal"));
        };
        prop_assert_eq!((journaled, policy), (input, &whole.policies[*index].name));
        prop_assert_eq!(&again[*index].step(*now, journaled.clone(), &mut guards), effects);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_exceeded_whatever_happens_and_a_restart_changes_nothing(
        one in specs(), two in specs(), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let mut whole = Rig::new(vec![one.clone(), two.clone()], luck.clone(), true);
        play(&mut whole, &happenings, false).map_err(TestCaseError::fail)?;
        let mut restarted = Rig::new(vec![one, two], luck, true);
        play(&mut restarted, &happenings, true).map_err(TestCaseError::fail)?;
        prop_assert_eq!(whole.inputs.len(), restarted.inputs.len());
        for (whole, restarted) in whole.inputs.iter().zip(&restarted.inputs) {
            prop_assert_eq!(whole, restarted);
        }
        check_journal(&whole)?;
    }
}

/// The same cases at every run, so that what they reach is no luck.
#[test]
fn policies_act_and_every_guard_refuses_somewhere() {
    let seen = RefCell::new(Seen::default());
    let cases = (specs(), specs(), happenings(), prop::collection::vec(any::<u8>(), 16..64));
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let played = runner.run(&cases, |(one, two, happenings, luck)| {
        let mut rig = Rig::new(vec![one, two], luck, true);
        play(&mut rig, &happenings, false).map_err(TestCaseError::fail)?;
        seen.borrow_mut().count(&rig);
        Ok(())
    });
    played.unwrap_or_else(|problem| panic!("{problem}"));
    // It would be easy to exceed nothing by doing nothing: policies act, and each guard has something to refuse.
    let Seen { starts, undone, goes_on, refused } = seen.into_inner();
    assert!(
        starts > 900 && undone > 10 && goes_on > 50,
        "{starts} starts, {undone} of them undo, {goes_on} go on with an action of its own"
    );
    // The stage is full, and the project's rules are none of a policy's.
    let elsewhere = [Guard::Stage, Guard::Code];
    for guard in Guard::ALL.into_iter().filter(|guard| !elsewhere.contains(guard)) {
        assert!(refused.contains(&Name::new(guard.word())), "{} never refused anything", guard.word());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn dry_run_decides_within_the_same_limits_and_starts_nothing(
        one in specs(), two in specs(), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let mut stage = Rig::new(vec![one, two], luck, false);
        play(&mut stage, &happenings, true).map_err(TestCaseError::fail)?;
        let starts = |effect: &Effect| matches!(effect, Effect::Start(_) | Effect::Record(Event::Decided { .. }));
        prop_assert!(!stage.inputs.iter().any(|(.., effects)| effects.iter().any(starts)));
    }
}

/// Every alert is over, every action is reported and every answer given, for as long as anything is under way.
fn settle(rig: &mut Rig) -> Result<(), String> {
    let mut now = rig.inputs.last().map_or(Time::ZERO, |(at, ..)| *at);
    for pod in 0..7 {
        for index in 0..2 {
            rig.feed(now, index, notification(AlertStatus::Resolved, pod, now))?;
        }
    }
    for _ in 0..100 {
        now = now.saturating_add(Span::from_minutes(10));
        rig.pass(now)?;
        let Some((index, command)) = rig.running.pop_front() else { continue };
        let result = ActionResult { action: command.id().clone(), at: now, outcome: ActionOutcome::Succeeded };
        rig.feed(now, index, Input::Finished(result))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever is proposed to people is decided in the end: granted, denied, expired, void or withdrawn; and no incident is left open.
    #[test]
    fn every_proposal_has_a_decision_and_every_incident_an_end(
        one in specs(), two in specs(), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let mut rig = Rig::new(vec![one, two], luck, true);
        play(&mut rig, &happenings, true).map_err(TestCaseError::fail)?;
        settle(&mut rig).map_err(TestCaseError::fail)?;
        let (mut proposed, mut open) = (BTreeSet::new(), BTreeSet::new());
        for (_, index, _, effects) in &rig.inputs {
            for effect in effects {
                let Effect::Record(event) = effect else { continue };
                match event {
                    Event::Proposed { proposal, consent: Some(_), .. } => _ = proposed.insert((*index, *proposal)),
                    Event::ProposalChanged { proposal, .. } => _ = proposed.remove(&(*index, *proposal)),
                    Event::IncidentOpened { incident, .. } => _ = open.insert((*index, *incident)),
                    Event::IncidentClosed { incident, .. } => _ = open.remove(&(*index, *incident)),
                    _ => {}
                }
            }
        }
        prop_assert!(proposed.is_empty() && open.is_empty(), "{:?} were never decided, {:?} never ended", proposed, open);
    }

    /// The account refuses that two hold one lock at once. Besides: no wait is for ever, and whoever waits for another policy can be read from the journal.
    #[test]
    fn of_two_that_ask_for_locks_every_incident_ends_and_every_conflict_says_who_has_what(
        one in specs(), two in specs(), leases in (1_u64..200, 1_u64..200), happenings in happenings(), luck in prop::collection::vec(any::<u8>(), 16..64)
    ) {
        let specs = vec![Spec { lease: Some(leases.0), ..one }, Spec { lease: Some(leases.1), ..two }];
        let mut rig = Rig::new(specs, luck, true);
        play(&mut rig, &happenings, false).map_err(TestCaseError::fail)?;
        settle(&mut rig).map_err(TestCaseError::fail)?;
        let (mut open, mut decided) = (BTreeSet::new(), BTreeSet::new());
        for (now, index, _, effects) in &rig.inputs {
            for effect in effects {
                let Effect::Record(event) = effect else { continue };
                match event {
                    Event::IncidentOpened { incident, .. } => _ = open.insert((*index, *incident)),
                    Event::IncidentClosed { incident, .. } => _ = open.remove(&(*index, *incident)),
                    Event::Decided { incident, .. } => _ = decided.insert((*index, *incident)),
                    Event::Refused { policy, guard, held_by, target, .. } if guard.as_str() == Guard::MutualExclusion.word() => match held_by {
                        Some(holder) => {
                            prop_assert!(holder.policy != *policy && holder.until.is_some_and(|until| until > *now), "{:?} at {}", holder, now);
                            prop_assert!(decided.contains(&(1 - index, holder.incident)) && open.contains(&(1 - index, holder.incident)));
                            // Of an action of its own it may be what the second part needs.
                            let is_second = rig.specs[*index].is_apart && service(&holder.target).as_str() == "cart";
                            prop_assert!(is_second || Some(service(&holder.target)) == target.as_ref().map(service), "{:?}", holder);
                        }
                        // Its own other incident is no conflict, and dedup lets no two of one policy have one service, but for what is done apart from it.
                        None => prop_assert!(rig.specs[*index].is_apart, "{} stands in its own way", policy),
                    },
                    _ => {}
                }
            }
        }
        prop_assert!(open.is_empty(), "{:?} never ended", open);
    }
}
