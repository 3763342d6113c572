//! Faults and benign changes: changes of parameters or state, never of a metric (docs/MODEL.md 0, decision 1).

use firedrill_core::action::Target;
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::ledger::FaultSpan;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Stream, hash64};
use firedrill_core::time::{Span, Time};

use crate::spec::{FaultKind, FaultSpec};
use crate::world::{Due, Edge, Termination, World};

/// How long a new certificate is valid (Let's Encrypt: 90 days).
const VALIDITY: Span = Span::from_minutes(90 * 24 * 60);

/// A fault or a benign change, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Disturbance {
    spec: FaultSpec,
    /// It looks like news and is no fault.
    benign: bool,
    active: bool,
    started: Option<Time>,
    ended: Option<Time>,
    /// When somebody saw to it that it will not come.
    averted: Option<Time>,
    /// It came when what it was to strike was not there.
    struck_nobody: bool,
    /// The replicas whose present processes are afflicted; only for faults that a restart cures.
    afflicted: Vec<u32>,
    /// What it moves away.
    evacuation: Option<u32>,
    /// The luck of what is drawn hop by hop.
    luck: Stream,
}

impl Disturbance {
    pub(super) fn new(spec: &FaultSpec, benign: bool, seed: firedrill_core::random::Seed) -> Self {
        let luck = Stream::new(seed, Purpose::Network, hash64(&spec.name));
        Self {
            spec: spec.clone(),
            benign,
            active: false,
            started: None,
            ended: None,
            averted: None,
            struck_nobody: false,
            afflicted: Vec::new(),
            evacuation: None,
            luck,
        }
    }

    /// Whether it afflicts the processes that it finds, so that a restart cures it, and not whatever runs while it lasts.
    const fn is_of_processes(&self) -> bool {
        match self.spec.kind {
            FaultKind::Hang { .. } | FaultKind::Crash { every: None, .. } | FaultKind::PrimaryCrash { .. } | FaultKind::LockHold { .. } => {
                true
            }
            FaultKind::MemoryLeak { .. } => self.spec.lasting.is_none(),
            _ => false,
        }
    }

    /// Whether it is a fault that has not come and that nobody has averted.
    pub(super) const fn is_to_come(&self) -> bool {
        !self.benign && self.started.is_none() && self.averted.is_none()
    }

    /// When it was active; `None` for benign changes, for what has not begun, and for what has struck nobody.
    pub(super) fn span(&self) -> Option<FaultSpan> {
        let started = self.started.filter(|_| !self.benign && !self.struck_nobody)?;
        let kind = Name::new(self.spec.kind.word());
        Some(FaultSpan { fault: self.spec.name.clone(), kind, target: self.spec.kind.target(), started, ended: self.ended })
    }
}

impl World {
    /// Schedules the onset of every fault and change.
    pub(super) fn schedule_disturbances(&mut self) {
        for index in 0..self.disturbances.len() {
            let at = self.disturbances[index].spec.at;
            self.schedule(at, Due::FaultStarts(index as u32));
        }
    }

    pub(super) fn fault_starts(&mut self, index: u32) {
        let now = self.now;
        let disturbance = &mut self.disturbances[index as usize];
        if disturbance.averted.is_some() {
            return;
        }
        disturbance.active = true;
        disturbance.started = Some(now);
        let spec = disturbance.spec.clone();
        let event = if disturbance.benign {
            Event::Noted { what: format!("{}: {} of {}, {}", spec.name, spec.kind.word(), spec.kind.target(), detail(&spec.kind)) }
        } else {
            let kind = Name::new(spec.kind.word());
            Event::FaultStarted { fault: spec.name.clone(), kind, target: spec.kind.target(), detail: detail(&spec.kind) }
        };
        self.write(event);
        let once = matches!(spec.kind, FaultKind::Deploy { .. } | FaultKind::Crash { every: None, .. } | FaultKind::PrimaryCrash { .. });
        if let Some(lasting) = spec.lasting.filter(|_| !once) {
            self.schedule_after(lasting, Due::FaultEnds(index));
        }
        self.set_in(index, &spec);
        // What strikes nothing is over as soon as it began.
        let disturbance = &self.disturbances[index as usize];
        let has_no_process = disturbance.active && disturbance.is_of_processes() && disturbance.afflicted.is_empty();
        if has_no_process || (disturbance.active && self.strikes_nobody(index)) {
            self.disturbances[index as usize].struck_nobody = true;
            self.end_disturbance(index, if has_no_process { "there was no process to strike" } else { "its target was gone already" });
        } else if matches!(spec.kind, FaultKind::CacheFlush { .. }) {
            self.end_disturbance(index, "it happens once");
        }
    }

