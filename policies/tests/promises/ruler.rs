//! What Prometheus would hand to Alertmanager, and when: news at once, everything else again after the resend delay, what is over for a while.
use firedrill_core::journal::Journal;
use firedrill_core::time::{Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::rules::{Phase, RuleSet, Ruler, RulerSettings};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::store::Store;

/// One sending: second, state, start and end, all in seconds after the start of the run.
type Sending = (i64, &'static str, i64, i64);

/// What is sent about one rule's alerts until a second, evaluated every 30 s, over `x` that has the value that the function gives every 5 s.
fn sendings(rule: &str, until: u64, x: impl Fn(i64) -> Option<f64>) -> Vec<Sending> {
    let text = format!("groups: [{{ name: g, rules: [{rule}] }}]\n");
    let rules = RuleSet::read([("rules.yml", text.as_str())]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let start = Start::default();
    let seconds = |ms: i64| (ms - start.unix_millis()) / 1_000;
    let mut ruler = Ruler::new(rules, start, RulerSettings { phase: Phase::Fixed(0), ..RulerSettings::default() });
    let (mut raw, mut journal, mut sent) = (Store::new(), Journal::new(), Vec::new());
    let id = raw.series(&Labels::named("x", &[]));
    let mut scraped = 0;
    while let Some(due) = ruler.due().filter(|due| *due <= Time::from_seconds(until)) {
        let at_ms = start.prometheus_millis(due);
        while start.unix_millis() + scraped * 1_000 <= at_ms {
            if let Some(value) = x(scraped) {
                raw.append(id, start.unix_millis() + scraped * 1_000, value).unwrap();
            }
            scraped += 5;
        }
        ruler.advance(&raw, &mut Desk { journal: &mut journal, commands: &mut Vec::new() });
        let told = ruler.sent().iter();
        sent.extend(told.map(|alert| {
            (seconds(at_ms), if alert.is_over { "over" } else { "firing" }, seconds(alert.starts_ms), seconds(alert.ends_ms))
        }));
    }
    sent
}

#[test]
fn a_firing_alert_is_sent_at_once_and_again_when_more_than_the_resend_delay_has_passed() {
    let sent = sendings("{ alert: A, expr: 'x > 1', for: 1m }", 240, |_| Some(2.0));
    // It counts as firing for four minutes after each sending, should nothing more be heard: four times the longer of interval and delay.
    assert_eq!(sent, [(60, "firing", 60, 300), (150, "firing", 60, 390), (240, "firing", 60, 480)]);
}

#[test]
fn an_alert_that_is_over_is_sent_at_once_and_again_for_a_quarter_of_an_hour() {
    let sent = sendings("{ alert: A, expr: 'x > 1' }", 3_600, |second| Some(if second < 100 { 2.0 } else { 0.0 }));
    assert_eq!(sent[..3], [(0, "firing", 0, 240), (90, "firing", 0, 330), (120, "over", 0, 120)]);
    let again: Vec<Sending> = (1..=10).map(|turn| (120 + 90 * turn, "over", 0, 120)).collect();
    assert_eq!(sent[3..], again);
}

#[test]
fn what_only_was_pending_is_never_sent() {
    let sent = sendings("{ alert: A, expr: 'x > 1', for: 1m }", 600, |second| Some(if second < 50 { 2.0 } else { 0.0 }));
    assert_eq!(sent, []);
}

#[test]
fn one_that_comes_back_is_news_with_a_start_of_its_own() {
    let sent = sendings("{ alert: A, expr: 'x > 1' }", 130, |second| Some(if (25..85).contains(&second) { 0.0 } else { 2.0 }));
    assert_eq!(sent, [(0, "firing", 0, 240), (30, "over", 0, 30), (90, "firing", 90, 330)]);
}

#[test]
fn while_it_is_kept_firing_it_is_not_over() {
    let rule = "{ alert: A, expr: 'x > 1', keep_firing_for: 1m }";
    let sent = sendings(rule, 180, |second| Some(if second < 50 { 2.0 } else { 0.0 }));
    // Gone at 60, kept until 120.
    assert_eq!(sent, [(0, "firing", 0, 240), (90, "firing", 0, 330), (120, "over", 0, 120)]);
}

#[test]
fn a_rule_that_fails_sends_nothing_and_resolves_nothing() {
    // While x is 5 the count that topk is asked for is no number, which is an error; one evaluation later nothing has changed.
    let rule = "{ alert: A, expr: 'topk(scalar((x != 5) or (x / 0 == Inf) * NaN), x > 1)' }";
    let sent = sendings(rule, 150, |second| Some(if (50..110).contains(&second) { 5.0 } else { 2.0 }));
    assert_eq!(sent, [(0, "firing", 0, 240), (120, "firing", 0, 360)]);
}
