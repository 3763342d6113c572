//! What a caller's proxy says of a service whose replicas it may leave out, by Envoy's names (docs/MODEL.md 4.3).

use firedrill_telemetry::labels::LabelsBuilder;

use super::named;
use super::page::Sheet;
use crate::outlier::Counts;
use crate::spec::EjectionSpec;
use crate::world::{View, World};

/// Those that count, though their names do not end as those of counters do.
pub(super) const COUNTERS: [&str; 5] = [
    "envoy_cluster_lb_healthy_panic",
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx",
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_gateway_failure",
    "envoy_cluster_outlier_detection_ejections_enforced_success_rate",
    "envoy_cluster_outlier_detection_ejections_overflow",
];

/// Puts the lines about a service as one caller sees it; none where neither Envoy's detection of outliers is asked for nor its profile, `in_full`.
pub(super) fn put(sheet: &mut Sheet<'_>, world: &World, (service, view): (u32, Option<&View>), labels: &LabelsBuilder, in_full: bool) {
    let spec = &world.spec.services[service as usize];
    let is_detecting = spec.balancing.as_ref().is_some_and(|balancing| matches!(balancing.ejection, Some(EjectionSpec::Outliers(_))));
    if !is_detecting && !in_full {
        return;
    }
    let labels = labels.clone().set("envoy_cluster_name", spec.name.as_str());
    let [panic, five, gateway, rate, overflow] = COUNTERS;
    let count = |count: fn(&Counts) -> u64| view.and_then(View::counts).map_or(0, count) as f64;
    let ready = world.services[service as usize].ready.len();
    // Who has not looked yet will find all that are ready.
    let lines = [
        ("envoy_cluster_membership_total", view.map_or(ready, View::known) as f64),
        ("envoy_cluster_membership_healthy", view.map_or(ready, View::healthy) as f64),
        (panic, view.map_or(0, |view| view.in_panic) as f64),
        ("envoy_cluster_outlier_detection_ejections_active", f64::from(view.map_or(0, View::ejected))),
        ("envoy_cluster_outlier_detection_ejections_enforced_total", count(Counts::ejections)),
        (five, count(|counts| counts.consecutive_5xx)),
        (gateway, count(|counts| counts.gateway_failure)),
        (rate, count(|counts| counts.success_rate)),
        (overflow, count(|counts| counts.overflow)),
    ];
    for (metric, value) in lines {
        sheet.put(Some(value), || named(metric, &labels));
    }
}
