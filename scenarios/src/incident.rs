//! A recorded incident: what happened, what people did, what right would have been, and the recording to replay.
//!
//! An incident is a folder with an `incident.yaml`. Its files are read by the caller, who hands in [`Files`]; nothing here touches a disk.

pub mod problem;
pub mod expect;
pub mod score;

use std::collections::BTreeSet;

use firedrill_core::action::Target;
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem};
use firedrill_core::time::Start;
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::csv;
use firedrill_telemetry::exposition::{self, Dialect, ExpositionError};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::Store;

use crate::recording_mapping::{self, NamedColumn, WrittenMapping};
use expect::{Expect, read_expect};
use score::LabelledFault;

/// The files of an incident's folder; paths are relative to it, with `/` between their parts, and may lead out of it by `..`.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read, a lowercase fragment: `no such file`, `not UTF-8 text`.
    fn read(&self, path: &str) -> Result<String, String>;

    /// The paths of all files below a folder, relative to that folder, in any order.
    ///
    /// # Errors
    /// Why it cannot be listed, a lowercase fragment.
    fn list(&self, folder: &str) -> Result<Vec<String>, String>;
}

/// The name of the file that describes an incident.
pub const FILE_NAME: &str = "incident.yaml";

/// An incident that was read and checked.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its name.
    pub name: Name,
    /// What happened, for people.
    pub what: String,
    /// Whether faults were injected on purpose: then it is a recorded drill, and reports say so.
    pub injected: bool,
    /// When it began; for a long recording with labelled faults, when the first of them did.
    pub onset: Start,
    /// When it was over; `None` if nobody said.
    pub end: Option<Start>,
    /// What caused it; `None` if unknown.
    pub cause: Option<String>,
    /// Where the cause lay; `None` if unknown.
    pub target: Option<Target>,
    /// What is declared to exist. Empty if nothing is, and then guards that count shares refuse.
    pub inventory: Inventory,
    /// What people did, in the order of the file.
    pub people: Vec<HumanDeed>,
    /// Where its samples are.
    pub recording: RecordingSource,
    /// The alerts that its Prometheus recorded, in our own format of recordings: `ALERTS` and `ALERTS_FOR_STATE`; `None`: nobody knows.
    pub alerts: Option<FileSource>,
    /// What a watcher was told, by which the policies that watched decide the same again; `None`: nobody watched.
    pub watched: Option<FileSource>,
    /// Rule files, relative to the folder or names from the library; empty: the project's.
    pub rules: Vec<Located<Name>>,
    /// The Alertmanager configuration that routed its alerts, relative to the folder; `None`: the project's.
    pub alertmanager: Option<Located<Name>>,
    /// The file of silences that were set, relative to the folder; `None`: the project's.
    pub silences: Option<Located<Name>>,
    /// Policy files, likewise.
    pub policies: Vec<Located<Name>>,
    /// Faults that someone labelled, in order of time.
    pub faults: Vec<LabelledFault>,
    /// What right would have been; without it a replay can report changes and never pass.
    pub expect: Option<Expect>,
}

/// Something that a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HumanDeed {
    /// When.
    pub at: Start,
    /// What, in words.
    pub what: String,
}

impl Incident {
    /// What it was recorded in: paths from its folder on, and where it names them.
    pub fn evidence(&self) -> impl Iterator<Item = (&str, &Place)> {
        let RecordingSource { format, path, place } = &self.recording;
        let mapping = if let RecordingFormat::Csv { mapping, .. } = format { Some((mapping.as_str(), place)) } else { None };
        let beside = self.alerts.iter().chain(&self.watched).map(|file| (file.path.as_str(), &file.place));
        std::iter::once((path.as_str(), place)).chain(mapping).chain(beside)
    }
}

/// Where the samples are, and in which format.
#[derive(Clone, Debug)]
pub struct RecordingSource {
    /// Which format.
    pub format: RecordingFormat,
    /// The file; for CSV the folder whose files are read.
    pub path: String,
    /// Where the incident names it.
    pub place: Place,
}

/// A file beside the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// The file, relative to the folder.
    pub path: String,
    /// Where the incident names it.
    pub place: Place,
}

