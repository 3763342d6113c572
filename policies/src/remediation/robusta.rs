//! Playbooks of Robusta: triggers, of which one is enough, and actions in a row; most of them gather what people want to see.

use std::collections::BTreeSet;

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value};

use super::deed::{of_command, own, pod_deleted, shortened};
use super::page::{NOBODY, Note, Noted, Rule, Sketch, Step, alert_of, in_double_quotes, label_of};
use super::rulebook::escaped;
use super::source::{at, duration, entries, is_nothing, items, one_text, others, scalar, switch, text, texts, told};
use super::{Kind, Refusal};

/// The lists of playbooks in the values of Robusta's chart.
const LISTS: [&str; 2] = ["builtinPlaybooks", "customPlaybooks"];

/// Whether a document holds playbooks.
pub fn is_playbooks(node: &Node) -> bool {
    LISTS.iter().any(|list| at(node, &[list]).is_some()) || is_playbook(node) || list(node).first().is_some_and(is_playbook)
}

fn is_playbook(node: &Node) -> bool {
    at(node, &["triggers"]).is_some() && at(node, &["actions"]).is_some()
}

fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// A policy for each playbook.
pub fn playbooks(node: &Node) -> Vec<Result<Sketch, Refusal>> {
    if is_playbook(node) {
        return vec![playbook(node)];
    }
    let of_values = LISTS.iter().flat_map(|key| items(node, &[key]));
    list(node).iter().chain(of_values).map(playbook).collect()
}

