//! A probe of an entry service from outside, as a blackbox exporter makes it.
//!
//! A real probe is a request of its own. This one asks nothing of the world, so that watching never changes what is watched: it is answered as the
//! service's requests since the last probe were, by a replica chosen at random.

use firedrill_core::random::{Purpose, Seed, Stream, below, hash64};
use firedrill_core::time::Span;
use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::named;
use super::page::{Page, Sheet};
use super::process::unix_seconds;
use crate::world::World;

/// How long a probe waits.
const TIMEOUT: Span = Span::from_seconds(5);

/// The words of a probe's block.
const REPLICA_WORD: usize = 0;
const ERROR_WORD: usize = 1;

#[derive(Clone, Debug)]
pub(super) struct Probe {
    service: u32,
    luck: Stream,
    /// Probes made.
    count: u64,
    /// The service's tally at the last probe.
    completed: u64,
    errors: u64,
    response_nanos: u128,
    pub(super) page: Page,
}

/// What a probe found.
struct Answer {
    /// Zero if there was none.
    status: u32,
    seconds: f64,
}

impl Probe {
    pub(super) fn new(service: u32, seed: Seed, name: &str) -> Self {
        let luck = Stream::new(seed, Purpose::Scrape, hash64(name));
        Self { service, luck, count: 0, completed: 0, errors: 0, response_nanos: 0, page: Page::default() }
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let answer = self.ask(world);
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        sheet.put(Some(if answer.status == 200 { 1.0 } else { 0.0 }), || named("probe_success", labels));
        sheet.put(Some(answer.seconds), || named("probe_duration_seconds", labels));
        sheet.put(Some(f64::from(answer.status)), || named("probe_http_status_code", labels));
        if let Some((expires, _)) = world.certificate(self.service) {
            sheet.put(Some(unix_seconds(world, expires)), || named("probe_ssl_earliest_cert_expiry", labels));
        }
    }

    fn ask(&mut self, world: &World) -> Answer {
        let block = self.luck.block(self.count);
        self.count += 1;
        let service = &world.services[self.service as usize];
        let tally = &service.tally;
        let completed = tally.completed - self.completed;
        let errors = tally.errors - self.errors;
        let response_nanos = tally.response_nanos - self.response_nanos;
        (self.completed, self.errors, self.response_nanos) = (tally.completed, tally.errors, tally.response_nanos);
        let unanswered = Answer { status: 0, seconds: TIMEOUT.as_seconds() };
        if service.ready.is_empty() || world.certificate(self.service).is_some_and(|(_, has_expired)| has_expired) {
            return Answer { status: 0, seconds: 0.0 };
        }
        let chosen = service.ready[below(block.word64(REPLICA_WORD), service.ready.len() as u64) as usize];
        let replica = &world.replicas[chosen as usize];
        if replica.hung {
            return unanswered;
        }
        if replica.queued >= service.queue {
            return Answer { status: 503, seconds: 0.0 };
        }
        if completed == 0 {
            // Nobody was answered: nobody asked, or nobody comes through.
            return if replica.queued == 0 { Answer { status: 200, seconds: 0.0 } } else { unanswered };
        }
        let seconds = response_nanos as f64 / completed as f64 / 1e9;
        if seconds >= TIMEOUT.as_seconds() {
            return unanswered;
        }
        let failed = block.unit(ERROR_WORD) * (completed as f64) < errors as f64;
        Answer { status: if failed { 500 } else { 200 }, seconds }
    }
}
