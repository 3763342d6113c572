//! The report: one HTML file with everything in it, that opens anywhere and asks the network for nothing.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use crate::aftermath;
use crate::chart::{self, BarRow, Figures, policy_role};
use crate::fronts::{self, short};
use crate::markdown::decision_change;
use crate::outcome::{ArmOutcome, Arms, Outcome};
use crate::recoveries::{RecoveryClass, recoveries, recovery_figures, slim_recoveries};
use crate::scrutiny::{Fate, MutationScore, PolicyCoverage, Scrutiny};
use crate::statistics::Summary;
use crate::table::{PolicyRuns, SHOWN, arm_rows, policy_rows, records, shown_quantile, why};
use crate::timeline::{Timeline, column, tell};
use crate::topology;
use crate::verdict::{
    Case, ClassSummary, ClassVerdict, CostVerdict, Grave, Judgement, Measure, ThresholdVerdict, Unit, Verdict, significant, summarise,
};
use crate::words::counted;
use crate::worth::DeedWorth;

/// What the report shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The headline, such as `Gate of restart-on-crash`.
    pub title: &'a str,
    /// The engine's version.
    pub engine: &'a str,
    /// The command that makes this report again.
    pub command: &'a str,
    /// What was judged; `None` for a run or a comparison without thresholds.
    pub judgement: Option<&'a Judgement>,
    /// What the measures are that broke, a sentence each, that of the gravest breach first.
    pub meanings: &'a [String],
    /// What the verdict rests on besides its runs, such as the revision that judges; a sentence each.
    pub grounds: &'a [String],
    /// What the candidate makes of the baseline's policies.
    pub edits: &'a [PolicyEdit],
    /// What a verdict leaves out, a sentence each.
    pub notes: &'a [String],
    /// How closely the policies were looked at; `None` where nothing is judged.
    pub scrutiny: Option<&'a Scrutiny>,
    /// All runs, a policy each: the first is the candidate. Empty if only examples are shown.
    pub policies: &'a [PolicyRuns<'a>],
    /// Runs that are told in full.
    pub examples: &'a [Example<'a>],
}

/// What a change makes of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEdit {
    /// The policy.
    pub policy: Name,
    /// What became of it: `new`, `changed`.
    pub what: &'static str,
    /// The lines that went and came, and a few around them; empty where the whole policy came or went.
    pub lines: Vec<(Edit, String)>,
}

/// What became of a line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Kept,
    /// It went.
    Removed,
    /// It came.
    Added,
}

impl Edit {
    /// How a diff marks it.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Kept => ' ',
            Self::Removed => '-',
            Self::Added => '+',
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Added => "added",
        }
    }
}

/// A run that is told in full.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// Why this one, such as `retry-storm: the run that broke time_to_recover`.
    pub heading: &'a str,
    /// Its arms.
    pub arms: Arms<'a>,
    /// What it came to.
    pub outcome: &'a Outcome,
    /// What the scenario and each policy that acts in it say of themselves: a name, a text of one or more paragraphs.
    pub about: &'a [(String, String)],
    /// What each of its actions was worth; empty if that was not asked.
    pub worth: &'a [DeedWorth],
    /// The command that repeats it.
    pub command: &'a str,
}

/// Renders the report.
#[must_use]
pub fn render(page: &Page) -> String {
    view(page).render().expect("a template writes into a string and asks for nothing")
}

