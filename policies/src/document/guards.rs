//! `guard:`: the limits that a policy sets itself.

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::quantity::{Ratio, Rounding};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_telemetry::promql::{Condition, ConditionError, Formula};

use super::deeds::{self, formula};
use super::{all, condition, positive_span};
use crate::guard::approval::{Approval, Covered};
use crate::guard::backoff::Backoff;
use crate::guard::breaker::{Breaker, Harm};
use crate::guard::caps::{Cap, CapOf, Most};
use crate::guard::confidence::{ACT_AT, ASK_AT, Confidence, Source};
use crate::guard::cooldown::Cooldown;
use crate::guard::correlated_failure::Correlated;
use crate::guard::detector_sanity::{SUSPECT_PERCENT, Sanity};
use crate::guard::disruption_budget::{DisruptionBudget, Headroom};
use crate::guard::freeze::{Freeze, FreezeError, Written};
use crate::guard::ineffective_chain::Chain;
use crate::guard::max_unhealthy::MaxUnhealthy;
use crate::guard::population::{Element, Watch};
use crate::guard::rate_limit::{LONGEST_WINDOW, RateLimit};
use crate::guard::stage::is_reversible;
use crate::guard::switch::Switch;
use crate::guard::{Guard, GuardSettings, Instead, Scope};
use crate::policy::Policy;
use crate::problem;

/// Reads the guards.
pub(super) fn read(reader: &mut Reader, node: &Node) -> Option<GuardSettings> {
    nothing_empty(reader, node);
    let mut fields = reader.fields(node, "`guard`")?;
    let kill_switch = one(reader, &mut fields, "kill_switch", switch);
    let freezes = several(reader, &mut fields, "freeze", freeze);
    let change = one(reader, &mut fields, "change_in_progress", switch);
    let detector_sanity = one(reader, &mut fields, "detector_sanity", sanity);
    let correlated_failure = one(reader, &mut fields, "correlated_failure", correlated);
    let max_unhealthy = one(reader, &mut fields, "max_unhealthy", max_unhealthy);
    let disruption_budget = one(reader, &mut fields, "disruption_budget", disruption_budget);
    let caps = several(reader, &mut fields, "caps", cap);
    let rate_limits = several(reader, &mut fields, "rate_limit", rate_limit);
    let cooldown = one(reader, &mut fields, "cooldown", cooldown);
    let backoff = one(reader, &mut fields, "backoff", backoff);
    let ineffective_chain = one(reader, &mut fields, "ineffective_chain", chain);
    let mutual_exclusion = one(reader, &mut fields, "mutual_exclusion", lease);
    let breaker = one(reader, &mut fields, "breaker", breaker);
    let approval = one(reader, &mut fields, "approval", approval);
    let (breaker, harm) = breaker.map_or((None, None), |breaker| breaker.map_or((Some(None), None), |(own, harm)| (Some(Some(own)), harm)));
    let canary = one(reader, &mut fields, "canary", trust);
    let confidence = one(reader, &mut fields, "confidence", confidence);
    fields.finish(reader);
    Some(GuardSettings {
        kill_switch: kill_switch?,
        halts: Vec::new(),
        code: None,
        estate: Arc::default(),
        freezes: freezes?,
        change: change?,
        detector_sanity: detector_sanity?,
        correlated_failure: correlated_failure?,
        confidence: confidence?,
        max_unhealthy: max_unhealthy?,
        disruption_budget: disruption_budget?,
        caps: caps?,
        rate_limits: rate_limits?,
        cooldown: cooldown?,
        backoff: backoff?,
        ineffective_chain: ineffective_chain?,
        mutual_exclusion: mutual_exclusion?,
        breaker: breaker?,
        approval: approval?,
        harm,
        canary: canary?,
    })
}

/// A guard without a value would be no guard, and its reader would believe in it.
fn nothing_empty(reader: &mut Reader, node: &Node) {
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|(key, value)| match &value.value {
            Value::Null => reader.problem(problem::no_value(&key.place, &key.text)),
            // Lists deeper down say themselves what they need.
            Value::List(items) if items.is_empty() && matches!(&*key.text, "caps" | "freeze" | "rate_limit") => {
                reader.problem(problem::empty_list(&value.place, &format!("`{}`", key.text)));
            }
            _ => nothing_empty(reader, value),
        }),
        Value::List(items) => items.iter().for_each(|item| nothing_empty(reader, item)),
        _ => {}
    }
}

/// How one guard is read.
type Read<T> = fn(&mut Reader, &Node) -> Option<T>;

