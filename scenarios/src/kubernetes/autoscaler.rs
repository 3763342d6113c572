//! HorizontalPodAutoscalers of every version.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::kubernetes::field::{at, count, items, quantity, text, within};
use crate::kubernetes::problem;
use crate::kubernetes::workload::Pod;
use crate::problem::MOST_REPLICAS;

/// The highest share that an autoscaler may aim at, percent.
const HIGHEST_PERCENT: i64 = 10_000;
/// The longest time that the API server takes for a policy's changes, seconds.
const LONGEST_PERIOD: i64 = 1_800;
/// The longest time that it takes for the window of a direction, seconds.
const LONGEST_WINDOW: i64 = 3_600;

/// An autoscaler.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    /// Its name.
    pub name: Name,
    /// Its namespace.
    pub namespace: Name,
    /// The kind and the name of what it scales.
    pub target: (Name, Name),
    /// The fewest replicas.
    pub min: Option<u32>,
    /// The most replicas.
    pub max: u32,
    /// What it aims at.
    pub goals: Vec<Goal>,
    /// What it says of each direction.
    pub up: Option<Direction>,
    /// The same downwards.
    pub down: Option<Direction>,
}

/// What an autoscaler aims at.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// A share of the CPU that is asked for, percent.
    Cpu(u32),
    /// So many cores a pod.
    Cores(f64),
    /// So many cores, as a share of what this container asks for.
    CoresOf(Name, f64),
    /// A share of the memory that is asked for, percent.
    Memory(u32),
    /// So many bytes a pod.
    Bytes(f64),
    /// So many bytes, as a share of what this container asks for.
    BytesOf(Name, f64),
    /// The same of one container of a pod only.
    Container(Name, Box<Self>),
    /// A metric that pods show, and its value for one of them.
    Shown(Name, f64),
    /// Something that is not seen here, by its kind.
    Other(Name),
}

/// How fast an autoscaler may change something in one direction.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// The time of which the most cautious recommendation counts.
    pub window: Option<Span>,
    /// Changes in a time.
    pub policies: Vec<(Step, Span)>,
    /// `Max`, `Min` or `Disabled`.
    pub select: Option<Name>,
    /// How far from its aim it lets be what is.
    pub tolerance: Option<f64>,
}

impl Autoscaler {
    /// What it aims at of such pods. Only the container that counts is seen; a share of what it asks for itself is told as a size, which does not
    /// depend on what the others ask for.
    pub fn goals_of(&self, pod: &Pod) -> Vec<Goal> {
        self.goals.iter().map(|goal| goal.of(pod)).collect()
    }
}

impl Goal {
    fn of(&self, pod: &Pod) -> Self {
        let Self::Container(container, goal) = self else { return self.clone() };
        let unseen = |what: &str| Self::Other(Name::from(format!("{what} of the container `{container}`")));
        let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.get() as f64);
        let is_seen = pod.container.as_ref() == Some(container);
        let (what, own, whole) = match **goal {
            Self::Cpu(_) | Self::Cores(_) => ("cpu", pod.own_cpu_request, pod.cpu_request),
            Self::Memory(_) | Self::Bytes(_) => ("memory", bytes(pod.own_memory_request), bytes(pod.memory_request)),
            _ => return (**goal).clone(),
        };
        match (&**goal, own) {
            _ if !is_seen => unseen(what),
            (goal @ (Self::Cpu(_) | Self::Memory(_)), own) if own == whole => goal.clone(),
            (Self::Cpu(percent), Some(own)) => Self::CoresOf(container.clone(), own * f64::from(*percent) / 100.0),
            (Self::Memory(percent), Some(own)) => Self::BytesOf(container.clone(), own * f64::from(*percent) / 100.0),
            // Kubernetes does not scale by a share of what is not asked for.
            (Self::Cpu(_) | Self::Memory(_), None) => unseen(what),
            (goal, _) => goal.clone(),
        }
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Of the replicas, percent.
    Percent(u32),
    /// Replicas.
    Pods(u32),
}

