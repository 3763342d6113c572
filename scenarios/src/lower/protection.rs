//! What protects callers, with every default filled in.

use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{
    BreakerSpec, BudgetSpec, Causes, HedgeSpec, HeedSpec, Jitter, OverQuotaSpec, PoolSpec, ProtectionSpec, RetrySpec, ThrottleSpec,
};

use crate::defaults;
use crate::document::client::RetriesDocument;
use crate::document::protection::{BreakerDocument, BudgetDocument, ProtectionDocument};
use crate::lower::or;
use crate::problem;

/// Retries of a client or a call: what is said, else what their preset says, else what is assumed of all.
pub fn lower_retries(retries: Option<&RetriesDocument>) -> RetrySpec {
    let none = RetriesDocument::default();
    let said = retries.unwrap_or(&none);
    let preset = said.preset.as_ref().map_or(none.clone(), |preset| defaults::retries(preset.value));
    RetrySpec {
        max: or(said.max.as_ref().or(preset.max.as_ref()), || defaults::count("clients.*.retries.max")),
        base: or(said.backoff.as_ref().or(preset.backoff.as_ref()), || defaults::span("retries.backoff")),
        growth: or(said.factor.as_ref().or(preset.factor.as_ref()), || defaults::growth("retries.factor")),
        cap: or(said.cap.as_ref().or(preset.cap.as_ref()), || defaults::span("retries.cap")),
        jitter: or(said.jitter.as_ref().or(preset.jitter.as_ref()), || {
            if defaults::text("retries.jitter") == "true" { Jitter::Full } else { Jitter::None }
        }),
        budget: said.budget.as_ref().or(preset.budget.as_ref()).map(lower_budget),
        on: or(said.on.as_ref().or(preset.on.as_ref()), || Causes::ALL),
        elsewhere: or(said.elsewhere.as_ref().or(preset.elsewhere.as_ref()), || defaults::count("retries.elsewhere")),
        within: or(said.within.as_ref().or(preset.within.as_ref()), || defaults::span_or_none("retries.within")),
        over_quota: lower_over_quota(said, &preset),
    }
}

/// Refuses a budget of retries where none is ever made.
pub fn check_budget(reader: &mut Reader, retries: Option<&RetriesDocument>) {
    let Some(RetriesDocument { max: Some(max), budget: Some(_), .. }) = retries else { return };
    if max.value == 0 {
        let remedy = "let `max` be 1 or more, or remove the `budget`";
        reader.problem(problem::impossible(&max.place, "a budget of retries, of which there are none", remedy));
    }
}

/// A second attempt that would be sent when the first has been given up.
pub fn check_hedge(reader: &mut Reader, protection: &ProtectionDocument, timeout: Option<Span>) {
    if let (Some(hedge), Some(timeout)) = (&protection.hedge, timeout)
        && hedge.value >= timeout
    {
        let why = format!("a second attempt comes after {}, and the first is given up after {timeout}", hedge.value);
        reader.problem(problem::impossible(&hedge.place, &why, "let `hedge` be shorter than the timeout, or remove it"));
    }
}

/// What is different after a 429, if anything is.
fn lower_over_quota(said: &RetriesDocument, preset: &RetriesDocument) -> Option<Box<OverQuotaSpec>> {
    let base = said.throttled_backoff.as_ref().or(preset.throttled_backoff.as_ref()).map(|base| base.value);
    let heed = said.retry_after.as_ref().or(preset.retry_after.as_ref()).and_then(|heed| heed.value.as_ref());
    let heed = heed.map(|heed| heed.of.map_or_else(|| heed.clone(), defaults::heed)).map(|heed| HeedSpec {
        instead: or(heed.instead.as_ref(), || defaults::text("retry_after.instead") == "true"),
        most: or(heed.most.as_ref(), || defaults::span_or_none("retry_after.most")),
        jitter: or(heed.jitter.as_ref(), || defaults::ratio("retry_after.jitter")),
    });
    (base.is_some() || heed.is_some()).then(|| Box::new(OverQuotaSpec { base, heed }))
}

