//! The walk through the folders of all sources: which files stand there now.
//!
//! The file system is the truth and this is how it is asked; events of the operating system only say when. What
//! is reported is wider than the globs: the other files in the same folders as well, because a rotated file is
//! found again under its new name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::Extents;
use super::disk::{OddPaths, key_of, words_of};
use super::entries::{Entries, Entry};
use crate::agent::{Notice, NoticeCode, Sighting};
use crate::config::Settings;
use crate::config::settings::{Captures, FilePattern, FilePatterns};
use crate::model::{FileKey, SourceIndex, passing_room};

/// A list of more than this is megabytes.
const MANY_FILES: usize = 1000;

/// What one walk found.
#[derive(Debug, Default)]
pub struct Found {
    pub sightings: Vec<Sighting>,
    /// Folders in which something that matters may happen next.
    pub folders: BTreeSet<PathBuf>,
    /// Symbolic links that match: what they point to, and the link's path.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What changed since the walk before: a folder that cannot be read, or can be again.
    pub notices: Vec<Notice>,
}

/// Walks again and again, and remembers what a single walk cannot see.
#[derive(Debug)]
pub struct Lookout {
    settings: Arc<Settings>,
    names: OddPaths,
    extents: Extents,
    /// Folders that once held a match: their other files stay of interest when the match is renamed away.
    homes: BTreeSet<PathBuf>,
    /// Folders that cannot be read, and paths that cannot be named.
    refused: BTreeSet<PathBuf>,
    /// The list of the walk before was long.
    found_many: bool,
    /// What the walk before made of the names in each folder.
    entries: Known,
    /// Nearly all matches have none, and share these.
    no_captures: Arc<Captures>,
}

type Known = BTreeMap<(SourceIndex, PathBuf), Entries>;

impl Lookout {
    /// `homes`: folders of the files that the checkpoint knows.
    #[must_use]
    pub fn new(settings: Arc<Settings>, names: OddPaths, extents: Extents, homes: BTreeSet<PathBuf>) -> Self {
        let (refused, entries) = (BTreeSet::new(), Known::new());
        let no_captures = Arc::default();
        Self { settings, names, extents, homes, refused, found_many: false, entries, no_captures }
    }

    /// Other settings from the next walk on.
    pub fn use_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.entries.clear();
    }

    /// Every file that stands there now.
    pub fn look(&mut self) -> Found {
        let mut found = Found::default();
        if self.found_many {
            found.sightings = passing_room();
        }
        let mut refused = BTreeMap::new();
        let mut before = std::mem::take(&mut self.entries);
        let settings = Arc::clone(&self.settings);
        for (index, source) in settings.sources.iter().enumerate() {
            let index = SourceIndex(u16::try_from(index).expect("settings hold at most 65,535 sources"));
            let mut walk = Walk {
                source: index,
                patterns: &source.files,
                names: &self.names,
                extents: &self.extents,
                homes: &mut self.homes,
                seen: BTreeSet::new(),
                found: &mut found,
                refused: &mut refused,
                before: &mut before,
                entries: &mut self.entries,
                no_captures: &self.no_captures,
            };
            for pattern in source.files.include() {
                walk.pattern(pattern);
            }
            let homes: Vec<PathBuf> = walk.homes.iter().cloned().collect();
            for home in homes {
                walk.home(&home);
            }
        }
        found.notices.extend(self.changes(refused));
        self.found_many = found.sightings.len() > MANY_FILES;
        self.extents.forget_unseen();
        found
    }

    fn changes(&mut self, refused: BTreeMap<PathBuf, String>) -> Vec<Notice> {
        let new =
            refused.iter().filter(|(path, _)| !self.refused.contains(*path)).map(|(path, why)| Notice {
                code: NoticeCode::FileUnreadable,
                message: format!("cannot look into {path:?}: {why}"),
                hint: Some("let the user that Floe runs as read the folder and everything above it".into()),
            });
        let over = self.refused.iter().filter(|path| !refused.contains_key(*path)).map(|path| Notice {
            code: NoticeCode::FileReadable,
            message: format!("{path:?} can be looked into again"),
            hint: None,
        });
        let notices = new.chain(over).collect();
        self.refused = refused.into_keys().collect();
        notices
    }
}

/// One walk for one source.
struct Walk<'a> {
    source: SourceIndex,
    patterns: &'a FilePatterns,
    names: &'a OddPaths,
    extents: &'a Extents,
    homes: &'a mut BTreeSet<PathBuf>,
    /// Folders that this walk has listed.
    seen: BTreeSet<PathBuf>,
    found: &'a mut Found,
    refused: &'a mut BTreeMap<PathBuf, String>,
    before: &'a mut Known,
    entries: &'a mut Known,
    no_captures: &'a Arc<Captures>,
}

