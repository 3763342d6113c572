//! Which rules can fire where: each rule's expression held against all series that can be there, those that rules record among them.

use std::collections::BTreeSet;

use firedrill_core::name::Name;
use firedrill_core::problem::near_miss;
use firedrill_core::time::Span;
use firedrill_telemetry::labels::METRIC_NAME;
use firedrill_telemetry::promql::{Cause, Contradiction, Plan, Presence, Prospect};
use firedrill_telemetry::universe::{Held, Missing, Shape, Universe};

use super::{Group, Rule, RuleKind, RuleSet};

/// How many values or labels a reason lists.
const SHOWN: usize = 8;

/// Whether a rule can say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It can at times. The reasons tell of the parts of its expression that never find anything and are not needed for it.
    Able(Vec<Reason>),
    /// It does at every moment, for these reasons; there is none if it asks for nothing.
    Always(Vec<Reason>),
    /// It never can, for these reasons.
    Never(Vec<Reason>),
    /// The expression cannot be evaluated yet, for this reason.
    Unsupported(String),
}

/// Why a part of an expression finds nothing, and what would mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// How far it is from finding something; 0 is nearest.
    rank: u8,
    /// What is not there, a lowercase fragment.
    pub what: String,
    /// What would be right.
    pub remedy: String,
    /// A word of the expression that it is about, if there is one.
    pub word: Option<String>,
}

/// What a rule set can say where there are certain series.
#[derive(Clone, Debug)]
pub struct Outlook<'rules> {
    rules: &'rules RuleSet,
    universe: Universe,
    /// For each rule in order; `None` if it cannot be evaluated yet.
    prospects: Vec<Option<Prospect>>,
}

impl Coverage {
    /// Whether the rule can yield anything.
    #[must_use]
    pub const fn is_able(&self) -> bool {
        matches!(self, Self::Able(_) | Self::Always(_))
    }

    /// The verdict on a rule that is looked at in several places, from those on each; of several reasons those that are nearest to something.
    #[must_use]
    pub fn joined(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut all: Vec<Self> = all.into_iter().collect();
        let able = all.iter().any(Self::is_able);
        let always = all.iter().all(|coverage| matches!(coverage, Self::Always(_)));
        all.retain(|coverage| coverage.is_able() == able);
        let best = all.into_iter().min_by_key(|coverage| {
            let reasons = coverage.reasons();
            (matches!(coverage, Self::Always(_)), reasons.iter().map(|reason| reason.rank).max(), reasons.len())
        })?;
        Some(match best {
            // Where something else is looked at, it can be silent.
            Self::Always(_) if !always => Self::Able(Vec::new()),
            other => other,
        })
    }

    /// The reasons, whatever they are for.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Able(reasons) | Self::Always(reasons) | Self::Never(reasons) => reasons,
            Self::Unsupported(_) => &[],
        }
    }
}

impl<'rules> Outlook<'rules> {
    /// What the rules can say over these series and what they record themselves.
    #[must_use]
    pub fn new(rules: &'rules RuleSet, exposed: Universe) -> Self {
        let all: Vec<&Rule> = rules.rules().map(|(_, rule)| rule).collect();
        let mut universe = exposed;
        // What is recorded by a name may have other values than what is scraped by it.
        all.iter().filter(|rule| !rule.is_alerting()).for_each(|rule| universe.unlimit(&rule.name));
        let mut outlook = Self { rules, universe, prospects: vec![None; all.len()] };
        let mut waiting: Vec<usize> = (0..all.len()).collect();
        // What is recorded can only bring about more, so this ends at the least that holds together.
        while !waiting.is_empty() {
            let mut grown = BTreeSet::new();
            for index in waiting {
                let Ok(plan) = &all[index].plan else { continue };
                let prospect = plan.prospect(&outlook.universe);
                grown.extend(outlook.record(all[index], &prospect));
                outlook.prospects[index] = Some(prospect);
            }
            waiting = (0..all.len()).filter(|index| all[*index].plan.as_ref().is_ok_and(|plan| reads(plan, &grown))).collect();
        }
        outlook
    }

    /// All series that there can be, recorded ones included.
    #[must_use]
    pub const fn universe(&self) -> &Universe {
        &self.universe
    }

    /// Every rule with its coverage, in order.
    pub fn coverage(&self) -> impl Iterator<Item = (&'rules Group, &'rules Rule, Coverage)> {
        self.rules.rules().zip(&self.prospects).map(|((group, rule), prospect)| (group, rule, self.of_rule(rule, prospect.as_ref())))
    }

