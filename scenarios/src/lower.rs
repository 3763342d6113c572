//! From what was said to what is: defaults filled in, names resolved, and everything refused that could go wrong at run time.

mod names;
mod queue;
mod backlog;
mod protection;
mod load;
mod probe;
mod lifecycle;
mod autoscaler;
mod balancing;
mod profile;
pub use profile::shown_by;
mod service;
mod nodes;
mod client;
mod calls;
mod cache;
mod database;
mod flag;
mod topic;
mod fault;
mod monitoring;
mod actuator;
mod cure;
mod history;
pub mod human;

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ActionSpec, Bounds, HistorySpec, ScrapeSpec, WorldSpec};

use crate::defaults;
use crate::document::ScenarioDocument;
use crate::notation::longest;
use crate::problem;
use names::{Names, Taken};

/// Lowers a document. What comes out may be used only if `reader` has recorded no problem.
pub fn lower(reader: &mut Reader, document: &ScenarioDocument) -> WorldSpec {
    check_sizes(reader, document);
    let names = Names::collect(reader, document);
    let horizon = horizon(document);
    let objective = or(document.objective.as_ref(), || defaults::span("objective"));
    let mut services: Vec<_> = document.services.iter().map(|service| service::lower(reader, &names, service)).collect();
    services.sort_by(|left, right| left.name.cmp(&right.name));
    profile::complete(document, &mut services);
    let mut clients: Vec<_> =
        document.clients.iter().map(|client| client::lower(reader, &names, client, &client::Frame { horizon, objective })).collect();
    clients.sort_by(|left, right| left.name.cmp(&right.name));
    let (faults, changes) = fault::lower(reader, &names, document, horizon);
    let mut taken = Taken::by(faults.iter().chain(&changes).map(|fault| fault.name.clone()));
    let monitoring = monitoring::lower(reader, (&names, &mut taken), document, horizon);
    let actuators = actuator::lower(reader, &mut taken, document, horizon);
    let cures = cure::lower(reader, &names, document, horizon);
    let (events, attempts, records) = defaults::bounds();
    let nodes = nodes::lower(reader, &names, document, &services);
    let profiles = profile::of_cluster(reader, document);
    let topics = topic::lower(reader, document);
    let mut spec = WorldSpec {
        topics,
        nodes,
        name: document.name.as_ref().map_or_else(|| Name::new("unnamed"), |name| name.value.clone()),
        start: or(document.start.as_ref(), defaults::start),
        horizon,
        services,
        clients,
        faults,
        changes,
        monitoring,
        actuators,
        cures,
        scrape: ScrapeSpec { interval: or(document.scrape_interval.as_ref(), || defaults::span("scrape")) },
        profiles,
        actions: ActionSpec {
            delay: or(document.action_delay.as_ref(), || defaults::distribution("actions.delay")),
            failure: or(document.action_failure.as_ref(), || defaults::ratio("actions.failure")),
        },
        bounds: Bounds {
            events: or(document.bound_events.as_ref(), || events),
            attempts: or(document.bound_attempts.as_ref(), || attempts),
            records: or(document.bound_records.as_ref(), || records),
        },
    };
    calls::check(reader, document, &spec);
    cache::warm(&mut spec);
    spec
}

/// Lowers the history of a document whose world is lowered; `None` if it has none.
pub fn lower_history(reader: &mut Reader, document: &ScenarioDocument, spec: &WorldSpec) -> Option<HistorySpec> {
    document.history.as_ref().map(|history| history::lower(reader, history, spec))
}

/// Checks what monitoring is said to get wrong against what it can see in a world that is lowered.
pub fn check_monitoring(reader: &mut Reader, document: &ScenarioDocument, spec: &Arc<WorldSpec>) {
    monitoring::check(reader, document, spec);
}

/// What was said, or what is assumed.
fn or<T: Clone>(said: Option<&Located<T>>, assumed: impl FnOnce() -> T) -> T {
    said.map_or_else(assumed, |said| said.value.clone())
}

