//! What the cluster says of its containers, pods and deployments: the kubelet of each zone, and kube-state-metrics.

use std::collections::BTreeMap;

use firedrill_core::journal::ReplicaState;
use firedrill_core::name::Name;
use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::page::{Page, Sheet};
use super::process::{cpu_seconds, memory_bytes, unix_seconds};
use super::{NAMESPACE, cluster, named, named_with};
use crate::slab::NONE;
use crate::spec::{MetricTarget, Profile};
use crate::world::{Replica, Termination, World};

/// A kubelet of a node; where machines are not modelled, a zone is one.
#[derive(Clone, Debug)]
pub(super) struct Kubelet {
    host: Host,
    path: KubeletPath,
    pages: BTreeMap<u32, Page>,
}

/// Where a kubelet is scraped, each place a target of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KubeletPath {
    /// Its containers, as cAdvisor tells them.
    Containers,
    /// What it tells of its own: the volumes of its pods.
    Own,
}

impl KubeletPath {
    /// The path as targets have it in `metrics_path`.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Containers => "/metrics/cadvisor",
            Self::Own => "/metrics",
        }
    }
}

/// The state of all pods and deployments.
#[derive(Clone, Debug, Default)]
pub(super) struct KubeState {
    deployments: Page,
    autoscalers: Page,
    nodes: Page,
    pods: BTreeMap<u32, Page>,
    evicted: Page,
}

/// Ends and forgets the pages of replicas that are gone.
fn forget_gone(pages: &mut BTreeMap<u32, Page>, world: &World, store: &mut Store, at_ms: i64) {
    pages.retain(|replica, page| {
        let gone = world.replicas[*replica as usize].state == ReplicaState::Gone;
        if gone {
            page.silence(store, at_ms);
        }
        !gone
    });
}

/// All replicas that exist, by service and number.
fn existing(world: &World) -> impl Iterator<Item = u32> {
    world.services.iter().flat_map(|service| service.replicas.iter().copied())
}

/// Where containers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Zone(u32),
    Node(u32),
}

impl Host {
    /// All of them, in order.
    pub(super) fn all(world: &World) -> Vec<Self> {
        if world.nodes.is_empty() {
            (0..world.zones.len() as u32).map(Self::Zone).collect()
        } else {
            (0..world.nodes.len() as u32).map(Self::Node).collect()
        }
    }

    /// Where a replica runs; `None` while it has no place.
    fn of(replica: &Replica) -> Option<Self> {
        replica.is_placed().then_some(if replica.node == NONE { Self::Zone(replica.zone) } else { Self::Node(replica.node) })
    }

    /// What it is called.
    pub(super) fn name(self, world: &World) -> String {
        match self {
            Self::Zone(zone) => format!("node-{}", world.zones[zone as usize].name),
            Self::Node(node) => world.nodes[node as usize].name.to_string(),
        }
    }

    fn is_lost(self, world: &World) -> bool {
        match self {
            Self::Zone(zone) => world.zones[zone as usize].losses > 0,
            Self::Node(node) => {
                let node = &world.nodes[node as usize];
                node.losses > 0 || world.zones[node.zone as usize].losses > 0
            }
        }
    }
}

impl Kubelet {
    pub(super) const fn new(host: Host, path: KubeletPath) -> Self {
        Self { host, path, pages: BTreeMap::new() }
    }

    /// Whether nobody answers there.
    pub(super) fn is_lost(&self, world: &World) -> bool {
        self.host.is_lost(world)
    }

    pub(super) fn each_page(&mut self, visit: impl FnMut(&mut Page)) {
        self.pages.values_mut().for_each(visit);
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        forget_gone(&mut self.pages, world, store, at_ms);
        if self.path == KubeletPath::Own && world.spec.services.iter().all(|service| service.disk.is_none()) {
            return;
        }
        let host = Some(self.host);
        let here = existing(world).filter(|index| Host::of(&world.replicas[*index as usize]) == host);
        match self.path {
            KubeletPath::Containers => here.for_each(|index| self.put_container(world, store, (at_ms, index), labels)),
            KubeletPath::Own => here.for_each(|index| self.put_volume(world, store, (at_ms, index), labels)),
        }
    }

