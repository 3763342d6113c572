//! Scenarios and defaults in prose, for people who do not read YAML.

mod admission;
mod figures;
mod beside;

use std::sync::Arc;

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::{Span, Time};
use firedrill_core::words::counted;
use firedrill_sim::automation::PersonSpec;
use firedrill_sim::past;
use firedrill_sim::spec::{
    ActuatorFaultSpec, Amount, Balance, BalancingSpec, BudgetSpec, CallSpec, Cancel, Cause, Causes, ClientSpec, Commit, ConsumeSpec,
    CureSpec, DatabaseSpec, DisruptionSpec, EjectionSpec, EndpointSpec, Engine, FailoverSpec, FaultKind, FaultSpec, FlagSpec, Growth,
    HistorySpec, Jitter, LoadSpec, MetricTarget, MonitoringFaultSpec, Phase, Population, Priority, ProbePath, ProbeSpec, ProtectionSpec,
    RetrySpec, ServiceSpec, Spread, TopicKind, TopicSpec, VersionSpec, Window, WorldSpec,
};

use crate::defaults;
use crate::scenario::Scenario;
use figures::{amount, cores_of, mean, rate};

/// A scenario: what exists, what breaks, what the oracle does. Ends with a newline.
#[must_use]
pub fn scenario(scenario: &Scenario) -> String {
    let spec = &scenario.spec;
    let mut text = format!("{}, of the family {}", scenario.name, scenario.family);
    if scenario.reference {
        text.push_str("; a reference for the simulator, not for policies");
    }
    text.push('\n');
    if !scenario.description.is_empty() {
        line(&mut text, &format!("\n{}", scenario.description));
    }
    line(&mut text, &format!("\nwhat exists, from {} on for {}", spec.start, spec.horizon));
    spec.clients.iter().for_each(|client| line(&mut text, &format!("  {}", client_text(client))));
    spec.services.iter().for_each(|service| line(&mut text, &service_text(service)));
    spec.topics.iter().for_each(|topic| line(&mut text, &format!("  {}", topic_text(topic))));
    spec.nodes.iter().for_each(|pool| line(&mut text, &format!("  {}", beside::node_text(pool))));
    if let Some(history) = &scenario.history {
        line(&mut text, &format!("\nwhat monitoring remembers\n  {}", history_text(history, spec)));
    }
    line(&mut text, "\nwhat breaks");
    if scenario.calm {
        line(&mut text, "  nothing: whoever acts here makes a mistake");
    }
    spec.faults.iter().for_each(|fault| line(&mut text, &format!("  {}", fault_text(fault))));
    if !spec.monitoring.is_empty() {
        line(&mut text, "\nwhat goes wrong with monitoring, and users do not feel");
        let told = |fault: &MonitoringFaultSpec| format!("{}: {} ({})", when(fault.at, fault.lasting), fault.kind, fault.name);
        spec.monitoring.iter().for_each(|fault| line(&mut text, &format!("  {}", told(fault))));
    }
    if !spec.actuators.is_empty() {
        line(&mut text, "\nwhat goes wrong with actions");
        let told = |fault: &ActuatorFaultSpec| format!("{}: {fault} ({})", when(fault.at, fault.lasting), fault.name);
        spec.actuators.iter().for_each(|fault| line(&mut text, &format!("  {}", told(fault))));
    }
    if !spec.changes.is_empty() {
        line(&mut text, "\nwhat happens besides, and is no fault");
        spec.changes.iter().for_each(|change| line(&mut text, &format!("  {}", fault_text(change))));
    }
    line(&mut text, "\nwhat the oracle does");
    if spec.cures.is_empty() {
        line(&mut text, "  nothing");
    }
    spec.cures.iter().for_each(|cure| line(&mut text, &format!("  {}", cure_text(cure))));
    line(&mut text, "\nwho is on call");
    line(&mut text, &format!("  {}", scenario.human.as_ref().map_or_else(|| "nobody".to_owned(), |person| person_text(person, spec))));
    if !scenario.approvers.is_empty() {
        line(&mut text, "\nwho may be asked whether an action is allowed");
        scenario.approvers.iter().for_each(|approver| line(&mut text, &format!("  {}", beside::approver_text(approver))));
    }
    line(&mut text, "\nhow it is run");
    beside::frame_lines(spec).iter().for_each(|told| line(&mut text, &format!("  {told}")));
    let varied = scenario.chaos.as_deref().map(beside::chaos_lines).unwrap_or_default();
    if !varied.is_empty() {
        line(&mut text, "\nwhat may differ in its variants");
        varied.iter().for_each(|told| line(&mut text, &format!("  {told}")));
    }
    text
}

