//! The life of replicas: crash back-off, memory, liveness, rollouts, zones, and the actions that touch them (docs/MODEL.md 1.4 and 7).

use std::sync::Arc;

use crate::common::*;
use firedrill_core::action::{Action, ActionId, ActionOutcome, ActionResult, Actuator, Command, Fence, RestartMode, Scale, Target};
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::ledger::RequestOutcome;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Factor};
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Time};
use firedrill_core::transcript::Desk;
use firedrill_sim::spec::{
    ActuatorFaultSpec, Amount, FaultKind, MemorySpec, Misdeed, NodePoolSpec, Phase, ProbePath, ProbeSpec, ThreadSpec, WorldSpec,
};
use firedrill_sim::{Automation, Finished, Options, Run};
use firedrill_telemetry::store::Store;

/// One service `api` with so many replicas, lightly used.
fn fleet(replicas: u32, horizon: u64) -> WorldSpec {
    let mut api = service("api", vec![Phase::Cpu(exponential(0.01))]);
    api.replicas = replicas;
    api.workers = Some(8);
    world(horizon, vec![api], vec![client("users", "api", 20.0)])
}

/// The same on one node that has room for so many.
fn with_room_for(room: u64, mut spec: WorldSpec) -> WorldSpec {
    spec.services[0].life.request_millicores = 1000;
    spec.nodes = vec![NodePoolSpec { name: Name::new("n"), count: 1, zone: Name::new("a"), millicores: 1000 * room, memory: mib(1000) }];
    spec
}

fn crash_times<A>(finished: &Finished<A>) -> Vec<f64> {
    let crash = |event: &Event| match event {
        Event::ReplicaChanged { state: ReplicaState::Waiting, reason, .. } => Some(reason.clone()),
        _ => None,
    };
    told(finished, crash).into_iter().map(|(time, _)| time).collect()
}

#[track_caller]
fn check_crash_loop(life: u64, expected: &[u32]) {
    let mut spec = fleet(1, u64::from(*expected.last().unwrap()) + 1);
    spec.services[0].versions[0].crash_after = Some(Span::from_seconds(life));
    let times: Vec<u32> = crash_times(&run(&spec, 1)).into_iter().map(|time| time as u32).collect();
    assert_eq!(times, expected);
}

#[test]
fn k1_a_process_that_dies_after_each_start_backs_off() {
    check_crash_loop(5, &[5, 10, 25, 50, 95, 180, 345, 650, 955]);
    check_crash_loop(60, &[60, 120, 190, 270, 370, 510, 730, 1090, 1450]);
    check_crash_loop(540, &[540, 1080, 1630, 2190, 2770, 3390]);
    check_crash_loop(601, &[601, 1202, 1803]);
}

#[test]
fn k2_a_hung_process_is_killed_by_its_liveness_probe_within_31_s() {
    let mut earliest = f64::MAX;
    let mut latest: f64 = 0.0;
    // The phase belongs to the replica's name, so names are varied.
    for number in 0..40 {
        let mut spec = fleet(1, 200);
        let name = format!("api{number}");
        spec.services[0].name = Name::new(&name);
        spec.clients[0].service = Name::new(&name);
        spec.services[0].liveness = Some(liveness(10, 3));
        spec.faults = vec![fault("hang", 100, None, FaultKind::Hang { target: service_target(&name) })];
        let finished = run(&spec, 7);
        let kills = crash_times(&finished);
        assert_eq!(kills.len(), 1);
        earliest = earliest.min(kills[0] - 100.0);
        latest = latest.max(kills[0] - 100.0);
        assert!(finished.ledger.faults[0].ended.is_some(), "the restart cures the hang");
    }
    assert!((21.0..24.0).contains(&earliest) && (28.0..=31.0).contains(&latest), "{earliest} to {latest}");
}

