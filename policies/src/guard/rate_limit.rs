//! At most so many starts within a window of time, by a sliding log: starts in `(t − W, t]` count, refusals do not.

use std::collections::{BTreeMap, VecDeque};

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize, Serializer};

use super::{Answer, Proposal, Scope, counts_towards, near, scope_keys};
use crate::figures::{Figure, figures};

/// The name in journals.
pub const NAME: &str = "rate_limit";

/// The longest window; older starts are forgotten.
pub const LONGEST_WINDOW: Span = Span::from_minutes(30 * 24 * 60);

/// A limit on the starts of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Starts allowed within a window; the next one is refused.
    pub max: u32,
    /// The window's length, at most [`LONGEST_WINDOW`].
    pub window: Span,
    /// What is counted together.
    pub scope: Scope,
    /// For how long a start too many is proposed again and again before the alert is left to people; zero: not at all. `None`: for as long as
    /// the alert is on.
    pub patience: Option<Span>,
}

/// When actions of each policy started, oldest first. Bounded by what actions take: each start is an action of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Starts {
    logs: BTreeMap<Name, Log>,
    /// The last of all.
    last: Option<Time>,
}

/// The starts of one policy, oldest first. Saved as the plain list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "VecDeque<Started>")]
struct Log {
    all: VecDeque<Started>,
    /// The times of the same on each target, so that a limit on one service need not look through those of all.
    targets: BTreeMap<Target, VecDeque<Time>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Started {
    target: Target,
    at: Time,
}

impl Log {
    fn push(&mut self, started: Started) {
        match self.targets.get_mut(&started.target) {
            Some(times) => times.push_back(started.at),
            None => {
                self.targets.insert(started.target.clone(), [started.at].into());
            }
        }
        self.all.push_back(started);
    }

    /// Forgets what is no longer in any window.
    fn forget(&mut self, now: Time) {
        while self.all.front().is_some_and(|oldest| is_before(oldest.at, LONGEST_WINDOW, now)) {
            let Some(oldest) = self.all.pop_front() else { return };
            // The oldest of all is the oldest on its target.
            let times = self.targets.get_mut(&oldest.target);
            if times.is_some_and(|times| times.pop_front().is_some() && times.is_empty()) {
                self.targets.remove(&oldest.target);
            }
        }
    }

    /// Those in `(now - window, now]`, and any that a clock which was set back since has put later.
    fn within(&self, window: Span, now: Time) -> impl ExactSizeIterator<Item = &Started> {
        self.all.range(self.all.partition_point(|started| is_before(started.at, window, now))..)
    }

