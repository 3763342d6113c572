//! How many replicas there are, of which version, and where: what a Kubernetes Deployment does (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::quantity::Rounding;

use crate::queue::Handle;
use crate::world::{Due, Service, World};

/// What the progress of a rollout is measured by.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    reached: Reached,
    /// When it has taken too long; `None` once that has been told.
    timer: Option<Handle>,
}

/// Replicas of a service during a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    new: u32,
    old: u32,
    ready: u32,
    available: u32,
}

impl Reached {
    /// What Kubernetes calls progress (`pkg/controller/deployment/progress.go`): compared with the last look, and not with the best one.
    const fn is_further_than(&self, before: &Self) -> bool {
        self.new > before.new || self.old < before.old || self.ready > before.ready || self.available > before.available
    }
}

impl Service {
    /// Whether its rollout has come no further for as long as it may.
    pub(crate) fn is_stalled(&self) -> bool {
        self.rolling && self.progress.as_ref().is_some_and(|progress| progress.timer.is_none())
    }
}

impl World {
    /// Takes one step from the replicas that a service has towards those that it shall have. Called again after every change, so one step suffices.
    pub(super) fn reconcile(&mut self, service: u32) {
        self.place_waiting(service);
        self.create_replicas(service);
        self.remove_replicas(service);
        self.watch_progress(service);
        self.finish_rollout(service);
        self.refresh_removed(service);
        self.refresh_threads(service);
    }

    fn living(&self, service: u32) -> impl Iterator<Item = u32> {
        self.services[service as usize].replicas.iter().copied().filter(|replica| self.replicas[*replica as usize].is_living())
    }

    /// How many living replicas there are, and how many of them run the wanted version.
    fn count_living(&self, service: u32) -> (u32, u32) {
        let version = self.services[service as usize].version;
        let total = self.living(service).count() as u32;
        let new = self.living(service).filter(|replica| self.replicas[*replica as usize].version == version).count() as u32;
        (total, new)
    }

    /// Replicas above the wanted number during a rollout, and below it.
    fn fenceposts(&self, service: u32) -> (u32, u32) {
        let wanted = u64::from(self.services[service as usize].wanted);
        let rollout = &self.spec.services[service as usize].rollout;
        let surge = rollout.max_surge.of(wanted, Rounding::Ceil) as u32;
        let unavailable = rollout.max_unavailable.of(wanted, Rounding::Floor).min(wanted) as u32;
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
    }

    /// Creates replicas of the wanted version, as many as the rollout allows.
    fn create_replicas(&mut self, service: u32) {
        self.create_missing(service);
        let (total, _) = self.count_living(service);
        let state = &mut self.services[service as usize];
        state.replacing = state.replacing.min(state.wanted.saturating_sub(total));
    }

    fn create_missing(&mut self, service: u32) {
        let (total, new) = self.count_living(service);
        let wanted = self.services[service as usize].wanted;
        let (surge, _) = self.fenceposts(service);
        let most = if total == new { wanted } else { wanted + surge };
        let missing = if self.services[service as usize].paused {
            wanted.saturating_sub(total)
        } else {
            wanted.saturating_sub(new).min(most.saturating_sub(total))
        };
        for _ in 0..missing {
            let place = self.place(service, self.services[service as usize].next_number);
            let index = self.new_replica(service, place);
            // Replacements of what an action removed stand for it until they are ready.
            self.replicas[index as usize].removed_by_action = self.services[service as usize].replacing > 0;
            let state = &mut self.services[service as usize];
            state.replacing = state.replacing.saturating_sub(1);
            match place {
                Some(_) => self.provision(index),
                None => self.await_place(index),
            }
        }
    }

    /// Gives replicas that wait for a place one, the one first that was made first, as far as there is room now.
    fn place_waiting(&mut self, service: u32) {
        if self.services[service as usize].unplaced == 0 {
            return;
        }
        let waiting: Vec<u32> = self.living(service).filter(|replica| !self.replicas[*replica as usize].is_placed()).collect();
        for index in waiting {
            let Some(place) = self.place(service, self.replicas[index as usize].number) else { return };
            self.take_place(index, place);
            self.provision(index);
        }
    }

    /// The usable zone of a service with the fewest of its replicas, the earliest in its list from the turn of the replica with this number on; `None` if
    /// no zone is usable.
    ///
    /// Where machines are modelled, a zone is usable if one of its nodes has room, which is the second part of the result.
    fn place(&self, service: u32, number: u32) -> Option<(u32, u32)> {
        let zones = &self.spec.services[service as usize].zones;
        let turn = number as usize % zones.len();
        let in_turn = zones[turn..].iter().chain(&zones[..turn]);
        let usable = in_turn.filter_map(|zone| self.zone_named(zone)).filter(|zone| self.zones[*zone as usize].is_usable());
        let with_room = usable.filter_map(|zone| Some((zone, self.node_in(service, zone)?)));
        with_room.min_by_key(|(zone, _)| self.living(service).filter(|replica| self.replicas[*replica as usize].zone == *zone).count())
    }

