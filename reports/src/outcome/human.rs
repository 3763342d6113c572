//! The policy against a person on call: docs/MEASURES.md, arm H and its break-even.

use firedrill_core::journal::{AlertStatus, Event, Journal};
use firedrill_core::ledger::BIN;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::users::UserSeries;
use super::{Arm, ArmOutcome, OutcomeSettings};

/// What a person on call came to, and the policy against that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumanOutcome {
    /// How long after the first alert a person would have to act to lose as much as the policy, seconds; 0: even at once is not better.
    /// `None` if it cannot be told: nobody acted, or doing nothing loses no more than the policy.
    pub break_even_seconds: Option<f64>,
    /// When somebody was first told that an alert fires, seconds since the start; `None`: never.
    pub called_seconds: Option<f64>,
    /// When the person first acted, seconds since the start; `None`: never.
    pub acted_seconds: Option<f64>,
    /// Arm H, which may be longer than the others.
    pub arm: ArmOutcome,
}

/// User-minutes lost with the person, less those lost with the policy; negative if the person was better. Counted to the end of the person's run if
/// the policy had left nothing to be lost by the end of its own; else of both as long as every request of the policy's run could be judged: the person's
/// run goes on, and knows what became of requests that were still open then.
pub(super) fn benefit_over(human: &Arm, policy: &Arm) -> f64 {
    let is_over = policy.incidents.iter().all(|incident| incident.closed.is_some());
    if is_over {
        return lost_before(&human.users, human.transcript.ledger.ended) - policy.users.user_minutes_lost();
    }
    let until = human.transcript.ledger.ended.min(policy.users.judged_until());
    lost_before(&human.users, until) - lost_before(&policy.users, until)
}

/// The person's arm `human`, and what it says about the policy's.
pub(super) fn outcome(human: &Arm, policy: &Arm, nothing: &Arm, settings: &OutcomeSettings) -> HumanOutcome {
    let lost = policy.users.user_minutes_lost();
    let called = first(&human.transcript.journal, is_call);
    let acted = first(&human.transcript.journal, |event| matches!(event, Event::ActionStarted { .. }));
    let curves = Curves { human: &human.users, nothing: &nothing.users, acted };
    HumanOutcome {
        break_even_seconds: called.zip(acted).and_then(|(called, acted)| curves.break_even(called, acted, lost)),
        called_seconds: called.map(Time::as_seconds),
        acted_seconds: acted.map(Time::as_seconds),
        arm: human.outcome(settings),
    }
}

const fn is_call(event: &Event) -> bool {
    match event {
        Event::Notified { notification } => matches!(notification.status, AlertStatus::Firing),
        _ => false,
    }
}

fn first(journal: &Journal, is_it: impl Fn(&Event) -> bool) -> Option<Time> {
    journal.records().iter().find(|record| is_it(&record.event)).map(|record| record.at)
}

/// What users lose while nobody acts, and what they still lose after the person has acted.
struct Curves<'a> {
    human: &'a UserSeries,
    nothing: &'a UserSeries,
    acted: Option<Time>,
}

impl Curves<'_> {
    /// The delay after `called` at which what was lost until then, and what is lost after acting, come to `lost`. What is lost after acting is taken
    /// from the person's own run, as if it were the same however late they act.
    fn break_even(&self, called: Time, acted: Time, lost: f64) -> Option<f64> {
        let tail = self.human.user_minutes_lost() - lost_before(self.human, acted);
        let mut sum = lost_before(self.human, called) + tail;
        if sum >= lost {
            return Some(0.0);
        }
        let mut at = called;
        let mut bin = bin_of(called);
        while let Some(rate) = self.rate(bin) {
            let end = Time::ZERO + Span::from_nanos(BIN.as_nanos() * (bin as u64 + 1));
            let left = end.since(at).as_seconds();
            if sum + rate * left >= lost {
                return Some(at.since(called).as_seconds() + (lost - sum) / rate);
            }
            (sum, at, bin) = (sum + rate * left, end, bin + 1);
        }
        None
    }

    /// User-minutes lost a second in a bin while nobody acts: until the person acts their run is that of nobody.
    fn rate(&self, bin: usize) -> Option<f64> {
        let before = self.acted.is_none_or(|acted| bin < bin_of(acted));
        let series = if before { self.human } else { self.nothing };
        (bin < series.len()).then(|| series.minutes_lost(bin) / BIN.as_seconds())
    }
}

