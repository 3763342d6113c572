//! Alertmanager's own acceptance tests, told again in virtual time, and what its documentation promises beside them.
//!
//! A test reads as there: alerts are posted at seconds, and a receiver gets batches at seconds. Where Alertmanager's tests allow half a second,
//! virtual time has none of that slack, and the moment is exact.

use std::sync::Arc;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::alertmanager::{Alertmanager, Message, Outage, PostedAlert, Reply, Silence, payload, read_config};

/// Before all that a test does, so that an alert may be older than the test.
const EPOCH: f64 = 1000.0;

fn at(second: f64) -> Time {
    Time::from_nanos(((EPOCH + second) * 1e9) as u64)
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    pairs.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}

/// An alert to be posted.
fn alert(pairs: &[(&str, &str)]) -> PostedAlert {
    PostedAlert { labels: labels(pairs), ..PostedAlert::default() }
}

fn named(name: &str) -> PostedAlert {
    alert(&[("alertname", name)])
}

trait Active {
    /// Active from a second on.
    fn since(self, second: f64) -> Self;
    /// Over at a second.
    fn until(self, second: f64) -> Self;
    /// With an annotation `ann`.
    fn noted(self, text: &str) -> Self;
}

impl Active for PostedAlert {
    fn since(mut self, second: f64) -> Self {
        self.starts_at = Some(at(second));
        self
    }

    fn until(mut self, second: f64) -> Self {
        self.ends_at = Some(at(second));
        self
    }

    fn noted(mut self, text: &str) -> Self {
        self.annotations = labels(&[("ann", text)]);
        self
    }
}

/// An Alertmanager whose messages are written down as lines: `2 webhook/0: {alertname="A"} since 1`.
struct Bench {
    alertmanager: Alertmanager,
    told: Vec<Message>,
}

impl Bench {
    fn new(config: &str) -> Self {
        Self { alertmanager: Alertmanager::new(Arc::new(read(config)), Start::default()), told: Vec::new() }
    }

    fn with_outage(config: &str, index: usize, until: f64, reply: Reply) -> Self {
        let outage =
            Outage { receiver: Name::new("default"), integration: (Name::new("webhook"), index), from: Time::ZERO, to: at(until), reply };
        let mut bench = Self::new(config);
        bench.alertmanager = bench.alertmanager.with_outages(vec![outage]);
        bench
    }

    /// Lets everything before a second happen; what is due at that very moment comes after what the caller does then.
    fn run(&mut self, second: f64) -> &mut Self {
        while let Some(due) = self.alertmanager.due().filter(|due| *due < at(second)) {
            self.told.extend(self.alertmanager.advance(due));
        }
        self
    }

    fn push(&mut self, second: f64, alerts: impl IntoIterator<Item = PostedAlert>) -> &mut Self {
        self.run(second);
        assert_eq!(self.alertmanager.ingest(at(second), alerts), []);
        self
    }

    /// Runs to a second and compares all batches until then. An end is shown after the start.
    #[track_caller]
    fn check(&mut self, second: f64, expected: &[&str]) {
        self.run(second);
        let told: Vec<String> = self.told.iter().map(line).collect();
        assert_eq!(told, expected, "{told:#?}");
    }
}

