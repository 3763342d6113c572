//! From a step to its action: the guards in their fixed order, the prechecks between them, and what a refusal means.

use std::slice::from_ref;
use std::sync::Arc;

use firedrill_core::action::{Action, Target};
use firedrill_core::journal::{Event, GuardVerdict, LabelSet, Truth};
use firedrill_core::name::Name;

use super::approving::{Wanted, is_for_people};
use super::offering::offered;
use super::prepared::{Inquiry, Prepared};
use super::state::{Ending, Incident, Phase};
use super::turn::{Turn, proposed, values_of};
use super::{ASSUMED_ACTION, Effect, Question, REPORT_TIMEOUT, REPORT_TIMERS, RETRY_AFTER};
use crate::figures::{Figure, figures};
use crate::guard::approval::{Asking, Said};
use crate::guard::confidence::{Band, Calibration, Source, can_be_careful};
use crate::guard::precheck::Checked;
use crate::guard::stage::Stage;
use crate::guard::{Answer, Asked, Fact, Guard, Instead, Known, Proposal, is_of_another, service_of};
use crate::policy::{ConditionAt, Deed};

/// Effects beside the verdicts of guards, for which there is room at once.
const MOST_BESIDE: usize = 6;

impl Turn<'_> {
    /// Begins the incident's current step.
    pub(super) fn propose(&mut self, mut incident: Box<Incident>) {
        let policy = self.setup.policy.clone();
        let Some(step) = policy.steps.get(incident.step) else {
            return self.close(incident, "all steps are done", &Ending::Done);
        };
        match &step.deed {
            Deed::Escalate(_) => self.hand_over(incident, "the policy escalates"),
            Deed::Wait(span) => {
                let (policy, action, target) = (self.name(), self.next_action(), self.target(&incident));
                let (step, what, reason) = (incident.step as u32, Action::Wait { span: *span }, reason(&incident, &[]));
                self.record(Event::Decided { policy, incident: incident.id, step, action, what, target, reason });
                incident.phase = Phase::Waiting { timer: self.set_timer(self.now.saturating_add(*span)) };
                self.keep(incident);
            }
            Deed::Notify(notice) => self.notify(incident, notice.clone()),
            Deed::Collect(kinds) => self.collect(incident, kinds.clone()),
            Deed::Choose(_) => self.propose_choice(incident),
            Deed::Parallel(_) | Deed::Staged(_) | Deed::Own(_) => self.propose_together(incident),
            Deed::Act(action) => self.propose_action(incident, action),
        }
    }

    /// The stage, what guards before dedup want to know, and those guards; then all else that is to be known.
    fn propose_action(&mut self, incident: Box<Incident>, action: &Action) {
        self.tell_guards();
        let proposal = self.proposal(&incident, action);
        if let Some((guard, answer)) = self.ask(&incident, from_ref(&proposal), &[Guard::Stage], &Gathered::default()) {
            return self.refused(incident, guard, answer);
        }
        if self.setup.policy.guards.facts().any(Fact::is_early) {
            return self.inquire(incident, false);
        }
        if let Some((guard, answer)) = self.claim(&incident, &proposal, &Gathered::default()) {
            return self.refused(incident, guard, answer);
        }
        self.inquire(incident, true);
    }

    /// The guards from the stage to dedup. When they pass, the owner is taken, so that nothing can come in between while the rest is looked up.
    pub(super) fn claim(&mut self, incident: &Incident, proposal: &Proposal, gathered: &Gathered) -> Option<(Guard, Answer)> {
        let refusal = self.ask(incident, from_ref(proposal), Guard::early(), gathered);
        if refusal.is_none() {
            self.guards.remediations.claim(proposal);
        }
        refusal
    }

    /// Asks for the prechecks, for what guards want to know, and for what a choice is made by.
    pub(super) fn inquire(&mut self, mut incident: Box<Incident>, is_claimed: bool) {
        let Inquiry { conditions, parameters } = self.setup.prepared.inquiry(incident.step);
        let first = self.state.next_query;
        self.state.next_query += conditions.len() as u64;
        incident.phase = Phase::Checking { first, answers: vec![None; conditions.len()], is_claimed };
        if conditions.is_empty() {
            return self.decide(incident);
        }
        self.effects.reserve(conditions.len());
        let parameters: Vec<LabelSet> = parameters.iter().map(|needed| values_of(needed, &incident.labels)).collect();
        for (query, (condition, index)) in (first..).zip(conditions) {
            let question = Question { condition: *condition, parameters: parameters[*index].clone() };
            self.effects.push(Effect::Evaluate { query, question, at: self.now });
        }
        self.keep(incident);
    }

    /// Everything is known: the rest of the guards, then the action.
    pub(super) fn decide(&mut self, mut incident: Box<Incident>) {
        let policy = self.setup.policy.clone();
        let held = Phase::Held { timer: None, by: String::new() };
        let Phase::Checking { answers, is_claimed, .. } = std::mem::replace(&mut incident.phase, held) else {
            unreachable!("only a checked incident is decided")
        };
        let gathered = Gathered::new(&self.setup.prepared, incident.step, answers.into_iter().flatten());
        if !policy.candidates(incident.step).is_empty() {
            return self.decide_choice(incident, &gathered);
        }
        if incident.group.is_some() {
            return self.decide_together(incident, &gathered);
        }
        let action = self.action(&incident).expect("only actions are checked");
        let proposal = self.proposal(&incident, &action);
        if !is_claimed && let Some((guard, answer)) = self.claim(&incident, &proposal, &gathered) {
            return self.refused(incident, guard, answer);
        }
        if let Some((guard, answer)) = self.ask(&incident, from_ref(&proposal), Guard::late(), &gathered) {
            if is_for_people(guard, &answer) {
                self.journal_refusal(&incident, (Some(action), proposal.target.clone()), guard, &answer);
                return self.ask_people(incident, vec![Wanted::of(&[proposal], &answer.figures)], &gathered);
            }
            return self.refused(incident, guard, answer);
        }
        let reason = reason(&incident, &gathered.prechecks);
        incident.is_careful = self.is_careful(&incident, from_ref(&proposal), &gathered);
        incident.objective = gathered.objective();
        self.start(incident, proposal, reason, false);
    }

    /// Asks guards in their order until one refuses, and journals what they say. Several proposals are asked for as one: each must pass.
    pub(super) fn ask(
        &mut self,
        incident: &Incident,
        proposals: &[Proposal],
        guards: &[Guard],
        gathered: &Gathered,
    ) -> Option<(Guard, Answer)> {
        let (mut answers, warned) = self.answers(incident, proposals, guards, gathered);
        self.remember_warnings(incident.id, warned);
        let refusal = answers.pop_if(|(_, answer)| answer.is_refusal());
        self.effects.reserve(answers.len() + MOST_BESIDE);
        for (guard, answer) in answers {
            if guard.is_always_journaled() || answer.verdict != GuardVerdict::NotConfigured {
                self.journal_figures(incident, guard, (answer.verdict, answer.figures));
            }
        }
        if let Some((guard, answer)) = &refusal {
            self.journal_verdict(incident, *guard, answer);
        }
        refusal
    }

    /// What guards say, in their order, to the first that refuses, and what the project's rules warn of. Those that the policy does not ask for, and whose
    /// verdict is not journaled, are not asked; of people any guard may ask.
    pub(super) fn answers(
        &self,
        incident: &Incident,
        proposals: &[Proposal],
        guards: &[Guard],
        gathered: &Gathered,
    ) -> (Vec<(Guard, Answer)>, Vec<String>) {
        let super::Setup { policy, inventory, stage, start, seed, .. } = self.setup;
        let checked = gathered.prechecks.iter().zip(&policy.prechecks);
        let checked = checked.map(|((verdict, figures), precheck)| Checked { verdict: *verdict, figures, because: &precheck.because });
        let prechecks: Vec<Checked<'_>> = checked.collect();
        let since = self.state.alerts.get(&incident.alert_key).map(|firing| firing.notification.starts_at);
        let is_verified = self.verify_of(incident).is_some();
        let (nothing, unsure) = (Asking::default(), Err(String::new()));
        let of = |proposal| Asked {
            settings: &policy.guards,
            stage: *stage,
            inventory,
            start: *start,
            now: self.now,
            memory: &*self.guards,
            proposal,
            whole: proposals,
            prechecks: &prechecks,
            facts: &gathered.facts,
            since,
            seed: *seed,
            said: None,
            asking: &nothing,
            confidence: (&unsure, is_verified),
        };
        let is_asked = |guard: &&Guard| guard.is_always_journaled() || policy.guards.has(**guard) || **guard == Guard::Approval;
        let mut answers: Vec<(Guard, Answer)> = Vec::with_capacity(guards.iter().filter(is_asked).count());
        let mut warned = Vec::new();
        for guard in guards.iter().filter(is_asked).copied() {
            let mut ask = |own| self.ask_one(incident, (guard, &of(own)), (gathered, &answers), &mut warned);
            let answer = if let [one] = proposals { ask(one) } else { Answer::of_several(proposals.iter().map(ask)) };
            answers.push((guard, answer));
            if answers.last().is_some_and(|(_, answer)| answer.is_refusal()) {
                break;
            }
        }
        (answers, warned)
    }

    /// What one guard says of one proposal, after the guards before it; what the project's rules warn of is added to what they have.
    fn ask_one(
        &self,
        incident: &Incident,
        (guard, asked): (Guard, &Asked<'_>),
        (gathered, before): (&Gathered, &[(Guard, Answer)]),
        warned: &mut Vec<String>,
    ) -> Answer {
        let (proposal, is_verified) = (asked.proposal, asked.confidence.1);
        if guard == Guard::Precheck
            && let Some(other) = self.said_of_another(incident, &proposal.target)
        {
            return Answer::refused(format!("{} is not declared: the alert says that it is of `{other}`", proposal.target), None);
        }
        match (guard, &asked.settings.code) {
            (Guard::Stage, _) => self.unless_allowed(incident, proposal, (guard, asked.ask(guard))),
            (Guard::Confidence, _) if asked.settings.confidence.is_some() => {
                let told = self.confidence(incident, proposal, gathered);
                Asked { confidence: (&told, is_verified), ..*asked }.ask(guard)
            }
            (Guard::Code, Some(code)) => {
                let told = self.confidence(incident, proposal, gathered);
                let asked = Asked { confidence: (&told, is_verified), ..*asked };
                let said = code.judge(&offered(incident, (&self.setup.policy, &asked), before, code.reads()));
                warned.extend(said.iter().flat_map(|said| said.warn.clone()));
                Asked { said: Some(&said), ..asked }.ask(guard)
            }
            (Guard::Approval, _) => {
                let asking = self.asking(incident, proposal, gathered, before);
                Asked { asking: &asking, ..*asked }.ask(guard)
            }
            _ => asked.ask(guard),
        }
    }

    /// The service of which the alert says that the replica is that it names, where that is another one than the replica's name says.
    fn said_of_another<'i>(&self, incident: &'i Incident, target: &Target) -> Option<&'i Name> {
        let Target::Replica(replica) = target else { return None };
        let label = |name: &str| incident.labels.iter().find(|(own, _)| own.as_str() == name).map(|(_, value)| value);
        let (service, said) = (service_of(target, &self.setup.inventory)?, label("service")?);
        (label("pod") == Some(replica) && is_of_another(replica, &service, Some(said.as_str()), &self.setup.inventory)).then_some(said)
    }

    /// How sure the policy is of a proposal, with its figures, or why that cannot be told.
    fn confidence(&self, incident: &Incident, proposal: &Proposal, gathered: &Gathered) -> Result<(f64, String), String> {
        let policy = &self.setup.policy;
        match policy.guards.confidence.as_ref().map(|confidence| &confidence.source) {
            None => Err("nobody asks".to_owned()),
            Some(Source::Claimed(_)) => gathered.measured(ConditionAt::Confidence).map(|(value, figures)| (value, figures.to_owned())),
            Some(Source::Measured) => {
                let hash = self.setup.prepared.hash(policy);
                Calibration::of(policy.calibration.as_deref(), (&incident.alert, &proposal.action), hash)
            }
        }
    }

    /// Whether proposals that have passed the guards are done with care, since the policy is not sure of one of them. How sure it is of each is journaled.
    pub(super) fn is_careful(&mut self, incident: &Incident, proposals: &[Proposal], gathered: &Gathered) -> bool {
        let policy = Arc::clone(&self.setup.policy);
        let Some(settings) = &policy.guards.confidence else { return false };
        let (is_verified, is_measured) = (self.verify_of(incident).is_some(), matches!(settings.source, Source::Measured));
        let mut is_careful = false;
        for proposal in proposals {
            let Ok((value, _)) = self.confidence(incident, proposal, gathered) else { continue };
            is_careful |= settings.band(value) == Band::Between && can_be_careful(&proposal.action, is_verified);
            let (what, target) = (proposal.action.clone(), proposal.target.clone());
            self.record(Event::Confident { policy: self.name(), incident: incident.id, what, target, value, is_measured });
        }
        is_careful
    }

    /// What the stage refuses to the policy and a person has allowed passes.
    fn unless_allowed(&self, incident: &Incident, proposal: &Proposal, (guard, answer): (Guard, Answer)) -> Answer {
        if !is_for_a_person(guard, &answer) {
            return answer;
        }
        match self.said(incident, (&proposal.action, &proposal.target), &Gathered::default()) {
            Said::Yes(who) => Answer::passed(format!("{}, and {who} said yes", answer.figures)),
            Said::Nothing | Said::ToSomethingElse(_) => answer,
        }
    }

    /// What the project's rules warned of stands in every call about the incident.
    fn remember_warnings(&mut self, incident: u64, warned: Vec<String>) {
        if warned.is_empty() {
            return;
        }
        let known = self.state.warnings.entry(incident).or_default();
        known.extend(warned);
        known.sort();
        known.dedup();
    }

    /// Journals once a run which guards the policy does not ask for, of those whose verdicts are not journaled with every proposal.
    pub(super) fn tell_guards(&mut self) {
        if std::mem::replace(&mut self.state.has_told_guards, true) {
            return;
        }
        let settings = &self.setup.policy.guards;
        let absent =
            Guard::ALL.into_iter().filter(|guard| !guard.is_always_journaled() && guard.is_of_the_policy() && !settings.has(*guard));
        let guards: Vec<Name> = absent.map(|guard| Name::new(guard.word())).collect();
        if !guards.is_empty() {
            self.record(Event::Unguarded { policy: self.name(), guards });
        }
    }

    /// Starts an action, or in dry-run books it as if it had started.
    pub(super) fn start(&mut self, mut incident: Box<Incident>, proposal: Proposal, reason: String, reverting: bool) {
        let settings = &self.setup.policy.guards;
        self.guards.started(&proposal, self.now);
        let fence = self.guards.locked(&proposal, settings.mutual_exclusion, &self.setup.inventory, self.now);
        self.guards.observe(&proposal.policy, settings.breaker.as_ref(), self.now);
        let Proposal { action, target, .. } = proposal;
        self.spend(&incident, &action, &target);
        let Some(actuator) = self.setup.actuator else {
            let lasting = self.verify_of(&incident).map_or(ASSUMED_ACTION, |verify| verify.within);
            let (policy, step) = (self.name(), incident.step as u32);
            self.record(Event::WouldAct { policy, incident: incident.id, step, what: action, target, reason });
            incident.phase = Phase::Assumed { timer: self.set_timer(self.now.saturating_add(lasting)) };
            return self.keep(incident);
        };
        if incident.is_careful && !reverting {
            self.inform_of_care(&incident);
        }
        let id = self.next_action();
        let (policy, step) = (self.name(), incident.step as u32);
        let (action_id, what, to) = (id.clone(), action.clone(), target.clone());
        self.record(Event::Decided { policy, incident: incident.id, step, action: action_id, what, target: to, reason });
        self.effects.push(Effect::Start(actuator.command(id.clone(), action, target).under(fence)));
        let timer = REPORT_TIMERS + id.ordinal;
        self.effects.push(Effect::SetTimer { timer, at: self.now.saturating_add(REPORT_TIMEOUT) });
        incident.has_acted = true;
        incident.phase = Phase::Acting { action: id, reverting };
        self.keep(incident);
    }

    /// A guard has refused. Before the first action the incident waits for a better time, unless the guard leaves the alert to people; after
    /// it a person is called.
    pub(super) fn refused(&mut self, incident: Box<Incident>, guard: Guard, answer: Answer) {
        let what = self.action(&incident).or_else(|| proposed(&self.setup.policy, incident.step));
        let target = self.target(&incident);
        self.journal_refusal(&incident, (what, target), guard, &answer);
        self.hold_back(incident, guard, &answer);
    }

    pub(super) fn journal_refusal(&mut self, incident: &Incident, (what, target): (Option<Action>, Target), guard: Guard, answer: &Answer) {
        let (policy, step, word) = (self.name(), incident.step as u32, Name::new(guard.word()));
        let (to, figures) = (Some(target.clone()), answer.figures.clone());
        let held_by = answer.held_by.as_deref().cloned();
        self.record(Event::Refused { policy, incident: incident.id, step, what: what.clone(), target: to, guard: word, figures, held_by });
        if let Some(action) = what.filter(|_| is_for_a_person(guard, answer)) {
            self.propose_to_a_person(incident, action, target, &answer.figures);
        }
    }

    /// What a refusal means for its incident.
    pub(super) fn hold_back(&mut self, mut incident: Box<Incident>, guard: Guard, answer: &Answer) {
        let approvals = self.approvals(incident.id);
        let reason = format!("step {} was refused by {}: {}{approvals}", incident.step + 1, guard.word(), answer.figures);
        if incident.has_acted || answer.instead == Instead::Alert {
            return self.hand_over(incident, &reason);
        }
        let deadline = answer.patience.map(|patience| incident.queued_since.get_or_insert(self.now).saturating_add(patience));
        if deadline.is_some_and(|deadline| self.now >= deadline) {
            return self.hand_over(incident, &reason);
        }
        if answer.instead == Instead::Ask {
            self.ask_once(&mut incident, guard, &reason);
        }
        self.guards.released(&self.setup.policy.name, incident.id);
        // Whoever has the owner wakes this incident on closing; and a stage does not change, but for its `one at a time`.
        let waits_for_time = guard != Guard::Dedup && (guard != Guard::Stage || self.setup.stage == Stage::Limited);
        let later = self.now.saturating_add(RETRY_AFTER);
        let again = match answer.again {
            // What others hold may be free before.
            Some(again) if matches!(guard, Guard::MutualExclusion | Guard::Canary) => again.min(later),
            again => again.unwrap_or(later),
        };
        let again = deadline.map_or(again, |deadline| again.min(deadline));
        let timer = waits_for_time.then(|| self.set_timer(again));
        incident.phase = Phase::Held { timer, by: guard.word().to_owned() };
        self.keep(incident);
        self.wake_all();
    }

    /// Calls a person about a refusal, unless one was called about this incident or about another that the same guard holds.
    fn ask_once(&mut self, incident: &mut Incident, guard: Guard, reason: &str) {
        let is_held = |other: &Incident| other.has_asked && matches!(&other.phase, Phase::Held { by, .. } if by == guard.word());
        if !incident.has_asked && !self.state.incidents.iter().any(is_held) {
            self.page(incident, reason);
            incident.has_asked = true;
        }
    }
}

