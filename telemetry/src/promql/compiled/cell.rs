//! Elements on the way, and what is done to each by itself.

use super::super::plan::BinaryOperator;

/// An element: the number of its label set, and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub value: f64,
    pub row: u32,
    /// Whether an operation has dropped the metric's name; the labels keep it until the end.
    pub dropped: bool,
}

/// No number.
pub(super) const NONE: u32 = u32::MAX;

/// Room that operations use while they run. Between them every slot is [`NONE`].
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    pub slots: Vec<u32>,
    pub numbers: Vec<f64>,
    pub order: Vec<u32>,
    pub lists: Vec<Vec<u32>>,
    pub values: Vec<Vec<f64>>,
    pub partners: Vec<u32>,
}

impl Scratch {
    /// Slots for so many numbers, all [`NONE`].
    pub(super) fn slots(&mut self, count: usize) -> &mut Vec<u32> {
        if self.slots.len() < count {
            self.slots.resize(count, NONE);
        }
        &mut self.slots
    }
}

/// Each value through a function; the name is dropped.
pub(super) fn map(cells: &[Cell], out: &mut Vec<Cell>, function: impl Fn(f64) -> f64) {
    out.extend(cells.iter().map(|cell| Cell { value: function(cell.value), row: cell.row, dropped: true }));
}

/// Each value with a number: arithmetic, or a comparison.
pub(super) fn with_scalar(
    cells: &[Cell],
    out: &mut Vec<Cell>,
    operator: BinaryOperator,
    yields_bool: bool,
    sides: impl Fn(f64) -> (f64, f64),
) {
    for cell in cells {
        let (left, right) = sides(cell.value);
        match operator.holds(left, right) {
            None => out.push(Cell { value: operator.calculate(left, right), row: cell.row, dropped: true }),
            Some(holds) if yields_bool => out.push(Cell { value: f64::from(u8::from(holds)), row: cell.row, dropped: true }),
            Some(true) => out.push(*cell),
            Some(false) => {}
        }
    }
}

/// Sorts by value, NaN last either way; equal values keep their order.
pub(super) fn sort(cells: &[Cell], order: &mut [u32], descending: bool) {
    order.sort_unstable_by(|left, right| {
        let (before, after) = (cells[*left as usize].value, cells[*right as usize].value);
        let by_value = if descending { after.partial_cmp(&before) } else { before.partial_cmp(&after) };
        by_value.unwrap_or_else(|| before.is_nan().cmp(&after.is_nan())).then(left.cmp(right))
    });
}
