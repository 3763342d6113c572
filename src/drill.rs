//! One cell of work: a scenario, a seed and an arm, run from start to end.

use std::sync::{Arc, OnceLock};

use firedrill_core::action::Actuator;
use firedrill_core::journal::{Header, SCHEMA};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::transcript::Transcript;
use firedrill_policies::alertmanager::{Config, Silence};
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::pilot::{Pilot, PilotSetup};
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::{Memory, RECALL_STEP, RuleSet, Ruler, RulerSettings, metrics_read, reach_ms};
use firedrill_reports::outcome::Outcome;
use firedrill_scenarios::Scenario;
use firedrill_sim::automation::{Approvers, Person, Script};
use firedrill_sim::past;
use firedrill_sim::run::{Finished, Options, Run, Trunk};
use firedrill_sim::trace::TraceSpan;
use firedrill_telemetry::store::Store;

use crate::automation::{LeftOut, Playing};
use crate::load::Source;

/// The engine's version, in every journal: equal versions give equal bytes.
pub const ENGINE: &str = concat!("firedrill ", env!("CARGO_PKG_VERSION"));

/// One of the runs that are compared on one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// The rules watch, and nobody acts.
    Nothing,
    /// The policies act.
    Policy,
    /// The right cure at onset.
    Oracle,
    /// The right cure when somebody on call has found it, whom the rules call.
    Human,
}

impl Arm {
    /// The word for it in journals and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Policy => "policy",
            Self::Oracle => "oracle",
            Self::Human => "human",
        }
    }
}

/// What watches: rules, how their alerts are routed, and the hash of the files that all that comes from.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rules.
    pub set: Arc<RuleSet>,
    /// BLAKE3 of the files, hexadecimal.
    pub hash: String,
    /// How alerts become notifications; `None`: each at once and by itself.
    pub routing: Option<Arc<Routing>>,
}

/// An Alertmanager configuration, and the file that it comes from.
#[derive(Clone, Debug)]
pub struct Routing {
    /// What it says.
    pub config: Arc<Config>,
    /// The file.
    pub source: Source,
    /// What is muted; `None`: nothing.
    pub silences: Option<Silences>,
}

/// Silences, and the file that they come from.
#[derive(Clone, Debug)]
pub struct Silences {
    /// The silences, in the order of the file, as they are from the start of the run on.
    pub all: Vec<Silence>,
    /// The file.
    pub source: Source,
}

impl Rules {
    /// The same rules with their alerts routed.
    #[must_use]
    pub fn routed(self: Arc<Self>, routing: Option<Arc<Routing>>) -> Arc<Self> {
        let Some(routing) = routing else { return self };
        let silences = routing.silences.as_ref().map_or_else(String::new, |silences| format!("\n{}", silences.source.text));
        let hash = blake3::hash(format!("{} {}{silences}", self.hash, routing.source.text).as_bytes()).to_hex().to_string();
        Arc::new(Self { set: Arc::clone(&self.set), hash, routing: Some(routing) })
    }

    /// The configuration by which alerts are routed.
    #[must_use]
    pub fn alertmanager(&self) -> Option<Arc<Config>> {
        self.routing.as_ref().map(|routing| Arc::clone(&routing.config))
    }

    /// What is muted from the start on.
    #[must_use]
    pub fn silences(&self) -> &[Silence] {
        self.routing.as_ref().and_then(|routing| routing.silences.as_ref()).map_or(&[], |silences| &silences.all)
    }
}

/// Policies that work side by side, and the hash of the files that they come from.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The policies, in order of name.
    pub policies: Vec<Arc<Policy>>,
    /// How they are called together, in reports and commands.
    pub label: String,
    /// For each policy, its name and the argument that finds it, for commands that repeat a run.
    pub sources: Vec<(String, String)>,
    /// BLAKE3 of the files, and of what is left out, hexadecimal.
    pub hash: String,
    /// What is not carried out of what they order; `None`: nothing.
    pub left_out: Option<LeftOut>,
}

impl Answer {
    /// The same policies, some of whose orders are not carried out.
    #[must_use]
    pub fn without(&self, left_out: LeftOut) -> Self {
        let hash = blake3::hash(format!("{} without {left_out}", self.hash).as_bytes()).to_hex().to_string();
        Self { hash, left_out: Some(left_out), ..self.clone() }
    }

    /// The same with a policy in the place of its namesake.
    #[must_use]
    pub fn with_policy(&self, policy: Arc<Policy>) -> Self {
        let hash = blake3::hash(format!("{} {}", self.hash, policy.hash()).as_bytes()).to_hex().to_string();
        let place = |own: &Arc<Policy>| if own.name == policy.name { Arc::clone(&policy) } else { Arc::clone(own) };
        Self { policies: self.policies.iter().map(place).collect(), hash, ..self.clone() }
    }
}

