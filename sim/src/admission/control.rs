//! Turning requests away at random while too few of them succeed, as Envoy's filter `admission_control` does.

use std::collections::VecDeque;

use firedrill_core::time::{Span, Time};

use crate::spec::ControlSpec;

/// Requests are counted in pieces of this length.
const GRAIN: Span = Span::from_seconds(1);

/// Requests and successes of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    requests: u64,
    successes: u64,
}

/// What one replica has answered within the window.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    spec: ControlSpec,
    /// The pieces of the window, with their beginnings, oldest first.
    pieces: VecDeque<(Time, Count)>,
    sum: Count,
}

impl Control {
    pub(crate) const fn new(spec: ControlSpec) -> Self {
        Self { spec, pieces: VecDeque::new(), sum: Count { requests: 0, successes: 0 } }
    }

    /// A request that was let in has ended.
    pub(crate) fn record(&mut self, now: Time, success: bool) {
        self.advance(now);
        if self.pieces.back().is_none_or(|(begun, _)| now.since(*begun) >= GRAIN) {
            self.pieces.push_back((now, Count::default()));
        }
        let piece = &mut self.pieces.back_mut().expect("one was put there").1;
        for count in [piece, &mut self.sum] {
            count.requests += 1;
            count.successes += u64::from(success);
        }
    }

    /// The share of requests that are to be turned away now.
    pub(crate) fn refused(&mut self, now: Time) -> f64 {
        self.advance(now);
        let Some((oldest, _)) = self.pieces.front() else { return 0.0 };
        let seconds = (now.since(*oldest).as_nanos() / 1_000_000_000).max(1);
        if self.sum.requests as f64 / (seconds as f64) < self.spec.from.get() {
            return 0.0;
        }
        let (requests, successes) = (self.sum.requests as f64, self.sum.successes as f64);
        let excess = ((requests - successes / self.spec.success.get()) / (requests + 1.0)).max(0.0);
        libm::pow(excess, 1.0 / self.spec.aggression).min(self.spec.most.get())
    }

    /// What it compares, for people.
    pub(crate) fn figures(&self) -> String {
        format!("{} of {} requests succeeded in {}", self.sum.successes, self.sum.requests, self.spec.window)
    }

    /// Forgets what is older than the window.
    fn advance(&mut self, now: Time) {
        while let Some((_, count)) = self.pieces.front().copied().filter(|(begun, _)| now.since(*begun) >= self.spec.window) {
            self.sum.requests -= count.requests;
            self.sum.successes -= count.successes;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::quantity::{Rate, Ratio};

    use super::*;

    fn spec() -> ControlSpec {
        ControlSpec {
            window: Span::from_seconds(30),
            success: Ratio::new(0.95).unwrap(),
            aggression: 1.0,
            most: Ratio::new(0.8).unwrap(),
            from: Rate::per_second(0.0).unwrap(),
        }
    }

    fn after(spec: ControlSpec, successes: u64, failures: u64) -> Control {
        let mut control = Control::new(spec);
        (0..successes).for_each(|_| control.record(Time::from_seconds(1), true));
        (0..failures).for_each(|_| control.record(Time::from_seconds(1), false));
        control
    }

    #[track_caller]
    fn check(spec: ControlSpec, (successes, failures): (u64, u64), refused: f64) {
        let got = after(spec, successes, failures).refused(Time::from_seconds(2));
        assert!((got - refused).abs() < 1e-12, "{got} is not {refused}");
    }

    #[test]
    fn the_share_follows_the_formula_and_its_bounds() {
        check(spec(), (0, 0), 0.0);
        check(spec(), (95, 5), 0.0);
        check(spec(), (94, 6), (100.0 - 94.0 / 0.95) / 101.0);
        check(spec(), (50, 50), (100.0 - 50.0 / 0.95) / 101.0);
        check(spec(), (0, 1000), 0.8);
        let gentle = ControlSpec { aggression: 2.0, ..spec() };
        check(gentle, (50, 50), f64::sqrt((100.0 - 50.0 / 0.95) / 101.0));
    }

    #[test]
    fn nothing_is_refused_below_the_stated_rate() {
        let from = ControlSpec { from: Rate::per_second(101.0).unwrap(), ..spec() };
        check(from, (0, 100), 0.0);
        check(from, (0, 101), 0.8);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_piece_by_piece() {
        let mut control = after(spec(), 0, 100);
        control.record(Time::from_seconds(10), true);
        assert!(control.refused(Time::from_nanos(30_999_999_999)) > 0.7);
        assert_eq!(control.refused(Time::from_seconds(31)), 0.0);
        assert_eq!(control.figures(), "1 of 1 requests succeeded in 30s");
        assert_eq!((control.refused(Time::from_seconds(40)), control.pieces.len()), (0.0, 0));
    }
}