impl Walk<'_> {
    fn pattern(&mut self, pattern: &FilePattern) {
        let mut above = Vec::new();
        self.folder(&pattern.base, pattern.depth, &mut above);
        if !pattern.base.is_dir() {
            // It may appear later: whoever makes it does so in what is there now.
            let there = pattern.base.ancestors().find(|folder| folder.is_dir());
            self.found.folders.extend(there.map(Path::to_owned));
        }
    }

    /// `levels`: how far below this folder a match may lie. `above`: the folders on the way, against links
    /// that lead in a circle.
    fn folder(&mut self, folder: &Path, levels: Option<usize>, above: &mut Vec<FileKey>) {
        let Ok(metadata) = fs::metadata(folder) else { return };
        let key = key_of(&metadata);
        if !metadata.is_dir() || above.contains(&key) {
            return;
        }
        let is_new = self.seen.insert(folder.to_owned());
        // With a fixed depth only the lowest folders are where matches lie; neighbours elsewhere are not ours.
        let is_lowest = levels == Some(0);
        let below = self.list(folder, is_new.then_some(is_lowest));
        if is_lowest {
            return;
        }
        above.push(key);
        for entry in below {
            self.folder(&entry.path(), levels.map(|levels| levels - 1), above);
        }
        above.pop();
    }

    /// A folder that once held a match, if this walk did not come by.
    fn home(&mut self, home: &Path) {
        if !self.seen.contains(home) && home.is_dir() {
            self.seen.insert(home.to_owned());
            self.list(home, Some(false));
        }
    }

    /// Goes through a folder and returns what may be a folder in it. `of_pattern`: whether its files are those of the
    /// pattern; `None`: they were taken in already. A folder may hold ten thousand, so entries are not kept.
    fn list(&mut self, folder: &Path, of_pattern: Option<bool>) -> Vec<DirEntry> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.refused.insert(folder.to_owned(), words_of(&error));
                }
                return Vec::new();
            }
        };
        self.found.folders.insert(folder.to_owned());
        let before = self.found.sightings.len();
        let key = (self.source, folder.to_owned());
        let mut known = self.before.remove(&key).unwrap_or_default();
        known.begin();
        let mut below = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            if of_pattern.is_some() && may_be_file(&entry) {
                let sighting = self.sighting(&entry, &mut known);
                self.found.sightings.extend(sighting);
            }
            if may_be_folder(&entry) {
                below.push(entry);
            }
        }
        known.end();
        if let Some(of_pattern) = of_pattern
            && self.keeps_ours(folder, before, of_pattern)
        {
            self.entries.insert(key, known);
        }
        below
    }

    /// Of the files of a folder, found from `before` on, none is ours if no match ever stood there: then they are dropped.
    fn keeps_ours(&mut self, folder: &Path, before: usize, of_pattern: bool) -> bool {
        if self.found.sightings[before..].iter().any(|sighting| sighting.matched.is_some()) {
            self.homes.insert(folder.to_owned());
        }
        let is_ours = of_pattern || self.homes.contains(folder);
        if !is_ours {
            self.found.sightings.truncate(before);
        }
        is_ours
    }

    fn sighting(&mut self, entry: &DirEntry, known: &mut Entries) -> Option<Sighting> {
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // Asked in its folder: to walk down the whole path for each file of it takes longer than all the rest.
        let metadata = if is_link { fs::metadata(entry.path()) } else { entry.metadata() };
        let metadata = metadata.ok().filter(fs::Metadata::is_file)?;
        let Entry { path, matched } = match known.pass(&entry.file_name()) {
            Some(known) => known,
            None => {
                let made = self.entry(entry.path())?;
                known.add(made.clone());
                made
            }
        };
        if matched.is_some() && is_link {
            self.link(&entry.path());
        }
        let (size, modified) = self.extents.sighted(&path, &metadata, &mut self.found.notices);
        Some(Sighting { source: self.source, path, file: key_of(&metadata), size, modified, matched })
    }

    fn entry(&mut self, path: PathBuf) -> Option<Entry> {
        let Some(name) = self.names.name(&path) else {
            self.refused.insert(path, "its name is not UTF-8 and another one looks the same".into());
            return None;
        };
        let matched = self.patterns.captures(&name).map(|captures| match captures.is_empty() {
            true => Arc::clone(self.no_captures),
            false => Arc::new(captures),
        });
        Some(Entry { path: name.into(), matched })
    }

    /// Writes to what a link points to are told where the file is, not where the link is.
    fn link(&mut self, path: &Path) {
        let Ok(target) = fs::canonicalize(path) else { return };
        self.found.folders.extend(target.parent().map(Path::to_owned));
        self.found.links.insert(target, path.to_owned());
    }
}

fn may_be_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
}