/// What one trigger says.
struct Trigger {
    alert: String,
    matchers: Vec<(String, &'static str, String)>,
    rule: Option<(Rule, Vec<Note>)>,
    limit: Option<Span>,
    notes: Vec<Note>,
}

fn playbook(node: &Node) -> Result<Sketch, Refusal> {
    let triggers = items(node, &["triggers"]);
    let first_alert = triggers.iter().find_map(|trigger| entries(trigger).first().and_then(|(_, value)| text(value, &["alert_name"])));
    let name = text(node, &["name"]).or(first_alert).unwrap_or_else(|| "playbook".to_owned());
    let refused = |why: String| Refusal::new(Kind::RobustaPlaybook, &name, &node.place, why);
    let mut sketch = Sketch::new(Kind::RobustaPlaybook, &node.place, &name);
    sketch.description = format!("The playbook `{name}`.");
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for said in triggers {
        if entries(said).is_empty() {
            unread.push(format!("`{}` is no trigger that says what it asks for", shortened(&told(said))));
        }
        for (word, value) in entries(said).iter().map(|(key, value)| (&*key.text, value)) {
            match trigger(word, value, &name) {
                Ok(trigger) => read.push(trigger),
                Err(why) => unread.push(why),
            }
        }
    }
    if read.is_empty() {
        return Err(refused(unread.into_iter().next().unwrap_or_else(|| "it has no trigger".to_owned())));
    }
    sketch.notes.extend(unread.into_iter().map(Note::Lost));
    if read.windows(2).any(|pair| pair[0].matchers != pair[1].matchers) {
        return Err(refused("its triggers ask for different labels, so that it is several policies; split it".to_owned()));
    }
    sketch.on.value.matchers.clone_from(&read[0].matchers);
    let limits: Vec<Span> = read.iter().filter_map(|trigger| trigger.limit).filter(|limit| *limit > Span::ZERO).collect();
    let is_of_all = limits.len() == read.len() && limits.windows(2).all(|pair| pair[0] == pair[1]);
    let limit = limits.into_iter().max();
    for trigger in read {
        sketch.on.value.alerts.push(trigger.alert);
        sketch.on.notes.extend(trigger.notes);
        sketch.rules.extend(trigger.rule.map(|(value, notes)| Noted { value, notes }));
    }
    sketch.on.value.alerts.sort();
    sketch.on.value.alerts.dedup();
    if let Some(limit) = limit {
        let value = ("rate_limit", format!("[{{ max: 1, window: {limit}, scope: target, overflow: refuse }}]"));
        let assumed = "the longest `rate_limit` of a trigger, or its default, counts for what all triggers start";
        sketch.guards.push(if is_of_all { Noted::exact(value) } else { Noted::assumed(value, assumed) });
    }
    sketch.heed_switches(node).map_err(refused)?;
    sketch.lose_others(node, &["name", "triggers", "actions", "stop", "enabled", "disabled", "dry_run"]);
    actions(&mut sketch, node).map_err(refused)?;
    Ok(sketch)
}

fn trigger(word: &str, value: &Node, name: &str) -> Result<Trigger, String> {
    if !matches!(value.value, Value::Map(_) | Value::Null) {
        return Err(format!("`{word}: {}` is no map of what it asks for", shortened(&told(value))));
    }
    if word == "on_prometheus_alert" {
        return prometheus(value);
    }
    let Some((expr, summary, usual)) = of_kubernetes(word, value)? else {
        return Err(format!("`{word}` comes from the API server, and no metric tells of it"));
    };
    let limit = rate_limit(value)?.unwrap_or(Span::from_seconds(usual));
    let alert = alert_of(name) + "Seen";
    let notes = vec![Note::Assumed(format!("`{word}` is told by the API server; here kube-state-metrics shows it"))];
    let named = if word == "on_job_failure" { "job_name" } else { "pod" };
    let mut asked = Asked::default();
    asked.prefixes(value, &[("name_prefix", named), ("namespace_prefix", "namespace")])?;
    asked.scope(value)?;
    asked.lose_others(value, &["rate_limit", "restart_count", "restart_reason", "name_prefix", "namespace_prefix", "scope"], word);
    let rule = Rule {
        alert: alert.clone(),
        expr,
        lasting: String::new(),
        severity: "warning".to_owned(),
        reason: String::new(),
        labels: Vec::new(),
        summary: summary.to_owned(),
    };
    Ok(Trigger { alert, matchers: asked.matchers, rule: Some((rule, notes)), limit: Some(limit), notes: asked.notes })
}

/// Within which time a trigger comes once; `None` if it does not say.
fn rate_limit(value: &Node) -> Result<Option<Span>, String> {
    let Some(given) = at(value, &["rate_limit"]) else { return Ok(None) };
    let read = scalar(given).as_deref().and_then(duration);
    read.map(Some).ok_or_else(|| format!("`rate_limit: {}` is no number of seconds", shortened(&told(given))))
}

/// What a trigger asks for beside its kind.
#[derive(Default)]
struct Asked {
    matchers: Vec<(String, &'static str, String)>,
    notes: Vec<Note>,
}

impl Asked {
    fn prefixes(&mut self, value: &Node, labels: &[(&str, &str)]) -> Result<(), String> {
        for (key, label) in labels {
            if let Some(prefix) = one_text(value, key)? {
                self.matchers.push(((*label).to_owned(), "=~", format!("{}.*", escaped(&prefix))));
            }
        }
        Ok(())
    }

    /// What its scope includes, as matchers; what it excludes is lost by name. What narrows it and cannot be read refuses it.
    fn scope(&mut self, value: &Node) -> Result<(), String> {
        let Some(scope) = at(value, &["scope"]).filter(|scope| !is_nothing(scope)) else { return Ok(()) };
        if entries(scope).is_empty() {
            return Err(format!("its `scope: {}` is no map of `include` and `exclude`", shortened(&told(scope))));
        }
        let includes: Vec<&Node> = match at(scope, &["include"]).map(|include| (include, &include.value)) {
            None | Some((_, Value::Null)) => Vec::new(),
            Some((_, Value::List(several))) => several.iter().collect(),
            Some((one, _)) => vec![one],
        };
        if includes.len() > 1 {
            return Err("its scope has alternatives, so that it is several policies; split it".to_owned());
        }
        for include in includes {
            self.include(include)?;
        }
        self.lose_others(scope, &["include"], "scope");
        Ok(())
    }

