//! Autoscalers: what they aim at, between which bounds, and how fast.

use firedrill_core::problem::Located;
use firedrill_core::quantity::Rate;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{PolicySelect, ScalingPolicy, ScalingStep, Tolerance};

use crate::document::items;
use crate::notation::{bounded_span, interval, optional, positive_span, required};
use crate::problem;

/// `autoscaler: { min: 2, max: 20, cpu: 60% }`.
#[derive(Clone, Debug)]
pub struct AutoscalerDocument {
    /// The fewest replicas.
    pub min: Option<Located<u32>>,
    /// The most replicas.
    pub max: Option<Located<u32>>,
    /// CPU aimed at, percent of what a replica asks for.
    pub cpu: Option<Located<u32>>,
    /// Memory aimed at, percent of what a replica asks for.
    pub memory: Option<Located<u32>>,
    /// Requests that a replica answers, aimed at.
    pub requests: Option<Located<Rate>>,
    /// How near to its aim it leaves things as they are.
    pub tolerance: Option<Located<Tolerance>>,
    /// How fast it may go up.
    pub scale_up: Option<Located<RulesDocument>>,
    /// How fast it may go down.
    pub scale_down: Option<Located<RulesDocument>>,
    /// From one decision to the next.
    pub sync: Option<Located<Span>>,
    /// From one reading to the next.
    pub resolution: Option<Located<Span>>,
}

/// What may be said of which policy counts.
pub const SELECTS: [(&str, PolicySelect); 2] = [("largest", PolicySelect::Largest), ("smallest", PolicySelect::Smallest)];

/// `scale_down: { window: 5m, policies: [{ percent: 100%, every: 15s }], select: largest }`, or `disabled`.
#[derive(Clone, Debug, Default)]
pub struct RulesDocument {
    /// How long recommendations are remembered.
    pub window: Option<Located<Span>>,
    /// What may change in a time.
    pub policies: Option<Located<Vec<ScalingPolicy>>>,
    /// Which policy counts.
    pub select: Option<Located<PolicySelect>>,
}

/// The longest window, and the longest time of a policy, that an autoscaler takes (`MaxStabilizationWindowSeconds` and `MaxPeriodSeconds` in
/// `pkg/apis/autoscaling/validation`).
const LONGEST_WINDOW: Span = Span::from_minutes(60);
const LONGEST_PERIOD: Span = Span::from_minutes(30);

/// The largest share that may be aimed at, percent.
const HIGHEST_PERCENT: u32 = 10_000;

/// Reads an autoscaler.
pub fn read(reader: &mut Reader, node: &Node) -> Option<AutoscalerDocument> {
    let mut fields = reader.fields(node, "an autoscaler")?;
    let count = |r: &mut Reader, n: &Node, what: &str| r.integer(n, what, 1..=problem::MOST_REPLICAS).map(|count| count as u32);
    let min = optional(reader, &mut fields, "min", |r, n| count(r, n, "the fewest replicas"));
    let max = required(reader, &mut fields, "max", |r, n| count(r, n, "the most replicas"));
    let cpu = optional(reader, &mut fields, "cpu", |r, n| percent(r, n, "the CPU aimed at"));
    let memory = optional(reader, &mut fields, "memory", |r, n| percent(r, n, "the memory aimed at"));
    let requests = optional(reader, &mut fields, "requests", read_requests);
    let tolerances = [("current", Tolerance::Current), ("classic", Tolerance::Classic)];
    let tolerance = optional(reader, &mut fields, "tolerance", |r, n| r.one_of(n, "a tolerance", &tolerances));
    let scale_up = optional(reader, &mut fields, "scale_up", read_rules);
    let scale_down = optional(reader, &mut fields, "scale_down", read_rules);
    let sync = optional(reader, &mut fields, "sync", |r, n| interval(r, n, "the time from one decision to the next"));
    let resolution = optional(reader, &mut fields, "resolution", |r, n| interval(r, n, "the time from one reading to the next"));
    fields.finish(reader);
    if let (Some(min), Some(max)) = (&min, &max)
        && min.value > max.value
    {
        let fault = format!("at least {} replicas, and at most {}", min.value, max.value);
        reader.problem(problem::impossible(&min.place, &fault, "let `min` be no more than `max`"));
    }
    Some(AutoscalerDocument { min, max, cpu, memory, requests, tolerance, scale_up, scale_down, sync, resolution })
}

