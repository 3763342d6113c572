//! Actions: from the order through its delay to its effects, and when it counts as done (docs/MODEL.md 2b).

use firedrill_core::action::{Action, ActionOutcome, ActionResult, Command, Fence, Keys, RestartMode, Scale, Target};
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Stream, Threshold, hash64};
use firedrill_core::time::{Class, Span};

use crate::queue::Handle;
use crate::spec::{FaultKind, Misdeed};
use crate::world::{Due, Termination, World};

/// An action that is not complete by then has failed; what it set in motion goes on.
const BOUND: Span = Span::from_minutes(15);

/// No action makes a service larger than this.
const MOST_REPLICAS: u32 = 1_000;

/// The words of an action's block.
const DELAY_WORD: usize = 0;
const FAILURE_WORD: usize = 1;
const PREPARATION_WORD: usize = 2;
const MACHINE_WORD: usize = 3;

/// How long it takes from the beginning of an action to its effect, seconds: between the two, all alike; `None`: no time. Our choice (docs/MODEL.md 2b).
const fn preparation(action: &Action) -> Option<(f64, f64)> {
    match action {
        // Proxies and processes are told.
        Action::LimitRetries { .. }
        | Action::CircuitBreak { .. }
        | Action::Isolate { .. }
        | Action::ShedLoad { .. }
        | Action::RateLimit { .. }
        | Action::Degrade { .. }
        | Action::Lift { .. }
        | Action::SetLimit { .. } => Some((1.0, 5.0)),
        Action::ShiftTraffic { .. } => Some((1.0, 10.0)),
        Action::ResetPool { .. } | Action::KillQueries { .. } | Action::FlushCache { .. } => Some((0.2, 2.0)),
        Action::SkipMessage | Action::ReplayDeadLetters => Some((0.2, 2.0)),
        // Each kubelet changes the limits of what runs on its machine.
        Action::Resize { .. } => Some((2.0, 30.0)),
        Action::WarmCache { .. } => Some((30.0, 120.0)),
        Action::ClearDisk => Some((20.0, 90.0)),
        Action::ExpandVolume { .. } => Some((60.0, 300.0)),
        Action::RenewCertificate => Some((30.0, 180.0)),
        Action::RevertDrift => Some((10.0, 60.0)),
        _ => None,
    }
}

/// How long a machine needs to be switched off and on, seconds.
const REBOOT: (f64, f64) = (60.0, 180.0);
/// How long it takes until another machine stands in the place of one, seconds.
const NEW_MACHINE: (f64, f64) = (120.0, 300.0);

/// The words of the block of what goes wrong with an action.
const MISDEED_WORD: usize = 0;
const LATE_WORD: usize = 1;
const TWICE_WORD: usize = 2;

/// What comes next for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderStep {
    /// The delay is over: the effects begin.
    Begin,
    /// A wait is over.
    WaitOver,
    /// It has taken too long.
    Bound,
    /// A limit of retries is lifted.
    LiftLimit,
    /// What it takes to act has been done: now it takes effect.
    Effect,
    /// The time of what it has laid on the system is over.
    Lift,
    /// A machine is there, again or for the first time.
    MachineReady,
}

/// A command that was given, and how far it has come.
#[derive(Clone, Debug)]
pub(super) struct Order {
    command: Command,
    /// The platform will not carry it out, or would not if anybody asked it to.
    refused: bool,
    /// What goes wrong with it; `None`: nothing.
    misdeed: Option<Misdeed>,
    /// It is carried out for the second time, which nobody is told of.
    is_echo: bool,
    hands: Hands,
    stage: Stage,
    bound: Option<Handle>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// It waits for its delay to pass.
    Ordered,
    /// Complete when each of these is ready or gone.
    Restarting(Vec<u32>),
    /// One after the other, the last of the list first; complete when none is left.
    RestartingRolling { left: Vec<u32>, current: Option<u32> },
    /// Complete when as many as wanted are ready.
    Scaling(u32),
    /// Complete when the rollout is.
    RollingBack(u32),
    /// Complete when each of these is gone and these services have what they want.
    Draining { evacuation: u32, services: Vec<u32> },
    /// Complete when every process knows that this flag is on, or off.
    Flagging { flag: u32, on: bool },
    /// Complete when another replica is the primary of this database and callers reach it.
    FailingOver(u32),
    /// Complete when this node is back and all that is on it is ready.
    Rebooting { node: u32, is_back: bool },
    /// Complete when another machine is there and these services have what they want. It is ordered once nothing is left on the old one.
    Replacing { node: u32, evacuation: Option<u32>, services: Vec<u32>, is_ordered: bool, is_back: bool },
    /// Complete when the time is over.
    Waiting,
    /// Over.
    Done,
}

/// Who carries an order out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// Whoever does in the scenario, with their delays and failures.
    Usual,
    /// An oracle's: at once, and nothing fails.
    Perfect,
    /// Nobody, and it is reported as done: for an arm without the action.
    Idle,
}

