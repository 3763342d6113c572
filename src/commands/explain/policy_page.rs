//! How a policy is written, key by key, for somebody who has never seen one: `firedrill explain policy`.
//!
//! Made of the tables of docs/policies.md, which tests hold equal to the readers, and of policies that are read by a test.

use super::tables::plain;
use super::{POLICIES, tables};

/// Policies in which every key stands that the examples of the documentation lack. Nobody is meant to run them.
const WRITTEN: [&str; 3] = [include_str!("every-key.yaml"), include_str!("incident.yaml"), include_str!("receiver.yaml")];

/// What is said before the keys.
const OPENING: &str = "\
A policy is a YAML file: on which alert, on what target, with which checks, steps and guards. A whole one:
";

/// What is said after the example.
const FURTHER: &str = "\
To write one:
  firedrill list rules                  which files of rules there are; `firedrill explain FILE` has their alerts
  firedrill list policies               policies to begin with; `firedrill explain POLICY` tells one in prose
  firedrill list scenarios              what can be rehearsed
  firedrill run SCENARIO                which alerts fire there and with which labels, while nobody acts
  firedrill check FILE.yaml             everything that is wrong with a policy, and what is likely not meant
  firedrill run SCENARIO --policy FILE.yaml
                                        what it does there, minute by minute
  firedrill explain WORD                one key, action or guard alone, as in `firedrill explain cooldown`
  firedrill explain policies            all of this with its reasons
  firedrill explain context             alerts that belong together: `on: { incident: … }`

$LABEL is a label of the alert that called, as in $service or $pod; in PromQL it stands without quotes: up{pod=$pod} == 0.
Which labels an alert has is what its rule's expression yields, and what stands under its `labels:`. `check` says if one is never there.
A condition compares: each element must hold, and where there is no element nobody can tell, which forbids an action.
So it is on both sides of and, or and unless; what may be missing gets a default below its comparison: (max(x) or vector(0)) == 1.
What forbids, a kill_switch and a change_in_progress, is the other way round: one element that holds is enough.
PromQL that holds braces, commas or a colon stands in quotes in YAML: expr: 'up{pod=$pod} == 1'. An action without parameters is written rollback: {}.
Durations are written 30s, 5m or 1h30m, shares 25%, factors x2.
";

/// The page.
pub(super) fn page() -> String {
    let whole = blocks().next().unwrap_or_default();
    let mut text = format!("{OPENING}\n{}\n{FURTHER}", indented(whole));
    let mut section = "";
    for row in rows() {
        if row.section != section {
            text += &format!("\n\n{}\n", row.section);
            section = row.section;
        }
        text += &format!("\n  {}\n", row.words.join(", "));
        for (title, cell) in row.head.iter().zip(&row.cells).skip(1).filter(|(_, cell)| !cell.trim().is_empty()) {
            text += &format!("      {title}: {}\n", plain(cell));
        }
        let shown = row.words.iter().filter(|_| row.is_written()).find_map(|word| example(row.section, word));
        if let Some(lines) = shown {
            text += &format!("      for example: {}\n", lines.join("\n                   "));
        }
    }
    text
}

/// A row of a table of the documentation that is about words of a policy.
struct Row {
    section: &'static str,
    head: Vec<&'static str>,
    words: Vec<&'static str>,
    cells: Vec<&'static str>,
}

impl Row {
    /// Whether its words are written in policies, and not what may stand behind one.
    fn is_written(&self) -> bool {
        matches!(self.head.first(), Some(&("key" | "deed" | "guard")))
    }
}

fn rows() -> Vec<Row> {
    let words = |row: &tables::Row<'static>| -> Vec<&'static str> {
        row.cells[0].split(", ").filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`')).collect()
    };
    let rows = tables::rows(POLICIES).into_iter().map(|row| {
        let words = words(&row);
        let tables::Row { section, head, cells } = row;
        Row { section, head, words, cells }
    });
    rows.filter(|row| !row.words.is_empty()).collect()
}

/// The examples of the documentation, the whole policy first.
fn blocks() -> impl Iterator<Item = &'static str> {
    POLICIES.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next())
}

/// The lines in which a key is written, at most as many as show its form. That of a guard stands among guards, that of anything else does not.
fn example(section: &str, word: &str) -> Option<Vec<&'static str>> {
    let is_guard = section == "Guards";
    let documented = blocks().map(|block| parts(block, is_guard));
    let written = WRITTEN.into_iter().map(|text| parts(text, is_guard));
    // Guards stand together in one of ours.
    let texts: Vec<Vec<&str>> = if is_guard { written.chain(documented).collect() } else { documented.chain(written).collect() };
    let begins = |line: &str| line.trim_start().trim_start_matches("- ").strip_prefix(word).is_some_and(|rest| rest.starts_with(':'));
    let first = |wanted: &dyn Fn(&str) -> bool| {
        texts.iter().find_map(|lines| lines.iter().position(|line| wanted(line)).map(|index| &lines[index..]))
    };
    let lines = first(&begins).or_else(|| first(&|line| writes(line, word)))?;
    // What is opened by a line goes on below it.
    let more = if lines[0].trim_end().ends_with(':') { MOST_LINES } else { 0 };
    let depth = |line: &str| line.len() - line.trim_start().len();
    let inner = lines[1..].iter().take_while(|line| depth(line) > depth(lines[0])).take(more);
    let cut = depth(lines[0]);
    let shown = std::iter::once(lines[0].trim().trim_start_matches("- ")).chain(inner.map(|line| &line[cut..]));
    Some(shown.collect())
}

/// So many lines below the first are enough to see a form.
const MOST_LINES: usize = 4;

/// The lines of a policy from `guard:` on, or those before it.
fn parts(text: &'static str, is_guard: bool) -> Vec<&'static str> {
    let at = text.lines().position(|line| line == "guard:").unwrap_or(usize::MAX);
    text.lines().enumerate().filter(|(index, _)| (*index > at) == is_guard).map(|(_, line)| line).collect()
}

/// Whether a line has a word as a key.
fn writes(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_edge = |character: Option<char>| character.is_none_or(|character| " {[,-".contains(character));
        is_edge(line[..at].chars().next_back()) && line[at + word.len()..].starts_with(':')
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_policies::document::read_policy_with;

    #[test]
    fn the_policies_that_examples_are_taken_from_can_be_read() {
        for text in WRITTEN {
            if let Err(problems) = read_policy_with("example.yaml", text, &|_| Ok("hash".to_owned())) {
                panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<String>());
            }
        }
    }

    #[test]
    fn every_key_deed_and_guard_has_its_meaning_and_a_line_that_shows_it() {
        let page = page();
        let (mut shown, mut without) = (0, Vec::new());
        for row in rows().iter().filter(|row| row.is_written()) {
            for word in &row.words {
                // One guard is always on, and one is the project's: there is nothing to be written. Two stand beside the guards.
                let is_beside = row.section == "Guards" && matches!(*word, "dedup" | "stage" | "precheck" | "policy_as_code");
                if !is_beside && example(row.section, word).is_none() {
                    without.push((row.section, *word));
                }
                shown += 1;
            }
            assert!(page.contains(&format!("\n  {}\n", row.words.join(", "))), "{:?}", row.words);
        }
        assert!(without.is_empty() && shown > 90, "{shown} words, and these have no example: {without:?}");
    }

    #[test]
    fn marks_of_the_documentation_are_left_out() {
        assert_eq!(plain("see [guards](#guards), `[{ a }]` and [x]"), "see guards, [{ a }] and [x]");
    }
}