    /// What the labels of alerts of this name can be; empty if none can fire.
    #[must_use]
    pub fn alerts(&self, alert: &str) -> Vec<Shape> {
        let rules = self.rules.rules().zip(&self.prospects).filter(|((_, rule), _)| rule.is_alerting() && *rule.name == *alert);
        rules.flat_map(|((_, rule), prospect)| prospect.iter().flat_map(|prospect| labelled(rule, prospect))).collect()
    }

    /// A cause in words.
    #[must_use]
    pub fn reason(&self, cause: &Cause) -> Reason {
        self.told(cause, &mut Vec::new())
    }

    fn of_rule(&self, rule: &Rule, prospect: Option<&Prospect>) -> Coverage {
        let Some(prospect) = prospect else {
            return Coverage::Unsupported(rule.plan.as_ref().err().map(ToString::to_string).unwrap_or_default());
        };
        let reasons = prospect.causes.iter().map(|cause| self.reason(cause)).collect();
        match prospect.presence {
            Presence::Never => Coverage::Never(reasons),
            Presence::Sometimes => Coverage::Able(reasons),
            Presence::Always => Coverage::Always(reasons),
        }
    }

    /// Admits what a rule writes; the metrics that were news.
    fn record(&mut self, rule: &Rule, prospect: &Prospect) -> Vec<&'rules str> {
        let mut news = Vec::new();
        for shape in labelled(rule, prospect) {
            match rule.kind {
                RuleKind::Recording => {
                    if self.universe.add(&rule.name, shape)
                        && let Some((_, known)) = self.rules.rules().find(|(_, other)| other.name == rule.name)
                    {
                        news.push(known.name.as_str());
                    }
                }
                RuleKind::Alerting { .. } => {
                    let mut state = shape.clone();
                    state.put("alertstate", Held::OneOf(["firing".into(), "pending".into()].into()));
                    news.extend(self.universe.add("ALERTS", state).then_some("ALERTS"));
                    news.extend(self.universe.add("ALERTS_FOR_STATE", shape).then_some("ALERTS_FOR_STATE"));
                }
            }
        }
        news
    }

    fn told(&self, cause: &Cause, seen: &mut Vec<String>) -> Reason {
        let reason =
            |rank: u8, what: String, remedy: String, word: Option<&str>| Reason { rank, what, remedy, word: word.map(str::to_owned) };
        match cause {
            Cause::Missing(Missing::Metric { metric }) => self.no_metric(metric, seen),
            Cause::Missing(Missing::Label { metric, label, carried }) => {
                let carried: Vec<&str> = carried.iter().map(String::as_str).collect();
                let near = near_miss(label, &carried);
                let remedy = near.map_or_else(|| format!("it has {}", listed(&carried)), |near| format!("did you mean `{near}`?"));
                reason(3, format!("no series of `{metric}` has the label `{label}`"), remedy, Some(label))
            }
            Cause::Missing(Missing::Value { metric, matcher, label, wanted, held }) => {
                let held: Vec<&str> = held.iter().map(String::as_str).collect();
                let near = wanted.as_ref().and_then(|wanted| near_miss(wanted, &held));
                let remedy = near.map_or_else(|| format!("here `{label}` is {}", listed(&held)), |near| format!("did you mean `{near}`?"));
                reason(2, format!("no series of `{metric}` has {matcher}"), remedy, Some(label))
            }
            Cause::Missing(Missing::Together { metric, matchers }) => {
                let of = metric.as_ref().map(|metric| format!(" of `{metric}`")).unwrap_or_default();
                let what = format!("no series{of} has all of {}", matchers.join(", "));
                reason(2, what, "ask for labels that stand on one series".to_owned(), metric.as_deref())
            }
            Cause::NoPartner { operator, label } => {
                let what = format!("nothing on the left of `{operator}` has a partner on its right");
                let remedy = match label {
                    Some((label, left, right)) => {
                        format!(
                            "they are matched by `{label}`, which is {left} on the left and {right} on the right: name the labels to match by with `on (…)`"
                        )
                    }
                    None => "name the labels to match by with `on (…)`".to_owned(),
                };
                reason(1, what, remedy, None)
            }
            Cause::Constant { left, operator, right } => {
                let what = format!("it comes to {left} {operator} {right}, which does not hold");
                reason(1, what, "compare with a number that can be reached".to_owned(), None)
            }
            Cause::Contradiction(found) => contradiction(found),
            Cause::Certain { whose, known, asked: (operator, number) } => reason(
                1,
                format!("{whose} is always {}, and so always {operator} {number}", bounds(known)),
                "compare with a number that it can be on either side of".to_owned(),
                None,
            ),
            Cause::OneSample { function, range_ms, every_ms } => {
                let [range, every] = [range_ms, every_ms].map(|ms| Span::from_millis(ms.unsigned_abs()));
                let what = format!("`{function}` needs two samples, and {range} of what is scraped every {every} hold one");
                let roomy = every.saturating_add(every).saturating_add(every).saturating_add(every);
                reason(1, what, format!("look over {roomy} or more"), Some(function))
            }
            Cause::AlwaysThere => {
                reason(1, "absence is asked for of what is always there".to_owned(), "ask for the absence of series".to_owned(), None)
            }
            Cause::Same => {
                reason(1, "`unless` has the same on both sides".to_owned(), "take away something else than the whole".to_owned(), None)
            }
            Cause::NoElements { found } => {
                let what = format!("its expression is {found}, so each evaluation fails");
                reason(0, what, "write an expression that yields one number for each element".to_owned(), None)
            }
            Cause::NoBuckets => {
                let remedy = "keep it when you sum: `sum by (le) (rate(…_bucket[5m]))`".to_owned();
                reason(1, "a quantile is asked for of series without the label `le`".to_owned(), remedy, Some("histogram_quantile"))
            }
        }
    }

    fn no_metric(&self, metric: &str, seen: &mut Vec<String>) -> Reason {
        let recorded = self.rules.rules().zip(&self.prospects).find(|((_, rule), _)| !rule.is_alerting() && *rule.name == *metric);
        let word = Some(metric.to_owned());
        if let Some(((_, rule), prospect)) = recorded {
            let place = format!("{}:{}", rule.place.file().path, rule.place.line());
            if seen.iter().any(|known| known == metric) {
                let remedy = "record it from series that are exposed".to_owned();
                return Reason { rank: 4, what: format!("`{metric}` is recorded from itself alone"), remedy, word };
            }
            seen.push(metric.to_owned());
            let inner = match prospect {
                Some(prospect) => prospect.causes.first().map(|cause| self.told(cause, seen)),
                None => None,
            };
            let unsupported = || rule.plan.as_ref().err().map_or_else(|| "it yields nothing".to_owned(), ToString::to_string);
            let (why, remedy, rank) = match inner {
                Some(inner) => (inner.what, inner.remedy, inner.rank),
                None => (unsupported(), "record it by an expression that can be evaluated".to_owned(), 4),
            };
            return Reason { rank, what: format!("`{metric}`, recorded at {place}, never has samples: {why}"), remedy, word };
        }
        let known: Vec<&str> = self.universe.metrics().collect();
        let remedy = match near_miss(metric, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "expose it by a scenario (`metrics:` of a service)".to_owned(),
        };
        Reason { rank: 5, what: format!("nothing here exposes `{metric}`"), remedy, word }
    }
}