impl World {
    /// Takes an order; its effects begin after a delay that belongs to the action's id. A perfect order has no delay and does not fail.
    pub(crate) fn order(&mut self, command: Command, hands: Hands) {
        let perfect = hands == Hands::Perfect;
        let id = command.id();
        let block = Stream::new(self.seed, Purpose::Action, hash64(&id.policy)).block(id.ordinal);
        let spec = &self.spec.actions;
        let modelled = command.modelled();
        let usual = || Span::from_seconds_f64(spec.delay.sample(block.draw(DELAY_WORD)));
        let delay = if perfect { Span::ZERO } else { modelled.map_or_else(usual, |modelled| modelled.takes) };
        let failure = modelled.map_or(spec.failure, |modelled| modelled.fails);
        let (drawn, more) = if perfect { (None, Span::ZERO) } else { self.misdeed(&command) };
        let is_futile = hands == Hands::Idle && matches!(drawn, Some(Misdeed::Fails | Misdeed::NoEffect | Misdeed::Hangs));
        let refused = !perfect && (is_futile || Threshold::from_ratio(failure).hit(block.word64(FAILURE_WORD)));
        let misdeed = if hands == Hands::Idle { Some(Misdeed::NoEffect) } else { drawn };
        let later = if misdeed == Some(Misdeed::Late) { more } else { Span::ZERO };
        self.put_order(
            Order { command: command.clone(), refused, misdeed, is_echo: false, hands, stage: Stage::Ordered, bound: None },
            delay + later,
        );
        if misdeed == Some(Misdeed::Twice) && !refused {
            let again = Order { command, refused, misdeed: None, is_echo: true, hands, stage: Stage::Ordered, bound: None };
            self.put_order(again, delay + more);
        }
    }

    fn put_order(&mut self, order: Order, after: Span) {
        let index = self.orders.len() as u32;
        self.orders.push(order);
        self.schedule_order(after, index, OrderStep::Begin);
    }

    /// What goes wrong with an action that is ordered now, and how much later it begins, or begins again.
    fn misdeed(&self, command: &Command) -> (Option<Misdeed>, Span) {
        let word = command.action().word();
        let concerns = |action: &Option<Name>| action.as_ref().is_none_or(|action| action.as_str() == word);
        let Some(fault) = self.spec.actuators.iter().find(|fault| fault.is_on(self.now) && concerns(&fault.action)) else {
            return (None, Span::ZERO);
        };
        let id = command.id();
        let block = Stream::new(self.seed, Purpose::Actuator, hash64(&id.policy)).block(id.ordinal);
        let misdeed = fault.misdeed(block.unit(MISDEED_WORD));
        let more = match misdeed {
            Some(Misdeed::Late) => fault.late_by.sample(block.draw(LATE_WORD)),
            Some(Misdeed::Twice) => self.spec.actions.delay.sample(block.draw(TWICE_WORD)),
            _ => 0.0,
        };
        (misdeed, Span::from_seconds_f64(more))
    }

    pub(super) fn schedule_order(&mut self, after: Span, index: u32, step: OrderStep) -> Handle {
        self.queue.schedule(self.now + after, Class::Action, Due::Order(index, step))
    }

    pub(super) fn order_due(&mut self, index: u32, step: OrderStep) {
        match step {
            OrderStep::Begin => self.begin_order(index),
            OrderStep::WaitOver => self.conclude_order(index, ActionOutcome::Succeeded),
            OrderStep::LiftLimit => self.lift_limit(index),
            OrderStep::Effect => self.effect_order(index),
            OrderStep::Lift => self.lift_order(index, "its time was up"),
            OrderStep::MachineReady => self.machine_ready(index),
            OrderStep::Bound => {
                self.orders[index as usize].bound = None;
                let why = format!("not complete after {BOUND}: {}", self.what_is_missing(index));
                self.conclude_order(index, ActionOutcome::Failed(why));
            }
        }
    }

    fn begin_order(&mut self, index: u32) {
        let order = &self.orders[index as usize];
        let (command, refused, misdeed, is_echo) = (order.command.clone(), order.refused, order.misdeed, order.is_echo);
        if is_echo {
            self.write(Event::Noted { what: format!("{} is carried out for the second time", command.id()) });
        } else {
            let (action, what, target) = (command.id().clone(), command.action().clone(), command.target().clone());
            self.write(Event::ActionStarted { action, what, target });
        }
        if refused && self.orders[index as usize].hands != Hands::Idle {
            return self.conclude_order(index, ActionOutcome::Failed("the platform did not carry it out".to_owned()));
        }
        if let Some(misdeed) = misdeed {
            self.write(Event::Noted { what: format!("{} {}", command.id(), misdeed.told()) });
            match misdeed {
                Misdeed::Fails => return self.conclude_order(index, ActionOutcome::Failed("the platform did not carry it out".to_owned())),
                Misdeed::NoEffect => return self.conclude_without_effect(index, &command),
                Misdeed::Hangs => return self.orders[index as usize].stage = Stage::Done,
                Misdeed::Partly | Misdeed::FalseFailure | Misdeed::Late | Misdeed::Twice => {}
            }
        }
        match preparation(command.action()).filter(|_| self.orders[index as usize].hands != Hands::Perfect) {
            Some(range) => {
                let span = self.span_of_order(index, range, PREPARATION_WORD);
                self.schedule_order(span, index, OrderStep::Effect);
            }
            None => self.effect_order(index),
        }
    }

