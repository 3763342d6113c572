//! Our own recording format, exact to the bit: what a run saw can be seen again.
//!
//! JSON Lines. The first line is a header: schema, start and end in Unix milliseconds, where the samples come from, how many series and samples
//! follow. Each further line is a series: its labels, the time of its first sample, the gaps to the next ones as runs of `[gap, count]`, and its
//! values. Values are numbers in shortest round-trip form; what JSON has no number for is a text: `"stale"` is the staleness marker, `"NaN"` the
//! ordinary NaN, `"Inf"` and `"-Inf"` the infinities, and `"0x7ff8000000000001"` any other NaN by its bits. Series stand in the order of their birth,
//! so that a store that is read back has the ids and the generation of the one that was written.

use std::collections::BTreeMap;
use std::fmt;

use firedrill_core::time::Start;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::labels::Labels;
use crate::store::{STALE, SeriesId, Store, is_stale};

/// The version of the format.
pub const SCHEMA: &str = "firedrill.recording/1";

/// What was seen between two instants.
#[derive(Clone, Debug)]
pub struct Recording {
    /// When the recording begins; replayed time counts from here.
    pub start: Start,
    /// When it ends, in milliseconds since 1970; nothing is known after that.
    pub end_ms: i64,
    /// Where the samples come from, for people: `a simulated run of retry-storm, seed 1`.
    pub source: String,
    /// All samples.
    pub store: Store,
}

/// Why a text is no recording. Nothing of it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// There is no line at all.
    #[error("the recording is empty")]
    Empty,
    /// The first line names another format or version.
    #[error("line 1: the schema is `{0}`, and `{SCHEMA}` is what can be read")]
    Schema(String),
    /// A line is not what the format says.
    #[error("line {line}: {reason}")]
    Line {
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was cut off, or lines were added.
    #[error("the header announces {announced} {what} and {found} are there: the file is not whole")]
    NotWhole {
        /// `series` or `samples`.
        what: &'static str,
        /// The number in the header.
        announced: u64,
        /// The number found.
        found: u64,
    },
}

impl Recording {
    /// The recording as text, to be read back by [`Recording::parse`] bit by bit.
    #[must_use]
    pub fn to_text(&self) -> String {
        let store = &self.store;
        let ids = (0..store.len() as u32).map(SeriesId);
        let samples = ids.clone().map(|id| store.times(id).len() as u64).sum();
        let header = HeaderDocument {
            schema: SCHEMA.to_owned(),
            start_ms: self.start.unix_millis(),
            end_ms: self.end_ms,
            source: self.source.clone(),
            series: store.len() as u64,
            samples,
        };
        let mut text = line_of(&header);
        for id in ids {
            let times = store.times(id);
            let labels = store.labels(id).iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let values = store.values(id).iter().map(|value| Sample(*value)).collect();
            text.push_str(&line_of(&SeriesDocument { labels, first_ms: times.first().copied(), gaps: runs(times), values }));
        }
        text
    }

    /// Reads what [`Recording::to_text`] wrote.
    ///
    /// # Errors
    /// The text is another format, damaged, or cut off.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let (_, first) = lines.next().ok_or(RecordingError::Empty)?;
        let header = header(first)?;
        let mut store = Store::new();
        let (mut series, mut samples) = (0, 0);
        for (line, text) in lines {
            samples += add_series(&mut store, text).map_err(|reason| RecordingError::Line { line, reason })?;
            series += 1;
        }
        for (what, announced, found) in [("series", header.series, series), ("samples", header.samples, samples)] {
            if announced != found {
                return Err(RecordingError::NotWhole { what, announced, found });
            }
        }
        Ok(Self { start: Start::from_unix_millis(header.start_ms), end_ms: header.end_ms, source: header.source, store })
    }
}

