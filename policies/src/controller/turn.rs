//! One step of a controller: the state that it changes, the effects that it gathers, and the small deeds that every part of it shares.

use firedrill_core::action::{Action, ActionId, Target};
use firedrill_core::journal::{Event, GuardVerdict, LabelSet, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use super::state::{Incident, Phase, State};
use super::{Effect, Question, Setup};
use crate::guard::{Answer, Guard, Guards, Proposal, owner_of};
use crate::policy::{Candidate, ConditionAt, Deed, Policy, Verify};

/// One step: the state that it changes and the effects that it gathers.
pub(super) struct Turn<'a> {
    pub(super) setup: &'a Setup,
    pub(super) state: &'a mut State,
    pub(super) guards: &'a mut Guards,
    pub(super) now: Time,
    pub(super) effects: Vec<Effect>,
}

impl Turn<'_> {
    pub(super) fn name(&self) -> Name {
        self.setup.policy.name.clone()
    }

    pub(super) fn record(&mut self, event: Event) {
        self.effects.push(Effect::Record(event));
    }

    pub(super) fn set_timer(&mut self, at: Time) -> u64 {
        let timer = self.state.next_timer;
        self.state.next_timer += 1;
        self.effects.push(Effect::SetTimer { timer, at: at.max(self.now) });
        timer
    }

    pub(super) fn cancel(&mut self, timer: u64) {
        self.effects.push(Effect::CancelTimer { timer });
    }

    pub(super) fn next_action(&mut self) -> ActionId {
        let ordinal = self.state.next_action;
        self.state.next_action += 1;
        ActionId { policy: self.name(), ordinal }
    }

    /// Takes an incident out of the state; it goes back by [`Self::keep`], or is closed.
    pub(super) fn take(&mut self, id: u64) -> Box<Incident> {
        self.state.incidents.remove(id).expect("an open incident")
    }

    pub(super) fn keep(&mut self, incident: Box<Incident>) {
        self.state.incidents.insert(incident);
    }

    pub(super) fn incident_with(&self, is_it: impl Fn(&Incident) -> bool) -> Option<u64> {
        self.state.incidents.iter().find(|incident| is_it(incident)).map(|incident| incident.id)
    }

    pub(super) fn verify_of(&self, incident: &Incident) -> Option<&Verify> {
        self.setup.policy.steps.get(incident.step)?.verify.as_ref()
    }

    /// The target of the incident's current step. An incident without the labels for it never comes so far.
    pub(super) fn target(&self, incident: &Incident) -> Target {
        let own = self.chosen(incident).and_then(|candidate| candidate.target.as_ref());
        let source = own.unwrap_or_else(|| self.setup.policy.target_of(incident.step));
        // Mostly that of the policy, which is known.
        if let Some(target) = incident.target.as_ref().filter(|_| std::ptr::eq(source, &raw const self.setup.policy.target)) {
            return target.clone();
        }
        source.resolve(&incident.labels).expect("the alert has every label that the policy needs")
    }

    /// The candidate that the incident's current step has chosen.
    pub(super) fn chosen(&self, incident: &Incident) -> Option<&Candidate> {
        self.setup.policy.candidates(incident.step).get(incident.choice?)
    }

    /// The action of the incident's current step: its own, or the one that it has chosen.
    pub(super) fn action(&self, incident: &Incident) -> Option<Action> {
        let deed = self.chosen(incident).map(|candidate| &candidate.deed);
        match deed.or_else(|| self.setup.policy.steps.get(incident.step).map(|step| &step.deed))? {
            Deed::Act(action) => Some(action.clone()),
            _ => None,
        }
    }

    /// The incident waits no longer for what it was waiting for.
    pub(super) fn stop_waiting(&mut self, incident: &Incident) {
        if let Phase::Held { timer: Some(timer), .. } | Phase::Waiting { timer } = incident.phase {
            self.cancel(timer);
        }
    }

    pub(super) fn proposal(&self, incident: &Incident, action: &Action) -> Proposal {
        let target = self.target(incident);
        let owner = owner_of(incident.target.as_ref().unwrap_or(&target), &self.setup.inventory);
        Proposal { policy: self.name(), incident: incident.id, action: action.clone(), target, owner }
    }

    pub(super) fn question(&self, incident: &Incident, condition: ConditionAt) -> Question {
        self.question_about(&incident.labels, condition)
    }

    pub(super) fn question_about(&self, labels: &LabelSet, condition: ConditionAt) -> Question {
        let needed: Vec<Name> = self.setup.policy.parameters(condition).into_iter().map(Name::from).collect();
        Question { condition, parameters: values_of(&needed, labels) }
    }

    pub(super) fn ask_verification(&mut self, incident: &Incident, at: Time) -> u64 {
        let query = self.state.next_query;
        self.state.next_query += 1;
        let question = self.question(incident, ConditionAt::Verify(incident.step));
        self.effects.push(Effect::Evaluate { query, question, at });
        query
    }

    pub(super) fn journal_verdict(&mut self, incident: &Incident, guard: Guard, answer: &Answer) {
        self.journal_figures(incident, guard, (answer.verdict, answer.figures.clone()));
    }

    /// As [`Self::journal_verdict`], of figures that nobody else needs.
    pub(super) fn journal_figures(&mut self, incident: &Incident, guard: Guard, (verdict, figures): (GuardVerdict, String)) {
        let guard = self.setup.prepared.word(guard);
        self.record(Event::Guarded { policy: self.name(), incident: incident.id, guard, verdict, figures });
    }

    pub(super) fn journal_verification(&mut self, incident: &Incident, verdict: Verification, figures: String, since: Time) {
        let took = self.now.since(since);
        let (policy, step) = (self.name(), incident.step as u32);
        self.record(Event::Verified { policy, incident: incident.id, step, verdict, figures, took });
    }
}

/// The values of those labels that there are.
pub(super) fn values_of(needed: &[Name], labels: &LabelSet) -> LabelSet {
    needed.iter().filter_map(|label| Some((label.clone(), labels.get(label)?.clone()))).collect()
}

/// What a step would do, for the journal.
pub(super) fn proposed(policy: &Policy, step: usize) -> Option<Action> {
    match &policy.steps.get(step)?.deed {
        Deed::Act(action) => Some(action.clone()),
        Deed::Wait(span) => Some(Action::Wait { span: *span }),
        Deed::Staged(staged) => Some(staged.action.clone()),
        Deed::Choose(_) | Deed::Parallel(_) | Deed::Own(_) | Deed::Notify(_) | Deed::Collect(_) | Deed::Escalate(_) => None,
    }
}
