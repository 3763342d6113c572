//! What is known about a node's elements before there are values: their label sets, groups, partners and new labels.
//!
//! Everything here grows with the series that are seen and is never taken back, so a row's number means the same for as long as a machine lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::histogram::{BOUND, bound};
use super::super::plan::{AggregationOperator, BinaryOperator, Many};
use super::super::value::{Element, written};
use super::cell::{Cell, NONE};
use super::numbering::Numbering;
use super::program::{Aggregate, Join, Kind, NodeIndex, Program, Relabelling, Rows, Samples, Selection};
use crate::labels::{Labels, METRIC_NAME};
use crate::store::{SeriesId, Store};

/// The series of a selection in all sources, sorted by label bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub members: Vec<Member>,
    pub rows: Numbering,
    /// The sources that have a member, one bit each.
    pub sources: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub source: usize,
    pub id: SeriesId,
    pub row: u32,
}

/// What a node's operation needs to know about a row of its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The group of the row, or its key in a join.
    pub key: u32,
    /// The row of the result.
    pub row: u32,
    /// The upper bound of a histogram's bucket.
    pub upper: f64,
}

/// What is known about the elements of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The label sets of the results.
    pub rows: Numbering,
    /// Groups, or the keys of a join.
    pub keys: Numbering,
    /// By the row of the input, or of the left side.
    pub left: Vec<Link>,
    /// By the row of the right side.
    pub right: Vec<Link>,
    /// Results that depend on two things: the row of the many side with that of the one side, or a row with the bits of its value.
    pub pairs: BTreeMap<(u32, u64), u32>,
}

/// A part of a program whose values are known to be none, until a series is born.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outlook {
    /// The sources that the node depends on, one bit each.
    pub sources: u64,
    /// It has no element, whatever the samples.
    pub is_empty: bool,
    /// Evaluating it may fail.
    pub can_fail: bool,
    /// Empty, and nothing below it can fail: it need not be evaluated.
    pub is_off: bool,
}

/// A program put to a universe of series.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    pub found: Vec<Arc<Found>>,
    pub tables: Vec<Arc<Table>>,
    pub outlooks: Vec<Outlook>,
}

impl Found {
    /// Chooses among all series of all sources; rows that were given before stay.
    pub(super) fn choose(&mut self, selection: &Selection, sources: &[&Store]) {
        self.members.clear();
        for (source, store) in sources.iter().enumerate() {
            for id in store.select(&selection.matchers) {
                self.add(source, store, id);
            }
        }
        self.settle(sources);
    }

    pub(super) fn add(&mut self, source: usize, store: &Store, id: SeriesId) {
        let row = self.rows.whole(store.labels(id));
        self.members.push(Member { source, id, row });
    }

    /// Restores the order after members were added; of two with the same labels that of the earlier source stays.
    pub(super) fn settle(&mut self, sources: &[&Store]) {
        let Found { members, rows, .. } = self;
        let labels = |member: &Member| sources[member.source].labels(member.id);
        members.sort_by(|left, right| labels(left).cmp(labels(right)).then(left.source.cmp(&right.source)));
        members.dedup_by(|later, earlier| later.row == earlier.row);
        debug_assert!(members.iter().all(|member| (member.row as usize) < rows.len()));
        self.sources = members.iter().fold(0, |sources, member| sources | source_bit(member.source));
    }
}

/// The bit of a source; sources beyond the last bit share it.
pub(super) fn source_bit(source: usize) -> u64 {
    1 << source.min(63)
}

impl Bound {
    /// Makes room for what was added to the program.
    pub(super) fn extend(&mut self, program: &Program) {
        self.found.resize_with(program.selections.len(), Arc::default);
        for node in &program.nodes[self.tables.len()..] {
            let mut table = Table::default();
            match &node.kind {
                Kind::Vector { .. } | Kind::Date { input: None, .. } => _ = table.rows.whole(&Labels::empty()),
                Kind::Absent { labels, .. } | Kind::AbsentOverTime { labels, .. } => _ = table.rows.whole(labels),
                _ => {}
            }
            self.tables.push(Arc::new(table));
        }
    }

    pub(super) fn truncate(&mut self, program: &Program) {
        self.found.truncate(program.selections.len());
        self.tables.truncate(program.nodes.len());
        self.outlooks.truncate(program.nodes.len());
    }

    pub(super) fn rows(&self, rows: Rows) -> Option<&Numbering> {
        match rows {
            Rows::Scalar => None,
            Rows::Selection(selection) => Some(&self.found[selection].rows),
            Rows::Node(node) => Some(&self.tables[node].rows),
        }
    }

