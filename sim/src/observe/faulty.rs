//! What stands between a target and what is written down of it: scrapes that fail, pages that stand still, samples that come late, wrong or twice.
//!
//! What is altered is altered after the target has shown itself, so that exporters need not know of any of it (docs/MODEL.md 4.5).

use std::collections::{BTreeMap, VecDeque};

use firedrill_core::random::{Purpose, Stream, Threshold, hash64};
use firedrill_core::time::Time;
use firedrill_telemetry::labels::{Labels, LabelsBuilder};
use firedrill_telemetry::store::{STALE, SeriesId, Store, is_stale};

use super::page::{Sheet, write};
use super::{Found, Target, named};
use crate::spec::{COPY, MonitoringFault, MonitoringFaultSpec, Watched};
use crate::world::World;

/// How long a prober waits for an answer that does not come, seconds.
const PROBE_TIMEOUT: f64 = 5.0;

/// What is wrong with the monitoring of one target, now or later, and what must be kept for it.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// The target's name, for its luck.
    target: String,
    /// The faults that mean it, as they stand in the scenario.
    which: Vec<u32>,
    /// What was scraped and is not written down yet, with the time at which it is.
    late: VecDeque<Late>,
    /// The second series of those that are scraped twice.
    copies: BTreeMap<SeriesId, SeriesId>,
    /// What counters stood at when they were set back.
    zeros: BTreeMap<SeriesId, f64>,
    /// The resets that have happened.
    reset: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    due_ms: i64,
    series: SeriesId,
    at_ms: i64,
    value: f64,
}

impl Faults {
    /// Those of a target; `None` if none ever concerns it.
    pub(super) fn of(world: &World, name: &str, labels: &LabelsBuilder) -> Option<Self> {
        let faults = &world.spec.monitoring;
        if faults.is_empty() {
            return None;
        }
        let labels = labels.clone().build();
        let means = |fault: &MonitoringFaultSpec| fault.kind.of().is_none_or(|watched| is_meant(watched, &labels));
        let which: Vec<u32> = (0..faults.len() as u32).filter(|index| means(&faults[*index as usize])).collect();
        let (late, copies, zeros, reset) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
        (!which.is_empty()).then(|| Self { target: name.to_owned(), which, late, copies, zeros, reset })
    }

    /// One scrape of the target; whether there will be another.
    pub(super) fn scrape(&mut self, target: &mut Target, world: &World, store: &mut Store, at_ms: i64) -> bool {
        let found = target.exposed.found(world);
        if !world.spec.prometheus_runs(world.now) {
            target.each_page(&mut |page| page.forget());
            return found != Found::Gone;
        }
        let on: Vec<(u32, &MonitoringFaultSpec)> = self.on(world, world.now).collect();
        let by = on.iter().find_map(|(_, fault)| match &fault.kind {
            MonitoringFault::LateSeries { by, .. } => Some(by.as_millis() as i64),
            _ => None,
        });
        // Whoever is gone is not waited for, and whoever is no longer late has everything written down first.
        let until = if by.is_some() && found != Found::Gone { at_ms } else { i64::MAX };
        self.write_late(store, until);
        let is_lost = on.iter().any(|(_, fault)| self.loses(fault, world, at_ms));
        let found = if found == Found::Answers && is_lost { Found::Silent } else { found };
        let is_frozen = on.iter().any(|(_, fault)| matches!(fault.kind, MonitoringFault::FrozenSeries { .. }));
        let goes_on = if is_frozen && found == Found::Answers {
            repeat(target, store, at_ms);
            true
        } else {
            target.scrape(world, store, at_ms, found)
        };
        for (index, fault) in &on {
            self.alter((*index, fault), target, world, (store, at_ms));
        }
        let is_twice = on.iter().any(|(_, fault)| matches!(fault.kind, MonitoringFault::DuplicateSeries { .. }));
        self.copy(target, store, at_ms, is_twice && goes_on);
        if let Some(by) = by.filter(|_| goes_on) {
            self.hold_back(target, store, at_ms, by);
        }
        goes_on
    }

