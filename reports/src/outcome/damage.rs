//! What the policy cost: requests that it spoilt, how far it reached, capacity that it took and added.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Event, Journal, Record, ReplicaState, Verification};
use firedrill_core::ledger::{Ledger, RequestOutcome, ServiceLedger};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_core::transcript::Transcript;
use serde::{Deserialize, Serialize};

use super::deeds::Deed;
use super::incident::Ranges;
use super::users::{end_of, judged, overdue_before};
use super::{Arms, Elapsed};

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// The share, 0 to 1; 0 of nothing.
    #[must_use]
    pub fn ratio(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }
}

/// How far the policy reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// Effective: services impaired in P and not in N, of the declared. Impaired: fewer replicas ready than declared, an
    /// unsound version, or a queue or retry population beyond its normal range.
    pub services: Share,
    /// Effective: replicas that stopped being ready in P and not in N, of the declared.
    pub replicas: Share,
    /// Effective: requests good in N and bad in P, of those that exist in both. A request stands for its user.
    pub requests: Share,
    /// Commanded: the largest share of one service's replicas under action at one time, 0 to 1.
    pub commanded_service: f64,
    /// Commanded: the same of one zone's replicas.
    pub commanded_zone: f64,
    /// Commanded: the same of all replicas.
    pub commanded_fleet: f64,
}

/// Requests of two arms side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// In both arms.
    pub matched: u64,
    /// Good in N and bad in P.
    pub harmed: u64,
    /// In one arm only.
    pub unmatched: u64,
}

/// Matches requests by client and ordinal.
pub(super) fn matching(nothing: &Ledger, policy: &Ledger) -> Matching {
    let mut matching = Matching::default();
    for client in &policy.clients {
        let Some(alone) = nothing.clients.iter().find(|other| other.client == client.client) else {
            matching.unmatched += client.outcomes.len() as u64;
            continue;
        };
        let (overdue, overdue_alone) = (overdue_before(client, policy.ended), overdue_before(alone, nothing.ended));
        let both = client.outcomes.len().min(alone.outcomes.len());
        let harmed = (0..both)
            .filter(|&index| judged(alone, index, overdue_alone) == RequestOutcome::Good && judged(client, index, overdue).is_bad());
        matching.harmed += harmed.count() as u64;
        matching.matched += both as u64;
        matching.unmatched += (client.outcomes.len().abs_diff(alone.outcomes.len())) as u64;
    }
    let gone = nothing.clients.iter().filter(|client| !policy.clients.iter().any(|other| other.client == client.client));
    matching.unmatched += gone.map(|client| client.outcomes.len() as u64).sum::<u64>();
    matching
}

/// How far the policy reached, in effect and by command.
pub(super) fn blast_radius(arms: &Arms, deeds: &[Deed], matching: Matching) -> BlastRadius {
    let (nothing, policy) = (&arms.nothing.ledger, &arms.policy.ledger);
    let normal = Ranges::of(nothing, nothing);
    let services = impaired_services(policy, &normal).difference(&impaired_services(nothing, &normal)).count() as u64;
    let replicas = unready_replicas(arms.policy).difference(&unready_replicas(arms.nothing)).count() as u64;
    let commanded = commanded(deeds, policy);
    BlastRadius {
        services: Share { count: services, of: policy.services.len() as u64 },
        replicas: Share { count: replicas, of: policy.services.iter().map(|service| u64::from(service.declared)).sum() },
        requests: Share { count: matching.harmed, of: matching.matched },
        commanded_service: commanded.service,
        commanded_zone: commanded.zone,
        commanded_fleet: commanded.fleet,
    }
}

/// The largest share of a service's declared replicas that actions took out of service, 0 to 1.
pub(super) fn capacity_removed(ledger: &Ledger) -> f64 {
    let share = |service: &ServiceLedger| {
        let most = service.bins.iter().map(|bin| bin.removed_by_actions).max().unwrap_or(0);
        (f64::from(most) / f64::from(service.declared.max(1))).min(1.0)
    };
    ledger.services.iter().map(share).fold(0.0, f64::max)
}

