//! How replicas come and go, with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{LifeSpec, ProbeSpec};

use crate::defaults;
use crate::document::lifecycle::BackoffDocument;
use crate::document::probe::ProbeDocument;
use crate::document::service::ServiceDocument;
use crate::lower::names::Names;
use crate::lower::{or, probe};
use crate::problem;

/// Lowers what a service says of the life of its replicas.
pub fn lower(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> LifeSpec {
    let said = &service.lifecycle;
    let (first_backoff, longest_backoff) = backoff(said.crash_backoff.as_ref().map(|backoff| &backoff.value));
    if let Some(said) = said.crash_backoff.as_ref().filter(|_| first_backoff > longest_backoff) {
        let why = format!("the first pause is {first_backoff}, and the longest {longest_backoff}");
        reader.problem(problem::impossible(&said.place, &why, "let `longest` be no shorter than `first`"));
    }
    LifeSpec {
        readiness: lower_probe(reader, names, service, said.readiness.as_ref()),
        startup: lower_probe(reader, names, service, said.startup.as_ref()),
        scheduling: stated(said.scheduling.as_ref()),
        pull: stated(said.pull.as_ref()),
        request_millicores: request_millicores(service).unwrap_or(0),
        request_memory: request_memory(service).unwrap_or_default(),
        grace: or(said.grace.as_ref(), || defaults::span("services.*.grace")),
        pre_stop: or(said.pre_stop.as_ref(), || defaults::span_or_none("services.*.pre_stop")).unwrap_or(Span::ZERO),
        first_backoff,
        longest_backoff,
        disruption: said.disruption.as_ref().and_then(|said| said.value),
    }
}

/// The probe that restarts a replica.
pub fn lower_liveness(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> Option<ProbeSpec> {
    lower_probe(reader, names, service, service.lifecycle.liveness.as_ref())
}

/// The cores that a replica may use; `None`: one for each worker.
pub fn cores(service: &ServiceDocument) -> Option<f64> {
    or(service.cores.as_ref(), || service.database.is_some().then(|| defaults::number("database.cores")))
}

/// The CPU that a replica asks for: as stated, or all that it may have.
pub fn request_millicores(service: &ServiceDocument) -> Option<u64> {
    let stated = service.cpu_request.as_ref().map(|request| request.value);
    let cores = stated.or_else(|| cores(service))?;
    Some(((cores * 1e3).round() as u64).max(1))
}

/// The memory that a replica asks for: as stated, or all that it may have.
pub fn request_memory(service: &ServiceDocument) -> Option<Bytes> {
    let stated = service.memory.request.as_ref().map(|request| request.value);
    stated.or_else(|| service.memory.limit.as_ref().and_then(|limit| limit.value))
}

fn lower_probe(
    reader: &mut Reader,
    names: &Names,
    service: &ServiceDocument,
    said: Option<&Located<Option<ProbeDocument>>>,
) -> Option<ProbeSpec> {
    said.and_then(|said| said.value.as_ref()).map(|document| probe::lower(reader, names, &service.name.value, document))
}

fn stated(said: Option<&Located<Option<Distribution>>>) -> Option<Distribution> {
    said.and_then(|said| said.value.clone())
}

fn backoff(said: Option<&BackoffDocument>) -> (Span, Span) {
    let nothing = BackoffDocument::default();
    let said = said.unwrap_or(&nothing);
    if said.reduced {
        return (defaults::span("crash_backoff.reduced.first"), defaults::span("crash_backoff.reduced.longest"));
    }
    let first = or(said.first.as_ref(), || defaults::span("crash_backoff.first"));
    (first, or(said.longest.as_ref(), || defaults::span("crash_backoff.longest")))
}
