//! Machines that are short: of cores, which replicas share then, and of memory, for which some are evicted (docs/MODEL.md 1.2, 1.4).

use firedrill_core::quantity::Bytes;
use firedrill_core::random::{Purpose, Stream, hash64};
use firedrill_core::time::Span;

use crate::share::{Want, shares};
use crate::slab::NONE;
use crate::spec::{ServiceSpec, WorldSpec};
use crate::world::{Due, World};

/// From one look of the kubelet at the memory of its node to the next (`monitoringInterval` of the eviction manager).
const LOOK: Span = Span::from_seconds(10);
/// How long memory must have been there again until a node is not said to be short of it (`--eviction-pressure-transition-period`).
const TRANSITION: Span = Span::from_minutes(5);

/// The cores of the machines, where some replica may use more than it has asked for.
#[derive(Clone, Debug)]
pub(super) struct Contention {
    /// By node.
    nodes: Vec<Shared>,
    /// What each replica wants now, thousandths of a core.
    wants: Vec<u64>,
}

/// The cores of one machine.
#[derive(Clone, Debug, Default)]
struct Shared {
    /// The replicas there.
    tenants: Vec<u32>,
    /// What they want together.
    wanted: u64,
    /// Whether somebody got less than it wanted.
    is_short: bool,
}

/// Whether a replica may use more CPU than its node has set aside for it: also one that has a quota, which it may use up on many cores at a time.
fn overcommits(service: &ServiceSpec) -> bool {
    let has_quota = service.cpu.as_ref().is_some_and(|cpu| cpu.period.is_some());
    has_quota || service.cores.is_none_or(|cores| cores * 1e3 > service.life.request_millicores as f64 + 0.5)
}

/// Whether a replica may use more memory than its node has set aside for it.
fn overfills(service: &ServiceSpec) -> bool {
    service.memory.limit.is_none_or(|limit| limit > service.life.request_memory)
}

impl Contention {
    /// For a world with machines of which one may be short of cores.
    pub(super) fn of(spec: &WorldSpec) -> Option<Box<Self>> {
        let nodes: u32 = spec.nodes.iter().map(|pool| pool.count).sum();
        let is_needed = nodes > 0 && spec.services.iter().any(overcommits);
        is_needed.then(|| Box::new(Self { nodes: vec![Shared::default(); nodes as usize], wants: Vec::new() }))
    }
}

impl WorldSpec {
    /// Whether the memory of a machine may come to an end before a limit does.
    fn may_be_short_of_memory(&self) -> bool {
        !self.nodes.is_empty() && self.services.iter().any(overfills)
    }
}

impl World {
    /// The cores of a new replica: those of its node bound it where it has no limit of its own.
    pub(super) fn cores_of(&self, service: u32, node: u32) -> Option<f64> {
        let own = self.spec.services[service as usize].cores_for_requests();
        let Some(node) = self.nodes.get(node as usize).filter(|_| self.contention.is_some()) else { return own };
        let machine = node.millicores as f64 / 1e3;
        Some(own.map_or(machine, |own| own.min(machine)))
    }

    /// A replica came to its node.
    pub(super) fn moves_in(&mut self, replica: u32) {
        let node = self.replicas[replica as usize].node;
        let Some(contention) = self.contention.as_mut().filter(|_| node != NONE) else { return };
        contention.nodes[node as usize].tenants.push(replica);
    }

    /// A replica left its node.
    pub(super) fn moves_out(&mut self, replica: u32) {
        self.wants_anew(replica);
        let node = self.replicas[replica as usize].node;
        let Some(contention) = self.contention.as_mut().filter(|_| node != NONE) else { return };
        contention.nodes[node as usize].tenants.retain(|other| *other != replica);
    }

    /// What runs on a replica may have changed, and with it what it and its neighbours get.
    #[cold]
    pub(super) fn wants_anew(&mut self, replica: u32) {
        let state = &self.replicas[replica as usize];
        let (node, running) = (state.node, if state.hung || state.stands_still() { 0 } else { u64::from(state.cpu.running()) });
        let most = self.cores_of(state.service, node).map_or(u64::MAX, |cores| (cores * 1e3).round() as u64);
        let Some(contention) = self.contention.as_mut().filter(|_| node != NONE) else { return };
        let wants = (running * 1000).min(most);
        contention.wants.resize(contention.wants.len().max(replica as usize + 1), 0);
        let before = std::mem::replace(&mut contention.wants[replica as usize], wants);
        let shared = &mut contention.nodes[node as usize];
        shared.wanted = shared.wanted - before + wants;
        let is_short = shared.wanted > self.nodes[node as usize].millicores;
        if before != wants && (is_short || shared.is_short) {
            shared.is_short = is_short;
            self.share_out(node);
        }
    }

