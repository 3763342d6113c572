//! Luck with an address: every decision point has a block of random words of its own, so that no draw can shift another.
//!
//! The layout of addresses is frozen; docs/decisions/randomness.md states it, and changing it raises the engine version.
//! The words are those of ChaCha with 8 rounds, a 64-bit counter and a 64-bit stream (Bernstein, "ChaCha, a variant of
//! Salsa20", 2008); rand_chacha's `ChaCha8Rng` is the oracle for every byte.

use std::fmt;

use pulp::NullaryFnOnce;

use crate::quantity::Ratio;
use crate::vectors;

/// What a run's luck grows from: one seed, one weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $hash:literal)*) => {
        /// What a decision is about. Each purpose of each entity has a stream of its own.
        ///
        /// Names are frozen: they are part of every address. New purposes are added, old ones are never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Purpose {
            $($(#[$doc])* $variant,)*
        }

        impl Purpose {
            /// Every purpose.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The frozen name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// [`hash64`] of the name, worked out beforehand.
            const fn hash(self) -> u64 {
                match self {
                    $(Self::$variant => $hash,)*
                }
            }
        }
    };
}

purposes! {
    /// Gaps between arrivals, and what is decided on arrival.
    Arrival "arrival" 0xd224_77c4_e118_394b
    /// Starts and lengths of sessions, and the time between their steps.
    Session "session" 0xc111_1d22_3c9e_cab9
    /// How much work a request is: CPU seconds.
    Demand "demand" 0xd7cf_dc65_2efd_652f
    /// How long a step takes that is not CPU: sleeps, waits for what is not modelled.
    ServiceTime "service_time" 0x45d4_752b_b801_7b15
    /// Which endpoint, replica or zone is chosen.
    Route "route" 0xa216_74fa_1a29_0ee3
    /// Jitter of retries and of their back-off.
    Retry "retry" 0x3b2d_ee67_877d_28a2
    /// Delay and loss between entities.
    Network "network" 0x0d05_fa8f_1751_d79b
    /// Whether a request fails of itself.
    Failure "failure" 0x6a62_dcab_c991_9483
    /// Branches that are taken with a probability.
    Probability "probability" 0x827e_98c4_1b35_aec3
    /// How long starting takes, and how warm-up goes.
    StartUp "start_up" 0x9286_08a2_25a7_64ca
    /// Whom a fault strikes, and how hard.
    Fault "fault" 0x2389_2347_3d26_7c46
    /// How long an action takes, and whether it fails.
    Action "action" 0x9be8_b1ca_5184_b503
    /// How fast people are.
    Human "human" 0xa571_9318_efba_c645
    /// Whether and when people answer who are asked to allow something, and what they say.
    Approval "approval" 0x2e52_d9b7_c4f3_f066
    /// When a target is scraped, and whether that succeeds.
    Scrape "scrape" 0xc4cc_a6d2_112a_66b1
    /// When rules and notifications are due.
    Phase "phase" 0x35f0_be79_ad9e_aaee
    /// Words for samplers that have used up theirs; addressed by [`Draw`] alone.
    Overflow "overflow" 0x1d5c_432a_a33a_106e
    /// Whether a replica lets a request in, and how its limits look for their bounds.
    Admission "admission" 0x1d17_2c4c_37c0_659a
    /// What goes wrong with an action that is carried out.
    Actuator "actuator" 0x69f3_8a53_86d4_84f9
}

/// The luck of one purpose of one entity: seed and stream of an address. 16 bytes, free to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    id: u64,
}

impl Stream {
    /// The stream of `purpose` for the entity whose name has the hash `entity` (see [`hash64`]).
    #[must_use]
    pub const fn new(seed: Seed, purpose: Purpose, entity: u64) -> Self {
        Self { seed: seed.0, id: mix64(purpose.hash(), entity) }
    }

    /// The block of one decision point. Any `counter` is as cheap as any other.
    #[inline]
    #[must_use]
    pub fn block(&self, counter: u64) -> Block {
        let start = self.start(counter);
        let mut words = start;
        for _ in 0..ROUND_PAIRS {
            round_pair(&mut words);
        }
        for (word, start) in words.iter_mut().zip(start) {
            *word = word.wrapping_add(start);
        }
        Block { words, stream: *self, counter }
    }

