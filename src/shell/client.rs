//! Requests to Polar.
//!
//! One attempt per call: whether to try again is the agent's question. Redirects are not followed, because that
//! would take the token somewhere else. Of an answer a bounded part is read, since Polar echoes what it refuses.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::disk::words_of;
use super::sent_body::SentBody;
use super::token::Token;
use crate::agent::Outcome;
use crate::config::settings::PolarSettings;
use crate::polar::answer::AnswerHead;
use crate::polar::reads::{self, Read};
use crate::polar::{Answer, Body, EVENTS_INGEST_PATH, Refusal, http_date, read_answer};

const USER_AGENT: &str = concat!("floe/", env!("CARGO_PKG_VERSION"));
const API_VERSION: &str = "2026-04";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read of an answer.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// The same of a page that was asked for: a hundred events, each with all that one may hold.
const READ_MAX_BYTES: usize = 16 * 1024 * 1024;

/// What stands for Polar's clock and its verdict.
#[derive(Debug)]
pub struct Reply {
    pub outcome: Outcome,
    pub polar_clock: Option<Timestamp>,
}

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    token: Token,
    request_timeout: Duration,
}

/// Why there can be no client: a fault of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoClient(pub String);

impl Client {
    /// # Errors
    /// [`NoClient`], when `ca_file` or `proxy` cannot be used.
    pub fn new(settings: &PolarSettings) -> Result<Self, NoClient> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(roots(settings)?))
            .http1_only()
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.request_timeout);
        if let Some(proxy) = &settings.proxy {
            // Its text may hold a password, so it is not repeated.
            let proxy = reqwest::Proxy::all(proxy)
                .map_err(|_| NoClient("polar.proxy is not the URL of an HTTP proxy".into()))?;
            builder = builder.proxy(proxy);
        }
        let http = builder.build().map_err(|error| NoClient(deepest(&error)))?;
        Ok(Self {
            http,
            base_url: settings.base_url.clone(),
            token: Token::new(&settings.token),
            request_timeout: settings.request_timeout,
        })
    }

    /// Sends a batch once.
    pub async fn post(&self, body: Body) -> Reply {
        let token = match self.token.current(Instant::now()) {
            Ok(token) => token,
            Err(error) => return Reply::none(error.to_string()),
        };
        let request = self
            .http
            .post(format!("{}{EVENTS_INGEST_PATH}", self.base_url))
            .header(AUTHORIZATION, bearer(&token))
            .header("Polar-Version", API_VERSION)
            .header(CONTENT_TYPE, "application/json")
            .body(reqwest::Body::wrap(SentBody::new(body)));
        let reply = match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => Err(error),
        };
        let reply = reply.unwrap_or_else(|error| Reply::none(self.words(&error)));
        if reply.outcome == Outcome::Answer(Answer::Refused(Refusal::Unauthorized)) {
            self.token.refused();
        }
        reply
    }

    /// Asks once. The path begins with a slash and may have a query.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Read<T> {
        let token = match self.token.current(Instant::now()) {
            Ok(token) => token,
            Err(error) => return Read::Refused(error.to_string()),
        };
        let request = self.http.get(format!("{}{path}", self.base_url)).header(AUTHORIZATION, bearer(&token));
        let answer = match request.header("Polar-Version", API_VERSION).send().await {
            Ok(response) => Received::of(response, READ_MAX_BYTES).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => reads::read(&answer.head(), &answer.body),
            Err(error) => Read::Again { why: self.words(&error), after_seconds: None },
        }
    }

    fn words(&self, error: &reqwest::Error) -> String {
        let base_url = &self.base_url;
        if error.is_timeout() && error.is_connect() {
            return format!("{base_url}: no connection within {} s", CONNECT_TIMEOUT.as_secs());
        }
        if error.is_timeout() {
            return format!("{base_url}: no answer within {} s", self.request_timeout.as_secs_f64());
        }
        format!("{base_url}: {}", cause(error))
    }
}

impl Reply {
    /// No answer came.
    #[must_use]
    pub fn none(what: String) -> Self {
        Self { outcome: Outcome::NoAnswer { what }, polar_clock: None }
    }
}

