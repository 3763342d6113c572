//! People who are called or told, the ladder that is climbed while nobody ends it, and the evidence that they are given.

use firedrill_core::journal::{Event, Evidence};
use firedrill_core::name::Name;

use super::state::{About, Climb, Ending, Gathering, Incident, Phase, Purpose};
use super::turn::Turn;
use super::{Effect, GATHER_WITHIN, Wanted};
use crate::evidence::missing;
use crate::policy::{ConditionAt, Escalation, Notice, Rung};

impl Turn<'_> {
    /// Calls a person; the incident goes on.
    pub(super) fn page(&mut self, incident: &Incident, reason: &str) {
        self.climb(incident, reason);
        let Escalation { to, with, .. } = self.setup.policy.escalation(incident.step);
        self.page_with(&incident.about(), (to, reason.to_owned()), with);
    }

    fn page_with(&mut self, about: &About, (to, reason): (Name, String), with: Vec<Name>) {
        if with.is_empty() {
            return self.call(about.incident, (to, reason), with, Vec::new());
        }
        self.gather(about, with, Purpose::Page { to, reason, closes: false });
    }

    /// The call itself.
    pub(super) fn call(&mut self, incident: u64, (to, reason): (Name, String), with: Vec<Name>, evidence: Vec<Evidence>) {
        let reason = match self.state.warnings.get(&incident) {
            Some(warnings) => format!("{reason}; the project's rules warn: {}", warnings.join("; ")),
            None => reason,
        };
        let (policy, paged) = (self.name(), evidence.clone());
        self.record(Event::Paged { policy, incident, to: to.clone(), reason: reason.clone(), with: with.clone(), evidence: paged });
        self.effects.push(Effect::Page { to, reason, with, evidence });
    }

    /// Tells whoever would be called that the policy acts though it is not sure.
    pub(super) fn inform_of_care(&mut self, incident: &Incident) {
        let (policy, step, to) = (self.name(), incident.step as u32, self.setup.policy.escalation(incident.step).to);
        self.record(Event::Informed { policy, incident: incident.id, step, to: to.clone(), with: Vec::new(), evidence: Vec::new() });
        self.effects.push(Effect::Inform { to, evidence: Vec::new() });
    }

    /// Tells people, and goes on.
    pub(super) fn notify(&mut self, incident: Box<Incident>, Notice { to, with }: Notice) {
        let step = incident.step as u32;
        self.hold_for(incident, with, Purpose::Notify { to, step });
    }

    /// Gathers evidence to be written down, and goes on.
    pub(super) fn collect(&mut self, incident: Box<Incident>, with: Vec<Name>) {
        let step = incident.step as u32;
        self.hold_for(incident, with, Purpose::Collect { step });
    }

    /// The incident goes on when the evidence is there.
    fn hold_for(&mut self, mut incident: Box<Incident>, with: Vec<Name>, purpose: Purpose) {
        incident.phase = Phase::Gathering;
        let (id, about) = (incident.id, incident.about());
        self.keep(incident);
        if with.is_empty() {
            return self.serve(id, with, purpose, Vec::new());
        }
        self.gather(&about, with, purpose);
    }

    /// Asks for evidence.
    pub(super) fn gather(&mut self, about: &About, with: Vec<Name>, purpose: Purpose) {
        let query = self.state.next_query;
        self.state.next_query += 1;
        let policy = self.setup.policy.clone();
        let prechecks = (0..policy.prechecks.len()).map(ConditionAt::Precheck);
        let verifications =
            policy.steps.iter().enumerate().filter(|(_, step)| step.verify.is_some()).map(|(index, _)| ConditionAt::Verify(index));
        let shown = (0..policy.evidence.len()).map(ConditionAt::Shown);
        let questions = prechecks.chain(verifications).chain(shown).map(|at| self.question_about(&about.labels, at)).collect();
        let About { incident, alert, labels, target } = about.clone();
        let wanted = Wanted { kinds: with.clone(), alert, labels, target, questions };
        self.effects.push(Effect::Gather { query, wanted });
        let timer = self.set_timer(self.now.saturating_add(GATHER_WITHIN));
        self.state.gatherings.insert(query, Gathering { incident, with, purpose, timer });
    }

    /// Evidence has come. What nobody waits for any more changes nothing.
    pub(super) fn gathered(&mut self, query: u64, evidence: Vec<Evidence>) {
        let Some(Gathering { incident, with, purpose, timer }) = self.state.gatherings.remove(&query) else { return };
        self.cancel(timer);
        self.serve(incident, with, purpose, evidence);
    }

    /// Evidence has not come in time: people are called without it.
    pub(super) fn not_gathered(&mut self, query: u64) {
        let Some(Gathering { incident, with, purpose, .. }) = self.state.gatherings.remove(&query) else { return };
        let why = format!("not gathered within {GATHER_WITHIN}");
        let evidence = with.iter().map(|kind| missing(kind, &why)).collect();
        self.serve(incident, with, purpose, evidence);
    }

    /// What evidence is for is done with it.
    fn serve(&mut self, incident: u64, with: Vec<Name>, purpose: Purpose, evidence: Vec<Evidence>) {
        let policy = self.name();
        match purpose {
            Purpose::Page { to, reason, closes } => {
                self.call(incident, (to, reason.clone()), with, evidence);
                if closes {
                    let incident = self.take(incident);
                    self.close(incident, &reason, &Ending::Left);
                }
            }
            Purpose::Notify { to, step } => {
                self.record(Event::Informed { policy, incident, step, to: to.clone(), with, evidence: evidence.clone() });
                self.effects.push(Effect::Inform { to, evidence });
                self.go_on(incident);
            }
            Purpose::Collect { step } => {
                self.record(Event::Collected { policy, incident, step, evidence });
                self.go_on(incident);
            }
        }
    }

    fn go_on(&mut self, incident: u64) {
        let mut incident = self.take(incident);
        if !incident.has_acted && !self.is_on(&incident) {
            return self.close(incident, "the alert is over before anything was done", &Ending::Done);
        }
        incident.advance();
        self.propose(incident);
    }

    /// Begins to climb the ladder above the first call, unless that is under way. What is over needs nobody else.
    pub(super) fn climb(&mut self, incident: &Incident, reason: &str) {
        let Escalation { then, .. } = self.setup.policy.escalation(incident.step);
        let Some(Rung { after, .. }) = then.first() else { return };
        let is_under_way = self.state.climbs.iter().any(|climb| climb.alert_key == incident.alert_key);
        if is_under_way || self.state.alerts.get(&incident.alert_key).is_none() {
            return;
        }
        let timer = self.set_timer(self.now.saturating_add(*after));
        let (about, alert_key, reason) = (incident.about(), incident.alert_key.clone(), reason.to_owned());
        self.state.climbs.push(Climb { about, alert_key, step: incident.step, reason, began: self.now, next: 0, timer });
    }

    /// The alert is still on: the next of the ladder is called.
    pub(super) fn next_rung(&mut self, index: usize) {
        let mut climb = self.state.climbs.remove(index);
        let Escalation { then, with, .. } = self.setup.policy.escalation(climb.step);
        let Some(Rung { to, after }) = then.get(climb.next).cloned() else { return };
        let reason = format!("{}; not over {after} after the first call", climb.reason);
        let about = climb.about.clone();
        climb.next += 1;
        if let Some(Rung { after, .. }) = then.get(climb.next) {
            climb.timer = self.set_timer(climb.began.saturating_add(*after));
            self.state.climbs.insert(index, climb);
        }
        self.page_with(&about, (to, reason), with);
    }

    /// The ladders that fit are climbed no further.
    pub(super) fn stop_climbing(&mut self, fits: impl Fn(&Climb) -> bool) {
        let ended: Vec<u64> = self.state.climbs.iter().filter(|climb| fits(climb)).map(|climb| climb.timer).collect();
        self.state.climbs.retain(|climb| !fits(climb));
        ended.into_iter().for_each(|timer| self.cancel(timer));
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{Event, Evidence, Input};
    use firedrill_core::name::Name;

    use super::Effect;
    use crate::controller::bench::{Bench, OK, RESTART, ended, fires, resolves};
    use crate::guard::stage::Stage;

    fn gathered(query: u64, kind: &str, line: &str) -> Input {
        let evidence = vec![Evidence { kind: Name::new(kind), lines: vec![line.to_owned()], note: String::new() }];
        Input::Gathered { query, evidence }
    }

    fn failed() -> Input {
        ended(0, ActionOutcome::Failed("no".into()))
    }

    const FAILED: &str = "close 0: step 1: the action failed: no";

    #[test]
    fn a_page_waits_for_its_evidence_and_no_longer_than_stated() {
        let with = RESTART.replace("{ to: oncall }", "{ to: oncall, with: [metrics] }");
        let mut bench = Bench::new(&with, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(3, failed(), &["gather 0 metrics", "timer 0 at 13"]);
        bench.check(4, gathered(0, "metrics", "up 0"), &["cancel 0", "page oncall", FAILED]);
        let mut late = Bench::new(&with, Stage::Full);
        late.step(0, fires("api-1"));
        late.step(3, failed());
        let effects = late.step(13, Input::Timer { timer: 0 });
        let noted = effects.iter().find_map(|effect| match effect {
            Effect::Page { evidence, .. } => Some(evidence[0].note.clone()),
            _ => None,
        });
        assert_eq!(noted.as_deref(), Some("not gathered within 10s"));
        late.check(14, gathered(0, "metrics", "up 0"), &[]);
    }

    #[test]
    fn what_looks_like_a_credential_is_in_no_journal_whoever_gathered_it() {
        let mut bench = Bench::new(&RESTART.replace("{ to: oncall }", "{ to: oncall, with: [metrics] }"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(3, failed());
        let effects = bench.step(4, gathered(0, "metrics", "db{password=\"hunter2\"} 1"));
        assert!(!format!("{effects:?}").contains("hunter2"), "{effects:?}");
        let paged = effects.iter().find_map(|effect| match effect {
            Effect::Record(Event::Paged { evidence, .. }) => Some(evidence[0].lines[0].clone()),
            _ => None,
        });
        assert_eq!(paged.as_deref(), Some("db{password=\"[redacted]\"} 1"));
    }

    #[test]
    fn telling_people_and_gathering_are_steps_that_lead_on() {
        let told = RESTART.replace("steps:\n", "steps:\n  - notify: { to: team }\n  - collect: { with: [metrics, alerts] }\n");
        let mut bench = Bench::new(&told, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "inform team", "gather 0 metrics alerts", "timer 0 at 10"]);
        let begun = ["cancel 0", "collected 1", "start restart#0 restart (rolling) replica/api-1"];
        bench.check(1, gathered(0, "metrics", "up 0"), &begun);
        bench.check(3, ended(0, OK), &["ask 1 Verify(2) at 3"]);
        // Nothing was done to the system when the alert is over.
        let mut over = Bench::new(&told, Stage::Full);
        over.step(0, fires("api-1"));
        over.check(1, resolves("api-1"), &[]);
        let end = ["cancel 0", "collected 1", "close 0: the alert is over before anything was done"];
        over.check(2, gathered(0, "metrics", "up 0"), &end);
    }

    #[test]
    fn what_is_asked_for_metrics_is_all_that_the_policy_looks_at() {
        let shown = RESTART.replace("{ to: oncall }", "{ to: oncall, with: [metrics] }").replace(
            "steps:",
            "precheck: [{ expr: 'up{pod=$pod} == 0', because: it is down }]\nevidence: [{ expr: 'rate(errors{pod=$pod}[1m])', because: errors }]\nsteps:",
        );
        let mut bench = Bench::new(&shown, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, crate::controller::bench::answer(0, firedrill_core::journal::Truth::True));
        let effects = bench.step(3, failed());
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Gather { wanted, .. } => {
                Some(wanted.questions.iter().map(|one| format!("{:?} {}", one.condition, one.parameters.len())).collect::<Vec<_>>())
            }
            _ => None,
        });
        assert_eq!(asked.unwrap(), ["Precheck(0) 1", "Verify(0) 1", "Shown(0) 1"]);
    }

    const LADDER: &str = "{ ladder: [{ to: oncall }, { to: lead, after: 15m }, { to: head, after: 1h }] }";

    #[test]
    fn a_ladder_is_climbed_while_the_alert_is_on() {
        let mut bench = Bench::new(&RESTART.replace("{ to: oncall }", LADDER), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(3, failed(), &["timer 0 at 903", "page oncall", FAILED]);
        bench.check(903, Input::Timer { timer: 0 }, &["timer 1 at 3603", "page lead"]);
        bench.check(3603, Input::Timer { timer: 1 }, &["page head"]);
        bench.check(4000, resolves("api-1"), &[]);
    }

    #[test]
    fn an_alert_that_is_over_calls_nobody_else() {
        let mut bench = Bench::new(&RESTART.replace("{ to: oncall }", LADDER), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(3, failed());
        bench.check(500, resolves("api-1"), &["cancel 0"]);
        let mut over = Bench::new(&RESTART.replace("{ to: oncall }", LADDER), Stage::Full);
        over.step(0, fires("api-1"));
        over.step(1, resolves("api-1"));
        over.check(3, failed(), &["page oncall", FAILED]);
    }

    #[test]
    fn nobody_else_is_called_for_what_is_verified_after_the_first_call() {
        let late = RESTART.replace("{ to: oncall }", LADDER).replace("guard:", "escalate_after: 20s\nguard:").replace("hold: 10s, ", "");
        let mut bench = Bench::new(&late, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(20, Input::Timer { timer: 0 }, &["timer 1 at 920", "page oncall"]);
        bench.step(30, ended(0, OK));
        let held = crate::controller::bench::answer(0, firedrill_core::journal::Truth::True);
        let end = ["verified Held after 0s", "cancel 1", "close 0: the remediation is verified", "timer 2 at 330"];
        bench.check(30, held, &end);
    }

    #[test]
    fn what_is_critical_is_proposed_to_a_person_with_the_command_that_would_allow_it() {
        let scale = RESTART.replace("restart: { mode: rolling }", "scale: { by: 1 }").replace("{ replica: $pod }", "{ service: $pod }");
        let mut bench = Bench::new(&scale, Stage::Limited);
        let effects = bench.step(0, fires("api"));
        let reason = effects.iter().find_map(|effect| match effect {
            Effect::Page { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let told = "step 1 was refused by stage: limited: service/api is critical; `firedrill approve restart#0` would allow scale (by +1) on service/api";
        assert_eq!(reason.as_deref(), Some(told));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Ask { proposal: 0, .. })));
        // It is proposed again every minute, and the person asked once.
        bench.check(60, Input::Timer { timer: 0 }, &["refuse 0 by stage: limited: service/api is critical", "timer 1 at 120"]);
        bench.step(70, resolves("api"));
        assert!(bench.controller.state().proposals.is_empty());
    }

    #[test]
    fn the_parts_that_are_not_critical_are_done_without_a_person() {
        let both = RESTART.replace(
            "restart: { mode: rolling }",
            "parallel:\n      - limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }\n      - scale: { by: 1 }\n        target: { service: api }",
        );
        let mut bench = Bench::new(&both.replace("cooldown: 2m", "cooldown: 2m\nstage: guarded"), Stage::Guarded);
        assert_eq!(bench.step(0, fires("api-1")).iter().filter(|effect| matches!(effect, Effect::Start(_))).count(), 2);
        // One at a time, the stage says besides; here the first is the critical one.
        let turned = RESTART.replace(
            "restart: { mode: rolling }",
            "parallel:\n      - scale: { by: 1 }\n        target: { service: api }\n      - limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }",
        );
        let mut bench = Bench::new(&turned, Stage::Limited);
        let expected = [
            "open 0",
            "refuse 0 by stage: limited: service/api is critical",
            "propose restart#0",
            "ask 0 scale (by +1) service/api",
            "start restart#0 limit_retries (0 for 1m) client/users",
            "page oncall",
        ];
        bench.check(0, fires("api-1"), &expected);
        bench.check(5, ended(0, OK), &["ask 0 Verify(0) at 5"]);
    }

    #[test]
    fn in_maintenance_nothing_is_answered_and_what_still_fires_afterwards_is_taken_up() {
        let window = "maintenance: [{ from: 2026-01-05T00:00, zone: UTC, lasting: 1h, because: moving house }]\nsteps:";
        let mut bench = Bench::new(&RESTART.replace("steps:", window), Stage::Full);
        let why = "unanswered: maintenance until 2026-01-05 01:00:00 UTC: moving house";
        bench.check(10, fires("api-1"), &[why, "timer 0 at 3600"]);
        bench.check(20, fires("api-2"), &[why, "timer 1 at 3600"]);
        bench.check(30, resolves("api-2"), &["cancel 1"]);
        bench.check(3600, Input::Timer { timer: 0 }, &["open 0", "start restart#0 restart (rolling) replica/api-1"]);
    }
}
