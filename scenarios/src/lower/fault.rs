//! Faults and changes: that they can happen, that they hurt if they are faults, and that no two of a kind meet.

use std::collections::BTreeSet;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Rate};
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{FaultKind, FaultSpec};

use crate::document::ScenarioDocument;
use crate::document::client::ClientDocument;
use crate::document::fault::FaultDocument;
use crate::document::service::{PhaseDocument, ServiceDocument};
use crate::lower::flag::is_sound;
use crate::lower::names::Names;
use crate::lower::{instant, or};
use crate::{defaults, problem};

/// Faults and changes, each in order of onset.
pub fn lower(reader: &mut Reader, names: &Names, document: &ScenarioDocument, horizon: Span) -> (Vec<FaultSpec>, Vec<FaultSpec>) {
    let check = Check { names, document, horizon };
    for fault in &document.faults {
        check.any(reader, fault, "a fault");
        check.hurts(reader, fault);
    }
    for change in &document.changes {
        check.any(reader, change, "a change");
        check.is_benign(reader, change);
    }
    let all: Vec<&FaultDocument> = document.faults.iter().chain(&document.changes).collect();
    check_overlaps(reader, &all);
    let mut taken = BTreeSet::new();
    for name in all.iter().filter_map(|fault| fault.name.as_ref()) {
        if !taken.insert(name.value.clone()) {
            reader.problem(problem::taken(&name.place, "the fault", &name.value, "a fault before it"));
        }
    }
    let mut lower_all = |list: &[FaultDocument]| {
        let mut lowered: Vec<FaultSpec> = list.iter().map(|fault| lower_one(fault, &mut taken)).collect();
        lowered.sort_by(|left, right| (left.at, &left.name).cmp(&(right.at, &right.name)));
        lowered
    };
    (lower_all(&document.faults), lower_all(&document.changes))
}

fn lower_one(fault: &FaultDocument, taken: &mut BTreeSet<Name>) -> FaultSpec {
    let name = fault.name.as_ref().map_or_else(|| free_name(fault, taken), |name| name.value.clone());
    taken.insert(name.clone());
    FaultSpec { name, at: onset(fault), lasting: fault.lasting.as_ref().map(|lasting| lasting.value), kind: fault.kind.clone() }
}

/// `crash-api-0`, or `crash-api-0-2` if that is taken.
fn free_name(fault: &FaultDocument, taken: &BTreeSet<Name>) -> Name {
    let base = format!("{}-{}", fault.kind.word(), fault.kind.target().name());
    let numbered = (2..).map(|number| Name::from(format!("{base}-{number}")));
    std::iter::once(Name::new(&base)).chain(numbered).find(|name| !taken.contains(name)).expect("numbers do not end")
}

fn onset(fault: &FaultDocument) -> Time {
    fault.at.as_ref().map_or(Time::ZERO, |at| instant(at.value))
}

struct Check<'a> {
    names: &'a Names,
    document: &'a ScenarioDocument,
    horizon: Span,
}

