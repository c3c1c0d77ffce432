//! Files that were gone before anybody had read them. One that was compressed is found again as another file, of which
//! nothing but its name tells; so it is waited for, as long as for a stream that is lost, before its bytes are missed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rotation::rotated_from;
use super::seen::Seen;
use super::{CandidateKey, Outbox, SEARCH_LOOKS, SEARCH_TIME, Tail, miss};
use crate::agent::books::Books;
use crate::agent::border::Now;
use crate::model::{Compression, Moment, Span};

#[derive(Debug)]
pub(super) struct Vanished {
    key: CandidateKey,
    path: Arc<str>,
    /// What stood in it, as far as that was ours.
    span: Span,
    since: Moment,
    looks: u32,
}

impl Vanished {
    pub(super) fn new(key: &CandidateKey, path: &Arc<str>, span: Span, now: Now) -> Self {
        Self { key: key.clone(), path: Arc::clone(path), span, since: now.moment, looks: 0 }
    }

    fn tell_missed(&self, books: &mut Books, out: &mut Outbox) {
        miss(books, out, &self.key.0, &self.path, self.span, "vanished before it could be read");
    }
}

impl Tail {
    /// `seen`: where each file stands. One look may miss a file that is being renamed.
    /// `undecided`: sources with files of which nobody knows yet what they say.
    pub(super) fn age_vanished(
        &mut self,
        now: Now,
        seen: &Seen<'_>,
        undecided: &BTreeSet<Arc<str>>,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        self.vanished.retain_mut(|vanished| {
            if seen.get(&vanished.key).is_some() {
                return false;
            }
            vanished.looks += 1;
            let waited = vanished.looks > SEARCH_LOOKS && now.moment.since(vanished.since) >= SEARCH_TIME;
            let is_hopeless = waited && !undecided.contains(&vanished.key.0);
            if is_hopeless {
                vanished.tell_missed(books, out);
            }
            !is_hopeless
        });
    }

    /// A new file is followed: a compressed one may be what has vanished.
    pub(super) fn vanished_is_found(&mut self, source: &Arc<str>, path: &str) {
        if Compression::of_path(path).is_none() {
            return;
        }
        let is_it = |vanished: &Vanished| {
            vanished.key.0 == *source
                && std::iter::once(path).chain(rotated_from(path)).any(|from| *from == *vanished.path)
        };
        if let Some(at) = self.vanished.iter().position(is_it) {
            self.vanished.remove(at);
        }
    }

    /// Nobody will look for them any more.
    pub(in crate::agent) fn miss_vanished(&mut self, books: &mut Books, out: &mut Outbox) {
        for vanished in std::mem::take(&mut self.vanished) {
            vanished.tell_missed(books, out);
        }
    }
}
