//! Nodes: where replicas stand, what there is room for, and what becomes of replicas whose node is lost (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{ServiceSpec, WorldSpec};
use crate::world::{Due, World};

/// How long a node may be silent before the cluster says so (`--node-monitor-grace-period`, 40 s before Kubernetes 1.32).
const UNKNOWN_AFTER: Span = Span::from_seconds(40);
/// How long replicas are left on a node that is known to be silent (`tolerationSeconds`, set by `DefaultTolerationSeconds`).
const EVICTED_AFTER: Span = Span::from_seconds(300);
/// With more nodes than this silent in a zone, and this share of them, the zone itself is thought to be ill and nobody is evicted
/// (`ComputeZoneState`; zones of up to 50 nodes).
const FEW_SILENT: usize = 2;
const ILL_SHARE: f64 = 0.55;

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: Name,
    pub(crate) zone: u32,
    /// All that it has, thousandths of a core and bytes.
    pub(crate) millicores: u64,
    pub(crate) memory: u64,
    /// What nobody has asked for yet.
    free_millicores: u64,
    free_memory: u64,
    /// How many losses of it are under way.
    pub(crate) losses: u32,
    /// Whether the cluster has noticed.
    pub(crate) unknown: bool,
    /// How often it is kept from taking new replicas: drained by an action, or for as long as a drain lasts.
    pub(crate) cordons: u32,
    /// Whether one of these is by an action that is over.
    cordoned_by_action: bool,
    /// When a look at its memory last found too little; `None` once that is long ago.
    pub(super) short_since: Option<Time>,
    /// The next thing that its silence leads to.
    timer: Option<Handle>,
}

/// The machines of a scenario, pool by pool; none if machines are not modelled.
pub(super) fn nodes(spec: &WorldSpec, zone_named: impl Fn(&str) -> u32) -> Vec<Node> {
    let one = |pool: &crate::spec::NodePoolSpec, index: u32| {
        let (millicores, memory) = (pool.millicores, pool.memory.get());
        Node {
            name: pool.node(index),
            zone: zone_named(&pool.zone),
            millicores,
            memory,
            free_millicores: millicores,
            free_memory: memory,
            losses: 0,
            unknown: false,
            cordons: 0,
            cordoned_by_action: false,
            short_since: None,
            timer: None,
        }
    };
    spec.nodes.iter().flat_map(|pool| (0..pool.count).map(move |index| (pool, index))).map(|(pool, index)| one(pool, index)).collect()
}

impl Node {
    /// Whether a replica of the service fits.
    fn has_room(&self, spec: &ServiceSpec) -> bool {
        // Who asks for nothing does not tolerate the taint of a node that is short of memory.
        let is_best_effort = spec.life.request_millicores == 0 && spec.life.request_memory.get() == 0;
        self.losses == 0
            && self.cordons == 0
            && !(self.is_short_of_memory() && is_best_effort)
            && self.free_millicores >= spec.life.request_millicores
            && self.free_memory >= spec.life.request_memory.get()
    }

    /// The share of it that is taken, of CPU or memory, whichever is more.
    fn fullness(&self) -> f64 {
        let share = |free: u64, all: u64| if all == 0 { 0.0 } else { 1.0 - free as f64 / all as f64 };
        share(self.free_millicores, self.millicores).max(share(self.free_memory, self.memory))
    }
}

impl World {
    /// The node for a new replica in a zone: one with room, with the fewest replicas of the service, then the least full. `NONE` where machines are
    /// not modelled; `None` if none has room.
    pub(super) fn node_in(&self, service: u32, zone: u32) -> Option<u32> {
        if self.nodes.is_empty() {
            return Some(NONE);
        }
        let spec = &self.spec.services[service as usize];
        let own = |node: u32| {
            let replicas = self.services[service as usize].replicas.iter();
            replicas.filter(|replica| self.replicas[**replica as usize].node == node).count()
        };
        let fitting = (0..self.nodes.len() as u32).filter(|node| {
            let node = &self.nodes[*node as usize];
            node.zone == zone && node.has_room(spec)
        });
        fitting.min_by(|left, right| {
            let fullness = |node: u32| self.nodes[node as usize].fullness();
            own(*left).cmp(&own(*right)).then(fullness(*left).total_cmp(&fullness(*right)))
        })
    }

