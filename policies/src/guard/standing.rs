//! Alerts that are on, with what they are about, found by when they began.

use std::collections::BTreeMap;

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize, Serializer};

/// Alerts by their keys: one text for one alert. Saved as a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<(Name, Time, Target)>")]
pub struct Standing {
    began: BTreeMap<Name, Time>,
    order: BTreeMap<(Time, Name), Target>,
}

impl Standing {
    /// An alert about a target is on, and began then.
    pub(super) fn begin(&mut self, alert: Name, target: &Target, at: Time) {
        self.end(&alert);
        self.began.insert(alert.clone(), at);
        self.order.insert((at, alert), target.clone());
    }

    /// An alert is over; whether it was known to be on.
    pub(super) fn end(&mut self, alert: &str) -> bool {
        let Some((alert, at)) = self.began.remove_entry(alert) else { return false };
        self.order.remove(&(at, alert)).is_some()
    }

    /// What is on since less than `within` before or after a time.
    pub(super) fn together(&self, at: Time, within: Span) -> impl Iterator<Item = &Target> {
        let first = Time::from_nanos(at.as_nanos().saturating_sub(within.as_nanos()));
        let last = at.saturating_add(within);
        let near = self.order.range((first, Name::new(""))..).take_while(move |((began, _), _)| *began < last);
        near.filter(move |((began, _), _)| at.since(*began) < within).map(|(_, target)| target)
    }

    /// Whether nothing is on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.began.is_empty()
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.order.iter().map(|((at, alert), target)| (alert, at, target)))
    }
}

impl From<Vec<(Name, Time, Target)>> for Standing {
    fn from(list: Vec<(Name, Time, Target)>) -> Self {
        let mut own = Self::default();
        list.into_iter().for_each(|(alert, at, target)| own.begin(alert, &target, at));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_is_found_by_when_it_began_until_it_is_over() {
        let target: Target = "service/api".parse().unwrap();
        let mut standing = Standing::default();
        for (alert, second) in [("a", 10), ("b", 20), ("c", 40)] {
            standing.begin(Name::new(alert), &target, Time::from_seconds(second));
        }
        let count =
            |standing: &Standing, at: u64, within: u64| standing.together(Time::from_seconds(at), Span::from_seconds(within)).count();
        assert_eq!(count(&standing, 20, 10), 1, "10 s apart is not less than 10 s");
        assert_eq!(count(&standing, 20, 11), 2);
        assert_eq!(count(&standing, 0, 100), 3);
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
        assert!(standing.end("a") && !standing.end("a") && standing.end("c"));
        assert_eq!(count(&standing, 0, 100), 1);
        standing.begin(Name::new("b"), &target, Time::from_seconds(90));
        assert_eq!((count(&standing, 20, 11), count(&standing, 90, 1)), (0, 1), "it began anew");
    }
}
