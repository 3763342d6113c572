//! Who may send webhooks: anybody on this machine; from elsewhere only who shows the token, or a certificate that was signed for it.

use std::net::SocketAddr;
use std::path::Path;

use firedrill_core::problem::Problem;

use crate::failure::Failure;

/// A token shorter than this can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What is asked of whoever sends.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// BLAKE3 of the token that must be shown; `None`: none. Comparing hashes takes as long whatever is shown.
    token: Option<blake3::Hash>,
}

impl Access {
    /// Nothing is asked.
    #[must_use]
    pub const fn open() -> Self {
        Self { token: None }
    }

    /// The token that a file holds, without the blanks around it.
    ///
    /// # Errors
    /// The file cannot be read, or what stands there is too short.
    pub fn by_token(file: &Path) -> Result<Self, Failure> {
        let problem = |message: String, remedy: &str| {
            Failure::from(vec![Problem::in_file("FD0841", &file.display().to_string(), message).remedy(remedy)])
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            problem(format!("the token cannot be read: {error}"), "name a file that this user can read with `--token-file`")
        })?;
        let token = text.trim();
        if token.len() < SHORTEST_TOKEN {
            let message = format!("the token has {} characters, and fewer than {SHORTEST_TOKEN} can be guessed", token.len());
            return Err(problem(message, "write a longer one: `head -c 32 /dev/urandom | base64 > FILE`"));
        }
        Ok(Self { token: Some(blake3::hash(token.as_bytes())) })
    }

    /// Whether the header `Authorization` of a request is enough.
    #[must_use]
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = authorization.and_then(|header| header.strip_prefix(b"Bearer ").or_else(|| header.strip_prefix(b"bearer ")));
        shown.is_some_and(|shown| blake3::hash(shown.trim_ascii()) == *token)
    }
}

/// Whether only this machine can reach an address.
#[must_use]
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let access = Access::by_token(&file).unwrap();
        assert!(access.admits(Some(b"Bearer 0123456789abcdef")));
        for shown in
            [None, Some(&b"Bearer 0123456789abcde"[..]), Some(b"0123456789abcdef"), Some(b"Basic 0123456789abcdef"), Some(b"Bearer ")]
        {
            assert!(!access.admits(shown), "{shown:?}");
        }
        assert!(Access::open().admits(None));
        std::fs::write(&file, "short").unwrap();
        assert!(Access::by_token(&file).is_err());
    }

    #[test]
    fn loopback_is_what_nobody_else_can_reach() {
        let is = |text: &str| is_loopback(text.parse().unwrap());
        assert!(is("127.0.0.1:9095") && is("127.9.9.9:1") && is("[::1]:9095") && is("[::ffff:127.0.0.1]:1"));
        assert!(!is("0.0.0.0:9095") && !is("[::]:9095") && !is("10.0.0.1:1"));
    }
}
