//! Tables for a terminal: plain text, no colour.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

use crate::outcome::{ArmOutcome, Elapsed, Outcome};
use crate::pareto::{self, Costs};
use crate::statistics::{Quantile, Sample, Summary};
use crate::verdict::{Case, ClassSummary, ClassVerdict, IncidentResult, IncidentStatus, Judgement, Measure, Unit, Verdict, summarise};
use crate::words::counted;
use crate::worth::{DeedWorth, LEAST_TOLD};

/// A line under the header and nothing else: what people paste into tickets stays readable.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The measures that comparisons show, in this order.
pub const SHOWN: [&str; 11] = [
    "time_to_recover",
    "time_to_detect",
    "user_minutes_lost",
    "harm",
    "data_harm",
    "actions",
    "false_positives",
    "blast_radius.replicas",
    "blast_radius.requests",
    "noop_false_positives",
    "fights",
];

/// What the columns of a comparison count, where their words alone do not say it.
const COMPARE_LEGEND: &str = "\
lost: user-minutes; harm: user-minutes that doing nothing would not have lost, in the worst run
out of scope: actions on what no incident concerned at the time (false positives)
touched: replicas that the policy took out of service at some time and that stayed in it without, in the worst run; no harm by itself
hurt: requests that would have been answered well had nobody acted, in the worst run";

/// What the mark of a policy says.
const FRONT_LEGEND: &str =
    "* over all classes no other policy is as good in recovery, harm and actions out of scope, and better in one of them\n";

/// The runs of one policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRuns<'a> {
    /// What to call it.
    pub policy: &'a str,
    /// Its runs.
    pub cases: &'a [Case],
}

/// Policies side by side, class by class. `width` is the terminal's, in characters; `None` breaks no line.
#[must_use]
pub fn compare(policies: &[PolicyRuns], width: Option<u16>) -> String {
    let measures: Vec<Measure> = SHOWN.into_iter().map(Measure::known).collect();
    let mut table = new(
        width,
        &["class", "policy", "runs", "recover p50", "p90", "lost (mean)", "harm max", "actions", "out of scope", "touched", "hurt"],
    );
    let summaries: Vec<Vec<ClassSummary>> = policies.iter().map(|runs| summarise(runs.cases, &measures, 0)).collect();
    let mut classes: Vec<_> = summaries.iter().flatten().map(|summary| summary.class.clone()).collect();
    classes.sort_by_key(|class| (class.is_none(), class.clone()));
    classes.dedup();
    let costs: Vec<Costs> = policies.iter().map(|runs| Costs::of(runs.cases)).collect();
    let front = pareto::front(&costs);
    // A policy alone is beaten by nobody, which says nothing.
    let is_marked = |index: usize, class: &Option<_>| class.is_none() && policies.len() > 1 && front[index];
    for class in classes {
        let mut shown = class.as_ref().map_or("all", |class| class.as_str()).to_owned();
        for (index, (runs, summaries)) in policies.iter().zip(&summaries).enumerate() {
            let Some(summary) = summaries.iter().find(|summary| summary.class == class) else { continue };
            let mark = if is_marked(index, &class) { " *" } else { "" };
            let mut row = vec![std::mem::take(&mut shown), format!("{}{mark}", runs.policy), summary.runs.to_string()];
            row.extend(compare_cells(summary).into_iter().map(|cell| cell.replace(" %", OF_A_HUNDRED)));
            table.add_row(row);
        }
    }
    align_right(&mut table, 2);
    keep_whole(&mut table, 2);
    keep_words(&mut table, 2);
    let marked = if policies.len() > 1 { FRONT_LEGEND } else { "" };
    format!("{}\n\n{marked}{COMPARE_LEGEND}", text_of(&table))
}