/// A guard that may be left out; `None` if it is there and wrong.
fn one<T>(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, read: Read<T>) -> Option<Option<T>> {
    match fields.optional(key) {
        None => Some(None),
        Some(node) => read(reader, node).map(Some),
    }
}

/// A list of guards that may be left out.
pub(super) fn several<T>(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, read: Read<T>) -> Option<Vec<T>> {
    let Some(node) = fields.optional(key) else { return Some(Vec::new()) };
    let items = reader.list(node, &format!("`{key}`"))?;
    all(items.iter().map(|item| read(reader, item)).collect())
}

/// `{ expr, effect }`: forbidden while it is true.
fn switch(reader: &mut Reader, node: &Node) -> Option<Switch> {
    if !matches!(node.value, Value::Map(_)) {
        reader.problem(problem::switch_is_a_map(&node.place, matches!(node.value, Value::List(_))));
        return None;
    }
    let mut fields = reader.fields(node, "what must be off")?;
    let condition = fields.required(reader, "expr").and_then(|node| condition(reader, node));
    let instead = effect(reader, &mut fields);
    fields.finish(reader);
    Some(Switch::new(condition?.0, instead?))
}

/// `refuse`, `ask` or `alert_only`.
pub(super) fn effect(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Instead> {
    fields.optional("effect").map_or(Some(Instead::Wait), |node| reader.one_of(node, "an effect", &Instead::WORDS))
}

/// `{ from, zone, lasting, repeats, because }`: a freeze whose effect is that nothing is answered.
pub(super) fn maintenance(reader: &mut Reader, node: &Node) -> Option<Freeze> {
    if let Value::Map(entries) = &node.value
        && let Some((key, _)) = entries.iter().find(|(key, _)| &*key.text == "effect")
    {
        reader.problem(problem::meaningless(&key.place, "effect", "maintenance"));
        return None;
    }
    freeze(reader, node)
}

/// `{ from, zone, lasting, repeats, effect, because }`.
fn freeze(reader: &mut Reader, node: &Node) -> Option<Freeze> {
    let mut fields = reader.fields(node, "a freeze")?;
    let keys = [("from", "a time of day on a date"), ("zone", "a time zone"), ("lasting", "a length")];
    let nodes = keys.map(|(key, _)| fields.required(reader, key));
    let mut texts =
        nodes.iter().zip(keys).map(|(node, (_, what))| Some(reader.text((*node)?, what)?.to_string())).collect::<Vec<_>>().into_iter();
    let (from, zone, lasting) = (texts.next().flatten(), texts.next().flatten(), texts.next().flatten());
    let repeats_node = fields.optional("repeats");
    let repeats = repeats_node.map_or(Some(None), |node| Some(Some(reader.text(node, "a recurrence")?.to_string())));
    let because = fields.optional("because").map_or(Some(String::new()), |node| reader.sentence(node, "a reason"));
    let instead = effect(reader, &mut fields);
    fields.finish(reader);
    let written = Written { from: from?, zone: zone?, lasting: lasting?, repeats: repeats?, because: because? };
    match Freeze::new(written, instead?) {
        Ok(freeze) => Some(freeze),
        Err(error) => {
            let at = match &error {
                FreezeError::From(_) => nodes[0],
                FreezeError::Zone(_) => nodes[1],
                FreezeError::Lasting(_) => nodes[2],
                FreezeError::Repeats(_) => repeats_node,
            };
            reader.problem(problem::freeze(&at.unwrap_or(node).place, &error.to_string(), error.remedy()));
            None
        }
    }
}

/// A comparison whose elements are counted.
fn healthy(reader: &mut Reader, node: &Node) -> Option<Condition> {
    let (condition, place) = condition(reader, node)?;
    if !condition.is_comparison() {
        reader.problem(problem::not_countable(&place));
        return None;
    }
    Some(condition)
}

/// `healthy:` and `scope:`, both of which must be there.
fn watch(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Watch> {
    let healthy = fields.required(reader, "healthy").and_then(|node| healthy(reader, node));
    let scope = fields.required(reader, "scope").and_then(|node| scope(reader, node));
    Some(Watch { healthy: healthy?, scope: scope?, of: Element::Replicas })
}

/// `{ fresh }`, `{ healthy, scope, suspect }`, or all of them.
fn sanity(reader: &mut Reader, node: &Node) -> Option<Sanity> {
    let mut fields = reader.fields(node, "`detector_sanity`")?;
    let fresh = fields.optional("fresh").map_or(Some(None), |node| condition(reader, node).map(|(condition, _)| Some(condition)));
    let clock = fields.optional("clock").map_or(Some(None), |node| reader.span(node, "`clock`").map(Some));
    let watched = ["healthy", "scope", "suspect"].into_iter().any(|key| fields.has(key));
    let watch = if watched { watch(reader, &mut fields).map(Some) } else { Some(None) };
    let usual = Ratio::new(SUSPECT_PERCENT / 100.0).expect("a share");
    let suspect = fields.optional("suspect").map_or(Some(usual), |node| positive_share(reader, node, "`suspect`"));
    if !watched && !fields.has("fresh") && !fields.has("clock") {
        reader.problem(problem::asks_nothing(fields.place(), "detector_sanity", "`fresh:`, `clock:`, or `healthy:` and `scope:`"));
        return None;
    }
    fields.finish(reader);
    Some(Sanity { fresh: fresh?, clock: clock?, watch: watch?, suspect: suspect? })
}

/// `{ services, within }`, `{ share, of, within }`, or all of them.
fn correlated(reader: &mut Reader, node: &Node) -> Option<Correlated> {
    let mut fields = reader.fields(node, "`correlated_failure`")?;
    let services =
        fields.optional("services").map_or(Some(None), |node| reader.integer(node, "the number of services", 2..=100_000).map(Some));
    let share = match (fields.has("share"), fields.has("of")) {
        (false, false) => Some(None),
        _ => {
            let share = fields.required(reader, "share").and_then(|node| positive_share(reader, node, "`share`"));
            let domains = [Scope::Zone, Scope::Service].map(|scope| (scope.word(), scope));
            let of = fields.required(reader, "of").and_then(|node| reader.one_of(node, "a failure domain", &domains));
            share.zip(of).map(Some)
        }
    };
    let within = fields.required(reader, "within").and_then(|node| longest(reader, node, "`within`"));
    if !fields.has("services") && !fields.has("share") && !fields.has("of") {
        reader.problem(problem::asks_nothing(fields.place(), "correlated_failure", "`services:`, or `share:` and `of:`"));
        return None;
    }
    fields.finish(reader);
    Some(Correlated { services: services?.map(i64::unsigned_abs), share: share?, within: within? })
}

/// `{ healthy, scope, of, max, rounding }`.
fn max_unhealthy(reader: &mut Reader, node: &Node) -> Option<MaxUnhealthy> {
    let mut fields = reader.fields(node, "`max_unhealthy`")?;
    let watch = watch(reader, &mut fields);
    let words = [("replicas", Element::Replicas), ("nodes", Element::Nodes)];
    let of = fields.optional("of").map(|node| (reader.one_of(node, "what a gate counts", &words), &node.place));
    let max = most(reader, &mut fields, ("max", "the most unhealthy"), None);
    fields.finish(reader);
    let (watch, max) = (watch?, max?);
    let Some((of, place)) = of else { return Some(MaxUnhealthy { watch, max }) };
    let of = of?;
    if of == Element::Nodes && watch.scope == Scope::Service {
        reader.problem(problem::nodes_of_a_service(place));
        return None;
    }
    Some(MaxUnhealthy { watch: Watch { of, ..watch }, max })
}

/// `{ healthy, scope, desired, rounding, target }`.
fn disruption_budget(reader: &mut Reader, node: &Node) -> Option<DisruptionBudget> {
    let mut fields = reader.fields(node, "`disruption_budget`")?;
    let watch = watch(reader, &mut fields);
    let is_quorum = fields
        .entries()
        .iter()
        .any(|(key, node)| &*key.text == "desired" && matches!(&node.value, Value::Text(text) if &**text == "quorum"));
    let desired = match is_quorum {
        true => fields.required(reader, "desired").map(|_| Most::Majority),
        false => most(reader, &mut fields, ("desired", "the desired healthy"), None),
    };
    let headroom = fields.optional("headroom").map_or(Some(None), |node| headroom(reader, node).map(Some));
    let words = [("healthy", false), ("unhealthy", true)];
    let target = fields.optional("target").map_or(Some(false), |node| reader.one_of(node, "what a target is", &words));
    fields.finish(reader);
    Some(DisruptionBudget { watch: watch?, desired: desired?, target_is_unhealthy: target?, headroom: headroom? })
}

/// `{ busy, at_most }`.
fn headroom(reader: &mut Reader, node: &Node) -> Option<Headroom> {
    let mut fields = reader.fields(node, "`headroom`")?;
    let busy = fields.required(reader, "busy").and_then(|node| deeds::formula(reader, node)).map(|(formula, _)| formula);
    let at_most = fields.required(reader, "at_most").and_then(|node| positive_share(reader, node, "`at_most`"));
    fields.finish(reader);
    Some(Headroom { busy: busy?, at_most: at_most? })
}

/// `{ base, factor, cap, jitter, reset_after }`.
fn backoff(reader: &mut Reader, node: &Node) -> Option<Backoff> {
    let mut fields = reader.fields(node, "`backoff`")?;
    let base_node = fields.required(reader, "base");
    let base = base_node.and_then(|node| longest(reader, node, "`base`"));
    let factor = fields.required(reader, "factor").map(|node| (reader.factor(node, "the factor"), &node.place));
    let cap = fields.required(reader, "cap").and_then(|node| longest(reader, node, "`cap`"));
    let none = Ratio::new(0.0).expect("a share");
    let jitter = fields.optional("jitter").map_or(Some(none), |node| reader.ratio(node, "`jitter`"));
    let reset_node = fields.required(reader, "reset_after");
    let reset_after = reset_node.and_then(|node| longest(reader, node, "`reset_after`"));
    fields.finish(reader);
    let (factor, factor_place) = factor?;
    let (base, factor, cap) = (base?, factor?, cap?);
    if factor.get() < 1.0 {
        reader.problem(problem::out_of_range(factor_place, "rests that grow shorter are no backoff", "write `x2`"));
        return None;
    }
    if base > cap {
        let place = base_node.map_or(&node.place, |node| &node.place);
        reader.problem(problem::out_of_range(place, &format!("the first rest, {base}, is longer than the longest, {cap}"), "raise `cap`"));
        return None;
    }
    let backoff = Backoff { base, factor, cap, jitter: jitter?, reset_after: reset_after? };
    if backoff.reset_after <= backoff.longest() {
        let place = reset_node.map_or(&node.place, |node| &node.place);
        let message =
            format!("after {} rests begin anew, and the longest is {}: it would end unheeded", backoff.reset_after, backoff.longest());
        reader.problem(problem::out_of_range(place, &message, "make `reset_after` longer than the longest rest"));
        return None;
    }
    Some(backoff)
}

/// `{ actions, within }`.
fn chain(reader: &mut Reader, node: &Node) -> Option<Chain> {
    let mut fields = reader.fields(node, "`ineffective_chain`")?;
    let actions = fields.required(reader, "actions").and_then(|node| reader.integer(node, "the number of actions", 1..=1_000));
    let within = fields.required(reader, "within").and_then(|node| longest(reader, node, "`within`"));
    fields.finish(reader);
    Some(Chain { actions: u32::try_from(actions?).ok()?, within: within? })
}

/// `{ lease }`.
fn lease(reader: &mut Reader, node: &Node) -> Option<Span> {
    let mut fields = reader.fields(node, "`mutual_exclusion`")?;
    let lease = fields.required(reader, "lease").and_then(|node| longest(reader, node, "`lease`"));
    fields.finish(reader);
    lease
}

/// `{ failures, of_at_least, actions, within, try_again_after }`.
fn breaker(reader: &mut Reader, node: &Node) -> Option<(Breaker, Option<Harm>)> {
    let mut fields = reader.fields(node, "`breaker`")?;
    let failures = fields.optional("failures").map_or(Some(None), |node| positive_share(reader, node, "`failures`").map(Some));
    let of_at_least = match fields.has("failures") {
        true => fields.required(reader, "of_at_least").and_then(|node| reader.integer(node, "the least number of actions", 1..=1_000)),
        false => Some(1),
    };
    let actions =
        fields.optional("actions").map_or(Some(None), |node| reader.integer(node, "the number of starts", 1..=1_000_000).map(Some));
    let within = fields.required(reader, "within").and_then(|node| longest(reader, node, "`within`"));
    let again = fields.optional("try_again_after").map_or(Some(None), |node| longest(reader, node, "`try_again_after`").map(Some));
    let harm = fields.optional("harm").map_or(Some(None), |node| harm(reader, node).map(Some));
    if !fields.has("failures") && !fields.has("actions") && !fields.has("harm") {
        reader.problem(problem::asks_nothing(fields.place(), "breaker", "`failures:` and `of_at_least:`, `actions:`, or `harm:`"));
        return None;
    }
    fields.finish(reader);
    let count = |number: i64| u32::try_from(number).ok();
    let actions = match actions? {
        None => None,
        Some(number) => Some(count(number)?),
    };
    let breaker = Breaker { failures: failures?, of_at_least: count(of_at_least?)?, actions, within: within?, try_again_after: again? };
    Some((breaker, harm?))
}

/// `{ expr, by }`: what must not grow by more than this from a decision to the end of its verification.
fn harm(reader: &mut Reader, node: &Node) -> Option<Harm> {
    let mut fields = reader.fields(node, "`harm`")?;
    let formula = fields.required(reader, "expr").and_then(|node| deeds::formula(reader, node)).map(|(formula, _)| formula);
    let by = fields.required(reader, "by").and_then(|node| {
        let by = reader.number(node, "how much worse")?;
        if by < 0.0 {
            reader.problem(problem::out_of_range(&node.place, "what may grow by less than nothing is always harmed", "write 0 or more"));
            return None;
        }
        Some(by)
    });
    fields.finish(reader);
    Some(Harm { formula: formula?, by: by? })
}

/// `measured`, or `{ expr, act_at, ask_at }` or `{ source: measured, act_at, ask_at }`.
fn confidence(reader: &mut Reader, node: &Node) -> Option<Confidence> {
    if matches!(node.value, Value::Integer(_) | Value::Float(_)) {
        reader.problem(problem::constant_confidence(&node.place));
        return None;
    }
    if !matches!(node.value, Value::Map(_)) {
        reader.one_of(node, "where a confidence comes from", &[("measured", ())])?;
        return Some(Confidence { source: Source::Measured, act_at: ACT_AT, ask_at: ASK_AT });
    }
    let mut fields = reader.fields(node, "`confidence`")?;
    let expr = fields.optional("expr").map(|node| claim(reader, node));
    let measured = fields.optional("source").map(|node| reader.one_of(node, "where a confidence comes from", &[("measured", ())]));
    let bound = |key: &'static str, usual: f64, fields: &mut Fields<'_>, reader: &mut Reader| match fields.optional(key) {
        None => Some((usual, fields.place().clone())),
        Some(node) => reader.ratio(node, &format!("`{key}`")).map(|ratio| (ratio.get(), node.place.clone())),
    };
    let act_at = bound("act_at", ACT_AT, &mut fields, reader);
    let ask_at = bound("ask_at", ASK_AT, &mut fields, reader);
    if expr.is_some() == measured.is_some() {
        reader.problem(problem::source_of_confidence(fields.place(), expr.is_some()));
        return None;
    }
    fields.finish(reader);
    let ((act_at, _), (ask_at, place)) = (act_at?, ask_at?);
    if ask_at > act_at {
        reader.problem(problem::bounds_of_confidence(&place, ask_at, act_at));
        return None;
    }
    let source = match expr {
        Some(expr) => Source::Claimed(Box::new(expr?)),
        None => {
            measured??;
            Source::Measured
        }
    };
    Some(Confidence { source, act_at, ask_at })
}

/// An expression that gives a number, whatever it is.
fn claim(reader: &mut Reader, node: &Node) -> Option<Formula> {
    let (formula, place) = formula(reader, node)?;
    let text = formula.plan().text();
    let compares = match Condition::parse(text) {
        Ok(condition) => condition.is_comparison(),
        Err(error) => matches!(error, ConditionError::LeavesOut(_)),
    };
    if compares {
        reader.problem(problem::claim_compares(&place, text));
        return None;
    }
    Some(formula)
}

/// `{ from, of, quorum, expires }`.
fn approval(reader: &mut Reader, node: &Node) -> Option<Approval> {
    let mut fields = reader.fields(node, "`approval`")?;
    let usual = Approval::default();
    let from = fields.required(reader, "from").and_then(|node| roles(reader, node));
    let of = fields.optional("of").map_or(Some(usual.of), |node| reader.one_of(node, "what people are asked of", &Covered::WORDS));
    let quorum = fields.optional("quorum").map_or(Some(i64::from(usual.quorum)), |node| reader.integer(node, "the quorum", 1..=100));
    let expires = fields.optional("expires").map_or(Some(usual.expires), |node| longest(reader, node, "`expires`"));
    fields.finish(reader);
    Some(Approval { from: from?, of: of?, quorum: u32::try_from(quorum?).ok()?, expires: expires? })
}

/// One role, or several, each once.
fn roles(reader: &mut Reader, node: &Node) -> Option<Vec<Name>> {
    let Value::List(items) = &node.value else { return reader.name(node, "a role").map(|role| vec![role]) };
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "the list of roles"));
        return None;
    }
    let mut roles: Vec<Name> = Vec::new();
    for item in items {
        let role = reader.name(item, "a role")?;
        if roles.contains(&role) {
            reader.problem(problem::role_twice(&item.place, &role));
            return None;
        }
        roles.push(role);
    }
    Some(roles)
}

