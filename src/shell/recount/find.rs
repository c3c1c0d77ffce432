//! Which file holds what the daemon has read: by its key, or by what stands in it.
//!
//! A file that has the key of a stream is it only if the stream's marks stand in it; so is any other, such as a copy, a
//! rotated file that was compressed, or one that was restored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Place, Stream};
use crate::agent::{Asked, DiskFault, Sighting, rotated_before, words};
use crate::config::Settings;
use crate::config::settings::SourceSettings;
use crate::mapping::identity::print_of_head;
use crate::model::{Compression, Guard, Mark, Offset, Print, SourceIndex};
use crate::shell::content::Extents;
use crate::shell::disk::{OddPaths, Question, Subject, answer};
use crate::shell::look::Lookout;

/// Says of each stream where it stands now.
pub(super) fn find(settings: &Arc<Settings>, streams: &mut [Stream], names: &OddPaths, extents: &Extents) {
    let homes = streams.iter().filter_map(|stream| Path::new(&stream.path).parent());
    let homes: BTreeSet<PathBuf> = homes.map(Path::to_owned).collect();
    let mut lookout = Lookout::new(Arc::clone(settings), names.clone(), extents.clone(), homes);
    let sightings = lookout.look().sightings;
    let mut search = Search { settings, names, extents, prints: HashMap::new() };
    let mut claimed = BTreeSet::new();
    for stream in &mut *streams {
        let Some(index) = settings.sources.iter().position(|source| source.id == stream.source) else {
            stream.place = Place::NoSource;
            continue;
        };
        let index = SourceIndex(u16::try_from(index).expect("settings hold at most 65,535 sources"));
        let own =
            |sighting: &&Sighting| sighting.source == index && Some(sighting.file) == stream.record.file;
        if let Some(sighting) = sightings.iter().find(own) {
            search.try_at(stream, sighting);
            if stream.place != Place::Gone {
                claimed.insert((index.0, sighting.file));
            }
        }
    }
    // What has another key is asked only where somebody is missing.
    for stream in streams.iter_mut().filter(|stream| stream.place == Place::Gone) {
        let is_free = |sighting: &&Sighting| !claimed.contains(&(sighting.source.0, sighting.file));
        let of_source =
            |sighting: &&Sighting| settings.sources[usize::from(sighting.source.0)].id == stream.source;
        let mut others: Vec<&Sighting> = sightings.iter().filter(of_source).filter(is_free).collect();
        // Decompressing takes long.
        others.sort_by_key(|sighting| (Compression::of_path(&sighting.path).is_some(), &sighting.path));
        for sighting in others {
            if search.print_of(sighting) == Some(stream.generation.print) {
                search.try_at(stream, sighting);
                if stream.place != Place::Gone {
                    break;
                }
            }
        }
    }
    succession(settings, streams);
}

struct Search<'a> {
    settings: &'a Settings,
    names: &'a OddPaths,
    extents: &'a Extents,
    /// By source and path.
    prints: HashMap<(u16, Arc<str>), Option<Print>>,
}

impl Search<'_> {
    fn source(&self, sighting: &Sighting) -> &SourceSettings {
        &self.settings.sources[usize::from(sighting.source.0)]
    }

    fn print_of(&mut self, sighting: &Sighting) -> Option<Print> {
        let key = (sighting.source.0, sighting.path.clone());
        if let Some(known) = self.prints.get(&key) {
            return *known;
        }
        let head = self.ask(sighting, Vec::new()).map(|asked| asked.head).unwrap_or_default();
        let print = print_of(&head, self.source(sighting));
        self.prints.insert(key, print);
        print
    }

    /// Sets the stream's place where this is its file.
    fn try_at(&self, stream: &mut Stream, sighting: &Sighting) {
        let record = &stream.record;
        let mut tales: Vec<Mark> = record.marks.clone();
        tales.push((record.frontier, record.guard));
        let at: Vec<Offset> = tales.iter().map(|(at, _)| *at).collect();
        match self.ask(sighting, at) {
            Ok(asked) => {
                let told: Vec<Option<Guard>> =
                    asked.guards.iter().map(|told| told.map(|(guard, _)| guard)).collect();
                let is_alike = print_of(&asked.head, self.source(sighting)) == Some(stream.generation.print);
                if is_alike && are_borne_out(&tales, &told) {
                    stream.place = Place::There(sighting.source);
                    stream.path = sighting.path.to_string();
                }
            }
            Err(DiskFault::Gone) => {}
            Err(fault) => {
                stream.place = Place::Refused(words(&fault));
                stream.path = sighting.path.to_string();
            }
        }
    }

    fn ask(&self, sighting: &Sighting, at: Vec<Offset>) -> Result<Asked, DiskFault> {
        let path = self.names.path(&sighting.path);
        let of = Subject::At { path, file: sighting.file, extents: self.extents.clone() };
        answer(&Question { of, at, against: None })
    }
}

/// Whether all that is remembered stands in the file, up to where it was left. Marks may stand behind that.
fn are_borne_out(tales: &[Mark], told: &[Option<Guard>]) -> bool {
    let (frontier, _) = tales[tales.len() - 1];
    tales.iter().zip(told).all(|((at, guard), told)| match told {
        Some(told) => told == guard,
        None => *at > frontier,
    })
}

fn print_of(head: &[u8], source: &SourceSettings) -> Option<Print> {
    // A file that is over may have no line end.
    print_of_head(head, &source.format).or_else(|| print_of_head(&[head, b"\n"].concat(), &source.format))
}

/// Which file goes on with a container's line in which another ended, by their names.
fn succession(settings: &Settings, streams: &mut [Stream]) {
    let is_runtime = |source: SourceIndex| settings.sources[usize::from(source.0)].container.is_runtime();
    let mut by_path: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for (index, stream) in streams.iter().enumerate() {
        if let Place::There(source) = stream.place
            && is_runtime(source)
        {
            by_path.insert((source.0, stream.path.clone()), index);
        }
    }
    for ((source, path), index) in &by_path {
        let names = by_path.keys().filter(|(of, _)| of == source).map(|(_, path)| path.as_str());
        let before = rotated_before(path, names).and_then(|name| by_path.get(&(*source, name.to_owned())));
        if let Some(before) = before.copied().filter(|before| before != index) {
            streams[*index].before = Some(before);
            streams[before].next = Some(*index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_ends_before_the_frontier_or_differs_is_another() {
        let guard = |print| Guard { len: 64, print };
        let tales = [(Offset(10), guard(1)), (Offset(90), guard(2)), (Offset(50), guard(3))];
        let check = |told: [Option<u64>; 3], expected| {
            let told: Vec<Option<Guard>> = told.iter().map(|told| told.map(guard)).collect();
            assert_eq!(are_borne_out(&tales, &told), expected, "{told:?}");
        };
        check([Some(1), Some(2), Some(3)], true);
        check([Some(1), None, Some(3)], true);
        check([Some(1), None, None], false);
        check([Some(1), Some(9), Some(3)], false);
        check([Some(9), None, Some(3)], false);
    }
}
