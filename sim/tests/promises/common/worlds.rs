//! Random worlds: any combination of what the specification can say, with figures that are soon reached.
#![allow(dead_code, reason = "each test binary uses some of it")]

use firedrill_core::action::{Action, Keys, Limit, RestartMode, Restraint, Scale, Target};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Rate};
use firedrill_core::time::Span;
use firedrill_sim::spec::*;
use proptest::prelude::*;

use super::common::*;

fn some_phases() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..8, 0..4)
}

fn some_limit() -> impl Strategy<Value = LimitSpec> {
    let range = LimitRange { initial: 3, least: 1, most: 20 };
    prop::sample::select(vec![
        LimitSpec::Fixed { limit: 3, wait: Span::ZERO },
        LimitSpec::Fixed { limit: 3, wait: Span::from_millis(50) },
        LimitSpec::Gradient2(range),
        LimitSpec::Vegas(range),
        LimitSpec::Aimd { range, timeout: Span::from_millis(100) },
        LimitSpec::Envoy { range, update: Span::from_millis(100), measure_every: Span::from_seconds(5) },
    ])
}

fn some_discipline() -> impl Strategy<Value = Discipline> {
    let (target, interval) = (Span::from_millis(5), Span::from_millis(100));
    prop::sample::select(vec![
        Discipline::Fifo,
        Discipline::Lifo,
        Discipline::AdaptiveLifo { interval },
        Discipline::Codel { target, interval },
        Discipline::Priority,
        Discipline::EarliestDeadline,
    ])
}

prop_compose! {
    /// Any combination of rules for a door.
    fn some_admission()(
        discipline in some_discipline(), drop in 0_u8..4, longest_wait in prop::option::of(10_u64..300), propagates in prop::option::of(0_u64..20),
        limit in prop::option::of(some_limit()), rate in prop::option::of((1_u32..20, 0_u64..300)), control in any::<bool>(), quota in prop::option::of(1_u32..40),
    ) -> AdmissionSpec {
        AdmissionSpec {
            discipline,
            drop: [DropRule::None, DropRule::Expired, DropRule::Late(None), DropRule::Late(Some(Span::from_millis(30)))][drop as usize],
            longest_wait: longest_wait.map(Span::from_millis),
            quota: quota.map(|rate| QuotaSpec { rate: Rate::per_second(f64::from(rate)).unwrap(), burst: 3, retry_after: true }),
            propagates: propagates.map(Span::from_millis),
            concurrency: limit.map(|limit| ConcurrencySpec { limit, shares: [share(1.0), share(0.8), share(0.5)] }),
            rate_limit: rate.map(|(limit, wait)| RateLimitSpec { limit, period: Span::from_millis(500), wait: Span::from_millis(wait) }),
            control: control.then_some(ControlSpec {
                window: Span::from_seconds(5),
                success: share(0.95),
                aggression: 1.0,
                most: share(0.8),
                from: Rate::per_second(0.0).unwrap(),
            }),
        }
    }
}

fn some_balance() -> impl Strategy<Value = Balance> {
    prop::sample::select(vec![
        Balance::RoundRobin,
        Balance::Random,
        Balance::PowerOfTwo,
        Balance::LeastRequest { choices: Some(2) },
        Balance::LeastRequest { choices: None },
        Balance::PerConnection(ConnectionSpec { multiplexed: true, keep: 0, idle: Span::from_seconds(90) }),
        Balance::PerConnection(ConnectionSpec { multiplexed: false, keep: 2, idle: Span::from_seconds(1) }),
        Balance::PeakEwma { default_rtt: Span::from_millis(30), decay: Span::from_seconds(10) },
    ])
}

/// Outliers that are found soon, ejected by the half, and soon back.
fn outliers() -> OutlierSpec {
    OutlierSpec {
        interval: Span::from_seconds(2),
        base_ejection: Span::from_seconds(3),
        max_ejection: Span::from_seconds(10),
        max_ejected: share(1.0),
        always_one: false,
        share_of_earlier: false,
        consecutive_5xx: 2,
        enforcing_consecutive_5xx: share(0.7),
        consecutive_gateway_failure: 2,
        enforcing_consecutive_gateway_failure: share(0.5),
        success_rate_minimum_hosts: 2,
        success_rate_request_volume: 5,
        success_rate_stdev_factor: 0.5,
        enforcing_success_rate: share(1.0),
        failure_percentage_threshold: share(0.5),
        failure_percentage_minimum_hosts: 2,
        failure_percentage_request_volume: 5,
        enforcing_failure_percentage: share(1.0),
    }
}

