//! Policies drafted from remediations that people run elsewhere: exactly, or with each loss named in the draft.
//!
//! Nothing is guessed of what somebody's own script does to a system. Where the source sees trouble by itself, the draft comes with the alert
//! rule that sees the same.

mod composite;
mod deed;
mod kubernetes;
mod machine;
mod page;
mod robusta;
mod rulebook;
mod source;
mod stackstorm;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use firedrill_core::problem::{Place, Problem};
use firedrill_core::yaml::{self, Node, Value};

use crate::document::read_policy;
use crate::rules::RuleSet;

use page::{Note, Sketch, name_of};

/// What policies are drafted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The liveness probe of a container.
    LivenessProbe,
    /// A HorizontalPodAutoscaler.
    Autoscaler,
    /// A MachineHealthCheck of the Cluster API.
    MachineHealthCheck,
    /// A NodeHealthCheck of Medik8s.
    NodeHealthCheck,
    /// A rule of a rulebook of Event-Driven Ansible.
    Rulebook,
    /// A rule of StackStorm.
    StackStormRule,
    /// A playbook of Robusta.
    RobustaPlaybook,
    /// An alert with conditions and actions, as articles write it.
    CompositeAlert,
}

impl Kind {
    /// Every kind with its word on the command line.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("liveness-probe", Self::LivenessProbe),
        ("autoscaler", Self::Autoscaler),
        ("machine-health-check", Self::MachineHealthCheck),
        ("node-health-check", Self::NodeHealthCheck),
        ("ansible-rulebook", Self::Rulebook),
        ("stackstorm-rule", Self::StackStormRule),
        ("robusta-playbook", Self::RobustaPlaybook),
        ("composite-alert", Self::CompositeAlert),
    ];

    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// What one is called in a sentence.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::LivenessProbe => "liveness probe",
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::MachineHealthCheck => "MachineHealthCheck",
            Self::NodeHealthCheck => "NodeHealthCheck",
            Self::Rulebook => "rule of a rulebook",
            Self::StackStormRule => "StackStorm rule",
            Self::RobustaPlaybook => "Robusta playbook",
            Self::CompositeAlert => "composite alert",
        }
    }

    const fn described(self) -> &'static str {
        match self {
            Self::LivenessProbe => "a liveness probe of Kubernetes",
            Self::Autoscaler => "a HorizontalPodAutoscaler of Kubernetes",
            Self::MachineHealthCheck => "a MachineHealthCheck of the Cluster API",
            Self::NodeHealthCheck => "a NodeHealthCheck of Medik8s",
            Self::Rulebook => "a rule of Event-Driven Ansible",
            Self::StackStormRule => "a rule of StackStorm",
            Self::RobustaPlaybook => "a playbook of Robusta",
            Self::CompositeAlert => "a composite alert",
        }
    }
}

/// A file that may hold remediations.
#[derive(Clone, Debug)]
pub struct RemediationFile {
    /// The path, for messages and comments.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Whether it was named by itself, so that it must hold one; of a folder not every file need.
    pub named: bool,
}

/// What came of some files.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Policies, in the order of the files; no two have one name.
    pub drafts: Vec<Draft>,
    /// Remediations that are no policies, with the reason.
    pub refused: Vec<Refusal>,
    /// Files of folders that hold none.
    pub passed_over: Vec<String>,
}

/// A policy as it can be written down.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// What it is drafted from.
    pub kind: Kind,
    /// Where that stands.
    pub place: Place,
    /// The policy file; it reads.
    pub policy: String,
    /// The rule file without which nothing tells the policy anything; it reads. `None`: it waits for alerts of other rules.
    pub rules: Option<String>,
    /// What the source says and the policy does not, a sentence each.
    pub lost: Vec<String>,
    /// What the policy says and the source does not, a sentence each.
    pub assumed: Vec<String>,
    /// Whether it does something to the system; else all that is left of it is to call people.
    pub acts: bool,
}

/// A remediation that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is; `None` if the file could not be read.
    pub kind: Option<Kind>,
    /// Its name; may be empty.
    pub name: String,
    /// Where it stands: path and line, counted from 1.
    pub place: (String, usize),
    /// Why, a clause.
    pub why: String,
}