#[derive(Template)]
#[template(path = "page.html")]
struct PageView<'a> {
    title: &'a str,
    engine: &'a str,
    verdict: Option<VerdictView>,
    /// The verdict in a sentence; empty without one. This and all that people wrote is markup already: see [`prose`].
    reason: String,
    /// What the measure of that sentence is; empty where it has none.
    meaning: String,
    edits: &'a [PolicyEdit],
    /// What happened, in words: of a gate the action that did the harm, of a run what users lost.
    lead: Vec<String>,
    /// What the other measures are that broke.
    meanings: Vec<String>,
    notes: Vec<String>,
    facts: Vec<String>,
    /// What is said above the changes of the judge; `None` if there are none.
    judge_heading: Option<String>,
    judge_changes: Vec<String>,
    judge_remedy: Option<String>,
    breaches: Vec<BreachView>,
    idle: Vec<String>,
    classes: Vec<ClassView>,
    has_costs: bool,
    incidents: Vec<IncidentView>,
    bars: Option<([String; 2], Figures)>,
    recoveries: Option<([String; 2], Figures)>,
    has_human: bool,
    comparison: Vec<ComparisonClass>,
    has_several: bool,
    /// The policies that stand side by side, each with the style of its colour.
    legend: Vec<(&'static str, String)>,
    columns: [&'static str; 9],
    fronts: Vec<String>,
    front_figures: Option<Figures>,
    heat: Option<(String, Figures)>,
    /// For narrow screens; `None` where there is no room for it there.
    slim_heat: Option<String>,
    changes: Vec<String>,
    coverage: Vec<CoverageView>,
    coverage_line: String,
    headroom: Vec<[String; 5]>,
    worth: Vec<[String; 6]>,
    mutation: Option<MutationView>,
    examples: Vec<ExampleView>,
    commands: Vec<CommandView>,
}

/// A verdict and the style class that shows it.
struct VerdictView {
    word: &'static str,
    class: &'static str,
}

/// All that broke in one place.
struct BreachView {
    id: String,
    place: String,
    findings: Vec<FindingView>,
}

/// What broke, the run in which it is worst, and the command that shows it; empty if it was given above.
struct FindingView {
    what: String,
    run: String,
    command: String,
}

struct ClassView {
    id: String,
    name: String,
    /// The id of the run of it that is told in full; `None` if none is.
    run: Option<String>,
    verdict: VerdictView,
    runs: u64,
    acted: String,
    why: String,
    /// What holds of a class in which everything does, a line each.
    held: Vec<String>,
    thresholds: Vec<RowView>,
    costs: Vec<RowView>,
}

/// One finding: what was asked, what was found, where it is worst.
struct RowView {
    place: String,
    asked: String,
    found: String,
    worst: String,
    verdict: VerdictView,
}

struct IncidentView {
    id: String,
    name: String,
    verdict: VerdictView,
    findings: String,
    command: String,
}

/// A policy's parts, and how many of them were reached.
struct CoverageView {
    policy: String,
    reached: String,
    /// The part, the runs and the replays that reached it, the first run; the verdict says whether any did.
    rows: Vec<([String; 4], VerdictView)>,
}

struct MutationView {
    line: String,
    /// What was changed, where, what became of it and why; what would show it.
    rows: Vec<([String; 4], VerdictView)>,
}

struct ComparisonClass {
    name: String,
    rows: Vec<ComparisonRow>,
}

struct ComparisonRow {
    policy: String,
    /// One for each of [`COLUMNS`]: the figure, and what stands below it in small.
    cells: [(String, String); 9],
}

/// The figures by class.
const COLUMNS: [&str; 9] = [
    "runs",
    "time to detect",
    "time to recover",
    "not recovered",
    "user-minutes lost, mean",
    "harm, worst run",
    "actions",
    "replicas touched",
    "requests hurt",
];

struct ExampleView {
    id: String,
    heading: String,
    subtitle: String,
    chart: String,
    figures: Figures,
    /// The system, drawn; empty if it is too large.
    map: String,
    /// Why there is none.
    no_map: String,
    has_oracle: bool,
    has_human: bool,
    person: Option<String>,
    disputes: Vec<String>,
    /// Who acted on what, in order; empty unless several policies are on duty.
    deeds: Vec<[String; 6]>,
    columns: Vec<&'static str>,
    marks: Vec<MarkView>,
    arms: Vec<(&'static str, Vec<String>)>,
    policy_rows: Vec<(&'static str, String)>,
    notes: Vec<String>,
    /// What the scenario and the policies say of themselves.
    about: Vec<(String, Vec<String>)>,
    /// What followed each action.
    aftermath: Vec<String>,
    /// What each was worth.
    worth: Vec<[String; 5]>,
    /// That only some were left out, if so.
    worth_note: String,
    timeline: Vec<LineView>,
    command: String,
}

struct MarkView {
    class: &'static str,
    at: String,
    text: String,
}

struct LineView {
    at: String,
    since: String,
    kind: &'static str,
    class: &'static str,
    text: String,
}

struct CommandView {
    what: String,
    command: String,
}

fn view<'a>(page: &Page<'a>) -> PageView<'a> {
    let candidate = page.policies.first().map_or(&[][..], |runs| runs.cases);
    let judgement = page.judgement;
    PageView {
        title: page.title,
        engine: page.engine,
        verdict: judgement.map(|judgement| verdict_view(judgement.verdict)),
        reason: judgement.map_or_else(String::new, |judgement| prose(&sentence(&judgement.reason()))),
        meaning: page.meanings.first().map_or_else(String::new, |meaning| prose(&format!("{meaning}."))),
        meanings: page.meanings.iter().skip(1).map(|meaning| prose(&format!("{meaning}."))).collect(),
        notes: page.notes.iter().map(|note| prose(note)).collect(),
        edits: page.edits,
        lead: lead(page),
        facts: facts(page, candidate),
        judge_heading: judgement.and_then(Judgement::judge_heading),
        judge_changes: judgement.map_or_else(Vec::new, |found| found.judge_changes.iter().map(|change| prose(&change.what)).collect()),
        judge_remedy: judgement.and_then(Judgement::judge_remedy).map(prose),
        breaches: judgement.map_or_else(Vec::new, breach_views),
        idle: judgement
            .map_or_else(Vec::new, |found| found.idle.iter().map(|idle| prose(&format!("{}: {}", idle.policy, idle.words()))).collect()),
        classes: judgement.map_or_else(Vec::new, |found| class_views(found, page)),
        has_costs: judgement.is_some_and(|found| found.pairs.is_some()),
        incidents: judgement.map_or_else(Vec::new, incident_views),
        bars: bars(page.policies),
        recoveries: drawn_recoveries(page.policies),
        has_human: candidate.iter().any(|case| case.outcome.human.is_some()),
        comparison: comparison(page.policies),
        has_several: page.policies.len() > 1,
        legend: legend(page.policies),
        columns: COLUMNS,
        fronts: fronts::fronts(page.policies),
        front_figures: fronts::front_figures(page.policies),
        slim_heat: fronts::slim_heat(page.policies),
        heat: fronts::heat(page.policies).zip(fronts::heat_figures(page.policies)),
        changes: judgement
            .map_or_else(Vec::new, |found| found.incidents.iter().filter_map(decision_change).map(|change| prose(&change)).collect()),
        coverage: page.scrutiny.map_or_else(Vec::new, |told| told.coverage.iter().map(coverage_view).collect()),
        coverage_line: page.scrutiny.map_or_else(String::new, reached_words),
        headroom: page.scrutiny.map_or_else(Vec::new, headroom_rows),
        worth: page.scrutiny.map_or_else(Vec::new, worth_rows),
        mutation: page.scrutiny.and_then(|told| told.mutation.as_ref()).map(mutation_view),
        examples: page.examples.iter().map(example_view).collect(),
        commands: commands(page),
    }
}

/// What happened, for whoever reads no further.
fn lead(page: &Page) -> Vec<String> {
    match page.judgement {
        Some(judgement) => culprit(judgement, page.examples).into_iter().collect(),
        None if page.policies.is_empty() => page.examples.iter().map(|example| run_in_words(example.outcome)).collect(),
        None => Vec::new(),
    }
}

/// Where something broke, the action that cost users most in the run that broke most gravely, or else in any that was played without it, with what
/// followed it; `None` if no action cost them anything.
fn culprit<'e>(judgement: &Judgement, examples: &'e [Example<'e>]) -> Option<String> {
    if judgement.verdict != Verdict::Broken {
        return None;
    }
    let run = judgement.gravest_first().into_iter().find_map(|grave| grave.breach.run);
    let is_it =
        |example: &&Example| run.as_ref().is_some_and(|run| run.scenario == example.outcome.scenario && run.seed == example.outcome.seed);
    let of_example = |example: &&'e Example<'e>| {
        let worst = example.worth.iter().max_by(|one, other| one.worth.damage(&other.worth))?;
        worst.worth.did_damage().then_some((*example, worst))
    };
    let found: Vec<(&Example, &DeedWorth)> = examples.iter().filter_map(|example| of_example(&example)).collect();
    let gravest = found.iter().find(|(example, _)| is_it(example));
    let (example, worst) = gravest.or_else(|| found.iter().max_by(|one, other| one.1.worth.damage(&other.1.worth)))?;
    let what = if gravest.is_some() { "What did it" } else { "What cost users most" };
    let index = example.outcome.deeds.iter().position(|deed| deed.action == worst.action)?;
    let followed = aftermath::tell(&example.arms, example.outcome).into_iter().nth(index)?;
    let of = format!("{}, seed {}", example.outcome.scenario, example.outcome.seed);
    Some(prose(&format!("{what}, in {of}: {followed} Without it: {}.", worst.worth.words())))
}

/// What users lose in a run, and when they are well.
fn run_in_words(outcome: &Outcome) -> String {
    let lost = |arm: &ArmOutcome| Unit::UserMinutes.show(arm.user_minutes_lost);
    let who = if outcome.policies.is_empty() { "nobody acting".to_owned() } else { some_names(&outcome.policies) };
    let beside = if outcome.policies.is_empty() { String::new() } else { format!(", and {} if nobody acts", lost(&outcome.nothing)) };
    let oracle = outcome.oracle.as_ref().map_or_else(String::new, |arm| format!("; an oracle would lose {}", lost(arm)));
    let well = match outcome.policy.time_to_mitigate {
        None => String::new(),
        Some(time) if time.censored => " They are not well when the run ends.".to_owned(),
        Some(time) => format!(" They are well to stay {} after the onset.", Unit::Seconds.show(time.seconds)),
    };
    prose(&format!("With {who} users lose {}{beside}{oracle}.{well}", lost(&outcome.policy)))
}

/// The names of policies, or how many there are.
fn some_names(policies: &[Name]) -> String {
    match policies {
        [one] => one.to_string(),
        [one, other] => format!("{one} and {other}"),
        several => counted(several.len() as u64, "policy"),
    }
}

/// With a capital letter and a full stop. A place or a measure that comes first stays as it is written.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) if !words.contains(':') => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        _ => format!("{words}."),
    }
}