prop_compose! {
    /// Any combination of what callers know and whom they leave out.
    fn some_balancing()(ejection in 0_u8..3, slow_start in any::<bool>(), prefer_zone in any::<bool>(), panic_threshold in 0.0..1.0, discovery in 0_u8..3) -> BalancingSpec {
        let accrual = AccrualSpec {
            failures: 2,
            min_penalty: Span::from_millis(500),
            max_penalty: Span::from_seconds(8),
            jitter: share(0.5),
        };
        BalancingSpec {
            ejection: [None, Some(EjectionSpec::Outliers(outliers())), Some(EjectionSpec::Accrual(accrual))][ejection as usize],
            slow_start: slow_start.then_some(SlowStartSpec { window: Span::from_seconds(10), aggression: 2.0, least: share(0.1) }),
            panic_threshold: share(panic_threshold),
            prefer_zone,
            propagation: (discovery == 1).then(|| exponential(1.0)),
            dns_ttl: (discovery == 2).then_some(Span::from_seconds(3)),
            fail_fast: (ejection == 2 || slow_start).then_some(FailFastSpec {
                outbound: Span::from_seconds(3),
                inbound: Span::from_seconds(1),
                queue: 5,
            }),
        }
    }
}

fn some_probe() -> impl Strategy<Value = ProbeSpec> {
    let path = prop::sample::select(vec![
        ProbePath::Separate,
        ProbePath::Traffic(seconds(0.02)),
        ProbePath::Traffic(seconds(0.0)),
        ProbePath::Endpoint(Name::new("/")),
    ]);
    // A probe that waits longer than its period misses ticks.
    (path, 0_u64..6, 1_u64..5, 200_u64..3000).prop_map(|(path, delay, period, timeout)| ProbeSpec {
        initial_delay: Span::from_seconds(delay),
        timeout: Span::from_millis(timeout),
        path,
        ..liveness(period, 2)
    })
}

prop_compose! {
    /// Any combination of what happens to replicas between their creation and their end.
    fn some_life()(
        readiness in prop::option::of(some_probe()), startup in prop::option::of(some_probe()), waits in any::<[bool; 2]>(), pre_stop in 0_u64..4,
        grace in 1_u64..8, disruption in prop::option::of((any::<bool>(), 0_u32..4, prop::option::of(0.0..1.0))),
    ) -> LifeSpec {
        let amount = |count, part: Option<f64>| part.map_or(Amount::Count(count), |part| Amount::Share(share(part)));
        let budget = |(least, count, part)| {
            if least { DisruptionSpec::MinAvailable(amount(count, part)) } else { DisruptionSpec::MaxUnavailable(amount(count, part)) }
        };
        LifeSpec {
            readiness,
            startup,
            scheduling: waits[0].then(|| exponential(0.5)),
            pull: waits[1].then(|| exponential(2.0)),
            request_millicores: 700,
            request_memory: mib(150),
            grace: Span::from_seconds(grace),
            pre_stop: Span::from_seconds(pre_stop),
            first_backoff: Span::from_seconds(1),
            longest_backoff: Span::from_seconds(5),
            disruption: disruption.map(budget),
        }
    }
}

prop_compose! {
    /// An autoscaler that does not wait for long.
    fn some_autoscaler()(metric in 0_u8..3, with_rules in any::<bool>(), select in 0_u8..3) -> AutoscalerSpec {
        let policies = |step| vec![ScalingPolicy { step, period: Span::from_seconds(7) }];
        let select = [PolicySelect::Largest, PolicySelect::Smallest, PolicySelect::Disabled][select as usize];
        let down = ScalingRules { window: Span::from_seconds(10), policies: policies(ScalingStep::Replicas(1)), select };
        let up = ScalingRules { window: Span::ZERO, policies: policies(ScalingStep::Percent(50)), select: PolicySelect::Largest };
        let metrics = [
            MetricTarget::Cpu { request_millicores: 700, percent: 40 },
            MetricTarget::Memory { request: mib(150), percent: 80 },
            MetricTarget::Requests { per_replica_milli: 8_000 },
        ];
        AutoscalerSpec {
            min: 1,
            max: 5,
            metrics: metrics[metric as usize..].to_vec(),
            tolerance: Tolerance::Current,
            behaviour: with_rules.then_some(AutoscalerBehaviour { up, down }),
            sync: Span::from_seconds(3),
            resolution: Span::from_seconds(2),
            cpu_initialization: Span::from_seconds(5),
            initial_readiness: Span::from_seconds(1),
        }
    }
}

