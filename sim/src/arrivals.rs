//! When requests arrive: a Poisson process whose rate changes in steps, made of everything that changes a client's rate; of a trace as many requests
//! as were counted, at moments of luck.

use firedrill_core::distribution::Distribution;
use firedrill_core::logarithm::exponentials;
use firedrill_core::random::{Block, Purpose, Seed, Sequence, Stream, mix64};
use firedrill_core::time::{Span, Time};

use crate::spec::{BurstsSpec, ClientSpec, DailySpec, FaultKind, SpikesSpec, WorldSpec};

/// A value that holds from an instant on; sorted by time, the first at zero.
type Steps = Vec<(Time, f64)>;

/// Poisson arrivals with a rate that changes in steps: arrival `i` is a function of the seed, the client and `i`, and of nothing that happens in the run.
///
/// Gaps at unit rate are exponential; the cumulative rate maps them to time (Çinlar 1975, "Introduction to stochastic processes", section 4.7).
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    /// The rate from each instant on, arrivals a second.
    steps: Steps,
    step: usize,
    /// Expected arrivals since the start of the current step.
    units: f64,
    /// What is still to come of the current step where requests were counted.
    counted: Option<Counted>,
    /// Gap `i` is word `i mod 8` of block `i div 8`.
    luck: Sequence,
    /// The block that `gaps` are of.
    block: u64,
    /// The gaps of a block at unit rate, all worked out together, as vectors.
    gaps: [f64; Block::WORDS],
}

impl Arrivals {
    pub(crate) fn new(spec: &ClientSpec, world: &WorldSpec, seed: Seed, key: u64) -> Self {
        let steps = rate_steps(spec, world, Stream::new(seed, Purpose::Session, key));
        let luck = Sequence::new(Stream::new(seed, Purpose::Arrival, key));
        let counted = spec.variation.counted.then(|| Counted::until(world.horizon));
        let mut arrivals = Self { steps, step: 0, units: 0.0, counted, luck, block: 0, gaps: [0.0; Block::WORDS] };
        arrivals.look_ahead(0);
        arrivals
    }

    fn look_ahead(&mut self, block: u64) {
        self.block = block;
        let luck = self.luck.block(block);
        self.gaps = exponentials(&std::array::from_fn(|word| luck.word64(word)));
    }

    /// When arrival `ordinal` comes; `None` if there are no more. Asked for in order.
    #[inline]
    pub(crate) fn next(&mut self, ordinal: u64) -> Option<Time> {
        let words = Block::WORDS as u64;
        if ordinal / words != self.block {
            self.look_ahead(ordinal / words);
        }
        let gap = self.gaps[(ordinal % words) as usize];
        if let Some(counted) = &mut self.counted {
            return counted.next(&self.steps, gap);
        }
        let mut units = self.units + gap;
        loop {
            let (start, rate) = self.steps[self.step];
            let after = Span::from_seconds_f64(units / rate);
            let Some((end, _)) = self.steps.get(self.step + 1) else {
                self.units = units;
                return (rate > 0.0).then(|| start + after);
            };
            let length = *end - start;
            let capacity = rate * length.as_seconds();
            if units < capacity && after < length {
                self.units = units;
                return Some(start + after);
            }
            units = (units - capacity).max(0.0);
            self.step += 1;
        }
    }
}

/// Requests as they were counted: in each step as many as its rate comes to, each at any of its moments alike. What is no whole number is carried on to
/// the steps after it.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// The step that comes next.
    step: usize,
    /// The last arrival, or the start of the step.
    at: Time,
    /// The end of the step.
    end: Time,
    /// Arrivals that its count still holds.
    left: f64,
    /// What all steps so far came to.
    expected: f64,
    /// No step is longer than the run.
    horizon: Time,
}

impl Counted {
    const fn until(horizon: Span) -> Self {
        Self { step: 0, at: Time::ZERO, end: Time::ZERO, left: 0.0, expected: 0.0, horizon: Time::from_nanos(horizon.as_nanos()) }
    }

    /// The next arrival, with the help of a gap at unit rate. The earliest of n moments, uniform over a time L, is at `L (1 - U^(1/n))`, and the
    /// gap is `-ln U` (Devroye 1986, "Non-uniform random variate generation", V.2).
    fn next(&mut self, steps: &Steps, gap: f64) -> Option<Time> {
        while self.left < 0.5 {
            let (start, rate) = *steps.get(self.step)?;
            self.step += 1;
            let end = steps.get(self.step).map_or(self.horizon, |(next, _)| *next).max(start);
            let before = libm::round(self.expected);
            self.expected += rate * end.since(start).as_seconds();
            (self.at, self.end, self.left) = (start, end, libm::round(self.expected) - before);
        }
        let share = -libm::expm1(-gap / self.left);
        self.at += Span::from_seconds_f64(self.end.since(self.at).as_seconds() * share);
        self.left -= 1.0;
        Some(self.at.min(self.end))
    }
}

/// How fine the course of a day is told.
const DAILY_STEP: Span = Span::from_minutes(1);

/// The bins in which dispersion is stated.
const DISPERSION_BIN: Span = Span::from_seconds(10);

/// Addresses within the stream of a client's sessions: the stretches of its bursts, and the bins of its dispersion.
const STRETCHES: u64 = 2;
const BINS: u64 = 3;

