//! What the exporter beside a Redis says of it. It answers also while the Redis does not.

use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::named;
use super::page::{Page, Sheet};
use super::process::memory_bytes;
use crate::world::{UNAVAILABLE, World};

/// The exporter's job, and the port that it listens on.
pub(super) const JOB: (&str, u16) = ("redis-exporter", 9121);

/// The exporter beside one replica.
#[derive(Clone, Debug)]
pub(super) struct RedisPage {
    pub(super) replica: u32,
    pub(super) page: Page,
}

impl RedisPage {
    pub(super) fn new(replica: u32) -> Self {
        Self { replica, page: Page::default() }
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let replica = &world.replicas[self.replica as usize];
        let spec = &world.spec.services[replica.service as usize];
        let is_up = replica.is_running() && !replica.hung;
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        sheet.put(Some(f64::from(u8::from(is_up))), || named("redis_up", labels));
        // Each request has a connection of its own, for as long as it is there.
        let clients = f64::from(replica.queued) + replica.in_service.len() as f64;
        let refused: u64 = replica.counters.requests.iter().map(|counts| counts[UNAVAILABLE]).sum();
        let gets = |result: usize| replica.counters.gets.iter().map(|gets| gets[result]).sum::<u64>() as f64;
        let (hits, misses) = (gets(0), gets(1));
        let looks = !spec.caches.is_empty();
        let figures = [
            ("redis_connected_clients", Some(clients)),
            ("redis_config_maxclients", spec.workers.map(f64::from)),
            ("redis_memory_used_bytes", Some(memory_bytes(world, self.replica) as f64)),
            // Without a bound it says zero.
            ("redis_memory_max_bytes", Some(replica.memory.limit.map_or(0.0, |limit| limit as f64))),
            ("redis_connected_slaves", Some(0.0)),
            ("redis_rejected_connections_total", Some(refused as f64)),
            ("redis_keyspace_hits_total", looks.then_some(hits)),
            ("redis_keyspace_misses_total", looks.then_some(misses)),
        ];
        for (metric, value) in figures {
            sheet.put(value.filter(|_| is_up), || named(metric, labels));
        }
    }
}