fn some_budget() -> impl Strategy<Value = BudgetSpec> {
    prop::sample::select(vec![
        BudgetSpec::Grpc { tokens: 4, millis: 500 },
        BudgetSpec::Share { share: share(0.3), least_per_second: 1, ttl: Span::from_seconds(2) },
        BudgetSpec::Aws { tokens: 20, cost: 5, timeout_cost: 10 },
        BudgetSpec::Concurrent { share: share(0.2), least: 1 },
    ])
}

prop_compose! {
    /// Any combination of what stands between a caller and a service, with figures that are soon reached.
    fn some_protection()(
        breaker in prop::option::of(any::<bool>()), most_requests in prop::option::of(1_u32..4), pool in prop::option::of((1_u32..3, 20_u64..200)),
        throttled in any::<bool>(), hedge in prop::option::of(5_u64..60), budget in prop::option::of(some_budget()),
    ) -> (ProtectionSpec, Option<BudgetSpec>) {
        let breaker = breaker.map(|by_count| BreakerSpec {
            window: if by_count { Window::Count(5) } else { Window::Seconds(3) },
            least_calls: 3,
            failure_percent: 50.0,
            slow_percent: 90.0,
            slow_after: Span::from_millis(80),
            open_for: Span::from_millis(700),
            half_open_calls: 2,
        });
        let protection = ProtectionSpec {
            breaker,
            most_requests,
            pool: pool.map(|(size, timeout)| PoolSpec { size, timeout: Span::from_millis(timeout) }),
            throttle: throttled.then(|| ThrottleSpec { k: factor(1.5), window: Span::from_seconds(5) }),
            hedge: hedge.map(|after| HedgeSpec { after: Span::from_millis(after) }),
        };
        (protection, budget)
    }
}

/// The same call with protections.
fn protected(phase: Phase, (protection, budget): &(ProtectionSpec, Option<BudgetSpec>)) -> CallSpec {
    let Phase::Call(mut call) = phase else { panic!("only calls are protected") };
    call.protection = protection.clone();
    call.retries.budget = *budget;
    // Some look elsewhere, and some do not retry everything.
    if protection.hedge.is_some() {
        call.retries.elsewhere = 3;
    }
    if protection.most_requests.is_some() {
        call.retries.on = Causes::of([Cause::Error, Cause::Timeout, Cause::Reset]);
    }
    call
}

prop_compose! {
    /// A cache that is soon full, and entries that soon end.
    fn some_cache()(ttl in prop::option::of(1_u64..20), capacity in prop::option::of(1_u32..20), flags in any::<[bool; 3]>()) -> CacheSpec {
        CacheSpec {
            name: Name::new("c"),
            keys: 40,
            zipf: 1.0,
            ttl: ttl.map(Span::from_seconds),
            capacity,
            late_fill: flags[0],
            coalesce: flags[1],
            warm: flags[2],
            warm_rate: if flags[2] { 10.0 } else { 0.0 },
        }
    }
}

prop_compose! {
    /// A database with few connections, slow standbys, and failovers that are soon over.
    fn some_database()(
        max_connections in 1_u32..8, lag in 0_u64..3000, apply in 0_u64..40, flags in any::<[bool; 3]>(), mysql in any::<bool>(),
    ) -> DatabaseSpec {
        DatabaseSpec {
            engine: if mysql { Engine::Mysql } else { Engine::Postgres },
            max_connections,
            connect_seconds: 0.01,
            lag: Span::from_millis(lag),
            apply: Span::from_millis(apply),
            commit: if flags[0] { Commit::Local } else { Commit::Replicated },
            reads_from_standbys: flags[1],
            stale_after: Span::from_millis(100),
            failover: FailoverSpec { is_automatic: flags[2], detect: exponential(2.0), promote: exponential(1.0), reconnect: exponential(1.0) },
        }
    }
}

