//! An endpoint that takes whatever comes and says so at once. A thread for each connection, no parsing of
//! the body beyond counting its events: it must never be what is measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;

/// Each event that is posted here has one.
pub const MARK: &[u8] = b"\"external_id\":\"";

#[derive(Debug)]
pub struct Sink {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    events: Mutex<u64>,
    more: Condvar,
}

impl Sink {
    /// Listens on a port that is free.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                // A client that goes away ends its connection; there is nothing to say about it.
                thread::spawn(move || serve(&connection, &counts).ok());
            }
        });
        Ok(Self { address, counts })
    }

    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    pub fn events(&self) -> u64 {
        *self.counts.events.lock().expect("no holder panics")
    }

    /// Waits until `events` have come. `None` when they have not after `limit`.
    pub fn wait_for(&self, events: u64, limit: Duration) -> Option<Instant> {
        let guard = self.counts.events.lock().expect("no holder panics");
        let (_guard, waited) = self
            .counts
            .more
            .wait_timeout_while(guard, limit, |seen| *seen < events)
            .expect("no holder panics");
        (!waited.timed_out()).then(Instant::now)
    }
}

fn serve(connection: &TcpStream, counts: &Counts) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 * 1024, connection);
    let mut output = connection;
    let (mut line, mut body) = (String::new(), Vec::new());
    let mark = memmem::Finder::new(MARK);
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        let events = mark.find_iter(&body).count() as u64;
        // Before the answer: whoever has it may look at the counts.
        counts.requests.fetch_add(1, Ordering::Relaxed);
        *counts.events.lock().expect("no holder panics") += events;
        counts.more.notify_all();
        let answer = format!("{{\"inserted\":{events},\"duplicates\":0}}");
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
        let length = answer.len();
        output.write_all(
            format!(
                "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{answer}"
            )
            .as_bytes(),
        )?;
    }
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

/// The least that a client can be: one connection, one request at a time.
#[derive(Debug)]
pub struct Poster {
    connection: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Poster {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        Ok(Self { connection: BufReader::new(connection), request: Vec::new() })
    }

    /// Sends `body` and waits for the answer.
    pub fn post(&mut self, body: &[u8]) -> io::Result<()> {
        self.request.clear();
        let length = body.len();
        write!(
            self.request,
            "POST /v1/events/ingest HTTP/1.1\r\nhost: sink\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(body);
        self.connection.get_mut().write_all(&self.request)?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            self.connection.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        self.connection.consume_exactly(length)
    }
}

trait ConsumeExactly {
    fn consume_exactly(&mut self, length: usize) -> io::Result<()>;
}

impl ConsumeExactly for BufReader<TcpStream> {
    fn consume_exactly(&mut self, length: usize) -> io::Result<()> {
        let mut answer = [0; 256];
        self.read_exact(&mut answer[..length])
    }
}
