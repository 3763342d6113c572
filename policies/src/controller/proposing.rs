//! From a step to its action: the guards in their fixed order, the prechecks between them, and what a refusal means.

use firedrill_core::action::Action;
use firedrill_core::journal::{Event, Truth};
use firedrill_core::name::Name;

use super::state::{Ending, Incident, Phase};
use super::turn::{Turn, proposed};
use super::{ASSUMED_ACTION, Effect, RETRY_AFTER};
use crate::guard::stage::Stage;
use crate::guard::{Answer, Guards, Proposal, caps, cooldown, dedup, precheck, rate_limit, stage};
use crate::policy::{ConditionAt, Deed};

impl Turn<'_> {
    /// Begins the incident's current step.
    pub(super) fn propose(&mut self, mut incident: Incident) {
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
            Deed::Act(action) => self.propose_action(incident, action),
        }
    }

    /// The guards that need no data, then the prechecks.
    pub(super) fn propose_action(&mut self, mut incident: Incident, action: &Action) {
        let proposal = self.proposal(&incident, action);
        let busy = self.guards.remediations.is_busy(&proposal.policy, incident.id);
        let answer = stage::check(self.setup.stage, &proposal, &self.setup.inventory, busy);
        if !self.passes(&incident, stage::NAME, &answer) {
            return self.refused(incident, stage::NAME, answer);
        }
        let answer = dedup::check(&proposal, &self.guards.remediations);
        if !self.passes(&incident, dedup::NAME, &answer) {
            return self.refused(incident, dedup::NAME, answer);
        }
        // From here on the owner is taken, so that nothing can come in between while the prechecks are answered.
        self.guards.remediations.claim(&proposal);
        let count = self.setup.policy.prechecks.len();
        let first = self.state.next_query;
        self.state.next_query += count as u64;
        incident.phase = Phase::Checking { first, answers: vec![None; count] };
        if count == 0 {
            return self.decide(incident);
        }
        for index in 0..count {
            let question = self.question(&incident, ConditionAt::Precheck(index));
            self.effects.push(Effect::Evaluate { query: first + index as u64, question, at: self.now });
        }
        self.keep(incident);
    }

    /// The prechecks are answered: the rest of the guards, then the action.
    pub(super) fn decide(&mut self, mut incident: Incident) {
        let policy = self.setup.policy.clone();
        let Phase::Checking { answers, .. } = std::mem::replace(&mut incident.phase, Phase::Held { timer: None, by: String::new() }) else {
            unreachable!("only a checked incident is decided")
        };
        let Some(Deed::Act(action)) = policy.steps.get(incident.step).map(|step| &step.deed) else {
            unreachable!("only actions are checked")
        };
        let proposal = self.proposal(&incident, action);
        let answers: Vec<(Truth, String)> = answers.into_iter().flatten().collect();
        let checked = answers.iter().zip(&policy.prechecks).map(|((verdict, figures), precheck)| precheck::Checked {
            verdict: *verdict,
            figures,
            because: &precheck.because,
        });
        let answer = precheck::check(&proposal.target, &self.setup.inventory, &checked.collect::<Vec<_>>());
        if !self.passes(&incident, precheck::NAME, &answer) {
            return self.refused(incident, precheck::NAME, answer);
        }
        if let Some((guard, answer)) = self.limits(&incident, &proposal, true) {
            return self.refused(incident, guard, answer);
        }
        let reason = reason(&incident, &answers);
        self.start(incident, proposal, reason, false);
    }

    /// Caps, rate limit and cooldown, in this order; the first that refuses.
    pub(super) fn limits(&mut self, incident: &Incident, proposal: &Proposal, rate_limited: bool) -> Option<(&'static str, Answer)> {
        let (settings, inventory) = (&self.setup.policy.guards, &self.setup.inventory);
        let Guards { remediations, starts, ends, .. } = &*self.guards;
        let mut answers = vec![(caps::NAME, caps::check(&settings.caps, proposal, remediations, inventory))];
        if rate_limited {
            answers.push((rate_limit::NAME, rate_limit::check(&settings.rate_limits, proposal, starts, inventory, self.now)));
        }
        answers.push((cooldown::NAME, cooldown::check(settings.cooldown, proposal, ends, remediations, self.now)));
        answers.into_iter().find(|(guard, answer)| !self.passes(incident, guard, answer))
    }

    /// Starts an action, or in dry-run books it as if it had started.
    pub(super) fn start(&mut self, mut incident: Incident, proposal: Proposal, reason: String, reverting: bool) {
        self.guards.started(&proposal, self.now);
        let Proposal { action, target, .. } = proposal;
        let Some(actuator) = self.setup.actuator else {
            let lasting = self.verify_of(&incident).map_or(ASSUMED_ACTION, |verify| verify.within);
            let (policy, step) = (self.name(), incident.step as u32);
            self.record(Event::WouldAct { policy, incident: incident.id, step, what: action, target, reason });
            incident.phase = Phase::Assumed { timer: self.set_timer(self.now.saturating_add(lasting)) };
            return self.keep(incident);
        };
        let id = self.next_action();
        let (policy, step) = (self.name(), incident.step as u32);
        let (action_id, what, to) = (id.clone(), action.clone(), target.clone());
        self.record(Event::Decided { policy, incident: incident.id, step, action: action_id, what, target: to, reason });
        self.effects.push(Effect::Start(actuator.command(id.clone(), action, target)));
        incident.has_acted = true;
        incident.phase = Phase::Acting { action: id, reverting };
        self.keep(incident);
    }

    /// A guard has refused. Before the first action the incident waits for a better time; after it a person is called.
    pub(super) fn refused(&mut self, mut incident: Incident, guard: &'static str, answer: Answer) {
        let what = proposed(&self.setup.policy, incident.step);
        let (policy, target) = (self.name(), Some(self.target(&incident)));
        let (step, figures) = (incident.step as u32, answer.figures);
        let name = Name::new(guard);
        self.record(Event::Refused { policy, incident: incident.id, step, what, target, guard: name, figures: figures.clone() });
        if incident.has_acted {
            let reason = format!("step {} was refused by {guard}: {figures}", incident.step + 1);
            return self.hand_over(incident, &reason);
        }
        self.guards.released(&self.setup.policy.name, incident.id);
        // Whoever has the owner wakes this incident on closing; and a stage does not change, but for its `one at a time`.
        let waits_for_time = guard != dedup::NAME && (guard != stage::NAME || self.setup.stage == Stage::Limited);
        let again = answer.again.unwrap_or_else(|| self.now.saturating_add(RETRY_AFTER));
        let timer = waits_for_time.then(|| self.set_timer(again));
        incident.phase = Phase::Held { timer, by: guard.to_owned() };
        self.keep(incident);
        self.wake_all();
    }
}

/// Why the policy acts: the alert, and the figures of its prechecks.
fn reason(incident: &Incident, answers: &[(Truth, String)]) -> String {
    let figures: Vec<&str> = answers.iter().map(|(_, figures)| figures.as_str()).collect();
    if figures.is_empty() {
        format!("{} fires", incident.alert)
    } else {
        format!("{} fires, and {}", incident.alert, figures.join(", and "))
    }
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
