//! Rule tests in promtool's format: series in, rules evaluated step by step, alerts and expressions compared with what is expected; and what
//! tests expect of messages and of policies' decisions.
//!
//! The semantics are those of Prometheus 3.x's promtool; what is added to them is in docs/rule-tests.md.

mod decisions;
mod document;
mod notifications;
mod run;

use std::collections::BTreeMap;

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::time::Span;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::Plan;
use firedrill_telemetry::promqltest::Point;
use firedrill_telemetry::store::Store;

pub use decisions::{Decision, DecisionGot, DecisionTest, Expectation, ExpectedDecision, GivenResult};
pub use document::read_test_file;
pub(crate) use notifications::read_notification_tests;
pub use notifications::{ExpectedNotification, NotificationGot, NotificationTest};
pub use run::{AlertGot, Change, Failure, Outcome, TimelineEntry, run_test};

/// A file of rule tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// Its path, as given.
    pub path: String,
    /// Paths or patterns of rule files, relative to the file, with their places.
    pub rule_files: Vec<(String, Place)>,
    /// The Alertmanager configuration by which alerts are routed, relative to the file, with its place.
    pub alertmanager: Option<(String, Place)>,
    /// Silences that are set at the start of each test, relative to the file, with their place.
    pub silences: Option<(String, Place)>,
    /// Paths or names of policies that decision tests are about, relative to the file, with their places.
    pub policies: Vec<(String, Place)>,
    /// What is declared to exist, for their guards.
    pub inventory: Inventory,
    /// From one evaluation of all groups to the next; positive.
    pub evaluation_interval: Span,
    /// Groups are evaluated in this order; those that are not named count as the first.
    pub group_order: Vec<Located<Name>>,
    /// Numbers may differ in their last bit.
    pub is_fuzzy: bool,
    /// The tests in the order of the file.
    pub tests: Vec<Test>,
}

/// One test: input, and what is expected at which moments.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name; `test N`, counted from 1, if it has none.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// From one value of a series to the next; positive.
    pub interval: Span,
    /// The moment of the first values, Unix milliseconds.
    pub start_ms: i64,
    /// The input.
    pub series: Vec<InputSeries>,
    /// A recording that is input too.
    pub recording: Option<RecordedInput>,
    /// What is expected of alerts.
    pub alerts: Vec<AlertTest>,
    /// What is expected of expressions.
    pub expressions: Vec<ExpressionTest>,
    /// What receivers are expected to be told.
    pub notifications: Vec<NotificationTest>,
    /// What policies are expected to decide.
    pub decisions: Vec<DecisionTest>,
    /// What becomes of the actions that policies start; `None`: they start none.
    pub results: Option<Vec<GivenResult>>,
    /// Labels that templates call `$externalLabels`, and that alerts carry on their way to Alertmanager.
    pub external_labels: Vec<(Name, Name)>,
    /// The address that templates call `$externalURL`; may be empty.
    pub external_url: String,
    /// Groups keep their own intervals, where they have one, instead of the file's.
    pub keeps_group_intervals: bool,
}

/// One series of a test's input.
#[derive(Clone, Debug)]
pub struct InputSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its values, one an interval.
    pub points: Vec<Point>,
    /// Where it stands.
    pub place: Place,
}

/// A recording as input: samples at the times at which they were recorded, seen from the start of the test on.
#[derive(Clone, Debug)]
pub struct RecordedInput {
    /// How it is written.
    pub format: RecordedFormat,
    /// Its path, relative to the folder of the test file.
    pub path: String,
    /// Where it is named.
    pub place: Place,
    /// The test starts with its first sample, because it says no start of its own.
    pub gives_start: bool,
    /// What it holds; empty until whoever can open files has read it.
    pub samples: Store,
}

/// How a recording is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedFormat {
    /// OpenMetrics text, times in seconds.
    OpenMetrics,
    /// The classic text format, times in milliseconds.
    Prometheus,
    /// Our own.
    Firedrill,
}

/// Which alerts of one name are expected at a moment.
#[derive(Clone, Debug)]
pub struct AlertTest {
    /// After the start.
    pub eval_time: Span,
    /// The alerts' name.
    pub name: Name,
    /// All that fire.
    pub firing: Vec<ExpectedAlert>,
    /// All that are pending; `None`: whatever.
    pub pending: Option<Vec<ExpectedAlert>>,
    /// Where it stands.
    pub place: Place,
}

/// One expected alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedAlert {
    /// All labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// All annotations, filled in.
    pub annotations: BTreeMap<String, String>,
}

/// What an expression is expected to yield at a moment.
#[derive(Clone, Debug)]
pub struct ExpressionTest {
    /// After the start.
    pub eval_time: Span,
    /// The expression as it was written.
    pub expression: String,
    /// Ready to be evaluated, or the construct that cannot be yet.
    pub plan: Result<Plan, String>,
    /// All samples, sorted by their labels.
    pub samples: Vec<ExpectedSample>,
    /// Where it stands.
    pub place: Place,
}

/// One expected sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedSample {
    /// Its labels, its metric's name among them.
    pub labels: Labels,
    /// Its value; `None` for a native histogram, which nothing yields yet.
    pub value: Option<f64>,
}
