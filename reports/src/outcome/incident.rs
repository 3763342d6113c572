//! Incidents as they truly were: when one opened and closed, what it concerned, when users were well and all was as declared.

use std::collections::BTreeSet;
use std::ops::Range;

use firedrill_core::action::Target;
use firedrill_core::ledger::{BIN, FaultSpan, Ledger, ServiceBin, ServiceLedger};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use serde::{Deserialize, Serialize};

use super::OutcomeSettings;
use super::users::{UserSeries, end_of};

/// What an incident concerns: what its faults are attached to, closed under callers and under callees that get more to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Services, all their replicas included.
    pub services: BTreeSet<Name>,
    /// Replicas that a fault is attached to, the others of their services not included.
    #[serde(default)]
    pub replicas: BTreeSet<Name>,
    /// Zones that a fault is attached to.
    pub zones: BTreeSet<Name>,
    /// Clients.
    pub clients: BTreeSet<Name>,
    /// Nodes of those zones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<Name>,
}

impl Scope {
    /// Whether an action on a target is aimed at it. A healthy replica beside a sick one is not in it, and their service is:
    /// what is done to the whole is done to the sick one too. A calling service may be meant as a client.
    #[must_use]
    pub fn contains(&self, target: &Target) -> bool {
        match target {
            Target::Replica(replica) => {
                self.replicas.contains(replica) || target.service().is_some_and(|service| self.services.contains(&service))
            }
            Target::Service(service) => self.concerns_service(service),
            Target::Zone(zone) => self.zones.contains(zone),
            Target::Node(node) => self.nodes.contains(node),
            Target::Client(client) => self.clients.contains(client) || self.concerns_service(client),
        }
    }

    /// Whether an alert about a target speaks of it. A healthy replica has more to do beside a sick one, so an alert about any replica of a
    /// service does.
    #[must_use]
    pub fn is_felt_at(&self, target: &Target) -> bool {
        match target {
            Target::Replica(_) => target.service().is_some_and(|service| self.concerns_service(&service)),
            Target::Service(_) | Target::Zone(_) | Target::Client(_) | Target::Node(_) => self.contains(target),
        }
    }

    /// Whether a service or one of its replicas is in it.
    fn concerns_service(&self, service: &Name) -> bool {
        let owned = |replica: &Name| Target::Replica(replica.clone()).service().as_ref() == Some(service);
        self.services.contains(service) || self.replicas.iter().any(owned)
    }
}

/// An incident in one arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Onset of its first fault.
    pub opened: Time,
    /// When it was over; `None` if it was not when the run ended.
    pub closed: Option<Time>,
    /// Its faults, in order of onset.
    pub faults: Vec<Name>,
    /// Onset of its last fault.
    pub last_onset: Time,
    /// Until when users' relapses are its own: the onset of the next incident, or as long after its close as relapses are
    /// watched for, or the end of the run.
    pub relapses_until: Time,
    /// What it concerns.
    pub scope: Scope,
}

/// A stretch in which users were unwell: it ends when they have been well for as long as that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// Start of the first bin that users felt.
    pub felt: Time,
    /// From then on users were well for `hold`; `None` if the run ended first.
    pub well: Option<Time>,
}

impl Incident {
    /// Whether it was open at `at`.
    #[must_use]
    pub fn is_open_at(&self, at: Time) -> bool {
        self.opened <= at && self.closed.is_none_or(|closed| at < closed)
    }
}

