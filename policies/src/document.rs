//! Reading a policy file (`schema: policy/1`) and lowering it; every problem of the file at once.

mod correlation;
mod deeds;
mod guards;
mod shared;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::action::{Action, RestartMode, Scale};
use firedrill_core::deed as actions;
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::promql::{Condition, ConditionError, Mistake, PlanError};

use crate::correlation::Correlation;
use crate::guard::stage::Stage;
use crate::guard::{self, GuardSettings, ORDER};
use crate::policy::{
    Deed, NameSource, OnFailure, OwnAction, Places, Policy, Precheck, Step, TargetKind, TargetSource, Verify, has_inverse,
};
use crate::problem;
use crate::shared::Shared;

pub use shared::{estate_services, estate_zones, kill_switches, shared_actions};

/// The version of the policy file that is written today.
pub const SCHEMA_VERSION: u32 = 1;

/// What a candidate of a choice can do, in the order of the documentation.
fn candidate_words() -> Vec<&'static str> {
    Action::changing().chain(["wait"]).collect()
}

/// What a step can do, in the order of the documentation.
fn deed_words() -> Vec<&'static str> {
    let forms = ["choose", "parallel", "staged", "action", "notify", "collect", "escalate"];
    candidate_words().into_iter().chain(forms).collect()
}

/// Known to the design and not carried out yet. Naming them here refuses them by name instead of as a slip of the finger.
const LATER_DEEDS: [&str; 1] = ["silence"];

/// A policy with every guard, for tests.
#[cfg(test)]
pub(crate) const EVERY_GUARD: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - restart: { mode: rolling }
guard:
  kill_switch: { expr: 'automation_off == 1', effect: alert_only }
  freeze:
    - { from: 2026-12-18T00:00, zone: Europe/Berlin, lasting: 16d, repeats: FREQ=YEARLY, because: the end of the year }
  change_in_progress: { expr: 'rollout{service=$service} > 0' }
  detector_sanity: { fresh: 'time() - timestamp(up) < 60', healthy: 'up == 1', scope: all, suspect: 80% }
  correlated_failure: { services: 3, share: 50%, of: zone, within: 5m }
  max_unhealthy: { healthy: 'up{service=$service} == 1', scope: service, max: 40%, rounding: floor }
  disruption_budget: { healthy: 'up == 1', scope: service, desired: 2, target: unhealthy }
  rate_limit: [{ max: 3, window: 1h, scope: all, overflow: { queue: 5m } }, { max: 1, window: 1m, scope: zone, overflow: refuse }]
  backoff: { base: 1m, factor: x2, cap: 30m, jitter: 20%, reset_after: 2h }
  ineffective_chain: { actions: 3, within: 1h }
  mutual_exclusion: { lease: 15m }
  breaker: { failures: 50%, of_at_least: 4, actions: 10, within: 1h, try_again_after: 30m }
  approval: { from: [oncall, lead], of: irreversible, quorum: 2, expires: 20m }
  confidence: { expr: 'share_right{service=$service}', act_at: 95%, ask_at: 60% }
  canary: { trust: 1h }
";

/// Reads one policy file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_policy(path: &str, text: &str) -> Result<Arc<Policy>, Vec<Problem>> {
    read_policy_with(path, text, &|_| Err("no files can be read here".to_owned()))
}

/// What stands for the scripts that policies name: the hash of one by its path as written, or why it cannot be read.
pub type Scripts<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads one policy file that may name scripts, which are never executed.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_policy_with(path: &str, text: &str, scripts: Scripts<'_>) -> Result<Arc<Policy>, Vec<Problem>> {
    read_policy_in(path, text, scripts, &Shared::default())
}

/// Reads one policy file of a project, which may do what the project defines. [`Shared::around`] makes it the project's in all else.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_policy_in(path: &str, text: &str, scripts: Scripts<'_>, shared: &Shared) -> Result<Arc<Policy>, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let policy = document(&mut reader, &node, scripts, shared);
    if let Some(policy) = &policy {
        check_labels(&mut reader, policy);
        guards::check_approval(&mut reader, policy);
    }
    reader.finish()?;
    Ok(Arc::new(policy.expect("no problem was found, so the policy is whole")))
}

/// The bytes of a policy's name at most: file systems know names of 255, and what is written of a policy has an ending of its own.
const LONGEST_NAME: usize = 200;

/// A policy's name, of which names of files are made.
fn policy_name(reader: &mut Reader, node: &Node) -> Option<Name> {
    let name = reader.name(node, "a policy's name")?;
    if name.contains(['/', ':']) || name.starts_with('.') || name.eq_ignore_ascii_case("watch") {
        reader.problem(problem::policy_name(&node.place, &name));
        return None;
    }
    if name.starts_with('-') || name.len() > LONGEST_NAME {
        reader.problem(problem::policy_name_of_a_file(&node.place, &name, LONGEST_NAME));
        return None;
    }
    Some(name)
}

