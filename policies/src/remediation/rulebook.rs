//! Rulebooks of Event-Driven Ansible: rules over events, those of them that are alerts.

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value};

use super::deed::own;
use super::page::{NOBODY, Note, Noted, Sketch, Step, label_of, name_of};
use super::source::{at, duration, entries, is_off, items, scalar, text};
use super::{Kind, Refusal};

/// Actions that do nothing to a system but print.
const PRINTING: [&str; 4] = ["debug", "print_event", "none", "noop"];

/// Actions that run what their owner wrote: their word, and the key of its name.
const RUNNING: [(&str, &str); 4] = [
    ("run_playbook", "the playbook"),
    ("run_job_template", "the job template"),
    ("run_workflow_template", "the workflow template"),
    ("run_module", "the module"),
];

/// Whether a document is a list of rulesets.
pub fn is_rulebook(node: &Node) -> bool {
    let Value::List(items) = &node.value else { return false };
    let is_ruleset = |node: &Node| at(node, &["rules"]).is_some() && (at(node, &["sources"]).is_some() || at(node, &["hosts"]).is_some());
    items.first().is_some_and(is_ruleset)
}

/// A policy for each rule of each ruleset.
pub fn rules(document: &Node) -> Vec<Result<Sketch, Refusal>> {
    let Value::List(rulesets) = &document.value else { return Vec::new() };
    rulesets.iter().flat_map(|ruleset| items(ruleset, &["rules"]).iter().map(move |node| rule(ruleset, node))).collect()
}

fn rule(ruleset: &Node, node: &Node) -> Result<Sketch, Refusal> {
    let name = text(node, &["name"]).unwrap_or_default();
    let refused = |why: String| Refusal::new(Kind::Rulebook, &name, &node.place, why);
    let receiver = receiver(ruleset).map_err(refused)?;
    let mut sketch = Sketch::new(Kind::Rulebook, &node.place, &name);
    sketch.description = format!("The rule `{name}` of the ruleset `{}`.", text(ruleset, &["name"]).unwrap_or_default());
    let condition = at(node, &["condition"]).ok_or_else(|| refused("it has no condition".to_owned()))?;
    sketch.on.value = read_condition(&mut sketch.notes, condition).map_err(refused)?;
    if sketch.on.value.alerts.is_empty() {
        let assumed = format!("Alertmanager tells the source by a receiver of the name `{receiver}`");
        sketch.on.notes.push(Note::Assumed(assumed));
        sketch.on.value.receiver = Some(receiver);
    }
    let throttled = throttle(&mut sketch, node).map_err(refused)?;
    let found = actions(node);
    for (action, value) in &found {
        act(&mut sketch, action, value).map_err(refused)?;
    }
    if sketch.steps.is_empty() {
        return Err(refused("it prints what came, and does nothing".to_owned()));
    }
    if let Some(wait) = throttled {
        sketch.steps.insert(0, wait);
    }
    aim(&mut sketch);
    let disabled = is_off(node, "enabled");
    sketch.stage = disabled.then(|| Noted::exact("draft"));
    Ok(sketch)
}

/// The receiver behind a source that hears Alertmanager.
fn receiver(ruleset: &Node) -> Result<String, String> {
    let mut others = Vec::new();
    for source in items(ruleset, &["sources"]) {
        let plugin = entries(source).iter().map(|(key, _)| &*key.text).find(|key| !matches!(*key, "name" | "filters")).unwrap_or_default();
        if plugin.ends_with("alertmanager") {
            return Ok(text(source, &["name"]).map_or_else(|| "eda".to_owned(), |name| name_of(&name)));
        }
        others.push(plugin.to_owned());
    }
    if others.is_empty() {
        Err("its ruleset has no source".to_owned())
    } else {
        Err(format!("it listens to `{}`, which tells no alerts", others.join("`, `")))
    }
}

/// The actions of a rule with their values.
fn actions(node: &Node) -> Vec<(String, &Node)> {
    let one = at(node, &["action"]).into_iter();
    let all = one.chain(items(node, &["actions"]));
    all.flat_map(|action| entries(action).iter().map(|(key, value)| (key.text.to_string(), value))).collect()
}