    fn put_volume(&mut self, world: &World, store: &mut Store, (at_ms, index): (i64, u32), labels: &LabelsBuilder) {
        let replica = &world.replicas[index as usize];
        let Some(disk) = &replica.disk else { return };
        let claim = labels.clone().set("namespace", NAMESPACE).set("persistentvolumeclaim", format!("data-{}", replica.name));
        let (size, used) = disk.figures(world.now);
        let mut sheet = Sheet::new(store, self.pages.entry(index).or_default(), at_ms);
        for (part, bytes) in [("capacity", size), ("used", used), ("available", size - used)] {
            sheet.put(Some(bytes as f64), || named(&format!("kubelet_volume_stats_{part}_bytes"), &claim));
        }
    }

    fn put_container(&mut self, world: &World, store: &mut Store, (at_ms, index): (i64, u32), labels: &LabelsBuilder) {
        let replica = &world.replicas[index as usize];
        let spec = &world.spec.services[replica.service as usize];
        let limit = replica.memory.limit.map_or(0.0, |limit| limit as f64);
        let figures = [
            ("container_cpu_usage_seconds_total", cpu_seconds(world, replica)),
            ("container_memory_working_set_bytes", memory_bytes(world, index) as f64),
            ("container_spec_memory_limit_bytes", limit),
            ("container_start_time_seconds", unix_seconds(world, replica.started)),
        ];
        let pod = pod_labels(labels, &replica.name);
        let in_full = cluster::shows(world, Profile::Cadvisor);
        let labels = pod.clone().set("container", spec.name.as_str());
        let labels = if in_full { cluster::container_labels(world, index, labels) } else { labels };
        let mut sheet = Sheet::new(store, self.pages.entry(index).or_default(), at_ms);
        for (metric, value) in figures {
            // The kubelet tells CPU time by core or, as by default, of all of them.
            let is_cpu = metric == "container_cpu_usage_seconds_total";
            let labels = || if is_cpu { labels.clone().set("cpu", "total") } else { labels.clone() };
            sheet.put(replica.is_running().then_some(value), || named(metric, &labels()));
        }
        if in_full {
            cluster::put_container(&mut sheet, world, index, (&labels, &pod));
        }
        if let Some((threads, most)) = replica.thread_figures(world) {
            for (metric, value) in [("container_threads", threads), ("container_threads_max", most)] {
                sheet.put(replica.is_running().then_some(f64::from(value)), || named(metric, &labels));
            }
        }
    }
}

fn pod_labels(labels: &LabelsBuilder, pod: &Name) -> LabelsBuilder {
    labels.clone().set("namespace", NAMESPACE).set("pod", pod.as_str())
}

impl KubeState {
    pub(super) fn each_page(&mut self, visit: impl FnMut(&mut Page)) {
        let Self { deployments, autoscalers, nodes, pods, evicted } = self;
        [deployments, autoscalers, nodes, evicted].into_iter().chain(pods.values_mut()).for_each(visit);
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        forget_gone(&mut self.pods, world, store, at_ms);
        let (in_full, own) = (cluster::shows(world, Profile::KubeStateMetrics), labels);
        let mut sheet = Sheet::new(store, &mut self.deployments, at_ms);
        for (service, spec) in world.services.iter().zip(&world.spec.services) {
            let labels = labels.clone().set("namespace", NAMESPACE).set("deployment", spec.name.as_str());
            let replicas = || service.replicas.iter().map(|index| &world.replicas[*index as usize]).filter(|replica| replica.is_living());
            let updated = replicas().filter(|replica| replica.version == service.version).count();
            let (all, ready) = (replicas().count() as f64, service.ready.len() as f64);
            let available = service.ready.iter().filter(|replica| world.is_available(**replica)).count() as f64;
            let figures = [
                ("kube_deployment_spec_replicas", f64::from(service.wanted)),
                ("kube_deployment_status_replicas", all),
                ("kube_deployment_status_replicas_ready", ready),
                ("kube_deployment_status_replicas_available", available),
                // Of all that its replica sets shall have, those of a rollout above the wanted number included (`calculateStatus` in `sync.go`).
                ("kube_deployment_status_replicas_unavailable", all - available),
                ("kube_deployment_status_replicas_updated", updated as f64),
                ("kube_deployment_metadata_generation", service.generation as f64),
                ("kube_deployment_status_observed_generation", service.generation as f64),
            ];
            for (metric, value) in figures {
                sheet.put(Some(value), || named(metric, &labels));
            }
            if in_full {
                cluster::put_deployment(&mut sheet, world, service, own);
            }
            let of = own.clone().set("namespace", NAMESPACE).set("name", spec.name.as_str());
            if let Some((expires, has_expired)) = world.certificate(service.index) {
                for (condition, is) in [("True", !has_expired), ("False", has_expired), ("Unknown", false)] {
                    sheet.put(Some(flag(is)), || named_with("certmanager_certificate_ready_status", &of, ("condition", condition)));
                }
                let expires = unix_seconds(world, expires);
                sheet.put(Some(expires), || named("certmanager_certificate_expiration_timestamp_seconds", &of));
            }
            if let Some(is_as_declared) = world.is_as_declared(service.index) {
                for (status, is) in [("Synced", is_as_declared), ("OutOfSync", !is_as_declared)] {
                    sheet.put(is.then_some(1.0), || named_with("argocd_app_info", &of, ("sync_status", status)));
                }
            }
        }
        self.put_autoscalers(world, store, at_ms, labels);
        self.put_nodes(world, store, at_ms, labels);
        self.put_evicted(world, store, at_ms, labels);
        for index in existing(world) {
            let mut sheet = Sheet::new(store, self.pods.entry(index).or_default(), at_ms);
            put_pod(&mut sheet, world, index, labels);
            put_container(&mut sheet, world, index, labels);
            if in_full {
                let name = &world.replicas[index as usize].name;
                let pod = pod_labels(labels, name).set("uid", name.as_str());
                cluster::put_pod(&mut sheet, world, index, &pod);
                cluster::put_beside_pod(&mut sheet, world, index, labels);
            }
        }
    }

