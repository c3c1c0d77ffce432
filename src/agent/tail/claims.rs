//! Which of the lost streams a candidate is, where several agree with it.
//!
//! What tells them is how far each is known to agree. Up to where a stream was settled says little: behind that more of it
//! may have been sent, and what was not read at all agrees with every file that begins so.

use std::collections::BTreeMap;

use crate::model::{Guard, Mark, Offset, StreamId};

/// The last place that is remembered of a stream and stands in the file as well.
pub(super) fn agreed_until(tales: &[Mark], told: &BTreeMap<Offset, Option<Guard>>) -> Offset {
    let agreed = tales.iter().filter(|(at, guard)| told.get(at) == Some(&Some(*guard)));
    agreed.map(|(at, _)| *at).max().unwrap_or(Offset::ZERO)
}

/// A stream that agrees: up to where, and up to where it was settled. The furthest is the greatest.
type Claim = (Offset, Offset, StreamId);

/// The furthest claim of each kind.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// All that was read of it is there.
    same: Option<Claim>,
    /// So it is, and more is known to have stood in its file: a fuller copy may come.
    fuller: Option<Claim>,
    /// It is given up, and was read further than the file goes.
    beginning: Option<Claim>,
}

impl Claims {
    pub(super) fn is(&mut self, claim: Claim) {
        self.same = self.same.max(Some(claim));
    }

    pub(super) fn may_come_fuller(&mut self, claim: Claim) {
        self.fuller = self.fuller.max(Some(claim));
    }

    pub(super) fn is_beginning_of(&mut self, claim: Claim) {
        self.beginning = self.beginning.max(Some(claim));
    }

    /// The stream that the candidate is, with how far it agrees. `Err`: whom it may be, and has to wait for.
    pub(super) fn decide(&self) -> Result<Option<(Offset, StreamId)>, StreamId> {
        let Some((agreed, _, stream)) = self.same else {
            let awaited = self.beginning.or(self.fuller);
            return awaited.map_or(Ok(None), |(_, _, stream)| Err(stream));
        };
        let further = self.fuller.max(self.beginning).filter(|(until, _, _)| *until > agreed);
        further.map_or(Ok(Some((agreed, stream))), |(_, _, stream)| Err(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNREAD: StreamId = StreamId(9);
    const READ: StreamId = StreamId(1);

    fn claim(agreed: u64, settled: u64, stream: StreamId) -> Claim {
        (Offset(agreed), Offset(settled), stream)
    }

    type Make = fn(&mut Claims, Claim);

    #[track_caller]
    fn check(claims: &[(Make, Claim)], expected: Result<Option<StreamId>, StreamId>) {
        let decided = |order: &mut dyn Iterator<Item = &(Make, Claim)>| {
            let mut all = Claims::default();
            order.for_each(|(make, claim)| make(&mut all, *claim));
            all.decide().map(|found| found.map(|(_, stream)| stream))
        };
        assert_eq!(decided(&mut claims.iter()), expected, "{claims:?}");
        assert_eq!(decided(&mut claims.iter().rev()), expected, "{claims:?}, the other way round");
    }

    #[test]
    fn who_agrees_furthest_is_it_however_little_of_it_was_settled() {
        let first_line = claim(28, 28, UNREAD);
        check(&[], Ok(None));
        check(&[(Claims::is, first_line)], Ok(Some(UNREAD)));
        check(&[(Claims::is, first_line), (Claims::is, claim(592, 0, READ))], Ok(Some(READ)));
        check(&[(Claims::is, claim(592, 208, UNREAD)), (Claims::is, claim(592, 300, READ))], Ok(Some(READ)));
    }

    #[test]
    fn the_first_line_alone_is_not_taken_before_what_agrees_behind_it() {
        let first_line = (Claims::is as Make, claim(28, 0, UNREAD));
        for waits in [Claims::may_come_fuller, Claims::is_beginning_of] {
            check(&[(waits, claim(592, 208, READ))], Err(READ));
            check(&[first_line, (waits, claim(592, 208, READ))], Err(READ));
            check(&[first_line, (waits, claim(28, 0, READ))], Ok(Some(UNREAD)));
            check(&[(Claims::is, claim(700, 0, UNREAD)), (waits, claim(592, 208, READ))], Ok(Some(UNREAD)));
        }
    }
}
