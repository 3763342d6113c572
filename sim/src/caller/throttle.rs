//! Client-side throttling: a caller refuses its own attempts once the service accepts few of them (SRE book, "Handling Overload").

use firedrill_core::time::Time;

use crate::caller::window::Windowed;
use crate::spec::ThrottleSpec;

/// Slices of the window; our choice.
const SLICES: usize = 12;

/// The throttle of one caller.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    k: f64,
    requests: Windowed,
    accepts: Windowed,
}

impl Throttle {
    pub(crate) fn new(spec: &ThrottleSpec) -> Self {
        Self { k: spec.k.get(), requests: Windowed::new(spec.window, SLICES), accepts: Windowed::new(spec.window, SLICES) }
    }

    /// The probability with which the next attempt is refused; the attempt counts as a request, refused or not.
    pub(crate) fn refusal(&mut self, now: Time) -> f64 {
        let (requests, accepts) = (self.requests.sum(now) as f64, self.accepts.sum(now) as f64);
        self.requests.add(now, 1);
        ((requests - self.k * accepts) / (requests + 1.0)).max(0.0)
    }

    /// The service has accepted an attempt.
    pub(crate) fn accepted(&mut self, now: Time) {
        self.accepts.add(now, 1);
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::quantity::Factor;
    use firedrill_core::time::Span;

    use super::*;

    #[test]
    fn nothing_is_refused_until_half_fails_and_nearly_all_when_all_does() {
        let mut throttle = Throttle::new(&ThrottleSpec { k: Factor::new(2.0).unwrap(), window: Span::from_minutes(2) });
        for _ in 0..100 {
            assert!(throttle.refusal(Time::ZERO) == 0.0);
            throttle.accepted(Time::ZERO);
        }
        for _ in 0..101 {
            assert!(throttle.refusal(Time::ZERO) == 0.0, "up to twice of what was accepted may be asked");
        }
        assert!((throttle.refusal(Time::ZERO) - 1.0 / 202.0).abs() < 1e-12);
        for _ in 0..10_000 {
            throttle.refusal(Time::ZERO);
        }
        assert!(throttle.refusal(Time::ZERO) > 0.97);
    }
}
