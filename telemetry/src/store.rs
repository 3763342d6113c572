//! Columns of samples by series, and the index that finds series by label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;

use crate::labels::{Labels, MatchOp, Matcher};

/// The marker that ends a series: a NaN with exactly these bits, as Prometheus writes it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the staleness marker and no ordinary NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// A series within one store and its clones; counts up from 0 in the order of birth and never leaves the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// A sample that was refused; the store is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sample at {at_ms} ms is not newer than the last one of its series at {last_ms} ms")]
pub struct NotNewer {
    /// The time of the refused sample, milliseconds since 1970.
    pub at_ms: i64,
    /// The time of the newest sample of the series, milliseconds since 1970.
    pub last_ms: i64,
}

/// Series of float samples with millisecond times.
///
/// Cloning copies one pointer a series and shares all samples; a column is copied when one of the clones first writes to it. So a run that
/// branches pays for what it goes on to write, not for its history.
#[derive(Debug, Clone, Default)]
pub struct Store {
    series: Vec<Series>,
    index: Arc<Index>,
    generation: u64,
    version: u64,
    /// The metrics that somebody reads; `None`: all.
    read: Option<Arc<BTreeSet<Name>>>,
}

/// The samples of one series, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'store> {
    /// Milliseconds since 1970, strictly increasing.
    pub times: &'store [i64],
    /// As many as there are times.
    pub values: &'store [f64],
    /// From this index on there is no staleness marker.
    pub stale_before: usize,
    /// From this index on no value is smaller than the one before it, this one's predecessor left out.
    pub fell_at: usize,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// The same store, of which nobody reads other metrics than these: whoever writes may leave the others out.
    pub fn read_for(self, metrics: Arc<BTreeSet<Name>>) -> Store {
        Store { read: Some(metrics), ..self }
    }

    /// The metrics that somebody reads; `None`: all.
    pub fn read(&self) -> Option<&Arc<BTreeSet<Name>>> {
        self.read.as_ref()
    }

    /// The series with exactly these labels, born empty if it is not there yet. Keep the id: looking it up compares strings.
    pub fn series(&mut self, labels: &Labels) -> SeriesId {
        if let Some(id) = self.find(labels) {
            return id;
        }
        let id = SeriesId(u32::try_from(self.series.len()).expect("fewer than 2^32 series"));
        Arc::make_mut(&mut self.index).add(labels, id);
        self.generation = chained(self.generation, labels);
        self.series.push(Series { labels: labels.clone(), column: Arc::default(), born: self.generation });
        id
    }

    /// The series with exactly these labels, if it is there.
    pub fn find(&self, labels: &Labels) -> Option<SeriesId> {
        self.index.by_labels.get(labels).copied()
    }

    /// Adds a sample at `at_ms` milliseconds since 1970. [`STALE`] ends the series until its next sample.
    ///
    /// # Errors
    /// The series has a sample at this time or later: times of one series increase strictly.
    pub fn append(&mut self, id: SeriesId, at_ms: i64, value: f64) -> Result<(), NotNewer> {
        let series = &mut self.series[id.0 as usize];
        if let Some(&last_ms) = series.column.times.last()
            && last_ms >= at_ms
        {
            return Err(NotNewer { at_ms, last_ms });
        }
        let column = Arc::make_mut(&mut series.column);
        if column.values.last().is_some_and(|last| value < *last) {
            column.fell_at = column.values.len();
        }
        column.times.push(at_ms);
        column.values.push(value);
        if is_stale(value) {
            column.stale_before = column.values.len();
        }
        self.version = mixed(self.version ^ u64::from(id.0), (at_ms as u64).rotate_left(32) ^ value.to_bits());
        Ok(())
    }

    /// Takes the last sample of a series back if it is of this instant: what was scraped is altered before anybody can have read it.
    pub fn take_back(&mut self, id: SeriesId, at_ms: i64) -> Option<f64> {
        let series = &mut self.series[id.0 as usize];
        if series.column.times.last() != Some(&at_ms) {
            return None;
        }
        let column = Arc::make_mut(&mut series.column);
        column.times.pop();
        let value = column.values.pop();
        let count = column.values.len();
        if column.stale_before > count {
            column.stale_before = column.values.iter().rposition(|value| is_stale(*value)).map_or(0, |index| index + 1);
        }
        if column.fell_at >= count {
            column.fell_at = column.values.windows(2).rposition(|pair| pair[1] < pair[0]).map_or(0, |index| index + 1);
        }
        column.forgotten = column.forgotten.min(count);
        self.version = mixed(self.version ^ u64::from(id.0), !(at_ms as u64));
        value
    }

    /// The series that satisfy all matchers, sorted by label bytes. No matcher at all selects every series.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        let mut found = match self.narrowest(matchers) {
            Some(candidates) => candidates,
            None => (0..self.series.len() as u32).map(SeriesId).collect(),
        };
        found.retain(|id| matchers.iter().all(|matcher| matcher.matches_labels(self.labels(*id))));
        found.sort_unstable_by(|left, right| self.labels(*left).cmp(self.labels(*right)));
        found
    }

    /// The times of a series' samples, milliseconds since 1970, strictly increasing; as many as [`Store::values`].
    pub fn times(&self, id: SeriesId) -> &[i64] {
        let column = &self.series[id.0 as usize].column;
        &column.times[column.forgotten..]
    }

    /// The values of a series' samples, oldest first.
    pub fn values(&self, id: SeriesId) -> &[f64] {
        let column = &self.series[id.0 as usize].column;
        &column.values[column.forgotten..]
    }

    /// Times and values of a series at once.
    #[inline]
    pub fn samples(&self, id: SeriesId) -> Samples<'_> {
        let column = &*self.series[id.0 as usize].column;
        let forgotten = column.forgotten;
        Samples {
            times: &column.times[forgotten..],
            values: &column.values[forgotten..],
            stale_before: column.stale_before.saturating_sub(forgotten),
            fell_at: column.fell_at.saturating_sub(forgotten),
        }
    }

    /// The labels of a series.
    pub fn labels(&self, id: SeriesId) -> &Labels {
        &self.series[id.0 as usize].labels
    }

    /// All series in the order of their labels.
    pub fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.index.by_labels.values().copied()
    }

    /// The series that were born after so many others, in the order of birth.
    pub fn ids_from(&self, count: usize) -> impl Iterator<Item = SeriesId> + use<> {
        (count as u32..self.series.len() as u32).map(SeriesId)
    }

    /// The values that a label takes, in order of their bytes.
    pub fn label_values<'store>(&'store self, name: &str) -> impl Iterator<Item = &'store str> {
        self.index.by_label.get(name).into_iter().flat_map(|values| values.keys().map(|value| &**value))
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Changes whenever a series is born. It chains the labels of all births, so that two stores of one generation have the same series under
    /// the same ids, also when they are clones that grew apart and together again.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What [`Store::generation`] was when there were so many series; `None` if there never were.
    pub fn generation_of(&self, count: usize) -> Option<u64> {
        match count.checked_sub(1) {
            None => Some(0),
            Some(last) => self.series.get(last).map(|series| series.born),
        }
    }

    /// Changes whenever a sample is added or forgotten: a digest of all that was, so that two stores of one generation and version hold the same.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Forgets all samples before `at_ms`; the series themselves stay, so that ids and the generation hold.
    pub fn forget_before(&mut self, at_ms: i64) {
        self.version = mixed(self.version, at_ms as u64);
        for series in &mut self.series {
            let column = &series.column;
            let forgotten = column.times.partition_point(|time| *time < at_ms);
            // Moving samples costs their number, so it waits until it frees more than it moves.
            if forgotten > column.forgotten && forgotten * 2 > column.times.len() {
                let column = Arc::make_mut(&mut series.column);
                column.times.drain(..forgotten);
                column.values.drain(..forgotten);
                column.stale_before = column.stale_before.saturating_sub(forgotten);
                column.fell_at = column.fell_at.saturating_sub(forgotten);
                column.forgotten = 0;
            } else if forgotten > column.forgotten {
                Arc::make_mut(&mut series.column).forgotten = forgotten;
            }
        }
    }

    /// The shortest list of series that the index can give for one of the matchers; `None` if each matcher admits absent labels.
    fn narrowest(&self, matchers: &[Matcher]) -> Option<Vec<SeriesId>> {
        let by_value = |matcher: &Matcher| self.index.by_label.get(&matcher.name);
        let equal = matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal) && !matcher.value.is_empty());
        let postings = equal.map(|matcher| by_value(matcher).and_then(|values| values.get(&matcher.value)));
        if let Some(shortest) = postings.min_by_key(|postings| postings.map_or(0, Vec::len)) {
            return Some(shortest.cloned().unwrap_or_default());
        }
        let matcher = matchers.iter().find(|matcher| !matcher.matches(""))?;
        let accepted = by_value(matcher).into_iter().flatten().filter(|(value, _)| matcher.matches(value));
        Some(accepted.flat_map(|(_, postings)| postings.iter().copied()).collect())
    }
}

