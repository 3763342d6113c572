//! Raw samples pulled out of a Prometheus: what rules and policies read, as it was scraped, with the markers of series that ended.
//!
//! A range selector in an instant query gives the samples as they are; a range query would give one a step, looked for up to five minutes back.
//! Neither gives staleness markers. So where a series has a gap, Prometheus is asked whether the series was seen in it: if not, a marker stood there.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::problem::Problem;
use firedrill_core::time::Start;
use firedrill_policies::rules::{RuleKind, RuleSet};
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use firedrill_telemetry::promql::{LOOKBACK_MS, Plan, Selector};
use firedrill_telemetry::store::{STALE, Store};

use crate::failure::Failure;
use crate::prometheus::{Answer, AnswerKind, Prometheus, Samples};

/// At most so many samples are asked for at once.
const MOST_AT_ONCE: u64 = 500_000;

/// At most so many moments are asked about for the gaps of one selector; what more there is counts as ended, which a gap nearly always means.
const MOST_PROBES: usize = 200;

/// What has no end to its reach, such as a series that is recorded from itself, is pulled for a day.
const LONGEST_BACK_MS: i64 = 86_400_000;

/// What rules and conditions read and the rules do not record themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each selector as it can be asked, with how long before the start its samples can matter, milliseconds.
    pub selectors: BTreeMap<String, i64>,
    /// The alerts that the rules make.
    pub alerts: BTreeSet<String>,
    /// What could not be made out, in sentences.
    pub notes: Vec<String>,
}

/// How much may be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series.
    pub series: u64,
    /// Samples.
    pub samples: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series: 20_000, samples: 20_000_000 }
    }
}

/// What was pulled.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    /// The samples that rules and policies read, series in the order of their birth.
    pub store: Store,
    /// What that Prometheus recorded of its alerts: `ALERTS` and `ALERTS_FOR_STATE`.
    pub alerts: Store,
    /// How many samples there are in `store`, markers left out.
    pub samples: u64,
    /// What is missing or was guessed, in sentences.
    pub notes: Vec<String>,
}

impl Wanted {
    /// By rules, and by the conditions of policies beside them.
    #[must_use]
    pub fn by<'a>(rules: &'a RuleSet, conditions: impl IntoIterator<Item = &'a Plan>) -> Self {
        let conditions: Vec<&Plan> = conditions.into_iter().collect();
        let (back, is_endless) = backs(rules, &conditions);
        let mut wanted = Self::default();
        if is_endless {
            wanted.notes.push("a rule looks back without an end; a day before the start was pulled for it".to_owned());
        }
        for (name, plan) in readers(rules, &conditions) {
            let behind = name.map_or(0, |name| back.get(name).copied().unwrap_or(0));
            for selector in plan.selectors() {
                wanted.add(selector, behind, &back);
            }
        }
        let alerting = rules.rules().filter(|(_, rule)| rule.is_alerting());
        wanted.alerts = alerting.map(|(_, rule)| rule.name.to_string()).collect();
        wanted
    }

    fn add(&mut self, selector: &Selector, behind_ms: i64, recorded: &BTreeMap<&str, i64>) {
        let metric = selector.metric();
        if metric.is_some_and(|metric| recorded.contains_key(metric) || is_of_alerts(metric)) {
            return;
        }
        // Matchers that wait for an alert's label are left out: any alert may come.
        if selector.matchers().iter().all(|matcher| matcher.matches("")) {
            self.notes.push("a condition reads any series at all, by labels of the alert alone; its samples were not pulled".to_owned());
            return;
        }
        let matchers: Vec<String> = selector.matchers().iter().map(ToString::to_string).collect();
        let text = format!("{{{}}}", matchers.join(","));
        let own_ms = Some(selector.lookback_ms()).filter(|own_ms| *own_ms < i64::MAX).unwrap_or(LONGEST_BACK_MS);
        let reach_ms = own_ms.max(LOOKBACK_MS).saturating_add(behind_ms);
        let own = self.selectors.entry(text).or_default();
        *own = reach_ms.max(*own);
    }
}