impl Check<'_> {
    /// What every fault and every change must satisfy.
    fn any(&self, reader: &mut Reader, fault: &FaultDocument, what: &str) {
        if let Some(at) = fault.at.as_ref().filter(|at| at.value >= self.horizon) {
            let what = format!("{what} sets in");
            reader.problem(problem::after_horizon(&at.place, &what, &at.value.to_string(), &self.horizon.to_string()));
        }
        let target = fault.kind.target();
        match &fault.kind {
            FaultKind::Poison { topic, partition, .. } => self.poison(reader, fault, topic, *partition),
            _ => self.names.target(reader, &target, fault.places.target(&target)),
        }
        match &fault.kind {
            FaultKind::Deploy { service, version } => self.deploy(reader, fault, service, version),
            FaultKind::Flag { service, flag } => self.flag(reader, fault, service, flag),
            FaultKind::Latency { from: Some(from), service, .. } => self.latency(reader, fault, from, service),
            FaultKind::Surge { client, .. } => self.surge(reader, fault, client),
            FaultKind::CacheFlush { service, cache, .. } => self.cache_flush(reader, fault, service, cache),
            FaultKind::PrimaryCrash { .. } | FaultKind::ReplicaLag { .. } => self.of_database(reader, fault),
            FaultKind::LockHold { service, lock } => self.lock_hold(reader, fault, service, lock),
            FaultKind::Quota { service, rate } => self.quota(reader, (fault, what), service, *rate),
            FaultKind::CacheCorruption { service, cache, .. } => self.cache_flush(reader, fault, service, cache),
            FaultKind::ConnectionLeak { to, .. } => self.connection_leak(reader, fault, to.as_ref()),
            FaultKind::DiskFill { .. } => self.disk_fill(reader, fault),
            FaultKind::ScaleOut { service, .. } => self.scale_out(reader, fault, service),
            FaultKind::ConfigDrift { target, replicas: Some(replicas), .. } => self.drift(reader, fault, target, *replicas),
            FaultKind::CertificateExpiry { service, .. } => self.certificate(reader, fault, service),
            _ => {}
        }
        self.has_cpu_work(reader, fault);
        self.lasting(reader, fault);
        let factor = match &fault.kind {
            FaultKind::Slow { factor, .. } | FaultKind::Capacity { factor, .. } | FaultKind::Surge { factor, .. } => Some(factor.get()),
            _ => None,
        };
        match factor {
            Some(1.0) => {
                let why = format!("a {} by x1 changes nothing", fault.kind.word());
                reader.problem(problem::impossible(fault.places.of("factor"), &why, "write another factor"));
            }
            Some(factor) if factor > 1e6 => {
                reader.problem(problem::too_much(fault.places.of("factor"), "the factor", &format!("x{factor}"), "x1000000"));
            }
            _ => {}
        }
    }

    /// No more replicas drift than there are at the start.
    fn drift(&self, reader: &mut Reader, fault: &FaultDocument, target: &Target, replicas: u32) {
        let Some(service) = self.document.services.iter().find(|own| target.service().is_some_and(|name| own.name.value == name)) else {
            return;
        };
        let there = or(service.replicas.as_ref(), || defaults::count("services.*.replicas"));
        if replicas > there && service.autoscaler.is_none() {
            let why = format!("{replicas} replicas of `{}` drift, and there are {there}", service.name.value);
            reader.problem(problem::impossible(
                fault.places.of("replicas"),
                &why,
                &format!("write {there} or less, or leave it away for all"),
            ));
        }
    }

    /// Demand and speed are of the CPU: work that only sleeps and calls takes as long as before.
    fn has_cpu_work(&self, reader: &mut Reader, fault: &FaultDocument) {
        let (FaultKind::Slow { target, .. } | FaultKind::Capacity { target, .. } | FaultKind::Steal { target, .. }) = &fault.kind else {
            return;
        };
        let Some(name) = target.service() else { return };
        let Some(service) = self.document.services.iter().find(|candidate| candidate.name.value == name) else { return };
        let mut work = service.endpoints.iter().flat_map(|endpoint| &endpoint.work).peekable();
        if work.peek().is_some() && !work.any(|phase| matches!(phase, PhaseDocument::Cpu(_))) {
            let why = format!("a {} of `{name}` changes nothing: its work has no `cpu:`", fault.kind.word());
            let remedy = "add `cpu:` to its work, or write `latency:` with `extra:` to make its answers late";
            reader.problem(problem::impossible(fault.places.word(), &why, remedy));
        }
    }

    /// `lasting` belongs to what goes on, not to what happens once.
    fn lasting(&self, reader: &mut Reader, fault: &FaultDocument) {
        let Some(lasting) = &fault.lasting else { return };
        match &fault.kind {
            FaultKind::Deploy { .. } => {
                let remedy = "remove `lasting`; a second deploy brings the old version back";
                reader.problem(problem::impossible(&lasting.place, "a deploy does not end by itself", remedy));
            }
            FaultKind::Poison { .. } => {
                let remedy = "remove `lasting`; a message is there until it is parked, dropped, or a dead letter";
                reader.problem(problem::impossible(&lasting.place, "a message does not end by itself", remedy));
            }
            FaultKind::CacheCorruption { .. } => {
                let remedy = "remove `lasting`; an entry is spoilt until it is flushed, or has lived its time";
                reader.problem(problem::impossible(&lasting.place, "an entry does not become sound by itself", remedy));
            }
            FaultKind::CertificateExpiry { .. } => {
                let remedy = "remove `lasting`; a certificate is expired until it is renewed";
                reader.problem(problem::impossible(&lasting.place, "a certificate does not become valid again", remedy));
            }
            FaultKind::ScaleOut { .. } => {
                let remedy = "remove `lasting`; who adds replicas does not take them away";
                reader.problem(problem::impossible(&lasting.place, "what is added stays", remedy));
            }
            FaultKind::CacheFlush { .. } => {
                let remedy = "remove `lasting`; what was flushed comes back with the load";
                reader.problem(problem::impossible(&lasting.place, "a flush is over at once", remedy));
            }
            FaultKind::Crash { every: None, .. } => {
                let remedy = "remove `lasting`, or add `every:`, the life of each new process";
                reader.problem(problem::impossible(&lasting.place, "a single crash is over at once", remedy));
            }
            _ => {}
        }
    }

    /// Users who ask when they are answered have no rate that could be multiplied.
    fn surge(&self, reader: &mut Reader, fault: &FaultDocument, client: &Name) {
        let is_closed = |candidate: &&ClientDocument| candidate.name.value == *client && candidate.load.closed.is_some();
        if self.document.clients.iter().any(|candidate| is_closed(&candidate)) {
            let why = format!("a surge of `{client}`, whose users ask when they have been answered");
            let remedy = "give the client a `rate` instead of `closed`";
            reader.problem(problem::impossible(fault.places.word(), &why, remedy));
        }
    }

    fn poison(&self, reader: &mut Reader, fault: &FaultDocument, topic: &Name, partition: u32) {
        let known: Vec<&str> = self.document.topics.iter().map(|topic| topic.name.value.as_str()).collect();
        let Some(said) = self.document.topics.iter().find(|known| known.name.value == *topic) else {
            reader.problem(problem::unknown(fault.places.of("topic"), "topic", topic, &known));
            return;
        };
        let is_log = said.preset.as_ref().is_none_or(|preset| preset.value.is_log());
        let partitions = if is_log { or(said.partitions.as_ref(), || defaults::count("topics.kafka.partitions")) } else { 1 };
        if partition >= partitions {
            let what = format!("`{topic}` has no partition {partition}: they are counted from 0 to {}", partitions - 1);
            reader.problem(problem::impossible(fault.places.of("partition"), &what, "name one that there is"));
        }
    }

    fn cache_flush(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name, cache: &Name) {
        let Some(known) = self.document.services.iter().find(|candidate| candidate.name.value == *service) else { return };
        let caches: Vec<&str> = known.caches.iter().map(|known| known.name.value.as_str()).collect();
        if !caches.contains(&cache.as_str()) {
            reader.problem(problem::unknown_within(fault.places.of("cache"), service, ("cache", cache), &caches));
        }
    }

    fn service_of(&self, target: &Target) -> Option<&ServiceDocument> {
        let name = target.service()?;
        self.document.services.iter().find(|candidate| candidate.name.value == name)
    }

    /// What leaks are connections of pools.
    fn connection_leak(&self, reader: &mut Reader, fault: &FaultDocument, to: Option<&Name>) {
        let Some(service) = self.service_of(&fault.kind.target()) else { return };
        let work = service.endpoints.iter().flat_map(|endpoint| &endpoint.work);
        let mut pooled = work.flat_map(PhaseDocument::calls).filter(|call| call.protection.pool.is_some());
        if !pooled.any(|call| to.is_none_or(|to| call.service.value == *to)) {
            let whereto = to.map_or_else(String::new, |to| format!(" to `{to}`"));
            let why = format!("`{}` has no pool{whereto} that could leak", service.name.value);
            reader.problem(problem::impossible(fault.places.of("to"), &why, "give its call a `pool`, such as `pool: { size: 10 }`"));
        }
    }

    /// A volume without end is never full, and one that fills too slowly is not full in time.
    fn disk_fill(&self, reader: &mut Reader, fault: &FaultDocument) {
        let FaultKind::DiskFill { target, per_second } = &fault.kind else { return };
        let Some(service) = self.service_of(target) else { return };
        let place = fault.places.of("fill");
        let Some(disk) = service.disk.as_ref().map(|disk| disk.value) else {
            let why = format!("the volume of `{}` has no end", service.name.value);
            reader.problem(problem::impossible(place, &why, "give it a `disk`, such as `disk: { size: 20GiB, used: 8GiB }`"));
            return;
        };
        let free = (disk.size.get() - disk.used.get()) as f64;
        let needed = Span::from_seconds_f64(free / (per_second.get().max(1)) as f64);
        let left = (Time::ZERO + self.horizon).since(onset(fault));
        let has = fault.lasting.as_ref().map_or(left, |lasting| lasting.value.min(left));
        if needed >= has && onset(fault) < instant(self.horizon) {
            let why = format!("the volume needs {needed} to fill from {} to {}, and has {has}", disk.used, disk.size);
            reader.problem(problem::impossible(place, &why, "let it fill faster or longer, or give it less room"));
        }
    }

    /// Replicas that are added hurt nobody where processes have no threads for each other.
    fn scale_out(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name) {
        let Some(service) = self.document.services.iter().find(|candidate| candidate.name.value == *service) else { return };
        if service.threads.is_none() {
            let why = format!("more replicas of `{}` hurt nobody: its threads have no limit", service.name.value);
            let remedy = "give it `threads`, such as `threads: { base: 60, per_peer: 10, limit: 130 }`";
            reader.problem(problem::impossible(fault.places.word(), &why, remedy));
        }
    }

    /// A certificate that nobody looks at may expire.
    fn certificate(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name) {
        let calls = |caller: &ServiceDocument| {
            caller
                .endpoints
                .iter()
                .flat_map(|endpoint| &endpoint.work)
                .any(|phase| phase.calls().iter().any(|call| call.service.value == *service))
        };
        let of_client = |client: &ClientDocument| client.calls.as_ref().is_none_or(|called| called.service.value == *service);
        let is_called = self.document.services.iter().any(calls) || self.document.clients.iter().any(of_client);
        if !is_called && self.names.services.contains_key(service) {
            let why = format!("nobody calls `{service}`, so nobody looks at its certificate");
            reader.problem(problem::impossible(fault.places.word(), &why, "name a service that somebody calls"));
        }
    }

    fn lock_hold(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name, lock: &Name) {
        let Some(known) = self.document.services.iter().find(|candidate| candidate.name.value == *service) else { return };
        let work = known.endpoints.iter().flat_map(|endpoint| &endpoint.work);
        let taken = work.filter_map(|phase| match phase {
            PhaseDocument::Lock(lock) => Some(lock.name.value.as_str()),
            _ => None,
        });
        let locks: Vec<&str> = taken.collect();
        if !locks.contains(&lock.as_str()) {
            reader.problem(problem::unknown_within(fault.places.of("lock"), service, ("lock", lock), &locks));
        }
    }

    fn quota(&self, reader: &mut Reader, (fault, what): (&FaultDocument, &str), service: &Name, rate: Rate) {
        let Some(known) = self.document.services.iter().find(|candidate| candidate.name.value == *service) else { return };
        match known.admission.quota.as_ref().and_then(|quota| quota.value.as_ref()) {
            None => {
                let why = format!("a quota of `{service}`, which has none that could change");
                reader.problem(problem::impossible(fault.places.word(), &why, "give the service a `quota`, such as `quota: 100/s`"));
            }
            Some(quota) if quota.rate.value == rate => {
                let why = format!("the quota of `{service}` is {rate} anyway");
                reader.problem(problem::impossible(fault.places.of("rate"), &why, "write another one"));
            }
            Some(quota) if quota.rate.value < rate && what == "a fault" => {
                let why = format!("a quota of {rate} is more than the {} that `{service}` has, and hurts nobody", quota.rate.value);
                reader.problem(problem::impossible(fault.places.of("rate"), &why, "write a lower one, or let it be one of `changes`"));
            }
            Some(_) => {}
        }
    }

    /// What only a database has, and replicas of it that follow another.
    fn of_database(&self, reader: &mut Reader, fault: &FaultDocument) {
        let target = fault.kind.target();
        let Some(name) = target.service() else { return };
        let Some(service) = self.document.services.iter().find(|candidate| candidate.name.value == name) else { return };
        let place = fault.places.target(&target);
        let Some(database) = &service.database else {
            let why = format!("a {} of `{name}`, which is no database", fault.kind.word());
            reader.problem(problem::impossible(place, &why, "name a service with `database:`"));
            return;
        };
        let FaultKind::ReplicaLag { lag, .. } = &fault.kind else { return };
        if or(service.replicas.as_ref(), || 1) < 2 {
            let why = format!("`{name}` has one replica, so nobody follows it");
            reader.problem(problem::impossible(place, &why, "give it `replicas: 2` or more"));
        }
        let usual = or(database.value.lag.as_ref(), || defaults::span("database.lag"));
        if *lag <= usual {
            let why = format!("standbys are {usual} behind anyway, so a lag of {lag} changes nothing");
            reader.problem(problem::impossible(fault.places.of("lag"), &why, "write a longer one"));
        }
    }

    fn deploy(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name, version: &Name) {
        let Some(known) = self.names.services.get(service) else { return };
        let place = fault.places.of("version");
        if !known.versions.contains(version) {
            let versions: Vec<&str> = known.versions.iter().map(Name::as_str).collect();
            reader.problem(problem::unknown_version(place, service, version, &versions));
            return;
        }
        let deployed_before = self.document.faults.iter().chain(&self.document.changes).any(|other| {
            matches!(&other.kind, FaultKind::Deploy { service: of, version: new } if of == service && new != version)
                && onset(other) < onset(fault)
        });
        if known.versions.first() == Some(version) && !deployed_before {
            reader.problem(problem::version(place, format!("`{service}` runs `{version}` already"), "deploy another of its versions"));
        }
    }

    fn flag(&self, reader: &mut Reader, fault: &FaultDocument, service: &Name, flag: &Name) {
        let Some(service) = self.document.services.iter().find(|candidate| candidate.name.value == *service) else { return };
        let known: Vec<&str> = service.flags.iter().map(|flag| flag.name.value.as_str()).collect();
        if !known.contains(&flag.as_str()) {
            reader.problem(problem::unknown_within(fault.places.of("flag"), &service.name.value, ("flag", flag), &known));
        }
    }

    /// Whether a flag that is turned on leaves its service sound; `None` if there is no such flag.
    fn is_sound_flag(&self, service: &Name, flag: &Name) -> Option<bool> {
        let service = self.document.services.iter().find(|candidate| candidate.name.value == *service)?;
        service.flags.iter().find(|candidate| candidate.name.value == *flag).map(is_sound)
    }

    fn latency(&self, reader: &mut Reader, fault: &FaultDocument, from: &Name, service: &Name) {
        let place = fault.places.of("from");
        let calls = |caller: &ServiceDocument| {
            caller
                .endpoints
                .iter()
                .flat_map(|endpoint| &endpoint.work)
                .any(|phase| phase.calls().iter().any(|call| call.service.value == *service))
        };
        let client = self.document.clients.iter().find(|client| client.name.value == *from);
        let caller = self.document.services.iter().find(|candidate| candidate.name.value == *from);
        let does_call = match (client, caller) {
            (Some(client), _) => client.calls.as_ref().is_none_or(|called| called.service.value == *service),
            (None, Some(caller)) => calls(caller),
            (None, None) => {
                let known: Vec<&str> = self.names.services.keys().chain(&self.names.clients).map(Name::as_str).collect();
                reader.problem(problem::unknown(place, "caller", from, &known));
                return;
            }
        };
        if !does_call && self.names.services.contains_key(service) {
            let why = format!("`{from}` does not call `{service}`, so nothing is slower");
            reader.problem(problem::impossible(place, &why, "name a caller of it, or remove `from`"));
        }
    }

    /// A fault that cannot hurt is a mistake, or a change.
    fn hurts(&self, reader: &mut Reader, fault: &FaultDocument) {
        let places = &fault.places;
        match &fault.kind {
            FaultKind::Slow { factor, .. } if factor.get() < 1.0 => {
                reader.problem(problem::impossible(
                    places.of("factor"),
                    &format!("demand {factor} is less work, and no fault"),
                    "write a factor above x1",
                ));
            }
            FaultKind::Capacity { factor, .. } if factor.get() > 1.0 => {
                reader.problem(problem::impossible(
                    places.of("factor"),
                    &format!("capacity {factor} is more speed, and no fault"),
                    "write a factor below x1",
                ));
            }
            FaultKind::Steal { share, .. } if share.get() == 0.0 => {
                reader.problem(problem::impossible(
                    places.of("share"),
                    "a steal of 0% takes nothing, and is no fault",
                    "write a share above zero, such as `50%`",
                ));
            }
            FaultKind::ErrorRate { error, .. } if error.get() == 0.0 => {
                reader.problem(problem::impossible(
                    places.of("error"),
                    "an error rate of 0% is no fault",
                    "write a share above zero, such as `20%`",
                ));
            }
            FaultKind::Latency { extra, .. } if extra.mean() == 0.0 => {
                reader.problem(problem::impossible(
                    places.of("extra"),
                    "a latency of 0s makes nothing later, and is no fault",
                    "write a duration above zero, such as `200ms`",
                ));
            }
            FaultKind::MemoryLeak { target, per_second } => self.leak_hurts(reader, fault, target, *per_second),
            FaultKind::ConnectionLeak { share, .. } | FaultKind::CacheCorruption { share, .. } if share.get() == 0.0 => {
                let why = format!("a {} of 0% is no fault", fault.kind.word().replace('_', " "));
                reader.problem(problem::impossible(places.of("share"), &why, "write a share above zero, such as `1%`"));
            }
            FaultKind::ConfigDrift { demand, error, .. } if demand.get() <= 1.0 && error.get() == 0.0 => {
                let why = "a drift that neither errs nor needs more CPU hurts nobody";
                reader.problem(problem::impossible(places.word(), why, "write `demand` above x1, or `error` above zero"));
            }
            FaultKind::Flag { service, flag } if self.is_sound_flag(service, flag) == Some(true) => {
                let remedy = "move it to `changes:`, or say in `flags:` what is wrong with it, at least `healthy: false`";
                let why = format!("`{service}` is sound with `{flag}`, so turning it on is no fault");
                reader.problem(problem::version(places.of("flag"), why, remedy));
            }
            FaultKind::Deploy { service, version } if self.is_sound(service, version) == Some(true) => {
                let remedy = "move it to `changes:`, or say in `versions:` what is wrong with it";
                reader.problem(problem::version(
                    places.of("version"),
                    format!("`{version}` is sound, so deploying it is no fault"),
                    remedy,
                ));
            }
            _ => {}
        }
    }

    /// A leak without a limit, or too slow to reach it, kills nothing.
    fn leak_hurts(&self, reader: &mut Reader, fault: &FaultDocument, target: &Target, per_second: Bytes) {
        let place = fault.places.of("leak");
        let service = target.service();
        let Some(service) = self.document.services.iter().find(|candidate| Some(&candidate.name.value) == service.as_ref()) else { return };
        if per_second == Bytes::default() {
            reader.problem(problem::impossible(place, "a leak of nothing is no fault", "write a growth above zero, such as `1MiB/s`"));
            return;
        }
        let Some(limit) = service.memory.limit.as_ref().and_then(|limit| limit.value) else {
            let why = format!("a leak on `{}` never hurts: its memory has no limit", service.name.value);
            reader.problem(problem::impossible(place, &why, "set `limit` in its `memory:`, such as `512MiB`"));
            return;
        };
        let base = or(service.memory.base.as_ref(), || defaults::bytes("memory.base"));
        let needed = Span::from_seconds_f64(limit.get().saturating_sub(base.get()) as f64 / per_second.get() as f64);
        let left = (Time::ZERO + self.horizon).since(onset(fault));
        let has = fault.lasting.as_ref().map_or(left, |lasting| lasting.value.min(left));
        if needed >= has && onset(fault) < instant(self.horizon) {
            let why = format!("the leak needs {needed} from {base} to the limit of {limit}, and has {has}");
            reader.problem(problem::impossible(place, &why, "let it leak faster or longer, or lower the limit"));
        }
    }

    /// A change is planned and hurts nobody for long: a version that is not sound is a fault.
    fn is_benign(&self, reader: &mut Reader, change: &FaultDocument) {
        if let FaultKind::Flag { service, flag } = &change.kind
            && self.is_sound_flag(service, flag) == Some(false)
        {
            let remedy = "move it to `faults:`, or let the flag be sound";
            let fault = format!("`{service}` is not sound with `{flag}`, so turning it on is no benign change");
            reader.problem(problem::version(change.places.of("flag"), fault, remedy));
        }
        if let FaultKind::Deploy { service, version } = &change.kind
            && self.is_sound(service, version) == Some(false)
        {
            let remedy = "move it to `faults:`, or let the version be sound";
            let fault = format!("`{version}` is not sound, so deploying it is no benign change");
            reader.problem(problem::version(change.places.of("version"), fault, remedy));
        }
    }

    /// Whether a version is sound; `None` if there is no such version.
    fn is_sound(&self, service: &Name, version: &Name) -> Option<bool> {
        let service = self.document.services.iter().find(|candidate| candidate.name.value == *service)?;
        let known = self.names.services.get(&service.name.value)?;
        match service.versions.iter().find(|candidate| candidate.name.value == *version) {
            Some(said) => {
                let flawed = said.error.as_ref().is_some_and(|error| error.value.get() > 0.0)
                    || said.demand.as_ref().is_some_and(|demand| demand.value.get() > 1.0)
                    || said.leak.as_ref().is_some_and(|leak| leak.value.get() > 0)
                    || said.crash_after.is_some()
                    || said.image.as_ref().is_some_and(|image| image.value);
                Some(or(said.healthy.as_ref(), || !flawed))
            }
            None => known.versions.contains(version).then_some(true),
        }
    }
}

