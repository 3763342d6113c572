//! An incident from its opening to its close, and what its close means for its alert and for the incidents that it kept waiting.

use firedrill_core::action::Target;
use firedrill_core::journal::{Event, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

use super::REOPEN_AFTER;
use super::state::{Care, Ending, Firing, Incident, Phase, Purpose};
use super::turn::{Turn, proposed};
use crate::guard::{Guard, freeze, owner_of};
use crate::policy::{AbsentLabel, Escalation};

impl Turn<'_> {
    pub(super) fn open(&mut self, key: Name, notification: Notification) {
        if let Some((until, why)) = self.maintained() {
            return self.leave_unanswered(key, notification, until, &why);
        }
        let id = self.state.next_incident;
        self.state.next_incident += 1;
        let policy = self.setup.policy.clone();
        let needed = AbsentLabel::among(&self.setup.prepared.labels, &notification.labels);
        let target = needed.clone().and_then(|()| policy.target.resolve(&notification.labels)).ok();
        let mut incident = Box::new(Incident {
            id,
            alert_key: key.clone(),
            alert: notification.alert.clone(),
            labels: notification.labels.clone(),
            target: target.clone(),
            step: 0,
            choice: None,
            group: None,
            phase: Phase::Held { timer: None, by: "target".to_owned() },
            has_acted: false,
            last_end: None,
            escalation_timer: None,
            has_asked: false,
            queued_since: None,
            askings: 0,
            is_careful: false,
            objective: None,
        });
        if let Some(target) = &target {
            self.has_failed(target, &key, notification.starts_at);
        }
        let (alert, labels) = (notification.alert.clone(), notification.labels.clone());
        self.state.alerts.insert(key, Firing { notification, care: Care::Open(id) });
        self.record(Event::IncidentOpened { policy: self.name(), incident: id, alert, target, labels });
        incident.escalation_timer = policy.escalate_after.map(|span| self.set_timer(self.now.saturating_add(span)));
        match needed {
            Ok(()) => self.propose(incident),
            Err(absent) => {
                let (what, figures) = (proposed(&policy, 0), absent.to_string());
                let (policy, guard) = (self.name(), Name::new("target"));
                self.record(Event::Refused { policy, incident: id, step: 0, what, target: None, guard, figures, held_by: None });
                self.keep(incident);
            }
        }
    }

    /// The alert of a target is on. What the policy acts on need not be what the alert's labels name.
    fn has_failed(&mut self, target: &Target, key: &Name, at: Time) {
        if self.setup.policy.guards.correlated_failure.is_some() {
            let alert = Name::from(format!("{} {key}", self.setup.policy.name));
            return self.guards.failures.begin(alert, target, at, self.now);
        }
        self.guards.failures.record(target, at, self.now);
    }

    /// The alert of a target is over.
    pub(super) fn has_recovered(&mut self, key: &str) {
        if self.setup.policy.guards.correlated_failure.is_some() {
            self.guards.failures.end(&format!("{} {key}", self.setup.policy.name));
        }
    }

    /// Whether the incident's alert is on, and the incident's own.
    pub(super) fn is_on(&self, incident: &Incident) -> bool {
        let firing = self.state.alerts.get(&incident.alert_key);
        firing.is_some_and(|firing| matches!(firing.care, Care::Open(id) if id == incident.id))
    }

    /// Whether its alert is on, or another of the policy's that is about the same target: what fills up is full later.
    pub(super) fn is_ill(&self, incident: &Incident) -> bool {
        let source = &self.setup.policy.target;
        let target = source.resolve(&incident.labels).ok();
        let is_of_it = |firing: &Firing| target.is_some() && source.resolve(&firing.notification.labels).ok() == target;
        self.state.alerts.iter().any(|(key, firing)| *key == incident.alert_key || is_of_it(firing))
    }

    /// Until when the policy answers nothing, and why.
    fn maintained(&self) -> Option<(Time, String)> {
        let answer = freeze::check(&self.setup.policy.maintenance, self.setup.start, self.now);
        let why = || answer.figures.replacen("frozen", "maintenance", 1);
        answer.is_refusal().then(|| (answer.again.unwrap_or_else(|| self.now.saturating_add(REOPEN_AFTER)), why()))
    }

    /// An alert is not taken up before a time.
    fn leave_unanswered(&mut self, key: Name, notification: Notification, until: Time, why: &str) {
        let (alert, labels) = (notification.alert.clone(), notification.labels.clone());
        self.record(Event::Unanswered { policy: self.name(), alert, labels, reason: why.to_owned() });
        let timer = self.set_timer(until);
        self.state.alerts.insert(key, Firing { notification, care: Care::Resting { timer } });
    }

    /// `escalate_after` is over: a person is called, whatever the steps are doing. What waits for a guard stops waiting.
    pub(super) fn overdue(&mut self, id: u64) {
        let mut incident = self.take(id);
        incident.escalation_timer = None;
        let after = self.setup.policy.escalate_after.unwrap_or(Span::ZERO);
        let reason = format!("{} is unresolved after {after}", incident.alert);
        if matches!(incident.phase, Phase::Held { .. }) {
            return self.hand_over(incident, &reason);
        }
        self.page(&incident, &reason);
        self.keep(incident);
    }

    /// Calls a person and leaves the alert to people.
    pub(super) fn hand_over(&mut self, mut incident: Box<Incident>, reason: &str) {
        self.climb(&incident, reason);
        let Escalation { to, with, .. } = self.setup.policy.escalation(incident.step);
        if with.is_empty() {
            self.call(incident.id, (to, reason.to_owned()), with, Vec::new());
            return self.close(incident, reason, &Ending::Left);
        }
        self.stop_waiting(&incident);
        self.gather(&incident.about(), with, Purpose::Page { to, reason: reason.to_owned(), closes: true });
        incident.phase = Phase::Gathering;
        self.keep(incident);
    }

    pub(super) fn close(&mut self, incident: Box<Incident>, reason: &str, ending: &Ending) {
        self.guards.released(&self.setup.policy.name, incident.id);
        self.withdraw(incident.id, reason);
        self.state.warnings.remove(&incident.id);
        if let Some(timer) = incident.escalation_timer {
            self.cancel(timer);
        }
        self.stop_waiting(&incident);
        if matches!(ending, Ending::Done) {
            self.stop_climbing(|climb| climb.about.incident == incident.id);
        }
        self.record(Event::IncidentClosed { policy: self.name(), incident: incident.id, reason: reason.to_owned() });
        // The alert may have come back meanwhile, and another incident have taken it up.
        let is_own = |firing: &Firing| matches!(firing.care, Care::Open(id) if id == incident.id);
        if self.state.alerts.get(&incident.alert_key).is_some_and(is_own) {
            let care = match ending {
                Ending::Left => Care::Left,
                Ending::Done => Care::Resting { timer: self.set_timer(self.reopening(&incident)) },
            };
            self.state.alerts.leave(&incident.alert_key, care);
        }
        self.wake(&incident, ending);
    }

    /// When an incident is opened anew for an alert that still fires.
    pub(super) fn reopening(&self, incident: &Incident) -> Time {
        let rest = self.setup.policy.guards.cooldown.map_or(Span::ZERO, |cooldown| cooldown.same_policy.max(cooldown.any_policy));
        let rested = incident.last_end.map_or(self.now, |end| end.saturating_add(rest));
        rested.max(self.now.saturating_add(REOPEN_AFTER))
    }

    /// An incident has closed: those that it kept waiting go on. One on the same target does not act on top of what was done a moment ago:
    /// it rests as the closed one does, or is left to people with it.
    pub(super) fn wake(&mut self, closed: &Incident, ending: &Ending) {
        let same_target = |incident: &Incident| incident.is_held_by_dedup() && incident.target == closed.target;
        if closed.has_acted || matches!(ending, Ending::Left) {
            for id in self.state.incidents.held_by_dedup() {
                // Closing one of them wakes the others in its turn.
                if !self.state.incidents.get(id).is_some_and(same_target) {
                    continue;
                }
                let mut incident = self.take(id);
                match ending {
                    Ending::Left => {
                        let reason = format!("left to people with incident {}", closed.id);
                        self.close(incident, &reason, &Ending::Left);
                    }
                    Ending::Done => {
                        incident.phase =
                            Phase::Held { timer: Some(self.set_timer(self.reopening(closed))), by: Guard::Cooldown.word().to_owned() };
                        self.keep(incident);
                    }
                }
            }
        }
        self.wake_all();
    }

    /// Proposes again, oldest first, what was held only by another incident of this policy.
    pub(super) fn wake_all(&mut self) {
        for id in self.state.incidents.held_by_dedup() {
            let free = self.state.incidents.get(id).filter(|own| own.is_held_by_dedup()).is_some_and(|own| {
                let Some(target) = &own.target else { return false };
                let owner = owner_of(target, &self.setup.inventory);
                self.guards.remediations.other_on((&self.setup.policy.name, id), &owner).is_none()
            });
            if free {
                let incident = self.take(id);
                self.propose(incident);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{AlertStatus, Input, Truth};

    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, notification};
    use crate::guard::stage::Stage;

    #[test]
    fn an_incident_goes_from_alert_to_verified_end_and_is_taken_up_again_if_the_alert_still_fires() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.check(10, fires("api-1"), &["open 0", "start restart#0 restart (rolling) replica/api-1"]);
        bench.check(12, ended(0, OK), &["ask 0 Verify(0) at 12"]);
        bench.check(12, answer(0, Truth::False), &["ask 1 Verify(0) at 17"]);
        bench.check(17, answer(1, Truth::True), &["ask 2 Verify(0) at 22"]);
        bench.check(22, answer(2, Truth::True), &["ask 3 Verify(0) at 27"]);
        let end = ["verified Held after 15s", "close 0: the remediation is verified", "timer 0 at 327"];
        bench.check(27, answer(3, Truth::True), &end);
        bench.check(327, Input::Timer { timer: 0 }, &["open 1", "start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn one_replica_at_a_time_and_the_next_goes_on_when_the_first_is_verified() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(1, fires("api-2"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        bench.check(2, fires("api-1"), &["refuse 0 by dedup: incident 0 has this alert already"]);
        bench.step(3, ended(0, OK));
        let end = [
            "verified Held after 0s",
            "close 0: the remediation is verified",
            "timer 0 at 303",
            "start restart#1 restart (rolling) replica/api-2",
        ];
        bench.check(3, answer(0, Truth::True), &end);
    }

    #[test]
    fn a_second_alert_on_the_same_target_rests_as_the_first_does() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        let other = || notification(AlertStatus::Firing, &[("pod", "api-1"), ("why", "other")]);
        bench.step(0, fires("api-1"));
        bench.step(0, other());
        bench.step(3, ended(0, OK));
        let end = ["verified Held after 0s", "close 0: the remediation is verified", "timer 0 at 303", "timer 1 at 303"];
        bench.check(3, answer(0, Truth::True), &end);
        bench.check(303, Input::Timer { timer: 1 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn all_that_wait_for_what_is_left_to_people_are_left_to_them() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        let other = |why: &str| notification(AlertStatus::Firing, &[("pod", "api-1"), ("why", why)]);
        bench.step(0, fires("api-1"));
        bench.step(0, other("one"));
        bench.step(0, other("two"));
        let left = [
            "page oncall",
            "close 0: step 1: the action failed: no quota",
            "close 1: left to people with incident 0",
            "close 2: left to people with incident 1",
        ];
        bench.check(3, ended(0, ActionOutcome::Failed("no quota".into())), &left);
    }

    #[test]
    fn unresolved_for_too_long_pages_while_the_steps_go_on() {
        let mut bench = Bench::new(
            &RESTART
                .replace(
                    "guard:",
                    "escalate_after: 20s
guard:",
                )
                .replace("hold: 10s, ", ""),
            Stage::Full,
        );
        bench.check(0, fires("api-1"), &["open 0", "timer 0 at 20", "start restart#0 restart (rolling) replica/api-1"]);
        bench.check(20, Input::Timer { timer: 0 }, &["page oncall"]);
        bench.check(30, ended(0, OK), &["ask 0 Verify(0) at 30"]);
        bench.check(30, answer(0, Truth::True), &["verified Held after 0s", "close 0: the remediation is verified", "timer 1 at 330"]);
    }
}