/// Text as markup, in which what stands between backticks is code, if every one that is opened is closed.
fn prose(text: &str) -> String {
    let escaped = chart::escape(text);
    if !escaped.matches('`').count().is_multiple_of(2) {
        return escaped;
    }
    let parts =
        escaped.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") });
    parts.collect()
}

/// Breaches of one place together, the gravest first, its commands once each.
fn breach_views(judgement: &Judgement) -> Vec<BreachView> {
    let mut views: Vec<BreachView> = Vec::new();
    for Grave { place, words, breach, .. } in judgement.gravest_first() {
        if views.last().is_none_or(|view| view.place != place) {
            views.push(BreachView { id: id("broke", &place), place, findings: Vec::new() });
        }
        let view = views.last_mut().expect("one was pushed if there was none");
        let run = breach.run.map_or_else(String::new, |run| format!("{}, seed {}", run.scenario, run.seed));
        let command = breach.command.filter(|command| !view.findings.iter().any(|told| told.command == *command)).unwrap_or_default();
        view.findings.push(FindingView { what: prose(&words), run, command });
    }
    views
}

const fn verdict_view(verdict: Verdict) -> VerdictView {
    let class = match verdict {
        Verdict::Held => "held",
        Verdict::Broken => "broken",
        Verdict::Inconclusive | Verdict::NotExercised => "open",
    };
    VerdictView { word: verdict.word(), class }
}

/// What the figures rest on: policies, scenarios, runs, seeds.
fn facts(page: &Page, candidate: &[Case]) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(judgement) = page.judgement {
        let policies: Vec<&str> = judgement.policies.iter().map(Name::as_str).collect();
        facts.push(format!("{} {}", if policies.len() == 1 { "policy" } else { "policies" }, policies.join(", ")));
    }
    let mut scenarios: Vec<&Name> = candidate.iter().map(|case| &case.outcome.scenario).collect();
    scenarios.sort();
    scenarios.dedup();
    if !candidate.is_empty() {
        facts.push(format!("{} in {}", run_facts(page.policies), count(scenarios.len(), "scenario")));
    }
    let seeds = candidate.iter().map(|case| case.outcome.seed);
    if let (Some(low), Some(high)) = (seeds.clone().min(), seeds.max()) {
        facts.push(if low == high { format!("seed {low}") } else { format!("seeds {low} to {high}") });
    }
    if let Some(pairs) = page.judgement.and_then(|found| found.pairs) {
        facts.push(format!("{} with the baseline", counted(pairs, "pair")));
    }
    if let Some(incidents) = page.judgement.map(|found| found.incidents.len()).filter(|count| *count > 0) {
        facts.push(count(incidents, "recorded incident"));
    }
    facts.extend(page.grounds.iter().cloned());
    facts
}