    /// Gives the replicas of a node the cores that they get now.
    fn share_out(&mut self, node: u32) {
        let contention = self.contention.as_ref().expect("somebody shares");
        let tenants = contention.nodes[node as usize].tenants.clone();
        let want = |replica: &u32| {
            let asked = self.spec.services[self.replicas[*replica as usize].service as usize].life.request_millicores;
            // Whoever asks for nothing has the least weight that there is, that of two thousandths of a core.
            Want { millicores: contention.wants.get(*replica as usize).copied().unwrap_or(0), weight: asked.max(2) }
        };
        let wants: Vec<Want> = tenants.iter().map(want).collect();
        let shares = shares(self.nodes[node as usize].millicores, &wants);
        for (tenant, share) in tenants.into_iter().zip(shares) {
            let now = self.now;
            let replica = &mut self.replicas[tenant as usize];
            if (replica.share - share).abs() > 0.0 {
                replica.share = share;
                if !replica.hung {
                    replica.cpu.set_speed(now, replica.speed());
                    self.todo.cpus.push(tenant);
                }
            }
        }
    }
}

impl World {
    /// Lets the kubelets of all nodes look at their memory, each at a phase of its own, if it may be short.
    pub(super) fn begin_looking(&mut self) {
        if !self.spec.may_be_short_of_memory() {
            return;
        }
        for node in 0..self.nodes.len() as u32 {
            let luck = Stream::new(self.seed, Purpose::Phase, hash64(&self.nodes[node as usize].name)).block(0);
            let phase = Span::from_seconds_f64(luck.unit(0) * LOOK.as_seconds());
            self.schedule_after(phase, Due::LookAtMemory(node));
        }
    }

    /// A kubelet looks at the memory of its node, and evicts one replica if there is too little left.
    ///
    /// What a node has for replicas is what it has without the 100 MiB below which this begins, as Kubernetes takes them off what can be allocated.
    pub(super) fn look_at_memory(&mut self, node: u32) {
        self.schedule_after(LOOK, Due::LookAtMemory(node));
        if self.nodes[node as usize].losses > 0 {
            return;
        }
        let here = self.replicas_on(node);
        let used: u64 = here.iter().map(|replica| self.memory_used(*replica)).sum();
        let all = self.nodes[node as usize].memory;
        if used <= all {
            if self.nodes[node as usize].short_since.is_some_and(|since| self.now.since(since) >= TRANSITION) {
                self.nodes[node as usize].short_since = None;
                self.note_node(node, "ready", &format!("its memory has sufficed for {TRANSITION}"));
            }
            return;
        }
        if self.nodes[node as usize].short_since.replace(self.now).is_none() {
            self.note_node(
                node,
                "short_of_memory",
                &format!("replicas use {} of {}", Bytes::new(used).rounded(), Bytes::new(all).rounded()),
            );
        }
        let Some(victim) = self.victim(&here) else { return };
        let asked = self.spec.services[self.replicas[victim as usize].service as usize].life.request_memory;
        let reason = format!("evicted: it uses {} and asked for {asked}", Bytes::new(self.memory_used(victim)).rounded());
        self.evicted.push(victim);
        self.gone(victim, &reason);
    }

    /// Memory of a replica, bytes; nothing without a process.
    fn memory_used(&self, replica: u32) -> u64 {
        let state = &self.replicas[replica as usize];
        if state.is_running() { state.memory.bytes_at(self.now) + self.request_memory(replica) } else { 0 }
    }

    /// Who is evicted: of those that use more than they asked for, or else of all, whoever is furthest above that (`rankMemoryPressure`).
    fn victim(&self, here: &[u32]) -> Option<u32> {
        let beyond = |replica: u32| {
            let asked = self.spec.services[self.replicas[replica as usize].service as usize].life.request_memory.get();
            i128::from(self.memory_used(replica)) - i128::from(asked)
        };
        // Who uses more than it asked for is above whoever does not, so one comparison says both. The first of equals.
        here.iter().copied().filter(|replica| self.replicas[*replica as usize].is_running()).rev().max_by_key(|replica| beyond(*replica))
    }
}

impl crate::world::Node {
    /// Whether the cluster says that it is short of memory.
    pub(crate) const fn is_short_of_memory(&self) -> bool {
        self.short_since.is_some()
    }
}
