//! Composite alerts as articles on remediation write them: signs joined by AND and OR, and what is then done, told and escalated.

use std::collections::BTreeSet;

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value};

use super::deed::{is_name, of_command, own as own_action, shortened};
use super::page::{NOBODY, Note, Noted, Rule, SWITCHES, Sketch, Step, alert_of, in_double_quotes, label_of, name_of};
use super::source::{at, duration, entries, is_nothing, others, scalar, text, told};
use super::{Kind, Refusal};

/// Whether a document is an alert with conditions and actions.
pub fn is_alert(node: &Node) -> bool {
    at(node, &["alert"]).is_some()
        && (at(node, &["condition"]).is_some() || at(node, &["conditions"]).is_some())
        && at(node, &["actions"]).is_some()
}

/// The policy of an alert, with the rule that it is.
pub fn alert(node: &Node) -> Result<Sketch, Refusal> {
    let name = text(node, &["alert"]).unwrap_or_default();
    let refused = |why: String| Refusal::new(Kind::CompositeAlert, &name, &node.place, why);
    let mut sketch = Sketch::new(Kind::CompositeAlert, &node.place, &name);
    sketch.description = text(node, &["description"]).unwrap_or_else(|| format!("Answers the alert `{name}`."));
    sketch.owner = ["owner", "team"].into_iter().find_map(|key| text(node, &[key])).map(|owner| name_of(&owner));
    let named = alert_of(&name);
    sketch.on.value.alerts = vec![named.clone()];
    let service = service(node).map_err(refused)?;
    lose_unread(&mut sketch, node, &name);
    if let Some(service) = &service {
        sketch.target = Noted::exact(("service", service.clone()));
    }
    let Sight { expr, lasting, notes } = Sight::of(node, service).map_err(refused)?;
    let severity = text(node, &["severity"]).or_else(|| text(node, &["labels", "severity"]));
    let summary = text(node, &["annotations", "summary"]).unwrap_or_else(|| format!("{name} on {{{{ $labels.service }}}}"));
    let set = at(node, &["labels"]).into_iter().flat_map(|labels| others(labels, &["alertname", "severity", "service"]));
    let rule = Rule {
        alert: named,
        expr,
        lasting,
        severity: severity.unwrap_or_else(|| "critical".to_owned()),
        reason: String::new(),
        labels: set.filter_map(|(label, value)| Some((label_of(label), scalar(value)?))).collect(),
        summary,
    };
    sketch.rules.push(Noted { value: rule, notes });
    sketch.heed_switches(node).map_err(refused)?;
    actions(&mut sketch, node).map_err(refused)?;
    sketch.lose_others(node, &KNOWN);
    at(node, &["annotations"]).into_iter().for_each(|annotations| sketch.lose_others(annotations, &["summary"]));
    Ok(sketch)
}

/// The keys of an alert that are read.
const KNOWN: [&str; 15] = [
    "alert",
    "condition",
    "actions",
    "for",
    "severity",
    "labels",
    "annotations",
    "description",
    "owner",
    "team",
    "service",
    "enabled",
    "disabled",
    "dry_run",
    "conditions",
];

/// Keys that are read as one text: what else stands there is lost by name.
fn lose_unread(sketch: &mut Sketch, node: &Node, name: &str) {
    let texts = ["description", "owner", "team", "severity"];
    for key in texts {
        if let Some(value) = at(node, &[key]).filter(|value| !is_nothing(value) && scalar(value).is_none()) {
            sketch.lose(key, value, "it is no one text");
        }
    }
    if let (Some(_), Some(team)) = (text(node, &["owner"]), at(node, &["team"]).filter(|team| scalar(team).is_some())) {
        sketch.lose("team", team, "its `owner` answers for it");
    }
    if let Some(labels) = at(node, &["labels"]) {
        for (label, value) in others(labels, &["service"]) {
            let is_other_name = label == "alertname" && text(labels, &[label]).as_deref() != Some(name);
            if scalar(value).is_none() || is_other_name {
                sketch.lose(label, value, if is_other_name { "its alert has a name already" } else { "a label has one text" });
            }
        }
    }
    match at(node, &["annotations"]) {
        Some(annotations) if !is_nothing(annotations) && entries(annotations).is_empty() => {
            sketch.lose("annotations", annotations, "it is no map");
        }
        Some(annotations) => {
            if let Some(summary) = at(annotations, &["summary"]).filter(|summary| !is_nothing(summary) && scalar(summary).is_none()) {
                sketch.lose("summary", summary, "it is no one text");
            }
        }
        None => {}
    }
}

