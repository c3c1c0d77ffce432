//! What the operator wants: files → checked [`Settings`], or all faults with their places.
//!
//! Every syntax becomes one tree that knows where its values stand ([`node`]). The trees of the main file, of
//! `conf.d/` and of the environment become one ([`layers`]); then it is read by hand ([`reading`]), because a
//! deserializer stops at the first fault and loses the places.

mod environment;
mod fault;
pub(crate) mod fields;
mod files;
mod globs;
pub mod language;
mod layers;
mod node;
mod places;
pub mod presets;
mod reader;
mod reading;
pub mod schema;
pub mod settings;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod units;
mod warning;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use fault::{Fault, Faults, FileIndex, Place, Severity, SourceText};
pub use places::RulePlaces;
pub(crate) use reading::{names, values};
pub use settings::Settings;
pub use units::parse_duration;
pub use warning::WarningCode;

use files::ReadFiles;
use reader::{KnownKeys, Report};
use syntax::Syntax;

/// Where to look for the config, and what it may refer to.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `None`: `/etc/floe/floe.toml`, then `./floe.toml`.
    pub path: Option<PathBuf>,
    pub environment: Environment,
    /// What `/etc/machine-id` says: the default of `instance`.
    pub machine_id: Option<String>,
}

/// A config without faults.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    /// Where the rules stand, in their order.
    pub rules: Vec<RulePlaces>,
    pub warnings: Faults,
    /// The main file, then those of `conf.d/`.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the config.
///
/// # Errors
/// All that is wrong with it, warnings included.
pub fn load(options: &LoadOptions) -> Result<Loaded, Faults> {
    let files = files::read(options.path.as_deref());
    let credential = options.environment.get("CREDENTIALS_DIRECTORY").map(|it| reading::credential_path(it));
    let surroundings = Surroundings {
        environment: &options.environment,
        machine_id: options.machine_id.as_deref(),
        has_credential: credential.is_some_and(|path| files::exists(&path)),
        open_table: &|path| files::read_table(path, table::MAX_BYTES),
        read_file: &files::read_named,
    };
    check(files, &surroundings).0
}

/// Checks texts without touching the disk: the first is the main file, the others those of `conf.d/`.
///
/// # Errors
/// All that is wrong, warnings included.
pub fn load_from_texts(
    texts: &[(PathBuf, String)],
    environment: &Environment,
    machine_id: Option<&str>,
) -> Result<Loaded, Faults> {
    load_with_tables(texts, &BTreeMap::new(), environment, machine_id)
}

/// As [`load_from_texts`], with the files of `[lookups]` by their absolute paths. A relative `file` is taken to lie in
/// the main file's folder, and that in `/`.
///
/// # Errors
/// All that is wrong, warnings included.
pub fn load_with_tables(
    texts: &[(PathBuf, String)],
    tables: &BTreeMap<PathBuf, Vec<u8>>,
    environment: &Environment,
    machine_id: Option<&str>,
) -> Result<Loaded, Faults> {
    check_texts(texts, tables, environment, machine_id).0
}

/// A glob as `include` takes it, of a relative path from `folder`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn glob(text: &str, folder: &Path) -> Result<settings::FilePattern, String> {
    globs::compile(text, folder).map_err(|fault| fault.message)
}

impl Settings {
    /// The settings of one TOML text, of a machine with the id "test": for tests and the simulation.
    ///
    /// # Errors
    /// All that is wrong, warnings included.
    pub fn from_toml(text: &str) -> Result<Self, Faults> {
        let texts = [(PathBuf::from("floe.toml"), text.to_owned())];
        load_from_texts(&texts, &Environment::new(), Some("test")).map(|loaded| loaded.settings)
    }
}

/// What a config may refer to.
struct Surroundings<'a> {
    environment: &'a Environment,
    machine_id: Option<&'a str>,
    has_credential: bool,
    open_table: reading::OpenTable<'a>,
    /// Reads a file that the config names.
    read_file: &'a dyn Fn(&Path) -> Result<String, Fault>,
}

fn check_texts(
    texts: &[(PathBuf, String)],
    tables: &BTreeMap<PathBuf, Vec<u8>>,
    environment: &Environment,
    machine_id: Option<&str>,
) -> (Result<Loaded, Faults>, KnownKeys) {
    let main_folder = texts.first().and_then(|(path, _)| path.parent());
    let folder = Path::new("/").join(main_folder.unwrap_or(Path::new("")));
    let files = ReadFiles { texts: texts.to_vec(), faults: Vec::new(), folder };
    let open_table = |path: &Path| {
        let missing = || Box::new(Fault::nowhere(format!("there is no file \"{}\"", path.display())));
        tables.get(path).cloned().ok_or_else(missing)
    };
    let read_file = |path: &Path| {
        let message = format!("\"{}\" is not read here: only texts are checked", path.display());
        Err(Fault::nowhere(message))
    };
    let surroundings = Surroundings {
        environment,
        machine_id,
        has_credential: false,
        open_table: &open_table,
        read_file: &read_file,
    };
    check(files, &surroundings)
}

/// Also says which keys were asked for, which keeps the schema true.
fn check(files: ReadFiles, surroundings: &Surroundings<'_>) -> (Result<Loaded, Faults>, KnownKeys) {
    let ReadFiles { texts: named, mut faults, folder } = files;
    let paths: Vec<PathBuf> = named.iter().map(|(path, _)| path.clone()).collect();
    let mut texts: Vec<SourceText> =
        named.into_iter().map(|(path, text)| SourceText { name: path.display().to_string(), text }).collect();

    let mut roots = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        match parse(path, FileIndex(at), &texts[at].text) {
            Ok(root) => roots.push(root),
            Err(fault) => faults.push(*fault),
        }
    }
    if !faults.is_empty() || roots.is_empty() {
        // What a file would have set is unknown: to look further would blame the others for it.
        return (Err(Faults::new(texts, faults)), KnownKeys::new());
    }
    for root in &mut roots {
        environment::interpolate(root, surroundings.environment, &mut faults);
    }
    let overrides = environment::overrides(surroundings.environment, &mut texts, &mut faults);
    let root = layers::merge(&roots, &overrides, &texts, &mut faults);
    let trees = presets::trees(&root, &folder, surroundings.read_file, &mut texts, &mut faults);

    let report = Report::default();
    let mut lookups = reading::read_lookups(&report, &root, &folder, surroundings.open_table, &mut texts);
    let keeper = reading::Keeper {
        folder: &folder,
        environment: surroundings.environment,
        open: surroundings.open_table,
    };
    reading::read_hash_keys(&report, &root, &keeper, &mut lookups);
    let context = reading::Context {
        report: &report,
        texts: &texts,
        folder: &folder,
        lookups: &lookups,
        presets: &trees,
        machine_id: surroundings.machine_id,
        has_credential: surroundings.has_credential,
    };
    let settings = reading::read(&context, &root);
    let (found, known) = report.into_parts();
    faults.extend(found);
    let faults = Faults::new(texts, faults);
    let loaded = match settings {
        Some((settings, rules)) if faults.faults() == 0 => {
            Ok(Loaded { settings, rules, warnings: faults, files: paths })
        }
        _ => Err(faults),
    };
    (loaded, known)
}

fn parse(path: &Path, file: FileIndex, text: &str) -> Result<node::Node, Box<Fault>> {
    let Some(syntax) = Syntax::of(path) else {
        let message = format!("\"{}\" is of no known syntax", path.display());
        return Err(Box::new(Fault::nowhere(message).hint("name it .toml, .yaml, .yml or .json")));
    };
    syntax.parse(file, text)
}
