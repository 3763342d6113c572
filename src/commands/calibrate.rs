//! `firedrill calibrate`: what policies claim to be sure of against what was right, and what share of their actions is right at least.

use std::path::Path;
use std::sync::Arc;

use firedrill_policies::guard::confidence::Confidence;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_reports::calibration::{calibration, told};
use firedrill_reports::outcome::Judged;
use firedrill_reports::words::counted;
use firedrill_scenarios::Scenario;
use serde_json::json;

use super::setting::{self, Named, RuleNames, Setting};
use crate::calibration::{Played, file};
use crate::campaign::Campaign;
use crate::cli::{CalibrateArgs, Format};
use crate::drill::{Answer, ENGINE, Rules};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::{Home, Routings};
use crate::judged::{self, Replayed};
use crate::load;
use crate::output::{Output, replace_files, write_files};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.calibrate/1";

/// Whether a path is that of the file which the project names for what was measured, be it there or not.
fn is_measured(home: &Home, path: &Path) -> bool {
    let Some(own) = home.project.as_ref().and_then(|project| project.confidence.as_ref()) else { return false };
    let own = home.base.join(&*own.value);
    let folder = |path: &Path| load::real(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    load::real(&own) == load::real(path) || own.file_name() == path.file_name() && folder(&own) == folder(path)
}

/// Plays every policy by itself, and judges what it did.
pub fn execute(arguments: &CalibrateArgs, output: Output) -> Result<Exit, Failure> {
    let mut home = Home::here()?;
    // What was measured before is replaced by what is measured now, so it need not be there, nor be sound.
    let is_renewed = arguments.write.as_ref().is_some_and(|path| is_measured(&home, Path::new(path)));
    if let Some(project) = home.project.as_mut().filter(|_| is_renewed) {
        project.confidence = None;
    }
    let named = Named { scenarios: &arguments.scenarios, rules: &arguments.rules, alertmanager: None };
    let setting = Setting::of(&home, named)?;
    let all = if arguments.policies.is_empty() { home.policies()? } else { home.answer(&arguments.policies)? };
    if all.policies.is_empty() {
        return Err(Failure::argument("there is no policy to calibrate", "name one, or some in `policies:` of firedrill.yaml"));
    }
    setting.admit(&all)?;
    let seeds = setting::seeds(arguments.seed, arguments.pairs)?;
    setting.warn(output);
    let answers: Vec<Arc<Answer>> = all.policies.iter().map(|policy| alone(&all, policy)).collect();
    // Everything that can be wrong with an incident is found before the runs begin.
    let replays = replays(&home, &arguments.rules, &all, &Routings::chosen(&home, None)?)?;
    let judged = |(_, replay): &(Played, Replayed)| answers.iter().flat_map(|answer| replay.judged(answer)).collect::<Vec<_>>();
    let replayed: Vec<Judged> = replays.iter().flat_map(judged).collect();
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds, stage: Stage::Full, with_human: false };
    let cases = super::progress::run(&campaign, output);
    let found = calibration(cases.iter().flatten().flat_map(|case| &case.outcome.judged).chain(&replayed), &bounds(&all));
    if let Some(path) = &arguments.write {
        let path = Path::new(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::argument(format!("{} is no file", path.display()), "name a file to write"))?;
        let text = file(&all.policies, &found.shares, (&scenarios_of(&campaign.scenarios), &incidents_of(&replays)));
        // Nothing else that was read is replaced.
        if is_renewed {
            replace_files(folder, &[(name, text)])?
        } else {
            write_files(folder, &[(name, text)])?
        };
        output.talk(&format!("wrote {}; name it in firedrill.yaml: `confidence: {}`", path.display(), path.display()));
    }
    match output.format {
        Format::Json => {
            let document =
                json!({ "schema": SCHEMA, "engine": ENGINE, "calibration": found, "replays": replays_told(&replays, &replayed) });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let of_replays = replays_told(&replays, &replayed).map_or_else(String::new, |(incidents, actions)| {
                format!("{} of {} among them\n", counted(actions, "action"), counted(incidents, "replay"))
            });
            output.data(&format!("{}{of_replays}", told(&found)))?;
        }
    }
    Ok(Exit::Held)
}

/// Where policies that claim to be sure ask and act from.
fn bounds(all: &Answer) -> Vec<f64> {
    let claims = all.policies.iter().filter_map(|policy| policy.guards.confidence.as_ref()).filter(|own| own.formula().is_some());
    claims.flat_map(|own| [own.ask_at, own.act_at]).collect()
}

/// Each incident of the project, ready to be replayed.
type Replays = Vec<(Played, Replayed)>;

/// The incidents that the project names, watched by its rules or by these.
fn replays(home: &Home, rules: &[String], all: &Arc<Answer>, routings: &Routings) -> Result<Replays, Failure> {
    let incidents: Vec<_> = home.incident_folders()?.iter().map(|folder| judged::Named::here(folder)).collect();
    if incidents.is_empty() {
        return Ok(Vec::new());
    }
    let rules = RuleNames::chosen(home, rules)?.load(&[])?;
    let played = |replay: Replayed| {
        let (name, hash) = replay.identity();
        (Played { name, hash, rules: replay.watched().1.hash.clone() }, replay)
    };
    Ok(judged::prepare_all(&incidents, &rules, all, None, routings)?.into_iter().map(played).collect())
}

/// How many incidents were replayed, and of how many actions in them people have said whether they were right; `None` without incidents.
fn replays_told(replays: &Replays, judged: &[Judged]) -> Option<(u64, u64)> {
    (!replays.is_empty()).then_some((replays.len() as u64, judged.len() as u64))
}

/// What the incidents of a project are, for whoever wants to know whether they still are that.
pub(super) fn incidents_now(home: &Home, routings: &Routings) -> Result<Vec<Played>, Failure> {
    Ok(incidents_of(&replays(home, &[], &home.policies()?, routings)?))
}

fn incidents_of(replays: &Replays) -> Vec<Played> {
    replays.iter().map(|(played, _)| played.clone()).collect()
}

/// What scenarios are, for whoever wants to know whether they still are that.
pub(super) fn scenarios_of(scenarios: &[(Arc<Scenario>, Arc<Rules>)]) -> Vec<Played> {
    let played = |(scenario, rules): &(Arc<Scenario>, Arc<Rules>)| Played {
        name: scenario.name.clone(),
        hash: scenario.hash.clone(),
        rules: rules.hash.clone(),
    };
    scenarios.iter().map(played).collect()
}

/// One policy by itself, as it acts when nothing asks whether it is sure and nobody whether it may: that is what is measured.
fn alone(all: &Answer, policy: &Arc<Policy>) -> Arc<Answer> {
    let mut lifted = Policy::clone(policy);
    lifted.guards.approval = None;
    // A claim is still asked for, so that it can be held against what was right.
    let claims = |confidence: &Confidence| confidence.formula().is_some();
    lifted.guards.confidence =
        lifted.guards.confidence.filter(claims).map(|own| Confidence { act_at: f64::NEG_INFINITY, ask_at: f64::NEG_INFINITY, ..own });
    let sources = all.sources.iter().filter(|(name, _)| *name == policy.name.as_str()).cloned().collect();
    Arc::new(Answer { policies: vec![Arc::new(lifted)], label: policy.name.to_string(), sources, hash: all.hash.clone(), left_out: None })
}