/// The person whom alerts call: how long each thing takes, and how often one errs.
fn person_text(person: &PersonSpec, spec: &WorldSpec) -> String {
    let steps = [
        ("is paged after", &person.detect),
        ("answers after", &person.acknowledge),
        ("knows what is wrong after", &person.investigate),
        ("knows what to do after", &person.diagnose),
        ("has done it after", &person.act),
        ("knows whether it has helped after", &person.verify),
    ];
    let rounded = |takes: &Distribution| Span::from_seconds(libm::round(takes.mean()) as u64);
    let told: Vec<String> = steps.iter().map(|(what, takes)| format!("{what} {}", rounded(takes))).collect();
    let does = if spec.cures.is_empty() { "there is nothing that they could do" } else { "then does what the oracle does" };
    let (errs, silent, next) = (person.wrong_action, person.no_answer, person.escalate_after);
    format!(
        "somebody, who in the mean {}, each from the one before; {does}\n  {errs} do something else first; {silent} do not answer, and the next is called after {next}",
        told.join(", ")
    )
}

/// All defaults with their sources, as a table. Ends with a newline.
#[must_use]
pub fn defaults() -> String {
    let width = |column: fn(&defaults::Assumed) -> &str| defaults::ALL.iter().map(|entry| column(entry).chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(|entry| entry.key), width(|entry| entry.value));
    let mut text = format!("{:keys$}  {:values$}  where it comes from\n", "key", "default");
    for entry in defaults::ALL {
        line(&mut text, &format!("{:keys$}  {:values$}  {}", entry.key, entry.value, entry.source));
    }
    text
}

fn line(text: &mut String, what: &str) {
    text.push_str(what);
    text.push('\n');
}

/// What is told of the time before the start, and what it costs.
fn history_text(history: &HistorySpec, spec: &Arc<WorldSpec>) -> String {
    let store = past::samples(spec, history);
    let samples: usize = store.ids().map(|id| store.times(id).len()).sum();
    let metrics = history.metrics.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let text =
        format!("{} before the start, every {}: {samples} samples of {} series of {metrics}", history.span, history.every, store.len());
    let busiest = |load: &LoadSpec| {
        let rate = load.hours.iter().map(|rate| rate.get()).fold(0.0, f64::max);
        load.hours.iter().position(|own| own.get() >= rate).map(|hour| (hour, load.hours[hour]))
    };
    let loads = spec.clients.iter().zip(&history.loads).filter_map(|(client, load)| {
        let (hour, rate) = busiest(load)?;
        let is_even = load.hours.iter().all(|own| *own == rate);
        Some(if is_even {
            format!("{} {} at all hours", client.name, figures::rate(rate))
        } else {
            format!("{} up to {}, at {hour} o'clock", client.name, figures::rate(rate))
        })
    });
    format!("{text}\n  {}", loads.collect::<Vec<_>>().join("\n  "))
}

/// An instant as the file says it: `5m`.
fn at(time: Time) -> Span {
    time.since(Time::ZERO)
}

fn client_text(client: &ClientSpec) -> String {
    let mut text = format!("{}: requests of {} {} {}", client.name, client.service, client.endpoint, load_text(client));
    if let Some(again) = &client.again {
        text += &format!("; {} of those who get no answer ask again by hand after {}", again.probability, mean(&again.after));
    }
    text.push_str("; clients ");
    text.push_str(&patience(client.timeout, &client.retries));
    text.push_str(&protection_text(&client.protection));
    let priority = match client.priority {
        Priority::Normal => String::new(),
        other => format!("; of {} priority", other.word()),
    };
    text + &format!("; slower than {} is bad{priority}", client.objective)
}

/// Who asks, and how often.
fn load_text(client: &ClientSpec) -> String {
    let counted_before = client.variation.counted;
    let rate = match client.rates.as_slice() {
        [(_, only)] => rate(*only),
        several if several.len() > 12 => format!("{} rates in turn", several.len()),
        several => several.iter().map(|(from, own)| format!("{} from {} on", rate(*own), at(*from))).collect::<Vec<_>>().join(", "),
    };
    let rate = if counted_before { format!("{rate}, exactly as many as were counted") } else { rate };
    let mut text = match &client.population {
        Population::Closed { users, think } => {
            format!("by {} who think for {} after each answer", counted(u64::from(*users), "user"), mean(think))
        }
        Population::Sessions { requests, think } => {
            let requests = amount(*requests);
            format!("in sessions of {requests} requests with {} in between, which begin at {rate}", mean(think))
        }
        Population::Open => format!("at {rate}"),
    };
    let variation = &client.variation;
    if let Some(daily) = &variation.daily {
        text += &format!(", over the day {} as much at {} as at the quietest", daily.ratio, daily.peak.clock());
    }
    if let Some(spikes) = &variation.spikes {
        text += &format!(", {} for {} every {}", spikes.factor, spikes.lasting, spikes.every);
    }
    if let Some(bursts) = &variation.bursts {
        text += &format!(", {} in bursts of {} about every {}", bursts.factor, mean(&bursts.lasting), mean(&bursts.every));
    }
    if let Some(index) = variation.dispersion {
        text += &format!(", with {index} times the variance of Poisson in ten seconds");
    }
    text
}

