//! From alerts to notifications: what Alertmanager does in production.
//!
//! First cut: every alert that begins to fire or is over is handed on at once and by itself. Routes, grouping, waits, inhibition and silences
//! take the place of this module's inside, and the three functions of [`Router`] stay.

use std::collections::VecDeque;

use firedrill_core::journal::{Event, Notification};
use firedrill_core::time::Time;
use firedrill_core::transcript::Desk;

/// Holds notifications until they are due.
#[derive(Clone, Debug, Default)]
pub struct Router {
    waiting: VecDeque<(Time, Notification)>,
}

impl Router {
    /// A router with nothing to tell.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what the ruler sent at `now`.
    pub fn take_in(&mut self, now: Time, sent: Vec<Notification>) {
        self.waiting.extend(sent.into_iter().map(|notification| (now, notification)));
    }

    /// When the next notification leaves.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// Lets the one notification leave that is due.
    pub fn advance(&mut self, desk: &mut Desk<'_>) -> Option<Notification> {
        let (at, notification) = self.waiting.pop_front()?;
        desk.write(at, Event::Notified { notification: notification.clone() });
        Some(notification)
    }
}
