//! What is missing before a policy may enter its next stage, and the shortest way to it.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_reports::statistics::clopper_pearson_upper;
use serde::Serialize;

use super::evidence::{Comparison, Event, Evidence};
use super::profile::{Asked, Counted, days_told};

/// How sure the bounds are.
const CONFIDENCE: f64 = 0.95;

/// At most so many events are named.
const SHOWN: usize = 5;

/// How what is told begins that could not be looked at.
pub const UNCHECKED: &str = "not checked";

/// What is told of a share of nothing.
const UNKNOWN: &str = ": nothing is known";

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

impl Need {
    /// Whether it is nothing to be had, but something to know: what does not count, what nobody has looked at, what nothing is known of.
    #[must_use]
    pub fn is_remark(&self) -> bool {
        self.is_met
            && (matches!(self.what, "dropped" | "labels" | "milder" | "rehearsed")
                || self.told.ends_with(UNKNOWN)
                || self.told.starts_with(UNCHECKED))
    }
}

/// What evidence a step asks for, each with what there is of it.
#[must_use]
pub fn needs(evidence: &Evidence, asked: &Asked) -> Vec<Need> {
    let mut all = vec![time(evidence, asked), count(evidence, asked)];
    all.extend(violations(evidence));
    all.extend(labels(evidence));
    all.push(wrong(evidence, asked));
    all.extend(of_people(evidence, asked));
    all.extend(detection(evidence, asked));
    all.extend(drills(evidence, asked));
    all.extend(rehearsed(evidence));
    all.extend(milder(evidence));
    all.extend(dropped(evidence));
    all
}

fn time(evidence: &Evidence, asked: &Asked) -> Need {
    if asked.live == Span::ZERO {
        return Need::new("days", true, format!("{UNCHECKED}: no time is asked for"), "");
    }
    // Who asks for less than a day is told in what they asked for.
    let is_short = asked.live < Span::from_seconds(86_400);
    let own =
        if is_short { Span::from_seconds(evidence.live.as_millis() / 1000).to_string() } else { whole_days(evidence.live.as_millis()) };
    let unanswered = if evidence.unanswered >= Span::from_minutes(1) {
        format!(" ({} more do not count: Prometheus gave no answer)", Span::from_seconds(evidence.unanswered.as_millis() / 1000))
    } else {
        String::new()
    };
    let live = format!("watched for {own} of {}{unanswered}", days_told(asked.live));
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
    let unfit = &evidence.backtests_dropped;
    let more = if unfit.len() > SHOWN { format!("; nor do {} more", unfit.len() - SHOWN) } else { String::new() };
    let unfit: String = unfit.iter().take(SHOWN).map(|told| format!("; a backtest does not count: {told}")).collect();
    let unfit = unfit + &more;
    Need::new("days", is_live || is_backtested, format!("{told}{unfit}"), way)
}

/// What must never happen stands in the way for good: whatever let it happen has to be found first.
fn violations(evidence: &Evidence) -> Option<Need> {
    let shown: Vec<&str> = evidence.violations.iter().take(SHOWN).map(String::as_str).collect();
    let way = "find out how that could happen; then begin anew: `firedrill demote POLICY --to draft --because TEXT --by NAME`";
    let told = || format!("{} of what must never happen: {}", evidence.violations.len(), shown.join("; "));
    (!shown.is_empty()).then(|| Need::new("violations", false, told(), way))
}

fn watch_on(evidence: &Evidence) -> String {
    let none =
        "run `firedrill watch`: nothing was seen live at this stage yet; one that runs since before the promotion is to be started again";
    let asked = "see to it that Prometheus answers: the log of `firedrill watch` says why it does not";
    let way = match (evidence.live.as_millis() == 0, evidence.unanswered.as_millis() == 0) {
        (true, true) => none,
        (true, false) => asked,
        (false, _) => "let `firedrill watch` go on",
    };
    way.to_owned()
}

fn whole_days(millis: u64) -> String {
    counted(millis / 86_400_000, "day")
}

/// What is counted once: all that came of the alerts of one trouble is one event, because it may be told by any number of alerts. Where none is known it is all that was done in one incident, and on recorded history all that began at one instant.
type Once<'e> = (bool, Option<usize>, &'e str);

fn once<'e>(event: &'e Event, counted: Counted) -> Once<'e> {
    // Each of them is carried out, and can do harm by itself.
    if counted == Counted::Actions {
        return (event.is_backtest, None, &event.hash);
    }
    let own = if event.is_backtest { instant_of(&event.incident) } else { &event.taken_up };
    (event.is_backtest, event.trouble, if event.trouble.is_some() { "" } else { own })
}

