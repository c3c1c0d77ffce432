//! What is known of files, for a process that reads them again from their beginnings: which they are, and which ordinals
//! they have. How far anybody has read them does not matter to it.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint::{Checkpoint, FileRecord, OrdinalRecord, VERSION};
use crate::model::{Guard, Offset};

/// Files that are remembered of backfills that are done, at most. Of older ones the ordinals are kept.
const MOST_FILES: usize = 4096;

/// One checkpoint of what several know of the files of these sources, nothing of which is read. The first that knows a
/// file says where it is.
#[must_use]
pub fn known<'a>(checkpoints: &[Checkpoint], is_wanted: impl Fn(&str) -> bool + 'a) -> Checkpoint {
    let mut files: BTreeMap<(String, String, u32), FileRecord> = BTreeMap::new();
    let mut next: BTreeMap<(String, String), u32> = BTreeMap::new();
    for checkpoint in checkpoints {
        for record in checkpoint.files.iter().filter(|record| is_wanted(&record.source)) {
            let record = unread(record);
            let key = (record.source.clone(), record.print.clone(), record.ordinal);
            match files.get_mut(&key) {
                Some(known) if known.marks.len() >= record.marks.len() => {}
                Some(known) => known.marks = record.marks,
                None => _ = files.insert(key, record),
            }
        }
        for OrdinalRecord { source, print, next: of_record } in &checkpoint.ordinals {
            if is_wanted(source) {
                let next = next.entry((source.clone(), print.clone())).or_default();
                *next = (*next).max(*of_record);
            }
        }
    }
    Checkpoint {
        version: VERSION,
        files: files.into_values().collect(),
        ordinals: next
            .into_iter()
            .map(|((source, print), next)| OrdinalRecord { source, print, next })
            .collect(),
        ordinals_lost: checkpoints.iter().any(|checkpoint| checkpoint.ordinals_lost),
        ..Checkpoint::default()
    }
}

/// What is to be remembered when a backfill is done: the files that it read, and those that nobody else knows (lines of
/// them may be sent, whatever became of the answers), beside what was remembered before.
#[must_use]
pub fn remembered(before: Checkpoint, done: &Checkpoint, daemons: Option<&Checkpoint>) -> Checkpoint {
    let name = |record: &FileRecord| (record.source.clone(), record.print.clone(), record.ordinal);
    let of_others: BTreeSet<_> = daemons.into_iter().flat_map(|daemons| &daemons.files).map(name).collect();
    let is_its_own =
        |record: &&FileRecord| record.frontier > Offset::ZERO || !of_others.contains(&name(record));
    let mut read: Vec<FileRecord> = done.files.iter().filter(is_its_own).cloned().collect();
    // Where they stood is of no use to anybody later: another file may have the inode.
    read.iter_mut().for_each(|record| record.file = None);
    let done = Checkpoint { files: read, ordinals: done.ordinals.clone(), ..Checkpoint::default() };
    let mut all = known(&[done, before], |_| true);
    let surplus = all.files.len().saturating_sub(MOST_FILES);
    for record in all.files.drain(..surplus) {
        let OrdinalRecord { source, print, next } =
            OrdinalRecord { source: record.source, print: record.print, next: record.ordinal + 1 };
        match all.ordinals.iter_mut().find(|known| known.source == source && known.print == print) {
            Some(known) => known.next = known.next.max(next),
            None => all.ordinals.push(OrdinalRecord { source, print, next }),
        }
    }
    all
}

