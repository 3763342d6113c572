//! Rules of StackStorm: a trigger, criteria on what it carries, and one action.

use firedrill_core::yaml::Node;

use super::deed::{of_command, own, shortened};
use super::page::{NOBODY, Note, Noted, Sketch, Step, label_of, name_of};
use super::rulebook::escaped;
use super::source::{at, entries, text};
use super::{Kind, Refusal};

/// Triggers that tell what monitoring found, and the path at which the name of what was found stands.
const MONITORING: [(&str, &str); 6] = [
    ("sensu.event_handler", "check.name"),
    ("nagios.service_state_change", "service"),
    ("check_mk.event_handler", "service.desc"),
    ("icinga2.event.state_change", "service"),
    ("dripstat.alert", "alert_name"),
    ("prometheus.alert", "labels.alertname"),
];

/// Actions that send a text to people.
const TELLING: [&str; 5] = ["chatops.post_message", "slack.post_message", "core.sendmail", "hubot.post_message", "email.send_email"];

/// Actions that call people.
const CALLING: [&str; 2] = ["opsgenie.create_alert", "pagerduty.launch_incident"];

/// Whether a document is a rule.
pub fn is_rule(node: &Node) -> bool {
    at(node, &["trigger", "type"]).is_some() && at(node, &["action", "ref"]).is_some()
}

/// The policy of a rule.
pub fn rule(node: &Node) -> Result<Sketch, Refusal> {
    let name = text(node, &["name"]).unwrap_or_default();
    let refused = |why: String| Refusal::new(Kind::StackStormRule, &name, &node.place, why);
    let trigger = text(node, &["trigger", "type"]).unwrap_or_default();
    let Some((_, naming)) = MONITORING.iter().find(|(known, _)| *known == trigger) else {
        return Err(refused(format!("its trigger `{trigger}` tells no alert: {}", what_else(&trigger))));
    };
    let mut sketch = Sketch::new(Kind::StackStormRule, &node.place, &name);
    sketch.description = text(node, &["description"]).unwrap_or_default();
    criteria(&mut sketch, node, naming).map_err(refused)?;
    if sketch.on.value.alerts.is_empty() {
        let receiver = trigger.split('.').next().map(name_of).unwrap_or_default();
        sketch.on.notes.push(Note::Assumed(format!("what `{trigger}` tells comes here by a receiver of Alertmanager called `{receiver}`")));
        sketch.on.value.receiver = Some(receiver);
    } else {
        let alert = sketch.on.value.alerts[0].clone();
        sketch
            .on
            .notes
            .push(Note::Assumed(format!("what `{trigger}` calls `{alert}` is an alert of this name here; write a rule that alerts so")));
    }
    let hosts = ["hosts", "hostname"].into_iter().find_map(|key| text(node, &["action", "parameters", key]));
    let step = action(node, hosts.as_deref());
    sketch.target = match (&step.value.target, hosts) {
        (Some(own), _) => Noted::exact(own.clone()),
        (None, Some(_)) => Noted::assumed(("replica", "$pod".to_owned()), "the host is the replica that the alert's label `pod` names"),
        (None, None) => {
            Noted::assumed(("service", "$service".to_owned()), "it is about the service that the alert's label `service` names")
        }
    };
    sketch.steps.push(Noted { value: Step { target: None, ..step.value }, notes: step.notes });
    sketch.heed_switches(node).map_err(refused)?;
    sketch.lose_others(node, &KNOWN);
    at(node, &["trigger"]).into_iter().for_each(|trigger| sketch.lose_others(trigger, &["type", "ref"]));
    if let Some(parameters) = at(node, &["action", "parameters"]) {
        sketch.lose_others(parameters, &["cmd", "hosts", "hostname"]);
    }
    Ok(sketch)
}

/// The keys of a rule that are read, or say nothing of what it does.
const KNOWN: [&str; 12] =
    ["name", "pack", "description", "enabled", "disabled", "dry_run", "trigger", "criteria", "action", "ref", "uid", "tags"];

/// What a trigger is that tells no alert.
fn what_else(trigger: &str) -> &'static str {
    match trigger {
        "core.st2.CronTimer" | "core.st2.IntervalTimer" | "core.st2.DateTimer" => "it comes by the clock",
        "core.st2.webhook" => "what comes to a webhook may be anything",
        "core.st2.generic.notifytrigger" | "core.st2.generic.inquiry" | "core.st2.generic.actiontrigger" => {
            "it comes from StackStorm's own actions"
        }
        _ => "it comes from something else than monitoring",
    }
}

