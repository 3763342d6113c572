//! What Kubernetes does by itself, as policies: the kubelet's liveness probe, and the HorizontalPodAutoscaler.
//!
//! In a simulated system both are part of the world (`liveness:`, `autoscaler:`); as policies they can be judged, guarded and compared.

use firedrill_core::time::Span;
use firedrill_core::yaml::Node;

use crate::controller::REOPEN_AFTER;

use super::deed::{is_name, shortened};
use super::page::{Note, Noted, Rule, Sketch, Step, alert_of, in_double_quotes, name_of};
use super::rulebook::escaped;
use super::source::{at, cores, entries, items, scalar, text, told};
use super::{Kind, Refusal};

/// Who answers for an object, as labels and annotations say.
pub fn owner(node: &Node) -> Option<String> {
    let told = ["labels", "annotations"].into_iter().flat_map(|part| ["owner", "team"].map(|key| text(node, &["metadata", part, key])));
    told.flatten().map(|owner| name_of(&owner)).next()
}

/// Where the containers of workloads stand; a CronJob's in the template of its Jobs.
const PODS: [&[&str]; 3] = [&["spec", "template", "spec"], &["spec", "jobTemplate", "spec", "template", "spec"], &["spec"]];

/// Workloads whose Pods are replicas, and whose containers are started again.
const WORKLOADS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod"];

/// The specification of a workload's Pods.
fn pods(node: &Node) -> Option<&Node> {
    PODS.iter().filter_map(|path| at(node, path)).find(|pods| !items(pods, &["containers"]).is_empty())
}

/// The containers of a workload or a Pod.
fn containers(node: &Node) -> &[Node] {
    pods(node).map_or(&[], |pods| items(pods, &["containers"]))
}

/// The containers of a list with their liveness probes.
fn probed<'n>(node: &'n Node, list: &str) -> Vec<(&'n Node, &'n Node)> {
    let containers = pods(node).map_or(&[][..], |pods| items(pods, &[list]));
    let probe = |container: &'n Node| Some((container, at(container, &["livenessProbe"]).filter(|probe| !entries(probe).is_empty())?));
    containers.iter().filter_map(probe).collect()
}

/// Whether a container of it has a liveness probe.
pub fn has_liveness(node: &Node) -> bool {
    ["containers", "initContainers"].into_iter().any(|list| !probed(node, list).is_empty())
}

/// The namespace of an object, if another one of the files has its kind and name in another namespace.
fn namespace(node: &Node, all: &[&Node]) -> Option<String> {
    let is_alike = |other: &&&Node| is_one_of_name(node, other) && namespace_of(other) != namespace_of(node);
    all.iter().find(is_alike).map(|_| namespace_of(node))
}

/// The namespace that an object stands in.
fn namespace_of(node: &Node) -> String {
    said_namespace(node).unwrap_or_else(|| "default".to_owned())
}

/// The namespace that an object names; who names none stands wherever the files are applied.
fn said_namespace(node: &Node) -> Option<String> {
    text(node, &["metadata", "namespace"])
}

/// Where what an autoscaler scales stands.
struct Whereabouts {
    namespace: String,
    /// Whether the files have another one of its kind and name elsewhere, or an autoscaler of such a one.
    is_shared: bool,
}

impl Whereabouts {
    fn of(node: &Node, (kind, service): (&str, &str), objects: &[&Node]) -> Self {
        let is_target = |object: &&&Node| {
            text(object, &["kind"]).as_deref() == Some(kind) && text(object, &["metadata", "name"]).as_deref() == Some(service)
        };
        let targets: Vec<&Node> = objects.iter().filter(is_target).copied().collect();
        let namespace = match (said_namespace(node), &targets[..]) {
            (Some(said), _) => said,
            // Who names none stands wherever the files are applied, and so does what it scales.
            (None, [one]) => namespace_of(one),
            (None, _) => "default".to_owned(),
        };
        let scales_it = |object: &Node| {
            text(object, &["spec", "scaleTargetRef", "name"]).as_deref() == Some(service)
                && text(object, &["spec", "scaleTargetRef", "kind"]).as_deref().unwrap_or("Deployment") == kind
        };
        let is_twin = |object: &&Node| !std::ptr::eq(*object, node) && (is_one_of_name(node, object) || scales_it(object));
        let twins = objects.iter().copied().filter(is_twin);
        let mut others = twins.chain(targets.iter().copied().filter(|_| targets.len() > 1));
        let is_elsewhere = |one: &&Node| said_namespace(one).is_some_and(|own| own != namespace);
        let is_shared = others.any(|other| namespace_of(other) != namespace) || targets.iter().any(is_elsewhere);
        Self { namespace, is_shared }
    }

