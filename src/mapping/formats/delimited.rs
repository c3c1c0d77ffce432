//! `delimited`: CSV, TSV and their kin.

use super::{Names, NotParsed};
use crate::config::settings;
use crate::mapping::slots::Slots;

/// What a file says of its columns: their names, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::mapping) struct Header(Vec<Box<str>>);

#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: u8,
    /// The names of the columns where the config says them.
    columns: Option<Header>,
    names: Names,
}

impl Delimited {
    pub fn new(settings: &settings::Delimited, names: Names) -> Self {
        let columns = match &settings.columns {
            settings::Columns::Named(names) => {
                Some(Header(names.iter().map(|name| name.as_str().into()).collect()))
            }
            settings::Columns::FirstLine | settings::Columns::Directive => None,
        };
        Self { delimiter: settings.delimiter, columns, names }
    }

    pub fn read(
        &self,
        _text: &str,
        _from: usize,
        header: &Header,
        _slots: &mut Slots,
    ) -> Result<(), NotParsed> {
        let _columns = self.columns.as_ref().unwrap_or(header);
        let _ = (&self.names, self.delimiter);
        Err(NotParsed("is not read yet".to_owned()))
    }
}