/// The one service that it is about; `None` if each is meant. What narrows it and cannot be read refuses it.
fn service(node: &Node) -> Result<Option<String>, String> {
    let labels = at(node, &["labels"]).filter(|labels| !is_nothing(labels));
    if let Some(labels) = labels.filter(|labels| !matches!(labels.value, Value::Map(_))) {
        return Err(format!("`labels: {}` is no map of labels", shortened(&told(labels))));
    }
    let of = |node: &Node| match at(node, &["service"]).filter(|said| !is_nothing(said)) {
        None => Ok(None),
        Some(said) => scalar(said).map(Some).ok_or_else(|| format!("`service: {}` is no name of one service", shortened(&told(said)))),
    };
    let named: Vec<String> = [of(node)?, labels.map(of).transpose()?.flatten()]
        .into_iter()
        .flatten()
        // What a template fills in is the label that the alert has anyway.
        .filter(|name| !name.contains("{{") && !name.starts_with('$'))
        .collect();
    match &named[..] {
        [one, other] if one != other => Err(format!("it is about the service `{one}` and about `{other}`")),
        [] => Ok(None),
        [name, ..] => named_service(name).map(Some),
    }
}

/// A text that is a name of a service as it stands.
fn named_service(name: &str) -> Result<String, String> {
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(format!("`service: {}` is no name of one service", shortened(name))),
    }
}

/// What joins two signs.
const AND: &str = " and on (service) ";
const OR: &str = " or ";

/// What an alert looks at: its expression, for how long that must hold, and what is said of it.
struct Sight {
    expr: String,
    lasting: String,
    notes: Vec<Note>,
}

impl Sight {
    fn of(node: &Node, service: Option<String>) -> Result<Self, String> {
        let mut signs = Signs { service, ..Signs::default() };
        if let Some(lasting) = at(node, &["for"]) {
            signs.must_hold(lasting)?;
        }
        let conditions: Vec<&Node> = ["condition", "conditions"].into_iter().filter_map(|key| at(node, &[key])).collect();
        let exprs = conditions.iter().map(|condition| signs.read(condition)).collect::<Result<Vec<_>, _>>()?;
        let expr = joined(exprs, AND);
        let Signs { read, whole, mut notes, .. } = signs;
        let longest = read.iter().filter_map(|(_, span)| *span).max();
        let lasting = whole.max(longest).unwrap_or(Span::ZERO);
        if read.len() > 1 && longest.is_some() && read.iter().any(|(_, span)| *span != Some(lasting)) {
            notes.push(Note::Assumed(format!("all signs hold together for {lasting}, the longest that one of them must")));
        }
        let lasting = if lasting == Span::ZERO { String::new() } else { lasting.to_string() };
        Ok(Self { expr, lasting, notes })
    }
}

/// Several expressions as one, each of which is a whole.
fn joined(exprs: Vec<String>, join: &str) -> String {
    let several = exprs.len() > 1;
    let whole = |expr: String| if several && (expr.contains(OR) || expr.contains(AND)) { format!("({expr})") } else { expr };
    exprs.into_iter().map(whole).collect::<Vec<_>>().join(join)
}

/// The signs of a condition, as they are read.
#[derive(Default)]
struct Signs {
    /// The one service that is meant.
    service: Option<String>,
    /// Each sign, and for how long it must hold.
    read: Vec<(String, Option<Span>)>,
    /// For how long all of them must.
    whole: Option<Span>,
    notes: Vec<Note>,
}

/// A line of signs: what joins it to the line before and to the one after it, if it says so.
struct Line {
    before: Option<&'static str>,
    expr: String,
    after: Option<&'static str>,
}

