//! A choice among actions: the best by score less risk that the guards let pass, and to wait is always among them.
//!
//! - A candidate without exactly one finite score, or whose `when` is not true, is out.
//! - The others are ordered by score less risk. To wait has 0 unless the policy gives it a score, and can be told. Of equals to wait comes first, then the one
//!   that is written first.
//! - Guards are asked for each in this order until one passes, or until the turn of waiting comes. A guard that leaves the alert to people
//!   ends the choice.
//! - After a wait the choice is made anew, as long as the alert is on.

use std::cmp::Ordering;

use firedrill_core::action::Action;
use firedrill_core::journal::{Event, Truth, Weighed};
use firedrill_core::time::Span;

use super::RETRY_AFTER;
use super::approving::{Wanted, is_for_people};
use super::proposing::{Gathered, reason};
use super::state::{Ending, Incident, Phase};
use super::turn::Turn;
use crate::guard::{Answer, Guard, Instead};
use crate::policy::{Candidate, ConditionAt, Deed, Policy, Score};

/// The word by which an incident is held that waits by choice.
const CHOICE: &str = "choice";

/// A candidate with what it is worth.
struct Rated {
    /// Its index in the policy; `None`: to wait, where the policy does not list it.
    index: Option<usize>,
    score: Result<f64, String>,
    risk: f64,
    /// The figures behind its score.
    figures: String,
}

impl Rated {
    /// Its score less its risk, as people write such figures: what differs by less than a billionth is equal, since `0.4 - 0.1` is no `0.3` in binary.
    fn worth(&self) -> Option<f64> {
        const FINEST: f64 = 1e9;
        let worth = self.score.as_ref().ok().map(|score| score - self.risk)?;
        Some(if worth.abs() < FINEST { libm::round(worth * FINEST) / FINEST } else { worth })
    }
}

