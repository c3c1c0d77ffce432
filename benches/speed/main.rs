//! Speed, measured side by side in one run: Floe, the loops that bound it, `rg -c`, and other programs that do the
//! same.
//!
//! `benches/run.sh` runs it. A goal that is not met is said and fails nothing: a test that fails by the clock fails by
//! the neighbour's clock. `benches/README.md` says how to read it.

mod backfill;
mod baseline;
mod bench;
mod compare;
mod daemon;
mod generate;
mod goals;
mod latency;
mod linear;
mod machine;
mod measure;
mod memory;
mod options;
mod peers;
mod poster;
mod report;
mod rules;
mod sink;
mod start;
mod threads;

use std::fs;
use std::io;
use std::path::Path;

use bench::Bench;
use options::{Options, Part};
use report::Report;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("between") => measure::between(arguments),
        Some("loop") => compare::run_loop(arguments),
        Some("decompress") => backfill::decompress(arguments),
        _ => measure_all(Options::read(std::env::args().skip(1))?),
    }
}

fn measure_all(options: Options) -> io::Result<()> {
    let bench = Bench::new(options)?;
    let mut report = Report::default();
    println!("# Speed\n");
    machine::describe(&bench, &mut report)?;
    // Half an hour of numbers is not lost because one program failed.
    let mut failed = Vec::new();
    for part in &bench.options.parts {
        if let Err(error) = measure(*part, &bench, &mut report) {
            let name = part.name();
            println!("\nNOT MEASURED: {name}: {error}");
            failed.push(name);
        }
    }
    report.print_goals();
    report.write_charts(&bench.folder.join("charts.json"))?;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pictures = bench.folder.join("pictures");
    if bench.options.writes_docs {
        report.write_page(&docs.join("performance.md"))?;
        pictures = docs.join("images");
    }
    // Who draws them is told where they belong.
    fs::write(bench.folder.join("where-pictures-go"), pictures.as_os_str().as_encoded_bytes())?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("not measured: {}", failed.join(", "))))
    }
}

fn measure(part: Part, bench: &Bench, report: &mut Report) -> io::Result<()> {
    match part {
        Part::Compare => compare::compare(bench, report),
        Part::Shapes => compare::shapes(bench, report),
        Part::Rules => rules::rules(bench, report),
        Part::Threads => threads::threads(bench, report),
        Part::Latency => latency::latency(bench, report),
        Part::Start => start::start(bench, report),
        Part::Memory => memory::memory(bench, report),
        Part::Linear => linear::linear(bench, report),
        Part::Backfill => backfill::backfill(bench, report),
    }
}