fn may_be_file(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::shell::fixtures;

    /// A folder for logs, in which the empty files and folders (`…/`) of `paths` stand.
    fn folder_with(paths: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn lookout(base: &Path, depth: Option<usize>, regex: &str) -> Lookout {
        let mut settings = fixtures::settings(Path::new("/nowhere"));
        settings.sources.push(fixtures::source(base, depth, regex));
        Lookout::new(Arc::new(settings), OddPaths::default(), Extents::default(), BTreeSet::new())
    }

    /// The found paths from `base`; a match has a `*`.
    #[track_caller]
    fn check(lookout: &mut Lookout, base: &Path, expected: &[&str]) -> Found {
        let found = lookout.look();
        let mut paths: Vec<String> = found
            .sightings
            .iter()
            .map(|sighting| {
                let path = Path::new(&*sighting.path).strip_prefix(base).unwrap().display();
                format!("{path}{}", if sighting.matched.is_some() { "*" } else { "" })
            })
            .collect();
        paths.sort();
        assert_eq!(paths, expected);
        found
    }

    #[test]
    fn matches_and_their_neighbours_are_found() {
        let folder = folder_with(&["app.log", "app.log.1", "below/app.log"]);
        check(&mut lookout(folder.path(), Some(0), r"[^/]*\.log"), folder.path(), &["app.log*", "app.log.1"]);
    }

    #[test]
    fn with_a_fixed_depth_only_the_lowest_folders_count() {
        let folder = folder_with(&["top", "one/app.log", "two/other", "one/deep/app.log"]);
        let mut lookout = lookout(folder.path(), Some(1), r"[^/]*/[^/]*\.log");
        let found = check(&mut lookout, folder.path(), &["one/app.log*", "two/other"]);
        let folders = ["", "one", "two"].map(|name| folder.path().join(name));
        assert_eq!(found.folders.len(), folders.len(), "{:?}", found.folders);
        assert!(folders.iter().all(|folder| found.folders.contains(folder)));
    }

    #[test]
    fn at_any_depth_neighbours_are_found_where_a_match_is_or_once_was() {
        let folder = folder_with(&["one/app.log", "two/other"]);
        let mut lookout = lookout(folder.path(), None, r"(?:.*/)?[^/]*\.log");
        check(&mut lookout, folder.path(), &["one/app.log*"]);
        fs::rename(folder.path().join("one/app.log"), folder.path().join("one/app.log.1")).unwrap();
        check(&mut lookout, folder.path(), &["one/app.log.1"]);
    }

    #[test]
    fn folders_of_files_that_the_checkpoint_knows_are_looked_into() {
        let folder = folder_with(&["one/app.log.1"]);
        let mut lookout = lookout(folder.path(), None, r"(?:.*/)?[^/]*\.log");
        lookout.homes.insert(folder.path().join("one"));
        check(&mut lookout, folder.path(), &["one/app.log.1"]);
    }

    #[test]
    fn a_link_is_followed_and_its_target_is_watched() {
        let folder = folder_with(&["links/plain.log"]);
        let pods = folder_with(&["0.log"]);
        let link = folder.path().join("links/app.log");
        symlink(pods.path().join("0.log"), &link).unwrap();
        symlink("nothing", folder.path().join("links/broken.log")).unwrap();
        let mut lookout = lookout(&folder.path().join("links"), Some(0), r"[^/]*\.log");
        let found = check(&mut lookout, folder.path(), &["links/app.log*", "links/plain.log*"]);
        let pods = fs::canonicalize(pods.path()).unwrap();
        assert!(found.folders.contains(&pods));
        assert_eq!(found.links, [(pods.join("0.log"), link)].into());
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = folder_with(&["one/app.log"]);
        symlink(folder.path(), folder.path().join("one/again")).unwrap();
        check(&mut lookout(folder.path(), None, r".*\.log"), folder.path(), &["one/app.log*"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_waited_for_from_above() {
        let folder = folder_with(&["other"]);
        let mut lookout = lookout(&folder.path().join("later/logs"), Some(0), r"[^/]*\.log");
        let found = check(&mut lookout, folder.path(), &[]);
        assert!(found.folders.contains(folder.path()));
        assert_eq!(found.notices, []);
        fs::create_dir_all(folder.path().join("later/logs")).unwrap();
        fs::write(folder.path().join("later/logs/app.log"), "").unwrap();
        check(&mut lookout, folder.path(), &["later/logs/app.log*"]);
    }

    #[test]
    fn what_cannot_be_looked_into_is_said_once_and_again_when_it_can() {
        let lookout = &mut lookout(Path::new("/nowhere"), Some(0), "x");
        let refused = || BTreeMap::from([(PathBuf::from("/secret"), "permission denied".to_owned())]);
        let said = lookout.changes(refused());
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].message, "cannot look into \"/secret\": permission denied");
        assert_eq!(lookout.changes(refused()), []);
        assert_eq!(lookout.changes(BTreeMap::new())[0].code, NoticeCode::FileReadable);
    }

    #[test]
    fn ten_thousand_files_are_all_found() {
        let names: Vec<String> = (0..10_000).map(|number| format!("{number}.log")).collect();
        let folder = folder_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let found = lookout(folder.path(), Some(0), r"[^/]*\.log").look();
        assert_eq!(found.sightings.len(), 10_000);
    }
}
