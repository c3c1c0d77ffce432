//! What the tests that pass show: of each rule that it bills and what it refuses, and the lines of no rule.

use std::collections::BTreeMap;
use std::io::{self, Write};

use owo_colors::OwoColorize as _;

use crate::config::Settings;
use crate::mapping::{ExplainedOutcome, Explanation};
use crate::model::Quarantined;

#[derive(Debug, Default)]
pub(super) struct Coverage {
    rules: BTreeMap<String, Shown>,
    ignored: BTreeMap<&'static str, usize>,
    quarantined: BTreeMap<&'static str, usize>,
}

/// What tests show of one rule.
#[derive(Debug, Default)]
struct Shown {
    billed: usize,
    quarantined: BTreeMap<&'static str, usize>,
}

impl Coverage {
    /// A test passed with this.
    pub fn add(&mut self, explanation: &Explanation) {
        match &explanation.outcome {
            ExplainedOutcome::Billed { events, .. } => {
                let mut rules: Vec<&String> = events.iter().map(|event| &event.rule).collect();
                rules.dedup();
                for rule in rules {
                    self.rules.entry(rule.clone()).or_default().billed += 1;
                }
            }
            ExplainedOutcome::Ignored(reason) => *self.ignored.entry(reason.code()).or_default() += 1,
            ExplainedOutcome::Quarantined { reason, rule, .. } => {
                let reasons = match rule {
                    Some(rule) => &mut self.rules.entry(rule.clone()).or_default().quarantined,
                    None => &mut self.quarantined,
                };
                *reasons.entry(reason.code()).or_default() += 1;
            }
        }
    }

    pub fn write(&self, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
        let width = settings.rules.iter().map(|rule| rule.id.chars().count()).max().unwrap_or(0);
        let nothing = Shown::default();
        for rule in &settings.rules {
            let shown = self.rules.get(&rule.id).unwrap_or(&nothing);
            let mut said = vec![match shown.billed {
                0 => "no test bills by it".to_owned(),
                1 => "billed by 1 test".to_owned(),
                tests => format!("billed by {tests} tests"),
            }];
            if !shown.quarantined.is_empty() {
                said.push(format!("quarantined: {}", list(&shown.quarantined)));
            }
            if rule.must.is_some() && !shown.quarantined.contains_key(Quarantined::Invariant.code()) {
                said.push("no test breaks its `must`".to_owned());
            }
            let line = format!("{:width$}  {}", rule.id, said.join("; "));
            match shown.billed {
                0 => writeln!(out, "  {} {}", "·".yellow(), line.yellow())?,
                _ => writeln!(out, "  {} {line}", "✓".green())?,
            }
        }
        for (what, reasons) in [("ignored", &self.ignored), ("quarantined", &self.quarantined)] {
            if !reasons.is_empty() {
                writeln!(out, "    of no rule, {what}: {}", list(reasons))?;
            }
        }
        Ok(())
    }
}

fn list(reasons: &BTreeMap<&'static str, usize>) -> String {
    reasons.iter().map(|(code, tests)| format!("{code} {tests}")).collect::<Vec<_>>().join(", ")
}
