//! The promotion ledger: what was observed, decided, said and allowed, in append-only files of which each line holds the hash of the one before.
//!
//! `ledger/NAME.jsonl` of a project is a chain: one for each policy, and one called `watch` for what a watcher was told (docs/ledger.md).

mod chain;
mod entry;
mod file;
mod key;
mod line;
mod retold;
mod sides;

pub use chain::{
    CLOCKS_APART, Chain, Finding, Fork, Head, LEAST_DIGITS, SHOWN_DIGITS, decisive, digits, is_machine, short, shown_incident,
};
pub use entry::{
    ANSWERING, ASIDE, Bound, Entry, Hashes, Labelled, REFUSED, REHEARSAL, Recorded, RestsOn, SESSION, Signed, UNTOLD, UnreadAct, WATCHING,
    What, expression, plain_question, question_text,
};
pub use file::{Ledger, Recovery, Released, name_of, sync_all};
pub use key::{Key, KeyError, PublicKey};
pub use line::{MOST_BYTES, SCHEMA, first_previous};
pub use retold::{A_LABEL, Retold, source_of, with_source};
pub use sides::{Side, sides};

pub use crate::inputs::FOLDER;

/// The chain of what a watcher was told; no policy can have this name.
pub const WATCH: &str = "watch";
