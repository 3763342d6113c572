//! All series that there can be somewhere, told by the shapes of their label sets; what no shape admits can never be found.
//!
//! A universe errs on one side only: it may admit series that never come, and never leaves out one that can.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::labels::{Labels, METRIC_NAME, MatchOp, Matcher};

/// How many numbers are tried for a numbered value. Replicas are counted up over a run and never come near it.
const NUMBERS: u32 = 2_000;

/// At most so many shapes of one metric; beyond it everything is admitted.
const MOST_SHAPES: usize = 5_000;

/// What the value of a label can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// This one.
    Exactly(Arc<str>),
    /// One of these; sorted and not empty.
    OneOf(Arc<[Arc<str>]>),
    /// A whole number between two texts, as in `api-3:8080`.
    Numbered {
        /// What stands before the number.
        before: Arc<str>,
        /// What stands after it; may be empty.
        after: Arc<str>,
    },
    /// Anything; the label may also be absent.
    Anything,
}

/// What a label set can be: what each label can hold. Labels that it does not name are absent, unless it is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Shape {
    labels: BTreeMap<Arc<str>, Held>,
    open: bool,
}

/// The shapes of all series that there can be, by metric.
#[derive(Debug, Clone, Default)]
pub struct Universe {
    metrics: BTreeMap<Arc<str>, BTreeSet<Shape>>,
    kinds: BTreeMap<Arc<str>, Kind>,
    /// The least and the most that values can be.
    ranges: BTreeMap<Arc<str>, (f64, f64)>,
    /// The least time between two samples of a series, milliseconds.
    intervals: BTreeMap<Arc<str>, i64>,
}

/// What the value of a metric's series does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It grows, and begins again with its target; the parts of a histogram are counters too.
    Counter,
    /// It rises and falls.
    Gauge,
}

impl Kind {
    /// What the end of a name says by the conventions of Prometheus: those of counters and of the parts of histograms. `None` if it says
    /// nothing, which most gauges' names do.
    #[must_use]
    pub fn told_by_name(metric: &str) -> Option<Kind> {
        const COUNTERS: [&str; 2] = ["_total", "_bucket"];
        COUNTERS.iter().any(|end| metric.ends_with(end)).then_some(Kind::Counter)
    }
}

/// Why nothing can satisfy a list of matchers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// No series has this metric's name.
    Metric {
        /// The name.
        metric: String,
    },
    /// No series of the metric has this label.
    Label {
        /// The metric's name.
        metric: String,
        /// The label that is asked for.
        label: String,
        /// The labels that its series have, sorted.
        carried: Vec<String>,
    },
    /// The metric's series have the label, and never such a value.
    Value {
        /// The metric's name.
        metric: String,
        /// The matcher as it is written.
        matcher: String,
        /// The label that is asked for.
        label: String,
        /// The value that is asked for by `=`; `None` for the other operators.
        wanted: Option<String>,
        /// What the label can hold, sorted.
        held: Vec<String>,
    },
    /// Each matcher finds series, and no series satisfies all of them.
    Together {
        /// The metric's name, if one is asked for.
        metric: Option<String>,
        /// The other matchers as they are written.
        matchers: Vec<String>,
    },
}

impl Held {
    /// Whether a value can satisfy a matcher.
    #[must_use]
    pub fn satisfies(&self, matcher: &Matcher) -> bool {
        match self {
            Held::Exactly(value) => matcher.matches(value),
            Held::OneOf(values) => values.iter().any(|value| matcher.matches(value)),
            Held::Numbered { before, after } => numbered_satisfies(before, after, matcher),
            Held::Anything => true,
        }
    }

    /// Whether both can hold the same value; `None` is an absent label.
    #[must_use]
    pub fn meets(left: Option<&Held>, right: Option<&Held>) -> bool {
        match (left, right) {
            (None, None) | (Some(Held::Anything), _) | (_, Some(Held::Anything)) => true,
            (None, _) | (_, None) => false,
            (Some(left), Some(right)) => left.shares(right),
        }
    }

    fn shares(&self, other: &Held) -> bool {
        match (self, other) {
            (Held::Exactly(value), other) | (other, Held::Exactly(value)) => other.admits(value),
            (Held::OneOf(values), other) | (other, Held::OneOf(values)) => values.iter().any(|value| other.admits(value)),
            (Held::Numbered { before, after }, Held::Numbered { before: other, after: beyond }) => {
                let begins = before.starts_with(&**other) || other.starts_with(&**before);
                begins && (after.ends_with(&**beyond) || beyond.ends_with(&**after))
            }
            (Held::Anything, _) | (_, Held::Anything) => true,
        }
    }

