//! `[hash_keys]`: where keys come from, and what is said of those that cannot be used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use floe::config::{Faults, Loaded, load_with_tables};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn config(key: &str) -> String {
    super::GOOD.replace("timestamp =", "metadata.who = \"{user | hash(people)}\"\ntimestamp =")
        + &format!("\n[hash_keys.people]\n{key}\n")
}

fn load(config: &str, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let texts = [(PathBuf::from("/etc/floe/floe.toml"), config.to_owned())];
    let files: BTreeMap<PathBuf, Vec<u8>> =
        files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
    load_with_tables(&texts, &files, &super::environment(variables), Some("machine"))
}

/// The rule, as it stands in the settings after the key was found.
fn shown(loaded: &Loaded) -> String {
    format!("{:?}", loaded.settings.rules[0].event.metadata)
}

#[test]
fn a_key_comes_from_a_file_the_environment_or_a_credential_and_is_never_shown() {
    let file = |path| [(path, "0123456789abcdef0123456789abcdef\n")];
    let folder = ("CREDENTIALS_DIRECTORY", "/run/credentials/floe");
    for (key, loaded) in [
        ("file = \"people.key\"", load(&config("file = \"people.key\""), &file("/etc/floe/people.key"), &[])),
        ("env", load(&config("env = \"HASH_KEY\""), &[], &[("HASH_KEY", SECRET)])),
        ("credential", load(&config("credential = \"k\""), &file("/run/credentials/floe/k"), &[folder])),
    ] {
        let loaded = loaded.unwrap_or_else(|faults| panic!("{key}: {faults}"));
        assert!(loaded.warnings.is_empty(), "{key}: {}", loaded.warnings);
        let shown = shown(&loaded);
        assert!(shown.contains("HashKey(people)") && !shown.contains(SECRET), "{shown}");
    }
}

#[track_caller]
fn check(key: &str, files: &[(&str, &str)], variables: &[(&str, &str)], wanted: &str) {
    let faults = load(&config(key), files, variables).expect_err("a fault").render(false);
    assert!(faults.contains(wanted), "{faults}");
    assert!(!faults.contains(SECRET), "{faults}");
}

#[test]
fn a_key_that_cannot_be_used_is_a_fault_that_does_not_show_it() {
    let path = "/etc/floe/k";
    check("file = \"k\"", &[], &[], "there is no file \"/etc/floe/k\"");
    check("file = \"k\"", &[(path, " \n")], &[], "the key is empty");
    let short = &SECRET[..31];
    check("file = \"k\"", &[(path, short)], &[], "the key has 31 bytes, and needs 32 or more");
    check("env = \"K\"", &[], &[], "is not set");
    check("credential = \"k\"", &[], &[], "systemd gives this process no credentials");
    check("", &[], &[], "a key comes from one of file, env and credential");
    check("env = \"K\"\nfile = \"k\"", &[], &[], "a key comes from one of file, env and credential");
    let other = config("env = \"K\"").replace("hash(people)", "hash(peopel)");
    let faults = load(&other, &[], &[("K", SECRET)]).expect_err("a fault").render(false);
    assert!(faults.contains("there is no hash key `peopel`") && faults.contains("`people`"), "{faults}");
}
