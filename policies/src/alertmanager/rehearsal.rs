//! An Alertmanager by itself: alerts are posted at given moments, and the journal tells who is told what and when.

use std::sync::Arc;

use firedrill_core::journal::{Event, Journal};
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Desk;

use super::alert::PostedAlert;
use super::config::Config;
use super::hearing::Hearing;
use super::silence::Silence;
use crate::rules::unit_test::NotificationGot;

/// What happens to an Alertmanager that is rehearsed.
#[derive(Clone, Debug, Default)]
pub struct Rehearsal {
    /// The calendar instant of its start.
    pub start: Start,
    /// Alerts, each with the moment at which it is posted.
    pub posts: Vec<(Time, PostedAlert)>,
    /// Silences, set at the start.
    pub silences: Vec<Silence>,
    /// How long time passes.
    pub until: Time,
}

/// Rehearses an Alertmanager. What is posted at the moment of a look is seen by it.
#[must_use]
pub fn rehearse(config: &Arc<Config>, rehearsal: Rehearsal) -> Journal {
    let Rehearsal { start, mut posts, silences, until } = rehearsal;
    posts.sort_by_key(|(at, _)| *at);
    let mut posts = posts.into_iter().peekable();
    let mut hearing = Hearing::new(Some(config), start);
    for silence in silences {
        hearing.silence(Time::ZERO, silence);
    }
    let (mut journal, mut commands) = (Journal::new(), Vec::new());
    loop {
        let mut desk = Desk { journal: &mut journal, commands: &mut commands };
        match (posts.peek().map(|(at, _)| *at), hearing.due()) {
            (Some(at), due) if at <= until && due.is_none_or(|due| at <= due) => {
                let batch: Vec<PostedAlert> = std::iter::from_fn(|| posts.next_if(|(own, _)| *own == at)).map(|(_, post)| post).collect();
                hearing.post(at, batch, &mut desk);
            }
            (_, Some(due)) if due <= until => drop(hearing.advance(due, &mut desk)),
            _ => return journal,
        }
    }
}

/// What a receiver was told, in order. Where it has integrations, what one of them carried counts; where it has none, what one would.
#[must_use]
pub fn told(journal: &Journal, config: &Config, who: &str) -> Vec<NotificationGot> {
    let is_silent = config.receiver(who).is_none_or(|receiver| receiver.integrations.is_empty());
    let of = |event: &Event, at: Time| match event {
        Event::Messaged { receiver, by, reason, firing, resolved, .. } if **receiver == *who && (is_silent || !by.is_empty()) => {
            let at = Span::from_nanos(at.as_nanos());
            Some(NotificationGot { at, reason: reason.clone(), firing: firing.clone(), resolved: resolved.clone() })
        }
        _ => None,
    };
    journal.records().iter().filter_map(|record| of(&record.event, record.at)).collect()
}
