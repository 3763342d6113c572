//! Who is let in and who is next, with every default filled in.

use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::Rate;
use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{
    AdmissionSpec, ConcurrencySpec, ControlSpec, Discipline, DropRule, LimitRange, LimitSpec, Priority, QuotaSpec, RateLimitSpec,
};

use crate::defaults;
use crate::document::queue::{
    AdmissionDocument, AlgorithmWord, ConcurrencyDocument, ControlDocument, DisciplineWord, DropWord, QueueDocument, RateLimitDocument,
};
use crate::lower::or;
use crate::problem;

/// Lowers what a service says of its door and its queue; `None` if that is what all do. `places` are those of the queue.
pub fn lower(reader: &mut Reader, admission: &AdmissionDocument, places: Option<u32>) -> Option<Box<AdmissionSpec>> {
    let nothing = QueueDocument::default();
    let queue = admission.queue.as_ref().map_or(&nothing, |queue| &queue.value);
    let concurrency = said(admission.concurrency.as_ref());
    if let Some(discipline) = queue.discipline.as_ref().filter(|discipline| discipline.value != DisciplineWord::Fifo)
        && places == Some(0)
    {
        let remedy = "give the queue a `length`, or remove its `discipline`";
        reader.problem(problem::impossible(&discipline.place, "nobody waits in a queue without places", remedy));
    }
    let spec = AdmissionSpec {
        discipline: lower_discipline(reader, queue),
        drop: lower_drop(reader, queue),
        longest_wait: or(queue.longest_wait.as_ref(), || defaults::span_or_none("queue.longest_wait")),
        propagates: said(admission.deadline.as_ref()).map(|deadline| or(deadline.margin.as_ref(), || defaults::span("deadline.margin"))),
        concurrency: concurrency.map(|concurrency| lower_concurrency(reader, concurrency)),
        rate_limit: said(admission.rate_limit.as_ref()).map(lower_rate_limit),
        quota: said(admission.quota.as_ref()).map(|quota| QuotaSpec {
            rate: quota.rate.value,
            // One second's worth.
            burst: or(quota.burst.as_ref(), || quota.rate.value.get().ceil().clamp(1.0, f64::from(u32::MAX)) as u32),
            retry_after: or(quota.retry_after.as_ref(), || defaults::text("quota.retry_after") == "true"),
        }),
        control: said(admission.control.as_ref()).map(lower_control),
    };
    (spec != AdmissionSpec::default()).then(|| Box::new(spec))
}

/// What was said, unless it was that there is none.
fn said<T>(said: Option<&Located<Option<T>>>) -> Option<&T> {
    said.and_then(|said| said.value.as_ref())
}

/// A key that means nothing beside the others.
fn idle(reader: &mut Reader, place: Option<&Place>, key: &str, needs: &str) {
    if let Some(place) = place {
        let fault = format!("`{key}` says nothing here");
        reader.problem(problem::impossible(place, &fault, &format!("remove it, or write {needs}")));
    }
}

fn place<T>(said: Option<&Located<T>>) -> Option<&Place> {
    said.map(|said| &said.place)
}

fn lower_discipline(reader: &mut Reader, queue: &QueueDocument) -> Discipline {
    let word = queue.discipline.as_ref().map_or(DisciplineWord::Fifo, |discipline| discipline.value);
    let interval = or(queue.interval.as_ref(), || defaults::span("queue.interval"));
    let target = or(queue.target.as_ref(), || defaults::span("queue.target"));
    if word != DisciplineWord::Codel {
        idle(reader, place(queue.target.as_ref()), "target", "`discipline: codel`");
    }
    if !matches!(word, DisciplineWord::Codel | DisciplineWord::AdaptiveLifo) {
        idle(reader, place(queue.interval.as_ref()), "interval", "`discipline: adaptive_lifo` or `discipline: codel`");
    }
    match word {
        DisciplineWord::Fifo => Discipline::Fifo,
        DisciplineWord::Lifo => Discipline::Lifo,
        DisciplineWord::AdaptiveLifo => Discipline::AdaptiveLifo { interval },
        DisciplineWord::Codel => {
            if let Some(place) = place(queue.target.as_ref()).or(place(queue.interval.as_ref())).filter(|_| target >= interval) {
                let fault = format!("a queue that stands may be waited in for {target}, and another for {interval}");
                reader.problem(problem::impossible(place, &fault, "let `target` be shorter than `interval`"));
            }
            Discipline::Codel { target, interval }
        }
        DisciplineWord::Priority => Discipline::Priority,
        DisciplineWord::EarliestDeadline => Discipline::EarliestDeadline,
    }
}

fn lower_drop(reader: &mut Reader, queue: &QueueDocument) -> DropRule {
    let word = queue.drop.as_ref().map_or(DropWord::None, |drop| drop.value);
    if word != DropWord::Late {
        idle(reader, place(queue.need.as_ref()), "need", "`drop: late`");
    }
    match word {
        DropWord::None => DropRule::None,
        DropWord::Expired => DropRule::Expired,
        DropWord::Late => DropRule::Late(queue.need.as_ref().map(|need| need.value)),
    }
}