/// What a gate found, class by class, then the incidents.
#[must_use]
pub fn gate(judgement: &Judgement, width: Option<u16>) -> String {
    let mut table = new(width, &["class", "verdict", "runs", "acted", "why"]);
    for class in &judgement.classes {
        table.add_row(vec![
            class.class.to_string(),
            class.verdict.to_string(),
            class.runs.to_string(),
            class.exercise.acted.to_string(),
            why(class),
        ]);
    }
    for incident in &judgement.incidents {
        let verdict = incident.verdict().map_or("no verdict", Verdict::word).to_owned();
        let name = format!("incident {}", incident.incident);
        table.add_row(vec![name, verdict, "1".to_owned(), "-".to_owned(), incident_why(incident)]);
    }
    text_of(&table)
}

/// Why an incident has its verdict; what held is counted, what did not is told.
#[must_use]
pub fn incident_why(incident: &IncidentResult) -> String {
    match incident.status {
        IncidentStatus::Passed => format!("{}: decisions right, effect unproven", hold(incident.findings.len(), "check")),
        _ => incident.findings.join("; "),
    }
}

/// The arms of one run side by side.
#[must_use]
pub fn arms(outcome: &Outcome, width: Option<u16>) -> String {
    let mut header = vec!["measure"];
    header.extend(arm_columns(outcome).iter().map(|(name, _)| *name));
    let mut table = new(width, &header);
    for (measure, cells) in arm_rows(outcome) {
        table.add_row(std::iter::once(measure.to_owned()).chain(cells));
    }
    align_right(&mut table, 1);
    text_of(&table)
}

/// The arms that ran, in the order in which they are shown, each with its word.
#[must_use]
pub fn arm_columns(outcome: &Outcome) -> Vec<(&'static str, &ArmOutcome)> {
    let human = outcome.human.as_ref().map(|human| &human.arm);
    let all =
        [("nothing", Some(&outcome.nothing)), ("human", human), ("policy", Some(&outcome.policy)), ("oracle", outcome.oracle.as_ref())];
    all.into_iter().filter_map(|(name, arm)| Some((name, arm?))).collect()
}

/// The policy against a person on call, in one line; `None` without such an arm.
#[must_use]
pub fn person_line(outcome: &Outcome) -> Option<String> {
    let human = outcome.human.as_ref()?;
    let (Some(called), Some(acted)) = (human.called_seconds, human.acted_seconds) else {
        return Some(match (&human.arm.cut_by, human.called_seconds) {
            (Some(bound), _) => {
                let at = Unit::Seconds.show(libm::floor(human.arm.ended_seconds));
                format!("of the person on call: nothing was done until bound {bound} ended the run at {at}")
            }
            (None, None) => "of the person on call: nothing is done, as no alert calls anybody".to_owned(),
            (None, Some(_)) => "of the person on call: nothing is done, as the alert is over before the person would act".to_owned(),
        });
    };
    let took = Unit::Seconds.show(acted - called);
    if outcome.policies.is_empty() {
        return Some(format!("of the person on call: acts {took} after the alert"));
    }
    let even = match human.break_even_seconds {
        _ if !both_mitigated(outcome) => "users were not well to stay in both runs, so nobody can say which person is as good".to_owned(),
        Some(0.0) => "the policy is better than anybody who acts after the alert".to_owned(),
        Some(seconds) => format!("the policy is as good as a person who acts {} after the alert", Unit::Seconds.show(seconds)),
        None => "the policy is no better than a person who never acts".to_owned(),
    };
    Some(format!("of the person on call: acts {took} after the alert; {even}"))
}

/// Whether users lose less with the policy than with the person, and are not left in an outage that the person ends.
fn is_better_than_person(outcome: &Outcome) -> bool {
    let is_open = |arm: &ArmOutcome| arm.time_to_mitigate.is_some_and(|time| time.censored);
    let is_left = is_open(&outcome.policy) && outcome.human.as_ref().is_some_and(|human| !is_open(&human.arm));
    !is_left && outcome.benefit_over_human.is_some_and(|benefit| benefit >= LEAST_TOLD)
}

