//! How users fared over time: the share of bad requests in each bin, and the minutes lost.

use firedrill_core::ledger::{BIN, ClientLedger, Ledger, RequestOutcome};
use firedrill_core::time::{Span, Time};

use super::OutcomeSettings;

/// Requests that arrived in one bin and could be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bin {
    judged: u64,
    bad: u64,
}

/// All clients' requests in bins of [`BIN`], by arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct UserSeries {
    bins: Vec<Bin>,
    minutes_lost: Vec<f64>,
    least: u64,
    reach: usize,
    judged_until: Time,
}

impl UserSeries {
    /// The series of a run.
    #[must_use]
    pub fn of(ledger: &Ledger, settings: &OutcomeSettings) -> Self {
        let count = ledger.ended.as_nanos().div_ceil(BIN.as_nanos()) as usize;
        // Half of what may be borrowed lies on each side.
        let reach = (settings.borrow.as_nanos() / BIN.as_nanos() / 2) as usize;
        let mut series = Self {
            bins: vec![Bin::default(); count],
            minutes_lost: vec![0.0; count],
            least: settings.least_requests,
            reach,
            judged_until: ledger.ended,
        };
        for client in &ledger.clients {
            series.judged_until = series.judged_until.min(judged_until(client, ledger.ended));
            let bins = client_bins(client, ledger.ended, count);
            for (bin, own) in bins.iter().enumerate() {
                series.bins[bin].judged += own.judged;
                series.bins[bin].bad += own.bad;
                series.minutes_lost[bin] += minutes_lost(client, &bins, bin, &series);
            }
        }
        series
    }

    /// Until when every request that arrived can be judged: the start of the first bin whose requests may still be answered in time.
    #[must_use]
    pub const fn judged_until(&self) -> Time {
        self.judged_until
    }

    /// How many bins the run has; the last may be cut short.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Whether the run had no time at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The share of bad requests in a bin, 0 to 1.
    ///
    /// A bin with too few requests borrows its neighbours, one on each side at a time; `None` if that does not suffice.
    /// Requests too young to be judged at the end of the run do not count.
    #[must_use]
    pub fn bad_share(&self, bin: usize) -> Option<f64> {
        let pool = pooled(&self.bins, bin, self.least, self.reach);
        (pool.judged >= self.least).then(|| pool.bad as f64 / pool.judged as f64)
    }

    /// Whether a request of this bin itself was bad, whatever its neighbours say.
    #[must_use]
    pub fn has_bad(&self, bin: usize) -> bool {
        self.bins.get(bin).is_some_and(|bin| bin.bad > 0)
    }

    /// How long the bins are together that [`UserSeries::bad_share`] tells of.
    #[must_use]
    pub fn span_told(&self, bin: usize) -> Span {
        let told = (bin.saturating_sub(self.reach_of(bin))..(bin + self.reach_of(bin) + 1).min(self.bins.len())).len() as u64;
        Span::from_nanos(BIN.as_nanos() * told)
    }

    /// How far a bin borrows on each side, bins.
    fn reach_of(&self, bin: usize) -> usize {
        (0..self.reach).find(|&reach| pooled(&self.bins, bin, self.least, reach).judged >= self.least).unwrap_or(self.reach)
    }

    /// The share of bad requests in several bins together, 0 to 1; `None` if too few requests can be judged.
    #[must_use]
    pub fn bad_share_within(&self, bins: std::ops::Range<usize>) -> Option<f64> {
        let (bad, judged) = self.bins[bins].iter().fold((0, 0), |(bad, judged), bin| (bad + bin.bad, judged + bin.judged));
        (judged >= self.least).then(|| bad as f64 / judged as f64)
    }

    /// User-minutes lost in a bin.
    #[must_use]
    pub fn minutes_lost(&self, bin: usize) -> f64 {
        self.minutes_lost[bin]
    }

    /// The integral of the share of bad requests times users over the run, user-minutes.
    #[must_use]
    pub fn user_minutes_lost(&self) -> f64 {
        self.minutes_lost.iter().sum()
    }
}

/// The first ordinal that arrived too late to be judged if it is still open: an older one is slow, whatever comes of it.
pub(super) fn overdue_before(client: &ClientLedger, ended: Time) -> usize {
    let count = client.outcomes.len();
    first_young(client, ended).map_or(count, |bin| client.bin_starts[bin] as usize).min(count)
}

/// The first bin whose requests may still be answered in time when a run ends.
fn first_young(client: &ClientLedger, ended: Time) -> Option<usize> {
    (0..client.bin_starts.len()).find(|&bin| end_of(bin) + client.objective > ended)
}

fn judged_until(client: &ClientLedger, ended: Time) -> Time {
    first_young(client, ended).map_or(ended, |bin| Time::ZERO + Span::from_nanos(BIN.as_nanos() * bin as u64))
}

/// What became of a request. One that hangs beyond its objective is slow: else a system that never answers had no bad requests.
pub(super) fn judged(client: &ClientLedger, index: usize, overdue: usize) -> RequestOutcome {
    match RequestOutcome::from_byte(client.outcomes[index]) {
        RequestOutcome::Open if index < overdue => RequestOutcome::Slow,
        outcome => outcome,
    }
}

