//! A judgement in Markdown, for a comment on a change: at most [`MOST_LINES`] lines, the weightiest first.

use firedrill_core::name::Name;

use crate::scrutiny::{Scrutiny, some_of};
use crate::statistics::Summary;
use crate::table::why;
use crate::verdict::{Case, ClassVerdict, CostVerdict, IncidentResult, Judgement, Measure, ThresholdVerdict, Verdict, summarise};
use crate::words::counted;

/// A comment that is longer is not read.
pub const MOST_LINES: usize = 40;

/// At most so many of one kind are listed; the report has them all.
const LISTED: usize = 3;
/// A line is no longer than this, in characters.
const WIDEST: usize = 400;

/// What a comment on a change tells.
#[derive(Clone, Copy, Debug)]
pub struct Comment<'a> {
    /// What was found.
    pub judgement: &'a Judgement,
    /// The runs of the candidate, for intervals.
    pub cases: &'a [Case],
    /// How closely the policies were looked at.
    pub scrutiny: &'a Scrutiny,
    /// What the verdict rests on besides its runs, a sentence each.
    pub grounds: &'a [String],
    /// What the verdict leaves out, a sentence each.
    pub notes: &'a [String],
    /// Where the report is: a path or an address.
    pub report: &'a str,
}

/// The comment: verdict, judge changes, decisions that changed, the worst class, headroom, coverage and mutation score, what was not tested,
/// the report.
#[must_use]
pub fn comment(told: &Comment) -> String {
    let mut lines = verdict(told.judgement, told.grounds);
    lines.extend(judge(told.judgement));
    lines.extend(decisions(told.judgement));
    lines.extend(worst(told));
    lines.extend(headroom(told.scrutiny));
    lines.push(format!("**Policy coverage:** {}{}", escaped(&told.scrutiny.coverage_line(LISTED)), escaped(&worthless(told.scrutiny))));
    lines.push(String::new());
    lines.extend(mutation(told.scrutiny));
    lines.extend(listed("Not tested", nothing_left_out(told.scrutiny), told.notes));
    lines.push(format!("**Report:** {}", code(told.report)));
    assert!(lines.len() <= MOST_LINES, "every part of a comment is bounded");
    lines.iter().map(|line| cut(line, WIDEST) + "\n").collect()
}

fn verdict(judgement: &Judgement, grounds: &[String]) -> Vec<String> {
    let grounds: String = grounds.iter().map(|ground| format!(" {}", sentence(ground))).collect();
    let policies: Vec<String> = judgement.policies.iter().map(|policy| code(policy)).collect();
    let paired = judgement.pairs.map_or_else(String::new, |pairs| format!(", {pairs} of them paired with the baseline"));
    let word = if judgement.policies.len() == 1 { "policy" } else { "policies" };
    vec![
        format!("## {} firedrill: {}", sign(judgement.verdict), judgement.verdict),
        String::new(),
        format!(
            "{}<br>{}{paired}, {word} {}.{grounds}",
            sentence(&judgement.reason()),
            counted(judgement.runs, "run"),
            some_of(&policies, 8)
        ),
        String::new(),
    ]
}

/// What the change does to its own judge, and what is to be done about it.
fn judge(judgement: &Judgement) -> Vec<String> {
    let changes: Vec<String> = judgement.judge_changes.iter().map(|change| change.what.clone()).collect();
    let heading = judgement.judge_heading().unwrap_or_else(|| "Judge changes".to_owned());
    let mut lines = listed(&heading, "none", &changes);
    if let (Some(remedy), Some(last)) = (judgement.judge_remedy(), lines.len().checked_sub(2).and_then(|last| lines.get_mut(last))) {
        *last += &format!("<br>To go on: {}", escaped(remedy));
    }
    lines
}

/// What changed nothing where it was left out.
fn worthless(scrutiny: &Scrutiny) -> String {
    let all = scrutiny.worthless();
    if all.is_empty() { String::new() } else { format!("; without these nothing changes: {}", some_of(&all, LISTED)) }
}

/// A heading with one thing, or with a list of a few.
fn listed(heading: &str, none: &str, all: &[String]) -> Vec<String> {
    if all.is_empty() {
        return vec![format!("**{heading}:** {none}."), String::new()];
    }
    let shown = if all.len() > LISTED { LISTED - 1 } else { all.len() };
    let mut lines = vec![format!("**{heading}:**")];
    lines.extend(all.iter().take(shown).map(|one| format!("- {}", escaped(one))));
    if all.len() > shown {
        lines.push(format!("- and {} more, {} in all", all.len() - shown, all.len()));
    }
    lines.push(String::new());
    lines
}