    /// An order is reported as done and has done nothing. Of one that is left out all the same is known under which locks it came, if it would have been
    /// carried out, so that what comes after it is refused or let in as it would have been. It is known as soon as the order begins, without a preparation.
    fn conclude_without_effect(&mut self, index: u32, command: &Command) {
        let order = &self.orders[index as usize];
        let is_noticed = order.hands == Hands::Idle && !order.refused;
        let checked = if is_noticed { self.check_fence(command) } else { Ok(()) };
        self.conclude_order(index, checked.map_or_else(ActionOutcome::Refused, |()| ActionOutcome::Succeeded));
    }

    /// A time between two, drawn for an order.
    fn span_of_order(&self, index: u32, (least, most): (f64, f64), word: usize) -> Span {
        let id = self.orders[index as usize].command.id();
        let block = Stream::new(self.seed, Purpose::Action, hash64(&id.policy)).block(id.ordinal);
        Span::from_seconds_f64(least + (most - least) * block.unit(word))
    }

    fn effect_order(&mut self, index: u32) {
        let command = self.orders[index as usize].command.clone();
        // What goes wrong with whoever carries it out is no answer of the platform. Whoever is late, does it twice or reports falsely has one.
        let is_torn = self.orders[index as usize].misdeed == Some(Misdeed::Partly);
        let fail = |why| if is_torn { ActionOutcome::Failed(why) } else { ActionOutcome::Refused(why) };
        let checked = self.check_fence(&command).map_err(ActionOutcome::Refused);
        match checked.and_then(|()| self.take_effect(index, &command).map_err(fail)) {
            Err(outcome) => self.conclude_order(index, outcome),
            Ok(Stage::Done) => self.conclude_order(index, ActionOutcome::Succeeded),
            Ok(stage) => {
                let waits = matches!(stage, Stage::Waiting);
                self.orders[index as usize].stage = stage;
                if !waits {
                    let place = self.open.partition_point(|other| *other < index);
                    self.open.insert(place, index);
                    let bound = self.schedule_order(BOUND, index, OrderStep::Bound);
                    self.orders[index as usize].bound = Some(bound);
                }
                self.todo.orders = true;
            }
        }
    }

    /// Whether nobody has acted under one of the command's locks who took it later. Who lost a lock while the order was under way is too late.
    fn check_fence(&mut self, command: &Command) -> Result<(), String> {
        let Some(Fence { token, locks }) = command.fence() else { return Ok(()) };
        if let Some((lock, later)) = locks.iter().filter_map(|lock| Some((lock, self.fences.get(lock)?))).find(|(_, seen)| *seen > token) {
            return Err(format!("the lock of {lock} was lost: token {token} is older than {later}"));
        }
        for lock in locks {
            self.fences.insert(lock.clone(), *token);
        }
        Ok(())
    }

    /// The first effects of an action; the error says why it cannot be done.
    fn take_effect(&mut self, index: u32, command: &Command) -> Result<Stage, String> {
        let target = command.target();
        let half = self.orders[index as usize].misdeed == Some(Misdeed::Partly);
        match command.action() {
            Action::Restart { mode } => self.begin_restart(target, *mode, &command.id().to_string(), half),
            Action::Scale { replicas } => self.begin_scale(target, *replicas, half),
            Action::Drain => self.begin_drain(target, &command.id().to_string(), half),
            Action::PurgeQueue => self.purge_target(target, half),
            _ if half => Err("the platform stopped before it had done anything".to_owned()),
            Action::Rollback => {
                let service = self.target_service(target, "rollback")?;
                if !self.roll_back(service, &format!("rolled back by {}", command.id())) {
                    return Err(format!("{target} has no earlier version to go back to"));
                }
                Ok(Stage::RollingBack(service))
            }
            Action::ParkMessages => self.set_aside(target, false),
            Action::SkipMessage => self.set_aside(target, true),
            Action::ReplayDeadLetters => self.replay_target(target),
            Action::LimitRetries { retries, lasting } => self.limit_retries(index, target, *retries, *lasting),
            Action::FailOver => {
                let service = self.target_service(target, "fail_over")?;
                self.order_failover(service)?;
                Ok(Stage::FailingOver(service))
            }
            Action::RevertFlag => {
                let service = self.target_service(target, "revert_flag")?;
                Ok(Stage::Flagging { flag: self.revert_flag(service, &command.id().to_string())?, on: false })
            }
            Action::SetFlag { flag, on } => {
                let service = self.target_service(target, "set_flag")?;
                Ok(Stage::Flagging { flag: self.order_flag(service, (flag, *on), &command.id().to_string())?, on: *on })
            }
            Action::Kill => self.kill_target(target, &command.id().to_string()),
            Action::Wait { span } => {
                self.schedule_order(*span, index, OrderStep::WaitOver);
                Ok(Stage::Waiting)
            }
            Action::RebootNode => self.begin_reboot(index, target),
            Action::ReplaceNode => self.begin_replacement(target, &command.id().to_string()),
            Action::Undrain => self.undrain(target, &command.id().to_string()).map(|()| Stage::Done),
            Action::Cordon => {
                let node = self.target_node(target, "cordon")?;
                self.cordon_by_action(node, &format!("cordoned by {}", command.id()));
                Ok(Stage::Done)
            }
            other => self.take_effect_at_once(index, target, other).map(|()| Stage::Done),
        }
    }

