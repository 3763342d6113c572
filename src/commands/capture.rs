//! `firedrill capture`: what a watcher saw and decided of one incident, as an incident folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::words::counted;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::RuleSet;
use firedrill_scenarios::incident::{read_alerts, read_recording, read_watched};
use serde_json::json;

use super::setting::RuleNames;
use crate::capturing::{Beside, Capture, Captured, Watched, capture};
use crate::cli::{CaptureArgs, Format};
use crate::command_line::CommandLine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::importing::{changes, copies, is_free, origin, usual_changes};
use crate::ledger::{Chain, FOLDER, Hashes, Ledger, WATCH};
use crate::load::{self, Source};
use crate::output::{Output, Room, write_files};
use crate::prometheus::{Access, Prometheus};
use crate::pulling::{Limits, Wanted, pull};
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.capture/1";

/// Writes the folder.
pub fn execute(arguments: &CaptureArgs, output: Output) -> Result<Exit, Failure> {
    let home = Home::here()?;
    let ledger = arguments.ledger.clone().unwrap_or_else(|| home.base.join(FOLDER));
    if !ledger.is_dir() {
        let remedy = "`firedrill watch` makes one; name its folder with `--ledger`";
        return Err(Failure::argument(format!("there is no ledger in {}", ledger.display()), remedy));
    }
    let watch = Ledger::read(&ledger, &Name::new(WATCH))?.sound()?;
    let mut chains: BTreeMap<Name, Chain> = BTreeMap::new();
    for name in Ledger::chains(&ledger)?.into_iter().filter(|name| **name != *WATCH) {
        let chain = home.believed(&ledger, Ledger::read(&ledger, &name)?.sound()?);
        chains.insert(name, chain);
    }
    let policies = policies(&home)?;
    let rules = RuleNames::chosen(&home, &arguments.rules)?.texts(&[])?;
    let prometheus = arguments.prometheus.as_ref().map(|url| {
        let access = Access { token_file: arguments.token_file.clone(), ..Access::to(url) };
        Prometheus::at(&access)
    });
    let prometheus = prometheus.transpose()?;
    let mut notes = Vec::new();
    let copies = copies(&rules, prometheus.as_ref(), &mut notes)?;
    let command = CommandLine::new("capture").word(&arguments.incident).options("--rules", &arguments.rules);
    let command = command.options("--prometheus", arguments.prometheus.as_slice()).options("--changes", &arguments.changes).to_string();
    let asked =
        Capture { incident: &arguments.incident, watch: &watch, chains: &chains, policies: &policies, rules: &copies, command: &command };
    let captured = capture(&asked)?;
    notes.extend(changed_rules(&captured, (&arguments.incident, &chains), &policies, &rules)?);
    let beside = prometheus.map(|prometheus| beside((arguments, &prometheus), (&captured, &policies), &rules, &mut notes)).transpose()?;
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from("incidents").join(&captured.name));
    is_free(&folder, false)?;
    let _room = Room::make("--out", &folder)?;
    let files = captured.files(&asked, beside.as_ref());
    write_files(&folder, &files)?;
    read_back(&folder)?;
    match output.format {
        Format::Text => {
            let counted = if is_counted(&home, &folder) { String::new() } else { how_to_count(&home, &folder) };
            output.data(&(told(&captured, beside.as_ref(), (&folder, &notes)) + &counted))?;
        }
        Format::Json => {
            let (found, total) = captured.reproduced;
            let document = json!({
                "schema": SCHEMA, "incident": captured.name, "folder": folder, "from": captured.from.to_string(),
                "to": captured.to.to_string(), "observations": captured.watched.observed.len(), "decisions": total, "reproduced": found,
                "samples": beside.as_ref().map(|beside| beside.pulled.samples), "notes": notes, "command": command,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
    }
    let (found, total) = captured.reproduced;
    Ok(if found == total { Exit::Held } else { Exit::Broken })
}

/// That what was written can be read: alerts bring labels with whatever is in them.
fn read_back(folder: &Path) -> Result<(), Failure> {
    let (incident, files) = sources::incident(&folder.display().to_string(), Path::new("."))?;
    read_recording(&incident, &files)?;
    read_alerts(&incident, &files)?;
    read_watched(&incident, &files)?.map(|(path, text)| Watched::read(&path, &text)).transpose()?;
    Ok(())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether the project's `incidents:` hold a folder.
fn is_counted(home: &Home, folder: &Path) -> bool {
    let folder = absolute(folder);
    let named = home.project.iter().flat_map(|project| &project.incidents);
    named.into_iter().any(|named| folder.starts_with(absolute(&home.base.join(named.value.as_str()))))
}

/// How a folder comes to be a test of the project.
fn how_to_count(home: &Home, folder: &Path) -> String {
    let (base, whole) = (absolute(&home.base.join(".")), absolute(folder));
    // The folder above holds incidents if it is one of the project's; any other may hold whatever else.
    let above = whole.parent().and_then(|above| above.strip_prefix(&base).ok()).filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or_else(|| whole.strip_prefix(&base).unwrap_or(&whole)).display();
    match &home.project {
        None => String::new(),
        Some(project) if project.incidents.is_empty() => {
            format!("\nto make it a test of every gate, add to firedrill.yaml: `incidents: [{above}]`")
        }
        Some(_) => format!("\nto make it a test of every gate, add `{above}` to `incidents:` of firedrill.yaml"),
    }
}

/// The project's policies, each with its file.
fn policies(home: &Home) -> Result<Vec<(Arc<Policy>, Source)>, Failure> {
    let answer = home.policies()?;
    let mut found = Vec::new();
    for policy in &answer.policies {
        let path = policy.places.name.file().path.clone();
        let source = if Path::new(&path).is_file() {
            load::read_file(Path::new(&path))?
        } else {
            Source { path, text: policy.places.name.file().text.clone() }
        };
        found.push((Arc::clone(policy), source));
    }
    Ok(found)
}

/// That the rules are not those by which it was decided. The alerts of that time are what they were; what is copied would make others of the samples.
fn changed_rules(
    captured: &Captured,
    (incident, chains): (&str, &BTreeMap<Name, Chain>),
    policies: &[(Arc<Policy>, Source)],
    rules: &[Source],
) -> Result<Option<String>, Failure> {
    let named = incident.rsplit_once('#').map(|(policy, _)| Name::new(policy));
    let by_hash = || chains.values().find(|chain| chain.by_hash(incident).is_some()).map(|chain| chain.name.clone());
    let Some(name) = named.or_else(by_hash) else { return Ok(None) };
    let Some((policy, _)) = policies.iter().find(|(policy, _)| policy.name == name) else { return Ok(None) };
    let set = RuleSet::read(rules.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    let is_same = captured.rules.as_ref().is_none_or(|then| *then == Hashes::of(policy, &set).rules);
    Ok((!is_same).then(|| {
        format!("the rules that {name} rests on are not what they were when it watched; the copies are of today's. hint: check out the revision at which it watched, and capture there")
    }))
}

/// The samples of that time, and what changed in it.
fn beside(
    (arguments, prometheus): (&CaptureArgs, &Prometheus),
    (captured, policies): (&Captured, &[(Arc<Policy>, Source)]),
    rules: &[Source],
    notes: &mut Vec<String>,
) -> Result<Beside, Failure> {
    let set = RuleSet::read(rules.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    let conditions: Vec<_> = policies.iter().flat_map(|(policy, _)| policy.plans()).collect();
    let wanted = Wanted::by(&set, conditions);
    let (from, to) = (captured.from, captured.to);
    let pulled = pull(prometheus, &wanted, (from.unix_millis(), to.unix_millis()), Limits::default(), &mut |selector| {
        tracing::info!(selector, "pulled");
    })?;
    notes.extend(pulled.notes.iter().cloned());
    let selectors = if arguments.changes.is_empty() { usual_changes(prometheus, (from, to)) } else { arguments.changes.clone() };
    let changes = changes(prometheus, &selectors, (from, to), notes)?;
    Ok(Beside { origin: origin(prometheus).told, pulled, changes })
}

fn told(captured: &Captured, beside: Option<&Beside>, (folder, notes): (&Path, &[String])) -> String {
    let mut text = format!("{}: {}\n", captured.name, captured.sentence());
    match beside {
        Some(Beside { pulled, changes, .. }) => {
            let changes = counted(changes.len() as u64, "change");
            text += &format!("  {} samples in {} series beside it, and {changes} of the system\n", pulled.samples, pulled.store.len());
        }
        None => text += "  no samples: once a policy that watched is edited it cannot be judged by this; with `--prometheus URL` any can\n",
    }
    notes.iter().for_each(|note| text += &format!("  note: {note}\n"));
    let folder = folder.display();
    text + &format!("wrote {folder}; put right what is marked as a guess in {folder}/incident.yaml, then `firedrill replay {folder}`")
}
