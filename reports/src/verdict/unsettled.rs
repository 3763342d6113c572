//! Why a verdict is what it is: what could not be told and what would tell it, and all of it in a sentence.

use super::measure::Measure;
use super::{ClassVerdict, CostVerdict, CutShort, IncidentStatus, Judgement, TailVerdict, ThresholdVerdict, VariantsCutShort, Verdict};
use crate::words::counted;

/// One thing that could not be told, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Where: a class, a scenario, or all classes.
    pub place: String,
    /// What: the measure, and why it has no verdict.
    pub what: String,
    /// How many seeds of each scenario would tell; `None` if more of them would not help.
    pub pairs_needed: Option<u64>,
}

impl Judgement {
    /// Everything that could not be told, in the order of the judgement. What a class leaves open is not told again of all classes together.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut doubts: Vec<Doubt> = self.classes.iter().flat_map(of_class).collect();
        let open = |verdict| verdict == Verdict::Inconclusive;
        let told = |what: &str| doubts.iter().any(|doubt| doubt.what.starts_with(what));
        let thresholds = self.thresholds.iter().filter(|found| open(found.verdict) && !told(&found.threshold));
        let costs = self.costs.iter().filter(|found| open(found.verdict) && !told(found.measure.word()));
        let scenarios = self.classes.iter().map(scenario_count).sum();
        let pooled: Vec<Doubt> = thresholds
            .map(|found| of_threshold("all classes", found))
            .chain(costs.map(|found| of_cost("all classes", found, scenarios)))
            .collect();
        doubts.extend(pooled);
        doubts.extend(self.shortfalls());
        doubts
    }

    /// What was played too little of to pass.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if let Some(CutShort { pairs, asked }) = self.cut_short {
            let what = format!(
                "{pairs} of {} a scenario were played in the time that there was, too few to pass",
                counted(u64::from(asked), "pair")
            );
            doubts.push(Doubt { place: "all classes".to_owned(), what, pairs_needed: Some(u64::from(asked)) });
        }
        if let Some(VariantsCutShort { played, asked }) = self.variants_cut_short {
            let what = format!("{played} of {} were played in the time that there was, too few to pass", counted(asked, "variant"));
            doubts.push(Doubt { place: "variants".to_owned(), what, pairs_needed: None });
        }
        doubts
    }
}

impl Judgement {
    /// Why the verdict is what it is, as a sentence without a capital letter and a full stop.
    #[must_use]
    pub fn reason(&self) -> String {
        let idle = self.classes.iter().filter(|class| class.verdict == Verdict::NotExercised).count();
        match self.verdict {
            Verdict::Held if idle > 0 => {
                format!(
                    "every threshold holds in every class but {idle}, where the policy did nothing and nothing was learnt of it{}",
                    self.of_incidents()
                )
            }
            Verdict::Held => format!("every threshold holds in every class{}", self.of_incidents()),
            Verdict::Broken if self.is_judge_changed() => self.first_edit(),
            Verdict::Broken => self.gravest_breach(),
            Verdict::Inconclusive => self.first_doubt(),
            Verdict::NotExercised => self.what_was_not_tried(),
        }
    }

    /// Who never acted; else the recording, or else the class, of which nothing was learnt.
    fn what_was_not_tried(&self) -> String {
        if let Some(idle) = self.idle.first() {
            return format!("a policy that never acts proves nothing: {}: {}", idle.policy, idle.words());
        }
        let class = self.classes.iter().find(|class| class.verdict == Verdict::NotExercised);
        let class = class.map(|class| (class.class.to_string(), class.exercise.reason.clone().unwrap_or_default()));
        let incident = self.incidents.iter().find(|incident| incident.verdict() == Some(Verdict::NotExercised));
        let incident = incident.map(|incident| (format!("incident {}", incident.incident), incident.findings.join("; ")));
        let has_acted = self.classes.iter().any(|class| class.exercise.acted > 0);
        let told = if has_acted { "nothing was learnt of" } else { "a policy that never acts proves nothing:" };
        class.or(incident).map_or_else(|| told.to_owned(), |(place, why)| format!("{told} {place}: {why}"))
    }

    /// What recorded incidents say, and how many there are that the policy does not answer.
    fn of_incidents(&self) -> String {
        let unanswered = self.incidents.iter().filter(|incident| incident.status == IncidentStatus::NotExercised).count() as u64;
        let have = if unanswered == 1 { "has" } else { "have" };
        match unanswered {
            0 => self.of_answered(0),
            _ => format!(
                "{}; {} {have} nothing that the policy answers",
                self.of_answered(unanswered),
                counted(unanswered, "recorded incident")
            ),
        }
    }