    /// The effects of an action that is done with them.
    fn take_effect_at_once(&mut self, index: u32, target: &Target, action: &Action) -> Result<(), String> {
        match action {
            Action::CircuitBreak { from, lasting } => self.break_circuit(index, target, from.as_ref(), *lasting),
            Action::Isolate { calls, from, lasting } => self.isolate(index, target, (*calls, from.as_ref()), *lasting),
            Action::ShedLoad { share, spare, lasting } => self.shed_load(index, target, (share.get(), *spare), *lasting),
            Action::RateLimit { rate, lasting } => self.limit_rate(index, target, *rate, *lasting),
            Action::Degrade { lasting } => self.degrade(index, target, *lasting),
            Action::Lift { what } => self.lift(target, *what),
            Action::ResetPool { to } => self.reset_target(target, to.as_ref()),
            Action::SetLimit { limit, to } => self.set_limit(index, target, *limit, *to),
            Action::KillQueries { older } => self.kill_queries(target, *older),
            Action::FlushCache { cache, keys } => self.flush_target(index, target, (cache.as_ref(), keys)),
            Action::WarmCache { cache, share } => self.warm_target(target, cache.as_ref(), share.get()),
            Action::Resize { memory } => self.resize_memory(index, target, *memory),
            Action::ShiftTraffic { share } => self.shift_traffic(index, target, share.get()),
            Action::ClearDisk => self.clear_target(target),
            Action::ExpandVolume { by } => {
                let meant = self.with_disks(target, "expand_volume")?;
                meant.into_iter().for_each(|replica| self.expand_disk(replica, *by));
                Ok(())
            }
            Action::RenewCertificate => {
                self.target_service(target, "renew_certificate")?;
                let is_meant = |kind: &FaultKind| matches!(kind, FaultKind::CertificateExpiry { .. });
                self.avert(target, is_meant);
                self.cure_kind(target, "its certificate was renewed", is_meant);
                Ok(())
            }
            Action::RevertDrift => {
                self.target_service(target, "revert_drift")?;
                let is_meant = |kind: &FaultKind| matches!(kind, FaultKind::ConfigDrift { .. });
                self.cure_kind(target, "its replicas are configured as declared", is_meant);
                Ok(())
            }
            Action::PauseRollout => self.pause_rollout(index, target),
            other => unreachable!("{} has its own stages", other.word()),
        }
    }

    fn target_node(&self, target: &Target, what: &str) -> Result<u32, String> {
        match target {
            Target::Node(name) => self.node_named(name).ok_or_else(|| format!("{target} does not exist")),
            _ => Err(format!("{what} needs a node, and {target} is none")),
        }
    }

    /// Makes the pools of a service or a replica anew.
    fn reset_target(&mut self, target: &Target, to: Option<&Name>) -> Result<(), String> {
        let mut meant = self.target_replicas(target, "reset_pool")?;
        meant.retain(|replica| self.replicas[*replica as usize].is_running());
        let pools: usize = meant.into_iter().map(|replica| self.reset_pools(replica, to)).sum();
        let whereto = to.map_or_else(String::new, |to| format!(" to {to}"));
        if pools == 0 { Err(format!("{target} has no pool{whereto}")) } else { Ok(()) }
    }

    /// Ends the queries of a database, and the sessions that somebody has forgotten.
    fn kill_queries(&mut self, target: &Target, older: Span) -> Result<(), String> {
        let service = self.target_service(target, "kill_queries")?;
        if self.services[service as usize].database.is_none() {
            return Err(format!("{target} is no database"));
        }
        let running = |replica: &u32| self.replicas[*replica as usize].is_running() && !self.replicas[*replica as usize].hung;
        let replicas: Vec<u32> = self.services[service as usize].replicas.iter().copied().filter(running).collect();
        if replicas.is_empty() {
            return Err(format!("{target} does not answer"));
        }
        replicas.iter().for_each(|replica| self.sessions_ended(*replica));
        let killed: usize = replicas.into_iter().map(|replica| self.kill_attempts(replica, older)).sum();
        self.write(Event::Noted { what: format!("{killed} queries of {target} were ended") });
        Ok(())
    }

    fn flush_target(&mut self, index: u32, target: &Target, (cache, keys): (Option<&Name>, &Keys)) -> Result<(), String> {
        let meant = self.caches_of(target, "flush_cache", cache)?;
        let name = target.name().clone();
        let luck = Stream::new(self.seed, Purpose::Action, hash64(&self.orders[index as usize].command.id().to_string()));
        let mut found = false;
        for cache in &meant {
            match keys {
                Keys::Share(share) => {
                    self.flush_cache(&name, cache, share.get(), luck);
                    found = true;
                }
                Keys::Prefix(prefix) => found |= self.flush_prefix(&name, cache, prefix),
            }
        }
        self.look_for_spoilt(&name);
        match keys {
            Keys::Prefix(prefix) if !found => Err(format!("no key of {target} begins with {prefix}")),
            _ => Ok(()),
        }
    }

    /// The caches of a service that are meant, at least one.
    fn caches_of(&self, target: &Target, what: &str, cache: Option<&Name>) -> Result<Vec<Name>, String> {
        let service = self.target_service(target, what)?;
        let caches = &self.spec.services[service as usize].caches;
        let meant: Vec<Name> =
            caches.iter().map(|known| known.name.clone()).filter(|known| cache.is_none_or(|cache| cache == known)).collect();
        if meant.is_empty() {
            return Err(cache.map_or_else(|| format!("{target} has no cache"), |cache| format!("{target} has no cache {cache}")));
        }
        Ok(meant)
    }

