//! What kube-state-metrics, cAdvisor and node exporters say beyond what is always there, where their profiles are asked for (docs/MODEL.md 4.3).

use std::collections::BTreeSet;

use firedrill_core::journal::ReplicaState;
use firedrill_core::quantity::Rounding;
use firedrill_core::time::Time;
use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::page::{Page, Sheet};
use super::process::{cpu_seconds, memory_bytes, unix_seconds};
use super::{NAMESPACE, named};
use crate::slab::NONE;
use crate::spec::{MetricTarget, Profile, ServiceSpec};
use crate::world::{Node, Replica, Scaling, Service, Termination, World};

/// Whether the cluster shows itself by this profile.
pub(super) fn shows(world: &World, profile: Profile) -> bool {
    world.spec.profiles.contains(&profile)
}

type Label<'a> = (&'a str, &'a str);

fn put(sheet: &mut Sheet<'_>, labels: &LabelsBuilder, metric: &str, more: &[Label<'_>], value: Option<f64>) {
    sheet.put(value, || named(metric, &more.iter().fold(labels.clone(), |labels, (name, value)| labels.set(*name, *value))));
}

const fn flag(on: bool) -> Option<f64> {
    Some(if on { 1.0 } else { 0.0 })
}

/// The set of replicas of one version, as a deployment names it.
pub(super) fn replica_set(spec: &ServiceSpec, version: u32) -> String {
    format!("{}-{}", spec.name, spec.versions[version as usize].name)
}

/// The image that a replica runs.
fn image(spec: &ServiceSpec, replica: &Replica) -> String {
    format!("{}:{}", spec.name, spec.versions[replica.version as usize].name)
}

/// An instant as metrics tell it, of something that may have been there before the run.
fn since(world: &World, at: Option<Time>) -> f64 {
    unix_seconds(world, at.unwrap_or(Time::ZERO))
}

/// What cAdvisor adds to the labels of a container.
pub(super) fn container_labels(world: &World, replica: u32, labels: LabelsBuilder) -> LabelsBuilder {
    let state = &world.replicas[replica as usize];
    let spec = &world.spec.services[state.service as usize];
    let name = &state.name;
    labels
        .set("image", image(spec, state))
        .set("id", format!("/kubepods/pod-{name}/{}", spec.name))
        .set("name", format!("{}_{name}", spec.name))
}

/// What cAdvisor says of a container, and of its pod as a whole.
pub(super) fn put_container(sheet: &mut Sheet<'_>, world: &World, replica: u32, (container, pod): (&LabelsBuilder, &LabelsBuilder)) {
    let state = &world.replicas[replica as usize];
    let spec = &world.spec.services[state.service as usize];
    let runs = |value: f64| state.is_running().then_some(value);
    let memory = memory_bytes(world, replica) as f64;
    for metric in ["container_memory_rss", "container_memory_usage_bytes"] {
        put(sheet, container, metric, &[], runs(memory));
    }
    put(sheet, container, "container_memory_cache", &[], runs(0.0));
    // The kernel's count goes with the container; like the kubelet's it stays to be seen while the next one starts.
    put(sheet, container, "container_oom_events_total", &[], Some(state.out_of_memory as f64));
    put(sheet, container, "container_last_seen", &[], runs(unix_seconds(world, world.now)));
    if let Some(cores) = spec.cores {
        put(sheet, container, "container_spec_cpu_period", &[], runs(100_000.0));
        put(sheet, container, "container_spec_cpu_quota", &[], runs(cores * 100_000.0));
    }
    if let Some(bandwidth) = state.cpu_time.as_ref().and_then(|own| own.bandwidth()) {
        put(sheet, container, "container_cpu_cfs_periods_total", &[], runs(bandwidth.periods as f64));
        put(sheet, container, "container_cpu_cfs_throttled_periods_total", &[], runs(bandwidth.throttled_periods as f64));
        put(sheet, container, "container_cpu_cfs_throttled_seconds_total", &[], runs(bandwidth.stood(world.now).as_seconds()));
    }
    put(sheet, container, "container_spec_cpu_shares", &[], runs((spec.life.request_millicores * 1024 / 1000).max(2) as f64));
    // The pod's own group, which rules leave out by `container!=""`.
    let pod_id = format!("/kubepods/pod-{}", state.name);
    put(sheet, pod, "container_cpu_usage_seconds_total", &[("cpu", "total"), ("id", &pod_id)], runs(cpu_seconds(world, state)));
    put(sheet, pod, "container_memory_working_set_bytes", &[("id", &pod_id)], runs(memory));
}