/// Replica-hours beyond those of doing nothing, service by service, so that one's saving does not hide another's cost.
pub(super) fn capacity_added(nothing: &Ledger, policy: &Ledger) -> f64 {
    let alone = |name: &Name| nothing.services.iter().find(|service| service.service == *name).map_or(0.0, |s| s.totals.replica_hours);
    policy.services.iter().map(|service| (service.totals.replica_hours - alone(&service.service)).max(0.0)).sum()
}

/// From a failed verification until what its action had changed is as it was before: of every service that it touched as many replicas wanted, none out
/// of service because of actions, no rollout under way; and no limit of retries that it set. The longest; `None` if no verification failed of an action
/// that leaves such a thing behind.
pub(super) fn time_to_undo(run: &Transcript) -> Option<Elapsed> {
    let records = run.journal.records();
    let failures = records.iter().enumerate().filter_map(|(index, record)| match &record.event {
        Event::Verified { policy, incident, step, verdict: Verification::Failed, .. } => {
            Some((index, record.at, (policy, *incident, *step)))
        }
        _ => None,
    });
    let undone = failures.filter_map(|(index, failed, step)| {
        let Decision { at: decided, what, target } = decision(&records[..index], step)?;
        if let Action::LimitRetries { .. } = what {
            return Some(Elapsed::between(failed, limit_lifted(&run.journal, decided, failed), run.ledger.ended));
        }
        let touched = run.ledger.services.iter().filter(|service| is_touched(service, target));
        let normal = touched.map(|service| Elapsed::between(failed, back_to_normal(service, decided, failed), run.ledger.ended));
        normal.reduce(Elapsed::worse)
    });
    undone.reduce(Elapsed::worse)
}

/// What was decided, and when.
struct Decision<'a> {
    at: Time,
    what: &'a Action,
    target: &'a Target,
}

/// The last decision of a step. What undoes it is decided in the instant of the failure, and stands after it.
fn decision<'a>(before: &'a [Record], wanted: (&Name, u64, u32)) -> Option<Decision<'a>> {
    before.iter().rev().find_map(|record| match &record.event {
        Event::Decided { policy, incident, step, what, target, .. } if (policy, *incident, *step) == wanted => {
            Some(Decision { at: record.at, what, target })
        }
        _ => None,
    })
}

/// Whether an action on a target changes a service: the one that it is, or belongs to, and every one with replicas in its zone. Which replicas a node
/// has is not known afterwards.
fn is_touched(service: &ServiceLedger, target: &Target) -> bool {
    match target {
        Target::Zone(zone) => service.zones.contains(zone),
        _ => target.service().is_some_and(|name| name == service.service),
    }
}

/// When the last limit of retries that was set between a decision and the failure of its verification is lifted again, or was, whoever it is of.
fn limit_lifted(journal: &Journal, decided: Time, failed: Time) -> Option<Time> {
    let mut limited: BTreeMap<&Name, bool> = BTreeMap::new();
    for record in journal.records().iter().filter(|record| record.at >= decided) {
        let Event::RetriesLimited { caller, retries } = &record.event else { continue };
        if retries.is_none() {
            limited.insert(caller, false);
        } else if record.at <= failed {
            limited.insert(caller, true);
        }
        if record.at >= failed && limited.values().all(|on| !on) {
            return Some(record.at);
        }
    }
    limited.values().all(|on| !on).then_some(failed)
}

fn back_to_normal(service: &ServiceLedger, decided: Time, failed: Time) -> Option<Time> {
    let before = (0..service.bins.len()).rev().find(|&bin| end_of(bin) <= decided).map_or(service.declared, |bin| service.bins[bin].wanted);
    let normal = |bin: usize| {
        let state = &service.bins[bin];
        end_of(bin) >= failed && state.wanted == before && state.removed_by_actions == 0 && !state.rolling_out
    };
    (0..service.bins.len()).find(|&bin| normal(bin)).map(end_of)
}

