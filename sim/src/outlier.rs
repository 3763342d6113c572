//! Outlier detection as Envoy does it: which replicas a caller takes out of its own choice, and when it takes them back (docs/MODEL.md 1.5).
//!
//! After `outlier_detection_impl.cc`: runs of errors are acted on at once, success rates and returns when the interval's sweep comes.

use std::fmt;

use firedrill_core::quantity::Ratio;
use firedrill_core::random::{Threshold, mix64};
use firedrill_core::time::{Span, Time};

use crate::spec::OutlierSpec;

/// What one caller has seen of the replicas of one service. Replicas are told apart by their place in the caller's list.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    spec: OutlierSpec,
    hosts: Vec<Host>,
    ejected: u32,
    pub(crate) counts: Counts,
}

/// What a replica answered, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Less than 500.
    Success,
    /// 5xx, but no gateway's.
    Error,
    /// 502, 503 or 504: also a refused or broken connection, and no answer in time.
    Gateway,
}

/// How often what happened, since the caller began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ejections for errors in a row.
    pub(crate) consecutive_5xx: u64,
    /// Ejections for gateways' errors in a row.
    pub(crate) gateway_failure: u64,
    /// Ejections for a low success rate.
    pub(crate) success_rate: u64,
    /// Ejections for a high share of failures.
    pub(crate) failure_percentage: u64,
    /// Ejections that were due, when enough were ejected already.
    pub(crate) overflow: u64,
}

/// Why a replica is ejected, with the figures that were compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cause {
    /// So many errors in a row.
    Consecutive5xx(u32),
    /// So many errors of gateways in a row.
    GatewayFailure(u32),
    /// A success rate below the threshold, both in percent.
    SuccessRate(f64, f64),
    /// A share of failures that is not below the threshold, both in percent.
    FailurePercentage(f64, f64),
}

/// A replica leaves the caller's choice or comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// The one at this place is ejected, for this long at least.
    Ejected(usize, Cause, Span),
    /// The one at this place may be chosen again.
    Returned(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    consecutive_5xx: u32,
    consecutive_gateway_failure: u32,
    /// Answers since the last sweep.
    total: u32,
    /// Those without an error.
    successes: u32,
    /// By what the base ejection is multiplied.
    multiplier: u32,
    /// Since when it is ejected.
    ejected_at: Option<Time>,
    returned_at: Option<Time>,
}

impl Counts {
    /// Ejections, whatever for.
    pub(crate) const fn ejections(&self) -> u64 {
        self.consecutive_5xx + self.gateway_failure + self.success_rate + self.failure_percentage
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive5xx(count) => write!(f, "{count} errors in a row"),
            Self::GatewayFailure(count) => write!(f, "{count} errors of a gateway in a row"),
            Self::SuccessRate(rate, threshold) => write!(f, "a success rate of {rate:.1}%, below {threshold:.1}%"),
            Self::FailurePercentage(share, threshold) => write!(f, "{share:.1}% failures, {threshold:.1}% or more"),
        }
    }
}

impl Detector {
    pub(crate) const fn new(spec: OutlierSpec) -> Self {
        Self {
            spec,
            hosts: Vec::new(),
            ejected: 0,
            counts: Counts { consecutive_5xx: 0, gateway_failure: 0, success_rate: 0, failure_percentage: 0, overflow: 0 },
        }
    }

    /// A replica comes into the caller's list at this place; those behind it move on by one.
    pub(crate) fn join(&mut self, place: usize) {
        self.hosts.insert(place, Host::default());
    }

    /// The replica at this place leaves the list; those behind it close up.
    pub(crate) fn leave(&mut self, place: usize) {
        if self.hosts.remove(place).ejected_at.is_some() {
            self.ejected -= 1;
        }
    }

    pub(crate) fn is_ejected(&self, place: usize) -> bool {
        self.hosts[place].ejected_at.is_some()
    }