    /// All of what one entry of a scope asks for.
    fn include(&mut self, include: &Node) -> Result<(), String> {
        if entries(include).is_empty() {
            return Err(format!("`{}` of its scope is no map of what must be so", shortened(&told(include))));
        }
        let read = |key: &str| match at(include, &[key]) {
            None => Ok(Vec::new()),
            Some(said) => {
                texts(said).ok_or_else(|| format!("`{key}: {}` of its scope is neither a text nor a list of texts", shortened(&told(said))))
            }
        };
        let labels = read("labels")?;
        if labels.len() > 1 {
            let all = shortened(&labels.join(", "));
            return Err(format!(
                "its scope has several texts of labels ({all}), and it is not clear whether one is enough; write one, with commas"
            ));
        }
        for wanted in labels.iter().flat_map(|text| text.split(',')) {
            let (label, pattern) =
                wanted.split_once('=').ok_or_else(|| format!("`{}` of its scope says no label and value", shortened(wanted)))?;
            let (label, pattern) = (label.trim(), pattern.trim().to_owned());
            match label.strip_suffix('!') {
                None => self.matchers.push((label_of(label), "=~", pattern)),
                // What has no such label does not match either.
                Some(label) => {
                    let label = label_of(label.trim_end());
                    self.matchers.push((label.clone(), "=~", ".+".to_owned()));
                    self.matchers.push((label, "!~", pattern));
                }
            }
        }
        // Patterns of one of which a whole name is.
        for (key, label) in [("namespace", "namespace"), ("name", "pod")] {
            let patterns: Vec<String> = read(key)?.into_iter().map(|one| format!("(?:{one})")).collect();
            if !patterns.is_empty() {
                self.matchers.push((label.to_owned(), "=~", patterns.join("|")));
            }
        }
        self.lose_others(include, &["labels", "namespace", "name"], "scope: include");
        Ok(())
    }

    fn lose_others(&mut self, node: &Node, known: &[&str], of: &str) {
        let lost = others(node, known)
            .map(|(key, value)| format!("`{key}: {}` of `{of}`: it answers more than its source does", shortened(&told(value))));
        self.notes.extend(lost.map(Note::Lost));
    }
}

/// What shows the same as a trigger of the API server: an expression, a sentence, and the seconds within which it comes once by default; `None` if
/// no metric does.
fn of_kubernetes(word: &str, value: &Node) -> Result<Option<(String, &'static str, u64)>, String> {
    let waiting = |reason: &str| format!("kube_pod_container_status_waiting_reason{{reason={}}} == 1", in_double_quotes(reason));
    let restarts = match one_text(value, "restart_count")? {
        None => 2,
        Some(count) => count.parse::<u32>().map_err(|_| format!("`restart_count: {}` is no number", shortened(&count)))?,
    };
    Ok(Some(match word {
        "on_pod_crash_loop" => {
            let reason = one_text(value, "restart_reason")?.unwrap_or_else(|| "CrashLoopBackOff".to_owned());
            let often = format!("{} and on (pod, container) kube_pod_container_status_restarts_total >= {restarts}", waiting(&reason));
            (often, "{{ $labels.pod }} crashes again and again", 3_600)
        }
        "on_image_pull_backoff" => (waiting("ImagePullBackOff"), "the image of {{ $labels.pod }} cannot be pulled", 3_600),
        "on_pod_oom_killed" | "on_container_oom_killed" => {
            let expr = "kube_pod_container_status_last_terminated_reason{reason=\"OOMKilled\"} == 1";
            (expr.to_owned(), "{{ $labels.pod }} was killed for want of memory", 3_600)
        }
        "on_pod_evicted" => ("kube_pod_status_reason{reason=\"Evicted\"} == 1".to_owned(), "{{ $labels.pod }} was evicted", 3_600),
        "on_job_failure" => ("kube_job_status_failed > 0".to_owned(), "{{ $labels.job_name }} failed", 0),
        _ => return Ok(None),
    }))
}

fn prometheus(value: &Node) -> Result<Trigger, String> {
    let alert = one_text(value, "alert_name")?.ok_or("a trigger names no alert, so it comes with every one of them")?;
    if alert.is_empty() || !alert.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c)) {
        return Err(format!("`{alert}` is no alert's name here: letters, digits and _ . : / -"));
    }
    let mut trigger = Trigger { alert, matchers: Vec::new(), rule: None, limit: None, notes: Vec::new() };
    match one_text(value, "status")?.as_deref() {
        None | Some("firing") => {}
        Some("resolved") => return Err("it answers an alert that is over, and policies answer alerts that begin".to_owned()),
        Some(other) => trigger.notes.push(Note::Lost(format!("status {other}: policies answer alerts that begin"))),
    }
    let mut asked = Asked::default();
    asked.prefixes(value, &[("pod_name_prefix", "pod"), ("namespace_prefix", "namespace"), ("instance_name_prefix", "instance")])?;
    asked.scope(value)?;
    asked.lose_others(
        value,
        &["alert_name", "status", "pod_name_prefix", "namespace_prefix", "instance_name_prefix", "scope", "rate_limit"],
        "on_prometheus_alert",
    );
    trigger.matchers = asked.matchers;
    trigger.notes.extend(asked.notes);
    trigger.limit = rate_limit(value)?;
    Ok(trigger)
}

