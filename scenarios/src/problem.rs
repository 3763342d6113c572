//! What can be wrong with a scenario: one constructor for each problem, so that the same fault is told in the same words everywhere.

use firedrill_core::problem::{Place, Problem, near_miss};

/// The largest number of replicas of one service.
pub const MOST_REPLICAS: i64 = 10_000;
/// The highest rate of one client, requests a second.
pub const HIGHEST_RATE: f64 = 1e7;
/// The longest horizon, and the longest of any duration in a scenario, in days.
pub const LONGEST_DAYS: u64 = 30;
/// The shortest interval of what comes round by itself, whether anybody asks or not, in milliseconds.
pub const SHORTEST_INTERVAL_MS: u64 = 1;
/// The shortest period and timeout of a probe, in milliseconds: the kubelet knows whole seconds, and refuses zero.
pub const SHORTEST_PROBE_MS: u64 = 1000;
/// The most requests and calls that a run may be expected to make.
pub const MOST_REQUESTS: f64 = 1e9;

/// A name that stands for nothing: `kind` is what it should be, `known` what there is.
#[must_use]
pub fn unknown(place: &Place, kind: &'static str, name: &str, known: &[&str]) -> Problem {
    let code = match kind {
        "service" => "FD0201",
        "client" => "FD0203",
        "zone" => "FD0204",
        _ => "FD0200",
    };
    Problem::at(code, place, format!("there is no {kind} `{name}`")).remedy(nearest(name, known, &format!("{kind}s")))
}

/// A range of `chaos` that is no list of two factors.
#[must_use]
pub fn range_of_two(place: &Place, what: &str) -> Problem {
    Problem::at("FD0180", place, format!("{what} has two ends")).remedy("write the least and the most, such as `[x0.5, x2]`")
}

/// A range of `chaos` that ends before it begins, or reaches too far.
#[must_use]
pub fn range_of_factors(place: &Place, what: &str, low: &str, high: &str) -> Problem {
    let fault = format!("{what} is from {low} to {high}");
    Problem::at("FD0181", place, fault).remedy("put the smaller end first, and stay within x0.01 and x100")
}

/// A kind in a list of `chaos` that cannot be drawn there.
#[must_use]
pub fn not_varied(place: &Place, list: &str, word: &str, known: &[&str]) -> Problem {
    Problem::at("FD0182", place, format!("`{list}` of `chaos` knows no `{word}`")).remedy(nearest(word, known, "kinds"))
}

/// Something that a service does not have: a cache, a lock, a flag.
#[must_use]
pub fn unknown_within(place: &Place, service: &str, (kind, name): (&'static str, &str), known: &[&str]) -> Problem {
    let remedy = if known.is_empty() { "it has none".to_owned() } else { nearest(name, known, &format!("its {kind}s")) };
    Problem::at("FD0200", place, format!("`{service}` has no {kind} `{name}`")).remedy(remedy)
}

/// A template that there is not for these, services or topics.
#[must_use]
pub fn unknown_template(place: &Place, of: &str, name: &str, known: &[&str]) -> Problem {
    Problem::at("FD0200", place, format!("{of} have no template `{name}`")).remedy(nearest(name, known, "templates"))
}

/// An endpoint that the service does not have.
#[must_use]
pub fn unknown_endpoint(place: &Place, service: &str, endpoint: &str, known: &[&str]) -> Problem {
    Problem::at("FD0202", place, format!("`{service}` has no endpoint `{endpoint}`")).remedy(nearest(endpoint, known, "its endpoints"))
}

/// A version that the service does not have.
#[must_use]
pub fn unknown_version(place: &Place, service: &str, version: &str, known: &[&str]) -> Problem {
    Problem::at("FD0205", place, format!("`{service}` has no version `{version}`")).remedy(nearest(version, known, "its versions"))
}

/// A replica that the service does not have.
#[must_use]
pub fn no_such_replica(place: &Place, replica: &str, service: &str, replicas: u32) -> Problem {
    let have = match replicas {
        1 => format!("`{service}` has one replica, `{service}-0`"),
        count => format!("`{service}` has {count} replicas, `{service}-0` to `{service}-{}`", count - 1),
    };
    Problem::at("FD0206", place, format!("there is no replica `{replica}`")).remedy(have)
}

/// A name that does not say which replica of which service is meant.
#[must_use]
pub fn not_a_replica(place: &Place, replica: &str, services: &[&str]) -> Problem {
    let example = services.first().map_or("api-0".to_owned(), |service| format!("{service}-0"));
    Problem::at("FD0206", place, format!("`{replica}` is no replica of any service"))
        .remedy(format!("write SERVICE-INDEX, such as `{example}`; indices count from 0"))
}

/// Calls that come back to where they began.
#[must_use]
pub fn call_cycle(place: &Place, path: &[String]) -> Problem {
    Problem::at("FD0207", place, format!("calls go round in a circle without end: {}", path.join(" -> ")))
        .label("this call closes the circle")
        .remedy("remove this call, or let it ask an endpoint whose work does not come back here")
}

/// Messages that bring about themselves.
#[must_use]
pub fn message_cycle(place: &Place, path: &[String]) -> Problem {
    Problem::at("FD0207", place, format!("messages go round in a circle without end: {}", path.join(" -> ")))
        .label("each message brings about another one here")
        .remedy("remove this `publish`, or let it go into a topic whose messages do not come back here")
}

/// When the first of two faults that overlap ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstEnd {
    /// When it says, or at once.
    Said,
    /// It could say so, and does not.
    Unsaid,
    /// Such a fault does not end by itself.
    Never,
}