/// Whether users were well to stay with the policy and with the person; only then do both have a sum that can be held against the other's.
fn both_mitigated(outcome: &Outcome) -> bool {
    let is_mitigated = |arm: &ArmOutcome| arm.time_to_mitigate.is_none_or(|time| !time.censored);
    is_mitigated(&outcome.policy) && outcome.human.as_ref().is_some_and(|human| is_mitigated(&human.arm))
}

/// What the runs of the arms are not alike in: where they ended at different times, that the columns cover different times; and what bounds cut. A
/// line each, without its end.
#[must_use]
pub fn span_lines(outcome: &Outcome) -> Vec<String> {
    let arms = arm_columns(outcome);
    let mut lines = Vec::new();
    if ended_apart(&arms) {
        lines.push("each column is of its arm's whole run; benefit, harm and regret compare such sums".to_owned());
    }
    let cut = arms.iter().filter_map(|(name, arm)| Some((name, arm.cut_by.as_ref()?, arm.ended_seconds)));
    lines.extend(cut.map(|(name, bound, ended)| {
        let at = Unit::Seconds.show(libm::floor(ended));
        format!("bound {bound} ended the run of {name} at {at}, before its horizon: nothing is proved (`bounds:`)")
    }));
    lines.extend(unfinished_person(outcome));
    lines
}

/// That the person's run was ended where nobody waits any longer; the run in which nobody acts ends at the horizon.
fn unfinished_person(outcome: &Outcome) -> Option<String> {
    const LONGEST: f64 = 86_400.0;
    let arm = &outcome.human.as_ref()?.arm;
    let is_whole = arm.cut_by.is_none() && outcome.nothing.cut_by.is_none();
    (is_whole && arm.ended_seconds - outcome.nothing.ended_seconds >= LONGEST).then(|| {
        let at = Unit::Seconds.show(libm::floor(arm.ended_seconds));
        format!("the person was still at work at {at}, a day beyond the horizon: their run was cut there, and is not at its end")
    })
}

/// The runs of several policies that a bound cut: a line for each policy that has any.
#[must_use]
pub fn cut_lines(policies: &[PolicyRuns]) -> Vec<String> {
    let line = |runs: &PolicyRuns| {
        let cut: Vec<_> = runs.cases.iter().filter_map(|case| Some((case.outcome.cut.as_ref()?, &case.outcome.scenario))).collect();
        let (first, scenario) = cut.first()?;
        let of = counted(runs.cases.len() as u64, "run");
        Some(format!("{}: {} of {of} prove nothing: {first} ({scenario})", runs.policy, cut.len()))
    };
    policies.iter().filter_map(line).collect()
}

/// Whether runs lasted differently, to the second.
fn ended_apart(arms: &[(&'static str, &ArmOutcome)]) -> bool {
    let ends = || arms.iter().map(|(_, arm)| libm::floor(arm.ended_seconds));
    ends().zip(ends().skip(1)).any(|(one, other)| one != other)
}

/// Who worked against whom in a run, and who waited for whom: a line each, fights first. Empty if nobody did.
#[must_use]
pub fn disputes(outcome: &Outcome) -> Vec<String> {
    let fights = outcome.fights.iter().map(|fight| format!("fight: {fight}"));
    fights.chain(outcome.conflicts.iter().map(|conflict| format!("conflict: {conflict}"))).collect()
}

/// Fights and conflicts over all runs: a line for each set of policies that has any, with the pair that fights most.
#[must_use]
pub fn disputes_of(policies: &[PolicyRuns]) -> Vec<String> {
    let line = |runs: &PolicyRuns| {
        let outcomes = || runs.cases.iter().map(|case| &case.outcome);
        let (fights, conflicts) =
            (outcomes().map(|own| own.fights.len()).sum::<usize>(), outcomes().map(|own| own.conflicts.len()).sum::<usize>());
        if fights + conflicts == 0 {
            return None;
        }
        let mut pairs: BTreeMap<String, u64> = BTreeMap::new();
        for fight in outcomes().flat_map(|own| &own.fights) {
            let [one, other] = &fight.parties;
            let (one, other) = (one.min(other), one.max(other));
            *pairs.entry(format!("{one} and {other} over {}", fight.over)).or_default() += 1;
        }
        // Of equals the first by name.
        let worst = pairs.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)));
        let worst = worst.map_or_else(String::new, |(pair, count)| format!(" ({pair}: {count})"));
        let told = [counted(fights as u64, "fight") + &worst, counted(conflicts as u64, "conflict")];
        Some(format!("{}: {} in {}", runs.policy, told.join(" and "), counted(runs.cases.len() as u64, "run")))
    };
    policies.iter().filter_map(line).collect()
}

