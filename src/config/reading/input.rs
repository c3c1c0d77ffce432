//! Where the lines of a source come from: files, a socket, or the standard input.
//!
//! What does not come from files is spooled, and the spool's files are followed instead. A key that would mean
//! nothing there is a fault: whoever wrote it expects something of it.

use std::path::{Path, PathBuf};

use regex::Regex;

use super::Context;
use crate::config::fault::{Fault, Place};
use crate::config::node::{Node, Value};
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{
    FilePattern, FilePatterns, Input, Lines, SOCKET_PATH_MAX_BYTES, SocketKind, SocketSettings,
    SpoolSettings, UnixId,
};
use crate::config::units::print_size;

const DEFAULT_MAX_BYTES: u64 = 256 << 20;
const DEFAULT_MODE: u32 = 0o660;

/// What the spool may hold at least, in lines of the longest kind.
const LEAST_LINES: u64 = 4;

/// Keys that only a source with a socket has.
const OF_SOCKETS: [&str; 6] =
    ["socket_type", "socket_mode", "socket_owner", "socket_group", "allowed_uids", "ack"];

/// The keys that say where lines come from.
pub(super) struct InputKeys<'a> {
    pub include: Option<&'a Node>,
    pub exclude: Option<&'a Node>,
    socket: Option<&'a Node>,
    stdin: Option<&'a Node>,
    of_socket: [Option<&'a Node>; 6],
    max_bytes: Option<&'a Node>,
}

impl<'a> InputKeys<'a> {
    pub fn of(report: &Report, table: &TableReader<'a>) -> Self {
        let stdin = table.optional("stdin").filter(|node| report.truth(node) == Some(true));
        Self {
            include: table.optional("include"),
            exclude: table.optional("exclude"),
            socket: table.optional("socket"),
            stdin,
            of_socket: OF_SOCKETS.map(|key| table.optional(key)),
            max_bytes: table.optional("spool_max_bytes"),
        }
    }

    /// Where the socket or `stdin` stands, if the source has one.
    pub fn spooled(&self) -> Option<(&'static str, &'a Node)> {
        self.socket.map(|node| ("socket", node)).or(self.stdin.map(|node| ("stdin", node)))
    }

    /// Says where keys exclude each other, or belong to another kind of source.
    pub fn check(&self, report: &Report, table: &TableReader<'_>) {
        let places = [("include", self.include), ("socket", self.socket), ("stdin", self.stdin)];
        let given: Vec<(&str, &Node)> =
            places.into_iter().filter_map(|(key, node)| Some((key, node?))).collect();
        match given.as_slice() {
            [] => {
                let hint = "say which files: include = [\"/var/log/app/*.log\"]; or name a socket, or write stdin = true";
                report.push(Fault::at(table.place(), "the key \"include\" is missing".to_owned()).hint(hint));
            }
            [_] => {}
            [(first, _), (second, node), ..] => {
                let message = format!("\"{first}\" and \"{second}\" exclude each other");
                report.push(Fault::at(&node.place, message).hint("make a source of its own of each"));
            }
        }
        let foreign = |key: &str, node: Option<&Node>, of: &str| {
            if let Some(node) = node {
                let message = format!("\"{key}\" belongs to a source with {of}");
                report.push(Fault::at(&node.place, message).hint("take it out"));
            }
        };
        if self.socket.is_none() {
            for (key, node) in OF_SOCKETS.iter().zip(self.of_socket) {
                foreign(key, node, "a socket");
            }
        }
        if self.spooled().is_none() {
            foreign("spool_max_bytes", self.max_bytes, "a socket or stdin");
        } else {
            foreign("exclude", self.exclude, "include");
        }
    }

