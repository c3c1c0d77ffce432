//! The names that rotation gives: `app.log.1`, `app.log-20261120`, `app.log.2026-11-20`, `app.log.old`,
//! `app.log.2.gz`.
//!
//! Only a name that leads back to one the source includes makes a neighbour a rotated sibling.

use crate::model::Compression;

/// How many suffixes are taken off, besides that of a compressor: `app.log-20261120.1.bak`.
const MOST_SUFFIXES: usize = 3;

/// The paths that this one may have been rotated from, nearest first.
pub fn rotated_from(path: &str) -> impl Iterator<Item = &str> {
    let mut uncompressed = Compression::split(path).map(|(kept, _)| kept);
    let mut left = uncompressed.unwrap_or(path);
    let mut steps = 0;
    std::iter::from_fn(move || {
        if let Some(path) = uncompressed.take() {
            return Some(path);
        }
        if steps == MOST_SUFFIXES {
            return None;
        }
        steps += 1;
        left = without_suffix(left)?;
        Some(left)
    })
}

/// How a rotated file says how old it is.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    /// The log itself.
    Newest,
    /// `.1` is the youngest.
    Number(u64),
    /// The digits of the time when it was rotated.
    Stamp(String),
}

fn age(path: &str) -> (&str, Age) {
    let path = Compression::split(path).map_or(path, |(kept, _)| kept);
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let Some(kept) = without_number_or_date(&path[name_at..]).filter(|kept| !kept.is_empty()) else {
        return (path, Age::Newest);
    };
    let (log, suffix) = path.split_at(name_at + kept.len());
    let digits: String = suffix.chars().filter(char::is_ascii_digit).collect();
    match digits.parse() {
        Ok(number) if digits.len() < 8 => (log, Age::Number(number)),
        _ => (log, Age::Stamp(digits)),
    }
}

/// The path of the log that a file is of: `app.log.2` and `app.log` → `app.log`.
pub(super) fn log_of(path: &str) -> &str {
    age(path).0
}

/// How many rotations ago a file was the log: 0 for the log itself, 1 for the youngest of the rotated ones.
pub(super) fn turns_since<'p>(path: &str, rotated: impl Iterator<Item = &'p str>) -> usize {
    let (log, own) = age(path);
    let is_not_older = |name: &&str| match (age(name), &own) {
        ((of, Age::Number(number)), Age::Number(own)) => of == log && number <= *own,
        ((of, Age::Stamp(stamp)), Age::Stamp(own)) => of == log && stamp >= *own,
        _ => false,
    };
    rotated.filter(is_not_older).count()
}

/// Of the names of a log's files, that of the one which was the log just before `path` was.
pub fn before<'p>(path: &str, names: impl Iterator<Item = &'p str>) -> Option<&'p str> {
    let (_, own) = age(path);
    let (mut numbered, mut stamped) = (Vec::new(), Vec::new());
    let names: Vec<&str> = names.filter(|name| log_of(name) == log_of(path)).collect();
    // While a file is being compressed it stands there twice.
    let is_copy = |name: &&str| Compression::split(name).is_some_and(|(kept, _)| names.contains(&kept));
    for name in names.iter().copied().filter(|name| !is_copy(name)) {
        match age(name).1 {
            Age::Newest => {}
            Age::Number(number) => numbered.push((number, name)),
            Age::Stamp(stamp) => stamped.push((stamp, name)),
        }
    }
    let with_number = |wanted| numbered.iter().find(|(number, _)| *number == wanted);
    match own {
        // Who has named them in two ways does not say which is older.
        Age::Newest if !numbered.is_empty() && !stamped.is_empty() => None,
        Age::Newest if stamped.is_empty() => with_number(1).map(|(_, name)| *name),
        Age::Newest => stamped.into_iter().max().map(|(_, name)| name),
        Age::Number(number) => with_number(number + 1).map(|(_, name)| *name),
        Age::Stamp(own) => stamped.into_iter().filter(|(stamp, _)| *stamp < own).max().map(|(_, name)| name),
    }
}

fn without_suffix(path: &str) -> Option<&str> {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let name = &path[name_at..];
    let kept = [".old", ".bak", ".prev", ".save", "~"]
        .iter()
        .find_map(|word| name.strip_suffix(word))
        .or_else(|| without_number_or_date(name))?;
    (!kept.is_empty()).then(|| &path[..name_at + kept.len()])
}

