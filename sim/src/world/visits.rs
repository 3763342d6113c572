//! People who make several requests, one after the other: the users of closed clients, sessions, and those who try again by hand.

use firedrill_core::random::{Purpose, Seed, Stream, mix64};
use firedrill_core::time::Span;

use crate::slab::NONE;
use crate::spec::Population;
use crate::world::clients::Client;
use crate::world::{Due, World};

/// One of these people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    client: u32,
    /// What its luck is drawn by.
    key: u64,
    /// Requests made.
    made: u64,
    /// Requests still to be made; users of a closed client never end.
    left: u64,
}

/// What a person's key is made with, beside the client's: the users of a closed client, sessions, those who try again.
const USERS: u64 = 4;
const SESSIONS: u64 = 5;
const AGAIN: u64 = 6;

impl World {
    /// The users of a closed client begin with thinking.
    pub(super) fn begin_users(&mut self, client: u32) {
        let Population::Closed { users, .. } = self.spec.clients[client as usize].population else { return };
        let key = mix64(self.clients[client as usize].key, USERS);
        for user in 0..u64::from(users) {
            let slot = self.visits.insert(Visit { client, key: mix64(key, user), made: 0, left: u64::MAX });
            self.think(slot);
        }
    }

    /// A session begins, with its first request.
    pub(super) fn begin_session(&mut self, client: u32, ordinal: u64, requests: f64) {
        let key = mix64(mix64(self.clients[client as usize].key, SESSIONS), ordinal);
        // Geometric from 1 on: the number of trials until the first success.
        let unit = self.session_luck(client).block(key).unit_open01(0);
        let left = if requests > 1.0 { 1.0 + libm::floor(libm::log(unit) / libm::log1p(-1.0 / requests)) } else { 1.0 };
        let slot = self.visits.insert(Visit { client, key, made: 0, left: left as u64 });
        self.visit(slot);
    }

    fn session_luck(&self, client: u32) -> Stream {
        session_luck(self.seed, &self.clients[client as usize])
    }

    /// Someone thinks until the next request.
    fn think(&mut self, slot: u32) {
        let visit = self.visits[slot];
        let (Population::Closed { think, .. } | Population::Sessions { think, .. }) = &self.spec.clients[visit.client as usize].population
        else {
            unreachable!("only users and sessions think")
        };
        let block = self.session_luck(visit.client).block(mix64(visit.key, visit.made));
        let pause = Span::from_seconds_f64(think.sample(block.draw(1)));
        self.schedule_after(pause, Due::Visit(slot));
    }

    /// Someone makes the next request.
    pub(super) fn visit(&mut self, slot: u32) {
        let visit = &mut self.visits[slot];
        let request = mix64(visit.key, visit.made);
        visit.made += 1;
        let client = visit.client;
        self.begin_request(client, (request, NONE), slot);
    }

    /// Someone's request is over.
    pub(super) fn visited(&mut self, slot: u32) {
        let visit = &mut self.visits[slot];
        visit.left = visit.left.saturating_sub(1);
        if visit.left == 0 {
            self.visits.remove(slot);
        } else {
            self.think(slot);
        }
    }

    /// Someone did not get an answer, or an error, and may ask again by hand. Whoever makes several requests then does so instead of thinking, and has as many
    /// left as before: the result is whether the person of the visit does.
    #[cold]
    pub(super) fn ask_again(&mut self, client: u32, request: u64, visit: u32) -> bool {
        let spec = &self.spec.clients[client as usize];
        let Some(again) = &spec.again else { return false };
        let goes_on = visit != NONE && matches!(spec.population, Population::Closed { .. } | Population::Sessions { .. });
        let block = self.session_luck(client).block(mix64(request, AGAIN));
        if block.unit(0) >= again.probability.get() {
            return false;
        }
        let pause = Span::from_seconds_f64(again.after.sample(block.draw(1)));
        let slot = if goes_on { visit } else { self.visits.insert(Visit { client, key: mix64(request, AGAIN), made: 0, left: 1 }) };
        self.schedule_after(pause, Due::Visit(slot));
        goes_on
    }
}

fn session_luck(seed: Seed, client: &Client) -> Stream {
    Stream::new(seed, Purpose::Session, client.key)
}
