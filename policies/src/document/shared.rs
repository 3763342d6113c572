//! What stands in a project's file for all its policies.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::yaml::{Fields, Node, Reader, Value};

use super::{Scripts, all, condition, guards, together};
use crate::guard::estate::Estate;
use crate::guard::switch::{Halt, Switch};
use crate::policy::OwnAction;
use crate::problem;
use crate::shared::KillSwitch;

/// `actions:` of a project, by name what each does and what it stands for, in the words of a policy.
pub fn shared_actions(reader: &mut Reader, node: &Node, scripts: Scripts<'_>) -> BTreeMap<Name, OwnAction> {
    together::definitions(reader, node, scripts, &BTreeMap::new()).unwrap_or_default()
}

/// `kill_switch:` of a project: one, or a list.
pub fn kill_switches(reader: &mut Reader, node: &Node) -> Vec<KillSwitch> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "`kill_switch`"));
    }
    all(items.iter().map(|item| kill_switch(reader, item)).collect()).unwrap_or_default()
}

/// `services:` of a project, by name `{ owner, capacity }`.
pub fn estate_services(reader: &mut Reader, node: &Node, estate: &mut Estate) {
    each(reader, node, "`services`", &mut |reader, fields, service| {
        if let Some(owner) = fields.optional("owner").and_then(|node| reader.name(node, "an owner")) {
            estate.owners.insert(service.clone(), owner);
        }
        if let Some(capacity) = fields.optional("capacity").and_then(|node| reader.integer(node, "a capacity", 1..=1_000_000)) {
            estate.capacities.insert(service.clone(), capacity.unsigned_abs());
        }
    });
}

/// `zones:` of a project, by name `{ region, cluster }`.
pub fn estate_zones(reader: &mut Reader, node: &Node, estate: &mut Estate) {
    each(reader, node, "`zones`", &mut |reader, fields, zone| {
        if let Some(region) = fields.optional("region").and_then(|node| reader.name(node, "a region")) {
            estate.regions.insert(zone.clone(), region);
        }
        if let Some(cluster) = fields.optional("cluster").and_then(|node| reader.name(node, "a cluster")) {
            estate.clusters.insert(zone.clone(), cluster);
        }
    });
}