    /// Whether a disturbance is of a replica that is gone, or of some of which there are none: nothing that comes later can be meant by it.
    fn strikes_nobody(&self, index: u32) -> bool {
        let Disturbance { spec, afflicted, .. } = &self.disturbances[index as usize];
        match (&spec.kind.target(), &spec.kind) {
            (_, FaultKind::ConfigDrift { .. }) => afflicted.is_empty(),
            (Target::Replica(name), _) => {
                let is_there =
                    |service: &crate::world::Service| service.replicas.iter().any(|own| self.replicas[*own as usize].name == *name);
                !self.services.iter().any(is_there)
            }
            _ => false,
        }
    }

    /// The first effects of a fault.
    fn set_in(&mut self, index: u32, spec: &FaultSpec) {
        match &spec.kind {
            FaultKind::Crash { target, .. } => {
                let struck = self.matching(target);
                struck.iter().for_each(|replica| self.apply_faults(*replica));
                let running: Vec<u32> = struck.into_iter().filter(|replica| self.replicas[*replica as usize].is_running()).collect();
                self.disturbances[index as usize].afflicted.clone_from(&running);
                for replica in running {
                    self.process_ended(replica, Termination::Error, "it crashed");
                }
            }
            FaultKind::Hang { target } => {
                let struck = self.running(target);
                self.disturbances[index as usize].afflicted.clone_from(&struck);
                struck.into_iter().for_each(|replica| self.hang(replica));
            }
            FaultKind::MemoryLeak { target, .. } => {
                self.disturbances[index as usize].afflicted = self.running(target);
                self.reapply(target);
            }
            FaultKind::Slow { target, .. }
            | FaultKind::Capacity { target, .. }
            | FaultKind::Steal { target, .. }
            | FaultKind::ErrorRate { target, .. } => {
                self.reapply(target);
            }
            FaultKind::Deploy { service, version } => self.deploy(service, version),
            FaultKind::Flag { service, flag } => self.set_flag(service, flag, true, "a change of configuration"),
            FaultKind::Latency { service, .. } => {
                let service = self.service_named(service).expect("lowering knows every service");
                self.services[service as usize].latencies.push(index);
            }
            FaultKind::ZoneLoss { zone } => self.lose_zone(zone),
            FaultKind::NodeLoss { node } => self.lose_node(node),
            FaultKind::NodeDrain { node } => self.drain_node(index, node),
            FaultKind::CacheFlush { service, cache, share } => {
                let luck = self.disturbances[index as usize].luck;
                self.flush_cache(service, cache, share.get(), luck);
            }
            FaultKind::LockHold { service, lock } => self.forget_lock(index, service, lock),
            FaultKind::Quota { service, .. } => self.refresh_quota(service),
            FaultKind::PrimaryCrash { service } => self.crash_primary(index, service, spec.lasting),
            FaultKind::ReplicaLag { target, .. } => self.refresh_paces(target),
            FaultKind::Poison { topic, service, partition, kills } => {
                let is_meant = |inbox: &crate::world::Inbox| {
                    let known = &self.spec.topics[inbox.topic as usize].name;
                    known == topic && self.spec.services[inbox.service as usize].name == *service
                };
                let inbox = self.inboxes.iter().position(is_meant).expect("lowering knows who takes a topic") as u32;
                let name = self.disturbances[index as usize].spec.name.clone();
                self.put_poison(index, &name, (inbox, *partition), *kills);
            }
            FaultKind::ConnectionLeak { target, .. } => self.matching(target).into_iter().for_each(|replica| self.refresh_leaks(replica)),
            FaultKind::CacheCorruption { service, cache, prefix, share } => {
                let luck = self.disturbances[index as usize].luck;
                self.spoil_cache((service, cache), prefix, share.get(), luck);
                self.look_for_spoilt(service);
            }
            FaultKind::DiskFill { target, .. } => self.reapply(target),
            FaultKind::CertificateExpiry { service, sessions } => self.certificate_expires(index, service, *sessions),
            FaultKind::ConfigDrift { target, replicas, .. } => {
                let mut struck = self.matching(target);
                struck.truncate(replicas.map_or(usize::MAX, |replicas| replicas as usize));
                self.disturbances[index as usize].afflicted = struck;
                self.reapply(target);
            }
            FaultKind::ScaleOut { service, by } => self.grow(service, *by),
            // Rates are worked out before the run: arrivals are exogenous.
            FaultKind::Surge { .. } => {}
        }
    }

