//! All that manifests say, object by object.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::kubernetes::autoscaler::{self, Autoscaler};
use crate::kubernetes::field::{Amount, at, items, part, text, texts};
use crate::kubernetes::problem;
use crate::kubernetes::workload::{self, Kind, OLD_ZONE, Port, Workload, ZONE};

/// Kinds that say nothing of how a system behaves.
const BESIDE: [&str; 19] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Endpoints",
    "EndpointSlice",
    "Gateway",
    "IngressClass",
    "Kustomization",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodMonitor",
    "PrometheusRule",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "ServiceMonitor",
];

/// What the manifests of one system hold.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Workloads, in the order of the files.
    pub workloads: Vec<Workload>,
    /// Services, in the order of the files.
    pub services: Vec<Service>,
    /// Services that are asked from outside by way of an Ingress or a route: namespace and name.
    pub entries: BTreeSet<(Name, Name)>,
    /// ConfigMaps by namespace and name.
    pub maps: BTreeMap<(Name, Name), BTreeMap<Name, Name>>,
    /// Autoscalers.
    pub autoscalers: Vec<Autoscaler>,
    /// Disruption budgets.
    pub budgets: Vec<Budget>,
    /// The zones that nodes stand in.
    pub zones: BTreeSet<Name>,
    /// How many nodes there are.
    pub nodes: u32,
    /// What is not taken: kinds, and the names of each.
    pub others: BTreeMap<Name, Vec<Name>>,
    /// The kinds among those that say nothing of how a system behaves.
    pub beside: BTreeMap<Name, u64>,
    /// Files of folders that hold no manifest.
    pub strangers: BTreeSet<String>,
    /// Services whose manifest names no namespace: they stand wherever the files are applied.
    pub unplaced: BTreeSet<Name>,
    /// Where each object stands that is taken.
    seen: BTreeMap<(Name, Name, Name), Place>,
}

/// A Service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its namespace.
    pub namespace: Name,
    /// The labels of the pods behind it; none if nothing is chosen.
    pub selector: BTreeMap<Name, Name>,
    /// The ports of the pods behind it.
    pub targets: Vec<Port>,
    /// Whether it is asked from outside: a `LoadBalancer` or a `NodePort`.
    pub outside: bool,
    /// Whether who asks is sent to a pod in its own zone.
    pub prefers_zone: bool,
    /// What is said of it that a scenario cannot say, a few words each.
    pub unsaid: Vec<String>,
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Its name.
    pub name: Name,
    /// Its namespace.
    pub namespace: Name,
    /// The labels of the pods that it is about.
    pub selector: BTreeMap<Name, Name>,
    /// How many must stay.
    pub min_available: Option<Amount>,
    /// How many may be missing.
    pub max_unavailable: Option<Amount>,
    /// When pods that are not ready may be evicted, if it says so.
    pub unhealthy: Option<Name>,
}

impl Budget {
    /// Whether it is about the pods of a workload.
    pub fn chooses(&self, workload: &Workload) -> bool {
        let chosen = self.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        self.namespace == workload.namespace && !self.selector.is_empty() && chosen
    }
}

impl Cluster {
    /// The Services that are asked from outside without an Ingress: namespace and name.
    pub fn open_services(&self) -> impl Iterator<Item = (&str, &str)> {
        self.services.iter().filter(|service| service.outside).map(|service| (&*service.namespace, &*service.name))
    }

    /// Takes one document, and those within it if it is a list. Of a folder not every document need be a manifest.
    pub fn add(&mut self, reader: &mut Reader, document: &Node, named: bool) {
        let mut waiting = vec![document];
        while let Some(node) = waiting.pop() {
            if matches!(node.value, Value::Null) {
                continue;
            }
            let said = |key: &'static str| word(node, key);
            // What is no manifest is not read as one, so that nothing need be right about it.
            let is_map = said("apiVersion").is_some() && said("kind").is_some() && reader.fields(node, "a manifest").is_some();
            let (true, Some(version), Some(kind)) = (is_map, said("apiVersion"), said("kind")) else {
                if named {
                    reader.problem(problem::no_manifest(&node.place));
                } else {
                    self.strangers.insert(node.place.file().path.clone());
                }
                continue;
            };
            if kind.ends_with("List") && at(reader, node, &["items"]).is_some() {
                waiting.extend(items(reader, node, &["items"]).iter().rev());
            } else {
                self.add_object(reader, (version, kind), node);
            }
        }
    }

