//! Locks of a service, which all its replicas share: who holds one, who waits, for how long, and deadlocks (docs/MODEL.md 1.7).

use firedrill_core::name::Name;
use firedrill_core::time::Span;

use crate::lock::{Lock, is_deadlocked};
use crate::slab::NONE;
use crate::world::calls::Failure;
use crate::world::work::Stalled;
use crate::world::{Due, Step, World};

/// Holds a lock without being an attempt: a fault, which is a session that somebody has forgotten.
const FORGOTTEN: u32 = NONE - 1;

impl World {
    /// An attempt takes a lock; `true` if it has it at once, and else it waits.
    pub(super) fn lock(&mut self, slot: u32, lock: u32) -> bool {
        let now = self.now;
        if self.locks[lock as usize].acquire(now, slot) {
            return true;
        }
        self.wait_for_lock(slot, Span::ZERO);
        false
    }

    /// Schedules the next look at an attempt that has waited for `waited`: whether it is deadlocked, or has waited for long enough.
    fn wait_for_lock(&mut self, slot: u32, waited: Span) {
        let Some((_, timeout, deadlock_after)) = self.lock_step(slot) else { return };
        let next = deadlock_after.into_iter().chain(timeout).filter(|due| *due > waited || waited == Span::ZERO).min();
        if let Some(next) = next {
            let timer = self.schedule_after(Span::from_nanos(next.as_nanos() - waited.as_nanos()), Due::LockWaited(slot));
            self.attempts[slot].timer = Some(timer);
        }
    }

    /// The lock that an attempt takes in its present step, how long it waits for it at most, and after which time it looks for a deadlock.
    fn lock_step(&self, slot: u32) -> Option<(u32, Option<Span>, Option<Span>)> {
        let attempt = &self.attempts[slot];
        let step = attempt.program + attempt.phase;
        match self.steps[step as usize] {
            Step::Lock { lock, timeout, deadlock_after } => Some((lock, timeout, deadlock_after)),
            _ => None,
        }
    }

    /// An attempt has waited for a lock for a while.
    pub(super) fn lock_waited(&mut self, slot: u32) {
        let now = self.now;
        self.attempts[slot].timer = None;
        let Some((lock, timeout, deadlock_after)) = self.lock_step(slot) else { return };
        let Some(since) = self.locks[lock as usize].waits_since(slot) else { return };
        // A process that hangs looks for nothing, and its request waits on.
        if self.replicas[self.attempts[slot].replica as usize].hung {
            return;
        }
        let waited = now.since(since);
        let is_over = timeout.is_some_and(|timeout| waited >= timeout);
        let is_deadlocked = deadlock_after.is_some_and(|after| waited >= after) && is_deadlocked(&self.locks, slot);
        if is_over || is_deadlocked {
            let service = self.attempts[slot].service as usize;
            self.services[service].deadlocks += u64::from(is_deadlocked);
            return self.finish(slot, Failure::Error.code());
        }
        self.wait_for_lock(slot, waited.max(Span::from_nanos(1)));
    }

    /// An attempt gives a lock up.
    pub(super) fn unlock(&mut self, slot: u32, lock: u32) {
        let next = self.locks[lock as usize].leave(slot);
        self.hand_lock_to(next);
    }

    /// Who has a lock now goes on, before the next event.
    fn hand_lock_to(&mut self, next: Option<u32>) {
        let Some(slot) = next.filter(|next| *next != FORGOTTEN) else { return };
        let mut timer = self.attempts[slot].timer.take();
        self.cancel(&mut timer);
        let replica = &mut self.replicas[self.attempts[slot].replica as usize];
        if replica.hung {
            replica.stalled.push(Stalled::Returned(slot, Ok(())));
        } else {
            self.todo.fetched.push((slot, Ok(())));
        }
    }

    /// An attempt is over, however: it holds no lock and waits for none.
    #[cold]
    pub(super) fn let_go(&mut self, slot: u32) {
        let attempt = &self.attempts[slot];
        let service = &self.services[attempt.service as usize];
        let replica = &mut self.replicas[attempt.replica as usize];
        let (first, count) = service.locks;
        // It may have been handed one a moment ago.
        replica.stalled.retain(|stalled| !matches!(stalled, Stalled::Returned(other, _) if *other == slot));
        self.todo.fetched.retain(|(other, _)| *other != slot);
        for lock in first..first + count {
            self.unlock(slot, lock);
        }
    }

    /// A fault takes a lock as soon as it is its turn, or gives it up.
    pub(super) fn hold_lock(&mut self, service: &Name, lock: &Name, holds: bool) {
        let now = self.now;
        let service = self.service_named(service).expect("lowering knows every service") as usize;
        let local = self.spec.services[service].locks().iter().position(|known| known == lock).expect("lowering knows every lock");
        let lock = self.services[service].locks.0 as usize + local;
        if holds {
            self.locks[lock].acquire(now, FORGOTTEN);
        } else {
            let next = self.locks[lock].leave(FORGOTTEN);
            self.hand_lock_to(next);
        }
    }

    /// The locks of a service that are held, and the attempts that wait for one.
    pub(crate) fn lock_figures(&self, service: u32) -> (usize, usize) {
        let (first, count) = self.services[service as usize].locks;
        let locks: &[Lock] = &self.locks[first as usize..(first + count) as usize];
        (locks.iter().filter(|lock| lock.holder().is_some()).count(), locks.iter().map(Lock::waiting).sum())
    }
}
