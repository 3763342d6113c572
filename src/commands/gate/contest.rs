//! Who is judged, and against whom.

use std::sync::Arc;

use firedrill_reports::verdict::ExerciseRule;

use super::side::Reference;
use super::terms::Terms;
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

impl Contest {
    /// A candidate with the name of a project policy takes its place and is compared with the project as it is; another is judged where its
    /// alerts fire. A baseline that is named, by the command line or else by the project, is what every candidate, the project itself
    /// included, is compared with.
    pub fn of(arguments: &GateArgs, home: &Home, reference: &Reference, terms: &Terms) -> Result<Self, Failure> {
        let named = named(home, reference)?;
        let contest = Self::against(arguments, home, named)?;
        // What drills have shown belongs to the judge: a change cannot bring along that it is to be believed.
        let evidence = reference.at_revision().filter(|_| terms.approval.is_none()).and_then(|(_, judge)| judge.evidence.as_ref());
        let changed = evidence.filter(|evidence| !evidence.changed_in(home.evidence().ok().flatten().as_ref()).is_empty());
        Ok(match changed {
            Some(evidence) => Self { candidate: evidence.applied(contest.candidate), ..contest },
            None => contest,
        })
    }

    fn against(arguments: &GateArgs, home: &Home, baseline: Option<Arc<Answer>>) -> Result<Self, Failure> {
        let whole = home.policies()?;
        if arguments.candidate.is_empty() {
            if whole.policies.is_empty() {
                return Err(Failure::argument(
                    "there is no policy to judge",
                    "name policies in firedrill.yaml, or give `--candidate POLICY`",
                ));
            }
            return Ok(Self { candidate: whole, baseline, exercise: ExerciseRule::EveryClass });
        }
        let alone = home.answer(&arguments.candidate)?;
        let candidate = sources::in_project(Arc::clone(&whole), Arc::clone(&alone));
        if Arc::ptr_eq(&candidate, &alone) {
            return Ok(Self { candidate, baseline, exercise: ExerciseRule::SomeClass });
        }
        Ok(Self { candidate, baseline: Some(baseline.unwrap_or(whole)), exercise: ExerciseRule::EveryClass })
    }
}

/// The baseline that is named; `None` if none is, or there was nobody on duty.
fn named(home: &Home, reference: &Reference) -> Result<Option<Arc<Answer>>, Failure> {
    match reference {
        Reference::Usual => home.baseline(),
        Reference::Policies(names) => home.answer(names).map(Some),
        Reference::Revision(_, None) => Ok(None),
        Reference::Revision(revision, Some(judge)) => {
            let answer = judge.home.policies().map_err(|failure| revision.reworded(failure))?;
            Ok((!answer.policies.is_empty()).then_some(answer))
        }
    }
}
