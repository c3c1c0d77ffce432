//! `[lookups.NAME]`: tables out of files beside the config.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::id;
use crate::config::fault::{self, Fault, FileIndex, Place, SourceText};
use crate::config::language::Lookups;
use crate::config::node::{Node, Value};
use crate::config::reader::Report;
use crate::config::table::{Table, TableFault};

/// Gives the bytes of a file. Its faults have no place yet.
pub(in crate::config) type OpenTable<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, Box<Fault>>;

/// Where a table comes from.
struct Origin<'a> {
    file: &'a Node,
    path: PathBuf,
    key: Option<&'a Node>,
}

/// Reads all tables. The texts of those that have faults join `texts`, so that their lines can be shown.
pub(in crate::config) fn read_all(
    report: &Report,
    root: &Node,
    folder: &Path,
    open: OpenTable<'_>,
    texts: &mut Vec<SourceText>,
) -> Lookups {
    let mut lookups = Lookups::none();
    let Some(node) = root.table().and_then(|root| root.get("lookups")).map(|entry| &entry.node) else {
        return lookups;
    };
    let Some(tables) = node.table() else {
        if !matches!(node.value, Value::Null) {
            report.wrong_type(node, "a table of tables, [lookups.NAME]");
        }
        return lookups;
    };
    for entry in &tables.entries {
        let name = Node {
            value: Value::Text(entry.key.clone()),
            place: entry.key_place.clone(),
            from_environment: false,
        };
        id(report, &name);
        let table = origin(report, &entry.node, folder).and_then(|origin| read(report, &origin, open, texts));
        lookups.add(entry.key.value.clone(), table.map(Arc::new));
    }
    lookups
}

fn origin<'a>(report: &'a Report, node: &'a Node, folder: &Path) -> Option<Origin<'a>> {
    let table = report.open("lookup", node)?;
    let file = table.required("file", "name the CSV file: file = \"plans.csv\"");
    let key = table.optional("key");
    table.finish();
    let file = file?;
    Some(Origin { file, path: folder.join(report.some_text(file)?), key })
}

fn read(
    report: &Report,
    origin: &Origin<'_>,
    open: OpenTable<'_>,
    texts: &mut Vec<SourceText>,
) -> Option<Table> {
    let bytes = match open(&origin.path) {
        Ok(bytes) => bytes,
        Err(fault) => {
            report.push(Fault { place: Some(origin.file.place.clone()), ..*fault });
            return None;
        }
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            let message = format!("line {line} of \"{}\" is not UTF-8", origin.path.display());
            report.push(Fault::at(&origin.file.place, message).hint("save the file as UTF-8"));
            return None;
        }
    };
    let header = match Table::header(text) {
        Ok(header) => header,
        Err(fault) => {
            tell(report, origin, text, vec![fault], texts);
            return None;
        }
    };
    let key = match origin.key {
        Some(node) => key_column(report, node, &header.columns)?,
        None => 0,
    };
    match Table::read(text, header, key) {
        Ok(table) => Some(table),
        Err(faults) => {
            tell(report, origin, text, faults, texts);
            None
        }
    }
}

fn key_column(report: &Report, node: &Node, columns: &[String]) -> Option<usize> {
    let name = report.some_text(node)?;
    let found = columns.iter().position(|column| column == name);
    if found.is_none() {
        let known: Vec<&str> = columns.iter().map(String::as_str).collect();
        let hint = fault::did_you_mean(name, &known, "the header has");
        report.push(Fault::at(&node.place, format!("the file has no column \"{name}\"")).hint(hint));
    }
    found
}

fn tell(
    report: &Report,
    origin: &Origin<'_>,
    text: &str,
    faults: Vec<TableFault>,
    texts: &mut Vec<SourceText>,
) {
    let file = FileIndex(texts.len());
    texts.push(SourceText { name: origin.path.display().to_string(), text: text.to_owned() });
    for TableFault { span, message, hint, beside } in faults {
        let fault = Fault::at(&Place { file, span }, message).hint(hint);
        report.push(match beside {
            Some((span, label)) => fault.beside(&Place { file, span }, label),
            None => fault.beside(&origin.file.place, "the table is named here"),
        });
    }
}
