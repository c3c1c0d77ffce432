//! An open file as all others see it: its content, decompressed where its name says that it is compressed.
//!
//! All offsets are places in the content. The size of a compressed file is known as far as somebody has read; see
//! [`extents`].

mod decoder;
pub mod extents;
#[cfg(test)]
mod tests;
mod unpacked;
mod unpacker;
mod window;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::{Compression, Offset};
use extents::{Extent, Finding};
pub use extents::{Extents, Told};
pub use unpacked::Ending;
use unpacked::{Stamp, Unpacked};

/// Places that were gone back to and are remembered: the line with the names of columns, and a mark.
const MOST_PEEKS: usize = 2;

/// A decoder that nobody has used for so long is dropped.
const IDLE: Duration = Duration::from_secs(10);

/// Answers about places beyond this one are remembered: they take long.
const DEEP: Offset = Offset(1024 * 1024);

/// Decompressed bytes that are kept, but for the last piece: those of the last read, and for the reads to come.
const MOST_AHEAD: usize = 4 * 1024 * 1024;

/// Whoever waits for decompression sleeps until so much more is there than it needs: to wake a thread takes as long as to
/// decompress some KiB.
const GATHERED: u64 = 2 * 1024 * 1024;

/// An open file.
#[derive(Debug)]
pub struct Content {
    file: File,
    /// Boxed: most files have none.
    view: Option<Box<View>>,
}

/// The decompressed view of a file.
#[derive(Debug)]
struct View {
    compression: Compression,
    extent: Arc<Extent>,
    state: Mutex<State>,
    /// What is awaited is there, or nothing is lent any more.
    moved: Condvar,
}

struct State {
    unpacked: Unpacked,
    /// What stood at places behind the window.
    peeks: Vec<(u64, Vec<u8>)>,
    used: Instant,
    /// Up to where it is decompressed when the first of those wakes who wait meanwhile.
    awaited: u64,
}

