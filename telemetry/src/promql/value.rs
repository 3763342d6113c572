//! What an evaluation yields, and why it may yield nothing.

use crate::labels::Labels;

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number without labels.
    Scalar(f64),
    /// One number a label set, in the order of evaluation (sorted by label bytes unless an operation orders otherwise).
    Vector(Vec<Sample>),
    /// A text; only a plan that is one literal yields it.
    Text(String),
    /// Several times a label set: a range selector's samples, or the steps of a range evaluation.
    Matrix(Vec<SeriesSamples>),
}

/// One element of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The element's labels.
    pub labels: Labels,
    /// The element's value.
    pub value: f64,
}

/// One row of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSamples {
    /// The row's labels.
    pub labels: Labels,
    /// Times (milliseconds since 1970, increasing) and values.
    pub samples: Vec<(i64, f64)>,
}

/// An evaluation that failed; it has no result, and a rule that fails leaves its state as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Two elements of the result have the same labels, as happens when the only difference was a dropped metric name.
    #[error("two elements have the same labels {labels}")]
    SameLabels {
        /// The labels that stand twice.
        labels: String,
    },
    /// The side of a binary operation that must be unique has two elements that match alike.
    #[error("{first} and {second} on the {side} side match the same elements; their matching labels must differ on that side")]
    NotUnique {
        /// `left` or `right`.
        side: &'static str,
        /// Labels of one of them.
        first: String,
        /// Labels of the other.
        second: String,
    },
    /// Several elements match one, and no `group_left` or `group_right` allows it.
    #[error("several elements match {labels}; say which side has many with group_left or group_right")]
    ManyMatches {
        /// Labels of the element that is matched more than once.
        labels: String,
    },
    /// A parameter is no number that can be used there.
    #[error("{0} is no count of elements")]
    NotACount(String),
    /// The plan still has parameters.
    #[error("the parameter ${0} is not bound")]
    Unbound(String),
    /// A range evaluation without a positive step, or with too many steps.
    #[error("a range evaluation needs a positive step and at most {0} steps")]
    Steps(i64),
    /// The evaluation looks at too many samples and steps.
    #[error("the evaluation looks at more than {0} samples and steps")]
    TooMuch(usize),
    /// A range evaluation of what has no value at each step.
    #[error("{0} cannot be evaluated over a range")]
    NotOverARange(&'static str),
    /// An expression that cannot be put to somebody else.
    #[error("{0} cannot be asked elsewhere")]
    NotAskable(&'static str),
}

/// An element while the evaluation goes on. A name that an operation drops stays until the end, so that later operations can still see and
/// keep it.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub labels: Labels,
    pub value: f64,
    pub drop_name: bool,
}

impl Element {
    pub(crate) fn nameless(value: f64) -> Element {
        Element { labels: Labels::empty(), value, drop_name: false }
    }
}

/// A value while the evaluation goes on.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Scalar(f64),
    Vector(Vec<Element>),
    Text(String),
    Matrix(Vec<SeriesSamples>),
}

/// A number as Prometheus writes it in labels and people read it in reports: the fewest digits that give the same float back, without exponent;
/// `+Inf`, `-Inf`, `NaN`.
pub fn written(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}
