//! The way to a Prometheus: HTTP without redirects, with a time limit and a limit on size.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error, Proxy};

use super::{Access, Trouble};

/// So many connections to one Prometheus are kept for the next question.
const IDLE_CONNECTIONS: usize = 16;

/// What came back, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Whoever takes a request and gives a reply.
pub trait Exchange: Send + Sync + fmt::Debug {
    /// Asks for `path`, such as `/api/v1/query`, with the fields of a form.
    ///
    /// # Errors
    /// No reply, or one that is too large.
    fn exchange(&self, path: &str, form: &[(&str, String)]) -> Result<Reply, Trouble>;
}

/// Over a socket.
#[derive(Debug)]
pub(super) struct Http {
    url: String,
    agent: Agent,
    token_file: Option<PathBuf>,
    timeout: Duration,
    largest: u64,
}

impl Http {
    pub(super) fn new(access: &Access) -> Result<Self, Trouble> {
        let url = access.url.trim_end_matches('/').trim_end_matches("/api/v1");
        let agent = agent(url, access.timeout)?;
        Ok(Self { url: url.to_owned(), agent, token_file: access.token_file.clone(), timeout: access.timeout, largest: access.largest })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// One attempt, by POST, for queries may be longer than a URL may be; by GET where there is nothing to say or POST is not allowed.
    fn attempt(&self, url: &str, form: &[(&str, String)], by_post: bool) -> Result<Reply, Trouble> {
        let token = token(self.token_file.as_deref())?;
        let fields = form.iter().map(|(name, value)| (*name, value.as_str()));
        let sent = if by_post {
            let request = self.agent.post(url);
            let request = token.iter().fold(request, |request, token| request.header("authorization", token));
            request.send_form(fields)
        } else {
            let request = fields.fold(self.agent.get(url), |request, (name, value)| request.query(name, value));
            token.iter().fold(request, |request, token| request.header("authorization", token)).call()
        };
        let mut response = sent.map_err(|error| self.trouble(url, &error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(self.largest).read_to_vec().map_err(|error| self.trouble(url, &error))?;
        Ok(Reply { status, body })
    }

    fn trouble(&self, url: &str, error: &Error) -> Trouble {
        let url = url.to_owned();
        match error {
            Error::Timeout(_) => Trouble::Slow { url, seconds: self.timeout.as_secs() },
            Error::BodyExceedsLimit(_) => Trouble::Large { url, largest: self.largest >> 20 },
            other => Trouble::Unreachable { url, reason: other.to_string() },
        }
    }
}

impl Exchange for Http {
    fn exchange(&self, path: &str, form: &[(&str, String)]) -> Result<Reply, Trouble> {
        let url = format!("{}{path}", self.url);
        if form.is_empty() {
            return self.attempt(&url, form, false);
        }
        let reply = self.attempt(&url, form, true)?;
        // Proxies that let reading through know it by its method.
        if matches!(reply.status, 403 | 405 | 501) { self.attempt(&url, form, false) } else { Ok(reply) }
    }
}

/// An agent for one URL: it follows no redirect, waits only so long, and trusts the system's authorities. A proxy is used as the environment says,
/// but not for this machine.
///
/// # Errors
/// The URL is none, or has a user in it; or the system has no authorities for `https`.
pub fn agent(url: &str, timeout: Duration) -> Result<Agent, Trouble> {
    let uri = checked(url)?;
    let is_here = uri.host().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A redirect leads to a login page, and a token must not follow it.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        // As many as a watcher's threads, so that none connects anew for each question.
        .max_idle_connections_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .proxy(if is_here { None } else { Proxy::try_from_env() });
    let config = if uri.scheme_str() == Some("https") { config.tls_config(tls(url)?) } else { config };
    Ok(config.build().new_agent())
}

/// The bearer token of a file as a header has it; `None` without a file.
///
/// # Errors
/// The file cannot be read, or holds anything but one word.
pub fn token(file: Option<&Path>) -> Result<Option<String>, Trouble> {
    let Some(path) = file else { return Ok(None) };
    let trouble = |reason: String| Trouble::Token { path: path.display().to_string(), reason };
    let text = fs::read_to_string(path).map_err(|error| trouble(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(trouble("it is empty".to_owned()));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(trouble("there is more in it than one word".to_owned()));
    }
    Ok(Some(format!("Bearer {token}")))
}

/// A URL that a request can be sent to.
fn checked(url: &str) -> Result<Uri, Trouble> {
    let trouble = |url: &str, reason: &str| Trouble::Url { url: url.to_owned(), reason: reason.to_owned() };
    let uri: Uri = url.parse().map_err(|_| trouble(url, "it cannot be read as one"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        // What may be a password is not repeated.
        let host = uri.host().unwrap_or_default();
        return Err(trouble(&format!("…@{host}"), "it has a user in it, which would end in logs; a token comes from a file"));
    }
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => {}
        Some("http" | "https") => return Err(trouble(url, "it names no host")),
        _ => return Err(trouble(url, "it begins with neither `http://` nor `https://`")),
    }
    if uri.query().is_some() { Err(trouble(url, "it has a `?` in it")) } else { Ok(uri) }
}

/// The system's certificate authorities, which are those that a company adds its own to.
fn tls(url: &str) -> Result<TlsConfig, Trouble> {
    // Whoever was first in this process has set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<Certificate<'static>> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if certificates.is_empty() {
        let reason = "this system knows no certificate authorities; `SSL_CERT_FILE` can name a file with them".to_owned();
        return Err(Trouble::Url { url: url.to_owned(), reason });
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Http::new(&Access::to(url)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_url_of_a_prometheus_is_refused() {
        assert_eq!(refused("prometheus:9090"), "`prometheus:9090` cannot be asked: it begins with neither `http://` nor `https://`");
        assert_eq!(refused("ftp://p"), "`ftp://p` cannot be asked: it begins with neither `http://` nor `https://`");
        assert_eq!(refused("http://p?x=1"), "`http://p?x=1` cannot be asked: it has a `?` in it");
        assert_eq!(refused("http://a b"), "`http://a b` cannot be asked: it cannot be read as one");
        let secret = refused("https://me:secret@p/x");
        assert!(!secret.contains("secret") && secret.contains("a token comes from a file"), "{secret}");
    }

    #[test]
    fn the_path_of_the_api_may_be_left_on_a_url() {
        for url in ["http://p:9090/prefix", "http://p:9090/prefix/", "http://p:9090/prefix/api/v1", "http://p:9090/prefix/api/v1/"] {
            assert_eq!(Http::new(&Access::to(url)).unwrap().url(), "http://p:9090/prefix");
        }
    }

    #[test]
    fn a_token_is_one_word_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let read = || token(Some(&file));
        assert!(read().unwrap_err().to_string().starts_with("the token cannot be read from "));
        fs::write(&file, " \n").unwrap();
        assert!(read().unwrap_err().to_string().ends_with("it is empty"));
        fs::write(&file, "a b").unwrap();
        assert!(read().unwrap_err().to_string().ends_with("there is more in it than one word"));
        fs::write(&file, "abc.def\n").unwrap();
        assert_eq!(read().unwrap().as_deref(), Some("Bearer abc.def"));
    }
}
