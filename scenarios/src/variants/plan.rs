//! What happens in a variant, and the scenario file that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::{self, Node, Value};
use firedrill_sim::spec::{Phase, WorldSpec};

use crate::composition::Imports;
use crate::scenario::{Scenario, read_scenario_with};
use crate::variants::entry::{Entry, List, get, scalar, set};
use crate::variants::possible::Group;
use crate::variants::written;

/// The keys of files of which the values, or their items, may be paths.
const PATHS: [&str; 4] = ["import", "rules", "alertmanager", "silences"];

/// A scenario from which variants are made.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its name.
    pub name: Name,
    /// The class that it is judged in.
    pub family: Name,
    /// Its world.
    pub spec: Arc<WorldSpec>,
    /// Whether nothing breaks in it.
    pub calm: bool,
    /// The file that it was read from.
    pub path: String,
    top: Node,
}

/// What happens in a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it is called.
    pub name: Name,
    /// Its faults and changes.
    pub entries: Vec<Entry>,
    /// How long a run lasts.
    pub horizon: Span,
    /// What the targets of the oracle's actions are called instead: where a fault strikes another target, so does the cure.
    pub renamed: BTreeMap<Name, Name>,
    /// Clients that are left out.
    pub without_clients: BTreeSet<Name>,
    /// Services that are left out.
    pub without_services: BTreeSet<Name>,
}

