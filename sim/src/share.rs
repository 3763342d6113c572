//! How the cores of a machine are shared when what runs there wants more than there are: by weights, nobody more than it can use.
//!
//! The fair scheduler of Linux gives each group the part of the machine that its weight (`cpu.weight`, from what its containers ask for) is of all
//! weights that want to run, and what one does not use goes to the others in the same proportion.

/// Somebody who wants cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Want {
    /// Thousandths of a core that it could use.
    pub(crate) millicores: u64,
    /// Its weight, above zero.
    pub(crate) weight: u64,
}

/// What share of its want each gets of so many thousandths of a core, 0 to 1; who wants nothing gets 1.
pub(crate) fn shares(millicores: u64, wants: &[Want]) -> Vec<f64> {
    let mut shares = vec![1.0; wants.len()];
    let mut left = millicores as f64;
    // By want over weight: whoever comes first is the first to have enough as all are given more in proportion.
    let mut order: Vec<usize> = (0..wants.len()).filter(|index| wants[*index].millicores > 0).collect();
    let is_before = |left: &usize, right: &usize| {
        let (left, right) = (wants[*left], wants[*right]);
        (u128::from(left.millicores) * u128::from(right.weight)).cmp(&(u128::from(right.millicores) * u128::from(left.weight)))
    };
    order.sort_by(is_before);
    let mut weights: u64 = order.iter().map(|index| wants[*index].weight).sum();
    for index in order {
        let Want { millicores: wanted, weight } = wants[index];
        let fair = left * weight as f64 / weights as f64;
        let given = fair.min(wanted as f64);
        shares[index] = given / wanted as f64;
        left -= given;
        weights -= weight;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(millicores: u64, wants: &[(u64, u64)], expected: &[f64]) {
        let wants: Vec<Want> = wants.iter().map(|(millicores, weight)| Want { millicores: *millicores, weight: *weight }).collect();
        let got = shares(millicores, &wants);
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn who_wants_no_more_than_there_is_gets_all() {
        check(4000, &[(1000, 1), (3000, 9)], &[1.0, 1.0]);
        check(0, &[(0, 1)], &[1.0]);
    }

    #[test]
    fn what_is_short_is_shared_by_weight() {
        check(4000, &[(4000, 100), (4000, 300)], &[0.25, 0.75]);
        check(0, &[(1000, 1)], &[0.0]);
    }

    #[test]
    fn what_one_does_not_use_goes_to_the_others() {
        // The first wants less than its half; the others share what is left, 3 to 1.
        check(4000, &[(1000, 400), (4000, 300), (4000, 100)], &[1.0, 0.5625, 0.1875]);
    }

    proptest! {
        #[test]
        fn all_of_the_machine_is_used_if_all_of_it_is_wanted(millicores in 1_u64..8000, wants in prop::collection::vec((0_u64..4000, 1_u64..4000), 1..8)) {
            let wants: Vec<Want> = wants.into_iter().map(|(millicores, weight)| Want { millicores, weight }).collect();
            let given: f64 = shares(millicores, &wants).iter().zip(&wants).map(|(share, want)| share * want.millicores as f64).sum();
            let wanted: u64 = wants.iter().map(|want| want.millicores).sum();
            prop_assert!((given - millicores.min(wanted) as f64).abs() < 1e-6);
        }
    }
}
