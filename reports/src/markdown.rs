//! A judgement in Markdown, for the summary of a CI job or a comment on a change.

use std::fmt::Write as _;

use crate::table::why;
use crate::verdict::{Judgement, Verdict};
use crate::words::counted;

/// At most this many breaches are written out; the page has them all.
const BREACHES: usize = 10;

/// The summary of a judgement.
#[must_use]
pub fn summary(judgement: &Judgement) -> String {
    let mut text = String::new();
    let policies = judgement.policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "## {} firedrill: {}\n", sign(judgement.verdict), judgement.verdict);
    write_judge(&mut text, judgement);
    let paired = judgement.pairs.map_or_else(String::new, |pairs| format!(", {pairs} of them paired with the baseline"));
    let word = if judgement.policies.len() == 1 { "Policy" } else { "Policies" };
    let _ = writeln!(text, "{} with {}{paired}. {word}: {policies}.\n", counted(judgement.runs, "run"), whose(judgement));
    write_breaches(&mut text, judgement);
    let _ = writeln!(text, "| class | verdict | runs | acted | why |\n|---|---|---:|---:|---|");
    for class in &judgement.classes {
        let acted = class.exercise.acted;
        let (name, verdict, why) = (cell(&class.class), class.verdict, cell(&why(class)));
        let _ = writeln!(text, "| {name} | {} {verdict} | {} | {acted} | {why} |", sign(verdict), class.runs);
    }
    if !judgement.incidents.is_empty() {
        let _ = writeln!(text, "\n| recorded incident | verdict | findings |\n|---|---|---|");
        for incident in &judgement.incidents {
            let verdict = incident.verdict().map_or("no verdict".to_owned(), |verdict| format!("{} {verdict}", sign(verdict)));
            let _ = writeln!(text, "| {} | {verdict} | {} |", cell(&incident.incident), cell(&crate::table::incident_why(incident)));
        }
        let _ = writeln!(text, "\nA recording cannot react: its verdict is about decisions, not about their effect.");
    }
    for idle in &judgement.idle {
        let _ = writeln!(text, "\nPolicy `{}` is not exercised: {}.", idle.policy, idle.reason);
    }
    text
}

fn whose(judgement: &Judgement) -> &'static str {
    if judgement.policies.len() == 1 { "the policy" } else { "the policies" }
}

/// What the change does to its own judge.
fn write_judge(text: &mut String, judgement: &Judgement) {
    let Some(heading) = judgement.judge_heading() else { return };
    let _ = writeln!(text, "**{heading}:**\n");
    for change in &judgement.judge_changes {
        let _ = writeln!(text, "- {}", change.what);
    }
    let remedy = judgement.judge_remedy().map_or_else(String::new, |remedy| format!("To go on: {remedy}.\n\n"));
    let _ = write!(text, "\n{remedy}");
}

fn write_breaches(text: &mut String, judgement: &Judgement) {
    let breaches = judgement.breaches();
    for breach in breaches.iter().take(BREACHES) {
        let _ = writeln!(text, "- **{}**: {}", breach.place, breach.what);
        if let Some(run) = &breach.run {
            let _ = writeln!(text, "  - seen in `{}`, seed {}", run.scenario, run.seed);
        }
        if let Some(command) = &breach.command {
            let _ = writeln!(text, "  - repeat it: `{command}`");
        }
    }
    if breaches.len() > BREACHES {
        let _ = writeln!(text, "- and {} more", breaches.len() - BREACHES);
    }
    if !breaches.is_empty() {
        text.push('\n');
    }
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✅",
        Verdict::Broken => "❌",
        Verdict::Inconclusive | Verdict::NotExercised => "⚠️",
    }
}

/// A pipe would end the cell, a line break the row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::verdict::judge;

    #[test]
    fn a_summary_says_what_broke_and_how_to_see_it() {
        let judgement = judge(&sample::cases(), None, &sample::incident_results(), &sample::judge_settings());
        insta::assert_snapshot!(summary(&judgement));
    }
}