/// Somebody else than whose the policy is must be asked, and there must be something to ask of.
pub(super) fn check_approval(reader: &mut Reader, policy: &Policy) {
    let Some(approval) = &policy.guards.approval else { return };
    let place = policy.places.guard(Guard::Approval);
    if let Some(own) = approval.from.iter().find(|role| **role == policy.owner || policy.author.as_ref() == Some(*role)) {
        reader.problem(problem::own_approval(place, &policy.name, own));
    }
    if policy.only_notifies() {
        reader.problem(problem::nothing_to_approve(place, &format!("`{}` does nothing but call people", policy.name)));
    } else if approval.of == Covered::Irreversible && policy.actions().all(|(action, _)| is_reversible(action)) {
        reader.problem(problem::nothing_to_approve(place, &format!("all that `{}` does can be undone", policy.name)));
    }
}

/// `{ trust }`.
fn trust(reader: &mut Reader, node: &Node) -> Option<Span> {
    let mut fields = reader.fields(node, "`canary`")?;
    let trust = fields.required(reader, "trust").and_then(|node| longest(reader, node, "`trust`"));
    fields.finish(reader);
    trust
}

/// A share above nothing.
fn positive_share(reader: &mut Reader, node: &Node, what: &str) -> Option<Ratio> {
    let share = reader.ratio(node, what)?;
    if share.get() <= 0.0 {
        reader.problem(problem::out_of_range(&node.place, &format!("{what} is nothing"), "write a share such as `50%`"));
        return None;
    }
    Some(share)
}

