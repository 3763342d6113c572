//! A look-aside cache: which keys it holds, until when, and in what order they go.

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::random::{Stream, unit};
use firedrill_core::time::Time;

use crate::slab::NONE;
use crate::spec::CacheSpec;

/// The entries of one cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    spec: CacheSpec,
    /// The probability of each key and all before it.
    cumulative: Arc<[f64]>,
    /// The first key that each of equal parts of [0, 1) can mean, and the last of the last; a power of two of parts, so that the part is exact.
    parts: Arc<[u32]>,
    /// When each entry ends, nanoseconds; zero: it is not there.
    ends: Vec<u64>,
    order: Option<Order>,
    freshness: Option<Freshness>,
    /// What was spoilt; `None`: nothing ever was.
    spoilt: Option<Box<Spoilt>>,
}

/// Entries that nobody can read.
#[derive(Clone, Debug)]
struct Spoilt {
    /// What the names of these keys begin with.
    prefix: Name,
    /// Which keys those are.
    keys: Vec<bool>,
    /// Which of their entries are spoilt still.
    bad: Vec<bool>,
}

/// Which entries are out of date; kept only where something changes what they are copies of.
#[derive(Clone, Debug)]
struct Freshness {
    /// When the original of each key was changed last.
    changed: Vec<Time>,
    /// Up to when the entry of each key knows of changes.
    as_of: Vec<Time>,
}

/// Entries by when they were last used, as a chain of keys.
#[derive(Clone, Debug)]
struct Order {
    capacity: u32,
    held: u32,
    newest: u32,
    oldest: u32,
    /// The next newer and the next older key of each.
    newer: Vec<u32>,
    older: Vec<u32>,
}

/// Never ends.
const FOR_EVER: u64 = u64::MAX;

/// As many parts as there may be of what keys are drawn from.
const MOST_PARTS: usize = 1 << 12;

/// Keys whose luck stands in one block: two words each.
const KEYS_IN_BLOCK: u32 = 4;

impl Cache {
    /// The cache at time zero. What it holds is what lookups at its rate would have left there in the long run: with a time to live `T`, key `k` with
    /// the rate `r` is there with the probability `r T / (1 + r T)`, for a time that is uniform up to `T` (a renewal process).
    pub(crate) fn new(spec: &CacheSpec, is_updated: bool, luck: Stream) -> Self {
        let mut sum = 0.0;
        let weights = (1..=spec.keys).map(|key| {
            sum += libm::pow(f64::from(key), -spec.zipf);
            sum
        });
        let weights: Vec<f64> = weights.collect();
        let cumulative: Arc<[f64]> = weights.iter().map(|below| below / sum).collect();
        let parts = parts_of(&cumulative);
        let keys = spec.keys as usize;
        let order = spec.capacity.map(|capacity| Order {
            capacity,
            held: 0,
            newest: NONE,
            oldest: NONE,
            newer: vec![NONE; keys],
            older: vec![NONE; keys],
        });
        let freshness = is_updated.then(|| Freshness { changed: vec![Time::ZERO; keys], as_of: vec![Time::ZERO; keys] });
        let mut cache = Self { spec: spec.clone(), cumulative, parts, ends: vec![0; keys], order, freshness, spoilt: None };
        if spec.warm && spec.warm_rate > 0.0 {
            cache.warm(luck);
        }
        cache
    }

    fn warm(&mut self, luck: Stream) {
        let most = self.spec.capacity.unwrap_or(u32::MAX).min(self.spec.keys);
        // The least popular first, so that the most popular is the newest.
        for key in (0..most).rev() {
            let end = match self.spec.ttl {
                None => FOR_EVER,
                Some(ttl) => {
                    let block = luck.block(u64::from(key / KEYS_IN_BLOCK));
                    let word = |place: u32| unit(block.word64((key % KEYS_IN_BLOCK * 2 + place) as usize));
                    let filled = self.rate_of(key) * ttl.as_seconds();
                    if word(0) >= filled / (1.0 + filled) {
                        continue;
                    }
                    ((ttl.as_nanos() as f64 * word(1)) as u64).max(1)
                }
            };
            self.put(key, end);
        }
    }

