//! Which fields the records of a sample have, and what stands in them, as the rules would read it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::recognise::Recognised;
use super::toml;
use super::trial::Trial;
use crate::config::fields as known;
use crate::config::language::{Path, Root, Step, parse_path};
use crate::config::names::{Name, last_names};
use crate::config::presets::Role;
use crate::config::settings::{Format, SourceSettings};

/// More fields than these are not looked at: the first ones are the ones that people log.
const MOST_FIELDS: usize = 400;

/// Objects inside of objects, so deep.
const MOST_STEPS: usize = 5;

/// A field and its values.
#[derive(Debug)]
pub(super) struct Field {
    /// As it stands between braces: `usage."odd key"`, `@preset.time`.
    pub written: String,
    pub path: Path,
    /// Of the last key, and the same with the one before.
    pub names: Vec<Name>,
    /// What the preset says of it.
    pub role: Option<Role>,
    /// The preset converts it.
    pub is_typed: bool,
    /// One for each record that could be parsed.
    pub values: Vec<Option<Seen>>,
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    /// At most 60 characters of it.
    Text(String),
    Number(String),
    Bool,
    /// A time that the preset has read.
    Time,
    Composite,
    Bad,
}

impl Field {
    /// The values of these records.
    pub fn among<'a>(&'a self, records: &'a [usize]) -> impl Iterator<Item = &'a Seen> {
        records.iter().filter_map(|record| self.values[*record].as_ref())
    }

    pub fn count(&self, records: &[usize]) -> usize {
        self.among(records).count()
    }

    pub fn distinct<'a>(&'a self, records: &'a [usize]) -> BTreeSet<&'a Seen> {
        self.among(records).collect()
    }

    pub fn is_text(&self, records: &[usize]) -> bool {
        self.count(records) > 0 && self.among(records).all(|seen| matches!(seen, Seen::Text(_)))
    }

    /// Whether nearly all values are numbers, or texts that say one.
    pub fn is_numeric(&self, records: &[usize]) -> bool {
        let numbers = self.among(records).filter(|seen| seen.number().is_some()).count();
        numbers > 0 && numbers * 10 >= self.count(records) * 9
    }

    /// Whether the name, or the name with the one before, is this or ends with it.
    pub fn is_called(&self, wanted: &str) -> bool {
        let is = |name: &Name| {
            let joined = name.joined();
            joined.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        };
        self.names.iter().any(is)
    }

    /// Whatever the client says, what people wrote, and what tells of a person.
    pub fn is_delicate(&self) -> bool {
        let of_client = matches!(self.role, Some(Role::Client | Role::Text | Role::Personal));
        let of_header = self.path.steps.iter().any(|step| match step {
            Step::Key(key) => {
                let name = Name::new(key).joined();
                name.starts_with("http_") || name.starts_with("x_") || name == "headers" || name == "end_user"
            }
            Step::Index(_) => false,
        });
        of_client || of_header || self.names.iter().any(|name| name.personal().is_some())
    }
}

impl Seen {
    fn of_shown(shown: &str) -> Option<Self> {
        if shown == "missing" {
            return None;
        }
        let inner = shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(inner) = inner {
            // Texts are shown as Rust would write them, which JSON reads but for rare characters: then it is not all.
            let text: String = serde_json::from_str(shown).unwrap_or_else(|_| format!("{inner}…"));
            return (!text.is_empty()).then_some(Self::Text(text));
        }
        Some(match shown {
            "true" | "false" => Self::Bool,
            _ if shown.starts_with("bad: ") => Self::Bad,
            _ if shown.starts_with(['{', '[']) => Self::Composite,
            _ if shown.parse::<f64>().is_ok() => Self::Number(shown.to_owned()),
            _ => Self::Time,
        })
    }

    /// The digits, where it is a number or says one.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Number(digits) => Some(digits),
            Self::Text(text) => {
                let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
                    && text.ends_with(|c: char| c.is_ascii_digit())
                    && text.parse::<f64>().is_ok();
                is_number.then_some(text)
            }
            _ => None,
        }
    }
}

/// All fields of the records that can be parsed.
pub(super) fn read(recognised: &Recognised, settings: &SourceSettings, sample: &[u8]) -> Vec<Field> {
    let mut paths = paths(recognised, settings);
    paths.truncate(MOST_FIELDS);
    let values = recognised.preset.iter().flat_map(|preset| &preset.values);
    let of_preset: Vec<String> = values.map(|(name, _)| format!("@preset.{name}")).collect();
    let of_container = (recognised.container != "none").then(|| "@container.time".to_owned());
    let written: Vec<String> =
        paths.iter().map(Path::to_string).chain(of_preset).chain(of_container).collect();
    let seen = values_of(recognised, &written, sample);
    let mut fields = Vec::new();
    for (written, values) in written.into_iter().zip(seen) {
        let Ok(path) = parse_path(&written) else { continue };
        let of_preset =
            recognised.preset.iter().flat_map(|preset| &preset.fields).find(|field| field.path == path);
        let mut names = last_names(&path);
        if let Root::Preset(name) = &path.root {
            names = vec![Name::new(name)];
        }
        fields.push(Field {
            names,
            role: of_preset.and_then(|field| field.role),
            is_typed: of_preset.is_some_and(|field| !field.pipes.is_empty()),
            written,
            path,
            values,
        });
    }
    fields
}

