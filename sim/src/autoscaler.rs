//! How many replicas a Kubernetes horizontal pod autoscaler wants (`pkg/controller/podautoscaler`: `replica_calculator.go`, `horizontal.go`;
//! docs/MODEL.md 1.4).
//!
//! Counts of CPU and memory are whole numbers and their share of what was asked for is cut to a whole percent before anything is compared, as in
//! the source: 66.9 % is 66 %.

use firedrill_core::time::{Span, Time};
use firedrill_core::words::counted;

use crate::spec::{AutoscalerSpec, MetricTarget, PolicySelect, ScalingPolicy, ScalingRules, ScalingStep, Tolerance};

/// What the autoscaler can see of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It is on its way out.
    pub(crate) leaving: bool,
    /// It has no node yet, or no image.
    pub(crate) pending: bool,
    pub(crate) ready: bool,
    /// When it last became ready or stopped being it; `None`: before the run.
    pub(crate) ready_changed: Option<Time>,
    /// When it came to its node; `None`: before the run.
    pub(crate) born: Option<Time>,
    /// One for each metric, if there is one.
    pub(crate) samples: Vec<Option<Sample>>,
}

/// One reading of one metric of one replica, over the window that ends at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Time,
    pub(crate) window: Span,
    /// In thousandths of a core, in bytes, or in thousandths of a request a second.
    pub(crate) value: u64,
}

/// What was decided at one synchronisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) wanted: u32,
    /// What was compared, for people.
    pub(crate) figures: String,
}

/// The memory of one autoscaler: what it recommended, and what it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Autoscaler {
    recommendations: Vec<(Time, u32)>,
    ups: Vec<(Time, u32)>,
    downs: Vec<(Time, u32)>,
}

impl Autoscaler {
    /// What is wanted now, where `current` are wanted so far.
    pub(crate) fn decide(&mut self, now: Time, spec: &AutoscalerSpec, current: u32, replicas: &[Seen]) -> Decision {
        // What there is when it first looks at all counts as recommended (`recordInitialRecommendation`), whatever it can tell then.
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
        let decision = if current == 0 {
            Decision { wanted: 0, figures: "it rests while no replica is wanted".to_owned() }
        } else if current > spec.max {
            Decision { wanted: spec.max, figures: format!("at most {}", spec.max) }
        } else if current < spec.min {
            Decision { wanted: spec.min, figures: format!("at least {}", spec.min) }
        } else {
            match by_metrics(now, spec, current, replicas) {
                None => Decision { wanted: current, figures: "there are no metrics to tell by".to_owned() },
                Some((proposed, figures)) => self.normalised(now, spec, current, Decision { wanted: proposed, figures }),
            }
        };
        self.remember_change(now, spec, current, decision.wanted);
        decision
    }

    /// Applies windows, rates and bounds to what the metrics ask for.
    fn normalised(&mut self, now: Time, spec: &AutoscalerSpec, current: u32, asked: Decision) -> Decision {
        let stable = match &spec.behaviour {
            None => self.highest_recent(now, asked.wanted),
            Some(rules) => self.between_recent(now, (&rules.up, &rules.down), current, asked.wanted),
        };
        self.recommendations.push((now, asked.wanted));
        let (wanted, why) = match &spec.behaviour {
            None => without_rules(spec, current, stable),
            Some(rules) if stable > current => {
                let limit = self.most(now, &rules.up, current).max(current);
                if stable > limit.min(spec.max) { (limit.min(spec.max), limiter(limit < spec.max)) } else { (stable, None) }
            }
            Some(rules) if stable < current => {
                let limit = self.fewest(now, &rules.down, current).min(current);
                if stable < limit.max(spec.min) { (limit.max(spec.min), limiter(limit > spec.min)) } else { (stable, None) }
            }
            Some(_) => (stable, None),
        };
        let mut figures = format!("{}, so {}", asked.figures, asked.wanted);
        if stable != asked.wanted {
            figures.push_str(&format!("; {stable} was recommended not long ago"));
        }
        if let Some(why) = why {
            figures.push_str(&format!("; {wanted} by {why}"));
        }
        Decision { wanted, figures }
    }

