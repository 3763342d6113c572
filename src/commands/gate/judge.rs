//! What makes the judge of a project, as plain values: a gate compares that of a revision with that of a change, and a promotion writes it down for the next.

use std::collections::BTreeMap;
use std::fmt::Debug;

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_reports::verdict::{JudgeChange, JudgePart, Threshold};
use firedrill_scenarios::Scenario;
use firedrill_scenarios::variants::Ranges;
use serde::{Deserialize, Serialize};

use super::side::{Recorded, Side};
use crate::cli::{GateArgs, OnInconclusive};
use crate::drill::ENGINE;
use crate::failure::Failure;
use crate::home::Home;
use crate::known;

/// What a project judges by. What is a hash can be compared only with what the same program wrote down: another one reads the same files otherwise.
/// It stands in ledgers: a key that is renamed or gone is one that older entries do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// The version of the program that wrote it down.
    engine: String,
    /// BLAKE3 of that program, hexadecimal; empty if it cannot tell.
    #[serde(default)]
    build: String,
    seed: u64,
    pairs: u32,
    on_inconclusive: String,
    /// Within what variants are drawn; `None`: none are played.
    chaos: Option<Variants>,
    /// What candidates are compared with, by name.
    baseline: Vec<String>,
    /// What must hold.
    thresholds: Vec<String>,
    scenarios: BTreeMap<Name, Rehearsed>,
    incidents: BTreeMap<Name, Past>,
    /// What drills have shown of each policy, as a hash.
    evidence: BTreeMap<Name, String>,
    /// What each of the project's own actions does to a simulated system, as a hash.
    models: BTreeMap<Name, String>,
}

/// Within what variants are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Variants {
    count: u32,
    /// The hash of the rest.
    ranges: String,
}

/// A scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rehearsed {
    class: String,
    /// The hash of what it rehearses, and of how it says that it is watched and judged. Which files watch is its to say; what is in the files is not.
    hash: String,
}

/// A recorded incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    /// The hash of what was right in it; `None`: nobody says.
    expect: Option<String>,
    /// That of its files.
    files: String,
}

/// BLAKE3 of all that something says of itself, hexadecimal.
fn hash(own: &impl Debug) -> String {
    blake3::hash(format!("{own:?}").as_bytes()).to_hex().to_string()
}

impl Variants {
    fn of(ranges: Ranges) -> Self {
        Self { count: ranges.variants, ranges: hash(&Ranges { variants: 0, ..ranges }) }
    }
}

impl Rehearsed {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let names = |named: &[Located<Name>]| named.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
        let name = |named: &Option<Located<Name>>| named.as_ref().map(|one| one.value.clone());
        let chaos = scenario.chaos.as_deref().map(|own| Ranges::of(&[Some(own)]));
        let watched = (names(&scenario.rules), name(&scenario.alertmanager), name(&scenario.silences));
        Self { class: scenario.family.to_string(), hash: hash(&(&scenario.hash, scenario.calm, watched, chaos)) }
    }
}

impl Past {
    fn of(recorded: &Recorded) -> Self {
        Self { expect: recorded.incident.expect.as_ref().map(hash), files: recorded.hash.clone() }
    }
}

impl Judge {
    /// That of a project.
    ///
    /// # Errors
    /// Something that it judges by is wrong.
    pub fn of(arguments: &GateArgs) -> Result<Self, Failure> {
        Ok(Self::of_side(&Side::of(Home::at(&arguments.project)?, arguments)?))
    }