fn document(reader: &mut Reader, node: &Node, scripts: Scripts<'_>, shared: &Shared) -> Option<Policy> {
    let mut fields = reader.fields(node, "a policy")?;
    reader.schema(&mut fields, "policy", SCHEMA_VERSION);
    let name_node = fields.required(reader, "policy");
    let name = name_node.and_then(|node| policy_name(reader, node));
    let owner = fields.required(reader, "owner").and_then(|node| reader.name(node, "an owner"));
    let author = fields.optional("author").map_or(Some(None), |node| reader.name(node, "an author").map(Some));
    let description = fields.optional("description").and_then(|node| reader.text(node, "a description"));
    let on = fields.required(reader, "on").and_then(|node| on(reader, node));
    let target_node = fields.required(reader, "target");
    let target = target_node.and_then(|node| target_source(reader, node));
    let maintenance = guards::several(reader, &mut fields, "maintenance", guards::maintenance);
    let evidence = fields.optional("evidence").map_or(Some(Vec::new()), |node| deeds::shown(reader, node));
    let prechecks = fields.optional("precheck").map_or(Some(Vec::new()), |node| prechecks(reader, node));
    let defined = fields.optional("actions").map(|node| together::definitions(reader, node, scripts, &shared.actions));
    let own = defined.unwrap_or_else(|| Some(shared.actions.clone()));
    let aim = Aim { kind: target.as_ref().map(|target| target.kind), own: own.as_ref() };
    let steps = fields.required(reader, "steps").and_then(|node| steps(reader, node, aim));
    let escalate_after = fields.optional("escalate_after").map(|node| positive_span(reader, node, "`escalate_after`"));
    for (key, value) in fields.entries() {
        if matches!(&*key.text, "guard" | "precheck" | "maintenance") && matches!(value.value, Value::Null) {
            reader.problem(problem::no_value(&key.place, &key.text));
        }
    }
    let guards = fields.optional("guard").map_or(Some(GuardSettings::default()), |node| guards::read(reader, node));
    let stage = fields.optional("stage").map_or(Some(Stage::Full), |node| reader.one_of(node, "a stage", &Stage::WORDS));
    let stands_here = ["stage", "precheck", "dedup", guard::code::NAME];
    for word in ORDER.into_iter().filter(|word| fields.has(word) && !stands_here.contains(word)).collect::<Vec<_>>() {
        let place = key_place(&fields, word);
        fields.optional(word);
        reader.problem(problem::guard_beside_guards(&place, word));
    }
    let steps_place = key_place(&fields, "steps");
    let (guard_place, guard_places) = guard_places(&fields).unwrap_or_else(|| (steps_place.clone(), BTreeMap::new()));
    fields.finish(reader);
    let On { alerts: (alerts, alert_places), matchers: (matchers, matcher_places), correlation, receiver } = on?;
    let (receiver, receiver_place) = receiver.unzip();
    let places = Places {
        name: name_node?.place.clone(),
        receiver: receiver_place,
        alerts: alert_places,
        matchers: matcher_places,
        target: target_place(target_node?),
        guard: guard_place,
        guards: guard_places,
        steps: steps_place,
    };
    Some(Policy {
        name: name?,
        owner: owner?,
        author: author?,
        description: description.map(|text| text.trim().to_owned()).unwrap_or_default(),
        receiver,
        alerts,
        matchers,
        correlation,
        target: target?,
        maintenance: maintenance?,
        prechecks: prechecks?,
        evidence: evidence?,
        steps: steps?,
        escalate_after: escalate_after.map_or(Some(None), |span| span.map(Some))?,
        guards: guards?,
        calibration: None,
        stage: stage?,
        places,
    })
}

/// An incident has the labels of its scope, and no others.
fn check_labels(reader: &mut Reader, policy: &Policy) {
    let Some(correlation) = &policy.correlation else { return };
    let labels = correlation.labels();
    for label in policy.labels_needed().difference(&labels) {
        reader.problem(problem::not_of_the_incident(&policy.places.target, label, &labels));
    }
}

/// Where the word `guard` stands, and each guard; `None` without guards.
fn guard_places(fields: &Fields<'_>) -> Option<(Place, BTreeMap<Name, Place>)> {
    let (guard, node) = fields.entries().iter().find(|(key, _)| &*key.text == "guard")?;
    let own = match &node.value {
        Value::Map(entries) => entries.iter().map(|(key, _)| (Name::new(&key.text), key.place.clone())).collect(),
        _ => BTreeMap::new(),
    };
    Some((guard.place.clone(), own))
}

/// Where a target's name or its label stands.
fn target_place(node: &Node) -> Place {
    match &node.value {
        Value::Map(entries) => entries.first().map_or_else(|| node.place.clone(), |(_, value)| value.place.clone()),
        _ => node.place.clone(),
    }
}

/// Refuses keys by name that a later version will carry out.
fn refuse_later(reader: &mut Reader, fields: &mut Fields<'_>, later: &[&'static str]) {
    for key in later.iter().filter(|key| fields.has(key)).collect::<Vec<_>>() {
        let place = key_place(fields, key);
        fields.optional(key);
        reader.problem(problem::not_supported_yet(&place, key));
    }
}

fn key_place(fields: &Fields<'_>, key: &str) -> Place {
    let entry = fields.entries().iter().find(|(candidate, _)| &*candidate.text == key);
    entry.map_or_else(|| fields.place().clone(), |(key, _)| key.place.clone())
}

/// Things and where each stands.
type Placed<T> = (Vec<T>, Vec<Place>);

/// What a policy listens to.
struct On {
    alerts: Placed<Name>,
    matchers: Placed<Matcher>,
    correlation: Option<Correlation>,
    receiver: Option<(Name, Place)>,
}