    /// A node is emptied for as long as the disturbance lasts.
    fn drain_node(&mut self, index: u32, node: &Name) {
        let reason = format!("drained by {}", self.disturbances[index as usize].spec.name);
        let of = self.node_named(node).expect("lowering knows every node");
        self.cordon(of, &reason);
        let evacuation = self.evacuate(self.replicas_on(of), &reason, false);
        self.disturbances[index as usize].evacuation = Some(evacuation);
    }

    /// The primary of a database dies, and its machine with it if it is away for long.
    fn crash_primary(&mut self, index: u32, service: &Name, away: Option<Span>) {
        let service = self.service_named(service).expect("lowering knows every service");
        let Some(primary) = self.primary_of(service).filter(|primary| self.replicas[*primary as usize].is_running()) else { return };
        self.disturbances[index as usize].afflicted = vec![primary];
        match away {
            None => self.process_ended(primary, Termination::Error, "it crashed"),
            Some(away) => self.process_lost(primary, away, "its machine is lost"),
        }
    }

    /// A session takes a lock and keeps it: one of the primary of a database, or of the first replica that is ready.
    fn forget_lock(&mut self, index: u32, service: &Name, lock: &Name) {
        let of = self.service_named(service).expect("lowering knows every service");
        let ready = &self.services[of as usize].ready;
        let Some(session) = self.primary_of(of).filter(|primary| ready.contains(primary)).or(ready.first().copied()) else { return };
        self.disturbances[index as usize].afflicted = vec![session];
        self.hold_lock(service, lock, true);
    }

    /// All sessions of a replica have been ended from outside, and what they held is free.
    pub(super) fn sessions_ended(&mut self, replica: u32) {
        self.cure(replica, "its connections were reset", |kind| matches!(kind, FaultKind::LockHold { .. }));
    }

    /// What the faults of the moment do.
    pub(super) fn active_faults(&self) -> impl Iterator<Item = &FaultKind> {
        self.disturbances.iter().filter(|disturbance| disturbance.active).map(|disturbance| &disturbance.spec.kind)
    }

    pub(super) fn fault_ends(&mut self, index: u32, reason: &str) {
        if !self.disturbances[index as usize].active {
            return;
        }
        // A flag is over once no process has it any more.
        let spec = &self.disturbances[index as usize].spec;
        if let FaultKind::Flag { service, flag } = spec.kind.clone() {
            return self.set_flag(&service, &flag, false, reason);
        }
        self.end_disturbance(index, reason);
    }

    /// Every process of a service knows how a flag stands: what it was is over, or has come where it was meant to.
    pub(super) fn flag_settled(&mut self, is_its: impl Fn(&FaultKind) -> bool, on: bool) {
        for index in 0..self.disturbances.len() {
            let disturbance = &self.disturbances[index];
            if !disturbance.active || !is_its(&disturbance.spec.kind) {
                continue;
            }
            if !on {
                self.end_disturbance(index as u32, "no process has it any more");
            } else if disturbance.benign && disturbance.spec.lasting.is_none() {
                self.end_disturbance(index as u32, "every process has it");
            }
        }
    }