/// What kube-state-metrics says of a service's deployment.
pub(super) fn put_deployment(sheet: &mut Sheet<'_>, world: &World, service: &Service, labels: &LabelsBuilder) {
    let spec = &world.spec.services[service.index as usize];
    let name = spec.name.as_str();
    let labels = labels.clone().set("namespace", NAMESPACE);
    let deployment = labels.clone().set("deployment", name);
    let wanted = f64::from(service.wanted);
    let surge = spec.rollout.max_surge.of(u64::from(service.wanted), Rounding::Ceil);
    let missing = spec.rollout.max_unavailable.of(u64::from(service.wanted), Rounding::Floor).min(u64::from(service.wanted));
    let missing = if surge == 0 && missing == 0 { 1 } else { missing };
    let available = service.ready.iter().filter(|replica| world.is_available(**replica)).count() as f64;
    put(sheet, &deployment, "kube_deployment_created", &[], Some(since(world, None)));
    put(sheet, &deployment, "kube_deployment_labels", &[("label_app", name)], Some(1.0));
    put(sheet, &deployment, "kube_deployment_spec_paused", &[], Some(0.0));
    put(sheet, &deployment, "kube_deployment_spec_strategy_rollingupdate_max_surge", &[], Some(surge as f64));
    put(sheet, &deployment, "kube_deployment_spec_strategy_rollingupdate_max_unavailable", &[], Some(missing as f64));
    let (is_available, is_progressing) = (available >= wanted - missing as f64, !service.is_stalled());
    for (condition, on) in [("Available", is_available), ("Progressing", is_progressing)] {
        for (status, value) in [("true", on), ("false", !on), ("unknown", false)] {
            let labels = [("condition", condition), ("status", status)];
            put(sheet, &deployment, "kube_deployment_status_condition", &labels, flag(value));
        }
    }
    for version in 0..spec.versions.len() as u32 {
        let of_version = |replica: &&u32| world.replicas[**replica as usize].version == version;
        let living = service.replicas.iter().filter(of_version).filter(|replica| world.replicas[**replica as usize].is_living()).count();
        let ready = service.ready.iter().filter(of_version).count();
        let set = labels.clone().set("replicaset", replica_set(spec, version));
        let owner = [("owner_kind", "Deployment"), ("owner_name", name), ("owner_is_controller", "true")];
        let there = living > 0 || version == service.version;
        put(sheet, &set, "kube_replicaset_owner", &owner, there.then_some(1.0));
        put(sheet, &set, "kube_replicaset_spec_replicas", &[], there.then_some(living as f64));
        put(sheet, &set, "kube_replicaset_status_ready_replicas", &[], there.then_some(ready as f64));
    }
    if let Some(standing) = world.standing(service.index) {
        let labels = labels.clone().set("poddisruptionbudget", name);
        let figures = [
            ("current_healthy", standing.healthy),
            ("desired_healthy", standing.needed),
            ("pod_disruptions_allowed", standing.allowed()),
            ("expected_pods", standing.expected),
        ];
        for (figure, value) in figures {
            put(sheet, &labels, &format!("kube_poddisruptionbudget_status_{figure}"), &[], Some(f64::from(value)));
        }
    }
    put(sheet, &labels.set("service", name), "kube_service_info", &[], Some(1.0));
}