#[test]
fn a_probe_that_waits_for_longer_than_its_period_is_asked_again_when_it_has_given_up() {
    // The kubelet asks one after the other (`worker.go`, `doProbe`), and its ticker keeps one tick: three of 10 s take 30 s, whatever the period is.
    let kills = |delay: u64| -> Vec<f64> {
        let mut spec = fleet(1, 200);
        let probe = ProbeSpec { timeout: Span::from_seconds(10), initial_delay: Span::from_seconds(delay), ..liveness(4, 3) };
        spec.services[0].liveness = Some(probe);
        spec.faults = vec![fault("hang", 100, None, FaultKind::Hang { target: service_target("api") })];
        crash_times(&run(&spec, 7))
    };
    let [shortcut, played] = [kills(0), kills(1)];
    assert_eq!(shortcut, played, "with a delay each probe is played out");
    assert!((130.0..=134.0).contains(&shortcut[0]), "{shortcut:?}");
}

#[test]
fn a_probe_that_is_played_out_says_what_the_shortcut_says() {
    for number in 0_u64..40 {
        let mut spec = fleet(2, 300);
        let name = format!("api{number}");
        spec.services[0].name = Name::new(&name);
        spec.clients[0].service = Name::new(&name);
        spec.services[0].liveness = Some(liveness(7, 2));
        // The second hang meets a replica that the run has made, the third is over before it is noticed, or after.
        spec.cures = vec![cure(35, Action::Scale { replicas: Scale::By(1) }, service_target(&name))];
        let hang = |at, lasting, index: u32| {
            fault(&format!("hang{at}"), at, lasting, FaultKind::Hang { target: replica_target(&format!("{name}-{index}")) })
        };
        spec.faults = vec![hang(30, None, 0), hang(100, None, 2), hang(200, Some(number / 2 + 1), 1)];
        let shortcut = crash_times(&run_cured(&spec, 7));
        spec.services[0].liveness.as_mut().unwrap().initial_delay = Span::from_seconds(1);
        assert_eq!(crash_times(&run_cured(&spec, 7)), shortcut, "{name}");
        assert!((2..=3).contains(&shortcut.len()), "{shortcut:?}");
    }
}

/// Changes of a replica's state, after its first.
fn life(finished: &Finished<impl std::fmt::Debug>, name: &str) -> Vec<(f64, ReplicaState)> {
    let changes = finished.journal.records().iter().filter_map(|record| match &record.event {
        Event::ReplicaChanged { replica, state, .. } if replica.as_str() == name => Some((record.at.since(at(0)).as_seconds(), *state)),
        _ => None,
    });
    changes.collect()
}

#[test]
fn a_hung_replica_leaves_balancing_when_its_readiness_probe_fails_and_comes_back() {
    let mut spec = fleet(2, 300);
    spec.services[0].life.readiness = Some(liveness(5, 3));
    spec.faults = vec![fault("hang", 100, Some(60), FaultKind::Hang { target: replica_target("api-0") })];
    let finished = run(&spec, 7);
    let [(unready, ReplicaState::Unready), (ready, ReplicaState::Ready)] = life(&finished, "api-0")[..] else {
        panic!("{:?}", life(&finished, "api-0"))
    };
    assert!((111.0..=116.0).contains(&unready), "{unready}");
    assert!((160.0..=165.0).contains(&ready), "{ready}");
    assert_eq!(finished.ledger.services[0].bins[13].ready, 1);
}

#[test]
fn a_new_replica_waits_for_its_node_its_image_its_start_and_its_probes() {
    let mut spec = fleet(1, 300);
    let seconds_of = |value: f64| Some(Distribution::constant(value).unwrap());
    let life_spec = &mut spec.services[0].life;
    life_spec.scheduling = seconds_of(2.0);
    life_spec.pull = seconds_of(20.0);
    life_spec.startup = Some(liveness(4, 30));
    life_spec.readiness = Some(liveness(10, 3));
    spec.cures = vec![cure(100, Action::Scale { replicas: Scale::To(2) }, service_target("api"))];
    let finished = run_cured(&spec, 1);
    // Its probes tick from 102 s on; the process starts at 122 s and is up at 132 s; readiness follows the startup probe at once.
    let expected = [
        (100.0, ReplicaState::Pending),
        (102.0, ReplicaState::Pulling),
        (122.0, ReplicaState::Starting),
        (132.0, ReplicaState::Unready),
        (134.0, ReplicaState::Ready),
    ];
    assert_eq!(life(&finished, "api-1"), expected);
}

