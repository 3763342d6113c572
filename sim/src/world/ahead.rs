//! The luck of a client's next requests, looked up for eight of them at a time and for all the calls that they are going to make.
//!
//! A cache and nothing else: it never changes what is drawn. A first attempt finds what it needs here; one that comes later, and whose place has been
//! given to a newer request meanwhile, and all retries, look it up by themselves.

use std::sync::Arc;

use firedrill_core::distribution::Distribution;
use firedrill_core::random::{Block, LANES, Stream, hop_index, mix64};

use crate::slab::NONE;
use crate::spec::Population;
use crate::world::{Edge, Step, World};

/// The words of a hop's block: which replica it goes to, whether it fails of itself, and one for each of its first phases.
pub(super) const ROUTE_WORD: usize = 0;
pub(super) const FATE_WORD: usize = 1;
pub(super) const PHASE_WORD: usize = 2;

/// How many phases are worked out when a hop's block is at hand.
pub(super) const PHASES: usize = 3;

/// Programs that call more than this, all their calls' calls counted, are looked up without their calls.
const MOST_NODES: u32 = 64;

/// A call that is made less often than this is not looked up ahead: that would cost more than it saves.
const LEAST_PROBABILITY: f64 = 0.4;

/// About how many hops of a client are known at once, and the most requests.
const KNOWN: usize = 1024;
const MOST_ROWS: usize = 128;

/// What luck says of one hop.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Luck {
    pub(super) route: u64,
    pub(super) fate: u64,
    /// The seconds of each of its first phases that is work or sleep; 0 for others.
    pub(super) phases: [f64; PHASES],
}

/// One hop that has been looked up, and of which request it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hop {
    request: u64,
    pub(super) index: u64,
    pub(super) luck: Luck,
}

/// How a client's requests are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    /// The client's key.
    key: u64,
    /// The tree of hops, each before those that it calls, and these in the order of its calls.
    nodes: Arc<[Node]>,
    /// Where the hops of this client begin among all.
    base: usize,
    /// For how many requests there is room: eight times a power of two.
    rows: usize,
}

/// A hop in the tree of a client's requests.
#[derive(Clone, Debug)]
struct Node {
    luck: Stream,
    /// The place of the hop that calls it, and of the call in that one's program.
    parent: u32,
    position: u32,
    /// What its first phases draw from; `None` for those that take no seconds of their own.
    phases: [Option<Distribution>; PHASES],
}

impl Ahead {
    /// Where the first hop of a request stands among all.
    #[inline]
    pub(super) fn place(&self, ordinal: u64) -> u32 {
        (self.base + (ordinal as usize & (self.rows - 1)) * self.nodes.len()) as u32
    }

    /// Tells that request `ordinal` is about to be made; called for each in turn.
    #[inline]
    pub(super) fn reach(&self, ordinal: u64, hops: &mut [Hop]) {
        if ordinal.is_multiple_of(LANES as u64) {
            self.look(ordinal, hops);
        }
    }

    fn look(&self, ordinal: u64, hops: &mut [Hop]) {
        let requests: [u64; LANES] = std::array::from_fn(|lane| mix64(self.key, ordinal + lane as u64));
        let rows: [usize; LANES] = std::array::from_fn(|lane| self.place(ordinal + lane as u64) as usize);
        for (number, node) in self.nodes.iter().enumerate() {
            let indices: [u64; LANES] = std::array::from_fn(|lane| {
                let parent = if number == 0 { 0 } else { hops[rows[lane] + node.parent as usize].index };
                hop_index(requests[lane], parent, node.position, 0)
            });
            let words = node.luck.lanes(&indices);
            let phases: [[f64; LANES]; PHASES] = std::array::from_fn(|phase| {
                let Some(seconds) = &node.phases[phase] else { return [0.0; LANES] };
                seconds.of_words(&words.words64(PHASE_WORD + phase)).expect("only what one word says is a node's")
            });
            for lane in 0..LANES {
                hops[rows[lane] + number] = Hop {
                    request: requests[lane],
                    index: indices[lane],
                    luck: Luck {
                        route: words.word64(lane, ROUTE_WORD),
                        fate: words.word64(lane, FATE_WORD),
                        phases: phases.map(|phase| phase[lane]),
                    },
                };
            }
        }
    }
}

impl World {
    /// What has been looked up at a place for a request; `None` if that is nothing, or not any more.
    #[inline]
    pub(super) fn known_hop(&self, place: u32, request: u64) -> Option<&Hop> {
        // There is nothing at `NONE`.
        self.hops.get(place as usize).filter(|hop| hop.request == request)
    }

    /// Looks a hop up by itself.
    pub(super) fn luck_of(&self, hop: u64, service: u32, endpoint: u32) -> Luck {
        let state = &self.services[service as usize];
        let block = state.luck.block(hop);
        let mut phases = [0.0; PHASES];
        for (phase, step) in self.steps[state.programs[endpoint as usize] as usize..].iter().take(PHASES).enumerate() {
            match step {
                Step::Cpu(seconds) | Step::Sleep(seconds) => phases[phase] = seconds.sample(block.draw(PHASE_WORD + phase)),
                Step::End(_) => break,
                _ => {}
            }
        }
        Luck { route: block.word64(ROUTE_WORD), fate: block.word64(FATE_WORD), phases }
    }

