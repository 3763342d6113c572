//! Webhooks sent over HTTP, with attempts as Alertmanager makes them: what may pass is tried again, what is refused is not.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ureq::Agent;

use super::Webhook;
use crate::prometheus::{Trouble, agent, token};
use crate::watch::REHEARSAL_HEADER;

/// How often a webhook is tried at most.
const MOST_ATTEMPTS: u32 = 8;

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Whoever posts webhooks to one address.
#[derive(Clone, Debug)]
pub struct Poster {
    agent: Agent,
    url: String,
    token_file: Option<PathBuf>,
}

/// What became of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The last status; `None`: nobody answered.
    pub status: Option<u16>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why nobody answered, in words; empty if somebody did.
    pub reason: String,
}

impl Delivery {
    /// Whether it was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let told = match self.status {
            Some(status) if self.is_taken() => format!("taken ({status})"),
            Some(status) => format!("not taken: status {status}"),
            None => format!("not taken: {}", self.reason),
        };
        if self.attempts > 1 { format!("{told}, after {} attempts", self.attempts) } else { told }
    }
}

impl Poster {
    /// Posts to a URL, with a bearer token if there is one. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none, or the token cannot be read.
    pub fn to(url: &str, token_file: Option<PathBuf>) -> Result<Self, Trouble> {
        let agent = agent(url, Duration::from_secs(10))?;
        token(token_file.as_deref())?;
        Ok(Self { agent, url: url.to_owned(), token_file })
    }

    /// Where it posts to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Posts, and waits between attempts: blocks its thread.
    #[must_use]
    pub fn post(&self, webhook: &Webhook) -> Delivery {
        let mut pause = FIRST_PAUSE;
        for attempts in 1.. {
            let delivery = self.attempt(webhook, attempts);
            let may_pass = delivery.status.is_none_or(|status| status >= 500);
            if !may_pass || attempts == MOST_ATTEMPTS {
                return delivery;
            }
            thread::sleep(pause);
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    fn attempt(&self, webhook: &Webhook, attempts: u32) -> Delivery {
        let failed = |reason: String| Delivery { status: None, attempts, reason };
        let token = match token(self.token_file.as_deref()) {
            Ok(token) => token,
            Err(trouble) => return failed(trouble.to_string()),
        };
        let request = self.agent.post(&self.url).header("content-type", "application/json").header(REHEARSAL_HEADER, "1");
        let request = token.iter().fold(request, |request, token| request.header("authorization", token));
        match request.send(&webhook.body) {
            Ok(response) => Delivery { status: Some(response.status().as_u16()), attempts, reason: String::new() },
            Err(error) => failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_webhook_is_told() {
        let delivery = |status, attempts| Delivery { status, attempts, reason: "connection refused".to_owned() };
        assert_eq!(delivery(Some(200), 1).words(), "taken (200)");
        assert_eq!(delivery(Some(202), 3).words(), "taken (202), after 3 attempts");
        assert_eq!(delivery(Some(401), 1).words(), "not taken: status 401");
        assert_eq!(delivery(None, 8).words(), "not taken: connection refused, after 8 attempts");
        assert!(Poster::to("nowhere", None).is_err());
    }
}
