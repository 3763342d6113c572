//! Entries of `faults` and `changes` that say what goes wrong with carrying actions out.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};
use firedrill_sim::spec::Misdeed;

use crate::document::fault::{Choice, Places, WHEN, choice, entries};
use crate::notation::{bounded_span, distribution, optional, positive_span, required};

/// What goes wrong with carrying actions out, and when.
#[derive(Clone, Debug)]
pub struct ActuatorDocument {
    /// Its name, if it has one.
    pub name: Option<Located<Name>>,
    /// When it sets in.
    pub at: Option<Located<Span>>,
    /// How long it lasts.
    pub lasting: Option<Located<Span>>,
    /// The word of the action that it concerns; every action if it says nothing.
    pub action: Option<Located<Name>>,
    /// What goes wrong with which share, in the order of [`Misdeed::ALL`].
    pub shares: Vec<(Misdeed, Located<Ratio>)>,
    /// How much later those that are late begin.
    pub by: Option<Located<Distribution>>,
    /// The places of the word and its parameters.
    pub places: Places,
}

/// Reads an entry; `what` is "a fault" or "a change".
pub fn read(reader: &mut Reader, node: &Node, what: &str) -> Option<ActuatorDocument> {
    let mut fields = reader.fields(node, what)?;
    let name = optional(reader, &mut fields, "name", |r, n| r.name(n, "the name of a fault"));
    let at = required(reader, &mut fields, "at", |r, n| bounded_span(r, n, "the onset"));
    let lasting = optional(reader, &mut fields, "lasting", |r, n| positive_span(r, n, "the time that it lasts"));
    let (word, parameters) = choice(reader, &fields, node, &Choice { what, others: &WHEN, known: &entries() })?;
    let mut own = reader.fields(parameters, "a fault of an actuator")?;
    let action = optional(reader, &mut own, "action", |r, n| r.name(n, "the word of an action"));
    let mut shares = Vec::new();
    for misdeed in Misdeed::ALL {
        let share = optional(reader, &mut own, misdeed.word(), |r, n| r.ratio(n, "the share of actions"));
        shares.extend(share.map(|share| (misdeed, share)));
    }
    let by = optional(reader, &mut own, "by", |r, n| distribution(r, n, "the delay"));
    own.finish(reader);
    Some(ActuatorDocument { name, at, lasting, action, shares, by, places: Places::new(word, Some(parameters)) })
}
