//! The config as operators meet it: what is wrong with one, where, and what several places set together.

#[path = "config/admin.rs"]
mod admin;
#[path = "config/hash_keys.rs"]
mod hash_keys;
#[path = "config/inputs.rs"]
mod inputs;
#[path = "config/lookups.rs"]
mod lookups;
#[path = "config/packaged.rs"]
mod packaged;
#[path = "config/segment_key.rs"]
mod segment_key;
#[path = "config/shadowed.rs"]
mod shadowed;
#[path = "config/warnings.rs"]
mod warnings;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use floe::config::settings::{Expectation, Mode, TokenSource};
use floe::config::{Environment, Faults, LoadOptions, Loaded, Settings, load, load_from_texts};

/// A config without faults and warnings; the tests break it.
const GOOD: &str = r#"
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

[[tests]]
source = "app"
line = '{"event":"usage","org":"acme","ts":"2026-11-20T10:15:32Z"}'
expect = { rule = "usage", event = { name = "usage" } }
"#;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load_texts(texts: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let texts: Vec<_> = texts.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
    load_from_texts(&texts, &environment(variables), Some("machine"))
}

/// Everything that is said about one text, a line each.
fn said(name: &str, text: &str) -> Vec<String> {
    match load_texts(&[(name, text)], &[]) {
        Ok(loaded) => loaded.warnings.summary(),
        Err(faults) => faults.summary(),
    }
}

/// [`GOOD`] with one piece replaced says exactly this.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    assert_eq!(said("floe.toml", &GOOD.replacen(from, to, 1)), expected, "{to}");
}

/// [`GOOD`] with another event says this, wherever.
#[track_caller]
fn check_event(event: &str, expected: &[&str]) {
    let from = "name = \"usage\"\nexternal_customer_id = \"{org}\"\ntimestamp = \"{ts}\"\n";
    let text = GOOD.replacen(from, event, 1);
    let messages: Vec<String> = said("floe.toml", &text)
        .iter()
        .map(|line| line.splitn(5, ':').skip(3).collect::<Vec<_>>().join(":").trim().to_owned())
        .collect();
    assert_eq!(messages, expected, "{event}");
}

#[test]
fn a_good_config_says_nothing() {
    assert_eq!(said("floe.toml", GOOD), Vec::<String>::new());
}

#[test]
fn s29_ten_mistakes_are_ten_faults_at_their_places() {
    let text = r#"version = 1
instance = "${NODE_NAM}"

[polar]
server = "prodution"
tokn_file = "/etc/floe/token"

[delivery]
batch_max_events = 20000

[[sources]]
id = "app"
include = ["/var/log/{a,b}/*.log"]
format = "json"

[[rules]]
id = "llm"
source = "ap"
when = { event = "llm", status = { less = 500 }, path = { matches = '^/v1/(chat' } }

[rules.event]
name = "llm_usage"
external_customer_id = "{org_id | lowr}"
timestamp = "{ts}"

[[tests]]
source = "app"
line = '{"event":"llm"}'
expect = { quarantined = "missing_custmer" }
"#;
    let faults = load_texts(&[("floe.toml", text)], &[("NODE_NAME", "n1")]).expect_err("ten faults");
    assert_eq!((faults.faults(), faults.warnings()), (10, 0));
    insta::assert_snapshot!("ten_mistakes_in_toml", faults.render(false));
}