    /// How many are ejected now.
    pub(crate) const fn ejected(&self) -> u32 {
        self.ejected
    }

    /// A replica has answered; `luck` decides what is enforced at times only.
    pub(crate) fn hear(&mut self, place: usize, answer: Answer, now: Time, luck: u64) -> Option<Change> {
        let host = &mut self.hosts[place];
        host.total += 1;
        match answer {
            Answer::Success => {
                host.successes += 1;
                host.consecutive_5xx = 0;
                host.consecutive_gateway_failure = 0;
                return None;
            }
            Answer::Error => host.consecutive_gateway_failure = 0,
            Answer::Gateway => host.consecutive_gateway_failure += 1,
        }
        host.consecutive_5xx += 1;
        // Equality, as there: a count that has passed the threshold while the replica was ejected ejects nobody.
        let gateway = answer == Answer::Gateway && host.consecutive_gateway_failure == self.spec.consecutive_gateway_failure;
        let any = host.consecutive_5xx == self.spec.consecutive_5xx;
        let mut change = None;
        if gateway && self.hosts[place].ejected_at.is_none() {
            let cause = Cause::GatewayFailure(self.spec.consecutive_gateway_failure);
            change = self.eject(place, cause, now, mix64(luck, 0));
            self.hosts[place].consecutive_gateway_failure = 0;
        }
        if any && self.hosts[place].ejected_at.is_none() {
            change = self.eject(place, Cause::Consecutive5xx(self.spec.consecutive_5xx), now, mix64(luck, 1));
            // Also when nothing came of it: the next ejection takes as many errors again.
            self.hosts[place].consecutive_5xx = 0;
        }
        change
    }

    /// What is done once every interval.
    pub(crate) fn sweep(&mut self, now: Time, luck: u64) -> Vec<Change> {
        let mut changes = self.take_back(now);
        self.compare_success_rates(now, luck, &mut changes);
        for host in &mut self.hosts {
            (host.total, host.successes) = (0, 0);
            let is_well = host.ejected_at.is_none() && host.returned_at.is_some_and(|at| now.since(at) >= self.spec.interval);
            if is_well {
                host.multiplier = host.multiplier.saturating_sub(1);
            }
        }
        changes
    }

    fn take_back(&mut self, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for (place, host) in self.hosts.iter_mut().enumerate() {
            let Some(since) = host.ejected_at else { continue };
            if now.since(since) >= length(&self.spec, host.multiplier) {
                host.ejected_at = None;
                host.returned_at = Some(now);
                host.consecutive_5xx = 0;
                host.consecutive_gateway_failure = 0;
                self.ejected -= 1;
                changes.push(Change::Returned(place));
            }
        }
        changes
    }

    fn compare_success_rates(&mut self, now: Time, luck: u64, changes: &mut Vec<Change>) {
        let spec = self.spec;
        let rates = |volume: u32| -> Vec<(usize, f64)> {
            let with_enough = self.hosts.iter().enumerate();
            let with_enough = with_enough.filter(|(_, host)| host.ejected_at.is_none() && host.total > 0 && host.total >= volume);
            with_enough.map(|(place, host)| (place, f64::from(host.successes) * 100.0 / f64::from(host.total))).collect()
        };
        let (compared, judged) = (rates(spec.success_rate_request_volume), rates(spec.failure_percentage_request_volume));
        let mut draw = 0;
        if !compared.is_empty() && compared.len() >= spec.success_rate_minimum_hosts as usize {
            let threshold = success_rate_threshold(&compared, spec.success_rate_stdev_factor);
            for (place, rate) in compared {
                if rate < threshold {
                    changes.extend(self.eject(place, Cause::SuccessRate(rate, threshold), now, mix64(luck, draw)));
                    draw += 1;
                }
            }
        }
        if !judged.is_empty() && judged.len() >= spec.failure_percentage_minimum_hosts as usize {
            let threshold = spec.failure_percentage_threshold.get() * 100.0;
            for (place, rate) in judged {
                if 100.0 - rate >= threshold && self.hosts[place].ejected_at.is_none() {
                    changes.extend(self.eject(place, Cause::FailurePercentage(100.0 - rate, threshold), now, mix64(luck, draw)));
                    draw += 1;
                }
            }
        }
    }