fn act(sketch: &mut Sketch, action: &str, value: &Node) -> Result<(), String> {
    if PRINTING.contains(&action) {
        return Ok(());
    }
    let Some((_, what)) = RUNNING.iter().find(|(word, _)| *word == action) else {
        return Err(format!("its action `{action}` passes something on to other rules, and policies have no facts"));
    };
    let name = text(value, &["name"]).unwrap_or_default();
    let mut notes = vec![Note::Lost(own(what, &name))];
    if let Some(retries) = text(value, &["retries"]) {
        let delay = text(value, &["delay"]).map(|delay| format!(", {delay}s apart")).unwrap_or_default();
        notes.push(Note::Lost(format!("retries {retries}{delay}")));
    }
    if let Some(lock) = text(value, &["lock"]) {
        notes.push(Note::Lost(format!("lock {lock}: whatever names it waits for this")));
    }
    match sketch.steps.last_mut() {
        Some(last) => last.notes.extend(notes),
        None => {
            let owner = sketch.owner.as_deref().unwrap_or(NOBODY);
            sketch.steps.push(Noted { value: Step::plain("escalate", format!("{{ to: {owner} }}")), notes });
        }
    }
    Ok(())
}

/// What the policy acts on: what the condition names.
fn aim(sketch: &mut Sketch) {
    let label = |wanted: &str| sketch.on.value.matchers.iter().any(|(label, _, _)| label == wanted);
    let target = [("service", "service"), ("app", "service"), ("job", "service"), ("pod", "replica"), ("node", "node")]
        .into_iter()
        .find(|(wanted, _)| label(wanted))
        .map_or(("service", "$service".to_owned()), |(label, kind)| (kind, format!("${label}")));
    let assumed = format!("it is about the {} that the alert's label `{}` names", target.0, target.1.trim_start_matches('$'));
    sketch.target = Noted::assumed(target, assumed);
}

/// `once_within` is a limit of one within the time; `once_after` waits first. Other alerts of the group stand for one here anyway.
fn throttle(sketch: &mut Sketch, node: &Node) -> Result<Option<Noted<Step>>, String> {
    let Some(throttle) = at(node, &["throttle"]) else { return Ok(None) };
    let by: Vec<String> = items(throttle, &["group_by_attributes"]).iter().filter_map(scalar).collect();
    let span = |key: &str| match text(throttle, &[key]) {
        None => Ok(None),
        Some(text) => duration(&text).filter(|span| *span > Span::ZERO).map(Some).ok_or_else(|| format!("its `{key}: {text}` is no time")),
    };
    if at(throttle, &["accumulate_within"]).is_some() {
        return Err("it waits for several events of one kind (`accumulate_within`), and an alert is one".to_owned());
    }
    if let Some(within) = span("once_within")? {
        let value = format!("[{{ max: 1, window: {within}, scope: target, overflow: refuse }}]");
        sketch.guards.push(Noted::assumed(("rate_limit", value), format!("`{}` name the target", by.join("`, `"))));
    }
    let after = span("once_after")?;
    Ok(after.map(|after| {
        Noted::lost(Step::plain("wait", after.to_string()), "once_after hands on all events that came meanwhile; here the first counts")
    }))
}

/// What a condition asks of an alert.
fn read_condition(notes: &mut Vec<Note>, node: &Node) -> Result<super::page::On, String> {
    let mut on = super::page::On::default();
    match &node.value {
        Value::Map(_) => {
            if let Some(Value::List(all)) = at(node, &["all"]).map(|node| &node.value) {
                if all.len() > 1 {
                    return Err(
                        "it waits for several events (`all`), and a policy answers one alert, or alerts of one kind together".to_owned()
                    );
                }
                all.iter().filter_map(scalar).try_for_each(|text| conjunction(&mut on, notes, &text))?;
            } else {
                let any: Vec<String> = items(node, &["any"]).iter().filter_map(scalar).collect();
                if any.is_empty() {
                    return Err("its condition is neither a text nor `all` or `any`".to_owned());
                }
                disjunction(&mut on, &any.iter().map(String::as_str).collect::<Vec<_>>())?;
            }
        }
        _ => {
            let text = scalar(node).ok_or("it has no condition")?;
            let parts: Vec<&str> = text.split(" or ").collect();
            if parts.len() > 1 { disjunction(&mut on, &parts)? } else { conjunction(&mut on, notes, &text)? }
        }
    }
    Ok(on)
}