impl Origin {
    /// The scenario as its file says it.
    ///
    /// # Panics
    /// If the scenario was not read from a file: all are.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let file = scenario.place.file();
        let top = yaml::parse(&file.path, &file.text).expect("a scenario was read from YAML");
        Self {
            name: scenario.name.clone(),
            family: scenario.family.clone(),
            spec: Arc::clone(&scenario.spec),
            calm: scenario.calm,
            path: file.path.clone(),
            top,
        }
    }

    /// The same with paths in it changed, for a file that will lie elsewhere. `moved` gives the new path of what is a path.
    #[must_use]
    pub fn moved(&self, moved: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut top = self.top.clone();
        for key in PATHS {
            let Some(node) = get(&self.top, key) else { continue };
            top = set(&top, key, Some(moved_node(node, moved)));
        }
        Self { top, ..self.clone() }
    }

    /// What happens in the scenario itself.
    #[must_use]
    pub fn as_is(&self) -> Plan {
        let of = |list: List| {
            let items = match get(&self.top, list.key()).map(|node| &node.value) {
                Some(Value::List(items)) => items.as_slice(),
                _ => &[],
            };
            items.iter().filter_map(move |item| Entry::of(list, item)).map(Entry::owned)
        };
        let entries = of(List::Faults).chain(of(List::Changes)).collect();
        let (renamed, nobody) = (BTreeMap::new(), BTreeSet::new());
        let (without_clients, without_services) = (nobody.clone(), nobody);
        Plan { name: self.name.clone(), entries, horizon: self.spec.horizon, renamed, without_clients, without_services }
    }

    /// When its first fault sets in, or its first change; five minutes where nothing happens.
    #[must_use]
    pub fn onset(&self) -> Span {
        let all = self.spec.faults.iter().chain(&self.spec.changes);
        all.map(|fault| fault.at).min().map_or(Span::from_minutes(5), |at| at.since(Time::ZERO))
    }

    /// The scenario file of a variant.
    #[must_use]
    pub fn text(&self, plan: &Plan) -> String {
        let here = &self.top;
        let text = |text: &str| Some(Node { place: here.place.clone(), value: Value::Text(Name::new(text)) });
        let mut top = set(here, "scenario", text(&plan.name));
        top = set(&top, "family", text(&self.family));
        let told: Vec<String> = plan.entries.iter().map(Entry::words).collect();
        let told = if told.is_empty() { "nothing happens".to_owned() } else { told.join("; ") };
        top = set(&top, "description", text(&format!("A variant of {}: {told}.", self.name)));
        top = set(&top, "horizon", Some(scalar(here, &plan.horizon.to_string())));
        top = set(&top, "chaos", None);
        let oracle = get(here, "oracle").filter(|_| plan.has_cure()).map(|oracle| renamed(oracle, &plan.renamed));
        // What happens stands at the end, the cure last.
        for key in ["faults", "changes", "oracle"] {
            top = set(&top, key, None);
        }
        for list in [List::Faults, List::Changes] {
            let items: Vec<Node> = plan.entries.iter().filter(|entry| entry.list == list).map(|entry| entry.node().clone()).collect();
            let value = Node { place: here.place.clone(), value: Value::List(items.clone()) };
            top = set(&top, list.key(), (!items.is_empty()).then_some(value));
        }
        top = set(&top, "oracle", oracle);
        for (key, names) in [("clients", &plan.without_clients), ("services", &plan.without_services)] {
            top = self.without(top, key, names);
        }
        written::document(&top)
    }

    /// Reads a variant.
    ///
    /// # Errors
    /// It is no sound scenario.
    pub fn read(&self, plan: &Plan, imports: &Imports<'_>) -> Result<Scenario, Vec<Problem>> {
        read_scenario_with(&self.path, &self.text(plan), imports)
    }

    /// The services that nobody asks any more once some clients are left out.
    #[must_use]
    pub fn unreached(&self, plan: &Plan) -> BTreeSet<Name> {
        let clients = self.spec.clients.iter().filter(|client| !plan.without_clients.contains(&client.name));
        let mut reached: BTreeSet<&Name> = BTreeSet::new();
        let mut waiting: Vec<&Name> = clients.map(|client| &client.service).collect();
        waiting.extend(self.spec.services.iter().filter(|service| service.consumes.is_some()).map(|service| &service.name));
        let targets: Vec<&Name> = plan.entries.iter().filter_map(Entry::target).map(|(_, name)| name).collect();
        let is_struck = |service: &Name| targets.iter().any(|target| *target == service || target.starts_with(&format!("{service}-")));
        waiting.extend(self.spec.services.iter().map(|service| &service.name).filter(|name| is_struck(name)));
        while let Some(name) = waiting.pop() {
            if !reached.insert(name) {
                continue;
            }
            let Some(service) = self.spec.services.iter().find(|service| service.name == *name) else { continue };
            let phases = service.endpoints.iter().flat_map(|endpoint| &endpoint.phases);
            waiting.extend(phases.flat_map(Phase::calls).map(|call| &call.service));
        }
        self.spec.services.iter().map(|service| &service.name).filter(|name| !reached.contains(name)).cloned().collect()
    }

    /// A tree without some clients or services: taken away where they stand here, and crossed out where they are imported.
    fn without(&self, top: Node, key: &str, names: &BTreeSet<Name>) -> Node {
        if names.is_empty() {
            return top;
        }
        let empty = Node { place: top.place.clone(), value: Value::Map(Vec::new()) };
        let mut list = get(&top, key).cloned().unwrap_or(empty);
        let crossed = get(&self.top, "import").map(|_| Node { place: top.place.clone(), value: Value::Null });
        for name in names {
            list = set(&list, name, crossed.clone());
        }
        set(&top, key, Some(list))
    }
}

impl Plan {
    /// Whether a fault of the world is in it.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.entries.iter().any(|entry| Group::of(entry) == Group::Fault)
    }

    /// Whether a fault of its own is in it, which the oracle knows how to cure.
    #[must_use]
    pub fn has_cure(&self) -> bool {
        self.entries.iter().any(|entry| entry.is_own() && Group::of(entry) == Group::Fault)
    }

    /// Whether something that breaks, blinds or hinders was added to what the scenario itself has.
    #[must_use]
    pub fn has_added(&self) -> bool {
        self.entries.iter().any(|entry| !entry.is_own() && Group::of(entry) != Group::Change)
    }

    /// The same under another name.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { name: Name::new(name), ..self }
    }
}

