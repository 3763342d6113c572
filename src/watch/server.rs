//! The watcher's HTTP side: webhooks in, and what it says of itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use firedrill_core::time::Start;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use super::inbox::{Inbox, Taken};
use super::metrics::Metrics;
use super::webhook::read_webhook;

/// A webhook of more bytes is refused.
const MOST_BYTES: usize = 4 << 20;

/// A webhook must be here within this time, and a connection must be secured within it.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// Connections that are being secured at a time.
const MOST_CONNECTIONS: usize = 512;

/// Webhooks that are being read at a time, so that no more than so many bodies are in memory.
const MOST_AT_ONCE: usize = 64;

/// When who was turned away may come again, seconds.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("5");

/// What the HTTP side needs.
#[derive(Debug)]
pub struct Server {
    /// Where webhooks wait for the keeper.
    pub inbox: Arc<Inbox>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may send.
    pub access: Access,
    /// From where instants count.
    pub start: Start,
    /// Whether the keeper's thread is there.
    pub is_alive: Arc<AtomicBool>,
    reading: Semaphore,
}

impl Server {
    /// One whose keeper is alive.
    #[must_use]
    pub fn new(inbox: Arc<Inbox>, metrics: Arc<Metrics>, access: Access, start: Start) -> Self {
        Self { inbox, metrics, access, start, is_alive: Arc::new(AtomicBool::new(true)), reading: Semaphore::new(MOST_AT_ONCE) }
    }
}

/// The paths: `POST /webhook`, `GET /metrics`, `/healthz` and `/readyz`.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/webhook", post(webhook))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(server)
}

async fn webhook(State(server): State<Arc<Server>>, request: Request) -> Response {
    if let Some(refused) = refused(&server, &request) {
        return refused;
    }
    let refuse = |status: StatusCode, why: String| {
        Metrics::add(&server.metrics.refused, 1);
        tracing::warn!(status = status.as_u16(), why, "a webhook was refused");
        (status, format!("{why}\n")).into_response()
    };
    let Ok(reading) = server.reading.try_acquire() else {
        Metrics::add(&server.metrics.turned_away, 1);
        return answer(Taken::NoRoom);
    };
    let body = match tokio::time::timeout(ARRIVES_WITHIN, to_bytes(request.into_body(), MOST_BYTES)).await {
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, format!("the message did not arrive within {} s", ARRIVES_WITHIN.as_secs())),
        Ok(Err(_)) => {
            let why = format!("the message cannot be read, or is larger than {} MiB: set `max_alerts` of the receiver", MOST_BYTES >> 20);
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Ok(Ok(body)) => body,
    };
    let alerts = match read_webhook(&body, server.start) {
        Ok((alerts, truncated)) => {
            if truncated > 0 {
                Metrics::add(&server.metrics.truncated, truncated);
                tracing::warn!(truncated, "Alertmanager has left alerts out of a message: take `max_alerts` away from the receiver");
            }
            alerts
        }
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    drop(reading);
    let (reply, taken) = oneshot::channel();
    let taken = match server.inbox.offer(alerts, body.len(), reply) {
        Err(taken) => {
            Metrics::add(&server.metrics.turned_away, 1);
            taken
        }
        // A keeper that vanishes has kept nothing that it did not say.
        Ok(()) => taken.await.unwrap_or(Taken::Lost),
    };
    answer(taken)
}

fn answer(taken: Taken) -> Response {
    match taken {
        Taken::Kept { news, repeated, late } => {
            let text = format!("{{\"news\":{news},\"repeated\":{repeated},\"late\":{late}}}\n");
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
        }
        Taken::NoRoom => come_again("there is no room for more; it is asked for again"),
        Taken::Lost => come_again("the ledger is not written any more: the watcher stops"),
    }
}

fn come_again(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, COME_AGAIN)], format!("{why}\n")).into_response()
}

/// What is said to whoever may not ask.
fn refused(server: &Server, request: &Request) -> Option<Response> {
    let shown = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if server.access.admits(shown) {
        return None;
    }
    Metrics::add(&server.metrics.refused, 1);
    tracing::warn!(path = request.uri().path(), "somebody without the token was refused");
    Some(
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))], "show the token of the watcher\n")
            .into_response(),
    )
}

async fn metrics(State(server): State<Arc<Server>>, request: Request) -> Response {
    if let Some(refused) = refused(&server, &request) {
        return refused;
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], Body::from(server.metrics.exposition())).into_response()
}

async fn healthz(State(server): State<Arc<Server>>) -> Response {
    if server.is_alive.load(Ordering::Relaxed) { "alive\n".into_response() } else { come_again("the ledger's writer is gone") }
}

async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let is_ready = server.is_alive.load(Ordering::Relaxed) && !server.inbox.is_stopped();
    if is_ready { "ready\n".into_response() } else { come_again("no webhooks are taken") }
}

/// A connection, secured or not.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connections that are ready to be spoken over: a few at a time, and none that waits for another one's handshake.
#[derive(Debug)]
pub struct Connections {
    ready: mpsc::Receiver<(Box<dyn Connection>, SocketAddr)>,
    address: SocketAddr,
}

impl Connections {
    /// Of a listener, secured if there is an acceptor.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn of(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MOST_CONNECTIONS);
        let handshakes = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        tokio::spawn(async move {
            while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
                let (stream, from) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!("a connection could not be taken: {error}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Some(connection) = secured(stream, acceptor).await {
                        let _ = sender.send((connection, from)).await;
                    }
                    drop(permit);
                });
            }
        });
        Ok(Self { ready, address })
    }
}

async fn secured(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Option<Box<dyn Connection>> {
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return Some(Box::new(stream)) };
    match tokio::time::timeout(ARRIVES_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::warn!("a connection was not secured: {error}");
            None
        }
        Err(_) => None,
    }
}

impl Listener for Connections {
    type Io = Box<dyn Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