/// Of each recorded incident on which something else is decided: what was, and what is.
fn decisions(judgement: &Judgement) -> Vec<String> {
    let incidents = &judgement.incidents;
    let changed: Vec<String> = incidents.iter().filter_map(decision_change).collect();
    let compared = incidents.iter().filter(|incident| incident.before.is_some()).count() as u64;
    let none = match (incidents.len() as u64, compared) {
        (0, _) => "no incident was replayed".to_owned(),
        (all, 0) => format!("{} replayed, no baseline to compare with", counted(all, "incident")),
        (_, compared) => format!("none, on {}", counted(compared, "incident")),
    };
    let failed: Vec<String> = incidents.iter().filter(|incident| incident.verdict() == Some(Verdict::Broken)).map(failure).collect();
    let all: Vec<String> = changed.into_iter().chain(failed).collect();
    listed("Decisions that changed on recorded incidents", &none, &all)
}

/// `hang-recorded: restart (rolling) on replica/api-1 at 1m → nothing`; `None` if nothing changed or there is nothing to compare with.
#[must_use]
pub fn decision_change(incident: &IncidentResult) -> Option<String> {
    let before = incident.before.as_ref().filter(|before| **before != incident.decisions)?;
    let told = |all: &[String]| if all.is_empty() { "nothing".to_owned() } else { some_of(all, 2) };
    Some(format!("{}: {} → {}", incident.incident, told(before), told(&incident.decisions)))
}

fn failure(incident: &IncidentResult) -> String {
    format!("{} fails: {}; repeat: {}", incident.incident, incident.findings.join("; "), incident.command)
}

/// What is said where no note says what was left out.
fn nothing_left_out(scrutiny: &Scrutiny) -> &'static str {
    let (reached, all) = scrutiny.reached();
    if reached < all {
        "nothing else, beside the parts of policies above that were never reached"
    } else {
        "nothing is known to have been left out"
    }
}

/// The class with the gravest finding; of equals the one nearest to its limit. And every class in a line.
fn worst(told: &Comment) -> Vec<String> {
    let classes = &told.judgement.classes;
    let mut lines = Vec::new();
    if let Some(found) =
        classes.iter().map(|class| gravest(class, told.cases)).reduce(|one, other| if other.weight > one.weight { other } else { one })
    {
        let command = found.command.map_or_else(String::new, |command| format!("<br>repeat it: {}", code(&command)));
        // The command is what a reader copies, so the figures give way where there is no room for both.
        let what = cut(&escaped(&found.what), WIDEST.saturating_sub(command.chars().count() + 60));
        lines.push(format!("**Worst class:** {} {}: {what}{command}", sign(found.weight.0), code(&found.class)));
        lines.push(String::new());
    }
    if classes.len() > 1 {
        // What is cut off where there are many is what is well.
        let mut sorted: Vec<&ClassVerdict> = classes.iter().collect();
        sorted.sort_by_key(|class| std::cmp::Reverse(class.verdict));
        let all: Vec<String> = sorted.iter().map(|class| format!("{} {}", sign(class.verdict), code(&class.class))).collect();
        let broken = classes.iter().filter(|class| class.verdict == Verdict::Broken).count();
        let counted = if broken > 0 { format!(" {broken} of {} broken:", classes.len()) } else { String::new() };
        lines.push(format!("**Classes:**{counted} {}", all.join(", ")));
        lines.push(String::new());
    }
    lines
}

/// The weightiest finding of a class. The weight: the verdict, whether a threshold says so, and how much of what is allowed was used.
struct Finding {
    class: String,
    weight: (Verdict, bool, f64),
    what: String,
    command: Option<String>,
}

fn gravest(class: &ClassVerdict, cases: &[Case]) -> Finding {
    let named = class.class.to_string();
    let bare = Finding { class: named.clone(), weight: (class.verdict, false, -1.0), what: why(class), command: None };
    if class.verdict == Verdict::NotExercised {
        return bare;
    }
    let thresholds = class.told_thresholds().into_iter().map(|(place, found)| of_threshold(class, (place, found), cases));
    let costs = class.costs.iter().map(|found| of_cost(class, found));
    thresholds.chain(costs).fold(bare, |one, other| if other.weight > one.weight { other } else { one })
}