/// How long a caller waits, and what it does then.
fn patience(timeout: Option<Span>, retries: &RetrySpec) -> String {
    let wait = timeout.map_or_else(|| "wait for ever".to_owned(), |timeout| format!("wait {timeout}"));
    let again = match (retries.max, retries.base) {
        (0, _) => "and do not try again".to_owned(),
        (max, Span::ZERO) => format!("and try again at once, up to {}", times(max)),
        (max, base) => {
            let growth = match retries.growth {
                _ if max == 1 => String::new(),
                Growth::Exponential(Factor::ONE) => String::new(),
                Growth::Exponential(factor) => format!(", then {factor} each time up to {}", retries.cap),
                Growth::Doubled => format!(", then x2 each time up to {}", retries.cap),
            };
            let jitter = match retries.jitter {
                Jitter::None => String::new(),
                Jitter::Full => "up to ".to_owned(),
                Jitter::Around(share) => format!("about (within {share}) "),
            };
            format!("and try again {} after {jitter}{base}{growth}", times(max))
        }
    };
    let budget = match retries.budget {
        None => String::new(),
        Some(BudgetSpec::Grpc { tokens, .. }) => format!(", throttled as by gRPC with {}", counted(u64::from(tokens), "token")),
        Some(BudgetSpec::Share { share, least_per_second, .. }) => {
            format!(", for at most {share} of requests and {least_per_second} a second")
        }
        Some(BudgetSpec::Aws { tokens, .. }) => format!(", within a quota of {}", counted(u64::from(tokens), "token")),
        Some(BudgetSpec::Concurrent { share, least }) => format!(", at most {share} of what is under way and {least} at a time"),
    };
    format!("{wait} {again}{}{budget}", choosiness(retries))
}

/// What is not retried, and where nobody is asked again.
fn choosiness(retries: &RetrySpec) -> String {
    let mut text = String::new();
    if retries.max > 0 && retries.on != Causes::ALL {
        let named = Cause::WORDS.iter().filter(|(_, cause)| retries.on.contains(*cause)).map(|(word, _)| word.replace('_', " "));
        text += &format!(", after {} only", named.collect::<Vec<_>>().join(" or "));
    }
    if retries.max > 0 && retries.elsewhere > 0 {
        text += ", elsewhere if possible";
    }
    if let Some(within) = retries.within {
        text += &format!(", all within {within}");
    }
    if let Some(over_quota) = retries.over_quota.as_deref().filter(|_| retries.max > 0 && retries.on.contains(Cause::OverQuota)) {
        let own = over_quota.base.map(|base| format!("after a pause of {base}"));
        let told = over_quota.heed.map(|heed| if heed.instead { "when it says so" } else { "not before it says so" }.to_owned());
        text += &format!(", after a 429 {}", own.into_iter().chain(told).collect::<Vec<_>>().join(" and "));
    }
    text
}

fn replicas_text(amount: Amount) -> String {
    match amount {
        Amount::Count(count) => count.to_string(),
        Amount::Share(share) => share.to_string(),
    }
}

