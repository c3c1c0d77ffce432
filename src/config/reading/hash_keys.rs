//! `[hash_keys.NAME]`: the secrets of `hash`, out of a file, the environment or systemd's credentials. None of them
//! stands in the config, and none is shown.

use std::path::{Path, PathBuf};

use super::id;
use super::lookups::OpenTable;
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::language::{HashKey, Lookups};
use crate::config::node::{Node, Value};
use crate::config::reader::Report;

/// A shorter key could be found by trying all.
const MIN_BYTES: usize = 32;

const HINT: &str = "make one: `openssl rand -hex 32`, the same for all hosts whose hashes should agree";

/// What holds keys.
pub(in crate::config) struct Keeper<'a> {
    pub folder: &'a Path,
    pub environment: &'a Environment,
    pub open: OpenTable<'a>,
}

/// Reads all keys, to stand beside the tables.
pub(in crate::config) fn read_all(report: &Report, root: &Node, keeper: &Keeper<'_>, lookups: &mut Lookups) {
    let Some(node) = root.table().and_then(|root| root.get("hash_keys")).map(|entry| &entry.node) else {
        return;
    };
    let Some(tables) = node.table() else {
        if !matches!(node.value, Value::Null) {
            report.wrong_type(node, "a table of tables, [hash_keys.NAME]");
        }
        return;
    };
    for entry in &tables.entries {
        id(report, &entry.key_node());
        let name = entry.key.value.clone();
        let secret = read(report, &entry.node, keeper);
        lookups.add_key(HashKey::new(name, secret.as_deref().map(<[u8]>::trim_ascii)));
    }
}

/// The secret as it is kept, with the line end that an editor left.
fn read(report: &Report, node: &Node, keeper: &Keeper<'_>) -> Option<Vec<u8>> {
    let table = report.open("hash_key", node)?;
    let given = [table.optional("file"), table.optional("env"), table.optional("credential")];
    let place = table.place();
    table.finish();
    let [file, env, _] = given;
    let mut named = given.into_iter().flatten();
    let (Some(node), None) = (named.next(), named.next()) else {
        let message = "a key comes from one of file, env and credential";
        report.push(Fault::at(place, message).hint("write file = \"/etc/floe/hash.key\""));
        return None;
    };
    let text = report.some_text(node)?;
    let secret = if file.is_some() {
        of_file(report, node, &keeper.folder.join(text), keeper)?
    } else if env.is_some() {
        of_environment(report, node, text, keeper)?
    } else {
        of_credential(report, node, text, keeper)?
    };
    let length = secret.trim_ascii().len();
    if length < MIN_BYTES {
        let message = match length {
            0 => "the key is empty".to_owned(),
            _ => format!("the key has {length} bytes, and needs {MIN_BYTES} or more"),
        };
        report.push(Fault::at(&node.place, message).hint(HINT));
        return None;
    }
    Some(secret)
}

fn of_file(report: &Report, node: &Node, path: &Path, keeper: &Keeper<'_>) -> Option<Vec<u8>> {
    let secret = (keeper.open)(path);
    secret.map_err(|fault| report.push(Fault { place: Some(node.place.clone()), ..*fault })).ok()
}

fn of_environment(report: &Report, node: &Node, name: &str, keeper: &Keeper<'_>) -> Option<Vec<u8>> {
    let secret = keeper.environment.get(name).map(|secret| secret.clone().into_bytes());
    if secret.is_none() {
        // What stands there may be the key itself, put in the wrong place: it is not repeated.
        let message = "the environment variable that is named here is not set";
        report.push(Fault::at(&node.place, message).hint("set it for the service, or name a file"));
    }
    secret
}

fn of_credential(report: &Report, node: &Node, name: &str, keeper: &Keeper<'_>) -> Option<Vec<u8>> {
    let Some(folder) = keeper.environment.get("CREDENTIALS_DIRECTORY") else {
        let message = "systemd gives this process no credentials";
        let hint = format!("add `LoadCredential={name}:/etc/floe/hash.key` to the unit, or name a file");
        report.push(Fault::at(&node.place, message).hint(hint));
        return None;
    };
    of_file(report, node, &PathBuf::from(folder).join(name), keeper)
}
