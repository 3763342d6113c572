//! How closely policies were looked at: which of their parts were reached, how near they came to their limits, and which mistakes would have
//! been noticed. It decides nothing; it tells how much a verdict is worth.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::part::Part;
use serde::{Deserialize, Serialize};

use crate::outcome::{Approach, Outcome};
use crate::verdict::{Case, IncidentResult, Verdict};
use crate::words::counted;
use crate::worth::{DeedWorth, PartWorth};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scrutiny {
    /// Each policy's parts, sorted by policy.
    pub coverage: Vec<PolicyCoverage>,
    /// The closest approach to each limit, the closest first.
    pub headroom: Vec<Headroom>,
    /// What guards that refused and steps that were begun were worth, sorted by policy and part.
    #[serde(default)]
    pub worth: Vec<PartWorth>,
    /// What the actions were worth, one by one, of the run that harmed users most in each class.
    #[serde(default)]
    pub deeds: Vec<DeedWorth>,
    /// What became of mutants; `None` if none were made.
    pub mutation: Option<MutationScore>,
}

/// What was reached of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCoverage {
    /// Which policy.
    pub policy: Name,
    /// Its parts, in its order.
    pub parts: Vec<PartCoverage>,
}

/// How often a part was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCoverage {
    /// Which part.
    pub part: Part,
    /// The same in words.
    pub words: String,
    /// In how many runs.
    pub runs: u64,
    /// In how many replays of recorded incidents.
    pub replays: u64,
    /// The first run that reached it; `None`: no run did.
    pub first: Option<(Name, u64)>,
}

impl PartCoverage {
    /// Whether any run or replay reached it.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        self.runs + self.replays > 0
    }
}

/// The closest approach to a limit in all runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headroom {
    /// The approach.
    pub approach: Approach,
    /// The scenario.
    pub scenario: Name,
    /// The seed.
    pub seed: u64,
}

impl Scrutiny {
    /// From the runs and replays of policies whose parts are known.
    #[must_use]
    pub fn of(policies: &[(Name, Vec<Part>)], cases: &[Case], incidents: &[IncidentResult]) -> Self {
        let coverage = policies.iter().map(|(policy, parts)| PolicyCoverage {
            policy: policy.clone(),
            parts: parts.iter().map(|part| part_coverage(policy, part, cases, incidents)).collect(),
        });
        Self { coverage: coverage.collect(), headroom: headroom(cases), worth: Vec::new(), deeds: Vec::new(), mutation: None }
    }

    /// How many parts were reached, of how many.
    #[must_use]
    pub fn reached(&self) -> (usize, usize) {
        let all = self.coverage.iter().flat_map(|policy| &policy.parts);
        (all.clone().filter(|part| part.is_reached()).count(), all.count())
    }

    /// Steps and guards without which nothing changes, as far as that was tried: `step 2, scale by 1 (in 3 runs)`.
    #[must_use]
    pub fn worthless(&self) -> Vec<String> {
        let several = self.coverage.len() > 1;
        let told = |part: &PartWorth| {
            let whose = if several { format!("{}: ", part.policy) } else { String::new() };
            format!("{whose}{} (in {})", part.words, counted(part.runs.len() as u64, "run"))
        };
        self.worth.iter().filter(|part| part.changes_nothing()).map(told).collect()
    }

    /// What the actions of a run were worth; empty unless that was asked of it.
    #[must_use]
    pub fn of_run(&self, run: &Outcome) -> Vec<DeedWorth> {
        self.deeds.iter().filter(|deed| deed.scenario == run.scenario && deed.seed == run.seed).cloned().collect()
    }

    /// Coverage in a line: `reached 14 of 19 parts; never: verify of step 2 failed, guard caps refused and 3 more`.
    #[must_use]
    pub fn coverage_line(&self, most: usize) -> String {
        let (reached, all) = self.reached();
        let several = self.coverage.len() > 1;
        let name = |policy: &Name, part: &PartCoverage| if several { format!("{policy}: {}", part.words) } else { part.words.clone() };
        let parts = self.coverage.iter().flat_map(|policy| policy.parts.iter().map(move |part| (&policy.policy, part)));
        let never: Vec<String> = parts.filter(|(_, part)| !part.is_reached()).map(|(policy, part)| name(policy, part)).collect();
        let line = format!("reached {reached} of {}", counted(all as u64, "part"));
        if never.is_empty() { line } else { format!("{line}; never: {}", some_of(&never, most)) }
    }
}

fn part_coverage(policy: &Name, part: &Part, cases: &[Case], incidents: &[IncidentResult]) -> PartCoverage {
    let has = |parts: &BTreeMap<Name, std::collections::BTreeSet<Part>>| parts.get(policy).is_some_and(|own| own.contains(part));
    let mut runs = cases.iter().map(|case| &case.outcome).filter(|outcome| has(&outcome.reached.parts)).peekable();
    let first = runs.peek().map(|outcome| (outcome.scenario.clone(), outcome.seed));
    let replays = incidents.iter().filter(|incident| has(&incident.reached)).count() as u64;
    PartCoverage { part: part.clone(), words: part.to_string(), runs: runs.count() as u64, replays, first }
}