impl Refusal {
    fn new(kind: Kind, name: &str, place: &Place, why: impl Into<String>) -> Self {
        Self { kind: Some(kind), name: name.to_owned(), place: (place.file().path.clone(), place.line()), why: why.into() }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Remediations of this kind alone; `None`: of every kind.
    pub kind: Option<Kind>,
    /// Who answers for policies whose source names nobody.
    pub owner: Option<String>,
}

/// Drafts a policy of each remediation in the files.
///
/// # Errors
/// A file that was named is no YAML, or holds no remediation that is known here.
pub fn import(files: &[RemediationFile], wanted: &Wanted) -> Result<Import, Vec<Problem>> {
    let only = wanted.kind;
    let (mut import, mut problems, mut read) = (Import::default(), Vec::new(), Vec::new());
    for file in files {
        match yaml::parse_many(&file.path, &file.text) {
            Ok(documents) => read.push((file, documents)),
            Err(found) if file.named => problems.extend(found),
            Err(found) if claims(&file.text) => {
                let why = found.first().map_or_else(String::new, |problem| format!("it is no YAML that is read here: {}", problem.message));
                let line = found.first().and_then(|problem| problem.place.as_ref()).map_or(1, Place::line);
                import.refused.push(Refusal { kind: None, name: String::new(), place: (file.path.clone(), line), why });
            }
            Err(_) => import.passed_over.push(file.path.clone()),
        }
    }
    let documents: Vec<(&RemediationFile, Vec<&Node>)> =
        read.iter().map(|(file, nodes)| (*file, nodes.iter().flat_map(objects).collect())).collect();
    let all: Vec<&Node> = documents.iter().flat_map(|(_, nodes)| nodes.iter().copied()).collect();
    let mut taken = Taken::default();
    for (file, nodes) in &documents {
        let found: Vec<_> = nodes
            .iter()
            .flat_map(|node| remediations(node, &all))
            .filter(|found| only.is_none_or(|only| kind_of(found) == Some(only)))
            .collect();
        if found.is_empty() && file.named {
            problems.push(nothing(file, only));
        } else if found.is_empty() {
            import.passed_over.push(file.path.clone());
        }
        for sketch in found {
            match sketch.and_then(|sketch| written(owned(sketch, wanted), &mut taken)) {
                Ok(draft) => import.drafts.push(draft),
                Err(refusal) => import.refused.push(refusal),
            }
        }
    }
    if problems.is_empty() { Ok(import) } else { Err(problems) }
}

fn kind_of(found: &Result<Sketch, Refusal>) -> Option<Kind> {
    match found {
        Ok(sketch) => Some(sketch.kind),
        Err(refusal) => refusal.kind,
    }
}

/// Whether a text looks as if it held a remediation, so that what is wrong with it is worth saying.
fn claims(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.trim_start_matches([' ', '-', '"']).starts_with(key));
    has("trigger") && has("action")
        || has("sources:") && has("rules:")
        || ["MachineHealthCheck", "NodeHealthCheck"].iter().any(|kind| text.contains(kind))
}

fn nothing(file: &RemediationFile, only: Option<Kind>) -> Problem {
    let what = only.map_or_else(|| "no remediation that is known here".to_owned(), |kind| format!("no {}", kind.noun()));
    let known: Vec<&str> = Kind::WORDS.iter().map(|(word, _)| *word).collect();
    Problem::in_file("FD0390", &file.path, format!("the file holds {what}"))
        .remedy(format!("name one that does; known are {}", known.join(", ")))
}

/// The objects of a document: those within it if it is a list of Kubernetes, or of alerts below `alerts:`.
fn objects(document: &Node) -> Vec<&Node> {
    let is_list = source::text(document, &["kind"]).is_some_and(|kind| kind.ends_with("List"));
    let alerts = source::items(document, &["alerts"]);
    match &document.value {
        Value::Map(_) if is_list => source::items(document, &["items"]).iter().collect(),
        Value::Map(_) if alerts.iter().any(composite::is_alert) => alerts.iter().collect(),
        Value::List(items) if items.iter().any(composite::is_alert) => items.iter().collect(),
        _ => vec![document],
    }
}

