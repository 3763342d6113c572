//! People's Alertmanager configurations, unchanged: they load, and route as their owners mean them to.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use firedrill_policies::alertmanager::{read_batch, read_config, rehearse, told};

/// Four alerts of a cluster in which a node is gone; `info` alerts are held back as long as nothing worse fires in their namespace.
const ALERTS: &str = "
alerts:
- labels: { alertname: Watchdog, severity: none }
- labels: { alertname: KubeNodeNotReady, severity: critical, namespace: kube-system }
- { labels: { alertname: KubeNodeNotReady, severity: warning, namespace: kube-system }, from: 5s }
- labels: { alertname: CPUThrottlingHigh, severity: info, namespace: default }
- labels: { alertname: InfoInhibitor, severity: none, namespace: default }
until: 10m
";

#[test]
fn the_secret_of_kube_prometheus_loads_and_routes() {
    let corpus = std::env::var_os("FIREDRILL_CORPUS").expect("set FIREDRILL_CORPUS to the corpus folder");
    let path = Path::new(&corpus).join("rules/kube-prometheus/manifests/alertmanager-secret.yaml");
    let config = read_config("alertmanager-secret.yaml", &fs::read_to_string(path).unwrap());
    let config = Arc::new(config.unwrap_or_else(|problems| panic!("{problems:#?}")));
    assert!(config.receivers.len() >= 4 && config.routes.len() >= 4 && config.inhibit_rules.len() >= 3, "{config:#?}");
    let batch = read_batch("alerts.yaml", ALERTS).unwrap();
    let journal = rehearse(&config, batch.rehearsal());
    let heard = |receiver: &str| -> Vec<String> {
        let names = |sets: &[firedrill_core::journal::LabelSet]| {
            sets.iter().map(|labels| format!("{} {}", labels["alertname"], labels["severity"])).collect::<Vec<_>>().join(", ")
        };
        told(&journal, &config, receiver).iter().map(|got| format!("{}: {}", got.at, names(&got.firing))).collect()
    };
    assert_eq!(heard("Critical"), ["30s: KubeNodeNotReady critical"]);
    assert_eq!(heard("Watchdog"), ["30s: Watchdog none"]);
    assert_eq!(heard("null"), ["30s: InfoInhibitor none"]);
    assert_eq!(heard("Default"), [""; 0], "the warning is inhibited by its critical twin, the info by the inhibitor");
}
