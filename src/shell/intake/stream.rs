//! Writers of a stream socket: one task for each, and one that takes them in.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::{Closing, say};
use crate::agent::NoticeCode;
use crate::shell::disk::words_of;
use crate::shell::spool::{LineCutter, Records, Spool};

/// Writers at a time. Others wait until one leaves.
const MOST_WRITERS: usize = 1024;

/// Bytes that one read takes.
const READ_BYTES: usize = 16 * 1024;

/// Of a line that has not ended, what each writer may leave in memory. For more it must have one of a few places.
const SHORT_LINE: usize = 64 * 1024;

/// Writers in the middle of a longer line.
const LONG_LINES: usize = 16;

/// What a writer sends is read so far when the process ends: it could go on for ever.
const LAST_BYTES: usize = 4 << 20;

/// How long an answer to a writer who does not listen is tried at the end.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// After the operating system refused a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Users whose refusal is told, each once.
const MOST_TOLD: usize = 64;

/// What the tasks of one socket share.
pub struct StreamDoor {
    pub source: String,
    pub spool: Spool,
    pub max_line_bytes: u32,
    pub acknowledges: bool,
    /// `None`: everybody who can connect.
    pub allowed: Option<BTreeSet<u32>>,
    pub closing: Closing,
    pub long_lines: Arc<Semaphore>,
}

impl StreamDoor {
    pub fn long_lines() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(LONG_LINES))
    }
}

/// Takes writers in until the door closes, and returns when the last one is gone and what they sent is durable.
pub async fn serve(listener: StdListener, door: Arc<StreamDoor>) {
    let mut writers = JoinSet::new();
    let mut told = BTreeSet::new();
    let waiting = listener.try_clone();
    match UnixListener::from_std(listener) {
        Ok(listener) => accept(&listener, &door, &mut writers, &mut told).await,
        Err(error) => say_failing(&door, &error),
    }
    // Who has connected was not refused, so he is heard.
    if let Ok(waiting) = waiting {
        while let Ok((stream, _)) = waiting.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = UnixStream::from_std(stream)
            {
                admit(stream, &door, &mut writers, &mut told);
            }
        }
    }
    while writers.join_next().await.is_some() {}
}

async fn accept(
    listener: &UnixListener,
    door: &Arc<StreamDoor>,
    writers: &mut JoinSet<()>,
    told: &mut BTreeSet<u32>,
) {
    let mut is_failing = false;
    loop {
        tokio::select! {
            biased;
            () = door.closing.asked() => return,
            Some(_) = writers.join_next() => {}
            accepted = listener.accept(), if writers.len() < MOST_WRITERS => match accepted {
                Ok((stream, _)) => {
                    is_failing = false;
                    admit(stream, door, writers, told);
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        say_failing(door, &error);
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

fn say_failing(door: &StreamDoor, error: &io::Error) {
    say(
        NoticeCode::SocketFailing,
        format!("the socket of \"{}\" takes nobody in: {}", door.source, words_of(error)),
        "it is tried again; where files are too many, raise Floe's limit of open files",
    );
}

fn admit(stream: UnixStream, door: &Arc<StreamDoor>, writers: &mut JoinSet<()>, told: &mut BTreeSet<u32>) {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    if !is_allowed(door.allowed.as_ref(), uid.as_ref().ok().copied()) {
        say_refused(&door.source, uid.ok(), told);
        return;
    }
    writers.spawn(converse(stream, Arc::clone(door)));
}

/// Whether a user may write; one who is not known may not.
pub fn is_allowed(allowed: Option<&BTreeSet<u32>>, uid: Option<u32>) -> bool {
    allowed.is_none_or(|allowed| uid.is_some_and(|uid| allowed.contains(&uid)))
}

/// Says it once for each user.
pub fn say_refused(source: &str, uid: Option<u32>, told: &mut BTreeSet<u32>) {
    let uid = uid.unwrap_or(u32::MAX);
    if told.len() < MOST_TOLD && told.insert(uid) {
        say(
            NoticeCode::WriterRefused,
            format!("a writer to \"{source}\" was refused: its user id is {uid}"),
            "add it to allowed_uids of the source if it may write",
        );
    }
}

/// What became of a read.
enum Heard {
    Bytes,
    Nothing,
    /// The writer has left.
    End,
}

async fn converse(mut stream: UnixStream, door: Arc<StreamDoor>) {
    let mut lines = LineCutter::new(door.max_line_bytes);
    let mut place: Option<OwnedSemaphorePermit> = None;
    loop {
        tokio::select! {
            biased;
            () = door.closing.asked() => break,
            ready = stream.readable() => if ready.is_err() { break },
        }
        let heard = hear(&mut lines, |buffer| stream.try_read(buffer));
        if let Heard::End = heard {
            lines.leave();
        }
        if let Some(records) = lines.take()
            && !deliver(&mut stream, &door, records).await
        {
            return;
        }
        if let Heard::End = heard {
            return;
        }
        if lines.held_bytes() <= SHORT_LINE {
            place = None;
        } else if place.is_none() {
            tokio::select! {
                biased;
                () = door.closing.asked() => break,
                free = Arc::clone(&door.long_lines).acquire_owned() => place = free.ok(),
            }
        }
    }
    let answers = stream.into_std().map(|rest| hear_the_rest(rest, &mut lines));
    if let Some(records) = lines.take() {
        let count = records.lines;
        let is_durable = door.spool.put_durably(records).await;
        if is_durable
            && door.acknowledges
            && let Ok(stream) = answers
            && let Ok(mut stream) = UnixStream::from_std(stream)
        {
            // Who is gone or deaf does not keep the process.
            let _ = tokio::time::timeout(LAST_ANSWER, answer(&mut stream, count)).await;
        }
    }
}

/// One read, without waiting.
fn hear(lines: &mut LineCutter, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> Heard {
    let mut buffer = [0; READ_BYTES];
    match read(&mut buffer) {
        Ok(0) => Heard::End,
        Ok(count) => {
            lines.push(&buffer[..count]);
            Heard::Bytes
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Heard::Nothing
        }
        // Reset: nothing more will come.
        Err(_) => Heard::End,
    }
}

/// What stands in the kernel's buffer. Behind it the writer finds the connection closed.
fn hear_the_rest(mut stream: StdStream, lines: &mut LineCutter) -> StdStream {
    for _ in 0..LAST_BYTES / READ_BYTES {
        match hear(lines, |buffer| stream.read(buffer)) {
            Heard::Bytes => {}
            Heard::Nothing | Heard::End => break,
        }
    }
    lines.leave();
    stream
}

/// Spools lines, and answers where that is wanted. False: there is nobody to listen to any more.
async fn deliver(stream: &mut UnixStream, door: &StreamDoor, records: Records) -> bool {
    if !door.acknowledges {
        door.spool.put(records).await;
        return true;
    }
    let count = records.lines;
    if !door.spool.put_durably(records).await {
        return false;
    }
    // A writer who does not read his answers fills his own buffer and waits; at the end nobody waits for him.
    tokio::select! {
        biased;
        // One who is gone may have left lines in the buffer still.
        _ = answer(stream, count) => true,
        () = door.closing.after(LAST_ANSWER) => true,
    }
}

async fn answer(stream: &mut UnixStream, lines: usize) -> io::Result<()> {
    stream.write_all(&b"ok\n".repeat(lines)).await
}
