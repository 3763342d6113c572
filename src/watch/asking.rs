//! Questions of policies put to a Prometheus, by threads of their own: whoever decides never waits for an answer.
//!
//! Nothing that goes wrong there is an answer. What is not answered in time is unknown, and the figures say why.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use firedrill_core::time::{Start, Time};
use firedrill_policies::watcher::Want;
use firedrill_telemetry::promql::{Sample, Value};

use super::inbox::Inbox;
use crate::prometheus::{AnswerKind, Prometheus};

/// How far Prometheus looks back for a sample: 5 minutes.
const LOOKS_BACK_MS: i64 = 300_000;

/// What is written in whole seconds may be a little ahead.
const AHEAD_MS: i64 = 1_000;

/// What Prometheus is asked to see whether it answers at all: any of them can say this.
const ANYTHING: &str = "vector(1)";

/// How often that is asked while it answers: every hour, and within a minute where a question was not answered.
const WHILE_IT_ANSWERS: Duration = Duration::from_secs(3_600);

/// How often while it does not: every minute.
const WHILE_IT_DOES_NOT: Duration = Duration::from_secs(60);

/// Whoever can be asked for the value of an expression. It only reads.
pub trait Asks: Send + Sync {
    /// What an expression yields at an instant, milliseconds since 1970.
    ///
    /// # Errors
    /// There is no answer: why, for people.
    fn ask(&self, expression: &str, at_ms: i64) -> Result<Value, String>;

    /// Whether what is asked plays a simulation, as far as it says so.
    fn is_rehearsed(&self) -> bool {
        false
    }
}

impl Asks for Prometheus {
    fn ask(&self, expression: &str, at_ms: i64) -> Result<Value, String> {
        let answer = self.query(expression, Some(at_ms)).map_err(|trouble| trouble.to_string())?;
        if answer.histograms > 0 {
            return Err(format!("there are {} native histograms among the elements, which cannot be judged", answer.histograms));
        }
        if let Some(missing) = answer.missing {
            return Err(format!("the answer is not whole: {missing}"));
        }
        let times = answer.series.iter().filter_map(|series| series.samples.last()).map(|(at, _)| *at);
        if let Some(other) = times.filter(|_| answer.kind != AnswerKind::Matrix).find(|at| !is_of(*at, at_ms)) {
            let (told, asked) = (Start::from_unix_millis(other), Start::from_unix_millis(at_ms));
            return Err(format!("the answer is of {told}, and {asked} was asked for"));
        }
        let mut samples = answer.series.into_iter().filter_map(|series| {
            let (_, value) = *series.samples.last()?;
            Some(Sample { labels: series.labels, value })
        });
        match answer.kind {
            AnswerKind::Scalar => {
                samples.next().map(|sample| Value::Scalar(sample.value)).ok_or_else(|| "a number without a value".to_owned())
            }
            AnswerKind::Vector => Ok(Value::Vector(samples.collect())),
            AnswerKind::Matrix | AnswerKind::Text(_) => Err("the answer is no number".to_owned()),
        }
    }

    fn is_rehearsed(&self) -> bool {
        Prometheus::is_rehearsed(self)
    }
}

/// Whether a value of an instant answers a question about another one: not older than Prometheus looks back, and not of the future.
const fn is_of(at_ms: i64, asked_ms: i64) -> bool {
    at_ms <= asked_ms.saturating_add(AHEAD_MS) && at_ms >= asked_ms.saturating_sub(LOOKS_BACK_MS)
}

/// Questions that wait to be asked.
#[derive(Debug)]
pub struct Patience {
    state: Mutex<State>,
    changed: Condvar,
    /// A question that has waited for longer is unknown.
    longest: Duration,
}

#[derive(Debug, Default)]
struct State {
    wants: VecDeque<(Instant, Time, Want)>,
    /// Whether a question was not answered since it was last asked whether there are answers at all.
    is_doubted: bool,
    /// Whether there are answers at all, as it was last found; `None`: nobody has asked yet.
    answers: Option<bool>,
    /// Whether a question was answered since it was found that none is.
    is_hoped: bool,
    is_stopped: bool,
    is_closed: bool,
}

