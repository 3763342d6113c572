//! Steps of several actions: those that start together, those that come to one target after the other, and those that somebody defined.
//!
//! - A step is planned as waves. What is in a wave starts together; each action passes the guards by itself, and those before it count as in
//!   flight already. An action that somebody defined passes them once, as the sum of its parts, which then follow each other; all of them are held
//!   from the start, until they are done or given up.
//! - A wave is done when all of it has ended. Of a staged step it is verified before the next begins; otherwise the step is, at its end.
//! - What a guard keeps back of a staged wave is put off to a wave of its own, as long as something of the wave could start. Of a parallel
//!   step it counts as failed. If nothing could start, the step is refused as any other.
//! - Undoing undoes what was carried out in all waves, together; the parts of an action that somebody defined one after the other, the last first, as one
//!   action too.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, ActionId, ActionOutcome, ActionResult, Fence, Scale, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Event;
use firedrill_core::name::Name;

use super::approving::{Wanted, is_for_people};
use super::proposing::{Gathered, is_for_a_person, reason};
use super::state::{Group, Incident, Phase, Piece};
use super::turn::Turn;
use super::{ASSUMED_ACTION, Effect, MOST_TARGETS, REPORT_TIMEOUT, REPORT_TIMERS, RETRY_AFTER};
use crate::guard::ineffective_chain::Helped;
use crate::guard::stage::is_reversible;
use crate::guard::{Answer, Guard, Instead, Proposal, is_declared, owner_of, service_of};
use crate::policy::{ConditionAt, Deed, Each, NameSource, Order, Staged, TargetSource, inverse};

