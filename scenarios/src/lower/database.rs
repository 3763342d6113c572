//! Databases with every default filled in, and what cannot be asked of one.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{Access, Balance, Commit, DatabaseSpec, Engine, FailoverSpec, Phase, WarmUp};

use crate::defaults;
use crate::document::database::{DatabaseDocument, FailoverDocument, FailoverPreset};
use crate::document::lock::LockDocument;
use crate::document::service::ServiceDocument;
use crate::lower::names::Names;
use crate::lower::or;
use crate::problem;

/// Lowers `database:` of a service; `None` if it is none.
pub fn lower(reader: &mut Reader, service: &ServiceDocument, balance: Balance, has_views: bool) -> Option<Box<DatabaseSpec>> {
    let said = service.database.as_ref()?;
    check(reader, service, said, (balance, has_views));
    let said = &said.value;
    let engine = or(said.engine.as_ref(), || Engine::Postgres);
    let failover = said.failover.as_ref().and_then(|failover| failover.value.as_ref());
    Some(Box::new(DatabaseSpec {
        engine,
        max_connections: or(said.max_connections.as_ref(), || {
            defaults::count(match engine {
                Engine::Postgres => "database.postgres.max_connections",
                Engine::Mysql => "database.mysql.max_connections",
            })
        }),
        connect_seconds: or(said.connect.as_ref(), || defaults::span("database.connect")).as_seconds(),
        lag: or(said.lag.as_ref(), || defaults::span("database.lag")),
        apply: or(said.apply.as_ref(), || defaults::span("database.apply")),
        commit: or(said.commit.as_ref(), || commit(failover)),
        reads_from_standbys: or(said.reads.as_ref(), || defaults::text("database.reads") == "standbys"),
        stale_after: or(said.stale_after.as_ref(), || defaults::span("database.stale_after")),
        failover: lower_failover(failover),
    }))
}

fn preset(failover: Option<&FailoverDocument>) -> Option<FailoverPreset> {
    failover.and_then(|failover| failover.preset.as_ref()).map(|preset| preset.value)
}

/// Whether a write is safe elsewhere: by what fails over, if that says it.
fn commit(failover: Option<&FailoverDocument>) -> Commit {
    let key = preset(failover).map(|preset| format!("failover.{}.commit", preset.word()));
    let word = defaults::text(key.as_deref().unwrap_or("database.commit"));
    if word == "replicated" { Commit::Replicated } else { Commit::Local }
}

fn lower_failover(failover: Option<&FailoverDocument>) -> FailoverSpec {
    let preset = preset(failover).unwrap_or(FailoverPreset::Patroni);
    let none = FailoverDocument::default();
    let said = failover.unwrap_or(&none);
    let time = |said: &Option<Located<Distribution>>, step: &str| {
        or(said.as_ref(), || defaults::distribution(&format!("failover.{}.{step}", preset.word())))
    };
    FailoverSpec {
        is_automatic: failover.is_some(),
        detect: time(&said.detect, "detect"),
        promote: time(&said.promote, "promote"),
        reconnect: time(&said.reconnect, "reconnect"),
    }
}

fn check(reader: &mut Reader, service: &ServiceDocument, said: &Located<DatabaseDocument>, (balance, has_views): (Balance, bool)) {
    let replicas = or(service.replicas.as_ref(), || 1);
    if let Some(failover) = &said.value.failover
        && failover.value.is_some()
        && replicas < 2
    {
        let what = "a failover of a database with one replica, whose place nobody can take";
        reader.problem(problem::impossible(&failover.place, what, "give it `replicas: 2` or more, or remove `failover`"));
    }
    if has_views || !matches!(balance, Balance::RoundRobin | Balance::Random | Balance::PowerOfTwo) {
        let what = "a database whose callers choose a replica by what they know of it: they know its primary";
        let remedy = "write `balance: round_robin`, `random` or `power_of_two`, for reads, and nothing else about who is asked";
        reader.problem(problem::impossible(&said.place, what, remedy));
    }
}

/// Lowers `access:` of a call.
pub fn lower_access(reader: &mut Reader, names: &Names, service: &Name, access: Option<&Located<Access>>) -> Access {
    let known = names.services.get(service);
    if let Some(access) = access
        && known.is_some_and(|known| !known.is_database)
    {
        let what = format!("`access` to `{service}`, which is no database");
        reader.problem(problem::impossible(&access.place, &what, "remove it, or add `database:` to the service"));
    }
    or(access, Access::default)
}

/// Lowers the taking of a lock: how long it is waited for is as in the engine, if the service is a database.
pub fn lower_lock(lock: &LockDocument, engine: Option<Engine>) -> Phase {
    let own = |key: &str| {
        let place = match engine {
            None => "",
            Some(Engine::Postgres) => ".postgres",
            Some(Engine::Mysql) => ".mysql",
        };
        defaults::span_or_none(&format!("lock{place}.{key}"))
    };
    Phase::Lock {
        lock: lock.name.value.clone(),
        timeout: or(lock.timeout.as_ref(), || own("timeout")),
        deadlock_after: or(lock.deadlock_timeout.as_ref(), || own("deadlock_timeout")),
    }
}

/// The slowness of a database that has nothing in memory.
pub fn warm_up() -> WarmUp {
    WarmUp { factor: defaults::factor("database.warm_up.factor"), tau: defaults::span("database.warm_up.tau") }
}

/// Attempts that a replica with so many cores works on at a time.
pub fn workers(cores: Option<f64>) -> Option<u32> {
    cores.map(|cores| (cores * f64::from(defaults::count("database.workers"))).ceil().max(1.0) as u32)
}
