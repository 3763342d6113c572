//! Who keeps the ledger: takes in what came, lets the policies decide, writes both down, and only then says that it has them.
//!
//! All of it happens in rounds on one thread: the messages of a round share one write to the chain `watch` and one to the chain of each policy that
//! decided something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use firedrill_core::action::Action;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::words::counted;
use firedrill_policies::guard::breaker;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_policies::watcher::{Alerted, Decision, MOST_ALERTS, Observation, Observed, Past, Want, Watcher, WatcherSetup, query_of};
use jiff::Timestamp;

use super::asking::Patience;
use super::book::{Asked, Book, Found, fitting, plain_event, would_act};
use super::clock::{Clock, Reading, Ticker};
use super::inbox::{Inbox, Message, Reply, Taken};
use super::metrics::Metrics;
use crate::failure::Failure;
use crate::ledger::{Bound, question_text};
use crate::promotion::demotion::due_now;
use crate::promotion::profile::Promotions;
use crate::promotion::standing::Standing;

/// Messages of one round at most. Each round waits for the disk once for every policy that decided something, so the more there is to do the fewer rounds.
const ROUND: usize = 1_024;

/// How often in one round what has come due is worked off; what is left then is due at once in the next.
const MOST_PASSES: usize = 16;

/// How long the keeper sleeps at most: so often it looks at its clock.
const LOOK: Duration = Duration::from_secs(1);

/// Memory is kept at most so often, and after so many observations.
const REMEMBER_AFTER: usize = 10_000;
const REMEMBER_EVERY: Duration = Duration::from_secs(60);

/// If nothing happens for so long, that is written down: time counts as watched as far as the ledger shows that somebody watched.
const SIGN_OF_LIFE: Span = Span::from_minutes(60);

/// How far before the first session instants begin to count, so that alerts that began before it have their times: ten years.
const BEFORE: Span = Span::from_minutes(3_652 * 24 * 60);

/// What a keeper is made of.
pub struct KeeperSetup {
    /// The folder of the ledger.
    pub folder: PathBuf,
    /// The policies with their stages and what their decisions are bound to.
    pub policies: Vec<(Arc<Policy>, Stage, Bound)>,
    /// The declared population.
    pub inventory: Arc<Inventory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it counts what it does.
    pub metrics: Arc<Metrics>,
    /// What the project asks of promotions, by which policies are taken back.
    pub promotions: Promotions,
}

