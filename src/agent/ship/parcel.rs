//! One request's worth of events, and how it comes apart.
//!
//! A line's events never split over parcels, and a parcel's body is the same on each try: two requests with
//! the same ids in another order could deadlock in Polar's database.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::agent::books::{ChunkId, LineId};
use crate::agent::border::RequestId;
use crate::model::{BilledLine, Moment};
use crate::polar::Body;
use crate::polar::request::{BODY_PREFIX, BODY_SUFFIX};

/// Mapped events of one chunk that wait to be packed.
#[derive(Debug)]
pub(super) struct Load {
    pub chunk: ChunkId,
    /// The place among the chunk's billed lines of `lines[0]`.
    pub first: u32,
    pub events: Events,
    pub lines: Arc<[BilledLine]>,
    /// The first line of `lines` that is not packed yet.
    pub next: usize,
    pub since: Moment,
    /// Never sent before by this state, as far as can be known.
    pub fresh: bool,
    pub natural_ids: bool,
}

/// Events in the order of their lines, from the first one on that is not packed yet.
#[derive(Debug)]
pub(super) struct Events {
    /// No line's events stand in two of them.
    pieces: VecDeque<Bytes>,
    /// Bytes before the first piece.
    before: usize,
}

impl Events {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        Self { pieces: pieces.into(), before: 0 }
    }

    /// The piece where the bytes from `start` to `end` stand, and their place in it. Those before are let go.
    fn piece_of(&mut self, start: usize, end: usize) -> (&Bytes, Range<usize>) {
        while self.pieces.len() > 1 && start >= self.before + self.pieces[0].len() {
            self.before += self.pieces[0].len();
            self.pieces.pop_front();
        }
        (&self.pieces[0], start - self.before..end - self.before)
    }
}

impl Load {
    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.lines[before].body_end as usize)
    }

    /// Events not packed yet.
    pub(super) fn events_left(&self) -> u64 {
        self.lines[self.next..].iter().map(|line| u64::from(line.events)).sum()
    }

    /// Bytes not packed yet.
    pub(super) fn bytes_left(&self) -> usize {
        self.start_of(self.lines.len()) - self.start_of(self.next)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParcelLine {
    pub id: LineId,
    /// Where the line's events end in the parcel's body, after their `,` (or where it would stand).
    pub body_end: u32,
    /// Events of the parcel up to and with this line's.
    pub events_end: u32,
}

/// A line that Polar named in a 422 for a reason that Floe cannot judge. It is condemned once the others of
/// its parcel have succeeded without it.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    pub id: LineId,
    pub events: Bytes,
    /// How many events that are.
    pub count: u32,
    pub detail: String,
}

/// What speaks for it that a parcel fails by its data's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// The next request when the suspicion began, with the parcel that this one came out of.
    pub first: RequestId,
    /// The next request when it failed last (or was split off).
    pub since: RequestId,
    /// How often it failed after another request, sent since its failure before, had passed.
    pub rounds: u32,
    /// Successes and failures that the ship had counted when the suspicion began.
    pub successes_before: u64,
    pub failures_before: u64,
}

#[derive(Debug)]
pub(super) struct Parcel {
    pub body: Body,
    pub lines: Vec<ParcelLine>,
    pub fresh: bool,
    pub natural_ids: bool,
    /// An earlier try may have been committed.
    pub maybe_sent: bool,
    /// Failed tries.
    pub failures: u32,
    pub not_before: Moment,
    pub suspicion: Option<Suspicion>,
    /// It came out of a larger one, and that was told.
    pub is_part: bool,
    pub aside: Vec<Aside>,
}

impl Parcel {
    pub(super) fn events(&self) -> u32 {
        self.lines.last().map_or(0, |line| line.events_end)
    }