/// The policies that stand side by side; empty for one alone.
fn legend(policies: &[PolicyRuns]) -> Vec<(&'static str, String)> {
    let told = policies.iter().enumerate().map(|(index, runs)| (policy_role(index).class, runs.policy.to_owned()));
    if policies.len() > 1 { told.collect() } else { Vec::new() }
}

/// All runs by arm. Doing nothing and the oracle are run once for each scenario and seed, whoever is compared with them.
fn run_facts(policies: &[PolicyRuns]) -> String {
    let with_policy: usize = policies.iter().map(|runs| runs.cases.len()).sum();
    let first = policies.first().map_or(&[][..], |runs| runs.cases);
    let oracles = first.iter().filter(|case| case.outcome.oracle.is_some()).count();
    let people = first.iter().filter(|case| case.outcome.human.is_some()).count();
    let all = count(with_policy + first.len() + oracles + people, "run");
    let with_people = if people > 0 { format!(", {people} with a person on call") } else { String::new() };
    format!("{all}: {with_policy} with a policy, {} with nobody acting, {oracles} with an oracle{with_people},", first.len())
}

fn count(count: usize, what: &str) -> String {
    counted(count as u64, what)
}

/// What a link leads to, the same in every report: what it is, and its name, which has no spaces but before `(chaos)`.
fn id(what: &str, name: &str) -> String {
    format!("{what}-{}", name.split_whitespace().collect::<Vec<_>>().join("-"))
}

fn run_id(outcome: &Outcome) -> String {
    id("run", &format!("{}-{}", outcome.scenario, outcome.seed))
}

fn class_views(judgement: &Judgement, page: &Page) -> Vec<ClassView> {
    let candidate = page.policies.first().map_or(&[][..], |runs| runs.cases);
    let asked: BTreeSet<&str> = judgement.classes.iter().flat_map(|class| &class.thresholds).map(|found| found.measure.word()).collect();
    let measures: Vec<Measure> = asked.into_iter().map(Measure::known).collect();
    let summaries = summarise(candidate, &measures, 0);
    let summary = |class: &ClassVerdict| summaries.iter().find(|summary| summary.class.as_ref() == Some(&class.class));
    judgement.classes.iter().map(|class| class_view(class, page, summary(class))).collect()
}

/// The mean with its interval, where several runs differ: `mean 12 user-min, 95 % interval 8 user-min to 20 user-min`.
fn interval(found: &ThresholdVerdict, summary: Option<&ClassSummary>) -> String {
    let own = summary.and_then(|summary| summary.get(found.measure)).filter(|own| own.n > 1 && own.mean_low < own.mean_high);
    own.map_or_else(String::new, |own| {
        let [mean, low, high] = [own.mean, own.mean_low, own.mean_high].map(|value| found.unit.show(value));
        format!("; mean {mean}, 95 % interval {low} to {high}")
    })
}

/// The bounds of the candidate's mean, as the comparison with the baseline has them.
fn cost_interval(found: &CostVerdict) -> String {
    let test = &found.comparison;
    let [low, high] = [test.excess_low, test.excess_high].map(|excess| found.unit.show((test.allowed_mean + excess).max(0.0)));
    if low == high { String::new() } else { format!(", 95 % interval {low} to {high}") }
}

/// What holds, a line each; nothing of a class in which something does not.
fn held(class: &ClassVerdict, summary: Option<&ClassSummary>) -> Vec<String> {
    if class.verdict != Verdict::Held {
        return Vec::new();
    }
    let thresholds = class.thresholds.iter().map(|found| format!("{}: {}{}", found.threshold, found.figures(), interval(found, summary)));
    let costs = class.costs.iter().map(|found| {
        let ([mean, allowed], test) = (found.means(), &found.comparison);
        let baseline = found.unit.show(test.baseline_mean);
        let bounds = cost_interval(found);
        format!("{}: mean {mean} where {allowed} is allowed (baseline {baseline}, n = {}){bounds}", found.measure, test.n)
    });
    let tail = class.tail.iter().map(|found| {
        let (result, upper) = (&found.result, Unit::Ratio.show(found.result.upper));
        format!("catastrophes that the baseline had not: {} of {}, up to {upper} possible", result.catastrophes, result.pairs)
    });
    thresholds.chain(costs).chain(tail).collect()
}

