//! The search for variants in which something does not hold: everything alone, everything in pairs, then at random.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
#[allow(clippy::disallowed_types, reason = "a budget is time on the clock; it only says after which batch a search ends")]
use std::time::Instant;

use firedrill_core::random::{hash64, mix64};
use firedrill_core::time::Span;
use firedrill_reports::outcome::Exercise;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::variants::drawn::Dice;
use firedrill_scenarios::variants::{Entry, Plan, Possible, possible};
use rayon::prelude::*;

use crate::chaos::failure::{self, Failure, Found};
use crate::chaos::trial::{Trial, Tried};

/// So many different failures end a search.
pub const MOST_FAILURES: usize = 5;
/// Variants that are played before the next look at what was found and at the clock. It does not depend on the machine, so that results do not.
const BATCH: usize = 16;
/// The share of the time that the search may take; the rest is for making smaller what it finds.
const SEARCHING: f64 = 0.6;
/// After so many batches at random that bring nothing new, there is nothing new.
const MOST_STALE: u32 = 20;
/// How bad things are that happen alone: mild and harsh.
const SIZES: [f64; 2] = [0.3, 1.0];
/// How long after the first the second of a pair sets in, seconds.
const APART: [u64; 2] = [30, 240];
/// How long what ends by itself lasts, where it is not drawn.
const LASTING: Span = Span::from_minutes(8);
/// How long a run goes on after the last onset.
const AFTER: Span = Span::from_minutes(20);
/// At most so many things happen at random in one variant.
const MOST_AT_RANDOM: usize = 4;

/// When a search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After so many variants.
    Runs(u64),
    /// After so much time, with what is found made smaller.
    Budget(Duration),
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has come as far as it was to.
    Limit,
    /// It has found as many failures as are told.
    Enough,
    /// There is nothing new to try.
    Exhausted,
}

/// What kind of variants were tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Scenarios as they are.
    pub as_is: u64,
    /// With one thing alone.
    pub alone: u64,
    /// With two.
    pub pairs: u64,
    /// At random.
    pub random: u64,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.as_is + self.alone + self.pairs + self.random
    }

    fn count(&mut self, recipe: &Recipe) {
        match recipe {
            Recipe::AsIs => self.as_is += 1,
            Recipe::Alone { .. } => self.alone += 1,
            Recipe::WithOwn { .. } | Recipe::Pair { .. } => self.pairs += 1,
            Recipe::Random { .. } => self.random += 1,
        }
    }
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Searched {
    /// What was tried.
    pub counts: Counts,
    /// How many variants there are with at most two things.
    pub listed: u64,
    /// Why it ended.
    pub ended: Ended,
    /// In how many of the variants that were tried a policy acted, or called people.
    pub acted: u64,
    /// The commonest reason for which none did in the others; `None` where there was none to act for.
    pub idle: Option<String>,
    /// How many a bound ended, which prove nothing.
    pub cut: u64,
    /// The commonest way in which one did; `None` where none was ended.
    pub why_cut: Option<String>,
    /// What was found, the smallest first; each by measure, policy and guard once.
    pub failures: Vec<Failure>,
}

/// How a variant is made.
#[derive(Clone, Copy, Debug)]
enum Recipe {
    /// The scenario as it is.
    AsIs,
    /// One thing of what is possible, and nothing of the scenario's own.
    Alone { which: usize, how: f64 },
    /// One thing besides what the scenario has itself.
    WithOwn { which: usize, apart: u64 },
    /// Two things.
    Pair { first: usize, second: usize, apart: u64 },
    /// Some things at random.
    Random { round: u64 },
}

