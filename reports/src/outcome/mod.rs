//! What a run came to: every measure of one policy on one seed, against doing nothing and against an oracle.
//!
//! Computed from ground truth (the journal and the ledgers), never from telemetry, because a policy that blinds its own
//! monitoring must not look well.

mod users;
mod incident;
mod deeds;
mod exercise;
mod safety;
mod damage;
mod human;
mod fights;
mod approvals;
mod right;
mod reached;

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::journal::Header;
use firedrill_core::ledger::{Ledger, RequestOutcome};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;
use serde::{Deserialize, Serialize};

pub use approvals::Approvals;
pub use damage::{BlastRadius, Matching, Share};
pub use deeds::{Called, Deed, DeedOutcome};
pub use exercise::{Cut, Exercise};
pub use fights::{Conflict, ConflictEnd, Fight, Move, Party, conflicts, fights};
pub use human::HumanOutcome;
pub use incident::{Incident, Scope, Spell, incidents, mitigated, recovered, spells};
pub use reached::{Approach, Reached};
pub use right::{HARMFUL, Judged};
pub use safety::SafetyViolation;
pub use users::UserSeries;

/// The version of the outcome's JSON.
pub const SCHEMA: &str = "firedrill.outcome/1";

/// The runs of one scenario and seed that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Arms<'a> {
    /// Nobody acts.
    pub nothing: &'a Transcript,
    /// The policy acts.
    pub policy: &'a Transcript,
    /// A cure is applied at onset; `None` if the scenario knows no cure.
    pub oracle: Option<&'a Transcript>,
    /// A person on call acts; `None` if there is nobody, or nothing to be done.
    pub human: Option<&'a Transcript>,
}

impl Arms<'_> {
    /// The policy's header and ledger, of the same scenario and seed as those of all others.
    fn alike(&self) -> (&Header, &Ledger) {
        for other in [Some(self.policy), self.oracle, self.human].into_iter().flatten() {
            assert_eq!(
                (&other.header.scenario, other.header.seed),
                (&self.nothing.header.scenario, self.nothing.header.seed),
                "arms are of one scenario and seed"
            );
        }
        (&self.policy.header, &self.policy.ledger)
    }
}

/// What "bad" and "over" mean. The defaults are those of the documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeSettings {
    /// Users are well while the share of bad requests in a bin is below this, 0 to 1.
    pub well_below: f64,
    /// How long they must stay well.
    pub hold: Span,
    /// How long after an incident's close users may relapse into it.
    pub relapse_window: Span,
    /// A bin with fewer requests borrows its neighbours.
    pub least_requests: u64,
    /// How far a bin may borrow, in all.
    pub borrow: Span,
    /// A callee belongs to the scope if its attempt rate grew beyond this factor.
    pub attempt_growth: f64,
    /// More actions than this on one target within `flapping_window` are flapping.
    pub flapping_limit: usize,
    /// See `flapping_limit`.
    pub flapping_window: Span,
    /// What is undone within this time of having been done is undone by somebody who works against it.
    pub fight_window: Span,
    /// What a page costs a person, minutes.
    pub page_minutes: f64,
    /// What an answer to a proposal costs a person, minutes.
    pub approval_minutes: f64,
    /// The alerts that the policies answer, to name them when none fired; empty if not known.
    pub answers: Vec<Name>,
}

impl Default for OutcomeSettings {
    fn default() -> Self {
        Self {
            well_below: 0.01,
            hold: Span::from_seconds(60),
            relapse_window: Span::from_minutes(30),
            least_requests: 20,
            borrow: Span::from_seconds(60),
            attempt_growth: 1.2,
            flapping_limit: 3,
            flapping_window: Span::from_minutes(30),
            fight_window: Span::from_minutes(10),
            page_minutes: 15.0,
            approval_minutes: 5.0,
            answers: Vec::new(),
        }
    }
}