/// `10m` for both kinds of rest, or `{ same_policy: 10m, any_policy: 2m }`.
fn cooldown(reader: &mut Reader, node: &Node) -> Option<Cooldown> {
    if !matches!(node.value, Value::Map(_)) {
        let span = longest(reader, node, "`cooldown`")?;
        return Some(Cooldown { same_policy: span, any_policy: span });
    }
    let mut fields = reader.fields(node, "`cooldown`")?;
    let same_policy = fields.required(reader, "same_policy").and_then(|node| longest(reader, node, "`same_policy`"));
    let any_policy = fields.optional("any_policy").map_or(Some(Span::ZERO), |node| {
        let span = reader.span(node, "`any_policy`")?;
        within_memory(reader, node, (span, "`any_policy`"))
    });
    fields.finish(reader);
    Some(Cooldown { same_policy: same_policy?, any_policy: any_policy? })
}

/// A duration within what guards remember.
fn longest(reader: &mut Reader, node: &Node, what: &str) -> Option<Span> {
    let span = positive_span(reader, node, what)?;
    within_memory(reader, node, (span, what))
}

fn within_memory(reader: &mut Reader, node: &Node, (span, what): (Span, &str)) -> Option<Span> {
    if span > LONGEST_WINDOW {
        reader.problem(problem::out_of_range(&node.place, &format!("{what} is longer than {LONGEST_WINDOW}"), "write a shorter one"));
        return None;
    }
    Some(span)
}

