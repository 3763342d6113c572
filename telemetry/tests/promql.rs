//! What PromQL means here, told in scripts of the test language; the corpus holds Prometheus' own, which `cargo test --test corpus` runs.

use firedrill_telemetry::promqltest::{Outcome, run};

/// Loads the series, evaluates at a time, and compares with the expected lines.
#[track_caller]
fn check(load: &str, evaluation: &str, expected: &str) {
    let script = format!("load 1m\n{load}\n\neval {evaluation}\n{expected}\n");
    let report = run("script", &script).expect("a script");
    let [only] = &report.evaluations[..] else { panic!("one evaluation") };
    assert_eq!(only.outcome, Outcome::Passed, "{}", only.expression);
}

const REQUESTS: &str = r#"
requests_total{service="a",code="200",pod="a-1"} 0+60x10
requests_total{service="a",code="500",pod="a-1"} 0+6x10
requests_total{service="a",code="200",pod="a-2"} 0+120x10
requests_total{service="b",code="200",pod="b-1"} 0+30x10"#;

#[track_caller]
fn check_requests(evaluation: &str, expected: &str) {
    check(REQUESTS.trim(), evaluation, expected);
}

#[test]
fn an_instant_selector_sees_the_newest_sample_of_the_last_five_minutes() {
    check("up 1 0", "instant at 1m up", "up 0");
    check("up 1 0", "instant at 359s up", "up 0");
    check("up 1 0", "instant at 6m up", "");
    check("up 1 0", "instant at 30s up", "up 1");
}

#[test]
fn a_staleness_marker_ends_a_series_at_once_and_is_no_sample() {
    check("up 1 stale _ 1", "instant at 90s up", "");
    check("up 1 stale _ 1", "instant at 3m up", "up 1");
    check("up 1 stale _ 1", "instant at 3m count_over_time(up[3m1s])", "{} 2");
    check("up stale", "instant at 0m absent(up)", "{} 1");
}

#[test]
fn windows_are_open_on_their_older_end() {
    check("x 1 2 4 8", "instant at 3m sum_over_time(x[2m])", "{} 12");
    check("x 1 2 4 8", "instant at 3m sum_over_time(x[2m] offset 1m)", "{} 6");
    check("x 1 2 4 8", "instant at 0m sum_over_time(x[2m] @ 180)", "{} 12");
    check("x 1 2 4 8", "instant at 3m x[2m]", "expect range vector from 2m to 3m step 1m\nx 4 8");
}

#[test]
fn rates_are_summed_by_label() {
    check_requests("instant at 10m sum by (service) (rate(requests_total[5m]))", "{service=\"a\"} 3.1\n{service=\"b\"} 0.5");
    check_requests(
        "instant at 10m sum by (service) (rate(requests_total{code=~\"5..\"}[5m])) / sum by (service) (rate(requests_total[5m]))",
        "{service=\"a\"} 0.03225806451612903",
    );
    check_requests("instant at 10m count without (pod, code) (requests_total)", "{service=\"a\"} 3\n{service=\"b\"} 1");
    check_requests("instant at 10m topk(1, sum by (pod) (rate(requests_total[5m])))", "{pod=\"a-2\"} 2");
    check_requests(
        "instant at 10m bottomk by (service) (1, requests_total{code=\"200\"})",
        "requests_total{service=\"a\",code=\"200\",pod=\"a-1\"} 600\nrequests_total{service=\"b\",code=\"200\",pod=\"b-1\"} 300",
    );
}

#[test]
fn comparisons_filter_and_with_bool_they_tell() {
    check_requests("instant at 1m requests_total > 100", "requests_total{service=\"a\",code=\"200\",pod=\"a-2\"} 120");
    check_requests("instant at 1m sum by (service) (requests_total) > bool 100", "{service=\"a\"} 1\n{service=\"b\"} 0");
    check("x 1", "instant at 0m 2 > x", "x 1");
    check("x 1", "instant at 0m x > NaN", "");
}

#[test]
fn vectors_match_by_their_labels_and_many_to_one_only_when_asked() {
    let limits = "used{pod=\"1\",zone=\"z\"} 5\nused{pod=\"2\",zone=\"z\"} 8\nlimit{zone=\"z\",tier=\"gold\"} 10";
    check(
        limits,
        "instant at 0m used / on (zone) group_left (tier) limit",
        "{pod=\"1\",zone=\"z\",tier=\"gold\"} 0.5\n{pod=\"2\",zone=\"z\",tier=\"gold\"} 0.8",
    );
    check(limits, "instant at 0m limit * on (zone) group_right used", "{pod=\"1\",zone=\"z\"} 50\n{pod=\"2\",zone=\"z\"} 80");
    check(limits, "instant at 0m used / on (zone) limit", "expect fail");
    check(limits, "instant at 0m limit / on (zone) used", "expect fail");
    check(limits, "instant at 0m used - ignoring (zone, pod) group_left used", "expect fail");
}