    fn admits(&self, value: &str) -> bool {
        match self {
            Held::Exactly(own) => **own == *value,
            Held::OneOf(values) => values.iter().any(|own| **own == *value),
            Held::Numbered { before, after } => {
                let number = value.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            }
            Held::Anything => true,
        }
    }

    /// The values in words, one entry each.
    fn told(&self) -> Vec<String> {
        match self {
            Held::OneOf(values) => values.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

/// Whether any of the numbered values satisfies a matcher. Equality is asked of most series that there are, and needs no trying.
fn numbered_satisfies(before: &str, after: &str, matcher: &Matcher) -> bool {
    let number = |value: &str| value.strip_prefix(before)?.strip_suffix(after)?.parse::<u32>().ok();
    match matcher.op {
        MatchOp::Equal => {
            let number = number(&matcher.value).filter(|number| *number < NUMBERS);
            number.is_some_and(|number| *matcher.value == *format!("{before}{number}{after}"))
        }
        MatchOp::NotEqual => true,
        MatchOp::Matches(_) | MatchOp::MatchesNot(_) => {
            let mut value = String::with_capacity(before.len() + after.len() + 4);
            (0..NUMBERS).any(|number| {
                value.clear();
                value.push_str(before);
                value.push_str(&number.to_string());
                value.push_str(after);
                matcher.matches(&value)
            })
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Exactly(value) => f.write_str(value),
            Held::OneOf(values) => f.write_str(&values.join(" or ")),
            Held::Numbered { before, after } => write!(f, "{before}N{after}"),
            Held::Anything => f.write_str("anything"),
        }
    }
}

impl Shape {
    /// The shape of one label set alone.
    #[must_use]
    pub fn of(labels: &Labels) -> Shape {
        let labels = labels.iter().map(|(name, value)| (name.clone(), Held::Exactly(value.clone())));
        Shape { labels: labels.collect(), open: false }
    }

    /// The shape of every label set.
    #[must_use]
    pub fn anything() -> Shape {
        Shape { labels: BTreeMap::new(), open: true }
    }

    /// What a label can hold; `None` if it is always absent.
    #[must_use]
    pub fn held(&self, name: &str) -> Option<&Held> {
        self.labels.get(name).or(if self.open { Some(&Held::Anything) } else { None })
    }

    /// The labels that it names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.labels.keys()
    }

    /// Says what a label holds; an empty text removes it.
    pub fn put(&mut self, name: impl Into<Arc<str>>, held: Held) {
        let name = name.into();
        match held {
            Held::Exactly(value) if value.is_empty() => self.remove(&name),
            held => {
                self.labels.insert(name, held);
            }
        }
    }

    /// Removes a label. Of an open shape it is no longer known then, which admits more and so is no lie.
    pub fn remove(&mut self, name: &str) {
        self.labels.remove(name);
    }

    /// The same with the named labels that the predicate accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Shape {
        let labels = self.labels.iter().filter(|(name, _)| keep(name)).map(|(name, held)| (name.clone(), held.clone()));
        Shape { labels: labels.collect(), open: self.open }
    }

    /// Whether a label set of this shape can satisfy a matcher.
    #[must_use]
    pub fn satisfies(&self, matcher: &Matcher) -> bool {
        self.held(&matcher.name).map_or_else(|| matcher.matches(""), |held| held.satisfies(matcher))
    }

    /// Whether both can be the same label set.
    #[must_use]
    pub fn meets(&self, other: &Shape) -> bool {
        let alike = |name: &Arc<str>| Held::meets(self.held(name), other.held(name));
        self.names().all(alike) && other.names().all(alike)
    }

    /// The part of the shape that satisfies the matchers; `None` if there is none.
    fn narrowed(&self, matchers: &[Matcher]) -> Option<Shape> {
        if !matchers.iter().all(|matcher| self.satisfies(matcher)) {
            return None;
        }
        let mut shape = self.clone();
        for matcher in matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal)) {
            shape.put(matcher.name.clone(), Held::Exactly(matcher.value.clone()));
        }
        Some(shape)
    }
}

impl Universe {
    /// A universe without series.
    #[must_use]
    pub fn new() -> Universe {
        Universe::default()
    }

    /// Admits the series of a metric that have this shape. Whether that was news.
    pub fn add(&mut self, metric: &str, mut shape: Shape) -> bool {
        shape.put(METRIC_NAME, Held::Exactly(metric.into()));
        if let Some(shapes) = self.metrics.get_mut(metric) {
            if shapes.len() >= MOST_SHAPES && !shapes.contains(&shape) {
                shape = Shape::anything();
                shape.put(METRIC_NAME, Held::Exactly(metric.into()));
            }
            return shapes.insert(shape);
        }
        self.metrics.insert(metric.into(), BTreeSet::from([shape]));
        true
    }