    fn warm_target(&mut self, target: &Target, cache: Option<&Name>, share: f64) -> Result<(), String> {
        for cache in self.caches_of(target, "warm_cache", cache)? {
            let loaded = self.load_cache(target.name(), &cache, share);
            self.write(Event::Noted { what: format!("{loaded} keys were loaded into {cache} of {target}") });
        }
        Ok(())
    }

    /// Ends processes without a word, hung ones too.
    fn kill_target(&mut self, target: &Target, by: &str) -> Result<Stage, String> {
        let mut meant = self.target_replicas(target, "kill")?;
        meant.retain(|replica| self.replicas[*replica as usize].is_running() && !self.replicas[*replica as usize].is_unreachable());
        if meant.is_empty() {
            return Err(format!("{target} has no process that can be reached"));
        }
        for replica in meant {
            self.replicas[replica as usize].removed_by_action = true;
            self.process_ended(replica, Termination::Error, &format!("killed by {by}"));
        }
        Ok(Stage::Done)
    }

    fn with_disks(&self, target: &Target, what: &str) -> Result<Vec<u32>, String> {
        let mut meant = self.target_replicas(target, what)?;
        meant.retain(|replica| self.replicas[*replica as usize].disk.is_some());
        if meant.is_empty() { Err(format!("{target} has no volume")) } else { Ok(meant) }
    }

    /// Deletes what does not belong on volumes, and stops what writes it there.
    fn clear_target(&mut self, target: &Target) -> Result<(), String> {
        let meant = self.with_disks(target, "clear_disk")?;
        self.cure_kind(target, "what wrote it was stopped", |kind| matches!(kind, FaultKind::DiskFill { .. }));
        meant.into_iter().for_each(|replica| self.clear_disk(replica));
        Ok(())
    }

    /// What was drained by actions takes new replicas again.
    fn undrain(&mut self, target: &Target, by: &str) -> Result<(), String> {
        match target {
            Target::Zone(name) => {
                let zone = self.zone_named(name).ok_or_else(|| format!("{target} does not exist"))?;
                if !std::mem::replace(&mut self.zones[zone as usize].drained, false) {
                    return Err(format!("{target} is not drained"));
                }
                self.todo.reconcile.extend(0..self.services.len() as u32);
                Ok(())
            }
            Target::Node(_) => {
                let node = self.target_node(target, "undrain")?;
                if self.uncordon_by_action(node, &format!("undrained by {by}")) { Ok(()) } else { Err(format!("{target} is not drained")) }
            }
            _ => Err(format!("undrain needs a zone or a node, and {target} is neither")),
        }
    }

    /// A node is switched off with all that is on it, and on again.
    fn begin_reboot(&mut self, index: u32, target: &Target) -> Result<Stage, String> {
        let node = self.target_node(target, "reboot_node")?;
        let away = self.span_of_order(index, REBOOT, MACHINE_WORD);
        self.cordon(node, "it is switched off and on");
        for replica in self.replicas_on(node) {
            if self.replicas[replica as usize].is_running() {
                self.replicas[replica as usize].removed_by_action = true;
                self.process_lost(replica, away, "its node is switched off and on");
            }
        }
        self.schedule_order(away, index, OrderStep::MachineReady);
        Ok(Stage::Rebooting { node, is_back: false })
    }

    /// All replicas leave a node, as far as disruption budgets allow, before another machine takes its place.
    fn begin_replacement(&mut self, target: &Target, by: &str) -> Result<Stage, String> {
        let node = self.target_node(target, "replace_node")?;
        let reason = format!("its node is replaced by {by}");
        self.cordon(node, &reason);
        let meant = self.replicas_on(node);
        let mut services: Vec<u32> = meant.iter().map(|replica| self.replicas[*replica as usize].service).collect();
        services.sort_unstable();
        services.dedup();
        let is_lost = self.nodes[node as usize].losses > 0;
        let evacuation = if is_lost {
            meant.into_iter().for_each(|replica| self.gone(replica, &reason));
            None
        } else {
            Some(self.evacuate(meant, &reason, true))
        };
        Ok(Stage::Replacing { node, evacuation, services, is_ordered: false, is_back: false })
    }

    /// A machine is there: what was wrong with the old one, or with what ran on it, is over.
    fn machine_ready(&mut self, index: u32) {
        let (node, is_new) = match &mut self.orders[index as usize].stage {
            Stage::Rebooting { node, is_back } => {
                *is_back = true;
                (*node, false)
            }
            Stage::Replacing { node, is_back, .. } => {
                *is_back = true;
                (*node, true)
            }
            // It has taken too long for whoever asked, and comes all the same.
            _ => match self.orders[index as usize].command.target() {
                Target::Node(name) => {
                    let is_new = matches!(self.orders[index as usize].command.action(), Action::ReplaceNode);
                    (self.node_named(name).expect("a machine is a node's"), is_new)
                }
                _ => return,
            },
        };
        let target = Target::Node(self.nodes[node as usize].name.clone());
        let reason = if is_new { "another machine stands in its place" } else { "it was switched off and on" };
        self.cure_kind(&target, reason, |kind| match kind {
            FaultKind::NodeLoss { .. } => true,
            FaultKind::Steal { .. } => is_new,
            _ => false,
        });
        self.uncordon(node, reason);
        self.todo.orders = true;
    }

