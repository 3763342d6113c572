//! What stands on one branch of a chain alone, and when that became part of the whole. A time that an entry names is its writer's word; what stands on a branch
//! that was joined later may have been written as late as that.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::chain::{Chain, parents};
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
    let places: BTreeMap<&str, usize> = chain.entries.iter().enumerate().map(|(place, own)| (own.hash.as_str(), place)).collect();
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
        let above: Vec<Vec<bool>> = heads.iter().filter_map(|head| places.get(head)).map(|place| up_from(chain, &places, *place)).collect();
        for (index, own) in above.iter().enumerate() {
            let is_elsewhere =
                |place: usize| above.iter().enumerate().any(|(other, above)| other != index && above.get(place) == Some(&true));
            let entries = own.iter().enumerate().filter(|(place, is_own)| **is_own && !is_elsewhere(*place));
            all.push(Side { joined, entries: entries.map(|(place, _)| &chain.entries[place]).collect() });
        }
    }
    all
}

/// By place, whether an entry is the one at a place or is followed by it, however far up.
fn up_from(chain: &Chain, places: &BTreeMap<&str, usize>, place: usize) -> Vec<bool> {
    let mut found = vec![false; place + 1];
    found[place] = true;
    for place in (0..=place).rev() {
        if found[place] {
            for before in parents(&chain.entries[place]).filter_map(|hash| places.get(hash)).filter(|before| **before < place) {
                found[*before] = true;
            }
        }
    }
    found
}
