//! What a part of a policy or one of its actions was worth: a run, and the same run without it, the arm `P−i` of docs/MEASURES.md.

use firedrill_core::action::{ActionId, Target};
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use serde::{Deserialize, Serialize};

use crate::outcome::{DeedOutcome, Elapsed, Outcome};
use crate::verdict::Unit;
use crate::words::counted;

/// Differences of user-minutes below this are none to people.
pub const LEAST_TOLD: f64 = 0.05;

/// Differences of a time to recover below this are none to people, seconds.
const LEAST_LATER: f64 = 1.0;

/// A guard that refused, or a step that was begun, and what the same runs came to without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartWorth {
    /// Whose part.
    pub policy: Name,
    /// Which: a guard or a step.
    pub part: Part,
    /// What it is, in words: `guard caps`, `step 2, scale by 2`.
    pub words: String,
    /// In how many runs a guard refused, or a step was begun.
    pub met: u64,
    /// Those of them that were played without it, too.
    pub runs: Vec<RunWorth>,
}

/// A run with a part, and without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunWorth {
    /// The scenario.
    pub scenario: Name,
    /// The seed.
    pub seed: u64,
    /// What the part changed.
    pub worth: Worth,
}

/// An action of a run, and what the run came to without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeedWorth {
    /// The scenario.
    pub scenario: Name,
    /// The seed.
    pub seed: u64,
    /// Which action of the run.
    pub action: ActionId,
    /// What was done, for people.
    pub what: String,
    /// To what.
    pub target: Target,
    /// When it was decided, seconds since the start.
    pub started_seconds: f64,
    /// What it changed.
    pub worth: Worth,
}

/// What a run came to with something and without it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// With it.
    pub with: Figures,
    /// Without it.
    pub without: Figures,
}

/// What a run came to, as far as a part of a policy may change it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// User-minutes lost.
    pub user_minutes_lost: f64,
    /// Records lost.
    #[serde(default)]
    pub data_lost: u64,
    /// Of the first incident; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_recover: Option<Elapsed>,
    /// Actions started.
    pub actions: u64,
    /// Of these, those that no open incident concerned.
    pub false_positives: u64,
    /// Calls to people.
    pub pages: u64,
}

impl Figures {
    /// Those of a run.
    #[must_use]
    pub const fn of(outcome: &Outcome) -> Self {
        let Outcome { user_minutes_lost, data_lost, actions, false_positives, pages, .. } = outcome;
        Self {
            user_minutes_lost: *user_minutes_lost,
            data_lost: *data_lost,
            time_to_recover: outcome.policy.time_to_recover,
            actions: *actions,
            false_positives: *false_positives,
            pages: *pages,
        }
    }
}

impl DeedWorth {
    /// Of an action of a run, which came to something else without it.
    #[must_use]
    pub fn of(deed: &DeedOutcome, with: &Outcome, without: &Outcome) -> Self {
        Self {
            scenario: with.scenario.clone(),
            seed: with.seed,
            action: deed.action.clone(),
            what: deed.what.clone(),
            target: deed.target.clone(),
            started_seconds: deed.started_seconds,
            worth: Worth::of(with, without),
        }
    }
}

impl PartWorth {
    /// Whether every run that was played without it went as with it, as far as users and people can tell.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.worth.is_nothing())
    }
}

impl Worth {
    /// Of what two runs came to.
    #[must_use]
    pub const fn of(with: &Outcome, without: &Outcome) -> Self {
        Self { with: Figures::of(with), without: Figures::of(without) }
    }

    /// User-minutes that are lost without it beyond those that are lost with it; below 0 if it cost users something.
    #[must_use]
    pub fn saved(&self) -> f64 {
        self.without.user_minutes_lost - self.with.user_minutes_lost
    }

    /// Records that it destroyed; 0 if as many or more are lost without it.
    const fn destroyed(&self) -> u64 {
        self.with.data_lost.saturating_sub(self.without.data_lost)
    }

    /// Whether it destroyed data, or cost users what people notice.
    #[must_use]
    pub fn did_damage(&self) -> bool {
        self.destroyed() > 0 || self.saved() <= -LEAST_TOLD
    }

    /// Which of two did more damage, for an order from the least: data that is gone before users' minutes.
    #[must_use]
    pub fn damage(&self, other: &Self) -> std::cmp::Ordering {
        self.destroyed().cmp(&other.destroyed()).then(other.saved().total_cmp(&self.saved()))
    }

