//! Who asks, and how often: open, closed and partly open clients, and how their rate varies (docs/MODEL.md 1.8).

use firedrill_core::distribution::Distribution;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;

/// Who stands behind a client's requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Population {
    /// Many independent people: requests come at the client's rate, whatever becomes of them (an open system).
    Open,
    /// So many users, each of whom thinks for a while after an answer and asks again (a closed system). The client's rate is not used.
    Closed {
        /// How many, at least 1.
        users: u32,
        /// How long one thinks, seconds; the first time before the first request.
        think: Distribution,
    },
    /// People who come at the client's rate and make several requests each, thinking in between (partly open).
    Sessions {
        /// The mean number of requests of one, at least 1; geometric.
        requests: f64,
        /// How long one thinks between an answer and the next request, seconds.
        think: Distribution,
    },
}

/// People who did not get what they wanted and try once more by hand: a new request, not a retry.
#[derive(Clone, Debug, PartialEq)]
pub struct AgainSpec {
    /// The share of failed or refused requests that are made again.
    pub probability: Ratio,
    /// How long after, seconds.
    pub after: Distribution,
}

/// How a client's rate varies beside its steps. Everything multiplies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variation {
    /// The course of the day.
    pub daily: Option<DailySpec>,
    /// Peaks by the clock.
    pub spikes: Option<SpikesSpec>,
    /// Peaks at random.
    pub bursts: Option<BurstsSpec>,
    /// Variance over mean of the number of arrivals in ten seconds; 1 is Poisson.
    pub dispersion: Option<f64>,
    /// Whether the rates are counts that were taken: as many requests come in each step as its rate says, at moments of luck, and not as many on average.
    pub counted: bool,
}

/// A harmonic of 24 hours around the client's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DailySpec {
    /// The busiest moment of the day, UTC.
    pub peak: Span,
    /// The rate at the busiest moment over that at the quietest, at least 1.
    pub ratio: Factor,
}

impl DailySpec {
    /// What the rate is multiplied by so many seconds after midnight, UTC: `1 + a cos`, whose greatest value over its least is the ratio.
    #[must_use]
    pub fn at(&self, seconds: f64) -> f64 {
        const DAY: f64 = 86_400.0;
        let ratio = self.ratio.get();
        let amplitude = (ratio - 1.0) / (ratio + 1.0);
        let angle = (seconds - self.peak.as_seconds()) / DAY * std::f64::consts::TAU;
        1.0 + amplitude * libm::cos(angle)
    }
}

/// A peak at each multiple of an interval, as clocks show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikesSpec {
    /// The interval.
    pub every: Span,
    /// How long each lasts, less than the interval.
    pub lasting: Span,
    /// What the rate is multiplied by meanwhile.
    pub factor: Factor,
}

/// Quiet and busy stretches in turn, each of random length: a Markov-modulated Poisson process of two states if both are exponential.
#[derive(Clone, Debug, PartialEq)]
pub struct BurstsSpec {
    /// How long a quiet stretch lasts, seconds.
    pub every: Distribution,
    /// How long a busy stretch lasts, seconds.
    pub lasting: Distribution,
    /// What the rate is multiplied by in a busy stretch.
    pub factor: Factor,
}
