//! `[[sources]]`: where lines come from, and how they are written.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::input::{self, InputKeys};
use super::preset::{FINAL, Presets};
use super::scope::PresetScope;
use super::{Context, id, lines, unique_ids};
use crate::config::fault::{Fault, Place};
use crate::config::globs;
use crate::config::node::{Node, Value};
use crate::config::presets::Preset;
use crate::config::settings::{Container, FilePattern, FilePatterns, Input, ReadFrom, SourceSettings};
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
    /// Where `include`, `socket` or `stdin` stands, or the source.
    input_place: Place,
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

pub(super) fn read_all(
    context: &Context<'_>,
    state_dir: &Path,
    nodes: &[Node],
    presets: &Presets<'_>,
) -> Vec<ReadSource> {
    let sources: Vec<_> = nodes.iter().filter_map(|node| read(context, state_dir, node, presets)).collect();
    unique_ids(context.report, "source", sources.iter().map(|source| &source.id));
    let settings = sources.iter().filter_map(|source| Some((source.settings.as_ref()?, &source.input_place)));
    input::check_alone(context.report, settings.map(|(settings, place)| (&settings.input, place)));
    if let Some(node) = nodes.get(MAX_SOURCES) {
        context.report.push(Fault::at(&node.place, format!("more than {MAX_SOURCES} sources")));
    }
    sources
}

fn read(context: &Context<'_>, state_dir: &Path, node: &Node, presets: &Presets<'_>) -> Option<ReadSource> {
    let report = context.report;
    let table = report.open("source", node)?;
    let hint = "give the source a name that stays: it is part of every event's identity";
    let id_node = table.required("id", hint);
    let id = id_node.and_then(|node| id(report, node));
    let keys = InputKeys::of(report, &table);
    keys.check(report, &table);
    let include = patterns(context, keys.include, true);
    let exclude = patterns(context, keys.exclude, false);
    let lines::SourceLines { lines, preset, unknown } = lines::read(report, &table, presets);
    let accepts_estimates = table.or("accept_estimates", false, |node| report.truth(node));
    let read_from = table.or("read_from", ReadFrom::Beginning, |node| {
        report.choice(node, &[("beginning", ReadFrom::Beginning), ("end", ReadFrom::End)])
    });
    let spooled = keys.spooled();
    match (&lines, spooled) {
        (Some(lines), Some((key, _))) => input::check_lines(report, &table, key, lines),
        (Some(lines), None) => lines::check_header(report, &table, lines, read_from),
        (None, _) => {}
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
    let input_place = spooled.map(|(_, node)| node).or(keys.include).map_or(&node.place, |node| &node.place);
    let (input, files) = match spooled {
        Some(_) => match keys.spool(context, state_dir, &id, max_line_bytes) {
            Some((input, files)) => (Some(input), files),
            None => (None, FilePatterns::new(Vec::new(), Vec::new())),
        },
        None => (Some(Input::Files), FilePatterns::new(include, exclude)),
    };
    let settings = lines.zip(input).map(|(lines, input)| SourceSettings {
        id: id.clone(),
        container: if input == Input::Files { lines.container } else { Container::Spool },
        input,
        files,
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
        input_place: input_place.clone(),
    })
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
