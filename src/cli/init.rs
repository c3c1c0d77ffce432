//! `floe init`: a config for a log file that nobody has told Floe about.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{outcome, test};
use crate::config::{self, Settings};
use crate::proposal::{Customer, NotRecognised, Proposal, Subject, propose};

const MOST_LINES: usize = 1_000;
const MOST_BYTES: u64 = 4 << 20;

/// Reads the first lines of a log, recognises how they are written, and proposes a commented config with rules and tests.
#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// The log; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write the config there, and not to the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite the output where it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// 0 with a config, 1 where the lines are not recognised, 66 where the file cannot be read, 73 where the output cannot be
/// written, 70 where the proposal is wrong.
#[must_use]
pub fn run(arguments: &InitArguments) -> ExitCode {
    let file = &arguments.file;
    if let Some(output) = arguments.output.as_ref().filter(|output| !arguments.force && output.exists()) {
        let what = format!("\"{}\" exists already", output.display());
        return outcome::fail(CANNOT_CREATE, what, Some("--force overwrites it"));
    }
    let sample = match open(file).and_then(read_sample) {
        Ok(sample) => sample,
        Err(error) => {
            let what = format!("cannot read \"{}\": {error}", file.display());
            return outcome::fail(outcome::NO_INPUT, what, None);
        }
    };
    let is_standard_input = file == Path::new("-");
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string();
    let name =
        file.file_name().map_or_else(|| "a log".to_owned(), |name| name.to_string_lossy().into_owned());
    let source = if is_standard_input { "app".to_owned() } else { source_id(&name) };
    let subject = Subject {
        name: if is_standard_input { "the lines of the standard input" } else { &name },
        source: &source,
        path: if is_standard_input { "/var/log/app/app.log" } else { &absolute },
        is_placeholder: is_standard_input,
    };
    let proposal = match propose(&subject, &sample) {
        Ok(proposal) => proposal,
        Err(unknown) => {
            anstream::eprint!("{}", not_recognised(&subject, &unknown));
            return ExitCode::from(outcome::NO);
        }
    };
    if let Err(what) = verify(&proposal.config) {
        anstream::eprintln!("{what}\n{}", proposal.config);
        let hint = "this is a mistake of Floe: please report it, with the lines if they may be shown";
        return outcome::fail(
            outcome::SOFTWARE,
            "the proposed config does not pass its own check",
            Some(hint),
        );
    }
    if let Err(error) = write(arguments, &proposal.config) {
        let output = arguments.output.clone().unwrap_or_default();
        return outcome::fail(CANNOT_CREATE, format!("cannot write \"{}\": {error}", output.display()), None);
    }
    anstream::eprint!("{}", summary(arguments, &subject, &proposal));
    ExitCode::SUCCESS
}

/// Of sysexits: an output file cannot be created.
const CANNOT_CREATE: u8 = 73;

fn open(file: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if file == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(file)?) })
}

/// The first whole lines. A last line without its end counts where the file ends there.
fn read_sample(input: Box<dyn Read>) -> io::Result<Vec<u8>> {
    let mut sample = Vec::new();
    input.take(MOST_BYTES).read_to_end(&mut sample)?;
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &sample).take(MOST_LINES).collect();
    match ends.last() {
        Some(last) if ends.len() == MOST_LINES || sample.len() as u64 == MOST_BYTES => {
            sample.truncate(last + 1);
        }
        _ => {}
    }
    Ok(sample)
}

/// The name of the file up to its first dot, in letters that an id may have.
fn source_id(name: &str) -> String {
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    let id: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
    let id = id.trim_matches('-').to_owned();
    if id.is_empty() { "app".to_owned() } else { id }
}

