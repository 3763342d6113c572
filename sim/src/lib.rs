//! The world and the loop that runs it.
//!
//! Modules are listed in reading order; each uses only what came before it.
//!
//! # Where luck comes from
//!
//! Frozen, as are the addresses of [`firedrill_core::random`] that it builds on: a change raises the engine version.
//! A request is `mix64(hash64(client), ordinal)`; a hop is `hop_index(request, parent hop, call position, attempt)`.
//!
//! | purpose | entity | counter | words |
//! |---|---|---|---|
//! | arrival | client | `i div 8` | word `i mod 8`: the gap before request `i`, at unit rate |
//! | session | client | `mix64(2, n)` | 0: the length of stretch `n` of its bursts |
//! | session | client | `mix64(3, n)` | 0: what the rate in the ten seconds `n` is multiplied by |
//! | session | client | `mix64(person, n)` | 1: how long a person thinks before request `n` |
//! | session | client | session | 0: how many requests it makes |
//! | session | client | `mix64(request, 6)` | 0: whether somebody asks again by hand; 1: how long after |
//! | demand | service called | hop | 0: which replica; 1: an error or none; 2 to 7: phases 0 to 5 of its program |
//! | service_time | service called | `mix64(hop, n)` | word `i`: phase `6 + 8 n + i` |
//! | retry | service called | hop of the retry | 0: jitter of the pause before it |
//! | service_time | service called | `mix64(request, 2^33 + phase)` | 0: which key of a cache a request wants |
//! | service_time | service called | `mix64(hop, 2^32 + 2^16 phase + n)` | word `i`: whether call `8 n + i` of several at once is made |
//! | fault | service and cache | `key div 4` | whether a key is there at the start, and until when |
//! | fault | database | ordinal of the failover | 0: until its primary is given up; 1: until another is promoted; 2: until callers know it |
//! | network | cache flush | `key div 8` | word `key mod 8`: whether it is lost |
//! | network | latency fault | hop | 0: what the fault adds on the way |
//! | route | caller and service called | 0 | 0: when its sweeps for outliers come |
//! | route | the same, of a caller that was there before the run | 0 | 1: when it asks for the service's addresses again |
//! | route | the same | instant of a sweep | 0: what is enforced at times only |
//! | route | the same | `mix64(number of a replica, instant of its change)` | 0: when the caller knows of it |
//! | demand | service, for a probe that is a request | hop of the probe's own request | as for any hop; nothing is routed |
//! | start_up | replica | processes started before | 0: how long it takes to start; of 0 also 1: until it has a node; 2: until its image is there |
//! | phase | replica that was there before the run | 0 | 0 to 2: when its probes of liveness, readiness and startup tick |
//! | phase | service | 0 | 0: when its autoscaler's figures are read; 1: when it decides |
//! | action | policy | ordinal of the action | 0: its delay; 1: whether the platform refuses it |
//! | arrival, of the seed that is the hash of the scenario's name | client | interval of the history | 0: by what its load is multiplied |
//! | scrape | probe | ordinal of the probe | 0: which replica; 1: an error or none |
//! | phase | replica that takes messages | `2^32 + n` | 0: when it learns that its group is formed for the `n`-th time |
//! | phase | replica that collects garbage | `2^33 + n` | 0: how long collection `n` takes; 1: how much longer if its heap is nearly full; 2: when it comes, if it is the first of its process |
//! | phase | node | 0 | 0: when its kubelet looks at its memory |
//! | demand | service that takes messages | hop of the delivery: `hop_index(message, 0, 0, deliveries before)`, the message `mix64(hop, 2^34 + phase)` of what publishes it | as for any hop; its partition is `below(message, partitions)` |
//! | admission | service called | hop | 0: whether it is turned away at random |
//! | admission | replica | ordinal of the measurement | 0: when its limit of concurrency measures next |
//! | scrape | fault of monitoring and target | Unix milliseconds of the scrape | 0: whether it fails |
//! | actuator | policy | ordinal of the action | 0: what goes wrong with it; 1: how much later it begins; 2: how much later it begins again |

pub mod spec;
pub mod queue;
mod slab;
mod histogram;
mod buckets;
mod backoff;
mod cpu;
mod admission;
mod outlier;
mod accrual;
mod ewma;
mod probe;
mod autoscaler;
mod caller;
mod arrivals;
mod cache;
mod replication;
mod failover;
mod disruption;
mod share;
mod bandwidth;
mod lock;
pub mod trace;
mod group;
mod world;
mod observe;
pub mod automation;
pub mod run;

pub use automation::{Automation, Idle, Script};
pub use observe::declared::universe;
pub use observe::past;
pub use run::{Finished, Options, Run, Trunk};