    /// Says what kind a metric is of.
    pub fn declare(&mut self, metric: &str, kind: Kind) {
        self.kinds.insert(metric.into(), kind);
    }

    /// What kind a metric is of, if that was said.
    #[must_use]
    pub fn kind(&self, metric: &str) -> Option<Kind> {
        self.kinds.get(metric).copied()
    }

    /// Says that the values of a metric are never NaN, nor less than one number or more than another.
    ///
    /// # Panics
    /// The least is more than the most.
    pub fn limit(&mut self, metric: &str, least: f64, most: f64) {
        assert!(least <= most, "a range has numbers in it");
        self.ranges.insert(metric.into(), (least, most));
    }

    /// Says that the values of a metric can be any, at any times.
    pub fn unlimit(&mut self, metric: &str) {
        self.ranges.remove(metric);
        self.intervals.remove(metric);
    }

    /// Says that the series of all metrics that are known by now have samples at least so many milliseconds apart.
    pub fn sampled_every(&mut self, every_ms: i64) {
        self.intervals = self.metrics.keys().map(|metric| (Arc::clone(metric), every_ms)).collect();
    }

    /// The least time between two samples of a metric's series, milliseconds, if that was said.
    #[must_use]
    pub fn interval_ms(&self, metric: &str) -> Option<i64> {
        self.intervals.get(metric).copied()
    }

    /// The least and the most that the values of a metric can be, if that was said.
    #[must_use]
    pub fn range(&self, metric: &str) -> Option<(f64, f64)> {
        self.ranges.get(metric).copied()
    }

    /// The names of all metrics, sorted.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(|name| &**name)
    }

    /// The shapes of a metric's series.
    pub fn shapes(&self, metric: &str) -> impl Iterator<Item = &Shape> {
        self.metrics.get(metric).into_iter().flatten()
    }

    /// The shapes of the series that satisfy all matchers and have all of the labels in `present`, whatever their values.
    ///
    /// # Errors
    /// There can be no such series, for this reason.
    pub fn find(&self, matchers: &[Matcher], present: &[&str]) -> Result<Vec<Shape>, Missing> {
        let is_name = |matcher: &&Matcher| *matcher.name == *METRIC_NAME && matches!(matcher.op, MatchOp::Equal);
        let metric = matchers.iter().find(is_name).map(|matcher| &*matcher.value);
        let candidates: Vec<&Shape> = match metric {
            Some(metric) => self.shapes(metric).collect(),
            None => self.metrics.values().flatten().collect(),
        };
        let has_all = |shape: &&&Shape| present.iter().all(|label| shape.held(label).is_some());
        let found: Vec<Shape> = candidates.iter().filter(has_all).filter_map(|shape| shape.narrowed(matchers)).collect();
        if found.is_empty() { Err(missing(metric, &candidates, matchers, present)) } else { Ok(found) }
    }
}

