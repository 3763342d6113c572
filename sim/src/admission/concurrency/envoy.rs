//! The gradient controller of Envoy's filter `adaptive_concurrency`: the least response time, measured now and then at a low limit, against that of now.

use firedrill_core::random::Stream;
use firedrill_core::time::{Span, Time};

use crate::spec::LimitRange;

/// Answers of which the least response time is made.
const MEASURED: usize = 50;
/// How much slower than the least counts as not slower.
const BUFFER: f64 = 0.25;
/// How much later than stated a measurement may begin, as a share.
const JITTER: f64 = 0.15;
/// After so many windows at the least limit the measurement is held to be wrong.
const AT_LEAST: u32 = 5;
/// The word of a block that says when the next measurement is due.
const JITTER_WORD: usize = 0;

/// How often it acts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From one change of the limit to the next.
    pub(super) update: Span,
    /// From the end of one measurement to the beginning of the next, before jitter.
    pub(super) measure_every: Span,
}

/// The controller of one replica.
#[derive(Clone, Debug)]
pub(super) struct Envoy {
    range: LimitRange,
    pace: Pace,
    luck: Stream,
    measurements: u64,
    limit: u32,
    /// The limit to go back to after the measurement under way; `None`: none is under way.
    deferred: Option<u32>,
    /// When the last measurement began: older requests are not counted.
    epoch: Time,
    /// The least response time, microseconds.
    least: u64,
    /// Response times since the last look, microseconds.
    samples: Vec<u64>,
    /// Windows in a row at the least limit.
    at_least: u32,
    /// When it looks next.
    next_look: Time,
    /// When it measures next; it is not asked while a measurement is under way.
    next_measurement: Time,
}

impl Envoy {
    pub(super) fn new(now: Time, range: LimitRange, pace: Pace, luck: Stream) -> Self {
        Self {
            range,
            pace,
            luck,
            measurements: 0,
            limit: range.least,
            deferred: Some(range.least),
            epoch: now,
            least: 0,
            samples: Vec::new(),
            at_least: 0,
            next_look: now + pace.update,
            next_measurement: Time::MAX,
        }
    }

    pub(super) fn limit(&mut self, now: Time) -> u32 {
        self.advance(now);
        self.limit
    }

    /// A request that began at `begun` has been answered.
    pub(super) fn record(&mut self, now: Time, begun: Time) {
        self.advance(now);
        if begun < self.epoch {
            return;
        }
        self.samples.push(now.since(begun).as_nanos() / 1000);
        if let Some(deferred) = self.deferred
            && self.samples.len() >= MEASURED
        {
            self.least = self.take_median();
            self.set_limit(deferred);
            self.deferred = None;
            self.next_measurement = now + self.until_measurement();
            self.next_look = now + self.pace.update;
        }
    }

    /// Does what was due until now.
    fn advance(&mut self, now: Time) {
        while self.deferred.is_none() {
            if self.next_measurement <= now && self.next_measurement <= self.next_look {
                self.measure(self.next_measurement);
            } else if self.next_look <= now {
                self.look(now);
            } else {
                return;
            }
        }
    }

    fn look(&mut self, now: Time) {
        let (at, update) = (self.next_look, self.pace.update);
        self.next_look = at + update;
        if self.samples.is_empty() {
            // Nor does any other look until now find anything.
            let passed = now.min(self.next_measurement).since(self.next_look).as_nanos() / update.as_nanos();
            self.next_look += Span::from_nanos(passed * update.as_nanos());
            return;
        }
        let sample = self.take_median();
        self.set_limit(self.next_limit(sample));
        if self.at_least >= AT_LEAST {
            self.next_measurement = at;
        }
    }

    fn next_limit(&self, sample: u64) -> u32 {
        let least = self.least as f64;
        let gradient = ((least + least * BUFFER) / sample.max(1) as f64).clamp(0.5, 2.0);
        let limit = f64::from(self.limit) * gradient;
        ((limit + libm::sqrt(limit)) as u32).min(self.range.most).max(self.range.least)
    }