/// The evidence that an action gathers; `None` if it does something else.
fn evidence(action: &str) -> Option<&'static str> {
    let gathers = ["enricher", "reporter", "report_", "investigator", "analyzer", "analysis", "related_pods", "enrich_", "explanation"];
    if action.contains("bash") || !gathers.iter().any(|word| action.contains(word)) {
        return None;
    }
    let kinds = [("log", "logs"), ("crash_loop", "logs"), ("event", "changes"), ("alert", "alerts")];
    Some(kinds.into_iter().find(|(word, _)| action.contains(word)).map_or("metrics", |(_, kind)| kind))
}

/// What people are sent at one place of a playbook: kinds of evidence, and the actions that gather them.
#[derive(Default)]
struct Gathered {
    with: Vec<&'static str>,
    by: Vec<String>,
}

impl Gathered {
    /// The step that sends it; nothing is gathered any more then.
    fn step(&mut self) -> Option<Noted<Step>> {
        let Self { mut with, by } = std::mem::take(self);
        with.sort_unstable();
        with.dedup();
        let lost = format!("{} go to a sink such as a chat: write whom that tells", by.join(", "));
        let notify = Step::plain("notify", format!("{{ to: {NOBODY}, with: [{}] }}", with.join(", ")));
        (!by.is_empty()).then(|| Noted::lost(notify, lost))
    }
}

fn actions(sketch: &mut Sketch, node: &Node) -> Result<(), String> {
    let (mut gathered, mut lost) = (Gathered::default(), Vec::<String>::new());
    let ordered = items(node, &["actions"]);
    lost.extend(ordered.iter().filter(|item| entries(item).is_empty()).map(|item| own("the action", &told(item))));
    for (action, value) in ordered.iter().flat_map(entries).map(|(key, value)| (&*key.text, value)) {
        if let Some(kind) = evidence(action) {
            gathered.with.push(kind);
            gathered.by.push(action.to_owned());
            continue;
        }
        match deed(action, value) {
            Some(mut step) => {
                let read = [("restart_named_rollout", "name"), ("kubectl_command", "command")];
                let read: Vec<&str> = read.into_iter().filter(|(of, _)| *of == action).map(|(_, key)| key).collect();
                let beside = others(value, &read);
                let told =
                    beside.map(|(key, value)| format!("`{key}: {}` of `{action}`: a policy does not say it", shortened(&told(value))));
                step.notes.extend(told.map(Note::Lost));
                // What a deed does away with is gathered before it.
                sketch.steps.extend(gathered.step());
                sketch.steps.push(step);
            }
            None => {
                let command = text(value, &["bash_command"]).or_else(|| text(value, &["command"]));
                let command = command.unwrap_or_else(|| items(value, &["command"]).iter().filter_map(scalar).collect::<Vec<_>>().join(" "));
                let comma = if command.is_empty() { "" } else { "," };
                lost.push(own(&format!("the action `{action}`{comma}"), &command));
            }
        }
    }
    sketch.steps.extend(gathered.step());
    if sketch.steps.is_empty() {
        if lost.is_empty() {
            return Err("it has no action".to_owned());
        }
        // Where all that is left is what nobody knows here, somebody has to do it.
        let notes = lost.drain(..).map(Note::Lost).collect();
        sketch.steps.push(Noted { value: Step::plain("escalate", format!("{{ to: {NOBODY} }}")), notes });
    }
    sketch.notes.extend(lost.into_iter().map(Note::Lost));
    if let Some(stop) = at(node, &["stop"])
        && switch("stop", stop)? == Some(true)
    {
        sketch.lose("stop", stop, "playbooks after this one are not asked");
    }
    aim(sketch)
}

