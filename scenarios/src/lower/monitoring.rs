//! What goes wrong with monitoring: that it concerns something, changes something, and that no two of a kind meet.

use std::sync::Arc;

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{JUDGES, MonitoringFault, MonitoringFaultSpec, Watched, WorldSpec};
use firedrill_sim::universe;
use firedrill_telemetry::universe::{Held, Shape, Universe};

use crate::document::ScenarioDocument;
use crate::document::monitoring::MonitoringDocument;
use crate::lower::instant;
use crate::lower::names::{Names, Taken};
use crate::problem;

/// In order of onset. What can be told only of a whole world is left to [`check`].
pub fn lower(
    reader: &mut Reader,
    (names, taken): (&Names, &mut Taken),
    document: &ScenarioDocument,
    horizon: Span,
) -> Vec<MonitoringFaultSpec> {
    for fault in &document.monitoring {
        if let Some(at) = fault.at.as_ref().filter(|at| at.value >= horizon) {
            reader.problem(problem::after_horizon(&at.place, "a fault of monitoring sets in", &at.value.to_string(), &horizon.to_string()));
        }
        check_target(reader, names, fault);
        check_effect(reader, fault);
        if let Some(name) = &fault.name {
            taken.take(reader, name);
        }
    }
    check_overlaps(reader, &document.monitoring);
    let mut lower_one = |fault: &MonitoringDocument| {
        let base = fault.kind.of().map_or_else(|| fault.kind.word().to_owned(), |of| format!("{}-{}", fault.kind.word(), of.name()));
        let name = fault.name.as_ref().map_or_else(|| taken.free(&base), |name| name.value.clone());
        let lasting = fault.lasting.as_ref().map(|lasting| lasting.value);
        MonitoringFaultSpec { name, at: onset(fault), lasting, kind: fault.kind.clone() }
    };
    let mut lowered: Vec<MonitoringFaultSpec> = document.monitoring.iter().map(&mut lower_one).collect();
    lowered.sort_by(|left, right| (left.at, &left.name).cmp(&(right.at, &right.name)));
    lowered
}

fn onset(fault: &MonitoringDocument) -> Time {
    fault.at.as_ref().map_or(Time::ZERO, |at| instant(at.value))
}

fn check_target(reader: &mut Reader, names: &Names, fault: &MonitoringDocument) {
    let target = match fault.kind.of() {
        Some(Watched::Service(name)) => Target::Service(name.clone()),
        Some(Watched::Replica(name)) => Target::Replica(name.clone()),
        Some(Watched::Zone(name)) => Target::Zone(name.clone()),
        Some(Watched::Job(job)) if matches!(fault.kind, MonitoringFault::AllRed { .. }) && !JUDGES.contains(&job.as_str()) => {
            reader.problem(problem::unknown(fault.places.of("job"), "job that judges health", job, &JUDGES));
            return;
        }
        Some(Watched::All | Watched::Job(_)) | None => return,
    };
    names.target(reader, &target, fault.places.target(&target));
}

/// What would change nothing is a mistake.
fn check_effect(reader: &mut Reader, fault: &MonitoringDocument) {
    let places = &fault.places;
    match &fault.kind {
        MonitoringFault::ScrapeLoss { share, .. } if share.get() == 0.0 => {
            let remedy = "write a share above zero, such as `5%`, or leave it away: then every scrape fails";
            reader.problem(problem::impossible(places.of("share"), "a scrape loss of 0% loses nothing", remedy));
        }
        MonitoringFault::ScaledSeries { factor, .. } if (factor.get() - 1.0).abs() <= 0.0 => {
            let remedy = "write another factor, such as `x1000`";
            reader.problem(problem::impossible(places.of("factor"), "a metric that is shown x1 is shown as it is", remedy));
        }
        MonitoringFault::CounterReset { .. } => {
            if let Some(lasting) = &fault.lasting {
                let remedy = "remove `lasting`; a second entry sets them back once more";
                reader.problem(problem::impossible(&lasting.place, "counters are set back at once, and count on from there", remedy));
            }
        }
        _ => {}
    }
}

