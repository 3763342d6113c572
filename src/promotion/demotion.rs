//! What takes a policy back without anybody asking.

use firedrill_core::journal::{Event, ProposalChange, Verification};
use firedrill_core::time::Span;
use firedrill_policies::guard::breaker;
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;

use super::profile::{Asked, before};
use super::standing::{Standing, between};
use crate::ledger::{Chain, Labelled, Recorded, What};

/// So many of the last are looked at.
const LAST: usize = 20;

/// More than this share of them is too many: 10 %.
const TOO_MANY: usize = LAST / 10;

/// Within this time two trips of the breaker are too many.
const TRIPS_WITHIN: Span = Span::from_seconds(7 * 86_400);

/// A demotion that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// To which stage.
    pub to: Stage,
    /// Why, as it will stand in the ledger.
    pub because: String,
}

/// What has happened since a policy came to its stage.
#[derive(Default)]
struct Since {
    /// Verifications, oldest first: whether each failed.
    verified: Vec<bool>,
    /// Answers to proposals: whether each was refused.
    answered: Vec<bool>,
    /// What people said of actions: whether each was wrong.
    labelled: Vec<bool>,
    /// What can never be excused, in words.
    grave: Option<String>,
    /// What hints that an action was wrong, in words.
    hinted: Option<String>,
    trips: Vec<Timestamp>,
    is_breaker_open: bool,
}

/// The demotion that is due by what stands in a chain; `None`: none is. `asked` is what leaving the stage asks for, `is_baking` whether the policy
/// is on trial after a promotion.
#[must_use]
pub fn due(chain: &Chain, asked: Option<&Asked>, is_baking: bool) -> Option<Due> {
    let standing = Standing::of(chain);
    if standing.stage <= Stage::DryRun {
        // Nothing acts there, and a write in dry-run is told where it happens: there is no stage to go back to but a draft.
        return None;
    }
    let mut since = Since::default();
    for own in chain.entries.iter().filter(|own| own.line > standing.line) {
        since.take(own);
    }
    if let Some(because) = since.grave.take().or_else(|| since.tripped()) {
        return Some(Due { to: Stage::DryRun, because });
    }
    let because = since.gradual(asked, is_baking)?;
    Some(Due { to: before(standing.stage).unwrap_or(Stage::Draft), because })
}

impl Since {
    fn take(&mut self, own: &Recorded) {
        let number = own.number;
        match &own.entry.what {
            What::Violation { what } => {
                _ = self.grave.get_or_insert_with(|| format!("what must never happen did (entry {number}): {what}"))
            }
            What::Label { says, .. } => {
                self.labelled.push(matches!(says, Labelled::Wrong | Labelled::Harmful));
                if *says == Labelled::Harmful {
                    self.grave.get_or_insert_with(|| format!("it did harm (entry {number})"));
                }
            }
            What::Hint { what, is_harm, .. } => {
                if *is_harm {
                    self.grave.get_or_insert_with(|| format!("it did harm (entry {number}): {what}"));
                }
                self.hinted.get_or_insert_with(|| format!("{what} (entry {number})"));
            }
            What::Decision { stage, event, is_backtest: false, .. } => {
                if let Ok(event) = serde_json::from_value(event.clone()) {
                    self.take_event((number, own.entry.at, *stage), &event);
                }
            }
            _ => {}
        }
    }

    fn take_event(&mut self, (number, at, stage): (u64, Timestamp, Stage), event: &Event) {
        match event {
            Event::Decided { .. } if !stage.may_act() => {
                self.grave.get_or_insert_with(|| format!("it acted at the stage {} (entry {number})", stage.word()));
            }
            Event::Decided { .. } | Event::WouldAct { .. } => self.is_breaker_open = false,
            Event::Verified { verdict, .. } => self.verified.push(*verdict == Verification::Failed),
            Event::ProposalChanged { change: ProposalChange::Granted, .. } => self.answered.push(false),
            Event::ProposalChanged { change: ProposalChange::Denied, .. } => self.answered.push(true),
            // It trips once, and refuses for as long as it is open.
            Event::Refused { guard, .. } if guard.as_str() == breaker::NAME && !self.is_breaker_open => {
                self.is_breaker_open = true;
                self.trips.push(at);
            }
            _ => {}
        }
    }

    fn tripped(&self) -> Option<String> {
        let is_twice = |pair: &[Timestamp]| between(pair[0], pair[1]) <= TRIPS_WITHIN;
        self.trips.windows(2).any(is_twice).then(|| "its breaker tripped twice within 7 days".to_owned())
    }

    fn gradual(&self, asked: Option<&Asked>, is_baking: bool) -> Option<String> {
        let last = |all: &[bool]| all.iter().rev().take(LAST).filter(|is_bad| **is_bad).count();
        let (failed, refused, wrong) = (last(&self.verified), last(&self.answered), last(&self.labelled));
        if is_baking && failed > 0 {
            return Some("a verification failed while it was on trial after its promotion".to_owned());
        }
        if is_baking && wrong > 0 {
            return Some("it was wrong while it was on trial after its promotion".to_owned());
        }
        if let Some(hinted) = self.hinted.as_ref().filter(|_| is_baking) {
            return Some(format!("while it was on trial after its promotion: {hinted}"));
        }
        if failed > TOO_MANY {
            return Some(format!("{failed} of its last {} verifications failed", self.verified.len().min(LAST)));
        }
        if refused > TOO_MANY {
            return Some(format!("people refused {refused} of its last {} proposals", self.answered.len().min(LAST)));
        }
        let all = self.labelled.iter().filter(|is_wrong| **is_wrong).count();
        #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
        let is_over = asked.is_some_and(|asked| all as f64 > asked.wrong * self.labelled.len() as f64);
        is_over.then(|| format!("{all} of {} labelled events were wrong", self.labelled.len()))
    }
}