/// Searches the variants of some scenarios. What is found depends on the scenarios, the policies, the seed, and how far it comes; not on threads.
#[must_use]
#[allow(clippy::disallowed_types, reason = "see above")]
pub fn search(trial: &Trial<'_>, scenarios: &[Tried], limit: Limit) -> Searched {
    let began = Instant::now();
    let space = Space {
        scenarios,
        possible: scenarios.iter().map(|tried| possible(&tried.origin.spec, &tried.ranges)).collect(),
        seed: trial.seed,
    };
    let listed = space.listed();
    let mut searched = Searched {
        counts: Counts::default(),
        listed: listed.len() as u64,
        ended: Ended::Limit,
        acted: 0,
        idle: None,
        cut: 0,
        why_cut: None,
        failures: Vec::new(),
    };
    let (mut idle, mut cut) = (Reasons::default(), Reasons::default());
    let mut found: Vec<Found> = Vec::new();
    let (mut known, mut stale) = (BTreeSet::new(), 0);
    let mut recipes = listed.into_iter().chain((0_u64..).map(|round| space.at_random(round)));
    loop {
        let batch: Vec<(usize, Recipe)> = recipes.by_ref().take(BATCH).collect();
        let mut new = space.read(&batch, &mut known);
        if let Limit::Runs(runs) = limit {
            new.truncate(usize::try_from(runs - searched.counts.all()).unwrap_or(usize::MAX));
        }
        stale = if new.is_empty() { stale + 1 } else { 0 };
        new.iter().for_each(|(_, recipe, ..)| searched.counts.count(recipe));
        for played in space.played(trial, new) {
            found.extend(played.found);
            searched.acted += u64::from(played.acted);
            searched.cut += u64::from(played.cut.is_some());
            idle.add(played.idle);
            cut.add(played.cut);
        }
        keep_first_of_each(&mut found);
        let is_over = match limit {
            Limit::Runs(runs) => searched.counts.all() >= runs,
            Limit::Budget(budget) => began.elapsed() >= budget.mul_f64(SEARCHING),
        };
        if found.len() >= MOST_FAILURES || stale >= MOST_STALE || is_over {
            searched.ended = if found.len() >= MOST_FAILURES {
                Ended::Enough
            } else if is_over {
                Ended::Limit
            } else {
                Ended::Exhausted
            };
            break;
        }
    }
    (searched.idle, searched.why_cut) = (idle.commonest(), cut.commonest());
    found.truncate(MOST_FAILURES);
    searched.failures = made_small(trial, scenarios, &found);
    searched
}

/// Each failure made smaller, the smallest first, and named.
fn made_small(trial: &Trial<'_>, scenarios: &[Tried], found: &[Found]) -> Vec<Failure> {
    let mut failures: Vec<Failure> = found.par_iter().map(|found| failure::shrink(trial, &scenarios[found.scenario], found)).collect();
    failures.sort_by_key(Failure::size);
    // What differed by what was left out of it is one failure, and the smallest shows it.
    let mut told: Vec<Failure> = Vec::new();
    for failure in failures {
        if !told.iter().any(|other| other.found.breach.signature() == failure.found.breach.signature()) {
            told.push(failure);
        }
    }
    let mut failures = told;
    for (index, failure) in failures.iter_mut().enumerate() {
        let origin = &scenarios[failure.found.scenario].origin.name;
        let name = format!("{origin}-{}-{}", word(failure.found.breach.measure.word()), index + 1);
        failure.found.plan = failure.found.plan.clone().called(&name);
    }
    failures
}

/// A measure's word as a part of a file's name.
#[must_use]
pub fn word(measure: &str) -> String {
    measure.replace(['_', '.'], "-")
}

/// The first of each kind of failure.
fn keep_first_of_each(found: &mut Vec<Found>) {
    let mut kept: Vec<Found> = Vec::new();
    for one in found.drain(..) {
        if !kept.iter().any(|other| other.breach.signature() == one.breach.signature()) {
            kept.push(one);
        }
    }
    *found = kept;
}

/// All that can be tried.
struct Space<'a> {
    scenarios: &'a [Tried],
    possible: Vec<Vec<Possible>>,
    seed: u64,
}

type New = (usize, Recipe, Plan, Scenario);

/// What a variant came to. One that a bound ended is counted as that alone: nobody knows what would have come.
struct Played {
    found: Vec<Found>,
    /// Whether a policy acted, or called people.
    acted: bool,
    /// Why none did; `None` where one did, or there was nothing to act for.
    idle: Option<String>,
    /// How a bound ended it; `None`: none did.
    cut: Option<String>,
}

/// How often there was which reason.
#[derive(Default)]
struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    fn add(&mut self, reason: Option<String>) {
        reason.into_iter().for_each(|reason| *self.0.entry(reason).or_default() += 1);
    }

    /// Of equals the first by name.
    fn commonest(self) -> Option<String> {
        self.0.into_iter().rev().max_by_key(|(_, count)| *count).map(|(reason, _)| reason)
    }
}

