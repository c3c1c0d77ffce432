//! Reading and mapping, in buffers that are used again.
//!
//! A small read costs less than waking a thread, so the loop performs it itself; a large one goes to the pool, so
//! that mapping uses other cores and the loop stays free.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use super::disk::{peek_fully_at, peek_guard_before, read_fully_at, words_of};
use crate::agent::{HEADER_BYTES, Input, ReadBytes, ReadEnd, ReadOrder};
use crate::mapping::{ReadFault, Scratch};
use crate::model::chunk::Carry;
use crate::model::{Guard, MappedChunk, Offset, Spare};

/// A read of at most so many bytes is performed where it is asked for.
pub const INLINE_MAX_BYTES: u64 = 32 * 1024;

/// Few lines are longer, so that the start of one is found so far back.
const LINE_USUALLY: u64 = 4096;

/// Memory that reads use one after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    bytes: Vec<u8>,
    scratch: Scratch,
}

impl Buffers {
    /// What is mapped goes to buffers of `spare`.
    #[must_use]
    pub fn new(spare: Spare) -> Self {
        Self { bytes: Vec::new(), scratch: Scratch::new(spare) }
    }
}

/// A read to perform. `file` is `None` when the stream is not open any more.
#[derive(Debug)]
pub struct Job {
    pub file: Option<Arc<Content>>,
    /// The file of [`ReadOrder::beyond`], while it is open.
    pub beyond: Option<Arc<Content>>,
    pub order: Box<ReadOrder>,
}

impl Job {
    /// The file's size, where the read takes so little time that waking a thread would take more. Nobody knows that of
    /// decompression.
    #[must_use]
    pub fn size_if_small(&self) -> Option<u64> {
        let all = [self.file.as_deref(), self.beyond.as_deref()];
        if all.into_iter().flatten().any(Content::is_compressed) {
            return None;
        }
        let size = self.file.as_ref()?.file().metadata().ok()?.len();
        let there = size.saturating_sub(self.order.from.0).min(u64::from(self.order.limit));
        (there <= INLINE_MAX_BYTES).then_some(size)
    }

    /// Reads, maps, and says so. `size`: of the file, where it was told just now.
    #[must_use]
    pub fn perform(&self, size: Option<u64>, buffers: &mut Buffers) -> Input {
        let (result, size) = self.read_and_map(size, buffers, || ());
        Input::Mapped { read: self.order.read, result, size }
    }

    /// Reads, waits for its `turn`, and maps. With the file's size when it was read (0 on a fault).
    pub(super) fn read_and_map<Turn>(
        &self,
        size: Option<u64>,
        buffers: &mut Buffers,
        turn: impl FnOnce() -> Turn,
    ) -> (Result<MappedChunk, ReadFault>, u64) {
        let Some(file) = &self.file else { return (Err(ReadFault::Gone), 0) };
        let taken = match take(file, self.beyond.as_deref(), &self.order, size, buffers) {
            Ok(taken) => taken,
            Err(fault) => return (Err(fault), 0),
        };
        let _turn = turn();
        match taken.map(&self.order, buffers) {
            Ok(chunk) => (Ok(chunk), taken.size),
            Err(fault) => (Err(fault), 0),
        }
    }

    /// Whether it can only be read forwards.
    pub(super) fn is_compressed(&self) -> bool {
        self.file.as_deref().is_some_and(Content::is_compressed)
    }

    /// The same for what stands behind `chunk`: `None`, where that cannot be read now.
    pub(super) fn read_and_map_behind<Turn>(
        &self,
        chunk: &Behind,
        buffers: &mut Buffers,
        turn: impl FnOnce() -> Turn,
    ) -> Option<(MappedChunk, u64)> {
        let order = ReadOrder {
            from: chunk.end,
            expected: Some(chunk.guard),
            carry: chunk.carry,
            witness: None,
            ahead: None,
            ..(*self.order).clone()
        };
        let taken = take(self.file.as_deref()?, None, &order, None, buffers).ok()?;
        let _turn = turn();
        Some((taken.map(&order, buffers).ok()?, taken.size))
    }

    /// The same for a part of what is ahead: `None`, where it cannot be mapped by itself.
    pub(super) fn read_and_map_part<Turn>(
        &self,
        part: u32,
        buffers: &mut Buffers,
        turn: impl FnOnce() -> Turn,
    ) -> Option<MappedChunk> {
        let (order, taken) = take_part(self.file.as_deref()?, &self.order, part, buffers)?;
        let _turn = turn();
        taken.map(&order, buffers).ok()
    }
}

/// Where a chunk ended, and what is known there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    end: Offset,
    guard: Guard,
    carry: Carry,
}

