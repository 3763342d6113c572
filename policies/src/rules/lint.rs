//! What is likely not meant in rules that read well: each finding has a code, a place, and a remedy, and can be allowed where it stands.

mod allowing;
mod alerting;
mod catalogue;
mod expression;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem, Severity};
use firedrill_core::time::Span;
use firedrill_telemetry::universe::Kind;

use super::{Coverage, Group, Outlook, Rule, RuleSet};
pub use allowing::{Allowance, Allowances, allow, comments};
pub use catalogue::{LINTS, Lint};

/// The labels by which alerts are sorted out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventions {
    /// An alert has one of these, which tells how bad it is.
    pub severity: Vec<Name>,
    /// An alert has one of these, which tells whose it is.
    pub owner: Vec<Name>,
    /// Somebody asked for an owner, so one that is missing is more than a hint.
    pub is_owner_asked_for: bool,
}

impl Default for Conventions {
    /// What most published rules have.
    fn default() -> Self {
        Self { severity: vec![Name::new("severity")], owner: vec![Name::new("owner"), Name::new("team")], is_owner_asked_for: false }
    }
}

/// What rules are held against.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// What the rules can say, scenario by scenario and recording by recording.
    pub outlooks: &'a [Outlook<'a>],
    /// Metrics that scrapes bring, recorded ones left out.
    pub scraped: &'a BTreeSet<String>,
    /// The longest time from one scrape to the next; `None` leaves windows over scraped series unchecked.
    pub scrape_interval: Option<Span>,
    /// From one evaluation to the next of a group that does not say.
    pub evaluation_interval: Span,
    /// How long the longest of the runs and recordings lasts; `None` leaves it unchecked whether an alert can wait out its `for`.
    pub longest: Option<Span>,
    /// The labels that are asked for.
    pub conventions: &'a Conventions,
}

/// A finding, and the lines within which it can be allowed.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is said.
    pub problem: Problem,
    /// All of the rule, or of the group's name.
    pub whole: Place,
}

impl Finding {
    /// A finding about a rule.
    #[must_use]
    pub fn new(lint: &'static Lint, rule: &Rule, place: &Place, message: String) -> Self {
        Self { problem: lint.problem(place, message), whole: rule.places.whole.clone() }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.problem.remedy = Some(remedy.into());
        self
    }
}

/// Everything that is found in rules by reading them; what has to be run is not in it.
#[must_use]
pub fn lint(rules: &RuleSet, bench: &Bench<'_>) -> Vec<Finding> {
    let known = Known::of(rules, bench);
    let mut found: Vec<Finding> = rules.groups.iter().filter_map(|group| interval(group, bench)).collect();
    for (group, rule) in rules.rules() {
        found.extend(expression::lint(rule, &known));
        if rule.is_alerting() {
            found.extend(alerting::lint(group, rule, &known));
        } else {
            found.extend(shadowing(rule, bench));
        }
    }
    found.extend(duplicates(rules));
    found.sort_by_key(|finding| {
        let place = finding.problem.place.as_ref();
        (finding.problem.path.clone(), place.map(|place| (place.line(), place.column())), finding.problem.code)
    });
    found
}

/// What a rule's coverage says, as findings: it cannot fire here, fires all the time, or asks in part for what never comes.
#[must_use]
pub fn of_coverage(rule: &Rule, coverage: &Coverage) -> Vec<Finding> {
    let place = rule.place_of(coverage.reasons().first().and_then(|reason| reason.word.as_deref()));
    let reason = coverage.reasons().first();
    let because = reason.map(|reason| format!(": {}", reason.what)).unwrap_or_default();
    let found = match coverage {
        Coverage::Unsupported(why) => {
            Finding::new(&catalogue::CANNOT_FIRE, rule, &place, format!("`{}` cannot fire here: {why}", rule.name))
        }
        Coverage::Never(_) => Finding::new(&catalogue::CANNOT_FIRE, rule, &place, format!("`{}` cannot fire here{because}", rule.name)),
        // A constant is meant to be there; nothing recorded is a nuisance for being there.
        Coverage::Always(_) if reason.is_some() && rule.is_alerting() => {
            Finding::new(&catalogue::ALWAYS_FIRES, rule, &place, format!("`{}` fires all the time here{because}", rule.name))
        }
        Coverage::Able(_) if reason.is_some() => {
            Finding::new(&catalogue::PART_FINDS_NOTHING, rule, &place, format!("a part of `{}` finds nothing here{because}", rule.name))
        }
        Coverage::Always(_) | Coverage::Able(_) => return Vec::new(),
    };
    vec![match reason {
        Some(reason) => found.remedy(reason.remedy.clone()),
        None => found,
    }]
}