/// What kube-state-metrics says of an autoscaler.
pub(super) fn put_autoscaler(sheet: &mut Sheet<'_>, spec: &ServiceSpec, labels: &LabelsBuilder, scaling: &Scaling) {
    let (current, desired) = (scaling.current, scaling.desired);
    let Some(autoscaler) = &spec.autoscaler else { return };
    let target = [("scaletargetref_kind", "Deployment"), ("scaletargetref_name", spec.name.as_str())];
    put(sheet, labels, "kube_horizontalpodautoscaler_info", &target, Some(1.0));
    for (metric, average) in autoscaler.metrics.iter().zip(&scaling.averages) {
        let (name, kind, value) = match metric {
            MetricTarget::Cpu { percent, .. } => ("cpu", "utilization", f64::from(*percent)),
            MetricTarget::Memory { percent, .. } => ("memory", "utilization", f64::from(*percent)),
            MetricTarget::Requests { per_replica_milli } => ("requests", "average", *per_replica_milli as f64 / 1e3),
        };
        let labels_of = [("metric_name", name), ("metric_target_type", kind)];
        put(sheet, labels, "kube_horizontalpodautoscaler_spec_target_metric", &labels_of, Some(value));
        // Of a resource its status tells the average beside the share.
        let (share, scale) = match metric {
            MetricTarget::Cpu { request_millicores, .. } => (Some(*request_millicores), 1e3),
            MetricTarget::Memory { request, .. } => (Some(request.get()), 1.0),
            MetricTarget::Requests { .. } => (None, 1e3),
        };
        let told = "kube_horizontalpodautoscaler_status_target_metric";
        put(
            sheet,
            labels,
            told,
            &[("metric_name", name), ("metric_target_type", "average")],
            average.map(|average| average as f64 / scale),
        );
        if let Some(request) = share.filter(|request| *request > 0) {
            let percent = average.map(|average| (average * 100 / request) as f64);
            put(sheet, labels, told, &[("metric_name", name), ("metric_target_type", "utilization")], percent);
        }
    }
    let is_limited = (desired >= autoscaler.max || desired <= autoscaler.min) && desired > 0;
    for (condition, on) in [("AbleToScale", true), ("ScalingActive", current > 0), ("ScalingLimited", is_limited)] {
        for (status, value) in [("true", on), ("false", !on), ("unknown", false)] {
            let labels_of = [("condition", condition), ("status", status)];
            put(sheet, labels, "kube_horizontalpodautoscaler_status_condition", &labels_of, flag(value));
        }
    }
}

/// What kube-state-metrics says of a node.
pub(super) fn put_node(sheet: &mut Sheet<'_>, node: &Node, labels: &LabelsBuilder) {
    put(sheet, labels, "kube_node_spec_unschedulable", &[], flag(node.cordons > 0));
    let taints = [
        ("unreachable", "NoExecute", node.unknown),
        ("unreachable", "NoSchedule", node.unknown),
        ("unschedulable", "NoSchedule", node.cordons > 0),
    ];
    for (key, effect, is) in taints {
        let taint = [("effect", effect), ("key", &*format!("node.kubernetes.io/{key}")), ("value", "")];
        put(sheet, labels, "kube_node_spec_taint", &taint, is.then_some(1.0));
    }
    for condition in ["DiskPressure", "MemoryPressure", "PIDPressure"] {
        let holds = !node.unknown && condition == "MemoryPressure" && node.is_short_of_memory();
        for (status, on) in [("true", holds), ("false", !node.unknown && !holds), ("unknown", node.unknown)] {
            put(sheet, labels, "kube_node_status_condition", &[("condition", condition), ("status", status)], flag(on));
        }
    }
    for (resource, unit, amount) in [("cpu", "core", node.millicores as f64 / 1e3), ("memory", "byte", node.memory as f64)] {
        put(sheet, labels, "kube_node_status_capacity", &[("resource", resource), ("unit", unit)], Some(amount));
    }
}