fn class_view(class: &ClassVerdict, page: &Page, summary: Option<&ClassSummary>) -> ClassView {
    let is_of_class = |outcome: &Outcome| {
        let mut cases = page.policies.iter().flat_map(|runs| runs.cases);
        cases.any(|case| case.class == class.class && case.outcome.scenario == outcome.scenario)
    };
    let run = page.examples.iter().map(|example| example.outcome).find(|outcome| is_of_class(outcome)).map(run_id);
    let own = class.thresholds.iter().map(|found| {
        let row = threshold_row("whole class", found);
        RowView { found: format!("{}{}", row.found, interval(found, summary)), ..row }
    });
    let scenarios =
        class.scenarios.iter().flat_map(|scenario| scenario.thresholds.iter().map(|found| threshold_row(&scenario.scenario, found)));
    let costs = class.costs.iter().map(|found| {
        let ([mean, allowed], test) = (found.means(), &found.comparison);
        RowView {
            place: "against the baseline".to_owned(),
            asked: format!("{} mean <= {allowed} (baseline {})", found.measure, found.unit.show(test.baseline_mean)),
            found: format!("{mean} (n = {}){}", test.n, cost_interval(found)),
            worst: found.worst.as_ref().map_or_else(String::new, |run| format!("{}, seed {}", run.scenario, run.seed)),
            verdict: verdict_view(found.verdict),
        }
    });
    let tail = class.tail.iter().map(|found| RowView {
        place: "against the baseline".to_owned(),
        asked: "catastrophes that the baseline had not: at most 1 % of runs, with 95 % confidence".to_owned(),
        found: format!("{} of {}, up to {} possible", found.result.catastrophes, found.result.pairs, Unit::Ratio.show(found.result.upper)),
        worst: found.worst.as_ref().map_or_else(String::new, |run| format!("{}, seed {}", run.scenario, run.seed)),
        verdict: verdict_view(found.verdict),
    });
    ClassView {
        id: id("class", &class.class),
        run,
        name: class.class.to_string(),
        verdict: verdict_view(class.verdict),
        runs: class.runs,
        acted: class.exercise.acted.to_string(),
        why: prose(&why(class)),
        held: held(class, summary),
        thresholds: own.chain(scenarios).collect(),
        costs: costs.chain(tail).collect(),
    }
}

fn threshold_row(place: &str, found: &ThresholdVerdict) -> RowView {
    let seed = found.worst.as_ref().map_or_else(String::new, |run| format!("{}, seed {}", run.scenario, run.seed));
    let figure = found.worst_figure.map_or_else(String::new, |figure| format!(": {}", found.unit.show_beside(figure, found.limit)));
    RowView {
        place: place.to_owned(),
        asked: found.threshold.clone(),
        found: found.reason.as_ref().map_or_else(|| found.figures(), |reason| format!("{}: {reason}", found.figures())),
        worst: format!("{seed}{figure}"),
        verdict: verdict_view(found.verdict),
    }
}

fn incident_views(judgement: &Judgement) -> Vec<IncidentView> {
    let views = judgement.incidents.iter().map(|incident| IncidentView {
        id: id("incident", &incident.incident),
        name: incident.incident.to_string(),
        verdict: incident.verdict().map_or(VerdictView { word: "no verdict", class: "open" }, verdict_view),
        findings: prose(&crate::table::incident_why(incident)),
        command: incident.command.clone(),
    });
    views.collect()
}

/// `reached 14 of 19 parts`.
fn reached_words(scrutiny: &Scrutiny) -> String {
    let (reached, all) = scrutiny.reached();
    format!("reached {reached} of {}", count(all, "part"))
}

fn coverage_view(coverage: &PolicyCoverage) -> CoverageView {
    let reached = coverage.parts.iter().filter(|part| part.is_reached()).count();
    let rows = coverage.parts.iter().map(|part| {
        let first = part.first.as_ref().map_or_else(String::new, |(scenario, seed)| format!("{scenario}, seed {seed}"));
        let word =
            if part.is_reached() { VerdictView { word: "reached", class: "held" } } else { VerdictView { word: "never", class: "open" } };
        ([part.words.clone(), part.runs.to_string(), part.replays.to_string(), first], word)
    });
    CoverageView {
        policy: coverage.policy.to_string(),
        reached: format!("{reached} of {}", count(coverage.parts.len(), "part")),
        rows: rows.collect(),
    }
}

/// Policy, guard, the figures of the closest approach, the share that was used, and the run.
fn headroom_rows(scrutiny: &Scrutiny) -> Vec<[String; 5]> {
    let rows = scrutiny.headroom.iter().map(|own| {
        let approach = &own.approach;
        let (policy, guard) = (approach.policy.to_string(), approach.guard.to_string());
        [policy, guard, approach.figures.clone(), Unit::Ratio.show(approach.used), format!("{}, seed {}", own.scenario, own.seed)]
    });
    rows.collect()
}

/// Policy, part, in how many runs it was met, a run, what users lost in it, and what would have happened without the part.
fn worth_rows(scrutiny: &Scrutiny) -> Vec<[String; 6]> {
    let rows = scrutiny.worth.iter().flat_map(|part| {
        part.runs.iter().map(|run| {
            let lost = Unit::UserMinutes.show(run.worth.with.user_minutes_lost);
            let (policy, met) = (part.policy.to_string(), part.met.to_string());
            [policy, part.words.clone(), met, format!("{}, seed {}", run.scenario, run.seed), lost, run.worth.words()]
        })
    });
    rows.collect()
}

/// The run, when, who did what to what, and what would have happened without it.
fn deed_worth_rows(deeds: &[DeedWorth]) -> Vec<[String; 5]> {
    let rows = deeds.iter().map(|deed| {
        let at = Unit::Seconds.show(libm::floor(deed.started_seconds));
        let what = format!("{} on {}", deed.what, deed.target);
        [format!("{}, seed {}", deed.scenario, deed.seed), at, deed.action.policy.to_string(), what, deed.worth.words()]
    });
    rows.collect()
}

fn mutation_view(score: &MutationScore) -> MutationView {
    let rows = score.mutants.iter().map(|mutant| {
        let (why, wanted, view) = match &mutant.fate {
            Fate::Killed { reason, .. } => (reason.clone(), String::new(), VerdictView { word: "noticed", class: "held" }),
            Fate::FailsTest { test, file } => {
                (format!("decision test: {test} ({file})"), String::new(), VerdictView { word: "noticed by a test", class: "held" })
            }
            Fate::Survived { why, wanted } => (why.words(), wanted.clone(), VerdictView { word: "not noticed", class: "open" }),
        };
        let what = prose(&format!("{}: {}", mutant.policy, mutant.what));
        ([what, format!("{}:{}", mutant.file, mutant.line), prose(&why), prose(&wanted)], view)
    });
    MutationView { line: sentence(&score.line()), rows: rows.collect() }
}