impl Signs {
    fn must_hold(&mut self, node: &Node) -> Result<(), String> {
        let span = text_of(node);
        let read = duration(&span).ok_or_else(|| format!("`for: {}` is no duration such as `5m`", shortened(&span)))?;
        self.whole = self.whole.max(Some(read));
        Ok(())
    }

    /// A text, a list of which all are meant, or `all`, `any` and `for`.
    fn read(&mut self, node: &Node) -> Result<String, String> {
        match &node.value {
            Value::List(items) => self.list(items),
            Value::Map(_) => {
                let mut exprs = Vec::new();
                for (key, value) in entries(node) {
                    match &*key.text {
                        "for" => self.must_hold(value)?,
                        "all" | "and" => exprs.push(self.read(value)?),
                        "any" | "or" => {
                            let Value::List(items) = &value.value else {
                                return Err(format!("`{}` in its condition has no list", key.text));
                            };
                            let any = items.iter().map(|item| self.read(item)).collect::<Result<Vec<_>, _>>()?;
                            exprs.push(joined(any, OR));
                        }
                        other => return Err(format!("`{}` in its condition is none of all, any and for", shortened(other))),
                    }
                }
                if exprs.is_empty() { Err("its condition is empty".to_owned()) } else { Ok(joined(exprs, AND)) }
            }
            _ => {
                let Line { before, expr, after } = self.line(&text_of(node))?;
                match (before, after) {
                    (None, None) => Ok(expr),
                    _ => Err("its condition begins or ends with what joins two signs".to_owned()),
                }
            }
        }
    }

    /// Items of a list are all meant, unless one says what joins it to its neighbour.
    fn list(&mut self, items: &[Node]) -> Result<String, String> {
        let mut lines = Vec::new();
        for item in items {
            match &item.value {
                Value::Map(map) if map.len() == 1 && &*map[0].0.text == "for" => self.must_hold(&map[0].1)?,
                Value::Map(_) | Value::List(_) => lines.push(Line { before: None, expr: self.read(item)?, after: None }),
                _ => lines.push(self.line(&text_of(item))?),
            }
        }
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Err("its condition is empty".to_owned()) };
        if first.before.is_some() || last.after.is_some() {
            return Err("its condition begins or ends with what joins two signs".to_owned());
        }
        let several = lines.len() > 1;
        let (mut whole, mut join, mut joins) = (String::new(), None, BTreeSet::new());
        for Line { before, expr, after } in lines {
            if !whole.is_empty() {
                let between = join.or(before).unwrap_or(AND);
                joins.insert(between);
                whole.push_str(between);
            }
            whole.push_str(&if several && expr.contains(OR) { format!("({expr})") } else { expr });
            join = after;
        }
        of_one_kind(&joins).map(|()| whole)
    }

    /// Signs with AND and OR between them.
    fn line(&mut self, text: &str) -> Result<Line, String> {
        let mut line = Line { before: None, expr: String::new(), after: None };
        let (mut sign, mut joins) = (String::new(), BTreeSet::new());
        for word in text.split_whitespace().chain(["\u{0}"]) {
            let join = match &*word.to_ascii_uppercase() {
                "AND" | "&&" => Some(AND),
                "OR" | "||" => Some(OR),
                "\u{0}" => None,
                _ => {
                    sign = format!("{sign} {word}").trim_start().to_owned();
                    continue;
                }
            };
            if sign.is_empty() {
                match join {
                    Some(_) if line.expr.is_empty() && line.before.is_none() => line.before = join,
                    Some(_) => return Err(format!("two words that join signs follow each other in `{}`", shortened(text))),
                    None => {}
                }
                continue;
            }
            if let Some(between) = line.after.take() {
                joins.insert(between);
                line.expr.push_str(between);
            }
            line.expr.push_str(&self.sign(&sign)?);
            sign.clear();
            line.after = join;
        }
        of_one_kind(&joins)?;
        if line.expr.is_empty() { Err("its condition has an empty line".to_owned()) } else { Ok(line) }
    }

    /// `error_rate > 5%`, perhaps `for 2m`, as PromQL.
    fn sign(&mut self, sign: &str) -> Result<String, String> {
        if sign.to_ascii_lowercase().starts_with("not ") {
            return Err(format!("`{}` asks that something is not so: write it as a comparison", shortened(sign)));
        }
        if sign.contains(['(', ')']) {
            return Err(format!("`{}` has brackets: write what belongs together as `all` and `any`", shortened(sign)));
        }
        let (expr, span) = one_sign(sign, self.service.as_deref(), &mut self.notes)?;
        self.read.push((sign.to_owned(), span));
        Ok(expr)
    }
}