/// The incidents of a run, their scopes still empty.
///
/// One opens at a fault's onset. It closes at the end of the first bin at which no fault is active, users have been well
/// for `hold` since the onset, and every queue and retry population is back in its pre-fault range: in a metastable state
/// the incident stays open after its trigger is gone. Faults that set in before it closes belong to it.
#[must_use]
pub fn incidents(ledger: &Ledger, users: &UserSeries, settings: &OutcomeSettings) -> Vec<Incident> {
    let ranges = Ranges::of(ledger, ledger);
    let mut found = Vec::new();
    let mut faults = ledger.faults.as_slice();
    while let Some(first) = faults.first() {
        let closed = (bin_of(first.started)..users.len()).find(|&bin| {
            let quiet = !ledger.faults.iter().any(|fault| is_active_at(fault, end_of(bin)));
            quiet && held_since(users, bin_of(first.started), bin, settings) && ranges.hold(ledger, bin)
        });
        let closed = closed.map(end_of).filter(|&closed| closed <= ledger.ended);
        let own = faults.partition_point(|fault| closed.is_none_or(|closed| fault.started <= closed));
        let (members, later) = faults.split_at(own);
        let watched = closed.map_or(ledger.ended, |closed| closed.saturating_add(settings.relapse_window).min(ledger.ended));
        found.push(Incident {
            opened: first.started,
            closed,
            faults: members.iter().map(|fault| fault.fault.clone()).collect(),
            last_onset: members.last().expect("the first fault is a member").started,
            relapses_until: later.first().map_or(watched, |next| watched.min(next.started)),
            scope: Scope::default(),
        });
        faults = later;
    }
    found
}

/// The stretches in which users were unwell because of an incident; several if they relapsed. Resolved to the bin.
///
/// The first begins with the first bin that users felt while it was open, since a slow leak hurts nobody at first. Another
/// begins when they are unwell again before `relapses_until`: in a bin, and in the whole `hold` that begins with it, so that
/// one slow request among many good minutes is no relapse.
#[must_use]
pub fn spells(incident: &Incident, ledger: &Ledger, users: &UserSeries, settings: &OutcomeSettings) -> Vec<Spell> {
    let mut spells = Vec::new();
    let mut felt = first_felt(incident, ledger, users, settings);
    while let Some(begun) = felt {
        let well = first_held(begun, ledger, settings, |bin| is_well(users, bin, settings));
        spells.push(Spell { felt: start_of(begun).max(incident.opened), well });
        felt = well.and_then(|well| relapse(bin_of(well) + hold_bins(settings), incident, users, settings));
    }
    spells
}

/// When users were well to stay: the end of the last stretch in which they were not; the onset if they never felt it.
///
/// Well for a moment between two relapses is not mitigated. `None` if the run ended first.
#[must_use]
pub fn mitigated(incident: &Incident, spells: &[Spell]) -> Option<Time> {
    spells.last().map_or(Some(incident.opened), |last| last.well)
}

/// When everything was as declared: users well to stay, every service with its declared replicas ready, no replica unready,
/// no rollout under way, every version healthy, no fault active, for `hold`. `None` if the run ended first. Resolved to the bin.
#[must_use]
pub fn recovered(incident: &Incident, ledger: &Ledger, users: &UserSeries, settings: &OutcomeSettings) -> Option<Time> {
    let well = mitigated(incident, &spells(incident, ledger, users, settings))?;
    let sound = |bin: usize| {
        let faulty = ledger.faults.iter().any(|fault| is_active_during(fault, bin));
        !faulty && is_well(users, bin, settings) && ledger.services.iter().all(|service| is_as_declared(service, bin))
    };
    first_held(bin_of(well.max(incident.last_onset)), ledger, settings, sound).map(|at| at.max(incident.opened))
}

/// Finds what each incident concerns. The load that callees get is read in arm N, so that a policy cannot widen its licence.
pub(super) fn find_scopes(incidents: &mut [Incident], ledger: &Ledger, nothing: &Ledger, settings: &OutcomeSettings) {
    for incident in incidents {
        let targets: Vec<&Target> =
            ledger.faults.iter().filter(|fault| incident.faults.contains(&fault.fault)).map(|fault| &fault.target).collect();
        let busier: BTreeSet<&Name> = nothing
            .services
            .iter()
            .filter(|service| grew(service, nothing, incident, settings.attempt_growth))
            .map(|service| &service.service)
            .collect();
        incident.scope = closure(seeds(&targets, nothing), &busier, nothing);
    }
}

/// The bins in which an incident was open.
pub(super) fn bins(incident: &Incident, ended: Time) -> Range<usize> {
    let end = incident.closed.unwrap_or(ended);
    bin_of(incident.opened)..(end.as_nanos().div_ceil(BIN.as_nanos()) as usize)
}

/// How many bins lie wholly before `at`.
pub(super) const fn whole_bins_before(at: Time) -> usize {
    (at.as_nanos() / BIN.as_nanos()) as usize
}

