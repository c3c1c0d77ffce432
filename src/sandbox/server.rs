//! The door of the sandbox: TCP, HTTP/1.1, and the faults on demand that happen on the way.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::polar::http_date::write_http_date;
use crate::polar::limits::BODY_MAX_BYTES;
use crate::sandbox::faults::{FaultKind, SLOW};
use crate::sandbox::reply::Reply;
use crate::sandbox::service::{Call, CallBody, Service, is_too_long};

/// A client that is still sending when the answer comes would not read it, so a body that is too long is thrown
/// away as it comes, up to here.
const DISCARDED_MAX_BYTES: u64 = 8 * BODY_MAX_BYTES as u64;

/// How long the first half of an answer has to get out before the connection ends.
const HALF_ANSWER: Duration = Duration::from_millis(50);

/// Longest wait after a failed accept, such as one without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until told to stop; open connections are then dropped.
pub async fn serve(listener: TcpListener, service: Arc<Service>, mut stop: oneshot::Receiver<Infallible>) {
    loop {
        tokio::select! {
            // The other half says nothing; that it is gone is the message.
            _ = &mut stop => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, Arc::clone(&service)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    // Only latency is lost without it.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { answer(&service, request).await }
    });
    // A connection ends with an error whenever a client goes away or a fault drops it; nobody needs to know.
    let _ = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// The connection is to be dropped.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on demand")
    }
}

impl std::error::Error for Dropped {}

type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;

async fn answer(service: &Service, request: Request<Incoming>) -> Result<Response<AnswerBody>, Dropped> {
    let is_api = request.uri().path().starts_with("/v1/");
    if !is_api {
        let reply = read_and_answer(service, request).await?;
        return Ok(whole(service, reply));
    }
    service.count_request();
    let (fault, latency) = service.draw_fault();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match fault {
        Some(FaultKind::Reset) => return Err(Dropped),
        Some(FaultKind::Timeout) => std::future::pending().await,
        _ => {}
    }
    let reply = match fault {
        Some(FaultKind::Status(status)) => {
            discard(request.into_body()).await?;
            fault_reply(status)
        }
        Some(FaultKind::Html) => {
            discard(request.into_body()).await?;
            Reply::html("<!doctype html><title>Sign in</title><p>Please sign in to this network.")
        }
        _ => read_and_answer(service, request).await?,
    };
    let reply = match fault {
        Some(FaultKind::LostAnswer) => return Err(Dropped),
        Some(FaultKind::NotJson) => Reply::text("OK"),
        Some(FaultKind::Slow) => {
            tokio::time::sleep(SLOW).await;
            reply
        }
        _ => reply,
    };
    service.count_status(reply.status);
    Ok(if fault == Some(FaultKind::HalfAnswer) { half(service, reply) } else { whole(service, reply) })
}

fn fault_reply(status: u16) -> Reply {
    match status {
        429 => Reply::throttled(1),
        500 => Reply::internal_server_error(),
        401 => Reply::invalid_token(),
        403 => Reply::insufficient_scope(&[crate::polar::request::SCOPE_EVENTS_WRITE]),
        404 => Reply::not_found(),
        413 => Reply::too_large(),
        _ => Reply::empty(status),
    }
}

async fn read_and_answer(service: &Service, request: Request<Incoming>) -> Result<Reply, Dropped> {
    let (head, body) = request.into_parts();
    let length = body.size_hint().exact();
    let bytes = match length {
        Some(length) if is_too_long(length) => {
            discard(body).await?;
            None
        }
        Some(length) => Some(read(body, length).await?),
        None => {
            discard(body).await?;
            None
        }
    };
    if let Some(status) = bytes.as_deref().and_then(|body| service.fault_of(body)) {
        return Ok(fault_reply(status));
    }
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let call = Call {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        host: text(header::HOST).unwrap_or("localhost"),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: match (&bytes, length) {
            (Some(bytes), _) => CallBody::Read(bytes),
            (None, Some(_)) => CallBody::TooLong,
            (None, None) => CallBody::WithoutLength,
        },
    };
    Ok(service.answer(&call))
}

async fn read(mut body: Incoming, length: u64) -> Result<Bytes, Dropped> {
    let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Dropped)?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

async fn discard(mut body: Incoming) -> Result<(), Dropped> {
    let mut discarded = 0;
    while discarded < DISCARDED_MAX_BYTES
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Dropped)?;
        discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(())
}

fn whole(service: &Service, reply: Reply) -> Response<AnswerBody> {
    let headers = headers(service, &reply);
    let body = Full::new(Bytes::from(reply.body)).map_err(|never| match never {}).boxed_unsync();
    response(reply.status, headers, body)
}

/// The headers promise the whole body, and half of it comes.
fn half(service: &Service, reply: Reply) -> Response<AnswerBody> {
    let mut headers = headers(service, &reply);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let bytes = Bytes::from(reply.body);
    let first = bytes.slice(..bytes.len() / 2);
    let end = async {
        tokio::time::sleep(HALF_ANSWER).await;
        Err(io::Error::other(Dropped))
    };
    let body = stream::once(async { Ok(Frame::data(first)) }).chain(stream::once(end));
    response(reply.status, headers, StreamBody::new(body).boxed_unsync())
}

fn headers(service: &Service, reply: &Reply) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        // What a client sent may stand in a redirect; if it cannot stand in a header it is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let date = write_http_date(service.now());
    headers.insert(header::DATE, HeaderValue::from_str(&date).expect("a date is plain ASCII"));
    if reply.closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers
}

fn response(status: u16, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("replies have statuses from 200 to 599");
    *response.headers_mut() = headers;
    response
}