/// Who acted on what, in order: a row for each action of a run of several policies.
#[must_use]
pub fn deeds(outcome: &Outcome, width: Option<u16>) -> String {
    let mut table = new(width, &["", "at", "policy", "action", "target", "ended"]);
    for row in deed_rows(outcome) {
        table.add_row(row);
    }
    text_of(&table)
}

/// What the first actions of a run were worth: a row for each.
#[must_use]
pub fn worth(deeds: &[DeedWorth], width: Option<u16>) -> String {
    if deeds.is_empty() {
        return "nothing was done, so there is nothing to leave out\n".to_owned();
    }
    let mut table = new(width, &["at", "policy", "action", "target", "without it"]);
    for deed in deeds {
        let at = Unit::Seconds.show(libm::floor(deed.started_seconds));
        let policy = deed.action.policy.to_string();
        table.add_row(vec![at, policy, deed.what.clone(), deed.target.to_string(), deed.worth.words()]);
    }
    format!("{}\n", text_of(&table))
}

/// The rows of [`deeds`]: number, time, policy, action, target, and how it ended.
pub(crate) fn deed_rows(outcome: &Outcome) -> Vec<[String; 6]> {
    let clock = |seconds: f64| Unit::Seconds.show(libm::floor(seconds));
    let rows = outcome.deeds.iter().enumerate().map(|(index, deed)| {
        let ended = match (deed.succeeded, deed.finished_seconds) {
            (Some(true), Some(finished)) => format!("done after {}", clock(finished - deed.started_seconds)),
            (Some(false), Some(finished)) => format!("failed after {}", clock(finished - deed.started_seconds)),
            _ => "not when the run ended".to_owned(),
        };
        let (number, at, by) = ((index + 1).to_string(), clock(deed.started_seconds), deed.action.policy.to_string());
        [number, at, by, deed.what.clone(), deed.target.to_string(), ended]
    });
    rows.collect()
}

/// Each policy against a person on call, over all runs that have one: a line each.
#[must_use]
pub fn against_people(policies: &[PolicyRuns]) -> Vec<String> {
    let line = |runs: &PolicyRuns| {
        let acted = |case: &&Case| case.outcome.human.as_ref().is_some_and(|human| human.acted_seconds.is_some());
        let acted: Vec<&Outcome> = runs.cases.iter().filter(acted).map(|case| &case.outcome).collect();
        let better = acted.iter().filter(|outcome| is_better_than_person(outcome)).count();
        let told = acted.iter().filter(|outcome| both_mitigated(outcome)).filter_map(|outcome| outcome.human.as_ref());
        // Where no person is slow enough, the break-even lies beyond every other.
        let mut even: Vec<f64> = told.map(|human| human.break_even_seconds.unwrap_or(f64::INFINITY)).collect();
        even.sort_by(f64::total_cmp);
        let middle = even.len().saturating_sub(1) / 2;
        let as_good = match even.get(middle) {
            None if acted.is_empty() => return None,
            None => "; users were not well to stay in any pair of runs, so nobody can say which person is as good".to_owned(),
            Some(&median) => {
                let of = match even.len() == acted.len() {
                    true => "the median run".to_owned(),
                    false => format!("the median of the {} that ended well with both", counted(even.len() as u64, "run")),
                };
                match median {
                    0.0 => format!("; in {of} no person who acts after the alert is as good"),
                    median if median.is_infinite() => format!("; in {of} as good as a person who never acts"),
                    median => format!("; in {of} as good as a person who acts {} after the alert", Unit::Seconds.show(median)),
                }
            }
        };
        let runs_with = counted(acted.len() as u64, "run");
        Some(format!("{}: better than the person on call in {better} of {runs_with}{as_good}", runs.policy))
    };
    policies.iter().filter_map(line).collect()
}

