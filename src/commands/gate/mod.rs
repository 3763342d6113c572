//! `firedrill gate`: the CI verdict.

mod contest;
mod thresholds;
mod chaos;
mod notes;
mod repeating;
mod report;

use std::sync::Arc;

use firedrill_policies::guard::stage::Stage;
use firedrill_policies::lints;
use firedrill_reports::statistics::TailGuard;
use firedrill_reports::verdict::{IncidentResult, JudgeSettings, Verdict, judge};

use self::contest::contest;
use self::repeating::repeat;
use self::report::Report;
use self::thresholds::Thresholds;
use super::setting::{Named, RuleNames, Setting, seeds, warn};
use crate::campaign::Campaign;
use crate::cli::GateArgs;
use crate::coverage;
use crate::drill::Rules;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::judged;
use crate::output::{Output, Room};

/// Pairs a class from which on the guard on catastrophes can hold (MEASURES: none seen of 299 leaves at most 1 %).
const TAIL_PAIRS: u64 = 299;

/// Judges a candidate.
pub fn execute(arguments: &GateArgs, output: Output) -> Result<Exit, Failure> {
    let _room = Room::make("--out", &arguments.out)?;
    let home = Home::at(&arguments.project)?;
    let project = home.project.as_ref().expect("a home at a project has it");
    let named = Named { scenarios: &arguments.scenarios, rules: &[], alertmanager: arguments.alertmanager.as_deref() };
    let setting = Setting::of(&home, named)?;
    let thresholds = Thresholds::of(project, setting.scenarios.iter().any(|(scenario, _)| scenario.calm))?;
    let contest = contest(arguments, &home)?;
    setting.admit(&contest.candidate)?;
    contest.baseline.iter().try_for_each(|baseline| setting.admit(baseline))?;
    let incidents = home.incident_folders()?;
    let first = arguments.seed.unwrap_or(project.seed);
    let pairs = arguments.pairs.unwrap_or(project.pairs);
    let answers = [Some(&contest.candidate), contest.baseline.as_ref()].into_iter().flatten().cloned().collect();
    let routings = setting.routings;
    let watched: Vec<Arc<Rules>> = setting.scenarios.iter().map(|(_, rules)| Arc::clone(rules)).collect();
    // Nobody is compared with a person unless a threshold speaks of one.
    let with_human = thresholds.all.iter().any(|threshold| threshold.measure.needs_human());
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds: seeds(first, pairs)?, stage: Stage::Full, with_human };
    // Everything that can be wrong with an incident is found before the runs begin.
    let rules = RuleNames::of(project, &home.base).load(&[])?;
    let replays = judged::prepare_all(&incidents, &rules, &contest.candidate, contest.baseline.as_ref(), &routings)?;
    let of_replays: Vec<Arc<Rules>> = replays.iter().map(|replay| replay.watched().1).collect();
    let watching = watched.iter().chain(&of_replays);
    warn(watching.clone(), output);
    output.problems(&lints::unheard(&contest.candidate.policies, watching.map(|rules| &*rules.set)));
    let mut cases = super::progress::run(&campaign, output);
    let replayed: Vec<IncidentResult> = replays.iter().map(judged::Replayed::judge).collect();
    let baseline = contest.baseline.is_some().then(|| cases.pop()).flatten();
    let candidate = cases.pop().unwrap_or_default();
    // Fewer pairs cannot exclude catastrophes, and a gate that always says so is of no use: it is said beside the verdict instead.
    let tail = (u64::from(pairs) >= TAIL_PAIRS).then(TailGuard::default);
    let settings = JudgeSettings {
        thresholds: thresholds.all.clone(),
        tail,
        exercise: contest.exercise,
        only_notify: contest.candidate.policies.iter().filter(|policy| policy.only_notifies()).map(|policy| policy.name.clone()).collect(),
        narrowed: !arguments.scenarios.is_empty(),
        seed: first,
        command: repeat(arguments, &contest),
        ..JudgeSettings::default()
    };
    let judgement = judge(&candidate, baseline.as_deref(), &replayed, &settings);
    let judgement = chaos::with_variants(judgement, (arguments, output), project, (&contest, &campaign), &thresholds)?;
    let watched: Vec<_> = replays.iter().map(judged::Replayed::watched).collect();
    let (unable, rules) = coverage::unable(&campaign.scenarios, &watched);
    let mut notes = notes::notes(arguments, &judgement, &thresholds);
    notes.extend(notes::untested(&unable, rules));
    notes.extend(notes::failed(&candidate));
    notes.extend(notes::quiet(&campaign, &candidate, &unable));
    let report = Report {
        unable: &unable,
        arguments,
        campaign: &campaign,
        contest: &contest,
        candidate: &candidate,
        judgement: &judgement,
        notes: &notes,
    };
    report.write()?;
    report.tell(output)?;
    Ok(match judgement.verdict {
        Verdict::Held => Exit::Held,
        Verdict::Broken => Exit::Broken,
        Verdict::Inconclusive | Verdict::NotExercised => Exit::Inconclusive,
    })
}
