//! Judging a candidate: every threshold in every class, every cost against the baseline, every recorded incident.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_core::part::Part;

use super::gravity::Grave;
use super::measure::Measure;
use super::threshold::{Aggregate, Threshold};
use super::unsettled::why_missing;
use super::{
    Breach, Case, ClassVerdict, CostVerdict, ExerciseRule, ExerciseVerdict, IdlePolicy, IncidentResult, IncidentStatus, JudgeSettings,
    Judgement, RunName, SCHEMA, SELDOM, ScenarioVerdict, TailVerdict, ThresholdVerdict, Verdict,
};
use crate::outcome::{Cut, Exercise, Outcome};
use crate::statistics::{NonInferiority, Quantile, Sample};
use crate::words::counted;

/// A run of the candidate with the baseline's on the same scenario and seed.
type Pair<'a> = (&'a Outcome, &'a Outcome);

/// Judges a candidate, alone and against a baseline. Runs are paired by scenario and seed.
///
/// In a class that is not exercised no threshold holds or breaks, since what was measured is not the policy's doing. Two
/// exceptions: safety violations break a verdict wherever they happen, and a policy that took an incident up, called people or was turned away
/// by the platform and did nothing else answers for what users lost meanwhile: a threshold can break there, and cannot hold.
#[must_use]
pub fn judge(candidate: &[Case], baseline: Option<&[Case]>, incidents: &[IncidentResult], settings: &JudgeSettings) -> Judgement {
    let thresholds = with_safety(&settings.thresholds);
    let settings = &JudgeSettings { thresholds, ..settings.clone() };
    let by_run: BTreeMap<(&Name, u64), &Outcome> =
        baseline.unwrap_or_default().iter().map(|case| ((&case.outcome.scenario, case.outcome.seed), &case.outcome)).collect();
    let pair = |case: &'_ &'_ Case| Some((*by_run.get(&(&case.outcome.scenario, case.outcome.seed))?, ()));
    let mut classes = Vec::new();
    let mut exercised: Vec<&Outcome> = Vec::new();
    let mut paired: Vec<Vec<Pair>> = Vec::new();
    for (class, cases) in by_class(candidate) {
        let outcomes: Vec<&Outcome> = cases.iter().map(|case| &case.outcome).collect();
        let pairs: Vec<Pair> = cases.iter().filter_map(|case| Some((pair(case)?.0, &case.outcome))).collect();
        let verdict = judge_class(class, &outcomes, &pairs, settings);
        if verdict.exercise.tells() {
            exercised.extend(&outcomes);
            paired.push(pairs);
        }
        classes.push(verdict);
    }
    let idle = if settings.narrowed { Vec::new() } else { idle_policies(candidate, baseline, incidents, settings) };
    let pooled = settings.thresholds.iter().map(|threshold| judge_pooled(threshold, &exercised, candidate, settings));
    let thresholds = pooled.filter(|found| !settings.narrowed || found.figure.is_some()).collect();
    let costs = if baseline.is_some() { compare_costs_both_ways(&paired, settings) } else { Vec::new() };
    let mut judgement = Judgement {
        schema: SCHEMA.to_owned(),
        judge_changes: settings.judge_changes.clone(),
        approval: settings.approval.clone().filter(|_| !settings.judge_changes.is_empty()),
        verdict: Verdict::Held,
        cut_short: settings.cut_short,
        variants_cut_short: None,
        policies: policies(candidate),
        runs: candidate.len() as u64,
        pairs: baseline.map(|_| candidate.iter().filter(|case| pair(case).is_some()).count() as u64),
        classes,
        thresholds,
        costs,
        idle,
        incidents: incidents.to_vec(),
    };
    judgement.verdict = overall(&judgement, settings);
    judgement
}

impl Judgement {
    /// Everything that broke, in the order of the judgement. What a class has broken is not told again of its scenarios,
    /// nor of all classes together: each breach names the run that shows it worst.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        self.graves().into_iter().map(|grave| grave.breach).collect()
    }

    /// The same with how grave each is.
    pub(super) fn graves(&self) -> Vec<Grave> {
        let mut graves: Vec<Grave> = self.classes.iter().flat_map(class_graves).collect();
        let (told, broken): (BTreeSet<&str>, _) = (self.told_thresholds(), |verdict| verdict == Verdict::Broken);
        let pooled = self.thresholds.iter().filter(|found| broken(found.verdict) && !told.contains(found.threshold.as_str()));
        graves.extend(pooled.map(|found| Grave::of_threshold("all classes", found)));
        let told_cost = |cost: &CostVerdict| {
            self.classes.iter().flat_map(|class| &class.costs).any(|own| own.measure == cost.measure && broken(own.verdict))
        };
        let costs = self.costs.iter().filter(|found| broken(found.verdict) && !told_cost(found));
        graves.extend(costs.map(|found| Grave::of_cost("all classes", found)));
        let failed = self.incidents.iter().filter(|incident| incident.verdict() == Some(Verdict::Broken));
        graves.extend(failed.map(Grave::of_incident));
        graves
    }

    /// The thresholds that some class or scenario has broken.
    fn told_thresholds(&self) -> BTreeSet<&str> {
        let own = self.classes.iter().flat_map(|class| &class.thresholds);
        let scenarios = self.classes.iter().flat_map(|class| &class.scenarios).flat_map(|scenario| &scenario.thresholds);
        let all = own.chain(scenarios);
        all.filter(|found| found.verdict == Verdict::Broken).map(|found| found.threshold.as_str()).collect()
    }
}

fn class_graves(class: &ClassVerdict) -> Vec<Grave> {
    let broken = |verdict| verdict == Verdict::Broken;
    let thresholds = class.told_thresholds().into_iter().filter(|(_, found)| broken(found.verdict));
    let mut graves: Vec<Grave> = thresholds.map(|(place, found)| Grave::of_threshold(place, found)).collect();
    graves.extend(class.costs.iter().filter(|found| broken(found.verdict)).map(|found| Grave::of_cost(&class.class, found)));
    graves.extend(class.tail.iter().filter(|found| broken(found.verdict)).map(|found| Grave::of_tail(&class.class, found)));
    graves
}

