//! The text formats of Prometheus, with times: read into a store, and written from one.
//!
//! Two dialects. OpenMetrics gives times in seconds and ends with `# EOF`, without which the text was cut off. The classic format gives times in
//! milliseconds and ends where it ends. Every sample must carry its time, for a recording without times cannot be replayed.
//!
//! Values: `NaN`, `+Inf` and `-Inf` are kept as what they are. The formats have no word for the staleness marker: reading never makes one, and
//! writing leaves markers out, so a series that ended is seen for five minutes more. Our own recordings (`recording`) keep them.
//! Exemplars are skipped. Times finer than a millisecond are cut, as Prometheus does.

mod page;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use firedrill_core::problem::near_miss;
use firedrill_core::time::Start;

pub use page::{MetricsPage, read_page};

use crate::labels::{Labels, LabelsBuilder, METRIC_NAME, is_label_name, is_metric_name, write_quoted};
use crate::store::{SeriesId, Store, is_stale};

/// Which of the text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenMetrics 1.0: times in seconds, `# EOF` at the end.
    OpenMetrics,
    /// The classic Prometheus format 0.0.4: times in milliseconds.
    Prometheus,
}

/// What a text says about a metric family apart from its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, …; empty if the text does not say.
    pub kind: String,
    /// The unit, empty if the text does not say.
    pub unit: String,
    /// What it means, empty if the text does not say.
    pub help: String,
}

/// Families by name.
pub type Families = BTreeMap<String, Family>;

/// One line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ExpositionError {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong, with the name of the series where there is one.
    pub reason: String,
    /// What would be right, where it is known.
    pub remedy: Option<String>,
}

/// What is wrong with a line, and what would be right where it is known.
struct Wrong {
    reason: String,
    remedy: Option<String>,
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self { reason, remedy: None }
    }
}

impl Wrong {
    fn in_line(self, line: usize) -> ExpositionError {
        ExpositionError { line, reason: self.reason, remedy: self.remedy }
    }
}

/// What a family can be, in both dialects together.
const TYPES: [&str; 9] = ["counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram"];

/// After so many wrong lines the rest is not read: it is another format.
const MOST_ERRORS: usize = 20;

/// Reads a text into a store that may hold other series already.
///
/// # Errors
/// Every wrong line, at most 20: bad syntax, a sample without a time, a time that is not newer than the last one of its series, no `# EOF`,
/// no sample at all. The store then holds the samples of the good lines and is of no use.
pub fn read(text: &str, dialect: Dialect, store: &mut Store) -> Result<Families, Vec<ExpositionError>> {
    let mut reader = Reader { dialect, store, families: Families::new(), known: BTreeMap::new(), samples: 0, ended: false };
    let mut errors = Vec::new();
    let mut last_line = 0;
    for (index, line) in text.lines().enumerate() {
        last_line = index + 1;
        if let Err(wrong) = reader.line(line) {
            errors.push(wrong.in_line(last_line));
            if errors.len() == MOST_ERRORS {
                return Err(errors);
            }
        }
    }
    if dialect == Dialect::OpenMetrics && !reader.ended && errors.is_empty() {
        errors.push(Wrong::from("the text ends without `# EOF`: it was cut off".to_owned()).in_line(last_line));
    }
    if reader.samples == 0 && errors.is_empty() {
        errors.push(Wrong::from("there is no sample".to_owned()).in_line(last_line));
    }
    if errors.is_empty() { Ok(reader.families) } else { Err(errors) }
}

