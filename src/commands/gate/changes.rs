//! What a change does to the judge: what it loosens, deletes or makes another. What it adds is no such thing; that is judged by, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_policies::policy::{Deed, Part, Policy};
use firedrill_reports::verdict::{JudgeChange, JudgePart};
use firedrill_scenarios::Scenario;
use firedrill_scenarios::document::chaos::ChaosDocument;
use firedrill_scenarios::variants::Ranges;

use super::side::{Recorded, Side};
use super::thresholds::Thresholds;
use crate::cli::OnInconclusive;
use crate::failure::Failure;
use crate::project::Project;
use crate::revision::Revision;
use crate::sources::PROJECT_FILE;

/// All of it, in the order in which a project file says it.
pub(super) fn changes(old: &Side, new: &Side) -> Vec<JudgeChange> {
    let mut found = of_project(old.project(), new.project());
    found.extend(of_thresholds(&old.thresholds, &new.thresholds));
    found.extend(old.scenarios.iter().filter_map(|scenario| of_scenario(scenario, new.scenario(&scenario.name).map(AsRef::as_ref))));
    found.extend(old.incidents.iter().flat_map(|incident| of_incident(incident, new.incident(&incident.incident.name))));
    let evidence = old.evidence.iter().flat_map(|evidence| evidence.changed_in(new.evidence.as_ref()));
    let of_policy = |policy| JudgeChange::new(JudgePart::Evidence, format!("what drills have shown of policy {policy} was changed"));
    found.extend(evidence.map(of_policy));
    found.extend(of_models(old.project(), new.project()));
    found
}

/// What own actions do to a simulated system is what the candidate is played by: whoever may say that a restart takes no time has no need to be right.
fn of_models(old: &Project, new: &Project) -> Vec<JudgeChange> {
    let is_other = |name: &&Name| new.shared.actions.get(*name).is_some_and(|own| own.models != old.shared.actions[*name].models);
    let told = |name: &Name| format!("what the own action {name} takes, does or fails at (`models:`) was changed");
    old.shared.actions.keys().filter(is_other).map(|name| JudgeChange::new(JudgePart::Models, told(name))).collect()
}

/// The same of actions that policies have in their own files, and of those that stand in the place of one that is gone: of these, too, nobody but the
/// change says what they do to a simulated system.
pub(super) fn of_own_actions(old: &[Arc<Policy>], new: &[Arc<Policy>], known: impl Fn(&Name) -> bool) -> Vec<JudgeChange> {
    let mut found = Vec::new();
    for policy in new {
        let Some(before) = old.iter().find(|own| own.name == policy.name) else { continue };
        let (before, now) = (models(before), models(policy));
        let unknown: Vec<&str> = now.keys().filter(|name| !known(name)).map(|name| name.as_str()).collect();
        for (name, models) in before {
            let what = match now.get(name) {
                Some(own) if *own == models => continue,
                Some(_) => format!("what the own action {name} takes, does or fails at (`models:`) was changed"),
                None if unknown.is_empty() => continue,
                None => format!("in policy {} another own action stands in the place of {name}: {}", policy.name, unknown.join(", ")),
            };
            found.push(JudgeChange::new(JudgePart::Models, what));
        }
    }
    found
}

/// The own actions of a policy's steps, and what each does.
fn models(policy: &Policy) -> BTreeMap<&Name, &[Part]> {
    let own = policy.steps.iter().filter_map(|step| if let Deed::Own(own) = &step.deed { Some(own) } else { None });
    own.map(|own| (&own.name, own.models.as_slice())).collect()
}

/// The names of the own actions of policies' steps.
pub(super) fn own_actions(policies: &[Arc<Policy>]) -> BTreeSet<Name> {
    policies.iter().flat_map(|policy| models(policy).into_keys().cloned()).collect()
}

/// What became of the projects of a revision that judge nothing because another one is asked for: where that was not there, it may have had another name, or
/// lain elsewhere; where it was, a folder may have become a link to it.
pub(super) fn of_moved(revision: &Revision, path: &str, is_there: bool) -> Result<Vec<JudgeChange>, Failure> {
    let unasked = "and what it asked for does not judge this one";
    let told = |name: String, what: &str| {
        let what = format!("the project {name} of {} {what}, {unasked}", revision.told());
        JudgeChange::new(JudgePart::Project, what)
    };
    if is_there {
        return Ok(revision.projects_led_here(path, PROJECT_FILE)?.into_iter().map(|name| told(name, "leads here now")).collect());
    }
    let of_module = revision.module_above(path).map(|module| {
        let what = format!("{module} was another repository (a git submodule) at {}, {unasked}", revision.told());
        JudgeChange::new(JudgePart::Project, what)
    });
    Ok(revision.projects_gone(path, PROJECT_FILE)?.into_iter().map(|name| told(name, "is gone")).chain(of_module).collect())
}

