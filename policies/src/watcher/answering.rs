//! What policies ask of a watcher, and the answers made of what a Prometheus says.
//!
//! No answer, a late one and a wrong one are the same: nobody can tell. None of them is a no.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Evidence, Input, Truth};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_telemetry::promql::{Condition, Formula, Inquiry, Judgement, Sample, Value, Verdict3, written};

use crate::controller::{Question, Wanted};
use crate::evidence;
use crate::guard::Fact;
use crate::guard::placing::Count;
use crate::pilot::{number, one_number, values};
use crate::policy::{ConditionAt, NameSource, Policy};

/// Something that a policy asked.
#[derive(Clone, Debug)]
pub struct Want {
    /// Which policy.
    pub policy: Arc<Policy>,
    /// The number to answer with.
    pub query: u64,
    /// What.
    pub ask: Ask,
    /// The calendar instant from which instants count.
    pub start: Start,
    /// What is declared, against which is counted.
    pub inventory: Arc<Inventory>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A condition, a count, a number or names.
    Question(Question),
    /// Evidence for people.
    Evidence {
        /// What is wanted.
        wanted: Wanted,
        /// The alerts, which are known already.
        alerts: Evidence,
    },
}

/// Whoever has the series: gives what an expression yields at an instant, milliseconds since 1970, or why there is no answer.
type Oracle<'o> = dyn FnMut(&str, i64) -> Result<Value, String> + 'o;

impl Want {
    /// The answer at an instant. `ask` evaluates an expression; an error of it is an unknown with its reason.
    pub fn answer(&self, at: Time, ask: &mut Oracle<'_>) -> Input {
        let at_ms = self.start.prometheus_millis(at);
        let query = self.query;
        match &self.ask {
            Ask::Evidence { wanted, alerts } => Input::Gathered { query, evidence: self.gathered(at_ms, (wanted, alerts), ask) },
            Ask::Question(question) => self.answered(at_ms, question, ask),
        }
    }

    fn answered(&self, at_ms: i64, question: &Question, ask: &mut Oracle<'_>) -> Input {
        let query = self.query;
        if let ConditionAt::Each(step) = question.condition {
            let (names, error) =
                self.names(at_ms, (step, question), ask).map_or_else(|error| (Vec::new(), error), |names| (names, String::new()));
            return Input::Listed { query, names, error };
        }
        if question.condition.is_formula() {
            let (value, figures) = match self.numbers(at_ms, question, ask) {
                Ok(samples) => one_number(&samples),
                Err(error) => (None, error),
            };
            return Input::Measured { query, value, figures };
        }
        if let ConditionAt::Guard(fact) = question.condition
            && fact.is_count()
        {
            let counted = self.count(at_ms, (question, fact), ask);
            let (Count { holding, elements, parts }, error) =
                counted.map_or_else(|error| (Count::default(), error), |count| (count, String::new()));
            return Input::Counted { query, holding, elements, error, parts };
        }
        let (verdict, figures) = self.judge(at_ms, question, ask);
        Input::Evaluated { query, verdict, figures }
    }

    fn inquiry(&self, question: &Question) -> Result<Inquiry, String> {
        let condition = self.policy.condition(question.condition).ok_or("the policy has no such condition")?;
        Inquiry::of(condition, &values(question)).map_err(|missing| missing.to_string())
    }

    fn judge(&self, at_ms: i64, question: &Question, ask: &mut Oracle<'_>) -> (Truth, String) {
        let judged = self.inquiry(question).and_then(|inquiry| {
            let judgement = inquiry.judge(at_ms, &all(&inquiry, at_ms, ask)?).map_err(|error| error.to_string())?;
            Ok((judgement, self.too_old(at_ms, (question, &inquiry), ask)?))
        });
        match judged {
            Err(error) => (Truth::Unknown, error),
            Ok((_, Some(old))) => (Truth::Unknown, old),
            Ok((Judgement { verdict, figures }, None)) => {
                let truth = match verdict {
                    Verdict3::True => Truth::True,
                    Verdict3::False => Truth::False,
                    Verdict3::Unknown => Truth::Unknown,
                };
                (truth, figures)
            }
        }
    }

    /// What of what a condition reads is older than its policy allows, in words.
    fn too_old(&self, at_ms: i64, (question, inquiry): (&Question, &Inquiry), ask: &mut Oracle<'_>) -> Result<Option<String>, String> {
        let Some(max_age) = self.policy.max_age(question.condition) else { return Ok(None) };
        let mut oldest: Option<(i64, Sample)> = None;
        for text in inquiry.ages() {
            for sample in elements(ask(&text, at_ms)?) {
                // Seconds with a fraction; a clock that is ahead makes nothing older.
                let age_ms = at_ms.saturating_sub((sample.value * 1_000.0) as i64).max(0);
                if oldest.as_ref().is_none_or(|(known, _)| *known < age_ms) {
                    oldest = Some((age_ms, sample));
                }
            }
        }
        let told = oldest.map(|(age_ms, sample)| (Span::from_millis(age_ms.unsigned_abs()), sample.labels));
        Ok(told.filter(|(age, _)| *age > max_age).map(|(age, labels)| format!("the newest sample of {labels} is {age} old > {max_age}")))
    }

