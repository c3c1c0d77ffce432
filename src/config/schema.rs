//! The JSON Schema of the config, for editors.
//!
//! Written by hand beside a reader written by hand: a test compares its keys with the keys that the reader asks for,
//! both ways. It describes shapes; what the shapes mean is checked by `floe check`.

use serde_json::{Map, Value, json};

use super::presets;
use super::reading::FORMATS;

/// The schema. `config/floe.schema.json` holds the same text.
#[must_use]
pub fn schema() -> Value {
    let mut root = table(
        "The config of Floe.",
        &["sources", "rules"],
        &json!({
            "$schema": text("Where an editor finds this schema."),
            "version": { "const": 1, "description": "The version of the config's model." },
            "state_dir": text("The folder of checkpoint, account and quarantine. Default: /var/lib/floe."),
            "instance": text("Part of every id. Default: the machine id; where there is none it must be set."),
            "polar": reference("polar"),
            "delivery": reference("delivery"),
            "limits": reference("limits"),
            "admin": reference("admin"),
            "lookups": {
                "type": "object",
                "description": "Tables by name, for {field | lookup(name, column)}.",
                "additionalProperties": reference("lookup"),
            },
            "hash_keys": {
                "type": "object",
                "description": "Secret keys by name, for {field | hash(name)}.",
                "additionalProperties": reference("hash_key"),
            },
            "sources": list(&reference("source"), "Which log files to read."),
            "rules": list(&reference("rule"), "Which lines become which events: the first that matches ends a line's way."),
            "tests": list(&reference("test"), "Lines, and what must become of them: `floe test` runs them."),
        }),
    );
    let about = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("Floe")),
        ("$defs", definitions()),
    ];
    if let Value::Object(root) = &mut root {
        root.extend(about.map(|(key, value)| (key.to_owned(), value)));
    }
    root
}

/// The schema as it is printed and stored.
#[must_use]
pub fn text_of_schema() -> String {
    format!("{:#}\n", schema())
}

fn definitions() -> Value {
    let mut all = Map::new();
    for (name, definition) in [
        ("polar", polar()),
        ("delivery", delivery()),
        ("limits", limits()),
        ("admin", admin()),
        ("lookup", lookup()),
        ("hash_key", hash_key()),
        ("source", source()),
        ("multiline", multiline()),
        ("rule", rule()),
        ("event", event()),
        ("cost", cost()),
        ("llm", llm()),
        ("conditions", conditions()),
        ("operators", operators()),
        ("test", test()),
        ("expectation", expectation()),
        ("expected_event", expected_event()),
        ("literal", json!({ "type": ["string", "number", "boolean"] })),
        ("duration", json!({ "type": "string", "examples": ["500ms", "1s", "10m"] })),
        ("size", json!({ "type": ["string", "integer"], "examples": ["64KiB", "1MiB", "1MB"] })),
        ("count", json!({ "type": ["string", "integer"] })),
        (
            "texts",
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
        ),
    ] {
        all.insert(name.to_owned(), definition);
    }
    Value::Object(all)
}

fn polar() -> Value {
    let server = json!({
        "type": "string",
        "description": "production, sandbox, or an http(s) URL. Default: production.",
        "examples": ["production", "sandbox"],
    });
    let live_from = json!({
        "type": "string",
        "description": "Where a state that was in shadow mode goes on when it goes live: shadow (where that ended), beginning (all that the files hold), or a time (the events from then on, for good).",
        "examples": ["shadow", "beginning", "2026-12-01T00:00:00Z"],
    });
    table(
        "Where to send to, and as whom.",
        &[],
        &json!({
            "server": server,
            "token_file": text("A file that holds the token."),
            "token_env": text("The name of the variable that holds the token. Default: POLAR_ACCESS_TOKEN."),
            "mode": choice(&["live", "shadow"], "shadow writes the request bodies to a file and sends nothing."),
            "proxy": text("An HTTP(S) proxy for requests to Polar."),
            "ca_file": text("A PEM file: where given, only these authorities are trusted."),
            "request_timeout": described("duration", "How long one request may take. Default: 60s."),
            "live_from": live_from,
            "reconcile": { "type": "boolean", "description": "true: each event names its segment, so that `floe reconcile` can ask Polar for it. Default: false." },
            "reconcile_key": text("The key of metadata for that. Default: floe_segment."),
        }),
    )
}