/// An answer, or as much of it as is wanted.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    /// Dropped with a rest unread, the connection is closed.
    async fn of(mut response: reqwest::Response, most_bytes: usize) -> Result<Self, reqwest::Error> {
        let mut body = Vec::new();
        while body.len() < most_bytes {
            let Some(chunk) = response.chunk().await? else { break };
            body.extend_from_slice(&chunk[..chunk.len().min(most_bytes - body.len())]);
        }
        Ok(Self { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }

    fn head(&self) -> AnswerHead<'_> {
        AnswerHead {
            status: self.status,
            retry_after: text(&self.headers, &RETRY_AFTER),
            www_authenticate: text(&self.headers, &WWW_AUTHENTICATE),
            date: text(&self.headers, &DATE),
        }
    }
}

async fn read(response: reqwest::Response) -> Result<Reply, reqwest::Error> {
    let answer = Received::of(response, ANSWER_MAX_BYTES).await?;
    let head = answer.head();
    let polar_clock = head.date.and_then(http_date);
    Ok(Reply { outcome: Outcome::Answer(read_answer(&head, &answer.body)), polar_clock })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(token: &SecretString) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .expect("a token is printable ASCII");
    value.set_sensitive(true);
    value
}

/// Why a request failed, by what an operator can look for.
fn cause(error: &reqwest::Error) -> String {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    let mut resolving = false;
    while let Some(error) = next {
        resolving |= error.to_string() == "dns error";
        if let Some(words) = words_of_tls(error) {
            return words;
        }
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            return words_of(error);
        }
        next = error.source();
    }
    let deepest = deepest(error);
    if resolving { format!("its name cannot be resolved: {deepest}") } else { deepest }
}

/// An `io::Error` does not name what it wraps as its source, so it is looked into.
fn words_of_tls(error: &(dyn Error + 'static)) -> Option<String> {
    let inner = match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref()? as &(dyn Error + 'static),
        None => error,
    };
    inner
        .downcast_ref::<rustls::Error>()
        .map(|error| format!("no secure connection: {error}"))
        .or_else(|| inner.downcast_ref::<io::Error>().and_then(|inner| words_of_tls(inner)))
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Only the operator's authorities where given, else the system's, else those compiled in. Where nothing is encrypted
/// none: reading the system's takes a while, and a start waits for it.
fn roots(settings: &PolarSettings) -> Result<RootCertStore, NoClient> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = settings.ca_file.as_deref() {
        let bad = |why: &str| NoClient(format!("polar.ca_file: cannot use {path:?}: {why}"));
        let pem = std::fs::read(path).map_err(|error| bad(&words_of(&error)))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| bad("it is not PEM"))?;
            roots.add(certificate).map_err(|error| bad(&error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("it holds no certificate"));
        }
        tracing::debug!("trusting the authorities of {path:?} alone");
    } else if is_encrypted(settings) {
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        tracing::debug!("trusting {added} authorities of the system");
        if added == 0 {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            tracing::debug!("the system has none; trusting the {} that are compiled in", roots.len());
        }
    }
    Ok(roots)
}

/// Whether any connection may be a secure one.
fn is_encrypted(settings: &PolarSettings) -> bool {
    let of_environment =
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| std::env::var(name).ok());
    let mut urls = [Some(&settings.base_url), settings.proxy.as_ref()]
        .into_iter()
        .chain(of_environment.iter().map(Option::as_ref));
    urls.any(|url| url.is_some_and(|url| !url.starts_with("http://")))
}

