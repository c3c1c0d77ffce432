//! What stands between Floe and the sandbox: it lets a request through, or answers as it likes. The same as a
//! server, and as a proxy.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    pub at: Instant,
    pub head: String,
    pub body: String,
}

impl Request {
    /// The number of each line in the batch, in its order.
    pub fn lines(&self) -> Vec<u64> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["metadata"]["n"].as_u64().unwrap())
            .collect()
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The sandbox answers.
    Through,
    /// These bytes, and the connection ends.
    Bytes(Vec<u8>),
    /// One byte after the other, this far apart.
    Drip(Vec<u8>, Duration),
    /// The connection ends without a word.
    Nothing,
}

impl Answer {
    /// A whole answer with further header lines.
    pub fn of(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
                .into_bytes(),
        )
    }
}

type Rule = dyn Fn(&Request) -> Answer + Send + Sync;

/// Dropping it stops it.
pub struct Front {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Front {
    pub fn start(sandbox: SocketAddr, rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let front = Self { address, seen: Arc::clone(&seen), stop: Arc::clone(&stop) };
        let rule: Arc<Rule> = Arc::new(rule);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let (rule, seen, stream) = (Arc::clone(&rule), Arc::clone(&seen), stream.unwrap());
                thread::spawn(move || serve(stream, sandbox, &*rule, &seen));
            }
        });
        front
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It waits for one connection more.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, sandbox: SocketAddr, rule: &Rule, seen: &Mutex<Vec<Request>>) {
    let Some((head, body)) = receive(&mut stream) else { return };
    let request = {
        let mut seen = seen.lock().unwrap();
        let request = Request { number: seen.len(), at: Instant::now(), head, body };
        seen.push(request.clone());
        request
    };
    // Whoever goes away before the end does not need it.
    let _ = match rule(&request) {
        Answer::Through => pass_on(&request, sandbox).and_then(|answer| stream.write_all(&answer)),
        Answer::Bytes(bytes) => stream.write_all(&bytes),
        Answer::Drip(bytes, apart) => bytes.iter().try_for_each(|byte| {
            thread::sleep(apart);
            stream.write_all(&[*byte])
        }),
        Answer::Nothing => Ok(()),
    };
}

/// The head without its empty line, and the body. `None` if no whole request came.
fn receive(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            let end = at + 4 + length.unwrap_or(0);
            if bytes.len() >= end {
                return Some((head, String::from_utf8(bytes[at + 4..end].to_vec()).unwrap()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

fn pass_on(request: &Request, sandbox: SocketAddr) -> std::io::Result<Vec<u8>> {
    let (first, headers) = request.head.split_once("\r\n").unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let (target, version) = rest.rsplit_once(' ').unwrap();
    // A proxy is asked for a whole URL.
    let path = match target.strip_prefix("http://") {
        Some(url) => url.find('/').map_or("/", |at| &url[at..]),
        None => target,
    };
    let mut stream = TcpStream::connect(sandbox)?;
    write!(stream, "{method} {path} {version}\r\nconnection: close\r\n{headers}\r\n\r\n{}", request.body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
