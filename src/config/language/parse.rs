//! Text → paths and templates, with the place of each fault.

use super::{LanguageFault, Path, Template};

/// Reads a path.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_path(_text: &str) -> Result<Path, LanguageFault> {
    unimplemented!("the mapping helper writes this")
}

/// Reads a text with placeholders. `{{` and `}}` stand for braces.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_template(_text: &str) -> Result<Template, LanguageFault> {
    unimplemented!("the mapping helper writes this")
}
