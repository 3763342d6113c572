//! What the measures are that a verdict speaks of, for whoever meets them first when they break.

use firedrill_reports::outcome::Called;
use firedrill_reports::verdict::{Case, Judgement, Measure, RunName, Unit};

use super::explain;

/// A sentence for each measure that broke, without a full stop, that of the gravest breach first; of calls to people with the first that there was in the
/// run that broke it.
pub fn each(judgement: &Judgement, cases: &[Case]) -> Vec<String> {
    let (mut told, mut known): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for grave in judgement.gravest_first() {
        let Some(word) = grave.measure.map(Measure::word).filter(|word| !known.contains(word)) else { continue };
        known.push(word);
        let page = grave.breach.run.filter(|_| word.ends_with("pages")).and_then(|run| page_of(cases, &run));
        told.push(format!("{word} is {}{}", explain::definition(word), page.unwrap_or_default()));
    }
    told
}

/// Who was called first in a run, and why.
fn page_of(cases: &[Case], run: &RunName) -> Option<String> {
    let case = cases.iter().find(|case| case.outcome.scenario == run.scenario && case.outcome.seed == run.seed)?;
    let Called { at_seconds, policy, to, reason } = case.outcome.first_page.as_ref()?;
    let at = Unit::Seconds.show(at_seconds.floor());
    Some(format!("; in {}, seed {}, {policy} calls {to} at {at}: {reason}", run.scenario, run.seed))
}

/// The same as lines of a terminal.
pub fn of_breaches(judgement: &Judgement, cases: &[Case]) -> String {
    each(judgement, cases).into_iter().map(|line| format!("\n· {line}\n")).collect()
}
