//! Checked settings. They are valid by construction: whoever holds one need not check again.

// Of `core`: an address is a number, and nothing is connected here.
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;

use super::language::{Condition, EventTemplate};
use super::presets::Preset;
use crate::model::Compression;

/// Everything that `floe run` needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    pub state_dir: PathBuf,
    /// Part of every id. Never empty.
    pub instance: String,
    pub polar: PolarSettings,
    pub delivery: DeliverySettings,
    pub limits: LimitSettings,
    pub admin: AdminListen,
    /// At most 65,535; ids are unique.
    pub sources: Vec<SourceSettings>,
    /// In the order in which they are tried; ids are unique.
    pub rules: Vec<RuleSettings>,
    pub tests: Vec<TestSettings>,
}

#[derive(Debug, Clone)]
pub struct PolarSettings {
    /// Without a trailing slash: `https://api.polar.sh`.
    pub base_url: String,
    pub token: TokenSource,
    pub mode: Mode,
    /// An HTTP(S) proxy for requests to Polar.
    pub proxy: Option<String>,
    /// A PEM file: where given, only these authorities are trusted.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Where a state that was in shadow mode goes on when it goes live.
    pub live_from: Option<LiveFrom>,
    /// The key of metadata that names an event's segment, where events are to carry one.
    pub reconcile_key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    File(PathBuf),
    /// The name of an environment variable.
    Environment(String),
    /// `$CREDENTIALS_DIRECTORY/polar-token`.
    Credential,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Live,
    /// Request bodies go to a file; nothing is sent.
    Shadow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveFrom {
    /// All that the files still hold.
    Beginning,
    /// Where the shadow checkpoint stands.
    Shadow,
    /// The events of this time and after it, of all that the files still hold.
    Time(Timestamp),
}

impl PolarSettings {
    /// Events before this time are not billed: another system has billed them.
    #[must_use]
    pub fn bills_since(&self) -> Option<Timestamp> {
        match (self.mode, self.live_from) {
            (Mode::Live, Some(LiveFrom::Time(since))) => Some(since),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// 1..=10,000.
    pub batch_max_events: u32,
    /// 64 KiB..=10 MiB.
    pub batch_max_bytes: u32,
    pub batch_max_wait: Duration,
    /// 1..=64.
    pub concurrency: u16,
    /// 1..=60,000.
    pub requests_per_minute: u32,
    pub max_future: Duration,
}

/// Bounds of memory and disk. Every value has a good default.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Bytes of mapped but unsettled output in memory, all streams together. At least 2 MiB.
    pub memory: u64,
    /// Bytes that a stream may be read ahead of its frontier.
    pub window: u64,
    pub quarantine_max_bytes: u64,
    /// Of `quarantine_max_bytes`, what malformed and over-long lines may take with their text.
    pub quarantine_malformed_max_bytes: u64,
    /// What the file of shadow mode may take.
    pub shadow_max_bytes: u64,
    /// Mapping threads: 1..=64.
    pub mapping_threads: u16,
    /// Files that may be open at once, at least 1. The operating system may allow fewer.
    pub open_files: u32,
    pub drain_timeout: Duration,
    /// How often the sweep looks at every file, whatever notify says.
    pub sweep_interval: Duration,
}

/// Where the admin endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    Off,
    /// A Unix socket, for the daemon's own user and root.
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// The admin endpoint's socket in the state folder, where the config does not say otherwise.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// How the lines of a source are written.
#[derive(Debug, Clone)]
pub struct Lines {
    pub container: Container,
    pub multiline: Option<Multiline>,
    pub prefix: Option<Regex>,
    pub format: Format,
}

#[derive(Debug, Clone)]
pub struct SourceSettings {
    pub id: String,
    /// Where the lines come from.
    pub input: Input,
    /// The files that are followed. What comes in otherwise stands in files of the spool.
    pub files: FilePatterns,
    /// How a container runtime wraps the lines.
    pub container: Container,
    /// Which lines belong together. `None`: each line is a record.
    pub multiline: Option<Multiline>,
    /// Matches at the start of a record, and is taken off before `format` reads it; its named groups are fields.
    pub prefix: Option<Regex>,
    pub format: Format,
    /// What is known of such logs, where `format` names a preset.
    pub preset: Option<Arc<Preset>>,
    pub read_from: ReadFrom,
    /// 1 KiB..=64 MiB.
    pub max_line_bytes: u32,
}

impl Settings {
    /// The same for lines as applications write them: not yet in the spool.
    #[must_use]
    pub fn without_spool(&self) -> Self {
        let mut settings = self.clone();
        for source in settings.sources.iter_mut().filter(|source| source.container == Container::Spool) {
            source.container = Container::None;
        }
        settings
    }
}

impl SourceSettings {
    /// Bytes of a file in which a record ends, or it is too long: its text, and what is wrapped around that.
    #[must_use]
    pub fn reach(&self) -> u32 {
        let plain = self.container == Container::None && self.multiline.is_none();
        if plain {
            self.max_line_bytes
        } else {
            self.max_line_bytes.saturating_mul(2).saturating_add(128 << 10)
        }
    }
}

/// Where the lines of a source come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Files,
    Socket(SocketSettings),
    Stdin(SpoolSettings),
}

impl Input {
    /// Set where lines are spooled before they are read.
    #[must_use]
    pub fn spool(&self) -> Option<&SpoolSettings> {
        match self {
            Self::Files => None,
            Self::Socket(socket) => Some(&socket.spool),
            Self::Stdin(spool) => Some(spool),
        }
    }
}

/// Where what has come in stands until it is billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Of this source alone.
    pub folder: PathBuf,
    /// At least four times the longest line.
    pub max_bytes: u64,
}