fn impaired_services(ledger: &Ledger, normal: &Ranges) -> BTreeSet<Name> {
    let impaired = |service: &ServiceLedger| {
        (0..service.bins.len()).any(|bin| {
            let state = &service.bins[bin];
            state.ready < service.needed(state) || !state.healthy_version || !normal.holds(service, bin)
        })
    };
    ledger.services.iter().filter(|service| impaired(service)).map(|service| service.service.clone()).collect()
}

/// Replicas that were ready, as the declared ones are from the start, and then were not.
fn unready_replicas(run: &Transcript) -> BTreeSet<Name> {
    let declared = run.ledger.services.iter();
    let mut ready: BTreeSet<Name> =
        declared.flat_map(|s| (0..s.declared).map(|index| Inventory::replica_name(&s.service, index))).collect();
    let mut lost = BTreeSet::new();
    for record in run.journal.records() {
        if let Event::ReplicaChanged { replica, state, .. } = &record.event {
            if *state == ReplicaState::Ready {
                ready.insert(replica.clone());
            } else if ready.contains(replica) {
                lost.insert(replica.clone());
            }
        }
    }
    lost
}

#[derive(Default)]
struct Commanded {
    service: f64,
    zone: f64,
    fleet: f64,
}

/// The largest shares under action at one time; they can only grow when an action starts, so those instants suffice.
fn commanded(deeds: &[Deed], ledger: &Ledger) -> Commanded {
    let mut largest = Commanded::default();
    for deed in deeds {
        let under_way = |other: &&Deed| other.started <= deed.started && other.finished.is_none_or(|finished| finished > deed.started);
        // What ends in the instant in which it starts was under way in that instant.
        let current = deeds.iter().filter(under_way).chain(std::iter::once(deed));
        let reached: BTreeSet<(Name, u32)> = current.flat_map(|other| replicas_of(&other.target, ledger)).collect();
        let shares = shares(&reached, ledger);
        largest.service = largest.service.max(shares.service);
        largest.zone = largest.zone.max(shares.zone);
        largest.fleet = largest.fleet.max(shares.fleet);
    }
    largest
}

fn replicas_of(target: &Target, ledger: &Ledger) -> Vec<(Name, u32)> {
    let all = ledger.services.iter().flat_map(|service| (0..service.declared).map(move |index| (service, index)));
    let meant = all.filter(|(service, index)| match target {
        Target::Service(name) => service.service == *name,
        Target::Replica(name) => Inventory::replica_name(&service.service, *index) == *name,
        Target::Zone(zone) => zone_of(service, *index) == Some(zone),
        Target::Node(node) => ledger.nodes.get(node).is_some_and(|zone| on_one_of(service, *index, ledger, zone)),
        Target::Client(_) => false,
    });
    meant.map(|(service, index)| (service.service.clone(), index)).collect()
}

/// Whether a replica is among those of its zone that one node has if they are spread evenly; which they are is not known.
fn on_one_of(service: &ServiceLedger, index: u32, ledger: &Ledger, zone: &Name) -> bool {
    let nodes = ledger.nodes.values().filter(|stands| *stands == zone).count();
    let zones = service.zones.len().max(1);
    zone_of(service, index) == Some(zone) && (index as usize / zones).is_multiple_of(nodes.max(1))
}

fn zone_of(service: &ServiceLedger, index: u32) -> Option<&Name> {
    let count = service.zones.len();
    (count > 0).then(|| &service.zones[index as usize % count])
}