/// What stands between a caller and a service, if anything.
fn protection_text(protection: &ProtectionSpec) -> String {
    let mut text = String::new();
    if let Some(breaker) = &protection.breaker {
        let window = match breaker.window {
            Window::Count(calls) => counted(u64::from(calls), "call"),
            Window::Seconds(seconds) => Span::from_seconds(u64::from(seconds)).to_string(),
        };
        text += &format!(
            "; a breaker opens for {} at {}% failures in {window}, once it has seen {}",
            breaker.open_for,
            amount(breaker.failure_percent),
            counted(u64::from(breaker.least_calls), "call")
        );
        if breaker.slow_percent < 100.0 {
            text += &format!(", or at {}% slower than {}", amount(breaker.slow_percent), breaker.slow_after);
        }
    }
    if let Some(most) = protection.most_requests {
        text += &format!("; at most {most} under way");
    }
    if let Some(pool) = &protection.pool {
        text += &format!("; a pool of {}, waited for up to {}", counted(u64::from(pool.size), "connection"), pool.timeout);
    }
    if let Some(throttle) = &protection.throttle {
        text += &format!("; throttles itself beyond {} of what is accepted", throttle.k);
    }
    if let Some(hedge) = &protection.hedge {
        text += &format!("; a second attempt after {}", hedge.after);
    }
    text
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// Where requests of a service wait.
fn queue_text(service: &ServiceSpec) -> String {
    let queue = match service.queue {
        None => "an unbounded queue".to_owned(),
        Some(0) => "no queue".to_owned(),
        Some(places) => format!("a queue of {places}"),
    };
    match service.backlog {
        None => queue,
        Some(backlog) => format!(
            "{queue}, and a backlog of {} connections (asked again after {}, then twice as long, {})",
            backlog.length,
            backlog.retry_after,
            times(backlog.retries)
        ),
    }
}

fn service_text(service: &ServiceSpec) -> String {
    let replicas = counted(u64::from(service.replicas), "replica");
    let each = if service.replicas == 1 { "" } else { "each " };
    let zones = match service.zones.as_slice() {
        [_] => String::new(),
        zones => format!(" in zones {}", zones.iter().map(|zone| zone.as_str()).collect::<Vec<_>>().join(", ")),
    };
    let workers = service.workers.map_or_else(|| "any number of workers".to_owned(), |workers| counted(u64::from(workers), "worker"));
    let queue = queue_text(service);
    let mut text = format!("  {}: {replicas}{zones}, {each}with {workers} and {queue}", service.name);
    if let Some(cores) = service.cores {
        text += &format!(" on {}", cores_of(cores));
    }
    if let Some(cpu) = service.cpu.as_deref() {
        text += &cpu.period.map_or_else(String::new, |period| format!(", as a quota in each {period}"));
        text += if cpu.gc.is_some() { "; it stands still to collect garbage" } else { "" };
        text += &if cpu.background > 0.0 { format!("; it needs {} for itself", cores_of(cpu.background)) } else { String::new() };
    }
    text += &match service.life.disruption {
        None => String::new(),
        Some(DisruptionSpec::MinAvailable(least)) => format!("; {} must stay when some are moved", replicas_text(least)),
        Some(DisruptionSpec::MaxUnavailable(most)) => format!("; {} may be missing when some are moved", replicas_text(most)),
    };
    if let Some(admission) = service.admission.as_deref() {
        text += &admission::text(admission);
    }
    text += match service.balance {
        Balance::RoundRobin => "; asked in turn",
        Balance::Random => "; asked at random",
        Balance::PowerOfTwo => "; the less busy of two is asked",
        Balance::LeastRequest { choices: Some(_) } => "; of a few drawn at random the one that does least for its caller is asked",
        Balance::LeastRequest { choices: None } => "; the one that does least for its caller is asked",
        Balance::PerConnection(_) => "; asked over connections, each to one at random",
        Balance::PeakEwma { .. } => "; of two the one that promises the earlier answer is asked",
    };
    if let Some(balancing) = &service.balancing {
        text += &balancing_text(balancing);
    }
    text += match service.cancel {
        Cancel::None => "; work for a caller that has left is done all the same",
        Cancel::QueueOnly => "; work for a caller that has left is dropped from the queue",
        Cancel::Context => "; work for a caller that has left is dropped",
    };
    text += &format!("; starts in {} on average", mean(&service.start_up));
    if let Some(warm_up) = service.warm_up {
        text += &format!(" and is {} as slow at first, warm after about {}", warm_up.factor, warm_up.tau);
    }
    if let Some(limit) = service.memory.limit {
        text += &format!("; {} of memory{}, killed at {limit}", service.memory.base, per_request(service));
    }
    text += &host_text(service);
    if let Some(database) = &service.database {
        text += &database_text(database);
    }
    text += &life_text(service);
    for endpoint in &service.endpoints {
        text += &format!("\n    {}", endpoint_text(endpoint));
    }
    let caches = service.caches.iter().map(beside::cache_text);
    let beside = caches.chain(beside::shown_text(&service.profiles, &service.metrics)).chain([beside::replaced_text(service)]);
    text.extend(beside.map(|told| format!("\n    {told}")));
    if let Some(consumes) = &service.consumes {
        text += &consumes_text(consumes);
    }
    for version in service.versions.iter().skip(1) {
        text += &format!("\n    {}", version_text(version));
    }
    for flag in &service.flags {
        text += &format!("\n    {}", flag_text(flag));
    }
    text
}

fn per_request(service: &ServiceSpec) -> String {
    let each = service.memory.per_request;
    if each.get() == 0 { String::new() } else { format!(" and {each} for each request") }
}

/// What the machine of a replica bounds beside its cores and memory.
fn host_text(service: &ServiceSpec) -> String {
    let disk = service.disk.map(|disk| format!("; a volume of {}, of which {} are used", disk.size, disk.used));
    let threads = service
        .threads
        .map(|threads| format!("; {} threads and {} for each other replica, {} at most", threads.base, threads.per_peer, threads.limit));
    let tier = (!service.critical).then(|| "; not critical".to_owned());
    tier.into_iter().chain(disk).chain(threads).collect()
}

/// What makes a service a database; begins with a semicolon.
fn database_text(database: &DatabaseSpec) -> String {
    let engine = match database.engine {
        Engine::Postgres => "PostgreSQL",
        Engine::Mysql => "MySQL",
    };
    let mut text = format!("; {engine} with {} each", counted(u64::from(database.max_connections), "connection"));
    if database.reads_from_standbys {
        text += &format!(", standbys answer reads and are {} behind, out of date from {} on", database.lag, database.stale_after);
    }
    if database.apply > Span::ZERO {
        text += &format!(", a standby applies a write in {}", database.apply);
    }
    let FailoverSpec { is_automatic, detect, promote, reconnect } = &database.failover;
    if *is_automatic {
        text += &format!(
            ", a lost primary is given up after {}, another promoted in {}, and reached after {}",
            mean(detect),
            mean(promote),
            mean(reconnect)
        );
    }
    text + match database.commit {
        Commit::Local => "; a failover loses what the new primary does not have",
        Commit::Replicated => "; a failover loses no write",
    }
}

/// What is said of the life of a service's replicas.
fn life_text(service: &ServiceSpec) -> String {
    let mut text = String::new();
    let life = &service.life;
    if let Some(readiness) = &life.readiness {
        text += &format!("; takes requests after {}", probe_text(readiness, readiness.successes, "answered"));
        text += &format!(", none after {} without an answer", counted(u64::from(readiness.failures), "probe"));
    }
    if let Some(startup) = &life.startup {
        text += &format!("; has started after {}", probe_text(startup, startup.successes, "answered"));
        text += &format!(", restarted after {} without", startup.failures);
    }
    if let Some(liveness) = &service.liveness {
        text += &format!("; restarted after {}", probe_text(liveness, liveness.failures, "without an answer"));
    }
    if life.pre_stop > Span::ZERO {
        text += &format!("; goes on for {} after it is removed", life.pre_stop);
    }
    if let Some(autoscaler) = &service.autoscaler {
        let aims: Vec<String> = autoscaler.metrics.iter().map(aim_text).collect();
        text += &format!("; an autoscaler keeps {} to {} of it, at {}", autoscaler.min, autoscaler.max, aims.join(" and "));
        text += &beside::autoscaler_text(autoscaler);
    }
    text
}

fn probe_text(probe: &ProbeSpec, count: u32, which: &str) -> String {
    let among = match &probe.path {
        ProbePath::Separate => String::new(),
        ProbePath::Traffic(_) => ", among the requests".to_owned(),
        ProbePath::Endpoint(endpoint) => format!(", requests of {endpoint}"),
    };
    let delay = if probe.initial_delay > Span::ZERO { format!(" from {} on", probe.initial_delay) } else { String::new() };
    let (probes, period, timeout) = (counted(u64::from(count), "probe"), probe.period, probe.timeout);
    format!("{probes} {which}, one every {period}{delay}, each waited for {timeout}{among}")
}

fn aim_text(target: &MetricTarget) -> String {
    match target {
        MetricTarget::Cpu { percent, .. } => format!("{percent}% of the CPU that it asks for"),
        MetricTarget::Memory { percent, .. } => format!("{percent}% of the memory that it asks for"),
        MetricTarget::Requests { per_replica_milli } => format!("{} requests/s each", amount(*per_replica_milli as f64 / 1e3)),
    }
}

fn balancing_text(balancing: &BalancingSpec) -> String {
    let mut text = match balancing.ejection {
        Some(EjectionSpec::Outliers(outliers)) => {
            let (errors, at_first) = (outliers.consecutive_5xx, outliers.base_ejection);
            format!(
                "; left out by a caller after {errors} errors in a row, for {at_first} at first, at most {} of all",
                outliers.max_ejected
            )
        }
        Some(EjectionSpec::Accrual(accrual)) => {
            format!("; left out by a caller after {} failures in a row, for {} at first", accrual.failures, accrual.min_penalty)
        }
        None => String::new(),
    };
    if let Some(fail_fast) = balancing.fail_fast {
        text += &format!("; callers wait up to {} for one, and up to {} for its process", fail_fast.outbound, fail_fast.inbound);
    }
    if balancing.prefer_zone {
        text += "; callers prefer those in their own zone";
    }
    if let Some(slow_start) = balancing.slow_start {
        text += &format!("; a new one gets its share over {}", slow_start.window);
    }
    if let Some(propagation) = &balancing.propagation {
        text += &format!("; callers know who is ready after {} on average", mean(propagation));
    }
    if let Some(ttl) = balancing.dns_ttl {
        text += &format!("; callers believe for {ttl} who is ready");
    }
    text
}

fn endpoint_text(endpoint: &EndpointSpec) -> String {
    let phases: Vec<String> = endpoint.phases.iter().map(phase_text).collect();
    let error = if endpoint.error == Ratio::ZERO { String::new() } else { format!("; {} fail", endpoint.error) };
    format!("{}: {}{error}", endpoint.name, phases.join(", then "))
}

fn phase_text(phase: &Phase) -> String {
    match phase {
        Phase::Cpu(demand) => format!("{} of CPU on average", mean(demand)),
        Phase::Publish(topic) => format!("a message into {topic}"),
        Phase::Sleep(time) => format!("{} of waiting on average", mean(time)),
        Phase::Call(call) => call_text(call),
        Phase::Update { cache, write, invalidate } => {
            let copy = if *invalidate { "thrown away" } else { "left as it is" };
            format!("{}, and its copy in {cache} is {copy}", call_text(write))
        }
        Phase::Lock { lock, timeout, .. } => {
            let patience = timeout.map_or_else(String::new, |timeout| format!(", waited for up to {timeout}"));
            format!("the lock {lock} is taken{patience}")
        }
        Phase::Unlock { lock } => format!("the lock {lock} is given up"),
        Phase::Cache { cache, miss } => format!("a look into {cache}, and on a miss {}", call_text(miss)),
        Phase::Parallel { calls, need, asynchronous } => {
            let mut texts: Vec<(String, u32)> = Vec::new();
            for text in calls.iter().map(call_text) {
                match texts.last_mut() {
                    Some((last, count)) if *last == text => *count += 1,
                    _ => texts.push((text, 1)),
                }
            }
            let texts: Vec<String> =
                texts.into_iter().map(|(text, count)| if count == 1 { text } else { format!("{} {text}", times(count)) }).collect();
            let wait = match need {
                None => "waiting for all".to_owned(),
                Some(1) => "waiting for the first success".to_owned(),
                Some(count) => format!("waiting for {count} successes"),
            };
            format!("at once, {wait}{}: {}", worker_text(*asynchronous), texts.join(" and "))
        }
    }
}

fn call_text(call: &CallSpec) -> String {
    let share = if call.probability == Ratio::ONE { String::new() } else { format!(" for {} of requests", call.probability) };
    let optional = if call.optional { "; goes on without an answer" } else { "" };
    let patience = patience(call.timeout, &call.retries);
    let optional = format!("{optional}{}", worker_text(call.asynchronous));
    format!("a call of {} {}{share} ({patience}{}{optional})", call.service, call.endpoint, protection_text(&call.protection))
}

fn topic_text(topic: &TopicSpec) -> String {
    let kind = match topic.kind {
        TopicKind::Log(log) => format!(
            "a log in {}, shared by a group that misses a silent member after {}",
            counted(u64::from(log.partitions), "partition"),
            log.session
        ),
        TopicKind::Queue { visibility: Some(visibility) } => format!("a queue that hides what is taken for {visibility}"),
        TopicKind::Queue { visibility: None } => "a queue that gives back what is taken when its consumer ends".to_owned(),
    };
    let dead =
        topic.dead_letters_after.map_or_else(String::new, |most| format!("; a dead letter after {}", counted(u64::from(most), "delivery")));
    format!("{}: {kind}{dead}", topic.name)
}

fn consumes_text(consumes: &ConsumeSpec) -> String {
    format!("\n    takes messages out of {}, {} at a time, and works on {} at once", consumes.topic, consumes.batch, consumes.at_once)
}

const fn worker_text(asynchronous: bool) -> &'static str {
    if asynchronous { "; without a worker meanwhile" } else { "" }
}

