//! Locks as written: a step that holds one for a while, or while other steps are done.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::document::service::{PhaseDocument, read_work};
use crate::document::span_or_none;
use crate::notation::{distribution, optional, required};
use crate::problem;

/// `lock: { name: accounts, hold: 5ms, timeout: 1s }`, or `lock: { name: accounts, work: [cpu: 2ms] }`.
#[derive(Clone, Debug)]
pub struct LockDocument {
    /// The lock.
    pub name: Located<Name>,
    /// How long it is waited for at most; the inner `None` is for ever.
    pub timeout: Option<Located<Option<Span>>>,
    /// After which wait somebody looks whether it waits for itself; the inner `None` is never.
    pub deadlock_timeout: Option<Located<Option<Span>>>,
}

/// Reads a step that takes a lock: the taking, what is done meanwhile, and the giving up.
pub fn read(reader: &mut Reader, node: &Node) -> Option<Vec<PhaseDocument>> {
    let mut fields = reader.fields(node, "a lock")?;
    let name = required(reader, &mut fields, "name", |r, n| r.name(n, "the name of a lock"));
    let timeout = optional(reader, &mut fields, "timeout", |r, n| span_or_none(r, n, "the wait for a lock"));
    let deadlock_timeout =
        optional(reader, &mut fields, "deadlock_timeout", |r, n| span_or_none(r, n, "the wait until a deadlock is looked for"));
    let hold = fields.optional("hold");
    let work = fields.optional("work");
    fields.finish(reader);
    let meanwhile = match (hold, work) {
        (Some(hold), None) => vec![PhaseDocument::Sleep(distribution(reader, hold, "the time that a lock is held")?)],
        (None, Some(work)) => read_work(reader, work),
        (hold, _) => {
            let fault = if hold.is_some() { "a lock is held for a time and for some work" } else { "nothing says how long a lock is held" };
            reader.problem(problem::work(&node.place, fault, "write one of `hold: 5ms` and `work: [cpu: 5ms]`"));
            return None;
        }
    };
    let name = name?;
    let held = |phase: &PhaseDocument| matches!(phase, PhaseDocument::Lock(lock) if lock.name.value == name.value);
    if meanwhile.iter().any(held) {
        let fault = format!("`{}` is taken by who holds it, and waits for itself for ever", name.value);
        reader.problem(problem::work(&node.place, &fault, "take it once"));
        return None;
    }
    let unlock = PhaseDocument::Unlock(name.value.clone());
    let lock = PhaseDocument::Lock(LockDocument { name, timeout, deadlock_timeout });
    Some(std::iter::once(lock).chain(meanwhile).chain([unlock]).collect())
}
