//! Looking for a segment's events at Polar: by the key that they carry, or by what they say.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Reconciling;
use super::strangers::{self, Stranger};
use crate::agent::reconcile::{Comparison, Found, Sheet};
use crate::polar::reads::EventQuery;
use crate::polar::stored::EventSource;

/// So many times are asked for one by one.
const FEW_TIMES: usize = 20;

impl Reconciling<'_> {
    /// What Polar has under the segment's name, but for what is wanted.
    pub(super) fn ask(&mut self, segment: &str, sheet: &mut Sheet) -> Result<Vec<Stranger>, String> {
        let Some(key) = self.key.clone() else {
            self.ask_by_content(sheet, None, Found::Yes)?;
            return Ok(Vec::new());
        };
        let query = EventQuery {
            source: Some(EventSource::User),
            metadata: vec![(key.clone(), segment.to_owned())],
            ..EventQuery::default()
        };
        let mut comparison = Comparison::new(sheet);
        let mut strangers = Vec::new();
        self.asker.each(self.runtime, &query, |event| {
            let ways = strangers::ways_of(&event, Some(&key));
            if !comparison.found(&ways, Found::Yes) {
                strangers.push(Stranger::of(event, ways));
            }
        })?;
        Ok(strangers)
    }

    /// Events of before the key was set are there without it.
    pub(super) fn ask_without_key(&mut self, sheet: &mut Sheet) -> Result<(), String> {
        let key = self.key.clone();
        self.ask_by_content(sheet, key.as_deref(), Found::WithoutKey)
    }

    /// Looks for what is missing by name and time. Events that carry `unless_with` are left to their segments.
    fn ask_by_content(
        &mut self,
        sheet: &mut Sheet,
        unless_with: Option<&str>,
        as_what: Found,
    ) -> Result<(), String> {
        let queries = queries_by_content(sheet);
        let mut comparison = Comparison::new(sheet);
        for query in queries {
            self.asker.each(self.runtime, &query, |event| {
                if unless_with.is_none_or(|key| !event.metadata.contains_key(key)) {
                    let ways = strangers::ways_of(&event, unless_with);
                    comparison.found(&ways, as_what);
                }
            })?;
        }
        Ok(())
    }
}

/// What asks for the events that are missing, by their names and times: for each time where these are few.
fn queries_by_content(sheet: &Sheet) -> Vec<EventQuery> {
    let times: BTreeSet<i64> = sheet.missing().filter_map(|missing| missing.time_us).collect();
    let between = |from: i64, to: i64| EventQuery {
        source: Some(EventSource::User),
        names: sheet.names(),
        since: Timestamp::from_microsecond(from).ok(),
        until: Timestamp::from_microsecond(to).ok(),
        ..EventQuery::default()
    };
    match (times.first(), times.last()) {
        (Some(first), Some(last)) if times.len() > FEW_TIMES => vec![between(*first, *last)],
        _ => times.iter().map(|time| between(*time, *time)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::reconcile::Says;
    use crate::model::Offset;

    #[test]
    fn few_times_are_asked_for_one_by_one_and_many_as_a_span() {
        let queries = |count: i64| {
            let mut sheet = Sheet::default();
            for second in 0..count {
                let says = Says { name: 0, customer: 0, time: 1, metadata: 0 };
                let time = Timestamp::from_second(second).ok();
                sheet.add(Offset(0), 0, says, ("c".into(), "use".into()), time, true);
            }
            queries_by_content(&sheet)
        };
        assert_eq!(queries(0), []);
        let few = queries(2);
        assert!(
            few.len() == 2 && few.iter().all(|query| query.since == query.until && query.names == ["use"])
        );
        let many = queries(100);
        let (since, until) = (Timestamp::from_second(0).ok(), Timestamp::from_second(99).ok());
        assert_eq!((many.len(), many[0].since, many[0].until), (1, since, until));
    }
}