/// What a rule set records of itself, and of every rule that its plan reads; `None` stands for a policy.
fn readers<'a>(rules: &'a RuleSet, conditions: &[&'a Plan]) -> Vec<(Option<&'a str>, &'a Plan)> {
    let of_rules = rules.rules().filter_map(|(_, rule)| {
        let name = (rule.kind == RuleKind::Recording).then(|| rule.name.as_str());
        Some((name, rule.plan.as_ref().ok()?))
    });
    of_rules.chain(conditions.iter().map(|plan| (None, *plan))).collect()
}

/// For each recorded series, how long before the start its own samples can matter; and whether that has no end somewhere.
fn backs<'a>(rules: &'a RuleSet, conditions: &[&'a Plan]) -> (BTreeMap<&'a str, i64>, bool) {
    let recording = rules.rules().filter(|(_, rule)| rule.kind == RuleKind::Recording);
    let mut back: BTreeMap<&str, i64> = recording.map(|(_, rule)| (rule.name.as_str(), 0)).collect();
    let readers = readers(rules, conditions);
    let mut is_endless = false;
    // A chain is no longer than there are series in it; what still grows after that is a ring.
    for _ in 0..=back.len() {
        let mut has_grown = false;
        for (name, plan) in &readers {
            let behind = name.map_or(0, |name| back[name]);
            for selector in plan.selectors() {
                let Some(own) = selector.metric().and_then(|metric| back.get_mut(metric)) else { continue };
                let reach = selector.lookback_ms().saturating_add(behind);
                is_endless |= reach > LONGEST_BACK_MS && selector.lookback_ms() == i64::MAX;
                let reach = reach.min(7 * LONGEST_BACK_MS);
                has_grown |= reach > *own;
                *own = reach.max(*own);
            }
        }
        if !has_grown {
            return (back, is_endless);
        }
    }
    back.values_mut().for_each(|own| *own = (*own).min(LONGEST_BACK_MS));
    (back, true)
}

fn is_of_alerts(metric: &str) -> bool {
    matches!(metric, "ALERTS" | "ALERTS_FOR_STATE")
}

/// Pulls what is wanted between two instants, milliseconds since 1970, and before them as far as it can matter. `tell` hears what is being pulled.
///
/// # Errors
/// Prometheus does not answer, or there is more than is allowed: nothing is kept then.
pub fn pull(
    prometheus: &Prometheus,
    wanted: &Wanted,
    (from_ms, to_ms): (i64, i64),
    limits: Limits,
    tell: &mut dyn FnMut(&str),
) -> Result<Pulled, Failure> {
    let mut puller = Puller { prometheus, to_ms, limits, histograms: 0, found: BTreeMap::new(), samples: 0, notes: wanted.notes.clone() };
    let recorded = recorded_alerts(wanted);
    for (selector, back_ms) in &wanted.selectors {
        tell(selector);
        puller.pull(selector, from_ms.saturating_sub(*back_ms))?;
    }
    puller.found.retain(|labels, _| !labels.metric_name().is_some_and(is_of_alerts));
    let (store, samples) = (store_of(std::mem::take(&mut puller.found)), puller.samples);
    for selector in recorded {
        puller.pull(&selector, from_ms)?;
    }
    let alerts = store_of(std::mem::take(&mut puller.found));
    if puller.histograms > 0 {
        puller.notes.push(format!("{} series of native histograms were left out: they cannot be evaluated yet", puller.histograms));
    }
    Ok(Pulled { store, alerts, samples, notes: puller.notes })
}

