//! What can be wrong with monitoring: what is written down of the world, and who answers when it is asked about. None of it touches the world.

use std::fmt;

use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::{Span, Time};

/// Something that is wrong with monitoring, for a while. It is no incident: users do not feel it, and whoever acts on it makes a mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitoringFaultSpec {
    /// Unique among the faults and changes of the scenario.
    pub name: Name,
    /// When it sets in.
    pub at: Time,
    /// How long it lasts; `None`: to the end of the run.
    pub lasting: Option<Span>,
    /// What is wrong.
    pub kind: MonitoringFault,
}

/// What is wrong with monitoring (docs/MODEL.md 4.5).
#[derive(Clone, Debug, PartialEq)]
pub enum MonitoringFault {
    /// A share of scrapes fails: `up` is 0, and everything else of the target ends with a staleness marker.
    ScrapeLoss {
        /// Whose scrapes.
        of: Watched,
        /// The share of them that fails; each scrape has luck of its own.
        share: Ratio,
    },
    /// Targets answer, and show again and again what they showed last before the onset.
    FrozenSeries {
        /// Which targets.
        of: Watched,
    },
    /// What is scraped is written down later, with the time at which it was scraped.
    LateSeries {
        /// Of which targets.
        of: Watched,
        /// How much later; it takes effect at the target's next scrape.
        by: Span,
    },
    /// A metric is shown in another unit.
    ScaledSeries {
        /// Of which targets.
        of: Watched,
        /// The metric's full name.
        metric: Name,
        /// What its values are multiplied by.
        factor: Factor,
    },
    /// Targets are scraped under a second job as well, so that sums count them twice.
    DuplicateSeries {
        /// Which targets.
        of: Watched,
    },
    /// Counters begin at zero once, although no process was started anew.
    CounterReset {
        /// Of which targets.
        of: Watched,
    },
    /// What judges the health of others reports that all of them are ill: a prober whose own network is gone, or a control plane that hears from no node.
    AllRed {
        /// Which of them.
        of: Watched,
    },
    /// Prometheus does not run: nothing is scraped, no rule is evaluated, and it answers nobody.
    PrometheusDown,
}

/// Which targets of monitoring are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Every one.
    All,
    /// Those with this `job` label.
    Job(Name),
    /// The replicas of a service, and the exporters beside them.
    Service(Name),
    /// One replica, and the exporter beside it.
    Replica(Name),
    /// The replicas in a zone, and the exporters beside them.
    Zone(Name),
}

/// What the second job of targets that are scraped twice is called after the first.
pub const COPY: &str = "-copy";

/// The jobs that judge the health of others.
pub const JUDGES: [&str; 2] = ["blackbox", "kube-state-metrics"];

impl MonitoringFaultSpec {
    /// Whether it is on at an instant; what happens once is on from then on.
    #[must_use]
    pub fn is_on(&self, now: Time) -> bool {
        self.at <= now && self.end().is_none_or(|end| now < end)
    }

    /// When it is over; `None`: not before the end of the run.
    #[must_use]
    pub fn end(&self) -> Option<Time> {
        self.lasting.map(|lasting| self.at.saturating_add(lasting))
    }
}

impl MonitoringFault {
    /// All words, in the order of the documentation.
    pub const WORDS: [&'static str; 8] =
        ["scrape_loss", "frozen_series", "late_series", "scaled_series", "duplicate_series", "counter_reset", "all_red", "prometheus_down"];

    /// The word for it in files and journals.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ScrapeLoss { .. } => "scrape_loss",
            Self::FrozenSeries { .. } => "frozen_series",
            Self::LateSeries { .. } => "late_series",
            Self::ScaledSeries { .. } => "scaled_series",
            Self::DuplicateSeries { .. } => "duplicate_series",
            Self::CounterReset { .. } => "counter_reset",
            Self::AllRed { .. } => "all_red",
            Self::PrometheusDown => "prometheus_down",
        }
    }

    /// Which targets it is about; `None`: Prometheus itself.
    #[must_use]
    pub const fn of(&self) -> Option<&Watched> {
        match self {
            Self::ScrapeLoss { of, .. }
            | Self::FrozenSeries { of }
            | Self::LateSeries { of, .. }
            | Self::ScaledSeries { of, .. }
            | Self::DuplicateSeries { of }
            | Self::CounterReset { of }
            | Self::AllRed { of } => Some(of),
            Self::PrometheusDown => None,
        }
    }
}

impl Watched {
    /// What a name is made of: `all`, `api`, `blackbox`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Job(name) | Self::Service(name) | Self::Replica(name) | Self::Zone(name) => name,
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("every target"),
            Self::Job(name) => write!(f, "job {name}"),
            Self::Service(name) => write!(f, "service/{name}"),
            Self::Replica(name) => write!(f, "replica/{name}"),
            Self::Zone(name) => write!(f, "zone/{name}"),
        }
    }
}

impl fmt::Display for MonitoringFault {
    /// What is wrong, as a sentence without its full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScrapeLoss { of, share } if *share == Ratio::ONE => write!(f, "every scrape of {of} fails"),
            Self::ScrapeLoss { of, share } => write!(f, "{share} of the scrapes of {of} fail"),
            Self::FrozenSeries { of } => write!(f, "{of} shows what it showed last, whatever happens"),
            Self::LateSeries { of, by } => write!(f, "what is scraped of {of} is written down {by} later"),
            Self::ScaledSeries { of, metric, factor } => write!(f, "{metric} of {of} is shown {factor}"),
            Self::DuplicateSeries { of } => write!(f, "{of} is scraped twice, under another job as well"),
            Self::CounterReset { of } => write!(f, "the counters of {of} begin at zero again"),
            Self::AllRed { of: Watched::All } => f.write_str("whatever judges health reports that everything is ill"),
            Self::AllRed { of } => write!(f, "{of} reports that everything is ill"),
            Self::PrometheusDown => f.write_str("Prometheus is down: nothing is scraped, no rule is evaluated, and it answers nobody"),
        }
    }
}