    fn count(&self, at_ms: i64, (question, fact): (&Question, Fact), ask: &mut Oracle<'_>) -> Result<Count, String> {
        let inquiry = self.inquiry(question)?;
        let elements = inquiry.elements(at_ms, &all(&inquiry, at_ms, ask)?).map_err(|error| error.to_string())?;
        self.policy.guards.count(fact, &elements, &self.inventory)
    }

    fn numbers(&self, at_ms: i64, question: &Question, ask: &mut Oracle<'_>) -> Result<Vec<Sample>, String> {
        let formula: &Formula = self.policy.formula(question.condition).ok_or("the policy has no such expression")?;
        let text = formula.inquiry(&values(question)).map_err(|missing| missing.to_string())?;
        Ok(elements(ask(&text, at_ms)?))
    }

    fn names(&self, at_ms: i64, (step, question): (usize, &Question), ask: &mut Oracle<'_>) -> Result<Vec<Name>, String> {
        let staged = self.policy.staged(step).ok_or("the policy has no such step")?;
        let NameSource::Label(label) = &staged.each.name else { return Err("its targets have no label".to_owned()) };
        let samples = self.numbers(at_ms, question, ask)?;
        let names: BTreeSet<Name> = samples.iter().filter_map(|sample| sample.labels.get(label.as_str()).map(Name::new)).collect();
        Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
    }

    fn gathered(&self, at_ms: i64, (wanted, alerts): (&Wanted, &Evidence), ask: &mut Oracle<'_>) -> Vec<Evidence> {
        let of = |kind: &Name, ask: &mut Oracle<'_>| match kind.as_str() {
            "metrics" => self.metrics(at_ms, wanted, ask),
            "alerts" => alerts.clone(),
            _ => evidence::missing(kind, "not available here"),
        };
        wanted.kinds.iter().map(|kind| of(kind, ask)).collect()
    }

    /// What the policy asks of telemetry itself.
    fn metrics(&self, at_ms: i64, wanted: &Wanted, ask: &mut Oracle<'_>) -> Evidence {
        let mut lines = Vec::new();
        for question in &wanted.questions {
            let what = match question.condition {
                ConditionAt::Precheck(number) => format!("precheck {}", number + 1),
                ConditionAt::Verify(step) => format!("verify of step {}", step + 1),
                ConditionAt::Shown(number) => self.policy.evidence.get(number).map(|shown| shown.because.clone()).unwrap_or_default(),
                ConditionAt::Confidence => "the confidence".to_owned(),
                ConditionAt::When(..) | ConditionAt::Score(..) | ConditionAt::Each(_) | ConditionAt::Guard(_) => continue,
            };
            if !question.condition.is_formula() {
                let (truth, figures) = self.judge(at_ms, question, ask);
                let word = match truth {
                    Truth::True => "holds",
                    Truth::False => "does not hold",
                    Truth::Unknown => "cannot be told",
                };
                lines.push(format!("{what} {word}: {figures}"));
                continue;
            }
            match self.numbers(at_ms, question, ask) {
                Err(error) => lines.push(format!("{what}: {error}")),
                Ok(samples) if samples.is_empty() => lines.push(format!("{what}: no element")),
                Ok(samples) => lines.extend(samples.iter().map(|sample| format!("{what}: {}", number(sample)))),
            }
        }
        Evidence { kind: Name::new("metrics"), lines, note: String::new() }
    }

    /// The expressions of all its questions, for people and for tests.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let of = |question: &Question| {
            let bound: BTreeMap<String, String> = values(question);
            let condition = self.policy.condition(question.condition).and_then(|own: &Condition| Inquiry::of(own, &bound).ok());
            let formula = self.policy.formula(question.condition).and_then(|own| own.inquiry(&bound).ok());
            condition.map(|inquiry| inquiry.texts().to_vec()).or_else(|| formula.map(|text| vec![text])).unwrap_or_default()
        };
        match &self.ask {
            Ask::Question(question) => of(question),
            Ask::Evidence { wanted, .. } => wanted.questions.iter().flat_map(of).collect(),
        }
    }
}

/// The answers to all that a condition asks; none of them if one is missing.
fn all(inquiry: &Inquiry, at_ms: i64, ask: &mut Oracle<'_>) -> Result<Vec<Value>, String> {
    inquiry.texts().iter().map(|text| ask(text, at_ms)).collect()
}

/// The elements of an answer in the order of their labels; a number is one element without any.
fn elements(value: Value) -> Vec<Sample> {
    let mut samples = match value {
        Value::Vector(samples) => samples,
        Value::Scalar(value) => vec![Sample { labels: firedrill_telemetry::labels::Labels::empty(), value }],
        Value::Text(_) | Value::Matrix(_) => Vec::new(),
    };
    samples.sort_by(|one, other| one.labels.cmp(&other.labels).then_with(|| written(one.value).cmp(&written(other.value))));
    samples
}
