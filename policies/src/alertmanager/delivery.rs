//! Handing a message over to somebody who may answer late, wrongly or not at all: attempts with exponential back-off.

use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

/// No flush has less time than this for its attempts.
const LEAST_TIME: Span = Span::from_seconds(10);

/// The pause after the first attempt; each further one is half as long again.
const FIRST_PAUSE: Span = Span::from_millis(500);

/// No pause is longer.
const LONGEST_PAUSE: Span = Span::from_seconds(60);

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status: 2xx is a success, 5xx is tried again, anything else is not. `None`: the connection fails, which is tried again.
    pub status: Option<u16>,
    /// From the attempt to its answer.
    pub after: Span,
}

impl Reply {
    /// Success at once.
    pub const OK: Self = Self { status: Some(200), after: Span::ZERO };
}

/// A stretch of time in which an integration does not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Whose integration.
    pub receiver: Name,
    /// Its kind, and which of its kind.
    pub integration: (Name, usize),
    /// From when on.
    pub from: Time,
    /// The moment after its end.
    pub to: Time,
    /// How it answers.
    pub reply: Reply,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// When: the answer, or when it was given up.
    pub(super) at: Time,
    /// Whether the receiver has it.
    pub(super) succeeded: bool,
    /// How many attempts it took.
    pub(super) attempts: u32,
}

/// Plays the attempts of a delivery that begins at `now`. Alertmanager's pauses vary by half of their length at random; these do not.
pub(super) fn deliver(now: Time, group_interval: Span, timeout: Option<Span>, reply_at: impl Fn(Time) -> Reply) -> Delivered {
    let deadline = now.saturating_add(group_interval.max(LEAST_TIME));
    let (mut at, mut pause, mut attempts) = (now, FIRST_PAUSE, 0);
    loop {
        attempts += 1;
        let reply = reply_at(at);
        let patience = timeout.map_or(deadline, |timeout| deadline.min(at.saturating_add(timeout)));
        let answered = at.saturating_add(reply.after);
        let ended = answered.min(patience);
        match reply.status {
            Some(200..=299) if answered <= patience => return Delivered { at: ended, succeeded: true, attempts },
            Some(status) if answered <= patience && !(500..=599).contains(&status) => {
                return Delivered { at: ended, succeeded: false, attempts };
            }
            _ => {}
        }
        // The pause runs from the attempt, not from its answer.
        at = ended.max(at.saturating_add(pause));
        if at >= deadline {
            return Delivered { at: deadline, succeeded: false, attempts };
        }
        pause = Span::from_nanos(pause.as_nanos() / 2 * 3).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as told until a second, and well from then on.
    fn until(second: f64, status: Option<u16>, after_ms: u64) -> impl Fn(Time) -> Reply {
        move |at| if at.as_seconds() < second { Reply { status, after: Span::from_millis(after_ms) } } else { Reply::OK }
    }

    #[track_caller]
    fn check(delivered: Delivered, seconds: f64, succeeded: bool, attempts: u32) {
        assert_eq!((delivered.at.as_seconds(), delivered.succeeded, delivered.attempts), (seconds, succeeded, attempts));
    }

    #[test]
    fn attempts_pause_for_longer_and_longer() {
        let minute = Span::from_minutes(1);
        check(deliver(Time::ZERO, minute, None, until(0.0, None, 0)), 0.0, true, 1);
        // Attempts at 0, 0.5, 1.25 and 2.375 s.
        check(deliver(Time::ZERO, minute, None, until(2.0, Some(500), 0)), 2.375, true, 4);
        check(deliver(Time::ZERO, minute, None, until(2.0, None, 0)), 2.375, true, 4);
    }

    #[test]
    fn what_the_receiver_refuses_is_not_tried_again() {
        check(deliver(Time::ZERO, Span::from_minutes(1), None, until(9.0, Some(404), 300)), 0.3, false, 1);
    }

    #[test]
    fn a_delivery_is_given_up_when_the_group_interval_is_over_but_not_within_ten_seconds() {
        let never = |_| Reply { status: Some(503), after: Span::ZERO };
        assert_eq!(deliver(Time::ZERO, Span::from_seconds(1), None, never).at, Time::from_seconds(10));
        assert_eq!(deliver(Time::ZERO, Span::from_seconds(60), None, never).at, Time::from_seconds(60));
    }

    #[test]
    fn an_attempt_that_takes_too_long_is_cut_off_and_tried_again() {
        let half = Some(Span::from_millis(500));
        // Cut off at 0.5 s and 1 s; the third pause ends at 1.25 s.
        check(deliver(Time::ZERO, Span::from_minutes(1), half, until(1.0, Some(200), 1000)), 1.25, true, 3);
        check(deliver(Time::ZERO, Span::from_minutes(1), None, until(1.0, Some(200), 1000)), 1.0, true, 1);
    }
}