fn version_text(version: &VersionSpec) -> String {
    let mut flaws = Vec::new();
    if version.error != Ratio::ZERO {
        flaws.push(format!("fails {} of requests", version.error));
    }
    if version.demand != Factor::ONE {
        flaws.push(format!("needs {} the CPU", version.demand));
    }
    if version.leak_per_second.get() > 0 {
        flaws.push(format!("loses {} of memory a second", version.leak_per_second));
    }
    if let Some(life) = version.crash_after {
        flaws.push(format!("crashes {life} after its start"));
    }
    if version.has_no_image {
        flaws.push("has no image that could be pulled".to_owned());
    }
    if flaws.is_empty() {
        flaws.push(if version.healthy { "is sound".to_owned() } else { "is said to be unsound".to_owned() });
    }
    format!("version {} {}", version.name, flaws.join(" and "))
}

/// What a flag changes where it is on, and how it comes there.
fn flag_text(flag: &FlagSpec) -> String {
    let mut changes = Vec::new();
    if flag.demand != Factor::ONE {
        changes.push(format!("{} the CPU", flag.demand));
    }
    if flag.error > Ratio::ZERO {
        changes.push(format!("{} of requests fail", flag.error));
    }
    for call in &flag.calls {
        let made = call.probability.map(|share| format!("{share} of requests call {}", call.service));
        let waits = call.timeout.map(|timeout| match timeout {
            Some(timeout) => format!("calls of {} are waited for {timeout}", call.service),
            None => format!("calls of {} are waited for without end", call.service),
        });
        changes.extend([made, waits].into_iter().flatten());
    }
    if changes.is_empty() {
        changes.push(if flag.healthy { "nothing else".to_owned() } else { "it is said to be unsound".to_owned() });
    }
    let comes = match &flag.spread {
        Spread::Push(delay) => format!("processes are told after {} on average", mean(delay)),
        Spread::Poll(every) => format!("processes ask for it every {every}"),
    };
    format!("with the flag {}: {}; {comes}", flag.name, changes.join(", "))
}