#[test]
fn s29_mistakes_in_yaml_have_their_places() {
    let text = r#"sources:
  - id: app
    include: /var/log/*.log
    format: jsn
rules:
  - id: usage
    when: { event: usage, any: [] }
    event:
      name: order.paid
      external_customer_id: {org_id}
      timestamp: "{ts | tim}"
      metadata.units: 1
"#;
    let faults = load_texts(&[("floe.yaml", text)], &[]).expect_err("faults");
    insta::assert_snapshot!("mistakes_in_yaml", faults.render(false));
}

#[test]
fn s29_mistakes_in_json_have_their_places() {
    let text = r#"{
  "sources": [{ "id": "app", "include": ["/var/log/[z-a].log"], "format": "json", "max_line_bytes": "1 byte" }],
  "rules": [{
    "id": "usage",
    "when": { "\u0061..b": 1 },
    "event": { "name": "usage", "external_customer_id": "\u007borg | nope}", "timestamp": "2026-11-20T10:15:32Z" }
  }]
}"#;
    let faults = load_texts(&[("floe.json", text)], &[]).expect_err("faults");
    insta::assert_snapshot!("mistakes_in_json", faults.render(false));
}

#[test]
fn every_file_with_a_bad_syntax_is_told() {
    let faults = load_texts(
        &[("floe.toml", "a = \n"), ("conf.d/a.yaml", "a: {b} c\n"), ("conf.d/b.json", "{\"a\": 1,}")],
        &[],
    )
    .expect_err("three faults");
    let places: Vec<String> = faults
        .summary()
        .iter()
        .map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(places, ["floe.toml:1:5", "conf.d/a.yaml:1:8", "conf.d/b.json:1:9"]);
}

#[test]
fn s29_mistakes_in_sources_are_told() {
    check(
        "format = \"json\"",
        "format = \"logfmtt\"",
        &["floe.toml:5:10: fault: unknown format \"logfmtt\""],
    );
    check(
        "format = \"json\"",
        "format = \"json\"\ncontainer = \"crio\"\nprefix = '(x'\npattern = 'y'",
        &[
            "floe.toml:6:13: fault: unknown value \"crio\"",
            "floe.toml:7:10: fault: not a regular expression: unclosed group",
            "floe.toml:8:11: fault: \"pattern\" belongs to format = \"regex\"",
        ],
    );
    check(
        "format = \"json\"",
        "format = \"regex\"\npattern = '(x)'",
        &["floe.toml:6:11: fault: this pattern has no named groups"],
    );
    check(
        "format = \"json\"",
        "format = \"regex\"",
        &["floe.toml:5:10: fault: the key \"pattern\" is missing"],
    );
    check(
        "format = \"json\"",
        "format = \"delimited\"",
        &["floe.toml:5:10: fault: the columns have no names"],
    );
    check(
        "format = \"json\"",
        "format = \"delimited\"\ncolumns = [\"a\", \"a\"]\ndelimiter = \"ab\"",
        &[
            "floe.toml:6:17: fault: two columns have the name \"a\"",
            "floe.toml:7:13: fault: \"ab\" cannot be a delimiter",
        ],
    );
    check(
        "format = \"json\"",
        "format = \"nginx-combined\"\nprefix = '(?<event>a)'",
        &[
            "floe.toml:14:26: fault: no source of this rule has a field \"org\"",
            "floe.toml:15:15: fault: no source of this rule has a field \"ts\"",
        ],
    );
    // Where quotes leave it alone, a tab is two signs.
    check(
        "format = \"json\"",
        "format = \"delimited\"\ncolumns = [\"event\", \"org\"]\ndelimiter = '\\t'",
        &["floe.toml:16:15: fault: no source of this rule has a field \"ts\""],
    );
    check(
        "format = \"json\"",
        "format = \"json\"\nmultiline = { max_lines = 0 }",
        &["floe.toml:6:13: fault: the key \"start\" is missing", "floe.toml:6:27: fault: 0 is out of range"],
    );
    check(
        "format = \"json\"",
        "format = \"delimited\"\nheader = \"fields\"\ncontainer = \"cri\"\nread_from = \"end\"\nmultiline = { start = 'x' }",
        &[
            "floe.toml:7:13: fault: inside a container no line of the file is a header",
            "floe.toml:8:13: fault: behind the end nobody knows which #Fields: line was the last",
            "floe.toml:9:13: fault: with header = \"fields\" each line is a record",
        ],
    );
    check(
        "include = [\"/var/log/app/*.log\"]",
        "include = []",
        &["floe.toml:4:11: fault: this source has no files"],
    );
    check(
        "/var/log/app/*.log",
        "/var/log/app/*.log.gz",
        &["floe.toml:4:12: fault: a compressed file is not a log that lines are written to"],
    );
    check(
        "include = [\"/var/log/app/*.log\"]\n",
        "",
        &["floe.toml:2:1: fault: the key \"include\" is missing"],
    );
    check(
        "id = \"app\"",
        "id = \"a b\"",
        &["floe.toml:3:6: fault: \"a b\" is no id", "floe.toml:17:10: fault: unknown source \"app\""],
    );
    check(
        "[[rules]]",
        "[[sources]]\nid = \"app\"\ninclude = \"x\"\nformat = \"json\"\n[[rules]]",
        &["floe.toml:8:6: fault: two sources have the id \"app\""],
    );
    check(
        "format = \"json\"",
        "format = \"json\"\nmax_line_bytes = \"3MiB\"",
        &["floe.toml:6:18: fault: limits.memory is 4MiB, too small for lines of 3MiB"],
    );
    check(
        "[[rules]]",
        "max_line_bytes = \"2MiB\"\n[limits]\nwindow = \"1MiB\"\n[[rules]]",
        &["floe.toml:9:10: fault: limits.window is 1MiB, too small for lines of 2MiB"],
    );
}

#[test]
fn s29_mistakes_in_conditions_are_told() {
    let when = "when = { event = \"usage\" }";
    check(when, "when = { usage.total = 1 }", &["floe.toml:9:16: fault: unknown operator \"total\""]);
    check(
        when,
        "when = { a = { lt = \"x\" } }",
        &["floe.toml:9:21: fault: expected a number or a placeholder, found the text \"x\""],
    );
    check(when, "when = { a = { in = [] } }", &["floe.toml:9:21: fault: this list is empty"]);
    check(when, "when = { a = {} }", &["floe.toml:9:14: fault: no operator"]);
    check(
        when,
        "when = \"x\"",
        &["floe.toml:9:8: fault: expected a table of conditions, found the text \"x\""],
    );
    check(when, "unless = {}", &["floe.toml:9:10: fault: an empty `unless` takes every line out"]);
    check(
        when,
        "when = { \"@path.tenant\" = \"a\" }",
        &["floe.toml:9:11: fault: no source of this rule captures \"tenant\""],
    );
    check(
        when,
        "when = { a = { exists = \"yes\" } }",
        &["floe.toml:9:25: fault: expected true or false, found the text \"yes\""],
    );
    check(
        when,
        "when = { a = 0.12345678901234567890123456789012 }",
        &["floe.toml:9:14: fault: this number has too many digits"],
    );
    for good in [
        "when = { any = [ { a = 1 }, { b.exists = true, \"c.d\" = [1, 2] } ], \"x[0].y\" = { ge = \"{z}\" } }",
        "when.\"a.b\" = 1",
        "must = { a = { matches = '\\d{3}' }, b = { lt = 5, gt = 1 } }",
    ] {
        check(when, good, &[]);
    }
}

#[test]
fn s29_mistakes_in_events_are_told() {
    let good = "name = \"usage\"\nexternal_customer_id = \"{org}\"\ntimestamp = \"{ts}\"\n";
    let with = |more: &str| format!("{good}{more}\n");
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("metadata.units = 1\nmetadata.ok = true\nmetadata.text = \"a {b} c\"", &[]),
        ("member_id = \"x\"", &["fault: this kind of member does not go with external_customer_id"]),
        (
            "external_id = \"x\"",
            &["fault: every event would have the same external_id, and Polar takes an id once"],
        ),
        ("metadata.x = {}", &["fault: Polar's metadata has no tables inside"]),
        ("metadata.x = [1]", &["fault: Polar's metadata has no lists"]),
        ("metadata.x = \"\"", &["fault: Polar refuses an empty text"]),
        ("metadata._cost = { amount = 1 }", &["fault: the key \"currency\" is missing"]),
        (
            "metadata._cost = { amount = 123456, currency = \"usd\" }",
            &["fault: Polar does not take this amount"],
        ),
        (
            "metadata._cost = { amount = 0.0000000000001, currency = \"usd\" }",
            &["fault: Polar does not take this amount"],
        ),
        ("metadata._cost = { amount = 99999.5, currency = \"usd\" }", &[]),
        ("metadata._cost = { amount = 1, currency = \"eur\" }", &["fault: Polar takes no costs in \"eur\""]),
        (
            "metadata._llm = { vendor = \"v\", model = \"m\", input_tokens = 1, output_tokens = 1.5, reasoning = 3 }",
            &[
                "fault: _llm lacks total_tokens",
                "fault: expected a whole number or a placeholder, found the number 1.5",
                "fault: unknown key \"reasoning\"",
            ],
        ),
        ("external_id = \"app:{@item.id}\"", &["fault: this rule explodes no array"]),
        ("metadata.x = 2026-11-20", &["fault: expected a text, a number, true or false, found a date"]),
    ];
    for (more, expected) in table {
        check_event(&with(more), expected);
    }
    let long = "x".repeat(501);
    check_event(
        &with(&format!("metadata.x = \"{long}\"")),
        &["fault: a text of 501 characters: Polar takes 500"],
    );
    check_event(
        &with(&format!("metadata.{} = 1", &long[..41])),
        &["fault: a key of 41 characters: Polar takes 40"],
    );
    let many = (0..51).map(|at| format!("metadata.k{at} = 1")).collect::<Vec<_>>().join("\n");
    check_event(&with(&many), &["fault: 51 keys of metadata: Polar takes 50"]);
    check_event(
        &good.replace("\"usage\"", &format!("\"{}\"", &long[..129])),
        &["fault: a text of 129 characters: Polar takes 128"],
    );
    check_event(
        &good.replace("{ts}", "2026-11-20T10:15:32Z"),
        &["fault: every event would have the same timestamp"],
    );
    check_event(
        &good.replace("\"usage\"", "\"order.paid\""),
        &["warning[system_name]: Polar itself makes events named \"order.paid\""],
    );
    check_event(
        &good.replace("external_customer_id = \"{org}\"", ""),
        &["fault: this event has no customer: nobody would be billed"],
    );
    check_event(
        &good.replace("timestamp", "customer_id = \"{org}\"\ntimestamp"),
        &["fault: two customers: of two ids Polar takes the external one in silence"],
    );
    check_event(
        &good.replace("external_customer_id = \"{org}\"", "customer_id = \"acme\""),
        &["fault: \"acme\" is no UUID"],
    );
}

#[test]
fn natural_ids_that_could_meet_are_a_fault() {
    let two = |first: &str, second: &str| {
        let rule = |id: &str, also: bool, external_id: &str| {
            format!(
                "[[rules]]\nid = \"{id}\"\nalso = {also}\nwhen.a = \"{id}\"\n[rules.event]\nname = \"n\"\n\
                 external_customer_id = \"{{org}}\"\ntimestamp = \"{{ts}}\"\nexternal_id = \"{external_id}\"\n"
            )
        };
        let (sources, _) = GOOD.split_once("[[rules]]").expect("rules");
        said("floe.toml", &format!("{sources}{}{}", rule("a", true, first), rule("b", false, second)))
            .into_iter()
            .filter(|line| line.contains("fault"))
            .count()
    };
    for (first, second, faults) in [
        ("{id}", "{id}", 1),
        ("{id}", "{id}:b", 1),
        ("a:{id}", "b:{id}", 0),
        ("{id}:a", "{id}:b", 0),
        ("a:{id}", "a:{other}", 1),
    ] {
        assert_eq!(two(first, second), faults, "{first} {second}");
    }
    check("timestamp = \"{ts}\"", "timestamp = \"{ts}\"\nexternal_id = \"app:{id}\"", &[]);
    let exploding = GOOD.replace("when = {", "explode = \"items\"\nwhen = {");
    let natural = |id: &str| {
        exploding.replace("timestamp = \"{ts}\"", &format!("timestamp = \"{{ts}}\"\nexternal_id = \"{id}\""))
    };
    assert_eq!(said("floe.toml", &natural("app:{@item.id}")), Vec::<String>::new());
    assert_eq!(
        said("floe.toml", &natural("app:{id}")),
        ["floe.toml:16:15: fault: the records of one line would share this external_id"]
    );
}

#[test]
fn warnings_do_not_keep_it_from_starting() {
    check(
        "timestamp = \"{ts}\"\n",
        "",
        &["floe.toml:11:1: warning[no_timestamp]: the events of \"usage\" have no timestamp"],
    );
    let (untested, _) = GOOD.split_once("[[tests]]").expect("tests");
    assert_eq!(
        said("floe.toml", untested),
        ["floe.toml:8:6: warning[untested]: no test shows what the rule \"usage\" bills"]
    );
    check(
        "[[tests]]",
        "[[rules]]\nid = \"later\"\nwhen = { event = \"usage\", status = 200 }\n[rules.event]\nname = \"n\"\n\
         external_customer_id = \"{org}\"\ntimestamp = \"{ts}\"\n[[tests]]",
        &[
            "floe.toml:17:6: warning[untested]: no test shows what the rule \"later\" bills",
            "floe.toml:17:6: warning[shadowed]: no line ever comes to the rule \"later\"",
        ],
    );
    check(
        "[[rules]]\nid = \"usage\"",
        "[[sources]]\nid = \"other\"\ninclude = \"x\"\nformat = \"json\"\n[[rules]]\nid = \"usage\"\nsource = \"app\"",
        &["floe.toml:8:6: warning[unread_source]: no rule reads the source \"other\""],
    );
}

#[test]
fn s29_mistakes_in_tests_are_told() {
    let expect = "expect = { rule = \"usage\", event = { name = \"usage\" } }";
    let table: &[(&str, &[&str])] = &[
        (
            "expect = { rule = \"usag\", event = { nam = \"usage\" } }",
            &["fault: unknown rule \"usag\"", "fault: an event has no key \"nam\""],
        ),
        ("expect = { ignored = \"no_rule\", quarantined = \"nul\" }", &["fault: a test expects one thing"]),
        ("expect = {}", &["fault: a test expects one thing"]),
        ("expect = { rule = \"usage\" }", &["fault: the key \"event\" is missing"]),
        ("expect = { ignored = \"norule\" }", &["fault: unknown value \"norule\""]),
    ];
    for (replaced, expected) in table {
        let lines = said("floe.toml", &GOOD.replacen(expect, replaced, 1));
        let messages: Vec<&str> =
            lines.iter().filter_map(|line| line.splitn(4, ':').nth(3)).map(str::trim).collect();
        assert_eq!(messages, *expected, "{replaced}");
    }
    check(
        "expect =",
        "path = \"logs/app.log\"\nexpect =",
        &["floe.toml:19:8: fault: \"/logs/app.log\" is no file of the source \"app\""],
    );
    check("expect =", "path = \"/var/log/app/a.log\"\nexpect =", &[]);
    let line = "line = '{\"event\":\"usage\",\"org\":\"acme\",\"ts\":\"2026-11-20T10:15:32Z\"}'";
    let two = "line = '''\na\nb\n'''";
    check(line, two, &["floe.toml:18:8: fault: a test has one line, this has more"]);
    for lines in ["multiline = { start = '^a' }", "container = \"cri\""] {
        let text = GOOD.replacen(line, two, 1).replacen("format =", &format!("{lines}\nformat ="), 1);
        assert_eq!(said("floe.toml", &text), Vec::<String>::new(), "{lines}");
    }
}

#[test]
fn conf_d_appends_lists_and_sets_no_value_twice() {
    let more = "[[sources]]\nid = \"second\"\ninclude = \"logs/*.log\"\nformat = \"json\"\n";
    let loaded = load_texts(
        &[
            ("/etc/floe/floe.toml", GOOD),
            ("/etc/floe/conf.d/a.toml", more),
            ("/etc/floe/conf.d/b.yaml", "polar: {mode: shadow}"),
        ],
        &[],
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    let ids: Vec<&str> = loaded.settings.sources.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(ids, ["app", "second"]);
    assert_eq!(loaded.settings.sources[1].files.include()[0].text, "/etc/floe/logs/*.log");
    assert_eq!(loaded.settings.polar.mode, Mode::Shadow);
    assert_eq!(loaded.files.len(), 3);

    let faults = load_texts(
        &[
            ("floe.toml", GOOD),
            ("conf.d/a.yaml", "polar: {mode: live}"),
            ("conf.d/b.json", "{\"polar\": {\"mode\": \"shadow\"}}"),
        ],
        &[],
    )
    .expect_err("set twice");
    insta::assert_snapshot!("set_in_two_files", faults.render(false));
}

#[test]
fn the_environment_overrides_and_is_put_into_texts() {
    let text = format!("instance = \"${{NODE}}-$${{x}}\"\n[delivery]\nconcurrency = \"${{N}}\"\n{GOOD}");
    let variables = [
        ("NODE", "n1"),
        ("N", "7"),
        ("FLOE__POLAR__SERVER", "http://127.0.0.1:8080/"),
        ("FLOE__POLAR__TOKEN_ENV", "MY_TOKEN"),
        ("FLOE__DELIVERY__BATCH_MAX_EVENTS", "50"),
        ("FLOE__DELIVERY__BATCH_MAX_WAIT", "250ms"),
        ("FLOE__LIMITS__MEMORY", "8388608"),
        ("FLOE_SERVICE_HOST", "10.0.0.1"),
        ("FLOE_PORT", "tcp://10.0.0.1:80"),
    ];
    let settings =
        load_texts(&[("floe.toml", &text)], &variables).unwrap_or_else(|faults| panic!("{faults}")).settings;
    assert_eq!(settings.instance, "n1-${x}");
    assert_eq!(settings.polar.base_url, "http://127.0.0.1:8080");
    assert_eq!(settings.polar.token, TokenSource::Environment("MY_TOKEN".into()));
    assert_eq!(settings.delivery.concurrency, 7);
    assert_eq!(settings.delivery.batch_max_events, 50);
    assert_eq!(settings.delivery.batch_max_wait, Duration::from_millis(250));
    assert_eq!(settings.limits.memory, 8 << 20);
}

#[test]
fn s29_mistakes_in_the_environment_are_told() {
    let text = format!("instance = \"${{NODE_NAM}} ${{}}\"\n{GOOD}");
    let variables = [
        ("NODE_NAME", "n1"),
        ("FLOE__POLAR__SERVR", "sandbox"),
        ("FLOE__SOURCES__0__ID", "x"),
        ("FLOE__DELIVERY__CONCURRENCY", "many"),
    ];
    let faults = load_texts(&[("floe.toml", &text)], &variables).expect_err("faults");
    insta::assert_snapshot!("mistakes_in_the_environment", faults.render(false));
}

#[test]
fn defaults_are_the_documented_ones() {
    let settings = Settings::from_toml(GOOD).expect("a good config");
    assert_eq!(settings.state_dir, PathBuf::from("/var/lib/floe"));
    assert_eq!(settings.instance, "test");
    assert_eq!(settings.polar.base_url, "https://api.polar.sh");
    assert_eq!(settings.polar.token, TokenSource::Environment("POLAR_ACCESS_TOKEN".into()));
    assert_eq!(settings.delivery.batch_max_events, 500);
    assert_eq!(settings.delivery.requests_per_minute, 300);
    assert_eq!((settings.limits.memory, settings.limits.window), (4 << 20, 64 << 20));
    assert_eq!(settings.rules[0].place, "floe.toml:7:1");
    assert!(matches!(&settings.tests[0].expect, Expectation::Events(events) if events.len() == 1));
}

#[test]
fn a_machine_without_an_id_needs_an_instance() {
    let texts = [(PathBuf::from("floe.toml"), GOOD.to_owned())];
    let faults = load_from_texts(&texts, &BTreeMap::new(), None).expect_err("no instance");
    assert_eq!(
        faults.summary(),
        ["floe.toml:1:1: fault: the key \"instance\" is missing, and this machine has no machine id"]
    );
}

#[test]
fn files_are_read_from_the_disk_with_those_beside() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("floe.toml");
    fs::write(&main, GOOD).expect("written");
    fs::create_dir(folder.path().join("conf.d")).expect("made");
    for (name, text) in [
        ("20-b.yml", "limits: {window: 4MiB}"),
        ("10-a.toml", "[polar]\nserver = \"sandbox\""),
        ("10-a.toml.bak", "nonsense"),
        (".hidden.toml", "nonsense"),
    ] {
        fs::write(folder.path().join("conf.d").join(name), text).expect("written");
    }
    fs::write(folder.path().join("polar-token"), "t").expect("written");
    let options = LoadOptions {
        path: Some(main.clone()),
        environment: environment(&[("CREDENTIALS_DIRECTORY", &folder.path().display().to_string())]),
        machine_id: Some("m1\n".into()),
    };
    let loaded = load(&options).unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<_> = loaded.files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["floe.toml", "10-a.toml", "20-b.yml"]);
    assert_eq!(loaded.settings.polar.base_url, "https://sandbox-api.polar.sh");
    assert_eq!(loaded.settings.polar.token, TokenSource::Credential);
    assert_eq!(loaded.settings.instance, "m1");
    assert_eq!(loaded.settings.limits.window, 4 << 20);

    fs::write(&main, b"a = \"\n\xff\"").expect("written");
    let faults = load(&options).expect_err("not UTF-8");
    assert_eq!(faults.summary(), [format!("fault: {}:2 is not UTF-8", main.display())]);
    let missing = LoadOptions { path: Some(folder.path().join("no.toml")), ..options };
    assert!(load(&missing).expect_err("no file").render(false).contains("cannot open"));
}

const METER: &str = r#"
name = "meter"
about = "A made-up meter"
grade = "C"
format = "json"
[fields]
at = { type = "epoch_s" }
[values]
total = "{sum(in, out)}"
"#;

/// What is said of [`GOOD`] with a preset of one's own, which is [`METER`] with one piece replaced; `more` stands in
/// the source. Without the names of the folders.
fn said_of_preset(from: &str, to: &str, more: &str, rule: &str) -> Vec<String> {
    assert!(METER.contains(from), "{from}");
    let folder = tempfile::tempdir().unwrap();
    let format = format!("format = \"./mine.toml\"\n{more}");
    let config = GOOD.replacen("format = \"json\"", &format, 1).replacen("{ts}", rule, 1);
    let path = folder.path().join("floe.toml");
    fs::write(&path, config).unwrap();
    fs::write(folder.path().join("mine.toml"), METER.replacen(from, to, 1)).unwrap();
    let options = LoadOptions { path: Some(path), machine_id: Some("test".to_owned()), ..Default::default() };
    let said = match load(&options) {
        Ok(loaded) => loaded.warnings.summary(),
        Err(faults) => faults.summary(),
    };
    let folder = folder.path().display().to_string();
    said.iter().map(|line| line.replace(&format!("{folder}/"), "")).collect()
}

#[track_caller]
fn check_preset(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(said_of_preset(from, to, "accept_estimates = true", "{at}"), expected, "{to}");
}

#[test]
fn a_fault_in_a_presets_file_has_its_place_there() {
    check_preset("", "", &[]);
    check_preset(
        "= \"A",
        "= A",
        &["mine.toml:3:9: fault: not valid TOML: missing opening quote, expected `\"`"],
    );
    check_preset("about = \"A made-up meter\"", "", &["mine.toml:1:1: fault: the key \"about\" is missing"]);
    check_preset("\"C\"", "\"D\"", &["mine.toml:4:9: fault: unknown value \"D\""]);
    check_preset("json", "pino", &["mine.toml:5:10: fault: unknown format \"pino\""]);
    check_preset("epoch_s", "epoch", &["mine.toml:7:16: fault: there is no pipe `epoch`"]);
    check_preset("epoch_s", "default(in)", &["mine.toml:7:15: fault: a type names no other field"]);
    check_preset("type", "typ", &["mine.toml:7:8: fault: unknown key \"typ\""]);
    check_preset("\nat =", "\n\"@path.x\" =", &["mine.toml:7:1: fault: this is no field of the line"]);
    check_preset(
        "out)}",
        "@preset.totl)}",
        &["mine.toml:9:19: fault: the preset \"meter\" has no value \"totl\""],
    );
    check_preset("total =", "final =", &["mine.toml:9:1: fault: \"final\" cannot name a value"]);
}

#[test]
fn a_value_that_the_preset_has_not_is_a_fault_of_the_rule() {
    let accepted = "accept_estimates = true";
    assert_eq!(said_of_preset("", "", accepted, "{@preset.total}"), [""; 0]);
    let said = said_of_preset("", "", accepted, "{@preset.totl}");
    assert_eq!(said, ["floe.toml:15:15: fault: the preset \"meter\" has no value \"totl\""]);
    check("{ts}", "{@preset.total}", &["floe.toml:14:15: fault: the source \"app\" has no preset"]);
    check("json", "pinno", &["floe.toml:5:10: fault: unknown format \"pinno\""]);
    check(
        "\"json\"",
        "\"./no/such.toml\"",
        &["floe.toml:5:10: fault: \"/no/such.toml\" is not read here: only texts are checked"],
    );
}

#[test]
fn an_estimate_bills_live_only_where_that_is_meant() {
    let message = "a log of \"meter\" is an estimate: lines of it may be missing";
    assert_eq!(said_of_preset("", "", "", "{at}"), [format!("floe.toml:5:10: fault: {message}")]);
    let shadow = said_of_preset("", "", "[polar]\nmode = \"shadow\"", "{at}");
    assert_eq!(shadow, [format!("floe.toml:5:10: warning[estimate]: {message}")]);
    assert_eq!(said_of_preset("\"C\"", "\"B\"", "", "{at}"), [""; 0]);
}

#[test]
fn a_source_overrides_its_preset() {
    let text =
        GOOD.replacen("format = \"json\"", "format = \"pino\"\ncontainer = \"docker\"\nprefix = 'x '", 1);
    let loaded = load_texts(&[("floe.toml", &text)], &[]).unwrap();
    let source = &loaded.settings.sources[0];
    assert_eq!(source.container, floe::config::settings::Container::Docker);
    assert_eq!(source.prefix.as_ref().unwrap().as_str(), "x ");
    assert_eq!(source.preset.as_ref().unwrap().name, "pino");
}

#[test]
fn what_clients_choose_is_no_customer_and_no_id() {
    let with = |customer: &str, id: &str| {
        let text = GOOD.replacen("\"json\"", "\"istio\"", 1).replacen("{org}", customer, 1);
        said("floe.toml", &text.replacen("{ts}\"", &format!("{{ts}}\"\nexternal_id = \"{id}\""), 1))
    };
    assert_eq!(with("{x_customer_id}", "a:{own_id}"), [""; 0]);
    let customer = "floe.toml:13:24: warning[client_controlled]: whoever sets this field decides who pays";
    assert_eq!(with("{authority}", "a:{own_id}"), [customer]);
    let id = "floe.toml:15:15: warning[client_controlled]: whoever sends the same field again does not pay for \
              it: Polar takes an id once";
    assert_eq!(with("{x_customer_id}", "a:{request_id}"), [id]);
}