    /// The blocks of eight successive counters at a third of the price, or less; the last is followed by the first.
    #[must_use]
    pub fn blocks8(&self, counter: u64) -> [Block; LANES] {
        let counters = std::array::from_fn(|lane| counter.wrapping_add(lane as u64));
        let Lanes { words } = self.lanes(&counters);
        std::array::from_fn(|lane| Block { words: std::array::from_fn(|word| words[word][lane]), stream: *self, counter: counters[lane] })
    }

    /// The words of eight counters at a third of the price of their blocks, or less.
    #[must_use]
    pub fn lanes(&self, counters: &[u64; LANES]) -> Lanes {
        vectors::widest().dispatch(LookUp { stream: self, counters })
    }

    /// The lanes are independent and the loop over them is the outer one: the shape that compilers turn into vectors.
    #[inline(always)]
    fn lanes_here(&self, counters: &[u64; LANES]) -> Lanes {
        let mut lanes = [[0_u32; LANES]; 16];
        for lane in 0..LANES {
            let start = self.start(counters[lane]);
            let mut words = start;
            // Written out, because an inner loop here would keep the outer one from becoming vectors.
            round_pair(&mut words);
            round_pair(&mut words);
            round_pair(&mut words);
            round_pair(&mut words);
            for (lanes, (word, start)) in lanes.iter_mut().zip(words.into_iter().zip(start)) {
                lanes[lane] = word.wrapping_add(start);
            }
        }
        Lanes { words: lanes }
    }

    /// ChaCha's matrix: constants; key = seed and a fixed text; counter; stream.
    #[inline(always)]
    fn start(&self, counter: u64) -> [u32; 16] {
        let [c0, c1, c2, c3] = CONSTANTS;
        let [k2, k3, k4, k5, k6, k7] = KEY_TAIL;
        let (s0, s1) = halves(self.seed);
        let (n0, n1) = halves(counter);
        let (i0, i1) = halves(self.id);
        [c0, c1, c2, c3, s0, s1, k2, k3, k4, k5, k6, k7, n0, n1, i0, i1]
    }
}

/// The 64 random bytes of one decision point, as 8 words that are assigned by name, and the address that they came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    words: [u32; 16],
    stream: Stream,
    counter: u64,
}

impl Block {
    /// How many words [`Block::word64`] gives.
    pub const WORDS: usize = 8;

    /// Word `index` in 0..8. Whoever reads a block names its words with constants, and each word serves one question.
    ///
    /// # Panics
    /// If `index` is 8 or more.
    #[inline]
    #[must_use]
    pub const fn word64(&self, index: usize) -> u64 {
        self.words[2 * index] as u64 | (self.words[2 * index + 1] as u64) << 32
    }

    /// Word `index` as a number in [0, 1); see [`unit`].
    ///
    /// # Panics
    /// If `index` is 8 or more.
    #[inline]
    #[must_use]
    pub fn unit(&self, index: usize) -> f64 {
        unit(self.word64(index))
    }

    /// Word `index` as a number in (0, 1); see [`unit_open01`].
    ///
    /// # Panics
    /// If `index` is 8 or more.
    #[inline]
    #[must_use]
    pub fn unit_open01(&self, index: usize) -> f64 {
        unit_open01(self.word64(index))
    }

    /// Word `index` for a sampler, which may go on to more words than that one without touching anyone else's.
    ///
    /// # Panics
    /// If `index` is 8 or more.
    #[inline]
    #[must_use]
    pub fn draw(&self, index: usize) -> Draw<'_> {
        assert!(index < Self::WORDS, "a block has 8 words");
        Draw { block: self, index }
    }
}

/// The look at eight decision points, as something to be compiled for several kinds of machine.
struct LookUp<'a> {
    stream: &'a Stream,
    counters: &'a [u64; LANES],
}

