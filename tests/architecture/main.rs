//! What `ARCHITECTURE.md` promises about the code itself, checked on its text: imports go one way, the pure
//! part is pure, files stay small, and the docs name every notice, reason and command.
//!
//! Each check is a function over texts, so that each is also shown a planted violation.

mod configuration_page;
mod documents;
mod metrics;
mod paths;
mod presets_page;
mod reliability;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use rules::File;

/// No file is longer. One that comes near holds two ideas.
const MOST_LINES: usize = 900;

#[test]
fn imports_go_one_way() {
    report(&sources().iter().flat_map(rules::import_faults).collect::<Vec<_>>());
}

#[test]
fn the_pure_part_names_no_clock_disk_network_or_randomness() {
    report(&sources().iter().flat_map(rules::purity_faults).collect::<Vec<_>>());
}

#[test]
fn every_folder_of_the_source_is_a_layer() {
    let layers: Vec<String> = sources().iter().filter_map(|file| file.module.first().cloned()).collect();
    report(&layers.iter().filter_map(|layer| rules::layer_fault(layer)).collect::<Vec<_>>());
    for layer in rules::LAYERS {
        assert!(layers.iter().any(|found| found == layer), "src/{layer} is gone; change the list of layers");
    }
}

#[test]
fn no_file_is_too_long() {
    let too_long = |path: &PathBuf| {
        let lines = read(path).lines().count();
        (lines > MOST_LINES).then(|| format!("{}: {lines} lines; make it two files", shown(path)))
    };
    report(
        &["src", "tests", "benches"]
            .iter()
            .flat_map(|folder| rust_files(folder))
            .filter_map(|path| too_long(&path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_notice_is_documented_as_the_code_has_it() {
    report(&documents::notice_faults(&read(&root().join("docs/notices.md"))));
}

#[test]
fn every_reason_is_documented() {
    report(&documents::reason_faults(&read(&root().join("docs/reasons.md"))));
}

/// `FLOE_WRITE_DOCS=1 cargo test --test architecture` writes the page anew.
#[test]
fn the_page_of_presets_is_made_of_their_files() {
    let path = root().join("docs/presets.md");
    let page = read(&path);
    let (by_hand, made) = page.split_once(presets_page::BEGIN).expect("the page has its mark");
    let wanted = presets_page::text();
    if std::env::var_os("FLOE_WRITE_DOCS").is_some() {
        fs::write(&path, [by_hand, presets_page::BEGIN, &wanted].concat()).expect("the page can be written");
        return;
    }
    // Not `assert_eq`: two screens of Markdown tell nobody anything.
    assert!(made == wanted, "run `FLOE_WRITE_DOCS=1 cargo test --test architecture`");
}

/// `FLOE_WRITE_DOCS=1 cargo test --test architecture` writes the page anew.
#[test]
fn the_page_of_the_config_is_made_of_its_schema() {
    let path = root().join("docs/configuration.md");
    let schema = floe::config::schema::schema();
    let wanted = configuration_page::text(&schema);
    if std::env::var_os("FLOE_WRITE_DOCS").is_some() {
        fs::write(&path, wanted).expect("the page can be written");
        return;
    }
    assert!(read(&path) == wanted, "run `FLOE_WRITE_DOCS=1 cargo test --test architecture`");
}

#[test]
fn every_warning_is_documented_as_the_code_has_it() {
    report(&documents::warning_faults(&read(&root().join("docs/warnings.md"))));
}

#[test]
fn every_command_is_documented() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_floe"))
        .arg("--help")
        .output()
        .expect("the binary was built with this test");
    let help = String::from_utf8(help.stdout).expect("help is UTF-8");
    let commands = documents::commands(&help);
    assert!(commands.len() > 5, "no commands found in:\n{help}");
    report(&documents::command_faults(&commands, &read(&root().join("README.md"))));
}

#[test]
fn every_crate_is_documented() {
    let document = read(&root().join("docs/dependencies.md"));
    report(&documents::dependency_faults(&read(&root().join("Cargo.toml")), &document));
}

#[test]
fn every_metric_is_documented_as_the_code_has_it() {
    report(&metrics::page_faults(&read(&root().join("docs/metrics.md"))));
}

/// An alert on a metric that is not there is silent for ever.
#[test]
fn alert_rules_and_dashboard_name_only_metrics_that_there_are() {
    let files = ["packaging/prometheus/floe.rules.yml", "packaging/grafana/floe.json", "docs/alerts.md"];
    let texts = files.map(|file| read(&root().join(file)));
    report(
        &files
            .iter()
            .zip(&texts)
            .flat_map(|(file, text)| metrics::query_faults(file, text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_alert_is_explained() {
    let rules = read(&root().join("packaging/prometheus/floe.rules.yml"));
    let page = read(&root().join("docs/alerts.md"));
    let tests = read(&root().join("packaging/prometheus/floe.rules.test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "the alerts were not found");
    for alert in alerts {
        assert!(page.contains(&format!("\n## {alert}\n")), "docs/alerts.md does not explain {alert}");
        assert!(tests.contains(&format!("alertname: {alert}\n")), "no test of {alert}");
    }
}

/// The page says of each point what shows it; what is said to show it exists, and is run.
#[test]
fn every_point_of_reliability_has_its_proof() {
    let texts: Vec<String> =
        ["src", "tests"].iter().flat_map(|folder| rust_files(folder)).map(|path| read(&path)).collect();
    let moves = read(&root().join("tests/simulation/storm.rs"));
    let proofs = reliability::Proofs::of(&texts, &moves, &read(&root().join(".ci/system")));
    report(&reliability::faults(&read(&root().join("docs/reliability.md")), &proofs));
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", shown(path)))
}

/// All files under `src/`, with those marked that are compiled for tests alone.
fn sources() -> Vec<File> {
    let mut files: Vec<File> =
        rust_files("src").iter().map(|path| File::new(shown(path), read(path))).collect();
    let tests: Vec<Vec<String>> = files
        .iter()
        .flat_map(|file| {
            let of_file = file.module.clone();
            paths::test_modules(&file.text)
                .into_iter()
                .map(move |name| [of_file.clone(), vec![name]].concat())
        })
        .collect();
    for file in &mut files {
        file.only_tests = tests.iter().any(|test| file.module.starts_with(test));
    }
    assert!(files.len() > 20, "the source was not found");
    files
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
