//! What was found, as people and programs see it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// Counts of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// What the files give by the rules.
    pub expected: u64,
    /// Of these, those whose lines are settled as billed.
    pub sent: u64,
    /// Of these, those that Polar has as they were sent.
    pub present: u64,
    pub missing: u64,
    pub altered: u64,
    /// At Polar, and nobody's: twice there, or never sent.
    pub surplus: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.sent += other.sent;
        self.present += other.present;
        self.missing += other.missing;
        self.altered += other.altered;
        self.surplus += other.surplus;
    }

    #[must_use]
    pub fn drift(&self) -> u64 {
        self.missing + self.altered + self.surplus
    }
}

/// One customer's events of one name in one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub source: String,
    pub path: String,
    pub segment: String,
    /// Bytes of the file.
    pub from: u64,
    pub to: u64,
    pub customer: String,
    pub name: String,
    #[serde(flatten)]
    pub counts: Counts,
}

/// An event that is missing or altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Own {
    pub source: String,
    pub path: String,
    /// Of its line.
    pub offset: u64,
    pub external_id: String,
    pub name: String,
    pub customer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// What it says otherwise at Polar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<&'static str>,
    /// Polar's id of it, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polar_id: Option<String>,
}

/// An event that is there and is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Surplus {
    pub polar_id: String,
    pub name: String,
    pub customer: String,
    pub timestamp: Timestamp,
    pub source: String,
    pub path: String,
    /// The line whose event it says once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// A file of which something could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncompared {
    pub source: String,
    pub path: String,
    pub bytes: u64,
    pub why: String,
}

/// What `--fix` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Events that Polar took.
    pub sent: u64,
    /// Events that Polar says it has, under their ids: altered, or not shown.
    pub had_already: u64,
    /// Lines that Polar refuses, or that are not decided.
    pub refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When the checkpoint was saved.
    pub saved_at: String,
    /// The key of metadata by which Polar was asked.
    pub key: Option<String>,
    pub counts: Counts,
    /// Events that were found without the key: they were sent before it was set.
    pub without_key: u64,
    /// Events that cannot be compared without the key, for they have no time of their own.
    pub without_time: u64,
    pub segments_asked: u64,
    pub segments_remembered: u64,
    pub requests: u64,
    /// By source id: events that the account counts.
    pub account_events: BTreeMap<String, u64>,
    /// Altered and surplus events that were accepted before, and by this run.
    pub accepted: u64,
    pub accepted_now: u64,
    pub rows: Vec<Row>,
    /// Rows that would have been more than was asked for.
    pub rows_left: u64,
    /// No more than so many as were asked for; the counts are whole.
    pub missing: Vec<Own>,
    pub altered: Vec<Own>,
    pub surplus: Vec<Surplus>,
    pub uncompared: Vec<Uncompared>,
    /// By source id: bytes of files that the checkpoint has forgotten.
    pub forgotten_bytes: BTreeMap<String, u64>,
    /// Sources whose account began later than their files were read: they went live, and nothing is mended there.
    pub began_later: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended: Option<Mended>,
}

impl Report {
    /// Events that are not as they should be, after what was mended.
    #[must_use]
    pub fn drift(&self) -> u64 {
        let mended = self.mended.as_ref().map_or(0, |mended| mended.sent);
        self.counts.drift().saturating_sub(mended + self.accepted_now)
    }
}
