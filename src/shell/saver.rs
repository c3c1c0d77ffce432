//! Saving on a thread of its own: a sync may take longer than a batch, and the loop does not wait for it.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::disk::disk_fault;
use super::durable;
use super::event::Reports;
use super::identity::Identity;
use super::numbering::{Numbering, Turn};
use super::shadow;
use super::state::{FLOORS, StateFolder, write_identity};
use crate::agent::{Input, SaveId};

/// The thread that saves.
#[derive(Debug)]
pub struct SaverThread {
    orders: Sender<(SaveId, What, Bytes)>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Checkpoint { numbers: bool },
    Floors,
}

impl SaverThread {
    /// `shadow`: where the events of shadow mode go. They are durable before a checkpoint that knows them.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        folder: &StateFolder,
        shadow: Option<PathBuf>,
        numbering: Option<Numbering>,
        reports: Reports,
    ) -> io::Result<Self> {
        let (orders, queue) = channel();
        let (path, identity) = (folder.path.clone(), folder.identity.clone());
        let saver = Saver { folder: path, identity, shadow, numbering };
        let thread =
            thread::Builder::new().name("floe-save".into()).spawn(move || saver.work(&queue, &reports))?;
        Ok(Self { orders, thread })
    }

    /// The answer comes as a report.
    pub fn checkpoint(&self, save: SaveId, bytes: Bytes, numbers: bool) {
        let _ = self.orders.send((save, What::Checkpoint { numbers }, bytes));
    }

    /// The answer comes as a report.
    pub fn floors(&self, save: SaveId, bytes: Bytes) {
        let _ = self.orders.send((save, What::Floors, bytes));
    }

    /// Waits until all is written.
    pub fn finish(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

struct Saver {
    folder: PathBuf,
    identity: Identity,
    numbering: Option<Numbering>,
    shadow: Option<PathBuf>,
}

impl Saver {
    fn work(mut self, queue: &Receiver<(SaveId, What, Bytes)>, reports: &Reports) {
        while let Ok((save, what, bytes)) = queue.recv() {
            let input = match self.turn(what) {
                Ok(Some(Turn::Outnumbered(numbered))) => Input::Outnumbered { save, numbered },
                // The turn ends when the checkpoint is durable.
                Ok(turn) => {
                    let result = self.save(what, &bytes).map_err(|error| disk_fault(&error));
                    drop(turn);
                    Input::Saved { save, result }
                }
                Err(error) => Input::Saved { save, result: Err(disk_fault(&error)) },
            };
            reports.input(input);
        }
    }

    fn turn(&mut self, what: What) -> io::Result<Option<Turn>> {
        match (what, &mut self.numbering) {
            (What::Checkpoint { numbers: true }, Some(numbering)) => numbering.turn().map(Some),
            _ => Ok(None),
        }
    }

    fn save(&mut self, what: What, bytes: &[u8]) -> io::Result<()> {
        let mode = self.identity.mode;
        let mut identity = self.identity.clone();
        match what {
            What::Checkpoint { .. } => {
                identity.saved_checkpoint = true;
                self.shadow.as_deref().map_or(Ok(()), shadow::sync)?;
                let (name, previous) = (mode.checkpoint(), mode.previous_checkpoint());
                durable::replace_and_keep(&self.folder, name, previous, bytes)?;
            }
            What::Floors => {
                identity.saved_floors = true;
                durable::replace_for_now(&self.folder, FLOORS, bytes)?;
            }
        }
        // From the first time on its absence is a loss.
        if identity != self.identity {
            write_identity(&self.folder, &identity)?;
            self.identity = identity;
        }
        // One sync for both, and for the identity that the start left to it.
        durable::sync_folder(&self.folder)
    }
}