    /// Removes replicas: what is too much of the wanted version, and of other versions what the rollout allows, unready ones first.
    fn remove_replicas(&mut self, service: u32) {
        let (total, new) = self.count_living(service);
        let state = &self.services[service as usize];
        let (wanted, version) = (state.wanted, state.version);
        if state.paused {
            let (surge, _) = self.fenceposts(service);
            return self.remove_some(service, total.saturating_sub(wanted + surge), |_, _| true);
        }
        if new > wanted {
            self.remove_some(service, new - wanted, |world, replica| world.replicas[replica as usize].version == version);
        }
        if total == new {
            return;
        }
        let is_ready = Self::is_available;
        let is_old = |world: &Self, replica: u32| world.replicas[replica as usize].version != version;
        let (_, unavailable) = self.fenceposts(service);
        let fewest = wanted.saturating_sub(unavailable);
        let new_unready = self.living(service).filter(|replica| !is_old(self, *replica) && !is_ready(self, *replica)).count() as u32;
        let total = total.min(total - new + wanted);
        let mut budget = total.saturating_sub(fewest + new_unready);
        let unready_old = self.living(service).filter(|replica| is_old(self, *replica) && !is_ready(self, *replica)).count() as u32;
        let unready = unready_old.min(budget);
        self.remove_some(service, unready, |world, replica| is_old(world, replica) && !is_ready(world, replica));
        budget -= unready;
        let ready = self.living(service).filter(|replica| is_ready(self, *replica)).count() as u32;
        let spare = ready.saturating_sub(fewest).min(budget);
        self.remove_some(service, spare, is_old);
    }

    /// Removes up to `count` of the living replicas that fit: those without a place first, then unready ones, then the youngest.
    fn remove_some(&mut self, service: u32, count: u32, fits: impl Fn(&Self, u32) -> bool) {
        if count == 0 {
            return;
        }
        let mut fitting: Vec<u32> = self.living(service).filter(|replica| fits(self, *replica)).collect();
        fitting.sort_by_key(|replica| {
            let replica = &self.replicas[*replica as usize];
            (replica.state == ReplicaState::Ready, replica.is_placed(), std::cmp::Reverse(replica.number))
        });
        for replica in fitting.into_iter().take(count as usize) {
            self.drain_replica(replica, "no longer wanted");
        }
    }

    fn finish_rollout(&mut self, service: u32) {
        let state = &self.services[service as usize];
        if !state.rolling {
            return;
        }
        let (total, new) = self.count_living(service);
        let is_new = |replica: &&u32| self.replicas[**replica as usize].version == state.version;
        let available = state.ready.iter().filter(is_new).filter(|replica| self.is_available(**replica)).count() as u32;
        if total != new || new != state.wanted || available != state.wanted {
            return;
        }
        let version = state.version;
        self.services[service as usize].rolling = false;
        self.end_progress(service);
        let spec = &self.spec.services[service as usize];
        let event = Event::RolloutFinished { service: spec.name.clone(), version: spec.versions[version as usize].name.clone() };
        self.write(event);
        self.version_settled(service, version);
        self.todo.orders = true;
    }

    /// A version is to replace the running one.
    pub(super) fn deploy(&mut self, service: &Name, version: &Name) {
        let index = self.service_named(service).expect("lowering knows every service");
        let versions = &self.spec.services[index as usize].versions;
        let version = versions.iter().position(|known| known.name == *version).expect("lowering knows every version") as u32;
        let state = &mut self.services[index as usize];
        state.earlier_versions.push(state.version);
        self.roll_out(index, version, "deployed");
    }

    /// Goes back to the version before the last deploy; `false` if there is none.
    pub(super) fn roll_back(&mut self, service: u32, reason: &str) -> bool {
        let Some(version) = self.services[service as usize].earlier_versions.pop() else { return false };
        self.roll_out(service, version, reason);
        true
    }

    fn roll_out(&mut self, service: u32, version: u32, reason: &str) {
        self.rollout_goes_on(service);
        let now = self.now;
        let state = &mut self.services[service as usize];
        state.version = version;
        state.rolling = true;
        state.generation += 1;
        state.deployed_at = now;
        let spec = &self.spec.services[service as usize];
        let event = Event::RolloutStarted {
            service: spec.name.clone(),
            version: spec.versions[version as usize].name.clone(),
            reason: reason.to_owned(),
        };
        self.write(event);
        self.begin_progress(service);
        self.todo.reconcile.push(service);
    }