/// Plays a recording back: a store that grows as it grew when the samples were new, so that whoever looks at it cannot see ahead,
/// neither by `offset -5m` nor by `@`, and a series is born with its first sample.
#[derive(Clone, Debug)]
pub struct Playback {
    /// A clone, which shares all samples.
    recorded: Store,
    /// Every sample by time, then by the series' birth: its series and its index there.
    order: Vec<(i64, u32, u32)>,
    next: usize,
    /// The series of the growing store by those of the recording.
    ids: Vec<Option<SeriesId>>,
    store: Store,
}

impl Playback {
    /// A playback that has not begun: the store is empty.
    #[must_use]
    pub fn new(recorded: &Store) -> Self {
        let mut order = Vec::new();
        for series in 0..recorded.len() as u32 {
            let times = recorded.times(SeriesId(series));
            order.extend(times.iter().enumerate().map(|(index, at_ms)| (*at_ms, series, index as u32)));
        }
        order.sort_unstable();
        Self { recorded: recorded.clone(), order, next: 0, ids: vec![None; recorded.len()], store: Store::new() }
    }

    /// The samples up to `at_ms`, that instant included, in milliseconds since 1970. Never goes back.
    pub fn until(&mut self, at_ms: i64) -> &Store {
        while let Some(&(sample_ms, series, index)) = self.order.get(self.next)
            && sample_ms <= at_ms
        {
            let recorded = SeriesId(series);
            let id = match self.ids[series as usize] {
                Some(id) => id,
                None => {
                    let id = self.store.series(self.recorded.labels(recorded));
                    self.ids[series as usize] = Some(id);
                    id
                }
            };
            let value = self.recorded.values(recorded)[index as usize];
            self.store.append(id, sample_ms, value).expect("a store's times increase strictly");
            self.next += 1;
        }
        &self.store
    }

    /// The samples so far.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderDocument {
    schema: String,
    start_ms: i64,
    end_ms: i64,
    source: String,
    series: u64,
    samples: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriesDocument {
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first_ms: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    gaps: Vec<(i64, u64)>,
    values: Vec<Sample>,
}

fn line_of(document: &impl Serialize) -> String {
    let mut line = serde_json::to_string(document).expect("plain data");
    line.push('\n');
    line
}

fn header(line: &str) -> Result<HeaderDocument, RecordingError> {
    // The schema is looked at first: a newer version may have other fields, and people should hear about the version.
    let loose: serde_json::Value = serde_json::from_str(line).map_err(|error| wrong_line(1, &error))?;
    let schema = loose.get("schema").and_then(serde_json::Value::as_str).unwrap_or_default();
    if schema != SCHEMA {
        return Err(RecordingError::Schema(schema.to_owned()));
    }
    let header: HeaderDocument = serde_json::from_str(line).map_err(|error| wrong_line(1, &error))?;
    if !Start::can_tell(header.start_ms) || !Start::can_tell(header.end_ms) {
        return Err(RecordingError::Line { line: 1, reason: "it starts or ends in no time of these centuries".to_owned() });
    }
    if header.end_ms < header.start_ms {
        return Err(RecordingError::Line { line: 1, reason: "it ends before it starts".to_owned() });
    }
    Ok(header)
}

fn wrong_line(line: usize, error: &serde_json::Error) -> RecordingError {
    RecordingError::Line { line, reason: reason(error) }
}

/// What the parser says, without its own count of lines: it saw one only.
fn reason(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the line breaks off: the file was cut off".to_owned();
    }
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| format!("{what} (character {})", error.column()))
}

/// Adds one line to the store and says how many samples it held.
fn add_series(store: &mut Store, line: &str) -> Result<u64, String> {
    let document: SeriesDocument = serde_json::from_str(line).map_err(|error| reason(&error))?;
    let mut builder = Labels::builder();
    for (name, value) in &document.labels {
        builder = builder.set(name.as_str(), value.as_str());
    }
    let labels = builder.build();
    if store.find(&labels).is_some() {
        return Err(format!("the series {labels} stands twice"));
    }
    let times = times_of(&document)?;
    if times.len() != document.values.len() {
        return Err(format!("{labels} has {} times and {} values", times.len(), document.values.len()));
    }
    let id = store.series(&labels);
    for (at_ms, value) in times.iter().zip(&document.values) {
        store.append(id, *at_ms, value.0).map_err(|error| error.to_string())?;
    }
    Ok(times.len() as u64)
}