/// Whether an action is refused to the policy, and a person may allow it: its target is critical, or it cannot be undone.
pub(super) fn is_for_a_person(guard: Guard, answer: &Answer) -> bool {
    guard == Guard::Stage && answer.instead == Instead::Ask
}

/// What was found out for a proposal.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The answers to the prechecks, in their order.
    prechecks: Vec<(Truth, String)>,
    /// What guards wanted to know.
    facts: Vec<(Fact, Known)>,
    /// What else was asked for, by its place.
    rest: Vec<(ConditionAt, Known)>,
}

impl Gathered {
    /// The answers of [`Turn::inquire`], in its order.
    fn new(prepared: &Prepared, step: usize, answers: impl Iterator<Item = Known>) -> Self {
        let of_facts = Vec::with_capacity(answers.size_hint().1.unwrap_or(0));
        let mut gathered = Self { facts: of_facts, ..Self::default() };
        for ((at, _), known) in prepared.inquiry(step).conditions.iter().zip(answers) {
            match *at {
                ConditionAt::Precheck(_) => gathered.prechecks.push(into_judged(known)),
                ConditionAt::Guard(fact) => gathered.facts.push((fact, known)),
                at => gathered.rest.push((at, known)),
            }
        }
        gathered
    }

    /// The answer to a condition that is neither a precheck nor a guard's.
    pub(super) fn judged(&self, at: ConditionAt) -> Option<(Truth, String)> {
        self.rest.iter().find(|(own, _)| *own == at).map(|(_, known)| judged(known))
    }

