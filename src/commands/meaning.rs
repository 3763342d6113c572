//! What the measures are that a verdict speaks of, for whoever meets them first when they break.

use firedrill_reports::verdict::Judgement;

use super::explain;

/// A sentence for each measure that broke, without a full stop, that of the gravest breach first.
pub fn each(judgement: &Judgement) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for measure in judgement.gravest_first().into_iter().filter_map(|grave| grave.measure) {
        let line = format!("{} is {}", measure.word(), explain::definition(measure.word()));
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}

/// The same as lines of a terminal.
pub fn of_breaches(judgement: &Judgement) -> String {
    each(judgement).into_iter().map(|line| format!("\n· {line}\n")).collect()
}
