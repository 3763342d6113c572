//! What a change does to its own judge: thresholds that became weaker, scenarios and incidents that are gone or other ones, other seeds.

use serde::{Deserialize, Serialize};

use super::Judgement;
use crate::words::counted;

/// A part of what a candidate is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgePart {
    /// The project file itself.
    Project,
    /// What must hold.
    Threshold,
    /// How many seeds each scenario is played on.
    Pairs,
    /// The first seed.
    Seed,
    /// What becomes of a verdict that these runs do not tell.
    OnInconclusive,
    /// What candidates are compared with.
    Baseline,
    /// What is rehearsed.
    Scenario,
    /// What was recorded.
    Incident,
    /// What people say was right in an incident.
    Expect,
    /// What variants of the scenarios are played.
    Chaos,
    /// What drills have shown of policies.
    Evidence,
    /// What own actions do to a simulated system.
    Models,
}

/// Something that a change does to what judges it: a loosening, a deletion, or another content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JudgeChange {
    /// What it changes.
    pub part: JudgePart,
    /// What it does, as a sentence without a capital letter and a full stop.
    pub what: String,
}

impl JudgeChange {
    /// A change of a part.
    #[must_use]
    pub fn new(part: JudgePart, what: impl Into<String>) -> Self {
        Self { part, what: what.into() }
    }
}

impl Judgement {
    /// Whether the judge was changed and nobody has said that this is right. Such a verdict is broken, whatever the runs say.
    #[must_use]
    pub fn is_judge_changed(&self) -> bool {
        !self.judge_changes.is_empty() && self.approval.is_none()
    }

    /// What is said above the list of changes of the judge; `None` if there are none.
    #[must_use]
    pub fn judge_heading(&self) -> Option<String> {
        let changes = counted(self.judge_changes.len() as u64, "change");
        match (&self.approval, self.judge_changes.len()) {
            (_, 0) => None,
            (Some(name), _) => Some(format!("{changes} of what judges this candidate, approved by {name}")),
            (None, _) => Some(format!("{changes} of what judges this candidate, which nobody has approved")),
        }
    }

    /// What can be done about it; `None` if nothing needs to be.
    #[must_use]
    pub fn judge_remedy(&self) -> Option<&'static str> {
        let remedy =
            "take them back or make them a change of their own; `--accept-judge-change NAME` says who approved them, and judges by them";
        self.is_judge_changed().then_some(remedy)
    }

    /// Heading, changes and remedy as lines of text; empty if the judge is as it was.
    #[must_use]
    pub fn judge_block(&self) -> String {
        let Some(heading) = self.judge_heading() else { return String::new() };
        let sign = if self.is_judge_changed() { '✗' } else { '·' };
        let changes: String = self.judge_changes.iter().map(|change| format!("{sign} {}\n", change.what)).collect();
        let remedy = self.judge_remedy().map_or_else(String::new, |remedy| format!("  {remedy}\n"));
        format!("{heading}:\n{changes}{remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JudgeSettings, Verdict, judge};
    use super::*;
    use crate::sample;

    fn judged(approval: Option<&str>) -> Judgement {
        let changes =
            vec![JudgeChange::new(JudgePart::Seed, "the seed was 1, and is 7"), JudgeChange::new(JudgePart::Pairs, "pairs: 9 were 20")];
        let settings =
            JudgeSettings { tail: None, judge_changes: changes, approval: approval.map(str::to_owned), ..JudgeSettings::default() };
        judge(&sample::cases()[..1], None, &[], &settings)
    }

    #[test]
    fn a_changed_judge_breaks_a_verdict_that_would_hold_and_says_so_first() {
        let found = judged(None);
        assert_eq!(found.verdict, Verdict::Broken);
        assert_eq!(found.reason(), "the change edits its own judge: the seed was 1, and is 7; and 1 more thing");
        let block = found.judge_block();
        assert!(block.starts_with("2 changes of what judges this candidate, which nobody has approved:\n✗ the seed was 1"), "{block}");
        assert!(block.contains("--accept-judge-change NAME"), "{block}");
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.starts_with("{\"schema\":\"firedrill.judgement/1\",\"judge_changes\":[{\"part\":\"seed\""), "{}", &json[..90]);
    }

    #[test]
    fn an_approval_is_named_and_lets_the_runs_decide() {
        let found = judged(Some("alice, change 7"));
        assert_ne!(found.verdict, Verdict::Broken);
        assert!(found.judge_block().starts_with("2 changes of what judges this candidate, approved by alice, change 7:\n· the seed"));
        assert_eq!(found.judge_remedy(), None);
    }
}
