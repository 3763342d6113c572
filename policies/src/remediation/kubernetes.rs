//! What Kubernetes does by itself, as policies: the kubelet's liveness probe, and the HorizontalPodAutoscaler.
//!
//! In a simulated system both are part of the world (`liveness:`, `autoscaler:`); as policies they can be judged, guarded and compared.

use firedrill_core::time::Span;
use firedrill_core::yaml::Node;

use crate::controller::REOPEN_AFTER;

use super::page::{Note, Noted, Rule, Sketch, Step, alert_of, in_double_quotes, name_of};
use super::source::{at, cores, items, scalar, text};
use super::{Kind, Refusal};

/// Who answers for an object, as labels and annotations say.
pub fn owner(node: &Node) -> Option<String> {
    let told = ["labels", "annotations"].into_iter().flat_map(|part| ["owner", "team"].map(|key| text(node, &["metadata", part, key])));
    told.flatten().map(|owner| name_of(&owner)).next()
}

/// The containers of a workload or a Pod.
fn containers(node: &Node) -> &[Node] {
    let of_template = items(node, &["spec", "template", "spec", "containers"]);
    if of_template.is_empty() { items(node, &["spec", "containers"]) } else { of_template }
}

/// Whether a container of it has a liveness probe.
pub fn has_liveness(node: &Node) -> bool {
    containers(node).iter().any(|container| at(container, &["livenessProbe"]).is_some())
}

/// A policy for each liveness probe of a workload.
pub fn liveness(node: &Node) -> Vec<Result<Sketch, Refusal>> {
    let service = text(node, &["metadata", "name"]).unwrap_or_default();
    let probed = containers(node).iter().filter_map(|container| Some((container, at(container, &["livenessProbe"])?)));
    let probed: Vec<_> = probed.collect();
    let several = probed.len() > 1;
    let of = |(container, probe): (&Node, &Node)| {
        let own = text(container, &["name"]).filter(|_| several).map(|name| format!("-{name}")).unwrap_or_default();
        liveness_of(node, probe, &service, &format!("restart-{service}{own}"))
    };
    probed.into_iter().map(of).collect()
}

fn liveness_of(node: &Node, probe: &Node, service: &str, name: &str) -> Result<Sketch, Refusal> {
    let mut sketch = Sketch::new(Kind::LivenessProbe, &probe.place, name);
    let number = |key: &str, usual: u64| match at(probe, &[key]).map(|node| (scalar(node).and_then(|text| text.parse::<u64>().ok()), node))
    {
        None => Ok(usual),
        Some((Some(number), _)) if number <= 1_000_000 => Ok(number),
        Some((_, node)) => {
            Err(Refusal::new(Kind::LivenessProbe, name, &node.place, format!("`{key}` is no number of seconds or failures")))
        }
    };
    // The API server's defaults.
    let (period, failures, delay) =
        (number("periodSeconds", 10)?.max(1), number("failureThreshold", 3)?.max(1), number("initialDelaySeconds", 0)?);
    sketch.description =
        format!("Restarts a replica of {service} whose liveness probe fails {failures} times in a row, as the kubelet does.");
    sketch.owner = owner(node);
    let alert = alert_of(name) + "Liveness";
    sketch.on.value.alerts = vec![alert.clone()];
    sketch.target = Noted::exact(("replica", "$pod".to_owned()));
    sketch.interval = Span::from_seconds(period).to_string();
    let lasting = Span::from_seconds(period * (failures - 1));
    let how = ["exec", "grpc", "httpGet", "tcpSocket"].into_iter().find(|how| at(probe, &[how]).is_some()).unwrap_or("its own");
    sketch.rules.push(Noted::assumed(
        Rule {
            alert,
            expr: format!("up{{service={},pod!=\"\"}} == 0", in_double_quotes(service)),
            lasting: if lasting == Span::ZERO { String::new() } else { lasting.to_string() },
            severity: "critical".to_owned(),
            reason: String::new(),
            summary: format!("{{{{ $labels.pod }}}} has not answered {failures} probes of {period}s in a row"),
        },
        format!("the kubelet asks every {period}s by {how}; here a scrape that fails counts as a probe that fails"),
    ));
    let again = Span::from_seconds(delay + period * failures + 60);
    let verify = (format!("up{{service={},pod=$pod}} == 1", in_double_quotes(service)), "0s".to_owned(), again.to_string());
    sketch.steps.push(Noted::assumed(
        Step { verify: Some(verify), ..Step::plain("restart", "{ mode: rolling }") },
        "the kubelet does not look whether it helped; here the replica must answer again, else the owner is called",
    ));
    // `MaxContainerBackOff` and `backOffPeriod` of pkg/kubelet: 10 s, doubled up to 5 min, forgotten after twice that.
    let backoff = "{ base: 10s, factor: x2, cap: 5m, reset_after: 10m }".to_owned();
    sketch.guards.push(Noted::assumed(("backoff", backoff), "the kubelet's own, which no manifest says"));
    sketch.notes.push(Note::Assumed("the kubelet restarts any number of replicas at a time: there is no cap".to_owned()));
    let told =
        ["initialDelaySeconds", "timeoutSeconds", "terminationGracePeriodSeconds"].into_iter().filter(|key| at(probe, &[key]).is_some());
    let told: Vec<String> = told.map(|key| format!("`{key}`")).collect();
    if !told.is_empty() {
        sketch.notes.push(Note::Lost(format!("{}: they belong to the workload, as its scenario has it", told.join(", "))));
    }
    Ok(sketch)
}

