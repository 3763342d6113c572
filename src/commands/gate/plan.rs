//! What is played: scenarios × seeds, candidate and baseline each watched by the rules of their own side.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_reports::verdict::Case;
use rayon::prelude::*;

use crate::campaign::{Campaign, Cell};
use crate::drill::{Remembered, Rules};
use crate::known::Known;

/// A scenario, by its place in the plan, and a seed.
pub(super) type Place = (usize, u64);

/// The plan.
pub(super) struct Plan {
    /// As the candidate's side sees it; its answers are the candidate and the baseline, if there is one.
    pub campaign: Campaign,
    /// What watches each scenario where the baseline acts.
    pub baseline_rules: Vec<Arc<Rules>>,
    pasts: Vec<[Remembered; 2]>,
}

impl Plan {
    /// A plan.
    pub fn new(campaign: Campaign, baseline_rules: Vec<Arc<Rules>>) -> Self {
        let pasts = campaign.scenarios.iter().map(|_| <[Remembered; 2]>::default()).collect();
        Self { campaign, baseline_rules, pasts }
    }

    /// Every scenario on these seeds, scenario by scenario.
    pub fn places(&self, seeds: &[u64]) -> Vec<Place> {
        (0..self.campaign.scenarios.len()).flat_map(|scenario| seeds.iter().map(move |seed| (scenario, *seed))).collect()
    }

    /// All that outcomes may be known under.
    pub fn keys(&self) -> BTreeSet<String> {
        let of_cell = |cell: Cell<'_>| cell.answers.iter().map(|answer| cell.key(answer)).chain([cell.oracle_key()]).collect::<Vec<_>>();
        (0..self.campaign.scenarios.len()).flat_map(|scenario| self.cells(scenario)).flat_map(of_cell).collect()
    }

    /// How many runs are left to be played.
    pub fn run_count(&self, places: &[Place], known: &Known) -> usize {
        places.iter().map(|(scenario, seed)| self.cells(*scenario).map(|cell| cell.run_count(*seed, known)).sum::<usize>()).sum()
    }

    /// Plays, in parallel, and gives the candidate's case and the baseline's of each place, in the order of the places.
    pub fn play(&self, places: &[Place], known: &Known, done: &(dyn Fn() + Sync)) -> Vec<(Place, Vec<Case>)> {
        let play = |place: &Place| {
            let cases = self.cells(place.0).flat_map(|cell| cell.play(place.1, known)).collect();
            done();
            (*place, cases)
        };
        places.par_iter().map(play).collect()
    }

    /// The cells of a scenario: one where both sides are watched alike, and share what nobody acts in.
    pub fn cells(&self, scenario: usize) -> impl Iterator<Item = Cell<'_>> {
        let campaign = &self.campaign;
        let (own, rules) = &campaign.scenarios[scenario];
        let theirs = &self.baseline_rules[scenario];
        let is_shared = campaign.answers.len() < 2 || rules.hash == theirs.hash;
        let (first, rest) = campaign.answers.split_at(if is_shared { campaign.answers.len() } else { 1 });
        let [past, their_past] = &self.pasts[scenario];
        let cell = move |rules, answers, past| Cell {
            scenario: own,
            rules,
            answers,
            stage: campaign.stage,
            with_human: campaign.with_human,
            past,
        };
        [cell(rules, first, past), cell(theirs, rest, their_past)].into_iter().filter(|cell| !cell.answers.is_empty())
    }
}