impl ClassVerdict {
    /// Its thresholds, each with the place of its figure: the class, and a scenario of it only where the class has nothing as bad to say of it.
    #[must_use]
    pub fn told_thresholds(&self) -> Vec<(&Name, &ThresholdVerdict)> {
        let mut told: Vec<(&Name, &ThresholdVerdict)> = self.thresholds.iter().map(|found| (&self.class, found)).collect();
        let is_told =
            |found: &&ThresholdVerdict| self.thresholds.iter().any(|own| own.threshold == found.threshold && own.verdict >= found.verdict);
        for scenario in &self.scenarios {
            told.extend(scenario.thresholds.iter().filter(|found| !is_told(found)).map(|found| (&scenario.scenario, found)));
        }
        told
    }
}

impl ThresholdVerdict {
    /// The figure against its limit, for people: `p90 = 7m12s, must be < 5m (n = 20)`.
    #[must_use]
    pub fn figures(&self) -> String {
        let Some(figure) = self.figure else { return "no run has this measure".to_owned() };
        let bound = if self.at_least { "at least " } else { "" };
        format!("{bound}{} (n = {})", self.unit.show_beside(figure, self.limit), self.n)
    }
}

impl CostVerdict {
    /// The candidate's mean and the one that is allowed, for people.
    #[must_use]
    pub fn means(&self) -> [String; 2] {
        self.unit.show_both([self.comparison.candidate_mean, self.comparison.allowed_mean])
    }
}

/// A safety violation breaks every verdict, whether anyone asked or not.
fn with_safety(thresholds: &[Threshold]) -> Vec<Threshold> {
    let safety = Threshold::parse("safety_violations", "total == 0").expect("a threshold of ours is well formed");
    let mut all = thresholds.to_vec();
    // A project may have written the same in another way.
    let same = |own: &Threshold| {
        is_safety(own) && own.limit == 0.0 && own.limits_from_above() && matches!(own.aggregate, Aggregate::Max | Aggregate::Total)
    };
    if !all.iter().any(same) {
        all.push(safety);
    }
    all
}

fn by_class(cases: &[Case]) -> BTreeMap<&Name, Vec<&Case>> {
    let mut classes: BTreeMap<&Name, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        classes.entry(&case.class).or_default().push(case);
    }
    classes
}

fn judge_class(class: &Name, outcomes: &[&Outcome], pairs: &[Pair], settings: &JudgeSettings) -> ClassVerdict {
    let rehearsed: Vec<&Outcome> = outcomes.iter().copied().filter(|outcome| !settings.added.contains(&outcome.scenario)).collect();
    let exercise = judge_exercise(if rehearsed.is_empty() { outcomes } else { &rehearsed }, outcomes);
    let told = Telling::of(exercise.tells(), outcomes);
    let judged = |outcomes: &[&Outcome]| -> Vec<ThresholdVerdict> {
        let answered: Vec<&Outcome> = outcomes.iter().copied().filter(|outcome| told.answers_for(outcome)).collect();
        let runs = |threshold: &Threshold| if is_safety(threshold) || answered.is_empty() { outcomes } else { &answered };
        // Where it answered nothing of a scenario, nothing there is its doing.
        let told = if answered.is_empty() { Telling::Nothing } else { told };
        settings.thresholds.iter().filter_map(|threshold| judge_threshold(threshold, runs(threshold), told, settings)).collect()
    };
    let thresholds = judged(outcomes);
    let mut by_scenario: BTreeMap<&Name, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        by_scenario.entry(&outcome.scenario).or_default().push(outcome);
    }
    let several = by_scenario.len() > 1;
    let scenarios = by_scenario.into_iter().filter(|_| several).map(|(scenario, own)| {
        let thresholds = judged(&own);
        let verdict = thresholds.iter().map(|found| found.verdict).max().unwrap_or(Verdict::Held);
        ScenarioVerdict { scenario: scenario.clone(), verdict, runs: own.len() as u64, thresholds }
    });
    let scenarios: Vec<ScenarioVerdict> = scenarios.collect();
    let pairs: Vec<Pair> = pairs.iter().copied().filter(|(_, candidate)| told.answers_for(candidate)).collect();
    let mut costs = if told == Telling::Nothing { Vec::new() } else { compare_costs_both_ways(std::slice::from_ref(&pairs), settings) };
    costs.iter_mut().for_each(|found| found.verdict = told.weighed(found.verdict));
    let mut tail = if told == Telling::Nothing { None } else { judge_tail(&pairs, settings) };
    if !settings.added.is_empty() && tail.is_some() {
        let own = judge_tail(&without_added(&pairs, settings), settings);
        tail = [tail, own].into_iter().flatten().reduce(|all, own| if own.verdict > all.verdict { own } else { all });
    }
    tail.iter_mut().for_each(|found| found.verdict = told.weighed(found.verdict));
    let verdicts = thresholds.iter().map(|found| found.verdict).chain(scenarios.iter().map(|found| found.verdict));
    let verdicts = verdicts.chain(costs.iter().map(|found| found.verdict)).chain(tail.iter().map(|found| found.verdict));
    let verdict = verdicts.chain([exercise.verdict]).max().expect("the exercise is always judged");
    // Where a bound ended a run, nobody knows whether it would have acted.
    let is_cut = exercise.verdict == Verdict::Inconclusive && verdict == Verdict::NotExercised;
    let verdict = if is_cut { Verdict::Inconclusive } else { verdict };
    ClassVerdict { class: class.clone(), verdict, runs: outcomes.len() as u64, exercise, thresholds, scenarios, costs, tail }
}

/// What runs tell about a policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// It acted, or there was nothing to do: all is its doing.
    All,
    /// It called people, or was turned away by the platform, and did nothing else: what is wrong counts against it, what is right is not its doing.
    OnlyWrong,
    /// It did not answer at all.
    Nothing,
}