fn fault_text(fault: &FaultSpec) -> String {
    format!("{}: {} ({})", when(fault.at, fault.lasting), happening(&fault.kind), fault.name)
}

fn when(from: Time, lasting: Option<Span>) -> String {
    let until = lasting.map_or_else(String::new, |lasting| format!(", for {lasting}"));
    format!("at {}{until}", at(from))
}

fn happening(kind: &FaultKind) -> String {
    let target = kind.target();
    match kind {
        FaultKind::Crash { every: None, .. } => format!("{target} crashes"),
        FaultKind::Crash { every: Some(every), .. } => format!("{target} crashes, and again {every} after each start"),
        FaultKind::Hang { .. } => format!("{target} stops working and holds what it has"),
        FaultKind::Slow { factor, .. } => format!("{target} needs {factor} the CPU for each request"),
        FaultKind::Capacity { factor, .. } => format!("the CPU of {target} runs at {factor} its speed"),
        FaultKind::Steal { share, .. } => format!("others take {share} of the CPU time of {target}"),
        FaultKind::ErrorRate { error, .. } => format!("{target} answers {error} of requests with an error"),
        FaultKind::MemoryLeak { per_second, .. } => format!("{target} loses {per_second} of memory a second"),
        FaultKind::Deploy { version, .. } => format!("version {version} of {target} is rolled out"),
        FaultKind::Flag { flag, .. } => format!("flag {flag} of {target} is turned on"),
        FaultKind::Latency { from, extra, .. } => {
            let caller = from.as_ref().map_or_else(|| "anybody".to_owned(), ToString::to_string);
            format!("calls of {target} by {caller} take {} longer on average", mean(extra))
        }
        FaultKind::NodeLoss { node } => format!("node {node} is lost with all that runs on it"),
        FaultKind::NodeDrain { node } => format!("node {node} is emptied, as far as disruption budgets allow, and takes nothing new"),
        FaultKind::ZoneLoss { .. } => format!("{target} is lost with all that runs in it"),
        FaultKind::CacheFlush { cache, share, .. } => format!("{cache} of {target} loses {share} of its keys"),
        FaultKind::LockHold { lock, .. } => format!("somebody takes the lock {lock} of {target} and keeps it"),
        FaultKind::Quota { rate: allowed, .. } => format!("the quota of {target} is {}", rate(*allowed)),
        FaultKind::PrimaryCrash { .. } => format!("the primary of {target} dies"),
        FaultKind::ReplicaLag { lag, .. } => format!("standbys of {target} are {lag} behind"),
        FaultKind::Poison { topic, kills: true, .. } => format!("a message in {topic} kills whichever process of {target} works on it"),
        FaultKind::Poison { topic, .. } => format!("a message in {topic} is answered with an error by whoever works on it"),
        FaultKind::Surge { factor, .. } => format!("{target} sends {factor} its requests"),
        FaultKind::ConnectionLeak { to, share, .. } => {
            let to = to.as_ref().map_or_else(String::new, |to| format!(" to {to}"));
            format!("{target} does not give back {share} of the connections{to} that it takes out of its pools")
        }
        FaultKind::CacheCorruption { cache, prefix, share, .. } => {
            format!("{share} of the keys of {cache} of {target} are spoilt, those that begin with {prefix}: who finds one fails")
        }
        FaultKind::DiskFill { per_second, .. } => {
            format!("the volume of {target} fills by {per_second} a second, and takes no writes once it is full")
        }
        FaultKind::CertificateExpiry { sessions, .. } if sessions.as_nanos() == 0 => format!("the certificate of {target} expires"),
        FaultKind::CertificateExpiry { sessions, .. } => {
            format!("the certificate of {target} expires; connections that are open live for {sessions} at most")
        }
        FaultKind::ConfigDrift { replicas, demand, error, .. } => {
            let of = replicas.map_or_else(|| format!("{target} is"), |replicas| format!("{replicas} of the replicas of {target} are"));
            format!("{of} not configured as declared: {demand} the CPU for each request, and {error} of them fail")
        }
        FaultKind::ScaleOut { by: 1, .. } => format!("a replica is added to {target}, which the others need a thread for"),
        FaultKind::ScaleOut { by, .. } => format!("{by} replicas are added to {target}, each of which the others need a thread for"),
    }
}

