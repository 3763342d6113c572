//! Targets by when something last happened to them. What is longer ago than any window is forgotten: pods have new names every day, and a watcher runs
//! for months.

use std::collections::BTreeMap;

use firedrill_core::action::Target;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize, Serializer};

use super::rate_limit::LONGEST_WINDOW;

/// Targets, each with its last time. Saved as such.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<Target, Time>")]
pub struct Fading {
    /// With the number under which it stands in the order.
    last: BTreeMap<Target, (Time, u64)>,
    /// The same by time.
    order: BTreeMap<(Time, u64), Target>,
    next: u64,
}

impl Fading {
    /// Something happened to a target. The latest time counts.
    pub(super) fn touch(&mut self, target: &Target, at: Time) {
        let (number, target) = match self.last.get_mut(target) {
            Some((last, _)) if *last >= at => return,
            Some(last) => {
                let Some(own) = self.order.remove(last) else { return };
                last.0 = at;
                (last.1, own)
            }
            None => {
                let number = self.next;
                self.next += 1;
                self.last.insert(target.clone(), (at, number));
                (number, target.clone())
            }
        };
        self.order.insert((at, number), target);
    }

    /// Forgets what was longer ago than any window, and gives it.
    pub(super) fn forget(&mut self, now: Time) -> Vec<Target> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.order.first_entry().filter(|oldest| oldest.key().0.saturating_add(LONGEST_WINDOW) <= now) {
            let target = oldest.remove();
            self.last.remove(&target);
            forgotten.push(target);
        }
        forgotten
    }

    /// What something happened to in `(now - window, now]`, and at any time that a clock which was set back since has put later.
    pub(super) fn within(&self, window: Span, now: Time) -> impl Iterator<Item = &Target> {
        self.order.iter().rev().take_while(move |((at, _), _)| now < at.saturating_add(window)).map(|(_, target)| target)
    }

    fn times(&self) -> impl Iterator<Item = (&Target, Time)> {
        self.last.iter().map(|(target, (at, _))| (target, *at))
    }
}

impl PartialEq for Fading {
    fn eq(&self, other: &Self) -> bool {
        self.times().eq(other.times())
    }
}

impl Serialize for Fading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.times())
    }
}

impl From<BTreeMap<Target, Time>> for Fading {
    fn from(last: BTreeMap<Target, Time>) -> Self {
        let mut own = Self::default();
        last.iter().for_each(|(target, at)| own.touch(target, *at));
        own
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::name::Name;

    use super::*;

    #[test]
    fn the_last_time_counts_and_what_is_longest_ago_is_forgotten_first() {
        let [one, two] = ["one", "two"].map(|name| Target::Service(Name::new(name)));
        let second = |second: u64| Time::from_seconds(second);
        let mut fading = Fading::default();
        fading.touch(&one, second(10));
        fading.touch(&two, second(20));
        fading.touch(&one, second(30));
        fading.touch(&one, second(5));
        let within = |fading: &Fading, now| fading.within(Span::from_seconds(10), second(now)).cloned().collect::<Vec<_>>();
        assert_eq!(within(&fading, 29), [one.clone(), two.clone()]);
        assert_eq!(within(&fading, 30), std::slice::from_ref(&one), "open on its left");
        let text = serde_json::to_string(&fading).unwrap();
        assert_eq!(serde_json::from_str::<Fading>(&text).unwrap(), fading);
        assert!(fading.forget(second(20)).is_empty());
        assert_eq!(fading.forget(second(20) + LONGEST_WINDOW), [two]);
        assert_eq!(fading.forget(second(30) + LONGEST_WINDOW), [one]);
        assert_eq!(fading, Fading::default());
    }
}
