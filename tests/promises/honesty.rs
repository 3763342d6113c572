//! Whether the gate's tests keep what they promise, by simulation: pairs whose true difference is known, judged as the gate judges them.
//!
//! The table of docs/verdicts.md is written by `UPDATE_GOLDEN=1 cargo test --test promises honesty`; read the diff.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::each;

use firedrill_reports::statistics::{
    Conclusion, NonInferiority, TailGuard, clopper_pearson_lower, clopper_pearson_upper, normal_cdf, normal_quantile,
};
use firedrill_reports::verdict::{JudgeSettings, Look};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Pairs of a plan, and those to which an inconclusive one is extended.
const PLANNED: usize = 300;
const EXTENDED: usize = 600;
/// How often a bad candidate of each shape is tried, and a good one, and how often a bootstrap resamples: as much as fits in a few seconds.
const BAD_TRIALS: u32 = 250;
const GOOD_TRIALS: u32 = 60;
const RESAMPLES: usize = 400;
/// Catastrophes are counted and not resampled, so that they cost little.
const TAIL_TRIALS: u32 = 20_000;

/// What nobody may exceed: a candidate that is truly too bad passes in at most this share.
const PROMISED: f64 = 0.05;
/// The same where a few runs outweigh all others together, so that no bound of a mean keeps to 5 %: what is known of ours.
const FEW_RUNS: f64 = 0.2;

/// What losses look like, made from a normal variate.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    of: fn(f64) -> f64,
    allowed: f64,
}

const SHAPES: [Shape; 6] = [
    Shape { name: "normal", of: |z| 100.0 + 15.0 * z, allowed: PROMISED },
    Shape { name: "right-skewed (lognormal)", of: |z| 100.0 * libm::exp(z), allowed: PROMISED },
    Shape { name: "left-skewed (most runs near the horizon)", of: |z| 200.0 - 60.0 * libm::exp(0.8 * z).min(3.3), allowed: PROMISED },
    Shape { name: "heavy-tailed up to the horizon (Pareto 2.5, at most tenfold)", of: |z| pareto(z).min(1_000.0), allowed: PROMISED },
    Shape { name: "heavy-tailed without end (Pareto 2.5)", of: pareto, allowed: FEW_RUNS },
    Shape {
        name: "rare catastrophe in both arms (1 run of 100 costs 100 times as much)",
        of: |z| if z > 2.326_348 { 1_000.0 } else { 10.0 },
        allowed: FEW_RUNS,
    },
];

/// A Pareto variate from a normal one.
fn pareto(z: f64) -> f64 {
    100.0 * libm::pow(normal_cdf(-z).max(1e-12), -0.4)
}

/// What befalls the pairs of each trial, as normal variates of baseline and candidate: the same whatever the losses look like. Four fifths of the variance is
/// the weather that both arms share.
static LUCK: LazyLock<Vec<Vec<(f64, f64)>>> = LazyLock::new(|| {
    let trial = |trial: u32| {
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(trial));
        let mut normal = || normal_quantile((f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0);
        let mut pair = || {
            let (shared, one, other) = (normal() * libm::sqrt(0.8), normal() * libm::sqrt(0.2), normal() * libm::sqrt(0.2));
            (shared + one, shared + other)
        };
        (0..EXTENDED).map(|_| pair()).collect()
    };
    each(&(0..BAD_TRIALS.max(GOOD_TRIALS)).collect::<Vec<_>>(), |own| Ok(trial(*own)))
});

/// The losses of as many pairs of a trial. The candidate's true mean is `worse` times the baseline's, whatever the shape.
fn pairs(shape: Shape, worse: f64, trial: u32, count: usize) -> Vec<(f64, f64)> {
    LUCK[trial as usize][..count].iter().map(|(one, other)| ((shape.of)(*one), worse * (shape.of)(*other))).collect()
}

fn means(alpha: f64, seed: u64) -> NonInferiority {
    NonInferiority { alpha, resamples: RESAMPLES, seed, ..NonInferiority::with_least_margin(0.0) }
}

/// How many of the trials pass at the planned look, and at that or the look after pairs were added.
fn passes(shape: Shape, worse: f64, trials: u32) -> [u32; 2] {
    let levels = [Look::Planned, Look::Extended].map(|look| JudgeSettings::default().at(look).alpha);
    let trial = |trial: u32| {
        let look = |level, count| means(level, u64::from(trial)).compare(&pairs(shape, worse, trial, count)).unwrap().conclusion;
        match look(levels[0], PLANNED) {
            Conclusion::Held => [1, 1],
            Conclusion::Broken => [0, 0],
            Conclusion::Inconclusive => [0, u32::from(look(levels[1], EXTENDED) == Conclusion::Held)],
        }
    };
    // By this thread: on one that tries, another trial would wait for it that it waits for itself.
    LazyLock::force(&LUCK);
    let passed = each(&(0..trials).collect::<Vec<_>>(), |own| Ok(trial(*own)));
    passed.into_iter().fold([0, 0], |one, other| [one[0] + other[0], one[1] + other[1]])
}

