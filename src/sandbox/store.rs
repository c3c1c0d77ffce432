//! The events that the sandbox has, and which `external_id`s it has seen, for ever.
//!
//! A million events are held as their own text in large segments, with 24 bytes each beside it and a hash of the
//! `external_id`. With a file every event is also a line of it, written before the answer, and read at the start.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use jiff::Timestamp;
use uuid::Uuid;

use crate::polar::json::{Json, parse, write_string};
use crate::polar::stored::EventSource;
use crate::sandbox::fixtures::{Directory, OrganizationIndex};

/// Texts are kept in pieces of this size, so that growing copies nothing.
const SEGMENT_BYTES: usize = 1 << 20;

/// The upper half of every event's id; the lower holds its number. It makes the whole a UUID of version 4.
const ID_PREFIX: u64 = 0x0f10_e5a6_d0b0_4000;
const ID_VARIANT: u64 = 0x8000_0000_0000_0000;

/// An event to be stored.
pub struct NewEvent<'a> {
    pub organization: OrganizationIndex,
    pub timestamp: Timestamp,
    pub name: &'a str,
    pub source: EventSource,
    pub external_id: Option<&'a str>,
    /// The event as it was sent.
    pub sent: &'a Json<'a>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: u64,
    pub duplicates: u64,
}

/// A number that counts the stored events from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventNumber(pub u32);

struct Entry {
    timestamp_us: i64,
    segment: u32,
    offset: u32,
    length: u32,
    organization: OrganizationIndex,
    /// It was lost behind the client's back.
    is_lost: bool,
    source: EventSource,
}

/// The first 16 bytes of a hash of organization and `external_id`.
type ExternalIdHash = [u8; 16];

#[derive(Default)]
pub struct Store {
    segments: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    by_external_id: HashMap<ExternalIdHash, EventNumber>,
    names: BTreeMap<OrganizationIndex, HashSet<String>>,
    file: Option<File>,
}

