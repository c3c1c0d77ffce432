//! How the lines of a source are written: container, multi-line records, prefix, format.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::preset::{Found, Named, Presets};
use crate::config::fault::{self, Fault};
use crate::config::node::{Node, Value};
use crate::config::presets::{self, Preset};
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{Columns, Container, Delimited, Format, Lines, Multiline};

/// The formats by name.
pub(in crate::config) const FORMATS: &[&str] = &[
    "json",
    "logfmt",
    "regex",
    "delimited",
    "nginx-combined",
    "apache-combined",
    "syslog-rfc5424",
    "syslog-rfc3164",
];

const CONTAINERS: &[(&str, Container)] =
    &[("none", Container::None), ("cri", Container::Cri), ("docker", Container::Docker)];

const DEFAULT_MAX_LINES: u32 = 500;
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(5);

/// The keys that say how lines are written, of a source or of a preset.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    container: Option<&'a Node>,
    multiline: Option<&'a Node>,
    prefix: Option<&'a Node>,
    format: FormatKeys<'a>,
    /// The format of a preset, for the keys that a source overrides.
    of_preset: Option<&'a Node>,
}

/// The keys that belong to one format each.
#[derive(Clone, Copy)]
struct FormatKeys<'a> {
    pattern: Option<&'a Node>,
    delimiter: Option<&'a Node>,
    columns: Option<&'a Node>,
    header: Option<&'a Node>,
}

impl<'a> Keys<'a> {
    pub fn of(table: &TableReader<'a>) -> Self {
        Self {
            container: table.optional("container"),
            multiline: table.optional("multiline"),
            prefix: table.optional("prefix"),
            format: FormatKeys {
                pattern: table.optional("pattern"),
                delimiter: table.optional("delimiter"),
                columns: table.optional("columns"),
                header: table.optional("header"),
            },
            of_preset: None,
        }
    }
}

/// How the lines of a source are written, and the preset that says it, if one does.
pub(super) struct SourceLines {
    /// `None` where the format is missing or wrong; the report says so.
    pub lines: Option<Lines>,
    pub preset: Option<Arc<Preset>>,
    /// What is wrong with the format was said, and it may have been a preset.
    pub unknown: bool,
}

/// The keys of a source, over those of its preset.
pub(super) fn read(report: &Report, table: &TableReader<'_>, presets: &Presets<'_>) -> SourceLines {
    let keys = Keys::of(table);
    let node = table.required("format", "say how a line is written: format = \"json\"");
    match node.and_then(Node::text).map_or(Found::Nothing, |text| presets.get(&text.value)) {
        Found::Preset(Named { preset, keys: of_preset }) => {
            let lines = keys.over(report, of_preset, &preset.lines);
            SourceLines { lines, preset: Some(Arc::clone(preset)), unknown: false }
        }
        Found::Broken => SourceLines { lines: None, preset: None, unknown: true },
        Found::Nothing => {
            let lines = keys.lines(report, node, presets::names());
            let unknown = lines.is_none();
            SourceLines { lines, preset: None, unknown }
        }
    }
}

/// The keys of a preset, which builds on a format and on no other preset.
pub(super) fn read_preset<'a>(report: &Report, table: &TableReader<'a>) -> (Keys<'a>, Option<Lines>) {
    let keys = Keys::of(table);
    let node = table.required("format", "say which format it builds on: format = \"json\"");
    let lines = keys.lines(report, node, std::iter::empty());
    (Keys { of_preset: node, ..keys }, lines)
}

impl Keys<'_> {
    fn lines<'n>(
        &self,
        report: &Report,
        format: Option<&Node>,
        presets: impl Iterator<Item = &'n str>,
    ) -> Option<Lines> {
        let container = self.container(report).unwrap_or(Container::None);
        let multiline = self.multiline.and_then(|node| multiline(report, node));
        let prefix = self.prefix.and_then(|node| prefix(report, node));
        let format = self.format.format(report, format?, presets)?;
        Some(Lines { container, multiline, prefix, format })
    }

    /// What the source says counts; where it says nothing, the preset.
    fn over(&self, report: &Report, preset: &Keys<'_>, of_preset: &Lines) -> Option<Lines> {
        let Lines { container, multiline: records, prefix: start, format } = of_preset.clone();
        let keys = self.format.over(&preset.format);
        let format = match preset.of_preset {
            Some(node) if self.format.any() => keys.format(report, node, std::iter::empty())?,
            _ => format,
        };
        Some(Lines {
            container: self.container(report).unwrap_or(container),
            multiline: self.multiline.map_or(records, |node| multiline(report, node)),
            prefix: self.prefix.map_or(start, |node| prefix(report, node)),
            format,
        })
    }

    fn container(&self, report: &Report) -> Option<Container> {
        self.container.and_then(|node| report.choice(node, CONTAINERS))
    }
}

