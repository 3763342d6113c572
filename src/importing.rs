//! A stretch of a Prometheus' past as an incident folder: raw samples, the alerts that it recorded, copies of the rules, and what happened as far as
//! that can be guessed. Every guess is marked, for a person to put right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use firedrill_core::action::Target;
use firedrill_core::time::Start;
use firedrill_core::words::counted;
use firedrill_core::yaml::quoted;
use firedrill_policies::rules::RuleSet;
use firedrill_scenarios::incident::FILE_NAME;
use firedrill_telemetry::labels::{Labels, METRIC_NAME, Matcher};
use firedrill_telemetry::promql::Plan;
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::{Store, is_stale};

use crate::drill::{ENGINE, Rules};
use crate::failure::Failure;
use crate::fidelity::{Fidelity, Firing, fidelity};
use crate::load::Source;
use crate::prometheus::Prometheus;
use crate::pulling::{Limits, Pulled, Wanted, checked, pull};
use crate::recorded::RECORDING;

/// The recorded alerts' file in an incident folder.
pub const ALERTS: &str = "alerts.jsonl";

/// Series whose value changes where somebody changes a system, asked for if nobody says others.
pub const CHANGES: [&str; 2] = ["kube_deployment_status_observed_generation", "kube_deployment_spec_replicas"];

pub use crate::prometheus::REHEARSED;

/// How the source of a recording begins that no system has left behind.
pub const SIMULATED: &str = "a simulated run";

/// At most so many changes are told.
const MOST_CHANGES: usize = 100;

/// What is imported.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// From where.
    pub prometheus: &'a Prometheus,
    /// When the recording begins; its replay does.
    pub from: Start,
    /// When it ends.
    pub to: Start,
    /// The rules that watch.
    pub rules: &'a [Source],
    /// What policies read beside them.
    pub conditions: &'a [&'a Plan],
    /// Selectors of series whose value changes where somebody changes the system.
    pub changes: &'a [String],
    /// What the incident is called; `None`: by its first alert and its day.
    pub name: Option<&'a str>,
    /// How much may be pulled.
    pub limits: Limits,
    /// The command that imports it again.
    pub command: &'a str,
}

/// What an import came to.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What the incident is called.
    pub name: String,
    /// The files of its folder.
    pub files: Vec<(String, String)>,
    /// How well the rules reproduce the alerts that were recorded.
    pub fidelity: Fidelity,
    /// How many series and samples there are.
    pub series: u64,
    /// See above.
    pub samples: u64,
    /// What is missing or was guessed, in sentences.
    pub notes: Vec<String>,
}

