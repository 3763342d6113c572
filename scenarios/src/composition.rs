//! A scenario that is written in several places: the system that it imports, and what its services take from a template.
//!
//! Both are put together as trees, before anything is read, so that every node keeps the place where it stands and messages name the right file.

use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::yaml::{self, Key, Node, Reader, Value};

use crate::defaults;
use crate::document::profile::PROFILES;
use crate::problem;

/// A file that was asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What messages call it; equal for the same file, however it was named.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// Where imported files come from: gives the file that is meant by a name in the file at a path, or why there is none, a lowercase fragment.
pub type Imports<'a> = dyn Fn(&str, &str) -> Result<Imported, String> + 'a;

/// So many files import each other in a row at most; more can only be a circle that has many names.
const DEEPEST: usize = 16;
/// The keys of a file that is imported: a system is taken, and not what happens to it.
const SYSTEM: [&str; 14] = [
    "actions",
    "alertmanager",
    "bounds",
    "clients",
    "human",
    "metrics",
    "nodes",
    "objective",
    "rules",
    "scrape",
    "services",
    "silences",
    "start",
    "topics",
];
/// Maps whose entries have names of people's own, and are put together one by one.
const NAMED: [&str; 4] = ["clients", "nodes", "services", "topics"];
/// Maps within a service that are put together key by key; all else is replaced as a whole.
const WITHIN: [&str; 9] = ["caches", "database", "endpoints", "flags", "life", "memory", "metrics", "rollout", "versions"];
/// The templates that are of topics; all others are of services.
const OF_TOPICS: [&str; 1] = ["kafka"];
/// Keys of which each says the same as the others in another way: who states one means none of the others.
const EITHER: [&[&str]; 2] = [&["endpoints", "work"], &["closed", "rate", "trace"]];

/// Puts a parsed file together with what it imports and the templates of its services and topics.
///
/// # Errors
/// What is imported cannot be had, is no scenario or imports itself; all problems of its syntax.
pub fn compose(node: Node, path: &str, imports: &Imports<'_>) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader::new();
    let whole = resolve(&mut reader, node, &mut vec![path.to_owned()], imports);
    let whole = with_templates(&mut reader, whole, "services");
    let whole = with_templates(&mut reader, whole, "topics");
    reader.finish()?;
    Ok(whole)
}

/// The names of all templates of `services`, or of `topics`.
#[must_use]
pub fn templates(of: &str) -> Vec<&'static str> {
    let is_of = |template: &str| OF_TOPICS.contains(&template) == (of == "topics");
    let mut names: Vec<&str> = template_entries().map(|(template, ..)| template).filter(|template| is_of(template)).collect();
    names.dedup();
    names
}

fn template_entries() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    defaults::ALL.iter().filter_map(|entry| {
        let (template, key) = entry.key.strip_prefix("template.")?.split_once('.')?;
        Some((template, key, entry.value))
    })
}

/// A file with the system that it imports below it.
fn resolve(reader: &mut Reader, mut node: Node, chain: &mut Vec<String>, imports: &Imports<'_>) -> Node {
    let Value::Map(entries) = &mut node.value else { return node };
    let Some(at) = entries.iter().position(|(key, _)| *key.text == *"import") else { return node };
    let (_, asked) = entries.remove(at);
    if matches!(asked.value, Value::Null) {
        return node;
    }
    let Some(name) = reader.text(&asked, "the name or the path of a scenario").cloned() else { return node };
    let from = chain.last().expect("a file stands somewhere").clone();
    let imported = match imports(&name, &from) {
        Ok(imported) => imported,
        Err(why) => {
            reader.problem(problem::not_imported(&asked.place, &name, &why));
            return node;
        }
    };
    if chain.contains(&imported.path) {
        chain.push(imported.path);
        reader.problem(problem::import_circle(&asked.place, chain));
        return node;
    }
    let base = match yaml::parse(&imported.path, &imported.text) {
        Ok(base) => base,
        Err(problems) => {
            problems.into_iter().for_each(|problem| reader.problem(problem));
            return node;
        }
    };
    let is_scenario = |node: &Node| matches!(&node.value, Value::Text(text) if text.starts_with("scenario/"));
    if !entry(&base, "schema").is_some_and(is_scenario) {
        reader.problem(problem::not_imported(&asked.place, &name, "it is no scenario"));
        return node;
    }
    chain.push(imported.path);
    if chain.len() > DEEPEST {
        reader.problem(problem::import_circle(&asked.place, chain));
        return node;
    }
    let mut base = resolve(reader, base, chain, imports);
    chain.pop();
    if let Value::Map(entries) = &mut base.value {
        entries.retain(|(key, _)| SYSTEM.contains(&&*key.text));
    }
    merge(base, node, &|key| if NAMED.contains(&key) { Depth::Entries } else { Depth::Whole })
}

