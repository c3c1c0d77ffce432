//! The names that rotation gives: `app.log.1`, `app.log-20261120`, `app.log.2026-11-20`, `app.log.old`.
//!
//! Only a name that leads back to one the source includes makes a neighbour a rotated sibling.

/// How many suffixes are taken off: `app.log-20261120.1.bak`.
const MOST_SUFFIXES: usize = 3;

/// The paths that this one may have been rotated from, nearest first.
pub(super) fn rotated_from(path: &str) -> impl Iterator<Item = &str> {
    let mut left = path;
    let mut steps = 0;
    std::iter::from_fn(move || {
        if steps == MOST_SUFFIXES {
            return None;
        }
        steps += 1;
        left = without_suffix(left)?;
        Some(left)
    })
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
    }

    #[test]
    fn other_names_are_not_rotated() {
        check("/var/log/app.log", &[]);
        check("/var/log/app2", &[]);
        check("/var/log/app-1", &[]);
        check("/var/log/app.log.gz", &[]);
        check("/var/log.1/app", &[]);
        check("1", &[]);
    }
}