/// What is found of a class, or of one of its scenarios.
fn of_threshold(class: &ClassVerdict, (place, found): (&Name, &ThresholdVerdict), cases: &[Case]) -> Finding {
    let used = match found.figure {
        // Of what broke the gravest is told, as everywhere.
        _ if found.verdict == Verdict::Broken => found.gravity(),
        Some(figure) if found.limit.abs() > 0.0 => figure / found.limit,
        Some(figure) => figure,
        None => 0.0,
    };
    let is_of_all = *place == class.class;
    let interval = interval((class, place), found.measure, cases).filter(|own| own.n > 1 && own.mean_low < own.mean_high);
    let interval = interval.map_or_else(String::new, |own| {
        let show = |value| found.unit.show(value);
        format!(", mean {} (95 % interval {} to {})", show(own.mean), show(own.mean_low), show(own.mean_high))
    });
    let whose = if is_of_all { String::new() } else { format!("{place}: ") };
    Finding {
        class: class.class.to_string(),
        weight: (found.verdict, true, used),
        what: format!("{whose}{}: found {}{interval}", found.threshold, found.figures()),
        command: found.worst.as_ref().map(|run| run.command.clone()),
    }
}

fn interval((class, place): (&ClassVerdict, &Name), measure: Measure, cases: &[Case]) -> Option<Summary> {
    let is_own = |case: &&Case| case.class == class.class && (*place == class.class || case.outcome.scenario == *place);
    let own: Vec<Case> = cases.iter().filter(is_own).cloned().collect();
    summarise(&own, &[measure], 0).into_iter().next()?.get(measure).cloned()
}

fn of_cost(class: &ClassVerdict, found: &CostVerdict) -> Finding {
    let ([mean, allowed], test) = (found.means(), &found.comparison);
    let [low, high] = [test.excess_low, test.excess_high].map(|excess| found.unit.show((test.allowed_mean + excess).max(0.0)));
    let what = format!(
        "{} against the baseline: mean {mean} (95 % interval {low} to {high}) where {allowed} is allowed, {} pairs",
        found.measure, test.n
    );
    let used = match () {
        () if found.verdict == Verdict::Broken => found.gravity(),
        () if test.allowed_mean > 0.0 => test.candidate_mean / test.allowed_mean,
        () => 0.0,
    };
    Finding {
        class: class.class.to_string(),
        // Of what broke only how grave it is counts.
        weight: (found.verdict, found.verdict == Verdict::Broken, used),
        what,
        command: found.worst.as_ref().map(|run| run.command.clone()),
    }
}

fn headroom(scrutiny: &Scrutiny) -> Vec<String> {
    let several = scrutiny.coverage.len() > 1;
    let told = scrutiny.headroom.iter().map(|own| {
        let approach = &own.approach;
        let whose = if several { format!(" of {}", approach.policy) } else { String::new() };
        format!("{}{whose}: {} in {}, seed {}", approach.guard, approach.figures, own.scenario, own.seed)
    });
    listed("Guard headroom, the closest approach to each limit", "no action started that a limit counts", &told.collect::<Vec<_>>())
}

fn mutation(scrutiny: &Scrutiny) -> Vec<String> {
    let Some(score) = &scrutiny.mutation else {
        return vec!["**Mutation score:** not asked for (`firedrill gate --mutants`).".to_owned(), String::new()];
    };
    if score.mutants.is_empty() {
        return vec![format!("**Mutation score:** {}.", escaped(&score.line())), String::new()];
    }
    listed(&format!("Mutation score: {}", score.line()), "no mutant survived", &score.survivor_lines())
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✅",
        Verdict::Broken => "❌",
        Verdict::Inconclusive | Verdict::NotExercised => "⚠️",
    }
}

/// Text as a sentence: a capital letter and a full stop. A place or a measure that comes first stays as it is written.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.contains(':') => escaped(&format!("{}{}.", first.to_uppercase(), letters.as_str())),
        _ => escaped(&format!("{text}.")),
    }
}

/// What Markdown and HTML would take for their own. Code between backticks stays code, if every one that is opened is closed.
fn escaped(text: &str) -> String {
    let is_code = text.matches('`').count().is_multiple_of(2);
    let mut written = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_tag = letters.peek().is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'));
        match letter {
            '<' if is_tag => written.push_str("&lt;"),
            '\n' | '\r' => written.push(' '),
            '`' if is_code => written.push('`'),
            '*' | '`' | '[' | '\\' => written.extend(['\\', letter]),
            _ => written.push(letter),
        }
    }
    written
}

