//! A circuit breaker, copied from resilience4j (`CircuitBreakerStateMachine.java`, `CircuitBreakerMetrics.java`, the sliding windows of `core/metrics`).

use std::collections::VecDeque;

use firedrill_core::time::{Span, Time};

use crate::spec::{BreakerSpec, Window};

/// Where a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// A few calls pass, to find out.
    HalfOpen,
}

impl BreakerState {
    /// The word for it in journals and metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The breaker of one caller.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    spec: BreakerSpec,
    state: BreakerState,
    /// When the present state began; what began before it cannot change it.
    since: Time,
    results: Results,
    /// Whether these are the results of its last time half open, which it keeps to look at while it is open again.
    of_half_open: bool,
    /// Calls that may still pass while it is half open.
    permits: u32,
    /// Calls that did not pass.
    refused: u64,
    /// Calls that passed and have ended, well or not, and how long they took together.
    ended: [(u64, Span); 2],
}

/// A result within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    failed: bool,
    slow: bool,
}

/// Counts of a window or of one of its seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    calls: u32,
    failed: u32,
    slow: u32,
}

/// The results that a breaker looks back on.
#[derive(Clone, Debug)]
enum Results {
    /// The last ones, in a ring once there are as many as are kept.
    Last { most: u32, kept: Vec<Outcome>, oldest: usize, counts: Counts },
    /// Those of the last seconds, the present one last.
    Seconds { window: u32, kept: VecDeque<(u64, Counts)> },
}

impl Results {
    const fn last(most: u32) -> Self {
        Self::Last { most, kept: Vec::new(), oldest: 0, counts: Counts { calls: 0, failed: 0, slow: 0 } }
    }

    const fn new(window: Window) -> Self {
        match window {
            Window::Count(most) => Self::last(most),
            Window::Seconds(window) => Self::Seconds { window, kept: VecDeque::new() },
        }
    }

    /// Enters a result; what the window holds with it.
    fn record(&mut self, now: Time, outcome: Outcome) -> Counts {
        match self {
            Self::Last { most, kept, oldest, counts } => {
                if (kept.len() as u32) < *most {
                    kept.push(outcome);
                    counts.add(outcome, 1);
                    return *counts;
                }
                // Mostly one that is well takes the place of another.
                let old = std::mem::replace(&mut kept[*oldest], outcome);
                *oldest = if *oldest + 1 == kept.len() { 0 } else { *oldest + 1 };
                if old != outcome {
                    counts.add(old, -1);
                    counts.add(outcome, 1);
                }
                *counts
            }
            Self::Seconds { window, kept } => {
                let second = now.as_nanos() / Span::from_seconds(1).as_nanos();
                while kept.front().is_some_and(|(old, _)| old + u64::from(*window) <= second) {
                    kept.pop_front();
                }
                if kept.back().is_none_or(|(last, _)| *last < second) {
                    kept.push_back((second, Counts::default()));
                }
                let (_, counts) = kept.back_mut().expect("the present second was just entered");
                counts.add(outcome, 1);
                self.counts()
            }
        }
    }

    /// What the window holds.
    fn counts(&self) -> Counts {
        match self {
            Self::Last { counts, .. } => *counts,
            Self::Seconds { kept, .. } => kept.iter().fold(Counts::default(), |sum, (_, counts)| Counts {
                calls: sum.calls + counts.calls,
                failed: sum.failed + counts.failed,
                slow: sum.slow + counts.slow,
            }),
        }
    }
}

impl Counts {
    fn add(&mut self, outcome: Outcome, by: i32) {
        self.calls = self.calls.saturating_add_signed(by);
        self.failed = self.failed.saturating_add_signed(if outcome.failed { by } else { 0 });
        self.slow = self.slow.saturating_add_signed(if outcome.slow { by } else { 0 });
    }

    fn percent(self, part: u32) -> f64 {
        f64::from(part) * 100.0 / f64::from(self.calls)
    }
}

/// A change of a breaker's state, with the figures that made it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Its new state.
    pub(crate) state: BreakerState,
    /// Why, for people.
    pub(crate) reason: String,
}

