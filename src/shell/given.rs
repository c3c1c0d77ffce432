//! The files that a backfill was given, looked at instead of folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{Content, Ending, Extents};
use super::disk::{OddPaths, disk_fault, key_of, words_of};
use super::look::Found;
use crate::agent::{DiskFault, Notice, NoticeCode, Sighting};
use crate::config::settings::Captures;
use crate::model::SourceIndex;

/// One file, and whose it is.
#[derive(Debug, Clone)]
pub struct GivenFile {
    /// Absolute.
    pub path: PathBuf,
    pub source: SourceIndex,
    pub captures: Captures,
}

/// All of them, looked at again and again.
#[derive(Debug)]
pub struct GivenFiles {
    files: Vec<GivenFile>,
    names: OddPaths,
    extents: Extents,
    /// Files that could not be seen, as it was said.
    refused: BTreeSet<PathBuf>,
}

/// How many bytes there are to read in a file.
///
/// # Errors
/// What the operating system says, in words; also where it is no regular file.
pub fn size_of(path: &Path) -> Result<u64, String> {
    let metadata = fs::metadata(path).map_err(|error| words_of(&error))?;
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    // Who may not read it is told before anything is sent.
    fs::File::open(path).map_err(|error| words_of(&error))?;
    Ok(metadata.len())
}

/// Where a file that was read breaks off, in words: of a compressed one not all may be there.
#[must_use]
pub fn breaks_off(file: &GivenFile, extents: &Extents) -> Option<String> {
    let content = Content::open(&file.path, extents).ok().filter(Content::is_compressed)?;
    match content.find_ending() {
        Ok(Ending::Whole | Ending::Open) => None,
        Ok(Ending::CutOff) => {
            Some("the compressed file ends in the middle; what is behind is lost".to_owned())
        }
        Ok(Ending::Damaged(why)) => {
            Some(format!("the compressed file is damaged ({why}); what is behind is lost"))
        }
        Err(error) => Some(words_of(&error)),
    }
}

impl GivenFiles {
    #[must_use]
    pub fn new(files: Vec<GivenFile>, names: OddPaths, extents: Extents) -> Self {
        Self { files, names, extents, refused: BTreeSet::new() }
    }

    /// Those that stand there now.
    pub fn look(&mut self) -> Found {
        let mut found = Found::default();
        for file in &self.files {
            match self.sighting(file, &mut found.notices) {
                Ok(sighting) => found.sightings.extend(sighting),
                Err(why) if self.refused.insert(file.path.clone()) => found.notices.push(Notice {
                    code: NoticeCode::FileUnreadable,
                    message: format!("cannot read {:?}: {why}", file.path),
                    hint: None,
                }),
                Err(_) => {}
            }
        }
        found
    }

    fn sighting(&self, file: &GivenFile, notices: &mut Vec<Notice>) -> Result<Option<Sighting>, String> {
        let metadata = match fs::metadata(&file.path) {
            Ok(metadata) => metadata,
            Err(error) if disk_fault(&error) == DiskFault::Gone => return Err("it is gone".into()),
            Err(error) => return Err(words_of(&error)),
        };
        let Some(path) = self.names.name(&file.path) else {
            return Err("its name is not UTF-8 and another one looks the same".into());
        };
        let (size, modified) = self.extents.sighted(&path, &metadata, notices);
        Ok(metadata.is_file().then(|| Sighting {
            source: file.source,
            path: path.into(),
            file: key_of(&metadata),
            size,
            modified,
            matched: Some(Arc::new(file.captures.clone())),
        }))
    }
}
