//! What stands on one branch of a chain alone, and when that became part of the whole. A time that an entry names is its writer's word; what stands on a branch
//! that was joined later may have been written as late as that.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::chain::{Chain, Lineage, parents};
use super::entry::{Recorded, What};

/// A branch of a chain beside another one.
#[derive(Clone, Debug)]
pub struct Side<'c> {
    /// When it was joined with the other one, as the entry says that joins them and no sooner than what that follows; while it is open, the latest that the
    /// chain knows of.
    pub joined: Timestamp,
    /// What stands on it and on no other, in the order of the chain.
    pub entries: Vec<&'c Recorded>,
}

impl<'c> Side<'c> {
    /// Which of its entries some of them follow, those among them: by hash.
    pub fn up_from(&self, some: impl Fn(&Recorded) -> bool) -> BTreeSet<&'c str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for own in self.entries.iter().rev().copied() {
            if found.contains(own.hash.as_str()) || some(own) {
                found.insert(&own.hash);
                found.extend(parents(own));
            }
        }
        let own: BTreeSet<&str> = self.entries.iter().map(|own| own.hash.as_str()).collect();
        found.intersection(&own).copied().collect()
    }
}

/// All branches of a chain that stood or stand beside another one.
#[must_use]
pub fn sides(chain: &Chain) -> Vec<Side<'_>> {
    if !chain.is_forked() {
        return Vec::new();
    }
    let lineage = Lineage::of(chain);
    let written_at = chain.written_at();
    let latest = written_at.values().max().copied();
    let mut joins: Vec<(Option<Timestamp>, Vec<&str>)> = Vec::new();
    for own in &chain.entries {
        if let What::Merge { heads } = &own.entry.what {
            joins.push((written_at.get(own.hash.as_str()).copied(), heads.iter().map(String::as_str).collect()));
        }
    }
    if chain.heads.len() > 1 {
        joins.push((latest, chain.heads.iter().map(|head| head.hash.as_str()).collect()));
    }
    let mut all = Vec::new();
    for (joined, heads) in joins {
        let Some(joined) = joined else { continue };
        let heads: Vec<usize> = heads.into_iter().filter_map(|head| lineage.places.get(head).copied()).collect();
        for places in alone(&heads, |place| lineage.before[place].as_slice()) {
            all.push(Side { joined, entries: places.into_iter().map(|place| &chain.entries[place]).collect() });
        }
    }
    all
}

/// For each of some heads the places of what it follows, itself among them, and no other one of them does, in order. `before` gives the places of what one
/// follows, each less than its own. Nobody asks it of what is above where all of them have parted.
fn alone<'l>(heads: &[usize], before: impl Fn(usize) -> &'l [usize]) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); heads.len()];
    // By place which head it is above; `None`: several.
    let mut pending: BTreeMap<usize, Option<usize>> = BTreeMap::new();
    let add = |pending: &mut BTreeMap<usize, Option<usize>>, place: usize, by: Option<usize>| {
        pending.entry(place).and_modify(|own| *own = own.filter(|_| *own == by)).or_insert(by);
    };
    for (index, head) in heads.iter().enumerate() {
        add(&mut pending, *head, Some(index));
    }
    while pending.values().any(Option::is_some) {
        let Some((place, by)) = pending.pop_last() else { break };
        if let Some(index) = by {
            found[index].push(place);
        }
        for above in before(place) {
            add(&mut pending, *above, by);
        }
    }
    found.iter_mut().for_each(|own: &mut Vec<usize>| own.reverse());
    found
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What each place follows, and how many were asked for it.
    #[track_caller]
    fn check(before: &[&[usize]], heads: &[usize], expected: &[&[usize]], asked: usize) {
        let count = Cell::new(0);
        let found = alone(heads, |place| {
            count.set(count.get() + 1);
            before[place]
        });
        assert_eq!((found.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice(), count.get()), (expected, asked));
    }

    #[test]
    fn what_stands_on_one_branch_alone_is_found_without_what_stands_above_all() {
        // 0 - 1 - 2 - 3 - 5 - 7, and 2 - 4 - 6.
        let two: [&[usize]; 8] = [&[], &[0], &[1], &[2], &[2], &[3], &[4], &[5]];
        check(&two, &[7, 6], &[&[3, 5, 7], &[4, 6]], 5);
        // One of them is above the other one, and has nothing alone.
        check(&two, &[7, 3], &[&[5, 7], &[]], 2);
        // A third one, and two that have more in common than it has.
        let three: [&[usize]; 7] = [&[], &[0], &[1], &[2], &[3], &[3], &[1]];
        check(&three, &[4, 5, 6], &[&[4], &[5], &[6]], 5);
        // A branch that was joined before: what it had alone is of the one that it was joined to.
        let joined: [&[usize]; 6] = [&[], &[0], &[0], &[1, 2], &[0], &[3]];
        check(&joined, &[5, 4], &[&[1, 2, 3, 5], &[4]], 5);
        // However long the chain is before they part.
        let long: Vec<Vec<usize>> =
            (0..1_000_usize).map(|place| place.checked_sub(if place == 999 { 2 } else { 1 }).into_iter().collect()).collect();
        let long: Vec<&[usize]> = long.iter().map(Vec::as_slice).collect();
        check(&long, &[998, 999], &[&[998], &[999]], 2);
    }
}
