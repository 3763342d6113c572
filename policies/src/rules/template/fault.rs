//! Why a text is no template that can be filled in.

/// Whose fault it is, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Go refuses it too.
    Go(String),
    /// Only this engine cannot fill it in.
    Ours(String),
}

impl Fault {
    pub(super) fn go(why: impl Into<String>) -> Self {
        Self::Go(why.into())
    }

    pub(super) fn ours(why: impl Into<String>) -> Self {
        Self::Ours(why.into())
    }

    pub(super) fn why(&self) -> &str {
        match self {
            Self::Go(why) | Self::Ours(why) => why,
        }
    }
}
