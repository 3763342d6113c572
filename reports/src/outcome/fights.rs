//! Who worked against whom: fights and conflicts between policies, and between a policy and a control loop of the world.
//!
//! Two kinds of clash are told from the journal. Somebody *undoes* what another party has done to the same thing within
//! [`OutcomeSettings::fight_window`]; and somebody *disturbs* an action of another party that is under way. One who undoes something once may be
//! right; it is a fight when the other does it again and so on (two clashes at least), or at the first disturbance. docs/MEASURES.md has the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firedrill_core::action::{Action, ActionId, Restraint, Target};
use firedrill_core::journal::{Event, Holder, ReplicaState};
use firedrill_core::ledger::Ledger;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;
use serde::{Deserialize, Serialize};

use super::OutcomeSettings;
use crate::words::counted;

/// An action counts as under way for no longer than this: then the platform gives it up (docs/MODEL.md 2b).
const UNDER_WAY: Span = Span::from_minutes(15);

/// Whoever does something to a system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// A policy.
    Policy(Name),
    /// What changes the number of replicas of a service by itself.
    Autoscaler(Name),
    /// What brings a new version of a service to its replicas.
    Rollout(Name),
    /// What takes nodes out of use and gives their replicas up.
    Cluster,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => f.write_str(name),
            Self::Autoscaler(service) => write!(f, "the autoscaler of {service}"),
            Self::Rollout(service) => write!(f, "the rollout of {service}"),
            Self::Cluster => f.write_str("the cluster"),
        }
    }
}

/// Something that one of the two who fight has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// Who.
    pub by: Party,
    /// What, for people.
    pub what: String,
    /// To what.
    pub target: Target,
    /// When it began, seconds since the start.
    pub at_seconds: f64,
}

/// Two who work against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fight {
    /// What they fight over: a service, a zone, a node or a client.
    pub over: Target,
    /// Both, in the order in which they began.
    pub parties: [Party; 2],
    /// The first move, seconds since the start.
    pub from_seconds: f64,
    /// The last move, seconds since the start.
    pub until_seconds: f64,
    /// How often one undid what the other had done.
    pub undone: u64,
    /// How often one disturbed an action of the other that was under way.
    pub disturbed: u64,
    /// What both did, in order.
    pub moves: Vec<Move>,
}

impl fmt::Display for Fight {
    /// A sentence that names both and what they did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.parties;
        write!(f, "{one} and {other} fight over {} from {} to {}: ", self.over, clock(self.from_seconds), clock(self.until_seconds))?;
        let times = |count: u64| counted(count, "time");
        let undone = (self.undone > 0).then(|| format!("{} one undid what the other had done", times(self.undone)));
        let disturbed = (self.disturbed > 0).then(|| format!("{} one disturbed what the other was doing", times(self.disturbed)));
        f.write_str(&[undone, disturbed].into_iter().flatten().collect::<Vec<_>>().join(", and "))?;
        for step in &self.moves {
            write!(f, "; {} {}: {}", clock(step.at_seconds), step.by, step.what)?;
        }
        Ok(())
    }
}

/// How a policy's wait for another one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictEnd {
    /// It acted.
    Acted,
    /// It was done with its alert without having acted.
    GaveUp,
    /// Another policy had the target then.
    PassedOn,
    /// It was still waiting when the run ended.
    Waits,
}

/// A policy that could not act because another one had the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Who could not act.
    pub policy: Name,
    /// Which of its incidents.
    pub incident: u64,
    /// What it proposed, for people.
    pub what: String,
    /// To what; `None` if that was not known yet.
    pub target: Option<Target>,
    /// The guard that refused: `mutual_exclusion` or `cooldown`.
    pub guard: Name,
    /// Who had it.
    pub holder: Name,
    /// Which of the holder's incidents.
    pub holder_incident: u64,
    /// What the holder had.
    pub held: Target,
    /// When the holder last decided to act before that, seconds since the start: it came first.
    pub held_seconds: Option<f64>,
    /// The first refusal, seconds since the start.
    pub from_seconds: f64,
    /// When the wait was over, seconds since the start.
    pub until_seconds: f64,
    /// How often it was refused.
    pub refusals: u64,
    /// How the wait ended.
    pub end: ConflictEnd,
}

impl fmt::Display for Conflict {
    /// A sentence that names both, who came first, and for how long the other waited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
        write!(f, "{} may not {}{target} at {}", self.policy, self.what, clock(self.from_seconds))?;
        write!(f, ", because {} has {}", self.holder, self.held)?;
        match self.held_seconds {
            Some(held) if held < self.from_seconds => write!(f, " and came first, at {}", clock(held))?,
            Some(_) => f.write_str(" and comes first, by name, at that instant")?,
            None => {}
        }
        let waited = clock(self.until_seconds - self.from_seconds);
        write!(f, "; refused {}, and ", counted(self.refusals, "time"))?;
        match self.end {
            ConflictEnd::Acted => write!(f, "acts after {waited}"),
            ConflictEnd::GaveUp => write!(f, "gives up after {waited}"),
            ConflictEnd::PassedOn => write!(f, "after {waited} another policy has it"),
            ConflictEnd::Waits => write!(f, "still waits when the run ends, {waited} later"),
        }
    }
}