/// Two policies of an autoscaler: one that gives replicas, and one that takes them.
pub fn autoscaler(node: &Node, objects: &[&Node]) -> Vec<Result<Sketch, Refusal>> {
    let name = text(node, &["metadata", "name"]).unwrap_or_default();
    match Scaling::of(node, objects, &name) {
        Err(refusal) => vec![Err(refusal)],
        Ok(scaling) => {
            let is_on =
                |is_out: &bool| text(node, &["spec", "behavior", direction(*is_out), "selectPolicy"]).as_deref() != Some("Disabled");
            let sketches: Vec<_> = [true, false].into_iter().filter(is_on).map(|is_out| Ok(scaling.sketch(node, is_out))).collect();
            if sketches.is_empty() {
                let why = "`selectPolicy: Disabled` lets it scale neither out nor in";
                return vec![Err(Refusal::new(Kind::Autoscaler, &name, &node.place, why))];
            }
            sketches
        }
    }
}

/// The key of what is said of scaling out or in.
const fn direction(is_out: bool) -> &'static str {
    if is_out { "scaleUp" } else { "scaleDown" }
}

/// What an autoscaler says.
struct Scaling {
    name: String,
    service: String,
    least: u64,
    most: u64,
    /// How much is used, over what is aimed at.
    ratio: Noted<String>,
}

impl Scaling {
    fn of(node: &Node, objects: &[&Node], name: &str) -> Result<Self, Refusal> {
        let refused = |node: &Node, why: &str| Refusal::new(Kind::Autoscaler, name, &node.place, why);
        let service = text(node, &["spec", "scaleTargetRef", "name"]).ok_or_else(|| refused(node, "it says no `scaleTargetRef`"))?;
        let number = |key: &str| text(node, &["spec", key]).and_then(|text| text.parse::<u64>().ok()).filter(|count| *count <= 100_000);
        let most = number("maxReplicas").ok_or_else(|| refused(node, "it says no `maxReplicas`"))?;
        let least = number("minReplicas").unwrap_or(1);
        let metrics = items(node, &["spec", "metrics"]);
        let old = text(node, &["spec", "targetCPUUtilizationPercentage"]);
        let mut goals: Vec<Goal> = metrics.iter().filter_map(Goal::of).collect();
        goals.extend(old.and_then(|percent| percent.parse().ok()).map(Goal::Share));
        let others: Vec<String> =
            metrics.iter().filter(|metric| Goal::of(metric).is_none()).filter_map(|metric| text(metric, &["type"])).collect();
        let Some(goal) = goals.first() else {
            let why =
                format!("it aims at nothing that is seen here: {}", if others.is_empty() { "no metric" } else { "metrics other than CPU" });
            return Err(refused(node, &why));
        };
        let mut ratio = goal.ratio(&service, objects);
        if metrics.len() > 1 {
            ratio
                .notes
                .push(Note::Lost(format!("{} metrics, of which the one that asks for most counts; here the first of CPU", metrics.len())));
        }
        Ok(Self { name: name.to_owned(), service, least, most, ratio })
    }