fn cure_text(cure: &CureSpec) -> String {
    format!("at {}: {} on {}", at(cure.at), cure.action, cure.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::scenario::read_scenario;

    #[test]
    fn a_scenario_is_told_in_prose() {
        let (path, text) = library::get("retry-storm").unwrap();
        let told = scenario(&read_scenario(path, text).unwrap());
        for part in [
            "users: requests of api / at 70/s; clients wait 1s and try again at once, up to 3 times; slower than 1s is bad",
            "api: 1 replica, with 10 workers and an unbounded queue",
            "at 1m, for 20s: the CPU of service/api runs at x0.3 its speed (brownout)",
            "purge_queue on service/api",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn all_that_a_file_says_is_told() {
        let text = "\
schema: scenario/1
scenario: whole
scrape: 20s
metrics: [cadvisor]
actions: { delay: 3s, failure: 7% }
bounds: { events: 123456789 }
chaos: { variants: 3, magnitude: [x0.5, x2] }
human: { approvers: [{ role: sre, count: 4 }] }
nodes: { big: { count: 4, cores: 16, memory: 64GiB } }
clients: { users: { calls: api, rate: 10/m, breaker: { minimum_calls: 17 } } }
services:
  api:
    tier: standard
    cores: 1
    cpu_request: 0.25
    grace: 41s
    scheduling: 2s
    pull: 6s
    rollout: { max_surge: 31% }
    backlog: { length: 64, retries: 5 }
    metrics: { orders_total: { counter: requests } }
    readiness: { failures: 2, timeout: 4s, initial_delay: 9s }
    autoscaler: { max: 9, cpu: 61%, scale_down: { window: 77s, policies: [{ replicas: 1, every: 33s }] } }
    caches: { hot: { keys: 4000, capacity: 300, ttl: 50s, zipf: 0.9, coalesce: true } }
    work: [cache: { name: hot, miss: db }]
  db: { replicas: 3, database: { engine: postgres, apply: 3ms, stale_after: 7s, reads: standbys }, work: [cpu: 1ms] }
";
        let told = scenario(&read_scenario("whole.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}")));
        let parts = [
            ("nodes", "big: 4 machines in zone a, each with 16 cores and 64GiB for replicas"),
            ("rate", "at 0.17/s"),
            ("breaker", "once it has seen 17 calls"),
            ("cores", "on 1 core;"),
            ("backlog", "a backlog of 64 connections (asked again after 1s, then twice as long, 5 times)"),
            ("tier", "; not critical"),
            ("probe", "one every 10s from 9s on, each waited for 4s, none after 2 probes without an answer"),
            ("autoscaler", "down by 1 in 33s, the most cautious of 1m17s"),
            ("cache", "cache hot: 4,000 keys, the k-th most popular asked for in proportion to k^-0.9, room for 300 of them, kept for 50s"),
            ("coalesce", "who misses a key that is being asked for waits for that answer"),
            ("metrics", "shows itself by orders_total"),
            ("request", "a replica asks its machine for 0.25 cores"),
            ("scheduling", "it has a machine after 2s on average; its image is there 6s later on average"),
            ("rollout", "with up to 31% more"),
            ("grace", "who is removed has 41s to end"),
            ("database", "a standby applies a write in 3ms"),
            ("stale", "out of date from 7s on"),
            ("scrape", "every target is scraped every 20s"),
            ("profiles", "the cluster shows itself as cadvisor"),
            ("actions", "an action takes effect 3s after it is ordered on average, and 7% of them fail"),
            ("bounds", "a run ends early at 123456789 events"),
            ("approvers", "sre: 4 people"),
            ("chaos", "3 variants in a gate\n  sizes x0.5 to x2"),
        ];
        for (what, part) in parts {
            assert!(told.contains(part), "{what}: {part}\n{told}");
        }
    }

    #[test]
    fn every_default_has_a_source_and_stands_in_the_table() {
        let table = defaults();
        for entry in defaults::ALL {
            assert!(!entry.source.is_empty() && table.contains(entry.key), "{}", entry.key);
        }
    }
}
