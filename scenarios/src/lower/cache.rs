//! Caches with every default filled in, and what load they have seen before the start.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{CacheSpec, ClientSpec, Phase, Population, WorldSpec};

use crate::defaults;
use crate::document::cache::CacheDocument;
use crate::document::service::{PhaseDocument, ServiceDocument};
use crate::lower::calls::{nexts, post_order};
use crate::lower::or;
use crate::problem;

/// Lowers the caches of a service; in order of name. How warm they are follows once all services are known.
pub fn lower(reader: &mut Reader, service: &ServiceDocument) -> Vec<CacheSpec> {
    let caches = &service.caches;
    check_used(reader, service);
    let one = |cache: &CacheDocument| CacheSpec {
        name: cache.name.value.clone(),
        keys: or(cache.keys.as_ref(), || 1),
        zipf: or(cache.zipf.as_ref(), || defaults::number("caches.*.zipf")),
        ttl: or(cache.ttl.as_ref(), || None),
        capacity: or(cache.capacity.as_ref(), || None),
        late_fill: or(cache.late_fill.as_ref(), || defaults::text("caches.*.late_fill") == "true"),
        coalesce: or(cache.coalesce.as_ref(), || defaults::text("caches.*.coalesce") == "true"),
        warm: or(cache.warm.as_ref(), || defaults::text("caches.*.warm") == "true"),
        warm_rate: 0.0,
    };
    let mut lowered: Vec<CacheSpec> = caches.iter().map(one).collect();
    lowered.sort_by(|left, right| left.name.cmp(&right.name));
    for cache in caches {
        let (Some(keys), Some(capacity)) = (&cache.keys, &cache.capacity) else { continue };
        if capacity.value.is_some_and(|capacity| capacity > keys.value) {
            let what = format!("a cache with room for more entries than there are keys, which are {}", keys.value);
            reader.problem(problem::impossible(&capacity.place, &what, "write fewer entries, or `unbounded`"));
        }
    }
    lowered
}

/// Refuses a cache that no step of the service's work has to do with.
fn check_used(reader: &mut Reader, service: &ServiceDocument) {
    let phases = service.endpoints.iter().flat_map(|endpoint| &endpoint.work);
    let used = phases.filter_map(|phase| match phase {
        PhaseDocument::Cache { name, .. } | PhaseDocument::Update { name, .. } => Some(&name.value),
        _ => None,
    });
    let used: Vec<&Name> = used.collect();
    for cache in service.caches.iter().filter(|cache| !used.contains(&&cache.name.value)) {
        let name = &cache.name.value;
        let what = format!("no step of `{}` looks into its cache `{name}`", service.name.value);
        let remedy = format!("let a step say `cache: {{ name: {name}, miss: … }}`, or leave the cache out");
        reader.problem(problem::impossible(&cache.name.place, &what, &remedy));
    }
}

/// Sets how many lookups a second each cache has seen before the start: what clients ask for then, through all calls, without retries.
pub fn warm(spec: &mut WorldSpec) {
    if spec.services.iter().all(|service| service.caches.is_empty()) {
        return;
    }
    // A circle of calls is told of elsewhere.
    let Some(order) = post_order(spec) else { return };
    let mut rates: BTreeMap<(Name, Name), f64> = BTreeMap::new();
    for client in &spec.clients {
        *rates.entry((client.service.clone(), client.endpoint.clone())).or_default() += rate_at_start(client);
    }
    let mut lookups: BTreeMap<(Name, Name), f64> = BTreeMap::new();
    for hop in order.into_iter().rev() {
        let Some(rate) = rates.get(&hop).copied() else { continue };
        let Some(service) = spec.services.iter().find(|service| service.name == hop.0) else { continue };
        let phases = service.endpoints.iter().filter(|endpoint| endpoint.name == hop.1).flat_map(|endpoint| &endpoint.phases);
        for phase in phases {
            if let Phase::Cache { cache, .. } = phase {
                *lookups.entry((hop.0.clone(), cache.clone())).or_default() += rate;
            }
            for (next, probability) in nexts(spec, phase) {
                *rates.entry(next).or_default() += rate * probability;
            }
        }
    }
    for service in &mut spec.services {
        for cache in &mut service.caches {
            cache.warm_rate = lookups.get(&(service.name.clone(), cache.name.clone())).copied().unwrap_or(0.0);
        }
    }
}

/// Requests a second with which a client begins.
fn rate_at_start(client: &ClientSpec) -> f64 {
    let arrivals = client.rates.iter().find(|(at, _)| *at == Time::ZERO).map_or(0.0, |(_, rate)| rate.get());
    match &client.population {
        Population::Open => arrivals,
        Population::Sessions { requests, .. } => arrivals * requests,
        Population::Closed { users, think } => f64::from(*users) / think.mean(),
    }
}