/// Mean user-minutes lost in each class: a bar for doing nothing, one for each policy, one for the oracle.
fn bars(policies: &[PolicyRuns]) -> Option<([String; 2], Figures)> {
    let first = by_class(policies.first()?);
    let all: Vec<_> = policies.iter().map(|runs| (runs.policy, by_class(runs))).collect();
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let rows = first.into_iter().map(|(class, outcomes)| BarRow {
        label: format!("{class} (n = {})", outcomes.len()),
        nothing: mean(outcomes.iter().map(|outcome| outcome.nothing.user_minutes_lost).collect()),
        policies: all
            .iter()
            .map(|(name, classes)| {
                let own = classes.get(class).map_or_else(Vec::new, |own| own.iter().map(|outcome| outcome.user_minutes_lost).collect());
                (mean(own), if all.len() > 1 { short(name) } else { String::new() })
            })
            .collect(),
        oracle: mean(outcomes.iter().filter_map(|outcome| outcome.oracle.as_ref()).map(|oracle| oracle.user_minutes_lost).collect()),
    });
    let rows: Vec<BarRow> = rows.collect();
    let names: Vec<&str> = if policies.len() > 1 { policies.iter().map(|runs| runs.policy).collect() } else { vec!["the policy"] };
    let title = "Mean user-minutes lost by class, for nothing, each policy and the oracle";
    let drawn = || [chart::bars(&rows, title), chart::slim_bars(&rows, title)];
    (!rows.is_empty()).then(|| (drawn(), chart::bar_figures(&rows, &names)))
}

fn drawn_recoveries(policies: &[PolicyRuns]) -> Option<([String; 2], Figures)> {
    let classes = recovery_classes(policies);
    let drawn = recoveries(&classes).zip(slim_recoveries(&classes)).map(|(broad, slim)| [broad, slim]);
    drawn.zip(recovery_figures(&classes))
}

fn recovery_classes<'a>(policies: &'a [PolicyRuns<'a>]) -> Vec<RecoveryClass<'a>> {
    let mut classes: BTreeMap<&Name, RecoveryClass> = BTreeMap::new();
    for runs in policies {
        for (name, outcomes) in by_class(runs) {
            let class = classes.entry(name).or_insert_with(|| RecoveryClass { name, policies: Vec::new() });
            class.policies.push((runs.policy, outcomes));
        }
    }
    classes.into_values().collect()
}

fn by_class<'a>(runs: &PolicyRuns<'a>) -> BTreeMap<&'a Name, Vec<&'a Outcome>> {
    let mut classes: BTreeMap<&Name, Vec<&Outcome>> = BTreeMap::new();
    for case in runs.cases {
        classes.entry(&case.class).or_default().push(&case.outcome);
    }
    classes
}

/// Policies side by side, class by class, the pooled figures last.
fn comparison(policies: &[PolicyRuns]) -> Vec<ComparisonClass> {
    let measures: Vec<Measure> = SHOWN.into_iter().map(Measure::known).collect();
    let mut classes: BTreeMap<(bool, Option<Name>), Vec<ComparisonRow>> = BTreeMap::new();
    for runs in policies {
        for summary in summarise(runs.cases, &measures, 0) {
            let row = comparison_row(runs.policy, &summary);
            classes.entry((summary.class.is_none(), summary.class)).or_default().push(row);
        }
    }
    let named = classes.into_iter().map(|((_, class), rows)| {
        let name = class.map_or_else(|| "all classes".to_owned(), |class| class.to_string());
        ComparisonClass { name, rows }
    });
    named.collect()
}

/// So many runs have a spread worth showing; the interval of fewer says more than they know.
const ENOUGH: u64 = 5;

fn comparison_row(policy: &str, summary: &ClassSummary) -> ComparisonRow {
    let with = |word: &str, show: &dyn Fn(&Summary, Unit) -> String| {
        let measure = Measure::known(word);
        summary.get(measure).map_or_else(|| "–".to_owned(), |found| show(found, measure.unit()))
    };
    let below = |word: &str, show: &dyn Fn(&Summary, Unit) -> String| {
        let measure = Measure::known(word);
        summary.get(measure).filter(|found| found.n >= ENOUGH).map_or_else(String::new, |found| show(found, measure.unit()))
    };
    let total = |word: &str| summary.get(Measure::known(word)).map_or(0.0, |found| libm::round(found.mean * found.n as f64));
    let (actions, wrong) = (total("actions"), total("false_positives"));
    let time = |word: &str| {
        let median = with(word, &|found, unit| shown_quantile(unit, found.median));
        (median, below(word, &|found, unit| format!("p90 {}", shown_quantile(unit, found.p90))))
    };
    let worst = |word: &str, show: &dyn Fn(&Summary, Unit) -> String| (with(word, show), String::new());
    let interval = |found: &Summary, _: Unit| format!("{} to {}", significant(found.mean_low), significant(found.mean_high));
    ComparisonRow {
        policy: policy.to_owned(),
        cells: [
            (summary.runs.to_string(), String::new()),
            time("time_to_detect"),
            time("time_to_recover"),
            worst("time_to_recover", &|found, _| format!("{} of {}", found.censored, found.n)),
            (with("user_minutes_lost", &|found, _| significant(found.mean)), below("user_minutes_lost", &interval)),
            (with("harm", &|found, _| significant(found.max.value)), lost_data(summary)),
            (significant(actions), actions_note(summary, wrong)),
            worst("blast_radius.replicas", &|found, unit| unit.show(found.max.value)),
            worst("blast_radius.requests", &|found, unit| unit.show(found.max.value)),
        ],
    }
}