/// The same of the guard on catastrophes, of which a candidate has this share.
fn tail_passes(share: f64) -> [u32; 2] {
    let guards = [Look::Planned, Look::Extended].map(|look| JudgeSettings::default().at(look).tail.unwrap());
    let limit = (share * 4_294_967_296.0) as u64;
    let mut random = ChaCha8Rng::seed_from_u64(299);
    let mut count = |pairs: usize| (0..pairs).filter(|_| u64::from(random.next_u32()) < limit).count() as u64;
    let known = |guard: TailGuard, pairs: usize| (0..60).map(move |count| guard.test(count, pairs as u64).conclusion).collect::<Vec<_>>();
    let (planned, extended) = (known(guards[0], PLANNED), known(guards[1], EXTENDED));
    let mut found = [0, 0];
    for _ in 0..TAIL_TRIALS {
        let first = count(PLANNED);
        match planned[first as usize] {
            Conclusion::Held => found = [found[0] + 1, found[1] + 1],
            Conclusion::Broken => {}
            Conclusion::Inconclusive => {
                let all = first + count(EXTENDED - PLANNED);
                found[1] += u32::from(extended[all as usize] == Conclusion::Held);
            }
        }
    }
    found
}

/// A share in percent with its exact 95 % interval.
fn shown(passes: u32, trials: u32) -> String {
    let (passes, trials) = (u64::from(passes), u64::from(trials));
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let bounds = [clopper_pearson_lower(passes, trials, 0.975), clopper_pearson_upper(passes, trials, 0.975)];
    format!("{} % ({}–{})", percent(passes as f64 / trials as f64), percent(bounds[0]), percent(bounds[1]))
}

/// A candidate that is as bad as is just not allowed passes as rarely as is promised, or the trials do not say otherwise.
#[track_caller]
fn keeps_its_promise(name: &str, passes: u32, trials: u32, allowed: f64) {
    let surely = clopper_pearson_lower(u64::from(passes), u64::from(trials), 0.975);
    assert!(surely <= allowed, "{name}: {} pass where at most {} % may", shown(passes, trials), allowed * 100.0);
}

#[test]
fn false_passes_stay_rare_and_good_candidates_pass_whatever_losses_look_like() {
    let mut table = "| losses | 5 % worse: passes at once | 5 % worse: at once or after more pairs | as good: passes | 10 % better: passes |\n|---|---|---|---|---|\n".to_owned();
    for shape in SHAPES {
        let bad = passes(shape, 1.05, BAD_TRIALS);
        let [good, better] = [1.0, 0.9].map(|worse| passes(shape, worse, GOOD_TRIALS)[1]);
        bad.iter().for_each(|passes| keeps_its_promise(shape.name, *passes, BAD_TRIALS, shape.allowed));
        assert!(better >= good && good * BAD_TRIALS > bad[1] * GOOD_TRIALS, "{}: better candidates pass no more often", shape.name);
        let bad = bad.map(|passes| shown(passes, BAD_TRIALS));
        let cells = [bad[0].clone(), bad[1].clone(), shown(good, GOOD_TRIALS), shown(better, GOOD_TRIALS)];
        table.push_str(&format!("| {} | {} |\n", shape.name, cells.join(" | ")));
    }
    let [bad, good, better] = [0.01, 0.001, 0.0].map(tail_passes);
    bad.iter().for_each(|passes| keeps_its_promise("catastrophes", *passes, TAIL_TRIALS, PROMISED));
    let cells = [bad[0], bad[1], good[1], better[1]].map(|passes| shown(passes, TAIL_TRIALS));
    let heading = "| catastrophes | 1 of 100: passes at once | 1 of 100: at once or after more pairs | 1 of 1,000: passes | none: passes |\n|---|---|---|---|---|";
    table.push_str(&format!("\n{heading}\n| where the baseline has none | {} |\n", cells.join(" | ")));
    assert_eq!(better[0], TAIL_TRIALS, "a candidate without a catastrophe passes");
    is_in_the_docs(&table);
}

#[test]
fn what_has_no_spread_is_decided_by_its_size() {
    let conclusion = |baseline: f64, candidate: f64| means(0.025, 1).compare(&[(baseline, candidate); PLANNED]).unwrap().conclusion;
    assert_eq!(conclusion(0.0, 0.0), Conclusion::Held, "all zero");
    assert_eq!(conclusion(100.0, 100.0), Conclusion::Held, "all equal");
    assert_eq!(conclusion(100.0, 104.9), Conclusion::Held, "all worse by as much, within the margin");
    assert_eq!(conclusion(100.0, 105.1), Conclusion::Broken, "beyond the margin");
    // Nothing is lost in most runs, and in a few the candidate alone loses: a mean of nothing allows nothing.
    let mut few = vec![(0.0, 0.0); PLANNED];
    few[..6].fill((0.0, 50.0));
    assert_ne!(means(0.025, 1).compare(&few).unwrap().conclusion, Conclusion::Held);
}

/// What stands between two marks of the page on verdicts.
const MARKS: [&str; 2] = ["<!-- honesty -->\n", "<!-- /honesty -->\n"];

#[track_caller]
fn is_in_the_docs(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdicts.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let expected = format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(page == expected, "docs/verdicts.md is behind the tests: UPDATE_GOLDEN=1 cargo test --test promises honesty\n{table}");
}
