//! What is missing before a policy may enter its next stage, and the shortest way to it.

use firedrill_core::words::counted;
use firedrill_reports::statistics::clopper_pearson_upper;
use serde::Serialize;

use super::evidence::{Event, Evidence};
use super::profile::{Asked, Counted, days_told};

/// How sure the bounds are.
const CONFIDENCE: f64 = 0.95;

/// At most so many events are named.
const SHOWN: usize = 5;

/// Something that a promotion asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Need {
    /// One word for it: `days`, `events`, `labels`, `wrong`, …
    pub what: &'static str,
    /// Whether it is there.
    pub is_met: bool,
    /// What there is, of what is asked for.
    pub told: String,
    /// The shortest way to it; `None`: it is there.
    pub way: Option<String>,
}

impl Need {
    /// Something, with the way to it if it is not there.
    #[must_use]
    pub fn new(what: &'static str, is_met: bool, told: impl Into<String>, way: impl Into<String>) -> Self {
        Self { what, is_met, told: told.into(), way: (!is_met).then(|| way.into()) }
    }
}

/// What evidence a step asks for, each with what there is of it.
#[must_use]
pub fn needs(evidence: &Evidence, asked: &Asked) -> Vec<Need> {
    let mut all = vec![time(evidence, asked), count(evidence, asked)];
    all.extend(labels(evidence));
    all.push(wrong(evidence, asked));
    all.extend(of_people(evidence, asked));
    all.extend(detection(evidence, asked));
    all.extend(drills(evidence, asked));
    all.extend(dropped(evidence));
    all
}

fn time(evidence: &Evidence, asked: &Asked) -> Need {
    let live = format!("watched for {} of {}", whole_days(evidence.live.as_millis()), days_told(asked.live));
    let is_live = evidence.live >= asked.live;
    let Some((shorter, history)) = asked.backtest else {
        return Need::new("days", is_live, live, watch_on(evidence));
    };
    let is_backtested = evidence.live >= shorter && evidence.backtest >= history;
    let told = format!(
        "{live}; or {} with {} of {} of backtest",
        days_told(shorter),
        whole_days(evidence.backtest.as_millis()),
        days_told(history)
    );
    let way = if evidence.backtest < history {
        format!(
            "{}; {} of recorded history halve the wait: `firedrill replay INCIDENT --backtest --by NAME`",
            watch_on(evidence),
            days_told(history)
        )
    } else {
        watch_on(evidence)
    };
    let unfit: String = evidence.backtests_dropped.iter().map(|told| format!("; a backtest does not count: {told}")).collect();
    Need::new("days", is_live || is_backtested, format!("{told}{unfit}"), way)
}

fn watch_on(evidence: &Evidence) -> String {
    let none = "run `firedrill watch`: nothing was seen live at this stage yet";
    if evidence.live.as_millis() == 0 { none.to_owned() } else { "let `firedrill watch` go on".to_owned() }
}

fn whole_days(millis: u64) -> String {
    counted(millis / 86_400_000, "day")
}

/// How many of what is counted.
fn number(evidence: &Evidence, asked: &Asked) -> u64 {
    (if asked.counted == Counted::Compared { evidence.compared.len() } else { evidence.events.len() }) as u64
}

fn count(evidence: &Evidence, asked: &Asked) -> Need {
    let found = number(evidence, asked);
    let told = format!("{found} of {}", counted(asked.events, asked.counted.noun()));
    let missing = counted(asked.events.saturating_sub(found), asked.counted.noun());
    let way = match asked.counted {
        Counted::WouldActs | Counted::Runs | Counted::Actions => {
            format!(
                "{missing} more: make the fault on purpose where it does no harm, such as in staging, and say so: `firedrill label EVENT right --drill FAULT --by NAME`; each fault and target counts once"
            )
        }
        Counted::Compared => format!(
            "{missing} more: tell what people did in incidents that the policy saw: `firedrill label EVENT … --by NAME`, or `incident.yaml`"
        ),
    };
    Need::new("events", found >= asked.events, told, way)
}

/// Events of which nobody has said anything.
fn labels(evidence: &Evidence) -> Option<Need> {
    let open: Vec<&Event> = evidence.events.iter().filter(|event| event.label.is_none()).collect();
    if open.is_empty() {
        return None;
    }
    let ids: Vec<&str> = open.iter().take(SHOWN).map(|event| event.id.as_str()).collect();
    let more = if open.len() > SHOWN { format!(" and {} more", open.len() - SHOWN) } else { String::new() };
    let overdue = open.iter().filter(|event| event.is_overdue).count();
    let late = if overdue > 0 { format!("; {overdue} for more than 14 days, which count as wrong") } else { String::new() };
    let told = format!("{} without a label: {}{more}{late}", counted(open.len() as u64, "event"), ids.join(", "));
    Some(Need::new("labels", false, told, format!("say what it was: `firedrill label {} right|wrong|redundant|harmful --by NAME`", ids[0])))
}