impl FirstEnd {
    /// Of one that can end by itself.
    #[must_use]
    pub const fn of(has_end: bool) -> Self {
        if has_end { Self::Said } else { Self::Unsaid }
    }
}

/// Two faults of one kind that touch the same thing at the same time.
#[must_use]
pub fn overlapping(place: &Place, kind: &str, target: &str, first_line: usize, first: FirstEnd) -> Problem {
    let remedy = match first {
        FirstEnd::Said => "let this one begin after the other has ended, or make one fault of the two",
        FirstEnd::Unsaid => "give the other a `lasting`, and let this one begin after it",
        FirstEnd::Never => "remove one of the two: the other goes on until somebody cures it",
    };
    Problem::at("FD0208", place, format!("this {kind} of {target} overlaps the one on line {first_line}")).remedy(remedy)
}

/// Something that would happen when the run is over.
#[must_use]
pub fn after_horizon(place: &Place, what: &str, at: &str, horizon: &str) -> Problem {
    Problem::at("FD0209", place, format!("{what} at {at}, and the run is over at {horizon}"))
        .remedy(format!("let it begin before {horizon}, or set a longer `horizon`"))
}

/// A fault that could not be one. `why` completes the sentence, `remedy` says what would be right.
#[must_use]
pub fn impossible(place: &Place, why: &str, remedy: &str) -> Problem {
    Problem::at("FD0210", place, why).remedy(remedy)
}

/// An entry of a list of faults or actions that names none, or several.
#[must_use]
pub fn one_kind(place: &Place, what: &str, found: &[&str], known: &[&str]) -> Problem {
    let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match found {
        [] => Problem::at("FD0211", place, format!("{what} does not say what happens")).remedy(format!("add one of {list}")),
        several => Problem::at("FD0211", place, format!("{what} does one thing, and this says {}", several.join(" and ")))
            .remedy("make two entries of it"),
    }
}

/// A kind of fault or action that does not exist. `others` are further keys that may have been meant.
#[must_use]
pub fn unknown_kind(place: &Place, what: &str, word: &str, known: &[&str], others: &[&str]) -> Problem {
    let remedy = match near_miss(word, known).or_else(|| near_miss(word, others)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", list(known)),
    };
    Problem::at("FD0212", place, format!("`{word}` is no kind of {what}")).remedy(remedy)
}

/// A series of rates whose times do not ascend.
#[must_use]
pub fn rates_out_of_order(place: &Place, at: &str, before: &str) -> Problem {
    Problem::at("FD0213", place, format!("the rate from {at} on stands after the one from {before} on"))
        .remedy("put the rates in order of time")
}

