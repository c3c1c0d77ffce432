//! A config for a log file that nobody has told Floe about: how its lines are written, which field is what, rules and tests.
//!
//! Nothing here decides by its own reading of a line. Every guess becomes a piece of config that the mapping tries on the
//! sample, and the guess under which most lines come out right is taken. So a proposal cannot promise what the daemon
//! would not do.

mod draft;
mod example;
mod fields;
mod plain;
mod recognise;
mod roles;
mod time;
mod toml;
mod trial;
mod write;

use crate::config::Settings;
use crate::mapping::ExplainedOutcome;

pub use draft::Customer;
pub use recognise::{Nearest, NotRecognised};

use trial::Trial;

/// What is to be proposed for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What people call it: the file's name.
    pub name: &'a str,
    /// The id of the source.
    pub source: &'a str,
    /// Of the file, absolute.
    pub path: &'a str,
    /// The lines came from nowhere, and the path has to be filled in.
    pub is_placeholder: bool,
}

/// A config, and what can be said of it.
#[derive(Debug)]
pub struct Proposal {
    /// TOML.
    pub config: String,
    /// `none`, `cri` or `docker`.
    pub container: &'static str,
    /// The format or the preset.
    pub format: String,
    /// One line on the preset, where it is one.
    pub about: Option<String>,
    pub grade: Option<&'static str>,
    pub fate: LinesFate,
    /// Each rule's id, and how its customer is known.
    pub rules: Vec<(String, String)>,
    pub customer: Customer,
    /// The first line that is not of the format, and why.
    pub misfit: Option<(usize, String)>,
}

/// What becomes of the sample's lines under the proposal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LinesFate {
    pub read: usize,
    /// Lines that the format reads.
    pub parsed: usize,
    pub billed: usize,
    pub ignored: usize,
    pub quarantined: usize,
}

/// Proposes a config for whole lines.
///
/// # Errors
/// Where no format fits most of the lines.
pub fn propose(subject: &Subject<'_>, sample: &[u8]) -> Result<Proposal, NotRecognised> {
    let recognised = recognise::recognise(sample)?;
    let text = format!(
        "version = 1\nstate_dir = \"/\"\n[polar]\nmode = \"shadow\"\n[[sources]]\nid = \"log\"\ninclude = [\"/log\"]\n{}",
        recognised.keys
    );
    let every = "[[rules]]\nid = \"x\"\nwhen = { \"@source\" = \"log\" }\n[rules.event]\nname = \"x\"\nexternal_customer_id = \"x\"\n";
    let settings = Settings::from_toml(&format!("{text}{every}")).expect("it was tried before");
    let fields = fields::read(&recognised, &settings.sources[0], sample);
    let rules = draft::rules(&recognised, &fields, sample);
    let mut config = write::config(subject, &recognised, &rules);
    let mut fate = LinesFate { parsed: recognised.trial.lines_parsed(), ..LinesFate::default() };
    // A config with a fault is ours, and whoever checks it says so.
    if let Ok(settings) = Settings::from_toml(&format!("{config}\n")) {
        let trial = Trial::of_settings(&settings, sample);
        fate.count(&trial);
        let tests = write::tests(subject, &rules, &trial);
        config.push_str(match tests.is_empty() {
            true => "\n# No test: a config is UTF-8, and none of the first lines is that throughout.\n",
            false => "\n# Lines of the file itself. An event is compared whole, but for its id.\n",
        });
        config.push_str(&tests);
    }
    let preset = recognised.preset.as_ref();
    Ok(Proposal {
        config,
        container: recognised.container,
        about: preset.map(|preset| preset.about.clone()),
        grade: preset.map(|preset| preset.grade.letter()),
        fate,
        customer: rules[0].customer.clone(),
        rules: rules.iter().map(|rule| (rule.id.clone(), write::customer(&rule.customer))).collect(),
        misfit: recognised.trial.first_misfit(),
        format: recognised.format,
    })
}

impl LinesFate {
    fn count(&mut self, trial: &Trial) {
        for record in &trial.records {
            self.read += record.lines;
            match record.explanation.outcome {
                ExplainedOutcome::Billed { .. } => self.billed += record.lines,
                ExplainedOutcome::Ignored(_) => self.ignored += record.lines,
                ExplainedOutcome::Quarantined { .. } => self.quarantined += record.lines,
            }
        }
    }
}
