//! Wide CSV files: a row is an instant, a column is a series, and a mapping says which.
//!
//! Exports of metrics come as tables whose column names are nobody's metric names. A mapping, read from people's files elsewhere, names the time
//! column and its notation, and for each column of interest the metric, the labels, the unit and what an empty cell means. Columns that no mapping
//! mentions are left alone.

use std::collections::BTreeMap;

use firedrill_core::time::Start;
use regex::{Captures, Regex};

use crate::labels::{Labels, METRIC_NAME};
use crate::store::{STALE, SeriesId, Store};

/// A pattern that must match the whole of a path or a header cell, made by [`crate::labels::anchored`]; its named groups become variables.
pub type Pattern = Regex;

/// The pattern that matches this text and nothing else.
#[must_use]
pub fn exactly(text: &str) -> Pattern {
    crate::labels::anchored(&regex::escape(text)).expect("an escaped text is a pattern")
}

/// How to read the files of one export.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Each file is read by the first entry that matches its path.
    pub files: Vec<FileMapping>,
}

impl Mapping {
    /// Which entry reads a file, if there is one; the path is relative to the recording's folder and has `/` between its parts.
    #[must_use]
    pub fn entry_of(&self, path: &str) -> Option<usize> {
        self.files.iter().position(|file| file.file.is_match(path))
    }
}

/// How to read the files whose path matches.
#[derive(Clone, Debug)]
pub struct FileMapping {
    /// Matches the whole path; its named groups are variables of the templates.
    pub file: Pattern,
    /// What the header rows are called, top first; at least one. A column's header cells are variables of the templates.
    pub header: Vec<String>,
    /// Which column holds the time.
    pub time: TimeColumn,
    /// Cells of the same row as variables of the templates: variable and column.
    pub cells: Vec<(String, String)>,
    /// Labels of every series of the file.
    pub labels: Vec<(String, Template)>,
    /// A column is read by the first entry that chooses it.
    pub columns: Vec<ColumnMapping>,
}

/// Where a row's time stands.
#[derive(Clone, Debug)]
pub struct TimeColumn {
    /// A header cell of the column.
    pub column: String,
    /// How the time is written.
    pub notation: TimeNotation,
    /// Added to every time, in milliseconds: the width of the bucket if rows are stamped with the start of theirs, since a value is known at its end.
    pub shift_ms: i64,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeNotation {
    /// Seconds since 1970, with or without a fraction.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMillis,
    /// `2022-08-22T03:51:19.5Z`, with a zone.
    Rfc3339,
    /// As Go prints a time: `2022-08-22 03:51:19.573905004 +0000 UTC m=+0.079858984`.
    Go,
}

/// How to read the columns that are chosen.
#[derive(Clone, Debug)]
pub struct ColumnMapping {
    /// Header rows (counting from 0) and what their cell must match wholly; named groups are variables of the templates.
    pub choose: Vec<(usize, Pattern)>,
    /// The metric's name.
    pub metric: Template,
    /// Labels, over those of the file.
    pub labels: Vec<(String, Template)>,
    /// What a cell is measured in.
    pub unit: Unit,
    /// What a cell means.
    pub kind: Kind,
    /// What no value means.
    pub missing: Missing,
}

/// What cells are measured in; samples are in the base unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    multiply: f64,
    divide: f64,
}

impl Unit {
    /// Units by their word in mapping files, base units first. `percent` becomes a ratio, or cores where it is percent of one core.
    pub const WORDS: [(&'static str, Unit); 14] = [
        ("ratio", Unit::times(1.0)),
        ("seconds", Unit::times(1.0)),
        ("bytes", Unit::times(1.0)),
        ("cores", Unit::times(1.0)),
        ("count", Unit::times(1.0)),
        ("per_second", Unit::times(1.0)),
        ("percent", Unit::part(100.0)),
        ("milliseconds", Unit::part(1e3)),
        ("microseconds", Unit::part(1e6)),
        ("millicores", Unit::part(1e3)),
        ("per_minute", Unit::part(60.0)),
        ("kibibytes", Unit::times(1024.0)),
        ("mebibytes", Unit::times(1_048_576.0)),
        ("gibibytes", Unit::times(1_073_741_824.0)),
    ];

    /// Already the base unit.
    pub const BASE: Unit = Unit::times(1.0);

    const fn times(multiply: f64) -> Unit {
        Unit { multiply, divide: 1.0 }
    }

    // A division, because 100 % divided by 100 is 1 and multiplied by 0.01 may miss it.
    const fn part(divide: f64) -> Unit {
        Unit { multiply: 1.0, divide }
    }

    /// The same amount for so many seconds, as an amount a second.
    #[must_use]
    pub fn per_seconds(self, seconds: f64) -> Unit {
        Unit { multiply: self.multiply, divide: self.divide * seconds }
    }

    fn convert(self, value: f64) -> f64 {
        value * self.multiply / self.divide
    }
}

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The value of the series at that time: a gauge, or a counter that was exported as it stood.
    Level,
    /// What was added since the row before: the cells are summed up into a counter.
    Increments,
    /// What was added a second since the row before: a counter that grows by the cell times the gap, from 0 at the first row.
    Rate,
}