/// A rule that could fire and did not, in so many runs and recordings. `seen` tells how near it came.
#[must_use]
pub fn never_fired(rule: &Rule, looked_at: &str, seen: Option<&str>) -> Finding {
    let so_far = seen.map(|seen| format!(": {seen}")).unwrap_or_default();
    Finding::new(&catalogue::NEVER_FIRED, rule, &rule.places.name, format!("`{}` never fires in {looked_at}{so_far}", rule.name))
}

/// A rule that could not be evaluated in so many runs and recordings, and why.
#[must_use]
pub fn fails(rule: &Rule, looked_at: &str, why: &str) -> Finding {
    Finding::new(&catalogue::FAILS, rule, &rule.places.name, format!("`{}` cannot be evaluated in {looked_at}: {why}", rule.name))
}

/// A selector that found nothing in any run or recording, though such series can be.
#[must_use]
pub fn selects_nothing(rule: &Rule, selector: &str, metric: &str, looked_at: &str) -> Finding {
    // Of several selectors of one metric the one that is meant, if it is written as we write it.
    let place = rule.place_of(Some(if rule.expression.contains(selector) { selector } else { metric }));
    Finding::new(&catalogue::SELECTS_NOTHING, rule, &place, format!("`{selector}` selects nothing in {looked_at}"))
}

/// What is known of all rules together.
struct Known<'a> {
    bench: &'a Bench<'a>,
    /// By the metric that they record.
    recorded: BTreeMap<&'a str, Vec<(&'a Group, &'a Rule)>>,
    /// The labels that recorded series have at most.
    labels: BTreeMap<&'a str, Option<BTreeSet<Arc<str>>>>,
}

impl<'a> Known<'a> {
    fn of(rules: &'a RuleSet, bench: &'a Bench<'a>) -> Self {
        let mut recorded: BTreeMap<&str, Vec<(&Group, &Rule)>> = BTreeMap::new();
        for (group, rule) in rules.rules().filter(|(_, rule)| !rule.is_alerting()) {
            recorded.entry(rule.name.as_str()).or_default().push((group, rule));
        }
        let labels = recorded.keys().map(|metric| (*metric, None)).collect();
        let mut known = Self { bench, recorded, labels };
        // From "any label" downwards every round is true, so it may end early; rules rarely build on more than a few others.
        for _ in 0..ROUNDS {
            let labels = known.recorded.iter().map(|(metric, rules)| (*metric, known.labels_of_all(rules))).collect();
            if labels == known.labels {
                break;
            }
            known.labels = labels;
        }
        known
    }

    /// The labels that series of a metric have at most; `None` if that is not known.
    fn labels_of(&self, metric: &str) -> Option<BTreeSet<Arc<str>>> {
        self.labels.get(metric).cloned().flatten()
    }

    fn labels_of_all(&self, rules: &[(&Group, &Rule)]) -> Option<BTreeSet<Arc<str>>> {
        let mut all = BTreeSet::new();
        for (_, rule) in rules {
            all.extend(rule.plan.as_ref().ok()?.labels_at_most(&|metric| self.labels_of(metric))?);
            all.extend(rule.labels.iter().map(|(name, _)| Arc::from(name.as_str())));
        }
        Some(all)
    }

    /// From one sample to the next of a series with this name, as far as that is known.
    fn interval_of(&self, metric: Option<&str>) -> Option<Span> {
        let recorded = metric.and_then(|metric| self.recorded.get(metric));
        match recorded {
            Some(rules) => rules.iter().map(|(group, _)| self.interval_of_group(group)).max(),
            None if matches!(metric, Some("ALERTS" | "ALERTS_FOR_STATE")) => Some(self.bench.evaluation_interval),
            None => self.bench.scrape_interval,
        }
    }