impl OutcomeSettings {
    /// What pages and answers to proposals cost people, minutes.
    fn toil(&self, pages: u64, approvals: Option<Approvals>) -> f64 {
        let answers = approvals.map_or(0, |approvals| approvals.answers);
        pages as f64 * self.page_minutes + answers as f64 * self.approval_minutes
    }
}

/// A time that was measured, or the time until which it had not come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elapsed {
    /// Seconds since the onset; the time watched, if censored.
    pub seconds: f64,
    /// The run ended first: the true time is at least this long.
    pub censored: bool,
}

impl Elapsed {
    /// From `from` to `to`, or to the end of the run if it had not come.
    #[must_use]
    pub fn between(from: Time, to: Option<Time>, ended: Time) -> Self {
        Self { seconds: to.unwrap_or(ended).since(from).as_seconds(), censored: to.is_none() }
    }

    /// The longer of two; a censored one is longer than any that was measured.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let longer = (other.censored, other.seconds) > (self.censored, self.seconds);
        if longer { other } else { self }
    }
}

/// Requests of all clients by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// All that arrived.
    pub arrived: u64,
    /// Answered in time.
    pub good: u64,
    /// Answered too late, or not yet answered when they should long have been.
    pub slow: u64,
    /// Answered with an error, or given up.
    pub failed: u64,
    /// Turned away.
    pub shed: u64,
    /// Too young at the end of the run to be judged.
    pub open: u64,
}

/// One incident as it went in one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentOutcome {
    /// Onset of its first fault, seconds since the start of the run.
    pub opened_seconds: f64,
    /// When it was over, seconds since the start; `None` if it was not.
    pub closed_seconds: Option<f64>,
    /// Its faults, in order of onset.
    pub faults: Vec<Name>,
    /// The components that it concerns.
    pub scope: Scope,
    /// The worst share of bad requests in a bin, 0 to 1.
    pub worst_bad_share: f64,
    /// Whether users felt it.
    pub felt: bool,
    /// Until the first notification about it; `None` in an arm that no rules watch, and if it closed before anybody felt or heard of it.
    pub time_to_detect: Option<Elapsed>,
    /// Until users were well to stay.
    pub time_to_mitigate: Elapsed,
    /// Until everything was as declared.
    pub time_to_recover: Elapsed,
    /// How often users were unwell again after they had been well for a minute.
    pub recurrence: u64,
    /// Actions within its scope while it was open.
    pub actions: u64,
    /// Pages while it was open.
    pub pages: u64,
}

/// What one arm came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmOutcome {
    /// `nothing`, `human`, `policy`, `oracle`.
    pub arm: Name,
    /// The run's fingerprint: equal runs have equal ones.
    pub fingerprint: String,
    /// How long the run was, seconds.
    pub ended_seconds: f64,
    /// The bound that ended the run before its horizon; `None`: none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_by: Option<Name>,
    /// What became of the requests.
    pub requests: RequestCounts,
    /// Integral of the share of bad requests times users, user-minutes.
    pub user_minutes_lost: f64,
    /// Writes that a failover lost, and messages that an action threw away.
    #[serde(default)]
    pub data_lost: u64,
    /// The worst incident's; `None` if none has one: without a fault, if no rules watch, or if all closed before anybody noticed.
    pub time_to_detect: Option<Elapsed>,
    /// The worst incident's; `None` without a fault.
    pub time_to_mitigate: Option<Elapsed>,
    /// The worst incident's; `None` without a fault.
    pub time_to_recover: Option<Elapsed>,
    /// Each incident.
    pub incidents: Vec<IncidentOutcome>,
}