fn delivery() -> Value {
    table(
        "How events travel. Every value has a good default.",
        &[],
        &json!({
            "batch_max_events": described("count", "Events in a request, 1 to 10000. Default: 500."),
            "batch_max_bytes": described("size", "Bytes of a request, 64KiB to 10MiB. Default: 1MiB."),
            "batch_max_wait": described("duration", "How long an event waits for others. Default: 1s."),
            "concurrency": described("count", "Requests at a time, 1 to 64. Default: 4."),
            "requests_per_minute": described("count", "This instance's part of the organization's limit. Default: 300."),
            "max_future": described("duration", "How long an event of the future is held before it is quarantined. Default: 10m."),
        }),
    )
}

fn limits() -> Value {
    table(
        "Bounds of memory and disk. Every value has a good default.",
        &[],
        &json!({
            "memory": described("size", "Mapped but unsettled bytes in memory, at least 2MiB. Default: 4MiB."),
            "window": described("size", "How far a file is read ahead of what is settled. Default: 64MiB."),
            "quarantine_max_bytes": described("size", "Room for lines that could not be billed. Default: 256MiB."),
            "quarantine_malformed_max_bytes": described("size", "The part of it for malformed and over-long lines. Default: 16MiB."),
            "shadow_max_bytes": described("size", "What the file of shadow mode may take. Default: 1GiB."),
            "mapping_threads": described("count", "Threads that map lines, 1 to 64. Default: 1."),
            "drain_timeout": described("duration", "How long an ending may take. Default: 25s."),
            "open_files": described("count", "Files that are open at once; the others are opened when something happens to them. The operating system's limit holds as well. Default: 8192."),
            "sweep_interval": described("duration", "How often every file is looked at, whatever notify says; with more than 1,000 files at most every 5s, or a millisecond for each file up to a minute. Default: 1s."),
        }),
    )
}

fn admin() -> Value {
    let listen = json!({
        "type": "string",
        "description": "An address with its port, unix: and a path, or off. Default: the Unix socket admin.sock in the state folder.",
        "examples": ["127.0.0.1:9464", "unix:/run/floe/admin.sock", "off"],
    });
    table(
        "Where the daemon tells about itself: metrics, health, status, a page. Read-only.",
        &[],
        &json!({
            "listen": listen,
            "public": { "type": "boolean", "description": "true: an address that other machines can reach is meant." },
        }),
    )
}

fn lookup() -> Value {
    table(
        "A CSV file whose first line names its columns. It is read with the config.",
        &["file"],
        &json!({
            "file": text("The file; a relative path begins at the folder of the config."),
            "key": text("The column that is compared. Default: the first."),
        }),
    )
}

fn hash_key() -> Value {
    table(
        "Where a key stands, 32 bytes or more: in one of these. It is read with the config and never shown.",
        &[],
        &json!({
            "file": text("A file; a relative path begins at the folder of the config."),
            "env": text("The name of an environment variable."),
            "credential": text("The name of a credential of systemd."),
        }),
    )
}