fn rate_limit(reader: &mut Reader, node: &Node) -> Option<RateLimit> {
    let mut fields = reader.fields(node, "a rate limit")?;
    let max = fields.required(reader, "max").and_then(|node| reader.integer(node, "starts allowed", 1..=1_000_000));
    let window = fields.required(reader, "window").and_then(|node| longest(reader, node, "`window`"));
    let scopes = [Scope::Target, Scope::Service, Scope::Zone, Scope::All].map(|scope| (scope.word(), scope));
    let scope = fields.required(reader, "scope").and_then(|node| reader.one_of(node, "a scope", &scopes));
    let patience = fields.optional("overflow").map_or(Some(None), |node| overflow(reader, node).map(Some));
    fields.finish(reader);
    Some(RateLimit { max: u32::try_from(max?).ok()?, window: window?, scope: scope?, patience: patience? })
}

/// `refuse`, which is a queue of no time at all, or `{ queue: 5m }`.
fn overflow(reader: &mut Reader, node: &Node) -> Option<Span> {
    let (key, value) = reader.tagged(node, "what becomes of one too many", &["refuse", "queue"])?;
    match (&*key.text, value) {
        ("refuse", None) => Some(Span::ZERO),
        ("queue", Some(value)) => longest(reader, value, "`queue`"),
        (word, _) => {
            reader.problem(problem::overflow(&key.place, word));
            None
        }
    }
}

