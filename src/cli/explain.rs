//! `floe explain`: what becomes of each line of a log, and why.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use owo_colors::OwoColorize as _;

use super::check::{self, BAD_CONFIG};
use super::explained::{as_json, tell_leaving};
use super::pretty::pretty;
use crate::config::Settings;
use crate::mapping::identity::{self, HEAD_BYTES};
use crate::mapping::{Excerpt, ExplainedOutcome, Explanation, MapContext, Rules, Verdict, excerpts, explain};
use crate::model::{Generation, Offset, SourceIndex};

/// Of sysexits.
const USAGE: u8 = 64;
const NO_INPUT: u8 = 66;

/// Characters of a line that are shown.
pub(super) const SHOWN_CHARS: usize = 240;

/// Says for each line which fields were read, which rule matched and why the others did not, shows the events, and says
/// which fields leave the host.
#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    /// The source whose rules apply. Not needed where the config has one source, or where a file belongs to one.
    #[arg(long, value_name = "ID")]
    pub source: Option<String>,

    /// As JSON, an object for each line
    #[arg(long)]
    pub json: bool,

    /// Files to explain; - is the standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
}

/// 0, whatever becomes of the lines; 64 where it is not clear which source is meant, 66 where a file cannot be read.
#[must_use]
pub fn run(arguments: &ExplainArguments, config: Option<PathBuf>) -> ExitCode {
    let Ok(settings) = check::load(config) else { return ExitCode::from(BAD_CONFIG) };
    let spooled = Rules::compile(&settings);
    let plain = Rules::compile(&settings.without_spool());
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    for file in &arguments.files {
        let Some(source) = source_of(&settings, arguments.source.as_deref(), file) else {
            let known: Vec<_> = settings.sources.iter().map(|source| source.id.as_str()).collect();
            let _ = writeln!(
                io::stderr(),
                "error: it is not clear to which source \"{}\" belongs",
                file.display()
            );
            let _ = writeln!(io::stderr(), "hint: say --source with one of {}", known.join(", "));
            return ExitCode::from(USAGE);
        };
        let rules = if is_segment(&settings, source, file) { &spooled } else { &plain };
        let told = open(file)
            .and_then(|input| explain_file(&settings, rules, source, file, arguments.json, input, &mut out));
        match told {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: cannot read \"{}\": {error}", file.display());
                return ExitCode::from(NO_INPUT);
            }
        }
    }
    ExitCode::SUCCESS
}

fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(file)?)))
}

/// The named source, or the one whose patterns take the file, or the only one.
fn source_of(settings: &Settings, named: Option<&str>, file: &Path) -> Option<SourceIndex> {
    let mut sources = (0..).zip(&settings.sources);
    let found = match named {
        Some(name) => sources.find(|(_, source)| source.id == name),
        None if settings.sources.len() == 1 => sources.next(),
        None => {
            let path = std::path::absolute(file).ok()?;
            let path = path.to_str()?;
            sources.find(|(_, source)| source.files.captures(path).is_some())
        }
    };
    found.map(|(index, _)| SourceIndex(index))
}

/// Whether the file is of the spool, where lines are wrapped; else it is taken to be as an application writes it.
fn is_segment(settings: &Settings, source: SourceIndex, file: &Path) -> bool {
    let source = &settings.sources[usize::from(source.0)];
    let path = std::path::absolute(file).ok();
    let path = path.as_deref().and_then(Path::to_str);
    source.input.spool().is_some() && path.is_some_and(|path| source.files.captures(path).is_some())
}

fn explain_file(
    settings: &Settings,
    rules: &Rules,
    source: SourceIndex,
    file: &Path,
    json: bool,
    mut input: Box<dyn BufRead>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let settings_of_source = &settings.sources[usize::from(source.0)];
    let key = stream_key(settings, source, &head);
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    let captures = settings_of_source.files.captures(&path).unwrap_or_default();
    let context = MapContext {
        rules,
        source,
        stream_key: &key,
        generation: Generation::default(),
        path: &path,
        captures: &captures,
        expected: None,
        long_line: None,
        polar_now: Timestamp::now(),
        room: usize::MAX,
    };
    let mut input = Cursor::new(head).chain(input);
    let mut told = |number: usize, excerpt: &Excerpt<'_>| {
        let explanation = explain(&context, excerpt);
        if json {
            let name = file.display().to_string();
            return writeln!(out, "{}", as_json(&name, number, excerpt.at.0, &explanation));
        }
        let place = format!("{}:{number} at byte {}", file.display(), excerpt.at);
        writeln!(out, "{}", place.bold())?;
        tell(out, &excerpt.lines, &explanation)
    };
    if rules.is_plain(source) {
        let (mut at, mut number) = (Offset::ZERO, 0);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            told(number, &Excerpt { at, lines: line.as_slice().into(), header: None })?;
            at = at.plus(line.len() as u64);
            line.clear();
        }
        return Ok(());
    }
    // Which lines belong together is told by what follows.
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let (mut number, mut counted) = (1, 0);
    for excerpt in excerpts(rules, source, &bytes) {
        let at = usize::try_from(excerpt.at.0).expect("the file is in memory");
        number += memchr::memchr_iter(b'\n', &bytes[counted..at]).count();
        counted = at;
        told(number, &excerpt)?;
    }
    Ok(())
}

