//! Reading files once: all of them are known after the first look, and all of them are over.
//!
//! What a daemon waits for (that a copy differs, that a lost file turns up) does not come. So a file is what its content
//! says, a beginning of a known one is that one, and what cannot be told is told to be unread.

use super::candidate::Step;
use super::stream::{Place, Stream};
use super::{CandidateKey, Outbox, Tail};
use crate::agent::Purpose;
use crate::agent::border::Unread;
use crate::agent::notice::NoticeCode;
use crate::model::{Offset, Print};

impl Tail {
    pub(super) fn reads_once(&self) -> bool {
        self.purpose != Purpose::Follow
    }

    /// Whether a new file with this ordinal has to wait for a time when nobody else numbers files.
    pub(super) fn may_not_number(&self, ordinal: u32) -> bool {
        ordinal > 0 && self.purpose == Purpose::ReadOnce { gives_ordinals: false }
    }

    /// A file that would need an ordinal while a daemon may give the same one to another file.
    pub(super) fn leave_unnumbered(&mut self, key: &CandidateKey, print: Print, out: &mut Outbox) {
        let candidate = self.candidates.get_mut(key).expect("a candidate that is left is known");
        candidate.step = Step::Stuck { print, is_told: true };
        out.say_with_hint(
            NoticeCode::IdentityAmbiguous,
            format!(
                "{:?} begins like another file, and the daemon that numbers such files is running",
                candidate.path
            ),
            "stop the daemon and read this file once again",
        );
    }

    /// Files that were not read to their ends.
    pub(in crate::agent) fn unread(&self) -> Vec<Unread> {
        if !self.reads_once() {
            return Vec::new();
        }
        let candidates = self.candidates.values().filter_map(|it| Some((&it.path, why_held(it.step)?)));
        let streams = self.streams.values().filter_map(|stream| Some((&stream.path, why_unread(stream)?)));
        candidates.chain(streams).map(|(path, why)| Unread { path: path.to_string(), why }).collect()
    }
}

fn why_held(step: Step) -> Option<&'static str> {
    match step {
        Step::New | Step::Asking(_) => Some("it was not looked at yet"),
        // Nothing in it can be billed.
        Step::Young => None,
        Step::Held { .. } => Some(
            "it is a copy of another file that was given, or the beginning of one; if it is neither, give it alone",
        ),
        Step::Denied { .. } => Some("it cannot be read"),
        Step::Stuck { .. } => Some("it begins like another file, and what tells them apart is not known"),
    }
}

fn why_unread(stream: &Stream) -> Option<&'static str> {
    match stream.place {
        Place::At { .. } if stream.unreadable => Some("it cannot be read"),
        Place::At { .. } if stream.is_at_last_line() => Some("its last line was not reached"),
        Place::At { .. } => (stream.behind() > 0).then_some("it was not read to its end"),
        Place::Verifying { .. } => Some("it was not looked at yet"),
        // Others that are known were not given.
        Place::Nowhere { .. } if stream.position > Offset::ZERO && stream.position.0 < stream.size => {
            Some("it went away, or was written anew, while it was read")
        }
        Place::Expected { .. } => stream.unreadable.then_some("it cannot be read"),
        Place::Nowhere { .. } => None,
    }
}
