//! The spool of one source: what comes in is appended to a file, synced, and only then answered for.
//!
//! Sockets are files, so there is one algebra of offsets and one story of crashes. Lines of many writers are written
//! and synced together. While the disk says no, the same bytes are written again to the same place, nothing more is
//! taken, and so the writers wait.

mod gauge;
mod lines;
mod segments;

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use gauge::Gauge;
pub use lines::{LineCutter, Records};
use segments::Segments;

use super::disk::{key_of, words_of};
use super::{durable, logs};
use crate::agent::{DiskFault, Notice, NoticeCode};
use crate::config::settings::SpoolSettings;
use crate::model::FileKey;

/// Bytes that wait to be written, at most; one larger line may wait alone.
const QUEUE_BYTES: u32 = 1 << 20;

/// What the shortest wait in the queue costs of that.
const LEAST_BYTES: u32 = 256;

/// A segment is not written on beyond this.
const SEGMENT_BYTES: u64 = 8 << 20;

/// How long lines wait for others while nobody waits for their sync.
const GATHER: Duration = Duration::from_millis(3);

/// After a write that failed: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Lines on their way to the disk.
struct Batch {
    records: Records,
    /// Given back when they are durable.
    _room: OwnedSemaphorePermit,
    durable: Option<oneshot::Sender<()>>,
}

/// Where lines of one source are put. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    queue: Sender<Batch>,
    room: Arc<Semaphore>,
    gauge: Arc<Gauge>,
    last: Arc<Mutex<Option<(PathBuf, u64)>>>,
}

