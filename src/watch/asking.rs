//! Questions of policies put to a Prometheus, by threads of their own: whoever decides never waits for an answer.
//!
//! Nothing that goes wrong there is an answer. What is not answered in time is unknown, and the figures say why.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use firedrill_core::time::Time;
use firedrill_policies::watcher::Want;
use firedrill_telemetry::promql::{Sample, Value};

use super::inbox::Inbox;
use crate::prometheus::{AnswerKind, Prometheus};

/// Whoever can be asked for the value of an expression. It only reads.
pub trait Asks: Send + Sync {
    /// What an expression yields at an instant, milliseconds since 1970.
    ///
    /// # Errors
    /// There is no answer: why, for people.
    fn ask(&self, expression: &str, at_ms: i64) -> Result<Value, String>;
}

impl Asks for Prometheus {
    fn ask(&self, expression: &str, at_ms: i64) -> Result<Value, String> {
        let answer = self.query(expression, Some(at_ms)).map_err(|trouble| trouble.to_string())?;
        if answer.histograms > 0 {
            return Err(format!("there are {} native histograms among the elements, which cannot be judged", answer.histograms));
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
        }
        inbox.answer(policy, input, failed.is_none());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use firedrill_telemetry::labels::Labels;

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
}