/// The largest populations of every service that pass for normal.
///
/// The range ends at the largest value of the bins before the first fault (of the whole run if there is none), plus half
/// of it and at least five: a queue's tail is longer than a short quiet stretch can show.
pub(super) struct Ranges {
    upper: Vec<(Name, u64, u64)>,
}

impl Ranges {
    /// The ranges that `normal` had before the first fault of `ledger`.
    pub(super) fn of(ledger: &Ledger, normal: &Ledger) -> Self {
        let quiet = whole_bins_before(ledger.faults.first().map_or(normal.ended, |fault| fault.started));
        let with_slack = |largest: u64| largest + (largest / 2).max(5);
        let largest = |service: &ServiceLedger, population: fn(&ServiceBin) -> u64| {
            with_slack(service.bins.iter().take(quiet).map(population).max().unwrap_or(0))
        };
        let upper = normal
            .services
            .iter()
            .map(|service| (service.service.clone(), largest(service, |bin| bin.queued), largest(service, |bin| bin.retrying)));
        Self { upper: upper.collect() }
    }

    /// Whether one service's populations are within its range at the end of a bin.
    pub(super) fn holds(&self, service: &ServiceLedger, bin: usize) -> bool {
        let Some(state) = service.bins.get(bin) else { return true };
        let range = self.upper.iter().find(|(name, ..)| *name == service.service);
        range.is_none_or(|(_, queued, retrying)| state.queued <= *queued && state.retrying <= *retrying)
    }

    fn hold(&self, ledger: &Ledger, bin: usize) -> bool {
        ledger.services.iter().all(|service| self.holds(service, bin))
    }
}

const fn bin_of(at: Time) -> usize {
    (at.as_nanos() / BIN.as_nanos()) as usize
}

fn start_of(bin: usize) -> Time {
    Time::from_nanos(BIN.as_nanos() * bin as u64)
}

fn is_active_at(fault: &FaultSpan, at: Time) -> bool {
    fault.started <= at && fault.ended.is_none_or(|ended| ended > at)
}

fn is_active_during(fault: &FaultSpan, bin: usize) -> bool {
    fault.started < end_of(bin) && fault.ended.is_none_or(|ended| ended > start_of(bin))
}

/// A bin that nobody can tell anything about is not a well one.
fn is_well(users: &UserSeries, bin: usize, settings: &OutcomeSettings) -> bool {
    users.bad_share(bin).is_some_and(|share| share < settings.well_below)
}

/// Whether a service was as declared when a bin began and when it ended: the ledger holds its state at the ends of bins.
fn is_as_declared(service: &ServiceLedger, bin: usize) -> bool {
    let sound = |bin: usize| {
        service.bins.get(bin).is_none_or(|state| {
            state.ready >= service.needed(state) && state.ready >= state.replicas && !state.rolling_out && state.healthy_version
        })
    };
    bin.checked_sub(1).is_none_or(sound) && sound(bin)
}

const fn hold_bins(settings: &OutcomeSettings) -> usize {
    settings.hold.as_nanos().div_ceil(BIN.as_nanos()) as usize
}

fn held_since(users: &UserSeries, onset: usize, last: usize, settings: &OutcomeSettings) -> bool {
    let first = (last + 1).checked_sub(hold_bins(settings)).filter(|&first| first >= onset);
    first.is_some_and(|first| (first..=last).all(|bin| is_well(users, bin, settings)))
}

fn first_felt(incident: &Incident, ledger: &Ledger, users: &UserSeries, settings: &OutcomeSettings) -> Option<usize> {
    bins(incident, ledger.ended).find(|&bin| users.bad_share(bin).is_some_and(|share| share >= settings.well_below))
}

/// The first bin from `from` on in which users are unwell again.
fn relapse(from: usize, incident: &Incident, users: &UserSeries, settings: &OutcomeSettings) -> Option<usize> {
    let unwell = |share: Option<f64>| share.is_some_and(|share| share >= settings.well_below);
    let until = whole_bins_before(incident.relapses_until).min(users.len());
    (from..until).find(|&bin| {
        let last = (bin + hold_bins(settings)).min(users.len());
        unwell(users.bad_share(bin)) && unwell(users.bad_share_within(last - hold_bins(settings).min(last)..last))
    })
}