    /// What it scales, if a file has it: in its namespace, or else what names none.
    fn scaled<'a>(&self, (kind, service): (&str, &str), objects: &[&'a Node]) -> Option<&'a Node> {
        let is_of_name = |object: &&Node| {
            text(object, &["kind"]).as_deref() == Some(kind) && text(object, &["metadata", "name"]).as_deref() == Some(service)
        };
        let of_name = || objects.iter().copied().filter(is_of_name);
        let here = of_name().find(|object| namespace_of(object) == self.namespace);
        here.or_else(|| of_name().find(|object| said_namespace(object).is_none()))
    }

    /// What the series must say, if anything.
    fn said(&self) -> Option<&str> {
        self.is_shared.then_some(&*self.namespace)
    }
}

/// Whether two objects are of one kind and name.
fn is_one_of_name(node: &Node, other: &Node) -> bool {
    [&["kind"][..], &["metadata", "name"]].into_iter().all(|path| text(node, path) == text(other, path))
}

/// A matcher on the namespace, if one is needed.
fn of_namespace(namespace: Option<&str>) -> String {
    namespace.map(|namespace| format!("namespace={},", in_double_quotes(namespace))).unwrap_or_default()
}

/// How long a probe may fail until its container is given up, seconds: 366 days, the longest that a policy waits for anything.
const LONGEST_PATIENCE: u64 = 366 * 24 * 3600;

/// What a probe asks: how often, how many failures in a row count, and after how long from a start the first may.
struct Probe {
    period: u64,
    failures: u64,
    delay: u64,
}

impl Probe {
    fn of(probe: &Node, name: &str) -> Result<Self, Refusal> {
        // Of 0 the API server makes the default, as if it were not there.
        let number = |key: &str, usual: u64| match at(probe, &[key]).map(|node| (scalar(node).and_then(|text| text.parse().ok()), node)) {
            None | Some((Some(0), _)) => Ok(usual),
            Some((Some(number), _)) if number <= 1_000_000 => Ok(number),
            Some((_, node)) => {
                let what = told(node);
                let why = format!("`{key}: {}` is no number of seconds or failures", shortened(&what));
                Err(Refusal::new(Kind::LivenessProbe, name, &node.place, why))
            }
        };
        let own = Self {
            period: number("periodSeconds", 10)?,
            failures: number("failureThreshold", 3)?,
            delay: number("initialDelaySeconds", 0)?,
        };
        if own.patience() > LONGEST_PATIENCE {
            let why =
                format!("{} failures, {} s apart, are more than {LONGEST_PATIENCE} s until anything is done", own.failures, own.period);
            return Err(Refusal::new(Kind::LivenessProbe, name, &probe.place, why));
        }
        Ok(own)
    }

    /// From a start until it has failed for good, seconds.
    const fn patience(&self) -> u64 {
        self.delay + self.period * self.failures
    }
}

