//! What drills have shown of policies, kept in a file (`schema: confidence/1`) that `firedrill calibrate` writes and `confidence: measured` reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::yaml::{self, Node, Reader};
use firedrill_policies::guard::confidence::{Calibration, Shown};
use firedrill_policies::policy::Policy;
use firedrill_reports::calibration::{Share, at_least};

use crate::drill::{Answer, ENGINE};
use crate::failure::Failure;
use crate::load::Source;

/// The version of the file.
const SCHEMA_VERSION: u32 = 1;

/// What drills have shown, by policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibrations {
    policies: BTreeMap<Name, Arc<Calibration>>,
    /// What was played.
    measured_in: Vec<Played>,
    /// BLAKE3 of the file, hexadecimal.
    hash: String,
}

/// A scenario or an incident in which policies were measured, and what it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Its name.
    pub name: Name,
    /// BLAKE3 of what it is, hexadecimal.
    pub hash: String,
    /// BLAKE3 of the rules that watched, hexadecimal.
    pub rules: String,
}

/// Reads a file of what drills have shown.
///
/// # Errors
/// Every problem of the file.
pub fn read(source: &Source) -> Result<Calibrations, Vec<Problem>> {
    let node = yaml::parse(&source.path, &source.text)?;
    let mut reader = Reader::new();
    let (policies, measured_in) = whole(&mut reader, &node).unwrap_or_default();
    reader.finish()?;
    let hash = blake3::hash(source.text.as_bytes()).to_hex().to_string();
    Ok(Calibrations { policies, measured_in, hash })
}

/// `{ scenario or incident, hash, rules }`.
fn played(reader: &mut Reader, node: &Node) -> Option<Played> {
    let mut fields = reader.fields(node, "what was played")?;
    let name = if fields.has("incident") { fields.optional("incident") } else { fields.required(reader, "scenario") };
    let name = name.and_then(|node| reader.text(node, "a name").cloned());
    let mut text = |key: &'static str| fields.required(reader, key).and_then(|node| reader.text(node, "a hash")).map(ToString::to_string);
    let (hash, rules) = (text("hash"), text("rules"));
    fields.finish(reader);
    Some(Played { name: name?, hash: hash?, rules: rules? })
}

/// What was shown of each policy, and in what.
type Whole = (BTreeMap<Name, Arc<Calibration>>, Vec<Played>);

fn whole(reader: &mut Reader, node: &Node) -> Option<Whole> {
    let mut fields = reader.fields(node, "what drills have shown")?;
    reader.schema(&mut fields, "confidence", SCHEMA_VERSION);
    fields.optional("engine").and_then(|node| reader.text(node, "an engine"));
    let items = fields.optional("measured_in").and_then(|node| reader.list(node, "`measured_in`")).unwrap_or_default();
    let measured_in = items.iter().filter_map(|item| played(reader, item)).collect();
    let node = fields.required(reader, "policies");
    fields.finish(reader);
    let entries = reader.fields(node?, "policies by name")?;
    let mut policies = BTreeMap::new();
    for (key, value) in entries.entries() {
        if let Some(calibration) = of_policy(reader, value) {
            policies.insert(key.text.clone(), Arc::new(calibration));
        }
    }
    Some((policies, measured_in))
}

/// `{ policy_hash, actions: [{ alert, action, right, wrong }] }`.
fn of_policy(reader: &mut Reader, node: &Node) -> Option<Calibration> {
    let mut fields = reader.fields(node, "what drills have shown of a policy")?;
    let policy_hash = fields.required(reader, "policy_hash").and_then(|node| reader.text(node, "a hash")).map(ToString::to_string);
    let actions = fields.required(reader, "actions").and_then(|node| reader.list(node, "`actions`"));
    fields.finish(reader);
    let mut shown = BTreeMap::new();
    for item in actions? {
        let mut fields = reader.fields(item, "what drills have shown of an action")?;
        let alert = fields.required(reader, "alert").and_then(|node| reader.text(node, "an alert's name").cloned());
        let action = fields.required(reader, "action").and_then(|node| reader.name(node, "an action"));
        let mut count = |key: &'static str| {
            fields
                .required(reader, key)
                .and_then(|node| reader.integer(node, &format!("`{key}`"), 0..=1_000_000_000))
                .map(i64::unsigned_abs)
        };
        let (right, wrong) = (count("right"), count("wrong"));
        fields.finish(reader);
        let (key, right, wrong) = ((alert?, action?), right?, wrong?);
        if shown.contains_key(&key) {
            let message = format!("`{}` on `{}` stands twice", key.1, key.0);
            reader.problem(
                Problem::at("FD0391", &item.place, message).remedy("keep one of the two, or let `firedrill calibrate` write the file anew"),
            );
        }
        shown.insert(key, Shown { right, wrong, at_least: at_least(right, wrong) });
    }
    Some(Calibration { policy_hash: policy_hash?, shown })
}

