//! What is remembered of a file's bytes: by this it is known again, wherever it stands.
//!
//! The print of the first line is as good as a name where no other file begins so. Where one does (logs without
//! times), only lines behind it tell. So nothing behind the first line is read before a mark behind it is
//! durable: whatever was sent of a file, the checkpoint can tell that file from its neighbours.

use std::collections::BTreeMap;

use crate::agent::border::Asked;
use crate::mapping::identity::{self, HEAD_BYTES};
use crate::model::{Guard, Mark, Offset};

/// What the head of a file shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The end of the first line with something in it, the end of the next such line, and line ends at doubling
    /// distances from there.
    pub marks: Vec<Mark>,
    /// Up to here there is the first line alone, and blank ones.
    pub common: Offset,
}

impl Head {
    pub(super) fn read(head: &[u8]) -> Self {
        let mut marks: Vec<Mark> = Vec::new();
        let (mut common, mut start) = (0, 0);
        for end in memchr::memchr_iter(b'\n', head).map(|newline| newline + 1) {
            let is_blank = identity::is_blank(&head[start..end]);
            start = end;
            if marks.len() < 2 && is_blank {
                common = end;
                continue;
            }
            let is_far = marks.last().is_none_or(|(last, _)| end as u64 >= last.0 * 2);
            if marks.len() < 2 || is_far {
                marks.push((Offset(end as u64), Guard::at_end_of(&head[..end])));
            }
            if marks.len() == 1 {
                common = end;
            }
        }
        if marks.len() < 2 && head.len() >= HEAD_BYTES {
            // Lines so long tell files apart before they end.
            marks.push((Offset(head.len() as u64), Guard::at_end_of(head)));
        }
        // Kept for as long as the file is followed.
        marks.shrink_to_fit();
        Self { marks, common: Offset(common as u64) }
    }

    /// The marks that the head would show if it ended there.
    pub(super) fn marks_up_to(&self, end: Offset) -> &[Mark] {
        let count = self.marks.partition_point(|(at, _)| *at <= end);
        &self.marks[..count]
    }
}

/// Whether a file with this head has other lines than what is remembered: its first two end elsewhere. One that was read
/// behind its first line, up to `position`, and has no second mark, has no other line there.
pub(super) fn has_other_lines(marks: &[Mark], position: Offset, head: &Head) -> bool {
    let ends_elsewhere = marks.iter().zip(&head.marks).take(2).any(|(own, other)| own.0 != other.0);
    let has_one_more = marks.len() == 1 && head.marks.get(1).is_some_and(|(second, _)| *second <= position);
    ends_elsewhere || has_one_more
}

/// Whether something behind the first line is remembered, or the first line is longer than any head.
pub(super) fn is_strong(marks: &[Mark]) -> bool {
    marks.len() >= 2 || marks.first().is_some_and(|(first, _)| first.0 >= HEAD_BYTES as u64)
}

/// What the content of a file says about a stream that is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All that is remembered is there.
    Same {
        /// Something behind the first line is remembered.
        is_strong: bool,
    },
    /// Other bytes stand at a place that is remembered.
    Other,
    /// It agrees, and ends before some place that is remembered.
    Shorter {
        /// It holds all that was read.
        holds_position: bool,
        /// It agrees behind the first line, too.
        is_strong: bool,
    },
}

/// Compares what was asked with what is remembered. `told` is by offset, `position` is the last of `tales`.
/// Up to `common` there is what other files begin with, too.
pub(super) fn judge(tales: &[Mark], told: &BTreeMap<Offset, Option<Guard>>, common: Offset) -> Judgement {
    let first = tales[0].0.max(common);
    let position = tales[tales.len() - 1].0;
    let mut is_whole = true;
    let mut holds_position = false;
    let mut agrees_behind_first = first.0 >= HEAD_BYTES as u64;
    for (offset, guard) in tales {
        match told.get(offset).copied().flatten() {
            Some(seen) if seen == *guard => {
                agrees_behind_first |= *offset > first;
                holds_position |= *offset >= position;
            }
            Some(_) => return Judgement::Other,
            None => is_whole = false,
        }
    }
    if is_whole {
        Judgement::Same { is_strong: agrees_behind_first }
    } else {
        Judgement::Shorter { holds_position, is_strong: agrees_behind_first }
    }
}

/// The last place that is remembered before the first one where other bytes stand.
pub(super) fn agreed_before_difference(tales: &[Mark], told: &BTreeMap<Offset, Option<Guard>>) -> Offset {
    let mut tales = tales.to_vec();
    tales.sort_unstable_by_key(|(at, _)| *at);
    let agrees = |(at, guard): &&Mark| told.get(at).copied().flatten() == Some(*guard);
    tales.iter().take_while(agrees).last().map_or(Offset::ZERO, |(at, _)| *at)
}