impl Behind {
    /// `None`, where nothing was consumed.
    pub(super) fn of(chunk: &MappedChunk) -> Option<Self> {
        Some(Self { end: chunk.span?.end, guard: chunk.after, carry: chunk.carry })
    }
}

/// What a read took: the bytes are in the buffers.
struct Taken {
    /// Up to [`Guard::REACH`] bytes before the asked ones, and where those end.
    before: Range<usize>,
    until: usize,
    size: u64,
    header: Vec<u8>,
    beyond: Vec<u8>,
}

impl Taken {
    fn map(&self, order: &ReadOrder, buffers: &mut Buffers) -> Result<MappedChunk, ReadFault> {
        let Buffers { bytes, scratch } = buffers;
        let read = ReadBytes {
            before: &bytes[self.before.clone()],
            bytes: &bytes[self.before.end..self.until],
            header: &self.header,
            beyond: &self.beyond,
        };
        let mut chunk = order.map(read, scratch)?;
        scratch.seal(&mut chunk);
        Ok(chunk)
    }
}

impl Buffers {
    fn of_size(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        &mut self.bytes[..size]
    }
}

fn take(
    file: &Content,
    beyond: Option<&Content>,
    order: &ReadOrder,
    size: Option<u64>,
    buffers: &mut Buffers,
) -> Result<Taken, ReadFault> {
    let io_fault = |error: io::Error| ReadFault::Io(words_of(&error));
    let from = order.from.0;
    let reach = usize::try_from(from).unwrap_or(usize::MAX).min(Guard::REACH);
    let until = from.saturating_add(u64::from(order.limit));
    let size = match size {
        Some(size) => size,
        None => file.size_beyond(from - reach as u64, until).map_err(io_fault)?,
    };
    if size < from {
        return Err(ReadFault::Shrunk { size });
    }
    // What is beyond the size is most likely not there, and asking for no more keeps a small read in small memory.
    // Only where the end of the file means something must it be the end when the bytes were read.
    let there = if order.end == ReadEnd::File { u64::MAX } else { size - from };
    let wanted = usize::try_from(there.min(u64::from(order.limit))).expect("a limit fits in memory");
    let bytes = buffers.of_size(reach + wanted);
    let filled = read_fully_at(file, bytes, from - reach as u64).map_err(io_fault)?;
    if filled < reach {
        return Err(ReadFault::Shrunk { size: from - reach as u64 + filled as u64 });
    }
    if let Some((at, _)) = order.witness {
        let seen = peek_guard_before(file, at).map_err(io_fault)?;
        order.bear_out(seen.map(|(guard, _)| guard))?;
    }
    // Rare: a file that names its columns, or one that another file goes on with.
    let mut header = Vec::new();
    if let Some(at) = order.carry.header {
        header = read_up_to(file, at.0, HEADER_BYTES).map_err(io_fault)?;
    }
    let mut head = Vec::new();
    if let (Some(file), Some((_, limit))) = (beyond, order.beyond) {
        head = read_up_to(file, 0, limit).map_err(io_fault)?;
    }
    Ok(Taken { before: 0..reach, until: filled, size, header, beyond: head })
}

/// Reads a part of what is ahead, with the beginning of the line that it begins in: a line belongs to the part in which
/// it ends. `None`, where it is not all there, or the line began before the part before.
fn take_part(
    file: &Content,
    order: &ReadOrder,
    part: u32,
    buffers: &mut Buffers,
) -> Option<(ReadOrder, Taken)> {
    let limit = u64::from(order.limit);
    let start = order.from.0 + u64::from(part) * limit;
    let end = start + limit;
    for back in [LINE_USUALLY.min(limit), limit] {
        let base = (start - back).saturating_sub(Guard::REACH as u64);
        let place = |at: u64| usize::try_from(at - base).expect("a limit fits in memory");
        let bytes = buffers.of_size(place(end));
        let filled = read_fully_at(file, bytes, base).ok()?;
        if filled < place(end) {
            return None;
        }
        let searched = place(start - back)..place(start);
        if let Some(newline) = memchr::memrchr(b'\n', &bytes[searched.clone()]) {
            let line = searched.start + newline + 1;
            let from = Offset(base + line as u64);
            let part = ReadOrder {
                from,
                limit: u32::try_from(end - from.0).expect("a part is at most two limits long"),
                expected: None,
                witness: None,
                ahead: None,
                ..order.clone()
            };
            let before = line.saturating_sub(Guard::REACH)..line;
            let (header, beyond) = (Vec::new(), Vec::new());
            return Some((part, Taken { before, until: filled, size: 0, header, beyond }));
        }
    }
    None
}

