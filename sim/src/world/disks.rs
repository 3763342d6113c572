//! The volumes that replicas write to: how full they are, and what becomes of writes once they are full (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::quantity::Bytes;
use firedrill_core::time::{Span, Time};

use crate::queue::Handle;
use crate::spec::{DiskSpec, FaultKind};
use crate::world::{Due, Replica, World};

/// The volume of one replica; it outlives processes.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    size: u64,
    /// What belongs there, bytes.
    base: u64,
    /// What has been written beside that until `since`, bytes.
    filled: u64,
    /// Growth, bytes a second.
    growth: u64,
    since: Time,
    is_full: bool,
    timer: Option<Handle>,
}

impl Disk {
    pub(super) fn new(spec: DiskSpec) -> Self {
        Self { size: spec.size.get(), base: spec.used.get(), filled: 0, growth: 0, since: Time::ZERO, is_full: false, timer: None }
    }

    /// All that it holds, and what is on it, bytes.
    pub(crate) fn figures(&self, now: Time) -> (u64, u64) {
        (self.size, self.used_at(now))
    }

    fn used_at(&self, now: Time) -> u64 {
        let grown = u128::from(self.growth) * u128::from(now.since(self.since).as_nanos()) / 1_000_000_000;
        let used = u128::from(self.base) + u128::from(self.filled) + grown;
        u64::try_from(used).unwrap_or(u64::MAX).min(self.size)
    }

    /// It grows at another rate from now on, or has another size.
    fn settle(&mut self, now: Time) {
        self.filled = self.used_at(now).saturating_sub(self.base);
        self.since = now;
    }

    /// When it is full, if nothing changes.
    fn full_at(&self) -> Option<Time> {
        let left = self.size.saturating_sub(self.base + self.filled);
        if left == 0 {
            return Some(self.since);
        }
        let nanos = (u128::from(left) * 1_000_000_000).div_ceil(u128::from(self.growth.max(1)));
        (self.growth > 0).then(|| self.since + Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2)))
    }
}

impl Replica {
    /// Whether its volume takes no writes.
    pub(super) fn is_full(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.is_full)
    }
}

impl World {
    /// What the faults of the moment write on the volume of a replica.
    pub(super) fn refresh_disk(&mut self, index: u32) {
        if self.replicas[index as usize].disk.is_none() {
            return;
        }
        let fills = self.active_faults().filter_map(|kind| match kind {
            FaultKind::DiskFill { target, per_second } if self.strikes(target, index) => Some(per_second.get()),
            _ => None,
        });
        let growth = fills.sum();
        let now = self.now;
        let disk = self.replicas[index as usize].disk.as_mut().expect("it has one");
        if disk.growth != growth {
            disk.settle(now);
            disk.growth = growth;
            self.watch_disk(index);
        }
    }

    /// Schedules anew when a volume is full.
    fn watch_disk(&mut self, index: u32) {
        let Some(disk) = self.replicas[index as usize].disk.as_mut() else { return };
        let mut timer = disk.timer.take();
        let due = disk.full_at().filter(|_| !disk.is_full);
        self.cancel(&mut timer);
        if let Some(due) = due {
            let timer = self.schedule(due.max(self.now), Due::DiskFull(index));
            if let Some(disk) = self.replicas[index as usize].disk.as_mut() {
                disk.timer = Some(timer);
            }
        }
    }

    /// A volume is full: it takes no writes from now on.
    pub(super) fn disk_full(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        let (name, is_gone) = (replica.name.clone(), replica.state == ReplicaState::Gone);
        let Some(disk) = replica.disk.as_mut().filter(|_| !is_gone) else { return };
        (disk.timer, disk.is_full) = (None, true);
        disk.settle(now);
        let size = Bytes::new(disk.size);
        self.write(Event::Noted { what: format!("the volume of {name} is full: {size}") });
        self.set_error_at_once(index);
    }

    /// A volume has room again.
    fn disk_has_room(&mut self, index: u32, why: &str) {
        let replica = &mut self.replicas[index as usize];
        let name = replica.name.clone();
        let Some(disk) = replica.disk.as_mut() else { return };
        let was_full = std::mem::replace(&mut disk.is_full, false);
        if was_full {
            self.write(Event::Noted { what: format!("the volume of {name} takes writes again: {why}") });
        }
        self.set_error_at_once(index);
        self.watch_disk(index);
    }

    /// What does not belong on the volume of a replica is deleted.
    pub(super) fn clear_disk(&mut self, index: u32) {
        let now = self.now;
        let Some(disk) = self.replicas[index as usize].disk.as_mut() else { return };
        disk.settle(now);
        disk.filled = 0;
        self.disk_has_room(index, "what does not belong there was deleted");
    }

    /// The volume of a replica is made larger.
    pub(super) fn expand_disk(&mut self, index: u32, by: Bytes) {
        let now = self.now;
        let Some(disk) = self.replicas[index as usize].disk.as_mut() else { return };
        disk.settle(now);
        disk.size = disk.size.saturating_add(by.get());
        let size = Bytes::new(disk.size);
        self.disk_has_room(index, &format!("it holds {size} now"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    #[test]
    fn a_volume_is_full_once_what_is_left_is_written() {
        let mut disk = Disk::new(DiskSpec { size: Bytes::new(1000), used: Bytes::new(400) });
        assert_eq!((disk.full_at(), disk.figures(at(5))), (None, (1000, 400)));
        disk.settle(at(10));
        disk.growth = 30;
        assert_eq!((disk.full_at(), disk.figures(at(15))), (Some(at(30)), (1000, 550)));
        assert_eq!(disk.figures(at(99)), (1000, 1000), "never more than it holds");
        disk.settle(at(20));
        disk.growth = 0;
        assert_eq!((disk.full_at(), disk.figures(at(99))), (None, (1000, 700)));
        disk.size = 700;
        assert_eq!(disk.full_at(), Some(at(20)), "at once");
    }
}
