//! What a candidate makes of the baseline's policies, line by line, as their files have it.

use std::sync::Arc;

use firedrill_policies::policy::Policy;
use firedrill_reports::page::{Edit, PolicyEdit};
use similar::{ChangeTag, TextDiff};

use super::contest::Contest;

/// Lines around a change that are shown.
const CONTEXT: usize = 2;

/// Of one policy at most so many lines are shown.
const MOST_LINES: usize = 120;

/// Policies that came, went or changed, in order of name; none without a baseline.
pub(super) fn edits(contest: &Contest) -> Vec<PolicyEdit> {
    let Some(baseline) = &contest.baseline else { return Vec::new() };
    let named = |all: &[Arc<Policy>], policy: &Policy| all.iter().find(|own| own.name == policy.name).cloned();
    let of_candidate = contest.candidate.policies.iter().filter_map(|own| match named(&baseline.policies, own) {
        None => Some(PolicyEdit { policy: own.name.clone(), what: "new", lines: Vec::new() }),
        Some(before) if text(&before) == text(own) => None,
        Some(before) => Some(PolicyEdit { policy: own.name.clone(), what: "changed", lines: lines(text(&before), text(own)) }),
    });
    let is_gone = |own: &&Arc<Policy>| named(&contest.candidate.policies, own).is_none();
    let gone = |own: &Arc<Policy>| PolicyEdit { policy: own.name.clone(), what: "not on duty any more", lines: Vec::new() };
    let mut all: Vec<PolicyEdit> = of_candidate.chain(baseline.policies.iter().filter(is_gone).map(gone)).collect();
    all.sort_by(|one, other| one.policy.cmp(&other.policy));
    all
}

/// The file of a policy.
fn text(policy: &Policy) -> &str {
    &policy.places.name.file().text
}

fn lines(before: &str, after: &str) -> Vec<(Edit, String)> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push((Edit::Kept, "…".to_owned()));
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let edit = match change.tag() {
                ChangeTag::Equal => Edit::Kept,
                ChangeTag::Delete => Edit::Removed,
                ChangeTag::Insert => Edit::Added,
            };
            lines.push((edit, change.value().trim_end_matches(['\n', '\r']).to_owned()));
        }
    }
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push((Edit::Kept, format!("… and {more} more lines")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_between_what_did_not() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let after = "a\nb\nC\nd\ne\nf\ng\nh\ni\nj\n";
        let told: String = lines(before, after).iter().map(|(edit, line)| format!("{}{line}|", edit.sign())).collect();
        assert_eq!(told, " a| b|-c|+C| d| e| …| h| i|+j|");
        assert_eq!(lines(before, before), []);
        let long = lines("", &"x\n".repeat(500));
        assert_eq!((long.len(), long[MOST_LINES].1.as_str()), (MOST_LINES + 1, "… and 380 more lines"));
    }
}