/// The one who decides and writes.
#[derive(Debug)]
pub struct Keeper {
    watcher: Watcher,
    book: Book,
    ticker: Ticker,
    inventory: Arc<Inventory>,
    metrics: Arc<Metrics>,
    promotions: Promotions,
    /// Policies whose breaker has refused and that have not acted since: their next refusal is no news.
    stopped: BTreeSet<Name>,
    /// Whether Prometheus answers, as it was written down last, and when.
    answers: Option<(bool, Time)>,
    /// Whether it stands in this session that it is told of a simulation.
    is_rehearsed: bool,
    observed: Vec<(Observed, Option<Asked>)>,
    decided: Vec<Decision>,
    /// At most so many alerts are remembered.
    most_alerts: usize,
    /// Policies whose chains cannot be written, until the watcher starts again.
    aside: BTreeSet<Name>,
    unkept: usize,
    kept_at: Instant,
    saving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Keeper {
    /// Opens the ledger, hears again what it holds, adds what a crash has left out, and begins a session. Gives what there is to say about that.
    ///
    /// # Errors
    /// Somebody watches already, or the ledger is not sound or cannot be read or written.
    pub fn open(setup: KeeperSetup) -> Result<(Self, Vec<String>), Failure> {
        let KeeperSetup { folder, policies, inventory, clock, metrics, promotions } = setup;
        let bound = policies.iter().map(|(policy, _, bound)| (policy.name.clone(), bound.clone())).collect();
        let (mut book, found) = Book::open(&folder, first_start(&*clock), bound)?;
        let policies: Vec<_> = policies.into_iter().map(|(policy, stage, _)| (policy, stage)).collect();
        let setup = WatcherSetup { start: book.start(), policies, inventory: Arc::clone(&inventory) };
        let mut notes = found.recovery.told();
        let (mut watcher, redecided) = heard_again(setup, found, &mut notes)?;
        let pasts = complete(&mut book, &mut watcher, redecided, &mut notes)?;
        let ticker = Ticker::new(clock, book.start());
        let mut keeper = Self {
            watcher,
            book,
            ticker,
            inventory,
            metrics,
            promotions,
            stopped: BTreeSet::new(),
            answers: None,
            is_rehearsed: false,
            observed: Vec::new(),
            decided: Vec::new(),
            most_alerts: MOST_ALERTS,
            aside: BTreeSet::new(),
            unkept: 0,
            kept_at: Instant::now(),
            saving: None,
        };
        let beginning = keeper.watcher.beginning(env!("CARGO_PKG_VERSION"), |policy| pasts.get(policy).cloned().unwrap_or_default());
        let at = keeper.ticker.read().at;
        notes.extend(keeper.book.behind(at)?);
        keeper.take_in(at, beginning, None);
        keeper.write()?;
        let watched: Vec<(Name, Stage)> = keeper.watcher.policies().map(|(policy, stage, _)| (policy.name.clone(), stage)).collect();
        for (policy, stage) in &watched {
            keeper.book.begin(policy, *stage, at)?;
        }
        // A crash may have come before what a decision led to.
        for (policy, _) in watched {
            notes.extend(keeper.take_back(&policy, at)?);
        }
        keeper.remember();
        keeper.tell_load();
        Ok((keeper, notes))
    }

    /// Takes messages in, does what is due, writes all of it down and acknowledges; gives what the policies ask now.
    ///
    /// # Errors
    /// The ledger cannot be written: nothing of this round counts, and the keeper is of no use any more.
    pub fn round(&mut self, messages: Vec<Message>) -> Result<(Time, Vec<Want>), Failure> {
        let began = Instant::now();
        let Reading { at, expected } = self.ticker.read();
        if let Some(expected) = expected {
            let calendar = |at: Time| Start::from_unix_millis(self.watcher.start().prometheus_millis(at));
            let (was, now) = (calendar(expected), calendar(at));
            tracing::warn!(expected = %was, %now, "the clock was set; guards that ask for it refuse, and timers keep what they have left");
            Metrics::add(&self.metrics.clock_set, 1);
            self.take_in(at, Observation::ClockSet { expected }, None);
        }
        let mut replies: Vec<(Reply, Taken)> = Vec::new();
        let is_busy = !messages.is_empty();
        for message in messages {
            match message {
                Message::Webhook { alerts, reply, .. } => {
                    let taken = self.webhook(at, alerts);
                    replies.push((reply, taken));
                }
                Message::Answer { policy, input, is_known } => self.answer(at, policy, input, is_known),
                Message::Answering { why_not } => self.answering(at, why_not.as_deref())?,
                Message::Rehearsed { told } => self.rehearsed(at, told)?,
            }
        }
        for _ in 0..MOST_PASSES {
            if self.watcher.due().is_none_or(|due| due > at) {
                break;
            }
            self.take_in(at, Observation::Passed, None);
        }
        if at.since(self.watcher.now()) >= SIGN_OF_LIFE {
            self.take_in(at, Observation::Passed, None);
        }
        let written = self.write();
        for (reply, taken) in replies {
            let taken = if written.is_ok() { taken } else { Taken::Lost };
            if let Taken::Kept { .. } = taken {
                Metrics::add(&self.metrics.webhooks, 1);
            }
            // Whoever sent it may be gone: it is kept all the same, and a second delivery changes nothing.
            let _ = reply.send(taken);
        }
        for policy in written? {
            match self.take_back(&policy, at) {
                Ok(Some(told)) => tracing::warn!("{told}"),
                Ok(None) => {}
                Err(failure) => self.set_aside(policy, &failure, at)?,
            }
        }
        self.tell_of_itself((began, at), is_busy);
        Ok((at, self.watcher.take_wants()))
    }

    /// Rounds until the inbox is stopped and empty; then its memory is kept.
    ///
    /// # Errors
    /// As [`Self::round`]; the inbox is stopped then.
    pub fn run(&mut self, inbox: &Inbox, patience: &Patience) -> Result<(), Failure> {
        patience.add(self.watcher.now(), self.watcher.wants());
        let _ = self.watcher.take_wants();
        while !inbox.is_done() {
            let messages = inbox.take(ROUND, self.sleep());
            match self.round(messages) {
                Ok((at, wants)) if !wants.is_empty() => patience.add(at, wants),
                Ok(_) => {}
                Err(failure) => {
                    inbox.stop();
                    self.lose(inbox);
                    return Err(failure);
                }
            }
            Metrics::set(&self.metrics.waiting, inbox.waiting());
            self.book.rest();
            if self.unkept >= REMEMBER_AFTER && self.kept_at.elapsed() >= REMEMBER_EVERY {
                self.remember_meanwhile();
            }
        }
        self.end()?;
        self.remember();
        Ok(())
    }

    /// Writes down that it has watched until now: what follows the last entry of a session was watched by nobody.
    fn end(&mut self) -> Result<(), Failure> {
        let Reading { at, expected } = self.ticker.read();
        match expected {
            Some(expected) => self.take_in(at, Observation::ClockSet { expected }, None),
            None if at > self.watcher.now() => self.take_in(at, Observation::Passed, None),
            None => {}
        }
        self.write().map(drop)
    }

    /// The policies that watch, and how.
    #[must_use]
    pub const fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Whoever waits is told that nothing is kept any more.
    fn lose(&self, inbox: &Inbox) {
        for message in inbox.take(usize::MAX, Duration::ZERO) {
            if let Message::Webhook { reply, .. } = message {
                let _ = reply.send(Taken::Lost);
            }
        }
    }

    fn sleep(&self) -> Duration {
        let due = self.watcher.due().map_or(LOOK, |due| self.ticker.until(due));
        let rest = if self.book.is_held() { Duration::from_millis(250) } else { LOOK };
        due.min(rest)
    }

    fn webhook(&mut self, at: Time, alerts: Vec<Alerted>) -> Taken {
        let news = self.watcher.news(at, alerts);
        if !self.has_room(at, &news.alerts) {
            Metrics::add(&self.metrics.turned_away, 1);
            tracing::warn!(alerts = news.alerts.len(), "no room for more alerts: Alertmanager is asked to come again");
            // Otherwise the ends that make room would wait for room themselves.
            let ends = self.watcher.ends(news.alerts);
            Metrics::add(&self.metrics.news, ends.len());
            if !ends.is_empty() {
                self.take_in(at, Observation::Told { alerts: ends }, None);
            }
            return Taken::NoRoom;
        }
        let taken = Taken::Kept { news: news.alerts.len(), repeated: news.repeated, late: news.late };
        Metrics::add(&self.metrics.news, news.alerts.len());
        Metrics::add(&self.metrics.repeated, news.repeated);
        Metrics::add(&self.metrics.late, news.late);
        if news.late > 0 {
            let minutes = 5;
            tracing::warn!(
                late = news.late,
                "alerts fire that were told to be over less than {minutes} minutes ago: taken for messages that were overtaken, and no news"
            );
        }
        if !news.alerts.is_empty() {
            self.take_in(at, Observation::Told { alerts: news.alerts }, None);
        }
        taken
    }

    /// Whether news finds room, once what has been over for long is forgotten. That stands in the ledger, as all does that changes what is remembered.
    fn has_room(&mut self, at: Time, news: &[Alerted]) -> bool {
        if self.watcher.has_room(news, self.most_alerts) {
            return true;
        }
        if self.watcher.can_forget(at) {
            self.take_in(at, Observation::Passed, None);
        }
        self.watcher.has_room(news, self.most_alerts)
    }

    fn answer(&mut self, at: Time, policy: Name, input: firedrill_core::journal::Input, is_known: bool) {
        Metrics::add(if is_known { &self.metrics.answered } else { &self.metrics.unanswered }, 1);
        if is_known {
            self.metrics.answers.store(1, Ordering::Relaxed);
        }
        let input = fitting(input);
        let is_open = query_of(&input).is_some_and(|query| self.watcher.is_asked(&policy, query));
        let asked = query_of(&input).and_then(|query| self.watcher.asker(&policy, query)).map(|(incident, question)| Asked {
            incident: format!("{policy}#{incident}"),
            question: question.and_then(|question| {
                let own = self.watcher.policies().find(|(own, ..)| own.name == policy)?.0;
                Some(question_text(own, question))
            }),
        });
        // What nobody waits for any more closes its question, and an answer that comes twice is no news.
        if is_open {
            self.take_in(at, Observation::Answered { policy, input }, asked);
        }
    }

    /// Writes down whether Prometheus answers: when that changes, and every hour.
    fn answering(&mut self, at: Time, why_not: Option<&str>) -> Result<(), Failure> {
        let answers = why_not.is_none();
        let before = self.answers.map(|(answers, _)| answers);
        let told = "nothing that policies ask is known, and this time does not count as watched";
        let is_news = self.answers.is_none_or(|(before, since)| before != answers || at.since(since) >= SIGN_OF_LIFE);
        match why_not {
            // It may be about to start.
            Some(why) if before.is_none() => tracing::warn!(why, "Prometheus does not answer yet: {told}"),
            Some(why) if is_news => tracing::error!(why, "Prometheus does not answer: {told}"),
            Some(why) => tracing::debug!(why, "Prometheus does still not answer"),
            None if before == Some(false) => tracing::info!("Prometheus answers again"),
            None => {}
        }
        self.metrics.answers.store(u64::from(answers), Ordering::Relaxed);
        if is_news {
            self.book.answering(why_not, at)?;
            self.answers = Some((answers, at));
        }
        Ok(())
    }

    /// Writes down, once in a session, that what is told from here on is of a simulation.
    fn rehearsed(&mut self, at: Time, told: &str) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.is_rehearsed, true) {
            tracing::warn!(told, "a simulation is watched: nothing of this session counts as seen live, unless firedrill.yaml says so");
            self.book.rehearsed(told, at)?;
        }
        Ok(())
    }

    fn take_in(&mut self, at: Time, what: Observation, asked: Option<Asked>) {
        let observed = Observed { at, what };
        let decided = self.watcher.take_in(&observed);
        for decision in decided.iter().filter(|decision| would_act(&decision.record.event)) {
            tracing::info!(policy = %decision.policy, event = %plain_event(&decision.record.event), "would act");
            Metrics::add(&self.metrics.would_act, 1);
        }
        self.decided.extend(decided);
        self.observed.push((observed, asked));
    }

    /// Writes down what was observed and decided; gives the policies of which something was decided that can take them back.
    fn write(&mut self) -> Result<BTreeSet<Name>, Failure> {
        let (observed, mut decided) = (std::mem::take(&mut self.observed), std::mem::take(&mut self.decided));
        let Some(at) = observed.last().map(|(observed, _)| observed.at) else { return Ok(BTreeSet::new()) };
        decided.retain(|decision| !self.aside.contains(&decision.policy));
        let mut suspects = BTreeSet::new();
        for decision in decided.iter().filter(|decision| can_take_back(&mut self.stopped, decision)) {
            suspects.insert(decision.policy.clone());
        }
        self.book.observe(&observed, &self.inventory)?;
        let mut counts: BTreeMap<Name, usize> = BTreeMap::new();
        for decision in &decided {
            *counts.entry(decision.policy.clone()).or_default() += 1;
        }
        for (policy, failure) in self.book.decide(decided)? {
            counts.remove(&policy);
            suspects.remove(&policy);
            self.set_aside(policy, &failure, at)?;
        }
        let told = observed.iter().map(|(observed, _)| match &observed.what {
            Observation::Told { alerts } => alerts.len(),
            Observation::Answered { .. } => 1,
            // These stand there as states.
            Observation::Began { .. } | Observation::Passed | Observation::ClockSet { .. } => 0,
        });
        Metrics::add(&self.metrics.observations, told.sum());
        Metrics::add(&self.metrics.decisions, counts.values().sum());
        self.unkept += observed.len();
        Ok(suspects)
    }

    /// Writes nothing more to the chain of a policy: one that cannot be written, such as with a conflict of git in it, must not cost the others theirs. What it
    /// decides rests on what was observed, of which nothing is missing, and is found again when the watcher starts and the policy is what it was; so no memory is
    /// kept beyond here. Where it is another one by then, or nobody mends the chain, what it decided stays missing: so that no time counts as watched from here
    /// on, that stands in the chain `watch`.
    fn set_aside(&mut self, policy: Name, failure: &Failure, at: Time) -> Result<(), Failure> {
        let why = failure.told();
        tracing::error!(
            %policy,
            why,
            "the chain of a policy cannot be written, and nothing of the policy is until the watcher starts again: mend the chain (`firedrill audit`), and start it again"
        );
        self.book.aside(&policy, &why, at)?;
        self.aside.insert(policy);
        Metrics::set(&self.metrics.set_aside, self.aside.len());
        Ok(())
    }

    /// Takes a policy back if what stands in its chain asks for it; says so. It is watched at its old stage until the next session.
    fn take_back(&mut self, policy: &Name, at: Time) -> Result<Option<String>, Failure> {
        let chain = self.promotions.believed(self.book.chain(policy)?);
        let nanos = i128::from(self.watcher.start().unix_millis()) * 1_000_000 + i128::from(at.as_nanos());
        let now = Timestamp::from_nanosecond(nanos).context("the clock is beyond all calendars")?;
        let Some(due) = due_now(&chain, &self.promotions, now) else { return Ok(None) };
        let from = Standing::of(&chain).stage;
        let told = format!("`{policy}` is demoted from {} to {}: {}", from.word(), due.to.word(), due.because);
        self.book.demote(policy, (from, due), at)?;
        Metrics::add(&self.metrics.demotions, 1);
        Ok(Some(told))
    }

    /// Keeps its memory, and waits for that.
    fn remember(&mut self) {
        self.remember_meanwhile();
        self.remembered();
    }

    /// Keeps its memory on another thread, for it may be large; after the one that may be under way. What a chain lacks must be heard again, so that then
    /// the one that was kept before stays.
    fn remember_meanwhile(&mut self) {
        self.remembered();
        if !self.aside.is_empty() {
            return;
        }
        self.saving = self.book.memory(self.watcher.saved()).map(|memory| thread::spawn(move || memory.keep()));
        (self.unkept, self.kept_at) = (0, Instant::now());
    }

    /// Waits until the memory is kept that is under way.
    fn remembered(&mut self) {
        let kept = self.saving.take().map(|saving| saving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        if let Some(Err(error)) = kept {
            tracing::warn!("what the watcher remembers is not kept, so that a restart takes longer: {error:#}");
        }
    }

    fn tell_load(&self) {
        let (alerts, asking) = self.watcher.load();
        Metrics::set(&self.metrics.alerts, alerts);
        Metrics::set(&self.metrics.asking, asking);
    }

    fn tell_of_itself(&self, (began, at): (Instant, Time), is_busy: bool) {
        self.tell_load();
        let seconds = self.watcher.start().prometheus_millis(at) / 1_000;
        self.metrics.last_round.store(seconds.unsigned_abs(), Ordering::Relaxed);
        if is_busy {
            Metrics::add(&self.metrics.rounds, 1);
            Metrics::add(&self.metrics.busy_us, usize::try_from(began.elapsed().as_micros()).unwrap_or(usize::MAX));
        }
    }
}