impl Telling {
    fn of(exercised: bool, outcomes: &[&Outcome]) -> Self {
        let in_vain = || outcomes.iter().any(|outcome| outcome.exercise.is_in_vain());
        match exercised {
            true => Self::All,
            false if in_vain() => Self::OnlyWrong,
            false => Self::Nothing,
        }
    }

    /// Whether what became of a run can be put down to the policy at all.
    fn answers_for(self, outcome: &Outcome) -> bool {
        self != Self::OnlyWrong || outcome.exercise.is_in_vain()
    }

    /// What becomes of a verdict on such runs.
    fn weighed(self, verdict: Verdict) -> Verdict {
        match self {
            Self::All => verdict,
            Self::OnlyWrong if verdict == Verdict::Broken => verdict,
            Self::OnlyWrong | Self::Nothing => Verdict::NotExercised,
        }
    }
}

/// Whether the policy acted where it had occasion to, of the runs of what `rehearsed` it, and whether `all` runs came to their end.
fn judge_exercise(rehearsed: &[&Outcome], all: &[&Outcome]) -> ExerciseVerdict {
    let with_fault = rehearsed.iter().filter(|outcome| outcome.faults > 0).count() as u64;
    let acted = rehearsed.iter().filter(|outcome| matches!(outcome.exercise, Exercise::Acted { .. })).count() as u64;
    let found = ExerciseVerdict { verdict: Verdict::Held, acted, with_fault, reason: None };
    // What would have come in a run that a bound ended nobody knows, whatever the others say and whoever acted.
    if let Some(reason) = why_cut(all.iter().copied()) {
        return ExerciseVerdict { verdict: Verdict::Inconclusive, reason: Some(reason), ..found };
    }
    if found.tells() {
        return found;
    }
    ExerciseVerdict { verdict: Verdict::NotExercised, reason: commonest_reason(rehearsed), ..found }
}

/// How many of some runs a bound ended, and how it ended the first; `None` if all came to their end.
#[must_use]
pub fn why_cut<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> Option<String> {
    let cut: Vec<(&Name, &Cut)> = outcomes.clone().filter_map(|outcome| Some((&outcome.scenario, outcome.cut.as_ref()?))).collect();
    let (scenario, first) = cut.first()?;
    let told = match outcomes.count() {
        1 => "the one run proves nothing".to_owned(),
        all => format!("{} of {all} runs prove nothing", cut.len()),
    };
    Some(format!("{told}: {first} ({scenario})"))
}

/// The commonest reason for not acting; the first in order among equals. The same guard with other figures is the same reason.
fn commonest_reason(outcomes: &[&Outcome]) -> Option<String> {
    let mut reasons: Vec<(&Exercise, u64)> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.exercise.tells()) {
        match reasons.iter_mut().find(|(reason, _)| is_same_reason(reason, &outcome.exercise)) {
            Some((_, count)) => *count += 1,
            None => reasons.push((&outcome.exercise, 1)),
        }
    }
    let most = reasons.iter().map(|(_, count)| *count).max()?;
    reasons.into_iter().find(|(_, count)| *count == most).map(|(reason, _)| reason.to_string())
}

fn is_same_reason(one: &Exercise, other: &Exercise) -> bool {
    match (one, other) {
        (Exercise::Refused { guard, .. }, Exercise::Refused { guard: same, .. }) => guard == same,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

fn is_safety(threshold: &Threshold) -> bool {
    threshold.measure.word() == "safety_violations"
}

/// Judges one threshold over some runs; `None` if none of them has the measure.
fn judge_threshold(threshold: &Threshold, outcomes: &[&Outcome], told: Telling, settings: &JudgeSettings) -> Option<ThresholdVerdict> {
    let samples: Vec<(&Outcome, Sample)> = outcomes.iter().filter_map(|o| Some((*o, threshold.measure.figure(o)?))).collect();
    let found = if threshold.aggregate == Aggregate::Pooled {
        pooled_rate(outcomes)?
    } else {
        threshold.figure(&samples.iter().map(|(_, sample)| *sample).collect::<Vec<_>>())?
    };
    let allowed = threshold.allows(found.value);
    let is_safety = is_safety(threshold);
    let verdict = match () {
        // What is only a lower bound can break an upper limit, and cannot keep it.
        () if found.at_least && allowed == threshold.limits_from_above() => Verdict::Inconclusive,
        () if allowed => Verdict::Held,
        () => Verdict::Broken,
    };
    let verdict = if is_safety && !allowed { verdict } else { told.weighed(verdict) };
    let worst = worst(threshold, &samples);
    Some(ThresholdVerdict {
        measure: threshold.measure,
        threshold: threshold.to_string(),
        verdict,
        figure: Some(found.value),
        at_least: found.at_least,
        limit: threshold.limit,
        unit: threshold.measure.unit(),
        n: if threshold.aggregate == Aggregate::Pooled { outcomes.len() } else { samples.len() } as u64,
        worst: worst.map(|(outcome, _)| run_name(outcome, settings)),
        worst_figure: worst.map(|(_, sample)| sample.value),
        reason: match verdict {
            Verdict::Inconclusive => Some("runs ended before the time had come".to_owned()),
            Verdict::NotExercised => commonest_reason(outcomes),
            Verdict::Held | Verdict::Broken => None,
        },
    })
}

/// False positives over actions of all runs; 0 if nobody acted.
fn pooled_rate(outcomes: &[&Outcome]) -> Option<Quantile> {
    let false_positives: u64 = outcomes.iter().map(|outcome| outcome.false_positives).sum();
    let actions: u64 = outcomes.iter().map(|outcome| outcome.actions).sum();
    let value = if actions == 0 { 0.0 } else { false_positives as f64 / actions as f64 };
    (!outcomes.is_empty()).then_some(Quantile { value, at_least: false })
}

/// The run that shows a figure worst; the first of equals, so that it does not depend on how many there are.
fn worst<'a>(threshold: &Threshold, samples: &[(&'a Outcome, Sample)]) -> Option<(&'a Outcome, Sample)> {
    let badness = |outcome: &Outcome, sample: Sample| {
        // Of equal rates the run with more false positives shows more.
        let weight = if threshold.aggregate == Aggregate::Pooled { outcome.false_positives as f64 } else { 0.0 };
        let value = if threshold.limits_from_above() { sample.value } else { -sample.value };
        (sample.censored, weight, value)
    };
    samples.iter().copied().reduce(|one, other| {
        let worse = badness(other.0, other.1).partial_cmp(&badness(one.0, one.1)).is_some_and(std::cmp::Ordering::is_gt);
        if worse { other } else { one }
    })
}

