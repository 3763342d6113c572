//! The samples of a selection in a window of time, found from where they were last time.

use super::super::evaluator::count_until;
use super::super::plan::LOOKBACK_MS;
use super::super::window::Window;
use super::cell::Cell;
use super::table::Found;
use crate::store::{Samples, Store, is_stale};

/// Where a member's window was at the last evaluation. A hint only: it is checked before it is believed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    from: u32,
    to: u32,
}

/// A window by its end and its length, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub end_ms: i64,
    pub range_ms: i64,
}

/// Samples without the staleness markers among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    times: Vec<i64>,
    values: Vec<f64>,
}

/// Beyond so many steps from the hint the search starts anew.
const NEAR: usize = 6;

/// The newest sample of each member within the lookback that is no staleness marker.
#[expect(clippy::too_many_arguments, reason = "what is read, where from, when, and two buffers that are kept")]
pub(super) fn newest(
    found: &Found,
    sources: &[&Store],
    end_ms: i64,
    cursors: &mut Vec<Cursor>,
    out: &mut Vec<Cell>,
    pick: impl Fn(i64, f64) -> f64,
) {
    cursors.resize(found.members.len(), Cursor::default());
    for (member, cursor) in found.members.iter().zip(cursors) {
        let Samples { times, values, stale_before, .. } = sources[member.source].samples(member.id);
        let to = match times.last() {
            Some(last) if *last <= end_ms => times.len(),
            _ => until(times, cursor.to as usize, end_ms),
        };
        cursor.to = to as u32;
        let Some(index) = to.checked_sub(1) else { continue };
        let (time, value) = (times[index], values[index]);
        if time > end_ms - LOOKBACK_MS && !(index < stale_before && is_stale(value)) {
            out.push(Cell { value: pick(time, value), row: member.row, dropped: false });
        }
    }
}

/// Visits the windows of all members that have a sample there, staleness markers left out, with the members' rows.
pub(super) fn each(
    found: &Found,
    sources: &[&Store],
    Frame { end_ms, range_ms }: Frame,
    (cursors, live): (&mut Vec<Cursor>, &mut Live),
    mut visit: impl FnMut(u32, Window<'_>),
) {
    cursors.resize(found.members.len(), Cursor::default());
    for (member, cursor) in found.members.iter().zip(cursors) {
        let Samples { times, values, stale_before, fell_at } = sources[member.source].samples(member.id);
        let to = match times.last() {
            Some(last) if *last <= end_ms => times.len(),
            _ => until(times, cursor.to as usize, end_ms),
        };
        let from = until(&times[..to], cursor.from as usize, end_ms - range_ms);
        *cursor = Cursor { from: from as u32, to: to as u32 };
        let (mut times, mut values) = (&times[from..to], &values[from..to]);
        let mut may_fall = from < fell_at;
        if from < stale_before && values.iter().any(|value| is_stale(*value)) {
            live.times.clear();
            live.values.clear();
            for (time, value) in times.iter().zip(values).filter(|(_, value)| !is_stale(**value)) {
                live.times.push(*time);
                live.values.push(*value);
            }
            (times, values) = (&live.times, &live.values);
            // Across a marker nothing was compared.
            may_fall = true;
        }
        if !times.is_empty() {
            visit(member.row, Window { times, values, end_ms, range_ms, may_fall });
        }
    }
}

/// How many of the times are at or before a moment; found fastest if it is about as many as the hint says.
#[inline]
fn until(times: &[i64], hint: usize, at_ms: i64) -> usize {
    let mut count = hint.min(times.len());
    for _ in 0..NEAR {
        if count < times.len() && times[count] <= at_ms {
            count += 1;
        } else if count > 0 && times[count - 1] > at_ms {
            count -= 1;
        } else {
            return count;
        }
    }
    count_until(times, at_ms)
}