impl Calibrations {
    /// From a file, relative to a folder.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub fn load(path: &str, base: &Path) -> Result<Self, Failure> {
        let source = crate::load::read_file(&base.join(path))?;
        read(&source).map_err(Failure::from)
    }

    /// What is said of each policy, in order of name.
    pub fn policies(&self) -> impl Iterator<Item = (&Name, &Calibration)> {
        self.policies.iter().map(|(name, own)| (name, &**own))
    }

    /// The policies of which these say something that others say otherwise, or not at all.
    #[must_use]
    pub fn changed_in(&self, others: Option<&Self>) -> Vec<&Name> {
        let other = |policy: &Name| others.and_then(|others| others.policies.get(policy));
        self.policies.iter().filter(|(policy, own)| other(policy) != Some(own)).map(|(policy, _)| policy).collect()
    }

    /// What is another than it was when policies were measured in it, or is not there any more: `now` is what there is.
    #[must_use]
    pub fn changed(&self, now: &[Played]) -> Vec<String> {
        let told = |then: &Played| match now.iter().find(|own| own.name == then.name) {
            None => Some(format!("`{}` is not rehearsed any more", then.name)),
            Some(own) if own.hash != then.hash => Some(format!("`{}` has changed", then.name)),
            Some(own) if own.rules != then.rules => Some(format!("the rules that watch `{}` have changed", then.name)),
            Some(_) => None,
        };
        self.measured_in.iter().filter_map(told).collect()
    }

    /// Whether what was shown of a policy was shown of another version of it.
    #[must_use]
    pub fn is_of_another_version(&self, policy: &Policy) -> bool {
        self.policies.get(&policy.name).is_some_and(|own| own.policy_hash != policy.hash())
    }

    /// The same policies, each with what drills have shown of it. That belongs to what the policies are, for those that ask for it.
    #[must_use]
    pub fn applied(&self, answer: Arc<Answer>) -> Arc<Answer> {
        let asks = |policy: &Arc<Policy>| policy.guards.confidence.as_ref().is_some_and(|confidence| confidence.formula().is_none());
        if !answer.policies.iter().any(asks) {
            return answer;
        }
        let with = |policy: &Arc<Policy>| match self.policies.get(&policy.name) {
            Some(own) if asks(policy) => Arc::new(Policy { calibration: Some(Arc::clone(own)), ..Policy::clone(policy) }),
            _ => Arc::clone(policy),
        };
        let hash = blake3::hash(format!("{} {}", answer.hash, self.hash).as_bytes()).to_hex().to_string();
        Arc::new(Answer { policies: answer.policies.iter().map(with).collect(), hash, ..Answer::clone(&answer) })
    }
}

