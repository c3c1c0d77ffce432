//! Asking a daemon's admin endpoint: one GET over TCP or a Unix socket, for `floe status`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::config::settings::AdminListen;

/// Longer than the agent may take.
const PATIENCE: Duration = Duration::from_secs(7);

/// What is read of an answer.
const MOST_BYTES: u64 = 64 << 20;

/// The body of an answer, and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks once.
///
/// # Errors
/// When nobody listens there, or what comes is no answer.
pub fn get(listen: &AdminListen, path: &str) -> io::Result<Answer> {
    match listen {
        AdminListen::Off => Err(io::Error::other("the config turns the admin endpoint off")),
        AdminListen::Tcp(address) => {
            // Who listens everywhere listens here.
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            ask(stream, path)
        }
        AdminListen::Socket(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            ask(stream, path)
        }
    }
}

fn ask(mut stream: impl Read + Write, path: &str) -> io::Result<Answer> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: floe\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers there is no Floe"))
}

/// The endpoint closes the connection behind each answer, so the body is all that follows the head.
fn read(answer: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nok\n", Some((200, "ok\n"))),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready\n", Some((503, "not ready\n"))),
            ("HTTP/1.1 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", None),
            ("HTTP/1.1 no\r\n\r\n", None),
            ("", None),
        ] {
            let found = read(text.as_bytes());
            assert_eq!(
                found,
                expected.map(|(status, body)| Answer { status, body: body.to_owned() }),
                "{text:?}"
            );
        }
    }
}
