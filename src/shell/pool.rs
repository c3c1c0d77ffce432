//! Threads that read and map.
//!
//! There is one more of them than may map at a time, so that one reads while another maps. Several share the parts of
//! a long read; what they make of it becomes one chunk, in the order of the file.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use super::event::{Event, Reports, words_of_panic};
use super::read_ahead::ReadAhead;
use super::readers::{Behind, Buffers, Job};
use crate::agent::Input;
use crate::mapping::ReadFault;
use crate::model::{MappedChunk, Spare};

const STACK_BYTES: usize = 256 * 1024;

/// The threads.
#[derive(Debug)]
pub struct Pool {
    tasks: Sender<Arc<Task>>,
    threads: u32,
    spare: Spare,
}

impl Pool {
    /// `mapping`: how many may map at a time.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(mapping: u16, reports: &Reports) -> io::Result<Self> {
        let (tasks, queue) = channel();
        let (queue, turns) = (Arc::new(Mutex::new(queue)), Arc::new(Turns::new(mapping)));
        let ahead = Arc::new(ReadAhead::new(reports.clone()));
        let spare = Spare::default();
        let threads = u32::from(mapping) + 1;
        for number in 1..=threads {
            let (queue, turns, reports) = (Arc::clone(&queue), Arc::clone(&turns), reports.clone());
            let ahead = Arc::clone(&ahead);
            let buffers = Buffers::new(spare.clone());
            thread::Builder::new()
                .name(format!("floe-map-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&queue, &turns, &ahead, &reports, buffers))?;
        }
        Ok(Self { tasks, threads, spare })
    }

    /// Lets go the memory that nobody uses now.
    pub fn rest(&self) {
        self.spare.clear();
    }

    /// The answer comes as a report.
    pub fn perform(&self, job: Job) {
        let parts = 1 + job.order.ahead.map_or(0, |ahead| ahead.parts);
        // What can only be read forwards is read by one thread, while another one decompresses.
        let threads = if job.is_compressed() { 1 } else { self.threads };
        let task = Arc::new(Task { job, state: Mutex::new(State { parts, ..State::default() }) });
        for _ in 0..parts.min(threads) {
            // The threads end only with this sender, or after they reported that they are broken.
            let _ = self.tasks.send(Arc::clone(&task));
        }
    }
}

/// A read, and what has become of its parts. Part 0 is the read itself; the others are ahead of it.
#[derive(Debug)]
struct Task {
    job: Job,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Parts that are to be mapped: no others are begun.
    parts: u32,
    begun: u32,
    under_way: u32,
    /// Of part 0 with what was appended to it, and the file's size.
    first: Option<(Result<MappedChunk, ReadFault>, u64)>,
    /// The part that goes on there.
    next: u32,
    /// Mapped before their turn.
    early: BTreeMap<u32, MappedChunk>,
}

impl Task {
    /// The part to map next; `None` where the others are under way, or done.
    fn begin(&self) -> Option<u32> {
        let mut state = self.lock();
        if state.begun >= state.parts || !state.has_room(&self.job) {
            return None;
        }
        state.under_way += 1;
        state.begun += 1;
        Some(state.begun - 1)
    }

    fn perform(&self, part: u32, buffers: &mut Buffers, turns: &Turns, ahead: &ReadAhead) -> Option<Input> {
        let turn = || {
            ahead.goes_on(&self.job);
            turns.take()
        };
        let mapped = match part {
            0 => Mapped::First(self.job.read_and_map(None, buffers, turn)),
            part if self.job.is_compressed() => {
                let behind = self.lock().behind();
                let read = behind.and_then(|chunk| self.job.read_and_map_behind(&chunk, buffers, turn));
                let (chunk, size) = read.unzip();
                Mapped::Ahead(part, chunk, size)
            }
            part => Mapped::Ahead(part, self.job.read_and_map_part(part, buffers, turn), None),
        };
        self.end(mapped)
    }