/// The measures that every arm has: their names, and a cell for each arm that ran.
#[must_use]
pub fn arm_rows(outcome: &Outcome) -> Vec<(&'static str, Vec<String>)> {
    let arms: Vec<&ArmOutcome> = arm_columns(outcome).into_iter().map(|(_, arm)| arm).collect();
    let row = |name, cell: fn(&ArmOutcome) -> String| (name, arms.iter().map(|arm| cell(arm)).collect());
    // Most systems have no data that could be lost.
    let lost = arms.iter().any(|arm| arm.data_lost > 0).then(|| row("data lost", |arm| records(arm.data_lost)));
    // Most arms are of one length, which the horizon says.
    let lasted =
        ended_apart(&arm_columns(outcome)).then(|| row("the run lasted", |arm| Unit::Seconds.show(libm::floor(arm.ended_seconds))));
    let rows = vec![
        row("time to detect", |arm| elapsed(arm.time_to_detect)),
        row("time to mitigate", |arm| elapsed(arm.time_to_mitigate)),
        row("time to recover", |arm| elapsed(arm.time_to_recover)),
        row("user-minutes lost", |arm| crate::verdict::significant(arm.user_minutes_lost)),
        row("requests", |arm| crate::verdict::significant(arm.requests.arrived as f64)),
        row("good", |arm| crate::verdict::significant(arm.requests.good as f64)),
        row("slow", |arm| crate::verdict::significant(arm.requests.slow as f64)),
        row("failed", |arm| crate::verdict::significant(arm.requests.failed as f64)),
        row("shed", |arm| crate::verdict::significant(arm.requests.shed as f64)),
        row("open", |arm| crate::verdict::significant(arm.requests.open as f64)),
    ];
    rows.into_iter().chain(lost).chain(lasted).collect()
}

/// Writes and messages together.
pub(crate) fn records(count: u64) -> String {
    if count == 0 { "0".to_owned() } else { counted(count, "record") }
}

/// The measures that only the policy's arm has, as far as the run has them.
pub(crate) fn policy_rows(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let arms = ["time_to_detect", "time_to_mitigate", "time_to_recover", "user_minutes_lost"];
    let own = Measure::all().filter(|measure| !arms.contains(&measure.word()));
    own.filter_map(|measure| {
        let Sample { value, censored } = measure.figure(outcome)?;
        let shown = measure.unit().show(value);
        Some((measure.word(), if censored { format!("> {shown}") } else { shown }))
    })
    .collect()
}

/// What the policy did to the run in one line: the measures of its own that are not zero, and that all others are.
#[must_use]
pub fn policy_line(outcome: &Outcome) -> String {
    let rows = policy_rows(outcome).into_iter().filter(|(_, shown)| shown.starts_with('>') || shown.contains(|c| ('1'..='9').contains(&c)));
    let told: Vec<String> = rows.map(|(name, shown)| format!("{name} {shown}")).collect();
    if told.is_empty() {
        "of the policy: every measure is 0".to_owned()
    } else {
        format!("of the policy: {}; every other measure is 0", told.join(", "))
    }
}