impl Breaker {
    pub(crate) const fn new(spec: &BreakerSpec) -> Self {
        Self {
            spec: *spec,
            state: BreakerState::Closed,
            since: Time::ZERO,
            results: Results::new(spec.window),
            of_half_open: false,
            permits: 0,
            refused: 0,
            ended: [(0, Span::ZERO); 2],
        }
    }

    pub(crate) const fn state(&self) -> BreakerState {
        self.state
    }

    /// Shares of failed and of slow calls that it looks back on, percent; -1 while there are too few to tell, as resilience4j says it.
    pub(crate) fn rates(&self) -> (f64, f64) {
        let counts = self.results.counts();
        if counts.calls == 0 || counts.calls < self.least_calls() {
            (-1.0, -1.0)
        } else {
            (counts.percent(counts.failed), counts.percent(counts.slow))
        }
    }

    /// How many calls it did not let pass.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// How many calls ended well, and how many failed, each with the time that they took together.
    pub(crate) const fn ended(&self) -> [(u64, Span); 2] {
        self.ended
    }

    /// Whether a call may pass now; an open breaker becomes half open with the first call after its time.
    #[inline]
    pub(crate) fn acquire(&mut self, now: Time) -> (bool, Option<Change>) {
        if self.state == BreakerState::Closed { (true, None) } else { self.acquire_unless_closed(now) }
    }

    #[cold]
    fn acquire_unless_closed(&mut self, now: Time) -> (bool, Option<Change>) {
        match self.state {
            BreakerState::Closed => (true, None),
            BreakerState::Open if now.since(self.since) > self.spec.open_for => {
                self.enter(now, BreakerState::HalfOpen);
                self.permits -= 1;
                let reason = format!("it was open for {}", self.spec.open_for);
                (true, Some(Change { state: BreakerState::HalfOpen, reason }))
            }
            BreakerState::Open => {
                self.refused += 1;
                (false, None)
            }
            BreakerState::HalfOpen => {
                let passes = self.permits > 0;
                self.permits = self.permits.saturating_sub(1);
                self.refused += u64::from(!passes);
                (passes, None)
            }
        }
    }

    /// A call that had passed is given up without a result.
    pub(crate) const fn release(&mut self) {
        if matches!(self.state, BreakerState::HalfOpen) && self.permits < self.spec.half_open_calls {
            self.permits += 1;
        }
    }

    /// A call that had passed has ended.
    pub(crate) fn record(&mut self, now: Time, failed: bool, took: Span) -> Option<Change> {
        let (count, all) = &mut self.ended[usize::from(failed)];
        *count += 1;
        *all = *all + took;
        let counts = self.results.record(now, Outcome { failed, slow: took > self.spec.slow_after });
        // Results of calls that began earlier change nothing while it is open.
        if self.state == BreakerState::Open || counts.calls < self.least_calls() {
            return None;
        }
        // None are zero percent, which need not be divided.
        let reaches = |part: u32, limit: f64| (part > 0 || limit <= 0.0) && counts.percent(part) >= limit;
        let exceeds = reaches(counts.failed, self.spec.failure_percent) || reaches(counts.slow, self.spec.slow_percent);
        let state = match (self.state, exceeds) {
            (_, true) => BreakerState::Open,
            (BreakerState::HalfOpen, false) => BreakerState::Closed,
            _ => return None,
        };
        self.enter(now, state);
        let reason = format!("{} of {} calls failed, {} were slow", counts.failed, counts.calls, counts.slow);
        Some(Change { state, reason })
    }

    fn least_calls(&self) -> u32 {
        match (self.of_half_open, self.spec.window) {
            (true, _) => self.spec.least_calls.min(self.spec.half_open_calls),
            (_, Window::Count(most)) => self.spec.least_calls.min(most),
            (_, Window::Seconds(_)) => self.spec.least_calls,
        }
    }