/// Text as code; where it has backticks itself, between more of them.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A line that is too long ends in dots; code that is cut open is closed.
fn cut(line: &str, widest: usize) -> String {
    if line.chars().count() <= widest {
        return line.to_owned();
    }
    let mut text: String = line.chars().take(widest.saturating_sub(1)).collect();
    let unescaped = text.replace("\\`", "");
    text.push('…');
    if unescaped.matches('`').count() % 2 == 1 {
        text.push('`');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::sample;
    use crate::verdict::{JudgeChange, JudgePart, JudgeSettings, Threshold, judge};

    #[test]
    fn a_comment_says_what_broke_and_how_to_see_it() {
        let cases = sample::cases();
        let mut incidents = sample::incident_results();
        incidents[0].before = Some(vec!["restart (at once) on service/api at 2m".to_owned()]);
        let changes = vec![JudgeChange { part: JudgePart::Threshold, what: "threshold harm: `max < 1` became `max < 100`".to_owned() }];
        let judgement = judge(&cases, None, &incidents, &JudgeSettings { judge_changes: changes, ..sample::judge_settings() });
        let scrutiny = Scrutiny { mutation: Some(sample::mutation_score()), ..Scrutiny::of(&[], &cases, &incidents) };
        let notes = ["2 of 9 rules cannot fire in what is rehearsed here".to_owned()];
        let told = Comment {
            judgement: &judgement,
            cases: &cases,
            scrutiny: &scrutiny,
            grounds: &[],
            notes: &notes,
            report: "firedrill-out/gate.html",
        };
        insta::assert_snapshot!(comment(&told));
    }

    #[test]
    fn what_a_scenario_breaks_alone_is_told_of_the_scenario() {
        let [calm, .., harmful] = &sample::cases()[..] else { unreachable!("there are several") };
        let runs = |name: &str, case: &Case, seeds: std::ops::Range<u64>| -> Vec<Case> {
            let outcome = |seed| Outcome { scenario: Name::new(name), seed, ..case.outcome.clone() };
            seeds.map(|seed| Case { class: Name::new("mixed"), outcome: outcome(seed) }).collect()
        };
        let cases = [runs("well", calm, 0..40), runs("ill", harmful, 0..10)].concat();
        let thresholds = vec![Threshold::parse("harm", "p50 < 1 user-minute").unwrap()];
        let judgement = judge(&cases, None, &[], &JudgeSettings { thresholds, tail: None, ..sample::judge_settings() });
        let scrutiny = Scrutiny::of(&[], &cases, &[]);
        let told = Comment { judgement: &judgement, cases: &cases, scrutiny: &scrutiny, grounds: &[], notes: &[], report: "gate.html" };
        let text = comment(&told);
        let line = text.lines().find(|line| line.starts_with("**Worst class:**")).unwrap();
        assert!(line.starts_with("**Worst class:** ❌ `mixed`: ill: harm median < 1 user-min: found "), "{line}");
        // All runs of the scenario are alike, and those of the class are not.
        assert!(line.contains("(n = 10)") && !line.contains("interval"), "{line}");
    }

    #[test]
    fn however_much_there_is_to_tell_the_comment_stays_short() {
        let cases = sample::cases();
        let many = |what: &str| (0..50).map(|number| format!("{what} {number} {}", "long ".repeat(200))).collect::<Vec<_>>();
        let mut incidents = Vec::new();
        for number in 0..20 {
            let mut incident = sample::incident_results().remove(1);
            incident.before = Some(many(&format!("before {number}")));
            incident.decisions = many("after");
            incidents.push(incident);
        }
        let changes = many("judge").into_iter().map(|what| JudgeChange { part: JudgePart::Threshold, what }).collect();
        let settings = JudgeSettings { judge_changes: changes, ..sample::judge_settings() };
        let judgement = judge(&cases, Some(&cases), &incidents, &settings);
        let mut score = sample::mutation_score();
        score.mutants = score.mutants.iter().cycle().take(80).cloned().collect();
        let scrutiny = Scrutiny { mutation: Some(score), ..Scrutiny::of(&[], &cases, &incidents) };
        let notes = many("note");
        let told = Comment { judgement: &judgement, cases: &cases, scrutiny: &scrutiny, grounds: &[], notes: &notes, report: "gate.html" };
        let text = comment(&told);
        assert!(text.lines().count() <= MOST_LINES, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDEST + 1), "{text}");
    }

    #[test]
    fn names_cannot_change_what_the_comment_looks_like() {
        assert_eq!(escaped("a < b <img> *x* [y]\n# z `c` d_e"), "a < b &lt;img> \\*x\\* \\[y] # z `c` d_e");
        assert_eq!(escaped("one ` alone"), "one \\` alone");
        assert_eq!(code("a`b"), "`` a`b ``");
    }
}
