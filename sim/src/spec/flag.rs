//! Flags: values that change what a service does without a new version, and how they come to its processes.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;

/// A flag of a service. It is off at the start, and what follows holds where it is on.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagSpec {
    /// Its name.
    pub name: Name,
    /// Whether the service is sound with it.
    pub healthy: bool,
    /// Multiplies CPU demand.
    pub demand: Factor,
    /// Share of requests answered with an error, after their work is done.
    pub error: Ratio,
    /// Calls of the service that are other ones with it, by service called.
    pub calls: Vec<FlagCallSpec>,
    /// How it comes to the service's processes.
    pub spread: Spread,
}

/// What a flag changes of the calls of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagCallSpec {
    /// The service called.
    pub service: Name,
    /// The share of requests that make the call; `None`: as before.
    pub probability: Option<Ratio>,
    /// How long an attempt is waited for; `None`: as before; `Some(None)`: for ever.
    pub timeout: Option<Option<Span>>,
}

/// How a changed value comes to a process. One that starts has the value of that moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    /// It is told, after so many seconds.
    Push(Distribution),
    /// It asks at this interval, at a phase of its own.
    Poll(Span),
}