/// Writes a store as OpenMetrics text. Staleness markers are left out; families that the caller says nothing about are `unknown`.
#[must_use]
pub fn write(store: &Store, families: &Families) -> String {
    let mut text = String::new();
    let mut family = None;
    for id in store.ids() {
        let name = store.labels(id).metric_name().unwrap_or_default();
        if family != Some(name) {
            family = Some(name);
            write_family(&mut text, name, families);
        }
        let labels = written_labels(store.labels(id));
        for (at_ms, value) in store.times(id).iter().zip(store.values(id)) {
            if !is_stale(*value) {
                write_sample(&mut text, &labels, *at_ms, *value);
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

struct Reader<'text, 'store> {
    dialect: Dialect,
    store: &'store mut Store,
    families: Families,
    /// Series by their text, so that labels are taken apart once a series and not once a sample.
    known: BTreeMap<&'text str, SeriesId>,
    samples: usize,
    ended: bool,
}

impl<'text> Reader<'text, '_> {
    fn line(&mut self, line: &'text str) -> Result<(), Wrong> {
        if self.ended && !line.is_empty() {
            return Err("there is text after `# EOF`".to_owned().into());
        }
        if let Some(comment) = line.strip_prefix('#') {
            return self.comment(comment);
        }
        if line.trim().is_empty() {
            return Ok(());
        }
        Ok(self.sample(line)?)
    }

    fn comment(&mut self, comment: &str) -> Result<(), Wrong> {
        let word = comment.split_whitespace().next().unwrap_or_default();
        if word == "EOF" && self.dialect == Dialect::OpenMetrics {
            self.ended = true;
            return Ok(());
        }
        describe(&mut self.families, comment)
    }

    fn sample(&mut self, line: &'text str) -> Result<(), String> {
        let (series, rest) = line.split_at(series_end(line)?);
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().ok_or_else(|| format!("{series} has no value"))?;
        let value = number(value).ok_or_else(|| format!("{series}: `{value}` is not a value"))?;
        // What begins with `#` is an exemplar, or in the classic format a comment that nobody forbids.
        let time = words.next().filter(|word| !word.starts_with('#'));
        let time = time.ok_or_else(|| format!("{series} has no time, and without times nothing can be replayed"))?;
        let at_ms = self.at_ms(time).ok_or_else(|| format!("{series}: `{time}` is not a time"))?;
        if !Start::can_tell(at_ms) {
            return Err(format!("{series}: `{time}` is no time of these centuries{}", self.likely_unit(at_ms)));
        }
        if let Some(word) = words.next().filter(|word| !word.starts_with('#')) {
            return Err(format!("{series}: `{word}` stands after the time"));
        }
        let id = match self.known.get(series) {
            Some(id) => *id,
            None => {
                let id = self.store.series(&labels_of(series)?);
                self.known.insert(series, id);
                id
            }
        };
        self.samples += 1;
        self.store.append(id, at_ms, value).map_err(|error| format!("{series}: {error}"))
    }

    /// What the times likely are, if they would be sound in another unit.
    fn likely_unit(&self, at_ms: i64) -> &'static str {
        match self.dialect {
            Dialect::OpenMetrics if Start::can_tell(at_ms / 1000) => ": OpenMetrics times are seconds, and these look like milliseconds",
            Dialect::OpenMetrics => ": OpenMetrics times are seconds",
            Dialect::Prometheus => ": the classic format's times are milliseconds",
        }
    }

    fn at_ms(&self, text: &str) -> Option<i64> {
        match self.dialect {
            Dialect::Prometheus => text.parse().ok(),
            Dialect::OpenMetrics => seconds_to_ms(text),
        }
    }
}

/// Takes in what a comment says of a family, if it says anything.
fn describe(families: &mut Families, comment: &str) -> Result<(), Wrong> {
    let comment = comment.trim_start();
    let (word, rest) = comment.split_once(' ').unwrap_or((comment, ""));
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Ok(());
    }
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(format!("`# {word}` names no metric").into());
    }
    if text.trim().is_empty() && word == "TYPE" {
        return Err(format!("`# TYPE {name}` names no type").into());
    }
    if word == "TYPE" && !TYPES.contains(&text.trim()) {
        let near = near_miss(&text.trim().to_lowercase(), &TYPES);
        let remedy = near.map_or_else(|| format!("write one of {}", TYPES.join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(Wrong { reason: format!("`{}` is no type of metric, so `{name}` has none", text.trim()), remedy: Some(remedy) });
    }
    let family = families.entry(name.to_owned()).or_default();
    let field = match word {
        "HELP" => &mut family.help,
        "TYPE" => &mut family.kind,
        _ => &mut family.unit,
    };
    if !field.is_empty() {
        return Err(format!("`# {word} {name}` stands twice").into());
    }
    *field = if word == "HELP" { unescaped(text) } else { text.trim().to_owned() };
    Ok(())
}

/// Seconds as decimals to milliseconds, without the rounding of a binary fraction.
fn seconds_to_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = whole.parse::<i64>()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        let digits = |index: usize| fraction.as_bytes().get(index).map_or(0, |digit| i64::from(digit - b'0'));
        let thousandths = digits(0) * 100 + digits(1) * 10 + digits(2);
        let signed = if whole.starts_with('-') { -thousandths } else { thousandths };
        return seconds.checked_mul(1000)?.checked_add(signed);
    }
    // `1.6e9` is a legal time too.
    let seconds: f64 = text.parse().ok()?;
    (seconds.abs() < 9e12).then(|| libm::floor(seconds * 1000.0) as i64)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        // Rust also reads `infinity` and `nan`, which the formats do not know.
        _ => text.parse().ok().filter(|_| !text.contains(['n', 'N', 'i', 'I'])),
    }
}

