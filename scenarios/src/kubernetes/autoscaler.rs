//! HorizontalPodAutoscalers of every version.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::kubernetes::field::{at, items, quantity, text, within};
use crate::kubernetes::problem;
use crate::kubernetes::workload::{Pod, Requests, Resource};
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
    /// What pods use of a resource.
    Uses(Resource, Aim),
    /// The same of one container of a pod only.
    Container(Name, Resource, Aim),
    /// A metric that pods show, and its value for one of them.
    Shown(Name, f64),
    /// Something that is not seen here, by its kind.
    Other(Name),
}

/// How much of a resource pods shall use.
#[derive(Clone, Debug, PartialEq)]
pub enum Aim {
    /// A share of what all containers ask for, percent.
    Share(u32),
    /// A share of what this container asks for, percent.
    ShareOf(Name, u32),
    /// So many cores or bytes a pod.
    Size(f64),
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
    /// What it aims at of such pods. Only the container that counts is seen.
    pub fn goals_of(&self, pod: &Pod) -> Vec<Goal> {
        self.goals.iter().map(|goal| goal.of(pod)).collect()
    }
}

impl Goal {
    fn of(&self, pod: &Pod) -> Self {
        let Self::Container(container, resource, aim) = self else { return self.clone() };
        let Requests { own, all, .. } = pod.requests(*resource);
        let unseen = || Self::Other(Name::from(format!("{} of the container `{container}`", resource.word())));
        match aim {
            _ if pod.container.as_ref() != Some(container) => unseen(),
            // Kubernetes does not scale by a share of what is not asked for.
            Aim::Share(_) if own.is_none() => unseen(),
            Aim::Share(percent) if own != all => Self::Uses(*resource, Aim::ShareOf(container.clone(), *percent)),
            aim => Self::Uses(*resource, aim.clone()),
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
    goals.extend(
        share(reader, node, &["spec", "targetCPUUtilizationPercentage"]).map(|percent| Goal::Uses(Resource::Cpu, Aim::Share(percent))),
    );
    // None are wanted only of what something beside the pods can bring back.
    let is_beside = |goal: &Goal| matches!(goal, Goal::Other(kind) if matches!(&**kind, "Object" | "External"));
    let fewest = if goals.iter().any(is_beside) { 0 } else { 1 };
    let min = within(reader, node, &["spec", "minReplicas"], fewest..=MOST_REPLICAS);
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
    let name = text(reader, metric, &["name"])?;
    let aim = read_aim(reader, metric)?;
    let resource = match &*name {
        "cpu" => Resource::Cpu,
        "memory" => Resource::Memory,
        _ => return Some(Goal::Other(name)),
    };
    let container = if part == "containerResource" { text(reader, metric, &["container"]) } else { None };
    Some(match container {
        Some(container) => Goal::Container(container, resource, aim),
        None => Goal::Uses(resource, aim),
    })
}

/// How much of a resource: a share or a size, one of which there must be.
fn read_aim(reader: &mut Reader, metric: &Node) -> Option<Aim> {
    let percent = share(reader, metric, &["target", "averageUtilization"]).or_else(|| share(reader, metric, &["targetAverageUtilization"]));
    let size = size(reader, metric, &["target", "averageValue"]).or_else(|| size(reader, metric, &["targetAverageValue"]));
    match (percent, size) {
        (Some(_), Some(size)) => reader.problem(problem::two_aims(&size.place)),
        (Some(percent), None) => return Some(Aim::Share(percent)),
        (None, Some(size)) => return Some(Aim::Size(size.value)),
        (None, None) if is_aimed(reader, metric) => {}
        (None, None) => {
            let place = at(reader, metric, &["target"]).unwrap_or(metric).place.clone();
            reader.problem(problem::no_share_or_size(&place));
        }
    }
    None
}

/// Whether a share or a size stands there, right or wrong.
fn is_aimed(reader: &mut Reader, metric: &Node) -> bool {
    let paths: [&[&'static str]; 4] =
        [&["target", "averageUtilization"], &["target", "averageValue"], &["targetAverageUtilization"], &["targetAverageValue"]];
    paths.into_iter().any(|path| at(reader, metric, path).is_some())
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