/// What an empty cell, `NaN` or `null` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is known: no sample, so the value before is seen for five more minutes.
    Unknown,
    /// The series was not there: a staleness marker, as a scrape leaves that does not find a series again.
    Gone,
}

/// Text with variables: `$name` or `${name}`; `$$` is a dollar sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A dollar sign that no name follows, or a brace that is not closed.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('$') {
                parts.push(Part::Text("$".to_owned()));
                rest = tail;
                continue;
            }
            let (name, tail) = match after.strip_prefix('{') {
                Some(inside) => inside.split_once('}').ok_or_else(|| format!("`{text}` opens a brace and does not close it"))?,
                None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
            };
            if name.is_empty() {
                return Err(format!("a `$` in `{text}` has no name after it: write `$$` for a dollar sign"));
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template(parts))
    }

    /// The variables in their order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text; a variable without a value is empty.
    fn expand(&self, variables: &Variables) -> String {
        let value = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        };
        self.0.iter().map(value).collect()
    }
}

type Variables = BTreeMap<String, String>;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct CsvError {
    /// Counts from 1.
    pub line: u64,
    /// What is wrong there.
    pub reason: String,
}

impl CsvError {
    fn new(line: u64, reason: impl Into<String>) -> CsvError {
        CsvError { line, reason: reason.into() }
    }
}

/// After so many wrong lines the rest is not read.
const MOST_ERRORS: usize = 20;

/// Reads one file into a store that may hold other series already, and says how many samples it held.
///
/// # Errors
/// Every wrong line, at most 20: too few or too many cells, a time or a number that is none, an infinite number, a time that is not later than the
/// one before, two columns that make the same series; or that there is no time column, no column that is chosen, or no row.
pub fn read(mapping: &FileMapping, path: &str, text: &str, store: &mut Store) -> Result<u64, Vec<CsvError>> {
    let mut table = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut rows = table.records();
    let mut header = Vec::new();
    for _ in &mapping.header {
        match rows.next() {
            Some(Ok(row)) => header.push(row),
            Some(Err(error)) => return Err(vec![damaged(&error)]),
            None => return Err(vec![CsvError::new(1, "the file has no header, or only part of it")]),
        }
    }
    let mut sheet = Sheet::new(mapping, path, &header, store).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    for row in rows {
        let result = row.map_err(|error| vec![damaged(&error)]).and_then(|row| sheet.row(&row, store));
        errors.extend(result.err().unwrap_or_default());
        if errors.len() >= MOST_ERRORS {
            errors.truncate(MOST_ERRORS);
            return Err(errors);
        }
    }
    if sheet.last_ms.is_none() && errors.is_empty() {
        errors.push(CsvError::new(mapping.header.len() as u64, "no row follows the header"));
    }
    if errors.is_empty() { Ok(sheet.samples) } else { Err(errors) }
}

/// The cells of one header row, without the space around them: what the columns of a file are called there. Empty if the file has no such row.
#[must_use]
pub fn header_cells(text: &str, row: usize) -> Vec<String> {
    let mut table = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let cells = table.records().nth(row).and_then(Result::ok).unwrap_or_default();
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn damaged(error: &::csv::Error) -> CsvError {
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths { pos, expected_len, len } => CsvError::new(
            pos.as_ref().map_or(0, ::csv::Position::line),
            format!("{len} cells, and the header has {expected_len}: the file was cut off, or a comma is not in quotes"),
        ),
        _ => CsvError::new(error.position().map_or(0, ::csv::Position::line), error.to_string()),
    }
}

/// A file while it is read.
struct Sheet<'m> {
    mapping: &'m FileMapping,
    time_index: usize,
    cells: Vec<(&'m str, usize)>,
    columns: Vec<Column<'m>>,
    /// The time of the row before.
    last_ms: Option<i64>,
    samples: u64,
}

