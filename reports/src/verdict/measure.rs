//! The measures that thresholds, comparisons and tables speak of: their words, units and figures.

use std::collections::BTreeMap;
use std::fmt;

use firedrill_core::name::Name;
use firedrill_core::time::Span;
use serde::{Deserialize, Serialize};

use super::Case;
use crate::outcome::Outcome;
use crate::statistics::{Sample, Summary};
use crate::words::grouped;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Seconds; written as a duration.
    Seconds,
    /// Users times minutes.
    UserMinutes,
    /// A share, 0 to 1; written in percent.
    Ratio,
    /// How many.
    Count,
    /// Replicas times hours.
    ReplicaHours,
    /// Minutes of a person; written as a duration.
    Minutes,
    /// A multiple.
    Factor,
}

impl Unit {
    /// A figure as people read it.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        self.show_finely(value, 0)
    }

    /// A limit as it was written, whatever digits that takes: what is read of it is the same limit.
    #[must_use]
    pub fn show_limit(self, limit: f64) -> String {
        let (written, decimals) = (self.written(limit), self.decimals(limit));
        // A span is shown in milliseconds.
        let most = if matches!(self, Self::Seconds | Self::Minutes) { 4 - decimals } else { MOST_FINER };
        let is_it = |finer: &usize| self.read(self.rounded(written, decimals + finer)) == limit;
        match (0..most).find(is_it).filter(|_| written.abs() < ASTRONOMIC) {
            Some(finer) => self.show_finely(limit, finer),
            None => self.with_its_sign(&format!("{written:?}")),
        }
    }

    /// What a number that is written is: the other way round than [`Self::written`].
    fn read(self, written: f64) -> f64 {
        let seconds = || Span::from_seconds_f64(written).as_seconds();
        match self {
            Self::Seconds => seconds(),
            Self::Minutes => seconds() / 60.0,
            Self::Ratio => written / 100.0,
            Self::UserMinutes | Self::Count | Self::ReplicaHours | Self::Factor => written,
        }
    }

    /// A figure beside a limit, with as many digits as it takes to see on which side of it it lies.
    #[must_use]
    pub fn show_beside(self, value: f64, limit: f64) -> String {
        let limit = Self::without_noise(self.written(limit));
        let side = Self::without_noise(self.written(value)).total_cmp(&limit);
        self.show_finely(value, self.digits(value, |rounded| rounded.total_cmp(&limit) == side))
    }

    /// Two figures that are compared, both with as many digits as it takes to see which is the larger.
    #[must_use]
    pub fn show_both(self, [one, other]: [f64; 2]) -> [String; 2] {
        let rounded = |value: f64, finer| self.rounded(self.written(value), self.decimals(value) + finer);
        let order = one.total_cmp(&other);
        let finer = (0..MOST_FINER).find(|finer| rounded(one, *finer).total_cmp(&rounded(other, *finer)) == order).unwrap_or(0);
        [one, other].map(|value| self.show_finely(value, finer))
    }

    /// The fewest digits beyond the usual ones with which what is written is as it must be; as usual if none will do.
    fn digits(self, value: f64, is_right: impl Fn(f64) -> bool) -> usize {
        let (written, decimals) = (self.written(value), self.decimals(value));
        (0..MOST_FINER).find(|finer| is_right(self.rounded(written, decimals + finer))).unwrap_or(0)
    }

    /// The number that is written, in the unit in which it is written.
    fn written(self, value: f64) -> f64 {
        match self {
            Self::Minutes => times(value, 60.0),
            Self::Ratio => times(value, 100.0),
            Self::Seconds | Self::UserMinutes | Self::Count | Self::ReplicaHours | Self::Factor => value,
        }
    }

    /// Decimal places with which a figure is usually written.
    fn decimals(self, value: f64) -> usize {
        let magnitude = self.written(value).abs();
        match self {
            // Tenths matter below two minutes, nothing finer ever does: bins are 10 s long.
            Self::Seconds | Self::Minutes => usize::from(magnitude < 120.0),
            _ if magnitude >= 100.0 || libm::round(magnitude) == magnitude => 0,
            _ if magnitude >= 10.0 => 1,
            _ if magnitude >= 1.0 => 2,
            _ => 3,
        }
    }

    fn show_finely(self, value: f64, finer: usize) -> String {
        let (written, decimals) = (self.written(value), self.decimals(value) + finer);
        match self {
            Self::Seconds | Self::Minutes => {
                let rounded = self.rounded(written, decimals);
                format!("{}{}", if rounded < 0.0 { "-" } else { "" }, Span::from_seconds_f64(rounded.abs()))
            }
            _ => self.with_its_sign(&decimal(written, decimals)),
        }
    }

    /// A number that is written, with what says what it counts.
    fn with_its_sign(self, number: &str) -> String {
        match self {
            Self::Seconds | Self::Minutes => format!("{number}s"),
            Self::UserMinutes => format!("{number} user-min"),
            Self::ReplicaHours => format!("{number} replica-h"),
            Self::Ratio => format!("{number} %"),
            Self::Count => number.to_owned(),
            Self::Factor => format!("x{number}"),
        }
    }

    /// The number that is read where so many decimal places are written.
    fn rounded(self, written: f64, decimals: usize) -> f64 {
        match self {
            Self::Seconds | Self::Minutes => round_to(written, decimals),
            _ => format!("{written:.decimals$}").parse().unwrap_or(written),
        }
    }

    /// What a change of units adds in the last places is no digit of anybody's.
    fn without_noise(value: f64) -> f64 {
        round_to(value, MOST_FINER)
    }
}