/// Comparisons with their numbers, as `>= 0 and <= 1`.
fn bounds(all: &[(&str, f64)]) -> String {
    all.iter().map(|(operator, number)| format!("{operator} {number}")).collect::<Vec<_>>().join(" and ")
}

/// Values that are asked to be as no value is.
fn contradiction(found: &Contradiction) -> Reason {
    let Contradiction { whose, given, asked } = found;
    let word = whose.strip_prefix('`').and_then(|metric| metric.strip_suffix('`')).map(str::to_owned);
    let reason = |what: String, remedy: &str| Reason { rank: 1, what, remedy: remedy.to_owned(), word };
    if given.is_empty() {
        let what = format!("{whose} is asked to be {} at once", bounds(asked));
        return reason(what, "ask for one of them by `or`, or compare with numbers that leave room");
    }
    let what = format!("{whose} is always {}, and is asked to be {}", bounds(given), bounds(asked));
    match given.as_slice() {
        // What is counted as 0 is nothing.
        [(">=", 1.0)] => reason(what, "nothing has no count: ask for `absent(…)`, or give the count a default by `or vector(0)`"),
        _ => reason(what, "compare with a number that can be reached"),
    }
}

/// The label sets that a rule gives to what it yields.
fn labelled(rule: &Rule, prospect: &Prospect) -> Vec<Shape> {
    let own = |shape: &Shape| {
        let mut shape = shape.clone();
        shape.remove(METRIC_NAME);
        for (name, value) in &rule.labels {
            let is_template = rule.label_templates.iter().any(|(template, _)| template == name);
            shape.put(name.as_str(), if is_template { Held::Anything } else { Held::Exactly(value.as_str().into()) });
        }
        if rule.is_alerting() {
            shape.put("alertname", Held::Exactly(rule.name.as_str().into()));
        }
        shape
    };
    prospect.shapes.iter().map(own).collect()
}

