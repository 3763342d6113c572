//! How replicas come and go, with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{LifeSpec, ProbeSpec};

use crate::defaults;
use crate::document::lifecycle::BackoffDocument;
use crate::document::probe::ProbeDocument;
use crate::document::service::ServiceDocument;
use crate::lower::names::Names;
use crate::lower::{or, probe};

/// Lowers what a service says of the life of its replicas.
pub fn lower(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> LifeSpec {
    let said = &service.lifecycle;
    let (first_backoff, longest_backoff) = backoff(said.crash_backoff.as_ref().map(|backoff| &backoff.value));
    LifeSpec {
        readiness: lower_probe(reader, names, service, said.readiness.as_ref()),
        startup: lower_probe(reader, names, service, said.startup.as_ref()),
        scheduling: stated(said.scheduling.as_ref()),
        pull: stated(said.pull.as_ref()),
        grace: or(said.grace.as_ref(), || defaults::span("services.*.grace")),
        pre_stop: or(said.pre_stop.as_ref(), || defaults::span_or_none("services.*.pre_stop")).unwrap_or(Span::ZERO),
        first_backoff,
        longest_backoff,
    }
}

/// The probe that restarts a replica.
pub fn lower_liveness(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> Option<ProbeSpec> {
    lower_probe(reader, names, service, service.lifecycle.liveness.as_ref())
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
