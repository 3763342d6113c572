//! Annotations as GitHub's runners read them in a log: `::error file=...,line=...::message`.

use firedrill_core::problem::{Problem, Severity};
use firedrill_reports::verdict::{Judgement, Verdict};

/// Problems and findings, a line each.
#[must_use]
pub fn of_problems<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    problems.into_iter().map(of_problem).collect()
}

fn of_problem(problem: &Problem) -> String {
    let command = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let mut properties = vec![("file", problem.path.clone())];
    if let Some(place) = &problem.place {
        properties[0].1.clone_from(&place.file().path);
        properties.push(("line", place.line().to_string()));
        properties.push(("col", place.column().to_string()));
    }
    properties.push(("title", format!("firedrill {}", problem.code)));
    let remedy = problem.remedy.as_ref().map_or_else(String::new, |remedy| format!("\nhelp: {remedy}"));
    line(command, &properties, &format!("{}{remedy}", problem.message))
}

/// What broke and what could not be told, a line each; nothing if all held.
#[must_use]
pub fn of_judgement(judgement: &Judgement) -> String {
    let titled = |title: &str| [("title", format!("firedrill gate: {title}"))];
    let mut lines = String::new();
    let broken = titled(Verdict::Broken.word());
    lines.extend(judgement.judge_changes.iter().map(|change| match &judgement.approval {
        None => line("error", &broken, &change.what),
        Some(name) => line("notice", &titled("judge changed"), &format!("{}; approved by {name}", change.what)),
    }));
    for breach in judgement.breaches() {
        let repeat = breach.command.map_or_else(String::new, |command| format!("\nrepeat: {command}"));
        lines += &line("error", &broken, &format!("{}: {}{repeat}", breach.place, breach.what));
    }
    for doubt in judgement.doubts() {
        lines += &line("warning", &titled(Verdict::Inconclusive.word()), &format!("{}: {}", doubt.place, doubt.what));
    }
    for idle in &judgement.idle {
        lines += &line("warning", &titled(Verdict::NotExercised.word()), &format!("{}: {}", idle.policy, idle.words()));
    }
    lines
}

/// One annotation. A message may have several lines; its values must not end it (the runner's `ActionCommand`).
fn line(command: &str, properties: &[(&str, String)], message: &str) -> String {
    let properties: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={}", in_property(value))).collect();
    format!("::{command} {}::{}\n", properties.join(","), in_message(message))
}

fn in_message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn in_property(text: &str) -> String {
    in_message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::problem::{Place, SourceFile};
    use std::sync::Arc;

    #[test]
    fn a_problem_is_one_line_and_nothing_in_it_ends_it() {
        let file = Arc::new(SourceFile { path: "a,b: c.yaml".into(), text: "x: 1\ny: 2\n".into() });
        let problem = Problem::at("FD0001", &Place::new(&file, 5, 6), "100 % wrong::error\nand more").remedy("write `z`").as_warning();
        let expected =
            "::warning file=a%2Cb%3A c.yaml,line=2,col=1,title=firedrill FD0001::100 %25 wrong::error%0Aand more%0Ahelp: write `z`\n";
        assert_eq!(of_problems([&problem]), expected);
        let whole = Problem::in_file("FD0906", "b.yaml", "no text");
        assert_eq!(of_problems([&whole]), "::error file=b.yaml,title=firedrill FD0906::no text\n");
    }
}
