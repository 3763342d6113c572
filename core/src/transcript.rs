//! A finished run: its journal, its ledgers, and the fingerprint that proves two runs equal.

use crate::action::Command;
use crate::journal::{Event, Header, Journal};
use crate::ledger::Ledger;
use crate::time::Time;

/// What an automation writes on: the journal that it shares with the world, and the commands that it gives.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Where it writes down what it does.
    pub journal: &'a mut Journal,
    /// Orders for the world, in the order given.
    pub commands: &'a mut Vec<Command>,
}

impl Desk<'_> {
    /// Writes down what happened at `at`.
    pub fn write(&mut self, at: Time, event: Event) {
        self.journal.write(at, event);
    }
}

/// Everything that a run leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// What must be equal for the same bytes to come out.
    pub header: Header,
    /// What happened.
    pub journal: Journal,
    /// What was true.
    pub ledger: Ledger,
}

impl Transcript {
    /// BLAKE3 of the journal's body and of the ledger's digest, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.journal.to_json_lines().as_bytes());
        hasher.update(self.ledger.digest().as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// The journal as JSON Lines, header first.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let header = serde_json::to_string(&self.header).expect("a header is plain data");
        format!("{header}\n{}", self.journal.to_json_lines())
    }
}
