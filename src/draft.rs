//! Drafts of `metrics:` for a scenario: what each metric likely is and what state likely feeds it, guessed from its name and from how rules use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firedrill_core::name::Name;
use firedrill_core::yaml::quoted;
use firedrill_policies::rules::RuleSet;
use firedrill_sim::spec::{Feed, LabelSource, MetricSpec};
use firedrill_telemetry::example;
use firedrill_telemetry::labels::{METRIC_NAME, Matcher};
use firedrill_telemetry::promql::{MadeFor, Plan, Source};
use firedrill_telemetry::universe::Kind;

/// Bounds of a histogram's buckets when nobody says others, seconds: those of Prometheus' client libraries.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The status codes that services answer with.
const CODES: [&str; 5] = ["200", "500", "502", "503", "504"];

/// What a request can come to.
const OUTCOMES: [&str; 2] = ["success", "error"];

/// Labels by which targets and buckets are told apart, which a declaration cannot set.
const KEPT: [&str; 4] = ["instance", "le", "pod", METRIC_NAME];

/// An entry of `metrics:` with what was guessed for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The metric as a scenario declares it.
    pub metric: MetricSpec,
    /// What was guessed and why, a fragment each.
    pub notes: Vec<String>,
}

/// What a metric is, as far as a declaration can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// It grows.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Response times by bucket.
    Histogram,
}

/// How rules use a metric.
#[derive(Clone, Debug, Default)]
pub struct Use {
    /// The parts of a histogram that are asked for: `_bucket`, `_sum`, `_count`.
    pub parts: BTreeSet<&'static str>,
    /// A function for counters that is taken of it.
    pub counted_by: Option<&'static str>,
    /// What is asked of its labels, one list a selector.
    pub selectors: Vec<Vec<Matcher>>,
}

/// How rules use every metric that they name, by the name that a declaration would have: that of a histogram, not of its parts.
#[must_use]
pub fn uses(rules: &RuleSet) -> BTreeMap<String, Use> {
    let plans: Vec<&Plan> = rules.rules().filter_map(|(_, rule)| rule.plan.as_ref().ok()).collect();
    let named: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.selectors()).filter_map(|selector| selector.metric()).collect();
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for plan in plans {
        for selector in plan.selectors() {
            let Some(metric) = selector.metric() else { continue };
            let (base, part) = base(metric, &named);
            let found = uses.entry(base.to_owned()).or_default();
            found.parts.extend(part);
            let matchers = selector.matchers().iter().filter(|matcher| !KEPT.contains(&&*matcher.name)).cloned().collect();
            found.selectors.push(matchers);
        }
        for window in plan.windows().into_iter().filter(|window| window.made_for == MadeFor::Counters) {
            if let Source::Series(Some(metric)) = &window.source
                && let Some(found) = uses.get_mut(base(metric, &named).0)
            {
                found.counted_by = Some(window.function);
            }
        }
    }
    uses
}

/// The name of the histogram that a metric is a part of, or its own. A sum and a count are parts where the buckets are asked for too.
fn base<'m>(metric: &'m str, named: &BTreeSet<&str>) -> (&'m str, Option<&'static str>) {
    if let Some(base) = metric.strip_suffix("_bucket") {
        return (base, Some("_bucket"));
    }
    let has = |base: &str, part: &str| named.contains(format!("{base}{part}").as_str());
    let parts = [("_sum", "_count"), ("_count", "_sum")];
    let found = parts.into_iter().find_map(|(part, other)| {
        let base = metric.strip_suffix(part)?;
        let is_time = ["_seconds", "_milliseconds", "_duration", "_latency"].iter().any(|end| base.ends_with(end));
        (is_time || has(base, "_bucket") || has(base, other)).then_some((base, Some(part)))
    });
    found.unwrap_or((metric, None))
}

/// The entry for a metric that rules ask for and nobody has shown.
#[must_use]
pub fn from_use(name: &str, used: &Use) -> Entry {
    let (kind, why) = if !used.parts.is_empty() {
        (Type::Histogram, "its buckets or their sum and count are asked for".to_owned())
    } else if let Some(function) = used.counted_by {
        (Type::Counter, format!("`{function}` is taken of it"))
    } else if Kind::told_by_name(name) == Some(Kind::Counter) {
        (Type::Counter, "by its name".to_owned())
    } else {
        (Type::Gauge, "nothing is counted of it".to_owned())
    };
    let (feed, of) = feed(name, kind);
    let labels = labels(&used.selectors, matches!(feed, Feed::Requests { .. } | Feed::Latency { .. }));
    let mut entry =
        Entry { metric: MetricSpec { name: Name::new(name), labels, feed }, notes: vec![format!("a {}: {why}", kind.word()), of] };
    entry.narrow();
    entry
}