    /// How many of those count towards one part of the system under a scope.
    fn count(&self, (scope, key): (Scope, &Target), inventory: &Inventory, (window, now): (Span, Time)) -> usize {
        let in_window = |times: &VecDeque<Time>| times.len() - times.partition_point(|at| is_before(*at, window, now));
        let counts = |target: &Target| counts_towards(scope, target, key, inventory);
        match (scope, key) {
            (Scope::All, _) => self.within(window, now).len(),
            (Scope::Target, _) => self.targets.get(key).map_or(0, in_window),
            (Scope::Service, Target::Service(service)) => {
                let mut count = 0;
                near(&self.targets, service, |target, times| count += if counts(target) { in_window(times) } else { 0 });
                count
            }
            _ => self.within(window, now).filter(|started| counts(&started.target)).count(),
        }
    }
}

/// Whether an instant lies before a window that ends now.
fn is_before(at: Time, window: Span, now: Time) -> bool {
    at.saturating_add(window) <= now
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Serialize for Log {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl From<VecDeque<Started>> for Log {
    fn from(all: VecDeque<Started>) -> Self {
        let mut own = Self::default();
        all.into_iter().for_each(|started| own.push(started));
        own
    }
}

impl Starts {
    /// An action starts.
    pub(super) fn record(&mut self, proposal: &Proposal, now: Time) {
        // A clock that was set back puts nothing before what was there: the log stays in order, and what is new counts for longer.
        let at = self.last.map_or(now, |last| last.max(now));
        self.last = Some(at);
        let log = self.logs.entry(proposal.policy.clone()).or_default();
        log.push(Started { target: proposal.target.clone(), at });
        log.forget(now);
    }

    /// When actions of a policy started in `(now - window, now]`, oldest first.
    pub(super) fn of(&self, policy: &Name, window: Span, now: Time) -> impl ExactSizeIterator<Item = Time> {
        self.log(policy).within(window, now).map(|started| started.at)
    }

    fn log(&self, policy: &Name) -> &Log {
        static NONE: Log = Log { all: VecDeque::new(), targets: BTreeMap::new() };
        self.logs.get(policy).unwrap_or(&NONE)
    }

    /// When the last one was; `None` if there is none.
    pub(super) const fn last(&self) -> Option<Time> {
        self.last
    }

    /// How many starts are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logs.values().map(|log| log.all.len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Asks the guard.
#[must_use]
pub fn check(limits: &[RateLimit], proposal: &Proposal, starts: &Starts, inventory: &Inventory, now: Time) -> Answer {
    let log = starts.log(&proposal.policy);
    Answer::all(limits.iter().flat_map(|limit| {
        let keys = scope_keys(limit.scope, &proposal.target, inventory);
        let none = || Answer::refused(format!("the {} of {} is not declared", limit.scope.word(), proposal.target), None);
        let none = keys.is_empty().then(none);
        none.into_iter().chain(keys.into_iter().map(move |key| of_one(limit, &key, (log, inventory), now)))
    }))
}

fn of_one(limit: &RateLimit, key: &Target, (log, inventory): (&Log, &Inventory), now: Time) -> Answer {
    let started = log.count((limit.scope, key), inventory, (limit.window, now));
    let place: &dyn Figure = if limit.scope == Scope::All { &"all" } else { key };
    let figures = figures(&[&started, &" of ", &limit.max, &" starts within ", &limit.window, &" on ", place]);
    let max = limit.max as usize;
    if started < max {
        return Answer::passed(figures);
    }
    // The start whose leaving makes room; a limit of zero never has any.
    let counts = |start: &&Started| limit.scope == Scope::All || counts_towards(limit.scope, &start.target, key, inventory);
    let leaving = log.within(limit.window, now).filter(counts).nth(started - max);
    Answer::refused(figures, leaving.map(|start| start.at.saturating_add(limit.window))).patient(limit.patience)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{inventory, proposal};
    use super::*;
    use proptest::prelude::*;

    const TWO_A_MINUTE: RateLimit = RateLimit { max: 2, window: Span::from_seconds(60), scope: Scope::Service, patience: None };

    fn starts(at: &[(u64, &str)]) -> Starts {
        let mut starts = Starts::default();
        for (second, target) in at {
            starts.record(&proposal("p", 0, target), Time::from_seconds(*second));
        }
        starts
    }

    #[track_caller]
    fn check_at(limit: RateLimit, log: &[(u64, &str)], target: &str, second: u64) -> Answer {
        check(&[limit], &proposal("p", 9, target), &starts(log), &inventory(), Time::from_seconds(second))
    }

    #[test]
    fn the_third_start_within_the_window_is_refused_and_the_window_is_open_on_its_left() {
        let log = [(10, "replica/api-0"), (40, "replica/api-1")];
        assert!(!check_at(TWO_A_MINUTE, &log[..1], "replica/api-2", 69).is_refusal());
        let refused = check_at(TWO_A_MINUTE, &log, "replica/api-2", 69);
        assert_eq!(refused, Answer::refused("2 of 2 starts within 1m on service/api", Some(Time::from_seconds(70))));
        assert!(!check_at(TWO_A_MINUTE, &log, "replica/api-2", 70).is_refusal(), "the start at 10 s is outside (10 s, 70 s]");
    }

    #[test]
    fn a_start_at_this_very_instant_counts() {
        assert!(check_at(TWO_A_MINUTE, &[(5, "service/api"), (5, "service/api")], "service/api", 5).is_refusal());
    }

    #[test]
    fn scopes_count_apart_and_all_counts_together() {
        let log = [(10, "replica/api-0"), (11, "replica/api-1")];
        assert!(!check_at(TWO_A_MINUTE, &log, "service/cart", 12).is_refusal());
        assert!(check_at(RateLimit { scope: Scope::All, ..TWO_A_MINUTE }, &log, "service/cart", 12).is_refusal());
        assert!(!check_at(RateLimit { scope: Scope::Target, ..TWO_A_MINUTE }, &log, "replica/api-1", 12).is_refusal());
        assert!(check_at(TWO_A_MINUTE, &log, "zone/c", 12).is_refusal(), "the zone holds replicas of api");
        assert!(!check_at(TWO_A_MINUTE, &log, "client/users", 12).is_refusal());
    }

    #[test]
    fn a_limit_of_zero_never_passes_and_no_limit_is_not_configured() {
        assert_eq!(check_at(RateLimit { max: 0, ..TWO_A_MINUTE }, &[], "service/api", 5).again, None);
        assert!(check_at(RateLimit { max: 0, ..TWO_A_MINUTE }, &[], "service/api", 5).is_refusal());
        let none = check(&[], &proposal("p", 0, "service/api"), &Starts::default(), &inventory(), Time::ZERO);
        assert_eq!(none, Answer::not_configured());
    }

    #[test]
    fn another_policy_s_starts_do_not_count() {
        let starts = starts(&[(1, "service/api"), (2, "service/api")]);
        let other = check(&[TWO_A_MINUTE], &proposal("q", 0, "service/api"), &starts, &inventory(), Time::from_seconds(3));
        assert!(!other.is_refusal());
    }

    proptest! {
        /// However the proposals come, no window of the limit's length ever holds more than `max` starts; and the time that a refusal names
        /// is the first at which the same proposal passes.
        #[test]
        fn no_window_holds_more_than_the_limit(gaps in prop::collection::vec(0_u64..40, 1..80), max in 1_u32..5, window in 1_u64..120) {
            let limit = RateLimit { max, window: Span::from_seconds(window), scope: Scope::All, patience: None };
            let (mut starts, mut accepted, mut second) = (Starts::default(), Vec::new(), 0);
            for gap in gaps {
                second += gap;
                let (now, proposal) = (Time::from_seconds(second), proposal("p", 0, "service/api"));
                let answer = check(&[limit], &proposal, &starts, &inventory(), now);
                if !answer.is_refusal() {
                    starts.record(&proposal, now);
                    accepted.push(second);
                } else {
                    let again = answer.again.expect("a positive limit has room again");
                    prop_assert!(again > now);
                    prop_assert!(!check(&[limit], &proposal, &starts, &inventory(), again).is_refusal());
                    let just_before = Time::from_nanos(again.as_nanos() - 1);
                    prop_assert!(check(&[limit], &proposal, &starts, &inventory(), just_before).is_refusal());
                }
            }
            for end in &accepted {
                let within = accepted.iter().filter(|at| **at <= *end && **at + window > *end).count();
                prop_assert!(within <= max as usize);
            }
        }
    }

    proptest! {
        /// What is found by its target is what looking through all starts finds, whatever has been forgotten and after it was saved.
        #[test]
        fn counting_by_target_counts_what_looking_through_all_counts(
            list in proptest::collection::vec((0_u64..9, 0_usize..8), 1..40),
            days in 0_u64..40,
            window in 1_u64..60,
        ) {
            let names = ["service/api", "replica/api-1", "replica/api-x-1", "service/cart", "replica/cart-0", "zone/a", "node/blue-0", "client/users"];
            let mut starts = Starts::default();
            let mut now = Time::from_seconds(1);
            for (seconds, target) in list {
                now += Span::from_seconds(seconds);
                starts.record(&proposal("p", 0, names[target]), now);
            }
            starts.record(&proposal("p", 0, "service/cart"), now + Span::from_minutes(days * 24 * 60));
            let log = starts.log(&Name::new("p"));
            let window = Span::from_seconds(window);
            for scope in [Scope::Target, Scope::Service, Scope::Zone, Scope::All] {
                for key in names.map(|name| name.parse::<Target>().unwrap()) {
                    let counts = |started: &&Started| scope == Scope::All || counts_towards(scope, &started.target, &key, &inventory());
                    let expected = log.within(window, now).filter(counts).count();
                    prop_assert_eq!(log.count((scope, &key), &inventory(), (window, now)), expected, "{:?} of {}", scope, key);
                }
            }
            let text = serde_json::to_string(&starts).unwrap();
            let read: Starts = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read.log(&Name::new("p")).targets, &log.targets);
            prop_assert_eq!(read, starts);
        }
    }
}
