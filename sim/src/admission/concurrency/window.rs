//! Samples put together for a second before the limit is looked at, as `WindowedLimit` of Netflix concurrency-limits does it (78a74b98).

use firedrill_core::time::{Span, Time};

use super::{Sample, Whole};

/// From one update to the next; twice the least response time would be more or less than that, and is held to it by both bounds.
const LENGTH: Span = Span::from_seconds(1);
/// A window with fewer samples says nothing.
const LEAST_SAMPLES: u32 = 10;
/// What is answered faster was not worked on.
const LEAST_RESPONSE: Span = Span::from_nanos(100_000);

/// The samples since the last update.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    next_update: Time,
    sum_nanos: u64,
    in_flight: u32,
    samples: u32,
    dropped: bool,
}

impl Window {
    /// Adds a sample; the whole window, if that is its end and it says something.
    pub(super) fn add(&mut self, now: Time, sample: Sample) -> Option<Whole> {
        let response = now.since(sample.begun);
        if response < LEAST_RESPONSE {
            return None;
        }
        self.sum_nanos += response.as_nanos();
        self.in_flight = self.in_flight.max(sample.in_flight);
        self.samples += 1;
        self.dropped |= sample.dropped;
        if now <= self.next_update {
            return None;
        }
        let whole = std::mem::take(self);
        self.next_update = now + LENGTH;
        (whole.samples >= LEAST_SAMPLES).then(|| Whole {
            response: Span::from_nanos(whole.sum_nanos / u64::from(whole.samples)),
            in_flight: whole.in_flight,
            dropped: whole.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(begun_millis: u64, in_flight: u32, dropped: bool) -> Sample {
        Sample { begun: Time::from_nanos(begun_millis * 1_000_000), in_flight, dropped }
    }

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_first_sample_begins_the_windows_and_each_lasts_longer_than_a_second() {
        let mut window = Window::default();
        assert_eq!(window.add(at(10), sample(0, 1, false)), None);
        for index in 0..9 {
            assert_eq!(window.add(at(500), sample(400, index, index == 3)), None);
        }
        // Exactly a second after the last update is still within.
        assert_eq!(window.add(at(1010), sample(1000, 2, false)), None);
        let whole = window.add(at(1011), sample(811, 1, false));
        assert_eq!(whole, Some(Whole { response: Span::from_nanos(1_110_000_000 / 11), in_flight: 8, dropped: true }));
        assert_eq!(window.add(at(2012), sample(2000, 1, false)), None, "one sample alone says nothing");
    }

    #[test]
    fn answers_faster_than_100_us_do_not_count() {
        let mut window = Window::default();
        for _ in 0..20 {
            assert_eq!(window.add(Time::from_nanos(2_000_099_999), sample(2000, 1, false)), None);
        }
        assert_eq!(window.samples, 0);
        assert_eq!(window.add(Time::from_nanos(2_000_100_000), sample(2000, 1, false)), None);
        assert_eq!(window.next_update, Time::from_nanos(3_000_100_000));
    }
}