/// A span has nanoseconds, and beyond that nobody reads digits.
const MOST_FINER: usize = 9;

/// So many times a value, such that it is the value again when it is divided: without what the change of units adds in the last places.
pub(super) fn times(value: f64, factor: f64) -> f64 {
    let exact = value * factor;
    let near = [round_to(exact, MOST_FINER), exact, exact.next_up(), exact.next_down()];
    near.into_iter().find(|own| own / factor == value).unwrap_or(exact)
}

fn round_to(value: f64, decimals: usize) -> f64 {
    let scale = (0..decimals).fold(1.0, |scale, _| scale * 10.0);
    let rounded = libm::round(value * scale) / scale;
    if rounded.is_finite() { rounded } else { value }
}

/// Three significant digits below a thousand, whole numbers with a comma for thousands above.
pub(crate) fn significant(value: f64) -> String {
    Unit::Count.show(value)
}

/// Of what is larger nobody counts the digits.
const ASTRONOMIC: f64 = 1e15;

/// A number with at most so many decimal places, and commas for thousands.
fn decimal(value: f64, decimals: usize) -> String {
    if value.abs() >= ASTRONOMIC {
        return format!("{value:.2e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, places) = text.split_once('.').map_or((text, String::new()), |(whole, places)| (whole, format!(".{places}")));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    let sign = if value < 0.0 && text != "0" { "-" } else { "" };
    format!("{sign}{whole}{places}")
}

/// Measures of what is left undone, of what happens anyway, and of what people are asked: a policy that may do little comes off badly in them, and does
/// nothing wrong by that.
const OF_OMISSIONS: [&str; 14] = [
    "time_to_detect",
    "time_to_mitigate",
    "time_to_recover",
    "recurrence",
    "user_minutes_lost",
    "benefit",
    OVER_HUMAN,
    "data_lost",
    "regret",
    "false_alarms",
    "missed",
    "pages",
    "needless_pages",
    "toil",
];

type Figure = fn(&Outcome) -> Option<Sample>;

struct Entry {
    word: &'static str,
    unit: Unit,
    /// Whether more of it is better.
    gain: bool,
    figure: Figure,
}

const fn cost(word: &'static str, unit: Unit, figure: Figure) -> Entry {
    Entry { word, unit, gain: false, figure }
}

fn count(value: u64) -> Option<Sample> {
    Some(Sample::from(value as f64))
}

/// What the policy is worth beyond a person on call; it needs their arm.
const OVER_HUMAN: &str = "benefit_over_human";

/// Every measure. The words are the paths of the figures in an outcome's JSON.
static MEASURES: [Entry; 38] = [
    cost("time_to_detect", Unit::Seconds, |o| o.time_to_detect.map(Sample::from)),
    cost("time_to_mitigate", Unit::Seconds, |o| o.time_to_mitigate.map(Sample::from)),
    cost("time_to_recover", Unit::Seconds, |o| o.time_to_recover.map(Sample::from)),
    cost("recurrence", Unit::Count, |o| count(o.recurrence)),
    cost("user_minutes_lost", Unit::UserMinutes, |o| Some(o.user_minutes_lost.into())),
    Entry { word: "benefit", unit: Unit::UserMinutes, gain: true, figure: |o| Some(o.benefit.into()) },
    Entry { word: OVER_HUMAN, unit: Unit::UserMinutes, gain: true, figure: |o| o.benefit_over_human.map(Sample::from) },
    cost("harm", Unit::UserMinutes, |o| Some(o.harm.into())),
    cost("data_lost", Unit::Count, |o| count(o.data_lost)),
    cost("data_harm", Unit::Count, |o| count(o.data_harm)),
    cost("regret", Unit::UserMinutes, |o| o.regret.map(Sample::from)),
    cost("requests_harmed", Unit::Count, |o| count(o.requests_harmed)),
    cost("unmatched", Unit::Count, |o| count(o.unmatched)),
    cost("actions", Unit::Count, |o| count(o.actions)),
    cost("false_positives", Unit::Count, |o| count(o.false_positives)),
    cost("wrong_target", Unit::Count, |o| count(o.wrong_target)),
    cost("duplicate", Unit::Count, |o| count(o.duplicate)),
    cost("false_positive_rate", Unit::Ratio, |o| o.false_positive_rate.map(Sample::from)),
    cost("noop_false_positives", Unit::Count, |o| o.noop_false_positives.and_then(count)),
    cost("false_alarms", Unit::Count, |o| count(o.false_alarms)),
    cost("missed", Unit::Count, |o| count(o.missed)),
    cost("blast_radius.services", Unit::Ratio, |o| Some(o.blast_radius.services.ratio().into())),
    cost("blast_radius.replicas", Unit::Ratio, |o| Some(o.blast_radius.replicas.ratio().into())),
    cost("blast_radius.requests", Unit::Ratio, |o| Some(o.blast_radius.requests.ratio().into())),
    cost("blast_radius.commanded_service", Unit::Ratio, |o| Some(o.blast_radius.commanded_service.into())),
    cost("blast_radius.commanded_zone", Unit::Ratio, |o| Some(o.blast_radius.commanded_zone.into())),
    cost("blast_radius.commanded_fleet", Unit::Ratio, |o| Some(o.blast_radius.commanded_fleet.into())),
    cost("capacity_removed", Unit::Ratio, |o| Some(o.capacity_removed.into())),
    cost("capacity_added", Unit::ReplicaHours, |o| Some(o.capacity_added.into())),
    cost("flapping", Unit::Count, |o| count(o.flapping)),
    cost("fights", Unit::Count, |o| count(o.fights.len() as u64)),
    cost("conflicts", Unit::Count, |o| count(o.conflicts.len() as u64)),
    cost("amplification", Unit::Factor, |o| o.amplification.map(Sample::from)),
    cost("pages", Unit::Count, |o| count(o.pages)),
    cost("needless_pages", Unit::Count, |o| count(o.needless_pages)),
    cost("toil", Unit::Minutes, |o| Some(o.toil.into())),
    cost("time_to_undo", Unit::Seconds, |o| o.time_to_undo.map(Sample::from)),
    cost("safety_violations", Unit::Count, |o| count(o.safety_violations.len() as u64)),
];

/// One of the measures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure(usize);

impl Measure {
    /// The measure with this word; `None` if there is none.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        MEASURES.iter().position(|entry| entry.word == word).map(Self)
    }

    /// The measure with a word that we wrote ourselves.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn known(word: &str) -> Self {
        Self::named(word).expect("a word of ours names a measure")
    }

    /// All measures in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..MEASURES.len()).map(Self)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        MEASURES[self.0].word
    }

    /// Its unit.
    #[must_use]
    pub fn unit(self) -> Unit {
        MEASURES[self.0].unit
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn is_gain(self) -> bool {
        MEASURES[self.0].gain
    }

    /// Whether it speaks of the person on call, whose arm is then needed.
    #[must_use]
    pub fn needs_human(self) -> bool {
        self.word() == OVER_HUMAN
    }

    /// Whether it speaks of nothing but what policies do, so that one that does nothing at all has none of it.
    #[must_use]
    pub fn is_of_deeds(self) -> bool {
        !OF_OMISSIONS.contains(&self.word())
    }

    /// Its figure in one run; `None` if the run has none, such as a time to recover without a fault.
    #[must_use]
    pub fn figure(self, outcome: &Outcome) -> Option<Sample> {
        (MEASURES[self.0].figure)(outcome)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Measure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::named(&word).ok_or_else(|| serde::de::Error::custom(format!("`{word}` is no measure")))
    }
}

