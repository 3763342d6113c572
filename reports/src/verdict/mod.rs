//! Held, broken, inconclusive, or not exercised: thresholds, comparison with a baseline, recorded incidents, and their sum.

mod measure;
mod threshold;
mod changes;
mod gravity;
mod unsettled;
mod judge;
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firedrill_core::name::Name;
use firedrill_core::part::Part;
use serde::{Deserialize, Serialize};

pub use changes::{JudgeChange, JudgePart};
pub use gravity::Grave;
pub use judge::{judge, why_cut, worst_run};
pub use looks::{EARLY_LOOKS, Look, PLANNED_ALPHA};
pub(crate) use measure::significant;
pub use measure::{ClassSummary, Measure, MeasureSummary, Unit, summarise};
pub use threshold::{Aggregate, Comparison, Threshold, ThresholdError};
pub use unsettled::Doubt;

use crate::outcome::Outcome;
use crate::statistics::{self, Conclusion, TailGuard, TailResult};

/// The version of a judgement's JSON.
pub const SCHEMA: &str = "firedrill.judgement/1";

/// What was found. The order is that of weight: of several, the last in this list prevails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it must be.
    Held,
    /// These runs do not tell.
    Inconclusive,
    /// The policy never acted where it should have: nothing is proved.
    NotExercised,
    /// Not as it must be.
    Broken,
}

impl Verdict {
    /// The exit code of a command that ends in this verdict: 0 held, 1 broken, 3 inconclusive or not exercised.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Broken => 1,
            Self::Inconclusive | Self::NotExercised => 3,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Inconclusive => "inconclusive",
            Self::NotExercised => "not exercised",
            Self::Broken => "broken",
        }
    }
}

impl From<Conclusion> for Verdict {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Held => Self::Held,
            Conclusion::Inconclusive => Self::Inconclusive,
            Conclusion::Broken => Self::Broken,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One run of the policy that is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The scenario's class.
    pub class: Name,
    /// What it came to.
    pub outcome: Outcome,
}

/// Which classes must be exercised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExerciseRule {
    /// Every class with a fault: the candidate claims to cover all that is rehearsed.
    EveryClass,
    /// Any class: the candidate covers what its alerts cover. Each policy must still have acted somewhere.
    SomeClass,
}

/// The costs that are compared only where a run has any: most systems have no data that could be lost, and most policies call nobody for nothing.
const SELDOM: [&str; 2] = ["data_lost", "needless_pages"];

/// How a candidate is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeSettings {
    /// Held per class, per scenario of a class with several, and over all runs. No safety violation is always a threshold.
    pub thresholds: Vec<Threshold>,
    /// Costs in which the candidate must not be worse than the baseline, each with its least margin in its own unit.
    pub costs: Vec<(Measure, f64)>,
    /// The guard on catastrophes; `None` leaves it out.
    pub tail: Option<TailGuard>,
    /// Harm beyond this is catastrophic, user-minutes.
    pub catastrophic_harm: f64,
    /// Which classes must be exercised.
    pub exercise: ExerciseRule,
    /// Only a part of what is rehearsed was run: a policy that acts nowhere in it is not idle, and a threshold that has no figure in it is left
    /// out, for their place may be elsewhere.
    pub narrowed: bool,
    /// The policies that can do nothing but call people: for them a page is enough not to be idle.
    pub only_notify: Vec<Name>,
    /// One-sided level of the comparisons with the baseline, 0 to 1.
    pub alpha: f64,
    /// Scenarios that the change brings along. They can make a verdict worse and never better: what is found over all runs of a class must hold over
    /// those of the other scenarios alone, too.
    pub added: Vec<Name>,
    /// What the change does to its own judge: without an approval that alone breaks a verdict.
    pub judge_changes: Vec<JudgeChange>,
    /// Who approved that; `None`: nobody.
    pub approval: Option<String>,
    /// Fewer seeds were played than were asked for, and what they show is too little to pass; `None`: enough were.
    pub cut_short: Option<CutShort>,
    /// Seed of the resampling.
    pub seed: u64,
    /// The command that repeats a run, with `{scenario}` and `{seed}` in their places.
    pub command: String,
}

