//! Presets: what is known of the logs of certain software. Each is data, a file that any operator could have written;
//! those of `config/presets/` are part of the binary.

use std::path::Path;
use std::sync::Arc;

use super::fault::{self, Fault, Faults, FileIndex, SourceText};
use super::language::{self, Condition, Pipe, Step, Template};
use super::node::{Node, Value};
use super::reader::Report;
use super::reading;
use super::settings::Lines;
use super::syntax::Syntax;

/// A file of `config/presets/` for each name.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../config/presets/", $name, ".toml")))),*]
    };
}

/// The presets of the binary, by name.
const BUILT_IN: &[(&str, &str)] = &built_in![
    "anthropic",
    "bunyan",
    "haproxy",
    "heroku-router",
    "istio",
    "litellm",
    "logrus",
    "loguru",
    "nginx-json",
    "openai",
    "otel-genai",
    "pino",
    "postgres-csvlog",
    "python-json-logger",
    "slog",
    "structlog",
    "tracing-subscriber",
    "winston",
    "zap",
    "zerolog",
];

/// What a source gets from `format = "NAME"`. `docs/presets.md` tells operators.
#[derive(Debug)]
pub struct Preset {
    pub name: String,
    /// One line.
    pub about: String,
    pub grade: Grade,
    /// How to make the software write a log that can be billed from, and its traps: Markdown.
    pub billing: String,
    pub lines: Lines,
    pub fields: Vec<Field>,
    /// `@preset.name`, in the order of the file: a value uses only those before it. `id` is the natural id.
    pub values: Vec<(String, Template)>,
    /// `@preset.final`: the line says what was used in the end. Without it every line does.
    pub is_final: Condition,
    /// What holds of every sound line: a rule that names the preset has it too.
    pub must: Option<Condition>,
    /// What tells such lines from those of other software. `None`: nothing does.
    pub recognise: Option<Condition>,
    pub example: Option<Example>,
}

/// How far such a log can be trusted for billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Exact.
    A,
    /// Exact if the software is configured as the preset says.
    B,
    /// An estimate: lines may be lost or sampled, whatever is configured.
    C,
}

/// A field of the line that the preset knows.
#[derive(Debug)]
pub struct Field {
    /// Of the line; never empty.
    pub path: language::Path,
    /// How it is converted when it is read. Empty: not at all. Has no paths.
    pub pipes: Vec<Pipe>,
    /// The same as it is written in the file, for people.
    pub type_text: String,
    pub role: Option<Role>,
    pub about: String,
}

/// What a field is to billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// When it happened.
    Time,
    /// What kind of line it is.
    Event,
    Level,
    Customer,
    Member,
    /// What can be counted or summed.
    Quantity,
    Cost,
    /// Made by the server, new for each request.
    Id,
    Status,
    /// Free text, which may hold anything.
    Text,
    /// Personal data.
    Personal,
    /// Whatever the client says: never a customer or an id.
    Client,
}

/// A line, a sensible rule, and the event that it makes of the line.
#[derive(Debug)]
pub struct Example {
    pub line: String,
    /// The keys of a rule but for its id and source, as TOML.
    pub rule: String,
    /// JSON.
    pub event: String,
}

impl Grade {
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

impl Role {
    /// All of them, with their names.
    pub const ALL: &[(&str, Self)] = &[
        ("time", Self::Time),
        ("event", Self::Event),
        ("level", Self::Level),
        ("customer", Self::Customer),
        ("member", Self::Member),
        ("quantity", Self::Quantity),
        ("cost", Self::Cost),
        ("id", Self::Id),
        ("status", Self::Status),
        ("text", Self::Text),
        ("personal", Self::Personal),
        ("client", Self::Client),
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

impl Preset {
    /// How the field is converted when it is read; `None` where it is taken as it is.
    #[must_use]
    pub fn type_of(&self, steps: &[Step]) -> Option<&[Pipe]> {
        let field = self.fields.iter().find(|field| field.path.steps == steps)?;
        (!field.pipes.is_empty()).then_some(&field.pipes)
    }

    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Template> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, template)| template)
    }
}

/// The names of the presets of the binary.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The file of a preset of the binary.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The nearest of the names, or all of them.
#[must_use]
pub fn did_you_mean(name: &str) -> String {
    let known: Vec<&str> = names().collect();
    fault::did_you_mean(name, &known, "there are:")
}

/// Reads one preset's file. `name` tells its syntax.
///
/// # Errors
/// All that is wrong with it.
pub fn read(name: &str, text: &str) -> Result<Arc<Preset>, Faults> {
    let texts = vec![SourceText { name: name.to_owned(), text: text.to_owned() }];
    match super::parse(Path::new(name), FileIndex(0), text) {
        Err(fault) => Err(Faults::new(texts, vec![*fault])),
        Ok(node) => {
            let report = Report::default();
            let preset = reading::preset(&report, &node);
            let (faults, _) = report.into_parts();
            preset.filter(|_| faults.is_empty()).map(Arc::new).ok_or_else(|| Faults::new(texts, faults))
        }
    }
}

/// The presets of the binary.
#[must_use]
pub fn built_in() -> Vec<Arc<Preset>> {
    let read = |(name, text): &(&str, &str)| {
        read(&format!("{name}.toml"), text).expect("a test reads every preset of the binary")
    };
    BUILT_IN.iter().map(read).collect()
}

/// The trees of the presets that sources name. `None`: the file could not be read, which is said.
pub(super) type Trees = Vec<(String, Option<Node>)>;

/// Finds the presets that the sources of `root` name. `read_file` takes a path of the config, absolute.
pub(super) fn trees(
    root: &Node,
    folder: &Path,
    read_file: &dyn Fn(&Path) -> Result<String, Fault>,
    texts: &mut Vec<SourceText>,
    faults: &mut Vec<Fault>,
) -> Trees {
    let mut trees = Trees::new();
    for node in formats(root) {
        let Some(name) = node.text().map(|text| text.value.as_str()) else { continue };
        if trees.iter().any(|(known, _)| known == name) {
            continue;
        }
        let found = if is_path(name) {
            let path = folder.join(name.strip_prefix("./").unwrap_or(name));
            let at = |fault| Fault { place: Some(node.place.clone()), ..fault };
            read_file(&path).map(|text| (path, text)).map_err(at)
        } else if let Some(text) = text(name) {
            Ok((format!("{name}.toml").into(), text.to_owned()))
        } else {
            continue;
        };
        let tree = found.and_then(|(path, text)| {
            let file = FileIndex(texts.len());
            let parsed = super::parse(&path, file, &text).map_err(|fault| *fault);
            texts.push(SourceText { name: path.display().to_string(), text });
            parsed
        });
        trees.push((name.to_owned(), tree.map_err(|fault| faults.push(fault)).ok()));
    }
    trees
}

/// Whether a format is the path of a preset's file, and no name.
pub(super) fn is_path(format: &str) -> bool {
    format.contains('/') || Syntax::of(Path::new(format)).is_some()
}

/// What the sources say under `format`, as far as they are what they should be.
fn formats(root: &Node) -> impl Iterator<Item = &Node> {
    let sources = root.table().and_then(|table| table.get("sources")).map(|entry| &entry.node.value);
    let sources = if let Some(Value::List(list)) = sources { list.as_slice() } else { &[] };
    sources.iter().filter_map(|source| Some(&source.table()?.get("format")?.node))
}