/// `alert:` one name or several, or `incident:` what several become together, or `receiver:` where it listens; and `match:`.
fn on(reader: &mut Reader, node: &Node) -> Option<On> {
    let mut fields = reader.fields(node, "`on`")?;
    let (alert, incident) = (fields.optional("alert"), fields.optional("incident"));
    let matchers = fields.optional("match").map_or(Some(Vec::new()), |node| matchers(reader, node));
    let matchers: Option<Placed<Matcher>> = matchers.map(|matchers| matchers.into_iter().unzip());
    let receiver = fields.optional("receiver").map(|node| Some((reader.text(node, "a receiver's name")?.clone(), node.place.clone())));
    let (alerts, correlation) = match (incident, alert) {
        (Some(node), _) => {
            for key in ["alert", "receiver"].into_iter().filter(|key| fields.has(key)) {
                reader.problem(problem::meaningless(&key_place(&fields, key), key, "on: { incident }"));
            }
            let counted = matchers.as_ref().map(|(matchers, _)| matchers.clone()).unwrap_or_default();
            correlation::read(reader, node, counted).map(|(correlation, alerts)| (Some(alerts), Some(correlation))).unwrap_or_default()
        }
        (None, Some(node)) => (names(reader, node), None),
        (None, None) if receiver.is_some() => (Some(Placed::default()), None),
        (None, None) if fields.entries().iter().all(|(key, _)| &*key.text == "match") => {
            reader.problem(problem::waits_for_nothing(fields.place()));
            (None, None)
        }
        (None, None) => (fields.required(reader, "alert").and_then(|node| names(reader, node)), None),
    };
    for label in ["severity", "service", "team", "labels"].into_iter().filter(|label| fields.has(label)).collect::<Vec<_>>() {
        let place = key_place(&fields, label);
        fields.optional(label);
        reader.problem(problem::label_beside_match(&place, label));
    }
    fields.finish(reader);
    Some(On { alerts: alerts?, matchers: matchers?, correlation, receiver: receiver.map_or(Some(None), |receiver| receiver.map(Some))? })
}

/// One name of an alert, or several.
fn names(reader: &mut Reader, node: &Node) -> Option<Placed<Name>> {
    let names = match &node.value {
        Value::List(items) if items.is_empty() => {
            reader.problem(problem::empty_list(&node.place, "the list of alerts"));
            None
        }
        Value::List(items) => all(items.iter().map(|item| Some((reader.name(item, "an alert's name")?, item.place.clone()))).collect()),
        _ => reader.name(node, "an alert's name").map(|name| vec![(name, node.place.clone())]),
    };
    names.map(|names| names.into_iter().unzip())
}

/// A list with every item, if every item could be read. Read all before calling, so that every problem is found.
fn all<T>(items: Vec<Option<T>>) -> Option<Vec<T>> {
    items.into_iter().collect()
}

/// `{ severity: critical, team: '=~ a|b' }`, or a list of matchers as Alertmanager writes them: `[severity="critical", team=~"a|b"]`.
fn matchers(reader: &mut Reader, node: &Node) -> Option<Vec<(Matcher, Place)>> {
    if let Value::List(items) = &node.value {
        return all(items.iter().map(|item| written_matchers(reader, item)).collect()).map(|lists| lists.into_iter().flatten().collect());
    }
    let fields = reader.fields(node, "`match`")?;
    all(fields.entries().iter().map(|(key, value)| matcher(reader, &key.text, value)).collect())
}

fn written_matchers(reader: &mut Reader, node: &Node) -> Option<Vec<(Matcher, Place)>> {
    let text = reader.text(node, "a matcher")?;
    match parse_matchers(text) {
        Ok(matchers) => Some(matchers.into_iter().map(|matcher| (matcher, node.place.clone())).collect()),
        Err(error) => {
            reader.problem(problem::not_a_matcher(&node.place, &error.to_string()));
            None
        }
    }
}

fn matcher(reader: &mut Reader, label: &str, node: &Node) -> Option<(Matcher, Place)> {
    let text = reader.text(node, "a label's value")?;
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| text.starts_with(operator));
    let value = text.strip_prefix(operator.unwrap_or_default()).unwrap_or(text).trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    match Matcher::new(label, operator.unwrap_or("="), value) {
        Ok(matcher) => Some((matcher, node.place.clone())),
        Err(error) => {
            reader.problem(problem::not_a_matcher(&node.place, &error.to_string()));
            None
        }
    }
}

/// `{ service: $service }`, `{ replica: $pod }`, `{ zone: a }`, `{ client: $caller }`.
fn target_source(reader: &mut Reader, node: &Node) -> Option<TargetSource> {
    if let Value::Text(text) = &node.value
        && !TargetKind::WORDS.iter().any(|(word, _)| *word == &**text)
    {
        reader.problem(problem::target_without_a_kind(&node.place, text));
        return None;
    }
    let (key, value) = reader.tagged(node, "a kind of target", &TargetKind::WORDS.map(|(word, _)| word))?;
    let kind = TargetKind::WORDS.into_iter().find(|(word, _)| *word == &*key.text)?.1;
    let Some(value) = value else {
        reader.problem(problem::not_a_parameter(&key.place, &key.text));
        return None;
    };
    let text = reader.text(value, "a target's name")?;
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = match text.strip_prefix('$') {
        Some(label) if is_word(label) => NameSource::Label(Name::new(label)),
        None if !text.contains('$') => NameSource::Literal(reader.name(value, "a target's name")?),
        _ => {
            reader.problem(
                template(text).map_or_else(|| problem::not_a_parameter(&value.place, text), |found| problem::template(&value.place, found)),
            );
            return None;
        }
    };
    Some(TargetSource { kind, name })
}

/// A template in a text: what stands in double braces, braces included.
fn template(text: &str) -> Option<&str> {
    let start = text.find("{{")?;
    let end = start + text[start..].find("}}")? + 2;
    Some(&text[start..end])
}

fn condition(reader: &mut Reader, node: &Node) -> Option<(Condition, Place)> {
    let text = reader.text(node, "an expression")?;
    if let Some(template) = template(text) {
        reader.problem(problem::template(&node.place, template));
        return None;
    }
    match Condition::parse(text) {
        Ok(condition) => Some((condition, node.place.clone())),
        Err(ConditionError::NotACondition(value)) => {
            reader.problem(problem::not_a_condition(&node.place, &value));
            None
        }
        Err(ConditionError::LeavesOut(text)) => {
            reader.problem(problem::leaves_out(&node.place, &text));
            None
        }
        Err(ConditionError::Plan(PlanError::Parse { message })) => {
            reader.problem(problem::not_promql_condition(&node.place, text, &Mistake::of(text, &message)));
            None
        }
        Err(ConditionError::Plan(error)) => {
            reader.problem(problem::not_evaluated(&node.place, &error.to_string()));
            None
        }
    }
}

