//! The judge of a project as a promotion writes it down, and what another one asks less.

use std::collections::BTreeMap;

use firedrill_reports::verdict::Threshold;
use serde::{Deserialize, Serialize};

use super::side::Side;
use crate::cli::{GateArgs, OnInconclusive};
use crate::failure::Failure;
use crate::home::Home;

/// What a project judges by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// BLAKE3 of the rest, hexadecimal: two of one hash are the same judge.
    pub hash: String,
    /// What must hold.
    thresholds: Vec<String>,
    seed: u64,
    pairs: u32,
    on_inconclusive: String,
    /// Within what variants are drawn, as a hash; `None`: none are played.
    chaos: Option<String>,
    /// The hash of each scenario, with how it is watched and judged.
    scenarios: BTreeMap<String, String>,
    /// The hash of each recorded incident, with what is expected of it.
    incidents: BTreeMap<String, String>,
}

impl Judge {
    /// That of a project.
    ///
    /// # Errors
    /// Something that it judges by is wrong.
    pub fn of(arguments: &GateArgs) -> Result<Self, Failure> {
        let side = Side::of(Home::at(&arguments.project)?, arguments)?;
        let project = side.project();
        let hash = |text: String| blake3::hash(text.as_bytes()).to_hex().to_string();
        let scenario = |own: &std::sync::Arc<firedrill_scenarios::Scenario>| {
            let names = |named: &[firedrill_core::problem::Located<firedrill_core::name::Name>]| -> Vec<String> {
                named.iter().map(|one| one.value.to_string()).collect()
            };
            let told = format!("{} {} {} {:?}", own.hash, own.family, own.calm, names(&own.rules));
            (own.name.to_string(), hash(told))
        };
        let own = Self {
            hash: String::new(),
            thresholds: side.thresholds.all.iter().map(ToString::to_string).collect(),
            seed: project.seed,
            pairs: project.pairs,
            on_inconclusive: project.on_inconclusive.word().to_owned(),
            chaos: project.chaos.as_ref().map(|chaos| hash(format!("{chaos:?}"))),
            scenarios: side.scenarios.iter().map(scenario).collect(),
            incidents: side.incidents.iter().map(|own| (own.incident.name.to_string(), own.hash.clone())).collect(),
        };
        Ok(Self { hash: hash(serde_json::to_string(&own).expect("a judge is plain data")), ..own })
    }

    /// What this one asks less than another did, or otherwise, a sentence each. What it asks beyond that is no such thing.
    #[must_use]
    pub fn less_than(&self, before: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let read = |text: &String| text.split_once(' ').and_then(|(measure, bound)| Threshold::parse(measure, bound).ok());
        let implies =
            |own: &String, asked: &String| own == asked || read(own).zip(read(asked)).is_some_and(|(own, asked)| own.implies(&asked));
        for lost in before.thresholds.iter().filter(|asked| !self.thresholds.iter().any(|own| implies(own, asked))) {
            let measure = lost.split(' ').next().unwrap_or_default();
            let now: Vec<&str> = self.thresholds.iter().map(String::as_str).filter(|own| own.split(' ').next() == Some(measure)).collect();
            told.push(match now[..] {
                [] => format!("the threshold `{lost}` is gone"),
                _ => format!("the threshold `{lost}` is `{}` now", now.join("` and `")),
            });
        }
        told.extend((self.seed != before.seed).then(|| format!("the seed was {}, and is {}", before.seed, self.seed)));
        told.extend((self.pairs < before.pairs).then(|| format!("pairs were {}, and are {}", before.pairs, self.pairs)));
        let warns = OnInconclusive::Warn.word();
        let is_loose = self.on_inconclusive == warns && before.on_inconclusive != warns;
        told.extend(is_loose.then(|| format!("on_inconclusive was {}, and is {warns}", before.on_inconclusive)));
        let is_other = before.chaos.is_some() && before.chaos != self.chaos;
        told.extend(is_other.then(|| "what variants are played was changed".to_owned()));
        for (what, then, now) in [("scenario", &before.scenarios, &self.scenarios), ("incident", &before.incidents, &self.incidents)] {
            for (name, hash) in then {
                match now.get(name) {
                    Some(own) if own == hash => {}
                    Some(_) => told.push(format!("the {what} {name} was changed")),
                    None => told.push(format!("the {what} {name} is gone")),
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_judge_asks_less_is_told_and_what_it_asks_beyond_is_not() {
        let named = |names: &[(&str, &str)]| names.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
        let before = Judge {
            thresholds: vec!["harm max < 1 user-min".to_owned(), "missed max == 0".to_owned(), "pages max < 3".to_owned()],
            seed: 1,
            pairs: 25,
            on_inconclusive: "fail".to_owned(),
            scenarios: named(&[("bad", "1"), ("calm", "2"), ("gone", "3")]),
            ..Judge::default()
        };
        assert_eq!(before.less_than(&before), [""; 0]);
        let after = Judge {
            thresholds: vec!["harm max < 100000000 user-min".to_owned(), "pages max < 2".to_owned(), "actions max < 9".to_owned()],
            pairs: 1,
            scenarios: named(&[("bad", "1"), ("calm", "9"), ("new", "4")]),
            ..before.clone()
        };
        assert_eq!(
            after.less_than(&before),
            [
                "the threshold `harm max < 1 user-min` is `harm max < 100000000 user-min` now",
                "the threshold `missed max == 0` is gone",
                "pairs were 25, and are 1",
                "the scenario calm was changed",
                "the scenario gone is gone",
            ]
        );
    }
}