/// A policy for the liveness probe of a workload. What is seen of a replica does not tell its containers apart, so that it is one.
pub fn liveness(node: &Node, all: &[&Node]) -> Result<Sketch, Refusal> {
    let [kind, service] = [&["kind"][..], &["metadata", "name"]].map(|path| text(node, path).unwrap_or_default());
    let namespace = namespace(node, all);
    let name = match &namespace {
        Some(namespace) => format!("restart-{service}-of-{namespace}"),
        None => format!("restart-{service}"),
    };
    let (own, sidecars) = (probed(node, "containers"), probed(node, "initContainers"));
    let place = own.first().or(sidecars.first()).map_or(&node.place, |(_, probe)| &probe.place);
    let refused = |why: String| Refusal::new(Kind::LivenessProbe, &name, place, why);
    match &*kind {
        "Job" | "CronJob" => return Err(refused(format!("the Pods of a {kind} are no replicas of a service, and end by themselves"))),
        other if !WORKLOADS.contains(&other) => {
            return Err(refused(format!("a {} is no workload that is known here; known are {}", shortened(other), WORKLOADS.join(", "))));
        }
        _ => {}
    }
    if pods(node).and_then(|pods| text(pods, &["restartPolicy"])).as_deref() == Some("Never") {
        return Err(refused(
            "`restartPolicy: Never`: the kubelet ends the container and does not start it again, and no action does that".to_owned(),
        ));
    }
    let twin = all.iter().take_while(|other| !std::ptr::eq(**other, node)).find(|other| {
        let namespaces = [node, other].map(|object| text(object, &["metadata", "namespace"]));
        is_one_of_name(node, other) && namespaces[0] == namespaces[1] && has_liveness(other)
    });
    if let Some(twin) = twin {
        return Err(refused(format!("the {kind} of this name at {}:{} is drafted already", twin.place.file().path, twin.place.line())));
    }
    let Some(((container, probe), others)) = own.split_first() else {
        return Err(refused("it is of a container that runs beside the service, and a replica is restarted as a whole".to_owned()));
    };
    let mut sketch = liveness_of(node, (container, probe), (&service, namespace.as_deref()), &name)?;
    for (container, probe) in others.iter().chain(&sidecars) {
        let whose = text(container, &["name"]).unwrap_or_default();
        let lost = format!(
            "the liveness probe of the container `{whose}` at line {}: containers of one Pod are not told apart by what is seen of it",
            probe.place.line()
        );
        sketch.notes.push(Note::Lost(lost));
    }
    Ok(sketch)
}

fn liveness_of(
    node: &Node,
    (container, probe): (&Node, &Node),
    (service, namespace): (&str, Option<&str>),
    name: &str,
) -> Result<Sketch, Refusal> {
    let mut sketch = Sketch::new(Kind::LivenessProbe, &probe.place, name);
    let asked = Probe::of(probe, name)?;
    let Probe { period, failures, delay } = asked;
    let startup = at(container, &["startupProbe"]).filter(|probe| !entries(probe).is_empty());
    let startup = startup.map(|probe| Probe::of(probe, name)).transpose()?.map(|startup| startup.patience());
    sketch.description =
        format!("Restarts a replica of {service} whose liveness probe fails {failures} times in a row, as the kubelet does.");
    sketch.owner = owner(node);
    let alert = alert_of(name) + "Liveness";
    sketch.on.value.alerts = vec![alert.clone()];
    sketch.target = Noted::exact(("replica", "$pod".to_owned()));
    sketch.interval = Span::from_seconds(period).to_string();
    let lasting = Span::from_seconds(period * (failures - 1));
    let how = ["exec", "grpc", "httpGet", "tcpSocket"].into_iter().find(|how| at(probe, &[how]).is_some()).unwrap_or("its own");
    let up = format!("up{{service={},{}pod", in_double_quotes(service), of_namespace(namespace));
    let mut notes =
        vec![Note::Assumed(format!("the kubelet asks every {period}s by {how}; here a scrape that fails counts as a probe that fails"))];
    if let Some(namespace) = namespace {
        notes.push(Note::Assumed(format!(
            "`up` has the label `namespace`, which tells this one of `{namespace}` from the other of its name"
        )));
    }
    // Until its container has started for so long the kubelet does not ask.
    let unasked = startup.unwrap_or(0).max(delay);
    if let Some(startup) = startup {
        let startup = Span::from_seconds(startup);
        notes.push(Note::Assumed(format!(
            "the kubelet asks once the startupProbe has succeeded, which may take {startup}; here for that long after a start nothing is done"
        )));
    }
    let started = text(container, &["name"]).map(|name| format!("{{container={}}}", in_double_quotes(&name))).unwrap_or_default();
    let grace = if unasked == 0 {
        String::new()
    } else {
        format!(" unless on (pod) time() - kube_pod_container_state_started{started} < {unasked}")
    };
    let rule = Rule {
        alert,
        expr: format!("{up}!=\"\"}} == 0{grace}"),
        lasting: if lasting == Span::ZERO { String::new() } else { lasting.to_string() },
        severity: "critical".to_owned(),
        reason: String::new(),
        labels: Vec::new(),
        summary: format!("{{{{ $labels.pod }}}} has not answered {failures} probes of {period}s in a row"),
    };
    sketch.rules.push(Noted { value: rule, notes });
    let again = Span::from_seconds(asked.patience() + startup.unwrap_or(0) + 60);
    let verify = (format!("{up}=$pod}} == 1"), "0s".to_owned(), again.to_string());
    sketch.steps.push(Noted::assumed(
        Step { verify: Some(verify), ..Step::plain("restart", "{ mode: rolling }") },
        "the kubelet does not look whether it helped; here the replica must answer again, else the owner is called",
    ));
    // `MaxContainerBackOff` and `backOffPeriod` of pkg/kubelet: 10 s, doubled up to 5 min, forgotten after twice that.
    let backoff = "{ base: 10s, factor: x2, cap: 5m, reset_after: 10m }".to_owned();
    sketch.guards.push(Noted::assumed(("backoff", backoff), "the kubelet's own, which no manifest says"));
    sketch.notes.push(Note::Assumed("the kubelet restarts any number of replicas at a time: there is no cap".to_owned()));
    for key in ["timeoutSeconds", "terminationGracePeriodSeconds", "successThreshold"] {
        if let Some(value) = at(probe, &[key]) {
            sketch.lose(key, value, "it belongs to the workload, as its scenario has it");
        }
    }
    sketch.lose_others(probe, &OF_PROBES);
    Ok(sketch)
}

