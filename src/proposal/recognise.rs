//! How the lines of a sample are written: container first, then the format under which most of them can be read.

use std::sync::Arc;

use super::plain;
use super::toml;
use super::trial::Trial;
use crate::config::presets::{self, Preset};
use crate::mapping::Recogniser;

/// Of the lines in question so many per cent must be readable, where a format tells its lines from anything else.
/// Applications print banners between their JSON.
const ENOUGH_OF_STRICT: usize = 50;

/// The same where nearly any line would do.
const ENOUGH_OF_LENIENT: usize = 80;

/// So many per cent of the records that the best format reads must be of the preset's software.
const ENOUGH_OF_PRESET: usize = 60;

/// A preset that cannot read so many per cent of what a plain format reads is none: somebody else writes there too.
const ENOUGH_BESIDE_FORMAT: usize = 95;

/// How the lines are written, and how sure that is.
#[derive(Debug)]
pub(super) struct Recognised {
    /// `none`, `cri` or `docker`.
    pub container: &'static str,
    /// The format or preset, as the config says it.
    pub format: String,
    pub preset: Option<Arc<Preset>>,
    /// The keys of the source, container included.
    pub keys: String,
    pub trial: Trial,
}

/// What was tried, where nothing fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRecognised {
    pub tried: Vec<String>,
    pub lines: usize,
    /// The candidate that reads most lines.
    pub nearest: Option<Nearest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    pub format: String,
    pub lines_parsed: usize,
    /// The first line that does not fit, and why.
    pub misfit: Option<(usize, String)>,
}

/// A way in which the lines may be written.
#[derive(Debug)]
struct Candidate {
    format: String,
    keys: String,
    enough: usize,
}

impl Candidate {
    fn new(format: &str, more: &str, enough: usize) -> Self {
        let keys = format!("format = {}\n{more}", toml::text(format));
        Self { format: format.to_owned(), keys, enough }
    }
}

pub(super) fn recognise(sample: &[u8]) -> Result<Recognised, NotRecognised> {
    let (container, container_key) = container(sample);
    let whole = |keys: &str| format!("{container_key}{keys}");
    let json =
        Trial::of_source(&whole("format = \"json\"\n"), sample).expect("the trial's own config is sound");
    let texts: Vec<&[u8]> =
        json.records.iter().filter(|it| !it.is_beside_the_point()).map(|it| it.text.as_slice()).collect();
    let mut best: Option<(usize, Candidate, Trial)> = None;
    let mut nearest: Option<(usize, String, Trial)> = None;
    let mut tried: Vec<String> = presets::names().map(str::to_owned).collect();
    for candidate in candidates(&texts) {
        tried.push(candidate.format.clone());
        let Ok(trial) = Trial::of_source(&whole(&candidate.keys), sample) else { continue };
        let (parsed, all) = (trial.lines_parsed(), trial.lines_in_question());
        if parsed > 0 && parsed * 100 >= all * candidate.enough {
            if best.as_ref().is_none_or(|(most, ..)| parsed > *most) {
                best = Some((parsed, candidate, trial));
            }
        } else if nearest.as_ref().is_none_or(|(most, ..)| parsed > *most) {
            nearest = Some((parsed, candidate.format, trial));
        }
    }
    let lines_read = best.as_ref().map_or(0, |(parsed, ..)| *parsed);
    if let Some((preset, keys, trial)) = preset(sample, &json, lines_read, &whole) {
        let format = preset.name.clone();
        return Ok(Recognised { container, format, preset: Some(preset), keys, trial });
    }
    match best {
        Some((_, candidate, trial)) => {
            let keys = whole(&candidate.keys);
            Ok(Recognised { container, format: candidate.format, preset: None, keys, trial })
        }
        None => Err(NotRecognised {
            tried,
            lines: json.lines_in_question(),
            nearest: nearest.map(|(lines_parsed, format, trial)| Nearest {
                format,
                lines_parsed,
                misfit: trial.first_misfit(),
            }),
        }),
    }
}

/// The container in which most lines are, and the key that says so.
fn container(sample: &[u8]) -> (&'static str, String) {
    for name in ["docker", "cri"] {
        let key = format!("container = \"{name}\"\n");
        let trial = Trial::of_source(&format!("{key}format = \"json\"\n"), sample)
            .expect("the trial's own config is sound");
        let wrapped = trial.records.iter().filter(|it| !it.is_beside_the_point() && !it.is_bare());
        let wrapped: usize = wrapped.map(|it| it.lines).sum();
        if wrapped * 2 > trial.lines_in_question() {
            return (name, key);
        }
    }
    ("none", String::new())
}

