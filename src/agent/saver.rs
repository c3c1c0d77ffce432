//! When to save the checkpoint: at most once a second, at once when a new file waits to be read or when the
//! daemon ends, and again and again while the disk says no. A start saves nothing by itself: a new file's save would
//! have to wait for that.

use std::time::Duration;

use super::border::{DiskFault, Now, SaveId};
use super::notice::{Notice, NoticeCode};
use crate::model::Moment;

/// Between two saves, at least.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two saves that a new file or the end asks for.
const URGENT_INTERVAL: Duration = Duration::from_millis(10);

/// After a save that failed.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Saver {
    /// What the last durable checkpoint says, as a count of changes.
    saved: Option<u64>,
    saving: Option<(SaveId, u64)>,
    last: Option<Moment>,
    started: Moment,
    retry_at: Moment,
    failing: bool,
    sequence: u64,
}

impl Saver {
    pub(super) fn new(sequence: u64, started: Moment) -> Self {
        let retry_at = Moment::START;
        Self { saved: None, saving: None, last: None, started, retry_at, failing: false, sequence }
    }

    fn ready_at(&self, urgent: bool) -> Moment {
        let due = match self.last {
            None if urgent => Moment::START,
            Some(last) if urgent => last + URGENT_INTERVAL,
            last => last.unwrap_or(self.started) + INTERVAL,
        };
        due.max(self.retry_at)
    }

    /// Begins a save, when `changes` are not saved and it is time: the id and the sequence to write.
    pub(super) fn begin(&mut self, changes: u64, urgent: bool, now: Now) -> Option<(SaveId, u64)> {
        if self.saving.is_some() || self.saved == Some(changes) || now.moment < self.ready_at(urgent) {
            return None;
        }
        self.sequence += 1;
        // Ids of floors and saves must differ; sequences are far below the upper half.
        let save = SaveId(self.sequence | 1 << 63);
        self.saving = Some((save, changes));
        self.last = Some(now.moment);
        Some((save, self.sequence))
    }

    /// Takes an answer in. `None` when the save is not one of this part's.
    pub(super) fn ended(&mut self, save: SaveId, result: &Result<(), DiskFault>, now: Now) -> Option<Notice> {
        let (_, changes) = self.saving.take_if(|(saving, _)| *saving == save)?;
        match result {
            Ok(()) => {
                self.saved = Some(changes);
                std::mem::take(&mut self.failing).then(|| Notice {
                    code: NoticeCode::CheckpointSaved,
                    message: "the checkpoint can be saved again".to_owned(),
                    hint: None,
                })
            }
            Err(fault) => {
                self.retry_at = now.moment + RETRY;
                let first = !std::mem::replace(&mut self.failing, true);
                first.then(|| Notice {
                    code: NoticeCode::CheckpointUnsaved,
                    message: format!("cannot save the checkpoint: {}", super::words(fault)),
                    hint: Some(
                        "events go on; after a restart more is sent again, which costs requests, not money"
                            .to_owned(),
                    ),
                })
            }
        }
    }

    /// It was not written, and is to be made anew at once.
    pub(super) fn refused(&mut self, save: SaveId) {
        self.saving.take_if(|(saving, _)| *saving == save);
    }

    pub(super) fn is_saved(&self, changes: u64) -> bool {
        self.saved == Some(changes)
    }

    pub(super) fn deadline(&self, changes: u64, urgent: bool) -> Option<Moment> {
        (self.saving.is_none() && self.saved != Some(changes)).then(|| self.ready_at(urgent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64) -> Now {
        Now { moment: Moment::from_nanos(ms * 1_000_000), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_change_is_saved_at_most_once_a_second_or_soon_when_it_is_urgent() {
        let mut saver = Saver::new(7, now(0).moment);
        assert!(saver.begin(1, false, now(100)).is_none(), "a start is no reason");
        let (save, sequence) = saver.begin(1, true, now(100)).expect("nothing is saved yet");
        assert_eq!(sequence, 8);
        assert!(saver.begin(2, true, now(2_000)).is_none(), "one at a time");
        assert!(saver.ended(save, &Ok(()), now(120)).is_none());
        assert!(saver.is_saved(1) && !saver.is_saved(2));
        assert!(saver.begin(1, true, now(5_000)).is_none(), "it is saved");
        assert_eq!(saver.deadline(1, true), None);
        assert!(saver.begin(2, false, now(1_099)).is_none());
        assert!(saver.begin(2, true, now(109)).is_none());
        assert_eq!(saver.deadline(2, false), Some(now(1_100).moment));
        assert_eq!(saver.deadline(2, true), Some(now(110).moment));
        assert!(saver.begin(2, true, now(110)).is_some());
    }

    #[test]
    fn a_disk_that_says_no_is_told_once_and_asked_again() {
        let mut saver = Saver::new(0, now(0).moment);
        let mut said = Vec::new();
        for (at, result) in [(0, Err(DiskFault::Full)), (1_000, Err(DiskFault::Denied)), (2_000, Ok(()))] {
            let (save, _) = saver.begin(1, true, now(at)).expect("it is time");
            said.push(saver.ended(save, &result, now(at)).map(|notice| notice.code));
            assert!(saver.begin(1, true, now(at + 999)).is_none());
        }
        assert_eq!(said, [Some(NoticeCode::CheckpointUnsaved), None, Some(NoticeCode::CheckpointSaved)]);
        assert!(saver.is_saved(1));
    }

    #[test]
    fn what_changed_while_a_save_was_under_way_is_not_saved() {
        let mut saver = Saver::new(0, now(0).moment);
        let (save, _) = saver.begin(1, true, now(0)).unwrap();
        assert!(saver.ended(SaveId(1), &Ok(()), now(1)).is_none(), "the floors' answer is another part's");
        saver.ended(save, &Ok(()), now(1));
        assert!(!saver.is_saved(2));
    }
}