    /// Ejects a replica unless too many are ejected, or luck lets it pass.
    fn eject(&mut self, place: usize, cause: Cause, now: Time, luck: u64) -> Option<Change> {
        if !self.may_eject() {
            self.counts.overflow += 1;
            return None;
        }
        let (enforcing, count) = match cause {
            Cause::Consecutive5xx(_) => (self.spec.enforcing_consecutive_5xx, &mut self.counts.consecutive_5xx),
            Cause::GatewayFailure(_) => (self.spec.enforcing_consecutive_gateway_failure, &mut self.counts.gateway_failure),
            Cause::SuccessRate(..) => (self.spec.enforcing_success_rate, &mut self.counts.success_rate),
            Cause::FailurePercentage(..) => (self.spec.enforcing_failure_percentage, &mut self.counts.failure_percentage),
        };
        if !Threshold::from_ratio(enforcing).hit(luck) {
            return None;
        }
        *count += 1;
        self.ejected += 1;
        let host = &mut self.hosts[place];
        host.ejected_at = Some(now);
        if times(self.spec.base_ejection, host.multiplier) < self.spec.max_ejection.saturating_add(self.spec.base_ejection) {
            host.multiplier += 1;
        }
        Some(Change::Ejected(place, cause, length(&self.spec, host.multiplier)))
    }

    fn may_eject(&self) -> bool {
        let hosts = self.hosts.len() as f64;
        let share = |ejected: u32| 100.0 * f64::from(ejected) / hosts;
        let most = percent(self.spec.max_ejected);
        let within = if self.spec.share_of_earlier { share(self.ejected) < most } else { share(self.ejected + 1) <= most };
        within || (self.spec.always_one && self.ejected == 0)
    }
}

/// The mean less so many standard deviations of the whole population.
fn success_rate_threshold(rates: &[(usize, f64)], factor: f64) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean) * (rate - mean)).sum::<f64>() / count;
    mean - factor * variance.sqrt()
}

/// How long an ejection lasts at least.
fn length(spec: &OutlierSpec, multiplier: u32) -> Span {
    times(spec.base_ejection, multiplier).min(spec.max_ejection)
}

const fn times(span: Span, count: u32) -> Span {
    Span::from_nanos(span.as_nanos().saturating_mul(count as u64))
}