    /// Without rules of its own: the highest recommendation of the window for scaling down, both ends of it included.
    fn highest_recent(&mut self, now: Time, asked: u32) -> u32 {
        self.recommendations.retain(|(at, _)| now.since(*at) <= DOWN_WINDOW);
        self.recommendations.iter().map(|(_, recommended)| *recommended).fold(asked, u32::max)
    }

    /// With rules: no lower than the lowest recommendation of the one window, no higher than the highest of the other.
    fn between_recent(&mut self, now: Time, (up, down): (&ScalingRules, &ScalingRules), current: u32, asked: u32) -> u32 {
        let longest = up.window.max(down.window);
        self.recommendations.retain(|(at, _)| now.since(*at) < longest);
        let recent = |window: Span| self.recommendations.iter().filter(move |(at, _)| now.since(*at) < window).map(|(_, count)| *count);
        let lowest = recent(up.window).fold(asked, u32::min);
        let highest = recent(down.window).fold(asked, u32::max);
        current.max(lowest).min(highest)
    }

    /// How many there were at the beginning of a policy's period.
    fn at_the_beginning(&self, now: Time, policy: &ScalingPolicy, current: u32) -> u32 {
        let within =
            |changes: &[(Time, u32)]| changes.iter().filter(|(at, _)| now.since(*at) < policy.period).map(|(_, by)| *by).sum::<u32>();
        (current + within(&self.downs)).saturating_sub(within(&self.ups))
    }

    /// The most that scaling up may lead to now.
    fn most(&self, now: Time, rules: &ScalingRules, current: u32) -> u32 {
        let limits = rules.policies.iter().map(|policy| {
            let begun = self.at_the_beginning(now, policy, current);
            match policy.step {
                ScalingStep::Replicas(count) => begun.saturating_add(count),
                ScalingStep::Percent(percent) => libm::ceil(f64::from(begun) * (1.0 + f64::from(percent) / 100.0)) as u32,
            }
        });
        match rules.select {
            PolicySelect::Largest => limits.max().unwrap_or(current),
            PolicySelect::Smallest => limits.min().unwrap_or(current),
            PolicySelect::Disabled => current,
        }
    }

    /// The fewest that scaling down may lead to now.
    fn fewest(&self, now: Time, rules: &ScalingRules, current: u32) -> u32 {
        let limits = rules.policies.iter().map(|policy| {
            let begun = self.at_the_beginning(now, policy, current);
            match policy.step {
                ScalingStep::Replicas(count) => begun.saturating_sub(count),
                ScalingStep::Percent(percent) => (f64::from(begun) * (1.0 - f64::from(percent) / 100.0)) as u32,
            }
        });
        match rules.select {
            PolicySelect::Largest => limits.min().unwrap_or(current),
            PolicySelect::Smallest => limits.max().unwrap_or(current),
            PolicySelect::Disabled => current,
        }
    }

    fn remember_change(&mut self, now: Time, spec: &AutoscalerSpec, current: u32, wanted: u32) {
        let Some(rules) = &spec.behaviour else { return };
        let policies = || rules.up.policies.iter().chain(&rules.down.policies);
        let longest = policies().map(|policy| policy.period).max().unwrap_or(Span::ZERO);
        for changes in [&mut self.ups, &mut self.downs] {
            changes.retain(|(at, _)| now.since(*at) < longest);
        }
        if wanted > current {
            self.ups.push((now, wanted - current));
        } else if wanted < current {
            self.downs.push((now, current - wanted));
        }
    }
}

/// How long a high recommendation is remembered where an autoscaler has no rules of its own (`--horizontal-pod-autoscaler-downscale-stabilization`).
const DOWN_WINDOW: Span = Span::from_seconds(300);