/// A scenario with the rules that watch it and the policies that answer.
#[derive(Clone, Debug)]
pub struct Drill {
    /// What is rehearsed.
    pub scenario: Arc<Scenario>,
    /// What watches.
    pub rules: Arc<Rules>,
    /// What answers, in the policy arm.
    pub answer: Arc<Answer>,
    /// What the policies may do.
    pub stage: Stage,
    /// What monitoring remembers from before the start; worked out once, when it is first needed.
    pub past: Remembered,
}

/// The scenario's history, and what the rules made of it: the same for every run of a drill.
#[derive(Clone, Debug, Default)]
pub struct Remembered(Arc<OnceLock<(Store, Memory)>>);

/// A run and what could be seen of it.
#[derive(Clone, Debug)]
pub struct Played {
    /// Header, journal, ledger.
    pub transcript: Transcript,
    /// Every series that was scraped.
    pub telemetry: Store,
}

impl Drill {
    /// Runs one arm on one seed.
    #[must_use]
    pub fn play(&self, arm: Arm, seed: u64) -> Played {
        let span = tracing::info_span!("run", id = %format_args!("{}/{}/{seed}", self.scenario.name, arm.word()));
        let _entered = span.enter();
        let run = Run::new(Arc::clone(&self.scenario.spec), Seed(seed), Options::default(), self.playing(arm, seed));
        let run = match self.past() {
            Some((store, _)) => run.after(store.clone()),
            None => run,
        };
        self.played(arm, seed, run.finish())
    }

    /// What the scenario says of itself, and each policy that acted in it: a name and a text each.
    #[must_use]
    pub fn about(&self, outcome: &Outcome) -> Vec<(String, String)> {
        let acted = |policy: &Policy| outcome.deeds.iter().any(|deed| deed.action.policy == policy.name);
        let policies = self.answer.policies.iter().filter(|policy| acted(policy) && !policy.description.is_empty());
        let told = policies.map(|policy| (format!("Policy {}", policy.name), policy.description.clone()));
        let scenario = (format!("Scenario {}", self.scenario.name), self.scenario.description.clone());
        [scenario].into_iter().filter(|(_, text)| !text.is_empty()).chain(told).collect()
    }

    /// Runs one arm on one seed with a sample of one request of `every` traced: the same run, with what tracing would tell of it.
    #[must_use]
    pub fn play_traced(&self, arm: Arm, seed: u64, every: u32) -> (Played, Vec<TraceSpan>) {
        let run = Run::new(Arc::clone(&self.scenario.spec), Seed(seed), Options::default(), self.playing(arm, seed));
        let run = match self.past() {
            Some((store, _)) => run.after(store.clone()),
            None => run,
        };
        let (finished, spans) = run.traced(every).finish_traced();
        (self.played(arm, seed, finished), spans)
    }

    /// Runs several arms on one seed, of drills that differ only in who answers. What nobody has acted in is simulated once for all of them, and of
    /// telemetry only the metrics are there that rules and policies read.
    ///
    /// # Panics
    /// If the drills are of different scenarios or rules.
    #[must_use]
    pub fn play_together(arms: &[(&Self, Arm)], seed: u64) -> Vec<Played> {
        let Some((first, _)) = arms.first() else { return Vec::new() };
        let alike = |drill: &Self| Arc::ptr_eq(&drill.scenario, &first.scenario) && Arc::ptr_eq(&drill.rules, &first.rules);
        assert!(arms.iter().all(|(drill, _)| alike(drill)), "arms of one scenario are played together");
        let span = tracing::info_span!("run", id = %format_args!("{}/{}/{seed}", first.scenario.name, arms.len()));
        let _entered = span.enter();
        let playing = arms.iter().map(|(drill, arm)| drill.playing(*arm, seed)).collect();
        let trunk = Trunk::new(Arc::clone(&first.scenario.spec), Seed(seed), Options::default(), playing);
        let trunk = match first.past() {
            Some((store, _)) => trunk.after(store.clone()),
            None => trunk,
        };
        // Nobody looks at the telemetry of these runs afterwards: what no rule and no policy reads is not written down.
        let conditions = arms.iter().flat_map(|(drill, _)| &drill.answer.policies).flat_map(|policy| policy.plans());
        let trunk = match metrics_read(&first.rules.set, conditions) {
            Some(metrics) => trunk.read_for(Arc::new(metrics)),
            None => trunk,
        };
        arms.iter().zip(trunk.finish()).map(|((drill, arm), finished)| drill.played(*arm, seed, finished)).collect()
    }