    /// The faults that are on at an instant.
    fn on<'w>(&self, world: &'w World, now: Time) -> impl Iterator<Item = (u32, &'w MonitoringFaultSpec)> {
        self.which.iter().map(|index| (*index, &world.spec.monitoring[*index as usize])).filter(move |(_, fault)| fault.is_on(now))
    }

    fn loses(&self, fault: &MonitoringFaultSpec, world: &World, at_ms: i64) -> bool {
        let MonitoringFault::ScrapeLoss { share, .. } = &fault.kind else { return false };
        let luck = Stream::new(world.seed, Purpose::Scrape, hash64(&format!("{} {}", fault.name, self.target)));
        Threshold::from_ratio(*share).hit(luck.block(at_ms as u64).word64(0))
    }

    /// Changes values that were just written.
    fn alter(
        &mut self,
        (index, fault): (u32, &MonitoringFaultSpec),
        target: &mut Target,
        world: &World,
        (store, at_ms): (&mut Store, i64),
    ) {
        match &fault.kind {
            MonitoringFault::ScaledSeries { metric, factor, .. } => {
                let scaled = |name: &str, value: f64| (name == metric.as_str()).then(|| value * factor.get());
                rewrite(target, store, at_ms, |labels, value| scaled(labels.metric_name()?, value));
            }
            MonitoringFault::AllRed { .. } => rewrite(target, store, at_ms, |labels, _| red(world, labels)),
            MonitoringFault::CounterReset { .. } => self.set_back(index, target, store, at_ms),
            _ => {}
        }
    }

    /// Counters stand at what has been counted since the scrape before the reset, until their process begins anew.
    fn set_back(&mut self, index: u32, target: &mut Target, store: &mut Store, at_ms: i64) {
        let is_first = !self.reset.contains(&index);
        if is_first {
            self.reset.push(index);
        }
        for series in written(target, store, at_ms) {
            let values = store.values(series);
            let value = values[values.len() - 1];
            if !is_counter(store.labels(series).metric_name().unwrap_or_default()) || is_stale(value) {
                continue;
            }
            if is_first {
                let before = values.len().checked_sub(2).map_or(value, |index| values[index]);
                let counted = if is_stale(before) { value } else { before } + self.zeros.get(&series).copied().unwrap_or_default();
                self.zeros.insert(series, counted);
            }
            match self.zeros.get(&series) {
                Some(zero) if value < *zero => _ = self.zeros.remove(&series),
                Some(zero) => replace(store, series, at_ms, value - zero),
                None => {}
            }
        }
    }

    /// Writes the same once more under another job, or ends what was.
    fn copy(&mut self, target: &mut Target, store: &mut Store, at_ms: i64, is_twice: bool) {
        if !is_twice {
            for copy in std::mem::take(&mut self.copies).into_values() {
                write(store, copy, at_ms, STALE);
            }
            return;
        }
        for series in written(target, store, at_ms) {
            let value = store.values(series).last().copied().unwrap_or(STALE);
            let labels = store.labels(series);
            let copy = match self.copies.get(&series) {
                Some(copy) => *copy,
                // What ended before the second job began has nothing to end there.
                None if is_stale(value) => continue,
                None => {
                    let copy = copied(labels);
                    let copy = store.series(&copy);
                    self.copies.insert(series, copy);
                    copy
                }
            };
            write(store, copy, at_ms, value);
        }
    }

    /// Takes back what was just written, to write it down later.
    fn hold_back(&mut self, target: &mut Target, store: &mut Store, at_ms: i64, by: i64) {
        let copies: Vec<SeriesId> = self.copies.values().copied().collect();
        for series in written(target, store, at_ms).into_iter().chain(copies) {
            if let Some(value) = store.take_back(series, at_ms) {
                self.late.push_back(Late { due_ms: at_ms.saturating_add(by), series, at_ms, value });
            }
        }
    }

    /// Writes down what has been late for long enough.
    fn write_late(&mut self, store: &mut Store, until_ms: i64) {
        while let Some(late) = self.late.front().copied().filter(|late| late.due_ms <= until_ms) {
            self.late.pop_front();
            write(store, late.series, late.at_ms, late.value);
        }
    }
}

/// Whether a selection means the target with these labels.
pub(super) fn is_meant(watched: &Watched, labels: &Labels) -> bool {
    let is = |label: &str, name: &str| labels.get(label) == Some(name);
    match watched {
        Watched::All => true,
        Watched::Job(name) => is("job", name),
        Watched::Service(name) => is("service", name) && labels.get("pod").is_some(),
        Watched::Replica(name) => is("pod", name),
        Watched::Zone(name) => is("zone", name),
    }
}

/// The labels of a series under the second job.
pub(super) fn copied(labels: &Labels) -> Labels {
    let job = format!("{}{COPY}", labels.get("job").unwrap_or_default());
    labels.to_builder().set("job", job).build()
}

/// The target answers, and shows what it showed last.
fn repeat(target: &mut Target, store: &mut Store, at_ms: i64) {
    let labels = target.labels.clone();
    Sheet::new(store, &mut target.health, at_ms).put(Some(1.0), || named("up", &labels));
    target.exposed.each_page(&mut |page| page.repeat(store, at_ms));
}

/// The series of a target that have a sample at this instant.
fn written(target: &mut Target, store: &Store, at_ms: i64) -> Vec<SeriesId> {
    let mut series = Vec::new();
    target.each_page(&mut |page| series.extend(page.series()));
    series.sort_unstable();
    series.dedup();
    series.retain(|series| store.times(*series).last() == Some(&at_ms));
    series
}

/// Gives other values to what was just written; markers stay.
fn rewrite(target: &mut Target, store: &mut Store, at_ms: i64, other: impl Fn(&Labels, f64) -> Option<f64>) {
    for series in written(target, store, at_ms) {
        let value = store.values(series).last().copied().filter(|value| !is_stale(*value));
        if let Some(value) = value.and_then(|value| other(store.labels(series), value)) {
            replace(store, series, at_ms, value);
        }
    }
}

fn replace(store: &mut Store, series: SeriesId, at_ms: i64, value: f64) {
    store.take_back(series, at_ms);
    write(store, series, at_ms, value);
}

fn is_counter(metric: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"].iter().any(|end| metric.ends_with(end))
}

/// What whoever judges health says of anything when it takes everything for ill; `None`: it is no judgement.
fn red(world: &World, labels: &Labels) -> Option<f64> {
    let condition = |ill: &str| if labels.get("condition") == Some(ill) || labels.get("status") == Some(ill) { 1.0 } else { 0.0 };
    let value = match labels.metric_name()? {
        "probe_success" | "probe_http_status_code" => 0.0,
        "probe_duration_seconds" => PROBE_TIMEOUT,
        "kube_pod_status_ready" => condition("false"),
        "kube_pod_container_status_ready" | "kube_deployment_status_replicas_ready" | "kube_deployment_status_replicas_available" => 0.0,
        "kube_deployment_status_replicas_unavailable" => {
            let service = world.service_named(labels.get("deployment")?)?;
            f64::from(world.services[service as usize].wanted)
        }
        "kube_node_status_condition" if labels.get("condition") == Some("Ready") => condition("unknown"),
        _ => return None,
    };
    Some(value)
}