/// Each criterion a matcher on a label, or lost.
fn criteria(sketch: &mut Sketch, node: &Node, naming: &str) -> Result<(), String> {
    for (key, criterion) in at(node, &["criteria"]).map_or(&[][..], entries) {
        let path = key.text.strip_prefix("trigger.").unwrap_or(&key.text);
        let path = path.strip_prefix("body.").filter(|path| path.starts_with("labels.") || *path == "status").unwrap_or(path);
        let (kind, pattern) = (text(criterion, &["type"]).unwrap_or_default(), text(criterion, &["pattern"]).unwrap_or_default());
        let is_equality = matches!(&*kind, "equals" | "eq");
        let is_sound = !pattern.is_empty() && pattern.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c));
        let is_alerts = naming.starts_with("labels.");
        if is_alerts && path == "status" && is_equality {
            match &*pattern {
                "firing" => continue,
                other => return Err(format!("it answers alerts that are {other}, and policies answer alerts that begin")),
            }
        }
        if path == naming && is_equality && is_sound {
            sketch.on.value.alerts = vec![pattern];
            continue;
        }
        match matcher(&kind, &pattern) {
            Some((operator, value)) => {
                // What names an alert is one label, however it is asked for; so is each of an alert's own.
                let own = path.strip_prefix("labels.").filter(|_| is_alerts).map(label_of);
                let label = if path == naming { "alertname".to_owned() } else { own.clone().unwrap_or_else(|| label_of(path)) };
                if own.is_none() {
                    sketch.on.notes.push(Note::Assumed(format!("`{path}` is the label `{label}` of the alert")));
                }
                sketch.on.value.matchers.push((label, operator, value));
            }
            None => sketch.notes.push(Note::Lost(format!("it asks that `{path}` be {kind} {pattern}, which matchers cannot"))),
        }
    }
    Ok(())
}

/// The matcher that asks what a criterion asks.
fn matcher(kind: &str, pattern: &str) -> Option<(&'static str, String)> {
    let literal = escaped(pattern);
    Some(match kind {
        "equals" | "eq" => ("=", pattern.to_owned()),
        "nequals" | "neq" => ("!=", pattern.to_owned()),
        "iequals" | "ieq" => ("=~", format!("(?i){literal}")),
        "contains" => ("=~", format!(".*{literal}.*")),
        "icontains" => ("=~", format!("(?i).*{literal}.*")),
        "ncontains" => ("!~", format!(".*{literal}.*")),
        "startswith" => ("=~", format!("{literal}.*")),
        "endswith" => ("=~", format!(".*{literal}")),
        // A pattern of `re.match` is anchored at its start, one of `re.search` nowhere.
        "matchregex" => ("=~", format!("(?:{pattern}).*")),
        "regex" => ("=~", format!(".*(?:{pattern}).*")),
        "exists" => ("!=", String::new()),
        _ => return None,
    })
}

fn action(node: &Node, hosts: Option<&str>) -> Noted<Step> {
    let name = text(node, &["action", "ref"]).unwrap_or_default();
    let escalate = || Step::plain("escalate", format!("{{ to: {NOBODY} }}"));
    if TELLING.contains(&&*name) {
        return Noted::lost(Step::plain("notify", format!("{{ to: {NOBODY} }}")), format!("`{name}` sends a text of its own"));
    }
    if CALLING.contains(&&*name) {
        return Noted::lost(escalate(), format!("`{name}` calls with a text of its own"));
    }
    let command = text(node, &["action", "parameters", "cmd"])
        .filter(|_| matches!(&*name, "core.local" | "core.local_sudo" | "core.remote" | "core.remote_sudo"));
    // A process of machines that are named is no replica that an alert names.
    let is_elsewhere = |step: &Noted<Step>| {
        let is_of_the_alert = step.value.target.as_ref().is_some_and(|(kind, name)| *kind == "replica" && name.starts_with('$'));
        is_of_the_alert && hosts.is_some_and(|hosts| !hosts.contains("{{"))
    };
    match &command {
        Some(command) if of_command(command).as_ref().is_some_and(is_elsewhere) => {
            let on = format!("`{}` on {}", shortened(command), shortened(hosts.unwrap_or_default()));
            Noted::lost(escalate(), format!("{on}: these machines are no replicas that an alert names; write them as targets of steps"))
        }
        Some(command) => of_command(command).unwrap_or_else(|| Noted::lost(escalate(), own("the command", command))),
        None => Noted::lost(escalate(), own("the action", &name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_matchers_where_matchers_can_ask_the_same() {
        let check = |kind: &str, expected: Option<(&'static str, &str)>| {
            assert_eq!(matcher(kind, "a.b"), expected.map(|(operator, value)| (operator, value.to_owned())), "{kind}");
        };
        check("equals", Some(("=", "a.b")));
        check("contains", Some(("=~", r".*a\.b.*")));
        check("ncontains", Some(("!~", r".*a\.b.*")));
        check("matchregex", Some(("=~", "(?:a.b).*")));
        check("gt", None);
    }
}