fn judge_pooled(threshold: &Threshold, exercised: &[&Outcome], candidate: &[Case], settings: &JudgeSettings) -> ThresholdVerdict {
    let all: Vec<&Outcome> = candidate.iter().map(|case| &case.outcome).collect();
    let is_safety = is_safety(threshold);
    let judged = if exercised.is_empty() || is_safety { None } else { judge_threshold(threshold, exercised, Telling::All, settings) };
    // Without any exercised class every class is shown; safety is judged over all runs whatever they exercised.
    let told = Telling::of(is_safety && !exercised.is_empty(), &all);
    let answered: Vec<&Outcome> = all.iter().copied().filter(|outcome| is_safety || told.answers_for(outcome)).collect();
    judged.or_else(|| judge_threshold(threshold, &answered, told, settings)).unwrap_or_else(|| ThresholdVerdict {
        measure: threshold.measure,
        threshold: threshold.to_string(),
        verdict: Verdict::Inconclusive,
        figure: None,
        at_least: false,
        limit: threshold.limit,
        unit: threshold.measure.unit(),
        n: 0,
        worst: None,
        worst_figure: None,
        reason: Some(why_missing(threshold.measure).to_owned()),
    })
}

/// Each cost over all runs, or over those of scenarios that the change does not bring along if these tell worse: many runs of no consequence would
/// otherwise outweigh the few that matter.
fn compare_costs_both_ways(classes: &[Vec<Pair>], settings: &JudgeSettings) -> Vec<CostVerdict> {
    let mut all = compare_costs(classes, settings);
    if settings.added.is_empty() {
        return all;
    }
    let rehearsed: Vec<Vec<Pair>> = classes.iter().map(|pairs| without_added(pairs, settings)).collect();
    for own in compare_costs(&rehearsed, settings) {
        match all.iter_mut().find(|found| found.measure == own.measure) {
            Some(found) if own.verdict > found.verdict => *found = own,
            Some(_) => {}
            None => all.push(own),
        }
    }
    all
}

/// The runs of scenarios that the change does not bring along.
fn without_added<'a>(pairs: &[Pair<'a>], settings: &JudgeSettings) -> Vec<Pair<'a>> {
    pairs.iter().copied().filter(|(_, candidate)| !settings.added.contains(&candidate.scenario)).collect()
}

/// Each cost over classes, each class with the margin of its own baseline.
fn compare_costs(classes: &[Vec<Pair>], settings: &JudgeSettings) -> Vec<CostVerdict> {
    let compared = settings.costs.iter().filter_map(|&(measure, least_margin)| {
        // A gain is a cost with its sign turned.
        let sign = if measure.is_gain() { -1.0 } else { 1.0 };
        let cost = |outcome: &Outcome| measure.figure(outcome).map(|sample| sign * sample.value);
        let figures = |pair: &Pair| Some((cost(pair.0)?, cost(pair.1)?));
        let costs: Vec<Vec<(f64, f64)>> = classes.iter().map(|pairs| pairs.iter().filter_map(figures).collect()).collect();
        if SELDOM.contains(&measure.word()) && costs.iter().flatten().all(|(baseline, candidate)| baseline.abs() + candidate.abs() <= 0.0) {
            return None;
        }
        let slices: Vec<&[(f64, f64)]> = costs.iter().map(Vec::as_slice).collect();
        let test = NonInferiority { seed: settings.seed, alpha: settings.alpha, ..NonInferiority::with_least_margin(least_margin) };
        let comparison = test.compare_classes(&slices)?;
        let excess = |pair: &Pair| figures(pair).map_or(f64::MIN, |(baseline, candidate)| candidate - baseline);
        let worst = classes.iter().flatten().reduce(|one, other| if excess(other) > excess(one) { other } else { one });
        let worst = worst.map(|pair| run_name(pair.1, settings));
        Some(CostVerdict { measure, unit: measure.unit(), verdict: comparison.conclusion.into(), comparison, worst })
    });
    compared.collect()
}

fn judge_tail(pairs: &[Pair], settings: &JudgeSettings) -> Option<TailVerdict> {
    let guard = settings.tail.filter(|_| !pairs.is_empty())?;
    let mut only_candidate = pairs.iter().filter(|(baseline, candidate)| {
        is_catastrophic(candidate, settings.catastrophic_harm) && !is_catastrophic(baseline, settings.catastrophic_harm)
    });
    let first = only_candidate.next();
    let catastrophes = u64::from(first.is_some()) + only_candidate.count() as u64;
    let result = guard.test(catastrophes, pairs.len() as u64);
    Some(TailVerdict { verdict: result.conclusion.into(), result, worst: first.map(|pair| run_name(pair.1, settings)) })
}

fn is_catastrophic(outcome: &Outcome, harm: f64) -> bool {
    let unrecovered = outcome.time_to_recover.is_some_and(|time| time.censored);
    unrecovered || !outcome.safety_violations.is_empty() || outcome.harm > harm
}

fn policies(cases: &[Case]) -> Vec<Name> {
    let all: BTreeSet<&Name> = cases.iter().flat_map(|case| &case.outcome.policies).collect();
    all.into_iter().cloned().collect()
}

