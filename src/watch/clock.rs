//! The time by which a watcher lives: the calendar at its start, and what has passed since by a clock that nobody can set.
//!
//! Where the calendar and that clock come apart by more than [`TOLERANCE`] somebody has set the calendar, or the machine slept. The watcher follows the
//! calendar then, because Prometheus and Alertmanager do, and says so; its timers keep what they have left.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firedrill_core::time::{Span, Start, Time};

/// How far calendar and stopwatch may come apart before the clock counts as set.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// A calendar and a stopwatch.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970, UTC, as the machine has it; may jump.
    fn calendar(&self) -> i64;
    /// What has passed since some instant; never less than before.
    fn stopwatch(&self) -> Duration;
}

/// Those of the machine.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn calendar(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn stopwatch(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The instant, counted from the start. It goes on from reading to reading, but where the clock was set.
    pub at: Time,
    /// If the clock was set since the last reading: the instant that it would have been.
    pub expected: Option<Time>,
}

/// Reads a clock as instants since a start.
pub struct Ticker {
    clock: Arc<dyn Clock>,
    start: Start,
    /// The instant at which the stopwatch showed `since`.
    base: Time,
    since: Duration,
    last: Time,
}

impl std::fmt::Debug for Ticker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticker").field("start", &self.start).field("last", &self.last).finish_non_exhaustive()
    }
}

impl Ticker {
    /// Instants count from `start`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, start: Start) -> Self {
        let base = calendar(&*clock, start);
        let since = clock.stopwatch();
        Self { clock, start, base, since, last: base }
    }

    /// Now.
    pub fn read(&mut self) -> Reading {
        let stopwatch = self.clock.stopwatch();
        let expected = self.base.saturating_add(span(stopwatch.saturating_sub(self.since))).max(self.last);
        let calendar = calendar(&*self.clock, self.start);
        let apart = Span::from_nanos(calendar.as_nanos().abs_diff(expected.as_nanos()));
        if apart <= span(TOLERANCE) {
            self.last = expected;
            return Reading { at: expected, expected: None };
        }
        (self.base, self.since, self.last) = (calendar, stopwatch, calendar);
        Reading { at: calendar, expected: Some(expected) }
    }

    /// How long it is until an instant, none if it is over.
    #[must_use]
    pub fn until(&self, at: Time) -> Duration {
        let now = self.base.saturating_add(span(self.clock.stopwatch().saturating_sub(self.since)));
        Duration::from_nanos(at.since(now).as_nanos())
    }
}

fn span(duration: Duration) -> Span {
    Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// To the microsecond, as finely as it is worth writing down.
fn calendar(clock: &dyn Clock, start: Start) -> Time {
    let since_start = clock.calendar().saturating_sub(start.unix_millis().saturating_mul(1_000_000));
    Time::from_nanos(u64::try_from(since_start).unwrap_or(0) / 1_000 * 1_000)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A calendar in seconds after the default start, and a stopwatch in seconds.
    struct Hands(Mutex<(i64, u64)>);

    impl Clock for Hands {
        fn calendar(&self) -> i64 {
            Start::default().unix_millis() * 1_000_000 + self.0.lock().unwrap().0 * 1_000_000_000
        }
        fn stopwatch(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    /// Readings at these hands: the second, and what was expected if the clock was set.
    #[track_caller]
    fn check(hands: &[(i64, u64)], expected: &[(u64, Option<u64>)]) {
        let clock = Arc::new(Hands(Mutex::new(hands[0])));
        let mut ticker = Ticker::new(Arc::clone(&clock) as _, Start::default());
        let read = hands.iter().map(|hands| {
            *clock.0.lock().unwrap() = *hands;
            let Reading { at, expected } = ticker.read();
            (at.as_seconds() as u64, expected.map(|expected| expected.as_seconds() as u64))
        });
        assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_calendar_that_is_a_little_off_changes_nothing() {
        check(&[(100, 5), (110, 15), (122, 25), (129, 35)], &[(100, None), (110, None), (120, None), (130, None)]);
    }

    #[test]
    fn a_calendar_that_is_set_is_followed_once_and_said() {
        check(&[(100, 5), (50, 15), (60, 25)], &[(100, None), (50, Some(110)), (60, None)]);
        check(&[(100, 5), (4000, 15), (4010, 25)], &[(100, None), (4000, Some(110)), (4010, None)]);
    }
}
