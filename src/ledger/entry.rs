//! What stands in a ledger.

use std::collections::BTreeMap;
use std::fmt;

use firedrill_core::name::Name;
use firedrill_policies::controller::Question;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::{RuleSet, closure_hash};
use firedrill_telemetry::promql::{Condition, Formula, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::PublicKey;

/// An entry as it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When, as its writer's clock says.
    pub at: Timestamp,
    /// Who: a person, or `watch`.
    pub by: String,
    /// What.
    pub what: What,
}

/// What a decision was made by: each BLAKE3, hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashes {
    /// Of the lowered policy without its guards: no comments, no owner, author or description.
    pub policy: String,
    /// Of the rules that its alerts and conditions rest on, whatever else the rule files hold.
    pub rules: String,
    /// Of its guards.
    pub guards: String,
}

impl Hashes {
    /// Of a policy that is watched by these rules.
    #[must_use]
    pub fn of(policy: &Policy, rules: &RuleSet) -> Self {
        let alerts = (!policy.alerts.is_empty()).then_some(policy.alerts.as_slice());
        let plans: Vec<&Plan> = policy.plans().collect();
        Self { policy: policy.hash_without_guards(), rules: closure_hash(rules, alerts, &plans), guards: policy.hash_of_guards() }
    }
}

/// What each alert and each question of a policy rests on, so that after a change of some rules it can be told what was heard of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestsOn {
    /// By alert, BLAKE3 of the rules behind it, hexadecimal.
    pub alerts: BTreeMap<Name, String>,
    /// The same by expression, as it is written in the policy.
    pub questions: BTreeMap<String, String>,
}

impl RestsOn {
    /// The same by what [`plain_question`] makes of each expression.
    #[must_use]
    pub fn plain(self) -> Self {
        let questions = self.questions.into_iter().map(|(text, hash)| (plain_question(&text), hash)).collect();
        Self { questions, ..self }
    }
}

/// What the decisions of a policy are bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// As decisions name it.
    pub hashes: Hashes,
    /// As it is written down where the policy begins to be watched.
    pub rests_on: RestsOn,
}

impl Bound {
    /// Of a policy that is watched by these rules.
    #[must_use]
    pub fn of(policy: &Policy, rules: &RuleSet) -> Self {
        let mut alerts = policy.alerts.clone();
        if alerts.is_empty() {
            // It answers whatever reaches its receiver.
            alerts.extend(rules.rules().filter(|(_, rule)| rule.is_alerting()).map(|(_, rule)| rule.name.clone()));
        }
        let alerts = alerts.into_iter().map(|alert| {
            let hash = closure_hash(rules, Some(std::slice::from_ref(&alert)), &[]);
            (alert, hash)
        });
        let questions = policy.plans().map(|plan| (plan.text().to_owned(), closure_hash(rules, Some(&[]), &[plan])));
        Self { hashes: Hashes::of(policy, rules), rests_on: RestsOn { alerts: alerts.collect(), questions: questions.collect() } }
    }
}

/// The expression of what a controller asks, as it is written in the policy; empty if the policy has no such question.
#[must_use]
pub fn expression(policy: &Policy, question: &Question) -> String {
    let at = question.condition;
    let plan = policy.condition(at).map(Condition::plan).or_else(|| policy.formula(at).map(Formula::plan));
    plan.map_or_else(String::new, |plan| plan.text().to_owned())
}

/// What a controller asks, as it stands in observations: the expression as it is written in the policy, and what its parameters stand for. The
/// same question of another version of the policy has the same text, wherever it stands there.
#[must_use]
pub fn question_text(policy: &Policy, question: &Question) -> String {
    let at = question.condition;
    let needed = policy.parameters(at);
    let parameters = question.parameters.iter().filter(|(name, _)| needed.contains(name.as_str()));
    let parameters: String = parameters.map(|(name, value)| format!(" ${name}={value:?}")).collect();
    // An answer depends on how old its samples may be.
    let age = policy.max_age(at).map_or_else(String::new, |age| format!(" no older than {age}"));
    format!("{}{parameters}{age}", expression(policy, question))
}

/// A question without what means nothing in it: comments, and white space but between words. Two questions of which this is the same are the same, however they
/// are laid out.
#[must_use]
pub fn plain_question(text: &str) -> String {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '$' | '"' | '\'' | '`');
    let mut plain = String::with_capacity(text.len());
    let (mut quote, mut is_escaped, mut is_comment, mut is_apart) = (None, false, false, false);
    for c in text.chars() {
        if let Some(open) = quote {
            plain.push(c);
            let is_end = c == open && !is_escaped;
            is_escaped = c == '\\' && open != '`' && !is_escaped;
            quote = if is_end { None } else { quote };
            continue;
        }
        is_comment = (is_comment || c == '#') && c != '\n';
        if is_comment || c.is_whitespace() {
            is_apart = true;
            continue;
        }
        if std::mem::take(&mut is_apart) && is_of_word(c) && plain.ends_with(is_of_word) {
            plain.push(' ');
        }
        quote = matches!(c, '"' | '\'' | '`').then_some(c);
        plain.push(c);
    }
    plain
}