/// In how many runs with a fault the baseline's policy of a name acted: where it did, the new one misses what it was there for.
fn acted_before(policy: &Name, baseline: &[Case]) -> String {
    let on_duty = |case: &&Case| case.outcome.faults > 0 && case.outcome.policies.contains(policy);
    let acted = |case: &&Case| matches!(&case.outcome.exercise, Exercise::Acted { policies } if policies.contains(policy));
    let all: Vec<&Case> = baseline.iter().filter(on_duty).collect();
    let count = all.iter().copied().filter(acted).count();
    if count > 0 { format!("as the baseline has it, it acted in {count} of {}", counted(all.len() as u64, "run")) } else { String::new() }
}

/// Policies that acted in no run although faults were there; or, where nothing has a fault, in no run and no replay.
fn idle_policies(cases: &[Case], baseline: Option<&[Case]>, incidents: &[IncidentResult], settings: &JudgeSettings) -> Vec<IdlePolicy> {
    let with_fault: Vec<&Outcome> = cases.iter().map(|case| &case.outcome).filter(|outcome| outcome.faults > 0).collect();
    if with_fault.is_empty() {
        return idle_in_calm(cases, incidents);
    }
    let acted = |policy: &Name| {
        with_fault.iter().any(|outcome| match &outcome.exercise {
            Exercise::Acted { policies } => policies.contains(policy),
            // Calling people is all that some policies are for.
            Exercise::OnlyPaged { policies, .. } => policies.contains(policy) && settings.only_notify.contains(policy),
            _ => false,
        })
    };
    let idle = policies(cases).into_iter().filter(|policy| !acted(policy));
    idle.map(|policy| {
        let on_duty: Vec<&Outcome> = with_fault.iter().copied().filter(|outcome| outcome.policies.contains(&policy)).collect();
        let nowhere = match on_duty.len() {
            1 => "it did not act in the one run with a fault".to_owned(),
            runs => format!("it acted in none of {runs} runs with a fault"),
        };
        let alone = on_duty.iter().all(|outcome| outcome.policies.len() == 1);
        // Where others were on duty too, the run's reason may be theirs.
        let in_vain: Vec<&Outcome> = on_duty.iter().copied().filter(|outcome| outcome.exercise.is_in_vain()).collect();
        // That it was there and only called people, or was turned away, tells more than the many runs in which it had no occasion.
        let told = if in_vain.is_empty() { &on_duty } else { &in_vain };
        let reason = commonest_reason(told).filter(|_| alone).map_or(nowhere.clone(), |reason| format!("{nowhere}: {reason}"));
        let before = acted_before(&policy, baseline.unwrap_or_default());
        IdlePolicy { policy, reason, before }
    })
    .collect()
}

/// Policies that nothing was learnt of where no fault is rehearsed: they decided nothing on a recording either. To have been right in doing nothing is not
/// to have been tried.
fn idle_in_calm(cases: &[Case], incidents: &[IncidentResult]) -> Vec<IdlePolicy> {
    let acted = |policy: &Name| {
        let is_act = |part: &Part| matches!(part, Part::Step(_) | Part::Call(_));
        let mut replays = incidents.iter().filter_map(|incident| incident.reached.get(policy));
        replays.any(|parts| parts.iter().any(is_act))
            || cases.iter().any(|case| matches!(&case.outcome.exercise, Exercise::Acted { policies } if policies.contains(policy)))
    };
    let idle = policies(cases).into_iter().filter(|policy| !acted(policy));
    idle.map(|policy| {
        let reason = "it did not act: nothing that is rehearsed has a fault, and no recording asks for it".to_owned();
        IdlePolicy { policy, reason, before: String::new() }
    })
    .collect()
}

fn overall(judgement: &Judgement, settings: &JudgeSettings) -> Verdict {
    let every_class = settings.exercise == ExerciseRule::EveryClass;
    let counts = |class: &&ClassVerdict| every_class || class.verdict != Verdict::NotExercised;
    let classes = judgement.classes.iter().filter(counts).map(|class| class.verdict);
    let pooled = judgement.thresholds.iter().map(|found| found.verdict).chain(judgement.costs.iter().map(|found| found.verdict));
    // What a candidate that covers what its alerts cover does not answer is none of its business, in a recording as in a class.
    let is_own = |incident: &&IncidentResult| every_class || incident.status != IncidentStatus::NotExercised;
    let incidents = judgement.incidents.iter().filter(is_own).filter_map(IncidentResult::verdict);
    let idle = judgement.idle.iter().map(|_| Verdict::NotExercised);
    // Having done nothing in all classes with a fault proves nothing, whatever a class without one says.
    let faulty = || judgement.classes.iter().filter(|class| class.exercise.with_fault > 0);
    let nowhere = !every_class && faulty().next().is_some() && faulty().all(|class| class.exercise.verdict == Verdict::NotExercised);
    let nowhere = nowhere.then_some(Verdict::NotExercised);
    // Whoever edits the judge is not judged by it.
    let edited = judgement.is_judge_changed().then_some(Verdict::Broken);
    let cut_short = judgement.cut_short.map(|_| Verdict::Inconclusive);
    // Nothing at all proves nothing.
    let found = classes.chain(pooled).chain(incidents).chain(idle).chain(nowhere).max().unwrap_or(Verdict::Inconclusive);
    [edited, cut_short].into_iter().flatten().fold(found, Ord::max)
}

fn run_name(outcome: &Outcome, settings: &JudgeSettings) -> RunName {
    let (scenario, seed) = (outcome.scenario.clone(), outcome.seed);
    let command = settings.command.replace("{scenario}", &scenario).replace("{seed}", &seed.to_string());
    RunName { scenario, seed, command }
}