impl Turn<'_> {
    /// Begins a step of several actions, or its next wave.
    pub(super) fn propose_together(&mut self, mut incident: Box<Incident>) {
        self.tell_guards();
        if incident.group.as_ref().is_some_and(|group| group.has_begun()) {
            return self.inquire(incident, false);
        }
        let policy = self.setup.policy.clone();
        if let Some(staged) = policy.staged(incident.step) {
            return self.list(incident, staged);
        }
        let (step, is_one) = (incident.step, matches!(policy.steps.get(incident.step).map(|step| &step.deed), Some(Deed::Own(_))));
        let target = |own: &Option<TargetSource>| {
            let source = own.as_ref().unwrap_or_else(|| policy.target_of(step));
            source.resolve(&incident.labels).expect("the alert has every label that the policy needs")
        };
        let pieces = policy.parts(step).iter();
        let pieces = pieces.map(|part| Piece { action: part.action.clone(), target: target(&part.target), modelled: part.modelled });
        let pieces: Vec<Piece> = pieces.collect();
        // What labels make one and the same is not done twice at a time.
        let waves = if is_one { one_by_one(pieces) } else { vec![each_once(pieces)] };
        incident.group = Some(Group::new(waves));
        self.inquire(incident, false);
    }

    /// Finds the targets of a staged step.
    fn list(&mut self, mut incident: Box<Incident>, staged: &Staged) {
        match &staged.from {
            Each::Declared => {
                let target = self.target(&incident);
                let entry = service_of(&target, &self.setup.inventory)
                    .and_then(|service| Some((service.clone(), self.setup.inventory.services.get(&service)?)));
                let names =
                    entry.map(|(service, entry)| (0..entry.replicas).map(|index| Inventory::replica_name(&service, index)).collect());
                let why = if names.is_none() { format!("{target} is not declared") } else { String::new() };
                self.listed(incident, names.unwrap_or_default(), why);
            }
            Each::Alerts if self.setup.policy.correlation.is_none() => {
                let NameSource::Label(label) = &staged.each.name else { unreachable!("each is named by a label") };
                let names = self
                    .state
                    .alerts
                    .iter()
                    .filter_map(|(_, firing)| firing.notification.labels.get(label).filter(|name| !name.is_empty()));
                let names: BTreeSet<Name> = names.cloned().collect();
                self.listed(incident, names.into_iter().collect(), String::new());
            }
            Each::Alerts | Each::Series(_) => {
                let query = self.state.next_query;
                self.state.next_query += 1;
                let question = self.question(&incident, ConditionAt::Each(incident.step));
                self.effects.push(Effect::Evaluate { query, question, at: self.now });
                incident.phase = Phase::Listing { query };
                self.keep(incident);
            }
        }
    }

    /// The names that were asked for have come. Those that nobody waits for any more change nothing.
    pub(super) fn names_came(&mut self, query: u64, names: Vec<Name>, error: String) {
        let is_listing = |incident: &&Incident| matches!(incident.phase, Phase::Listing { .. });
        if let Some(id) = self.state.incidents.asking(query).filter(is_listing).map(|incident| incident.id) {
            let incident = self.take(id);
            self.listed(incident, names, error);
        }
    }

    /// The targets are known: they are put in order, and in waves.
    fn listed(&mut self, mut incident: Box<Incident>, names: Vec<Name>, error: String) {
        let policy = self.setup.policy.clone();
        let staged = policy.staged(incident.step).expect("only a staged step lists");
        let targets: Vec<Target> = names.into_iter().map(|name| staged.each.kind.named(name)).collect();
        let is_known = |target: &Target| is_declared(target, &self.setup.inventory) != Some(false);
        let (targets, unknown): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(is_known);
        for target in unknown.iter().take(MOST_TARGETS) {
            self.leave_out(&incident, staged.action.clone(), target);
        }
        let why = match targets.len() {
            _ if !error.is_empty() => error,
            0 if !unknown.is_empty() => format!("none of {} targets is declared", unknown.len()),
            0 => "there is nothing to act on".to_owned(),
            count if count > MOST_TARGETS => format!("{count} targets are more than {MOST_TARGETS}"),
            _ => {
                let waves = waves(staged, targets, &self.setup.inventory);
                let (policy, step) = (self.name(), incident.step as u32);
                self.record(Event::Planned { policy, incident: incident.id, step, waves: waves.clone() });
                let piece = |target| Piece { action: staged.action.clone(), target, modelled: None };
                incident.group = Some(Group::new(waves.into_iter().map(|wave| wave.into_iter().map(piece).collect()).collect()));
                return self.inquire(incident, false);
            }
        };
        let (step, guard, what) = (incident.step as u32, Name::new("target"), Some(staged.action.clone()));
        self.record(Event::Refused {
            policy: self.name(),
            incident: incident.id,
            step,
            what,
            target: None,
            guard,
            figures: why.clone(),
            held_by: None,
        });
        if incident.has_acted {
            return self.hand_over(incident, &format!("step {} has no target: {why}", step + 1));
        }
        incident.phase = Phase::Held { timer: Some(self.set_timer(self.now.saturating_add(RETRY_AFTER))), by: "target".to_owned() };
        self.keep(incident);
    }

    /// A target of a staged step that nobody has declared is none; the others go on without it.
    fn leave_out(&mut self, incident: &Incident, what: Action, target: &Target) {
        self.record(Event::Refused {
            policy: self.name(),
            incident: incident.id,
            step: incident.step as u32,
            what: Some(what),
            target: Some(target.clone()),
            guard: Name::new("target"),
            figures: format!("{target} is not declared, and is left out"),
            held_by: None,
        });
    }

    /// Everything is known: what may of the next wave starts.
    pub(super) fn decide_together(&mut self, mut incident: Box<Incident>, gathered: &Gathered) {
        let policy = self.setup.policy.clone();
        let deed = policy.steps.get(incident.step).map(|step| &step.deed);
        if let Some(Deed::Own(own)) = deed
            && incident.group.as_ref().is_some_and(Group::has_begun)
        {
            return self.go_on_unless_stopped(incident, &own.name, gathered);
        }
        let group = incident.group.as_mut().expect("a step of several actions is planned before it is decided");
        let wave = group.waves.remove(0);
        let why = reason(&incident, gathered.prechecks());
        incident.objective = gathered.objective();
        if let Some(Deed::Own(own)) = deed {
            return self.decide_own(incident, (wave, &own.name), gathered, why);
        }
        let Some(mut incident) = self.ask_of_wave(incident, &wave, gathered) else { return };
        let mut begun = Begun::default();
        let (mut kept_back, mut strictest) = (Vec::new(), None::<(Guard, Answer)>);
        for piece in wave {
            let proposal = self.proposal_of(&incident, &piece);
            match self.ask(&incident, std::slice::from_ref(&proposal), &Guard::ALL, gathered) {
                None => {
                    incident.is_careful |= self.is_careful(&incident, std::slice::from_ref(&proposal), gathered);
                    self.guards.started(&proposal, self.now);
                    // What starts after it is asked whether the breaker has opened by it.
                    self.guards.observe(&policy.name, policy.guards.breaker.as_ref(), self.now);
                    self.begin(&incident, piece, why.clone(), &mut begun);
                    begun.proposals.push(proposal);
                }
                Some((guard, answer)) => {
                    self.journal_refusal(&incident, (Some(piece.action.clone()), piece.target.clone()), guard, &answer);
                    // What the stage leaves to people is proposed to a person, and the rest goes on without it.
                    if !is_for_a_person(guard, &answer) {
                        kept_back.push((piece, format!("refused by {}: {}", guard.word(), answer.figures)));
                    }
                    if strictest.as_ref().is_none_or(|(_, before)| answer.instead > before.instead) {
                        strictest = Some((guard, answer));
                    }
                }
            }
        }
        if begun.proposals.is_empty() {
            let (guard, answer) = strictest.expect("a wave has something in it");
            incident.group = None;
            return self.hold_back(incident, guard, &answer);
        }
        if let Some((guard, answer)) = strictest.filter(|(_, answer)| answer.instead > Instead::Wait) {
            let approvals = self.approvals(incident.id);
            let why = format!("{}: {}{approvals}", guard.word(), answer.figures);
            self.page(&incident, &format!("step {} was refused in part by {why}", incident.step + 1));
        }
        let group = incident.group.as_mut().expect("it was there above");
        if policy.staged(incident.step).is_some() {
            let put_off: Vec<Piece> = kept_back.into_iter().map(|(piece, _)| piece).collect();
            if !put_off.is_empty() {
                group.waves.insert(0, put_off);
            }
        } else {
            group.failures.extend(kept_back.into_iter().map(|(piece, why)| format!("{} on {} was {why}", piece.action, piece.target)));
        }
        self.begun(incident, begun);
    }

    /// If people must allow any of a wave, all of it waits for them; otherwise it gives the incident back.
    fn ask_of_wave(&mut self, mut incident: Box<Incident>, wave: &[Piece], gathered: &Gathered) -> Option<Box<Incident>> {
        let mut wanted = Vec::new();
        for piece in wave {
            let proposal = self.proposal_of(&incident, piece);
            let refusal = self.answers(&incident, std::slice::from_ref(&proposal), &Guard::ALL, gathered).0.pop();
            if let Some((guard, answer)) = refusal.filter(|(guard, answer)| is_for_people(*guard, answer)) {
                self.journal_verdict(&incident, guard, &answer);
                self.journal_refusal(&incident, (Some(piece.action.clone()), piece.target.clone()), guard, &answer);
                self.guards.remediations.claim(&proposal);
                wanted.push(Wanted::of(&[proposal], &answer.figures));
            }
        }
        if wanted.is_empty() {
            return Some(incident);
        }
        if let Some(group) = &mut incident.group {
            group.waves.insert(0, wave.to_vec());
        }
        self.ask_people(incident, wanted, gathered);
        None
    }

    /// An action that somebody defined passes the guards once, as the sum of its parts.
    fn decide_own(&mut self, mut incident: Box<Incident>, (first, name): (Vec<Piece>, &Name), gathered: &Gathered, why: String) {
        let group = incident.group.as_ref().expect("it is planned");
        let pieces: Vec<Piece> = first.iter().chain(group.waves.iter().flatten()).cloned().collect();
        let proposals: Vec<Proposal> = pieces.iter().map(|piece| self.proposal_of(&incident, piece)).collect();
        if let Some((guard, answer)) = self.ask(&incident, &proposals, &Guard::ALL, gathered) {
            let Piece { action, target, .. } = &pieces[0];
            self.journal_refusal(&incident, (Some(action.clone()), target.clone()), guard, &answer);
            incident.group = None;
            if is_for_people(guard, &answer) {
                self.guards.remediations.claim(&proposals[0]);
                return self.ask_people(incident, vec![Wanted::of(&proposals, &answer.figures)], gathered);
            }
            return self.hold_back(incident, guard, &answer);
        }
        self.guards.started_whole(&proposals, self.now);
        incident.is_careful = self.is_careful(&incident, &proposals, gathered);
        let mut begun = Begun { proposals, ..Begun::default() };
        let count = pieces.len();
        for piece in first {
            self.begin(&incident, piece, format!("{why}: part 1 of {count} of {name}"), &mut begun);
        }
        self.begun(incident, begun);
    }

    /// The next part of an action that somebody defined. What cannot be undone does not begin before the kill switches are asked again.
    fn ask_or_go_on(&mut self, incident: Box<Incident>, name: &Name) {
        let group = incident.group.as_ref().expect("it is planned");
        let is_final = group.waves[0].iter().any(|piece| !is_reversible(&piece.action));
        if is_final && self.setup.policy.guards.has(Guard::KillSwitch) {
            return self.inquire(incident, true);
        }
        self.next_part(incident, name);
    }

    /// The kill switches have been asked in the middle of an action: it goes on, or a person has what is half done.
    fn go_on_unless_stopped(&mut self, incident: Box<Incident>, name: &Name, gathered: &Gathered) {
        let group = incident.group.as_ref().expect("it is planned");
        let proposals: Vec<Proposal> = group.waves[0].iter().map(|piece| self.proposal_of(&incident, piece)).collect();
        match self.ask(&incident, &proposals, &[Guard::KillSwitch], gathered) {
            None => self.next_part(incident, name),
            Some((guard, answer)) => {
                let Proposal { action, target, .. } = proposals[0].clone();
                self.journal_refusal(&incident, (Some(action), target), guard, &answer);
                self.guards.remediations.given_up(&self.setup.policy.name, incident.id);
                self.hold_back(incident, guard, &answer);
            }
        }
    }

    /// The next part of an action that somebody defined, which has passed the guards.
    fn next_part(&mut self, mut incident: Box<Incident>, name: &Name) {
        let group = incident.group.as_mut().expect("it is planned");
        let (number, wave) = (group.earlier.len() + 1, group.waves.remove(0));
        let count = number + group.waves.iter().flatten().count();
        let mut begun = Begun { fence: group.fence.clone(), ..Begun::default() };
        for piece in wave {
            let proposal = self.proposal_of(&incident, &piece);
            self.guards.remediations.started(&proposal);
            self.begin(&incident, piece, format!("{} fires: part {number} of {count} of {name}", incident.alert), &mut begun);
        }
        self.begun(incident, begun);
    }

    /// An action begins: it is decided, or in dry-run would be.
    fn begin(&mut self, incident: &Incident, piece: Piece, reason: String, begun: &mut Begun) {
        let (policy, step) = (self.name(), incident.step as u32);
        let Piece { action, target, modelled } = piece.clone();
        let Some(actuator) = self.setup.actuator else {
            self.record(Event::WouldAct { policy, incident: incident.id, step, what: action, target, reason });
            return;
        };
        let id = self.next_action();
        self.spend(incident, &action, &target);
        let (number, what, to) = (id.clone(), action.clone(), target.clone());
        self.record(Event::Decided { policy, incident: incident.id, step, action: number, what, target: to, reason });
        begun.starts.push(self.effects.len());
        self.effects.push(Effect::Start(actuator.command(id.clone(), action, target).as_modelled(modelled)));
        let timer = REPORT_TIMERS + id.ordinal;
        self.effects.push(Effect::SetTimer { timer, at: self.now.saturating_add(REPORT_TIMEOUT) });
        begun.running.push((id, piece));
    }

    /// All that may has begun: the locks are taken together, and the incident waits for the ends.
    fn begun(&mut self, mut incident: Box<Incident>, begun: Begun) {
        let settings = &self.setup.policy.guards;
        let Begun { proposals, running, starts, fence } = begun;
        let taken = match proposals.is_empty() {
            true => None,
            false => self.guards.locked_together(&proposals, settings.mutual_exclusion, &self.setup.inventory, self.now),
        };
        let fence = fence.or(taken);
        self.guards.observe(&self.setup.policy.name, settings.breaker.as_ref(), self.now);
        for index in starts {
            if let Effect::Start(command) = &mut self.effects[index] {
                *command = command.clone().under(fence.clone());
            }
        }
        if self.setup.actuator.is_none() {
            let lasting = self.verify_of(&incident).map_or(ASSUMED_ACTION, |verify| verify.within);
            incident.phase = Phase::Assumed { timer: self.set_timer(self.now.saturating_add(lasting)) };
            return self.keep(incident);
        }
        if incident.is_careful && !incident.group.as_ref().is_some_and(|group| group.reverting) {
            self.inform_of_care(&incident);
        }
        let group = incident.group.as_mut().expect("it is planned");
        (group.running, group.fence) = (running, fence);
        incident.has_acted = true;
        incident.phase = Phase::Together;
        self.keep(incident);
    }

    /// The report of one of several has not come in time: nobody knows what it did. A person is called when all others have ended.
    pub(super) fn one_unreported(&mut self, mut incident: Box<Incident>, ordinal: u64) {
        let group = incident.group.as_mut().expect("it was found so");
        let index = group.running.iter().position(|(id, _)| id.ordinal == ordinal).expect("it was found so");
        let (id, piece) = group.running.remove(index);
        let Piece { action, target, .. } = &piece;
        group.failures.push(format!("{action} on {target} ({id}) was not reported within {REPORT_TIMEOUT}: nobody knows what it did"));
        group.is_lost = true;
        let (has_ended, reverting) = (group.running.is_empty(), group.reverting);
        let policy = self.setup.policy.name.clone();
        self.guards.ended_one((&policy, incident.id), Some((action, target)), self.now);
        incident.last_end = Some(self.now);
        if !reverting {
            self.judge_pieces(&incident, &[piece], Helped::Failed);
        }
        if has_ended { self.wave_ended(incident) } else { self.keep(incident) }
    }

    /// One of several has ended.
    pub(super) fn one_ended(&mut self, mut incident: Box<Incident>, result: &ActionResult) {
        self.cancel(REPORT_TIMERS + result.action.ordinal);
        let is_verified = self.verify_of(&incident).is_some();
        let group = incident.group.as_mut().expect("it was found so");
        let index = group.running.iter().position(|(id, _)| *id == result.action).expect("it was found so");
        let (_, piece) = group.running.remove(index);
        let reverting = group.reverting;
        match &result.outcome {
            ActionOutcome::Succeeded => group.done.push(piece.clone()),
            ActionOutcome::Failed(why) | ActionOutcome::Refused(why) => {
                group.failures.push(format!("{} on {} failed: {why}", piece.action, piece.target))
            }
        }
        let has_ended = group.running.is_empty();
        let policy = self.setup.policy.name.clone();
        self.guards.ended_one((&policy, incident.id), Some((&piece.action, &piece.target)), self.now);
        incident.last_end = Some(self.now);
        match &result.outcome {
            ActionOutcome::Failed(_) | ActionOutcome::Refused(_) if !reverting => self.judge_pieces(&incident, &[piece], Helped::Failed),
            ActionOutcome::Succeeded if !reverting && !is_verified => self.judge_pieces(&incident, &[piece], Helped::Unverified),
            _ => {}
        }
        if has_ended { self.wave_ended(incident) } else { self.keep(incident) }
    }

    /// All of a wave has ended.
    fn wave_ended(&mut self, mut incident: Box<Incident>) {
        let policy = self.setup.policy.clone();
        let deed = policy.steps.get(incident.step).map(|step| &step.deed);
        let group = incident.group.as_mut().expect("it was found so");
        if group.reverting && !group.waves.is_empty() {
            return self.undo_next(incident);
        }
        let failures = group.failures.join("; ");
        if !failures.is_empty() {
            self.guards.remediations.given_up(&policy.name, incident.id);
        }
        if group.is_lost {
            let reason = format!("step {}: {failures}", incident.step + 1);
            return self.hand_over(incident, &reason);
        }
        match (group.reverting, group.failures.is_empty()) {
            (true, true) => return self.hand_over(incident, "the actions did not help and were reverted"),
            (true, false) => return self.hand_over(incident, &format!("the revert failed: {failures}")),
            (false, false) => {
                let carried_out = !group.done.is_empty() || !group.earlier.is_empty();
                return self.failed(incident, carried_out, &failures);
            }
            (false, true) => {}
        }
        if let Some(Deed::Own(own)) = deed
            && !group.waves.is_empty()
        {
            let done = std::mem::take(&mut group.done);
            group.earlier.extend(done);
            return self.ask_or_go_on(incident, &own.name);
        }
        self.done(incident);
    }

    /// A wave is verified. Says whether there is another, which then begins.
    pub(super) fn goes_wider(&mut self, incident: &mut Incident) -> bool {
        let Some(group) = &mut incident.group else { return false };
        let done = std::mem::take(&mut group.done);
        group.earlier.extend(done);
        let is_more = !group.waves.is_empty();
        if is_more {
            self.guards.remediations.settled(&self.setup.policy.name, incident.id);
        }
        is_more
    }

    /// The last word on what a step has done, for the guards.
    pub(super) fn judge_pieces(&mut self, incident: &Incident, pieces: &[Piece], effect: Helped) {
        let policy = self.setup.policy.clone();
        for piece in pieces {
            let proposal = self.proposal_of(incident, piece);
            self.guards.judged(&proposal, effect, self.now);
        }
        self.guards.observe(&policy.name, policy.guards.breaker.as_ref(), self.now);
    }

    /// Undoes all that a step of several actions has carried out.
    pub(super) fn revert_together(&mut self, mut incident: Box<Incident>, why: &str) {
        let is_one = matches!(self.setup.policy.steps.get(incident.step).map(|step| &step.deed), Some(Deed::Own(_)));
        let group = incident.group.as_mut().expect("only what is of several comes here");
        let (done, earlier) = (std::mem::take(&mut group.done), std::mem::take(&mut group.earlier));
        group.waves.clear();
        group.failures.clear();
        group.reverting = true;
        why.clone_into(&mut group.why);
        let (mut undoings, mut left) = (Vec::new(), Vec::new());
        for piece in earlier.into_iter().chain(done).rev() {
            match inverse(&piece.action, &piece.target, &self.setup.inventory) {
                Some(undo) => undoings.push(Piece { action: undo, ..piece }),
                None => left.push(format!("{} on {} cannot be reverted: it is not declared", piece.action, piece.target)),
            }
        }
        let undoings = needed(undoings);
        let (begun, left) =
            if is_one { self.undo_as_one(&mut incident, undoings, left) } else { self.undo_at_once(&incident, undoings, left) };
        if begun.proposals.is_empty() {
            return self.hand_over(incident, &format!("{why}; {}", left.join("; ")));
        }
        if let Some(group) = &mut incident.group {
            group.failures = left;
        }
        self.begun(incident, begun);
    }

    /// Begins whatever of several undoings the guards let pass. Gives what has begun, and what is left and why.
    fn undo_at_once(&mut self, incident: &Incident, undoings: Vec<Piece>, mut left: Vec<String>) -> (Begun, Vec<String>) {
        let mut begun = Begun::default();
        for piece in undoings {
            let proposal = self.proposal_of(incident, &piece);
            match self.ask_to_undo(incident, std::slice::from_ref(&proposal)) {
                Ok(()) => {
                    self.guards.started(&proposal, self.now);
                    self.begin(incident, piece, undoing(incident), &mut begun);
                    begun.proposals.push(proposal);
                }
                Err(why) => left.push(why),
            }
        }
        (begun, left)
    }

    /// As [`Self::undo_at_once`], of the parts of an action that somebody defined: they pass together, and the first begins.
    fn undo_as_one(&mut self, incident: &mut Incident, undoings: Vec<Piece>, mut left: Vec<String>) -> (Begun, Vec<String>) {
        let mut begun = Begun::default();
        let proposals: Vec<Proposal> = undoings.iter().map(|piece| self.proposal_of(incident, piece)).collect();
        let mut waves = one_by_one(undoings);
        if waves.is_empty() {
            return (begun, left);
        }
        if let Err(why) = self.ask_to_undo(incident, &proposals) {
            left.push(why);
            return (begun, left);
        }
        self.guards.started_whole(&proposals, self.now);
        for piece in waves.remove(0) {
            self.begin(incident, piece, undoing(incident), &mut begun);
        }
        begun.proposals = proposals;
        if let Some(group) = &mut incident.group {
            group.waves = waves;
        }
        (begun, left)
    }

    /// The next undoing of several that follow each other, whatever became of those before: what is half done must not be left so.
    fn undo_next(&mut self, mut incident: Box<Incident>) {
        let group = incident.group.as_mut().expect("it is planned");
        let wave = group.waves.remove(0);
        let mut begun = Begun { fence: group.fence.clone(), ..Begun::default() };
        for piece in wave {
            let proposal = self.proposal_of(&incident, &piece);
            self.guards.remediations.started(&proposal);
            self.begin(&incident, piece, undoing(&incident), &mut begun);
        }
        self.begun(incident, begun);
    }

    /// Asks the guards that are asked before undoing, of all that is undone as one; if they refuse, says what is left and why.
    fn ask_to_undo(&mut self, incident: &Incident, proposals: &[Proposal]) -> Result<(), String> {
        let guards: Vec<Guard> = Guard::ALL.into_iter().filter(|guard| guard.is_asked_before_undoing()).collect();
        let Some((guard, answer)) = self.ask(incident, proposals, &guards, &Gathered::default()) else { return Ok(()) };
        let Proposal { action, target, .. } = &proposals[0];
        self.journal_refusal(incident, (Some(action.clone()), target.clone()), guard, &answer);
        let what: Vec<String> = proposals.iter().map(|own| format!("{} on {}", own.action, own.target)).collect();
        Err(format!("{} was refused by {}: {}", what.join(" and "), guard.word(), answer.figures))
    }

    fn proposal_of(&self, incident: &Incident, piece: &Piece) -> Proposal {
        let owner = owner_of(incident.target.as_ref().unwrap_or(&piece.target), &self.setup.inventory);
        Proposal { policy: self.name(), incident: incident.id, action: piece.action.clone(), target: piece.target.clone(), owner }
    }
}