    fn enter(&mut self, now: Time, state: BreakerState) {
        self.since = now;
        self.state = state;
        match state {
            BreakerState::Closed => {
                self.results = Results::new(self.spec.window);
                self.of_half_open = false;
            }
            BreakerState::HalfOpen => {
                self.of_half_open = true;
                self.results = Results::last(self.spec.half_open_calls);
                self.permits = self.spec.half_open_calls;
            }
            BreakerState::Open => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Span = Span::from_millis(10);

    const fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    fn breaker(window: Window, least_calls: u32) -> Breaker {
        Breaker::new(&BreakerSpec {
            window,
            least_calls,
            failure_percent: 50.0,
            slow_percent: 100.0,
            slow_after: Span::from_seconds(60),
            open_for: Span::from_seconds(60),
            half_open_calls: 10,
        })
    }

    fn opened() -> Breaker {
        let mut breaker = breaker(Window::Count(100), 100);
        for _ in 0..99 {
            assert_eq!(breaker.record(at(0), true, FAST), None);
        }
        assert_eq!(breaker.record(at(0), true, FAST).map(|change| change.state), Some(BreakerState::Open));
        breaker
    }

    #[test]
    fn it_decides_nothing_below_the_least_number_of_calls() {
        opened();
    }

    #[test]
    fn it_is_half_open_with_the_first_call_strictly_later_than_its_time() {
        let mut breaker = opened();
        assert_eq!(breaker.acquire(at(60)), (false, None));
        let (passes, change) = breaker.acquire(Time::from_nanos(60_000_000_001));
        assert!(passes);
        assert_eq!(change.map(|change| change.state), Some(BreakerState::HalfOpen));
        let passed = (0..20).filter(|_| breaker.acquire(at(61)).0).count();
        assert_eq!(passed, 9, "ten calls pass in all");
    }

    #[test]
    fn half_of_ten_results_open_it_again_and_fewer_close_it() {
        for (failures, state) in [(5, BreakerState::Open), (4, BreakerState::Closed)] {
            let mut breaker = opened();
            assert!(breaker.acquire(at(61)).0);
            let changes: Vec<_> = (0..10).filter_map(|call| breaker.record(at(62), call < failures, FAST)).collect();
            assert_eq!(changes.iter().map(|change| change.state).collect::<Vec<_>>(), [state]);
        }
    }

    #[test]
    fn one_that_opens_again_still_tells_what_it_found_out() {
        let mut breaker = opened();
        assert_eq!(breaker.rates(), (100.0, 0.0));
        assert!(breaker.acquire(at(61)).0);
        assert_eq!(breaker.rates(), (-1.0, -1.0), "it is finding out");
        for call in 0..10 {
            breaker.record(at(62), call < 6, FAST);
        }
        assert_eq!((breaker.state(), breaker.rates()), (BreakerState::Open, (60.0, 0.0)));
    }

    #[test]
    fn a_call_that_is_given_up_gives_its_permit_back() {
        let mut breaker = opened();
        for _ in 0..10 {
            assert!(breaker.acquire(at(61)).0);
        }
        assert!(!breaker.acquire(at(61)).0);
        breaker.release();
        assert!(breaker.acquire(at(61)).0);
    }

    #[test]
    fn results_that_come_late_change_nothing_while_it_is_open() {
        let mut breaker = opened();
        assert_eq!(breaker.record(at(1), true, FAST), None);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_window_of_seconds_forgets_whole_seconds() {
        let mut breaker = breaker(Window::Seconds(10), 5);
        for _ in 0..4 {
            assert_eq!(breaker.record(at(0), true, FAST), None);
        }
        // Ten seconds later the first second is out of the window.
        assert_eq!(breaker.record(at(10), true, FAST), None);
        for _ in 0..3 {
            assert_eq!(breaker.record(at(19), true, FAST), None);
        }
        assert_eq!(breaker.record(at(19), true, FAST).map(|change| change.state), Some(BreakerState::Open));
    }

    #[test]
    fn slow_calls_open_it_too() {
        let mut breaker = breaker(Window::Count(4), 4);
        let changes: Vec<_> = (0..4).filter_map(|_| breaker.record(at(0), false, Span::from_seconds(61))).collect();
        assert_eq!(changes, [Change { state: BreakerState::Open, reason: "0 of 4 calls failed, 4 were slow".into() }]);
    }
}