fn missing(metric: Option<&str>, candidates: &[&Shape], matchers: &[Matcher], present: &[&str]) -> Missing {
    let others = matchers.iter().filter(|matcher| metric.is_none() || *matcher.name != *METRIC_NAME).map(ToString::to_string).collect();
    let metric = metric.map(str::to_owned);
    let together = Missing::Together { metric: metric.clone(), matchers: others };
    let Some(metric) = metric else { return together };
    if candidates.is_empty() {
        return Missing::Metric { metric };
    }
    let nobody_has = |label: &str| candidates.iter().all(|shape| shape.held(label).is_none());
    let never = |matcher: &&Matcher| !candidates.iter().any(|shape| shape.satisfies(matcher));
    let matcher = matchers.iter().find(never);
    let unknown = matcher.map(|matcher| &*matcher.name).into_iter().chain(present.iter().copied()).find(|label| nobody_has(label));
    if let Some(label) = unknown {
        let carried: BTreeSet<&Arc<str>> =
            candidates.iter().flat_map(|shape| shape.names()).filter(|name| ***name != *METRIC_NAME).collect();
        return Missing::Label { metric, label: label.to_owned(), carried: carried.into_iter().map(ToString::to_string).collect() };
    }
    let Some(matcher) = matcher else { return together };
    let held: BTreeSet<String> = candidates.iter().filter_map(|shape| shape.held(&matcher.name)).flat_map(Held::told).collect();
    let wanted = matches!(matcher.op, MatchOp::Equal).then(|| matcher.value.to_string());
    Missing::Value { metric, matcher: matcher.to_string(), label: matcher.name.to_string(), wanted, held: held.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{parse_matchers, parse_series};

    fn universe() -> Universe {
        let mut universe = Universe::new();
        for text in [r#"requests{code="200", handler="a"}"#, r#"requests{code="500", handler="b"}"#] {
            universe.add("requests", Shape::of(&parse_series(text).expect("a series")));
        }
        let mut up = Shape::of(&parse_series(r#"up{job="api"}"#).expect("a series"));
        up.put("pod", Held::Numbered { before: "api-".into(), after: "".into() });
        up.put("zone", Held::OneOf(["a".into(), "b".into()].into()));
        universe.add("up", up);
        universe
    }

    #[track_caller]
    fn check(matchers: &str, present: &[&str], expected: Result<usize, Missing>) {
        let matchers = parse_matchers(matchers).expect("matchers");
        assert_eq!(universe().find(&matchers, present).map(|shapes| shapes.len()), expected, "{matchers:?}");
    }

    #[test]
    fn what_can_be_is_found() {
        check(r#"__name__="requests""#, &[], Ok(2));
        check(r#"__name__="requests",code=~"5..""#, &[], Ok(1));
        check(r#"__name__=~"up|requests""#, &["code"], Ok(2));
        check(r#"__name__="up",pod="api-17",zone="b",none="""#, &["pod"], Ok(1));
        check(r#"__name__="up",pod!="api-17""#, &["pod"], Ok(1));
        check(r#"__name__="up",pod=~"api-1[78]""#, &["pod"], Ok(1));
    }

    #[test]
    fn what_cannot_be_is_told_from_what_is_there() {
        let metric = "requests".to_owned();
        check(r#"__name__="nope""#, &[], Err(Missing::Metric { metric: "nope".to_owned() }));
        let label = |label: &str| Missing::Label {
            metric: "requests".to_owned(),
            label: label.to_owned(),
            carried: vec!["code".to_owned(), "handler".to_owned()],
        };
        check(r#"__name__="requests",status=~"5..""#, &[], Err(label("status")));
        check(r#"__name__="requests""#, &["service"], Err(label("service")));
        let held = vec!["200".to_owned(), "500".to_owned()];
        let value = Missing::Value { metric, matcher: r#"code=~"4..""#.to_owned(), label: "code".to_owned(), wanted: None, held };
        check(r#"__name__="requests",code=~"4..""#, &[], Err(value));
        let matchers = vec![r#"code="200""#.to_owned(), r#"handler="b""#.to_owned()];
        let together = Missing::Together { metric: Some("requests".to_owned()), matchers };
        check(r#"__name__="requests",code="200",handler="b""#, &[], Err(together));
        let value = Missing::Value {
            metric: "up".to_owned(),
            matcher: r#"pod=~"web-.*""#.to_owned(),
            label: "pod".to_owned(),
            wanted: None,
            held: vec!["api-N".to_owned()],
        };
        check(r#"__name__="up",pod=~"web-.*""#, &[], Err(value));
        for not_numbered in ["api-x", "api-007", "api-2000", "api-", "api--1"] {
            let matchers = parse_matchers(&format!("__name__=\"up\",pod=\"{not_numbered}\"")).expect("matchers");
            assert!(matches!(universe().find(&matchers, &[]), Err(Missing::Value { .. })), "{not_numbered}");
        }
    }

    #[test]
    fn a_value_can_be_shared_or_it_cannot() {
        let one = |text: &str| Held::Exactly(text.into());
        let numbered = |before: &str, after: &str| Held::Numbered { before: before.into(), after: after.into() };
        let check = |left: &Held, right: &Held, expected: bool| {
            assert_eq!(Held::meets(Some(left), Some(right)), expected, "{left} {right}");
            assert_eq!(Held::meets(Some(right), Some(left)), expected, "{right} {left}");
        };
        check(&one("a"), &one("b"), false);
        check(&one("api-3"), &numbered("api-", ""), true);
        check(&one("api-x"), &numbered("api-", ""), false);
        check(&numbered("api-", ":80"), &numbered("api-", ":81"), false);
        check(&numbered("api-", ""), &numbered("api-1", ""), true);
        check(&Held::OneOf(["a".into(), "b".into()].into()), &one("b"), true);
        check(&Held::Anything, &one("b"), true);
        assert!(Held::meets(None, None) && Held::meets(None, Some(&Held::Anything)) && !Held::meets(None, Some(&one("a"))));
    }
}