/// What of a wave has begun.
#[derive(Default)]
struct Begun {
    proposals: Vec<Proposal>,
    running: Vec<(ActionId, Piece)>,
    /// Where the commands stand among the effects.
    starts: Vec<usize>,
    /// Locks that are held already.
    fence: Option<Fence>,
}

/// Why something is undone.
fn undoing(incident: &Incident) -> String {
    format!("undo: {}", incident.group.as_ref().map_or("", |group| group.why.as_str()))
}

/// A wave for each.
fn one_by_one(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    pieces.into_iter().map(|piece| vec![piece]).collect()
}

/// Without what is there already.
fn each_once(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut once: Vec<Piece> = Vec::new();
    for piece in pieces {
        if !once.iter().any(|own| own.action == piece.action && own.target == piece.target) {
            once.push(piece);
        }
    }
    once
}

/// Undoings in their order, without those that others make needless: what sets something back for good does it once, and nothing is added to or taken from a
/// number that is set back to what is declared. Flags are set again as they were set, but not twice in a row.
fn needed(undoings: Vec<Piece>) -> Vec<Piece> {
    let is_to = |piece: &Piece| matches!(piece.action, Action::Scale { replicas: Scale::To(_) });
    let set_back: BTreeSet<Target> = undoings.iter().filter(|piece| is_to(piece)).map(|piece| piece.target.clone()).collect();
    let mut kept: Vec<Piece> = Vec::new();
    for piece in undoings {
        let mut alike = kept.iter().rev().filter(|own| own.target == piece.target);
        let is_needless = match &piece.action {
            Action::Scale { replicas: Scale::By(_) } => set_back.contains(&piece.target),
            Action::SetFlag { flag, .. } => {
                let last = alike.find(|own| matches!(&own.action, Action::SetFlag { flag: other, .. } if other == flag));
                last.is_some_and(|own| own.action == piece.action)
            }
            action => alike.any(|own| own.action == *action),
        };
        if !is_needless {
            kept.push(piece);
        }
    }
    kept
}