    /// The line's events, separated by `,`.
    pub(super) fn events_of(&self, index: usize) -> Bytes {
        let start = self.start_of(index);
        let end = self.lines[index].body_end as usize - 1;
        self.body.slice(start, end)
    }

    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(BODY_PREFIX.len(), |before| self.lines[before].body_end as usize)
    }

    /// The place of the line that the event belongs to.
    pub(super) fn line_of(&self, event: u32) -> Option<usize> {
        let index = self.lines.partition_point(|line| line.events_end <= event);
        (index < self.lines.len()).then_some(index)
    }

    /// A parcel of some of this one's lines, in their order; `None` for none. It inherits what is known of
    /// earlier tries, but no suspicion.
    pub(super) fn of(&self, wanted: impl Iterator<Item = usize>) -> Option<Self> {
        let lines =
            wanted.map(|index| (self.lines[index].id, self.events_of(index), self.count_of(index))).collect();
        self.heir(lines)
    }

    /// A parcel of lines that were set aside from this one; `None` for none.
    pub(super) fn of_aside(&self, aside: &[Aside]) -> Option<Self> {
        self.heir(aside.iter().map(|aside| (aside.id, aside.events.clone(), aside.count)).collect())
    }

    /// Its events are copied: what is left of a parcel may stay for long, and would keep all that stands beside it.
    fn heir(&self, lines: Vec<(LineId, Bytes, u32)>) -> Option<Self> {
        let pieces: Vec<&[u8]> = lines.iter().flat_map(|(_, events, _)| [&events[..], b","]).collect();
        let text = Bytes::from(pieces.concat());
        let mut packing = Packing::default();
        let mut start = 0;
        for (id, events, count) in lines {
            let end = start + events.len() + 1;
            packing.add(id, (&text, start..end), count);
            start = end;
        }
        let parcel = packing.seal()?;
        Some(Self {
            fresh: self.fresh,
            natural_ids: self.natural_ids,
            maybe_sent: self.maybe_sent,
            is_part: self.is_part,
            ..parcel
        })
    }

    /// Events of the line.
    pub(super) fn count_of(&self, index: usize) -> u32 {
        let before = index.checked_sub(1).map_or(0, |before| self.lines[before].events_end);
        self.lines[index].events_end - before
    }

    /// Bytes of the events, with a comma after each.
    pub(super) fn event_bytes(&self) -> usize {
        self.body.len() + 1 - BODY_PREFIX.len() - BODY_SUFFIX.len()
    }

    /// Two parcels of half the lines each. Only for more than one line.
    pub(super) fn halve(&self) -> (Self, Self) {
        let half = self.lines.len() / 2;
        let first = self.of(0..half).expect("a half of several lines is not empty");
        let second = self.of(half..self.lines.len()).expect("a half of several lines is not empty");
        (first, second)
    }
}

/// A parcel while it is filled.
#[derive(Debug)]
struct Packing {
    body: Body,
    /// What goes on with `body`, and may become longer.
    last: Option<(Bytes, Range<usize>)>,
    lines: Vec<ParcelLine>,
    fresh: bool,
    natural_ids: bool,
}

impl Default for Packing {
    fn default() -> Self {
        let body = Body::from(Bytes::from_static(BODY_PREFIX));
        Self { body, last: None, lines: Vec::new(), fresh: true, natural_ids: false }
    }
}

impl Packing {
    fn events(&self) -> u32 {
        self.lines.last().map_or(0, |line| line.events_end)
    }

    /// In bytes.
    fn len(&self) -> usize {
        self.body.len() + self.last.as_ref().map_or(0, |(_, events)| events.len())
    }

    /// `events`, with a comma after each, are a part of a piece.
    fn add(&mut self, id: LineId, (piece, events): (&Bytes, Range<usize>), count: u32) {
        match &mut self.last {
            Some((last, taken)) if last.as_ptr() == piece.as_ptr() && taken.end == events.start => {
                taken.end = events.end;
            }
            _ => {
                self.end_piece();
                self.last = Some((piece.clone(), events));
            }
        }
        let body_end = u32::try_from(self.len()).expect("a body is far below 4 GiB");
        self.lines.push(ParcelLine { id, body_end, events_end: self.events() + count });
    }

    fn end_piece(&mut self) {
        if let Some((piece, events)) = self.last.take() {
            self.body.push(piece.slice(events));
        }
    }

    fn seal(mut self) -> Option<Parcel> {
        let (piece, events) = self.last.as_mut()?;
        debug_assert_eq!(piece[events.end - 1], b',', "each line's events end with a comma");
        events.end -= 1;
        self.end_piece();
        self.body.push(Bytes::from_static(BODY_SUFFIX));
        Some(Parcel {
            body: self.body,
            lines: self.lines,
            fresh: self.fresh,
            natural_ids: self.natural_ids,
            maybe_sent: false,
            failures: 0,
            not_before: Moment::START,
            suspicion: None,
            is_part: false,
            aside: Vec::new(),
        })
    }
}

