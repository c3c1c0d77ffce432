//! Writers of a stream socket: one task for each, and one that takes them in.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::answers::Answers;
use super::{Closing, say};
use crate::agent::NoticeCode;
use crate::shell::disk::words_of;
use crate::shell::spool::{LineCutter, Records, Spool};

/// Bytes that one read takes.
const READ_BYTES: usize = 16 * 1024;

/// Records that one writer may have ready before they are put in the spool; one read more, where they are short.
const GROUP_BYTES: usize = 64 * 1024;

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
    /// At a time. Others wait until one leaves.
    pub most_writers: usize,
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
            accepted = listener.accept(), if writers.len() < door.most_writers => match accepted {
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

async fn converse(stream: UnixStream, door: Arc<StreamDoor>) {
    let mut lines = LineCutter::new(door.max_line_bytes);
    let mut answers = Answers::default();
    let mut place: Option<OwnedSemaphorePermit> = None;
    loop {
        let ready = tokio::select! {
            biased;
            () = door.closing.asked() => break,
            ready = stream.ready(interest(&answers)) => ready,
        };
        let Ok(ready) = ready else { break };
        answers.write(|bytes| stream.try_write(bytes));
        if !ready.is_readable() {
            continue;
        }
        let heard = hear_a_group(&mut lines, &stream);
        if let Heard::End = heard {
            lines.leave();
        }
        if let Some(records) = lines.take() {
            if !deliver(&door, records, &mut answers).await {
                return;
            }
            answers.write(|bytes| stream.try_write(bytes));
        }
        if let Heard::End = heard {
            return answer_the_rest(&stream, &door, answers).await;
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
    end(stream, &door, lines, answers).await;
}

/// What to wait for.
fn interest(answers: &Answers) -> Interest {
    if answers.are_owed() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

/// Spools lines, and owes answers where they are wanted. False: they are not durable, and the process ends.
async fn deliver(door: &StreamDoor, records: Records, answers: &mut Answers) -> bool {
    if !door.acknowledges {
        door.spool.put(records).await;
        return true;
    }
    let count = records.lines;
    let is_durable = door.spool.put_durably(records).await;
    if is_durable {
        answers.owe(count);
    }
    is_durable
}

/// The door closes: what stands in the kernel's buffer is taken in, and answered for. Behind it the writer finds the
/// connection closed.
async fn end(stream: UnixStream, door: &StreamDoor, mut lines: LineCutter, mut answers: Answers) {
    let Ok(mut rest) = stream.into_std() else { return };
    let (mut count, mut has_left) = (0, false);
    for _ in 0..LAST_BYTES / READ_BYTES {
        match hear(&mut lines, |buffer| rest.read(buffer)) {
            Heard::Bytes => {}
            Heard::Nothing => break,
            Heard::End => {
                has_left = true;
                break;
            }
        }
        if let Some(records) = lines.take() {
            count += records.lines;
            door.spool.put(records).await;
        }
    }
    // Who waits for the `ok` of a line that he has begun hears none, and sends it again.
    if has_left || !door.acknowledges {
        lines.leave();
    }
    let last = lines.take().unwrap_or_default();
    count += last.lines;
    // Behind the others in the queue: when it is durable, all are.
    if !door.spool.put_durably(last).await {
        return;
    }
    if door.acknowledges {
        answers.owe(count);
    }
    if let Ok(stream) = UnixStream::from_std(rest) {
        answer_the_rest(&stream, door, answers).await;
    }
}

/// Who sends nothing more may still listen. At the end of the process nobody waits for him.
async fn answer_the_rest(stream: &UnixStream, door: &StreamDoor, mut answers: Answers) {
    while answers.are_owed() {
        tokio::select! {
            biased;
            ready = stream.writable() => match ready {
                Ok(()) => answers.write(|bytes| stream.try_write(bytes)),
                Err(_) => return,
            },
            () = door.closing.after(LAST_ANSWER) => return,
        }
    }
}

/// What stands there, up to a group: lines of one group share a sync.
fn hear_a_group(lines: &mut LineCutter, stream: &UnixStream) -> Heard {
    while lines.ready_bytes() < GROUP_BYTES && lines.held_bytes() <= SHORT_LINE {
        match hear(lines, |buffer| stream.try_read(buffer)) {
            Heard::Bytes => {}
            heard => return heard,
        }
    }
    // Of a longer line, one read at a time.
    hear(lines, |buffer| stream.try_read(buffer))
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
