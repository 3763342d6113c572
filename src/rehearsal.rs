//! A simulated system as its monitoring shows it, live: a Prometheus that can be asked, and the webhooks of its Alertmanager, in a time that whoever
//! drives it lets pass. Nobody acts in it.

mod api;
mod serving;
mod webhook;

use std::sync::Arc;

use firedrill_core::journal::{AlertStatus, Journal, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Class, Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::alertmanager::{Alertmanager, Config, Message, PostedAlert, payload};
use firedrill_policies::rules::{Ruler, RulerSettings};
use firedrill_sim::spec::WorldSpec;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Evaluated, Evaluator, Plan, Steps};
use firedrill_telemetry::recording::{Playback, Recording};
use firedrill_telemetry::store::Store;

use crate::drill::{Arm, Drill, Rules};

pub use api::{Request, Response, answer};
pub use serving::{Pace, Served, Serving, router, serve};
pub use webhook::{Delivery, Poster};

/// The webhook's integration, as `Config::with_ears` calls it.
const EAR: &str = "firedrill";

/// How long after the end an Alertmanager is listened to.
const AFTERMATH: Span = Span::from_minutes(15);

/// A rehearsal under way.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    name: Name,
    start: Start,
    end: Time,
    now: Time,
    playback: Playback,
    ruler: Ruler,
    alertmanager: Alertmanager,
    /// Whether an Alertmanager configuration says who is told what; without one each alert is told at once and by itself.
    is_routed: bool,
    rules: Arc<Rules>,
    /// The world, for when its Prometheus does not run; `None`: it always does.
    world: Option<Arc<WorldSpec>>,
    was_running: bool,
    journal: Journal,
    external_url: String,
}

/// A webhook that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// When.
    pub at: Time,
    /// The receiver that is told.
    pub receiver: Name,
    /// Alertmanager's JSON, version 4.
    pub body: String,
    /// The alerts in it that fire, by name.
    pub firing: Vec<Name>,
    /// Those that are over.
    pub resolved: Vec<Name>,
}

impl Rehearsal {
    /// Of a scenario on a seed, as it goes where nobody acts.
    #[must_use]
    pub fn of(drill: &Drill, seed: u64) -> Self {
        let played = drill.play(Arm::Nothing, seed);
        let start = drill.scenario.spec.start;
        let end_ms = start.prometheus_millis(played.transcript.ledger.ended);
        let recording = Recording { start, end_ms, source: String::new(), store: played.telemetry };
        let rehearsal = Self::playing(drill.scenario.name.clone(), &recording, &drill.rules);
        Self { world: Some(Arc::clone(&drill.scenario.spec)), ..rehearsal }
    }

    /// Of a recording.
    #[must_use]
    pub fn playing(name: Name, recording: &Recording, rules: &Arc<Rules>) -> Self {
        let start = recording.start;
        let mut playback = Playback::new(&recording.store);
        let new = || Ruler::new(Arc::clone(&rules.set), start, RulerSettings::default());
        let memory = new().recall(playback.until(start.unix_millis()));
        let mut ruler = new();
        ruler.remember(&memory);
        let config = rules.alertmanager();
        let is_routed = config.is_some();
        let config = config.map_or_else(Config::one_by_one, |config| Arc::new(Config::clone(&config).with_ears()));
        let mut alertmanager = Alertmanager::new(config, start);
        for silence in rules.silences() {
            alertmanager.set_silence(Time::ZERO, silence.clone());
        }
        Self {
            name,
            start,
            end: start.time_of(recording.end_ms).unwrap_or(Time::ZERO),
            now: Time::ZERO,
            playback,
            ruler,
            alertmanager,
            is_routed,
            rules: Arc::clone(rules),
            world: None,
            was_running: true,
            journal: Journal::new(),
            external_url: "http://firedrill".to_owned(),
        }
    }

