//! Playing: whole rounds over all scenarios, as far as the plan, the time and the verdict ask for.
//!
//! What comes out depends on the clock only through how many seeds were played, and that is told.

#![allow(clippy::disallowed_types, reason = "a budget is of real time")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firedrill_core::time::Span;
use firedrill_core::words::grouped;
use firedrill_reports::verdict::{Case, CutShort, EARLY_LOOKS, IncidentResult, Judgement, Look, Verdict};
use firedrill_reports::words::counted;

use super::TAIL_PAIRS;
use super::plan::{Place, Plan};
use super::prepared::{At, Prepared};
use crate::cli::OnInconclusive;
use crate::commands::progress::Bar;
use crate::commands::setting::seeds;
use crate::failure::Failure;
use crate::known::Known;
use crate::output::Output;

/// Estimates below this are not worth a line.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// Under a budget the clock is looked at about this often.
const STRETCH: Duration = Duration::from_secs(2);

/// What was played, and what it came to.
pub(super) struct Played {
    pub candidate: Vec<Case>,
    /// The baseline's; `None` without one.
    pub baseline: Option<Vec<Case>>,
    pub judgement: Judgement,
    /// The options that play as many again without a clock; empty if the same command does.
    pub repeat: Vec<(&'static str, u32)>,
    /// What is said of how many there were, a sentence each.
    pub notes: Vec<String>,
    /// What is left of the time; `None` if there is no end of it.
    pub time_left: Option<Duration>,
}

/// Plays all that is needed for a verdict.
pub(super) fn play(
    prepared: &Prepared,
    replayed: &[IncidentResult],
    known: &Known,
    budget: Option<Duration>,
    output: Output,
) -> Result<Played, Failure> {
    let planned = prepared.terms.pairs;
    let mut rounds = Rounds {
        plan: &prepared.plan,
        known,
        output,
        clock: Clock::new(budget),
        first: prepared.terms.first,
        played: 0,
        cases: BTreeMap::new(),
    };
    rounds.announce(planned)?;
    for look in EARLY_LOOKS.into_iter().filter(|look| *look < planned) {
        rounds.play_to(look)?;
        let early = At { look: Look::Early, planned, cut_short: None };
        let broken =
            rounds.played == look && rounds.judged(prepared, replayed, early).is_broken_for_good(&prepared.settings(early).thresholds);
        if broken {
            let told =
                format!("stopped after {look} of {} a scenario: what broke cannot be mended by more", counted(u64::from(planned), "pair"));
            let at = At { look: Look::Planned, planned, cut_short: None };
            return Ok(rounds.done(rounds.judged(prepared, replayed, at), Vec::new(), vec![told]));
        }
    }
    rounds.play_to(planned)?;
    if rounds.played < planned {
        return Ok(cut_short(&rounds, prepared, replayed));
    }
    let judgement = rounds.judged(prepared, replayed, At { look: Look::Planned, planned, cut_short: None });
    let needed = judgement.seeds_to_settle(planned).filter(|_| prepared.terms.on_inconclusive == OnInconclusive::Extend);
    let target = needed.map_or(planned, |needed| needed.min(prepared.terms.max_pairs));
    rounds.play_to(target)?;
    let pairs = rounds.played;
    if pairs <= planned {
        return Ok(rounds.done(judgement, Vec::new(), Vec::new()));
    }
    let told =
        format!("{} a scenario did not tell, so {pairs} were played and asked for more certainty", counted(u64::from(planned), "pair"));
    let repeat = if pairs < target { vec![("--max-pairs", pairs)] } else { Vec::new() };
    let judgement = rounds.judged(prepared, replayed, At { look: Look::Extended, planned, cut_short: None });
    Ok(rounds.done(judgement, repeat, vec![told]))
}

/// Judged by what there was time for. It may pass where the guard on catastrophes has enough pairs to speak: then the tests know what they say.
fn cut_short(rounds: &Rounds<'_>, prepared: &Prepared, replayed: &[IncidentResult]) -> Played {
    let (pairs, asked) = (rounds.played, prepared.terms.pairs);
    let is_tested = prepared.contest.baseline.is_some() && u64::from(pairs) >= TAIL_PAIRS;
    let cut_short = (!is_tested).then_some(CutShort { pairs, asked });
    let judgement = rounds.judged(prepared, replayed, At { look: Look::Planned, planned: pairs, cut_short });
    let told = format!(
        "the time allowed {pairs} of {} a scenario; `--pairs {pairs}` plays the same runs again, and judges them as all that were asked for",
        counted(u64::from(asked), "pair")
    );
    rounds.done(judgement, vec![("--pairs", pairs)], vec![told])
}

/// When to stop.
struct Clock {
    started: Instant,
    budget: Option<Duration>,
}

impl Clock {
    fn new(budget: Option<Duration>) -> Self {
        Self { started: Instant::now(), budget }
    }

