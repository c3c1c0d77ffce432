//! `[lookups]`: tables beside the config, and what is said of those that cannot be used.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use floe::config::settings::Captures;
use floe::config::{Environment, Faults, LoadOptions, Loaded, load, load_with_tables};
use floe::mapping::{MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::{Generation, Offset, SourceIndex};

const CONFIG: &str = r#"
[lookups.Plans]
file = "plans.csv"
key = "org"

[[sources]]
id = "app"
include = ["/var/log/app/*.log"]
format = "json"

[[rules]]
id = "usage"
when = { event = "usage" }

[rules.event]
name = "usage"
external_customer_id = "{org}"
timestamp = "{ts}"
metadata.tier = "{org | lookup(Plans, tier) | default('none')}"
metadata.price = "{org | lookup('Plans', \"price, each\") | decimal | mul(units)}"

[[tests]]
source = "app"
line = '{"event":"usage"}'
expect = { quarantined = "missing_customer" }

[[tests]]
source = "app"
line = '{"event":"usage","org":"acme","ts":"2026-11-20T10:00:00Z","units":3}'
expect = { rule = "usage", event = { name = "usage" } }
"#;

const PLANS: &str = "\u{feff}tier,org,\"price, each\"\r\npro,acme,0.10\r\n,17,2\r\n";

fn load_plans(config: &str, plans: &[u8]) -> Result<Loaded, Faults> {
    let texts = [(PathBuf::from("/etc/floe/floe.toml"), config.to_owned())];
    let tables = BTreeMap::from([(PathBuf::from("/etc/floe/plans.csv"), plans.to_owned())]);
    load_with_tables(&texts, &tables, &Environment::new(), Some("machine"))
}

fn metadata(loaded: &Loaded, org: &str) -> String {
    let rules = Rules::compile(&loaded.settings);
    let context = MapContext {
        rules: &rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "p",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: "2026-11-20T12:00:00Z".parse().expect("a time"),
        room: usize::MAX,
    };
    let line = format!("{{\"event\":\"usage\",\"org\":{org},\"ts\":\"2026-11-20T10:00:00Z\",\"units\":3}}\n");
    let window = ReadWindow::new(b"", Offset::ZERO, line.as_bytes());
    let body = map(&context, window, &mut Scratch::default()).expect("no guard is expected").body;
    let body = String::from_utf8(body).expect("JSON");
    body.split_once("\"metadata\":").map(|(_, rest)| rest.to_owned()).unwrap_or(body)
}

#[test]
fn a_rule_looks_into_a_table() {
    let loaded = load_plans(CONFIG, PLANS.as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(metadata(&loaded, "\"acme\""), r#"{"tier":"pro","price":0.3}},"#);
    assert_eq!(metadata(&loaded, "17"), r#"{"tier":"none","price":6}},"#, "a number, and an empty cell");
    assert_eq!(metadata(&loaded, "\"nobody\""), r#"{"tier":"none"}},"#);
}

#[test]
fn mistakes_in_the_use_of_a_table_are_told() {
    let config = CONFIG
        .replace("lookup(Plans, tier)", "lookup(plan, tier)")
        .replace(r#"\"price, each\""#, "prise")
        .replace("key = \"org\"", "key = \"org_id\"\ncolumn = \"x\"")
        .replace("[[sources]]", "[lookups.\"a b\"]\n[[sources]]");
    let faults = load_plans(&config, PLANS.as_bytes()).expect_err("faults");
    insta::assert_snapshot!(faults.render(false));
    let config = CONFIG.replace("lookup(Plans, tier)", "lookup(Plans, teir)");
    let faults = load_plans(&config, PLANS.as_bytes()).expect_err("a fault");
    assert_eq!(
        faults.summary(),
        ["floe.toml:19:39: fault: the table `Plans` has no column `teir`"]
            .map(|line| format!("/etc/floe/{line}"))
    );
}

#[test]
fn mistakes_in_a_table_are_shown_where_they_stand() {
    let plans = "tier,org,\"price, each\"\npro,acme,0.10\nfree,beta\nfree,,1\nmax,acme,3\n";
    insta::assert_snapshot!(load_plans(CONFIG, plans.as_bytes()).expect_err("faults").render(false));
    let faults = load_plans(CONFIG, b"tier,org\npro,\xff\n").expect_err("a fault");
    assert_eq!(
        faults.summary(),
        ["/etc/floe/floe.toml:3:8: fault: line 2 of \"/etc/floe/plans.csv\" is not UTF-8"]
    );
}

#[test]
fn a_table_is_read_from_the_folder_of_the_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("floe.toml");
    let plans = folder.path().join("plans.csv");
    fs::write(&main, CONFIG).expect("written");
    fs::write(&plans, PLANS).expect("written");
    let options = LoadOptions { path: Some(main), machine_id: Some("m".into()), ..LoadOptions::default() };
    let loaded = load(&options).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(metadata(&loaded, "\"acme\""), r#"{"tier":"pro","price":0.3}},"#);

    let refused = |wanted: &str| {
        let faults = load(&options).expect_err("a fault").render(false);
        assert!(faults.contains(wanted) && faults.contains("file = \"plans.csv\""), "{faults}");
    };
    fs::OpenOptions::new()
        .write(true)
        .open(&plans)
        .and_then(|file| file.set_len((64 << 20) + 1))
        .expect("grown");
    refused("plans.csv\" is larger than 64MiB");
    fs::remove_file(&plans).expect("removed");
    refused("plans.csv\": no such file");
    fs::create_dir(&plans).expect("made");
    refused("plans.csv\" is no file");
}
