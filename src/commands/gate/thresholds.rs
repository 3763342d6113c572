//! What must hold.

use firedrill_core::problem::Problem;
use firedrill_reports::verdict::Threshold;

use crate::failure::Failure;
use crate::project::Project;

/// What must hold.
pub(super) struct Thresholds {
    pub all: Vec<Threshold>,
    /// The project has none, so these are ours, as it would write them.
    pub ours: Vec<String>,
}

/// Held of a project that names no threshold: users lose nothing by the policy that they would not have lost without it, and where it acts,
/// users are helped or people are called.
const DEFAULTS: [(&str, &str); 2] = [("harm", "max < 1 user-minutes"), ("missed", "max == 0")];
/// The same where something is rehearsed in which there is nothing to do.
const DEFAULT_WHEN_CALM: (&str, &str) = ("noop_false_positives", "max == 0");
impl Thresholds {
    pub(super) fn of(project: &Project, calm: bool) -> Result<Self, Failure> {
        if project.thresholds.is_empty() {
            let ours = DEFAULTS.into_iter().chain(calm.then_some(DEFAULT_WHEN_CALM));
            let parse = |(measure, bound)| Threshold::parse(measure, bound).expect("a threshold of ours is well formed");
            let written = ours.clone().map(|(measure, bound)| format!("{measure}: {bound}")).collect();
            return Ok(Self { all: ours.map(parse).collect(), ours: written });
        }
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for line in &project.thresholds {
            match Threshold::parse(&line.measure, &line.bound) {
                Ok(threshold) => all.push(threshold),
                Err(error) => problems.push(Problem::at("FD0603", &line.place, error.to_string())),
            }
        }
        if problems.is_empty() { Ok(Self { all, ours: Vec::new() }) } else { Err(Failure::Input(problems)) }
    }

    /// Gives up those on what policies leave undone, and says which.
    pub(super) fn keep_those_on_deeds(&mut self) -> Vec<String> {
        let left_out = self.all.iter().filter(|own| !own.measure.is_of_deeds()).map(ToString::to_string).collect();
        self.all.retain(|own| own.measure.is_of_deeds());
        left_out
    }

    /// These with what others ask for beyond them. What asks for less than another does is left out.
    pub(super) fn with(&self, others: &Self) -> Self {
        let added = others.all.iter().filter(|other| !self.all.iter().any(|own| own == *other || own.implies(other)));
        // Of two that ask for the same in other words, the judge's stays.
        let is_stricter = |other: &Threshold, own: &Threshold| other != own && other.implies(own) && !own.implies(other);
        let kept = self.all.iter().filter(|own| !others.all.iter().any(|other| is_stricter(other, own)));
        let ours = if others.ours.is_empty() { Vec::new() } else { self.ours.clone() };
        Self { all: kept.chain(added).copied().collect(), ours }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds(written: &[(&str, &str)]) -> Thresholds {
        let all = written.iter().map(|(measure, bound)| Threshold::parse(measure, bound).unwrap()).collect();
        Thresholds { all, ours: Vec::new() }
    }

    #[test]
    fn where_policies_may_not_do_much_only_what_they_do_is_judged() {
        let mut own =
            thresholds(&[("harm", "max < 1 user-minute"), ("pages", "max == 0"), ("time_to_recover", "p90 < 15m"), ("actions", "max < 3")]);
        assert_eq!(own.keep_those_on_deeds(), ["pages max == 0", "time_to_recover p90 < 15m"]);
        assert_eq!(own.all.len(), 2);
    }

    #[test]
    fn of_two_judges_the_stricter_one_prevails_and_nothing_is_lost() {
        let judge = thresholds(&[("harm", "max < 1 user-minute"), ("pages", "max == 0"), ("actions", "max < 9")]);
        let change = thresholds(&[("harm", "max < 5 user-minutes"), ("actions", "max < 3"), ("missed", "max == 0")]);
        let all: Vec<String> = judge.with(&change).all.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["harm max < 1 user-min", "pages max == 0", "actions max < 3", "missed max == 0"]);
        let judge = thresholds(&[("actions", "max == 0")]);
        for same in ["max < 1", "max <= 0"] {
            let all: Vec<String> = judge.with(&thresholds(&[("actions", same)])).all.iter().map(ToString::to_string).collect();
            assert_eq!(all, ["actions max == 0"], "{same}");
        }
    }
}