/// Seconds as people read them, cut to whole ones.
fn clock(seconds: f64) -> String {
    Span::from_seconds(seconds as u64).to_string()
}

/// Who fought in a run, in the order in which the fights began.
#[must_use]
pub fn fights(run: &Transcript, settings: &OutcomeSettings) -> Vec<Fight> {
    let window = settings.fight_window;
    let deeds = Watch::of(run);
    let mut clashes = undoings(&deeds, window);
    clashes.extend(disturbances(&deeds, &run.ledger, window));
    clashes.sort_by_key(|clash| (deeds[clash.later].at, clash.later, clash.earlier));
    let mut by_pair: BTreeMap<(&Party, &Party, Target), Vec<Clash>> = BTreeMap::new();
    for clash in clashes {
        let (one, other) = (&deeds[clash.earlier].by, &deeds[clash.later].by);
        let over = owner(&deeds[clash.later].target);
        by_pair.entry((one.min(other), one.max(other), over)).or_default().push(clash);
    }
    let mut fights = Vec::new();
    for ((.., over), clashes) in by_pair {
        let is_apart = |one: &Clash, next: &Clash| deeds[next.later].at.since(deeds[one.later].at) > window;
        for round in clashes.chunk_by(|one, next| !is_apart(one, next)) {
            fights.extend(fight(&deeds, &over, round));
        }
    }
    fights.sort_by(|one, other| one.from_seconds.total_cmp(&other.from_seconds).then_with(|| one.over.cmp(&other.over)));
    fights
}

/// Clashes of two that follow each other closely, if they are a fight.
fn fight(deeds: &[Deed], over: &Target, round: &[Clash]) -> Option<Fight> {
    let disturbed = round.iter().filter(|clash| clash.disturbs).count() as u64;
    let undone = round.len() as u64 - disturbed;
    if disturbed == 0 && undone < 2 {
        return None;
    }
    let involved: BTreeSet<usize> = round.iter().flat_map(|clash| [clash.earlier, clash.later]).collect();
    let moves: Vec<Move> = involved.into_iter().map(|index| deeds[index].told()).collect();
    let (first, last) = (moves.first()?, moves.last()?);
    let other = moves.iter().find(|step| step.by != first.by)?;
    Some(Fight {
        over: over.clone(),
        parties: [first.by.clone(), other.by.clone()],
        from_seconds: first.at_seconds,
        until_seconds: last.at_seconds,
        undone,
        disturbed,
        moves: moves.clone(),
    })
}

/// One deed against another, by their places in the list.
#[derive(Clone, Copy, Debug)]
struct Clash {
    earlier: usize,
    later: usize,
    /// The earlier was under way; else it was done, and is undone.
    disturbs: bool,
}

/// What a deed is, as far as others can be against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deeds {
    Restart,
    Drain,
    FailOver,
    ScaleOut,
    ScaleIn,
    NewVersion,
    Other,
}

/// Of what there is one setting, so that setting it otherwise undoes what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    Replicas,
    Version,
    InUse,
    Restraint(Restraint),
}

/// Who did what, and what it was set to.
#[derive(Clone, Debug)]
struct Deed {
    by: Party,
    at: Time,
    ended: Option<Time>,
    what: String,
    target: Target,
    deeds: Deeds,
    /// What it sets, and how; two that set one thing differently are opposed.
    sets: Option<(Setting, u64)>,
    /// Replicas that came to be by it.
    brings: BTreeSet<Name>,
    /// Of these, those that have been ready.
    risen: BTreeSet<Name>,
    /// How many replicas it brings, if that is known.
    expected: Option<u32>,
    /// It did nothing: the platform turned it away.
    void: bool,
}

impl Deed {
    fn told(&self) -> Move {
        Move {
            by: self.by.clone(),
            what: format!("{} on {}", self.what, self.target),
            target: self.target.clone(),
            at_seconds: self.at.as_seconds(),
        }
    }

    fn is_under_way(&self, now: Time) -> bool {
        now < self.ended.unwrap_or_else(|| self.at.saturating_add(UNDER_WAY))
    }
}