    /// The number at a place, or why there is none.
    pub(super) fn measured(&self, at: ConditionAt) -> Result<(f64, &str), String> {
        match self.rest.iter().find(|(own, _)| *own == at).map(|(_, known)| known) {
            Some(Known::Measured(Some(value), figures)) => Ok((*value, figures)),
            Some(Known::Measured(None, why)) => Err(why.clone()),
            _ => Err("nobody could tell".to_owned()),
        }
    }

    /// The verdicts and counts among it, by what they are about. Figures are left out: they move with every scrape.
    pub(super) fn evidence(&self) -> impl Iterator<Item = (String, String)> {
        let told = |known: &Known| match known {
            Known::Judged(verdict, _) => Some(truth(*verdict).to_owned()),
            Known::Counted(holding, elements, error, _) if error.is_empty() => Some(format!("{holding} of {elements}")),
            Known::Counted(..) => Some("not to be counted".to_owned()),
            Known::Measured(..) => None,
        };
        let prechecks =
            self.prechecks.iter().enumerate().map(|(index, (verdict, _))| (format!("precheck {}", index + 1), truth(*verdict).to_owned()));
        prechecks.chain(self.facts.iter().filter_map(move |(fact, known)| Some((fact.about().to_owned(), told(known)?))))
    }

    /// What must not grow, as it is now.
    pub(super) fn objective(&self) -> Option<f64> {
        self.facts.iter().find_map(|(fact, known)| match known {
            Known::Measured(value, _) if *fact == Fact::Objective => *value,
            _ => None,
        })
    }