/// Where the series ends and its value begins: after the name, or after the brace that closes the labels.
fn series_end(line: &str) -> Result<usize, String> {
    let bytes = line.as_bytes();
    let Some(first) = bytes.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t')) else {
        return Err(format!("`{line}` is no sample"));
    };
    if bytes[first] != b'{' {
        return Ok(first);
    }
    let mut quoted = false;
    let mut at = first;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok(at + 1),
            _ => {}
        }
        at += 1;
    }
    Err(format!("`{line}` opens a brace or a quote and does not close it"))
}

/// The labels of `name{a="b",c="d"}`, or of `{"a name",a="b"}`.
fn labels_of(series: &str) -> Result<Labels, String> {
    let (name, inside) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap_or(rest)));
    let mut builder = Labels::builder();
    if !name.is_empty() {
        if !is_metric_name(name) {
            return Err(format!("`{name}` is not the name of a metric"));
        }
        builder = builder.set(METRIC_NAME, name);
    }
    let mut rest = inside.trim_start();
    let mut seen: Vec<&str> = if name.is_empty() { Vec::new() } else { vec![METRIC_NAME] };
    while !rest.is_empty() {
        rest = label(rest, &mut builder, &mut seen).map_err(|reason| format!("{series}: {reason}"))?;
    }
    if seen.contains(&METRIC_NAME) { Ok(builder.build()) } else { Err(format!("{series} names no metric")) }
}

/// Takes one label and the comma after it off the front.
fn label<'text>(rest: &'text str, builder: &mut LabelsBuilder, seen: &mut Vec<&'text str>) -> Result<&'text str, String> {
    let (name, value, rest) = if let Some(quoted_name) = rest.strip_prefix('"') {
        let (name, after) = quoted(quoted_name)?;
        (METRIC_NAME, name, after)
    } else {
        let (name, after) = rest.split_once('=').ok_or_else(|| format!("`{rest}` is not a label"))?;
        let name = name.trim();
        if !is_label_name(name) {
            return Err(format!("`{name}` is not the name of a label"));
        }
        let after = after.trim_start().strip_prefix('"').ok_or_else(|| format!("the value of `{name}` is not in quotes"))?;
        let (value, after) = quoted(after)?;
        (name, value, after)
    };
    if seen.contains(&name) {
        return Err(format!("the label `{name}` stands twice"));
    }
    seen.push(name);
    builder.put(name.into(), value.into());
    let rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(rest) => Ok(rest.trim_start()),
        None if rest.is_empty() => Ok(rest),
        None => Err(format!("`{rest}` stands where a comma should")),
    }
}

/// The text up to the closing quote without its escapes, and what follows the quote.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok((unescaped(&text[..index]), &text[index + 1..])),
            _ => {}
        }
    }
    Err("a quote is not closed".to_owned())
}

fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => out.push('\n'),
                Some(escaped @ ('\\' | '"')) => out.push(escaped),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