fn headroom(cases: &[Case]) -> Vec<Headroom> {
    let mut nearest: BTreeMap<(&Name, &Name, &str), Headroom> = BTreeMap::new();
    for outcome in cases.iter().map(|case| &case.outcome) {
        for approach in &outcome.reached.approaches {
            let key = (&approach.policy, &approach.guard, approach.limit.as_str());
            if nearest.get(&key).is_none_or(|known| known.approach.used < approach.used) {
                let found = Headroom { approach: approach.clone(), scenario: outcome.scenario.clone(), seed: outcome.seed };
                nearest.insert(key, found);
            }
        }
    }
    let mut all: Vec<Headroom> = nearest.into_values().collect();
    // Sorted by name already, and a stable sort leaves equals so.
    all.sort_by(|one, other| other.approach.used.total_cmp(&one.approach.used));
    all
}

/// What became of the mutants of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutationScore {
    /// Each mutant, in the order of policies and of their parts.
    pub mutants: Vec<MutantResult>,
    /// How many runs of mutants it took.
    pub runs: u64,
}

/// A way in which a policy could be wrong, and whether anybody would notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutantResult {
    /// Whose mutant.
    pub policy: Name,
    /// What was changed, in words.
    pub what: String,
    /// The policy's file.
    pub file: String,
    /// The line that was changed, from 1.
    pub line: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The verdict on it is worse than on the policy.
    Killed {
        /// Broken or not exercised.
        verdict: Verdict,
        /// Why, in words.
        reason: String,
    },
    /// No run and no replay is worse, but a decision test that the policy passes fails.
    FailsTest {
        /// The test's name.
        test: String,
        /// Its file.
        file: String,
    },
    /// Nobody would have noticed.
    Survived {
        /// Why not.
        why: Survival,
        /// What a scenario would have to bring about.
        wanted: String,
    },
}

/// Why a mutant survived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survival {
    /// Every run went as without the change, for what was changed was never reached.
    NeverReached {
        /// The part that would have to be reached, in words.
        part: String,
    },
    /// What was changed was reached, and every run went as without the change.
    MadeNoDifference,
    /// Runs went otherwise, and none of them worse than what must hold allows.
    WithinWhatMustHold {
        /// How many runs or replays went otherwise.
        runs: u64,
    },
}

impl Survival {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NeverReached { part } => format!("never reached: {part}"),
            Self::MadeNoDifference => "reached, and made no difference".to_owned(),
            Self::WithinWhatMustHold { runs } => format!("{} went otherwise, none worse than what must hold allows", counted(*runs, "run")),
        }
    }
}

impl MutantResult {
    /// Whether scenarios or incidents would have noticed it.
    #[must_use]
    pub const fn is_killed(&self) -> bool {
        matches!(self.fate, Fate::Killed { .. })
    }

    /// Whether only decision tests would have noticed it.
    #[must_use]
    pub const fn fails_test(&self) -> bool {
        matches!(self.fate, Fate::FailsTest { .. })
    }
}

impl MutationScore {
    /// Those that nobody would have noticed.
    pub fn survivors(&self) -> impl Iterator<Item = &MutantResult> {
        self.mutants.iter().filter(|mutant| matches!(mutant.fate, Fate::Survived { .. }))
    }

    /// How many scenarios and incidents would have noticed.
    #[must_use]
    pub fn killed(&self) -> usize {
        self.mutants.iter().filter(|mutant| mutant.is_killed()).count()
    }

    /// How many only decision tests would have noticed.
    #[must_use]
    pub fn failing_tests(&self) -> usize {
        self.mutants.iter().filter(|mutant| mutant.fails_test()).count()
    }

    /// The score in a sentence, in which what decision tests notice stands apart.
    #[must_use]
    pub fn line(&self) -> String {
        let (all, killed, tested) = (self.mutants.len(), self.killed(), self.failing_tests());
        let policies: std::collections::BTreeSet<&Name> = self.mutants.iter().map(|mutant| &mutant.policy).collect();
        let whose = if policies.len() > 1 { "these policies could be wrong" } else { "this policy could be wrong" };
        if all == 0 {
            return "there is no mutant to make: no part of what was judged can be weakened in a way that is known".to_owned();
        }
        let left = all - killed - tested;
        if tested > 0 {
            let rest = match left {
                0 => "none is left".to_owned(),
                1 => "this one is noticed by neither".to_owned(),
                _ => format!("these {left} are noticed by neither"),
            };
            return format!("your scenarios notice {killed} of {all} ways in which {whose}, and your decision tests {tested} more; {rest}");
        }
        match left {
            0 => format!("your scenarios notice all {all} ways in which {whose}"),
            1 => format!("your scenarios notice {killed} of {all} ways in which {whose}; this one they do not"),
            _ => format!("your scenarios notice {killed} of {all} ways in which {whose}; these {left} they do not"),
        }
    }