/// The worst run of a measure, for reports that show one example; `None` if no run has it.
#[must_use]
pub fn worst_run(cases: &[Case], measure: Measure) -> Option<&Case> {
    let figure = |case: &Case| measure.figure(&case.outcome).map(|sample| if measure.is_gain() { -sample.value } else { sample.value });
    cases.iter().filter(|case| figure(case).is_some()).reduce(|one, other| if figure(other) > figure(one) { other } else { one })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Elapsed;
    use crate::sample;

    fn case(class: &str, seed: u64, change: impl FnOnce(&mut Outcome)) -> Case {
        let mut outcome = sample::storm_outcome();
        outcome.seed = seed;
        outcome.scenario = Name::new(class);
        change(&mut outcome);
        Case { class: Name::new(class), outcome }
    }

    fn recover(seconds: f64, censored: bool) -> impl FnOnce(&mut Outcome) {
        move |outcome| outcome.time_to_recover = Some(Elapsed { seconds, censored })
    }

    fn settings(thresholds: &[(&str, &str)]) -> JudgeSettings {
        let thresholds = thresholds.iter().map(|(measure, text)| Threshold::parse(measure, text).unwrap()).collect();
        JudgeSettings { thresholds, ..JudgeSettings::default() }
    }

    fn never_fired(outcome: &mut Outcome) {
        outcome.exercise = Exercise::NeverFired { alerts: vec![Name::new("Ghost")], failures: Vec::new() };
        outcome.actions = 0;
    }

    #[test]
    fn a_threshold_that_breaks_names_its_class_measure_worst_seed_and_command() {
        let cases =
            [case("storm", 1, recover(100.0, false)), case("storm", 2, recover(900.0, false)), case("leak", 3, recover(50.0, false))];
        let judgement = judge(&cases, None, &[], &settings(&[("time_to_recover", "max < 5m")]));
        assert_eq!((judgement.verdict, judgement.verdict.exit_code()), (Verdict::Broken, 1));
        let breach = &judgement.breaches()[0];
        assert_eq!((breach.place.as_str(), breach.what.as_str()), ("storm", "time_to_recover max < 5m: found 15m (n = 2)"));
        assert_eq!(breach.command.as_deref(), Some("firedrill run storm --seed 2"));
        assert_eq!(judgement.classes[0].verdict, Verdict::Held, "leak");
    }

    fn cut(outcome: &mut Outcome) {
        let (arm, bound) = (Name::new("policy"), Name::new("events"));
        outcome.cut = Some(Cut { arm, bound, at_seconds: 245, before_any_fault: false });
    }

    #[test]
    fn what_a_bound_ended_holds_nothing_and_keeps_what_broke() {
        let of = |changes: &[fn(&mut Outcome)], settings: &JudgeSettings| {
            let all = |outcome: &mut Outcome| changes.iter().for_each(|change| change(outcome));
            let mut other = case("storm", 1, all);
            other.outcome.scenario = Name::new("other");
            judge(&[other, case("leak", 1, |_| ())], None, &[], settings)
        };
        let good: fn(&mut Outcome) = |_| ();
        let bad: fn(&mut Outcome) = |outcome| outcome.time_to_recover = Some(Elapsed { seconds: 900.0, censored: false });
        let quick = settings(&[("time_to_recover", "max < 5m")]);
        let some_class = JudgeSettings { exercise: ExerciseRule::SomeClass, ..quick.clone() };
        let added = JudgeSettings { added: vec![Name::new("other")], ..quick.clone() };
        for settings in [&quick, &some_class, &added] {
            assert_eq!(of(&[good], settings).verdict, Verdict::Held);
            let whole = of(&[cut], settings);
            assert_eq!((whole.verdict, whole.classes[1].exercise.acted), (Verdict::Inconclusive, 1));
            let why = "storm: the one run proves nothing: bound events ended the run of policy at 4m5s (other)";
            assert!(whole.reason().starts_with(why), "{}", whole.reason());
            assert_eq!(of(&[cut, bad], settings).verdict, Verdict::Broken, "what broke until then, broke");
            assert_eq!(of(&[cut, never_fired], settings).classes[1].verdict, Verdict::Inconclusive, "it might have acted later");
        }
    }

    #[test]
    fn scenarios_that_the_change_brings_along_do_not_outweigh_the_others() {
        let lose = |minutes: f64| move |outcome: &mut Outcome| outcome.user_minutes_lost = minutes;
        let of = |scenario: &str, seed: u64, minutes: f64| {
            let mut own = case("storm", seed, lose(minutes));
            own.outcome.scenario = Name::new(scenario);
            own
        };
        let side = |minutes: f64| -> Vec<Case> {
            let added = (0..20).map(|seed| of("added", seed, 100_000.0 + seed as f64));
            (0..5).map(|seed| of("old", seed, minutes + seed as f64)).chain(added).collect()
        };
        let verdict = |added: Vec<Name>| judge(&side(4_000.0), Some(&side(100.0)), &[], &JudgeSettings { added, ..settings(&[]) });
        assert!(verdict(Vec::new()).classes[0].costs.iter().all(|cost| cost.verdict == Verdict::Held), "the many say that it is as good");
        let guarded = verdict(vec![Name::new("added")]);
        let broken: Vec<_> = guarded.classes[0].costs.iter().filter(|cost| cost.verdict == Verdict::Broken).collect();
        assert_eq!((broken.len(), broken[0].comparison.n, broken[0].measure.word()), (1, 5, "user_minutes_lost"));
        assert!(guarded.costs.iter().any(|cost| cost.verdict == Verdict::Broken), "over all classes, too");
    }

    #[test]
    fn everything_within_its_limits_holds() {
        let thresholds = [("time_to_recover", "p90 < 5m"), ("false_positive_rate", "< 2 %"), ("harm", "max < 1 user-minute")];
        let judgement = judge(&[case("storm", 1, |_| ())], None, &[], &settings(&thresholds));
        assert_eq!((judgement.verdict, judgement.verdict.exit_code()), (Verdict::Held, 0));
        assert_eq!(judgement.thresholds.len(), 4, "safety is always a threshold");
        assert!(judgement.breaches().is_empty());
    }

    #[test]
    fn a_censored_time_can_break_a_limit_and_cannot_keep_it() {
        let verdict = |seconds| {
            let cases = [case("storm", 1, recover(seconds, true))];
            judge(&cases, None, &[], &settings(&[("time_to_recover", "p90 < 30m")])).verdict
        };
        assert_eq!(verdict(1799.0), Verdict::Inconclusive);
        assert_eq!(verdict(1801.0), Verdict::Broken);
    }

    #[test]
    fn a_policy_whose_alert_never_fires_is_not_exercised_and_says_why() {
        let judgement = judge(&[case("storm", 1, never_fired)], None, &[], &settings(&[("time_to_recover", "max < 1s")]));
        assert_eq!((judgement.verdict, judgement.verdict.exit_code()), (Verdict::NotExercised, 3));
        assert_eq!(judgement.classes[0].exercise.reason.as_deref(), Some("alert Ghost never fired"));
        assert_eq!(judgement.idle[0].reason, "it did not act in the one run with a fault: alert Ghost never fired");
    }

    fn only_paged(outcome: &mut Outcome) {
        outcome.exercise = Exercise::OnlyPaged { policies: outcome.policies.clone(), count: 1 };
        outcome.actions = 0;
    }

    #[test]
    fn a_policy_that_only_calls_people_answers_for_what_users_lose_and_proves_nothing() {
        let page_only = |seconds: f64| {
            let case = case("leak", 1, |outcome| {
                only_paged(outcome);
                outcome.time_to_mitigate = Some(Elapsed { seconds, censored: false });
            });
            judge(&[case], None, &[], &settings(&[("time_to_mitigate", "p90 < 5m")]))
        };
        assert_eq!(page_only(1200.0).verdict, Verdict::Broken);
        assert_eq!(page_only(10.0).verdict, Verdict::NotExercised);
        let unanswered = case("leak", 2, |outcome| {
            never_fired(outcome);
            outcome.time_to_mitigate = Some(Elapsed { seconds: 1200.0, censored: false });
        });
        let answered = case("leak", 1, |outcome| {
            only_paged(outcome);
            outcome.time_to_mitigate = Some(Elapsed { seconds: 10.0, censored: false });
        });
        let both = judge(&[answered, unanswered], None, &[], &settings(&[("time_to_mitigate", "p90 < 5m")]));
        assert_eq!(both.verdict, Verdict::NotExercised, "it answers only for the runs in which it took something up");
        assert_eq!(page_only(10.0).idle[0].reason, "it did not act in the one run with a fault: sample called people once and did nothing");
    }

    #[test]
    fn a_policy_that_no_longer_acts_where_its_baseline_did_is_compared_all_the_same() {
        let baseline: Vec<_> = (0..20).map(|seed| case("leak", seed, |outcome| outcome.user_minutes_lost = 10.0)).collect();
        let lost = |outcome: &mut Outcome| {
            only_paged(outcome);
            outcome.user_minutes_lost = 500.0;
        };
        let candidate: Vec<_> = (0..20).map(|seed| case("leak", seed, lost)).collect();
        let without_tail = JudgeSettings { tail: None, ..settings(&[]) };
        assert_eq!(judge(&candidate, Some(&baseline), &[], &without_tail).verdict, Verdict::Broken);
    }

    #[test]
    fn a_policy_whose_every_action_was_turned_away_is_not_exercised_and_answers_for_what_users_lost() {
        let turned_away = |lost: f64| {
            let mut one = case("storm", 1, recover(lost, false));
            let (policies, reason) = (one.outcome.policies.clone(), "nothing is rolled out".to_owned());
            one.outcome.exercise = Exercise::TurnedAway { policies, count: 2, reason };
            judge(&[one], None, &[], &settings(&[("time_to_recover", "p90 < 5m")]))
        };
        assert_eq!(turned_away(900.0).verdict, Verdict::Broken);
        let judgement = turned_away(10.0);
        assert_eq!(judgement.verdict, Verdict::NotExercised);
        let why = "the platform turned away all 2 actions of sample: nothing is rolled out";
        assert_eq!(judgement.idle[0].reason, format!("it did not act in the one run with a fault: {why}"));
        assert_eq!(judgement.classes[0].exercise.reason.as_deref(), Some(why));
    }

    #[test]
    fn where_nothing_has_a_fault_a_policy_that_decided_nothing_is_not_exercised() {
        let calm = |exercise: Exercise| {
            case("calm", 1, |outcome| (outcome.faults, outcome.exercise, outcome.noop_false_positives) = (0, exercise, Some(0)))
        };
        let idle = |cases: &[Case], incidents: &[IncidentResult]| judge(cases, None, incidents, &settings(&[])).idle.len();
        let cases = [calm(Exercise::Calm)];
        let judgement = judge(&cases, None, &[], &settings(&[]));
        assert_eq!((judgement.verdict, judgement.classes[0].verdict), (Verdict::NotExercised, Verdict::Held));
        assert!(judgement.reason().contains("nothing that is rehearsed has a fault"), "{}", judgement.reason());
        let narrowed = JudgeSettings { narrowed: true, ..settings(&[]) };
        assert_eq!(judge(&cases, None, &[], &narrowed).verdict, Verdict::Held);
        // What it decided on a recording, or did for nothing, was tried.
        let mut incidents = sample::incident_results();
        incidents[0].reached.insert(Name::new("sample"), [Part::Step(0)].into());
        assert_eq!(idle(&cases, &incidents[..1]), 0);
        assert_eq!(idle(&[calm(Exercise::Acted { policies: vec![Name::new("sample")] })], &[]), 0);
    }

    #[test]
    fn a_policy_whose_only_deed_is_to_call_people_is_not_idle_when_it_did() {
        let others = case("storm", 1, |outcome| outcome.policies.push(Name::new("caller")));
        let called = case("leak", 1, |outcome| {
            outcome.policies.push(Name::new("caller"));
            outcome.exercise = Exercise::OnlyPaged { policies: vec![Name::new("caller")], count: 1 };
        });
        let idle = |only_notify: Vec<Name>| {
            judge(&[others.clone(), called.clone()], None, &[], &JudgeSettings { only_notify, ..settings(&[]) }).idle.len()
        };
        // The sample's own policy is on duty in both and acted nowhere but by the exercise of the first.
        assert_eq!((idle(vec![Name::new("caller")]), idle(Vec::new())), (0, 1));
    }

    #[test]
    fn a_class_that_is_not_exercised_counts_only_if_every_class_must_be() {
        let cases = [case("storm", 1, |_| ()), case("leak", 1, never_fired)];
        assert_eq!(judge(&cases, None, &[], &settings(&[])).verdict, Verdict::NotExercised);
        let some = JudgeSettings { exercise: ExerciseRule::SomeClass, ..settings(&[]) };
        assert_eq!(judge(&cases, None, &[], &some).verdict, Verdict::Held);
    }

    #[test]
    fn a_calm_class_without_an_action_holds() {
        let calm = |outcome: &mut Outcome| {
            never_fired(outcome);
            (outcome.faults, outcome.exercise, outcome.noop_false_positives) = (0, Exercise::Calm, Some(0));
            (outcome.false_positives, outcome.false_positive_rate, outcome.time_to_recover) = (0, None, None);
        };
        let cases = [case("calm", 1, calm), case("storm", 1, |_| ())];
        let thresholds = [("noop_false_positives", "== 0"), ("false_positive_rate", "< 2 %"), ("time_to_recover", "p90 < 5m")];
        let judgement = judge(&cases, None, &[], &settings(&thresholds));
        assert_eq!(judgement.verdict, Verdict::Held);
        let words: Vec<_> = judgement.classes[0].thresholds.iter().map(|found| found.measure.word()).collect();
        assert_eq!(words, ["noop_false_positives", "false_positive_rate", "safety_violations"], "nothing to recover from");
    }

    #[test]
    fn a_safety_violation_breaks_even_what_is_not_exercised() {
        let violated = |outcome: &mut Outcome| {
            never_fired(outcome);
            let what = "an action in dry-run".to_owned();
            outcome.safety_violations.push(crate::outcome::SafetyViolation { at_seconds: 1.0, what });
        };
        assert_eq!(judge(&[case("storm", 1, violated)], None, &[], &settings(&[])).verdict, Verdict::Broken);
    }

    #[test]
    fn a_failed_incident_breaks_and_one_without_expectations_says_nothing() {
        let incident = |status| {
            vec![IncidentResult {
                incident: Name::new("friday"),
                status,
                findings: vec!["no page".into()],
                command: "firedrill replay friday".into(),
                decisions: Vec::new(),
                before: None,
                reached: BTreeMap::new(),
            }]
        };
        let verdict = |status| judge(&[case("storm", 1, |_| ())], None, &incident(status), &settings(&[])).verdict;
        assert_eq!(verdict(IncidentStatus::Passed), Verdict::Held);
        assert_eq!(verdict(IncidentStatus::Changed), Verdict::Held);
        assert_eq!(verdict(IncidentStatus::Failed), Verdict::Broken);
        let judgement = judge(&[case("storm", 1, |_| ())], None, &incident(IncidentStatus::Failed), &settings(&[]));
        assert_eq!(judgement.breaches()[0].place, "incident friday");
    }

    #[test]
    fn a_candidate_worse_than_its_baseline_breaks_and_names_the_worst_pair() {
        let lost = |minutes: f64| move |outcome: &mut Outcome| outcome.user_minutes_lost = minutes;
        let baseline: Vec<_> = (0..20).map(|seed| case("storm", seed, lost(100.0 + seed as f64))).collect();
        let candidate: Vec<_> = (0..20).map(|seed| case("storm", seed, lost(150.0 + (seed * 3) as f64))).collect();
        let without_tail = JudgeSettings { tail: None, ..settings(&[]) };
        let judgement = judge(&candidate, Some(&baseline), &[], &without_tail);
        assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Broken, Some(20)));
        let breach = &judgement.breaches()[0];
        assert!(
            breach.what.starts_with("user_minutes_lost against the baseline: mean 178 user-min where 115 user-min is allowed"),
            "{}",
            breach.what
        );
        assert_eq!(breach.run.as_ref().map(|run| run.seed), Some(19));
        assert_eq!(judge(&baseline, Some(&baseline), &[], &without_tail).verdict, Verdict::Held);
    }

    #[test]
    fn too_few_pairs_for_the_tail_are_inconclusive_and_say_how_many_are_needed() {
        let cases: Vec<_> = (0..20).map(|seed| case("storm", seed, |_| ())).collect();
        let judgement = judge(&cases, Some(&cases), &[], &settings(&[]));
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judgement.classes[0].tail.as_ref().unwrap().result.pairs_needed, Some(299));
    }

    #[test]
    fn a_breach_in_one_scenario_is_not_hidden_by_its_class() {
        let mut cases: Vec<_> = (0..20).map(|seed| case("storm", seed, recover(10.0, false))).collect();
        let mut bad = case("storm", 1, recover(900.0, false));
        bad.outcome.scenario = Name::new("storm-at-night");
        cases.push(bad);
        let judgement = judge(&cases, None, &[], &settings(&[("time_to_recover", "median < 5m")]));
        assert_eq!(judgement.classes[0].thresholds[0].verdict, Verdict::Held);
        assert_eq!((judgement.verdict, judgement.breaches()[0].place.as_str()), (Verdict::Broken, "storm-at-night"));
    }

    #[test]
    fn a_threshold_on_what_no_run_has_is_inconclusive() {
        let judgement = judge(&[case("storm", 1, |_| ())], None, &[], &settings(&[("noop_false_positives", "== 0")]));
        assert_eq!(
            (judgement.verdict, judgement.thresholds[0].reason.as_deref()),
            (Verdict::Inconclusive, Some("each of these runs has a fault"))
        );
    }

    #[test]
    fn no_runs_prove_nothing() {
        assert_eq!(judge(&[], None, &[], &settings(&[])).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_judgement_reads_back_from_its_json() {
        let judgement = judge(&[case("storm", 1, |_| ())], None, &[], &settings(&[("time_to_recover", "p90 < 5m")]));
        let text = serde_json::to_string(&judgement).unwrap();
        assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap(), judgement);
    }
}