/// What is to be said of the actions of all runs: how many were out of scope, and how many fights there were, if any.
fn actions_note(summary: &ClassSummary, wrong: f64) -> String {
    let total = |word: &str| summary.get(Measure::known(word)).map_or(0.0, |found| libm::round(found.mean * found.n as f64));
    let scope = (total("actions") > 0.0).then(|| format!("{} out of scope", significant(wrong)));
    let fights = (total("fights") > 0.0).then(|| counted(total("fights") as u64, "fight"));
    scope.into_iter().chain(fights).collect::<Vec<_>>().join(", ")
}

/// The data that the policy lost in its worst run beyond doing nothing; empty if none.
fn lost_data(summary: &ClassSummary) -> String {
    let worst = summary.get(Measure::known("data_harm")).map_or(0.0, |found| found.max.value);
    if worst > 0.0 { format!("{} lost", records(worst as u64)) } else { String::new() }
}

fn example_view(example: &Example) -> ExampleView {
    let story = tell(example.arms.policy);
    let marks = chart::marks(&story);
    let outcome = example.outcome;
    let title = format!("Share of good requests over time in {}, seed {}, for each arm", outcome.scenario, outcome.seed);
    ExampleView {
        id: run_id(outcome),
        heading: example.heading.to_owned(),
        subtitle: format!("scenario {}, seed {}, one run an arm", outcome.scenario, outcome.seed),
        chart: chart::success(&example.arms, &marks, &title),
        figures: chart::success_figures(&example.arms),
        map: topology::picture(&example.arms, outcome, &format!("The system of {} and what happened to it", outcome.scenario))
            .unwrap_or_default(),
        no_map: topology::too_large(&example.arms).unwrap_or_default(),
        has_oracle: example.arms.oracle.is_some(),
        has_human: example.arms.human.is_some(),
        person: crate::table::person_line(outcome),
        disputes: crate::table::disputes(outcome),
        deeds: if outcome.policies.len() > 1 { crate::table::deed_rows(outcome) } else { Vec::new() },
        columns: crate::table::arm_columns(outcome).into_iter().map(|(name, _)| name).collect(),
        marks: marks.into_iter().map(|mark| MarkView { class: mark.class, at: since_start(mark.at), text: mark.text }).collect(),
        arms: arm_rows(outcome),
        policy_rows: policy_rows(outcome),
        notes: outcome.notes.iter().map(|note| prose(note)).collect(),
        about: example.about.iter().map(|(name, text)| (name.clone(), paragraphs(text))).collect(),
        aftermath: aftermath::tell(&example.arms, outcome),
        worth: deed_worth_rows(example.worth),
        worth_note: worth_note(example.worth.len(), outcome.deeds.len()),
        timeline: line_views(&story),
        command: example.command.to_owned(),
    }
}

/// That only some of a run's actions were left out, if so.
fn worth_note(told: usize, deeds: usize) -> String {
    let of = counted(deeds as u64, "action");
    let words = format!(" Of {of} {told} could be left out in the time of a gate; `firedrill run --worth` does so with each.");
    if told < deeds { prose(&words) } else { String::new() }
}

/// A text's paragraphs, each on one line: where its lines ended in the file means nothing here.
fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn line_views(story: &Timeline) -> Vec<LineView> {
    let plain = story.lines.iter().map(|line| LineView {
        at: since_start(line.at),
        since: story.since_fault(line.at),
        kind: line.kind.word(),
        class: line.kind.tone(),
        text: line.text.clone(),
    });
    plain.collect()
}

fn since_start(at: Time) -> String {
    column(at.since(Time::ZERO))
}

