//! Whatever a slip of the hand makes of a scenario, it is read or refused with problems that have a place; never a panic, never a hang.

use firedrill_scenarios::{library, read_scenario};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Pieces that people and machines put into YAML where they do not belong.
const PIECES: [&str; 16] =
    ["", "-", "- ", ": ", "{", "}", "[", "]", "\n", "  ", "0", "1e400", ".nan", "&a *a", "api-4294967296", "99999999999999999999s"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_read_or_refused_in_its_own_words(
        which in 0..library::ENTRIES.len(),
        from in any::<prop::sample::Index>(),
        length in 0_usize..12,
        piece in 0..PIECES.len(),
    ) {
        let entry = library::ENTRIES[which];
        let at = |wanted: usize| (wanted.min(entry.text.len())..).find(|at| entry.text.is_char_boundary(*at)).unwrap();
        let start = at(from.index(entry.text.len()));
        let end = at(start + length);
        let text = format!("{}{}{}", &entry.text[..start], PIECES[piece], &entry.text[end..]);
        if let Err(problems) = read_scenario(entry.path, &text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.render(false).contains(entry.path));
            }
        }
    }
}
