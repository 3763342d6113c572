//! How long a crashed process waits before it is started again, as the kubelet does it (docs/MODEL.md 1.4).

use firedrill_core::time::Span;

const FIRST: Span = Span::from_seconds(10);
const LONGEST: Span = Span::from_seconds(300);
/// A process that lived longer than this is forgiven its earlier crashes.
const FORGIVEN_AFTER: Span = Span::from_seconds(600);

/// The back-off of one replica: 0, 10, 20, 40, 80, 160, 300, 300, … seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    next: Span,
}

impl Backoff {
    /// The pause before the process is started again, after it ended having lived for `life`.
    pub(crate) fn after_crash(&mut self, life: Span) -> Span {
        if life > FORGIVEN_AFTER {
            self.next = Span::ZERO;
        }
        let pause = self.next;
        self.next = if pause == Span::ZERO { FIRST } else { (pause + pause).min(LONGEST) };
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crash times in seconds when each process lives for `life` seconds.
    #[track_caller]
    fn check(life: u64, crashes: &[u64]) {
        let mut backoff = Backoff::default();
        let mut now = 0;
        let mut seen = Vec::new();
        for _ in crashes {
            now += life;
            seen.push(now);
            now += backoff.after_crash(Span::from_seconds(life)).as_nanos() / 1_000_000_000;
        }
        assert_eq!(seen, crashes);
    }

    #[test]
    fn crash_times_are_those_of_the_kubelet() {
        check(5, &[5, 10, 25, 50, 95, 180, 345, 650, 955]);
        check(60, &[60, 120, 190, 270, 370, 510, 730, 1090, 1450]);
        check(540, &[540, 1080, 1630, 2190, 2770, 3390]);
    }

    #[test]
    fn a_process_that_lived_for_more_than_ten_minutes_starts_again_at_once() {
        check(601, &[601, 1202, 1803, 2404]);
    }
}
