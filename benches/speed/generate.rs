//! Makes log files of a given number of lines: the same seed, the same bytes, on every machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Changes when the lines change, so that a file of an older generator is not taken for a new one.
const VERSION: u32 = 1;

/// What stands in a billable line and in no other.
pub const LITERAL: &str = "\"llm.completion\"";

/// Which log: A or B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Every line is billable.
    All,
    /// One line in a hundred is billable, the last one among them.
    OnePercent,
}

impl Workload {
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::OnePercent => "1-percent",
        }
    }
}

/// A generated file.
#[derive(Debug, Clone)]
pub struct Log {
    pub path: PathBuf,
    pub workload: Workload,
    pub bytes: u64,
    pub lines: u64,
    pub billable: u64,
}

/// Writes the log into `folder`, or takes the one that stands there from an earlier run.
pub fn log(folder: &Path, workload: Workload, lines: u64, seed: u64) -> io::Result<Log> {
    let path = folder.join(format!("{}-{lines}-{seed}-v{VERSION}.log", workload.name()));
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        write_lines(&mut out, workload, lines, seed)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unfinished, &path)?;
    }
    let bytes = fs::metadata(&path)?.len();
    let billable = (0..lines).filter(|line| is_billable(workload, *line, lines)).count() as u64;
    Ok(Log { path, workload, bytes, lines, billable })
}

fn is_billable(workload: Workload, line: u64, lines: u64) -> bool {
    match workload {
        Workload::All => true,
        Workload::OnePercent => (lines - 1 - line).is_multiple_of(100),
    }
}

fn write_lines(out: &mut impl Write, workload: Workload, lines: u64, seed: u64) -> io::Result<()> {
    let mut random = Random(seed);
    for line in 0..lines {
        if is_billable(workload, line, lines) {
            completion(out, line, &mut random)?;
        } else {
            request(out, line, &mut random)?;
        }
    }
    Ok(())
}

/// 443 bytes or so, as an application would write it: a record of one call of a model.
fn completion(out: &mut impl Write, line: u64, random: &mut Random) -> io::Result<()> {
    const MODELS: [&str; 4] = ["gpt-4.1-mini", "gpt-4o", "claude-sonnet-4", "mistral-small"];
    let (prompt, completion) = (100 + random.below(4_000), 20 + random.below(900));
    writeln!(
        out,
        "{{\"ts\":\"{}\",\"level\":\"info\",\"logger\":\"api.llm\",\"event\":\"llm.completion\",\
         \"status\":200,\"request_id\":\"req_{:016x}{:08x}\",\"org_id\":\"org_{:04}\",\
         \"user\":{{\"id\":\"u_{:06}\",\"plan\":\"pro\"}},\"model\":\"{}\",\
         \"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{}}},\
         \"cost_usd\":0.{:06},\"duration_ms\":{}.{:03},\"path\":\"/v1/chat/completions\",\
         \"host\":\"api-{}\",\"msg\":\"completed \\\"chat\\\" in due time for all\"}}",
        Clock(line),
        random.next(),
        random.below(1 << 32),
        random.below(500),
        random.below(20_000),
        MODELS[usize::try_from(random.below(4)).expect("below four")],
        prompt + completion,
        1 + random.below(99_999),
        random.below(9_000),
        random.below(1_000),
        random.below(8),
    )
}

/// A line of the same service that nobody is billed for.
fn request(out: &mut impl Write, line: u64, random: &mut Random) -> io::Result<()> {
    const PATHS: [&str; 4] = ["/v1/models", "/healthz", "/v1/files/list", "/v1/sessions"];
    const LEVELS: [&str; 4] = ["info", "info", "debug", "warning"];
    writeln!(
        out,
        "{{\"ts\":\"{}\",\"level\":\"{}\",\"logger\":\"api.http\",\"event\":\"http.request\",\
         \"status\":{},\"request_id\":\"req_{:016x}{:08x}\",\"org_id\":\"org_{:04}\",\
         \"user\":{{\"id\":\"u_{:06}\",\"plan\":\"pro\"}},\"method\":\"GET\",\"path\":\"{}\",\
         \"bytes_in\":{},\"bytes_out\":{},\"duration_ms\":{}.{:03},\
         \"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\",\"remote\":\"10.{}.{}.{}\",\
         \"host\":\"api-{}\",\"msg\":\"request done\"}}",
        Clock(line),
        LEVELS[usize::try_from(random.below(4)).expect("below four")],
        200 + random.below(2) * 4,
        random.next(),
        random.below(1 << 32),
        random.below(500),
        random.below(20_000),
        PATHS[usize::try_from(random.below(4)).expect("below four")],
        random.below(4_096),
        random.below(65_536),
        random.below(900),
        random.below(1_000),
        random.below(256),
        random.below(256),
        random.below(256),
        random.below(8),
    )
}

/// The time of a line: 2025-01-15, then ten milliseconds a line.
struct Clock(u64);

impl std::fmt::Display for Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0 * 10_000 + self.0 % 997;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (minutes, second) = (seconds / 60, seconds % 60);
        let (hours, minute) = (minutes / 60, minutes % 60);
        let (days, hour) = (hours / 24, hours % 24);
        let (month, day) = (1 + (14 + days) / 28 % 12, 1 + (14 + days) % 28);
        write!(out, "2025-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