/// Imports. `tell` hears what is being pulled.
///
/// # Errors
/// A rule file is wrong, the times are, Prometheus does not answer, or there is more or less than can be recorded.
pub fn import(import: &Import<'_>, tell: &mut dyn FnMut(&str)) -> Result<Imported, Failure> {
    let (from_ms, to_ms) = (import.from.unix_millis(), import.to.unix_millis());
    if to_ms <= from_ms {
        let message = format!("`--to` is {}, and `--from` is {}", import.to, import.from);
        return Err(Failure::argument(message, "a recording begins before it ends"));
    }
    let mut notes = Vec::new();
    let texts = copies(import.rules, Some(import.prometheus), &mut notes)?;
    let set = RuleSet::read(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
    let wanted = Wanted::by(&set, import.conditions.iter().copied());
    let pulled = pull(import.prometheus, &wanted, (from_ms, to_ms), import.limits, tell)?;
    if pulled.store.is_empty() {
        let message = format!("{} has nothing of what these rules read from {} to {}", import.prometheus.url(), import.from, import.to);
        return Err(Failure::argument(message, "is it the right Prometheus, does it go back so far, and are these its rules?"));
    }
    notes.extend(pulled.notes.iter().cloned());
    let origin = origin(import.prometheus);
    notes.extend(
        origin
            .is_simulated
            .then(|| format!("{} plays a simulation: what is decided on it is no evidence of life", import.prometheus.url())),
    );
    let source = format!("{} from {} to {}, {ENGINE}", origin.told, import.from, import.to);
    let recording = Recording { start: import.from, end_ms: to_ms, source: source.clone(), store: pulled.store.clone() };
    let rules = Rules { set: Arc::clone(&set), hash: String::new(), routing: None };
    let fidelity = fidelity(&recording, &rules, &pulled.alerts);
    notes.extend(fidelity.before.iter().map(|firing| format!("{} fired already when the recording begins", firing.labels)));
    let changes = changes(import.prometheus, import.changes, (import.from, import.to), &mut notes)?;
    let story = Story::of(import, &pulled, &fidelity);
    let page = page(import, &story, &texts, &changes);
    let alerts = Recording { start: import.from, end_ms: to_ms, source, store: pulled.alerts.clone() };
    let mut files = vec![(FILE_NAME.to_owned(), page), (RECORDING.to_owned(), recording.to_text()), (ALERTS.to_owned(), alerts.to_text())];
    files.extend(texts);
    Ok(Imported { name: story.name, files, fidelity, series: pulled.store.len() as u64, samples: pulled.samples, notes })
}

/// Where samples come from.
pub struct Origin {
    /// As it stands in a recording.
    pub told: String,
    /// Whether a rehearsal of firedrill plays it.
    pub is_simulated: bool,
}

/// What a Prometheus is, by what it says of its build; one that says nothing of it is none of ours.
#[must_use]
pub fn origin(prometheus: &Prometheus) -> Origin {
    let url = prometheus.url();
    match prometheus.version() {
        Ok(version) if version.starts_with(REHEARSED) => {
            Origin { told: format!("{SIMULATED} that {url} ({version}) played"), is_simulated: true }
        }
        _ => Origin { told: url.to_owned(), is_simulated: false },
    }
}

/// Copies of rule files by their paths in an incident's folder, with the intervals at which a Prometheus evaluates their groups, where they say none: its
/// default is its own. `notes` hears what could not be found out.
///
/// # Errors
/// A rule file is wrong.
pub fn copies(rules: &[Source], prometheus: Option<&Prometheus>, notes: &mut Vec<String>) -> Result<Vec<(String, String)>, Failure> {
    let known = match prometheus.map(Prometheus::rules).transpose() {
        Ok(groups) => groups.unwrap_or_default(),
        Err(trouble) => {
            notes.push(format!("how often rules are evaluated is not known, and 30s is taken where the files say nothing: {trouble}"));
            Vec::new()
        }
    };
    let mut taken = BTreeSet::new();
    let mut texts = Vec::new();
    for source in rules {
        let set = RuleSet::read([(source.path.as_str(), source.text.as_str())])?;
        let mut text = source.text.clone();
        // From the last on, so that the places of those before stay what they are.
        for group in set.groups.iter().rev().filter(|group| group.interval.is_none()) {
            let Some(own) = known.iter().find(|known| *known.name == *group.name) else {
                if !known.is_empty() {
                    notes.push(format!("that Prometheus has no rule group `{}`: nothing was recorded of its alerts", group.name));
                }
                continue;
            };
            if !set_interval(&mut text, group.place.range().start, own.interval_ms) {
                notes.push(format!(
                    "the group `{}` is evaluated every {} ms there, and the copy could not be made to say so",
                    group.name, own.interval_ms
                ));
            }
        }
        let file = source.path.rsplit('/').next().unwrap_or(&source.path);
        let path = (1..).map(|number| if number == 1 { format!("rules/{file}") } else { format!("rules/{number}-{file}") });
        let path = path.into_iter().find(|path| taken.insert(path.clone())).expect("numbers do not end");
        texts.push((path, text));
    }
    Ok(texts)
}

/// Adds `interval:` below the line of a group's name; whether that could be done, which takes a group that is written line by line.
fn set_interval(text: &mut String, name: usize, interval_ms: i64) -> bool {
    let line = text[..name].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line..name];
    let Some(key) = before.find("name:") else { return false };
    if !before[..key].chars().all(|c| c == ' ' || c == '-') || interval_ms <= 0 {
        return false;
    }
    let end = text[name..].find('\n').map_or(text.len(), |at| name + at);
    text.insert_str(end, &format!("\n{}interval: {interval_ms}ms # as that Prometheus has it", " ".repeat(key)));
    true
}

