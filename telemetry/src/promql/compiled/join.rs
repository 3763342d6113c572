//! Operators between two vectors over cells: who belongs together was worked out before.

use super::super::plan::{BinaryOperator, Many};
use super::super::value::EvalError;
use super::cell::{Cell, NONE, Scratch};
use super::program::Join;
use super::table::Table;
use crate::labels::Labels;

/// Both sides of an operator between vectors.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub left: &'a [Cell],
    pub right: &'a [Cell],
    pub table: &'a Table,
}

/// Why a join did not come to its end.
pub(super) enum Unjoined {
    /// Pairs whose labels are not known yet, as rows of the many and the one side.
    Unknown(Vec<(u32, u32)>),
    Failed(EvalError),
}

impl Sides<'_> {
    /// Arithmetic or a comparison. `labels` gives those of a row of the left (true) or right side, for errors.
    pub(super) fn join<'l>(
        self,
        join: &Join,
        scratch: &mut Scratch,
        out: &mut Vec<Cell>,
        labels: impl Fn(bool, u32) -> &'l Labels,
    ) -> Result<(), Unjoined> {
        let swapped = join.is_swapped();
        let (many, one) = if swapped { (self.right, self.left) } else { (self.left, self.right) };
        if many.is_empty() || one.is_empty() {
            return Ok(());
        }
        scratch.slots(self.table.keys.len());
        let joined = self.pair(join, scratch).and_then(|()| self.combine(join, scratch, out));
        let (_, one_links) = self.links(swapped);
        for cell in one {
            scratch.slots[one_links[cell.row as usize].key as usize] = NONE;
        }
        joined.map_err(|trouble| match trouble {
            Trouble::Unknown(pairs) => Unjoined::Unknown(pairs),
            Trouble::NotUnique { first, second } => {
                let (first, second) = (labels(swapped, first).to_string(), labels(swapped, second).to_string());
                Unjoined::Failed(EvalError::NotUnique { side: if swapped { "left" } else { "right" }, first, second })
            }
            Trouble::ManyMatches { row } => Unjoined::Failed(EvalError::ManyMatches { labels: labels(!swapped, row).to_string() }),
        })
    }

    /// The links of the many side and of the one side.
    fn links(&self, swapped: bool) -> (&[super::table::Link], &[super::table::Link]) {
        if swapped { (&self.table.right, &self.table.left) } else { (&self.table.left, &self.table.right) }
    }

    /// Finds for each element of the many side its partner: the index in the one side.
    fn pair(&self, join: &Join, scratch: &mut Scratch) -> Result<(), Trouble> {
        let swapped = join.is_swapped();
        let (many, one) = if swapped { (self.right, self.left) } else { (self.left, self.right) };
        let (many_links, one_links) = self.links(swapped);
        for (index, cell) in one.iter().enumerate() {
            let slot = &mut scratch.slots[one_links[cell.row as usize].key as usize];
            if *slot != NONE {
                return Err(Trouble::NotUnique { first: one[*slot as usize].row, second: cell.row });
            }
            *slot = index as u32;
        }
        scratch.partners.clear();
        scratch.partners.extend(many.iter().map(|cell| scratch.slots[many_links[cell.row as usize].key as usize]));
        if join.takes_labels() {
            let pairs = many.iter().zip(&scratch.partners).filter(|(_, partner)| **partner != NONE);
            let rows = pairs.map(|(cell, partner)| (cell.row, one[*partner as usize].row));
            let unknown: Vec<_> = rows.filter(|(many, one)| !self.table.pairs.contains_key(&(*many, u64::from(*one)))).collect();
            if !unknown.is_empty() {
                return Err(Trouble::Unknown(unknown));
            }
        }
        Ok(())
    }

    fn combine(&self, join: &Join, scratch: &mut Scratch, out: &mut Vec<Cell>) -> Result<(), Trouble> {
        let swapped = join.is_swapped();
        let (many, one) = if swapped { (self.right, self.left) } else { (self.left, self.right) };
        let (many_links, _) = self.links(swapped);
        self.refuse_many_matches(join, scratch)?;
        for (cell, partner) in many.iter().zip(&scratch.partners) {
            if *partner == NONE {
                continue;
            }
            let partner = &one[*partner as usize];
            let row = match join.takes_labels() {
                true => self.table.pairs[&(cell.row, u64::from(partner.row))],
                false => many_links[cell.row as usize].row,
            };
            let (left, right) = if swapped { (partner.value, cell.value) } else { (cell.value, partner.value) };
            let value = match join.operator.holds(left, right) {
                None => join.operator.calculate(left, right),
                Some(holds) if join.yields_bool => f64::from(u8::from(holds)),
                Some(true) => left,
                Some(false) => continue,
            };
            out.push(Cell { value, row, dropped: join.matching.drops_name(join.operator, join.yields_bool, cell.dropped) });
        }
        Ok(())
    }

    /// One to one: no partner has two elements. Otherwise: no partner has two whose result has the same labels.
    fn refuse_many_matches(&self, join: &Join, scratch: &mut Scratch) -> Result<(), Trouble> {
        let (many, one) = if join.is_swapped() { (self.right, self.left) } else { (self.left, self.right) };
        let (many_links, _) = self.links(join.is_swapped());
        let Scratch { partners, order, numbers: _, .. } = scratch;
        order.clear();
        if join.matching.many == Many::Neither {
            order.resize(one.len(), NONE);
            for (cell, partner) in many.iter().zip(partners.iter()).filter(|(_, partner)| **partner != NONE) {
                if std::mem::replace(&mut order[*partner as usize], cell.row) != NONE {
                    return Err(Trouble::ManyMatches { row: cell.row });
                }
            }
            return Ok(());
        }
        // By partner and result; in the order of the many side among equals, so that the first that comes again is found.
        let row = |index: u32| {
            let (cell, partner) = (&many[index as usize], partners[index as usize]);
            match join.takes_labels() {
                true => self.table.pairs[&(cell.row, u64::from(one[partner as usize].row))],
                false => many_links[cell.row as usize].row,
            }
        };
        order.extend((0..many.len() as u32).filter(|index| partners[*index as usize] != NONE));
        let key = |index: &u32| (partners[*index as usize], row(*index));
        order.sort_unstable_by_key(|index| (key(index), *index));
        let again = order.windows(2).filter(|pair| key(&pair[0]) == key(&pair[1])).map(|pair| pair[1]).min();
        again.map_or(Ok(()), |index| Err(Trouble::ManyMatches { row: many[index as usize].row }))
    }

    /// `and`, `or`, `unless`.
    pub(super) fn set(self, operator: BinaryOperator, scratch: &mut Scratch, out: &mut Vec<Cell>) {
        let Sides { left, right, table } = self;
        let slots = scratch.slots(table.keys.len());
        let left_key = |cell: &Cell| table.left[cell.row as usize].key as usize;
        let right_key = |cell: &Cell| table.right[cell.row as usize].key as usize;
        if operator == BinaryOperator::Or {
            left.iter().for_each(|cell| slots[left_key(cell)] = 0);
            out.extend(left.iter().map(|cell| Cell { row: table.left[cell.row as usize].row, ..*cell }));
            let rest = right.iter().filter(|cell| slots[right_key(cell)] == NONE);
            out.extend(rest.map(|cell| Cell { row: table.right[cell.row as usize].row, ..*cell }));
            left.iter().for_each(|cell| slots[left_key(cell)] = NONE);
            return;
        }
        right.iter().for_each(|cell| slots[right_key(cell)] = 0);
        let wants = operator == BinaryOperator::And;
        out.extend(left.iter().filter(|cell| (slots[left_key(cell)] != NONE) == wants));
        right.iter().for_each(|cell| slots[right_key(cell)] = NONE);
    }
}

enum Trouble {
    Unknown(Vec<(u32, u32)>),
    NotUnique { first: u32, second: u32 },
    ManyMatches { row: u32 },
}
