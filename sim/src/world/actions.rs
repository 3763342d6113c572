//! Actions: from the order through its delay to its effects, and when it counts as done (docs/MODEL.md 2b).

use firedrill_core::action::{Action, ActionOutcome, ActionResult, Command, Fence, RestartMode, Scale, Target};
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Stream, Threshold, hash64};
use firedrill_core::time::{Class, Span};

use crate::queue::Handle;
use crate::spec::Misdeed;
use crate::world::{Due, World};

/// An action that is not complete by then has failed; what it set in motion goes on.
const BOUND: Span = Span::from_minutes(15);

/// No action makes a service larger than this.
const MOST_REPLICAS: u32 = 1_000;

/// The words of an action's block.
const DELAY_WORD: usize = 0;
const FAILURE_WORD: usize = 1;

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
}

/// A command that was given, and how far it has come.
#[derive(Clone, Debug)]
pub(super) struct Order {
    command: Command,
    /// The platform will not carry it out.
    refused: bool,
    /// What goes wrong with it; `None`: nothing.
    misdeed: Option<Misdeed>,
    /// It is carried out for the second time, which nobody is told of.
    is_echo: bool,
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
    /// Complete when no process has this flag any more.
    Reverting(u32),
    /// Complete when another replica is the primary of this database and callers reach it.
    FailingOver(u32),
    /// Complete when the time is over.
    Waiting,
    /// Over.
    Done,
}

impl World {
    /// Takes an order; its effects begin after a delay that belongs to the action's id. A perfect order has no delay and does not fail.
    pub(crate) fn order(&mut self, command: Command, perfect: bool) {
        let id = command.id();
        let block = Stream::new(self.seed, Purpose::Action, hash64(&id.policy)).block(id.ordinal);
        let spec = &self.spec.actions;
        let modelled = command.modelled();
        let usual = || Span::from_seconds_f64(spec.delay.sample(block.draw(DELAY_WORD)));
        let delay = if perfect { Span::ZERO } else { modelled.map_or_else(usual, |modelled| modelled.takes) };
        let failure = modelled.map_or(spec.failure, |modelled| modelled.fails);
        let refused = !perfect && Threshold::from_ratio(failure).hit(block.word64(FAILURE_WORD));
        let (misdeed, more) = if perfect { (None, Span::ZERO) } else { self.misdeed(&command) };
        let later = if misdeed == Some(Misdeed::Late) { more } else { Span::ZERO };
        self.put_order(
            Order { command: command.clone(), refused, misdeed, is_echo: false, stage: Stage::Ordered, bound: None },
            delay + later,
        );
        if misdeed == Some(Misdeed::Twice) && !refused {
            let again = Order { command, refused, misdeed: None, is_echo: true, stage: Stage::Ordered, bound: None };
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

    fn schedule_order(&mut self, after: Span, index: u32, step: OrderStep) -> Handle {
        self.queue.schedule(self.now + after, Class::Action, Due::Order(index, step))
    }

    pub(super) fn order_due(&mut self, index: u32, step: OrderStep) {
        match step {
            OrderStep::Begin => self.begin_order(index),
            OrderStep::WaitOver => self.conclude_order(index, ActionOutcome::Succeeded),
            OrderStep::LiftLimit => self.lift_limit(index),
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
        if refused {
            return self.conclude_order(index, ActionOutcome::Failed("the platform did not carry it out".to_owned()));
        }
        if let Some(misdeed) = misdeed {
            self.write(Event::Noted { what: format!("{} {}", command.id(), misdeed.told()) });
            match misdeed {
                Misdeed::Fails => return self.conclude_order(index, ActionOutcome::Failed("the platform did not carry it out".to_owned())),
                Misdeed::NoEffect => return self.conclude_order(index, ActionOutcome::Succeeded),
                Misdeed::Hangs => return self.orders[index as usize].stage = Stage::Done,
                Misdeed::Partly | Misdeed::FalseFailure | Misdeed::Late | Misdeed::Twice => {}
            }
        }
        let landed = self.check_fence(&command).and_then(|()| self.take_effect(index, &command));
        match landed {
            Err(why) => self.conclude_order(index, ActionOutcome::Failed(why)),
            Ok(Stage::Done) => self.conclude_order(index, ActionOutcome::Succeeded),
            Ok(stage) => {
                let waits = matches!(stage, Stage::Waiting);
                self.orders[index as usize].stage = stage;
                if !waits {
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
            Action::ParkMessages => self.park_target(target),
            Action::LimitRetries { retries, lasting } => self.limit_retries(index, target, *retries, *lasting),
            Action::FailOver => {
                let service = self.target_service(target, "fail_over")?;
                self.order_failover(service)?;
                Ok(Stage::FailingOver(service))
            }
            Action::RevertFlag => {
                let service = self.target_service(target, "revert_flag")?;
                Ok(Stage::Reverting(self.revert_flag(service, &command.id().to_string())?))
            }
            Action::Wait { span } => {
                self.schedule_order(*span, index, OrderStep::WaitOver);
                Ok(Stage::Waiting)
            }
        }
    }

    fn target_service(&self, target: &Target, what: &str) -> Result<u32, String> {
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
                self.cordon(node, &reason);
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
        let service = self.target_service(target, "park_messages")?;
        Ok((0..self.inboxes.len() as u32).filter(|inbox| self.inboxes[*inbox as usize].service == service).collect())
    }

    fn park_target(&mut self, target: &Target) -> Result<Stage, String> {
        let inboxes = self.inboxes_of(target)?;
        if inboxes.is_empty() {
            return Err(format!("{target} takes no messages"));
        }
        let parked: u64 = inboxes.into_iter().map(|inbox| self.park_messages(inbox)).sum();
        if parked == 0 {
            return Err(format!("{target} has not failed on any message that waits"));
        }
        Ok(Stage::Done)
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
        for index in 0..self.orders.len() {
            let complete = match &self.orders[index].stage {
                Stage::Ordered | Stage::Waiting | Stage::Done => false,
                Stage::RestartingRolling { .. } => self.next_rolling_restart(index),
                Stage::Restarting(replicas) => replicas.iter().all(|replica| self.is_ready_or_gone(*replica)),
                Stage::Scaling(service) => self.has_what_it_wants(*service),
                Stage::Reverting(flag) => self.is_flag_reverted(*flag),
                Stage::RollingBack(service) => !self.services[*service as usize].rolling,
                Stage::FailingOver(service) => {
                    self.services[*service as usize].database.as_ref().is_some_and(|database| database.is_steady())
                }
                Stage::Draining { evacuation, services } => {
                    self.is_evacuated(*evacuation) && services.iter().all(|service| self.has_what_it_wants(*service))
                }
            };
            if complete {
                self.conclude_order(index as u32, ActionOutcome::Succeeded);
            }
        }
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
            Stage::Reverting(flag) => self.flag_is_missing(*flag),
            Stage::FailingOver(_) => "no standby has taken over".to_owned(),
            Stage::Draining { evacuation, services } => {
                let wanting = services.iter().map(|service| wanting(*service));
                self.not_evicted(*evacuation).into_iter().chain(wanting).collect::<Vec<_>>().join("; ")
            }
            Stage::Ordered | Stage::Waiting | Stage::Done => String::new(),
        }
    }

    fn conclude_order(&mut self, index: u32, outcome: ActionOutcome) {
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
