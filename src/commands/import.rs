//! `firedrill import`: drafts of scenarios and policies, made from what a real system shows and has; every guess is marked, for a person to put right.

mod kubernetes;
mod prometheus;
mod remediation;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem, SourceFile};
use firedrill_reports::words::counted;
use firedrill_sim::spec::{Feed, LabelSource, MetricSpec};
use firedrill_telemetry::exposition::{self, ExpositionError, MetricsPage};
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use serde_json::json;

use super::setting::{Named, RuleNames, Setting};
use crate::cli::{Format, ImportArgs, ImportMetricsArgs, Imported};
use crate::draft::{self, Asked, Entry, Type, Use};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::load::{self, Source};
use crate::output::Output;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.import/1";

/// At most so many names are listed in a comment.
const SHOWN: usize = 20;

/// How many buckets a histogram can be declared with.
const MOST_BUCKETS: usize = 200;

/// Labels that a target has of itself, and those that tell parts of a family apart.
const NOT_OF_THE_METRIC: [&str; 5] = ["instance", "le", "pod", "quantile", METRIC_NAME];

/// Drafts what is asked for.
pub fn execute(arguments: &ImportArgs, output: Output) -> Result<Exit, Failure> {
    match &arguments.what {
        Imported::Metrics(arguments) => metrics(arguments, output),
        Imported::Kubernetes(arguments) => kubernetes::execute(arguments, output),
        Imported::Prometheus(arguments) => prometheus::execute(arguments, output),
        Imported::Remediation(arguments) => remediation::execute(arguments, output),
    }
}

/// What a page and rules come to.
struct Draft {
    entries: Vec<Entry>,
    /// Metrics that cannot be declared or need not be, with the reason.
    left_out: Vec<(String, &'static str)>,
    /// Metrics that rules ask for and that neither the page nor a scenario has.
    missing: Vec<String>,
    /// Metrics of the page that no rule asks for.
    unasked: usize,
}

fn metrics(arguments: &ImportMetricsArgs, output: Output) -> Result<Exit, Failure> {
    if let Some(path) = arguments.out.as_deref().filter(|path| path.exists()) {
        return Err(taken(path));
    }
    let source = load::read_file(Path::new(&arguments.page))?;
    let page = exposition::read_page(&source.text).map_err(|errors| unreadable(&source, &errors))?;
    let home = Home::here()?;
    let rules = RuleNames::chosen(&home, &arguments.rules)?.load(&[])?;
    let uses = draft::uses(&rules.set);
    let draft = drafted(&families(&page), &uses, &exposed_anyway(&home)?, arguments.all);
    if draft.entries.is_empty() {
        let remedy = if draft.unasked > 0 { "`--all` drafts all that can be declared" } else { "name other rules with `--rules`" };
        return Err(Failure::argument(nothing(&draft, &arguments.page), remedy));
    }
    let yaml = written(&draft, arguments);
    if let Some(path) = &arguments.out {
        write_new(path, &yaml)?;
        output.talk(&format!("wrote {} to {}", counted(draft.entries.len() as u64, "metric"), path.display()));
        return Ok(Exit::Held);
    }
    match output.format {
        Format::Text => output.data(&yaml)?,
        Format::Json => output.data(&json(&draft, &yaml))?,
    }
    Ok(Exit::Held)
}

/// Why there is nothing to draft.
fn nothing(draft: &Draft, page: &str) -> String {
    match (draft.unasked, draft.left_out.len()) {
        (0, 0) => format!("{page} has no metric that could be declared"),
        (0, left) => {
            format!("of {page} nothing need be declared: {} of it cannot be or are exposed anyway", counted(left as u64, "metric"))
        }
        (unasked, _) => format!("the rules ask for none of the {} of {page} that could be declared", counted(unasked as u64, "metric")),
    }
}

fn taken(path: &Path) -> Failure {
    Failure::argument(format!("{} is there already", path.display()), "name a file that is not: a draft never takes the place of one")
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => Ok(file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot write {}", path.display())).into()),
    }
}

fn unreadable(source: &Source, errors: &[ExpositionError]) -> Failure {
    let file = Arc::new(SourceFile { path: source.path.clone(), text: source.text.clone() });
    let problem = |error: &ExpositionError| {
        let start: usize = source.text.split_inclusive('\n').take(error.line.saturating_sub(1)).map(str::len).sum();
        let line = source.text[start..].lines().next().unwrap_or_default().len();
        let remedy = error.remedy.as_deref();
        let remedy = remedy.unwrap_or("save the page as the target shows it, such as by `curl -s http://TARGET/metrics`");
        Problem::at("FD0920", &Place::new(&file, start, start + line), error.reason.clone()).remedy(remedy)
    };
    Failure::Input(errors.iter().map(problem).collect())
}

/// What every service here exposes without being told to.
fn exposed_anyway(home: &Home) -> Result<BTreeSet<String>, Failure> {
    let setting = Setting::of(home, Named::default())?;
    let mut exposed = BTreeSet::new();
    for (scenario, _) in &setting.scenarios {
        let declared: BTreeSet<&str> =
            scenario.spec.services.iter().flat_map(|service| &service.metrics).map(|metric| metric.name.as_str()).collect();
        let is_declared = |metric: &str| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(metric);
            declared.contains(metric) || declared.contains(base)
        };
        let universe = firedrill_sim::universe(&scenario.spec);
        exposed.extend(universe.metrics().filter(|metric| !is_declared(metric)).map(str::to_owned));
    }
    Ok(exposed)
}