    /// Takes in what was mapped. With the last part that is under way the whole is done.
    fn end(&self, mapped: Mapped) -> Option<Input> {
        let mut state = self.lock();
        state.under_way -= 1;
        match mapped {
            Mapped::First(first) => {
                state.first = Some(first);
                state.next = 1;
            }
            Mapped::Ahead(part, Some(chunk), size) => {
                state.early.insert(part, chunk);
                if let (Some((_, known)), Some(size)) = (&mut state.first, size) {
                    *known = size;
                }
            }
            Mapped::Ahead(part, None, _) => state.parts = state.parts.min(part),
        }
        state.join();
        let is_done = state.begun >= state.parts || !state.has_room(&self.job);
        if state.under_way > 0 || !is_done {
            return None;
        }
        // What is begun by nobody now never will be.
        state.parts = 0;
        let (result, size) = state.first.take()?;
        Some(Input::Mapped { read: self.job.order.read, result, size })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was made of a part.
enum Mapped {
    First((Result<MappedChunk, ReadFault>, u64)),
    /// With the size of the file, where more of it was learned.
    Ahead(u32, Option<MappedChunk>, Option<u64>),
}

impl State {
    /// Appends what goes on where the first ends; where it stopped early, nothing more is of use.
    fn join(&mut self) {
        let Some((Ok(first), _)) = &mut self.first else {
            if self.first.is_some() {
                self.parts = 0;
            }
            return;
        };
        while let Some(chunk) = self.early.remove(&self.next) {
            if !first.goes_on_with(&chunk) {
                self.parts = 0;
                self.early.clear();
                return;
            }
            first.append(chunk);
            self.next += 1;
        }
    }

    /// Where the parts end that were joined.
    fn behind(&self) -> Option<Behind> {
        let (result, _) = self.first.as_ref()?;
        Behind::of(result.as_ref().ok()?)
    }

    /// Whether one more part may fill its room.
    fn has_room(&self, job: &Job) -> bool {
        let Some(ahead) = job.order.ahead else { return self.begun == 0 };
        let first = self.first.as_ref().and_then(|(result, _)| result.as_ref().ok());
        let used: usize = self.early.values().chain(first).map(MappedChunk::output).sum();
        used + (self.under_way as usize + 1) * job.order.room <= ahead.room + job.order.room
    }
}

/// Who may map.
#[derive(Debug)]
struct Turns {
    free: Mutex<u16>,
    freed: Condvar,
}

/// Given back when it is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    fn new(free: u16) -> Self {
        Self { free: Mutex::new(free), freed: Condvar::new() }
    }

