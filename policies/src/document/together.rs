//! Steps of several actions: `parallel:`, `staged:`, and actions that a policy defines itself.

use std::collections::BTreeMap;

use firedrill_core::action::{Action, Modelled};
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, near_miss};
use firedrill_core::yaml::{Fields, Node, Reader, Value};

use super::{Aim, Scripts, all, candidate_words, check_target, deed, deeds, guards, key_place, target_source};
use crate::policy::{Deed, Each, NameSource, Order, OwnAction, Part, Runs, Staged, TargetKind, TargetSource};
use crate::problem;

/// `parallel: [{ restart: { mode: rolling } }, { drain: {}, target: { zone: $zone } }]`.
pub(super) fn parallel(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Deed> {
    let items = reader.list(node, "`parallel`")?;
    if items.len() < 2 {
        reader.problem(problem::not_several(&node.place, items.len()));
        return None;
    }
    let one = |reader: &mut Reader, item: &Node| {
        let mut fields = reader.fields(item, "a parallel action")?;
        let part = part(reader, &mut fields, aim, "a parallel action");
        fields.finish(reader);
        part
    };
    let parts = all(items.iter().map(|item| one(reader, item)).collect())?;
    let repeated = (1..parts.len()).find(|index| parts[..*index].contains(&parts[*index]));
    if let Some(index) = repeated {
        reader.problem(problem::twice_at_a_time(&items[index].place, parts[index].action.word()));
        return None;
    }
    Some(Deed::Parallel(parts))
}

/// One action with its own target, if it has one; not a pause.
fn part(reader: &mut Reader, fields: &mut Fields<'_>, aim: Aim<'_>, what: &str) -> Option<Part> {
    let (action, place) = action(reader, fields, aim, what)?;
    let target = fields.optional("target").map(|node| target_source(reader, node));
    let kind = target.as_ref().map_or(aim.kind, |own| own.as_ref().map(|own| own.kind));
    check_target(reader, &Deed::Act(action.clone()), &place, kind);
    Some(Part { action, target: target.map_or(Some(None), |target| target.map(Some))?, modelled: None })
}

/// The one action among the keys.
fn action(reader: &mut Reader, fields: &mut Fields<'_>, aim: Aim<'_>, what: &str) -> Option<(Action, Place)> {
    let known: Vec<&'static str> = Action::changing().collect();
    let words: Vec<&'static str> = known.iter().copied().filter(|word| fields.has(word)).collect();
    let [word] = words[..] else {
        reader.problem(problem::not_one_action(fields.place(), what, words.len(), &known.join(", ")));
        for word in known {
            fields.optional(word);
        }
        return None;
    };
    let place = key_place(fields, word);
    match deed(reader, fields, word, aim)? {
        Deed::Act(action) => Some((action, place)),
        _ => None,
    }
}

/// `staged: { restart: { mode: rolling }, each: { replica: pod, from: 'up == 0' }, first: 1, then: 50%, rounding: ceil, order: dependencies }`.
pub(super) fn staged(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Deed> {
    let mut fields = reader.fields(node, "`staged`")?;
    let each = fields.required(reader, "each").and_then(|node| each(reader, node, aim));
    let inner = Aim { kind: each.as_ref().map(|(each, _)| each.kind), ..aim };
    let action = action(reader, &mut fields, inner, "`staged`");
    if let Some((action, place)) = &action {
        check_target(reader, &Deed::Act(action.clone()), place, inner.kind);
    }
    let first = fields.optional("first").map_or(Some(1), |node| reader.integer(node, "how many are first", 1..=1000));
    let then_place = key_place(&fields, "then");
    let then = guards::most(reader, &mut fields, ("then", "how many follow"), None);
    if then.is_some_and(|then| then.of(1_000_000) == 0) {
        reader.problem(problem::out_of_range(&then_place, "after the first nothing would follow", "write a number from 1 on, or a share"));
    }
    let orders = [("name", Order::Name), ("dependencies", Order::Dependencies)];
    let order = fields.optional("order").map_or(Some(Order::Name), |node| {
        let order = reader.one_of(node, "an order", &orders)?;
        let kind = inner.kind.filter(|kind| !matches!(kind, TargetKind::Service | TargetKind::Replica));
        if let (Order::Dependencies, Some(kind)) = (order, kind) {
            reader.problem(problem::no_dependencies(&node.place, kind.word()));
        }
        Some(order)
    });
    fields.finish(reader);
    let (each, from) = each?;
    let first = u32::try_from(first?).ok()?;
    Some(Deed::Staged(Box::new(Staged { action: action?.0, each, from, first, then: then?, order: order? })))
}

/// `{ replica: pod, from: EXPR }`, `{ service: service, from: alerts }`, `{ replica: pod, from: target }`: the kind with the label that names it.
fn each(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<(TargetSource, Each)> {
    let mut fields = reader.fields(node, "`each`")?;
    let kinds: Vec<(&'static str, TargetKind)> = TargetKind::WORDS.into_iter().filter(|(word, _)| fields.has(word)).collect();
    let from_node = fields.required(reader, "from");
    let [(word, kind)] = kinds[..] else {
        reader.problem(problem::each_of_what(fields.place(), kinds.len()));
        TargetKind::WORDS.iter().for_each(|(word, _)| _ = fields.optional(word));
        fields.finish(reader);
        return None;
    };
    let label = fields.required(reader, word).and_then(|node| reader.name(node, "the label that names each"));
    let from = from_node.and_then(|node| match &node.value {
        Value::Text(text) if &**text == "alerts" => Some(Each::Alerts),
        Value::Text(text) if &**text == "target" => {
            if kind != TargetKind::Replica || !matches!(aim.kind, None | Some(TargetKind::Service)) {
                reader.problem(problem::declared_of_what(&node.place));
                return None;
            }
            Some(Each::Declared)
        }
        _ => deeds::formula(reader, node).map(|(formula, _)| Each::Series(formula)),
    });
    fields.finish(reader);
    Some((TargetSource { kind, name: NameSource::Label(label?) }, from?))
}

/// `action: NAME`, one that the policy defines.
pub(super) fn own(reader: &mut Reader, node: &Node, aim: Aim<'_>) -> Option<Deed> {
    let name = reader.name(node, "an action's name")?;
    let defined = aim.own?;
    let Some(own) = defined.get(&name) else {
        let known: Vec<&str> = defined.keys().map(Name::as_str).collect();
        reader.problem(problem::no_such_action(&node.place, &name, near_miss(&name, &known), known.is_empty()));
        return None;
    };
    for part in &own.models {
        let kind = part.target.as_ref().map_or(aim.kind, |own| Some(own.kind));
        check_target(reader, &Deed::Act(part.action.clone()), &node.place, kind);
    }
    Some(Deed::Own(own.clone()))
}

/// `actions:`, by name what each does and what it stands for, beside those of the project, of which none may be hidden.
pub(super) fn definitions(
    reader: &mut Reader,
    node: &Node,
    scripts: Scripts<'_>,
    shared: &BTreeMap<Name, OwnAction>,
) -> Option<BTreeMap<Name, OwnAction>> {
    let fields = reader.fields(node, "`actions`")?;
    let mut read = Vec::new();
    for (key, value) in fields.entries() {
        let name = Name::new(&key.text);
        if candidate_words().contains(&&*key.text) {
            reader.problem(problem::known_action(&key.place, &key.text));
            read.push(None);
            continue;
        }
        if shared.contains_key(&name) {
            reader.problem(problem::action_of_project(&key.place, &key.text));
            read.push(None);
            continue;
        }
        read.push(definition(reader, value, name.clone(), scripts).map(|own| (name, own)));
    }
    all(read).map(|all| shared.clone().into_iter().chain(all).collect())
}

fn definition(reader: &mut Reader, node: &Node, name: Name, scripts: Scripts<'_>) -> Option<OwnAction> {
    let mut fields = reader.fields(node, "an action")?;
    let (models, runs) = (fields.optional("models"), fields.optional("runs"));
    let models = match (models, runs) {
        (Some(node), _) => models_of(reader, node),
        (None, Some(_)) => {
            reader.problem(problem::runs_without_models(&key_place(&fields, "runs")));
            None
        }
        (None, None) => fields.required(reader, "models").and(None),
    };
    let runs = runs.map(|node| {
        let path = reader.text(node, "a script")?.to_string();
        match scripts(&path) {
            Ok(hash) => Some(Runs { path, hash }),
            Err(why) => {
                reader.problem(problem::script_not_read(&node.place, &path, &why));
                None
            }
        }
    });
    fields.finish(reader);
    Some(OwnAction { name, models: models?, runs: runs.map_or(Some(None), |runs| runs.map(Some))? })
}

fn models_of(reader: &mut Reader, node: &Node) -> Option<Vec<Part>> {
    let items = reader.list(node, "`models`")?;
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "`models`"));
        return None;
    }
    all(items.iter().map(|item| modelled(reader, item)).collect())
}

/// `{ drain: {}, takes: 30s, fails: 2% }`.
fn modelled(reader: &mut Reader, node: &Node) -> Option<Part> {
    let mut fields = reader.fields(node, "a modelled action")?;
    let part = part(reader, &mut fields, Aim { kind: None, own: None }, "a modelled action");
    let takes = fields.required(reader, "takes").and_then(|node| reader.span(node, "`takes`"));
    let fails = fields.required(reader, "fails").and_then(|node| reader.ratio(node, "`fails`"));
    fields.finish(reader);
    Some(Part { modelled: Some(Modelled { takes: takes?, fails: fails? }), ..part? })
}