    /// The answers to the prechecks.
    pub(super) fn prechecks(&self) -> &[(Truth, String)] {
        &self.prechecks
    }
}

const fn truth(verdict: Truth) -> &'static str {
    match verdict {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}

fn judged(known: &Known) -> (Truth, String) {
    into_judged(known.clone())
}

fn into_judged(known: Known) -> (Truth, String) {
    match known {
        Known::Judged(verdict, figures) => (verdict, figures),
        Known::Counted(..) | Known::Measured(..) => (Truth::Unknown, "a number is no answer".to_owned()),
    }
}

/// Why the policy acts: the alert, and the figures of its prechecks.
pub(super) fn reason(incident: &Incident, answers: &[(Truth, String)]) -> String {
    let mut parts: Vec<&dyn Figure> = Vec::with_capacity(2 + 2 * answers.len());
    parts.extend([&incident.alert as &dyn Figure, &" fires"]);
    parts.extend(answers.iter().flat_map(|(_, told)| [&", and " as &dyn Figure, told]));
    figures(&parts)
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{AlertStatus, Event, Input, Truth};

    use super::*;
    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, notification, resolves};
    use crate::guard::stage::Stage;

    #[test]
    fn an_absent_label_refuses_the_action_and_is_recorded() {
        let mut bench = Bench::new(&RESTART.replace("guard:", "escalate_after: 5m\nguard:"), Stage::Full);
        let labels = notification(AlertStatus::Firing, &[("service", "api")]);
        bench.check(0, labels, &["open 0", "timer 0 at 300", "refuse 0 by target: the alert has no label `pod`"]);
        let reason = "close 0: Down is unresolved after 5m";
        bench.check(300, Input::Timer { timer: 0 }, &["page oncall", reason]);
    }

    #[test]
    fn a_cooldown_is_waited_out_and_the_action_proposed_again() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(10, ended(0, OK));
        bench.step(10, answer(0, Truth::True));
        bench.step(20, resolves("api-1"));
        let refusal = "refuse 1 by cooldown: replica/api-1 rests for 2m after restart, 20s ago, until 02m10.000s";
        bench.check(30, fires("api-1"), &["open 1", refusal, "timer 1 at 130"]);
        bench.check(130, Input::Timer { timer: 1 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn prechecks_must_all_be_true_and_are_asked_again_before_the_action_is_proposed_again() {
        let checked = RESTART.replace(
            "steps:",
            "precheck:
  - { expr: 'up == 1', because: one }
  - { expr: 'down{pod=$pod} < 1', because: two }
steps:",
        );
        let mut bench = Bench::new(&checked, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Precheck(0) at 0", "ask 1 Precheck(1) at 0"]);
        bench.check(0, answer(1, Truth::Unknown), &[]);
        bench.check(0, answer(0, Truth::True), &["refuse 0 by precheck: cannot tell: Unknown", "timer 0 at 60"]);
        bench.check(60, Input::Timer { timer: 0 }, &["ask 2 Precheck(0) at 60", "ask 3 Precheck(1) at 60"]);
        bench.check(60, answer(2, Truth::True), &[]);
        bench.check(60, answer(3, Truth::True), &["start restart#0 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_later_step_that_is_refused_calls_a_person() {
        let two = RESTART.replace("on_failure: escalate", "on_failure: next").replace(
            "  - escalate",
            "  - purge_queue: {}
  - escalate",
        );
        let limited = two.replace("cooldown: 2m", "rate_limit: [{ max: 1, window: 1h, scope: all }]");
        let mut bench = Bench::new(&limited, Stage::Full);
        bench.step(0, fires("api-1"));
        let figures = "rate_limit: 1 of 1 starts within 1h on all";
        let expected = [format!("refuse 0 by {figures}"), "page oncall".to_owned(), format!("close 0: step 2 was refused by {figures}")];
        bench.check(5, ended(0, ActionOutcome::Failed("no".into())), &expected.each_ref().map(String::as_str));
    }

    #[test]
    fn one_start_too_many_waits_in_the_queue_and_no_longer_and_its_prechecks_are_asked_again() {
        let limit = |overflow: &str| {
            let limit = format!("rate_limit: [{{ max: 1, window: 10m, scope: all, overflow: {overflow} }}]");
            RESTART
                .replace("{ replica: $pod }", "{ client: $pod }")
                .replace("restart: { mode: rolling }", "limit_retries: { retries: 0, lasting: 1m }")
                .replace("cooldown: 2m", &limit)
        };
        let full = "refuse 1 by rate_limit: 1 of 1 starts within 10m on all";
        let mut refused = Bench::new(&limit("refuse"), Stage::Full);
        refused.step(0, fires("users"));
        let left = "close 1: step 1 was refused by rate_limit: 1 of 1 starts within 10m on all";
        refused.check(1, fires("api"), &["open 1", full, "page oncall", left]);
        let mut queued = Bench::new(&limit("{ queue: 5m }"), Stage::Full);
        queued.step(0, fires("users"));
        queued.check(1, fires("api"), &["open 1", full, "timer 0 at 301"]);
        queued.check(301, Input::Timer { timer: 0 }, &[full, "page oncall", left]);
        let checked = limit("{ queue: 1h }").replace("steps:", "precheck: [{ expr: 'x == 1', because: so }]\nsteps:");
        let mut long = Bench::new(&checked, Stage::Full);
        long.step(0, fires("users"));
        long.step(0, answer(0, Truth::True));
        long.step(1, fires("api"));
        long.check(1, answer(1, Truth::True), &[full, "timer 0 at 600"]);
        long.check(600, Input::Timer { timer: 0 }, &["ask 2 Precheck(0) at 600"]);
        long.check(600, answer(2, Truth::False), &["refuse 1 by precheck: False: so", "timer 1 at 660"]);
    }

    #[test]
    fn a_kill_switch_is_asked_before_the_owner_is_taken_and_its_effect_is_what_happens_instead() {
        let switch =
            |effect: &str| RESTART.replace("cooldown: 2m", &format!("kill_switch: {{ expr: 'off{{pod=$pod}} == 1', effect: {effect} }}"));
        let mut bench = Bench::new(&switch("refuse"), Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Guard(Off) at 0"]);
        bench.check(0, answer(0, Truth::True), &["refuse 0 by kill_switch: True", "timer 0 at 60"]);
        bench.check(60, Input::Timer { timer: 0 }, &["ask 1 Guard(Off) at 60"]);
        bench.check(60, answer(1, Truth::Unknown), &["refuse 0 by kill_switch: cannot tell: Unknown", "timer 1 at 120"]);
        bench.step(120, Input::Timer { timer: 1 });
        bench.check(120, answer(2, Truth::False), &["start restart#0 restart (rolling) replica/api-1"]);

        let mut asks = Bench::new(&switch("ask"), Stage::Full);
        asks.step(0, fires("api-1"));
        asks.check(0, answer(0, Truth::True), &["refuse 0 by kill_switch: True", "page oncall", "timer 0 at 60"]);
        asks.step(60, Input::Timer { timer: 0 });
        asks.check(60, answer(1, Truth::True), &["refuse 0 by kill_switch: True", "timer 1 at 120"]);
        asks.step(61, fires("api-2"));
        asks.check(61, answer(2, Truth::True), &["refuse 1 by kill_switch: True", "timer 2 at 121"]);

        let mut alerts = Bench::new(&switch("alert_only"), Stage::Full);
        alerts.step(0, fires("api-1"));
        let left = "close 0: step 1 was refused by kill_switch: True";
        alerts.check(0, answer(0, Truth::True), &["refuse 0 by kill_switch: True", "page oncall", left]);
    }

    #[test]
    fn a_kill_switch_is_asked_again_before_every_step() {
        let two = RESTART.replace("on_failure: escalate", "on_failure: next").replace("  - escalate", "  - purge_queue: {}\n  - escalate");
        let mut bench = Bench::new(&two.replace("cooldown: 2m", "kill_switch: { expr: off == 1 }"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(0, answer(0, Truth::False), &["start restart#0 restart (rolling) replica/api-1"]);
        bench.check(5, ended(0, ActionOutcome::Failed("no".into())), &["ask 1 Guard(Off) at 5"]);
        let end = "close 0: step 2 was refused by kill_switch: True";
        bench.check(5, answer(1, Truth::True), &["refuse 0 by kill_switch: True", "page oncall", end]);
    }

    #[test]
    fn what_is_healthy_is_counted_and_a_gate_that_is_not_told_refuses() {
        let gate = RESTART.replace("cooldown: 2m", "max_unhealthy: { healthy: 'up == 1', scope: service, max: 25%, rounding: floor }");
        let counted = |query, holding, elements| Input::Counted { query, holding, elements, error: String::new(), parts: None };
        let mut bench = Bench::new(&gate, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Guard(Healthy) at 0"]);
        let refusal = "refuse 0 by max_unhealthy: 2 of 4 unhealthy > 1 (25%, rounded down)";
        bench.check(0, counted(0, 2, 4), &[refusal, "timer 0 at 60"]);
        bench.step(60, Input::Timer { timer: 0 });
        bench.check(60, counted(1, 0, 0), &["refuse 0 by max_unhealthy: cannot tell: no element", "timer 1 at 120"]);
        bench.step(120, Input::Timer { timer: 1 });
        bench.check(120, counted(2, 3, 3), &["start restart#0 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_freeze_is_held_against_the_calendar_of_the_run() {
        let frozen = RESTART.replace("cooldown: 2m", "freeze: [{ from: 2026-01-05T00:00, zone: UTC, lasting: 1h }]");
        let refusal = "refuse 0 by freeze: frozen until 2026-01-05 01:00:00 UTC";
        let mut bench = Bench::new(&frozen, Stage::Full);
        bench.check(10, fires("api-1"), &["open 0", refusal, "timer 0 at 3600"]);
        bench.check(3600, Input::Timer { timer: 0 }, &["start restart#0 restart (rolling) replica/api-1"]);
        let mut earlier = Bench::new(&frozen, Stage::Full);
        earlier.controller = earlier.controller.starting(firedrill_core::time::Start::parse("2026-01-04T23:00:00Z").unwrap());
        earlier.check(10, fires("api-1"), &["open 0", "start restart#0 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn which_guards_are_not_asked_for_is_journaled_once_a_run() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        let unguarded = |effects: &[Effect]| -> Vec<String> {
            let of = |effect: &Effect| match effect {
                Effect::Record(Event::Unguarded { guards, .. }) => Some(guards.iter().map(Name::as_str).collect::<Vec<_>>().join(" ")),
                _ => None,
            };
            effects.iter().filter_map(of).collect()
        };
        let absent = "kill_switch freeze change_in_progress detector_sanity correlated_failure confidence max_unhealthy \
            disruption_budget backoff ineffective_chain mutual_exclusion breaker approval canary";
        assert_eq!(unguarded(&bench.step(0, fires("api-1"))), [absent]);
        assert!(unguarded(&bench.step(1, fires("api-2"))).is_empty());
    }

    #[test]
    fn what_was_in_vain_twice_is_left_to_people_and_an_open_breaker_alerts_only() {
        let twice = |guard: &str| RESTART.replace("hold: 10s, within: 60s", "within: 5s").replace("cooldown: 2m", guard);
        for (guard, figures) in [
            ("ineffective_chain: { actions: 2, within: 1h }", "ineffective_chain: 2 actions on replica/api-1 did not help within 1h >= 2"),
            (
                "breaker: { failures: 100%, of_at_least: 2, within: 1h }",
                "breaker: open since 01m45.000s: 2 of 2 actions within 1h failed or did not help >= 100%",
            ),
        ] {
            let mut bench = Bench::new(&twice(guard), Stage::Full);
            let mut query = 0;
            for round in 0..2 {
                let at = 100 * round;
                bench.step(at, fires("api-1"));
                bench.step(at, ended(round, OK));
                bench.step(at, answer(query, Truth::False));
                bench.step(at + 5, answer(query + 1, Truth::False));
                query += 2;
                bench.step(at + 6, resolves("api-1"));
            }
            let told = bench.step(200, fires("api-1"));
            let refused = told.iter().any(|effect| matches!(effect, Effect::Record(Event::Refused { guard, figures: own, .. }) if format!("{guard}: {own}") == figures));
            assert!(refused, "{figures}: {told:?}");
            assert!(told.iter().any(|effect| matches!(effect, Effect::Page { .. })));
        }
    }

    #[test]
    fn a_dry_run_decides_and_books_and_starts_nothing() {
        let mut bench = Bench::new(RESTART, Stage::DryRun);
        bench.check(0, fires("api-1"), &["open 0", "would restart (rolling) replica/api-1", "timer 0 at 60"]);
        bench.check(1, fires("api-2"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        let end = "close 0: it would have acted; what follows is not simulated";
        bench.check(60, Input::Timer { timer: 0 }, &[end, "would restart (rolling) replica/api-2", "timer 1 at 120"]);
        bench.check(70, fires("api-1"), &[]);
        bench.step(80, resolves("api-1"));
        let refusal = "refuse 2 by dedup: incident 1 of restart is at work on service/api";
        bench.check(90, fires("api-1"), &["open 2", refusal]);
        let rests = "refuse 2 by cooldown: replica/api-1 rests for 2m after restart, 1m ago, until 03m00.000s";
        let end = "close 1: it would have acted; what follows is not simulated";
        bench.check(120, Input::Timer { timer: 1 }, &[end, rests, "timer 2 at 180"]);
    }

    #[test]
    fn without_an_actuator_nothing_can_start_even_at_the_full_stage() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.controller.setup.actuator = None;
        let effects = bench.step(0, fires("api-1"));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start(_))));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Record(Event::WouldAct { .. }))));
    }

    #[test]
    fn a_policy_runs_at_the_lower_of_its_own_stage_and_the_run_s() {
        let mut bench = Bench::new(
            &RESTART.replace(
                "owner: team",
                "owner: team
stage: draft",
            ),
            Stage::Full,
        );
        bench.check(0, fires("api-1"), &["open 0", "refuse 0 by stage: draft: may do nothing"]);
    }
}
