//! Which software wrote a line, as far as presets can tell.

use std::sync::Arc;

use super::condition;
use super::formats::Reader;
use super::formats::delimited::Header;
use super::line::readable;
use super::rules::Names;
use super::scope::{Field, Record, Scope};
use super::slots::Slots;
use crate::config::language::Condition;
use crate::config::presets::Preset;
use crate::config::settings::{Captures, FilePatterns, Input, ReadFrom, SourceSettings};

/// Tells lines of one preset's software from others.
#[derive(Debug)]
pub struct Recogniser {
    reader: Reader,
    condition: Condition<Field>,
}

impl Recogniser {
    /// `None` where the preset does not say how its lines are known.
    #[must_use]
    pub fn new(preset: &Arc<Preset>) -> Option<Self> {
        let mut names = Names::new(Some(preset));
        let condition = preset.recognise.as_ref()?.resolve(&mut names);
        let lines = preset.lines.clone();
        let source = SourceSettings {
            id: preset.name.clone(),
            input: Input::Files,
            files: FilePatterns::new(Vec::new(), Vec::new()),
            container: lines.container,
            multiline: lines.multiline,
            prefix: lines.prefix,
            format: lines.format,
            preset: Some(Arc::clone(preset)),
            read_from: ReadFrom::Beginning,
            max_line_bytes: u32::MAX,
        };
        Some(Self { reader: Reader::new(&source, &names.tries.line), condition })
    }

    /// Whether a record, without its line end and out of its container, is of this software.
    #[must_use]
    pub fn fits(&self, record: &[u8]) -> bool {
        let (mut text, mut replaced, mut slots) = (String::new(), Vec::new(), Slots::default());
        let text = readable(record, &mut text, &mut replaced);
        if self.reader.read(text, &Header::default(), &mut slots).is_err() {
            return false;
        }
        let line = Record { text, slots: &slots, origin: 0, replaced: &replaced };
        let scope = Scope { line, item: None, container: None, captures: &Captures::new(), source: "" };
        condition::holds(&self.condition, &scope)
    }
}
