//! How replicas come and go, beside their start-up.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{Amount, DisruptionSpec};

use crate::document::probe::{self, ProbeDocument};
use crate::notation::{bounded_span, distribution, optional, positive_span, unless};
use crate::problem;

/// What a service says of the life of its replicas.
#[derive(Clone, Debug, Default)]
pub struct LifecycleDocument {
    /// The probe that restarts a replica; the inner `None` says that there is none.
    pub liveness: Option<Located<Option<ProbeDocument>>>,
    /// The probe that takes a replica out of balancing; the inner `None` says that there is none.
    pub readiness: Option<Located<Option<ProbeDocument>>>,
    /// The probe that the others wait for; the inner `None` says that there is none.
    pub startup: Option<Located<Option<ProbeDocument>>>,
    /// From creation until there is a node; the inner `None`: no time.
    pub scheduling: Option<Located<Option<Distribution>>>,
    /// From there until the image is there; the inner `None`: no time.
    pub pull: Option<Located<Option<Distribution>>>,
    /// How long a replica that is removed may go on.
    pub grace: Option<Located<Span>>,
    /// From its removal until it is told to stop; the inner `None`: no time.
    pub pre_stop: Option<Located<Option<Span>>>,
    /// Pauses before restarts.
    pub crash_backoff: Option<Located<BackoffDocument>>,
    /// What evictions must leave; the inner `None` says that there is no bound.
    pub disruption: Option<Located<Option<DisruptionSpec>>>,
}

/// `crash_backoff: reduced`, or `crash_backoff: { longest: 30s }`.
#[derive(Clone, Debug, Default)]
pub struct BackoffDocument {
    /// Whether the kubelet's reduced curve is meant.
    pub reduced: bool,
    /// The first pause.
    pub first: Option<Located<Span>>,
    /// The longest pause.
    pub longest: Option<Located<Span>>,
}

/// Reads what a service says of the life of its replicas.
pub fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> LifecycleDocument {
    let none_or = |r: &mut Reader, n: &Node, what: &str| unless(r, n, "none", |r, n| distribution(r, n, what));
    LifecycleDocument {
        scheduling: optional(reader, fields, "scheduling", |r, n| none_or(r, n, "the time until there is a node")),
        pull: optional(reader, fields, "pull", |r, n| none_or(r, n, "the time until the image is there")),
        startup: optional(reader, fields, "startup", |r, n| unless(r, n, "none", |r, n| probe::read(r, n, "a startup probe", false))),
        readiness: optional(reader, fields, "readiness", |r, n| unless(r, n, "none", |r, n| probe::read(r, n, "a readiness probe", true))),
        liveness: optional(reader, fields, "liveness", |r, n| unless(r, n, "none", |r, n| probe::read(r, n, "a liveness probe", false))),
        crash_backoff: optional(reader, fields, "crash_backoff", read_backoff),
        pre_stop: optional(reader, fields, "pre_stop", |r, n| unless(r, n, "none", |r, n| bounded_span(r, n, "the pause before the end"))),
        grace: optional(reader, fields, "grace", |r, n| positive_span(r, n, "the grace")),
        disruption: optional(reader, fields, "disruption_budget", |r, n| unless(r, n, "none", read_disruption)),
    }
}

/// `disruption_budget: { min_available: 2 }`, or `{ max_unavailable: 25% }`.
fn read_disruption(reader: &mut Reader, node: &Node) -> Option<DisruptionSpec> {
    let mut fields = reader.fields(node, "a disruption budget")?;
    let min = optional(reader, &mut fields, "min_available", read_amount);
    let max = optional(reader, &mut fields, "max_unavailable", read_amount);
    let (both, nothing) = (fields.has("min_available") && fields.has("max_unavailable"), fields.entries().is_empty());
    fields.finish(reader);
    if both {
        let fault = "a disruption budget says how many must stay, or how many may be missing, and not both";
        reader.problem(problem::impossible(&node.place, fault, "remove `min_available` or `max_unavailable`"));
    } else if nothing {
        reader.problem(problem::impossible(
            &node.place,
            "a disruption budget that says nothing",
            "add `min_available` or `max_unavailable`",
        ));
    }
    let min = min.map(|min| DisruptionSpec::MinAvailable(min.value));
    min.or_else(|| max.map(|max| DisruptionSpec::MaxUnavailable(max.value)))
}

/// Reads some replicas: a number, or a share with its `%`.
pub fn read_amount(reader: &mut Reader, node: &Node) -> Option<Amount> {
    if matches!(&node.value, Value::Text(text) if text.trim_end().ends_with('%')) {
        return reader.ratio(node, "a share of replicas").map(Amount::Share);
    }
    reader.integer(node, "a number of replicas", 0..=problem::MOST_REPLICAS).map(|count| Amount::Count(count as u32))
}

fn read_backoff(reader: &mut Reader, node: &Node) -> Option<BackoffDocument> {
    if !matches!(node.value, Value::Map(_)) {
        let reduced = reader.one_of(node, "a back-off", &[("standard", false), ("reduced", true)])?;
        return Some(BackoffDocument { reduced, ..BackoffDocument::default() });
    }
    let mut fields = reader.fields(node, "a back-off")?;
    let first = optional(reader, &mut fields, "first", |r, n| positive_span(r, n, "the first pause"));
    let longest = optional(reader, &mut fields, "longest", |r, n| positive_span(r, n, "the longest pause"));
    fields.finish(reader);
    Some(BackoffDocument { reduced: false, first, longest })
}
