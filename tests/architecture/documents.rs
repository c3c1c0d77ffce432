//! What the docs must say, so that an operator who greps for a word finds it.

use floe::agent::{Level, NoticeCode};
use floe::config::WarningCode;
use floe::model::{Ignored, Quarantined};

/// A notice without its row, a row that says something else than the code, a row without its notice.
pub fn notice_faults(document: &str) -> Vec<String> {
    let expected: Vec<(&str, String)> = NoticeCode::ALL
        .iter()
        .map(|notice| {
            let level = match notice.level() {
                Level::Info => "info",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            (notice.code(), format!("| `{}` | {level} | {} | ", notice.code(), notice.meaning()))
        })
        .collect();
    let missing = expected
        .iter()
        .filter(|(_, row)| !document.lines().any(|line| line.starts_with(row.as_str())))
        .map(|(_, row)| format!("docs/notices.md needs the row: {row}<what to do> |"));
    let unknown = rows(document)
        .filter(|code| !expected.iter().any(|(known, _)| known == code))
        .map(|code| format!("docs/notices.md: there is no notice `{code}`"));
    missing.chain(unknown).collect()
}

/// A reason that the page does not explain.
pub fn reason_faults(document: &str) -> Vec<String> {
    let ignored = Ignored::ALL.iter().map(|reason| reason.code());
    let quarantined = Quarantined::ALL.iter().map(|reason| reason.code());
    ignored
        .chain(quarantined)
        .filter(|code| !document.contains(&format!("`{code}`")))
        .map(|code| format!("docs/reasons.md does not explain `{code}`"))
        .collect()
}

/// A warning without its row, or a row without its warning.
pub fn warning_faults(document: &str) -> Vec<String> {
    let row = |code: &WarningCode| format!("| `{}` | {} | ", code.code(), code.meaning());
    let missing = WarningCode::ALL
        .iter()
        .map(row)
        .filter(|row| !document.lines().any(|line| line.starts_with(row.as_str())))
        .map(|row| format!("docs/warnings.md needs the row: {row}<what to do> |"));
    let unknown = rows(document)
        .filter(|code| !WarningCode::ALL.iter().any(|known| known.code() == *code))
        .map(|code| format!("docs/warnings.md: there is no warning `{code}`"));
    missing.chain(unknown).collect()
}

/// The commands that `floe --help` lists.
pub fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|command| command != "help")
        .collect()
}

/// A command that the README does not name.
pub fn command_faults(commands: &[String], readme: &str) -> Vec<String> {
    commands
        .iter()
        .filter(|command| !readme.contains(&format!("`floe {command}")))
        .map(|command| format!("README.md does not name `floe {command}`"))
        .collect()
}

/// A crate that the page does not name.
pub fn dependency_faults(manifest: &str, document: &str) -> Vec<String> {
    let manifest: toml_edit::DocumentMut = manifest.parse().expect("cargo has read it");
    let crates =
        ["dependencies", "dev-dependencies"].into_iter().filter_map(|table| manifest[table].as_table());
    crates
        .flat_map(|table| table.iter().map(|(name, _)| name.to_owned()))
        .filter(|name| !document.contains(&format!("`{name}`")))
        .map(|name| format!("docs/dependencies.md does not say what `{name}` is for"))
        .collect()
}

/// The first cells of a table, where they are code.
fn rows(document: &str) -> impl Iterator<Item = &str> {
    document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(code, _)| code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_that_is_missing_differs_or_is_unknown_is_found() {
        let rows: Vec<String> = NoticeCode::ALL
            .iter()
            .map(|notice| {
                let level = format!("{:?}", notice.level()).to_lowercase();
                format!("| `{}` | {level} | {} | wait |", notice.code(), notice.meaning())
            })
            .collect();
        let all = rows.join("\n");
        assert_eq!(notice_faults(&all), [""; 0]);
        let count = NoticeCode::ALL.len();
        assert_eq!(notice_faults("").len(), count);
        assert_eq!(notice_faults(&all.replacen("| info |", "| error |", 1)).len(), 1);
        assert_eq!(notice_faults(&format!("{all}\n| `made_up` | info | Nothing. | wait |")).len(), 1);
    }

    #[test]
    fn a_reason_that_is_missing_is_found() {
        let faults = reason_faults("| `no_rule` | … |");
        assert_eq!(faults.len(), Ignored::COUNT + Quarantined::COUNT - 1);
    }

    #[test]
    fn a_warning_that_is_missing_differs_or_is_unknown_is_found() {
        let rows: Vec<String> = WarningCode::ALL
            .iter()
            .map(|code| format!("| `{}` | {} | think |", code.code(), code.meaning()))
            .collect();
        let all = rows.join("\n");
        assert_eq!(warning_faults(&all), [""; 0]);
        assert_eq!(warning_faults("").len(), WarningCode::ALL.len());
        assert_eq!(warning_faults(&all.replacen("No test", "No text", 1)).len(), 1);
        assert_eq!(warning_faults(&format!("{all}\n| `made_up` | Nothing. | wait |")).len(), 1);
    }

    #[test]
    fn a_command_that_is_missing_is_found() {
        let help = "About\n\nUsage: floe\n\nCommands:\n  run   Follows\n        the files\n  help  Prints\n\nOptions:\n  -h";
        assert_eq!(commands(help), ["run"]);
        assert_eq!(command_faults(&commands(help), "no").len(), 1);
        assert_eq!(command_faults(&commands(help), "`floe run --config x`").len(), 0);
    }

    #[test]
    fn a_crate_that_is_missing_is_found() {
        let manifest = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = \"1\"";
        assert_eq!(dependency_faults(manifest, "| `a` | for x |").len(), 1);
        assert_eq!(dependency_faults(manifest, "`a`, `b`").len(), 0);
    }
}
