//! Probes with every default filled in.

use firedrill_core::name::Name;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ProbePath, ProbeSpec};

use crate::defaults;
use crate::document::probe::ProbeDocument;
use crate::lower::names::Names;
use crate::lower::or;

/// Lowers one probe of a service.
pub fn lower(reader: &mut Reader, names: &Names, service: &Name, said: &ProbeDocument) -> ProbeSpec {
    let among_requests = or(said.among_requests.as_ref(), || defaults::text("probe.path") == "traffic");
    let path = match &said.endpoint {
        _ if !among_requests => ProbePath::Separate,
        Some(endpoint) => ProbePath::Endpoint(names.endpoint(reader, service, Some(&endpoint.value), &endpoint.place)),
        None => ProbePath::Traffic(or(said.cost.as_ref(), || defaults::distribution("probe.cost"))),
    };
    ProbeSpec {
        initial_delay: or(said.initial_delay.as_ref(), || defaults::span("probe.initial_delay")),
        period: or(said.period.as_ref(), || defaults::span("probe.period")),
        timeout: or(said.timeout.as_ref(), || defaults::span("probe.timeout")),
        successes: or(said.successes.as_ref(), || defaults::count("probe.successes")),
        failures: or(said.failures.as_ref(), || defaults::count("probe.failures")),
        path,
    }
}