impl Spool {
    /// Opens the spool in its folder, and repairs what a crash has left.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(source: &str, settings: &SpoolSettings) -> io::Result<Self> {
        // So that there is always a segment that is over, and can go.
        let most_bytes = SEGMENT_BYTES.min(settings.max_bytes / 4);
        let (segments, found) = Segments::open(&settings.folder, source, most_bytes)?;
        if found.cut_bytes > 0 {
            say(
                NoticeCode::SpoolCut,
                format!(
                    "the spool of \"{source}\" ended in {} bytes of a write that a crash had cut; they are cut off",
                    found.cut_bytes
                ),
                "nobody was told that they are durable: nothing that was acknowledged is lost",
            );
        }
        let gauge = Arc::new(Gauge::new(found.bytes, settings.max_bytes));
        let last = Arc::default();
        let (queue, batches) = channel();
        let writer = Writer {
            source: source.to_owned(),
            segments,
            gauge: Arc::clone(&gauge),
            last: Arc::clone(&last),
        };
        thread::Builder::new().name("floe-spool".into()).spawn(move || writer.work(&batches))?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)), gauge, last })
    }

    /// Puts lines in the queue as soon as there is room in it. They are written in this order.
    pub async fn put(&self, records: Records) {
        self.send(records, None).await;
    }

    /// As [`Spool::put`], and returns when they are durable. False: they are not, and the process ends.
    pub async fn put_durably(&self, records: Records) -> bool {
        let (durable, is_durable) = oneshot::channel();
        self.send(records, Some(durable)).await;
        is_durable.await.is_ok()
    }

    /// Returns when all that was put before is durable.
    pub async fn settle(&self) {
        self.put_durably(Records::default()).await;
    }

    async fn send(&self, records: Records, durable: Option<oneshot::Sender<()>>) {
        // What waits for room has come in, too.
        self.gauge.came_in(records.lines);
        let bytes = u32::try_from(records.bytes.len()).unwrap_or(u32::MAX).clamp(LEAST_BYTES, QUEUE_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.expect("the queue's room is never closed");
        // The thread ends only when nobody can send any more.
        let _ = self.queue.send(Batch { records, _room: room, durable });
    }

    #[must_use]
    pub fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    /// The segment that was written last, and its size.
    #[must_use]
    pub fn last(&self) -> Option<(PathBuf, u64)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread that writes.
struct Writer {
    source: String,
    segments: Segments,
    gauge: Arc<Gauge>,
    last: Arc<Mutex<Option<(PathBuf, u64)>>>,
}

impl Writer {
    fn work(mut self, batches: &Receiver<Batch>) {
        while let Some(first) = self.next(batches) {
            let mut group = vec![first];
            self.gather(&mut group, batches);
            if group.iter().any(|batch| batch.records.lines > 0) {
                self.wait_for_room();
                self.write(&group);
            }
            for Batch { records, durable, .. } in group {
                self.gauge.is_durable(records.lines);
                // Its writer may have gone.
                let _ = durable.map(|durable| durable.send(()));
            }
        }
    }

    fn next(&mut self, batches: &Receiver<Batch>) -> Option<Batch> {
        loop {
            if !self.gauge.is_full() {
                return batches.recv().ok();
            }
            self.make_way();
            match batches.recv_timeout(RETRY.1) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Timeout) => self.measure(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The newest segment stays, whatever of it is billed. So one that fills the spool must not be the newest.
    fn make_way(&mut self) {
        // Where the disk refuses, it is tried again as long as the spool is full.
        if let Ok(grown) = self.segments.turn_over() {
            self.gauge.grow(grown);
            self.note_last();
        }
    }

    /// Others may have removed segments.
    fn measure(&self) {
        if let Ok(bytes) = self.segments.bytes() {
            self.gauge.set_bytes(bytes);
        }
    }

    fn note_last(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = self.segments.last();
    }

    fn gather(&self, group: &mut Vec<Batch>, batches: &Receiver<Batch>) {
        let mut bytes = group[0].records.bytes.len();
        let is_awaited = |batch: &Batch| batch.durable.is_some();
        if !is_awaited(&group[0]) && !self.gauge.is_closing() {
            thread::sleep(GATHER);
        }
        while bytes < QUEUE_BYTES as usize
            && let Ok(next) = batches.try_recv()
        {
            bytes += next.records.bytes.len();
            group.push(next);
        }
    }

    fn wait_for_room(&mut self) {
        if self.gauge.is_full() {
            self.measure();
        }
        if !self.gauge.is_full() || self.gauge.is_closing() {
            return;
        }
        let (source, max_bytes) = (self.source.clone(), self.gauge.max_bytes());
        say(
            NoticeCode::SpoolFull,
            format!(
                "the spool of \"{source}\" holds {max_bytes} bytes: its writers wait, datagrams are dropped"
            ),
            "it empties as its lines are billed; spool_max_bytes gives it more room",
        );
        loop {
            self.make_way();
            if self.gauge.wait_for_room(RETRY.1) {
                break;
            }
            self.measure();
        }
        if !self.gauge.is_full() {
            logs::say(&Notice {
                code: NoticeCode::SpoolHasRoom,
                message: format!("the spool of \"{source}\" has room again"),
                hint: None,
            });
        }
    }

    /// Writes until it has succeeded.
    fn write(&mut self, group: &[Batch]) {
        let joined: Vec<u8>;
        let records = match group {
            [one] => &one.records.bytes,
            many => {
                joined = many.iter().flat_map(|batch| &batch.records.bytes).copied().collect();
                &joined
            }
        };
        let mut pause = RETRY.0;
        let mut is_failing = false;
        loop {
            match self.segments.append(records) {
                Ok(grown) => {
                    self.gauge.grow(grown);
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        self.say_unwritable(&error);
                    }
                    thread::sleep(pause);
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        if is_failing {
            logs::say(&Notice {
                code: NoticeCode::SpoolWritable,
                message: format!("the spool of \"{}\" can be written again", self.source),
                hint: None,
            });
        }
        self.note_last();
    }

    fn say_unwritable(&self, error: &io::Error) {
        say(
            NoticeCode::SpoolUnwritable,
            format!("cannot write the spool of \"{}\": {}", self.source, words_of(error)),
            "make room on the disk that holds state_dir; until then nothing is acknowledged, and writers wait",
        );
    }
}

/// Removes a segment, if it is still that file and of that size.
///
/// # Errors
/// [`DiskFault::Gone`], when it is not; else what the operating system says.
pub fn discard(path: &Path, file: FileKey, size: u64) -> Result<(), DiskFault> {
    let fault = |error: io::Error| super::disk::disk_fault(&error);
    let metadata = std::fs::symlink_metadata(path).map_err(fault)?;
    if key_of(&metadata) != file || metadata.len() != size {
        return Err(DiskFault::Gone);
    }
    std::fs::remove_file(path).map_err(fault)?;
    // Were it there again after a power cut, it would be read again. Its ids would make that safe.
    let _ = path.parent().map(durable::sync_folder);
    Ok(())
}

/// Says which folders of the spool belong to nobody, and hold something.
pub fn say_orphans(state_dir: &Path, sources: &[&str]) {
    let Ok(entries) = std::fs::read_dir(state_dir.join("spool")) else { return };
    for folder in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !sources.contains(&name.as_str()) {
            say_orphan(&folder);
        }
    }
}

/// Says that the spool belongs to nobody, if it holds something.
pub fn say_orphan(folder: &Path) {
    let bytes = segments::bytes(folder).unwrap_or(0);
    if bytes > 0 {
        say(
            NoticeCode::SpoolOrphaned,
            format!("{folder:?} holds {bytes} bytes of a source that the config does not name"),
            "put the source back with its socket to bill what is not billed yet, or remove the folder",
        );
    }
}

fn say(code: NoticeCode, message: String, hint: &str) {
    logs::say(&Notice { code, message, hint: Some(hint.to_owned()) });
}

/// Makes segments unlike each other.
fn nonce() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
