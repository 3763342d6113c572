//! How what policies claim to be sure of compares with what was right, and what share of their actions is right at least.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use firedrill_core::name::Name;
use serde::Serialize;

use crate::outcome::Judged;
use crate::statistics::jeffreys_lower;
use crate::words::counted;

/// The confidence of the lower bound, one-sided.
pub const LEVEL: f64 = 0.95;

/// The bounds of the bands of claims where no policy says its own, from the lowest on: those that policies have if they say nothing.
pub const USUAL_BOUNDS: [f64; 2] = [0.7, 0.9];

/// How often an action of a policy was right when an alert fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Which policy.
    pub policy: Name,
    /// Which alert.
    pub alert: Name,
    /// The word of the action.
    pub action: String,
    /// Actions that were right.
    pub right: u64,
    /// Actions that were not.
    pub wrong: u64,
    /// What share is right at least, 0 to 1.
    pub at_least: f64,
    /// Why those that were wrong were, each with how often.
    pub because: BTreeMap<&'static str, u64>,
}

/// The claims that lie in one band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Band {
    /// Where it begins; what lies there belongs to it.
    pub from: f64,
    /// Where it ends, without what lies there; the last one holds 1.
    pub to: f64,
    /// Actions of which something in it was claimed.
    pub claims: u64,
    /// Of these, those that were right.
    pub right: u64,
    /// What was claimed on average; `None` without a claim.
    pub mean_claim: Option<f64>,
}

/// What was claimed, and what was right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// By policy, alert and action.
    pub shares: Vec<Share>,
    /// Claims by band, of all policies together.
    pub bands: Vec<Band>,
    /// The mean square of what was claimed less what was right (1) or not (0): 0 is best, 0.25 is what a claim of one half always gets (Brier 1950).
    /// `None` without a claim.
    pub brier: Option<f64>,
    /// Claims that are no share, below 0 or above 1; they are in no band.
    pub no_share: u64,
}

/// What share is right at least, rounded down to four places, so that the same counts say the same everywhere.
#[must_use]
pub fn at_least(right: u64, wrong: u64) -> f64 {
    (jeffreys_lower(right, right + wrong, LEVEL) * 1e4).floor() / 1e4
}

/// Compares what policies claimed with what was right, in bands between the bounds from which policies ask or act: those between 0 and 1, in any
/// order; if there is none, the [usual](USUAL_BOUNDS) ones.
#[must_use]
pub fn calibration<'a>(judged: impl Iterator<Item = &'a Judged>, bounds: &[f64]) -> Calibration {
    let mut shares: BTreeMap<(&Name, &Name, &str), Share> = BTreeMap::new();
    let mut bands = bands_between(bounds);
    let (mut squares, mut claims, mut no_share) = (0.0, 0_u64, 0);
    for Judged { policy, alert, action, sure, wrong } in judged {
        let share = shares.entry((policy, alert, action)).or_insert_with(|| Share {
            policy: policy.clone(),
            alert: alert.clone(),
            action: action.clone(),
            right: 0,
            wrong: 0,
            at_least: 0.0,
            because: BTreeMap::new(),
        });
        match wrong {
            None => share.right += 1,
            Some(why) => {
                share.wrong += 1;
                *share.because.entry(why).or_default() += 1;
            }
        }
        let Some(sure) = sure else { continue };
        if !(0.0..=1.0).contains(sure) {
            no_share += 1;
            continue;
        }
        let truth = if wrong.is_none() { 1.0 } else { 0.0 };
        squares += (sure - truth) * (sure - truth);
        claims += 1;
        if let Some(band) = bands.iter_mut().rev().find(|band| *sure >= band.from) {
            band.claims += 1;
            band.right += u64::from(wrong.is_none());
            *band.mean_claim.get_or_insert(0.0) += sure;
        }
    }
    for Band { claims, mean_claim, .. } in &mut bands {
        *mean_claim = mean_claim.map(|sum| sum / *claims as f64);
    }
    let with_bound = |share: Share| Share { at_least: at_least(share.right, share.wrong), ..share };
    let shares = shares.into_values().map(with_bound).collect();
    Calibration { shares, bands, brier: (claims > 0).then(|| squares / claims as f64), no_share }
}

/// The bands between bounds, the first from 0 and the last to 1.
fn bands_between(bounds: &[f64]) -> Vec<Band> {
    let mut between: Vec<f64> = bounds.iter().copied().filter(|bound| *bound > 0.0 && *bound < 1.0).collect();
    if between.is_empty() {
        between.extend(USUAL_BOUNDS);
    }
    between.sort_by(f64::total_cmp);
    between.dedup();
    let begins = std::iter::once(0.0).chain(between.iter().copied());
    let ends = between.iter().copied().chain([1.0]);
    begins.zip(ends).map(|(from, to)| Band { from, to, ..Band::default() }).collect()
}

/// A bound with one digit, or as many as it has.
fn bound(share: f64) -> String {
    if share == (share * 10.0).round() / 10.0 { format!("{share:.1}") } else { share.to_string() }
}

