//! What a watcher counts of itself, as Prometheus' text format tells it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The watcher's own metrics. Counters start at 0 with the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Webhooks that were taken in and acknowledged.
    pub webhooks: AtomicU64,
    /// Webhooks that were turned away because there was no room.
    pub turned_away: AtomicU64,
    /// Webhooks that were no messages of Alertmanager's, or from somebody who may not send any.
    pub refused: AtomicU64,
    /// Alerts that were news.
    pub news: AtomicU64,
    /// Alerts that were told before.
    pub repeated: AtomicU64,
    /// Alerts that tell of an episode that is over.
    pub late: AtomicU64,
    /// Alerts that Alertmanager left out of its messages (`max_alerts`).
    pub truncated: AtomicU64,
    /// Alerts that could not be taken, of messages whose others were.
    pub refused_alerts: AtomicU64,
    /// Observations in the ledger.
    pub observations: AtomicU64,
    /// Decisions and what led to them, in the ledger.
    pub decisions: AtomicU64,
    /// What would have been done.
    pub would_act: AtomicU64,
    /// Policies that were taken back by themselves.
    pub demotions: AtomicU64,
    /// Policies whose chains cannot be written, until the watcher starts again.
    pub set_aside: AtomicU64,
    /// Connections that were closed because there were too many.
    pub too_many: AtomicU64,
    /// Connections that were closed because nothing was said over them.
    pub silent: AtomicU64,
    /// Connections that are open now.
    pub connections: AtomicU64,
    /// Questions that Prometheus answered.
    pub answered: AtomicU64,
    /// Questions that got no answer: unknown.
    pub unanswered: AtomicU64,
    /// Whether Prometheus answers: 1, or 0.
    pub answers: AtomicU64,
    /// Connections that were closed because a request over them came too slowly.
    pub slow: AtomicU64,
    /// How often the clock was set.
    pub clock_set: AtomicU64,
    /// Webhooks that wait now.
    pub waiting: AtomicU64,
    /// Alerts that are remembered now.
    pub alerts: AtomicU64,
    /// Questions that wait for an answer now.
    pub asking: AtomicU64,
    /// Seconds since 1970 when the keeper last did anything.
    pub last_round: AtomicU64,
    /// Microseconds that the keeper has spent with its rounds.
    pub busy_us: AtomicU64,
    /// Rounds of the keeper: each is one write to the ledger at most.
    pub rounds: AtomicU64,
}

impl Metrics {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(gauge: &AtomicU64, value: usize) {
        gauge.store(value as u64, Ordering::Relaxed);
    }

    /// All of them in the text format of Prometheus.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "# HELP firedrill_watch_{name} {help}\n# TYPE firedrill_watch_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "firedrill_watch_{name}{labels} {value}");
            }
        };
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let webhooks = [
            ("{result=\"taken\"}", of(&self.webhooks)),
            ("{result=\"no_room\"}", of(&self.turned_away)),
            ("{result=\"refused\"}", of(&self.refused)),
        ];
        family("webhooks_total", "counter", "Webhooks by what became of them.", &webhooks);
        let alerts = [
            ("{kind=\"news\"}", of(&self.news)),
            ("{kind=\"repeated\"}", of(&self.repeated)),
            ("{kind=\"late\"}", of(&self.late)),
            ("{kind=\"truncated\"}", of(&self.truncated)),
            ("{kind=\"refused\"}", of(&self.refused_alerts)),
        ];
        family(
            "alerts_total",
            "counter",
            "Alerts in webhooks; truncated are those that Alertmanager left out, refused those that could not be read.",
            &alerts,
        );
        family("observations_total", "counter", "Observations written to the ledger.", &[("", of(&self.observations))]);
        family("decisions_total", "counter", "Decisions, and what led to them, written to the ledger.", &[("", of(&self.decisions))]);
        family("would_act_total", "counter", "Actions that a policy would have started.", &[("", of(&self.would_act))]);
        family("demotions_total", "counter", "Policies that were taken back a stage or more by themselves.", &[("", of(&self.demotions))]);
        family(
            "policies_set_aside",
            "gauge",
            "Policies whose chains could not be written; nothing more is until the watcher starts again.",
            &[("", of(&self.set_aside))],
        );
        let closed = [
            ("{reason=\"too_many\"}", of(&self.too_many)),
            ("{reason=\"silent\"}", of(&self.silent)),
            ("{reason=\"slow\"}", of(&self.slow)),
        ];
        family("connections_closed_total", "counter", "Connections that the watcher has closed, by why.", &closed);
        family("connections", "gauge", "Connections that are open.", &[("", of(&self.connections))]);
        let questions = [("{result=\"answered\"}", of(&self.answered)), ("{result=\"unknown\"}", of(&self.unanswered))];
        family("questions_total", "counter", "Questions of policies; unknown are those that Prometheus did not answer.", &questions);
        family("prometheus_answers", "gauge", "Whether Prometheus answers, 1 or 0.", &[("", of(&self.answers))]);
        family("clock_set_total", "counter", "How often the clock was found to have been set.", &[("", of(&self.clock_set))]);
        family("waiting_webhooks", "gauge", "Webhooks that wait to be written down.", &[("", of(&self.waiting))]);
        family("known_alerts", "gauge", "Alerts that are remembered, firing or lately over.", &[("", of(&self.alerts))]);
        family("open_questions", "gauge", "Questions that wait for an answer.", &[("", of(&self.asking))]);
        family("last_round_timestamp_seconds", "gauge", "When the ledger's writer last did anything.", &[("", of(&self.last_round))]);
        family("rounds_total", "counter", "Rounds of the ledger's writer.", &[("", of(&self.rounds))]);
        family("busy_seconds_total", "counter", "Time that the ledger's writer has worked.", &[("", of(&self.busy_us) / 1e6)]);
        text
    }
}

#[cfg(test)]
mod tests {
    use firedrill_telemetry::exposition::{Dialect, read};
    use firedrill_telemetry::store::Store;

    use super::*;

    #[test]
    fn what_is_told_reads_back_as_prometheus_reads_it() {
        let metrics = Metrics::default();
        Metrics::add(&metrics.news, 3);
        let mut store = Store::new();
        let text: String = metrics
            .exposition()
            .lines()
            .map(|line| if line.starts_with('#') { format!("{line}\n") } else { format!("{line} 1000\n") })
            .collect();
        read(&text, Dialect::Prometheus, &mut store).unwrap_or_else(|errors| panic!("{errors:?}"));
        let found: Vec<String> = store.ids().map(|id| store.labels(id).to_string()).collect();
        assert!(found.iter().any(|labels| labels == "firedrill_watch_alerts_total{kind=\"news\"}"), "{found:?}");
        assert_eq!(found.len(), 27);
    }
}
