//! What stands beside requests and faults, in prose: machines, how replicas come and go, caches, how a run is watched and bounded, who may be asked,
//! and what may differ in variants.

use firedrill_core::name::Name;
use firedrill_core::quantity::Factor;
use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_sim::automation::ApproverSpec;
use firedrill_sim::spec::{
    AutoscalerSpec, CacheSpec, MetricSpec, NodePoolSpec, PolicySelect, Profile, ScalingRules, ScalingStep, ServiceSpec, Tolerance,
    WorldSpec,
};

use super::figures::{amount, cores_of, mean};
use crate::document::chaos::ChaosDocument;

pub(super) fn node_text(pool: &NodePoolSpec) -> String {
    let each = if pool.count == 1 { "" } else { "each " };
    let (machines, cores) = (counted(u64::from(pool.count), "machine"), cores_of(pool.millicores as f64 / 1e3));
    format!("{}: {machines} in zone {}, {each}with {cores} and {} for replicas", pool.name, pool.zone, pool.memory)
}

pub(super) fn cache_text(cache: &CacheSpec) -> String {
    let mut text = format!("cache {}: {}", cache.name, counted(u64::from(cache.keys), "key"));
    if cache.zipf > 0.0 {
        text += &format!(", the k-th most popular asked for in proportion to k^-{}", amount(cache.zipf));
    }
    text += &cache.capacity.map_or_else(|| ", room for all".to_owned(), |most| format!(", room for {most} of them"));
    text += &cache.ttl.map_or_else(|| ", kept until pushed out".to_owned(), |ttl| format!(", kept for {ttl}"));
    text += if cache.coalesce { "; who misses a key that is being asked for waits for that answer" } else { "; who misses asks" };
    text += if cache.late_fill { "; answers that come too late are kept" } else { "" };
    text + if cache.warm { "; warm at the start" } else { "; empty at the start" }
}

/// How replicas come to their nodes, how they are replaced, and how they go.
pub(super) fn replaced_text(service: &ServiceSpec) -> String {
    let (life, rollout) = (&service.life, &service.rollout);
    let mut parts = Vec::new();
    let cores = (life.request_millicores > 0).then(|| cores_of(life.request_millicores as f64 / 1e3));
    let memory = (life.request_memory.get() > 0).then(|| life.request_memory.to_string());
    let asked: Vec<String> = cores.into_iter().chain(memory).collect();
    if !asked.is_empty() {
        parts.push(format!("a replica asks its machine for {}", asked.join(" and ")));
    }
    parts.extend(life.scheduling.as_ref().map(|takes| format!("it has a machine after {} on average", mean(takes))));
    parts.extend(life.pull.as_ref().map(|takes| format!("its image is there {} later on average", mean(takes))));
    let ready =
        if rollout.min_ready > Span::ZERO { format!(", each once it has been ready for {}", rollout.min_ready) } else { String::new() };
    parts.push(format!(
        "a new version replaces the old with up to {} more and {} fewer{ready}; a rollout that stands still is told after {}",
        rollout.max_surge, rollout.max_unavailable, rollout.progress_deadline
    ));
    parts.push(format!("who is removed has {} to end", life.grace));
    parts.push(format!("a process that ends again waits {}, then twice as long up to {}", life.first_backoff, life.longest_backoff));
    parts.join("; ")
}

pub(super) fn autoscaler_text(autoscaler: &AutoscalerSpec) -> String {
    let near = match autoscaler.tolerance {
        Tolerance::Classic => ", left alone within a tenth as before Kubernetes 1.33",
        Tolerance::Current => "",
    };
    let speed = match &autoscaler.behaviour {
        None => "at most twice as many at a time, or four, and the most of 5m before it takes away".to_owned(),
        Some(behaviour) => format!("up {}, down {}", rules_text(&behaviour.up), rules_text(&behaviour.down)),
    };
    format!(" ({speed}; decided every {} by figures of every {}{near})", autoscaler.sync, autoscaler.resolution)
}