fn bin_of(at: Time) -> usize {
    (at.as_nanos() / BIN.as_nanos()) as usize
}

/// User-minutes lost before an instant; a bin that it divides counts in proportion.
fn lost_before(users: &UserSeries, at: Time) -> f64 {
    let bin = bin_of(at).min(users.len());
    let whole: f64 = (0..bin).map(|bin| users.minutes_lost(bin)).sum();
    if bin == users.len() {
        return whole;
    }
    let into = at.since(Time::ZERO + Span::from_nanos(BIN.as_nanos() * bin as u64));
    whole + users.minutes_lost(bin) * (into.as_seconds() / BIN.as_seconds())
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::Action;

    use crate::outcome::{Arms, HumanOutcome, OutcomeSettings, measure};
    use crate::sample::Sample;

    /// Ten requests a second, all bad from 60 s on: ten user-minutes a second. The person is called at 70 s, acts at 170 s, and users are well 20 s later.
    fn against(nothing_bad_for: u64, policy_bad_for: u64) -> (f64, HumanOutcome) {
        let run = |bad: u64| Sample::new(600).fault("api", 60, 60 + bad).bad(60, 60 + bad, 100);
        let nothing = run(nothing_bad_for).notify(70, "service", "api").build();
        let policy = run(policy_bad_for).notify(70, "service", "api").build();
        let human = Sample::new(900).fault("api", 60, 190).bad(60, 190, 100).notify(70, "service", "api");
        let human = human.act(170, Action::PurgeQueue, "service/api").build();
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: Some(&human) };
        let outcome = measure(&arms, &OutcomeSettings::default());
        (outcome.benefit_over_human.unwrap(), outcome.human.unwrap())
    }

    #[test]
    fn the_break_even_is_when_the_person_would_have_lost_as_much() {
        // The person loses 1300; a policy that loses 500 is as good as a person who acts 20 s after the alert: 10 s before it, 20 s, and 20 s after acting.
        let (benefit, human) = against(540, 50);
        assert_eq!((human.called_seconds, human.acted_seconds), (Some(70.0), Some(170.0)));
        assert_eq!(benefit, 800.0);
        assert_eq!(human.break_even_seconds, Some(20.0));
    }

    #[test]
    fn a_policy_that_is_quicker_than_anybody_breaks_even_at_once_and_one_that_is_slower_later_than_the_person() {
        assert_eq!(against(540, 20).1.break_even_seconds, Some(0.0));
        let (benefit, slow) = against(540, 200);
        assert_eq!((benefit, slow.break_even_seconds), (-700.0, Some(170.0)));
    }

    #[test]
    fn whoever_does_nothing_is_no_better_than_a_person_who_comes_after_the_run() {
        let mut idle = Sample::new(600).fault("api", 60, 600).bad(60, 600, 100).notify(70, "service", "api").build();
        // What came last is still open, and in the person's longer run it is known to have failed.
        let (client, tail) = (&mut idle.ledger.clients[0], 60);
        let count = client.outcomes.len();
        client.outcomes[count - tail..].fill(firedrill_core::ledger::RequestOutcome::Open as u8);
        let human = Sample::new(900).fault("api", 60, 800).bad(60, 800, 100).notify(70, "service", "api");
        let human = human.act(780, Action::PurgeQueue, "service/api").build();
        let arms = Arms { nothing: &idle, policy: &idle, oracle: None, human: Some(&human) };
        assert_eq!(measure(&arms, &OutcomeSettings::default()).benefit_over_human, Some(0.0));
    }

    #[test]
    fn a_policy_that_ends_in_the_outage_is_held_against_the_person_until_there() {
        let (benefit, human) = against(540, 540);
        // The last bin holds requests that may still be answered in time.
        assert_eq!((benefit, human.break_even_seconds), (1300.0 - 5300.0, Some(510.0)));
        assert_eq!(against(300, 540).1.break_even_seconds, None, "doing nothing loses less, so nobody can be as slow");
    }
}
