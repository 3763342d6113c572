//! Rulebooks of Event-Driven Ansible: rules over events, those of them that are alerts.

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value};

use super::deed::{own, shortened};
use super::page::{NOBODY, Note, Noted, On, Sketch, Step, label_of, name_of};
use super::source::{at, duration, entries, is_nothing, items, one_text, others, scalar, text, texts, told};
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
    let Sources { receiver, further, others } = Sources::of(ruleset).map_err(refused)?;
    let mut sketch = Sketch::new(Kind::Rulebook, &node.place, &name);
    sketch.description = format!("The rule `{name}` of the ruleset `{}`.", text(ruleset, &["name"]).unwrap_or_default());
    let condition = at(node, &["condition"]).ok_or_else(|| refused("it has no condition".to_owned()))?;
    sketch.on.value = read_condition(&mut sketch.notes, condition).map_err(refused)?;
    if !others.is_empty() {
        let lost = format!("it listens to `{}` too, which tells no alerts: nothing is done about what comes there", others.join("`, `"));
        sketch.on.notes.push(Note::Lost(lost));
    }
    if sketch.on.value.alerts.is_empty() {
        if !further.is_empty() {
            let lost = format!("it hears the receiver `{}` too, and a policy stands behind one", further.join("`, `"));
            sketch.on.notes.push(Note::Lost(lost));
        }
        let assumed = format!("Alertmanager tells the source by a receiver of the name `{receiver}`");
        sketch.on.notes.push(Note::Assumed(assumed));
        sketch.on.value.receiver = Some(receiver);
    }
    let throttled = throttle(&mut sketch, node).map_err(refused)?;
    sketch.heed_switches(node).map_err(refused)?;
    sketch.lose_others(node, &["name", "condition", "action", "actions", "throttle", "enabled", "disabled", "dry_run"]);
    sketch.lose_others(ruleset, &["name", "hosts", "sources", "rules"]);
    let filters = items(ruleset, &["sources"]).iter().filter_map(|source| at(source, &["filters"]));
    filters.for_each(|filters| sketch.lose("filters", filters, "what a source leaves out or changes before the rule"));
    let found = actions(node).map_err(refused)?;
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
    Ok(sketch)
}

/// What a ruleset listens to.
struct Sources {
    /// The receiver behind the first source that hears Alertmanager.
    receiver: String,
    /// Those behind further ones.
    further: Vec<String>,
    /// Plugins of sources that tell no alerts.
    others: Vec<String>,
}

impl Sources {
    fn of(ruleset: &Node) -> Result<Self, String> {
        let (mut receivers, mut others) = (Vec::new(), Vec::new());
        for source in items(ruleset, &["sources"]) {
            let mut plugins = entries(source).iter().map(|(key, _)| &*key.text).filter(|key| !matches!(*key, "name" | "filters"));
            let plugin = plugins.next().map_or_else(|| told(source), str::to_owned);
            if plugin.ends_with("alertmanager") {
                receivers.push(text(source, &["name"]).map_or_else(|| "eda".to_owned(), |name| name_of(&name)));
            } else {
                others.push(shortened(&plugin));
            }
        }
        let mut receivers = receivers.into_iter();
        match receivers.next() {
            Some(receiver) => Ok(Self { further: receivers.filter(|other| *other != receiver).collect(), receiver, others }),
            None if others.is_empty() => Err("its ruleset has no source".to_owned()),
            None => Err(format!("it listens to `{}`, which tells no alerts", others.join("`, `"))),
        }
    }
}

/// The actions of a rule with their values.
fn actions(node: &Node) -> Result<Vec<(String, &Node)>, String> {
    let several = at(node, &["actions"]).filter(|several| !is_nothing(several));
    let several: Vec<&Node> = match several.map(|several| (several, &several.value)) {
        None => Vec::new(),
        Some((_, Value::List(several))) => several.iter().collect(),
        Some((one, _)) => vec![one],
    };
    let all: Vec<&Node> = at(node, &["action"]).filter(|one| !is_nothing(one)).into_iter().chain(several).collect();
    if let Some(wrong) = all.iter().find(|action| entries(action).is_empty()) {
        return Err(format!("`{}` is no action with what it needs", shortened(&told(wrong))));
    }
    Ok(all.into_iter().flat_map(entries).map(|(key, value)| (key.text.to_string(), value)).collect())
}