fn cap(reader: &mut Reader, node: &Node) -> Option<Cap> {
    let mut fields = reader.fields(node, "a cap")?;
    let scope = fields.required(reader, "scope").and_then(|node| scope_of_cap(reader, node));
    let of = fields.required(reader, "of").and_then(|node| reader.one_of(node, "something to count", &COUNTED));
    let at_least = fields.optional("at_least").map_or(Some(0), |node| reader.integer(node, "`at_least`", 0..=1_000_000));
    let max = most(reader, &mut fields, ("max", "the cap"), of);
    fields.finish(reader);
    Some(Cap { scope: scope?, of: of?, max: max?, at_least: at_least?.unsigned_abs() })
}

/// What a cap counts.
const COUNTED: [(&str, CapOf); 3] = [("replicas", CapOf::Replicas), ("targets", CapOf::Targets), ("capacity", CapOf::Capacity)];

/// Of a cap, also what the project declares.
fn scope_of_cap(reader: &mut Reader, node: &Node) -> Option<Scope> {
    let scopes = [Scope::Service, Scope::Zone, Scope::Region, Scope::Cluster, Scope::Owner, Scope::All];
    reader.one_of(node, "a scope", &scopes.map(|scope| (scope.word(), scope)))
}

/// The parts of the system that can be counted.
fn scope(reader: &mut Reader, node: &Node) -> Option<Scope> {
    reader.one_of(node, "a scope", &[Scope::Service, Scope::Zone, Scope::All].map(|scope| (scope.word(), scope)))
}

