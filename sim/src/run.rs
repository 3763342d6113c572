//! One run: the world, its telemetry, and the automation that watches it, taken forward together in one order of events.

mod trunk;

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::action::Command;
use firedrill_core::journal::{Event, Journal};
use firedrill_core::ledger::Ledger;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::store::Store;

use crate::automation::Automation;
use crate::observe::Observer;
use crate::spec::{ActuatorFaultSpec, WorldSpec};
use crate::trace::TraceSpan;
use crate::world::{Client, Due, Hands, LONGEST_WAIT, World};

pub use trunk::Trunk;

/// What is done beside simulating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether targets are scraped. Without it no series exist; the world is the same.
    pub telemetry: bool,
    /// Whether the ledger keeps what became of each request, a byte each. Without it a run of any length needs a bounded memory, and its ledger
    /// tells of services alone; the world is the same.
    pub requests: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { telemetry: true, requests: true }
    }
}

/// A run under way. A clone goes its own way from here, and shares what has been.
#[derive(Clone, Debug)]
pub struct Run<A: Automation> {
    world: World,
    observer: Option<Observer>,
    /// What the observer writes; empty without telemetry.
    store: Store,
    automation: A,
    /// What the automation has due next; kept because asking is not free.
    due: Option<(Time, Class)>,
    commands: Vec<Command>,
    /// When the run ends: its horizon, or later for the sake of whoever is still at work.
    end: Time,
    /// What the automation has been told of Prometheus.
    prometheus: Prometheus,
    /// When the run ended before that, if a bound was reached.
    stopped: Option<Time>,
}

/// What an automation was last told of Prometheus: whether it runs.
#[derive(Clone, Copy, Debug)]
struct Prometheus {
    runs: bool,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self { runs: true }
    }
}

impl Prometheus {
    /// Tells an automation, before it does anything at this instant, if that has changed.
    fn tell(&mut self, world: &World, automation: &mut impl Automation) {
        let runs = world.spec.prometheus_runs(world.now);
        if runs != self.runs {
            self.runs = runs;
            automation.prometheus_runs(runs);
        }
    }
}

/// What a finished run leaves behind.
#[derive(Clone, Debug)]
pub struct Finished<A> {
    /// What happened.
    pub journal: Journal,
    /// What was true.
    pub ledger: Ledger,
    /// What was observed.
    pub telemetry: Store,
    /// Whoever watched, in its last state.
    pub automation: A,
}

impl<A: Automation> Run<A> {
    /// A run at time zero.
    #[must_use]
    pub fn new(spec: Arc<WorldSpec>, seed: Seed, options: Options, automation: A) -> Self {
        let end = Time::ZERO + spec.horizon;
        let mut world = World::new(spec, seed, options.telemetry);
        if !options.requests {
            world.clients.iter_mut().for_each(Client::forget_requests);
        }
        let observer = options.telemetry.then(|| Observer::new(&world));
        schedule_notes(&mut world);
        let due = automation.due();
        let (commands, prometheus, stopped) = (Vec::new(), Prometheus::default(), None);
        let mut run = Self { world, observer, store: Store::new(), automation, due, commands, end, prometheus, stopped };
        if let Some(observer) = &mut run.observer {
            observer.begin(&mut run.world);
        }
        run.greet_the_born();
        run
    }

    /// The same with what monitoring remembers from before the start: series with samples up to the start.
    #[must_use]
    pub fn after(mut self, past: Store) -> Self {
        assert!(self.store.is_empty(), "the past comes first");
        self.store = past;
        self
    }

    /// The same with nothing written down at scrapes but these metrics, which are all that anybody reads. What happens stays the same.
    #[must_use]
    pub fn read_for(mut self, metrics: Arc<BTreeSet<Name>>) -> Self {
        self.store = self.store.read_for(metrics);
        self
    }

    /// The same with a sample of one request of `every` traced from now on. What happens stays the same.
    #[must_use]
    pub fn traced(mut self, every: u32) -> Self {
        self.world.trace(every);
        self
    }