/// One command for the report, one for each breach and example, each once.
fn commands(page: &Page) -> Vec<CommandView> {
    let mut commands = vec![CommandView { what: "this report".to_owned(), command: page.command.to_owned() }];
    let mut add = |what: String, command: String| {
        if !command.is_empty() && !commands.iter().any(|known| known.command == command) {
            commands.push(CommandView { what, command });
        }
    };
    for breach in page.judgement.map_or_else(Vec::new, Judgement::breaches) {
        add(breach.place, breach.command.unwrap_or_default());
    }
    for example in page.examples {
        add(example.heading.to_owned(), example.command.to_owned());
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::verdict::{JudgeSettings, judge};

    fn rendered(title: &str) -> String {
        let part = firedrill_core::part::Part::Step(0);
        let mut scrutiny = Scrutiny::of(&[(Name::new("sample"), vec![part])], &sample::cases(), &[]);
        scrutiny.mutation = Some(sample::mutation_score());
        scrutiny.worth = sample::part_worths();
        scrutiny.deeds = vec![sample::deed_worth()];
        let (nothing, _, oracle) = sample::storm();
        let story = sample::story();
        let arms = Arms { nothing: &nothing, policy: &story, oracle: Some(&oracle), human: None };
        let outcome = crate::outcome::measure(&arms, &crate::outcome::OutcomeSettings::default());
        let (cases, worse) = (sample::cases(), sample::cases());
        let settings = JudgeSettings { tail: None, ..sample::judge_settings() };
        let judgement = judge(&cases, Some(&worse), &sample::incident_results(), &settings);
        let example = Example {
            heading: "retry-storm: an example",
            arms,
            outcome: &outcome,
            about: &[],
            worth: &[sample::deed_worth()],
            command: "firedrill run retry-storm --seed 7",
        };
        render(&Page {
            title,
            engine: "0.1.0",
            command: "firedrill gate",
            judgement: Some(&judgement),
            meanings: &[],
            grounds: &[],
            edits: &[PolicyEdit { policy: Name::new("sample"), what: "changed", lines: vec![(Edit::Removed, "cooldown: 5m".to_owned())] }],
            notes: &[],
            scrutiny: Some(&scrutiny),
            policies: &[PolicyRuns { policy: "sample", cases: &cases }, PolicyRuns { policy: "baseline", cases: &worse }],
            examples: &[example],
        })
    }

    #[test]
    fn a_page_is_whole_in_itself_and_escapes_what_it_is_given() {
        let page = rendered("<script>alert(1)</script>");
        assert!(!page.contains("<script"), "titles are text");
        for asks in ["http://", "https://", "src=", "@import", "url("] {
            let without_names = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!without_names.contains(asks), "{asks}");
        }
        for shows in [
            "not noticed",
            "12 user-min more lost, 2 more actions, 1 more false positive",
            "restart at once on service/api",
            "What each action was worth",
            "<span class=\"removed\">- cooldown: 5m</span>",
            "78 user-min less lost, 1 fewer action",
            "users lose as much, 1 fewer action",
            "reached 1 of 1 part",
            "h-good",
            "<title>sample: recovers",
            "retry-storm-at-night, seed 3",
            "firedrill replay black-friday",
            "viewBox",
            "prefers-color-scheme: dark",
            "RetryStorm fires",
        ] {
            assert!(page.contains(shows), "{shows}");
        }
    }

    /// The values of an attribute, in order.
    fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
        let begins = format!(" {attribute}=\"");
        page.split(&begins).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn links_lead_to_one_place_each_whose_name_says_what_it_is() {
        let page = rendered("gate");
        let ids = values(&page, "id");
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len(), "an id is there twice: {ids:?}");
        let links: Vec<&str> = values(&page, "href").into_iter().map(|link| link.strip_prefix('#').unwrap()).collect();
        for link in &links {
            assert!(ids.contains(link), "#{link} leads nowhere");
        }
        let expected = [
            "run-sample-storm-7",
            "run-sample-storm-7-chart",
            "run-sample-storm-7-story",
            "incident-black-friday",
            "class-crash-loop",
            "lost",
            "recoveries",
            "fronts",
            "heat",
            "figures",
            "mutants",
        ];
        for id in expected {
            assert!(ids.contains(&id), "#{id} is no place: {ids:?}");
        }
        assert!(links.contains(&"run-sample-storm-7") && links.contains(&"lost"), "{links:?}");
    }

    #[test]
    fn beside_each_chart_stand_its_figures_as_text() {
        let page = rendered("gate");
        let sections: Vec<&str> = page.split("<section").filter(|section| section.contains("<div class=\"chart")).collect();
        assert_eq!(sections.len(), 5, "what users lost, recoveries, fronts, heat, and one run");
        for section in sections {
            let (before, table) = section.split_once("The figures as a table").unwrap_or_else(|| panic!("no table: {section}"));
            assert!(before.contains("<svg") && table.contains("<td class=\"number\">"), "{section}");
        }
        // What the storm's chart draws at its worst, and what one may point at, can be copied.
        let run = page.split("id=\"run-sample-storm-7\"").nth(1).unwrap();
        let row = |from: &str| run.split(&format!("<tr><td>{from}</td>")).nth(1).map(|rest| rest.split("</tr>").next().unwrap().to_owned());
        assert!(row("0:00").unwrap().contains("100 %"), "before the fault all is well");
        assert!(run.contains("<th scope=\"col\" class=\"number\">an oracle</th>"));
    }

    #[test]
    fn what_people_write_as_code_is_code_and_nothing_that_they_write_is_markup() {
        assert_eq!(prose("use `a < b` & see"), "use <code>a &lt; b</code> &amp; see");
        assert_eq!(prose("one ` alone <b>"), "one ` alone &lt;b&gt;");
        let page = rendered("gate");
        let told = page.split("<main>").nth(1).unwrap();
        assert!(!told.contains('`'), "{}", &told[told.find('`').unwrap_or(0)..][..80.min(told.len())]);
    }

    #[test]
    fn what_holds_is_told_with_its_figures_and_a_baseline_stands_in_the_chart() {
        let page = rendered("gate");
        let calm = page.split("id=\"class-calm\"").nth(1).unwrap().split("</tr>").next().unwrap();
        assert!(calm.contains("<li>harm max &#60; 1 user-min: 0 user-min (n = 1)</li>"), "{calm}");
        assert!(calm.contains("is allowed (baseline "), "comparisons have their figures: {calm}");
        let lost = page.split("id=\"lost\"").nth(1).unwrap().split("</section>").next().unwrap();
        assert!(lost.contains("f-policy-2") && lost.contains("var(--policy-2)") && lost.contains(">baseline<"), "{lost}");
    }

    #[test]
    fn the_same_runs_give_the_same_bytes() {
        assert_eq!(rendered("gate"), rendered("gate"));
    }

    #[test]
    fn a_page_of_one_run_needs_no_judgement() {
        let (nothing, policy, _) = sample::storm();
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
        let outcome = crate::outcome::measure(&arms, &crate::outcome::OutcomeSettings::default());
        let example = Example { heading: "run", arms, outcome: &outcome, about: &[], worth: &[], command: "firedrill run x" };
        let page = render(&Page {
            title: "run",
            engine: "0.1.0",
            command: "firedrill run x",
            judgement: None,
            meanings: &[],
            grounds: &[],
            edits: &[],
            notes: &[],
            scrutiny: None,
            policies: &[],
            examples: &[example],
        });
        assert!(page.contains("<svg") && !page.contains("Verdict by class"));
    }
}