/// What stands in these paths, one list of values for each, in the order of the records that can be parsed.
pub(super) fn values_of(
    recognised: &Recognised,
    written: &[String],
    sample: &[u8],
) -> Vec<Vec<Option<Seen>>> {
    let choice = |path: &String| format!("{{ {} = {{ exists = true }} }}", toml::text(path));
    let choices: Vec<String> =
        written.iter().map(choice).chain(["{ \"@source\" = \"log\" }".to_owned()]).collect();
    let rules = format!(
        "[[rules]]\nid = \"fields\"\nwhen = {{ any = [{}] }}\n[rules.event]\nname = \"line\"\nexternal_customer_id = \"anybody\"\n",
        choices.join(", ")
    );
    let Ok(trial) = Trial::of_rules(&recognised.keys, &rules, sample) else {
        return vec![Vec::new(); written.len()];
    };
    let mut columns = vec![Vec::new(); written.len()];
    for record in trial.records.iter().filter(|record| record.is_parsed()) {
        let shown: BTreeMap<&str, &str> =
            record.explanation.fields.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        for (column, path) in columns.iter_mut().zip(written) {
            column.push(shown.get(path.as_str()).and_then(|shown| Seen::of_shown(shown)));
        }
    }
    columns
}

/// The paths of the line, in the order of the format, or in that of their names.
fn paths(recognised: &Recognised, settings: &SourceSettings) -> Vec<Path> {
    let records = recognised.trial.records.iter().filter(|record| record.is_parsed());
    let mut keys: Vec<Vec<String>> = Vec::new();
    match &settings.format {
        Format::Json => {
            let mut found = BTreeSet::new();
            for record in records {
                let text = String::from_utf8_lossy(&record.text);
                if let Ok(value) = serde_json::from_str::<Value>(&text) {
                    walk(&value, &mut Vec::new(), &mut found);
                }
            }
            keys.extend(found);
            keys.sort_by_key(Vec::len);
        }
        Format::Logfmt => {
            let key = regex::Regex::new(r"(?:^| )([\pL_@][^ =\x22]*)=").expect("it is sound");
            let mut found = BTreeSet::new();
            for record in records {
                let text = String::from_utf8_lossy(&record.text);
                found.extend(key.captures_iter(&text).map(|key| vec![key[1].to_owned()]));
            }
            keys.extend(found);
        }
        Format::Delimited(_) if known::names(settings).is_none() => {
            let header = { records }.find_map(|record| record.excerpt.header.as_deref()).unwrap_or_default();
            let header = String::from_utf8_lossy(header);
            keys.extend(columns(header.trim(), settings).into_iter().map(|name| vec![name]));
        }
        _ => {
            let names = known::names(settings).unwrap_or_default();
            let structured = regex::Regex::new(r#"\[([^ \]="]+)((?: [^ \]="]+="(?:[^"\\]|\\.)*")+)\]"#)
                .expect("it is sound");
            let parameter = regex::Regex::new(r#" ([^ \]="]+)=""#).expect("it is sound");
            for name in names {
                if name != "sd." {
                    keys.push(vec![name.to_owned()]);
                    continue;
                }
                let mut found = BTreeSet::new();
                for record in recognised.trial.records.iter().filter(|record| record.is_parsed()) {
                    let text = String::from_utf8_lossy(&record.text);
                    for element in structured.captures_iter(&text) {
                        found.extend(parameter.captures_iter(&element[2]).map(|parameter| {
                            vec!["sd".to_owned(), element[1].to_owned(), parameter[1].to_owned()]
                        }));
                    }
                }
                keys.extend(found);
            }
        }
    }
    let path =
        |keys: Vec<String>| Path { root: Root::Line, steps: keys.into_iter().map(Step::Key).collect() };
    keys.into_iter().map(path).collect()
}

fn columns(header: &str, settings: &SourceSettings) -> Vec<String> {
    if let Some(names) = header.strip_prefix("#Fields:") {
        return names.split_whitespace().map(str::to_owned).collect();
    }
    let Format::Delimited(delimited) = &settings.format else { return Vec::new() };
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).delimiter(delimited.delimiter).from_reader(header.as_bytes());
    let names = reader.records().next().and_then(Result::ok);
    names.iter().flatten().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The leaves of an object. Arrays have no names.
fn walk(value: &Value, at: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    let Value::Object(members) = value else {
        if !at.is_empty() && !value.is_array() {
            found.insert(at.clone());
        }
        return;
    };
    if at.len() >= MOST_STEPS {
        return;
    }
    for (key, member) in members {
        // Control characters are not for a config, and neither is a key that is made of data.
        if key.is_empty() || key.len() > 100 || key.chars().any(char::is_control) {
            continue;
        }
        at.push(key.clone());
        walk(member, at, found);
        at.pop();
    }
}