/// The most services, clients, and faults.
const MOST_ENTRIES: usize = 1000;

fn check_sizes(reader: &mut Reader, document: &ScenarioDocument) {
    if let Some(place) = &document.services_place
        && document.services.is_empty()
    {
        reader.problem(problem::nothing_there(place, "there is no service", "name one, such as `api: { work: [cpu: 10ms] }`"));
    }
    if let Some(place) = &document.clients_place
        && document.clients.is_empty()
    {
        reader.problem(problem::nothing_there(
            place,
            "nobody asks for anything",
            "name a client, such as `users: { calls: api, rate: 10/s }`",
        ));
    }
    let of_others = document.monitoring.len() + document.actuators.len();
    let events = document.faults.len() + document.changes.len() + of_others + document.oracle.len();
    let replicas: u64 = document.services.iter().map(|service| u64::from(or(service.replicas.as_ref(), || 1))).sum();
    let counts = [
        ("the number of services", document.services.len(), MOST_ENTRIES),
        ("the number of clients", document.clients.len(), MOST_ENTRIES),
        ("the number of faults, changes and actions", events, MOST_ENTRIES),
        ("the number of replicas of all services", replicas as usize, 100_000),
    ];
    for (what, count, most) in counts {
        if count > most {
            reader.problem(problem::too_much(&document.place, what, &count.to_string(), &most.to_string()));
        }
    }
    if let Some(name) = document.oracle_place.as_ref().filter(|_| document.faults.is_empty() && !document.oracle.is_empty()) {
        reader.problem(problem::oracle_without_fault(name));
    }
}

/// As stated, or long enough after the last fault or change for a recovery.
fn horizon(document: &ScenarioDocument) -> Span {
    type Said<'a> = Option<&'a Located<Span>>;
    let end = |(at, lasting): (Said<'_>, Said<'_>)| {
        [at, lasting].into_iter().flatten().map(|span| span.value).fold(Span::ZERO, |sum, span| sum + span)
    };
    let world = document.faults.iter().chain(&document.changes).map(|fault| (fault.at.as_ref(), fault.lasting.as_ref()));
    let monitoring = document.monitoring.iter().map(|fault| (fault.at.as_ref(), fault.lasting.as_ref()));
    let actuators = document.actuators.iter().map(|fault| (fault.at.as_ref(), fault.lasting.as_ref()));
    let last = world.chain(monitoring).chain(actuators).map(end).max().unwrap_or_default();
    or(document.horizon.as_ref(), || (last + defaults::span("horizon")).min(longest()))
}

