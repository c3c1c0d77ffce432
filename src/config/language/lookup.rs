//! The tables that `lookup` knows and the keys that `hash` knows, and one column of a table.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::HashKey;
use crate::config::table::Table;

/// What a config has for its pipes, by name.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    /// `None` is one that could not be read: whoever uses it has done nothing wrong.
    tables: BTreeMap<String, Option<Arc<Table>>>,
    keys: Vec<HashKey>,
}

impl Lookups {
    #[must_use]
    pub const fn none() -> Self {
        Self { tables: BTreeMap::new(), keys: Vec::new() }
    }

    pub fn add(&mut self, name: String, table: Option<Arc<Table>>) {
        self.tables.insert(name, table);
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Option<Arc<Table>>> {
        self.tables.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    pub fn add_key(&mut self, key: HashKey) {
        self.keys.push(key);
    }

    #[must_use]
    pub fn key(&self, name: &str) -> Option<&HashKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }
}

/// A column of a table, found already.
#[derive(Clone)]
pub struct Lookup {
    /// The table's name in the config.
    pub name: String,
    /// `None` only where the table could not be read; then there are no settings to evaluate.
    table: Option<Arc<Table>>,
    column: usize,
}

impl Lookup {
    #[must_use]
    pub fn new(name: String, table: Option<Arc<Table>>, column: usize) -> Self {
        Self { name, table, column }
    }

    /// The cell in the row with this key, where there is one and it is not empty.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&str> {
        self.table.as_ref()?.find(key, self.column)
    }
}

/// The same column of the same table, as it was read.
impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.column == other.column
            && match (&self.table, &other.table) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.table.as_ref().and_then(|table| table.columns().get(self.column));
        write!(out, "Lookup({}, {})", self.name, column.map_or("?", String::as_str))
    }
}