/// A family of a page, by the name that a declaration would have.
#[derive(Debug, Default)]
struct Family {
    /// `counter`, `gauge`, `histogram`, `summary`, or something else.
    kind: String,
    /// The names of its series.
    names: BTreeSet<String>,
    /// Label sets, those of its parts among them.
    series: Vec<Labels>,
}

fn families(page: &MetricsPage) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let kind = |name: &str| page.families.get(name).map(|family| family.kind.as_str());
    for series in &page.series {
        let name = series.metric_name().unwrap_or_default();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            let base = name.strip_suffix(part)?;
            let is_part = matches!(kind(base), Some("histogram" | "summary")) || *part == "_bucket" && series.get("le").is_some();
            is_part.then_some(base)
        });
        // OpenMetrics names a counter's family without the end that its samples have.
        let told = base.map_or_else(|| kind(name).or_else(|| kind(name.strip_suffix("_total")?)), kind);
        let family = families.entry(base.unwrap_or(name).to_owned()).or_default();
        let has_buckets = name.ends_with("_bucket") && base.is_some();
        family.kind = told.map_or_else(|| if has_buckets { "histogram".to_owned() } else { family.kind.clone() }, str::to_owned);
        family.names.insert(name.to_owned());
        family.series.push(series.clone());
    }
    families
}

