//! Settings for the tests of the shell, made by hand so that they need no config file.

use std::path::Path;
use std::time::Duration;

use crate::config::Settings;
use crate::config::settings::{
    AdminListen, Container, DeliverySettings, FilePattern, FilePatterns, Format, Input, LimitSettings, Mode,
    PolarSettings, ReadFrom, SourceSettings, TokenSource,
};

/// A letter of a line of ten bytes.
pub fn letter(offset: u64, reason: &str) -> String {
    format!(
        "{{\"reason\":\"{reason}\",\"source\":\"app\",\"path\":\"/a\",\"offset\":{offset},\"length\":10,\
         \"print\":\"{}\",\"ordinal\":0,\"detail\":\"\",\"text\":\"secret\"}}\n",
        "07".repeat(16)
    )
}

pub fn settings(state_dir: &Path) -> Settings {
    Settings {
        state_dir: state_dir.to_owned(),
        instance: "here".into(),
        polar: polar("https://api.polar.sh", TokenSource::Environment("POLAR_ACCESS_TOKEN".into())),
        delivery: DeliverySettings {
            batch_max_events: 500,
            batch_max_bytes: 1 << 20,
            batch_max_wait: Duration::from_secs(1),
            concurrency: 4,
            requests_per_minute: 300,
            max_future: Duration::from_mins(10),
        },
        limits: LimitSettings {
            memory: 4 << 20,
            window: 4 << 20,
            quarantine_max_bytes: 1 << 20,
            quarantine_malformed_max_bytes: 1 << 19,
            mapping_threads: 1,
            drain_timeout: Duration::from_secs(10),
            shadow_max_bytes: 1 << 30,
            open_files: 1000,
            sweep_interval: Duration::from_secs(1),
        },
        admin: AdminListen::Off,
        sources: Vec::new(),
        rules: Vec::new(),
        tests: Vec::new(),
    }
}

pub fn polar(base_url: &str, token: TokenSource) -> PolarSettings {
    PolarSettings {
        base_url: base_url.into(),
        token,
        mode: Mode::Live,
        proxy: None,
        ca_file: None,
        request_timeout: Duration::from_secs(20),
        live_from: None,
        reconcile_key: None,
    }
}

/// A source of the files below `base` whose path from there matches `regex`.
pub fn source(base: &Path, depth: Option<usize>, regex: &str) -> SourceSettings {
    let whole = format!("^{}/{regex}$", regex::escape(base.to_str().expect("a test's folder is UTF-8")));
    let pattern = FilePattern {
        text: whole.clone(),
        base: base.to_owned(),
        depth,
        regex: regex::Regex::new(&whole).expect("a test's regex is right"),
    };
    SourceSettings {
        id: "app".into(),
        input: Input::Files,
        files: FilePatterns::new(vec![pattern], Vec::new()),
        container: Container::None,
        multiline: None,
        prefix: None,
        format: Format::Json,
        preset: None,
        read_from: ReadFrom::Beginning,
        max_line_bytes: 1 << 20,
    }
}