/// Every measure that arms N, H, P and O allow. Keys stand in the order of these fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: String,
    /// The engine's version.
    pub engine: String,
    /// The scenario.
    pub scenario: Name,
    /// BLAKE3 of the lowered scenario.
    pub scenario_hash: String,
    /// BLAKE3 of the rules.
    pub rules_hash: String,
    /// The policies.
    pub policies: Vec<Name>,
    /// BLAKE3 of the policies.
    pub policies_hash: String,
    /// The seed.
    pub seed: u64,
    /// How many faults set in; where a bound ended the run before any did, how many would have.
    pub faults: u64,
    /// Whether the policy had an occasion to act and did.
    pub exercise: Exercise,
    /// How a bound ended the policy's run or the one that it is held against; `None` if both came to their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Seconds from onset to the first notification about the incident; the worst incident's.
    pub time_to_detect: Option<Elapsed>,
    /// Seconds from onset until users were well to stay; the worst incident's.
    pub time_to_mitigate: Option<Elapsed>,
    /// Seconds from onset until everything was as declared; the worst incident's.
    pub time_to_recover: Option<Elapsed>,
    /// How often users were unwell again after they had been well for a minute, in all incidents.
    pub recurrence: u64,
    /// User-minutes lost in the policy's arm.
    pub user_minutes_lost: f64,
    /// User-minutes lost by doing nothing, less those lost with the policy; negative if the policy made it worse.
    pub benefit: f64,
    /// User-minutes lost with a person on call, less those lost with the policy; `None` without such an arm.
    #[serde(default)]
    pub benefit_over_human: Option<f64>,
    /// User-minutes that the policy cost beyond doing nothing, at least 0.
    pub harm: f64,
    /// Writes that a failover lost and messages that an action threw away, in the policy's arm.
    #[serde(default)]
    pub data_lost: u64,
    /// Of these, those beyond what doing nothing lost, at least 0.
    #[serde(default)]
    pub data_harm: u64,
    /// User-minutes lost beyond the oracle's; `None` without an oracle.
    pub regret: Option<f64>,
    /// Requests good in N and bad in P.
    pub requests_harmed: u64,
    /// Requests that exist in one arm only.
    pub unmatched: u64,
    /// Actions started.
    pub actions: u64,
    /// Actions started while no open incident's scope held their target.
    pub false_positives: u64,
    /// Of these, actions while an incident was open elsewhere.
    pub wrong_target: u64,
    /// Actions started on a target where the same action was under way.
    pub duplicate: u64,
    /// `false_positives` over `actions`, 0 to 1; `None` if there was no action.
    pub false_positive_rate: Option<f64>,
    /// Actions in a scenario without a fault; `None` in one with a fault.
    pub noop_false_positives: Option<u64>,
    /// Notifications about nothing.
    pub false_alarms: u64,
    /// The same for 1,000 service-hours.
    pub false_alarm_rate: f64,
    /// Incidents that users felt and that got neither a curing action nor a page.
    pub missed: u64,
    /// How far the policy reached.
    pub blast_radius: BlastRadius,
    /// The largest share of a service out of service because of actions, 0 to 1.
    pub capacity_removed: f64,
    /// Replica-hours beyond those of doing nothing.
    pub capacity_added: f64,
    /// Actions on one target beyond the limit within the window.
    pub flapping: u64,
    /// Policies that work against each other, or against what the system does by itself.
    #[serde(default)]
    pub fights: Vec<Fight>,
    /// Policies that could not act because another one had the target.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// Actions for each fault; `None` without a fault.
    pub amplification: Option<f64>,
    /// Pages sent.
    pub pages: u64,
    /// The first of them; `None` if nobody was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_page: Option<Called>,
    /// Of these, those about nothing, or about an incident that was over before the run ended although nobody came.
    #[serde(default)]
    pub needless_pages: u64,
    /// What the run cost people, minutes: pages, and answers to proposals.
    pub toil: f64,
    /// People who were asked to allow actions; `None` if nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
    /// From a failed verification until the service was as before the action, the worst; `None` if none failed on a service.
    pub time_to_undo: Option<Elapsed>,
    /// What must never happen, and did.
    pub safety_violations: Vec<SafetyViolation>,
    /// Refusals by guards.
    pub refusals: u64,
    /// Actions that the stage forbade.
    pub would_act: u64,
    /// The alerts that fired with nobody acting or with the policy; not part of the JSON, where the runs themselves say it.
    #[serde(skip)]
    pub fired: BTreeSet<Name>,
    /// What was right of what policies did; not part of the JSON, where the actions and the runs themselves say it.
    #[serde(skip)]
    pub judged: Vec<Judged>,
    /// Rules that could not be evaluated, each with its first reason: nothing was learnt of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_rules: BTreeMap<Name, String>,
    /// Each action, in order of start.
    pub deeds: Vec<DeedOutcome>,
    /// What a reader of these figures should know.
    pub notes: Vec<String>,
    /// What was reached of the policies: their parts, and how near it came to their limits.
    #[serde(default)]
    pub reached: Reached,
    /// Arm N.
    pub nothing: ArmOutcome,
    /// Arm P.
    pub policy: ArmOutcome,
    /// Arm O.
    pub oracle: Option<ArmOutcome>,
    /// Arm H, and the policy against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human: Option<HumanOutcome>,
}