fn prechecks(reader: &mut Reader, node: &Node) -> Option<Vec<Precheck>> {
    let items = reader.list(node, "`precheck`")?;
    all(items.iter().map(|item| precheck(reader, item, "a precheck")).collect())
}

fn precheck(reader: &mut Reader, node: &Node, what: &str) -> Option<Precheck> {
    let mut fields = reader.fields(node, what)?;
    let condition = fields.required(reader, "expr").and_then(|node| condition(reader, node));
    let because = fields.required(reader, "because").and_then(|node| reader.sentence(node, "a reason"));
    let max_age = fields.optional("max_age").map_or(Some(None), |node| positive_span(reader, node, "`max_age`").map(Some));
    fields.finish(reader);
    let (condition, place) = condition?;
    Some(Precheck { condition, because: because?.trim().to_owned(), max_age: max_age?, place })
}

fn steps(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Vec<Step>> {
    let items = reader.list(node, "`steps`")?;
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "the list of steps"));
        return None;
    }
    let last = items.len() - 1;
    let steps = items.iter().enumerate().map(|(index, item)| step(reader, item, aim, index == last)).collect::<Vec<_>>();
    for (step, following) in steps.iter().zip(items.iter().skip(1)) {
        if matches!(step, Some(Step { deed: Deed::Escalate(_), .. })) {
            reader.problem(problem::after_escalation(&following.place));
        }
    }
    all(steps)
}

/// What a step knows before it says anything itself.
#[derive(Clone, Copy, Debug)]
struct Aim<'a> {
    /// What it is aimed at; `None`: that could not be read.
    kind: Option<TargetKind>,
    /// The actions that the policy defines; `None`: they could not be read.
    own: Option<&'a BTreeMap<Name, OwnAction>>,
}

fn step(reader: &mut Reader, node: &Node, aim: Aim<'_>, is_last: bool) -> Option<Step> {
    let mut fields = reader.fields(node, "a step")?;
    let known = deed_words();
    let words: Vec<&'static str> = known.iter().copied().filter(|word| fields.has(word)).collect();
    let later: Vec<&'static str> = LATER_DEEDS.into_iter().filter(|word| fields.has(word)).collect();
    refuse_later(reader, &mut fields, &later);
    let own_target = fields.optional("target").map(|node| target_source(reader, node));
    let verify = fields.optional("verify").map(|node| verify(reader, node));
    let on_failure = fields.optional("on_failure").map(|node| (on_failure(reader, node), &node.place));
    let aim = Aim { kind: own_target.as_ref().map_or(aim.kind, |own| own.as_ref().map(|own| own.kind)), ..aim };
    let deed = match words[..] {
        [word] => Some((word, key_place(&fields, word), deed(reader, &mut fields, word, aim))),
        _ => {
            // A misspelt deed is reported once, as an unknown key, with the word that was likely meant.
            let settings = ["target", "verify", "on_failure"];
            let is_known = |key: &str| settings.contains(&key) || known.contains(&key);
            let misspelt = fields.entries().iter().any(|(key, _)| !is_known(&key.text));
            if !words.is_empty() || !misspelt {
                reader.problem(problem::not_one_deed(fields.place(), words.len(), &known.join(", ")));
            }
            for word in known {
                fields.optional(word);
            }
            None
        }
    };
    let place = |key: &str| key_place(&fields, key);
    if let Some((word, deed_place, Some(deed))) = &deed {
        check_target(reader, deed, deed_place, aim.kind);
        check_failure(reader, deed, on_failure.as_ref().and_then(|(choice, place)| choice.map(|choice| (choice, *place))), is_last);
        let aimless = matches!(deed, Deed::Wait(_) | Deed::Escalate(_) | Deed::Notify(_) | Deed::Collect(_));
        if matches!(deed, Deed::Staged(_)) && verify.is_none() {
            reader.problem(problem::staged_unverified(deed_place));
        }
        let is_looked_at = !matches!(deed, Deed::Escalate(_) | Deed::Notify(_) | Deed::Collect(_));
        if aimless && own_target.is_some() {
            reader.problem(problem::meaningless(&place("target"), "target", word));
        }
        for key in ["verify", "on_failure"] {
            if !is_looked_at && fields.has(key) {
                reader.problem(problem::meaningless(&place(key), key, word));
            }
        }
    }
    fields.finish(reader);
    Some(Step {
        deed: deed?.2?,
        target: own_target.map_or(Some(None), |target| target.map(Some))?,
        verify: verify.map_or(Some(None), |verify| verify.map(Some))?,
        on_failure: on_failure.map_or(Some(OnFailure::Escalate), |(choice, _)| choice)?,
    })
}

fn check_target(reader: &mut Reader, deed: &Deed, place: &Place, kind: Option<TargetKind>) {
    let (Deed::Act(action), Some(kind)) = (deed, kind) else { return };
    let fit = TargetKind::fit_for(action);
    if !fit.contains(&kind) {
        let fit: Vec<&str> = fit.iter().map(|kind| kind.word()).collect();
        reader.problem(problem::wrong_target(place, action.word(), kind.word(), &fit));
    }
}

fn check_failure(reader: &mut Reader, deed: &Deed, choice: Option<(OnFailure, &Place)>, is_last: bool) {
    match (choice, deed) {
        (Some((OnFailure::Next, place)), _) if is_last => reader.problem(problem::no_next_step(place)),
        (Some((OnFailure::Revert, place)), Deed::Wait(_)) => reader.problem(problem::no_inverse(place, "wait")),
        (Some((OnFailure::Revert, place)), deed) => {
            if let Some(without) = actions_of(deed).into_iter().find(|action| !has_inverse(action)) {
                reader.problem(problem::no_inverse(place, without.word()));
            }
        }
        _ => {}
    }
}

