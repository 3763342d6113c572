//! How long a crashed process waits before it is started again, as the kubelet does it (docs/MODEL.md 1.4).

use firedrill_core::time::Span;

/// A process that lived longer than this is forgiven its earlier crashes, whatever the longest pause is (`pkg/kubelet/kubelet.go`).
const FORGIVEN_AFTER: Span = Span::from_seconds(600);

/// The back-off of one replica: 0, 10, 20, 40, 80, 160, 300, 300, … seconds, if the first pause is 10 s and the longest 300 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    first: Span,
    longest: Span,
    next: Span,
}

impl Backoff {
    /// A longest pause that is shorter than the first shortens that too.
    pub(crate) fn new(first: Span, longest: Span) -> Self {
        Self { first: first.min(longest), longest, next: Span::ZERO }
    }

    /// The pause before the process is started again, after it ended having lived for `life`.
    pub(crate) fn after_crash(&mut self, life: Span) -> Span {
        if life > FORGIVEN_AFTER {
            self.next = Span::ZERO;
        }
        let pause = self.next;
        self.next = if pause == Span::ZERO { self.first } else { (pause + pause).min(self.longest) };
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crash times in seconds when each process lives for `life` seconds.
    #[track_caller]
    fn check(life: u64, crashes: &[u64]) {
        check_with(Backoff::new(Span::from_seconds(10), Span::from_seconds(300)), life, crashes);
    }

    #[track_caller]
    fn check_with(mut backoff: Backoff, life: u64, crashes: &[u64]) {
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
    fn the_pauses_can_be_shorter() {
        let seconds = Span::from_seconds;
        // `ReduceDefaultCrashLoopBackOffDecay`, and a node with a cap of its own below the first pause.
        check_with(Backoff::new(seconds(1), seconds(60)), 5, &[5, 10, 16, 23, 32, 45, 66, 103, 168, 233]);
        check_with(Backoff::new(seconds(10), seconds(5)), 5, &[5, 10, 20, 30]);
    }

    #[test]
    fn a_process_that_lived_for_more_than_ten_minutes_starts_again_at_once() {
        check(601, &[601, 1202, 1803, 2404]);
    }
}