impl Default for JudgeSettings {
    fn default() -> Self {
        let [data_lost, needless_pages] = SELDOM;
        let always = [("user_minutes_lost", 1.0), ("time_to_recover", 1.0), ("capacity_removed", 0.001)];
        let costs = always.into_iter().chain([(data_lost, 0.5), (needless_pages, 0.05)]);
        Self {
            thresholds: Vec::new(),
            costs: costs.map(|(word, least)| (Measure::known(word), least)).collect(),
            tail: Some(TailGuard::default()),
            catastrophic_harm: 100.0,
            exercise: ExerciseRule::EveryClass,
            narrowed: false,
            only_notify: Vec::new(),
            alpha: PLANNED_ALPHA,
            added: Vec::new(),
            judge_changes: Vec::new(),
            approval: None,
            cut_short: None,
            seed: 0,
            command: "firedrill run {scenario} --seed {seed}".to_owned(),
        }
    }
}

/// Seeds that there was time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutShort {
    /// Seeds of each scenario that were played.
    pub pairs: u32,
    /// Seeds of each scenario that were asked for.
    pub asked: u32,
}

/// Variants that there was time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantsCutShort {
    /// Variants that were played, of all scenarios together.
    pub played: u64,
    /// Variants that were asked for.
    pub asked: u64,
}

/// One run, and the command that repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// The scenario.
    pub scenario: Name,
    /// The seed.
    pub seed: u64,
    /// The command that repeats it.
    pub command: String,
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdVerdict {
    /// The measure.
    pub measure: Measure,
    /// The threshold as people read it.
    pub threshold: String,
    /// What was found.
    pub verdict: Verdict,
    /// The figure, in `unit`; `None` if no run has the measure.
    pub figure: Option<f64>,
    /// Censored runs lie below the figure: the true one may be larger.
    pub at_least: bool,
    /// The limit, in `unit`.
    pub limit: f64,
    /// The measure's unit.
    pub unit: Unit,
    /// How many runs have the measure.
    pub n: u64,
    /// The run that shows it worst.
    pub worst: Option<RunName>,
    /// The figure of that run.
    pub worst_figure: Option<f64>,
    /// Why, if it did not hold.
    pub reason: Option<String>,
}

/// What became of a comparison with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostVerdict {
    /// The cost.
    pub measure: Measure,
    /// Its unit.
    pub unit: Unit,
    /// What was found.
    pub verdict: Verdict,
    /// The test.
    pub comparison: statistics::Comparison,
    /// The pair in which the candidate is worst against the baseline.
    pub worst: Option<RunName>,
}

/// What became of the guard on catastrophes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailVerdict {
    /// What was found.
    pub verdict: Verdict,
    /// The test.
    pub result: TailResult,
    /// The first catastrophe.
    pub worst: Option<RunName>,
}

/// Whether the policies were exercised in a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExerciseVerdict {
    /// Held, not exercised, or inconclusive where a bound ended a run.
    pub verdict: Verdict,
    /// Runs in which a policy acted.
    pub acted: u64,
    /// Runs with a fault.
    pub with_fault: u64,
    /// The commonest reason for not acting, or how a bound ended the first run that one ended.
    pub reason: Option<String>,
}

impl ExerciseVerdict {
    /// Whether what became of the runs is the policy's doing: it acted, or there was nothing to do.
    #[must_use]
    pub const fn tells(&self) -> bool {
        self.with_fault == 0 || self.acted > 0
    }
}

/// One scenario of a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioVerdict {
    /// The scenario.
    pub scenario: Name,
    /// What was found.
    pub verdict: Verdict,
    /// How many runs.
    pub runs: u64,
    /// Its thresholds.
    pub thresholds: Vec<ThresholdVerdict>,
}