    /// The present instant: that of the last event.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.world.now
    }

    /// Processes all that is due until `until`, that instant included, and before the end.
    pub fn advance_to(&mut self, until: Time) {
        let _span = tracing::debug_span!("run", scenario = %self.world.spec.name, seed = self.world.seed.0).entered();
        let Some(last) = self.last(until) else { return };
        while self.stopped.is_none() {
            // The world goes first where both are due at once in one class.
            if self.advance_world_until(self.due.map_or(last, |due| due.min(last))) {
                continue;
            }
            match self.due {
                Some(due) if due <= last => self.advance_automation(due.0),
                _ => return,
            }
        }
    }

    /// Processes what is due in the world until `last`; `true` if it paused before that, because a bound was reached or the automation was told something.
    #[inline]
    fn advance_world_until(&mut self, last: (Time, Class)) -> bool {
        while let Some((key, due)) = self.world.queue.pop_until(last) {
            if self.advance_world(key.time, due) {
                return true;
            }
        }
        false
    }

    /// The last instant and class that are processed until `until`, before the end; `None` if there is nothing before that.
    fn last(&self, until: Time) -> Option<(Time, Class)> {
        let last = self.end.as_nanos().checked_sub(1)?;
        Some((until.min(Time::from_nanos(last)), Class::Action))
    }

    /// Runs to the horizon, and beyond it for as long as the automation is still at work, and closes the books.
    #[must_use]
    pub fn finish(mut self) -> Finished<A> {
        self.advance_to_end();
        self.close()
    }

    fn advance_to_end(&mut self) {
        self.advance_to(Time::MAX);
        let longest = Time::ZERO + self.world.spec.horizon.saturating_add(LONGEST_WAIT);
        // Each time that it is waited for it may have found more to do.
        while self.stopped.is_none()
            && let Some(until) = self.automation.until().map(|until| until.min(longest)).filter(|until| *until > self.end)
        {
            self.end = until;
            self.advance_to(Time::MAX);
        }
    }

    /// The same, with the spans of what was traced, by the time of their beginning.
    #[must_use]
    pub fn finish_traced(mut self) -> (Finished<A>, Vec<TraceSpan>) {
        self.advance_to_end();
        let spans = self.world.take_spans();
        (self.close(), spans)
    }

    /// Closes the books.
    fn close(mut self) -> Finished<A> {
        let horizon = Time::ZERO + self.world.spec.horizon;
        let (at, reason) = match self.stopped {
            Some(at) => (at, "a bound was reached"),
            None if self.end > horizon => (self.end, "the horizon was reached, and whoever was still at work was waited for"),
            None => (horizon, "the horizon was reached"),
        };
        let ledger = self.world.close_books(at);
        let mut journal = self.world.journal;
        journal.write(at, Event::RunEnded { reason: reason.to_owned() });
        Finished { journal, ledger, telemetry: self.store, automation: self.automation }
    }

    /// Makes happen what is due; whether the run has stopped with it, or the automation has been told something.
    #[inline]
    fn advance_world(&mut self, at: Time, due: Due) -> bool {
        match due {
            Due::Scrape(target) => {
                self.scrape(at, target);
                return false;
            }
            Due::MonitoringFault(..) | Due::ActuatorFault(..) => {
                self.note(at, due);
                return false;
            }
            _ => {}
        }
        let bound = self.world.apply(at, due);
        if let Some(bound) = bound {
            self.stop(bound);
        }
        if !self.world.born.is_empty() {
            self.greet_the_born();
        }
        let told = !self.world.results.is_empty();
        if told {
            self.report_results();
        }
        told || bound.is_some()
    }

    #[cold]
    fn stop(&mut self, bound: &'static str) {
        let at = self.world.now;
        let bounds = self.world.spec.bounds;
        let figures = format!(
            "{} events of {}, {} attempts open of {}, {} records of {}",
            self.world.events(),
            bounds.events,
            self.world.attempts_open(),
            bounds.attempts,
            self.world.journal.records().len(),
            bounds.records
        );
        self.world.journal.write(at, Event::BoundReached { bound: Name::new(bound), figures });
        self.stopped = Some(at);
    }

    fn scrape(&mut self, at: Time, target: u32) {
        self.world.now = at;
        let observer = self.observer.as_mut().expect("only an observer schedules scrapes");
        observer.scrape(&mut self.world, &mut self.store, target);
    }

    /// Writes down that something went wrong with monitoring or with carrying actions out, or is over.
    #[cold]
    fn note(&mut self, at: Time, due: Due) {
        let spec = &self.world.spec;
        let (name, word, what, begins) = match due {
            Due::MonitoringFault(index, begins) => {
                let fault = &spec.monitoring[index as usize];
                (&fault.name, fault.kind.word(), fault.kind.to_string(), begins)
            }
            Due::ActuatorFault(index, begins) => {
                let fault = &spec.actuators[index as usize];
                (&fault.name, ActuatorFaultSpec::WORD, fault.to_string(), begins)
            }
            _ => unreachable!("only these are noted"),
        };
        let what = if begins { format!("{name}: {word}, {what}") } else { format!("{name} is over: its time was up") };
        self.world.journal.write(at, Event::Noted { what });
    }

    /// New replicas become targets.
    #[cold]
    fn greet_the_born(&mut self) {
        for replica in std::mem::take(&mut self.world.born) {
            if let Some(observer) = &mut self.observer {
                observer.add_replica(&mut self.world, replica);
            }
        }
    }

    fn advance_automation(&mut self, at: Time) {
        self.world.now = at;
        self.prometheus.tell(&self.world, &mut self.automation);
        let mut desk = Desk { journal: &mut self.world.journal, commands: &mut self.commands };
        self.automation.advance(&self.store, &mut desk);
        self.take_orders();
    }

    #[cold]
    fn report_results(&mut self) {
        self.prometheus.tell(&self.world, &mut self.automation);
        for result in std::mem::take(&mut self.world.results) {
            let mut desk = Desk { journal: &mut self.world.journal, commands: &mut self.commands };
            self.automation.finished(&result, &self.store, &mut desk);
        }
        self.take_orders();
    }

    fn take_orders(&mut self) {
        for command in self.commands.drain(..) {
            let hands = match self.automation.is_perfect() {
                true => Hands::Perfect,
                false if self.automation.leaves_out(&command) => Hands::Idle,
                false => Hands::Usual,
            };
            self.world.order(command, hands);
        }
        self.due = self.automation.due();
    }
}

/// Schedules what the journal is told of faults of monitoring and of actuators, which are none of the world's.
fn schedule_notes(world: &mut World) {
    let spec = Arc::clone(&world.spec);
    let mut schedule = |at: Option<Time>, due: Due| {
        if let Some(at) = at {
            world.queue.schedule(at, Class::World, due);
        }
    };
    for (index, fault) in (0..).zip(&spec.monitoring) {
        schedule(Some(fault.at), Due::MonitoringFault(index, true));
        schedule(fault.end(), Due::MonitoringFault(index, false));
    }
    for (index, fault) in (0..).zip(&spec.actuators) {
        schedule(Some(fault.at), Due::ActuatorFault(index, true));
        schedule(fault.end(), Due::ActuatorFault(index, false));
    }
}