fn wrong(evidence: &Evidence, asked: &Asked) -> Need {
    let total = number(evidence, asked);
    let bad = match asked.counted {
        Counted::Compared => evidence.compared.iter().filter(|own| own.is_wrong).count(),
        _ => evidence.events.iter().filter(|event| event.is_bad(asked.counted)).count(),
    } as u64;
    let word = if asked.counted == Counted::Actions { "harmful" } else { "wrong" };
    let told = format!("{bad} {word} of {total}{}", could_be(bad, total));
    let is_met = share(bad, total) <= asked.wrong;
    let limit = if asked.wrong == 0.0 { "none may be".to_owned() } else { format!("at most {} may be", percent(asked.wrong)) };
    Need::new(
        word,
        is_met,
        told,
        format!("{limit}: change the policy such that it does not do that again; what it decides otherwise then is no evidence any more"),
    )
}

/// What a figure could still be: `: could still be 45 %`.
#[must_use]
pub fn could_be(bad: u64, total: u64) -> String {
    if total == 0 {
        return ": nothing is known".to_owned();
    }
    format!(": could still be {}", percent(clopper_pearson_upper(bad, total, CONFIDENCE)))
}

#[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A share that must be at least something; nothing to tell by is not enough.
fn at_least(what: &'static str, (part, whole): (u64, u64), least: f64, noun: &str, way: &str) -> Need {
    let is_met = whole > 0 && share(part, whole) >= least;
    Need::new(
        what,
        is_met,
        format!("{part} of {} {what}, {} of {}", counted(whole, noun), percent(share(part, whole)), percent(least)),
        way,
    )
}

fn of_people(evidence: &Evidence, asked: &Asked) -> Vec<Need> {
    let mut all = Vec::new();
    if let Some(least) = asked.agreement {
        let agree = evidence.compared.iter().filter(|own| own.agrees).count() as u64;
        let whole = evidence.compared.len() as u64;
        all.push(at_least(
            "agreeing",
            (agree, whole),
            least,
            "compared incident",
            "look at those that differ: the policy or people were wrong",
        ));
    }
    if let Some(least) = asked.approved {
        let whole = evidence.granted + evidence.denied;
        all.push(at_least(
            "approved",
            (evidence.granted, whole),
            least,
            "proposal",
            "ask those who said no why: what they know is a precheck",
        ));
    }
    if let Some(least) = asked.verified {
        let whole = evidence.held + evidence.failed;
        all.push(at_least(
            "verified",
            (evidence.held, whole),
            least,
            "verification",
            "look at those that failed: the action does not help, or the condition asks for something else",
        ));
    }
    all
}

fn detection(evidence: &Evidence, asked: &Asked) -> Option<Need> {
    let within = asked.detection?;
    let told: Vec<f64> = evidence.compared.iter().filter_map(|own| own.detection_ratio).collect();
    let fit = told.iter().filter(|ratio| **ratio <= within && **ratio * within >= 1.0).count();
    let text = format!("live detection within x{within} of simulation in {fit} of {}", counted(told.len() as u64, "incident"));
    let way = if told.is_empty() {
        "rehearse a scenario of such an incident, so that there is a time to compare with"
    } else {
        "make the scenarios detect as late as life does: scrapes, `for`, routing"
    };
    Some(Need::new("detection", !told.is_empty() && fit == told.len(), text, way))
}

fn drills(evidence: &Evidence, asked: &Asked) -> Option<Need> {
    if asked.drills == 0 {
        return None;
    }
    let found = evidence.events.iter().filter(|event| event.drill.is_some()).count() as u64;
    let told = format!("{found} of {}", counted(asked.drills, "staged drill"));
    Some(Need::new(
        "drills",
        found >= asked.drills,
        told,
        "make a fault on purpose, let the policy answer it, and label that: `firedrill label EVENT right --drill FAULT --by NAME`",
    ))
}

/// What was evidence and is none any more. It is missing already in what is counted; here it is named.
fn dropped(evidence: &Evidence) -> Option<Need> {
    if evidence.dropped.is_empty() {
        return None;
    }
    let shown: Vec<String> = evidence.dropped.iter().take(SHOWN).map(|own| format!("{}: {}", own.id, own.why)).collect();
    let more = if evidence.dropped.len() > SHOWN { format!("; and {} more", evidence.dropped.len() - SHOWN) } else { String::new() };
    let told = format!("{} no evidence any more: {}{more}", counted(evidence.dropped.len() as u64, "event"), shown.join("; "));
    // Nothing is to be done about it where enough is left.
    Some(Need { what: "dropped", is_met: true, told, way: None })
}