fn first_start(clock: &dyn Clock) -> Start {
    let before = i64::try_from(BEFORE.as_millis()).unwrap_or(0);
    Start::from_unix_millis(clock.calendar() / 1_000_000 - before)
}

/// A watcher that has heard all that the ledger holds, and what it decided of what its memory does not hold.
fn heard_again(setup: WatcherSetup, mut found: Found, notes: &mut Vec<String>) -> Result<(Watcher, Vec<Decision>), Failure> {
    let start = setup.start;
    let mut watcher = Watcher::new(setup);
    let observed = match found.saved.take().map(|saved| watcher.restore(saved)) {
        // Another version of the engine has kept it, and nothing of it is taken up. All that it rested on stands in the ledger.
        Some(Err(why)) => {
            notes.push(format!("what the watcher remembered does not fit, so all is heard again: {why}"));
            found.all(start)?
        }
        Some(Ok(())) | None => found.observed,
    };
    let decided = observed.iter().flat_map(|observed| watcher.take_in(observed)).collect();
    if !observed.is_empty() {
        notes.push(format!("{} heard again", counted_were(observed.len(), "observation")));
    }
    let _ = watcher.take_wants();
    Ok((watcher, decided))
}

/// So many of something with its verb.
fn counted_were(count: usize, noun: &str) -> String {
    format!("{} {}", counted(count as u64, noun), if count == 1 { "was" } else { "were" })
}

