//! What a test expects policies to decide: reading it, and holding it against what they decided.

use std::fmt;

use firedrill_core::action::{Action, ActionOutcome, Target};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::Verification;
use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader};

use super::super::document::{duration, text_of};
use super::document::optional_list;
use crate::problem;

/// All that a policy is expected to decide until a moment.
#[derive(Clone, Debug)]
pub struct DecisionTest {
    /// Which policy.
    pub policy: Name,
    /// Until when, after the start; a decision at that moment counts.
    pub eval_time: Span,
    /// Every decision, in any order of those at one moment.
    pub expected: Vec<ExpectedDecision>,
    /// Where it stands.
    pub place: Place,
    /// Where the policy is named.
    pub policy_place: Place,
}

/// A decision that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedDecision {
    /// After the start.
    pub at: Span,
    /// What.
    pub what: Expectation,
}

/// What is expected of a decision; what is left open matches whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// An action is started, or would be.
    Acts {
        /// Its word.
        action: Name,
        /// To what.
        target: Option<Target>,
    },
    /// An action is refused.
    Refused {
        /// Its word.
        action: Name,
        /// To what.
        target: Option<Target>,
        /// The guard that refuses.
        guard: Option<Name>,
        /// The figures that it compares.
        figures: Option<String>,
    },
    /// A verification ends.
    Verified(Verification),
    /// A person is called.
    Pages {
        /// Who.
        to: Name,
        /// With what evidence.
        with: Option<Vec<Name>>,
        /// Why.
        because: Option<String>,
    },
}

/// A decision that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionGot {
    /// After the start.
    pub at: Span,
    /// What.
    pub what: Decision,
}

/// What policies decide.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// To act, for a reason.
    Acts {
        /// What is done.
        action: Action,
        /// To what.
        target: Target,
        /// Why.
        reason: String,
    },
    /// Not to act, because of a guard. `None` for what and to what: there was no target to propose anything for.
    Refused {
        /// What was proposed.
        action: Option<Action>,
        /// To what.
        target: Option<Target>,
        /// The guard.
        guard: Name,
        /// The figures that it compared.
        figures: String,
    },
    /// Whether a step has helped.
    Verified {
        /// How it ended.
        verdict: Verification,
        /// The figures that were compared.
        figures: String,
    },
    /// To call a person.
    Pages {
        /// Who.
        to: Name,
        /// With what evidence.
        with: Vec<Name>,
        /// Why.
        reason: String,
    },
}

/// What becomes of an action that a policy starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenResult {
    /// The action's word; `None`: of any.
    pub action: Option<Name>,
    /// To what; `None`: whatever.
    pub target: Option<Target>,
    /// How long after its start it ends.
    pub after: Span,
    /// How.
    pub outcome: ActionOutcome,
}

/// Reads `decision_test:`.
pub(super) fn read_decision_tests(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<DecisionTest> {
    let nodes = optional_list(reader, fields, "decision_test");
    nodes.iter().filter_map(|node| decision_test(reader, node)).collect()
}

fn decision_test(reader: &mut Reader, node: &Node) -> Option<DecisionTest> {
    let mut fields = reader.fields(node, "a decision test")?;
    let policy = fields.required(reader, "policy").and_then(|node| Some((reader.name(node, "a policy's name")?, node.place.clone())));
    let eval_time = fields.required(reader, "eval_time").and_then(|node| duration(reader, node));
    let nodes = optional_list(reader, &mut fields, "exp_decisions");
    let expected = nodes.iter().filter_map(|node| expected_decision(reader, node, eval_time)).collect();
    fields.finish(reader);
    let (policy, policy_place) = policy?;
    Some(DecisionTest { policy, eval_time: eval_time?, expected, place: node.place.clone(), policy_place })
}

/// The keys of which each expected decision has one.
const KINDS: [&str; 4] = ["action", "refused", "verified", "page"];

fn expected_decision(reader: &mut Reader, node: &Node, until: Option<Span>) -> Option<ExpectedDecision> {
    let mut fields = reader.fields(node, "an expected decision")?;
    let at = fields.required(reader, "at").and_then(|node| Some((duration(reader, node)?, node)));
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| fields.has(kind)).collect();
    let what = match kinds[..] {
        ["action"] => {
            let action = word(reader, &mut fields, "action");
            let target = target(reader, &mut fields);
            action.map(|action| Expectation::Acts { action, target })
        }
        ["refused"] => {
            let (action, target) = (word(reader, &mut fields, "refused"), target(reader, &mut fields));
            let guard = fields.optional("guard").and_then(|node| reader.name(node, "a guard"));
            let figures = fields.optional("figures").and_then(|node| text_of(reader, node, "figures"));
            action.map(|action| Expectation::Refused { action, target, guard, figures })
        }
        ["verified"] => {
            let words = [("held", Verification::Held), ("failed", Verification::Failed), ("inconclusive", Verification::Inconclusive)];
            let verdict = fields.optional("verified").and_then(|node| reader.one_of(node, "the end of a verification", &words));
            verdict.map(Expectation::Verified)
        }
        ["page"] => {
            let to = fields.optional("page").and_then(|node| reader.name(node, "who is paged"));
            let with = fields.has("with").then(|| optional_list(reader, &mut fields, "with"));
            let with = with.map(|nodes| nodes.iter().filter_map(|node| reader.name(node, "a kind of evidence")).collect());
            let because = fields.optional("because").and_then(|node| text_of(reader, node, "a reason"));
            to.map(|to| Expectation::Pages { to, with, because })
        }
        _ => {
            reader.problem(problem::not_one_decision(&node.place, &KINDS));
            // Whatever else stands there belongs to one of them.
            for key in ["action", "refused", "verified", "page", "target", "guard", "figures", "with", "because"] {
                fields.optional(key);
            }
            None
        }
    };
    fields.finish(reader);
    let (at, at_node) = at?;
    if until.is_some_and(|until| at > until) {
        reader.problem(problem::expects_later(&at_node.place));
    }
    Some(ExpectedDecision { at, what: what? })
}

