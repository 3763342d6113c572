//! What comes in: notifications, answers, reports and timers, each led to the incident that waits for it.

use std::fmt::Write;

use firedrill_core::action::{ActionOutcome, ActionResult};
use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification, Truth};
use firedrill_core::name::Name;

use super::state::{Care, Ending, Incident, Phase};
use super::turn::{Turn, proposed};
use super::{REPORT_TIMEOUT, REPORT_TIMERS};
use crate::guard::ineffective_chain::Helped;
use crate::guard::{Answer, Guard, Known};

impl Turn<'_> {
    pub(super) fn notified(&mut self, notification: Notification) {
        let key = written(&notification.labels);
        match (notification.status, self.state.alerts.get(&key).map(|firing| firing.care.clone())) {
            (AlertStatus::Resolved, Some(care)) => self.resolved(&key, care),
            (AlertStatus::Resolved, None) => {}
            (AlertStatus::Firing, Some(Care::Open(incident))) => self.repeated(incident),
            (AlertStatus::Firing, Some(Care::Left)) => {}
            (AlertStatus::Firing, Some(Care::Resting { timer })) => {
                self.cancel(timer);
                self.open(key, notification);
            }
            (AlertStatus::Firing, None) => self.open(key, notification),
        }
    }

    /// The alert is over. What has begun is carried to its end; what has not begun is dropped.
    pub(super) fn resolved(&mut self, key: &str, care: Care) {
        self.state.alerts.remove(key);
        self.has_recovered(key);
        self.stop_climbing(|climb| &*climb.alert_key == key);
        match care {
            Care::Left => {}
            Care::Resting { timer } => self.cancel(timer),
            Care::Open(id) => {
                let idle = |incident: &Incident| match incident.phase {
                    // Nobody is asked to allow what nobody needs.
                    Phase::Asking => true,
                    Phase::Assumed { .. } | Phase::Gathering => false,
                    _ => !incident.has_acted,
                };
                if self.state.incidents.get(id).is_some_and(idle) {
                    let incident = self.take(id);
                    let done = if incident.has_acted { "anything else" } else { "anything" };
                    self.close(incident, &format!("the alert is over before {done} was done"), &Ending::Done);
                }
            }
        }
    }

    /// A firing alert is told again while its incident is open.
    pub(super) fn repeated(&mut self, id: u64) {
        let policy = self.setup.policy.clone();
        let incident = self.take(id);
        let answer = Answer::refused(format!("incident {id} has this alert already"), None);
        self.journal_verdict(&incident, Guard::Dedup, &answer);
        self.record(Event::Refused {
            policy: self.name(),
            incident: id,
            step: incident.step as u32,
            what: proposed(&policy, incident.step),
            target: incident.target.clone(),
            guard: Name::new(Guard::Dedup.word()),
            figures: answer.figures,
            held_by: None,
        });
        self.keep(incident);
    }

    pub(super) fn evaluated(&mut self, query: u64, verdict: Truth, figures: String) {
        let is_verified = |incident: &&Incident| matches!(incident.phase, Phase::Verifying { .. });
        match self.state.incidents.asking(query).filter(is_verified).map(|incident| incident.id) {
            Some(id) => {
                let incident = self.take(id);
                self.verified(incident, verdict, figures);
            }
            None => self.answered(query, Known::Judged(verdict, figures)),
        }
    }

    /// The answer to a precheck, or to what a guard wants to know. One that nobody waits for any more changes nothing.
    pub(super) fn answered(&mut self, query: u64, known: Known) {
        if let Some(before) = self.state.objectives.remove(&query) {
            return self.compared(&before, &known);
        }
        let is_checked = |incident: &&Incident| matches!(incident.phase, Phase::Checking { .. });
        let Some(id) = self.state.incidents.asking(query).filter(is_checked).map(|incident| incident.id) else { return };
        if self.state.incidents.answer(id, query, known) {
            let incident = self.take(id);
            self.decide(incident);
        }
    }

    pub(super) fn finished(&mut self, result: &ActionResult) {
        let among =
            |incident: &Incident| incident.group.as_ref().is_some_and(|group| group.running.iter().any(|(id, _)| *id == result.action));
        if let Some(id) = self.incident_with(among) {
            let incident = self.take(id);
            return self.one_ended(incident, result);
        }
        let running = |incident: &Incident| matches!(&incident.phase, Phase::Acting { action, .. } if *action == result.action);
        let Some(id) = self.incident_with(running) else { return };
        let mut incident = self.take(id);
        self.cancel(REPORT_TIMERS + result.action.ordinal);
        incident.last_end = Some(self.now);
        self.guards.ended(&self.setup.policy.name, id, self.now);
        let reverting = matches!(incident.phase, Phase::Acting { reverting: true, .. });
        match &result.outcome {
            ActionOutcome::Failed(_) | ActionOutcome::Refused(_) if !reverting => self.judge(&incident, Helped::Failed),
            ActionOutcome::Succeeded if !reverting && self.verify_of(&incident).is_none() => self.judge(&incident, Helped::Unverified),
            _ => {}
        }
        match result.outcome.failure() {
            Some(why) if reverting => self.hand_over(incident, &format!("the revert failed: {why}")),
            None if reverting => self.hand_over(incident, "the action did not help and was reverted"),
            Some(why) => self.failed(incident, false, &format!("the action failed: {why}")),
            None => self.done(incident),
        }
    }

    /// The report of an action has not come in time. It may have done all, half or nothing, and may still do so: that is for a person to find out.
    fn unreported(&mut self, ordinal: u64) {
        let among =
            |incident: &Incident| incident.group.as_ref().is_some_and(|group| group.running.iter().any(|(id, _)| id.ordinal == ordinal));
        if let Some(id) = self.incident_with(among) {
            let incident = self.take(id);
            return self.one_unreported(incident, ordinal);
        }
        let running = |incident: &Incident| matches!(&incident.phase, Phase::Acting { action, .. } if action.ordinal == ordinal);
        let Some(id) = self.incident_with(running) else { return };
        let mut incident = self.take(id);
        incident.last_end = Some(self.now);
        self.guards.ended(&self.setup.policy.name, id, self.now);
        let Phase::Acting { action, reverting } = &incident.phase else { unreachable!("it was found so") };
        let what = if *reverting { "the revert" } else { "the action" };
        let reason =
            format!("step {}: {what} {action} was not reported within {REPORT_TIMEOUT}: nobody knows what it did", incident.step + 1);
        if !*reverting {
            self.judge(&incident, Helped::Failed);
        }
        self.hand_over(incident, &reason);
    }

    pub(super) fn timer(&mut self, timer: u64) {
        if let Some(ordinal) = timer.checked_sub(REPORT_TIMERS) {
            return self.unreported(ordinal);
        }
        if let Some((key, firing)) = self.state.alerts.resting(timer) {
            let (key, notification) = (key.clone(), firing.notification.clone());
            return self.open(key, notification);
        }
        if let Some(incident) = self.state.incidents.timed(timer) {
            let (id, is_overdue) = (incident.id, incident.escalation_timer == Some(timer));
            return if is_overdue { self.overdue(id) } else { self.waited(id) };
        }
        if let Some(query) = self.state.gatherings.iter().find(|(_, gathering)| gathering.timer == timer).map(|(query, _)| *query) {
            return self.not_gathered(query);
        }
        if let Some(number) = self.asked_until(timer) {
            return self.unanswered(number);
        }
        if let Some(index) = self.state.climbs.iter().position(|climb| climb.timer == timer) {
            self.next_rung(index);
        }
    }

    /// What an incident has waited for is over.
    fn waited(&mut self, id: u64) {
        let incident = self.take(id);
        match incident.phase {
            Phase::Waiting { .. } if incident.choice.is_some() => self.choose_again(incident),
            Phase::Waiting { .. } => self.done(incident),
            Phase::Assumed { .. } => {
                while self.guards.ended(&self.setup.policy.name, id, self.now) {}
                self.close(incident, "it would have acted; what follows is not simulated", &Ending::Left);
            }
            _ => self.propose(incident),
        }
    }
}