    fn measure(&mut self, at: Time) {
        self.deferred = Some(self.limit);
        self.set_limit(self.range.least);
        self.samples.clear();
        self.epoch = at;
        self.next_measurement = Time::MAX;
    }

    fn set_limit(&mut self, limit: u32) {
        let stays = self.deferred.is_none() && self.limit == self.range.least && limit == self.range.least;
        self.at_least = if stays { self.at_least + 1 } else { 0 };
        self.limit = limit;
    }

    fn until_measurement(&mut self) -> Span {
        let unit = self.luck.block(self.measurements).unit(JITTER_WORD);
        self.measurements += 1;
        self.pace.measure_every + Span::from_seconds_f64(self.pace.measure_every.as_seconds() * JITTER * unit)
    }

    /// The median of the samples, which are forgotten.
    fn take_median(&mut self) -> u64 {
        let middle = (self.samples.len() - 1) / 2;
        let median = *self.samples.select_nth_unstable(middle).1;
        self.samples.clear();
        median
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::random::{Purpose, Seed};

    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// A controller that has measured 10 ms, at 100 ms, and looks every 100 ms.
    fn measured(measure_every: u64) -> Envoy {
        let pace = Pace { update: Span::from_millis(100), measure_every: Span::from_seconds(measure_every) };
        let range = LimitRange { initial: 3, least: 3, most: 1000 };
        let mut envoy = Envoy::new(Time::ZERO, range, pace, Stream::new(Seed(1), Purpose::Phase, 1));
        (0..49).for_each(|_| envoy.record(at(100), at(90)));
        assert!(envoy.deferred.is_some());
        envoy.record(at(100), at(90));
        assert!(envoy.deferred.is_none());
        envoy
    }

    #[track_caller]
    fn check(envoy: &mut Envoy, answered: u64, millis: u64, limit: u32) {
        envoy.record(at(answered), at(answered - millis));
        assert_eq!(envoy.limit(at(answered.next_multiple_of(100))), limit);
    }

    #[test]
    fn the_limit_is_multiplied_by_the_gradient_and_gets_the_root_of_it_on_top() {
        let mut envoy = measured(60);
        assert_eq!((envoy.limit(at(199)), envoy.least), (3, 10_000));
        // 12.5 ms against 10 ms: 3 * 1.25 = 3.75, and its root 1.94.
        check(&mut envoy, 150, 10, 5);
        check(&mut envoy, 250, 10, 8);
        // 12.5 ms are as fast as the least with its buffer: the root is all that is added.
        envoy.limit = 100;
        check(&mut envoy, 350, 5, 214);
        envoy.limit = 100;
        envoy.record(at(450), Time::from_nanos(437_500_000));
        assert_eq!(envoy.limit(at(500)), 110);
        // Never less than half, and then the root of that.
        check(&mut envoy, 550, 500, 62);
        envoy.limit = 1000;
        check(&mut envoy, 650, 5, 1000);
        assert_eq!(envoy.limit(at(5000)), 1000, "without an answer the limit stays");
        assert_eq!(envoy.next_look, at(5100));
    }

    #[test]
    fn a_measurement_lowers_the_limit_leaves_out_older_requests_and_gives_the_limit_back() {
        let mut envoy = measured(60);
        envoy.limit = 100;
        let due = envoy.next_measurement;
        assert!(due >= at(60_100) && due <= at(69_100));
        assert_eq!(envoy.limit(due), 3);
        (0..60).for_each(|_| envoy.record(due + Span::from_millis(5), at(60_000)));
        assert_eq!((envoy.limit, envoy.samples.len()), (3, 0));
        (0..50).for_each(|_| envoy.record(due + Span::from_millis(20), due));
        assert_eq!((envoy.limit, envoy.least), (100, 20_000));
    }

    #[test]
    fn five_windows_at_the_least_limit_bring_a_new_measurement() {
        let mut envoy = measured(6000);
        for window in 1..=5 {
            assert!(envoy.deferred.is_none());
            check(&mut envoy, 100 + window * 100 - 50, 90, 3);
        }
        assert!(envoy.deferred.is_some());
    }
}