#[test]
fn a_replica_that_loses_its_zone_while_it_waits_for_a_node_is_probed_all_the_same() {
    let mut spec = fleet(1, 300);
    spec.services[0].life.scheduling = Some(seconds(10.0));
    spec.services[0].life.readiness = Some(liveness(10, 3));
    spec.cures = vec![cure(100, Action::Scale { replicas: Scale::To(2) }, service_target("api"))];
    spec.faults = vec![fault("zone", 105, Some(20), FaultKind::ZoneLoss { zone: Name::new("a") })];
    let changes = life(&run_cured(&spec, 1), "api-1");
    assert_eq!(changes.last(), Some(&(135.0, ReplicaState::Ready)), "{changes:?}");
}

#[test]
fn a_liveness_probe_on_the_port_of_requests_kills_what_starts_too_slowly_unless_it_is_told_to_wait() {
    let kills = |initial_delay: u64, startup: bool| {
        let mut spec = fleet(1, 300);
        spec.services[0].start_up = seconds(45.0);
        let demand = || ProbePath::Traffic(seconds(0.001));
        spec.services[0].liveness = Some(ProbeSpec { initial_delay: Span::from_seconds(initial_delay), path: demand(), ..liveness(10, 3) });
        spec.services[0].life.startup = startup.then(|| ProbeSpec { path: demand(), ..liveness(10, 30) });
        spec.faults = vec![fault("crash", 50, None, FaultKind::Crash { target: replica_target("api-0"), every: None })];
        crash_times(&run(&spec, 1)).len()
    };
    assert!(kills(0, false) > 3);
    assert_eq!([kills(45, false), kills(0, true)], [1, 1]);
}

#[test]
fn a_probe_among_requests_fails_where_they_wait_too_long_and_counts_with_them() {
    let mut spec = fleet(1, 200);
    spec.services[0].workers = Some(1);
    spec.services[0].endpoints[0].phases = vec![Phase::Cpu(seconds(0.01))];
    spec.clients[0].rates = vec![(at(0), rate(20.0)), (at(100), rate(200.0))];
    spec.services[0].queue = None;
    spec.services[0].life.readiness = Some(ProbeSpec { path: ProbePath::Traffic(seconds(0.001)), ..liveness(1, 3) });
    let finished = run(&spec, 1);
    let changes = life(&finished, "api-0");
    assert_eq!(changes[0].1, ReplicaState::Unready);
    assert!((101.0..110.0).contains(&changes[0].0), "{changes:?}");
    // Out of balancing it works off what it has, and comes back, and is overrun again.
    assert!(changes.iter().filter(|(_, state)| *state == ReplicaState::Ready).count() >= 2, "{changes:?}");
    let requests = finished.ledger.clients[0].outcomes.len() as u64;
    assert!(totals(&finished, "api").sent > requests + 150);
}

#[test]
fn a_replica_with_a_pause_before_its_end_goes_on_until_it_is_told_to_stop() {
    let mut spec = fleet(2, 300);
    spec.services[0].life.pre_stop = Span::from_seconds(10);
    spec.services[0].life.grace = Span::from_seconds(20);
    spec.cures = vec![cure(100, Action::Scale { replicas: Scale::To(1) }, service_target("api"))];
    let changes = life(&run_cured(&spec, 1), "api-1");
    assert_eq!(changes[0], (100.0, ReplicaState::Draining));
    assert!((110.0..110.2).contains(&changes[1].0) && changes[1].1 == ReplicaState::Gone, "{changes:?}");
    // The pause ends with the grace at the latest, and who is not idle then has two more seconds.
    spec.services[0].life.grace = Span::from_seconds(5);
    let gone = life(&run_cured(&spec, 1), "api-1")[1];
    assert!((105.0..105.2).contains(&gone.0) && gone.1 == ReplicaState::Gone, "{gone:?}");
    spec.services[0].endpoints[0].phases = vec![Phase::Sleep(seconds(1000.0))];
    assert_eq!(life(&run_cured(&spec, 1), "api-1")[1], (107.0, ReplicaState::Gone));
    spec.services[0].life.pre_stop = Span::from_seconds(4);
    assert_eq!(life(&run_cured(&spec, 1), "api-1")[1], (106.0, ReplicaState::Gone));
}

