//! What the machine of a replica bounds beside its cores and memory: the volume that it writes to, and threads.

use firedrill_core::quantity::Bytes;

/// The volume of each replica. A full one takes no more writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// All that it holds.
    pub size: Bytes,
    /// What is on it at the start; less than `size`.
    pub used: Bytes,
}

/// The threads of each process. Where a process has one for each of its peers, more replicas mean more threads in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadSpec {
    /// Threads of a process without peers.
    pub base: u32,
    /// Threads for each other replica of the service.
    pub per_peer: u32,
    /// What the operating system gives a process; with fewer than it needs it does not reach some of its peers.
    pub limit: u32,
}