    fn count(&self, program: &Program, node: NodeIndex) -> usize {
        self.rows(program.nodes[node].rows).map_or(0, Numbering::len)
    }

    pub(super) fn labels(&self, rows: Rows, row: u32) -> &Labels {
        self.rows(rows).expect("only vectors have rows").labels(row)
    }

    /// Works out anew which nodes are empty whatever the samples.
    pub(super) fn look_ahead(&mut self, program: &Program) {
        self.outlooks.clear();
        for node in &program.nodes {
            let outlook = self.outlook(&node.kind);
            self.outlooks.push(outlook);
        }
    }

    fn outlook(&self, kind: &Kind) -> Outlook {
        let own = kind.selection().map(|selection| self.found[selection].sources);
        let mut sources = own.unwrap_or(0);
        let mut inputs_can_fail = false;
        kind.each_input(|input| {
            sources |= self.outlooks[input].sources;
            inputs_can_fail |= self.outlooks[input].can_fail;
        });
        let is_empty = |input: &NodeIndex| self.outlooks[*input].is_empty;
        let (is_empty, own_can_fail) = match kind {
            Kind::Plain { .. } => {
                sources = u64::MAX;
                (false, true)
            }
            Kind::Instant { .. } | Kind::SampleTime { .. } => (own == Some(0), false),
            Kind::Window { samples, .. } => match samples {
                Samples::Range { .. } => (own == Some(0), false),
                Samples::Subquery { inner, .. } => (is_empty(inner), true),
            },
            Kind::AbsentOverTime { .. } => (false, true),
            Kind::Join { left, right, .. } => (is_empty(left) || is_empty(right), true),
            Kind::Set { left, right, operator, .. } => match operator {
                BinaryOperator::And => (is_empty(left) || is_empty(right), false),
                BinaryOperator::Or => (is_empty(left) && is_empty(right), false),
                _ => (is_empty(left), false),
            },
            Kind::Relabel { input, .. } => (is_empty(input), true),
            // A count that is no count fails without any element.
            Kind::Aggregate { input, aggregate, .. } => (is_empty(input) && !aggregate.keeps_elements(), aggregate.keeps_elements()),
            Kind::EvaluationTime { input }
            | Kind::Map { input, .. }
            | Kind::Date { input: Some(input), .. }
            | Kind::Round { input, .. }
            | Kind::Clamp { input, .. }
            | Kind::Negate { input }
            | Kind::Sort { input, .. }
            | Kind::HistogramQuantile { input, .. }
            | Kind::HistogramFraction { input, .. }
            | Kind::WithScalar { vector: input, .. } => (is_empty(input), false),
            Kind::Number(_)
            | Kind::Time
            | Kind::Date { input: None, .. }
            | Kind::Vector { .. }
            | Kind::Scalar { .. }
            | Kind::Absent { .. }
            | Kind::Calculate { .. } => (false, false),
        };
        let is_off = is_empty && !inputs_can_fail;
        Outlook { sources, is_empty, can_fail: !is_off && (own_can_fail || inputs_can_fail), is_off }
    }

    /// Takes in the rows that the inputs of a node have come to have since last time.
    pub(super) fn catch_up(&mut self, program: &Program, index: NodeIndex) {
        let (left, right) = match &program.nodes[index].kind {
            Kind::Relabel { input, .. }
            | Kind::Aggregate { input, .. }
            | Kind::HistogramQuantile { input, .. }
            | Kind::HistogramFraction { input, .. } => (*input, None),
            Kind::Join { left, right, .. } | Kind::Set { left, right, .. } => (*left, Some(*right)),
            _ => return,
        };
        let table = &self.tables[index];
        let right_count = right.map_or(0, |right| self.count(program, right));
        if table.left.len() == self.count(program, left) && table.right.len() == right_count {
            return;
        }
        // Taken out, so that the inputs' rows can be read meanwhile; copied only if a fork shares it.
        let mut table = std::mem::take(&mut self.tables[index]);
        let growing = Arc::make_mut(&mut table);
        let kind = &program.nodes[index].kind;
        for row in growing.left.len()..self.count(program, left) {
            let labels = self.labels(program.nodes[left].rows, row as u32);
            let link = growing.link(kind, labels, true);
            growing.left.push(link);
        }
        for row in growing.right.len()..right_count {
            let labels = self.labels(program.nodes[right.expect("it has rows")].rows, row as u32);
            let link = growing.link(kind, labels, false);
            growing.right.push(link);
        }
        self.tables[index] = table;
    }

