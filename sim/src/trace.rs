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
    /// The status code: the one that was received or, where none was, what a proxy gives for that; `0` for none.
    pub code: &'static str,
    /// What went wrong if there was no answer; empty if there was one; [`Self::OUTRUN`] if none was waited for any more.
    pub error: &'static str,
}

impl TraceSpan {
    /// Instead of what went wrong: the same was asked twice at once, and the other attempt was answered.
    pub const OUTRUN: &'static str = "outrun";

    /// Whether it ended well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.code == "200"
    }

    /// Whether it went wrong; what another attempt made needless did not.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.code != "200" && !self.is_outrun()
    }

    /// Whether another attempt beside it was answered first.
    #[must_use]
    pub fn is_outrun(&self) -> bool {
        self.error == Self::OUTRUN
    }

    /// The status code that its caller received; `None`: it received no answer.
    #[must_use]
    pub fn received(&self) -> Option<u64> {
        if self.error.is_empty() { self.code.parse().ok() } else { None }
    }
}