/// Refuses AND beside OR: which of them binds more each reader takes otherwise.
fn of_one_kind(joins: &BTreeSet<&str>) -> Result<(), String> {
    let mixed = "its condition has AND beside OR, and does not say what belongs together: write that as `all` and `any`";
    if joins.len() > 1 { Err(mixed.to_owned()) } else { Ok(()) }
}

/// A scalar as text; empty of anything else.
fn text_of(node: &Node) -> String {
    scalar(node).unwrap_or_default()
}

/// `error_rate > 5%`, perhaps `for 2m`: as PromQL, and for how long.
fn one_sign(sign: &str, service: Option<&str>, notes: &mut Vec<Note>) -> Result<(String, Option<Span>), String> {
    let (bare, span) = match sign.rsplit_once(" for ") {
        Some((bare, span)) => (bare, Some(duration(span).ok_or_else(|| format!("`{sign}` does not say for how long, such as `for 2m`"))?)),
        None => (sign, None),
    };
    let operator = [">=", "<=", "==", "!=", ">", "<"].into_iter().find(|operator| bare.contains(operator));
    let unclear = || format!("`{}` is no comparison such as `error_rate > 5%`", shortened(sign));
    let operator = operator.ok_or_else(unclear)?;
    let (metric, value) = bare.split_once(operator).ok_or_else(unclear)?;
    let (metric, value) = (metric.trim(), value.trim());
    let is_metric = metric.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && metric.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    let number = number(value).filter(|_| is_metric).ok_or_else(unclear)?;
    let seen = match known(metric, service) {
        Some(known) => {
            notes.push(Note::Assumed(format!("`{metric}` is this, of each service, over a minute")));
            known
        }
        None => {
            notes.push(Note::Assumed(format!("`{metric}` is a series of this name with a label `service`")));
            selected(metric, "", service)
        }
    };
    Ok((format!("{seen} {operator} {number}"), span))
}

/// The series of a metric with these labels, of one service if one is meant.
fn selected(metric: &str, labels: &str, service: Option<&str>) -> String {
    let of_service = service.map(|service| format!("service={}", in_double_quotes(service)));
    let labels: Vec<String> = (!labels.is_empty()).then(|| labels.to_owned()).into_iter().chain(of_service).collect();
    if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(",")) }
}

/// The metrics that articles speak of, as services expose them.
fn known(metric: &str, service: Option<&str>) -> Option<String> {
    let rate = |labels: &str| format!("sum by (service) (rate({}[1m]))", selected("http_requests_total", labels, service));
    let (failed, all) = (rate(r#"code=~"5..""#), rate(""));
    let metric = metric.to_ascii_lowercase();
    let quantile = ["p50", "p90", "p95", "p99"].into_iter().find(|quantile| metric.contains(quantile));
    let is = |words: &[&str]| words.iter().any(|word| metric.contains(word));
    if is(&["error_rate", "error_ratio", "failure_rate"]) {
        Some(format!("{failed} / {all}"))
    } else if is(&["success_rate", "availability"]) {
        Some(format!("1 - {failed} / {all}"))
    } else if is(&["latency", "response_time", "duration"]) {
        let share = quantile.map_or("0.99", |quantile| match quantile {
            "p50" => "0.5",
            "p90" => "0.9",
            "p95" => "0.95",
            _ => "0.99",
        });
        let buckets = selected("http_request_duration_seconds_bucket", "", service);
        Some(format!("histogram_quantile({share}, sum by (service, le) (rate({buckets}[1m])))"))
    } else if is(&["request_rate", "rps", "qps", "throughput"]) {
        Some(all)
    } else {
        None
    }
}

/// A number with the unit that people write, in ones and seconds.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("/s").trim_end_matches("rps").trim();
    let (digits, scale) = [("%", 0.01), ("ms", 1e-3), ("s", 1.0)]
        .into_iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?.trim(), scale)))
        .unwrap_or((text, 1.0));
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let number = digits.parse::<f64>().ok().filter(|number| is_number && number.is_finite())?;
    // A share of 5% is 0.05, not its neighbour.
    Some(libm::round(number * scale * 1e9) / 1e9)
}