/// Whether an expression reads one of these metrics, or may.
fn reads(plan: &Plan, metrics: &BTreeSet<&str>) -> bool {
    !metrics.is_empty() && plan.selectors().iter().any(|selector| selector.metric().is_none_or(|metric| metrics.contains(metric)))
}

/// The first few, and how many more there are.
fn listed(all: &[&str]) -> String {
    let mut text = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text.push_str(&format!(" and {} more", all.len() - SHOWN));
    }
    if all.is_empty() { "nothing".to_owned() } else { text }
}

impl Rule {
    /// The expression's place; narrowed to a word of it, if the word stands there.
    #[must_use]
    pub fn place_of(&self, word: Option<&str>) -> firedrill_core::problem::Place {
        // An expression over several lines is pointed at by its first; what follows it in the rule is text that may have the word too.
        let from = self.place.range().start;
        let last = self.expression.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let rest = &self.place.file().text[from..self.places.whole.range().end.max(from)];
        let end = rest.find(last).map_or(self.place.range().end, |at| (from + at + last.len()).max(self.place.range().end));
        let text = self.place.until(end);
        let found = word.and_then(|word| whole_word(&text.file().text[text.range()], word).map(|at| text.part(at, at + word.len())));
        found.unwrap_or_else(|| self.place.clone())
    }

    /// The labels that it sets itself, templates left out.
    pub fn fixed_labels(&self) -> impl Iterator<Item = (&Name, &Name)> {
        let is_template = |name: &Name| self.label_templates.iter().any(|(template, _)| template == name);
        self.labels.iter().filter(move |(name, _)| !is_template(name)).map(|(name, value)| (name, value))
    }
}