/// The preset that recognises most, its keys and what it reads.
fn preset(
    sample: &[u8],
    json: &Trial,
    lines_read: usize,
    whole: &dyn Fn(&str) -> String,
) -> Option<(Arc<Preset>, String, Trial)> {
    let mut best: Option<(usize, Arc<Preset>, String, Trial)> = None;
    for preset in presets::built_in() {
        let Some(recogniser) = Recogniser::new(&preset) else { continue };
        let keys = whole(&format!("format = {}\n", toml::text(&preset.name)));
        let recognised = |trial: &Trial| -> usize {
            trial.records.iter().filter(|it| recogniser.fits(&it.text)).map(|it| it.lines).sum()
        };
        // Where records are lines, those of the first trial are the preset's.
        if preset.lines.multiline.is_none() && recognised(json) * 100 < lines_read * ENOUGH_OF_PRESET {
            continue;
        }
        let Ok(trial) = Trial::of_source(&keys, sample) else { continue };
        if trial.lines_parsed() * 100 < lines_read * ENOUGH_BESIDE_FORMAT {
            continue;
        }
        let count = recognised(&trial);
        let enough = lines_read.max(trial.lines_in_question() / 2) * ENOUGH_OF_PRESET;
        let is_more = best.as_ref().is_none_or(|(most, ..)| count > *most);
        if count > 0 && count * 100 >= enough && is_more {
            best = Some((count, preset, keys, trial));
        }
    }
    best.map(|(_, preset, keys, trial)| (preset, keys, trial))
}

/// From the most specific to what takes nearly anything.
fn candidates(texts: &[&[u8]]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> =
        ["json", "syslog-rfc5424", "nginx-combined", "apache-combined", "syslog-rfc3164"]
            .map(|format| Candidate::new(format, "", ENOUGH_OF_STRICT))
            .into();
    let lines: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    candidates.extend(directive(&lines));
    if looks_like_logfmt(&lines) {
        candidates.push(Candidate::new("logfmt", "", ENOUGH_OF_LENIENT));
    }
    candidates.extend(with_header(&lines));
    if let Some(keys) = plain::keys(&lines) {
        candidates.push(Candidate { format: "regex".to_owned(), keys, enough: ENOUGH_OF_LENIENT });
    }
    candidates
}

/// The W3C's extended log format, as IIS and CloudFront write it.
fn directive(lines: &[&str]) -> Option<Candidate> {
    lines.iter().find(|line| line.starts_with("#Fields:"))?;
    let first = lines.iter().find(|line| !line.starts_with('#'))?;
    let delimiter = if first.contains('\t') { "\"\\t\"" } else { "\" \"" };
    let more = format!("delimiter = {delimiter}\nheader = \"fields\"\n");
    Some(Candidate::new("delimited", &more, ENOUGH_OF_LENIENT))
}

/// The format takes any line with one `key=value`; here most words must be one.
fn looks_like_logfmt(lines: &[&str]) -> bool {
    let starts = lines.iter().filter(|line| {
        let first = line.split(' ').next().unwrap_or_default();
        first.split_once('=').is_some_and(|(key, _)| is_name(key)) && line.matches('=').count() > 1
    });
    starts.count() * 100 >= lines.len() * ENOUGH_OF_LENIENT
}

/// CSV and its kin whose first line names the columns.
fn with_header(lines: &[&str]) -> Option<Candidate> {
    let (first, rest) = lines.split_first()?;
    for (delimiter, written) in [(b',', "\",\""), (b'\t', "\"\\t\""), (b';', "\";\""), (b'|', "\"|\"")] {
        let columns = |line: &str| {
            let mut reader = csv::ReaderBuilder::new();
            let mut reader =
                reader.has_headers(false).flexible(true).delimiter(delimiter).from_reader(line.as_bytes());
            reader.records().next().and_then(Result::ok)
        };
        let Some(names) = columns(first) else { continue };
        let mut known: Vec<&str> = names.iter().map(str::trim).collect();
        let all_names = known.iter().all(|name| is_name(name));
        known.sort_unstable();
        known.dedup();
        if names.len() < 2 || !all_names || known.len() < names.len() || rest.is_empty() {
            continue;
        }
        let equal = rest.iter().filter(|line| columns(line).is_some_and(|it| it.len() == names.len()));
        if equal.count() * 100 >= rest.len() * ENOUGH_OF_LENIENT {
            let more = format!("delimiter = {written}\nheader = \"first_line\"\n");
            return Some(Candidate::new("delimited", &more, ENOUGH_OF_LENIENT));
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '@' | '(' | ')' | '/'))
}
