//! What is known of compressed files, for all who look at them: how far their contents are known, and where they
//! break off.
//!
//! A look tells the size that is known here and decompresses nothing: a folder may hold years of old files. Whoever
//! reads or asks finds out more, always a little beyond what was wanted; so to the agent a compressed file looks like
//! one that grows until it has been read to its end.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::unpacked::{Ending, Stamp};
use crate::agent::{Notice, NoticeCode};
use crate::model::{Compression, FileKey, Guard, Offset};
use crate::shell::disk::{key_of, modified_nanos, read_plain_at};

/// A file that breaks off and has not changed for so long is not being written any more.
const CUT_OFF_AFTER: Duration = Duration::from_secs(15);

/// Looks that may miss a file before what is known of it is forgotten.
const MOST_UNSEEN: u8 = 3;

/// Compressed bytes by which a file is known to be the same. gzip's own header has a time in it.
const OPENING: usize = 32;

/// Answers that are remembered of one file, at most.
const MOST_GUARDS: usize = 256;

/// The guard before a place, and the byte before it; `None` beyond the end.
pub type Told = Option<(Guard, Option<u8>)>;

/// Shared by all who look at files.
#[derive(Debug, Clone, Default)]
pub struct Extents(Arc<Mutex<BTreeMap<FileKey, Arc<Extent>>>>);

/// Of one file.
#[derive(Debug, Default)]
pub struct Extent(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    opening: Vec<u8>,
    stamp: Stamp,
    /// Decompressed bytes that are known to be there. Never less while the file is the same.
    size: u64,
    ending: Ending,
    /// Where in the compressed file it ends.
    place: u64,
    /// How the file is when a look sees it, and since when.
    seen: Option<(Stamp, Instant)>,
    /// The operator knows how it ends.
    is_told: bool,
    unseen: u8,
    answers: Option<Answers>,
}

/// What stood at places that took much decompression.
#[derive(Debug)]
struct Answers {
    stamp: Stamp,
    head: Vec<u8>,
    guards: BTreeMap<Offset, Told>,
}

/// What a decoder found out.
#[derive(Debug)]
pub(super) struct Finding {
    pub size: u64,
    pub ending: Ending,
    pub place: u64,
    pub stamp: Stamp,
    pub was_replaced: bool,
}

impl Extents {
    /// What is known of an open file.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn of(&self, file: &File) -> io::Result<Arc<Extent>> {
        let metadata = file.metadata()?;
        let mut opening = vec![0; OPENING];
        let filled = read_plain_at(file, &mut opening, 0)?;
        opening.truncate(filled);
        let extent = Arc::clone(self.lock().entry(key_of(&metadata)).or_default());
        let mut known = extent.lock();
        if !opening.starts_with(&known.opening) {
            *known = Known::default();
        }
        known.opening = opening;
        drop(known);
        Ok(extent)
    }

    /// The size of the content of the file at `path` as far as it is known, and what changes when the file does.
    /// Nothing is decompressed here: whoever wants to know more reads.
    pub fn sighted(&self, path: &str, metadata: &Metadata, notices: &mut Vec<Notice>) -> (u64, u64) {
        let modified = modified_nanos(metadata);
        if Compression::of_path(path).is_none() {
            return (metadata.len(), modified);
        }
        notices.extend(self.seen(path, metadata, Instant::now()));
        // Whoever compresses a file gives it the time of what it was made of.
        (self.size(metadata), modified.wrapping_add(metadata.len()))
    }

    /// The size of a compressed file as far as it is known.
    #[must_use]
    pub fn size(&self, metadata: &Metadata) -> u64 {
        let Some(extent) = self.lock().get(&key_of(metadata)).cloned() else { return 0 };
        let known = extent.lock();
        if metadata.len() < known.stamp.size { 0 } else { known.size }
    }

    /// A look saw the file at `path`: says where it breaks off, once.
    #[must_use]
    pub fn seen(&self, path: &str, metadata: &Metadata, now: Instant) -> Option<Notice> {
        let extent = self.lock().get(&key_of(metadata)).cloned()?;
        let mut known = extent.lock();
        known.unseen = 0;
        let stamp = Stamp { size: metadata.len(), modified: modified_nanos(metadata) };
        let since = known.seen.filter(|(before, _)| *before == stamp).map_or(now, |(_, since)| since);
        known.seen = Some((stamp, since));
        let why = match &known.ending {
            Ending::CutOff if stamp == known.stamp && now.duration_since(since) >= CUT_OFF_AFTER => {
                "the file ends in the middle"
            }
            Ending::Damaged(why) => why,
            _ => return None,
        };
        let notice = Notice {
            code: NoticeCode::FileDamaged,
            message: format!(
                "cannot decompress {path:?} beyond byte {} of its content (byte {} of the file): {why}; \
                 what is behind is not billed",
                known.size, known.place
            ),
            hint: Some(
                "put a whole copy in its place under another name that rotation gives, if there is one"
                    .into(),
            ),
        };
        (!std::mem::replace(&mut known.is_told, true)).then_some(notice)
    }

    /// A look is over: forgets files that are gone and that nobody has open.
    pub fn forget_unseen(&self) {
        self.lock().retain(|_, extent| {
            let mut known = extent.lock();
            known.unseen = known.unseen.saturating_add(1);
            known.unseen <= MOST_UNSEEN || Arc::strong_count(extent) > 1
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileKey, Arc<Extent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extent {
    pub(super) fn learn(&self, finding: Finding) {
        let Finding { size, ending, place, stamp, was_replaced } = finding;
        let mut known = self.lock();
        if was_replaced {
            known.size = size;
            known.is_told = false;
        }
        // Another decoder may have come further.
        if size >= known.size {
            if known.ending != ending {
                known.is_told = false;
            }
            (known.ending, known.place) = (ending, place);
        }
        known.size = known.size.max(size);
        known.stamp = stamp;
    }

    pub(super) fn size(&self) -> u64 {
        self.lock().size
    }

    /// Compressed bytes that the known content takes.
    pub(super) fn place(&self) -> u64 {
        self.lock().place
    }

    pub(super) fn ending(&self) -> Ending {
        self.lock().ending.clone()
    }

    /// The head and the guards at these places, if all of them were asked for before and the file is the same.
    pub(super) fn remembered(&self, stamp: Stamp, at: &[Offset]) -> Option<(Vec<u8>, Vec<Told>)> {
        let known = self.lock();
        let answers = known.answers.as_ref().filter(|answers| answers.stamp == stamp)?;
        let guards = at.iter().map(|at| answers.guards.get(at).copied()).collect::<Option<_>>()?;
        Some((answers.head.clone(), guards))
    }

    pub(super) fn remember(&self, stamp: Stamp, head: &[u8], at: &[Offset], guards: &[Told]) {
        let mut known = self.lock();
        if known.answers.as_ref().is_none_or(|answers| answers.stamp != stamp) {
            known.answers = Some(Answers { stamp, head: head.to_vec(), guards: BTreeMap::new() });
        }
        let answers = known.answers.as_mut().expect("they were just made");
        if answers.guards.len() > MOST_GUARDS {
            answers.guards.clear();
        }
        answers.guards.extend(at.iter().copied().zip(guards.iter().copied()));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