    pub(super) fn of_side(side: &Side) -> Self {
        let project = side.project();
        Self {
            engine: ENGINE.to_owned(),
            build: known::build().unwrap_or_default().to_owned(),
            seed: project.seed,
            pairs: project.pairs,
            on_inconclusive: project.on_inconclusive.word().to_owned(),
            chaos: project.chaos.as_ref().map(|asked| Variants::of(Ranges::of(&[Some(asked)]))),
            baseline: project.baseline.iter().map(|named| named.value.to_string()).collect(),
            thresholds: side.thresholds.all.iter().map(ToString::to_string).collect(),
            scenarios: side.scenarios.iter().map(|own| (own.name.clone(), Rehearsed::of(own))).collect(),
            incidents: side.incidents.iter().map(|own| (own.incident.name.clone(), Past::of(own))).collect(),
            evidence: side.evidence.iter().flat_map(|own| own.policies().map(|(name, shown)| (name.clone(), hash(shown)))).collect(),
            models: project.shared.actions.iter().map(|(name, own)| (name.clone(), hash(&own.models))).collect(),
        }
    }

    /// Whether the same program wrote both down. Where it did not, names and plain values are all that can be compared.
    #[must_use]
    pub fn is_of_program_of(&self, other: &Self) -> bool {
        (&self.engine, &self.build) == (&other.engine, &other.build)
    }

    /// What this one asks less than another did, or otherwise, in the order in which a project file says it. What it asks beyond that is no such thing.
    #[must_use]
    pub fn less_than(&self, before: &Self) -> Vec<JudgeChange> {
        let mut found = self.in_project(before);
        found.extend(self.in_thresholds(before));
        let (rehearsed, past) = (self.in_scenarios(before), self.in_incidents(before));
        found.extend(rehearsed.chain(past));
        let is_known = self.is_of_program_of(before);
        let is_other = |name: &Name, hash: &String| self.evidence.get(name).is_none_or(|own| is_known && own != hash);
        let evidence = before.evidence.iter().filter(|(name, hash)| is_other(name, hash));
        let told = |name: &Name| format!("what drills have shown of policy {name} was changed");
        found.extend(evidence.map(|(name, _)| JudgeChange::new(JudgePart::Evidence, told(name))));
        // What own actions do to a simulated system is what the candidate is played by: whoever may say that a restart takes no time has no need to be right.
        let is_other = |name: &Name, hash: &String| is_known && self.models.get(name).is_some_and(|own| own != hash);
        let models = before.models.iter().filter(|(name, hash)| is_other(name, hash));
        found.extend(models.map(|(name, _)| other_models(name)));
        found
    }

    fn in_project(&self, before: &Self) -> Vec<JudgeChange> {
        let mut found = Vec::new();
        if self.seed != before.seed {
            found.push(JudgeChange::new(JudgePart::Seed, format!("the seed was {}, and is {}", before.seed, self.seed)));
        }
        if self.pairs < before.pairs {
            found.push(JudgeChange::new(JudgePart::Pairs, format!("pairs were {}, and are {}", before.pairs, self.pairs)));
        }
        if leniency(&self.on_inconclusive) > leniency(&before.on_inconclusive) {
            let what = format!("on_inconclusive was {}, and is {}", before.on_inconclusive, self.on_inconclusive);
            found.push(JudgeChange::new(JudgePart::OnInconclusive, what));
        }
        found.extend(before.chaos.as_ref().filter(|asked| !self.keeps(asked, before)).map(|_| {
            let what = if self.chaos.is_some() { "what variants are played was changed" } else { "variants are not played any more" };
            JudgeChange::new(JudgePart::Chaos, what)
        }));
        if self.baseline != before.baseline && !before.baseline.is_empty() {
            let now = if self.baseline.is_empty() { "nothing".to_owned() } else { self.baseline.join(", ") };
            found.push(JudgeChange::new(JudgePart::Baseline, format!("the baseline was {}, and is {now}", before.baseline.join(", "))));
        }
        found
    }

    /// Whether no fewer variants of the same kind are played.
    fn keeps(&self, asked: &Variants, before: &Self) -> bool {
        let is_same = |own: &Variants| own.ranges == asked.ranges || !self.is_of_program_of(before);
        self.chaos.as_ref().is_some_and(|own| own.count >= asked.count && is_same(own))
    }

