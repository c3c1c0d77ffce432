//! What a backfill is to read: which files, and whose they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Refused;
use crate::agent::rotated_from;
use crate::cli::outcome::{NO_INPUT, USAGE};
use crate::config::settings::{Captures, FilePattern};
use crate::config::{self, Settings};
use crate::model::{Compression, SourceIndex};
use crate::shell::given::{self, GivenFile};

/// Files with their sources, each once.
#[derive(Debug)]
pub struct Plan {
    pub files: Vec<GivenFile>,
    bytes: u64,
}

impl Plan {
    /// `wanted`: names of files, and globs that no shell has expanded.
    pub fn new(settings: &Settings, wanted: &[PathBuf], source: Option<&str>) -> Result<Self, Refused> {
        let named = source.map(|id| source_named(settings, id)).transpose()?;
        let mut plan = Self { files: Vec::new(), bytes: 0 };
        let mut seen = BTreeSet::new();
        for path in
            wanted.iter().map(|wanted| expanded(wanted)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
        {
            if !seen.insert(path.clone()) {
                continue;
            }
            plan.bytes += given::size_of(&path).map_err(|why| {
                Refused::new(
                    NO_INPUT,
                    format!("cannot read {path:?}: {why}"),
                    "nothing was sent; give files that can be read",
                )
            })?;
            let (source, captures) = match named {
                Some(source) => (source, captures_of(settings, source, &path).unwrap_or_default()),
                None => source_of(settings, &path)?,
            };
            plan.files.push(GivenFile { path, source, captures });
        }
        Ok(plan)
    }

    /// How many bytes there are to read. How long the content of a compressed file is, nobody knows before.
    pub fn bytes(&self) -> Option<u64> {
        let is_compressed =
            |file: &GivenFile| file.path.to_str().is_some_and(|path| Compression::of_path(path).is_some());
        (!self.files.iter().any(is_compressed)).then_some(self.bytes)
    }

    /// The ids of their sources.
    pub fn sources<'s>(&self, settings: &'s Settings) -> Vec<&'s str> {
        let places: BTreeSet<u16> = self.files.iter().map(|file| file.source.0).collect();
        places.into_iter().map(|place| settings.sources[usize::from(place)].id.as_str()).collect()
    }
}

fn source_named(settings: &Settings, id: &str) -> Result<SourceIndex, Refused> {
    let found = (0..).zip(&settings.sources).find(|(_, source)| source.id == id);
    found.map(|(place, _)| SourceIndex(place)).ok_or_else(|| {
        let known: Vec<&str> = settings.sources.iter().map(|source| source.id.as_str()).collect();
        Refused::new(
            USAGE,
            format!("there is no source {id:?}"),
            format!("the sources of the config are {}", known.join(", ")),
        )
    })
}

/// The source that includes the path, or the one that it was rotated from.
fn source_of(settings: &Settings, path: &Path) -> Result<(SourceIndex, Captures), Refused> {
    let all = (0..).zip(&settings.sources).map(|(place, _)| SourceIndex(place));
    let mut fitting: Vec<(SourceIndex, Captures)> =
        all.filter_map(|place| Some((place, captures_of(settings, place, path)?))).collect();
    if fitting.len() == 1 {
        return Ok(fitting.remove(0));
    }
    let names = |places: &mut dyn Iterator<Item = u16>| -> String {
        places.map(|place| settings.sources[usize::from(place)].id.clone()).collect::<Vec<_>>().join(", ")
    };
    if fitting.is_empty() {
        let known = names(&mut (0..).take(settings.sources.len()));
        let hint = format!("say which one it is of: `--source ID`, one of {known}");
        return Err(Refused::new(USAGE, format!("no source includes {path:?}"), hint));
    }
    let several = names(&mut fitting.iter().map(|(place, _)| place.0));
    let what = format!("{path:?} belongs to several sources: {several}");
    Err(Refused::new(USAGE, what, "say which one is meant: `--source ID`"))
}

fn captures_of(settings: &Settings, source: SourceIndex, path: &Path) -> Option<Captures> {
    let files = &settings.sources[usize::from(source.0)].files;
    let path = path.to_str()?;
    files.captures(path).or_else(|| rotated_from(path).find_map(|base| files.captures(base)))
}