/// What the policy acts on: what its first deed is aimed at. An alert of its own rules must name it.
fn aim(sketch: &mut Sketch) -> Result<(), String> {
    let is_pod = sketch.rules.iter().any(|rule| rule.value.expr.starts_with("kube_pod"));
    let first = sketch.steps.iter().filter(|step| step.value.acts()).find_map(|step| step.value.target.clone());
    sketch.target = match first {
        Some(own) => Noted::exact(own),
        None if is_pod => Noted::exact(("replica", "$pod".to_owned())),
        None => Noted::assumed(("service", "$service".to_owned()), "it is about the service that the alert's label `service` names"),
    };
    let labels: BTreeSet<String> =
        sketch.steps.iter().filter_map(|step| step.value.target.as_ref()).map(|(_, name)| name.clone()).collect();
    for rule in sketch.rules.iter_mut() {
        let shows_pods = rule.value.expr.starts_with("kube_pod");
        for label in labels.iter().filter_map(|name| name.strip_prefix('$')) {
            match label {
                "pod" if shows_pods => {}
                // Names of Pods have only letters and digits that spell no word behind the name of their Deployment.
                "deployment" if shows_pods => {
                    let hash = "[bcdfghjklmnpqrstvwxz2456789]";
                    let pattern = format!("(.+?)(-{hash}{{6,10}})?-({hash}{{5}}|[0-9]+)");
                    rule.value.expr = format!("label_replace({}, \"deployment\", \"$1\", \"pod\", \"{pattern}\")", rule.value.expr);
                    rule.notes.push(Note::Assumed("the Deployment is what the name of its Pod begins with".to_owned()));
                }
                _ => return Err(format!("what it does needs the {label}, and a trigger of it tells none")),
            }
        }
    }
    let policy_target = sketch.target.value.clone();
    sketch.steps.iter_mut().for_each(|step| step.value.target = step.value.target.take().filter(|own| *own != policy_target));
    Ok(())
}

/// The step of an action that policies can take.
fn deed(action: &str, value: &Node) -> Option<Noted<Step>> {
    let aimed = |step: Step, kind, label: &str| Noted::exact(Step { target: Some((kind, label.to_owned())), ..step });
    match action {
        "delete_pod" | "delete_alert_pod" => Some(pod_deleted(None)),
        "rollout_restart" => Some(aimed(Step::plain("restart", "{ mode: rolling }"), "service", "$deployment")),
        "restart_named_rollout" => {
            let name = text(value, &["name"])
                .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) && !name.is_empty())?;
            Some(aimed(Step::plain("restart", "{ mode: rolling }"), "service", &name))
        }
        "drain" => Some(aimed(Step::plain("drain", "{}"), "node", "$node")),
        "kubectl_command" => of_command(&text(value, &["command"])?),
        _ => None,
    }
}