fn some_population() -> impl Strategy<Value = Population> {
    prop_oneof![
        Just(Population::Open),
        (1_u32..40).prop_map(|users| Population::Closed { users, think: exponential(0.5) }),
        Just(Population::Sessions { requests: 3.0, think: exponential(0.3) }),
    ]
}

prop_compose! {
    /// A service that may call services with a later name.
    fn some_service(number: usize, count: usize)(
        kinds in some_phases(), callee in any::<prop::sample::Index>(), replicas in 1_u32..4, workers in prop::option::of(1_u32..4),
        (cores, cpu) in (prop::option::of(prop::sample::select(vec![0.5, 1.0, 2.0])), prop::option::of((any::<bool>(), 0.0..0.4, any::<bool>()))), queue in prop::option::of(0_u32..10), cancel in 0_u8..3,
        (balance, balancing) in (some_balance(), prop::option::of(some_balancing())),
        admission in prop::option::of(some_admission()),
        call_timeout in prop::option::of(20_u64..400), max in 0_u32..3, error in 0.0..0.3, liveness in prop::option::of(some_probe()),
        (guard, cache, need, asynchronous) in (some_protection(), some_cache(), prop::option::of(1_u32..4), any::<bool>()),
        (database, reads, deadlocks) in (prop::option::of(some_database()), any::<bool>(), any::<bool>()),
        per_request in 0_u64..4, life in prop::option::of(some_life()),
        (autoscaler, flag, profiles) in (prop::option::of(some_autoscaler()), prop::option::of(any::<[bool; 3]>()), some_profiles(false)),
    ) -> ServiceSpec {
        let name = format!("s{number}");
        let mut phases = Vec::new();
        for kind in kinds {
            match kind {
                0 => phases.push(Phase::Cpu(exponential(0.02))),
                1 => phases.push(Phase::Sleep(exponential(0.02))),
                // One that is held while other steps are done, up to the end of the request; the two are taken in any order.
                6 | 7 => {
                    let lock = Name::new(["left", "right"][usize::from(kind == 7)]);
                    let held = phases.iter().any(|phase| matches!(phase, Phase::Lock { lock: other, .. } if *other == lock));
                    if held {
                        phases.push(Phase::Unlock { lock });
                    } else {
                        let deadlock_after = deadlocks.then_some(Span::from_millis(50));
                        phases.push(Phase::Lock { lock, timeout: call_timeout.map(Span::from_millis), deadlock_after });
                    }
                }
                _ if number + 1 < count => {
                    let callee = number + 1 + callee.index(count - number - 1);
                    let mut call = protected(call(&format!("s{callee}"), call_timeout.map(Span::from_millis), max), &guard);
                    call.asynchronous = asynchronous;
                    call.access = if reads { Access::Read } else { Access::Write };
                    phases.push(match kind {
                        2 => Phase::Call(call),
                        3 => Phase::Parallel {
                            calls: vec![call.clone(), CallSpec { optional: true, ..call.clone() }, CallSpec { probability: share(0.5), ..call }],
                            need,
                            asynchronous,
                        },
                        4 => Phase::Cache { cache: Name::new("c"), miss: call },
                        _ => Phase::Update { cache: Name::new("c"), write: call, invalidate: deadlocks },
                    });
                }
                _ => {}
            }
        }
        let mut service = service(&name, phases);
        service.replicas = replicas;
        service.workers = workers;
        service.cores = cores;
        let period = |limited: bool| (limited && cores.is_some()).then(|| Span::from_millis(100));
        let gc = GcSpec { every: Span::from_millis(500), share: share(0.1), major: exponential(0.5), full: share(0.75) };
        service.cpu = cpu.map(|(limited, background, collects)| {
            Box::new(CpuSpec { period: period(limited), background, gc: collects.then_some(gc) })
        });
        service.queue = queue;
        service.admission = admission.map(Box::new);
        service.balance = balance;
        service.balancing = balancing.map(Box::new);
        service.cancel = [Cancel::None, Cancel::QueueOnly, Cancel::Context][cancel as usize];
        service.zones = vec![Name::new("a"), Name::new("b")];
        service.start_up = exponential(4.0);
        service.endpoints[0].error = share(error);
        service.memory = MemorySpec { base: mib(100), per_request: Bytes::new(per_request << 20), limit: Some(mib(150)) };
        service.disk = Some(DiskSpec { size: mib(100), used: mib(60) });
        service.threads = Some(ThreadSpec { base: 10, per_peer: 5, limit: 21 });
        service.liveness = liveness;
        if let Some(life) = life {
            service.life = life;
        }
        service.autoscaler = autoscaler.map(Box::new);
        service.caches = vec![cache];
        let chosen_by_view = !matches!(service.balance, Balance::RoundRobin | Balance::Random | Balance::PowerOfTwo);
        if service.balancing.is_none() && !chosen_by_view {
            service.database = database.map(Box::new);
        }
        let mut worse = version("v2");
        worse.healthy = false;
        worse.error = share(0.3);
        worse.leak_per_second = mib(2);
        worse.crash_after = Some(Span::from_seconds(9));
        service.versions.push(worse);
        service.flags = flag.map(|kinds| some_flag(&service, kinds)).into_iter().collect();
        service.profiles = profiles;
        service
    }
}