/// Targets in their order, in waves.
fn waves(staged: &Staged, mut targets: Vec<Target>, inventory: &Inventory) -> Vec<Vec<Target>> {
    targets.sort();
    targets.dedup();
    let all = targets.len() as u64;
    let then = (staged.then.of(all).max(1)) as usize;
    let mut ranked: BTreeMap<usize, Vec<Target>> = BTreeMap::new();
    let services: BTreeSet<Name> = targets.iter().filter_map(|target| service_of(target, inventory)).collect();
    for target in targets {
        let rank = if staged.order == Order::Dependencies { rank(&target, &services, inventory) } else { 0 };
        ranked.entry(rank).or_default().push(target);
    }
    let mut waves = Vec::new();
    for mut rest in ranked.into_values() {
        while !rest.is_empty() {
            let size = if waves.is_empty() { staged.first as usize } else { then };
            let later = rest.split_off(size.min(rest.len()));
            waves.push(rest);
            rest = later;
        }
    }
    waves
}

/// On how many of the services a target's own depends. Those on which it depends have fewer each, since they depend on what it depends on;
/// in a circle of calls all have as many.
fn rank(target: &Target, services: &BTreeSet<Name>, inventory: &Inventory) -> usize {
    let Some(own) = service_of(target, inventory) else { return 0 };
    let needs = |service: &&Name| **service != own && inventory.depends_on(&own, service) && !inventory.depends_on(service, &own);
    services.iter().filter(needs).count()
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionOutcome;
    use firedrill_core::inventory::ServiceEntry;
    use firedrill_core::journal::{Input, Truth};
    use firedrill_core::name::Name;

    use super::*;
    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, notification, resolves};
    use crate::document::{read_policy, read_policy_with};
    use crate::guard::stage::Stage;
    use firedrill_core::journal::AlertStatus;

    fn failure(ordinal: u64) -> Input {
        ended(ordinal, ActionOutcome::Failed("no quota".into()))
    }

    const PARALLEL: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $pod }