/// Measures what `arms.policy` came to.
///
/// # Panics
/// If the arms are not of one scenario and seed: their difference would mean nothing.
#[must_use]
pub fn measure(arms: &Arms, settings: &OutcomeSettings) -> Outcome {
    measure_beside(arms, None, settings)
}

/// The same where it is known what the oracle came to on this scenario and seed, and its run is not there.
///
/// # Panics
/// As [`measure`].
#[must_use]
#[expect(clippy::too_many_lines, reason = "an outcome has this many figures")]
pub fn measure_beside(arms: &Arms, oracle: Option<&ArmOutcome>, settings: &OutcomeSettings) -> Outcome {
    let arm = |run| Arm::new(run, arms.nothing, settings);
    let (nothing, policy, human) = (arm(arms.nothing), arm(arms.policy), arms.human.map(arm));
    let (header, ledger) = arms.alike();
    let (matching, deeds) = (damage::matching(&arms.nothing.ledger, ledger), deeds::judge(&policy.deeds, &policy.incidents));
    let (nothing_outcome, policy_outcome) = (nothing.outcome(settings), policy.outcome(settings));
    let oracle_outcome = arms.oracle.map(|run| arm(run).outcome(settings)).or_else(|| oracle.cloned());
    let (lost, faults) = (policy_outcome.user_minutes_lost, fault_count(ledger));
    let (benefit, actions) = (nothing_outcome.user_minutes_lost - lost, deeds.len() as u64);
    let (pages, approvals) = (deeds::pages(&arms.policy.journal, None), Approvals::of(&arms.policy.journal));
    let (false_positives, false_alarms) = (deeds::false_positives(&deeds), deeds::false_alarms(arms.policy, &policy.incidents));
    Outcome {
        schema: SCHEMA.to_owned(),
        engine: header.engine.clone(),
        scenario: header.scenario.clone(),
        scenario_hash: header.scenario_hash.clone(),
        rules_hash: header.rules_hash.clone(),
        policies: header.policies.clone(),
        policies_hash: header.policies_hash.clone(),
        seed: header.seed,
        faults,
        exercise: exercise::exercise(arms.policy, &settings.answers),
        cut: exercise::cut_among(arms),
        time_to_detect: policy_outcome.time_to_detect,
        time_to_mitigate: policy_outcome.time_to_mitigate,
        time_to_recover: policy_outcome.time_to_recover,
        recurrence: policy_outcome.incidents.iter().map(|incident| incident.recurrence).sum(),
        user_minutes_lost: lost,
        benefit,
        benefit_over_human: human.as_ref().map(|human| human::benefit_over(human, &policy)),
        harm: (-benefit).max(0.0),
        data_lost: policy_outcome.data_lost,
        data_harm: policy_outcome.data_lost.saturating_sub(nothing_outcome.data_lost),
        regret: oracle_outcome.as_ref().map(|oracle| lost - oracle.user_minutes_lost),
        requests_harmed: matching.harmed,
        unmatched: matching.unmatched,
        actions,
        false_positives,
        wrong_target: deeds.iter().filter(|deed| deed.false_positive && deed.while_open).count() as u64,
        duplicate: deeds::duplicates(&policy.deeds),
        false_positive_rate: (actions > 0).then(|| false_positives as f64 / actions as f64),
        noop_false_positives: (faults == 0).then_some(actions),
        false_alarms,
        false_alarm_rate: deeds::per_thousand_service_hours(false_alarms, ledger),
        missed: deeds::missed(&nothing_outcome, &policy_outcome),
        blast_radius: damage::blast_radius(arms, &policy.deeds, matching),
        capacity_removed: damage::capacity_removed(ledger),
        capacity_added: damage::capacity_added(&arms.nothing.ledger, ledger),
        flapping: deeds::flapping(&policy.deeds, settings.flapping_limit, settings.flapping_window),
        fights: fights::fights(arms.policy, settings),
        conflicts: fights::conflicts(arms.policy),
        amplification: (faults > 0).then(|| actions as f64 / faults as f64),
        pages,
        first_page: deeds::first_page(&arms.policy.journal),
        needless_pages: deeds::needless_pages(&arms.policy.journal, &policy.incidents),
        toil: settings.toil(pages, approvals),
        approvals,
        time_to_undo: damage::time_to_undo(arms.policy),
        safety_violations: safety::violations(&arms.policy.journal),
        refusals: exercise::refusals(&arms.policy.journal),
        would_act: exercise::would_act(&arms.policy.journal),
        fired: exercise::fired([&arms.nothing.journal, &arms.policy.journal]),
        judged: right::judged(&arms.policy.journal, &deeds, (-benefit).max(0.0)),
        failed_rules: exercise::failed_rules(&arms.policy.journal),
        deeds,
        notes: cut_notes(arms).chain(notes(&nothing, settings)).collect(),
        reached: Reached::of(&arms.policy.journal),
        nothing: nothing_outcome,
        policy: policy_outcome,
        oracle: oracle_outcome,
        human: human.as_ref().map(|human| human::outcome(human, &policy, &nothing, settings)),
    }
}