/// An instant of the run.
fn instant(span: Span) -> Time {
    Time::ZERO + span
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{Action, RestartMode, Scale, Target};
    use firedrill_core::name::Name;
    use firedrill_core::quantity::{Bytes, Factor};
    use firedrill_core::time::{Span, Time};
    use firedrill_sim::spec::{FaultKind, Feed, Jitter, LabelSource, Phase};

    use crate::read_scenario;

    const WHOLE: &str = "\
schema: scenario/1
scenario: whole
clients:
  users: { calls: { service: shop, endpoint: /buy }, rate: [{ at: 0s, rate: 10/s }, { at: 5m, rate: 1200/m }], timeout: none, users: 500 }
services:
  shop:
    tier: standard
    replicas: 3
    zones: [x, y]
    workers: unbounded
    queue: 0
    cores: 2
    balance: power_of_two
    cancel: context
    endpoints:
      /buy: { work: [cpu: 1ms, call: { service: db, timeout: 1s, probability: 50%, retries: { max: 2, backoff: 10ms } }], error: 1% }
      /look: { work: [sleep: 2ms] }
    version: \"7\"
    versions: { \"8\": { leak: 1KiB/s } }
    liveness: {}
    warm_up: { tau: 5s }
    metrics:
      orders_total: { counter: { endpoint: /buy, success: true }, labels: { code: $code, area: eu } }
  db: { work: [cpu: 1ms] }
faults:
  - deploy: { service: shop, version: \"8\" }
    at: 3m
  - latency: { service: db, from: shop, extra: 100ms }
    at: 2m
    lasting: 1m
oracle:
  - scale: { service: db, times: x2 }
    at: 4m
  - restart: { replica: shop-2 }
";

    #[test]
    fn replicas_can_be_added_again_and_a_hang_that_nothing_ends_cannot_begin_again() {
        let twice = |word: &str, parameters: &str| {
            let fault = |at: &str| format!("  - {word}: {{ {parameters} }}\n    at: {at}\n");
            let faults = fault("1m") + &fault("9m");
            let text = format!(
                "schema: scenario/1\nscenario: twice\nhorizon: 20m\nclients:\n  users: {{ calls: shop, rate: 1/s }}\nservices:\n  \
                 shop: {{ replicas: 2, threads: {{ base: 60, per_peer: 10, limit: 80 }}, work: [cpu: 1ms] }}\nfaults:\n{faults}"
            );
            read_scenario("twice.yaml", &text).map(|scenario| scenario.spec.faults.len())
        };
        assert_eq!(twice("scale_out", "service: shop, by: 2").unwrap(), 2);
        assert!(twice("hang", "replica: shop-1").unwrap_err()[0].message.contains("overlaps the one on line"));
        let expired = &twice("certificate_expiry", "service: shop").unwrap_err()[0];
        assert!(format!("{expired:?}").contains("remove one of the two"), "a certificate takes no `lasting`: {expired:?}");
    }

    #[test]
    fn what_the_real_systems_refuse_is_refused() {
        let refused = |service: &str, rest: &str| {
            let text = format!(
                "schema: scenario/1\nscenario: s\nhorizon: 20m\nclients:\n  users: {{ calls: shop, rate: 1/s }}\nservices:\n  \
                 shop: {{ cores: 1, {service} }}\n{rest}"
            );
            read_scenario("s.yaml", &text).err().map(|problems| problems[0].message.clone()).unwrap_or_default()
        };
        let scaled = |rules: &str| refused(&format!("work: [cpu: 1ms], autoscaler: {{ max: 3, cpu: 60%, scale_down: {rules} }}"), "");
        let every = |every: &str| scaled(&format!("{{ policies: [{{ percent: 50%, every: {every} }}] }}"));
        assert_eq!((every("30m"), scaled("{ window: 60m }")), Default::default());
        assert!(every("31m").contains("the time of a policy"), "{}", every("31m"));
        assert!(scaled("{ window: 61m }").contains("the window"), "{}", scaled("{ window: 61m }"));
        let rollout = |keys: &str| refused(&format!("work: [cpu: 1ms], rollout: {{ {keys} }}"), "");
        assert_eq!(rollout("min_ready: 59s, progress_deadline: 1m"), "");
        assert!(rollout("min_ready: 1m, progress_deadline: 1m").contains("a rollout may stand for"));
        assert!(rollout("min_ready: 10m").contains("a rollout may stand for"));
        let session = |heartbeat: &str| {
            let rest = format!("  cart: {{ consumes: o, work: [cpu: 1ms] }}\ntopics: {{ o: {{ heartbeat: {heartbeat} }} }}\n");
            refused("work: [publish: o]", &rest)
        };
        assert_eq!(session("44s"), "");
        assert!(session("45s").contains("a heartbeat every 45s"), "{}", session("45s"));
        let update = |access: &str| {
            let work = format!("caches: {{ k: {{ keys: 10, ttl: 1m }} }}, work: [update: {{ name: k, write: {{ service: db{access} }} }}]");
            refused(&work, "  db: { database: { engine: postgres }, work: [cpu: 1ms] }\n")
        };
        assert_eq!((update(""), update(", access: write")), Default::default());
        assert!(update(", access: read").contains("an update that only reads"), "{}", update(", access: read"));
    }

    #[test]
    fn everything_that_is_said_arrives_and_the_rest_is_filled_in() {
        let spec = read_scenario("whole.yaml", WHOLE).unwrap().spec;
        let [db, shop] = spec.services.as_slice() else { panic!("two services, by name") };
        assert_eq!((shop.critical, shop.replicas, shop.workers, shop.queue, shop.cores), (false, 3, None, Some(0), Some(2.0)));
        assert_eq!((db.critical, db.replicas, db.workers, db.queue, db.cores), (true, 1, Some(200), Some(100), None));
        assert_eq!((&*shop.versions[0].name, &*shop.versions[1].name, shop.versions[1].healthy), ("7", "8", false));
        assert_eq!(shop.versions[1].leak_per_second, Bytes::new(1024));
        assert_eq!(shop.liveness.as_ref().unwrap().failures, 3);
        let warm_up = shop.warm_up.unwrap();
        assert_eq!((warm_up.factor, warm_up.tau), (Factor::new(4.0).unwrap(), Span::from_seconds(5)));
        let Phase::Call(call) = &shop.endpoints[0].phases[1] else { panic!("the second step is a call") };
        assert_eq!((&*call.endpoint, call.timeout, call.retries.max), ("/", Some(Span::from_seconds(1)), 2));
        assert_eq!(
            (call.retries.base, call.retries.cap, call.retries.jitter),
            (Span::from_millis(10), Span::from_seconds(20), Jitter::Full)
        );
        let metric = &shop.metrics[0];
        assert_eq!(metric.feed, Feed::Requests { endpoint: Some(Name::new("/buy")), success: Some(true) });
        assert_eq!(metric.labels[0], (Name::new("area"), LabelSource::Fixed(Name::new("eu"))));
        let users = &spec.clients[0];
        assert_eq!((users.timeout, users.users, users.rates[1].0), (None, Some(500), Time::from_seconds(300)));
        assert!((users.rates[1].1.get() - 20.0).abs() < 1e-12);
    }

    #[test]
    fn faults_stand_in_order_of_onset_and_cures_without_a_time_at_the_first() {
        let spec = read_scenario("whole.yaml", WHOLE).unwrap().spec;
        assert!(matches!(spec.faults[0].kind, FaultKind::Latency { .. }) && &*spec.faults[0].name == "latency-db");
        assert_eq!(spec.faults[1].at, Time::from_seconds(180));
        // Half an hour after the last of them: the deploy, which takes no time of its own.
        assert_eq!(spec.horizon, Span::from_minutes(33));
        let cures: Vec<_> = spec.cures.iter().map(|cure| (cure.at, cure.action.clone(), cure.target.clone())).collect();
        let restart = (Time::from_seconds(120), Action::Restart { mode: RestartMode::Rolling }, Target::Replica(Name::new("shop-2")));
        let times = Scale::Times(Factor::new(2.0).unwrap());
        let scale = (Time::from_seconds(240), Action::Scale { replicas: times }, Target::Service(Name::new("db")));
        assert_eq!(cures, [restart, scale]);
    }

    #[test]
    fn services_may_call_each_other_back_and_forth_as_long_as_it_ends() {
        let text = "\
schema: scenario/1
scenario: back-and-forth
clients: { users: { calls: { service: a, endpoint: /in }, rate: 1/s } }
services:
  a: { endpoints: { /in: { work: [call: b] }, /detail: { work: [cpu: 1ms] } } }
  b: { work: [call: { service: a, endpoint: /detail }] }
";
        assert!(read_scenario("x.yaml", text).is_ok());
    }

    #[test]
    fn a_chain_of_any_length_is_followed_without_falling() {
        let mut text = "schema: scenario/1\nscenario: chain\nclients: { users: { calls: s0, rate: 1/s } }\nservices:\n".to_owned();
        for index in 0..999 {
            text += &format!("  s{index}: {{ work: [call: s{}] }}\n", index + 1);
        }
        text += "  s999: { work: [cpu: 1ms] }\n";
        assert!(read_scenario("x.yaml", &text).is_ok());
    }
}