/// Profiles of processes, or of the cluster, in order.
fn some_profiles(of_cluster: bool) -> impl Strategy<Value = Vec<Profile>> {
    let known: Vec<Profile> = Profile::ALL.into_iter().filter(|profile| profile.is_of_cluster() == of_cluster).collect();
    let count = known.len();
    prop::sample::subsequence(known, 0..=count)
}

/// A flag that makes a service slower and worse, and changes whatever it calls.
fn some_flag(service: &ServiceSpec, [polls, rarer, patient]: [bool; 3]) -> FlagSpec {
    let timeout = patient.then_some(Some(Span::from_millis(700)));
    let call = |service: Name| FlagCallSpec { service, probability: rarer.then(|| share(0.4)), timeout };
    FlagSpec {
        name: Name::new("new"),
        healthy: false,
        demand: factor(2.0),
        error: share(0.2),
        calls: service.calls().into_iter().map(call).collect(),
        spread: if polls { Spread::Poll(Span::from_seconds(3)) } else { Spread::Push(exponential(1.0)) },
    }
}

prop_compose! {
    fn some_target(count: usize)(kind in 0_u8..5, number in 0..count, replica in 0_u32..5) -> Target {
        match kind {
            0 => Target::Zone(Name::new("a")),
            1 => replica_target(&format!("s{number}-{replica}")),
            2 => service_target(&format!("s{number}")),
            3 => Target::Node(Name::new("blue-0")),
            _ => Target::Client(Name::new("users")),
        }
    }
}

prop_compose! {
    fn some_fault(count: usize)(kind in 0_u8..27, when in 1_u64..60, lasting in prop::option::of(1_u64..30), number in 0..count, of_replica in prop::option::of(0_u32..4)) -> FaultSpec {
        let name = format!("s{number}");
        let target = of_replica.map_or_else(|| service_target(&name), |replica| replica_target(&format!("{name}-{replica}")));
        let service = Name::new(&name);
        let kind = match kind {
            0 => FaultKind::Crash { target, every: None },
            1 => FaultKind::Crash { target, every: Some(Span::from_seconds(3)) },
            2 => FaultKind::Hang { target },
            3 => FaultKind::Slow { target, factor: factor(3.0) },
            4 => FaultKind::Capacity { target, factor: factor(0.3) },
            5 => FaultKind::Capacity { target, factor: factor(0.0) },
            6 => FaultKind::ErrorRate { target, error: share(0.5) },
            7 => FaultKind::MemoryLeak { target, per_second: mib(3) },
            8 => FaultKind::Deploy { service, version: Name::new("v2") },
            9 => FaultKind::Latency { from: None, service, extra: exponential(0.1) },
            11 => FaultKind::CacheFlush { service, cache: Name::new("c"), share: share(0.7) },
            10 => FaultKind::ZoneLoss { zone: Name::new("a") },
            12 => FaultKind::PrimaryCrash { service },
            14 => FaultKind::Quota { service, rate: Rate::per_second(5.0).unwrap() },
            18 => FaultKind::Flag { service, flag: Name::new("new") },
            13 => FaultKind::ReplicaLag { target, lag: Span::from_seconds(5) },
            16 => FaultKind::Steal { target, share: share(0.6) },
            17 => FaultKind::Steal { target: Target::Node(Name::new("blue-0")), share: share(0.4) },
            15 => FaultKind::NodeDrain { node: Name::new("green-1") },
            21 => FaultKind::ConnectionLeak { target, to: None, share: share(0.3) },
            22 => FaultKind::CacheCorruption { service, cache: Name::new("c"), prefix: Name::new("p"), share: share(0.7) },
            23 => FaultKind::DiskFill { target, per_second: mib(5) },
            24 => FaultKind::CertificateExpiry { service, sessions: Span::from_seconds(9) },
            25 => FaultKind::ConfigDrift { target, replicas: Some(1), demand: factor(2.0), error: share(0.3) },
            26 => FaultKind::ScaleOut { service, by: 2 },
            _ => FaultKind::NodeLoss { node: Name::new("blue-1") },
        };
        fault("f", when, lasting, kind)
    }
}

