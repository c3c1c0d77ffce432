//! A file that is not known yet, while it is found out which one it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::border::{Agreement, AskId, Asked};
use crate::agent::checkpoint::FloorRecord;
use crate::config::settings::Captures;
use crate::model::{Guard, Moment, Offset, Print, StreamId};

use super::stream::{Place, Stream};

#[derive(Debug)]
pub(super) struct Candidate {
    pub path: Arc<str>,
    pub captures: Arc<Captures>,
    pub size: u64,
    pub step: Step,
    /// Only a known file that was lost is looked for in it; it makes no new one.
    pub adopt_only: bool,
    /// It was there when this process first looked.
    pub initial: bool,
    /// The table of ordinals is lost: it waits until the prints of all files of the first look are known.
    pub awaits_others: bool,
    pub floor: Option<FloorRecord>,
    /// Streams with an equal print that it is proven not to be.
    pub distinct_from: BTreeSet<StreamId>,
    /// Up to where it is known to agree with an open stream.
    pub agreed: BTreeMap<StreamId, Offset>,
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

/// What the content of a candidate says about a stream that is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Same,
    Other,
    /// Too short to tell.
    Unknown,
}

/// Offsets whose guards tell whether a file is the one that stood there.
pub(super) fn tell_tales(marks: &[(Offset, Guard)], position: Offset, guard: Guard) -> Vec<(Offset, Guard)> {
    let mut tales = marks.to_vec();
    tales.push((position, guard));
    tales
}

/// Compares what was asked with what is remembered. `told` is by offset.
pub(super) fn judge(
    tales: &[(Offset, Guard)],
    told: &BTreeMap<Offset, Option<Guard>>,
    whole: Offset,
) -> Judgement {
    let mut reaches = true;
    for (offset, guard) in tales {
        match told.get(offset) {
            Some(Some(seen)) if seen == guard => {}
            Some(Some(_)) => return Judgement::Other,
            Some(None) => reaches &= *offset > whole,
            None => reaches = false,
        }
    }
    if reaches { Judgement::Same } else { Judgement::Unknown }
}

/// The guards of an answer by the offsets that were asked for.
pub(super) fn told_by_offset(at: &[Offset], asked: &Asked) -> BTreeMap<Offset, Option<Guard>> {
    at.iter().copied().zip(asked.guards.iter().map(|found| found.map(|(guard, _)| guard))).collect()
}

/// Line ends of the head at growing distances: marks from the first moment.
pub(super) fn marks_of_head(head: &[u8]) -> Vec<(Offset, Guard)> {
    let mut marks: Vec<(Offset, Guard)> = Vec::new();
    for end in memchr::memchr_iter(b'\n', head).map(|newline| newline + 1) {
        if end as u64 >= marks.last().map_or(1, |(last, _)| last.0 * 2) {
            marks.push((Offset(end as u64), Guard::at_end_of(&head[..end])));
        }
    }
    marks
}

impl Candidate {
    /// Takes in how far the candidate agrees with an open stream.
    pub(super) fn compared(&mut self, stream: StreamId, agreement: Agreement) {
        if agreement.differs {
            self.distinct_from.insert(stream);
            self.agreed.remove(&stream);
        } else {
            self.agreed.insert(stream, agreement.until);
        }
    }

    /// Forgets what was found out: other bytes may stand there now. An answer that is still under way is not
    /// taken any more.
    pub(super) fn begin_again(&mut self) {
        self.step = Step::New;
        self.distinct_from.clear();
        self.agreed.clear();
    }

    /// Whether nobody has seen yet what it says: it may be whatever is looked for.
    pub(super) fn is_unseen(&self) -> bool {
        matches!(self.step, Step::New | Step::Asking(_) | Step::Denied { .. })
    }

    /// Whether the rival stood at this candidate's path and was renamed away: then it is another file,
    /// whatever it says.
    pub(super) fn took_the_place_of(&self, rival: &Stream) -> bool {
        rival.was_renamed() && self.path == rival.first_path && matches!(rival.place, Place::At { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn guard(print: u64) -> Guard {
        Guard { len: 64, print }
    }

    #[track_caller]
    fn check(told: &[(u64, Option<u64>)], expected: Judgement) {
        let tales = [(Offset(10), guard(1)), (Offset(100), guard(2)), (Offset(150), guard(3))];
        let told = told.iter().map(|(at, print)| (Offset(*at), print.map(guard))).collect();
        assert_eq!(judge(&tales, &told, Offset(150)), expected);
    }

    #[test]
    fn a_file_is_the_same_only_when_all_its_marks_up_to_the_frontier_agree() {
        check(&[(10, Some(1)), (100, Some(2)), (150, Some(3))], Judgement::Same);
        check(&[(10, Some(1)), (100, Some(7)), (150, None)], Judgement::Other);
        check(&[(10, Some(1)), (100, Some(2)), (150, None)], Judgement::Unknown);
        check(&[(10, Some(1)), (100, None), (150, None)], Judgement::Unknown);
        check(&[(10, Some(9)), (100, None), (150, None)], Judgement::Other);
    }

    #[test]
    fn the_head_gives_marks_at_growing_distances() {
        let head = b"aaaa\nbb\ncccccccccccc\nd\n";
        let offsets: Vec<u64> = marks_of_head(head).iter().map(|(offset, _)| offset.0).collect();
        assert_eq!(offsets, [5, 21]);
    }
}
