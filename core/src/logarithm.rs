//! Exponential variables, eight at once: the bits of `libm::log` at half its price.

use pulp::NullaryFnOnce;

use crate::random::{LANES, unit_open01};
use crate::vectors;

/// What remains until the next arrival of a Poisson process of rate 1, for each word: `-ln(unit_open01(word))`, the bits of `libm::log`.
#[must_use]
pub fn exponentials(words: &[u64; LANES]) -> [f64; LANES] {
    vectors::widest().dispatch(Exponentials { words })
}

/// Eight exponentials, as something to be compiled for several kinds of machine.
struct Exponentials<'a> {
    words: &'a [u64; LANES],
}

impl NullaryFnOnce for Exponentials<'_> {
    type Output = [f64; LANES];

    #[inline(always)]
    fn call(self) -> [f64; LANES] {
        exponentials_here(self.words)
    }
}

#[inline(always)]
fn exponentials_here(words: &[u64; LANES]) -> [f64; LANES] {
    let mut values = [0.0; LANES];
    for (value, word) in values.iter_mut().zip(words) {
        *value = -ln(unit_open01(*word));
    }
    values
}

/// The natural logarithm of a normal number above 0, by the method of FreeBSD's `e_log.c` (Sun Microsystems, 1993) that `libm::log` follows too,
/// every operation in its order, and without its branches for other numbers: so it is the same to the last bit, and fits into vectors.
///
/// With x = 2^k (1 + f), sqrt(2)/2 < 1 + f < sqrt(2), and s = f / (2 + f): ln(1 + f) = f - f^2/2 + s (f^2/2 + R), where R is Remez' polynomial in s^2.
#[inline(always)]
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let high = ((bits >> 32) as u32).wrapping_add(ONE_HIGH - HALF_ROOT_HIGH);
    let k = f64::from((high >> 20) as i32 - 0x3ff);
    let high = (high & 0x000f_ffff) + HALF_ROOT_HIGH;
    let f = f64::from_bits(u64::from(high) << 32 | bits & 0xffff_ffff) - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (R[1] + w * (R[3] + w * R[5]));
    let odd = z * (R[0] + w * (R[2] + w * (R[4] + w * R[6])));
    s * (half_square + (odd + even)) + k * LN_2_LOW - half_square + f + k * LN_2_HIGH
}

/// The upper half of the bits of 1 and of sqrt(2) / 2.
const ONE_HIGH: u32 = 0x3ff0_0000;
const HALF_ROOT_HIGH: u32 = 0x3fe6_a09e;

/// ln 2 in two parts, the first with zeros at its end, so that its product with k is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// The coefficients of the polynomial, rising.
const R: [f64; 7] = [
    f64::from_bits(0x3fe5_5555_5555_5593),
    f64::from_bits(0x3fd9_9999_9997_fa04),
    f64::from_bits(0x3fd2_4924_9422_9359),
    f64::from_bits(0x3fcc_71c5_1d8e_78af),
    f64::from_bits(0x3fc7_4664_96cb_03de),
    f64::from_bits(0x3fc3_9a09_d078_c69f),
    f64::from_bits(0x3fc2_f112_df3e_5244),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn libm_says(words: &[u64; LANES]) -> [u64; LANES] {
        words.map(|word| (-libm::log(unit_open01(word))).to_bits())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn exponentials_have_the_bits_of_libm(words: [u64; LANES], shift in 0_u32..64) {
            // Shifted words are small numbers, and their complements numbers close to 1.
            for words in [words, words.map(|word| word >> shift), words.map(|word| !(word >> shift))] {
                prop_assert_eq!(exponentials(&words).map(f64::to_bits), libm_says(&words));
                prop_assert_eq!(exponentials_here(&words).map(f64::to_bits), libm_says(&words));
            }
        }
    }

    #[test]
    fn the_ends_have_the_bits_of_libm() {
        let root = (std::f64::consts::FRAC_1_SQRT_2 * (1_u64 << 53) as f64) as u64;
        let around = |word: u64| [0, 1, 2, 3].map(|off| (word << 11).wrapping_add(off << 11).wrapping_sub(2 << 11));
        for word in [0, 1 << 52, root, 1 << 51, 1 << 20] {
            let [a, b, c, d] = around(word);
            let words = [a, b, c, d, 0, 1 << 12, u64::MAX, u64::MAX - (1 << 12)];
            assert_eq!(exponentials(&words).map(f64::to_bits), libm_says(&words));
        }
    }
}