/// A series of rates that leaves the beginning open.
#[must_use]
pub fn rates_start_late(place: &Place, at: &str) -> Problem {
    Problem::at("FD0213", place, format!("the first rate begins at {at}, and nothing says what comes before"))
        .remedy("let the first begin at 0s")
}

/// A client that never sends anything.
#[must_use]
pub fn no_traffic(place: &Place, client: &str) -> Problem {
    Problem::at("FD0214", place, format!("`{client}` never sends a request: its rate is zero"))
        .remedy("give it a rate above zero, or remove it")
}

/// A figure that is beyond what can be simulated.
#[must_use]
pub fn too_much(place: &Place, what: &str, given: &str, most: &str) -> Problem {
    Problem::at("FD0215", place, format!("{what} is {given}, and at most {most} can be simulated")).remedy(format!("write {most} or less"))
}

/// A name that is taken.
#[must_use]
pub fn taken(place: &Place, what: &str, name: &str, other: &str) -> Problem {
    Problem::at("FD0216", place, format!("{what} `{name}` has the name of {other}")).remedy("give one of them another name")
}

/// Two names whose hashes are equal, so that they would share their luck.
#[must_use]
pub fn hash_collision(place: &Place, name: &str, other: &str) -> Problem {
    Problem::at("FD0216", place, format!("`{name}` and `{other}` have the same 64-bit hash, and would share their luck"))
        .remedy("give one of them another name")
}

/// A service without work, or with work said twice.
#[must_use]
pub fn work(place: &Place, fault: &str, remedy: &str) -> Problem {
    Problem::at("FD0217", place, fault).remedy(remedy)
}

/// A distribution that does not exist. `fault` says why, `remedy` what would be right.
#[must_use]
pub fn distribution(place: &Place, fault: impl Into<String>, remedy: &str) -> Problem {
    Problem::at("FD0218", place, fault).remedy(remedy)
}

/// A start that is no instant of the calendar.
#[must_use]
pub fn start(place: &Place, fault: impl Into<String>) -> Problem {
    Problem::at("FD0219", place, fault).remedy("write it as `start: 2026-01-05T00:00:00Z`")
}

/// A fault or action that does not say what it is attached to, or says it twice.
#[must_use]
pub fn one_target(place: &Place, what: &str, possible: &[&str]) -> Problem {
    let choice = possible.iter().map(|key| format!("`{key}:`")).collect::<Vec<_>>().join(" or ");
    Problem::at("FD0220", place, format!("{what} needs exactly one target")).remedy(format!("name {choice}"))
}

/// A fault of monitoring that says in several ways which targets it is about.
#[must_use]
pub fn several_selections(place: &Place, what: &str, possible: &[&str]) -> Problem {
    let choice = possible.iter().map(|key| format!("`{key}:`")).collect::<Vec<_>>().join(" or ");
    Problem::at("FD0220", place, format!("{what} is about one selection of targets"))
        .remedy(format!("name {choice}, or none of them for all"))
}

/// An oracle in a scenario where nothing is broken.
#[must_use]
pub fn oracle_without_fault(place: &Place) -> Problem {
    Problem::at("FD0221", place, "the oracle acts, and no fault is there to be cured")
        .remedy("remove `oracle:`: in a calm scenario the best action is none; or add a fault")
}

/// A metric that could not be exposed. `fault` says why, `remedy` what would be right.
#[must_use]
pub fn metric(place: &Place, fault: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem::at("FD0222", place, fault).remedy(remedy)
}

/// More requests than can be simulated.
#[must_use]
pub fn too_many_requests(place: &Place, expected: f64) -> Problem {
    Problem::at(
        "FD0223",
        place,
        format!("about {expected:.1e} requests and calls are to be expected, and at most {MOST_REQUESTS:.0e} can be simulated"),
    )
    .remedy("lower the rates, shorten the horizon, or call fewer services")
}

/// A bound that every run would reach before its end, so that none could be judged.
#[must_use]
pub fn beyond_bound(place: &Place, expected: f64, bound: u64) -> Problem {
    Problem::at("FD0223", place, format!("about {expected:.0} requests are to be expected, and every run ends at {bound} events"))
        .remedy("raise the bound, lower the rates, or shorten the horizon: a run that a bound cuts proves nothing")
}