    /// A threshold may go when another one asks for as much.
    fn in_thresholds(&self, before: &Self) -> Vec<JudgeChange> {
        let lost = before.thresholds.iter().filter(|asked| !self.thresholds.iter().any(|own| implies(own, asked)));
        let told = lost.map(|asked| {
            let is_of_it = |own: &&String| own.split(' ').next() == asked.split(' ').next();
            let weaker = self.thresholds.iter().filter(is_of_it).filter(|own| !before.thresholds.contains(own));
            let weaker: Vec<&str> = weaker.map(String::as_str).collect();
            let what = if weaker.is_empty() {
                format!("the threshold `{asked}` was removed")
            } else {
                format!("the threshold `{asked}` became `{}`", weaker.join("` and `"))
            };
            JudgeChange::new(JudgePart::Threshold, what)
        });
        told.collect()
    }

    fn in_scenarios<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = JudgeChange> + 'a {
        let is_known = self.is_of_program_of(before);
        before.scenarios.iter().filter_map(move |(name, old)| {
            let what = match self.scenarios.get(name) {
                None => format!("scenario {name} was deleted"),
                Some(new) if is_known && new.class != old.class => {
                    format!("scenario {name} was of class {}, and is of class {}", old.class, new.class)
                }
                Some(new) if is_known && new != old => format!("scenario {name} was changed"),
                Some(_) => return None,
            };
            Some(JudgeChange::new(JudgePart::Scenario, what))
        })
    }

    fn in_incidents<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = JudgeChange> + 'a {
        let is_known = self.is_of_program_of(before);
        before.incidents.iter().filter_map(move |(name, old)| {
            let (part, what) = match self.incidents.get(name) {
                None => (JudgePart::Incident, format!("incident {name} was deleted")),
                Some(new) if old.expect.is_some() && new.expect.is_none() => {
                    (JudgePart::Expect, format!("`expect` of incident {name} was removed"))
                }
                Some(new) if is_known && new.expect != old.expect => {
                    (JudgePart::Expect, format!("`expect` of incident {name} was changed"))
                }
                Some(new) if is_known && new != old => {
                    (JudgePart::Incident, format!("what was recorded of incident {name}, or something else in its folder, was changed"))
                }
                Some(_) => return None,
            };
            Some(JudgeChange::new(part, what))
        })
    }
}

/// That an own action does something else to a simulated system than it did.
pub(super) fn other_models(name: &Name) -> JudgeChange {
    JudgeChange::new(JudgePart::Models, format!("what the own action {name} takes, does or fails at (`models:`) was changed"))
}

/// How much lets pass what could not be told; a word that is none lets pass the least.
pub(super) fn leniency(word: &str) -> Option<usize> {
    [OnInconclusive::Fail, OnInconclusive::Extend, OnInconclusive::Warn].iter().position(|own| own.word() == word)
}

