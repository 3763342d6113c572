//! A policy as it is drafted, and how it is written: what is lost and what is assumed stands above the line that it concerns.

use firedrill_core::problem::Place;
use firedrill_core::yaml::Node;

use super::Kind;
use super::deed::shortened;
use super::source::{entries, others, switch, told};

/// Stages, the least first.
const STAGES: [&str; 4] = ["draft", "dry-run", "shadow", "approval"];

/// Keys that say whether something is on.
pub const SWITCHES: [&str; 3] = ["enabled", "disabled", "dry_run"];

/// Who answers for a policy whose source does not say.
pub const NOBODY: &str = "change-me";

/// What a draft does not have from its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The source says it, and the policy does not.
    Lost(String),
    /// The policy says it, and the source does not.
    Assumed(String),
}

/// Something with what is lost or assumed of it.
#[derive(Clone, Debug, Default)]
pub struct Noted<T> {
    /// The thing.
    pub value: T,
    /// What is said of it.
    pub notes: Vec<Note>,
}

impl<T> Noted<T> {
    /// A thing that is as its source has it.
    pub const fn exact(value: T) -> Self {
        Self { value, notes: Vec::new() }
    }

    /// A thing of which something is lost.
    pub fn lost(value: T, what: impl Into<String>) -> Self {
        Self { value, notes: vec![Note::Lost(what.into())] }
    }

    /// A thing of which something is assumed.
    pub fn assumed(value: T, what: impl Into<String>) -> Self {
        Self { value, notes: vec![Note::Assumed(what.into())] }
    }
}

