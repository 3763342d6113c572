//! What the kubelet makes of the answers to its probes (Kubernetes, `pkg/kubelet/prober/worker.go`; docs/MODEL.md 1.4).
//!
//! One prober stands for one probe of one replica, through all its processes. It knows no world and no clock: whoever owns it ticks, asks and
//! tells it what came back.

use firedrill_core::time::Span;

use crate::spec::ProbeSpec;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProbeKind {
    /// A process that fails it is killed and started again.
    Liveness,
    /// A replica that fails it takes no new requests.
    Readiness,
    /// Until it has succeeded the others do not ask; a process that fails it is killed.
    Startup,
}

impl ProbeKind {
    /// All of them, in the order of their slots.
    pub(crate) const ALL: [Self; 3] = [Self::Liveness, Self::Readiness, Self::Startup];

    /// The word for it in journals.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Startup => "startup",
        }
    }
}

/// One probe of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prober {
    kind: ProbeKind,
    spec: Rules,
    /// The last answer, whatever process gave it: a new process does not clear it, as in the kubelet.
    last: Option<bool>,
    /// Answers like the last one in a row.
    run: u32,
    /// It has had its process killed and waits for the next.
    on_hold: bool,
}

/// The figures of a probe that its answers are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    initial_delay: Span,
    successes: u32,
    failures: u32,
}

impl Prober {
    pub(crate) const fn new(kind: ProbeKind, spec: &ProbeSpec) -> Self {
        let spec = Rules { initial_delay: spec.initial_delay, successes: spec.successes, failures: spec.failures };
        Self { kind, spec, last: None, run: 0, on_hold: false }
    }

    /// A prober that has been content for long: its replica was there before the run.
    pub(crate) const fn content(mut self) -> Self {
        self.last = Some(true);
        self.run = self.spec.successes;
        self
    }

    /// A new process runs: the prober goes on.
    pub(crate) const fn process_started(&mut self) {
        self.on_hold = false;
    }

    /// Whether it asks at a tick when the process is so old. `started` says whether the startup probe has succeeded, or there is none.
    ///
    /// The age counts in whole seconds, as in the kubelet, so the first probe is at the first tick at or after the delay.
    pub(crate) fn asks(&self, age: Span, started: bool) -> bool {
        let whole = |span: Span| span.as_nanos() / 1_000_000_000;
        let is_its_turn = started != matches!(self.kind, ProbeKind::Startup);
        !self.on_hold && whole(age) >= whole(self.spec.initial_delay) && is_its_turn
    }

    /// Takes an answer; the result is the probe's new verdict, if the answer makes one.
    pub(crate) fn answered(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.spec.successes } else { self.spec.failures };
        if self.run < threshold {
            return None;
        }
        if !success && !matches!(self.kind, ProbeKind::Readiness) {
            self.on_hold = true;
            self.run = 0;
        }
        Some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ProbePath;

    const DEFAULT: ProbeSpec = ProbeSpec {
        initial_delay: Span::ZERO,
        period: Span::from_seconds(10),
        timeout: Span::from_seconds(1),
        successes: 1,
        failures: 3,
        path: ProbePath::Separate,
    };

    /// The verdicts after each answer: `S` and `F` are answers; `.` is none, `+` healthy, `-` unhealthy.
    #[track_caller]
    fn check(kind: ProbeKind, spec: &ProbeSpec, answers: &str, expected: &str) {
        let mut prober = Prober::new(kind, spec);
        let verdict = |answer| match prober.answered(answer == 'S') {
            None => '.',
            Some(true) => '+',
            Some(false) => '-',
        };
        assert_eq!(answers.chars().map(verdict).collect::<String>(), expected);
    }

    #[test]
    fn k3_answers_that_flap_below_the_threshold_change_nothing() {
        check(ProbeKind::Liveness, &DEFAULT, "FFSFFS", "..+..+");
        check(ProbeKind::Liveness, &DEFAULT, "SFFF", "+..-");
    }

    #[test]
    fn readiness_needs_as_many_successes_in_a_row_as_it_is_told() {
        let spec = ProbeSpec { successes: 3, failures: 1, ..DEFAULT };
        check(ProbeKind::Readiness, &spec, "SSFSSS", "..-..+");
    }

    #[test]
    fn a_readiness_probe_goes_on_after_a_failure_and_the_others_wait_for_a_new_process() {
        let fail = |kind| {
            let mut prober = Prober::new(kind, &ProbeSpec { failures: 1, ..DEFAULT });
            assert_eq!(prober.answered(false), Some(false));
            prober
        };
        let old = Span::from_minutes(5);
        assert!(fail(ProbeKind::Readiness).asks(old, true));
        for kind in [ProbeKind::Liveness, ProbeKind::Startup] {
            let mut prober = fail(kind);
            let started = kind == ProbeKind::Liveness;
            assert!(!prober.asks(old, started));
            prober.process_started();
            assert!(prober.asks(Span::ZERO, started));
        }
    }

    #[test]
    fn the_delay_is_compared_in_whole_seconds() {
        let prober = Prober::new(ProbeKind::Readiness, &ProbeSpec { initial_delay: Span::from_seconds(5), ..DEFAULT });
        let asks_at = |millis| prober.asks(Span::from_millis(millis), true);
        assert_eq!([0, 4_999, 5_000, 5_001].map(asks_at), [false, false, true, true]);
    }

    #[test]
    fn other_probes_wait_for_the_startup_probe_which_rests_once_it_has_succeeded() {
        let asks = |kind, started| Prober::new(kind, &DEFAULT).asks(Span::ZERO, started);
        assert_eq!(ProbeKind::ALL.map(|kind| asks(kind, false)), [false, false, true]);
        assert_eq!(ProbeKind::ALL.map(|kind| asks(kind, true)), [true, true, false]);
    }

    #[test]
    fn failures_of_a_dead_process_count_for_the_next_unless_they_were_what_killed_it() {
        let mut prober = Prober::new(ProbeKind::Liveness, &DEFAULT);
        assert_eq!([prober.answered(false), prober.answered(false)], [None, None]);
        prober.process_started();
        assert_eq!(prober.answered(false), Some(false));
        prober.process_started();
        assert_eq!([false; 3].map(|answer| prober.answered(answer)), [None, None, Some(false)]);
    }
}
