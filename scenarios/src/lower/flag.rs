//! Flags with every default filled in, and what there is of them to be changed.

use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{FlagCallSpec, FlagSpec, Spread};

use crate::defaults;
use crate::document::flag::{FlagCallDocument, FlagDocument};
use crate::document::service::ServiceDocument;
use crate::lower::or;
use crate::problem;

/// Lowers the flags of a service, sorted by name.
pub fn lower(reader: &mut Reader, service: &ServiceDocument) -> Vec<FlagSpec> {
    let mut flags: Vec<FlagSpec> = service.flags.iter().map(|flag| lower_one(reader, service, flag)).collect();
    flags.sort_by(|left, right| left.name.cmp(&right.name));
    flags
}

/// Whether a service is sound with a flag: as it says itself, else as its figures say.
pub fn is_sound(flag: &FlagDocument) -> bool {
    let errors = flag.error.as_ref().is_some_and(|error| error.value > Ratio::ZERO);
    let demands = flag.demand.as_ref().is_some_and(|demand| demand.value > Factor::ONE);
    or(flag.healthy.as_ref(), || !errors && !demands)
}

fn lower_one(reader: &mut Reader, service: &ServiceDocument, flag: &FlagDocument) -> FlagSpec {
    if let (Some(_), Some(poll)) = (&flag.push, &flag.poll) {
        let what = format!("processes are told of `{}`, and ask for it", flag.name.value);
        reader.problem(problem::impossible(&poll.place, &what, "keep one of `push` and `poll`"));
    }
    let is_empty = flag.error.is_none() && flag.demand.is_none() && flag.calls.is_empty() && flag.healthy.is_none();
    // A misspelt key is told as what it is, and may well have been the change.
    if is_empty && flag.is_read {
        let remedy = "write what it changes: `demand: x1.5`, `error: 2%` or `calls: { prices: { timeout: 200ms } }`; or `healthy: true`";
        reader.problem(problem::impossible(&flag.name.place, &format!("the flag `{}` changes nothing", flag.name.value), remedy));
    }
    let spread = flag
        .poll
        .as_ref()
        .map_or_else(|| Spread::Push(or(flag.push.as_ref(), || defaults::distribution("flags.*.push"))), |poll| Spread::Poll(poll.value));
    FlagSpec {
        name: flag.name.value.clone(),
        healthy: is_sound(flag),
        demand: or(flag.demand.as_ref(), || defaults::factor("flags.*.demand")),
        error: or(flag.error.as_ref(), || defaults::ratio("flags.*.error")),
        calls: flag.calls.iter().map(|call| lower_call(reader, service, call)).collect(),
        spread,
    }
}

fn lower_call(reader: &mut Reader, service: &ServiceDocument, call: &FlagCallDocument) -> FlagCallSpec {
    let work = service.endpoints.iter().flat_map(|endpoint| &endpoint.work);
    let mut called: Vec<&Name> = work.flat_map(|phase| phase.calls()).map(|call| &call.service.value).collect();
    called.sort_unstable();
    called.dedup();
    if !called.contains(&&call.service.value) {
        let known: Vec<&str> = called.iter().map(|name| name.as_str()).collect();
        let what = format!("`{}` does not call `{}`", service.name.value, call.service.value);
        let remedy = if known.is_empty() {
            "remove this; it calls nobody".to_owned()
        } else {
            format!("name one that it calls: {}", problem::list(&known))
        };
        reader.problem(problem::impossible(&call.service.place, &what, &remedy));
    }
    if call.probability.is_none() && call.timeout.is_none() {
        let what = format!("nothing is said of the calls of `{}`", call.service.value);
        reader.problem(problem::impossible(&call.service.place, &what, "write `probability: 100%`, `timeout: 200ms`, or both"));
    }
    FlagCallSpec {
        service: call.service.value.clone(),
        probability: call.probability.as_ref().map(|share| share.value),
        timeout: call.timeout.as_ref().map(|timeout| timeout.value),
    }
}
