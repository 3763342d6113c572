//! A program put to stores: what is asked of it, and what it remembers between evaluations.

use std::sync::Arc;

use super::super::evaluator::{Evaluator, Span};
use super::super::plan::{self, Plan};
use super::super::value::{Element, EvalError, Outcome, Sample, Value};
use super::cell::{Cell, NONE};
use super::numbering::Numbering;
use super::pass::{Buffer, Clock, Pass, Room, twin};
use super::program::{Kind, NodeIndex, Program, QueryId, Rows};
use super::table::Bound;
use crate::labels::{Labels, METRIC_NAME};
use crate::store::Store;

/// Evaluates a [`Program`] over stores that grow.
///
/// A clone goes its own way: it shares what is known about the series until one of the two learns more, and evaluates everything anew.
#[derive(Debug)]
pub struct Machine {
    program: Arc<Program>,
    /// The program that it was made with, to go back to.
    given: Arc<Program>,
    bound: Bound,
    results: Vec<Arc<Result>>,
    buffers: Vec<Buffer>,
    room: Room,
    plain: Evaluator,
    /// What was seen of the sources at the last evaluation.
    seen: Vec<Seen>,
    at_ms: i64,
    clock: Clock,
    output: Vec<Cell>,
}

/// The labels of a query's results: numbered without the names that were dropped.
#[derive(Debug, Clone, Default)]
struct Result {
    labels: Numbering,
    /// By row of the root: the number with the name, and without it; [`NONE`] if it was not needed yet.
    numbers: Vec<[u32; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    generation: u64,
    version: u64,
    series: usize,
}

/// The result of an evaluation.
#[derive(Debug, Clone)]
pub enum Answer<'m> {
    /// One number without labels.
    Scalar(f64),
    /// Elements in the order of evaluation.
    Vector(Elements<'m>),
    /// A text or a range vector, which no rule can use.
    Other(Value),
}

/// The elements of a result.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'m> {
    cells: &'m [Cell],
    labels: Option<&'m Numbering>,
}

impl Clone for Machine {
    fn clone(&self) -> Machine {
        let mut clone = Machine::new(self.program.clone());
        clone.given = self.given.clone();
        clone.bound = self.bound.clone();
        clone.results.clone_from(&self.results);
        clone.seen.clone_from(&self.seen);
        clone
    }
}

impl Machine {
    /// A machine that has seen no series yet.
    pub fn new(program: Arc<Program>) -> Machine {
        Machine {
            given: program.clone(),
            program,
            bound: Bound::default(),
            results: Vec::new(),
            buffers: Vec::new(),
            room: Room::default(),
            plain: Evaluator::new(),
            seen: Vec::new(),
            at_ms: i64::MIN,
            clock: Clock::default(),
            output: Vec::new(),
        }
    }

    /// The program, with what was added to it.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Adds a plan; what it has in common with others is shared.
    pub fn add(&mut self, plan: &Plan) -> QueryId {
        Arc::make_mut(&mut self.program).add(plan)
    }

    /// Adds a part of a plan.
    pub(crate) fn add_part(&mut self, plan: &Plan, part: &plan::Node) -> QueryId {
        let program = Arc::make_mut(&mut self.program);
        let root = program.weave(plan, part);
        program.queries.push(root);
        QueryId(program.queries.len() - 1)
    }

    /// Forgets all plans that were added to the program that the machine was made with.
    pub fn forget_added(&mut self) {
        self.program = self.given.clone();
        self.bound.truncate(&self.program);
        self.buffers.truncate(self.program.nodes.len());
        self.results.truncate(self.program.queries.len());
    }