    fn add_object(&mut self, reader: &mut Reader, (version, kind): (&Name, &Name), node: &Node) {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let is_known = match &**kind {
            "Deployment" | "DaemonSet" => matches!(group, "apps" | "extensions"),
            "StatefulSet" => group == "apps",
            "Service" | "ConfigMap" | "Node" => group.is_empty(),
            "Ingress" => matches!(group, "networking.k8s.io" | "extensions"),
            "HTTPRoute" | "GRPCRoute" => group == "gateway.networking.k8s.io",
            "HorizontalPodAutoscaler" => group == "autoscaling",
            "PodDisruptionBudget" => group == "policy",
            _ => false,
        };
        if !is_known {
            self.leave_out(kind, node);
            return;
        }
        let Some(metadata) = at(reader, node, &["metadata"]) else {
            reader.problem(
                firedrill_core::problem::Problem::at("FD0104", &node.place, format!("a {kind} has no `metadata`"))
                    .remedy("add `metadata:` with its `name:`"),
            );
            return;
        };
        let Some(mut fields) = reader.fields(metadata, &format!("the `metadata` of a {kind}")) else { return };
        let name = fields.required(reader, "name").and_then(|node| read_name(reader, node, kind));
        let namespace = fields.optional("namespace").and_then(|node| read_name(reader, node, "namespace"));
        let Some(name) = name else { return };
        if namespace.is_none() && &**kind == "Service" {
            self.unplaced.insert(name.clone());
        }
        let namespace = namespace.unwrap_or_else(|| Name::new("default"));
        let key = (kind.clone(), namespace.clone(), name.clone());
        if let Some(first) = self.seen.get(&key) {
            reader.problem(problem::second_time(&node.place, &format!("{kind} `{name}`"), first));
            return;
        }
        self.seen.insert(key, node.place.clone());
        self.take(reader, kind, (namespace, name), node);
    }

    fn take(&mut self, reader: &mut Reader, kind: &str, (namespace, name): (Name, Name), node: &Node) {
        let own = (namespace.clone(), name.clone());
        match kind {
            "Deployment" => self.workloads.push(workload::read(reader, Kind::Deployment, own, node)),
            "StatefulSet" => self.workloads.push(workload::read(reader, Kind::StatefulSet, own, node)),
            "DaemonSet" => self.workloads.push(workload::read(reader, Kind::DaemonSet, own, node)),
            "HorizontalPodAutoscaler" => self.autoscalers.push(autoscaler::read(reader, own, node)),
            "Service" => self.services.push(read_service(reader, own, node)),
            "Ingress" => self.entries.extend(read_ingress(reader, &namespace, node)),
            "HTTPRoute" | "GRPCRoute" => self.entries.extend(read_route(reader, &namespace, node)),
            "ConfigMap" => {
                self.maps.insert(own, texts(reader, node, &["data"]));
            }
            "PodDisruptionBudget" => self.budgets.push(read_budget(reader, own, node)),
            _ => {
                let labels = texts(reader, node, &["metadata", "labels"]);
                self.zones.extend(labels.get(ZONE).or_else(|| labels.get(OLD_ZONE)).cloned());
                self.nodes += 1;
            }
        }
    }

    fn leave_out(&mut self, kind: &Name, node: &Node) {
        if BESIDE.contains(&&**kind) {
            *self.beside.entry(kind.clone()).or_default() += 1;
            return;
        }
        let name = match &node.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| &*key.text == "metadata").and_then(|(_, node)| word(node, "name")),
            _ => None,
        };
        self.others.entry(kind.clone()).or_default().push(name.cloned().unwrap_or_else(|| Name::new("one without a name")));
    }
}

/// The text behind a key; no text is no problem here.
fn word<'n>(node: &'n Node, key: &str) -> Option<&'n Name> {
    let Value::Map(entries) = &node.value else { return None };
    match &entries.iter().find(|(candidate, _)| &*candidate.text == key)?.1.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The name of an object as the API server takes it: labels of DNS (RFC 1123), and a single one for what stands as a part in the names of others.
fn read_name(reader: &mut Reader, node: &Node, object: &str) -> Option<Name> {
    let name = reader.name(node, &format!("the name of a {object}"))?;
    let is_single = matches!(object, "Service" | "namespace");
    let most = if is_single { 63 } else { 253 };
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| label.starts_with(is_end) && label.ends_with(is_end) && label.chars().all(|c| is_end(c) || c == '-');
    if name.len() > most || !name.split('.').all(is_label) || is_single && name.contains('.') {
        let marks = if is_single { "and `-`" } else { "`-` and `.`" };
        let rule = format!("at most {most} lowercase letters, digits, {marks}, with a letter or a digit at both ends");
        reader.problem(problem::no_name(&node.place, object, &rule));
    }
    Some(name)
}