/// The client's rate over time, with every surge of the scenario and every variation multiplied in.
fn rate_steps(spec: &ClientSpec, world: &WorldSpec, luck: Stream) -> Steps {
    let rates = spec.rates.iter().map(|(at, rate)| (*at, rate.get())).collect();
    let mut all: Vec<Steps> = vec![rates];
    for fault in world.faults.iter().chain(&world.changes) {
        if let FaultKind::Surge { client, factor } = &fault.kind
            && *client == spec.name
        {
            let until = fault.lasting.map_or(Time::MAX, |lasting| fault.at + lasting);
            all.push(vec![(Time::ZERO, 1.0), (fault.at, factor.get()), (until, 1.0)]);
        }
    }
    let variation = &spec.variation;
    all.extend(variation.daily.map(|daily| daily_steps(daily, world)));
    all.extend(variation.spikes.map(|spikes| spike_steps(spikes, world)));
    all.extend(variation.bursts.as_ref().map(|bursts| burst_steps(bursts, world, &luck)));
    let steps = product(&all);
    match variation.dispersion {
        Some(index) if index > 1.0 => dispersed(&steps, index, world, &luck),
        _ => steps,
    }
}

/// The product of several step functions.
fn product(all: &[Steps]) -> Steps {
    let mut times: Vec<Time> = all.iter().flatten().map(|(at, _)| *at).filter(|at| *at < Time::MAX).collect();
    times.push(Time::ZERO);
    times.sort_unstable();
    times.dedup();
    let mut places = vec![0; all.len()];
    let mut value_at = |at: Time| {
        all.iter().zip(&mut places).fold(1.0, |product, (steps, place)| {
            while steps.get(*place + 1).is_some_and(|(next, _)| *next <= at) {
                *place += 1;
            }
            product * steps.get(*place).filter(|(from, _)| *from <= at).map_or(0.0, |(_, value)| *value)
        })
    };
    times.into_iter().map(|at| (at, value_at(at))).collect()
}

/// The course of the day, minute by minute.
fn daily_steps(daily: DailySpec, world: &WorldSpec) -> Steps {
    let begins = world.start.unix_millis().rem_euclid(86_400_000) as f64 / 1000.0;
    let count = world.horizon.as_nanos().div_ceil(DAILY_STEP.as_nanos());
    let step = |index: u64| {
        let at = Time::from_nanos(index * DAILY_STEP.as_nanos());
        (at, daily.at(begins + at.as_seconds() + DAILY_STEP.as_seconds() / 2.0))
    };
    (0..count).map(step).collect()
}

/// A peak at each multiple of the interval since the Unix epoch.
fn spike_steps(spikes: SpikesSpec, world: &WorldSpec) -> Steps {
    let every = spikes.every.as_nanos();
    let begun = (world.start.unix_millis() as u64).wrapping_mul(1_000_000) % every;
    let mut steps = vec![(Time::ZERO, if begun < spikes.lasting.as_nanos() { spikes.factor.get() } else { 1.0 })];
    if begun < spikes.lasting.as_nanos() {
        steps.push((Time::from_nanos(spikes.lasting.as_nanos() - begun), 1.0));
    }
    let mut at = every - begun;
    while at < world.horizon.as_nanos() {
        steps.push((Time::from_nanos(at), spikes.factor.get()));
        steps.push((Time::from_nanos(at + spikes.lasting.as_nanos()), 1.0));
        at += every;
    }
    steps
}

/// Quiet and busy stretches in turn, a quiet one first.
fn burst_steps(bursts: &BurstsSpec, world: &WorldSpec, luck: &Stream) -> Steps {
    let mut steps = Vec::new();
    let mut at = Time::ZERO;
    let mut stretch = 0;
    while at.since(Time::ZERO) < world.horizon {
        let busy = stretch % 2 == 1;
        let (length, factor) = if busy { (&bursts.lasting, bursts.factor.get()) } else { (&bursts.every, 1.0) };
        steps.push((at, factor));
        let seconds = length.sample(luck.block(mix64(STRETCHES, stretch)).draw(0));
        at = at.saturating_add(Span::from_seconds_f64(seconds).max(Span::from_millis(1)));
        stretch += 1;
    }
    steps
}

/// In every bin the rate is multiplied by a gamma variable with mean 1, whose variance makes that of the bin's arrivals `index` times their mean:
/// a mixed Poisson variable with mean `m` has the variance `m + m^2 v`.
fn dispersed(steps: &Steps, index: f64, world: &WorldSpec, luck: &Stream) -> Steps {
    let bins = world.horizon.as_nanos().div_ceil(DISPERSION_BIN.as_nanos());
    let mut at_step = 0;
    let bin = |bin: u64| {
        let at = Time::from_nanos(bin * DISPERSION_BIN.as_nanos());
        while steps.get(at_step + 1).is_some_and(|(next, _)| *next <= at) {
            at_step += 1;
        }
        let mean = steps[at_step].1 * DISPERSION_BIN.as_seconds();
        let cv = if mean > 0.0 { libm::sqrt((index - 1.0) / mean) } else { 0.0 };
        let gamma = if cv > 0.0 { Distribution::gamma(1.0, cv.min(1000.0)).ok() } else { None };
        (at, gamma.map_or(1.0, |gamma| gamma.sample(luck.block(mix64(BINS, bin)).draw(0))))
    };
    let factors: Steps = (0..bins).map(bin).collect();
    product(&[steps.clone(), factors])
}