/// A label with its value seldom needs more bytes when written out.
const USUAL_LABEL: usize = 32;

/// Labels written out, one text for one label set.
fn written(labels: &LabelSet) -> Name {
    let mut text = String::with_capacity(labels.len() * USUAL_LABEL);
    text.push('{');
    for (name, value) in labels {
        text.push_str(name);
        // Of all bytes and not up to the first: that is many at a time.
        let is_plain = value.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\'));
        if is_plain {
            text.push_str("=\"");
            text.push_str(value);
            text.push_str("\",");
        } else {
            // Writing into a text cannot fail.
            let _ = write!(text, "={value:?},");
        }
    }
    text.push('}');
    Name::from(text)
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{Input, Truth};
    use firedrill_core::time::Time;

    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, resolves};
    use crate::controller::{Effect, REPORT_TIMEOUT, REPORT_TIMERS};
    use crate::guard::stage::Stage;

    /// A scale-out that is undone if it does not help.
    fn scaling() -> String {
        let scale = RESTART.replace("restart: { mode: rolling }", "scale: { by: 2 }").replace("{ replica: $pod }", "{ service: $pod }");
        scale.replace("on_failure: escalate", "on_failure: revert").replace("hold: 10s, within: 60s", "within: 1s")
    }

    #[test]
    fn an_action_that_nobody_reports_on_is_given_up_after_a_while_and_a_person_called() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        let waits = Effect::SetTimer { timer: REPORT_TIMERS, at: Time::ZERO + REPORT_TIMEOUT };
        assert!(bench.step(0, fires("api-1")).contains(&waits));
        bench.check(1, fires("api-2"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        let end = "close 0: step 1: the action restart#0 was not reported within 20m: nobody knows what it did";
        // What waited for it goes on: it is another target.
        let next = "refuse 1 by cooldown: service";
        let told = bench.told(1200, Input::Timer { timer: REPORT_TIMERS });
        assert_eq!(told[..2], ["page oncall", end]);
        assert!(!told.iter().any(|told| told.starts_with(next)) && told[2].starts_with("start restart#1"), "{told:?}");
        // It is left to people; a report that comes now is none of anybody's business.
        bench.check(1300, ended(0, OK), &[]);
        bench.check(1301, fires("api-1"), &[]);
    }

    #[test]
    fn a_report_in_time_ends_the_waiting_for_it_and_a_second_one_changes_nothing() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.step(0, fires("api-1"));
        assert!(bench.step(1199, ended(0, OK)).contains(&Effect::CancelTimer { timer: REPORT_TIMERS }));
        bench.check(1200, ended(0, ActionOutcome::Failed("late".into())), &[]);
        bench.check(1200, Input::Timer { timer: REPORT_TIMERS }, &[]);
    }

    #[test]
    fn what_is_reported_as_failed_is_not_undone_because_nobody_knows_whether_it_was_done() {
        let mut bench = Bench::new(&scaling(), Stage::Full);
        bench.step(0, fires("api"));
        let end = "close 0: step 1: the action failed: the platform reported an error";
        bench.check(5, ended(0, ActionOutcome::Failed("the platform reported an error".into())), &["page oncall", end]);
    }

    #[test]
    fn an_action_that_is_done_without_effect_is_found_out_by_its_verification() {
        let mut bench = Bench::new(&scaling().replace("cooldown: 2m", "rate_limit: [{ max: 1, window: 1h, scope: all }]"), Stage::Full);
        bench.step(0, fires("api"));
        bench.step(1, ended(0, OK));
        bench.step(1, answer(0, Truth::False));
        bench.check(2, answer(1, Truth::False), &["verified Failed after 1s", "start restart#1 scale (by -2) service/api"]);
        // The undoing hangs as well.
        let end = "close 0: step 1: the revert restart#1 was not reported within 20m: nobody knows what it did";
        bench.check(1202, Input::Timer { timer: REPORT_TIMERS + 1 }, &["page oncall", end]);
    }

    #[test]
    fn an_alert_that_is_over_before_anything_was_done_closes_without_acting() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(1, fires("api-2"));
        bench.check(2, resolves("api-2"), &["close 1: the alert is over before anything was done"]);
        bench.check(3, resolves("api-1"), &[]);
        bench.check(4, ended(0, OK), &["ask 0 Verify(0) at 4"]);
    }

    #[test]
    fn an_alert_that_comes_back_during_the_verification_is_another_incident() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(1, resolves("api-1"));
        bench.check(2, fires("api-1"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        bench.step(3, ended(0, OK));
        let end = ["verified Held after 0s", "close 0: the remediation is verified", "timer 0 at 303"];
        bench.check(3, answer(0, Truth::True), &end);
        bench.check(303, Input::Timer { timer: 0 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }
}