/// The keys of a probe that are read, or of which its draft tells.
const OF_PROBES: [&str; 10] = [
    "periodSeconds",
    "failureThreshold",
    "initialDelaySeconds",
    "exec",
    "grpc",
    "httpGet",
    "tcpSocket",
    "timeoutSeconds",
    "terminationGracePeriodSeconds",
    "successThreshold",
];

/// Two policies of an autoscaler: one that gives replicas, and one that takes them.
pub fn autoscaler(node: &Node, objects: &[&Node]) -> Vec<Result<Sketch, Refusal>> {
    let name = text(node, &["metadata", "name"]).unwrap_or_default();
    let scaling = match Scaling::of(node, objects, &name) {
        Err(refusal) => return vec![Err(refusal)],
        Ok(scaling) => scaling,
    };
    let is_on = |is_out: &bool| text(node, &["spec", "behavior", direction(*is_out), "selectPolicy"]).as_deref() != Some("Disabled");
    let sketches: Vec<_> = [true, false].into_iter().filter(is_on).map(|is_out| scaling.sketch(node, is_out)).collect();
    if sketches.is_empty() {
        let why = "`selectPolicy: Disabled` lets it scale neither out nor in";
        return vec![Err(Refusal::new(Kind::Autoscaler, &name, &node.place, why))];
    }
    sketches
}

/// The key of what is said of scaling out or in.
const fn direction(is_out: bool) -> &'static str {
    if is_out { "scaleUp" } else { "scaleDown" }
}

/// Where kube-state-metrics shows how many replicas a workload shall have: kind, metric and label.
const REPLICAS: [(&str, &str, &str); 4] = [
    ("Deployment", "kube_deployment_spec_replicas", "deployment"),
    ("StatefulSet", "kube_statefulset_replicas", "statefulset"),
    ("ReplicaSet", "kube_replicaset_spec_replicas", "replicaset"),
    ("ReplicationController", "kube_replicationcontroller_spec_replicas", "replicationcontroller"),
];

