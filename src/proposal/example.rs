//! The example of a preset: a rule that somebody thought about, as far as the sample bears it out.

use toml_edit::{DocumentMut, Item, TableLike};

use super::draft::matched;
use super::recognise::Recognised;
use super::toml;

/// What the preset's example says.
pub(super) struct Example(Option<DocumentMut>);

impl Example {
    pub fn of(recognised: &Recognised) -> Self {
        let example = recognised.preset.as_ref().and_then(|preset| preset.example.as_ref());
        Self(example.and_then(|example| example.rule.parse().ok()))
    }

    /// As many of its conditions as some line of the sample meets together, and the records that do.
    pub fn when(
        &self,
        recognised: &Recognised,
        all: &[usize],
        sample: &[u8],
    ) -> (Vec<(String, String)>, Vec<usize>) {
        let conditions = self.0.as_ref().and_then(|rule| rule.get("when")).and_then(Item::as_table_like);
        let mut kept: Vec<(String, String)> = Vec::new();
        let mut records = all.to_vec();
        for (path, condition) in conditions.into_iter().flat_map(TableLike::iter) {
            kept.push((path.to_owned(), condition.to_string().trim().to_owned()));
            match matched(recognised, &kept, sample) {
                found if found.is_empty() => {
                    kept.pop();
                }
                found => records = found,
            }
        }
        (kept, records)
    }

    /// The keys of its event, with dots, and their values as TOML.
    pub fn event(&self) -> Vec<(String, String)> {
        let event = self.0.as_ref().and_then(|rule| rule.get("rules")?.get("event")?.as_table_like());
        let mut keys = Vec::new();
        for (key, value) in event.into_iter().flat_map(TableLike::iter) {
            match value.as_table_like().filter(|_| key == "metadata") {
                Some(metadata) => keys.extend(metadata.iter().map(|(name, value)| {
                    (format!("metadata.{}", toml::key(name)), value.to_string().trim().to_owned())
                })),
                None => keys.push((key.to_owned(), value.to_string().trim().to_owned())),
            }
        }
        keys
    }
}