fn lower_concurrency(reader: &mut Reader, concurrency: &ConcurrencyDocument) -> ConcurrencySpec {
    let shares = Priority::ALL.map(|class| or(concurrency.shares[class as usize].as_ref(), || defaults::ratio("concurrency.shares.*")));
    let algorithm = concurrency.algorithm.as_ref().map(|algorithm| algorithm.value);
    check_idle(reader, concurrency, algorithm);
    let limit = match algorithm {
        None => LimitSpec::Fixed {
            limit: concurrency.limit.as_ref().map_or(1, |limit| limit.value),
            wait: or(concurrency.wait.as_ref(), || defaults::span("concurrency.wait")),
        },
        Some(AlgorithmWord::Gradient2) => LimitSpec::Gradient2(lower_range(reader, concurrency, "gradient2")),
        Some(AlgorithmWord::Vegas) => LimitSpec::Vegas(lower_range(reader, concurrency, "vegas")),
        Some(AlgorithmWord::Aimd) => LimitSpec::Aimd {
            range: lower_range(reader, concurrency, "aimd"),
            timeout: or(concurrency.timeout.as_ref(), || defaults::span("concurrency.aimd.timeout")),
        },
        Some(AlgorithmWord::Envoy) => LimitSpec::Envoy {
            range: lower_range(reader, concurrency, "envoy"),
            update: or(concurrency.update.as_ref(), || defaults::span("concurrency.envoy.update")),
            measure_every: or(concurrency.measure_every.as_ref(), || defaults::span("concurrency.envoy.measure_every")),
        },
    };
    if let LimitSpec::Fixed { wait, .. } = limit
        && wait > Span::ZERO
        && let Some(share) = concurrency.shares.iter().flatten().next()
    {
        let remedy = "remove `wait`, or the shares";
        reader.problem(problem::impossible(
            &share.place,
            "those beyond a limit with a `wait` are let in and wait, whatever their share",
            remedy,
        ));
    }
    ConcurrencySpec { limit, shares }
}

fn check_idle(reader: &mut Reader, concurrency: &ConcurrencyDocument, algorithm: Option<AlgorithmWord>) {
    if algorithm.is_some() {
        idle(reader, place(concurrency.wait.as_ref()), "wait", "`limit` instead of an algorithm");
    } else {
        let found = [("least", place(concurrency.least.as_ref())), ("most", place(concurrency.most.as_ref()))];
        found.into_iter().for_each(|(key, place)| idle(reader, place, key, "an `algorithm` instead of a limit"));
    }
    if matches!(algorithm, None | Some(AlgorithmWord::Envoy)) {
        idle(reader, place(concurrency.initial.as_ref()), "initial", "`algorithm: gradient2`, `vegas` or `aimd`");
    }
    if algorithm != Some(AlgorithmWord::Aimd) {
        idle(reader, place(concurrency.timeout.as_ref()), "timeout", "`algorithm: aimd`");
    }
    if algorithm != Some(AlgorithmWord::Envoy) {
        idle(reader, place(concurrency.update.as_ref()), "update", "`algorithm: envoy`");
        idle(reader, place(concurrency.measure_every.as_ref()), "measure_every", "`algorithm: envoy`");
    }
}

fn lower_range(reader: &mut Reader, concurrency: &ConcurrencyDocument, algorithm: &str) -> LimitRange {
    let default = |bound: &str| defaults::count(&format!("concurrency.{algorithm}.{bound}"));
    let least = or(concurrency.least.as_ref(), || default("least"));
    let initial = match algorithm {
        "envoy" => least,
        _ => or(concurrency.initial.as_ref(), || default("initial").max(least)),
    };
    let most = or(concurrency.most.as_ref(), || default("most"));
    let first = [place(concurrency.initial.as_ref()), place(concurrency.least.as_ref()), place(concurrency.most.as_ref())];
    if let Some(place) = first.into_iter().flatten().next().filter(|_| !(least..=most).contains(&initial)) {
        let fault = format!("a limit that begins at {initial} and stays between {least} and {most}");
        reader.problem(problem::impossible(place, &fault, "let `initial` stand between `least` and `most`"));
    }
    LimitRange { initial, least, most }
}

fn lower_rate_limit(limit: &RateLimitDocument) -> RateLimitSpec {
    RateLimitSpec {
        limit: limit.limit.value,
        period: or(limit.period.as_ref(), || defaults::span("rate_limit.period")),
        wait: or(limit.wait.as_ref(), || defaults::span("rate_limit.wait")),
    }
}

fn lower_control(control: &ControlDocument) -> ControlSpec {
    let rate = |key| Rate::parse(defaults::text(key)).expect("defaults are rates where they should be");
    ControlSpec {
        window: or(control.window.as_ref(), || defaults::span("admission_control.window")),
        success: or(control.success.as_ref(), || defaults::ratio("admission_control.success")),
        aggression: or(control.aggression.as_ref(), || defaults::number("admission_control.aggression")),
        most: or(control.most.as_ref(), || defaults::ratio("admission_control.most")),
        from: or(control.from.as_ref(), || rate("admission_control.from")),
    }
}