fn act(sketch: &mut Sketch, action: &str, value: &Node) -> Result<(), String> {
    if PRINTING.contains(&action) {
        return Ok(());
    }
    let Some((_, what)) = RUNNING.iter().find(|(word, _)| *word == action) else {
        let why = match action {
            "set_fact" | "retract_fact" | "post_event" => "passes something on to other rules, and policies have no facts",
            "shutdown" => "ends the program that reads rulebooks, and no policy ends what decides",
            "pg_notify" => "sends what came to a database, and no policy does",
            _ => "is not known here",
        };
        return Err(format!("its action `{}` {why}", shortened(action)));
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
    let Some(throttle) = at(node, &["throttle"]).filter(|throttle| !is_nothing(throttle)) else { return Ok(None) };
    if entries(throttle).is_empty() {
        return Err(format!("its `throttle: {}` is no map", shortened(&told(throttle))));
    }
    let span = |key: &str| match one_text(throttle, key)? {
        None => Ok(None),
        Some(text) => duration(&text).filter(|span| *span > Span::ZERO).map(Some).ok_or_else(|| format!("its `{key}: {text}` is no time")),
    };
    if at(throttle, &["accumulate_within"]).is_some() {
        return Err("it waits for several events of one kind (`accumulate_within`), and an alert is one".to_owned());
    }
    let (within, after) = (span("once_within")?, span("once_after")?);
    let grouped = at(throttle, &["group_by_attributes"]).filter(|by| !is_nothing(by));
    let by = grouped.and_then(texts).unwrap_or_default();
    if let Some(grouped) = grouped.filter(|_| within.is_none() || by.is_empty()) {
        sketch.lose("group_by_attributes", grouped, "what comes is told apart by its target alone");
    }
    sketch.lose_others(throttle, &["once_within", "once_after", "group_by_attributes"]);
    if let Some(within) = within {
        let value = format!("[{{ max: 1, window: {within}, scope: target, overflow: refuse }}]");
        let names =
            if by.is_empty() { "it counts for each target by itself".to_owned() } else { format!("`{}` name the target", by.join("`, `")) };
        sketch.guards.push(Noted::assumed(("rate_limit", value), names));
    }
    Ok(after.map(|after| {
        Noted::lost(Step::plain("wait", after.to_string()), "once_after hands on all events that came meanwhile; here the first counts")
    }))
}

/// What a condition asks of an alert.
fn read_condition(notes: &mut Vec<Note>, node: &Node) -> Result<On, String> {
    let mut on = On::default();
    let Value::Map(_) = &node.value else {
        if let Value::List(_) = &node.value {
            return Err(format!("its condition is a list ({}): write `all` or `any` above it", shortened(&told(node))));
        }
        let text = scalar(node).filter(|text| !text.trim().is_empty()).ok_or("its condition is empty")?;
        whole(&mut on, notes, &spaced(&text))?;
        return Ok(on);
    };
    if at(node, &["not_all"]).is_some() {
        return Err("it waits for what does not come (`not_all`), and a policy answers what does".to_owned());
    }
    let listed = |key: &str| match at(node, &[key]) {
        None => Ok(None),
        Some(said) => match (&said.value, texts(said)) {
            (Value::List(_), Some(texts)) if !texts.is_empty() => Ok(Some(texts.iter().map(|text| spaced(text)).collect::<Vec<_>>())),
            _ => Err(format!("`{key}: {}` of its condition is no list of texts", shortened(&told(said)))),
        },
    };
    match (listed("all")?, listed("any")?) {
        (Some(all), None) if all.len() > 1 => {
            return Err("it waits for several events (`all`), and a policy answers one alert, or alerts of one kind together".to_owned());
        }
        (Some(all), None) => all.iter().try_for_each(|text| whole(&mut on, notes, text))?,
        (None, Some(any)) => disjunction(&mut on, &any.iter().map(String::as_str).collect::<Vec<_>>())?,
        (None, None) => return Err("its condition is neither a text nor `all` or `any`".to_owned()),
        (Some(_), Some(_)) => return Err("its condition has both `all` and `any`".to_owned()),
    }
    for (key, value) in others(node, &["all", "any"]) {
        notes.push(Note::Lost(format!("`{key}: {}` of its condition", shortened(&told(value)))));
    }
    Ok(on)
}

/// A text with one blank wherever blanks and ends of lines stand outside of quotes.
fn spaced(text: &str) -> String {
    let mut spaced = String::new();
    for ((_, _, is_quoted), c) in depths(text).zip(text.chars()) {
        match c {
            c if !c.is_whitespace() || is_quoted => spaced.push(c),
            _ if spaced.ends_with(' ') => {}
            _ => spaced.push(' '),
        }
    }
    spaced.trim().to_owned()
}

/// A text with `and`, `or` and brackets.
fn whole(on: &mut On, notes: &mut Vec<Note>, text: &str) -> Result<(), String> {
    let text = unbracketed(text);
    let parts = split(text, " or ");
    if parts.len() > 1 {
        return disjunction(on, &parts);
    }
    let parts = split(text, " and ");
    match parts[..] {
        [one] => asks(on, notes, one),
        _ => parts.into_iter().try_for_each(|part| whole(on, notes, part)),
    }
}

/// A text without brackets that are around all of it.
fn unbracketed(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        // The first bracket is closed by the last if those between are pairs.
        Some(inner) if depths(inner).all(|(_, depth, _)| depth >= 0) => unbracketed(inner),
        _ => text,
    }
}