/// Changes of a system as a Prometheus has them, of series that change where somebody changes it: when, milliseconds since 1970, and what.
///
/// # Errors
/// Prometheus does not answer.
pub fn changes(
    prometheus: &Prometheus,
    selectors: &[String],
    (from, to): (Start, Start),
    notes: &mut Vec<String>,
) -> Result<Vec<(i64, String)>, Failure> {
    let (from_ms, to_ms) = (from.unix_millis(), to.unix_millis());
    let mut found = Vec::new();
    for selector in selectors {
        let answer = prometheus.query(&format!("{selector}[{}ms]", to_ms - from_ms), Some(to_ms))?;
        for series in &checked(selector, (from_ms, to_ms), answer)? {
            let steps = series.samples.windows(2).filter(|pair| pair[0].1.to_bits() != pair[1].1.to_bits());
            found.extend(steps.map(|pair| (pair[1].0, format!("{} changes from {} to {}", series.labels, pair[0].1, pair[1].1))));
        }
    }
    found.sort();
    if found.len() > MOST_CHANGES {
        notes.push(format!("of {} only the first {MOST_CHANGES} are told", counted(found.len() as u64, "change")));
        found.truncate(MOST_CHANGES);
    }
    Ok(found)
}

/// What happened, as far as alerts tell.
struct Story {
    name: String,
    /// What happened, for people.
    what: String,
    onset: (Start, &'static str),
    end: Option<Start>,
    target: Option<(Target, String)>,
    alerts: Vec<String>,
}

impl Story {
    fn of(import: &Import<'_>, pulled: &Pulled, fidelity: &Fidelity) -> Self {
        let all = crate::fidelity::firings(&pulled.alerts);
        let begun: Vec<&Firing> = all.iter().filter(|firing| !fidelity.before.contains(firing)).collect();
        let names: BTreeSet<&str> = begun.iter().filter_map(|firing| firing.labels.get("alertname")).collect();
        let onset = begun.iter().map(|firing| active_since(&pulled.alerts, firing)).min();
        let (from_ms, to_ms) = (import.from.unix_millis(), import.to.unix_millis());
        let onset = match onset {
            Some(at_ms) => (Start::from_unix_millis(at_ms.clamp(from_ms, to_ms)), "since then the condition of the first alert held"),
            None => (import.from, "no alert began to fire, so the beginning of the recording stands here"),
        };
        // What was seen until the last evaluations may go on.
        let last = begun.iter().map(|firing| firing.until_ms).max().filter(|last_ms| last_ms + 60_000 < to_ms);
        let what = match names.iter().next() {
            Some(_) => format!("{} from {} on.", words(&names), onset.0),
            None => "Nothing is known but the samples.".to_owned(),
        };
        let first = begun.first().and_then(|firing| firing.labels.get("alertname")).map_or_else(|| "recorded".to_owned(), kebab);
        let day: String = import.from.to_string().chars().take(16).filter(|c| *c != ':').collect();
        let name = import.name.map_or_else(|| format!("{first}-{}", day.replace('T', "-")), str::to_owned);
        let alerts = begun.iter().map(|firing| format!("{} {}", Start::from_unix_millis(firing.from_ms), firing.labels)).collect();
        Self { name, what, onset, end: last.map(Start::from_unix_millis), target: target(&begun), alerts }
    }
}

/// The alert's names as a sentence begins with them.
fn words(names: &BTreeSet<&str>) -> String {
    let all: Vec<&str> = names.iter().copied().collect();
    match all.split_last() {
        Some((only, [])) => format!("{only} fired"),
        Some((last, others)) => format!("{} and {last} fired", others.join(", ")),
        None => String::new(),
    }
}

/// A name in small letters with hyphens: `KubePodCrashLooping` is `kube-pod-crash-looping`.
fn kebab(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, c) in chars.iter().enumerate() {
        // A word begins with a capital after a small letter, or with the last of several capitals.
        let is_after_small = index > 0 && !chars[index - 1].is_ascii_uppercase();
        let is_before_small = chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (is_after_small || is_before_small) && !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    }
    out.trim_matches('-').to_owned()
}