/// When a bin ends.
pub(super) fn end_of(bin: usize) -> Time {
    Time::ZERO + firedrill_core::time::Span::from_nanos(BIN.as_nanos() * (bin as u64 + 1))
}

fn client_bins(client: &ClientLedger, ended: Time, count: usize) -> Vec<Bin> {
    let overdue = overdue_before(client, ended);
    let start = |bin: usize| client.bin_starts.get(bin).map_or(client.outcomes.len(), |&start| start as usize);
    let mut bins = vec![Bin::default(); count];
    for (bin, counts) in bins.iter_mut().enumerate() {
        for index in start(bin)..start(bin + 1) {
            let outcome = judged(client, index, overdue);
            counts.judged += u64::from(outcome != RequestOutcome::Open);
            counts.bad += u64::from(outcome.is_bad());
        }
    }
    bins
}

/// With stated users, the share counts for all of them, even when few requests tell it; else users are the arrivals of a minute: each bad request is one user
/// for a minute, or, where one makes several, the share counts for those who came.
fn minutes_lost(client: &ClientLedger, bins: &[Bin], bin: usize, series: &UserSeries) -> f64 {
    let own = bins[bin];
    let users = match (client.users, &client.came) {
        (Some(users), _) => users,
        (None, None) => return own.bad as f64,
        (None, Some(_)) if own.judged == 0 => return 0.0,
        (None, Some(came)) => return own.bad as f64 / own.judged as f64 * came.get(bin).copied().unwrap_or(0) as f64,
    };
    let pool = pooled(bins, bin, series.least, series.reach);
    if pool.judged == 0 {
        return 0.0;
    }
    pool.bad as f64 / pool.judged as f64 * users as f64 * (BIN.as_seconds() / 60.0)
}

fn pooled(bins: &[Bin], bin: usize, least: u64, reach: usize) -> Bin {
    let mut pool = bins[bin];
    for away in 1..=reach {
        if pool.judged >= least {
            break;
        }
        for neighbour in [bin.checked_sub(away), Some(bin + away)].into_iter().flatten() {
            if let Some(other) = bins.get(neighbour) {
                pool.judged += other.judged;
                pool.bad += other.bad;
            }
        }
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    fn series(sample: Sample) -> UserSeries {
        UserSeries::of(&sample.build().ledger, &OutcomeSettings::default())
    }

    #[test]
    fn the_share_of_bad_requests_is_counted_by_arrival() {
        let users = series(Sample::new(60).bad(20, 30, 25));
        assert_eq!((0..6).map(|bin| users.bad_share(bin)).collect::<Vec<_>>(), [0.0, 0.0, 0.25, 0.0, 0.0, 0.0].map(Some));
        assert_eq!(users.user_minutes_lost(), 25.0);
    }

    #[test]
    fn a_small_bin_borrows_its_neighbours_and_is_unknown_if_that_does_not_suffice() {
        // Five requests a bin, all bad in bin 3: with two bins on each side, 5 of 25 are bad.
        let users = series(Sample::new(120).rate_per_bin(5).bad(30, 40, 100));
        assert_eq!(users.bad_share(3), Some(0.2));
        // At the edge only one side has neighbours: bins 0 to 3 hold 20, of which 5 are bad.
        assert_eq!(users.bad_share(0), Some(0.25));
        // One request a bin: 7 within reach are too few.
        assert_eq!(series(Sample::new(120).rate_per_bin(1)).bad_share(5), None);
    }

    #[test]
    fn stated_users_lose_their_share_of_the_time() {
        // A quarter of 1,200 users for 10 s: 300 users times a sixth of a minute.
        let users = series(Sample::new(60).users(1200).bad(20, 30, 25));
        assert_eq!(users.user_minutes_lost(), 50.0);
    }

    #[test]
    fn whoever_makes_several_requests_is_one_user() {
        // 100 requests in a bin of 40 people, of whom a quarter get no answer.
        let mut run = Sample::new(60).bad(20, 30, 25).build();
        run.ledger.clients[0].came = Some(vec![40, 40, 40]);
        let users = UserSeries::of(&run.ledger, &OutcomeSettings::default());
        assert_eq!((users.minutes_lost(2), users.user_minutes_lost()), (10.0, 10.0));
        // Nobody came in the bins that are not there.
        run.ledger.clients[0].came = Some(vec![40, 40]);
        assert_eq!(UserSeries::of(&run.ledger, &OutcomeSettings::default()).user_minutes_lost(), 0.0);
    }

    #[test]
    fn a_request_that_hangs_beyond_its_objective_is_slow_and_a_young_one_is_not_judged() {
        let mut run = Sample::new(60).build();
        let client = &mut run.ledger.clients[0];
        client.outcomes.fill(RequestOutcome::Open as u8);
        let users = UserSeries::of(&run.ledger, &OutcomeSettings::default());
        // The objective is 1 s, so the last bin's requests may still be answered in time.
        assert_eq!(users.bins[4], Bin { judged: 100, bad: 100 });
        assert_eq!(users.bins[5], Bin { judged: 0, bad: 0 });
    }
}