    /// A replica takes what it asks for of its node.
    pub(super) fn occupy(&mut self, replica: u32) {
        let (node, request) = self.node_and_request(replica);
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.free_millicores -= request.0;
            node.free_memory -= request.1;
        }
        self.moves_in(replica);
    }

    /// A replica that is gone leaves its node's room to others, who may have waited for it.
    pub(super) fn vacate(&mut self, replica: u32) {
        self.moves_out(replica);
        let (node, request) = self.node_and_request(replica);
        let Some(node) = self.nodes.get_mut(node as usize) else { return };
        node.free_millicores += request.0;
        node.free_memory += request.1;
        let waiting = (0..self.services.len() as u32).filter(|service| self.services[*service as usize].unplaced > 0);
        self.todo.reconcile.extend(waiting);
    }

    fn node_and_request(&self, replica: u32) -> (u32, (u64, u64)) {
        let replica = &self.replicas[replica as usize];
        let life = &self.spec.services[replica.service as usize].life;
        (replica.node, (life.request_millicores, life.request_memory.get()))
    }

    pub(super) fn node_named(&self, name: &str) -> Option<u32> {
        self.nodes.iter().position(|node| &*node.name == name).map(|index| index as u32)
    }

    pub(super) fn replicas_on(&self, node: u32) -> Vec<u32> {
        let all = self.services.iter().flat_map(|service| service.replicas.iter().copied());
        all.filter(|replica| self.replicas[*replica as usize].node == node).collect()
    }

    /// A node is lost: nothing on it answers, and nobody knows yet. Requests still go there, and wait for nothing.
    pub(super) fn lose_node(&mut self, name: &Name) {
        let node = self.node_named(name).expect("lowering knows every node");
        self.nodes[node as usize].losses += 1;
        if self.nodes[node as usize].losses > 1 {
            return;
        }
        for replica in self.replicas_on(node) {
            self.cut_off(replica);
        }
        self.note_node(node, "lost", "nothing on it answers");
        let timer = self.schedule_after(UNKNOWN_AFTER, Due::NodeSilent(node));
        self.nodes[node as usize].timer = Some(timer);
    }

    /// A node has been silent for as long as the cluster bears it: first it is said to be unknown, later its replicas are given up.
    pub(super) fn node_silent(&mut self, node: u32) {
        self.nodes[node as usize].timer = None;
        if self.nodes[node as usize].unknown {
            return self.evict(node);
        }
        self.nodes[node as usize].unknown = true;
        self.note_node(node, "unknown", &format!("silent for {UNKNOWN_AFTER}"));
        for replica in self.replicas_on(node) {
            if self.replicas[replica as usize].state == ReplicaState::Ready {
                self.become_unready(replica, "its node does not answer");
            }
        }
        let timer = self.schedule_after(EVICTED_AFTER, Due::NodeSilent(node));
        self.nodes[node as usize].timer = Some(timer);
    }

    fn evict(&mut self, node: u32) {
        let zone = self.nodes[node as usize].zone;
        let (silent, all) = self.silent_in(zone);
        let is_whole_cluster = (0..self.zones.len() as u32).map(|zone| self.silent_in(zone)).all(|(silent, all)| silent == all);
        let is_ill = silent < all && silent > FEW_SILENT && silent as f64 / all as f64 >= ILL_SHARE;
        if is_whole_cluster || is_ill {
            let reason = format!("its replicas stay: {silent} of {all} nodes of the zone are silent, which is no fault of theirs");
            return self.note_node(node, "not_evicted", &reason);
        }
        self.note_node(node, "evicted", &format!("silent for {EVICTED_AFTER} more"));
        for replica in self.replicas_on(node) {
            self.gone(replica, "evicted: its node does not answer");
        }
    }

    /// Nodes of a zone that are known to be silent, and all of them.
    fn silent_in(&self, zone: u32) -> (usize, usize) {
        let of_zone = || self.nodes.iter().filter(|node| node.zone == zone);
        (of_zone().filter(|node| node.unknown).count(), of_zone().count())
    }

    /// A node is back. What is still meant to be on it starts anew.
    pub(super) fn regain_node(&mut self, name: &Name) {
        let index = self.node_named(name).expect("lowering knows every node");
        let node = &mut self.nodes[index as usize];
        node.losses -= 1;
        if node.losses > 0 {
            return;
        }
        node.unknown = false;
        let mut timer = node.timer.take();
        self.cancel(&mut timer);
        self.note_node(index, "ready", "it is back");
        for replica in self.replicas_on(index) {
            self.reconnect(replica, "its node is back");
        }
        self.todo.reconcile.extend(0..self.services.len() as u32);
    }

    /// Nothing new is put on a node.
    pub(super) fn cordon(&mut self, node: u32, reason: &str) {
        self.nodes[node as usize].cordons += 1;
        if self.nodes[node as usize].cordons == 1 {
            self.note_node(node, "cordoned", reason);
        }
    }

    /// Nothing new is put on a node until an action says otherwise; once is as good as often.
    pub(super) fn cordon_by_action(&mut self, node: u32, reason: &str) {
        if !std::mem::replace(&mut self.nodes[node as usize].cordoned_by_action, true) {
            self.cordon(node, reason);
        }
    }

    /// Takes back what actions have said; whether there was anything.
    pub(super) fn uncordon_by_action(&mut self, node: u32, reason: &str) -> bool {
        let was = std::mem::replace(&mut self.nodes[node as usize].cordoned_by_action, false);
        if was {
            self.uncordon(node, reason);
        }
        was
    }

    /// A node takes new replicas again, unless something else keeps it from that.
    pub(super) fn uncordon(&mut self, node: u32, reason: &str) {
        self.nodes[node as usize].cordons -= 1;
        if self.nodes[node as usize].cordons == 0 {
            self.note_node(node, "uncordoned", reason);
            self.todo.reconcile.extend(0..self.services.len() as u32);
        }
    }

    pub(super) fn note_node(&mut self, node: u32, state: &str, reason: &str) {
        let node = self.nodes[node as usize].name.clone();
        self.write(Event::NodeChanged { node, state: Name::new(state), reason: reason.to_owned() });
    }
}