    /// What recorded incidents say where nothing broke, as the end of a sentence. One without `expect` says nothing, and so passes nothing.
    fn of_answered(&self, unanswered: u64) -> String {
        let all = self.incidents.len() as u64 - unanswered;
        let silent = self.incidents.iter().filter(|incident| incident.verdict().is_none()).count() as u64;
        let have = if silent == 1 { "has no `expect` and says" } else { "have no `expect` and say" };
        match silent {
            _ if all == 0 && unanswered > 0 => String::new(),
            _ if all == 0 => "; no recorded incident was replayed".to_owned(),
            0 if unanswered > 0 => format!("; {} {}", counted(all, "recorded incident"), if all == 1 { "passes" } else { "pass" }),
            0 => ", and every recorded incident passes".to_owned(),
            _ if silent == all && all == 1 => "; the recorded incident has no `expect` and says nothing".to_owned(),
            _ if silent == all => format!("; all {all} recorded incidents have no `expect` and say nothing"),
            _ => format!(", and {} of {} pass; {silent} {have} nothing", all - silent, counted(all, "recorded incident")),
        }
    }

    /// The gravest thing that broke, in words, and how many more did.
    fn gravest_breach(&self) -> String {
        let breaches = self.gravest_first();
        let gravest = breaches.first().map_or_else(String::new, |breach| format!("{}: {}", breach.place, breach.words));
        match breaches.len() {
            0 | 1 => gravest,
            more => format!("{gravest}; and {} broke", counted(more as u64 - 1, "more thing")),
        }
    }

    /// The first thing that the change does to its own judge, and how many more there are.
    fn first_edit(&self) -> String {
        let first = self.judge_changes.first().map_or("", |change| &change.what);
        match self.judge_changes.len() {
            0 | 1 => format!("the change edits its own judge: {first}"),
            more => format!("the change edits its own judge: {first}; and {}", counted(more as u64 - 1, "more thing")),
        }
    }

    /// The first thing that could not be told, how many more there are, and what would tell.
    fn first_doubt(&self) -> String {
        let doubts = self.doubts();
        let Some(first) = doubts.first() else { return self.what_would_tell() };
        let more = match doubts.len() {
            1 => String::new(),
            all => format!("; and {} could not be told", counted(all as u64 - 1, "more thing")),
        };
        format!("{}: {}{more}; {}", first.place, first.what, self.what_would_tell())
    }

    /// What would settle an inconclusive verdict.
    #[must_use]
    pub fn what_would_tell(&self) -> String {
        let doubts = self.doubts();
        match doubts.iter().filter_map(|doubt| doubt.pairs_needed).max() {
            Some(pairs) => format!("about {pairs} pairs would tell (`--pairs {pairs}`)"),
            None if doubts.is_empty() => "nothing was judged".to_owned(),
            None if self.variants_cut_short.is_some() => "more time for the variants would tell (`--budget`)".to_owned(),
            None => "more pairs would not tell, other scenarios or thresholds would".to_owned(),
        }
    }
}

fn of_class(class: &ClassVerdict) -> Vec<Doubt> {
    let open = |verdict| verdict == Verdict::Inconclusive;
    let own = class.thresholds.iter().map(|found| (&class.class, found));
    let scenarios = class.scenarios.iter().flat_map(|scenario| scenario.thresholds.iter().map(|found| (&scenario.scenario, found)));
    let cut = class.exercise.reason.iter().filter(|_| open(class.exercise.verdict));
    let mut doubts: Vec<Doubt> =
        cut.map(|reason| Doubt { place: class.class.to_string(), what: reason.clone(), pairs_needed: None }).collect();
    for (place, found) in own.chain(scenarios).filter(|(_, found)| open(found.verdict)) {
        let doubt = of_threshold(place, found);
        if !doubts.iter().any(|told| told.what == doubt.what) {
            doubts.push(doubt);
        }
    }
    let count = scenario_count(class);
    doubts.extend(class.costs.iter().filter(|found| open(found.verdict)).map(|found| of_cost(&class.class, found, count)));
    doubts.extend(class.tail.iter().filter(|found| open(found.verdict)).map(|found| of_tail(&class.class, found, count)));
    doubts
}

/// How many scenarios a class has; a seed is a pair in each of them.
fn scenario_count(class: &ClassVerdict) -> u64 {
    class.scenarios.len().max(1) as u64
}

fn of_threshold(place: &str, found: &ThresholdVerdict) -> Doubt {
    let reason = found.reason.as_deref().unwrap_or("these runs do not tell");
    let what = match found.figure {
        Some(_) => format!("{}: found {}: {reason}", found.threshold, found.figures()),
        None => format!("{} has no figure: {reason}", found.threshold),
    };
    Doubt { place: place.to_owned(), what, pairs_needed: None }
}

fn of_cost(place: &str, found: &CostVerdict, scenarios: u64) -> Doubt {
    let ([mean, allowed], test) = (found.means(), &found.comparison);
    let what = format!("{} against the baseline: mean {mean} where {allowed} is allowed, and {} pairs do not tell", found.measure, test.n);
    Doubt { place: place.to_owned(), what, pairs_needed: test.pairs_needed.map(|pairs| pairs.div_ceil(scenarios)) }
}