/// A column that is read.
struct Column<'m> {
    index: usize,
    header: String,
    mapping: &'m ColumnMapping,
    variables: Variables,
    /// The series, unless it depends on other cells of the row.
    fixed: Option<SeriesId>,
    /// Counters as they stand.
    totals: BTreeMap<SeriesId, f64>,
}

impl<'m> Sheet<'m> {
    fn new(mapping: &'m FileMapping, path: &str, header: &[::csv::StringRecord], store: &mut Store) -> Result<Self, CsvError> {
        let find = |wanted: &str| {
            let found = header.iter().find_map(|row| row.iter().position(|cell| cell.trim() == wanted));
            found.ok_or_else(|| CsvError::new(1, format!("there is no column `{wanted}`")))
        };
        let time_index = find(&mapping.time.column)?;
        let cells: Vec<(&str, usize)> =
            mapping.cells.iter().map(|(name, column)| Ok((name.as_str(), find(column)?))).collect::<Result<_, CsvError>>()?;
        let mut file_variables = Variables::new();
        if let Some(captures) = mapping.file.captures(path) {
            add_groups(&mut file_variables, &mapping.file, &captures);
        }
        let width = header.last().map_or(0, ::csv::StringRecord::len);
        let mut columns = Vec::new();
        for index in (0..width).filter(|index| *index != time_index) {
            columns.extend(Column::choose(mapping, header, index, &file_variables));
        }
        if columns.is_empty() {
            return Err(CsvError::new(1, "the mapping chooses none of its columns"));
        }
        let mut sheet = Self { mapping, time_index, cells, columns, last_ms: None, samples: 0 };
        sheet.fix_series(store)?;
        Ok(sheet)
    }

    /// Makes the series that do not depend on other cells, each by one column only.
    fn fix_series(&mut self, store: &mut Store) -> Result<(), CsvError> {
        let mut makers: BTreeMap<SeriesId, String> = BTreeMap::new();
        for column in &mut self.columns {
            if column.depends_on(&self.cells, self.mapping) {
                continue;
            }
            let labels = column.labels(self.mapping, &column.variables);
            let id = store.series(&labels);
            if let Some(other) = makers.insert(id, column.header.clone()) {
                return Err(CsvError::new(1, format!("the columns `{other}` and `{}` both make the series {labels}", column.header)));
            }
            column.fixed = Some(id);
        }
        Ok(())
    }

    /// What is wrong with a time of other centuries: most likely its unit.
    fn beyond(&self, text: &str, at_ms: i64) -> String {
        let time = &self.mapping.time;
        let likely = match time.notation {
            TimeNotation::UnixSeconds if Start::can_tell(at_ms / 1000) => ": it is read as seconds, and looks like `unix_milliseconds`",
            TimeNotation::UnixSeconds => ": it is read as seconds",
            TimeNotation::UnixMillis => ": it is read as milliseconds",
            TimeNotation::Rfc3339 | TimeNotation::Go => "",
        };
        format!("`{text}` in column `{}` is no time of these centuries{likely}", time.column)
    }

