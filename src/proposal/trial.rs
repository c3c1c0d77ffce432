//! A trial: what becomes of the sample under a config that says so and so. The mapping itself does it, so that no guess
//! can disagree with the daemon.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::config::settings::Captures;
use crate::config::{Faults, Settings};
use crate::mapping::{Excerpt, ExplainedOutcome, Explanation, MapContext, Rules, excerpts, explain, text_of};
use crate::model::{Generation, Ignored, Quarantined, SourceIndex};

/// What a rule must say to take every line that can be parsed.
const EVERY_LINE: &str = "when = { \"@source\" = { exists = true } }\n[rules.event]\nname = \"line\"\nexternal_customer_id = \"anybody\"\n";

/// What became of the records of a sample.
#[derive(Debug)]
pub(super) struct Trial {
    pub records: Vec<Tried>,
}

/// One record and what became of it.
#[derive(Debug)]
pub(super) struct Tried {
    /// Of its first line in the sample, from 1.
    pub number: usize,
    /// How many lines of the sample it is.
    pub lines: usize,
    pub excerpt: Excerpt<'static>,
    /// What the application wrote.
    pub text: Vec<u8>,
    pub explanation: Explanation,
}

impl Tried {
    pub fn is_billed(&self) -> bool {
        matches!(self.explanation.outcome, ExplainedOutcome::Billed { .. })
    }

    /// Blank lines, and those that say what the columns are.
    pub fn is_beside_the_point(&self) -> bool {
        matches!(self.explanation.outcome, ExplainedOutcome::Ignored(Ignored::Empty | Ignored::Header))
    }

    /// Whether no container runtime has wrapped it.
    pub fn is_bare(&self) -> bool {
        let reason = Quarantined::InvalidContainer;
        matches!(&self.explanation.outcome, ExplainedOutcome::Quarantined { reason: found, .. } if *found == reason)
    }

    /// Whether the format reads it.
    pub fn is_parsed(&self) -> bool {
        !self.explanation.rules.is_empty() && !self.is_beside_the_point()
    }
}

impl Trial {
    /// Tries how lines are written: the keys of a source, under a rule that takes every line.
    pub fn of_source(source: &str, sample: &[u8]) -> Result<Self, Faults> {
        Self::of_rules(source, &format!("[[rules]]\nid = \"every\"\n{EVERY_LINE}"), sample)
    }

    /// Tries rules: the keys of a source, and `[[rules]]`.
    pub fn of_rules(source: &str, rules: &str, sample: &[u8]) -> Result<Self, Faults> {
        let text = format!(
            "version = 1\nstate_dir = \"/\"\ninstance = \"trial\"\n[polar]\nmode = \"shadow\"\n[[sources]]\nid = \"log\"\n\
             include = [\"/log\"]\n{source}\n{rules}"
        );
        Ok(Self::of_settings(&Settings::from_toml(&text)?, sample))
    }

    /// Tries the first source of a whole config.
    pub fn of_settings(settings: &Settings, sample: &[u8]) -> Self {
        let rules = Rules::compile(settings);
        let source = SourceIndex(0);
        let context = MapContext {
            rules: &rules,
            source,
            stream_key: &[0; 32],
            generation: Generation::default(),
            path: "log",
            captures: &Captures::new(),
            expected: None,
            long_line: None,
            // Whenever the sample was written, it is not of the future.
            polar_now: Timestamp::MAX,
            room: usize::MAX,
        };
        let (mut number, mut counted) = (1, 0);
        let records = excerpts(&rules, source, sample).into_iter().map(|excerpt| {
            let at = usize::try_from(excerpt.at.0).expect("the sample is in memory");
            number += memchr::memchr_iter(b'\n', &sample[counted..at]).count();
            counted = at;
            Tried {
                number,
                lines: excerpt.lines.split_inclusive(|byte| *byte == b'\n').count(),
                text: text_of(&rules, source, &excerpt).unwrap_or_default(),
                explanation: explain(&context, &excerpt),
                excerpt: owned(excerpt),
            }
        });
        Self { records: records.collect() }
    }

    /// Lines that the format reads.
    pub fn lines_parsed(&self) -> usize {
        self.records.iter().filter(|record| record.is_parsed()).map(|record| record.lines).sum()
    }

    /// Lines that should be readable: all but blank ones, headers and comments.
    pub fn lines_in_question(&self) -> usize {
        self.records.iter().filter(|record| !record.is_beside_the_point()).map(|record| record.lines).sum()
    }

    /// The first record that is not of the format: its line, and why.
    pub fn first_misfit(&self) -> Option<(usize, String)> {
        let record =
            self.records.iter().find(|record| !record.is_parsed() && !record.is_beside_the_point())?;
        let why = match &record.explanation.outcome {
            ExplainedOutcome::Quarantined { reason, detail, .. } => format!("{reason}: {detail}"),
            ExplainedOutcome::Ignored(reason) => reason.meaning().to_owned(),
            ExplainedOutcome::Billed { .. } => "it is read".to_owned(),
        };
        Some((record.number, why))
    }
}

fn owned(excerpt: Excerpt<'_>) -> Excerpt<'static> {
    Excerpt {
        at: excerpt.at,
        lines: Cow::Owned(excerpt.lines.into_owned()),
        header: excerpt.header.map(|header| Cow::Owned(header.into_owned())),
    }
}