/// Faults that set in; of a run that ended before the first, those that would have.
fn fault_count(ledger: &Ledger) -> u64 {
    if ledger.faults.is_empty() { ledger.faults_to_come } else { ledger.faults.len() as u64 }
}

/// One arm with what is derived from it once.
struct Arm<'a> {
    transcript: &'a Transcript,
    users: UserSeries,
    incidents: Vec<Incident>,
    deeds: Vec<Deed>,
}

impl<'a> Arm<'a> {
    fn new(transcript: &'a Transcript, nothing: &Transcript, settings: &OutcomeSettings) -> Self {
        let users = UserSeries::of(&transcript.ledger, settings);
        let mut incidents = incident::incidents(&transcript.ledger, &users, settings);
        incident::find_scopes(&mut incidents, &transcript.ledger, &nothing.ledger, settings);
        Self { transcript, users, incidents, deeds: deeds::deeds(&transcript.journal) }
    }

    fn outcome(&self, settings: &OutcomeSettings) -> ArmOutcome {
        let ledger = &self.transcript.ledger;
        let incidents: Vec<_> = self.incidents.iter().map(|incident| self.incident_outcome(incident, settings)).collect();
        let worst = |figure: fn(&IncidentOutcome) -> Option<Elapsed>| incidents.iter().filter_map(figure).reduce(Elapsed::worse);
        ArmOutcome {
            arm: self.transcript.header.arm.clone(),
            fingerprint: self.transcript.fingerprint(),
            ended_seconds: ledger.ended.as_seconds(),
            cut_by: exercise::cut_short(self.transcript).map(|(bound, _)| bound),
            requests: count_requests(self.transcript),
            user_minutes_lost: self.users.user_minutes_lost(),
            data_lost: ledger.data_lost(),
            time_to_detect: worst(|incident| incident.time_to_detect),
            time_to_mitigate: worst(|incident| Some(incident.time_to_mitigate)),
            time_to_recover: worst(|incident| Some(incident.time_to_recover)),
            incidents,
        }
    }

