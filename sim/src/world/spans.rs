//! The spans of a sample of requests: one for each attempt that its caller has heard of, and one for each request.
//!
//! Whether a request is sampled is a function of the request, so nothing is drawn, and a traced run is the same run.

use firedrill_core::random::mix64;

use crate::slab::NONE;
use crate::trace::TraceSpan;
use crate::world::calls::{Failure, Origin};
use crate::world::traffic::{ANSWERS, BROKEN, NO_CONNECTION, NO_HOST, OVER_QUOTA, TIMEOUT};
use crate::world::{CODES, World};

/// The salt of what is sampled.
const SAMPLE: u64 = 0x7472_6163_6573;

/// The spans so far.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    /// One request of so many.
    every: u64,
    told: Vec<TraceSpan>,
}

impl Spans {
    fn samples(&self, request: u64) -> bool {
        mix64(request, SAMPLE).is_multiple_of(self.every)
    }
}

impl World {
    /// Tells the spans of one request of `every` from now on.
    pub(crate) fn trace(&mut self, every: u32) {
        self.spans = Some(Box::new(Spans { every: u64::from(every.max(1)), told: Vec::new() }));
    }

    /// The spans, by the time of their beginning; what is still under way has none.
    pub(crate) fn take_spans(&mut self) -> Vec<TraceSpan> {
        let mut told = self.spans.take().map(|spans| spans.told).unwrap_or_default();
        told.sort_by_key(|span| (span.started, span.request, span.parent, span.id));
        told
    }

    /// An attempt is over for its caller, who may have been answered by another one beside it.
    pub(super) fn tell_attempt(&mut self, slot: u32, attempt: u32, (answer, is_outrun): (usize, bool)) {
        let Some(spans) = &self.spans else { return };
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        if edge.of_probe || !spans.samples(call.request) {
            return;
        }
        let state = &self.attempts[attempt];
        let service = &self.spec.services[edge.service as usize];
        let caller = match self.first_of(slot).origin {
            Origin::Attempt(parent) => self.replicas[self.attempts[parent].replica as usize].name.clone(),
            _ => edge.caller.clone(),
        };
        let span = TraceSpan {
            request: call.request,
            id: state.hop,
            parent: Some(call.parent),
            caller,
            service: service.name.clone(),
            endpoint: service.endpoints[edge.endpoint as usize].name.clone(),
            replica: (state.replica != NONE).then(|| self.replicas[state.replica as usize].name.clone()),
            attempt: call.number,
            started: call.sent,
            ended: self.now,
            code: ANSWERS[answer].code,
            error: if is_outrun { TraceSpan::OUTRUN } else { ANSWERS[answer].error },
        };
        self.spans.as_mut().expect("it was there just now").told.push(span);
    }

    /// A client's request is over.
    pub(super) fn tell_request(&mut self, slot: u32, result: Result<(), Failure>) {
        let call = &self.calls[slot];
        let Some(spans) = &mut self.spans else { return };
        if !spans.samples(call.request) {
            return;
        }
        let edge = &self.edges[call.edge as usize];
        let service = &self.spec.services[edge.service as usize];
        let (code, error) = match result {
            Ok(()) => (CODES[0], ""),
            Err(failure) => (code_seen(failure), error_word(failure)),
        };
        spans.told.push(TraceSpan {
            request: call.request,
            id: 0,
            parent: None,
            caller: edge.caller.clone(),
            service: service.name.clone(),
            endpoint: service.endpoints[edge.endpoint as usize].name.clone(),
            replica: None,
            attempt: call.number,
            started: call.begun,
            ended: self.now,
            code,
            error,
        });
    }
}

/// The status code with which the last attempt ended for its caller. What a service would pass on of it is another ([`Failure::code`]).
const fn code_seen(failure: Failure) -> &'static str {
    match failure {
        Failure::OverQuota => ANSWERS[OVER_QUOTA].code,
        Failure::Reset => ANSWERS[BROKEN].code,
        Failure::Timeout | Failure::NoConnection => ANSWERS[TIMEOUT].code,
        Failure::NoReplica => ANSWERS[NO_HOST].code,
        Failure::Unreachable => ANSWERS[NO_CONNECTION].code,
        Failure::Error | Failure::Passed(_) | Failure::QueueFull | Failure::Refused => CODES[failure.code()],
    }
}

/// What a client library calls a failure.
const fn error_word(failure: Failure) -> &'static str {
    let answer = match failure {
        Failure::Error | Failure::Passed(_) | Failure::QueueFull | Failure::OverQuota => return "",
        Failure::NoReplica => NO_HOST,
        Failure::Unreachable => NO_CONNECTION,
        Failure::Reset => BROKEN,
        Failure::Timeout | Failure::NoConnection => TIMEOUT,
        Failure::Refused => return "refused_by_caller",
    };
    ANSWERS[answer].error
}