    /// Lookups of a key a second at the start.
    fn rate_of(&self, key: u32) -> f64 {
        let before = if key == 0 { 0.0 } else { self.cumulative[key as usize - 1] };
        self.spec.warm_rate * (self.cumulative[key as usize] - before)
    }

    /// Which key is asked for; `luck` is uniform in [0, 1).
    pub(crate) fn key(&self, luck: f64) -> u32 {
        let parts = self.parts.len() - 1;
        let part = (luck * parts as f64) as usize;
        let (first, last) = (self.parts[part], self.parts[part + 1]);
        let within = &self.cumulative[first as usize..last as usize];
        (first + within.partition_point(|below| *below <= luck) as u32).min(self.spec.keys - 1)
    }

    /// Whether a key is there.
    pub(crate) fn look(&mut self, now: Time, key: u32) -> bool {
        let hit = self.ends[key as usize] > now.as_nanos();
        if let Some(order) = &mut self.order
            && hit
        {
            order.take_out(key);
            order.put_first(key);
        }
        hit
    }

    /// A key was fetched and is kept; the answer knows of what was changed up to `as_of`.
    pub(crate) fn fill(&mut self, now: Time, key: u32, as_of: Time) {
        if let Some(freshness) = &mut self.freshness {
            freshness.as_of[key as usize] = as_of;
        }
        let end = self.spec.ttl.map_or(FOR_EVER, |ttl| now.saturating_add(ttl).as_nanos());
        self.put(key, end);
    }

    /// The original of a key was changed; its copy is thrown away if it is told to.
    pub(crate) fn changed(&mut self, now: Time, key: u32, invalidate: bool) {
        if let Some(freshness) = &mut self.freshness {
            freshness.changed[key as usize] = now;
        }
        if invalidate {
            self.throw_away(key);
        }
    }

    /// Whether the original of an entry was changed after the entry was fetched.
    pub(crate) fn is_stale(&self, key: u32) -> bool {
        self.freshness.as_ref().is_some_and(|freshness| freshness.changed[key as usize] > freshness.as_of[key as usize])
    }

    /// This share of its keys has names that begin with `prefix`, and what it holds of them is spoilt; `luck` says which.
    pub(crate) fn spoil(&mut self, prefix: &Name, share: f64, luck: Stream) {
        let is_meant = |key: u32| unit(luck.block(u64::from(key / 8)).word64(key as usize % 8)) < share;
        let keys: Vec<bool> = (0..self.spec.keys).map(is_meant).collect();
        let bad = keys.iter().zip(&self.ends).map(|(is_meant, end)| *is_meant && *end > 0).collect();
        self.spoilt = Some(Box::new(Spoilt { prefix: prefix.clone(), keys, bad }));
    }

    /// Whether the entry of a key is spoilt.
    pub(crate) fn is_spoilt(&self, key: u32) -> bool {
        self.spoilt.as_ref().is_some_and(|spoilt| spoilt.bad[key as usize])
    }

    /// Whether an entry is spoilt that somebody can still find.
    pub(crate) fn has_spoilt(&self, now: Time) -> bool {
        let Some(spoilt) = &self.spoilt else { return false };
        spoilt.bad.iter().zip(&self.ends).any(|(bad, end)| *bad && *end > now.as_nanos())
    }

    /// Loses all keys that begin with this; whether there are such keys.
    pub(crate) fn flush_prefix(&mut self, prefix: &Name) -> bool {
        let Some(spoilt) = self.spoilt.as_ref().filter(|spoilt| spoilt.prefix == *prefix) else { return false };
        let meant: Vec<u32> = (0..self.spec.keys).filter(|key| spoilt.keys[*key as usize]).collect();
        meant.into_iter().for_each(|key| self.throw_away(key));
        true
    }

