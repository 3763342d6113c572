//! Limits of requests in flight at one replica: stated, or found by one of the published algorithms.

mod window;
mod gradient2;
mod vegas;
mod aimd;
mod envoy;

use firedrill_core::random::Stream;
use firedrill_core::time::{Span, Time};

use crate::spec::{ConcurrencySpec, LimitSpec, Priority};
use aimd::Aimd;
use envoy::Envoy;
use gradient2::Gradient2;
use vegas::Vegas;
use window::Window;

/// How one request that was let in has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it was let in.
    pub(crate) begun: Time,
    /// How many were in flight then, itself included.
    pub(crate) in_flight: u32,
    /// Whether it was given up instead of answered.
    pub(crate) dropped: bool,
}

/// The limit of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    shares: [f64; Priority::COUNT],
    algorithm: Algorithm,
}

#[derive(Clone, Debug)]
enum Algorithm {
    Fixed(u32),
    Gradient2(Window, Gradient2),
    Vegas(Window, Vegas),
    Aimd(Window, Aimd),
    Envoy(Box<Envoy>),
}

impl Limiter {
    /// The limit of a process that starts now. `luck` is its replica's own; what has been drawn of it before does not matter.
    pub(crate) fn new(spec: &ConcurrencySpec, now: Time, luck: Stream) -> Self {
        let algorithm = match spec.limit {
            LimitSpec::Fixed { limit, .. } => Algorithm::Fixed(limit),
            LimitSpec::Gradient2(range) => Algorithm::Gradient2(Window::default(), Gradient2::new(range)),
            LimitSpec::Vegas(range) => Algorithm::Vegas(Window::default(), Vegas::new(range, luck)),
            LimitSpec::Aimd { range, timeout } => Algorithm::Aimd(Window::default(), Aimd::new(range, timeout)),
            LimitSpec::Envoy { range, update, measure_every } => {
                Algorithm::Envoy(Box::new(Envoy::new(now, range, envoy::Pace { update, measure_every }, luck)))
            }
        };
        Self { shares: spec.shares.map(firedrill_core::quantity::Ratio::get), algorithm }
    }

    /// Whether one more is let in while so many are in flight.
    pub(crate) fn admits(&mut self, now: Time, in_flight: u32, priority: Priority) -> bool {
        f64::from(in_flight) < f64::from(self.limit(now)) * self.shares[priority as usize]
    }

    /// The limit of the moment.
    pub(crate) fn limit(&mut self, now: Time) -> u32 {
        match &mut self.algorithm {
            Algorithm::Fixed(limit) => *limit,
            Algorithm::Gradient2(_, gradient) => gradient.limit(),
            Algorithm::Vegas(_, vegas) => vegas.limit(),
            Algorithm::Aimd(_, aimd) => aimd.limit(),
            Algorithm::Envoy(envoy) => envoy.limit(now),
        }
    }

    /// A request that was let in has ended.
    pub(crate) fn record(&mut self, now: Time, sample: Sample) {
        match &mut self.algorithm {
            Algorithm::Fixed(_) => {}
            Algorithm::Gradient2(window, gradient) => {
                if let Some(whole) = window.add(now, sample) {
                    gradient.update(whole);
                }
            }
            Algorithm::Vegas(window, vegas) => {
                if let Some(whole) = window.add(now, sample) {
                    vegas.update(whole);
                }
            }
            Algorithm::Aimd(window, aimd) => {
                if let Some(whole) = window.add(now, sample) {
                    aimd.update(whole);
                }
            }
            // What was dropped says nothing of the time that an answer takes.
            Algorithm::Envoy(envoy) if !sample.dropped => envoy.record(now, sample.begun),
            Algorithm::Envoy(_) => {}
        }
    }
}

/// What a window of samples comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole {
    /// The mean response time.
    response: Span,
    /// The most in flight.
    in_flight: u32,
    /// Whether any was dropped.
    dropped: bool,
}

#[cfg(test)]
mod tests {
    use firedrill_core::quantity::Ratio;
    use firedrill_core::random::{Purpose, Seed};

    use super::*;

    #[test]
    fn each_class_is_let_in_up_to_its_share_of_the_limit() {
        let share = |share: f64| Ratio::new(share).unwrap();
        let spec =
            ConcurrencySpec { limit: LimitSpec::Fixed { limit: 10, wait: Span::ZERO }, shares: [share(1.0), share(0.75), share(0.5)] };
        let mut limiter = Limiter::new(&spec, Time::ZERO, Stream::new(Seed(1), Purpose::Phase, 1));
        let most = |limiter: &mut Limiter, priority| (0..20).find(|in_flight| !limiter.admits(Time::ZERO, *in_flight, priority)).unwrap();
        assert_eq!(Priority::ALL.map(|priority| most(&mut limiter, priority)), [10, 8, 5]);
    }
}
