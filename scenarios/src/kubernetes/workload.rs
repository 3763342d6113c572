//! Deployments, StatefulSets and DaemonSets: what they say of their pods and of how these come and go.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::kubernetes::field::{Amount, amount, at, count, items, part, quantity, seconds, text, texts};
use crate::kubernetes::problem;
use crate::problem::MOST_REPLICAS;

/// The key of a node's label that names its zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The same until Kubernetes 1.17.
pub const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";

/// What kind of workload it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Replicas that are all alike.
    Deployment,
    /// Replicas with names, replaced one by one.
    StatefulSet,
    /// A replica a node.
    DaemonSet,
}

impl Kind {
    /// Its name in manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// A workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What kind it is.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// Its namespace; `default` if the file says none.
    pub namespace: Name,
    /// The file that it stands in.
    pub path: String,
    /// The labels of its pods.
    pub labels: BTreeMap<Name, Name>,
    /// How many pods it wants, if it says so.
    pub replicas: Option<u32>,
    /// How it replaces them.
    pub rollout: Rollout,
    /// Its pods.
    pub pod: Pod,
    /// What is said of it that a scenario cannot say, a few words each.
    pub unsaid: Vec<String>,
}

/// How a workload replaces its pods.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// `RollingUpdate`, `Recreate` or `OnDelete`, if it says so.
    pub strategy: Option<Name>,
    /// Pods beyond the wanted number.
    pub max_surge: Option<Amount>,
    /// Pods that may be missing.
    pub max_unavailable: Option<Amount>,
    /// How long a pod must be ready to count.
    pub min_ready: Option<Span>,
    /// After so long without progress that is told.
    pub progress_deadline: Option<Span>,
}

/// What a pod is made of.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    /// The name of the container that counts.
    pub container: Option<Name>,
    /// The image of that container.
    pub image: Option<Name>,
    /// The names of the containers that end before it starts (`initContainers`).
    pub before: Vec<Name>,
    /// The names of the other containers that run beside it.
    pub beside: Vec<Name>,
    /// Cores that the container may have.
    pub cpu_limit: Option<f64>,
    /// Cores that it asks for.
    pub cpu: Requests,
    /// Memory that the container may have.
    pub memory_limit: Option<Bytes>,
    /// Bytes that it asks for.
    pub memory: Requests,
    /// Ports that the container opens, with their names.
    pub ports: Vec<(Option<Name>, u32)>,
    /// What restarts it.
    pub liveness: Option<Probe>,
    /// What takes it out of Services.
    pub readiness: Option<Probe>,
    /// What the other two wait for.
    pub startup: Option<Probe>,
    /// What its environment and its arguments say.
    pub settings: Vec<Setting>,
    /// What it does before it is told to stop.
    pub pre_stop: Option<PreStop>,
    /// After so long it is killed.
    pub grace: Option<Span>,
    /// Where it stands.
    pub zones: Zones,
}

/// What containers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
}

impl Resource {
    /// Its name in manifests and in scenarios.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// An amount as it is counted, in thousandths of a core or in bytes; none if it is nothing.
    pub fn rounded(self, amount: f64) -> Option<f64> {
        let rounded = match self {
            // A sum of fractions may be off by a hair, which is not worth a thousandth.
            Self::Cpu => (amount * 1e3 - 1e-6).ceil() / 1e3,
            Self::Memory => amount.ceil(),
        };
        Some(rounded).filter(|amount| *amount > 0.0)
    }

    /// So many cores or bytes, for people.
    pub fn text(self, amount: f64) -> String {
        match self {
            Self::Cpu if amount == 1.0 => "1 core".to_owned(),
            Self::Cpu => format!("{amount} cores"),
            Self::Memory => Bytes::new(amount as u64).to_string(),
        }
    }
}

/// What a pod asks for of one resource, in cores or bytes.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// What the container that counts asks for itself.
    pub own: Option<f64>,
    /// What all ask for.
    pub all: Option<f64>,
    /// The containers that ask for nothing, where the pod does not ask for all of them.
    pub without: Vec<Name>,
}

impl Pod {
    /// What it asks for of a resource.
    pub const fn requests(&self, resource: Resource) -> &Requests {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }
}

