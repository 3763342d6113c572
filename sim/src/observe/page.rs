//! The series that one source of samples exposes, in a fixed order, each looked up once.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::store::{STALE, SeriesId, Store};

/// No moment of a scrape: at it every line that a source can ever have is named, and none gets a sample.
pub(super) const DECLARATION: i64 = i64::MIN;

/// The series of a source, by their place in its order of writing.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    lines: Vec<Line>,
    /// The metrics that are written; `None`: all.
    only: Option<Arc<BTreeSet<Name>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// `None` until the first sample.
    series: Option<SeriesId>,
    /// Whether the last scrape had a sample, so that its absence needs a marker.
    live: bool,
    /// Whether its metric is none of those that are written.
    muted: bool,
}

impl Page {
    /// A page that writes these metrics alone.
    pub(super) fn only(metrics: Arc<BTreeSet<Name>>) -> Self {
        Self { lines: Vec::new(), only: Some(metrics) }
    }

    /// Ends all series: the source does not answer, or is gone.
    pub(super) fn silence(&mut self, store: &mut Store, at_ms: i64) {
        for line in &mut self.lines {
            line.end(store, at_ms);
        }
    }

    /// Forgets which series go on: nobody will mark the end of those that are not there when the source is scraped next.
    pub(super) fn forget(&mut self) {
        self.lines.iter_mut().for_each(|line| line.live = false);
    }

    /// Shows once more what it showed last.
    pub(super) fn repeat(&self, store: &mut Store, at_ms: i64) {
        for line in self.lines.iter().filter(|line| line.live) {
            let Some(series) = line.series else { continue };
            if let Some(value) = store.values(series).last().copied() {
                write(store, series, at_ms, value);
            }
        }
    }

    /// The series that have been written at some time.
    pub(super) fn series(&self) -> impl Iterator<Item = SeriesId> {
        self.lines.iter().filter_map(|line| line.series)
    }
}

impl Line {
    fn end(&mut self, store: &mut Store, at_ms: i64) {
        if let (Some(series), true) = (self.series, self.live) {
            write(store, series, at_ms, STALE);
            self.live = false;
        }
    }
}

/// Writes one scrape of a page, line by line. Every scrape puts the same lines in the same order, absent ones as `None`.
pub(super) struct Sheet<'a> {
    store: &'a mut Store,
    page: &'a mut Page,
    next: usize,
    at_ms: i64,
}

impl<'a> Sheet<'a> {
    pub(super) const fn new(store: &'a mut Store, page: &'a mut Page, at_ms: i64) -> Self {
        Self { store, page, next: 0, at_ms }
    }

    /// The next line: a sample, or none. The labels are asked for at the first sample only.
    pub(super) fn put(&mut self, value: Option<f64>, labels: impl Fn() -> Labels) {
        if self.next == self.page.lines.len() {
            let is_wanted = |only: &BTreeSet<Name>| labels().metric_name().is_some_and(|metric| only.contains(metric));
            // What nobody reads is not written down.
            let bounds = [self.page.only.as_deref(), self.store.read().map(Arc::as_ref)];
            let muted = bounds.into_iter().flatten().any(|only| !is_wanted(only));
            self.page.lines.push(Line { muted, ..Line::default() });
        }
        let line = &mut self.page.lines[self.next];
        self.next += 1;
        if line.muted {
            return;
        }
        if self.at_ms == DECLARATION {
            self.store.series(&labels());
            return;
        }
        let Some(value) = value else {
            line.end(self.store, self.at_ms);
            return;
        };
        let series = *line.series.get_or_insert_with(|| self.store.series(&labels()));
        line.live = true;
        write(self.store, series, self.at_ms, value);
    }
}

/// Adds a sample. Of two samples of one series in one scrape the first stands, as in Prometheus: a service's own metric may repeat a standard one.
pub(super) fn write(store: &mut Store, series: SeriesId, at_ms: i64, value: f64) {
    let _second_is_dropped = store.append(series, at_ms, value);
}