impl Content {
    /// Opens the file at `path`, without waiting: it may be a FIFO by now.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path, extents: &Extents) -> io::Result<Self> {
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        match path.to_str().and_then(Compression::of_path) {
            Some(compression) if file.metadata()?.is_file() => Self::compressed(file, compression, extents),
            _ => Ok(Self::plain(file)),
        }
    }

    /// A file that is read as it is.
    #[must_use]
    pub fn plain(file: File) -> Self {
        Self { file, view: None }
    }

    /// A file that is decompressed.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn compressed(file: File, compression: Compression, extents: &Extents) -> io::Result<Self> {
        let extent = extents.of(&file)?;
        let unpacked = Unpacked::new(compression);
        let state = State { unpacked, peeks: Vec::new(), used: Instant::now(), awaited: u64::MAX };
        let view = View { compression, extent, state: Mutex::new(state), moved: Condvar::new() };
        Ok(Self { file, view: Some(Box::new(view)) })
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.view.is_some()
    }

    /// The size, as far as it must be known to tell whether there is more than `until`; never less than was told
    /// before. What stands from `from` on is kept for the reads to come.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn size_beyond(&self, from: u64, until: u64) -> io::Result<u64> {
        let Some(view) = &self.view else { return Ok(self.file.metadata()?.len()) };
        drop(view.advance(&self.file, from, until.saturating_add(1))?);
        Ok(view.extent.size())
    }

    /// Reads some of what stands from `from` on; of a compressed file all that fits. Reading on is cheap there, and
    /// going back is not.
    ///
    /// # Errors
    /// What the operating system says. Damage is the end of the content, and no error.
    pub fn read_at(&self, buffer: &mut [u8], from: u64) -> io::Result<usize> {
        let Some(view) = &self.view else { return self.file.read_at(buffer, from) };
        let state = view.advance(&self.file, from, from.saturating_add(buffer.len() as u64))?;
        Ok(state.unpacked.copy(from, buffer))
    }

    /// Decompresses for the reads to come, as much as is kept. Whoever reads what is there does not wait meanwhile.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read_ahead(&self) -> io::Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        let mut state = view.lock();
        let result = loop {
            let errand = match state.unpacked.lend(&self.file, MOST_AHEAD) {
                Ok(Some(errand)) => errand,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            drop(state);
            let made = errand.perform(&self.file);
            state = view.lock();
            let result = state.unpacked.take_back(made);
            view.learn(&mut state);
            if result.is_err() {
                break result;
            }
            if state.unpacked.end() >= state.awaited {
                view.wake(&mut state);
            }
        };
        view.wake(&mut state);
        result
    }

    /// Reads a little that stands behind the place where reading goes on, and leaves that place alone. It will be
    /// asked for again, so it is remembered.
    ///
    /// # Errors
    /// As of [`Content::read_at`].
    pub fn peek_at(&self, buffer: &mut [u8], from: u64) -> io::Result<usize> {
        let Some(view) = &self.view else { return self.file.read_at(buffer, from) };
        let mut state = view.lock();
        if state.unpacked.holds(from, from.saturating_add(buffer.len() as u64)) {
            return Ok(state.unpacked.copy(from, buffer));
        }
        let known = state.peeks.iter().find(|(at, bytes)| *at == from && bytes.len() >= buffer.len());
        if let Some((_, bytes)) = known {
            return Ok(fill(buffer, bytes));
        }
        let mut apart = Unpacked::new(view.compression);
        apart.advance(&self.file, from, from.saturating_add(buffer.len() as u64))?;
        view.extent.learn(apart.finding());
        let filled = apart.copy(from, buffer);
        if state.peeks.len() == MOST_PEEKS {
            state.peeks.remove(0);
        }
        state.peeks.push((from, buffer[..filled].to_vec()));
        Ok(filled)
    }

    /// How what is known of a compressed file ends; a plain file is whole.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.view.as_ref().map_or(Ending::Whole, |view| view.extent.ending())
    }

    /// How the file ends, for whoever has read all that there is. Where that is not known it is decompressed once more.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn find_ending(&self) -> io::Result<Ending> {
        let Some(view) = &self.view else { return Ok(Ending::Whole) };
        if view.extent.ending() == Ending::Open {
            drop(view.advance(&self.file, u64::MAX, u64::MAX)?);
        }
        match view.extent.ending() {
            // What a compressor makes of an empty file is a member, too.
            Ending::Whole if view.extent.place() == 0 => {
                Ok(Ending::Damaged("nothing in it was compressed so".to_owned()))
            }
            ending => Ok(ending),
        }
    }

    /// Bytes of the file itself that are used up when reading goes on from here: for showing progress.
    #[must_use]
    pub fn bytes_used(&self, position: u64) -> u64 {
        self.view.as_ref().map_or(position, |view| view.lock().unpacked.place())
    }

    /// Drops a decoder that has been idle. Called now and then; it never waits.
    pub fn rest(&self) {
        let Some(view) = &self.view else { return };
        if let Ok(mut state) = view.state.try_lock()
            && state.used.elapsed() >= IDLE
        {
            state.unpacked.rest();
        }
    }

    /// What was answered about these places before, while the file is the same.
    pub(super) fn remembered(&self, at: &[Offset]) -> io::Result<Option<(Vec<u8>, Vec<Told>)>> {
        let Some(view) = &self.view else { return Ok(None) };
        Ok(view.extent.remembered(Stamp::of(&self.file)?, at))
    }

    /// Remembers an answer that took long.
    pub(super) fn remember(&self, head: &[u8], at: &[Offset], guards: &[Told]) {
        let Some(view) = &self.view else { return };
        if at.iter().any(|at| *at > DEEP) {
            let stamp = view.lock().unpacked.stamp;
            view.extent.remember(stamp, head, at, guards);
        }
    }
}

impl View {
    fn advance(&self, file: &File, keep: u64, until: u64) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.used = Instant::now();
        while state.unpacked.is_lent() {
            if state.unpacked.holds(keep, until) {
                state.unpacked.pass(keep);
                return Ok(state);
            }
            state.awaited = state.awaited.min(until.saturating_add(GATHERED));
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.unpacked.advance(file, keep, until)?;
        if state.unpacked.end() < until {
            state.unpacked.fit();
        }
        self.learn(&mut state);
        Ok(state)
    }

    fn wake(&self, state: &mut State) {
        state.awaited = u64::MAX;
        self.moved.notify_all();
    }

    fn learn(&self, state: &mut State) {
        let finding = state.unpacked.finding();
        if finding.was_replaced {
            state.peeks.clear();
        }
        self.extent.learn(finding);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unpacked {
    fn finding(&mut self) -> Finding {
        Finding {
            size: self.end(),
            ending: self.ending.clone(),
            place: self.place(),
            stamp: self.stamp,
            was_replaced: std::mem::take(&mut self.was_replaced),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("State").field("at", &self.unpacked.end()).finish_non_exhaustive()
    }
}

fn fill(buffer: &mut [u8], bytes: &[u8]) -> usize {
    let count = buffer.len().min(bytes.len());
    buffer[..count].copy_from_slice(&bytes[..count]);
    count
}