/// The same for people; ends with a newline.
#[must_use]
pub fn told(calibration: &Calibration) -> String {
    let mut text = String::new();
    let mut last = None;
    for share in &calibration.shares {
        if last != Some(&share.policy) {
            writeln!(text, "{}", share.policy).expect("a String takes everything");
            last = Some(&share.policy);
        }
        let Share { alert, action, right, wrong, at_least, because, .. } = share;
        let why: Vec<String> = because.iter().map(|(why, count)| format!("{count} {why}")).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
        let of = counted(right + wrong, "action");
        writeln!(text, "  {action} on {alert}: {right} of {of} right{why}, so at least {at_least}").expect("a String takes everything");
    }
    if calibration.shares.is_empty() {
        text.push_str("nothing was done, so nothing was right or wrong\n");
    }
    if let Some(brier) = calibration.brier {
        text.push_str("\nclaimed        claims  mean claim  right\n");
        for Band { from, to, claims, right, mean_claim } in &calibration.bands {
            let end = if *to >= 1.0 { "  " } else { "< " };
            let figures = match mean_claim {
                None => "         –      –".to_owned(),
                Some(mean) => format!("{mean:>10.3}  {:>5.3}", *right as f64 / *claims as f64),
            };
            let band = format!("{} to {end}{}", bound(*from), bound(*to));
            writeln!(text, "{band:<12}     {claims:>6}  {figures}").expect("a String takes everything");
        }
        writeln!(text, "Brier score {brier:.3}: 0 is best, 0.25 is what a claim of 0.5 always gets").expect("a String takes everything");
    }
    if calibration.no_share > 0 {
        let claims = counted(calibration.no_share, "claim");
        writeln!(text, "{claims} below 0 or above 1: no share, and in no band").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(action: &str, sure: Option<f64>, wrong: Option<&'static str>) -> Judged {
        Judged { policy: Name::new("p"), alert: Name::new("Down"), action: action.to_owned(), sure, wrong }
    }

    /// Worked out by hand: squares 0.01 + 0.01 + 0.81 in the highest band, 0.04 + 0.64 in the middle, 0.25 below: 1.76 / 6.
    #[test]
    fn claims_are_held_against_what_was_right_band_by_band() {
        let wrong = Some("out of scope");
        let actions = [
            judged("restart", Some(0.9), None),
            judged("restart", Some(0.9), None),
            judged("restart", Some(0.9), wrong),
            judged("restart", Some(0.8), None),
            judged("restart", Some(0.8), wrong),
            judged("scale", Some(0.5), None),
            judged("scale", Some(1.5), wrong),
            judged("scale", None, None),
        ];
        let told_of = calibration(actions.iter(), &[]);
        assert!((told_of.brier.unwrap() - 1.76 / 6.0).abs() < 1e-12);
        let bands: Vec<_> = told_of.bands.iter().map(|band| (band.claims, band.right)).collect();
        assert_eq!((bands, told_of.no_share), (vec![(1, 1), (2, 1), (3, 2)], 1));
        let expected = "\
p
  restart on Down: 3 of 5 actions right (2 out of scope), so at least 0.2606
  scale on Down: 2 of 3 actions right (1 out of scope), so at least 0.2355

claimed        claims  mean claim  right
0.0 to < 0.7          1       0.500  1.000
0.7 to < 0.9          2       0.800  0.500
0.9 to   1.0          3       0.900  0.667
Brier score 0.293: 0 is best, 0.25 is what a claim of 0.5 always gets
1 claim below 0 or above 1: no share, and in no band
";
        assert_eq!(told(&told_of), expected);
    }

    #[test]
    fn a_claim_on_the_bound_belongs_to_the_band_above_it() {
        let band_of = |sure: f64| {
            let told = calibration([judged("restart", Some(sure), None)].iter(), &USUAL_BOUNDS);
            told.bands.iter().position(|band| band.claims == 1)
        };
        assert_eq!([0.0, 0.7_f64.next_down(), 0.7, 0.9_f64.next_down(), 0.9, 1.0].map(band_of), [0, 0, 1, 1, 2, 2].map(Some));
    }

    #[test]
    fn bands_lie_between_the_bounds_of_the_policies_and_an_empty_one_has_no_mean() {
        let told_of = calibration([judged("restart", Some(0.6), None)].iter(), &[0.95, 0.55, 0.55, 0.0, 1.0]);
        let bands: Vec<_> = told_of.bands.iter().map(|band| (band.from, band.to, band.mean_claim)).collect();
        assert_eq!(bands, [(0.0, 0.55, None), (0.55, 0.95, Some(0.6)), (0.95, 1.0, None)]);
        assert!(serde_json::to_string(&told_of.bands[0]).unwrap().contains("\"mean_claim\":null"));
        assert!(told(&told_of).contains("\n0.55 to < 0.95          1       0.600  1.000\n"), "{}", told(&told_of));
    }

    #[test]
    fn without_actions_or_claims_there_is_little_to_tell() {
        assert_eq!(told(&calibration([].iter(), &[])), "nothing was done, so nothing was right or wrong\n");
        let told_of = calibration([judged("restart", None, None)].iter(), &[]);
        assert_eq!((told_of.brier, told(&told_of).lines().count()), (None, 2));
    }
}
