//! Decompression ahead of the reads, on a thread of its own: while one part of a compressed file is mapped, the next is
//! made. The thread begins with the first compressed file that is read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::content::Content;
use super::event::{Event, Reports, words_of_panic};
use super::readers::Job;
use crate::agent::ReadEnd;

const STACK_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct ReadAhead {
    orders: Mutex<Option<Sender<Arc<Content>>>>,
    reports: Reports,
}

impl ReadAhead {
    pub(super) fn new(reports: Reports) -> Self {
        Self { orders: Mutex::default(), reports }
    }

    /// The job has its bytes: whatever comes behind them in a compressed file is made ready.
    pub(super) fn goes_on(&self, job: &Job) {
        let Some(file) = job.file.as_ref().filter(|file| file.is_compressed()) else { return };
        if job.order.end != ReadEnd::More {
            return;
        }
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.is_none() {
            *orders = self.start();
        }
        if let Some(orders) = &*orders {
            // The thread ends before this sender only after it reported that it is broken.
            let _ = orders.send(Arc::clone(file));
        }
    }

    /// `None` where the operating system gives no thread: then whoever reads decompresses.
    fn start(&self) -> Option<Sender<Arc<Content>>> {
        let (orders, queue) = channel();
        let reports = self.reports.clone();
        let thread = thread::Builder::new().name("floe-unpack".into()).stack_size(STACK_BYTES);
        thread.spawn(move || work(&queue, &reports)).ok().map(|_| orders)
    }
}

fn work(queue: &Receiver<Arc<Content>>, reports: &Reports) {
    while let Ok(file) = queue.recv() {
        // What the disk says, whoever reads hears as well.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(file.read_ahead()))) {
            let what = words_of_panic(panic.as_ref());
            reports.send(Event::Broken(format!("decompression broke: {what}")));
            return;
        }
    }
}