impl NullaryFnOnce for LookUp<'_> {
    type Output = Lanes;

    #[inline(always)]
    fn call(self) -> Lanes {
        self.stream.lanes_here(self.counters)
    }
}

/// How many decision points are looked at together.
pub const LANES: usize = 8;

/// The words of eight decision points that are looked at together.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    words: [[u32; LANES]; 16],
}

impl Lanes {
    /// What [`Block::word64`] of the block of counter `lane` (in 0..8) is.
    ///
    /// # Panics
    /// If `lane` is 8 or more, or `index` is 8 or more.
    #[inline]
    #[must_use]
    pub const fn word64(&self, lane: usize, index: usize) -> u64 {
        self.words[2 * index][lane] as u64 | (self.words[2 * index + 1][lane] as u64) << 32
    }

    /// Word `index` of all eight.
    ///
    /// # Panics
    /// If `index` is 8 or more.
    #[inline]
    #[must_use]
    pub fn words64(&self, index: usize) -> [u64; LANES] {
        std::array::from_fn(|lane| self.word64(lane, index))
    }
}

/// One named word of a block, and behind it as many blocks as a rejection sampler may need.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    block: &'a Block,
    index: usize,
}

impl Draw<'_> {
    /// The word itself.
    #[inline]
    #[must_use]
    pub fn word64(self) -> u64 {
        self.block.word64(self.index)
    }

    /// The word as a number in (0, 1); see [`unit_open01`].
    #[inline]
    #[must_use]
    pub fn unit_open01(self) -> f64 {
        unit_open01(self.word64())
    }

    /// Block `number` (from 0) of this word's own overflow.
    #[must_use]
    pub fn overflow(self, number: u64) -> Block {
        let Block { stream, counter, .. } = *self.block;
        let stream = Stream { seed: stream.seed, id: mix64(Purpose::Overflow.hash(), stream.id) };
        stream.block(mix64(counter, number * Block::WORDS as u64 + self.index as u64))
    }
}

/// Reads a stream in order, eight blocks at a time. A cache and nothing else: it never changes what is drawn.
#[derive(Clone, Debug)]
pub struct Sequence {
    stream: Stream,
    /// Blocks of eight counters, the first of which is a multiple of eight.
    blocks: [Block; LANES],
}

impl Sequence {
    /// A reader of `stream`, cheapest from counter 0 upwards.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, blocks: stream.blocks8(0) }
    }

    /// The same as [`Stream::block`], at a third of the price or less if counters mostly follow each other.
    #[inline]
    #[must_use]
    pub fn block(&mut self, counter: u64) -> &Block {
        let lane = (counter % LANES as u64) as usize;
        if self.blocks[0].counter != counter - lane as u64 {
            self.blocks = self.stream.blocks8(counter - lane as u64);
        }
        &self.blocks[lane]
    }
}

/// A probability as a threshold on integers, so that no rounding of floats decides: exact to 2^-63, and 0 and 1 are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// The threshold that a share `ratio` of all words falls under.
    #[must_use]
    pub fn from_ratio(ratio: Ratio) -> Self {
        // The product is exact, a power of two; the cast rounds down what lies beyond 2^-63.
        Self((ratio.get() * (1_u64 << 63) as f64) as u64)
    }

    /// Whether `word` falls under it. Never if the ratio was 0, always if it was 1.
    #[inline]
    #[must_use]
    pub const fn hit(self, word: u64) -> bool {
        // 63 bits, because 1 needs a threshold above every word.
        word >> 1 < self.0
    }
}

/// A word as a multiple of 2^-53 in [0, 1).
#[inline]
#[must_use]
pub fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * SCALE_53
}

/// A word as an odd multiple of 2^-53: in (0, 1), symmetric about 1/2, never 0 or 1, so that a quantile of it is finite.
#[inline]
#[must_use]
pub fn unit_open01(word: u64) -> f64 {
    // 52 bits behind the exponent of 1 make 1 + k / 2^52, and the difference to it is exact. An integer conversion gives the same
    // number, but on x86-64 it waits for whatever last used its register: 25 ns an exponential draw in a row instead of 9.
    f64::from_bits(ONE_BITS | word >> 12) - (1.0 - SCALE_53)
}