    /// The same with the address that its webhooks name as Alertmanager's own.
    #[must_use]
    pub fn called(mut self, external_url: &str) -> Self {
        external_url.clone_into(&mut self.external_url);
        self
    }

    /// What is played.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The calendar instant of its beginning.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// How far it has come.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// How far it has come, milliseconds since 1970.
    #[must_use]
    pub const fn now_ms(&self) -> i64 {
        self.start.prometheus_millis(self.now)
    }

    /// When it is over.
    #[must_use]
    pub const fn end(&self) -> Time {
        self.end
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.now >= self.end
    }

    /// Lets time pass until an instant, or until the first one at which there is a webhook to send, whichever is earlier; gives what is to be sent
    /// then, in order. Samples, rules and alerts are then those of [`Self::now`].
    pub fn advance(&mut self, until: Time) -> Vec<Webhook> {
        let until = until.min(self.end).max(self.now);
        while let Some((at, class)) = self.due().filter(|(at, _)| *at <= until) {
            self.pass(at);
            if class == Class::Rules {
                self.evaluate(at);
                continue;
            }
            let messages = self.alertmanager.advance(at);
            let webhooks: Vec<Webhook> =
                messages.iter().filter(|message| *message.integration.0 == *EAR).map(|message| self.webhook(message)).collect();
            if !webhooks.is_empty() {
                return webhooks;
            }
        }
        self.pass(until);
        Vec::new()
    }

    /// The system is gone: whatever fires is over, as Alertmanager takes it a few minutes after its Prometheus has fallen silent. Gives what is to be
    /// sent of that, until a quarter of an hour after the end; to be called once, when it is over.
    pub fn conclude(&mut self) -> Vec<Webhook> {
        let firing: Vec<LabelSet> = self.ruler.firing().map(|(_, labels)| set(labels)).collect();
        let end = self.now;
        let before = Time::from_nanos(end.as_nanos().saturating_sub(1_000_000));
        let post = |labels| PostedAlert { labels, starts_at: Some(before), ends_at: Some(end), ..PostedAlert::default() };
        let refused = self.alertmanager.ingest(end, firing.into_iter().map(post));
        debug_assert!(refused.is_empty(), "an alert that fires has a name: {refused:?}");
        let mut webhooks = Vec::new();
        while let Some(at) = self.alertmanager.due().filter(|at| *at <= end + AFTERMATH) {
            self.now = at;
            let messages = self.alertmanager.advance(at);
            let heard = messages.iter().filter(|message| *message.integration.0 == *EAR && !message.is_firing());
            webhooks.extend(heard.map(|message| self.webhook(message)));
        }
        webhooks
    }