/// The selectors of what Prometheus records of the alerts of these rules.
fn recorded_alerts(wanted: &Wanted) -> Vec<String> {
    let names: Vec<String> = wanted.alerts.iter().map(|name| regex::escape(name).replace('\\', "\\\\").replace('"', "\\\"")).collect();
    let selector = |metric: &str| format!("{{{METRIC_NAME}=\"{metric}\",alertname=~\"{}\"}}", names.join("|"));
    if names.is_empty() { Vec::new() } else { ["ALERTS", "ALERTS_FOR_STATE"].map(selector).to_vec() }
}

struct Puller<'a> {
    prometheus: &'a Prometheus,
    to_ms: i64,
    limits: Limits,
    histograms: u64,
    found: BTreeMap<Labels, Vec<(i64, f64)>>,
    samples: u64,
    notes: Vec<String>,
}

impl Puller<'_> {
    /// Pulls the samples of a selector after `from_ms` and up to the end.
    fn pull(&mut self, selector: &str, from_ms: i64) -> Result<(), Failure> {
        let length_ms = self.to_ms.saturating_sub(from_ms).max(1);
        let counted = self.prometheus.query(&format!("sum(count_over_time({selector}[{length_ms}ms]))"), Some(self.to_ms))?;
        is_whole(selector, &counted)?;
        let count = counted.series.first().and_then(|series| series.samples.first()).map_or(0, |(_, count)| *count as u64);
        if count == 0 && !selector.contains("ALERTS") {
            self.notes.push(format!("nothing was recorded of {selector}"));
        }
        if self.samples.saturating_add(count) > self.limits.samples {
            return Err(self.too_much("samples", self.samples.saturating_add(count), self.limits.samples));
        }
        let windows = i64::try_from(count.div_ceil(MOST_AT_ONCE)).unwrap_or(1).clamp(1, length_ms);
        let mut pulled: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        if count > 0 {
            // From an end to the next: windows are open at their beginning and closed at their end.
            let edge = |number: i64| from_ms + i64::try_from(i128::from(length_ms) * i128::from(number) / i128::from(windows)).unwrap_or(0);
            for number in 0..windows {
                let (begin, end) = (edge(number), edge(number + 1));
                let answer = self.prometheus.query(&format!("{selector}[{}ms]", end - begin), Some(end))?;
                self.histograms += if number == 0 { answer.histograms } else { 0 };
                checked(selector, (begin, end), answer)?.into_iter().for_each(|series| append(&mut pulled, series));
            }
        }
        let series = (self.found.len() + pulled.len()) as u64;
        if series > self.limits.series {
            return Err(self.too_much("series", series, self.limits.series));
        }
        self.mark_ends(selector, &mut pulled)?;
        for (labels, samples) in pulled {
            if let std::collections::btree_map::Entry::Vacant(vacant) = self.found.entry(labels.clone()) {
                self.samples += samples.len() as u64;
                vacant.insert(samples);
            } else if let Some(known) = self.found.get_mut(&labels).filter(|known| known.len() < samples.len()) {
                // The same series by another selector that looks further back.
                *known = samples;
            }
        }
        Ok(())
    }

    fn too_much(&self, what: &str, found: u64, most: u64) -> Failure {
        let message = format!("the rules read at least {found} {what} of {} in this time, and {most} are allowed", self.prometheus.url());
        Failure::Input(vec![
            Problem::in_file("FD0879", "the recording", message)
                .remedy(format!("take a shorter stretch or fewer rules, or allow more with `--most-{what}`")),
        ])
    }

    /// Puts a marker into each gap in which Prometheus did not see the series.
    fn mark_ends(&self, selector: &str, pulled: &mut BTreeMap<Labels, Vec<(i64, f64)>>) -> Result<(), Failure> {
        let usual = interval(pulled.values().map(Vec::as_slice));
        let mut gaps: Vec<Gap> = Vec::new();
        for (labels, samples) in &*pulled {
            let own = interval(std::iter::once(samples.as_slice())).or(usual).unwrap_or(LOOKBACK_MS);
            gaps.extend(gaps_of(labels, samples, own, self.to_ms));
        }
        gaps.sort_by_key(|gap| gap.until_ms);
        let mut seen: Option<(i64, BTreeSet<Labels>)> = None;
        let mut probes = 0;
        for gap in &gaps {
            let is_covered = seen.as_ref().is_some_and(|(at_ms, _)| (gap.from_ms..=gap.until_ms).contains(at_ms));
            if !is_covered && probes < MOST_PROBES {
                probes += 1;
                let answer = self.prometheus.query(selector, Some(gap.until_ms))?;
                is_whole(selector, &answer)?;
                seen = Some((gap.until_ms, answer.series.into_iter().map(|series| series.labels).collect()));
            }
            let told = seen.as_ref().filter(|(at_ms, _)| (gap.from_ms..=gap.until_ms).contains(at_ms));
            if !told.is_some_and(|(_, labels)| labels.contains(&gap.labels)) {
                let samples = pulled.get_mut(&gap.labels).expect("a gap is of a series that was pulled");
                let place = samples.partition_point(|(at_ms, _)| *at_ms < gap.marker_ms);
                samples.insert(place, (gap.marker_ms, STALE));
            }
        }
        Ok(())
    }
}

