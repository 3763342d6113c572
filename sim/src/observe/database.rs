//! What an exporter says of one replica of a database: that of PostgreSQL, or that of MySQL. It answers also while the database does not.

use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::page::{Page, Sheet};
use super::process::unix_seconds;
use super::{named, named_with};
use crate::spec::Engine;
use crate::world::{DatabaseFigures, World};

/// The name of the database that everything is in.
const DATNAME: &str = "app";

/// What only grows, whatever its name says.
pub(super) const COUNTERS: [&str; 4] =
    ["node_vmstat_oom_kill", "pg_stat_database_xact_commit", "pg_stat_database_xact_rollback", "pg_stat_database_deadlocks"];

/// The exporter beside one replica.
#[derive(Clone, Debug)]
pub(super) struct DatabasePage {
    pub(super) replica: u32,
    pub(super) page: Page,
}

impl Engine {
    /// The exporter's job, and the port that it listens on.
    pub(super) const fn exporter(self) -> (&'static str, u16) {
        match self {
            Self::Postgres => ("postgres-exporter", 9187),
            Self::Mysql => ("mysqld-exporter", 9104),
        }
    }
}

impl DatabasePage {
    pub(super) fn new(replica: u32) -> Self {
        Self { replica, page: Page::default() }
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let Some(figures) = world.database_figures(self.replica) else { return };
        let replica = &world.replicas[self.replica as usize];
        let spec = world.spec.services[replica.service as usize].database.as_deref().expect("only databases have exporters");
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        let started = unix_seconds(world, replica.started);
        let most = f64::from(spec.max_connections);
        match spec.engine {
            Engine::Postgres => postgres(&mut sheet, labels, figures, (most, started)),
            Engine::Mysql => mysql(&mut sheet, labels, figures, (most, world.now.as_seconds() - replica.started.as_seconds())),
        }
        // Locks are those of the whole database, and its primary has them.
        let shown = |value: f64| figures.is_up.then_some(if figures.is_primary { value } else { 0.0 });
        let (held, waiting) = world.lock_figures(replica.service);
        let of = labels.clone().set("datname", DATNAME);
        match spec.engine {
            Engine::Postgres => {
                let deadlocks = world.services[replica.service as usize].deadlocks;
                let failed: u64 = replica.counters.requests.iter().map(|counts| counts[1]).sum();
                sheet.put(figures.is_up.then_some(failed as f64), || named("pg_stat_database_xact_rollback", &of));
                sheet.put(shown((held + waiting) as f64), || named_with("pg_locks_count", &of, ("mode", "exclusivelock")));
                sheet.put(shown(deadlocks as f64), || named("pg_stat_database_deadlocks", &of));
            }
            Engine::Mysql => sheet.put(shown(waiting as f64), || named("mysql_global_status_innodb_row_lock_current_waits", labels)),
        }
    }
}

fn postgres(sheet: &mut Sheet<'_>, labels: &LabelsBuilder, figures: DatabaseFigures, (most, started): (f64, f64)) {
    let up = figures.is_up;
    sheet.put(Some(f64::from(u8::from(up))), || named("pg_up", labels));
    let gauges = [
        ("pg_settings_max_connections", most),
        ("pg_postmaster_start_time_seconds", started),
        ("pg_replication_lag_seconds", figures.lag.as_seconds()),
        ("pg_replication_is_replica", f64::from(u8::from(!figures.is_primary))),
    ];
    for (metric, value) in gauges {
        sheet.put(up.then_some(value), || named(metric, labels));
    }
    let of = labels.clone().set("datname", DATNAME);
    for (state, count) in [("active", figures.active), ("idle", figures.idle)] {
        sheet.put(up.then_some(f64::from(count)), || named_with("pg_stat_activity_count", &of, ("state", state)));
    }
    sheet.put(up.then_some(figures.commits as f64), || named("pg_stat_database_xact_commit", &of));
}

fn mysql(sheet: &mut Sheet<'_>, labels: &LabelsBuilder, figures: DatabaseFigures, (most, uptime): (f64, f64)) {
    let up = figures.is_up;
    sheet.put(Some(f64::from(u8::from(up))), || named("mysql_up", labels));
    let gauges = [
        ("mysql_global_variables_max_connections", most),
        ("mysql_global_status_threads_connected", f64::from(figures.active + figures.idle)),
        ("mysql_global_status_threads_running", f64::from(figures.active)),
        ("mysql_global_status_uptime", uptime),
        ("mysql_global_variables_read_only", f64::from(u8::from(!figures.is_primary))),
    ];
    for (metric, value) in gauges {
        sheet.put(up.then_some(value), || named(metric, labels));
    }
    let commands = labels.clone().set("command", "commit");
    sheet.put(up.then_some(figures.commits as f64), || named("mysql_global_status_commands_total", &commands));
    // Only who follows somebody says how far behind it is.
    let lag = (up && !figures.is_primary).then_some(figures.lag.as_seconds());
    sheet.put(lag, || named("mysql_slave_status_seconds_behind_master", labels));
}
