//! Events to look at: of the lines of `[[tests]]`, and of the first lines of the files that are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::subject::{Customer, Seen};
use crate::cli::explain::stream_key;
use crate::config::Settings;
use crate::config::settings::Captures;
use crate::mapping::{Excerpt, ExplainedOutcome, MapContext, Rules, excerpts, explain};
use crate::model::{Generation, SourceIndex};
use crate::polar::meters::as_stored;
use crate::shell::content::Extents;
use crate::shell::disk::OddPaths;
use crate::shell::look::Lookout;

/// Of a source so many files are looked into, those that were changed last.
const FILES: usize = 4;

/// Of a file so much is read.
const HEAD_BYTES: u64 = 256 << 10;

/// Of a file so many lines are mapped.
const LINES: usize = 500;

/// Events by the id of the rule that made them.
#[derive(Debug, Default)]
pub struct Sample {
    pub by_rule: BTreeMap<String, Vec<Seen>>,
    /// Lines of files that were mapped.
    pub lines: usize,
    pub files: usize,
    lines_taken: usize,
}

impl Sample {
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let mut sample = Self::default();
        // A test's line is as its application writes it.
        let plain_settings = settings.without_spool();
        let plain = Rules::compile(&plain_settings);
        for test in &settings.tests {
            let bytes = test.line.as_bytes();
            let source = SourceIndex(test.source);
            let key = stream_key(settings, source, &[bytes, b"\n"].concat());
            let path = test.path.as_deref().unwrap_or(&test.place);
            let context = context(&plain, source, &key, path, &test.captures);
            // Of a header and a line below it, the line is meant.
            if let Some(excerpt) = excerpts(&plain, source, bytes).last() {
                sample.take(&context, excerpt, &test.place, false);
            }
        }
        let rules = Rules::compile(settings);
        for (source, path, captures) in files(settings) {
            sample.take_file(settings, &rules, source, &path, &captures);
        }
        sample
    }

    fn take_file(
        &mut self,
        settings: &Settings,
        rules: &Rules,
        source: SourceIndex,
        path: &Path,
        captures: &Captures,
    ) {
        let mut bytes = Vec::new();
        let head = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut bytes));
        if head.is_err() {
            // A log that cannot be read is said by the daemon; here others will do.
            return;
        }
        if bytes.len() as u64 == HEAD_BYTES {
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            bytes.truncate(whole);
        }
        self.files += 1;
        let key = stream_key(settings, source, &bytes);
        let whole_path = path.to_string_lossy();
        let context = context(rules, source, &key, &whole_path, captures);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (mut number, mut counted) = (1, 0);
        for excerpt in excerpts(rules, source, &bytes).iter().take(LINES) {
            let at = usize::try_from(excerpt.at.0).expect("the head is in memory");
            number += memchr::memchr_iter(b'\n', &bytes[counted..at]).count();
            counted = at;
            self.lines += 1;
            self.take(&context, excerpt, &format!("{name}:{number}"), true);
        }
    }

    fn take(&mut self, context: &MapContext<'_>, excerpt: &Excerpt<'_>, place: &str, is_of_a_log: bool) {
        let ExplainedOutcome::Billed { events, .. } = explain(context, excerpt).outcome else { return };
        self.lines_taken += 1;
        for event in events {
            let json: Value = serde_json::from_str(&event.json).expect("mapping writes JSON");
            let text = |key: &str| json[key].as_str().map(str::to_owned);
            let customer = text("external_customer_id")
                .map(Customer::External)
                .or_else(|| text("customer_id").map(Customer::Polar));
            self.by_rule.entry(event.rule).or_default().push(Seen {
                name: text("name").unwrap_or_default(),
                metadata: as_stored(json["metadata"].as_object().unwrap_or(&Map::new())),
                line: self.lines_taken,
                place: place.to_owned(),
                // The customers of a test are examples.
                customer: customer.filter(|_| is_of_a_log),
            });
        }
    }
}

fn context<'a>(
    rules: &'a Rules,
    source: SourceIndex,
    stream_key: &'a [u8; 32],
    path: &'a str,
    captures: &'a Captures,
) -> MapContext<'a> {
    MapContext {
        rules,
        source,
        stream_key,
        generation: Generation::default(),
        path,
        captures,
        expected: None,
        long_line: None,
        // What is due later is sent as well.
        polar_now: Timestamp::MAX,
        room: usize::MAX,
    }
}

/// The files of each source, as far as they are looked into.
fn files(settings: &Settings) -> Vec<(SourceIndex, PathBuf, Arc<Captures>)> {
    let mut lookout =
        Lookout::new(Arc::new(settings.clone()), OddPaths::default(), Extents::default(), BTreeSet::new());
    let mut sightings = lookout.look().sightings;
    sightings.retain(|sighting| sighting.matched.is_some());
    sightings.sort_by_key(|sighting| (sighting.source, std::cmp::Reverse(sighting.modified)));
    let mut taken: BTreeMap<SourceIndex, usize> = BTreeMap::new();
    let mut files = Vec::new();
    for sighting in sightings {
        let so_far = taken.entry(sighting.source).or_default();
        *so_far += 1;
        if *so_far <= FILES {
            let captures = sighting.matched.unwrap_or_default();
            files.push((sighting.source, PathBuf::from(&*sighting.path), captures));
        }
    }
    files
}