    fn row(&mut self, row: &::csv::StringRecord, store: &mut Store) -> Result<(), Vec<CsvError>> {
        let line = row.position().map_or(0, ::csv::Position::line);
        let text = row.get(self.time_index).unwrap_or_default();
        let at_ms = time_ms(self.mapping.time.notation, text)
            .and_then(|at_ms| at_ms.checked_add(self.mapping.time.shift_ms))
            .ok_or_else(|| vec![CsvError::new(line, format!("`{text}` in column `{}` is not a time", self.mapping.time.column))])?;
        if !Start::can_tell(at_ms) {
            return Err(vec![CsvError::new(line, self.beyond(text, at_ms))]);
        }
        let gap_ms = self.last_ms.map_or(0, |last_ms| at_ms.saturating_sub(last_ms));
        if self.last_ms.is_some() && gap_ms <= 0 {
            return Err(vec![CsvError::new(line, format!("the time `{text}` is not later than that of the row before: the clock jumped"))]);
        }
        self.last_ms = Some(at_ms);
        let cells: Vec<(&str, &str)> = self.cells.iter().map(|(name, index)| (*name, row.get(*index).unwrap_or_default())).collect();
        let mut errors = Vec::new();
        for column in &mut self.columns {
            let cell = row.get(column.index).unwrap_or_default();
            match column.sample(self.mapping, cell, gap_ms, (&cells, store)) {
                Ok(None) => {}
                Ok(Some((id, value))) => match store.append(id, at_ms, value) {
                    Ok(()) => self.samples += 1,
                    Err(error) => errors.push(CsvError::new(line, format!("column `{}`: {error}", column.header))),
                },
                Err(reason) => errors.push(CsvError::new(line, format!("column `{}`: {reason}", column.header))),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl<'m> Column<'m> {
    /// The column, if an entry of the mapping chooses it.
    fn choose(mapping: &'m FileMapping, header: &[::csv::StringRecord], index: usize, file_variables: &Variables) -> Option<Column<'m>> {
        let cell = |row: usize| header.get(row).and_then(|row| row.get(index)).unwrap_or_default().trim();
        let chosen = mapping.columns.iter().find(|column| column.choose.iter().all(|(row, regex)| regex.is_match(cell(*row))))?;
        let mut variables = file_variables.clone();
        for (row, name) in mapping.header.iter().enumerate() {
            variables.insert(name.clone(), cell(row).to_owned());
        }
        for (row, regex) in &chosen.choose {
            if let Some(captures) = regex.captures(cell(*row)) {
                add_groups(&mut variables, regex, &captures);
            }
        }
        let header = (0..mapping.header.len()).map(cell).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" / ");
        Some(Column { index, header, mapping: chosen, variables, fixed: None, totals: BTreeMap::new() })
    }

    fn depends_on(&self, cells: &[(&str, usize)], file: &FileMapping) -> bool {
        let templates = file.labels.iter().chain(&self.mapping.labels).map(|(_, template)| template).chain([&self.mapping.metric]);
        templates.flat_map(Template::variables).any(|variable| cells.iter().any(|(name, _)| *name == variable))
    }

    fn labels(&self, file: &FileMapping, variables: &Variables) -> Labels {
        let mut builder = Labels::builder().set(METRIC_NAME, self.mapping.metric.expand(variables));
        for (name, template) in file.labels.iter().chain(&self.mapping.labels) {
            builder = builder.set(name.as_str(), template.expand(variables));
        }
        builder.build()
    }

    /// The series of this row and its new value, `None` if nothing is known.
    fn sample(
        &mut self,
        file: &FileMapping,
        cell: &str,
        gap_ms: i64,
        (cells, store): (&[(&str, &str)], &mut Store),
    ) -> Result<Option<(SeriesId, f64)>, String> {
        let id = self.fixed.unwrap_or_else(|| {
            let mut variables = self.variables.clone();
            variables.extend(cells.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            store.series(&self.labels(file, &variables))
        });
        let cell = cell.trim();
        if cell.is_empty() || ["nan", "null", "none", "n/a"].iter().any(|word| cell.eq_ignore_ascii_case(word)) {
            return Ok((self.mapping.missing == Missing::Gone).then_some((id, STALE)));
        }
        let value: f64 = cell.parse().map_err(|_| format!("`{cell}` is not a number"))?;
        if !value.is_finite() {
            return Err(format!("`{cell}` is not finite"));
        }
        let value = self.mapping.unit.convert(value);
        let added = match self.mapping.kind {
            Kind::Level => return Ok(Some((id, value))),
            Kind::Increments => value,
            Kind::Rate => value * gap_ms as f64 / 1000.0,
        };
        if added < 0.0 {
            return Err(format!("`{cell}` would make a counter fall"));
        }
        let total = self.totals.entry(id).or_default();
        *total += added;
        Ok(Some((id, *total)))
    }
}

fn add_groups(variables: &mut Variables, regex: &Regex, captures: &Captures) {
    for name in regex.capture_names().flatten() {
        let value = captures.name(name).map_or("", |found| found.as_str());
        variables.insert(name.to_owned(), value.to_owned());
    }
}

fn time_ms(notation: TimeNotation, text: &str) -> Option<i64> {
    let text = text.trim();
    match notation {
        TimeNotation::UnixMillis => text.parse().ok(),
        TimeNotation::UnixSeconds => {
            if let Ok(seconds) = text.parse::<i64>() {
                return seconds.checked_mul(1000);
            }
            let seconds: f64 = text.parse().ok()?;
            (seconds.abs() < 9e12).then(|| libm::round(seconds * 1000.0) as i64)
        }
        TimeNotation::Rfc3339 => Start::parse(text).ok().map(Start::unix_millis),
        TimeNotation::Go => go_time_ms(text),
    }
}

/// `2022-08-22 03:51:19.573905004 +0000 UTC m=+0.079858984`: the offset counts, the zone's name and the monotonic clock do not.
fn go_time_ms(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let (date, clock, offset) = (words.next()?, words.next()?, words.next()?);
    if offset.len() != 5 || !offset.is_ascii() {
        return None;
    }
    let (hours, minutes) = offset.split_at(3);
    Start::parse(&format!("{date}T{clock}{hours}:{minutes}")).ok().map(Start::unix_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::anchored;
    use proptest::prelude::*;

    fn template(text: &str) -> Template {
        Template::parse(text).expect("a template")
    }

    fn column(header: &str, metric: &str, unit: &str) -> ColumnMapping {
        let unit = Unit::WORDS.iter().find(|(word, _)| *word == unit).expect("a unit").1;
        let choose = vec![(0, anchored(header).expect("a regex"))];
        ColumnMapping { choose, metric: template(metric), labels: Vec::new(), unit, kind: Kind::Level, missing: Missing::Unknown }
    }

    fn mapping(columns: Vec<ColumnMapping>) -> FileMapping {
        FileMapping {
            file: anchored(r"(?P<pod>(?P<service>[a-z]+)-\w+)_metric\.csv").expect("a regex"),
            header: vec!["column".to_owned()],
            time: TimeColumn { column: "Time".to_owned(), notation: TimeNotation::UnixSeconds, shift_ms: 0 },
            cells: Vec::new(),
            labels: vec![("pod".to_owned(), template("$pod")), ("service".to_owned(), template("$service"))],
            columns,
        }
    }

    #[track_caller]
    fn check(mapping: &FileMapping, text: &str, expected: &[&str]) {
        let mut store = Store::new();
        let got: Vec<String> = match read(mapping, "cart-x1_metric.csv", text, &mut store) {
            Ok(_) => {
                let samples =
                    |id| store.times(id).iter().zip(store.values(id)).map(|(at, value)| format!(" {value}@{at}")).collect::<String>();
                store.ids().map(|id| format!("{}{}", store.labels(id), samples(id))).collect()
            }
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn columns_become_series_with_labels_from_the_file_name() {
        let mapping = mapping(vec![column(r"Cpu\(%\)", "cpu_ratio", "percent"), column("Mem", "mem_bytes", "mebibytes")]);
        check(
            &mapping,
            "Time,Cpu(%),Mem,Other\n60,12.5,2,x\n120,100,,y\n180.5,NaN,3,z\n",
            &[
                "cpu_ratio{pod=\"cart-x1\", service=\"cart\"} 0.125@60000 1@120000",
                "mem_bytes{pod=\"cart-x1\", service=\"cart\"} 2097152@60000 3145728@180500",
            ],
        );
    }

    #[test]
    fn labels_come_from_headers_from_cells_and_from_several_header_rows() {
        let mut edges = mapping(vec![column(r"(?P<caller>\w+)_(?P<callee>\w+)", "call_seconds", "seconds")]);
        edges.columns[0].labels = vec![("to".to_owned(), template("$callee")), ("of".to_owned(), template("${caller}/$host"))];
        edges.cells = vec![("host".to_owned(), "Host".to_owned())];
        edges.labels.clear();
        check(
            &edges,
            "Time,a_b,Host\n1,5,h1\n2,6,h2\n",
            &["call_seconds{of=\"a/h1\", to=\"b\"} 5@1000", "call_seconds{of=\"a/h2\", to=\"b\"} 6@2000"],
        );
        let mut rows = mapping(vec![column(".*", "${metric}_seconds", "seconds")]);
        rows.columns[0].choose = vec![(1, anchored("latency").expect("a regex"))];
        rows.columns[0].labels = vec![("quantile".to_owned(), template("0.$statistic"))];
        rows.header = ["node", "metric", "statistic", "index"].map(str::to_owned).to_vec();
        rows.labels = vec![("node".to_owned(), template("$node"))];
        check(
            &rows,
            "n,x,y\nm,latency,requests\ns,95,Sum\nTime,,\n300.0,0.5,7\n",
            &["latency_seconds{node=\"x\", quantile=\"0.95\"} 0.5@300000"],
        );
    }

    #[test]
    fn counters_grow_from_increments_and_from_rates() {
        let mut mapping = mapping(vec![column("Sum", "a_total", "count"), column("Rate", "b_total", "per_second")]);
        mapping.columns[0].kind = Kind::Increments;
        mapping.columns[1].kind = Kind::Rate;
        mapping.labels.clear();
        check(
            &mapping,
            "Time,Sum,Rate\n60,3,9\n120,4,0.5\n180,,\n200,1,2\n",
            &["a_total 3@60000 7@120000 8@200000", "b_total 0@60000 30@120000 70@200000"],
        );
        check(&mapping, "Time,Sum,Rate\n60,-3,9\n", &["line 2: column `Sum`: `-3` would make a counter fall"]);
    }

    #[test]
    fn a_series_that_is_gone_is_marked() {
        let mut mapping = mapping(vec![column("A", "a", "count")]);
        mapping.columns[0].missing = Missing::Gone;
        let mut store = Store::new();
        read(&mapping, "x", "Time,A\n1,5\n2,NaN\n", &mut store).expect("a table");
        let id = store.ids().next().expect("a series");
        assert!(crate::store::is_stale(store.values(id)[1]));
    }

    #[track_caller]
    fn check_time(notation: TimeNotation, text: &str, expected: Option<i64>) {
        assert_eq!(time_ms(notation, text), expected, "{text}");
    }

    #[test]
    fn times_are_read_in_each_notation() {
        check_time(TimeNotation::Go, "2022-08-22 03:51:19.573905004 +0000 UTC m=+0.079858984", Some(1_661_140_279_573));
        check_time(TimeNotation::Go, "2022-08-22 05:51:19.5 +0200 CEST", Some(1_661_140_279_500));
        check_time(TimeNotation::Go, "2022-08-22 03:51:19", None);
        check_time(TimeNotation::Rfc3339, "2022-08-22T03:51:19Z", Some(1_661_140_279_000));
        check_time(TimeNotation::UnixSeconds, "1681849920.0", Some(1_681_849_920_000));
        check_time(TimeNotation::UnixSeconds, "inf", None);
        check_time(TimeNotation::UnixMillis, "1681849920123", Some(1_681_849_920_123));
    }

    #[test]
    fn wrong_tables_are_refused_with_their_line() {
        let mapping = mapping(vec![column("A|B", "a", "count")]);
        check(&mapping, "", &["line 1: the file has no header, or only part of it"]);
        check(&mapping, "Time,A\n", &["line 1: no row follows the header"]);
        check(&mapping, "A,C\n1,2\n", &["line 1: there is no column `Time`"]);
        check(&mapping, "Time,C\n1,2\n", &["line 1: the mapping chooses none of its columns"]);
        check(
            &mapping,
            "Time,A,B\n1,2,3\n",
            &["line 1: the columns `A` and `B` both make the series a{pod=\"cart-x1\", service=\"cart\"}"],
        );
        check(
            &mapping,
            "Time,A\n1,2\n2\nsoon,2\n2,many\n3,inf\n3,1\n1,1\n4,1",
            &[
                "line 3: 1 cells, and the header has 2: the file was cut off, or a comma is not in quotes",
                "line 4: `soon` in column `Time` is not a time",
                "line 5: column `A`: `many` is not a number",
                "line 6: column `A`: `inf` is not finite",
                "line 7: the time `3` is not later than that of the row before: the clock jumped",
                "line 8: the time `1` is not later than that of the row before: the clock jumped",
            ],
        );
    }

    #[test]
    fn times_in_another_unit_are_refused_with_the_likely_one() {
        let seconds = mapping(vec![column("A", "a", "count")]);
        let told = "is no time of these centuries: it is read as seconds";
        check(
            &seconds,
            "Time,A\n1767603600000,2\n",
            &[&format!("line 2: `1767603600000` in column `Time` {told}, and looks like `unix_milliseconds`")],
        );
        check(&seconds, "Time,A\n1767603600000000,2\n", &[&format!("line 2: `1767603600000000` in column `Time` {told}")]);
    }

    #[test]
    fn templates_name_their_variables() {
        let parsed = template("a$b_${c}d$$");
        assert_eq!(parsed.variables().collect::<Vec<_>>(), ["b_", "c"]);
        assert!(Template::parse("a$").is_err() && Template::parse("${a").is_err() && Template::parse("$-").is_err());
    }

    proptest! {
        #[test]
        fn no_table_makes_the_reader_panic(text in "(Time,A\n)?[0-9a-z,\".\n-]{0,60}") {
            let mapping = mapping(vec![column("A", "a", "count")]);
            let _ = read(&mapping, "x", &text, &mut Store::new());
        }
    }
}
