//! Speed, measured side by side in one run: Floe, `wc -l`, `rg -c`, and plain loops over the same file.
//!
//! `cargo bench` runs it; `cargo bench -- --lines 100000 --runs 3` is quick. It prints and judges nothing: a
//! test that fails by the clock fails by the neighbour's clock. `benches/README.md` says how to read it.

mod baseline;
mod generate;
mod measure;
mod sink;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baseline::Baseline;
use generate::{LITERAL, Log, Workload};
use measure::{Cost, Measured};
use sink::Sink;
use table::Row;

const USAGE: &str = "usage: cargo bench -- [--lines N] [--runs N] [--seed N] [--without-floe]";

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("between") => measure::between(arguments),
        Some("loop") => run_loop(arguments),
        _ => compare(&Options::read(std::env::args().skip(1))?),
    }
}

#[derive(Debug)]
struct Options {
    /// Of the log of which all lines are billable; the other one has twice as many.
    lines: u64,
    /// Each program runs so often; the table has medians.
    runs: u32,
    seed: u64,
    with_floe: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut options = Self { lines: 1_000_000, runs: 5, seed: 1, with_floe: true };
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok());
            let known = match argument.as_str() {
                // `cargo bench` says so to every benchmark.
                "--bench" => true,
                "--without-floe" => {
                    options.with_floe = false;
                    true
                }
                "--lines" => number().map(|lines| options.lines = lines.max(100).into()).is_some(),
                "--runs" => number().map(|runs| options.runs = runs.max(1)).is_some(),
                "--seed" => number().map(|seed| options.seed = seed.into()).is_some(),
                _ => false,
            };
            if !known {
                return Err(io::Error::other(format!("cannot read \"{argument}\"\n{USAGE}")));
            }
        }
        Ok(options)
    }
}

fn compare(options: &Options) -> io::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed");
    fs::create_dir_all(&folder)?;
    describe_machine(options)?;
    for (workload, lines) in [(Workload::All, options.lines), (Workload::OnePercent, 2 * options.lines)] {
        let log = generate::log(&folder, workload, lines, options.seed)?;
        // Each round runs every program once, so that what disturbs the machine disturbs them alike.
        let mut rows: Vec<Row> = Vec::new();
        for round in 0..=options.runs {
            for (name, cost) in one_round(&log, &folder, options.with_floe)? {
                match rows.iter_mut().find(|row| row.name == name) {
                    // The first round warms the page cache and is not counted.
                    _ if round == 0 => rows.push(Row { name, costs: Vec::new() }),
                    Some(row) => row.costs.push(cost),
                    None => unreachable!("every round runs the same programs"),
                }
            }
        }
        table::print(&log, &rows);
    }
    Ok(())
}

fn describe_machine(options: &Options) -> io::Result<()> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let (events, bytes) = sink::ceiling()?;
    println!("# Speed\n");
    println!("- {cores} cores of {}; load before: {}", model.unwrap_or("an unknown kind"), load.trim());
    println!(
        "- medians of {} rounds (RSS: the highest), page cache warm, seed {}",
        options.runs, options.seed
    );
    println!("- ceiling of the sink here and now: {events:.0} events/s, {:.0} MB/s", bytes / 1e6);
    println!("- CPU ratio: to \"{}\"; wall ratio: to {}", table::CPU_REFERENCE, table::WALL_REFERENCE);
    if !is_there("rg") {
        println!("- NOT MEASURED: `rg` is not installed (apt-get install ripgrep)");
    }
    if !options.with_floe {
        println!("- NOT MEASURED: floe, as asked");
    }
    Ok(())
}

fn one_round(log: &Log, folder: &Path, with_floe: bool) -> io::Result<Vec<(&'static str, Cost)>> {
    let path = log.path.display().to_string();
    let mut out = vec![("`wc -l`", run("wc", &["-l", &path])?)];
    if is_there("rg") {
        out.push((table::WALL_REFERENCE, run("rg", &["--no-config", "-c", "-F", LITERAL, &path])?));
    }
    out.push(("typed serde_json", reference_loop(log, Baseline::Parse)?));
    out.push((table::CPU_REFERENCE, reference_loop(log, Baseline::ParseAndPost)?));
    out.push(("memmem, typed serde_json, posting", reference_loop(log, Baseline::PrefilterAndPost)?));
    if with_floe {
        out.push(("**floe**", floe(log, folder)?));
    }
    Ok(out)
}

fn run(program: &str, arguments: &[&str]) -> io::Result<Cost> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    Measured::start(program, &arguments, &[])?.end()
}

fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn reference_loop(log: &Log, baseline: Baseline) -> io::Result<Cost> {
    let sink = Sink::start()?;
    let me = std::env::current_exe()?.display().to_string();
    let path = log.path.display().to_string();
    let cost = run(&me, &["loop", &format!("{baseline:?}"), &path, &sink.address.to_string()])?;
    let posted = sink.events();
    let expected = if baseline == Baseline::Parse { 0 } else { log.billable };
    assert_eq!(posted, expected, "{baseline:?} posted another number of events");
    Ok(cost)
}

/// `loop BASELINE FILE ADDRESS`: a reference loop in a process of its own.
fn run_loop(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let mut next = || arguments.next().ok_or_else(|| io::Error::other("loop BASELINE FILE ADDRESS"));
    let name = next()?;
    let baseline = [Baseline::Parse, Baseline::ParseAndPost, Baseline::PrefilterAndPost]
        .into_iter()
        .find(|baseline| format!("{baseline:?}") == name)
        .ok_or_else(|| io::Error::other(format!("there is no loop {name}")))?;
    let (path, address) = (PathBuf::from(next()?), next()?);
    let billable = baseline::run(baseline, &path, Some(address.parse().map_err(io::Error::other)?))?;
    println!("{billable}");
    Ok(())
}

/// The daemon as a user runs it, from a new state folder to the last event; then its account must add up.
fn floe(log: &Log, folder: &Path) -> io::Result<Cost> {
    const LIMIT: Duration = Duration::from_mins(10);
    let sink = Sink::start()?;
    let state = folder.join("state");
    if state.exists() {
        fs::remove_dir_all(&state)?;
    }
    let config = folder.join("floe.toml");
    fs::write(&config, configured(log, &state, &sink))?;
    let config = config.display().to_string();

    let program = env!("CARGO_BIN_EXE_floe");
    let token = [("POLAR_ACCESS_TOKEN", "polar_oat_benchmark"), ("RUST_BACKTRACE", "1")];
    let arguments = ["run", "--config", &config].map(str::to_owned);
    let running = Measured::start(program, &arguments, &token)?;
    let done = sink.wait_for(log.billable, LIMIT).ok_or_else(|| {
        io::Error::other(format!(
            "after {LIMIT:?} floe had sent {} of {} events",
            sink.events(),
            log.billable
        ))
    })?;
    let cost = running.stop(done)?;

    assert_eq!(sink.events(), log.billable, "floe sent another number of events");
    let account = std::process::Command::new(program).args(["account", "--config", &config]).output()?;
    assert!(
        account.status.success(),
        "the account does not add up:\n{}",
        String::from_utf8_lossy(&account.stdout)
    );
    Ok(cost)
}

fn configured(log: &Log, state: &Path, sink: &Sink) -> String {
    include_str!("../floe.toml")
        .replace("STATE", &state.display().to_string())
        .replace("LOG", &log.path.display().to_string())
        .replace("SINK", &format!("http://{}", sink.address))
}