fn write_family(text: &mut String, name: &str, families: &Families) {
    // A counter's samples end in `_total`, and its family does not.
    let base = name.strip_suffix("_total").filter(|base| families.contains_key(*base)).unwrap_or(name);
    let Some(family) = families.get(base) else { return };
    for (word, value) in [("TYPE", &family.kind), ("UNIT", &family.unit), ("HELP", &family.help)] {
        if !value.is_empty() {
            let escaped = value.replace('\\', "\\\\").replace('\n', "\\n");
            writeln!(text, "# {word} {base} {escaped}").expect("a string takes all");
        }
    }
}

fn written_labels(labels: &Labels) -> String {
    let name = labels.metric_name().unwrap_or_default();
    let plain = is_metric_name(name);
    let mut text = if plain { name.to_owned() } else { String::new() };
    let mut inside = String::new();
    if !plain {
        write_quoted(&mut inside, name).expect("a string takes all");
    }
    for (label, value) in labels.iter().filter(|(label, _)| **label != *METRIC_NAME) {
        if !inside.is_empty() {
            inside.push(',');
        }
        inside.push_str(label);
        inside.push('=');
        write_quoted(&mut inside, value).expect("a string takes all");
    }
    if !inside.is_empty() {
        write!(text, "{{{inside}}}").expect("a string takes all");
    }
    text
}

