//! People who are asked to allow what policies propose, and who answer after a while, or never.
//!
//! Their luck is that of the seed, of who they are, and of the number of the proposal within its policy, so that whoever else is asked shifts nobody's
//! answer. Nothing is drawn where nobody is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{Consent, Event, Record};
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::random::{Purpose, Seed, Stream, Threshold, hash64};
use firedrill_core::time::Time;

/// People of one role, and how they answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproverSpec {
    /// The role.
    pub role: Name,
    /// How many there are; they are called `ROLE-1`, `ROLE-2`, …
    pub count: u32,
    /// From the question to the answer, seconds.
    pub answer: Distribution,
    /// The share of questions that one of them never answers.
    pub no_answer: Ratio,
    /// The share of answers that are a no.
    pub deny: Ratio,
}

/// Which word of a block decides what; a block is a proposal.
mod word {
    pub(super) const NO_ANSWER: usize = 0;
    pub(super) const ANSWER: usize = 1;
    pub(super) const DENY: usize = 2;
}

/// What somebody says of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whose proposal.
    pub policy: Name,
    /// Its number within the policy.
    pub proposal: u64,
    /// Who.
    pub who: Name,
    /// As what.
    pub role: Name,
    /// Whether the action may start.
    pub yes: bool,
}

/// Everybody who may be asked in one run.
#[derive(Clone, Debug)]
pub struct Approvers {
    people: Arc<[ApproverSpec]>,
    seed: Seed,
    /// Answers on their way, by time and order of asking.
    replies: BTreeMap<(Time, u64), Reply>,
    next: u64,
}

impl Approvers {
    /// Everybody from the start of a run on.
    #[must_use]
    pub const fn new(people: Arc<[ApproverSpec]>, seed: Seed) -> Self {
        Self { people, seed, replies: BTreeMap::new(), next: 0 }
    }

    /// Takes in what has been written since: whoever is asked begins to think.
    pub fn hear(&mut self, records: &[Record]) {
        for record in records {
            if let Event::Proposed { policy, proposal, consent: Some(consent), .. } = &record.event {
                self.asked(record.at, (policy, *proposal), consent);
            }
        }
    }

    fn asked(&mut self, now: Time, (policy, proposal): (&Name, u64), consent: &Consent) {
        let people = Arc::clone(&self.people);
        for group in people.iter().filter(|group| consent.from.contains(&group.role)) {
            for number in 1..=group.count {
                let who = Name::new(&format!("{}-{number}", group.role));
                let luck = Stream::new(self.seed, Purpose::Approval, hash64(&format!("{policy}/{who}"))).block(proposal);
                if Threshold::from_ratio(group.no_answer).hit(luck.word64(word::NO_ANSWER)) {
                    continue;
                }
                let at = now.saturating_add(group.answer.sample_span(luck.draw(word::ANSWER)));
                let yes = !Threshold::from_ratio(group.deny).hit(luck.word64(word::DENY));
                let reply = Reply { policy: policy.clone(), proposal, who, role: group.role.clone(), yes };
                self.replies.insert((at, self.next), reply);
                self.next += 1;
            }
        }
    }

    /// When somebody answers next; `None` while nobody has been asked.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        self.replies.keys().next().map(|(at, _)| *at)
    }

    /// The next answer, with its time.
    pub fn answer(&mut self) -> Option<(Time, Reply)> {
        self.replies.pop_first().map(|((at, _), reply)| (at, reply))
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::Action;
    use firedrill_core::journal::Journal;

    use super::*;

    fn group(role: &str, count: u32, (no_answer, deny): (f64, f64)) -> ApproverSpec {
        let share = |share| Ratio::new(share).unwrap();
        let answer = Distribution::log_uniform(60.0, 600.0).unwrap();
        ApproverSpec { role: Name::new(role), count, answer, no_answer: share(no_answer), deny: share(deny) }
    }

    fn proposed(number: u64, from: &[&str]) -> Event {
        let consent = Consent {
            from: from.iter().map(|role| Name::new(role)).collect(),
            quorum: 1,
            until: None,
            policy_hash: String::new(),
            evidence_hash: String::new(),
        };
        Event::Proposed {
            policy: Name::new("p"),
            incident: 0,
            step: 0,
            proposal: number,
            what: Action::Rollback,
            target: "service/api".parse().unwrap(),
            reason: String::new(),
            approve: String::new(),
            consent: Some(consent),
        }
    }

    /// The answers to the proposals with these numbers, asked at 100 s: when, who, and whether it is a yes.
    fn answers(people: Vec<ApproverSpec>, from: &[&str], numbers: &[u64], seed: u64) -> Vec<(f64, u64, String, bool)> {
        let mut journal = Journal::new();
        for number in numbers {
            journal.write(Time::from_seconds(100), proposed(*number, from));
        }
        let mut approvers = Approvers::new(people.into(), Seed(seed));
        approvers.hear(journal.records());
        let mut told = Vec::new();
        while let Some(due) = approvers.due() {
            let (at, reply) = approvers.answer().unwrap();
            assert_eq!(at, due);
            told.push((at.as_seconds(), reply.proposal, reply.who.to_string(), reply.yes));
        }
        told
    }

    #[test]
    fn those_who_are_asked_answer_in_their_time_and_nobody_else_does() {
        let people = || vec![group("oncall", 2, (0.0, 0.0)), group("lead", 1, (0.0, 1.0))];
        let told = answers(people(), &["oncall"], &[0], 7);
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|(at, _, who, yes)| (160.0..=700.0).contains(at) && who.starts_with("oncall-") && *yes));
        let told = answers(people(), &["lead", "oncall"], &[0], 7);
        assert_eq!(told.iter().filter(|(_, _, who, yes)| who == "lead-1" && !yes).count(), 1, "who always says no says no");
        assert_eq!(answers(people(), &["nobody"], &[0], 7), []);
        assert_eq!(answers(vec![group("oncall", 3, (1.0, 0.0))], &["oncall"], &[0, 1, 2], 7), [], "who never answers never does");
    }

    #[test]
    fn an_answer_depends_on_who_is_asked_of_what_and_on_nothing_else() {
        let two = |other: &str| vec![group(other, 3, (0.3, 0.3)), group("oncall", 2, (0.3, 0.3))];
        for seed in 0..20 {
            let alone = answers(vec![group("oncall", 2, (0.3, 0.3))], &["oncall"], &[4], seed);
            let beside = answers(two("lead"), &["lead", "oncall"], &[3, 4, 5], seed);
            let own: Vec<_> = beside.into_iter().filter(|(_, number, who, _)| *number == 4 && who.starts_with("oncall")).collect();
            assert_eq!(own, alone, "seed {seed}");
        }
    }

    #[test]
    fn shares_are_what_they_say() {
        let numbers: Vec<u64> = (0..2_000).collect();
        let told = answers(vec![group("oncall", 1, (0.2, 0.1))], &["oncall"], &numbers, 1);
        let (answered, no) = (told.len() as f64 / 2_000.0, told.iter().filter(|(.., yes)| !yes).count() as f64 / told.len() as f64);
        assert!((answered - 0.8).abs() < 0.04 && (no - 0.1).abs() < 0.04, "{answered} answer, {no} say no");
    }
}
