//! The CPU of one replica: processor sharing with a cap of one core a job, in exact fixed-point virtual time.
//!
//! Every job that runs progresses at the same rate, `min(1, cores / running) * speed` cores, so one clock of work done per job serves them all:
//! a job that enters at clock `v` with demand `d` is done when the clock reads `v + d`. The clock is linear between changes of the rate and is kept
//! in units of 2^-32 ns, in which the product of a time in nanoseconds and a rate is exact.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firedrill_core::time::{Span, Time};

/// Work, or a rate, in units of 2^-32.
const ONE_BITS: u32 = 32;
/// Full speed.
pub(crate) const FULL_SPEED: u64 = 1 << ONE_BITS;

/// A reading of the clock of work done per job, in units of 2^-32 ns.
pub(crate) type Reading = u128;

/// The CPU of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    /// Cores shared by the jobs; `None`: a core for each.
    cores: Option<f64>,
    /// Multiplies the progress of every job, in units of 2^-32.
    speed: u64,
    /// Progress of one job in a nanosecond, in units of 2^-32.
    rate: u64,
    /// The largest rate so far.
    fastest: u64,
    running: u32,
    clock: Reading,
    at: Time,
    /// CPU time given out, in units of 2^-32 ns: the integral of `running * rate`.
    delivered: u128,
    /// CPU time taken: the demands of finished jobs and the parts of aborted ones, in units of 2^-32 ns.
    executed: u128,
    finished: u64,
    /// Jobs by the reading at which they are done, then by order of entry; only where cores are shared.
    queue: BinaryHeap<Reverse<(Reading, u64, u32)>>,
    entries: u64,
}

impl Cpu {
    pub(crate) fn new(cores: Option<f64>) -> Self {
        Self {
            cores,
            speed: FULL_SPEED,
            rate: FULL_SPEED,
            fastest: FULL_SPEED,
            running: 0,
            clock: 0,
            at: Time::ZERO,
            delivered: 0,
            executed: 0,
            finished: 0,
            queue: BinaryHeap::new(),
            entries: 0,
        }
    }

    /// Whether jobs share cores; if not, each job's end is known when it enters and its owner schedules it.
    #[inline]
    pub(crate) const fn is_shared(&self) -> bool {
        self.cores.is_some()
    }

    /// Brings the clock to `now`.
    #[inline]
    pub(crate) fn advance(&mut self, now: Time) {
        let passed = u128::from((now - self.at).as_nanos()) * u128::from(self.rate);
        self.at = now;
        self.clock += passed;
        self.delivered += passed * u128::from(self.running);
    }

    /// A job enters with `demand` of CPU time; the result is the clock's reading at its entry.
    #[inline]
    pub(crate) fn enter(&mut self, now: Time, job: u32, demand: Span) -> Reading {
        self.advance(now);
        self.running += 1;
        if self.is_shared() {
            self.queue.push(Reverse((self.clock + work(demand), self.entries, job)));
            self.entries += 1;
            self.set_rate();
        }
        self.clock
    }

    /// When the job that entered at `entered` is done, if the rate stays; `None` if the CPU stands still.
    #[inline]
    pub(crate) fn due(&self, entered: Reading, demand: Span) -> Option<Time> {
        self.time_of(entered + work(demand))
    }

    /// When a job that has just entered is done, if the rate stays; `None` if the CPU stands still.
    #[inline]
    pub(crate) fn due_of_new(&self, demand: Span) -> Option<Time> {
        if self.rate == FULL_SPEED { Some(self.at + demand) } else { self.time_of(self.clock + work(demand)) }
    }

