//! Telemetry: what monitoring sees of the world, target by target, at the target's own phase of the interval.
//!
//! Observing reads the world and never changes it. A target that does not answer has `up` 0 and staleness markers on all else; one that is gone has
//! markers on everything (docs/MODEL.md 4.1).

mod cluster;
mod containers;
mod database;
mod page;
mod probe;
mod clusters;
mod profiles;
mod process;
mod redis;
mod topics;
mod faulty;
pub mod declared;
pub mod past;

use firedrill_core::journal::ReplicaState;
use firedrill_core::random::hash64;
use firedrill_core::time::{Class, Span, Time};
use firedrill_telemetry::labels::{Labels, LabelsBuilder};
use firedrill_telemetry::store::Store;

use crate::spec::Profile;
use crate::world::{Due, World};
use cluster::NodeExporter;
use containers::{Host, KubeState, Kubelet, KubeletPath};
use database::DatabasePage;
use faulty::Faults;
use page::{Page, Sheet};
use probe::Probe;
use process::{ClientPage, Process};
use redis::RedisPage;
use topics::TopicPage;

/// The namespace that everything lives in.
const NAMESPACE: &str = "default";

/// Everything that is scraped.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    targets: Vec<Target>,
    interval: Span,
}

/// One target: its own labels, what it exposes, and the series of its own health.
#[derive(Clone, Debug)]
struct Target {
    labels: LabelsBuilder,
    health: Page,
    exposed: Exposed,
    /// What stands between it and what is written down; `None`: nothing ever does.
    faults: Option<Box<Faults>>,
}

/// What a target exposes.
#[derive(Clone, Debug)]
enum Exposed {
    /// A replica's process.
    Process(Process),
    /// The exporter of a replica of a database.
    Database(DatabasePage),
    /// The exporter of a Redis, where its profile is asked for.
    Redis(RedisPage),
    /// A client.
    Client(ClientPage),
    /// The containers of a zone, or what its kubelet tells of its own.
    Kubelet(Kubelet),
    /// The state of pods and deployments.
    KubeState(KubeState),
    /// A probe of an entry service from outside.
    Probe(Probe),
    /// A node, where its profile is asked for.
    Node(NodeExporter),
    /// The topics of a broker.
    Topics(TopicPage),
}

impl Observer {
    pub(crate) fn new(world: &World) -> Self {
        Self { targets: Vec::new(), interval: Span::from_millis(world.spec.scrape.interval.as_millis().max(1)) }
    }

    /// Adds the targets that are there from the start, replicas excepted.
    pub(crate) fn begin(&mut self, world: &mut World) {
        for index in 0..world.clients.len() as u32 {
            let name = world.clients[index as usize].ledger.client.clone();
            let labels = base(&name, &format!("{name}:8080")).set("client", name.as_str());
            self.add(world, &format!("client/{name}"), labels, Exposed::Client(ClientPage::new(index)));
        }
        for host in Host::all(world) {
            let node = host.name(world);
            // Where machines are not modelled, the phase is that of the zone's name.
            let place = node.strip_prefix("node-").filter(|_| world.nodes.is_empty()).unwrap_or(&node);
            for (name, path) in [("kubelet", KubeletPath::Containers), ("kubelet-metrics", KubeletPath::Own)] {
                let labels = base("kubelet", &format!("{node}:10250")).set("metrics_path", path.text()).set("node", node.as_str());
                self.add(world, &format!("{name}/{place}"), labels, Exposed::Kubelet(Kubelet::new(host, path)));
            }
        }
        let labels = base("kube-state-metrics", "kube-state-metrics:8080");
        self.add(world, "kube-state-metrics", labels, Exposed::KubeState(KubeState::default()));
        let exporters = if cluster::shows(world, Profile::NodeExporter) { world.nodes.len() as u32 } else { 0 };
        for index in 0..exporters {
            let node = world.nodes[index as usize].name.clone();
            let labels = base("node-exporter", &format!("{node}:9100")).set("node", node.as_str());
            self.add(world, &format!("node-exporter/{node}"), labels, Exposed::Node(NodeExporter::new(index)));
        }
        for (job, page) in TopicPage::all(world) {
            self.add(world, job, base(job, &format!("{job}:9308")), Exposed::Topics(page));
        }
        for index in 0..world.services.len() as u32 {
            let spec = &world.spec.services[index as usize];
            if world.spec.clients.iter().any(|client| client.service == spec.name) {
                let name = format!("blackbox/{}", spec.name);
                let labels = base("blackbox", &format!("http://{}/", spec.name)).set("service", spec.name.as_str());
                let probe = Probe::new(index, world.seed, &name);
                self.add(world, &name, labels, Exposed::Probe(probe));
            }
        }
    }