/// When an incident of recorded history began: it is called `ALERT at TIME`.
fn instant_of(incident: &str) -> &str {
    incident.rsplit_once(" at ").map_or(incident, |(_, at)| at)
}

fn once_compared(own: &Comparison) -> Once<'_> {
    (false, own.trouble, if own.trouble.is_some() { "" } else { &own.taken_up })
}

/// What is counted.
fn all_of<'e>(evidence: &'e Evidence, asked: &Asked) -> BTreeSet<Once<'e>> {
    match asked.counted {
        Counted::Compared => evidence.compared.iter().map(once_compared).collect(),
        other => evidence.events.iter().map(|event| once(event, other)).collect(),
    }
}

/// What of it speaks against the policy. Where incidents are compared an event that is wrong counts, or that nobody labels, whether or not it was compared.
fn bad_of<'e>(evidence: &'e Evidence, asked: &Asked) -> BTreeSet<Once<'e>> {
    let mut bad: BTreeSet<Once<'_>> =
        evidence.events.iter().filter(|event| event.is_bad(asked.counted)).map(|event| once(event, asked.counted)).collect();
    if asked.counted == Counted::Compared {
        bad.extend(evidence.compared.iter().filter(|own| own.is_wrong).map(once_compared));
    }
    bad
}

fn count(evidence: &Evidence, asked: &Asked) -> Need {
    let found = all_of(evidence, asked).len() as u64;
    let all = if asked.counted == Counted::Compared { evidence.compared.len() } else { evidence.events.len() } as u64;
    let together = match asked.counted {
        Counted::WouldActs | Counted::Compared if all > found => format!("; {all} in all, and what came together counts once"),
        _ => String::new(),
    };
    let told = format!("{found} of {}{together}", counted(asked.events, asked.counted.noun()));
    let missing = counted(asked.events.saturating_sub(found), asked.counted.noun());
    let way = match asked.counted {
        Counted::WouldActs | Counted::Runs | Counted::Actions => {
            format!(
                "{missing} more: make the fault on purpose where it does no harm, such as in staging, and say so: `firedrill label EVENT right --drill FAULT --by NAME`; each fault and target counts once"
            )
        }
        Counted::Compared => format!(
            "{missing} more: `firedrill shadow` compares what the policy would have done with what people did, as an incident's `people:`, an export of the pager or labels tell it"
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
    // Those that count as wrong already are told there, and stand in nobody's way beyond that.
    Some(Need::new(
        "labels",
        overdue == open.len(),
        told,
        format!("say what it was: `firedrill label {} right|wrong|redundant|harmful --by NAME`", ids[0]),
    ))
}

fn wrong(evidence: &Evidence, asked: &Asked) -> Need {
    let bad_ones = bad_of(evidence, asked);
    let total = all_of(evidence, asked).union(&bad_ones).count() as u64;
    let bad = bad_ones.len() as u64;
    let word = if asked.counted == Counted::Actions { "harmful" } else { "wrong" };
    let told = format!("{bad} {word} of {total}{}", could_be(bad, total));
    let is_met = share(bad, total) <= asked.wrong;
    let limit = if asked.wrong == 0.0 { "none may be".to_owned() } else { format!("at most {} may be", percent(asked.wrong)) };
    let overdue = evidence.events.iter().find(|event| event.is_overdue);
    let label =
        overdue.map_or_else(String::new, |event| format!("say what {} was: `firedrill label {} right --by NAME`; or ", event.id, event.id));
    let change = "change the policy such that it does not do that again; what it decides otherwise then is no evidence any more";
    Need::new(word, is_met, told, format!("{limit}: {label}{change}"))
}

/// What a figure could still be: `: could still be 45 %`.
#[must_use]
pub fn could_be(bad: u64, total: u64) -> String {
    if total == 0 {
        return UNKNOWN.to_owned();
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

/// Shares of what people and telemetry said.
fn of_people(evidence: &Evidence, asked: &Asked) -> Vec<Need> {
    // Nobody says of an event what it was: that agrees with nobody.
    let known: BTreeSet<&str> = evidence.compared.iter().map(|own| own.taken_up.as_str()).collect();
    let untold = evidence.events.iter().filter(|event| event.is_overdue && !known.contains(event.taken_up.as_str()));
    let untold = untold.map(|event| (once(event, Counted::Compared), false));
    let (agree, compared) = all_of_each(evidence.compared.iter().map(|own| (once_compared(own), own.agrees)).chain(untold));
    let (granted, held) = (evidence.granted, evidence.held);
    let shares = [
        (asked.agreement, "agreeing", (agree, compared), "compared incident"),
        (asked.approved, "approved", (granted, granted + evidence.denied), "proposal"),
        (asked.verified, "verified", (held, held + evidence.failed), "verification"),
    ];
    let need = |(least, what, found, noun): (Option<f64>, &'static str, _, _)| Some(at_least((what, noun), found, least?));
    shares.into_iter().filter_map(need).collect()
}

/// Of what is counted once how much holds, and how much there is. It holds where all of it does.
fn all_of_each<'e>(each: impl Iterator<Item = (Once<'e>, bool)>) -> (u64, u64) {
    let mut all: BTreeMap<Once<'e>, bool> = BTreeMap::new();
    for (once, holds) in each {
        *all.entry(once).or_insert(true) &= holds;
    }
    (all.values().filter(|holds| **holds).count() as u64, all.len() as u64)
}

/// A share that must be at least something; nothing to tell by is not enough.
fn at_least((what, noun): (&'static str, &str), (part, whole): (u64, u64), least: f64) -> Need {
    let way = match what {
        "agreeing" => "look at those that differ: the policy or people were wrong",
        "approved" => "ask those who said no why: what they know is a precheck",
        _ => "look at those that failed: the action does not help, or the condition asks for something else",
    };
    let is_met = whole > 0 && share(part, whole) >= least;
    let told = format!("{part} of {} {what}, {} of {}", counted(whole, noun), percent(share(part, whole)), percent(least));
    Need::new(what, is_met, told, way)
}

fn detection(evidence: &Evidence, asked: &Asked) -> Option<Need> {
    let within = asked.detection?;
    let is_fit = |ratio: f64| ratio <= within && ratio * within >= 1.0;
    let told = evidence.compared.iter().filter_map(|own| Some((once_compared(own), is_fit(own.detection_ratio?))));
    let (fit, all) = all_of_each(told);
    let text = format!("live detection within x{within} of simulation in {fit} of {}", counted(all, "incident"));
    let way = if all == 0 {
        "rehearse a scenario of such an incident, so that there is a time to compare with"
    } else {
        "make the scenarios detect as late as life does: scrapes, `for`, routing"
    };
    Some(Need::new("detection", all > 0 && fit == all, text, way))
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

/// What of all this is of a simulation.
fn rehearsed(evidence: &Evidence) -> Option<Need> {
    let shown = evidence.rehearsed.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = if evidence.rehearsed.len() > SHOWN { format!(" and {} more", evidence.rehearsed.len() - SHOWN) } else { String::new() };
    let time = Span::from_seconds(evidence.simulated.as_millis() / 1000);
    let told = match (shown.is_empty(), evidence.simulated == Span::ZERO) {
        (true, true) => return None,
        (true, false) => format!("{time} of what was watched were of a simulation"),
        (false, _) => format!("of a simulation, and it counts as if it were of life: {shown}{more}, and {time} of what was watched"),
    };
    Some(Need { what: "rehearsed", is_met: true, told, way: None })
}

/// Where somebody else has made a label or a comparison milder. Whoever promotes should know.
fn milder(evidence: &Evidence) -> Option<Need> {
    if evidence.milder.is_empty() {
        return None;
    }
    let shown: Vec<&str> = evidence.milder.iter().take(SHOWN).map(String::as_str).collect();
    let more = if evidence.milder.len() > SHOWN { format!("; and {} more", evidence.milder.len() - SHOWN) } else { String::new() };
    let told = format!("{} made milder by somebody else: {}{more}", evidence.milder.len(), shown.join("; "));
    Some(Need { what: "milder", is_met: true, told, way: None })
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

#[cfg(test)]
mod tests {
    use super::super::evidence::{Comparison, Dropped};
    use super::super::profile::{LARGE, SMALL};
    use super::*;
    use crate::ledger::Labelled;

    fn event(number: usize, label: Option<Labelled>) -> Event {
        Event {
            id: format!("p#{number}"),
            hash: format!("blake3:{number}"),
            at: String::new(),
            incident: format!("i{number}"),
            taken_up: format!("i{number}"),
            trouble: None,
            what: "rollback service/s".to_owned(),
            label,
            is_overdue: false,
            drill: None,
            is_backtest: false,
            is_decided_again: false,
        }
    }

    fn events(count: usize, bad: usize) -> Vec<Event> {
        (0..count).map(|index| event(index, Some(if index < bad { Labelled::Wrong } else { Labelled::Right }))).collect()
    }

    fn days(count: u64) -> Span {
        Span::from_seconds(count * 86_400)
    }

    /// What is missing, by one word each.
    #[track_caller]
    fn check(evidence: &Evidence, asked: &Asked, expected: &[&str]) {
        let all = needs(evidence, asked);
        let missing: Vec<&str> = all.iter().filter(|need| !need.is_met).map(|need| need.what).collect();
        assert_eq!(missing, expected, "{all:#?}");
        assert!(all.iter().all(|need| need.is_met == need.way.is_none()), "what is missing says how to get it");
    }

    #[test]
    fn dry_run_asks_for_days_or_fewer_of_them_and_history() {
        let evidence =
            |live, backtest| Evidence { events: events(5, 0), live: days(live), backtest: days(backtest), ..Evidence::default() };
        let [small, ..] = &SMALL;
        check(&evidence(14, 0), small, &[]);
        check(&evidence(13, 29), small, &["days"]);
        check(&evidence(7, 30), small, &[]);
        check(&evidence(6, 300), small, &["days"]);
        check(&Evidence { events: events(20, 0), ..evidence(7, 0) }, &LARGE[0], &[]);
        check(&Evidence { events: events(20, 0), ..evidence(6, 60) }, &LARGE[0], &["days"]);
    }

    #[test]
    fn a_share_of_wrong_ones_is_held_against_the_limit_of_the_profile() {
        let evidence = |count, bad| Evidence { events: events(count, bad), live: days(14), ..Evidence::default() };
        check(&evidence(5, 1), &SMALL[0], &["wrong"]);
        check(&evidence(20, 1), &LARGE[0], &[]);
        check(&evidence(20, 2), &LARGE[0], &["wrong"]);
        // Of actions only harm counts.
        check(&evidence(10, 3), &SMALL[3], &[]);
        let mut harmful = evidence(10, 0);
        harmful.events[4].label = Some(Labelled::Harmful);
        check(&harmful, &SMALL[3], &["harmful"]);
        harmful.events[4] = Event { is_overdue: true, ..event(4, None) };
        check(&harmful, &SMALL[3], &["harmful"]);
        harmful.events[4] = event(4, None);
        check(&harmful, &SMALL[3], &["labels"]);
    }

    #[test]
    fn people_are_asked_as_the_large_profile_says() {
        let compared = |agreeing: usize, ratio: Option<f64>| {
            let one = |index: usize| Comparison {
                incident: index.to_string(),
                by: "ada".to_owned(),
                taken_up: index.to_string(),
                agrees: index < agreeing,
                is_wrong: false,
                detection_ratio: ratio,
                trouble: None,
            };
            Evidence { compared: (0..10).map(one).collect(), live: days(14), ..Evidence::default() }
        };
        check(&compared(9, Some(2.0)), &LARGE[1], &[]);
        check(&compared(8, Some(0.5)), &LARGE[1], &["agreeing"]);
        check(&compared(10, Some(2.1)), &LARGE[1], &["detection"]);
        check(&compared(10, Some(0.4)), &LARGE[1], &["detection"]);
        check(&compared(10, None), &LARGE[1], &["detection"]);
        let runs = |granted, denied, held, failed| Evidence { events: events(30, 0), granted, denied, held, failed, ..Evidence::default() };
        check(&runs(38, 2, 27, 3), &LARGE[2], &[]);
        check(&runs(37, 3, 26, 4), &LARGE[2], &["approved", "verified"]);
        check(&runs(0, 0, 0, 0), &LARGE[2], &["approved", "verified"]);
    }

    #[test]
    fn an_event_that_nobody_labels_is_wrong_in_shadow_as_it_is_in_dry_run() {
        let comparison = |index: usize| Comparison {
            incident: format!("i{index}"),
            by: "ada".to_owned(),
            taken_up: format!("i{index}"),
            agrees: true,
            is_wrong: false,
            detection_ratio: Some(1.0),
            trouble: None,
        };
        let mut evidence = Evidence { compared: (0..9).map(comparison).collect(), live: days(14), ..Evidence::default() };
        check(&evidence, &SMALL[1], &[]);
        // Whether it was compared, as a story tells, or not.
        for number in [3, 9] {
            evidence.events = vec![Event { is_overdue: true, ..event(number, None) }];
            check(&evidence, &SMALL[1], &["wrong"]);
            let wrong = needs(&evidence, &SMALL[1]).into_iter().find(|need| need.what == "wrong").unwrap();
            assert!(wrong.told.starts_with(if number == 3 { "1 wrong of 9:" } else { "1 wrong of 10:" }), "{}", wrong.told);
        }
        check(&evidence, &LARGE[1], &[]);
        evidence.events.push(Event { is_overdue: true, ..event(10, None) });
        check(&evidence, &LARGE[1], &["agreeing"]);
        evidence.events = vec![event(9, Some(Labelled::Wrong))];
        check(&evidence, &SMALL[1], &["wrong"]);
    }

    #[test]
    fn what_is_told_in_one_message_counts_once() {
        let told = |count: usize, message: usize| {
            events(count, 0).into_iter().map(move |event| Event {
                trouble: Some(message),
                hash: format!("{message} {}", event.hash),
                ..event
            })
        };
        let mut evidence = Evidence { events: told(5, 0).collect(), live: days(14), ..Evidence::default() };
        check(&evidence, &SMALL[0], &["events"]);
        assert_eq!(needs(&evidence, &SMALL[0])[1].told, "1 of 5 would-act events; 5 in all, and what came together counts once");
        evidence.events.extend((1..5).flat_map(|message| told(1, message)));
        check(&evidence, &SMALL[0], &[]);
        // One that is wrong is enough.
        evidence.events[2].label = Some(Labelled::Wrong);
        check(&evidence, &SMALL[0], &["wrong"]);
        // What is carried out counts each for itself.
        let acted = Evidence { events: told(10, 0).collect(), ..Evidence::default() };
        check(&acted, &SMALL[3], &[]);
    }

    #[test]
    fn without_a_message_an_incident_is_one_event_and_so_is_an_instant_of_history() {
        let evidence = |events: Vec<Event>| Evidence { events, live: days(14), ..Evidence::default() };
        let right = |number: usize| event(number, Some(Labelled::Right));
        // A step that was staged over five targets.
        let staged = (0..5).map(|number| Event { taken_up: "i0".to_owned(), ..right(number) }).collect();
        check(&evidence(staged), &SMALL[0], &["events"]);
        let replayed = |minute: fn(usize) -> usize| {
            let one = |number: usize| {
                let incident = format!("Alert{number} at 2026-01-05T00:{:02}:00Z", minute(number));
                Event { taken_up: incident.clone(), incident, is_backtest: true, ..right(number) }
            };
            evidence((0..5).map(one).collect())
        };
        check(&replayed(|_| 7), &SMALL[0], &["events"]);
        check(&replayed(|number| number), &SMALL[0], &[]);
    }

    #[test]
    fn what_is_told_in_one_message_agrees_or_is_detected_in_time_only_all_together() {
        let one = |index: usize, message: usize, agrees: bool, ratio: f64| Comparison {
            incident: format!("i{index}"),
            by: "ada".to_owned(),
            taken_up: format!("i{index}"),
            agrees,
            is_wrong: false,
            detection_ratio: Some(ratio),
            trouble: Some(message),
        };
        let told = |compared: Vec<Comparison>, what: &str| {
            let evidence = Evidence { compared, live: days(14), ..Evidence::default() };
            needs(&evidence, &LARGE[1]).into_iter().find(|need| need.what == what).unwrap().told
        };
        // Ten pods of one message agree, and one other incident differs.
        let pods = || (0..10).map(|index| one(index, 0, true, 1.0));
        let all: Vec<Comparison> = pods().chain([one(10, 1, false, 1.0)]).collect();
        assert_eq!(told(all, "agreeing"), "1 of 2 compared incidents agreeing, 50 % of 90 %");
        let all: Vec<Comparison> = pods().chain([one(10, 0, false, 3.0)]).collect();
        assert_eq!(told(all.clone(), "agreeing"), "0 of 1 compared incident agreeing, 0 % of 90 %");
        assert_eq!(told(all, "detection"), "live detection within x2 of simulation in 0 of 1 incident");
    }

    #[test]
    fn bounds_are_those_of_clopper_and_pearson() {
        assert_eq!(could_be(0, 5), ": could still be 45 %");
        assert_eq!(could_be(0, 20), ": could still be 14 %");
        assert_eq!(could_be(1, 20), ": could still be 22 %");
        assert_eq!(could_be(0, 300), ": could still be 1 %");
        assert_eq!(could_be(0, 0), ": nothing is known");
    }

    #[test]
    fn what_is_dropped_is_named_and_is_missing_only_where_too_little_is_left() {
        let dropped = (0..7).map(|index| Dropped { id: format!("p#{index}"), why: "its policy has changed since".to_owned() }).collect();
        let evidence = Evidence { events: events(5, 0), dropped, live: days(14), ..Evidence::default() };
        check(&evidence, &SMALL[0], &[]);
        let told = needs(&evidence, &SMALL[0]).pop().unwrap().told;
        assert!(told.starts_with("7 events no evidence any more: p#0: its policy has changed since; p#1"), "{told}");
        assert!(told.ends_with("; and 2 more"), "{told}");
    }
}
