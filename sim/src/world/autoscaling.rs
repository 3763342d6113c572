//! Autoscalers in the world: what they read of replicas, when, and what they change (docs/MODEL.md 1.4).

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::random::{Purpose, Stream, below, hash64};
use firedrill_core::time::{Span, Time};

use crate::autoscaler::{Autoscaler, Sample, Seen};
use crate::spec::{AutoscalerSpec, MetricTarget};
use crate::world::{Due, World};

/// The autoscaler of one service.
#[derive(Clone, Debug)]
pub(crate) struct Scaling {
    autoscaler: Autoscaler,
    /// The last two readings of each replica that runs.
    readings: BTreeMap<u32, (Option<Reading>, Reading)>,
    /// Replicas that it wanted at its last decision.
    pub(crate) desired: u32,
    /// Replicas that there were then.
    pub(crate) current: u32,
    /// What the replicas that counted used on average, one for each metric; `None` before that is known.
    pub(crate) averages: Vec<Option<u64>>,
}

/// What a replica had used up by some instant.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Time,
    /// Which of its processes it is of.
    process: u64,
    cpu_seconds: f64,
    memory: u64,
    served: u64,
}

/// The words of an autoscaler's phases.
const READING_WORD: usize = 0;
const SYNC_WORD: usize = 1;

impl World {
    /// Schedules the first readings and decisions of every autoscaler.
    pub(super) fn begin_autoscaling(&mut self) {
        for service in 0..self.services.len() {
            let spec = &self.spec.services[service];
            let Some(autoscaler) = &spec.autoscaler else { continue };
            let luck = Stream::new(self.seed, Purpose::Phase, hash64(&spec.name)).block(0);
            let phase = |word: usize, period: Span| Time::ZERO + Span::from_nanos(below(luck.word64(word), period.as_nanos().max(1)));
            let (reading, sync) = (phase(READING_WORD, autoscaler.resolution), phase(SYNC_WORD, autoscaler.sync));
            let (count, averages) = (spec.replicas, vec![None; autoscaler.metrics.len()]);
            let (fresh, readings) = (Autoscaler::default(), BTreeMap::new());
            self.services[service].scaling =
                Some(Box::new(Scaling { autoscaler: fresh, readings, desired: count, current: count, averages }));
            self.schedule(reading, Due::ReadFigures(service as u32));
            self.schedule(sync, Due::Autoscale(service as u32));
        }
    }

    /// The figures of all replicas are read, as a metrics server does it.
    pub(super) fn read_figures(&mut self, service: u32) {
        let mut scaling = self.services[service as usize].scaling.take().expect("only an autoscaler has figures read");
        let readings = std::mem::take(&mut scaling.readings);
        for index in &self.services[service as usize].replicas {
            let replica = &self.replicas[*index as usize];
            // Of a container that does not run there is nothing to be read.
            if !replica.is_running() || replica.lost {
                continue;
            }
            let reading = Reading {
                at: self.now,
                process: replica.starts,
                cpu_seconds: replica.all_cpu_seconds(self.now),
                memory: replica.memory.bytes_at(self.now) + self.request_memory(*index),
                served: replica.served,
            };
            let earlier = readings.get(index).map(|(_, last)| *last).filter(|last| last.process == reading.process);
            scaling.readings.insert(*index, (earlier, reading));
        }
        self.services[service as usize].scaling = Some(scaling);
        let resolution = self.autoscaler_spec(service).resolution;
        self.schedule_after(resolution, Due::ReadFigures(service));
    }

    /// An autoscaler decides.
    pub(super) fn autoscale(&mut self, service: u32) {
        let spec = std::sync::Arc::clone(&self.spec);
        let spec = spec.services[service as usize].autoscaler.as_ref().expect("only an autoscaler decides");
        let mut scaling = self.services[service as usize].scaling.take().expect("an autoscaler has a state");
        let current = self.services[service as usize].wanted;
        let replicas = &self.services[service as usize].replicas;
        let seen: Vec<Seen> = replicas.iter().map(|index| self.seen(*index, spec, &scaling)).collect();
        let decision = scaling.autoscaler.decide(self.now, spec, current, &seen);
        scaling.averages = averages(&seen, spec.metrics.len());
        scaling.desired = decision.wanted;
        scaling.current = seen.iter().filter(|replica| !replica.leaving).count() as u32;
        self.services[service as usize].scaling = Some(scaling);
        if decision.wanted != current {
            self.resize(service, decision.wanted, decision.figures);
        }
        self.schedule_after(spec.sync, Due::Autoscale(service));
    }

    /// An autoscaler changes the wanted number.
    fn resize(&mut self, service: u32, wanted: u32, figures: String) {
        let state = &mut self.services[service as usize];
        let from = std::mem::replace(&mut state.wanted, wanted);
        state.generation += 1;
        // What an action has set is not in force any more.
        state.scaled_by_action = false;
        let name = self.spec.services[service as usize].name.clone();
        self.write(Event::Autoscaled { service: name, from, to: wanted, figures });
        self.todo.reconcile.push(service);
        self.todo.orders = true;
    }

    fn autoscaler_spec(&self, service: u32) -> &AutoscalerSpec {
        self.spec.services[service as usize].autoscaler.as_ref().expect("only a service with an autoscaler is asked")
    }

    fn seen(&self, index: u32, spec: &AutoscalerSpec, scaling: &Scaling) -> Seen {
        let replica = &self.replicas[index as usize];
        let readings = scaling.readings.get(&index);
        let sample = |target: &MetricTarget| readings.and_then(|(earlier, last)| sample(*target, *earlier, *last));
        Seen {
            leaving: replica.state == ReplicaState::Draining,
            pending: matches!(replica.state, ReplicaState::Pending | ReplicaState::Pulling),
            ready: replica.state == ReplicaState::Ready,
            ready_changed: replica.ready_changed,
            born: replica.born,
            samples: spec.metrics.iter().map(sample).collect(),
        }
    }
}

/// What the last readings say of one metric; a rate needs two.
fn sample(target: MetricTarget, earlier: Option<Reading>, last: Reading) -> Option<Sample> {
    let rate = |from: f64, to: f64| {
        let earlier = earlier?;
        let window = last.at.since(earlier.at);
        (window > Span::ZERO).then(|| (window, (to - from) / window.as_seconds()))
    };
    let (window, value) = match target {
        MetricTarget::Memory { .. } => (Span::ZERO, last.memory),
        MetricTarget::Cpu { .. } => {
            let (window, cores) = rate(earlier?.cpu_seconds, last.cpu_seconds)?;
            // Read as whole billionths, compared as thousandths, rounded up on the way.
            (window, ((cores * 1e9) as u64).div_ceil(1_000_000))
        }
        MetricTarget::Requests { .. } => {
            let (window, per_second) = rate(earlier?.served as f64, last.served as f64)?;
            (window, libm::ceil(per_second * 1e3) as u64)
        }
    };
    Some(Sample { at: last.at, window, value })
}

/// What ready replicas use on average, for each metric.
fn averages(seen: &[Seen], metrics: usize) -> Vec<Option<u64>> {
    let of = |metric: usize| {
        let values = seen.iter().filter(|replica| replica.ready && !replica.leaving).filter_map(|replica| replica.samples[metric]);
        let (sum, count) = values.fold((0, 0), |(sum, count), sample| (sum + sample.value, count + 1));
        u64::checked_div(sum, count)
    };
    (0..metrics).map(of).collect()
}
