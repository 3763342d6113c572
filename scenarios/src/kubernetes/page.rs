//! The text of a draft: lines of YAML, each guess with its reason at the end.

use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_core::yaml::quoted;

use crate::defaults;
use crate::kubernetes::assumption;
use crate::kubernetes::autoscaler::{Aim, Autoscaler, Direction, Goal, Step};
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::field::Amount;
use crate::kubernetes::topology::{Part, Topology, leads_to};
use crate::kubernetes::workload::{Asks, Kind, Pod, Port, PreStop, Probe, Resource, Workload, Zones};
use crate::problem::MOST_REPLICAS;

/// Replicas of a workload that has one a node, where no file holds nodes.
const REPLICAS_OF_UNKNOWN_NODES: u32 = 3;
/// Cores that a replica asks for where an autoscaler needs to know, and no file says.
const UNKNOWN_CPU_REQUEST: f64 = 0.5;
/// Memory that a replica asks for where an autoscaler needs to know, and no file says.
const UNKNOWN_MEMORY_REQUEST: Bytes = Bytes::new(512 << 20);
/// The shares of what is asked for, percent, that can say what an autoscaler aims at: more a scenario does not take, and of less a whole percent is too
/// much.
const SHARES: std::ops::RangeInclusive<f64> = 20.0..=10_000.0;

/// A draft while it is being written.
#[derive(Debug, Default)]
pub struct Page {
    /// The text.
    pub text: String,
    /// What was not taken, a sentence each.
    pub left_out: Vec<String>,
    /// How many lines hold a guess.
    pub assumed: u64,
    /// How many lines there are.
    lines: usize,
    /// Whether there are several files, so that services say from which they are.
    several: bool,
    /// Where each part that has a workload begins, in order: the line, counted from 1, its name, and the file of its workload.
    begins: Vec<(usize, Name, String)>,
}

/// What is said of one part, with what its autoscaler needs.
struct Figures<'c> {
    replicas: (u32, Option<&'static str>),
    autoscaler: Option<&'c Autoscaler>,
    goals: Vec<Goal>,
    cpu_request: (Option<f64>, Option<String>),
    memory_request: (Option<Bytes>, Option<String>),
}