/// One class of scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassVerdict {
    /// The class.
    pub class: Name,
    /// What was found.
    pub verdict: Verdict,
    /// How many runs.
    pub runs: u64,
    /// Whether the policies acted.
    pub exercise: ExerciseVerdict,
    /// The thresholds over the class.
    pub thresholds: Vec<ThresholdVerdict>,
    /// The same for each scenario, if the class has several.
    pub scenarios: Vec<ScenarioVerdict>,
    /// The comparison with the baseline; empty without one.
    pub costs: Vec<CostVerdict>,
    /// The guard on catastrophes; `None` without a baseline.
    pub tail: Option<TailVerdict>,
}

/// A policy that acted nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdlePolicy {
    /// The policy.
    pub policy: Name,
    /// The commonest reason.
    pub reason: String,
    /// In how many runs with a fault the baseline's policy of this name acted, in words; empty if it acted in none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
}

impl IdlePolicy {
    /// Why it counts as idle, and whether it did before.
    #[must_use]
    pub fn words(&self) -> String {
        if self.before.is_empty() { self.reason.clone() } else { format!("{}; {}", self.reason, self.before) }
    }
}

/// How a recorded incident went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// As its `expect` says.
    Passed,
    /// Not as its `expect` says: absolute, one breaks the verdict.
    Failed,
    /// No alert that the policies answer fires on this recording.
    NotExercised,
    /// What watched it is not what it was any more, so nobody can say how it went.
    CannotTell,
    /// It has no `expect`, and decisions are those of the baseline: no verdict.
    Unchanged,
    /// It has no `expect`, and decisions differ from the baseline's: no verdict, and worth a look.
    Changed,
}

/// A recorded incident that was replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentResult {
    /// The incident.
    pub incident: Name,
    /// How it went.
    pub status: IncidentStatus,
    /// What was right or wrong, one sentence each.
    pub findings: Vec<String>,
    /// The command that repeats the replay.
    pub command: String,
    /// What was decided, in order, each with its time.
    #[serde(default)]
    pub decisions: Vec<String>,
    /// What the baseline decides; `None` without one.
    #[serde(default)]
    pub before: Option<Vec<String>>,
    /// The parts of policies that the replay reached.
    #[serde(default)]
    pub reached: BTreeMap<Name, BTreeSet<Part>>,
}

impl IncidentResult {
    /// Its verdict; `None` if it can have none.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        match self.status {
            IncidentStatus::Passed => Some(Verdict::Held),
            IncidentStatus::Failed => Some(Verdict::Broken),
            IncidentStatus::NotExercised | IncidentStatus::CannotTell => Some(Verdict::NotExercised),
            IncidentStatus::Unchanged | IncidentStatus::Changed => None,
        }
    }
}

/// The sum of it all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the change does to its own judge. It stands first, so that nobody reads a verdict without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judge_changes: Vec<JudgeChange>,
    /// Who approved that; `None`: nobody, or there was nothing to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// What was found.
    pub verdict: Verdict,
    /// Fewer seeds were played than were asked for, too few to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<CutShort>,
    /// Fewer variants were played than were asked for, so that they cannot pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants_cut_short: Option<VariantsCutShort>,
    /// The policies that were judged.
    pub policies: Vec<Name>,
    /// How many runs.
    pub runs: u64,
    /// How many of them were paired with runs of the baseline; `None` without one.
    pub pairs: Option<u64>,
    /// Each class, sorted by name.
    pub classes: Vec<ClassVerdict>,
    /// The thresholds over all exercised classes.
    pub thresholds: Vec<ThresholdVerdict>,
    /// The comparison with the baseline over all classes; empty without one.
    pub costs: Vec<CostVerdict>,
    /// Policies that acted nowhere.
    pub idle: Vec<IdlePolicy>,
    /// Recorded incidents.
    pub incidents: Vec<IncidentResult>,
}

/// One thing that broke, in words, and how to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Where: a class, a scenario, an incident, or `all`.
    pub place: String,
    /// What: the measure with its figures.
    pub what: String,
    /// The run that shows it; `None` for an incident.
    pub run: Option<RunName>,
    /// The command that repeats it.
    pub command: Option<String>,
}