/// The format of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingFormat {
    /// Our own, exact to the bit.
    Firedrill,
    /// OpenMetrics text with times in seconds.
    OpenMetrics,
    /// Classic Prometheus text with times in milliseconds.
    Prometheus,
    /// Wide CSV files, read by this mapping: a file of the folder, or a name from the library.
    Csv {
        /// The mapping.
        mapping: String,
    },
}

/// Reads an incident. `path` is what messages call its `incident.yaml`.
///
/// # Errors
/// Every problem of the file at once, in its order. The recording is not read yet: see [`read_recording`].
pub fn read_incident(path: &str, files: &dyn Files) -> Result<Incident, Vec<Problem>> {
    let text = files.read(FILE_NAME).map_err(|reason| vec![problem::no_incident(path, &reason)])?;
    let node = yaml::parse(path, &text)?;
    let mut reader = Reader::new();
    let incident = read_document(&mut reader, &node, files);
    reader.finish()?;
    Ok(incident.expect("an incident without problems is whole"))
}

/// Reads the recording of an incident.
///
/// # Errors
/// The recording or its mapping cannot be read, is damaged, or is empty.
pub fn read_recording(incident: &Incident, files: &dyn Files) -> Result<Recording, Vec<Problem>> {
    let source = &incident.recording;
    let shown = beside(&source.place.file().path, &source.path);
    let text = || files.read(&source.path).map_err(|reason| vec![problem::unreadable(&source.place, &source.path, &reason)]);
    let recording = match &source.format {
        RecordingFormat::Firedrill => {
            Recording::parse(&text()?).map_err(|error| vec![problem::recording(&shown, &error.to_string(), RECORD_ANEW)])?
        }
        RecordingFormat::OpenMetrics => imported(source, read_text(&shown, &text()?, Dialect::OpenMetrics)?)?,
        RecordingFormat::Prometheus => imported(source, read_text(&shown, &text()?, Dialect::Prometheus)?)?,
        RecordingFormat::Csv { mapping } => imported(source, read_tables(source, mapping, files)?)?,
    };
    if recording.store.ids().all(|id| recording.store.times(id).is_empty()) {
        return Err(vec![problem::empty_recording(&source.place)]);
    }
    lies_within(incident, &recording)?;
    Ok(recording)
}

/// Reads the alerts that were recorded beside an incident; `None` if it names none.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub fn read_alerts(incident: &Incident, files: &dyn Files) -> Result<Option<Store>, Vec<Problem>> {
    let Some(source) = &incident.alerts else { return Ok(None) };
    let shown = beside(&source.place.file().path, &source.path);
    let text = files.read(&source.path).map_err(|reason| vec![problem::unreadable(&source.place, &source.path, &reason)])?;
    let recording = Recording::parse(&text).map_err(|error| vec![problem::recording(&shown, &error.to_string(), IMPORT_ANEW)])?;
    Ok(Some(recording.store))
}

/// Reads what a watcher was told, as text with the path that messages call it by; `None` if nobody watched.
///
/// # Errors
/// The file cannot be read.
pub fn read_watched(incident: &Incident, files: &dyn Files) -> Result<Option<(String, String)>, Vec<Problem>> {
    let Some(source) = &incident.watched else { return Ok(None) };
    let text = files.read(&source.path).map_err(|reason| vec![problem::unreadable(&source.place, &source.path, &reason)])?;
    Ok(Some((beside(&source.place.file().path, &source.path), text)))
}

/// What is seen goes on after the last sample for so long: PromQL's lookback.
const SEEN_AFTER_LAST_MS: i64 = 300_000;

/// An incident that lies elsewhere than its recording would be replayed to nothing, and pass.
fn lies_within(incident: &Incident, recording: &Recording) -> Result<(), Vec<Problem>> {
    let seen = recording.start.unix_millis()..=recording.end_ms.saturating_add(SEEN_AFTER_LAST_MS);
    let instants = [Some(incident.onset), incident.end];
    if instants.into_iter().flatten().all(|instant| seen.contains(&instant.unix_millis())) {
        return Ok(());
    }
    let lasts = match incident.end {
        Some(end) => format!("the incident lasts from {} to {end}", incident.onset),
        None => format!("the incident begins at {}", incident.onset),
    };
    let recorded = format!("{} to {}", recording.start, Start::from_unix_millis(recording.end_ms));
    Err(vec![problem::elsewhere(&incident.recording.place, &lasts, &recorded)])
}