/// A whole share that may be more than all: `60%`, `150%`.
fn percent(reader: &mut Reader, node: &Node, what: &str) -> Option<u32> {
    let text = if let Value::Text(text) = &node.value { text.trim() } else { "" };
    let whole = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    let known = whole.filter(|percent| (1..=HIGHEST_PERCENT).contains(percent));
    if known.is_none() {
        let fault = format!("{what} is no whole share from 1% to {HIGHEST_PERCENT}%");
        reader.problem(problem::impossible(&node.place, &fault, "write it as `60%`"));
    }
    known
}

fn read_requests(reader: &mut Reader, node: &Node) -> Option<Rate> {
    let rate = reader.rate(node, "the requests aimed at")?;
    if rate.get() < 1e-3 {
        reader.problem(problem::impossible(
            &node.place,
            "no requests are aimed at",
            "write the requests that one replica shall answer, such as `100/s`",
        ));
        return None;
    }
    Some(rate)
}

fn read_rules(reader: &mut Reader, node: &Node) -> Option<RulesDocument> {
    if matches!(&node.value, Value::Text(text) if &**text == "disabled") {
        let select = Some(Located { place: node.place.clone(), value: PolicySelect::Disabled });
        return Some(RulesDocument { select, ..RulesDocument::default() });
    }
    let mut fields = reader.fields(node, "the rules of one direction")?;
    let window = optional(reader, &mut fields, "window", |r, n| {
        bounded_span(r, n, "the window").and_then(|window| no_longer(r, n, "the window", (window, LONGEST_WINDOW)))
    });
    let policies = optional(reader, &mut fields, "policies", read_policies);
    let select = optional(reader, &mut fields, "select", |r, n| r.one_of(n, "a choice of policies", &SELECTS));
    fields.finish(reader);
    Some(RulesDocument { window, policies, select })
}

/// A duration that an autoscaler takes.
fn no_longer(reader: &mut Reader, node: &Node, what: &str, (span, most): (Span, Span)) -> Option<Span> {
    if span > most {
        let fault = format!("{what} is {span}, and Kubernetes takes no more than {most}");
        reader.problem(problem::impossible(&node.place, &fault, &format!("write {most} or less")));
        return None;
    }
    Some(span)
}

fn read_policies(reader: &mut Reader, node: &Node) -> Option<Vec<ScalingPolicy>> {
    let policies = items(reader, node, "the policies of an autoscaler", read_policy);
    if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        let remedy = "write such as `[{ replicas: 4, every: 15s }]`, or `disabled` for this direction";
        reader.problem(problem::nothing_there(&node.place, "the list of policies is empty", remedy));
    }
    (!policies.is_empty()).then_some(policies)
}

fn read_policy(reader: &mut Reader, node: &Node) -> Option<ScalingPolicy> {
    let mut fields = reader.fields(node, "a policy of an autoscaler")?;
    let percent = optional(reader, &mut fields, "percent", |r, n| percent(r, n, "the change"));
    let replicas =
        optional(reader, &mut fields, "replicas", |r, n| r.integer(n, "the change", 1..=problem::MOST_REPLICAS).map(|count| count as u32));
    let every = required(reader, &mut fields, "every", |r, n| {
        let what = "the time of a policy";
        positive_span(r, n, what).and_then(|period| no_longer(r, n, what, (period, LONGEST_PERIOD)))
    });
    let told = fields_told(&mut fields);
    fields.finish(reader);
    let step = match (percent, replicas) {
        (Some(percent), None) => ScalingStep::Percent(percent.value),
        (None, Some(replicas)) => ScalingStep::Replicas(replicas.value),
        (Some(_), Some(_)) => {
            reader.problem(problem::impossible(&node.place, "a change is said twice", "keep `percent` or `replicas`"));
            return None;
        }
        (None, None) => {
            if !told {
                reader.problem(problem::impossible(&node.place, "a policy that says no change", "add `percent: 100%` or `replicas: 4`"));
            }
            return None;
        }
    };
    Some(ScalingPolicy { step, period: every?.value })
}

/// Whether one of the changes is there, sound or not.
fn fields_told(fields: &mut Fields<'_>) -> bool {
    fields.entries().iter().any(|(key, _)| matches!(&*key.text, "percent" | "replicas"))
}