prop_compose! {
    fn some_cure(count: usize)(kind in 0_u8..35, when in 1_u64..60, target in some_target(count)) -> CureSpec {
        let action = match kind {
            0 => Action::Restart { mode: RestartMode::AtOnce },
            1 => Action::Restart { mode: RestartMode::Rolling },
            2 => Action::Scale { replicas: Scale::By(2) },
            3 => Action::Scale { replicas: Scale::To(0) },
            4 => Action::Rollback,
            5 => Action::Drain,
            6 => Action::PurgeQueue,
            7 => Action::LimitRetries { retries: 0, lasting: Span::from_seconds(5) },
            8 => Action::FailOver,
            9 => Action::RevertFlag,
            10 => Action::Wait { span: Span::from_seconds(5) },
            11 => Action::CircuitBreak { from: None, lasting: Span::from_seconds(6) },
            12 => Action::Isolate { calls: 1, from: None, lasting: Span::from_seconds(6) },
            13 => Action::ShedLoad { share: share(0.5), spare: Some(Priority::Normal), lasting: Span::from_seconds(6) },
            14 => Action::RateLimit { rate: Rate::per_second(5.0).unwrap(), lasting: Span::from_seconds(6) },
            15 => Action::Degrade { lasting: Span::from_seconds(6) },
            16 => Action::Lift { what: Restraint::ShiftTraffic },
            17 => Action::Lift { what: Restraint::SetLimit },
            18 => Action::ResetPool { to: None },
            19 => Action::SetLimit { limit: Limit::Workers, to: 1 },
            20 => Action::SetLimit { limit: Limit::Pool, to: 1 },
            21 => Action::KillQueries { older: Span::ZERO },
            22 => Action::FlushCache { cache: None, keys: Keys::Share(share(0.9)) },
            23 => Action::ShiftTraffic { share: share(0.3) },
            24 => Action::RebootNode,
            25 => Action::ReplaceNode,
            26 => Action::Cordon,
            27 => Action::Undrain,
            29 => Action::Kill,
            30 => Action::Resize { memory: mib(500) },
            31 => Action::WarmCache { cache: None, share: share(0.5) },
            32 => Action::SkipMessage,
            33 => Action::ReplayDeadLetters,
            34 => Action::SetFlag { flag: Name::new("f"), on: true },
            _ => Action::PauseRollout,
        };
        cure(when, action, target)
    }
}

/// Two machines, on which two or three replicas that ask for something have room.
fn pool(name: &str, zone: &str) -> NodePoolSpec {
    NodePoolSpec { name: Name::new(name), count: 2, zone: Name::new(zone), millicores: 2000, memory: mib(400) }
}

/// A log, or a queue of either kind, with times that are soon over.
fn some_topic([is_log, hides]: [bool; 2], dead_letters_after: Option<u32>) -> TopicSpec {
    let log = LogSpec {
        partitions: 3,
        session: Span::from_seconds(6),
        heartbeat: Span::from_seconds(1),
        poll: Span::from_seconds(4),
        first_wait: Span::from_seconds(1),
    };
    let kind = if is_log { TopicKind::Log(log) } else { TopicKind::Queue { visibility: hides.then_some(Span::from_millis(300)) } };
    TopicSpec { name: Name::new("jobs"), kind, retry: Span::from_millis(200), dead_letters_after }
}

