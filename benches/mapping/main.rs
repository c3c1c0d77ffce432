//! The mapping core alone: nanoseconds of CPU a line, for each kind of log.
//!
//! `cargo bench --bench mapping` prints them; `… -- json 100000` only maps, for a profiler.

mod cases;

use cases::{CASES, map_all};
use nix::sys::resource::{UsageWho, getrusage};

const LINES: u64 = 100_000;
const ROUNDS: usize = 7;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Some(name) = arguments.next() {
        let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
        let lines = arguments.next().and_then(|lines| lines.parse().ok()).unwrap_or(LINES);
        println!("{} bytes of events", map_all(&case.rules(), &case.log(lines)));
        return;
    }
    println!("| log | bytes a line | CPU ns a line | MB/s |\n|---|--:|--:|--:|");
    for case in &CASES {
        let (rules, log) = (case.rules(), case.log(LINES));
        let mut all: Vec<i64> = (0..ROUNDS).map(|_| cpu_of(|| map_all(&rules, &log))).collect();
        all.sort_unstable();
        let seconds = all[ROUNDS / 2] as f64 / 1e6;
        let bytes = log.len() as f64;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} |",
            case.name,
            bytes / LINES as f64,
            seconds * 1e9 / LINES as f64,
            bytes / seconds / 1e6
        );
    }
}

/// In microseconds.
fn cpu_of(work: impl FnOnce() -> usize) -> i64 {
    let now = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel tells");
        let time = usage.user_time() + usage.system_time();
        time.tv_sec() * 1_000_000 + time.tv_usec()
    };
    let began = now();
    std::hint::black_box(work());
    now() - began
}