#[derive(Debug, Clone)]
struct Series {
    labels: Labels,
    column: Arc<Column>,
    /// The store's generation right after its birth.
    born: u64,
}

/// The samples of one series. Callers see times and values as two slices, so that a scrape's targets may come to share one column of times.
#[derive(Debug, Clone, Default)]
struct Column {
    times: Vec<i64>,
    values: Vec<f64>,
    /// How many samples at the front are forgotten but not freed yet.
    forgotten: usize,
    /// One more than the index of the newest staleness marker; 0: there was none.
    stale_before: usize,
    /// The index of the newest value that is smaller than the one before it; 0: there was none.
    fell_at: usize,
}

#[derive(Debug, Clone, Default)]
struct Index {
    by_labels: BTreeMap<Labels, SeriesId>,
    by_label: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<SeriesId>>>,
}

impl Index {
    fn add(&mut self, labels: &Labels, id: SeriesId) {
        self.by_labels.insert(labels.clone(), id);
        for (name, value) in labels.iter() {
            self.by_label.entry(name.clone()).or_default().entry(value.clone()).or_default().push(id);
        }
    }
}

/// Chains a word into a digest.
fn mixed(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Chains a label set into a 64-bit digest: FNV-1a over the bytes, with lengths so that no two sets read alike.
fn chained(digest: u64, labels: &Labels) -> u64 {
    let mut hash = digest ^ 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    eat(&(labels.len() as u64).to_le_bytes());
    for (name, value) in labels.iter() {
        eat(&(name.len() as u64).to_le_bytes());
        eat(name.as_bytes());
        eat(&(value.len() as u64).to_le_bytes());
        eat(value.as_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{parse_matchers, parse_series};
    use proptest::prelude::*;

    fn store(series: &[&str]) -> Store {
        let mut store = Store::new();
        for text in series {
            store.series(&parse_series(text).expect("a series"));
        }
        store
    }

    #[track_caller]
    fn check_select(matchers: &str, expected: &[&str]) {
        let store = store(&[r#"up{job="b",pod="2"}"#, r#"up{job="a",pod="1"}"#, r#"up{job="a"}"#, r#"down{job="a"}"#, r#"down{job="ab"}"#]);
        let matchers = parse_matchers(matchers).expect("matchers");
        let found: Vec<String> = store.select(&matchers).iter().map(|id| store.labels(*id).to_string()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn selection_is_by_all_matchers_and_sorted_by_label_bytes() {
        check_select(r#"__name__="up""#, &[r#"up{job="a"}"#, r#"up{job="a", pod="1"}"#, r#"up{job="b", pod="2"}"#]);
        check_select(r#"job="a",__name__="down""#, &[r#"down{job="a"}"#]);
        check_select(r#"job=~"a|b",pod!="""#, &[r#"up{job="a", pod="1"}"#, r#"up{job="b", pod="2"}"#]);
        check_select(r#"job=~"a.*",pod="""#, &[r#"down{job="a"}"#, r#"down{job="ab"}"#, r#"up{job="a"}"#]);
        check_select(r#"job!~"a.*""#, &[r#"up{job="b", pod="2"}"#]);
        check_select(r#"job="none""#, &[]);
        check_select(r#"none=~".+""#, &[]);
        check_select(r#"none="",__name__!="up""#, &[r#"down{job="a"}"#, r#"down{job="ab"}"#]);
    }

    proptest! {
        /// What is taken back is as if it had never been there, also for those who look at where values fell and series ended.
        #[test]
        fn a_sample_that_is_taken_back_was_never_there(values in prop::collection::vec(0_u8..5, 0..12), last in 0_u8..5) {
            let value = |code: u8| if code == 4 { STALE } else { f64::from(code) };
            let (mut plain, mut other) = (store(&["a"]), store(&["a"]));
            let id = SeriesId(0);
            for (index, code) in values.iter().enumerate() {
                plain.append(id, index as i64, value(*code)).expect("newer");
                other.append(id, index as i64, value(*code)).expect("newer");
            }
            let now = values.len() as i64;
            prop_assert_eq!(other.take_back(id, now), None);
            other.append(id, now, value(last)).expect("newer");
            let before = other.version();
            prop_assert_eq!(other.take_back(id, now).map(f64::to_bits), Some(value(last).to_bits()));
            prop_assert_ne!(other.version(), before);
            let (left, right) = (plain.samples(id), other.samples(id));
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!((left.times, left.stale_before, left.fell_at), (right.times, right.stale_before, right.fell_at));
            prop_assert_eq!(bits(left.values), bits(right.values));
        }
    }

    #[test]
    fn a_sample_that_is_not_newer_is_refused_and_changes_nothing() {
        let mut store = Store::new();
        let id = store.series(&Labels::named("up", &[]));
        assert_eq!(store.append(id, 10, 1.0), Ok(()));
        assert_eq!(store.append(id, 10, 2.0), Err(NotNewer { at_ms: 10, last_ms: 10 }));
        assert_eq!(store.append(id, 9, 2.0), Err(NotNewer { at_ms: 9, last_ms: 10 }));
        assert_eq!((store.times(id), store.values(id)), (&[10][..], &[1.0][..]));
    }

    #[test]
    fn the_staleness_marker_is_told_from_other_nans() {
        assert!(is_stale(STALE) && STALE.is_nan());
        assert!(!is_stale(f64::NAN) && !is_stale(0.0));
    }

    #[test]
    fn a_clone_shares_history_and_then_goes_its_own_way() {
        let mut trunk = store(&["up"]);
        let id = SeriesId(0);
        trunk.append(id, 1, 1.0).expect("newer");
        let mut branch = trunk.clone();
        assert_eq!(branch.times(id).as_ptr(), trunk.times(id).as_ptr());
        branch.append(id, 2, 2.0).expect("newer");
        let born = branch.series(&Labels::named("born", &[]));
        assert_eq!((trunk.times(id), branch.times(id)), (&[1][..], &[1, 2][..]));
        assert_eq!((trunk.len(), branch.len(), born), (1, 2, SeriesId(1)));
    }

    #[test]
    fn generations_agree_exactly_when_births_do() {
        let (one, two) = (store(&["a", "b"]), store(&["a", "b"]));
        assert_eq!(one.generation(), two.generation());
        assert_ne!(one.generation(), store(&["b", "a"]).generation());
        assert_ne!(one.generation(), store(&["a"]).generation());
        assert_ne!(store(&["a"]).generation(), Store::new().generation());
        let mut again = one.clone();
        again.series(&Labels::named("a", &[]));
        assert_eq!(again.generation(), one.generation());
    }

    #[test]
    fn versions_agree_exactly_when_samples_do() {
        let filled = |samples: &[(i64, f64)]| {
            let mut store = store(&["a"]);
            for (at_ms, value) in samples {
                store.append(SeriesId(0), *at_ms, *value).expect("newer");
            }
            store
        };
        let one = filled(&[(1, 1.0), (2, 2.0)]);
        assert_eq!(one.version(), filled(&[(1, 1.0), (2, 2.0)]).version());
        assert_ne!(one.version(), filled(&[(1, 1.0), (2, 3.0)]).version());
        assert_ne!(one.version(), filled(&[(1, 1.0), (3, 2.0)]).version());
        assert_ne!(one.version(), filled(&[(1, 1.0)]).version());
        assert_eq!((one.generation_of(0), one.generation_of(1), one.generation_of(2)), (Some(0), Some(one.generation()), None));
    }

    #[test]
    fn the_newest_marker_and_the_newest_fall_are_known_also_after_forgetting() {
        let mut store = store(&["a"]);
        let told = |store: &Store| (store.samples(SeriesId(0)).stale_before, store.samples(SeriesId(0)).fell_at);
        assert_eq!(told(&store), (0, 0));
        for (at_ms, value) in [1.0, 2.0, STALE, 1.5, 3.0, 0.0, 0.0, f64::NAN, 1.0].into_iter().enumerate() {
            store.append(SeriesId(0), at_ms as i64, value).expect("newer");
        }
        assert_eq!(told(&store), (3, 5));
        store.forget_before(2);
        assert_eq!((store.values(SeriesId(0)).len(), told(&store)), (7, (1, 3)));
        store.forget_before(6);
        assert_eq!((store.values(SeriesId(0)).len(), told(&store)), (3, (0, 0)));
    }

    proptest! {
        #[test]
        fn forgetting_leaves_exactly_the_samples_from_that_time_on(
            gaps in prop::collection::vec(1_i64..50, 0..60),
            cuts in prop::collection::vec(0_i64..2_000, 1..5),
        ) {
            let mut store = store(&["a"]);
            let id = SeriesId(0);
            let mut expected = Vec::new();
            let mut at_ms = 0;
            for gap in gaps {
                at_ms += gap;
                store.append(id, at_ms, at_ms as f64).expect("newer");
                expected.push(at_ms);
            }
            for cut in cuts {
                store.forget_before(cut);
                expected.retain(|time| *time >= cut);
                prop_assert_eq!(store.times(id), &expected[..]);
                prop_assert_eq!(store.values(id).len(), expected.len());
            }
        }
    }
}