/// The gaps between neighbouring times as runs of equal gaps.
fn runs(times: &[i64]) -> Vec<(i64, u64)> {
    let mut runs: Vec<(i64, u64)> = Vec::new();
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        match runs.last_mut() {
            Some((last, count)) if *last == gap => *count += 1,
            _ => runs.push((gap, 1)),
        }
    }
    runs
}

fn times_of(document: &SeriesDocument) -> Result<Vec<i64>, String> {
    let Some(first_ms) = document.first_ms else {
        return if document.gaps.is_empty() { Ok(Vec::new()) } else { Err("there are gaps and no first time".to_owned()) };
    };
    let announced = document.gaps.iter().fold(1_u64, |sum, (_, count)| sum.saturating_add(*count));
    // Counts come from the file; comparing before expanding keeps a hostile count from filling the memory.
    if announced != document.values.len() as u64 {
        return Err(format!("there are {announced} times and {} values", document.values.len()));
    }
    let mut times = vec![first_ms];
    let mut at_ms = first_ms;
    for (gap, count) in &document.gaps {
        for _ in 0..*count {
            at_ms = at_ms.checked_add(*gap).filter(|_| *gap > 0).ok_or_else(|| format!("a gap of {gap} ms leads nowhere"))?;
            times.push(at_ms);
        }
    }
    Ok(times)
}

/// A value that keeps every bit in JSON.
struct Sample(f64);

/// Below this, a whole number is exact as an integer and shorter without its point.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if is_stale(value) {
            serializer.serialize_str("stale")
        } else if value.to_bits() == f64::NAN.to_bits() {
            serializer.serialize_str("NaN")
        } else if value.is_nan() {
            serializer.serialize_str(&format!("{:#018x}", value.to_bits()))
        } else if value.is_infinite() {
            serializer.serialize_str(if value > 0.0 { "Inf" } else { "-Inf" })
        } else if value.abs() < LARGEST_WHOLE && value.to_bits() == ((value as i64) as f64).to_bits() {
            serializer.serialize_i64(value as i64)
        } else {
            serializer.serialize_f64(value)
        }
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SampleVisitor)
    }
}

struct SampleVisitor;