/// Each character of a text by its place, how deep in brackets it stands, and whether in quotes.
fn depths(text: &str) -> impl Iterator<Item = (usize, i32, bool)> {
    let (mut depth, mut quote) = (0, None);
    text.char_indices().map(move |(index, c)| {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            _ => {}
        }
        (index, depth, quote.is_some())
    })
}

/// A text at each word that stands in no quotes and no brackets.
fn split<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for (index, depth, is_quoted) in depths(text) {
        if depth == 0 && !is_quoted && index >= from && text[index..].starts_with(word) {
            parts.push(text[from..index].trim());
            from = index + word.len();
        }
    }
    parts.push(text[from..].trim());
    parts
}

/// Alternatives: different values of one label.
fn disjunction(on: &mut On, parts: &[&str]) -> Result<(), String> {
    let mut compared: Vec<(String, Vec<String>)> = Vec::new();
    for part in parts {
        let apart = || format!("its condition has alternatives that are not values of one label: {}", shortened(&parts.join(" or ")));
        let (path, values) = match comparison(unbracketed(part)) {
            Some(Comparison { path, operator: "=", asked: Asked::Value(value) }) => (path, vec![value]),
            Some(Comparison { path, operator: "=", asked: Asked::OneOf(values) }) => (path, values),
            _ => return Err(apart()),
        };
        let label = path.strip_prefix(LABELS).ok_or_else(apart)?.to_owned();
        if compared.first().is_some_and(|(first, _)| *first != label) {
            return Err(apart());
        }
        compared.push((label, values));
    }
    let Some((label, _)) = compared.first().cloned() else { return Ok(()) };
    one_of(on, &label, "=", compared.into_iter().flat_map(|(_, values)| values).collect())
}

/// A label that is one of several values, or none of them.
fn one_of(on: &mut On, label: &str, operator: &str, values: Vec<String>) -> Result<(), String> {
    if label == "alertname" && operator == "=" {
        return named(on, values);
    }
    let pattern = values.iter().map(|value| escaped(value)).collect::<Vec<_>>().join("|");
    on.matchers.push((label_of(label), if operator == "=" { "=~" } else { "!~" }, pattern));
    Ok(())
}

