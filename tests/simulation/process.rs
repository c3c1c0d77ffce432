//! The running daemon, as the world sees it: all of this is gone after a crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use floe::agent::checkpoint::Floors;
use floe::agent::{Agent, ReadId, RequestId};
use floe::mapping::Scratch;
use floe::model::{FileKey, StreamId, Tally};

use crate::backfill::Backfill;
use crate::disk::{ContentId, Disk, NodeId};

pub struct Process {
    pub number: u32,
    /// When it began.
    pub started: u64,
    pub agent: Agent,
    /// Ids of the sources that its checkpoint has looked at.
    pub known_sources: BTreeSet<String>,
    /// Keys of rotated files that its checkpoint takes for strangers.
    pub strangers: BTreeSet<FileKey>,
    pub floors: Floors,
    pub has_looked: bool,
    /// A look is under way that a reload made worthless.
    pub looks_in_vain: bool,
    pub handles: BTreeMap<StreamId, NodeId>,
    /// How much of compressed files is known.
    pub extents: BTreeMap<NodeId, u64>,
    /// Reads under way that the agent waits for.
    pub reads: BTreeMap<ReadId, StreamId>,
    pub reached: BTreeMap<ContentId, Reach>,
    pub requests: BTreeSet<RequestId>,
    /// When requests of the last minute were sent.
    pub sent_at: VecDeque<u64>,
    /// How often Polar called an event of the future, by id.
    pub early: BTreeMap<String, u32>,
    /// Saves, and letters, are done one after the other: when the last one will be.
    pub disk_busy_until: u64,
    /// It has heard what Polar's clock says.
    pub knows_the_time: bool,
    pub draining: bool,
    /// Where it is no daemon.
    pub backfill: Option<Backfill>,
    pub scratch: Scratch,
}

/// What was read of a content without a gap.
#[derive(Debug)]
pub struct Reach {
    base: u64,
    until: u64,
    early: BTreeMap<u64, u64>,
}

impl Process {
    /// One whose checkpoint knows nothing.
    pub fn new(number: u32, started: u64, agent: Agent) -> Self {
        Self {
            number,
            started,
            agent,
            known_sources: BTreeSet::new(),
            strangers: BTreeSet::new(),
            floors: Floors::default(),
            has_looked: false,
            looks_in_vain: false,
            handles: BTreeMap::new(),
            extents: BTreeMap::new(),
            reads: BTreeMap::new(),
            reached: BTreeMap::new(),
            requests: BTreeSet::new(),
            sent_at: VecDeque::new(),
            early: BTreeMap::new(),
            disk_busy_until: 0,
            knows_the_time: false,
            draining: false,
            backfill: None,
            scratch: Scratch::default(),
        }
    }

    /// On the history's clock.
    pub fn deadline(&mut self) -> Option<u64> {
        Some(self.started.saturating_add(self.agent.deadline()?.as_nanos()))
    }

    pub fn has_open(&self, disk: &Disk, content: ContentId) -> bool {
        self.handles.values().any(|node| disk.node(*node).content == content)
    }

    pub fn has_read(&self, content: ContentId, start: u64, end: u64) -> bool {
        self.reached.get(&content).is_some_and(|reach| start >= reach.base && end <= reach.until)
    }

    /// Where what was read of a content without a gap ends, if it was read.
    pub fn read_until(&self, content: ContentId) -> Option<u64> {
        self.reached.get(&content).map(|reach| reach.until)
    }

    /// A read gave these bytes to the agent.
    pub fn reach(&mut self, content: ContentId, start: u64, end: u64) {
        let reach = self.reached.entry(content).or_insert_with(|| Reach {
            base: start,
            until: start,
            early: BTreeMap::new(),
        });
        reach.base = reach.base.min(start);
        reach.early.insert(start, end);
        while let Some((first, last)) = reach.early.pop_first() {
            if first > reach.until {
                reach.early.insert(first, last);
                break;
            }
            reach.until = reach.until.max(last);
        }
    }

    /// Nothing is under way and nothing is known to wait.
    pub fn is_quiet(&self) -> bool {
        let status = self.agent.status();
        status.requests_in_flight == 0
            && status.in_flight.values().all(|tally: &Tally| tally.total().lines == 0)
    }
}