    fn incident_outcome(&self, incident: &Incident, settings: &OutcomeSettings) -> IncidentOutcome {
        let ledger = &self.transcript.ledger;
        // Rules watch where nobody acts, too; nothing watches the oracle, who knows.
        let watched = !self.transcript.header.rules_hash.is_empty();
        let since = |to| Elapsed::between(incident.opened, to, ledger.ended);
        let detected = deeds::detected(self.transcript, incident);
        let spells = incident::spells(incident, ledger, &self.users, settings);
        let within = self.deeds.iter().filter(|deed| incident.is_open_at(deed.started) && incident.scope.contains(&deed.target));
        let worst = incident::bins(incident, ledger.ended).filter_map(|bin| self.users.bad_share(bin)).fold(0.0, f64::max);
        let felt = worst >= settings.well_below;
        // Of what is over before anybody felt or heard of it there is nothing left to detect, for however long the run goes on.
        let is_to_be_noticed = felt || detected.is_some() || incident.closed.is_none();
        IncidentOutcome {
            opened_seconds: incident.opened.as_seconds(),
            closed_seconds: incident.closed.map(Time::as_seconds),
            faults: incident.faults.clone(),
            scope: incident.scope.clone(),
            worst_bad_share: worst,
            felt,
            time_to_detect: (watched && is_to_be_noticed).then(|| since(detected)),
            time_to_mitigate: since(incident::mitigated(incident, &spells)),
            time_to_recover: since(incident::recovered(incident, ledger, &self.users, settings)),
            recurrence: spells.len().saturating_sub(1) as u64,
            actions: within.count() as u64,
            pages: deeds::pages(&self.transcript.journal, Some(incident)),
        }
    }
}

fn count_requests(transcript: &Transcript) -> RequestCounts {
    let mut counts = RequestCounts::default();
    for client in &transcript.ledger.clients {
        let overdue = users::overdue_before(client, transcript.ledger.ended);
        for index in 0..client.outcomes.len() {
            counts.arrived += 1;
            *match users::judged(client, index, overdue) {
                RequestOutcome::Good => &mut counts.good,
                RequestOutcome::Slow => &mut counts.slow,
                RequestOutcome::Failed => &mut counts.failed,
                RequestOutcome::Shed => &mut counts.shed,
                RequestOutcome::Open => &mut counts.open,
            } += 1;
        }
    }
    counts
}

/// What is not known because a bound ended a run, a sentence for each arm that it ended.
fn cut_notes<'a>(arms: &'a Arms<'_>) -> impl Iterator<Item = String> + 'a {
    let all = [Some(arms.nothing), arms.human, Some(arms.policy)].into_iter().flatten();
    all.filter_map(|run| {
        let (bound, at) = exercise::cut_short(run)?;
        let at = Span::from_seconds(at.as_nanos() / 1_000_000_000);
        Some(format!(
            "bound {bound} ended the run of {} at {at}, before its horizon: what would have come after that is not known",
            run.header.arm
        ))
    })
}