/// Keys of an action that do something to the system.
const REMEDIATING: [&str; 3] = ["auto_remediate", "remediate", "remediation"];

/// Keys of an action that say when people are called.
const ESCALATING: [&str; 3] = ["escalate_if", "escalate", "escalate_after"];

fn actions(sketch: &mut Sketch, node: &Node) -> Result<(), String> {
    let actions = at(node, &["actions"]).ok_or("it has no actions")?;
    let groups: Vec<&Node> = match &actions.value {
        Value::List(items) => items.iter().collect(),
        Value::Map(_) => vec![actions],
        _ => return Err("its `actions` are neither a list nor a map".to_owned()),
    };
    if groups.iter().all(|group| entries(group).is_empty()) {
        return Err("it has no actions".to_owned());
    }
    let (mut escalation, mut telling) = (None, Vec::new());
    for group in groups {
        let is_known = |word: &str| word == "notify" || REMEDIATING.contains(&word) || ESCALATING.contains(&word);
        // What stands beside a remediation says how it is done.
        let beside: Vec<(&str, &Node)> =
            entries(group).iter().map(|(key, value)| (&*key.text, value)).filter(|(word, _)| !is_known(word)).collect();
        let mut is_asked_of = false;
        if entries(group).is_empty() {
            sketch.notes.push(Note::Lost(format!("`{}` is no action that is known here", shortened(&told(group)))));
        }
        for (word, value) in entries(group).iter().map(|(key, value)| (&*key.text, value)) {
            match word {
                _ if REMEDIATING.contains(&word) => {
                    is_asked_of = true;
                    remediate(sketch, value, &beside)?;
                }
                "notify" => match &value.value {
                    Value::List(several) => telling.extend(several.iter().map(|one| whom(sketch, one))),
                    _ => telling.push(whom(sketch, value)),
                },
                _ if ESCALATING.contains(&word) => match escalation {
                    None => escalation = Some(value),
                    Some(_) => sketch.lose(word, value, "people are called once, as the first says"),
                },
                _ => {}
            }
        }
        for (word, value) in beside.into_iter().filter(|_| !is_asked_of) {
            // What stands beside no remediation is said of all of them.
            let is_heeded = match word {
                _ if SWITCHES.contains(&word) => sketch.heed(word, value).map(|()| true)?,
                "requires_approval" => approval(sketch, value)?,
                _ => false,
            };
            if !is_heeded {
                sketch.lose(word, value, "no action that is known here");
            }
        }
    }
    people(sketch, escalation, telling);
    Ok(())
}

