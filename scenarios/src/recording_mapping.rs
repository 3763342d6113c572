//! Mapping files: how the wide CSV files of an export become series; and the mappings that come with firedrill.

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Problem, near_miss};
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::csv::{
    ColumnMapping, FileMapping, Kind, Mapping, Missing, Pattern, Template, TimeColumn, TimeNotation, Unit, exactly,
};
use firedrill_telemetry::labels::{anchored, is_label_name};

/// A mapping that comes with firedrill, as its file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name by which incidents call it, also the name of its file.
    pub name: &'static str,
    /// Where the file lies in the project.
    pub path: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// The mappings that come with firedrill, in order of name.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "nezha-online-boutique",
        path: "scenarios/library/mappings/nezha-online-boutique.yaml",
        text: include_str!("../library/mappings/nezha-online-boutique.yaml"),
    },
    Entry { name: "petshop", path: "scenarios/library/mappings/petshop.yaml", text: include_str!("../library/mappings/petshop.yaml") },
];

/// The path and the text of a mapping that comes with firedrill.
#[must_use]
pub fn get(name: &str) -> Option<(&'static str, &'static str)> {
    ENTRIES.iter().find(|entry| entry.name == name).map(|entry| (entry.path, entry.text))
}

/// A mapping as its file says it.
#[derive(Clone, Debug)]
pub struct WrittenMapping {
    /// How files are read.
    pub mapping: Mapping,
    /// The columns that each entry of `files` calls by name, in the same order.
    pub named: Vec<Vec<NamedColumn>>,
}

/// A column that a mapping calls by a name in one of its header rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedColumn {
    /// The header row, counting from 0.
    pub row: usize,
    /// The header cell.
    pub name: Located<Name>,
}

/// Reads a mapping file. `path` is only for messages.
///
/// # Errors
/// Every problem of the file at once, in its order.
pub fn read_mapping(path: &str, text: &str) -> Result<WrittenMapping, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let files = read_files(&mut reader, &node);
    reader.finish()?;
    let (files, named) = files.unwrap_or_default().into_iter().unzip();
    Ok(WrittenMapping { mapping: Mapping { files }, named })
}

const TIMES: [(&str, TimeNotation); 4] = [
    ("unix_seconds", TimeNotation::UnixSeconds),
    ("unix_milliseconds", TimeNotation::UnixMillis),
    ("rfc3339", TimeNotation::Rfc3339),
    ("go", TimeNotation::Go),
];

const KINDS: [(&str, Kind); 4] = [("gauge", Kind::Level), ("counter", Kind::Level), ("increments", Kind::Increments), ("rate", Kind::Rate)];

const MISSING: [(&str, Missing); 2] = [("unknown", Missing::Unknown), ("gone", Missing::Gone)];

/// The header row of a file that has one and does not name it.
const ONLY_HEADER: &str = "column";

fn read_files(reader: &mut Reader, node: &Node) -> Option<Vec<(FileMapping, Vec<NamedColumn>)>> {
    let mut fields = reader.fields(node, "a mapping")?;
    reader.schema(&mut fields, "mapping", 1);
    if let Some(node) = fields.required(reader, "mapping") {
        reader.name(node, "the name of a mapping");
    }
    if let Some(node) = fields.optional("description") {
        reader.text(node, "a description");
    }
    let list = fields.required(reader, "files").and_then(|node| reader.list(node, "files"));
    fields.finish(reader);
    Some(list?.iter().filter_map(|node| read_file(reader, node)).collect())
}

fn read_file(reader: &mut Reader, node: &Node) -> Option<(FileMapping, Vec<NamedColumn>)> {
    let mut fields = reader.fields(node, "an entry of `files`")?;
    let file = fields.required(reader, "file").and_then(|node| pattern(reader, node));
    let header = match fields.optional("header") {
        Some(node) => names_of_rows(reader, node),
        None => vec![ONLY_HEADER.to_owned()],
    };
    let time = fields.required(reader, "time").and_then(|node| read_time(reader, node));
    let cells = pairs(reader, &mut fields, "cells");
    let mut known: Vec<String> = header.clone();
    known.extend(cells.iter().map(|(name, _)| name.to_string()));
    known.extend(file.iter().flat_map(groups));
    let labels = read_labels(reader, &mut fields, &known);
    let columns = fields.required(reader, "columns").and_then(|node| reader.list(node, "columns"));
    let mut named = Vec::new();
    let columns: Option<Vec<ColumnMapping>> =
        columns.map(|nodes| nodes.iter().filter_map(|node| read_column(reader, node, (&header, &mut named), &known)).collect());
    fields.finish(reader);
    let cells = cells.into_iter().map(|(name, column)| (name.to_string(), column.to_string())).collect();
    Some((FileMapping { file: file?, header, time: time?, cells, labels, columns: columns? }, named))
}