/// Warns when users are unwell before anything has happened: then no recovery can be seen.
fn notes(nothing: &Arm, settings: &OutcomeSettings) -> Vec<String> {
    let ledger = &nothing.transcript.ledger;
    let quiet_until = ledger.faults.first().map_or(ledger.ended, |fault| fault.started);
    let quiet = incident::whole_bins_before(quiet_until);
    let unwell = (0..quiet).filter(|&bin| nothing.users.bad_share(bin).is_some_and(|share| share >= settings.well_below)).count();
    if unwell == 0 {
        return Vec::new();
    }
    let limit = settings.well_below * 100.0;
    vec![format!(
        "users are unwell ({limit} % or more of requests bad) in {unwell} of {quiet} bins before the first fault; recovery may never show"
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample};

    #[test]
    fn an_outcome_reads_back_from_its_json_with_its_keys_in_order() {
        let outcome = sample::storm_outcome();
        let text = serde_json::to_string(&outcome).unwrap();
        assert!(text.starts_with("{\"schema\":\"firedrill.outcome/1\",\"engine\":"), "{}", &text[..80]);
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        assert_eq!(serde_json::to_string(&sample::storm_outcome()).unwrap(), text);
    }

    #[test]
    fn benefit_harm_and_regret_are_differences_between_arms() {
        // Ten requests a second; N loses 30 s, P 10 s, O nothing: 300, 100 and 0 user-minutes.
        let run = |bad: usize| Sample::new(120).fault("api", 30, 60).bad(30, 30 + bad as u64, 100).build();
        let (nothing, policy, oracle) = (run(30), run(10), run(0));
        let outcome =
            measure(&Arms { nothing: &nothing, policy: &policy, oracle: Some(&oracle), human: None }, &OutcomeSettings::default());
        assert_eq!((outcome.benefit, outcome.harm, outcome.regret), (200.0, 0.0, Some(100.0)));
        let worse = measure(&Arms { nothing: &policy, policy: &nothing, oracle: None, human: None }, &OutcomeSettings::default());
        assert_eq!((worse.benefit, worse.harm, worse.regret), (-200.0, 200.0, None));
        assert_eq!((worse.requests_harmed, worse.unmatched), (200, 0));
    }

    #[test]
    #[should_panic(expected = "arms are of one scenario and seed")]
    fn arms_of_different_seeds_are_not_compared() {
        let (nothing, mut policy) = (Sample::new(60).build(), Sample::new(60).build());
        policy.header.seed = 2;
        let _ = measure(&Arms { nothing: &nothing, policy: &policy, oracle: None, human: None }, &OutcomeSettings::default());
    }

    #[test]
    fn a_censored_time_is_worse_than_any_measured_one() {
        let (censored, measured) = (Elapsed { seconds: 10.0, censored: true }, Elapsed { seconds: 99.0, censored: false });
        assert_eq!(censored.worse(measured), censored);
        assert_eq!(measured.worse(censored), censored);
    }

    #[test]
    fn what_closed_before_anybody_noticed_has_no_time_to_detect_and_what_users_felt_has() {
        // The first fault is over in 5 s and nobody feels it; the second is told after 116 s.
        let run = Sample::new(1800).fault("api", 300, 305).fault("web", 900, 1100);
        let told = run.notify(1016, "service", "web").build();
        let detect =
            |run: &Transcript| measure(&Arms { nothing: run, policy: run, oracle: None, human: None }, &OutcomeSettings::default()).policy;
        let outcome = detect(&told);
        assert_eq!(outcome.incidents.len(), 2);
        assert_eq!(outcome.incidents[0].time_to_detect, None);
        assert_eq!(outcome.time_to_detect, Some(Elapsed { seconds: 116.0, censored: false }));
        let felt = Sample::new(600).fault("api", 60, 65).bad(60, 80, 50).build();
        assert_eq!(detect(&felt).time_to_detect, Some(Elapsed { seconds: 540.0, censored: true }), "users felt it and nobody was told");
    }

    #[test]
    fn a_reader_is_told_when_users_were_unwell_before_the_fault() {
        let run = Sample::new(120).fault("api", 60, 70).bad(0, 30, 10).build();
        let outcome = measure(&Arms { nothing: &run, policy: &run, oracle: None, human: None }, &OutcomeSettings::default());
        assert_eq!(outcome.notes.len(), 1);
        assert!(outcome.notes[0].contains("3 of 6 bins before the first fault"), "{}", outcome.notes[0]);
    }
}