    fn playing(&self, arm: Arm, seed: u64) -> Playing {
        match arm {
            Arm::Nothing => Playing::Pilot(Box::new(self.pilot(Vec::new())), self.approvers(seed)),
            Arm::Policy => {
                let pilot = Box::new(self.pilot(self.answer.policies.clone()).seeded(Seed(seed)));
                match &self.answer.left_out {
                    Some(left_out) => Playing::Without(pilot, self.approvers(seed), Box::new(left_out.clone())),
                    None => Playing::Pilot(pilot, self.approvers(seed)),
                }
            }
            Arm::Oracle => Playing::Oracle(Script::new(Arc::clone(&self.scenario.spec))),
            Arm::Human => {
                let pilot = Box::new(self.pilot(Vec::new()));
                match &self.scenario.human {
                    Some(person) => Playing::Human(pilot, Person::new(Arc::clone(person), Arc::clone(&self.scenario.spec), Seed(seed))),
                    None => Playing::Pilot(pilot, self.approvers(seed)),
                }
            }
        }
    }

    /// Who may be asked to allow what the policies propose.
    fn approvers(&self, seed: u64) -> Approvers {
        Approvers::new(Arc::clone(&self.scenario.approvers), Seed(seed))
    }

    fn played(&self, arm: Arm, seed: u64, finished: Finished<Playing>) -> Played {
        let Finished { journal, ledger, telemetry, .. } = finished;
        tracing::info!(arm = arm.word(), events = ledger.events, records = journal.records().len(), "done");
        Played { transcript: Transcript { header: self.header(arm, seed), journal, ledger }, telemetry }
    }

    fn pilot(&self, policies: Vec<Arc<Policy>>) -> Pilot {
        // In dry-run the pilot is not handed an actuator, and has no other way to act.
        let actuator = self.stage.may_act().then(Actuator::simulated);
        let inventory = Arc::new(self.scenario.spec.inventory());
        let pilot = Pilot::new(PilotSetup {
            start: self.scenario.spec.start,
            rules: Arc::clone(&self.rules.set),
            ruler: RulerSettings::default(),
            alertmanager: self.rules.alertmanager(),
            policies,
            stage: self.stage,
            actuator,
            inventory,
        });
        let pilot = pilot.silenced(self.rules.silences());
        match self.past() {
            Some((_, memory)) => pilot.remembering(memory),
            None => pilot,
        }
    }

    /// How long before the start samples can matter to its rules and policies, milliseconds; `None`: however old they are.
    #[must_use]
    pub fn reach_ms(&self) -> Option<i64> {
        let conditions = self.answer.policies.iter().flat_map(|policy| policy.plans());
        // A recorded series is as old as the last time that it was recalled.
        let step_ms = i64::try_from(RECALL_STEP.as_millis()).unwrap_or(i64::MAX);
        Some(reach_ms(&self.rules.set, conditions)?.saturating_add(step_ms))
    }

    /// What was seen before the start and what the rules made of it; `None` if the scenario has no history.
    fn past(&self) -> Option<&(Store, Memory)> {
        let history = self.scenario.history.as_ref()?;
        let recall = || {
            let store = past::samples(&self.scenario.spec, history);
            let memory = Ruler::new(Arc::clone(&self.rules.set), self.scenario.spec.start, RulerSettings::default()).recall(&store);
            let count = |store: &Store| store.ids().map(|id| store.times(id).len()).sum::<usize>();
            let (series, samples, recorded) = (store.len(), count(&store), count(memory.derived()));
            tracing::info!(scenario = %self.scenario.name, series, samples, recorded, "remembered what was before the start");
            (store, memory)
        };
        Some(self.past.0.get_or_init(recall))
    }

    fn header(&self, arm: Arm, seed: u64) -> Header {
        let acting = arm == Arm::Policy;
        let names = self.answer.policies.iter().map(|policy| policy.name.clone());
        Header {
            schema: SCHEMA.to_owned(),
            engine: ENGINE.to_owned(),
            scenario: self.scenario.name.clone(),
            scenario_hash: self.scenario.hash.clone(),
            rules_hash: if arm == Arm::Oracle { String::new() } else { self.rules.hash.clone() },
            policies: names.filter(|_| acting).collect(),
            policies_hash: if acting { self.answer.hash.clone() } else { String::new() },
            arm: Name::new(arm.word()),
            seed,
            start: self.scenario.spec.start.to_string(),
        }
    }
}
