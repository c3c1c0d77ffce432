//! What is not read or not settled of each source, and for how long.

use std::collections::BTreeMap;

use super::arrivals::Age;
use super::candidate::{Candidate, Step};
use super::stream::{Place, Stream};
use super::{Tail, index_of};
use crate::agent::books::Books;
use crate::agent::border::Now;
use crate::agent::overview::{OpenFiles, SourceOverview, Waited};
use crate::model::{Moment, Offset};

impl Tail {
    /// By source id.
    pub(in crate::agent) fn overview(&self, books: &Books, now: Now) -> BTreeMap<String, SourceOverview> {
        let mut sources = vec![SourceOverview::default(); self.sources.len()];
        for (id, stream) in self.streams.iter().filter(|(_, stream)| stream.is_hoped_for()) {
            let Some(source) = index_of(&self.sources, &stream.source) else { continue };
            let source = &mut sources[source];
            source.files += usize::from(matches!(stream.place, Place::At { .. }));
            source.lag_bytes += stream.behind();
            let unread = stream.age_at(stream.read_from(), now.moment).filter(|_| stream.behind() > 0);
            source.waits(unread, stream.age_at(books.frontier(*id), now.moment));
        }
        for ((source, _), candidate) in &self.candidates {
            let Some(source) = index_of(&self.sources, source) else { continue };
            if let Some(bytes) = candidate.unread() {
                let source = &mut sources[source];
                let age = now.moment.since(candidate.since);
                let since = Some(Waited { age, at_least: candidate.initial });
                source.held_files += 1;
                source.lag_bytes += bytes;
                source.waits(since, since);
            }
        }
        self.sources.iter().map(|source| source.id.to_string()).zip(sources).collect()
    }

    /// Whether the folders were looked into.
    pub(in crate::agent) fn has_looked(&self) -> bool {
        self.first_look_done
    }

    pub(in crate::agent) fn open_files(&self) -> OpenFiles {
        let waiting = self.streams.values().filter(|stream| stream.waits_for_a_descriptor()).count();
        OpenFiles { open: self.handles_taken(), most: self.most_open(), waiting }
    }
}

impl Stream {
    /// Whether what it lacks may still be read. Of one that is given up it was said to be missed.
    pub(super) fn is_hoped_for(&self) -> bool {
        !matches!(self.place, Place::Nowhere { given_up: true, .. })
    }

    /// For how long the byte at this place has been there.
    fn age_at(&self, at: Offset, now: Moment) -> Option<Waited> {
        let Age { age, of_before } = self.arrivals.age(at, now)?;
        Some(Waited { age, at_least: of_before.unwrap_or(at.0 < self.fresh_from) })
    }

    /// Takes in that it was read, and up to where it is settled. A line without its end is none yet: it arrives with that.
    pub(super) fn arrived(&mut self, frontier: Offset) {
        self.arrivals.settled(frontier);
        if self.behind() == 0 {
            self.arrivals.cut(self.position);
        }
    }
}

impl Candidate {
    /// The bytes that wait because it is not known whose they are; `None` where nobody waits for it: it is still asked
    /// about, has no whole line, or all of it stands in a followed file.
    fn unread(&self) -> Option<u64> {
        let is_held = matches!(self.step, Step::Held { .. } | Step::Stuck { .. } | Step::Denied { .. });
        let bytes = self.bytes_behind_floor();
        (is_held && bytes > 0 && !self.adopt_only && !self.is_of_a_stream()).then_some(bytes)
    }
}