fn shares(reached: &BTreeSet<(Name, u32)>, ledger: &Ledger) -> Commanded {
    let mut zones: BTreeMap<&Name, Share> = BTreeMap::new();
    let mut fleet = Share::default();
    let mut largest = Commanded::default();
    for service in &ledger.services {
        let mut own = Share::default();
        for index in 0..service.declared {
            let hit = u64::from(reached.contains(&(service.service.clone(), index)));
            let zone = zone_of(service, index).map(|zone| zones.entry(zone).or_default());
            for share in [Some(&mut own), Some(&mut fleet), zone].into_iter().flatten() {
                share.count += hit;
                share.of += 1;
            }
        }
        largest.service = largest.service.max(own.ratio());
    }
    largest.zone = zones.values().map(|share| share.ratio()).fold(0.0, f64::max);
    largest.fleet = fleet.ratio();
    largest
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, OutcomeSettings, measure};
    use super::*;
    use crate::sample::Sample;
    use firedrill_core::action::{RestartMode, Scale};

    const RESTART: Action = Action::Restart { mode: RestartMode::AtOnce };

    fn measured(nothing: Sample, policy: Sample) -> Outcome {
        let (nothing, policy) = (nothing.build(), policy.build());
        measure(&Arms { nothing: &nothing, policy: &policy, oracle: None, human: None }, &OutcomeSettings::default())
    }

    #[test]
    fn harmed_requests_are_good_alone_and_bad_with_the_policy_and_the_rest_is_not() {
        let outcome = measured(Sample::new(60).bad(0, 10, 30), Sample::new(60).bad(0, 20, 50));
        // The first 30 of bin 0 are bad in both; 20 more there and 50 in bin 1 are bad in P only.
        assert_eq!((outcome.requests_harmed, outcome.unmatched), (70, 0));
        assert_eq!(outcome.blast_radius.requests, Share { count: 70, of: 600 });
    }

    #[test]
    fn requests_of_a_longer_arm_are_unmatched() {
        assert_eq!(measured(Sample::new(60), Sample::new(90)).unmatched, 300);
        assert_eq!(measured(Sample::new(90), Sample::new(60)).unmatched, 300);
    }

    #[test]
    fn a_service_is_in_the_blast_radius_if_only_the_policy_impaired_it() {
        let faulty = || Sample::new(300).fault("api", 60, 100).ready("api", 60, 100, 1);
        let outcome = measured(faulty(), faulty().ready("web", 120, 130, 0).queued("db", 120, 130, 99));
        assert_eq!(outcome.blast_radius.services, Share { count: 2, of: 3 });
    }

    #[test]
    fn replicas_count_that_only_the_policy_took_down() {
        let gone = |run: Sample, name: &str| {
            let event = Event::ReplicaChanged { replica: Name::new(name), state: ReplicaState::Waiting, reason: "killed".into() };
            run.record(100, event)
        };
        let nothing = gone(Sample::new(300), "api-0");
        let policy = gone(gone(gone(Sample::new(300), "api-0"), "api-1"), "api-7");
        // api-7 was never ready: it is a new one that is starting.
        assert_eq!(measured(nothing, policy).blast_radius.replicas, Share { count: 1, of: 5 });
    }

    #[test]
    fn the_commanded_radius_is_the_largest_share_under_action_at_one_time() {
        let commanded = |run: Sample| {
            let radius = measured(Sample::new(300), run).blast_radius;
            (radius.commanded_service, radius.commanded_zone, radius.commanded_fleet)
        };
        // web 2, api 2 in zones a, b; db 1 in zone a: zone a holds 3, zone b 2, all 5.
        assert_eq!(commanded(Sample::new(300)), (0.0, 0.0, 0.0));
        assert_eq!(commanded(Sample::new(300).act(100, RESTART, "replica/api-1")), (0.5, 0.5, 0.2));
        assert_eq!(commanded(Sample::new(300).act(100, RESTART, "service/db")), (1.0, 1.0 / 3.0, 0.2));
        assert_eq!(commanded(Sample::new(300).act(100, Action::Drain, "zone/b")), (0.5, 1.0, 0.4));
        // Sample actions take 5 s: together when 2 s apart, one after the other when 20 s apart.
        assert_eq!(commanded(Sample::new(300).act(100, RESTART, "replica/api-0").act(102, RESTART, "replica/api-1")).0, 1.0);
        assert_eq!(commanded(Sample::new(300).act(100, RESTART, "replica/api-0").act(120, RESTART, "replica/api-1")).0, 0.5);
        let limit = Action::LimitRetries { retries: 0, lasting: firedrill_core::time::Span::from_seconds(20) };
        assert_eq!(commanded(Sample::new(300).act(100, limit, "client/users")), (0.0, 0.0, 0.0));
    }

    #[test]
    fn capacity_removed_is_the_largest_share_and_added_is_replica_hours() {
        let mut nothing = Sample::new(300).build();
        let mut policy = Sample::new(300).build();
        policy.ledger.services[0].bins[4].removed_by_actions = 1;
        (nothing.ledger.services[0].totals.replica_hours, policy.ledger.services[0].totals.replica_hours) = (2.0, 3.5);
        (nothing.ledger.services[1].totals.replica_hours, policy.ledger.services[1].totals.replica_hours) = (2.0, 1.0);
        let outcome = measure(&Arms { nothing: &nothing, policy: &policy, oracle: None, human: None }, &OutcomeSettings::default());
        assert_eq!((outcome.capacity_removed, outcome.capacity_added), (0.5, 1.5));
    }

    #[test]
    fn undoing_takes_from_the_failed_verification_until_the_service_is_as_before() {
        let failed = Event::Verified {
            policy: Name::new("sample"),
            incident: 0,
            step: 0,
            verdict: Verification::Failed,
            figures: String::new(),
            took: firedrill_core::time::Span::ZERO,
        };
        let scale = Action::Scale { replicas: Scale::By(2) };
        let run = || Sample::new(300).act(100, scale.clone(), "service/api").record(150, failed.clone());
        let undo = |run: Sample| {
            let run = run.build();
            time_to_undo(&run).map(|undo| (undo.seconds, undo.censored))
        };
        assert_eq!(undo(run().wanted("api", 100, 200, 4)), Some((60.0, false)));
        assert_eq!(undo(run().wanted("api", 100, 300, 4)), Some((150.0, true)));
        assert_eq!(undo(Sample::new(300)), None);
        // The undoing is decided in the instant in which the verification fails.
        let reverted = Sample::new(300).act(100, scale.clone(), "service/api").record(150, failed.clone());
        let reverted = reverted.act(150, Action::Scale { replicas: Scale::By(-2) }, "service/api").wanted("api", 100, 150, 4);
        assert_eq!(undo(reverted), Some((10.0, false)));
        // A drained zone is undone once every service with replicas in it is as it was.
        let drained = || Sample::new(300).act(100, Action::Drain, "zone/b").record(150, failed.clone());
        assert_eq!(undo(drained().wanted("api", 100, 200, 4)), Some((60.0, false)));
        assert_eq!(undo(drained().wanted("api", 100, 200, 4).wanted("web", 100, 250, 1)), Some((110.0, false)));
        // A limit of retries ends by itself.
        let limit = Action::LimitRetries { retries: 0, lasting: firedrill_core::time::Span::from_seconds(80) };
        let limited = |second: u64, retries: Option<u32>| (second, Event::RetriesLimited { caller: Name::new("users"), retries });
        let with = |events: Vec<(u64, Event)>| {
            let run = Sample::new(300).act(100, limit.clone(), "client/users").record(150, failed.clone());
            undo(events.into_iter().fold(run, |run, (second, event)| run.record(second, event)))
        };
        assert_eq!(with(vec![limited(101, Some(0)), limited(181, None)]), Some((31.0, false)));
        assert_eq!(with(vec![limited(101, Some(0))]), Some((150.0, true)));
        assert_eq!(with(vec![limited(101, Some(0)), limited(140, None)]), Some((0.0, false)));
    }
}