fn of_project(old: &Project, new: &Project) -> Vec<JudgeChange> {
    let mut found = Vec::new();
    if new.seed != old.seed {
        found.push(JudgeChange::new(JudgePart::Seed, format!("the seed was {}, and is {}", old.seed, new.seed)));
    }
    if new.pairs < old.pairs {
        found.push(JudgeChange::new(JudgePart::Pairs, format!("pairs were {}, and are {}", old.pairs, new.pairs)));
    }
    if leniency(new.on_inconclusive) > leniency(old.on_inconclusive) {
        let what = format!("on_inconclusive was {}, and is {}", old.on_inconclusive.word(), new.on_inconclusive.word());
        found.push(JudgeChange::new(JudgePart::OnInconclusive, what));
    }
    found.extend(old.chaos.as_ref().filter(|asked| !keeps(asked, new.chaos.as_ref())).map(|_| {
        let what = if new.chaos.is_some() { "what variants are played was changed" } else { "variants are not played any more" };
        JudgeChange::new(JudgePart::Chaos, what.to_owned())
    }));
    let names = |project: &Project| project.baseline.iter().map(|named| named.value.to_string()).collect::<Vec<_>>();
    if names(old) != names(new) && !old.baseline.is_empty() {
        let now = if new.baseline.is_empty() { "nothing".to_owned() } else { names(new).join(", ") };
        found.push(JudgeChange::new(JudgePart::Baseline, format!("the baseline was {}, and is {now}", names(old).join(", "))));
    }
    found
}

/// How much lets pass what could not be told.
const fn leniency(word: OnInconclusive) -> u8 {
    match word {
        OnInconclusive::Fail => 0,
        OnInconclusive::Extend => 1,
        OnInconclusive::Warn => 2,
    }
}

/// Whether no fewer variants of the same kind are played.
fn keeps(old: &ChaosDocument, new: Option<&ChaosDocument>) -> bool {
    let (old, new) = (Ranges::of(&[Some(old)]), new.map(|new| Ranges::of(&[Some(new)])));
    new.is_some_and(|new| new.variants >= old.variants && Ranges { variants: old.variants, ..new } == old)
}

/// A threshold may go when another one asks for as much.
fn of_thresholds(old: &Thresholds, new: &Thresholds) -> Vec<JudgeChange> {
    let lost = old.all.iter().filter(|asked| !new.all.iter().any(|own| own.implies(asked)));
    let told = lost.map(|asked| {
        let weaker = new.all.iter().filter(|own| own.measure == asked.measure && !old.all.contains(own));
        let weaker: Vec<String> = weaker.map(ToString::to_string).collect();
        let what = if weaker.is_empty() {
            format!("the threshold `{asked}` was removed")
        } else {
            format!("the threshold `{asked}` became `{}`", weaker.join("` and `"))
        };
        JudgeChange::new(JudgePart::Threshold, what)
    });
    told.collect()
}

fn of_scenario(old: &Scenario, new: Option<&Scenario>) -> Option<JudgeChange> {
    let what = match new {
        None => format!("scenario {} was deleted", old.name),
        Some(new) if new.family != old.family => {
            format!("scenario {} was of class {}, and is of class {}", old.name, old.family, new.family)
        }
        Some(new) if is_other(old, new) => format!("scenario {} was changed", old.name),
        Some(_) => return None,
    };
    Some(JudgeChange::new(JudgePart::Scenario, what))
}

/// Whether two scenarios of one name rehearse or watch something else. Which files watch is theirs to say; what is in the files is not.
pub(super) fn is_other(old: &Scenario, new: &Scenario) -> bool {
    let names = |named: &[Located<Name>]| named.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
    let name = |named: &Option<Located<Name>>| named.as_ref().map(|one| one.value.clone());
    old.hash != new.hash
        || old.family != new.family
        || old.calm != new.calm
        || names(&old.rules) != names(&new.rules)
        || name(&old.alertmanager) != name(&new.alertmanager)
        || name(&old.silences) != name(&new.silences)
        || variants(old) != variants(new)
}

/// What a scenario says of its variants.
fn variants(scenario: &Scenario) -> Option<Ranges> {
    scenario.chaos.as_deref().map(|own| Ranges::of(&[Some(own)]))
}

fn of_incident(old: &Recorded, new: Option<&Recorded>) -> Vec<JudgeChange> {
    let name = &old.incident.name;
    let Some(new) = new else { return vec![JudgeChange::new(JudgePart::Incident, format!("incident {name} was deleted"))] };
    if old.incident.expect != new.incident.expect {
        let what = match &new.incident.expect {
            Some(_) => format!("`expect` of incident {name} was changed"),
            None => format!("`expect` of incident {name} was removed"),
        };
        return vec![JudgeChange::new(JudgePart::Expect, what)];
    }
    let is_other = old.hash != new.hash;
    let what = format!("what was recorded of incident {name}, or something else in its folder, was changed");
    is_other.then(|| JudgeChange::new(JudgePart::Incident, what)).into_iter().collect()
}
