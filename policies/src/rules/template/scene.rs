//! What a template's functions know besides their arguments: the moment, the server's address, and who answers queries.

use std::fmt;
use std::rc::Rc;

use firedrill_telemetry::promql::Sample;

/// Answers a query by its text.
pub type Ask = Rc<dyn Fn(&str) -> Result<Vec<Sample>, String>>;

/// The circumstances of filling in.
#[derive(Clone)]
pub struct Scene {
    /// The server's own address; may be empty.
    pub external_url: String,
    /// The moment of the evaluation, Unix milliseconds.
    pub at_ms: i64,
    /// Answers `query`.
    pub ask: Ask,
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("external_url", &self.external_url).field("at_ms", &self.at_ms).finish_non_exhaustive()
    }
}
