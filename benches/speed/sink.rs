//! An endpoint that takes whatever comes and says so at once, or after a while, with or without TLS. A thread for
//! each connection, no parsing of the body beyond counting its events: it must never be what is measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::poster::Poster;

/// Each event that is posted here has one.
pub const MARK: &[u8] = b"\"external_id\":\"";

#[derive(Debug)]
pub struct Sink {
    pub address: SocketAddr,
    /// What `polar.server` is to be.
    pub url: String,
    /// In PEM, where it speaks TLS.
    pub authority: Option<String>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    events: Mutex<Events>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Events {
    seen: u64,
    /// When the request was here as a whole that brought the newest of them.
    newest: Option<Instant>,
    /// The same of the first one.
    first: Option<Instant>,
}

impl Sink {
    /// Listens on a port that is free, and answers at once.
    pub fn start() -> io::Result<Self> {
        Self::listen(Duration::ZERO, None)
    }

    /// Answers `after` a request came.
    pub fn slow(after: Duration) -> io::Result<Self> {
        Self::listen(after, None)
    }

    /// Speaks TLS, with a certificate made for the purpose.
    pub fn with_tls() -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
            })
            .map_err(io::Error::other)?;
        let mut sink = Self::listen(Duration::ZERO, Some(Arc::new(config)))?;
        sink.authority = Some(made.cert.pem());
        Ok(sink)
    }

    fn listen(after: Duration, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (counts, tls) = (Arc::clone(&shared), tls.clone());
                // A client that goes away ends its connection; there is nothing to say about it.
                thread::spawn(move || accept(connection, tls, after, &counts).ok());
            }
        });
        Ok(Self { address, url: format!("{scheme}://{address}"), authority: None, counts })
    }

    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    pub fn events(&self) -> u64 {
        self.counts.events.lock().expect("no holder panics").seen
    }

    pub fn first(&self) -> Option<Instant> {
        self.counts.events.lock().expect("no holder panics").first
    }

    /// Waits until `events` have come; says when the request with the last of them was here. `None` when they
    /// have not after `limit`.
    pub fn wait_for(&self, events: u64, limit: Duration) -> Option<Instant> {
        let guard = self.counts.events.lock().expect("no holder panics");
        let (guard, waited) = self
            .counts
            .more
            .wait_timeout_while(guard, limit, |so_far| so_far.seen < events)
            .expect("no holder panics");
        if waited.timed_out() { None } else { guard.newest }
    }

    /// The same, as an error where they do not come, or their sender is gone.
    pub fn expect(&self, events: u64, sender: &mut Child) -> io::Result<Instant> {
        self.expect_within(Duration::from_mins(10), events, sender)
    }

    /// The same; [`io::ErrorKind::TimedOut`] after `limit`.
    pub fn expect_within(&self, limit: Duration, events: u64, sender: &mut Child) -> io::Result<Instant> {
        const LOOK: Duration = Duration::from_millis(200);
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(there) = self.wait_for(events, LOOK) {
                return Ok(there);
            }
            if let Some(status) = sender.try_wait()? {
                return Err(io::Error::other(format!(
                    "the program ended ({status}) when {} of {events} events had come; its file *.said has what it said",
                    self.events()
                )));
            }
        }
        let said = format!("after {limit:?} {} of {events} events had come", self.events());
        Err(io::Error::new(io::ErrorKind::TimedOut, said))
    }
}

fn accept(
    connection: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    after: Duration,
    counts: &Counts,
) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let Some(config) = tls else { return serve(connection, after, counts) };
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    serve(StreamOwned::new(session, connection), after, counts)
}

fn serve(connection: impl Read + Write, after: Duration, counts: &Counts) -> io::Result<()> {
    let mut input = BufReader::with_capacity(256 * 1024, connection);
    let mut body = Vec::new();
    let mark = memmem::Finder::new(MARK);
    if input.fill_buf()?.first() == Some(&b'{') {
        return take_lines(input, counts);
    }
    while let Some(head) = Head::read(&mut input)? {
        if head.wants_to_be_asked {
            input.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        body.resize(head.length, 0);
        input.read_exact(&mut body)?;
        let events = mark.find_iter(&body).count() as u64;
        if !after.is_zero() {
            thread::sleep(after);
        }
        // Before the answer: whoever has it may look at the counts.
        counts.add(events);
        input.get_mut().write_all(&answer(events))?;
    }
    Ok(())
}

/// A peer that speaks no HTTP sends an event a line.
fn take_lines(mut input: impl BufRead, counts: &Counts) -> io::Result<()> {
    loop {
        let filled = input.fill_buf()?;
        if filled.is_empty() {
            return Ok(());
        }
        let length = filled.len();
        let events = memchr::memchr_iter(b'\n', filled).count() as u64;
        input.consume(length);
        if events > 0 {
            counts.add(events);
        }
    }
}

impl Counts {
    fn add(&self, events: u64) {
        let now = Instant::now();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut so_far = self.events.lock().expect("no holder panics");
        so_far.seen += events;
        if events > 0 {
            so_far.newest = Some(now);
            so_far.first.get_or_insert(now);
        }
        drop(so_far);
        self.more.notify_all();
    }
}

/// What matters of a request's headers.
#[derive(Debug, Default)]
struct Head {
    length: usize,
    wants_to_be_asked: bool,
}

impl Head {
    /// `None` when the connection is over.
    fn read(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        let (mut head, mut line) = (Self::default(), String::new());
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let header = line.trim_end();
            if header.is_empty() {
                return Ok(Some(head));
            }
            let Some((name, value)) = header.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().map_err(io::Error::other)?;
            } else if name.eq_ignore_ascii_case("expect") {
                head.wants_to_be_asked = true;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("the sink reads no chunked bodies"));
            }
        }
    }
}

fn answer(events: u64) -> Vec<u8> {
    let answer = format!("{{\"inserted\":{events},\"duplicates\":0}}");
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let length = answer.len();
    format!(
        "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{answer}"
    )
    .into_bytes()
}

/// What the sink takes at most: events and bytes a second, from four connections that do nothing else.
pub fn ceiling() -> io::Result<(f64, f64)> {
    const FOR: Duration = Duration::from_millis(700);
    let sink = Sink::start()?;
    let event = format!("{{{}x\",\"name\":\"{}\"}},", String::from_utf8_lossy(MARK), "x".repeat(400));
    let body = event.repeat(1_000);
    let began = Instant::now();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (body, address) = (body.clone(), sink.address);
            thread::spawn(move || -> io::Result<()> {
                let mut poster = Poster::connect(address)?;
                while began.elapsed() < FOR {
                    poster.post(body.as_bytes())?;
                }
                Ok(())
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("the sender does not panic")?;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok((sink.events() as f64 / seconds, sink.requests() as f64 * body.len() as f64 / seconds))
}