/// Who is told, who is called, and when.
fn people(sketch: &mut Sketch, escalation: Option<&Node>, telling: Vec<String>) {
    let to = escalation.and_then(|value| text(value, &["to"])).map(|to| name_of(&to));
    if let Some(value) = escalation {
        let written = told(value);
        // The time is the last one in the text: `unresolved > 10m`, `not_resolved_in: 10m`.
        let time = written
            .split(|c: char| c.is_whitespace() || ":><=,".contains(c))
            .rev()
            .find_map(|word| duration(word).filter(|span| *span > Span::ZERO && !word.bytes().all(|byte| byte.is_ascii_digit())));
        match time {
            Some(span) => {
                sketch.escalate_after = Some(Noted::assumed(
                    span.to_string(),
                    format!("`{}` means that the alert is still on after so long", shortened(&written)),
                ))
            }
            None => sketch.notes.push(Note::Lost(format!("escalate_if {}: it says no time", shortened(&written)))),
        }
    }
    // Attempts in vain are counted by what is verified.
    if escalation.is_some() || sketch.guards.iter().any(|guard| guard.value.0 == "ineffective_chain") {
        verified(sketch);
    }
    // People are told while it is remediated, and not after it.
    let tell = |whom: String| Noted::exact(Step::plain("notify", format!("{{ to: {whom} }}")));
    let escalate = Step::plain("escalate", format!("{{ to: {} }}", to.as_deref().or(sketch.owner.as_deref()).unwrap_or(NOBODY)));
    if sketch.steps.is_empty() || to.is_some() {
        if let Some(last) = sketch.steps.last_mut() {
            last.value.goes_on = true;
        }
        sketch.steps.push(Noted::exact(escalate));
    }
    sketch.steps.splice(0..0, telling.into_iter().map(tell));
}

/// Whom a `notify` tells: a text, or a map that says it beside other things.
fn whom(sketch: &mut Sketch, value: &Node) -> String {
    const WHOM: [&str; 5] = ["to", "channel", "target", "receiver", "team"];
    let Value::Map(_) = &value.value else { return name_of(&told(value)) };
    let key = WHOM.into_iter().find(|key| text(value, &[key]).is_some());
    sketch.lose_others(value, &key.map_or(Vec::new(), |key| vec![key]));
    key.and_then(|key| text(value, &[key])).map_or_else(|| NOBODY.to_owned(), |whom| name_of(&whom))
}

/// People are called if the alert goes on, so the last action has helped if it is over.
fn verified(sketch: &mut Sketch) {
    const USUAL: &str = "5m";
    let within = sketch.escalate_after.as_ref().map_or(USUAL, |after| &after.value).to_owned();
    let alert = sketch.on.value.alerts.first().cloned().unwrap_or_default();
    let Some(last) = sketch.steps.last_mut() else { return };
    let over = format!("absent(ALERTS{{alertname={},alertstate=\"firing\",service=$service}})", in_double_quotes(&alert));
    last.value.verify = Some((over, "0s".to_owned(), within));
    last.notes.push(Note::Assumed("it has helped if the alert is over by then".to_owned()));
}

/// One remediation, several in a list, or one with its limits, which may also stand beside it.
fn remediate(sketch: &mut Sketch, value: &Node, beside: &[(&str, &Node)]) -> Result<(), String> {
    if let Value::List(several) = &value.value {
        return several.iter().try_for_each(|one| remediate(sketch, one, beside));
    }
    let own = entries(value).iter().map(|(key, value)| (&*key.text, value));
    let options: Vec<(&str, &Node)> = own.chain(beside.iter().copied()).collect();
    let said = |key: &str| options.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    let naming = ["action", "name", "type", "command"].into_iter().find(|key| said(key).is_some());
    let action = scalar(value).or_else(|| naming.and_then(said).and_then(scalar)).unwrap_or_default();
    let found = step(&action);
    match &found {
        Some(_) => {}
        None if action.is_empty() => sketch.notes.push(Note::Lost("auto_remediate does not say what is done".to_owned())),
        None => sketch.notes.push(Note::Lost(own_action("auto_remediate", &action))),
    }
    let mut found = found;
    for (key, value) in options.iter().copied() {
        let is_read = Some(key) == naming && scalar(value).is_some() || option(sketch, (key, value), found.as_mut())?;
        if !is_read {
            sketch.lose(key, value, &format!("nothing here says it of `{}`", shortened(&action)));
        }
    }
    sketch.steps.extend(found);
    Ok(())
}