#[track_caller]
fn read(config: &str) -> firedrill_policies::alertmanager::Config {
    read_config("alertmanager.yml", config).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn seconds(time: Time) -> f64 {
    ((time.as_seconds() - EPOCH) * 1e6).round() / 1e6
}

fn line(message: &Message) -> String {
    let member = |member: &firedrill_policies::alertmanager::Member| {
        let values: Vec<&str> = member.labels.values().map(Name::as_str).collect();
        let note = member.annotations.values().next().map(|note| format!(" ({note})")).unwrap_or_default();
        let end = member.ended_at.map(|end| format!("-{}", seconds(end))).unwrap_or_default();
        format!("{}{note} {}{end}", values.join("/"), seconds(member.starts_at))
    };
    let members: Vec<String> = message.alerts.iter().map(member).collect();
    format!("{} {}{}: {}", seconds(message.at), message.receiver, message.integration.1, members.join(", "))
}

/// A root with one receiver; `webhooks` are lines below `webhook_configs:`.
fn config(route: &str, webhooks: &str, rest: &str) -> String {
    format!("route: {{ receiver: default, {route} }}\nreceivers:\n- name: default\n  webhook_configs:\n{webhooks}\n{rest}")
}

const ONE: &str = "  - url: http://a/";
const FAST: &str = "group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1ms";
const ALL_FAST: &str = "group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 1ms";

/// TestMergeAlerts
#[test]
fn posts_of_one_alert_are_merged() {
    let mut bench = Bench::new(&config(FAST, ONE, ""));
    bench.push(1.0, [named("test").since(1.1)]).push(1.2, [named("test").since(1.0)]);
    bench.push(2.1, [named("test").since(2.0).noted("v1")]);
    bench.push(3.6, [named("test").since(1.5).noted("v2")]);
    bench.push(4.6, [named("test").since(3.0).until(4.5).noted("v2")]);
    bench.push(4.8, [named("test").since(2.9).until(4.8).noted("v3"), named("test").since(2.9).until(4.1).noted("v3")]);
    // After the end was told the group is gone, and the alert that comes back founds another.
    bench.push(5.3, [named("test")]);
    bench.check(
        7.0,
        &[
            "2 default0: test 1",
            "3 default0: test (v1) 1",
            "4 default0: test (v2) 1",
            "5 default0: test (v3) 1-4.8",
            "6.3 default0: test 5.3",
        ],
    );
}

/// TestMergeAlertsWithEndsAt
#[test]
fn a_told_end_outlives_a_later_guess() {
    let config = config(&FAST.replace("1ms", "1h"), ONE, "global: { resolve_timeout: 3s }");
    let mut bench = Bench::new(&config);
    // The end lies at 10; the second post has none, and its guess of 5.2 does not replace it.
    bench.push(1.0, [named("test").since(1.0).until(10.0)]).push(2.2, [named("test").since(1.0)]);
    bench.check(20.0, &["2 default0: test 1", "10 default0: test 1-10"]);
    // So it is where the second begins later, and the start stays the earlier one.
    let mut bench = Bench::new(&config);
    bench.push(1.0, [named("test").since(1.0).until(10.0)]).push(2.2, [named("test").since(1.5)]);
    bench.check(20.0, &["2 default0: test 1", "10 default0: test 1-10"]);
}

/// TestRepeat
#[test]
fn what_does_not_change_is_repeated() {
    let mut bench = Bench::new(&config(FAST, ONE, ""));
    bench.push(1.0, [named("test").since(1.0)]).push(3.5, [named("test").since(1.0).until(3.0)]);
    bench.check(9.0, &["2 default0: test 1", "3 default0: test 1", "4 default0: test 1-3"]);
}

/// TestRetry
#[test]
fn a_receiver_that_fails_gets_the_message_later_and_the_other_one_gets_it_once() {
    let two = "  - url: http://a/\n  - url: http://b/";
    let route = "group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 3s";
    let failing = Reply { status: Some(500), after: Span::ZERO };
    let mut bench = Bench::with_outage(&config(route, two, ""), 1, 4.5, failing);
    bench.push(1.0, [named("test1").since(1.0)]);
    // Attempts at 2, 2.5, 3.25, 4.375 and 6.0625; the group waits for both.
    bench.check(8.0, &["2 default0: test1 1", "6.0625 default1: test1 1", "7.0625 default0: test1 1"]);
}

/// TestBatching
#[test]
fn alerts_of_a_group_come_together() {
    let mut bench = Bench::new(&config("group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 4900ms", ONE, ""));
    bench.push(1.1, [named("test1").since(1.0)]).push(1.7, [named("test5").since(1.0)]);
    bench.push(3.3, [named("test2").since(1.5), named("test3").since(1.5), named("test4").since(1.6)]);
    let all = "test1 1, test2 1.5, test3 1.5, test4 1.6, test5 1";
    bench.check(12.0, &["2.1 default0: test1 1, test5 1", &format!("4.1 default0: {all}"), &format!("9.1 default0: {all}")]);
}

/// TestResolved
#[test]
fn an_alert_that_nobody_posts_again_is_over_after_the_resolve_timeout() {
    let route = "group_by: [alertname], group_wait: 1s, group_interval: 5s";
    let mut bench = Bench::new(&config(route, ONE, "global: { resolve_timeout: 10s }"));
    bench.push(1.0, ["v1", "v2", "v3"].map(|value| alert(&[("alertname", "test"), ("lbl", value)])));
    let expected = ["2 default0: test/v1 1, test/v2 1, test/v3 1", "12 default0: test/v1 1-11, test/v2 1-11, test/v3 1-11"];
    bench.check(60.0, &expected);
}

/// TestResolvedFilter
#[test]
fn who_does_not_want_what_is_over_is_not_told_of_it_and_yet_known_to_know() {
    let two = "  - { url: http://a/, send_resolved: true }\n  - { url: http://b/, send_resolved: false }";
    let route = "group_by: [alertname], group_wait: 1s, group_interval: 5s";
    let mut bench = Bench::new(&config(route, two, "global: { resolve_timeout: 10s }"));
    let of = |value: &str| alert(&[("alertname", "test"), ("lbl", value)]);
    bench.push(1.0, [of("v1"), of("v2")]);
    bench.push(3.0, [of("v1").since(1.0).until(4.0), of("v3")]);
    bench.push(8.0, [of("v3").since(3.0)]);
    bench.check(
        15.0,
        &[
            "2 default0: test/v1 1, test/v2 1",
            "2 default1: test/v1 1, test/v2 1",
            "7 default0: test/v1 1-4, test/v2 1, test/v3 3",
            "7 default1: test/v2 1, test/v3 3",
            "12 default0: test/v2 1-11, test/v3 3",
        ],
    );
    // All is over at 18: the second is not told, but when one comes back it is told at once.
    bench.push(23.0, [of("v2")]);
    let later: Vec<String> = bench.run(40.0).told[5..].iter().map(line).collect();
    assert_eq!(later, ["22 default0: test/v3 3-18", "24 default0: test/v2 23", "24 default1: test/v2 23", "34 default0: test/v2 23-33"]);
}

/// TestColdStart
#[test]
fn an_alert_older_than_the_group_wait_is_told_at_once_and_by_the_grid_from_then_on() {
    let mut bench = Bench::new(&config("group_by: [], group_wait: 1s, group_interval: 6s, repeat_interval: 10m", ONE, ""));
    bench.push(1.0, [named("test1").since(-100.0)]).push(2.0, [named("test2")]);
    bench.check(60.0, &["1 default0: test1 -100", "7 default0: test1 -100, test2 2"]);
    // One as old as the wait has not waited longer than it.
    let mut bench = Bench::new(&config(FAST, ONE, ""));
    bench.push(1.0, [named("test").since(0.0)]);
    bench.check(2.5, &["2 default0: test 0"]);
}

/// TestReload
#[test]
fn a_reload_keeps_what_was_told_and_counts_anew() {
    let config = config("group_by: [], group_wait: 1s, group_interval: 6s, repeat_interval: 10m", ONE, "");
    let mut bench = Bench::new(&config);
    bench.push(1.0, [named("test1")]);
    bench.run(3.0).alertmanager.reload(at(3.0), Arc::new(read(&config)));
    bench.push(4.0, [named("test2")]);
    bench.check(60.0, &["2 default0: test1 1", "9 default0: test1 1, test2 4"]);
}

const JOB_INHIBITS: &str =
    "inhibit_rules:\n- { source_match: { alertname: JobDown }, target_match: { alertname: InstanceDown }, equal: [job, zone] }";

fn of_job(name: &str, zone: &str) -> PostedAlert {
    alert(&[("alertname", name), ("job", "testjob"), ("zone", zone)])
}

/// TestInhibiting
#[test]
fn an_inhibited_alert_is_left_out_until_its_source_is_over() {
    let route = "group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 1s";
    let mut bench = Bench::new(&config(route, ONE, JOB_INHIBITS));
    bench.push(1.0, [of_job("test1", "aa"), of_job("InstanceDown", "aa"), of_job("InstanceDown", "ab")]);
    bench.push(2.2, [of_job("JobDown", "aa")]).push(3.6, [of_job("JobDown", "aa").since(2.2).until(3.6)]);
    let first = "InstanceDown/testjob/aa 1, InstanceDown/testjob/ab 1, test1/testjob/aa 1";
    bench.check(
        4.5,
        &[
            &format!("2 default0: {first}"),
            "3 default0: InstanceDown/testjob/ab 1, JobDown/testjob/aa 2.2, test1/testjob/aa 1",
            "4 default0: InstanceDown/testjob/aa 1, InstanceDown/testjob/ab 1, JobDown/testjob/aa 2.2-3.6, test1/testjob/aa 1",
        ],
    );
}

/// TestAlwaysInhibiting
#[test]
fn source_and_target_that_are_over_together_are_told_together() {
    let route = "group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 1s";
    let mut bench = Bench::new(&config(route, ONE, JOB_INHIBITS));
    bench.push(1.0, [of_job("InstanceDown", "aa"), of_job("JobDown", "aa")]);
    bench.push(2.6, [of_job("JobDown", "aa").since(1.0).until(2.6), of_job("InstanceDown", "aa").since(1.0).until(2.6)]);
    bench.check(9.0, &["2 default0: JobDown/testjob/aa 1", "3 default0: InstanceDown/testjob/aa 1-2.6, JobDown/testjob/aa 1-2.6"]);
}

/// TestEmptyInhibitionRule
#[test]
fn an_inhibition_without_conditions_inhibits_nothing() {
    let mut bench = Bench::new(&config(ALL_FAST, ONE, "inhibit_rules:\n-\n"));
    bench.push(1.0, [named("a"), named("b")]);
    bench.check(2.5, &["2 default0: a 1, b 1"]);
}

/// TestSilencing
#[test]
fn a_silence_holds_between_its_start_and_its_end() {
    let mut bench = Bench::new(&config(ALL_FAST, ONE, ""));
    bench.push(1.0, [named("test1").since(1.0), named("test2").since(1.0)]);
    bench.run(2.3).alertmanager.set_silence(at(2.3), Silence::new("s", "alertname=test1", at(2.5), at(4.5)).unwrap());
    bench.check(5.5, &["2 default0: test1 1, test2 1", "3 default0: test2 1", "4 default0: test2 1", "5 default0: test1 1, test2 1"]);
}

/// TestSilenceDelete
#[test]
fn a_silence_can_be_ended_early() {
    let mut bench = Bench::new(&config(ALL_FAST, ONE, ""));
    bench.push(1.0, [named("test1").since(1.0), named("test2").since(1.0)]);
    bench.run(1.3).alertmanager.set_silence(at(1.3), Silence::new("s", "alertname=~.+", at(1.5), at(100.0)).unwrap());
    assert!(bench.run(3.5).alertmanager.expire_silence(at(3.5), "s"));
    assert!(!bench.alertmanager.expire_silence(at(3.5), "t"));
    bench.check(4.5, &["4 default0: test1 1, test2 1"]);
}

/// TestWebhookTimeout
#[test]
fn a_webhook_that_hangs_is_cut_off_and_tried_again() {
    let route = "group_by: [alertname], group_wait: 1s, group_interval: 1m, repeat_interval: 1m";
    let hanging = Reply { status: Some(200), after: Span::from_seconds(1) };
    let mut bench = Bench::with_outage(&config(route, "  - { url: http://a/, timeout: 500ms }", ""), 0, 3.0, hanging);
    bench.push(1.0, [named("test1").since(1.0)]);
    bench.check(20.0, &["3.25 default0: test1 1"]);
    assert_eq!(bench.told[0].attempts, 3);
}

#[test]
fn what_a_receiver_refuses_is_tried_at_the_next_flush() {
    let refused = Reply { status: Some(400), after: Span::ZERO };
    let route = "group_by: [], group_wait: 1s, group_interval: 5s, repeat_interval: 1h";
    let mut bench = Bench::with_outage(&config(route, ONE, ""), 0, 6.0, refused);
    bench.push(1.0, [named("a")]).push(3.0, [named("b").since(2.5).until(3.0)]);
    // A flush that fails keeps what was over in between, and tells it with the rest.
    bench.check(20.0, &["7 default0: a 1, b 2.5-3"]);
}

#[test]
fn what_ends_while_a_message_is_under_way_is_told_at_the_next_look() {
    let slow = Reply { status: Some(200), after: Span::from_seconds(4) };
    let route = "group_by: [], group_wait: 1s, group_interval: 10s, repeat_interval: 1h";
    let mut bench = Bench::with_outage(&config(route, ONE, ""), 0, 3.0, slow);
    bench.push(1.0, [named("a").since(1.0).until(4.0)]);
    bench.check(60.0, &["6 default0: a 1", "12 default0: a 1-4"]);
}

#[test]
fn an_alert_that_is_over_before_its_first_flush_is_never_told() {
    let mut bench = Bench::new(&config("group_by: [], group_wait: 30s", ONE, ""));
    bench.push(1.0, [named("a")]).push(20.0, [named("a").since(1.0).until(20.0)]);
    bench.check(4000.0, &[]);
}

#[test]
fn a_repeat_waits_for_the_grid() {
    // Sent at 1; 7 s later is 8, and the grid stands at 1, 6, 11.
    let mut bench = Bench::new(&config("group_by: [], group_wait: 1s, group_interval: 5s, repeat_interval: 7s", ONE, ""));
    bench.push(0.0, [named("a").since(0.0).until(60.0)]);
    bench.check(25.0, &["1 default0: a 0", "11 default0: a 0", "21 default0: a 0"]);
    // One that is a multiple of the grid comes a step late: at the step itself it has not passed.
    let mut bench = Bench::new(&config("group_by: [], group_wait: 1s, group_interval: 5s, repeat_interval: 5s", ONE, ""));
    bench.push(0.0, [named("a").since(0.0).until(60.0)]);
    bench.check(25.0, &["1 default0: a 0", "11 default0: a 0", "21 default0: a 0"]);
}

#[test]
fn routes_are_asked_in_order_and_a_node_answers_where_no_child_does() {
    let config = "
route:
  receiver: root
  group_wait: 0s
  routes:
  - { receiver: a, matchers: ['team=a'], continue: true }
  - receiver: b
    match_re: { team: a|b }
    routes:
    - { receiver: deep, match: { severity: page } }
  - { receiver: never, match: { team: a } }
receivers: [{ name: root }, { name: a }, { name: b }, { name: deep }, { name: never }]
";
    let check = |pairs: &[(&str, &str)], expected: &[&str]| {
        let config = read(config).with_ears();
        let mut bench = Bench { alertmanager: Alertmanager::new(Arc::new(config), Start::default()), told: Vec::new() };
        bench.push(1.0, [alert(pairs)]).run(2.0);
        let told: Vec<&str> = bench.told.iter().map(|message| &*message.receiver).collect();
        assert_eq!(told, expected);
    };
    check(&[("team", "x")], &["root"]);
    check(&[("team", "a")], &["a", "b"]);
    check(&[("team", "a"), ("severity", "page")], &["a", "deep"]);
    check(&[("team", "b")], &["b"]);
}

#[test]
fn a_route_sends_only_in_its_active_times_and_not_in_its_muted_ones() {
    let config = "
route:
  receiver: none
  group_wait: 0s
  group_interval: 10m
  repeat_interval: 1h
  routes:
  - { receiver: day, matchers: [a=b], active_time_intervals: [day], continue: true }
  - { receiver: night, matchers: [a=b], mute_time_intervals: [day] }
receivers: [{ name: none }, { name: day }, { name: night }]
time_intervals:
- name: day
  time_intervals: [{ times: [{ start_time: 09:00, end_time: '17:00' }], location: Europe/Berlin }]
";
    // 2026-01-05 is a Monday; Berlin is an hour ahead, so the day is 08:00 to 16:00 in UTC.
    let config = Arc::new(read(config).with_ears());
    let mut alertmanager = Alertmanager::new(config, Start::parse("2026-01-05T07:45:00Z").unwrap());
    let posted = PostedAlert { ends_at: Some(Time::MAX), ..alert(&[("a", "b")]) };
    assert_eq!(alertmanager.ingest(Time::ZERO, [posted]), []);
    let mut told = Vec::new();
    while let Some(due) = alertmanager.due().filter(|due| *due < Time::from_seconds(9 * 3600)) {
        told.extend(
            alertmanager.advance(due).into_iter().map(|message| format!("{} {}", message.at.as_seconds() / 60.0, message.receiver)),
        );
    }
    // Every hour, on a grid of ten minutes from 07:45; the day begins at minute 15.
    let day = (0..8).map(|hour| format!("{} day", 20 + 70 * hour)).filter(|line| line != "510 day");
    let expected: Vec<String> = ["0 night".to_owned()]
        .into_iter()
        .chain(day.filter(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap() < 495))
        .collect();
    assert_eq!(told[..expected.len()], expected[..]);
    assert_eq!(told[expected.len()..], ["500 night"]);
}

#[test]
fn a_muted_alert_that_ends_is_never_told_to_be_over() {
    let mut bench = Bench::new(&config("group_by: [], group_wait: 1s, group_interval: 5s, repeat_interval: 1h", ONE, ""));
    bench.push(1.0, [named("a").since(1.0)]);
    bench.run(3.0).alertmanager.set_silence(at(3.0), Silence::new("s", "alertname=a", at(3.0), at(20.0)).unwrap());
    bench.push(4.0, [named("a").since(1.0).until(4.0)]);
    // It comes back while it still counts as told: nothing is new.
    bench.push(30.0, [named("a").since(30.0)]);
    bench.check(60.0, &["2 default0: a 1"]);
}

#[test]
fn a_payload_has_alertmanagers_shape() {
    let mut bench = Bench::new(&config("group_by: [alertname], group_wait: 1s", "  - { url: http://a/, max_alerts: 2 }", ""));
    let mut first = alert(&[("alertname", "A<b>"), ("pod", "x"), ("job", "j")]).since(0.0).noted("n");
    first.generator_url = "http://prometheus/graph".to_owned();
    let rest = ["y", "z"].map(|pod| alert(&[("alertname", "A<b>"), ("pod", pod), ("job", "j")]).since(0.25).noted("n"));
    bench.push(0.5, [first]).push(0.6, rest).run(2.0);
    let text = payload(&bench.told[0], Start::default(), "http://alertmanager");
    assert_eq!(
        text,
        concat!(
            r#"{"receiver":"default","status":"firing","alerts":["#,
            r#"{"status":"firing","labels":{"alertname":"A\u003cb\u003e","job":"j","pod":"x"},"annotations":{"ann":"n"},"#,
            r#""startsAt":"2026-01-05T00:16:40Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph","#,
            r#""fingerprint":"a29716aa31be22f5"},"#,
            r#"{"status":"firing","labels":{"alertname":"A\u003cb\u003e","job":"j","pod":"y"},"annotations":{"ann":"n"},"#,
            r#""startsAt":"2026-01-05T00:16:40.25Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","#,
            r#""fingerprint":"a29916aa31bea5cc"}],"#,
            r#""notification_reason":"first notification","groupLabels":{"alertname":"A\u003cb\u003e"},"#,
            r#""commonLabels":{"alertname":"A\u003cb\u003e","job":"j"},"commonAnnotations":{"ann":"n"},"routeLabels":{},"#,
            r#""externalURL":"http://alertmanager","version":"4","#,
            r#""groupKey":"{}:{alertname=\"A\u003cb\u003e\"}","truncatedAlerts":1}"#,
            "\n"
        )
    );
}
