//! `chaos:` of a scenario or a project: what may differ in a variant of a scenario, and within what.

use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{Misdeed, MonitoringFault};

use crate::document::fault::FAULTS;
use crate::notation::bounded_span;
use crate::problem;

/// The most variants of a scenario that can be asked for.
pub const MOST_VARIANTS: u32 = 1000;

/// The largest factor by which a size or a duration may be multiplied; the least is one over it.
const FURTHEST: f64 = 100.0;

/// What was said of variants; `None` leaves a key to the project, and then to the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChaosDocument {
    /// How many variants of a scenario a gate plays.
    pub variants: Option<u32>,
    /// What the size of a fault is multiplied by, from the least to the most.
    pub magnitude: Option<(Factor, Factor)>,
    /// How much earlier or later a fault or change sets in at most.
    pub start: Option<Span>,
    /// What the time that a fault or change lasts is multiplied by, from the least to the most.
    pub duration: Option<(Factor, Factor)>,
    /// Whether a fault may strike another target of its kind.
    pub targets: Option<bool>,
    /// The kinds of which there may be a second fault; empty: there is none.
    pub faults: Option<Vec<Name>>,
    /// The kinds of benign changes that may be added; empty: none.
    pub changes: Option<Vec<Name>>,
    /// What may go wrong with monitoring besides; empty: nothing.
    pub monitoring: Option<Vec<Name>>,
    /// What may go wrong with actions besides; empty: nothing.
    pub actuator: Option<Vec<Name>>,
    /// What policies may cost users beyond the threshold on harm: a share of what users lose if nobody acts.
    pub tolerance: Option<Ratio>,
}

/// The kinds of changes that hurt nobody, as they are drawn.
pub const CHANGES: [&str; 4] = ["deploy", "flag", "node_drain", "surge"];

/// Reads the block.
pub fn read(reader: &mut Reader, node: &Node) -> Option<ChaosDocument> {
    let mut fields = reader.fields(node, "`chaos`")?;
    let most = i64::from(MOST_VARIANTS);
    let variants = fields.optional("variants").and_then(|node| reader.integer(node, "the number of variants", 0..=most));
    let document = ChaosDocument {
        variants: variants.and_then(|count| u32::try_from(count).ok()),
        magnitude: fields.optional("magnitude").and_then(|node| read_range(reader, node, "the magnitude")),
        start: fields.optional("start").and_then(|node| bounded_span(reader, node, "the shift of starts")),
        duration: fields.optional("duration").and_then(|node| read_range(reader, node, "the duration")),
        targets: fields.optional("targets").and_then(|node| reader.boolean(node, "`targets`")),
        faults: read_words(reader, &mut fields, "faults", &FAULTS),
        changes: read_words(reader, &mut fields, "changes", &CHANGES),
        monitoring: read_words(reader, &mut fields, "monitoring", &MonitoringFault::WORDS),
        actuator: read_words(reader, &mut fields, "actuator", &Misdeed::ALL.map(Misdeed::word)),
        tolerance: fields.optional("tolerance").and_then(|node| reader.ratio(node, "the tolerance")),
    };
    fields.finish(reader);
    Some(document)
}

/// `[x0.5, x2]`.
fn read_range(reader: &mut Reader, node: &Node, what: &str) -> Option<(Factor, Factor)> {
    let ends = reader.list(node, &format!("{what}, a list of two factors"))?;
    let [low, high] = ends else {
        reader.problem(problem::range_of_two(&node.place, what));
        return None;
    };
    let low = reader.factor(low, &format!("the least of {what}"));
    let high = reader.factor(high, &format!("the most of {what}"));
    let (low, high) = (low?, high?);
    let is_sound = low.get() <= high.get() && low.get() >= 1.0 / FURTHEST && high.get() <= FURTHEST;
    if !is_sound {
        reader.problem(problem::range_of_factors(&node.place, what, &low.to_string(), &high.to_string()));
        return None;
    }
    Some((low, high))
}

/// A list of words, each of which must be known.
fn read_words(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, known: &[&'static str]) -> Option<Vec<Name>> {
    let node = fields.optional(key)?;
    let items = reader.list(node, &format!("`{key}` of `chaos`"))?;
    let mut words = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(word) if known.contains(&word.as_str()) => words.push(word.clone()),
            _ => {
                let Some(word) = reader.text(item, "a kind").cloned() else { continue };
                reader.problem(problem::not_varied(&item.place, key, &word, known));
            }
        }
    }
    Some(words)
}