/// Of every pair that sets one thing in turn: the later undoes the earlier, if it is another's and sets it otherwise.
fn undoings(deeds: &[Deed], window: Span) -> Vec<Clash> {
    let mut last: BTreeMap<(Setting, &Target), usize> = BTreeMap::new();
    let mut clashes = Vec::new();
    for (later, deed) in deeds.iter().enumerate().filter(|(_, deed)| !deed.void) {
        let Some((setting, value)) = deed.sets else { continue };
        if let Some(earlier) = last.insert((setting, &deed.target), later) {
            let before = &deeds[earlier];
            let is_other = before.by != deed.by && before.sets != Some((setting, value));
            if is_other && deed.at.since(before.at) <= window {
                clashes.push(Clash { earlier, later, disturbs: false });
            }
        }
    }
    clashes
}

/// Deeds that come in the middle of another's, and would not let it be done.
fn disturbances(deeds: &[Deed], ledger: &Ledger, window: Span) -> Vec<Clash> {
    let mut clashes = Vec::new();
    for (later, deed) in deeds.iter().enumerate().filter(|(_, deed)| !deed.void) {
        // Of several that it disturbs of one party the last is told.
        let mut told: BTreeSet<&Party> = BTreeSet::new();
        for earlier in (0..later).rev() {
            let before = &deeds[earlier];
            if before.void || before.by == deed.by || told.contains(&before.by) {
                continue;
            }
            if disturbs((deed, before), ledger, window) {
                told.insert(&before.by);
                clashes.push(Clash { earlier, later, disturbs: true });
            }
        }
    }
    clashes
}

fn disturbs((deed, before): (&Deed, &Deed), ledger: &Ledger, window: Span) -> bool {
    let under_way = before.is_under_way(deed.at);
    match (deed.deeds, before.deeds) {
        // What comes up is taken down again.
        (Deeds::Restart, Deeds::ScaleOut | Deeds::NewVersion) => under_way && touches_new(deed, before),
        // What the one waits for to come back, the other takes down again, and both together may take all there is. Or the one brings back what the
        // other empties or has given up.
        (Deeds::Restart, Deeds::Restart | Deeds::Drain)
        | (Deeds::Drain | Deeds::ScaleIn, Deeds::Restart | Deeds::FailOver)
        | (Deeds::FailOver, Deeds::Restart | Deeds::Drain) => under_way && overlap(&deed.target, &before.target, ledger),
        // A new primary is taken down while it is promoted, or soon after.
        (Deeds::Restart, Deeds::FailOver) => {
            let soon = before.ended.is_some_and(|ended| deed.at.since(ended) <= window);
            under_way && overlap(&deed.target, &before.target, ledger) || soon && touches_new(deed, before)
        }
        _ => false,
    }
}

/// Whether a deed is on all of a service, or on a replica that another deed has brought.
fn touches_new(deed: &Deed, before: &Deed) -> bool {
    match &deed.target {
        Target::Replica(replica) => before.brings.contains(replica),
        target => *target == before.target,
    }
}

/// Whether two targets have something in common.
fn overlap(one: &Target, other: &Target, ledger: &Ledger) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (Target::Replica(_), Target::Replica(_)) | (Target::Client(_), _) | (_, Target::Client(_)) => false,
        (Target::Service(_) | Target::Replica(_), Target::Service(_) | Target::Replica(_)) => one.service() == other.service(),
        (Target::Service(_) | Target::Replica(_), place) | (place, Target::Service(_) | Target::Replica(_)) => {
            let inner = if one == place { other } else { one };
            zone_of(place, ledger).is_some_and(|zone| stands_in(inner, &zone, ledger))
        }
        _ => zone_of(one, ledger) == zone_of(other, ledger),
    }
}

fn zone_of(place: &Target, ledger: &Ledger) -> Option<Name> {
    match place {
        Target::Zone(zone) => Some(zone.clone()),
        Target::Node(node) => ledger.nodes.get(node).cloned(),
        _ => None,
    }
}

/// Whether a service has replicas in a zone, or a replica stands there: they are dealt out in turn.
fn stands_in(target: &Target, zone: &Name, ledger: &Ledger) -> bool {
    let Some(service) = target.service().and_then(|name| ledger.services.iter().find(|own| own.service == name)) else { return false };
    let index = || target.name().rsplit_once('-').and_then(|(_, index)| index.parse::<usize>().ok());
    match target {
        Target::Replica(_) if !service.zones.is_empty() => index().is_some_and(|index| service.zones[index % service.zones.len()] == *zone),
        _ => service.zones.contains(zone),
    }
}

/// What a target belongs to: the service of a replica, else itself.
fn owner(target: &Target) -> Target {
    match target {
        Target::Replica(_) => target.service().map_or_else(|| target.clone(), Target::Service),
        other => other.clone(),
    }
}

/// The deeds of a run, found out record by record.
struct Watch<'a> {
    ledger: &'a Ledger,
    deeds: Vec<Deed>,
    open: BTreeMap<ActionId, usize>,
    known: BTreeSet<Name>,
}

impl<'a> Watch<'a> {
    fn of(run: &'a Transcript) -> Vec<Deed> {
        let mut watch = Self { ledger: &run.ledger, deeds: Vec::new(), open: BTreeMap::new(), known: BTreeSet::new() };
        for record in run.journal.records() {
            watch.take_in(record.at, &record.event);
        }
        watch.deeds
    }

