//! A metrics page as a target shows it: families and label sets, one moment of each.

use std::collections::BTreeMap;

use super::{ExpositionError, Families, MOST_ERRORS, Wrong, describe, labels_of, number, series_end};
use crate::labels::Labels;

/// What stands on a metrics page: families, and the label sets of their series in the order of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsPage {
    /// What the page says about its families.
    pub families: Families,
    /// Each series once.
    pub series: Vec<Labels>,
}

/// Reads a page as a target shows it, in either dialect: times may be there and are of no interest, but that they tell samples of one series
/// apart.
///
/// # Errors
/// Every wrong line, at most 20: bad syntax, an unknown type, a sample that stands twice, a histogram without its last bucket; or no sample at all.
pub fn read_page(text: &str) -> Result<MetricsPage, Vec<ExpositionError>> {
    let mut page = MetricsPage::default();
    let mut seen = Seen::default();
    let mut errors = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let read = match line.strip_prefix('#') {
            Some(comment) => describe(&mut page.families, comment),
            None if line.trim().is_empty() => Ok(()),
            None => page.take(line, index + 1, &mut seen),
        };
        errors.extend(read.err().map(|wrong| wrong.in_line(index + 1)));
    }
    errors.extend(page.without_infinity(&seen));
    errors.sort_by_key(|error| error.line);
    errors.truncate(MOST_ERRORS);
    if page.series.is_empty() && errors.is_empty() {
        errors.push(Wrong::from("there is no sample".to_owned()).in_line(text.lines().count()));
    }
    if errors.is_empty() { Ok(page) } else { Err(errors) }
}

/// In which lines things stand, counted from 1.
#[derive(Default)]
struct Seen<'text> {
    /// The first line of each series.
    series: BTreeMap<Labels, usize>,
    /// The line of each sample: its series, and its time if it has one.
    samples: BTreeMap<(Labels, &'text str), usize>,
}

impl MetricsPage {
    /// Takes in a line that has a sample.
    fn take<'text>(&mut self, line: &'text str, number_of_line: usize, seen: &mut Seen<'text>) -> Result<(), Wrong> {
        let (series, rest) = line.split_at(series_end(line)?);
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().ok_or_else(|| format!("{series} has no value"))?;
        number(value).ok_or_else(|| format!("{series}: `{value}` is not a value"))?;
        let time = words.next().filter(|word| !word.starts_with('#')).unwrap_or_default();
        let labels = labels_of(series)?;
        if let Some(first) = seen.samples.insert((labels.clone(), time), number_of_line) {
            let remedy = "keep one of the two, or put right the label that should tell them apart";
            return Err(Wrong { reason: format!("{series} stands in line {first} already"), remedy: Some(remedy.to_owned()) });
        }
        if seen.series.insert(labels.clone(), number_of_line).is_none() {
            self.series.push(labels);
        }
        Ok(())
    }

    /// The histograms that lack the bucket which holds everything, each at the first of its buckets.
    fn without_infinity(&self, seen: &Seen<'_>) -> Vec<ExpositionError> {
        let mut histograms: BTreeMap<Labels, (usize, bool)> = BTreeMap::new();
        for labels in &self.series {
            let (Some(bound), Some(name)) = (labels.get("le"), labels.metric_name()) else { continue };
            if !name.ends_with("_bucket") {
                continue;
            }
            let line = seen.series[labels];
            let has_all = number(bound) == Some(f64::INFINITY);
            let histogram = histograms.entry(labels.without("le")).or_insert((line, false));
            *histogram = (histogram.0.min(line), histogram.1 || has_all);
        }
        let lacking = histograms.into_iter().filter(|(_, (_, is_whole))| !is_whole);
        let error = |(labels, (line, _)): (Labels, (usize, bool))| {
            let reason = format!("the histogram {labels} has no bucket with le=\"+Inf\", so nobody knows how much it counted");
            Wrong { reason, remedy: Some("save the whole page; every histogram of a target has that bucket".to_owned()) }.in_line(line)
        };
        lacking.map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let told: Vec<String> = match read_page(text) {
            Ok(page) => page.series.iter().map(ToString::to_string).collect(),
            Err(errors) => errors.iter().map(|error| format!("{error} | {}", error.remedy.as_deref().unwrap_or_default())).collect(),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn a_series_stands_once_however_many_samples_it_has() {
        check("a 1 1000\na 2 2000\nb{x=\"1\"} 1\n", &["a", "b{x=\"1\"}"]);
    }

    #[test]
    fn what_a_target_cannot_show_is_refused() {
        check(
            "# TYPE a foo\na 1\n",
            &[
                "line 1: `foo` is no type of metric, so `a` has none | write one of counter, gauge, histogram, summary, untyped, unknown, info, stateset, gaugehistogram",
            ],
        );
        check("# TYPE a Conter\na 1\n", &["line 1: `Conter` is no type of metric, so `a` has none | did you mean `counter`?"]);
        check("# TYPE a\na 1\n", &["line 1: `# TYPE a` names no type | "]);
        check(
            "a{x=\"1\",y=\"2\"} 1\n\na{y=\"2\",x=\"1\"} 2 # again\n",
            &[
                "line 3: a{y=\"2\",x=\"1\"} stands in line 1 already | keep one of the two, or put right the label that should tell them apart",
            ],
        );
        let whole = "save the whole page; every histogram of a target has that bucket";
        check(
            "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_bucket{p=\"a\",le=\"1\"} 1\nh_bucket{p=\"a\",le=\"2\"} 1\n",
            &[&format!(
                "line 3: the histogram h_bucket{{p=\"a\"}} has no bucket with le=\"+Inf\", so nobody knows how much it counted | {whole}"
            )],
        );
    }
}