/// The path of a file as messages show it: beside the file that names it.
fn beside(path: &str, file: &str) -> String {
    path.rsplit_once('/').map_or_else(|| file.to_owned(), |(folder, _)| format!("{folder}/{file}"))
}

/// Nobody mends our own format by hand.
const RECORD_ANEW: &str = "copy the file anew, or record the run again with `firedrill run --record`";

/// Nor what was imported into it.
const IMPORT_ANEW: &str = "copy the file anew, or import it again with `firedrill import prometheus`";

/// What helps when a table is wrong.
const CORRECT_TABLE: &str = "correct the file, or the mapping that says how it is read";

/// What helps when a text of samples is wrong.
const fn dialect_remedy(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenMetrics => {
            "a line is `NAME{LABEL=\"VALUE\"} VALUE SECONDS`, and the last is `# EOF`: export it anew, or mend the line"
        }
        Dialect::Prometheus => "a line is `NAME{LABEL=\"VALUE\"} VALUE MILLISECONDS`: export it anew, or mend the line",
    }
}

fn read_text(shown: &str, text: &str, dialect: Dialect) -> Result<Store, Vec<Problem>> {
    let mut store = Store::new();
    match exposition::read(text, dialect, &mut store) {
        Ok(_) => Ok(store),
        Err(errors) => {
            let remedy = |error: &ExpositionError| error.remedy.clone().unwrap_or_else(|| dialect_remedy(dialect).to_owned());
            Err(errors.iter().map(|error| problem::recording(shown, &error.to_string(), &remedy(error))).collect())
        }
    }
}

fn read_tables(source: &RecordingSource, mapping: &str, files: &dyn Files) -> Result<Store, Vec<Problem>> {
    let written = find_mapping(source, mapping, files)?;
    let mut paths = files.list(&source.path).map_err(|reason| vec![problem::unreadable(&source.place, &source.path, &reason)])?;
    paths.sort();
    let mut store = Store::new();
    let mut problems = Vec::new();
    let mut headers = vec![Headers::default(); written.named.len()];
    for path in &paths {
        let Some(entry) = written.mapping.entry_of(path) else { continue };
        headers[entry].files += 1;
        let whole = if source.path == "." { path.clone() } else { format!("{}/{path}", source.path) };
        let shown = beside(&source.place.file().path, &whole);
        match files.read(&whole) {
            Err(reason) => problems.push(problem::unreadable(&source.place, &whole, &reason)),
            Ok(text) => {
                let file = &written.mapping.files[entry];
                let errors = csv::read(file, path, &text, &mut store).err().unwrap_or_default();
                problems.extend(errors.iter().map(|error| problem::recording(&shown, &error.to_string(), CORRECT_TABLE)));
                headers[entry].add(file, &text);
            }
        }
    }
    if headers.iter().all(|headers| headers.files == 0) {
        problems.push(problem::nothing_mapped(&source.place, &source.path, paths.len()));
    }
    // What is wrong with the mapping is told first: the rest may follow from it.
    problems.splice(..0, written.named.iter().zip(&headers).flat_map(|(named, headers)| headers.absent(named)));
    if problems.is_empty() { Ok(store) } else { Err(problems) }
}

/// What the columns are called of the files that an entry of a mapping reads.
#[derive(Clone, Debug, Default)]
struct Headers {
    files: usize,
    /// For each header row, the cells of all files.
    rows: Vec<BTreeSet<String>>,
}

impl Headers {
    /// Takes in a file; one whose header is not whole says nothing of columns.
    fn add(&mut self, mapping: &csv::FileMapping, text: &str) {
        if csv::header_cells(text, mapping.header.len().saturating_sub(1)).is_empty() {
            return;
        }
        self.rows.resize(mapping.header.len(), BTreeSet::new());
        self.rows.iter_mut().enumerate().for_each(|(row, cells)| cells.extend(csv::header_cells(text, row)));
    }

    /// The problems of columns that are named and in none of the files.
    fn absent(&self, named: &[NamedColumn]) -> Vec<Problem> {
        let problem = |column: &NamedColumn| {
            let cells = self.rows.get(column.row)?;
            let known: Vec<&str> = cells.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
            let name = &column.name;
            (!cells.contains(name.value.trim())).then(|| problem::absent_column(&name.place, &name.value, &known))
        };
        named.iter().filter_map(problem).collect()
    }
}