    fn begin_progress(&mut self, service: u32) {
        self.end_progress(service);
        let timer = self.schedule_progress(service);
        let reached = self.reached(service);
        self.services[service as usize].progress = Some(Progress { reached, timer: Some(timer) });
    }

    fn schedule_progress(&mut self, service: u32) -> Handle {
        let deadline = self.spec.services[service as usize].rollout.progress_deadline;
        self.schedule_after(deadline, Due::RolloutStalls(service))
    }

    fn end_progress(&mut self, service: u32) {
        if let Some(progress) = &mut self.services[service as usize].progress.take() {
            self.cancel(&mut progress.timer);
        }
    }

    /// Gives a rollout that has come further its time anew.
    fn watch_progress(&mut self, service: u32) {
        let Some(progress) = &self.services[service as usize].progress else { return };
        let (before, now) = (progress.reached, self.reached(service));
        let mut timer = progress.timer;
        if now.is_further_than(&before) {
            self.cancel(&mut timer);
            timer = Some(self.schedule_progress(service));
        }
        self.services[service as usize].progress = Some(Progress { reached: now, timer });
    }

    /// Where a rollout stands.
    fn reached(&self, service: u32) -> Reached {
        let (total, new) = self.count_living(service);
        let ready = self.services[service as usize].ready.len() as u32;
        let available = self.living(service).filter(|replica| self.is_available(*replica)).count() as u32;
        Reached { new, old: total - new, ready, available }
    }

    /// A rollout has made no progress for long. It goes on trying: nobody rolls it back.
    pub(super) fn rollout_stalls(&mut self, service: u32) {
        let state = &self.services[service as usize];
        let (version, wanted) = (state.version, state.wanted);
        let is_new = |replica: &u32| self.replicas[*replica as usize].version == version;
        let new: Vec<u32> = self.living(service).filter(is_new).collect();
        let available = new.iter().filter(|replica| self.is_available(**replica)).count();
        let spec = &self.spec.services[service as usize];
        let deadline = spec.rollout.progress_deadline;
        let figures = format!("no progress for {deadline}: {} of {wanted} replicas run it, {available} of them available", new.len());
        let event = Event::RolloutStalled { service: spec.name.clone(), version: spec.versions[version as usize].name.clone(), figures };
        if let Some(progress) = &mut self.services[service as usize].progress {
            progress.timer = None;
        }
        self.write(event);
    }

    /// Changes the wanted number of replicas, by an action.
    pub(super) fn scale(&mut self, service: u32, wanted: u32) {
        let state = &mut self.services[service as usize];
        let from = std::mem::replace(&mut state.wanted, wanted);
        state.generation += 1;
        state.scaled_by_action = true;
        let event = Event::Scaled { service: self.spec.services[service as usize].name.clone(), from, to: wanted };
        self.write(event);
        self.todo.reconcile.push(service);
        self.todo.orders = true;
    }

    /// Somebody adds replicas to a service, who is no automation.
    pub(super) fn grow(&mut self, service: &Name, by: u32) {
        let service = self.service_named(service).expect("lowering knows every service");
        let state = &mut self.services[service as usize];
        let from = state.wanted;
        state.wanted += by;
        state.generation += 1;
        let event = Event::Scaled { service: self.spec.services[service as usize].name.clone(), from, to: from + by };
        self.write(event);
        self.todo.reconcile.push(service);
    }

    /// Counts anew the replicas that are out of service because of actions.
    pub(super) fn refresh_removed(&mut self, service: u32) {
        let removed = self.removed_by_actions(service);
        let state = &mut self.services[service as usize];
        state.removed_most = state.removed_most.max(removed);
    }

    /// Replicas out of service because of actions: restarted and not ready again, drained and not replaced, scaled away from the declared number.
    pub(super) fn removed_by_actions(&self, service: u32) -> u32 {
        let state = &self.services[service as usize];
        let waited_for = |replica: &&u32| {
            let replica = &self.replicas[**replica as usize];
            replica.removed_by_action && replica.is_living() && replica.state != ReplicaState::Ready
        };
        let unready = state.replicas.iter().filter(waited_for).count() as u32;
        let declared = self.spec.services[service as usize].replicas;
        let scaled_away = if state.scaled_by_action { declared.saturating_sub(state.wanted) } else { 0 };
        unready + state.replacing + scaled_away
    }
}
