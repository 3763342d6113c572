//! Requests that look into a cache before they ask: hits, misses, fills, and those who wait for somebody else's miss.

use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Stream, hash64, mix64};
use firedrill_core::time::Time;

use crate::slab::NONE;
use crate::spec::FaultKind;
use crate::world::calls::Failure;
use crate::world::{Step, World};

/// The status, as an index in [`crate::world::CODES`], of a request that finds an entry that it cannot read.
const SPOILT: usize = 1;

/// Set in the address of the luck by which a request wants a key, beside the step; no step is so late.
const KEY: u64 = 1 << 33;

/// Who waits at a replica for one key of one cache, while the first of them asks for all.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    cache: u32,
    key: u32,
    first: u32,
    waiting: Vec<u32>,
}

impl World {
    /// Which key of a cache an attempt wants: the same in every attempt of its request.
    fn wanted_key(&self, slot: u32, cache: u32, step: u32) -> u32 {
        let attempt = &self.attempts[slot];
        let service = &self.services[attempt.service as usize];
        let unit = service.later_luck.block(mix64(attempt.request, KEY | u64::from(step))).unit(0);
        self.caches[cache as usize].key(unit)
    }

    /// An attempt looks into a cache; `true` if it goes on at once, and not with a call or a wait.
    pub(super) fn look_up(&mut self, slot: u32, cache: u32, edge: u32) -> bool {
        let now = self.now;
        let key = self.wanted_key(slot, cache, self.attempts[slot].phase);
        let (replica, service) = (self.attempts[slot].replica as usize, self.attempts[slot].service as usize);
        let hit = self.caches[cache as usize].look(now, key);
        if self.counting {
            let local = cache - self.services[service].first_cache;
            self.replicas[replica].counters.looked(local, hit);
        }
        if hit && self.caches[cache as usize].is_spoilt(key) {
            if self.counting {
                let local = cache - self.services[service].first_cache;
                self.replicas[replica].counters.found_spoilt(local);
            }
            self.finish(slot, SPOILT);
            return false;
        }
        if hit {
            self.services[service].stale_hits += u64::from(self.caches[cache as usize].is_stale(key));
            return true;
        }
        if self.caches[cache as usize].coalesces() {
            let loading = &mut self.replicas[replica].loading;
            if let Some(same) = loading.iter_mut().find(|loading| (loading.cache, loading.key) == (cache, key)) {
                same.waiting.push(slot);
                return false;
            }
            loading.push(Loading { cache, key, first: slot, waiting: Vec::new() });
        }
        self.call_for(slot, edge);
        false
    }

    /// What an attempt asked for because of a miss has come, or has not: it is kept, and those who waited for it go on.
    pub(super) fn fetched(&mut self, slot: u32, result: Result<(), Failure>) {
        let attempt = &self.attempts[slot];
        let step = attempt.program + attempt.phase;
        let (cache, edge) = match self.steps[step as usize] {
            Step::Cache { cache, edge } => (cache, edge),
            Step::Update { cache, invalidate, .. } => return self.updated(slot, cache, (invalidate, result.is_ok())),
            _ => return,
        };
        let key = self.wanted_key(slot, cache, attempt.phase);
        let keeps = attempt.call != NONE || self.caches[cache as usize].fills_late();
        let replica = attempt.replica as usize;
        let now = self.now;
        let as_of = self.as_of(edge);
        let state = &mut self.caches[cache as usize];
        if result.is_ok() && keeps {
            let was_spoilt = state.is_spoilt(key);
            state.fill(now, key, as_of);
            if was_spoilt {
                let service = self.spec.services[self.attempts[slot].service as usize].name.clone();
                self.look_for_spoilt(&service);
            }
        }
        let state = &self.caches[cache as usize];
        if !state.coalesces() {
            return;
        }
        let loading = &mut self.replicas[replica].loading;
        if let Some(place) = loading.iter().position(|loading| loading.first == slot) {
            let done = loading.remove(place);
            // They go on in their order, before the next event.
            self.todo.fetched.extend(done.waiting.into_iter().rev().map(|waiting| (waiting, result)));
        }
    }

    /// What a cache holds a copy of was changed, if the call that did so succeeded.
    fn updated(&mut self, slot: u32, cache: u32, (invalidate, is_done): (bool, bool)) {
        if is_done {
            let key = self.wanted_key(slot, cache, self.attempts[slot].phase);
            self.caches[cache as usize].changed(self.now, key, invalidate);
        }
    }

    /// Up to when an answer that has just come over an edge knows of changes: a standby may be behind.
    fn as_of(&self, edge: u32) -> Time {
        let (at, lag) = self.as_of;
        let is_of_database = self.services[self.edges[edge as usize].service as usize].database.is_some();
        if is_of_database && at == self.now { Time::from_nanos(at.as_nanos().saturating_sub(lag.as_nanos())) } else { self.now }
    }

    /// The luck of what a cache holds at the start.
    pub(super) fn cache_luck(&self, service: &Name, cache: &Name) -> Stream {
        Stream::new(self.seed, Purpose::Fault, mix64(hash64(service), hash64(cache)))
    }

    fn cache_named(&self, service: &Name, cache: &Name) -> usize {
        let index = self.service_named(service).expect("lowering knows every service") as usize;
        let caches = &self.spec.services[index].caches;
        let local = caches.iter().position(|known| known.name == *cache).expect("lowering knows every cache");
        self.services[index].first_cache as usize + local
    }

    /// A share of the keys of a cache is spoilt: those whose names begin with this.
    pub(super) fn spoil_cache(&mut self, (service, cache): (&Name, &Name), prefix: &Name, share: f64, luck: Stream) {
        let place = self.cache_named(service, cache);
        self.caches[place].spoil(prefix, share, luck);
    }

    /// A cache loses all keys that begin with this; whether there are any.
    pub(super) fn flush_prefix(&mut self, service: &Name, cache: &Name, prefix: &Name) -> bool {
        let place = self.cache_named(service, cache);
        self.caches[place].flush_prefix(prefix)
    }

    /// A cache gets the most popular of its keys that it does not have, from a copy as old as this moment; how many those are.
    pub(super) fn load_cache(&mut self, service: &Name, cache: &Name, share: f64) -> u64 {
        let place = self.cache_named(service, cache);
        let now = self.now;
        self.caches[place].load(now, share)
    }

    /// Whether entries of a service's caches are spoilt still: a fault is over once none is.
    pub(super) fn look_for_spoilt(&mut self, service: &Name) {
        let now = self.now;
        let spec = std::sync::Arc::clone(&self.spec);
        let own = spec.services.iter().find(|known| known.name == *service).expect("lowering knows every service");
        for cache in &own.caches {
            let place = self.cache_named(service, &cache.name);
            if !self.caches[place].has_spoilt(now) {
                let is_its = |kind: &FaultKind| matches!(kind, FaultKind::CacheCorruption { service: of, cache: at, .. } if of == service && *at == cache.name);
                self.end_of_kind("no entry is spoilt any more", is_its);
            }
        }
    }

    /// A cache loses a share of its keys.
    pub(super) fn flush_cache(&mut self, service: &Name, cache: &Name, share: f64, luck: Stream) {
        let index = self.service_named(service).expect("lowering knows every service") as usize;
        let caches = &self.spec.services[index].caches;
        let local = caches.iter().position(|known| known.name == *cache).expect("lowering knows every cache");
        let place = self.services[index].first_cache as usize + local;
        self.caches[place].flush(share, luck);
    }
}