/// Packs lines from the front of `loads` until `max_events` or `max_bytes` is reached (one line may go past
/// either). Emptied loads are removed.
pub(super) fn pack(loads: &mut VecDeque<Load>, max_events: u32, max_bytes: usize) -> Option<Parcel> {
    let mut packing = Packing::default();
    'full: while let Some(load) = loads.front_mut() {
        while let Some(line) = load.lines.get(load.next) {
            let (start, end) = (load.start_of(load.next), line.body_end as usize);
            let packed = packing.events();
            let fits = packed + u32::from(line.events) <= max_events
                && packing.len() + (end - start) + BODY_SUFFIX.len() <= max_bytes;
            if !fits && packed > 0 {
                break 'full;
            }
            let id =
                LineId { chunk: load.chunk, line: load.first + u32::try_from(load.next).expect("few lines") };
            packing.add(id, load.events.piece_of(start, end), u32::from(line.events));
            load.next += 1;
        }
        packing.fresh &= load.fresh;
        packing.natural_ids |= load.natural_ids;
        loads.pop_front();
    }
    if let Some(load) = loads.front().filter(|load| load.next > 0) {
        packing.fresh &= load.fresh;
        packing.natural_ids |= load.natural_ids;
    }
    packing.seal()
}

/// The latest timestamp of some events separated by `,`.
pub(super) fn latest_timestamp(events: &[u8]) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Timed {
        timestamp: Option<Timestamp>,
    }
    let events: Vec<Timed> = serde_json::from_slice(&[b"[", events, b"]"].concat()).ok()?;
    events.into_iter().filter_map(|event| event.timestamp).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StreamId;

    fn load(number: u64, events: &[&str]) -> Load {
        let chunk = ChunkId { stream: StreamId(1), number };
        // Two lines in a piece.
        let texts = events.chunks(2).map(|pair| pair.join(",") + ",");
        let pieces = texts.map(Bytes::from).collect();
        let mut body_end = 0;
        let mut lines = Vec::new();
        for event in events {
            body_end += event.len() as u32 + 1;
            lines.push(BilledLine { at: 0, len: 1, body_end, events: 1, rule: 0 });
        }
        Load {
            chunk,
            first: 0,
            events: Events::new(pieces),
            lines: lines.into(),
            next: 0,
            since: Moment::START,
            fresh: true,
            natural_ids: false,
        }
    }

    fn text(parcel: &Parcel) -> String {
        assert_eq!(parcel.body.len(), parcel.event_bytes() - 1 + BODY_PREFIX.len() + BODY_SUFFIX.len());
        String::from_utf8(parcel.body.to_bytes().to_vec()).unwrap()
    }

    fn bodies(loads: &mut VecDeque<Load>, max_events: u32, max_bytes: usize) -> Vec<String> {
        std::iter::from_fn(|| pack(loads, max_events, max_bytes)).map(|parcel| text(&parcel)).collect()
    }

    #[test]
    fn lines_are_packed_in_order_up_to_the_bounds() {
        let mut loads = VecDeque::from([load(0, &["{1}", "{2}", "{3}"]), load(1, &["{4}"])]);
        assert_eq!(bodies(&mut loads, 2, 1000), [r#"{"events":[{1},{2}]}"#, r#"{"events":[{3},{4}]}"#]);
        let mut loads = VecDeque::from([load(0, &["{1}", "{2}", "{3}"])]);
        assert_eq!(bodies(&mut loads, 10, 18).len(), 3, "one line goes past the bound of bytes");
    }

    #[test]
    fn a_body_has_as_many_pieces_as_it_must() {
        let mut loads = VecDeque::from([load(0, &["{1}", "{2}", "{3}", "{4}"]), load(1, &["{5}"])]);
        let parcel = pack(&mut loads, 5, 1000).unwrap();
        assert_eq!(text(&parcel), r#"{"events":[{1},{2},{3},{4},{5}]}"#);
        let pieces: Vec<_> = parcel.body.pieces().iter().map(|piece| &piece[..]).collect();
        assert_eq!(pieces, [BODY_PREFIX, b"{1},{2},", b"{3},{4},", b"{5}", BODY_SUFFIX]);
        let odd = parcel.of([0, 2, 4].into_iter()).unwrap();
        assert_eq!(text(&odd), r#"{"events":[{1},{3},{5}]}"#);
        assert_eq!(odd.body.pieces().len(), 3, "what is left of it keeps nothing else");
    }

    #[test]
    fn a_parcel_comes_apart_into_the_same_events() {
        let mut loads = VecDeque::from([load(0, &["{1}", "{2}", "{3}"])]);
        let parcel = pack(&mut loads, 10, 1000).unwrap();
        let (first, second) = parcel.halve();
        assert_eq!(text(&first), r#"{"events":[{1}]}"#);
        assert_eq!(text(&second), r#"{"events":[{2},{3}]}"#);
        assert_eq!(second.line_of(1), Some(1));
        assert_eq!(second.line_of(2), None);
        assert_eq!(&second.events_of(0)[..], b"{2}");
        assert_eq!(second.lines[1].id.line, 2);
    }
}