fn find_mapping(source: &RecordingSource, name: &str, files: &dyn Files) -> Result<WrittenMapping, Vec<Problem>> {
    if let Ok(text) = files.read(name) {
        return recording_mapping::read_mapping(&beside(&source.place.file().path, name), &text);
    }
    match recording_mapping::get(name) {
        Some((path, text)) => recording_mapping::read_mapping(path, text),
        None => {
            let known: Vec<&str> = recording_mapping::ENTRIES.iter().map(|entry| entry.name).collect();
            Err(vec![problem::unknown_mapping(&source.place, name, &known)])
        }
    }
}

/// A recording of foreign samples: it begins with the first and ends with the last.
fn imported(source: &RecordingSource, store: Store) -> Result<Recording, Vec<Problem>> {
    let first = store.ids().filter_map(|id| store.times(id).first().copied()).min();
    let last = store.ids().filter_map(|id| store.times(id).last().copied()).max();
    match (first, last) {
        (Some(first), Some(last)) => {
            Ok(Recording { start: Start::from_unix_millis(first), end_ms: last, source: format!("imported from {}", source.path), store })
        }
        _ => Err(vec![problem::empty_recording(&source.place)]),
    }
}

fn read_document(reader: &mut Reader, node: &Node, files: &dyn Files) -> Option<Incident> {
    let mut fields = reader.fields(node, "an incident")?;
    reader.schema(&mut fields, "incident", 1);
    let name = fields.required(reader, "incident").and_then(|node| reader.name(node, "the name of an incident"));
    let what = fields.required(reader, "what").and_then(|node| reader.text(node, "what happened")).map(|text| text.trim().to_owned());
    let injected = fields.optional("injected").and_then(|node| reader.boolean(node, "`injected`"));
    let onset = fields.optional("onset").and_then(|node| instant(reader, node));
    let end = fields.optional("end").and_then(|node| Some((instant(reader, node)?, &node.place)));
    let cause = fields.required(reader, "cause").and_then(|node| reader.text(node, "the cause")).map(|text| text.trim().to_owned());
    let inventory = fields.optional("services").map(|node| read_inventory(reader, node)).unwrap_or_default();
    let at = fields.required(reader, "target").and_then(|node| known_target(reader, node, &inventory));
    let people = fields.optional("people").map(|node| read_people(reader, node));
    let recording = fields.required(reader, "recording").and_then(|node| read_source(reader, node));
    let alerts = fields.optional("alerts").and_then(|node| file(reader, node, "the path of recorded alerts"));
    let watched = fields.optional("watched").and_then(|node| file(reader, node, "the path of what was watched"));
    let rules = names(reader, &mut fields, "rules");
    let alertmanager = fields.optional("alertmanager").and_then(|node| located(reader, node, "the path of an `alertmanager.yml`"));
    let silences = fields.optional("silences").and_then(|node| located(reader, node, "the path of a file of silences"));
    let policies = names(reader, &mut fields, "policies");
    let faults = fields.optional("faults").map(|node| score::read_faults(reader, node, files, &inventory)).unwrap_or_default();
    let onset = onset.or_else(|| faults.first().map(|fault| fault.at));
    let expect = fields.optional("expect").and_then(|node| read_expect(reader, node, &inventory));
    if onset.is_none() && !fields.has("onset") && !fields.has("faults") {
        reader.problem(problem::no_onset(fields.place()));
    }
    if let (Some(onset), Some((end, place))) = (onset, end)
        && end < onset
    {
        reader.problem(problem::backwards(place, "the incident", &onset.to_string()));
    }
    fields.finish(reader);
    Some(Incident {
        name: name?,
        what: what?,
        injected: injected.unwrap_or(false),
        onset: onset?,
        end: end.map(|(end, _)| end),
        cause: cause.filter(|cause| cause != UNKNOWN),
        target: at?,
        inventory,
        people: people.unwrap_or_default(),
        recording: recording?,
        alerts,
        watched,
        rules,
        alertmanager,
        silences,
        policies,
        faults,
        expect,
    })
}

/// What people write where they do not know.
const UNKNOWN: &str = "unknown";