/// Since when the condition of an alert held, milliseconds since 1970: what `ALERTS_FOR_STATE` says, else when it was first seen firing.
fn active_since(alerts: &Store, firing: &Firing) -> i64 {
    let labels = firing.labels.to_builder().set(METRIC_NAME, "ALERTS_FOR_STATE").build();
    let told = alerts.find(&labels).and_then(|id| {
        let samples = alerts.times(id).iter().zip(alerts.values(id));
        samples
            .filter(|(at_ms, value)| **at_ms <= firing.from_ms && !is_stale(**value))
            .map(|(_, value)| (*value * 1_000.0) as i64)
            .next_back()
    });
    told.unwrap_or(firing.from_ms)
}

/// Where the trouble is, if all alerts agree on a label that names a place; with that label.
fn target(begun: &[&Firing]) -> Option<(Target, String)> {
    const PLACES: [(&str, &str); 5] =
        [("pod", "replica"), ("service", "service"), ("node", "node"), ("deployment", "service"), ("job", "service")];
    let agreed = |label: &str| {
        let values: BTreeSet<&str> = begun.iter().filter_map(|firing| firing.labels.get(label)).collect();
        let is_in_all = begun.iter().all(|firing| firing.labels.get(label).is_some());
        (is_in_all && values.len() == 1).then(|| values.into_iter().next()).flatten()
    };
    PLACES.iter().find_map(|(label, kind)| {
        let target = format!("{kind}/{}", agreed(label)?).parse().ok()?;
        Some((target, (*label).to_owned()))
    })
}

fn page(import: &Import<'_>, story: &Story, texts: &[(String, String)], changes: &[(i64, String)]) -> String {
    let mut text = format!("# Imported from a Prometheus: `{}`.\n# What is marked as a guess is for you to put right.\n", import.command);
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
    line("schema: incident/1".to_owned());
    line(format!("incident: {}", quoted(&story.name)));
    line(format!("what: {} # guess: say what users noticed", quoted(&story.what)));
    line(format!("onset: {} # guess: {}", story.onset.0, story.onset.1));
    match story.end {
        Some(end) => line(format!("end: {end} # guess: until then an alert fired")),
        None => line("# end: when was it over? An alert still fired at the end of the recording, or none did.".to_owned()),
    }
    line("cause: unknown # what turned out to be wrong".to_owned());
    match &story.target {
        Some((target, label)) => line(format!("target: {} # guess: all alerts have this `{label}`", quoted(&target.to_string()))),
        None => line("target: unknown # where was it? such as service/NAME or replica/NAME".to_owned()),
    }
    line("# services: what existed; guards that count shares refuse without it, as in".to_owned());
    line("#   NAME: { replicas: 3, zones: [a, b, c], tier: critical }".to_owned());
    line(format!("recording: {{ firedrill: {RECORDING} }}"));
    line(format!("alerts: {ALERTS} # what that Prometheus recorded of its alerts; `replay` is held against it"));
    let rules: Vec<&str> = texts.iter().map(|(path, _)| path.as_str()).collect();
    line(format!("rules: [{}]", rules.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(", ")));
    people(changes).into_iter().for_each(&mut line);
    if !story.alerts.is_empty() {
        line("# The alerts that began to fire:".to_owned());
    }
    for alert in &story.alerts {
        line(format!("#   {}", alert.replace('\n', " ")));
    }
    line("# What would have been right? `firedrill replay FOLDER --write-expect` drafts an `expect:` block.".to_owned());
    text
}

