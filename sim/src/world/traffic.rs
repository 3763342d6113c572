//! What became of every attempt, by caller and service, as the proxies and client libraries beside both see it: counted only where a profile
//! shows it (docs/MODEL.md 4.3).

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::time::Span;

use crate::buckets::{Bounds, Buckets};
use crate::slab::NONE;
use crate::spec::{Cause, Profile, ServiceSpec, WorldSpec};
use crate::world::World;
use crate::world::balancing::Heard;
use crate::world::calls::{Edge, Failure, Origin};

/// What a caller can be answered, one after the other the status codes of [`crate::world::CODES`], and then what is no answer of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code that a proxy gives for it; `0` for none.
    pub(crate) code: &'static str,
    /// Envoy's flag for it; `-` for none.
    pub(crate) flag: &'static str,
    /// What a client library calls it, if there was no answer.
    pub(crate) error: &'static str,
}

const fn answer(code: &'static str, flag: &'static str, error: &'static str) -> Answer {
    Answer { code, flag, error }
}

/// All answers. The flags are Envoy's `RESPONSE_FLAGS`: `UH` no healthy host, `UF` no connection, `UC` connection broken, `UT` timeout, `DC` caller gone.
pub(crate) const ANSWERS: [Answer; 11] = [
    answer("200", "-", ""),
    answer("500", "-", ""),
    answer("502", "-", ""),
    answer("503", "-", ""),
    answer("504", "-", ""),
    answer("429", "-", ""),
    answer("503", "UH", ""),
    answer("503", "UF", "connect_error"),
    answer("503", "UC", "connection_reset"),
    answer("504", "UT", "timeout"),
    answer("0", "DC", "cancelled"),
];

/// Places in [`ANSWERS`].
pub(crate) const OVER_QUOTA: usize = 5;
pub(crate) const NO_HOST: usize = 6;
pub(crate) const NO_CONNECTION: usize = 7;
pub(crate) const BROKEN: usize = 8;
pub(crate) const TIMEOUT: usize = 9;
pub(crate) const GONE: usize = 10;

/// All upper bounds that the histograms of profiles have, microseconds: OpenTelemetry's, Envoy's and Linkerd's.
const BOUNDS_MICROS: [u64; 39] = [
    500,
    1_000,
    2_000,
    3_000,
    4_000,
    5_000,
    10_000,
    20_000,
    25_000,
    30_000,
    40_000,
    50_000,
    75_000,
    100_000,
    200_000,
    250_000,
    300_000,
    400_000,
    500_000,
    750_000,
    1_000_000,
    2_000_000,
    2_500_000,
    3_000_000,
    4_000_000,
    5_000_000,
    7_500_000,
    10_000_000,
    20_000_000,
    30_000_000,
    40_000_000,
    50_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
    7_200_000_000,
    86_400_000_000,
];

/// Which services each service calls and is called by, and where each edge stands in that.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// By edge: its place among the services that its caller calls, and its caller's among those who call the service; `NONE` for probes.
    by_edge: Vec<(u32, u32)>,
    /// By service: those that it calls.
    callees: Vec<Vec<u32>>,
    /// By service: the services that call it; `None` are clients, all together, and those before it.
    callers: Vec<Vec<Option<Name>>>,
    bounds: Arc<Bounds>,
}

/// What one process has sent and received, by way.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// By place among the services that it calls.
    pub(crate) sent: Vec<Way>,
    /// By place among those who call it.
    pub(crate) received: Vec<Way>,
}

/// Attempts that took one way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// How long they took, by answer; there once there is one.
    answers: [Option<Box<Buckets>>; ANSWERS.len()],
    /// Those that were retries.
    pub(crate) retries: u64,
    /// Retries that succeeded.
    pub(crate) retries_succeeded: u64,
    /// Requests that were not tried again because they had been as often as they may.
    pub(crate) out_of_retries: u64,
}

impl Way {
    /// How many had this answer, and how long they took; `None` if none had.
    pub(crate) fn answered(&self, answer: usize) -> Option<&Buckets> {
        self.answers[answer].as_deref()
    }

    /// How many had one of these answers.
    pub(crate) fn count(&self, answers: impl Iterator<Item = usize>) -> u64 {
        answers.filter_map(|answer| self.answered(answer)).map(Buckets::count).sum()
    }

