//! Traces: what a sample of requests went through, attempt by attempt, as tracing would tell it (docs/MODEL.md 4.4).

use firedrill_core::name::Name;
use firedrill_core::time::Time;

/// One attempt at one service, or a whole request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSpan {
    /// The request that it belongs to; the same in all of its spans.
    pub request: u64,
    /// Its own number, unique within the request; zero for the request itself.
    pub id: u64,
    /// The span that made it; `None` for the request itself.
    pub parent: Option<u64>,
    /// Who asked: a client or a replica.
    pub caller: Name,
    /// The service asked.
    pub service: Name,
    /// Its endpoint.
    pub endpoint: Name,
    /// Who was asked; `None` if nobody was there, and for a request as a whole.
    pub replica: Option<Name>,
    /// Which try it is, counted from 0.
    pub attempt: u32,
    /// When it was sent.
    pub started: Time,
    /// When its caller had the answer, or gave up.
    pub ended: Time,
    /// The status code, as a proxy gives it; `0` for none.
    pub code: &'static str,
    /// What went wrong if there was no answer; empty if there was one.
    pub error: &'static str,
}

impl TraceSpan {
    /// Whether it ended well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.code == "200"
    }
}
