//! Faults of monitoring (docs/MODEL.md 4.5): each shows what it should and nothing else, and none of them touches the world.

use std::sync::Arc;

use crate::common::*;
use crate::worlds::some_world;
use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_sim::spec::*;
use firedrill_sim::{Automation, Finished, Idle, Options, Run, Trunk, universe};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::{Store, is_stale};
use proptest::prelude::*;

/// A service with two replicas behind a client, for five minutes.
fn shop() -> WorldSpec {
    let mut api = service("api", vec![Phase::Cpu(exponential(0.01))]);
    (api.replicas, api.workers) = (2, Some(8));
    world(300, vec![api], vec![client("users", "api", 20.0)])
}

/// A fault from 100 s to 200 s.
fn wrong(kind: MonitoringFault) -> MonitoringFaultSpec {
    let lasting = (!matches!(kind, MonitoringFault::CounterReset { .. })).then(|| Span::from_seconds(100));
    MonitoringFaultSpec { name: Name::new("wrong"), at: at(100), lasting, kind }
}

fn seen(mut spec: WorldSpec, kind: MonitoringFault) -> Finished<Idle> {
    spec.monitoring = vec![wrong(kind)];
    Run::new(Arc::new(spec), Seed(1), Options::default(), Idle).finish()
}

fn plain() -> Finished<Idle> {
    Run::new(Arc::new(shop()), Seed(1), Options::default(), Idle).finish()
}

fn api_0() -> Watched {
    Watched::Replica(Name::new("api-0"))
}

/// Samples of the one series that fits, by second since the start; `None` is a staleness marker.
#[track_caller]
fn samples(finished: &Finished<Idle>, matchers: &str) -> Vec<(f64, Option<f64>)> {
    let found = finished.telemetry.select(&parse_matchers(matchers).expect("matchers"));
    assert_eq!(found.len(), 1, "{matchers} selects one series");
    let start = Start::default().unix_millis();
    let values = finished.telemetry.values(found[0]).iter().map(|value| Some(*value).filter(|value| !is_stale(*value)));
    finished.telemetry.times(found[0]).iter().map(|time| (time - start) as f64 / 1e3).zip(values).collect()
}

const UP: &str = r#"__name__="up",pod="api-0""#;
const REQUESTS: &str = r#"__name__="http_requests_total",pod="api-0",code="200""#;

fn is_during(second: f64) -> bool {
    (100.0..200.0).contains(&second)
}

#[test]
fn a_scrape_that_fails_gives_up_zero_and_one_marker_for_everything_else() {
    let finished = seen(shop(), MonitoringFault::ScrapeLoss { of: api_0(), share: share(1.0) });
    for (second, up) in samples(&finished, UP) {
        assert_eq!(up, Some(if is_during(second) { 0.0 } else { 1.0 }), "at {second}");
    }
    let requests = samples(&finished, REQUESTS);
    let during: Vec<_> = requests.iter().filter(|(second, _)| is_during(*second)).collect();
    assert!(matches!(during.as_slice(), [(_, None)]), "one marker: {during:?}");
    // Every other sample is what it would have been, of this target and of all others.
    let plain = plain();
    let kept: Vec<_> = requests.iter().filter(|(second, _)| !is_during(*second)).copied().collect();
    let expected: Vec<_> = samples(&plain, REQUESTS).into_iter().filter(|(second, _)| !is_during(*second)).collect();
    assert_eq!(kept, expected);
    let other = r#"__name__="http_requests_total",pod="api-1",code="200""#;
    assert_eq!(samples(&finished, other), samples(&plain, other));
}

