//! Arms that share a run for as long as nobody acts: a trunk that several automations watch, and a fork for each at the first command that it gives.
//!
//! Whoever only watches changes nothing in the world (docs/ARCHITECTURE.md, invariant 5), so what has happened up to an arm's first command
//! happened to all alike. What comes out is, byte for byte, what every arm would have left behind if it had been played from the start.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::action::Command;
use firedrill_core::journal::{Journal, Record};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::store::Store;

use super::{Finished, Options, Prometheus, Run};
use crate::automation::{Automation, Idle};
use crate::spec::WorldSpec;

/// A run that several automations watch.
#[derive(Clone, Debug)]
pub struct Trunk<A: Automation> {
    run: Run<Idle>,
    watchers: Vec<Watcher<A>>,
}

/// An automation that has not acted yet.
#[derive(Clone, Debug)]
struct Watcher<A> {
    automation: A,
    due: Option<(Time, Class)>,
    prometheus: Prometheus,
    /// What it has written down, each with the number of records that the world had written before.
    said: Vec<(usize, Record)>,
    /// What it left behind, once its own run is over.
    finished: Option<Finished<A>>,
}

impl<A: Automation> Trunk<A> {
    /// A run at time zero, watched by all of these.
    #[must_use]
    pub fn new(spec: Arc<WorldSpec>, seed: Seed, options: Options, automations: Vec<A>) -> Self {
        let watcher = |automation: A| {
            let (due, prometheus) = (automation.due(), Prometheus::default());
            Watcher { due, automation, prometheus, said: Vec::new(), finished: None }
        };
        Self { run: Run::new(spec, seed, options, Idle), watchers: automations.into_iter().map(watcher).collect() }
    }

    /// The same with what monitoring remembers from before the start: series with samples up to the start.
    #[must_use]
    pub fn after(mut self, past: Store) -> Self {
        self.run = self.run.after(past);
        self
    }

    /// The same with nothing written down at scrapes but these metrics, which are all that anybody reads.
    #[must_use]
    pub fn read_for(mut self, metrics: Arc<BTreeSet<Name>>) -> Self {
        self.run = self.run.read_for(metrics);
        self
    }

    /// Runs to the horizon, each arm that acts in a run of its own from there on. The results are in the order of the automations.
    #[must_use]
    pub fn finish(mut self) -> Vec<Finished<A>> {
        let Some(last) = self.run.last(Time::MAX) else { return self.close() };
        // Who is due first changes only with what a watcher does.
        let mut watcher = self.next_watcher();
        while self.run.stopped.is_none() && self.watchers.iter().any(|watcher| watcher.finished.is_none()) {
            if self.run.advance_world_until(watcher.map_or(last, |(due, _)| due.min(last))) {
                continue;
            }
            let Some((due, index)) = watcher.filter(|(due, _)| *due <= last) else { break };
            self.advance_watcher(index, due.0);
            watcher = self.next_watcher();
        }
        // Whoever is still at work at the end is waited for, in a run of its own.
        for index in 0..self.watchers.len() {
            let watcher = &self.watchers[index];
            let is_waited_for = watcher.finished.is_none() && watcher.automation.until().is_some_and(|until| until > self.run.end);
            if is_waited_for && self.run.stopped.is_none() {
                self.fork(index, Vec::new());
            }
        }
        self.close()
    }

    /// Which of those that still watch is due first.
    fn next_watcher(&self) -> Option<((Time, Class), usize)> {
        let watching = self.watchers.iter().enumerate().filter(|(_, watcher)| watcher.finished.is_none());
        watching.filter_map(|(index, watcher)| Some((watcher.due?, index))).min()
    }

    fn advance_watcher(&mut self, index: usize, at: Time) {
        self.run.world.now = at;
        let watcher = &mut self.watchers[index];
        watcher.prometheus.tell(&self.run.world, &mut watcher.automation);
        let mut page = Journal::new();
        let mut commands = Vec::new();
        watcher.automation.advance(&self.run.store, &mut Desk { journal: &mut page, commands: &mut commands });
        watcher.due = watcher.automation.due();
        let before = self.run.world.journal.records().len();
        watcher.said.extend(page.into_records().into_iter().map(|record| (before, record)));
        if !commands.is_empty() {
            self.fork(index, commands);
        }
    }

    /// An arm acts, or is waited for: from here on it has a run of its own, which is played to its end.
    fn fork(&mut self, index: usize, commands: Vec<Command>) {
        let watcher = &mut self.watchers[index];
        let Run { mut world, observer, store, end, stopped, .. } = self.run.clone();
        world.journal = merged(&world.journal, std::mem::take(&mut watcher.said));
        let (automation, prometheus) = (watcher.automation.clone(), watcher.prometheus);
        let mut run = Run { world, observer, store, automation, due: None, commands, end, prometheus, stopped };
        run.take_orders();
        self.watchers[index].finished = Some(run.finish());
    }

    /// The end of the trunk is the end of all who never acted.
    fn close(self) -> Vec<Finished<A>> {
        let Self { run, watchers } = self;
        let trunk = watchers.iter().any(|watcher| watcher.finished.is_none()).then(|| run.close());
        let ended = |watcher: Watcher<A>| match watcher.finished {
            Some(finished) => finished,
            None => {
                let trunk = trunk.as_ref().expect("the trunk ends if anybody watched to its end");
                Finished {
                    journal: merged(&trunk.journal, watcher.said),
                    ledger: trunk.ledger.clone(),
                    telemetry: trunk.telemetry.clone(),
                    automation: watcher.automation,
                }
            }
        };
        watchers.into_iter().map(ended).collect()
    }
}

/// The world's records with those of one automation in between, where it wrote them.
fn merged(world: &Journal, said: Vec<(usize, Record)>) -> Journal {
    let mut journal = Journal::new();
    let mut said = said.into_iter().peekable();
    for (index, record) in world.records().iter().enumerate() {
        while let Some((_, record)) = said.next_if(|(before, _)| *before <= index) {
            journal.write(record.at, record.event);
        }
        journal.write(record.at, record.event.clone());
    }
    said.for_each(|(_, record)| journal.write(record.at, record.event));
    journal
}
