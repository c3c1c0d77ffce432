//! The source files read again: what the daemon has settled of them, as the same mapping tells it now.
//!
//! The checkpoint says which files there were and how far each was read; the files that still exist say it once more,
//! under the same ids. Nothing is written and nothing is locked, so a daemon may run beside it. Lines that stand in the
//! quarantine count as quarantined: Polar may have refused what the mapping cannot see. The rules are those of now, so
//! a line that was settled under others may have another fate here.

mod events;
mod find;
mod read;
mod shelved;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use self::shelved::Shelved;
use super::content::Extents;
use super::disk::OddPaths;
use super::state::{self, StateFault};
use crate::agent::checkpoint::{Checkpoint, FileRecord};
use crate::config::Settings;
use crate::mapping::{Rules, identity};
use crate::model::{Generation, Offset, Print, SourceIndex, Span};

pub use self::events::{Event, events_of};
pub use self::read::{Buffers, Piece, PieceLine, Unread};

/// What the state and the files say, ready to be read.
#[derive(Debug)]
pub struct Recount {
    settings: Arc<Settings>,
    rules: Rules,
    checkpoint: Checkpoint,
    streams: Vec<Stream>,
    shelved: Shelved,
    extents: Extents,
    names: OddPaths,
}

/// One generation of one file, of which the daemon has settled something.
#[derive(Debug)]
pub struct Stream {
    /// Of its source, also where the config has that no more.
    pub source: String,
    pub generation: Generation,
    /// `identity::stream_key`.
    pub key: [u8; 32],
    /// What is settled.
    pub span: Span,
    /// Where it stands now, or stood last.
    pub path: String,
    pub place: Place,
    record: FileRecord,
    /// Whose file goes on where this one ended, and whose ended where this one goes on: indexes of streams.
    next: Option<usize>,
    before: Option<usize>,
}

/// Whether there is something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    There(SourceIndex),
    /// No file holds it any more: removed, truncated or written anew.
    Gone,
    /// It cannot be read.
    Refused(String),
    /// The config has no such source.
    NoSource,
}

/// What is not there to be read again, of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Of files that the checkpoint knows, and that are gone or cannot be read.
    pub gone_bytes: u64,
    /// Of files that the checkpoint has forgotten.
    pub forgotten_bytes: u64,
    /// The files hold so much more than the account was kept for: it began anew behind it, as when going live.
    pub unaccounted_bytes: u64,
}

/// Why there is nothing to recount.
#[derive(Debug)]
pub enum RecountFault {
    State(StateFault),
    /// A file of the quarantine cannot be read.
    Quarantine(PathBuf, io::Error),
}

impl Recount {
    /// Reads the checkpoint as it is now, and looks for the files.
    ///
    /// # Errors
    /// [`RecountFault`].
    pub fn open(settings: &Arc<Settings>) -> Result<Self, RecountFault> {
        let checkpoint = state::peek(&settings.state_dir).map_err(RecountFault::State)?;
        let shelved = Shelved::read(&settings.state_dir)
            .map_err(|(path, error)| RecountFault::Quarantine(path, error))?;
        Ok(Self::of(Arc::clone(settings), checkpoint, shelved))
    }

    fn of(settings: Arc<Settings>, checkpoint: Checkpoint, shelved: Shelved) -> Self {
        let rules = Rules::in_force(&settings);
        let (extents, names) = (Extents::default(), OddPaths::default());
        let read = checkpoint.files.iter().filter(|record| record.frontier > record.start);
        let mut streams: Vec<Stream> =
            read.filter_map(|record| Stream::of(record, &settings.instance)).collect();
        find::find(&settings, &mut streams, &names, &extents);
        Self { settings, rules, checkpoint, streams, shelved, extents, names }
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the state says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// In the order of the checkpoint.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// By source id: what cannot be read again. Sources of which everything is there have no entry.
    #[must_use]
    pub fn lacking(&self) -> BTreeMap<String, Lacking> {
        let mut lacking: BTreeMap<String, Lacking> = BTreeMap::new();
        let mut known: BTreeMap<&str, u64> = BTreeMap::new();
        for stream in &self.streams {
            *known.entry(&stream.source).or_default() += stream.span.len();
            if !matches!(stream.place, Place::There(_)) {
                lacking.entry(stream.source.clone()).or_default().gone_bytes += stream.span.len();
            }
        }
        for (source, account) in &self.checkpoint.accounts {
            let known = known.get(source.as_str()).copied().unwrap_or(0);
            let entry = lacking.entry(source.clone()).or_default();
            entry.forgotten_bytes = account.read_bytes.saturating_sub(known);
            entry.unaccounted_bytes = known.saturating_sub(account.read_bytes);
        }
        lacking.retain(|_, lacking| *lacking != Lacking::default());
        lacking
    }

    /// When the checkpoint was saved; `None` where it does not say so in a way that this release reads.
    #[must_use]
    pub fn saved_at(&self) -> Option<Timestamp> {
        self.checkpoint.saved_at.parse().ok()
    }
}

impl Stream {
    /// Nothing comes of a record whose print is none.
    fn of(record: &FileRecord, instance: &str) -> Option<Self> {
        let print = Print::from_hex(&record.print)?;
        Some(Self {
            source: record.source.clone(),
            generation: Generation { print, ordinal: record.ordinal },
            key: identity::stream_key(instance, &record.source, print, record.ordinal),
            span: Span { start: record.start, end: record.frontier },
            path: record.path.clone(),
            place: Place::Gone,
            record: record.clone(),
            next: None,
            before: None,
        })
    }

    /// The file's size when the daemon saw it last: lines between what is settled and this are under way.
    #[must_use]
    pub fn known_size(&self) -> Offset {
        Offset(self.record.size)
    }
}