#[test]
fn a_replica_counts_as_available_once_it_has_been_ready_for_long_enough() {
    let mut spec = fleet(4, 600);
    spec.services[0].versions.push(version("v2"));
    spec.changes = vec![fault("deploy", 60, None, FaultKind::Deploy { service: Name::new("api"), version: Name::new("v2") })];
    let end = |spec: &WorldSpec| {
        let ends = told(&run(spec, 3), |event| matches!(event, Event::RolloutFinished { .. }).then(String::new));
        ends[0].0
    };
    let before = end(&spec);
    spec.services[0].rollout.min_ready = Span::from_seconds(30);
    // Two waves of replicas, each 30 s later than it would be.
    assert!((end(&spec) - before - 60.0).abs() < 1e-6, "{} after {before}", end(&spec));
}

#[test]
fn k4_a_rollout_that_makes_no_progress_is_told_once() {
    let mut spec = broken_deploy();
    spec.horizon = Span::from_seconds(3000);
    let finished = run(&spec, 3);
    let stalls = told(&finished, |event| match event {
        Event::RolloutStalled { figures, .. } => Some(figures.clone()),
        _ => None,
    });
    let figures = "no progress for 10m: 5 of 10 replicas run it, 0 of them available";
    assert_eq!(stalls, [(660.0, figures.to_owned())]);
}

#[test]
fn a14_a_leak_ends_in_an_out_of_memory_kill_on_the_second() {
    for (limit, expected) in [(512, 212.0), (1024, 724.0)] {
        let mut spec = fleet(1, 900);
        spec.services[0].memory = MemorySpec { base: mib(300), per_request: Bytes::new(0), limit: Some(mib(limit)) };
        spec.faults = vec![fault("leak", 0, None, FaultKind::MemoryLeak { target: service_target("api"), per_second: mib(1) })];
        assert_eq!(crash_times(&run(&spec, 1)), [expected]);
        // With a duration the leak is there for every process that runs meanwhile.
        spec.faults[0].lasting = Some(Span::from_seconds(900));
        assert_eq!(crash_times(&run(&spec, 1)).len(), 900 / expected as usize);
    }
}

/// Counts of replicas by version at a time, from a run that ends there.
fn versions(spec: &WorldSpec, horizon: u64) -> (u32, u32) {
    let mut spec = spec.clone();
    spec.horizon = Span::from_seconds(horizon);
    let finished = run_cured(&spec, 3);
    let service = &finished.ledger.services[0];
    let last = service.bins.last().unwrap();
    (last.replicas, last.ready)
}

/// Ten replicas, 25 % and 25 %, and a deploy at 60 s of a version that never becomes ready.
fn broken_deploy() -> WorldSpec {
    let mut spec = fleet(10, 1200);
    let mut broken = version("v2");
    broken.healthy = false;
    broken.crash_after = Some(Span::from_seconds(5));
    spec.services[0].versions.push(broken);
    spec.faults = vec![fault("deploy", 60, None, FaultKind::Deploy { service: Name::new("api"), version: Name::new("v2") })];
    spec
}