fn names_of_rows(reader: &mut Reader, node: &Node) -> Vec<String> {
    let items = reader.list(node, "the names of the header rows").unwrap_or_default();
    let names: Vec<String> =
        items.iter().filter_map(|item| reader.name(item, "the name of a header row")).map(|name| name.to_string()).collect();
    if items.is_empty() {
        reader.problem(Problem::at("FD0520", &node.place, "a table without a header row cannot be mapped").remedy("name at least one row"));
    }
    names
}

fn read_time(reader: &mut Reader, node: &Node) -> Option<TimeColumn> {
    let mut fields = reader.fields(node, "`time`")?;
    let column = fields.required(reader, "column").and_then(|node| reader.text(node, "the time column"));
    let notation = fields.required(reader, "notation").and_then(|node| reader.one_of(node, "a notation of time", &TIMES));
    let shift = fields.optional("bucket").and_then(|node| reader.span(node, "the width of a bucket that is stamped with its start"));
    fields.finish(reader);
    let shift_ms = i64::try_from(shift.map_or(0, Span::as_millis)).ok()?;
    Some(TimeColumn { column: column?.to_string(), notation: notation?, shift_ms })
}

fn read_column(
    reader: &mut Reader,
    node: &Node,
    (header, named): (&[String], &mut Vec<NamedColumn>),
    known: &[String],
) -> Option<ColumnMapping> {
    let mut fields = reader.fields(node, "an entry of `columns`")?;
    let choose = read_choice(reader, &mut fields, (header, named));
    let mut known = known.to_vec();
    known.extend(choose.iter().flat_map(|(_, regex)| groups(regex)));
    let metric = fields.required(reader, "metric").and_then(|node| template(reader, node, &known));
    let labels = read_labels(reader, &mut fields, &known);
    let unit = fields.optional("unit").map_or(Some(Unit::BASE), |node| reader.one_of(node, "a unit", &Unit::WORDS));
    let per = fields.optional("per").and_then(|node| reader.span(node, "the time that the cell counts over"));
    let kind = fields.optional("kind").map_or(Some(Kind::Level), |node| reader.one_of(node, "a kind of value", &KINDS));
    let missing = fields.optional("missing").map_or(Some(Missing::Unknown), |node| reader.one_of(node, "what no value means", &MISSING));
    fields.finish(reader);
    let unit = match per.filter(|per| *per > Span::ZERO) {
        Some(per) => unit?.per_seconds(per.as_seconds()),
        None => unit?,
    };
    Some(ColumnMapping { choose, metric: metric?, labels, unit, kind: kind?, missing: missing? })
}

/// `column: TEXT`, `like: PATTERN`, or `where: { HEADER-ROW: TEXT }`.
fn read_choice(reader: &mut Reader, fields: &mut Fields<'_>, (header, named): (&[String], &mut Vec<NamedColumn>)) -> Vec<(usize, Pattern)> {
    let mut choose = Vec::new();
    let last = header.len().saturating_sub(1);
    let mut called = |row: usize, node: &Node, text: &Name| {
        named.push(NamedColumn { row, name: Located { place: node.place.clone(), value: text.clone() } });
        (row, exactly(text))
    };
    if let Some(node) = fields.optional("column") {
        choose.extend(reader.text(node, "a column").map(|text| called(last, node, text)));
    }
    if let Some(node) = fields.optional("like") {
        choose.extend(pattern(reader, node).map(|regex| (last, regex)));
    }
    if let Some(node) = fields.optional("where") {
        let entries = reader.fields(node, "`where`").map_or(&[][..], |fields| fields.entries());
        for (key, value) in entries {
            match header.iter().position(|row| **row == *key.text) {
                Some(row) => choose.extend(reader.text(value, "a header cell").map(|text| called(row, value, text))),
                None => {
                    let rows: Vec<&str> = header.iter().map(String::as_str).collect();
                    let remedy = near_miss(&key.text, &rows)
                        .map_or(format!("the header rows are {}", rows.join(", ")), |near| format!("did you mean `{near}`?"));
                    reader.problem(Problem::at("FD0521", &key.place, format!("no header row is called `{}`", key.text)).remedy(remedy));
                }
            }
        }
    }
    if choose.is_empty() {
        reader.problem(
            Problem::at("FD0522", fields.place(), "this entry chooses no column")
                .remedy("add `column: NAME`, `like: PATTERN`, or `where: { HEADER-ROW: TEXT }`"),
        );
    }
    choose
}

