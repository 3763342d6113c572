//! A simulated run written down as an incident folder, which `replay` reads.

use std::fmt::Write as _;

use firedrill_core::time::Time;
use firedrill_core::transcript::Transcript;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::incident::FILE_NAME;
use firedrill_telemetry::recording::Recording;

use crate::drill::Routing;
use crate::load::Source;

/// The recording's file in an incident folder.
pub const RECORDING: &str = "recording.jsonl";

/// The Alertmanager configuration in an incident folder.
const ALERTMANAGER: &str = "alertmanager.yml";

/// The silences in an incident folder.
const SILENCES: &str = "silences.yaml";

/// A run with what an incident says of it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// What was rehearsed.
    pub scenario: &'a Scenario,
    /// What happened, and the decisions that were made.
    pub transcript: &'a Transcript,
    /// What was seen.
    pub recording: &'a Recording,
    /// The rules that watched.
    pub rules: &'a [Source],
    /// How alerts were routed; `None`: each at once and by itself.
    pub routing: Option<&'a Routing>,
    /// The command that records it again.
    pub command: &'a str,
}

impl Recorded<'_> {
    /// The files of an incident folder.
    #[must_use]
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![(FILE_NAME.to_owned(), incident(self)), (RECORDING.to_owned(), self.recording.to_text())];
        // A rule group's phase hangs on the name of its file, so the copies keep it.
        files.extend(self.rules.iter().map(|source| (format!("rules/{}", file_name(source)), source.text.clone())));
        files.extend(self.routing.map(|routing| (ALERTMANAGER.to_owned(), routing.source.text.clone())));
        let silences = self.routing.and_then(|routing| routing.silences.as_ref());
        files.extend(silences.map(|silences| (SILENCES.to_owned(), silences.source.text.clone())));
        files.push(("journal.jsonl".to_owned(), self.transcript.to_json_lines()));
        files
    }
}

fn file_name(source: &Source) -> &str {
    source.path.rsplit('/').next().unwrap_or(&source.path)
}

fn incident(run: &Recorded<'_>) -> String {
    let (scenario, transcript, seed) = (run.scenario, run.transcript, run.transcript.header.seed);
    let calendar = |at: Time| firedrill_core::time::Start::from_unix_millis(scenario.spec.start.prometheus_millis(at)).to_string();
    let faults = &transcript.ledger.faults;
    let onset = faults.first().map_or(Time::ZERO, |fault| fault.started);
    let end = faults.iter().map(|fault| fault.ended.unwrap_or(transcript.ledger.ended)).max().unwrap_or(transcript.ledger.ended);
    let (cause, target) =
        faults.first().map_or(("unknown".to_owned(), "unknown".to_owned()), |fault| (fault.kind.to_string(), fault.target.to_string()));
    let mut text = format!(
        "# Recorded from a simulated run, not from production: `{command}`.\nschema: incident/1\nincident: {name}-seed-{seed}\nwhat: A simulated run of {name}, seed {seed}.\ninjected: true\nonset: {onset}\nend: {end}\ncause: {cause}\ntarget: {target}\nservices:\n",
        command = run.command,
        name = scenario.name,
        onset = calendar(onset),
        end = calendar(end),
    );
    for service in &scenario.spec.services {
        let tier = if service.critical { "critical" } else { "normal" };
        let zones = service.zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let calls = service.calls().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let calls = if calls.is_empty() { String::new() } else { format!(", calls: [{calls}]") };
        writeln!(text, "  {}: {{ replicas: {}, zones: [{zones}], tier: {tier}{calls} }}", service.name, service.replicas)
            .expect("a string takes all");
    }
    let rules: Vec<String> = run.rules.iter().map(|source| format!("rules/{}", file_name(source))).collect();
    writeln!(text, "recording: {{ firedrill: {RECORDING} }}\nrules: [{}]", rules.join(", ")).expect("a string takes all");
    if run.routing.is_some() {
        writeln!(text, "alertmanager: {ALERTMANAGER}").expect("a string takes all");
    }
    if run.routing.is_some_and(|routing| routing.silences.is_some()) {
        writeln!(text, "silences: {SILENCES}").expect("a string takes all");
    }
    text
}