/// What became of the questions that people were asked, in a line; empty if nobody was.
#[must_use]
pub fn approvals_line(outcome: &Outcome) -> String {
    let Some(told) = outcome.approvals else { return String::new() };
    let became =
        [(told.granted, "granted"), (told.denied, "denied"), (told.expired, "expired"), (told.void, "void"), (told.withdrawn, "withdrawn")];
    let became: Vec<String> = became.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let became = if became.is_empty() { "still open".to_owned() } else { became.join(", ") };
    let unanswered = if told.unanswered > 0 { format!(" ({} unanswered)", told.unanswered) } else { String::new() };
    let wait = bounded(Unit::Seconds, told.longest_wait_seconds, false);
    format!("people were asked {}: {became}{unanswered}; the longest wait {wait}\n", times(told.asked))
}

/// `once`, `twice`, `3 times`.
fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => counted(more, "time"),
    }
}

/// A time as people read it: `1m30s`, `> 10m` if it had not come, `-` if there is none.
#[must_use]
pub fn elapsed(time: Option<Elapsed>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| bounded(Unit::Seconds, time.seconds, time.censored))
}

/// A quantile as people read it.
#[must_use]
pub fn shown_quantile(unit: Unit, quantile: Quantile) -> String {
    bounded(unit, quantile.value, quantile.at_least)
}

/// Why a class has its verdict: the gravest finding in words.
#[must_use]
pub fn why(class: &ClassVerdict) -> String {
    // That nobody acted, or that runs were cut, goes before whatever else follows of it.
    if let Some(reason) = class.exercise.reason.as_ref().filter(|_| class.exercise.verdict == class.verdict) {
        return reason.clone();
    }
    let thresholds = class.told_thresholds();
    let thresholds = thresholds.into_iter().filter(|(_, found)| found.verdict == class.verdict && found.verdict != Verdict::Held);
    let threshold = gravest(thresholds, |(_, found)| found.gravity());
    let cost = gravest(class.costs.iter().filter(|found| found.verdict == class.verdict), |found| found.gravity());
    let threshold = threshold.filter(|(_, found)| cost.is_none_or(|cost| cost.gravity() <= found.gravity()));
    let tail = class.tail.iter().find(|found| found.verdict == class.verdict);
    match (class.verdict, threshold, cost, tail) {
        (Verdict::Held, ..) if class.costs.is_empty() => hold(class.thresholds.len(), "threshold"),
        (Verdict::Held, ..) => {
            let thresholds = counted(class.thresholds.len() as u64, "threshold");
            format!("{thresholds} and {} with the baseline hold", counted(class.costs.len() as u64, "comparison"))
        }
        (_, Some((place, found)), ..) => {
            let place = if *place == class.class { String::new() } else { format!("{place}: ") };
            format!("{place}{}: found {}", found.threshold, found.figures())
        }
        (_, _, Some(found), _) => {
            let ([mean, allowed], test) = (found.means(), &found.comparison);
            let needed = test.pairs_needed.map_or_else(String::new, |pairs| format!("; about {} would tell", counted(pairs, "pair")));
            format!("{}: mean {mean} where {allowed} is allowed (n = {}){needed}", found.measure, test.n)
        }
        (_, _, _, Some(found)) => {
            let needed =
                found.result.pairs_needed.map_or_else(String::new, |pairs| format!("; {} would hold", counted(pairs, "clean pair")));
            let bound = Unit::Ratio.show(found.result.upper);
            let pairs = counted(found.result.pairs, "pair");
            format!("catastrophes in {} of {pairs}: up to {bound} are possible{needed}", found.result.catastrophes)
        }
        (..) => String::new(),
    }
}

/// The gravest, and of equals the first.
fn gravest<T>(all: impl Iterator<Item = T>, gravity: impl Fn(&T) -> f64) -> Option<T> {
    all.reduce(|worst, next| if gravity(&next) > gravity(&worst) { next } else { worst })
}