    fn heal(&mut self, key: u32) {
        if let Some(spoilt) = &mut self.spoilt {
            spoilt.bad[key as usize] = false;
        }
    }

    fn put(&mut self, key: u32, end: u64) {
        self.heal(key);
        let was_there = self.ends[key as usize] > 0;
        self.ends[key as usize] = end;
        let Some(order) = &mut self.order else { return };
        if was_there {
            order.take_out(key);
        } else {
            order.held += 1;
        }
        order.put_first(key);
        if order.held > order.capacity {
            let oldest = order.oldest;
            order.take_out(oldest);
            order.held -= 1;
            self.ends[oldest as usize] = 0;
        }
    }

    /// Loses this share of its keys; `luck` says which.
    pub(crate) fn flush(&mut self, share: f64, luck: Stream) {
        for key in 0..self.spec.keys {
            let lost = unit(luck.block(u64::from(key / 8)).word64(key as usize % 8)) < share;
            if lost {
                self.throw_away(key);
            }
        }
    }

    /// Gets this share of all keys, the most popular, as far as it does not have them and has room; how many it got.
    pub(crate) fn load(&mut self, now: Time, share: f64) -> u64 {
        let room = self.spec.capacity.unwrap_or(u32::MAX).min(self.spec.keys);
        let wanted = (libm::ceil(f64::from(self.spec.keys) * share) as u32).min(room);
        // The least popular first, so that the most popular is the newest.
        let missing: Vec<u32> = (0..wanted).rev().filter(|key| self.ends[*key as usize] <= now.as_nanos()).collect();
        for key in &missing {
            self.fill(now, *key, now);
        }
        missing.len() as u64
    }

    /// Loses one key, if it is there.
    fn throw_away(&mut self, key: u32) {
        if self.ends[key as usize] == 0 {
            return;
        }
        self.ends[key as usize] = 0;
        self.heal(key);
        if let Some(order) = &mut self.order {
            order.take_out(key);
            order.held -= 1;
        }
    }

    /// Whether it keeps answers for callers who have gone.
    pub(crate) const fn fills_late(&self) -> bool {
        self.spec.late_fill
    }

    /// Whether one request asks for all of a replica that want the same key.
    pub(crate) const fn coalesces(&self) -> bool {
        self.spec.coalesce
    }
}

impl Order {
    fn take_out(&mut self, key: u32) {
        let (newer, older) = (self.newer[key as usize], self.older[key as usize]);
        match newer {
            NONE => self.newest = older,
            newer => self.older[newer as usize] = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.newer[older as usize] = newer,
        }
        (self.newer[key as usize], self.older[key as usize]) = (NONE, NONE);
    }

    fn put_first(&mut self, key: u32) {
        self.older[key as usize] = self.newest;
        match self.newest {
            NONE => self.oldest = key,
            newest => self.newer[newest as usize] = key,
        }
        self.newest = key;
    }
}

/// The first key that each part can mean, and the number of keys.
fn parts_of(cumulative: &[f64]) -> Arc<[u32]> {
    let parts = cumulative.len().clamp(1, MOST_PARTS).next_power_of_two();
    let mut key = 0;
    let first = (0..parts).map(|part| {
        let from = part as f64 / parts as f64;
        key += cumulative[key..].iter().take_while(|below| **below <= from).count();
        key as u32
    });
    let first: Vec<u32> = first.collect();
    first.into_iter().chain([cumulative.len() as u32]).collect()
}

#[cfg(test)]
mod tests {
    use firedrill_core::name::Name;
    use firedrill_core::random::{Purpose, Seed};
    use firedrill_core::time::Span;

    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    fn luck() -> Stream {
        Stream::new(Seed(1), Purpose::Fault, 7)
    }

    fn spec(ttl: Option<Span>, capacity: Option<u32>, warm_rate: f64) -> CacheSpec {
        let warm = warm_rate > 0.0;
        CacheSpec { name: Name::new("c"), keys: 1000, zipf: 1.0, ttl, capacity, late_fill: false, coalesce: false, warm, warm_rate }
    }