/// The start of the first stretch of `hold`, from a bin on, in which every bin is `fine`.
fn first_held(from: usize, ledger: &Ledger, settings: &OutcomeSettings, fine: impl Fn(usize) -> bool) -> Option<Time> {
    let mut begun = from;
    for bin in from..whole_bins_before(ledger.ended) {
        if !fine(bin) {
            begun = bin + 1;
        } else if bin + 1 - begun >= hold_bins(settings) {
            return Some(start_of(begun));
        }
    }
    None
}

/// What the faults are attached to, as services, zones and clients.
fn seeds(targets: &[&Target], ledger: &Ledger) -> Scope {
    let mut scope = Scope::default();
    for target in targets {
        match target {
            Target::Service(service) => {
                scope.services.insert(service.clone());
            }
            Target::Replica(replica) => {
                scope.replicas.insert(replica.clone());
            }
            Target::Node(node) => {
                scope.nodes.insert(node.clone());
                // What stands there is spread over the nodes of its zone, and of any service some may.
                let zone = ledger.nodes.get(node);
                let there = ledger.services.iter().filter(|service| zone.is_some_and(|zone| service.zones.contains(zone)));
                scope.services.extend(there.map(|service| service.service.clone()));
            }
            Target::Zone(zone) => {
                scope.zones.insert(zone.clone());
                scope.nodes.extend(ledger.nodes.iter().filter(|(_, stands)| *stands == zone).map(|(node, _)| node.clone()));
                let there = ledger.services.iter().filter(|service| service.zones.contains(zone));
                scope.services.extend(there.map(|service| service.service.clone()));
            }
            Target::Client(client) => {
                scope.clients.insert(client.clone());
                let called = ledger.services.iter().filter(|service| service.clients.contains(client));
                scope.services.extend(called.map(|service| service.service.clone()));
            }
        }
    }
    // What is done to a zone of which every machine is ill is done to those machines.
    let is_ill = |zone: &&Name| ledger.nodes.iter().filter(|(_, stands)| stands == zone).all(|(node, _)| scope.nodes.contains(node));
    let ill: Vec<Name> = ledger.nodes.values().filter(is_ill).cloned().collect();
    scope.zones.extend(ill);
    scope
}

fn closure(mut scope: Scope, busier: &BTreeSet<&Name>, ledger: &Ledger) -> Scope {
    loop {
        let before = scope.services.len();
        for service in &ledger.services {
            let calls_member = service.calls.iter().any(|callee| scope.concerns_service(callee));
            if calls_member {
                scope.services.insert(service.service.clone());
            }
            if scope.concerns_service(&service.service) {
                scope.services.extend(service.calls.iter().filter(|callee| busier.contains(callee)).cloned());
                scope.clients.extend(service.clients.iter().cloned());
            }
        }
        if scope.services.len() == before {
            return scope;
        }
    }
}

