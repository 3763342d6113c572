//! Aggregations over cells: groups are numbers that were worked out before.

use super::super::aggregate::{Spread, TOO_MANY};
use super::super::plan::AggregationOperator;
use super::super::sum::{Mean, Sum, quantile};
use super::super::value::{EvalError, written};
use super::cell::{Cell, NONE, Scratch, sort};
use super::table::Table;

/// States of the aggregations that keep more than a number of each group.
#[derive(Debug, Clone, Default)]
pub(super) struct States {
    sums: Vec<Sum>,
    means: Vec<Mean>,
    spreads: Vec<Spread>,
    numbers: Vec<f64>,
}

/// What an aggregation works with.
pub(super) struct Aggregating<'a> {
    pub cells: &'a [Cell],
    pub table: &'a Table,
    pub scratch: &'a mut Scratch,
    pub states: &'a mut States,
}

impl Aggregating<'_> {
    /// Folds every group; groups come in the order of their first elements. `count_values`, `topk` and `bottomk` are not for this.
    pub(super) fn apply(&mut self, operator: &AggregationOperator, parameter: f64, out: &mut Vec<Cell>) {
        use AggregationOperator as Op;
        let states = std::mem::take(self.states);
        let States { mut sums, mut means, mut spreads, mut numbers } = states;
        match operator {
            Op::Sum => self.fold(&mut sums, out, Sum::of, Sum::plus, Sum::value),
            Op::Average => self.fold(&mut means, out, Mean::of, Mean::with, Mean::value),
            Op::Minimum => {
                let least = |least: f64, value: f64| if value < least || least.is_nan() { value } else { least };
                self.fold(&mut numbers, out, |value| value, least, |least| least);
            }
            Op::Maximum => {
                let most = |most: f64, value: f64| if value > most || most.is_nan() { value } else { most };
                self.fold(&mut numbers, out, |value| value, most, |most| most);
            }
            Op::Count => self.fold(&mut numbers, out, |_| 1.0, |count, _| count + 1.0, |count| count),
            Op::Group => self.fold(&mut numbers, out, |_| 1.0, |one, _| one, |one| one),
            Op::Variance => self.fold(&mut spreads, out, Spread::of, Spread::with, Spread::variance),
            Op::Deviation => self.fold(&mut spreads, out, Spread::of, Spread::with, |spread| spread.variance().sqrt()),
            Op::Quantile => self.quantiles(parameter, out),
            Op::Top | Op::Bottom | Op::CountValues(_) => unreachable!("they have functions of their own"),
        }
        *self.states = States { sums, means, spreads, numbers };
    }

    #[expect(clippy::too_many_arguments, reason = "an aggregation is its start, its step and its end, and two buffers that are kept")]
    fn fold<State: Copy>(
        &mut self,
        states: &mut Vec<State>,
        out: &mut Vec<Cell>,
        first: impl Fn(f64) -> State,
        next: impl Fn(State, f64) -> State,
        result: impl Fn(State) -> f64,
    ) {
        states.clear();
        let slots = self.scratch.slots(self.table.rows.len());
        for cell in self.cells {
            let row = self.table.left[cell.row as usize].row;
            let slot = slots[row as usize];
            if slot == NONE {
                slots[row as usize] = out.len() as u32;
                out.push(Cell { value: 0.0, row, dropped: cell.dropped });
                states.push(first(cell.value));
            } else {
                let slot = slot as usize;
                states[slot] = next(states[slot], cell.value);
                out[slot].dropped |= cell.dropped;
            }
        }
        for (cell, state) in out.iter_mut().zip(states) {
            cell.value = result(*state);
            slots[cell.row as usize] = NONE;
        }
    }

    fn quantiles(&mut self, parameter: f64, out: &mut Vec<Cell>) {
        let mut values = std::mem::take(&mut self.scratch.values);
        let slots = self.scratch.slots(self.table.rows.len());
        for cell in self.cells {
            let row = self.table.left[cell.row as usize].row;
            if slots[row as usize] == NONE {
                slots[row as usize] = out.len() as u32;
                if values.len() == out.len() {
                    values.push(Vec::new());
                }
                values[out.len()].clear();
                out.push(Cell { value: 0.0, row, dropped: false });
            }
            let slot = slots[row as usize] as usize;
            values[slot].push(cell.value);
            out[slot].dropped |= cell.dropped;
        }
        for (cell, values) in out.iter_mut().zip(&mut values) {
            cell.value = quantile(parameter, values);
            slots[cell.row as usize] = NONE;
        }
        self.scratch.values = values;
    }

    /// The greatest or least elements of each group, NaN last; of equal ones those that come first.
    pub(super) fn rank(&mut self, greatest: bool, count: f64, out: &mut Vec<Cell>) -> Result<(), EvalError> {
        if count < 1.0 {
            return Ok(());
        }
        if count.is_nan() || count >= TOO_MANY {
            return Err(EvalError::NotACount(written(count)));
        }
        let mut lists = std::mem::take(&mut self.scratch.lists);
        let mut used = 0;
        let slots = self.scratch.slots(self.table.keys.len());
        for (index, cell) in self.cells.iter().enumerate() {
            let slot = &mut slots[self.table.left[cell.row as usize].key as usize];
            if *slot == NONE {
                *slot = used as u32;
                if lists.len() == used {
                    lists.push(Vec::new());
                }
                lists[used].clear();
                used += 1;
            }
            lists[*slot as usize].push(index as u32);
        }
        for list in &mut lists[..used] {
            sort(self.cells, list, greatest);
            out.extend(list.iter().take(count as usize).map(|index| self.cells[*index as usize]));
        }
        for cell in self.cells {
            slots[self.table.left[cell.row as usize].key as usize] = NONE;
        }
        self.scratch.lists = lists;
        Ok(())
    }

    /// Counts equal values; the groups are those of the table's pairs. Cells whose value was not seen in their row before go to `unknown`, and then
    /// nothing is counted.
    pub(super) fn count_values(&mut self, unknown: &mut Vec<Cell>, out: &mut Vec<Cell>) {
        let pairs = &self.table.pairs;
        let row_of = |cell: &Cell| pairs.get(&(cell.row, cell.value.to_bits())).copied();
        unknown.extend(self.cells.iter().filter(|cell| row_of(cell).is_none()));
        if !unknown.is_empty() {
            return;
        }
        let slots = self.scratch.slots(self.table.rows.len());
        for cell in self.cells {
            let row = row_of(cell).expect("all are known");
            let slot = slots[row as usize];
            if slot == NONE {
                slots[row as usize] = out.len() as u32;
                out.push(Cell { value: 1.0, row, dropped: false });
            } else {
                out[slot as usize].value += 1.0;
            }
        }
        for cell in out {
            slots[cell.row as usize] = NONE;
        }
    }
}
