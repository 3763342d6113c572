//! Probes: what asks a replica whether it lives, is ready, has started.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::notation::{bounded_span, distribution, optional, span_from};
use crate::problem;

/// `liveness: { period: 10s, timeout: 1s, failures: 3, path: traffic, cost: 1ms }`.
#[derive(Clone, Debug, Default)]
pub struct ProbeDocument {
    /// From a process's start until the first probe.
    pub initial_delay: Option<Located<Span>>,
    /// From one probe to the next.
    pub period: Option<Located<Span>>,
    /// How long one probe waits.
    pub timeout: Option<Located<Span>>,
    /// Successes in a row before it counts; of readiness only.
    pub successes: Option<Located<u32>>,
    /// Failures in a row before it counts.
    pub failures: Option<Located<u32>>,
    /// Whether it waits with the requests.
    pub among_requests: Option<Located<bool>>,
    /// CPU time of a probe that waits with the requests.
    pub cost: Option<Located<Distribution>>,
    /// The endpoint that is asked.
    pub endpoint: Option<Located<Name>>,
}

/// Reads a probe. `what` is `a liveness probe`, …; only readiness may ask for several successes.
pub fn read(reader: &mut Reader, node: &Node, what: &str, with_successes: bool) -> Option<ProbeDocument> {
    let mut fields = reader.fields(node, what)?;
    let in_a_row = |r: &mut Reader, n: &Node, what: &str| r.integer(n, what, 1..=1000).map(|count| count as u32);
    let initial_delay = optional(reader, &mut fields, "initial_delay", |r, n| bounded_span(r, n, "the delay of the first probe"));
    let period = optional(reader, &mut fields, "period", |r, n| span_from(r, n, "the period of the probe", problem::SHORTEST_PROBE_MS));
    let timeout = optional(reader, &mut fields, "timeout", |r, n| span_from(r, n, "the timeout of the probe", problem::SHORTEST_PROBE_MS));
    let successes = if with_successes {
        optional(reader, &mut fields, "successes", |r, n| in_a_row(r, n, "the number of successes in a row"))
    } else {
        None
    };
    let failures = optional(reader, &mut fields, "failures", |r, n| in_a_row(r, n, "the number of failures in a row"));
    let paths = [("separate", false), ("traffic", true)];
    let among_requests = optional(reader, &mut fields, "path", |r, n| r.one_of(n, "a path of a probe", &paths));
    let cost = optional(reader, &mut fields, "cost", |r, n| distribution(r, n, "the CPU time of a probe"));
    let endpoint = optional(reader, &mut fields, "endpoint", |r, n| r.name(n, "the name of an endpoint"));
    fields.finish(reader);
    let document = ProbeDocument { initial_delay, period, timeout, successes, failures, among_requests, cost, endpoint };
    document.check(reader);
    Some(document)
}

impl ProbeDocument {
    fn check(&self, reader: &mut Reader) {
        let costs = self.cost.as_ref().map(|cost| &cost.place).or_else(|| self.endpoint.as_ref().map(|endpoint| &endpoint.place));
        if let Some(place) = costs.filter(|_| !self.among_requests.as_ref().is_some_and(|among| among.value)) {
            let fault = "a probe on a port of its own costs nothing and asks no endpoint";
            reader.problem(problem::impossible(place, fault, "add `path: traffic`, so that it waits with the requests, or remove this"));
        }
        if let (Some(_), Some(endpoint)) = (&self.cost, &self.endpoint) {
            let fault = "a probe costs what its endpoint costs, and this says another cost too";
            reader.problem(problem::impossible(&endpoint.place, fault, "keep `cost` or `endpoint`"));
        }
    }
}