/// A probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// How it asks.
    pub asks: Asks,
    /// From a container's start.
    pub initial_delay: Option<Span>,
    /// From one to the next.
    pub period: Option<Span>,
    /// How long it waits.
    pub timeout: Option<Span>,
    /// Failures in a row.
    pub failures: Option<u32>,
    /// Successes in a row.
    pub successes: Option<u32>,
    /// How long a container that it restarts has to end, if that is another time than the pod's.
    pub grace: Option<Span>,
}

/// How a probe asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Asks {
    /// A request to a port.
    Request(Port),
    /// A connection, which the kernel answers.
    Connection,
    /// A command beside the process.
    Command,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Port {
    /// By number.
    Number(u32),
    /// By the name that the container gives it.
    Named(Name),
}

/// An entry of an environment or an argument.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A variable and its value.
    Known {
        /// The variable.
        name: Name,
        /// What it holds.
        value: Name,
    },
    /// An argument.
    Argument {
        /// The option, as far as it has a name.
        name: Name,
        /// What it holds.
        value: Name,
    },
    /// What Kubernetes knows of the pod, under a name.
    Field {
        /// The variable.
        name: Name,
        /// Where it stands in the pod.
        path: Name,
    },
    /// One entry of a ConfigMap, under a name.
    Entry {
        /// The variable.
        name: Name,
        /// The ConfigMap.
        map: Name,
        /// Its key.
        key: Name,
    },
    /// All of a ConfigMap.
    All(Name),
    /// Something in a Secret.
    Secret,
}

/// What happens before a container is told to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PreStop {
    /// It sleeps.
    Sleep(Span),
    /// It does what cannot be taken.
    Other,
}

/// Where pods stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Zones {
    /// No file says.
    #[default]
    Unsaid,
    /// Spread over zones whose names no file says.
    Spread,
    /// In these.
    Named(BTreeSet<Name>),
}

/// Reads a workload.
pub fn read(reader: &mut Reader, kind: Kind, (namespace, name): (Name, Name), node: &Node) -> Workload {
    let strategy = if kind == Kind::Deployment { "strategy" } else { "updateStrategy" };
    let labels = texts(reader, node, &["spec", "template", "metadata", "labels"]);
    check_selector(reader, kind, node, &labels);
    let rollout = Rollout {
        strategy: text(reader, node, &["spec", strategy, "type"]),
        max_surge: amount(reader, node, &["spec", strategy, "rollingUpdate", "maxSurge"]),
        max_unavailable: part(reader, node, &["spec", strategy, "rollingUpdate", "maxUnavailable"]),
        min_ready: seconds(reader, node, &["spec", "minReadySeconds"]),
        progress_deadline: seconds(reader, node, &["spec", "progressDeadlineSeconds"]),
    };
    check_rollout(reader, kind, node, &rollout);
    Workload {
        kind,
        namespace,
        path: node.place.file().path.clone(),
        labels,
        replicas: count(reader, node, &["spec", "replicas"], MOST_REPLICAS),
        rollout,
        unsaid: read_unsaid(reader, kind, node),
        pod: read_template(reader, &name, node),
        name,
    }
}

/// Refuses a workload that does not say which pods are its own, or says it wrongly. Before `apps/v1` all labels of the template counted.
fn check_selector(reader: &mut Reader, kind: Kind, node: &Node, labels: &BTreeMap<Name, Name>) {
    let Some(spec) = at(reader, node, &["spec"]) else { return };
    let Some(selector) = at(reader, spec, &["selector"]) else {
        let version = text(reader, node, &["apiVersion"]);
        if !version.is_some_and(|version| version.ends_with("v1beta1")) {
            reader.problem(problem::no_selector(&spec.place, kind.word()));
        }
        return;
    };
    let chosen = texts(reader, selector, &["matchLabels"]);
    if let Some((key, value)) = chosen.iter().find(|(key, value)| labels.get(*key) != Some(*value)) {
        reader.problem(problem::other_pods(&selector.place, key, value));
    }
}