    fn put_nodes(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let mut sheet = Sheet::new(store, &mut self.nodes, at_ms);
        for node in &world.nodes {
            let labels = labels.clone().set("node", node.name.as_str());
            sheet.put(Some(1.0), || named("kube_node_info", &labels));
            for (status, on) in [("true", !node.unknown), ("false", false), ("unknown", node.unknown)] {
                let labels = || labels.clone().set("condition", "Ready");
                sheet.put(Some(flag(on)), || named_with("kube_node_status_condition", &labels(), ("status", status)));
            }
            for (resource, unit, amount) in [("cpu", "core", node.millicores as f64 / 1e3), ("memory", "byte", node.memory as f64)] {
                let labels = || labels.clone().set("unit", unit);
                sheet.put(Some(amount), || named_with("kube_node_status_allocatable", &labels(), ("resource", resource)));
            }
            if cluster::shows(world, Profile::KubeStateMetrics) {
                cluster::put_node(&mut sheet, node, &labels);
            }
        }
    }

    /// What is left of evicted pods: objects that say so, until somebody deletes them.
    fn put_evicted(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let mut sheet = Sheet::new(store, &mut self.evicted, at_ms);
        for index in &world.evicted {
            let name = &world.replicas[*index as usize].name;
            let labels = pod_labels(labels, name).set("uid", name.as_str());
            sheet.put(Some(1.0), || named_with("kube_pod_status_phase", &labels, ("phase", "Failed")));
            if cluster::shows(world, Profile::KubeStateMetrics) {
                sheet.put(Some(1.0), || named_with("kube_pod_status_reason", &labels, ("reason", "Evicted")));
            }
        }
    }

