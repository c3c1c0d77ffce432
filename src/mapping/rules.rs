//! Checked settings compiled for speed.

use jiff::{SignedDuration, Timestamp};

use super::choice::Choice;
use super::formats::json::Trie;
use super::formats::{Reader, is_computed};
use super::framing::Framing;
use super::leaving::{Leaving, leaving};
use super::literals::{Filter, Standing};
use super::scope::{Field, Tries};
use super::stencil::Stencil;
use crate::config::Settings;
use crate::config::language::{Condition, EventTemplate, Path, Resolver, Root};
use crate::config::presets::Preset;
use crate::config::settings::{Format, RuleSettings};
use crate::model::SourceIndex;

/// The rules of all sources, compiled. Shared by reads in flight; a reload makes a new one.
#[derive(Debug)]
pub struct Rules {
    pub(super) sources: Vec<SourceRules>,
    /// How far in the future of Polar's clock an event may be.
    pub(super) max_future: SignedDuration,
    /// Of which time events are wanted.
    pub(super) range: TimeRange,
    /// What names an event's segment, as JSON up to the value, where events carry it: `"floe_segment":"`.
    pub(super) segment_key: Option<Box<str>>,
}

/// A span of time: from `since` on, and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Whether an event of this time is in it. One without a time is of now, and wanted.
    #[must_use]
    pub fn holds(&self, timestamp: Option<Timestamp>) -> bool {
        let Some(timestamp) = timestamp else { return true };
        self.since.is_none_or(|since| since <= timestamp) && self.until.is_none_or(|until| timestamp < until)
    }

    /// Whether it is bounded at all.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

impl Rules {
    /// The rules as they bill: of the time since which these settings bill at all.
    #[must_use]
    pub fn in_force(settings: &Settings) -> Self {
        Self::compile(settings).within(TimeRange { since: settings.polar.bills_since(), until: None })
    }

    /// The same, for lines of which an event lies in this span, too; other lines are ignored(out_of_range).
    #[must_use]
    pub fn within(mut self, range: TimeRange) -> Self {
        self.range = TimeRange {
            since: self.range.since.max(range.since),
            until: self.range.until.into_iter().chain(range.until).min(),
        };
        self
    }

    /// The same, for events as the rules alone write them.
    #[must_use]
    pub fn without_segments(mut self) -> Self {
        self.segment_key = None;
        self
    }

    /// A capture of the path that a rule of the source names.
    #[must_use]
    pub fn used_capture(&self, source: SourceIndex) -> Option<&str> {
        let named = &self.sources[usize::from(source.0)].named;
        named.iter().find_map(|(path, _)| match &path.root {
            Root::PathCapture(name) => Some(name.as_str()),
            _ => None,
        })
    }

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
    pub choice: Choice,
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
    /// Of the event, where its shape has one.
    pub stencil: Option<Stencil>,
    /// The fields that leave the host in its events: for explanations.
    pub leaves: Vec<Leaving>,
}

impl Rules {
    #[must_use]
    pub fn compile(settings: &Settings) -> Self {
        let max_future =
            SignedDuration::try_from(settings.delivery.max_future).unwrap_or(SignedDuration::MAX);
        let sources = (0_u16..).zip(&settings.sources).map(|(at, source)| {
            let wanted =
                || (0_u16..).zip(&settings.rules).filter(move |(_, rule)| rule.sources.contains(&at));
            let mut names = Names::new(source.preset.as_deref());
            let rules: Vec<_> = wanted().map(|(index, rule)| Rule::new(index, rule, &mut names)).collect();
            SourceRules {
                id: source.id.clone(),
                format: source.format.clone(),
                max_line_bytes: usize::try_from(source.max_line_bytes).unwrap_or(usize::MAX),
                framing: Framing::new(source),
                filter: Filter::new(
                    wanted().map(|(_, rule)| &rule.when),
                    &Standing {
                        preset: source.preset.as_deref(),
                        is_computed: |path: &Path| is_computed(&source.format, path),
                    },
                ),
                reader: Reader::new(source, &names.tries.line),
                item: names.tries.item,
                choice: Choice::new(&rules),
                rules,
                named: names.named,
            }
        });
        // Of signs that need no escapes.
        let segment_key = settings.polar.reconcile_key.as_ref().map(|key| format!("\"{key}\":\"").into());
        Self { sources: sources.collect(), max_future, range: TimeRange::default(), segment_key }
    }
}