    fn sketch(&self, node: &Node, is_out: bool) -> Sketch {
        let Self { name, service, least, most, ratio } = self;
        let (word, sign, limit, by, beyond) = if is_out { ("out", "<", most, 1, "> 1.1") } else { ("in", ">", least, -1, "< 0.9") };
        let mut sketch = Sketch::new(Kind::Autoscaler, &node.place, &format!("{name}-{word}"));
        sketch.description = format!("Scales {service} {word} by the CPU that it uses, as the HorizontalPodAutoscaler `{name}` does.");
        sketch.owner = owner(node);
        let alert = alert_of(name) + if is_out { "Short" } else { "Idle" };
        sketch.on.value.alerts = vec![alert.clone()];
        sketch.target = Noted::exact(("service", service.clone()));
        sketch.interval = "15s".to_owned();
        let bound = if is_out { "maxReplicas" } else { "minReplicas" };
        let check = format!("kube_deployment_spec_replicas{{deployment={}}} {sign} {limit}", in_double_quotes(service));
        sketch.prechecks.push(Noted::exact((check, format!("{bound} is {limit}"))));
        let lost = format!(
            "one replica, and again after {REOPEN_AFTER} if the alert is still on; the autoscaler goes to `ceil(replicas * used / aimed at)` at once"
        );
        sketch.steps.push(Noted::lost(Step::plain("scale", format!("{{ by: {by} }}")), lost));
        let window = text(node, &["spec", "behavior", direction(is_out), "stabilizationWindowSeconds"]);
        // `downscaleStabilisationWindow` of kube-controller-manager.
        let usual = if is_out { 0 } else { 300 };
        let window = Span::from_seconds(window.and_then(|window| window.parse().ok()).unwrap_or(usual));
        let mut notes = ratio.notes.clone();
        notes.push(Note::Assumed("a tenth off is tolerated, the default `--horizontal-pod-autoscaler-tolerance`".to_owned()));
        let rule = Rule {
            alert,
            expr: format!("{} {beyond}", ratio.value),
            lasting: if window == Span::ZERO { String::new() } else { window.to_string() },
            severity: "info".to_owned(),
            reason: String::new(),
            summary: format!("{service} uses {} CPU than it should", if is_out { "more" } else { "less" }),
        };
        sketch.rules.push(Noted { value: rule, notes });
        sketch.guards.push(Noted::assumed(
            ("cooldown", "15s".to_owned()),
            "it decides every 15s, the default `--horizontal-pod-autoscaler-sync-period`",
        ));
        let behavior = at(node, &["spec", "behavior", direction(is_out)]);
        if behavior.is_some_and(|behavior| !items(behavior, &["policies"]).is_empty()) {
            sketch.notes.push(Note::Lost("policies of `behavior`: how much may change in how long".to_owned()));
        }
        sketch
    }
}

/// What an autoscaler aims at, of what is seen here.
enum Goal {
    /// A share of the CPU that is asked for, percent.
    Share(f64),
    /// So many cores a pod.
    Cores(f64),
}

impl Goal {
    fn of(metric: &Node) -> Option<Self> {
        let part = match &*text(metric, &["type"])? {
            "Resource" => "resource",
            "ContainerResource" => "containerResource",
            _ => return None,
        };
        if text(metric, &[part, "name"])? != "cpu" {
            return None;
        }
        let paths = [[part, "target", "averageUtilization"], [part, "target", "averageValue"]];
        match paths.map(|path| text(metric, &path)) {
            [Some(percent), _] => percent.parse().ok().filter(|percent| *percent > 0.0).map(Self::Share),
            [None, Some(value)] => cores(&value).map(Self::Cores),
            [None, None] => text(metric, &[part, "targetAverageUtilization"])?.parse().ok().map(Self::Share),
        }
    }

    /// What is used over what is aimed at; both of the pods whose names begin as the workload's.
    fn ratio(&self, service: &str, objects: &[&Node]) -> Noted<String> {
        let pods = in_double_quotes(&format!("{}-.+", service.replace('.', "\\.")));
        let used = format!("avg(sum by (pod) (rate(container_cpu_usage_seconds_total{{pod=~{pods},container!=\"\"}}[1m])))");
        match self {
            Self::Cores(cores) => Noted::exact(format!("{used} / {cores}")),
            Self::Share(percent) => {
                let asked = objects.iter().find_map(|object| request(object, service));
                let share = percent / 100.0;
                match asked {
                    Some(cores) => Noted::exact(format!("{used} / ({cores} * {share})")),
                    None => {
                        let asked = format!("avg(sum by (pod) (kube_pod_container_resource_requests{{resource=\"cpu\",pod=~{pods}}}))");
                        Noted::assumed(
                            format!("{used} / ({asked} * {share})"),
                            "no file says what CPU the pods ask for, so it is read from kube-state-metrics",
                        )
                    }
                }
            }
        }
    }
}

/// The cores that a pod of a workload of this name asks for, if every container says.
fn request(object: &Node, service: &str) -> Option<f64> {
    if text(object, &["metadata", "name"])? != service || text(object, &["kind"])? == "HorizontalPodAutoscaler" {
        return None;
    }
    let each = containers(object).iter().map(|container| text(container, &["resources", "requests", "cpu"]).and_then(|text| cores(&text)));
    each.sum::<Option<f64>>().filter(|cores| *cores > 0.0)
}