/// What kube-state-metrics says of a pod and of its container; `labels` are those of the pod.
pub(super) fn put_pod(sheet: &mut Sheet<'_>, world: &World, index: u32, labels: &LabelsBuilder) {
    let replica = &world.replicas[index as usize];
    let spec = &world.spec.services[replica.service as usize];
    let set = replica_set(spec, replica.version);
    let owner = [("owner_kind", "ReplicaSet"), ("owner_name", &*set), ("owner_is_controller", "true")];
    put(sheet, labels, "kube_pod_owner", &owner, Some(1.0));
    put(sheet, labels, "kube_pod_labels", &[("label_app", spec.name.as_str())], Some(1.0));
    put(sheet, labels, "kube_pod_created", &[], Some(since(world, replica.created)));
    let placed = replica.state != ReplicaState::Pending;
    put(sheet, labels, "kube_pod_start_time", &[], placed.then(|| since(world, replica.came())));
    for (condition, on) in [("true", placed), ("false", !placed), ("unknown", false)] {
        put(sheet, labels, "kube_pod_status_scheduled", &[("condition", condition)], flag(on));
    }
    put(sheet, labels, "kube_pod_status_unschedulable", &[], (!placed).then_some(1.0));
    let is_ready = replica.state == ReplicaState::Ready;
    put(sheet, labels, "kube_pod_status_ready_time", &[], is_ready.then(|| since(world, replica.ready_changed)));
    let is_given_up = replica.node != NONE && world.nodes[replica.node as usize].unknown;
    put(sheet, labels, "kube_pod_status_reason", &[("reason", "NodeLost")], is_given_up.then_some(1.0));
    // An evicted pod is told by what is left of it.
    put(sheet, labels, "kube_pod_status_reason", &[("reason", "Evicted")], None);
    let container = labels.clone().set("container", spec.name.as_str());
    put(sheet, &container, "kube_pod_container_info", &[("image", &image(spec, replica))], Some(1.0));
    let is_waiting = replica.backing_off || matches!(replica.state, ReplicaState::Pending | ReplicaState::Pulling);
    put(sheet, &container, "kube_pod_container_status_waiting", &[], flag(is_waiting));
    put(sheet, &container, "kube_pod_container_status_terminated", &[], flag(!is_waiting && !replica.is_running()));
    let code = replica.last_termination.map(|why| if why == Termination::OutOfMemory { 137.0 } else { 1.0 });
    put(sheet, &container, "kube_pod_container_status_last_terminated_exitcode", &[], code);
    put(sheet, &container, "kube_pod_container_state_started", &[], replica.is_running().then(|| unix_seconds(world, replica.started)));
    // Where an autoscaler aims at a resource, what is asked for is told anyway.
    let told = |resource: &str| {
        let aims = spec.autoscaler.iter().flat_map(|autoscaler| &autoscaler.metrics);
        aims.into_iter().any(|aim| matches!((aim, resource), (MetricTarget::Cpu { .. }, "cpu") | (MetricTarget::Memory { .. }, "memory")))
    };
    let (cores, memory) = (spec.life.request_millicores as f64 / 1e3, spec.life.request_memory.get() as f64);
    for (resource, unit, amount) in [("cpu", "core", cores), ("memory", "byte", memory)] {
        if amount > 0.0 && !told(resource) {
            put(sheet, &container, "kube_pod_container_resource_requests", &[("resource", resource), ("unit", unit)], Some(amount));
        }
    }
}

/// What kube-state-metrics says of a pod's endpoint and of the claim of its volume, which have names of their own.
pub(super) fn put_beside_pod(sheet: &mut Sheet<'_>, world: &World, index: u32, labels: &LabelsBuilder) {
    let replica = &world.replicas[index as usize];
    let spec = &world.spec.services[replica.service as usize];
    let labels = labels.clone().set("namespace", NAMESPACE);
    let (is_ready, is_leaving) = (replica.state == ReplicaState::Ready, replica.state == ReplicaState::Draining);
    let slice =
        labels.clone().set("endpointslice", spec.name.as_str()).set("targetref_kind", "Pod").set("targetref_name", replica.name.as_str());
    let states =
        [("true", "true", "false", is_ready), ("false", "false", "false", !is_ready && !is_leaving), ("false", "true", "true", is_leaving)];
    for (ready, serving, terminating, is) in states {
        let of = [("ready", ready), ("serving", serving), ("terminating", terminating)];
        put(sheet, &slice, "kube_endpointslice_endpoints", &of, is.then_some(1.0));
    }
    if replica.disk.is_some() {
        let claim = labels.set("persistentvolumeclaim", format!("data-{}", replica.name));
        for phase in ["Bound", "Lost", "Pending"] {
            put(sheet, &claim, "kube_persistentvolumeclaim_status_phase", &[("phase", phase)], flag(phase == "Bound"));
        }
    }
}

