//! What the exit code says; each has a name.

/// How a command ended, as a CI job sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It held: a verdict that passes, a command that did its work.
    Held = 0,
    /// It is broken: a verdict that fails, an expectation not met.
    Broken = 1,
    /// The input is wrong: a bad file, an unknown name, bad arguments. Nothing was written.
    WrongInput = 2,
    /// It cannot be told: too few runs, a policy that was never exercised, or a recording that no policy watched.
    Inconclusive = 3,
    /// A bug of ours.
    Bug = 70,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// All codes with what they mean, for `firedrill explain exit-codes`.
    pub const MEANINGS: [(Self, &'static str); 5] = [
        (Self::Held, "held: the verdict passes, or the command did its work"),
        (Self::Broken, "broken: a threshold, an expectation or a safety rule does not hold"),
        (Self::WrongInput, "the input is wrong: a bad file, an unknown name, bad arguments; nothing was written"),
        (Self::Inconclusive, "inconclusive: too few runs to tell, a policy that was never exercised, or nobody to judge"),
        (Self::Bug, "a bug of ours: please report it with the command that caused it"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