    /// A fault is over: by itself, cured, or because its target is gone.
    fn end_disturbance(&mut self, index: u32, reason: &str) {
        let now = self.now;
        let disturbance = &mut self.disturbances[index as usize];
        assert!(disturbance.active, "a fault ends once");
        disturbance.active = false;
        disturbance.ended = Some(now);
        let afflicted = std::mem::take(&mut disturbance.afflicted);
        let spec = disturbance.spec.clone();
        let event = if disturbance.benign {
            Event::Noted { what: format!("{} is over: {reason}", spec.name) }
        } else {
            Event::FaultEnded { fault: spec.name, reason: reason.to_owned() }
        };
        self.write(event);
        match &spec.kind {
            FaultKind::Hang { .. } => {
                for replica in afflicted {
                    if !self.still_hung(replica) {
                        self.wake(replica);
                    }
                }
            }
            FaultKind::Crash { target, .. }
            | FaultKind::MemoryLeak { target, .. }
            | FaultKind::Slow { target, .. }
            | FaultKind::Capacity { target, .. }
            | FaultKind::Steal { target, .. }
            | FaultKind::DiskFill { target, .. }
            | FaultKind::ConfigDrift { target, .. }
            | FaultKind::ErrorRate { target, .. } => self.reapply(target),
            FaultKind::ConnectionLeak { target, .. } => self.matching(target).into_iter().for_each(|replica| self.refresh_leaks(replica)),
            FaultKind::CertificateExpiry { .. } => self.certificate_renewed(index),
            FaultKind::Latency { service, .. } => {
                let service = self.service_named(service).expect("lowering knows every service");
                self.services[service as usize].latencies.retain(|other| *other != index);
            }
            FaultKind::ZoneLoss { zone } => self.regain_zone(zone),
            FaultKind::NodeLoss { node } => self.regain_node(node),
            FaultKind::NodeDrain { node } => {
                let evacuation = self.disturbances[index as usize].evacuation.take();
                self.end_evacuation(evacuation.expect("a drain moves what is there"));
                let node = self.node_named(node).expect("lowering knows every node");
                self.uncordon(node, "its drain is over");
            }
            FaultKind::ReplicaLag { target, .. } => self.refresh_paces(target),
            FaultKind::LockHold { service, lock } => self.hold_lock(service, lock, false),
            FaultKind::Quota { service, .. } => self.refresh_quota(service),
            FaultKind::Deploy { .. }
            | FaultKind::Flag { .. }
            | FaultKind::Surge { .. }
            | FaultKind::CacheFlush { .. }
            | FaultKind::CacheCorruption { .. }
            | FaultKind::ScaleOut { .. }
            | FaultKind::PrimaryCrash { .. }
            | FaultKind::Poison { .. } => {}
        }
    }

    /// Ends the faults of a kind that are attached to a target, or of a service to one of its replicas; whether there was one.
    pub(super) fn cure_kind(&mut self, target: &Target, reason: &str, is_meant: impl Fn(&FaultKind) -> bool) -> bool {
        let service = target.service();
        let is_its =
            |fault: &Target| fault == target || (service.is_some() && fault.service() == service && matches!(target, Target::Service(_)));
        let meant =
            |disturbance: &Disturbance| disturbance.active && is_meant(&disturbance.spec.kind) && is_its(&disturbance.spec.kind.target());
        let found: Vec<usize> = (0..self.disturbances.len()).filter(|index| meant(&self.disturbances[*index])).collect();
        for index in &found {
            self.end_disturbance(*index as u32, reason);
        }
        !found.is_empty()
    }

    /// Sees to it that what has not come yet of a kind does not come to a target.
    pub(super) fn avert(&mut self, target: &Target, is_meant: impl Fn(&FaultKind) -> bool) {
        let now = self.now;
        let is_due = |disturbance: &&mut Disturbance| disturbance.started.is_none() && disturbance.spec.kind.target() == *target;
        for disturbance in self.disturbances.iter_mut().filter(is_due).filter(|disturbance| is_meant(&disturbance.spec.kind)) {
            disturbance.averted.get_or_insert(now);
        }
    }

    /// Faults that are over by themselves.
    pub(super) fn end_of_kind(&mut self, reason: &str, is_meant: impl Fn(&FaultKind) -> bool) {
        for index in 0..self.disturbances.len() {
            if self.disturbances[index].active && is_meant(&self.disturbances[index].spec.kind) {
                self.end_disturbance(index as u32, reason);
            }
        }
    }

    /// Whether another hang holds a replica.
    fn still_hung(&self, replica: u32) -> bool {
        let hang = |disturbance: &&Disturbance| disturbance.active && matches!(disturbance.spec.kind, FaultKind::Hang { .. });
        self.disturbances.iter().filter(hang).any(|disturbance| disturbance.afflicted.contains(&replica))
    }

