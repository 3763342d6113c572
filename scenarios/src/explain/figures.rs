//! Figures as people say them: three digits that count, units that fit.

use firedrill_core::distribution::Distribution;
use firedrill_core::quantity::Rate;
use firedrill_core::time::Span;

/// A number with at most three digits that count, or all before its point.
pub(super) fn amount(number: f64) -> String {
    let places = match number.abs() {
        large if large >= 100.0 => 0,
        some if some >= 10.0 => 1,
        few if few >= 0.1 || few == 0.0 => 2,
        // The first three digits after the zeros.
        small => (2.0 - libm::floor(libm::log10(small))) as usize,
    };
    // What is a whole number of hundredths is exact as it is.
    let shown = if number.abs() < 1e15 && number * 100.0 == libm::round(number * 100.0) {
        format!("{number:.2}")
    } else {
        format!("{number:.places$}")
    };
    if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.').to_owned() } else { shown }
}

/// `0.17/s`, or by the minute, hour or day where a second has fewer than one in a hundred.
pub(super) fn rate(rate: Rate) -> String {
    let per_second = rate.get();
    let units = [(1.0, "s"), (60.0, "min"), (3600.0, "h"), (86_400.0, "d")];
    let fits = |(seconds, _): &(f64, &str)| per_second * seconds >= 0.01;
    let (seconds, unit) = units.into_iter().find(fits).unwrap_or(units[0]);
    format!("{}/{unit}", amount(per_second * seconds))
}

/// `1 core`, `0.5 cores`.
pub(super) fn cores_of(cores: f64) -> String {
    let shown = amount(cores);
    let word = if shown == "1" { "core" } else { "cores" };
    format!("{shown} {word}")
}

/// The mean of a duration, with three digits below a second.
pub(super) fn mean(distribution: &Distribution) -> String {
    span(Span::from_seconds_f64(distribution.mean()))
}

/// A duration that came out of a calculation: `8.33ms`, and not `8333333ns`.
pub(super) fn span(span: Span) -> String {
    let nanos = span.as_nanos() as f64;
    match span.as_nanos() {
        0 | 1_000_000_000..10_000_000_000 => span.to_string(),
        10_000_000_000.. => Span::from_seconds(libm::round(nanos / 1e9) as u64).to_string(),
        1_000_000.. => format!("{}ms", amount(nanos / 1e6)),
        1_000.. => format!("{}us", amount(nanos / 1e3)),
        _ => format!("{nanos}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_what_people_read() {
        let rated = |per_second: f64| rate(Rate::per_second(per_second).unwrap());
        assert_eq!(
            [1.0 / 6.0, 70.0, 1234.56, 33.333_333, 0.25, 0.0].map(rated),
            ["0.17/s", "70/s", "1234.56/s", "33.3/s", "0.25/s", "0/s"]
        );
        assert_eq!([1.0 / 600.0, 1.0 / 86_400.0].map(rated), ["0.1/min", "0.0417/h"]);
        let spans = [8_333_333, 80_000_000, 1_500, 999, 2_500_000_000, 310_186_000_000, 0].map(|nanos| span(Span::from_nanos(nanos)));
        assert_eq!(spans, ["8.33ms", "80ms", "1.5us", "999ns", "2.5s", "5m10s", "0s"]);
        assert_eq!([1.0, 0.5, 2.0, 0.999_99].map(cores_of), ["1 core", "0.5 cores", "2 cores", "1 core"]);
        assert_eq!(amount(0.001_234_5), "0.00123");
    }
}
