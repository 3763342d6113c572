//! Entries of `faults` and `changes` that say what goes wrong with monitoring.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Key, Node, Reader};
use firedrill_sim::spec::{MonitoringFault, Watched};

use crate::document::fault::{Choice, Places, WHEN, choice, entries, with_article};
use crate::notation::{bounded_span, optional, positive_span, required};
use crate::problem;

/// What goes wrong with monitoring, and when.
#[derive(Clone, Debug)]
pub struct MonitoringDocument {
    /// Its name, if it has one.
    pub name: Option<Located<Name>>,
    /// When it sets in.
    pub at: Option<Located<Span>>,
    /// How long it lasts.
    pub lasting: Option<Located<Span>>,
    /// What is wrong.
    pub kind: MonitoringFault,
    /// The places of the word and its parameters.
    pub places: Places,
}

/// Reads an entry; `what` is "a fault" or "a change".
pub fn read(reader: &mut Reader, node: &Node, what: &str) -> Option<MonitoringDocument> {
    let mut fields = reader.fields(node, what)?;
    let name = optional(reader, &mut fields, "name", |r, n| r.name(n, "the name of a fault"));
    let at = required(reader, &mut fields, "at", |r, n| bounded_span(r, n, "the onset"));
    let lasting = optional(reader, &mut fields, "lasting", |r, n| positive_span(r, n, "the time that it lasts"));
    let (word, parameters) = choice(reader, &fields, node, &Choice { what, others: &WHEN, known: &entries() })?;
    let kind = read_kind(reader, word, parameters)?;
    Some(MonitoringDocument { name, at, lasting, kind, places: Places::new(word, Some(parameters)) })
}

fn read_kind(reader: &mut Reader, word: &Key, node: &Node) -> Option<MonitoringFault> {
    let what = with_article(&word.text);
    let mut fields = reader.fields(node, &what)?;
    let kind = match &*word.text {
        "prometheus_down" => Some(MonitoringFault::PrometheusDown),
        "all_red" => {
            let job = optional(reader, &mut fields, "job", |r, n| r.name(n, "the name of a job"));
            Some(MonitoringFault::AllRed { of: job.map_or(Watched::All, |job| Watched::Job(job.value)) })
        }
        other => read_of_targets(reader, &mut fields, node, other),
    };
    fields.finish(reader);
    kind
}

/// The kinds that say which targets they are about.
fn read_of_targets(reader: &mut Reader, fields: &mut Fields<'_>, node: &Node, word: &str) -> Option<MonitoringFault> {
    let of = read_watched(reader, fields, node, word);
    match word {
        "scrape_loss" => {
            let share = optional(reader, fields, "share", |r, n| r.ratio(n, "the share of scrapes"));
            of.map(|of| MonitoringFault::ScrapeLoss { of, share: share.map_or(Ratio::ONE, |share| share.value) })
        }
        "frozen_series" => of.map(|of| MonitoringFault::FrozenSeries { of }),
        "late_series" => {
            let by = required(reader, fields, "by", |r, n| positive_span(r, n, "the delay"));
            of.zip(by).map(|(of, by)| MonitoringFault::LateSeries { of, by: by.value })
        }
        "scaled_series" => {
            let metric = required(reader, fields, "metric", |r, n| r.name(n, "the name of a metric"));
            let factor = required(reader, fields, "factor", |r, n| r.factor(n, "the factor"));
            let (metric, factor) = (metric.map(|metric| metric.value), factor.map(|factor| factor.value));
            of.zip(metric).zip(factor).map(|((of, metric), factor)| MonitoringFault::ScaledSeries { of, metric, factor })
        }
        "duplicate_series" => of.map(|of| MonitoringFault::DuplicateSeries { of }),
        "counter_reset" => of.map(|of| MonitoringFault::CounterReset { of }),
        other => unreachable!("`{other}` is not among the kinds of faults of monitoring"),
    }
}

/// Which targets are meant: one kind of them, or all if nothing is said.
fn read_watched(reader: &mut Reader, fields: &mut Fields<'_>, node: &Node, word: &str) -> Option<Watched> {
    type Made = fn(Name) -> Watched;
    const KINDS: [(&str, Made); 4] =
        [("job", Watched::Job), ("service", Watched::Service), ("replica", Watched::Replica), ("zone", Watched::Zone)];
    let mut found = Vec::new();
    for (key, made) in KINDS {
        if fields.has(key) {
            found.push(optional(reader, fields, key, |r, n| r.name(n, &format!("the name of a {key}"))).map(|name| made(name.value)));
        }
    }
    match found.len() {
        0 => Some(Watched::All),
        1 => found.pop().flatten(),
        _ => {
            reader.problem(problem::several_selections(&node.place, &with_article(word), &KINDS.map(|(key, _)| key)));
            None
        }
    }
}