fn write_sample(text: &mut String, labels: &str, at_ms: i64, value: f64) {
    let value = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    };
    let sign = if at_ms < 0 { "-" } else { "" };
    let (seconds, millis) = (at_ms.unsigned_abs() / 1000, at_ms.unsigned_abs() % 1000);
    write!(text, "{labels} {value} {sign}{seconds}").expect("a string takes all");
    if millis > 0 {
        write!(text, ".{millis:03}").expect("a string takes all");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::STALE;
    use proptest::prelude::*;

    fn shown(store: &Store) -> Vec<String> {
        store
            .ids()
            .map(|id| {
                let samples: Vec<String> =
                    store.times(id).iter().zip(store.values(id)).map(|(at, value)| format!("{value}@{at}")).collect();
                format!("{} {}", store.labels(id), samples.join(" "))
            })
            .collect()
    }

    #[track_caller]
    fn check(dialect: Dialect, text: &str, expected: &[&str]) {
        let mut store = Store::new();
        let got = match read(text, dialect, &mut store) {
            Ok(_) => shown(&store),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn openmetrics_is_read_with_times_in_seconds() {
        check(
            Dialect::OpenMetrics,
            "# HELP http_requests Requests.\n# TYPE http_requests counter\n# UNIT x seconds\nhttp_requests_total{code=\"200\",path=\"/a\\\"\\\\\\n\"} 3 1520879607.789\n\
             http_requests_total{code=\"200\",path=\"/a\\\"\\\\\\n\"} 4.5e1 1520879608 # {trace_id=\"} 1\"} 0.67 1520879607\nup 1 1.6e9\ntemp{} NaN 0.0019\ntemp +Inf 12\n# EOF\n",
            &[
                "http_requests_total{code=\"200\", path=\"/a\\\"\\\\\\n\"} 3@1520879607789 45@1520879608000",
                "temp NaN@1 inf@12000",
                "up 1@1600000000000",
            ],
        );
        check(Dialect::OpenMetrics, "{\"odd name\", a=\"b\",} 1 2\n# EOF", &["{__name__=\"odd name\", a=\"b\"} 1@2000"]);
    }

    #[test]
    fn the_classic_format_is_read_with_times_in_milliseconds() {
        check(
            Dialect::Prometheus,
            "# a comment\n\nup{job = \"a\" , pod=\"b\"}  1  1520879607789\nup{job=\"a\",pod=\"b\"}\t0 1520879622789\n",
            &["up{job=\"a\", pod=\"b\"} 1@1520879607789 0@1520879622789"],
        );
    }

    #[test]
    fn wrong_lines_are_refused_by_name_and_all_at_once() {
        check(
            Dialect::OpenMetrics,
            "up 1\nup one 2\nup 1 soon\nup{a=\"b} 1 2\nup{a=b} 1 2\nup{a=\"1\",a=\"2\"} 1 2\n1up 1 2\nup 1 2 3\nup\nup nan 4\n{a=\"b\"} 1 2\n# TYPE up gauge\n# TYPE up counter\n# EOF\nup 1 2\n",
            &[
                "line 1: up has no time, and without times nothing can be replayed",
                "line 2: up: `one` is not a value",
                "line 3: up: `soon` is not a time",
                "line 4: `up{a=\"b} 1 2` opens a brace or a quote and does not close it",
                "line 5: up{a=b}: the value of `a` is not in quotes",
                "line 6: up{a=\"1\",a=\"2\"}: the label `a` stands twice",
                "line 7: `1up` is not the name of a metric",
                "line 8: up: `3` stands after the time",
                "line 9: `up` is no sample",
                "line 10: up: `nan` is not a value",
                "line 11: {a=\"b\"} names no metric",
                "line 13: `# TYPE up` stands twice",
                "line 15: there is text after `# EOF`",
            ],
        );
        check(
            Dialect::OpenMetrics,
            "up 1 2\nup 1 2\nup 1 1\n# EOF\n",
            &[
                "line 2: up: a sample at 2000 ms is not newer than the last one of its series at 2000 ms",
                "line 3: up: a sample at 1000 ms is not newer than the last one of its series at 2000 ms",
            ],
        );
        check(
            Dialect::OpenMetrics,
            "up 1 1767603600000\nup 1 1767603600000000\n# EOF\n",
            &[
                "line 1: up: `1767603600000` is no time of these centuries: OpenMetrics times are seconds, and these look like milliseconds",
                "line 2: up: `1767603600000000` is no time of these centuries: OpenMetrics times are seconds",
            ],
        );
        check(
            Dialect::Prometheus,
            "up 1 1767603600000000\n",
            &["line 1: up: `1767603600000000` is no time of these centuries: the classic format's times are milliseconds"],
        );
        check(Dialect::OpenMetrics, "up 1 2\n", &["line 1: the text ends without `# EOF`: it was cut off"]);
        check(Dialect::Prometheus, "# nothing\n", &["line 1: there is no sample"]);
    }

    #[test]
    fn staleness_markers_and_metadata_are_written_as_documented() {
        let mut store = Store::new();
        let id = store.series(&Labels::named("http_requests_total", &[("code", "2\"")]));
        for (at_ms, value) in [(1_500, 1.0), (2_000, STALE), (3_001, f64::NEG_INFINITY)] {
            store.append(id, at_ms, value).unwrap();
        }
        let family = Family { kind: "counter".into(), unit: String::new(), help: "All\nof them.".into() };
        let text = write(&store, &Families::from([("http_requests".to_owned(), family)]));
        assert_eq!(
            text,
            "# TYPE http_requests counter\n# HELP http_requests All\\nof them.\nhttp_requests_total{code=\"2\\\"\"} 1 1.500\n\
             http_requests_total{code=\"2\\\"\"} -Inf 3.001\n# EOF\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            series in prop::collection::vec(("[a-z\"\\\\é\n{},=# ]{1,6}", prop::collection::vec((1_i64..100_000, any::<f64>()), 1..10)), 1..6),
        ) {
            let mut store = Store::new();
            for (label, samples) in series {
                let id = store.series(&Labels::named("m", &[("label", &label)]));
                let mut at_ms = store.times(id).last().copied().unwrap_or(0);
                for (gap, value) in samples {
                    at_ms += gap;
                    store.append(id, at_ms, value).expect("newer");
                }
            }
            let mut again = Store::new();
            read(&write(&store, &Families::new()), Dialect::OpenMetrics, &mut again).expect("what we wrote");
            prop_assert_eq!(shown(&again), shown(&store));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[ -~\n\"{}#]{0,80}") {
            let _ = read(&text, Dialect::OpenMetrics, &mut Store::new());
            let _ = read(&text, Dialect::Prometheus, &mut Store::new());
        }
    }
}
