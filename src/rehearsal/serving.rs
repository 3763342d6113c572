//! The rehearsal over sockets: its Prometheus answers HTTP, and its webhooks are sent as its time passes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::api;
use super::webhook::{Delivery, Poster};
use super::{Rehearsal, Webhook};

/// How long the rehearsal stands still between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);

/// How fast time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many of its seconds in one of ours.
    Times(f64),
    /// As fast as webhooks are taken; each is waited for.
    Max,
}

/// A rehearsal that is served.
#[derive(Clone, Debug)]
pub struct Serving {
    rehearsal: Arc<Mutex<Rehearsal>>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Webhooks that were taken.
    pub taken: u64,
    /// Webhooks that were not.
    pub lost: u64,
    /// For each alert how often it was told to fire and to be over.
    pub alerts: BTreeMap<Name, (u64, u64)>,
    /// How far the rehearsal came.
    pub until: Time,
}

impl Served {
    fn count(&mut self, webhook: &Webhook, delivery: &Delivery) {
        *if delivery.is_taken() { &mut self.taken } else { &mut self.lost } += 1;
        webhook.firing.iter().for_each(|name| self.alerts.entry(name.clone()).or_default().0 += 1);
        webhook.resolved.iter().for_each(|name| self.alerts.entry(name.clone()).or_default().1 += 1);
    }
}

impl Serving {
    /// A rehearsal that has not begun.
    #[must_use]
    pub fn new(rehearsal: Rehearsal) -> Self {
        Self { rehearsal: Arc::new(Mutex::new(rehearsal)) }
    }

    /// Looks at the rehearsal, or changes it. One who panicked with it in hand has left it as it was.
    pub fn with<T>(&self, act: impl FnOnce(&mut Rehearsal) -> T) -> T {
        act(&mut self.rehearsal.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The rehearsal's Prometheus as a router, with which tests need no socket.
pub fn router(serving: Serving) -> Router {
    Router::new().fallback(respond).with_state(serving)
}

async fn respond(State(serving): State<Serving>, uri: Uri, body: Bytes) -> Response {
    let mut fields = Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default();
    fields.extend(form(body).await);
    let request = api::Request { path: uri.path().to_owned(), fields };
    let answered = serving.with(|rehearsal| api::answer(rehearsal, &request));
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(answered.content_type))], answered.body).into_response()
}

/// The fields of a form, whatever its sender calls it. Not read as the query of an address, which has at most 64 KiB: queries of Prometheus have more.
async fn form(body: Bytes) -> Vec<(String, String)> {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    Form::from_request(request, &()).await.map(|Form(fields)| fields).unwrap_or_default()
}

/// Serves a rehearsal until it is over or somebody interrupts it, and sends its webhooks. `ready` is told the address that is listened at, and
/// `tell` what becomes of each webhook.
///
/// # Errors
/// The address cannot be listened at.
pub async fn serve(
    rehearsal: Rehearsal,
    (listen, pace): (SocketAddr, Pace),
    poster: Poster,
    ready: impl FnOnce(SocketAddr),
    tell: impl FnMut(&Webhook, &Delivery) + Send + 'static,
) -> std::io::Result<Served> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let serving = Serving::new(rehearsal.called(&format!("http://{address}")));
    ready(address);
    let server = tokio::spawn(axum::serve(listener, router(serving.clone())).into_future());
    let (to_send, waiting) = unbounded_channel();
    let sender = tokio::spawn(send_all(waiting, poster, tell));
    let played = async {
        match pace {
            Pace::Times(speed) => play(&serving, speed, |webhook| drop(to_send.send((webhook, None)))).await,
            Pace::Max => play_at_once(&serving, &to_send).await,
        }
    };
    tokio::select! {
        () = played => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    drop(to_send);
    let mut served = sender.await.unwrap_or_default();
    served.until = serving.with(|rehearsal| rehearsal.now());
    server.abort();
    Ok(served)
}

/// A webhook, and who waits for it to be taken.
type Sent = (Webhook, Option<tokio::sync::oneshot::Sender<()>>);