impl Store {
    /// Opens the store in `path` with what is in it; an unfinished last line is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not a store of these organizations.
    pub fn open(path: &Path, directory: &Directory) -> io::Result<Store> {
        let mut store = Store::default();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut whole_bytes = 0;
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            let number = store.entries.len() + 1;
            let wrong = || {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number} is not of a store of these organizations"),
                )
            };
            store.load(&line, directory).ok_or_else(wrong)?;
            whole_bytes += line.len() as u64;
            line.clear();
        }
        file.set_len(whole_bytes)?;
        store.file = Some(file);
        Ok(store)
    }

    fn load(&mut self, line: &[u8], directory: &Directory) -> Option<()> {
        let record = parse(line).ok()?;
        let record = record.as_object()?;
        let organization = Uuid::try_parse(record.get("organization_id")?.as_str()?).ok()?;
        let sent = record.get("event")?;
        let event = NewEvent {
            organization: directory.index_of(organization)?,
            timestamp: record.get("timestamp")?.as_str()?.parse().ok()?,
            name: sent.as_object()?.get("name")?.as_str()?,
            source: match record.get("source").and_then(Json::as_str) {
                Some("system") => EventSource::System,
                _ => EventSource::User,
            },
            external_id: sent.as_object()?.get("external_id").and_then(Json::as_str),
            sent,
        };
        self.put(&event);
        Some(())
    }

    /// Stores what is new of a batch; of the rest the first one stays.
    ///
    /// # Errors
    /// The file cannot be written; then nothing is stored.
    pub fn append(&mut self, batch: &[NewEvent<'_>], directory: &Directory) -> io::Result<Counts> {
        let mut seen_here = HashSet::new();
        let is_new = |event: &&NewEvent<'_>| match event.external_id {
            None => true,
            Some(id) => {
                let hash = hash(event.organization, id);
                !self.by_external_id.contains_key(&hash) && seen_here.insert(hash)
            }
        };
        let new: Vec<&NewEvent<'_>> = batch.iter().filter(is_new).collect();
        if let Some(file) = &mut self.file {
            let mut lines = String::new();
            for event in &new {
                write_line(event, directory, &mut lines);
            }
            let before = file.metadata()?.len();
            if let Err(error) = file.write_all(lines.as_bytes()) {
                file.set_len(before)?;
                return Err(error);
            }
        }
        for event in &new {
            self.put(event);
        }
        let inserted = new.len() as u64;
        Ok(Counts { inserted, duplicates: batch.len() as u64 - inserted })
    }

    fn put(&mut self, event: &NewEvent<'_>) {
        let number =
            EventNumber(u32::try_from(self.entries.len()).expect("memory ends long before u32 does"));
        if let Some(id) = event.external_id {
            self.by_external_id.insert(hash(event.organization, id), number);
        }
        if !self.knows_name(event.organization, event.name) {
            self.names.entry(event.organization).or_default().insert(event.name.to_owned());
        }
        let mut text = String::new();
        let text = one_line(event.sent, &mut text);
        let has_room = |segment: &Vec<u8>| segment.len() + text.len() <= SEGMENT_BYTES;
        if !self.segments.last().is_some_and(has_room) {
            self.segments.push(Vec::with_capacity(SEGMENT_BYTES.max(text.len())));
        }
        let segment_number = self.segments.len() as u32 - 1;
        let segment = self.segments.last_mut().expect("there is a segment with room now");
        self.entries.push(Entry {
            timestamp_us: event.timestamp.as_microsecond(),
            segment: segment_number,
            offset: segment.len() as u32,
            length: text.len() as u32,
            organization: event.organization,
            is_lost: false,
            source: event.source,
        });
        segment.extend_from_slice(text.as_bytes());
    }

    /// Forgets an event and its `external_id`, as if it had never come.
    pub fn lose(&mut self, number: EventNumber) {
        self.entries[number.0 as usize].is_lost = true;
        self.by_external_id.retain(|_, known| *known != number);
    }

    /// What was sent is another event now, under the same ids.
    pub fn alter(&mut self, number: EventNumber, text: &str, timestamp: Timestamp) {
        let entry = &mut self.entries[number.0 as usize];
        (entry.segment, entry.offset, entry.length) = (self.segments.len() as u32, 0, text.len() as u32);
        self.segments.push(text.as_bytes().to_vec());
        entry.timestamp_us = timestamp.as_microsecond();
    }

    /// Stores an event once more, under another id of Polar's.
    pub fn double(&mut self, number: EventNumber) {
        let text = self.text(number).to_owned();
        let sent = parse(text.as_bytes()).expect("what is stored is JSON");
        let name = sent.as_object().and_then(|event| event.get("name")).and_then(Json::as_str);
        self.put(&NewEvent {
            organization: self.organization(number),
            timestamp: self.timestamp(number),
            name: name.unwrap_or_default(),
            source: self.source(number),
            external_id: None,
            sent: &sent,
        });
    }

    /// How many there ever were, lost ones included.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    pub fn len(&self) -> usize {
        self.numbers().count()
    }

    /// All of them, in the order of their arrival.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = EventNumber> {
        let all = self.entries.iter().enumerate();
        all.filter(|(_, entry)| !entry.is_lost).map(|(number, _)| EventNumber(number as u32))
    }

    /// The event as it was sent.
    pub fn text(&self, number: EventNumber) -> &str {
        let entry = &self.entries[number.0 as usize];
        let start = entry.offset as usize;
        let bytes = &self.segments[entry.segment as usize][start..start + entry.length as usize];
        std::str::from_utf8(bytes).expect("only whole texts are stored")
    }

    /// The event, read again.
    pub fn event(&self, number: EventNumber) -> Json<'_> {
        parse(self.text(number).as_bytes()).expect("only JSON is stored")
    }

    pub fn timestamp(&self, number: EventNumber) -> Timestamp {
        let microseconds = self.entries[number.0 as usize].timestamp_us;
        Timestamp::from_microsecond(microseconds).expect("it was a timestamp when it was stored")
    }

    pub fn organization(&self, number: EventNumber) -> OrganizationIndex {
        self.entries[number.0 as usize].organization
    }

    pub fn source(&self, number: EventNumber) -> EventSource {
        self.entries[number.0 as usize].source
    }

    pub fn knows_name(&self, organization: OrganizationIndex, name: &str) -> bool {
        self.names.get(&organization).is_some_and(|names| names.contains(name))
    }

    pub fn by_external_id(&self, organization: OrganizationIndex, external_id: &str) -> Option<EventNumber> {
        self.by_external_id.get(&hash(organization, external_id)).copied()
    }

    /// Polar's id of an event.
    pub fn id(number: EventNumber) -> Uuid {
        Uuid::from_u64_pair(ID_PREFIX, ID_VARIANT | u64::from(number.0))
    }

    pub fn by_id(&self, id: Uuid) -> Option<EventNumber> {
        let (prefix, number) = id.as_u64_pair();
        let number = u32::try_from(number ^ ID_VARIANT).ok()?;
        let is_there = self.entries.get(number as usize).is_some_and(|entry| !entry.is_lost);
        (prefix == ID_PREFIX && is_there).then_some(EventNumber(number))
    }
}

fn hash(organization: OrganizationIndex, external_id: &str) -> ExternalIdHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&organization.0.to_le_bytes());
    hasher.update(external_id.as_bytes());
    let mut first = ExternalIdHash::default();
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    first
}

fn write_line(event: &NewEvent<'_>, directory: &Directory, out: &mut String) {
    out.push_str("{\"organization_id\":");
    write_string(&directory.organization(event.organization).id.to_string(), out);
    out.push_str(",\"timestamp\":");
    write_string(&event.timestamp.to_string(), out);
    if event.source == EventSource::System {
        out.push_str(",\"source\":\"system\"");
    }
    out.push_str(",\"event\":");
    let mut text = String::new();
    out.push_str(one_line(event.sent, &mut text));
    out.push_str("}\n");
}

/// The text of an event without line ends, as it came if it has none.
fn one_line<'a>(sent: &'a Json<'_>, out: &'a mut String) -> &'a str {
    match sent {
        Json::Object(object) if !object.text.contains(['\n', '\r']) => object.text,
        _ => {
            sent.write(out);
            out
        }
    }
}