/// Refuses a rollout that could not begin, and one that would be late at once.
fn check_rollout(reader: &mut Reader, kind: Kind, node: &Node, rollout: &Rollout) {
    const USUAL_DEADLINE: Span = Span::from_seconds(600);
    let is_rolling = rollout.strategy.as_deref().is_none_or(|strategy| strategy == "RollingUpdate");
    let is_none = |amount: Option<Amount>| matches!(amount, Some(Amount::Pods(0) | Amount::Percent(0)));
    let no_surge = match kind {
        Kind::Deployment => is_none(rollout.max_surge),
        Kind::DaemonSet => rollout.max_surge.is_none() || is_none(rollout.max_surge),
        Kind::StatefulSet => false,
    };
    let strategy = if kind == Kind::Deployment { "strategy" } else { "updateStrategy" };
    if is_rolling
        && no_surge
        && is_none(rollout.max_unavailable)
        && let Some(place) = at(reader, node, &["spec", strategy, "rollingUpdate", "maxUnavailable"])
    {
        reader.problem(problem::no_way_to_roll(&place.place));
    }
    let ready = rollout.min_ready.unwrap_or(Span::ZERO);
    let deadline = rollout.progress_deadline.unwrap_or(USUAL_DEADLINE);
    if kind == Kind::Deployment && deadline <= ready {
        let key = if rollout.progress_deadline.is_some() { "progressDeadlineSeconds" } else { "minReadySeconds" };
        if let Some(place) = at(reader, node, &["spec", key]) {
            reader.problem(problem::late_at_once(&place.place, ready, deadline));
        }
    }
}

/// What a workload says of itself that a scenario cannot say.
fn read_unsaid(reader: &mut Reader, kind: Kind, node: &Node) -> Vec<String> {
    let mut unsaid = Vec::new();
    if at(reader, node, &["spec", "paused"]).is_some_and(|node| matches!(node.value, Value::Bool(true))) {
        unsaid.push("its `paused: true`; here a new version of it is rolled out".to_owned());
    }
    if kind != Kind::StatefulSet {
        return unsaid;
    }
    let partition = count(reader, node, &["spec", "updateStrategy", "rollingUpdate", "partition"], MOST_REPLICAS);
    if let Some(partition) = partition.filter(|partition| *partition > 0) {
        unsaid.push(format!("the `partition: {partition}` of its rollout, so that all of its replicas get a new version"));
    }
    if let Some(policy) = text(reader, node, &["spec", "podManagementPolicy"]) {
        unsaid.push(format!("its `podManagementPolicy: {policy}`; here replicas that are added start at once"));
    }
    for claim in items(reader, node, &["spec", "volumeClaimTemplates"]) {
        let name = text(reader, claim, &["metadata", "name"]).unwrap_or_else(|| Name::new("one without a name"));
        let size = text(reader, claim, &["spec", "resources", "requests", "storage"]);
        let size = size.map_or_else(String::new, |size| format!(" of {size}"));
        unsaid.push(format!("its volume `{name}`{size}; `disk: {{ size, used }}` of a scenario lets it fill"));
    }
    unsaid
}

fn read_template(reader: &mut Reader, name: &Name, node: &Node) -> Pod {
    let annotations = texts(reader, node, &["spec", "template", "metadata", "annotations"]);
    let main = annotations.get("kubectl.kubernetes.io/default-container").cloned();
    at(reader, node, &["spec", "template", "spec"]).map(|node| read_pod(reader, (name, main.as_ref()), node)).unwrap_or_default()
}

/// Containers that are put beside others: what goes to them goes on to the one that counts.
const PROXIES: [&str; 7] =
    ["istio-proxy", "linkerd-proxy", "envoy-sidecar", "envoy", "consul-dataplane", "cloud-sql-proxy", "cloudsql-proxy"];

/// Which container counts: the one that the pod says, or else that is called as the workload, or else the first with ports that is put beside
/// nobody, or else the first.
fn main_container(reader: &mut Reader, containers: &[Node], (workload, said): (&Name, Option<&Name>)) -> usize {
    let names: Vec<Option<Name>> = containers.iter().map(|container| text(reader, container, &["name"])).collect();
    let called = |wanted: &Name| names.iter().position(|name| name.as_ref() == Some(wanted));
    let is_beside = |index: usize| names[index].as_ref().is_some_and(|name| PROXIES.contains(&name.as_str()));
    let has_ports: Vec<bool> = containers.iter().map(|container| !items(reader, container, &["ports"]).is_empty()).collect();
    let own = || (0..containers.len()).filter(|index| !is_beside(*index));
    let first = || own().find(|index| has_ports[*index]).or_else(|| own().next());
    said.and_then(called).or_else(|| called(workload)).or_else(first).unwrap_or(0)
}