#[test]
fn a_crash_that_ends_a_replica_on_its_way_out_ends_once() {
    let mut spec = fleet(1, 120);
    spec.services[0].versions.push(version("v2"));
    let deploy = FaultKind::Deploy { service: Name::new("api"), version: Name::new("v2") };
    // The hung process does not answer the request to stop, so it is still there in its grace period when it crashes, and does not come back.
    spec.faults = vec![
        fault("hang", 1, None, FaultKind::Hang { target: service_target("api") }),
        fault("deploy", 2, None, deploy),
        fault("crash", 28, None, FaultKind::Crash { target: replica_target("api-0"), every: None }),
    ];
    let finished = run(&spec, 1);
    let ends = told(&finished, |event| match event {
        Event::FaultEnded { fault, .. } if fault.as_str() == "crash" => Some("it ended".to_owned()),
        _ => None,
    });
    assert_eq!(ends, [(28.0, "it ended".to_owned())]);
}

#[test]
fn k4_a_rollout_that_never_becomes_ready_stays_at_8_old_and_5_new() {
    assert_eq!(versions(&broken_deploy(), 100), (13, 8));
    assert_eq!(versions(&broken_deploy(), 1200), (13, 8));
}

#[test]
fn k4_a_rollback_removes_the_new_and_goes_back_to_10() {
    let mut spec = broken_deploy();
    spec.cures = vec![cure(300, Action::Rollback, service_target("api"))];
    assert_eq!(versions(&spec, 360), (10, 10));
    let finished = run_cured(&spec, 3);
    let fault = &finished.ledger.faults[0];
    assert!(fault.ended.is_some_and(|ended| ended > at(300) && ended < at(330)), "{fault:?}");
    assert!(finished.ledger.services[0].bins.last().unwrap().healthy_version);
    assert_eq!(results(&finished), [(310.0, "oracle#0 succeeded".to_owned())]);
}

#[test]
fn a_sound_deploy_replaces_every_replica_without_going_below_its_fenceposts() {
    let mut spec = fleet(10, 600);
    spec.services[0].versions.push(version("v2"));
    spec.changes = vec![fault("deploy", 60, None, FaultKind::Deploy { service: Name::new("api"), version: Name::new("v2") })];
    let finished = run(&spec, 3);
    let mut created = 0;
    let mut ready = 10_i32;
    for record in finished.journal.records() {
        if let Event::ReplicaChanged { state, .. } = &record.event {
            match state {
                ReplicaState::Starting => created += 1,
                ReplicaState::Ready => ready += 1,
                ReplicaState::Gone => ready -= 1,
                _ => {}
            }
            assert!(ready >= 8, "at {}", record.at);
        }
    }
    assert_eq!((created, ready), (10, 10));
    assert!(finished.ledger.faults.is_empty(), "a benign change is no fault");
    let bad = finished.ledger.clients[0].outcomes.iter().filter(|byte| RequestOutcome::from_byte(**byte).is_bad()).count();
    assert_eq!(bad, 0, "a rollout with fenceposts costs no request");
}

/// Ends of actions, in order.
fn results<A>(finished: &Finished<A>) -> Vec<(f64, String)> {
    told(finished, |event| match event {
        Event::ActionFinished { action, outcome: ActionOutcome::Succeeded } => Some(format!("{action} succeeded")),
        Event::ActionFinished { action, outcome: ActionOutcome::Failed(why) | ActionOutcome::Refused(why) } => {
            Some(format!("{action} failed: {why}"))
        }
        _ => None,
    })
}

/// Purges the queue of api every second from 60 s on, under locks with these tokens.
#[derive(Clone, Debug)]
struct Holder {
    tokens: &'static [u64],
    /// Which of its actions are not carried out.
    left_out: &'static [u64],
    given: usize,
}

impl Automation for Holder {
    fn due(&self) -> Option<(Time, Class)> {
        (self.given < self.tokens.len()).then(|| (Time::from_seconds(60 + self.given as u64), Class::Controller))
    }

    fn leaves_out(&self, command: &Command) -> bool {
        self.left_out.contains(&command.id().ordinal)
    }

    fn advance(&mut self, _: &Store, desk: &mut Desk) {
        let id = ActionId { policy: Name::new("holder"), ordinal: self.given as u64 };
        let fence = Fence { token: self.tokens[self.given], locks: vec![service_target("api")] };
        desk.commands.push(Actuator::simulated().command(id, Action::PurgeQueue, service_target("api")).under(Some(fence)));
        self.given += 1;
    }

