//! What steps, guards that refused, and actions that harmed were worth: some of the runs in which they were met, played again without them (the arm
//! `P−i` of docs/MEASURES.md).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::ActionId;
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use firedrill_policies::guard::Guard;
use firedrill_policies::mutants;
use firedrill_policies::policy::{Deed, Policy};
use firedrill_reports::scrutiny::Scrutiny;
use firedrill_reports::verdict::Case;
use firedrill_reports::worth::{DeedWorth, LEAST_TOLD, PartWorth, RunWorth, Worth};
use rayon::prelude::*;

use super::plan::{Place, Plan};
use crate::automation::LeftOut;
use crate::campaign::{Cell, MOST_DEEDS};
use crate::drill::Answer;
use crate::known::{Cache, Known};

/// For so many runs of the candidate one is played for this, so that a gate takes hardly longer. They were compared with doing nothing and with the
/// oracle, so of all runs it is less than one in eight.
const RUNS_FOR_ONE: usize = 4;

/// However few there are, this much is played: a policy without a part, and nobody, on one seed.
const LEAST: usize = 2;

/// Without each part at most so many runs are played.
const EACH: usize = 3;

/// What is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An action of the run at a place; the place with most harm of its class. First of all its rank: the run with most harm comes first.
    Deed(usize, Place, ActionId),
    /// A policy's step, or its guard.
    Part(Name, Part),
}

/// Who answers without it, and the runs in which it was met, the first seed of every scenario first.
struct Met<'a> {
    bare: Arc<Answer>,
    runs: Vec<(Place, &'a Case)>,
}

type All<'a> = BTreeMap<Key, Met<'a>>;

/// Adds to what is known of the candidate what its parts and its worst actions were worth. What is known of runs without them is not played again.
pub(super) fn add(scrutiny: Scrutiny, plan: &Plan, candidate: &Answer, cases: &[Case], kept: (&Known, Option<&Cache>)) -> Scrutiny {
    let mut all = harmful(plan, candidate, cases);
    all.extend(met(plan, candidate, cases));
    let mut played = play(plan, &all, cases.len(), kept);
    let (mut worth, mut deeds) = (Vec::new(), Vec::new());
    for (key, own) in &all {
        let runs = played.remove(key).unwrap_or_default();
        match key {
            Key::Deed(_, _, action) => deeds.extend(runs.iter().filter_map(|(with, without)| {
                let deed = with.outcome.deeds.iter().find(|deed| deed.action == *action)?;
                Some(DeedWorth::of(deed, &with.outcome, &without.outcome))
            })),
            Key::Part(policy, part) => {
                let run = |(with, without): (&Case, Case)| RunWorth {
                    scenario: with.outcome.scenario.clone(),
                    seed: with.outcome.seed,
                    worth: Worth::of(&with.outcome, &without.outcome),
                };
                let (met, runs) = (own.runs.len() as u64, runs.into_iter().map(run).collect());
                worth.push(PartWorth { policy: policy.clone(), part: part.clone(), words: words(candidate, policy, part), met, runs });
            }
        }
    }
    Scrutiny { worth, deeds, ..scrutiny }
}

/// A part in a few words: `step 2, scale by 2`, `guard caps`.
fn words(candidate: &Answer, policy: &Name, part: &Part) -> String {
    let of_step = |step: u32| {
        let policy = candidate.policies.iter().find(|own| own.name == *policy)?;
        match &policy.steps.get(step as usize)?.deed {
            Deed::Act(action) => Some(format!("{part}, {action}")),
            _ => None,
        }
    };
    match part {
        Part::Step(step) => of_step(*step).unwrap_or_else(|| part.to_string()),
        Part::Guard(guard) => format!("guard {guard}"),
        _ => part.to_string(),
    }
}

/// Of each class the run in which the candidate destroyed most data or did users most harm, if it did any: its first actions.
fn harmful<'a>(plan: &Plan, candidate: &Answer, cases: &'a [Case]) -> All<'a> {
    let mut worst: BTreeMap<&Name, (Place, &Case)> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.outcome.harm >= LEAST_TOLD || case.outcome.data_harm > 0) {
        let Some(place) = place_of(plan, case) else { continue };
        let found = worst.entry(&case.class).or_insert((place, case));
        if damage(case, found.1).is_gt() {
            *found = (place, case);
        }
    }
    let mut worst: Vec<(Place, &Case)> = worst.into_values().collect();
    worst.sort_by(|one, other| damage(other.1, one.1));
    let of_run = |(rank, (place, case)): (usize, (Place, &'a Case))| {
        case.outcome.deeds.iter().take(MOST_DEEDS).map(move |deed| {
            let bare = Arc::new(candidate.without(LeftOut::action(deed.action.clone())));
            (Key::Deed(rank, place, deed.action.clone()), Met { bare, runs: vec![(place, case)] })
        })
    };
    worst.into_iter().enumerate().flat_map(of_run).collect()
}