/// The bounds of an autoscaler without rules of its own: at most twice as many at a time, or four.
fn without_rules(spec: &AutoscalerSpec, current: u32, stable: u32) -> (u32, Option<&'static str>) {
    let limit = current.saturating_mul(2).max(4);
    let most = spec.max.min(limit);
    if stable < spec.min {
        (spec.min, limiter(false))
    } else if stable > most {
        (most, limiter(limit < spec.max))
    } else {
        (stable, None)
    }
}

const fn limiter(by_rate: bool) -> Option<&'static str> {
    Some(if by_rate { "the rate at which it may change" } else { "its bounds" })
}

/// The largest number that any metric asks for, with what was compared; `None` if that cannot be told.
fn by_metrics(now: Time, spec: &AutoscalerSpec, current: u32, replicas: &[Seen]) -> Option<(u32, String)> {
    let mut best: Option<(u32, String)> = None;
    let mut blind = false;
    for (index, target) in spec.metrics.iter().enumerate() {
        match by_metric(now, spec, current, &Measured { target: *target, index, replicas }) {
            None => blind = true,
            Some(proposal) if best.as_ref().is_none_or(|best| proposal.0 > best.0) => best = Some(proposal),
            Some(_) => {}
        }
    }
    // With a metric that cannot be read, fewer replicas are never a safe answer.
    best.filter(|(proposed, _)| !blind || *proposed >= current)
}

/// One metric and where it stands in every replica's samples.
struct Measured<'a> {
    target: MetricTarget,
    index: usize,
    replicas: &'a [Seen],
}

/// A replica as one metric groups it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Counts(u64),
    Unready,
    Missing,
    Ignored,
}

impl Measured<'_> {
    fn group(&self, now: Time, spec: &AutoscalerSpec, replica: &Seen) -> Group {
        if replica.leaving {
            return Group::Ignored;
        }
        if replica.pending {
            return Group::Unready;
        }
        let Some(sample) = replica.samples[self.index] else { return Group::Missing };
        if !matches!(self.target, MetricTarget::Cpu { .. }) {
            return Group::Counts(sample.value);
        }
        let is_initialising = replica.born.is_some_and(|born| born + spec.cpu_initialization > now);
        let unready = if is_initialising {
            // A sample from before it was ready tells of its start, and not of its work.
            !replica.ready || replica.ready_changed.is_some_and(|changed| sample.at < changed + sample.window)
        } else {
            let never_ready = match (replica.born, replica.ready_changed) {
                (Some(born), Some(changed)) => born + spec.initial_readiness > changed,
                (Some(_), None) => true,
                (None, _) => false,
            };
            !replica.ready && never_ready
        };
        if unready { Group::Unready } else { Group::Counts(sample.value) }
    }

    /// Usage over what is aimed at, and how people read it. `values` are those of the replicas that count.
    fn ratio(&self, values: &[u64]) -> Option<(f64, String)> {
        let total: u64 = values.iter().sum();
        let count = values.len() as u64;
        let share = |request: u64, target: u32, what: &str| {
            let asked = request.checked_mul(count).filter(|asked| *asked > 0)?;
            let percent = u128::from(total) * 100 / u128::from(asked);
            Some((
                percent as f64 / f64::from(target),
                format!("{what} {percent}% of its request, {target}% wanted, over {}", counted(count, "replica")),
            ))
        };
        match self.target {
            MetricTarget::Cpu { request_millicores, percent } => share(request_millicores, percent, "CPU"),
            MetricTarget::Memory { request, percent } => share(request.get(), percent, "memory"),
            MetricTarget::Requests { per_replica_milli } => {
                let average = total.checked_div(count)?;
                let tell = |milli: u64| milli as f64 / 1e3;
                let figures = format!("{} requests/s, {} wanted, over {count} replicas", tell(average), tell(per_replica_milli));
                Some((average as f64 / per_replica_milli as f64, figures))
            }
        }
    }

    /// What a replica without a sample is taken to use when the others ask for fewer.
    fn assumed(&self) -> u64 {
        match self.target {
            MetricTarget::Cpu { request_millicores, percent } => request_millicores * u64::from(percent.max(100)) / 100,
            MetricTarget::Memory { request, percent } => request.get() * u64::from(percent.max(100)) / 100,
            MetricTarget::Requests { per_replica_milli } => per_replica_milli,
        }
    }
}