fn read_service(reader: &mut Reader, (namespace, name): (Name, Name), node: &Node) -> Service {
    let mut targets = Vec::new();
    for entry in items(reader, node, &["spec", "ports"]) {
        targets.extend(workload::port(reader, entry, "targetPort").or_else(|| workload::port(reader, entry, "port")));
    }
    let kind = text(reader, node, &["spec", "type"]);
    let outside = kind.is_some_and(|kind| matches!(&*kind, "LoadBalancer" | "NodePort"));
    let distribution = text(reader, node, &["spec", "trafficDistribution"]);
    let is_by_zone = |distribution: &Name| matches!(&**distribution, "PreferClose" | "PreferSameZone");
    Service {
        name,
        namespace,
        selector: texts(reader, node, &["spec", "selector"]),
        targets,
        outside,
        prefers_zone: distribution.as_ref().is_some_and(is_by_zone),
        unsaid: read_unsaid(reader, node, distribution.filter(|distribution| !is_by_zone(distribution))),
    }
}

/// What a Service says of itself that a scenario cannot say; `distribution` is whom it prefers, if that is nobody in the zone.
fn read_unsaid(reader: &mut Reader, node: &Node, distribution: Option<Name>) -> Vec<String> {
    let mut unsaid = Vec::new();
    unsaid.extend(distribution.map(|said| format!("its `trafficDistribution: {said}`; here a zone is preferred, or nobody")));
    let mut others = |key: &'static str, told: (&str, &str)| {
        let is_said = text(reader, node, &["spec", key]).is_some_and(|said| *said == *told.0);
        unsaid.extend(is_said.then(|| format!("its `{key}: {}`; here {}", told.0, told.1)));
    };
    others("internalTrafficPolicy", ("Local", "whoever asks is sent to other nodes, too"));
    others("externalTrafficPolicy", ("Local", "requests from outside come to every node"));
    others("sessionAffinity", ("ClientIP", "who is asked does not go by who asks"));
    if at(reader, node, &["spec", "publishNotReadyAddresses"]).is_some_and(|node| matches!(node.value, Value::Bool(true))) {
        unsaid.push("its `publishNotReadyAddresses: true`; here nobody is asked who is not ready".to_owned());
    }
    unsaid
}

fn read_budget(reader: &mut Reader, (namespace, name): (Name, Name), node: &Node) -> Budget {
    let min_available = part(reader, node, &["spec", "minAvailable"]);
    let max_unavailable = part(reader, node, &["spec", "maxUnavailable"]);
    if min_available.and(max_unavailable).is_some()
        && let Some(spec) = at(reader, node, &["spec"])
    {
        reader.problem(problem::two_budgets(&spec.place));
    }
    let selector = texts(reader, node, &["spec", "selector", "matchLabels"]);
    Budget {
        name,
        namespace,
        selector,
        min_available,
        max_unavailable,
        unhealthy: text(reader, node, &["spec", "unhealthyPodEvictionPolicy"]),
    }
}

fn read_ingress(reader: &mut Reader, namespace: &Name, node: &Node) -> Vec<(Name, Name)> {
    let mut backends: Vec<&Node> = Vec::new();
    backends.extend(at(reader, node, &["spec", "defaultBackend"]).or_else(|| at(reader, node, &["spec", "backend"])));
    for rule in items(reader, node, &["spec", "rules"]) {
        for path in items(reader, rule, &["http", "paths"]) {
            backends.extend(at(reader, path, &["backend"]));
        }
    }
    // `serviceName` is how it was written before networking.k8s.io/v1.
    let mut name = |backend: &Node| text(reader, backend, &["service", "name"]).or_else(|| text(reader, backend, &["serviceName"]));
    backends.into_iter().filter_map(|backend| Some((namespace.clone(), name(backend)?))).collect()
}

fn read_route(reader: &mut Reader, namespace: &Name, node: &Node) -> Vec<(Name, Name)> {
    let mut entries = Vec::new();
    for rule in items(reader, node, &["spec", "rules"]) {
        for backend in items(reader, rule, &["backendRefs"]) {
            let Some(name) = text(reader, backend, &["name"]) else { continue };
            entries.push((text(reader, backend, &["namespace"]).unwrap_or_else(|| namespace.clone()), name));
        }
    }
    entries
}
