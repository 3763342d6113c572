//! Policy as code: every proposed action is offered to the rules of a Rego bundle, which deny it, ask for approval, or warn.
//!
//! The input document ([`Offered`]) and what a bundle says of it ([`Said`]) are always here; the engine that reads Rego is there with the feature
//! `rego` (docs/decisions/policy-as-code.md). A bundle is a pure function: no clock, no luck, no network, a limit of instructions.

mod offered;
mod reads;
#[cfg(feature = "rego")]
mod input;
#[cfg(feature = "rego")]
mod engine;

use std::fmt;
use std::sync::Arc;

use firedrill_core::problem::{Place, Problem};

use crate::problem;

#[cfg(all(test, feature = "rego"))]
pub(crate) use engine::tests::described;
pub use offered::{Alert, Asked, Deed, InFlight, Offered, Owned, Target, Time};
pub use reads::{Inner, Reads};

/// The package whose rules are asked.
pub const PACKAGE: &str = "firedrill";

/// The rules that are asked, each a set of messages.
pub const RULES: [&str; 3] = ["deny", "require_approval", "warn"];

/// At most so many instructions are executed for one rule; whoever needs more denies.
pub const MOST_INSTRUCTIONS: usize = 100_000;

/// At most so many bytes of one message are told.
pub const LONGEST_MESSAGE: usize = 400;

/// At most so many messages of one rule are told.
pub const MOST_MESSAGES: usize = 20;

/// What the rules say of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Why it must not be done, sorted.
    pub deny: Vec<String>,
    /// Why a person must allow it, sorted.
    pub require_approval: Vec<String>,
    /// What is remarkable, sorted.
    pub warn: Vec<String>,
}

/// What the rules say, or why that cannot be told.
pub type Verdict = Result<Said, String>;

/// One file of a bundle.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its path, as people gave it.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// The rules of a project, read and compiled once.
#[derive(Clone)]
pub struct Bundle {
    /// BLAKE3 of what the files say, hexadecimal; it belongs to what a policy is.
    hash: String,
    /// Which of [`RULES`] it has.
    rules: Vec<&'static str>,
    /// What its rules can read of the input document.
    reads: Reads,
    #[cfg(feature = "rego")]
    engine: engine::Engine,
    /// Nobody can read Rego here, so there is no bundle.
    #[cfg(not(feature = "rego"))]
    engine: std::convert::Infallible,
}

/// A bundle, and what is likely not meant in it.
#[derive(Clone, Debug)]
pub struct Read {
    /// The rules.
    pub bundle: Arc<Bundle>,
    /// Warnings.
    pub findings: Vec<Problem>,
}

impl fmt::Debug for Bundle {
    /// Its rules and hash: what is compiled is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("rules", &self.rules).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl PartialEq for Bundle {
    /// Two that say the same.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Bundle {
    /// BLAKE3 of what its files say, hexadecimal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Which of [`RULES`] it has.
    #[must_use]
    pub fn rules(&self) -> &[&'static str] {
        &self.rules
    }

    /// What its rules can read of the input document; the rest need not be there.
    #[must_use]
    pub const fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Asks it about an action.
    ///
    /// # Errors
    /// Why its rules cannot tell: an evaluation went wrong, was too long, or gave no set of messages.
    #[cfg(feature = "rego")]
    pub fn judge(&self, offered: &Offered) -> Verdict {
        self.engine.judge(&self.rules, &self.reads, offered)
    }

    /// There is no bundle without the engine.
    ///
    /// # Errors
    /// None: nobody comes here.
    #[cfg(not(feature = "rego"))]
    pub const fn judge(&self, _offered: &Offered) -> Verdict {
        match self.engine {}
    }
}

/// Whether this firedrill can read Rego.
#[must_use]
pub const fn is_there() -> bool {
    cfg!(feature = "rego")
}

/// A project names a bundle, and this firedrill cannot read it: acting without it would be to ignore it.
#[must_use]
pub fn not_built(place: &Place) -> Problem {
    problem::code_not_built(place)
}

/// Reads and compiles a bundle. `hash` is that of its files, `place` is where it is named.
///
/// # Errors
/// Everything that is wrong with its files; or it has nothing that is asked.
#[cfg(feature = "rego")]
pub fn read(place: &Place, texts: &[Text], hash: String) -> Result<Read, Vec<Problem>> {
    let (engine, rules, findings) = engine::read(place, texts)?;
    let reads = Reads::of(texts.iter().map(|text| text.text.as_str()));
    Ok(Read { bundle: Arc::new(Bundle { hash, rules, reads, engine }), findings })
}

/// Without the engine nothing can be read.
///
/// # Errors
/// That this firedrill cannot read Rego, and how one is built that can.
#[cfg(not(feature = "rego"))]
pub fn read(place: &Place, _texts: &[Text], _hash: String) -> Result<Read, Vec<Problem>> {
    Err(vec![not_built(place)])
}
