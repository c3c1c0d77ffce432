//! Checked settings compiled for speed.

use jiff::SignedDuration;

use super::formats::json::Trie;
use super::formats::{Reader, is_computed};
use super::framing::Framing;
use super::literals::Filter;
use super::scope::{Field, Tries};
use crate::config::Settings;
use crate::config::language::{Condition, EventTemplate, Path, Resolver};
use crate::config::settings::{Format, RuleSettings};
use crate::model::SourceIndex;

/// The rules of all sources, compiled. Shared by reads in flight; a reload makes a new one.
#[derive(Debug)]
pub struct Rules {
    pub(super) sources: Vec<SourceRules>,
    /// How far in the future of Polar's clock an event may be.
    pub(super) max_future: SignedDuration,
}

impl Rules {
    /// Whether each line of the source is a record as it stands.
    #[must_use]
    pub fn is_plain(&self, source: SourceIndex) -> bool {
        self.sources[usize::from(source.0)].framing.is_plain()
    }

    /// The format of a source's lines.
    #[must_use]
    pub fn format(&self, source: SourceIndex) -> &Format {
        &self.sources[usize::from(source.0)].format
    }
}

/// What the lines of one source meet.
#[derive(Debug)]
pub(super) struct SourceRules {
    pub id: String,
    pub format: Format,
    pub max_line_bytes: usize,
    /// Makes records of lines.
    pub framing: Framing,
    pub filter: Filter,
    /// Reads the fields of a line.
    pub reader: Reader,
    /// Reads the fields of an exploded array's element.
    pub item: Trie,
    pub rules: Vec<Rule>,
    /// The fields of the line that the rules name, in the order in which they name them: for explanations.
    pub named: Vec<(Path, Field)>,
}

#[derive(Debug)]
pub(super) struct Rule {
    /// Place in the settings.
    pub index: u16,
    /// As the operator wrote it, for messages.
    pub settings: RuleSettings,
    pub when: Condition<Field>,
    pub unless: Option<Condition<Field>>,
    pub must: Option<Condition<Field>>,
    pub explode: Option<Field>,
    pub event: EventTemplate<Field>,
}

impl Rules {
    #[must_use]
    pub fn compile(settings: &Settings) -> Self {
        let max_future =
            SignedDuration::try_from(settings.delivery.max_future).unwrap_or(SignedDuration::MAX);
        let sources = (0_u16..).zip(&settings.sources).map(|(at, source)| {
            let wanted =
                || (0_u16..).zip(&settings.rules).filter(move |(_, rule)| rule.sources.contains(&at));
            let mut names = Names::default();
            let rules = wanted().map(|(index, rule)| Rule::new(index, rule, &mut names)).collect();
            SourceRules {
                id: source.id.clone(),
                format: source.format.clone(),
                max_line_bytes: usize::try_from(source.max_line_bytes).unwrap_or(usize::MAX),
                framing: Framing::new(source),
                filter: Filter::new(wanted().map(|(_, rule)| &rule.when), |path| {
                    is_computed(&source.format, path)
                }),
                reader: Reader::new(source, &names.tries.line),
                item: names.tries.item,
                rules,
                named: names.named,
            }
        });
        Self { sources: sources.collect(), max_future }
    }
}

impl Rule {
    fn new(index: u16, settings: &RuleSettings, names: &mut Names) -> Self {
        Self {
            index,
            when: settings.when.resolve(names),
            unless: settings.unless.as_ref().map(|condition| condition.resolve(names)),
            must: settings.must.as_ref().map(|condition| condition.resolve(names)),
            explode: settings.explode.as_ref().map(|path| names.path(path)),
            event: settings.event.resolve(names),
            settings: settings.clone(),
        }
    }

    /// What the ids of its events are told apart by: nothing for the rule that ends a line's way, so that editing
    /// rules changes no id.
    pub fn slot(&self) -> &str {
        if self.settings.also { &self.settings.id } else { "" }
    }
}

#[derive(Default)]
struct Names {
    tries: Tries,
    named: Vec<(Path, Field)>,
}

impl Resolver<Field> for Names {
    fn path(&mut self, path: &Path) -> Field {
        let field = self.tries.path(path);
        if !self.named.iter().any(|(known, _)| known == path) {
            self.named.push((path.clone(), field.clone()));
        }
        field
    }

    fn inner_path(&mut self, path: &Path) -> Field {
        self.tries.inner_path(path)
    }
}