    /// The socket or the standard input, and the files of its spool. `None` where the source has files, or where
    /// something is wrong; the report says what.
    pub fn spool(
        &self,
        context: &Context<'_>,
        state_dir: &Path,
        id: &str,
        max_line_bytes: u32,
    ) -> Option<(Input, FilePatterns)> {
        let report = context.report;
        let (_, node) = self.spooled()?;
        if matches!(id, "." | "..") {
            let hint = "its lines are spooled in a folder of that name: use a letter";
            report.push(Fault::at(&node.place, format!("a source like this cannot be \"{id}\"")).hint(hint));
            return None;
        }
        let max_bytes = self.max_bytes(report, &node.place, max_line_bytes);
        let folder = state_dir.join("spool").join(id);
        let files = FilePatterns::new(vec![segments(&folder)], Vec::new());
        let spool = SpoolSettings { folder, max_bytes };
        let input = match self.socket {
            Some(path) => Input::Socket(self.socket(context, path, spool)?),
            None => Input::Stdin(spool),
        };
        Some((input, files))
    }

    fn max_bytes(&self, report: &Report, place: &Place, max_line_bytes: u32) -> u64 {
        let read = self.max_bytes.and_then(|node| report.size(node, &((1 << 16)..=1 << 50)));
        let max_bytes = read.unwrap_or(DEFAULT_MAX_BYTES);
        let least = LEAST_LINES * u64::from(max_line_bytes);
        if max_bytes < least {
            let place = self.max_bytes.map_or(place, |node| &node.place);
            let message = format!("a spool of {} is too small", print_size(max_bytes));
            let hint = format!(
                "spool_max_bytes must be {} at least, four lines of max_line_bytes ({})",
                print_size(least),
                print_size(max_line_bytes.into())
            );
            report.push(Fault::at(place, message).hint(hint));
        }
        max_bytes
    }

    fn socket(&self, context: &Context<'_>, path: &Node, spool: SpoolSettings) -> Option<SocketSettings> {
        let report = context.report;
        let [kind, mode, owner, group, allowed, ack] = self.of_socket;
        let kind = kind.map_or(Some(SocketKind::Stream), |node| {
            report.choice(node, &[("stream", SocketKind::Stream), ("datagram", SocketKind::Datagram)])
        });
        let mode = mode.map_or(Some(DEFAULT_MODE), |node| permissions(report, node));
        let owner = owner.map(|node| unix_id(report, node));
        let group = group.map(|node| unix_id(report, node));
        let allowed = allowed.map(|node| writers(report, node));
        let acknowledges = ack.is_some_and(|node| report.truth(node) == Some(true));
        if let Some(node) = ack.filter(|_| acknowledges && kind == Some(SocketKind::Datagram)) {
            let hint = "write socket_type = \"stream\": there a writer hears \"ok\" for each line";
            report.push(Fault::at(&node.place, "nobody hears an answer to a datagram").hint(hint));
        }
        Some(SocketSettings {
            path: socket_path(context, path)?,
            kind: kind?,
            mode: mode?,
            owner: owner.map_or(Some(None), |owner| owner.map(Some))?,
            group: group.map_or(Some(None), |group| group.map(Some))?,
            allowed: allowed.map_or(Some(None), |allowed| allowed.map(Some))?,
            acknowledges,
            spool,
        })
    }
}

/// Says what makes no sense where lines come in one by one: `lines` as the source or its preset has them.
pub(super) fn check_lines(report: &Report, table: &TableReader<'_>, key: &str, lines: &Lines) {
    let place = |key: &str| {
        let own = table.entry(key).or_else(|| table.entry("format"));
        own.map_or(table.place(), |entry| &entry.node.place)
    };
    let refuse = |at: &str, message: String, hint: &str| {
        report.push(Fault::at(place(at), message).hint(hint));
    };
    if lines.container.is_runtime() {
        let hint = "take it out: no container runtime stands between";
        refuse("container", format!("a source with {key} has no container"), hint);
    }
    if lines.multiline.is_some() {
        let hint = "let the application send each record as one line";
        refuse("multiline", format!("a source with {key} has no multiline: writers interleave"), hint);
    }
    if table.entry("read_from").is_some() {
        let hint = "take it out: what comes in is read from its beginning";
        refuse("read_from", format!("a source with {key} has no read_from"), hint);
    }
    if lines.format.has_header() {
        let hint = "name the columns in the config: columns = [\"ts\", \"customer\"]";
        refuse("header", format!("a source with {key} has no header that lasts"), hint);
    }
}

