//! Steps that are more than one action: telling people, gathering evidence, calling one after the other, choosing.

use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_telemetry::promql::{Formula, FormulaError, Mistake, PlanError};

use super::{Aim, all, candidate_words, check_target, deed, example, key_place, positive_span, precheck, target_source};
use crate::evidence::KINDS;
use crate::policy::{Candidate, Deed, Escalation, Notice, RISKS, Rung, Score, Shown};
use crate::problem;

/// `{ to: oncall, with: [metrics] }`, or `{ ladder: [{ to: oncall }, { to: lead, after: 15m }], with: [metrics] }`.
pub(super) fn escalate(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let mut fields = reader.fields(node, "`escalate`")?;
    let (to, rungs) = (fields.optional("to"), fields.optional("ladder"));
    let rungs = match (to, rungs) {
        (Some(to), None) => reader.name(to, "whom to call").map(|to| vec![Rung { to, after: Span::ZERO }]),
        (None, Some(rungs)) => ladder(reader, rungs),
        (Some(_), Some(_)) => {
            reader.problem(problem::whom_to_call(&key_place(&fields, "ladder"), true));
            None
        }
        (None, None) => {
            reader.problem(problem::whom_to_call(fields.place(), false));
            None
        }
    };
    let with = with(reader, &mut fields);
    fields.finish(reader);
    let mut rungs = rungs?.into_iter();
    let Rung { to, .. } = rungs.next()?;
    Some(Deed::Escalate(Escalation { to, then: rungs.collect(), with: with? }))
}

/// Who is called when: the first at once, the others later and later.
fn ladder(reader: &mut Reader, node: &Node) -> Option<Vec<Rung>> {
    let items = reader.list(node, "`ladder`")?;
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "the ladder"));
        return None;
    }
    let rungs = all(items.iter().enumerate().map(|(index, item)| rung(reader, item, index == 0)).collect())?;
    for (pair, place) in rungs.windows(2).zip(items.iter().skip(1).map(|item| &item.place)) {
        if pair[1].after <= pair[0].after {
            reader.problem(problem::ladder(place, &format!("{} would be called no later than {}", pair[1].to, pair[0].to)));
            return None;
        }
    }
    Some(rungs)
}

fn rung(reader: &mut Reader, node: &Node, is_first: bool) -> Option<Rung> {
    let mut fields = reader.fields(node, "a rung of the ladder")?;
    let to = fields.required(reader, "to").and_then(|node| reader.name(node, "whom to call"));
    let after = match if is_first { fields.optional("after") } else { fields.required(reader, "after") } {
        None if is_first => Some(Span::ZERO),
        None => None,
        Some(node) => {
            let after = reader.span(node, "`after`");
            if is_first && after.is_some_and(|after| after > Span::ZERO) {
                reader.problem(problem::ladder(&node.place, "the first of a ladder is called at once"));
                return None;
            }
            after
        }
    };
    fields.finish(reader);
    Some(Rung { to: to?, after: after? })
}

/// `{ to: team-shop, with: [metrics] }`.
pub(super) fn notify(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let mut fields = reader.fields(node, "`notify`")?;
    let to = fields.required(reader, "to").and_then(|node| reader.name(node, "whom to tell"));
    let with = with(reader, &mut fields);
    fields.finish(reader);
    Some(Deed::Notify(Notice { to: to?, with: with? }))
}

/// `{ with: [metrics, alerts] }`.
pub(super) fn collect(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let mut fields = reader.fields(node, "`collect`")?;
    let place = fields.place().clone();
    let is_there = fields.has("with");
    let kinds = if is_there { with(reader, &mut fields) } else { fields.required(reader, "with").and(None) };
    fields.finish(reader);
    let kinds = kinds?;
    if kinds.is_empty() {
        reader.problem(problem::empty_list(&place, "the list of evidence"));
        return None;
    }
    Some(Deed::Collect(kinds))
}