    /// Adds a replica as a target.
    pub(crate) fn add_replica(&mut self, world: &mut World, index: u32) {
        let replica = &world.replicas[index as usize];
        let spec = &world.spec.services[replica.service as usize];
        let name = replica.name.clone();
        let labels = base(&spec.name, &format!("{name}:8080"))
            .set("namespace", NAMESPACE)
            .set("pod", name.as_str())
            .set("service", spec.name.as_str())
            .set("zone", world.zones[replica.zone as usize].name.as_str())
            .set("version", spec.versions[replica.version as usize].name.as_str());
        let process = Process::new(world, index);
        let exporter = spec.database.as_ref().map(|database| database.engine.exporter());
        let of_redis = spec.profiles.contains(&Profile::Redis).then_some(redis::JOB);
        let zone = world.zones[replica.zone as usize].name.clone();
        let service = spec.name.clone();
        self.add(world, &format!("replica/{name}"), labels, Exposed::Process(process));
        let beside = |(job, port): (&str, u16)| {
            let labels = base(job, &format!("{name}:{port}")).set("namespace", NAMESPACE).set("pod", name.as_str());
            labels.set("service", service.as_str()).set("zone", zone.as_str())
        };
        if let Some(exporter) = exporter {
            self.add(world, &format!("exporter/{name}"), beside(exporter), Exposed::Database(DatabasePage::new(index)));
        }
        if let Some(exporter) = of_redis {
            self.add(world, &format!("redis-exporter/{name}"), beside(exporter), Exposed::Redis(RedisPage::new(index)));
        }
    }

    /// Names every series that the present targets can ever expose, without a sample.
    fn declare(&mut self, world: &World, store: &mut Store) {
        for Target { labels, health, exposed, .. } in &mut self.targets {
            Sheet::new(store, health, page::DECLARATION).put(None, || named("up", labels));
            exposed.expose(world, store, page::DECLARATION, labels);
        }
    }

    fn add(&mut self, world: &mut World, name: &str, labels: LabelsBuilder, exposed: Exposed) {
        let index = self.targets.len() as u32;
        let faults = Faults::of(world, name, &labels).map(Box::new);
        self.targets.push(Target { labels, health: Page::default(), exposed, faults });
        let interval = self.interval.as_millis();
        let phase = hash64(name) % interval;
        // The first tick from now on, in whole milliseconds.
        let now = world.now.as_nanos().div_ceil(1_000_000);
        let tick = if now <= phase { phase } else { phase + (now - phase).div_ceil(interval) * interval };
        world.queue.schedule(Time::ZERO + Span::from_millis(tick), Class::Scrape, Due::Scrape(index));
    }

    /// Scrapes one target now, and schedules its next scrape unless it is gone.
    pub(crate) fn scrape(&mut self, world: &mut World, store: &mut Store, index: u32) {
        let at_ms = world.spec.start.prometheus_millis(world.now);
        let target = &mut self.targets[index as usize];
        let goes_on = match target.faults.take() {
            None => {
                let found = target.exposed.found(world);
                target.scrape(world, store, at_ms, found)
            }
            Some(mut faults) => {
                let goes_on = faults.scrape(target, world, store, at_ms);
                target.faults = Some(faults);
                goes_on
            }
        };
        if goes_on {
            world.queue.schedule(world.now + self.interval, Class::Scrape, Due::Scrape(index));
        }
    }
}

