//! The goals that Floe is held to, each with the number that was measured. None fails by the clock.

use std::collections::BTreeMap;

/// Every value is to be at most the limit, or at least.
#[derive(Debug, Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};

/// The goals: a key, what is measured, the limit, its unit.
const GOALS: &[(&str, &str, Limit, &str)] = &[
    ("a-cpu", "log A: CPU, to the typed loop that parses and posts", AtMost(1.0), "×"),
    ("b-wall", "log B: wall time, to `rg -c`", AtMost(1.7), "×"),
    ("b-cpu", "log B: CPU, to the loop behind memmem", AtMost(1.3), "×"),
    ("rules", "100 rules on disjoint literals: CPU, to one rule", AtMost(1.3), "×"),
    ("threads", "two mapping threads: throughput, to one (mapping alone)", AtLeast(1.8), "×"),
    ("a-peak", "log A: peak RSS", AtMost(16.0), "MB"),
    ("b-peak", "log B: peak RSS", AtMost(16.0), "MB"),
    ("slow-peak", "endpoint that answers after 20 ms: peak RSS", AtMost(16.0), "MB"),
    ("idle-rss", "idle, one file: RSS", AtMost(10.0), "MB"),
    ("many-rss", "10,000 files watched: RSS", AtMost(30.0), "MB"),
    ("binary", "the program's size", AtMost(10.0), "MB"),
    ("idle-cpu", "idle, one file: of a core", AtMost(0.1), "%"),
    ("many-cpu", "10,000 files watched, idle: of a core", AtMost(0.5), "%"),
    ("p50", "write(2) to request, batch_max_wait = \"0s\": p50", AtMost(0.35), "ms"),
    ("p99", "write(2) to request, batch_max_wait = \"0s\": p99", AtMost(1.5), "ms"),
    ("excess", "the same with \"1s\": the most beyond that second", AtMost(5.0), "ms"),
    (
        "linear-a",
        "log A: CPU per GB, without start and end, 100 MB and 1 GB: the larger to the smaller",
        AtMost(1.1),
        "×",
    ),
    ("linear-b", "log B: the same", AtMost(1.1), "×"),
    ("files", "1,000 files: CPU per GB, to one file", AtMost(1.1), "×"),
    ("gz", "backfill of .gz: speed, to decompression alone", AtLeast(0.9), "×"),
    ("zst", "backfill of .zst: speed, to decompression alone", AtLeast(0.9), "×"),
    ("start", "start to first event", AtMost(50.0), "ms"),
];

#[derive(Debug, Default)]
pub struct Goals {
    measured: BTreeMap<&'static str, f64>,
}

impl Goals {
    /// Panics on a key that is no goal, which is a mistake of this program.
    pub fn measured(&mut self, key: &str, value: f64) {
        let (key, ..) = GOALS.iter().find(|goal| goal.0 == key).expect("the key is one of the goals");
        self.measured.insert(key, value);
    }

    /// One row for each goal: what, the limit, the value, the verdict.
    pub fn rows(&self) -> Vec<Vec<String>> {
        GOALS
            .iter()
            .map(|(key, what, limit, unit)| {
                let bound = match limit {
                    AtMost(most) => format!("≤ {most} {unit}"),
                    AtLeast(least) => format!("≥ {least} {unit}"),
                };
                let (value, verdict) = match self.measured.get(key) {
                    None => ("–".to_owned(), "not measured"),
                    Some(value) => (format!("{value:.2} {unit}"), verdict(*value, *limit)),
                };
                vec![(*what).to_owned(), bound, value, verdict.to_owned()]
            })
            .collect()
    }
}

fn verdict(value: f64, limit: Limit) -> &'static str {
    let met = match limit {
        AtMost(most) => value <= most,
        AtLeast(least) => value >= least,
    };
    if met { "met" } else { "**not met**" }
}