/// A calendar instant.
pub(crate) fn instant(reader: &mut Reader, node: &Node) -> Option<Start> {
    let text = reader.text(node, "a time such as `2026-01-05T09:30:00Z`")?;
    Start::parse(text).map_err(|reason| reader.problem(problem::instant(&node.place, reason))).ok()
}

/// A target that can be in an incident of these services.
pub(crate) fn target(reader: &mut Reader, node: &Node, inventory: &Inventory) -> Option<Target> {
    let text = reader.text(node, "a target such as `service/api`")?;
    let services: Vec<&str> = inventory.services.keys().map(Name::as_str).collect();
    let target = text.parse().map_err(|reason| reader.problem(problem::target(&node.place, text, reason, &services))).ok()?;
    if let Some(problem) = undeclared(&node.place, &target, inventory) {
        reader.problem(problem);
        return None;
    }
    Some(target)
}

/// What is wrong with a target beside what is declared; nothing if nothing of its kind is. Who calls is not declared, so clients may be any;
/// and replicas have their own names in many systems, so that a service must only be what theirs begin with.
fn undeclared(place: &Place, target: &Target, inventory: &Inventory) -> Option<Problem> {
    let services: Vec<&str> = inventory.services.keys().map(Name::as_str).collect();
    let (kind, known, is_known) = match target {
        Target::Service(name) => ("service", services.clone(), services.contains(&name.as_str())),
        Target::Replica(name) => {
            let belongs = |service: &&str| name.strip_prefix(*service).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            ("service with a replica", services.clone(), services.iter().any(belongs))
        }
        Target::Zone(name) => {
            let zones: BTreeSet<&str> = inventory.services.values().flat_map(|service| service.zones.iter().map(Name::as_str)).collect();
            ("zone", zones.iter().copied().collect(), zones.contains(name.as_str()))
        }
        Target::Node(name) => {
            let nodes: Vec<&str> = inventory.nodes.keys().map(Name::as_str).collect();
            ("node", nodes, inventory.nodes.contains_key(name))
        }
        Target::Client(_) => return None,
    };
    (!known.is_empty() && !is_known).then(|| problem::undeclared(place, kind, target.name(), &known))
}

fn known_target(reader: &mut Reader, node: &Node, inventory: &Inventory) -> Option<Option<Target>> {
    match &node.value {
        Value::Text(text) if **text == *UNKNOWN => Some(None),
        _ => target(reader, node, inventory).map(Some),
    }
}

fn file(reader: &mut Reader, node: &Node, what: &str) -> Option<FileSource> {
    let path = reader.text(node, what)?.to_string();
    Some(FileSource { path, place: node.place.clone() })
}

