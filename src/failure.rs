//! Why a command did not do its work.

use firedrill_core::problem::Problem;

/// A command's failure; the kind decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong: exit code 2, nothing written.
    Input(Vec<Problem>),
    /// The machine would not: a folder that cannot be written. Exit code 2 as well; the chain says what.
    Machine(anyhow::Error),
}

impl Failure {
    /// A wrong argument.
    #[must_use]
    pub fn argument(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Input(vec![Problem::in_file("FD0901", "the command line", message).remedy(remedy)])
    }

    /// Why, in one line, for logs.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Input(problems) => problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "),
            Self::Machine(error) => format!("{error:#}"),
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Input(problems)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Machine(error)
    }
}