/// A Unix socket that Floe listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// At most [`SOCKET_PATH_MAX_BYTES`].
    pub path: PathBuf,
    pub kind: SocketKind,
    /// Permission bits.
    pub mode: u32,
    /// `None`: the user that Floe runs as.
    pub owner: Option<UnixId>,
    pub group: Option<UnixId>,
    /// Who may write, beside what `mode` says. `None`: everybody who can connect.
    pub allowed: Option<Vec<UnixId>>,
    /// A writer hears `ok` for each line that is durable.
    pub acknowledges: bool,
    pub spool: SpoolSettings,
}

/// The operating system takes 107; the rest is for the name under which a socket is made.
pub const SOCKET_PATH_MAX_BYTES: usize = 95;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    Stream,
    Datagram,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnixId {
    Number(u32),
    Name(String),
}

/// How a record is written. `docs/formats.md` says what its fields are called.
#[derive(Debug, Clone)]
pub enum Format {
    /// One JSON value.
    Json,
    /// `key=value key="two words"`.
    Logfmt,
    /// The named groups of this are the fields.
    Regex(Regex),
    Delimited(Delimited),
    /// nginx's predefined `combined`.
    NginxCombined,
    /// Apache's `combined` and `common`.
    ApacheCombined,
    SyslogRfc5424,
    SyslogRfc3164,
}

impl Format {
    /// Whether lines of the file say what its columns are.
    #[must_use]
    pub fn has_header(&self) -> bool {
        matches!(self, Self::Delimited(delimited) if !matches!(delimited.columns, Columns::Named(_)))
    }
}

/// Columns between delimiters: CSV, TSV and their kin.
#[derive(Debug, Clone)]
pub struct Delimited {
    /// One ASCII character, no quote, no letter or digit.
    pub delimiter: u8,
    pub columns: Columns,
}

/// Where the columns have their names from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// The config. Never empty; an empty name is a column that nobody wants.
    Named(Vec<String>),
    /// The first line of the file that is not blank.
    FirstLine,
    /// The last `#Fields:` line before; other lines that begin with `#` are comments (W3C extended log format).
    Directive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    None,
    /// `TIME STREAM P|F TEXT`, as the kubelet's runtimes and podman write it.
    Cri,
    /// `{"log":"TEXT","stream":"…","time":"…"}`, as Docker's json-file driver writes it.
    Docker,
    /// `CRC32 TAG TEXT`, as Floe itself spools what comes in by a socket. No config names it.
    Spool,
}

