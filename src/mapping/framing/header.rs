//! Which lines of a file say what its columns are.

use crate::config::settings::{Columns, Format};
use crate::mapping::identity::is_blank;

/// Which lines say what the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) enum HeaderRule {
    None,
    /// The first line of the file that is not blank.
    FirstLine,
    /// Each that begins with `#Fields:`; others that begin with `#` are comments.
    Directive,
}

impl HeaderRule {
    pub fn of(format: &Format) -> Self {
        match format {
            Format::Delimited(delimited) => match delimited.columns {
                Columns::Named(_) => Self::None,
                Columns::FirstLine => Self::FirstLine,
                Columns::Directive => Self::Directive,
            },
            _ => Self::None,
        }
    }

    /// Whether a line is a header or a comment. `is_known`: a header stands before it.
    pub fn takes(self, line: &[u8], is_known: bool) -> bool {
        match self {
            Self::None => false,
            Self::FirstLine => !is_known && !is_blank(line),
            Self::Directive => line.starts_with(b"#"),
        }
    }

    /// Whether a line that it takes names the columns.
    pub fn names_columns(self, line: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::FirstLine => !is_blank(line),
            Self::Directive => line.starts_with(b"#Fields:"),
        }
    }
}
