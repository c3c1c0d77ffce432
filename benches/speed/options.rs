//! What is to be measured, and how often.

use std::io;

const USAGE: &str =
    "usage: benches/run.sh [--quick] [--only PART,PART] [--lines N] [--runs N] [--seed N] [--huge] \
                     [--program FLOE] [--write-docs | --keep-docs]
       the parts: compare shapes rules threads latency start memory linear backfill";

/// The parts of a run, in the order in which they are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Compare,
    Shapes,
    Rules,
    Threads,
    Latency,
    Start,
    Memory,
    Linear,
    Backfill,
}

impl Part {
    pub const ALL: [Self; 9] = [
        Self::Compare,
        Self::Shapes,
        Self::Rules,
        Self::Threads,
        Self::Latency,
        Self::Start,
        Self::Memory,
        Self::Linear,
        Self::Backfill,
    ];

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Debug)]
pub struct Options {
    /// Of log A; log B has twice as many.
    pub lines: u64,
    /// Each program runs so often; the tables have medians.
    pub runs: u32,
    pub seed: u64,
    pub quick: bool,
    /// Ten gigabytes, too.
    pub huge: bool,
    pub parts: Vec<Part>,
    /// The marked tables of docs/performance.md are made anew.
    pub writes_docs: bool,
    /// The daemon: the one built with this benchmark, or another one.
    pub program: String,
}

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        // `cargo bench` says `--bench` to every benchmark.
        let arguments: Vec<String> = arguments.filter(|argument| argument != "--bench").collect();
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let mut options = Self {
            lines: if quick { 200_000 } else { 1_000_000 },
            runs: if quick { 3 } else { 5 },
            seed: 1,
            quick,
            huge: false,
            parts: Part::ALL.to_vec(),
            writes_docs: !quick,
            program: env!("CARGO_BIN_EXE_floe").to_owned(),
        };
        let mut docs = None;
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            let mut number = || rest.next().and_then(|text| text.parse::<u32>().ok());
            let known = match argument.as_str() {
                "--quick" => true,
                "--huge" => {
                    options.huge = true;
                    true
                }
                "--write-docs" | "--keep-docs" => {
                    docs = Some(argument == "--write-docs");
                    true
                }
                "--lines" => number().map(|lines| options.lines = lines.max(1_000).into()).is_some(),
                "--runs" => number().map(|runs| options.runs = runs.max(1)).is_some(),
                "--seed" => number().map(|seed| options.seed = seed.into()).is_some(),
                "--program" => rest.next().map(|program| options.program = program).is_some(),
                "--only" => parts(&rest.next().unwrap_or_default())
                    .map(|parts| {
                        options.parts = parts;
                        options.writes_docs = false;
                    })
                    .is_some(),
                _ => false,
            };
            if !known {
                return Err(io::Error::other(format!("cannot read \"{argument}\"\n{USAGE}")));
            }
        }
        options.writes_docs = docs.unwrap_or(options.writes_docs);
        Ok(options)
    }
}

fn parts(text: &str) -> Option<Vec<Part>> {
    text.split(',').map(|name| Part::ALL.into_iter().find(|part| part.name() == name)).collect()
}
