//! `import kubernetes`: the draft of a shop, that it is a scenario as it stands, and what is said of manifests that cannot be taken.

use std::fs;
use std::path::Path;

use crate::common::{firedrill, root, write};

const SHOP: &str = "tests/kubernetes/shop";

#[test]
fn the_draft_of_a_shop_says_what_its_manifests_say_and_marks_what_they_do_not() {
    let done = firedrill(root(), &["import", "kubernetes", SHOP]).exits(0);
    for said in [
        "  loadgenerator: { calls: frontend, rate: 2/s } # assumed: a client, for no Service leads to it",
        "  frontend: # from frontend.yaml\n    replicas: 3\n    disruption_budget: { min_available: 50% }\n",
        "    zones: [a, b, c] # assumed: ",
        "    version: v1.4.2\n    cores: 0.5\n    cpu_request: 0.15\n    memory: { base: 32MiB, request: 96MiB, limit: 128MiB } # assumed: ",
        "      min: 3\n      max: 12\n      cpu: 60%\n      requests: 50/s # assumed: ",
        "      scale_up: { policies: [{ replicas: 2, every: 1m }, { percent: 50%, every: 1m }], select: smallest }\n",
        "      scale_down: { window: 10m }\n    startup: { period: 2s, failures: 30 }\n",
        "    readiness: { initial_delay: 10s, period: 10s, timeout: 2s, path: traffic } # assumed: ",
        "    liveness: { period: 10s, failures: 5 }\n    pre_stop: 10s\n    grace: 45s\n",
        "    rollout: { max_surge: 1, max_unavailable: 0, min_ready: 5s }\n",
        "      - call: redis-cart # assumed: REDIS_ADDR names it\n",
        "      - call: cartservice # assumed: CART_SERVICE_ADDR names it\n",
        "    version: \"7.2\"\n",
        "    rollout: { max_surge: 0%, max_unavailable: 100% }\n",
        "    template: redis # assumed: what it is, by its image\n",
    ] {
        assert!(done.stdout.contains(said), "{said}\n{}", done.stdout);
    }
    for left_out in
        ["1 CronJob: report", "DaemonSet `log-agent`: no Service", "the environment of frontend", "External", "proxy", "values.yaml"]
    {
        assert!(done.stderr.contains(left_out), "{left_out}\n{}", done.stderr);
    }
    let json = firedrill(root(), &["import", "kubernetes", SHOP, "--format", "json"]).exits(0).json();
    assert_eq!(json["yaml"], done.stdout);
    assert_eq!(json["services"], 11);
    assert_eq!(json["assumed"], done.stdout.matches("# assumed: ").count());
    assert_eq!(json["left_out"].as_array().unwrap().len(), done.stderr.lines().count());
}

#[test]
fn a_draft_is_checked_and_run_as_it_is_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shop.yaml").display().to_string();
    let draft = ["import", "kubernetes", "tests/kubernetes/shop/*.y*ml", "--name", "shop", "--out", &out];
    firedrill(root(), &draft).exits(0).says("wrote 11 services");
    let written = fs::read_to_string(&out).unwrap();
    firedrill(folder.path(), &["check", "shop.yaml"]).exits(0);
    // Nobody is hurt in it: what is assumed leaves room.
    let run = firedrill(folder.path(), &["run", "shop.yaml", "--format", "json"]).exits(0).json();
    let requests = &run["outcome"]["nothing"]["requests"];
    let count = |what: &str| requests[what].as_u64().unwrap();
    assert!(count("arrived") > 1000 && count("good") * 1000 > count("arrived") * 995, "{requests}");
    firedrill(root(), &draft).exits(2).says("is there already");
    assert_eq!(fs::read_to_string(&out).unwrap(), written);
}

#[track_caller]
fn refused(manifests: &str, told: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m.yaml", manifests);
    let done = firedrill(folder.path(), &["import", "kubernetes", "m.yaml", "--out", "draft.yaml"]).exits(2);
    told.iter().for_each(|told| assert!(done.stderr.contains(told), "{told}\n{}", done.stderr));
    assert!(!Path::new(&folder.path().join("draft.yaml")).exists() && done.stdout.is_empty());
}

/// A Deployment with these lines in its only container, and a Service.
fn deployment(spec: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: api }}\nspec:\n{spec}  template:\n    metadata: {{ labels: {{ app: api }} }}\n    spec:\n      containers:\n        - name: api\n          ports: [{{ containerPort: 80 }}]\n{container}  selector: {{ matchLabels: {{ app: api }} }}\n"
    )
}

#[test]
fn manifests_that_cannot_be_taken_are_refused_with_place_and_remedy() {
    refused("replicas: 3\n", &["FD0930", "m.yaml:1:1", "kubectl apply"]);
    refused("kind: Deployment\nspec:\n  replicas: {{ .Values.replicas }}\n", &["FD0931", "m.yaml:3:13", "helm template"]);
    let memory = deployment("", "          resources: { limits: { memory: 256MB } }\n");
    refused(&memory, &["FD0932", "m.yaml:11:42", "`memory` is no quantity", "256Mi"]);
    let backwards = deployment("", "          resources: { limits: { cpu: 100m }, requests: { cpu: 1 } }\n");
    refused(&backwards, &["FD0933", "m.yaml:11:64", "asks for 1 core of CPU, and may have 0.1 cores"]);
    let twice = format!("{0}---\n{0}", deployment("", ""));
    refused(&twice, &["FD0934", "m.yaml:13:1", "after m.yaml:1", "kubectl kustomize"]);
    let surge = "  strategy: { rollingUpdate: { maxSurge: some } }\n";
    refused(&deployment(surge, ""), &["FD0935", "m.yaml:5:42", "`maxSurge`"]);
    let missing = "  strategy: { rollingUpdate: { maxUnavailable: 150% } }\n";
    refused(&deployment(missing, ""), &["FD0945", "m.yaml:5:48", "`maxUnavailable` is 150% of the pods", "at most `100%`"]);
    let large = deployment("", "          resources: { limits: { cpu: 20000 } }\n");
    refused(&large, &["FD0938", "m.yaml", "what is said of `api` makes no scenario", "change it there"]);
    refused("apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n", &["FD0936", "Deployments and StatefulSets"]);
    refused(&deployment("  replicas: many\n", ""), &["m.yaml:5:13", "`replicas` must be a whole number"]);
    let scaler = "---\napiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: { name: api }\nspec: { minReplicas: 5, maxReplicas: 2 }\n";
    refused(&(deployment("", "") + scaler), &["FD0937", "m.yaml:16:38", "at least 5 replicas, and at most 2"]);
    refused("- 1\n", &["FD0930", "m.yaml:1:1"]);
}

#[test]
fn files_that_are_not_there_or_hold_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    firedrill(folder.path(), &["import", "kubernetes", "none.yaml"]).exits(2).says("cannot read none.yaml");
    firedrill(folder.path(), &["import", "kubernetes", "empty"]).exits(2).says("`empty` holds no *.yaml file");
    firedrill(folder.path(), &["import", "kubernetes", "deploy/*.yaml"]).exits(2).says("`deploy/*.yaml` holds no *.yaml file");
    firedrill(folder.path(), &["import", "kubernetes", "empty", "--name", "a b"]).exits(2).says("cannot be the name of a scenario");
}