/// That nothing is missing in an answer.
///
/// # Errors
/// Prometheus says itself that something may be, as where a store of several did not answer.
pub fn is_whole(selector: &str, answer: &Answer) -> Result<(), Failure> {
    answer.missing.as_ref().map_or(Ok(()), |told| Err(untrue(selector, &format!("it is not whole: {told}"))))
}

/// The series of an answer with their samples, those that stand there twice left out.
///
/// # Errors
/// They are no samples of what was asked for: other series, samples of other times, out of order, or two at one time. What was recorded nobody can tell then.
pub fn checked(selector: &str, (from_ms, to_ms): (i64, i64), answer: Answer) -> Result<Vec<Samples>, Failure> {
    is_whole(selector, &answer)?;
    if answer.kind != AnswerKind::Matrix {
        return Err(untrue(selector, "it is no stretch of samples"));
    }
    let asked = Plan::parse(selector).ok();
    let matchers = asked.as_ref().and_then(|plan| plan.selectors().first()).map_or(&[][..], Selector::matchers);
    let mut known = BTreeSet::new();
    let mut all = answer.series;
    for series in &mut all {
        let Samples { labels, samples, .. } = series;
        if !matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return Err(untrue(selector, &format!("it holds {labels}, which was not asked for")));
        }
        if !known.insert(labels.clone()) {
            return Err(untrue(selector, &format!("it holds {labels} twice")));
        }
        samples.dedup_by(|next, last| next.0 == last.0 && next.1.to_bits() == last.1.to_bits());
        let at = |at_ms: i64| Start::from_unix_millis(at_ms);
        if let Some(pair) = samples.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
            let what = if pair[1].0 == pair[0].0 { "two samples at" } else { "a sample out of order at" };
            return Err(untrue(selector, &format!("{labels} has {what} {}", at(pair[1].0))));
        }
        if let Some((other, _)) = samples.iter().find(|(at_ms, _)| *at_ms < from_ms || *at_ms > to_ms) {
            let (from, to) = (at(from_ms), at(to_ms));
            return Err(untrue(selector, &format!("{labels} has a sample at {}, and {from} to {to} was asked for", at(*other))));
        }
    }
    Ok(all)
}

fn untrue(selector: &str, why: &str) -> Failure {
    let message = format!("what Prometheus answers to {selector} cannot be taken for what was recorded: {why}");
    Failure::Input(vec![Problem::in_file("FD0884", "the recording", message).remedy(
        "ask the Prometheus that has the samples itself, not something that answers in its place or leaves some out; nothing was written",
    )])
}

