//! Collections of garbage: a process stands still for a while every now and then, for longer the fuller its heap is (docs/MODEL.md 1.4).
//!
//! The share of time that goes to collections is `share / (1 - live / heap)` (Huang et al., Metastable Failures in the Wild, OSDI 2022): what survives is
//! copied or marked each time, and the less room is left the sooner the next time comes. It is taken as one pause after each stretch of work.

use firedrill_core::random::{Purpose, Stream, hash64};
use firedrill_core::time::Span;

use crate::queue::Handle;
use crate::spec::GcSpec;
use crate::world::{Due, World};

/// The address of a replica's collections, beside its probes and its heartbeats.
const COLLECTIONS: u64 = 1 << 33;
/// The words of a collection's block: how long it takes; if the heap is nearly full; and, of the first one, when it comes.
const PAUSE_WORD: usize = 0;
const MAJOR_WORD: usize = 1;
const PHASE_WORD: usize = 2;
/// No process spends more of its time on collections; Java gives up there (`GCTimeLimit`).
const MOST: f64 = 0.98;

/// The collections of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Collections {
    /// Whether one is under way.
    pub(super) pauses: bool,
    timer: Option<Handle>,
    /// Collections of all processes of the replica, for their luck.
    ordinal: u64,
    /// CPU time given out when the last one ended.
    delivered: u128,
    /// Of the present process.
    pub(super) count: u64,
    pub(super) paused: Span,
}

/// The share of time that goes to collections.
fn share(spec: &GcSpec, live: u64, heap: u64) -> f64 {
    let room = 1.0 - live as f64 / heap as f64;
    if room <= 0.0 { MOST } else { (spec.share.get() / room).min(MOST) }
}

impl World {
    fn collections(&mut self, index: u32) -> Option<(GcSpec, &mut Collections)> {
        let own = self.replicas[index as usize].cpu_time.as_mut()?;
        Some((own.spec.gc.clone()?, &mut own.collections))
    }

    /// A process runs: its first collection comes.
    pub(super) fn begin_collecting(&mut self, index: u32) {
        let luck = Stream::new(self.seed, Purpose::Phase, hash64(&self.replicas[index as usize].name));
        let Some((spec, own)) = self.collections(index) else { return };
        (own.count, own.paused) = (0, Span::ZERO);
        let phase = luck.block(COLLECTIONS + own.ordinal).unit(PHASE_WORD);
        self.collect_after(index, Span::from_seconds_f64(spec.every.as_seconds() * phase));
    }

    /// A process has ended, and so have its collections.
    pub(super) fn end_collecting(&mut self, index: u32) {
        let Some((_, own)) = self.collections(index) else { return };
        own.pauses = false;
        let mut timer = own.timer.take();
        self.cancel(&mut timer);
    }

    fn collect_after(&mut self, index: u32, span: Span) {
        let timer = self.schedule_after(span, Due::Collect(index));
        if let Some((_, own)) = self.collections(index) {
            own.timer = Some(timer);
        }
    }

    /// A collection begins or ends.
    pub(super) fn collect(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        let (delivered, _) = replica.cpu.given(now);
        let live = replica.memory.bytes_at(now) + self.request_memory(index);
        let service = self.replicas[index as usize].service;
        let heap = self.spec.services[service as usize].memory.limit.map_or(u64::MAX, firedrill_core::quantity::Bytes::get);
        let hung = self.replicas[index as usize].hung;
        let luck = Stream::new(self.seed, Purpose::Phase, hash64(&self.replicas[index as usize].name));
        let Some((spec, own)) = self.collections(index) else { return };
        // Who has done nothing meanwhile has left no garbage.
        let is_idle = own.delivered == delivered;
        own.delivered = delivered;
        if own.pauses || is_idle || hung {
            own.pauses = false;
            self.collect_after(index, spec.every);
        } else {
            let block = luck.block(COLLECTIONS + own.ordinal);
            let share = share(&spec, live, heap);
            let mean = spec.every.as_seconds() * share / (1.0 - share);
            let is_major = live as f64 >= spec.full.get() * heap as f64;
            let major = if is_major { spec.major.sample(block.draw(MAJOR_WORD)) } else { 0.0 };
            let pause = Span::from_seconds_f64(-libm::log1p(-block.unit(PAUSE_WORD)) * mean + major);
            (own.pauses, own.ordinal) = (true, own.ordinal + 1);
            (own.count, own.paused) = (own.count + 1, own.paused + pause);
            self.collect_after(index, pause);
        }
        let replica = &mut self.replicas[index as usize];
        if !replica.hung {
            let speed = replica.speed();
            replica.cpu.set_speed(now, speed);
        }
        self.todo.cpus.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::distribution::Distribution;
    use firedrill_core::quantity::Ratio;

    #[test]
    fn the_fuller_the_heap_the_larger_the_share_up_to_nearly_all() {
        let half = Ratio::new(0.5).unwrap();
        let spec = GcSpec {
            every: Span::from_seconds(1),
            share: Ratio::new(0.05).unwrap(),
            major: Distribution::constant(0.0).unwrap(),
            full: half,
        };
        let of = |live| share(&spec, live, 100);
        assert!((of(0) - 0.05).abs() < 1e-12 && (of(50) - 0.1).abs() < 1e-12 && (of(90) - 0.5).abs() < 1e-9);
        assert!((of(99) - MOST).abs() < 1e-12 && (of(120) - MOST).abs() < 1e-12);
    }
}