    /// A way of which no more is known than its answers.
    pub(crate) fn of(answers: Vec<Option<Buckets>>) -> Self {
        let mut way = Self::default();
        way.answers.iter_mut().zip(answers).for_each(|(own, answer)| *own = answer.map(Box::new));
        way
    }

    fn record(&mut self, answer: usize, took: Span, bounds: &Arc<Bounds>) {
        self.answers[answer].get_or_insert_with(|| Box::new(Buckets::new(bounds))).record(took);
    }
}

impl ServiceSpec {
    /// Whether one of its profiles tells how long connections of its pools are waited for and used.
    pub(super) fn tells_pools(&self) -> bool {
        self.profiles.iter().any(|profile| matches!(profile, Profile::OpenTelemetry | Profile::Micrometer))
    }

    /// Whether one of its profiles tells what became of attempts.
    pub(crate) fn tells_traffic(&self) -> bool {
        self.profiles.iter().any(|profile| Profile::tells_traffic(*profile))
    }
}

impl Ways {
    /// The ways of a world; `None` if nobody wants to know.
    pub(super) fn of(spec: &WorldSpec, edges: &[Edge]) -> Option<Box<Self>> {
        if !spec.services.iter().any(ServiceSpec::tells_traffic) {
            return None;
        }
        let service = |name: &str| spec.services.iter().position(|own| *own.name == *name).expect("lowering knows every service");
        let mut ways = Self {
            by_edge: vec![(NONE, NONE); edges.len()],
            callees: vec![Vec::new(); spec.services.len()],
            callers: vec![Vec::new(); spec.services.len()],
            bounds: Arc::new(BOUNDS_MICROS.iter().map(|micros| micros * 1_000).collect()),
        };
        let real = || edges.iter().enumerate().filter(|(_, edge)| !edge.of_probe);
        for (_, edge) in real() {
            ways.callers[edge.service as usize].push((!edge.from_client).then(|| edge.caller.clone()));
            if !edge.from_client {
                ways.callees[service(&edge.caller)].push(edge.service);
            }
        }
        for list in &mut ways.callers {
            list.sort();
            list.dedup();
        }
        for list in &mut ways.callees {
            list.sort_unstable();
            list.dedup();
        }
        for (index, edge) in real() {
            let caller = (!edge.from_client).then_some(&edge.caller);
            let from =
                ways.callers[edge.service as usize].iter().position(|known| known.as_ref() == caller).expect("every caller is listed");
            let to = match caller {
                None => NONE,
                Some(name) => ways.callees[service(name)].binary_search(&edge.service).expect("every callee is listed") as u32,
            };
            ways.by_edge[index] = (to, from as u32);
        }
        Some(Box::new(ways))
    }

    /// The services that a service calls, in the order of [`Traffic::sent`].
    pub(crate) fn callees(&self, service: u32) -> &[u32] {
        &self.callees[service as usize]
    }

    /// Who calls a service, in the order of [`Traffic::received`]; `None` are clients.
    pub(crate) fn callers(&self, service: u32) -> &[Option<Name>] {
        &self.callers[service as usize]
    }

    /// The upper bounds of what is recorded, nanoseconds.
    pub(crate) fn bounds(&self) -> &[u64] {
        self.bounds.finite()
    }

    /// The books of a fresh process; `None` if nobody reads them.
    pub(super) fn fresh(&self, spec: &ServiceSpec, service: u32) -> Option<Box<Traffic>> {
        spec.tells_traffic().then(|| {
            Box::new(Traffic {
                sent: vec![Way::default(); self.callees[service as usize].len()],
                received: vec![Way::default(); self.callers[service as usize].len()],
            })
        })
    }
}

impl World {
    /// Who calls whom, where a profile tells it.
    pub(crate) fn ways(&self) -> Option<&Ways> {
        self.ways.as_deref()
    }

    /// A fresh process has counted nothing.
    pub(super) fn forget_traffic(&mut self, replica: u32) {
        let Some(ways) = &self.ways else { return };
        let service = self.replicas[replica as usize].service;
        let fresh = ways.fresh(&self.spec.services[service as usize], service);
        self.replicas[replica as usize].counters.traffic = fresh;
    }