fn drafted(families: &BTreeMap<String, Family>, uses: &BTreeMap<String, Use>, anyway: &BTreeSet<String>, all: bool) -> Draft {
    let mut draft = Draft { entries: Vec::new(), left_out: Vec::new(), missing: Vec::new(), unasked: 0 };
    for (name, family) in families {
        let used = uses.get(name).or_else(|| family.names.iter().find_map(|name| uses.get(name)));
        if family.names.iter().any(|name| anyway.contains(name)) {
            draft.left_out.push((name.clone(), "every service exposes it already"));
        } else if used.is_none() && !all {
            draft.unasked += 1;
        } else {
            draft.entries.push(entry(name, family, used.unwrap_or(&Use::default())));
        }
    }
    let is_there = |name: &String| {
        let parts = ["", "_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
        let is_on_page = families.contains_key(name) || families.values().any(|family| family.names.contains(name));
        is_on_page || parts.iter().any(|name| anyway.contains(name)) || name.contains(':') || name.starts_with("ALERTS")
    };
    draft.missing = uses.keys().filter(|name| !is_there(name)).cloned().collect();
    draft
}

/// The entry for one family.
fn entry(name: &str, family: &Family, used: &Use) -> Entry {
    let guessed = || if used.counted_by.is_some() || name.ends_with("_total") { Type::Counter } else { Type::Gauge };
    let (kind, told) = match family.kind.as_str() {
        "counter" => (Type::Counter, "a counter, as the page says".to_owned()),
        "gauge" => (Type::Gauge, "a gauge, as the page says".to_owned()),
        "histogram" => (Type::Histogram, "a histogram, as the page shows".to_owned()),
        "summary" => {
            (Type::Histogram, "guess: a histogram, which has the sum and the count of this summary and not its quantiles".to_owned())
        }
        _ => (guessed(), format!("guess: a {}, for the page does not say", guessed().word())),
    };
    let (mut feed, of) = draft::feed(name, kind);
    let mut notes = vec![told, format!("guess: {of}")];
    if let Feed::Latency { buckets, .. } = &mut feed
        && family.kind == "histogram"
    {
        *buckets = bounds(family);
    }
    let are_requests = matches!(feed, Feed::Requests { .. } | Feed::Latency { .. });
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in family.series.iter().flat_map(Labels::iter).filter(|(label, _)| !NOT_OF_THE_METRIC.contains(&&**label)) {
        values.entry(label).or_default().insert(value);
    }
    let mut labels = Vec::new();
    for (label, values) in values {
        let (source, note) = label_source(label, &values, &draft::asked(used, label), are_requests);
        labels.push((Name::new(label), source));
        notes.extend(note);
    }
    let mut entry = Entry { metric: MetricSpec { name: Name::new(name), labels, feed }, notes };
    entry.narrow();
    entry
}

/// The bounds of a histogram's buckets, ascending, without infinity.
fn bounds(family: &Family) -> Vec<f64> {
    let mut bounds: Vec<f64> =
        family.series.iter().filter_map(|series| series.get("le")?.parse().ok()).filter(|le: &f64| le.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds.truncate(MOST_BUCKETS);
    if bounds.is_empty() { vec![1.0] } else { bounds }
}

/// Where a label's value comes from, with what was guessed.
fn label_source(label: &str, values: &BTreeSet<&str>, asked: &Asked<'_>, are_requests: bool) -> (LabelSource, Option<String>) {
    const PLACES: [&str; 8] = ["endpoint", "handler", "path", "route", "uri", "url", "operation", "http_route"];
    let is_code = |value: &&str| value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit());
    if are_requests && values.iter().all(is_code) && asked.allows_codes() {
        return (LabelSource::Code, Some(format!("guess: `{label}` is the status code")));
    }
    if are_requests && values.iter().all(|value| draft::is_outcome(value)) && asked.allows_outcomes() {
        return (LabelSource::Outcome, Some(format!("guess: `{label}` is the outcome: here success or error")));
    }
    if are_requests && PLACES.contains(&label) && asked.is_nothing() {
        return (LabelSource::Endpoint, Some(format!("guess: `{label}` is the endpoint, by the scenario's names")));
    }
    let wanted = values.iter().find(|value| asked.accepts(value)).copied();
    match (values.len(), wanted) {
        (1, Some(only)) => (LabelSource::Fixed(Name::new(only)), None),
        (count, Some(value)) if asked.is_nothing() => {
            let note = format!("guess: `{label}` is one of {count} on the page");
            (LabelSource::Fixed(Name::new(value)), Some(note))
        }
        (count, Some(value)) => {
            let note = format!("`{label}` is one of {count} on the page that the rules ask for");
            (LabelSource::Fixed(Name::new(value)), Some(note))
        }
        (_, None) => {
            // What the page has stays, so that a matcher with a mistake in it still finds nothing.
            let value = values.iter().rev().max_by_key(|value| asked.met_by(value)).copied().unwrap_or_default();
            let note = match asked.met_by(value) {
                0 => format!("rules ask for {asked}, and the page has only {}", listed(values)),
                _ => format!("`{label}` is one of {} on the page; rules ask for {asked}, and no one value is all of that", values.len()),
            };
            (LabelSource::Fixed(Name::new(value)), Some(note))
        }
    }
}

/// A few values in a note.
fn listed(values: &BTreeSet<&str>) -> String {
    const FEW: usize = 3;
    let shown = values.iter().take(FEW).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    if values.len() > FEW { format!("{shown} and {} more", values.len() - FEW) } else { shown }
}

/// The draft as it can be pasted below a service.
fn written(draft: &Draft, arguments: &ImportMetricsArgs) -> String {
    let mut text =
        format!("    # Drafted from {}: paste it below a service, and put right what is guessed.\n    metrics:\n", arguments.page);
    text += &draft::yaml(&draft.entries, 6);
    let mut comment = |line: String| text += &format!("    # {line}\n");
    for (name, why) in &draft.left_out {
        comment(format!("left out: {name}: {why}"));
    }
    if draft.unasked > 0 {
        comment(format!("no rule asks for {} of the page; `--all` drafts them too", counted(draft.unasked as u64, "more metric")));
    }
    if !draft.missing.is_empty() {
        let more = draft.missing.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named: Vec<&str> = draft.missing.iter().take(SHOWN).map(String::as_str).collect();
        comment(format!("rules ask for these too, and the page has none: {}{more}", named.join(", ")));
    }
    text
}

fn json(draft: &Draft, yaml: &str) -> String {
    let entry = |entry: &Entry| json!({ "name": entry.metric.name, "notes": entry.notes });
    let left_out = |(name, why): &(String, &str)| json!({ "name": name, "why": why });
    let document = json!({
        "schema": SCHEMA, "yaml": yaml,
        "metrics": draft.entries.iter().map(entry).collect::<Vec<_>>(),
        "left_out": draft.left_out.iter().map(left_out).collect::<Vec<_>>(),
        "missing": draft.missing, "unasked": draft.unasked,
    });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}
