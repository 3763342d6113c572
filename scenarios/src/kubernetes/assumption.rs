//! What no manifest says and a scenario needs: what a request costs, and how many ask.

use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;

use crate::defaults;
use crate::kubernetes::topology::Topology;

/// What a request of a part costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// As a step of work.
    pub step: &'static str,
    /// Its mean, ms of CPU.
    pub mean_ms: f64,
    /// Why this and nothing else.
    pub why: &'static str,
}

/// A service of which nothing is known.
const SERVICE: Work = Work { step: "cpu: { lognormal: { mean: 5ms, cv: 1 } }", mean_ms: 5.0, why: "what a request costs" };
/// What keeps data in memory.
const CACHE: Work = Work { step: "cpu: { lognormal: { mean: 500us, cv: 1 } }", mean_ms: 0.5, why: "what a cache needs, by its image" };
/// What keeps data; queries differ more than requests do.
const DATABASE: Work = Work { step: "cpu: { lognormal: { mean: 5ms, cv: 2 } }", mean_ms: 5.0, why: "what a database needs, by its image" };

/// What a request likely costs, by the image that answers it.
#[must_use]
pub fn work(image: Option<&Name>) -> Work {
    const CACHES: [&str; 5] = ["redis", "valkey", "memcached", "dragonfly", "keydb"];
    const DATABASES: [&str; 12] = [
        "postgres",
        "mysql",
        "mariadb",
        "mongo",
        "cassandra",
        "cockroach",
        "elasticsearch",
        "opensearch",
        "mssql",
        "oracle",
        "clickhouse",
        "neo4j",
    ];
    let name = image.map_or("", |image| repository(image).rsplit('/').next().unwrap_or_default()).to_lowercase();
    let is_any = |words: &[&str]| words.iter().any(|word| name.contains(word)) && !name.contains("exporter");
    match () {
        () if is_any(&CACHES) => CACHE,
        () if is_any(&DATABASES) => DATABASE,
        () => SERVICE,
    }
}

/// The template of a service that an image has.
#[must_use]
pub fn template(image: &Name) -> Option<&'static str> {
    let name = repository(image).rsplit('/').next().unwrap_or_default().to_lowercase();
    match &*name {
        "postgres" | "postgresql" | "postgis" | "timescaledb" => Some("postgres"),
        "redis" | "valkey" | "keydb" => Some("redis"),
        _ => None,
    }
}

/// The memory at which a template's replicas are killed, if it says so.
#[must_use]
pub fn limit(template: &str) -> Option<Bytes> {
    defaults::ALL.iter().find(|entry| entry.key == format!("template.{template}.memory.limit")).map(|entry| defaults::bytes(entry.key))
}

/// The cores that replicas of a template have, if it is a database, which can use more where it has them; other templates say what they can use.
#[must_use]
pub fn cores(template: &str) -> Option<f64> {
    let is_database = defaults::ALL.iter().any(|entry| entry.key == format!("template.{template}.database.engine"));
    is_database.then(|| defaults::number("database.cores"))
}

/// An image without its tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// The tag of an image, if it says which version it is.
#[must_use]
pub fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    let tag = &image[repository(image).len()..];
    // What is to be filled in yet is no version.
    let is_name = |tag: &str| tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    tag.strip_prefix(':').filter(|tag| !tag.is_empty() && *tag != "latest" && is_name(tag))
}

/// How often each client asks, and why so often: nobody is busy beyond a third or so from the start.
#[must_use]
pub fn rate(topology: &Topology<'_>, cores: impl Fn(usize) -> Option<f64>) -> (String, String) {
    const MOST_A_SECOND: f64 = 20.0;
    const MOST_CALLS_A_SECOND: f64 = 5000.0;
    const BUSY: f64 = 0.3;
    let load = load(topology);
    let mut most = (MOST_A_SECOND.min(MOST_CALLS_A_SECOND / load.iter().sum::<f64>()), "how many ask".to_owned());
    for (index, part) in topology.parts.iter().enumerate() {
        let mean = work(part.workload.and_then(|workload| workload.pod.image.as_ref())).mean_ms / 1e3;
        let Some(cores) = cores(index) else { continue };
        let limit = BUSY * cores / (load[index] * mean);
        if limit < most.0 {
            most = (limit, format!("how many ask, so few that `{}` keeps two thirds of its CPU", part.name));
        }
    }
    (written(most.0), most.1)
}

/// How many requests reach each part for one of every client.
fn load(topology: &Topology<'_>) -> Vec<f64> {
    let mut load = vec![0.0; topology.parts.len()];
    let mut open = vec![0_usize; topology.parts.len()];
    topology.clients.iter().for_each(|client| load[client.asks] += 1.0);
    topology.parts.iter().flat_map(|part| &part.calls).for_each(|call| open[call.to] += 1);
    let mut ready: Vec<usize> = (0..open.len()).filter(|index| open[*index] == 0).collect();
    while let Some(part) = ready.pop() {
        for call in &topology.parts[part].calls {
            load[call.to] += load[part];
            open[call.to] -= 1;
            if open[call.to] == 0 {
                ready.push(call.to);
            }
        }
    }
    load
}

/// A rate that is no more than this, in a round figure.
fn written(a_second: f64) -> String {
    let (rate, unit) =
        [(a_second, "s"), (a_second * 60.0, "m")].into_iter().find(|(rate, _)| *rate >= 1.0).unwrap_or((a_second * 3600.0, "h"));
    let rounds = [1, 2, 5, 10, 20, 50];
    let rate = rounds.into_iter().rev().find(|round| f64::from(*round) <= rate).unwrap_or(1);
    format!("{rate}/{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_tells_its_version_and_what_it_is() {
        assert_eq!(tag("registry:5000/shop/cart:v1.2"), Some("v1.2"));
        assert_eq!(tag("registry:5000/shop/cart"), None);
        assert_eq!(tag("redis:latest"), None);
        assert_eq!(tag("redis:${TAG}"), None);
        assert_eq!(tag("cart:v1@sha256:0123"), Some("v1"));
        assert_eq!(work(Some(&Name::new("docker.io/library/redis:alpine"))), CACHE);
        assert_eq!(work(Some(&Name::new("bitnami/postgresql:16"))), DATABASE);
        assert_eq!(work(Some(&Name::new("oliver006/redis_exporter"))), SERVICE);
        assert_eq!(work(None), SERVICE);
        let templates = ["bitnami/postgresql:16", "redis:7-alpine", "oliver006/redis_exporter", "memcached:1"];
        assert_eq!(templates.map(|image| template(&Name::new(image))), [Some("postgres"), Some("redis"), None, None]);
    }

    #[test]
    fn templates_say_at_which_memory_they_are_killed() {
        assert_eq!(["redis", "postgres", "of-nobody"].map(limit), [Some(Bytes::new(1 << 30)), Some(Bytes::new(8 << 30)), None]);
    }

    #[test]
    fn rates_are_round_and_never_none() {
        assert_eq!([20.0, 19.0, 1.0, 0.9, 0.02, 0.001, 1e-9].map(written), ["20/s", "10/s", "1/s", "50/m", "1/m", "2/h", "1/h"]);
    }
}