/// Adds samples that are newer than those that are there: of two windows that are closed on both sides the edge comes twice.
fn append(pulled: &mut BTreeMap<Labels, Vec<(i64, f64)>>, series: Samples) {
    let known = pulled.entry(series.labels).or_default();
    let last = known.last().map_or(i64::MIN, |(at_ms, _)| *at_ms);
    known.extend(series.samples.into_iter().filter(|(at_ms, _)| *at_ms > last));
}

/// A time in which a series has no samples though it should.
struct Gap {
    labels: Labels,
    /// From when on the absence of the series says that it had ended.
    from_ms: i64,
    /// Until when.
    until_ms: i64,
    /// When its next sample was due.
    marker_ms: i64,
}

/// The gaps of a series whose samples come every `interval_ms`; after five minutes it is not seen any more whether there was a marker or not.
fn gaps_of(labels: &Labels, samples: &[(i64, f64)], interval_ms: i64, to_ms: i64) -> Vec<Gap> {
    let nexts = samples.iter().skip(1).map(|(at_ms, _)| at_ms - 1).chain([to_ms]);
    let gap = |((last_ms, _), next_ms): (&(i64, f64), i64)| {
        let from_ms = last_ms + interval_ms + interval_ms / 2;
        let until_ms = next_ms.min(last_ms + LOOKBACK_MS - 1);
        (from_ms <= until_ms).then(|| Gap { labels: labels.clone(), from_ms, until_ms, marker_ms: last_ms + interval_ms })
    };
    samples.iter().zip(nexts).filter_map(gap).collect()
}

/// The median time from one sample to the next.
fn interval<'a>(series: impl Iterator<Item = &'a [(i64, f64)]>) -> Option<i64> {
    let mut steps: Vec<i64> = series.flat_map(|samples| samples.windows(2).map(|pair| pair[1].0 - pair[0].0)).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied()
}