    pub(super) fn target_service(&self, target: &Target, what: &str) -> Result<u32, String> {
        match target {
            Target::Service(name) => self.service_named(name).ok_or_else(|| format!("{target} does not exist")),
            _ => Err(format!("{what} needs a service, and {target} is none")),
        }
    }

    /// The replicas that a service or replica target means, at least one.
    fn target_replicas(&self, target: &Target, what: &str) -> Result<Vec<u32>, String> {
        let meant = match target {
            Target::Service(_) | Target::Replica(_) => self.matching(target),
            Target::Zone(_) | Target::Client(_) | Target::Node(_) => {
                return Err(format!("{what} needs a service or a replica, and {target} is neither"));
            }
        };
        if meant.is_empty() {
            return Err(match target {
                Target::Service(name) if self.service_named(name).is_some() => format!("{target} has no replica"),
                _ => format!("{target} does not exist"),
            });
        }
        Ok(meant)
    }

    fn begin_restart(&mut self, target: &Target, mode: RestartMode, by: &str, half: bool) -> Result<Stage, String> {
        let mut meant = self.target_replicas(target, "restart")?;
        meant.retain(|replica| self.replicas[*replica as usize].is_living());
        if meant.is_empty() {
            return Err(format!("{target} is being drained"));
        }
        meant.retain(|replica| !self.replicas[*replica as usize].is_unreachable());
        if meant.is_empty() {
            let lost = if self.nodes.is_empty() { "zone" } else { "zone or node" };
            return Err(format!("{target} cannot be reached: its {lost} is lost"));
        }
        // What has no place has no process either, and whoever waits for it may wait for ever.
        meant.retain(|replica| self.replicas[*replica as usize].is_placed());
        if meant.is_empty() {
            return Err(format!("{target} has no place to run in"));
        }
        let mut meant = share_of(meant, half)?;
        if mode == RestartMode::Rolling {
            meant.reverse();
            return Ok(Stage::RestartingRolling { left: meant, current: None });
        }
        for replica in &meant {
            // An earlier one of the list cannot have taken this one away: a restart removes nothing.
            self.restart_replica(*replica, &format!("restarted by {by}"));
        }
        Ok(Stage::Restarting(meant))
    }

    fn begin_scale(&mut self, target: &Target, replicas: Scale, half: bool) -> Result<Stage, String> {
        let service = self.target_service(target, "scale")?;
        let wanted = i64::from(self.services[service as usize].wanted);
        let declared = f64::from(self.spec.services[service as usize].replicas);
        let new = match replicas {
            Scale::To(count) => i64::from(count),
            Scale::By(count) => (wanted + i64::from(count)).max(0),
            Scale::Times(factor) => libm::ceil(declared * factor.get()) as i64,
        };
        let new = if half { wanted + (new - wanted) / 2 } else { new };
        match u32::try_from(new) {
            Ok(new) if new <= MOST_REPLICAS => {
                self.scale(service, new);
                Ok(Stage::Scaling(service))
            }
            _ => Err(format!("{new} replicas are more than the bound of {MOST_REPLICAS}")),
        }
    }

    fn begin_drain(&mut self, target: &Target, by: &str, half: bool) -> Result<Stage, String> {
        let reason = format!("drained by {by}");
        let meant = match target {
            Target::Replica(_) => self.target_replicas(target, "drain")?,
            Target::Zone(name) => {
                let zone = self.zone_named(name).ok_or_else(|| format!("{target} does not exist"))?;
                self.zones[zone as usize].drained = true;
                self.matching(target)
            }
            Target::Node(name) => {
                let node = self.node_named(name).ok_or_else(|| format!("{target} does not exist"))?;
                self.cordon_by_action(node, &reason);
                self.matching(target)
            }
            _ => return Err(format!("drain needs a replica, a zone or a node, and {target} is none of them")),
        };
        let meant = share_of(meant, half)?;
        let mut services: Vec<u32> = meant
            .iter()
            .map(|replica| &self.replicas[*replica as usize])
            .filter(|replica| replica.is_living())
            .map(|replica| replica.service)
            .collect();
        services.sort_unstable();
        services.dedup();
        let evacuation = self.evacuate(meant, &reason, true);
        Ok(Stage::Draining { evacuation, services })
    }

    fn purge_target(&mut self, target: &Target, half: bool) -> Result<Stage, String> {
        let meant = share_of(self.target_replicas(target, "purge_queue")?, half)?;
        let service = self.spec.services[self.replicas[meant[0] as usize].service as usize].name.clone();
        let mut dropped: u64 = meant.into_iter().map(|replica| self.purge(replica)).sum();
        if let (Target::Service(_), false) = (target, half) {
            let inboxes = self.inboxes_of(target)?;
            dropped += inboxes.into_iter().map(|inbox| self.purge_inbox(inbox)).sum::<u64>();
        }
        self.write(Event::QueuePurged { service, dropped });
        Ok(Stage::Done)
    }

    fn inboxes_of(&self, target: &Target) -> Result<Vec<u32>, String> {
        let service = self.target_service(target, "an action on messages")?;
        Ok((0..self.inboxes.len() as u32).filter(|inbox| self.inboxes[*inbox as usize].service == service).collect())
    }