    /// Sets the parameters of a replica to what the faults of the moment and its version make of them.
    pub(super) fn apply_faults(&mut self, index: u32) {
        let replica = &self.replicas[index as usize];
        let version = &self.spec.services[replica.service as usize].versions[replica.version as usize];
        let (mut slowness, mut capacity, mut correct) = (version.demand.get(), 1.0, 1.0);
        let (mut leak, mut life) = (version.leak_per_second.get(), version.crash_after);
        for disturbance in self.disturbances.iter().filter(|disturbance| disturbance.active) {
            if !self.strikes(&disturbance.spec.kind.target(), index) {
                continue;
            }
            match &disturbance.spec.kind {
                FaultKind::Slow { factor, .. } => slowness *= factor.get(),
                FaultKind::Capacity { factor, .. } => capacity *= factor.get(),
                FaultKind::Steal { share, .. } => capacity *= 1.0 - share.get(),
                FaultKind::ErrorRate { error, .. } => correct *= 1.0 - error.get(),
                FaultKind::MemoryLeak { per_second, .. } if !disturbance.is_of_processes() || disturbance.afflicted.contains(&index) => {
                    leak += per_second.get();
                }
                FaultKind::ConfigDrift { demand, error, .. } if disturbance.afflicted.contains(&index) => {
                    slowness *= demand.get();
                    correct *= 1.0 - error.get();
                }
                FaultKind::Crash { every: Some(every), .. } => life = Some(life.map_or(*every, |life| life.min(*every))),
                _ => {}
            }
        }
        correct *= 1.0 - self.error_of_threads(index);
        let (by_flags, error_of_flags) = self.flagged(index);
        slowness *= by_flags;
        let version_error = 1.0 - (1.0 - version.error.get()) * (1.0 - error_of_flags);
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        replica.slowness = slowness;
        replica.error_by_fault = 1.0 - correct;
        replica.version_error = version_error;
        let new_life = replica.life != life;
        replica.life = life;
        if (replica.capacity - capacity).abs() > 0.0 {
            replica.capacity = capacity;
            if !replica.hung {
                replica.cpu.set_speed(now, replica.speed());
                self.refresh_cpu(index);
            }
        }
        self.set_leak(index, leak);
        self.set_error_at_once(index);
        self.refresh_disk(index);
        if new_life {
            self.refresh_death(index);
        }
    }

    /// Says whether a replica looks, when it takes a request up, whether it fails at once.
    pub(super) fn set_error_at_once(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.error_at_once = if replica.is_full() { 1.0 } else { replica.error_by_fault };
    }

    /// When the certificate of a service expires, and whether it has; `None`: nobody looks at it.
    pub(crate) fn certificate(&self, service: u32) -> Option<(Time, bool)> {
        let name = &self.spec.services[service as usize].name;
        let is_its =
            |disturbance: &&Disturbance| matches!(&disturbance.spec.kind, FaultKind::CertificateExpiry { service: of, .. } if of == name);
        let own = self.disturbances.iter().find(is_its)?;
        Some((own.ended.or(own.averted).map_or(own.spec.at, |renewed| renewed + VALIDITY), own.active))
    }

    /// Whether all replicas of a service are configured as declared; `None`: nobody looks at it.
    pub(crate) fn is_as_declared(&self, service: u32) -> Option<bool> {
        let name = &self.spec.services[service as usize].name;
        let is_its = |disturbance: &&Disturbance| matches!(&disturbance.spec.kind, FaultKind::ConfigDrift { target, .. } if target.service().as_ref() == Some(name));
        let mut own = self.disturbances.iter().filter(is_its).peekable();
        own.peek()?;
        Some(own.all(|disturbance| !disturbance.active))
    }

    /// What the keys of a cache begin with that somebody counts when they cannot be read; `None`: nobody does.
    pub(crate) fn prefix_counted(&self, service: &Name, cache: &Name) -> Option<&Name> {
        self.spec.faults.iter().find_map(|fault| match &fault.kind {
            FaultKind::CacheCorruption { service: of, cache: at, prefix, .. } if of == service && at == cache => Some(prefix),
            _ => None,
        })
    }

    /// CPU time that others have taken of each core of a node, seconds.
    pub(crate) fn stolen_seconds(&self, node: u32) -> f64 {
        let name = &self.nodes[node as usize].name;
        let stolen = self.disturbances.iter().filter_map(|disturbance| match &disturbance.spec.kind {
            FaultKind::Steal { target: Target::Node(of), share } if of == name => {
                let started = disturbance.started?;
                Some(share.get() * disturbance.ended.unwrap_or(self.now).since(started).as_seconds())
            }
            _ => None,
        });
        stolen.sum()
    }

    fn reapply(&mut self, target: &Target) {
        for replica in self.matching(target) {
            self.apply_faults(replica);
        }
    }

