//! The normal and the binomial distribution, by `libm` and bisection: slow, exact, and the same bits everywhere.

/// The normal distribution function Φ.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The inverse of Φ, for a probability strictly between 0 and 1; infinite outside.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if probability >= 1.0 {
        return f64::INFINITY;
    }
    bisect(-40.0, 40.0, |z| normal_cdf(z) < probability)
}

/// The inverse of Student's distribution function with so many degrees of freedom, for a probability strictly between 1/2 and 1: what the normal
/// quantile becomes where the spread is estimated from few values.
#[must_use]
pub fn student_quantile(probability: f64, degrees: u64) -> f64 {
    let degrees = degrees as f64;
    let beyond = |t: f64| 0.5 * beta_cdf(0.5 * degrees, 0.5, degrees / (degrees + t * t));
    bisect(0.0, 1e6, |t| 1.0 - beyond(t) < probability)
}

/// The largest success probability that `successes` of `trials` do not exclude, one-sided (Clopper and Pearson 1934).
///
/// It solves P(X ≤ successes) = 1 − `confidence`, and is 1 when every trial succeeded or there was none.
#[must_use]
pub fn clopper_pearson_upper(successes: u64, trials: u64, confidence: f64) -> f64 {
    assert!(successes <= trials, "no more successes than trials");
    if successes == trials {
        return 1.0;
    }
    bisect(0.0, 1.0, |p| binomial_cdf(successes, trials, p) > 1.0 - confidence)
}

/// The smallest success probability that `successes` of `trials` do not exclude, one-sided; 0 without a success.
#[must_use]
pub fn clopper_pearson_lower(successes: u64, trials: u64, confidence: f64) -> f64 {
    assert!(successes <= trials, "no more successes than trials");
    if successes == 0 {
        return 0.0;
    }
    1.0 - clopper_pearson_upper(trials - successes, trials, confidence)
}

/// The lower bound of a success probability after `successes` of `trials`, one-sided: the quantile at 1 − `confidence` of the posterior
/// Beta(successes + 1/2, failures + 1/2), which is Jeffreys' prior with the trials (Brown, Cai and DasGupta 2001, section 4.3). Close to 0 without a trial.
#[must_use]
pub fn jeffreys_lower(successes: u64, trials: u64, confidence: f64) -> f64 {
    assert!(successes <= trials, "no more successes than trials");
    let (right, wrong) = (successes as f64 + 0.5, (trials - successes) as f64 + 0.5);
    bisect(0.0, 1.0, |p| beta_cdf(right, wrong, p) < 1.0 - confidence)
}

/// The distribution function of a Beta distribution: the regularized incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22), which
/// converges quickly where `x` lies below (a + 1) / (a + b + 2); above, it is taken from the other side.
fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_cdf(b, a, 1.0 - x);
    }
    let factor = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    libm::exp(factor) / a / continued_fraction(a, b, x)
}

/// 1 + d₁ / (1 + d₂ / (1 + …)), from the end of so many terms: more than any count of runs needs.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TERMS: u32 = 400;
    let term = |index: u32| {
        let m = f64::from(index / 2);
        if index.is_multiple_of(2) {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        }
    };
    (1..=TERMS).rev().fold(1.0, |rest, index| 1.0 + term(index) / rest)
}

/// P(X ≤ successes) of a binomial distribution.
fn binomial_cdf(successes: u64, trials: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return if successes >= trials { 1.0 } else { 0.0 };
    }
    let (n, log_p, log_q) = (trials as f64, libm::log(p), libm::log1p(-p));
    let log_factorial = |count: f64| libm::lgamma(count + 1.0);
    let term = |k: u64| {
        let k = k as f64;
        libm::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * log_p + (n - k) * log_q)
    };
    (0..=successes).map(term).sum::<f64>().min(1.0)
}

/// The point where `below` turns from true to false, to the last bit.
fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{Beta, ContinuousCDF, Normal, StudentsT};

    #[test]
    fn student_s_quantiles_agree_with_statrs_and_are_the_normal_ones_in_the_end() {
        for (degrees, level) in [(1, 0.975), (2, 0.975), (4, 0.975), (9, 0.999), (299, 0.995)] {
            let oracle = StudentsT::new(0.0, 1.0, degrees as f64).unwrap().inverse_cdf(level);
            let found = student_quantile(level, degrees);
            assert!((found - oracle).abs() < 1e-6 * oracle, "{found} and {oracle} with {degrees}");
        }
        assert!((student_quantile(0.975, 100_000) - normal_quantile(0.975)).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn the_normal_distribution_agrees_with_statrs(z in -6.0_f64..6.0) {
            let oracle = Normal::new(0.0, 1.0).unwrap();
            prop_assert!((normal_cdf(z) - oracle.cdf(z)).abs() < 1e-9);
        }

        #[test]
        fn the_quantile_inverts_the_distribution(p in 1e-9_f64..1.0) {
            prop_assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-14);
        }

        #[test]
        fn clopper_and_pearson_agree_with_the_beta_distribution(trials in 1_u64..700, share in 0.0_f64..1.0) {
            let successes = (share * trials as f64) as u64;
            let oracle = Beta::new(successes as f64 + 1.0, (trials - successes) as f64).unwrap().inverse_cdf(0.95);
            prop_assert!((clopper_pearson_upper(successes, trials, 0.95) - oracle).abs() < 1e-6);
        }
    }

    proptest! {
        #[test]
        fn jeffreys_bound_agrees_with_the_beta_distribution(trials in 0_u64..2_000, share in 0.0_f64..=1.0, confidence in 0.5_f64..0.999) {
            let successes = (share * trials as f64) as u64;
            let bound = jeffreys_lower(successes, trials, confidence);
            let oracle = Beta::new(successes as f64 + 0.5, (trials - successes) as f64 + 0.5).unwrap().cdf(bound);
            prop_assert!((oracle - (1.0 - confidence)).abs() < 1e-7, "{oracle}");
        }
    }

    #[test]
    fn eighteen_right_of_eighteen_are_ninety_percent_at_least() {
        let check = |right, of, expected: f64| assert!((jeffreys_lower(right, of, 0.95) - expected).abs() < 1e-4, "{right} of {of}");
        check(5, 5, 0.6943);
        check(10, 10, 0.8292);
        check(17, 17, 0.8947);
        check(18, 18, 0.9001);
        check(19, 20, 0.8204);
        assert!(jeffreys_lower(0, 0, 0.95) < 0.01);
    }

    #[test]
    fn one_percent_needs_299_473_or_628_runs() {
        for (bad, runs) in [(0, 299), (1, 473), (2, 628)] {
            assert!(clopper_pearson_upper(bad, runs, 0.95) <= 0.01, "{bad} of {runs}");
            assert!(clopper_pearson_upper(bad, runs - 1, 0.95) > 0.01, "{bad} of {}", runs - 1);
        }
    }

    #[test]
    fn nothing_seen_wrong_in_five_could_still_be_45_percent() {
        assert!((clopper_pearson_upper(0, 5, 0.95) - 0.4507).abs() < 1e-4);
        assert_eq!((clopper_pearson_upper(5, 5, 0.95), clopper_pearson_lower(0, 5, 0.95)), (1.0, 0.0));
        assert_eq!(clopper_pearson_upper(0, 0, 0.95), 1.0);
    }
}