/// Whole percent, as configurations have it.
fn percent(share: Ratio) -> f64 {
    libm::round(share.get() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(share: f64) -> Ratio {
        Ratio::new(share).unwrap()
    }

    fn defaults() -> OutlierSpec {
        OutlierSpec {
            interval: Span::from_seconds(10),
            base_ejection: Span::from_seconds(30),
            max_ejection: Span::from_seconds(300),
            max_ejected: share(0.1),
            always_one: false,
            share_of_earlier: false,
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: Ratio::ONE,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure: Ratio::ZERO,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1.9,
            enforcing_success_rate: Ratio::ONE,
            failure_percentage_threshold: share(0.85),
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            enforcing_failure_percentage: Ratio::ZERO,
        }
    }

    fn detector(hosts: usize, spec: OutlierSpec) -> Detector {
        let mut detector = Detector::new(spec);
        (0..hosts).for_each(|place| detector.join(place));
        detector
    }

    fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    /// Answers one after the other; what the last one brought about. None before it may bring anything about.
    #[track_caller]
    fn hear(detector: &mut Detector, place: usize, answers: &[Answer], now: u64) -> Option<Change> {
        let (last, before) = answers.split_last().unwrap();
        for answer in before {
            assert_eq!(detector.hear(place, *answer, at(now), 7), None);
        }
        detector.hear(place, *last, at(now), 7)
    }

    fn ejected(place: usize, cause: Cause, seconds: u64) -> Option<Change> {
        Some(Change::Ejected(place, cause, Span::from_seconds(seconds)))
    }

    /// So many of these answers at each place, interleaved so that no error follows another more often than it must.
    fn traffic(detector: &mut Detector, place: usize, successes: u32, errors: u32) {
        for round in 0..successes.max(errors) {
            if round < errors {
                assert_eq!(detector.hear(place, Answer::Error, at(1), 7), None);
            }
            if round < successes {
                assert_eq!(detector.hear(place, Answer::Success, at(1), 7), None);
            }
        }
    }

    #[test]
    fn the_fifth_error_in_a_row_ejects() {
        let mut detector = detector(10, defaults());
        assert_eq!(hear(&mut detector, 3, &[Answer::Error; 4], 1), None);
        assert!(!detector.is_ejected(3));
        assert_eq!(hear(&mut detector, 3, &[Answer::Error], 1), ejected(3, Cause::Consecutive5xx(5), 30));
        assert!(detector.is_ejected(3));
        assert_eq!((detector.ejected(), detector.counts.ejections(), detector.counts.consecutive_5xx), (1, 1, 1));
    }

    #[test]
    fn a_success_begins_the_row_anew() {
        let mut detector = detector(10, defaults());
        let answers = [Answer::Error, Answer::Error, Answer::Error, Answer::Error, Answer::Success, Answer::Error];
        assert_eq!(hear(&mut detector, 0, &answers, 1), None);
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 4], 1), ejected(0, Cause::Consecutive5xx(5), 30));
    }

    #[test]
    fn errors_of_gateways_count_as_errors_and_eject_by_themselves_only_where_that_is_enforced() {
        let mut plain = detector(10, defaults());
        assert_eq!(hear(&mut plain, 0, &[Answer::Gateway; 5], 1), ejected(0, Cause::Consecutive5xx(5), 30));

        let spec = OutlierSpec { consecutive_gateway_failure: 3, enforcing_consecutive_gateway_failure: Ratio::ONE, ..defaults() };
        let mut enforced = detector(10, spec);
        let answers = [Answer::Gateway, Answer::Gateway, Answer::Error, Answer::Gateway];
        assert_eq!(hear(&mut enforced, 0, &answers, 1), None, "another error is none of a gateway");
        let mut enforced = detector(10, spec);
        assert_eq!(hear(&mut enforced, 0, &[Answer::Gateway; 3], 1), ejected(0, Cause::GatewayFailure(3), 30));
    }

    #[test]
    fn one_of_ten_may_be_ejected_and_no_second_one() {
        let mut detector = detector(10, defaults());
        assert!(hear(&mut detector, 0, &[Answer::Error; 5], 1).is_some());
        assert_eq!(hear(&mut detector, 1, &[Answer::Error; 5], 1), None);
        assert_eq!(detector.counts.overflow, 1);
        // The next one takes five errors again.
        assert_eq!(hear(&mut detector, 1, &[Answer::Error; 4], 1), None);
        assert_eq!(detector.counts.overflow, 1);
        assert_eq!(hear(&mut detector, 1, &[Answer::Error], 1), None);
        assert_eq!(detector.counts.overflow, 2);
    }

    #[test]
    fn among_fewer_than_ten_nobody_is_ejected_unless_one_always_may() {
        let mut strict = detector(9, defaults());
        assert_eq!(hear(&mut strict, 0, &[Answer::Error; 5], 1), None);
        assert_eq!(strict.counts.overflow, 1);

        let mut always = detector(9, OutlierSpec { always_one: true, ..defaults() });
        assert!(hear(&mut always, 0, &[Answer::Error; 5], 1).is_some());
        assert_eq!(hear(&mut always, 1, &[Answer::Error; 5], 1), None);
    }

    #[test]
    fn before_1_28_the_share_was_that_of_earlier_ejections() {
        let spec = OutlierSpec { max_ejected: share(0.2), always_one: true, share_of_earlier: true, ..defaults() };
        let mut detector = detector(9, spec);
        // 0 of 9, then 11 % of 9: both below 20 %. Then 22 %.
        assert!(hear(&mut detector, 0, &[Answer::Error; 5], 1).is_some());
        assert!(hear(&mut detector, 1, &[Answer::Error; 5], 1).is_some());
        assert_eq!(hear(&mut detector, 2, &[Answer::Error; 5], 1), None);
    }

    #[test]
    fn an_ejection_is_over_at_the_first_sweep_after_its_time() {
        let mut detector = detector(10, defaults());
        assert!(hear(&mut detector, 0, &[Answer::Error; 5], 1).is_some());
        for now in [10, 20, 30] {
            assert_eq!(detector.sweep(at(now), 7), []);
        }
        assert_eq!(detector.sweep(at(40), 7), [Change::Returned(0)]);
        assert_eq!(detector.ejected(), 0);

        let mut exact = Detector::new(defaults());
        (0..10).for_each(|place| exact.join(place));
        assert!(hear(&mut exact, 0, &[Answer::Error; 5], 10).is_some());
        assert_eq!(exact.sweep(at(40), 7), [Change::Returned(0)], "thirty seconds are enough");
    }

    #[test]
    fn ejections_grow_by_the_base_to_their_cap() {
        let mut detector = detector(10, defaults());
        let (mut now, mut lengths) = (0, Vec::new());
        for _ in 0..12 {
            let Some(Change::Ejected(_, _, length)) = hear(&mut detector, 0, &[Answer::Error; 5], now) else { panic!("ejected") };
            lengths.push(length.as_nanos() / 1_000_000_000);
            loop {
                now += 10;
                if detector.sweep(at(now), 7) == [Change::Returned(0)] {
                    break;
                }
            }
        }
        assert_eq!(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    }

    #[test]
    fn every_interval_without_ejection_takes_one_step_back() {
        let mut detector = detector(10, defaults());
        assert!(hear(&mut detector, 0, &[Answer::Error; 5], 0).is_some());
        assert_eq!(detector.sweep(at(30), 7), [Change::Returned(0)]);
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 5], 30), ejected(0, Cause::Consecutive5xx(5), 60));
        assert_eq!(detector.sweep(at(90), 7), [Change::Returned(0)]);
        assert_eq!(detector.sweep(at(100), 7), []);
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 5], 101), ejected(0, Cause::Consecutive5xx(5), 60));
        assert_eq!(detector.sweep(at(170), 7), [Change::Returned(0)]);
        for now in [180, 190, 200] {
            assert_eq!(detector.sweep(at(now), 7), []);
        }
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 5], 201), ejected(0, Cause::Consecutive5xx(5), 30));
    }

    #[test]
    fn what_an_ejected_replica_still_answers_ejects_nobody_and_is_forgotten() {
        let mut detector = detector(10, defaults());
        assert!(hear(&mut detector, 0, &[Answer::Error; 5], 1).is_some());
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 4], 1), None);
        assert_eq!(detector.sweep(at(40), 7), [Change::Returned(0)]);
        assert_eq!(hear(&mut detector, 0, &[Answer::Error; 4], 41), None);
        assert!(hear(&mut detector, 0, &[Answer::Error], 41).is_some());
    }

    #[test]
    fn a_success_rate_far_below_the_others_ejects_at_the_sweep() {
        // Success rates 50, 100, 100, 100, 100: mean 90, deviation 20, threshold 52.
        let mut detector = detector(10, defaults());
        traffic(&mut detector, 0, 50, 50);
        (1..5).for_each(|place| traffic(&mut detector, place, 100, 0));
        let Some(Change::Ejected(0, cause, _)) = detector.sweep(at(10), 7).first().copied() else { panic!("ejected") };
        let Cause::SuccessRate(rate, threshold) = cause else { panic!("for its success rate") };
        assert!((rate - 50.0).abs() < 1e-9 && (threshold - 52.0).abs() < 1e-9, "{rate} {threshold}");
        assert_eq!(cause.to_string(), "a success rate of 50.0%, below 52.0%");
        assert_eq!(detector.counts.success_rate, 1);
    }

    #[test]
    fn success_rates_are_compared_only_of_five_replicas_with_a_hundred_requests_in_one_interval() {
        for (hosts, requests) in [(4, 100), (5, 99)] {
            let mut detector = detector(10, defaults());
            traffic(&mut detector, 0, requests - 49, 49);
            (1..hosts).for_each(|place| traffic(&mut detector, place, requests, 0));
            assert_eq!(detector.sweep(at(10), 7), [], "{hosts} hosts with {requests} requests");
        }
        // Counts of the interval before are gone.
        let mut detector = detector(10, defaults());
        traffic(&mut detector, 0, 30, 30);
        (1..5).for_each(|place| traffic(&mut detector, place, 60, 0));
        assert_eq!(detector.sweep(at(10), 7), []);
        traffic(&mut detector, 0, 30, 30);
        (1..5).for_each(|place| traffic(&mut detector, place, 60, 0));
        assert_eq!(detector.sweep(at(20), 7), []);
    }

    #[test]
    fn equal_success_rates_eject_nobody_however_low() {
        let mut detector = detector(10, defaults());
        (0..10).for_each(|place| traffic(&mut detector, place, 50, 50));
        assert_eq!(detector.sweep(at(10), 7), []);
    }

    #[test]
    fn failures_of_85_percent_eject_where_that_is_enforced() {
        let spec = OutlierSpec {
            enforcing_failure_percentage: Ratio::ONE,
            enforcing_success_rate: Ratio::ZERO,
            consecutive_5xx: 1000,
            ..defaults()
        };
        for (errors, is_ejected) in [(84, false), (85, true)] {
            let mut detector = detector(10, spec);
            traffic(&mut detector, 0, 100 - errors, errors);
            (1..5).for_each(|place| traffic(&mut detector, place, 50, 0));
            assert_eq!(!detector.sweep(at(10), 7).is_empty(), is_ejected, "{errors} errors of 100");
        }
        let mut off = detector(10, OutlierSpec { enforcing_failure_percentage: Ratio::ZERO, ..spec });
        traffic(&mut off, 0, 0, 100);
        (1..5).for_each(|place| traffic(&mut off, place, 50, 0));
        assert_eq!(off.sweep(at(10), 7), []);
    }

    #[test]
    fn whoever_leaves_the_list_takes_its_ejection_along() {
        let mut detector = detector(10, defaults());
        assert!(hear(&mut detector, 4, &[Answer::Error; 5], 1).is_some());
        detector.leave(4);
        detector.join(4);
        assert_eq!(detector.ejected(), 0);
        assert!(!detector.is_ejected(4));
        assert_eq!(hear(&mut detector, 4, &[Answer::Error; 5], 2), ejected(4, Cause::Consecutive5xx(5), 30));
    }

    #[test]
    fn half_enforced_is_half_ejected() {
        let spec = OutlierSpec { enforcing_consecutive_5xx: share(0.5), ..defaults() };
        let ejections = (0..1000_u64).filter(|luck| {
            let mut detector = detector(10, spec);
            (0..5).any(|_| detector.hear(0, Answer::Error, at(1), mix64(*luck, 9)).is_some())
        });
        let ejections = ejections.count();
        assert!((437..=563).contains(&ejections), "{ejections} of 1000 are not a half within 4 standard errors");
    }
}
