//! What guards that refused were worth: some of the runs in which they did, played again without them (the arm P−i of docs/MEASURES.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::part::Part;
use firedrill_policies::guard::Guard;
use firedrill_policies::mutants;
use firedrill_policies::policy::Policy;
use firedrill_reports::scrutiny::{GuardFigures, GuardRun, GuardWorth};
use firedrill_reports::verdict::Case;
use rayon::prelude::*;

use super::plan::{Place, Plan};
use crate::campaign::Cell;
use crate::drill::Answer;
use crate::known::{Cache, Known};

/// For so many runs of the candidate one is played for this, so that a gate takes hardly longer. They were compared with doing nothing and with the
/// oracle, so of all runs it is less than one in eight.
const RUNS_FOR_ONE: usize = 4;

/// However few there are, this much is played: a policy without a guard, and nobody, on one seed.
const LEAST: usize = 2;

/// Without each guard at most so many runs are played.
const EACH: usize = 3;

/// A policy's guard.
type Key = (Name, Guard);

/// What each guard that refused was worth. What is known of runs without it is not played again.
pub(super) fn worth(plan: &Plan, candidate: &Answer, cases: &[Case], (known, cache): (&Known, Option<&Cache>)) -> Vec<GuardWorth> {
    let refused = refused(plan, candidate, cases);
    let bare: BTreeMap<&Key, Arc<Answer>> =
        refused.iter().map(|(key, (policy, _))| (key, Arc::new(candidate.with_policy(Arc::clone(policy))))).collect();
    let chosen: Vec<(Place, Vec<&Key>)> = chosen(&refused, cases.len()).into_iter().collect();
    let answers: Vec<Vec<Arc<Answer>>> = chosen.iter().map(|(_, keys)| keys.iter().map(|key| Arc::clone(&bare[*key])).collect()).collect();
    let cells: Vec<(u64, Cell<'_>)> =
        chosen.iter().zip(&answers).filter_map(|((place, _), answers)| Some((place.1, cell(plan, place.0, answers)?))).collect();
    if let Some(cache) = cache {
        let keys: BTreeSet<String> = cells.iter().flat_map(|(_, cell)| cell.answers.iter().map(|answer| cell.key(answer))).collect();
        // What is damaged is played again.
        known.learn(cache.load(&keys).0);
    }
    let played: Vec<Vec<Case>> = cells.par_iter().map(|(seed, cell)| cell.play(*seed, known)).collect();
    let mut runs: BTreeMap<&Key, Vec<GuardRun>> = BTreeMap::new();
    for ((place, keys), cell) in chosen.iter().zip(played) {
        for (key, without) in keys.iter().zip(cell) {
            let Some(with) = refused[*key].1.iter().find(|(own, _)| own == place).map(|(_, case)| case) else { continue };
            runs.entry(key).or_default().push(GuardRun {
                scenario: with.outcome.scenario.clone(),
                seed: with.outcome.seed,
                with: GuardFigures::of(&with.outcome),
                without: GuardFigures::of(&without.outcome),
            });
        }
    }
    let worth = refused.iter().map(|(key, (_, cases))| GuardWorth {
        policy: key.0.clone(),
        guard: Name::new(key.1.word()),
        refused: cases.len() as u64,
        runs: runs.remove(key).unwrap_or_default(),
    });
    worth.collect()
}

/// A policy without a guard, and the runs in which that refused, the first seed of every scenario first.
type Refused<'a> = (Arc<Policy>, Vec<(Place, &'a Case)>);

fn refused<'a>(plan: &Plan, candidate: &Answer, cases: &'a [Case]) -> BTreeMap<Key, Refused<'a>> {
    let mut found: BTreeMap<Key, Refused<'a>> = BTreeMap::new();
    for case in cases {
        let scenarios = &plan.campaign.scenarios;
        let Some(scenario) = scenarios.iter().position(|(own, _)| own.name == case.outcome.scenario) else { continue };
        for policy in &candidate.policies {
            let parts = case.outcome.reached.parts.get(&policy.name).into_iter().flatten();
            for guard in parts.filter_map(guard_of) {
                let key = (policy.name.clone(), guard);
                if !found.contains_key(&key) {
                    let Some(bare) = mutants::without(policy, guard) else { continue };
                    found.insert(key.clone(), (Arc::new(bare), Vec::new()));
                }
                found.get_mut(&key).expect("inserted above").1.push(((scenario, case.outcome.seed), case));
            }
        }
    }
    for (_, cases) in found.values_mut() {
        cases.sort_by_key(|((scenario, seed), _)| (*seed, *scenario));
    }
    found
}

fn guard_of(part: &Part) -> Option<Guard> {
    let Part::Guard(word) = part else { return None };
    Guard::ALL.into_iter().find(|guard| guard.word() == word.as_str())
}

/// Which runs are played without which guards: of each guard its first, then of each its second, as long as that is not too much.
fn chosen<'k>(refused: &'k BTreeMap<Key, Refused<'_>>, candidates: usize) -> BTreeMap<Place, Vec<&'k Key>> {
    let most = (candidates / RUNS_FOR_ONE).max(LEAST);
    let mut chosen: BTreeMap<Place, Vec<&Key>> = BTreeMap::new();
    let mut count = 0;
    for turn in 0..EACH {
        for (key, (_, cases)) in refused {
            let Some((place, _)) = cases.get(turn) else { continue };
            // Beside the policies nobody acts, once.
            let cost = 1 + usize::from(!chosen.contains_key(place));
            if count + cost <= most {
                count += cost;
                chosen.entry(*place).or_default().push(key);
            }
        }
    }
    chosen
}

/// A scenario as the candidate's side sees it, with others who answer. A person on call is no part of the question.
fn cell<'a>(plan: &'a Plan, scenario: usize, answers: &'a [Arc<Answer>]) -> Option<Cell<'a>> {
    plan.cells(scenario).next().map(|cell| Cell { answers, with_human: false, ..cell })
}