    fn finished(&mut self, _: &ActionResult, _: &Store, _: &mut Desk) {}
}

#[test]
fn an_action_whose_lock_somebody_took_later_is_turned_away_where_it_lands() {
    let holder = Holder { tokens: &[7, 6, 7, 8], left_out: &[], given: 0 };
    let finished = Run::new(Arc::new(fleet(1, 80)), Seed(1), Options::default(), holder).finish();
    let lost = "holder#1 failed: the lock of service/api was lost: token 6 is older than 7";
    let told: Vec<String> = results(&finished).into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, ["holder#0 succeeded", lost, "holder#2 succeeded", "holder#3 succeeded"]);
}

#[test]
fn an_action_that_is_left_out_is_reported_as_done_and_its_lock_is_known_after_it_if_it_would_have_been_carried_out() {
    let told = |spec: &WorldSpec, left_out: &'static [u64]| {
        let holder = Holder { tokens: &[7, 6], left_out, given: 0 };
        let finished = Run::new(Arc::new(spec.clone()), Seed(1), Options::default(), holder).finish();
        results(&finished).into_iter().map(|(_, told)| told).collect::<Vec<_>>()
    };
    let sound = fleet(1, 80);
    // Who comes later with an older token comes too late, as it would have with the action carried out.
    let lost = "holder#1 failed: the lock of service/api was lost: token 6 is older than 7";
    assert_eq!(told(&sound, &[0]), ["holder#0 succeeded", lost]);
    assert_eq!(told(&sound, &[0, 1]), ["holder#0 succeeded", lost]);
    let mut refusing = sound.clone();
    refusing.actions.failure = share(1.0);
    let refused = |number: u32| format!("holder#{number} failed: the platform did not carry it out");
    assert_eq!(told(&refusing, &[]), [refused(0), refused(1)]);
    assert_eq!(told(&refusing, &[0]), ["holder#0 succeeded".to_owned(), refused(1)]);
    // What would have been refused leaves no lock behind.
    assert_eq!(told(&refusing, &[0, 1]), ["holder#0 succeeded", "holder#1 succeeded"]);
    for misdeed in [Misdeed::Fails, Misdeed::NoEffect, Misdeed::Hangs] {
        let mut wrong = sound.clone();
        let (shares, late_by) = (vec![(misdeed, share(1.0))], seconds(1.0));
        wrong.actuators = vec![ActuatorFaultSpec {
            name: Name::new("wrong"),
            at: at(0),
            lasting: Some(Span::from_seconds(61)),
            action: None,
            shares,
            late_by,
        }];
        assert_eq!(told(&wrong, &[0]), ["holder#0 succeeded", "holder#1 succeeded"], "{misdeed:?}");
    }
}

#[test]
fn restarts_take_all_at_once_or_one_after_the_other() {
    let mut spec = fleet(3, 200);
    spec.cures = vec![cure(60, Action::Restart { mode: RestartMode::AtOnce }, service_target("api"))];
    let finished = run_cured(&spec, 1);
    assert_eq!(results(&finished), [(70.0, "oracle#0 succeeded".to_owned())]);
    assert_eq!(finished.ledger.services[0].bins[6].removed_by_actions, 3);

    spec.cures = vec![cure(60, Action::Restart { mode: RestartMode::Rolling }, service_target("api"))];
    let finished = run_cured(&spec, 1);
    assert_eq!(results(&finished), [(90.0, "oracle#0 succeeded".to_owned())]);
    assert!(finished.ledger.services[0].bins.iter().all(|bin| bin.removed_by_actions <= 1));
}