/// Every service, or every topic, with the template that it names below it.
fn with_templates(reader: &mut Reader, mut node: Node, of: &str) -> Node {
    let Value::Map(entries) = &mut node.value else { return node };
    let Some((_, list)) = entries.iter_mut().find(|(key, _)| *key.text == *of) else { return node };
    let Value::Map(list) = &mut list.value else { return node };
    for (_, entry) in list {
        let Value::Map(keys) = &mut entry.value else { continue };
        let Some(at) = keys.iter().position(|(key, _)| *key.text == *"template") else { continue };
        let (_, asked) = keys.remove(at);
        if matches!(asked.value, Value::Null) {
            continue;
        }
        let known = templates(of);
        let Some(name) = reader.text(&asked, "the name of a template").cloned() else { continue };
        if !known.contains(&name.as_str()) {
            reader.problem(problem::unknown_template(&asked.place, of, &name, &known));
            continue;
        }
        let own = std::mem::replace(&mut entry.value, Value::Null);
        *entry = merge(template(&name), Node { place: entry.place.clone(), value: own }, &within);
    }
    node
}

/// A template as a file would say it.
fn template(name: &str) -> Node {
    let mut text = String::new();
    let mut inside = "";
    for (_, key, value) in template_entries().filter(|(template, ..)| *template == name) {
        if let Some((outer, inner)) = key.split_once('.') {
            if outer != inside {
                text += &format!("{outer}:\n");
            }
            (inside, text) = (outer, text + &format!("  {inner}: {value}\n"));
        } else {
            (inside, text) = ("", text + &format!("{key}: {value}\n"));
        }
    }
    yaml::parse(&format!("the template `{name}`"), &text).expect("templates are sound")
}

/// How deep a key's values are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// What is said replaces the whole.
    Whole,
    /// Key by key, and no deeper.
    Keys,
    /// As a service, a client or a kind of node.
    Entry,
    /// Entries with names of their own, each put together so.
    Entries,
}

fn within(key: &str) -> Depth {
    if WITHIN.contains(&key) { Depth::Keys } else { Depth::Whole }
}

/// What `over` says, and what `base` says beside it. A key without a value takes away what the base says.
fn merge(base: Node, over: Node, depth: &dyn Fn(&str) -> Depth) -> Node {
    let Node { place, value } = over;
    match (base.value, value) {
        (Value::Map(base), Value::Map(over)) => Node { place, value: Value::Map(merge_entries(base, over, depth)) },
        (_, value) => Node { place, value },
    }
}

fn merge_entries(base: Vec<(Key, Node)>, over: Vec<(Key, Node)>, depth: &dyn Fn(&str) -> Depth) -> Vec<(Key, Node)> {
    let says = |name: &Name| over.iter().any(|(key, _)| key.text == *name);
    let means_otherwise = |name: &Name| {
        let alike = EITHER.iter().filter(|keys| keys.contains(&name.as_str())).flat_map(|keys| keys.iter());
        alike.into_iter().any(|other| *other != name.as_str() && over.iter().any(|(key, node)| *key.text == **other && !is_null(node)))
    };
    let mut kept: Vec<(Key, Node)> = Vec::new();
    let mut below: Vec<(Key, Node)> = Vec::new();
    for (key, node) in base {
        if says(&key.text) {
            below.push((key, node));
        } else if !means_otherwise(&key.text) {
            kept.push((key, node));
        }
    }
    for (key, node) in over {
        match below.iter().position(|(own, _)| own.text == key.text) {
            None => kept.push((key, node)),
            Some(_) if is_null(&node) => {}
            Some(at) => {
                let (own, base) = below.swap_remove(at);
                let base = if *own.text == *"metrics" { as_metrics(own, base, &node) } else { base };
                let merged = match depth(&key.text) {
                    Depth::Whole => node,
                    Depth::Keys => merge(base, node, &|_| Depth::Whole),
                    Depth::Entry => merge(base, node, &within),
                    Depth::Entries => merge(base, node, &|_| Depth::Entry),
                };
                kept.push((key, merged));
            }
        }
    }
    kept
}

