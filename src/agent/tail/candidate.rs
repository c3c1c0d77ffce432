//! A file that is not known yet, while it is found out which one it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::border::{Agreement, AskId};
use crate::agent::checkpoint::FloorRecord;
use crate::config::settings::Captures;
use crate::model::{Compression, Mark, Moment, Offset, Print, StreamId};

use super::stream::{Place, Stream};

#[derive(Debug)]
pub(super) struct Candidate {
    pub path: Arc<str>,
    pub captures: Arc<Captures>,
    pub size: u64,
    /// When it was first seen.
    pub since: Moment,
    /// The file system's time of its last change, as the last look saw it.
    pub modified: u64,
    pub step: Step,
    /// Only a known file that was lost is looked for in it; it makes no new one.
    pub adopt_only: bool,
    /// It was there when this process first looked.
    pub initial: bool,
    /// The table of ordinals is lost: it waits until the prints of all files of the first look are known.
    pub awaits_others: bool,
    /// Boxed: hardly a file has one.
    pub floor: Option<Box<FloorRecord>>,
    /// A place that was seen last: while the same bytes stand there, what was found out holds.
    pub anchor: Option<Mark>,
    /// Streams with an equal print that it is proven not to be.
    pub distinct_from: BTreeSet<StreamId>,
    /// Up to where it is known to agree with an open stream.
    pub agreed: BTreeMap<StreamId, Offset>,
    /// Streams with which it was compared to no avail since it was last asked about afresh.
    pub in_vain: BTreeSet<StreamId>,
    /// Streams that differ from it and may have been written anew, each with the number of that doubt.
    pub doubts: BTreeMap<StreamId, u64>,
    /// Its size and the time of its last change when what it says was known to be elsewhere.
    pub known_elsewhere: Option<(u64, u64)>,
    /// The operator knows that it is held, or cannot be read.
    pub said: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask as soon as possible.
    New,
    Asking(AskId),
    /// Its first line has no end yet. Asked again when its size changes.
    Young,
    /// It waits for others to be found, or to differ. Asked again when something changes.
    Held {
        print: Print,
        since_size: u64,
        rival_size: u64,
    },
    /// It cannot be read now.
    Denied {
        retry_at: Moment,
    },
    /// Held until the others are known, or where they begin alike until the operator decides.
    Stuck {
        print: Print,
        /// The operator was told that it begins like another.
        is_told: bool,
    },
}

impl Candidate {
    /// A file of which nothing is known but that it is there.
    pub(super) fn new(path: Arc<str>, captures: Arc<Captures>, size: u64, since: Moment) -> Self {
        Self {
            path,
            captures,
            size,
            since,
            modified: 0,
            step: Step::New,
            adopt_only: false,
            initial: false,
            awaits_others: false,
            floor: None,
            anchor: None,
            distinct_from: BTreeSet::new(),
            agreed: BTreeMap::new(),
            in_vain: BTreeSet::new(),
            doubts: BTreeMap::new(),
            known_elsewhere: None,
            said: false,
        }
    }

    /// Takes in how far the candidate agrees with an open stream.
    pub(super) fn compared(&mut self, stream: StreamId, agreement: Agreement) {
        if agreement.differs {
            self.distinct_from.insert(stream);
            self.agreed.remove(&stream);
        } else {
            self.agreed.insert(stream, agreement.until);
        }
    }

    /// What stands in it, as far as that is ours.
    pub(super) fn bytes_behind_floor(&self) -> u64 {
        self.size.saturating_sub(self.floor.as_ref().map_or(0, |floor| floor.floor.0))
    }

    /// Whether all of it was found to stand in a stream's file, too.
    pub(super) fn is_of_a_stream(&self) -> bool {
        self.agreed.values().any(|until| until.0 >= self.size)
    }

    /// Whether nothing is lost with it: it is held because of a file that says the same, or was when it was last asked, and has
    /// not changed since.
    pub(super) fn is_known_elsewhere(&self) -> bool {
        matches!(self.step, Step::Held { .. } | Step::Stuck { .. })
            || self.is_of_a_stream()
            || self.known_elsewhere == Some((self.size, self.modified))
    }

    /// It has another name now, and is asked afresh. (Rotation renames a copy, and may delete it before it can be asked.)
    pub(super) fn is_renamed(&mut self, path: Arc<str>, captures: Arc<Captures>) {
        self.known_elsewhere = self.is_known_elsewhere().then_some((self.size, self.modified));
        self.path = path;
        self.captures = captures;
        self.begin_again();
    }

    /// Up to where it is known to agree with an open stream.
    pub(super) fn agreed_with(&self, stream: StreamId) -> Offset {
        self.agreed.get(&stream).copied().unwrap_or(Offset::ZERO)
    }

    /// Whether nothing says that it is another file than this stream's.
    pub(super) fn may_be(&self, id: StreamId, stream: &Stream) -> bool {
        !self.distinct_from.contains(&id) && !self.took_the_place_of(stream)
    }

    /// Whether comparing it with this stream's file would tell more.
    pub(super) fn is_uncompared_with(&self, id: StreamId, stream: &Stream) -> bool {
        self.agreed_with(id).0 < self.size.min(stream.size) && !self.in_vain.contains(&id)
    }

    /// Forgets what was found out: other bytes may stand there now. An answer that is still under way is not
    /// taken any more.
    pub(super) fn begin_again(&mut self) {
        self.step = Step::New;
        self.anchor = None;
        self.distinct_from.clear();
        self.agreed.clear();
        self.doubts.clear();
    }

    /// Whether it is what a compressor made of a file.
    pub(super) fn is_compressed(&self) -> bool {
        Compression::of_path(&self.path).is_some()
    }

    /// Whether nobody has seen yet what it says: it may be whatever is looked for. (Strangers are asked again
    /// at each look.)
    pub(super) fn is_unseen(&self) -> bool {
        !self.adopt_only && matches!(self.step, Step::New | Step::Asking(_) | Step::Denied { .. })
    }

    /// Whether it waits for something that may come: a free descriptor, another file, a disk that answers.
    pub(super) fn may_be_told_yet(&self) -> bool {
        let is_asked_again = matches!(self.step, Step::Held { .. } | Step::Denied { .. });
        is_asked_again || matches!(self.step, Step::Stuck { is_told: false, .. })
    }

    /// Whether the rival stood at this candidate's path and was renamed away: then it is another file,
    /// whatever it says.
    pub(super) fn took_the_place_of(&self, rival: &Stream) -> bool {
        rival.was_moved && self.path == rival.first_path && matches!(rival.place, Place::At { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_renamed_is_one_until_it_changes() {
        let mut candidate = Candidate::new("/logs/app.log.2.gz".into(), Arc::default(), 100, Moment::START);
        candidate.modified = 7;
        let rename = |candidate: &mut Candidate, to: &str| {
            candidate.is_renamed(to.into(), Arc::default());
            candidate.is_known_elsewhere()
        };
        assert!(!rename(&mut candidate, "/logs/app.log.3.gz"), "nobody has asked it yet");
        candidate.step = Step::Held { print: Print::default(), since_size: 100, rival_size: 100 };
        assert!(rename(&mut candidate, "/logs/app.log.4.gz"));
        assert!(rename(&mut candidate, "/logs/app.log.5.gz"));
        candidate.modified = 8;
        assert!(!candidate.is_known_elsewhere());
    }
}
