//! Making a variant smaller while the same thing still goes wrong: delta debugging and bisection.

use firedrill_core::time::Span;

use crate::variants::entry::Entry;
use crate::variants::plan::{Origin, Plan};
use crate::variants::quantity::round_span;

/// How long after the last onset a run must last to show anything, and what is tried from there on, minutes.
const HORIZONS: [u64; 5] = [5, 10, 15, 20, 30];
/// How often a range is halved.
const HALVINGS: u32 = 3;

/// The smallest variant that is found for which `fails` is true, as it is for the one given: with fewer faults and changes, shorter, milder, rounder,
/// and without what nobody asks. Each step keeps only what still fails, so that it can stop anywhere: a `fails` that has had enough says no from then on.
#[must_use]
pub fn shrink(origin: &Origin, plan: &Plan, fails: &mut dyn FnMut(&Plan) -> bool) -> Plan {
    let mut shrinking = Shrinking { plan: plan.clone(), fails };
    shrinking.fewer();
    shrinking.shorter();
    for index in 0..shrinking.plan.entries.len() {
        shrinking.briefer(index);
        shrinking.milder(index);
        shrinking.rounder(index);
    }
    shrinking.narrower(origin);
    shrinking.plan
}

/// The smallest part of a list for which `fails` is true that leaving out parts of it leads to; `fails` is true of the whole list.
///
/// Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002), algorithm ddmin: of n parts, each alone, then each left out;
/// then twice as many parts. What is left loses its failure with any one of its items.
#[must_use]
pub fn ddmin<T: Clone>(items: &[T], fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    let mut parts = 2;
    while items.len() > 1 {
        let parts_now = parts.min(items.len());
        let bounds: Vec<(usize, usize)> =
            (0..parts_now).map(|part| (items.len() * part / parts_now, items.len() * (part + 1) / parts_now)).collect();
        let alone = bounds.iter().find(|(from, to)| to - from < items.len() && fails(&items[*from..*to])).copied();
        if let Some((from, to)) = alone {
            items = items[from..to].to_vec();
            parts = 2;
            continue;
        }
        let rest = |(from, to): &(usize, usize)| [&items[..*from], &items[*to..]].concat();
        // Of two parts, each is the other's rest.
        let left = bounds.iter().filter(|_| parts_now > 2).map(rest).find(|rest| fails(rest));
        match left {
            Some(rest) => {
                items = rest;
                parts = (parts_now - 1).max(2);
            }
            None if parts_now == items.len() => break,
            None => parts = parts_now * 2,
        }
    }
    items
}

struct Shrinking<'a> {
    plan: Plan,
    fails: &'a mut dyn FnMut(&Plan) -> bool,
}

