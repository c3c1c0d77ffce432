//! What was said so far: how often each notice, the last ones, and which of them still hold.
//!
//! It belongs to the process, as its log does: whatever part says something says it through [`logs::say`](super::logs::say).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::agent::{Notice, NoticeCode};

/// Notices that are remembered.
const LAST: usize = 20;

static SO_FAR: Mutex<Told> = Mutex::new(Told::new());

/// One notice and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub at: Timestamp,
    pub notice: Notice,
}

#[derive(Debug, Clone, Default)]
pub struct Told {
    pub counts: BTreeMap<NoticeCode, u64>,
    /// The newest last.
    pub last: VecDeque<Said>,
    /// What was said and not taken back: the watch limits hold, the checkpoint cannot be saved.
    pub conditions: BTreeMap<NoticeCode, Said>,
}

/// Remembers a notice.
pub fn remember(notice: &Notice) {
    let said = Said { at: Timestamp::now(), notice: notice.clone() };
    SO_FAR.lock().unwrap_or_else(PoisonError::into_inner).take(said);
}

/// All that this process has said.
#[must_use]
pub fn so_far() -> Told {
    SO_FAR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Told {
    const fn new() -> Self {
        Self { counts: BTreeMap::new(), last: VecDeque::new(), conditions: BTreeMap::new() }
    }

    #[must_use]
    pub fn count(&self, code: NoticeCode) -> u64 {
        self.counts.get(&code).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn holds(&self, code: NoticeCode) -> bool {
        self.conditions.contains_key(&code)
    }

    fn take(&mut self, said: Said) {
        let code = said.notice.code;
        *self.counts.entry(code).or_default() += 1;
        for (begin, end) in CONDITIONS {
            if code == *end {
                self.conditions.remove(begin);
            } else if code == *begin {
                self.conditions.insert(code, said.clone());
            }
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(said);
    }
}

/// A notice, and the one that takes it back. Only what there is one of: a file that is readable again takes nothing back
/// from the others.
const CONDITIONS: &[(NoticeCode, NoticeCode)] = &[
    (NoticeCode::WatchLimited, NoticeCode::WatchComplete),
    (NoticeCode::CheckpointUnsaved, NoticeCode::CheckpointSaved),
    (NoticeCode::QuarantineBlocked, NoticeCode::QuarantineUnblocked),
    (NoticeCode::PolarRefuses, NoticeCode::PolarAccepts),
    (NoticeCode::PolarUnreachable, NoticeCode::PolarAccepts),
    (NoticeCode::DescriptorsShort, NoticeCode::DescriptorsEnough),
    (NoticeCode::ReloadRefused, NoticeCode::Reloaded),
    (NoticeCode::AdminUnavailable, NoticeCode::AdminOpen),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: NoticeCode, second: i64) -> Said {
        let at = Timestamp::from_second(second).unwrap();
        Said { at, notice: Notice { code, message: format!("at {second}"), hint: None } }
    }

    #[test]
    fn a_condition_holds_until_it_is_taken_back() {
        let mut told = Told::new();
        let holding = |told: &Told| told.conditions.keys().map(|code| code.code()).collect::<Vec<_>>();
        for (code, expected) in [
            (NoticeCode::WatchLimited, &["watch_limited"][..]),
            (NoticeCode::PolarUnreachable, &["polar_unreachable", "watch_limited"]),
            (NoticeCode::PolarRefuses, &["polar_refuses", "polar_unreachable", "watch_limited"]),
            (NoticeCode::FileFound, &["polar_refuses", "polar_unreachable", "watch_limited"]),
            (NoticeCode::PolarAccepts, &["watch_limited"]),
            (NoticeCode::WatchComplete, &[]),
        ] {
            told.take(said(code, 0));
            assert_eq!(holding(&told), expected, "after {}", code.code());
        }
    }

    #[test]
    fn the_last_are_remembered_and_all_are_counted() {
        let mut told = Told::new();
        (0..50).for_each(|second| told.take(said(NoticeCode::FileFound, second)));
        assert_eq!((told.count(NoticeCode::FileFound), told.last.len()), (50, LAST));
        assert_eq!(told.last.back().map(|said| said.notice.message.as_str()), Some("at 49"));
        assert_eq!(told.count(NoticeCode::Reloaded), 0);
    }
}