    fn put_autoscalers(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let mut sheet = Sheet::new(store, &mut self.autoscalers, at_ms);
        for (service, spec) in world.services.iter().zip(&world.spec.services) {
            let (Some(scaling), Some(bounds)) = (&service.scaling, &spec.autoscaler) else { continue };
            let labels = labels.clone().set("namespace", NAMESPACE).set("horizontalpodautoscaler", spec.name.as_str());
            let figures = [
                ("kube_horizontalpodautoscaler_spec_min_replicas", bounds.min),
                ("kube_horizontalpodautoscaler_spec_max_replicas", bounds.max),
                ("kube_horizontalpodautoscaler_status_current_replicas", scaling.current),
                ("kube_horizontalpodautoscaler_status_desired_replicas", scaling.desired),
            ];
            for (metric, value) in figures {
                sheet.put(Some(f64::from(value)), || named(metric, &labels));
            }
            if cluster::shows(world, Profile::KubeStateMetrics) {
                cluster::put_autoscaler(&mut sheet, spec, &labels, scaling);
            }
        }
    }
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

fn put_pod(sheet: &mut Sheet<'_>, world: &World, index: u32, labels: &LabelsBuilder) {
    let replica = &world.replicas[index as usize];
    let spec = &world.spec.services[replica.service as usize];
    let labels = pod_labels(labels, &replica.name).set("uid", replica.name.as_str());
    for phase in ["Pending", "Running", "Succeeded", "Failed", "Unknown"] {
        // A pod whose container crashes again and again is Running, and so is one whose node is lost.
        let is_pending = matches!(replica.state, ReplicaState::Pending | ReplicaState::Pulling);
        sheet.put(Some(flag(phase == if is_pending { "Pending" } else { "Running" })), || {
            named_with("kube_pod_status_phase", &labels, ("phase", phase))
        });
    }
    let ready = replica.state == ReplicaState::Ready;
    for (condition, on) in [("true", ready), ("false", !ready), ("unknown", false)] {
        sheet.put(Some(flag(on)), || named_with("kube_pod_status_ready", &labels, ("condition", condition)));
    }
    let set = || cluster::replica_set(spec, replica.version);
    let info = || labels.clone().set("created_by_kind", "ReplicaSet").set("created_by_name", set());
    // A label that says nothing is none.
    let node = || Host::of(replica).map(|host| host.name(world)).unwrap_or_default();
    sheet.put(replica.is_placed().then_some(1.0), || named_with("kube_pod_info", &info(), ("node", &node())));
    sheet.put((!replica.is_placed()).then_some(1.0), || named("kube_pod_info", &info()));
}

fn put_container(sheet: &mut Sheet<'_>, world: &World, index: u32, labels: &LabelsBuilder) {
    let replica = &world.replicas[index as usize];
    let spec = &world.spec.services[replica.service as usize];
    let labels = pod_labels(labels, &replica.name).set("uid", replica.name.as_str()).set("container", spec.name.as_str());
    sheet.put(Some(replica.restarts() as f64), || named("kube_pod_container_status_restarts_total", &labels));
    sheet.put(Some(flag(replica.state == ReplicaState::Ready)), || named("kube_pod_container_status_ready", &labels));
    sheet.put(Some(flag(replica.is_running())), || named("kube_pod_container_status_running", &labels));
    let waiting = replica.backing_off.then_some(1.0);
    sheet.put(waiting, || named_with("kube_pod_container_status_waiting_reason", &labels, ("reason", "CrashLoopBackOff")));
    let (is_pulling, has_no_image) = (replica.state == ReplicaState::Pulling, world.has_no_image(index));
    let creating = (is_pulling && !has_no_image).then_some(1.0);
    if spec.versions.iter().any(|version| version.has_no_image) {
        let waiting = (is_pulling && has_no_image).then_some(1.0);
        sheet.put(waiting, || named_with("kube_pod_container_status_waiting_reason", &labels, ("reason", "ImagePullBackOff")));
    }
    if spec.life.pull.is_some() {
        sheet.put(creating, || named_with("kube_pod_container_status_waiting_reason", &labels, ("reason", "ContainerCreating")));
    }
    for (why, reason) in [(Termination::Error, "Error"), (Termination::OutOfMemory, "OOMKilled")] {
        let shown = (replica.last_termination == Some(why)).then_some(1.0);
        sheet.put(shown, || named_with("kube_pod_container_status_last_terminated_reason", &labels, ("reason", reason)));
    }
    let requests = spec.autoscaler.iter().flat_map(|autoscaler| &autoscaler.metrics).filter_map(|target| match target {
        MetricTarget::Cpu { request_millicores, .. } => Some(("cpu", "core", *request_millicores as f64 / 1e3)),
        MetricTarget::Memory { request, .. } => Some(("memory", "byte", request.get() as f64)),
        MetricTarget::Requests { .. } => None,
    });
    for (resource, unit, request) in requests {
        sheet.put(Some(request), || {
            let labels = labels.clone().set("unit", unit);
            named_with("kube_pod_container_resource_requests", &labels, ("resource", resource))
        });
    }
    let limits = [("memory", "byte", replica.memory.limit.map(|limit| limit as f64)), ("cpu", "core", spec.cores)];
    for (resource, unit, limit) in limits {
        sheet.put(limit, || {
            let labels = labels.clone().set("unit", unit);
            named_with("kube_pod_container_resource_limits", &labels, ("resource", resource))
        });
    }
}