steps:
  - parallel:
      - scale: { by: 2 }
      - limit_retries: { retries: 0, lasting: 1m }
        target: { client: users }
    verify: { expr: 'up{pod=$pod} == 1', within: 60s }
    on_failure: escalate
  - escalate: { to: oncall }
guard:
  rate_limit: [{ max: 2, window: 1h, scope: all }]
";

    const BOTH: [&str; 3] =
        ["open 0", "start restart#0 scale (by +2) service/api", "start restart#1 limit_retries (0 for 1m) client/users"];

    #[test]
    fn parallel_actions_start_together_and_are_verified_when_all_have_ended() {
        let mut bench = Bench::new(PARALLEL, Stage::Full);
        bench.check(0, fires("api"), &BOTH);
        bench.check(5, ended(1, OK), &[]);
        bench.check(9, ended(0, OK), &["ask 0 Verify(0) at 9"]);
        bench.check(9, answer(0, Truth::True), &["verified Held after 0s", "close 0: the remediation is verified", "timer 0 at 309"]);
        assert!(bench.guards.remediations.own_running(&Name::new("restart"), 0).next().is_none());
    }

    #[test]
    fn what_failed_of_several_is_told_when_all_have_ended() {
        let mut bench = Bench::new(PARALLEL, Stage::Full);
        bench.step(0, fires("api"));
        bench.check(5, failure(0), &[]);
        bench.check(9, ended(1, OK), &["page oncall", "close 0: step 1: scale (by +2) on service/api failed: no quota"]);
    }

    #[test]
    fn of_several_one_that_is_never_reported_is_given_up_and_a_person_called_whatever_the_step_says() {
        let goes_on = PARALLEL
            .replace("on_failure: escalate", "on_failure: next")
            .replace("  - escalate", "  - restart: { mode: rolling }\n  - escalate");
        let mut bench = Bench::new(&goes_on, Stage::Full);
        let waits = |ordinal| Effect::SetTimer { timer: REPORT_TIMERS + ordinal, at: firedrill_core::time::Time::ZERO + REPORT_TIMEOUT };
        let effects = bench.step(0, fires("api"));
        assert!(effects.contains(&waits(0)) && effects.contains(&waits(1)));
        assert!(bench.step(9, ended(0, OK)).contains(&Effect::CancelTimer { timer: REPORT_TIMERS }));
        bench.check(10, Input::Timer { timer: REPORT_TIMERS }, &[]);
        let lost = "limit_retries (0 for 1m) on client/users (restart#1) was not reported within 20m: nobody knows what it did";
        bench.check(1200, Input::Timer { timer: REPORT_TIMERS + 1 }, &["page oncall", &format!("close 0: step 1: {lost}")]);
        bench.check(1300, ended(1, OK), &[]);
    }

    #[test]
    fn each_passes_the_guards_by_itself_and_what_is_refused_counts_as_failed() {
        let mut bench = Bench::new(&PARALLEL.replace("max: 2", "max: 1"), Stage::Full);
        let refused = "refuse 0 by rate_limit: 1 of 1 starts within 1h on all";
        bench.check(0, fires("api"), &["open 0", BOTH[1], refused]);
        let end = "close 0: step 1: limit_retries (0 for 1m) on client/users was refused by rate_limit: 1 of 1 starts within 1h on all";
        bench.check(5, ended(0, OK), &["page oncall", end]);
    }

    #[test]
    fn the_breaker_opens_within_a_wave_and_among_parallel_actions() {
        let breaker = "breaker: { actions: 1, within: 1h }";
        let mut bench = Bench::new(&PARALLEL.replace("rate_limit: [{ max: 2, window: 1h, scope: all }]", breaker), Stage::Full);
        let refused = "refuse 0 by breaker: open since 00m00.000s: 1 starts within 1h >= 1";
        let told = bench.told(0, fires("api"));
        assert_eq!(told.iter().filter(|told| told.starts_with("start ")).count(), 1, "{told:?}");
        assert!(told.iter().any(|told| told == refused) && told.iter().any(|told| told == "page oncall"), "{told:?}");

        let wave = STAGED
            .replace("first: 1", "first: 4")
            .replace("  - escalate: { to: oncall }\n", "guard:\n  breaker: { actions: 2, within: 1h }\n");
        let mut bench = Bench::new(&wave, Stage::Full);
        bench.step(0, fires("api"));
        let began = bench.told(0, listed(0, &["api-0", "api-1", "api-2", "api-3"]));
        assert_eq!(began.iter().filter(|told| told.starts_with("start ")).count(), 2, "{began:?}");
        assert_eq!(began.iter().filter(|told| told.starts_with("refuse 0 by breaker: ")).count(), 2, "{began:?}");
        bench.step(5, ended(0, OK));
        bench.step(5, ended(1, OK));
        let end = bench.told(5, answer(1, Truth::True));
        assert!(!end.iter().any(|told| told.starts_with("start ")), "{end:?}");
        assert!(end.last().is_some_and(|told| told.starts_with("close 0: step 1 was refused by breaker: ")), "{end:?}");
    }

    #[test]
    fn those_that_run_beside_an_action_count_as_in_flight() {
        let drains = PARALLEL
            .replace("scale: { by: 2 }", "restart: { mode: rolling }\n        target: { replica: api-0 }")
            .replace(
                "limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }",
                "restart: { mode: rolling }\n        target: { replica: api-1 }",
            )
            .replace("rate_limit: [{ max: 2, window: 1h, scope: all }]", "caps: [{ scope: service, of: replicas, max: 1 }]");
        let mut bench = Bench::new(&drains, Stage::Full);
        let refused = "refuse 0 by caps: 1 in flight + 1 > 1 (1 replicas of service/api)";
        bench.check(0, fires("api"), &["open 0", "start restart#0 restart (rolling) replica/api-0", refused]);
    }

    #[test]
    fn what_did_not_help_is_undone_together() {
        let scales = PARALLEL
            .replace("limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }", "scale: { by: 1 }")
            .replace("on_failure: escalate", "on_failure: revert")
            .replace("within: 60s", "within: 1s");
        let mut bench = Bench::new(&scales, Stage::Full);
        bench.step(0, fires("api"));
        bench.step(1, ended(0, OK));
        bench.step(1, ended(1, OK));
        bench.step(1, answer(0, Truth::False));
        let undone = ["verified Failed after 1s", "start restart#2 scale (by -1) service/api", "start restart#3 scale (by -2) service/api"];
        bench.check(2, answer(1, Truth::False), &undone);
        bench.check(3, ended(2, OK), &[]);
        bench.check(4, ended(3, OK), &["page oncall", "close 0: the actions did not help and were reverted"]);
    }

    #[test]
    fn a_dry_run_would_do_all_and_starts_nothing() {
        let mut bench = Bench::new(PARALLEL, Stage::DryRun);
        let would = ["open 0", "would scale (by +2) service/api", "would limit_retries (0 for 1m) client/users", "timer 0 at 60"];
        bench.check(0, fires("api"), &would);
        bench.check(60, Input::Timer { timer: 0 }, &["close 0: it would have acted; what follows is not simulated"]);
        assert!(bench.guards.remediations.own_running(&Name::new("restart"), 0).next().is_none());
    }

    const STAGED: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $pod }
