//! Reading and mapping, by threads of their own.
//!
//! A small read costs less than waking a thread, so the loop performs it itself; a large one goes to the pool, so
//! that mapping uses other cores and the loop stays free. Either way [`perform_read`] does the work, in buffers
//! that are used again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use super::content::Content;
use super::disk::{peek_fully_at, peek_guard_before, read_fully_at, words_of};
use super::event::{Event, Reports, words_of_panic};
use crate::agent::{HEADER_BYTES, Input, ReadBytes, ReadEnd, ReadOrder};
use crate::mapping::{ReadFault, Scratch};
use crate::model::{Guard, MappedChunk};

/// A read of at most so many bytes is performed where it is asked for.
pub const INLINE_MAX_BYTES: u64 = 32 * 1024;

const STACK_BYTES: usize = 256 * 1024;

/// Memory that reads use one after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    bytes: Vec<u8>,
    scratch: Scratch,
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
    /// Whether it takes so little time that waking a thread would take more. Nobody knows that of decompression.
    #[must_use]
    pub fn is_small(&self) -> bool {
        let all = [self.file.as_deref(), self.beyond.as_deref()];
        if all.into_iter().flatten().any(Content::is_compressed) {
            return false;
        }
        let size = self.file.as_ref().and_then(|file| Some(file.file().metadata().ok()?.len())).unwrap_or(0);
        size.saturating_sub(self.order.from.0).min(u64::from(self.order.limit)) <= INLINE_MAX_BYTES
    }

    /// Reads, maps, and says so.
    #[must_use]
    pub fn perform(&self, buffers: &mut Buffers) -> Input {
        let (result, size) = match &self.file {
            Some(file) => perform_read(file, self.beyond.as_deref(), &self.order, buffers),
            None => (Err(ReadFault::Gone), 0),
        };
        Input::Mapped { read: self.order.read, result, size }
    }
}

/// One read of one file, and the file's size when it was read (0 on a fault).
pub fn perform_read(
    file: &Content,
    beyond: Option<&Content>,
    order: &ReadOrder,
    buffers: &mut Buffers,
) -> (Result<MappedChunk, ReadFault>, u64) {
    match read_and_map(file, beyond, order, buffers) {
        Ok((chunk, size)) => (Ok(chunk), size),
        Err(fault) => (Err(fault), 0),
    }
}

fn read_and_map(
    file: &Content,
    beyond: Option<&Content>,
    order: &ReadOrder,
    buffers: &mut Buffers,
) -> Result<(MappedChunk, u64), ReadFault> {
    let io_fault = |error: io::Error| ReadFault::Io(words_of(&error));
    let from = order.from.0;
    let reach = usize::try_from(from).unwrap_or(usize::MAX).min(Guard::REACH);
    let until = from.saturating_add(u64::from(order.limit));
    let size = file.size_beyond(from - reach as u64, until).map_err(io_fault)?;
    if size < from {
        return Err(ReadFault::Shrunk { size });
    }
    // What is beyond the size is most likely not there, and asking for no more keeps a small read in small memory.
    // Only where the end of the file means something must it be the end when the bytes were read.
    let there = if order.end == ReadEnd::File { u64::MAX } else { size - from };
    let wanted = usize::try_from(there.min(u64::from(order.limit))).expect("a limit fits in memory");
    let total = reach + wanted;
    if buffers.bytes.len() < total {
        buffers.bytes.resize(total, 0);
    }
    let filled = read_fully_at(file, &mut buffers.bytes[..total], from - reach as u64).map_err(io_fault)?;
    if filled < reach {
        return Err(ReadFault::Shrunk { size: from - reach as u64 + filled as u64 });
    }
    if let Some((at, _)) = order.witness {
        let seen = peek_guard_before(file, at).map_err(io_fault)?;
        order.bear_out(seen.map(|(guard, _)| guard))?;
    }
    let (before, bytes) = buffers.bytes[..filled].split_at(reach);
    // Rare: a file that names its columns, or one that another file goes on with.
    let mut header = Vec::new();
    if let Some(at) = order.carry.header {
        header = read_up_to(file, at.0, HEADER_BYTES).map_err(io_fault)?;
    }
    let mut head = Vec::new();
    if let (Some(file), Some((_, limit))) = (beyond, order.beyond) {
        head = read_up_to(file, 0, limit).map_err(io_fault)?;
    }
    let read = ReadBytes { before, bytes, header: &header, beyond: &head };
    Ok((order.map(read, &mut buffers.scratch)?, size))
}