/// The keys of an autoscaler's specification that are read.
const OF_AUTOSCALERS: [&str; 6] = ["scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "targetCPUUtilizationPercentage", "behavior"];

/// What an autoscaler says.
struct Scaling {
    name: String,
    service: String,
    /// How many replicas there shall be now.
    current: Noted<String>,
    least: u64,
    most: u64,
    /// How much is used, over what is aimed at.
    ratio: Noted<String>,
    /// Metrics that are not seen here, or beside the first.
    unseen: usize,
}

impl Scaling {
    fn of(node: &Node, objects: &[&Node], name: &str) -> Result<Self, Refusal> {
        let refused = |node: &Node, why: &str| Refusal::new(Kind::Autoscaler, name, &node.place, why);
        let service = text(node, &["spec", "scaleTargetRef", "name"]).ok_or_else(|| refused(node, "it says no `scaleTargetRef`"))?;
        if !is_name(&service) {
            return Err(refused(node, &format!("`{}` is no name of a workload", shortened(&service))));
        }
        let number = |key: &str| match at(node, &["spec", key]) {
            None => Ok(None),
            Some(value) => match scalar(value).and_then(|text| text.parse::<u64>().ok()).filter(|count| *count <= 100_000) {
                Some(count) => Ok(Some(count)),
                None => Err(refused(value, &format!("`{key}: {}` is no number of replicas", shortened(&told(value))))),
            },
        };
        let most = number("maxReplicas")?.ok_or_else(|| refused(node, "it says no `maxReplicas`"))?;
        let least = number("minReplicas")?.unwrap_or(1);
        if least > most {
            return Err(refused(node, &format!("its minReplicas {least} is above its maxReplicas {most}")));
        }
        let said_kind = text(node, &["spec", "scaleTargetRef", "kind"]);
        let kind = said_kind.as_deref().unwrap_or("Deployment");
        let Some((_, metric, label)) = REPLICAS.iter().find(|(own, ..)| kind == *own) else {
            return Err(refused(
                node,
                &format!("it scales a {}, and no metric that is known here tells its number of replicas", shortened(kind)),
            ));
        };
        let whereabouts = Whereabouts::of(node, (kind, &service), objects);
        let current = format!("{metric}{{{}{label}={}}}", of_namespace(whereabouts.said()), in_double_quotes(&service));
        let metrics = items(node, &["spec", "metrics"]);
        let mut goals = Vec::new();
        for metric in metrics {
            goals.extend(Goal::of(metric).map_err(|why| refused(metric, &why))?);
        }
        if let Some(percent) = at(node, &["spec", "targetCPUUtilizationPercentage"]) {
            let key = "targetCPUUtilizationPercentage";
            goals.push(Goal { container: None, aim: Aim::share(key, percent).map_err(|why| refused(percent, &why))? });
        }
        let Some(goal) = goals.first() else {
            let others: Vec<String> = metrics.iter().map(metric_told).collect();
            let what = if others.is_empty() { "no metric".to_owned() } else { others.join(", ") };
            return Err(refused(node, &format!("it aims at nothing that is seen here, which is CPU: {what}")));
        };
        let mut ratio = goal.ratio((kind, &service), &whereabouts, objects);
        if metrics.len() > 1 {
            let all: Vec<String> = metrics.iter().map(metric_told).collect();
            let lost = format!(
                "{} metrics ({}), of which the one that asks for most counts; here the first of CPU",
                metrics.len(),
                all.join(", ")
            );
            ratio.notes.push(Note::Lost(lost));
        }
        let mut current = match said_kind {
            Some(_) => Noted::exact(current),
            None => Noted::assumed(current, "what it scales is a Deployment"),
        };
        if let Some(namespace) = whereabouts.said() {
            let lost = format!("of several `{service}` it scales the one of the namespace `{namespace}`, and names here have no namespace");
            current.notes.push(Note::Lost(lost));
        }
        Ok(Self { name: name.to_owned(), service, current, least, most, ratio, unseen: metrics.len().saturating_sub(1) })
    }

    fn sketch(&self, node: &Node, is_out: bool) -> Result<Sketch, Refusal> {
        let Self { name, service, least, most, .. } = self;
        let (word, sign, limit, by) = if is_out { ("out", "<", most, 1) } else { ("in", ">", least, -1) };
        let own = format!("{name}-{word}");
        let refused = |node: &Node, why: String| Refusal::new(Kind::Autoscaler, &own, &node.place, why);
        if !is_out && self.unseen > 0 {
            return Err(refused(node, "it scales in if every one of its metrics allows that, and here one is seen".to_owned()));
        }
        let mut sketch = Sketch::new(Kind::Autoscaler, &node.place, &own);
        sketch.description = format!("Scales {service} {word} by the CPU that it uses, as the HorizontalPodAutoscaler `{name}` does.");
        sketch.owner = owner(node);
        let alert = alert_of(name) + if is_out { "Short" } else { "Idle" };
        sketch.on.value.alerts = vec![alert.clone()];
        sketch.target = Noted::exact(("service", service.clone()));
        sketch.interval = "15s".to_owned();
        let bound = if is_out { "maxReplicas" } else { "minReplicas" };
        let Noted { value: current, notes } = self.current.clone();
        sketch.prechecks.push(Noted { value: (format!("{current} {sign} {limit}"), format!("{bound} is {limit}")), notes });
        let lost = format!(
            "one replica, and again after {REOPEN_AFTER} if the alert is still on; the autoscaler goes to `ceil(replicas * used / aimed at)` at once"
        );
        sketch.steps.push(Noted::lost(Step::plain("scale", format!("{{ by: {by} }}")), lost));
        let behavior = at(node, &["spec", "behavior", direction(is_out)]);
        let Noted { value: expr, notes } = self.beyond(behavior, is_out).map_err(|why| refused(node, why))?;
        // `downscaleStabilisationWindow` of kube-controller-manager.
        let usual = if is_out { 0 } else { 300 };
        let window = match behavior.and_then(|behavior| at(behavior, &["stabilizationWindowSeconds"])) {
            None => usual,
            Some(window) => scalar(window).and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= 3_600).ok_or_else(|| {
                refused(window, format!("`stabilizationWindowSeconds: {}` is no time of at most an hour", shortened(&told(window))))
            })?,
        };
        let rule = Rule {
            alert,
            expr,
            lasting: if window == 0 { String::new() } else { Span::from_seconds(window).to_string() },
            severity: "info".to_owned(),
            reason: String::new(),
            labels: Vec::new(),
            summary: format!("{service} uses {} CPU than it should", if is_out { "more" } else { "less" }),
        };
        sketch.rules.push(Noted { value: rule, notes });
        sketch.guards.push(Noted::assumed(
            ("cooldown", "15s".to_owned()),
            "it decides every 15s, the default `--horizontal-pod-autoscaler-sync-period`",
        ));
        if let Some(behavior) = behavior {
            if !items(behavior, &["policies"]).is_empty() {
                sketch.notes.push(Note::Lost("policies of `behavior`: how much may change in how long".to_owned()));
            }
            sketch.lose_others(behavior, &["policies", "stabilizationWindowSeconds", "tolerance", "selectPolicy"]);
        }
        at(node, &["spec"]).into_iter().for_each(|spec| sketch.lose_others(spec, &OF_AUTOSCALERS));
        Ok(sketch)
    }

    /// When it scales: more is used than is tolerated; or so much less that `ceil(replicas * used / aimed at)` is fewer (`GetResourceReplicas`
    /// of the controller's replica calculator).
    fn beyond(&self, behavior: Option<&Node>, is_out: bool) -> Result<Noted<String>, String> {
        let mut notes = self.ratio.notes.clone();
        let tolerance = match behavior.and_then(|behavior| at(behavior, &["tolerance"])) {
            None => {
                notes.push(Note::Assumed("a tenth off is tolerated, the default `--horizontal-pod-autoscaler-tolerance`".to_owned()));
                0.1
            }
            Some(given) => scalar(given)
                .and_then(|text| match text.strip_suffix('m') {
                    Some(thousandths) => thousandths.parse::<f64>().ok().map(|number| number / 1e3),
                    None => text.parse().ok(),
                })
                .filter(|tolerance| (0.0..1.0).contains(tolerance))
                .ok_or_else(|| format!("`tolerance: {}` is no share of less than all", shortened(&told(given))))?,
        };
        // 1 less 0.05 is 0.95, not its neighbour.
        let bound = |sign: f64| libm::round((1.0 + sign * tolerance) * 1e9) / 1e9;
        let (ratio, current) = (&self.ratio.value, &self.current.value);
        let value = match is_out {
            true => format!("{ratio} > {}", bound(1.0)),
            false => format!("ceil(sum({current}) * {ratio}) < sum({current}) and {ratio} < {}", bound(-1.0)),
        };
        Ok(Noted { value, notes })
    }
}

