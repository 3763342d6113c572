//! Drafts of scenarios from Kubernetes manifests: what the files say is taken, and what no file says is assumed and marked.

mod assumption;
mod autoscaler;
mod cluster;
mod field;
mod page;
mod problem;
mod topology;
mod workload;

use firedrill_core::problem::{Place, Problem, SourceFile};
use firedrill_core::words::counted;
use firedrill_core::yaml::{self, Reader};
use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Cluster;
use page::Page;
use topology::Topology;

use crate::scenario::read_scenario;

/// A file with manifests.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// The path, for messages and comments.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Whether it was named by itself, so that it must hold manifests; of a folder not every file need.
    pub named: bool,
}

/// A scenario as far as manifests tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The scenario file; [`read_scenario`] takes it.
    pub yaml: String,
    /// How many services it has.
    pub services: u64,
    /// How many of its lines hold a guess.
    pub assumed: u64,
    /// What was not taken, a sentence each, lowercase and without an end.
    pub left_out: Vec<String>,
}

/// Drafts a scenario of this name.
///
/// # Errors
/// Every problem of every file: what is no YAML or no manifest, what Kubernetes would refuse of what is taken,
/// an object that stands in the files twice; or nothing in them can be a service.
pub fn draft(name: &str, files: &[ManifestFile]) -> Result<Draft, Vec<Problem>> {
    let mut cluster = Cluster::default();
    let mut problems = Vec::new();
    for file in files {
        if let Err(faults) = add(&mut cluster, file) {
            problems.extend(faults);
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let topology = topology::topology(&cluster);
    let paths: Vec<&str> = files.iter().map(|file| &*file.path).filter(|path| !cluster.strangers.contains(*path)).collect();
    if topology.parts.is_empty() {
        return Err(vec![problem::nothing_that_answers(files.first().map_or("", |file| &file.path), topology.left_out.first())]);
    }
    let page = written(name, &paths, (&cluster, &topology))?;
    let mut left_out: Vec<String> = cluster.others.iter().map(|(kind, names)| kind_left_out(kind, names)).collect();
    left_out.extend(topology.left_out.iter().cloned());
    left_out.extend(page.left_out);
    if cluster.nodes > 0 {
        let nodes = counted(u64::from(cluster.nodes), "Node");
        left_out.push(format!("what {nodes} can hold, so that there is room for everything; `nodes:` of a scenario bounds it"));
    }
    if !cluster.strangers.is_empty() {
        let names: Vec<&str> = cluster.strangers.iter().map(String::as_str).collect();
        left_out.push(format!("{} of folders with what is no manifest: {}", counted(names.len() as u64, "file"), few(&names)));
    }
    if !cluster.beside.is_empty() {
        let kinds: Vec<String> = cluster.beside.iter().map(|(kind, count)| of_kind(*count, kind)).collect();
        left_out.push(format!("what says nothing of how a system behaves: {}", kinds.join(", ")));
    }
    Ok(Draft { services: topology.parts.len() as u64, assumed: page.assumed, yaml: page.text, left_out })
}

/// How the text of a draft is called while it is read.
const DRAFT: &str = "the draft";

/// The draft, which is read as any scenario.
///
/// # Errors
/// Its problems, told of the files.
fn written(name: &str, files: &[&str], (cluster, topology): (&Cluster, &Topology<'_>)) -> Result<Page, Vec<Problem>> {
    let page = page::page(name, files, (cluster, topology));
    match read_scenario(DRAFT, &page.text) {
        Ok(_) => Ok(page),
        Err(problems) => Err(told_of(&page, files.first().copied().unwrap_or_default(), &problems)),
    }
}

/// What a scenario refuses of a draft, told of the files: of the workload that it concerns, or of all, such as a thousand services and more.
fn told_of(page: &Page, first: &str, problems: &[Problem]) -> Vec<Problem> {
    let told = |problem: &Problem| {
        let place = problem.place.as_ref().filter(|place| place.file().path == DRAFT);
        match place.and_then(|place| page.part_at(place.line())) {
            Some((name, path)) => problem::refused(if path.is_empty() { first } else { path }, Some(name.as_str()), problem),
            None => problem::refused(first, None, problem),
        }
    };
    problems.iter().map(told).collect()
}

fn add(cluster: &mut Cluster, file: &ManifestFile) -> Result<(), Vec<Problem>> {
    let documents = match yaml::parse_many(&file.path, &file.text) {
        Ok(documents) => documents,
        // What a folder holds besides manifests need be no YAML that we read.
        Err(_) if !file.named && !claims(&file.text) => {
            cluster.strangers.insert(file.path.clone());
            return Ok(());
        }
        Err(problems) => return Err(template(file).map_or(problems, |problem| vec![problem])),
    };
    let mut reader = Reader::new();
    for document in &documents {
        cluster.add(&mut reader, document, file.named);
    }
    reader.finish().map_err(|problems| {
        // Two questions about one part find the same fault in it.
        let mut told = BTreeSet::new();
        let key = |problem: &Problem| (problem.place.as_ref().map(|place| place.range().start), problem.message.clone());
        problems.into_iter().filter(|problem| told.insert(key(problem))).collect()
    })
}

/// Whether a text begins as manifests do, so that what is wrong with it is worth saying.
fn claims(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.trim_start_matches(['{', ' ', '"']).starts_with(key));
    has("apiVersion") && has("kind")
}

/// The problem of a file that is no YAML because something is to be filled in first.
fn template(file: &ManifestFile) -> Option<Problem> {
    let start = file.text.find("{{")?;
    let end = start + file.text[start..].find("}}")? + 2;
    let source = Arc::new(SourceFile { path: file.path.clone(), text: file.text.clone() });
    Some(problem::template(&Place::new(&source, start, end)))
}

fn kind_left_out(kind: &str, names: &[firedrill_core::name::Name]) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    format!("{}: {}", of_kind(names.len() as u64, kind), few(&names))
}

/// So many objects of a kind, whose names are English words of any ending.
fn of_kind(count: u64, kind: &str) -> String {
    match count {
        count if count > 1 && kind.ends_with("ss") => format!("{count} {kind}es"),
        count if kind.ends_with('s') => format!("{count} {kind}"),
        count => counted(count, kind),
    }
}

/// A few of many names.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn drafted(text: &str) -> Draft {
        let file = ManifestFile { path: "m.yaml".to_owned(), text: text.to_owned(), named: true };
        draft("drafted", &[file]).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// A Deployment and its Service, with an environment.
    fn service(namespace: &str, name: &str, environment: &str) -> String {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec: {{ containers: [{{ name: c, env: [{environment}], resources: {{ limits: {{ memory: 64Mi }} }} }}] }}\n  selector: {{ matchLabels: {{ app: {name} }} }}\n---\napiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec: {{ selector: {{ app: {name} }}, ports: [{{ port: 80 }}] }}\n"
        )
    }

    /// The problems of a file: code, line and message.
    #[track_caller]
    fn refused(text: &str) -> Vec<String> {
        let file = ManifestFile { path: "m.yaml".to_owned(), text: text.to_owned(), named: true };
        let line = |problem: &Problem| problem.place.as_ref().map_or(0, Place::line);
        let told = |problem: &Problem| format!("{} {}:{} {}", problem.code, problem.path, line(problem), problem.message);
        draft("drafted", &[file]).expect_err("Kubernetes refuses it").iter().map(told).collect()
    }

    /// An autoscaler of `web` with these keys after its bound.
    fn scaler(spec: &str) -> String {
        format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: web }}\nspec:\n  scaleTargetRef: {{ kind: Deployment, name: web }}\n  maxReplicas: 8\n  {spec}\n"
        )
    }

    #[track_caller]
    fn has(text: &str, lines: &[&str]) {
        lines.iter().for_each(|line| assert!(text.contains(line), "{line}\n{text}"));
    }

    #[test]
    fn a_call_that_closes_a_circle_is_left_out_and_told() {
        let a = service("default", "a", "{ name: B_URL, value: 'http://b/' }");
        let b = service("default", "b", "{ name: A_URL, value: 'http://a/' }");
        let draft = drafted(&(a + &b));
        has(&draft.yaml, &["users-of-a: { calls: a,", "- call: b # assumed: B_URL names it"]);
        assert!(!draft.yaml.contains("- call: a"), "{}", draft.yaml);
        assert!(draft.left_out[0].starts_with("the call from `b` to `a` (`A_URL`)"), "{:?}", draft.left_out);
    }

    #[test]
    fn a_call_by_the_full_name_of_a_service_finds_one_whose_manifest_names_no_namespace() {
        let unplaced = |name: &str, environment: &str| service("default", name, environment).replace(", namespace: default", "");
        let asks = "{ name: API_URL, value: 'http://api.shop.svc.cluster.local:8080/v1' }";
        let draft = drafted(&(unplaced("web", asks) + &unplaced("api", "")));
        has(&draft.yaml, &["- call: api # assumed: API_URL names it"]);
        assert!(!draft.yaml.contains("users-of-api"), "{}", draft.yaml);
        let elsewhere = drafted(&(unplaced("web", asks) + &service("shelf", "api", "")));
        assert!(!elsewhere.yaml.contains("- call: api"), "an api that says where it stands is not the one of shop: {}", elsewhere.yaml);
    }

    #[test]
    fn a_folder_may_hold_what_is_no_manifest_and_what_is_no_yaml() {
        let file = |path: &str, text: &str, named| ManifestFile { path: path.to_owned(), text: text.to_owned(), named };
        let rule = "cmd: \"echo \\\"{{trigger}}\\\"\"\n: [\n";
        let twice = "- hosts: all\n- { a: 1, a: 2 }\n";
        let files = |named| {
            [file("d/m.yaml", &service("default", "a", ""), false), file("d/rule.yaml", rule, named), file("d/play.yaml", twice, false)]
        };
        let draft = draft("drafted", &files(false)).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!(draft.left_out.iter().any(|told| told.starts_with("2 files of folders with what is no manifest")), "{:?}", draft.left_out);
        assert!(super::draft("drafted", &files(true)).is_err(), "what was named must be a manifest");
    }

    #[test]
    fn services_of_one_name_in_two_namespaces_stay_apart() {
        let near = service("near", "db", "") + &service("near", "api", "{ name: DB_HOST, value: db }");
        let far = service("far", "db", "") + &service("far", "web", "{ name: X, value: 'db.near.svc:5432' }");
        let draft = drafted(&(near + &far));
        has(&draft.yaml, &["  db.near:\n", "  db.far:\n", "  api:\n", "  web:\n"]);
        assert_eq!(draft.yaml.matches("- call: db.near").count(), 2, "{}", draft.yaml);
        assert_eq!(draft.yaml.matches("- call: db.far").count(), 0, "{}", draft.yaml);
    }

    #[test]
    fn a_service_that_is_asked_and_has_nothing_behind_it_stands_for_what_is_elsewhere() {
        let outside =
            "---\napiVersion: v1\nkind: Service\nmetadata: { name: NAME }\nspec: { type: ExternalName, externalName: x.example.com }\n";
        let text =
            service("default", "api", "{ name: DB_HOST, value: db }") + &outside.replace("NAME", "db") + &outside.replace("NAME", "idle");
        let draft = drafted(&text);
        has(&draft.yaml, &["users: { calls: api", "  db:\n    work: [cpu"]);
        assert_eq!(draft.left_out, ["1 Service with no workload behind it in the files, asked by nobody: idle"]);
    }

    #[test]
    fn what_is_not_in_the_files_is_told() {
        let secret = "{ name: DB_URL, valueFrom: { secretKeyRef: { name: s, key: url } } }";
        let draft = drafted(&service("default", "api", secret));
        assert!(draft.left_out[0].starts_with("the environment of api, as far as it stands in Secrets"), "{:?}", draft.left_out);
    }

    #[test]
    fn what_is_open_to_the_outside_has_users_and_what_leads_nowhere_is_told() {
        let open = service("default", "web", "").replace("spec: { selector", "spec: { type: LoadBalancer, selector");
        let asker = service("default", "batch", "{ name: WEB_URL, value: 'http://web/' }");
        let asker = asker.split("---\napiVersion: v1\n").next().unwrap().to_owned();
        let draft = drafted(&(open.clone() + &asker));
        has(&draft.yaml, &["  users: { calls: web,", "  batch: { calls: web,"]);
        // The same without anything behind it, or scaled to 0.
        let alone = open.replace("template:\n", "replicas: 0\n  template:\n");
        let draft = drafted(&(alone + &service("default", "api", "")));
        has(&draft.yaml, &["  users: { calls: web,", "a Service is asked whose Deployment `web` is scaled to 0 in the files"]);
        let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: i }\nspec: { defaultBackend: { service: { name: gone } } }\n";
        let told = drafted(&(service("default", "api", "") + ingress)).left_out;
        assert!(told.iter().any(|told| told.ends_with("no Service `gone` of the namespace `default` is in the files")), "{told:?}");
    }

    #[test]
    fn what_comes_before_containers_and_what_nodes_hold_is_told() {
        let text = service("default", "a", "").replace("spec: { containers", "spec: { initContainers: [{ name: migrate }], containers");
        let node = "---\napiVersion: v1\nkind: Node\nmetadata: { name: n }\nstatus: { allocatable: { cpu: 4 } }\n";
        let told = drafted(&(text + node)).left_out;
        assert!(told.iter().any(|told| told == "`a`: what runs before its containers, and how long that takes: migrate"), "{told:?}");
        assert!(told.iter().any(|told| told.starts_with("what 1 Node can hold")), "{told:?}");
    }

    #[test]
    fn a_scenario_that_refuses_a_draft_is_told_of_the_files() {
        // One file may not hold so many.
        let of_file = |file: usize| -> String { (0..143).map(|number| service("default", &format!("s{file}-{number}"), "")).collect() };
        let file = |number| ManifestFile { path: format!("m{number}.yaml"), text: of_file(number), named: true };
        let files: Vec<ManifestFile> = (0..7).map(file).collect();
        let problems = draft("drafted", &files).unwrap_err();
        assert!(problems.iter().all(|problem| problem.place.is_none() && problem.path == "m0.yaml"), "{problems:?}");
        assert!(problems[0].message.starts_with("what these files say makes no scenario: the number of services is 1001"), "{problems:?}");
    }

    #[test]
    fn what_people_write_into_values_ends_no_line_of_the_draft() {
        let hostile = r#"{ name: "B_URL\nfaults: [x] #", value: "http://b:80" }, { name: "X", value: "b:80\n- call: nobody" }"#;
        let draft = drafted(&(service("default", "a", hostile) + &service("default", "b", "")));
        has(&draft.yaml, &["- call: b # assumed: "]);
        assert!(!draft.yaml.contains("\nfaults"), "{}", draft.yaml);
    }

    #[test]
    fn the_container_that_counts_is_the_one_that_is_said_or_called_so_and_never_a_proxy_beside_it() {
        let two = |first: &str, second: &str, annotation: &str| {
            let text = service("default", "web", "").replace(
                "containers: [{ name: c, env: [], resources: { limits: { memory: 64Mi } } }]",
                &format!("containers: [{{ name: {first}, image: 'i:1', ports: [{{ containerPort: 1 }}] }}, {{ name: {second}, image: 'i:2', ports: [{{ containerPort: 2 }}] }}]"),
            );
            let text = text.replace("labels: { app: web } }\n    spec", &format!("labels: {{ app: web }}{annotation} }}\n    spec"));
            let draft = drafted(&text);
            (draft.yaml.contains("version: \"2\""), draft.left_out)
        };
        assert!(two("istio-proxy", "app", "").0, "a proxy of a mesh is beside what it stands beside");
        assert!(two("agent", "web", "").0, "one is called as its workload");
        assert!(!two("app", "agent", "").0, "else the first");
        let said = ", annotations: { kubectl.kubernetes.io/default-container: agent }";
        let (is_second, left_out) = two("web", "agent", said);
        assert!(is_second, "the pod says which");
        assert!(
            left_out.iter().any(|told| told == "`web`: of the containers beside `agent`, all but what they ask for: web"),
            "{left_out:?}"
        );
    }

    #[test]
    fn a_postgres_and_a_redis_are_drafted_as_such() {
        let of = |name: &str, image: &str| service("default", name, "").replace("name: c,", &format!("name: c, image: '{image}',"));
        let draft = drafted(&(of("kv", "redis:7") + &of("db", "bitnami/postgresql:16") + &of("mem", "memcached:1")));
        has(&draft.yaml, &["  kv:\n    template: redis # assumed: what it is, by its image\n", "  db:\n    template: postgres # assumed"]);
        assert_eq!(draft.yaml.matches("template:").count(), 2, "{}", draft.yaml);
        assert_eq!(draft.yaml.matches("    work:").count(), 2, "a Redis does what its template does: {}", draft.yaml);
    }

    #[test]
    fn what_asks_for_more_than_its_template_has_still_has_its_template() {
        let of = |name: &str, image: &str, resources: &str| {
            let pod = service("default", name, "").replace("name: c,", &format!("name: c, image: '{image}',"));
            pod.replace("limits: { memory: 64Mi }", resources)
        };
        let sound = of("db", "postgres:16", "requests: { memory: 1Gi }");
        let large = of("cache", "redis:7", "requests: { cpu: 2, memory: 8Gi }");
        let draft = drafted(&(large + &sound));
        has(
            &draft.yaml,
            &["  db:\n    template: postgres", "  cache:\n    template: redis", "    memory: { base: 4GiB, request: 8GiB, limit: none } #"],
        );
        // A Postgres that may use all that there is has what it asks for.
        let wide = of("db", "postgres:16", "requests: { cpu: 16 }");
        has(&drafted(&wide).yaml, &["    cores: 16 # assumed: ", "    template: postgres"]);
    }

    #[test]
    fn a_pod_may_ask_for_more_than_its_main_container_may_have() {
        let beside = "{ name: istio-proxy, resources: { requests: { cpu: 100m, memory: 128Mi } } }";
        let guaranteed = "resources: { requests: { cpu: 500m, memory: 256Mi }, limits: { cpu: 500m, memory: 256Mi } } }";
        let text = service("default", "web", "").replace("resources: { limits: { memory: 64Mi } } }", &format!("{guaranteed}, {beside}"));
        has(&drafted(&text).yaml, &["cores: 0.5\n", "cpu_request: 0.6\n", "memory: { base: 128MiB, request: 384MiB, limit: 256MiB }"]);
    }

    #[test]
    fn an_autoscaler_that_goes_by_one_container_is_held_against_what_that_asks_for() {
        let beside = "{ name: istio-proxy, resources: { requests: { cpu: 900m } } }";
        let resources = |own: &str| format!("resources: {{ {own} }} }}, {beside}");
        let web = |own: &str| service("default", "web", "").replace("resources: { limits: { memory: 64Mi } } }", &resources(own));
        let goal = |container: &str| {
            let metric = format!("name: cpu, container: {container}, target: {{ type: Utilization, averageUtilization: 50 }}");
            scaler(&format!("metrics: [{{ type: ContainerResource, containerResource: {{ {metric} }} }}]"))
        };
        let own = drafted(&(web("requests: { cpu: 100m }") + &goal("c")));
        let said =
            "    cpu_request: 0.1 # assumed: what `c` asks for, of which its autoscaler aims at a share; all containers ask for 1 core\n";
        has(&own.yaml, &[said, "      cpu: 50%\n"]);
        // It stands there though it is the limit, for the file says another one of the pod.
        has(&drafted(&(web("limits: { cpu: 100m }") + &goal("c"))).yaml, &["    cores: 0.1\n", said]);
        let memory = goal("c").replace("name: cpu", "name: memory");
        let large = web("requests: { memory: 64Mi }").replace("cpu: 900m", "memory: 4Gi");
        has(
            &drafted(&(large + &memory)).yaml,
            &["    memory: { base: 32MiB, request: 64MiB } # assumed: the request is what `c` asks for", "      memory: 50%\n"],
        );
        let other = drafted(&(web("requests: { cpu: 100m }") + &goal("istio-proxy")));
        assert!(!other.yaml.contains("autoscaler"), "{}", other.yaml);
        assert!(
            other.left_out.iter().any(|told| told.ends_with("not seen here: cpu of the container `istio-proxy`")),
            "{:?}",
            other.left_out
        );
        let without = drafted(&(web("") + &goal("c")));
        assert!(!without.yaml.contains("autoscaler"), "nobody can have a share of nothing: {}", without.yaml);
        let alone = service("default", "web", "").replace("memory: 64Mi", "cpu: 100m");
        has(&drafted(&(alone + &goal("c"))).yaml, &["      cpu: 50%\n"]);
    }

    #[test]
    fn an_autoscaler_that_goes_by_a_share_of_what_one_container_does_not_ask_for_is_marked() {
        let web = service("default", "web", "").replace("memory: 64Mi", "cpu: 100m");
        let by_cpu =
            scaler("metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]");
        let beside = web.replace("containers: [", "containers: [{ name: istio-proxy }, ");
        let before = web.replace("containers: [", "initContainers: [{ name: istio-proxy, restartPolicy: Always }], containers: [");
        let marked = "    cpu_request: 0.1 # assumed: the autoscaler goes by a share of it; no file says what `istio-proxy` asks for, and so Kubernetes";
        for pods in [&beside, &before] {
            has(&drafted(&(pods.clone() + &by_cpu)).yaml, &[marked, "      cpu: 50%\n"]);
            has(&drafted(&(pods.clone() + &scaler(""))).yaml, &[marked]);
            let by_size = by_cpu.replace("averageUtilization: 50", "averageValue: 50m");
            assert!(!drafted(&(pods.clone() + &by_size)).yaml.contains("cpu_request"), "a size is of nothing that is asked for");
        }
        let ends = web.replace("containers: [", "initContainers: [{ name: migrate }], containers: [");
        assert!(!drafted(&(ends + &by_cpu)).yaml.contains("cpu_request"), "who is gone by then need not ask");
        let of_pod = beside.replace("spec: { containers", "spec: { resources: { requests: { cpu: 300m } }, containers");
        has(&drafted(&(of_pod + &by_cpu)).yaml, &["    cores: 0.1\n    cpu_request: 0.3\n"]);
    }

    #[test]
    fn an_autoscaler_that_aims_at_a_size_aims_at_it_whatever_is_asked_for() {
        let size = |size: &str| {
            scaler(&format!(
                "metrics: [{{ type: Resource, resource: {{ name: cpu, target: {{ type: AverageValue, averageValue: {size} }} }} }}]"
            ))
        };
        let web = |resources: &str| service("default", "web", "").replace("limits: { memory: 64Mi }", resources);
        let aims = |resources: &str, aim: &str| drafted(&(web(resources) + &size(aim))).yaml;
        has(
            &aims("requests: { cpu: 1 }", "250m"),
            &["    cpu_request: 1\n", "      cpu: 25% # assumed: 0.25 cores, as a share of what is asked for\n"],
        );
        let told = "# assumed: what its autoscaler aims at, which is told as a share;";
        for (resources, asked) in [("requests: { cpu: 4 }", "all containers ask for 4 cores"), ("", "no file says what is asked for")] {
            has(&aims(resources, "250m"), &[&format!("    cpu_request: 0.25 {told} {asked}\n"), "      cpu: 100% # assumed: 0.25 cores"]);
        }
        has(&aims("requests: { cpu: 10m }", "2"), &["    cpu_request: 2 # assumed: ", "      cpu: 100% # assumed: 2 cores"]);
        let memory = size("100Mi").replace("name: cpu", "name: memory");
        has(
            &drafted(&(web("") + &memory)).yaml,
            &["request: 100MiB } # assumed: the request is what its", "      memory: 100% # assumed: 100MiB, as"],
        );
    }

    #[test]
    fn what_a_pod_asks_for_itself_counts_for_all_of_its_containers() {
        let resources = "resources: { requests: { cpu: 3, memory: 1Gi }, limits: { cpu: 4, memory: 2Gi } }";
        let pod = |of_pod: &str, own: &str| {
            let web = service("default", "web", "").replace("limits: { memory: 64Mi }", own);
            drafted(&(web.replace("spec: { containers", &format!("spec: {{ {of_pod}, containers")) + &scaler(""))).yaml
        };
        has(
            &pod(resources, ""),
            &["    cores: 4\n    cpu_request: 3\n    memory: { base: 512MiB, request: 1GiB, limit: 2GiB } # assumed: base is half"],
        );
        has(&pod(resources, "limits: { cpu: 1 }"), &["    cores: 1\n    cpu_request: 3\n"]);
        let limits = "resources: { limits: { cpu: 4 } }";
        has(&pod(limits, ""), &["    cores: 4\n    autoscaler:"]);
        has(&pod(limits, "requests: { cpu: 1 }"), &["    cores: 4\n    cpu_request: 1\n"]);
    }

    #[test]
    fn a_container_that_starts_before_the_others_and_stays_is_beside_them() {
        let sidecar =
            "spec: { initContainers: [{ name: proxy, restartPolicy: Always, resources: { requests: { cpu: 900m } } }], containers";
        let web = service("default", "web", "").replace("spec: { containers", sidecar).replace("memory: 64Mi", "cpu: 100m");
        let draft = drafted(&web);
        has(&draft.yaml, &["cores: 0.1\n", "cpu_request: 1\n"]);
        assert_eq!(draft.left_out, ["`web`: of the containers beside `c`, all but what they ask for: proxy"]);
    }

    #[test]
    fn what_kubernetes_refuses_of_a_workload_is_refused_where_it_stands() {
        let web = service("default", "web", "");
        let spec = |keys: &str| web.replace("spec:\n  template", &format!("spec:\n  {keys}\n  template"));
        let container = |keys: &str| web.replace("name: c,", &format!("name: c, {keys},"));
        let check = |text: String, wanted: &str| assert_eq!(refused(&text), [wanted], "{text}");
        for none in ["maxSurge: 0, maxUnavailable: 0", "maxSurge: 0%, maxUnavailable: 0"] {
            let strategy = spec(&format!("strategy: {{ rollingUpdate: {{ {none} }} }}"));
            check(strategy, "FD0949 m.yaml:6 no pod may be more than wanted, and none may be missing");
        }
        let some = spec("strategy: { type: Recreate }")
            + &service("default", "b", "")
                .replace("spec:\n  template", "spec:\n  strategy: { rollingUpdate: { maxUnavailable: 0 } }\n  template");
        drafted(&some);
        check(
            container("livenessProbe: { httpGet: { port: 80 }, successThreshold: 2 }"),
            "FD0948 m.yaml:8 the `successThreshold` of the `livenessProbe` is not 1",
        );
        drafted(&container("readinessProbe: { httpGet: { port: 80 }, successThreshold: 2 }"));
        check(container("startupProbe: { periodSeconds: 3 }"), "FD0948 m.yaml:8 the `startupProbe` has nothing to ask");
        check(
            container("readinessProbe: { tcpSocket: { port: 80 }, exec: { command: [a] } }"),
            "FD0948 m.yaml:8 the `readinessProbe` has tcpSocket and exec",
        );
        let sleep = container("lifecycle: { preStop: { sleep: { seconds: 31 } } }");
        check(sleep, "FD0949 m.yaml:8 it sleeps for 31s before it is told to stop, and is killed after 30s");
        let other = web.replace("matchLabels: { app: web }", "matchLabels: { app: api }");
        check(other, "FD0947 m.yaml:9 the selector wants `app: api`, and the pods of the template have no such label");
        let without = web.replace("  selector: { matchLabels: { app: web } }\n", "");
        check(without.clone(), "FD0947 m.yaml:6 the `spec` of a Deployment has no `selector`");
        drafted(&without.replace("apps/v1\n", "apps/v1beta1\n"));
    }

    #[test]
    fn what_kubernetes_refuses_of_names_budgets_and_autoscalers_is_refused_where_it_stands() {
        let web = service("default", "web", "");
        for name in ["Web_1", "web-", "w".repeat(64).as_str()] {
            let told = refused(&web.replace("kind: Service\nmetadata: { name: web", &format!("kind: Service\nmetadata: {{ name: {name}")));
            assert_eq!(told, ["FD0946 m.yaml:13 this can be the name of no Service"], "{name}");
        }
        drafted(
            &web.replace(
                "kind: Deployment\nmetadata: { name: web",
                &format!("kind: Deployment\nmetadata: {{ name: web.{}", "w".repeat(64)),
            ),
        );
        let budget = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: { name: b }\nspec: { minAvailable: 1, maxUnavailable: 1, selector: { matchLabels: { app: web } } }\n";
        assert_eq!(
            refused(&(web.clone() + budget)),
            ["FD0949 m.yaml:19 a PodDisruptionBudget has both `minAvailable` and `maxUnavailable`"]
        );
        let aim = "metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 0 } } }]";
        assert_eq!(refused(&(web.clone() + &scaler(aim))), ["FD0108 m.yaml:22 `averageUtilization` is 0, and must be 1 to 10000"]);
        let behavior = "behavior: { scaleDown: { stabilizationWindowSeconds: 7200 }, scaleUp: { policies: [{ type: Percent, value: 0, periodSeconds: 15 }] } }";
        let told = refused(&(web + &scaler(behavior)));
        assert_eq!(told.len(), 2, "all at once: {told:?}");
        assert!(told.iter().all(|told| told.starts_with("FD0108 m.yaml:22 ")), "{told:?}");
    }

    #[test]
    fn what_kubernetes_refuses_of_the_aim_of_an_autoscaler_and_of_containers_is_refused_where_it_stands() {
        let web = service("default", "web", "");
        let metric = |target: &str| format!("metrics: [{{ type: Resource, resource: {{ name: cpu, target: {{ {target} }} }} }}]");
        let check = |text: String, wanted: &str| assert_eq!(refused(&text), [wanted], "{text}");
        let both = metric("type: Utilization, averageUtilization: 50, averageValue: 100m");
        check(web.clone() + &scaler(&both), "FD0949 m.yaml:22 a metric has both `averageUtilization` and `averageValue`");
        let neither = metric("type: Value, value: 100m");
        check(
            web.clone() + &scaler(&neither),
            "FD0949 m.yaml:22 a metric of a resource has neither `averageUtilization` nor `averageValue`",
        );
        check(web.clone() + &scaler("minReplicas: 0"), "FD0108 m.yaml:22 `minReplicas` is 0, and must be 1 to 10000");
        let beside = format!("minReplicas: 0\n  {}", metric("averageUtilization: 50").replace("]", ", { type: External }]"));
        has(&drafted(&(web.clone() + &scaler(&beside))).yaml, &["      min: 1 # assumed: none, which a scenario cannot say\n"]);
        let name = "FD0949 m.yaml:8 a second container of the pod is called `c`";
        check(web.replace("containers: [", "containers: [{ name: c }, "), name);
        check(web.replace("containers: [", "initContainers: [{ name: c }], containers: ["), name);
    }

    #[test]
    fn whom_a_service_prefers_is_drafted_and_what_else_it_says_is_told() {
        let keys = "trafficDistribution: PreferClose, sessionAffinity: ClientIP, internalTrafficPolicy: Local, externalTrafficPolicy: Cluster, publishNotReadyAddresses: true";
        let web = service("default", "web", "").replace("spec: { selector", &format!("spec: {{ {keys}, selector"));
        let draft = drafted(&web);
        has(&draft.yaml, &["    prefer_zone: true\n"]);
        let told: Vec<&str> =
            draft.left_out.iter().filter_map(|told| told.strip_prefix("Service `web`: its `")?.split('`').next()).collect();
        assert_eq!(told, ["internalTrafficPolicy: Local", "sessionAffinity: ClientIP", "publishNotReadyAddresses: true"]);
        let second = "---\napiVersion: v1\nkind: Service\nmetadata: { name: all }\nspec: { selector: { app: web } }\n";
        has(
            &drafted(&(web.clone() + second)).yaml,
            &["    prefer_zone: true # assumed: Service `web` says it, and `all`, which leads here as well"],
        );
        let node = drafted(&web.replace("PreferClose", "PreferSameNode"));
        assert!(!node.yaml.contains("prefer_zone"), "{}", node.yaml);
        assert!(node.left_out.iter().any(|told| told.contains("its `trafficDistribution: PreferSameNode`")), "{:?}", node.left_out);
    }

    #[test]
    fn an_address_is_found_through_the_variables_that_it_is_made_of() {
        let asks = |environment: &str| drafted(&(service("shop", "web", environment) + &service("shop", "my-db", "")));
        for environment in [
            "{ name: PGH, value: my-db }, { name: DATABASE_URL, value: 'postgres://u:p@$(PGH):5432/x' }",
            "{ name: DATABASE_URL, value: 'postgres://$(U):$(P)@$(MY_DB_SERVICE_HOST):$(MY_DB_SERVICE_PORT)/x' }",
            "{ name: NS, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }, { name: X, value: 'http://my-db.$(NS).svc:80/' }",
        ] {
            let draft = asks(environment);
            has(&draft.yaml, &["- call: my-db # assumed: "]);
            assert!(!draft.yaml.contains("users-of"), "{}", draft.yaml);
            assert_eq!(draft.left_out, [""; 0], "{environment}");
        }
        let argument = asks("{ name: H, value: my-db }").yaml;
        assert!(!argument.contains("- call"), "{argument}");
        let text = (service("shop", "web", "{ name: H, value: my-db }") + &service("shop", "my-db", "")).replacen(
            "name: c,",
            "name: c, args: ['--db=http://$(H):80'],",
            1,
        );
        has(&drafted(&text).yaml, &["- call: my-db # assumed: db names it"]);
        // What comes later is not there yet, as in Kubernetes.
        let gone = asks("{ name: X_URL, value: 'http://$(GONE):80/' }, { name: GONE, value: my-db }");
        assert_eq!(gone.left_out, ["whom `web` asks at `$(GONE)`: no file says what that stands for"]);
    }

    #[test]
    fn what_a_scenario_cannot_say_of_a_rollout_a_probe_a_budget_and_an_autoscaler_is_told() {
        let probe = "livenessProbe: { httpGet: { port: 80 }, terminationGracePeriodSeconds: 3 },";
        let web = service("default", "web", "").replace("spec:\n  template", "spec:\n  paused: true\n  template");
        let web = web.replace("name: c,", &format!("name: c, {probe}"));
        let budget = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: { name: b }\nspec: { minAvailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow, selector: { matchLabels: { app: web } } }\n";
        let told = drafted(&(web + budget + &scaler("behavior: { scaleUp: { tolerance: 0.5 } }"))).left_out;
        for wanted in [
            "`web`: its `paused: true`",
            "`web`: of its liveness probe its `terminationGracePeriodSeconds`",
            "PodDisruptionBudget `b`: its `unhealthyPodEvictionPolicy: AlwaysAllow`",
            "HorizontalPodAutoscaler `web`: the `tolerance: 0.5` of its `scale_up`",
        ] {
            assert!(told.iter().any(|told| told.starts_with(wanted)), "{wanted}: {told:?}");
        }
    }

    #[test]
    fn an_address_outside_of_the_cluster_and_a_call_to_itself_are_told() {
        let environment = "{ name: PAY_URL, value: 'https://api.stripe.com/v1' }, { name: PAYMENTS_ADDR, value: 'pay.example.com:443' }, { name: DATABASE_URL, value: 'postgres://u:p@db.prod.rds.amazonaws.com:5432/x' }, { name: DB_HOST, value: 10.0.0.7 }, { name: BIND_HOST, value: 0.0.0.0 }, { name: SELF, value: 'http://web/' }, { name: CONFIG, value: app.properties }";
        let draft = drafted(&service("default", "web", environment));
        let outside = "`10.0.0.7`, `api.stripe.com`, `db.prod.rds.amazonaws.com`, `pay.example.com`";
        assert!(
            draft.left_out.iter().any(|told| told.starts_with(&format!("whom `web` asks outside of the files, at {outside}: "))),
            "{:?}",
            draft.left_out
        );
        assert!(draft.left_out.iter().any(|told| told.starts_with("the call from `web` to itself (`SELF`)")), "{:?}", draft.left_out);
    }

    #[test]
    fn a_surge_of_more_than_all_is_a_number() {
        let surge = |key: &str| {
            let strategy = format!("spec:\n  replicas: 3\n  strategy: {{ rollingUpdate: {{ {key}: 150% }} }}\n  template");
            service("default", "a", "").replace("spec:\n  template", &strategy)
        };
        has(&drafted(&surge("maxSurge")).yaml, &["    rollout: { max_surge: 5 } # assumed: more than all are a number here"]);
        let file = ManifestFile { path: "m.yaml".to_owned(), text: surge("maxUnavailable"), named: true };
        let problems = draft("drafted", &[file]).unwrap_err();
        assert_eq!((problems[0].code, &*problems[0].message), ("FD0945", "`maxUnavailable` is 150% of the pods, which is more than all"));
    }

    #[test]
    fn what_has_no_deadline_may_wait_for_longer_than_the_usual_one() {
        let waiting = |kind: &str, seconds: u32| {
            let said = format!("spec:\n  minReadySeconds: {seconds}\n  template");
            service("default", "a", "").replace("spec:\n  template", &said).replace("Deployment", kind)
        };
        let rolling = "    rollout: { max_surge: 0%, max_unavailable: 1, min_ready:";
        for kind in ["StatefulSet", "DaemonSet"] {
            has(&drafted(&waiting(kind, 599)).yaml, &[&format!("{rolling} 9m59s }}\n")]);
            has(&drafted(&waiting(kind, 900)).yaml, &[&format!("{rolling} 15m, progress_deadline: 25m }} # assumed: ")]);
        }
        // A Deployment has one, and Kubernetes refuses that as well.
        assert_eq!(refused(&waiting("Deployment", 600)), ["FD0949 m.yaml:6 a pod counts after 10m, and a rollout may stand for 10m"]);
    }

    #[test]
    fn what_a_scenario_refuses_of_one_workload_is_told_of_its_file() {
        let file = |path: &str, text: String| ManifestFile { path: path.to_owned(), text, named: true };
        let large = service("default", "b", "").replace("limits: { memory: 64Mi }", "limits: { cpu: 20000 }");
        let problems = draft("drafted", &[file("a.yaml", service("default", "a", "")), file("b.yaml", large)]).unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!((problem.code, &*problem.path), ("FD0938", "b.yaml"));
        assert!(problem.message.starts_with("what is said of `b` makes no scenario: "), "{problem:?}");
        assert!(problem.remedy.as_ref().is_some_and(|remedy| remedy.starts_with("change it there")), "{problem:?}");
    }

    #[test]
    fn a_call_is_found_in_a_file_of_properties_and_a_tag_is_no_address() {
        let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata:\n  application.properties: \"cart.url=http://cart:8080\\nowner=team@corp.example\"\n";
        let environment =
            "{ name: SIDECAR_IMAGE, value: 'busybox:7' }, { name: MSG, value: 'retry:3 times' }, { name: PAY_ADDR, value: 'pay:80' }";
        let web = service("default", "web", environment).replace("env: [", "envFrom: [{ configMapRef: { name: m } }], env: [");
        let draft = drafted(&(web + &service("default", "cart", "") + map));
        has(&draft.yaml, &["- call: cart # assumed: application.properties names it"]);
        let asked: Vec<&String> = draft.left_out.iter().filter(|told| told.starts_with("whom ")).collect();
        assert_eq!(asked, ["whom `web` asks at `pay`: no Service in the files is called so"]);
    }

    #[test]
    fn what_a_scenario_cannot_say_of_a_set_a_budget_and_an_address_is_told() {
        let asks = "{ name: PAY_URL, value: 'http://payments:8080/v1' }, { name: S_URL, value: 'https://api.stripe.com' }";
        let set = service("default", "q", asks).replace("kind: Deployment", "kind: StatefulSet").replace(
            "spec:\n  template",
            "spec:\n  podManagementPolicy: Parallel\n  updateStrategy: { rollingUpdate: { partition: 2 } }\n  volumeClaimTemplates: [{ metadata: { name: data }, spec: { resources: { requests: { storage: 10Gi } } } }]\n  template",
        );
        let budget = |name: &str, selector: &str| {
            format!(
                "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{ name: {name} }}\nspec: {{ minAvailable: 1, selector: {selector} }}\n"
            )
        };
        let budgets = budget("idle", "{ matchLabels: { app: gone } }")
            + &budget("by", "{ matchExpressions: [] }")
            + &budget("own", "{ matchLabels: { app: q } }");
        let told = drafted(&(set + &budgets)).left_out;
        for wanted in [
            "`q`: the `partition: 2`",
            "`q`: its `podManagementPolicy: Parallel`",
            "`q`: its volume `data` of 10Gi",
            "PodDisruptionBudget `idle`: it chooses the pods of no workload",
            "PodDisruptionBudget `by`: its selector names no labels",
            "whom `q` asks at `payments`: no Service",
        ] {
            assert!(told.iter().any(|told| told.starts_with(wanted)), "{wanted}: {told:?}");
        }
        assert!(!told.iter().any(|told| told.contains("`own`")), "{told:?}");
        assert!(told.iter().any(|told| told.starts_with("whom `q` asks outside of the files, at `api.stripe.com`: ")), "{told:?}");
    }

    #[test]
    fn a_service_with_little_cpu_is_asked_little() {
        let small = service("default", "a", "").replace("memory: 64Mi", "cpu: 10m");
        has(&drafted(&small).yaml, &["rate: 20/m", "keeps two thirds of its CPU", "cores: 0.01\n"]);
    }

    #[test]
    fn an_autoscaler_without_a_bound_is_refused_though_another_key_looks_like_it() {
        let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: a }\n";
        for spec in ["spec: { scaleTargetRef: { kind: Deployment, name: a }, minReplicas: 5 }\n", "spec: ~\n", ""] {
            let text = service("default", "a", "") + scaler + spec;
            let file = ManifestFile { path: "m.yaml".to_owned(), text, named: true };
            let problems = draft("drafted", &[file]).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains("has no `maxReplicas`")), "{problems:?}");
        }
    }

    #[test]
    fn an_autoscaler_of_what_asks_for_nothing_is_drafted_with_what_it_needs() {
        let scaler = "---\napiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: { name: a }\nspec: { scaleTargetRef: { kind: Deployment, name: a }, minReplicas: 2, maxReplicas: 4, targetCPUUtilizationPercentage: 70 }\n";
        let draft = drafted(&(service("default", "a", "") + scaler));
        has(&draft.yaml, &["replicas: 2 # assumed: ", "cpu_request: 0.5 # assumed: ", "      max: 4\n      cpu: 70%\n"]);
    }
}
