//! Who is judged, and against whom.

use std::sync::Arc;

use firedrill_reports::verdict::ExerciseRule;

use crate::cli::GateArgs;
use crate::drill::Answer;
use crate::failure::Failure;
use crate::home::Home;
use crate::sources;

/// Who is judged, and against whom.
pub(super) struct Contest {
    pub candidate: Arc<Answer>,
    pub baseline: Option<Arc<Answer>>,
    pub exercise: ExerciseRule,
}

/// A candidate with the name of a project policy takes its place and is compared with the project as it is; another is judged where its
/// alerts fire. A project that names a `baseline` has every candidate, itself included, compared with that.
pub(super) fn contest(arguments: &GateArgs, home: &Home) -> Result<Contest, Failure> {
    let whole = home.policies()?;
    if arguments.candidate.is_empty() {
        if whole.policies.is_empty() {
            return Err(Failure::argument("there is no policy to judge", "name policies in firedrill.yaml, or give `--candidate POLICY`"));
        }
        return Ok(Contest { candidate: whole, baseline: home.baseline()?, exercise: ExerciseRule::EveryClass });
    }
    let alone = home.answer(&arguments.candidate)?;
    let candidate = sources::in_project(Arc::clone(&whole), Arc::clone(&alone));
    if Arc::ptr_eq(&candidate, &alone) {
        return Ok(Contest { candidate, baseline: home.baseline()?, exercise: ExerciseRule::SomeClass });
    }
    Ok(Contest { candidate, baseline: Some(home.baseline()?.unwrap_or(whole)), exercise: ExerciseRule::EveryClass })
}
