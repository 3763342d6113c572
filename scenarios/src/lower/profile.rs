//! Which metric profiles are shown, and what they count of a service's answers.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{Feed, LabelSource, MetricSpec, Profile, ServiceSpec, WorldSpec};

use crate::document::ScenarioDocument;
use crate::problem;

/// Upper bounds of OpenTelemetry's advice for durations of HTTP, seconds (semantic conventions, `http.server.request.duration`).
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The profiles that the cluster shows, in order.
pub fn of_cluster(reader: &mut Reader, document: &ScenarioDocument) -> Vec<Profile> {
    let profiles = document.profiles.iter().filter(|profile| profile.value.is_of_cluster());
    for profile in profiles.clone().filter(|profile| profile.value == Profile::NodeExporter && document.nodes.is_empty()) {
        let fault = "there are no nodes that an exporter could tell of";
        reader.problem(problem::metric(
            &profile.place,
            fault,
            "state the machines, such as `nodes: { blue: { count: 3, cores: 4, memory: 8GiB } }`",
        ));
    }
    for profile in document.profiles.iter().filter(|profile| profile.value == Profile::Redis) {
        let remedy = "write `metrics: [redis-exporter]` at the service that is a Redis";
        reader.problem(problem::metric(&profile.place, "not every service is a Redis that an exporter could tell of", remedy));
    }
    for service in &document.services {
        let asks = service.endpoints.iter().flat_map(|endpoint| &endpoint.work).any(|phase| !phase.calls().is_empty());
        for profile in service.profiles.iter().filter(|profile| profile.value == Profile::Redis && (asks || service.database.is_some())) {
            let remedy = "write `metrics: [redis-exporter]` at the service that is a Redis";
            let fault = format!("`{}` is no Redis: it is a database of another kind, or asks others", service.name.value);
            reader.problem(problem::metric(&profile.place, &fault, remedy));
        }
    }
    in_order(profiles)
}

/// A world with a profile more, for all of its services or its cluster; `None` if it has that already, or nothing that it could tell of.
#[must_use]
pub fn shown_by(spec: &WorldSpec, profile: Profile) -> Option<WorldSpec> {
    if profile == Profile::Prometheus || profile == Profile::Redis || (profile == Profile::NodeExporter && spec.nodes.is_empty()) {
        return None;
    }
    let mut shown = spec.clone();
    if profile.is_of_cluster() {
        shown.profiles.push(profile);
        shown.profiles.sort_unstable();
        return (!spec.profiles.contains(&profile)).then_some(shown);
    }
    for service in shown.services.iter_mut().filter(|service| !service.profiles.contains(&profile)) {
        service.profiles.push(profile);
        service.profiles.sort_unstable();
        expose(service);
    }
    (shown != *spec).then_some(shown)
}

/// Gives each service its profiles, those of the scenario and its own, and the metrics that count its answers under their names. A metric of the
/// service's own that has such a name stands instead.
pub fn complete(document: &ScenarioDocument, services: &mut [ServiceSpec]) {
    for service in services {
        let own = document.services.iter().filter(|own| own.name.value == service.name).flat_map(|own| &own.profiles);
        service.profiles = in_order(document.profiles.iter().filter(|profile| !profile.value.is_of_cluster()).chain(own));
        expose(service);
    }
}

/// Gives a service the metrics that count its answers under the names of its profiles.
fn expose(service: &mut ServiceSpec) {
    for metric in service.profiles.iter().filter_map(|profile| of_answers(*profile)) {
        if !service.metrics.iter().any(|own| own.name == metric.name) {
            service.metrics.push(metric);
        }
    }
    service.metrics.sort_by(|left, right| left.name.cmp(&right.name));
}

fn in_order<'a>(profiles: impl Iterator<Item = &'a Located<Profile>>) -> Vec<Profile> {
    let mut profiles: Vec<Profile> = profiles.map(|profile| profile.value).collect();
    profiles.sort_unstable();
    profiles.dedup();
    profiles
}

/// The response times of a service as a profile tells them.
fn of_answers(profile: Profile) -> Option<MetricSpec> {
    let fixed = |text: &str| LabelSource::Fixed(Name::new(text));
    let by_outcome = |success: &str, error: &str| LabelSource::ByOutcome { success: Name::new(success), error: Name::new(error) };
    let (name, labels) = match profile {
        Profile::OpenTelemetry => (
            "http_server_request_duration_seconds",
            vec![
                ("error_type", LabelSource::ErrorCode),
                ("http_request_method", fixed("GET")),
                ("http_response_status_code", LabelSource::Code),
                ("http_route", LabelSource::Endpoint),
                ("network_protocol_version", fixed("1.1")),
                ("url_scheme", fixed("http")),
            ],
        ),
        Profile::Micrometer => (
            "http_server_requests_seconds",
            vec![
                ("error", fixed("none")),
                ("exception", fixed("none")),
                ("method", fixed("GET")),
                ("outcome", by_outcome("SUCCESS", "SERVER_ERROR")),
                ("status", LabelSource::Code),
                ("uri", LabelSource::Endpoint),
            ],
        ),
        _ => return None,
    };
    let labels = labels.into_iter().map(|(label, source)| (Name::new(label), source)).collect();
    Some(MetricSpec { name: Name::new(name), labels, feed: Feed::Latency { endpoint: None, buckets: BUCKETS.to_vec(), scale: 1.0 } })
}