    /// Whether its Prometheus runs now.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.world.as_ref().is_none_or(|world| world.prometheus_runs(self.now))
    }

    /// The rules that watch.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The ruler, with the series that it has written.
    #[must_use]
    pub const fn ruler(&self) -> &Ruler {
        &self.ruler
    }

    /// The raw samples so far.
    #[must_use]
    pub const fn raw(&self) -> &Store {
        self.playback.store()
    }

    /// What an expression is at a moment, milliseconds since 1970.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub fn evaluated(&self, plan: &Plan, at_ms: i64) -> Result<Evaluated, firedrill_telemetry::promql::EvalError> {
        Evaluator::new().evaluate_annotated(plan, at_ms, &[self.raw(), self.ruler.derived()])
    }

    /// What an expression is at several moments.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub fn evaluated_range(&self, plan: &Plan, steps: Steps) -> Result<Evaluated, firedrill_telemetry::promql::EvalError> {
        Evaluator::new().evaluate_range_annotated(plan, steps, &[self.raw(), self.ruler.derived()])
    }

    fn due(&self) -> Option<(Time, Class)> {
        let rules = self.ruler.due().map(|at| (at, Class::Rules));
        let routing = self.alertmanager.due().map(|at| (at, Class::Routing));
        rules.into_iter().chain(routing).min()
    }

    fn pass(&mut self, now: Time) {
        self.now = now;
        self.playback.until(self.start.prometheus_millis(now));
        let runs = self.runs();
        if runs && !self.was_running {
            self.ruler.restart();
        }
        self.was_running = runs;
    }

    /// Evaluates the rule group that is due, and hands its alerts to Alertmanager.
    fn evaluate(&mut self, now: Time) {
        if !self.runs() {
            return self.ruler.miss();
        }
        let mut commands = Vec::new();
        let mut desk = Desk { journal: &mut self.journal, commands: &mut commands };
        let changes = self.ruler.advance(self.playback.store(), &mut desk);
        // Whoever drives this needs no journal of it, and it would grow.
        self.journal = Journal::new();
        let start = self.start;
        let at = |ms: i64| Some(start.time_of(ms).unwrap_or(Time::ZERO));
        let posts: Vec<PostedAlert> = if self.is_routed {
            let sent = self.ruler.sent().iter();
            let posted = sent.map(|sent| PostedAlert {
                labels: set(&sent.labels),
                annotations: self.annotations(sent),
                starts_at: at(sent.starts_ms),
                ends_at: at(sent.ends_ms),
                ..PostedAlert::default()
            });
            posted.collect()
        } else {
            changes.into_iter().map(|change| self.changed(change, now)).collect()
        };
        let refused = self.alertmanager.ingest(now, posts);
        debug_assert!(refused.is_empty(), "a rule's alert has a name and ends after it starts: {refused:?}");
    }

    fn annotations(&self, sent: &firedrill_policies::rules::SentAlert) -> LabelSet {
        let told = self.ruler.annotations(sent, self.playback.store()).into_iter();
        told.filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, Name::from(text))).collect()
    }

    /// Without a configuration nothing is lost between Prometheus and Alertmanager, so what has changed is told once.
    fn changed(&self, change: Notification, now: Time) -> PostedAlert {
        let own = |sent: &&firedrill_policies::rules::SentAlert| {
            sent.labels.len() == change.labels.len()
                && sent.labels.iter().all(|(name, value)| change.labels.get(&**name).is_some_and(|own| *own.as_str() == **value))
        };
        let annotations = self.ruler.sent().iter().find(own).map(|sent| self.annotations(sent)).unwrap_or_default();
        let ends_at = match change.status {
            AlertStatus::Firing => Time::MAX,
            AlertStatus::Resolved => now,
        };
        PostedAlert {
            labels: change.labels,
            annotations,
            starts_at: Some(change.starts_at),
            ends_at: Some(ends_at),
            ..PostedAlert::default()
        }
    }

    fn webhook(&self, message: &Message) -> Webhook {
        let names = |over: bool| {
            let members = message.alerts.iter().filter(move |member| member.ended_at.is_some() == over);
            members.map(|member| member.labels.get("alertname").cloned().unwrap_or_else(|| Name::new(""))).collect()
        };
        Webhook {
            at: self.now,
            receiver: message.receiver.clone(),
            body: payload(message, self.start, &self.external_url),
            firing: names(false),
            resolved: names(true),
        }
    }
}

