//! Health checks of machines: Cluster API's MachineHealthCheck and Medik8s' NodeHealthCheck.
//!
//! What they count and how they round is in their controllers. Cluster API, `isAllowedRemediation` and `getMaxUnhealthy` of
//! `internal/controllers/machinehealthcheck`: remediation is allowed while `expected - healthy <= maxUnhealthy`, and a share of the expected
//! is rounded down. Medik8s, `Reconcile` of `controllers/nodehealthcheck_controller.go`: it is allowed while `healthy >= minHealthy`, and a
//! share of the selected is rounded up.

use firedrill_core::time::Span;
use firedrill_core::yaml::Node;

use super::page::{NOBODY, Note, Noted, Rule, Sketch, Step, alert_of, in_double_quotes};
use super::source::{Amount, amount, at, duration, entries, items, text};
use super::{Kind, Refusal};

/// One element for each node, 1 if it is ready.
const READY: &str = r#"kube_node_status_condition{condition="Ready",status="true"}"#;

/// What a check takes for unhealthy: types and statuses of conditions of a node, the statuses in lower case.
struct Conditions(Vec<(String, String)>);

impl Conditions {
    /// Whether a node is unhealthy by them if and only if it is not ready.
    fn are_of_readiness(&self) -> bool {
        let is = |wanted: &str| self.0.iter().any(|(kind, status)| kind == "Ready" && status == wanted);
        is("false") && is("unknown") && self.0.iter().all(|(kind, status)| kind == "Ready" && status != "true")
    }

