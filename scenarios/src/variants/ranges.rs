//! What may differ in a variant: as a scenario says it, else as its project does, else by default.

use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_sim::spec::{Misdeed, MonitoringFault};

use crate::defaults;
use crate::document::chaos::{CHANGES, ChaosDocument};
use crate::document::fault::FAULTS;

/// What may differ, and within what.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// How many variants of a scenario a gate plays.
    pub variants: u32,
    /// What the size of a fault is multiplied by, from the least to the most.
    pub magnitude: (f64, f64),
    /// How much earlier or later a fault or change sets in at most.
    pub start: Span,
    /// What the time that a fault or change lasts is multiplied by, from the least to the most.
    pub duration: (f64, f64),
    /// Whether a fault may strike another target of its kind.
    pub targets: bool,
    /// The kinds of which there may be a second fault.
    pub faults: Vec<Name>,
    /// The kinds of benign changes that may be added.
    pub changes: Vec<Name>,
    /// What may go wrong with monitoring besides.
    pub monitoring: Vec<Name>,
    /// What may go wrong with actions besides.
    pub actuator: Vec<Name>,
    /// What policies may cost users beyond the threshold on harm: a share of what users lose if nobody acts.
    pub tolerance: Ratio,
}

impl Ranges {
    /// Each key as the first of these says it that says anything, and else by default.
    #[must_use]
    pub fn of(said: &[Option<&ChaosDocument>]) -> Self {
        let said: Vec<&ChaosDocument> = said.iter().copied().flatten().collect();
        let words = |of: fn(&ChaosDocument) -> Option<&Vec<Name>>, all: &[&str]| {
            said.iter().find_map(|said| of(said)).cloned().unwrap_or_else(|| all.iter().map(|word| Name::new(word)).collect())
        };
        let range = |of: fn(&ChaosDocument) -> Option<(Factor, Factor)>, key: &str| {
            said.iter().find_map(|said| of(said)).map_or_else(|| default_range(key), |(low, high)| (low.get(), high.get()))
        };
        Self {
            variants: said.iter().find_map(|said| said.variants).unwrap_or_else(|| defaults::count("chaos.variants")),
            magnitude: range(|said| said.magnitude, "chaos.magnitude"),
            start: said.iter().find_map(|said| said.start).unwrap_or_else(|| defaults::span("chaos.start")),
            duration: range(|said| said.duration, "chaos.duration"),
            targets: said.iter().find_map(|said| said.targets).unwrap_or_else(|| defaults::text("chaos.targets") == "true"),
            faults: words(|said| said.faults.as_ref(), &FAULTS),
            changes: words(|said| said.changes.as_ref(), &CHANGES),
            monitoring: words(|said| said.monitoring.as_ref(), &MonitoringFault::WORDS),
            actuator: words(|said| said.actuator.as_ref(), &Misdeed::ALL.map(Misdeed::word)),
            tolerance: said.iter().find_map(|said| said.tolerance).unwrap_or_else(|| defaults::ratio("chaos.tolerance")),
        }
    }
}

/// `[x0.5, x2]`.
fn default_range(key: &str) -> (f64, f64) {
    let text = defaults::text(key).trim_matches(['[', ']']);
    let ends = text.split_once(", ").and_then(|(low, high)| Factor::parse(low).ok().zip(Factor::parse(high).ok()));
    let (low, high) = ends.expect("defaults are ranges where they should be");
    (low.get(), high.get())
}

#[cfg(test)]
mod tests {
    use firedrill_core::yaml::{self, Reader};

    use super::*;
    use crate::document::chaos;

    fn read(text: &str) -> Result<ChaosDocument, Vec<String>> {
        let node = yaml::parse("x.yaml", text).unwrap();
        let mut reader = Reader::new();
        let document = chaos::read(&mut reader, &node);
        reader.finish().map_err(|problems| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>())?;
        Ok(document.unwrap())
    }

    #[test]
    fn a_scenario_says_it_before_its_project_and_the_defaults_say_the_rest() {
        let own = read("{ magnitude: [x1, x3], faults: [hang] }").unwrap();
        let projects = read("{ magnitude: [x1, x9], variants: 7, faults: [], tolerance: 10% }").unwrap();
        let ranges = Ranges::of(&[Some(&own), Some(&projects)]);
        assert_eq!((ranges.magnitude, ranges.variants, ranges.start), ((1.0, 3.0), 7, Span::from_minutes(2)));
        assert_eq!((ranges.faults, ranges.duration, ranges.tolerance.get()), (vec![Name::new("hang")], (0.5, 2.0), 0.1));
        assert_eq!((ranges.changes.len(), ranges.targets), (CHANGES.len(), true));
        assert!(Ranges::of(&[None, Some(&projects)]).faults.is_empty());
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_by_name() {
        let refused = |text: &str| read(text).unwrap_err();
        assert_eq!(refused("{ magnitude: [x2] }"), ["the magnitude has two ends"]);
        assert_eq!(refused("{ duration: [x2, x1] }"), ["the duration is from x2 to x1"]);
        assert_eq!(refused("{ duration: [x0, x1] }"), ["the duration is from x0 to x1"]);
        assert_eq!(refused("{ faults: [hang, crush] }"), ["`faults` of `chaos` knows no `crush`"]);
        assert_eq!(refused("{ changes: [hang] }"), ["`changes` of `chaos` knows no `hang`"]);
        assert_eq!(refused("{ variants: 1001 }"), ["the number of variants is 1001, and must be 0 to 1000"]);
        assert_eq!(refused("{ magnitudes: [x1, x2] }"), ["`chaos` has no key `magnitudes`"]);
    }
}
