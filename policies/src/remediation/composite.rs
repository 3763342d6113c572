//! Composite alerts as articles on remediation write them: signs joined by AND and OR, and what is then done, told and escalated.

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value};

use super::deed::{of_command, own, shortened};
use super::page::{NOBODY, Note, Noted, Rule, Sketch, Step, alert_of, in_double_quotes, name_of};
use super::source::{at, duration, entries, items, scalar, text};
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
    let (expr, lasting, notes) = signs(node).map_err(refused)?;
    let severity = text(node, &["severity"]).or_else(|| text(node, &["labels", "severity"]));
    let summary = text(node, &["annotations", "summary"]).unwrap_or_else(|| format!("{name} on {{{{ $labels.service }}}}"));
    let rule =
        Rule { alert: named, expr, lasting, severity: severity.unwrap_or_else(|| "critical".to_owned()), reason: String::new(), summary };
    sketch.rules.push(Noted { value: rule, notes });
    actions(&mut sketch, node).map_err(refused)?;
    Ok(sketch)
}

/// The expression of all signs, for how long it must hold, and what is said of it.
fn signs(node: &Node) -> Result<(String, String, Vec<Note>), String> {
    let condition = at(node, &["condition"]).or_else(|| at(node, &["conditions"])).ok_or("it has no condition")?;
    let parts: Vec<String> = match &condition.value {
        Value::List(items) => items.iter().filter_map(scalar).collect(),
        _ => scalar(condition).into_iter().collect(),
    };
    let (mut expr, mut notes, mut lasting) = (String::new(), Vec::new(), text(node, &["for"]).as_deref().and_then(duration));
    let mut joined = true;
    for part in &parts {
        // Items of a list are all meant, unless one ends with what joins it.
        if !joined {
            expr.push_str(" and on (service) ");
        }
        joined = false;
        let mut sign = String::new();
        for word in part.split_whitespace().chain(["\u{0}"]) {
            let join = match &*word.to_ascii_uppercase() {
                "AND" | "&&" => " and on (service) ",
                "OR" | "||" => " or ",
                "\u{0}" => "",
                _ => {
                    sign = format!("{sign} {word}").trim_start().to_owned();
                    continue;
                }
            };
            if !sign.is_empty() {
                let (found, span) = one_sign(&sign, &mut notes)?;
                lasting = lasting.max(span);
                expr.push_str(&found);
                sign.clear();
            }
            // Only the end of an item joins nothing.
            if !join.is_empty() || !expr.ends_with(' ') {
                joined = !join.is_empty();
            }
            expr.push_str(join);
        }
    }
    if joined {
        return Err("its condition ends with what joins two signs".to_owned());
    }
    Ok((expr, lasting.filter(|span| *span > Span::ZERO).map(|span| span.to_string()).unwrap_or_default(), notes))
}

/// `error_rate > 5%`, perhaps `for 2m`: as PromQL, and for how long.
fn one_sign(sign: &str, notes: &mut Vec<Note>) -> Result<(String, Option<Span>), String> {
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
    let seen = match known(metric) {
        Some(known) => {
            notes.push(Note::Assumed(format!("`{metric}` is this, of each service, over a minute")));
            known
        }
        None => {
            notes.push(Note::Assumed(format!("`{metric}` is a series of this name with a label `service`")));
            metric.to_owned()
        }
    };
    Ok((format!("{seen} {operator} {number}"), span))
}

/// The metrics that articles speak of, as services expose them.
fn known(metric: &str) -> Option<String> {
    let failed = r#"sum by (service) (rate(http_requests_total{code=~"5.."}[1m]))"#;
    let all = "sum by (service) (rate(http_requests_total[1m]))";
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
        Some(format!("histogram_quantile({share}, sum by (service, le) (rate(http_request_duration_seconds_bucket[1m])))"))
    } else if is(&["request_rate", "rps", "qps", "throughput"]) {
        Some(all.to_owned())
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

fn actions(sketch: &mut Sketch, node: &Node) -> Result<(), String> {
    let (mut escalation, mut telling) = (None, Vec::new());
    for (word, value) in items(node, &["actions"]).iter().flat_map(entries).map(|(key, value)| (&*key.text, value)) {
        match word {
            "auto_remediate" | "remediate" | "remediation" => remediate(sketch, value),
            "notify" => match &value.value {
                Value::List(several) => telling.extend(several.iter().map(told)),
                _ => telling.push(told(value)),
            },
            "escalate_if" | "escalate" | "escalate_after" => escalation = Some(value),
            other => sketch.notes.push(Note::Lost(format!("`{other}: {}` is no action that is known here", shortened(&told(value))))),
        }
    }
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
    if escalation.is_some() {
        verified(sketch);
    }
    // People are told while it is remediated, and not after it.
    let tell = |whom: String| Noted::exact(Step::plain("notify", format!("{{ to: {} }}", name_of(&whom))));
    let escalate = Step::plain("escalate", format!("{{ to: {} }}", to.as_deref().or(sketch.owner.as_deref()).unwrap_or(NOBODY)));
    if sketch.steps.is_empty() || to.is_some() {
        if let Some(last) = sketch.steps.last_mut() {
            last.value.goes_on = true;
        }
        sketch.steps.push(Noted::exact(escalate));
    }
    sketch.steps.splice(0..0, telling.into_iter().map(tell));
    if items(node, &["actions"]).is_empty() { Err("it has no actions".to_owned()) } else { Ok(()) }
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

/// What stands below a key, on one line.
fn told(node: &Node) -> String {
    match &node.value {
        Value::List(items) => items.iter().map(told).collect::<Vec<_>>().join(", "),
        Value::Map(entries) => entries.iter().map(|(key, value)| format!("{}: {}", key.text, told(value))).collect::<Vec<_>>().join(", "),
        _ => scalar(node).unwrap_or_default(),
    }
}

/// One remediation, several in a list, or one with its limits.
fn remediate(sketch: &mut Sketch, value: &Node) {
    if let Value::List(several) = &value.value {
        return several.iter().for_each(|one| remediate(sketch, one));
    }
    let action =
        scalar(value).or_else(|| ["action", "name", "type", "command"].into_iter().find_map(|key| text(value, &[key]))).unwrap_or_default();
    match step(&action) {
        Some(step) => sketch.steps.push(step),
        None => sketch.notes.push(Note::Lost(own("auto_remediate", &action))),
    }
    let span = |key: &str| text(value, &[key]).as_deref().and_then(duration).filter(|span| *span > Span::ZERO);
    if let Some(cooldown) = span("cooldown") {
        sketch.guards.push(Noted::exact(("cooldown", cooldown.to_string())));
    }
    let most = |key: &str| text(value, &[key]).and_then(|count| count.parse::<u32>().ok()).filter(|count| (1..=1_000).contains(count));
    if let Some(most) = most("max_per_hour") {
        sketch.guards.push(Noted::exact(("rate_limit", format!("[{{ max: {most}, window: 1h, scope: target }}]"))));
    }
    if let Some(most) = most("max_attempts").or_else(|| most("max_retries")) {
        let value = format!("{{ actions: {most}, within: 1h }}");
        sketch.guards.push(Noted::assumed(("ineffective_chain", value), "attempts are counted over an hour"));
    }
    if matches!(at(value, &["requires_approval"]).map(|node| &node.value), Some(Value::Bool(true))) {
        sketch.stage = Some(Noted::exact("approval"));
    }
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
