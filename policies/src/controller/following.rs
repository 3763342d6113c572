//! What follows an action: its verification, and what its step says of a failure.

use firedrill_core::journal::{Truth, Verification};

use super::proposing::Gathered;
use super::state::{Before, Ending, Incident, Phase};
use super::turn::Turn;
use super::{Effect, VERIFY_PERIOD};
use crate::guard::ineffective_chain::Helped;
use crate::guard::{Fact, Guard, Known};
use crate::policy::{ConditionAt, Deed, OnFailure, inverse};

impl Turn<'_> {
    /// The step's action or pause has ended well: verify it, or go on.
    pub(super) fn done(&mut self, mut incident: Box<Incident>) {
        if self.verify_of(&incident).is_some() {
            let query = self.ask_verification(&incident, self.now);
            incident.phase = Phase::Verifying { query, since: self.now, held_since: None, was_false: false };
            return self.keep(incident);
        }
        self.look_back(&mut incident);
        incident.advance();
        self.propose(incident);
    }

    /// One look at the verification's condition.
    pub(super) fn verified(&mut self, mut incident: Box<Incident>, verdict: Truth, figures: String) {
        let (Some(verify), Phase::Verifying { since, held_since, was_false, .. }) = (self.verify_of(&incident), &incident.phase) else {
            unreachable!("only a verifying incident is verified")
        };
        let (hold, within, since) = (verify.hold, verify.within, *since);
        let held_since = if verdict == Truth::True { Some(held_since.unwrap_or(self.now)) } else { None };
        let was_false = *was_false || verdict == Truth::False;
        let deadline = since.saturating_add(within);
        if held_since.is_some_and(|held_since| self.now.since(held_since) >= hold) {
            self.journal_verification(&incident, Verification::Held, figures, since);
            self.judge(&incident, Helped::Yes);
            self.look_back(&mut incident);
            if self.goes_wider(&mut incident) {
                return self.propose_together(incident);
            }
            return self.close(incident, "the remediation is verified", &Ending::Done);
        }
        if self.now >= deadline {
            let figures = match held_since {
                Some(held_since) => format!("{figures}, and has held for {} of {hold}", self.now.since(held_since)),
                None => figures,
            };
            let verification = if was_false { Verification::Failed } else { Verification::Inconclusive };
            self.journal_verification(&incident, verification, figures.clone(), since);
            self.judge(&incident, if was_false { Helped::No } else { Helped::Unknown });
            let why = if was_false { "its verification failed" } else { "its verification was inconclusive" };
            return self.failed(incident, true, &format!("{why}: {figures}"));
        }
        // The last look is at the deadline itself, and one is due at the moment at which the condition has held for long enough.
        let next = self.now.saturating_add(VERIFY_PERIOD).min(deadline);
        let next = held_since.map_or(next, |held_since| next.min(held_since.saturating_add(hold)));
        let query = self.ask_verification(&incident, next);
        incident.phase = Phase::Verifying { query, since, held_since, was_false };
        self.keep(incident);
    }

    /// The step has failed: what its policy says follows. `carried_out` says whether there is something to revert.
    pub(super) fn failed(&mut self, mut incident: Box<Incident>, carried_out: bool, why: &str) {
        self.look_back(&mut incident);
        let step = self.setup.policy.steps.get(incident.step);
        let own = step.map_or(OnFailure::Escalate, |step| step.on_failure);
        let on_failure = if incident.is_careful && carried_out { OnFailure::Revert } else { own };
        match on_failure {
            OnFailure::Next => {
                incident.advance();
                self.try_next(incident);
            }
            OnFailure::Revert if carried_out => self.revert(incident, why),
            OnFailure::Revert | OnFailure::Escalate => {
                let reason = format!("step {}: {why}", incident.step + 1);
                self.hand_over(incident, &reason);
            }
        }
    }

    /// The step after one that did not help: another attempt, and none on what has recovered meanwhile. Whom the policy calls is called all the same.
    fn try_next(&mut self, incident: Box<Incident>) {
        self.void_allowed(incident.id);
        let is_on = self.is_ill(&incident);
        let calls = matches!(self.setup.policy.steps.get(incident.step).map(|step| &step.deed), Some(Deed::Escalate(_)) | None);
        if is_on || calls {
            return self.propose(incident);
        }
        self.close(incident, "the alert is over before anything else was done", &Ending::Done);
    }

    /// What an action has done is over: what must not grow is asked for once more, to be held against what it was when the action was decided.
    fn look_back(&mut self, incident: &mut Incident) {
        let Some(value) = incident.objective.take().filter(|_| incident.has_acted) else { return };
        let query = self.state.next_query;
        self.state.next_query += 1;
        let what = format!("step {} of incident {}", incident.step + 1, incident.id);
        self.state.objectives.insert(query, Before { what, value });
        let question = self.question(incident, ConditionAt::Guard(Fact::Objective));
        self.effects.push(Effect::Evaluate { query, question, at: self.now });
    }

    /// What must not grow, as it is after an action. What cannot be told is taken for no harm: the verification has its own say.
    pub(super) fn compared(&mut self, Before { what, value }: &Before, known: &Known) {
        let policy = self.setup.policy.clone();
        let (Some(harm), Known::Measured(Some(after), _)) = (&policy.guards.harm, known) else { return };
        if let Some(why) = harm.judge(what, *value, *after) {
            self.guards.harmed(&policy.name, why, self.now);
        }
    }

    /// The last word on the step's action, for the guards. A pause is no action.
    pub(super) fn judge(&mut self, incident: &Incident, effect: Helped) {
        if let Some(group) = &incident.group {
            // The parts of an own action are one: what came of the last is said of all.
            let is_own = matches!(self.setup.policy.steps.get(incident.step).map(|step| &step.deed), Some(Deed::Own(_)));
            let earlier = if is_own { group.earlier.as_slice() } else { &[] };
            let pieces: Vec<_> = earlier.iter().chain(&group.done).cloned().collect();
            return self.judge_pieces(incident, &pieces, effect);
        }
        let policy = self.setup.policy.clone();
        if let Some(action) = self.action(incident) {
            let proposal = self.proposal(incident, &action);
            self.guards.judged(&proposal, effect, self.now);
            self.guards.observe(&proposal.policy, policy.guards.breaker.as_ref(), self.now);
        }
    }

    /// Undoes the step's action. Most guards are skipped, because what is half done must not be left so (see [`Guard::is_asked_before_undoing`]).
    pub(super) fn revert(&mut self, incident: Box<Incident>, why: &str) {
        if incident.group.is_some() {
            return self.revert_together(incident, why);
        }
        let Some(action) = self.action(&incident) else {
            return self.hand_over(incident, why);
        };
        let target = self.target(&incident);
        let Some(undo) = inverse(&action, &target, &self.setup.inventory) else {
            return self.hand_over(incident, &format!("{why}; {} cannot be reverted: {target} is not declared", action.word()));
        };
        let proposal = self.proposal(&incident, &undo);
        let guards: Vec<Guard> = Guard::ALL.into_iter().filter(|guard| guard.is_asked_before_undoing()).collect();
        if let Some((guard, answer)) = self.ask(&incident, std::slice::from_ref(&proposal), &guards, &Gathered::default()) {
            return self.refused(incident, guard, answer);
        }
        self.start(incident, proposal, format!("undo: {why}"), true);
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{AlertStatus, Input, Truth};

    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, notification, resolves, says};
    use crate::guard::stage::Stage;

    /// A restart and, if that does not help, a purge.
    fn two_attempts() -> String {
        let two = RESTART.replace("on_failure: escalate", "on_failure: next").replace("  - escalate", "  - purge_queue: {}\n  - escalate");
        two.replace("hold: 10s, within: 60s", "within: 1s")
    }

    #[test]
    fn what_did_not_help_before_the_alert_was_over_is_not_followed_by_another_attempt() {
        let story = |bench: &mut Bench, is_over: bool| {
            bench.step(0, fires("api-1"));
            bench.step(1, ended(0, OK));
            bench.step(1, answer(0, Truth::False));
            if is_over {
                bench.step(2, resolves("api-1"));
            }
            bench.told(2, answer(1, Truth::False))
        };
        let failed = "verified Failed after 1s";
        let mut still = Bench::new(&two_attempts(), Stage::Full);
        assert_eq!(story(&mut still, false), [failed, "start restart#1 purge_queue replica/api-1"]);
        let mut over = Bench::new(&two_attempts(), Stage::Full);
        assert_eq!(story(&mut over, true), [failed, "close 0: the alert is over before anything else was done"]);
        // Whom the policy calls then is called all the same.
        let mut calls = Bench::new(&two_attempts().replace("  - purge_queue: {}\n", ""), Stage::Full);
        assert_eq!(story(&mut calls, true), [failed, "page oncall", "close 0: the policy escalates"]);
    }

    #[test]
    fn another_alert_on_the_same_target_keeps_the_attempts_going() {
        let told = |pod: &str| {
            let mut bench = Bench::new(&two_attempts(), Stage::Full);
            bench.step(0, fires("api-1"));
            bench.step(1, ended(0, OK));
            bench.step(1, notification(AlertStatus::Firing, &[("pod", pod), ("cause", "full")]));
            bench.step(1, answer(0, Truth::False));
            bench.step(2, resolves("api-1"));
            bench.told(2, answer(1, Truth::False))
        };
        let failed = "verified Failed after 1s";
        assert_eq!(told("api-1"), [failed, "start restart#1 purge_queue replica/api-1"]);
        assert_eq!(told("cart-1"), [failed, "close 0: the alert is over before anything else was done"]);
    }

    #[test]
    fn a_runbook_of_several_steps_is_carried_to_its_end_though_the_alert_is_over() {
        let whole = two_attempts().replace("\n    verify: { expr: 'up{pod=$pod} == 1', within: 1s }", "");
        let mut bench = Bench::new(&whole, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(1, resolves("api-1"));
        bench.check(2, ended(0, OK), &["start restart#1 purge_queue replica/api-1"]);
    }

    #[test]
    fn a_later_step_asks_the_prechecks_again_and_leaves_what_has_recovered_to_a_person() {
        let checked = two_attempts().replace("steps:", "precheck: [{ expr: 'up{pod=$pod} == 0', because: it must be down }]\nsteps:");
        let mut bench = Bench::new(&checked, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, answer(0, Truth::True));
        bench.step(1, ended(0, OK));
        bench.step(1, answer(1, Truth::False));
        bench.check(2, answer(2, Truth::False), &["verified Failed after 1s", "ask 3 Precheck(0) at 2"]);
        let end = "close 0: step 2 was refused by precheck: False: it must be down";
        bench.check(2, answer(3, Truth::False), &["refuse 0 by precheck: False: it must be down", "page oncall", end]);
    }

    #[test]
    fn a_break_in_the_condition_starts_its_hold_anew_and_the_deadline_ends_it() {
        let mut bench = Bench::new(&RESTART.replace("within: 60s", "within: 17s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.check(0, answer(0, Truth::True), &["ask 1 Verify(0) at 5"]);
        bench.check(5, answer(1, Truth::Unknown), &["ask 2 Verify(0) at 10"]);
        bench.check(10, answer(2, Truth::True), &["ask 3 Verify(0) at 15"]);
        bench.check(15, answer(3, Truth::True), &["ask 4 Verify(0) at 17"]);
        let end = "close 0: step 1: its verification was inconclusive: True, and has held for 7s of 10s";
        bench.check(17, answer(4, Truth::True), &["verified Inconclusive after 17s", "page oncall", end]);
    }

    #[test]
    fn what_is_worse_after_an_action_than_at_its_decision_opens_the_breaker() {
        let guard = "breaker: { within: 1h, harm: { expr: 'sum(errors{pod=$pod})', by: 0.5 } }";
        let text = RESTART.replace("cooldown: 2m", guard).replace("hold: 10s, within: 60s", "within: 5s");
        let measured = |query, value: Option<f64>| Input::Measured { query, value, figures: "no element".to_owned() };
        for (after, refused) in [(Some(1.5), false), (Some(1.75), true), (None, false)] {
            let mut bench = Bench::new(&text, Stage::Full);
            bench.check(0, fires("api-1"), &["open 0", "ask 0 Guard(Objective) at 0"]);
            bench.check(0, measured(0, Some(1.0)), &["start restart#0 restart (rolling) replica/api-1"]);
            bench.check(5, ended(0, OK), &["ask 1 Verify(0) at 5"]);
            let end = ["verified Held after 0s", "ask 2 Guard(Objective) at 5", "close 0: the remediation is verified", "timer 0 at 305"];
            bench.check(5, answer(1, Truth::True), &end);
            bench.check(5, measured(2, after), &[]);
            bench.step(10, resolves("api-1"));
            bench.step(20, fires("api-1"));
            let told = bench.told(20, measured(3, Some(1.0)));
            let figures = "refuse 1 by breaker: open since 00m05.000s: 1.75 after step 1 of incident 0 > 1 at its decision + 0.5";
            assert_eq!(told.iter().any(|own| own == figures), refused, "{told:?}");
        }
        let mut untold = Bench::new(&text, Stage::Full);
        untold.step(0, fires("api-1"));
        let refusal = "refuse 0 by breaker: cannot tell what harm is measured by: no element";
        untold.check(0, measured(0, None), &[refusal, "timer 0 at 60"]);
    }

    #[test]
    fn no_data_is_never_a_pass() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, within: 60s", "within: 5s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.step(0, answer(0, Truth::Unknown));
        let end = "close 0: step 1: its verification was inconclusive: Unknown";
        bench.check(5, answer(1, Truth::Unknown), &["verified Inconclusive after 5s", "page oncall", end]);
    }

    #[test]
    fn a_false_condition_at_the_deadline_is_a_failure_and_leaves_the_alert_to_people() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, within: 60s", "within: 5s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.step(0, answer(0, Truth::False));
        let end = "close 0: step 1: its verification failed: False";
        bench.check(5, answer(1, Truth::False), &["verified Failed after 5s", "page oncall", end]);
        bench.check(600, fires("api-1"), &[]);
        bench.check(700, resolves("api-1"), &[]);
        bench.check(800, fires("api-1"), &["open 1", "start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_failed_action_goes_where_its_step_says() {
        let next = RESTART.replace("on_failure: escalate", "on_failure: next").replace(
            "  - escalate",
            "  - wait: 30s
  - escalate",
        );
        let mut bench = Bench::new(&next, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(3, ended(0, ActionOutcome::Failed("no quota".into())), &["timer 0 at 33"]);
        bench.check(33, Input::Timer { timer: 0 }, &["page oncall", "cancel 0", "close 0: the policy escalates"]);
    }

    #[test]
    fn a_step_without_verification_leads_on_and_the_next_step_has_its_own_target() {
        let storm = RESTART
            .replace(
                "restart: { mode: rolling }
",
                "limit_retries: { retries: 0, lasting: 20s }
    target: { client: users }
  - purge_queue: {}
",
            )
            .replace("hold: 10s, ", "");
        let mut bench = Bench::new(&storm, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "start restart#0 limit_retries (0 for 20s) client/users"]);
        bench.check(1, ended(0, OK), &["start restart#1 purge_queue replica/api-1"]);
        bench.check(2, ended(1, OK), &["ask 0 Verify(1) at 2"]);
    }

    #[test]
    fn a_scale_out_that_does_not_help_is_undone_and_a_person_called() {
        let scale = RESTART
            .replace("restart: { mode: rolling }", "scale: { by: 2 }")
            .replace("{ replica: $pod }", "{ service: $pod }")
            .replace("on_failure: escalate", "on_failure: revert")
            .replace("hold: 10s, within: 60s", "within: 1s")
            .replace("cooldown: 2m", "rate_limit: [{ max: 1, window: 1h, scope: all }]");
        let mut bench = Bench::new(&scale, Stage::Full);
        bench.check(0, fires("api"), &["open 0", "start restart#0 scale (by +2) service/api"]);
        bench.step(1, ended(0, OK));
        bench.step(1, answer(0, Truth::False));
        bench.check(2, answer(1, Truth::False), &["verified Failed after 1s", "start restart#1 scale (by -2) service/api"]);
        bench.check(3, ended(1, OK), &["page oncall", "close 0: the action did not help and was reverted"]);
    }

    /// The usual restart as a scaling whose policy claims to be sure.
    fn sure(on_failure: &str) -> String {
        RESTART
            .replace("restart: { mode: rolling }", "scale: { by: 2 }")
            .replace("{ replica: $pod }", "{ service: $pod }")
            .replace("on_failure: escalate", &format!("on_failure: {on_failure}"))
            .replace("hold: 10s, within: 60s", "within: 1s")
            .replace("guard:", "guard:\n  confidence: { expr: sure }")
    }

    fn claimed(query: u64, value: f64) -> Input {
        Input::Measured { query, value: Some(value), figures: value.to_string() }
    }

    #[test]
    fn who_is_sure_acts_as_ever_and_who_is_not_tells_people_and_undoes_what_does_not_help() {
        let mut bench = Bench::new(&sure("next"), Stage::Full);
        bench.check(0, fires("api"), &["open 0", "ask 0 Confidence at 0"]);
        bench.check(0, claimed(0, 0.9), &["sure 0.9 of scale (by +2)", "start restart#0 scale (by +2) service/api"]);
        bench.step(1, ended(0, OK));
        bench.step(1, answer(1, Truth::False));
        bench.check(2, answer(2, Truth::False), &["verified Failed after 1s", "page oncall", "close 0: the policy escalates"]);
        let mut bench = Bench::new(&sure("next"), Stage::Full);
        bench.step(0, fires("api"));
        bench.check(0, claimed(0, 0.7), &["sure 0.7 of scale (by +2)", "inform oncall", "start restart#0 scale (by +2) service/api"]);
        bench.step(1, ended(0, OK));
        bench.step(1, answer(1, Truth::False));
        bench.check(2, answer(2, Truth::False), &["verified Failed after 1s", "start restart#1 scale (by -2) service/api"]);
    }

    #[test]
    fn who_is_not_sure_enough_or_cannot_tell_leaves_the_alert_to_people() {
        for (value, why) in [(Some(0.69), "0.69 < 0.7"), (None, "cannot tell: no element")] {
            let mut bench = Bench::new(&sure("next"), Stage::Full);
            bench.step(0, fires("api"));
            let figures = value.map_or_else(|| "no element".to_owned(), |value: f64| value.to_string());
            let end = format!("close 0: step 1 was refused by confidence: {why}");
            let expected = [format!("refuse 0 by confidence: {why}"), "page oncall".to_owned(), end];
            assert_eq!(bench.told(0, Input::Measured { query: 0, value, figures }), expected);
        }
    }

    #[test]
    fn what_cannot_be_undone_is_asked_of_where_the_policy_is_not_sure() {
        let restart = RESTART.replace("guard:", "guard:\n  confidence: { expr: sure }");
        let mut bench = Bench::new(&restart, Stage::Full);
        bench.step(0, fires("api-1"));
        let told = bench.told(0, claimed(0, 0.8));
        let why = "1 of oncall must say yes: confidence is 0.8, below 0.9, and it cannot be undone";
        assert_eq!(told[0], format!("refuse 0 by approval: {why}"));
        assert_eq!(told.last().map(String::as_str), Some("ask 0 restart (rolling) replica/api-1"));
        bench.check(
            60,
            says(0, "ada", true),
            &["ada counts: 1 of 1 said yes", "proposal 0 Granted: ada (oncall) said yes", "ask 1 Confidence at 60"],
        );
        // The claim has moved within its band: that changes nothing. Beyond it nobody need be asked, and below it nobody may.
        bench.check(
            60,
            claimed(1, 0.75),
            &["sure 0.75 of restart (rolling)", "cancel 0", "start restart#0 restart (rolling) replica/api-1"],
        );
        let mut bench = Bench::new(&restart, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, claimed(0, 0.8));
        bench.step(60, says(0, "ada", true));
        assert_eq!(bench.told(60, claimed(1, 0.5))[0], "refuse 0 by confidence: 0.5 < 0.7");
    }
}