    fn interval_of_group(&self, group: &Group) -> Span {
        group.interval.unwrap_or(self.bench.evaluation_interval)
    }

    /// What kind a metric is of: told by what exposes it, else by its name. A recorded one may be anything.
    fn kind(&self, metric: &str) -> Option<Told> {
        if self.recorded.contains_key(metric) {
            return None;
        }
        let kinds: BTreeSet<Kind> = self.bench.outlooks.iter().filter_map(|outlook| outlook.universe().kind(metric)).collect();
        match kinds.len() {
            0 => Kind::told_by_name(metric).map(|kind| Told { kind, by_name: true }),
            1 => kinds.into_iter().next().map(|kind| Told { kind, by_name: false }),
            // It is a counter in one place and a gauge in another.
            _ => None,
        }
    }
}

/// What kind a metric is of, and how that is known.
#[derive(Clone, Copy, Debug)]
struct Told {
    kind: Kind,
    /// Nothing here exposes it, so it is a guess.
    by_name: bool,
}

impl Told {
    /// As a verb with its object.
    const fn words(self) -> &'static str {
        match (self.kind, self.by_name) {
            (Kind::Counter, false) => "is a counter",
            (Kind::Counter, true) => "looks like a counter by its name",
            (Kind::Gauge, false) => "is a gauge",
            (Kind::Gauge, true) => "looks like a gauge by its name",
        }
    }
}

const ROUNDS: usize = 8;

/// A group that is evaluated so rarely that what it writes is gone in between.
fn interval(group: &Group, bench: &Bench<'_>) -> Option<Finding> {
    let lookback = Span::from_millis(firedrill_telemetry::promql::LOOKBACK_MS.unsigned_abs());
    let interval = group.interval.unwrap_or(bench.evaluation_interval);
    let message = format!("the group `{}` is evaluated every {interval}, and what it writes is seen for {lookback} after each", group.name);
    let problem = catalogue::RARE_GROUP.problem(&group.place, message);
    (interval > lookback).then(|| Finding { problem, whole: group.place.clone() })
}

/// A recording rule by the name of a metric that is scraped.
fn shadowing(rule: &Rule, bench: &Bench<'_>) -> Option<Finding> {
    let message = format!("`{}` is a metric that is scraped, and this rule records more series by that name", rule.name);
    bench.scraped.contains(rule.name.as_str()).then(|| Finding::new(&catalogue::SHADOWS, rule, &rule.places.name, message))
}

/// What tells a rule from all others: its name, its labels, and of a recording rule its expression, for several may record one metric.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'r> {
    name: &'r str,
    labels: BTreeMap<&'r str, &'r str>,
    expression: Option<&'r str>,
}

impl<'r> Identity<'r> {
    fn of(rule: &'r Rule) -> Self {
        let labels = rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self { name: rule.name.as_str(), labels, expression: (!rule.is_alerting()).then(|| rule.expression.trim()) }
    }
}

/// Alerts that cannot be told apart, and rules that record the same twice.
fn duplicates(rules: &RuleSet) -> Vec<Finding> {
    let mut first: BTreeMap<Identity<'_>, &Rule> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, rule) in rules.rules() {
        let other = *first.entry(Identity::of(rule)).or_insert(rule);
        if std::ptr::eq(other, rule) {
            continue;
        }
        let at = format!("{}:{}", other.places.name.file().path, other.places.name.line());
        let message = if rule.is_alerting() {
            format!("another alert `{}` with the same labels stands at {at}", rule.name)
        } else {
            format!("`{}` is recorded from the same expression at {at}", rule.name)
        };
        found.push(Finding::new(&catalogue::DUPLICATE, rule, &rule.places.name, message));
    }
    found
}

impl Lint {
    fn problem(&'static self, place: &Place, message: String) -> Problem {
        let problem = Problem::at(self.code, place, message).remedy(self.remedy);
        Problem { severity: self.severity, ..problem }
    }

    /// Its severity in a word.
    #[must_use]
    pub const fn severity_word(&self) -> &'static str {
        match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_telemetry::notation::parse_series;
    use firedrill_telemetry::universe::{Shape, Universe};