/// Labels as alerts have them.
fn set(labels: &Labels) -> LabelSet {
    labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use firedrill_policies::rules::RuleSet;
    use firedrill_telemetry::store::STALE;

    const RULES: &str = "
groups:
  - name: g
    interval: 10s
    rules:
      - { record: 'pods:up', expr: sum(up) }
      - { alert: Down, expr: up == 0, for: 20s, labels: { severity: page }, annotations: { summary: '{{ $labels.pod }} is down' } }
";

    /// Two pods, scraped every 5 s for ten minutes; `api-1` is down from 100 s to 200 s, and `api-0` is gone from 300 s on.
    pub(crate) fn recording() -> Recording {
        let mut store = Store::new();
        let pods = ["api-0", "api-1"].map(|pod| store.series(&Labels::named("up", &[("pod", pod)])));
        let load = store.series(&Labels::named("load", &[("pod", "api-1")]));
        let start_ms = Start::default().unix_millis();
        for second in (-60..600).step_by(5) {
            let at_ms = start_ms + second * 1_000;
            let down = (100..200).contains(&second);
            store.append(load, at_ms, 2.5).unwrap();
            store.append(pods[1], at_ms, if down { 0.0 } else { 1.0 }).unwrap();
            match second {
                ..300 => store.append(pods[0], at_ms, 1.0).unwrap(),
                300 => store.append(pods[0], at_ms, STALE).unwrap(),
                _ => {}
            }
        }
        Recording { start: Start::default(), end_ms: start_ms + 600_000, source: "a test".to_owned(), store }
    }

    pub(crate) fn rehearsal() -> Rehearsal {
        let rules = Rules { set: RuleSet::read([("r.yml", RULES)]).unwrap(), hash: String::new(), routing: None };
        Rehearsal::playing(Name::new("two-pods"), &recording(), &Arc::new(rules)).called("http://am")
    }

    #[test]
    fn time_stands_still_at_each_webhook_until_it_is_let_go_on() {
        let mut rehearsal = rehearsal();
        let mut told = Vec::new();
        while !rehearsal.is_over() {
            for webhook in rehearsal.advance(Time::MAX) {
                assert_eq!(webhook.at, rehearsal.now());
                let body: serde_json::Value = serde_json::from_str(&webhook.body).unwrap();
                let alert = &body["alerts"][0];
                told.push(format!(
                    "{} {} {} {} {}",
                    webhook.at.as_seconds().floor(),
                    body["version"],
                    body["status"],
                    alert["annotations"]["summary"],
                    alert["endsAt"] == "0001-01-01T00:00:00Z"
                ));
                assert_eq!(alert["labels"]["pod"], "api-1");
                assert_eq!(webhook.firing.len() + webhook.resolved.len(), 1);
            }
        }
        let seconds: Vec<u64> = told.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
        assert!((120..=130).contains(&seconds[0]) && (200..=210).contains(&seconds[1]), "{told:?}");
        assert!(told[0].ends_with(r#""4" "firing" "api-1 is down" true"#) && told[1].contains("\"resolved\""), "{told:?}");
        assert_eq!(told.len(), 2);
        assert_eq!(rehearsal.advance(Time::MAX), [], "it is over");
    }

    #[test]
    fn what_fires_at_the_end_is_over_when_the_system_is_gone() {
        let mut cut = recording();
        cut.end_ms = cut.start.unix_millis() + 150_000;
        let rules = Rules { set: RuleSet::read([("r.yml", RULES)]).unwrap(), hash: String::new(), routing: None };
        let mut rehearsal = Rehearsal::playing(Name::new("cut"), &cut, &Arc::new(rules));
        let mut firing = 0;
        while !rehearsal.is_over() {
            firing += rehearsal.advance(Time::MAX).len();
        }
        let last = rehearsal.conclude();
        assert_eq!((firing, last.len()), (1, 1));
        assert_eq!((last[0].firing.len(), last[0].resolved[0].as_str()), (0, "Down"));
        assert_eq!(rehearsal.conclude(), [], "what is over is told once");
    }

    #[test]
    fn nobody_can_see_ahead() {
        let mut rehearsal = rehearsal();
        rehearsal.advance(Time::from_seconds(50));
        assert_eq!(rehearsal.now(), Time::from_seconds(50));
        let newest = rehearsal.raw().ids().filter_map(|id| rehearsal.raw().times(id).last().copied()).max();
        assert_eq!(newest, Some(rehearsal.now_ms()));
        rehearsal.advance(Time::ZERO + Span::from_seconds(20));
        assert_eq!(rehearsal.now(), Time::from_seconds(50), "time does not go back");
    }
}