/// In which of two runs the candidate did more damage: data that is gone before users' minutes.
fn damage(one: &Case, other: &Case) -> Ordering {
    let (one, other) = (&one.outcome, &other.outcome);
    one.data_harm.cmp(&other.data_harm).then(one.harm.total_cmp(&other.harm))
}

fn place_of(plan: &Plan, case: &Case) -> Option<Place> {
    let scenario = plan.campaign.scenarios.iter().position(|(own, _)| own.name == case.outcome.scenario)?;
    Some((scenario, case.outcome.seed))
}

/// Steps that were begun and do something to the world, and guards that refused.
fn met<'a>(plan: &Plan, candidate: &Answer, cases: &'a [Case]) -> All<'a> {
    let mut found: All<'a> = BTreeMap::new();
    for case in cases {
        let Some(place) = place_of(plan, case) else { continue };
        for policy in &candidate.policies {
            for part in case.outcome.reached.parts.get(&policy.name).into_iter().flatten() {
                let key = Key::Part(policy.name.clone(), part.clone());
                if !found.contains_key(&key) {
                    let Some(bare) = bare(candidate, policy, part) else { continue };
                    found.insert(key.clone(), Met { bare: Arc::new(bare), runs: Vec::new() });
                }
                found.get_mut(&key).expect("inserted above").runs.push((place, case));
            }
        }
    }
    for own in found.values_mut() {
        own.runs.sort_by_key(|((scenario, seed), _)| (*seed, *scenario));
    }
    found
}

/// The candidate without a part of one of its policies; `None` for what cannot be left out.
fn bare(candidate: &Answer, policy: &Policy, part: &Part) -> Option<Answer> {
    match part {
        Part::Guard(word) => {
            let guard = Guard::ALL.into_iter().find(|guard| guard.word() == word.as_str())?;
            Some(candidate.with_policy(Arc::new(mutants::without(policy, guard)?)))
        }
        Part::Step(step) => {
            let does =
                !matches!(policy.steps.get(*step as usize)?.deed, Deed::Wait(_) | Deed::Notify(_) | Deed::Collect(_) | Deed::Escalate(_));
            does.then(|| candidate.without(LeftOut::step(policy.name.clone(), *step)))
        }
        Part::Candidate(..) | Part::Verify(..) | Part::OnFailure(_) | Part::Call(_) | Part::EscalateAfter => None,
    }
}

/// Runs with and without, by what was left out.
type Compared<'k, 'a> = BTreeMap<&'k Key, Vec<(&'a Case, Case)>>;

fn play<'k, 'a>(plan: &Plan, all: &'k All<'a>, candidates: usize, (known, cache): (&Known, Option<&Cache>)) -> Compared<'k, 'a> {
    let chosen: Vec<(Place, Vec<&Key>)> = chosen(all, candidates).into_iter().collect();
    let answers: Vec<Vec<Arc<Answer>>> =
        chosen.iter().map(|(_, keys)| keys.iter().map(|key| Arc::clone(&all[*key].bare)).collect()).collect();
    let cells: Vec<(u64, Cell<'_>)> =
        chosen.iter().zip(&answers).filter_map(|((place, _), answers)| Some((place.1, cell(plan, place.0, answers)?))).collect();
    if let Some(cache) = cache {
        let keys: BTreeSet<String> = cells.iter().flat_map(|(_, cell)| cell.answers.iter().map(|answer| cell.key(answer))).collect();
        // What is damaged is played again.
        known.learn(cache.load(&keys).0);
    }
    let played: Vec<Vec<Case>> = cells.par_iter().map(|(seed, cell)| cell.play(*seed, known)).collect();
    let mut compared: Compared<'k, 'a> = BTreeMap::new();
    for ((place, keys), cell) in chosen.iter().zip(played) {
        for (key, without) in keys.iter().zip(cell) {
            let Some(with) = all[*key].runs.iter().find(|(own, _)| own == place).map(|(_, case)| *case) else { continue };
            compared.entry(key).or_default().push((with, without));
        }
    }
    compared
}

/// Which runs are played without what: of everything its first, then of everything its second, as long as that is not too much. Actions that harmed come
/// first, and take at most half.
fn chosen<'k>(all: &'k All<'_>, candidates: usize) -> BTreeMap<Place, Vec<&'k Key>> {
    let most = (candidates / RUNS_FOR_ONE).max(LEAST);
    let mut chosen: BTreeMap<Place, Vec<&Key>> = BTreeMap::new();
    let mut count = 0;
    for turn in 0..EACH {
        for (key, own) in all {
            let Some((place, _)) = own.runs.get(turn) else { continue };
            // Beside the policies nobody acts, once.
            let cost = 1 + usize::from(!chosen.contains_key(place));
            let bound = if matches!(key, Key::Deed(..)) { (most / 2).max(LEAST) } else { most };
            if count + cost <= bound {
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