/// Sends one webhook after the other, in order, as one Alertmanager does.
async fn send_all(
    mut waiting: UnboundedReceiver<Sent>,
    poster: Poster,
    mut tell: impl FnMut(&Webhook, &Delivery) + Send + 'static,
) -> Served {
    let mut served = Served::default();
    while let Some((webhook, done)) = waiting.recv().await {
        let (poster, own) = (poster.clone(), webhook.clone());
        let delivery = tokio::task::spawn_blocking(move || poster.post(&own)).await;
        let delivery = delivery.unwrap_or_else(|error| Delivery { status: None, attempts: 1, reason: error.to_string() });
        served.count(&webhook, &delivery);
        tell(&webhook, &delivery);
        if let Some(done) = done {
            // Nobody waits any more where the rehearsal was interrupted.
            let _ = done.send(());
        }
    }
    served
}

/// Lets time pass as the clock does, so many times faster. By tokio's clock, which tests can stop.
pub(super) async fn play(serving: &Serving, speed: f64, mut send: impl FnMut(Webhook)) {
    let (began, from) = (Instant::now(), serving.with(|rehearsal| rehearsal.now()));
    loop {
        let target = from + Span::from_seconds_f64(began.elapsed().as_secs_f64() * speed);
        let is_over = serving.with(|rehearsal| {
            while rehearsal.now() < target.min(rehearsal.end()) {
                rehearsal.advance(target).into_iter().for_each(&mut send);
            }
            rehearsal.is_over()
        });
        if is_over {
            serving.with(Rehearsal::conclude).into_iter().for_each(&mut send);
            return;
        }
        sleep(TICK).await;
    }
}

/// Stops at each webhook until it is taken.
async fn play_at_once(serving: &Serving, to_send: &tokio::sync::mpsc::UnboundedSender<Sent>) {
    let mut is_over = false;
    while !is_over {
        is_over = serving.with(|rehearsal| rehearsal.is_over());
        let webhooks = serving.with(|rehearsal| if is_over { rehearsal.conclude() } else { rehearsal.advance(Time::MAX) });
        for webhook in webhooks {
            let (done, is_done) = tokio::sync::oneshot::channel();
            if to_send.send((webhook, Some(done))).is_err() || is_done.await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::tests::rehearsal;

    /// A runtime of this thread whose clock stands still but for sleeping.
    fn paused<F: Future>(task: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(task)
    }

    #[test]
    fn time_passes_as_the_clock_does_so_many_times_faster() {
        let serving = Serving::new(rehearsal());
        let (sent, took) = paused(async {
            let began = Instant::now();
            let mut sent = Vec::new();
            play(&serving, 60.0, |webhook| sent.push((began.elapsed(), webhook))).await;
            (sent, began.elapsed())
        });
        assert!((10_000..10_100).contains(&took.as_millis()), "ten minutes at 60 times the speed: {took:?}");
        assert_eq!(sent.len(), 2);
        for (at, webhook) in sent {
            let due = Duration::from_secs_f64(webhook.at.as_seconds() / 60.0);
            assert!(at >= due && at - due <= TICK + Duration::from_millis(1), "{at:?} {due:?}");
        }
    }

    #[test]
    fn the_router_answers_queries_and_forms_alike() {
        let serving = Serving::new(rehearsal());
        serving.with(|rehearsal| drop(rehearsal.advance(Time::from_seconds(110))));
        let ask = |uri: &str, form: &str| {
            paused(async {
                let response = respond(State(serving.clone()), uri.parse().unwrap(), Bytes::from(form.to_owned())).await;
                let status = response.status().as_u16();
                let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                (status, String::from_utf8(body.to_vec()).unwrap())
            })
        };
        let by_query = ask("/api/v1/query?query=sum%28up%29", "");
        assert!(by_query.0 == 200 && by_query.1.contains("\"1\"]"), "{by_query:?}");
        assert_eq!(ask("/api/v1/query", "query=sum%28up%29"), by_query);
        let long = format!("query=sum%28up%29{}", "%20".repeat(30_000));
        assert_eq!(ask("/api/v1/query", &long), by_query, "a form may be longer than an address");
        let series = ask("/api/v1/series?match[]=up&match[]=load", "");
        assert_eq!(series.1.matches("__name__").count(), 3, "{series:?}");
        assert_eq!(ask("/nowhere", "").0, 404);
        assert_eq!(ask("/-/healthy", "").0, 200);
    }
}