    fn take_in(&mut self, at: Time, event: &Event) {
        match event {
            Event::ActionStarted { action, what, target } if !matches!(what, Action::Wait { .. }) => {
                self.open.insert(action.clone(), self.deeds.len());
                let by = Party::Policy(action.policy.clone());
                self.deeds.push(Deed { sets: sets(what), ..deed(by, at, (what.to_string(), target.clone()), kind(what)) });
            }
            Event::ActionFinished { action, outcome } => {
                if let Some(index) = self.open.remove(action) {
                    let deed = &mut self.deeds[index];
                    deed.ended = Some(at);
                    // What is reported as failed has done nothing, unless it was given up after all that time.
                    deed.void = outcome.failure().is_some() && at.since(deed.at) < UNDER_WAY;
                }
            }
            Event::Scaled { service, from, to } => self.scaled(service, (*from, *to)),
            Event::Autoscaled { service, from, to, .. } => {
                let by = Party::Autoscaler(service.clone());
                self.supersede(service, at);
                self.deeds.push(deed(by, at, ("scale".to_owned(), Target::Service(service.clone())), Deeds::Other));
                self.directed(self.deeds.len() - 1, (*from, *to));
                self.end_if_risen(self.deeds.len() - 1, at);
            }
            Event::RolloutStarted { service, version, .. } => self.rollout(at, service, version),
            Event::RolloutFinished { service, .. } => self.end_rollouts(service, at),
            Event::NodeChanged { node, state, .. } => self.node(at, node, state),
            Event::ReplicaChanged { replica, state, .. } => self.replica(at, replica, *state),
            Event::PrimaryChanged { service, replica: Some(replica), state, .. } if state.as_str() == "promoted" => {
                let target = Target::Service(service.clone());
                let mut orders = self.deeds.iter_mut().rev();
                if let Some(order) = orders.find(|own| own.deeds == Deeds::FailOver && own.ended.is_none() && own.target == target) {
                    order.brings.insert(replica.clone());
                }
            }
            _ => {}
        }
    }

    /// The number of replicas changed: by the scaling of this service that is under way, if there is one.
    fn scaled(&mut self, service: &Name, change: (u32, u32)) {
        let is_it = |own: &&usize| {
            let own = &self.deeds[**own];
            own.target == Target::Service(service.clone()) && own.what.starts_with("scale") && own.expected.is_none()
        };
        if let Some(index) = self.open.values().filter(is_it).max().copied() {
            self.directed(index, change);
        }
    }

    /// A scaling turns out to be one out or one in, or none.
    fn directed(&mut self, index: usize, (from, to): (u32, u32)) {
        let deed = &mut self.deeds[index];
        deed.expected = Some(to.saturating_sub(from));
        let out = u64::from(to > from);
        if to != from {
            deed.what = format!("scale (from {from} to {to})");
            deed.deeds = if to > from { Deeds::ScaleOut } else { Deeds::ScaleIn };
            deed.sets = Some((Setting::Replicas, out));
        }
    }

    /// A scaling by an autoscaler is over when there is another one.
    fn supersede(&mut self, service: &Name, at: Time) {
        let by = Party::Autoscaler(service.clone());
        self.deeds.iter_mut().filter(|own| own.by == by && own.ended.is_none()).for_each(|own| own.ended = Some(at));
    }

    /// What nobody reports the end of has ended once all that it brings has been ready.
    fn end_if_risen(&mut self, index: usize, at: Time) {
        let deed = &mut self.deeds[index];
        let is_reported = matches!(deed.by, Party::Policy(_));
        if !is_reported && deed.expected.is_some_and(|expected| deed.risen.len() as u32 >= expected) {
            deed.ended = deed.ended.or(Some(at));
        }
    }

    fn rollout(&mut self, at: Time, service: &Name, version: &Name) {
        let target = Target::Service(service.clone());
        let is_rollback = |own: &usize| {
            let own = &self.deeds[*own];
            own.target == target && own.sets == Some((Setting::Version, BACK)) && own.at == at
        };
        if self.open.values().any(is_rollback) {
            return;
        }
        self.end_rollouts(service, at);
        let what = format!("rollout of version {version}");
        let own = deed(Party::Rollout(service.clone()), at, (what, target), Deeds::NewVersion);
        self.deeds.push(Deed { sets: Some((Setting::Version, FORTH)), ..own });
    }

    fn end_rollouts(&mut self, service: &Name, at: Time) {
        let by = Party::Rollout(service.clone());
        self.deeds.iter_mut().filter(|own| own.by == by && own.ended.is_none()).for_each(|own| own.ended = Some(at));
    }