fn lower_budget(budget: &BudgetDocument) -> BudgetSpec {
    match budget {
        BudgetDocument::Grpc { max_tokens, token_ratio } => BudgetSpec::Grpc {
            tokens: or(max_tokens.as_ref(), || defaults::count("budget.grpc.max_tokens")),
            millis: (or(token_ratio.as_ref(), || defaults::number("budget.grpc.token_ratio")) * 1000.0).round() as u32,
        },
        BudgetDocument::Finagle { share, min_per_second, ttl } => BudgetSpec::Share {
            share: or(share.as_ref(), || defaults::ratio("budget.finagle.share")),
            least_per_second: or(min_per_second.as_ref(), || defaults::count("budget.finagle.min_per_second")),
            ttl: or(ttl.as_ref(), || defaults::span("budget.finagle.ttl")),
        },
        BudgetDocument::Aws { tokens, cost, timeout_cost } => BudgetSpec::Aws {
            tokens: or(tokens.as_ref(), || defaults::count("budget.aws.tokens")),
            cost: or(cost.as_ref(), || defaults::count("budget.aws.cost")),
            timeout_cost: or(timeout_cost.as_ref(), || defaults::count("budget.aws.timeout_cost")),
        },
        BudgetDocument::Envoy { share, min_concurrency } => BudgetSpec::Concurrent {
            share: or(share.as_ref(), || defaults::ratio("budget.envoy.share")),
            least: or(min_concurrency.as_ref(), || defaults::count("budget.envoy.min_concurrency")),
        },
    }
}

/// What stands between a caller and the service that it calls.
pub fn lower(reader: &mut Reader, protection: &ProtectionDocument) -> ProtectionSpec {
    ProtectionSpec {
        breaker: protection.breaker.as_ref().map(|breaker| lower_breaker(reader, breaker)),
        most_requests: protection.most_requests.as_ref().map(|most| most.value),
        pool: protection.pool.as_ref().map(|pool| PoolSpec {
            size: or(pool.size.as_ref(), || defaults::count("pool.size")),
            timeout: or(pool.timeout.as_ref(), || defaults::span("pool.timeout")),
        }),
        throttle: protection.throttle.as_ref().map(|throttle| ThrottleSpec {
            k: or(throttle.k.as_ref(), || defaults::factor("throttle.k")),
            window: or(throttle.window.as_ref(), || defaults::span("throttle.window")),
        }),
        hedge: protection.hedge.as_ref().map(|after| HedgeSpec { after: after.value }),
    }
}

fn lower_breaker(reader: &mut Reader, breaker: &BreakerDocument) -> BreakerSpec {
    let window = or(breaker.window.as_ref(), || defaults::window("breaker.window"));
    let least_calls = or(breaker.minimum_calls.as_ref(), || defaults::count("breaker.minimum_calls"));
    if let (firedrill_sim::spec::Window::Count(calls), Some(said)) = (window, &breaker.minimum_calls)
        && said.value > calls
    {
        let what = format!("a breaker that waits for {} results and looks back on {calls}", said.value);
        reader.problem(problem::impossible(&said.place, &what, "let `minimum_calls` be at most `window`"));
    }
    let percent = |share: firedrill_core::quantity::Ratio| share.get() * 100.0;
    BreakerSpec {
        window,
        least_calls,
        failure_percent: percent(or(breaker.failure_rate.as_ref(), || defaults::ratio("breaker.failure_rate"))),
        slow_percent: percent(or(breaker.slow_call_rate.as_ref(), || defaults::ratio("breaker.slow_call_rate"))),
        slow_after: or(breaker.slow_call.as_ref(), || defaults::span("breaker.slow_call")),
        open_for: or(breaker.open_for.as_ref(), || defaults::span("breaker.open_for")),
        half_open_calls: or(breaker.half_open_calls.as_ref(), || defaults::count("breaker.half_open_calls")),
    }
}