/// What people say that a decision was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labelled {
    /// It was what should be done.
    Right,
    /// Something else should be done, or nothing.
    Wrong,
    /// It would have got well without it; no harm is in it.
    Redundant,
    /// It made things worse, or would have.
    Harmful,
}

impl Labelled {
    /// The word in files and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Redundant => "redundant",
            Self::Harmful => "harmful",
        }
    }

    /// How much it speaks against the decision: of two that contradict each other the greater counts.
    #[must_use]
    pub const fn gravity(self) -> u8 {
        match self {
            Self::Right => 0,
            Self::Redundant => 1,
            Self::Wrong => 2,
            Self::Harmful => 3,
        }
    }
}

/// The state that says that a policy is watched from here on: at which stage, and what its decisions are bound to.
pub const WATCHING: &str = "watching/1";

/// The state that says that a watcher began a session.
pub const SESSION: &str = "watch-session/1";

/// The state that says whether Prometheus answers a watcher at all: `answers`, and `why` where it does not.
pub const ANSWERING: &str = "watch-prometheus/1";

/// The state that says that what a watcher is told from here on, until its session ends, is of a simulation: `firedrill rehearse-live` plays it.
pub const REHEARSAL: &str = "watch-rehearsal/1";

/// The state that says that the chain of a policy could not be written, and nothing of it is until the watcher's session ends: `policy`, and `why`.
pub const ASIDE: &str = "watch-aside/1";

/// The state that says that a policy was not promoted, for what it was judged by stood in the way: `to` which stage, what is `missing`, and the `judge`.
pub const REFUSED: &str = "promotion-refused/1";

/// The state that says that a story is not any more of the incident that was compared by it: `story`, and which `incident` that was.
pub const UNTOLD: &str = "story-untold/1";

/// What an entry holds. Other entries are named by their hashes, `blake3:…`, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// Something that the watcher's controller was told, in the order in which it was: what is needed to decide again.
    Observation {
        /// The incident that it belongs to, as the watcher calls it; `None` if it belongs to none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        /// What was asked, where `input` is the answer to a question: the expression with the alert's labels bound, so that another version of
        /// the policy that asks the same can be given the same answer. `None` for what nobody asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<String>,
        /// `core::journal::Input` as it serialises.
        input: Value,
    },
    /// A state from which a watcher can go on, so that it need not be fed all observations from the first on.
    State {
        /// Of what, with a version, such as `controller/1`.
        of: String,
        /// It.
        value: Value,
    },
    /// What the controller decided.
    Decision {
        /// The incident, as in the observations.
        incident: String,
        /// The stage at which it decided.
        stage: Stage,
        /// What it decided by.
        hashes: Hashes,
        /// `core::journal::Event` as it serialises.
        event: Value,
        /// Whether it was made on recorded history, and not when it happened.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_backtest: bool,
    },
    /// What people say of a decision.
    Label {
        /// The hash of the decision's entry.
        event: String,
        /// What it was.
        says: Labelled,
        /// What was the cause of the incident, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// What a person answered to a proposal of the policy.
    Approval {
        /// The number of the proposal.
        proposal: u64,
        /// As what, such as `oncall`.
        role: String,
        /// Yes or no.
        yes: bool,
    },
    /// The policy may do more from here on.
    Promotion {
        /// From which stage.
        from: Stage,
        /// To which.
        to: Stage,
        /// The profile of evidence that was asked for.
        profile: String,
        /// What is promoted.
        hashes: Hashes,
        /// What it rests on: a report of `firedrill.promotion/1`.
        evidence: Value,
        /// Defaults of the profile that the project weakens, a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakened: Vec<String>,
    },
    /// The policy may do less from here on.
    Demotion {
        /// From which stage.
        from: Stage,
        /// To which.
        to: Stage,
        /// Why.
        because: String,
        /// Whether nobody asked for it: it follows from what stands before it.
        automatic: bool,
    },
    /// A decision came of a fault that somebody had made on purpose.
    Drill {
        /// The hash of the decision's entry.
        event: String,
        /// The fault, such as `crash`.
        fault: Name,
        /// What it was made in, such as `service/checkout`.
        target: String,
    },
    /// What people did in an incident.
    Person {
        /// The incident, as in the observations; where two branches have each one of that name, the hash of the entry that opened it.
        incident: String,
        /// When they did it.
        at: String,
        /// What, such as `rollback service/checkout`; empty: they looked at it, and did nothing.
        did: String,
    },
    /// What the policy would have done beside what people did.
    Compared {
        /// The incident, as for `Person`.
        incident: String,
        /// Whether both acted, or neither did.
        agrees: bool,
        /// Whether what the policy would have done is known to be wrong.
        wrong: bool,
        /// What it would have done it by.
        hashes: Hashes,
        /// Live detection time as a multiple of the one in simulation; `None` where no scenario tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detection_ratio: Option<f64>,
        /// For people; it ends with where people's side came from, in parentheses, and by that a story is known again: [`super::source_of`].
        detail: String,
    },
    /// Recorded history was replayed.
    Backtest {
        /// The first instant of it, RFC 3339.
        from: String,
        /// The last.
        until: String,
        /// Firings of ALERTS that were recorded.
        recorded: u64,
        /// Those of them that our ruler reproduced.
        reproduced: u64,
        /// From when to when nothing was recorded in that time: that is no history.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gaps: Vec<(String, String)>,
        /// What it was decided by. The decisions follow as entries of their own, each marked as of a backtest.
        hashes: Hashes,
    },
    /// Something that must never happen did: a guard's limit exceeded, two writers, an action without a right to it.
    Violation {
        /// What.
        what: String,
    },
    /// Something that gives a hint that an action was wrong. It can demote a policy, and never promote one.
    Hint {
        /// The hash of the decision's entry.
        event: String,
        /// What: verification failed, the objective is worse than when it was decided, a person reverted it within the hour.
        what: String,
        /// Whether it is harm.
        is_harm: bool,
    },
    /// Two branches of a chain become one again.
    Merge {
        /// The hash of the last entry of each branch.
        heads: Vec<String>,
    },
}

