//! Prometheus rule files, unchanged, and the ruler that evaluates them.

mod document;
mod template;
mod compiled;
mod known;
mod cycle;
mod ruler;
mod coverage;
mod closure;
mod reach;
pub mod lint;
pub mod unit_test;

use std::sync::{Arc, OnceLock};

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::Span;
use firedrill_telemetry::promql::{Plan, PlanError};

pub use closure::{closure, closure_hash};
use compiled::Compiled;
pub use coverage::{Coverage, Outlook, Reason};
pub use cycle::{SentAlert, Surroundings};
pub use document::read_rules;
pub(crate) use document::{prometheus_duration, text_of};
pub use reach::{metrics_read, reach_ms};
pub use ruler::{Memory, Phase, RECALL_STEP, Ruler, RulerSettings};
pub use template::{Scene, Subject, Template};

/// All groups of all files, in the order given.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// The groups.
    pub groups: Vec<Group>,
    /// Made when the first ruler wants it.
    compiled: OnceLock<Arc<Compiled>>,
}

/// Rules that are evaluated together, one after the other.
#[derive(Clone, Debug)]
pub struct Group {
    /// The path of its file, as given.
    pub file: String,
    /// Where its name stands.
    pub place: Place,
    /// Its name, unique in its file.
    pub name: Name,
    /// From one evaluation to the next; `None`: the ruler's default.
    pub interval: Option<Span>,
    /// Expressions are evaluated so much in the past, and their results written there.
    pub query_offset: Span,
    /// At most so many series or alerts from one rule; `None`: no limit.
    pub limit: Option<usize>,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The series that it records, or the alert's name.
    pub name: Name,
    /// What it does with the result.
    pub kind: RuleKind,
    /// The expression as it was written.
    pub expression: String,
    /// The expression, ready to be evaluated; an error names what cannot be evaluated yet. Such a rule is loaded, named by `check`, and
    /// never fires.
    pub plan: Result<Plan, PlanError>,
    /// Labels that override those of the result, as they were written; an empty value removes a label. The group's labels are in here.
    pub labels: Vec<(Name, Name)>,
    /// Those of the labels whose value is to be filled in.
    pub label_templates: Vec<(Name, Template)>,
    /// Annotations; they are filled in when somebody reads them.
    pub annotations: Vec<(Name, Template)>,
    /// Where its expression stands.
    pub place: Place,
    /// Where its other parts stand.
    pub places: Places,
}

/// Where the parts of a rule stand in its file.
#[derive(Clone, Debug)]
pub struct Places {
    /// All of it, from its first key to its last line.
    pub whole: Place,
    /// Its name.
    pub name: Place,
    /// Its `for`, if it has one.
    pub hold: Option<Place>,
    /// Its labels' values, those that it has from its group among them.
    pub labels: Vec<(Name, Place)>,
    /// Its annotations' texts.
    pub annotations: Vec<(Name, Place)>,
}

/// What a rule does with the result of its expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// It is recorded as a series.
    Recording,
    /// Each element is an alert.
    Alerting {
        /// How long an element must be there before its alert fires (`for`).
        hold: Span,
        /// How long a firing alert stays on after its element is gone (`keep_firing_for`).
        keep_firing: Span,
    },
}

impl RuleSet {
    /// Reads rule files, given as path and text.
    ///
    /// # Errors
    /// Everything that is wrong with them. What merely cannot be evaluated yet is no error: see [`Rule::plan`].
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Arc<Self>, Vec<Problem>> {
        let (mut groups, mut problems) = (Vec::new(), Vec::new());
        for (path, text) in files {
            match read_rules(path, text) {
                Ok(read) => groups.extend(read),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(Arc::new(Self { groups, compiled: OnceLock::new() })) } else { Err(problems) }
    }

    /// The same rules with another step for the subqueries that name none: Prometheus takes its evaluation interval.
    #[must_use]
    pub fn with_subquery_step(&self, step: Span) -> Self {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut set = Self { groups: self.groups.clone(), compiled: OnceLock::new() };
        for rule in set.groups.iter_mut().flat_map(|group| &mut group.rules) {
            rule.plan = rule.plan.as_ref().map(|plan| plan.with_subquery_step(step_ms)).map_err(Clone::clone);
        }
        set
    }

    fn compiled(&self) -> &Arc<Compiled> {
        self.compiled.get_or_init(|| Arc::new(Compiled::of(self)))
    }

    /// All rules with their groups, in the order of evaluation within each group.
    pub fn rules(&self) -> impl Iterator<Item = (&Group, &Rule)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    /// The rules that alert by this name.
    pub fn alerting(&self, alert: &str) -> impl Iterator<Item = (&Group, &Rule)> {
        self.rules().filter(move |(_, rule)| rule.is_alerting() && *rule.name == *alert)
    }

    /// The rules that cannot be evaluated yet, with the reason.
    pub fn unsupported(&self) -> impl Iterator<Item = (&Group, &Rule, &PlanError)> {
        self.rules().filter_map(|(group, rule)| rule.plan.as_ref().err().map(|error| (group, rule, error)))
    }
}

impl Rule {
    /// Whether it alerts.
    #[must_use]
    pub const fn is_alerting(&self) -> bool {
        matches!(self.kind, RuleKind::Alerting { .. })
    }
}
