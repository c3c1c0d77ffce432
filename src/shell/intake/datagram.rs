//! A datagram socket. Whoever sends is not kept waiting by a full spool: what has no room is dropped, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg, sockopt};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::Instant;

use super::stream::{is_allowed, say_refused};
use super::{Closing, say};
use crate::agent::{Input, NoticeCode};
use crate::model::{Count, Dropped};
use crate::shell::disk::words_of;
use crate::shell::event::Reports;
use crate::shell::spool::{LineCutter, Spool};

/// Room for one datagram, at least.
const LEAST_ROOM: usize = 64 * 1024;

/// What is taken in before it is put in the spool.
const GROUP_BYTES: usize = 256 * 1024;

/// Groups that are taken in at the end: more than the kernel keeps. Senders could go on for ever.
const LAST_GROUPS: usize = 256;

/// What was dropped is reported no oftener than this.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// After an error of the operating system.
const RETRY: Duration = Duration::from_millis(500);

pub struct DatagramDoor {
    pub source: String,
    pub spool: Spool,
    pub max_line_bytes: u32,
    /// `None`: everybody who can send.
    pub allowed: Option<BTreeSet<u32>>,
    pub closing: Closing,
    pub reports: Reports,
}

/// Takes datagrams in until the door closes, and returns when what has come is durable.
pub async fn serve(socket: StdDatagram, door: DatagramDoor) {
    let opened = sockopt::set_socket_passcred(&socket, door.allowed.is_some())
        .map_err(io::Error::from)
        .and_then(|()| Ok((socket.try_clone()?, UnixDatagram::from_std(socket)?)));
    let (rest, socket) = match opened {
        Ok(opened) => opened,
        Err(error) => return door.say_failing(&error),
    };
    let mut receiver = Receiver::new(&door);
    loop {
        tokio::select! {
            biased;
            () = door.closing.asked() => break,
            () = receiver.report_is_due() => receiver.report(),
            ready = socket.readable() => {
                let read = |receiver: &mut Receiver<'_>| {
                    socket.try_io(Interest::READABLE, || receiver.receive(&socket))
                };
                if let Some(error) = ready.err().or(receiver.receive_all(read)) {
                    door.say_failing(&error);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        if let Some(records) = receiver.lines.take() {
            door.spool.put(records).await;
        }
    }
    // What has been sent was not refused, so it is taken in.
    for _ in 0..LAST_GROUPS {
        let _ = receiver.receive_all(|receiver| receiver.receive(&rest));
        let is_dry = receiver.taken < GROUP_BYTES;
        if let Some(records) = receiver.lines.take() {
            door.spool.put(records).await;
        }
        if is_dry {
            break;
        }
    }
    receiver.report();
    door.spool.settle().await;
}

impl DatagramDoor {
    fn say_failing(&self, error: &io::Error) {
        say(
            NoticeCode::SocketFailing,
            format!("the socket of \"{}\" takes nothing in: {}", self.source, words_of(error)),
            "it is tried again",
        );
    }
}

struct Receiver<'a> {
    door: &'a DatagramDoor,
    buffer: Vec<u8>,
    lines: LineCutter,
    taken: usize,
    dropped: BTreeMap<Dropped, Count>,
    reported: Instant,
    told: BTreeSet<u32>,
}

impl<'a> Receiver<'a> {
    fn new(door: &'a DatagramDoor) -> Self {
        let room = usize::try_from(door.max_line_bytes).expect("a size of 32 bits fits").max(LEAST_ROOM);
        Self {
            door,
            buffer: vec![0; room],
            lines: LineCutter::new(door.max_line_bytes),
            taken: 0,
            dropped: BTreeMap::new(),
            reported: Instant::now(),
            told: BTreeSet::new(),
        }
    }

    /// Receives what stands there, up to a group. Returns what went wrong, if something did.
    fn receive_all(&mut self, mut receive: impl FnMut(&mut Self) -> io::Result<()>) -> Option<io::Error> {
        self.taken = 0;
        while self.taken < GROUP_BYTES {
            match receive(self) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// One datagram.
    fn receive(&mut self, socket: &impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        // With this flag the length is the datagram's own, whatever of it there is room for.
        let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(socket, &mut [IoSliceMut::new(&mut self.buffer)], &mut beside, flags)?;
        let uid = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.uid.as_raw()),
            _ => None,
        });
        let length = received.bytes;
        self.taken += length.max(1);
        if !is_allowed(self.door.allowed.as_ref(), uid) {
            say_refused(&self.door.source, uid, &mut self.told);
        } else if received.flags.contains(ReturnFlags::TRUNC) || length > self.buffer.len() {
            self.drop_datagram(Dropped::DatagramTooLarge, length);
        } else if self.door.spool.gauge().is_full() {
            self.drop_datagram(Dropped::SpoolFull, length);
        } else {
            self.lines.push(&self.buffer[..length]);
            self.lines.end_datagram();
        }
        Ok(())
    }

    fn drop_datagram(&mut self, why: Dropped, length: usize) {
        let seen = &self.buffer[..length.min(self.buffer.len())];
        let ends = memchr::memchr_iter(b'\n', seen).count();
        let count = self.dropped.entry(why).or_default();
        count.lines += (ends + usize::from(!seen.ends_with(b"\n"))) as u64;
        count.bytes += length as u64;
    }

    /// Never, where nothing was dropped.
    fn report_is_due(&self) -> impl Future<Output = ()> + use<> {
        let due = (!self.dropped.is_empty()).then(|| self.reported + REPORT_EVERY);
        async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    fn report(&mut self) {
        self.reported = Instant::now();
        for (why, Count { lines, bytes }) in std::mem::take(&mut self.dropped) {
            let source = self.door.source.clone();
            self.door.reports.input(Input::Dropped { source, why, lines, bytes });
        }
    }
}