fn word(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Name> {
    let words = Action::WORDS.map(|word| (word, word));
    fields.optional(key).and_then(|node| reader.one_of(node, "an action", &words)).map(Name::new)
}

fn target(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Target> {
    let node = fields.optional("target")?;
    let text = reader.text(node, "a target")?;
    text.parse().map_err(|message: String| reader.problem(problem::not_a_target(&node.place, &message))).ok()
}

/// Reads `results:`; `None` if there is none, so that nothing is started.
pub(super) fn read_results(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<GivenResult>> {
    if !fields.has("results") {
        return None;
    }
    let nodes = optional_list(reader, fields, "results");
    Some(nodes.iter().filter_map(|node| given_result(reader, node)).collect())
}

fn given_result(reader: &mut Reader, node: &Node) -> Option<GivenResult> {
    let mut fields = reader.fields(node, "a result")?;
    let (action, target) = (word(reader, &mut fields, "action"), target(reader, &mut fields));
    let after = fields.required(reader, "after").and_then(|node| duration(reader, node));
    let failed = fields.optional("failed").and_then(|node| text_of(reader, node, "why it failed"));
    fields.finish(reader);
    Some(GivenResult { action, target, after: after?, outcome: failed.map_or(ActionOutcome::Succeeded, ActionOutcome::Failed) })
}

/// Reads `services:` and `nodes:`, what is declared to exist.
pub(super) fn read_declared(reader: &mut Reader, fields: &mut Fields<'_>) -> Inventory {
    let mut inventory = Inventory::default();
    let services = fields.optional("services").and_then(|node| reader.fields(node, "services"));
    for (key, node) in services.iter().flat_map(Fields::entries) {
        let Some(mut fields) = reader.fields(node, "a service") else { continue };
        let replicas = fields.optional("replicas").and_then(|node| reader.integer(node, "replicas", 1..=100_000));
        let zones = names(reader, &mut fields, "zones");
        let mut calls = names(reader, &mut fields, "calls");
        calls.sort();
        calls.dedup();
        let tiers = [("critical", true), ("normal", false)];
        let critical = fields.optional("tier").and_then(|node| reader.one_of(node, "a tier", &tiers)).unwrap_or(true);
        fields.finish(reader);
        let replicas = replicas.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        inventory.services.insert(key.text.clone(), ServiceEntry { replicas, zones, critical, calls });
    }
    let nodes = fields.optional("nodes").and_then(|node| reader.fields(node, "nodes"));
    for (key, node) in nodes.iter().flat_map(Fields::entries) {
        inventory.nodes.extend(reader.name(node, "a zone").map(|zone| (key.text.clone(), zone)));
    }
    inventory.clients = names(reader, fields, "clients");
    inventory
}

fn names(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Name> {
    let nodes = optional_list(reader, fields, key);
    nodes.iter().filter_map(|node| reader.name(node, "a name")).collect()
}

impl DecisionTest {
    /// What is expected and was not decided, and what was decided and is not expected; both empty: the test passes.
    #[must_use]
    pub fn compare<'a>(&'a self, got: &'a [DecisionGot]) -> (Vec<&'a ExpectedDecision>, Vec<&'a DecisionGot>) {
        let mut rest: Vec<&DecisionGot> = got.iter().filter(|got| got.at <= self.eval_time).collect();
        // What says more is matched first.
        let mut wanted: Vec<&ExpectedDecision> = self.expected.iter().collect();
        wanted.sort_by_key(|expected| std::cmp::Reverse(expected.what.precision()));
        let missing = wanted.into_iter().filter(|expected| match rest.iter().position(|got| expected.is(got)) {
            Some(index) => {
                rest.remove(index);
                false
            }
            None => true,
        });
        let mut missing: Vec<&ExpectedDecision> = missing.collect();
        missing.sort_by_key(|expected| expected.at);
        (missing, rest)
    }
}

impl Expectation {
    /// How much it says.
    fn precision(&self) -> usize {
        match self {
            Self::Acts { target, .. } => usize::from(target.is_some()),
            Self::Refused { target, guard, figures, .. } => {
                usize::from(target.is_some()) + usize::from(guard.is_some()) + usize::from(figures.is_some())
            }
            Self::Verified(_) => 0,
            Self::Pages { with, because, .. } => usize::from(with.is_some()) + usize::from(because.is_some()),
        }
    }
}

impl ExpectedDecision {
    fn is(&self, got: &DecisionGot) -> bool {
        fn agrees<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let what = match (&self.what, &got.what) {
            (Expectation::Acts { action, target }, Decision::Acts { action: found, target: to, .. }) => {
                action.as_str() == found.word() && agrees(target.as_ref(), Some(to))
            }
            (
                Expectation::Refused { action, target, guard, figures },
                Decision::Refused { action: found, target: to, guard: by, figures: told },
            ) => {
                found.as_ref().is_some_and(|found| action.as_str() == found.word())
                    && agrees(target.as_ref(), to.as_ref())
                    && agrees(guard.as_ref(), Some(by))
                    && agrees(figures.as_ref(), Some(told))
            }
            (Expectation::Verified(wanted), Decision::Verified { verdict, .. }) => wanted == verdict,
            (Expectation::Pages { to, with, because }, Decision::Pages { to: whom, with: given, reason }) => {
                to == whom && agrees(with.as_ref(), Some(given)) && agrees(because.as_ref(), Some(reason))
            }
            _ => false,
        };
        self.at == got.at && what
    }
}

const fn verdict(verification: Verification) -> &'static str {
    match verification {
        Verification::Held => "held",
        Verification::Failed => "failed",
        Verification::Inconclusive => "inconclusive",
    }
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ExpectedDecision {
    /// As it is written in a test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at: {}, ", self.at)?;
        match &self.what {
            Expectation::Acts { action, target } => {
                write!(f, "action: {action}")?;
                target.iter().try_for_each(|target| write!(f, ", target: {target}"))
            }
            Expectation::Refused { action, target, guard, figures } => {
                write!(f, "refused: {action}")?;
                target.iter().try_for_each(|target| write!(f, ", target: {target}"))?;
                guard.iter().try_for_each(|guard| write!(f, ", guard: {guard}"))?;
                figures.iter().try_for_each(|figures| write!(f, ", figures: '{figures}'"))
            }
            Expectation::Verified(verification) => write!(f, "verified: {}", verdict(*verification)),
            Expectation::Pages { to, with, because } => {
                write!(f, "page: {to}")?;
                with.iter().try_for_each(|with| write!(f, ", with: [{}]", listed(with)))?;
                because.iter().try_for_each(|because| write!(f, ", because: '{because}'"))
            }
        }
    }
}

impl fmt::Display for DecisionGot {
    /// As a test would expect it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at: {}, ", self.at)?;
        match &self.what {
            Decision::Acts { action, target, reason } => write!(f, "action: {}, target: {target} ({action}: {reason})", action.word()),
            Decision::Refused { action, target, guard, figures } => {
                write!(f, "refused: {}", action.as_ref().map_or("nothing", Action::word))?;
                target.iter().try_for_each(|target| write!(f, ", target: {target}"))?;
                write!(f, ", guard: {guard}, figures: '{figures}'")
            }
            Decision::Verified { verdict: verification, figures } => write!(f, "verified: {} ({figures})", verdict(*verification)),
            Decision::Pages { to, with, reason } if with.is_empty() => write!(f, "page: {to}, because: '{reason}'"),
            Decision::Pages { to, with, reason } => write!(f, "page: {to}, with: [{}], because: '{reason}'", listed(with)),
        }
    }
}