/// Whether whatever keeps a threshold keeps another one, too.
fn implies(own: &str, asked: &str) -> bool {
    own == asked || Threshold::read_back(own).zip(Threshold::read_back(asked)).is_some_and(|(own, asked)| own.implies(&asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        let scenario = |name: &str| (Name::new(name), Rehearsed { class: "release".to_owned(), hash: "1".to_owned() });
        let past = |name: &str| (Name::new(name), Past { expect: Some("1".to_owned()), files: "1".to_owned() });
        let hashes = |name: &str| [(Name::new(name), "1".to_owned())].into();
        Judge {
            engine: "1.0.0".to_owned(),
            build: "this".to_owned(),
            seed: 1,
            pairs: 25,
            on_inconclusive: "fail".to_owned(),
            chaos: Some(Variants { count: 4, ranges: "1".to_owned() }),
            baseline: vec!["undo".to_owned()],
            thresholds: ["harm max < 1 user-min", "missed max == 0", "pages max < 3,000"].map(str::to_owned).into(),
            scenarios: ["bad", "calm", "gone"].map(scenario).into(),
            incidents: ["hang", "storm", "lost"].map(past).into(),
            evidence: hashes("undo"),
            models: hashes("rebuild"),
        }
    }

    #[track_caller]
    fn check(after: &Judge, expected: &[&str]) {
        let told: Vec<String> = after.less_than(&judge()).into_iter().map(|change| change.what).collect();
        assert_eq!(told, expected);
        // It stands in the ledger as JSON, and is read back from there.
        let read: Judge = serde_json::from_str(&serde_json::to_string(after).unwrap()).unwrap();
        assert_eq!(read, *after);
    }

    /// A judge in which everything is less or other.
    fn loose() -> Judge {
        let before = judge();
        let mut own = Judge {
            seed: 7,
            pairs: 1,
            on_inconclusive: "extend".to_owned(),
            chaos: Some(Variants { count: 4, ranges: "2".to_owned() }),
            baseline: Vec::new(),
            thresholds: ["harm max < 100,000 user-min", "pages max < 2,000", "actions max < 9"].map(str::to_owned).into(),
            evidence: [(Name::new("undo"), "2".to_owned())].into(),
            models: [(Name::new("rebuild"), "2".to_owned())].into(),
            ..before
        };
        own.scenarios.remove("gone");
        own.scenarios.insert(Name::new("bad"), Rehearsed { class: "soft".to_owned(), hash: "1".to_owned() });
        own.scenarios.insert(Name::new("calm"), Rehearsed { class: "release".to_owned(), hash: "2".to_owned() });
        own.incidents.remove("lost");
        own.incidents.insert(Name::new("hang"), Past { expect: Some("2".to_owned()), files: "2".to_owned() });
        own.incidents.insert(Name::new("storm"), Past { expect: Some("1".to_owned()), files: "2".to_owned() });
        own
    }

    #[test]
    fn what_a_judge_asks_beyond_another_is_no_change_of_it() {
        check(&judge(), &[]);
        let mut stricter = Judge {
            pairs: 26,
            chaos: Some(Variants { count: 8, ranges: "1".to_owned() }),
            thresholds: ["harm max < 0.5 user-min", "missed max == 0", "pages max < 2,999", "actions max < 9"].map(str::to_owned).into(),
            ..judge()
        };
        stricter.scenarios.insert(Name::new("new"), Rehearsed::default());
        check(&stricter, &[]);
    }

    #[test]
    fn what_a_judge_asks_less_is_told_part_by_part() {
        let gone_and_plain = |told: &&str| !told.contains("class") && !told.ends_with("was changed");
        let all = [
            "the seed was 1, and is 7",
            "pairs were 25, and are 1",
            "on_inconclusive was fail, and is extend",
            "what variants are played was changed",
            "the baseline was undo, and is nothing",
            "the threshold `harm max < 1 user-min` became `harm max < 100,000 user-min`",
            "the threshold `missed max == 0` was removed",
            "scenario bad was of class release, and is of class soft",
            "scenario calm was changed",
            "scenario gone was deleted",
            "`expect` of incident hang was changed",
            "incident lost was deleted",
            "what was recorded of incident storm, or something else in its folder, was changed",
            "what drills have shown of policy undo was changed",
            "what the own action rebuild takes, does or fails at (`models:`) was changed",
        ];
        check(&loose(), &all);
        let plain: Vec<&str> = all.into_iter().filter(gone_and_plain).collect();
        // Another program reads the same files otherwise: its hashes say nothing.
        for (engine, build) in [("1.0.1", "this"), ("1.0.0", "other")] {
            let own = Judge { engine: engine.to_owned(), build: build.to_owned(), ..loose() };
            assert!(!own.is_of_program_of(&judge()));
            check(&own, &plain);
        }
        let fewer = Judge { build: "other".to_owned(), chaos: Some(Variants { count: 3, ranges: "2".to_owned() }), ..judge() };
        check(&fewer, &["what variants are played was changed"]);
        check(&Judge { chaos: None, ..judge() }, &["variants are not played any more"]);
    }
}