/// The template that the image of a part has.
fn template_of(part: &Part<'_>) -> Option<&'static str> {
    part.workload.and_then(|workload| workload.pod.image.as_ref()).and_then(assumption::template)
}

/// Writes a draft, in which parts have the templates of their images.
#[must_use]
pub fn page(name: &str, files: &[&str], (cluster, topology): (&Cluster, &Topology<'_>)) -> Page {
    let mut page = Page { several: files.len() > 1, ..Page::default() };
    let autoscalers = page.autoscalers(cluster, topology);
    let figures: Vec<Figures<'_>> =
        topology.parts.iter().zip(&autoscalers).map(|(part, autoscaler)| figures(cluster, part, *autoscaler)).collect();
    page.line(0, &format!("# Drafted from {}.", shortened(files)));
    page.line(
        0,
        "# What no file says is marked: put right first how many ask, what a request costs, and which calls it makes with what timeouts.",
    );
    page.line(0, "schema: scenario/1");
    page.line(0, &format!("scenario: {}", quoted(name)));
    page.line(0, "description: What the manifests say of the system; nothing breaks in it yet.");
    let (rate, why) = assumption::rate(topology, |index| {
        let pod = &topology.parts[index].workload?.pod;
        let limits = [pod.cpu_limit, figures[index].cpu_request.0.filter(|_| figures[index].autoscaler.is_some())];
        let cores = limits.into_iter().flatten().reduce(f64::min)?;
        Some(cores * f64::from(figures[index].replicas.0))
    });
    page.line(0, "clients:");
    for client in &topology.clients {
        let line = format!("{}: {{ calls: {}, rate: {rate} }}", quoted(&client.name), quoted(&topology.parts[client.asks].name));
        let why = client.assumed.as_ref().map_or_else(|| why.clone(), |reason| format!("{reason}; {why}"));
        page.assumed(2, &line, &why);
    }
    page.line(0, "services:");
    for (part, figures) in topology.parts.iter().zip(&figures) {
        page.part((cluster, topology), part, figures);
    }
    page.idle_budgets(cluster, topology);
    page
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        // What people's files hold may end no line here: it would begin another.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.text += &format!("{:indent$}{text}\n", "");
        self.lines += 1;
    }

    fn assumed(&mut self, indent: usize, text: &str, why: &str) {
        self.assumed += 1;
        self.line(indent, &format!("{text} # assumed: {why}"));
    }

    /// A line, with a reason if it is a guess.
    fn either(&mut self, indent: usize, text: &str, why: Option<&str>) {
        match why {
            Some(why) => self.assumed(indent, text, why),
            None => self.line(indent, text),
        }
    }

    /// The autoscaler of each part, if it has one that can be taken.
    fn autoscalers<'c>(&mut self, cluster: &'c Cluster, topology: &Topology<'_>) -> Vec<Option<&'c Autoscaler>> {
        let mut taken = vec![None; topology.parts.len()];
        for autoscaler in &cluster.autoscalers {
            let is_target = |part: &Part<'_>| {
                part.workload.is_some_and(|workload| {
                    workload.namespace == autoscaler.namespace
                        && *autoscaler.target.0 == *workload.kind.word()
                        && autoscaler.target.1 == workload.name
                })
            };
            let told = |why: String| format!("HorizontalPodAutoscaler `{}`: {why}", autoscaler.name);
            let is_other = |goal: &&Goal| matches!(goal, Goal::Other(_)) || matches!(goal, Goal::Shown(name, _) if !counts_requests(name));
            let target = topology.parts.iter().position(is_target);
            let pod = target.and_then(|index| topology.parts[index].workload).map(|workload| &workload.pod);
            let goals = pod.map_or_else(Vec::new, |pod| autoscaler.goals_of(pod));
            let others: Vec<&str> = goals.iter().filter(is_other).map(goal_word).collect();
            match target {
                None => self.left_out.push(told(format!("its {} `{}` is not drafted", autoscaler.target.0, autoscaler.target.1))),
                Some(index) if taken[index].is_some() => self.left_out.push(told("another one scales the same".to_owned())),
                Some(_) if !others.is_empty() && others.len() == goals.len() => {
                    self.left_out.push(told(format!("it goes by what is not seen here: {}", others.join(", "))));
                }
                Some(index) => {
                    if !others.is_empty() {
                        self.left_out.push(told(format!("of what it goes by, what is not seen here: {}", others.join(", "))));
                    }
                    taken[index] = Some(autoscaler);
                }
            }
        }
        taken
    }

    /// The part whose lines hold a line, counted from 1: its name, and the file of its workload.
    #[must_use]
    pub fn part_at(&self, line: usize) -> Option<(&Name, &str)> {
        self.begins.iter().take_while(|(begin, ..)| *begin <= line).last().map(|(_, name, path)| (name, &**path))
    }

    fn part(&mut self, (cluster, topology): (&Cluster, &Topology<'_>), part: &Part<'_>, figures: &Figures<'_>) {
        let path = part.workload.map_or_else(String::new, |workload| workload.path.clone());
        self.begins.push((self.lines + 1, part.name.clone(), path));
        let Some(workload) = part.workload else {
            self.line(2, &format!("{}:", quoted(&part.name)));
            let work = assumption::work(None);
            let is_at_rest = |workload: &&Workload| part.services.iter().any(|service| leads_to(service, workload));
            let why = match cluster.workloads.iter().find(is_at_rest) {
                Some(workload) => {
                    format!("a Service is asked whose {} `{}` is scaled to 0 in the files", workload.kind.word(), workload.name)
                }
                None => "a Service is asked that has no workload behind it in the files".to_owned(),
            };
            self.services(part);
            self.assumed(4, &format!("work: [{}]", work.step), &why);
            return;
        };
        let from = if self.several { format!(" # from {}", workload.path.rsplit('/').next().unwrap_or_default()) } else { String::new() };
        self.line(2, &format!("{}:{from}", quoted(&part.name)));
        let template = template_of(part);
        if let Some(template) = template {
            self.assumed(4, &format!("template: {template}"), "what it is, by its image");
        }
        self.either(4, &format!("replicas: {}", figures.replicas.0), figures.replicas.1);
        self.budgets(cluster, workload);
        self.zones(cluster, &workload.pod);
        self.services(part);
        if let Some(tag) = workload.pod.image.as_deref().and_then(assumption::tag) {
            self.line(4, &format!("version: {}", quoted(tag)));
        }
        self.resources(&workload.pod, figures, template);
        if let Some(autoscaler) = figures.autoscaler {
            self.autoscaler(autoscaler, figures);
        }
        for (word, probe) in
            [("startup", &workload.pod.startup), ("readiness", &workload.pod.readiness), ("liveness", &workload.pod.liveness)]
        {
            if let Some(probe) = probe {
                self.probe(word, probe, part);
            }
        }
        self.ending(workload);
        self.rollout(workload, figures.replicas.0);
        if !workload.pod.before.is_empty() {
            let before = workload.pod.before.join(", ");
            self.left_out.push(format!("`{}`: what runs before its containers, and how long that takes: {before}", part.name));
        }
        if !workload.pod.beside.is_empty() {
            let beside = workload.pod.beside.join(", ");
            let own = workload.pod.container.as_ref().map_or_else(|| "its first".to_owned(), |name| format!("`{name}`"));
            self.left_out.push(format!("`{}`: of the containers beside {own}, all but what they ask for: {beside}", part.name));
        }
        self.left_out.extend(workload.unsaid.iter().map(|unsaid| format!("`{}`: {unsaid}", part.name)));
        // What its template does is work enough.
        if template == Some("redis") && part.calls.is_empty() {
            return;
        }
        let work = assumption::work(workload.pod.image.as_ref());
        self.line(4, "work:");
        self.assumed(6, &format!("- {}", work.step), work.why);
        for call in &part.calls {
            let why = format!("{} names it", call.why);
            self.assumed(6, &format!("- call: {}", quoted(&topology.parts[call.to].name)), &why);
        }
    }

    fn budgets(&mut self, cluster: &Cluster, workload: &Workload) {
        let mut told = false;
        for budget in &cluster.budgets {
            if !budget.chooses(workload) {
                continue;
            }
            let max = budget.max_unavailable.map(|most| ("max_unavailable", most));
            let Some((key, amount)) = max.or_else(|| budget.min_available.map(|least| ("min_available", least))) else { continue };
            let amount = match amount {
                Amount::Pods(count) => count.to_string(),
                Amount::Percent(percent) => format!("{percent}%"),
            };
            if told {
                self.left_out.push(format!("PodDisruptionBudget `{}`: pods that have two are not evicted at all", budget.name));
                continue;
            }
            told = true;
            if budget.unhealthy.as_deref().is_some_and(|policy| policy == "AlwaysAllow") {
                let told =
                    "its `unhealthyPodEvictionPolicy: AlwaysAllow`; here pods that are not ready are evicted only while it leaves room";
                self.left_out.push(format!("PodDisruptionBudget `{}`: {told}", budget.name));
            }
            self.line(4, &format!("disruption_budget: {{ {key}: {amount} }}"));
        }
    }

    /// Tells of budgets that hold nobody back here.
    fn idle_budgets(&mut self, cluster: &Cluster, topology: &Topology<'_>) {
        let workloads: Vec<&Workload> = topology.parts.iter().filter_map(|part| part.workload).collect();
        for budget in &cluster.budgets {
            let told = if budget.selector.is_empty() {
                "its selector names no labels by `matchLabels`"
            } else if workloads.iter().any(|workload| budget.chooses(workload)) {
                continue;
            } else {
                "it chooses the pods of no workload that is drafted"
            };
            self.left_out.push(format!("PodDisruptionBudget `{}`: {told}", budget.name));
        }
    }

    fn zones(&mut self, cluster: &Cluster, pod: &Pod) {
        let list = |zones: &std::collections::BTreeSet<Name>| zones.iter().map(|zone| quoted(zone)).collect::<Vec<_>>().join(", ");
        match &pod.zones {
            Zones::Unsaid => {}
            Zones::Named(zones) => self.line(4, &format!("zones: [{}]", list(zones))),
            Zones::Spread if !cluster.zones.is_empty() => self.line(4, &format!("zones: [{}]", list(&cluster.zones))),
            Zones::Spread => self.assumed(4, "zones: [a, b, c]", "spread over zones, and no file says how many there are"),
        }
    }

    /// What the Services say that lead to a part.
    fn services(&mut self, part: &Part<'_>) {
        let named = |prefers: bool| part.services.iter().find(|service| service.prefers_zone == prefers).map(|service| &service.name);
        if let Some(near) = named(true) {
            let why = named(false).map(|other| format!("Service `{near}` says it, and `{other}`, which leads here as well, does not"));
            self.either(4, "prefer_zone: true", why.as_deref());
        }
        for service in &part.services {
            self.left_out.extend(service.unsaid.iter().map(|unsaid| format!("Service `{}`: {unsaid}", service.name)));
        }
    }

    fn resources(&mut self, pod: &Pod, figures: &Figures<'_>, template: Option<&str>) {
        if let Some(cores) = pod.cpu_limit {
            self.line(4, &format!("cores: {cores}"));
        }
        let own = template.and_then(assumption::cores).filter(|_| pod.cpu_limit.is_none());
        if let Some(cores) = figures.cpu_request.0.filter(|request| own.is_some_and(|own| own < *request)) {
            self.assumed(4, &format!("cores: {cores}"), "no limit, so that it has what it asks for at least");
        }
        let (request, why) = &figures.cpu_request;
        if let Some(request) = request.filter(|request| why.is_some() || pod.cpu_limit != Some(*request)) {
            self.either(4, &format!("cpu_request: {request}"), why.as_deref());
        }
        let limit = pod.memory_limit;
        let request = figures.memory_request.0.filter(|request| limit != Some(*request));
        if request.is_none() && limit.is_none() {
            return;
        }
        let used = pod.memory.own.or(pod.memory.all).map(size).or(request);
        let base = half(used.into_iter().chain(limit).min().unwrap_or_default());
        let request = request.map_or_else(String::new, |request| format!(", request: {request}"));
        // A template has a limit of its own, which what asks for more cannot have.
        let is_above = |request: &Bytes| template.and_then(assumption::limit).is_some_and(|own| own < *request);
        let limit = match limit {
            Some(limit) => format!(", limit: {limit}"),
            None if figures.memory_request.0.as_ref().is_some_and(is_above) => ", limit: none".to_owned(),
            None => String::new(),
        };
        let why = figures.memory_request.1.as_deref().unwrap_or("base is half of what is asked for");
        self.assumed(4, &format!("memory: {{ base: {base}{request}{limit} }}"), why);
    }

    fn autoscaler(&mut self, autoscaler: &Autoscaler, figures: &Figures<'_>) {
        self.line(4, "autoscaler:");
        let none = (autoscaler.min == Some(0)).then_some("none, which a scenario cannot say");
        self.either(6, &format!("min: {}", autoscaler.min.unwrap_or(1).max(1)), none);
        self.line(6, &format!("max: {}", autoscaler.max));
        let mut said = Vec::new();
        for goal in &figures.goals {
            let (word, text, why) = match goal {
                Goal::Uses(resource, Aim::Share(percent) | Aim::ShareOf(_, percent)) => (resource.word(), format!("{percent}%"), None),
                Goal::Uses(resource, Aim::Size(size)) => {
                    let request = match resource {
                        Resource::Cpu => figures.cpu_request.0,
                        Resource::Memory => figures.memory_request.0.map(|bytes| bytes.get() as f64),
                    };
                    let percent = (size / request.unwrap_or(*size) * 100.0).round().clamp(1.0, *SHARES.end());
                    let why = format!("{}, as a share of what is asked for", resource.text(*size));
                    (resource.word(), format!("{percent}%"), Some(why))
                }
                Goal::Shown(name, value) if counts_requests(name) && *value >= 1e-3 => {
                    ("requests", format!("{value}/s"), Some(format!("{name} counts requests a second")))
                }
                Goal::Shown(..) | Goal::Other(_) | Goal::Container(..) => continue,
            };
            if said.contains(&word) {
                self.left_out.push(format!("HorizontalPodAutoscaler `{}`: a second goal for {word}", autoscaler.name));
                continue;
            }
            said.push(word);
            self.either(6, &format!("{word}: {text}"), why.as_deref());
        }
        for (word, direction) in [("scale_up", &autoscaler.up), ("scale_down", &autoscaler.down)] {
            if let Some(tolerance) = direction.as_ref().and_then(|direction| direction.tolerance) {
                let told = format!("the `tolerance: {tolerance}` of its `{word}`; here it lets be what is within a tenth of its aim");
                self.left_out.push(format!("HorizontalPodAutoscaler `{}`: {told}", autoscaler.name));
            }
            if let Some(text) = direction.as_ref().and_then(direction_text) {
                self.line(6, &format!("{word}: {text}"));
            }
        }
    }

    fn probe(&mut self, word: &str, probe: &Probe, part: &Part<'_>) {
        if probe.grace.is_some() {
            let told = "`terminationGracePeriodSeconds`; here its `grace` counts whatever ends it";
            self.left_out.push(format!("`{}`: of its {word} probe its {told}", part.name));
        }
        let mut said = Vec::new();
        said.extend(probe.initial_delay.map(|span| format!("initial_delay: {span}")));
        said.push(format!("period: {}", probe.period.unwrap_or(Span::from_seconds(10))));
        said.extend(probe.timeout.map(|span| format!("timeout: {span}")));
        said.extend(probe.failures.map(|count| format!("failures: {count}")));
        if word == "readiness" {
            said.extend(probe.successes.filter(|count| *count > 1).map(|count| format!("successes: {count}")));
        }
        let why = match &probe.asks {
            Asks::Request(port) if is_asked_on(part, port) => {
                said.push("path: traffic".to_owned());
                Some("on the port of requests, so it waits with them")
            }
            Asks::Request(_) => None,
            Asks::Connection => Some("the kernel takes connections however busy the process is"),
            Asks::Command => Some("a command runs beside the process and takes nothing from it"),
        };
        self.either(4, &format!("{word}: {{ {} }}", said.join(", ")), why);
    }

    fn ending(&mut self, workload: &Workload) {
        match workload.pod.pre_stop {
            Some(PreStop::Sleep(span)) if span > Span::ZERO => self.line(4, &format!("pre_stop: {span}")),
            Some(PreStop::Other) => self.left_out.push(format!("`{}`: its preStop, which does not sleep", workload.name)),
            _ => {}
        }
        match workload.pod.grace {
            Some(Span::ZERO) => self.assumed(4, "grace: 1ms", "none, which a scenario cannot say"),
            Some(grace) => self.line(4, &format!("grace: {grace}")),
            None => {}
        }
    }

    fn rollout(&mut self, workload: &Workload, replicas: u32) {
        let said = &workload.rollout;
        let (ready, deadline, given) = ready_and_deadline(workload);
        let strategy = said.strategy.as_deref().map_or("RollingUpdate", |strategy| strategy);
        let mut why = None;
        let (surge, missing) = match workload.kind {
            Kind::Deployment if strategy == "Recreate" => (Some(Amount::Percent(0)), Some(Amount::Percent(100))),
            Kind::Deployment => (said.max_surge, said.max_unavailable),
            Kind::StatefulSet | Kind::DaemonSet => {
                why = (strategy == "OnDelete").then_some("one at a time, as a person would do it with OnDelete");
                (Some(said.max_surge.unwrap_or(Amount::Percent(0))), Some(said.max_unavailable.unwrap_or(Amount::Pods(1))))
            }
        };
        // A share of a scenario is at most all.
        let surge = surge.map(|amount| match amount {
            Amount::Percent(percent) if percent > 100 => {
                why = Some("more than all are a number here, of the replicas that there are at first");
                Amount::Pods((u64::from(percent) * u64::from(replicas)).div_ceil(100).min(MOST_REPLICAS as u64) as u32)
            }
            amount => amount,
        });
        let mut parts = Vec::new();
        parts.extend(surge.map(|amount| format!("max_surge: {amount}")));
        parts.extend(missing.map(|amount| format!("max_unavailable: {amount}")));
        parts.extend(ready.map(|span| format!("min_ready: {span}")));
        parts.extend(deadline.map(|span| format!("progress_deadline: {span}")));
        if !parts.is_empty() {
            self.either(4, &format!("rollout: {{ {} }}", parts.join(", ")), why.or(given));
        }
    }
}

/// How long a replica must have been ready to count, how long a rollout may make no progress, and why that long if no file says it: only a Deployment has
/// such a deadline, and a scenario wants it to be longer than what it waits for.
fn ready_and_deadline(workload: &Workload) -> (Option<Span>, Option<Span>, Option<&'static str>) {
    let ready = workload.rollout.min_ready.filter(|span| *span > Span::ZERO);
    if workload.kind == Kind::Deployment {
        return (ready, workload.rollout.progress_deadline.filter(|span| *span > Span::ZERO), None);
    }
    let usual = defaults::span("rollout.progress_deadline");
    match ready.filter(|ready| *ready >= usual) {
        Some(long) => (ready, Some(long + usual), Some("a deadline above `min_ready`, which Kubernetes does not have here")),
        None => (ready, None, None),
    }
}

fn figures<'c>(cluster: &Cluster, part: &Part<'_>, autoscaler: Option<&'c Autoscaler>) -> Figures<'c> {
    let nothing = Pod::default();
    let pod = part.workload.map_or(&nothing, |workload| &workload.pod);
    let mut replicas = match part.workload {
        Some(workload) if workload.kind == Kind::DaemonSet && cluster.nodes > 0 => (cluster.nodes, None),
        Some(workload) if workload.kind == Kind::DaemonSet => {
            (REPLICAS_OF_UNKNOWN_NODES, Some("one a node, and no file says how many nodes there are"))
        }
        workload => (workload.and_then(|workload| workload.replicas).unwrap_or(1), None),
    };
    let goals = autoscaler.map_or_else(Vec::new, |autoscaler| autoscaler.goals_of(pod));
    let (mut cpu, mut memory) = ((pod.cpu.all, None), (pod.memory.all, None));
    if let Some(autoscaler) = autoscaler {
        let (min, max) = (autoscaler.min.unwrap_or(1).max(1), autoscaler.max);
        if !(min..=max).contains(&replicas.0) {
            replicas = (replicas.0.clamp(min, max), Some("what the autoscaler would make of it at once"));
        }
        // Of nothing that is said it goes by the CPU.
        let usual = goals.is_empty().then_some(&Aim::Share(0));
        let first = |of: Resource| {
            goals.iter().find_map(|goal| {
                if let Goal::Uses(resource, aim) = goal
                    && *resource == of
                {
                    Some(aim)
                } else {
                    None
                }
            })
        };
        if let Some(aim) = usual.or_else(|| first(Resource::Cpu)) {
            cpu = requested(pod, (Resource::Cpu, aim), UNKNOWN_CPU_REQUEST);
        }
        if let Some(aim) = first(Resource::Memory) {
            memory = requested(pod, (Resource::Memory, aim), UNKNOWN_MEMORY_REQUEST.get() as f64);
        }
    }
    Figures { replicas, autoscaler, goals, cpu_request: cpu, memory_request: (memory.0.map(size), memory.1) }
}

/// What a replica asks for where an autoscaler goes by it, and why so much if no file says just that.
fn requested(pod: &Pod, (resource, aim): (Resource, &Aim), unknown: f64) -> (Option<f64>, Option<String>) {
    let requests = pod.requests(resource);
    let all = || {
        requests
            .all
            .map_or_else(|| "no file says what is asked for".to_owned(), |all| format!("all containers ask for {}", resource.text(all)))
    };
    // Of memory the line says more than the request.
    let (it, is) = match resource {
        Resource::Cpu => ("it", ""),
        Resource::Memory => ("the request", "the request is "),
    };
    match aim {
        Aim::Share(_) if requests.all.is_none() => {
            let why = format!("the autoscaler goes by a share of {it}; where no file says it, Kubernetes would not scale");
            (Some(unknown), Some(why))
        }
        Aim::Share(_) if requests.without.is_empty() => (requests.all, None),
        Aim::Share(_) => {
            let silent = requests.without.join("`, `");
            let why =
                format!("the autoscaler goes by a share of {it}; no file says what `{silent}` asks for, and so Kubernetes would not scale");
            (requests.all, Some(why))
        }
        Aim::ShareOf(container, _) => {
            let why = format!("{is}what `{container}` asks for, of which its autoscaler aims at a share; {}", all());
            (requests.own, Some(why))
        }
        Aim::Size(size) if requests.all.is_some_and(|all| SHARES.contains(&(size / all * 100.0).round())) => (requests.all, None),
        Aim::Size(size) => (resource.rounded(*size), Some(format!("{is}what its autoscaler aims at, which is told as a share; {}", all()))),
    }
}

/// Whether requests come to a port: one that a Service leads to, or any of the container where none does.
fn is_asked_on(part: &Part<'_>, port: &Port) -> bool {
    let Some(workload) = part.workload else { return false };
    let number = |port: &Port| match port {
        Port::Number(number) => Some(*number),
        Port::Named(name) => workload.pod.ports.iter().find(|(candidate, _)| candidate.as_ref() == Some(name)).map(|(_, number)| *number),
    };
    let targets: Vec<u32> = part.services.iter().flat_map(|service| &service.targets).filter_map(number).collect();
    let asked = number(port);
    match targets.is_empty() {
        true => workload.pod.ports.iter().any(|(_, number)| Some(*number) == asked),
        false => targets.into_iter().any(|target| Some(target) == asked),
    }
}

/// Whether a metric's name says that it is requests a second.
fn counts_requests(name: &str) -> bool {
    let is_time = ["duration", "latency", "time"].iter().any(|word| name.contains(word));
    !is_time && ["requests", "rps", "qps"].iter().any(|word| name.contains(word))
}

fn goal_word(goal: &Goal) -> &str {
    match goal {
        Goal::Shown(name, _) | Goal::Other(name) => name,
        Goal::Uses(resource, _) | Goal::Container(_, resource, _) => resource.word(),
    }
}

fn direction_text(direction: &Direction) -> Option<String> {
    if direction.select.as_deref().is_some_and(|select| select == "Disabled") {
        return Some("disabled".to_owned());
    }
    let mut parts = Vec::new();
    parts.extend(direction.window.map(|window| format!("window: {window}")));
    let policy = |(step, every): &(Step, Span)| match step {
        Step::Percent(percent) => format!("{{ percent: {percent}%, every: {every} }}"),
        Step::Pods(count) => format!("{{ replicas: {count}, every: {every} }}"),
    };
    if !direction.policies.is_empty() {
        parts.push(format!("policies: [{}]", direction.policies.iter().map(policy).collect::<Vec<_>>().join(", ")));
    }
    if direction.select.as_deref().is_some_and(|select| select == "Min") {
        parts.push("select: smallest".to_owned());
    }
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}

/// A size of so many bytes.
fn size(bytes: f64) -> Bytes {
    Bytes::new(bytes as u64)
}

/// Half of a size, in whole MiB where there are any.
fn half(bytes: Bytes) -> Bytes {
    let half = bytes.get() / 2;
    Bytes::new(if half >= 1 << 20 { half >> 20 << 20 } else { half })
}

/// A few files by name, and how many more there are.
fn shortened(files: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = files[..files.len().min(SHOWN)].join(", ");
    let more = files.len().saturating_sub(SHOWN);
    if more > 0 { format!("{shown} and {}", firedrill_core::words::counted(more as u64, "more file")) } else { shown }
}