fn read_pod(reader: &mut Reader, named: (&Name, Option<&Name>), node: &Node) -> Pod {
    let containers = items(reader, node, &["containers"]);
    let main = main_container(reader, containers, named);
    let Some(own) = containers.get(main) else { return Pod::default() };
    let first = items(reader, node, &["initContainers"]);
    check_names(reader, first.iter().chain(containers));
    // One that is started before the others and stays is beside them.
    let (stays, before): (Vec<&Node>, Vec<&Node>) =
        first.iter().partition(|container| text(reader, container, &["restartPolicy"]).is_some_and(|policy| &*policy == "Always"));
    let beside = containers.iter().enumerate().filter(|(index, _)| *index != main).map(|(_, other)| other);
    let others: Vec<&Node> = beside.chain(stays).collect();
    let mut pod = Pod {
        container: text(reader, own, &["name"]),
        image: text(reader, own, &["image"]),
        before: before.iter().filter_map(|container| text(reader, container, &["name"])).collect(),
        beside: others.iter().filter_map(|container| text(reader, container, &["name"])).collect(),
        ports: items(reader, own, &["ports"]).iter().filter_map(|port| read_port(reader, port)).collect(),
        liveness: read_probe(reader, own, "livenessProbe"),
        readiness: read_probe(reader, own, "readinessProbe"),
        startup: read_probe(reader, own, "startupProbe"),
        settings: read_settings(reader, own),
        pre_stop: at(reader, own, &["lifecycle", "preStop"]).map(|node| read_pre_stop(reader, node)),
        grace: seconds(reader, node, &["terminationGracePeriodSeconds"]),
        zones: read_zones(reader, node),
        ..Pod::default()
    };
    read_resources(reader, node, (own, &others), &mut pod);
    check_sleep(reader, own, pod.grace);
    pod
}

/// Refuses containers of one name.
fn check_names<'n>(reader: &mut Reader, containers: impl Iterator<Item = &'n Node>) {
    let mut known = BTreeSet::new();
    for container in containers {
        if let Some(place) = at(reader, container, &["name"])
            && let Some(name) = text(reader, container, &["name"])
            && !known.insert(name.clone())
        {
            reader.problem(problem::second_container(&place.place, &name));
        }
    }
}

fn read_port(reader: &mut Reader, node: &Node) -> Option<(Option<Name>, u32)> {
    let number = count(reader, node, &["containerPort"], 65_535)?;
    Some((text(reader, node, &["name"]), number))
}

/// What a pod asks for, as schedulers and autoscalers count it, and what the container that counts may have: its own limits, or else the pod's.
fn read_resources(reader: &mut Reader, node: &Node, containers: (&Node, &[&Node]), pod: &mut Pod) {
    let (cpu, cores) = read_resource(reader, node, containers, Resource::Cpu);
    let (memory, bytes) = read_resource(reader, node, containers, Resource::Memory);
    pod.cpu = cpu;
    pod.memory = memory;
    pod.cpu_limit = cores;
    pod.memory_limit = bytes.map(|bytes| Bytes::new(bytes as u64));
    // Autoscalers go by the pod, not by its containers, if it asks for anything itself.
    let asks = |reader: &mut Reader, of| {
        let (request, limit) = request(reader, node, ("pod", of));
        request.or(limit).is_some()
    };
    if asks(reader, Resource::Cpu) || asks(reader, Resource::Memory) {
        pod.cpu.without.clear();
        pod.memory.without.clear();
    }
}

/// What is asked for of a resource, and how much of it the container that counts may have.
fn read_resource(reader: &mut Reader, node: &Node, (own, others): (&Node, &[&Node]), of: Resource) -> (Requests, Option<f64>) {
    let (own_request, own_limit) = request(reader, own, ("container", of));
    let (pod_request, pod_limit) = request(reader, node, ("pod", of));
    let mut sum: Option<f64> = None;
    let mut without = Vec::new();
    for container in std::iter::once(&own).chain(others) {
        // A limit stands for a request that is not said, as in Kubernetes.
        match request(reader, container, ("container", of)) {
            (None, None) => without.extend(text(reader, container, &["name"])),
            (request, limit) => sum = Some(sum.unwrap_or(0.0) + request.or(limit).unwrap_or(0.0)),
        }
    }
    let rounded = |amount: Option<f64>| amount.and_then(|amount| of.rounded(amount));
    // The limit of a pod does so only where no container asks for anything.
    let all = pod_request.or(sum).or(pod_limit);
    (Requests { own: rounded(own_request.or(own_limit)), all: rounded(all), without }, rounded(own_limit.or(pod_limit)))
}

