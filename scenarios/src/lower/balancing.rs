//! How callers choose among the replicas of a service, with every default filled in.

use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{AccrualSpec, Balance, BalancingSpec, ConnectionSpec, EjectionSpec, FailFastSpec, OutlierSpec, SlowStartSpec};

use crate::defaults;
use crate::document::balancing::{
    AccrualDocument, BalanceDocument, BalancingDocument, FailFastDocument, OutlierDocument, OutlierPreset, SlowStartDocument,
};
use crate::lower::or;
use crate::problem;

/// Lowers `balance:`.
pub fn lower_balance(balance: Option<&Located<BalanceDocument>>) -> Balance {
    match balance.map(|balance| &balance.value) {
        None => Balance::RoundRobin,
        Some(BalanceDocument::Plain(balance)) => *balance,
        Some(BalanceDocument::LeastRequest { choices }) => {
            Balance::LeastRequest { choices: or(choices.as_ref(), || Some(defaults::count("least_request.choices"))) }
        }
        Some(BalanceDocument::PerConnection { multiplexed, keep, idle }) => Balance::PerConnection(ConnectionSpec {
            multiplexed: or(multiplexed.as_ref(), || defaults::text("per_connection.multiplexed") == "true"),
            keep: or(keep.as_ref(), || defaults::count("per_connection.keep")),
            idle: or(idle.as_ref(), || defaults::span("per_connection.idle")),
        }),
        Some(BalanceDocument::PeakEwma { default_rtt, decay }) => Balance::PeakEwma {
            default_rtt: or(default_rtt.as_ref(), || defaults::span("peak_ewma.default_rtt")),
            decay: or(decay.as_ref(), || defaults::span("peak_ewma.decay")),
        },
    }
}

/// Lowers what callers know of a service; `None` if it says nothing of it.
pub fn lower(reader: &mut Reader, said: &BalancingDocument, balance: Balance) -> Option<Box<BalancingSpec>> {
    check(reader, said, balance);
    let outliers = said.outlier_detection.as_ref().map(|outliers| &outliers.value);
    let ejection = match (outliers, &said.failure_accrual) {
        (Some(outliers), _) => Some(EjectionSpec::Outliers(lower_outliers(outliers))),
        (None, Some(accrual)) => Some(EjectionSpec::Accrual(lower_accrual(&accrual.value))),
        (None, None) => None,
    };
    let slow_start = said.slow_start.as_ref().map(|slow_start| lower_slow_start(&slow_start.value));
    let propagation = said.endpoint_propagation.as_ref().map(|propagation| propagation.value.clone());
    let dns_ttl = said.dns_ttl.as_ref().map(|ttl| ttl.value);
    let prefer_zone = or(said.prefer_zone.as_ref(), || false);
    let fail_fast = match &said.fail_fast {
        Some(said) => said.value.as_ref().map(lower_fail_fast),
        // Whoever has Linkerd's breaker has its proxies.
        None => said.failure_accrual.as_ref().map(|_| lower_fail_fast(&FailFastDocument::default())),
    };
    if ejection.is_none() && !prefer_zone && slow_start.is_none() && propagation.is_none() && dns_ttl.is_none() && fail_fast.is_none() {
        return None;
    }
    let panic_threshold = or(said.panic_threshold.as_ref(), || match outliers {
        Some(outliers) if preset(outliers) == OutlierPreset::Istio => Ratio::ZERO,
        Some(_) => defaults::ratio("services.*.panic_threshold"),
        None => Ratio::ZERO,
    });
    Some(Box::new(BalancingSpec { ejection, slow_start, panic_threshold, prefer_zone, propagation, dns_ttl, fail_fast }))
}

fn preset(outliers: &OutlierDocument) -> OutlierPreset {
    or(outliers.preset.as_ref(), OutlierPreset::default)
}

fn lower_outliers(said: &OutlierDocument) -> OutlierSpec {
    let preset = preset(said);
    let share = |said: &Option<Located<Ratio>>, key: &str| or(said.as_ref(), || defaults::ratio(&format!("outlier_detection.{key}")));
    let count = |said: &Option<Located<u32>>, key: &str| or(said.as_ref(), || defaults::count(&format!("outlier_detection.{key}")));
    let span = |said: &Option<Located<Span>>, key: &str| or(said.as_ref(), || defaults::span(&format!("outlier_detection.{key}")));
    let base_ejection = span(&said.base_ejection_time, "base_ejection_time");
    let gateway = &said.enforcing_consecutive_gateway_failure;
    OutlierSpec {
        interval: span(&said.interval, "interval"),
        base_ejection,
        max_ejection: or(said.max_ejection_time.as_ref(), || defaults::span("outlier_detection.max_ejection_time").max(base_ejection)),
        max_ejected: share(&said.max_ejection_percent, "max_ejection_percent"),
        always_one: or(said.always_eject_one_host.as_ref(), || preset == OutlierPreset::Envoy127),
        share_of_earlier: preset == OutlierPreset::Envoy127,
        consecutive_5xx: count(&said.consecutive_5xx, "consecutive_5xx"),
        enforcing_consecutive_5xx: share(&said.enforcing_consecutive_5xx, "enforcing_consecutive_5xx"),
        consecutive_gateway_failure: count(&said.consecutive_gateway_failure, "consecutive_gateway_failure"),
        enforcing_consecutive_gateway_failure: match gateway {
            // Istio enforces what is asked for.
            None if preset == OutlierPreset::Istio && said.consecutive_gateway_failure.is_some() => Ratio::ONE,
            said => share(said, "enforcing_consecutive_gateway_failure"),
        },
        success_rate_minimum_hosts: count(&said.success_rate_minimum_hosts, "success_rate_minimum_hosts"),
        success_rate_request_volume: count(&said.success_rate_request_volume, "success_rate_request_volume"),
        success_rate_stdev_factor: or(said.success_rate_stdev_factor.as_ref(), || {
            defaults::number("outlier_detection.success_rate_stdev_factor")
        }),
        enforcing_success_rate: match &said.enforcing_success_rate {
            None if preset == OutlierPreset::Istio => Ratio::ZERO,
            said => share(said, "enforcing_success_rate"),
        },
        failure_percentage_threshold: share(&said.failure_percentage_threshold, "failure_percentage_threshold"),
        failure_percentage_minimum_hosts: count(&said.failure_percentage_minimum_hosts, "failure_percentage_minimum_hosts"),
        failure_percentage_request_volume: count(&said.failure_percentage_request_volume, "failure_percentage_request_volume"),
        enforcing_failure_percentage: share(&said.enforcing_failure_percentage, "enforcing_failure_percentage"),
    }
}