#[test]
fn a_share_of_scrapes_fails_each_by_its_own_luck() {
    let mut spec = shop();
    (spec.horizon, spec.scrape.interval) = (Span::from_minutes(60), Span::from_seconds(1));
    let mut half = wrong(MonitoringFault::ScrapeLoss { of: Watched::Job(Name::new("api")), share: share(0.3) });
    half.lasting = None;
    spec.monitoring = vec![half];
    let finished = Run::new(Arc::new(spec), Seed(1), Options::default(), Idle).finish();
    let lost = |pod: &str| -> Vec<bool> {
        let up = samples(&finished, &format!("__name__=\"up\",pod=\"{pod}\""));
        up.into_iter().filter(|(second, _)| *second >= 100.0).map(|(_, up)| up == Some(0.0)).collect()
    };
    let (left, right) = (lost("api-0"), lost("api-1"));
    let count = |lost: &[bool]| lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
    assert!((count(&left) - 0.3).abs() < 0.03 && (count(&right) - 0.3).abs() < 0.03, "{} {}", count(&left), count(&right));
    let both = left.iter().zip(&right).filter(|(left, right)| **left && **right).count() as f64 / left.len() as f64;
    assert!((both - 0.09).abs() < 0.03, "no target's luck is another's: {both}");
    assert!(samples(&finished, r#"__name__="up",job="kube-state-metrics""#).iter().all(|(_, up)| *up == Some(1.0)));
}

#[test]
fn frozen_series_stand_still_and_then_catch_up() {
    let finished = seen(shop(), MonitoringFault::FrozenSeries { of: api_0() });
    let requests = samples(&finished, REQUESTS);
    let before = requests.iter().rev().find(|(second, _)| *second < 100.0).unwrap().1;
    let during: Vec<_> = requests.iter().filter(|(second, _)| is_during(*second)).map(|(_, value)| *value).collect();
    assert!(during.len() >= 6 && during.iter().all(|value| *value == before), "{during:?}");
    assert!(samples(&finished, UP).iter().all(|(_, up)| *up == Some(1.0)));
    assert_eq!(requests.last(), samples(&plain(), REQUESTS).last());
}

#[test]
fn late_series_arrive_with_their_own_times_and_in_their_order() {
    let late = MonitoringFault::LateSeries { of: api_0(), by: Span::from_seconds(40) };
    let finished = seen(shop(), late.clone());
    // In the end nothing is missing.
    assert_eq!(samples(&finished, REQUESTS), samples(&plain(), REQUESTS));
    assert_eq!(samples(&finished, UP), samples(&plain(), UP));
    let mut spec = shop();
    spec.monitoring = vec![wrong(late)];
    let mut run = Run::new(Arc::new(spec), Seed(1), Options::default(), Idle);
    run.advance_to(at(190));
    let newest = |run: Run<Idle>| samples(&run.finish(), REQUESTS).len();
    let whole = newest(run.clone());
    // Cut off while it is late, the series ends about forty seconds ago.
    let mut short = shop();
    short.horizon = Span::from_seconds(190);
    short.monitoring = vec![wrong(MonitoringFault::LateSeries { of: api_0(), by: Span::from_seconds(40) })];
    let cut = Run::new(Arc::new(short), Seed(1), Options::default(), Idle).finish();
    let last = samples(&cut, REQUESTS).last().unwrap().0;
    assert!((120.0..=150.0).contains(&last), "{last}");
    assert!(samples(&cut, REQUESTS).len() < whole);
}

#[test]
fn a_scaled_metric_is_shown_in_another_unit_and_nothing_else_is() {
    let metric = Name::new("http_requests_total");
    let finished = seen(shop(), MonitoringFault::ScaledSeries { of: api_0(), metric, factor: factor(1000.0) });
    for ((second, shown), (_, value)) in samples(&finished, REQUESTS).into_iter().zip(samples(&plain(), REQUESTS)) {
        let factor = if is_during(second) { 1000.0 } else { 1.0 };
        assert_eq!(shown, value.map(|value| value * factor), "at {second}");
    }
    let cpu = r#"__name__="process_cpu_seconds_total",pod="api-0""#;
    assert_eq!(samples(&finished, cpu), samples(&plain(), cpu));
}

#[test]
fn duplicate_series_are_there_twice_while_it_lasts_and_announced() {
    let kind = MonitoringFault::DuplicateSeries { of: Watched::Service(Name::new("api")) };
    let finished = seen(shop(), kind.clone());
    let copies = samples(&finished, &format!("{REQUESTS},job=\"api-copy\""));
    let (last, values) = copies.split_last().unwrap();
    assert!(last.1.is_none() && last.0 >= 200.0 && values.len() >= 6, "{copies:?}");
    let originals = samples(&finished, &format!("{REQUESTS},job=\"api\""));
    assert!(values.iter().all(|copy| is_during(copy.0) && originals.contains(copy)));
    assert_eq!(originals, samples(&plain(), REQUESTS));
    let mut spec = shop();
    spec.monitoring = vec![wrong(kind)];
    let announced = universe(&Arc::new(spec));
    let copied = parse_matchers(r#"job="api-copy",service="api""#).unwrap();
    assert!(announced.shapes("http_requests_total").any(|shape| copied.iter().all(|matcher| shape.satisfies(matcher))));
}

#[test]
fn counters_that_are_set_back_count_on_from_there_and_gauges_do_not_care() {
    let finished = seen(shop(), MonitoringFault::CounterReset { of: Watched::All });
    let (shown, value) = (samples(&finished, REQUESTS), samples(&plain(), REQUESTS));
    let zero = value.iter().rev().find(|(second, _)| *second < 100.0).unwrap().1.unwrap();
    for ((second, shown), (_, value)) in shown.iter().zip(&value) {
        let expected = if *second < 100.0 { *value } else { value.map(|value| value - zero) };
        assert_eq!(*shown, expected, "at {second}");
    }
    let replicas = r#"__name__="kube_deployment_status_replicas_ready",deployment="api""#;
    assert_eq!(samples(&finished, replicas), samples(&plain(), replicas));
}

#[test]
fn a_judge_that_sees_red_says_so_of_everything_and_the_rest_knows_better() {
    let finished = seen(shop(), MonitoringFault::AllRed { of: Watched::All });
    let during = |matchers: &str| -> Vec<f64> {
        samples(&finished, matchers).into_iter().filter(|(second, _)| is_during(*second)).map(|(_, value)| value.unwrap()).collect()
    };
    let all = |matchers: &str, expected: f64| {
        let found = during(matchers);
        assert!(found.len() >= 6 && found.iter().all(|value| (*value - expected).abs() < 1e-9), "{matchers}: {found:?}");
    };
    all(r#"__name__="probe_success",service="api""#, 0.0);
    all(r#"__name__="kube_pod_status_ready",pod="api-1",condition="true""#, 0.0);
    all(r#"__name__="kube_pod_status_ready",pod="api-1",condition="false""#, 1.0);
    all(r#"__name__="kube_deployment_status_replicas_unavailable",deployment="api""#, 2.0);
    all(UP, 1.0);
    assert_eq!(samples(&finished, REQUESTS), samples(&plain(), REQUESTS));
}

#[test]
fn without_prometheus_there_are_no_samples_and_no_markers_either() {
    let mut spec = shop();
    // A replica goes for good while nobody looks: nobody is left to mark its end.
    spec.cures = vec![CureSpec {
        at: at(150),
        action: firedrill_core::action::Action::Scale { replicas: firedrill_core::action::Scale::To(1) },
        target: service_target("api"),
    }];
    spec.monitoring = vec![wrong(MonitoringFault::PrometheusDown)];
    let finished = run_cured(&spec, 1);
    assert!(finished.telemetry.ids().all(|id| {
        let start = Start::default().unix_millis();
        finished.telemetry.times(id).iter().all(|time| !is_during((time - start) as f64 / 1e3))
    }));
    let gone = finished.telemetry.select(&parse_matchers(r#"__name__="up",pod="api-1""#).unwrap())[0];
    assert!(!is_stale(*finished.telemetry.values(gone).last().unwrap()));
}

/// Notes what it is told of Prometheus, and looks every ten seconds.
#[derive(Clone, Debug, Default)]
struct Listener {
    next: u64,
    told: Vec<(u64, bool)>,
}

impl Automation for Listener {
    fn prometheus_runs(&mut self, runs: bool) {
        self.told.push((self.next, runs));
    }

    fn due(&self) -> Option<(Time, Class)> {
        Some((at(self.next), Class::Rules))
    }

    fn advance(&mut self, _raw: &Store, _desk: &mut Desk) {
        self.next += 10;
    }

    fn finished(&mut self, _: &firedrill_core::action::ActionResult, _: &Store, _: &mut Desk) {}
}

#[test]
fn an_automation_is_told_when_prometheus_goes_and_comes_back_alone_and_together() {
    let mut spec = shop();
    spec.monitoring = vec![wrong(MonitoringFault::PrometheusDown)];
    let spec = Arc::new(spec);
    let alone = Run::new(Arc::clone(&spec), Seed(1), Options::default(), Listener::default()).finish();
    assert_eq!(alone.automation.told, [(100, false), (200, true)]);
    for together in Trunk::new(spec, Seed(1), Options::default(), vec![Listener::default(); 2]).finish() {
        assert_eq!(together.automation.told, alone.automation.told);
    }
}

fn some_watched() -> impl Strategy<Value = Watched> {
    prop_oneof![
        Just(Watched::All),
        Just(Watched::Job(Name::new("kube-state-metrics"))),
        Just(Watched::Zone(Name::new("a"))),
        "[a-d]".prop_map(|name| Watched::Service(Name::new(&name))),
    ]
}

fn some_fault() -> impl Strategy<Value = MonitoringFault> {
    (some_watched(), 0_u8..8, 0.0..1.0_f64).prop_map(|(of, kind, figure)| match kind {
        0 => MonitoringFault::ScrapeLoss { of, share: share(figure) },
        1 => MonitoringFault::FrozenSeries { of },
        2 => MonitoringFault::LateSeries { of, by: Span::from_millis(1 + (figure * 60_000.0) as u64) },
        3 => MonitoringFault::ScaledSeries { of, metric: Name::new("up"), factor: factor(figure * 9.0) },
        4 => MonitoringFault::DuplicateSeries { of },
        5 => MonitoringFault::CounterReset { of },
        6 => MonitoringFault::AllRed { of },
        _ => MonitoringFault::PrometheusDown,
    })
}

/// What happened in the world and when, without what is said of monitoring.
fn of_the_world(finished: &Finished<Idle>) -> Vec<(Time, Event)> {
    let is_said = |event: &Event| matches!(event, Event::Noted { what } if what.starts_with("wrong-"));
    let records = finished.journal.records().iter().filter(|record| !is_said(&record.event));
    records.map(|record| (record.at, record.event.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wrong with monitoring, every record of the world and what became of every request is as if nothing were.
    #[test]
    fn faults_of_monitoring_leave_the_world_alone(
        spec in some_world(), seed in 0_u64..1000, faults in prop::collection::vec((some_fault(), 0_u64..50, prop::option::of(1_u64..40)), 1..5),
    ) {
        let mut blurred = spec.clone();
        blurred.monitoring = faults.into_iter().enumerate().map(|(index, (kind, from, lasting))| MonitoringFaultSpec {
            name: Name::from(format!("wrong-{index}")),
            at: at(from),
            lasting: lasting.map(Span::from_seconds),
            kind,
        }).collect();
        blurred.monitoring.sort_by_key(|fault| fault.at);
        let plain = Run::new(Arc::new(spec), Seed(seed), Options::default(), Idle).finish();
        let blurred = Run::new(Arc::new(blurred), Seed(seed), Options::default(), Idle).finish();
        prop_assert_eq!(of_the_world(&plain), of_the_world(&blurred));
        prop_assert!(plain.ledger == blurred.ledger, "what became of requests, services and machines");
    }
}