impl Shrinking<'_> {
    /// Takes the plan if it differs and still fails.
    fn take(&mut self, plan: Plan) -> bool {
        let is_taken = plan != self.plan && (self.fails)(&plan);
        if is_taken {
            self.plan = plan;
        }
        is_taken
    }

    fn take_entry(&mut self, index: usize, entry: Entry) -> bool {
        let mut plan = self.plan.clone();
        plan.entries[index] = entry;
        self.take(plan)
    }

    /// Without what is not needed.
    fn fewer(&mut self) {
        let plan = self.plan.clone();
        let with = |entries: &[Entry]| Plan { entries: entries.to_vec(), ..plan.clone() };
        // It may fail without any of it.
        if self.take(with(&[])) {
            return;
        }
        let entries = ddmin(&plan.entries, &mut |entries| (self.fails)(&with(entries)));
        self.plan = with(&entries);
    }

    /// The run ends soon after.
    fn shorter(&mut self) {
        let last = self.plan.entries.iter().map(Entry::at).max().unwrap_or_default();
        for minutes in HORIZONS {
            let horizon = round_span(last.saturating_add(Span::from_minutes(minutes)));
            if horizon >= self.plan.horizon || self.take(Plan { horizon, ..self.plan.clone() }) {
                break;
            }
        }
    }

    /// An entry lasts half as long.
    fn briefer(&mut self, index: usize) {
        for _ in 0..HALVINGS {
            let entry = self.plan.entries[index].clone();
            let Some(lasting) = entry.lasting().filter(|lasting| *lasting > Span::from_seconds(30)) else { return };
            let half = round_span(Span::from_seconds_f64(lasting.as_seconds() / 2.0));
            if !self.take_entry(index, entry.with_lasting(Some(half))) {
                return;
            }
        }
    }

    /// An entry is less bad: the mildest that is found by halving what lies between nothing and what it is.
    fn milder(&mut self, index: usize) {
        let whole = self.plan.entries[index].clone();
        if whole.sizes().is_empty() {
            return;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.take_entry(index, whole.scaled(middle)) {
                high = middle;
            } else {
                low = middle;
            }
        }
    }

    fn rounder(&mut self, index: usize) {
        let rounded = self.plan.entries[index].rounded();
        self.take_entry(index, rounded);
        let plain = self.plan.entries[index].plain();
        self.take_entry(index, plain);
    }

    /// Without clients that are not needed, and without the services that nobody asks.
    fn narrower(&mut self, origin: &Origin) {
        for client in &origin.spec.clients {
            let mut plan = self.plan.clone();
            plan.without_clients.insert(client.name.clone());
            if plan.without_clients.len() < origin.spec.clients.len() {
                self.take(plan);
            }
        }
        let without_services = origin.unreached(&self.plan);
        if !without_services.is_empty() {
            self.take(Plan { without_services, ..self.plan.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::scenario::read_scenario;
    use crate::variants::entry::List;

    #[track_caller]
    fn check(count: u32, needed: &[u32], most: usize) {
        let mut tried = 0;
        let all: Vec<u32> = (0..count).collect();
        let found = ddmin(&all, &mut |items| {
            tried += 1;
            needed.iter().all(|item| items.contains(item))
        });
        assert_eq!(found, needed);
        assert!(tried <= most, "{tried} trials");
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        check(8, &[3], 8);
        check(8, &[1, 6], 30);
        check(20, &[0, 7, 19], 100);
        check(4, &[0, 1, 2, 3], 20);
        check(1, &[0], 0);
    }

    #[test]
    fn a_variant_shrinks_to_what_makes_it_fail() {
        let (path, text) = library::get("hang-one-replica").unwrap();
        let origin = Origin::of(&read_scenario(path, text).unwrap());
        let mut plan = origin.as_is();
        for text in [
            "{ slow: { service: api, factor: x17 }, at: 7m13s, lasting: 8m }",
            "{ crash: { replica: api-0, every: 40s }, at: 8m, lasting: 3m }",
        ] {
            plan.entries.push(Entry::written(List::Faults, text));
        }
        plan.entries.push(Entry::written(List::Changes, "{ surge: { client: users, factor: x1.1 }, at: 9m, lasting: 1m }"));
        let mut tried = 0;
        // It takes a slowness of x5 or more for two minutes at the least, and eight minutes to see it.
        let found = shrink(&origin, &plan, &mut |plan| {
            tried += 1;
            let slow = plan.entries.iter().find(|entry| entry.word().as_str() == "slow");
            let is_bad = |entry: &Entry| entry.sizes()[0].1.trim_start_matches('x').parse::<f64>().unwrap() >= 5.0;
            let is_long = |entry: &Entry| {
                entry.lasting() >= Some(Span::from_minutes(2)) && plan.horizon >= entry.at().saturating_add(Span::from_minutes(8))
            };
            slow.is_some_and(|slow| is_bad(slow) && is_long(slow))
        });
        assert_eq!(found.entries.iter().map(Entry::words).collect::<Vec<_>>(), ["slow of service api (factor x5) at 7m for 2m"]);
        assert_eq!(found.horizon, Span::from_minutes(17));
        assert!(tried < 40, "{tried}");
        assert!(read_scenario(path, &origin.text(&found)).is_ok());
    }
}