    fn take(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

fn work(
    queue: &Mutex<Receiver<Arc<Task>>>,
    turns: &Turns,
    ahead: &ReadAhead,
    reports: &Reports,
    mut buffers: Buffers,
) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        while let Some(part) = task.begin() {
            match catch_unwind(AssertUnwindSafe(|| task.perform(part, &mut buffers, turns, ahead))) {
                Ok(report) => report.into_iter().for_each(|input| reports.input(input)),
                Err(panic) => {
                    let what = words_of_panic(panic.as_ref());
                    let order = &task.job.order;
                    reports.send(Event::Broken(format!(
                        "mapping broke on {:?} at or after byte {}: {what}",
                        order.path, order.from
                    )));
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::super::content::{Content, Extents};
    use super::super::readers::tests::{LINE, file_with, order};
    use super::*;
    use crate::agent::{Ahead, ReadOrder};
    use crate::model::{Compression, Guard, Stop};

    async fn mapped(events: &mut UnboundedReceiver<Event>) -> Result<MappedChunk, ReadFault> {
        let Some(Event::Input(input)) = events.recv().await else { panic!("an answer was due") };
        let Input::Mapped { result, .. } = *input else { panic!("an answer was due") };
        result
    }

    fn job(content: &[u8], order: ReadOrder) -> Job {
        Job { file: Some(Arc::new(file_with(content))), beyond: None, order: Box::new(order) }
    }

    #[tokio::test]
    async fn the_pool_answers_what_it_is_asked() {
        let (sender, mut events) = unbounded_channel();
        let pool = Pool::start(2, &Reports::new(sender)).unwrap();
        pool.perform(job(&LINE.repeat(1000), order(0, LINE, Guard::NOTHING)));
        assert_eq!(mapped(&mut events).await.map(|chunk| chunk.lines.len()), Ok(1000));
        pool.perform(Job { file: None, ..job(b"", order(0, LINE, Guard::NOTHING)) });
        assert_eq!(mapped(&mut events).await, Err(ReadFault::Gone));
    }

    fn in_one_piece(mut chunk: MappedChunk) -> MappedChunk {
        chunk.seal(bytes::Bytes::from);
        chunk.sealed = vec![chunk.sealed.concat().into()];
        chunk
    }

    /// Lines of many lengths, some billed, some not, some blank.
    fn lines(count: usize) -> Vec<u8> {
        let line = |number: usize| match number % 5 {
            0 => format!("{{\"who\":\"a\",\"n\":{number}}}\n"),
            1 => "\n".to_owned(),
            2 => format!("{{\"who\":\"a\",\"n\":\"{}\"}}\n", "x".repeat(number % 97)),
            3 => "{\"who\":\"a\"\n".to_owned(),
            _ => format!("{{\"who\":\"b\",\"n\":{number}}}\n"),
        };
        (0..count).flat_map(|number| line(number).into_bytes()).collect()
    }

    #[tokio::test]
    async fn parts_make_the_chunk_that_one_read_would_have_made() {
        let content = [LINE, &lines(3000)].concat();
        let whole = order(0, LINE, Guard::NOTHING);
        let expected =
            job(&content, whole.clone()).read_and_map(None, &mut Buffers::default(), || ()).0.unwrap();
        let (sender, mut events) = unbounded_channel();
        for threads in [1, 2, 5] {
            let pool = Pool::start(threads, &Reports::new(sender.clone())).unwrap();
            for limit in [300, 1000, 7000, 50_000] {
                let parts = u32::try_from(content.len()).unwrap() / limit;
                let ahead = Some(Ahead { parts, room: 1 << 30 });
                pool.perform(job(&content, ReadOrder { limit, ahead, ..whole.clone() }));
                let mut chunk = mapped(&mut events).await.unwrap();
                // The last bytes are less than a part.
                let rest = chunk.span.unwrap().end.0 as usize;
                assert!(content.len() - rest <= limit as usize + 200, "{threads} threads, parts of {limit}");
                let from = ReadOrder {
                    limit: 1 << 20,
                    expected: Some(chunk.after),
                    ..order(rest as u64, LINE, chunk.after)
                };
                let last = job(&content, from).read_and_map(None, &mut Buffers::default(), || ()).0.unwrap();
                if last.span.is_some() {
                    chunk.append(last);
                }
                assert_eq!(chunk.stop, Stop::BytesEnd { partial: 0, rests: false });
                assert_eq!(
                    in_one_piece(chunk),
                    in_one_piece(expected.clone()),
                    "{threads} threads, parts of {limit}"
                );
            }
        }
    }

    fn compressed(content: &[u8]) -> Content {
        let mut encoder = GzEncoder::new(tempfile::tempfile().unwrap(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        Content::compressed(encoder.finish().unwrap(), Compression::Gzip, &Extents::default()).unwrap()
    }

    #[tokio::test]
    async fn a_read_of_a_compressed_file_takes_along_what_stands_behind_it() {
        let content = [LINE, &lines(8_000)].concat();
        let whole = order(0, LINE, Guard::NOTHING);
        let expected =
            job(&content, whole.clone()).read_and_map(None, &mut Buffers::default(), || ()).0.unwrap();
        let (sender, mut events) = unbounded_channel();
        let pool = Pool::start(2, &Reports::new(sender)).unwrap();
        let limit = 20_000;
        for parts in [1, 5, 1_000] {
            let order = ReadOrder { limit, ahead: Some(Ahead { parts, room: 1 << 30 }), ..whole.clone() };
            let file = Some(Arc::new(compressed(&content)));
            pool.perform(Job { file, beyond: None, order: Box::new(order) });
            let Some(Event::Input(input)) = events.recv().await else { panic!("an answer was due") };
            let Input::Mapped { result, size, .. } = *input else { panic!("an answer was due") };
            let (chunk, all) = (result.unwrap(), content.len() as u64);
            if parts == 1_000 {
                assert_eq!((in_one_piece(chunk), size), (in_one_piece(expected.clone()), all));
                continue;
            }
            let end = chunk.span.unwrap().end.0;
            let most = u64::from(limit * (1 + parts));
            assert!(end <= most && end + 200 * u64::from(1 + parts) > most, "{parts} parts end at {end}");
            assert!(
                size > end && chunk.after == Guard::at_end_of(&content[..end as usize]),
                "{parts}: {size}"
            );
        }
    }

    #[tokio::test]
    async fn what_cannot_be_joined_is_left_for_the_next_read() {
        let long = format!("{{\"who\":\"b\",\"n\":\"{}\"}}\n", "x".repeat(5000));
        let content = [&LINE.repeat(100), long.as_bytes(), &LINE.repeat(100)].concat();
        let (sender, mut events) = unbounded_channel();
        let pool = Pool::start(1, &Reports::new(sender)).unwrap();
        let limited = |room, ahead| ReadOrder {
            limit: 1000,
            room,
            ahead: Some(Ahead { parts: 7, room: ahead }),
            ..order(0, LINE, Guard::NOTHING)
        };
        // A line that is longer than a part, and room that is full.
        for (room, ahead) in [(1 << 20, 1 << 30), (500, 1 << 20), (500, 500)] {
            pool.perform(job(&content, limited(room, ahead)));
            let chunk = mapped(&mut events).await.unwrap();
            let end = chunk.span.unwrap().end.0 as usize;
            assert!(
                end <= 100 * LINE.len() && chunk.lines.len() == end / LINE.len(),
                "{room} {ahead}: {end}"
            );
            assert!(chunk.after == Guard::at_end_of(&content[..end]));
        }
    }
}
