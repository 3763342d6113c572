//! Who asks, with every default filled in.

use firedrill_core::quantity::Rate;
use firedrill_core::time::Time;
use firedrill_sim::spec::{AgainSpec, BurstsSpec, DailySpec, Population, SpikesSpec, Variation};

use crate::defaults;
use crate::document::load::{LoadDocument, TraceDocument};
use crate::lower::or;

/// Who stands behind the requests.
pub fn population(load: &LoadDocument) -> Population {
    if let Some(closed) = &load.closed {
        return Population::Closed { users: closed.value.users, think: closed.value.think.clone() };
    }
    match &load.sessions {
        Some(sessions) => Population::Sessions { requests: sessions.value.requests, think: sessions.value.think.clone() },
        None => Population::Open,
    }
}

/// How the rate varies beside its steps.
pub fn variation(load: &LoadDocument) -> Variation {
    Variation {
        daily: load.daily.as_ref().map(|(peak, ratio)| DailySpec { peak: peak.value, ratio: ratio.value }),
        spikes: load.spikes.as_ref().map(|(every, lasting, factor)| SpikesSpec {
            every: every.value,
            lasting: lasting.value,
            factor: factor.value,
        }),
        bursts: load.bursts.as_ref().map(|(every, lasting, factor)| BurstsSpec {
            every: every.clone(),
            lasting: lasting.clone(),
            factor: *factor,
        }),
        dispersion: load.dispersion.as_ref().map(|index| index.value),
        counted: load.trace.is_some(),
    }
}

/// Who tries again by hand.
pub fn again(load: &LoadDocument) -> Option<AgainSpec> {
    load.asks_again.as_ref().map(|again| AgainSpec {
        probability: or(again.probability.as_ref(), || defaults::ratio("asks_again.probability")),
        after: or(again.after.as_ref(), || defaults::distribution("asks_again.after")),
    })
}

/// The rates that a trace stands for, and none after its end. Those after the horizon stay: whoever is still at work then is waited for, and users ask on.
pub fn trace_rates(trace: &TraceDocument) -> Vec<(Time, Rate)> {
    let every = trace.every.as_nanos();
    let at = |index: usize| Time::from_nanos(every.saturating_mul(index as u64));
    let counts = trace.requests.iter().copied().chain(std::iter::once(0.0)).enumerate();
    counts.map(|(index, count)| (at(index), Rate::per_second(count / trace.every.as_seconds()).unwrap_or_default())).collect()
}
