//! One evaluation: each node that is asked for, once.

use std::sync::Arc;

use super::super::evaluator::{Evaluator, Span, elements};
use super::super::functions::{clamp, round};
use super::super::histogram::{self, Bucket};
use super::super::plan::{AggregationOperator, At, Moment, Plan};
use super::super::sum::quantile;
use super::super::value::{EvalError, Outcome};
use super::super::window::{Window, WindowContext, WindowFunction};
use super::aggregate::{Aggregating, States};
use super::cell::{Cell, NONE, Scratch, map, sort, with_scalar};
use super::join::{Sides, Unjoined};
use super::program::{Kind, NodeIndex, Program, Rows, Samples, Steps};
use super::table::{Bound, Table};
use super::window::{self, Cursor, Frame, Live};
use crate::store::Store;

/// What a node yielded last, and when.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffer {
    pub cells: Vec<Cell>,
    pub scalar: f64,
    pub error: Option<EvalError>,
    at_ms: i64,
    /// The count of evaluations when it was filled; 0: never.
    filled: u64,
    cursors: Vec<Cursor>,
    gathered: Gathered,
}

/// The steps of a subquery by the row of its inside.
#[derive(Debug, Clone, Default)]
struct Gathered {
    /// Rows in the order in which they appeared.
    lines: Vec<Line>,
    used: usize,
    /// The line of a row.
    slots: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
struct Line {
    row: u32,
    dropped: bool,
    times: Vec<i64>,
    values: Vec<f64>,
}

/// Room that is shared by all nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    pub scratch: Scratch,
    states: States,
    live: Live,
    buckets: Vec<Vec<Bucket>>,
    unknown: Vec<Cell>,
}

/// When what changed, counted in evaluations.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    /// This evaluation.
    pub now: u64,
    /// The last evaluation at which the moment or the series were others.
    pub moved: u64,
    /// By source: the last evaluation at which its samples were others.
    pub changed: Vec<u64>,
}

/// An evaluation under way.
pub(super) struct Pass<'m> {
    pub program: &'m Program,
    pub bound: &'m mut Bound,
    pub buffers: &'m mut [Buffer],
    pub room: &'m mut Room,
    pub plain: &'m mut Evaluator,
    pub clock: &'m Clock,
    pub sources: &'m [&'m Store],
    /// The moment of the whole evaluation, which `@ start()` and `@ end()` mean.
    pub root_ms: i64,
}

impl Buffer {
    /// The elements, or why there are none.
    pub(super) fn vector(&self) -> Result<&[Cell], EvalError> {
        match &self.error {
            None => Ok(&self.cells),
            Some(error) => Err(error.clone()),
        }
    }

    fn number(&self) -> Result<f64, EvalError> {
        match &self.error {
            None => Ok(self.scalar),
            Some(error) => Err(error.clone()),
        }
    }
}