/// Texts that name the old target name the new one.
fn renamed(node: &Node, names: &BTreeMap<Name, Name>) -> Node {
    let value = match &node.value {
        Value::Text(text) => Value::Text(names.get(text).unwrap_or(text).clone()),
        Value::List(items) => Value::List(items.iter().map(|item| renamed(item, names)).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(key, node)| (key.clone(), renamed(node, names))).collect()),
        other => other.clone(),
    };
    Node { place: node.place.clone(), value }
}

fn moved_node(node: &Node, moved: &dyn Fn(&str) -> Option<String>) -> Node {
    match &node.value {
        Value::Text(path) => moved(path).map_or_else(|| node.clone(), |path| scalar(node, &path)),
        Value::List(items) => {
            Node { place: node.place.clone(), value: Value::List(items.iter().map(|item| moved_node(item, moved)).collect()) }
        }
        _ => node.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read_scenario;
    use crate::{library, systems};

    fn origin(name: &str) -> Origin {
        let (path, text) = library::get(name).unwrap();
        Origin::of(&read_scenario(path, text).unwrap())
    }

    fn read(origin: &Origin, plan: &Plan) -> Scenario {
        let imports = |name: &str, _: &str| systems::get(name).ok_or_else(String::new);
        origin.read(plan, &imports).unwrap_or_else(|problems| panic!("{problems:?}\n{}", origin.text(plan)))
    }

    #[test]
    fn a_variant_in_which_nothing_differs_is_the_same_world() {
        for entry in library::ENTRIES {
            let scenario = read_scenario(entry.path, entry.text).unwrap();
            let origin = Origin::of(&scenario);
            let same = read(&origin, &origin.as_is());
            assert_eq!((&same.hash, &same.family), (&scenario.hash, &scenario.family), "{}\n{}", entry.name, origin.text(&origin.as_is()));
        }
    }

    #[test]
    fn without_its_own_fault_there_is_no_cure() {
        let origin = origin("hang-one-replica");
        let mut plan = origin.as_is().called("other");
        assert!(plan.breaks() && plan.has_cure() && !plan.has_added());
        plan.entries = vec![Entry::written(List::Faults, "{ crash: { replica: api-0 }, at: 5m }")];
        assert!(plan.breaks() && !plan.has_cure() && plan.has_added());
        let scenario = read(&origin, &plan);
        assert_eq!((scenario.name.as_str(), scenario.family.as_str(), scenario.spec.cures.len()), ("other", "hang", 0));
        plan.entries.clear();
        assert!(read(&origin, &plan).calm);
    }

    #[test]
    fn clients_and_the_services_that_only_they_reach_can_be_left_out_of_an_imported_system() {
        let origin = origin("shop-slow-catalog");
        let mut plan = origin.as_is();
        assert!(origin.unreached(&plan).is_empty());
        let kept = ["visitors", "readers"];
        plan.without_clients =
            origin.spec.clients.iter().map(|client| client.name.clone()).filter(|name| !kept.contains(&name.as_str())).collect();
        assert_eq!(plan.without_clients.len(), 2);
        let whole = read(&origin, &plan).spec.clients.len();
        assert_eq!(whole, 2);
    }

    #[test]
    fn paths_are_moved_and_names_are_not() {
        let text =
            "schema: scenario/1\nscenario: a\nimport: online-shop\nrules: [r.yaml, slo]\nfaults: [{ hang: { service: cart }, at: 5m }]\n";
        let origin = Origin::of(&read_scenario("a.yaml", text).unwrap());
        let moved = origin.moved(&|path| path.ends_with(".yaml").then(|| format!("../{path}")));
        let text = moved.text(&moved.as_is());
        assert!(text.contains("rules: [\"../r.yaml\", slo]") || text.contains("rules: [../r.yaml, slo]"), "{text}");
        assert!(text.contains("import: online-shop"), "{text}");
    }
}