impl Rule {
    fn new(index: u16, settings: &RuleSettings, names: &mut Names<'_>) -> Self {
        names.preset_is_used = false;
        let when = settings.when.resolve(names);
        let unless = settings.unless.as_ref().map(|condition| condition.resolve(names));
        let own_must = settings.must.as_ref().map(|condition| condition.resolve(names));
        let explode = settings.explode.as_ref().map(|path| names.path(path));
        let event = settings.event.resolve(names);
        let leaves = leaving(&settings.event, names.preset);
        let mut settings = settings.clone();
        let must = match names.invariant() {
            Some((of_preset, resolved)) => {
                settings.must = Some(both(settings.must, of_preset));
                Some(both(own_must, resolved))
            }
            None => own_must,
        };
        let stencil = Stencil::new(&event);
        Self { index, settings, when, unless, must, explode, event, stencil, leaves }
    }

    /// What the ids of its events are told apart by: nothing for the rule that ends a line's way, so that editing
    /// rules changes no id.
    pub fn slot(&self) -> &str {
        if self.settings.also { &self.settings.id } else { "" }
    }
}

/// The same in both trees, so that a message finds what was written.
fn both<P>(own: Option<Condition<P>>, of_preset: Condition<P>) -> Condition<P> {
    Condition::All(own.into_iter().chain([of_preset]).collect())
}

/// The paths of one source's rules, and what its preset makes of them.
pub(super) struct Names<'a> {
    pub tries: Tries,
    pub named: Vec<(Path, Field)>,
    preset: Option<&'a Preset>,
    /// Whether something named the preset, since this was last unset.
    preset_is_used: bool,
}

impl<'a> Names<'a> {
    pub fn new(preset: Option<&'a Preset>) -> Self {
        Self { tries: Tries::default(), named: Vec::new(), preset, preset_is_used: false }
    }

    /// What holds of every line, for a rule that names the preset: as written, and resolved.
    fn invariant(&mut self) -> Option<(Condition, Condition<Field>)> {
        let must = self.preset.filter(|_| self.preset_is_used)?.must.as_ref()?;
        Some((must.clone(), must.resolve(self)))
    }

    fn field(&mut self, path: &Path) -> Field {
        let plain = self.tries.path(path);
        let Some(preset) = self.preset else { return plain };
        match &path.root {
            Root::Line => match preset.type_of(&path.steps) {
                Some(pipes) => {
                    let pipes = pipes.iter().map(|pipe| pipe.resolve(self)).collect();
                    Field::Typed(Box::new(plain), pipes)
                }
                None => plain,
            },
            Root::Preset(name) => {
                self.preset_is_used = true;
                match preset.value(name) {
                    Some(template) => Field::Computed(Box::new(template.resolve(self))),
                    None => Field::Holds(Box::new(preset.is_final.resolve(self))),
                }
            }
            _ => plain,
        }
    }
}

impl Resolver<Field> for Names<'_> {
    fn path(&mut self, path: &Path) -> Field {
        let field = self.field(path);
        if !self.named.iter().any(|(known, _)| known == path) {
            self.named.push((path.clone(), field.clone()));
        }
        field
    }

    fn inner_path(&mut self, path: &Path) -> Field {
        self.tries.inner_path(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_RULES: &str = "rules = []\n[[sources]]\nid = \"app\"\ninclude = [\"/l\"]\nformat = \"json\"\n";

    #[test]
    fn a_range_begins_with_since_and_ends_before_until() {
        let at = |second: i64| Some(Timestamp::constant(second, 0));
        let held = |since, until| {
            let range = TimeRange { since, until };
            [at(9), at(10), at(19), at(20), None].map(|time| range.holds(time))
        };
        assert_eq!(held(at(10), at(20)), [false, true, true, false, true]);
        assert_eq!(held(at(10), None), [false, true, true, true, true]);
        assert_eq!(held(None, at(20)), [true, true, true, false, true]);
        assert_eq!(held(None, None), [true; 5]);
        let rules = Rules::compile(&Settings::from_toml(NO_RULES).unwrap());
        let both = rules
            .within(TimeRange { since: at(5), until: at(30) })
            .within(TimeRange { since: at(10), until: None });
        assert_eq!(both.range, TimeRange { since: at(10), until: at(30) });
        assert!(TimeRange { since: at(1), until: None }.is_bounded() && !TimeRange::default().is_bounded());
    }
}
