//! The key of metadata that Floe itself writes.

use floe::config::Settings;

use super::{GOOD, said};

/// `GOOD` with these keys under `[polar]`, and this metadata.
#[track_caller]
fn check(polar: &str, metadata: &str, expected: &[&str]) {
    let event = "timestamp = \"{ts}\"\n";
    let text = GOOD.replacen(event, &format!("{event}{metadata}"), 1);
    let messages: Vec<String> = said("floe.toml", &format!("{text}\n[polar]\n{polar}\n"))
        .iter()
        .map(|line| line.splitn(5, ':').skip(3).collect::<Vec<_>>().join(":").trim().to_owned())
        .collect();
    assert_eq!(messages, expected, "{polar} {metadata}");
}

fn keys(count: u32) -> String {
    let key = |number: u32| format!("metadata.k{number} = {number}\n");
    (0..count).map(key).collect()
}

#[test]
fn no_rule_may_write_the_key_and_it_needs_room() {
    check("reconcile = true", &keys(49), &[]);
    check("", &keys(50), &[]);
    check("reconcile_key = \"mine\"", "metadata.mine = 1\n", &[]);
    check(
        "reconcile = true",
        &keys(50),
        &["fault: 50 keys of metadata leave no room for Floe's own, \"floe_segment\": Polar takes 50"],
    );
    for (polar, key) in [("", "floe_segment"), ("\nreconcile_key = \"mine\"", "mine")] {
        let expected = format!("fault: with `reconcile = true` Floe itself writes the key \"{key}\"");
        check(&format!("reconcile = true{polar}"), &format!("metadata.{key} = 1\n"), &[&expected]);
    }
    for key in ["a b", "_cost", &"k".repeat(41)] {
        let expected = format!("fault: \"{key}\" is no key for Floe's own metadata");
        check(&format!("reconcile_key = \"{key}\""), "", &[&expected]);
    }
}

#[test]
fn the_key_is_wanted_only_where_it_is_said() {
    let key = |polar: &str| {
        let text = format!("state_dir = \"/s\"\n{GOOD}\n[polar]\n{polar}\n");
        Settings::from_toml(&text).unwrap().polar.reconcile_key
    };
    assert_eq!(key(""), None);
    assert_eq!(key("reconcile_key = \"mine\""), None);
    assert_eq!(key("reconcile = true"), Some("floe_segment".to_owned()));
    assert_eq!(key("reconcile = true\nreconcile_key = \"mine\""), Some("mine".to_owned()));
}