/// The file as one of which nothing was read. Where it was left is one more place by which it is known.
pub(super) fn unread(record: &FileRecord) -> FileRecord {
    let mut marks = record.marks.clone();
    let at = marks.partition_point(|(at, _)| *at < record.frontier);
    // The first two are ends of its first lines.
    if at >= 2 && marks.get(at).is_none_or(|(mark, _)| *mark != record.frontier) {
        marks.insert(at, (record.frontier, record.guard));
    }
    FileRecord {
        marks,
        start: Offset::ZERO,
        frontier: Offset::ZERO,
        guard: Guard::NOTHING,
        modified: 0,
        header: None,
        unfinished: Vec::new(),
        handed_over: false,
        inside_line: false,
        given_up: false,
        unbilled: Vec::new(),
        ..record.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FileKey, Mark};

    fn mark(at: u64) -> Mark {
        (Offset(at), Guard { len: 64, print: at })
    }

    fn record(print: &str, ordinal: u32, marks: &[u64], frontier: u64) -> FileRecord {
        FileRecord {
            source: "app".into(),
            path: "/logs/app.log".into(),
            first_path: "/logs/app.log".into(),
            was_moved: false,
            captures: BTreeMap::new(),
            file: Some(FileKey { device: 1, inode: 2, born: 3 }),
            print: print.into(),
            ordinal,
            start: Offset(5),
            frontier: Offset(frontier),
            guard: mark(frontier).1,
            header: Some(Offset(0)),
            unfinished: Vec::new(),
            handed_over: true,
            marks: marks.iter().map(|at| mark(*at)).collect(),
            size: 1000,
            modified: 7,
            inside_line: true,
            given_up: true,
            unbilled: Vec::new(),
        }
    }

    fn checkpoint(files: &[FileRecord], ordinals: &[(&str, u32)]) -> Checkpoint {
        let ordinals = ordinals.iter().map(|(print, next)| OrdinalRecord {
            source: "app".into(),
            print: (*print).into(),
            next: *next,
        });
        Checkpoint { files: files.to_vec(), ordinals: ordinals.collect(), ..Checkpoint::default() }
    }

    #[track_caller]
    fn check_marks(marks: &[u64], frontier: u64, expected: &[u64]) {
        let known = unread(&record("a", 0, marks, frontier));
        let offsets: Vec<u64> = known.marks.iter().map(|(at, _)| at.0).collect();
        assert_eq!((offsets.as_slice(), known.frontier, known.start), (expected, Offset::ZERO, Offset::ZERO));
        assert!(known.marks.iter().all(|known| *known == mark(known.0.0)));
    }

    #[test]
    fn where_a_file_was_left_is_a_mark_behind_its_first_two_lines() {
        check_marks(&[10, 20, 100], 500, &[10, 20, 100, 500]);
        check_marks(&[10, 20, 100], 50, &[10, 20, 50, 100]);
        check_marks(&[10, 20, 100], 100, &[10, 20, 100]);
        check_marks(&[10, 20], 10, &[10, 20]);
        check_marks(&[10], 15, &[10]);
        check_marks(&[10, 20], 0, &[10, 20]);
    }

    #[test]
    fn several_checkpoints_know_each_file_once_and_the_highest_ordinals() {
        let daemon = checkpoint(&[record("a", 0, &[10], 10), record("b", 1, &[10, 20], 20)], &[("b", 2)]);
        let before = checkpoint(&[record("a", 0, &[10, 30], 0), record("b", 2, &[10, 40], 0)], &[("b", 3)]);
        let all = known(&[daemon, before], |source| source == "app");
        let names: Vec<_> =
            all.files.iter().map(|file| (&*file.print, file.ordinal, file.marks.len())).collect();
        assert_eq!(names, [("a", 0, 2), ("b", 1, 2), ("b", 2, 2)]);
        assert_eq!(all.ordinals[0].next, 3);
        assert!(known(&[all], |_| false).files.is_empty());
    }

    #[test]
    fn of_a_backfill_that_is_done_the_files_that_it_read_or_alone_knows_are_remembered() {
        let unread = |print| record(print, 0, &[10], 0);
        let done = checkpoint(&[record("a", 0, &[10], 10), unread("b"), unread("d")], &[]);
        let daemons = checkpoint(&[record("a", 0, &[10], 10), unread("b")], &[]);
        let all = remembered(checkpoint(&[record("c", 7, &[10], 0)], &[]), &done, Some(&daemons));
        let names: Vec<_> = all.files.iter().map(|file| (&*file.print, file.file)).collect();
        let file = Some(FileKey { device: 1, inode: 2, born: 3 });
        assert_eq!(names, [("a", None), ("c", file), ("d", None)]);
        let many: Vec<FileRecord> = (0..5000).map(|ordinal| record("m", ordinal, &[10], 10)).collect();
        let all = remembered(Checkpoint::default(), &checkpoint(&many, &[]), None);
        assert_eq!(all.files.len(), MOST_FILES);
        assert_eq!(all.ordinals[0].next, 5000 - MOST_FILES as u32);
    }
}