impl Visitor<'_> for SampleVisitor {
    type Value = Sample;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"stale\", \"NaN\", \"Inf\", \"-Inf\" or the bits of a NaN")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Sample, E> {
        Ok(Sample(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Sample, E> {
        Ok(Sample(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Sample, E> {
        Ok(Sample(value as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Sample, E> {
        Ok(Sample(match text {
            "stale" => STALE,
            "NaN" => f64::NAN,
            "Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            _ => {
                let bits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
                let value = bits.map(f64::from_bits).filter(|value| value.is_nan());
                value.ok_or_else(|| E::custom(format!("`{text}` is not a sample")))?
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recording(store: Store) -> Recording {
        Recording { start: Start::from_unix_seconds(1_000), end_ms: 2_000_000, source: "a test".to_owned(), store }
    }

    fn small() -> Recording {
        let mut store = Store::new();
        let up = store.series(&Labels::named("up", &[("job", "a")]));
        for (at_ms, value) in [(1_000_000, 1.0), (1_015_000, 0.1), (1_030_000, f64::NAN), (1_031_000, STALE)] {
            store.append(up, at_ms, value).unwrap();
        }
        store.series(&Labels::named("silent", &[]));
        recording(store)
    }

    #[test]
    fn a_recording_is_a_header_and_a_line_for_each_series() {
        assert_eq!(
            small().to_text(),
            "{\"schema\":\"firedrill.recording/1\",\"start_ms\":1000000,\"end_ms\":2000000,\"source\":\"a test\",\"series\":2,\"samples\":4}\n\
             {\"labels\":{\"__name__\":\"up\",\"job\":\"a\"},\"first_ms\":1000000,\"gaps\":[[15000,2],[1000,1]],\"values\":[1,0.1,\"NaN\",\"stale\"]}\n\
             {\"labels\":{\"__name__\":\"silent\"},\"values\":[]}\n"
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(Recording::parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_damaged_is_refused_by_name() {
        let whole = small().to_text();
        let lines: Vec<&str> = whole.lines().collect();
        check_refused("", "the recording is empty");
        check_refused(
            &whole.replace("recording/1", "recording/9"),
            "line 1: the schema is `firedrill.recording/9`, and `firedrill.recording/1` is what can be read",
        );
        check_refused(&lines[..2].join("\n"), "the header announces 2 series and 1 are there: the file is not whole");
        check_refused(&whole.replace("[1,0.1", "[0.1"), "line 2: there are 4 times and 3 values");
        check_refused(&whole.replace("[15000,2]", "[0,2]"), "line 2: a gap of 0 ms leads nowhere");
        check_refused(&whole.replace("[15000,2]", "[15000,99999999999999]"), "line 2: there are 100000000000001 times and 4 values");
        check_refused(&format!("{}\n{}\n{}\n", lines[0], lines[1], lines[1]), "line 3: the series up{job=\"a\"} stands twice");
        check_refused(&whole[..whole.len() - 10], "line 3: the line breaks off: the file was cut off");
        check_refused(
            &whole.replace("\"start_ms\":1000000", "\"start_ms\":9000000000000000"),
            "line 1: it starts or ends in no time of these centuries",
        );
    }

    #[test]
    fn a_playback_shows_nothing_before_its_time() {
        let recording = small();
        let mut playback = Playback::new(&recording.store);
        assert_eq!(playback.until(999_999).len(), 0);
        assert_eq!(playback.until(1_015_000).times(SeriesId(0)), [1_000_000, 1_015_000]);
        assert_eq!(playback.until(1_000_000).times(SeriesId(0)).len(), 2);
        let whole = playback.until(i64::MAX);
        assert_eq!((whole.len(), whole.values(SeriesId(0))[3].to_bits()), (1, STALE.to_bits()));
    }

    proptest! {
        #[test]
        fn every_bit_survives_writing_and_reading(
            series in prop::collection::vec(("[a-z\"\\\\é\n]{1,6}", prop::collection::vec((1_i64..100_000, sample()), 0..30)), 0..8),
        ) {
            let mut store = Store::new();
            for (label, samples) in series {
                let id = store.series(&Labels::named("m", &[("label", &label)]));
                let mut at_ms = store.times(id).last().copied().unwrap_or(-5_000_000);
                for (gap, bits) in samples {
                    at_ms += gap;
                    store.append(id, at_ms, f64::from_bits(bits)).expect("newer");
                }
            }
            let written = recording(store);
            let read = Recording::parse(&written.to_text()).expect("what we wrote");
            prop_assert_eq!(read.start, written.start);
            prop_assert_eq!(read.store.generation(), written.store.generation());
            for id in written.store.ids() {
                prop_assert_eq!(read.store.labels(id), written.store.labels(id));
                prop_assert_eq!(read.store.times(id), written.store.times(id));
                let bits = |store: &Store| store.values(id).iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&read.store), bits(&written.store));
            }
        }
    }

    /// Any bits at all, and the ones that formats stumble over more often than chance would have it.
    fn sample() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            any::<f64>().prop_map(f64::to_bits),
            (-100_i64..100).prop_map(|whole| (whole as f64).to_bits()),
            Just(STALE.to_bits()),
            Just((-0.0_f64).to_bits()),
            Just(f64::NAN.to_bits()),
            Just(f64::INFINITY.to_bits()),
            Just(f64::NEG_INFINITY.to_bits()),
            Just(9_007_199_254_740_993_u64),
            Just((9_007_199_254_740_992.0_f64).to_bits()),
            Just(f64::MIN_POSITIVE.to_bits()),
            Just(1_u64),
        ]
    }
}