/// Prometheus' exporter on one node.
#[derive(Clone, Debug)]
pub(super) struct NodeExporter {
    node: u32,
    /// Loads of 1, 5 and 15 minutes, as of `at`.
    loads: [f64; 3],
    at: Time,
    /// Seconds in which a core had nothing to do, as last told: a counter, also where more is stolen than was left.
    idle: f64,
    pub(super) page: Page,
}

impl NodeExporter {
    pub(super) fn new(node: u32) -> Self {
        Self { node, loads: [0.0; 3], at: Time::ZERO, idle: 0.0, page: Page::default() }
    }

    /// Whether nobody answers there.
    pub(super) fn is_lost(&self, world: &World) -> bool {
        let node = &world.nodes[self.node as usize];
        node.losses > 0 || world.zones[node.zone as usize].losses > 0
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let node = &world.nodes[self.node as usize];
        let here = || (0..world.replicas.len() as u32).filter(|replica| world.replicas[*replica as usize].node == self.node);
        let busy: f64 = here().map(|replica| world.replicas[replica as usize].all_cpu_seconds(world.now)).sum();
        let running: u32 = here().map(|replica| world.replicas[replica as usize].cpu.running()).sum();
        let living: BTreeSet<u32> = here().filter(|replica| world.replicas[*replica as usize].is_running()).collect();
        let killed: u64 = here().map(|replica| world.replicas[replica as usize].out_of_memory).sum();
        let used: u64 = living.iter().map(|replica| memory_bytes(world, *replica)).sum();
        let passed = world.now.since(self.at).as_seconds();
        // As the kernel does it, with the last reading in the place of one every five seconds.
        for (load, minutes) in self.loads.iter_mut().zip([1.0, 5.0, 15.0]) {
            let kept = libm::exp(-passed / (60.0 * minutes));
            *load = *load * kept + f64::from(running) * (1.0 - kept);
        }
        self.at = world.now;
        let loads = self.loads;
        let sheet = &mut Sheet::new(store, &mut self.page, at_ms);
        let cores = node.millicores as f64 / 1e3;
        // The cores are alike, so what was done is spread over them.
        let cpus = (libm::ceil(cores) as u32).max(1);
        let up = world.now.since(Time::ZERO).as_seconds();
        let stolen = world.stolen_seconds(self.node);
        let done = (busy / f64::from(cpus)).min(up);
        self.idle = self.idle.max(up - done - stolen);
        let idle = self.idle;
        for cpu in 0..cpus {
            let name = cpu.to_string();
            for (mode, seconds) in [("user", done), ("idle", idle), ("iowait", 0.0), ("system", 0.0), ("steal", stolen)] {
                put(sheet, labels, "node_cpu_seconds_total", &[("cpu", &name), ("mode", mode)], Some(seconds));
            }
        }
        let free = node.memory.saturating_sub(used) as f64;
        let figures = [
            ("node_memory_MemTotal_bytes", node.memory as f64),
            ("node_memory_MemAvailable_bytes", free),
            ("node_memory_MemFree_bytes", free),
            ("node_load1", loads[0]),
            ("node_load5", loads[1]),
            ("node_load15", loads[2]),
            ("node_vmstat_oom_kill", killed as f64),
            ("node_boot_time_seconds", unix_seconds(world, Time::ZERO)),
            ("node_time_seconds", unix_seconds(world, world.now)),
        ];
        for (metric, value) in figures {
            put(sheet, labels, metric, &[], Some(value));
        }
        put(sheet, labels, "node_uname_info", &[("nodename", node.name.as_str()), ("sysname", "Linux")], Some(1.0));
    }
}