impl What {
    /// Whether a watcher began a session here.
    #[must_use]
    pub fn begins_session(&self) -> bool {
        matches!(self, Self::State { of, .. } if of == SESSION)
    }

    /// The word of its kind, as it stands in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Observation { .. } => "observation",
            Self::State { .. } => "state",
            Self::Decision { .. } => "decision",
            Self::Label { .. } => "label",
            Self::Approval { .. } => "approval",
            Self::Promotion { .. } => "promotion",
            Self::Demotion { .. } => "demotion",
            Self::Drill { .. } => "drill",
            Self::Person { .. } => "person",
            Self::Compared { .. } => "compared",
            Self::Backtest { .. } => "backtest",
            Self::Violation { .. } => "violation",
            Self::Hint { .. } => "hint",
            Self::Merge { .. } => "merge",
        }
    }
}

/// What was done or would have been, in a decision that this version of firedrill cannot read: a newer one may have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadAct {
    /// Whether it was done, or would have been.
    pub is_done: bool,
    /// The word of its action, as it stands there.
    pub what: String,
    /// Its target likewise.
    pub target: String,
}

impl fmt::Display for UnreadAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(format!("{} {}", self.what, self.target).trim())
    }
}

impl UnreadAct {
    /// Of an event; `None`: it is neither a decision to act nor what would have been one.
    #[must_use]
    pub fn of(event: &Value) -> Option<Self> {
        let (is_done, own) = match (event.get("decided"), event.get("would_act")) {
            (Some(own), _) => (true, own),
            (None, Some(own)) => (false, own),
            (None, None) => return None,
        };
        let word = |what: &Value| match what {
            Value::String(word) => word.clone(),
            Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
            other => other.to_string(),
        };
        let what = own.get("what").map_or_else(|| "something".to_owned(), word);
        let target = own.get("target").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { is_done, what, target })
    }
}

/// Whether an entry is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// It is not: it shows as unverified.
    No,
    /// By whoever has the private part of this key.
    By(PublicKey),
}

/// An entry as it stands in a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Counts from 1 along the chain. In a fork two entries have the same.
    pub number: u64,
    /// The line of the file, from 1.
    pub line: usize,
    /// The hash of the entry before it, `blake3:…`.
    pub previous: String,
    /// Its own.
    pub hash: String,
    /// Whether it is signed; a wrong signature is a [`super::Finding`].
    pub signed: Signed,
    /// What was given.
    pub entry: Entry,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_same_however_it_is_laid_out() {
        let plain = "time()-max(deploys{service=$service,text=\"a  # b \\\" c\"})<600 and on(pod)up";
        for text in [
            "time() - max(deploys{service=$service,text=\"a  # b \\\" c\"}) < 600 and on(pod) up",
            "  time()  -  max( deploys{ service = $service, text=\"a  # b \\\" c\" } )\n  < 600 # ten minutes\n  and on (pod)\tup ",
        ] {
            assert_eq!(plain_question(text), plain);
        }
        assert_ne!(plain_question("a{x=\"b  c\"}"), plain_question("a{x=\"b c\"}"), "what is quoted means what it says");
        assert_ne!(plain_question("sum by (pod) (a)"), plain_question("sum by (pods) (a)"));
        assert_eq!(plain_question("a > bool b"), "a>bool b");
    }
}
