//! What is missing or altered, by its lines: named, and sent again where that is wanted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::report::{Mended, Own};
use super::strangers::Stranger;
use super::{Reconciling, Stream};
use crate::agent::ErrandLine;
use crate::agent::ErrandVerdict;
use crate::agent::reconcile::{Found, Part, Sheet};
use crate::model::Offset;
use crate::shell::recount::{Buffers, PieceLine, events_of};

/// Lines that are sent together.
const LINES_TOGETHER: usize = 1000;

/// Events of one stream that are to be named, by their lines and their places among the events of those.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<Offset, Vec<(u16, How)>>);

#[derive(Debug, Clone)]
enum How {
    Missing,
    /// It is there with this id of Polar's, and says something else there.
    Altered {
        part: Part,
        id: String,
    },
}

impl Wanted {
    pub fn take(&mut self, sheet: &Sheet, strangers: &[Stranger], origins: &[Option<usize>]) {
        for missing in sheet.missing() {
            self.0.entry(missing.line).or_default().push((missing.number, How::Missing));
        }
        for (stranger, origin) in strangers.iter().zip(origins) {
            let Some(expected) = origin.map(|origin| &sheet.expected[origin]) else { continue };
            if let Found::But(part) = expected.found {
                let how = How::Altered { part, id: stranger.id.clone() };
                self.0.entry(expected.line).or_default().push((expected.number, how));
            }
        }
    }
}

impl Reconciling<'_> {
    /// Reads the lines once more, names their events and, where that is wanted, sends them.
    pub(super) fn name_and_mend(&mut self, stream: &Stream, wanted: &Wanted) {
        let Some((last, _)) = wanted.0.last_key_value() else { return };
        let recount = self.recount;
        let mends = self.options.fix && !self.report.began_later.contains(&stream.source);
        let mut lines = Vec::new();
        let mut buffers = Buffers::default();
        // What could not be read was said when it was compared.
        let _ = recount.read(stream, &mut buffers, |piece| {
            for line in &piece.lines {
                if let Some(events) = wanted.0.get(&line.at) {
                    let errand = self.name(stream, line, events);
                    lines.extend(mends.then_some(errand));
                }
            }
            if lines.len() >= LINES_TOGETHER {
                self.send(std::mem::take(&mut lines));
            }
            if piece.span.end > *last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.send(lines);
    }

    /// Gives what is to be sent of the line.
    fn name(&mut self, stream: &Stream, line: &PieceLine, wanted: &[(u16, How)]) -> ErrandLine {
        let mut errand = ErrandLine { body: Vec::new(), events: 0, natural_ids: true };
        let events = events_of(&line.body);
        for (number, how) in wanted {
            let (event, json) = &events[usize::from(*number)];
            errand.body.extend_from_slice(json.as_bytes());
            errand.body.push(b',');
            errand.events += 1;
            let (list, differs, polar_id) = match how {
                How::Missing => (&mut self.report.missing, None, None),
                How::Altered { part, id } => (&mut self.report.altered, Some(part.word()), Some(id.clone())),
            };
            if list.len() < self.options.most_named {
                list.push(Own {
                    source: stream.source.clone(),
                    path: stream.path.clone(),
                    offset: line.at.0,
                    external_id: event.external_id.to_string(),
                    name: event.name.to_string(),
                    customer: event.customer().to_owned(),
                    timestamp: event.timestamp,
                    differs,
                    polar_id,
                });
            }
        }
        errand
    }

    /// Sends lines with the ids that they had. An altered event goes with the missing ones: should it be another, after
    /// all, Polar takes it, and else it knows the id.
    fn send(&mut self, lines: Vec<ErrandLine>) {
        let (Some(courier), Some(mended)) = (&mut self.courier, &mut self.report.mended) else { return };
        if lines.is_empty() || courier.given_up().is_some() {
            mended.refused += lines.len() as u64;
            return;
        }
        let before = courier.counted();
        let verdicts = self.runtime.block_on(courier.deliver(lines));
        let after = courier.counted();
        mended.sent += after.inserted - before.inserted;
        mended.had_already += after.duplicates - before.duplicates;
        for verdict in verdicts {
            match verdict {
                ErrandVerdict::Billed => {}
                ErrandVerdict::Condemned { reason, detail, .. } => {
                    refuse(mended, format!("{reason}: {detail}"));
                }
                ErrandVerdict::Future => refuse(mended, "it is of the future of Polar's clock".to_owned()),
                ErrandVerdict::GivenUp => {
                    let why = courier.given_up().unwrap_or("nothing was decided any more").to_owned();
                    refuse(mended, why);
                }
            }
        }
    }
}

fn refuse(mended: &mut Mended, why: String) {
    mended.refused += 1;
    mended.why = Some(why);
}