    /// A node goes out of use or comes back, by itself if no policy is at work on it.
    fn node(&mut self, at: Time, node: &Name, state: &Name) {
        let target = Target::Node(node.clone());
        let zone = self.ledger.nodes.get(node).cloned().map(Target::Zone);
        let is_policys = self.open.values().map(|own| &self.deeds[*own].target).any(|own| *own == target || Some(own) == zone.as_ref());
        let in_use = match state.as_str() {
            "cordoned" | "evicted" => OUT,
            "uncordoned" => IN,
            _ => return,
        };
        if !is_policys {
            let own = deed(Party::Cluster, at, (state.to_string(), target), Deeds::Other);
            self.deeds.push(Deed { sets: Some((Setting::InUse, in_use)), ended: Some(at), ..own });
        }
    }

    /// A replica that was not there before has come by what last brought some, and has risen when it is ready.
    fn replica(&mut self, at: Time, replica: &Name, state: ReplicaState) {
        let Some((service, number)) = replica.rsplit_once('-').and_then(|(name, index)| Some((name, index.parse::<u32>().ok()?))) else {
            return;
        };
        let declared = self.ledger.services.iter().find(|own| own.service.as_str() == service).map_or(0, |own| own.declared);
        let brings = |own: &&mut Deed| {
            let is_on = own.target.service().is_some_and(|target| target.as_str() == service);
            is_on && matches!(own.deeds, Deeds::ScaleOut | Deeds::NewVersion) && own.is_under_way(at)
        };
        if self.known.insert(replica.clone())
            && number >= declared
            && let Some(own) = self.deeds.iter_mut().rev().find(brings)
        {
            own.brings.insert(replica.clone());
        }
        if state == ReplicaState::Ready {
            let by = self.deeds.iter().rposition(|own| own.brings.contains(replica));
            if let Some(index) = by {
                self.deeds[index].risen.insert(replica.clone());
                self.end_if_risen(index, at);
            }
        }
    }
}

fn deed(by: Party, at: Time, (what, target): (String, Target), deeds: Deeds) -> Deed {
    let (brings, risen) = Default::default();
    Deed { by, at, ended: None, what, target, deeds, sets: None, brings, risen, expected: None, void: false }
}

const OUT: u64 = 0;
const IN: u64 = 1;
const BACK: u64 = 0;
const FORTH: u64 = 1;

/// That a restraint is not there.
const LIFTED: u64 = u64::MAX;

const fn kind(action: &Action) -> Deeds {
    match action {
        Action::Restart { .. } => Deeds::Restart,
        Action::Drain | Action::RebootNode | Action::ReplaceNode => Deeds::Drain,
        Action::FailOver => Deeds::FailOver,
        Action::Rollback => Deeds::NewVersion,
        _ => Deeds::Other,
    }
}

/// What an action sets. A scaling shows which way it goes when it takes effect.
fn sets(action: &Action) -> Option<(Setting, u64)> {
    Some(match action {
        Action::Rollback => (Setting::Version, BACK),
        Action::Drain | Action::Cordon => (Setting::InUse, OUT),
        Action::Undrain => (Setting::InUse, IN),
        Action::SetLimit { to, .. } => (Setting::Restraint(Restraint::SetLimit), u64::from(*to)),
        Action::ShiftTraffic { share } => (Setting::Restraint(Restraint::ShiftTraffic), libm::round(share.get() * 1e6) as u64),
        Action::Lift { what } => (Setting::Restraint(*what), LIFTED),
        other => (Setting::Restraint(other.restraint()?), 0),
    })
}

/// Policies that could not act because another one had the target, in the order of their first refusals.
#[must_use]
pub fn conflicts(run: &Transcript) -> Vec<Conflict> {
    let mut waits = Waits::default();
    for record in run.journal.records() {
        let at = record.at;
        match &record.event {
            Event::Decided { policy, incident, .. } | Event::WouldAct { policy, incident, .. } => {
                waits.end((policy, *incident), at, ConflictEnd::Acted);
                waits.decided.insert((policy, *incident), at);
            }
            Event::IncidentClosed { policy, incident, .. } => waits.end((policy, *incident), at, ConflictEnd::GaveUp),
            Event::Refused { policy, incident, what, target, guard, held_by: Some(holder), .. } => {
                let who = (policy, *incident);
                if waits.goes_on(who, holder) {
                    continue;
                }
                waits.end(who, at, ConflictEnd::PassedOn);
                let what = what.as_ref().map_or_else(|| "act".to_owned(), ToString::to_string);
                let first = waits.decided.get(&(&holder.policy, holder.incident)).map(|at| at.as_seconds());
                waits.open.insert(who, waits.all.len());
                waits.all.push(conflict(who, (what, target.clone()), (guard, holder), (at, first)));
            }
            _ => {}
        }
    }
    for index in waits.open.into_values() {
        waits.all[index].until_seconds = run.ledger.ended.as_seconds();
    }
    waits.all
}