/// A word as an index in 0..`n`; 0 if `n` is 0.
///
/// The high half of a 128-bit product, without rejection: an index is off its share by less than n / 2^64 of it,
/// which no run is long enough to see, and one word is always enough.
#[inline]
#[must_use]
pub const fn below(word: u64, n: u64) -> u64 {
    ((word as u128 * n as u128) >> 64) as u64
}

/// The hash of a name: the first 8 bytes of its BLAKE3, little endian.
#[must_use]
pub fn hash64(text: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(text.as_bytes()).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Two numbers as one address; the order of the two matters. For either number fixed it is one to one in the other.
#[inline]
#[must_use]
pub const fn mix64(a: u64, b: u64) -> u64 {
    finalise(finalise(a.wrapping_add(GOLDEN)) ^ b)
}

/// The counter of a hop: which call, in which order, of which parent hop, of which request, at which attempt.
///
/// `request` is the request's own number, `parent_hop` the index of the hop that calls (0 for the client),
/// `call_position` counts the calls of the parent's program from 0, `attempt` the tries of one call from 0.
#[inline]
#[must_use]
pub const fn hop_index(request: u64, parent_hop: u64, call_position: u32, attempt: u32) -> u64 {
    mix64(mix64(request, parent_hop), (call_position as u64) << 32 | attempt as u64)
}

/// Spreads every bit over all: the finaliser of SplitMix64, "variant 13" of David Stafford's search (2011). One to one.
const fn finalise(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// 2^64 / the golden ratio: keeps the all-zero input from being a fixed point.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const SCALE_53: f64 = 1.0 / (1_u64 << 53) as f64;

const ONE_BITS: u64 = 1.0_f64.to_bits();

/// Eight rounds, of columns and of diagonals in turn.
const ROUND_PAIRS: usize = 4;

/// "expand 32-byte k", as ChaCha has it.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The 24 bytes of the key that follow the seed.
const KEY_TEXT: &[u8; 24] = b"firedrill randomness v1 ";

const KEY_TAIL: [u32; 6] = {
    let mut tail = [0; 6];
    let mut i = 0;
    while i < tail.len() {
        tail[i] = u32::from_le_bytes([KEY_TEXT[4 * i], KEY_TEXT[4 * i + 1], KEY_TEXT[4 * i + 2], KEY_TEXT[4 * i + 3]]);
        i += 1;
    }
    tail
};

const fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

#[inline(always)]
fn round_pair(words: &mut [u32; 16]) {
    quarter_round(words, [0, 4, 8, 12]);
    quarter_round(words, [1, 5, 9, 13]);
    quarter_round(words, [2, 6, 10, 14]);
    quarter_round(words, [3, 7, 11, 15]);
    quarter_round(words, [0, 5, 10, 15]);
    quarter_round(words, [1, 6, 11, 12]);
    quarter_round(words, [2, 7, 8, 13]);
    quarter_round(words, [3, 4, 9, 14]);
}

#[inline(always)]
fn quarter_round(words: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    words[a] = words[a].wrapping_add(words[b]);
    words[d] = (words[d] ^ words[a]).rotate_left(16);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_left(12);
    words[a] = words[a].wrapping_add(words[b]);
    words[d] = (words[d] ^ words[a]).rotate_left(8);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    /// The bytes at an address as rand_chacha has them.
    fn oracle(stream: Stream, counter: u64) -> [u64; Block::WORDS] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&stream.seed.to_le_bytes());
        key[8..].copy_from_slice(KEY_TEXT);
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream.id);
        rng.set_word_pos(u128::from(counter) * 16);
        std::array::from_fn(|_| rng.next_u64())
    }

    fn words(block: &Block) -> [u64; Block::WORDS] {
        std::array::from_fn(|index| block.word64(index))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn blocks_are_those_of_rand_chacha(seed: u64, id: u64, counter: u64) {
            let stream = Stream { seed, id };
            prop_assert_eq!(words(&stream.block(counter)), oracle(stream, counter));
        }

        #[test]
        fn eight_at_once_are_the_eight_one_by_one(seed: u64, id: u64, counter in prop_oneof![any::<u64>(), u64::MAX - 8..=u64::MAX, 0xffff_fff0_u64..0x1_0000_0010]) {
            let stream = Stream { seed, id };
            let one_by_one: [Block; LANES] = std::array::from_fn(|lane| stream.block(counter.wrapping_add(lane as u64)));
            prop_assert_eq!(stream.blocks8(counter), one_by_one);
            let counters = [counter, !counter, counter.rotate_left(17), 7, 0, u64::MAX, id, seed];
            // With the widest instructions of this machine, and with none that a machine may lack.
            for lanes in [stream.lanes(&counters), stream.lanes_here(&counters)] {
                for (lane, counter) in counters.into_iter().enumerate() {
                    let block = stream.block(counter);
                    prop_assert!((0..Block::WORDS).all(|word| lanes.words64(word)[lane] == block.word64(word)));
                }
            }
        }

        #[test]
        fn a_sequence_never_changes_what_is_drawn(counters in prop::collection::vec(prop_oneof![0_u64..20, any::<u64>()], 1..40)) {
            let stream = Stream::new(Seed(3), Purpose::Arrival, 4);
            let mut sequence = Sequence::new(stream);
            for counter in counters {
                prop_assert_eq!(*sequence.block(counter), stream.block(counter));
            }
        }

        #[test]
        fn units_stay_inside_their_interval(word: u64) {
            prop_assert!((0.0..1.0).contains(&unit(word)));
            prop_assert!(unit_open01(word) > 0.0 && unit_open01(word) < 1.0);
            prop_assert_eq!(unit_open01(word), (word >> 11 | 1) as f64 * SCALE_53);
            // Symmetric: the complement of the word is the complement of the number.
            prop_assert_eq!(unit_open01(!word), 1.0 - unit_open01(word));
        }

        #[test]
        fn below_is_below(word: u64, n in 1_u64..) {
            prop_assert!(below(word, n) < n);
        }
    }

    #[test]
    fn addresses_are_frozen() {
        // These stand in docs/decisions/randomness.md too. If this fails, the engine version must rise.
        let golden = [
            (Seed(0), Purpose::Arrival, "users", 0, 0xe983_2ac7_63b4_c0ea),
            (Seed(0), Purpose::Arrival, "users", 1, 0x59fc_1904_6643_8e9a),
            (Seed(1), Purpose::Arrival, "users", 0, 0xe585_9e89_840f_0083),
            (Seed(1), Purpose::Demand, "api", hop_index(1, 2, 3, 4), 0x312b_602c_5ac7_f0a7),
            (Seed(u64::MAX), Purpose::Overflow, "", u64::MAX, 0x7452_92d4_a38f_d61a),
        ];
        for (seed, purpose, entity, counter, first) in golden {
            let block = Stream::new(seed, purpose, hash64(entity)).block(counter);
            assert_eq!(block.word64(0), first, "{seed} {purpose:?} {entity} {counter}: {:#018x}", block.word64(0));
        }
        assert_eq!(hop_index(1, 2, 3, 4), 0x8bbb_08e2_0c21_f323, "{:#018x}", hop_index(1, 2, 3, 4));
    }

    #[test]
    fn hashes_of_purposes_are_those_of_their_names() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.hash(), hash64(purpose.name()), "{} {:#018x}", purpose.name(), hash64(purpose.name()));
        }
    }

    #[test]
    fn an_overflow_belongs_to_one_word_of_one_block() {
        let mut seen = BTreeSet::new();
        for purpose in [Purpose::Arrival, Purpose::Demand] {
            let stream = Stream::new(Seed(1), purpose, hash64("api"));
            for counter in 0..8 {
                let block = stream.block(counter);
                assert!(seen.insert(block.word64(0)));
                for word in 0..Block::WORDS {
                    for number in 0..4 {
                        assert!(seen.insert(block.draw(word).overflow(number).word64(0)));
                    }
                }
            }
        }
    }

    #[test]
    fn thresholds_mean_never_and_always() {
        let threshold = |share| Threshold::from_ratio(Ratio::new(share).unwrap());
        for word in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!threshold(0.0).hit(word));
            assert!(threshold(1.0).hit(word));
        }
        assert!(threshold(0.5).hit((1 << 63) - 1));
        assert!(!threshold(0.5).hit(1 << 63));
    }

    #[test]
    fn thresholds_are_hit_as_often_as_they_say() {
        let stream = Stream::new(Seed(7), Purpose::Probability, hash64("coin"));
        let (p, n) = (0.03, 200_000_u32);
        let threshold = Threshold::from_ratio(Ratio::new(p).unwrap());
        let hits = (0..n).filter(|&i| threshold.hit(stream.block(u64::from(i)).word64(5))).count();
        let error = (p * (1.0 - p) / f64::from(n)).sqrt();
        assert!((hits as f64 / f64::from(n) - p).abs() < 4.0 * error, "{hits} hits in {n}");
    }

    /// Mean share of output bits that flip when input bit `bit` flips, and the furthest that one output bit is from 1/2.
    fn avalanche(f: impl Fn(u64) -> u64, bit: u32) -> (f64, f64) {
        const TRIALS: u32 = 4_000;
        let mut flips = [0_u32; 64];
        for trial in 0..TRIALS {
            // Small inputs with the bit clear: the ones that structure makes likely, each pair once.
            let (trial, low) = (u64::from(trial), (1 << bit) - 1);
            let input = trial & low | (trial & !low) << 1;
            let difference = f(input) ^ f(input ^ 1 << bit);
            for (output, flips) in flips.iter_mut().enumerate() {
                *flips += (difference >> output & 1) as u32;
            }
        }
        let share = |flips: u32| f64::from(flips) / f64::from(TRIALS);
        let mean = flips.iter().map(|&n| share(n)).sum::<f64>() / 64.0;
        let worst = flips.iter().map(|&n| (share(n) - 0.5).abs()).fold(0.0, f64::max);
        (mean, worst)
    }

    #[test]
    fn mixing_spreads_every_bit_of_every_part() {
        type Mix = fn(u64) -> u64;
        let parts: [(&str, Mix); 5] = [
            ("first of mix64", |x| mix64(x, 5)),
            ("second of mix64", |x| mix64(5, x)),
            ("request", |x| hop_index(x, 0, 1, 0)),
            ("parent hop", |x| hop_index(7, x, 1, 0)),
            ("position and attempt", |x| hop_index(7, 0, (x >> 32) as u32, x as u32)),
        ];
        for (name, f) in parts {
            for bit in 0..64 {
                let (mean, worst) = avalanche(f, bit);
                // 4,000 fair flips stray 0.0079 (one standard error); the worst of 20,480 such counts stays within 5.5.
                assert!((mean - 0.5).abs() < 0.01 && worst < 0.0435, "{name}, bit {bit}: mean {mean}, worst {worst}");
            }
        }
    }

    #[test]
    fn a_million_neighbouring_hops_have_a_million_indices() {
        let mut indices = Vec::with_capacity(1_000_000);
        for request in 0..2_500 {
            for parent in [0, 1, 2, hop_index(request, 0, 0, 0), hop_index(request, 0, 1, 0)] {
                for position in 0..10 {
                    indices.extend((0..8).map(|attempt| hop_index(request, parent, position, attempt)));
                }
            }
        }
        assert_eq!(indices.len(), 1_000_000);
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 1_000_000);
    }

    #[test]
    fn another_seed_purpose_entity_or_counter_is_another_block() {
        let mut seen = BTreeSet::new();
        for seed in 0..4 {
            for &purpose in Purpose::ALL {
                for entity in ["a", "b", "api", "api-0", "api-1"] {
                    let stream = Stream::new(Seed(seed), purpose, hash64(entity));
                    for counter in 0..4 {
                        assert!(seen.insert(words(&stream.block(counter))), "{seed} {purpose:?} {entity} {counter}");
                    }
                }
            }
        }
    }
}