    /// An attempt is over for its caller, who hears this of it.
    #[cold]
    pub(super) fn note_traffic(&mut self, attempt: u32, heard: Heard) {
        let sent = &self.attempts[attempt];
        let call = sent.call;
        // Nobody waits for it any more: that has been counted. Whoever gives up says so by `note_given_up`.
        if call == NONE {
            return;
        }
        let answer = match heard {
            Heard::GivenUp => return,
            // A proxy that fails fast answers by itself.
            Heard::Code(code) if sent.replica == NONE && Failure::FAILS_FAST.code() != code => NO_HOST,
            Heard::Code(code) => code,
            Heard::Silence(Failure::Unreachable) => NO_CONNECTION,
            Heard::Silence(Failure::Timeout) => TIMEOUT,
            Heard::Silence(_) => BROKEN,
        };
        self.tell_attempt(call, attempt, (answer, false));
        self.count_traffic(call, attempt, answer);
    }

    /// The caller of a call gives up the attempt that is under way; `is_outrun` because another one beside it has been answered.
    pub(super) fn note_given_up(&mut self, call: u32, attempt: u32, is_outrun: bool) {
        if (self.ways.is_some() || self.spans.is_some()) && attempt != NONE {
            self.tell_attempt(call, attempt, (GONE, is_outrun));
            self.count_traffic(call, attempt, GONE);
        }
    }

    /// A call has failed once more, and has been tried as often as it may.
    #[cold]
    pub(super) fn note_out_of_retries(&mut self, call: u32, cause: Cause) {
        let retries = &self.edges[self.calls[call].edge as usize].retries;
        let Some(ways) = self.ways.as_ref().filter(|_| self.counting && retries.max > 0 && retries.on.contains(cause)) else { return };
        let (to, _) = ways.by_edge[self.calls[call].edge as usize];
        if let Origin::Attempt(parent) = self.calls[call].origin
            && let Some(traffic) = &mut self.replicas[self.attempts[parent].replica as usize].counters.traffic
        {
            traffic.sent[to as usize].out_of_retries += 1;
        }
    }

    fn count_traffic(&mut self, call: u32, attempt: u32, answer: usize) {
        let Some(ways) = self.ways.as_ref().filter(|_| self.counting) else { return };
        let (edge, number, sent) = (self.calls[call].edge, self.calls[call].number, self.calls[call].sent);
        let (to, from) = ways.by_edge[edge as usize];
        if from == NONE {
            return;
        }
        let caller = match self.first_of(call).origin {
            Origin::Attempt(parent) => self.attempts[parent].replica,
            _ => NONE,
        };
        let now = self.now;
        if caller != NONE
            && let Some(traffic) = &mut self.replicas[caller as usize].counters.traffic
        {
            let way = &mut traffic.sent[to as usize];
            way.record(answer, now.since(sent), &ways.bounds);
            way.retries += u64::from(number > 0);
            way.retries_succeeded += u64::from(number > 0 && answer == 0);
        }
        let (replica, arrived) = (self.attempts[attempt].replica, self.attempts[attempt].arrived);
        // What never came to a process, and what a process took with it, its own side has not seen.
        if replica != NONE
            && !matches!(answer, NO_HOST | NO_CONNECTION | BROKEN)
            && let Some(traffic) = &mut self.replicas[replica as usize].counters.traffic
        {
            let answer = if answer == TIMEOUT { GONE } else { answer };
            traffic.received[from as usize].record(answer, now.since(arrived), &ways.bounds);
        }
    }

    /// Attempts under way from a replica, by the services that it calls.
    pub(crate) fn under_way(&self, replica: u32) -> Vec<u64> {
        let Some(ways) = &self.ways else { return Vec::new() };
        let service = self.replicas[replica as usize].service;
        let mut counts = vec![0; ways.callees[service as usize].len()];
        // Only what has begun can have called; some of it has given its worker up meanwhile.
        let state = &self.replicas[replica as usize];
        let away = state.away.as_ref().map_or(&[][..], |away| away.waiting());
        for slot in state.in_service.iter().chain(away) {
            let mut at = self.attempts[*slot].child;
            while at != NONE {
                let call = &self.calls[at];
                let (to, _) = ways.by_edge[call.edge as usize];
                counts[to as usize] += u64::from(call.attempt != NONE);
                if call.twin != NONE {
                    counts[to as usize] += u64::from(self.calls[call.twin].attempt != NONE);
                }
                at = call.next;
            }
        }
        counts
    }
}
