//! What a look's list says, by file. A list may have ten thousand files and comes every few seconds, so it is sorted and
//! not built into a tree.

use std::ops::Range;
use std::sync::Arc;

use super::{CandidateKey, MANY_FILES, Source};
use crate::agent::border::Sighting;
use crate::model::{FileKey, passing_room};

/// The sightings of a look, those of one file together and in the order of the list.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// In the order of their ids.
    sources: Vec<OfSource>,
    files: Vec<(FileKey, Range<u32>)>,
    sightings: Vec<&'a Sighting>,
}

#[derive(Debug)]
struct OfSource {
    id: Arc<str>,
    files: Range<usize>,
}

impl<'a> Seen<'a> {
    /// Sightings of sources that are not known are left out.
    pub(super) fn new(list: &'a [Sighting], sources: &[Source]) -> Self {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by(|one, other| sources[*one].id.cmp(&sources[*other].id));
        let mut place_of = vec![0; sources.len()];
        order.iter().enumerate().for_each(|(place, source)| place_of[*source] = place);
        let place = |sighting: &Sighting| place_of[usize::from(sighting.source.0)];

        let is_known = |sighting: &&Sighting| usize::from(sighting.source.0) < sources.len();
        let mut sightings = room_for(list.len());
        sightings.extend(list.iter().filter(is_known));
        sightings.sort_by_key(|sighting| (place(sighting), sighting.file));

        let mut seen = Self { sources: Vec::new(), files: room_for(list.len()), sightings };
        let mut start = 0;
        for source in order {
            let first = seen.files.len();
            while let Some(sighting) =
                seen.sightings.get(start).filter(|one| usize::from(one.source.0) == source)
            {
                let of_file =
                    |one: &&&Sighting| usize::from(one.source.0) == source && one.file == sighting.file;
                let end = start + seen.sightings[start..].iter().take_while(of_file).count();
                seen.files.push((sighting.file, narrow(start)..narrow(end)));
                start = end;
            }
            seen.sources
                .push(OfSource { id: Arc::clone(&sources[source].id), files: first..seen.files.len() });
        }
        seen
    }

    /// Never empty.
    pub(super) fn of(&self, source: &str, file: FileKey) -> Option<&[&'a Sighting]> {
        let files = self.files_of(source);
        let at = files.binary_search_by(|(key, _)| key.cmp(&file)).ok()?;
        Some(self.sightings_in(&files[at].1))
    }

    pub(super) fn get(&self, (source, file): &CandidateKey) -> Option<&[&'a Sighting]> {
        self.of(source, *file)
    }

    /// In the order of the files' keys.
    pub(super) fn of_source(&self, source: &str) -> impl Iterator<Item = (FileKey, &[&'a Sighting])> {
        self.files_of(source).iter().map(|(file, range)| (*file, self.sightings_in(range)))
    }

    /// In the order of the sources' ids.
    pub(super) fn source_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sources.iter().map(|source| &source.id)
    }

    fn files_of(&self, source: &str) -> &[(FileKey, Range<u32>)] {
        let found = self.sources.iter().find(|known| &*known.id == source);
        found.map_or(&[], |found| &self.files[found.files.clone()])
    }

    fn sightings_in(&self, range: &Range<u32>) -> &[&'a Sighting] {
        &self.sightings[range.start as usize..range.end as usize]
    }
}

fn room_for<T>(count: usize) -> Vec<T> {
    if count > MANY_FILES { passing_room() } else { Vec::with_capacity(count) }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a list has fewer than 2^32 files")
}

#[cfg(test)]
mod tests {
    use super::super::FloorState;
    use super::*;
    use crate::model::SourceIndex;

    fn sighting(source: u16, inode: u64, path: &str) -> Sighting {
        let file = FileKey { device: 1, inode, born: 0 };
        Sighting { source: SourceIndex(source), path: path.into(), file, size: 0, modified: 0, matched: None }
    }

    #[test]
    fn files_are_found_by_source_and_key_with_all_their_names() {
        let source = |id: &str| Source { id: id.into(), floors: FloorState::Set };
        let sources = ["web", "app"].map(source);
        let list = [
            sighting(0, 9, "/w/9"),
            sighting(1, 7, "/a/7"),
            sighting(0, 2, "/w/2"),
            sighting(1, 9, "/a/9"),
            sighting(0, 9, "/w/again"),
            sighting(2, 9, "/of/nobody"),
        ];
        let seen = Seen::new(&list, &sources);
        let names = |found: &[&Sighting]| found.iter().map(|one| one.path.to_string()).collect::<Vec<_>>();
        let of = |source, inode| seen.of(source, FileKey { device: 1, inode, born: 0 }).map(names);
        assert_eq!(of("web", 9), Some(vec!["/w/9".to_owned(), "/w/again".to_owned()]));
        assert_eq!(of("web", 2), Some(vec!["/w/2".to_owned()]));
        assert_eq!(of("app", 9), Some(vec!["/a/9".to_owned()]));
        assert_eq!((of("web", 7), of("db", 9)), (None, None));
        assert_eq!(seen.source_ids().map(|id| &**id).collect::<Vec<_>>(), ["app", "web"]);
        let inodes = |source| seen.of_source(source).map(|(file, _)| file.inode).collect::<Vec<_>>();
        assert_eq!((inodes("app"), inodes("web")), (vec![7, 9], vec![2, 9]));
    }
}