fn names(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Located<Name>> {
    let Some(node) = fields.optional(key) else { return Vec::new() };
    let items = reader.list(node, key).unwrap_or_default();
    items.iter().filter_map(|item| located(reader, item, "a path or a name")).collect()
}

fn located(reader: &mut Reader, node: &Node, what: &str) -> Option<Located<Name>> {
    Some(Located { place: node.place.clone(), value: reader.text(node, what)?.clone() })
}

fn read_people(reader: &mut Reader, node: &Node) -> Vec<HumanDeed> {
    let items = reader.list(node, "what people did").unwrap_or_default();
    let read = |item: &Node| {
        let mut fields = reader.fields(item, "what a person did")?;
        let at = fields.required(reader, "at").and_then(|node| instant(reader, node));
        let what = fields.required(reader, "what").and_then(|node| reader.text(node, "what was done")).map(ToString::to_string);
        fields.finish(reader);
        Some(HumanDeed { at: at?, what: what? })
    };
    items.iter().filter_map(read).collect()
}

fn read_inventory(reader: &mut Reader, node: &Node) -> Inventory {
    let Some(services) = reader.fields(node, "services") else { return Inventory::default() };
    let mut inventory = Inventory::default();
    for (key, value) in services.entries() {
        let Some(mut fields) = reader.fields(value, "a service") else { continue };
        let replicas = fields.optional("replicas").and_then(|node| reader.integer(node, "replicas", 1..=100_000));
        let zones = names(reader, &mut fields, "zones").into_iter().map(|zone| zone.value).collect();
        let mut calls: Vec<Name> = names(reader, &mut fields, "calls").into_iter().map(|service| service.value).collect();
        calls.sort();
        calls.dedup();
        let critical = fields.optional("tier").and_then(|node| reader.one_of(node, "a tier", &[("critical", true), ("normal", false)]));
        fields.finish(reader);
        let replicas = replicas.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        inventory.services.insert(key.text.clone(), ServiceEntry { replicas, zones, critical: critical.unwrap_or(true), calls });
    }
    inventory
}

fn read_source(reader: &mut Reader, node: &Node) -> Option<RecordingSource> {
    let mut fields = reader.fields(node, "a recording")?;
    let mut sources = Vec::new();
    let plain = [
        ("firedrill", RecordingFormat::Firedrill),
        ("openmetrics", RecordingFormat::OpenMetrics),
        ("prometheus", RecordingFormat::Prometheus),
    ];
    for (key, format) in plain {
        let file = fields.optional(key).and_then(|node| Some((reader.text(node, "a file")?.to_string(), node.place.clone())));
        sources.extend(file.map(|(path, place)| RecordingSource { format, path, place }));
    }
    if let Some(node) = fields.optional("csv") {
        sources.extend(read_csv_source(reader, node));
    }
    if fields.entries().len() != 1 {
        reader.problem(problem::one_recording(fields.place()));
    }
    fields.finish(reader);
    sources.pop()
}

fn read_csv_source(reader: &mut Reader, node: &Node) -> Option<RecordingSource> {
    let mut fields = reader.fields(node, "`csv`")?;
    let mapping = fields.required(reader, "mapping").and_then(|node| reader.text(node, "a mapping")).map(ToString::to_string);
    let folder = fields.optional("folder").and_then(|node| Some((reader.text(node, "a folder")?.to_string(), node.place.clone())));
    let (path, place) = folder.unwrap_or_else(|| (".".to_owned(), fields.place().clone()));
    fields.finish(reader);
    let path = path.trim_end_matches('/').to_owned();
    Some(RecordingSource {
        format: RecordingFormat::Csv { mapping: mapping? },
        path: if path.is_empty() { ".".to_owned() } else { path },
        place,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use firedrill_core::time::Span;

    /// Files that exist only in a test.
    pub(crate) struct InMemory(pub BTreeMap<&'static str, String>);

    impl Files for InMemory {
        fn read(&self, path: &str) -> Result<String, String> {
            self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
        }

        fn list(&self, folder: &str) -> Result<Vec<String>, String> {
            let prefix = if folder == "." { String::new() } else { format!("{folder}/") };
            Ok(self.0.keys().filter_map(|path| path.strip_prefix(prefix.as_str())).map(str::to_owned).collect())
        }
    }

    const WHOLE: &str = "schema: incident/1
incident: checkout-2026-01
what: A cache was lost, and the database drowned.
onset: 2026-01-05T09:30:00Z
end: 2026-01-05T10:00:00Z
cause: unknown
target: unknown
services: { api: { replicas: 3, zones: [a, b], tier: normal, calls: [db] }, db: {} }
people:
  - { at: 2026-01-05T09:41:00Z, what: restarted the API }
recording: { openmetrics: metrics.txt }
rules: [rules.yaml]
policies: [restart]
expect:
  detect_within: 3m
  must: [{ action: restart, target: service/api, within: 10m }, { page: oncall, within: 15m }]
  must_not: [{ action: rollback }]
  quiet: [{ from: 2026-01-05T08:00:00Z, to: 2026-01-05T09:30:00Z }]
";

    /// The same, over after a minute.
    fn short() -> String {
        WHOLE.replace("2026-01-05T10:00:00Z", "2026-01-05T09:31:00Z")
    }

    fn folder(incident: &str, file: (&'static str, &str)) -> InMemory {
        InMemory(BTreeMap::from([(FILE_NAME, incident.to_owned()), (file.0, file.1.to_owned())]))
    }

    #[test]
    fn an_incident_says_what_happened_and_what_right_would_have_been() {
        let files = folder(&short(), ("metrics.txt", "up 1 1767605400\nup 0 1767605460.5\n# EOF\n"));
        let incident = read_incident("x/incident.yaml", &files).unwrap();
        assert_eq!((incident.cause.as_deref(), incident.target.as_ref(), incident.injected), (None, None, false));
        let api = ServiceEntry { replicas: 3, zones: vec!["a".into(), "b".into()], critical: false, calls: vec!["db".into()] };
        assert_eq!(incident.inventory.services["api"], api);
        assert!(incident.inventory.services["db"].critical);
        let expect = incident.expect.as_ref().unwrap();
        assert_eq!((expect.detect_within, expect.must.len(), expect.quiet.len()), (Some(Span::from_minutes(3)), 2, 1));
        let recording = read_recording(&incident, &files).unwrap();
        assert_eq!((recording.start.to_string().as_str(), recording.end_ms), ("2026-01-05T09:30:00Z", 1_767_605_460_500));
    }

    #[test]
    fn a_folder_of_tables_is_read_by_a_mapping_of_its_own() {
        let incident = short().replace("openmetrics: metrics.txt", "csv: { mapping: m.yaml, folder: data }");
        let mapping = "schema: mapping/1\nmapping: m\nfiles:\n  - { file: '(?P<pod>.+)\\.csv', time: { column: t, notation: rfc3339 }, columns: [{ column: v, metric: m, labels: { pod: $pod } }] }\n";
        let mut files = folder(&incident, ("m.yaml", mapping));
        files.0.insert("data/a.csv", "t,v\n2026-01-05T09:30:00Z,1\n".to_owned());
        files.0.insert("data/b.csv", "t,v\n2026-01-05T09:31:00Z,2\n".to_owned());
        files.0.insert("data/notes.txt", "nothing".to_owned());
        let read = read_incident("incident.yaml", &files).unwrap();
        let recording = read_recording(&read, &files).unwrap();
        let series: Vec<String> = recording.store.ids().map(|id| recording.store.labels(id).to_string()).collect();
        assert_eq!(series, ["m{pod=\"a\"}", "m{pod=\"b\"}"]);
    }

    #[track_caller]
    fn check(incident: &str, expected: &[&str]) {
        let problems = read_incident("incident.yaml", &folder(incident, ("metrics.txt", ""))).err().unwrap_or_default();
        assert_eq!(told(&problems), expected);
    }

    fn told(problems: &[Problem]) -> Vec<String> {
        let line = |problem: &Problem| problem.place.as_ref().map_or(0, firedrill_core::problem::Place::line);
        problems.iter().map(|problem| format!("{} {}", line(problem), problem.message)).collect()
    }

    #[test]
    fn every_problem_of_an_incident_is_told_at_once() {
        check(
            "schema: incident/1\nincident: a b\nonst: 2026-01-05T09:30:00Z\ncause: unknown\ntarget: pod/x\nrecording: { openmetrics: a, firedrill: b }\nexpect:\n  must: [{ within: 3m }, { page: x, action: restart }, { action: reboot }]\n  quiet: [{ from: 2026-01-05T09:30:00Z, to: 2026-01-05T09:00:00Z }]\n  within: 3m\n",
            &[
                "1 an incident has no `what`",
                "1 the incident does not say when it began",
                "2 `a b` is not the name of an incident",
                "3 an incident has no key `onst`",
                "5 `pod/x` is not a target such as `service/api`, `replica/api-1`, `zone/a`, `client/users` or `node/blue-0`",
                "6 `recording` names exactly one format",
                "8 this entry names neither an action, nor a target, nor a page",
                "8 a page has no action and no target",
                "8 `reboot` is not an action",
                "9 the quiet stretch ends before it begins",
                "10 an expectation has no key `within`",
            ],
        );
        check(&WHOLE.replace("2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z"), &["5 the incident ends before it begins"]);
        check(
            &WHOLE.replace("target: service/api, within", "target: service/apy, within").replace("target: unknown", "target: zone/c"),
            &["7 there is no zone `c` in this incident's `services`", "16 there is no service `apy` in this incident's `services`"],
        );
        // Replicas may be called as their system calls them, callers are not declared, and what declares nothing excludes nothing.
        check(&WHOLE.replace("target: service/api, within", "target: replica/api-578fcf4766-9csqn, within"), &[]);
        check(&WHOLE.replace("target: unknown", "target: client/users"), &[]);
        check(
            &WHOLE.replace("target: unknown", "target: replica/cache-0"),
            &["7 there is no service with a replica `cache-0` in this incident's `services`"],
        );
        check(&WHOLE.replace("services: { api: { replicas: 3, zones: [a, b], tier: normal, calls: [db] }, db: {} }\n", ""), &[]);
        check(
            &WHOLE.replace("2026-01-05T10:00:00Z", "tomorrow"),
            &["5 `tomorrow` is not an RFC 3339 time with a zone, such as 2026-01-05T00:00:00Z"],
        );
    }

    #[test]
    fn an_incident_outside_its_recording_is_refused_with_both_ranges() {
        let metrics = ("metrics.txt", "up 1 1767605400\nup 0 1767605460\n# EOF\n");
        let refused = |incident: &str| {
            let files = folder(incident, metrics);
            told(&read_recording(&read_incident("incident.yaml", &files).unwrap(), &files).err().unwrap_or_default())
        };
        assert_eq!(refused(&short()), [""; 0]);
        let recorded = "and the recording from 2026-01-05T09:30:00Z to 2026-01-05T09:31:00Z";
        assert_eq!(refused(WHOLE), [format!("11 the incident lasts from 2026-01-05T09:30:00Z to 2026-01-05T10:00:00Z, {recorded}")]);
        let early = WHOLE.replace("onset: 2026-01-05T09:30", "onset: 2026-01-04T09:30").replace("end: 2026-01-05T10:00:00Z\n", "");
        assert_eq!(refused(&early), [format!("10 the incident begins at 2026-01-04T09:30:00Z, {recorded}")]);
    }

    #[test]
    fn a_column_that_no_file_has_is_named_with_the_nearest_that_is_there() {
        let incident = short().replace("openmetrics: metrics.txt", "csv: { mapping: m.yaml, folder: data }");
        let mapping = "schema: mapping/1\nmapping: m\nfiles:\n  - file: '(?P<pod>.+)\\.csv'\n    time: { column: t, notation: rfc3339 }\n    columns:\n      - { column: healthy, metric: up }\n      - { column: load, metric: load }\n";
        let absent = |mapping: &str| {
            let mut files = folder(&incident, ("m.yaml", mapping));
            files.0.insert("data/a.csv", "t,healthy,load\n2026-01-05T09:30:00Z,1,2\n".to_owned());
            files.0.insert("data/b.csv", "t, load \n2026-01-05T09:31:00Z,2\n".to_owned());
            let problems = read_recording(&read_incident("x/incident.yaml", &files).unwrap(), &files).err().unwrap_or_default();
            problems.iter().map(|p| format!("{:?} {:?} {}", p.place.as_ref().unwrap(), p.remedy.as_deref(), p.message)).collect::<Vec<_>>()
        };
        // A column of one file only is there.
        assert_eq!(absent(mapping), [""; 0]);
        assert_eq!(
            absent(&mapping.replace("column: healthy", "column: helthy")),
            ["x/m.yaml:7:19 Some(\"did you mean `healthy`?\") no file that this mapping reads has a column `helthy`",]
        );
    }

    #[track_caller]
    fn check_recording(recording: &str, file: (&'static str, &str), expected: &[&str]) {
        let files = folder(&WHOLE.replace("{ openmetrics: metrics.txt }", recording), file);
        let incident = read_incident("incident.yaml", &files).unwrap();
        let problems = read_recording(&incident, &files).err().unwrap_or_default();
        assert_eq!(told(&problems), expected);
    }

    #[test]
    fn recordings_that_cannot_be_used_are_refused_by_name() {
        check_recording("{ openmetrics: none.txt }", ("x", ""), &["11 cannot read `none.txt`: no such file"]);
        check_recording("{ openmetrics: m.txt }", ("m.txt", "# EOF\n"), &["0 line 1: there is no sample"]);
        check_recording(
            "{ prometheus: m.txt }",
            ("m.txt", "up 1\n"),
            &["0 line 1: up has no time, and without times nothing can be replayed"],
        );
        check_recording("{ firedrill: m }", ("m", ""), &["0 the recording is empty"]);
        check_recording("{ csv: { mapping: petshp } }", ("x", ""), &["11 no mapping is called `petshp`, and no file is there"]);
        check_recording(
            "{ csv: { mapping: petshop, folder: data/ } }",
            ("data/x", ""),
            &["11 `data` holds no file that the mapping knows"],
        );
        check_recording(
            "{ csv: { mapping: petshop, folder: d } }",
            ("d/metrics.csv", "a\nb\n"),
            &["0 line 1: the file has no header, or only part of it"],
        );
    }
}
