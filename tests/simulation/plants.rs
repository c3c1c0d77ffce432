//! Planted bugs: for each invariant one that it must catch. Before you trust a check, see it fail.
//!
//! A plant bends what the shell does, so that agent and world no longer see the same thing, as a bug of the
//! agent, of mapping or of the real shell would.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use floe::agent::checkpoint::{Checkpoint, seal};
use floe::config::Settings;
use floe::model::{Fate, Guard, Ignored, MappedChunk, Offset};

use crate::invariants::Invariant;
use crate::oracle::Expected;
use crate::simulation::Simulation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// The saved frontier of a file stands at the end of what was read, settled or not.
    CheckpointRunsAhead,
    /// A request is not sent, and answered with 200.
    RequestDropped,
    /// Ids of a request have a letter changed when they leave.
    IdsChange,
    /// Each event leaves twice, the second time with another id and key.
    EventsDoubled,
    /// Mapped chunks say that one ignored byte more was settled.
    AccountBent,
    /// A sound line gets a letter.
    SoundLineQuarantined,
    /// Letters are said to be durable, and are not.
    LettersLost,
    /// The agent believes in more memory than the settings grant.
    MemoryForgotten,
    /// Looks and reads come to nothing after a while.
    EarsClosed,
    /// The look of a drain shows what an older one would.
    LastLookIsOld,
    /// A draw that does not come from the seed.
    ChanceFromOutside,
    /// Polar's clock is taken to be an hour ahead.
    ClockAhead,
    /// The agent believes in another `concurrency`.
    ConcurrencyForgotten,
    /// The agent believes in another budget of requests.
    BudgetForgotten,
    /// Checkpoints do not say which outputs are in the middle of a line. Seen in the histories of `relay.rs` alone.
    CarryForgotten,
    /// Backfills, and the daemon after them, begin without what others know of the files.
    OrdinalsForgotten,
    /// A backfill does not say what it has not read.
    UnreadUnsaid,
}

impl Plant {
    /// Each plant, and the invariants of which one must catch it.
    pub const ALL: &'static [(Self, &'static [Invariant])] = &[
        (Self::CheckpointRunsAhead, &[Invariant::CheckpointWaits]),
        (Self::RequestDropped, &[Invariant::CheckpointWaits, Invariant::ComesHome]),
        (Self::IdsChange, &[Invariant::IdsStay]),
        (Self::EventsDoubled, &[Invariant::BilledOnce]),
        (Self::AccountBent, &[Invariant::AccountAddsUp, Invariant::AgentAgrees]),
        (Self::SoundLineQuarantined, &[Invariant::SoundIsBilled]),
        (Self::LettersLost, &[Invariant::CheckpointWaits]),
        (Self::MemoryForgotten, &[Invariant::MemoryIsBounded]),
        (Self::EarsClosed, &[Invariant::ComesHome]),
        (Self::LastLookIsOld, &[Invariant::DrainReadsOn]),
        (Self::ClockAhead, &[Invariant::NothingBadLeaves]),
        (Self::ConcurrencyForgotten, &[Invariant::ConcurrencyIsKept]),
        (Self::BudgetForgotten, &[Invariant::RateIsKept]),
        (Self::OrdinalsForgotten, &[Invariant::IdsStay]),
        (Self::UnreadUnsaid, &[Invariant::ReadIsSettled]),
    ];
}

impl Simulation {
    /// The settings as the agent is given them.
    pub fn believed_settings(&self) -> Arc<Settings> {
        let mut settings = Settings::clone(&self.settings);
        match self.plant {
            Some(Plant::MemoryForgotten) => settings.limits.memory *= 64,
            Some(Plant::ConcurrencyForgotten) => settings.delivery.concurrency = 64,
            Some(Plant::BudgetForgotten) => settings.delivery.requests_per_minute = 60_000,
            _ => return Arc::clone(&self.settings),
        }
        Arc::new(settings)
    }

    pub fn bend_checkpoint(&self, bytes: Bytes) -> Bytes {
        if !matches!(self.plant, Some(Plant::CheckpointRunsAhead | Plant::CarryForgotten)) {
            return bytes;
        }
        let mut checkpoint = Checkpoint::read(&bytes).expect("the agent saves checkpoints");
        if self.plant == Some(Plant::CarryForgotten) {
            checkpoint.files.iter_mut().for_each(|record| record.unfinished.clear());
            return seal(&checkpoint).into();
        }
        for record in &mut checkpoint.files {
            let node = record.file.and_then(|key| {
                let mut nodes = self.disk.names().map(|(_, node)| node);
                nodes.find(|node| self.disk.node(*node).key == key)
            });
            if let Some(node) = node {
                record.frontier = Offset(self.disk.size(node));
                record.guard = Guard::at_end_of(self.disk.bytes(node));
            }
        }
        seal(&checkpoint).into()
    }

    pub fn bend_body(&mut self, body: Bytes) -> Bytes {
        let bends = match self.plant {
            Some(Plant::IdsChange) => self.random.chance(50),
            Some(Plant::EventsDoubled) => true,
            _ => false,
        };
        if !bends {
            return body;
        }
        let mut value: Value = serde_json::from_slice(&body).expect("the agent sends JSON");
        let events = value["events"].as_array_mut().expect("a body has events");
        let mut others = events.clone();
        for event in &mut others {
            event["external_id"] = format!("x{}", event["external_id"]).into();
        }
        if self.plant == Some(Plant::EventsDoubled) {
            for event in &mut others {
                let n = event["metadata"]["n"].as_u64();
                event["metadata"]["n"] = (n.unwrap_or(0) + 1_000_000).into();
            }
            events.extend(others);
        } else {
            *events = others;
        }
        value.to_string().into_bytes().into()
    }

    pub fn bend_letters(&self, text: Bytes) -> Bytes {
        let sound = self.oracle.lines().find(|(_, line)| matches!(line.expected, Expected::Billed(_)));
        match (self.plant, sound) {
            (Some(Plant::SoundLineQuarantined), Some((line, _))) => {
                let letter = format!(
                    "{{\"reason\":\"bad_customer\",\"offset\":0,\"text\":\"{{\\\"n\\\":{}}}\"}}\n",
                    line.0
                );
                [text, letter.into()].concat().into()
            }
            _ => text,
        }
    }

    pub fn bend_chunk(&self, mut chunk: MappedChunk) -> MappedChunk {
        if self.plant == Some(Plant::AccountBent) && chunk.span.is_some() {
            chunk.settled.add(Fate::Ignored(Ignored::Empty), 0, 1);
        }
        chunk
    }

    pub fn bend_clock(&self, now: Timestamp) -> Timestamp {
        if self.plant == Some(Plant::ClockAhead) {
            now.saturating_add(SignedDuration::from_hours(1)).expect("a plain duration")
        } else {
            now
        }
    }
}