/// What one key says of a remediation; whether it is read.
fn option(sketch: &mut Sketch, (key, value): (&str, &Node), step: Option<&mut Noted<Step>>) -> Result<bool, String> {
    let count = text_of(value).parse::<u32>().ok().filter(|count| (1..=1_000).contains(count));
    let span = duration(&text_of(value)).filter(|span| *span > Span::ZERO);
    match (key, count, span) {
        ("enabled" | "disabled" | "dry_run", ..) => sketch.heed(key, value)?,
        ("service", ..) => {
            let service = named_service(&told(value))?;
            let target = ("service", service);
            if let Some(step) = step.filter(|_| sketch.target.value != target) {
                step.value.target = Some(target);
            }
        }
        ("cooldown", _, Some(span)) => sketch.add_guard(Noted::exact(("cooldown", span.to_string()))),
        ("max_per_hour", Some(most), _) => {
            sketch.add_guard(Noted::exact(("rate_limit", format!("[{{ max: {most}, window: 1h, scope: target }}]"))));
        }
        ("max_attempts" | "max_retries", Some(most), _) => {
            let value = format!("{{ actions: {most}, within: 1h }}");
            sketch.add_guard(Noted::assumed(("ineffective_chain", value), "attempts are counted over an hour"));
        }
        ("requires_approval", ..) => return approval(sketch, value),
        ("by" | "replicas" | "to", Some(count), _) => return Ok(step.is_some_and(|step| sized(&mut step.value, key, count))),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `requires_approval`: people say yes before each action, as the guard `approval` has it.
fn approval(sketch: &mut Sketch, value: &Node) -> Result<bool, String> {
    let asked = match &value.value {
        Value::Bool(false) => return Ok(true),
        Value::Bool(true) => Noted::assumed(Vec::new(), "the source does not say who may say yes"),
        _ => {
            let names: Vec<String> = told(value).split(", ").map(name_of).collect();
            if names.iter().any(|name| matches!(&**name, "yes" | "no" | "true" | "false" | "drafted")) {
                return Err(format!("`requires_approval: {}` says neither true nor who", shortened(&told(value))));
            }
            Noted::exact(names)
        }
    };
    // Nobody approves their own.
    let usual = if sketch.owner.as_deref() == Some("oncall") { "approvers" } else { "oncall" };
    let from = if asked.value.is_empty() { usual.to_owned() } else { asked.value.join(", ") };
    sketch.add_guard(Noted { value: ("approval", format!("{{ from: [{from}], of: all }}")), notes: asked.notes });
    Ok(true)
}

/// Says how many replicas a scaling gives, takes, or comes to.
fn sized(step: &mut Step, key: &str, count: u32) -> bool {
    let (word, value) = &mut step.deed;
    match (*word, key) {
        ("scale", "by") => *value = format!("{{ by: {}{count} }}", if value.contains('-') { "-" } else { "" }),
        ("scale", _) => *value = format!("{{ to: {count} }}"),
        _ => return false,
    }
    true
}

/// The step of an action's name.
fn step(action: &str) -> Option<Noted<Step>> {
    if action.contains(' ') {
        return of_command(action);
    }
    let words: Vec<String> = action.split(['_', '-', '.']).map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let by = |step: Step| Some(Noted::assumed(step, format!("this is what `{action}` does")));
    match words[..] {
        ["restart", ..] => by(Step::plain("restart", "{ mode: rolling }")),
        ["rollback", ..] | ["roll", "back", ..] => by(Step::plain("rollback", "{}")),
        ["scale", "up" | "out", ..] => by(Step::plain("scale", "{ by: 1 }")),
        ["scale", "down" | "in", ..] => by(Step::plain("scale", "{ by: -1 }")),
        ["failover", ..] | ["fail", "over", ..] => by(Step::plain("fail_over", "{}")),
        ["drain" | "purge", "queue", ..] => by(Step::plain("purge_queue", "{}")),
        ["disable" | "revert", "feature", "flag", ..] | ["disable" | "revert", "flag", ..] => by(Step::plain("revert_flag", "{}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_units() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(number(text), expected, "{text}");
        check("5%", Some(0.05));
        check("500ms", Some(0.5));
        check("2s", Some(2.0));
        check("1000", Some(1000.0));
        check("100/s", Some(100.0));
        check("100 rps", Some(100.0));
        check("NaN", None);
        check("inf", None);
        check("many", None);
    }
}