/// What a container or a pod asks for, and what it may have.
fn request(reader: &mut Reader, node: &Node, (who, of): (&str, Resource)) -> (Option<f64>, Option<f64>) {
    let request = quantity(reader, node, &["resources", "requests", of.word()]);
    let limit = quantity(reader, node, &["resources", "limits", of.word()]);
    if let (Some(request), Some(limit)) = (&request, &limit)
        && request.value > limit.value
    {
        let what = if of == Resource::Memory { "memory" } else { "CPU" };
        reader.problem(problem::request_above_limit(&request.place, (who, what), &of.text(request.value), &of.text(limit.value)));
    }
    (request.map(|request| request.value), limit.map(|limit| limit.value))
}

/// Refuses a handler that sleeps for longer than there is time; how long a command takes the API server does not know.
fn check_sleep(reader: &mut Reader, container: &Node, grace: Option<Span>) {
    const USUAL_GRACE: Span = Span::from_seconds(30);
    let grace = grace.unwrap_or(USUAL_GRACE);
    let path = ["lifecycle", "preStop", "sleep", "seconds"];
    if let (Some(sleep), Some(node)) = (seconds(reader, container, &path), at(reader, container, &path))
        && sleep > grace
    {
        reader.problem(problem::sleeps_beyond_grace(&node.place, sleep, grace));
    }
}

fn read_probe(reader: &mut Reader, container: &Node, key: &'static str) -> Option<Probe> {
    let node = at(reader, container, &[key])?;
    let handlers = ["httpGet", "tcpSocket", "grpc", "exec"];
    let handlers: Vec<&str> = handlers.into_iter().filter(|handler| at(reader, node, &[handler]).is_some()).collect();
    if handlers.len() != 1 {
        reader.problem(problem::one_handler(&node.place, &format!("`{key}`"), &handlers));
    }
    if key != "readinessProbe"
        && let Some(place) = at(reader, node, &["successThreshold"]).filter(|node| matches!(node.value, Value::Integer(2..)))
    {
        reader.problem(problem::one_success(&place.place, &format!("`{key}`")));
    }
    // What is 0 counts as not said, as in Kubernetes.
    let some = |span: Option<Span>| span.filter(|span| *span > Span::ZERO);
    let in_a_row = |count: Option<u32>| count.filter(|count| *count > 0);
    let asks = if let Some(action) = at(reader, node, &["httpGet"]).or_else(|| at(reader, node, &["grpc"])) {
        port(reader, action, "port").map_or(Asks::Connection, Asks::Request)
    } else if at(reader, node, &["exec"]).is_some() {
        Asks::Command
    } else {
        Asks::Connection
    };
    Some(Probe {
        asks,
        grace: seconds(reader, node, &["terminationGracePeriodSeconds"]),
        initial_delay: some(seconds(reader, node, &["initialDelaySeconds"])),
        period: some(seconds(reader, node, &["periodSeconds"])),
        timeout: some(seconds(reader, node, &["timeoutSeconds"])),
        failures: in_a_row(count(reader, node, &["failureThreshold"], 1000)),
        successes: in_a_row(count(reader, node, &["successThreshold"], 1000)),
    })
}

/// A port by number or by name.
pub fn port(reader: &mut Reader, node: &Node, key: &'static str) -> Option<Port> {
    let node = at(reader, node, &[key])?;
    match &node.value {
        Value::Text(text) => Some(text.parse().map_or_else(|_| Port::Named(text.clone()), Port::Number)),
        _ => reader.integer(node, "a port", 1..=65_535).map(|number| Port::Number(number as u32)),
    }
}