impl FormatKeys<'_> {
    fn any(&self) -> bool {
        [self.pattern, self.delimiter, self.columns, self.header].iter().any(Option::is_some)
    }

    /// `columns` and `header` exclude each other, so who gives one means neither of the preset's.
    fn over<'a>(&'a self, preset: &FormatKeys<'a>) -> FormatKeys<'a> {
        let names_columns = self.columns.or(self.header).is_some();
        FormatKeys {
            pattern: self.pattern.or(preset.pattern),
            delimiter: self.delimiter.or(preset.delimiter),
            columns: if names_columns { self.columns } else { preset.columns },
            header: if names_columns { self.header } else { preset.header },
        }
    }

    fn format<'n>(
        &self,
        report: &Report,
        node: &Node,
        presets: impl Iterator<Item = &'n str>,
    ) -> Option<Format> {
        let name = report.text(node)?.value.as_str();
        self.refuse_foreign(report, name);
        match name {
            "json" => Some(Format::Json),
            "logfmt" => Some(Format::Logfmt),
            "regex" => self.regex(report, node).map(Format::Regex),
            "delimited" => self.delimited(report, node).map(Format::Delimited),
            "nginx-combined" => Some(Format::NginxCombined),
            "apache-combined" => Some(Format::ApacheCombined),
            "syslog-rfc5424" => Some(Format::SyslogRfc5424),
            "syslog-rfc3164" => Some(Format::SyslogRfc3164),
            _ => {
                let known: Vec<&str> = FORMATS.iter().copied().chain(presets).collect();
                let hint = fault::did_you_mean(name, &known, "there are:");
                report.push(Fault::at(&node.place, format!("unknown format \"{name}\"")).hint(hint));
                None
            }
        }
    }

    /// A key of another format would be read by nobody.
    fn refuse_foreign(&self, report: &Report, format: &str) {
        let delimited = [("delimiter", self.delimiter), ("columns", self.columns), ("header", self.header)];
        let keys = [("regex", "pattern", self.pattern)]
            .into_iter()
            .chain(delimited.map(|(key, node)| ("delimited", key, node)));
        for (of, key, node) in keys {
            if let Some(node) = node.filter(|_| of != format) {
                let message = format!("\"{key}\" belongs to format = \"{of}\"");
                report.push(Fault::at(&node.place, message).hint("take it out, or change the format"));
            }
        }
    }

    fn regex(&self, report: &Report, format: &Node) -> Option<Regex> {
        let Some(node) = self.pattern else {
            let hint = "give it the regular expression: pattern = '^(?<ts>\\S+) (?<customer>\\S+)$'";
            report.push(Fault::at(&format.place, "the key \"pattern\" is missing").hint(hint));
            return None;
        };
        let regex = expression(report, node)?;
        if regex.capture_names().flatten().next().is_none() {
            let hint = "name what rules shall read: (?<customer>\\S+)";
            report.push(Fault::at(&node.place, "this pattern has no named groups").hint(hint));
            return None;
        }
        Some(regex)
    }

    fn delimited(&self, report: &Report, format: &Node) -> Option<Delimited> {
        let delimiter = self.delimiter.map_or(Some(b','), |node| delimiter(report, node));
        let columns = match (self.columns, self.header) {
            (Some(node), None) => columns(report, node),
            (None, Some(node)) => {
                let choices = [("first_line", Columns::FirstLine), ("fields", Columns::Directive)];
                let known = [("first_line", 0), ("fields", 1)];
                report.choice(node, &known).map(|at: usize| choices[at].1.clone())
            }
            (Some(_), Some(node)) => {
                let hint = "columns names them here; header = \"first_line\" reads the names from the file";
                report
                    .push(Fault::at(&node.place, "\"columns\" and \"header\" exclude each other").hint(hint));
                None
            }
            (None, None) => {
                let hint = "write header = \"first_line\", header = \"fields\" for #Fields: lines, or columns = [\"ts\", \"customer\"]";
                report.push(Fault::at(&format.place, "the columns have no names").hint(hint));
                None
            }
        };
        Some(Delimited { delimiter: delimiter?, columns: columns? })
    }
}

fn delimiter(report: &Report, node: &Node) -> Option<u8> {
    let text = report.text(node)?.value.as_str();
    match text.as_bytes() {
        // Where quotes leave it alone, `\t` is two signs.
        b"\\t" => Some(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n#-".contains(byte) => {
            Some(*byte)
        }
        _ => {
            let hint = "write one sign that is no letter, digit, quote, # or -, such as \",\", \";\", \"|\" or \"\\t\"";
            report.push(Fault::at(&node.place, format!("{text:?} cannot be a delimiter")).hint(hint));
            None
        }
    }
}

fn columns(report: &Report, node: &Node) -> Option<Columns> {
    if !matches!(node.value, Value::List(_)) {
        report.wrong_type(node, "a list");
        return None;
    }
    let nodes = report.texts(node);
    let names: Vec<String> = nodes.iter().filter_map(|node| Some(node.text()?.value.clone())).collect();
    if names.iter().all(String::is_empty) {
        report.push(Fault::at(&node.place, "no column has a name").hint("name them in their order"));
        return None;
    }
    for (at, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..at].contains(name) {
            let message = format!("two columns have the name \"{name}\"");
            report.push(Fault::at(&nodes[at].place, message).hint("name a column that nobody wants \"\""));
            return None;
        }
    }
    Some(Columns::Named(names))
}

fn multiline(report: &Report, node: &Node) -> Option<Multiline> {
    let table = report.open("multiline", node)?;
    let hint = "say how the first line of a record begins: start = '^\\d{4}-'";
    let start = table.required("start", hint).and_then(|node| expression(report, node));
    let max_lines = table.or("max_lines", DEFAULT_MAX_LINES, |node| {
        report.integer(node, &(1..=100_000)).and_then(|lines| lines.try_into().ok())
    });
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let max_wait = table.or("max_wait", DEFAULT_MAX_WAIT, |node| report.duration(node, &range));
    table.finish();
    Some(Multiline { start: start?, max_lines, max_wait })
}

fn prefix(report: &Report, node: &Node) -> Option<Regex> {
    if report.text(node)?.value.is_empty() {
        return None;
    }
    expression(report, node)
}

fn expression(report: &Report, node: &Node) -> Option<Regex> {
    let text = report.some_text(node)?;
    match Regex::new(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            // The crate draws the place over several lines; its last line says what is wrong.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let hint = "the syntax is that of https://docs.rs/regex: no look-around, no backreferences";
            report.push(Fault::at(&node.place, format!("not a regular expression: {why}")).hint(hint));
            None
        }
    }
}