/// A list of metric profiles is the `profiles` of a map of metrics, where it meets one.
fn as_metrics(key: Key, base: Node, over: &Node) -> Node {
    if !matches!((&base.value, &over.value), (Value::List(_), Value::Map(_))) {
        return base;
    }
    let key = Key { place: key.place, text: Name::new(PROFILES) };
    Node { place: base.place.clone(), value: Value::Map(vec![(key, base)]) }
}

const fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(own, _)| *own.text == *key).map(|(_, node)| node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::quantity::Factor;
    use firedrill_sim::spec::{Cancel, Engine, Profile, TopicKind};

    use super::*;
    use crate::scenario::{Scenario, read_scenario_with};

    const BASE: &str = "\
schema: scenario/1
scenario: base
faults: [{ crash: { service: api }, at: 1m }]
metrics: [istio]
services:
  api: { template: jvm, replicas: 3, memory: { limit: 2GiB }, work: [cpu: 5ms, call: db] }
  db: { work: [cpu: 2ms], workers: 4 }
  extra: { work: [cpu: 1ms] }
clients: { users: { calls: api, rate: 10/s }, others: { calls: api, closed: { users: 3, think: 1s } } }
";

    fn read(text: &str) -> Result<Scenario, Vec<Problem>> {
        let text = format!("schema: scenario/1\nscenario: own\n{text}");
        read_scenario_with("own.yaml", &text, &|name, _| match name {
            "base" => Ok(Imported { path: "base.yaml".to_owned(), text: BASE.to_owned() }),
            "round" => Ok(Imported { path: "round.yaml".to_owned(), text: "schema: scenario/1\nimport: own.yaml\n".to_owned() }),
            "own.yaml" => Ok(Imported { path: "own.yaml".to_owned(), text: "schema: scenario/1\nimport: round\n".to_owned() }),
            _ => Err("no such file".to_owned()),
        })
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        let problems = read(text).unwrap_err();
        problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_system_is_taken_and_what_is_said_of_it_replaces_what_it_says() {
        let own = "import: base\nservices: { db: { workers: 9 }, extra: ~ }\nclients: { others: { rate: 5/s } }\n";
        let spec = read(own).unwrap().spec;
        let names: Vec<&str> = spec.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["api", "db"], "one is taken away");
        assert_eq!((spec.services[1].workers, spec.services[1].endpoints[0].phases.len()), (Some(9), 1));
        assert_eq!(spec.clients[0].rates.len(), 1, "who has a rate is closed no more");
        assert!(spec.faults.is_empty(), "what happens there is not taken");
        assert_eq!(spec.services[0].profiles, [Profile::Micrometer, Profile::Istio]);
    }

    #[test]
    fn a_template_fills_in_what_a_service_does_not_say() {
        let spec = read("import: base\nservices: { api: { warm_up: { factor: x2 } } }\n").unwrap().spec;
        let api = &spec.services[0];
        assert_eq!((api.replicas, api.workers, api.cores, api.cancel), (3, Some(200), Some(2.0), Cancel::None));
        assert_eq!((api.memory.base, api.memory.limit), (defaults::bytes("template.jvm.memory.base"), Some(defaults_limit())));
        assert_eq!(api.warm_up.unwrap().factor, Factor::new(2.0).unwrap());
    }

    fn defaults_limit() -> firedrill_core::quantity::Bytes {
        firedrill_core::quantity::Bytes::parse("2GiB").unwrap()
    }

    #[test]
    fn every_template_is_sound_and_can_be_overridden() {
        for template in templates("services") {
            let text = format!(
                "services: {{ a: {{ template: {template}, replicas: 2, cores: 3, work: [cpu: 1ms] }} }}\nclients: {{ u: {{ calls: a, rate: 1/s }} }}\n"
            );
            let spec = read(&text).unwrap_or_else(|problems| panic!("{template}: {problems:?}")).spec;
            assert_eq!((spec.services[0].replicas, spec.services[0].cores), (2, Some(3.0)), "{template}");
        }
        for template in templates("topics") {
            let text = format!(
                "topics: {{ t: {{ template: {template}, partitions: 7 }} }}\nservices: {{ a: {{ consumes: t, work: [cpu: 1ms, sleep: 1ms] }}, f: {{ work: [publish: t] }} }}\nclients: {{ u: {{ calls: f, rate: 1/s }} }}\n"
            );
            let spec = read(&text).unwrap_or_else(|problems| panic!("{template}: {problems:?}")).spec;
            assert!(matches!(spec.topics[0].kind, TopicKind::Log(log) if log.partitions == 7), "{template}");
        }
        assert_eq!(templates("services"), ["go", "gunicorn", "jvm", "node", "postgres", "redis"]);
    }

    #[test]
    fn a_postgres_is_a_database_and_a_redis_needs_no_work_of_its_own() {
        let text = "services: { db: { template: postgres, replicas: 2, database: { failover: patroni }, work: [cpu: 1ms] }, kv: { template: redis } }\nclients: { u: { calls: db, rate: 1/s } }\n";
        let spec = read(text).unwrap().spec;
        let (db, kv) = (&spec.services[0], &spec.services[1]);
        let database = db.database.as_ref().unwrap();
        assert_eq!((database.engine, database.max_connections, database.failover.is_automatic), (Engine::Postgres, 100, true));
        assert_eq!((db.workers, db.cores), (Some(8), Some(4.0)), "what is assumed of a database holds beside its template");
        assert_eq!((kv.workers, kv.cores, kv.endpoints[0].phases.len()), (Some(10_000), Some(1.0), 1));
        assert!(kv.database.is_none());
        let own = "services: { kv: { template: redis, endpoints: { /get: { work: [cpu: 20us] } } } }\nclients: { u: { calls: { service: kv, endpoint: /get }, rate: 1/s } }\n";
        assert_eq!(read(own).unwrap().spec.services[0].endpoints.len(), 1, "work of its own replaces that of the template");
    }

    #[test]
    fn a_topic_is_imported_with_its_system() {
        let text = BASE
            .replace("services:\n", "topics: { jobs: { template: kafka } }\nservices:\n  taker: { consumes: jobs, work: [cpu: 1ms] }\n  giver: { work: [publish: jobs] }\n");
        let imports = |name: &str, _: &str| {
            assert_eq!(name, "base");
            Ok(Imported { path: "base.yaml".to_owned(), text: text.clone() })
        };
        let own = "schema: scenario/1\nscenario: own\nimport: base\ntopics: { jobs: { partitions: 3 } }\n";
        let spec = read_scenario_with("own.yaml", own, &imports).unwrap().spec;
        assert!(matches!(spec.topics[0].kind, TopicKind::Log(log) if log.partitions == 3));
    }

    #[test]
    fn what_cannot_be_put_together_is_told_where_it_stands() {
        assert!(refused("import: nowhere\n").contains("`nowhere` cannot be imported: no such file"));
        assert!(refused("import: round\n").contains("own.yaml -> round.yaml -> own.yaml"));
        let template = refused("services: { a: { template: jwm, work: [cpu: 1ms] } }\nclients: { u: { calls: a, rate: 1/s } }\n");
        assert!(template.contains("services have no template `jwm`") && template.contains("jvm"), "{template}");
        let elsewhere = refused("services: { a: { template: kafka, work: [cpu: 1ms] } }\nclients: { u: { calls: a, rate: 1/s } }\n");
        assert!(elsewhere.contains("redis") && !elsewhere.contains("did you mean"), "{elsewhere}");
        let inside = refused("import: base\nclients: { users: { calls: nobody } }\n");
        assert!(inside.contains("own.yaml:"), "{inside}");
        // What is wrong in the imported file is told with that file's name.
        let there = refused("import: base\nservices: { db: ~ }\n");
        assert!(there.contains("base.yaml:6"), "{there}");
    }
}