/// The key that the daemon gives the first file with this head.
pub(super) fn stream_key(settings: &Settings, source: SourceIndex, head: &[u8]) -> [u8; 32] {
    let settings_of_source = &settings.sources[usize::from(source.0)];
    let print = identity::print_of_head(head, &settings_of_source.format)
        .or_else(|| identity::print_of_head(&[head, b"\n"].concat(), &settings_of_source.format))
        // A blank file has no lines to name.
        .unwrap_or(crate::model::Print([0; 16]));
    identity::stream_key(&settings.instance, &settings_of_source.id, print, 0)
}

fn tell(out: &mut impl Write, line: &[u8], explanation: &Explanation) -> io::Result<()> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => writeln!(out, "  {}…", &text[..end])?,
        None => writeln!(out, "  {text}")?,
    }
    let there: Vec<_> = explanation.fields.iter().filter(|(_, value)| value != "missing").collect();
    let width = there.iter().map(|(path, _)| path.chars().count()).max().unwrap_or(0);
    for (path, value) in there {
        writeln!(out, "    {path:width$}  {value}")?;
    }
    let width = explanation.rules.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0);
    for rule in &explanation.rules {
        let name = format!("{:width$}", rule.rule);
        match &rule.verdict {
            Verdict::Matched { .. } => writeln!(out, "  {} {name}  matches", "✓".green())?,
            Verdict::NotMatched { why } => writeln!(out, "  {} {name}  {why}", "✗".dimmed())?,
            Verdict::NotReached => {
                writeln!(out, "  {} {}", "·".dimmed(), format!("{name}  not tried").dimmed())?;
            }
        }
    }
    match &explanation.outcome {
        ExplainedOutcome::Billed { events, held_until } => {
            for event in events {
                writeln!(out, "  {} by {}", "billed".green().bold(), event.rule)?;
                writeln!(out, "    {}", pretty(&event.json, 4))?;
            }
            if let Some(due) = held_until {
                writeln!(out, "  {} until {due}, for it is in the future", "held".yellow().bold())?;
            }
        }
        ExplainedOutcome::Ignored(reason) => {
            writeln!(out, "  {}({reason}): {}", "ignored".bold(), reason.meaning())?;
        }
        ExplainedOutcome::Quarantined { reason, detail, .. } => {
            writeln!(out, "  {}({reason}): {detail}", "quarantined".red().bold())?;
        }
    }
    tell_leaving(out, explanation)?;
    if explanation.values_not_utf8 > 0 {
        writeln!(out, "  {} values held bytes that are not UTF-8", explanation.values_not_utf8)?;
    }
    if explanation.duplicate_key {
        writeln!(out, "  a key that the rules name stands twice: the last one counts")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
version = 1
state_dir = "/var/lib/floe"
instance = "test"
[[sources]]
id = "app"
include = ["/var/log/{tenant}/app.log"]
format = "json"
[[rules]]
id = "call"
when = { path = { prefix = "/v1/" }, status = { lt = 400 } }
[rules.event]
name = "call"
external_customer_id = "{@path.tenant}"
timestamp = "{ts}"
metadata.status = "{status | int}"
[[rules]]
id = "usage"
when = { event = "usage" }
unless = { test = true }
[rules.event]
name = "usage"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.units = "{units}"
"#;

    #[test]
    fn an_explanation_names_fields_rules_and_outcome() {
        let settings =
            Settings::from_toml(CONFIG).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let log = concat!(
            "{\"path\":\"/v1/x\",\"status\":\"200\",\"ts\":\"2026-01-02T03:04:05Z\"}\n",
            "{\"path\":\"/v1/x\",\"status\":500}\n",
            "{\"event\":\"usage\",\"test\":true}\n",
            "{\"event\":\"usage\",\"units\":3}\r\n",
            "usage\n",
            "\n",
            "{\"event\":\"usage\",\"org\":\"a\",\"ts\":\"2026-01-02T03:04:05+01:00\"}",
        );
        let mut out = anstream::StripStream::new(Vec::new());
        let file = Path::new("/var/log/acme/app.log");
        let rules = Rules::compile(&settings);
        let input: Box<dyn BufRead> = Box::new(Cursor::new(log));
        explain_file(&settings, &rules, SourceIndex(0), file, false, input, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out.into_inner()).unwrap());
    }

    #[test]
    fn a_file_belongs_to_the_source_that_takes_it() {
        let two =
            format!("{CONFIG}\n[[sources]]\nid = \"other\"\ninclude = [\"/srv/*.log\"]\nformat = \"json\"\n");
        let settings = Settings::from_toml(&two).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let source = |named, file| source_of(&settings, named, Path::new(file)).map(|source| source.0);
        assert_eq!(source(None, "/srv/a.log"), Some(1));
        assert_eq!(source(None, "/var/log/acme/app.log"), Some(0));
        assert_eq!(source(None, "-"), None);
        assert_eq!(source(Some("other"), "-"), Some(1));
        assert_eq!(source(Some("nobody"), "-"), None);
    }
}