fn source() -> Value {
    table(
        "Where lines come from (include, socket or stdin), and how they are written.",
        &["id", "format"],
        &json!({
            "id": text("Part of every event's identity: never rename it."),
            "include": described("texts", "Globs; {name} captures a part of a path segment as @path.name."),
            "exclude": described("texts", "Globs of files to leave out of discovery."),
            "format": format(),
            "pattern": text("With format = \"regex\": the regular expression; its named groups are the fields."),
            "delimiter": text("With format = \"delimited\": the sign between columns. Default: a comma."),
            "columns": { "type": "array", "items": { "type": "string" }, "description": "With format = \"delimited\": the names of the columns, \"\" for one that nobody wants." },
            "header": choice(&["first_line", "fields"], "With format = \"delimited\": where the file names its columns; fields stands for #Fields: lines."),
            "container": choice(&["none", "cri", "docker"], "How a container runtime wraps the lines. Default: none."),
            "multiline": described("multiline", "Which lines make one record."),
            "prefix": text("A regular expression that takes a leading part of the line off; its named groups are fields."),
            "read_from": choice(&["beginning", "end"], "Where to begin with the files present at the first start."),
            "max_line_bytes": described("size", "Longer lines are quarantined. Default: 1MiB."),
            "accept_estimates": { "type": "boolean", "description": "true: bill live by a log that its preset calls an estimate." },
            "socket": text("Instead of include: a Unix socket to listen on. Each line that comes in is spooled and synced, then billed."),
            "socket_type": choice(&["stream", "datagram"], "With socket. Default: stream."),
            "socket_mode": { "type": ["string", "integer"], "description": "With socket: who may write to it, in octal digits. Default: 0660.", "examples": ["0660"] },
            "socket_owner": unix_id("With socket: the user it belongs to. Default: the one that Floe runs as."),
            "socket_group": unix_id("With socket: its group."),
            "allowed_uids": { "type": "array", "items": unix_id("A user's name or number."), "minItems": 1, "description": "With socket: who may write; others are refused. Default: whoever can connect." },
            "ack": { "type": "boolean", "description": "With socket, stream: true answers \"ok\" to each line once it is durable." },
            "stdin": { "type": "boolean", "description": "Instead of include: true reads the standard input. One source at most." },
            "spool_max_bytes": described("size", "With socket or stdin: how much waits on the disk before writers wait, and datagrams are dropped. Default: 256MiB."),
        }),
    )
}

fn unix_id(description: &str) -> Value {
    json!({ "type": ["string", "integer"], "description": description })
}

/// Any text, because it may be the path of a preset's file.
fn format() -> Value {
    let own = "./presets/mine.toml";
    let examples: Vec<&str> = FORMATS.iter().copied().chain(presets::names()).chain([own]).collect();
    json!({
        "type": "string",
        "examples": examples,
        "description": "How a line is written: a format, a preset (`floe presets` lists them), or the path of your own preset's file.",
    })
}

fn multiline() -> Value {
    table(
        "Records of several lines: one that `start` matches, and those after it that it does not match.",
        &["start"],
        &json!({
            "start": text("A regular expression that the first line of each record matches."),
            "max_lines": described("count", "Lines of a record, 1 to 100000; one of more is quarantined. Default: 500."),
            "max_wait": described("duration", "How long the last record of a file waits for more lines. Default: 5s."),
        }),
    )
}

fn rule() -> Value {
    let allowed: Vec<&str> = super::WarningCode::of_rules().map(super::WarningCode::code).collect();
    table(
        "Which lines become which event.",
        &["id", "event"],
        &json!({
            "id": text("Accounts and tests use it."),
            "source": described("texts", "One source, a list, or all when left out."),
            "when": described("conditions", "All must hold."),
            "unless": described("conditions", "The rule is out if all of these hold."),
            "must": described("conditions", "Else the line is quarantined(invariant)."),
            "also": { "type": "boolean", "description": "true: the line goes on to later rules." },
            "allow": { "type": "array", "items": { "enum": allowed }, "description": "Warnings of floe check that are known and meant." },
            "explode": text("The path of an array: one event for each element, which is @item."),
            "event": reference("event"),
        }),
    )
}

fn event() -> Value {
    let value = || reference("literal");
    table(
        "The event as Polar takes it. Text is text, {…} is a field of the line.",
        &["name"],
        &json!({
            "name": text("The event's name, at most 128 characters."),
            "external_customer_id": described("literal", "Your id of the customer."),
            "external_member_id": described("literal", "Your id of the member."),
            "customer_id": described("literal", "Polar's id of the customer."),
            "member_id": described("literal", "Polar's id of the member."),
            "timestamp": text("When it happened. Without it an event counts from when it arrives."),
            "external_id": text("A natural id instead of the one that Floe makes. Polar takes an id once."),
            "parent_id": described("literal", "The id of the event that this one belongs to."),
            "organization_id": text("Only with a personal token."),
            "metadata": {
                "type": "object",
                "description": "At most 50 keys of 1 to 40 characters.",
                "properties": { "_cost": reference("cost"), "_llm": reference("llm") },
                "maxProperties": 50,
                "additionalProperties": value(),
            },
        }),
    )
}

