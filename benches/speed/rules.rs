//! A hundred rules, each with a literal of its own, beside one: what does it cost to look for all of them?

use std::fmt::Write as _;
use std::io;

use crate::bench::{self, Bench, Program};
use crate::daemon::Daemon;
use crate::report::{Report, Table};
use crate::sink::Sink;

pub fn rules(bench: &Bench, report: &mut Report) -> io::Result<()> {
    let log = bench.log_b()?;
    let path = log.path.display().to_string();
    let more = others(99);
    let programs: Vec<Program<'_>> = [("1 rule", ""), ("100 rules", more.as_str())]
        .into_iter()
        .map(|(name, rules_before)| {
            let daemon = Daemon { rules_before, ..Daemon::new(bench, &path, log.workload) };
            let run = move || daemon.run(&Sink::start()?, log.billable);
            (name.to_owned(), Box::new(run) as Box<dyn Fn() -> _>)
        })
        .collect();
    let rows = bench::rounds(bench.options.runs, &programs)?;
    let one = rows[0].cpu();
    report.table(&Table {
        key: "rules",
        title: "Rules on disjoint literals, log B".to_owned(),
        head: &["rules", "wall s", "CPU s", "CPU to one rule"],
        rows: rows
            .iter()
            .map(|row| {
                let (wall, cpu) = (row.wall(), row.cpu());
                vec![
                    row.name.clone(),
                    format!("{wall:.2}"),
                    format!("{cpu:.2}"),
                    format!("{:.2}×", cpu / one),
                ]
            })
            .collect(),
        notes: Vec::new(),
    });
    report.goals.measured("rules", rows[1].cpu() / one);
    Ok(())
}

/// Rules for events that no line of the log has.
fn others(count: u32) -> String {
    const VERBS: [&str; 10] = [
        "created", "rendered", "exported", "indexed", "shipped", "scanned", "signed", "mailed", "merged",
        "archived",
    ];
    const NOUNS: [&str; 10] = [
        "document", "image", "video", "invoice", "parcel", "ticket", "contract", "survey", "branch", "backup",
    ];
    let mut out = String::new();
    for number in 0..count as usize {
        let event = format!("{}.{}", NOUNS[number / 10], VERBS[number % 10]);
        write!(
            out,
            "[[rules]]\nid = \"{}\"\nsource = \"app\"\nwhen = {{ event = \"{event}\" }}\n\n[rules.event]\n\
             name = \"{event}\"\nexternal_customer_id = \"{{org_id}}\"\ntimestamp = \"{{ts}}\"\n\n",
            event.replace('.', "-")
        )
        .expect("a string takes all");
    }
    out
}