/// Two of one kind at one time on one target would leave open what holds. Reported at the later of the two.
fn check_overlaps(reader: &mut Reader, faults: &[&FaultDocument]) {
    let mut order: Vec<&FaultDocument> = faults.to_vec();
    order.sort_by_key(|fault| (onset(fault), fault.place.line()));
    for (index, later) in order.iter().enumerate() {
        let meets = |earlier: &&&FaultDocument| same_thing(&earlier.kind, &later.kind) && onset(later) < end(earlier);
        if let Some(earlier) = order[..index].iter().find(meets) {
            let target = later.kind.target().to_string();
            let stays =
                matches!(earlier.kind, FaultKind::CertificateExpiry { .. } | FaultKind::CacheCorruption { .. } | FaultKind::Poison { .. });
            let has_end = earlier.lasting.is_some() || is_instant(&earlier.kind);
            let end = if stays { problem::FirstEnd::Never } else { problem::FirstEnd::of(has_end) };
            reader.problem(problem::overlapping(later.places.word(), later.kind.word(), &target, earlier.places.word().line(), end));
        }
    }
}

/// When a fault is over if nobody cures it; what happens once takes one instant.
fn end(fault: &FaultDocument) -> Time {
    match &fault.lasting {
        Some(lasting) => onset(fault) + lasting.value,
        None if is_instant(&fault.kind) => onset(fault) + Span::from_nanos(1),
        None => Time::MAX,
    }
}

