//! A recording played to the rules and policies in virtual time, open loop: what they would have said and done.

use std::path::Path;
use std::sync::Arc;

use firedrill_core::journal::{Event, Header, Journal, SCHEMA};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_core::transcript::Desk;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::pilot::{Pilot, PilotSetup};
use firedrill_policies::rules::{Ruler, RulerSettings};
use firedrill_scenarios::incident::{Incident, read_alerts, read_recording, read_watched};
use firedrill_telemetry::recording::{Playback, Recording};
use firedrill_telemetry::store::Store;

use crate::capturing::Watched;
use crate::drill::{Answer, ENGINE, Rules};
use crate::failure::Failure;
use crate::home::{OwnRouting, Routings};
use crate::sources::{self, IncidentFiles};

/// An incident with all that is needed to replay it.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What happened.
    pub incident: Incident,
    /// What was seen.
    pub recording: Arc<Recording>,
    /// The alerts that were recorded; `None`: nobody knows.
    pub alerts: Option<Arc<Store>>,
    /// What a watcher was told; `None`: nobody watched.
    pub watched: Option<Arc<Watched>>,
    /// What watches.
    pub rules: Arc<Rules>,
    /// What answers.
    pub answer: Arc<Answer>,
}

/// Makes a replay: the incident's own rules win over those given; policies are those given, else the incident's own; and alerts are routed as
/// the command line says, else as the incident does, else as the project does.
///
/// # Errors
/// The recording, a rule file, a policy or the Alertmanager configuration is wrong.
pub fn prepare(
    incident: Incident,
    files: &IncidentFiles,
    rules: Option<Arc<Rules>>,
    answer: Option<Arc<Answer>>,
    routings: &Routings,
) -> Result<Replay, Failure> {
    let recording = Arc::new(read_recording(&incident, files)?);
    let alerts = read_alerts(&incident, files)?.map(Arc::new);
    let watched = read_watched(&incident, files)?.map(|(path, text)| Watched::read(&path, &text).map(Arc::new)).transpose()?;
    let base = files.base();
    let rules = match rules {
        Some(rules) => rules,
        None => sources::rules(&incident.rules, &base)?,
    };
    let answer = match answer {
        Some(answer) => answer,
        None => sources::answer(&incident.policies, Path::new(&base))?,
    };
    let rules = rules.routed(routings.with(OwnRouting {
        alertmanager: incident.alertmanager.as_ref(),
        silences: incident.silences.as_ref(),
        base: &base,
        start: recording.start,
    })?);
    sources::receivers_exist(&answer, rules.routing.as_deref())?;
    Ok(Replay { incident, recording, alerts, watched, rules, answer })
}

impl Replay {
    /// The header of the replay's journal.
    #[must_use]
    pub fn header(&self) -> Header {
        Header {
            schema: SCHEMA.to_owned(),
            engine: ENGINE.to_owned(),
            scenario: self.incident.name.clone(),
            scenario_hash: String::new(),
            rules_hash: self.rules.hash.clone(),
            policies: self.answer.policies.iter().map(|policy| policy.name.clone()).collect(),
            policies_hash: self.answer.hash.clone(),
            arm: Name::new("replay"),
            seed: 0,
            start: self.recording.start.to_string(),
        }
    }

    /// Plays the whole recording; to the policies that watched, what they were told then. Nothing can act: no actuator is handed out, and a
    /// recording could not react.
    #[must_use]
    pub fn play(&self) -> Journal {
        let _entered = tracing::info_span!("replay", incident = %self.incident.name).entered();
        self.watched_again().unwrap_or_else(|| self.played())
    }

    /// What the policies decide by what they were told live; `None` if nobody watched, or others did.
    fn watched_again(&self) -> Option<Journal> {
        let watched = self.watched.as_ref().filter(|watched| watched.is_by(&self.answer.policies))?;
        match watched.play(&self.answer.policies, self.recording.start) {
            Ok(journal) => Some(journal),
            Err(why) => {
                tracing::warn!(why, "what was watched cannot be played, and the recording is");
                None
            }
        }
    }

    /// How much of what was decided live a journal has, and how much there was; `None` if nobody watched, or others did.
    #[must_use]
    pub fn reproduced(&self, journal: &Journal) -> Option<(usize, usize)> {
        let watched = self.watched.as_ref().filter(|watched| watched.is_by(&self.answer.policies))?;
        Some(watched.reproduced(journal))
    }

    /// Why nothing can be told of these policies: others watched, and nothing is there that a rule or a condition could ask about but the alerts that the
    /// watcher was told. `None`: it can.
    #[must_use]
    pub fn cannot_tell(&self) -> Option<String> {
        let watched = self.watched.as_ref().filter(|watched| !watched.is_by(&self.answer.policies))?;
        let store = &self.recording.store;
        let has_samples = store.ids().any(|id| !matches!(store.labels(id).metric_name(), Some("ALERTS" | "ALERTS_FOR_STATE")));
        let names: Vec<&str> = watched.policies.keys().map(|name| name.as_str()).collect();
        (!has_samples).then(|| {
            format!(
                "cannot be judged: it was captured without samples, so that only {} as it watched can be asked; capture it again with `--prometheus URL`, or leave its folder out of `incidents:`",
                names.join(", ")
            )
        })
    }

    /// A journal with what was decided in the incident that was captured, without what the policies did in others at that time.
    #[must_use]
    pub fn of_captured(&self, journal: &Journal) -> Journal {
        let watched = self.watched.as_ref().filter(|watched| watched.is_by(&self.answer.policies));
        let captured = watched.and_then(|watched| watched.incident.as_ref()?.rsplit_once('#'));
        let Some((policy, number)) = captured.and_then(|(policy, number)| Some((policy, number.parse::<u64>().ok()?))) else {
            return journal.clone();
        };
        let mut own = Journal::new();
        for record in journal.records() {
            let is_own = match &record.event {
                Event::WouldAct { policy: by, incident, .. }
                | Event::Decided { policy: by, incident, .. }
                | Event::Paged { policy: by, incident, .. }
                | Event::Proposed { policy: by, incident, .. } => **by == *policy && *incident == number,
                _ => true,
            };
            if is_own {
                own.write(record.at, record.event.clone());
            }
        }
        own
    }

    fn played(&self) -> Journal {
        let recording = &self.recording;
        let mut playback = Playback::new(&recording.store);
        let before = playback.until(recording.start.unix_millis());
        let memory = Ruler::new(Arc::clone(&self.rules.set), recording.start, RulerSettings::default()).recall(before);
        let pilot = Pilot::new(PilotSetup {
            start: recording.start,
            rules: Arc::clone(&self.rules.set),
            ruler: RulerSettings::default(),
            alertmanager: self.rules.alertmanager(),
            policies: self.answer.policies.clone(),
            stage: Stage::DryRun,
            actuator: None,
            inventory: Arc::new(self.incident.inventory.clone()),
        });
        let end = recording.start.time_of(recording.end_ms).unwrap_or(Time::ZERO);
        let mut journal = Journal::new();
        let mut commands = Vec::new();
        let mut pilot = pilot.silenced(self.rules.silences()).remembering(&memory);
        while let Some((now, _)) = pilot.due().filter(|(now, _)| *now <= end) {
            let raw = playback.until(recording.start.prometheus_millis(now));
            pilot.advance(raw, &mut Desk { journal: &mut journal, commands: &mut commands });
            assert!(commands.is_empty(), "a pilot without an actuator gave a command");
        }
        journal.write(end, Event::RunEnded { reason: "the recording ends".to_owned() });
        journal
    }
}