#[test]
fn a_restart_does_not_wait_for_a_replica_that_has_no_place() {
    for (mode, end) in [(RestartMode::AtOnce, 70.0), (RestartMode::Rolling, 80.0)] {
        let mut spec = with_room_for(2, fleet(3, 100));
        spec.cures = vec![cure(60, Action::Restart { mode }, service_target("api"))];
        assert_eq!(results(&run_cured(&spec, 1)), [(end, "oracle#0 succeeded".to_owned())]);
        spec.cures = vec![cure(60, Action::Restart { mode }, replica_target("api-2"))];
        let nowhere = "oracle#0 failed: replica/api-2 has no place to run in";
        assert_eq!(results(&run_cured(&spec, 1)), [(60.0, nowhere.to_owned())]);
    }
}

#[test]
fn what_has_no_place_is_nobodys_peer_and_runs_no_version() {
    let mut spec = with_room_for(4, fleet(4, 300));
    // Threads for three peers.
    spec.services[0].threads = Some(ThreadSpec { base: 60, per_peer: 10, limit: 90 });
    spec.faults = vec![fault("more", 60, None, FaultKind::ScaleOut { service: Name::new("api"), by: 2 })];
    let finished = run(&spec, 1);
    assert_eq!(finished.ledger.services[0].bins.last().unwrap().replicas, 6);
    assert!((outcome_share(&finished, (60, 290), RequestOutcome::Good) - 1.0).abs() < 1e-9);
    assert_eq!(finished.ledger.faults[0].ended, None, "it is over once they run, and they cannot");
    spec.services[0].threads = None;
    spec.services[0].rollout.max_unavailable = Amount::Count(0);
    spec.services[0].versions.push(broken_deploy().services[0].versions[1].clone());
    spec.faults = vec![fault("deploy", 60, None, FaultKind::Deploy { service: Name::new("api"), version: Name::new("v2") })];
    let bins = run(&spec, 1).ledger.services[0].bins.clone();
    assert!(bins.last().is_some_and(|bin| (bin.replicas, bin.ready, bin.rolling_out) == (5, 4, true)), "{bins:?}");
    assert!(bins.iter().all(|bin| bin.healthy_version), "nobody runs the new one: {bins:?}");
}

#[test]
fn a_restart_cures_a_hang_and_loses_what_it_held() {
    let mut spec = fleet(1, 200);
    spec.clients[0].timeout = Some(Span::from_seconds(30));
    spec.faults = vec![fault("hang", 50, None, FaultKind::Hang { target: replica_target("api-0") })];
    spec.cures = vec![cure(60, Action::Restart { mode: RestartMode::AtOnce }, replica_target("api-0"))];
    let finished = run_cured(&spec, 1);
    assert_eq!(finished.ledger.faults[0].ended, Some(at(60)));
    let totals = totals(&finished, "api");
    assert!((150..250).contains(&totals.lost), "{totals:?}");
}

#[test]
fn scaling_adds_what_becomes_ready_and_removes_the_youngest() {
    let mut spec = fleet(2, 300);
    let target = || service_target("api");
    spec.cures = vec![
        cure(60, Action::Scale { replicas: Scale::Times(factor(2.0)) }, target()),
        cure(120, Action::Scale { replicas: Scale::By(-3) }, target()),
        cure(180, Action::Scale { replicas: Scale::To(2_000_000_000) }, target()),
    ];
    let finished = run_cured(&spec, 1);
    let ends = results(&finished);
    assert_eq!(ends[0], (70.0, "oracle#0 succeeded".to_owned()));
    assert!(ends[1].0 < 121.0 && ends[1].1 == "oracle#1 succeeded", "{ends:?}");
    assert_eq!(ends[2].1, "oracle#2 failed: 2000000000 replicas are more than the bound of 1000");
    let gone = told(&finished, |event| match event {
        Event::ReplicaChanged { replica, state: ReplicaState::Gone, .. } => Some(replica.to_string()),
        _ => None,
    });
    let gone: Vec<String> = gone.into_iter().map(|(_, replica)| replica).collect();
    assert_eq!(gone.len(), 3);
    assert!(!gone.contains(&"api-0".to_owned()), "{gone:?}");
}