fn read_settings(reader: &mut Reader, container: &Node) -> Vec<Setting> {
    let mut settings = Vec::new();
    for entry in items(reader, container, &["envFrom"]) {
        settings.extend(text(reader, entry, &["configMapRef", "name"]).map(Setting::All));
        settings.extend(at(reader, entry, &["secretRef"]).map(|_| Setting::Secret));
    }
    for entry in items(reader, container, &["env"]) {
        let Some(name) = text(reader, entry, &["name"]) else { continue };
        // Numbers without quotes name no Service, and whether Kubernetes takes them is not ours to say.
        if let Some(Value::Text(value)) = at(reader, entry, &["value"]).map(|node| &node.value) {
            settings.push(Setting::Known { name, value: value.clone() });
        } else if let Some(reference) = at(reader, entry, &["valueFrom", "configMapKeyRef"]) {
            let (map, key) = (text(reader, reference, &["name"]), text(reader, reference, &["key"]));
            settings.extend(map.zip(key).map(|(map, key)| Setting::Entry { name, map, key }));
        } else if let Some(path) = text(reader, entry, &["valueFrom", "fieldRef", "fieldPath"]) {
            settings.push(Setting::Field { name, path });
        } else if at(reader, entry, &["valueFrom", "secretKeyRef"]).is_some() {
            settings.push(Setting::Secret);
        }
    }
    for argument in [items(reader, container, &["command"]), items(reader, container, &["args"])].concat() {
        if let Value::Text(text) = &argument.value {
            let (name, value) = text.split_once('=').unwrap_or(("", text));
            settings.push(Setting::Argument { name: Name::new(name), value: Name::new(value) });
        }
    }
    settings
}

fn read_pre_stop(reader: &mut Reader, node: &Node) -> PreStop {
    if let Some(span) = seconds(reader, node, &["sleep", "seconds"]) {
        return PreStop::Sleep(span);
    }
    let command = items(reader, node, &["exec", "command"]);
    let word = |node: &Node| match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        _ => String::new(),
    };
    let line = command.iter().map(word).collect::<Vec<_>>().join(" ");
    slept(&line).map_or(PreStop::Other, PreStop::Sleep)
}

/// How long a command sleeps, if it does: after `sleep`, seconds or a number with `s` or `m`.
fn slept(line: &str) -> Option<Span> {
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || ";&|\"'()".contains(c)).filter(|word| !word.is_empty()).collect();
    let position = words.iter().position(|word| *word == "sleep" || word.ends_with("/sleep"))?;
    let time = words.get(position + 1)?;
    let (number, unit) = time.strip_suffix('m').map_or_else(|| (time.strip_suffix('s').unwrap_or(time), 1.0), |number| (number, 60.0));
    let seconds = number.parse::<f64>().ok()? * unit;
    (0.0..=86_400.0).contains(&seconds).then(|| Span::from_seconds_f64(seconds))
}

fn read_zones(reader: &mut Reader, pod: &Node) -> Zones {
    let is_zone = |key: Option<Name>| key.is_some_and(|key| &*key == ZONE || &*key == OLD_ZONE);
    let chosen = texts(reader, pod, &["nodeSelector"]);
    if let Some(zone) = chosen.get(ZONE).or_else(|| chosen.get(OLD_ZONE)) {
        return Zones::Named(BTreeSet::from([zone.clone()]));
    }
    let terms = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let mut zones = BTreeSet::new();
    for term in items(reader, pod, &terms) {
        for expression in items(reader, term, &["matchExpressions"]) {
            let is_in = text(reader, expression, &["operator"]).is_some_and(|operator| &*operator == "In");
            if is_in && is_zone(text(reader, expression, &["key"])) {
                zones.extend(items(reader, expression, &["values"]).iter().filter_map(|node| reader.name(node, "the name of a zone")));
            }
        }
    }
    if !zones.is_empty() {
        return Zones::Named(zones);
    }
    let spread = items(reader, pod, &["topologySpreadConstraints"]).iter();
    let mut keys: Vec<Option<Name>> = spread.map(|constraint| text(reader, constraint, &["topologyKey"])).collect();
    let apart = ["affinity", "podAntiAffinity"];
    for term in items(reader, pod, &[apart[0], apart[1], "requiredDuringSchedulingIgnoredDuringExecution"]) {
        keys.push(text(reader, term, &["topologyKey"]));
    }
    for term in items(reader, pod, &[apart[0], apart[1], "preferredDuringSchedulingIgnoredDuringExecution"]) {
        keys.push(text(reader, term, &["podAffinityTerm", "topologyKey"]));
    }
    if keys.into_iter().any(is_zone) { Zones::Spread } else { Zones::Unsaid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_sleeps_is_understood() {
        let check = |line: &str, want: Option<u64>| assert_eq!(slept(line), want.map(Span::from_seconds), "{line}");
        check("sleep 5", Some(5));
        check("/bin/sleep 15s", Some(15));
        check("/bin/sh -c sleep 10; nginx -s quit", Some(10));
        check("sh -c 'sleep 2m'", Some(120));
        check("nginx -s quit", None);
        check("sleep forever", None);
        check("sleep", None);
    }
}
