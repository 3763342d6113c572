//! What Prometheus answers, from its JSON.

use std::borrow::Cow;
use std::fmt;

use firedrill_core::time::Start;
use firedrill_telemetry::labels::Labels;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which kind of value it is.
    pub kind: AnswerKind,
    /// The series: one sample each of an instant vector, one series without labels for a scalar.
    pub series: Vec<Samples>,
    /// What Prometheus noticed while it evaluated: its warnings and infos.
    pub warnings: Vec<String>,
    /// A warning that says that something is missing in the value, as where some of what was to be asked did not answer; `None`: none does.
    pub missing: Option<String>,
    /// How many series of native histograms there were besides; they are left out.
    pub histograms: u64,
}

/// The kind of a value in PromQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// Series with one sample each; it may be empty.
    Vector,
    /// Series with samples.
    Matrix,
    /// A number.
    Scalar,
    /// A text.
    Text(String),
}

/// A series with its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Its labels, the metric's name among them where there is one.
    pub labels: Labels,
    /// Milliseconds since 1970, and the value; oldest first.
    pub samples: Vec<(i64, f64)>,
}

/// A rule group that Prometheus evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGroup {
    /// Its name.
    pub name: String,
    /// The file that it stands in, on the machine of that Prometheus.
    pub file: String,
    /// Every how many milliseconds it is evaluated.
    pub interval_ms: i64,
    /// Its rules, in their order.
    pub rules: Vec<KnownRule>,
}

/// A rule that Prometheus evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRule {
    /// Whether it alerts or records.
    pub kind: RuleKind,
    /// The alert, or the series that it records.
    pub name: String,
    /// Its expression, as Prometheus writes it.
    pub query: String,
    /// How long it must hold before the alert fires, milliseconds; 0 of a recording rule.
    pub hold_ms: i64,
}

/// What a rule makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// An alert.
    Alerting,
    /// A series.
    Recording,
}

/// An alert that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAlert {
    /// Its labels.
    pub labels: Labels,
    /// Firing, or pending.
    pub is_firing: bool,
    /// Since when its condition holds, milliseconds since 1970.
    pub since_ms: Option<i64>,
}

/// What stands around every answer.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub status: String,
    #[serde(default = "none")]
    pub data: Option<T>,
    #[serde(rename = "errorType")]
    pub error_type: Option<String>,
    pub error: Option<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub infos: Vec<String>,
}

/// Serde would ask that a missing `data` has a default of its own.
const fn none<T>() -> Option<T> {
    None
}

/// `data` of a query.
#[derive(Deserialize)]
pub(super) struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Item>,
}

/// What stands in a result: series, or of a scalar and a text its time and its value.
enum Item {
    Series { samples: Samples, has_histograms: bool },
    Number(f64),
    Text(String),
}

impl Data {
    /// The answer as it is meant; its warnings stand in the envelope.
    pub fn answer(self) -> Result<Answer, String> {
        let answer = |kind, series| Answer { kind, series, warnings: Vec::new(), missing: None, histograms: 0 };
        let Self { result_type, result } = self;
        match (result_type.as_str(), result.as_slice()) {
            ("scalar", [Item::Number(at), Item::Text(value)]) => {
                let samples = vec![(millis(*at), number(value)?)];
                Ok(answer(AnswerKind::Scalar, vec![Samples { labels: Labels::empty(), samples }]))
            }
            ("string", [_, Item::Text(text)]) => Ok(answer(AnswerKind::Text(text.clone()), Vec::new())),
            ("vector" | "matrix", _) => {
                let mut answer = answer(if result_type == "vector" { AnswerKind::Vector } else { AnswerKind::Matrix }, Vec::new());
                for item in result {
                    let Item::Series { samples, has_histograms } = item else {
                        return Err(format!("a {result_type} has something in it that is no series"));
                    };
                    answer.histograms += u64::from(has_histograms);
                    // A series of native histograms alone has nothing that we could hold.
                    if !(has_histograms && samples.samples.is_empty()) {
                        answer.series.push(samples);
                    }
                }
                Ok(answer)
            }
            _ => Err(format!("`{result_type}` with {} parts is no result of a query", result.len())),
        }
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series, a time or a value")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Item, E> {
        Ok(Item::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Item, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let (mut labels, mut samples, mut has_histograms) = (Labels::empty(), Vec::new(), false);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "metric" => labels = map.next_value::<LabelsDocument>()?.0,
                "value" => samples = vec![map.next_value::<SampleDocument>()?.0],
                "values" => samples = map.next_value::<Vec<SampleDocument>>()?.into_iter().map(|sample| sample.0).collect(),
                "histogram" | "histograms" => {
                    map.next_value::<IgnoredAny>()?;
                    has_histograms = true;
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Item::Series { samples: Samples { labels, samples }, has_histograms })
    }
}

/// A label set as a map.
pub(super) struct LabelsDocument(pub Labels);

impl<'de> Deserialize<'de> for LabelsDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;
        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut builder = Labels::builder();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    builder = builder.set(name, value);
                }
                Ok(builder.build())
            }
        }
        deserializer.deserialize_map(LabelsVisitor).map(Self)
    }
}

/// A sample as `[seconds, "value"]`.
struct SampleDocument((i64, f64));

impl<'de> Deserialize<'de> for SampleDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SampleVisitor;
        impl<'de> Visitor<'de> for SampleVisitor {
            type Value = (i64, f64);

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in seconds and a value in quotes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(i64, f64), A::Error> {
                use serde::de::Error;
                let short = || A::Error::invalid_length(1, &self);
                let at = seq.next_element::<f64>()?.ok_or_else(short)?;
                let text = seq.next_element::<Cow<'de, str>>()?.ok_or_else(short)?;
                Ok((millis(at), number(&text).map_err(A::Error::custom)?))
            }
        }
        deserializer.deserialize_seq(SampleVisitor).map(Self)
    }
}

/// Seconds with a fraction as milliseconds: the nearest, for a fraction such as .781 is not exact in binary.
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{text}` is no sample's value"))
}

#[derive(Deserialize)]
pub(super) struct RulesDocument {
    pub groups: Vec<GroupDocument>,
}

#[derive(Deserialize)]
pub(super) struct GroupDocument {
    name: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    interval: f64,
    rules: Vec<RuleDocument>,
}

#[derive(Deserialize)]
struct RuleDocument {
    #[serde(rename = "type")]
    kind: RuleKind,
    name: String,
    query: String,
    #[serde(default)]
    duration: f64,
}

impl From<GroupDocument> for KnownGroup {
    fn from(group: GroupDocument) -> Self {
        let rule = |rule: RuleDocument| KnownRule { kind: rule.kind, name: rule.name, query: rule.query, hold_ms: millis(rule.duration) };
        let GroupDocument { name, file, interval, rules } = group;
        Self { name, file, interval_ms: millis(interval), rules: rules.into_iter().map(rule).collect() }
    }
}

#[derive(Deserialize)]
pub(super) struct AlertsDocument {
    pub alerts: Vec<AlertDocument>,
}

#[derive(Deserialize)]
pub(super) struct AlertDocument {
    labels: LabelsDocument,
    state: String,
    #[serde(rename = "activeAt")]
    active_at: Option<String>,
}

impl From<AlertDocument> for KnownAlert {
    fn from(alert: AlertDocument) -> Self {
        let since_ms = alert.active_at.and_then(|text| Start::parse(&text).ok()).map(Start::unix_millis);
        Self { labels: alert.labels.0, is_firing: alert.state == "firing", since_ms }
    }
}

#[derive(Deserialize)]
pub(super) struct BuildDocument {
    pub version: String,
}