    /// Whether a target means this replica.
    pub(super) fn strikes(&self, target: &Target, index: u32) -> bool {
        let replica = &self.replicas[index as usize];
        match target {
            Target::Service(name) => self.spec.services[replica.service as usize].name == *name,
            Target::Replica(name) => replica.name == *name,
            Target::Zone(name) => self.zones.get(replica.zone as usize).is_some_and(|zone| zone.name == *name),
            Target::Node(name) => self.nodes.get(replica.node as usize).is_some_and(|node| node.name == *name),
            Target::Client(_) => false,
        }
    }

    /// The replicas that a target means, gone ones excepted, by service and number.
    pub(super) fn matching(&self, target: &Target) -> Vec<u32> {
        let all = self.services.iter().flat_map(|service| service.replicas.iter().copied());
        all.filter(|replica| self.strikes(target, *replica)).collect()
    }

    fn running(&self, target: &Target) -> Vec<u32> {
        self.matching(target).into_iter().filter(|replica| self.replicas[*replica as usize].is_running()).collect()
    }

    /// A replica has a new process: what afflicted the old one is gone.
    pub(super) fn cured_by_start(&mut self, replica: u32) {
        self.cure(replica, "its processes were started anew", |kind| !is_crash(kind));
    }

    /// A replica takes requests again: a crash is over.
    pub(super) fn ready_again(&mut self, replica: u32) {
        self.cure(replica, "its processes are ready again", is_crash);
    }

    fn cure(&mut self, replica: u32, reason: &str, which: impl Fn(&FaultKind) -> bool) {
        for index in 0..self.disturbances.len() {
            let disturbance = &mut self.disturbances[index];
            if !disturbance.active || !disturbance.is_of_processes() || !which(&disturbance.spec.kind) {
                continue;
            }
            let before = disturbance.afflicted.len();
            disturbance.afflicted.retain(|other| *other != replica);
            if before > 0 && disturbance.afflicted.is_empty() {
                self.end_disturbance(index as u32, reason);
            }
        }
    }

    /// A replica is gone, and so are faults that were attached to it alone.
    pub(super) fn target_gone(&mut self, replica: u32) {
        self.cure(replica, "its target is gone", |_| true);
        self.settle_flags(self.replicas[replica as usize].service);
        let name = self.replicas[replica as usize].name.clone();
        for index in 0..self.disturbances.len() {
            let disturbance = &self.disturbances[index];
            let was_its = matches!(disturbance.spec.kind.target(), Target::Replica(target) if target == name);
            let was_last = matches!(disturbance.spec.kind, FaultKind::ConfigDrift { .. }) && disturbance.afflicted == [replica];
            if disturbance.active && (was_its || was_last) {
                self.end_disturbance(index as u32, "its target is gone");
            } else {
                self.disturbances[index].afflicted.retain(|other| *other != replica);
            }
        }
    }

    /// Nothing of a service runs another version than this one any more: deploys of others are over.
    pub(super) fn version_settled(&mut self, service: u32, version: u32) {
        let spec = self.spec.clone();
        let service = &spec.services[service as usize];
        let name = &service.versions[version as usize].name;
        for index in 0..self.disturbances.len() {
            let disturbance = &self.disturbances[index];
            let FaultKind::Deploy { service: of, version: deployed } = &disturbance.spec.kind else { continue };
            if !disturbance.active || *of != service.name {
                continue;
            }
            if deployed != name {
                self.end_disturbance(index as u32, "no replica runs the version any more");
            } else if disturbance.benign {
                self.end_disturbance(index as u32, "every replica runs the version");
            }
        }
    }

    /// What a latency fault adds to an attempt over an edge.
    pub(super) fn extra_latency(&self, disturbance: u32, edge: &Edge, hop: u64) -> Span {
        let disturbance = &self.disturbances[disturbance as usize];
        match &disturbance.spec.kind {
            FaultKind::Latency { from, extra, .. } if from.as_ref().is_none_or(|from| *from == edge.caller) => {
                Span::from_seconds_f64(extra.sample(disturbance.luck.block(hop).draw(0)))
            }
            _ => Span::ZERO,
        }
    }

    fn lose_zone(&mut self, zone: &Name) {
        let index = self.zone_named(zone).expect("lowering knows every zone");
        self.zones[index as usize].losses += 1;
        for replica in self.matching(&Target::Zone(zone.clone())) {
            // One that is gone already has been taken with an earlier one.
            if !self.replicas[replica as usize].lost && self.replicas[replica as usize].state != ReplicaState::Gone {
                self.lose_replica(replica);
            }
        }
    }

