//! Why a Prometheus gave no answer. None of it says anything about what was asked: a condition is unknown then, and never false.

use firedrill_core::problem::Problem;

use crate::failure::Failure;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// What was given is no URL that can be asked; it will not become one.
    #[error("`{url}` cannot be asked: {reason}")]
    Url {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of the token cannot be read, or holds none; it may be there later.
    #[error("the token cannot be read from {path}: {reason}")]
    Token {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Nobody is there, or the connection broke. Asking again may help.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// It took too long. Asking again may help.
    #[error("{url} has not answered within {seconds} seconds")]
    Slow {
        /// What was asked for.
        url: String,
        /// How long it was waited.
        seconds: u64,
    },
    /// The answer is larger than was allowed.
    #[error("what {url} answers is larger than {largest} MiB")]
    Large {
        /// What was asked for.
        url: String,
        /// The limit.
        largest: u64,
    },
    /// It wants to know who asks.
    #[error("{url} does not let us in: status {status}")]
    NotAllowed {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// Another status than 200, without Prometheus' own words: a proxy, a login page, another program.
    #[error("{url} answers with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// Prometheus says why not.
    #[error("{url} refuses `{asked}`: {kind}: {reason}")]
    Refused {
        /// What was asked for.
        url: String,
        /// `bad_data`, `execution`, `timeout`, …
        kind: String,
        /// In Prometheus' words.
        reason: String,
        /// The expression.
        asked: String,
    },
    /// The answer is not what the API says.
    #[error("what {url} answers cannot be read: {reason}")]
    Unreadable {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Trouble {
    /// A code of problems, stable across versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "FD0870",
            Self::Token { .. } => "FD0871",
            Self::Unreachable { .. } => "FD0872",
            Self::Slow { .. } => "FD0873",
            Self::Large { .. } => "FD0874",
            Self::NotAllowed { .. } => "FD0875",
            Self::Status { .. } => "FD0876",
            Self::Refused { .. } => "FD0877",
            Self::Unreadable { .. } => "FD0878",
        }
    }

    /// What helps.
    #[must_use]
    pub fn remedy(&self) -> String {
        let text = match self {
            Self::Url { .. } => "write it as `http://HOST:9090` or `https://HOST/PREFIX`",
            Self::Token { .. } => {
                "name a file that holds the token alone, with `--token-file`, which of `watch` is `--prometheus-token-file`"
            }
            Self::Unreachable { url, .. } => return format!("try `curl -s {url}` from here; is the port right, and does it run?"),
            Self::Slow { .. } => "ask for less at a time, or allow more with `--timeout`",
            Self::Large { .. } => "take a shorter stretch, fewer rules, or allow more with `--largest`",
            Self::NotAllowed { .. } => {
                "give a bearer token with `--token-file`, which of `watch` is `--prometheus-token-file`; reading is enough"
            }
            Self::Status { .. } => "name the URL under which Prometheus itself answers: no login page, no other program",
            Self::Refused { kind, .. } if kind == "bad_data" => "put the expression right; an older Prometheus may not know all of it",
            Self::Refused { .. } => "ask for less at a time; its limits are `--query.max-samples` and `--query.timeout`",
            Self::Unreadable { .. } => "is it a Prometheus, or what speaks its API: Thanos, Mimir, VictoriaMetrics?",
        };
        text.to_owned()
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let remedy = trouble.remedy();
        Self::Input(vec![Problem::in_file(trouble.code(), "the Prometheus", trouble.to_string()).remedy(remedy)])
    }
}