    /// One element for each node that is known, 1 if a condition is met, else 0; a node without such a condition does not meet it.
    fn met(&self, node: &str) -> String {
        let each = self.0.iter().map(|(kind, status)| {
            let (kind, status) = (in_double_quotes(kind), in_double_quotes(status));
            format!("kube_node_status_condition{{{node}condition={kind},status={status}}} or ")
        });
        let known = format!(r#"0 * kube_node_status_condition{{{node}condition="Ready",status="true"}}"#);
        format!("max by (node) ({}{known})", each.collect::<String>())
    }

    /// True for each healthy node.
    fn healthy(&self) -> String {
        if self.are_of_readiness() { format!("{READY} == 1") } else { format!("{} == 0", self.met("")) }
    }

    /// True if the node of the alert is healthy.
    fn node_healthy(&self) -> String {
        match self.are_of_readiness() {
            true => r#"kube_node_status_condition{node=$node,condition="Ready",status="true"} == 1"#.to_owned(),
            false => format!("{} == 0", self.met("node=$node,")),
        }
    }

    /// How many nodes are healthy; 0 if none is.
    fn healthy_count(&self) -> String {
        if self.are_of_readiness() { format!("sum({READY})") } else { format!("sum(1 - {})", self.met("")) }
    }

    /// How many nodes are unhealthy; nothing if none is.
    fn unhealthy_count(&self) -> String {
        if self.are_of_readiness() { format!("count({READY} == 0)") } else { format!("count({} == 1)", self.met("")) }
    }
}

/// The annotation by which the Cluster API leaves an object alone.
const PAUSED: &str = "cluster.x-k8s.io/paused";

/// The keys of a MachineHealthCheck's specification that are read.
const OF_MACHINES: [&str; 10] = [
    "clusterName",
    "selector",
    "checks",
    "remediation",
    "unhealthyConditions",
    "unhealthyNodeConditions",
    "nodeStartupTimeout",
    "maxUnhealthy",
    "unhealthyRange",
    "remediationTemplate",
];

/// The keys of a NodeHealthCheck's specification that are read.
const OF_NODES: [&str; 9] = [
    "selector",
    "unhealthyConditions",
    "remediationTemplate",
    "escalatingRemediations",
    "minHealthy",
    "maxUnhealthy",
    "healthyDelay",
    "stormCooldownDuration",
    "pauseRequests",
];

/// The policy of a MachineHealthCheck, and what the KubeadmControlPlane of the same cluster says of retries.
pub fn machine_health_check(node: &Node, control_planes: &[&Node]) -> Result<Sketch, Refusal> {
    let mut sketch = begin(Kind::MachineHealthCheck, node);
    let checks: Vec<&Node> =
        [&["spec", "checks", "unhealthyNodeConditions"][..], &["spec", "unhealthyConditions"], &["spec", "unhealthyNodeConditions"]]
            .into_iter()
            .flat_map(|path| items(node, path))
            .collect();
    let conditions = read_conditions(&mut sketch, &checks)?;
    let machine_conditions = items(node, &["spec", "checks", "unhealthyMachineConditions"]);
    for condition in machine_conditions {
        let part = |key| text(condition, &[key]).unwrap_or_default();
        sketch.notes.push(Note::Lost(format!(
            "unhealthyMachineConditions {} {}: conditions of a Machine are in no metric",
            part("type"),
            part("status")
        )));
    }
    if sketch.rules.is_empty() {
        return Err(refusal(&sketch, "it looks at no condition of a node, and nothing else of a machine can be seen here"));
    }
    startup(&mut sketch, node);
    selector(&mut sketch, node, "Machines");
    let template = [&["spec", "remediation", "templateRef", "kind"][..], &["spec", "remediationTemplate", "kind"]]
        .into_iter()
        .find_map(|path| text(node, path));
    // Without a template the Machine is deleted, and another one takes its place.
    let owner = sketch.owner.clone();
    let deed = template.map_or_else(|| Noted::exact(Step::plain("replace_node", "{}")), |template| remediated(&template, owner.as_deref()));
    if deed.value.acts() {
        sketch.notes.push(Note::Assumed("a step that fails calls the owner; the source calls nobody".to_owned()));
    }
    sketch.steps.push(deed);
    gate(&mut sketch, node, &conditions)?;
    at(node, &["spec"]).into_iter().for_each(|spec| sketch.lose_others(spec, &OF_MACHINES));
    let is_of_control_plane = at(node, &["spec", "selector", "matchLabels", "cluster.x-k8s.io/control-plane"]).is_some();
    if is_of_control_plane {
        one_at_a_time(&mut sketch, "KubeadmControlPlane remediates one Machine at a time");
        retries(&mut sketch, node, control_planes);
    }
    Ok(sketch)
}

/// The policy of a NodeHealthCheck.
pub fn node_health_check(node: &Node) -> Result<Sketch, Refusal> {
    let mut sketch = begin(Kind::NodeHealthCheck, node);
    let checks: Vec<&Node> = items(node, &["spec", "unhealthyConditions"]).iter().collect();
    let conditions = if checks.is_empty() {
        // The default that the API server fills in.
        for status in ["False", "Unknown"] {
            add_rule(&mut sketch, ("Ready", status), Span::from_seconds(300));
        }
        Conditions(["false", "unknown"].map(|status| ("Ready".to_owned(), status.to_owned())).into())
    } else {
        read_conditions(&mut sketch, &checks)?
    };
    selector(&mut sketch, node, "nodes");
    remediators(&mut sketch, node, &conditions)?;
    if sketch.steps.iter().any(|step| step.value.acts()) {
        sketch.notes.push(Note::Assumed("a step that fails calls the owner; the source leaves an event".to_owned()));
    }
    min_healthy(&mut sketch, node, &conditions)?;
    if let Some(cooldown) = text(node, &["spec", "stormCooldownDuration"]) {
        let lost = format!("stormCooldownDuration {cooldown}: after the gate has opened again, nothing is started for so long");
        sketch.notes.push(Note::Lost(lost));
    }
    let pauses = items(node, &["spec", "pauseRequests"]);
    if !pauses.is_empty() {
        sketch.hold_back(Noted::assumed("dry-run", format!("it is paused by {} `pauseRequests`", pauses.len())));
    }
    at(node, &["spec"]).into_iter().for_each(|spec| sketch.lose_others(spec, &OF_NODES));
    Ok(sketch)
}

fn begin(kind: Kind, node: &Node) -> Sketch {
    let name = text(node, &["metadata", "name"]).unwrap_or_default();
    let mut sketch = Sketch::new(kind, &node.place, &name);
    sketch.description = format!("Remediates a node that is unhealthy for too long, as the {} `{name}` does.", kind.noun());
    sketch.owner = super::kubernetes::owner(node);
    sketch.on.value.alerts = vec![alert_of(&name) + "Unhealthy"];
    sketch.target = Noted::exact(("node", "$node".to_owned()));
    // Its presence alone pauses, whatever its value is.
    if at(node, &["metadata", "annotations", PAUSED]).is_some() {
        sketch.hold_back(Noted::assumed("draft", format!("it is paused by the annotation `{PAUSED}`")));
    }
    sketch
}

fn refusal(sketch: &Sketch, why: &str) -> Refusal {
    Refusal::new(sketch.kind, &sketch.name, &sketch.place, why)
}

/// An alert for each condition: it holds for its timeout, one of them is enough.
fn read_conditions(sketch: &mut Sketch, checks: &[&Node]) -> Result<Conditions, Refusal> {
    let mut read = Vec::new();
    for check in checks {
        let (kind, status) = (text(check, &["type"]), text(check, &["status"]));
        let (Some(kind), Some(status)) = (kind, status) else {
            return Err(Refusal::new(sketch.kind, &sketch.name, &check.place, "a condition has no `type` and `status`"));
        };
        let timeout = ["timeoutSeconds", "timeout", "duration"].into_iter().find_map(|key| text(check, &[key]));
        let Some(lasting) = timeout.as_deref().and_then(duration) else {
            return Err(Refusal::new(sketch.kind, &sketch.name, &check.place, "a condition does not say for how long, such as `300s`"));
        };
        add_rule(sketch, (&kind, &status), lasting);
        read.push((kind, status.to_ascii_lowercase()));
    }
    Ok(Conditions(read))
}

/// A condition as an alert; those that must last equally long are one rule.
fn add_rule(sketch: &mut Sketch, (kind, status): (&str, &str), lasting: Span) {
    let status = status.to_ascii_lowercase();
    let expr = format!("kube_node_status_condition{{condition={},status={}}} == 1", in_double_quotes(kind), in_double_quotes(&status));
    let reason = format!("{kind} {status}");
    let lasting_text = if lasting == Span::ZERO { String::new() } else { lasting.to_string() };
    if let Some(same) = sketch.rules.iter_mut().find(|rule| rule.value.lasting == lasting_text) {
        same.value.expr = format!("{} or {expr}", same.value.expr);
        same.value.reason = format!("{} or {reason}", same.value.reason);
        return;
    }
    let rule = Rule {
        alert: sketch.on.value.alerts[0].clone(),
        expr,
        lasting: lasting_text,
        severity: "critical".to_owned(),
        reason,
        labels: Vec::new(),
        summary: format!("{{{{ $labels.node }}}} has been unhealthy for {lasting}: {{{{ $labels.reason }}}}"),
    };
    let seen = "the controller sees a change at once; here it is seen by a scrape of kube-state-metrics and an evaluation of the rule";
    sketch.rules.push(if sketch.rules.is_empty() { Noted::assumed(rule, seen) } else { Noted::exact(rule) });
}

/// How long a new machine may take to join.
fn startup(sketch: &mut Sketch, node: &Node) {
    let given = [&["spec", "checks", "nodeStartupTimeoutSeconds"][..], &["spec", "nodeStartupTimeout"]]
        .into_iter()
        .find_map(|path| text(node, path));
    let span = given.as_deref().and_then(duration);
    // Cluster API's default, `DefaultNodeStartupTimeout`.
    let (span, whence) = match span {
        Some(span) if span == Span::ZERO => return,
        Some(span) => (span, ""),
        None => (Span::from_minutes(10), ", the default"),
    };
    sketch.notes.push(Note::Lost(format!(
        "nodeStartupTimeout {span}{whence}: a Machine whose node never joins has no node here that could be seen"
    )));
}

/// What the check selects. All nodes here are workers.
fn selector(sketch: &mut Sketch, node: &Node, what: &str) {
    let mut told = Vec::new();
    for (key, value) in at(node, &["spec", "selector", "matchLabels"]).map_or(&[][..], entries) {
        told.push(format!("{}={}", key.text, super::source::scalar(value).unwrap_or_default()));
    }
    for expression in items(node, &["spec", "selector", "matchExpressions"]) {
        let part = |key| text(expression, &[key]).unwrap_or_default();
        let values: Vec<String> = items(expression, &["values"]).iter().filter_map(super::source::scalar).collect();
        let (key, operator) = (part("key"), part("operator"));
        let is_worker = operator == "Exists" && key == "node-role.kubernetes.io/worker"
            || operator == "DoesNotExist" && matches!(&*key, "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master");
        if is_worker {
            sketch.notes.push(Note::Assumed(format!("{key} {operator}: every node here is a worker")));
        } else {
            told.push(format!("{key} {operator} {}", values.join(",")).trim().to_owned());
        }
    }
    if !told.is_empty() {
        sketch.notes.push(Note::Lost(format!(
            "it selects {what} by {}; here every node is meant, so add what tells them apart to the rule",
            told.join(" and ")
        )));
    }
}

/// What lets remediation go on, of the declared nodes.
fn gate(sketch: &mut Sketch, node: &Node, conditions: &Conditions) -> Result<(), Refusal> {
    let paths = [&["spec", "remediation", "triggerIf", "unhealthyLessThanOrEqualTo"][..], &["spec", "maxUnhealthy"]];
    let most = paths.into_iter().find_map(|path| at(node, path));
    let ranges = [&["spec", "remediation", "triggerIf", "unhealthyInRange"][..], &["spec", "unhealthyRange"]];
    if let Some(range) = ranges.into_iter().find_map(|path| at(node, path)) {
        if let Some(most) = most {
            sketch.lose("maxUnhealthy", most, "the range of unhealthy goes before it, as in its controller");
        }
        return in_range(sketch, range, conditions);
    }
    match most {
        None => {
            sketch.notes.push(Note::Assumed("no maxUnhealthy: the default is 100%, which keeps nothing back".to_owned()));
            Ok(())
        }
        Some(most) => {
            let Some(amount) = amount(most) else {
                return Err(Refusal::new(
                    sketch.kind,
                    &sketch.name,
                    &most.place,
                    "`maxUnhealthy` is neither a number nor a share such as `40%`",
                ));
            };
            let max = match amount {
                Amount::Count(count) => format!("max: {count}"),
                Amount::Percent(percent) => format!("max: {percent}%\nrounding: floor"),
            };
            max_unhealthy(sketch, conditions, &max);
            Ok(())
        }
    }
}

fn max_unhealthy(sketch: &mut Sketch, conditions: &Conditions, max: &str) {
    let healthy = super::page::quoted(&conditions.healthy());
    sketch.guards.push(Noted::exact(("max_unhealthy", format!("\nhealthy: {healthy}\nscope: all\nof: nodes\n{max}"))));
}

/// `[3-5]`: from 3 to 5 unhealthy.
fn in_range(sketch: &mut Sketch, node: &Node, conditions: &Conditions) -> Result<(), Refusal> {
    let range = super::source::scalar(node).unwrap_or_default();
    let inner = range.strip_prefix('[').and_then(|range| range.strip_suffix(']')).unwrap_or_default();
    let bounds = inner.split_once('-').and_then(|(least, most)| Some((least.parse::<u32>().ok()?, most.parse::<u32>().ok()?)));
    let Some((least, most)) = bounds.filter(|(least, most)| least <= most) else {
        return Err(Refusal::new(sketch.kind, &sketch.name, &node.place, "the range of unhealthy is no range such as `[3-5]`"));
    };
    if least > 0 {
        let check = (
            format!("{} >= {least}", conditions.unhealthy_count()),
            format!("fewer than {least} unhealthy are left alone, as the range {range} says"),
        );
        sketch.prechecks.push(Noted::exact(check));
    }
    max_unhealthy(sketch, conditions, &format!("max: {most}"));
    Ok(())
}

/// What must stay healthy. A share of the healthy that is rounded up leaves a share of the unhealthy that is rounded down.
fn min_healthy(sketch: &mut Sketch, node: &Node, conditions: &Conditions) -> Result<(), Refusal> {
    let (least, most) = (at(node, &["spec", "minHealthy"]), at(node, &["spec", "maxUnhealthy"]));
    if let (Some(_), Some(most)) = (least, most) {
        sketch.lose("maxUnhealthy", most, "its operator takes one of both, and here minHealthy counts");
    }
    let Some(field) = least.or(most) else {
        sketch.notes.push(Note::Assumed("minHealthy 51%, the default of versions before 0.10".to_owned()));
        max_unhealthy(sketch, conditions, "max: 49%\nrounding: floor");
        return Ok(());
    };
    let Some(amount) = amount(field) else {
        return Err(Refusal::new(sketch.kind, &sketch.name, &field.place, "this is neither a number nor a share such as `51%`"));
    };
    match (amount, least.is_some()) {
        (Amount::Percent(percent), true) => max_unhealthy(sketch, conditions, &format!("max: {}%\nrounding: floor", 100 - percent)),
        (Amount::Percent(percent), false) => {
            sketch.notes.push(Note::Assumed("a share of the unhealthy is rounded down, as Cluster API does".to_owned()));
            max_unhealthy(sketch, conditions, &format!("max: {percent}%\nrounding: floor"));
        }
        (Amount::Count(count), false) => max_unhealthy(sketch, conditions, &format!("max: {count}")),
        (Amount::Count(count), true) => {
            let check =
                (format!("{} >= {count}", conditions.healthy_count()), format!("{count} nodes must be healthy, as minHealthy says"));
            sketch.prechecks.push(Noted::exact(check));
        }
    }
    Ok(())
}

/// What is done: one remediator, or several in their order, each with its time.
fn remediators(sketch: &mut Sketch, node: &Node, conditions: &Conditions) -> Result<(), Refusal> {
    let hold = match text(node, &["spec", "healthyDelay"]) {
        None => Span::ZERO,
        Some(delay) => duration(&delay).unwrap_or_else(|| {
            sketch.notes.push(Note::Lost(format!("healthyDelay {delay}: a person confirms that the node is healthy")));
            Span::ZERO
        }),
    };
    let (healthy, owner) = (conditions.node_healthy(), sketch.owner.clone());
    let verified = |within: Span| Some((healthy.clone(), hold.to_string(), within.to_string()));
    if let Some(kind) = text(node, &["spec", "remediationTemplate", "kind"]) {
        let Noted { value: step, mut notes } = remediated(&kind, owner.as_deref());
        if !step.acts() {
            sketch.steps.push(Noted { value: step, notes });
            return Ok(());
        }
        let within = Span::from_nanos(hold.as_nanos().saturating_add(Span::from_minutes(10).as_nanos()));
        notes.push(Note::Assumed("it waits for ever for the node to be healthy; here for ten minutes, then people are called".to_owned()));
        sketch.steps.push(Noted { value: Step { verify: verified(within), ..step }, notes });
        return Ok(());
    }
    let mut escalating: Vec<&Node> = items(node, &["spec", "escalatingRemediations"]).iter().collect();
    escalating.sort_by_key(|item| text(item, &["order"]).and_then(|order| order.parse::<i64>().ok()));
    let kind_of = |item: &Node| text(item, &["remediationTemplate", "kind"]).unwrap_or_default();
    let count = escalating.len();
    for (index, item) in escalating.iter().enumerate() {
        let kind = kind_of(item);
        let Some(timeout) =
            text(item, &["timeout"]).as_deref().and_then(duration).filter(|timeout| *timeout > Span::ZERO && *timeout >= hold)
        else {
            return Err(Refusal::new(
                sketch.kind,
                &sketch.name,
                &item.place,
                "a remediation has no `timeout`, or one shorter than healthyDelay",
            ));
        };
        let Noted { value: step, mut notes } = remediated(&kind, owner.as_deref());
        if !step.acts() {
            // Who is called decides what comes next.
            let rest: Vec<String> = escalating[index + 1..].iter().map(|item| format!("`{}`", kind_of(item))).collect();
            if !rest.is_empty() {
                notes.push(Note::Lost(format!("{} after it: people are called instead", rest.join(", "))));
            }
            sketch.steps.push(Noted { value: step, notes });
            return Ok(());
        }
        sketch.steps.push(Noted { value: Step { verify: verified(timeout), goes_on: index + 1 < count, ..step }, notes });
    }
    if sketch.steps.is_empty() { Err(refusal(sketch, "it names no remediationTemplate and no escalatingRemediations")) } else { Ok(()) }
}

/// The step of a remediator; one that is not known here calls whoever owns the policy.
fn remediated(kind: &str, owner: Option<&str>) -> Noted<Step> {
    let reboot = Step::plain("reboot_node", "{}");
    match kind {
        "SelfNodeRemediationTemplate" => Noted::lost(
            reboot,
            format!("`{kind}`: the node reboots itself, and what ran on it comes up elsewhere meanwhile; here it comes back with the node"),
        ),
        // The power of the machine is turned off and on, by a fence agent or by the controller of the machine.
        "FenceAgentsRemediationTemplate" | "Metal3RemediationTemplate" => Noted::exact(reboot),
        "MachineDeletionRemediationTemplate" => Noted::exact(Step::plain("replace_node", "{}")),
        _ => Noted::lost(
            Step::plain("escalate", format!("{{ to: {} }}", owner.unwrap_or(NOBODY))),
            format!("`{kind}`: what it does is not known here, so people are called; write what it does as steps"),
        ),
    }
}

fn one_at_a_time(sketch: &mut Sketch, why: &str) {
    sketch.guards.push(Noted::assumed(("caps", "[{ scope: all, of: targets, max: 1 }]".to_owned()), why));
}

/// What a KubeadmControlPlane says of trying again.
fn retries(sketch: &mut Sketch, node: &Node, control_planes: &[&Node]) {
    let cluster = text(node, &["spec", "clusterName"]);
    let of_cluster = |plane: &&&Node| {
        let named = text(plane, &["metadata", "labels", "cluster.x-k8s.io/cluster-name"]);
        named.is_none() || named == cluster
    };
    let Some(plane) = control_planes.iter().find(of_cluster) else { return };
    let span = |paths: [&[&str]; 2]| paths.into_iter().find_map(|path| text(plane, path)).as_deref().and_then(duration);
    let period = span([&["spec", "remediation", "retryPeriodSeconds"], &["spec", "remediationStrategy", "retryPeriod"]]);
    let healthy = span([&["spec", "remediation", "minHealthyPeriodSeconds"], &["spec", "remediationStrategy", "minHealthyPeriod"]]);
    let new_name = "a replacement has a name of its own, so that it is not counted as the same target";
    if let Some(period) = period.filter(|period| *period > Span::ZERO) {
        // `DefaultMinHealthyPeriod`. Once it is over the controller asks for no rest at all (`checkRetryLimits`), so that none is longer.
        let reset = healthy.filter(|healthy| *healthy > Span::ZERO).unwrap_or(Span::from_minutes(60));
        let rest = period.min(reset);
        let after = if reset > rest { reset } else { Span::from_nanos(rest.as_nanos().saturating_add(Span::from_minutes(1).as_nanos())) };
        let value = format!("{{ base: {rest}, factor: x1, cap: {rest}, reset_after: {after} }}");
        let mut guard = Noted::lost(("backoff", value), format!("retryPeriod {period}: {new_name}"));
        if reset <= period {
            let assumed =
                format!("after minHealthyPeriod {reset} the source begins anew, so that no rest is as long as retryPeriod {period}");
            guard.notes.push(Note::Assumed(assumed));
        }
        sketch.guards.push(guard);
    }
    let most = [&["spec", "remediation", "maxRetry"][..], &["spec", "remediationStrategy", "maxRetry"]]
        .into_iter()
        .find_map(|path| text(plane, path));
    if let Some(most) = most {
        sketch.notes.push(Note::Lost(format!("maxRetry {most}: {new_name}")));
    }
}