/// Reads what stands by each name.
fn each(reader: &mut Reader, node: &Node, what: &str, read: &mut dyn FnMut(&mut Reader, &mut Fields<'_>, &Name)) {
    let Some(entries) = reader.fields(node, what) else { return };
    for (key, value) in entries.entries() {
        let Some(mut fields) = reader.fields(value, &format!("an entry of {what}")) else { continue };
        read(reader, &mut fields, &Name::new(&key.text));
        fields.finish(reader);
    }
}

/// `{ expr, effect, because, policies, owners, services }`.
fn kill_switch(reader: &mut Reader, node: &Node) -> Option<KillSwitch> {
    let mut fields = reader.fields(node, "a kill switch")?;
    let condition = fields.required(reader, "expr").and_then(|node| {
        let (condition, place) = condition(reader, node)?;
        match condition.parameters().into_iter().next() {
            Some(label) => {
                reader.problem(problem::label_in_project(&place, &label));
                None
            }
            None => Some(condition),
        }
    });
    let instead = guards::effect(reader, &mut fields);
    let because = fields.optional("because").and_then(|node| reader.sentence(node, "a reason"));
    let policies = names(reader, &mut fields, "policies");
    let owners = names(reader, &mut fields, "owners");
    let services = names(reader, &mut fields, "services");
    fields.finish(reader);
    let switch = Switch::new(condition?, instead?);
    Some(KillSwitch { halt: Halt { switch, because: because.unwrap_or_default(), services }, policies, owners })
}

fn names(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Name> {
    let Some(node) = fields.optional(key) else { return Vec::new() };
    let what = format!("`{key}`");
    let Some(items) = reader.list(node, &what) else { return Vec::new() };
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, &what));
    }
    items.iter().filter_map(|item| reader.name(item, "a name")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use firedrill_core::problem::Problem;
    use firedrill_core::yaml::{self, Reader};

    use super::*;
    use crate::document::{read_policy, read_policy_in};
    use crate::guard::Instead;
    use crate::shared::Shared;

    const PROJECT: &str = "
actions:
  rebuild:
    models:
      - { drain: {}, takes: 30s, fails: 2% }
      - { restart: { mode: rolling }, takes: 2m, fails: 5% }
kill_switch:
  - { expr: automation_off == 1, effect: alert_only }
  - { expr: payments_frozen == 1, because: the year ends, owners: [team-pay], services: [pay] }
  - { expr: other == 1, policies: [other] }
";

    fn read(text: &str) -> Result<Shared, Vec<Problem>> {
        let node = yaml::parse("firedrill.yaml", text)?;
        let mut reader = Reader::new();
        let mut fields = reader.fields(&node, "a project").unwrap();
        let mut shared = Shared::default();
        if let Some(node) = fields.optional("actions") {
            shared.actions = shared_actions(&mut reader, node, &|path| Ok(format!("hash of {path}")));
        }
        if let Some(node) = fields.optional("kill_switch") {
            shared.kill_switches = kill_switches(&mut reader, node);
        }
        fields.finish(&mut reader);
        reader.finish()?;
        Ok(shared)
    }

    const POLICY: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - action: rebuild
";

    fn told(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect()
    }

    #[test]
    fn a_policy_does_what_the_project_defines_and_hides_none_of_it() {
        let shared = read(PROJECT).unwrap();
        let none = |_: &str| Err("no file".to_owned());
        let policy = read_policy_in("p.yaml", POLICY, &none, &shared).unwrap();
        assert_eq!(policy.parts(0).len(), 2);
        assert_eq!(told(&read_policy("p.yaml", POLICY).unwrap_err()).len(), 1, "without the project nobody knows the action");
        let own =
            POLICY.replace("steps:", "actions:\n  rebuild: { models: [{ restart: { mode: rolling }, takes: 1m, fails: 1% }] }\nsteps:");
        assert_eq!(
            told(&read_policy_in("p.yaml", &own, &none, &shared).unwrap_err()),
            ["FD0322 the project defines an action `rebuild` too"]
        );
        assert!(read_policy("p.yaml", &own).is_ok());
        let beside = own.replace("  rebuild: {", "  again: {");
        assert_eq!(read_policy_in("p.yaml", &beside, &none, &shared).unwrap().parts(0).len(), 2);
    }

    #[test]
    fn a_kill_switch_stops_whom_it_names_and_all_if_it_names_nobody() {
        let shared = read(PROJECT).unwrap();
        let halts = |policy: &str| {
            let policy = read_policy_in("p.yaml", policy, &|_| Err(String::new()), &shared).unwrap();
            let around = shared.around(Arc::clone(&policy));
            let told = |halt: &Halt| (halt.switch.condition.plan().text().to_owned(), halt.services.len(), halt.switch.instead);
            around.guards.halts.iter().map(told).collect::<Vec<_>>()
        };
        let all = ("automation_off == 1".to_owned(), 0, Instead::Alert);
        let frozen = |services| ("payments_frozen == 1".to_owned(), services, Instead::Wait);
        assert_eq!(halts(POLICY), [all.clone(), frozen(1)]);
        assert_eq!(halts(&POLICY.replace("owner: team", "owner: team-pay")), [all.clone(), frozen(0)]);
        assert_eq!(
            halts(&POLICY.replace("policy: restart", "policy: other")),
            [all, frozen(1), ("other == 1".to_owned(), 0, Instead::Wait)]
        );
    }

    #[test]
    fn mistakes_are_told() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            assert!(PROJECT.contains(from));
            assert_eq!(told(&read(&PROJECT.replace(from, to)).unwrap_err()), expected);
        };
        check(
            "automation_off == 1",
            "'off{pod=$pod} == 1'",
            &["FD0323 a kill switch of the project cannot ask for `$pod`: not every alert has it"],
        );
        check("owners: [team-pay]", "owners: []", &["FD0310 `owners` is empty"]);
        check("because:", "reason:", &["FD0105 a kill switch has no key `reason`"]);
        check("  rebuild:", "  restart:", &["FD0363 `restart` is an action already"]);
    }
}
