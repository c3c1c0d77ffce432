//! `[[sources]]`: which files, and how they are written.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::preset::{FINAL, Presets};
use super::scope::PresetScope;
use super::{Context, id, lines, unique_ids};
use crate::config::fault::{Fault, Place};
use crate::config::globs;
use crate::config::node::{Node, Value};
use crate::config::presets::Preset;
use crate::config::reader::{Report, TableReader};
use crate::config::settings::{Container, FilePattern, FilePatterns, ReadFrom, SourceSettings};
use crate::model::Compression;

const MAX_SOURCES: usize = 65_535;
const DEFAULT_MAX_LINE_BYTES: u32 = 1 << 20;

/// A source as far as it could be read, so that rules can name it whatever else is wrong.
pub(super) struct ReadSource {
    pub id: (String, Place),
    /// The names of `@path.…`.
    pub captures: BTreeSet<String>,
    /// Its lines are taken out of a container; true also where that is not known.
    pub is_wrapped: bool,
    pub max_line_bytes: u32,
    /// Where that stands, or the source.
    pub max_line_place: Place,
    /// Where the preset is named, and the preset.
    pub preset: Option<(Place, Arc<Preset>)>,
    /// The format is wrong, and may have been meant for a preset.
    pub unknown_format: bool,
    pub accepts_estimates: bool,
    pub settings: Option<SourceSettings>,
}

impl ReadSource {
    /// What `@preset.…` may name here; `None` where that cannot be known.
    pub fn preset_scope(&self) -> Option<PresetScope<'_>> {
        match &self.preset {
            _ if self.unknown_format => None,
            None => Some(PresetScope::None { source: &self.id.0 }),
            Some((_, preset)) => {
                let values = preset.values.iter().map(|(name, _)| name.as_str());
                let values = values.chain([FINAL]).collect();
                Some(PresetScope::Of { preset: &preset.name, values })
            }
        }
    }
}

pub(super) fn read_all(context: &Context<'_>, nodes: &[Node], presets: &Presets<'_>) -> Vec<ReadSource> {
    let sources: Vec<_> = nodes.iter().filter_map(|node| read(context, node, presets)).collect();
    unique_ids(context.report, "source", sources.iter().map(|source| &source.id));
    if let Some(node) = nodes.get(MAX_SOURCES) {
        context.report.push(Fault::at(&node.place, format!("more than {MAX_SOURCES} sources")));
    }
    sources
}

fn read(context: &Context<'_>, node: &Node, presets: &Presets<'_>) -> Option<ReadSource> {
    let report = context.report;
    let table = report.open("source", node)?;
    let hint = "give the source a name that stays: it is part of every event's identity";
    let id_node = table.required("id", hint);
    let id = id_node.and_then(|node| id(report, node));
    let socket = not_yet(report, &table);
    let include = if socket {
        table.optional("include");
        Vec::new()
    } else {
        patterns(
            context,
            table.required("include", "say which files: include = [\"/var/log/app/*.log\"]"),
            true,
        )
    };
    let exclude = patterns(context, table.optional("exclude"), false);
    let lines::SourceLines { lines, preset, unknown } = lines::read(report, &table, presets);
    let accepts_estimates = table.or("accept_estimates", false, |node| report.truth(node));
    let read_from = table.or("read_from", ReadFrom::Beginning, |node| {
        report.choice(node, &[("beginning", ReadFrom::Beginning), ("end", ReadFrom::End)])
    });
    if let Some(lines) = &lines {
        lines::check_header(report, &table, lines, read_from);
    }
    let max_line_bytes = table.or("max_line_bytes", DEFAULT_MAX_LINE_BYTES, |node| {
        report.size(node, &(1 << 10..=64 << 20)).and_then(|bytes| bytes.try_into().ok())
    });
    let place_of = |key| table.entry(key).map_or(table.place(), |entry| &entry.node.place).clone();
    let (max_line_place, format_place) = (place_of("max_line_bytes"), place_of("format"));
    table.finish();

    let is_wrapped = lines.as_ref().is_none_or(|lines| lines.container != Container::None);
    let captures = include.iter().flat_map(|pattern| pattern.regex.capture_names().flatten());
    let captures = captures.map(str::to_owned).collect();
    let id_place = id_node.map_or(&node.place, |node| &node.place).clone();
    // A source without an id of its own still counts, so that nobody is told that it is unknown.
    let id = id.map_or_else(|| String::from("?"), str::to_owned);
    let settings = lines.map(|lines| SourceSettings {
        id: id.clone(),
        files: FilePatterns::new(include, exclude),
        container: lines.container,
        multiline: lines.multiline,
        prefix: lines.prefix,
        format: lines.format,
        preset: preset.clone(),
        read_from,
        max_line_bytes,
    });
    Some(ReadSource {
        id: (id, id_place),
        captures,
        is_wrapped,
        max_line_bytes,
        max_line_place,
        preset: preset.map(|preset| (format_place, preset)),
        unknown_format: unknown,
        accepts_estimates,
        settings,
    })
}

/// What the config of a later release may say. True for a socket.
fn not_yet(report: &Report, table: &TableReader<'_>) -> bool {
    let socket = table.optional("socket");
    let socket_type = table.optional("socket_type");
    if let Some(node) = socket.or(socket_type) {
        report.push(
            Fault::at(&node.place, "sockets are not in this release yet")
                .hint("let the application write a file, and name it with include"),
        );
    }
    socket.is_some()
}

fn patterns(context: &Context<'_>, node: Option<&Node>, needed: bool) -> Vec<FilePattern> {
    let report = context.report;
    let Some(node) = node else { return Vec::new() };
    if needed && matches!(&node.value, Value::List(list) if list.is_empty()) {
        report.push(Fault::at(&node.place, "this source has no files").hint("name at least one pattern"));
    }
    let mut patterns = Vec::new();
    for node in report.texts(node) {
        let Some(text) = node.text() else { continue };
        match globs::compile(&text.value, context.folder) {
            Ok(_) if needed && Compression::of_path(&text.value).is_some() => report.push(
                Fault::at(&node.place, "a compressed file is not a log that lines are written to").hint(
                    "name the log: its rotated files are found beside it, compressed or not; \
                     for others there is `floe backfill`",
                ),
            ),
            Ok(pattern) => patterns.push(pattern),
            Err(fault) => {
                report.push(Fault::at(&node.part(&fault.span), fault.message).maybe_hint(fault.hint));
            }
        }
    }
    patterns
}