/// Words for what fails and what does not, in names of metrics and values of labels.
const FAILURES: [&str; 12] =
    ["error", "errors", "failed", "failure", "failures", "fail", "fails", "exception", "exceptions", "panics", "5xx", "aborted"];
const SUCCESSES: [&str; 7] = ["success", "successes", "succeeded", "successful", "ok", "2xx", "completed"];

/// Whether a value of a label is a word for an outcome.
#[must_use]
pub fn is_outcome(value: &str) -> bool {
    let value = value.to_lowercase();
    FAILURES.contains(&value.as_str()) || SUCCESSES.contains(&value.as_str())
}

impl Entry {
    /// Counts only the requests that a label's fixed value speaks of: a counter of what failed is not fed by what succeeded.
    pub fn narrow(&mut self) {
        let Feed::Requests { success: success @ None, .. } = &mut self.metric.feed else { return };
        for (label, source) in &self.metric.labels {
            let LabelSource::Fixed(value) = source else { continue };
            let value = value.to_lowercase();
            let is_success = if FAILURES.contains(&value.as_str()) {
                false
            } else if SUCCESSES.contains(&value.as_str()) {
                true
            } else {
                continue;
            };
            *success = Some(is_success);
            self.notes.push(format!("only requests that {}, for `{label}` is {value}", if is_success { "succeed" } else { "fail" }));
            return;
        }
    }
}

impl Type {
    /// The word for it in a scenario.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The state that likely feeds a metric, with what is said of the guess.
#[must_use]
pub fn feed(name: &str, kind: Type) -> (Feed, String) {
    let words: Vec<&str> = name.split(['_', ':']).collect();
    let any = |wanted: &[&'static str]| -> Option<&'static str> { wanted.iter().find(|word| words.contains(word)).copied() };
    let by = |word: &str, of: &str| format!("fed by {of}, for its name has `{word}`");
    let requests = |success| Feed::Requests { endpoint: None, success };
    match kind {
        Type::Histogram => {
            let (word, scale) = unit(&words);
            let scaled = |bound: &f64| (bound * scale * 1e6 + 0.5) as u64 as f64 / 1e6;
            let buckets = BUCKETS.iter().map(scaled).collect();
            (Feed::Latency { endpoint: None, buckets, scale }, format!("fed by response times in {word}, by its name"))
        }
        Type::Counter => {
            if let Some(word) = any(&["cpu"]) {
                return (Feed::CpuSeconds, by(word, "CPU seconds"));
            }
            if let Some(word) = any(&FAILURES) {
                return (requests(Some(false)), by(word, "failed requests"));
            }
            if let Some(word) = any(&SUCCESSES) {
                return (requests(Some(true)), by(word, "requests that succeed"));
            }
            (requests(None), "fed by requests, for want of a better guess".to_owned())
        }
        Type::Gauge => {
            if words.last() == Some(&"info") {
                return (Feed::Info, "always 1, for its name ends in `info`".to_owned());
            }
            let guesses: [(&[&'static str], Feed, &str); 5] = [
                (&["queue", "queued", "pending", "backlog", "waiting", "lag"], Feed::Queued, "requests that wait"),
                (&["timestamp", "deploy", "deployed", "created"], Feed::DeployTimestamp, "the time of the last deploy"),
                (&["memory", "mem", "heap", "rss", "bytes"], Feed::MemoryBytes, "memory"),
                (&["replicas", "ready", "available", "members", "instances", "up"], Feed::ReadyReplicas, "ready replicas"),
                (&["inflight", "flight", "active", "connections", "threads", "busy", "requests"], Feed::InService, "requests in service"),
            ];
            let found = guesses.into_iter().find_map(|(wanted, feed, of)| any(wanted).map(|word| (feed, by(word, of))));
            found.unwrap_or_else(|| (Feed::InService, "fed by requests in service, for want of a better guess".to_owned()))
        }
    }
}

/// The unit of a histogram by the words of its name, and how many of it make a second.
fn unit(words: &[&str]) -> (&'static str, f64) {
    let units = [("milliseconds", "milliseconds", 1e3), ("ms", "milliseconds", 1e3), ("microseconds", "microseconds", 1e6)];
    let found = units.into_iter().find(|(word, ..)| words.contains(word));
    found.map_or(("seconds", 1.0), |(_, unit, scale)| (unit, scale))
}

/// For each label that is asked for, where a value comes from that satisfies as much of it as can be.
fn labels(selectors: &[Vec<Matcher>], are_requests: bool) -> Vec<(Name, LabelSource)> {
    let names: BTreeSet<&str> = selectors.iter().flatten().map(|matcher| &*matcher.name).collect();
    let source = |name: &str| {
        let asked: Vec<&Matcher> = selectors.iter().flatten().filter(|matcher| *matcher.name == *name).collect();
        Some((Name::new(name), source_of(&asked, are_requests)?))
    };
    names.into_iter().filter_map(source).collect()
}

/// What rules ask of one label of a metric.
#[derive(Clone, Debug)]
pub struct Asked<'a>(Vec<&'a Matcher>);

/// What rules ask of a label.
#[must_use]
pub fn asked<'a>(used: &'a Use, label: &str) -> Asked<'a> {
    Asked(used.selectors.iter().flatten().filter(|matcher| *matcher.name == *label).collect())
}

impl Asked<'_> {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value satisfies everything that is asked.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        self.0.iter().all(|matcher| matcher.matches(value))
    }

    /// Whether each thing that is asked finds one of the status codes that services answer with.
    #[must_use]
    pub fn allows_codes(&self) -> bool {
        self.each_finds(&CODES)
    }

    /// Whether each thing that is asked finds a success or an error.
    #[must_use]
    pub fn allows_outcomes(&self) -> bool {
        self.each_finds(&OUTCOMES)
    }

    /// How much of what is asked a value satisfies.
    #[must_use]
    pub fn met_by(&self, value: &str) -> usize {
        self.0.iter().filter(|matcher| matcher.matches(value)).count()
    }

    fn each_finds(&self, values: &[&str]) -> bool {
        self.0.iter().all(|matcher| values.iter().any(|value| matcher.matches(value)))
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: BTreeSet<String> = self.0.iter().map(|matcher| format!("`{matcher}`")).collect();
        f.write_str(&told.into_iter().collect::<Vec<_>>().join(" and "))
    }
}