    /// Findings, `LINE:COLUMN CODE MESSAGE`, where targets are scraped every 15 s and groups evaluated every 30 s.
    fn found(text: &str) -> Vec<String> {
        let rules = RuleSet::read([("r.yml", text)]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut universe = Universe::new();
        let series = [
            (r#"up{job="api"}"#, Kind::Gauge),
            (r#"hits_total{job="api"}"#, Kind::Counter),
            (r#"memory{job="api"}"#, Kind::Gauge),
            (r#"open_total{job="api"}"#, Kind::Gauge),
        ];
        for (series, kind) in series {
            let labels = parse_series(series).unwrap();
            let metric = labels.metric_name().unwrap();
            universe.add(metric, Shape::of(&labels));
            universe.declare(metric, kind);
        }
        let scraped = universe.metrics().map(str::to_owned).collect();
        let outlooks = [Outlook::new(&rules, universe)];
        let bench = Bench {
            outlooks: &outlooks,
            scraped: &scraped,
            scrape_interval: Some(Span::from_seconds(15)),
            evaluation_interval: Span::from_seconds(30),
            longest: Some(Span::from_minutes(60)),
            conventions: &Conventions::default(),
        };
        let mut allowances = Allowances::read([("r.yml", text)]);
        let told = |problem: &Problem| {
            let place = problem.place.as_ref().unwrap();
            assert!(problem.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{problem:?} has no remedy");
            format!("{}:{} {} {}", place.line(), place.column(), problem.code, problem.message)
        };
        allow(lint(&rules, &bench), &mut allowances, &[]).iter().map(told).collect()
    }

    /// What is found in one alert that has a severity and an owner.
    #[track_caller]
    fn check_alert(keys: &str, expected: &[&str]) {
        let text = format!("groups:\n  - name: g\n    rules:\n      - alert: A\n        labels: {{ severity: warning, owner: a }}\n{keys}");
        assert_eq!(found(&text), expected, "{text}");
    }

    #[track_caller]
    fn check(expression: &str, expected: &[&str]) {
        check_alert(&format!("        expr: '{expression}'\n"), expected);
    }

    #[track_caller]
    fn check_rules(rules: &str, expected: &[&str]) {
        let text = format!("groups:\n  - name: g\n    rules:\n{rules}");
        assert_eq!(found(&text), expected, "{text}");
    }

    #[test]
    fn a_window_is_held_against_the_time_between_samples() {
        check(
            "rate(hits_total[10s]) > 0",
            &["6:16 FD0465 `rate` over 10s sees 0 or 1 sample of what is scraped every 15s and needs 2: it never yields anything"],
        );
        check(
            "rate(hits_total[20s]) > 0",
            &["6:16 FD0465 `rate` over 20s sees 1 or 2 samples of what is scraped every 15s and needs 2: it yields nothing at times"],
        );
        check(
            "rate(hits_total[30s]) > 0",
            &["6:16 FD0466 `rate` over 30s sees as few as 2 samples of what is scraped every 15s: a lost one or two leave it without"],
        );
        check("rate(hits_total[1m]) > 0", &[]);
        check("max_over_time(memory[15s]) > 0", &[]);
        check(
            "deriv(memory[2m:5m]) > 0",
            &[
                "6:16 FD0465 `deriv` over 2m sees 0 or 1 sample of what is evaluated by the subquery every 5m and needs 2: it never yields anything",
            ],
        );
        check_rules(
            "      - { record: job:x, expr: sum(up) }\n      - { record: y, expr: 'changes(job:x[1m])' }\n",
            &["5:29 FD0466 `changes` over 1m sees as few as 2 samples of what is recorded every 30s: a lost one or two leave it without"],
        );
    }

    #[test]
    fn a_for_is_held_against_the_interval_of_its_group() {
        let keys = |hold: &str| format!("        expr: up == 0\n        for: {hold}\n");
        check_alert(&keys("10s"), &["7:14 FD0467 `for: 10s` is shorter than the 30s from one evaluation to the next, and so means 30s"]);
        check_alert(&keys("45s"), &["7:14 FD0468 `for: 45s` is no multiple of the 30s from one evaluation to the next, and so means 1m"]);
        check_alert(&keys("1m"), &[]);
        check_alert(&keys("0s"), &[]);
        check_alert(&keys("59m30s"), &[]);
        check_alert(
            &keys("1h"),
            &["7:14 FD0488 `A` waits for 1h, and nothing that is rehearsed here lasts longer than 1h: it fires in none of it"],
        );
        let rare = "groups:\n  - name: g\n    interval: 6m\n    rules: [{ record: 'a:b', expr: up }]\n";
        assert_eq!(found(rare), ["2:11 FD0480 the group `g` is evaluated every 6m, and what it writes is seen for 5m after each"]);
    }

    #[test]
    fn an_alert_says_how_bad_it_is_and_whose() {
        check_rules(
            "      - { alert: A, expr: up == 0 }\n      - { alert: B, expr: up == 0, labels: { severity: page, team: b }, for: 1m }\n",
            &[
                "4:18 FD0469 `A` has no label `severity`, so nothing can tell how bad it is",
                "4:18 FD0470 `A` has no label `owner` or `team`, so nothing can tell whose it is",
            ],
        );
        check_rules(
            "      - { alert: A, expr: up == 0, labels: { severity: critical, owner: a } }\n",
            &["4:18 FD0479 `A` is critical and waits for nothing: one bad scrape sets it off"],
        );
    }

    #[test]
    fn what_stands_twice_is_told_and_what_differs_is_not() {
        let rule = "      - { alert: A, expr: up == 0, labels: { severity: warning, owner: a } }\n";
        check_rules(&format!("{rule}{rule}"), &["5:18 FD0471 another alert `A` with the same labels stands at r.yml:4"]);
        check_rules(&format!("{rule}{}", rule.replace("owner: a", "owner: b")), &[]);
        let record = "      - { record: 'a:b', expr: up }\n";
        check_rules(&format!("{record}{record}"), &["5:19 FD0471 `a:b` is recorded from the same expression at r.yml:4"]);
        check_rules(
            "      - { record: up, expr: memory }\n",
            &["4:19 FD0481 `up` is a metric that is scraped, and this rule records more series by that name"],
        );
    }

    #[test]
    fn counters_and_gauges_are_told_apart() {
        check("rate(memory[5m]) > 0", &["6:16 FD0472 `rate` is for counters, and `memory` is a gauge: every fall is taken for a restart"]);
        check(
            "delta(hits_total[5m]) > 0",
            &["6:16 FD0473 `delta` is for gauges, and `hits_total` is a counter: a restart is taken for a fall"],
        );
        check(
            "hits_total > 5",
            &["6:16 FD0486 `hits_total` is a counter: once it is above the number it stays so until its target restarts"],
        );
        check("rate(nobody_knows[5m]) > 0 and memory > 5", &[]);
        check(
            "lost_total > 5 or delta(lost_total[5m]) > 5",
            &[
                "6:16 FD0486 `lost_total` looks like a counter by its name: once it is above the number it stays so until its target restarts",
                "6:34 FD0473 `delta` is for gauges, and `lost_total` looks like a counter by its name: a restart is taken for a fall",
            ],
        );
        check("open_total > 5", &[]);
        check_rules(
            "      - { record: seen_total, expr: sum(up) }\n      - { alert: A, expr: seen_total > 5, labels: { severity: warning, owner: a } }\n",
            &[],
        );
        check("rate(sum(hits_total)[5m:1m]) > 0", &["6:16 FD0474 `rate` of a sum: one target's restart makes all of them count again"]);
        check_rules(
            "      - { record: 'a:b', expr: sum(hits_total) }\n      - { record: 'a:c', expr: 'rate(hits_total[5m])' }\n      \
             - { record: d, expr: 'rate(a:b[5m]) + rate(a:c[5m])' }\n",
            &[
                "6:29 FD0474 `rate` of `a:b`, a sum of counters recorded at r.yml:4: one target's restart makes all of them count again",
                "6:29 FD0475 `rate` of `a:c`, which is a rate already, recorded at r.yml:5: it falls, and each fall is taken for a restart",
            ],
        );
    }

    #[test]
    fn a_label_that_a_text_names_must_be_kept() {
        let alert = |expression: &str, text: &str| format!("        expr: '{expression}'\n        annotations: {{ summary: '{text}' }}\n");
        check_alert(
            &alert("sum by (job) (up) == 0", "{{ $labels.job }} and {{ $labels.pod }}"),
            &["7:59 FD0476 `$labels.pod` is always empty: what the expression yields has only job"],
        );
        check_alert(&alert("up == 0", "{{ $labels.pod }}"), &[]);
        check_alert(
            &alert("sum(up) == 0", "{{ if $labels.pod }}pod {{ $labels.pod }}{{ end }}{{ with $labels.job }}{{ . }}{{ end }}"),
            &[],
        );
        check_alert(
            &alert("sum(up) == 0", "{{ if $labels.pod }}x{{ end }}{{ $labels.pod }}"),
            &["7:67 FD0476 `$labels.pod` is always empty: what the expression yields has none"],
        );
        check_alert(
            &alert("sum(up) == 0", "{{ $labels.severity }}"),
            &["7:37 FD0476 `$labels.severity` is always empty: what the expression yields has none"],
        );
        check_alert(
            &alert("up == 0", "{{ (toTime $value).Weekday }}"),
            &["7:33 FD0484 this text of `A` cannot be filled in: a time's `.Weekday` is not known here"],
        );
        check_rules(
            "      - { record: 'a:b', expr: sum by (job) (up), labels: { tier: x } }\n      - alert: A\n        expr: a:b == 0\n        \
             labels: { severity: warning, owner: a }\n        annotations: { summary: '{{ $labels.tier }} {{ $labels.pod }}' }\n",
            &["8:56 FD0476 `$labels.pod` is always empty: what the expression yields has only job, tier"],
        );
    }

    #[test]
    fn habits_that_mislead_are_told() {
        check(
            "sum(up) / count(up) == 0.3",
            &["6:36 FD0478 a fraction is asked by `==` for exactly 0.3, which it misses by the last digits"],
        );
        check("absent(up)", &["6:16 FD0477 what is absent here has no label: the alert cannot say whose it is"]);
        check("changes(memory[5m])", &["6:15 FD0483 nothing here is compared: the alert is on whenever its series exist"]);
        check("memory > bool 5", &["6:25 FD0483 `bool` keeps what does not hold, as 0: the alert is on whenever its series exist"]);
        check(
            "(sum by (job) (up) or vector(0)) / sum by (job) (memory) > 1",
            &["6:38 FD0482 `or vector(…)` adds one element without labels, so `/` finds no partner for it where the others have labels"],
        );
    }

    #[test]
    fn a_finding_can_be_allowed_for_a_reason_and_no_further() {
        let rule = |comment: &str| {
            format!(
                "      # a word of its own\n      {comment}\n      - alert: A\n        expr: absent(up)\n        labels: {{ severity: warning, owner: a }}\n"
            )
        };
        check_rules(&rule("# firedrill: allow FD0477 there is one job"), &[]);
        check_rules(
            &rule("# firedrill: allow FD0477"),
            &[
                "7:15 FD0477 what is absent here has no label: the alert cannot say whose it is",
                "5:26 FD0485 this allows a finding and does not say why, so it is not followed",
            ],
        );
        check_rules(
            &rule("# firedrill: allow FD0477, FD0469 there is one job"),
            &["5:34 FD0485 this allows FD0469, and there is none to allow"],
        );
        check_rules(
            &rule("# firedrill: allow FD9477 there is one job"),
            &[
                "7:15 FD0477 what is absent here has no label: the alert cannot say whose it is",
                "5:26 FD0485 `FD9477` is the code of no lint of rules",
            ],
        );
        let other = "      - { alert: B, expr: up == 0, labels: { severity: warning, owner: a } } # firedrill: allow FD0477 not mine\n";
        check_rules(
            &format!("{other}{}", rule("")),
            &[
                "8:15 FD0477 what is absent here has no label: the alert cannot say whose it is",
                "4:97 FD0485 this allows FD0477, and there is none to allow",
            ],
        );
    }

    #[test]
    fn codes_are_in_order_and_each_is_once() {
        assert!(LINTS.windows(2).all(|pair| pair[0].code < pair[1].code), "codes stand in order, each once");
    }
}
