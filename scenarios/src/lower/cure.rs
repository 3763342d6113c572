//! What the oracle does: the best known action for the fault, at its best time.

use firedrill_core::action::{Action, Target};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{CureSpec, FaultKind};

use crate::document::ScenarioDocument;
use crate::document::fault::CureDocument;
use crate::lower::instant;
use crate::lower::names::Names;
use crate::problem;

/// The oracle's actions in order of time; those at one instant in the order of the file.
pub fn lower(reader: &mut Reader, names: &Names, document: &ScenarioDocument, horizon: Span) -> Vec<CureSpec> {
    let onset = document.faults.iter().filter_map(|fault| fault.at.as_ref()).map(|at| instant(at.value)).min();
    for cure in &document.oracle {
        names.target(reader, &cure.target, cure.places.target(&cure.target));
        check_rollback(reader, document, cure);
        check_failover(reader, document, cure);
        check_flag(reader, document, cure);
        check_parking(reader, document, cure);
        check_names(reader, names, document, cure);
        let Some(at) = &cure.at else { continue };
        if at.value >= horizon {
            reader.problem(problem::after_horizon(&at.place, "the oracle acts", &at.value.to_string(), &horizon.to_string()));
        }
        if let Some(onset) = onset.filter(|onset| instant(at.value) < *onset) {
            reader.problem(problem::cure_before_fault(&at.place, &at.value.to_string(), &onset.since(Time::ZERO).to_string()));
        }
    }
    let at = |cure: &CureDocument| cure.at.as_ref().map_or(onset.unwrap_or_default(), |at| instant(at.value));
    let mut cures: Vec<CureSpec> =
        document.oracle.iter().map(|cure| CureSpec { at: at(cure), action: cure.action.clone(), target: cure.target.clone() }).collect();
    cures.sort_by_key(|cure| cure.at);
    cures
}

fn check_failover(reader: &mut Reader, document: &ScenarioDocument, cure: &CureDocument) {
    let (Action::FailOver, Target::Service(service)) = (&cure.action, &cure.target) else { return };
    let known = document.services.iter().find(|candidate| candidate.name.value == *service);
    if known.is_some_and(|known| known.database.is_none()) {
        let why = format!("a failover of `{service}`, which is no database");
        reader.problem(problem::impossible(cure.places.of("service"), &why, "name a service with `database:`"));
    }
}

fn check_parking(reader: &mut Reader, document: &ScenarioDocument, cure: &CureDocument) {
    let what = match &cure.action {
        Action::ParkMessages => "parked",
        Action::SkipMessage => "skipped",
        Action::ReplayDeadLetters => "published again",
        _ => return,
    };
    let Target::Service(service) = &cure.target else { return };
    let known = document.services.iter().find(|candidate| candidate.name.value == *service);
    if known.is_some_and(|known| known.consumes.is_none()) {
        let why = format!("`{service}` takes no messages that could be {what}");
        reader.problem(problem::impossible(cure.places.of("service"), &why, "name a service with `consumes:`"));
    }
}

/// What an action names beside its target has to be there.
fn check_names(reader: &mut Reader, names: &Names, document: &ScenarioDocument, cure: &CureDocument) {
    match &cure.action {
        Action::CircuitBreak { from: Some(from), .. } | Action::Isolate { from: Some(from), .. } => {
            let known: Vec<&str> = names.services.keys().chain(&names.clients).map(Name::as_str).collect();
            if !known.contains(&from.as_str()) {
                reader.problem(problem::unknown(cure.places.of("from"), "caller", from, &known));
            }
        }
        Action::ResetPool { to: Some(to) } => names.target(reader, &Target::Service(to.clone()), cure.places.of("to")),
        Action::FlushCache { cache: Some(cache), .. } | Action::WarmCache { cache: Some(cache), .. } => {
            let Some(service) = document.services.iter().find(|candidate| candidate.name.value == *cure.target.name()) else { return };
            let caches: Vec<&str> = service.caches.iter().map(|known| known.name.value.as_str()).collect();
            if !caches.contains(&cache.as_str()) {
                reader.problem(problem::unknown_within(cure.places.of("cache"), &service.name.value, ("cache", cache), &caches));
            }
        }
        Action::Resize { .. } => {
            let known = document.services.iter().find(|candidate| candidate.name.value == *cure.target.name());
            if known.is_some_and(|known| matches!(known.memory.limit.as_ref().map(|limit| &limit.value), None | Some(None))) {
                let why = format!("the memory of `{}` has no limit that could be another one", cure.target.name());
                reader.problem(problem::impossible(cure.places.of("service"), &why, "name a service with `memory: { limit: … }`"));
            }
        }
        Action::SetFlag { flag, .. } => {
            let Some(service) = document.services.iter().find(|candidate| candidate.name.value == *cure.target.name()) else { return };
            let flags: Vec<&str> = service.flags.iter().map(|known| known.name.value.as_str()).collect();
            if !flags.contains(&flag.as_str()) {
                reader.problem(problem::unknown_within(cure.places.of("flag"), &service.name.value, ("flag", flag), &flags));
            }
        }
        _ => {}
    }
}

fn check_flag(reader: &mut Reader, document: &ScenarioDocument, cure: &CureDocument) {
    let (Action::RevertFlag, Target::Service(service)) = (&cure.action, &cure.target) else { return };
    let mut events = document.faults.iter().chain(&document.changes);
    let turned = events.any(|fault| matches!(&fault.kind, FaultKind::Flag { service: of, .. } if of == service));
    if !turned && document.services.iter().any(|candidate| candidate.name.value == *service) {
        let why = format!("no flag of `{service}` is turned on, so there is none to turn off");
        reader.problem(problem::impossible(cure.places.of("service"), &why, "name a service of which one is, by `flag:` in `faults`"));
    }
}

fn check_rollback(reader: &mut Reader, document: &ScenarioDocument, cure: &CureDocument) {
    let (Action::Rollback, Target::Service(service)) = (&cure.action, &cure.target) else { return };
    let deployed = document
        .faults
        .iter()
        .chain(&document.changes)
        .any(|fault| matches!(&fault.kind, FaultKind::Deploy { service: of, .. } if of == service));
    let exists = document.services.iter().any(|candidate| candidate.name.value == *service);
    if exists && !deployed {
        reader.problem(problem::nothing_to_roll_back(cure.places.of("service"), service));
    }
}