fn rules_text(rules: &ScalingRules) -> String {
    let policies = rules.policies.iter().map(|policy| match policy.step {
        ScalingStep::Replicas(count) => format!("by {count} in {}", policy.period),
        ScalingStep::Percent(percent) => format!("by {percent}% in {}", policy.period),
    });
    let policies: Vec<String> = policies.collect();
    let joined = match rules.select {
        PolicySelect::Disabled => return "never".to_owned(),
        PolicySelect::Largest => policies.join(" or "),
        PolicySelect::Smallest if policies.len() > 1 => format!("the less of {}", policies.join(" and ")),
        PolicySelect::Smallest => policies.join(""),
    };
    if rules.window == Span::ZERO { joined } else { format!("{joined}, the most cautious of {}", rules.window) }
}

/// The metrics that a service shows beside the standard ones; `None`: none.
pub(super) fn shown_text(profiles: &[Profile], metrics: &[MetricSpec]) -> Option<String> {
    let profiles: Vec<&str> = profiles.iter().map(|profile| profile.word()).collect();
    let mut own: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
    own.dedup();
    let parts = [("as ", profiles), ("by ", own)].into_iter().filter(|(_, names)| !names.is_empty());
    let told: Vec<String> = parts.map(|(word, names)| format!("{word}{}", names.join(", "))).collect();
    (!told.is_empty()).then(|| format!("shows itself {}", told.join(" and ")))
}

/// How a run is watched, acted on and bounded; a line each.
pub(super) fn frame_lines(spec: &WorldSpec) -> Vec<String> {
    let mut lines = vec![format!("every target is scraped every {}", spec.scrape.interval)];
    lines.extend(shown_text(&spec.profiles, &[]).map(|text| format!("the cluster {text}")));
    lines.push(format!(
        "an action takes effect {} after it is ordered on average, and {} of them fail",
        mean(&spec.actions.delay),
        spec.actions.failure
    ));
    let bounds = spec.bounds;
    lines.push(format!(
        "a run ends early at {} events, {} attempts under way, or {} records",
        bounds.events, bounds.attempts, bounds.records
    ));
    lines
}

/// People who may be asked whether an action is allowed; a line for each role.
pub(super) fn approver_text(approver: &ApproverSpec) -> String {
    let (role, people) = (&approver.role, counted(u64::from(approver.count), "person").replace("persons", "people"));
    let answer = mean(&approver.answer);
    format!("{role}: {people}, who answer after {answer} on average; {} do not answer, {} say no", approver.no_answer, approver.deny)
}

/// What may differ in a variant, as far as the scenario says it itself; a line each.
pub(super) fn chaos_lines(chaos: &ChaosDocument) -> Vec<String> {
    let range = |what: &str, range: Option<(Factor, Factor)>| range.map(|(least, most)| format!("{what} {least} to {most}"));
    let words = |what: &str, words: &Option<Vec<Name>>| {
        let list = |words: &Vec<Name>| words.iter().map(|word| &**word).collect::<Vec<&str>>().join(", ");
        words.as_ref().map(|words| if words.is_empty() { format!("no {what}") } else { format!("{what}: {}", list(words)) })
    };
    let targets = |may: bool| if may { "faults may strike others of their kind" } else { "faults strike what they are said to" }.to_owned();
    let told = [
        chaos.variants.map(|count| format!("{} in a gate", counted(u64::from(count), "variant"))),
        range("sizes", chaos.magnitude),
        chaos.start.map(|shift| format!("starts up to {shift} earlier or later")),
        range("durations", chaos.duration),
        chaos.targets.map(targets),
        words("second faults", &chaos.faults),
        words("benign changes", &chaos.changes),
        words("faults of monitoring", &chaos.monitoring),
        words("faults of actions", &chaos.actuator),
        chaos.tolerance.map(|share| format!("harm up to {share} of what is lost if nobody acts is tolerated")),
    ];
    told.into_iter().flatten().collect()
}