fn cost() -> Value {
    table(
        "What the event cost you.",
        &["amount", "currency"],
        &json!({
            "amount": { "type": ["string", "number"], "description": "In cents." },
            "currency": text("usd."),
        }),
    )
}

fn llm() -> Value {
    let count = |description: &str| described("count", description);
    table(
        "The use of a language model.",
        &["vendor", "model", "input_tokens", "output_tokens", "total_tokens"],
        &json!({
            "vendor": text("Who runs the model."),
            "model": text("The model's name."),
            "input_tokens": count("Tokens of the prompt, cached ones included."),
            "output_tokens": count("Tokens of the answer."),
            "total_tokens": count("Both together."),
            "cached_input_tokens": count("Those of the prompt that were cached."),
            "prompt": text("Personal data in most cases."),
            "response": text("Personal data in most cases."),
        }),
    )
}

fn conditions() -> Value {
    json!({
        "type": "object",
        "description": "Paths: a value is compared, a list is membership, a table holds operators.",
        "properties": { "any": list(&reference("conditions"), "One of these must hold.") },
        "additionalProperties": {
            "anyOf": [
                reference("literal"),
                { "type": "array", "items": reference("literal"), "minItems": 1 },
                reference("operators"),
            ],
        },
    })
}

fn operators() -> Value {
    let bound = || json!({ "type": ["string", "number"] });
    let members = || json!({ "type": "array", "items": reference("literal"), "minItems": 1 });
    let text = || json!({ "type": "string", "minLength": 1 });
    table(
        "All of them must hold.",
        &[],
        &json!({
            "eq": reference("literal"),
            "ne": reference("literal"),
            "in": members(),
            "not_in": members(),
            "lt": bound(),
            "le": bound(),
            "gt": bound(),
            "ge": bound(),
            "exists": { "type": "boolean" },
            "prefix": text(),
            "suffix": text(),
            "contains": text(),
            "matches": text(),
        }),
    )
}

fn test() -> Value {
    table(
        "A line, and what must become of it.",
        &["source", "line", "expect"],
        &json!({
            "source": text("The id of the source whose line it is."),
            "line": text("One line of the log; a whole record where the source has multiline or a container; below the names of the columns where the file has them."),
            "path": text("The file that it stands in, for @path.name."),
            "expect": reference("expectation"),
        }),
    )
}

fn expectation() -> Value {
    let codes = |all: Vec<&str>| json!({ "enum": all });
    table(
        "One of: event (with its rule), events, ignored, quarantined.",
        &[],
        &json!({
            "rule": text("The rule that must make the event."),
            "event": { "type": "object", "description": "The event, exact but for an external_id that is left out." },
            "events": list(&reference("expected_event"), "All events of the line, in order."),
            "ignored": codes(crate::model::Ignored::ALL.iter().map(|reason| reason.code()).collect()),
            "quarantined": codes(crate::model::Quarantined::ALL.iter().map(|reason| reason.code()).collect()),
        }),
    )
}

fn expected_event() -> Value {
    table(
        "One of several events.",
        &["event"],
        &json!({
            "rule": text("The rule that must make the event."),
            "event": { "type": "object", "description": "The event, exact but for an external_id that is left out." },
        }),
    )
}

/// A table that takes these keys only.
fn table(description: &str, required: &[&str], properties: &Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn choice(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "description": description })
}

fn list(items: &Value, description: &str) -> Value {
    json!({ "type": "array", "items": items, "description": description })
}

fn described(kind: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{kind}"), "description": description })
}

fn reference(kind: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{kind}") })
}
