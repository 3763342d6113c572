//! What a change does to the judge: what it loosens, deletes or makes another. What it adds is no such thing; that is judged by, too.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
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

/// Of a revision at which this project was not there: it may have had another name, or lain elsewhere.
pub(super) fn of_moved(revision: &Revision) -> Result<Vec<JudgeChange>, Failure> {
    let of_one = |file: String| {
        let what = format!("the project {file} of {} is gone, and what it asked for does not judge this one", revision.told());
        JudgeChange::new(JudgePart::Project, what)
    };
    Ok(revision.projects_gone(PROJECT_FILE)?.into_iter().map(of_one).collect())
}

fn of_project(old: &Project, new: &Project) -> Vec<JudgeChange> {
    let mut found = Vec::new();
    if new.seed != old.seed {
        found.push(JudgeChange::new(JudgePart::Seed, format!("the seed was {}, and is {}", old.seed, new.seed)));
    }
    if new.pairs < old.pairs {
        found.push(JudgeChange::new(JudgePart::Pairs, format!("pairs were {}, and are {}", old.pairs, new.pairs)));
    }
    if new.on_inconclusive == OnInconclusive::Warn && old.on_inconclusive != OnInconclusive::Warn {
        let what = format!("on_inconclusive was {}, and is warn", old.on_inconclusive.word());
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
