//! Walks on a thread of their own: ten thousand files take their time, and the loop does not wait for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::event::{Event, Reports, words_of_panic};
use super::given::GivenFiles;
use super::look::{Found, Lookout};
use super::watch::Doorbell;
use crate::config::Settings;

/// The thread that walks, and keeps the watches where the walk came by.
#[derive(Debug)]
pub struct LookoutThread {
    orders: Sender<Order>,
}

/// What is looked at.
#[derive(Debug)]
pub enum Eyes {
    Folders(Lookout),
    Files(GivenFiles),
}

impl Eyes {
    fn look(&mut self) -> Found {
        match self {
            Self::Folders(lookout) => lookout.look(),
            Self::Files(files) => files.look(),
        }
    }

    fn use_settings(&mut self, settings: Arc<Settings>) {
        match self {
            Self::Folders(lookout) => lookout.use_settings(settings),
            // They are what they were when they were given.
            Self::Files(_) => {}
        }
    }
}

#[derive(Debug)]
enum Order {
    Look,
    UseSettings { generation: u64, settings: Arc<Settings> },
}

impl LookoutThread {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(lookout: Eyes, doorbell: Doorbell, reports: Reports) -> io::Result<Self> {
        let (orders, queue) = channel();
        thread::Builder::new().name("floe-look".into()).spawn(move || {
            let walks = AssertUnwindSafe(|| work(&queue, lookout, doorbell, &reports));
            if let Err(panic) = catch_unwind(walks) {
                let what = words_of_panic(panic.as_ref());
                reports.send(Event::Broken(format!("looking for files broke: {what}")));
            }
        })?;
        Ok(Self { orders })
    }

    /// The answer comes as a report.
    pub fn look(&self) {
        let _ = self.orders.send(Order::Look);
    }

    /// Later walks are made with these settings and say `generation`.
    pub fn use_settings(&self, generation: u64, settings: Arc<Settings>) {
        let _ = self.orders.send(Order::UseSettings { generation, settings });
    }
}

fn work(queue: &Receiver<Order>, mut lookout: Eyes, mut doorbell: Doorbell, reports: &Reports) {
    let mut generation = 0;
    while let Ok(order) = queue.recv() {
        match order {
            Order::UseSettings { generation: new, settings } => {
                generation = new;
                lookout.use_settings(settings);
            }
            Order::Look => {
                let mut found = lookout.look();
                let notices = doorbell.follow(&found);
                found.notices.extend(notices);
                reports.send(Event::Looked { generation, found });
            }
        }
    }
}