impl Pass<'_> {
    /// Fills the buffer of a node, unless it holds what it would be filled with.
    pub(super) fn fill(&mut self, node: NodeIndex, at_ms: i64) {
        let outlook = self.bound.outlooks[node];
        let buffer = &mut self.buffers[node];
        if outlook.is_off {
            buffer.cells.clear();
            buffer.error = None;
            return;
        }
        if buffer.at_ms == at_ms && buffer.filled >= self.clock.moved && self.clock.changed_within(outlook.sources) <= buffer.filled {
            return;
        }
        let mut buffer = std::mem::take(buffer);
        buffer.cells.clear();
        buffer.error = None;
        if let Err(error) = self.evaluate(node, at_ms, &mut buffer) {
            buffer.cells.clear();
            buffer.error = Some(error);
        }
        (buffer.at_ms, buffer.filled) = (at_ms, self.clock.now);
        self.buffers[node] = buffer;
    }

    fn scalar(&mut self, node: NodeIndex, at_ms: i64) -> Result<f64, EvalError> {
        // Most are written in the rule.
        if let Kind::Number(value) = self.program.nodes[node].kind {
            return Ok(value);
        }
        self.fill(node, at_ms);
        self.buffers[node].number()
    }

    fn scalar_or(&mut self, node: Option<NodeIndex>, default: f64, at_ms: i64) -> Result<f64, EvalError> {
        node.map_or(Ok(default), |node| self.scalar(node, at_ms))
    }

    fn vector(&mut self, node: NodeIndex, at_ms: i64) -> Result<&[Cell], EvalError> {
        self.fill(node, at_ms);
        self.buffers[node].vector()
    }

    fn evaluate(&mut self, node: NodeIndex, at_ms: i64, buffer: &mut Buffer) -> Result<(), EvalError> {
        let program = self.program;
        let out = &mut buffer.cells;
        match &program.nodes[node].kind {
            Kind::Number(value) => buffer.scalar = *value,
            Kind::Time => buffer.scalar = at_ms as f64 / 1_000.0,
            Kind::Instant { .. } | Kind::SampleTime { .. } => self.newest(&program.nodes[node].kind, at_ms, buffer),
            Kind::EvaluationTime { input } => map(self.vector(*input, at_ms)?, out, |_| at_ms as f64 / 1_000.0),
            Kind::Window { function, samples, parameter } => {
                let parameter = self.scalar_or(*parameter, 0.0, at_ms)?;
                self.windows(*function, samples, WindowContext { parameter, at_ms }, buffer)?;
            }
            Kind::Negate { input } if program.nodes[node].rows == Rows::Scalar => buffer.scalar = -self.scalar(*input, at_ms)?,
            Kind::Negate { input } => map(self.vector(*input, at_ms)?, out, |value| -value),
            Kind::Map { function, input } => map(self.vector(*input, at_ms)?, out, function),
            Kind::Date { part, input: None } => out.push(Cell { value: part.of(at_ms as f64 / 1_000.0), row: 0, dropped: false }),
            Kind::Date { part, input: Some(input) } => map(self.vector(*input, at_ms)?, out, |value| part.of(value)),
            Kind::Round { input, nearest } => {
                let nearest = self.scalar_or(*nearest, 1.0, at_ms)?;
                map(self.vector(*input, at_ms)?, out, |value| round(value, nearest));
            }
            Kind::Clamp { input, least, most } => {
                self.vector(*input, at_ms)?;
                let least = self.scalar_or(*least, f64::NEG_INFINITY, at_ms)?;
                let most = self.scalar_or(*most, f64::INFINITY, at_ms)?;
                // Not when one of them is NaN.
                if most >= least || most.is_nan() || least.is_nan() {
                    map(&self.buffers[*input].cells, out, |value| clamp(value, least, most));
                }
            }
            Kind::Vector { scalar } => out.push(Cell { value: self.scalar(*scalar, at_ms)?, row: 0, dropped: false }),
            Kind::Scalar { input } => {
                buffer.scalar = match self.vector(*input, at_ms)? {
                    [only] => only.value,
                    _ => f64::NAN,
                }
            }
            Kind::Absent { input, .. } => {
                if self.vector(*input, at_ms)?.is_empty() {
                    out.push(Cell { value: 1.0, row: 0, dropped: false });
                }
            }
            Kind::AbsentOverTime { samples, .. } => self.absent_over_time(samples, at_ms, buffer)?,
            Kind::Calculate { operator, left, right } => {
                let (left, right) = (self.scalar(*left, at_ms)?, self.scalar(*right, at_ms)?);
                buffer.scalar = match operator.holds(left, right) {
                    Some(holds) => f64::from(u8::from(holds)),
                    None => operator.calculate(left, right),
                };
            }
            Kind::WithScalar { .. } => self.with_scalar(&program.nodes[node].kind, at_ms, out)?,
            Kind::Sort { input, descending } => {
                let cells = self.vector(*input, at_ms)?.len();
                let (order, cells) = (&mut self.room.scratch.order, &self.buffers[*input].cells[..cells]);
                order.clear();
                order.extend(0..cells.len() as u32);
                sort(cells, order, *descending);
                out.extend(order.iter().map(|index| cells[*index as usize]));
            }
            Kind::HistogramQuantile { .. }
            | Kind::HistogramFraction { .. }
            | Kind::Relabel { .. }
            | Kind::Aggregate { .. }
            | Kind::Join { .. }
            | Kind::Set { .. } => self.relate(node, at_ms, out)?,
            Kind::Plain { plan } => self.plainly(node, plan, at_ms, buffer)?,
        }
        Ok(())
    }

    /// The operations that need the node's table.
    fn relate(&mut self, node: NodeIndex, at_ms: i64, out: &mut Vec<Cell>) -> Result<(), EvalError> {
        match &self.program.nodes[node].kind {
            Kind::HistogramQuantile { quantile, input } => {
                let quantile = self.scalar(*quantile, at_ms)?;
                self.vector(*input, at_ms)?;
                self.histograms(node, *input, out, |buckets| histogram::quantile(quantile, buckets).value);
            }
            Kind::HistogramFraction { lower, upper, input } => {
                let (lower, upper) = (self.scalar(*lower, at_ms)?, self.scalar(*upper, at_ms)?);
                self.vector(*input, at_ms)?;
                self.histograms(node, *input, out, |buckets| histogram::fraction(lower, upper, buckets));
            }
            Kind::Relabel { input, .. } => {
                self.vector(*input, at_ms)?;
                self.relabel(node, *input, out)?;
            }
            Kind::Aggregate { input, aggregate, parameter } => {
                let parameter = self.scalar_or(*parameter, 0.0, at_ms)?;
                self.vector(*input, at_ms)?;
                self.aggregate(node, *input, (&aggregate.operator, parameter), out)?;
            }
            Kind::Join { left, right, .. } => {
                self.vector(*left, at_ms)?;
                self.vector(*right, at_ms)?;
                self.join(node, out)?;
            }
            Kind::Set { left, right, operator, .. } => {
                self.vector(*left, at_ms)?;
                self.vector(*right, at_ms)?;
                self.bound.catch_up(self.program, node);
                let sides = Sides { left: &self.buffers[*left].cells, right: &self.buffers[*right].cells, table: &self.bound.tables[node] };
                sides.set(*operator, &mut self.room.scratch, out);
            }
            _ => unreachable!("only operations with a table come here"),
        }
        Ok(())
    }

    fn newest(&mut self, kind: &Kind, at_ms: i64, buffer: &mut Buffer) {
        let (Kind::Instant { selection, moment } | Kind::SampleTime { selection, moment }) = kind else {
            unreachable!("only instant selectors look for the newest sample")
        };
        let end_ms = self.moment(*moment, at_ms);
        let found = &self.bound.found[*selection];
        let Buffer { cells, cursors, .. } = buffer;
        match kind {
            Kind::Instant { .. } => window::newest(found, self.sources, end_ms, cursors, cells, |_, value| value),
            _ => {
                window::newest(found, self.sources, end_ms, cursors, cells, |time_ms, _| time_ms as f64 / 1_000.0);
                cells.iter_mut().for_each(|cell| cell.dropped = true);
            }
        }
    }

    fn windows(
        &mut self,
        function: WindowFunction,
        samples: &Samples,
        context: WindowContext,
        buffer: &mut Buffer,
    ) -> Result<(), EvalError> {
        let keeps_name = function.keeps_name();
        match samples {
            Samples::Range { selection, range_ms, moment } => {
                let frame = Frame { end_ms: self.moment(*moment, context.at_ms), range_ms: *range_ms };
                let found = &self.bound.found[*selection];
                let Room { scratch, live, .. } = &mut *self.room;
                let Buffer { cells, cursors, .. } = buffer;
                window::each(found, self.sources, frame, (cursors, live), |row, window| {
                    if let Some(value) = value_of(function, window, context, &mut scratch.numbers) {
                        cells.push(Cell { value, row, dropped: !keeps_name });
                    }
                });
            }
            Samples::Subquery { inner, steps } => {
                let end_ms = self.gather(*inner, *steps, context.at_ms, &mut buffer.gathered)?;
                let Gathered { lines, used, .. } = &buffer.gathered;
                for Line { row, dropped, times, values } in &lines[..*used] {
                    let window = Window { times, values, end_ms, range_ms: steps.range_ms, may_fall: true };
                    if let Some(value) = value_of(function, window, context, &mut self.room.scratch.numbers) {
                        buffer.cells.push(Cell { value, row: *row, dropped: !keeps_name || *dropped });
                    }
                }
            }
        }
        Ok(())
    }

    fn absent_over_time(&mut self, samples: &Samples, at_ms: i64, buffer: &mut Buffer) -> Result<(), EvalError> {
        let mut is_empty = true;
        match samples {
            Samples::Range { selection, range_ms, moment } => {
                let frame = Frame { end_ms: self.moment(*moment, at_ms), range_ms: *range_ms };
                let found = &self.bound.found[*selection];
                window::each(found, self.sources, frame, (&mut buffer.cursors, &mut self.room.live), |_, _| is_empty = false);
            }
            Samples::Subquery { inner, steps } => {
                self.gather(*inner, *steps, at_ms, &mut buffer.gathered)?;
                is_empty = buffer.gathered.used == 0;
            }
        }
        if is_empty {
            buffer.cells.push(Cell { value: 1.0, row: 0, dropped: false });
        }
        Ok(())
    }

    /// Evaluates the inside of a subquery at each of its steps; gives the end of its window.
    fn gather(&mut self, inner: NodeIndex, steps: Steps, at_ms: i64, gathered: &mut Gathered) -> Result<i64, EvalError> {
        let Steps { range_ms, step_ms, moment, .. } = steps;
        let end_ms = self.moment(moment, at_ms);
        let Gathered { lines, used, slots } = gathered;
        slots.iter_mut().for_each(|slot| *slot = NONE);
        *used = 0;
        let mut step = ((end_ms - range_ms).div_euclid(step_ms) + 1) * step_ms;
        while step <= end_ms {
            self.fill(inner, step);
            for Cell { value, row, dropped } in self.buffers[inner].vector()? {
                if slots.len() <= *row as usize {
                    slots.resize(*row as usize + 1, NONE);
                }
                if slots[*row as usize] == NONE {
                    slots[*row as usize] = *used as u32;
                    if lines.len() == *used {
                        lines.push(Line::default());
                    }
                    let line = &mut lines[*used];
                    (line.row, line.dropped) = (*row, false);
                    line.times.clear();
                    line.values.clear();
                    *used += 1;
                }
                let line = &mut lines[slots[*row as usize] as usize];
                if line.times.last() == Some(&step) {
                    let labels = self.bound.labels(self.program.nodes[inner].rows, *row);
                    return Err(EvalError::SameLabels { labels: labels.to_string() });
                }
                line.times.push(step);
                line.values.push(*value);
                line.dropped |= dropped;
            }
            step += step_ms;
        }
        Ok(end_ms)
    }

    fn with_scalar(&mut self, kind: &Kind, at_ms: i64, out: &mut Vec<Cell>) -> Result<(), EvalError> {
        let Kind::WithScalar { operator, yields_bool, vector, scalar, vector_is_left } = kind else {
            unreachable!("only this operator has a number on one side")
        };
        // The left side fails first.
        if *vector_is_left {
            self.vector(*vector, at_ms)?;
        }
        let number = self.scalar(*scalar, at_ms)?;
        let cells = self.vector(*vector, at_ms)?;
        match vector_is_left {
            true => with_scalar(cells, out, *operator, *yields_bool, |value| (value, number)),
            false => with_scalar(cells, out, *operator, *yields_bool, |value| (number, value)),
        }
        Ok(())
    }

    fn histograms(&mut self, node: NodeIndex, input: NodeIndex, out: &mut Vec<Cell>, value: impl Fn(&mut Vec<Bucket>) -> f64) {
        self.bound.catch_up(self.program, node);
        let Room { scratch, buckets, .. } = &mut *self.room;
        let table = &self.bound.tables[node];
        let slots = scratch.slots(table.rows.len());
        for cell in &self.buffers[input].cells {
            let link = table.left[cell.row as usize];
            if link.row == NONE {
                continue;
            }
            if slots[link.row as usize] == NONE {
                slots[link.row as usize] = out.len() as u32;
                if buckets.len() == out.len() {
                    buckets.push(Vec::new());
                }
                buckets[out.len()].clear();
                out.push(Cell { value: 0.0, row: link.row, dropped: true });
            }
            buckets[slots[link.row as usize] as usize].push(Bucket { upper: link.upper, count: cell.value });
        }
        for (cell, buckets) in out.iter_mut().zip(buckets) {
            cell.value = value(buckets);
            slots[cell.row as usize] = NONE;
        }
    }

    fn relabel(&mut self, node: NodeIndex, input: NodeIndex, out: &mut Vec<Cell>) -> Result<(), EvalError> {
        self.bound.catch_up(self.program, node);
        let table = &self.bound.tables[node];
        let links = self.buffers[input].cells.iter().map(|cell| (cell, table.left[cell.row as usize]));
        out.extend(links.map(|(cell, link)| Cell { value: cell.value, row: link.row, dropped: cell.dropped && link.key == 1 }));
        match twin(out, self.room.scratch.slots(table.rows.len())) {
            None => Ok(()),
            Some(row) => Err(EvalError::SameLabels { labels: table.rows.labels(row).to_string() }),
        }
    }

    fn aggregate(
        &mut self,
        node: NodeIndex,
        input: NodeIndex,
        (operator, parameter): (&AggregationOperator, f64),
        out: &mut Vec<Cell>,
    ) -> Result<(), EvalError> {
        self.bound.catch_up(self.program, node);
        loop {
            let Room { scratch, states, unknown, .. } = &mut *self.room;
            let table: &Table = &self.bound.tables[node];
            let mut aggregating = Aggregating { cells: &self.buffers[input].cells, table, scratch, states };
            match operator {
                AggregationOperator::Top => return aggregating.rank(true, parameter, out),
                AggregationOperator::Bottom => return aggregating.rank(false, parameter, out),
                AggregationOperator::CountValues(_) => aggregating.count_values(unknown, out),
                _ => aggregating.apply(operator, parameter, out),
            }
            if self.room.unknown.is_empty() {
                return Ok(());
            }
            self.bound.count_up(self.program, node, &self.room.unknown);
            self.room.unknown.clear();
        }
    }

    fn join(&mut self, node: NodeIndex, out: &mut Vec<Cell>) -> Result<(), EvalError> {
        let Kind::Join { left, right, join } = &self.program.nodes[node].kind else { unreachable!("it is a join") };
        self.bound.catch_up(self.program, node);
        loop {
            let (left_cells, right_cells) = (&self.buffers[*left].cells, &self.buffers[*right].cells);
            let bound = &*self.bound;
            let sides = Sides { left: left_cells, right: right_cells, table: &bound.tables[node] };
            let labels = |is_left: bool, row: u32| bound.labels(self.program.nodes[if is_left { *left } else { *right }].rows, row);
            match sides.join(join, &mut self.room.scratch, out, labels) {
                Ok(()) => return Ok(()),
                Err(Unjoined::Failed(error)) => return Err(error),
                Err(Unjoined::Unknown(pairs)) => self.bound.pair_up(self.program, node, &pairs),
            }
        }
    }

    fn plainly(&mut self, node: NodeIndex, plan: &Arc<Plan>, at_ms: i64, buffer: &mut Buffer) -> Result<(), EvalError> {
        let span = Span { start_ms: self.root_ms, end_ms: self.root_ms };
        match self.plain.scope(plan, span, self.sources)?.node(&plan.root, at_ms)? {
            Outcome::Scalar(value) => buffer.scalar = value,
            outcome => self.bound.number(node, &elements(outcome), &mut buffer.cells),
        }
        Ok(())
    }

    fn moment(&self, moment: Moment, at_ms: i64) -> i64 {
        let base_ms = match moment.at {
            None => at_ms,
            Some(At::Start | At::End) => self.root_ms,
            Some(At::Time(time_ms)) => time_ms,
        };
        base_ms - moment.offset_ms
    }
}

/// The value of a window; the quantile's numbers are sorted in a place that is kept.
fn value_of(function: WindowFunction, window: Window<'_>, context: WindowContext, numbers: &mut Vec<f64>) -> Option<f64> {
    if function == WindowFunction::Quantile {
        numbers.clear();
        numbers.extend_from_slice(window.values);
        return Some(quantile(context.parameter, numbers));
    }
    function.of(window, context)
}

/// The first row that stands a second time.
pub(super) fn twin(cells: &[Cell], slots: &mut [u32]) -> Option<u32> {
    let mut twin = None;
    for cell in cells {
        if std::mem::replace(&mut slots[cell.row as usize], 0) != NONE {
            twin = Some(cell.row);
            break;
        }
    }
    cells.iter().for_each(|cell| slots[cell.row as usize] = NONE);
    twin
}

impl Clock {
    /// The last evaluation at which the samples of one of these sources were others.
    fn changed_within(&self, sources: u64) -> u64 {
        let is_in = |source: usize| sources & super::table::source_bit(source) != 0;
        self.changed.iter().enumerate().filter(|(source, _)| is_in(*source)).map(|(_, changed)| *changed).max().unwrap_or(0)
    }
}