#[test]
fn set_operators_keep_elements_as_they_are() {
    let series = "a{x=\"1\"} 1\na{x=\"2\"} 2\nb{x=\"2\"} 3\nb{x=\"3\"} 4";
    check(series, "instant at 0m a and b", "a{x=\"2\"} 2");
    check(series, "instant at 0m a unless b", "a{x=\"1\"} 1");
    check(series, "instant at 0m a or b", "a{x=\"1\"} 1\na{x=\"2\"} 2\nb{x=\"3\"} 4");
    check(series, "instant at 0m a and on () b", "a{x=\"1\"} 1\na{x=\"2\"} 2");
    check(series, "instant at 0m a and on () (b > 9)", "");
}

#[test]
fn names_are_dropped_by_whatever_changes_the_meaning_of_a_value() {
    check("a 4", "instant at 0m -a", "{} -4");
    check("a 4", "instant at 0m sqrt(a)", "{} 2");
    check("a 4", "instant at 0m a + 0", "{} 4");
    check("a 4", "instant at 0m last_over_time(a[1m])", "a 4");
    check("a 4", "instant at 0m max_over_time(a[1m])", "{} 4");
    check("a 4\nb 9", "instant at 0m sqrt({__name__=~\"a|b\"})", "expect fail");
    check("a 4", "instant at 0m label_replace(sqrt(a), \"__name__\", \"root_$1\", \"__name__\", \"(.*)\")", "root_a 2");
    check("a 0+60x5\nb 0+30x5", "instant at 5m rate(a[5m]) > ignoring (x) rate(b[5m])", "{} 1");
}

#[test]
fn quantiles_come_from_buckets() {
    let buckets = "h_bucket{le=\"0.1\"} 0+50x5\nh_bucket{le=\"0.2\"} 0+90x5\nh_bucket{le=\"+Inf\"} 0+100x5";
    check(buckets, "instant at 5m histogram_quantile(0.25, rate(h_bucket[5m]))", "{} 0.05");
    check(buckets, "instant at 5m histogram_quantile(0.99, sum by (le) (rate(h_bucket[5m])))", "{} 0.2");
    check(buckets, "instant at 5m histogram_fraction(0, 0.1, rate(h_bucket[5m]))", "{} 0.5");
}

#[test]
fn absence_is_told_with_the_labels_that_were_asked_for() {
    check("up{job=\"a\"} 1", "instant at 0m absent(up{job=\"b\",zone!=\"x\"})", "{job=\"b\"} 1");
    check("up{job=\"a\"} 1", "instant at 0m absent(up{job=\"a\"})", "");
    check("up{job=\"a\"} 1", "instant at 0m absent(sum(up{job=\"b\"}))", "{} 1");
    check("up{job=\"a\"} 1", "instant at 10m absent_over_time(up{job=\"a\"}[5m])", "{job=\"a\"} 1");
}

#[test]
fn subqueries_step_at_multiples_of_their_step() {
    check("x 1 2 4 8", "instant at 190s sum_over_time(x[2m:1m])", "{} 12");
    check("x 1 2 4 8", "instant at 190s max_over_time(sum_over_time(x[2m])[3m:30s])", "{} 12");
    check("x 1 2 4 8", "instant at 3m sum_over_time(vector(time())[1m:30s])", "{} 330");
}

#[test]
fn time_is_the_time_of_evaluation_and_timestamps_are_those_of_samples() {
    check("x 1 2", "instant at 90s time() - timestamp(x)", "{} 30");
    check("x 1 2", "instant at 90s timestamp(x + 0)", "{} 90");
    check("x 1 2", "instant at 90m hour()", "{} 1");
    check("x 1 2", "range from 0 to 2m step 1m time() * 2", "{} 0 120 240");
}

#[test]
fn aggregations_of_values_are_exact_where_floats_allow_it() {
    let values = "x{i=\"1\"} 1e100\nx{i=\"2\"} 1\nx{i=\"3\"} -1e100\nx{i=\"4\"} 1";
    check(values, "instant at 0m sum(x)", "{} 2");
    check(values, "instant at 0m avg(x)", "{} 0.5");
    check("x{i=\"1\"} 1\nx{i=\"2\"} 3", "instant at 0m stdvar(x)", "{} 1");
    check("x{i=\"1\"} 1\nx{i=\"2\"} 3", "instant at 0m quantile(0.5, x)", "{} 2");
    check("x{i=\"1\"} 1.5\nx{i=\"2\"} 1.5\nx{i=\"3\"} 2", "instant at 0m count_values(\"v\", x)", "{v=\"1.5\"} 2\n{v=\"2\"} 1");
    check("x{i=\"1\"} 1\nx{i=\"2\"} NaN", "instant at 0m max(x)", "{} 1");
    check("x 1", "instant at 0m topk(NaN, x)", "expect fail");
}

#[test]
fn a_range_joins_what_each_step_yields() {
    check("x 1 _ 3", "range from 0 to 3m step 1m x > 1", "x _ _ 3 3");
    check("a 1 stale\nb 3 4", "range from 0 to 1m step 1m -a or -b", "{} -1 -4");
}