/// Where a label's value comes from; `None` leaves it out.
fn source_of(asked: &[&Matcher], are_requests: bool) -> Option<LabelSource> {
    if asked.iter().all(|matcher| matcher.matches("")) {
        return None;
    }
    let each_finds = |values: &[&str]| asked.iter().all(|matcher| values.iter().any(|value| matcher.matches(value)));
    let none_finds_all = |values: &[&str]| !values.iter().all(|value| asked.iter().all(|matcher| matcher.matches(value)));
    if are_requests && each_finds(&CODES) && none_finds_all(&CODES) {
        return Some(LabelSource::Code);
    }
    if are_requests && each_finds(&OUTCOMES) && none_finds_all(&OUTCOMES) {
        return Some(LabelSource::Outcome);
    }
    let fixed = |value: String| if value.is_empty() { None } else { Some(LabelSource::Fixed(Name::from(value))) };
    if let Some(value) = example::value(asked) {
        return fixed(value);
    }
    // No value satisfies all of them: the one that satisfies most.
    let candidates = asked.iter().filter_map(|matcher| example::value(&[matcher]));
    let satisfied = |value: &String| asked.iter().filter(|matcher| matcher.matches(value)).count();
    fixed(candidates.max_by_key(|value| (satisfied(value), std::cmp::Reverse(value.clone())))?)
}

/// Entries as they stand in a scenario, each below its notes. `indent` is that of the names.
#[must_use]
pub fn yaml(entries: &[Entry], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut text = String::new();
    for Entry { metric, notes } in entries {
        if !notes.is_empty() {
            text += &format!("{pad}# {}\n", notes.join("; "));
        }
        let mut parts = vec![feed_yaml(&metric.feed)];
        if !metric.labels.is_empty() {
            let labels: Vec<String> = metric.labels.iter().map(|(name, source)| format!("{name}: {}", source_yaml(source))).collect();
            parts.push(format!("labels: {{ {} }}", labels.join(", ")));
        }
        text += &format!("{pad}{}: {{ {} }}\n", metric.name, parts.join(", "));
    }
    text
}