impl Patience {
    /// Questions wait at most so long to be asked.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), longest }
    }

    /// Questions to be answered as of an instant.
    pub fn add(&self, at: Time, wants: Vec<Want>) {
        let now = Instant::now();
        self.lock().wants.extend(wants.into_iter().map(|want| (now, at, want)));
        self.changed.notify_all();
    }

    /// No more is asked.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// No more comes: what waits is still asked.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// A question was not answered.
    fn doubt(&self) {
        self.lock().is_doubted = true;
        self.changed.notify_all();
    }

    /// A question was answered.
    fn hope(&self) {
        let mut state = self.lock();
        if state.answers == Some(false) {
            state.is_hoped = true;
            self.changed.notify_all();
        }
    }

    /// Waits for so long, or until something is so where that is asked for; gives whether anything more is to be asked.
    fn rest(&self, most: Duration, until: fn(&State) -> bool) -> bool {
        let end = Instant::now() + most;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.is_stopped || state.is_closed || left.is_zero() || until(&state) {
                return !state.is_stopped && !state.is_closed;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn next(&self) -> Option<(Instant, Time, Want)> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some(next) = state.wants.pop_front() {
                return Some(next);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks what waits, one after the other, and puts the answers into the inbox, until it is stopped. What a stop leaves is asked after the restart.
pub fn answer_all(patience: &Patience, asks: &dyn Asks, inbox: &Inbox) {
    while let Some((since, at, want)) = patience.next() {
        let policy = want.policy.name.clone();
        let longest = patience.longest;
        let ask = |expression: &str, at_ms: i64| {
            if since.elapsed() > longest {
                return Err(format!("it was not asked within {} s", longest.as_secs()));
            }
            asks.ask(expression, at_ms)
        };
        let mut failed = None;
        let mut noticing = |expression: &str, at_ms: i64| ask(expression, at_ms).inspect_err(|why| failed = Some(why.clone()));
        // A bug in what judges an answer must not leave its question open for ever, nor its thread dead.
        let judged = catch_unwind(AssertUnwindSafe(|| want.answer(at, &mut noticing)));
        let input = judged.unwrap_or_else(|_| {
            let why = "the answer could not be judged: this is a bug of firedrill".to_owned();
            failed = Some(why.clone());
            want.answer(at, &mut |_, _| Err(why.clone()))
        });
        if let Some(why) = &failed {
            tracing::warn!(%policy, query = want.query, why, "no answer: unknown");
            patience.doubt();
        } else {
            patience.hope();
        }
        inbox.answer(policy, input, failed.is_none());
    }
}

/// Asks at the start, every hour, after each question that was not answered, and after the first that was again, whether Prometheus answers at all, and whether
/// it plays a simulation; puts that into the inbox, until it is stopped. `now_ms` is the calendar, milliseconds since 1970.
pub fn ask_anything(patience: &Patience, asks: &dyn Asks, inbox: &Inbox, now_ms: &dyn Fn() -> i64) {
    loop {
        {
            let mut state = patience.lock();
            (state.is_doubted, state.is_hoped) = (false, false);
        }
        let why_not = asks.ask(ANYTHING, now_ms()).err();
        let answers = why_not.is_none();
        patience.lock().answers = Some(answers);
        if answers && asks.is_rehearsed() {
            inbox.rehearsed("the Prometheus that it asks plays a simulation");
        }
        inbox.answering(why_not);
        let is_to_go_on = if answers {
            let rest = WHILE_IT_ANSWERS.saturating_sub(WHILE_IT_DOES_NOT);
            patience.rest(WHILE_IT_DOES_NOT, |_| false) && patience.rest(rest, |state| state.is_doubted)
        } else {
            patience.rest(WHILE_IT_DOES_NOT, |state| state.is_hoped)
        };
        if !is_to_go_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use firedrill_telemetry::labels::Labels;

    use super::super::inbox::Message;
    use super::*;
    use crate::prometheus::{Exchange, Reply, Trouble};

    #[derive(Debug)]
    struct Canned(&'static str);

    impl Exchange for Canned {
        fn exchange(&self, _: &str, _: &[(&str, String)]) -> Result<Reply, Trouble> {
            Ok(Reply { status: 200, body: self.0.as_bytes().to_vec() })
        }
    }

    #[track_caller]
    fn check(body: &'static str, expected: Result<Value, &str>) {
        let prometheus = Prometheus::over("http://p", Arc::new(Canned(body)));
        assert_eq!(prometheus.ask("up", 0), expected.map_err(str::to_owned));
    }

    #[test]
    fn vectors_and_numbers_are_answers_and_nothing_else_is() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1,"0.5"]}]}}"#;
        check(vector, Ok(Value::Vector(vec![Sample { labels: Labels::named("up", &[]), value: 0.5 }])));
        check(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, Ok(Value::Vector(vec![])));
        check(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#, Ok(Value::Scalar(7.0)));
        check(r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#, Err("the answer is no number"));
    }

    /// A Prometheus that plays a simulation, and is away at first.
    struct Played(Mutex<u32>);

    impl Asks for Played {
        fn ask(&self, _: &str, _: i64) -> Result<Value, String> {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            if *asked == 1 { Err("away".to_owned()) } else { Ok(Value::Scalar(1.0)) }
        }

        fn is_rehearsed(&self) -> bool {
            true
        }
    }

    #[test]
    fn the_first_answer_after_none_is_followed_up_at_once_and_a_simulation_is_known() {
        let (patience, inbox) = (Patience::new(Duration::from_secs(1)), Inbox::new(1, 1));
        let played = Played(Mutex::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| ask_anything(&patience, &played, &inbox, &|| 0));
            let long = Duration::from_secs(30);
            assert!(matches!(&inbox.take(1, long)[..], [Message::Answering { why_not: Some(_) }]));
            // A question was answered meanwhile: nobody waits for the minute to pass.
            while patience.lock().answers != Some(true) {
                patience.hope();
            }
            assert!(matches!(&inbox.take(1, long)[..], [Message::Rehearsed { .. }]));
            assert!(matches!(&inbox.take(1, long)[..], [Message::Answering { why_not: None }]));
            patience.stop();
        });
    }

    #[test]
    fn an_answer_that_is_not_whole_or_of_another_time_is_none() {
        let warned = r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["no StoreAPIs matched"]}"#;
        check(warned, Err("the answer is not whole: no StoreAPIs matched"));
        // What is said of the expression takes nothing from its value.
        let of_expression =
            r#"{"status":"success","data":{"resultType":"scalar","result":[0,"7"]},"warnings":["PromQL warning: quantile"],"infos":["i"]}"#;
        check(of_expression, Ok(Value::Scalar(7.0)));
        check(
            r#"{"status":"success","data":{"resultType":"scalar","result":[-301,"7"]}}"#,
            Err("the answer is of 1969-12-31T23:54:59Z, and 1970-01-01T00:00:00Z was asked for"),
        );
        check(
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[3600,"1"]}]}}"#,
            Err("the answer is of 1970-01-01T01:00:00Z, and 1970-01-01T00:00:00Z was asked for"),
        );
    }
}