/// `app.log.17` → `app.log`; `app.log-20261120`, `app.log.2026-11-20`, `app.log-20261120-101532` → `app.log`.
fn without_number_or_date(name: &str) -> Option<&str> {
    let is_stamp = |byte: u8| byte.is_ascii_digit() || b"-_:T".contains(&byte);
    let stamp_at = name.bytes().rposition(|byte| !is_stamp(byte)).map_or(0, |last| last + 1);
    let separated = name[..stamp_at].ends_with('.') || name[stamp_at..].starts_with(['-', '_']);
    let stamp = &name[stamp_at..];
    let digits = stamp.bytes().filter(u8::is_ascii_digit).count();
    let plain_number = stamp.bytes().all(|byte| byte.is_ascii_digit()) && (1..=14).contains(&digits);
    let date = (8..=20).contains(&digits);
    if !separated || !(date || (plain_number && name[..stamp_at].ends_with('.'))) {
        return None;
    }
    Some(name[..stamp_at].trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        assert_eq!(rotated_from(path).collect::<Vec<_>>(), expected, "{path}");
    }

    #[test]
    fn suffixes_of_rotation_are_taken_off() {
        check("/var/log/app.log.1", &["/var/log/app.log"]);
        check("/var/log/app.log.17", &["/var/log/app.log"]);
        check("/var/log/app.log-20261120", &["/var/log/app.log"]);
        check("/var/log/app.log.2026-11-20", &["/var/log/app.log"]);
        check("/var/log/app.log-20261120-101532", &["/var/log/app.log"]);
        check("/var/log/app.log.20261120T101532", &["/var/log/app.log"]);
        check("/var/log/app.log.old", &["/var/log/app.log"]);
        check("/var/log/app.log-20261120.1", &["/var/log/app.log-20261120", "/var/log/app.log"]);
        check("/var/log/app.log.gz", &["/var/log/app.log"]);
        check("/var/log/app.log.2.gz", &["/var/log/app.log.2", "/var/log/app.log"]);
        check("/var/log/app.log-20261120.zst", &["/var/log/app.log-20261120", "/var/log/app.log"]);
        check("/pods/0.log.20261120-101532.gz", &["/pods/0.log.20261120-101532", "/pods/0.log"]);
    }

    #[test]
    fn other_names_are_not_rotated() {
        check("/var/log/app.log", &[]);
        check("/var/log/app2", &[]);
        check("/var/log/app-1", &[]);
        check("/var/log/app.log.gz.1", &["/var/log/app.log.gz"]);
        check("/var/log/app.log.gz.tmp", &[]);
        check("/var/log/.gz", &[]);
        check("/var/log.1/app", &[]);
        check("1", &[]);
    }

    #[track_caller]
    fn check_before(path: &str, names: &[&str], wanted: Option<&str>) {
        assert_eq!(before(path, names.iter().copied()), wanted, "{path} in {names:?}");
    }

    #[test]
    fn names_say_how_many_rotations_ago_a_file_was_the_log() {
        let turns = |path: &str, names: &[&str]| turns_since(path, names.iter().copied());
        let numbered = ["a.log.1", "a.log.2", "a.log.3.gz", "b.log.1"];
        assert_eq!(["a.log", "a.log.1", "a.log.3.gz"].map(|path| turns(path, &numbered)), [0, 1, 3]);
        let stamped = ["a.log-20261119", "a.log-20261120", "a.log-20261121"];
        assert_eq!(["a.log-20261121", "a.log-20261119"].map(|path| turns(path, &stamped)), [1, 3]);
    }

    #[test]
    fn names_say_which_file_was_the_log_before() {
        let numbered = ["a.log", "a.log.1", "a.log.2", "a.log.4", "b.log.1"];
        check_before("a.log", &numbered, Some("a.log.1"));
        check_before("a.log.1", &numbered, Some("a.log.2"));
        check_before("a.log.2", &numbered, None);
        check_before("a.log.4", &numbered, None);
        let stamped = ["0.log", "0.log.20261120-101532", "0.log.20261119-235959"];
        check_before("0.log", &stamped, Some("0.log.20261120-101532"));
        check_before("0.log.20261120-101532", &stamped, Some("0.log.20261119-235959"));
        check_before("0.log.20261119-235959", &stamped, None);
        let packed = ["0.log", "0.log.20261120-101532", "0.log.20261119-235959.gz"];
        check_before("0.log.20261120-101532", &packed, Some("0.log.20261119-235959.gz"));
        let twice = ["0.log", "0.log.20261120-101532", "0.log.20261120-101532.gz"];
        check_before("0.log", &twice, Some("0.log.20261120-101532"));
        check_before("a.log", &["a.log", "a.log.1.gz", "a.log.2.gz"], Some("a.log.1.gz"));
        check_before("a.log", &["a.log", "a.log.1", "a.log-20261120"], None);
        check_before("a.log", &["a.log", "a.log.old"], None);
    }
}