/// Two of one kind at one time on one target would leave open what holds. Reported at the later of the two.
fn check_overlaps(reader: &mut Reader, faults: &[MonitoringDocument]) {
    let mut order: Vec<&MonitoringDocument> = faults.iter().collect();
    order.sort_by_key(|fault| (onset(fault), fault.places.word().line()));
    for (index, later) in order.iter().enumerate() {
        let meets = |earlier: &&&MonitoringDocument| same_thing(&earlier.kind, &later.kind) && onset(later) < end(earlier);
        if let Some(earlier) = order[..index].iter().find(meets) {
            let target = later.kind.of().map_or_else(|| "Prometheus".to_owned(), Watched::to_string);
            let (word, line) = (later.kind.word(), earlier.places.word().line());
            reader.problem(problem::overlapping(
                later.places.word(),
                word,
                &target,
                line,
                problem::FirstEnd::of(earlier.lasting.is_some()),
            ));
        }
    }
}

/// When it is over; what happens once takes one instant.
fn end(fault: &MonitoringDocument) -> Time {
    match (&fault.lasting, &fault.kind) {
        (Some(lasting), _) => onset(fault) + lasting.value,
        (None, MonitoringFault::CounterReset { .. }) => onset(fault) + Span::from_nanos(1),
        (None, _) => Time::MAX,
    }
}

fn same_thing(left: &MonitoringFault, right: &MonitoringFault) -> bool {
    if left.word() != right.word() {
        return false;
    }
    if let (MonitoringFault::ScaledSeries { metric: left, .. }, MonitoringFault::ScaledSeries { metric: right, .. }) = (left, right)
        && left != right
    {
        return false;
    }
    match (left.of(), right.of()) {
        (Some(left), Some(right)) => meets(left, right) || meets(right, left),
        _ => true,
    }
}

/// Whether the one selection has targets of the other, as far as names tell.
fn meets(one: &Watched, other: &Watched) -> bool {
    match (one, other) {
        (Watched::All, _) => true,
        // The processes of a service are scraped under its name.
        (Watched::Job(job), Watched::Service(service)) => job == service,
        (Watched::Job(name) | Watched::Service(name), Watched::Replica(replica)) => {
            Target::Replica(replica.clone()).service().as_ref() == Some(name)
        }
        _ => one == other,
    }
}

/// Holds jobs and metrics against what the world can show; the world must be without problems.
pub fn check(reader: &mut Reader, document: &ScenarioDocument, spec: &Arc<WorldSpec>) {
    if document.monitoring.is_empty() {
        return;
    }
    let shown = universe(spec);
    let jobs = jobs(&shown);
    let known: Vec<&str> = jobs.iter().map(Name::as_str).collect();
    for fault in &document.monitoring {
        if let Some(Watched::Job(job)) = fault.kind.of()
            && !jobs.contains(job)
        {
            reader.problem(problem::unknown(fault.places.of("job"), "job", job, &known));
            continue;
        }
        if let MonitoringFault::ScaledSeries { of, metric, .. } = &fault.kind {
            check_metric(reader, fault, (of, metric), &shown);
        }
    }
}

fn check_metric(reader: &mut Reader, fault: &MonitoringDocument, (of, metric): (&Watched, &Name), shown: &Universe) {
    let is_shown = |name: &str| shown.shapes(name).any(|shape| is_of(of, shape));
    if !is_shown(metric) {
        let known: Vec<&str> = shown.metrics().filter(|name| is_shown(name)).collect();
        reader.problem(problem::unknown(fault.places.of("metric"), "metric", metric, &known));
    }
}

/// Whether a selection means targets that have series of this shape.
fn is_of(of: &Watched, shape: &Shape) -> bool {
    match of {
        Watched::Job(job) => matches!(shape.held("job"), Some(Held::Exactly(known)) if **known == *job.as_str()),
        Watched::Service(name) => matches!(shape.held("service"), Some(Held::Exactly(known)) if **known == *name.as_str()),
        Watched::Replica(name) => Target::Replica(name.clone()).service().is_some_and(|service| is_of(&Watched::Service(service), shape)),
        Watched::Zone(_) => shape.held("zone").is_some(),
        Watched::All => true,
    }
}

/// All jobs that are scraped, sorted.
fn jobs(shown: &Universe) -> Vec<Name> {
    let of = |shape: &Shape| match shape.held("job") {
        Some(Held::Exactly(job)) => Some(Name::from(job.to_string())),
        _ => None,
    };
    let mut jobs: Vec<Name> = shown.shapes("up").filter_map(of).collect();
    jobs.sort();
    jobs.dedup();
    jobs
}
