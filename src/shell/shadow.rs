//! Shadow mode: events go to a file instead of to Polar, so that an operator can look at them before money moves.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::Reply;
use super::disk::words_of;
use crate::agent::Outcome;
use crate::polar::Answer;

/// The file in the state folder that holds the events: one JSON object a line.
#[must_use]
pub fn events_path(state_dir: &Path) -> PathBuf {
    state_dir.join("shadow").join("events.jsonl")
}

/// Appends the events of a request's body durably, and answers as Polar would have.
#[must_use]
pub fn accept(path: &Path, body: &[u8]) -> Reply {
    match append(path, body) {
        Ok(inserted) => Reply {
            outcome: Outcome::Answer(Answer::Accepted { inserted, duplicates: 0 }),
            polar_clock: None,
        },
        Err(error) => Reply::none(format!("shadow mode cannot write {path:?}: {}", words_of(&error))),
    }
}

fn append(path: &Path, body: &[u8]) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let request: Request<'_> = serde_json::from_slice(body)?;
    let mut lines = Vec::with_capacity(body.len());
    for event in &request.events {
        lines.extend_from_slice(event.get().as_bytes());
        lines.push(b'\n');
    }
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
        // What was half written must not stand before the next event.
        let _ = file.set_len(before);
        return Err(error);
    }
    Ok(request.events.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_stands_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = events_path(folder.path());
        let reply = accept(&path, br#"{"events":[{"name":"a","n":1.50},{"name":"b"}]}"#);
        assert_eq!(reply.outcome, Outcome::Answer(Answer::Accepted { inserted: 2, duplicates: 0 }));
        let _ = accept(&path, br#"{"events":[{"name":"c"}]}"#);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "{\"name\":\"a\",\"n\":1.50}\n{\"name\":\"b\"}\n{\"name\":\"c\"}\n");
    }
}