/// A metric in a few words: its type and name.
fn metric_told(metric: &Node) -> String {
    let kind = text(metric, &["type"]).unwrap_or_default();
    let names = entries(metric).iter().filter_map(|(_, part)| text(part, &["name"]).or_else(|| text(part, &["metric", "name"])));
    names.map(|name| format!("{} {}", shortened(&kind), shortened(&name))).next().unwrap_or_else(|| shortened(&kind))
}

/// What an autoscaler aims at, of what is seen here.
struct Goal {
    /// The container whose use counts; `None`: all of a pod.
    container: Option<String>,
    aim: Aim,
}

/// How much CPU is to be used.
enum Aim {
    /// A share of the CPU that is asked for, percent.
    Share(f64),
    /// So many cores a pod.
    Cores(f64),
}

impl Aim {
    fn share(key: &str, percent: &Node) -> Result<Self, String> {
        let read = scalar(percent).and_then(|text| text.parse::<f64>().ok()).filter(|percent| *percent > 0.0 && percent.is_finite());
        read.map(Self::Share).ok_or_else(|| format!("`{key}: {}` is no share above 0", shortened(&told(percent))))
    }
}

impl Goal {
    /// The goal of a metric; `None` if that is not CPU.
    fn of(metric: &Node) -> Result<Option<Self>, String> {
        let part = match &*text(metric, &["type"]).unwrap_or_default() {
            "Resource" => "resource",
            "ContainerResource" => "containerResource",
            _ => return Ok(None),
        };
        if text(metric, &[part, "name"]).as_deref() != Some("cpu") {
            return Ok(None);
        }
        let container = text(metric, &[part, "container"]).filter(|_| part == "containerResource");
        let shares = [&[part, "target", "averageUtilization"][..], &[part, "targetAverageUtilization"]];
        if let Some(percent) = shares.into_iter().find_map(|path| at(metric, path)) {
            return Ok(Some(Self { container, aim: Aim::share("averageUtilization", percent)? }));
        }
        let values = [&[part, "target", "averageValue"][..], &[part, "targetAverageValue"]];
        match values.into_iter().find_map(|path| at(metric, path)) {
            None => Err("a metric of CPU says neither `averageUtilization` nor `averageValue`".to_owned()),
            Some(value) => {
                let read = scalar(value).as_deref().and_then(cores).map(Aim::Cores);
                let aim = read.ok_or_else(|| format!("`averageValue: {}` is no CPU above 0", shortened(&told(value))))?;
                Ok(Some(Self { container, aim }))
            }
        }
    }