/// Whether a decision is of those that take a policy back. The breaker trips once, and refuses for as long as it is open.
fn can_take_back(stopped: &mut BTreeSet<Name>, decision: &Decision) -> bool {
    let Decision { policy, record, .. } = decision;
    match &record.event {
        Event::Refused { guard, .. } if guard.as_str() == breaker::NAME => stopped.insert(policy.clone()),
        // To wait is decided at every stage, and does nothing.
        Event::Decided { what: Action::Wait { .. }, .. } => false,
        Event::Decided { .. } | Event::WouldAct { .. } => {
            stopped.remove(policy);
            matches!(record.event, Event::Decided { .. })
        }
        Event::Verified { .. } | Event::ProposalChanged { .. } => true,
        _ => false,
    }
}

/// Adds the decisions that the chains of the policies lack, and gives how far each has come.
fn complete(
    book: &mut Book,
    watcher: &mut Watcher,
    redecided: Vec<Decision>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<Name, Past>, Failure> {
    let names: BTreeSet<Name> = watcher.policies().map(|(policy, ..)| policy.name.clone()).collect();
    let mut pasts = BTreeMap::new();
    let mut lacking = Vec::new();
    for name in names {
        let (decided, past) = book.past(&name)?;
        let own: Vec<&Decision> = redecided.iter().filter(|decision| decision.policy == name).collect();
        let there = |decision: &&&Decision| decided.get(decision.record.number as usize);
        let agree = own
            .iter()
            .filter_map(|decision| Some((decision, there(&decision)?)))
            .all(|(own, there)| plain_event(&own.record.event) == *there);
        if agree {
            lacking.extend(own.into_iter().filter(|decision| decision.record.number >= past.decisions).cloned());
        } else {
            notes.push(format!("`{name}` decides otherwise of what it was told before: what its ledger has stands"));
            watcher.skip_to(&name, past.decisions);
        }
        pasts.insert(name, past);
    }
    if !lacking.is_empty() {
        notes.push(format!("{} missing after a crash, and in the ledger now", counted_were(lacking.len(), "decision")));
        let policies: BTreeSet<Name> = lacking.iter().map(|decision| decision.policy.clone()).collect();
        // Here somebody sees why it does not start.
        if let Some((_, failure)) = book.decide(lacking)?.into_iter().next() {
            return Err(failure);
        }
        for name in policies {
            pasts.insert(name.clone(), book.past(&name)?.1);
        }
    }
    Ok(pasts)
}

#[cfg(test)]
mod tests;
