//! People who are asked to allow an action: what they are told, what they say, and what a yes is for.

use std::collections::BTreeMap;

use firedrill_core::action::{Action, Target};
use firedrill_core::journal::{Consent, Event, ProposalChange};
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use super::proposing::Gathered;
use super::state::{Awaited, Incident, Phase, Proposed};
use super::turn::Turn;
use super::{Effect, MOST_ASKINGS};
use crate::guard::approval::{Approval, Asking, Said};
use crate::guard::stage::{ASKS, Stage};
use crate::guard::{Answer, Guard, Instead, Proposal};
use crate::policy::ConditionAt;

/// What a person says of a proposal.
pub(super) struct Answered {
    pub(super) who: Name,
    pub(super) role: Name,
    pub(super) yes: bool,
}

impl Answered {
    fn told(&self) -> String {
        format!("{} ({})", self.who, self.role)
    }
}

/// Something that people must allow: all that is one to the guards, and why.
pub(super) struct Wanted {
    pub(super) covers: Vec<(Action, Target)>,
    pub(super) why: String,
}

impl Wanted {
    /// What must be allowed of proposals that are one to the guards.
    pub(super) fn of(proposals: &[Proposal], why: &str) -> Self {
        let covers = proposals.iter().map(|own| (own.action.clone(), own.target.clone())).collect();
        Self { covers, why: why.to_owned() }
    }
}

