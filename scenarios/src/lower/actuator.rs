//! What goes wrong with carrying actions out: that it can, and that no two entries speak of one action at one time.

use firedrill_core::action::Action;
use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ActuatorFaultSpec, Misdeed};

use crate::document::ScenarioDocument;
use crate::document::actuator::ActuatorDocument;
use crate::lower::instant;
use crate::lower::names::Taken;
use crate::problem;

/// The actions that can be done by half: those that touch several replicas, or a number of them.
const WITH_HALVES: [&str; 4] = ["restart", "scale", "drain", "purge_queue"];

/// In order of onset.
pub fn lower(reader: &mut Reader, taken: &mut Taken, document: &ScenarioDocument, horizon: Span) -> Vec<ActuatorFaultSpec> {
    for fault in &document.actuators {
        if let Some(at) = fault.at.as_ref().filter(|at| at.value >= horizon) {
            reader.problem(problem::after_horizon(
                &at.place,
                "a fault of an actuator sets in",
                &at.value.to_string(),
                &horizon.to_string(),
            ));
        }
        check_action(reader, fault);
        check_shares(reader, fault);
        if let Some(name) = &fault.name {
            taken.take(reader, name);
        }
    }
    check_overlaps(reader, &document.actuators);
    let mut lowered: Vec<ActuatorFaultSpec> = document.actuators.iter().map(|fault| lower_one(fault, taken)).collect();
    lowered.sort_by(|left, right| (left.at, &left.name).cmp(&(right.at, &right.name)));
    lowered
}

fn lower_one(fault: &ActuatorDocument, taken: &mut Taken) -> ActuatorFaultSpec {
    let action = fault.action.as_ref().map(|action| action.value.clone());
    let base = format!("{}-{}", ActuatorFaultSpec::WORD, action.as_deref().unwrap_or("all"));
    ActuatorFaultSpec {
        name: fault.name.as_ref().map_or_else(|| taken.free(&base), |name| name.value.clone()),
        at: onset(fault),
        lasting: fault.lasting.as_ref().map(|lasting| lasting.value),
        action,
        shares: fault.shares.iter().map(|(misdeed, share)| (*misdeed, share.value)).collect(),
        late_by: fault.by.as_ref().map_or_else(|| Distribution::constant(0.0).expect("zero is a constant"), |by| by.value.clone()),
    }
}

fn onset(fault: &ActuatorDocument) -> Time {
    fault.at.as_ref().map_or(Time::ZERO, |at| instant(at.value))
}

fn check_action(reader: &mut Reader, fault: &ActuatorDocument) {
    let Some(action) = &fault.action else { return };
    // Whoever waits carries nothing out.
    let known: Vec<&str> = Action::changing().collect();
    if !known.contains(&action.value.as_str()) {
        reader.problem(problem::unknown(&action.place, "action", &action.value, &known));
        return;
    }
    let partly = fault.shares.iter().find(|(misdeed, _)| *misdeed == Misdeed::Partly);
    if let Some((_, share)) = partly.filter(|_| !WITH_HALVES.contains(&action.value.as_str())) {
        let why = format!("a {} has no half that could be done", action.value);
        reader.problem(problem::impossible(
            &share.place,
            &why,
            "write `fails` instead, or name one of restart, scale, drain and purge_queue",
        ));
    }
}

fn check_shares(reader: &mut Reader, fault: &ActuatorDocument) {
    if fault.shares.is_empty() {
        let words = Misdeed::ALL.map(|misdeed| format!("`{}`", misdeed.word())).join(", ");
        let remedy = format!("say with which share of the actions, such as `fails: 5%`; there are {words}");
        reader.problem(problem::impossible(fault.places.word(), "nothing goes wrong with this actuator", &remedy));
    }
    for (misdeed, share) in fault.shares.iter().filter(|(_, share)| share.value.get() == 0.0) {
        let why = format!("`{}: 0%` concerns no action", misdeed.word());
        reader.problem(problem::impossible(&share.place, &why, "write a share above zero, or remove it"));
    }
    let sum: f64 = fault.shares.iter().map(|(_, share)| share.value.get()).sum();
    if let Some((_, last)) = fault.shares.last().filter(|_| sum > 1.0 + 1e-9) {
        let why = format!("the shares come to {:.0}%, and one thing goes wrong with an action", sum * 100.0);
        reader.problem(problem::impossible(&last.place, &why, "let them come to 100% or less"));
    }
    let late = fault.shares.iter().find(|(misdeed, _)| *misdeed == Misdeed::Late);
    match (late, &fault.by) {
        (Some((_, share)), None) => {
            let remedy = "add `by`, such as `by: { exponential: 2m }`";
            reader.problem(problem::impossible(&share.place, "nothing says how late these actions are", remedy));
        }
        (None, Some(by)) => {
            let remedy = "add `late`, the share of actions that are, such as `late: 20%`";
            reader.problem(problem::impossible(&by.place, "no action of this actuator is late", remedy));
        }
        _ => {}
    }
}

/// Two entries that speak of one action at one time would leave open which holds.
fn check_overlaps(reader: &mut Reader, faults: &[ActuatorDocument]) {
    let mut order: Vec<&ActuatorDocument> = faults.iter().collect();
    order.sort_by_key(|fault| (onset(fault), fault.places.word().line()));
    let action = |fault: &ActuatorDocument| fault.action.as_ref().map(|action| action.value.clone());
    let end = |fault: &ActuatorDocument| fault.lasting.as_ref().map_or(Time::MAX, |lasting| onset(fault) + lasting.value);
    let of = |name: Option<Name>| name.map_or_else(|| "every action".to_owned(), |name| format!("`{name}`"));
    for (index, later) in order.iter().enumerate() {
        let same = |earlier: &ActuatorDocument| match (action(earlier), action(later)) {
            (Some(left), Some(right)) => left == right,
            _ => true,
        };
        let meets = |earlier: &&&ActuatorDocument| same(earlier) && onset(later) < end(earlier);
        if let Some(earlier) = order[..index].iter().find(meets) {
            let line = earlier.places.word().line();
            let word = ActuatorFaultSpec::WORD;
            reader.problem(problem::overlapping(
                later.places.word(),
                word,
                &of(action(later)),
                line,
                problem::FirstEnd::of(earlier.lasting.is_some()),
            ));
        }
    }
}
