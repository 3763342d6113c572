//! `firedrill approve`: what a call names as the way to say yes, and what there is nobody for yet.

use crate::cli::ApproveArgs;
use crate::exit::Exit;
use crate::failure::Failure;

/// Says that nobody waits for the yes: policies run in simulations alone, where a scenario's own people answer.
///
/// # Errors
/// Always.
pub fn execute(arguments: &ApproveArgs) -> Result<Exit, Failure> {
    Err(Failure::argument(
        format!(
            "nobody waits for a yes to `{}`: policies run in simulations and replays alone, and this firedrill watches no system",
            arguments.proposal
        ),
        "in a simulation people answer as the scenario says: `human: { approvers: … }`, as in `firedrill explain approvers`",
    ))
}