impl Turn<'_> {
    /// Proposes to a person what the policy may not do by itself, once. Whoever answers such proposals finds them in the state.
    pub(super) fn propose_to_a_person(&mut self, incident: &Incident, action: Action, target: Target, why: &str) {
        let is_same = |own: &Proposed| own.incident == incident.id && own.action == action && own.target == target;
        if self.state.proposals.iter().any(is_same) {
            return;
        }
        // Who is named may answer for as long as the incident is open.
        let asked = self.setup.policy.guards.approval.clone().filter(|_| self.setup.actuator.is_some()).map(|approval| {
            let wanted = vec![(action.clone(), target.clone())];
            self.asked(&approval, wanted, self.evidence(incident, &Gathered::default()), (None, None))
        });
        self.put_forward(incident, (action, target), asked, why);
    }

    /// Puts one proposal forward.
    fn put_forward(&mut self, incident: &Incident, (action, target): (Action, Target), asked: Option<Awaited>, why: &str) {
        let number = self.state.next_proposal;
        self.state.next_proposal += 1;
        let (policy, step, reason) = (self.name(), incident.step as u32, why.to_owned());
        let approve = approving(&policy, number);
        let consent = asked.as_ref().map(|asked| asked.consent.clone());
        self.state.proposals.push(Proposed { number, incident: incident.id, action: action.clone(), target: target.clone(), asked });
        let (what, to, by) = (action.clone(), target.clone(), consent.clone());
        self.record(Event::Proposed {
            policy,
            incident: incident.id,
            step,
            proposal: number,
            what,
            target: to,
            reason,
            approve,
            consent: by,
        });
        self.effects.push(Effect::Ask { proposal: number, action, target, consent });
    }

    /// How a person approves what is proposed for an incident: `; firedrill approve restart#0 allows restart (rolling) on service/api`.
    pub(super) fn approvals(&self, incident: u64) -> String {
        let own = self.state.proposals.iter().filter(|own| own.incident == incident);
        let told =
            own.map(|own| format!("; `{}` would allow {} on {}", approving(&self.setup.policy.name, own.number), own.action, own.target));
        told.collect()
    }

    /// What is asked of whom, resting on what.
    fn asked(
        &self,
        approval: &Approval,
        covers: Vec<(Action, Target)>,
        evidence: BTreeMap<String, String>,
        (until, timer): (Option<Time>, Option<u64>),
    ) -> Awaited {
        let mut hasher = blake3::Hasher::new();
        for (about, what) in &evidence {
            hasher.update(format!("{about}={what}\n").as_bytes());
        }
        let consent = Consent {
            from: approval.from.clone(),
            quorum: approval.quorum,
            until,
            policy_hash: self.setup.prepared.hash(&self.setup.policy).to_owned(),
            evidence_hash: hasher.finalize().to_hex().to_string(),
        };
        Awaited { consent, since: self.now, timer, covers, evidence, yes: Vec::new(), is_granted: false }
    }

    /// What a proposal rests on: the alert, and what was found out for it. Figures that move with every scrape are left out; verdicts and counts are not.
    fn evidence(&self, incident: &Incident, gathered: &Gathered) -> BTreeMap<String, String> {
        let labels: Vec<String> = incident.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let mut evidence: BTreeMap<String, String> = gathered.evidence().collect();
        // A claim moves with every scrape; what it means for the action does not.
        if let Some(settings) = &self.setup.policy.guards.confidence
            && let Ok((value, _)) = gathered.measured(ConditionAt::Confidence)
        {
            evidence.insert("the confidence".to_owned(), settings.band(value).word().to_owned());
        }
        evidence.insert("the alert".to_owned(), format!("{}{{{}}}", incident.alert, labels.join(",")));
        evidence
    }

    /// Why people must be asked of a proposal, beside what its policy says, and what they have said.
    pub(super) fn asking(&self, incident: &Incident, proposal: &Proposal, gathered: &Gathered, answers: &[(Guard, Answer)]) -> Asking {
        let stage = (self.setup.stage == Stage::Approval).then(|| ASKS.to_owned());
        let mut needs: Vec<String> = stage.into_iter().collect();
        for need in answers.iter().filter_map(|(_, answer)| answer.approval.clone()) {
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        Asking { needs, said: self.said(incident, (&proposal.action, &proposal.target), gathered), is_dry: self.setup.actuator.is_none() }
    }

    /// What people have said of an action on a target.
    pub(super) fn said(&self, incident: &Incident, (action, target): (&Action, &Target), gathered: &Gathered) -> Said {
        let own = self.state.proposals.iter().filter(|own| own.incident == incident.id).filter_map(|own| own.asked.as_ref());
        let of_it = |asked: &&Awaited| asked.is_granted && asked.covers.iter().any(|(what, whom)| what == action && whom == target);
        let Some(asked) = own.into_iter().find(of_it) else { return Said::Nothing };
        if asked.consent.policy_hash != self.setup.prepared.hash(&self.setup.policy) {
            return Said::ToSomethingElse("the policy is another".to_owned());
        }
        let now = self.evidence(incident, gathered);
        for (about, was) in &asked.evidence {
            if let Some(is) = now.get(about).filter(|is| *is != was) {
                return Said::ToSomethingElse(format!("{about} was {was}, and is {is}"));
            }
        }
        Said::Yes(by(&asked.yes))
    }

    /// People are asked to allow what an incident would do, and it waits for them. What they have allowed already they are not asked again.
    pub(super) fn ask_people(&mut self, mut incident: Box<Incident>, wanted: Vec<Wanted>, gathered: &Gathered) {
        let approval = self.setup.policy.guards.approval.clone().unwrap_or_default();
        let is_of = |own: &Proposed| own.incident == incident.id && own.asked.as_ref().is_some_and(|asked| asked.timer.is_some());
        for number in self.state.proposals.iter().filter(|own| is_of(own)).map(|own| own.number).collect::<Vec<_>>() {
            self.drop_unless_wanted(number, &incident, &wanted, gathered);
        }
        let is_covered = |turn: &Self, wanted: &Wanted| {
            let covers = |own: &Proposed| own.asked.as_ref().is_some_and(|asked| asked.covers == wanted.covers);
            turn.state.proposals.iter().any(|own| is_of(own) && covers(own))
        };
        let open: Vec<Wanted> = wanted.into_iter().filter(|wanted| !is_covered(self, wanted)).collect();
        if !open.is_empty() {
            if incident.askings == MOST_ASKINGS {
                return self.hand_over_unallowed(incident, &format!("people were asked {MOST_ASKINGS} times, and nothing came of it"));
            }
            incident.askings += 1;
        }
        let evidence = self.evidence(&incident, gathered);
        for Wanted { covers, why } in open {
            let until = self.now.saturating_add(approval.expires);
            let timer = self.set_timer(until);
            let asked = self.asked(&approval, covers.clone(), evidence.clone(), (Some(until), Some(timer)));
            let Some(first) = covers.into_iter().next() else { continue };
            self.put_forward(&incident, first, Some(asked), &why);
        }
        incident.phase = Phase::Asking;
        self.keep(incident);
    }

    /// A proposal that is no longer what would be done, or that rests on something else by now, is void.
    fn drop_unless_wanted(&mut self, number: u64, incident: &Incident, wanted: &[Wanted], gathered: &Gathered) {
        let Some(asked) = self.state.proposals.iter().find(|own| own.number == number).and_then(|own| own.asked.clone()) else { return };
        let Some((action, target)) = asked.covers.first() else { return };
        if !wanted.iter().any(|wanted| wanted.covers == asked.covers) {
            self.end(number, ProposalChange::Void, "it is not what would be done now");
        } else if let Said::ToSomethingElse(change) = self.said(incident, (action, target), gathered) {
            self.end(number, ProposalChange::Void, &change);
        }
    }

    /// A person has answered.
    pub(super) fn told(&mut self, number: u64, answer: &Answered) {
        let (counts, figures) = match self.weigh(number, answer) {
            Ok(figures) => (true, figures),
            Err(why) => (false, why),
        };
        let Answered { who, role, yes } = answer;
        let (policy, who, role) = (self.name(), who.clone(), role.clone());
        self.record(Event::Answered { policy, proposal: number, who: who.clone(), role: role.clone(), yes: *yes, counts, figures });
        if !counts {
            return;
        }
        if !*yes {
            return self.denied(number, answer);
        }
        let asked = self.state.proposals.iter_mut().find(|own| own.number == number).and_then(|own| own.asked.as_mut());
        let Some(asked) = asked else { return };
        asked.yes.push((who, role));
        if asked.yes.len() >= asked.consent.quorum as usize {
            self.granted(number);
        }
    }

    /// Whether an answer counts, with how many have said yes then; otherwise why it does not.
    fn weigh(&self, number: u64, answer: &Answered) -> Result<String, String> {
        let Answered { who, role, yes } = answer;
        let policy = &self.setup.policy;
        let waiting = self.state.proposals.iter().find(|own| own.number == number);
        let asked = waiting.and_then(|own| own.asked.as_ref()).ok_or("nobody waits for an answer to it")?;
        if asked.is_granted {
            return Err("it is granted already".to_owned());
        }
        if !asked.consent.from.contains(role) {
            return Err(format!("{role} may not answer"));
        }
        if [Some(&policy.owner), policy.author.as_ref()].into_iter().flatten().any(|own| own == who || own == role) {
            return Err(format!("nobody approves their own policy, and {} is theirs", policy.name));
        }
        if asked.yes.iter().any(|(before, _)| before == who) && *yes {
            return Err(format!("{who} has said yes already"));
        }
        if asked.consent.policy_hash != self.setup.prepared.hash(policy) {
            return Err("the policy is another than the one that asked".to_owned());
        }
        let count = asked.yes.len() + usize::from(*yes);
        Ok(format!("{count} of {} said yes", asked.consent.quorum))
    }

    /// Enough people have said yes: once all that the incident waits for is allowed, it is proposed again, and every guard is asked anew.
    fn granted(&mut self, number: u64) {
        let Some(own) = self.state.proposals.iter_mut().find(|own| own.number == number) else { return };
        let (id, asked) = (own.incident, own.asked.as_mut());
        let Some(asked) = asked else { return };
        asked.is_granted = true;
        let (figures, since) = (format!("{} said yes", by(&asked.yes)), asked.since);
        self.record_change((id, number), ProposalChange::Granted, figures, since);
        let is_open =
            |own: &Proposed| own.incident == id && own.asked.as_ref().is_some_and(|asked| asked.timer.is_some() && !asked.is_granted);
        if self.state.proposals.iter().any(is_open) {
            return;
        }
        let waits = |incident: &Incident| matches!(incident.phase, Phase::Asking | Phase::Held { .. });
        if self.state.incidents.get(id).is_some_and(waits) {
            let incident = self.take(id);
            self.stop_waiting(&incident);
            self.propose(incident);
        }
    }

    /// Somebody who may has said no: the alert is left to people.
    fn denied(&mut self, number: u64, answer: &Answered) {
        let who = answer.told();
        let Some(own) = self.end(number, ProposalChange::Denied, &format!("{who} said no")) else { return };
        self.give_up(&own, &format!("{who} said no to {} on {}", own.action, own.target));
    }

    /// The proposal whose time is over at a timer.
    pub(super) fn asked_until(&self, timer: u64) -> Option<u64> {
        let is_it = |own: &&Proposed| own.asked.as_ref().is_some_and(|asked| asked.timer == Some(timer));
        self.state.proposals.iter().find(is_it).map(|own| own.number)
    }

    /// The time of a proposal is over.
    pub(super) fn unanswered(&mut self, number: u64) {
        let asked = self.state.proposals.iter().find(|own| own.number == number).and_then(|own| own.asked.clone());
        let Some(Awaited { consent, since, yes, is_granted, .. }) = asked else { return };
        let (within, count) = (self.now.since(since), yes.len());
        if is_granted {
            self.end(number, ProposalChange::Expired, &format!("it was allowed, and did not start within {within}"));
            return;
        }
        let figures = format!("{count} of {} said yes within {within}", consent.quorum);
        let Some(own) = self.end(number, ProposalChange::Expired, &figures) else { return };
        self.give_up(&own, &format!("{figures} to {} on {}", own.action, own.target));
    }

    /// What people did not allow is not done: whoever still waits for it is left to them.
    fn give_up(&mut self, proposal: &Proposed, why: &str) {
        let waits = |incident: &Incident| matches!(incident.phase, Phase::Asking | Phase::Held { .. });
        if self.state.incidents.get(proposal.incident).is_some_and(waits) {
            let incident = self.take(proposal.incident);
            self.hand_over_unallowed(incident, why);
        }
    }

    fn hand_over_unallowed(&mut self, incident: Box<Incident>, why: &str) {
        let reason = format!("step {} was not allowed: {why}", incident.step + 1);
        self.withdraw(incident.id, &reason);
        self.hand_over(incident, &reason);
    }

    /// What is proposed for an incident is of no use any more.
    pub(super) fn withdraw(&mut self, incident: u64, why: &str) {
        let own = self.state.proposals.iter().filter(|own| own.incident == incident && own.asked.is_some());
        for number in own.map(|own| own.number).collect::<Vec<_>>() {
            self.end(number, ProposalChange::Withdrawn, why);
        }
        self.state.proposals.retain(|own| own.incident != incident);
    }

    /// What was allowed starts: a yes is for one start.
    pub(super) fn spend(&mut self, incident: &Incident, action: &Action, target: &Target) {
        let mut over = Vec::new();
        for own in self.state.proposals.iter_mut().filter(|own| own.incident == incident.id) {
            let Some(asked) = own.asked.as_mut().filter(|asked| asked.is_granted) else { continue };
            asked.covers.retain(|(what, whom)| what != action || whom != target);
            if asked.covers.is_empty() {
                over.extend(asked.timer);
            }
        }
        let is_spent = |own: &Proposed| own.incident == incident.id && own.asked.as_ref().is_some_and(|asked| asked.covers.is_empty());
        self.state.proposals.retain(|own| !is_spent(own));
        over.into_iter().for_each(|timer| self.cancel(timer));
    }

    /// What people allowed together with something that did not help is not allowed any more: another step asks them again.
    pub(super) fn void_allowed(&mut self, incident: u64) {
        let is_left = |own: &&Proposed| own.incident == incident && own.asked.as_ref().is_some_and(|asked| asked.is_granted);
        for number in self.state.proposals.iter().filter(is_left).map(|own| own.number).collect::<Vec<_>>() {
            self.end(number, ProposalChange::Void, "what it was allowed with did not help");
        }
    }

    /// Something becomes of a proposal, after which there is no such proposal.
    fn end(&mut self, number: u64, change: ProposalChange, figures: &str) -> Option<Proposed> {
        let index = self.state.proposals.iter().position(|own| own.number == number)?;
        let own = self.state.proposals.remove(index);
        let asked = own.asked.as_ref()?;
        if let Some(timer) = asked.timer.filter(|_| asked.consent.until.is_none_or(|until| self.now < until)) {
            self.cancel(timer);
        }
        self.record_change((own.incident, number), change, figures.to_owned(), asked.since);
        Some(own)
    }

    fn record_change(&mut self, (incident, proposal): (u64, u64), change: ProposalChange, figures: String, since: Time) {
        let (policy, waited) = (self.name(), self.now.since(since));
        self.record(Event::ProposalChanged { policy, incident, proposal, change, figures, waited });
    }
}

