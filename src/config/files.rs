//! The only file of the config that touches the disk.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::syntax::Syntax;
use super::units;

/// Where a config is looked for when none is named.
const DEFAULT_PATHS: [&str; 2] = ["/etc/floe/floe.toml", "floe.toml"];

/// The main file and those of `conf.d/`, in order, and what could not be read.
#[derive(Debug, Default)]
pub(super) struct ReadFiles {
    pub texts: Vec<(PathBuf, String)>,
    pub faults: Vec<Fault>,
    /// The main file's folder, absolute.
    pub folder: PathBuf,
}

/// Reads the file that is named, or the first of the usual ones, and what stands in `conf.d/` beside it.
pub(super) fn read(path: Option<&Path>) -> ReadFiles {
    let mut files = ReadFiles::default();
    let Some(main) = path.map(Path::to_owned).or_else(first_default) else {
        let [first, second] = DEFAULT_PATHS;
        files.faults.push(
            Fault::nowhere(format!("there is no config: neither {first} nor ./{second} exists"))
                .hint("name one with --config, or let `floe init FILE` write one for your log file"),
        );
        return files;
    };
    let absolute = std::path::absolute(&main).unwrap_or_else(|_| main.clone());
    absolute.parent().unwrap_or(Path::new("/")).clone_into(&mut files.folder);
    files.read_one(&main);
    let beside = main.parent().unwrap_or(Path::new("")).join("conf.d");
    match parts(&beside) {
        Ok(parts) => parts.iter().for_each(|part| files.read_one(part)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => files.faults.push(cannot("list", &beside, &error, "check the path")),
    }
    files
}

/// Of a file that the config names.
const NAMED_HINT: &str = "check the path: one that is not absolute begins at the folder of the config";

/// The bytes of a table, at most `most`. A fault of it has no place: only the config knows where it is named.
pub(super) fn read_table(path: &Path, most: u64) -> Result<Vec<u8>, Box<Fault>> {
    let failed = |error: io::Error| Box::new(cannot("open", path, &error, NAMED_HINT));
    // Asked first: opening a pipe would wait for whoever writes it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let message = format!("\"{}\" is no file", path.display());
        return Err(Box::new(Fault::nowhere(message).hint("name a plain file")));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > most {
        let message = format!("\"{}\" is larger than {}", path.display(), units::print_size(most));
        return Err(Box::new(
            Fault::nowhere(message).hint("leave out the columns and rows that nobody looks up"),
        ));
    }
    Ok(bytes)
}

/// Whether systemd hands the token over.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}

impl ReadFiles {
    fn read_one(&mut self, path: &Path) {
        match text_of(path, "check the path, or let `floe init FILE` write a config for your log file") {
            Ok(text) => self.texts.push((path.to_owned(), text)),
            Err(fault) => self.faults.push(fault),
        }
    }
}

/// Reads a file that the config names.
pub(super) fn read_named(path: &Path) -> Result<String, Fault> {
    text_of(path, NAMED_HINT)
}

fn text_of(path: &Path, where_it_is: &str) -> Result<String, Fault> {
    let bytes = fs::read(path).map_err(|error| cannot("open", path, &error, where_it_is))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n');
        let message = format!("{}:{} is not UTF-8", path.display(), line.count());
        Fault::nowhere(message).hint("save the file as UTF-8")
    })
}

fn first_default() -> Option<PathBuf> {
    DEFAULT_PATHS.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// The files of a known syntax, by name. Hidden ones are not ours: a ConfigMap has `..data`, an editor `.x.swp`.
fn parts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && Syntax::of(&path).is_some() {
            parts.push(path);
        }
    }
    parts.sort();
    Ok(parts)
}

fn cannot(what: &str, path: &Path, error: &io::Error, where_it_is: &str) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => where_it_is,
        io::ErrorKind::PermissionDenied => "let the user that Floe runs as read it: chmod, chown or setfacl",
        _ => "check that it is a readable file",
    };
    Fault::nowhere(format!("cannot {what} \"{}\": {}", path.display(), plain(error))).hint(hint)
}

/// Without Rust's "(os error 2)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or(text)
}