    /// The rows of the pairs of a join that takes labels over, for pairs that were not seen before.
    pub(super) fn pair_up(&mut self, program: &Program, index: NodeIndex, unknown: &[(u32, u32)]) {
        let Kind::Join { left, right, join } = &program.nodes[index].kind else { unreachable!("only joins have pairs") };
        let (many, one) = if join.is_swapped() { (*right, *left) } else { (*left, *right) };
        let mut table = std::mem::take(&mut self.tables[index]);
        let growing = Arc::make_mut(&mut table);
        for (many_row, one_row) in unknown {
            let many_labels = self.labels(program.nodes[many].rows, *many_row);
            let one_labels = self.labels(program.nodes[one].rows, *one_row);
            let row = growing.rows.whole(&join.matching.result_labels(join.operator, many_labels, one_labels));
            growing.pairs.insert((*many_row, u64::from(*one_row)), row);
        }
        self.tables[index] = table;
    }

    /// The groups of `count_values` for values that were not seen before.
    pub(super) fn count_up(&mut self, program: &Program, index: NodeIndex, unknown: &[Cell]) {
        let Kind::Aggregate { input, aggregate, .. } = &program.nodes[index].kind else { unreachable!("only an aggregation counts") };
        let AggregationOperator::CountValues(label) = &aggregate.operator else { unreachable!("only count_values counts by value") };
        let mut table = std::mem::take(&mut self.tables[index]);
        let growing = Arc::make_mut(&mut table);
        for cell in unknown {
            let mut builder = self.labels(program.nodes[*input].rows, cell.row).to_builder();
            builder.put(label.clone(), written(cell.value).into());
            let row = growing.rows.number(&aggregate.subset, &builder.build());
            growing.pairs.insert((cell.row, cell.value.to_bits()), row);
        }
        self.tables[index] = table;
    }

    /// The numbers of label sets that the plain evaluator made.
    pub(super) fn number(&mut self, index: NodeIndex, elements: &[Element], out: &mut Vec<Cell>) {
        for element in elements {
            let row = Arc::make_mut(&mut self.tables[index]).rows.whole(&element.labels);
            out.push(Cell { value: element.value, row, dropped: element.drop_name });
        }
    }
}

impl Table {
    fn link(&mut self, kind: &Kind, labels: &Labels, is_left: bool) -> Link {
        let mut link = Link { key: NONE, row: NONE, upper: f64::NAN };
        match kind {
            Kind::Relabel { change, .. } => {
                let mut element = Element { labels: labels.clone(), value: 0.0, drop_name: true };
                change.apply(&mut element);
                link.row = self.rows.whole(&element.labels);
                // A name that is written on purpose stays: whether it does shows in the flag.
                link.key = u32::from(element.drop_name);
            }
            Kind::Aggregate { aggregate, .. } => self.group(aggregate, labels, &mut link),
            Kind::HistogramQuantile { .. } | Kind::HistogramFraction { .. } => {
                if let Some(upper) = labels.get(BOUND).and_then(bound) {
                    link.row = self.rows.whole(&labels.without(BOUND));
                    link.upper = upper;
                }
            }
            Kind::Join { join, .. } => {
                link.key = self.keys.number(&join.matching.subset, labels);
                if is_left != join.is_swapped() && !join.takes_labels() {
                    link.row = self.rows.whole(&join.matching.result_labels(join.operator, labels, labels));
                }
            }
            Kind::Set { subset, operator, .. } => {
                link.key = self.keys.number(subset, labels);
                if *operator == BinaryOperator::Or {
                    link.row = self.rows.whole(labels);
                }
            }
            _ => unreachable!("only operations that change labels are linked"),
        }
        link
    }

    fn group(&mut self, aggregate: &Aggregate, labels: &Labels, link: &mut Link) {
        match aggregate.operator {
            AggregationOperator::CountValues(_) => {}
            _ if aggregate.keeps_elements() => link.key = self.keys.number(&aggregate.subset, labels),
            _ => link.row = self.rows.number(&aggregate.subset, labels),
        }
    }
}

impl Join {
    /// Whether the many side is the right one.
    pub(super) fn is_swapped(&self) -> bool {
        self.matching.many == Many::Right
    }

    /// Whether the labels of a result depend on both sides.
    pub(super) fn takes_labels(&self) -> bool {
        !self.matching.taken.is_empty()
    }
}

impl Relabelling {
    fn apply(&self, element: &mut Element) {
        match self {
            Relabelling::Replace(replace) => replace.apply(element),
            Relabelling::Join(join) => join.apply(element),
            Relabelling::Nameless => (element.labels, element.drop_name) = (element.labels.without(METRIC_NAME), false),
        }
    }
}
