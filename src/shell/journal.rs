//! What the daemon says, as entries of systemd's journal with levels and fields.
//!
//! The native protocol: a datagram for each entry, a line for each field, as
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/> says. The hint stands in the message too, because `journalctl` shows
//! nothing else by default.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A longer value is cut, so that an entry is one datagram; only a report of a config's faults may be that long.
const MOST_BYTES: usize = 64 * 1024;

/// The journal behind stderr.
#[derive(Debug)]
pub struct Journal(UnixDatagram);

impl Journal {
    /// `None`: what is written to stderr goes elsewhere.
    #[must_use]
    pub fn behind_stderr() -> Option<Self> {
        let named = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = rustix::fs::fstat(io::stderr()).ok()?;
        if named != format!("{}:{}", stderr.st_dev, stderr.st_ino) {
            return None;
        }
        Self::at(SOCKET).ok()
    }

    fn at(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let priority = priority(*event.metadata().level());
        if self.0.send(&fields.entry(priority)).is_err() {
            // The journal is being restarted: stderr waits for it, with the level before the line.
            let message = fields.message().replace('\n', "; ");
            let _ = io::Write::write_all(&mut io::stderr(), format!("<{priority}>{message}\n").as_bytes());
        }
    }
}

/// Of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    hint: Option<String>,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.message = value,
            "hint" => self.hint = Some(value),
            _ => self.others.push((name, value)),
        }
    }

    fn message(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\nhint: {hint}", self.message),
            None => self.message.clone(),
        }
    }

    fn entry(&self, priority: u8) -> Vec<u8> {
        let mut entry = Vec::new();
        put(&mut entry, "PRIORITY", &priority.to_string());
        put(&mut entry, "SYSLOG_IDENTIFIER", "floe");
        put(&mut entry, "MESSAGE", &self.message());
        let hint = self.hint.iter().map(|hint| ("hint", hint));
        for (name, value) in hint.chain(self.others.iter().map(|(name, value)| (*name, value))) {
            put(&mut entry, &format!("FLOE_{}", name_in_journal(name)), value);
        }
        entry
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.put(field.name(), text);
    }
}

/// Names in the journal have capitals, digits and underscores alone.
fn name_in_journal(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(MOST_BYTES)];
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What the journal gets.
    fn heard(say: impl FnOnce()) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a free path");
        journal.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a socket has a timeout");
        let layer = Journal::at(path.to_str().expect("a path of letters")).expect("somebody listens");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let mut entry = vec![0; 1 << 18];
        let length = journal.recv(&mut entry).expect("an entry comes");
        entry.truncate(length);
        entry
    }

    #[test]
    fn an_entry_has_a_level_the_hint_and_the_fields() {
        let hint: Option<&str> = Some("mend it");
        let entry = heard(|| tracing::warn!(code = "rate_limited", hint, retry_s = 3, "too {}", "fast"));
        let mut expected =
            b"PRIORITY=4\nSYSLOG_IDENTIFIER=floe\nMESSAGE\n\x16\0\0\0\0\0\0\0too fast\nhint: mend it\n"
                .to_vec();
        expected.extend_from_slice(b"FLOE_HINT=mend it\nFLOE_CODE=rate_limited\nFLOE_RETRY_S=3\n");
        assert_eq!(String::from_utf8_lossy(&entry), String::from_utf8_lossy(&expected));
        let entry = heard(|| tracing::error!("it\nended"));
        assert!(entry.starts_with(b"PRIORITY=3\n"), "{entry:?}");
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_between_two_letters() {
        let entry = heard(|| tracing::info!("{}", "é".repeat(MOST_BYTES)));
        assert!(entry.len() < MOST_BYTES + 100, "{}", entry.len());
        assert!(std::str::from_utf8(&entry).is_ok());
    }

    #[test]
    fn stderr_that_is_no_journal_is_left_alone() {
        assert!(Journal::behind_stderr().is_none(), "a test does not run under the journal");
    }
}