/// The lines of an incident that tell of changes; none if there is none.
pub(crate) fn people(changes: &[(i64, String)]) -> Vec<String> {
    let head = "people: # guess: these changes were seen; whether a person made them, and which matter, is for you to say".to_owned();
    let line = |(at_ms, what): &(i64, String)| format!("  - {{ at: {}, what: {} }}", Start::from_unix_millis(*at_ms), quoted(what));
    if changes.is_empty() { Vec::new() } else { [head].into_iter().chain(changes.iter().map(line)).collect() }
}

/// That an incident can be written into a folder: what is there may have been edited by hand. `can_be_named`: the command has an option `--name`.
///
/// # Errors
/// There is something in it.
pub fn is_free(folder: &std::path::Path, can_be_named: bool) -> Result<(), Failure> {
    let has_something = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if !has_something {
        return Ok(());
    }
    let message = format!("the folder {} is not empty, and an incident has one of its own", folder.display());
    let remedy = if can_be_named {
        "name a new or an empty one with `--out`, or another incident with `--name`"
    } else {
        "name a new or an empty one with `--out`, or remove this one first"
    };
    Err(Failure::argument(message, remedy))
}

/// Of the usual selectors of changes those of which this Prometheus has anything.
#[must_use]
pub fn usual_changes(prometheus: &Prometheus, (from, to): (Start, Start)) -> Vec<String> {
    let has = |selector: &&&str| prometheus.series(selector, (from.unix_millis(), to.unix_millis())).is_ok_and(|series| !series.is_empty());
    CHANGES.iter().filter(has).map(|selector| (*selector).to_owned()).collect()
}

/// How many different alerts there are in a store of `ALERTS`, by name.
#[must_use]
pub fn alert_names(alerts: &Store) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for id in alerts.select(&[Matcher::equal(METRIC_NAME, "ALERTS")]) {
        let labels: &Labels = alerts.labels(id);
        *names.entry(labels.get("alertname").unwrap_or_default().to_owned()).or_default() += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_interval(text: &str, expected: Option<&str>) {
        let mut edited = text.to_owned();
        let name = text.find("web").unwrap();
        let done = set_interval(&mut edited, name, 15_000);
        assert_eq!(done.then_some(edited.as_str()), expected);
    }

    #[test]
    fn an_interval_is_added_below_the_name_of_a_group() {
        check_interval(
            "groups:\n  - name: web\n    rules: []\n",
            Some("groups:\n  - name: web\n    interval: 15000ms # as that Prometheus has it\n    rules: []\n"),
        );
        check_interval(
            "groups:\n- rules: []\n  name: \"web\"",
            Some("groups:\n- rules: []\n  name: \"web\"\n  interval: 15000ms # as that Prometheus has it"),
        );
        check_interval("groups: [{ name: web, rules: [] }]\n", None);
    }

    #[test]
    fn names_and_texts_are_written_as_files_want_them() {
        assert_eq!(kebab("KubePodCrashLooping"), "kube-pod-crash-looping");
        assert_eq!(kebab("HTTPErrors high!"), "http-errors-high");
        assert_eq!(quoted("service/api"), "service/api");
        assert_eq!(quoted("a: \"b\" # c"), "\"a: \\\"b\\\" # c\"");
        assert_eq!(words(&["A", "B", "C"].into()), "A, B and C fired");
    }

    #[test]
    fn a_target_is_what_all_alerts_agree_on() {
        let firing = |labels: &[(&str, &str)]| Firing { from_ms: 0, until_ms: 0, labels: Labels::named("x", labels) };
        let (one, two) = (firing(&[("pod", "api-1"), ("job", "api")]), firing(&[("pod", "api-2"), ("job", "api")]));
        assert_eq!(target(&[&one]).map(|(target, _)| target.to_string()).as_deref(), Some("replica/api-1"));
        assert_eq!(target(&[&one, &two]).map(|(target, label)| format!("{target} {label}")).as_deref(), Some("service/api job"));
        assert_eq!(target(&[&one, &firing(&[])]), None);
    }
}
