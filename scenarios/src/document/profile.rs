//! Metric profiles, by the names of those who expose them.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::yaml::{Node, Reader, Value};
use firedrill_sim::spec::Profile;

use crate::document::metric::{self, MetricDocument};
use crate::document::{items, named};
use crate::problem;

/// The key of a service's `metrics` that names profiles, and is no metric.
pub const PROFILES: &str = "profiles";

/// Reads the `metrics` of a scenario: a list of profiles.
pub fn read(reader: &mut Reader, node: &Node) -> Vec<Located<Profile>> {
    let words = Profile::ALL.map(|profile| (profile.word(), profile));
    items(reader, node, "the metric profiles", |reader, node| {
        reader.one_of(node, "a metric profile", &words).map(|value| Located { place: node.place.clone(), value })
    })
}

/// Reads the `metrics` of a service: a list of profiles, or a map of metrics of its own, among which `profiles` is such a list.
pub fn read_of_service(reader: &mut Reader, node: &Node) -> (Vec<Located<Profile>>, Vec<MetricDocument>) {
    let (list, metrics) = match &node.value {
        Value::List(_) => (Some(node), Vec::new()),
        Value::Map(entries) => {
            let profiles = entries.iter().find(|(key, _)| *key.text == *PROFILES).map(|(_, node)| node);
            let others = entries.iter().filter(|(key, _)| *key.text != *PROFILES).cloned().collect();
            let others = Node { place: node.place.clone(), value: Value::Map(others) };
            (profiles, read_metrics(reader, &others))
        }
        _ => (None, read_metrics(reader, node)),
    };
    let mut profiles = list.map(|node| read(reader, node)).unwrap_or_default();
    profiles.retain(|profile| {
        if profile.value.is_of_cluster() {
            let fault = format!("`{}` tells of the whole cluster, and not of one service", profile.value.word());
            reader.problem(problem::metric(&profile.place, fault, "name it in the `metrics:` of the scenario, beside `services:`"));
        }
        !profile.value.is_of_cluster()
    });
    (profiles, metrics)
}

fn read_metrics(reader: &mut Reader, node: &Node) -> Vec<MetricDocument> {
    let read = |reader: &mut Reader, name: Located<Name>, node: &Node| metric::read(reader, name, node);
    named(reader, node, "the metrics of a service", "the name of a metric", read).into_iter().flatten().collect()
}