/// A version and what is done with it contradict each other.
#[must_use]
pub fn version(place: &Place, fault: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem::at("FD0224", place, fault).remedy(remedy)
}

/// A figure that must be more than zero.
#[must_use]
pub fn must_be_positive(place: &Place, what: &str) -> Problem {
    Problem::at("FD0225", place, format!("{what} is zero")).remedy("write a duration above zero")
}

/// Something that comes round by itself, too often to be simulated or to be set so.
#[must_use]
pub fn too_often(place: &Place, what: &str, given: &str, least: &str) -> Problem {
    Problem::at("FD0233", place, format!("{what} is {given}, and {least} is the least")).remedy(format!("write {least} or more"))
}

/// A section that must have at least one entry.
#[must_use]
pub fn nothing_there(place: &Place, fault: &str, remedy: &str) -> Problem {
    Problem::at("FD0226", place, fault).remedy(remedy)
}

/// Memory that is over its limit before anything happens.
#[must_use]
pub fn memory(place: &Place, base: &str, limit: &str) -> Problem {
    Problem::at("FD0227", place, format!("a replica starts with {base}, and is killed at {limit}")).remedy("set `limit` above `base`")
}

/// A scrape interval that telemetry cannot keep.
#[must_use]
pub fn interval(place: &Place, given: &str) -> Problem {
    Problem::at("FD0228", place, format!("targets cannot be scraped every {given}"))
        .remedy("write an interval of whole milliseconds from 1s to 1h, such as `15s`")
}

/// A role that stands twice among those who may be asked.
pub fn role_twice(place: &Place, role: &str) -> Problem {
    Problem::at("FD0234", place, format!("`{role}` stands twice among those who may be asked"))
        .remedy("give each role once; how many people have it is said by `count:`")
}

/// An action that undoes a deploy where there is none.
#[must_use]
pub fn nothing_to_roll_back(place: &Place, service: &str) -> Problem {
    Problem::at("FD0229", place, format!("nothing is deployed on `{service}`, so there is nothing to roll back"))
        .remedy("add a `deploy` to the faults, or choose another action")
}

/// An action that comes before every fault.
#[must_use]
pub fn cure_before_fault(place: &Place, at: &str, onset: &str) -> Problem {
    Problem::at("FD0230", place, format!("the oracle acts at {at}, before anything breaks at {onset}"))
        .remedy("leave `at` away: the oracle then acts at the onset of the first fault")
}

/// Something that cannot be imported; `why` is a lowercase fragment.
#[must_use]
pub fn not_imported(place: &Place, name: &str, why: &str) -> Problem {
    Problem::at("FD0231", place, format!("`{name}` cannot be imported: {why}"))
        .remedy("name a scenario by its path from this file, or one of the systems that `firedrill list` shows")
}

/// Files that import each other in a circle; the last of `chain` closes it.
#[must_use]
pub fn import_circle(place: &Place, chain: &[String]) -> Problem {
    Problem::at("FD0232", place, format!("files import each other in a circle: {}", chain.join(" -> ")))
        .label("this import closes the circle")
        .remedy("put what several files share into one that imports none of them")
}

/// `did you mean …?`, or what there is. A name of one or two letters is near every other, and no use to guess from.
fn nearest(given: &str, known: &[&str], plural: &str) -> String {
    const LONGEST_GUESSED: usize = 100;
    let guessable = (3..=LONGEST_GUESSED).contains(&given.len());
    let short: Vec<&str> = known.iter().copied().filter(|name| guessable && name.len() <= LONGEST_GUESSED).collect();
    match near_miss(given, &short) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there are no {plural}"),
        None if known.len() == 1 => format!("there is only `{}`", known[0]),
        None => format!("the {} are {}", plural.strip_prefix("its ").unwrap_or(plural), list(known)),
    }
}

/// Known words in code marks; a long list is cut.
pub(crate) fn list(known: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = known.iter().take(SHOWN).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if known.len() > SHOWN { format!("{shown} and {} more", known.len() - SHOWN) } else { shown }
}