impl Target {
    /// One scrape that meets this; whether there will be another.
    fn scrape(&mut self, world: &World, store: &mut Store, at_ms: i64, found: Found) -> bool {
        if found == Found::Gone {
            self.exposed.each_page(&mut |page| page.silence(store, at_ms));
            self.health.silence(store, at_ms);
            return false;
        }
        let labels = self.labels.clone();
        let up = if found == Found::Answers { 1.0 } else { 0.0 };
        let mut sheet = Sheet::new(store, &mut self.health, at_ms);
        sheet.put(Some(up), || named("up", &labels));
        if found == Found::Answers {
            self.exposed.expose(world, store, at_ms, &labels);
        } else {
            self.exposed.each_page(&mut |page| page.silence(store, at_ms));
        }
        true
    }

    /// All its pages, that of its health first.
    fn each_page(&mut self, visit: &mut dyn FnMut(&mut Page)) {
        visit(&mut self.health);
        self.exposed.each_page(visit);
    }
}

/// What a scrape meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The target answers.
    Answers,
    /// It does not.
    Silent,
    /// It does not exist any more.
    Gone,
}

impl Exposed {
    fn found(&self, world: &World) -> Found {
        match self {
            Self::Process(process) => {
                let replica = &world.replicas[process.replica as usize];
                match replica.state {
                    ReplicaState::Gone => Found::Gone,
                    ReplicaState::Ready | ReplicaState::Unready | ReplicaState::Draining if !replica.hung => Found::Answers,
                    _ => Found::Silent,
                }
            }
            // It stands beside its database, and goes with their machine.
            Self::Database(DatabasePage { replica, .. }) | Self::Redis(RedisPage { replica, .. }) => {
                let replica = &world.replicas[*replica as usize];
                match replica.state {
                    ReplicaState::Gone => Found::Gone,
                    _ if replica.is_unreachable() => Found::Silent,
                    _ => Found::Answers,
                }
            }
            Self::Kubelet(kubelet) if kubelet.is_lost(world) => Found::Silent,
            Self::Node(node) if node.is_lost(world) => Found::Silent,
            Self::Kubelet(_) | Self::Client(_) | Self::KubeState(_) => Found::Answers,
            Self::Probe(_) | Self::Node(_) | Self::Topics(_) => Found::Answers,
        }
    }

    fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        match self {
            Self::Process(process) => process.expose(world, store, at_ms, labels),
            Self::Database(database) => database.expose(world, store, at_ms, labels),
            Self::Redis(redis) => redis.expose(world, store, at_ms, labels),
            Self::Client(client) => client.expose(world, store, at_ms, labels),
            Self::Kubelet(kubelet) => kubelet.expose(world, store, at_ms, labels),
            Self::KubeState(state) => state.expose(world, store, at_ms, labels),
            Self::Probe(probe) => probe.expose(world, store, at_ms, labels),
            Self::Node(node) => node.expose(world, store, at_ms, labels),
            Self::Topics(topics) => topics.expose(world, store, at_ms, labels),
        }
    }

    fn each_page(&mut self, visit: &mut dyn FnMut(&mut Page)) {
        match self {
            Self::Process(process) => visit(&mut process.page),
            Self::Database(database) => visit(&mut database.page),
            Self::Redis(redis) => visit(&mut redis.page),
            Self::Client(client) => visit(&mut client.page),
            Self::Kubelet(kubelet) => kubelet.each_page(visit),
            Self::KubeState(state) => state.each_page(visit),
            Self::Probe(probe) => visit(&mut probe.page),
            Self::Node(node) => visit(&mut node.page),
            Self::Topics(topics) => visit(&mut topics.page),
        }
    }
}

fn base(job: &str, instance: &str) -> LabelsBuilder {
    Labels::builder().set("job", job).set("instance", instance)
}

/// The labels of a metric of a target.
fn named(metric: &str, labels: &LabelsBuilder) -> Labels {
    labels.clone().set("__name__", metric).build()
}

/// The labels of a metric of a target with one label more.
fn named_with(metric: &str, labels: &LabelsBuilder, label: (&str, &str)) -> Labels {
    labels.clone().set("__name__", metric).set(label.0, label.1).build()
}