/// A store with series in the order of their birth.
fn store_of(found: BTreeMap<Labels, Vec<(i64, f64)>>) -> Store {
    let mut all: Vec<(Labels, Vec<(i64, f64)>)> = found.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
    all.sort_by_key(|(_, samples)| samples[0].0);
    let mut store = Store::new();
    for (labels, samples) in all {
        let id = store.series(&labels);
        for (at_ms, value) in samples {
            store.append(id, at_ms, value).expect("samples are in order of time");
        }
    }
    store
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::{Exchange, Reply, Trouble};

    fn rules(lines: &[&str]) -> std::sync::Arc<RuleSet> {
        let text: String = lines.iter().map(|line| format!("      - {line}\n")).collect();
        RuleSet::read([("r.yml", format!("groups:\n  - name: g\n    rules:\n{text}").as_str())]).unwrap()
    }

    #[track_caller]
    fn check_wanted(lines: &[&str], condition: &str, expected: &[(&str, i64)]) {
        let (rules, condition) = (rules(lines), Plan::parse_with_parameters(condition).unwrap());
        let wanted = Wanted::by(&rules, [&condition]);
        let minutes: Vec<(&str, i64)> = wanted.selectors.iter().map(|(text, back)| (text.as_str(), back / 60_000)).collect();
        assert_eq!(minutes, expected);
    }

    #[test]
    fn what_is_read_and_not_recorded_is_pulled_as_far_back_as_it_can_matter() {
        check_wanted(
            &["{ record: 'j:r', expr: 'sum by (job) (rate(x{code=~\"5..\"}[10m]))' }", "{ alert: A, expr: 'avg_over_time(j:r[1h]) > 1' }"],
            "up{pod=$pod} == 1 and ALERTS{alertname=\"A\"}",
            &[("{__name__=\"up\"}", 5), ("{__name__=\"x\",code=~\"5..\"}", 70)],
        );
        check_wanted(
            &["{ alert: A, expr: 'y offset 1w > 1' }"],
            "{job=\"a\"}",
            &[("{__name__=\"y\"}", 7 * 24 * 60 + 5), ("{job=\"a\"}", 5)],
        );
    }

    /// The samples of an answer, or what is wrong with it.
    #[track_caller]
    fn check_answer(series: &str, rest: &str, expected: Result<&[(i64, f64)], &str>) {
        #[derive(Debug)]
        struct Canned(String);
        impl Exchange for Canned {
            fn exchange(&self, _: &str, _: &[(&str, String)]) -> Result<Reply, Trouble> {
                Ok(Reply { status: 200, body: self.0.clone().into_bytes() })
            }
        }
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}{rest}}}"#);
        let answer = Prometheus::over("http://p", std::sync::Arc::new(Canned(body))).query("x", None).unwrap();
        let found = checked("{__name__=\"x\",job=~\"a|b\"}", (1_000, 9_000), answer);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.iter().flat_map(|own| own.samples.clone()).collect::<Vec<_>>(), expected),
            (Err(Failure::Input(problems)), Err(expected)) => {
                assert_eq!(problems[0].code, "FD0884");
                assert!(problems[0].message.ends_with(expected), "{}", problems[0].message);
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_refused_by_name() {
        let series = |values: &str| format!(r#"{{"metric":{{"__name__":"x","job":"a"}},"values":[{values}]}}"#);
        check_answer(&series(r#"[1,"1"],[2,"2"],[9,"NaN"]"#).replace("NaN", "3"), "", Ok(&[(1_000, 1.0), (2_000, 2.0), (9_000, 3.0)]));
        check_answer(&series(r#"[1,"1"],[1,"1"],[2,"2"]"#), "", Ok(&[(1_000, 1.0), (2_000, 2.0)]));
        check_answer(&series(r#"[1,"1"],[1,"5"]"#), "", Err("x{job=\"a\"} has two samples at 1970-01-01T00:00:01Z"));
        check_answer(&series(r#"[2,"1"],[1,"5"]"#), "", Err("x{job=\"a\"} has a sample out of order at 1970-01-01T00:00:01Z"));
        check_answer(
            &series(r#"[1,"1"],[10,"5"]"#),
            "",
            Err("has a sample at 1970-01-01T00:00:10Z, and 1970-01-01T00:00:01Z to 1970-01-01T00:00:09Z was asked for"),
        );
        check_answer(&series(r#"[1,"1"]"#).replace("\"a\"", "\"c\""), "", Err("it holds x{job=\"c\"}, which was not asked for"));
        check_answer(&[series(r#"[1,"1"]"#), series(r#"[2,"1"]"#)].join(","), "", Err("it holds x{job=\"a\"} twice"));
        check_answer(&series(r#"[1,"1"]"#), r#","warnings":["no store"]"#, Err("it is not whole: no store"));
    }

    #[test]
    fn what_has_no_end_is_told() {
        let ring = rules(&["{ record: 'r', expr: 'x + r offset 1m' }"]);
        assert_eq!(Wanted::by(&ring, []).notes.len(), 1);
        let any = Plan::parse_with_parameters("{pod=$pod}").unwrap();
        let wanted = Wanted::by(&rules(&["{ alert: A, expr: x }"]), [&any]);
        assert!(wanted.notes[0].starts_with("a condition reads any series"), "{:?}", wanted.notes);
    }

    #[test]
    fn a_gap_is_as_long_as_it_says_something() {
        let labels = Labels::named("x", &[]);
        let samples = [(0, 1.0), (15_000, 1.0), (60_000, 1.0), (75_000, 1.0)];
        let told = |to_ms| {
            let gaps = gaps_of(&labels, &samples, 15_000, to_ms);
            gaps.iter().map(|gap| (gap.marker_ms, gap.from_ms, gap.until_ms)).collect::<Vec<_>>()
        };
        assert_eq!(told(90_000), [(30_000, 37_500, 59_999)]);
        assert_eq!(told(1_000_000), [(30_000, 37_500, 59_999), (90_000, 97_500, 374_999)]);
    }
}