fn tls(roots: RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::settings::TokenSource;
    use crate::shell::fixtures;

    fn a_body() -> Body {
        bytes::Bytes::from_static(BODY).into()
    }

    const BODY: &[u8] = b"{\"events\":[]}";

    fn client(base_url: &str, token: &Path) -> Client {
        Client::new(&fixtures::polar(base_url, TokenSource::File(token.to_owned()))).unwrap()
    }

    fn token_file() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "polar_oat_secret\n").unwrap();
        file
    }

    /// A server that gives one answer and closes; the request comes back.
    async fn answer_once(answer: &'static [u8]) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let request = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(BODY) {
                stream.read_buf(&mut request).await.unwrap();
            }
            // The client may leave before it has heard all.
            let _ = stream.write_all(answer).await;
            String::from_utf8(request).unwrap().to_lowercase()
        });
        (base_url, request)
    }

    #[tokio::test]
    async fn a_request_says_who_it_is_from_and_how_long_it_is() {
        let (base_url, request) = answer_once(
            b"HTTP/1.1 200 OK\r\nDate: Sun, 01 Nov 2026 00:00:09 GMT\r\nContent-Length: 29\r\n\r\n\
              {\"inserted\":2,\"duplicates\":1}",
        )
        .await;
        let token = token_file();
        let reply = client(&base_url, token.path()).post(a_body()).await;
        assert_eq!(reply.outcome, Outcome::Answer(Answer::Accepted { inserted: 2, duplicates: 1 }));
        assert_eq!(reply.polar_clock, Some("2026-11-01T00:00:09Z".parse().unwrap()));
        let request = request.await.unwrap();
        for part in [
            "post /v1/events/ingest http/1.1",
            "authorization: bearer polar_oat_secret",
            "polar-version: 2026-04",
            "content-type: application/json",
            "content-length: 13",
            concat!("user-agent: floe/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(request.contains(part), "{part} in {request}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (base_url, _request) =
            answer_once(b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")
                .await;
        let token = token_file();
        let reply = client(&base_url, token.path()).post(a_body()).await;
        assert_eq!(reply.outcome, Outcome::Answer(Answer::Refused(Refusal::Redirected { status: 307 })));
    }

    #[tokio::test]
    async fn half_an_answer_is_no_answer() {
        let (base_url, _request) =
            answer_once(b"HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"inserted\":2").await;
        let token = token_file();
        let reply = client(&base_url, token.path()).post(a_body()).await;
        assert!(matches!(reply.outcome, Outcome::NoAnswer { .. }), "{reply:?}");
    }

    #[track_caller]
    fn check_words(reply: &Reply, expected: &str) {
        let Outcome::NoAnswer { what } = &reply.outcome else { panic!("{reply:?}") };
        assert!(what.contains(expected), "{what}");
        assert!(!what.contains("polar_oat_secret"), "{what}");
    }

    #[tokio::test]
    async fn what_keeps_us_from_polar_is_said_in_words() {
        let token = token_file();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let post = async |url: &str| client(url, token.path()).post(a_body()).await;
        check_words(
            &post(&format!("http://{closed}")).await,
            &format!("http://{closed}: connection refused"),
        );
        check_words(&post("http://no-such-host.invalid").await, "its name cannot be resolved: ");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        check_words(&post(&format!("https://{plain}")).await, "no secure connection: ");
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_sent_and_it_is_said() {
        let reply = client("http://127.0.0.1:9", Path::new("/nowhere")).post(a_body()).await;
        check_words(&reply, "no token: cannot read \"/nowhere\"");
    }

    #[test]
    fn a_server_or_a_proxy_may_be_behind_a_secure_connection() {
        for (server, proxy, expected) in [
            ("https://api.polar.sh", None, true),
            ("https://api.polar.sh", Some("http://proxy:3128"), true),
            ("http://127.0.0.1:8080", Some("https://proxy:3128"), true),
        ] {
            let settings = PolarSettings {
                proxy: proxy.map(str::to_owned),
                ..fixtures::polar(server, TokenSource::Credential)
            };
            assert_eq!(is_encrypted(&settings), expected, "{server} {proxy:?}");
        }
    }

    #[test]
    fn a_bad_authority_file_is_a_fault_of_the_config() {
        let file = token_file();
        let mut settings = fixtures::polar("https://api.polar.sh", TokenSource::Credential);
        settings.ca_file = Some(file.path().to_owned());
        let NoClient(why) = Client::new(&settings).unwrap_err();
        assert!(why.ends_with("it holds no certificate"), "{why}");
    }
}