/// Whether a service got more to do, in any minute from the onset on: beyond the factor, and beyond what chance does
/// to a Poisson count (four standard deviations), since a quiet service doubles its rate by luck.
fn grew(service: &ServiceLedger, nothing: &Ledger, incident: &Incident, factor: f64) -> bool {
    const MINUTE: usize = 6;
    let quiet = whole_bins_before(nothing.faults.first().map_or(incident.opened, |fault| fault.started));
    let before: u64 = service.bins.iter().take(quiet).map(|bin| bin.attempts).sum();
    let expected = if quiet == 0 { 0.0 } else { before as f64 * MINUTE as f64 / quiet as f64 };
    let limit = (expected * factor).max(expected + 4.0 * libm::sqrt(expected));
    let during = service.bins.get(bin_of(incident.opened)..).unwrap_or_default();
    let during = &during[..during.len().min(bins(incident, nothing.ended).len().max(MINUTE))];
    during.windows(MINUTE).any(|minute| minute.iter().map(|bin| bin.attempts).sum::<u64>() as f64 > limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use firedrill_core::transcript::Transcript;

    fn only(run: &Transcript) -> (Incident, UserSeries) {
        let settings = OutcomeSettings::default();
        let users = UserSeries::of(&run.ledger, &settings);
        let mut found = incidents(&run.ledger, &users, &settings);
        find_scopes(&mut found, &run.ledger, &run.ledger, &settings);
        assert_eq!(found.len(), 1);
        (found.remove(0), users)
    }

    fn times(run: &Transcript) -> (Option<f64>, Option<f64>, Option<f64>) {
        let settings = OutcomeSettings::default();
        let (incident, users) = only(run);
        let seconds = |at: Option<Time>| at.map(Time::as_seconds);
        (
            seconds(incident.closed),
            seconds(mitigated(&incident, &spells(&incident, &run.ledger, &users, &settings))),
            seconds(recovered(&incident, &run.ledger, &users, &settings)),
        )
    }

    #[test]
    fn an_incident_closes_when_users_have_been_well_for_a_minute() {
        let run = Sample::new(300).fault("api", 60, 80).bad(60, 100, 50).build();
        assert_eq!(times(&run), (Some(160.0), Some(100.0), Some(100.0)));
    }

    #[test]
    fn an_incident_stays_open_while_its_queue_is_full_although_its_trigger_is_gone() {
        let run = Sample::new(300).fault("api", 60, 80).queued("api", 60, 250, 400).build();
        // Users never felt it, but the queue is back only in the bin that ends at 260 s.
        assert_eq!(times(&run), (Some(260.0), Some(60.0), Some(80.0)));
    }

    #[test]
    fn an_incident_stays_open_while_retries_keep_coming() {
        let run = Sample::new(300).fault("api", 60, 80).retrying("api", 60, 300, 50).build();
        assert_eq!(times(&run).0, None);
    }

    #[test]
    fn recovery_needs_the_declared_replicas_and_the_end_of_the_fault() {
        let run = Sample::new(600).fault("api", 60, 200).bad(60, 100, 50).ready("api", 60, 250, 1).build();
        assert_eq!(times(&run), (Some(200.0), Some(100.0), Some(260.0)));
    }

    #[test]
    fn recovery_waits_for_the_replica_that_comes_within_a_bin() {
        // Ready at some time after 240 s and before 250 s: the bin's end is the first time at which it is known to be.
        let run = Sample::new(600).fault("api", 60, 200).ready("api", 60, 240, 1).build();
        assert_eq!(times(&run).2, Some(250.0));
    }

    #[test]
    fn what_did_not_come_before_the_end_is_not_made_up() {
        let run = Sample::new(300).fault("api", 60, 80).bad(60, 260, 50).build();
        assert_eq!(times(&run), (None, None, None));
    }

    #[test]
    fn a_slow_fault_counts_from_when_users_feel_it() {
        let run = Sample::new(600).fault("api", 60, 400).bad(300, 350, 50).build();
        assert_eq!(times(&run), (Some(410.0), Some(350.0), Some(400.0)));
    }

    #[test]
    fn users_who_fall_ill_again_were_not_well_to_stay() {
        // A leak that kills everything every few minutes: each time users are well again for more than a minute.
        let run = Sample::new(1200).fault("api", 60, 900).bad(200, 220, 100).bad(400, 420, 100).bad(700, 760, 100).build();
        assert_eq!(times(&run), (Some(900.0), Some(760.0), Some(900.0)));
        let settings = OutcomeSettings::default();
        let (incident, users) = only(&run);
        let found = spells(&incident, &run.ledger, &users, &settings);
        let seconds: Vec<_> = found.iter().map(|spell| (spell.felt.as_seconds(), spell.well.map(Time::as_seconds))).collect();
        assert_eq!(seconds, [(200.0, Some(220.0)), (400.0, Some(420.0)), (700.0, Some(760.0))]);
    }

    #[test]
    fn users_who_are_ill_again_when_the_run_ends_were_never_well_to_stay() {
        let run = Sample::new(600).fault("api", 60, 100).bad(60, 100, 100).bad(560, 600, 100).build();
        // The incident had closed: what comes back without a new fault is the same incident all the same.
        assert_eq!(times(&run), (Some(160.0), None, None));
    }

    #[test]
    fn a_slow_request_now_and_then_is_no_relapse() {
        // One request of a hundred in a bin is at the limit, one of six hundred in a minute is not.
        let run = Sample::new(600).fault("api", 60, 100).bad(60, 100, 100).bad(300, 310, 1).bad(400, 410, 1).build();
        assert_eq!(times(&run), (Some(160.0), Some(100.0), Some(100.0)));
    }

    #[test]
    fn what_comes_after_the_next_fault_is_the_next_incidents() {
        let settings = OutcomeSettings::default();
        let run = Sample::new(1200).fault("api", 60, 80).bad(60, 80, 100).fault("db", 500, 520).bad(500, 600, 100).build();
        let users = UserSeries::of(&run.ledger, &settings);
        let found = incidents(&run.ledger, &users, &settings);
        let well: Vec<_> = found.iter().map(|own| mitigated(own, &spells(own, &run.ledger, &users, &settings))).collect();
        assert_eq!(well, [80, 600].map(|second| Some(Time::from_seconds(second))));
    }

    #[test]
    fn relapses_are_watched_for_half_an_hour_after_the_close() {
        let times = |again: u64| times(&Sample::new(3600).fault("api", 60, 100).bad(60, 100, 100).bad(again, again + 60, 100).build());
        // Closed at 160 s: watched until 1960 s.
        assert_eq!((times(1900).1, times(2000).1), (Some(1960.0), Some(100.0)));
    }

    #[test]
    fn a_fault_after_the_close_opens_another_incident_and_one_before_it_belongs_to_the_first() {
        let settings = OutcomeSettings::default();
        let count = |second: u64| {
            let run = Sample::new(900).fault("api", 60, 80).fault("db", second, second + 20).build();
            incidents(&run.ledger, &UserSeries::of(&run.ledger, &settings), &settings).iter().map(|i| i.faults.len()).collect::<Vec<_>>()
        };
        assert_eq!(count(100), [2]);
        assert_eq!(count(500), [1, 1]);
    }

    #[test]
    fn a_scope_takes_in_callers_but_not_idle_callees() {
        let (incident, _) = only(&Sample::new(300).fault("api", 60, 80).build());
        assert_eq!(incident.scope.services, BTreeSet::from(["api", "web"].map(Name::new)));
        assert_eq!(incident.scope.clients, BTreeSet::from([Name::new("users")]));
        let within = |text: &str| incident.scope.contains(&text.parse().unwrap());
        assert!(
            within("service/api") && within("replica/api-1") && within("replica/web-0") && within("client/users") && within("client/web")
        );
        assert!(!within("service/db") && !within("replica/db-0") && !within("zone/a") && !within("client/batch"));
    }

    #[test]
    fn a_healthy_replica_is_not_in_the_scope_of_its_sick_neighbours_fault() {
        let scope = only(&Sample::new(300).fault_on("replica/api-1".parse().unwrap(), 60, 80).build()).0.scope;
        let within = |text: &str| scope.contains(&text.parse().unwrap());
        assert!(within("replica/api-1") && within("service/api") && within("replica/web-0"));
        assert!(!within("replica/api-0") && !within("replica/api-10") && !within("service/db"));
        // Its load shows at the others, so that alerts about them are no false alarms.
        assert!(scope.is_felt_at(&"replica/api-0".parse().unwrap()) && !scope.is_felt_at(&"replica/db-0".parse().unwrap()));
    }

    #[test]
    fn a_callee_that_gets_half_as_much_again_to_do_is_in_scope_and_one_with_a_tenth_more_is_not() {
        let scope = |attempts| only(&Sample::new(300).fault("api", 60, 80).attempts("db", 60, 120, attempts).build()).0.scope;
        assert!(scope(150).services.contains("db"));
        assert!(!scope(110).services.contains("db"));
    }

    #[test]
    fn a_zone_brings_the_services_that_stand_there_and_a_surge_the_service_called() {
        let zone = only(&Sample::new(300).fault_on("zone/b".parse().unwrap(), 60, 80).build()).0.scope;
        assert_eq!(zone.zones, BTreeSet::from([Name::new("b")]));
        assert_eq!(zone.services, BTreeSet::from(["api", "web"].map(Name::new)));
        let surge = only(&Sample::new(300).fault_on("client/users".parse().unwrap(), 60, 80).build()).0.scope;
        assert_eq!(surge.services, BTreeSet::from([Name::new("web")]));
    }
}