    /// What is used over what is aimed at; both of the pods whose names begin as the workload's.
    fn ratio(&self, (kind, service): (&str, &str), whereabouts: &Whereabouts, objects: &[&Node]) -> Noted<String> {
        let pods = in_double_quotes(&format!("{}-.+", escaped(service)));
        let of_namespace = of_namespace(whereabouts.said());
        let container = self.container.as_deref().map(in_double_quotes);
        let used_by = container.as_ref().map_or_else(|| "container!=\"\"".to_owned(), |container| format!("container={container}"));
        let used = format!("avg(sum by (pod) (rate(container_cpu_usage_seconds_total{{{of_namespace}pod=~{pods},{used_by}}}[1m])))");
        let begin = Note::Assumed(format!("its pods are those whose names begin with `{service}-`"));
        let mut ratio = match self.aim {
            Aim::Cores(cores) => Noted::exact(format!("{used} / {cores}")),
            Aim::Share(percent) => {
                let scaled = whereabouts.scaled((kind, service), objects);
                let asked = scaled.and_then(|object| request(object, self.container.as_deref()));
                let share = percent / 100.0;
                match asked {
                    Some(cores) => Noted::exact(format!("{used} / ({cores} * {share})")),
                    None => {
                        let of = container.map(|container| format!(",container={container}")).unwrap_or_default();
                        let asked = format!(
                            "avg(sum by (pod) (kube_pod_container_resource_requests{{{of_namespace}resource=\"cpu\",pod=~{pods}{of}}}))"
                        );
                        Noted::assumed(
                            format!("{used} / ({asked} * {share})"),
                            "no file says what CPU the pods ask for, so it is read from kube-state-metrics",
                        )
                    }
                }
            }
        };
        ratio.notes.push(begin);
        ratio
    }
}

/// The cores that a pod of a workload asks for, or one container of it, if every container that counts says.
fn request(workload: &Node, container: Option<&str>) -> Option<f64> {
    let counts = |own: &&Node| container.is_none_or(|wanted| text(own, &["name"]).as_deref() == Some(wanted));
    let each = containers(workload).iter().filter(counts);
    let each = each.map(|container| text(container, &["resources", "requests", "cpu"]).and_then(|text| cores(&text)));
    each.sum::<Option<f64>>().filter(|cores| *cores > 0.0)
}
