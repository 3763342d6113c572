//! People who were asked to allow what the policy proposed, and what they said.

use firedrill_core::journal::{Event, Journal, ProposalChange};
use serde::{Deserialize, Serialize};

/// How often people were asked, and what became of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Approvals {
    /// Proposals for which people were asked.
    pub asked: u64,
    /// Of these, those that enough people allowed.
    pub granted: u64,
    /// Those that somebody denied.
    pub denied: u64,
    /// Those whose time was over before enough people had answered.
    pub expired: u64,
    /// Of these, those to which nobody had said anything that counts.
    pub unanswered: u64,
    /// Those that were void, because what they rested on had changed or something else was to be done.
    pub void: u64,
    /// Those that nobody needed any more, granted or not.
    pub withdrawn: u64,
    /// Answers that people gave, whether they count or not.
    pub answers: u64,
    /// The longest wait from the question until it was granted, denied or expired, seconds; 0 if there was none.
    pub longest_wait_seconds: f64,
    /// All of these waits together, seconds.
    pub waited_seconds: f64,
}

impl Approvals {
    /// What the journal tells; `None` if nobody was asked.
    #[must_use]
    pub(super) fn of(journal: &Journal) -> Option<Self> {
        let mut told = Self::default();
        let mut heard = std::collections::BTreeSet::new();
        let mut granted = std::collections::BTreeSet::new();
        for record in journal.records() {
            match &record.event {
                Event::Proposed { consent: Some(_), .. } => told.asked += 1,
                Event::Answered { policy, proposal, counts, .. } => {
                    told.answers += 1;
                    if *counts {
                        heard.insert((policy.clone(), *proposal));
                    }
                }
                Event::ProposalChanged { policy, proposal, change, waited, .. } => {
                    let key = (policy.clone(), *proposal);
                    let is_answer = match change {
                        ProposalChange::Granted => {
                            granted.insert(key);
                            told.granted += 1;
                            true
                        }
                        ProposalChange::Denied => {
                            told.denied += 1;
                            true
                        }
                        // What was granted and did not start in time was answered.
                        ProposalChange::Expired if granted.contains(&key) => false,
                        ProposalChange::Expired => {
                            told.expired += 1;
                            told.unanswered += u64::from(!heard.contains(&key));
                            true
                        }
                        ProposalChange::Void => {
                            told.void += 1;
                            false
                        }
                        ProposalChange::Withdrawn => {
                            told.withdrawn += 1;
                            false
                        }
                    };
                    if is_answer {
                        told.waited_seconds += waited.as_seconds();
                        told.longest_wait_seconds = told.longest_wait_seconds.max(waited.as_seconds());
                    }
                }
                _ => {}
            }
        }
        (told.asked > 0).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::Action;
    use firedrill_core::journal::Consent;
    use firedrill_core::name::Name;
    use firedrill_core::time::{Span, Time};

    use super::*;

    fn asked(proposal: u64) -> Event {
        let consent =
            Consent { from: vec![Name::new("oncall")], quorum: 2, until: None, policy_hash: String::new(), evidence_hash: String::new() };
        let (what, target, reason, approve) = (Action::Rollback, "service/api".parse().unwrap(), String::new(), String::new());
        Event::Proposed { policy: Name::new("p"), incident: 0, step: 0, proposal, what, target, reason, approve, consent: Some(consent) }
    }

    fn said(proposal: u64, counts: bool) -> Event {
        let (policy, who, role) = (Name::new("p"), Name::new("ada"), Name::new("oncall"));
        Event::Answered { policy, proposal, who, role, yes: true, counts, figures: String::new() }
    }

    fn became(proposal: u64, change: ProposalChange, minutes: u64) -> Event {
        let waited = Span::from_minutes(minutes);
        Event::ProposalChanged { policy: Name::new("p"), incident: 0, proposal, change, figures: String::new(), waited }
    }

    fn told(events: Vec<Event>) -> Option<Approvals> {
        let mut journal = Journal::new();
        events.into_iter().for_each(|event| journal.write(Time::ZERO, event));
        Approvals::of(&journal)
    }

    #[test]
    fn where_nobody_is_asked_there_is_nothing_to_tell() {
        assert_eq!(told(vec![became(0, ProposalChange::Withdrawn, 1)]), None);
    }

    #[test]
    fn every_question_is_counted_by_what_became_of_it() {
        use ProposalChange::{Denied, Expired, Granted, Void, Withdrawn};
        let events = vec![
            asked(0),
            said(0, true),
            said(0, true),
            became(0, Granted, 4),
            // It was granted, and did not start in time: people did what they could.
            became(0, Expired, 15),
            asked(1),
            said(1, true),
            became(1, Expired, 15),
            asked(2),
            said(2, false),
            became(2, Expired, 15),
            asked(3),
            became(3, Denied, 2),
            asked(4),
            became(4, Withdrawn, 1),
            asked(5),
            became(5, Granted, 1),
            became(5, Void, 2),
        ];
        let expected = Approvals {
            asked: 6,
            granted: 2,
            denied: 1,
            expired: 2,
            unanswered: 1,
            void: 1,
            withdrawn: 1,
            answers: 4,
            longest_wait_seconds: 900.0,
            waited_seconds: 60.0 * (4.0 + 15.0 + 15.0 + 2.0 + 1.0),
        };
        assert_eq!(told(events), Some(expected));
    }
}