    fn regain_zone(&mut self, zone: &Name) {
        let index = self.zone_named(zone).expect("lowering knows every zone");
        self.zones[index as usize].losses -= 1;
        if self.zones[index as usize].losses > 0 {
            return;
        }
        for replica in self.matching(&Target::Zone(zone.clone())) {
            if self.replicas[replica as usize].lost {
                self.regain_replica(replica);
            }
        }
        self.todo.reconcile.extend(0..self.services.len() as u32);
    }

    pub(crate) fn service_named(&self, name: &str) -> Option<u32> {
        self.spec.services.iter().position(|service| &*service.name == name).map(|index| index as u32)
    }

    pub(super) fn zone_named(&self, name: &str) -> Option<u32> {
        self.zones.iter().position(|zone| &*zone.name == name).map(|index| index as u32)
    }
}

/// Whether a process is well again only once it takes requests.
const fn is_crash(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::Crash { .. } | FaultKind::PrimaryCrash { .. })
}

/// A fault's magnitude, for people.
fn detail(kind: &FaultKind) -> String {
    match kind {
        FaultKind::Crash { every: None, .. } => "the process dies".to_owned(),
        FaultKind::Crash { every: Some(every), .. } => format!("each process dies after {every}"),
        FaultKind::Hang { .. } => "the process stops working and holds what it has".to_owned(),
        FaultKind::Slow { factor, .. } => format!("CPU demand {factor}"),
        FaultKind::Capacity { factor, .. } => format!("CPU speed {factor}"),
        FaultKind::Steal { share, .. } => format!("others take {share} of the CPU time"),
        FaultKind::ErrorRate { error, .. } => format!("{error} of requests fail"),
        FaultKind::MemoryLeak { per_second, .. } => format!("memory grows by {per_second} a second"),
        FaultKind::Deploy { version, .. } => format!("version {version} is rolled out"),
        FaultKind::Flag { flag, .. } => format!("{flag} is turned on"),
        FaultKind::Latency { from: None, extra, .. } => format!("every call takes {} longer on average", mean(extra)),
        FaultKind::Latency { from: Some(from), extra, .. } => format!("every call by {from} takes {} longer on average", mean(extra)),
        FaultKind::ZoneLoss { .. } => "everything in the zone is lost".to_owned(),
        FaultKind::NodeLoss { node } => format!("node {node} is lost with everything on it"),
        FaultKind::NodeDrain { node } => format!("node {node} is emptied"),
        FaultKind::CacheFlush { cache, share, .. } => format!("{share} of the keys of {cache}"),
        FaultKind::PrimaryCrash { .. } => "the primary dies".to_owned(),
        FaultKind::LockHold { lock, .. } => format!("somebody takes the lock {lock} and keeps it"),
        FaultKind::Quota { rate, .. } => format!("a quota of {rate}"),
        FaultKind::ReplicaLag { lag, .. } => format!("standbys are {lag} behind"),
        FaultKind::Poison { topic, kills, .. } => {
            let what = if *kills { "kills whoever works on it" } else { "is answered with an error by whoever works on it" };
            format!("a message in {topic} {what}")
        }
        FaultKind::Surge { factor, .. } => format!("rate {factor}"),
        FaultKind::ConnectionLeak { to: None, share, .. } => format!("{share} of the calls do not give their connection back"),
        FaultKind::ConnectionLeak { to: Some(to), share, .. } => format!("{share} of the calls of {to} do not give their connection back"),
        FaultKind::CacheCorruption { cache, prefix, share, .. } => {
            format!("{share} of the keys of {cache} are spoilt, those that begin with {prefix}")
        }
        FaultKind::DiskFill { per_second, .. } => format!("{per_second} a second are written on the volume"),
        FaultKind::CertificateExpiry { .. } => "its certificate expires".to_owned(),
        FaultKind::ConfigDrift { replicas: None, .. } => "it is not configured as declared".to_owned(),
        FaultKind::ConfigDrift { replicas: Some(replicas), .. } => format!("{replicas} of its replicas are not configured as declared"),
        FaultKind::ScaleOut { by: 1, .. } => "a replica is added".to_owned(),
        FaultKind::ScaleOut { by, .. } => format!("{by} replicas are added"),
    }
}

fn mean(seconds: &Distribution) -> Span {
    Span::from_seconds_f64(seconds.mean())
}