    /// How much time is left; `None` if there is no end of it.
    fn left(&self) -> Option<Duration> {
        self.budget.map(|budget| budget.saturating_sub(self.started.elapsed()))
    }
}

/// How far it is.
struct Rounds<'a> {
    plan: &'a Plan,
    known: &'a Known,
    output: Output,
    clock: Clock,
    first: u64,
    /// Seeds of each scenario that were played.
    played: u32,
    /// The candidate's case and the baseline's, in the order of the plan.
    cases: BTreeMap<Place, Vec<Case>>,
}

impl Rounds<'_> {
    /// Says how much there is to do, and how much of it is known.
    fn announce(&self, planned: u32) -> Result<(), Failure> {
        let places = self.plan.places(&seeds(self.first, planned)?);
        let (all, left) = (self.plan.run_count(&places, &Known::default()), self.plan.run_count(&places, self.known));
        let told = [(self.plan.campaign.scenarios.len(), "scenario"), (planned as usize, "seed"), (all, "run")];
        let [scenarios, seeds, runs] = told.map(|(count, noun)| counted(count as u64, noun));
        let known = if left < all { format!(", {} of them known", grouped((all - left) as u64)) } else { String::new() };
        self.output.talk(&format!("{scenarios} × {seeds}, {runs}{known}"));
        Ok(())
    }

    /// Plays until so many seeds of each scenario were played, or the time is over. The first is played whatever the clock says.
    fn play_to(&mut self, target: u32) -> Result<(), Failure> {
        while self.played < target {
            let Some(count) = self.next_stretch(target - self.played) else { return Ok(()) };
            let seeds = seeds(self.first.saturating_add(u64::from(self.played)), count)?;
            let places = self.plan.places(&seeds);
            let left = self.plan.run_count(&places, self.known);
            let began = Instant::now();
            let bar = Bar::new(places.len(), self.output);
            let cases = self.plan.play(&places, self.known, &|| bar.step());
            bar.clear();
            if self.played == 0 && left > 0 {
                self.estimate(began.elapsed(), left, target - count)?;
            }
            self.cases.extend(cases);
            self.played += count;
        }
        Ok(())
    }

    /// How many seeds come next. The first round is one, to see how long it takes; `None` if there is no time for another.
    fn next_stretch(&self, wanted: u32) -> Option<u32> {
        if self.played == 0 {
            return Some(1);
        }
        let Some(left) = self.clock.left() else { return Some(wanted) };
        let one = self.clock.started.elapsed().as_secs_f64() / f64::from(self.played);
        let fits = (left.min(STRETCH).as_secs_f64() / one.max(1e-6)) as u32;
        (left.as_secs_f64() > one).then(|| fits.clamp(1, wanted))
    }

    /// Says about how long the rest takes, by the first round.
    fn estimate(&self, took: Duration, runs: usize, seeds_left: u32) -> Result<(), Failure> {
        if seeds_left == 0 {
            return Ok(());
        }
        let places = self.plan.places(&seeds(self.first.saturating_add(1), seeds_left)?);
        let left = self.plan.run_count(&places, self.known);
        let seconds = took.as_secs_f64() * left as f64 / runs as f64;
        if seconds >= WORTH_TELLING.as_secs_f64() {
            self.output.talk(&format!("about {} for {}", Span::from_seconds(seconds.ceil() as u64), counted(left as u64, "more run")));
        }
        Ok(())
    }

    /// The candidate's cases and the baseline's, in the order of the plan.
    fn sides(&self) -> (Vec<Case>, Option<Vec<Case>>) {
        let side = |index: usize| self.cases.values().filter_map(|cases| cases.get(index).cloned()).collect();
        (side(0), (self.plan.campaign.answers.len() > 1).then(|| side(1)))
    }

    fn judged(&self, prepared: &Prepared, replayed: &[IncidentResult], at: At) -> Judgement {
        let (candidate, baseline) = self.sides();
        prepared.judge((&candidate, baseline.as_deref()), replayed, at)
    }

    fn done(&self, judgement: Judgement, repeat: Vec<(&'static str, u32)>, notes: Vec<String>) -> Played {
        let (candidate, baseline) = self.sides();
        Played { candidate, baseline, judgement, repeat, notes, time_left: self.clock.left() }
    }
}

impl Played {
    /// Whether it may pass by the word `warn`: nothing broke, something was done, and it had its time. The judgement is the one with the variants.
    pub fn passes_with_warning(&self, prepared: &Prepared, judgement: &Judgement) -> bool {
        let had_time = judgement.cut_short.is_none() && judgement.variants_cut_short.is_none();
        // Of a run that a bound ended nothing is known, however many pairs there are.
        let is_whole = judgement.classes.iter().all(|class| class.exercise.verdict != Verdict::Inconclusive);
        let is_inconclusive = self.judgement.verdict == Verdict::Inconclusive && judgement.verdict == Verdict::Inconclusive;
        let is_open = is_inconclusive && had_time && is_whole;
        is_open && prepared.terms.on_inconclusive == OnInconclusive::Warn
    }
}