/// A whole number, or a share with its `rounding`.
pub(super) fn most(reader: &mut Reader, fields: &mut Fields<'_>, (key, what): (&'static str, &str), of: Option<CapOf>) -> Option<Most> {
    let node = fields.required(reader, key);
    let rounding = fields.optional("rounding").map(|node| {
        let words = [("floor", Rounding::Floor), ("ceil", Rounding::Ceil)];
        (reader.one_of(node, "a way to round", &words), &node.place)
    });
    let node = node?;
    match (&node.value, rounding) {
        (Value::Integer(_), Some((_, place))) => {
            reader.problem(problem::rounding(place, false));
            None
        }
        (Value::Integer(_), None) => reader.integer(node, what, 0..=1_000_000).map(|count| Most::Count(count.unsigned_abs())),
        (_, rounding) => share(reader, (node, what), rounding.and_then(|(rounding, _)| rounding), rounding.is_some(), of),
    }
}

fn share(
    reader: &mut Reader,
    (node, what): (&Node, &str),
    rounding: Option<Rounding>,
    rounding_given: bool,
    of: Option<CapOf>,
) -> Option<Most> {
    let share: Ratio = reader.ratio(node, what)?;
    if !rounding_given {
        reader.problem(problem::rounding(&node.place, true));
    }
    if of == Some(CapOf::Targets) {
        reader.problem(problem::share_of_targets(&node.place));
        return None;
    }
    Some(Most::Share(share, rounding?))
}

#[cfg(test)]
mod tests {
    use super::super::EVERY_GUARD as ALL;
    use super::super::read_policy;
    use super::*;

    #[test]
    fn every_guard_reads() {
        let policy = read_policy("p.yaml", ALL).unwrap_or_else(|problems| panic!("{problems:?}"));
        let guards = &policy.guards;
        assert_eq!(guards.kill_switch.as_ref().map(|switch| switch.instead), Some(Instead::Alert));
        assert_eq!(guards.change.as_ref().map(|switch| switch.instead), Some(Instead::Wait));
        assert_eq!(guards.freezes[0].written().because, "the end of the year");
        assert_eq!(
            guards.correlated_failure.map(|correlated| (correlated.services, correlated.within)),
            Some((Some(3), Span::from_minutes(5)))
        );
        assert_eq!(guards.max_unhealthy.as_ref().map(|gate| gate.max.describe()).as_deref(), Some("40%, rounded down"));
        assert_eq!(
            guards.disruption_budget.as_ref().map(|budget| (budget.desired, budget.target_is_unhealthy)),
            Some((Most::Count(2), true))
        );
        let patience: Vec<_> = guards.rate_limits.iter().map(|limit| limit.patience).collect();
        assert_eq!(patience, [Some(Span::from_minutes(5)), Some(Span::ZERO)]);
        assert_eq!(guards.mutual_exclusion, Some(Span::from_minutes(15)));
        assert_eq!(guards.breaker.and_then(|breaker| breaker.actions), Some(10));
        let approval = guards.approval.as_ref().unwrap();
        assert_eq!(
            (approval.whom().as_str(), approval.of, approval.expires),
            ("2 of oncall or lead", Covered::Irreversible, Span::from_minutes(20))
        );
        assert_eq!(guards.canary, Some(Span::from_minutes(60)));
        let labels: Vec<String> = policy.labels_needed().iter().map(ToString::to_string).collect();
        assert_eq!(labels, ["pod", "service"], "what guards ask about must be there too");
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        problem::tests::check(|text| read_policy("p.yaml", text), ALL, (from, to), expected);
    }

