//! HTTP/1.1 for the admin endpoint. Few connections at a time, each for one request and for a short while: whoever
//! asks cannot cost the daemon more than that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, Semaphore, oneshot};

use super::routes::{self, PAGE_POLICY, Reply, Route};
use super::snapshot::{About, Level, Snapshot};
use crate::shell::event::{Event, Reports};
use crate::shell::told;

/// Connections at a time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 16;

/// How long one may live.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How long the agent may take to answer. It answers between two steps, so it is stuck when it takes this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long a snapshot serves everyone who asks.
const FRESH: Duration = Duration::from_millis(200);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where answers come from.
pub struct Source {
    pub about: About,
    pub letters: std::path::PathBuf,
    pub reports: Reports,
    /// The last snapshot and when it was asked for; `None` in it where no answer came.
    pub last: Mutex<Option<(Instant, Option<Arc<Snapshot>>)>>,
}

impl Source {
    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut last = self.last.lock().await;
        if let Some((asked, snapshot)) = &*last
            && asked.elapsed() < FRESH
        {
            return snapshot.clone();
        }
        let snapshot = self.ask().await.map(Arc::new);
        *last = Some((Instant::now(), snapshot.clone()));
        snapshot
    }

    async fn ask(&self) -> Option<Snapshot> {
        let (sender, answer) = oneshot::channel();
        self.reports.send(Event::Asked(sender));
        let numbers = tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()?;
        let bytes = std::fs::metadata(&self.letters).map_or(0, |metadata| metadata.len());
        Some(Snapshot {
            now: Timestamp::now(),
            about: self.about.clone(),
            quarantine: Level { bytes, max_bytes: numbers.quarantine_max_bytes },
            numbers,
            told: told::so_far(),
        })
    }
}

/// Serves until told to stop.
pub async fn serve(listener: Listener, source: Arc<Source>, stop: &mut oneshot::Receiver<Infallible>) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes it");
            let accepted: std::io::Result<Box<dyn Connection>> = match &listener {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
                Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
            };
            (permit, accepted)
        };
        tokio::select! {
            // The other half says nothing; that it is gone is the message.
            _ = &mut *stop => return,
            (permit, accepted) = next => match accepted {
                Ok(stream) => {
                    let source = Arc::clone(&source);
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(CONNECTION_TIME, connection(stream, source)).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn connection(stream: Box<dyn Connection>, source: Arc<Source>) {
    let answer = service_fn(move |request| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(answer(&source, &request).await) }
    });
    // It ends with an error whenever a client goes away; nobody needs to know.
    let _ = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(source: &Source, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let reply = match Route::of(request.uri().path()) {
        None => routes::not_found(),
        Some(_) if !is_read => routes::not_allowed(),
        Some(Route::Page) => Route::Page.reply(None, None),
        Some(route) => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            route.reply(source.snapshot().await.as_deref(), accept)
        }
    };
    response(reply)
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let Reply { status, content_type, body } = reply;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("replies have statuses from 200 to 599");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    if status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