/// Alerts of one of these names, of those that are asked for already.
fn named(on: &mut On, values: Vec<String>) -> Result<(), String> {
    let names = alert_names(values)?;
    if on.alerts.is_empty() {
        on.alerts = names;
        return Ok(());
    }
    let both: Vec<String> = on.alerts.iter().filter(|own| names.contains(own)).cloned().collect();
    if both.is_empty() {
        return Err(format!("no alert is called `{}` and `{}` at once", on.alerts.join("` or `"), names.join("` or `")));
    }
    on.alerts = both;
    Ok(())
}

/// Alerts' names, which must be names.
fn alert_names(values: Vec<String>) -> Result<Vec<String>, String> {
    match values.iter().find(|value| !value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c)) || value.is_empty()) {
        Some(wrong) if wrong.is_empty() => Err("it asks for an alert without a name".to_owned()),
        Some(wrong) => Err(format!("`{wrong}` is no alert's name here: letters, digits and _ . : / -")),
        None => Ok(values),
    }
}

/// One comparison, all of which must hold.
fn asks(on: &mut On, notes: &mut Vec<Note>, part: &str) -> Result<(), String> {
    if matches!(part, "true" | "True") {
        return Ok(());
    }
    let Some(Comparison { path, operator, asked }) = comparison(part) else {
        notes.push(Note::Lost(format!("it asks for {part}, and policies ask for labels of an alert alone")));
        return Ok(());
    };
    match (path.strip_prefix(LABELS), asked) {
        (Some("alertname"), Asked::Value(value)) if operator == "=" => named(on, vec![value])?,
        (Some(label), Asked::Value(value)) => on.matchers.push((label_of(label), operator, value)),
        (Some(label), Asked::OneOf(values)) => one_of(on, label, operator, values)?,
        (Some(label), Asked::Pattern(pattern)) => {
            on.matchers.push((label_of(label), if operator == "=" { "=~" } else { "!~" }, pattern));
        }
        (None, Asked::Value(value)) if path == "alert.status" => {
            let begins = (operator == "=") == (value == "firing");
            if !begins {
                return Err(format!(
                    "it answers alerts whose status is {}{value}, and policies answer alerts that begin",
                    if operator == "=" { "" } else { "not " }
                ));
            }
        }
        _ => notes.push(Note::Lost(format!("it asks for {part}, and policies ask for labels of an alert alone"))),
    }
    Ok(())
}

/// Where the labels of an alert stand in an event.
const LABELS: &str = "alert.labels.";

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Value(String),
    OneOf(Vec<String>),
    /// A regular expression for all of it.
    Pattern(String),
}

/// `event.a.b == "x"`: the path without `event.`, `=` or `!=`, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    path: String,
    operator: &'static str,
    asked: Asked,
}

fn comparison(text: &str) -> Option<Comparison> {
    let text = unbracketed(text);
    if let Some(negated) = text.strip_prefix("not ") {
        let found = comparison(negated)?;
        return Some(Comparison { operator: if found.operator == "=" { "!=" } else { "=" }, ..found });
    }
    let unquoted = |word: &str| split(text, word);
    let (path, operator, asked) = if let [path, value] = unquoted("==")[..] {
        (path, "=", Asked::Value(literal(value)?))
    } else if let [path, value] = unquoted("!=")[..] {
        (path, "!=", Asked::Value(literal(value)?))
    } else if let [path, list] = unquoted(" not in ")[..] {
        (path, "!=", Asked::OneOf(literals(list)?))
    } else if let [path, list] = unquoted(" in ")[..] {
        (path, "=", Asked::OneOf(literals(list)?))
    } else {
        let (word, is_anchored) =
            [(" is match(", true), (" is regex(", false), (" is search(", false)].into_iter().find(|(word, _)| text.contains(word))?;
        let (path, rest) = text.split_once(word)?;
        let mut arguments = split(rest.trim_end().strip_suffix(')')?, ",").into_iter();
        let pattern = literal(arguments.next()?)?;
        let mut folded = "";
        for argument in arguments {
            match &*argument.replace(' ', "").to_ascii_lowercase() {
                "ignorecase=true" => folded = "(?i)",
                "ignorecase=false" | "multiline=false" => {}
                // What else changes a pattern is not known here.
                _ => return None,
            }
        }
        let anywhere = if is_anchored { "" } else { ".*" };
        (path, "=", Asked::Pattern(format!("{folded}{anywhere}(?:{pattern}).*")))
    };
    let path = path.trim().strip_prefix("event.")?;
    let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    is_path.then(|| Comparison { path: path.to_owned(), operator, asked })
}

