//! Who is the primary of a database after it was lost: given up, another one promoted, and reached by callers.
//!
//! What Patroni, RDS and Aurora have in common: one failover at a time, and a primary that is back before it was given up stays what it was.

use firedrill_core::time::{Span, Time};

/// Where a failover stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is none.
    #[default]
    Steady,
    /// The primary is lost; it is given up at that time, or never.
    Lost(Option<Time>),
    /// The primary is given up, and nobody can take its place.
    Waiting,
    /// This replica becomes the primary.
    Promoting(u32, Time),
    /// Another one is the primary, and callers do not know yet.
    Reconnecting(Time),
}

/// What is to be done at a time that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Somebody is to be chosen.
    Elect,
    /// This replica is the primary from now on.
    Promote(u32),
    /// Callers reach it.
    Reach,
}

/// The course of failovers of one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failover {
    state: State,
}

impl Failover {
    /// When it wants to be asked what to do; `None`: when something changes.
    pub(crate) const fn due(&self) -> Option<Time> {
        match self.state {
            State::Steady | State::Waiting => None,
            State::Lost(until) => until,
            State::Promoting(_, until) | State::Reconnecting(until) => Some(until),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_steady(&self) -> bool {
        self.state == State::Steady
    }

    /// The primary is lost; `detect` is how long it takes to give it up, `None` for ever. Whether this is news to it.
    pub(crate) fn lost(&mut self, now: Time, detect: Option<Span>) -> bool {
        match self.state {
            // The one that was promoted last is lost while callers still look for it: that is the next failover.
            State::Steady | State::Reconnecting(_) => self.state = State::Lost(detect.map(|detect| now + detect)),
            State::Lost(_) | State::Waiting | State::Promoting(..) => return false,
        }
        true
    }

    /// The primary that was lost is back and has not been given up.
    pub(crate) fn back(&mut self) {
        assert!(matches!(self.state, State::Lost(_) | State::Waiting), "only a primary that was lost comes back");
        self.state = State::Steady;
    }

    /// Somebody is to be chosen now; refused while another failover is under way.
    pub(crate) fn order(&mut self) -> Result<(), &'static str> {
        match self.state {
            State::Steady | State::Lost(_) => {
                self.state = State::Waiting;
                Ok(())
            }
            State::Waiting => Err("the primary is given up already, and no standby can take its place"),
            State::Promoting(..) | State::Reconnecting(_) => Err("another failover is under way"),
        }
    }

    /// This one is chosen, and is the primary after `promote`; `None`: nobody can be.
    pub(crate) fn elected(&mut self, now: Time, chosen: Option<(u32, Span)>) {
        self.state = chosen.map_or(State::Waiting, |(replica, promote)| State::Promoting(replica, now + promote));
    }

    /// Whether somebody who can be chosen now is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.state == State::Waiting
    }

    /// Who is being promoted.
    pub(crate) const fn candidate(&self) -> Option<u32> {
        match self.state {
            State::Promoting(replica, _) => Some(replica),
            _ => None,
        }
    }

    /// A time that it had set has come.
    pub(crate) fn advance(&mut self, now: Time) -> Deed {
        assert!(self.due() == Some(now), "a failover goes on at the time that it has set");
        match self.state {
            State::Lost(_) => {
                self.state = State::Waiting;
                Deed::Elect
            }
            State::Promoting(replica, _) => Deed::Promote(replica),
            State::Reconnecting(_) => {
                self.state = State::Steady;
                Deed::Reach
            }
            State::Steady | State::Waiting => unreachable!("neither sets a time"),
        }
    }

    /// The chosen one is the primary; callers know it after `reconnect`.
    pub(crate) fn promoted(&mut self, now: Time, reconnect: Span) {
        self.state = State::Reconnecting(now + reconnect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    const fn after(seconds: u64) -> Span {
        Span::from_seconds(seconds)
    }

    #[test]
    fn a_failover_is_detected_elected_promoted_and_reached() {
        let mut failover = Failover::default();
        assert!(failover.lost(at(10), Some(after(20))));
        assert_eq!((failover.due(), failover.advance(at(30))), (Some(at(30)), Deed::Elect));
        failover.elected(at(30), Some((2, after(3))));
        assert_eq!((failover.candidate(), failover.advance(at(33))), (Some(2), Deed::Promote(2)));
        failover.promoted(at(33), after(1));
        assert_eq!((failover.due(), failover.is_steady()), (Some(at(34)), false));
        assert_eq!(failover.advance(at(34)), Deed::Reach);
        assert!(failover.is_steady());
    }

    #[test]
    fn who_is_back_in_time_stays_the_primary() {
        let mut failover = Failover::default();
        failover.lost(at(10), Some(after(20)));
        failover.back();
        assert!(failover.is_steady() && failover.due().is_none());
    }

    #[test]
    fn without_a_watcher_a_lost_primary_is_waited_for_and_an_order_gives_it_up() {
        let mut failover = Failover::default();
        failover.lost(at(10), None);
        assert_eq!(failover.due(), None);
        assert!(failover.order().is_ok());
        failover.elected(at(20), None);
        assert!(failover.waits());
        assert!(failover.order().is_err(), "nobody can take its place, and asking again helps nobody");
        failover.elected(at(25), Some((1, after(2))));
        assert_eq!(failover.due(), Some(at(27)));
    }

    #[test]
    fn no_second_failover_begins_while_one_is_under_way() {
        let mut failover = Failover::default();
        assert!(failover.order().is_ok());
        failover.elected(at(0), Some((1, after(2))));
        assert_eq!(failover.order(), Err("another failover is under way"));
        assert!(!failover.lost(at(1), Some(after(1))), "the old primary is given up already");
        failover.promoted(at(2), after(5));
        assert_eq!(failover.order(), Err("another failover is under way"));
        assert!(failover.lost(at(3), Some(after(1))), "but the new one may be lost");
        assert_eq!(failover.due(), Some(at(4)));
    }
}