    /// Takes the messages that a service has failed on out of its way: to the dead letters, or away for good.
    fn set_aside(&mut self, target: &Target, for_good: bool) -> Result<Stage, String> {
        let inboxes = self.consumed_by(target)?;
        let found: u64 = inboxes.into_iter().map(|inbox| self.set_messages_aside(inbox, for_good)).sum();
        if found == 0 {
            return Err(format!("{target} has not failed on any message that waits"));
        }
        Ok(Stage::Done)
    }

    fn replay_target(&mut self, target: &Target) -> Result<Stage, String> {
        let inboxes = self.consumed_by(target)?;
        let replayed: u64 = inboxes.into_iter().map(|inbox| self.replay_dead_letters(inbox)).sum();
        if replayed == 0 { Err(format!("{target} has no dead letters")) } else { Ok(Stage::Done) }
    }

    /// What waits for a service that takes messages.
    fn consumed_by(&self, target: &Target) -> Result<Vec<u32>, String> {
        let inboxes = self.inboxes_of(target)?;
        if inboxes.is_empty() { Err(format!("{target} takes no messages")) } else { Ok(inboxes) }
    }

    /// Limits the retries of a client, of a calling service, or of all who call a service.
    fn limit_retries(&mut self, index: u32, target: &Target, retries: u32, lasting: Span) -> Result<Stage, String> {
        let limited: Vec<usize> = match target {
            Target::Client(name) => (0..self.edges.len()).filter(|edge| self.edges[*edge].caller == *name).collect(),
            Target::Service(_) => {
                let service = self.target_service(target, "limit_retries")?;
                (0..self.edges.len()).filter(|edge| self.edges[*edge].service == service && !self.edges[*edge].of_probe).collect()
            }
            _ => return Err(format!("limit_retries needs a client or a service, and {target} is neither")),
        };
        if limited.is_empty() {
            return Err(format!("{target} calls nobody and nobody calls it"));
        }
        for edge in &limited {
            self.edges[*edge].limits.push((index, retries));
        }
        self.refresh_limits(&limited, Some(retries));
        self.schedule_order(lasting, index, OrderStep::LiftLimit);
        Ok(Stage::Done)
    }

    /// Lifts the limits of retries that have been laid on a target; whether there was one.
    pub(super) fn lift_limits_of(&mut self, target: &Target) -> bool {
        let is_meant = |order: &Order| order.command.target() == target && matches!(order.command.action(), Action::LimitRetries { .. });
        let holds = |index: usize| self.edges.iter().any(|edge| edge.limits.iter().any(|(order, _)| *order as usize == index));
        let orders: Vec<usize> = (0..self.orders.len()).filter(|index| is_meant(&self.orders[*index]) && holds(*index)).collect();
        for order in &orders {
            self.lift_limit(*order as u32);
        }
        !orders.is_empty()
    }

    fn lift_limit(&mut self, index: u32) {
        let limited: Vec<usize> =
            (0..self.edges.len()).filter(|edge| self.edges[*edge].limits.iter().any(|(order, _)| *order == index)).collect();
        for edge in &limited {
            self.edges[*edge].limits.retain(|(order, _)| *order != index);
        }
        let still = limited.first().and_then(|edge| self.edges[*edge].limits.iter().map(|(_, retries)| *retries).min());
        self.refresh_limits(&limited, still);
    }

    fn refresh_limits(&mut self, edges: &[usize], retries: Option<u32>) {
        let mut callers: Vec<Name> = Vec::new();
        for index in edges {
            let edge = &mut self.edges[*index];
            let limits = edge.limits.iter().map(|(_, retries)| *retries);
            edge.allowed = limits.fold(edge.retries.max, u32::min);
            callers.push(edge.caller.clone());
        }
        callers.sort();
        callers.dedup();
        for caller in callers {
            self.write(Event::RetriesLimited { caller, retries });
        }
    }

    /// Looks whether orders under way have become complete, and takes their next steps.
    pub(super) fn check_orders(&mut self) {
        debug_assert!(self.open.is_sorted(), "orders are looked at in the order in which they were given");
        let mut at = 0;
        while let Some(index) = self.open.get(at).map(|index| *index as usize) {
            self.order_machine(index);
            let complete = match &self.orders[index].stage {
                Stage::Ordered | Stage::Waiting | Stage::Done => false,
                Stage::RestartingRolling { .. } => self.next_rolling_restart(index),
                Stage::Restarting(replicas) => replicas.iter().all(|replica| self.is_ready_or_gone(*replica)),
                Stage::Scaling(service) => self.has_what_it_wants(*service),
                Stage::Flagging { flag, on } => self.is_flag(*flag, *on),
                Stage::RollingBack(service) => !self.services[*service as usize].rolling,
                Stage::FailingOver(service) => {
                    self.services[*service as usize].database.as_ref().is_some_and(|database| database.is_steady())
                }
                Stage::Draining { evacuation, services } => {
                    self.is_evacuated(*evacuation) && services.iter().all(|service| self.has_what_it_wants(*service))
                }
                Stage::Rebooting { node, is_back } => {
                    *is_back && self.replicas_on(*node).iter().all(|replica| self.is_ready_or_gone(*replica))
                }
                Stage::Replacing { services, is_back, .. } => *is_back && services.iter().all(|service| self.has_what_it_wants(*service)),
            };
            if complete {
                self.conclude_order(index as u32, ActionOutcome::Succeeded);
            } else {
                at += 1;
            }
        }
    }

