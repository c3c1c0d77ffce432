//! The least that a client can be: one connection, one request at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

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