/// What one metric asks for.
fn by_metric(now: Time, spec: &AutoscalerSpec, current: u32, metric: &Measured<'_>) -> Option<(u32, String)> {
    let (mut values, mut unready, mut missing) = (Vec::new(), 0, 0);
    for replica in metric.replicas {
        match metric.group(now, spec, replica) {
            Group::Counts(value) => values.push(value),
            Group::Unready => unready += 1,
            Group::Missing => missing += 1,
            Group::Ignored => {}
        }
    }
    if values.is_empty() {
        return None;
    }
    let (ratio, figures) = metric.ratio(&values)?;
    let up_with_unready = unready > 0 && ratio > 1.0;
    if !up_with_unready && missing == 0 {
        let wanted = if spec.tolerance.is_within(ratio) { current } else { libm::ceil(ratio * values.len() as f64) as u32 };
        return Some((wanted, figures));
    }
    // Those that cannot be seen are taken to be what stands against a change.
    if ratio < 1.0 {
        values.extend(std::iter::repeat_n(metric.assumed(), missing));
    } else if ratio > 1.0 {
        values.extend(std::iter::repeat_n(0, missing));
    }
    if up_with_unready {
        values.extend(std::iter::repeat_n(0, unready));
    }
    let (with_all, _) = metric.ratio(&values)?;
    let flipped = (ratio < 1.0 && with_all > 1.0) || (ratio > 1.0 && with_all < 1.0);
    let wanted = libm::ceil(with_all * values.len() as f64) as u32;
    let wrong_way = (with_all < 1.0 && wanted > current) || (with_all > 1.0 && wanted < current);
    let wanted = if spec.tolerance.is_within(with_all) || flipped || wrong_way { current } else { wanted };
    Some((wanted, format!("{figures}, and {} more that could not be seen", unready + missing)))
}