/// The file that says what drills have shown of policies, each with the hash of what was played, and in what.
#[must_use]
pub fn file(policies: &[Arc<Policy>], shares: &[Share], (scenarios, incidents): (&[Played], &[Played])) -> String {
    let mut text = format!(
        "# Written by `firedrill calibrate`; what a changed policy does is measured anew by it.\nschema: confidence/{SCHEMA_VERSION}\n"
    );
    text.push_str(&format!("engine: {ENGINE}\nmeasured_in:\n"));
    for (kind, played) in scenarios.iter().map(|own| ("scenario", own)).chain(incidents.iter().map(|own| ("incident", own))) {
        let Played { name, hash, rules } = played;
        let name = serde_json::to_string(name).expect("a name is a text");
        text.push_str(&format!("  - {{ {kind}: {name}, hash: \"{hash}\", rules: \"{rules}\" }}\n"));
    }
    text.push_str("policies:\n");
    for policy in policies {
        text.push_str(&format!("  {}:\n    policy_hash: \"{}\"\n    actions:", policy.name, policy.hash()));
        let own: Vec<&Share> = shares.iter().filter(|share| share.policy == policy.name).collect();
        text.push_str(if own.is_empty() { " []\n" } else { "\n" });
        for Share { alert, action, right, wrong, .. } in own {
            let alert = serde_json::to_string(alert).expect("a name is a text");
            text.push_str(&format!("      - {{ alert: {alert}, action: {action}, right: {right}, wrong: {wrong} }}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use firedrill_policies::document::read_policy;

    use super::*;

    const POLICY: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - restart: { mode: rolling }
guard:
  confidence: measured
";

    fn share(alert: &str, right: u64, wrong: u64) -> Share {
        let (policy, alert, action) = (Name::new("restart"), Name::new(alert), "restart".to_owned());
        Share { policy, alert, action, right, wrong, at_least: 0.0, because: BTreeMap::new() }
    }

    fn source(text: &str) -> Source {
        Source { path: "confidence.yaml".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_is_written_reads_back_and_reaches_the_policy_that_asks_for_it() {
        let policy = read_policy("p.yaml", POLICY).unwrap();
        let then = |name: &str, rules: &str| Played { name: Name::new(name), hash: "1".to_owned(), rules: rules.to_owned() };
        let (scenarios, incidents) = ([then("a", "r"), then("b", "r")], [then("i", "r")]);
        let shares = [share("Down", 18, 0), share("Slow + \"Down\"", 1, 1)];
        let text = file(std::slice::from_ref(&policy), &shares, (&scenarios, &incidents));
        let found = read(&source(&text)).unwrap_or_else(|problems| panic!("{problems:?}"));
        let now = [then("b", "other"), then("i", "r")];
        assert_eq!(found.changed(&now), ["`a` is not rehearsed any more", "the rules that watch `b` have changed"]);
        assert_eq!(
            found.changed(&[Played { hash: "2".to_owned(), ..then("a", "r") }, then("b", "r"), then("i", "r")]),
            ["`a` has changed"]
        );
        assert!(found.changed(&[scenarios, now].concat()).is_empty());
        assert!(!found.is_of_another_version(&policy));
        let answer = |text: &str| {
            let policies = vec![read_policy("p.yaml", text).unwrap()];
            Arc::new(Answer { policies, label: String::new(), sources: Vec::new(), hash: "h".to_owned(), left_out: None })
        };
        let applied = found.applied(answer(POLICY));
        let own = applied.policies[0].calibration.clone().unwrap();
        assert_eq!(own.policy_hash, policy.hash(), "what was shown of a policy is no part of it");
        assert_eq!(own.shown[&(Name::new("Down"), Name::new("restart"))], Shown { right: 18, wrong: 0, at_least: 0.9001 });
        assert_eq!(own.shown.len(), 2);
        assert_ne!(applied.hash, "h");
        let claimed = answer(&POLICY.replace("measured", "{ expr: sure }"));
        assert_eq!(found.applied(Arc::clone(&claimed)).hash, "h", "who claims does not read it");
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let sound = file(&[read_policy("p.yaml", POLICY).unwrap()], &[share("Down", 18, 0)], (&[], &[]));
        let check = |from: &str, to: &str, expected: &[&str]| {
            assert!(sound.contains(from), "{sound}");
            let problems = read(&source(&sound.replacen(from, to, 1))).unwrap_err();
            let told: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect();
            assert_eq!(told, expected);
        };
        check(", wrong: 0", "", &["FD0104 what drills have shown of an action has no `wrong`"]);
        check("right: 18", "right: -1", &["FD0108 `right` is -1, and must be 0 to 1000000000"]);
        let line = "      - { alert: \"Down\", action: restart, right: 18, wrong: 0 }\n";
        check(line, &line.repeat(2), &["FD0391 `restart` on `Down` stands twice"]);
    }
}