    /// When the next job of a shared CPU is done, if nothing changes; `None` if there is none or the CPU stands still.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.queue.peek().and_then(|Reverse((reading, _, _))| self.time_of(*reading))
    }

    fn time_of(&self, reading: Reading) -> Option<Time> {
        let left = reading.saturating_sub(self.clock);
        if self.rate == FULL_SPEED {
            return Some(self.at + Span::from_nanos(((left + u128::from(FULL_SPEED - 1)) >> ONE_BITS) as u64));
        }
        if self.rate == 0 {
            return None;
        }
        // Division of 64 bits is several times faster, and enough for about four seconds of work.
        let nanos = match u64::try_from(left) {
            Ok(left) => left.div_ceil(self.rate),
            Err(_) => u64::try_from(left.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX),
        };
        Some(self.at + Span::from_nanos(nanos))
    }

    /// Takes out the next job of a shared CPU that is done at `now`.
    pub(crate) fn pop_done(&mut self, now: Time) -> Option<u32> {
        self.advance(now);
        let Reverse((reading, _, _)) = self.queue.peek()?;
        if *reading > self.clock {
            return None;
        }
        self.queue.pop().map(|Reverse((_, _, job))| job)
    }

    /// A job that was done leaves; it had asked for `demand`.
    #[inline]
    pub(crate) fn finish(&mut self, now: Time, demand: Span) {
        self.advance(now);
        assert!(self.running > 0, "only a running job can finish");
        self.running -= 1;
        self.finished += 1;
        self.executed += work(demand);
        if self.is_shared() {
            self.set_rate();
        }
    }

    /// A job of a CPU that is about to be emptied is given up; it had entered at `entered`.
    pub(crate) fn abort(&mut self, now: Time, entered: Reading) {
        self.advance(now);
        assert!(self.running > 0, "only a running job can be given up");
        self.running -= 1;
        self.executed += self.clock - entered;
    }

    /// A job that entered at `entered` is given up; the others go on.
    pub(crate) fn remove(&mut self, now: Time, job: u32, entered: Reading) {
        self.abort(now, entered);
        self.queue.retain(|Reverse((_, _, other))| *other != job);
        self.set_rate();
    }

    /// Forgets all jobs; each must have been aborted before.
    pub(crate) fn clear(&mut self) {
        assert!(self.running == 0, "a job would be lost without account");
        self.queue.clear();
        self.set_rate();
    }

    /// CPU time given out until `now`, in units of 2^-32 ns, and what is given out in a nanosecond.
    pub(crate) fn given(&mut self, now: Time) -> (u128, u128) {
        self.advance(now);
        (self.delivered, u128::from(self.rate) * u128::from(self.running))
    }

    /// Jobs that run.
    pub(crate) const fn running(&self) -> u32 {
        self.running
    }

    /// Multiplies the progress of every job from now on, of those under way too.
    pub(crate) fn set_speed(&mut self, now: Time, factor: f64) {
        self.advance(now);
        self.speed = libm::round(factor * FULL_SPEED as f64) as u64;
        self.set_rate();
    }

    fn set_rate(&mut self) {
        self.rate = match self.cores {
            Some(cores) if cores < f64::from(self.running) => libm::round(self.speed as f64 * (cores / f64::from(self.running))) as u64,
            _ => self.speed,
        };
        self.fastest = self.fastest.max(self.rate);
    }

    /// CPU seconds given out until `now`.
    pub(crate) fn delivered_seconds(&self, now: Time) -> f64 {
        let passed = u128::from((now - self.at).as_nanos()) * u128::from(self.rate) * u128::from(self.running);
        (self.delivered + passed) as f64 / FULL_SPEED as f64 / 1e9
    }

    /// Asserts that what was given out is what was taken. `entered` are the readings at the entry of the jobs that still run.
    ///
    /// A job is done at the first whole nanosecond at which the clock has passed its demand, so each finished job may have been given up to a nanosecond
    /// more than it asked for, at the fastest rate there was, and never less.
    pub(crate) fn assert_conserved(&self, entered: impl Iterator<Item = Reading>) {
        let open: u128 = entered.map(|entered| self.clock - entered).sum();
        let taken = self.executed + open;
        let most = u128::from(self.fastest) * u128::from(self.finished);
        assert!(taken <= self.delivered, "CPU time was taken that was not given: {taken} > {}", self.delivered);
        assert!(self.delivered - taken <= most, "CPU time was given that nobody took: {} - {taken} > {most}", self.delivered);
    }
}

#[inline]
fn work(demand: Span) -> u128 {
    u128::from(demand.as_nanos()) << ONE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_job_alone_runs_at_full_speed_and_two_share_one_core() {
        let mut cpu = Cpu::new(Some(1.0));
        cpu.enter(at(0), 1, Span::from_millis(100));
        assert_eq!(cpu.next_due(), Some(at(100)));
        cpu.enter(at(50), 2, Span::from_millis(100));
        assert_eq!(cpu.next_due(), Some(at(150)));
        assert_eq!((cpu.pop_done(at(150)), cpu.pop_done(at(150))), (Some(1), None));
        cpu.finish(at(150), Span::from_millis(100));
        assert_eq!(cpu.next_due(), Some(at(200)));
    }

    #[test]
    fn a_change_of_speed_applies_to_work_under_way() {
        let mut cpu = Cpu::new(None);
        let entered = cpu.enter(at(0), 1, Span::from_millis(100));
        assert_eq!(cpu.due(entered, Span::from_millis(100)), Some(at(100)));
        cpu.set_speed(at(50), 0.25);
        assert_eq!(cpu.due(entered, Span::from_millis(100)), Some(at(250)));
        cpu.set_speed(at(150), 0.0);
        assert_eq!(cpu.due(entered, Span::from_millis(100)), None);
        cpu.abort(at(200), entered);
        cpu.assert_conserved(std::iter::empty());
        assert!((cpu.delivered_seconds(at(200)) - 0.075).abs() < 1e-12);
    }

    #[test]
    fn no_job_uses_more_than_one_core() {
        let mut cpu = Cpu::new(Some(4.0));
        cpu.enter(at(0), 1, Span::from_millis(100));
        cpu.enter(at(0), 2, Span::from_millis(100));
        assert_eq!(cpu.next_due(), Some(at(100)));
    }
}