/// The actions that a deed can come to.
fn actions_of(deed: &Deed) -> Vec<&Action> {
    match deed {
        Deed::Act(action) => vec![action],
        Deed::Choose(candidates) => candidates.iter().flat_map(|candidate| actions_of(&candidate.deed)).collect(),
        Deed::Parallel(parts) => parts.iter().map(|part| &part.action).collect(),
        Deed::Staged(staged) => vec![&staged.action],
        Deed::Own(own) => own.models.iter().map(|part| &part.action).collect(),
        Deed::Wait(_) | Deed::Notify(_) | Deed::Collect(_) | Deed::Escalate(_) => Vec::new(),
    }
}

fn on_failure(reader: &mut Reader, node: &Node) -> Option<OnFailure> {
    let words = [("next", OnFailure::Next), ("revert", OnFailure::Revert), ("escalate", OnFailure::Escalate)];
    reader.one_of(node, "an answer to failure", &words)
}

fn verify(reader: &mut Reader, node: &Node) -> Option<Verify> {
    let mut fields = reader.fields(node, "a verification")?;
    let condition = fields.required(reader, "expr").and_then(|node| condition(reader, node));
    let hold = fields.optional("hold").map_or(Some(Span::ZERO), |node| reader.span(node, "`hold`"));
    let within_node = fields.required(reader, "within");
    let within = within_node.and_then(|node| positive_span(reader, node, "`within`"));
    fields.finish(reader);
    let (hold, within) = (hold?, within?);
    if hold > within {
        let place = within_node.map_or(&node.place, |node| &node.place);
        reader.problem(problem::hold_beyond_within(place, &hold.to_string(), &within.to_string()));
        return None;
    }
    let (condition, place) = condition?;
    Some(Verify { condition, hold, within, place })
}

fn deed(reader: &mut Reader, fields: &mut Fields<'_>, word: &'static str, aim: Aim<'_>) -> Option<Deed> {
    let key = key_place(fields, word);
    let node = fields.optional(word);
    let no_parameters = |reader: &mut Reader, action| {
        if let Some(node) = node {
            reader.fields(node, &format!("`{word}`"))?.finish(reader);
        }
        Some(Deed::Act(action))
    };
    match word {
        "rollback" => return no_parameters(reader, Action::Rollback),
        "drain" => return no_parameters(reader, Action::Drain),
        "purge_queue" => return no_parameters(reader, Action::PurgeQueue),
        "fail_over" => return no_parameters(reader, Action::FailOver),
        "revert_flag" => return no_parameters(reader, Action::RevertFlag),
        "park_messages" => return no_parameters(reader, Action::ParkMessages),
        word if node.is_none() && actions::plain(word).is_some() => return actions::plain(word).map(Deed::Act),
        _ => {}
    }
    let Some(node) = node else {
        reader.problem(
            Problem::at("FD0104", &key, format!("`{word}` has no parameters")).remedy(format!("write `{word}: {}`", example(word))),
        );
        return None;
    };
    match word {
        "wait" => deeds::wait(reader, node),
        "restart" => restart(reader, node),
        "scale" => scale(reader, node),
        "limit_retries" => limit_retries(reader, node),
        "choose" => deeds::choose(reader, node, aim),
        "parallel" => together::parallel(reader, node, aim),
        "staged" => together::staged(reader, node, aim),
        "action" => together::own(reader, node, aim),
        "notify" => deeds::notify(reader, node),
        "collect" => deeds::collect(reader, node),
        word if actions::WORDS.contains(&word) => {
            let mut fields = reader.fields(node, &format!("`{word}`"))?;
            let action = actions::read(reader, word, &mut fields);
            fields.finish(reader);
            action.map(Deed::Act)
        }
        _ => deeds::escalate(reader, node),
    }
}

/// How a step with parameters is written.
fn example(word: &str) -> &'static str {
    match word {
        "restart" => "{ mode: rolling }",
        "scale" => "{ by: 2 }",
        "limit_retries" => "{ retries: 0, lasting: 20s }",
        "wait" => "30s",
        "choose" => "[{ restart: { mode: rolling }, score: 'hung:share1m', risk: low }]",
        "parallel" => "[{ drain: {} }, { scale: { by: 1 }, target: { service: $service } }]",
        "staged" => "{ restart: { mode: rolling }, each: { replica: pod, from: 'up == 0' }, then: 1 }",
        "action" => "rebuild-pool",
        "collect" => "{ with: [metrics] }",
        word if actions::WORDS.contains(&word) => actions::example(word),
        "rollback" | "drain" | "purge_queue" | "park_messages" | "fail_over" | "revert_flag" => "{}",
        _ => "{ to: oncall }",
    }
}

fn restart(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let mut fields = reader.fields(node, "`restart`")?;
    let words = [("rolling", RestartMode::Rolling), ("at_once", RestartMode::AtOnce)];
    let mode = fields.required(reader, "mode").and_then(|node| reader.one_of(node, "a way to restart", &words));
    fields.finish(reader);
    Some(Deed::Act(Action::Restart { mode: mode? }))
}

