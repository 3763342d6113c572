//! `firedrill calibrate`: what policies claim to be sure of against what was right, and what share of their actions is right at least.

use std::path::Path;
use std::sync::Arc;

use firedrill_policies::guard::confidence::Confidence;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_reports::calibration::{calibration, told};
use serde_json::json;

use super::setting::{self, Named, Setting};
use crate::calibration::file;
use crate::campaign::Campaign;
use crate::cli::{CalibrateArgs, Format};
use crate::drill::{Answer, ENGINE};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{Output, write_files};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.calibrate/1";

/// Plays every policy by itself, and judges what it did.
pub fn execute(arguments: &CalibrateArgs, output: Output) -> Result<Exit, Failure> {
    let home = Home::here()?;
    let named = Named { scenarios: &arguments.scenarios, rules: &arguments.rules, alertmanager: None };
    let setting = Setting::of(&home, named)?;
    let all = if arguments.policies.is_empty() { home.policies()? } else { home.answer(&arguments.policies)? };
    if all.policies.is_empty() {
        return Err(Failure::argument("there is no policy to calibrate", "name one, or some in `policies:` of firedrill.yaml"));
    }
    setting.admit(&all)?;
    let seeds = setting::seeds(arguments.seed, arguments.pairs)?;
    setting.warn(output);
    let answers = all.policies.iter().map(|policy| alone(&all, policy)).collect();
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds, stage: Stage::Full, with_human: false };
    let cases = super::progress::run(&campaign, output);
    let found = calibration(cases.iter().flatten().flat_map(|case| &case.outcome.judged));
    if let Some(path) = &arguments.write {
        let path = Path::new(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::argument(format!("{} is no file", path.display()), "name a file to write"))?;
        write_files(folder, &[(name, file(&all.policies, &found.shares))])?;
        output.talk(&format!("wrote {}; name it in firedrill.yaml: `confidence: {}`", path.display(), path.display()));
    }
    match output.format {
        Format::Json => {
            let document = json!({ "schema": SCHEMA, "engine": ENGINE, "calibration": found });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => output.data(&told(&found))?,
    }
    Ok(Exit::Held)
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
    Arc::new(Answer { policies: vec![Arc::new(lifted)], label: policy.name.to_string(), sources, hash: all.hash.clone() })
}