/// `with:`, the kinds of evidence; none if it is left out.
fn with(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<Name>> {
    let evidence = KINDS.map(|word| (word, word));
    let Some(node) = fields.optional("with") else { return Some(Vec::new()) };
    let items = reader.list(node, "`with`")?;
    all(items.iter().map(|item| reader.one_of(item, "a kind of evidence", &evidence).map(Name::new)).collect())
}

/// `evidence:`, figures that people are shown.
pub(super) fn shown(reader: &mut Reader, node: &Node) -> Option<Vec<Shown>> {
    let items = reader.list(node, "`evidence`")?;
    let one = |reader: &mut Reader, node: &Node| {
        let mut fields = reader.fields(node, "a piece of evidence")?;
        let formula = fields.required(reader, "expr").and_then(|node| formula(reader, node));
        let because = fields.required(reader, "because").and_then(|node| reader.sentence(node, "what it says"));
        fields.finish(reader);
        let (formula, place) = formula?;
        Some(Shown { formula, because: because?, place })
    };
    all(items.iter().map(|item| one(reader, item)).collect())
}

/// An expression that yields numbers.
pub(super) fn formula(reader: &mut Reader, node: &Node) -> Option<(Formula, Place)> {
    let text = reader.text(node, "an expression")?;
    let problem = match Formula::parse(text) {
        Ok(formula) => return Some((formula, node.place.clone())),
        Err(FormulaError::NotANumber(_)) => problem::not_a_number(&node.place, text),
        Err(FormulaError::Plan(PlanError::Parse { message })) => {
            problem::not_promql_condition(&node.place, text, &Mistake::of(text, &message))
        }
        Err(FormulaError::Plan(error)) => problem::not_evaluated(&node.place, &error.to_string()),
    };
    reader.problem(problem);
    None
}

/// `choose:`, a list of candidates.
pub(super) fn choose(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Deed> {
    let items = reader.list(node, "`choose`")?;
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "the list of candidates"));
        return None;
    }
    let candidates = all(items.iter().map(|item| candidate(reader, item, aim)).collect())?;
    let waits = candidates.iter().filter(|candidate| matches!(candidate.deed, Deed::Wait(_)));
    if let Some(second) = waits.clone().nth(1) {
        reader.problem(problem::waits_twice(&second.place));
        return None;
    }
    if waits.count() == candidates.len() {
        reader.problem(problem::nothing_to_choose(&node.place));
        return None;
    }
    Some(Deed::Choose(candidates))
}

fn candidate(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Candidate> {
    let mut fields = reader.fields(node, "a candidate")?;
    let known = candidate_words();
    let words: Vec<&'static str> = known.iter().copied().filter(|word| fields.has(word)).collect();
    let target = fields.optional("target").map(|node| target_source(reader, node));
    let when = fields.optional("when").map(|node| precheck(reader, node, "`when`"));
    let risk = fields.optional("risk").map(|node| risk(reader, node));
    let score = fields.optional("score").map(|node| score(reader, node));
    let [word] = words[..] else {
        let settings = ["target", "when", "risk", "score"];
        let misspelt = fields.entries().iter().any(|(key, _)| !settings.contains(&&*key.text) && !known.contains(&&*key.text));
        if !words.is_empty() || !misspelt {
            reader.problem(problem::not_one_candidate(fields.place(), words.len(), &known.join(", ")));
        }
        for word in known {
            fields.optional(word);
        }
        fields.finish(reader);
        return None;
    };
    let place = key_place(&fields, word);
    let deed = deed(reader, &mut fields, word, aim);
    fields.finish(reader);
    let deed = deed?;
    let kind = target.as_ref().map_or(aim.kind, |own| own.as_ref().map(|own| own.kind));
    check_target(reader, &deed, &place, kind);
    let is_wait = matches!(deed, Deed::Wait(_));
    if is_wait && target.is_some() {
        reader.problem(problem::meaningless(&place, "target", word));
    }
    let score = match score {
        Some(score) => score?,
        None if is_wait => Score::Fixed(0.0),
        None => {
            reader.problem(problem::no_score(&place, word, example(word)));
            return None;
        }
    };
    let risk = match risk {
        Some(risk) => risk?,
        None if is_wait => 0.0,
        None => {
            reader.problem(problem::no_risk(&place, word));
            return None;
        }
    };
    let target = target.map_or(Some(None), |target| target.map(Some))?;
    Some(Candidate { deed, target, score, risk, when: when.map_or(Some(None), |when| when.map(Some))?, place })
}

/// `low`, `medium`, `high`, or a number from 0 to 1.
fn risk(reader: &mut Reader, node: &Node) -> Option<f64> {
    match node.value {
        Value::Integer(_) | Value::Float(_) => {
            let risk = reader.number(node, "the risk")?;
            if (0.0..=1.0).contains(&risk) {
                return Some(risk);
            }
            reader.problem(problem::risk_beyond(&node.place, risk));
            None
        }
        _ => reader.one_of(node, "a risk", &RISKS),
    }
}

/// A number, or PromQL that yields one.
fn score(reader: &mut Reader, node: &Node) -> Option<Score> {
    match node.value {
        Value::Integer(_) | Value::Float(_) => reader.number(node, "the score").map(Score::Fixed),
        _ => formula(reader, node).map(|(formula, _)| Score::Asked(formula)),
    }
}

/// A duration above zero, for a pause.
pub(super) fn wait(reader: &mut Reader, node: &Node) -> Option<Deed> {
    positive_span(reader, node, "`wait`").map(Deed::Wait)
}