    /// The survivors, a line each.
    #[must_use]
    pub fn survivor_lines(&self) -> Vec<String> {
        self.survivors().filter_map(MutantResult::survivor_line).collect()
    }
}

impl MutantResult {
    /// What nobody would have noticed, where it stands, why, and what would show it; `None` if it was killed.
    #[must_use]
    pub fn survivor_line(&self) -> Option<String> {
        let Fate::Survived { why, wanted } = &self.fate else { return None };
        let Self { policy, what, file, line, .. } = self;
        Some(format!("{policy}: {what} ({file}:{line}): {}; wanted: {wanted}", why.words()))
    }
}

/// The first of many names, and how many more there are.
pub(crate) fn some_of(names: &[String], most: usize) -> String {
    let shown = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more if shown.is_empty() => more.to_string(),
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn scrutiny() -> Scrutiny {
        let guard = |word: &str| Part::Guard(Name::new(word));
        let parts = vec![Part::Step(0), Part::Step(7), guard("cooldown"), guard("caps"), Part::EscalateAfter];
        let mut cases = sample::cases();
        for (case, used) in cases.iter_mut().zip([0.5, 0.75, 0.25]) {
            case.outcome.reached.parts.insert(Name::new("sample"), [Part::Step(0)].into());
            case.outcome.reached.approaches = vec![sample::approach(used)];
        }
        let mut incidents = sample::incident_results();
        incidents[0].reached.insert(Name::new("sample"), [guard("cooldown")].into());
        Scrutiny::of(&[(Name::new("sample"), parts)], &cases, &incidents)
    }

    #[test]
    fn where_there_is_no_mutant_none_is_noticed() {
        assert!(MutationScore::default().line().starts_with("there is no mutant to make"));
    }

    #[test]
    fn a_part_counts_wherever_it_was_reached_and_what_never_was_is_named() {
        let scrutiny = scrutiny();
        assert_eq!(scrutiny.reached(), (2, 5));
        assert_eq!(scrutiny.coverage_line(2), "reached 2 of 5 parts; never: step 8, guard caps refused and 1 more");
        let [step, _, cooldown, ..] = scrutiny.coverage[0].parts.as_slice() else { panic!("five parts") };
        assert!(step.runs >= 3 && step.replays == 0 && step.first == Some((Name::new("busy-hour"), 1)), "{step:?}");
        assert_eq!((cooldown.runs, cooldown.replays, cooldown.first.as_ref()), (0, 1, None));
    }

    #[test]
    fn of_each_limit_the_closest_approach_is_kept_with_its_run() {
        let headroom = scrutiny().headroom;
        let told: Vec<_> = headroom.iter().map(|own| (own.approach.used, own.scenario.as_str())).collect();
        assert_eq!(told, [(0.75, "crash-loop")]);
    }

    #[test]
    fn a_score_says_what_would_be_noticed_and_what_would_not() {
        let score = sample::mutation_score();
        assert_eq!(score.line(), "your scenarios notice 2 of 4 ways in which this policy could be wrong; these 2 they do not");
        let told = score.survivor_lines();
        let first = "sample: the guard cooldown is left out (sample.yaml:19): never reached: guard cooldown refused; \
                     wanted: the alert again soon after an action on the same target";
        assert_eq!(told[0], first);
        assert!(told[1].contains("1 run went otherwise, none worse than what must hold allows"), "{}", told[1]);
    }

    #[test]
    fn what_changes_nothing_where_it_is_left_out_is_named() {
        let scrutiny = Scrutiny { worth: sample::part_worths(), ..Scrutiny::default() };
        assert_eq!(scrutiny.worthless(), ["step 2, scale by 1 (in 1 run)"]);
    }

    #[test]
    fn what_only_decision_tests_notice_stands_apart() {
        let mut score = sample::mutation_score();
        let fails = || Fate::FailsTest { test: "a second alert has to wait".to_owned(), file: "tests.yaml".to_owned() };
        score.mutants[2].fate = fails();
        let line = "your scenarios notice 2 of 4 ways in which this policy could be wrong, and your decision tests 1 more; \
                    this one is noticed by neither";
        assert_eq!(score.line(), line);
        assert_eq!(score.survivor_lines().len(), 1);
        score.mutants[3].fate = fails();
        assert!(score.line().ends_with("and your decision tests 2 more; none is left"), "{}", score.line());
        assert_eq!((score.killed(), score.failing_tests(), score.survivor_lines().len()), (2, 2, 0));
    }
}
