//! Reading and mapping, by threads of their own.
//!
//! A small read costs less than waking a thread, so the loop performs it itself; a large one goes to the pool, so
//! that mapping uses other cores and the loop stays free. Either way [`perform_read`] does the work, in buffers
//! that are used again.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use super::disk::{read_fully_at, words_of};
use super::event::{Event, Reports, words_of_panic};
use crate::agent::{Input, ReadOrder};
use crate::mapping::{ReadFault, Scratch};
use crate::model::{Guard, MappedChunk};

/// A read of at most so many bytes is performed where it is asked for.
pub const INLINE_MAX_BYTES: u64 = 32 * 1024;

const STACK_BYTES: usize = 256 * 1024;

/// Memory that reads use one after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    bytes: Vec<u8>,
    scratch: Scratch,
}

/// A read to perform. `file` is `None` when the stream is not open any more.
#[derive(Debug)]
pub struct Job {
    pub file: Option<Arc<File>>,
    pub order: Box<ReadOrder>,
}

impl Job {
    /// How many bytes there are to read: the order's limit, or what the file still holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let size = self.file.as_ref().and_then(|file| Some(file.metadata().ok()?.len())).unwrap_or(0);
        size.saturating_sub(self.order.from.0).min(u64::from(self.order.limit))
    }

    /// Reads, maps, and says so.
    #[must_use]
    pub fn perform(&self, buffers: &mut Buffers) -> Input {
        let (result, size) = match &self.file {
            Some(file) => perform_read(file, &self.order, buffers),
            None => (Err(ReadFault::Gone), 0),
        };
        Input::Mapped { read: self.order.read, result, size }
    }
}

/// One read of one file, and the file's size when it was read (0 on a fault).
pub fn perform_read(
    file: &File,
    order: &ReadOrder,
    buffers: &mut Buffers,
) -> (Result<MappedChunk, ReadFault>, u64) {
    match read_and_map(file, order, buffers) {
        Ok((chunk, size)) => (Ok(chunk), size),
        Err(fault) => (Err(fault), 0),
    }
}

fn read_and_map(
    file: &File,
    order: &ReadOrder,
    buffers: &mut Buffers,
) -> Result<(MappedChunk, u64), ReadFault> {
    let io_fault = |error: io::Error| ReadFault::Io(words_of(&error));
    let size = file.metadata().map_err(io_fault)?.len();
    let from = order.from.0;
    if size < from {
        return Err(ReadFault::Shrunk { size });
    }
    let reach = usize::try_from(from).unwrap_or(usize::MAX).min(Guard::REACH);
    // What is beyond the size is not there; asking for no more keeps a small read in small memory.
    let wanted = usize::try_from((size - from).min(u64::from(order.limit))).expect("a limit fits in memory");
    let total = reach + wanted;
    if buffers.bytes.len() < total {
        buffers.bytes.resize(total, 0);
    }
    let filled = read_fully_at(file, &mut buffers.bytes[..total], from - reach as u64).map_err(io_fault)?;
    if filled < reach {
        return Err(ReadFault::Shrunk { size: from - reach as u64 + filled as u64 });
    }
    let (before, bytes) = buffers.bytes[..filled].split_at(reach);
    Ok((order.map(before, bytes, &mut buffers.scratch)?, size))
}

/// Threads that read and map.
#[derive(Debug)]
pub struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(threads: u16, reports: &Reports) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=threads {
            let (queue, reports) = (Arc::clone(&queue), reports.clone());
            thread::Builder::new()
                .name(format!("floe-map-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&queue, &reports))?;
        }
        Ok(Self { jobs })
    }

    /// The answer comes as a report.
    pub fn perform(&self, job: Job) {
        // The threads end only with this sender, or after they reported that they are broken.
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>, reports: &Reports) {
    let mut buffers = Buffers::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        match catch_unwind(AssertUnwindSafe(|| job.perform(&mut buffers))) {
            Ok(input) => reports.input(input),
            Err(panic) => {
                let what = words_of_panic(panic.as_ref());
                reports.send(Event::Broken(format!(
                    "mapping broke on {:?} at byte {}: {what}",
                    job.order.path, job.order.from
                )));
                return;
            }
        }
    }
}
