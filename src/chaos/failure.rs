//! What was found to go wrong: made as small as can be, told in a sentence, and written down as a scenario file.

use std::path::{Component, Path, PathBuf};

use firedrill_core::time::Span;
use firedrill_reports::outcome::Outcome;
use firedrill_reports::words::counted;
use firedrill_scenarios::variants::{Entry, Plan, smaller};
use serde_json::{Value, json};

use crate::chaos::demands::Breach;
use crate::chaos::trial::{Trial, Tried};
use crate::load::real;

/// Runs that making one failure smaller may take.
pub const MOST_SHRINKING: u32 = 60;
/// How the files begin that are written here.
pub const HEAD: &str = "# A variant of the scenario ";
/// Actions that a sentence names.
const ACTIONS_TOLD: usize = 4;

/// A variant in which something does not hold.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which of the scenarios it is a variant of.
    pub scenario: usize,
    /// What happens in it.
    pub plan: Plan,
    /// What does not hold.
    pub breach: Breach,
}

/// The smallest variant that was found in which the same does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The variant.
    pub found: Found,
    /// What the run came to.
    pub outcome: Outcome,
    /// Runs that it took to make it smaller.
    pub trials: u32,
    /// The seed of its run.
    pub seed: u64,
}

/// Makes a failure smaller as long as the same measure is broken by the same policy, within [`MOST_SHRINKING`] runs.
#[must_use]
pub fn shrink(trial: &Trial<'_>, tried: &Tried, found: &Found) -> Failure {
    let mut trials = 0;
    let same = |breach: &Breach| breach.measure == found.breach.measure && breach.policy == found.breach.policy;
    let mut fails = |plan: &Plan| {
        if trials == MOST_SHRINKING {
            return false;
        }
        let Some(scenario) = tried.read(plan) else { return false };
        trials += 1;
        trial.play(tried, scenario).breaches.iter().any(same)
    };
    let plan = smaller::shrink(&tried.origin, &found.plan, &mut fails);
    let scenario = tried.read(&plan).expect("what fails was read");
    let shown = trial.play(tried, scenario);
    let breach = shown.breaches.into_iter().find(same).expect("what is left fails as the whole did");
    let found = Found { scenario: found.scenario, plan, breach };
    Failure { found, outcome: shown.outcome, trials, seed: trial.seed }
}

impl Failure {
    /// How many faults and changes it needs.
    #[must_use]
    pub fn size(&self) -> usize {
        self.found.plan.entries.len()
    }

    /// What its scenario and its file are called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.found.plan.name
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.yaml", self.name())
    }

    /// What goes wrong, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Breach { measure, threshold, policy, guard, .. } = &self.found.breach;
        let told: Vec<String> = self.found.plan.entries.iter().map(Entry::words).collect();
        let with = if told.is_empty() { "with nothing wrong".to_owned() } else { format!("with {}", told.join(" and ")) };
        let who = policy.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let guard = match guard {
            Some(guard) => format!("guard {guard} refused it something"),
            None => "no guard refused it anything".to_owned(),
        };
        let limit = threshold.strip_prefix(measure.word()).unwrap_or(threshold).trim();
        format!("{with}, {measure} is {} where {limit} must hold: {who} did {}; {guard}", self.found.breach.shown(), self.actions())
    }

    /// The first actions, with their times.
    fn actions(&self) -> String {
        let deeds = &self.outcome.deeds;
        if deeds.is_empty() {
            return "nothing".to_owned();
        }
        let at = |seconds: f64| Span::from_seconds(seconds as u64);
        let told = deeds.iter().take(ACTIONS_TOLD).map(|deed| format!("{} on {} at {}", deed.what, deed.target, at(deed.started_seconds)));
        let told = told.collect::<Vec<_>>().join(", ");
        match deeds.len().saturating_sub(ACTIONS_TOLD) {
            0 => told,
            more => format!("{told} and {} more", counted(more as u64, "action")),
        }
    }

    /// The scenario file, with what it is and the command that runs it at its head, for a folder.
    #[must_use]
    pub fn text(&self, tried: &Tried, folder: &Path, command: &str) -> String {
        let origin = tried.origin.moved(&|path| path_from(folder, Path::new(&tried.origin.path), path));
        let entries: String = self.found.plan.entries.iter().map(|entry| format!("#   {}\n", entry.words())).collect();
        format!(
            "{HEAD}{}, seed {}, made as small as can be. What happens in it:\n{entries}# What goes wrong: {}.\n# Run it with: {command}\n{}",
            tried.origin.name,
            self.seed,
            self.sentence(),
            origin.text(&self.found.plan)
        )
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, tried: &Tried, folder: &Path, command: &str) -> Value {
        let Breach { measure, threshold, limit, figure, policy, guard } = &self.found.breach;
        json!({
            "scenario": tried.origin.name,
            "variant": self.name(),
            "measure": measure,
            "threshold": threshold,
            "limit": limit,
            "figure": figure,
            "policy": policy,
            "guard": guard,
            "entries": self.found.plan.entries.iter().map(Entry::words).collect::<Vec<_>>(),
            "sentence": self.sentence(),
            "seed": self.seed,
            "shrinking_runs": self.trials,
            "command": command,
            "text": self.text(tried, folder, command),
        })
    }
}

/// The path that leads from a folder to what a scenario file names beside itself; `None` if nothing is there, so that it is a name.
fn path_from(folder: &Path, file: &Path, named: &str) -> Option<String> {
    let beside = file.parent().unwrap_or(Path::new("")).join(named);
    beside.exists().then(|| relative(&real(&absolute(folder)), &real(&beside)).display().to_string())
}

/// A path from the root on, whether something is there or not.
fn absolute(path: &Path) -> PathBuf {
    let parent = path.ancestors().find(|above| above.as_os_str().is_empty() || above.exists()).unwrap_or(Path::new(""));
    let base = if parent.as_os_str().is_empty() { real(Path::new(".")) } else { real(parent) };
    base.join(path.strip_prefix(parent).unwrap_or(path))
}

/// The way from one folder to a path.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_up_and_down_again() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(way("/a/b/out", "/a/b/rules.yaml"), "../rules.yaml");
        assert_eq!(way("/a/out/deep", "/a/b/rules.yaml"), "../../b/rules.yaml");
        assert_eq!(way("/a", "/a/b.yaml"), "b.yaml");
    }
}