/// One measure over the runs of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureSummary {
    /// Which measure.
    pub measure: Measure,
    /// Its unit; figures are in it.
    pub unit: Unit,
    /// Its distribution.
    pub summary: Summary,
}

/// All measures over the runs of a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// The class; `None` for all classes pooled.
    pub class: Option<Name>,
    /// How many runs.
    pub runs: u64,
    /// In the order asked for; measures that no run has are left out.
    pub measures: Vec<MeasureSummary>,
}

impl ClassSummary {
    /// The summary of one measure; `None` if no run has it.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<&Summary> {
        self.measures.iter().find(|row| row.measure == measure).map(|row| &row.summary)
    }
}

/// Summarises measures of runs by class, sorted by name, and pooled last. The seed is that of the intervals' resampling.
#[must_use]
pub fn summarise(cases: &[Case], measures: &[Measure], seed: u64) -> Vec<ClassSummary> {
    let mut classes: BTreeMap<&Name, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        classes.entry(&case.class).or_default().push(case);
    }
    let mut summaries: Vec<ClassSummary> =
        classes.iter().map(|(class, cases)| summary(Some((*class).clone()), cases, measures, seed)).collect();
    summaries.push(summary(None, &cases.iter().collect::<Vec<_>>(), measures, seed));
    summaries
}