/// `{ to: 4 }`, `{ by: 2 }` or `{ times: x1.5 }`.
fn scale(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let (key, value) = reader.tagged(node, "a way to scale", &["to", "by", "times"])?;
    let Some(value) = value else {
        reader.problem(Problem::at("FD0104", &key.place, format!("`{}` has no number", key.text)).remedy("write `scale: { by: 2 }`"));
        return None;
    };
    let replicas = match &*key.text {
        "to" => Scale::To(u32::try_from(reader.integer(value, "the number of replicas", 1..=100_000)?).ok()?),
        "by" => Scale::By(i32::try_from(reader.integer(value, "the change in replicas", -100_000..=100_000)?).ok()?),
        _ => Scale::Times(reader.factor(value, "the factor of replicas")?),
    };
    let changes_nothing = match replicas {
        Scale::By(count) => count == 0,
        Scale::Times(factor) => factor.get() <= 0.0,
        Scale::To(_) => false,
    };
    if changes_nothing {
        reader.problem(problem::out_of_range(&value.place, "this scales by nothing or to nothing", "write `scale: { by: 2 }`"));
        return None;
    }
    Some(Deed::Act(Action::Scale { replicas }))
}

fn limit_retries(reader: &mut Reader, node: &Node) -> Option<Deed> {
    let mut fields = reader.fields(node, "`limit_retries`")?;
    let retries = fields.required(reader, "retries").and_then(|node| reader.integer(node, "retries allowed", 0..=1000));
    let lasting = match fields.optional("lasting") {
        Some(node) => positive_span(reader, node, "`lasting`"),
        None => {
            reader.problem(problem::unbounded_limit(fields.place()));
            None
        }
    };
    fields.finish(reader);
    Some(Deed::Act(Action::LimitRetries { retries: u32::try_from(retries?).ok()?, lasting: lasting? }))
}

