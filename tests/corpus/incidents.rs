//! Real recordings: the rules and the policy that come with firedrill, on systems whose faults others injected, recorded and labelled.
//!
//! The data stays there: nothing of it is part of the project.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use firedrill_core::journal::Journal;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::pilot::{Pilot, PilotSetup};
use firedrill_policies::rules::{Phase, RuleSet, RulerSettings};
use firedrill_scenarios::incident::expect::Stretch;
use firedrill_scenarios::incident::score::{Score, Scoring, score};
use firedrill_scenarios::incident::{FILE_NAME, Files, Incident, read_incident, read_recording};
use firedrill_telemetry::recording::{Playback, Recording};

const RULES: (&str, &str) =
    ("policies/library/rules/online-boutique.yaml", include_str!("../../policies/library/rules/online-boutique.yaml"));
const POLICY: (&str, &str) =
    ("policies/library/online-boutique-restart.yaml", include_str!("../../policies/library/online-boutique-restart.yaml"));

fn corpus() -> PathBuf {
    let folder = std::env::var_os("FIREDRILL_CORPUS").map(PathBuf::from).expect("set FIREDRILL_CORPUS to the folder of the corpus");
    assert!(folder.join("incidents").is_dir(), "FIREDRILL_CORPUS is {}, and there is no folder `incidents` in it", folder.display());
    folder
}

/// An incident described here, with its recording where the corpus has it.
struct InCorpus {
    incident: String,
    folder: PathBuf,
}

impl Files for InCorpus {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == FILE_NAME {
            return Ok(self.incident.clone());
        }
        std::fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.folder.join(folder)).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            files.push(entry.file_name().into_string().map_err(|name| format!("{} is no text", name.display()))?);
        }
        Ok(files)
    }
}

fn read(files: &InCorpus) -> (Incident, Recording) {
    let told = |problems: Vec<firedrill_core::problem::Problem>| {
        problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")
    };
    let incident = read_incident("incident.yaml", files).map_err(told).unwrap_or_else(|told| panic!("{told}"));
    let recording = read_recording(&incident, files).map_err(told).unwrap_or_else(|told| panic!("{told}"));
    (incident, recording)
}

/// Replays in virtual time, dry: without an actuator no command can be given.
fn replay(incident: &Incident, recording: &Recording, phase: Phase) -> Journal {
    let rules = RuleSet::read([RULES]).expect("the rules of the library are sound");
    let setup = PilotSetup {
        start: recording.start,
        rules,
        ruler: RulerSettings { phase, ..RulerSettings::default() },
        alertmanager: None,
        policies: vec![read_policy(POLICY.0, POLICY.1).expect("the policy of the library is sound")],
        stage: Stage::DryRun,
        actuator: None,
        inventory: Arc::new(incident.inventory.clone()),
    };
    let mut pilot = Pilot::new(setup);
    let mut playback = Playback::new(&recording.store);
    let (mut journal, mut commands) = (Journal::new(), Vec::new());
    let end = recording.start.time_of(recording.end_ms).unwrap_or(Time::ZERO);
    while let Some((now, _)) = pilot.due().filter(|(now, _)| *now <= end) {
        let raw = playback.until(recording.start.prometheus_millis(now));
        pilot.advance(raw, &mut Desk { journal: &mut journal, commands: &mut commands });
    }
    assert!(commands.is_empty(), "a replay gives no command");
    journal
}

/// The faults that people noticed that day: fewer than 99 % of requests succeeded or the 95th percentile reached 2 s, within 300 s of the onset.
const NOTICED: [usize; 12] = [0, 1, 2, 3, 8, 9, 10, 11, 16, 18, 19, 22];

fn online_boutique() -> InCorpus {
    let folder = corpus().join("incidents/nezha-onlineboutique/rca_data/2022-08-22");
    let text = std::fs::read_to_string(folder.join("2022-08-22-fault_list.json")).expect("the corpus has the labels");
    let by_hour: BTreeMap<String, Vec<serde_json::Value>> = serde_json::from_str(&text).expect("the labels are JSON");
    let mut faults: Vec<(String, String, String)> = by_hour
        .values()
        .flatten()
        .map(|fault| {
            let field = |name: &str| fault[name].as_str().expect("labels are texts").to_owned();
            (field("inject_time").replace(' ', "T") + "Z", field("inject_pod"), field("inject_type"))
        })
        .collect();
    faults.sort();
    let mut services: Vec<&str> = faults.iter().map(|(_, pod, _)| pod.rsplitn(3, '-').last().expect("a pod has a service")).collect();
    services.sort_unstable();
    services.dedup();
    let lines = faults.iter().enumerate().map(|(index, (at, pod, kind))| {
        let noticed = NOTICED.contains(&index);
        format!("  - {{ at: {at}, target: replica/{pod}, kind: {kind}, moved_users: {noticed} }}\n")
    });
    let incident = format!(
        "schema: incident/1\nincident: online-boutique\nwhat: Faults injected one after the other into Online Boutique.\ninjected: true\n\
         cause: unknown\ntarget: unknown\nservices: {{ {} }}\nrecording: {{ csv: {{ mapping: nezha-online-boutique, folder: metric }} }}\nfaults:\n{}",
        services.iter().map(|service| format!("{service}: {{}}")).collect::<Vec<_>>().join(", "),
        lines.collect::<String>(),
    );
    InCorpus { incident, folder }
}