/// Each socket belongs to one source, and there is one standard input.
pub(super) fn check_alone<'a>(report: &Report, inputs: impl Iterator<Item = (&'a Input, &'a Place)>) {
    let mut seen: Vec<(&Input, &Place)> = Vec::new();
    for (input, place) in inputs {
        let rival = seen.iter().find(|(other, _)| match (input, other) {
            (Input::Socket(one), Input::Socket(other)) => one.path == other.path,
            (Input::Stdin(_), Input::Stdin(_)) => true,
            _ => false,
        });
        match (rival, input) {
            (None, _) => seen.push((input, place)),
            (Some((_, first)), Input::Socket(socket)) => {
                let message = format!("two sources have the socket \"{}\"", socket.path.display());
                let hint = "give each a path of its own";
                report.push(Fault::at(place, message).beside(first, "first here").hint(hint));
            }
            (Some((_, first)), _) => {
                let message = "two sources read the standard input";
                let hint = "there is one: let one source read it";
                report.push(Fault::at(place, message).beside(first, "first here").hint(hint));
            }
        }
    }
}

/// The segments of a spool.
fn segments(folder: &Path) -> FilePattern {
    let base = folder.display().to_string();
    let regex = format!(r"\A{}/[0-9]+\.spool\z", regex::escape(&base));
    FilePattern {
        text: format!("{base}/*.spool"),
        base: folder.to_owned(),
        depth: Some(0),
        regex: Regex::new(&regex).expect("an escaped path and a number are an expression"),
    }
}

fn socket_path(context: &Context<'_>, node: &Node) -> Option<PathBuf> {
    let path = context.path(node)?;
    let bytes = path.as_os_str().len();
    let message = if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        format!("\"{}\" names a folder", path.display())
    } else if bytes > SOCKET_PATH_MAX_BYTES {
        format!("the path has {bytes} bytes; that of a socket has at most {SOCKET_PATH_MAX_BYTES}")
    } else {
        return Some(path);
    };
    context.report.push(Fault::at(&node.place, message).hint("write socket = \"/run/floe/app.sock\""));
    None
}

/// Three octal digits, a zero before them or not.
fn permissions(report: &Report, node: &Node) -> Option<u32> {
    let text = match &node.value {
        Value::Text(text) => text.value.as_str(),
        Value::Number(number) => number.trim_start_matches("0o"),
        _ => "",
    };
    let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3).unwrap_or(text);
    let is_octal = digits.len() == 3 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(digits, 8).ok().filter(|_| is_octal);
    if mode.is_none() {
        let hint = "write three octal digits: socket_mode = \"0660\"";
        report.push(Fault::at(&node.place, "this is no file mode").hint(hint));
    }
    mode
}

fn unix_id(report: &Report, node: &Node) -> Option<UnixId> {
    let number = match &node.value {
        Value::Number(number) => number.as_str(),
        _ => report.some_text(node)?,
    };
    match number.parse() {
        // The highest number means "leave it" to the operating system.
        Ok(number) if number < u32::MAX => Some(UnixId::Number(number)),
        _ if matches!(node.value, Value::Text(_)) && !number.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(UnixId::Name(number.to_owned()))
        }
        _ => {
            let message = format!("{number} is no name or number of a user or group");
            report.push(Fault::at(&node.place, message).hint("write \"www-data\", or 33"));
            None
        }
    }
}

fn writers(report: &Report, node: &Node) -> Option<Vec<UnixId>> {
    let nodes = report.list(node);
    if matches!(&node.value, Value::List(list) if list.is_empty()) {
        let hint = "name a user, or take allowed_uids out";
        report.push(Fault::at(&node.place, "with an empty list nobody may write").hint(hint));
        return None;
    }
    let ids: Vec<Option<UnixId>> = nodes.iter().map(|node| unix_id(report, node)).collect();
    ids.into_iter().collect::<Option<Vec<_>>>().filter(|ids| !ids.is_empty())
}