fn positive_span(reader: &mut Reader, node: &Node, what: &str) -> Option<Span> {
    let span = reader.span(node, what)?;
    if span == Span::ZERO {
        reader.problem(problem::out_of_range(&node.place, &format!("{what} is zero"), "write a duration such as `30s`"));
        return None;
    }
    Some(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::Sharing;
    use crate::guard::Guard;
    use crate::guard::caps::Most;

    const WHOLE: &str = "
schema: policy/1
policy: rollback-on-regression
owner: team-checkout
description: Undo a deploy that raised the error rate.
on:
  alert: HighErrorRateAfterDeploy
  match: { severity: critical, team: '=~ a|b' }
target: { service: $service }
precheck:
  - expr: time() - deploy_timestamp_seconds{service=$service} < 1800
    because: a deploy older than 30 minutes is unlikely to be the cause
steps:
  - rollback: {}
    verify: { expr: 'error_rate:ratio1m{service=$service} < 0.01', hold: 30s, within: 3m }
    on_failure: escalate
  - escalate: { to: oncall, with: [metrics, logs, traces, changes, alerts] }
escalate_after: 5m
guard:
  cooldown: 10m
  rate_limit: [{ max: 3, window: 1h, scope: service }, { max: 10, window: 1h, scope: all }]
  caps: [{ scope: service, of: replicas, max: 25%, at_least: 1, rounding: floor }, { scope: zone, of: targets, max: 1 }]
";

    #[test]
    fn the_policy_of_the_design_reads() {
        let policy = read_policy("p.yaml", WHOLE).unwrap();
        assert_eq!(&*policy.name, "rollback-on-regression");
        assert_eq!((policy.alerts.len(), policy.matchers.len(), policy.prechecks.len(), policy.steps.len()), (1, 2, 1, 2));
        assert_eq!(policy.target.to_string(), "service/$service");
        assert_eq!(policy.steps[0].deed, Deed::Act(Action::Rollback));
        assert_eq!(policy.steps[0].on_failure, OnFailure::Escalate);
        assert_eq!(
            policy.steps[0].verify.as_ref().map(|verify| (verify.hold, verify.within)),
            Some((Span::from_seconds(30), Span::from_minutes(3)))
        );
        assert_eq!(policy.escalate_after, Some(Span::from_minutes(5)));
        assert_eq!(policy.guards.rate_limits.len(), 2);
        assert_eq!(policy.guards.caps[1].max, Most::Count(1));
        assert_eq!(policy.labels_needed().into_iter().collect::<Vec<_>>(), [Name::new("service")]);
        assert_eq!(policy.stage, Stage::Full);
    }

    /// What is wrong with the whole policy after one replacement: line, code and message of each problem.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        problem::tests::check(|text| read_policy("p.yaml", text), WHOLE, (from, to), expected);
    }

    #[test]
    fn a_name_is_one_that_files_and_commands_can_have() {
        let name = |length: usize| WHOLE.replace("policy: rollback-on-regression", &format!("policy: {}", "a".repeat(length)));
        assert_ne!(name(1), WHOLE);
        assert!(read_policy("p.yaml", &name(200)).is_ok());
        let told = |text: &str| read_policy("p.yaml", text).unwrap_err().iter().map(|own| own.message.clone()).collect::<Vec<_>>();
        assert!(told(&name(201))[0].starts_with("a policy's name cannot have 201 bytes"));
        let option = WHOLE.replace("policy: rollback-on-regression", "policy: -restart");
        assert!(told(&option)[0].ends_with("cannot be a policy's name: commands take what begins with a dash for an option"));
    }

    #[test]
    fn a_policy_knows_where_its_parts_stand() {
        let policy = read_policy("p.yaml", WHOLE).unwrap();
        let places = &policy.places;
        let shown = |place: &Place| format!("{}: {}", place.line(), &place.file().text[place.range()]);
        let parts = [&places.name, &places.alerts[0], &places.matchers[1], &places.target, &places.steps, places.guard(Guard::Caps)];
        assert_eq!(
            parts.map(shown),
            ["3: rollback-on-regression", "7: HighErrorRateAfterDeploy", "8: '=~ a|b'", "9: $service", "13: steps", "22: caps"]
        );
        assert_eq!(shown(&policy.prechecks[0].place), "11: time() - deploy_timestamp_seconds{service=$service} < 1800");
        let verify = policy.steps[0].verify.as_ref().unwrap();
        assert_eq!(shown(&verify.place), "15: 'error_rate:ratio1m{service=$service} < 0.01'");
        let uncapped = read_policy("p.yaml", WHOLE.split("  caps:").next().unwrap()).unwrap();
        assert_eq!(shown(uncapped.places.guard(Guard::Caps)), "19: guard");
    }

    #[test]
    fn automation_without_an_owner_is_refused() {
        check("owner: team-checkout\n", "", &["2:FD0104 a policy has no `owner`"]);
    }

    #[test]
    fn what_is_not_carried_out_yet_is_refused_by_name_and_never_ignored() {
        check("- rollback: {}", "- silence: {}", &["14:FD0301 `silence` is not supported yet"]);
    }

    #[test]
    fn misspelt_keys_and_words_are_found_wherever_they_stand() {
        check("on_failure: escalate", "on_failure: escelate", &["16:FD0110 `escelate` is not an answer to failure"]);
        check("  cooldown: 10m", "  cooldwn: 10m", &["20:FD0105 `guard` has no key `cooldwn`"]);
        check("- rollback: {}", "- rolback: {}", &["14:FD0105 a step has no key `rolback`"]);
        check("- rollback: {}", "- rollback: {}\n    drain: {}", &["14:FD0307 a step does 2 things"]);
    }

    #[test]
    fn an_action_must_fit_its_target() {
        check("{ service: $service }", "{ zone: $zone }", &["14:FD0303 `rollback` cannot be aimed at a zone"]);
        check("- rollback: {}", "- rollback: {}\n    target: { replica: $pod }", &["14:FD0303 `rollback` cannot be aimed at a replica"]);
        check("- rollback: {}", "- drain: {}", &["14:FD0303 `drain` cannot be aimed at a service"]);
    }

    #[test]
    fn a_failure_must_have_somewhere_to_go() {
        check("    on_failure: escalate", "    on_failure: revert", &["16:FD0304 `rollback` cannot be reverted"]);
        check(
            "  - escalate: { to: oncall, with: [metrics, logs, traces, changes, alerts] }",
            "  - restart: { mode: rolling }\n    on_failure: next",
            &["18:FD0305 there is no next step"],
        );
        check("hold: 30s, within: 3m", "hold: 4m, within: 3m", &["15:FD0306 the condition cannot hold for 4m within 3m"]);
    }

    #[test]
    fn matchers_are_read_in_both_ways_of_writing_them() {
        let matchers = |written: &str| {
            let policy = read_policy("p.yaml", &WHOLE.replace("{ severity: critical, team: '=~ a|b' }", written)).unwrap();
            policy.matchers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let both = [r#"severity="critical""#, r#"team=~"a|b""#];
        assert_eq!(matchers("{ severity: critical, team: '=~ a|b' }"), both);
        assert_eq!(matchers(r#"['severity="critical"', team=~"a|b"]"#), both);
        assert_eq!(matchers("{ severity: '!= info' }"), [r#"severity!="info""#]);
        check("team: '=~ a|b'", "team: '=~ a('", &["8:FD0311 the regular expression `a(` is wrong: unclosed group"]);
        check("{ severity: critical, team: '=~ a|b' }", "['severity critical']", &["8:FD0311 expected =, !=, =~ or !~ at `critical`"]);
    }

    #[test]
    fn parameters_are_whole_labels() {
        check("{ service: $service }", "{ service: a-$service }", &["9:FD0312 `a-$service` is neither a name nor a label of the alert"]);
        check("{ service: $service }", "{ service: '' }", &["9:FD0107 `` is not a target's name"]);
    }

    const INCIDENT: &str = "
schema: policy/1
policy: restart-the-cause
owner: team
on:
  incident: { alerts: { min: 3, names: 2, of: [Slow, Down, Failing] }, scope: all, window: 2m }
  match: { severity: critical }
target: { service: $subject }
steps:
  - restart: { mode: rolling }
";

    #[test]
    fn a_policy_can_listen_to_incidents() {
        let policy = read_policy("p.yaml", INCIDENT).unwrap_or_else(|problems| panic!("{problems:?}"));
        let correlation = policy.correlation.as_ref().unwrap();
        assert_eq!((correlation.min, correlation.names, correlation.window), (3, 2, Span::from_seconds(120)));
        assert_eq!((&correlation.scope, correlation.matchers.len(), correlation.alerts.len()), (&Sharing::All, 1, 3));
        let short = INCIDENT.replace("{ min: 3, names: 2, of: [Slow, Down, Failing] }, scope: all, window: 2m", "{ of: [Slow, Down] }");
        let policy = read_policy("p.yaml", &short).unwrap();
        let correlation = policy.correlation.as_ref().unwrap();
        assert_eq!((correlation.min, correlation.names, correlation.window), (2, 1, Span::from_seconds(300)));
        assert_eq!(correlation.scope, Sharing::Finest);
        let labelled = INCIDENT.replace("scope: all", "scope: [team, env]").replace("$subject", "$team");
        let policy = read_policy("p.yaml", &labelled).unwrap();
        assert_eq!(policy.correlation.as_ref().unwrap().scope, Sharing::Labels(vec![Name::new("env"), Name::new("team")]));
    }

    #[test]
    fn an_incident_that_cannot_be_is_refused_with_its_place() {
        let check = |from, to, expected: &[&str]| problem::tests::check(|text| read_policy("p.yaml", text), INCIDENT, (from, to), expected);
        check("min: 3", "min: 1", &["6:FD0108 the number of alerts is 1, and must be 2 to 1000"]);
        check("names: 2", "names: 4", &["6:FD0315 4 different alerts are asked for, and 3 are listed"]);
        check("min: 3, names: 2", "min: 2, names: 3", &["6:FD0315 2 alerts cannot have 3 different names"]);
        check("of: [Slow, Down, Failing]", "of: []", &["6:FD0310 the list of alerts is empty"]);
        check("scope: all", "scope: []", &["6:FD0310 the list of labels is empty"]);
        check("scope: all", "scope: region", &["6:FD0110 `region` is not what the alerts share (a list is of labels)"]);
        check("window: 2m", "window: 25h", &["6:FD0315 a window of 1d1h is longer than 1d"]);
        check("$subject", "$service", &["8:FD0317 the incident has no label `service`"]);
        check("  incident: {", "  alert: Down\n  incident: {", &["6:FD0309 `alert` means nothing for `on: { incident }`"]);
    }

    #[test]
    fn an_expression_must_be_a_condition() {
        let precheck = "time() - deploy_timestamp_seconds{service=$service} < 1800";
        check(precheck, "up", &["11:FD0302 `up` is a value, not a condition"]);
        let told = |expression: &str| read_policy("p.yaml", &WHOLE.replace(precheck, expression)).unwrap_err()[0].remedy.clone().unwrap();
        assert_eq!(told("sum  by (x) (up)"), "compare it, as in `sum  by (x) (up) > 0`, or use and, or, unless or absent()");
        // Whoever lost a parenthesis is not helped by a lesson on comparisons.
        assert!(!told("sum(up").contains("compar"), "{}", told("sum(up"));
    }

    #[test]
    fn shares_say_how_they_round_and_counts_do_not_round() {
        check(", rounding: floor", "", &["22:FD0313 a share does not say how it rounds"]);
        check("of: targets, max: 1", "of: targets, max: 1, rounding: ceil", &["22:FD0313 a whole number does not round"]);
        check(
            "of: targets, max: 1",
            "of: targets, max: 50%, rounding: ceil",
            &["22:FD0314 a share of targets has no number to be taken of"],
        );
    }

    #[test]
    fn all_problems_come_at_once_in_the_order_of_the_file() {
        let broken = WHOLE.replace("owner: team-checkout", "owner: 7").replace("hold: 30s", "hold: 30").replace("max: 3,", "max: 0,");
        let lines: Vec<usize> =
            read_policy("p.yaml", &broken).unwrap_err().iter().filter_map(|problem| problem.place.as_ref().map(Place::line)).collect();
        assert_eq!(lines, [4, 15, 21]);
    }

    #[test]
    fn every_way_to_act_reads() {
        let reads = |step: &str, target: &str, expected: Deed| {
            let text = WHOLE.replace("rollback: {}", step).replace("{ service: $service }", target).replace("on_failure: escalate", "");
            let policy = read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{step}: {problems:?}"));
            assert_eq!(policy.steps[0].deed, expected);
        };
        reads("restart: { mode: at_once }", "{ replica: $pod }", Deed::Act(Action::Restart { mode: RestartMode::AtOnce }));
        reads("scale: { by: -2 }", "{ service: api }", Deed::Act(Action::Scale { replicas: Scale::By(-2) }));
        reads("scale: { to: 4 }", "{ service: api }", Deed::Act(Action::Scale { replicas: Scale::To(4) }));
        reads("drain:", "{ zone: $zone }", Deed::Act(Action::Drain));
        reads("purge_queue: {}", "{ service: api }", Deed::Act(Action::PurgeQueue));
        reads("fail_over: {}", "{ service: db }", Deed::Act(Action::FailOver));
        reads("revert_flag: {}", "{ service: api }", Deed::Act(Action::RevertFlag));
        let lasting = Span::from_seconds(20);
        reads("limit_retries: { retries: 0, lasting: 20s }", "{ client: users }", Deed::Act(Action::LimitRetries { retries: 0, lasting }));
        reads("wait: 20s", "{ service: api }", Deed::Wait(lasting));
        let spare = Some(firedrill_core::action::Priority::High);
        let shed = Action::ShedLoad { share: firedrill_core::quantity::Ratio::parse("50%").unwrap(), spare, lasting };
        reads("shed_load: { share: 50%, spare: high, lasting: 20s }", "{ service: api }", Deed::Act(shed));
        reads("renew_certificate:", "{ service: api }", Deed::Act(Action::RenewCertificate));
    }

    #[test]
    fn scenarios_and_policies_aim_actions_at_the_same_things() {
        for word in actions::WORDS.iter().copied() {
            for kind in actions::targets(word) {
                let text = WHOLE.replace("rollback: {}", &format!("{word}: {}", actions::example(word)));
                let text = text.replace("{ service: $service }", &format!("{{ {kind}: some }}"));
                let policy = read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{word} {kind}: {problems:?}"));
                let (action, _) = policy.actions().next().unwrap();
                let fit: Vec<&str> = TargetKind::fit_for(action).iter().map(|kind| kind.word()).collect();
                assert_eq!((action.word(), fit.as_slice()), (word, actions::targets(word)));
                assert!(has_inverse(action) == crate::policy::inverse(action, &kind_named(kind), &Default::default()).is_some(), "{word}");
            }
        }
    }

    fn kind_named(kind: &str) -> firedrill_core::action::Target {
        format!("{kind}/some").parse().unwrap()
    }

    #[test]
    fn what_holds_until_it_is_lifted_can_be_reverted_and_what_is_done_for_good_cannot() {
        let reverted = |step: &str| {
            let text = WHOLE.replace("rollback: {}", step).replace("on_failure: escalate", "on_failure: revert");
            read_policy("p.yaml", &text)
                .map(|_| ())
                .map_err(|problems| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>())
        };
        assert_eq!(reverted("circuit_break: { lasting: 5m }"), Ok(()));
        assert_eq!(reverted("set_limit: { of: workers, to: 5 }"), Ok(()));
        let problems = reverted("flush_cache: {}").unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("flush_cache"), "{problems:?}");
    }
}