/// What `floe check` and `floe test` would say.
fn verify(config: &str) -> Result<(), String> {
    let texts = [(PathBuf::from("floe.toml"), config.to_owned())];
    let loaded = config::load_from_texts(&texts, &config::Environment::new(), Some("init"));
    let settings: Settings = loaded.map_err(|faults| faults.render(false))?.settings;
    let mut told = anstream::StripStream::new(Vec::new());
    match test::run_tests(&settings, &mut told) {
        Ok(true) => Ok(()),
        _ => Err(String::from_utf8_lossy(&told.into_inner()).into_owned()),
    }
}

fn write(arguments: &InitArguments, config: &str) -> io::Result<()> {
    let Some(output) = &arguments.output else {
        // Nobody listening is nobody's fault.
        let _ = io::stdout().write_all(config.as_bytes());
        return Ok(());
    };
    let mut options = OpenOptions::new();
    let options = options.write(true);
    let mut file = match arguments.force {
        true => options.create(true).truncate(true).open(output)?,
        false => options.create_new(true).open(output)?,
    };
    file.write_all(config.as_bytes())
}

fn summary(arguments: &InitArguments, subject: &Subject<'_>, proposal: &Proposal) -> String {
    let Proposal { container, format, fate, .. } = proposal;
    let mut text = String::new();
    let about = proposal.about.as_ref().map_or_else(String::new, |about| format!(" ({about})"));
    let inside =
        if *container == "none" { String::new() } else { format!(", in a container's log ({container})") };
    let _ = writeln!(text, "{}: {format}{about}{inside}", subject.name);
    let _ = writeln!(text, "  lines     {} read, {} of the format", fate.read, fate.parsed);
    if let Some((number, why)) = &proposal.misfit {
        let _ = writeln!(text, "            line {number} is the first that is not: {why}");
    }
    let _ = writeln!(
        text,
        "  proposal  {} billed, {} ignored, {} quarantined",
        fate.billed, fate.ignored, fate.quarantined
    );
    for (rule, customer) in &proposal.rules {
        let _ = writeln!(text, "  rule      {rule}: customer {customer}");
    }
    if matches!(proposal.customer, Customer::StandIn(_)) {
        text.push_str("            before you go live: look for TODO in the config\n");
    }
    if proposal.grade == Some("C") {
        text.push_str("  grade     C: such a log is an estimate, lines of it may be missing\n");
    }
    let (config, file) = match &arguments.output {
        Some(output) => (format!(" -c {}", output.display()), output.display().to_string()),
        None => (" -c floe.toml".to_owned(), "floe.toml".to_owned()),
    };
    let log = arguments.file.display();
    text.push_str("\nNext:\n");
    let mut next: Vec<(String, &str)> = Vec::new();
    if arguments.output.is_none() {
        next.push((format!("floe init {log} --output {file}"), "keep it"));
    }
    next.push((format!("floe check{config}"), "what is wrong or risky with it"));
    next.push((format!("floe test{config}"), "the log's own lines, as tests"));
    if !subject.is_placeholder {
        next.push((format!("floe explain{config} {log}"), "what becomes of each line, and why"));
    }
    next.push((format!("floe run{config}"), "shadow mode: nothing is sent until you take `mode` away"));
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    for (command, what) in next {
        let _ = writeln!(text, "  {command:width$}   {what}");
    }
    text
}

fn not_recognised(subject: &Subject<'_>, unknown: &NotRecognised) -> String {
    let mut text = format!("error: the lines of \"{}\" are not recognised\n", subject.path);
    if unknown.lines == 0 {
        text.push_str("it has no lines yet\n");
        return text;
    }
    let _ = writeln!(text, "tried: {}", unknown.tried.join(", "));
    if let Some(nearest) = &unknown.nearest {
        let _ = writeln!(
            text,
            "nearest: {}, which reads {} of {} lines",
            nearest.format, nearest.lines_parsed, unknown.lines
        );
        if let Some((number, why)) = &nearest.misfit {
            let _ = writeln!(text, "line {number} does not fit: {why}");
        }
    }
    text.push_str("hint: format = \"regex\" reads any line: docs/formats.md\n");
    text
}
