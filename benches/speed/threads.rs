//! One mapping thread and two, in shadow mode: nothing is sent, and the state folder is in memory where there is
//! such a place, so that no disk is measured.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;

use crate::bench::{self, Bench, Program};
use crate::daemon::Daemon;
use crate::generate::Log;
use crate::measure::{Cost, Measured};
use crate::report::{Report, Table};
use crate::sink::MARK;

/// What is left in the state folder, to be compared.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    account: serde_json::Value,
    /// A digest of the ids in their order, and one that any order gives.
    ids_in_order: u64,
    ids: u64,
}

pub fn threads(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let log = bench.log_a()?;
    let path = log.path.display().to_string();
    let state = state(bench);
    let last = last_line(&log)?;
    let only_the_last = only(&last)?;
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (what, condition, rules_before, until) in [
        (
            "each line parsed, then ignored",
            Some("status = { ge = 500 }"),
            only_the_last.as_str(),
            "request_id",
        ),
        ("each line billed, events written to the shadow file", None, "", "ts"),
    ] {
        let daemon = |mapping_threads| Daemon {
            shadow: true,
            // The one event of a log that is ignored waits for no other.
            batch_max_wait: condition.map(|_| "0s"),
            mapping_threads: Some(mapping_threads),
            condition,
            rules_before,
            state: &state,
            ..Daemon::new(bench, &path, log.workload)
        };
        let until = text(&last, until)?;
        let programs: Vec<Program<'_>> = [(1, "1 thread"), (2, "2 threads")]
            .into_iter()
            .map(|(threads, name)| {
                let (daemon, until) = (daemon(threads), &until);
                let run = move || shadowed(&daemon, until);
                (name.to_owned(), Box::new(run) as Box<dyn Fn() -> _>)
            })
            .collect();
        let measured = bench::rounds(bench.options.runs, &programs)?;
        let speed = measured[0].wall() / measured[1].wall();
        if condition.is_some() {
            report.goals.measured("threads", speed);
        }
        for row in &measured {
            rows.push(vec![
                format!("{what}: {}", row.name),
                format!("{:.2}", row.wall()),
                format!("{:.2}", row.cpu()),
                format!("{:.2}×", measured[0].wall() / row.wall()),
            ]);
        }
        let one = outcome(&daemon(1), &until)?;
        let two = outcome(&daemon(2), &until)?;
        notes.push(format!("{what}: {}", compared(&one, &two)));
    }
    fs::remove_dir_all(&state)?;
    report.table(&Table {
        key: "threads",
        title: "Mapping threads, shadow mode, log A".to_owned(),
        head: &["", "wall s", "CPU s", "throughput, to one thread"],
        rows,
        notes,
    });
    Ok(())
}

fn compared(one: &Outcome, two: &Outcome) -> &'static str {
    if one == two {
        "account, events and their order are the same with two threads"
    } else if one.account != two.account {
        "the account is NOT the same with two threads"
    } else if one.ids == two.ids {
        "account and events are the same with two threads; their order is NOT"
    } else {
        "the events are NOT the same with two threads"
    }
}

/// From its start to the event with `until` in the shadow file.
fn shadowed(daemon: &Daemon<'_>, until: &str) -> io::Result<Cost> {
    const LIMIT: Duration = Duration::from_mins(10);
    let mut running = Measured::start(&daemon.prepared(None, &["run"])?)?;
    let began = Instant::now();
    let events = daemon.state.join("shadow/events.jsonl");
    while !ends_with(&events, until)? {
        if began.elapsed() > LIMIT || running.between.try_wait()?.is_some() {
            return Err(io::Error::other(
                "floe did not come to the end of the log; floe.said has what it said",
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    let cost = running.stop(Instant::now())?;
    daemon.account()?;
    Ok(cost)
}

fn outcome(daemon: &Daemon<'_>, until: &str) -> io::Result<Outcome> {
    shadowed(daemon, until)?;
    let (mut ids_in_order, mut ids) = (0_u64, 0_u64);
    let finder = memmem::Finder::new(MARK);
    for line in BufReader::new(File::open(daemon.state.join("shadow/events.jsonl"))?).split(b'\n') {
        let line = line?;
        let Some(at) = finder.find(&line) else { continue };
        let id: Vec<u8> = line[at + MARK.len()..].iter().copied().take_while(|byte| *byte != b'"').collect();
        let digest = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        ids_in_order = ids_in_order.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(digest);
        ids = ids.wrapping_add(digest);
    }
    Ok(Outcome { account: daemon.account()?, ids_in_order, ids })
}

/// Whether the end of the file holds the text.
fn ends_with(path: &Path, text: &str) -> io::Result<bool> {
    const END: u64 = 4_096;
    let Ok(mut file) = File::open(path) else { return Ok(false) };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(memmem::find(&end, text.as_bytes()).is_some())
}

fn state(bench: &Bench) -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.join(format!("floe-speed-{}", std::process::id()))
    } else {
        bench.state.clone()
    }
}

fn last_line(log: &Log) -> io::Result<serde_json::Value> {
    let mut file = File::open(&log.path)?;
    file.seek(SeekFrom::Start(log.bytes.saturating_sub(4_096)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let line = end.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(serde_json::from_slice(line)?)
}

fn text(line: &serde_json::Value, field: &str) -> io::Result<String> {
    let text = line[field].as_str().ok_or_else(|| io::Error::other(format!("a line has its {field}")))?;
    // Floe writes times without the zeros at their end.
    Ok(text.trim_end_matches('Z').trim_end_matches('0').to_owned())
}

/// A rule that wants the last line of the log, so that its end is seen. Its literal is that of the other rule's
/// lines too: nothing is passed over unparsed.
fn only(last: &serde_json::Value) -> io::Result<String> {
    let id = last["request_id"].as_str().ok_or_else(|| io::Error::other("a line has its request_id"))?;
    Ok(format!(
        "[[rules]]\nid = \"last\"\nsource = \"app\"\nwhen = {{ event = \"llm.completion\", request_id = \"{id}\" }}\n\n\
         [rules.event]\nname = \"last\"\nexternal_customer_id = \"{{org_id}}\"\ntimestamp = \"{{ts}}\"\n\
         metadata.request_id = \"{{request_id}}\"\n\n"
    ))
}