/// Who waits for whom, while the journal is read.
#[derive(Default)]
struct Waits<'a> {
    all: Vec<Conflict>,
    /// Those that are not over, by policy and incident.
    open: BTreeMap<(&'a Name, u64), usize>,
    /// When each incident last decided to act.
    decided: BTreeMap<(&'a Name, u64), Time>,
}

impl<'a> Waits<'a> {
    /// Counts a refusal by the same holder as before; whether it was one.
    fn goes_on(&mut self, who: (&'a Name, u64), holder: &Holder) -> bool {
        let Some(known) = self.open.get(&who).map(|index| &mut self.all[*index]) else { return false };
        let is_same = known.holder == holder.policy && known.holder_incident == holder.incident;
        known.refusals += u64::from(is_same);
        is_same
    }

    fn end(&mut self, who: (&'a Name, u64), at: Time, how: ConflictEnd) {
        if let Some(index) = self.open.remove(&who) {
            (self.all[index].until_seconds, self.all[index].end) = (at.as_seconds(), how);
        }
    }
}

fn conflict(
    (policy, incident): (&Name, u64),
    (what, target): (String, Option<Target>),
    (guard, holder): (&Name, &Holder),
    (at, held_seconds): (Time, Option<f64>),
) -> Conflict {
    Conflict {
        policy: policy.clone(),
        incident,
        what,
        target,
        guard: guard.clone(),
        holder: holder.policy.clone(),
        holder_incident: holder.incident,
        held: holder.target.clone(),
        held_seconds,
        from_seconds: at.as_seconds(),
        until_seconds: at.as_seconds(),
        refusals: 1,
        end: ConflictEnd::Waits,
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{ActionOutcome, RestartMode, Scale};

    use super::*;
    use crate::sample::Sample;

    const RESTART: Action = Action::Restart { mode: RestartMode::Rolling };

    /// An action of a policy from its decision to its end, seconds.
    fn acts(run: Sample, (policy, ordinal): (&str, u64), (from, to): (u64, u64), (what, target): (Action, &str)) -> Sample {
        ends(begins(run, (policy, ordinal), from, (what, target)), (policy, ordinal), to, ActionOutcome::Succeeded)
    }

    fn id(policy: &str, ordinal: u64) -> ActionId {
        ActionId { policy: Name::new(policy), ordinal }
    }

    fn begins(run: Sample, (policy, ordinal): (&str, u64), at: u64, (what, target): (Action, &str)) -> Sample {
        let (action, target): (_, Target) = (id(policy, ordinal), target.parse().unwrap());
        let (of, reason) = (Name::new(policy), String::new());
        let decided =
            Event::Decided { policy: of, incident: 0, step: 0, action: action.clone(), what: what.clone(), target: target.clone(), reason };
        run.record(at, decided).record(at, Event::ActionStarted { action, what, target })
    }

    fn ends(run: Sample, (policy, ordinal): (&str, u64), at: u64, outcome: ActionOutcome) -> Sample {
        run.record(at, Event::ActionFinished { action: id(policy, ordinal), outcome })
    }

    /// A policy scales a service within 10 s.
    fn scales(run: Sample, policy: (&str, u64), at: u64, (from, to): (u32, u32)) -> Sample {
        let run = begins(run, policy, at, (Action::Scale { replicas: Scale::To(to) }, "service/api"));
        ends(run.record(at, Event::Scaled { service: Name::new("api"), from, to }), policy, at + 10, ActionOutcome::Succeeded)
    }

    fn autoscales(run: Sample, at: u64, (from, to): (u32, u32)) -> Sample {
        run.record(at, Event::Autoscaled { service: Name::new("api"), from, to, figures: String::new() })
    }

    fn told(run: Sample) -> Vec<String> {
        fights(&run.build(), &OutcomeSettings::default()).iter().map(ToString::to_string).collect()
    }

    fn count(run: Sample) -> (usize, u64, u64) {
        let fights = fights(&run.build(), &OutcomeSettings::default());
        (fights.len(), fights.iter().map(|fight| fight.undone).sum(), fights.iter().map(|fight| fight.disturbed).sum())
    }

    #[test]
    fn what_one_scales_out_and_the_autoscaler_scales_in_again_and_again_is_a_fight() {
        let run = autoscales(scales(Sample::new(3000), ("out", 0), 100, (2, 4)), 400, (4, 2));
        let run = autoscales(scales(run, ("out", 1), 500, (2, 4)), 800, (4, 2));
        let sentence = "out and the autoscaler of api fight over service/api from 1m40s to 13m20s: 3 times one undid what the other had done; \
            1m40s out: scale (from 2 to 4) on service/api; 6m40s the autoscaler of api: scale (from 4 to 2) on service/api; 8m20s out: scale \
            (from 2 to 4) on service/api; 13m20s the autoscaler of api: scale (from 4 to 2) on service/api";
        assert_eq!(told(run), [sentence]);
    }

    #[test]
    fn to_undo_once_is_no_fight_and_what_is_undone_later_than_the_window_is_not_counted() {
        let once = || autoscales(scales(Sample::new(3000), ("out", 0), 100, (2, 4)), 400, (4, 2));
        assert_eq!(count(once()), (0, 0, 0));
        // The window is closed at its far end: 10 minutes later is still within it.
        assert_eq!(count(scales(once(), ("out", 1), 1000, (2, 4))), (1, 2, 0));
        assert_eq!(count(scales(once(), ("out", 1), 1001, (2, 4))), (0, 0, 0));
    }

    #[test]
    fn whoever_goes_the_same_way_or_undoes_what_is_their_own_fights_nobody() {
        let both = autoscales(scales(Sample::new(3000), ("out", 0), 100, (2, 4)), 200, (4, 6));
        assert_eq!(count(scales(both, ("out", 1), 300, (6, 8))), (0, 0, 0));
        let own = scales(scales(Sample::new(3000), ("out", 0), 100, (2, 4)), ("out", 1), 200, (4, 2));
        assert_eq!(count(scales(own, ("out", 2), 300, (2, 4))), (0, 0, 0));
    }

    #[test]
    fn to_restart_what_another_one_is_draining_or_promoting_is_a_fight_at_once() {
        let drained = |restart: u64| {
            let run = acts(Sample::new(600), ("drain", 0), (100, 160), (Action::Drain, "replica/api-1"));
            acts(run, ("restart", 0), (restart, restart + 20), (RESTART, "service/api"))
        };
        let sentence = "drain and restart fight over service/api from 1m40s to 2m39s: 1 time one disturbed what the other was doing; 1m40s drain: \
            drain on replica/api-1; 2m39s restart: restart (rolling) on service/api";
        assert_eq!(told(drained(159)), [sentence]);
        assert_eq!(count(drained(160)), (0, 0, 0), "it is done");
        let other = acts(Sample::new(600), ("drain", 0), (100, 160), (Action::Drain, "replica/api-1"));
        assert_eq!(count(acts(other, ("restart", 0), (120, 130), (RESTART, "replica/api-0"))), (0, 0, 0), "another replica");
        let zone = acts(Sample::new(600), ("drain", 0), (100, 160), (Action::Drain, "zone/a"));
        assert_eq!(count(acts(zone, ("restart", 0), (120, 130), (RESTART, "service/api"))), (1, 0, 1), "it has replicas in the zone");
        let zone = acts(Sample::new(600), ("drain", 0), (100, 160), (Action::Drain, "zone/b"));
        assert_eq!(count(acts(zone, ("restart", 0), (120, 130), (RESTART, "service/db"))), (0, 0, 0), "it has none there");
    }

    #[test]
    fn to_restart_what_another_one_is_restarting_is_a_fight_at_once() {
        let both = |one: &str, other: &str, at: u64| {
            let run = acts(Sample::new(600), ("first", 0), (100, 160), (RESTART, one));
            count(acts(run, ("second", 0), (at, at + 20), (RESTART, other)))
        };
        assert_eq!(both("replica/api-1", "service/api", 100), (1, 0, 1), "at one instant");
        assert_eq!(both("service/api", "replica/api-1", 159), (1, 0, 1));
        assert_eq!(both("service/api", "replica/api-1", 160), (0, 0, 0), "it is done");
        assert_eq!(both("replica/api-0", "replica/api-1", 120), (0, 0, 0), "another replica");
        assert_eq!(both("service/api", "service/db", 120), (0, 0, 0), "another service");
        let own = acts(Sample::new(600), ("first", 0), (100, 160), (RESTART, "replica/api-1"));
        assert_eq!(count(acts(own, ("first", 1), (110, 120), (RESTART, "service/api"))), (0, 0, 0), "its own");
    }

    #[test]
    fn a_new_primary_may_not_be_restarted_until_it_has_stood_for_a_while() {
        let failed_over = |target: &str, at: u64| {
            let run = begins(Sample::new(3000), ("data", 0), 100, (Action::FailOver, "service/db"));
            let (state, figures) = (Name::new("promoted"), String::new());
            let promoted =
                Event::PrimaryChanged { service: Name::new("db"), replica: Some(Name::new("db-1")), state, figures, lost_writes: 0 };
            let run = ends(run.record(110, promoted), ("data", 0), 120, ActionOutcome::Succeeded);
            count(acts(run, ("shop", 0), (at, at + 20), (RESTART, target)))
        };
        assert_eq!(failed_over("service/db", 115), (1, 0, 1));
        assert_eq!(failed_over("service/db", 720), (1, 0, 1), "10 minutes after its end");
        assert_eq!(failed_over("service/db", 721), (0, 0, 0));
        assert_eq!(failed_over("replica/db-1", 300), (1, 0, 1));
        assert_eq!(failed_over("replica/db-0", 300), (0, 0, 0), "the old primary comes back as a standby");
    }

    #[test]
    fn what_an_autoscaler_brings_up_may_not_be_restarted_before_it_is_up() {
        let changed = |replica: &str, state| Event::ReplicaChanged { replica: Name::new(replica), state, reason: String::new() };
        let growing = || {
            let run = autoscales(Sample::new(600), 100, (2, 3)).record(100, changed("api-2", ReplicaState::Starting));
            run.record(140, changed("api-2", ReplicaState::Ready))
        };
        let restarted = |target: &str, at: u64| count(acts(growing(), ("restart", 0), (at, at + 5), (RESTART, target)));
        assert_eq!(restarted("service/api", 139), (1, 0, 1));
        assert_eq!(restarted("replica/api-2", 139), (1, 0, 1));
        assert_eq!(restarted("replica/api-0", 139), (0, 0, 0), "it was there before");
        assert_eq!(restarted("service/api", 140), (0, 0, 0));
    }

    #[test]
    fn what_the_platform_turned_away_has_disturbed_nobody() {
        let run = acts(Sample::new(600), ("drain", 0), (100, 160), (Action::Drain, "replica/api-1"));
        let run = begins(run, ("restart", 0), 120, (RESTART, "service/api"));
        assert_eq!(count(ends(run, ("restart", 0), 121, ActionOutcome::Failed("no".into()))), (0, 0, 0));
    }

    #[test]
    fn a_limit_that_two_set_in_turn_and_a_release_that_is_rolled_back_and_deployed_again_are_fights() {
        let limit = |to| Action::SetLimit { limit: firedrill_core::action::Limit::Pool, to };
        let set = |run, policy, at, to| acts(run, policy, (at, at + 2), (limit(to), "service/api"));
        let run = set(set(set(Sample::new(900), ("a", 0), 10, 20), ("b", 0), 60, 40), ("a", 1), 120, 20);
        assert_eq!(count(run), (1, 2, 0));
        let rolls = |run: Sample, at: u64, version: &str| {
            run.record(at, Event::RolloutStarted { service: Name::new("api"), version: Name::new(version), reason: String::new() })
                .record(at + 30, Event::RolloutFinished { service: Name::new("api"), version: Name::new(version) })
        };
        let back = |run: Sample, ordinal: u64, at: u64| {
            let run = begins(run, ("undo", ordinal), at, (Action::Rollback, "service/api"));
            ends(rolls(run, at, "v1"), ("undo", ordinal), at + 30, ActionOutcome::Succeeded)
        };
        let once = || back(rolls(Sample::new(900), 100, "v2"), 0, 200);
        assert_eq!(count(once()), (0, 0, 0), "a rollback alone is what it is for");
        assert_eq!(count(rolls(once(), 300, "v2")), (1, 2, 0));
    }

    fn refused(run: Sample, at: u64, (policy, incident): (&str, u64), holder: &str) -> Sample {
        let target: Target = "service/db".parse().unwrap();
        let held_by = Some(Holder { policy: Name::new(holder), incident: 0, target: target.clone(), until: None });
        let (guard, figures) = (Name::new("mutual_exclusion"), String::new());
        let what = Some(RESTART);
        run.record(at, Event::Refused { policy: Name::new(policy), incident, step: 0, what, target: Some(target), guard, figures, held_by })
    }

    #[test]
    fn a_wait_for_another_policy_is_a_conflict_until_it_acts_gives_up_or_the_run_ends() {
        let held = || begins(Sample::new(600), ("data", 0), 100, (Action::FailOver, "service/db"));
        let told = |run: Sample| conflicts(&run.build()).iter().map(ToString::to_string).collect::<Vec<_>>();
        let waits = || refused(refused(held(), 115, ("shop", 0), "data"), 175, ("shop", 0), "data");
        let sentence = |end: &str| {
            [format!(
                "shop may not restart (rolling) on service/db at 1m55s, because data has service/db and came first, at 1m40s; refused 2 times, {end}"
            )]
        };
        assert_eq!(told(waits()), sentence("and still waits when the run ends, 8m5s later"));
        assert_eq!(told(begins(waits(), ("shop", 0), 235, (RESTART, "service/db"))), sentence("and acts after 2m"));
        let closed = Event::IncidentClosed { policy: Name::new("shop"), incident: 0, reason: String::new() };
        assert_eq!(told(waits().record(200, closed)), sentence("and gives up after 1m25s"));
        let at_once = told(refused(held(), 100, ("shop", 0), "data"));
        assert!(at_once[0].contains("because data has service/db and comes first, by name, at that instant"), "{at_once:?}");
        assert_eq!(told(refused(waits(), 190, ("shop", 0), "other")).len(), 2, "another holder is another conflict");
    }
}
