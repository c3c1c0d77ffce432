//! What the walk before made of the names in a folder. A folder of ten thousand files mostly says the same in the same
//! order, and to make each path and hold it against the patterns again costs more than to ask for the file's size.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::config::settings::Captures;

/// So many names may have gone in a row before the rest is made anew.
const LOOKAHEAD: usize = 16;

/// What a path means for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: Arc<str>,
    pub matched: Option<Arc<Captures>>,
}

impl Entry {
    fn is_named(&self, name: &OsStr) -> bool {
        let folder = self.path.as_bytes().strip_suffix(name.as_bytes());
        folder.is_some_and(|folder| folder.ends_with(b"/"))
    }
}

/// The entries of one folder, gone through in step with a listing.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// First those of the walk before that did not come yet, then those of this one.
    known: VecDeque<Entry>,
    before: usize,
}

impl Entries {
    /// A listing begins.
    pub(super) fn begin(&mut self) {
        self.before = self.known.len();
    }

    /// The next file of the listing, where the walk before knew it. What came before it then is gone.
    pub(super) fn pass(&mut self, name: &OsStr) -> Option<Entry> {
        let ahead = self.known.iter().take(self.before.min(LOOKAHEAD));
        let gone = ahead.into_iter().position(|entry| entry.is_named(name))?;
        self.known.drain(..gone);
        self.before -= gone + 1;
        let entry = self.known.pop_front()?;
        self.known.push_back(entry.clone());
        Some(entry)
    }

    /// The next file of the listing, which is new.
    pub(super) fn add(&mut self, entry: Entry) {
        self.known.push_back(entry);
    }

    /// The listing has ended: what did not come is gone.
    pub(super) fn end(&mut self) {
        self.known.drain(..self.before);
        self.before = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists names; tells which were known.
    fn list<'n>(entries: &mut Entries, names: &[&'n str]) -> Vec<&'n str> {
        entries.begin();
        let mut known = Vec::new();
        for name in names {
            if let Some(entry) = entries.pass(OsStr::new(name)) {
                assert_eq!(*entry.path, format!("/logs/{name}"));
                known.push(*name);
            } else {
                entries.add(Entry { path: format!("/logs/{name}").into(), matched: None });
            }
        }
        entries.end();
        assert_eq!(entries.known.len(), names.len());
        known
    }

    #[test]
    fn names_of_the_walk_before_are_known_whatever_came_or_went_between() {
        let entries = &mut Entries::default();
        assert_eq!(list(entries, &["a", "b", "c", "d"]), [""; 0]);
        assert_eq!(list(entries, &["a", "b", "c", "d"]), ["a", "b", "c", "d"]);
        assert_eq!(list(entries, &["a", "new", "b", "d"]), ["a", "b", "d"]);
        assert_eq!(list(entries, &["d", "a", "new", "b"]), ["d"], "in another order they are made anew");
        assert_eq!(list(entries, &["d", "a", "new", "b"]), ["d", "a", "new", "b"]);
        assert_eq!(list(entries, &["xd", "/logs/a", "b"]), ["b"], "a name is a whole one");
        assert_eq!(list(entries, &[]), [""; 0]);
    }

    #[test]
    fn where_many_are_gone_the_rest_is_made_anew() {
        let entries = &mut Entries::default();
        let names: Vec<String> = (0..100).map(|number| format!("{number}.log")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        list(entries, &names);
        assert_eq!(list(entries, &names[LOOKAHEAD..]), [""; 0]);
        assert_eq!(list(entries, &names[LOOKAHEAD + 5..]), names[LOOKAHEAD + 5..]);
    }
}