fn feed_yaml(feed: &Feed) -> String {
    let counter = |success: &Option<bool>| match success {
        None => "counter: requests".to_owned(),
        Some(success) => format!("counter: {{ success: {success} }}"),
    };
    match feed {
        Feed::Requests { success, .. } => counter(success),
        Feed::Latency { buckets, scale, .. } => {
            let unit = if *scale >= 1e6 {
                "us"
            } else if *scale >= 1e3 {
                "ms"
            } else {
                "s"
            };
            let bounds: Vec<String> = buckets.iter().map(f64::to_string).collect();
            format!("histogram: {{ buckets: [{}], unit: {unit} }}", bounds.join(", "))
        }
        Feed::InService => "gauge: in_service".to_owned(),
        Feed::Queued => "gauge: queued".to_owned(),
        Feed::CpuSeconds => "counter: cpu_seconds".to_owned(),
        Feed::MemoryBytes => "gauge: memory_bytes".to_owned(),
        Feed::ReadyReplicas => "gauge: ready_replicas".to_owned(),
        Feed::DeployTimestamp => "gauge: deploy_timestamp".to_owned(),
        Feed::Info => "gauge: info".to_owned(),
    }
}

fn source_yaml(source: &LabelSource) -> String {
    match source {
        LabelSource::Fixed(value) => quoted(value),
        LabelSource::Endpoint => "$endpoint".to_owned(),
        LabelSource::Code => "$code".to_owned(),
        LabelSource::Outcome => "$outcome".to_owned(),
        LabelSource::ByOutcome { .. } | LabelSource::ErrorCode => unreachable!("a draft says what a file can say"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries that rules come to, as they are written.
    #[track_caller]
    fn check(expressions: &[&str], expected: &str) {
        let rules: String = expressions.iter().map(|expression| format!("      - {{ alert: A, expr: '{expression}' }}\n")).collect();
        let text = format!("groups:\n  - name: g\n    rules:\n{rules}");
        let set = RuleSet::read([("r.yml", text.as_str())]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let entries: Vec<Entry> = uses(&set).iter().map(|(name, used)| Entry { notes: Vec::new(), ..from_use(name, used) }).collect();
        assert_eq!(yaml(&entries, 0), expected, "{expressions:?}");
    }

    #[test]
    fn what_a_metric_is_follows_from_what_is_taken_of_it() {
        check(&["rate(hits[5m]) > 1"], "hits: { counter: requests }\n");
        check(&["hits_total > 1"], "hits_total: { counter: requests }\n");
        check(&["hits > 1"], "hits: { gauge: in_service }\n");
        check(
            &["histogram_quantile(0.9, rate(x_ms_bucket[5m])) > 1", "rate(x_ms_sum[5m]) / rate(x_ms_count[5m]) > 1"],
            "x_ms: { histogram: { buckets: [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000], unit: ms } }\n",
        );
    }

    #[test]
    fn the_state_that_feeds_it_is_guessed_by_its_name() {
        check(&["rate(login_failures_total[5m]) > 1"], "login_failures_total: { counter: { success: false } }\n");
        check(&["rate(app_cpu_seconds_total[5m]) > 1"], "app_cpu_seconds_total: { counter: cpu_seconds }\n");
        check(&["jobs_queued > 1"], "jobs_queued: { gauge: queued }\n");
        check(&["heap_used_bytes > 1"], "heap_used_bytes: { gauge: memory_bytes }\n");
        check(&["build_info > 0"], "build_info: { gauge: info }\n");
    }

    #[test]
    fn labels_hold_what_all_that_is_asked_of_them_allows() {
        check(&[r#"rate(hits[5m]) > 1 and rate(hits{code=~"5.."}[5m]) > 1"#], "hits: { counter: requests, labels: { code: $code } }\n");
        check(&[r#"rate(hits{result="failed",job!="x"}[5m]) > 1"#], "hits: { counter: { success: false }, labels: { result: failed } }\n");
        check(&[r#"level{kind="on",pod=~"a.*"} > 1"#], "level: { gauge: in_service, labels: { kind: \"on\" } }\n");
    }
}
