//! Who is let in, who is next and who is dropped, in prose.

use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_sim::spec::{AdmissionSpec, ConcurrencySpec, ControlSpec, Discipline, DropRule, LimitSpec, Priority};

/// What a service does before a worker takes a request up; each part begins with a semicolon.
pub(super) fn text(admission: &AdmissionSpec) -> String {
    let mut parts = vec![discipline(admission.discipline), drop(admission.drop)];
    parts.push(admission.longest_wait.map(|longest| format!("who has waited {longest} is turned away")));
    parts.push(admission.propagates.map(|margin| match margin {
        Span::ZERO => "its calls end with the deadline of their request".to_owned(),
        margin => format!("its calls end {margin} before the deadline of their request"),
    }));
    parts.push(admission.concurrency.as_ref().map(concurrency));
    parts.push(admission.rate_limit.map(|limit| {
        let wait = if limit.wait == Span::ZERO { String::new() } else { format!(", others wait up to {}", limit.wait) };
        format!("{} are let in every {}{wait}", counted(u64::from(limit.limit), "request"), limit.period)
    }));
    parts.push(admission.quota.map(|quota| {
        let when = if quota.retry_after { " that says when to ask again" } else { "" };
        format!("all callers together may ask {}, others get a 429{when}", quota.rate)
    }));
    parts.push(admission.control.as_ref().map(control));
    parts.into_iter().flatten().map(|part| format!("; {part}")).collect()
}

fn discipline(discipline: Discipline) -> Option<String> {
    Some(match discipline {
        Discipline::Fifo => return None,
        Discipline::Lifo => "who came last is served first".to_owned(),
        Discipline::AdaptiveLifo { interval } => format!("who came last is served first once the queue has stood for {interval}"),
        Discipline::Codel { target, interval } => {
            format!("once the queue has stood for {interval} who came last is served first, and who waits longer than {target} is dropped")
        }
        Discipline::Priority => "the more important are served first, and the less important make room for them".to_owned(),
        Discipline::EarliestDeadline => "whose deadline is nearest is served first".to_owned(),
    })
}

fn drop(rule: DropRule) -> Option<String> {
    Some(match rule {
        DropRule::None => return None,
        DropRule::Expired => "whose deadline has passed is dropped".to_owned(),
        DropRule::Late(Some(need)) => format!("who has less than {need} left to the deadline is dropped"),
        DropRule::Late(None) => "who has less than the mean work left to the deadline is dropped".to_owned(),
    })
}

fn concurrency(concurrency: &ConcurrencySpec) -> String {
    let limit = match concurrency.limit {
        LimitSpec::Fixed { limit, wait: Span::ZERO } => format!("at most {limit} in flight"),
        LimitSpec::Fixed { limit, wait } => format!("at most {limit} in service, others wait up to {wait}"),
        LimitSpec::Gradient2(range) => format!("{} to {} in flight, as Gradient2 finds", range.least, range.most),
        LimitSpec::Vegas(range) => format!("{} to {} in flight, as Vegas finds", range.least, range.most),
        LimitSpec::Aimd { range, .. } => format!("{} to {} in flight, as AIMD finds", range.least, range.most),
        LimitSpec::Envoy { range, .. } => format!("{} to {} in flight, as Envoy's gradient finds", range.least, range.most),
    };
    let shares = Priority::ALL.into_iter().zip(concurrency.shares).filter(|(_, share)| *share != Ratio::ONE);
    let shares: Vec<String> = shares.map(|(class, share)| format!("{} priority up to {share} of that", class.word())).collect();
    if shares.is_empty() { limit } else { format!("{limit}, {}", shares.join(", ")) }
}

fn control(control: &ControlSpec) -> String {
    format!("up to {} are turned away at random while fewer than {} succeed", control.most, control.success)
}

#[cfg(test)]
mod tests {
    use crate::read_scenario;

    #[track_caller]
    fn check(service: &str, expected: &str) {
        let text = format!(
            "schema: scenario/1\nscenario: x\nclients: {{ users: {{ calls: api, rate: 1/s, priority: high }} }}\n\
             services: {{ api: {{ work: [cpu: 10ms], {service} }} }}\n"
        );
        let scenario = read_scenario("x.yaml", &text).unwrap();
        let told = crate::explain::scenario(&scenario);
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn doors_and_queues_are_told_in_prose() {
        check("queue: { discipline: codel, drop: late }", "once the queue has stood for 100ms who came last is served first");
        check(
            "queue: { drop: late, need: 20ms, longest_wait: 5s }",
            "; who has less than 20ms left to the deadline is dropped; who has waited 5s",
        );
        check("concurrency: { limit: 50, shares: { low: 50% } }", "; at most 50 in flight, low priority up to 50% of that");
        check("concurrency: { algorithm: vegas }", "; 1 to 1000 in flight, as Vegas finds");
        check("rate_limit: { limit: 50, wait: 0s }", "; 50 requests are let in every 1s");
        check("admission_control: envoy", "; up to 80% are turned away at random while fewer than 95% succeed");
        check("deadline: propagate", "; its calls end with the deadline of their request");
        check("queue: 5", "; slower than 1s is bad; of high priority");
    }
}