    /// Prepares looking ahead for all clients whose requests are known before they come.
    pub(super) fn begin_looking_ahead(&mut self) {
        self.number_calls();
        for client in 0..self.clients.len() {
            if !matches!(self.spec.clients[client].population, Population::Open) {
                continue;
            }
            let edge = &self.edges[self.clients[client].edge as usize];
            let mut nodes = Vec::new();
            if self.first_phases(edge.service, edge.endpoint).is_none() {
                continue;
            }
            self.plant(self.clients[client].edge, 0, &mut nodes);
            // A request that makes no calls asks when it comes, and never again.
            let most = if nodes.len() == 1 { 2 * LANES } else { MOST_ROWS };
            // A power of two, so that the place of a request is found without a division.
            let rows = 1 << (KNOWN / nodes.len()).clamp(2 * LANES, most).ilog2();
            let base = self.hops.len();
            self.hops.resize(base + rows * nodes.len(), Hop::default());
            self.clients[client].ahead = Some(Box::new(Ahead { key: self.clients[client].key, nodes: nodes.into(), base, rows }));
        }
    }

    /// Says of each call where its hop stands behind the one that makes it.
    fn number_calls(&mut self) {
        let programs: usize = self.services.iter().map(|service| service.programs.len()).sum();
        let mut sizes = Sizes { known: Vec::with_capacity(programs) };
        for service in 0..self.services.len() as u32 {
            for endpoint in 0..self.services[service as usize].programs.len() as u32 {
                self.size_of(service, endpoint, &mut sizes);
            }
        }
    }

    /// How many hops an endpoint's requests are, those that they make counted.
    fn size_of(&mut self, service: u32, endpoint: u32, sizes: &mut Sizes) -> Option<u32> {
        if let Some((_, size)) = sizes.known.iter().find(|(of, _)| *of == (service, endpoint)) {
            // Its size is not known yet where it calls itself by way of others.
            return *size;
        }
        let place = sizes.known.len();
        sizes.known.push(((service, endpoint), None));
        let mut size = 1;
        let mut offsets = Vec::new();
        if self.first_phases(service, endpoint).is_some() {
            for edge in self.certain_calls(service, endpoint) {
                let (to, at) = (self.edges[edge as usize].service, self.edges[edge as usize].endpoint);
                if let Some(own) = self.size_of(to, at, sizes)
                    && self.first_phases(to, at).is_some()
                {
                    offsets.push((edge, size));
                    size += own;
                }
            }
        }
        if size > MOST_NODES {
            offsets.clear();
            size = 1;
        }
        for (edge, offset) in offsets {
            self.edges[edge as usize].ahead = offset;
        }
        sizes.known[place].1 = Some(size);
        Some(size)
    }

    /// The calls that a program mostly makes, in its order.
    fn certain_calls(&self, service: u32, endpoint: u32) -> Vec<u32> {
        let start = self.services[service as usize].programs[endpoint as usize] as usize;
        let program = self.steps[start..].iter().take_while(|step| !matches!(step, Step::End(_)));
        let calls = program.flat_map(|step| match *step {
            Step::Call(edge) | Step::Update { edge, .. } => edge..edge + 1,
            Step::Parallel { first, count, .. } => first..first + count,
            _ => 0..0,
        });
        calls.filter(|edge| self.edges[*edge as usize].probability >= LEAST_PROBABILITY).collect()
    }

    /// What the first phases of a program draw from; `None` if one word does not say it.
    fn first_phases(&self, service: u32, endpoint: u32) -> Option<[Option<Distribution>; PHASES]> {
        let start = self.services[service as usize].programs[endpoint as usize] as usize;
        let mut phases = [const { None }; PHASES];
        for (phase, step) in self.steps[start..].iter().take(PHASES).enumerate() {
            match step {
                Step::Cpu(seconds) | Step::Sleep(seconds) => {
                    seconds.of_words(&[0; LANES])?;
                    phases[phase] = Some(seconds.clone());
                }
                Step::End(_) => break,
                _ => {}
            }
        }
        Some(phases)
    }

    /// Puts the hop of a call, and those of its calls, behind those that are there.
    fn plant(&self, edge: u32, parent: u32, nodes: &mut Vec<Node>) {
        let Edge { service, endpoint, position, .. } = self.edges[edge as usize];
        let place = nodes.len() as u32;
        let phases = self.first_phases(service, endpoint).expect("what cannot be looked up has no place");
        nodes.push(Node { luck: self.services[service as usize].luck, parent, position, phases });
        for call in self.certain_calls(service, endpoint) {
            let offset = self.edges[call as usize].ahead;
            if offset != NONE {
                assert_eq!(place + offset, nodes.len() as u32, "a call stands where its edge says");
                self.plant(call, place, nodes);
            }
        }
    }
}

/// The sizes of endpoints that are known; `None` while one is being worked out.
struct Sizes {
    known: Vec<((u32, u32), Option<u32>)>,
}

const _: () = assert!(PHASE_WORD + PHASES <= Block::WORDS, "each phase has a word of its own");