/// Nothing was injected from 08:00 on. Users waited there too: once the 95th percentile reached 2.35 s.
fn scoring() -> Scoring {
    let at = |text| Start::parse(text).expect("a time");
    Scoring { quiet: vec![Stretch { from: at("2022-08-22T08:00:00Z"), to: at("2022-08-22T12:00:00Z") }], ..Scoring::default() }
}

#[track_caller]
fn hold_the_bar(score: &Score, phase: Phase) {
    let noticed: Vec<_> = score.moved_users().collect();
    let detected = noticed.iter().filter(|fault| fault.detected()).count();
    let right = noticed.iter().filter(|fault| fault.right_target()).count();
    assert_eq!(noticed.len(), 12);
    assert!(detected >= 9, "{detected} of 12 faults detected within 180 s, rules at {phase:?}:\n{score}");
    assert!(right >= 6, "{right} of 12 faults answered on the right pod, rules at {phase:?}:\n{score}");
    assert!(score.in_quiet.is_empty(), "actions in calm hours, rules at {phase:?}: {:?}", score.in_quiet);
}

#[test]
fn on_a_day_of_online_boutique_the_library_finds_what_moved_users_and_leaves_the_calm_hours_alone() {
    let (incident, recording) = read(&online_boutique());
    assert_eq!(incident.faults.len(), 24);
    let journal = replay(&incident, &recording, Phase::default());
    let score = score(&journal, recording.start, &incident.faults, &scoring());
    println!("{score}{}", score.stray.join("\n"));
    hold_the_bar(&score, Phase::default());
}

#[test]
fn the_bar_holds_whatever_the_phase_of_the_rules() {
    let (incident, recording) = read(&online_boutique());
    for phase in [0, 2_000, 5_000, 8_000, 11_000, 14_000].map(Phase::Fixed) {
        let journal = replay(&incident, &recording, phase);
        hold_the_bar(&score(&journal, recording.start, &incident.faults, &scoring()), phase);
    }
}

/// The incidents of PetShop: one folder each, with the fault's time and place beside the recording.
fn petshop() -> Vec<InCorpus> {
    let base = corpus().join("incidents/petshop/dataset/low_traffic");
    let mut incidents = Vec::new();
    for part in ["test", "train"] {
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(base.join(part)).expect("the corpus has PetShop").map(|entry| entry.expect("an entry").path()).collect();
        folders.sort();
        incidents.extend(folders.into_iter().map(|folder| petshop_issue(part, folder)));
    }
    incidents
}

fn petshop_issue(part: &str, folder: PathBuf) -> InCorpus {
    let text = std::fs::read_to_string(folder.join("target.json")).expect("an issue has a label");
    let label: serde_json::Value = serde_json::from_str(&text).expect("the label is JSON");
    let onset = Start::from_unix_seconds(label["target"]["timestamp"].as_i64().expect("a time"));
    let node = label["root_cause"]["node"].as_str().expect("a node");
    let kind = label["target"]["metric"].as_str().expect("a metric");
    let name = folder.file_name().expect("a folder has a name").display().to_string();
    let incident = format!(
        "schema: incident/1\nincident: petshop-{part}-{name}\nwhat: An issue injected into PetShop.\ninjected: true\ncause: unknown\ntarget: unknown\n\
         recording: {{ csv: {{ mapping: petshop }} }}\nfaults:\n  - {{ name: {part}/{name}, at: {onset}, target: 'replica/{node}', kind: {kind} }}\n",
    );
    InCorpus { incident, folder }
}

/// Figures without a bar: the samples come every five minutes, and neither CPU nor calls are recorded, so there is little to name a pod by.
#[test]
fn the_same_rules_unchanged_on_petshop() {
    let scoring = Scoring { detect_within: Span::from_minutes(15), answer_within: Span::from_minutes(20), ..Scoring::default() };
    let mut faults = Vec::new();
    for files in petshop() {
        let (incident, recording) = read(&files);
        let journal = replay(&incident, &recording, Phase::default());
        let score = score(&journal, recording.start, &incident.faults, &scoring);
        assert_eq!(score.faults.len(), 1);
        faults.extend(score.faults);
    }
    let all = Score { detect_within: scoring.detect_within, faults, in_quiet: Vec::new(), stray: Vec::new() };
    let calm = InCorpus {
        incident: "schema: incident/1\nincident: petshop-calm\nwhat: Two days without an issue.\nonset: 2023-08-21T09:05:00Z\ncause: unknown\ntarget: unknown\nrecording: { csv: { mapping: petshop } }\n".to_owned(),
        folder: corpus().join("incidents/petshop/dataset/low_traffic/noissue"),
    };
    let (incident, recording) = read(&calm);
    let acts = score(&replay(&incident, &recording, Phase::default()), recording.start, &[], &Scoring::default()).stray;
    println!("{all}in {:.1} calm hours: {} actions", (recording.end_ms - recording.start.unix_millis()) as f64 / 3.6e6, acts.len());
    assert_eq!(all.faults.len(), 16);
}