steps:
  - staged:
      restart: { mode: rolling }
      each: { replica: pod, from: 'up{service=$pod} == 0' }
      first: 1
      then: 50%
      rounding: floor
    verify: { expr: 'errors{service=$pod} < 1', within: 60s }
  - escalate: { to: oncall }
";

    fn listed(query: u64, names: &[&str]) -> Input {
        Input::Listed { query, names: names.iter().map(|name| Name::new(name)).collect(), error: String::new() }
    }

    #[test]
    fn a_staged_step_goes_wider_only_when_what_was_first_has_helped() {
        let mut bench = Bench::new(STAGED, Stage::Full);
        bench.check(0, fires("api"), &["open 0", "ask 0 Each(0) at 0"]);
        let began = bench.step(0, listed(0, &["api-0", "api-1", "api-2", "api-3"]));
        let planned = began.iter().find_map(|effect| match effect {
            Effect::Record(Event::Planned { waves, .. }) => Some(waves.iter().map(Vec::len).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(planned.as_deref(), Some(&[1, 2, 1][..]));
        bench.check(5, ended(0, OK), &["ask 1 Verify(0) at 5"]);
        let wider = [
            "verified Held after 0s",
            "start restart#1 restart (rolling) replica/api-1",
            "start restart#2 restart (rolling) replica/api-2",
        ];
        bench.check(5, answer(1, Truth::True), &wider);
        bench.check(6, ended(2, OK), &[]);
        bench.check(7, ended(1, OK), &["ask 2 Verify(0) at 7"]);
        bench.step(7, answer(2, Truth::False));
        let stops = ["verified Failed after 1m", "page oncall", "close 0: step 1: its verification failed: False"];
        bench.check(67, answer(3, Truth::False), &stops);
    }

    #[test]
    fn without_targets_a_staged_step_is_refused_and_proposed_again() {
        let mut bench = Bench::new(STAGED, Stage::Full);
        bench.step(0, fires("api"));
        bench.check(0, listed(0, &[]), &["refuse 0 by target: there is nothing to act on", "timer 0 at 60"]);
        bench.check(60, Input::Timer { timer: 0 }, &["ask 1 Each(0) at 60"]);
        let error = Input::Listed { query: 1, names: Vec::new(), error: "no data".into() };
        bench.check(60, error, &["refuse 0 by target: no data", "timer 1 at 120"]);
        bench.step(120, Input::Timer { timer: 1 });
        let many: Vec<String> = (0..101).map(|index| format!("api-{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        bench.check(120, listed(2, &many), &["refuse 0 by target: 101 targets are more than 100", "timer 2 at 180"]);
    }

    #[test]
    fn of_a_name_that_nobody_has_declared_a_staged_step_says_so_and_goes_on_without_it() {
        let mut bench = Bench::new(STAGED, Stage::Full);
        bench.step(0, fires("api"));
        let began = [
            "refuse 0 by target: replica/apl-0 is not declared, and is left out",
            r#"Planned { policy: "restart", incident: 0, step: 0, waves: [[Replica("api-1")]] }"#,
            "start restart#0 restart (rolling) replica/api-1",
        ];
        bench.check(0, listed(0, &["apl-0", "api-1"]), &began);
        let mut bench = Bench::new(STAGED, Stage::Full);
        bench.step(0, fires("api"));
        let alone = [
            "refuse 0 by target: replica/apl-0 is not declared, and is left out",
            "refuse 0 by target: none of 1 targets is declared",
            "timer 0 at 60",
        ];
        bench.check(0, listed(0, &["apl-0"]), &alone);
    }

    #[test]
    fn what_a_cap_keeps_back_of_a_wave_comes_in_one_of_its_own() {
        let capped = STAGED
            .replace("first: 1", "first: 2")
            .replace("  - escalate: { to: oncall }\n", "guard:\n  caps: [{ scope: service, of: replicas, max: 1 }]\n");
        let mut bench = Bench::new(&capped, Stage::Full);
        bench.step(0, fires("api"));
        let began = bench.step(0, listed(0, &["api-0", "api-1"]));
        assert_eq!(began.iter().filter(|effect| matches!(effect, Effect::Start(_))).count(), 1);
        bench.step(5, ended(0, OK));
        bench.check(5, answer(1, Truth::True), &["verified Held after 0s", "start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_staged_step_can_come_to_what_is_declared_or_to_what_alerts_name() {
        let declared = STAGED.replace("from: 'up{service=$pod} == 0'", "from: target");
        let mut bench = Bench::new(&declared, Stage::Full);
        let started = |effects: Vec<Effect>| -> Vec<String> {
            let of = |effect: &Effect| if let Effect::Start(command) = effect { Some(command.target().to_string()) } else { None };
            effects.iter().filter_map(of).collect()
        };
        assert_eq!(started(bench.step(0, fires("api"))), ["replica/api-0"]);
        let alerts = STAGED.replace("from: 'up{service=$pod} == 0'", "from: alerts").replace("{ service: $pod }", "{ service: api }");
        let mut bench = Bench::new(&alerts, Stage::Full);
        assert_eq!(started(bench.step(0, fires("api-2"))), ["replica/api-2"]);
    }

    #[test]
    fn what_others_call_comes_before_those_that_call_it_and_a_wave_never_holds_both() {
        let entry = |calls: &[&str]| ServiceEntry {
            replicas: 1,
            zones: vec![],
            critical: false,
            calls: calls.iter().map(|name| Name::new(name)).collect(),
        };
        let services = [
            ("web", entry(&["cart", "pay"])),
            ("cart", entry(&["db"])),
            ("pay", entry(&["db"])),
            ("db", entry(&[])),
            ("ping", entry(&["pong"])),
            ("pong", entry(&["ping"])),
        ];
        let services = services.into_iter().map(|(name, entry)| (Name::new(name), entry)).collect();
        let inventory = Inventory { services, ..Inventory::default() };
        let text = STAGED
            .replace("each: { replica: pod, from: 'up{service=$pod} == 0' }", "each: { service: service, from: alerts }")
            .replace("first: 1", "first: 5\n      order: dependencies");
        let policy = read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let targets = ["web", "cart", "pay", "db"].map(|name| Target::Service(Name::new(name))).to_vec();
        let told = |targets| {
            waves(policy.staged(0).unwrap(), targets, &inventory)
                .iter()
                .map(|wave: &Vec<Target>| wave.iter().map(|one| one.name().to_string()).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(targets), ["db", "cart pay", "web"]);
        // In a circle nobody comes first.
        assert_eq!(told(["pong", "ping"].map(|name| Target::Service(Name::new(name))).to_vec()), ["ping pong"]);
    }

    const OWN: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
actions:
  rebuild:
    models:
      - { drain: {}, takes: 30s, fails: 2% }
      - { restart: { mode: at_once }, takes: 2m, fails: 5%, target: { service: api } }
    runs: ./rebuild.sh
steps:
  - action: rebuild
    verify: { expr: 'up{pod=$pod} == 1', within: 60s }
guard:
  rate_limit: [{ max: 1, window: 1h, scope: all }]
  mutual_exclusion: { lease: 10m }
";

    fn own(text: &str) -> Bench {
        let policy =
            read_policy_with("p.yaml", text, &|path| Ok(format!("hash of {path}"))).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.controller =
            super::super::Controller::new(policy, bench.controller.setup.inventory.clone(), Stage::Full, bench.controller.setup.actuator);
        bench
    }

    #[test]
    fn the_parts_of_an_own_action_follow_each_other_as_one_start_under_one_lock() {
        let mut bench = own(OWN);
        let first = bench.step(0, fires("api-1"));
        let commands = |effects: &[Effect]| -> Vec<firedrill_core::action::Command> {
            effects.iter().filter_map(|effect| if let Effect::Start(command) = effect { Some(command.clone()) } else { None }).collect()
        };
        let one = commands(&first).remove(0);
        assert_eq!((one.action().word(), one.modelled().map(|own| own.takes.as_seconds())), ("drain", Some(30.0)));
        let second = bench.step(40, ended(0, OK));
        let two = commands(&second).remove(0);
        assert_eq!((two.action().word(), two.target().to_string()), ("restart", "service/api".to_owned()));
        assert_eq!(one.fence(), two.fence());
        assert_eq!(one.fence().map(|fence| fence.locks.len()), Some(1));
        bench.check(90, ended(1, OK), &["ask 0 Verify(0) at 90"]);
    }

    #[test]
    fn an_own_action_is_refused_as_a_whole_by_the_widest_of_its_parts() {
        let capped = OWN.replace("mutual_exclusion: { lease: 10m }", "caps: [{ scope: service, of: replicas, max: 3 }]");
        let mut bench = own(&capped);
        let refused = "refuse 0 by caps: 0 in flight + 4 > 3 (3 replicas of service/api)";
        bench.check(0, fires("api-1"), &["open 0", refused, "timer 0 at 60"]);
    }

    #[test]
    fn an_own_action_is_the_sum_of_its_parts_where_none_alone_is_too_much() {
        let apart = OWN
            .replace(
                "restart: { mode: at_once }, takes: 2m, fails: 5%, target: { service: api }",
                "drain: {}, takes: 2m, fails: 5%, target: { replica: api-3 }",
            )
            .replace("mutual_exclusion: { lease: 10m }", "caps: [{ scope: all, of: replicas, max: 1 }]");
        let refused = "refuse 0 by caps: 0 in flight + 2 > 1 (1 replicas of all)";
        own(&apart).check(0, fires("api-1"), &["open 0", refused, "timer 0 at 60"]);
        let targets = apart.replace("of: replicas", "of: targets");
        own(&targets).check(0, fires("api-1"), &["open 0", &refused.replace("replicas", "targets"), "timer 0 at 60"]);
        own(&targets.replace("max: 1 }]", "max: 2 }]")).check(0, fires("api-1"), &["open 0", "start restart#0 drain replica/api-1"]);
        // Both parts on one target are one.
        own(&targets).check(0, fires("api-3"), &["open 0", "start restart#0 drain replica/api-3"]);
    }

    /// Two scalings of the service, which are undone if they did not help.
    fn two_scalings(first: &str, second: &str) -> String {
        let models = format!("      - {{ {first}, takes: 30s, fails: 0% }}\n      - {{ {second}, takes: 30s, fails: 0% }}\n");
        let (from, to) = (OWN.find("      - { drain").unwrap(), OWN.find("    runs:").unwrap());
        let text = format!("{}{models}{}", &OWN[..from], &OWN[to..]);
        let text = text.replace("{ replica: $pod }", "{ service: $pod }").replace("within: 60s }", "within: 1s }\n    on_failure: revert");
        text.replace("rate_limit: [{ max: 1, window: 1h, scope: all }]", "cooldown: 1m")
    }

    #[test]
    fn like_parts_of_an_own_action_are_undone_one_after_the_other() {
        let mut bench = own(&two_scalings("scale: { by: 1 }", "scale: { by: 1 }"));
        bench.check(0, fires("api"), &["open 0", "start restart#0 scale (by +1) service/api"]);
        bench.check(1, ended(0, OK), &["start restart#1 scale (by +1) service/api"]);
        bench.step(2, ended(1, OK));
        bench.step(2, answer(0, Truth::False));
        bench.check(3, answer(1, Truth::False), &["verified Failed after 1s", "start restart#2 scale (by -1) service/api"]);
        // What is not undone yet is held.
        let deeds =
            |bench: &Bench| bench.guards.remediations.all().flat_map(|own| &own.deeds).map(|deed| deed.is_held()).collect::<Vec<_>>();
        assert_eq!(deeds(&bench), [false, false, true, true]);
        bench.check(4, failure(2), &["start restart#3 scale (by -1) service/api"]);
        let end = "close 0: the revert failed: scale (by -1) on service/api failed: no quota";
        bench.check(5, ended(3, OK), &["page team", end]);
        assert!(deeds(&bench).is_empty());
    }

    #[test]
    fn undoing_an_own_action_is_one_start_however_many_parts_it_has() {
        let text = two_scalings("scale: { by: 1 }", "scale: { by: 1 }");
        let mut bench = own(&text.replace("cooldown: 1m", "rate_limit: [{ max: 3, window: 1h, scope: all }]"));
        bench.step(0, fires("api"));
        bench.step(1, ended(0, OK));
        bench.step(2, ended(1, OK));
        bench.step(2, answer(0, Truth::False));
        bench.step(3, answer(1, Truth::False));
        bench.step(4, ended(2, OK));
        bench.check(5, ended(3, OK), &["page team", "close 0: the actions did not help and were reverted"]);
        // It did and it undid: those are two.
        bench.step(10, resolves("api"));
        bench.check(600, fires("api"), &["open 1", "start restart#4 scale (by +1) service/api"]);
    }

    #[test]
    fn what_is_set_back_to_what_is_declared_is_set_back_once() {
        for (first, second) in [("to: 3", "to: 6"), ("by: 2", "to: 6"), ("to: 6", "by: 2")] {
            let mut bench = own(&two_scalings(&format!("scale: {{ {first} }}"), &format!("scale: {{ {second} }}")));
            bench.step(0, fires("api"));
            bench.step(1, ended(0, OK));
            bench.step(2, ended(1, OK));
            bench.step(2, answer(0, Truth::False));
            bench.check(3, answer(1, Truth::False), &["verified Failed after 1s", "start restart#2 scale (to 4) service/api"]);
            bench.check(4, ended(2, OK), &["page team", "close 0: the actions did not help and were reverted"]);
        }
        // Parallel actions too, whose undoings start at one time.
        let limits = PARALLEL
            .replace("scale: { by: 2 }", "limit_retries: { retries: 1, lasting: 1m }\n        target: { client: users }")
            .replace("on_failure: escalate", "on_failure: revert")
            .replace("within: 60s", "within: 1s");
        let mut bench = Bench::new(&limits, Stage::Full);
        bench.step(0, fires("api"));
        bench.step(1, ended(0, OK));
        bench.step(1, ended(1, OK));
        bench.step(1, answer(0, Truth::False));
        let undone = bench.told(2, answer(1, Truth::False));
        assert_eq!(undone.iter().filter(|told| told.starts_with("start ")).count(), 1, "{undone:?}");
    }

    #[test]
    fn what_labels_make_one_and_the_same_is_done_once_at_a_time() {
        let same = PARALLEL.replace(
            "limit_retries: { retries: 0, lasting: 1m }\n        target: { client: users }",
            "scale: { by: 2 }\n        target: { service: $service }",
        );
        let mut bench = Bench::new(&same, Stage::Full);
        let labels = notification(AlertStatus::Firing, &[("pod", "api"), ("service", "api")]);
        bench.check(0, labels, &["open 0", "start restart#0 scale (by +2) service/api"]);
    }

    #[test]
    fn the_parts_of_an_own_action_are_held_from_the_start_and_let_go_when_one_fails() {
        let apart = OWN.replace(
            "restart: { mode: at_once }, takes: 2m, fails: 5%, target: { service: api }",
            "drain: {}, takes: 2m, fails: 5%, target: { replica: api-3 }",
        );
        let apart = apart.replace(
            "  rate_limit: [{ max: 1, window: 1h, scope: all }]\n  mutual_exclusion: { lease: 10m }\n",
            "  caps: [{ scope: all, of: replicas, max: 2 }]\n",
        );
        let apart = apart.replace(
            "within: 60s }",
            "within: 60s }\n    on_failure: next\n  - limit_retries: { retries: 0, lasting: 1m }\n    target: { client: users }",
        );
        let mut bench = own(&apart);
        bench.check(0, fires("api-1"), &["open 0", "start restart#0 drain replica/api-1"]);
        let other =
            RESTART.replace("policy: restart", "policy: other").replace("cooldown: 2m", "caps: [{ scope: all, of: replicas, max: 2 }]");
        let mut second = Bench::new(&other, Stage::Full);
        std::mem::swap(&mut bench.guards, &mut second.guards);
        second.check(30, fires("api-2"), &["open 0", "refuse 0 by caps: 2 in flight + 1 > 2 (2 replicas of all)", "timer 0 at 90"]);
        std::mem::swap(&mut bench.guards, &mut second.guards);
        bench.check(40, failure(0), &["start restart#1 limit_retries (0 for 1m) client/users"]);
        std::mem::swap(&mut bench.guards, &mut second.guards);
        second.check(90, Input::Timer { timer: 0 }, &["start other#0 restart (rolling) replica/api-2"]);
    }

    #[test]
    fn the_kill_switch_is_asked_again_before_a_part_that_cannot_be_undone_and_before_no_other() {
        let switched = OWN.replace("mutual_exclusion: { lease: 10m }", "kill_switch: { expr: off == 1 }");
        let mut bench = own(&switched);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Guard(Off) at 0"]);
        bench.check(0, answer(0, Truth::False), &["start restart#0 drain replica/api-1"]);
        bench.check(40, ended(0, OK), &["ask 1 Guard(Off) at 40"]);
        let end = "close 0: step 1 was refused by kill_switch: True";
        bench.check(40, answer(1, Truth::True), &["refuse 0 by kill_switch: True", "page team", end]);

        let mut passing = own(&switched);
        passing.step(0, fires("api-1"));
        passing.step(0, answer(0, Truth::False));
        passing.step(40, ended(0, OK));
        passing.check(40, answer(1, Truth::False), &["start restart#1 restart (at once) service/api"]);
        passing.check(50, ended(1, OK), &["ask 2 Verify(0) at 50"]);

        let reversible = switched.replace("restart: { mode: at_once }", "scale: { by: 1 }");
        let mut other = own(&reversible);
        other.step(0, fires("api-1"));
        other.step(0, answer(0, Truth::False));
        other.check(40, ended(0, OK), &["start restart#1 scale (by +1) service/api"]);
    }

    #[test]
    fn a_part_that_fails_ends_an_own_action() {
        let mut bench = own(OWN);
        bench.step(0, fires("api-1"));
        bench.check(40, failure(0), &["page team", "close 0: step 1: drain on replica/api-1 failed: no quota"]);
    }

    #[test]
    fn the_script_behind_an_own_action_is_hashed_and_never_run() {
        let policy = read_policy_with("p.yaml", OWN, &|path| Ok(format!("hash of {path}"))).unwrap();
        assert_eq!(policy.scripts().map(|runs| runs.hash.as_str()).collect::<Vec<_>>(), ["hash of ./rebuild.sh"]);
        let told = |text: &str| read_policy("p.yaml", text).unwrap_err().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
        assert_eq!(told(OWN), ["`./rebuild.sh` cannot be read: no files can be read here"]);
        let (from, to) = (OWN.find("    models:").unwrap(), OWN.find("    runs:").unwrap());
        let unmodelled = format!("{}{}", &OWN[..from], &OWN[to..]);
        assert_eq!(told(&unmodelled)[0], "firedrill does not know what this does to your system");
    }

    #[test]
    fn a_restart_of_the_engine_in_the_middle_of_any_of_these_changes_nothing() {
        let twice = two_scalings("scale: { by: 1 }", "scale: { by: 1 }").replace("    runs: ./rebuild.sh\n", "");
        let stories: [(&str, Vec<(u64, Input)>); 3] = [
            (
                &twice,
                vec![
                    (0, fires("api")),
                    (5, ended(0, OK)),
                    (9, ended(1, OK)),
                    (9, answer(0, Truth::False)),
                    (10, answer(1, Truth::False)),
                    (11, ended(2, OK)),
                    (12, ended(3, OK)),
                ],
            ),
            (
                PARALLEL,
                vec![(0, fires("api")), (5, ended(1, OK)), (9, ended(0, OK)), (9, answer(0, Truth::False)), (69, answer(1, Truth::False))],
            ),
            (
                STAGED,
                vec![
                    (0, fires("api")),
                    (0, listed(0, &["api-0", "api-1", "api-2"])),
                    (5, ended(0, OK)),
                    (5, answer(1, Truth::True)),
                    (6, notification(AlertStatus::Resolved, &[("pod", "api")])),
                    (9, failure(1)),
                ],
            ),
        ];
        for (text, story) in stories {
            for cut in 0..=story.len() {
                let mut whole = Bench::new(text, Stage::Full);
                for (second, input) in &story[..cut] {
                    whole.step(*second, input.clone());
                }
                let saved = serde_json::to_string(&(whole.controller.state(), &whole.guards)).unwrap();
                let mut restored = Bench::new(text, Stage::Full);
                let (state, guards) = serde_json::from_str(&saved).unwrap();
                restored.controller.restore(state).unwrap();
                restored.guards = guards;
                for (second, input) in &story[cut..] {
                    assert_eq!(whole.step(*second, input.clone()), restored.step(*second, input.clone()), "cut at {cut}, {second} s");
                }
            }
        }
    }
}
