//! The standard input as a source. Its end is the end of the source.
//!
//! It is read on a thread of its own, which asks before each read whether something stands there: so it neither
//! keeps the daemon's loop nor the end of the process.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{Closing, say};
use crate::agent::{Input, NoticeCode};
use crate::shell::disk::words_of;
use crate::shell::event::Reports;
use crate::shell::spool::{LineCutter, Spool};

const READ_BYTES: usize = 64 * 1024;

/// How often the thread looks whether the process ends.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What a pipe may hold, and more: at the end of the process so much is still read.
const LAST_BYTES: usize = 1 << 20;

pub struct StdinDoor {
    pub source: String,
    pub spool: Spool,
    pub max_line_bytes: u32,
    pub closing: Closing,
    pub reports: Reports,
}

/// Reads until the input or the process ends, and returns when all of it is durable.
pub async fn serve(door: StdinDoor) {
    let (sender, mut chunks) = channel(1);
    let closing = door.closing.clone();
    let is_started = thread::Builder::new().name("floe-stdin".into()).spawn(move || {
        if let Err(error) = read(&mut io::stdin().lock(), &sender, &closing) {
            say_failing(&error);
        }
    });
    // Without the thread nothing comes, and who started Floe for this source must not wait for ever.
    if let Err(error) = is_started {
        say_failing(&error);
    }
    if spool(&mut chunks, &door).await {
        let last = door.spool.last().map(|(path, size)| (path.display().to_string(), size));
        door.reports.input(Input::SourceEnded { source: door.source, last });
    }
}

/// True where the input has ended.
async fn spool(chunks: &mut Receiver<Vec<u8>>, door: &StdinDoor) -> bool {
    let mut lines = LineCutter::new(door.max_line_bytes);
    while let Some(chunk) = chunks.recv().await {
        lines.push(&chunk);
        if let Some(records) = lines.take() {
            door.spool.put(records).await;
        }
    }
    lines.leave();
    // Behind the others in the queue: when it is durable, all are.
    door.spool.put_durably(lines.take().unwrap_or_default()).await && !door.closing.is_asked()
}

fn say_failing(error: &io::Error) {
    say(
        NoticeCode::SocketFailing,
        format!("the standard input cannot be read any more: {}", words_of(error)),
        "what had come in is billed; send the rest to another `floe run`",
    );
}

/// Reads until the input or the process ends.
fn read(input: &mut (impl Read + AsFd), chunks: &Sender<Vec<u8>>, closing: &Closing) -> io::Result<()> {
    let mut left = LAST_BYTES;
    while left > 0 {
        let is_closing = closing.is_asked();
        let wait = if is_closing { Timespec { tv_sec: 0, tv_nsec: 0 } } else { LOOK_EVERY };
        let mut asked = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut asked, Some(&wait)) {
            Ok(0) if is_closing => return Ok(()),
            Ok(0) | Err(Errno::INTR) => continue,
            // Where it cannot be asked, reading tells.
            Ok(_) | Err(_) => {}
        }
        let mut chunk = vec![0; READ_BYTES];
        match input.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => chunk.truncate(count),
            // Others who have the same pipe may have made it so, or taken what stood there.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        }
        left -= if is_closing { chunk.len().min(left) } else { 0 };
        if chunks.blocking_send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::os::fd::BorrowedFd;
    use tokio::sync::watch;

    /// Reads that end so, one after the other. The pipe always has something.
    struct Scripted(io::PipeReader, VecDeque<Result<&'static str, ErrorKind>>);

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = self.1.pop_front().unwrap_or(Ok(""))?;
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    impl AsFd for Scripted {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    #[track_caller]
    fn check(reads: &[Result<&'static str, ErrorKind>], expected: &str, error: Option<ErrorKind>) {
        use std::io::Write as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let (sender, mut chunks) = channel(8);
        let (_open, closing) = watch::channel(false);
        let result = read(&mut Scripted(reader, reads.iter().copied().collect()), &sender, &Closing(closing));
        drop(sender);
        let mut heard = Vec::new();
        while let Some(chunk) = chunks.blocking_recv() {
            heard.extend(chunk);
        }
        assert_eq!(String::from_utf8(heard).unwrap(), expected);
        assert_eq!(result.err().map(|error| error.kind()), error);
    }

    #[test]
    fn s27_only_an_end_is_the_end_of_the_standard_input() {
        check(
            &[Ok("a"), Err(ErrorKind::WouldBlock), Ok("b"), Err(ErrorKind::Interrupted), Ok("c")],
            "abc",
            None,
        );
        check(&[Ok("a"), Err(ErrorKind::IsADirectory), Ok("b")], "a", Some(ErrorKind::IsADirectory));
    }
}