fn summary(class: Option<Name>, cases: &[&Case], measures: &[Measure], seed: u64) -> ClassSummary {
    let measures = measures.iter().filter_map(|&measure| {
        let samples: Vec<Sample> = cases.iter().filter_map(|case| measure.figure(&case.outcome)).collect();
        Some(MeasureSummary { measure, unit: measure.unit(), summary: Summary::of(&samples, seed)? })
    });
    ClassSummary { class, runs: cases.len() as u64, measures: measures.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_measure_is_found_by_its_word_and_stands_in_the_json_under_it() {
        let outcome = sample::storm_outcome();
        let json = serde_json::to_value(&outcome).unwrap();
        for measure in Measure::all() {
            assert_eq!(Measure::named(measure.word()), Some(measure));
            let pointer = format!("/{}", measure.word().replace('.', "/"));
            assert!(json.pointer(&pointer).is_some(), "{measure}");
        }
        assert_eq!(Measure::named("mttr"), None);
    }

    #[test]
    fn figures_read_as_people_write_them() {
        let show = |unit: Unit, value| unit.show(value);
        assert_eq!(show(Unit::Seconds, 92.34), "1m32.3s");
        assert_eq!(show(Unit::Seconds, 600.0), "10m");
        assert_eq!(show(Unit::Seconds, 0.0), "0s");
        assert_eq!(show(Unit::Ratio, 0.0123), "1.23 %");
        assert_eq!(show(Unit::UserMinutes, 1_234_567.8), "1,234,568 user-min");
        assert_eq!(show(Unit::UserMinutes, -12.34), "-12.3 user-min");
        assert_eq!(show(Unit::Count, 3.0), "3");
        assert_eq!(show(Unit::Minutes, 30.0), "30m");
        assert_eq!(show(Unit::Factor, 2.5), "x2.5");
        assert_eq!(show(Unit::Count, 0.0004), "0");
    }

    #[test]
    fn a_figure_beside_its_limit_shows_on_which_side_it_lies() {
        let beside = |unit: Unit, value, limit| unit.show_beside(value, limit);
        assert_eq!(beside(Unit::UserMinutes, 1.0004, 1.0), "1.0004 user-min");
        assert_eq!(beside(Unit::UserMinutes, 0.99996, 1.0), "0.99996 user-min");
        assert_eq!(beside(Unit::UserMinutes, 5.004, 5.002), "5.004 user-min", "and not 5, which would be less");
        assert_eq!(beside(Unit::UserMinutes, 1234.56, 1234.6), "1,234.56 user-min");
        assert_eq!(beside(Unit::UserMinutes, 82.0, 1.0), "82 user-min", "no more digits than it takes");
        assert_eq!(beside(Unit::Seconds, 300.2, 300.0), "5m0.2s");
        assert_eq!(beside(Unit::Ratio, 0.020_001, 0.02), "2.0001 %");
        assert_eq!(beside(Unit::Ratio, 0.07, 0.07), "7 %", "7 % are not more than 7 %");
        assert_eq!(beside(Unit::Count, 0.0, 0.0), "0");
        assert_eq!(Unit::UserMinutes.show_limit(0.0004), "0.0004 user-min");
        assert_eq!(Unit::Ratio.show_limit(0.07), "7 %");
        assert_eq!(Unit::Seconds.show_limit(300.25), "5m0.25s");
        assert_eq!(Unit::UserMinutes.show_both([1.0041, 1.0042]), ["1.0041 user-min", "1.0042 user-min"]);
        assert_eq!(Unit::UserMinutes.show_both([1249.2, 4900.0]), ["1,249 user-min", "4,900 user-min"]);
        assert_eq!(Unit::UserMinutes.show_both([2.0, 2.0]), ["2 user-min", "2 user-min"]);
    }

    #[test]
    fn runs_are_summarised_by_class_and_pooled() {
        let case = |class: &str| Case { class: Name::new(class), outcome: sample::storm_outcome() };
        let summaries = summarise(&[case("storm"), case("storm"), case("calm")], &Measure::all().collect::<Vec<_>>(), 1);
        let classes: Vec<_> = summaries.iter().map(|summary| (summary.class.as_deref(), summary.runs)).collect();
        assert_eq!(classes, [(Some("calm"), 1), (Some("storm"), 2), (None, 3)]);
        assert!(summaries[0].measures.iter().all(|row| row.measure.word() != "noop_false_positives"), "there was a fault");
    }
}