/// The same world where the first service publishes, the last one and another take what is published, and one message is poisoned.
fn consuming(spec: &mut WorldSpec, topic: TopicSpec, (batch, at_once, kills): (u32, u32, bool)) {
    let consumes = ConsumeSpec { topic: topic.name.clone(), endpoint: Name::new("/"), batch, at_once };
    spec.topics = vec![topic];
    spec.services[0].endpoints[0].phases.insert(0, Phase::Publish(Name::new("jobs")));
    let mut taker = service("taker", vec![Phase::Cpu(exponential(0.05)), Phase::Sleep(exponential(0.05))]);
    taker.replicas = 3;
    taker.workers = Some(2);
    taker.start_up = exponential(1.0);
    taker.endpoints[0].error = share(0.1);
    taker.consumes = Some(consumes.clone());
    let poison = FaultKind::Poison { topic: Name::new("jobs"), service: Name::new("taker"), partition: 0, kills };
    spec.faults.push(fault("poison", 20, None, poison));
    spec.faults.push(fault("taker-crash", 30, None, FaultKind::Crash { target: replica_target("taker-1"), every: None }));
    spec.faults.push(fault("taker-hang", 40, Some(8), FaultKind::Hang { target: replica_target("taker-2") }));
    spec.cures.push(cure(50, Action::ParkMessages, service_target("taker")));
    spec.cures.push(cure(52, Action::Drain, replica_target("taker-0")));
    spec.cures.push(cure(60, Action::PurgeQueue, service_target("taker")));
    spec.services.push(taker);
    if let [_, second, _, ..] = spec.services.as_mut_slice() {
        second.consumes = Some(consumes);
    }
    spec.faults.sort_by_key(|fault| fault.at);
    spec.cures.sort_by_key(|cure| cure.at);
}

/// A world of 75 s with up to three services, their faults and cures.
pub fn some_world() -> impl Strategy<Value = WorldSpec> {
    (1_usize..4).prop_flat_map(|count| {
        let topic = prop::option::of((any::<[bool; 2]>(), prop::option::of(1_u32..4), 1_u32..5, 1_u32..3, any::<bool>()));
        let services: Vec<_> = (0..count).map(|number| some_service(number, count)).collect();
        let faults = prop::collection::vec(some_fault(count), 0..5);
        let cures = prop::collection::vec(some_cure(count), 0..6);
        let caller = (some_population(), some_protection(), any::<bool>());
        let cluster = some_profiles(true);
        (services, faults, cures, (prop::option::of(50_u64..500), 0_u32..3), caller, topic, cluster).prop_map(
            move |(services, mut faults, cures, (timeout, max), caller, topic, cluster)| {
                let mut users = client("users", "s0", 30.0);
                let (population, (protection, budget), asks_again) = caller;
                if matches!(population, Population::Closed { .. }) {
                    users.rates = Vec::new();
                }
                (users.population, users.protection) = (population, protection);
                users.again = asks_again.then(|| AgainSpec { probability: share(0.4), after: exponential(1.0) });
                users.timeout = timeout.map(Span::from_millis);
                users.priority = Priority::ALL[max as usize];
                users.retries = RetrySpec { budget, ..backed_off(max, Span::from_millis(20), Span::from_millis(50)) };
                let mut spec = world(75, services, vec![users]);
                faults.sort_by_key(|fault| fault.at);
                for (number, fault) in faults.iter_mut().enumerate() {
                    fault.name = Name::from(format!("f{number}"));
                }
                // Only a service that has the flag can have it turned on.
                let has_flag = |fault: &FaultSpec| match &fault.kind {
                    FaultKind::Flag { service, .. } => spec.services.iter().any(|known| known.name == *service && !known.flags.is_empty()),
                    _ => true,
                };
                faults.retain(has_flag);
                (spec.faults, spec.cures, spec.profiles) = (faults, cures, cluster);
                if let Some((kinds, dead_letters_after, batch, at_once, kills)) = topic {
                    consuming(&mut spec, some_topic(kinds, dead_letters_after), (batch, at_once, kills));
                }
                let lost = spec.faults.iter().any(|fault| matches!(fault.kind, FaultKind::NodeLoss { .. } | FaultKind::NodeDrain { .. }));
                if lost || count == 2 {
                    spec.nodes = [("blue", "a"), ("green", "b")].map(|(name, zone)| pool(name, zone)).to_vec();
                }
                spec
            },
        )
    })
}