    /// Another machine is asked for once nothing is left on the one that it replaces.
    fn order_machine(&mut self, index: usize) {
        let Stage::Replacing { evacuation, is_ordered: false, .. } = &self.orders[index].stage else { return };
        if evacuation.is_some_and(|evacuation| !self.is_evacuated(evacuation)) {
            return;
        }
        if let Stage::Replacing { is_ordered, .. } = &mut self.orders[index].stage {
            *is_ordered = true;
        }
        let span = self.span_of_order(index as u32, NEW_MACHINE, MACHINE_WORD);
        self.schedule_order(span, index as u32, OrderStep::MachineReady);
    }

    fn is_ready_or_gone(&self, replica: u32) -> bool {
        matches!(self.replicas[replica as usize].state, ReplicaState::Ready | ReplicaState::Gone)
    }

    fn has_what_it_wants(&self, service: u32) -> bool {
        let state = &self.services[service as usize];
        state.ready.len() as u32 == state.wanted && state.replicas.len() as u32 == state.wanted
    }

    /// Restarts the next replica once the present one is ready; whether there is none left.
    fn next_rolling_restart(&mut self, index: usize) -> bool {
        let by = self.orders[index].command.id().to_string();
        loop {
            let Stage::RestartingRolling { left, current } = &mut self.orders[index].stage else { return false };
            if let Some(replica) = *current {
                if !matches!(self.replicas[replica as usize].state, ReplicaState::Ready | ReplicaState::Gone) {
                    return false;
                }
                *current = None;
            }
            let Some(next) = left.pop() else { return true };
            let replica = &self.replicas[next as usize];
            if replica.is_living() && !replica.is_unreachable() {
                *current = Some(next);
                self.restart_replica(next, &format!("restarted by {by}"));
            }
        }
    }

    /// What an order that took too long still waits for.
    fn what_is_missing(&self, index: u32) -> String {
        let unready = |replicas: &[u32]| {
            let unready = replicas.iter().filter(|replica| !self.is_ready_or_gone(**replica)).count();
            format!("{unready} of {} replicas are not ready", replicas.len())
        };
        let wanting = |service: u32| {
            let state = &self.services[service as usize];
            let name = &self.spec.services[service as usize].name;
            let place = if self.nodes.is_empty() { "no zone to stand in" } else { "no node with room for them" };
            let unplaced = if state.unplaced > 0 { format!(", {} have {place}", state.unplaced) } else { String::new() };
            format!("{name} has {} of {} replicas ready{unplaced}", state.ready.len(), state.wanted)
        };
        match &self.orders[index as usize].stage {
            Stage::Restarting(replicas) => unready(replicas),
            Stage::RestartingRolling { left, .. } => format!("{} replicas are left to restart", left.len()),
            Stage::Scaling(service) | Stage::RollingBack(service) => wanting(*service),
            Stage::Flagging { flag, .. } => self.flag_is_missing(*flag),
            Stage::FailingOver(_) => "no standby has taken over".to_owned(),
            Stage::Rebooting { node, .. } => unready(&self.replicas_on(*node)),
            Stage::Replacing { evacuation, services, is_back, .. } => {
                let machine = (!is_back).then(|| "no other machine is there".to_owned());
                let left = evacuation.and_then(|evacuation| self.not_evicted(evacuation));
                machine.into_iter().chain(left).chain(services.iter().map(|service| wanting(*service))).collect::<Vec<_>>().join("; ")
            }
            Stage::Draining { evacuation, services } => {
                let wanting = services.iter().map(|service| wanting(*service));
                self.not_evicted(*evacuation).into_iter().chain(wanting).collect::<Vec<_>>().join("; ")
            }
            Stage::Ordered | Stage::Waiting | Stage::Done => String::new(),
        }
    }

    fn conclude_order(&mut self, index: u32, outcome: ActionOutcome) {
        if let Ok(place) = self.open.binary_search(&index) {
            self.open.remove(place);
        }
        let order = &mut self.orders[index as usize];
        order.stage = Stage::Done;
        let mut bound = order.bound.take();
        let action = order.command.id().clone();
        let (misdeed, is_echo) = (order.misdeed, order.is_echo);
        self.cancel(&mut bound);
        if is_echo {
            return;
        }
        let outcome = match (misdeed, outcome) {
            (Some(Misdeed::Partly), ActionOutcome::Succeeded) => ActionOutcome::Failed("the platform stopped half way".to_owned()),
            (Some(Misdeed::FalseFailure), ActionOutcome::Succeeded) => ActionOutcome::Failed("the platform reported an error".to_owned()),
            (_, outcome) => outcome,
        };
        self.write(Event::ActionFinished { action: action.clone(), outcome: outcome.clone() });
        self.results.push(ActionResult { action, at: self.now, outcome });
    }
}

/// All of them, or the first half; the error says that there is none.
fn share_of(mut meant: Vec<u32>, half: bool) -> Result<Vec<u32>, String> {
    if half {
        meant.truncate(meant.len() / 2);
        if meant.is_empty() {
            return Err("the platform stopped before it had done anything".to_owned());
        }
    }
    Ok(meant)
}
