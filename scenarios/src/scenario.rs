//! A scenario that was read, checked and lowered.

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem};
use firedrill_core::yaml::{self, Reader};
use firedrill_sim::automation::{ApproverSpec, PersonSpec};
use firedrill_sim::spec::{HistorySpec, WorldSpec};

use crate::composition::{Imports, compose};
use crate::document::chaos::ChaosDocument;
use crate::document::human::HumanDocument;
use crate::document::{self, ScenarioDocument};
use crate::lower;
use crate::systems;

/// What is rehearsed: a system, what goes wrong in it and when, and what would have been right.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: Name,
    /// The class that it is judged in.
    pub family: Name,
    /// What happens and why, for people; may be empty.
    pub description: String,
    /// The world, with every default filled in.
    pub spec: Arc<WorldSpec>,
    /// What monitoring remembers from before the start; `None`: nothing.
    pub history: Option<Arc<HistorySpec>>,
    /// Who is on call; `None`: nobody.
    pub human: Option<Arc<PersonSpec>>,
    /// Who may be asked to allow what policies propose; empty: nobody.
    pub approvers: Arc<[ApproverSpec]>,
    /// Whether nothing breaks, so that every action is wrong.
    pub calm: bool,
    /// Whether it checks the simulator against known results; policies are judged by it only when it is named.
    pub reference: bool,
    /// Rule files that it wants beside the project's, as written.
    pub rules: Vec<Located<Name>>,
    /// The Alertmanager configuration that it wants instead of the project's, as written.
    pub alertmanager: Option<Located<Name>>,
    /// The file of silences that it wants instead of the project's, as written.
    pub silences: Option<Located<Name>>,
    /// What it says may differ in its variants; `None`: nothing is said.
    pub chaos: Option<Arc<ChaosDocument>>,
    /// The whole file, as it was read.
    pub place: Place,
    /// BLAKE3 of the lowered scenario, hexadecimal: comments, order of keys and stated defaults do not change it.
    pub hash: String,
}

/// Reads a scenario file, which may import a system that comes with firedrill, and no other file. `path` is only for messages.
///
/// # Errors
/// Every problem of the file at once, in its order.
pub fn read_scenario(path: &str, text: &str) -> Result<Scenario, Vec<Problem>> {
    read_scenario_with(path, text, &|name, _| systems::get(name).ok_or_else(|| "no such system is here".to_owned()))
}

/// The same, with imported files from where the caller says.
///
/// # Errors
/// Every problem of the file and of what it imports at once; those of putting them together alone, if there are any.
pub fn read_scenario_with(path: &str, text: &str, imports: &Imports<'_>) -> Result<Scenario, Vec<Problem>> {
    let node = compose(yaml::parse(path, text)?, path, imports)?;
    let mut reader = Reader::new();
    let scenario = document::read(&mut reader, &node).map(|document| lower_scenario(&mut reader, &document));
    reader.finish()?;
    Ok(scenario.expect("a document without problems was read"))
}

/// Lowers a document that was read or made. What comes out may be used only if `reader` has recorded no problem.
pub fn lower_scenario(reader: &mut Reader, document: &ScenarioDocument) -> Scenario {
    let spec = Arc::new(lower::lower(reader, document));
    // Only a world without problems can be asked what it shows.
    if reader.problem_count() == 0 {
        lower::check_monitoring(reader, document, &spec);
    }
    let history = lower::lower_history(reader, document, &spec);
    let human = lower::human::lower(document.human.as_ref());
    let approvers = lower::human::approvers(document.human.as_ref());
    let are_said = matches!(&document.human, Some(HumanDocument::Somebody(said)) if said.approvers.is_some());
    Scenario {
        name: spec.name.clone(),
        family: document.family.as_ref().map_or_else(|| spec.name.clone(), |family| family.value.clone()),
        description: document.description.as_ref().map_or_else(String::new, |text| text.value.trim().to_owned()),
        calm: spec.faults.is_empty(),
        reference: document.reference.as_ref().is_some_and(|reference| reference.value),
        rules: document.rules.clone(),
        alertmanager: document.alertmanager.clone(),
        silences: document.silences.clone(),
        chaos: document.chaos.clone().map(Arc::new),
        place: document.place.clone(),
        hash: hash(&spec, history.as_ref(), document.human.is_some().then_some(human.as_ref()), are_said.then_some(&approvers)),
        approvers: approvers.into(),
        human: human.map(Arc::new),
        history: history.map(Arc::new),
        spec,
    }
}

/// The hash of the canonical form. That form is the `Debug` text of the lowered world: derived, so no field can be forgotten,
/// with lists in the order of names and floats in shortest round-trip form.
/// Who is on call and who may be asked counts where the scenario says so.
fn hash(
    spec: &WorldSpec,
    history: Option<&HistorySpec>,
    human: Option<Option<&PersonSpec>>,
    approvers: Option<&Vec<ApproverSpec>>,
) -> String {
    let past = history.map_or_else(String::new, |history| format!("\n{history:?}"));
    let human = human.map_or_else(String::new, |human| format!("\n{human:?}"));
    let approvers = approvers.map_or_else(String::new, |approvers| format!("\n{approvers:?}"));
    blake3::hash(format!("firedrill.scenario/1\n{spec:?}{past}{human}{approvers}").as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "schema: scenario/1\nscenario: small\nservices: { api: { work: [cpu: 10ms] } }\nclients: { users: { calls: api, rate: 10/s } }\n";

    #[test]
    fn four_lines_make_a_scenario() {
        let scenario = read_scenario("small.yaml", SMALL).unwrap();
        assert!(scenario.calm && !scenario.reference);
        assert_eq!((&*scenario.name, &*scenario.family), ("small", "small"));
    }

    #[test]
    fn comments_order_and_stated_defaults_do_not_change_the_hash_and_figures_do() {
        let same = "# a comment\nschema: scenario/1\nscenario: small\nclients: { users: { rate: 10/s, calls: api, timeout: 15s } }\nservices:\n  api: { replicas: 1, work: [cpu: 10ms] }\n";
        let other = SMALL.replace("10ms", "11ms");
        let hash = |text: &str| read_scenario("x.yaml", text).unwrap().hash;
        assert_eq!(hash(SMALL), hash(same));
        assert_ne!(hash(SMALL), hash(&other));
    }
}
