//! The watcher's HTTP side: webhooks in, and what it says of itself.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use firedrill_core::time::Start;
use firedrill_policies::watcher::Alerted;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use super::inbox::{Inbox, Taken};
use super::metrics::Metrics;
use super::webhook::{Webhook, WebhookError, read_webhook};

/// A webhook of more bytes is refused.
const MOST_BYTES: usize = 4 << 20;

/// A webhook must be here within this time, and a connection must be secured within it.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// Connections that are being secured at a time.
const MOST_HANDSHAKES: usize = 64;

/// A connection over which nothing was said for so long is closed: it would keep the place of another one.
const SILENCE: Duration = Duration::from_secs(120);

/// From the first byte of a request to the first of its answer at most so much time may pass: head, body, the ledger and the disk.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

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

/// The header by which a rehearsal says of its webhooks that they tell of a simulation.
pub const REHEARSAL_HEADER: &str = "x-firedrill-rehearsal";

async fn webhook(State(server): State<Arc<Server>>, request: Request) -> Response {
    if let Some(refused) = refused(&server, &request) {
        return refused;
    }
    let refuse = |status: StatusCode, why: String| {
        Metrics::add(&server.metrics.refused, 1);
        tracing::warn!(status = status.as_u16(), why, "a webhook was refused");
        (status, format!("{why}\n")).into_response()
    };
    let is_rehearsed = request.headers().contains_key(REHEARSAL_HEADER);
    let Ok(reading) = server.reading.try_acquire() else {
        Metrics::add(&server.metrics.turned_away, 1);
        return answer(Taken::NoRoom);
    };
    let body = match tokio::time::timeout(ARRIVES_WITHIN, to_bytes(request.into_body(), MOST_BYTES)).await {
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, format!("the message did not arrive within {} s", ARRIVES_WITHIN.as_secs())),
        Ok(Err(_)) => {
            let why = format!(
                "the message cannot be read, or is larger than {} MiB: group by more labels (`group_by`), so that fewer alerts share a message",
                MOST_BYTES >> 20
            );
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Ok(Ok(body)) => body,
    };
    let alerts = match read_webhook(&body, server.start) {
        Ok(webhook) => taken_of(webhook, &server.metrics),
        Err(error @ WebhookError::TooMany(_)) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    drop(reading);
    if is_rehearsed {
        server.inbox.rehearsed("the webhooks that it takes are of `firedrill rehearse-live`");
    }
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

/// The alerts that a message tells; what it does not is counted and said.
fn taken_of(webhook: Webhook, metrics: &Metrics) -> Vec<Alerted> {
    let Webhook { alerts, refused, truncated } = webhook;
    if truncated > 0 {
        Metrics::add(&metrics.truncated, truncated);
        tracing::warn!(truncated, "Alertmanager has left alerts out of a message: take `max_alerts` away from the receiver");
    }
    Metrics::add(&metrics.refused_alerts, refused.count);
    for why in &refused.reasons {
        tracing::warn!(%why, of = refused.count, "an alert of a webhook was refused, and the others are taken");
    }
    alerts
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

/// Connections that are ready to be spoken over: only so many at a time, and none that waits for another one's handshake.
#[derive(Debug)]
pub struct Connections {
    ready: mpsc::Receiver<(Placed, SocketAddr)>,
    address: SocketAddr,
}

impl Connections {
    /// Of a listener, secured if there is an acceptor. When `most` are open, whoever comes is turned away: the connection is closed, and counted.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn of(listener: TcpListener, acceptor: Option<TlsAcceptor>, (most, metrics): (usize, Arc<Metrics>)) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MOST_HANDSHAKES);
        let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        let places = Arc::new(Semaphore::new(most));
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
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    Metrics::add(&metrics.too_many, 1);
                    tracing::warn!(%from, most, "a connection was closed: there are too many");
                    continue;
                };
                let place = Place::taken(place, &metrics);
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Some(connection) = secured(stream, acceptor).await {
                        let _ = sender.send((Placed::new(connection, place), from)).await;
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

/// One of the places for connections, until it is dropped.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Place {
    fn taken(permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        Metrics::add(&metrics.connections, 1);
        Self { _permit: permit, metrics: Arc::clone(metrics) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection in its place, which it loses when nothing is said over it for long.
pub struct Placed {
    connection: Box<dyn Connection>,
    place: Place,
    silence: Pin<Box<Sleep>>,
    /// When the request that is under way must have been answered; `None`: none is.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placed").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Placed {
    fn new(connection: Box<dyn Connection>, place: Place) -> Self {
        Self { connection, place, silence: Box::pin(sleep(SILENCE)), deadline: None }
    }

    /// That the request which is under way takes too long: somebody sends it byte by byte.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let is_late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if is_late {
            self.deadline = None;
            Metrics::add(&self.place.metrics.slow, 1);
            tracing::warn!("a connection was closed: a request over it took longer than {} s", ANSWERED_WITHIN.as_secs());
        }
        is_late
    }

    /// What came of reading or writing, or that neither came for too long.
    fn heard<T>(&mut self, context: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if came.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return came;
        }
        std::task::ready!(self.silence.as_mut().poll(context));
        Metrics::add(&self.place.metrics.silent, 1);
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl AsyncRead for Placed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if own.is_late(context) {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
        let before = into.filled().len();
        let came = Pin::new(&mut own.connection).poll_read(context, into);
        if own.deadline.is_none() && into.filled().len() > before {
            own.deadline = Some(Box::pin(sleep(ANSWERED_WITHIN)));
        }
        own.heard(context, came)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let came = Pin::new(&mut own.connection).poll_write(context, bytes);
        if came.is_ready() {
            own.deadline = None;
        }
        own.heard(context, came)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

impl Listener for Connections {
    type Io = Placed;
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// What comes first, at most so many bytes; none at the end.
    async fn read(stream: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let mut into = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut into)).await?;
        Ok(into.filled().to_vec())
    }

    async fn answer(placed: &mut Placed) {
        assert_eq!(poll_fn(|context| Pin::new(&mut *placed).poll_write(context, b"y")).await.unwrap(), 1);
    }

    async fn say(client: &TcpStream, word: &[u8]) {
        client.writable().await.unwrap();
        assert_eq!(client.try_write(word).unwrap(), word.len());
    }

    /// A runtime of this thread whose clock stands still but for sleeping.
    fn paused<F: Future>(task: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(task)
    }

    async fn connections(most: usize) -> (Connections, SocketAddr, Arc<Metrics>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, metrics) = (listener.local_addr().unwrap(), Arc::new(Metrics::default()));
        (Connections::of(listener, None, (most, Arc::clone(&metrics))).unwrap(), address, metrics)
    }

    fn told(metrics: &Metrics) -> [u64; 4] {
        [&metrics.connections, &metrics.too_many, &metrics.silent, &metrics.slow].map(|own| own.load(Ordering::Relaxed))
    }

    #[test]
    fn whoever_finds_no_place_is_turned_away_until_one_is_free() {
        paused(async {
            let (mut connections, address, metrics) = connections(2).await;
            let clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
            let (first, _) = connections.accept().await;
            let (mut second, _) = connections.accept().await;
            let mut third = TcpStream::connect(address).await.unwrap();
            assert!(read(&mut third, 1).await.is_ok_and(|bytes| bytes.is_empty()), "it was closed");
            assert_eq!(told(&metrics), [2, 1, 0, 0]);
            say(&clients[1], b"down").await;
            assert_eq!(read(&mut second, 9).await.unwrap(), b"down", "those that are open are none the worse");
            drop(first);
            assert_eq!(told(&metrics)[0], 1);
            let _fourth = TcpStream::connect(address).await.unwrap();
            let _place = connections.accept().await;
            assert_eq!(told(&metrics), [2, 1, 0, 0]);
        });
    }

    #[test]
    fn a_connection_over_which_nothing_is_said_is_closed() {
        paused(async {
            let (mut connections, address, metrics) = connections(2).await;
            let client = TcpStream::connect(address).await.unwrap();
            let (mut placed, _) = connections.accept().await;
            let began = Instant::now();
            sleep(SILENCE / 2).await;
            say(&client, b"x").await;
            assert_eq!(read(&mut placed, 9).await.unwrap(), b"x");
            answer(&mut placed).await;
            let error = read(&mut placed, 9).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() >= SILENCE + SILENCE / 2, "from the last word on: {:?}", began.elapsed());
            assert_eq!(told(&metrics), [1, 0, 1, 0]);
        });
    }

    #[test]
    fn a_request_that_comes_byte_by_byte_is_not_waited_for() {
        paused(async {
            let (mut connections, address, metrics) = connections(2).await;
            let client = TcpStream::connect(address).await.unwrap();
            let (mut placed, _) = connections.accept().await;
            let began = Instant::now();
            let error = loop {
                sleep(ANSWERED_WITHIN / 4).await;
                say(&client, b"x").await;
                match read(&mut placed, 9).await {
                    Ok(_) if began.elapsed() < ANSWERED_WITHIN * 3 => {}
                    came => break came.unwrap_err(),
                }
            };
            assert_eq!((error.kind(), told(&metrics)), (io::ErrorKind::TimedOut, [1, 0, 0, 1]));
            assert!(began.elapsed() <= ANSWERED_WITHIN * 2, "{:?}", began.elapsed());
            // One that is answered in time is followed by another.
            let other = TcpStream::connect(address).await.unwrap();
            let (mut placed, _) = connections.accept().await;
            for _ in 0..8 {
                sleep(ANSWERED_WITHIN / 2).await;
                say(&other, b"x").await;
                assert_eq!(read(&mut placed, 9).await.unwrap(), b"x");
                answer(&mut placed).await;
            }
        });
    }
}
