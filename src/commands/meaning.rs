//! What the measures are that a verdict speaks of, for whoever meets them first when they break.

use firedrill_reports::verdict::{Judgement, Measure};

use super::explain;

/// A line for each measure that broke, in the order of the breaches, each once.
pub fn of_breaches(judgement: &Judgement) -> String {
    let breaches = judgement.breaches();
    let words = breaches.iter().filter_map(|breach| breach.what.split([' ', ':']).next());
    let mut told: Vec<String> = Vec::new();
    for measure in words.filter_map(Measure::named) {
        let line = format!("\n· {} is {}\n", measure.word(), explain::definition(measure.word()));
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told.concat()
}