impl Space<'_> {
    /// Every scenario as it is, with one thing alone, with one thing besides its own, and with two things; each of these in an order of the seed's, so
    /// that a search that ends early has seen some of everything.
    fn listed(&self) -> Vec<(usize, Recipe)> {
        let (mut as_is, mut alone, mut with_own, mut pairs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (scenario, possible) in self.possible.iter().enumerate() {
            as_is.push((scenario, Recipe::AsIs));
            for (which, one) in possible.iter().enumerate() {
                let sizes = if one.has_size() { &SIZES[..] } else { &SIZES[..1] };
                alone.extend(sizes.iter().map(|how| (scenario, Recipe::Alone { which, how: *how })));
                with_own.extend(APART.iter().map(|apart| (scenario, Recipe::WithOwn { which, apart: *apart })));
                let others = which + 1..possible.len();
                pairs.extend(others.flat_map(|second| APART.map(|apart| (scenario, Recipe::Pair { first: which, second, apart }))));
            }
        }
        with_own.retain(|(scenario, _)| !self.scenarios[*scenario].origin.as_is().entries.is_empty());
        let shuffled = |(salt, list): (&str, Vec<(usize, Recipe)>)| {
            let salt = mix64(self.seed, hash64(salt));
            let mut keyed: Vec<(u64, (usize, Recipe))> = (0_u64..).map(|index| mix64(salt, index)).zip(list).collect();
            keyed.sort_by_key(|(key, _)| *key);
            keyed.into_iter().map(|(_, recipe)| recipe)
        };
        as_is.into_iter().chain([("alone", alone), ("with own", with_own), ("pairs", pairs)].into_iter().flat_map(shuffled)).collect()
    }

    fn at_random(&self, round: u64) -> (usize, Recipe) {
        ((round % self.scenarios.len() as u64) as usize, Recipe::Random { round })
    }

    /// Those of a batch that are sound and were not there before, in order.
    fn read(&self, batch: &[(usize, Recipe)], known: &mut BTreeSet<String>) -> Vec<New> {
        let read = |(scenario, recipe): &(usize, Recipe)| {
            let plan = self.plan(*scenario, recipe);
            let read = self.scenarios[*scenario].read(&plan)?;
            Some((*scenario, *recipe, plan, read))
        };
        let read: Vec<Option<New>> = batch.par_iter().map(read).collect();
        read.into_iter().flatten().filter(|(.., scenario)| known.insert(scenario.hash.clone())).collect()
    }

    fn played(&self, trial: &Trial<'_>, new: Vec<New>) -> Vec<Played> {
        let play = |(scenario, _, plan, read): New| {
            let shows = trial.play(&self.scenarios[scenario], read);
            let found = |breach| Found { scenario, plan: plan.clone(), breach };
            let exercise = &shows.outcome.exercise;
            let cut = shows.outcome.cut.as_ref().map(ToString::to_string);
            let acted = cut.is_none() && matches!(exercise, Exercise::Acted { .. } | Exercise::OnlyPaged { .. });
            let idle = (!acted && cut.is_none() && *exercise != Exercise::Calm).then(|| exercise.to_string());
            Played { found: shows.breaches.into_iter().map(found).collect(), acted, idle, cut }
        };
        new.into_par_iter().map(play).collect()
    }

    fn plan(&self, scenario: usize, recipe: &Recipe) -> Plan {
        let origin = &self.scenarios[scenario].origin;
        let possible = &self.possible[scenario];
        let own = origin.as_is().called(&format!("{}-variant", origin.name));
        let onset = origin.onset();
        let later = |apart: u64| onset.saturating_add(Span::from_seconds(apart));
        let entries = match *recipe {
            Recipe::AsIs => return own,
            Recipe::Alone { which, how } => vec![possible[which].entry(how, onset, LASTING)],
            Recipe::WithOwn { which, apart } => [own.entries.clone(), vec![possible[which].entry(1.0, later(apart), LASTING)]].concat(),
            Recipe::Pair { first, second, apart } => {
                vec![possible[first].entry(1.0, onset, LASTING), possible[second].entry(1.0, later(apart), LASTING)]
            }
            Recipe::Random { round } => self.random(scenario, round, &own),
        };
        let last = entries.iter().map(Entry::at).max().unwrap_or(onset);
        let horizon = own.horizon.min(last.saturating_add(AFTER));
        Plan { entries, horizon, ..own }
    }

    /// Some things at random, of the kinds that the round allows: kinds that are left out in one round make room for others, which a draw from all of
    /// them hides (Groce, Zhang, Eide, Chen and Regehr, "Swarm testing", 2012).
    fn random(&self, scenario: usize, round: u64, own: &Plan) -> Vec<Entry> {
        let tried = &self.scenarios[scenario];
        let mut dice = Dice::new(self.seed, &format!("swarm/{}/{round}", tried.origin.name));
        let words: BTreeSet<&str> = self.possible[scenario].iter().map(|possible| possible.word).collect();
        let allowed: BTreeSet<&str> = words.into_iter().filter(|_| dice.chance(0.5)).collect();
        let possible: Vec<&Possible> = self.possible[scenario].iter().filter(|possible| allowed.contains(possible.word)).collect();
        let mut entries = if dice.chance(0.5) { own.entries.clone() } else { Vec::new() };
        let count = 1 + dice.below(MOST_AT_RANDOM);
        let horizon = own.horizon.as_seconds();
        for _ in 0..count {
            let at = dice.span(Span::from_minutes(2), Span::from_seconds_f64((horizon * 0.6).max(121.0)));
            let lasting = dice.span(Span::from_minutes(1), Span::from_minutes(10));
            let how = dice.unit();
            entries.extend(dice.one_of(&possible).map(|chosen| chosen.entry(how, at, lasting)));
        }
        entries
    }
}