    /// Whether without it users lose as much, no less data, and are well as soon, and people are called as often: it was redundant.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let is_as_safe = self.with.data_lost == self.without.data_lost && self.with.pages == self.without.pages;
        self.saved().abs() < LEAST_TOLD && self.recovery().is_none() && is_as_safe
    }

    /// What would have happened without it, in words: `12 user-min more lost, recovery 3m later, 2 more actions, 1 of them false`.
    #[must_use]
    pub fn words(&self) -> String {
        let lost = Unit::UserMinutes.show(self.saved().abs());
        let mut told = match self.saved() {
            saved if saved >= LEAST_TOLD => vec![format!("{lost} more lost")],
            saved if saved <= -LEAST_TOLD => vec![format!("{lost} less lost")],
            _ => vec!["users lose as much".to_owned()],
        };
        if self.with.data_lost != self.without.data_lost {
            let sign = if self.without.data_lost > self.with.data_lost { "more" } else { "fewer" };
            told.push(counted(self.with.data_lost.abs_diff(self.without.data_lost), &format!("{sign} record")) + " lost");
        }
        told.extend(self.recovery());
        let mut differs = |with: u64, without: u64, noun: &str| {
            if with != without {
                let sign = if without > with { "more" } else { "fewer" };
                told.push(counted(with.abs_diff(without), &format!("{sign} {noun}")));
            }
        };
        differs(self.with.actions, self.without.actions, "action");
        differs(self.with.false_positives, self.without.false_positives, "false positive");
        differs(self.with.pages, self.without.pages, "page");
        told.join(", ")
    }

    /// How much later or sooner users are well without it; `None`: as soon.
    fn recovery(&self) -> Option<String> {
        let (with, without) = (self.with.time_to_recover?, self.without.time_to_recover?);
        match (with.censored, without.censored) {
            (true, true) => None,
            (false, true) => Some("no recovery".to_owned()),
            (true, false) => Some(format!("recovery after {}", Unit::Seconds.show(without.seconds))),
            (false, false) => {
                let later = without.seconds - with.seconds;
                let word = if later > 0.0 { "later" } else { "sooner" };
                (later.abs() >= LEAST_LATER).then(|| format!("recovery {} {word}", Unit::Seconds.show(libm::round(later.abs()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(lost: f64, recovered: Option<(f64, bool)>, actions: u64) -> Figures {
        let time_to_recover = recovered.map(|(seconds, censored)| Elapsed { seconds, censored });
        Figures { user_minutes_lost: lost, data_lost: 0, time_to_recover, actions, false_positives: 0, pages: 0 }
    }

    #[track_caller]
    fn check(with: Figures, without: Figures, words: &str, is_nothing: bool) {
        let worth = Worth { with, without };
        assert_eq!((worth.words().as_str(), worth.is_nothing()), (words, is_nothing));
    }

    #[test]
    fn what_is_missing_without_something_is_told_as_people_feel_it() {
        let with = figures(3.5, Some((90.0, false)), 2);
        check(with, figures(15.5, Some((150.4, false)), 1), "12 user-min more lost, recovery 1m later, 1 fewer action", false);
        check(with, figures(15.5, Some((900.0, true)), 1), "12 user-min more lost, no recovery, 1 fewer action", false);
        check(with, figures(1.5, Some((60.0, false)), 2), "2 user-min less lost, recovery 30s sooner", false);
        check(figures(9.0, Some((900.0, true)), 1), figures(9.0, Some((30.0, false)), 1), "users lose as much, recovery after 30s", false);
        let purged = Figures { data_lost: 2_079, ..with };
        check(purged, figures(3.5, Some((90.0, false)), 1), "users lose as much, 2,079 fewer records lost, 1 fewer action", false);
        let [purged, harmful] = [purged, with].map(|with| Worth { with, without: figures(3.49, None, 1) });
        assert!(purged.did_damage() && !harmful.did_damage() && purged.damage(&harmful).is_gt());
        // One action less is no difference to users: it was redundant.
        check(with, figures(3.52, Some((90.5, false)), 1), "users lose as much, 1 fewer action", true);
        check(figures(0.0, None, 1), figures(0.0, None, 0), "users lose as much, 1 fewer action", true);
    }

    #[test]
    fn a_part_changes_nothing_only_if_it_was_left_out_somewhere_and_nowhere_mattered() {
        let run = |without: Figures| RunWorth { scenario: Name::new("s"), seed: 1, worth: Worth { with: figures(1.0, None, 1), without } };
        let part = |runs| PartWorth { policy: Name::new("p"), part: Part::Step(0), words: "step 1".to_owned(), met: 2, runs };
        assert!(!part(Vec::new()).changes_nothing());
        assert!(part(vec![run(figures(1.0, None, 0))]).changes_nothing());
        assert!(!part(vec![run(figures(1.0, None, 0)), run(figures(8.0, None, 0))]).changes_nothing());
    }
}