/// The remediations of one object, beside all objects of the files.
fn remediations(node: &Node, all: &[&Node]) -> Vec<Result<Sketch, Refusal>> {
    let kind = source::text(node, &["kind"]).unwrap_or_default();
    let group = source::text(node, &["apiVersion"]).unwrap_or_default();
    let of_group = |wanted: &str| group.split('/').next() == Some(wanted);
    match &*kind {
        "MachineHealthCheck" if of_group("cluster.x-k8s.io") || of_group("machine.openshift.io") => {
            let planes: Vec<&Node> =
                all.iter().copied().filter(|node| source::text(node, &["kind"]).as_deref() == Some("KubeadmControlPlane")).collect();
            vec![machine::machine_health_check(node, &planes)]
        }
        "NodeHealthCheck" if of_group("remediation.medik8s.io") => vec![machine::node_health_check(node)],
        "HorizontalPodAutoscaler" => kubernetes::autoscaler(node, all),
        kind if !kind.is_empty() && kubernetes::has_liveness(node) => vec![kubernetes::liveness(node, all)],
        "" if rulebook::is_rulebook(node) => rulebook::rules(node),
        "" if stackstorm::is_rule(node) => vec![stackstorm::rule(node)],
        "" if robusta::is_playbooks(node) => robusta::playbooks(node),
        "" if composite::is_alert(node) => vec![composite::alert(node)],
        _ => Vec::new(),
    }
}

/// The sketch with the owner that was asked for, if its source names nobody.
fn owned(mut sketch: Sketch, wanted: &Wanted) -> Sketch {
    if let (None, Some(owner)) = (&sketch.owner, &wanted.owner) {
        sketch.owner = Some(owner.clone());
        sketch.steps.iter_mut().for_each(|step| step.value.deed.1 = step.value.deed.1.replace(page::NOBODY, owner));
    }
    sketch
}

/// Names that drafts have already.
#[derive(Default)]
struct Taken {
    policies: BTreeSet<String>,
    alerts: BTreeSet<String>,
}

/// The first of a name, the name with 2, with 3 and so on that is not taken.
fn free(taken: &BTreeSet<String>, wanted: &str, between: &str) -> String {
    let numbered = (2..).map(|number| format!("{wanted}{between}{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_else(|| wanted.to_owned())
}

/// The draft as files, which read; what does not is refused with what is said of it.
fn written(mut sketch: Sketch, taken: &mut Taken) -> Result<Draft, Refusal> {
    sketch.guard_only_actions();
    let name = free(&taken.policies, &name_of(&sketch.name), "-");
    // Two rules of one alert would call both policies.
    let own: BTreeSet<String> = sketch.rules.iter().map(|rule| rule.value.alert.clone()).collect();
    for alert in &own {
        sketch.rename_alert(alert, &free(&taken.alerts, alert, ""));
    }
    let (policy, rules) = (sketch.policy(&name), sketch.rule_file(&name));
    let unsound = |problems: Vec<Problem>| {
        let why = problems.first().map_or_else(String::new, |problem| problem.message.clone());
        Refusal::new(sketch.kind, &sketch.name, &sketch.place, format!("what it asks for cannot be in a policy: {why}"))
    };
    read_policy("the draft", &policy).map_err(unsound)?;
    if let Some(rules) = &rules {
        let set = RuleSet::read([("the draft", rules.as_str())]).map_err(unsound)?;
        if let Some((_, rule, error)) = set.unsupported().next() {
            return Err(Refusal::new(
                sketch.kind,
                &sketch.name,
                &sketch.place,
                format!("its alert `{}` cannot be evaluated: {error}", rule.name),
            ));
        }
    }
    let (mut lost, mut assumed) = (Vec::new(), Vec::new());
    for note in sketch.notes() {
        match note {
            Note::Lost(what) => lost.push(page::plain(what)),
            Note::Assumed(what) => assumed.push(page::plain(what)),
        }
    }
    if sketch.owner.is_none() {
        assumed.push("the source names nobody; write who answers for it".to_owned());
    }
    let acts = sketch.steps.iter().any(|step| step.value.acts());
    taken.policies.insert(name.clone());
    taken.alerts.extend(sketch.rules.iter().map(|rule| rule.value.alert.clone()));
    Ok(Draft { name, kind: sketch.kind, place: sketch.place, policy, rules, lost, assumed, acts })
}
