//! Where a run keeps its files, and the rounds in which programs are measured.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use crate::generate::{self, Log, Workload};
use crate::measure::{Cost, Invocation};
use crate::options::Options;

#[derive(Debug)]
pub struct Bench {
    pub options: Options,
    /// Logs, configs, and what the programs said.
    pub folder: PathBuf,
    /// Of the daemon; emptied before each run.
    pub state: PathBuf,
}

impl Bench {
    pub fn new(options: Options) -> io::Result<Self> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed");
        fs::create_dir_all(&folder)?;
        for said in fs::read_dir(&folder)? {
            let path = said?.path();
            if path.extension().is_some_and(|extension| extension == "said") {
                fs::remove_file(path)?;
            }
        }
        let state = folder.join("state");
        Ok(Self { options, folder, state })
    }

    pub fn log(&self, workload: Workload, lines: u64) -> io::Result<Log> {
        generate::log(&self.folder, workload, lines, self.options.seed)
    }

    pub fn log_a(&self) -> io::Result<Log> {
        self.log(Workload::All, self.options.lines)
    }

    pub fn log_b(&self) -> io::Result<Log> {
        self.log(Workload::OnePercent, 2 * self.options.lines)
    }

    /// A program that ends by itself.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Invocation {
        let name =
            Path::new(program).file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        Invocation {
            program: program.to_owned(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: Vec::new(),
            stops_on_request: false,
            says: self.folder.join(name).with_extension("said"),
        }
    }
}

/// All runs of one program over one log.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub costs: Vec<Cost>,
    /// Why there are none: it took too long, and was not run again.
    pub not_measured: Option<String>,
}

/// A name, and what runs the program once.
pub type Program<'a> = (String, Box<dyn Fn() -> io::Result<Cost> + 'a>);

/// Each round runs every program once, so that what disturbs the machine disturbs them alike. The first one
/// warms the page cache and is not counted.
pub fn rounds(runs: u32, programs: &[Program<'_>]) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = programs.iter().map(|(name, _)| Row::new(name)).collect();
    for round in 0..=runs {
        for (row, (name, run)) in rows.iter_mut().zip(programs) {
            if row.not_measured.is_some() {
                continue;
            }
            progress(&format!("round {round} of {runs}: {name}"));
            match run() {
                Ok(cost) if round > 0 => row.costs.push(cost),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    row.costs.clear();
                    row.not_measured = Some(error.to_string());
                }
                Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
            }
        }
    }
    progress("");
    Ok(rows)
}

impl Row {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), costs: Vec::new(), not_measured: None }
    }

    /// Seconds, the median.
    pub fn cpu(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu.as_secs_f64()).collect())
    }

    /// Seconds, the median.
    pub fn wall(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.wall.as_secs_f64()).collect())
    }

    /// Megabytes, the highest.
    pub fn peak(&self) -> f64 {
        self.costs.iter().map(|cost| cost.peak).max().unwrap_or_default() as f64 / 1e6
    }
}

/// Says what is being done, where somebody watches.
pub fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value below which this part of them lies.
pub fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_sign_loss, reason = "a part is between 0 and 1")]
    let at = (part * values.len() as f64) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub fn row<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name)
}