/// `6 thresholds hold`, `1 threshold holds`.
fn hold(count: usize, what: &str) -> String {
    format!("{} {}", counted(count as u64, what), if count == 1 { "holds" } else { "hold" })
}

fn bounded(unit: Unit, value: f64, at_least: bool) -> String {
    let shown = unit.show(value);
    if at_least { format!("> {shown}") } else { shown }
}

fn compare_cells(summary: &ClassSummary) -> Vec<String> {
    let get = |word: &str| summary.get(Measure::known(word));
    let dash = || "-".to_owned();
    let with =
        |word: &str, show: fn(&Summary, Unit) -> String| get(word).map_or_else(dash, |found| show(found, Measure::known(word).unit()));
    let total = |word: &str| get(word).map_or(0.0, |found| libm::round(found.mean * found.n as f64));
    let (actions, wrong) = (total("actions"), total("false_positives"));
    vec![
        with("time_to_recover", |found, unit| shown_quantile(unit, found.median)),
        with("time_to_recover", |found, unit| shown_quantile(unit, found.p90)),
        with("user_minutes_lost", |found, _| {
            let [mean, low, high] = [found.mean, found.mean_low, found.mean_high].map(crate::verdict::significant);
            if found.n > 1 { format!("{mean} [{low}, {high}]") } else { mean }
        }),
        harm_cell(summary),
        crate::verdict::significant(actions),
        if actions > 0.0 { format!("{} ({})", crate::verdict::significant(wrong), Unit::Ratio.show(wrong / actions)) } else { dash() },
        with("blast_radius.replicas", |found, unit| unit.show(found.max.value)),
        with("blast_radius.requests", |found, unit| unit.show(found.max.value)),
    ]
}

/// The worst run's harm, and the data that the policy lost if it lost any.
fn harm_cell(summary: &ClassSummary) -> String {
    let worst = |word: &str| summary.get(Measure::known(word)).map(|found| found.max.value);
    let harm = worst("harm").map_or_else(|| "-".to_owned(), crate::verdict::significant);
    match worst("data_harm") {
        Some(lost) if lost > 0.0 => format!("{harm}, {} lost", records(lost as u64)),
        _ => harm,
    }
}