fn pattern(reader: &mut Reader, node: &Node) -> Option<Pattern> {
    let text = reader.text(node, "a pattern")?;
    match anchored(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            reader.problem(
                Problem::at("FD0523", &node.place, error.to_string()).remedy("groups are written `(?P<name>…)`; quote the pattern"),
            );
            None
        }
    }
}

fn groups(regex: &Pattern) -> Vec<String> {
    regex.capture_names().flatten().map(str::to_owned).collect()
}

fn pairs(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<(Name, Name)> {
    let Some(node) = fields.optional(key) else { return Vec::new() };
    let entries = reader.fields(node, key).map_or(&[][..], |fields| fields.entries());
    entries.iter().filter_map(|(key, value)| Some((key.text.clone(), reader.text(value, "a column")?.clone()))).collect()
}

fn read_labels(reader: &mut Reader, fields: &mut Fields<'_>, known: &[String]) -> Vec<(String, Template)> {
    let Some(node) = fields.optional("labels") else { return Vec::new() };
    let entries = reader.fields(node, "labels").map_or(&[][..], |fields| fields.entries());
    let mut labels = Vec::new();
    for (key, value) in entries {
        if !is_label_name(&key.text) || key.text.starts_with("__") {
            let problem = Problem::at("FD0524", &key.place, format!("`{}` is not the name of a label", key.text));
            reader.problem(problem.remedy("use letters, digits and _, and no digit first"));
        }
        labels.extend(template(reader, value, known).map(|template| (key.text.to_string(), template)));
    }
    labels
}

fn template(reader: &mut Reader, node: &Node, known: &[String]) -> Option<Template> {
    // `quantile: 0.95` is meant as the text that it is.
    let text = match &node.value {
        Value::Integer(_) | Value::Float(_) => node.place.file().text[node.place.range()].to_owned(),
        _ => reader.text(node, "a text with $variables")?.to_string(),
    };
    let parsed = match Template::parse(&text) {
        Ok(parsed) => parsed,
        Err(reason) => {
            reader.problem(Problem::at("FD0525", &node.place, reason));
            return None;
        }
    };
    for variable in parsed.variables() {
        if !known.iter().any(|name| name == variable) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let remedy = match near_miss(variable, &known) {
                Some(near) => format!("did you mean `${near}`?"),
                None => format!("known are {}", known.iter().map(|name| format!("`${name}`")).collect::<Vec<_>>().join(", ")),
            };
            reader.problem(Problem::at("FD0526", &node.place, format!("nothing gives `${variable}` a value")).remedy(remedy));
        }
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let problems = read_mapping("m.yaml", text).err().unwrap_or_default();
        let told: Vec<String> = problems
            .iter()
            .map(|p| {
                format!(
                    "{} {}{}",
                    p.place.as_ref().map_or(0, |place| place.line()),
                    p.message,
                    p.remedy.as_ref().map_or(String::new(), |r| format!(" | {r}"))
                )
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_mappings_of_the_library_are_sound_and_complete() {
        for entry in ENTRIES {
            assert!(read_mapping(entry.path, entry.text).is_ok(), "{}: {:?}", entry.path, read_mapping(entry.path, entry.text).err());
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/library/mappings");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ENTRIES.iter().map(|entry| format!("{}.yaml", entry.name)).collect::<Vec<_>>());
    }

    #[test]
    fn every_problem_of_a_mapping_is_told_at_once() {
        check(
            "schema: mapping/1\nmapping: m\nfiles:\n  - file: '(?P<pod>a'\n    time: { column: Time, notation: unix }\n    labels: { pod: $pdo }\n    columns:\n      - metric: a\n      - { column: A, metric: b, unit: percents, kind: gauge }\n      - { where: { colum: A }, metric: $x, labels: { 1a: $column } }\n",
            &[
                "4 the regular expression `(?P<pod>a` is wrong: unclosed group | groups are written `(?P<name>…)`; quote the pattern",
                "5 `unix` is not a notation of time | known are `unix_seconds`, `unix_milliseconds`, `rfc3339`, `go`",
                "6 nothing gives `$pdo` a value | known are `$column`",
                "8 this entry chooses no column | add `column: NAME`, `like: PATTERN`, or `where: { HEADER-ROW: TEXT }`",
                "9 `percents` is not a unit | did you mean `percent`?",
                "10 this entry chooses no column | add `column: NAME`, `like: PATTERN`, or `where: { HEADER-ROW: TEXT }`",
                "10 no header row is called `colum` | did you mean `column`?",
                "10 nothing gives `$x` a value | known are `$column`",
                "10 `1a` is not the name of a label | use letters, digits and _, and no digit first",
            ],
        );
    }
}