fn lower_accrual(said: &AccrualDocument) -> AccrualSpec {
    let min_penalty = or(said.min_penalty.as_ref(), || defaults::span("failure_accrual.min_penalty"));
    AccrualSpec {
        failures: or(said.failures.as_ref(), || defaults::count("failure_accrual.failures")),
        min_penalty,
        max_penalty: or(said.max_penalty.as_ref(), || defaults::span("failure_accrual.max_penalty").max(min_penalty)),
        jitter: or(said.jitter.as_ref(), || defaults::ratio("failure_accrual.jitter")),
    }
}

fn lower_fail_fast(said: &FailFastDocument) -> FailFastSpec {
    FailFastSpec {
        outbound: or(said.outbound.as_ref(), || defaults::span("fail_fast.outbound")),
        inbound: or(said.inbound.as_ref(), || defaults::span("fail_fast.inbound")),
        queue: or(said.queue.as_ref(), || defaults::count("fail_fast.queue")),
    }
}

fn lower_slow_start(said: &SlowStartDocument) -> SlowStartSpec {
    SlowStartSpec {
        // A window that could not be read is a problem already.
        window: or(said.window.as_ref(), || Span::from_seconds(1)),
        aggression: or(said.aggression.as_ref(), || defaults::number("slow_start.aggression")),
        least: or(said.least.as_ref(), || defaults::ratio("slow_start.least")),
    }
}

/// What is said and contradicts itself.
fn check(reader: &mut Reader, said: &BalancingDocument, balance: Balance) {
    let mut refuse = |place: &Place, why: &str, remedy: &str| reader.problem(problem::impossible(place, why, remedy));
    if let (Some(_), Some(accrual)) = (&said.outlier_detection, &said.failure_accrual) {
        refuse(&accrual.place, "callers tell by two rules who fails", "keep `outlier_detection:`, or `failure_accrual:`");
    }
    if let (Balance::PerConnection(_), Some(fail_fast)) = (balance, said.fail_fast.as_ref().filter(|said| said.value.is_some())) {
        refuse(&fail_fast.place, "nobody waits in kube-proxy", "write another `balance:`, one of a proxy, or remove this");
    }
    let (outliers, accrual) = (said.outlier_detection.as_ref(), said.failure_accrual.as_ref());
    if let (Balance::PerConnection(_), Some(place)) =
        (balance, outliers.map(|said| &said.place).or_else(|| accrual.map(|said| &said.place)))
    {
        refuse(place, "kube-proxy leaves nobody out", "write another `balance:`, one of a proxy that does, or remove this");
    }
    if let (Some(threshold), None) = (&said.panic_threshold, &said.outlier_detection) {
        refuse(&threshold.place, "nobody panics where nobody is left out", "add `outlier_detection: envoy`, or remove this");
    }
    if let (Some(_), Some(ttl)) = (&said.endpoint_propagation, &said.dns_ttl) {
        refuse(&ttl.place, "callers are told of changes, and resolve a name", "keep `endpoint_propagation:`, or `dns_ttl:`");
    }
    if let Some(slow_start) = &said.slow_start
        && !matches!(balance, Balance::RoundRobin | Balance::LeastRequest { .. })
    {
        let why = "a slow start needs a balance that knows weights";
        refuse(&slow_start.place, why, "write `balance: round_robin` or `balance: least_request`");
    }
    if let Some(OutlierDocument { base_ejection_time: Some(base), max_ejection_time: Some(max), .. }) =
        said.outlier_detection.as_ref().map(|outliers| &outliers.value)
        && max.value < base.value
    {
        let why = format!("an ejection lasts {} at first, and {} at most", base.value, max.value);
        refuse(&max.place, &why, "write a `max_ejection_time` that is not below `base_ejection_time`");
    }
    if let Some(AccrualDocument { min_penalty: Some(min), max_penalty: Some(max), .. }) =
        said.failure_accrual.as_ref().map(|accrual| &accrual.value)
        && max.value < min.value
    {
        let why = format!("a rest lasts {} at first, and {} at most", min.value, max.value);
        refuse(&max.place, &why, "write a `max_penalty` that is not below `min_penalty`");
    }
}