fn new(width: Option<u16>, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.to_vec());
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// Keeps the first columns on a line each: names that are broken cannot be copied.
fn keep_whole(table: &mut Table, columns: usize) {
    for column in table.column_iter_mut().take(columns) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// Breaks the columns from this one on only between words, though the table be wider than it should: half of a figure is another figure.
fn keep_words(table: &mut Table, from: usize) {
    let columns = table.column_count();
    let longest = |column: usize| {
        let cells = table.column_cells_with_header_iter(column).flatten().map(Cell::content);
        cells.flat_map(|cell| cell.split([' ', '\n']).map(|word| word.chars().count()).max()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(longest).collect();
    for (column, width) in table.column_iter_mut().zip(widths).skip(from) {
        let width = u16::try_from(width).unwrap_or(u16::MAX).saturating_add(column.padding_width());
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
}

/// A space at which no line is broken, and its sign: with a plain space once the table stands.
const OF_A_HUNDRED: &str = "\u{a0}%";

/// The table without the spaces that pad its last column.
fn text_of(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().replace(OF_A_HUNDRED, " %")).collect::<Vec<_>>().join("\n")
}

fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::name::Name;

    use super::*;
    use crate::sample;
    use crate::verdict::{JudgeSettings, judge};

    #[test]
    fn policies_stand_side_by_side() {
        let cases = sample::cases();
        let policies = [PolicyRuns { policy: "sample", cases: &cases }, PolicyRuns { policy: "other", cases: &cases[..2] }];
        insta::assert_snapshot!(compare(&policies, Some(140)));
    }

    #[test]
    fn a_gate_says_why() {
        let cases = sample::cases();
        insta::assert_snapshot!(gate(&judge(&cases, None, &sample::incident_results(), &sample::judge_settings()), Some(120)));
    }

    #[test]
    fn what_the_policy_did_is_one_line_without_the_zeros() {
        let told = policy_line(&sample::storm_outcome());
        assert!(told.starts_with("of the policy: ") && told.contains("benefit 3,780 user-min") && !told.contains(" 0,"), "{told}");
    }

    #[test]
    fn arms_stand_side_by_side() {
        insta::assert_snapshot!(arms(&sample::storm_outcome(), Some(80)));
    }

    #[test]
    fn arms_of_different_length_say_so_and_a_cut_run_is_told() {
        let mut outcome = sample::storm_outcome();
        assert!(span_lines(&outcome).is_empty() && !arms(&outcome, None).contains("the run lasted"));
        outcome.nothing.ended_seconds += 600.0;
        assert!(arms(&outcome, None).contains("the run lasted"), "{}", arms(&outcome, None));
        assert_eq!(span_lines(&outcome).len(), 1);
        let waited = |seconds: f64| {
            let arm = ArmOutcome { ended_seconds: outcome.nothing.ended_seconds + seconds, ..outcome.nothing.clone() };
            let human = crate::outcome::HumanOutcome { break_even_seconds: None, called_seconds: None, acted_seconds: None, arm };
            span_lines(&Outcome { human: Some(human), ..outcome.clone() })
        };
        assert_eq!(waited(86_399.0).len(), 1);
        assert!(waited(86_400.0)[1].starts_with("the person was still at work at "), "{:?}", waited(86_400.0));
        outcome.policy.cut_by = Some(Name::new("events"));
        let told = span_lines(&outcome);
        assert!(told[1].starts_with("bound events ended the run of policy at "), "{told:?}");
        let (arm, bound) = (Name::new("policy"), Name::new("events"));
        outcome.cut = Some(crate::outcome::Cut { arm, bound, at_seconds: 245, before_any_fault: true });
        let cases = [Case { class: Name::new("storm"), outcome: sample::storm_outcome() }, Case { class: Name::new("storm"), outcome }];
        let lines = cut_lines(&[PolicyRuns { policy: "sample", cases: &cases }]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("sample: 1 of 2 runs prove nothing: bound events ended the run of policy at 4m5s"), "{lines:?}");
        assert!(cut_lines(&[PolicyRuns { policy: "sample", cases: &cases[..1] }]).is_empty());
    }

    #[test]
    fn no_figure_is_broken_however_narrow_it_is() {
        let mut cases = sample::cases();
        for (index, case) in cases.iter_mut().enumerate() {
            case.outcome.user_minutes_lost = 1_234_567.0 * (index + 1) as f64;
        }
        let runs = PolicyRuns { policy: "sample", cases: &cases };
        let is_word = |word: &&str| !word.starts_with('─');
        let words = |table: &str| table.split_whitespace().filter(is_word).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let (broad, narrow) = (compare(&[runs], None), compare(&[PolicyRuns { policy: "sample", cases: &cases }], Some(60)));
        assert!(words(&broad).iter().any(|word| word.contains(",234,567")), "{broad}");
        assert!(narrow.contains(" %") && !narrow.contains("  %"), "a figure keeps its unit: {narrow}");
        assert_eq!(words(&broad).iter().filter(|word| !words(&narrow).contains(*word)).collect::<Vec<_>>(), [""; 0], "{narrow}");
    }

    #[test]
    fn a_class_that_needs_more_pairs_says_how_many() {
        let cases = sample::cases();
        let judgement = judge(&cases, Some(&cases), &[], &JudgeSettings::default());
        let storm = judgement.classes.iter().find(|class| &*class.class == "retry-storm").unwrap();
        assert_eq!(why(storm), "catastrophes in 0 of 2 pairs: up to 77.6 % are possible; 299 clean pairs would hold");
    }
}