/// Reads an autoscaler.
pub fn read(reader: &mut Reader, (namespace, name): (Name, Name), node: &Node) -> Autoscaler {
    let target = ["kind", "name"].map(|key| text(reader, node, &["spec", "scaleTargetRef", key]).unwrap_or_else(|| Name::new("")));
    let [kind, of] = target;
    let mut goals: Vec<Goal> = items(reader, node, &["spec", "metrics"]).iter().filter_map(|node| read_goal(reader, node)).collect();
    // autoscaling/v1 knows this one only.
    goals.extend(share(reader, node, &["spec", "targetCPUUtilizationPercentage"]).map(Goal::Cpu));
    let min = count(reader, node, &["spec", "minReplicas"], MOST_REPLICAS);
    let max = read_max(reader, node);
    if let (Some(min), Some(max)) = (min, &max)
        && min > max.value
    {
        reader.problem(problem::more_than_most(&max.place, min, max.value));
    }
    Autoscaler {
        name,
        namespace,
        target: (kind, of),
        min,
        // Without a `maxReplicas` the file is refused already.
        max: max.map_or(1, |max| max.value),
        goals,
        up: at(reader, node, &["spec", "behavior", "scaleUp"]).map(|node| read_direction(reader, node)),
        down: at(reader, node, &["spec", "behavior", "scaleDown"]).map(|node| read_direction(reader, node)),
    }
}

fn read_max(reader: &mut Reader, node: &Node) -> Option<Located<u32>> {
    let Some(spec) = at(reader, node, &["spec"]) else {
        reader.problem(problem::no_most(&node.place));
        return None;
    };
    // Not `required`: it trusts that a key that looks like it is told as misspelt, and `minReplicas` looks like it and is not.
    let Some(node) = reader.fields(spec, "the `spec` of a HorizontalPodAutoscaler")?.optional("maxReplicas") else {
        reader.problem(problem::no_most(&spec.place));
        return None;
    };
    let max = reader.integer(node, "`maxReplicas`", 1..=MOST_REPLICAS)?;
    Some(Located { place: node.place.clone(), value: max as u32 })
}

fn share(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<u32> {
    within(reader, node, path, 1..=HIGHEST_PERCENT)
}

fn size(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Located<f64>> {
    let size = quantity(reader, node, path)?;
    if size.value <= 0.0 {
        reader.problem(problem::no_aim(&size.place));
    }
    Some(size)
}

fn read_goal(reader: &mut Reader, node: &Node) -> Option<Goal> {
    let kind = text(reader, node, &["type"])?;
    let part = match &*kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        _ => return Some(Goal::Other(kind)),
    };
    let metric = at(reader, node, &[part])?;
    if part == "pods" {
        let name = text(reader, metric, &["metric", "name"]).or_else(|| text(reader, metric, &["metricName"]))?;
        let value = size(reader, metric, &["target", "averageValue"]).or_else(|| size(reader, metric, &["targetAverageValue"]))?;
        return Some(Goal::Shown(name, value.value));
    }
    let resource = text(reader, metric, &["name"])?;
    let percent = share(reader, metric, &["target", "averageUtilization"]).or_else(|| share(reader, metric, &["targetAverageUtilization"]));
    let value = size(reader, metric, &["target", "averageValue"]).or_else(|| size(reader, metric, &["targetAverageValue"]));
    let goal = match (&*resource, percent, value) {
        ("cpu", Some(percent), _) => Goal::Cpu(percent),
        ("cpu", None, Some(value)) => Goal::Cores(value.value),
        ("memory", Some(percent), _) => Goal::Memory(percent),
        ("memory", None, Some(value)) => Goal::Bytes(value.value),
        _ => Goal::Other(resource),
    };
    let container = if part == "containerResource" { text(reader, metric, &["container"]) } else { None };
    Some(container.map_or(goal.clone(), |container| Goal::Container(container, Box::new(goal))))
}

fn read_direction(reader: &mut Reader, node: &Node) -> Direction {
    let mut policies = Vec::new();
    for policy in items(reader, node, &["policies"]) {
        let kind = text(reader, policy, &["type"]);
        let value = within(reader, policy, &["value"], 1..=MOST_REPLICAS);
        let every = within(reader, policy, &["periodSeconds"], 1..=LONGEST_PERIOD).map(|every| Span::from_seconds(u64::from(every)));
        if let (Some(kind), Some(value), Some(every)) = (kind, value, every) {
            policies.push((if &*kind == "Percent" { Step::Percent(value) } else { Step::Pods(value) }, every));
        }
    }
    let window = within(reader, node, &["stabilizationWindowSeconds"], 0..=LONGEST_WINDOW);
    Direction {
        window: window.map(|window| Span::from_seconds(u64::from(window))),
        policies,
        select: text(reader, node, &["selectPolicy"]),
        tolerance: quantity(reader, node, &["tolerance"]).map(|tolerance| tolerance.value),
    }
}
