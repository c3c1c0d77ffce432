//! The mapping core takes no more instructions than when `benches/mapping/instructions.txt` was written.
//!
//! Instructions, because they are the same on a busy machine. valgrind counts those of this very program, mapping a log
//! once and twice; what differs is what its lines take. The counts are those of the profile `test`, with its
//! checks: they are there to compare, not to admire. `cargo bench --bench mapping` has the speed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

#[allow(dead_code, reason = "the benchmark uses what this test does not")]
#[path = "../benches/mapping/cases.rs"]
mod cases;

use cases::{CASES, map_all};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mapping/instructions.txt");

/// The name of a case and a number: then this program maps its log so often and ends.
const TASK: &str = "FLOE_TEST_MAPS";

/// Set to write the counts down anew.
const RECORD: &str = "FLOE_TEST_RECORDS_INSTRUCTIONS";

const LINES: u64 = 500;

#[test]
fn mapping_takes_no_more_instructions_than_recorded() {
    if let Ok(task) = std::env::var(TASK) {
        let (name, times) = task.split_once(' ').expect("a name and a number");
        let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
        let (rules, log) = (case.rules(), case.log(LINES));
        return (0..times.parse().expect("a number")).for_each(|_: u32| _ = map_all(&rules, &log));
    }
    if cfg!(not(target_arch = "x86_64")) {
        return say("NOT RUN: the counts of instructions are recorded for x86-64");
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return say(
            "NOT RUN: instructions are not counted, valgrind is not installed (apt-get install valgrind)",
        );
    }
    let counted: Vec<_> = CASES.iter().map(|case| (case.name, instructions_a_line(case.name))).collect();
    if std::env::var_os(RECORD).is_some() {
        return std::fs::write(RECORDED, table(&counted)).expect("the counts can be written");
    }
    let recorded = std::fs::read_to_string(RECORDED).expect("the counts are recorded");
    for (name, now) in counted {
        let then = recorded_of(&recorded, name).expect("each case is recorded");
        assert!(
            now <= then + then / 5,
            "mapping a line of {name} takes {now} instructions, and took {then}\n\
             hint: where that is worth it, {RECORD}=1 cargo test --test instructions"
        );
        if now < then - then / 5 {
            say(&format!("mapping a line of {name} takes {now} instructions, and took {then}: record it"));
        }
    }
}

#[test]
fn a_count_is_found_by_its_name() {
    let table = table(&[("json", 1200), ("logfmt", 34)]);
    assert_eq!(
        ["json", "logfmt", "other"].map(|name| recorded_of(&table, name)),
        [Some(1200), Some(34), None]
    );
}

/// Of a test that passes only what goes past the test harness is seen.
fn say(what: &str) {
    writeln!(std::io::stderr(), "{what}").expect("stderr can be written");
}

fn instructions_a_line(case: &str) -> u64 {
    let [once, twice] = [1, 2].map(|times| instructions(case, times));
    (twice - once) / LINES
}

/// Of this program, mapping the log so often.
fn instructions(case: &str, times: u32) -> u64 {
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--error-exitcode=99"])
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "mapping_takes_no_more_instructions_than_recorded"])
        .env(TASK, format!("{case} {times}"))
        .output()
        .expect("valgrind is there");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let counts = std::fs::read_to_string(out.path()).expect("valgrind has written its counts");
    let total =
        counts.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.and_then(|total| total.trim().parse().ok()).expect("the counts have a total")
}

fn table(counted: &[(&str, u64)]) -> String {
    let mut table =
        "# Instructions a line of the profile `test`, counted by tests/instructions.rs.\n".to_owned();
    for (name, count) in counted {
        writeln!(table, "{name} {count}").expect("writing to memory does not fail");
    }
    table
}

fn recorded_of(table: &str, name: &str) -> Option<u64> {
    table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