impl Tolerance {
    /// Whether a ratio is near enough to one to change nothing.
    fn is_within(self, ratio: f64) -> bool {
        const TOLERANCE: f64 = 0.1;
        match self {
            // 1.1 is out by the last bit of a float: that is how it was.
            Self::Classic => (1.0 - ratio).abs() <= TOLERANCE,
            Self::Current => (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::AutoscalerBehaviour;

    fn rules(window: u64, policies: &[ScalingPolicy]) -> ScalingRules {
        ScalingRules { window: Span::from_seconds(window), policies: policies.to_vec(), select: PolicySelect::Largest }
    }

    const fn step(step: ScalingStep, period: u64) -> ScalingPolicy {
        ScalingPolicy { step, period: Span::from_seconds(period) }
    }

    /// 60 % of one core, 2 to 100 replicas, the rules that Kubernetes documents.
    fn spec() -> AutoscalerSpec {
        let all = step(ScalingStep::Percent(100), 15);
        AutoscalerSpec {
            min: 2,
            max: 100,
            metrics: vec![MetricTarget::Cpu { request_millicores: 1000, percent: 60 }],
            tolerance: Tolerance::Current,
            behaviour: Some(AutoscalerBehaviour { up: rules(0, &[all, step(ScalingStep::Replicas(4), 15)]), down: rules(300, &[all]) }),
            sync: Span::from_seconds(15),
            resolution: Span::from_seconds(15),
            cpu_initialization: Span::from_minutes(5),
            initial_readiness: Span::from_seconds(30),
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    /// A replica that has been there for long, with this much CPU.
    fn old(millicores: u64, now: Time) -> Seen {
        let sample = Sample { at: now, window: Span::from_seconds(15), value: millicores };
        Seen { leaving: false, pending: false, ready: true, ready_changed: None, born: None, samples: vec![Some(sample)] }
    }

    fn fleet(count: usize, millicores: u64, now: Time) -> Vec<Seen> {
        vec![old(millicores, now); count]
    }

    /// The same without a window before it scales down.
    fn at_once(spec: &AutoscalerSpec) -> AutoscalerSpec {
        let mut spec = spec.clone();
        spec.behaviour.as_mut().unwrap().down.window = Span::ZERO;
        spec
    }

    #[test]
    fn what_there_is_at_its_first_look_counts_as_recommended() {
        // Four are needed and there are nine: nothing goes before the window is over.
        let mut autoscaler = Autoscaler::default();
        let wanted = [0, 15, 299, 300].map(|second| autoscaler.decide(at(second), &spec(), 9, &fleet(9, 250, at(second))).wanted);
        assert_eq!(wanted, [9, 9, 9, 4]);
    }

    #[test]
    fn the_first_look_counts_though_nothing_can_be_told_at_it() {
        // Nobody has been read twice at 0 s and 15 s; the window is over at 300 s, and not 300 s after the first figures.
        let mut autoscaler = Autoscaler::default();
        let blind = |now: Time| vec![Seen { samples: vec![None], ..old(250, now) }; 9];
        let first = [0, 15].map(|second| autoscaler.decide(at(second), &spec(), 9, &blind(at(second))).wanted);
        assert_eq!(first, [9, 9]);
        let wanted = [30, 299, 300].map(|second| autoscaler.decide(at(second), &spec(), 9, &fleet(9, 250, at(second))).wanted);
        assert_eq!(wanted, [9, 9, 4]);
    }

    #[track_caller]
    fn check_once(spec: &AutoscalerSpec, replicas: &[Seen], expected: u32) {
        let decision = Autoscaler::default().decide(at(1000), &at_once(spec), replicas.len() as u32, replicas);
        assert_eq!(decision.wanted, expected, "{}", decision.figures);
    }

    #[test]
    fn k5_ratios_near_one_are_kept_and_percents_are_cut() {
        let cases = [(650, 10), (660, 10), (669, 10), (670, 12)];
        for (millicores, expected) in cases {
            check_once(&spec(), &fleet(10, millicores, at(1000)), expected);
        }
        let classic = AutoscalerSpec { tolerance: Tolerance::Classic, ..spec() };
        check_once(&classic, &fleet(10, 660, at(1000)), 11);
        check_once(&classic, &fleet(10, 650, at(1000)), 10);
    }

    /// What is wanted at each synchronisation, where what is wanted is there at once.
    fn follow(spec: &AutoscalerSpec, from: u32, load: impl Fn(u64, u32) -> u64, until: u64) -> Vec<(u64, u32)> {
        let mut autoscaler = Autoscaler::default();
        let mut count = from;
        let mut changes = Vec::new();
        for second in (0..=until).step_by(15) {
            let replicas = fleet(count as usize, load(second, count), at(second));
            let wanted = autoscaler.decide(at(second), spec, count, &replicas).wanted;
            if wanted != count {
                changes.push((second, wanted));
                count = wanted;
            }
        }
        changes
    }

    #[test]
    fn k6_after_the_last_high_recommendation_nothing_changes_for_five_minutes_and_then_all_at_once() {
        let load = |second, _| if second < 60 { 600 } else { 0 };
        assert_eq!(follow(&spec(), 10, load, 600), [(345, 2)]);
        let without_rules = AutoscalerSpec { behaviour: None, ..spec() };
        assert_eq!(follow(&without_rules, 10, load, 600), [(360, 2)]);
    }

    #[test]
    fn k7_growth_is_at_most_twice_or_four_more_every_quarter_of_a_minute() {
        let load = |_, count| (1800 * 10 / u64::from(count)).min(2000);
        assert_eq!(follow(&spec(), 10, load, 60), [(0, 20), (15, 30)]);
        let from_two = |spec: &AutoscalerSpec| follow(spec, 2, |_, _| 2000, 15);
        assert_eq!(from_two(&spec()), [(0, 6), (15, 12)]);
        assert_eq!(from_two(&AutoscalerSpec { behaviour: None, ..spec() }), [(0, 4), (15, 8)]);
    }

    #[test]
    fn scaling_down_can_be_slowed_and_switched_off() {
        let with_down = |down: ScalingRules| {
            let mut spec = spec();
            spec.behaviour.as_mut().unwrap().down = down;
            spec
        };
        let slow = with_down(rules(0, &[step(ScalingStep::Replicas(1), 60)]));
        assert_eq!(follow(&slow, 10, |_, _| 0, 120), [(0, 9), (60, 8), (120, 7)]);
        let off = with_down(ScalingRules { select: PolicySelect::Disabled, ..rules(0, &[]) });
        assert_eq!(follow(&off, 10, |_, _| 0, 120), []);
    }

    #[test]
    fn bounds_hold_whatever_the_metrics_say_and_zero_switches_it_off() {
        let decide = |current: u32, millicores| {
            let replicas = fleet(current as usize, millicores, at(0));
            Autoscaler::default().decide(at(0), &AutoscalerSpec { max: 12, ..spec() }, current, &replicas).wanted
        };
        assert_eq!([decide(20, 600), decide(1, 600), decide(0, 0), decide(10, 2000)], [12, 2, 0, 12]);
    }

    #[test]
    fn replicas_that_start_count_as_idle_on_the_way_up_and_not_at_all_on_the_way_down() {
        let now = at(1000);
        let mut young = old(3000, now);
        (young.ready, young.born, young.ready_changed) = (false, Some(at(980)), Some(at(980)));
        // Four at 100 % alone ask for seven; with two idle ones the ratio is 66 / 60, which is near enough.
        let mut replicas = fleet(4, 1000, now);
        replicas.extend([young.clone(), young.clone()]);
        check_once(&spec(), &replicas, 6);
        let mut replicas = fleet(8, 300, now);
        replicas.push(young.clone());
        let decision = Autoscaler::default().decide(now, &at_once(&spec()), 9, &replicas);
        assert_eq!(decision.wanted, 4);
        // Ready since a moment, its sample is still that of its start.
        (young.ready, young.ready_changed) = (true, Some(at(990)));
        let mut replicas = fleet(4, 660, now);
        replicas.push(young);
        check_once(&spec(), &replicas, 5);
    }

    #[test]
    fn replicas_without_a_sample_stand_against_every_change() {
        let now = at(1000);
        let missing = Seen { samples: vec![None], ..old(0, now) };
        let with_missing = |count, millicores, unseen| {
            let mut replicas = fleet(count, millicores, now);
            replicas.extend(std::iter::repeat_n(missing.clone(), unseen));
            replicas
        };
        // Five at 30 %: with five taken to be full the ratio is 65 / 60, the other way.
        check_once(&spec(), &with_missing(5, 300, 5), 10);
        let told = Autoscaler::default().decide(at(1000), &spec(), 10, &with_missing(5, 300, 5)).figures;
        assert!(told.contains("over 5 replicas, and 5 more that could not be seen"), "{told}");
        // Eight at 90 %: with two idle 72 / 60.
        check_once(&spec(), &with_missing(8, 900, 2), 12);
        check_once(&spec(), &with_missing(0, 0, 3), 3);
    }

    #[test]
    fn of_several_metrics_the_one_that_asks_for_most_decides_and_a_blind_one_forbids_fewer() {
        let now = at(1000);
        let mut spec = spec();
        spec.metrics.push(MetricTarget::Requests { per_replica_milli: 10_000 });
        let seen = |millicores, rate: Option<u64>| {
            let mut replica = old(millicores, now);
            replica.samples.push(rate.map(|value| Sample { at: now, window: Span::from_seconds(15), value }));
            vec![replica; 4]
        };
        check_once(&spec, &seen(300, Some(20_000)), 8);
        check_once(&spec, &seen(150, Some(5_000)), 2);
        check_once(&spec, &seen(150, None), 4);
        check_once(&spec, &seen(900, None), 6);
    }
}