fn of_tail(place: &str, found: &TailVerdict, scenarios: u64) -> Doubt {
    let what = format!("rare catastrophes against the baseline: {} in {} pairs", found.result.catastrophes, found.result.pairs);
    Doubt { place: place.to_owned(), what, pairs_needed: found.result.pairs_needed.map(|pairs| pairs.div_ceil(scenarios)) }
}

/// Why no run has a figure of a measure.
pub(super) fn why_missing(measure: Measure) -> &'static str {
    match measure.word() {
        "false_positive_rate" => "nobody acted in these runs, and a rate of no actions is none",
        "time_to_detect" => "none of these runs has a fault that lasted or that anybody noticed",
        "time_to_mitigate" | "time_to_recover" | "amplification" => "none of these runs has a fault",
        "noop_false_positives" => "each of these runs has a fault",
        "regret" => "none of these scenarios has a cure to compare with",
        "time_to_undo" => "no verification failed in these runs",
        _ => "no run has this measure",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExerciseRule, JudgeSettings, Threshold, judge};
    use super::*;
    use crate::outcome::{Elapsed, Outcome};
    use crate::sample;
    use crate::verdict::Case;
    use firedrill_core::name::Name;

    fn doubts(threshold: (&str, &str), change: impl FnOnce(&mut Outcome)) -> Vec<(String, String)> {
        let mut outcome = sample::storm_outcome();
        change(&mut outcome);
        let settings =
            JudgeSettings { thresholds: vec![Threshold::parse(threshold.0, threshold.1).unwrap()], tail: None, ..JudgeSettings::default() };
        let judgement = judge(&[Case { class: Name::new("storm"), outcome }], None, &[], &settings);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        judgement.doubts().into_iter().map(|doubt| (doubt.place, doubt.what)).collect()
    }

    #[test]
    fn a_threshold_without_a_figure_says_which_and_why() {
        let told = doubts(("false_positive_rate", "mean < 2%"), |outcome| outcome.false_positive_rate = None);
        let what = "false_positive_rate mean < 2 % has no figure: nobody acted in these runs, and a rate of no actions is none";
        assert_eq!(told, [("all classes".to_owned(), what.to_owned())]);
    }

    #[test]
    fn what_a_class_leaves_open_is_told_once() {
        let cut_off = |outcome: &mut Outcome| outcome.time_to_recover = Some(Elapsed { seconds: 60.0, censored: true });
        let told = doubts(("time_to_recover", "p90 < 5m"), cut_off);
        let what = "time_to_recover p90 < 5m: found at least 1m (n = 1): runs ended before the time had come";
        assert_eq!(told, [("storm".to_owned(), what.to_owned())]);
    }

    #[test]
    fn what_a_candidate_does_not_answer_is_told_and_proves_nothing() {
        let judged = |exercise: ExerciseRule, status: IncidentStatus| {
            let mut incidents = sample::incident_results();
            incidents.truncate(1);
            incidents[0].status = status;
            let cases = [Case { class: Name::new("storm"), outcome: sample::storm_outcome() }];
            judge(&cases, None, &incidents, &JudgeSettings { tail: None, exercise, ..JudgeSettings::default() })
        };
        let own = judged(ExerciseRule::SomeClass, IncidentStatus::NotExercised);
        assert_eq!(own.verdict, Verdict::Held);
        assert!(own.reason().ends_with("every class; 1 recorded incident has nothing that the policy answers"), "{}", own.reason());
        for judgement in
            [judged(ExerciseRule::EveryClass, IncidentStatus::NotExercised), judged(ExerciseRule::SomeClass, IncidentStatus::CannotTell)]
        {
            assert_eq!(judgement.verdict, Verdict::NotExercised);
            assert!(judgement.reason().starts_with("nothing was learnt of incident black-friday: "), "{}", judgement.reason());
        }
    }

    #[test]
    fn an_incident_that_says_nothing_passes_nothing() {
        let held = |statuses: &[IncidentStatus]| {
            let result = |(index, status): (usize, &IncidentStatus)| {
                let mut one = sample::incident_results().remove(0);
                (one.incident, one.status) = (Name::from(format!("incident-{index}")), *status);
                one
            };
            let incidents: Vec<_> = statuses.iter().enumerate().map(result).collect();
            let cases = [Case { class: Name::new("storm"), outcome: sample::storm_outcome() }];
            let judgement = judge(&cases, None, &incidents, &JudgeSettings { tail: None, ..JudgeSettings::default() });
            assert_eq!(judgement.verdict, Verdict::Held);
            judgement.reason().strip_prefix("every threshold holds in every class").unwrap().to_owned()
        };
        use IncidentStatus::{Passed, Unchanged};
        assert_eq!(held(&[]), "; no recorded incident was replayed");
        assert_eq!(held(&[Passed, Passed]), ", and every recorded incident passes");
        assert_eq!(held(&[Unchanged]), "; the recorded incident has no `expect` and says nothing");
        assert_eq!(held(&[Unchanged, Unchanged]), "; all 2 recorded incidents have no `expect` and say nothing");
        assert_eq!(held(&[Passed, Unchanged]), ", and 1 of 2 recorded incidents pass; 1 has no `expect` and says nothing");
    }
}