    #[test]
    fn an_entry_is_stale_once_its_original_was_changed_after_it_was_read() {
        let mut cache = Cache::new(&spec(None, None, 0.0), true, luck());
        cache.fill(at(5), 3, at(5));
        cache.changed(at(6), 3, false);
        assert!(cache.look(at(7), 3) && cache.is_stale(3) && !cache.is_stale(4));
        cache.fill(at(8), 3, at(5));
        assert!(cache.is_stale(3), "what a standby answers may be old");
        cache.fill(at(8), 3, at(8));
        assert!(!cache.is_stale(3));
        cache.changed(at(9), 3, true);
        assert!(!cache.look(at(9), 3), "it was thrown away");
    }

    #[test]
    fn an_entry_ends_after_its_time_to_live() {
        let mut cache = Cache::new(&spec(Some(Span::from_seconds(10)), None, 0.0), true, luck());
        assert!(!cache.look(at(0), 3));
        cache.fill(at(0), 3, at(0));
        assert!(cache.look(Time::from_nanos(9_999_999_999), 3));
        assert!(!cache.look(at(10), 3));
    }

    #[test]
    fn the_entry_that_was_used_longest_ago_makes_room() {
        let mut cache = Cache::new(&spec(None, Some(2), 0.0), true, luck());
        cache.fill(at(0), 1, at(0));
        cache.fill(at(0), 2, at(0));
        assert!(cache.look(at(1), 1));
        cache.fill(at(2), 3, at(2));
        assert!(cache.look(at(3), 1) && cache.look(at(3), 3) && !cache.look(at(3), 2));
        cache.flush(1.0, luck());
        assert!(!cache.look(at(4), 1));
        cache.fill(at(4), 5, at(4));
        assert!(cache.look(at(5), 5));
    }

    #[test]
    fn keys_are_as_popular_as_zipf_says_and_a_warm_cache_holds_what_theory_says() {
        let cache = Cache::new(&spec(Some(Span::from_seconds(60)), None, 100.0), true, luck());
        let harmonic: f64 = (1..=1000).map(|key| 1.0 / f64::from(key)).sum();
        assert_eq!((cache.key(0.0), cache.key(1.0 / harmonic + 1e-9), cache.key(0.999_999_9)), (0, 1, 999));
        let filled = (1..=1000).map(|key| 100.0 / harmonic / f64::from(key) * 60.0);
        let expected: f64 = filled.map(|filled| filled / (1.0 + filled)).sum();
        let held = cache.ends.iter().filter(|end| **end > 0).count() as f64;
        assert!((held - expected).abs() < 40.0, "{held} entries, expected {expected}");
    }

    #[test]
    fn the_key_of_a_part_is_that_of_a_search_through_all() {
        for (keys, zipf) in [(1, 1.0), (2, 0.0), (1000, 1.0), (5000, 0.0), (20_000, 1.3)] {
            let cache = Cache::new(&CacheSpec { keys, zipf, ..spec(None, None, 1.0) }, false, luck());
            let check = |luck: f64| {
                let plain = (cache.cumulative.partition_point(|below| *below <= luck) as u32).min(keys - 1);
                assert_eq!(cache.key(luck), plain, "{keys} keys, {luck}");
            };
            (0..10_000_u32).for_each(|word| check(f64::from(word) / 10_000.0));
            // At the bounds of parts and of keys, and beside them.
            let bounds = (0..4096_u32).map(|part| f64::from(part) / 4096.0).chain(cache.cumulative.iter().copied());
            bounds.flat_map(|bound| [bound, bound.next_down(), bound.next_up()]).filter(|luck| (0.0..1.0).contains(luck)).for_each(check);
        }
    }

    #[test]
    fn a_partial_flush_takes_its_share() {
        let mut cache = Cache::new(&spec(None, None, 1.0), true, luck());
        cache.flush(0.3, luck());
        let held = cache.ends.iter().filter(|end| **end > 0).count();
        assert!((640..=760).contains(&held), "{held} of 1000 are left");
    }
}
