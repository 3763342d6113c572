//! Values that templates work with, each of the type that Go gives it.

use std::collections::BTreeMap;
use std::rc::Rc;

use firedrill_telemetry::promql::Sample;

/// Why an action fails while it is carried out.
pub(super) type Failure = String;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing: `nil`, or what is not there.
    Nil,
    Bool(bool),
    Int(i64),
    /// A byte of a text.
    Byte(u8),
    Float(f64),
    Text(String),
    /// A text that `safeHtml` marked. Go holds it for another type.
    Html(String),
    /// Names and texts, such as labels.
    Labels(Rc<BTreeMap<String, String>>),
    /// What `args` makes.
    Args(Rc<BTreeMap<String, Value>>),
    /// One element of a query's result.
    Sample(Rc<Sample>),
    /// A query's result.
    Samples(Rc<Vec<Rc<Sample>>>),
    /// What `.` is at first.
    Alert(Rc<Alert>),
    /// A moment, Unix milliseconds.
    Time(i64),
    /// A span in nanoseconds.
    Duration(i64),
}

/// What an alert's templates are about.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) labels: Value,
    pub(super) external_labels: Value,
    pub(super) external_url: String,
    pub(super) value: f64,
}

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    Sample,
    Samples,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Sample => "*template.sample",
            Self::Samples => "template.queryResult",
        }
    }

    /// The value, if it can be given where this is taken.
    pub(super) fn admit(self, value: Value) -> Result<Value, Failure> {
        let is_fit = match (self, &value) {
            (Self::Any, _) | (Self::Text, Value::Text(_)) | (Self::Sample, Value::Sample(_)) | (Self::Samples, Value::Samples(_)) => true,
            (_, Value::Nil) => return Err(format!("invalid value; expected {}", self.name())),
            _ => false,
        };
        if is_fit { Ok(value) } else { Err(format!("wrong type for value; expected {}; got {}", self.name(), value.type_name())) }
    }
}

impl Value {
    /// How long a text it is, in bytes; 0 for what is none.
    pub(super) fn text_len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Html(text) => text.len(),
            _ => 0,
        }
    }

    /// Labels as a value.
    pub(super) fn labels<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        Self::Labels(Rc::new(labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    /// The labels of a sample.
    pub(super) fn labels_of(sample: &Sample) -> Self {
        Self::labels(sample.labels.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// What Go calls its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Html(_) => "template.HTML",
            Self::Labels(_) => "map[string]string",
            Self::Args(_) => "map[string]interface {}",
            Self::Sample(_) => "*template.sample",
            Self::Samples(_) => "template.queryResult",
            Self::Alert(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
            }
            Self::Time(_) => "*time.Time",
            Self::Duration(_) => "*time.Duration",
        }
    }

    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) | Self::Html(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Args(args) => !args.is_empty(),
            Self::Samples(samples) => !samples.is_empty(),
            Self::Sample(_) | Self::Alert(_) | Self::Time(_) | Self::Duration(_) => true,
        }
    }

    /// What one of its fields holds.
    pub(super) fn field(&self, name: &str) -> Result<Value, Failure> {
        let unknown = || format!("can't evaluate field {name} in type {}", self.type_name());
        match self {
            Self::Nil => Ok(Self::Nil),
            Self::Labels(labels) => Ok(Self::Text(labels.get(name).cloned().unwrap_or_default())),
            Self::Args(args) => Ok(args.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Sample(sample) => match name {
                "Labels" => Ok(Self::labels_of(sample)),
                "Value" => Ok(Self::Float(sample.value)),
                _ => Err(unknown()),
            },
            Self::Alert(alert) => match name {
                "Labels" => Ok(alert.labels.clone()),
                "ExternalLabels" => Ok(alert.external_labels.clone()),
                "ExternalURL" => Ok(Self::Text(alert.external_url.clone())),
                "Value" => Ok(Self::Float(alert.value)),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}