/// Whether people are asked instead of an action's being started.
pub(super) fn is_for_people(guard: Guard, answer: &Answer) -> bool {
    guard == Guard::Approval && answer.instead == Instead::Approve
}

/// Who said yes: `ada (oncall) and bob (lead)`.
fn by(yes: &[(Name, Name)]) -> String {
    yes.iter().map(|(who, role)| format!("{who} ({role})")).collect::<Vec<_>>().join(" and ")
}

/// The command by which a person approves a proposal.
fn approving(policy: &Name, number: u64) -> String {
    format!("firedrill approve {policy}#{number}")
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{Event, Input, Truth};
    use firedrill_core::name::Name;

    use super::*;
    use crate::controller::State;
    use crate::controller::bench::{Bench, OK, RESTART, answer, as_role, ended, fires, resolves, says};
    use crate::guard::Guards;

    /// The usual restart with people who must say yes.
    fn asking(approval: &str) -> String {
        RESTART.replace("guard:", &format!("guard:\n  approval: {approval}"))
    }

    const ONE: &str = "{ from: [oncall, lead], expires: 10m }";
    const TWO: &str = "{ from: [oncall, lead], quorum: 2, expires: 10m }";
    const REFUSED: &str = "refuse 0 by approval: 1 of oncall or lead must say yes: the policy asks before every action";
    const START: &str = "start restart#0 restart (rolling) replica/api-1";

    #[track_caller]
    fn asked(approval: &str) -> Bench {
        let mut bench = Bench::new(&asking(approval), Stage::Full);
        let told = bench.told(0, fires("api-1"));
        assert_eq!(told[2..], ["timer 0 at 600", "propose restart#0", "ask 0 restart (rolling) replica/api-1"]);
        bench
    }

    #[test]
    fn nothing_starts_before_somebody_has_said_yes() {
        let mut bench = Bench::new(&asking(ONE), Stage::Full);
        let expected = ["open 0", REFUSED, "timer 0 at 600", "propose restart#0", "ask 0 restart (rolling) replica/api-1"];
        bench.check(0, fires("api-1"), &expected);
        let granted = ["ada counts: 1 of 1 said yes", "proposal 0 Granted: ada (oncall) said yes", "cancel 0", START];
        bench.check(60, says(0, "ada", true), &granted);
        bench.check(61, says(0, "bob", true), &["bob does not count: nobody waits for an answer to it"]);
        bench.check(70, ended(0, OK), &["ask 0 Verify(0) at 70"]);
    }

    #[test]
    fn a_quorum_is_of_different_people_who_may() {
        let mut bench = asked(TWO);
        bench.check(10, says(0, "ada", true), &["ada counts: 1 of 2 said yes"]);
        bench.check(11, as_role(0, "ada", "lead", true), &["ada does not count: ada has said yes already"]);
        bench.check(12, as_role(0, "eve", "intern", true), &["eve does not count: intern may not answer"]);
        bench.check(13, says(0, "team", true), &["team does not count: nobody approves their own policy, and restart is theirs"]);
        let granted = ["bob counts: 2 of 2 said yes", "proposal 0 Granted: ada (oncall) and bob (lead) said yes", "cancel 0", START];
        bench.check(14, as_role(0, "bob", "lead", true), &granted);
    }

    #[test]
    fn nobody_approves_what_they_have_written() {
        let text = asking(ONE).replace("owner: team", "owner: team\nauthor: ada");
        let mut bench = Bench::new(&text, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(5, says(0, "ada", true), &["ada does not count: nobody approves their own policy, and restart is theirs"]);
        assert!(bench.told(6, says(0, "bob", true)).contains(&START.to_owned()));
    }

    #[test]
    fn a_no_leaves_the_alert_to_people_even_after_a_yes_of_two() {
        let mut bench = asked(TWO);
        bench.step(10, says(0, "ada", true));
        let why = "step 1 was not allowed: bob (oncall) said no to restart (rolling) on replica/api-1";
        let expected = [
            "bob counts: 1 of 2 said yes".to_owned(),
            "cancel 0".into(),
            "proposal 0 Denied: bob (oncall) said no".into(),
            "page oncall".into(),
            format!("close 0: {why}"),
        ];
        assert_eq!(bench.told(20, says(0, "bob", false)), expected);
        bench.check(30, says(0, "ada", true), &["ada does not count: nobody waits for an answer to it"]);
        bench.check(40, fires("api-1"), &[]);
        bench.check(50, resolves("api-1"), &[]);
        assert_eq!(bench.told(60, fires("api-1")).last().map(String::as_str), Some("ask 1 restart (rolling) replica/api-1"), "anew");
    }

    #[test]
    fn after_its_time_a_yes_is_of_no_use() {
        let mut bench = asked(TWO);
        bench.step(10, says(0, "ada", true));
        let end = "close 0: step 1 was not allowed: 1 of 2 said yes within 10m to restart (rolling) on replica/api-1";
        bench.check(600, Input::Timer { timer: 0 }, &["proposal 0 Expired: 1 of 2 said yes within 10m", "page oncall", end]);
        bench.check(600, says(0, "bob", true), &["bob does not count: nobody waits for an answer to it"]);
        // One that comes in the moment before is in time.
        let mut bench = asked(TWO);
        bench.step(10, says(0, "ada", true));
        assert!(bench.told(600, says(0, "bob", true)).contains(&START.to_owned()));
    }

    #[test]
    fn an_alert_that_is_over_needs_nobody() {
        let mut bench = asked(ONE);
        let why = "the alert is over before anything was done";
        let expected = ["cancel 0".to_owned(), format!("proposal 0 Withdrawn: {why}"), format!("close 0: {why}")];
        assert_eq!(bench.told(30, resolves("api-1")), expected);
        bench.check(31, says(0, "ada", true), &["ada does not count: nobody waits for an answer to it"]);
    }

    const CHECKED: &str = "{ from: oncall, expires: 10m }\n  max_unhealthy: { healthy: up == 1, scope: service, max: 3 }";

    fn counted(query: u64, holding: u64) -> Input {
        Input::Counted { query, holding, elements: 4, error: String::new(), parts: None }
    }

    #[test]
    fn prechecks_and_guards_are_asked_again_once_it_is_allowed() {
        let text = asking(ONE).replace("steps:", "precheck: [{ expr: up == 0, because: it is down }]\nsteps:");
        let mut bench = Bench::new(&text, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Precheck(0) at 0"]);
        bench.step(0, answer(0, Truth::True));
        let granted = ["ada counts: 1 of 1 said yes", "proposal 0 Granted: ada (oncall) said yes", "ask 1 Precheck(0) at 60"];
        bench.check(60, says(0, "ada", true), &granted);
        bench.check(60, answer(1, Truth::False), &["refuse 0 by precheck: False: it is down", "timer 1 at 120"]);
        // It is true again while the yes still counts.
        bench.check(120, Input::Timer { timer: 1 }, &["ask 2 Precheck(0) at 120"]);
        bench.check(120, answer(2, Truth::True), &["cancel 0", START]);
    }

    #[test]
    fn a_yes_that_is_not_used_in_time_is_over_and_people_are_asked_again() {
        let text = asking(ONE).replace("steps:", "precheck: [{ expr: up == 0, because: it is down }]\nsteps:");
        let mut bench = Bench::new(&text, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, answer(0, Truth::True));
        bench.step(570, says(0, "ada", true));
        bench.check(570, answer(1, Truth::False), &["refuse 0 by precheck: False: it is down", "timer 1 at 630"]);
        bench.check(600, Input::Timer { timer: 0 }, &["proposal 0 Expired: it was allowed, and did not start within 10m"]);
        bench.step(630, Input::Timer { timer: 1 });
        let again = [REFUSED, "timer 2 at 1230", "propose restart#1", "ask 1 restart (rolling) replica/api-1"];
        bench.check(630, answer(2, Truth::True), &again);
    }

    #[test]
    fn a_yes_to_something_else_is_void() {
        let mut bench = Bench::new(&asking(CHECKED), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, counted(0, 3));
        bench.step(60, says(0, "ada", true));
        let change = "the healthy for `max_unhealthy` was 3 of 4, and is 1 of 4";
        let expected = [
            format!("refuse 0 by approval: the yes is void: {change}; 1 of oncall must say yes: the policy asks before every action"),
            "cancel 0".into(),
            format!("proposal 0 Void: {change}"),
            "timer 1 at 660".into(),
            "propose restart#1".into(),
            "ask 1 restart (rolling) replica/api-1".into(),
        ];
        assert_eq!(bench.told(60, counted(1, 1)), expected);
        bench.step(70, says(1, "ada", true));
        bench.check(70, counted(2, 1), &["cancel 1", START]);
    }

    #[test]
    fn people_are_not_asked_for_ever() {
        let mut bench = Bench::new(&asking(CHECKED), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, counted(0, 1));
        for (round, healthy) in [(0, 2), (1, 3)] {
            bench.step(10, says(round, "ada", true));
            bench.step(10, counted(round + 1, healthy));
        }
        bench.step(10, says(2, "ada", true));
        let told = bench.told(10, counted(3, 4));
        assert_eq!(
            told.last().map(String::as_str),
            Some("close 0: step 1 was not allowed: people were asked 3 times, and nothing came of it")
        );
    }

    #[test]
    fn another_policy_of_the_same_name_cannot_use_what_was_said_to_this_one() {
        let mut bench = asked(TWO);
        bench.step(10, says(0, "ada", true));
        let saved = serde_json::to_string(&(bench.controller.state(), &bench.guards)).unwrap();
        let (state, guards): (State, Guards) = serde_json::from_str(&saved).unwrap();
        let mut restored = Bench::new(&asking(TWO).replace("mode: rolling", "mode: at_once"), Stage::Full);
        restored.controller.restore(state.clone()).unwrap();
        restored.guards = guards;
        restored.check(20, says(0, "bob", true), &["bob does not count: the policy is another than the one that asked"]);
        // Comments, the owner and the description are no part of what a policy does.
        let told = asking(TWO).replace("owner: team", "# ours\nowner: another\ndescription: what it does");
        let mut same = Bench::new(&told, Stage::Full);
        same.controller.restore(state).unwrap();
        assert!(same.told(20, says(0, "bob", true)).contains(&START.to_owned()));
    }

    #[test]
    fn a_restart_of_the_engine_while_people_think_changes_nothing() {
        let story =
            [(0, fires("api-1")), (5, says(0, "ada", true)), (9, says(0, "ada", true)), (30, says(0, "bob", true)), (40, ended(0, OK))];
        for cut in 0..=story.len() {
            let mut whole = Bench::new(&asking(TWO), Stage::Full);
            for (second, input) in &story[..cut] {
                whole.step(*second, input.clone());
            }
            let saved = serde_json::to_string(&(whole.controller.state(), &whole.guards)).unwrap();
            let (state, guards): (State, Guards) = serde_json::from_str(&saved).unwrap();
            let mut restored = Bench::new(&asking(TWO), Stage::Full);
            restored.controller.restore(state).unwrap();
            restored.guards = guards;
            for (second, input) in &story[cut..] {
                assert_eq!(whole.step(*second, input.clone()), restored.step(*second, input.clone()), "cut at {cut}, {second} s");
            }
        }
    }

    #[test]
    fn while_people_are_asked_the_service_is_taken() {
        let mut bench = asked(ONE);
        let told = bench.told(5, fires("api-2"));
        assert_eq!(told, ["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        let told = bench.told(10, says(0, "ada", false));
        assert!(told.iter().any(|line| line.starts_with("propose restart#1")), "who waited is proposed: {told:?}");
    }

    #[test]
    fn what_it_does_not_cover_starts_at_once_and_what_is_undone_nobody_is_asked_of() {
        let scale = asking("{ from: oncall, of: irreversible }")
            .replace("restart: { mode: rolling }", "scale: { by: 1 }")
            .replace("{ replica: $pod }", "{ service: $pod }")
            .replace("on_failure: escalate", "on_failure: revert")
            .replace("  - escalate", "  - purge_queue: {}\n  - escalate")
            .replace("hold: 10s, within: 60s", "within: 1s");
        let mut bench = Bench::new(&scale, Stage::Full);
        bench.check(0, fires("api"), &["open 0", "start restart#0 scale (by +1) service/api"]);
        bench.step(1, ended(0, OK));
        bench.step(1, answer(0, Truth::False));
        let undone = bench.told(2, answer(1, Truth::False));
        assert_eq!(undone.last().map(String::as_str), Some("start restart#1 scale (by -1) service/api"));
    }

    #[test]
    fn a_later_step_waits_for_people_too() {
        let next = asking("{ from: oncall, expires: 10m }")
            .replace("on_failure: escalate", "on_failure: next")
            .replace("  - escalate", "  - drain: {}\n    verify: { expr: 'up{pod=$pod} == 1', within: 60s }\n  - escalate");
        let mut bench = Bench::new(&next, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(10, says(0, "ada", true));
        let told = bench.told(20, ended(0, ActionOutcome::Failed("no".into())));
        assert_eq!(told.last().map(String::as_str), Some("ask 1 drain replica/api-1"), "{told:?}");
        let told = bench.told(30, resolves("api-1"));
        assert_eq!(told.last().map(String::as_str), Some("close 0: the alert is over before anything else was done"));
    }

    const STORM: &str = "parallel:\n      - limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }\n      - scale: { by: 1 }\n        target: { service: api }";

    #[test]
    fn several_actions_start_together_once_each_is_allowed() {
        let both = asking(ONE).replace("restart: { mode: rolling }", STORM);
        let mut bench = Bench::new(&both, Stage::Full);
        let told = bench.told(0, fires("api-1"));
        assert_eq!(told.iter().filter(|line| line.starts_with("propose")).count(), 2, "{told:?}");
        bench.check(5, says(0, "ada", true), &["ada counts: 1 of 1 said yes", "proposal 0 Granted: ada (oncall) said yes"]);
        let told = bench.told(6, says(1, "ada", true));
        assert_eq!(told.iter().filter(|line| line.starts_with("start")).count(), 2, "{told:?}");
        // Where only one of them is covered, the other waits with it.
        let critical = asking("{ from: oncall, of: critical }").replace("restart: { mode: rolling }", STORM);
        let mut bench = Bench::new(&critical, Stage::Full);
        let told = bench.told(0, fires("api-1"));
        assert!(told.iter().all(|line| !line.starts_with("start")), "{told:?}");
        let told = bench.told(6, says(0, "ada", true));
        assert_eq!(told.iter().filter(|line| line.starts_with("start")).count(), 2, "{told:?}");
    }

    #[test]
    fn an_action_of_several_parts_is_allowed_as_one() {
        let own = asking(ONE).replace("steps:", "actions:\n  both:\n    models:\n      - { drain: {}, takes: 1s, fails: 0% }\n      - { restart: { mode: rolling }, takes: 1s, fails: 0% }\nsteps:").replace(
            "restart: { mode: rolling }\n    verify",
            "action: both\n    verify",
        );
        let mut bench = Bench::new(&own, Stage::Full);
        let told = bench.told(0, fires("api-1"));
        assert_eq!(told.iter().filter(|line| line.starts_with("propose")).count(), 1, "{told:?}");
        assert!(bench.told(5, says(0, "ada", true)).contains(&"start restart#0 drain replica/api-1".to_owned()));
        assert_eq!(bench.told(6, ended(0, OK)).last().map(String::as_str), Some("start restart#1 restart (rolling) replica/api-1"));
    }

    #[test]
    fn the_best_of_several_is_what_people_are_asked_of() {
        let choice = asking(ONE).replace(
            "restart: { mode: rolling }",
            "choose:\n      - { restart: { mode: rolling }, score: 0.9, risk: low }\n      - { drain: {}, score: 0.5, risk: low }",
        );
        let mut bench = Bench::new(&choice, Stage::Full);
        let told = bench.told(0, fires("api-1"));
        assert_eq!(told.last().map(String::as_str), Some("ask 0 restart (rolling) replica/api-1"), "{told:?}");
        assert!(bench.told(5, says(0, "ada", true)).contains(&START.to_owned()));
    }

    #[test]
    fn at_the_stage_limited_who_is_named_may_allow_what_is_critical() {
        let text = asking(ONE).replace("restart: { mode: rolling }", "scale: { by: 1 }").replace("{ replica: $pod }", "{ service: $pod }");
        let mut bench = Bench::new(&text, Stage::Limited);
        let told = bench.told(0, fires("api"));
        assert!(told.contains(&"refuse 0 by stage: limited: service/api is critical".to_owned()), "{told:?}");
        let told = bench.told(30, says(0, "ada", true));
        assert_eq!(told.last().map(String::as_str), Some("start restart#0 scale (by +1) service/api"), "{told:?}");
    }

    #[test]
    fn in_dry_run_nobody_is_asked() {
        let mut bench = Bench::new(&asking(ONE), Stage::DryRun);
        bench.check(0, fires("api-1"), &["open 0", "would restart (rolling) replica/api-1", "timer 0 at 60"]);
    }

    #[test]
    fn who_is_asked_is_told_whom_it_waits_for_and_what_a_yes_is_for() {
        let mut bench = Bench::new(&asking(TWO), Stage::Full);
        let effects = bench.step(0, fires("api-1"));
        let consent = effects.iter().find_map(|effect| match effect {
            Effect::Record(Event::Proposed { consent, .. }) => consent.clone(),
            _ => None,
        });
        let consent = consent.unwrap();
        assert_eq!(
            (consent.from, consent.quorum, consent.until),
            (vec![Name::new("oncall"), Name::new("lead")], 2, Some(Time::from_seconds(600)))
        );
        assert_eq!(consent.policy_hash, bench.controller.policy().hash());
        assert_eq!(consent.evidence_hash.len(), 64);
    }
}
