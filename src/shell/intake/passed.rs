//! Sockets that the service manager has opened and passed on (`LISTEN_FDS`).

use std::os::unix::net::SocketAddr;
use std::path::Path;

use listenfd::ListenFd;

use super::bind::Listening;
use crate::agent::{Notice, NoticeCode};
use crate::config::settings::SocketKind;

/// They outlive reloads: whoever passed them has no others.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: Vec<(SocketAddr, Listening)>,
    /// Passed, and no Unix socket of a type that a source may have.
    strange: usize,
}

impl Passed {
    /// Takes what the environment names, and takes it out of the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut found = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..found.len() {
            let socket = match found.take_unix_listener(index) {
                Ok(listener) => listener.map(Listening::Stream),
                Err(_) => found.take_unix_datagram(index).ok().flatten().map(Listening::Datagram),
            };
            let address = socket.as_ref().and_then(|socket| match socket {
                Listening::Stream(listener) => listener.local_addr().ok(),
                Listening::Datagram(socket) => socket.local_addr().ok(),
            });
            let address = address.filter(|_| socket.as_ref().is_some_and(Listening::never_blocks));
            match socket.zip(address) {
                Some((socket, address)) => passed.sockets.push((address, socket)),
                None => passed.strange += 1,
            }
        }
        passed
    }

    /// The socket with this path and type, as a handle of its own.
    #[must_use]
    pub fn get(&self, path: &Path, kind: SocketKind) -> Option<Listening> {
        let is_meant = |(address, socket): &&(SocketAddr, Listening)| {
            address.as_pathname() == Some(path) && kind == kind_of(socket)
        };
        self.sockets.iter().find(is_meant).and_then(|(_, socket)| socket.try_clone().ok())
    }

    /// Those that no source asks for. `wanted` has paths and types.
    #[must_use]
    pub fn unknown(&self, wanted: &[(&Path, SocketKind)]) -> Vec<Notice> {
        let unknown = self.sockets.iter().filter(|(address, socket)| {
            !wanted.iter().any(|(path, kind)| address.as_pathname() == Some(path) && *kind == kind_of(socket))
        });
        let named = unknown.map(|(address, socket)| {
            let kind = match kind_of(socket) {
                SocketKind::Stream => "stream",
                SocketKind::Datagram => "datagram",
            };
            match address.as_pathname() {
                Some(path) => format!("the {kind} socket {path:?}"),
                None => format!("a {kind} socket without a path"),
            }
        });
        let strange = (0..self.strange).map(|_| "something that is no such socket".to_owned());
        named
            .chain(strange)
            .map(|what| Notice {
                code: NoticeCode::SocketUnknown,
                message: format!("{what} was passed on, and no source reads it"),
                hint: Some("give a source the same path (socket) and type (socket_type)".to_owned()),
            })
            .collect()
    }
}

fn kind_of(socket: &Listening) -> SocketKind {
    match socket {
        Listening::Stream(_) => SocketKind::Stream,
        Listening::Datagram(_) => SocketKind::Datagram,
    }
}