#[test]
fn a_lost_zone_comes_back_when_the_fault_ends_or_elsewhere_when_drained() {
    let mut spec = fleet(4, 300);
    spec.services[0].zones = vec![Name::new("a"), Name::new("b")];
    spec.faults = vec![fault("zone", 60, Some(120), FaultKind::ZoneLoss { zone: Name::new("a") })];
    let ready = |spec: &WorldSpec, second: usize| run_cured(spec, 1).ledger.services[0].bins[second / 10 - 1].ready;
    assert_eq!([60, 70, 170, 190, 200].map(|second| ready(&spec, second)), [4, 2, 2, 2, 4]);
    spec.cures = vec![cure(90, Action::Drain, Target::Zone(Name::new("a")))];
    assert_eq!([90, 110, 250].map(|second| ready(&spec, second)), [2, 4, 4]);
    let finished = run_cured(&spec, 1);
    assert_eq!(results(&finished), [(100.0, "oracle#0 succeeded".to_owned())]);
    assert!(finished.journal.records().iter().all(|record| !matches!(&record.event,
        Event::ReplicaChanged { replica, state: ReplicaState::Ready, .. } if &**replica == "api-0")));
}

#[test]
fn draining_the_only_zone_leaves_nowhere_to_stand_and_fails_with_the_figures() {
    let mut spec = fleet(2, 1200);
    spec.cures = vec![cure(60, Action::Drain, Target::Zone(Name::new("a")))];
    let finished = run_cured(&spec, 1);
    let expected = "oracle#0 failed: not complete after 15m: api has 0 of 2 replicas ready, 2 have no zone to stand in";
    assert_eq!(results(&finished), [(960.0, expected.to_owned())]);
    assert_eq!(finished.ledger.services[0].bins.last().unwrap().removed_by_actions, 2);
}

#[test]
fn actions_on_what_they_are_not_for_fail_and_say_why() {
    let restart = || Action::Restart { mode: RestartMode::AtOnce };
    let zone = || Target::Zone(Name::new("a"));
    let users = || Target::Client(Name::new("users"));
    let cases = [
        (restart(), service_target("ghost"), "service/ghost does not exist"),
        (restart(), replica_target("api-9"), "replica/api-9 does not exist"),
        (restart(), zone(), "restart needs a service or a replica, and zone/a is neither"),
        (Action::Rollback, service_target("api"), "service/api has no earlier version to go back to"),
        (Action::Rollback, zone(), "rollback needs a service, and zone/a is none"),
        (Action::Drain, service_target("api"), "drain needs a replica, a zone or a node, and service/api is none of them"),
        (Action::PurgeQueue, users(), "purge_queue needs a service or a replica, and client/users is neither"),
        (
            Action::LimitRetries { retries: 0, lasting: Span::from_seconds(1) },
            zone(),
            "limit_retries needs a client or a service, and zone/a is neither",
        ),
    ];
    for (action, target, why) in cases {
        let mut spec = fleet(1, 100);
        spec.cures = vec![cure(60, action, target)];
        assert_eq!(results(&run_cured(&spec, 1)), [(60.0, format!("oracle#0 failed: {why}"))]);
    }
}

#[test]
fn a_cold_process_is_slow_at_first() {
    let mut spec = fleet(1, 600);
    spec.services[0].endpoints[0].phases = vec![Phase::Cpu(seconds(0.01))];
    spec.clients[0].objective = Span::from_millis(15);
    spec.services[0].warm_up = Some(firedrill_sim::spec::WarmUp { factor: Factor::new(4.0).unwrap(), tau: Span::from_seconds(30) });
    spec.cures = vec![cure(100, Action::Restart { mode: RestartMode::AtOnce }, service_target("api"))];
    let finished = run_cured(&spec, 1);
    let slow = |from, to| outcome_share(&finished, (from, to), RequestOutcome::Slow);
    // 1 + 3 exp(-age / 30 s) is 1.5 at an age of 54 s; the process starts at 100 s.
    assert!(slow(0, 100) < 0.01 && slow(120, 150) > 0.99 && slow(160, 300) < 0.01);
}