    /// Evaluates a query at a moment, milliseconds since 1970, over the union of the sources. Of one label set in two sources the earlier source's
    /// samples count.
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate(&mut self, query: QueryId, at_ms: i64, sources: &[&Store]) -> std::result::Result<Answer<'_>, EvalError> {
        self.look(at_ms, sources);
        let root = self.program.queries[query.0];
        if let Kind::Plain { plan } = &self.program.nodes[root].kind {
            // Not every result of the plain evaluator can be written as cells.
            return self.plain.evaluate(plan, at_ms, sources).map(Answer::Other);
        }
        self.fill(root, at_ms, sources);
        if self.program.is_scalar(root) {
            let buffer = &self.buffers[root];
            buffer.vector()?;
            return Ok(Answer::Scalar(buffer.scalar));
        }
        self.finish(query, root)
    }

    /// As [`Machine::evaluate`], with the labels and names as they are before the end of an expression.
    pub(crate) fn outcome(&mut self, query: QueryId, at_ms: i64, sources: &[&Store]) -> std::result::Result<Outcome, EvalError> {
        self.look(at_ms, sources);
        let root = self.program.queries[query.0];
        let node = &self.program.nodes[root];
        if let Kind::Plain { plan } = &node.kind {
            return self.plain.scope(plan, Span { start_ms: at_ms, end_ms: at_ms }, sources)?.node(&plan.root, at_ms);
        }
        let rows = node.rows;
        self.fill(root, at_ms, sources);
        let buffer = &self.buffers[root];
        let cells = buffer.vector()?;
        if rows == Rows::Scalar {
            return Ok(Outcome::Scalar(buffer.scalar));
        }
        let element =
            |cell: &Cell| Element { labels: self.bound.labels(rows, cell.row).clone(), value: cell.value, drop_name: cell.dropped };
        Ok(Outcome::Vector(cells.iter().map(element).collect()))
    }

    fn fill(&mut self, root: NodeIndex, at_ms: i64, sources: &[&Store]) {
        let mut pass = Pass {
            program: &self.program,
            bound: &mut self.bound,
            buffers: &mut self.buffers,
            room: &mut self.room,
            plain: &mut self.plain,
            clock: &self.clock,
            sources,
            root_ms: at_ms,
        };
        pass.fill(root, at_ms);
    }

    /// Notices what is new: plans, series, samples, and the moment.
    fn look(&mut self, at_ms: i64, sources: &[&Store]) {
        self.clock.now += 1;
        let now = self.clock.now;
        let mut is_new = self.bound.tables.len() < self.program.nodes.len() || self.bound.outlooks.len() < self.program.nodes.len();
        let known = self.bound.found.len();
        if is_new || self.buffers.len() < self.program.nodes.len() || self.results.len() < self.program.queries.len() {
            self.bound.extend(&self.program);
            self.buffers.resize_with(self.program.nodes.len(), Buffer::default);
            self.results.resize_with(self.program.queries.len(), Arc::default);
        }
        let of = |store: &&Store| Seen { generation: store.generation(), version: store.version(), series: store.len() };
        let is_descendant =
            |(seen, store): (&Seen, &&Store)| store.generation_of(seen.series).is_some_and(|generation| generation == seen.generation);
        if self.seen.len() != sources.len() || !self.seen.iter().zip(sources).all(is_descendant) {
            // Other stores than before.
            self.choose(0, sources);
            (is_new, self.clock.moved) = (true, now);
        } else {
            if known < self.program.selections.len() {
                self.choose(known, sources);
                is_new = true;
            }
            if self.seen.iter().zip(sources).any(|(seen, store)| seen.series != store.len()) {
                is_new |= self.take_in_births(known, sources);
                self.clock.moved = now;
            }
        }
        if is_new {
            self.bound.look_ahead(&self.program);
        }
        if self.at_ms != at_ms {
            (self.at_ms, self.clock.moved) = (at_ms, now);
        }
        self.clock.changed.resize(sources.len(), now);
        self.seen.resize(sources.len(), Seen { generation: 0, version: 0, series: 0 });
        for ((seen, changed), store) in self.seen.iter_mut().zip(&mut self.clock.changed).zip(sources) {
            if *seen != of(store) {
                (*seen, *changed) = (of(store), now);
            }
        }
    }

    /// Chooses the series of all selections from one on.
    fn choose(&mut self, first: usize, sources: &[&Store]) {
        for (found, selection) in self.bound.found[first..].iter_mut().zip(&self.program.selections[first..]) {
            Arc::make_mut(found).choose(selection, sources);
        }
    }

    /// Adds the series that were born since last time to the selections that were there then. Tells whether a selection came to read a source that it
    /// had not read before.
    fn take_in_births(&mut self, known: usize, sources: &[&Store]) -> bool {
        let mut touched = std::collections::BTreeSet::new();
        for (source, (seen, store)) in self.seen.iter().zip(sources).enumerate() {
            for id in store.ids_from(seen.series) {
                let labels = store.labels(id);
                let named = labels.metric_name().and_then(|name| self.program.by_metric.get(name));
                for index in named.into_iter().flatten().chain(&self.program.of_any_metric).filter(|index| **index < known) {
                    if self.program.selections[*index].matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
                        Arc::make_mut(&mut self.bound.found[*index]).add(source, store, id);
                        touched.insert(*index);
                    }
                }
            }
        }
        let mut is_news = false;
        for index in touched {
            let found = Arc::make_mut(&mut self.bound.found[index]);
            let before = found.sources;
            found.settle(sources);
            is_news |= found.sources != before;
        }
        is_news
    }

    /// Drops the names that operations have marked, and refuses labels that are no longer unique.
    fn finish(&mut self, query: QueryId, root: NodeIndex) -> std::result::Result<Answer<'_>, EvalError> {
        let cells = self.buffers[root].vector()?;
        self.output.clear();
        if cells.is_empty() {
            return Ok(Answer::Vector(Elements { cells: &[], labels: None }));
        }
        let rows = self.bound.rows(self.program.nodes[root].rows).expect("it is a vector");
        let result = &mut self.results[query.0];
        let number =
            |result: &Result, cell: &Cell| result.numbers.get(cell.row as usize).map_or(NONE, |numbers| numbers[usize::from(cell.dropped)]);
        if cells.iter().any(|cell| number(result, cell) == NONE) {
            let result = Arc::make_mut(result);
            result.numbers.resize(rows.len(), [NONE; 2]);
            for cell in cells {
                let labels = rows.labels(cell.row);
                let number = &mut result.numbers[cell.row as usize][usize::from(cell.dropped)];
                if *number == NONE {
                    *number = match cell.dropped {
                        true => result.labels.whole(&labels.without(METRIC_NAME)),
                        false => result.labels.whole(labels),
                    };
                }
            }
        }
        self.output.extend(cells.iter().map(|cell| Cell { row: number(result, cell), ..*cell }));
        if self.output.iter().any(|cell| cell.dropped)
            && let Some(row) = twin(&self.output, self.room.scratch.slots(result.labels.len()))
        {
            return Err(EvalError::SameLabels { labels: result.labels.labels(row).to_string() });
        }
        Ok(Answer::Vector(Elements { cells: &self.output, labels: Some(&result.labels) }))
    }
}

impl<'m> Elements<'m> {
    /// The elements in the order of evaluation: a number that stands for the labels, for this query, as long as the machine lives; the labels; the
    /// value.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'m Labels, f64)> + use<'m> {
        let labels = self.labels;
        self.cells.iter().filter_map(move |cell| Some((cell.row as usize, labels?.labels(cell.row), cell.value)))
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl From<Answer<'_>> for Value {
    fn from(answer: Answer<'_>) -> Value {
        match answer {
            Answer::Scalar(value) => Value::Scalar(value),
            Answer::Vector(elements) => {
                Value::Vector(elements.iter().map(|(_, labels, value)| Sample { labels: labels.clone(), value }).collect())
            }
            Answer::Other(value) => value,
        }
    }
}