/// Alternatives: different values of one label.
fn disjunction(on: &mut super::page::On, parts: &[&str]) -> Result<(), String> {
    let compared: Option<Vec<(String, String)>> = parts
        .iter()
        .map(|part| {
            comparison(part)
                .filter(|(_, operator, _)| *operator == "=")
                .and_then(|(path, _, value)| Some((path.strip_prefix("alert.labels.")?.to_owned(), value)))
        })
        .collect();
    let (label, values) = match compared {
        Some(compared) if compared.windows(2).all(|pair| pair[0].0 == pair[1].0) => {
            (compared[0].0.clone(), compared.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        }
        _ => return Err(format!("its condition has alternatives that are not values of one label: {}", parts.join(" or "))),
    };
    if label == "alertname" {
        on.alerts = alert_names(values)?;
    } else {
        on.matchers.push((label_of(&label), "=~", values.iter().map(|value| escaped(value)).collect::<Vec<_>>().join("|")));
    }
    Ok(())
}

/// Alerts' names, which must be names.
fn alert_names(values: Vec<String>) -> Result<Vec<String>, String> {
    match values.iter().find(|value| !value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c)) || value.is_empty()) {
        Some(wrong) => Err(format!("`{wrong}` is no alert's name here: letters, digits and _ . : / -")),
        None => Ok(values),
    }
}

/// All of several comparisons.
fn conjunction(on: &mut super::page::On, notes: &mut Vec<Note>, text: &str) -> Result<(), String> {
    for part in text.split(" and ").map(str::trim) {
        if matches!(part, "true" | "True") {
            continue;
        }
        match comparison(part) {
            Some((path, "=", value)) if path == "alert.status" && value == "firing" => {}
            Some((path, _, value)) if path == "alert.status" => {
                return Err(format!("it answers alerts that are {value}, and policies answer alerts that begin"));
            }
            Some((path, "=", value)) if path == "alert.labels.alertname" => on.alerts = alert_names(vec![value])?,
            Some((path, operator, value)) if path.starts_with("alert.labels.") => {
                on.matchers.push((label_of(&path["alert.labels.".len()..]), operator, value));
            }
            _ => notes.push(Note::Lost(format!("it asks for {part}, and policies ask for labels of an alert alone"))),
        }
    }
    Ok(())
}

/// `event.a.b == "x"`: the path without `event.`, the operator of a matcher, the value.
fn comparison(text: &str) -> Option<(String, &'static str, String)> {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')');
    let (path, operator, value) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((path, value)), None) => (path, "=", literal(value)?),
        (None, Some((path, value))) => (path, "!=", literal(value)?),
        _ => {
            let (path, rest) = [" is match(", " is regex(", " is search("].into_iter().find_map(|word| text.split_once(word))?;
            let pattern = literal(rest.split([',', ')']).next()?)?;
            let anchored = text.contains(" is match(");
            (path, "=~", if anchored { format!("{pattern}.*") } else { format!(".*{pattern}.*") })
        }
    };
    let path = path.trim().strip_prefix("event.")?;
    let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    is_path.then(|| (path.to_owned(), operator, value))
}

/// A text in quotes, or a word.
fn literal(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match inner {
        Some(inner) => Some(inner.to_owned()),
        None => (!text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))).then(|| text.to_owned()),
    }
}

/// A text as a part of a regular expression that matches it alone.
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            ["\\".to_owned(), String::new()]
                .into_iter()
                .take(usize::from(!c.is_alphanumeric() && !" _-".contains(c)))
                .chain([c.to_string()])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_as_matchers() {
        let check = |text: &str, expected: Option<(&str, &'static str, &str)>| {
            assert_eq!(comparison(text), expected.map(|(path, operator, value)| (path.to_owned(), operator, value.to_owned())), "{text}");
        };
        check(r#"event.alert.labels.job == "fastapi""#, Some(("alert.labels.job", "=", "fastapi")));
        check("event.alert.labels.job != 'x y'", Some(("alert.labels.job", "!=", "x y")));
        check(r#"event.alert.labels.job is match("fast")"#, Some(("alert.labels.job", "=~", "fast.*")));
        check("event.i == 1", Some(("i", "=", "1")));
        check("event.a in [1, 2]", None);
        check("fact.a == 1", None);
        check("event.a == vars.b + 1", None);
        assert_eq!(escaped("a.b|c d-e"), r"a\.b\|c d-e");
    }
}
