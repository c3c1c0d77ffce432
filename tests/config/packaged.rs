//! The configs that packages and manifests bring: `floe check` and `floe test` have nothing to say about them.

use std::path::{Path, PathBuf};

use floe::config::{Environment, LoadOptions, Loaded, load};

/// What the manifests set by the downward API.
const FROM_KUBERNETES: [(&str, &str); 2] =
    [("POD_UID", "6f1c2f0e-8f61-4b0a-9a5e-2f5d3c1b7a90"), ("NODE_NAME", "node-1")];

#[test]
fn the_configs_of_the_manifests_have_no_fault_and_no_warning() {
    for name in ["sidecar", "node-agent"] {
        let loaded = loaded(name);
        assert!(loaded.warnings.is_empty(), "{name}: {}", loaded.warnings.render(false));
        assert!(!loaded.settings.tests.is_empty(), "{name} shows what it bills");
    }
}

#[test]
fn the_tests_of_these_configs_pass() {
    for name in ["sidecar", "node-agent"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["test", "--config"])
            .arg(folder().join(name).join("floe.toml"))
            .envs(FROM_KUBERNETES)
            .output()
            .expect("the binary was built with this test");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A drain fits in the time that the kubelet gives, with some to spare for the application and the last save.
#[test]
fn the_kubelet_waits_longer_than_a_drain_takes() {
    for (name, manifest, to_spare) in
        [("sidecar", "deployment.yaml", 30), ("node-agent", "daemonset.yaml", 5)]
    {
        let text =
            std::fs::read_to_string(folder().join(name).join(manifest)).expect("the manifest is there");
        let period =
            text.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let period: u64 = period.expect("the manifest says it").parse().expect("a number of seconds");
        let environment: Environment =
            FROM_KUBERNETES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let path = Some(folder().join(name).join("floe.toml"));
        let loaded =
            load(&LoadOptions { path, environment, machine_id: None }).expect("a config without faults");
        let drain = loaded.settings.limits.drain_timeout.as_secs();
        assert!(period >= drain + to_spare, "{name}: {period} s for a drain of {drain} s");
    }
}

#[track_caller]
fn loaded(name: &str) -> Loaded {
    let environment: Environment =
        FROM_KUBERNETES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = Some(folder().join(name).join("floe.toml"));
    let loaded = load(&LoadOptions { path, environment, machine_id: None });
    loaded.unwrap_or_else(|faults| panic!("{name}: {}", faults.render(false)))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes")
}