impl Turn<'_> {
    /// Asks for all that the choice is made by.
    pub(super) fn propose_choice(&mut self, mut incident: Box<Incident>) {
        self.tell_guards();
        incident.choice = None;
        self.inquire(incident, false);
    }

    /// Everything is known: the choice is made.
    pub(super) fn decide_choice(&mut self, mut incident: Box<Incident>, gathered: &Gathered) {
        let policy = self.setup.policy.clone();
        let step = incident.step;
        let options = ranked(&policy, step, gathered);
        let mut weighed = Vec::new();
        let mut strictest: Option<(Guard, Answer)> = None;
        let (mut found, mut to_allow) = (None, None);
        for option in &options {
            let candidate = option.index.and_then(|index| policy.candidates(step).get(index));
            let pause = match candidate.map(|candidate| &candidate.deed) {
                Some(Deed::Act(action)) => Err(action.clone()),
                Some(Deed::Wait(span)) => Ok(*span),
                _ => Ok(RETRY_AFTER),
            };
            incident.choice = option.index;
            let what = pause.clone().map_or_else(|action| action, |span| Action::Wait { span });
            let target = self.target(&incident);
            let is_out = option.score.is_err()
                || found.is_some()
                || to_allow.is_some()
                || strictest.as_ref().is_some_and(|(_, answer)| answer.instead == Instead::Alert);
            let mut is_best = false;
            let mut why = option.score.clone().err().unwrap_or_else(|| format!("{} - {}", option.figures, option.risk));
            if !is_out {
                let refusal = pause.is_err().then(|| self.refusal_of(&incident, &what, gathered)).flatten();
                match refusal {
                    None => {
                        is_best = true;
                        why = format!("chosen: {why}");
                        found = Some((option.index, pause));
                    }
                    Some((guard, answer)) if is_for_people(guard, &answer) => {
                        is_best = true;
                        why = format!("best, and to be allowed: {}", answer.figures);
                        to_allow = Some((option.index, answer));
                    }
                    Some((guard, answer)) => {
                        why = format!("refused by {}: {}", guard.word(), answer.figures);
                        if strictest.as_ref().is_none_or(|(_, before)| answer.instead > before.instead) {
                            strictest = Some((guard, answer));
                        }
                    }
                }
            }
            let candidate = option.index.map(|index| index as u32);
            weighed.push(Weighed { candidate, what, target, score: option.score.clone().ok(), risk: option.risk, why, is_best });
        }
        self.record(Event::Chosen { policy: self.name(), incident: incident.id, step: step as u32, candidates: weighed });
        if let Some((index, answer)) = to_allow {
            incident.choice = index;
            let action = self.action(&incident).expect("only an action needs to be allowed");
            let wanted = Wanted::of(&[self.proposal(&incident, &action)], &answer.figures);
            self.guards.remediations.claim(&self.proposal(&incident, &action));
            return self.ask_people(incident, vec![wanted], gathered);
        }
        match found {
            Some((index, Err(action))) => {
                incident.choice = index;
                self.start_chosen(incident, &action, gathered);
            }
            Some((index, Ok(span))) => {
                incident.choice = index;
                self.wait_chosen(incident, span, strictest);
            }
            None => {
                let (guard, answer) =
                    strictest.expect("to wait is always among what is chosen from, unless a guard leaves the alert to people");
                incident.choice = None;
                self.hold_back(incident, guard, &answer);
            }
        }
    }

    /// Asks all guards for a candidate, and journals a refusal.
    fn refusal_of(&mut self, incident: &Incident, action: &Action, gathered: &Gathered) -> Option<(Guard, Answer)> {
        let proposal = self.proposal(incident, action);
        let refusal = self.ask(incident, std::slice::from_ref(&proposal), &Guard::ALL, gathered)?;
        self.journal_refusal(incident, (Some(action.clone()), proposal.target), refusal.0, &refusal.1);
        Some(refusal)
    }

    fn start_chosen(&mut self, mut incident: Box<Incident>, action: &Action, gathered: &Gathered) {
        let proposal = self.proposal(&incident, action);
        self.guards.remediations.claim(&proposal);
        incident.is_careful = self.is_careful(&incident, std::slice::from_ref(&proposal), gathered);
        incident.objective = gathered.objective();
        let reason = format!("{}, and it has the best score less risk of those that may", reason(&incident, gathered.prechecks()));
        self.start(incident, proposal, reason, false);
    }

    /// To wait is best of what may be done. If a guard has refused what would have been better, that is told as for any refusal.
    fn wait_chosen(&mut self, mut incident: Box<Incident>, span: Span, refusal: Option<(Guard, Answer)>) {
        if !self.is_on(&incident) {
            return self.close(incident, "the alert is over, and to wait was best", &Ending::Done);
        }
        if let Some((guard, answer)) = refusal.filter(|_| !incident.has_acted) {
            incident.choice = None;
            return self.hold_back(incident, guard, &answer);
        }
        let until = self.now.saturating_add(span);
        if incident.choice.is_some() {
            let (policy, action, target) = (self.name(), self.next_action(), self.target(&incident));
            let (step, what, reason) = (incident.step as u32, Action::Wait { span }, "to wait is best of what may be done".to_owned());
            self.record(Event::Decided { policy, incident: incident.id, step, action, what, target, reason });
            incident.phase = Phase::Waiting { timer: self.set_timer(until) };
        } else {
            incident.phase = Phase::Held { timer: Some(self.set_timer(until)), by: CHOICE.to_owned() };
        }
        self.keep(incident);
    }

    /// A pause that was chosen is over.
    pub(super) fn choose_again(&mut self, mut incident: Box<Incident>) {
        incident.choice = None;
        self.propose(incident);
    }
}

