//! Who is let in and who is next: the queues and limits of one replica, which know no world (docs/MODEL.md 1.3).
//!
//! Each is told the time and what happened, and answers at once; none has a timer. What a real one does by timer happens here before the next
//! request is looked at, which is the first moment at which it matters.

pub(crate) mod line;
pub(crate) mod concurrency;
pub(crate) mod rate;
pub(crate) mod control;
pub(crate) mod quota;