    #[test]
    fn what_cannot_be_a_guard_is_refused_with_its_place() {
        check(
            "{ expr: 'automation_off == 1', effect: alert_only }",
            "{ effect: shout }",
            &["10:FD0104 what must be off has no `expr`", "10:FD0110 `shout` is not an effect"],
        );
        check("Europe/Berlin", "Berlin", &["12:FD0319 there is no time zone `Berlin`"]);
        check("repeats: FREQ=YEARLY", "repeats: FREQ=MINUTELY", &["12:FD0319 `FREQ=MINUTELY` comes more often than every hour"]);
        check(
            "healthy: 'up == 1', scope: all",
            "healthy: absent(up), scope: all",
            &["14:FD0318 what is healthy cannot be counted by this"],
        );
        check(
            "fresh: 'time() - timestamp(up) < 60', healthy: 'up == 1', scope: all, suspect: 80%",
            "",
            &["14:FD0320 `detector_sanity` asks for nothing"],
        );
        check("services: 3, share: 50%, of: zone, ", "", &["15:FD0320 `correlated_failure` asks for nothing"]);
        check("share: 50%, of: zone", "share: 50%", &["15:FD0104 `correlated_failure` has no `of`"]);
        check("max: 40%", "of: nodes, max: 40%", &["16:FD0350 no nodes belong to a service"]);
        check(", rounding: floor", "", &["16:FD0313 a share does not say how it rounds"]);
        check("desired: 2", "desired: 2, rounding: ceil", &["17:FD0313 a whole number does not round"]);
        check("overflow: refuse", "overflow: queue", &["18:FD0321 `queue` does not say for how long"]);
        check("factor: x2", "factor: x0.5", &["19:FD0315 rests that grow shorter are no backoff"]);
        check("base: 1m", "base: 31m", &["19:FD0315 the first rest, 31m, is longer than the longest, 30m"]);
        check("lease: 15m", "lease: 0s", &["21:FD0315 `lease` is zero"]);
        let rest = "cooldown: { same_policy: 1m, any_policy: 31d }\n  mutual_exclusion:";
        check("mutual_exclusion:", rest, &["21:FD0315 `any_policy` is longer than 30d"]);
        check("of_at_least: 4, ", "", &["22:FD0104 `breaker` has no `of_at_least`"]);
        check("from: [oncall, lead], ", "", &["23:FD0104 `approval` has no `from`"]);
        check("from: [oncall, lead]", "from: []", &["23:FD0310 the list of roles is empty"]);
        check("from: [oncall, lead]", "from: [lead, lead]", &["23:FD0383 `lead` stands twice among those who may say yes"]);
        check(
            "from: [oncall, lead]",
            "from: team",
            &["23:FD0384 `team` may not say yes to what `restart` does: nobody approves their own policy"],
        );
        check("expr: 'share_right{service=$service}', ", "", &["24:FD0386 this confidence comes from nowhere"]);
        check("act_at: 95%", "source: measured", &["24:FD0386 this confidence is claimed and measured"]);
        check("ask_at: 60%", "ask_at: 96%", &["24:FD0387 it would ask from 0.96 on and act from 0.95 on, so it would never ask"]);
        check("act_at: 95%", "act_at: 105%", &["24:FD0109 `act_at`: `105%` is outside 0% to 100%"]);
        check(
            "'share_right{service=$service}'",
            "'rate_limited > 1'",
            &["24:FD0388 `rate_limited > 1` compares, and gives no number where it does not hold"],
        );
        check("quorum: 2", "quorum: 0", &["23:FD0108 the quorum is 0, and must be 1 to 100"]);
        check("restart: { mode: rolling }", "drain: {}", &["23:FD0385 people are asked of nothing: all that `restart` does can be undone"]);
        check("expires: 20m", "expires: 0s", &["23:FD0315 `expires` is zero"]);
        check(
            "{ expr: 'automation_off == 1', effect: alert_only }",
            "",
            &["10:FD0345 `kill_switch` has no value, so it would guard nothing"],
        );
        check(
            "{ max: 3, window: 1h, scope: all, overflow: { queue: 5m } }, ",
            "{ max: 3, window: 1h, scope: all, overflow: }, ",
            &["18:FD0345 `overflow` has no value, so it would guard nothing"],
        );
        check("failures: 50%", "failures: 0%", &["22:FD0315 `failures` is nothing"]);
    }

    #[test]
    fn problems_of_several_guards_come_together() {
        let broken = ALL.replace("trust: 1h", "trust: 1").replace("Europe/Berlin", "Berlin").replace("actions: 3", "actions: 0");
        assert_eq!(read_policy("p.yaml", &broken).unwrap_err().len(), 3);
    }
}
