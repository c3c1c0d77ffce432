//! TOML, YAML and JSON → one spanned tree. Each syntax stops at its first fault; other files are read all the same.

mod json;
mod toml;
mod yaml;

use std::path::Path;

use super::fault::{Fault, FileIndex};
use super::node::Node;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Toml,
    Yaml,
    Json,
}

impl Syntax {
    /// By the extension of the file's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The root of the tree, a table.
    ///
    /// # Errors
    /// The first fault of the syntax.
    pub fn parse(self, file: FileIndex, text: &str) -> Result<Node, Box<Fault>> {
        match self {
            Self::Toml => toml::parse(file, text),
            Self::Yaml => yaml::parse(file, text),
            Self::Json => json::parse(file, text),
        }
        .map_err(Box::new)
    }
}