/// A policy before it is written.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// What it is drafted from.
    pub kind: Kind,
    /// Where that stands.
    pub place: Place,
    /// Its name, as the source has it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who answers for it; `None` if the source does not say.
    pub owner: Option<String>,
    /// What is said of the whole.
    pub notes: Vec<Note>,
    /// What it listens to.
    pub on: Noted<On>,
    /// What it acts on: kind, and a name or `$label`.
    pub target: Noted<(&'static str, String)>,
    /// Its stage; `None`: the usual one.
    pub stage: Option<Noted<&'static str>>,
    /// What must be true first: expression and reason.
    pub prechecks: Vec<Noted<(String, String)>>,
    /// What it does.
    pub steps: Vec<Noted<Step>>,
    /// When people are called whatever happens.
    pub escalate_after: Option<Noted<String>>,
    /// Its guards, each a word and its value in YAML, which may have several lines.
    pub guards: Vec<Noted<(&'static str, String)>>,
    /// The rules that tell it of what its source sees by itself.
    pub rules: Vec<Noted<Rule>>,
    /// How often these are evaluated; empty: as often as others.
    pub interval: String,
}

impl Sketch {
    /// Names whatever a part of the source says beside what is read of it.
    pub fn lose_others(&mut self, node: &Node, known: &[&str]) {
        for (key, value) in others(node, known) {
            self.lose(key, value, "a policy does not say it");
        }
    }

    /// Names one key of the source, and why it is lost.
    pub fn lose(&mut self, key: &str, value: &Node, why: &str) {
        self.notes.push(Note::Lost(format!("`{}: {}`: {why}", shortened(key), shortened(&told(value)))));
    }

    /// Adds a guard; of two of one word the second is lost.
    pub fn add_guard(&mut self, guard: Noted<(&'static str, String)>) {
        match self.guards.iter().find(|own| own.value.0 == guard.value.0) {
            None => self.guards.push(guard),
            Some(own) if own.value == guard.value => {}
            Some(own) => {
                let (word, value) = &guard.value;
                let lost = format!("`{word}: {value}`: a policy has one of them, and `{}` stands here", own.value.1);
                self.notes.push(Note::Lost(lost));
            }
        }
    }

    /// Lets it do no more than at this stage.
    pub fn hold_back(&mut self, stage: Noted<&'static str>) {
        let rank = |stage: &str| STAGES.iter().position(|known| *known == stage);
        let is_less = self.stage.as_ref().is_none_or(|own| rank(stage.value) < rank(own.value));
        if is_less {
            self.stage = Some(stage);
        }
    }

    /// What is turned off in its source is a draft, what is tried out there decides and does nothing.
    ///
    /// # Errors
    /// It says neither that it is on nor that it is off: a sentence.
    pub fn heed_switches(&mut self, node: &Node) -> Result<(), String> {
        let switches = entries(node).iter().filter(|(key, _)| SWITCHES.contains(&&*key.text));
        switches.map(|(key, value)| (&*key.text, value)).try_for_each(|(key, value)| self.heed(key, value))
    }

    /// Heeds one of the [`SWITCHES`].
    ///
    /// # Errors
    /// As of all of them.
    pub fn heed(&mut self, key: &str, value: &Node) -> Result<(), String> {
        match (key, switch(key, value)?) {
            ("enabled", Some(false)) | ("disabled", Some(true)) => self.hold_back(Noted::exact("draft")),
            ("dry_run", Some(true)) => self.hold_back(Noted::exact("dry-run")),
            _ => {}
        }
        Ok(())
    }

    /// Gives an alert of its own rules another name, wherever that stands.
    pub fn rename_alert(&mut self, from: &str, to: &str) {
        let rename = |name: &mut String| {
            if name == from {
                to.clone_into(name);
            }
        };
        self.on.value.alerts.iter_mut().for_each(rename);
        self.rules.iter_mut().for_each(|rule| rename(&mut rule.value.alert));
        let (old, new) = (["alertname=", &in_double_quotes(from)].concat(), ["alertname=", &in_double_quotes(to)].concat());
        for (expr, _, _) in self.steps.iter_mut().filter_map(|step| step.value.verify.as_mut()) {
            *expr = expr.replace(&old, &new);
        }
    }

    /// Guards keep back actions: of what only tells people none is left, and what they meant is lost.
    pub fn guard_only_actions(&mut self) {
        if self.steps.iter().any(|step| step.value.acts()) {
            return;
        }
        for guard in std::mem::take(&mut self.guards) {
            let (word, value) = guard.value;
            let value = value.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let why = "guards keep back actions, and this only tells people: let the alerts' routing say how often";
            self.notes.push(Note::Lost(format!("`{word}: {value}`: {why}")));
        }
    }
}

/// What a policy listens to.
#[derive(Clone, Debug, Default)]
pub struct On {
    /// Alerts by name.
    pub alerts: Vec<String>,
    /// The receiver that it is behind, if no alert is named.
    pub receiver: Option<String>,
    /// Label, operator and value.
    pub matchers: Vec<(String, &'static str, String)>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The deed and its value in YAML.
    pub deed: (&'static str, String),
    /// What it is aimed at, if that is not the policy's target.
    pub target: Option<(&'static str, String)>,
    /// Expression, how long it must hold, and by when.
    pub verify: Option<(String, String, String)>,
    /// `next`, or the usual answer.
    pub goes_on: bool,
}

impl Step {
    /// A deed on the policy's target that nobody verifies.
    pub fn plain(word: &'static str, value: impl Into<String>) -> Self {
        Self { deed: (word, value.into()), target: None, verify: None, goes_on: false }
    }

    /// Whether it does something to the world.
    pub fn acts(&self) -> bool {
        !matches!(self.deed.0, "escalate" | "notify" | "collect" | "wait")
    }
}

/// An alert that a source decides by itself.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub alert: String,
    /// Its expression.
    pub expr: String,
    /// For how long; empty: at once.
    pub lasting: String,
    /// How bad it is.
    pub severity: String,
    /// What tells it apart from others of its name; empty if it is alone.
    pub reason: String,
    /// Further labels that it sets.
    pub labels: Vec<(String, String)>,
    /// What people are told.
    pub summary: String,
}

impl Sketch {
    /// A policy that does nothing yet.
    pub fn new(kind: Kind, place: &Place, name: &str) -> Self {
        Self {
            kind,
            place: place.clone(),
            name: name.to_owned(),
            description: String::new(),
            owner: None,
            notes: Vec::new(),
            on: Noted::default(),
            target: Noted::exact(("service", "$service".to_owned())),
            stage: None,
            prechecks: Vec::new(),
            steps: Vec::new(),
            escalate_after: None,
            guards: Vec::new(),
            rules: Vec::new(),
            interval: String::new(),
        }
    }

    /// All that is said of its parts, in the order in which it is written.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        let steps = self.steps.iter().flat_map(|step| &step.notes);
        let guards = self.guards.iter().flat_map(|guard| &guard.notes);
        let prechecks = self.prechecks.iter().flat_map(|check| &check.notes);
        let stage = self.stage.iter().flat_map(|stage| &stage.notes);
        let after = self.escalate_after.iter().flat_map(|after| &after.notes);
        let rules = self.rules.iter().flat_map(|rule| &rule.notes);
        let of_parts = self.on.notes.iter().chain(&self.target.notes).chain(prechecks).chain(steps).chain(after).chain(guards);
        self.notes.iter().chain(of_parts).chain(stage).chain(rules)
    }

    /// The policy file under a name.
    pub fn policy(&self, name: &str) -> String {
        let mut page = Page::default();
        let from = format!("{}:{}", self.place.file().path, self.place.line());
        page.line(0, &format!("# Drafted from {}, {}.", plain(&from), self.kind.described()));
        page.line(
            0,
            "# What the source says and this does not stands behind `lost:`, what this says and the source does not behind `assumed:`.",
        );
        let is_own = |alert: &String| self.rules.iter().any(|rule| rule.value.alert == *alert);
        if !self.on.value.alerts.iter().all(is_own) {
            page.line(0, "# firedrill: allow FD0330 its alerts are told by rules that may stand elsewhere");
        }
        page.notes(0, &self.notes);
        page.line(0, "schema: policy/1");
        page.line(0, &format!("policy: {name}"));
        match &self.owner {
            Some(owner) => page.line(0, &format!("owner: {owner}")),
            None => page.line(0, &format!("owner: {NOBODY} # assumed: the source names nobody; write who answers for it")),
        }
        if !self.description.is_empty() {
            page.line(0, &format!("description: {}", quoted(&self.description)));
        }
        page.notes(0, &self.on.notes);
        page.line(0, &format!("on: {}", on(&self.on.value)));
        page.notes(0, &self.target.notes);
        page.line(0, &format!("target: {}", target(&self.target.value)));
        self.write_prechecks(&mut page);
        page.line(0, "steps:");
        self.steps.iter().for_each(|step| write_step(&mut page, step));
        if let Some(after) = &self.escalate_after {
            page.notes(0, &after.notes);
            page.line(0, &format!("escalate_after: {}", after.value));
        }
        if !self.guards.is_empty() {
            page.line(0, "guard:");
        }
        for Noted { value: (word, value), notes } in &self.guards {
            page.notes(2, notes);
            match value.strip_prefix('\n') {
                Some(block) => {
                    page.line(2, &format!("{word}:"));
                    block.lines().for_each(|line| page.line(4, line));
                }
                None => page.line(2, &format!("{word}: {value}")),
            }
        }
        if let Some(stage) = &self.stage {
            page.notes(0, &stage.notes);
            page.line(0, &format!("stage: {}", stage.value));
        }
        page.text
    }

    fn write_prechecks(&self, page: &mut Page) {
        if !self.prechecks.is_empty() {
            page.line(0, "precheck:");
        }
        for Noted { value: (expr, because), notes } in &self.prechecks {
            page.notes(2, notes);
            page.line(2, &format!("- expr: {}", quoted(expr)));
            page.line(4, &format!("because: {}", quoted(because)));
        }
    }

    /// The rule file that tells the policy what its source sees by itself; `None` if alerts of other rules call it.
    pub fn rule_file(&self, name: &str) -> Option<String> {
        if self.rules.is_empty() {
            return None;
        }
        let mut page = Page::default();
        let from = format!("{}:{}", self.place.file().path, self.place.line());
        page.line(
            0,
            &format!(
                "# Drafted from {}, {}: what it sees by itself, as alerts for the policy `{name}`.",
                plain(&from),
                self.kind.described()
            ),
        );
        page.line(0, "groups:");
        page.line(2, &format!("- name: {name}"));
        if !self.interval.is_empty() {
            page.line(4, &format!("interval: {}", self.interval));
        }
        page.line(4, "rules:");
        for Noted { value: rule, notes } in &self.rules {
            page.notes(6, notes);
            page.line(6, &format!("- alert: {}", rule.alert));
            page.line(8, &format!("expr: {}", quoted(&rule.expr)));
            if !rule.lasting.is_empty() {
                page.line(8, &format!("for: {}", rule.lasting));
            }
            let reason = if rule.reason.is_empty() { String::new() } else { format!(", reason: {}", quoted(&rule.reason)) };
            let labels: String = rule.labels.iter().map(|(label, value)| format!(", {label}: {}", quoted(value))).collect();
            page.line(8, &format!("labels: {{ severity: {}{reason}{labels} }}", quoted(&rule.severity)));
            page.line(8, &format!("annotations: {{ summary: {} }}", quoted(&rule.summary)));
        }
        Some(page.text)
    }
}

fn write_step(page: &mut Page, Noted { value: step, notes }: &Noted<Step>) {
    page.notes(2, notes);
    page.line(2, &format!("- {}: {}", step.deed.0, step.deed.1));
    if let Some(own) = &step.target {
        page.line(4, &format!("target: {}", target(own)));
    }
    if let Some((expr, hold, within)) = &step.verify {
        page.line(4, &format!("verify: {{ expr: {}, hold: {hold}, within: {within} }}", quoted(expr)));
    }
    if step.goes_on {
        page.line(4, "on_failure: next");
    }
}

fn target((kind, name): &(&'static str, String)) -> String {
    format!("{{ {kind}: {name} }}")
}

fn on(on: &On) -> String {
    let mut parts = Vec::new();
    match &on.alerts[..] {
        [] => {}
        [one] => parts.push(format!("alert: {one}")),
        several => parts.push(format!("alert: [{}]", several.join(", "))),
    }
    parts.extend(on.receiver.as_ref().map(|receiver| format!("receiver: {}", quoted(receiver))));
    if !on.matchers.is_empty() {
        let matchers: Vec<String> =
            on.matchers.iter().map(|(label, operator, value)| quoted(&format!("{label}{operator}{}", in_double_quotes(value)))).collect();
        parts.push(format!("match: [{}]", matchers.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

/// The value of a matcher as Alertmanager reads it; also a text of PromQL.
pub fn in_double_quotes(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    text + "\""
}

/// Text on one line, for comments.
pub fn plain(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Text on one line, its blanks as they are: ends of lines, and what stands around them, are one blank.
fn one_line(text: &str) -> String {
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    let (mut line, mut rest) = (String::new(), text.trim_matches(is_space));
    while let Some(start) = rest.find(is_space) {
        let end = rest[start..].find(|c| !is_space(c)).map_or(rest.len(), |length| start + length);
        let between = &rest[start..end];
        line.push_str(&rest[..start]);
        line.push_str(if between.bytes().all(|byte| byte == b' ') { between } else { " " });
        rest = &rest[end..];
    }
    line + rest
}

/// A text as a YAML scalar on one line.
pub fn quoted(text: &str) -> String {
    let text = one_line(text);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&&*text.to_ascii_lowercase());
    if starts && is_plain && !is_word { text } else { format!("'{}'", text.replace('\'', "''")) }
}

/// A name as policies have it, `RestartWeb` as `restart-web`: letters, digits and `_ . -`; `drafted` if nothing of it is left.
pub fn name_of(text: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('-');
        }
        before = c;
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '.' => name.push(c.to_ascii_lowercase()),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "drafted".to_owned() } else { name.to_owned() }
}

/// A name as alerts have it: `node-unhealthy` becomes `NodeUnhealthy`.
pub fn alert_of(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert_str(0, "Alert");
    }
    name
}

/// A label's name: what cannot be in one becomes `_`.
pub fn label_of(text: &str) -> String {
    let mut label: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        label.insert(0, '_');
    }
    label
}

/// A text that grows by lines.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn notes(&mut self, indent: usize, notes: &[Note]) {
        for note in notes {
            let (word, what) = match note {
                Note::Lost(what) => ("lost", what),
                Note::Assumed(what) => ("assumed", what),
            };
            self.line(indent, &format!("# {word}: {}", plain(what)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_ends_no_line_and_no_scalar() {
        assert_eq!(quoted("it's\nhere # now"), "'it''s here # now'");
        assert_eq!(quoted(" a  b \n  c\r\n\u{0}"), "'a  b c'");
        assert_eq!(quoted("yes"), "'yes'");
        assert_eq!(quoted("team-a"), "team-a");
        assert_eq!(plain("a\r\n\u{0}b\u{2028}c"), "a b c");
        assert_eq!(in_double_quotes("\"}\n"), "\"\\\"} \"");
        assert_eq!(name_of("${CLUSTER_NAME}-mhc-0"), "cluster_name-mhc-0");
        assert_eq!(name_of("RestartWeb of GoPE"), "restart-web-of-go-pe");
        assert_eq!(name_of("…"), "drafted");
        assert_eq!(alert_of("node-unhealthy 5m"), "NodeUnhealthy5m");
        assert_eq!(alert_of("5m"), "Alert5m");
        assert_eq!(label_of("check.name"), "check_name");
        assert_eq!(label_of("1a"), "_1a");
    }
}
