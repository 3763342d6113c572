//! `disk` and `threads` of a service: what the machine of a replica bounds beside its cores and memory.

use firedrill_core::problem::Located;
use firedrill_core::yaml::{Node, Reader};
use firedrill_sim::spec::{DiskSpec, ThreadSpec};

use crate::notation::required;
use crate::problem;

/// As many threads as a machine ever has.
const MOST_THREADS: i64 = 4_194_304;

/// Reads `disk: { size: 20GiB, used: 8GiB }`.
pub fn read_disk(reader: &mut Reader, node: &Node) -> Option<DiskSpec> {
    let mut fields = reader.fields(node, "the volume of a replica")?;
    let size = required(reader, &mut fields, "size", |r, n| r.bytes(n, "the size of the volume"));
    let used = required(reader, &mut fields, "used", |r, n| r.bytes(n, "what is on the volume"));
    fields.finish(reader);
    let (size, used) = (size?, used?);
    if used.value >= size.value {
        let why = format!("a volume of {} with {} on it is full from the start", size.value, used.value);
        reader.problem(problem::impossible(&used.place, &why, "let `used` be less than `size`"));
        return None;
    }
    Some(DiskSpec { size: size.value, used: used.value })
}

/// Reads `threads: { base: 60, per_peer: 10, limit: 130 }`.
pub fn read_threads(reader: &mut Reader, node: &Node) -> Option<ThreadSpec> {
    let mut fields = reader.fields(node, "the threads of a process")?;
    let base = required(reader, &mut fields, "base", |r, n| r.integer(n, "threads without peers", 1..=MOST_THREADS));
    let per_peer = required(reader, &mut fields, "per_peer", |r, n| r.integer(n, "threads for each peer", 1..=MOST_THREADS));
    let limit = required(reader, &mut fields, "limit", |r, n| r.integer(n, "the limit of threads", 1..=MOST_THREADS));
    fields.finish(reader);
    let count = |located: Located<i64>| u32::try_from(located.value).expect("a count within its range");
    let (base, per_peer, limit) = (base?, per_peer?, limit?);
    if base.value >= limit.value {
        let why = format!("a process that needs {} threads without peers has none for them with a limit of {}", base.value, limit.value);
        reader.problem(problem::impossible(&limit.place, &why, "let `limit` be more than `base`"));
        return None;
    }
    Some(ThreadSpec { base: count(base), per_peer: count(per_peer), limit: count(limit) })
}