/// A list of texts.
fn literals(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    split(inner, ",").into_iter().filter(|item| !item.is_empty()).map(literal).collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
}

/// A text in quotes, a number, or a word that is true or false; other words stand for what is not known here.
fn literal(text: &str) -> Option<String> {
    let text = text.trim();
    // A quote within ends the text there: nothing escapes one (`QuotedString` of ansible-rulebook's condition_parser.py).
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    let inner = ['"', '\''].into_iter().find_map(within);
    let is_known = || text.parse::<f64>().is_ok() || matches!(text, "true" | "false" | "True" | "False");
    inner.map(str::to_owned).or_else(|| is_known().then(|| text.to_owned()))
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
        let check = |text: &str, expected: Option<(&str, &'static str, Asked)>| {
            let expected = expected.map(|(path, operator, asked)| Comparison { path: path.to_owned(), operator, asked });
            assert_eq!(comparison(text), expected, "{text}");
        };
        let (value, pattern) = (|text: &str| Asked::Value(text.to_owned()), |text: &str| Asked::Pattern(text.to_owned()));
        let several = |texts: &[&str]| Asked::OneOf(texts.iter().map(ToString::to_string).collect());
        check(r#"event.alert.labels.job == "fastapi""#, Some(("alert.labels.job", "=", value("fastapi"))));
        check("event.alert.labels.job != 'x y'", Some(("alert.labels.job", "!=", value("x y"))));
        check(r#"not event.alert.labels.job == "dev""#, Some(("alert.labels.job", "!=", value("dev"))));
        check(r#"not (event.alert.labels.job in ["a", 'b'])"#, Some(("alert.labels.job", "!=", several(&["a", "b"]))));
        check(r#"event.alert.labels.job not in ["a"]"#, Some(("alert.labels.job", "!=", several(&["a"]))));
        check(r#"event.alert.labels.job is match("fast")"#, Some(("alert.labels.job", "=", pattern("(?:fast).*"))));
        check(r#"event.a is search("a|b", ignorecase=true)"#, Some(("a", "=", pattern("(?i).*(?:a|b).*"))));
        check(r#"event.a is match("a", multiline=true)"#, None);
        check("event.i == 1", Some(("i", "=", value("1"))));
        check("event.a in [1, 2]", Some(("a", "=", several(&["1", "2"]))));
        check("event.a in [1, b]", None);
        check("event.a == vars.b", None);
        check("fact.a == 1", None);
        check("event.a == vars.b + 1", None);
        assert_eq!(escaped("a.b|c d-e"), r"a\.b\|c d-e");
    }

    #[test]
    fn what_is_no_one_literal_is_none() {
        for text in [r#""pr" + "od""#, r#""prod" or event.b != "web""#, r#"'a' "b" 'c'"#, r#""a"b""#, "\""] {
            assert_eq!(literal(text), None, "{text}");
        }
        assert_eq!(literal(r#" "it's" "#), Some("it's".to_owned()));
        assert_eq!(spaced("a ==\t\"x  \ny\"\n  and b\n"), "a == \"x  \ny\" and b");
    }

    #[test]
    fn words_in_quotes_and_brackets_join_nothing() {
        assert_eq!(split(r#"a == "x and y" and (b and c)"#, " and "), [r#"a == "x and y""#, "(b and c)"]);
        assert_eq!(unbracketed("((a) and (b))"), "(a) and (b)");
        assert_eq!(unbracketed("(a) and (b)"), "(a) and (b)");
    }
}
