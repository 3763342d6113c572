//! Where messages wait for the keeper: webhooks, of which only so many fit, and answers, of which there are never more than questions.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use firedrill_core::journal::Input;
use firedrill_core::name::Name;
use firedrill_policies::watcher::Alerted;

/// Something for the keeper.
#[derive(Debug)]
pub enum Message {
    /// A webhook.
    Webhook {
        /// Its alerts, in its order.
        alerts: Vec<Alerted>,
        /// How large its body was, bytes.
        bytes: usize,
        /// Whom to tell what became of it.
        reply: Reply,
    },
    /// The answer to a question.
    Answer {
        /// Which policy asked.
        policy: Name,
        /// The answer.
        input: Input,
        /// Whether Prometheus answered; else it is unknown.
        is_known: bool,
    },
    /// Whether Prometheus answers at all.
    Answering {
        /// Why it does not; `None`: it does.
        why_not: Option<String>,
    },
    /// What is told from here on is of a simulation.
    Rehearsed {
        /// How that is known, for people.
        told: &'static str,
    },
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the ledger.
    Kept {
        /// Alerts that were news.
        news: usize,
        /// Alerts that were told before.
        repeated: usize,
        /// Alerts that tell of an episode that is over.
        late: usize,
    },
    /// There is no room for its alerts; it may come again later.
    NoRoom,
    /// The ledger cannot be written; the watcher stops.
    Lost,
}

/// Whom to tell what became of a webhook.
pub type Reply = tokio::sync::oneshot::Sender<Taken>;

/// Messages in the order in which they came.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    webhooks: usize,
    bytes: usize,
    is_stopped: bool,
}

impl Inbox {
    /// Room for so many webhooks, and for so many bytes of them.
    #[must_use]
    pub fn new(most: usize, most_bytes: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), most, most_bytes }
    }

    /// Puts a webhook in.
    ///
    /// # Errors
    /// There is no room for it, or nobody takes messages any more.
    pub fn offer(&self, alerts: Vec<Alerted>, bytes: usize, reply: Reply) -> Result<(), Taken> {
        let mut state = self.lock();
        if state.is_stopped {
            return Err(Taken::Lost);
        }
        if state.webhooks >= self.most || state.bytes + bytes > self.most_bytes {
            return Err(Taken::NoRoom);
        }
        state.webhooks += 1;
        state.bytes += bytes;
        state.messages.push_back(Message::Webhook { alerts, bytes, reply });
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts an answer in.
    pub fn answer(&self, policy: Name, input: Input, is_known: bool) {
        self.lock().messages.push_back(Message::Answer { policy, input, is_known });
        self.changed.notify_one();
    }

    /// Puts in whether Prometheus answers at all; else why not.
    pub fn answering(&self, why_not: Option<String>) {
        self.lock().messages.push_back(Message::Answering { why_not });
        self.changed.notify_one();
    }

    /// Puts in that what is told from here on is of a simulation, and how that is known.
    pub fn rehearsed(&self, told: &'static str) {
        self.lock().messages.push_back(Message::Rehearsed { told });
        self.changed.notify_one();
    }

    /// Takes at most so many messages, after waiting for one no longer than this. Empty: none came, or it was stopped and all are taken.
    pub fn take(&self, most: usize, wait: Duration) -> Vec<Message> {
        let end = Instant::now() + wait;
        let mut state = self.lock();
        while state.messages.is_empty() && !state.is_stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.messages.len().min(most);
        let taken: Vec<Message> = state.messages.drain(..count).collect();
        for message in &taken {
            if let Message::Webhook { bytes, .. } = message {
                state.webhooks -= 1;
                state.bytes -= bytes;
            }
        }
        taken
    }

    /// Takes no more webhooks. What is in it can still be taken out.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Whether it was stopped and nothing is left in it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let state = self.lock();
        state.is_stopped && state.messages.is_empty()
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// How many webhooks wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().webhooks
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_turned_away_until_something_is_taken() {
        let inbox = Inbox::new(2, 100);
        let offer = |bytes: usize| inbox.offer(Vec::new(), bytes, tokio::sync::oneshot::channel().0);
        assert_eq!((offer(40), offer(61)), (Ok(()), Err(Taken::NoRoom)), "too many bytes");
        assert_eq!((offer(60), offer(0)), (Ok(()), Err(Taken::NoRoom)), "too many");
        // An answer always fits: the keeper waits for it.
        inbox.answer(Name::new("p"), Input::Timer { timer: 0 }, true);
        assert_eq!(inbox.take(1, Duration::ZERO).len(), 1);
        assert_eq!(offer(40), Ok(()));
        inbox.stop();
        assert_eq!(offer(0), Err(Taken::Lost));
        assert_eq!(inbox.take(9, Duration::from_secs(99)).len(), 3);
        assert!(inbox.is_done() && inbox.take(9, Duration::from_secs(99)).is_empty());
    }
}