/// What is chosen from, the best first; those that are out come last.
fn ranked(policy: &Policy, step: usize, gathered: &Gathered) -> Vec<Rated> {
    let candidates = policy.candidates(step);
    let is_wait = |index: Option<usize>| index.is_none_or(|index| matches!(candidates[index].deed, Deed::Wait(_)));
    let weigh = |(index, candidate): (usize, &Candidate)| {
        let when = candidate.when.as_ref().and_then(|when| {
            let (truth, figures) = gathered.judged(ConditionAt::When(step, index))?;
            let unmet = if truth == Truth::Unknown { format!("cannot tell: {figures}") } else { format!("{figures}: {}", when.because) };
            (truth != Truth::True).then_some(unmet)
        });
        let scored = match &candidate.score {
            Score::Fixed(value) => Ok((*value, value.to_string())),
            Score::Asked(_) => gathered
                .measured(ConditionAt::Score(step, index))
                .map(|(value, figures)| (value, figures.to_owned()))
                .map_err(|why| format!("no score: {why}")),
        };
        let (score, figures) = match (when, scored) {
            (Some(unmet), _) => (Err(unmet), String::new()),
            (None, Ok((value, figures))) => (Ok(value), figures),
            (None, Err(why)) => (Err(why), String::new()),
        };
        Rated { index: Some(index), score, risk: candidate.risk, figures }
    };
    let mut options: Vec<Rated> = candidates.iter().enumerate().map(weigh).collect();
    if !options.iter().any(|option| is_wait(option.index) && option.score.is_ok()) {
        options.push(Rated { index: None, score: Ok(0.0), risk: 0.0, figures: "0".to_owned() });
    }
    let order = |left: &Rated, right: &Rated| match (left.worth(), right.worth()) {
        (Some(left_worth), Some(right_worth)) => {
            right_worth.total_cmp(&left_worth).then_with(|| is_wait(right.index).cmp(&is_wait(left.index)))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    // A stable sort: of equals the one that is written first comes first.
    options.sort_by(order);
    options
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::journal::{Input, Truth};

    use crate::controller::bench::{Bench, OK, answer, ended, fires, resolves};
    use crate::guard::stage::Stage;

    const CHOICE: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - choose:
      - { restart: { mode: rolling }, score: 'hung{pod=$pod}', risk: low }
      - { drain: {}, score: 'sick{pod=$pod}', risk: 0.3, when: { expr: 'spare == 1', because: somebody must take its place } }
    verify: { expr: 'up{pod=$pod} == 1', within: 60s }
    on_failure: next
  - escalate: { to: oncall }
guard:
  cooldown: 2m
";

    fn measured(query: u64, value: f64) -> Input {
        Input::Measured { query, value: Some(value), figures: value.to_string() }
    }

    fn unknown(query: u64) -> Input {
        Input::Measured { query, value: None, figures: "no element".to_owned() }
    }

    /// The answers to the first questions: the score of the restart, what a drain needs, the score of the drain.
    fn choose(bench: &mut Bench, hung: Input, spare: Truth, sick: Input, expected: &[&str]) {
        bench.check(0, hung, &[]);
        bench.check(0, answer(1, spare), &[]);
        bench.check(0, sick, expected);
    }

    #[test]
    fn the_best_by_score_less_risk_runs_and_why_the_others_lost_is_told() {
        let mut bench = Bench::new(CHOICE, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Score(0, 0) at 0", "ask 1 When(0, 1) at 0", "ask 2 Score(0, 1) at 0"]);
        let expected = [
            "choose drain replica/api-1 (chosen: 0.9 - 0.3), restart (rolling) replica/api-1 (0.5 - 0.1), wait (1m) replica/api-1 (0 - 0)",
            "start restart#0 drain replica/api-1",
        ];
        choose(&mut bench, measured(0, 0.5), Truth::True, measured(2, 0.9), &expected);
        bench.check(5, ended(0, OK), &["ask 3 Verify(0) at 5"]);
    }

    #[test]
    fn without_a_score_or_its_condition_a_candidate_is_out() {
        let mut bench = Bench::new(CHOICE, Stage::Full);
        bench.step(0, fires("api-1"));
        let expected = [
            "choose wait (1m) replica/api-1 (chosen: 0 - 0), restart (rolling) replica/api-1 (no score: no element), \
             drain replica/api-1 (cannot tell: Unknown)",
            "timer 0 at 60",
        ];
        choose(&mut bench, unknown(0), Truth::Unknown, measured(2, 9.0), &expected);
        // After the wait the choice is made anew.
        bench.check(60, Input::Timer { timer: 0 }, &["ask 3 Score(0, 0) at 60", "ask 4 When(0, 1) at 60", "ask 5 Score(0, 1) at 60"]);
        bench.step(60, resolves("api-1"));
        assert!(bench.step(61, fires("api-1")).len() > 2);
    }

    #[test]
    fn an_action_must_be_better_than_waiting() {
        let mut bench = Bench::new(CHOICE, Stage::Full);
        bench.step(0, fires("api-1"));
        let expected = [
            "choose wait (1m) replica/api-1 (chosen: 0 - 0), restart (rolling) replica/api-1 (0.1 - 0.1), drain replica/api-1 (0.2 - 0.3)",
            "timer 0 at 60",
        ];
        choose(&mut bench, measured(0, 0.1), Truth::True, measured(2, 0.2), &expected);
    }

    #[test]
    fn what_a_guard_refuses_leaves_the_next_best_and_then_waiting() {
        let capped = CHOICE.replace("cooldown: 2m", "caps: [{ scope: service, of: replicas, max: 0 }]");
        let own = capped.replace("      - { drain", "      - { purge_queue: {}, score: 0.2, risk: low }\n      - { drain");
        let mut bench = Bench::new(&own, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, measured(0, 0.5));
        bench.step(0, answer(1, Truth::False));
        let refused = "refuse 0 by caps: 0 in flight + 1 > 0 (0 replicas of service/api)";
        let told = "choose restart (rolling) replica/api-1 (refused by caps: 0 in flight + 1 > 0 (0 replicas of service/api)), \
            purge_queue replica/api-1 (chosen: 0.2 - 0.1), wait (1m) replica/api-1 (0 - 0), \
            drain replica/api-1 (False: somebody must take its place)";
        bench.check(0, measured(2, 0.9), &[refused, told, "start restart#0 purge_queue replica/api-1"]);
        // Nothing else may: it is proposed again as after any refusal.
        let mut only = Bench::new(&capped, Stage::Full);
        only.step(0, fires("api-1"));
        only.step(0, measured(0, 0.5));
        only.step(0, answer(1, Truth::False));
        let told = "choose restart (rolling) replica/api-1 (refused by caps: 0 in flight + 1 > 0 (0 replicas of service/api)), \
            wait (1m) replica/api-1 (chosen: 0 - 0), drain replica/api-1 (False: somebody must take its place)";
        only.check(0, measured(2, 0.9), &[refused, told, "timer 0 at 60"]);
    }

    #[test]
    fn a_wait_of_the_policy_s_own_has_its_score_and_its_length() {
        let waits = CHOICE.replace("      - { drain", "      - { wait: 2m, score: 0.6 }\n      - { drain");
        let mut bench = Bench::new(&waits, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, measured(0, 0.5));
        bench.step(0, answer(1, Truth::True));
        let told = "choose wait (2m) replica/api-1 (chosen: 0.6 - 0), restart (rolling) replica/api-1 (0.5 - 0.1), drain replica/api-1 (0.4 - 0.3)";
        bench.check(0, measured(2, 0.4), &[told, "timer 0 at 120"]);
        bench.check(120, Input::Timer { timer: 0 }, &["ask 3 Score(0, 0) at 120", "ask 4 When(0, 2) at 120", "ask 5 Score(0, 2) at 120"]);
    }

    #[test]
    fn a_wait_whose_score_cannot_be_told_leaves_the_one_that_is_always_there() {
        let waits = CHOICE.replace("      - { drain", "      - { wait: 2m, score: 'calm' }\n      - { drain");
        let mut bench = Bench::new(&waits, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, measured(0, 0.0));
        bench.step(0, unknown(1));
        bench.step(0, answer(2, Truth::False));
        let told = "choose wait (1m) replica/api-1 (chosen: 0 - 0), restart (rolling) replica/api-1 (0 - 0.1), \
            wait (2m) replica/api-1 (no score: no element), drain replica/api-1 (False: somebody must take its place)";
        bench.check(0, measured(3, 0.0), &[told, "timer 0 at 60"]);
    }

    #[test]
    fn a_guard_that_leaves_the_alert_to_people_ends_the_choice() {
        let off = CHOICE.replace("cooldown: 2m", "kill_switch: { expr: off == 1, effect: alert_only }");
        let mut bench = Bench::new(&off, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, answer(0, Truth::True));
        bench.step(0, measured(1, 0.5));
        bench.step(0, answer(2, Truth::True));
        let told = "choose drain replica/api-1 (refused by kill_switch: True), restart (rolling) replica/api-1 (0.5 - 0.1), wait (1m) replica/api-1 (0 - 0)";
        let end = "close 0: step 1 was refused by kill_switch: True";
        bench.check(0, measured(3, 0.9), &["refuse 0 by kill_switch: True", told, "page oncall", end]);
    }

    #[test]
    fn of_equals_as_people_write_them_to_wait_comes_first() {
        for (score, risk, wait) in [("0.4", "0.1", "0.3"), ("0.9", "0.3", "0.6"), ("0.7", "0.1", "0.6")] {
            let candidates =
                format!("      - {{ purge_queue: {{}}, score: {score}, risk: {risk} }}\n      - {{ wait: 2m, score: {wait} }}\n");
            let (before, after) = CHOICE.split_once("      - { restart").unwrap();
            let rest = after.split_once("because: somebody must take its place } }\n").unwrap().1;
            let mut bench = Bench::new(&format!("{before}{candidates}{rest}"), Stage::Full);
            let told = bench.told(0, fires("api-1"));
            assert!(told.iter().any(|line| line.starts_with("choose wait (2m)")), "{score} - {risk} is {wait}: {told:?}");
        }
    }

    #[test]
    fn what_was_chosen_and_failed_leads_to_the_next_step() {
        let mut bench = Bench::new(CHOICE, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, measured(0, 0.5));
        bench.step(0, answer(1, Truth::False));
        bench.step(0, measured(2, 0.9));
        bench.check(5, ended(0, ActionOutcome::Failed("no".into())), &["page oncall", "close 0: the policy escalates"]);
    }
}