const fn is_instant(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Deploy { .. }
            | FaultKind::ScaleOut { .. }
            | FaultKind::Crash { every: None, .. }
            | FaultKind::PrimaryCrash { .. }
            | FaultKind::CacheFlush { .. }
    )
}

/// Whether two faults change the same parameter of the same thing.
fn same_thing(left: &FaultKind, right: &FaultKind) -> bool {
    if left.word() != right.word() {
        return false;
    }
    if let (FaultKind::Latency { from: Some(left), .. }, FaultKind::Latency { from: Some(right), .. }) = (left, right)
        && left != right
    {
        return false;
    }
    if let (FaultKind::LockHold { lock: left, .. }, FaultKind::LockHold { lock: right, .. }) = (left, right)
        && left != right
    {
        return false;
    }
    if let (FaultKind::Flag { flag: left, .. }, FaultKind::Flag { flag: right, .. }) = (left, right)
        && left != right
    {
        return false;
    }
    if let (FaultKind::Poison { .. }, FaultKind::Poison { .. }) = (left, right) {
        return false;
    }
    let (left, right) = (left.target(), right.target());
    left == right || contains(&left, &right) || contains(&right, &left)
}

/// A service contains its replicas.
fn contains(outer: &Target, inner: &Target) -> bool {
    match (outer, inner) {
        (Target::Service(service), Target::Replica(replica)) => {
            inner.service().as_ref() == Some(service)
                && replica
                    .rsplit_once('-')
                    .and_then(|(_, index)| index.parse().ok())
                    .is_some_and(|index: u32| Inventory::replica_name(service, index) == *replica)
        }
        _ => false,
    }
}
