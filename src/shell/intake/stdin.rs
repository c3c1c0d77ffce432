//! The standard input as a source. Its end is the end of the source.
//!
//! It is read on a thread of its own, which asks before each read whether something stands there: so it neither
//! keeps the daemon's loop nor the end of the process.

use std::io::Read;
use std::os::fd::AsFd;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Closing;
use crate::agent::Input;
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
    // Without a thread nothing can be read, and what was started with this source must not wait for ever.
    let is_started = thread::Builder::new()
        .name("floe-stdin".into())
        .spawn(move || read(&mut std::io::stdin().lock(), &sender, &closing));
    let has_ended = match is_started {
        Ok(_) => spool(&mut chunks, &door).await,
        Err(_) => false,
    };
    if has_ended {
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

fn read(input: &mut (impl Read + AsFd), chunks: &Sender<Vec<u8>>, closing: &Closing) {
    let mut left = LAST_BYTES;
    while left > 0 {
        let is_closing = closing.is_asked();
        let wait = if is_closing { Timespec { tv_sec: 0, tv_nsec: 0 } } else { LOOK_EVERY };
        let mut asked = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut asked, Some(&wait)) {
            Ok(0) if is_closing => return,
            Ok(0) | Err(Errno::INTR) => continue,
            // Where it cannot be asked, reading tells.
            Ok(_) | Err(_) => {}
        }
        let mut chunk = vec![0; READ_BYTES];
        match input.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => chunk.truncate(count),
        }
        left -= if is_closing { chunk.len().min(left) } else { 0 };
        if chunks.blocking_send(chunk).is_err() {
            return;
        }
    }
}