fn read_up_to(file: &Content, from: u64, limit: u32) -> io::Result<Vec<u8>> {
    let size = if file.is_compressed() { u64::MAX } else { file.file().metadata()?.len() };
    let there = size.saturating_sub(from).min(u64::from(limit));
    let mut bytes = vec![0; usize::try_from(there).expect("a limit fits in memory")];
    let filled = peek_fully_at(file, &mut bytes, from)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Threads that read and map.
#[derive(Debug)]
pub struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(threads: u16, reports: &Reports) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=threads {
            let (queue, reports) = (Arc::clone(&queue), reports.clone());
            thread::Builder::new()
                .name(format!("floe-map-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&queue, &reports))?;
        }
        Ok(Self { jobs })
    }

    /// The answer comes as a report.
    pub fn perform(&self, job: Job) {
        // The threads end only with this sender, or after they reported that they are broken.
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>, reports: &Reports) {
    let mut buffers = Buffers::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        match catch_unwind(AssertUnwindSafe(|| job.perform(&mut buffers))) {
            Ok(input) => reports.input(input),
            Err(panic) => {
                let what = words_of_panic(panic.as_ref());
                reports.send(Event::Broken(format!(
                    "mapping broke on {:?} at byte {}: {what}",
                    job.order.path, job.order.from
                )));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use jiff::Timestamp;

    use super::*;
    use crate::agent::ReadId;
    use crate::config::Settings;
    use crate::mapping::{Rules, identity};
    use crate::model::chunk::Carry;
    use crate::model::{Offset, SourceIndex, Stop, StreamId};

    const LINE: &[u8] = b"{\"who\":\"a\",\"n\":1}\n";

    fn order(from: u64, head: &[u8], expected: Guard) -> ReadOrder {
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

    fn file_with(content: &[u8]) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Content::plain(file)
    }

    #[test]
    fn a_read_in_the_middle_of_a_file_sees_the_bytes_before() {
        let content = LINE.repeat(10);
        let from = LINE.len() * 5;
        let order = order(from as u64, LINE, Guard::at_end_of(&content[..from]));
        let (result, size) = perform_read(&file_with(&content), None, &order, &mut Buffers::default());
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
            let (result, _) = perform_read(&file_with(&LINE.repeat(lines)), None, &order, &mut buffers);
            assert_eq!(result.unwrap().lines.len(), lines);
        }
    }

    #[test]
    fn a_file_that_became_shorter_or_another_one_is_told() {
        let shrunk = order(100, LINE, Guard::NOTHING);
        let (result, size) = perform_read(&file_with(LINE), None, &shrunk, &mut Buffers::default());
        assert_eq!((result, size), (Err(ReadFault::Shrunk { size: LINE.len() as u64 }), 0));
        let from_start = order(0, LINE, Guard::NOTHING);
        let (result, _) =
            perform_read(&file_with(b"{\"who\":\"b\"}\n"), None, &from_start, &mut Buffers::default());
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
            let (result, _) = perform_read(&file_with(&content), None, &order, &mut Buffers::default());
            let expected = if is_borne_out { Ok(10) } else { Err(ReadFault::GuardDiffers) };
            assert_eq!(result.map(|chunk| chunk.lines.len()), expected, "{witness:?}");
        }
    }

    #[tokio::test]
    async fn the_pool_answers_what_it_is_asked() {
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let pool = Pool::start(2, &Reports::new(sender)).unwrap();
        let file = Arc::new(file_with(&LINE.repeat(1000)));
        for (file, lines) in [(Some(file), Ok(1000)), (None, Err(ReadFault::Gone))] {
            pool.perform(Job { file, beyond: None, order: Box::new(order(0, LINE, Guard::NOTHING)) });
            let Some(Event::Input(input)) = events.recv().await else { panic!("an answer was due") };
            let Input::Mapped { result, .. } = *input else { panic!("an answer was due") };
            assert_eq!(result.map(|chunk| chunk.lines.len()), lines);
        }
    }
}