/// Where a word stands that is no part of a longer one, or else where its text does.
fn whole_word(text: &str, word: &str) -> Option<usize> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let stands_alone = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + word.len()..]);
        !before.ends_with(belongs) && !after.starts_with(belongs)
    };
    text.match_indices(word).map(|(at, _)| at).find(stands_alone).or_else(|| text.find(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_telemetry::notation::parse_series;
    use std::sync::Arc;

    fn universe() -> Universe {
        let mut universe = Universe::new();
        for text in [r#"up{job="api"}"#, r#"requests{job="api", code="200"}"#, r#"requests{job="api", code="500"}"#] {
            let labels = parse_series(text).unwrap();
            universe.add(labels.metric_name().unwrap(), Shape::of(&labels));
        }
        universe.limit("up", 0.0, 1.0);
        universe
    }

    fn rules(text: &str) -> Arc<RuleSet> {
        RuleSet::read([("r.yml", format!("groups:\n  - name: g\n    rules:\n{text}").as_str())])
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// The rules' verdicts, one line each.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let rules = rules(text);
        let outlook = Outlook::new(&rules, universe());
        let told = |(_, rule, coverage): (&Group, &Rule, Coverage)| {
            let word = match &coverage {
                Coverage::Able(_) => "able",
                Coverage::Always(_) => "always",
                Coverage::Never(_) => "never",
                Coverage::Unsupported(_) => "unsupported",
            };
            let reasons: Vec<String> = coverage.reasons().iter().map(|reason| format!(" {}; {}", reason.what, reason.remedy)).collect();
            format!("{} {word}{}", rule.name, reasons.concat())
        };
        assert_eq!(outlook.coverage().map(told).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_rule_is_judged_by_the_series_that_can_be() {
        check("      - { alert: A, expr: 'up == 0' }", &["A able"]);
        check("      - { alert: A, expr: 'absent(up)' }", &["A able"]);
        check("      - { alert: A, expr: 'absent(upp)' }", &["A always nothing here exposes `upp`; did you mean `up`?"]);
        check(
            "      - { alert: A, expr: 'requests{status=~\"5..\"} > 0' }",
            &["A never no series of `requests` has the label `status`; it has code, job"],
        );
        check(
            "      - { alert: A, expr: 'requests{job=\"apj\"} > 0' }",
            &["A never no series of `requests` has job=\"apj\"; did you mean `api`?"],
        );
        check(
            "      - { alert: A, expr: 'nope or up == 0' }",
            &["A able nothing here exposes `nope`; expose it by a scenario (`metrics:` of a service)"],
        );
    }

    #[test]
    fn a_contradiction_is_named() {
        check(
            "      - { alert: A, expr: 'up == 0 and up == 1' }",
            &["A never `up` is asked to be == 0 and == 1 at once; ask for one of them by `or`, or compare with numbers that leave room"],
        );
        check(
            "      - { alert: A, expr: 'max(up) > 5' }",
            &["A never `up` is always >= 0 and <= 1, and is asked to be > 5; compare with a number that can be reached"],
        );
        check(
            "      - { alert: A, expr: 'count(up == 0) == 0' }",
            &[
                "A never a count is always >= 1, and is asked to be == 0; nothing has no count: ask for `absent(…)`, or give the count a default by `or vector(0)`",
            ],
        );
        check("      - { record: up, expr: 'sum by (job) (requests)' }\n      - { alert: A, expr: 'up > 5' }", &["up able", "A able"]);
    }

    #[test]
    fn what_is_never_recorded_is_never_read() {
        check(
            "      - { record: b, expr: 'sum(a)' }\n      - { record: a, expr: 'sum(nope)' }\n      - { alert: A, expr: 'b > 0' }",
            &[
                "b never `a`, recorded at r.yml:5, never has samples: nothing here exposes `nope`; expose it by a scenario (`metrics:` of a service)",
                "a never nothing here exposes `nope`; expose it by a scenario (`metrics:` of a service)",
                "A never `b`, recorded at r.yml:4, never has samples: `a`, recorded at r.yml:5, never has samples: nothing here exposes `nope`; \
                 expose it by a scenario (`metrics:` of a service)",
            ],
        );
        check(
            "      - { record: a, expr: 'a + 1' }",
            &[
                "a never `a`, recorded at r.yml:4, never has samples: `a` is recorded from itself alone; record it from series that are exposed",
            ],
        );
    }

    #[test]
    fn what_is_recorded_later_is_read_all_the_same() {
        check(
            "      - { alert: A, expr: 'c > 0' }\n      - { record: c, expr: 'b' }\n      - { record: b, expr: 'sum by (job) (up)' }",
            &["A able", "c able", "b able"],
        );
        check(
            "      - { alert: A, expr: 'b{code=\"1\"}' }\n      - { record: b, expr: 'sum by (job) (requests)' }",
            &["A never no series of `b` has the label `code`; it has job", "b able"],
        );
    }

    #[test]
    fn alerts_can_be_read_by_the_labels_that_they_can_have() {
        let text = "      - { alert: A, expr: 'up == 0', labels: { severity: page } }\n";
        check(&format!("{text}      - {{ alert: B, expr: 'ALERTS{{alertname=\"A\", severity=\"page\"}}' }}"), &["A able", "B able"]);
        check(
            &format!("{text}      - {{ alert: B, expr: 'ALERTS{{alertname=\"A\", severity=\"warn\"}}' }}"),
            &["A able", "B never no series of `ALERTS` has severity=\"warn\"; here `severity` is page"],
        );
        let rules = rules(text);
        let shapes = Outlook::new(&rules, universe()).alerts("A");
        let [shape] = &shapes[..] else { panic!("{shapes:?}") };
        assert_eq!(shape.names().map(ToString::to_string).collect::<Vec<_>>(), ["alertname", "job", "severity"]);
    }

    #[test]
    fn of_several_places_the_best_counts_and_always_must_be_everywhere() {
        let never = |rank: u8| Coverage::Never(vec![Reason { rank, what: rank.to_string(), remedy: String::new(), word: None }]);
        assert_eq!(Coverage::joined([never(5), never(2)]), Some(never(2)));
        assert_eq!(Coverage::joined([never(5), Coverage::Able(Vec::new())]), Some(Coverage::Able(Vec::new())));
        assert_eq!(Coverage::joined([never(5), Coverage::Always(Vec::new())]), Some(Coverage::Able(Vec::new())));
        assert_eq!(Coverage::joined([Coverage::Always(Vec::new()), Coverage::Always(Vec::new())]), Some(Coverage::Always(Vec::new())));
        assert_eq!(Coverage::joined([]), None);
    }
}
