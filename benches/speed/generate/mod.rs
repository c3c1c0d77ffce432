//! Makes log files of a given number of lines: the same seed, the same bytes, on every machine.

mod random;
mod service;
mod shapes;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use random::Random;

/// Changes when the lines change, so that a file of an older generator is not taken for a new one.
const VERSION: u32 = 3;

/// Which log. The first two are A and B of the tables; the others are shapes that users have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// JSON of a service; every line is billable.
    All,
    /// The same service; one line in a hundred is billable, the last one among them.
    OnePercent,
    /// logfmt of an application; one line in twenty is billable.
    Application,
    /// nginx's combined format; every fourth request is one that is billed.
    Nginx,
    /// JSON of a gateway to language models, with what was asked and answered; three in four are billable.
    Llm,
}

impl Workload {
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::OnePercent => "1-percent",
            Self::Application => "application",
            Self::Nginx => "nginx",
            Self::Llm => "llm",
        }
    }

    /// What stands in a billable line and in no other.
    pub const fn literal(self) -> &'static str {
        match self {
            Self::All | Self::OnePercent => "\"llm.completion\"",
            Self::Application => "event=job.finished",
            Self::Nginx => " /api/",
            Self::Llm => "\"status\":\"success\"",
        }
    }

    const fn is_billable(self, line: u64, lines: u64) -> bool {
        let from_the_end = lines - 1 - line;
        match self {
            Self::All => true,
            Self::OnePercent => from_the_end.is_multiple_of(100),
            Self::Application => from_the_end.is_multiple_of(20),
            Self::Nginx => from_the_end.is_multiple_of(4),
            Self::Llm => !(from_the_end + 1).is_multiple_of(4),
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
    let billable = (0..lines).filter(|line| workload.is_billable(*line, lines)).count() as u64;
    Ok(Log { path, workload, bytes, lines, billable })
}

/// One line of log A, without its end.
pub fn billable_line(line: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    service::completion(&mut out, line, &mut Random(line))?;
    out.pop();
    Ok(out)
}

fn write_lines(out: &mut impl Write, workload: Workload, lines: u64, seed: u64) -> io::Result<()> {
    let mut random = Random(seed);
    for line in 0..lines {
        let billable = workload.is_billable(line, lines);
        match workload {
            Workload::All | Workload::OnePercent if billable => service::completion(out, line, &mut random)?,
            Workload::All | Workload::OnePercent => service::request(out, line, &mut random)?,
            Workload::Application => shapes::application(out, line, billable, &mut random)?,
            Workload::Nginx => shapes::nginx(out, line, billable, &mut random)?,
            Workload::Llm => shapes::llm(out, line, billable, &mut random)?,
        }
    }
    Ok(())
}

/// The lines of `log` as `files` files of about equal length in a folder of their own.
pub fn split(log: &Log, folder: &Path, files: u64) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut input = BufReader::with_capacity(1 << 20, File::open(&log.path)?);
    let mut line = Vec::new();
    for file in 0..files {
        let mut out = BufWriter::new(File::create(folder.join(format!("part-{file:05}.log")))?);
        for _ in log.lines * file / files..log.lines * (file + 1) / files {
            line.clear();
            input.read_until(b'\n', &mut line)?;
            out.write_all(&line)?;
        }
        out.flush()?;
    }
    Ok(())
}