/// The guards of an answer by the offsets that were asked for.
pub(super) fn told_by_offset(at: &[Offset], asked: &Asked) -> BTreeMap<Offset, Option<Guard>> {
    at.iter().copied().zip(asked.guards.iter().map(|found| found.map(|(guard, _)| guard))).collect()
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
        assert_eq!(judge(&tales, &told, Offset::ZERO), expected);
    }

    #[test]
    fn a_file_is_the_same_only_when_all_its_marks_agree() {
        let shorter = |is_strong| Judgement::Shorter { holds_position: false, is_strong };
        check(&[(10, Some(1)), (100, Some(2)), (150, Some(3))], Judgement::Same { is_strong: true });
        check(&[(10, Some(1)), (100, Some(7)), (150, None)], Judgement::Other);
        check(&[(10, Some(1)), (100, Some(2)), (150, None)], shorter(true));
        check(&[(10, Some(1)), (100, None), (150, None)], shorter(false));
        check(&[(10, Some(9)), (100, None), (150, None)], Judgement::Other);
    }

    #[test]
    fn what_agrees_ends_before_the_first_difference() {
        let tales = [
            (Offset(10), guard(1)),
            (Offset(100), guard(2)),
            (Offset(150), guard(3)),
            (Offset(120), guard(4)),
        ];
        let told = |other: u64| {
            let print = |at: u64, print: u64| if at == other { 9 } else { print };
            let tales = tales.iter().map(|(at, guard)| (*at, print(at.0, guard.print)));
            tales.map(|(at, print)| (at, Some(guard(print)))).collect()
        };
        let agreed = [10, 100, 120, 150, 0].map(|other| agreed_before_difference(&tales, &told(other)).0);
        assert_eq!(agreed, [0, 10, 100, 120, 150]);
    }

    #[test]
    fn a_file_may_end_between_what_was_read_and_what_is_remembered() {
        let tales = [(Offset(10), guard(1)), (Offset(100), guard(2)), (Offset(10), guard(1))];
        let told = BTreeMap::from([(Offset(10), Some(guard(1))), (Offset(100), None)]);
        let expected = Judgement::Shorter { holds_position: true, is_strong: false };
        assert_eq!(judge(&tales, &told, Offset::ZERO), expected);
    }

    #[track_caller]
    fn check_head(head: &[u8], marks: &[u64], common: u64) {
        let read = Head::read(head);
        let offsets: Vec<u64> = read.marks.iter().map(|(offset, _)| offset.0).collect();
        assert_eq!((offsets.as_slice(), read.common.0), (marks, common), "{:?}", head.escape_ascii());
        assert!(read.marks.iter().all(|(at, guard)| {
            *guard == Guard::at_end_of(&head[..usize::try_from(at.0).expect("a head is short")])
        }));
    }

    #[test]
    fn the_head_gives_marks_at_the_first_two_lines_and_at_growing_distances() {
        check_head(b"", &[], 0);
        check_head(b"aaaa", &[], 0);
        check_head(b"aaaa\nb", &[5], 5);
        check_head(b"aaaa\nb\ncccccccccccc\nd\n", &[5, 7, 20], 5);
    }

    #[test]
    fn the_marks_up_to_a_place_are_those_of_a_head_that_ends_there() {
        let lines = b"\n \naaaa\n\nb\ncccccccccccc\nd\n";
        let without_end = [&b"a\n"[..], &[b'b'; HEAD_BYTES - 2]].concat();
        for head in [&lines[..], &without_end] {
            let whole = Head::read(head);
            for end in 0..=head.len() {
                assert_eq!(whole.marks_up_to(Offset(end as u64)), Head::read(&head[..end]).marks);
            }
        }
    }

    #[test]
    fn lines_that_end_elsewhere_are_other_lines() {
        let marks = Head::read(b"aaaa\nbbbb\ncc\n").marks;
        let has_other = |head: &[u8]| has_other_lines(&marks, Offset(10), &Head::read(head));
        assert!(has_other(b"aaaa\nbb\n"));
        assert!(has_other(b"aa\n"));
        assert!(!has_other(b"aaaa\nbbbb\n"));
        assert!(!has_other(b"aaaa\nbb"));
        // Its last line was taken without an end.
        let without_end = Head::read(b"aaaa\nbbbb").marks;
        let has_other = |head: &[u8]| has_other_lines(&without_end, Offset(9), &Head::read(head));
        assert!(has_other(b"aaaa\nbb\n"));
        assert!(!has_other(b"aaaa\nbbbbbb\n"));
        assert!(!has_other(b"aaaa\nbb"));
    }

    #[test]
    fn blank_lines_tell_nothing_apart() {
        check_head(b"\n \naaaa\n\n\n", &[8], 10);
        check_head(b"aaaa\n\r\nb\n", &[5, 9], 7);
    }

    #[test]
    fn a_head_without_a_second_line_end_is_a_mark_itself() {
        check_head(&[b'a'; HEAD_BYTES], &[8192], 0);
        let head = [&b"a\n"[..], &[b'b'; HEAD_BYTES - 2]].concat();
        check_head(&head, &[2, 8192], 2);
    }
}