impl Container {
    /// Whether a runtime has wrapped the lines: it may cut them, and says when it took them.
    #[must_use]
    pub fn is_runtime(self) -> bool {
        matches!(self, Self::Cri | Self::Docker)
    }
}

/// A record is a line that `start` matches and those after it that it does not match.
#[derive(Debug, Clone)]
pub struct Multiline {
    pub start: Regex,
    /// 1..=100,000. A record of more is quarantined(line_too_long).
    pub max_lines: u32,
    /// The last record of a file is whole when nothing has been written for this long.
    pub max_wait: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    Beginning,
    End,
}

/// Which files belong to a source: a pure test of paths.
#[derive(Debug, Clone)]
pub struct FilePatterns {
    include: Vec<FilePattern>,
    exclude: Vec<FilePattern>,
}

/// One glob: `*` and `?` and `[a-z]` within a segment, `**` across segments, `{name}` captures within one.
#[derive(Debug, Clone)]
pub struct FilePattern {
    /// As the operator wrote it, made absolute.
    pub text: String,
    /// The folder above the first wildcard: where a walk begins.
    pub base: PathBuf,
    /// Folders below `base` that a match may lie in; `None` is any number (`**`).
    pub depth: Option<usize>,
    /// Matches a whole path; named groups are the captures.
    pub regex: Regex,
}

/// `@path.name` by name.
pub type Captures = BTreeMap<String, String>;

impl FilePatterns {
    #[must_use]
    pub fn new(include: Vec<FilePattern>, exclude: Vec<FilePattern>) -> Self {
        Self { include, exclude }
    }

    #[must_use]
    pub fn include(&self) -> &[FilePattern] {
        &self.include
    }

    /// The captures of the first include that matches, unless an exclude matches too. A compressed file is never a
    /// match, whatever the patterns say: nobody writes lines to it. It is what rotation left of a log.
    #[must_use]
    pub fn captures(&self, path: &str) -> Option<Captures> {
        if Compression::of_path(path).is_some()
            || self.exclude.iter().any(|pattern| pattern.regex.is_match(path))
        {
            return None;
        }
        self.include.iter().find_map(|pattern| {
            if pattern.regex.captures_len() == 1 {
                // Without a name for a part it is enough, and much less work, to know that the whole matches.
                return pattern.regex.is_match(path).then(Captures::new);
            }
            let found = pattern.regex.captures(path)?;
            let names = pattern.regex.capture_names().flatten();
            Some(
                names
                    .filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned())))
                    .collect(),
            )
        })
    }
}

#[derive(Debug, Clone)]
pub struct RuleSettings {
    pub id: String,
    /// Places in [`Settings::sources`], never empty.
    pub sources: Vec<u16>,
    /// All must hold.
    pub when: Condition,
    /// Out if it holds. `None` where the rule has none.
    pub unless: Option<Condition>,
    /// Else the line is quarantined(invariant).
    pub must: Option<Condition>,
    /// True: the line goes on to later rules.
    pub also: bool,
    /// One event for each element of this array of the line; `@item` is the element.
    pub explode: Option<super::language::Path>,
    pub event: EventTemplate,
    /// Where the rule stands, for messages: `floe.toml:12:1`.
    pub place: String,
}

#[derive(Debug, Clone)]
pub struct TestSettings {
    /// Place in [`Settings::sources`].
    pub source: u16,
    /// More than one line of the file only where the source takes lines together.
    pub line: String,
    /// The file that it stands in, one of the source's.
    pub path: Option<String>,
    /// Of that path; none where there is none.
    pub captures: Captures,
    pub expect: Expectation,
    /// Where the test stands, for messages: `floe.toml:40:1`.
    pub place: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// Exactly these events, in order, with the rule that made each where the test names it. An
    /// `external_id` that the test leaves out is not compared.
    Events(Vec<ExpectedEvent>),
    Ignored(crate::model::Ignored),
    Quarantined(crate::model::Quarantined),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedEvent {
    pub rule: Option<String>,
    pub event: serde_json::Value,
}