fn read_up_to(file: &Content, from: u64, limit: u32) -> io::Result<Vec<u8>> {
    let size = if file.is_compressed() { u64::MAX } else { file.file().metadata()?.len() };
    let there = size.saturating_sub(from).min(u64::from(limit));
    let mut bytes = vec![0; usize::try_from(there).expect("a limit fits in memory")];
    let filled = peek_fully_at(file, &mut bytes, from)?;
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use jiff::Timestamp;

    use super::*;
    use crate::agent::ReadId;
    use crate::config::Settings;
    use crate::mapping::{Rules, identity};
    use crate::model::{SourceIndex, Stop, StreamId};

    pub(in crate::shell) const LINE: &[u8] = b"{\"who\":\"a\",\"n\":1}\n";

    pub(in crate::shell) fn order(from: u64, head: &[u8], expected: Guard) -> ReadOrder {
        let settings = Settings::from_toml(
            "version = 1\nstate_dir = \"/nowhere\"\n[[sources]]\nid = \"app\"\ninclude = [\"/logs/*.log\"]\n\
             format = \"json\"\n[[rules]]\nid = \"use\"\nwhen = { who = \"a\" }\n[rules.event]\nname = \"use\"\n\
             external_customer_id = \"{who}\"\n",
        )
        .map_err(|faults| faults.render(false))
        .unwrap();
        let rules = Arc::new(Rules::compile(&settings));
        ReadOrder {
            read: ReadId(1),
            stream: StreamId(1),
            from: Offset(from),
            print: identity::print_of_head(head, &settings.sources[0].format).unwrap(),
            limit: 1 << 20,
            room: 1 << 20,
            ahead: None,
            expected: Some(expected),
            witness: None,
            long_line: None,
            end: ReadEnd::More,
            carry: Carry::default(),
            beyond: None,
            rules,
            source: SourceIndex(0),
            stream_key: [0; 32],
            ordinal: 0,
            path: "/logs/app.log".into(),
            captures: Arc::default(),
            polar_now: Timestamp::UNIX_EPOCH,
        }
    }

    pub(in crate::shell) fn file_with(content: &[u8]) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Content::plain(file)
    }

    fn perform_read(
        file: Content,
        order: ReadOrder,
        buffers: &mut Buffers,
    ) -> (Result<MappedChunk, ReadFault>, u64) {
        let job = Job { file: Some(Arc::new(file)), beyond: None, order: Box::new(order) };
        job.read_and_map(None, buffers, || ())
    }

    #[test]
    fn a_read_in_the_middle_of_a_file_sees_the_bytes_before() {
        let content = LINE.repeat(10);
        let from = LINE.len() * 5;
        let order = order(from as u64, LINE, Guard::at_end_of(&content[..from]));
        let (result, size) = perform_read(file_with(&content), order, &mut Buffers::default());
        let chunk = result.unwrap();
        assert_eq!(
            (chunk.lines.len(), chunk.stop, size),
            (5, Stop::BytesEnd { partial: 0, rests: false }, content.len() as u64)
        );
    }

    #[test]
    fn buffers_keep_nothing_of_the_read_before() {
        let mut buffers = Buffers::default();
        let order = order(0, LINE, Guard::NOTHING);
        for lines in [10, 2, 5] {
            let (result, _) = perform_read(file_with(&LINE.repeat(lines)), order.clone(), &mut buffers);
            assert_eq!(result.unwrap().lines.len(), lines);
        }
    }

    #[test]
    fn a_file_that_became_shorter_or_another_one_is_told() {
        let shrunk = order(100, LINE, Guard::NOTHING);
        let (result, size) = perform_read(file_with(LINE), shrunk, &mut Buffers::default());
        assert_eq!((result, size), (Err(ReadFault::Shrunk { size: LINE.len() as u64 }), 0));
        let from_start = order(0, LINE, Guard::NOTHING);
        let (result, _) = perform_read(file_with(b"{\"who\":\"b\"}\n"), from_start, &mut Buffers::default());
        assert_eq!(result, Err(ReadFault::GuardDiffers));
    }

    #[test]
    fn a_witness_must_bear_the_file_out() {
        let content = LINE.repeat(10);
        let at = LINE.len() * 5;
        let seen = Guard::at_end_of(&content[..at]);
        let beyond = content.len() + 1;
        for (at, guard, is_borne_out) in [
            (at, seen, true),
            (at, Guard { print: seen.print + 1, ..seen }, false),
            (0, Guard::NOTHING, true),
            (beyond, seen, false),
        ] {
            let witness = Some((Offset(at as u64), guard));
            let order = ReadOrder { witness, ..order(0, LINE, Guard::NOTHING) };
            let (result, _) = perform_read(file_with(&content), order, &mut Buffers::default());
            let expected = if is_borne_out { Ok(10) } else { Err(ReadFault::GuardDiffers) };
            assert_eq!(result.map(|chunk| chunk.lines.len()), expected, "{witness:?}");
        }
    }
}