/// The absolute paths that are meant: the file, or those that match where it is a glob and no file.
fn expanded(wanted: &Path) -> Result<Vec<PathBuf>, Refused> {
    let unreadable =
        |why: String| Refused::new(NO_INPUT, why, "nothing was sent; give files that can be read");
    let absolute = std::path::absolute(wanted)
        .map_err(|error| unreadable(format!("cannot read {wanted:?}: {error}")))?;
    let text = wanted.to_str().filter(|text| text.contains(['*', '?', '[']) && !absolute.exists());
    let Some(text) = text else { return Ok(vec![without_steps_back(absolute)]) };
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let pattern = config::glob(text, &folder)
        .map_err(|why| Refused::new(USAGE, format!("{text:?}: {why}"), "put a name or a glob there"))?;
    let mut found = Vec::new();
    matching(&pattern, &pattern.base, pattern.depth, &mut found);
    found.sort();
    if found.is_empty() {
        return Err(unreadable(format!("no file matches {text:?}")));
    }
    Ok(found)
}

/// A path with `..` in it fits no glob: it is taken as the file system has it.
fn without_steps_back(path: PathBuf) -> PathBuf {
    let has_steps_back = path.components().any(|part| part == std::path::Component::ParentDir);
    let canonical = || fs::canonicalize(&path).ok();
    if has_steps_back { canonical().unwrap_or(path) } else { path }
}

/// `levels`: how far below the folder a match may lie.
fn matching(pattern: &FilePattern, folder: &Path, levels: Option<usize>, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && levels != Some(0) {
            matching(pattern, &path, levels.map(|levels| levels - 1), found);
        } else if !is_folder
            && path.is_file()
            && path.to_str().is_some_and(|text| pattern.regex.is_match(text))
        {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        let folder = folder.display();
        let text = format!(
            "version = 1\nstate_dir = \"/nowhere\"\n\
             [[sources]]\nid = \"app\"\ninclude = [\"{folder}/app/{{org}}.log\"]\nformat = \"json\"\n\
             [[sources]]\nid = \"all\"\ninclude = [\"{folder}/*/shared.log\"]\nformat = \"json\"\n\
             [[rules]]\nid = \"use\"\nwhen = {{ who = \"a\" }}\n[rules.event]\nname = \"use\"\nexternal_customer_id = \"{{who}}\"\n"
        );
        Settings::from_toml(&text).map_err(|faults| faults.render(false)).unwrap()
    }

    /// Files as given from the folder, with what the plan makes of them: `SOURCE org`, or the words of the refusal.
    #[track_caller]
    fn check(wanted: &str, source: Option<&str>, expected: Result<&[&str], (u8, &str)>) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["app/a.log", "app/a.log.1", "app/b.log-20261120", "app/shared.log", "other/x"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}\n").unwrap();
        }
        let settings = settings(folder.path());
        let plan = Plan::new(&settings, &[folder.path().join(wanted)], source);
        match (plan, expected) {
            (Ok(plan), Ok(expected)) => {
                let told = |file: &GivenFile| {
                    let source = &settings.sources[usize::from(file.source.0)].id;
                    format!("{source} {}", file.captures.get("org").map_or("-", String::as_str))
                };
                assert_eq!(plan.files.iter().map(told).collect::<Vec<_>>(), expected, "{wanted}");
                assert_eq!(plan.bytes, 3 * expected.len() as u64);
            }
            (Err(refused), Err((code, words))) => {
                assert_eq!(refused.code, code, "{wanted}");
                assert!(refused.what.contains(words), "{wanted}: {}", refused.what);
            }
            (plan, expected) => panic!("{wanted}: {plan:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_file_is_of_the_source_that_includes_it_or_what_it_was_rotated_from() {
        check("app/a.log", None, Ok(&["app a"]));
        check("app/a.log.1", None, Ok(&["app a"]));
        check("app/b.log-20261120", None, Ok(&["app b"]));
        check("app/../app/a.log", None, Ok(&["app a"]));
        check("app/shared.log", None, Err((64, "belongs to several sources: app, all")));
        check("app/shared.log", Some("all"), Ok(&["all -"]));
        check("other/x", None, Err((64, "no source includes")));
        check("other/x", Some("app"), Ok(&["app -"]));
        check("other/x", Some("nobody"), Err((64, "there is no source \"nobody\"")));
    }

    #[test]
    fn globs_that_no_shell_expanded_are_expanded() {
        check("app/a.log*", None, Ok(&["app a", "app a"]));
        check("app/[ab].log*", None, Ok(&["app a", "app a", "app b"]));
        check("app/c*", None, Err((66, "no file matches")));
        check("app/c.log", None, Err((66, "no such file")));
        check("app", Some("app"), Err((66, "no regular file")));
    }
}
