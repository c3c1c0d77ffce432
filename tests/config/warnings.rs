//! What is allowed and yet probably not meant: said where it is true, and not where it is not.

use super::load_texts;

const JSON: &str = "format = \"json\"";
const LOGFMT: &str = "format = \"logfmt\"";
const NGINX: &str = "format = \"nginx-combined\"\nprefix = '(?<ts>\\S+) (?<org>\\S+) '";

/// A config whose event holds `event`; `rule` stands in its rule, `more` at its end.
fn config(format: &str, rule: &str, event: &str, more: &str) -> String {
    let customer = if event.contains("customer_id") { "" } else { "external_customer_id = \"{org}\"" };
    format!(
        "[[sources]]\nid = \"app\"\ninclude = \"/var/log/app.log\"\n{format}\n\n[[rules]]\nid = \"usage\"\n{rule}\n\n\
         [rules.event]\nname = \"usage\"\ntimestamp = \"{{ts}}\"\n{customer}\n{event}\n\n{more}"
    )
}

const TESTED: &str =
    "[[tests]]\nsource = \"app\"\nline = '{}'\nexpect = { rule = \"usage\", event = { name = \"usage\" } }\n";

/// The codes of all warnings of a text.
fn codes(text: &str) -> Vec<&'static str> {
    let loaded = load_texts(&[("floe.toml", text)], &[]).unwrap_or_else(|faults| panic!("{faults}"));
    loaded.warnings.iter().filter_map(|warning| Some(warning.code?.code())).collect()
}

#[track_caller]
fn check(format: &str, event: &str, expected: &[&str]) {
    assert_eq!(codes(&config(format, "", event, TESTED)), expected, "{format}: {event}");
}

#[test]
fn a_quantity_that_is_sent_as_text_is_told() {
    let told = &["text_number"];
    check(LOGFMT, r#"metadata.units = "{units}""#, told);
    check(LOGFMT, r#"metadata.used = "{tokens}""#, told);
    check(LOGFMT, r#"metadata.units = "{units | default(0)}""#, told);
    check(LOGFMT, r#"metadata.duration_ms = "{took | trim}""#, told);
    check(JSON, r#"metadata.tokens = "{n | str}""#, told);
    check(JSON, r#"metadata.tokens = "{n} tokens""#, told);
    check(JSON, r#"metadata.units = "1""#, told);
    check("format = \"json\"\nprefix = '(?<bytes>\\d+) '", r#"metadata.bytes = "{bytes}""#, told);
    check(
        "format = \"regex\"\npattern = '(?<ts>\\S+) (?<org>\\S+) (?<size>\\d+)'",
        r#"metadata.size = "{size}""#,
        told,
    );

    check(LOGFMT, r#"metadata.units = "{units | int}""#, &[]);
    check(LOGFMT, r#"metadata.units = "{sum(units, more)}""#, &[]);
    check(LOGFMT, r#"metadata.duration_ms = "{took | duration(ms)}""#, &[]);
    check(LOGFMT, r#"metadata.price = "{price | mul(100) | round}""#, &[]);
    check(LOGFMT, r#"metadata.unit = "{unit}""#, &[]);
    check(LOGFMT, r#"metadata.size_class = "{size}""#, &[]);
    check(LOGFMT, r#"metadata.size = "{size | enum('s', 'm')}""#, &[]);
    check(LOGFMT, r#"metadata.size = "{width}x{height}""#, &[]);
    check(LOGFMT, r#"metadata.start_time = "{start}""#, &[]);
    check(NGINX, r#"metadata.bytes = "{body_bytes_sent}""#, &[]);
    check(NGINX, r#"metadata.bytes = "{rest}""#, told);
    check(JSON, r#"metadata.units = "{units}""#, &[]);
    check(JSON, r"metadata.units = 1", &[]);
}

#[test]
fn a_test_shows_that_a_number_is_quoted() {
    let test = |units: &str| {
        format!(
            "[[tests]]\nsource = \"app\"\nline = '{{\"usage\":{{\"units\":{units}}},\"zip\":\"123\"}}'\n\
             expect = {{ rule = \"usage\", event = {{ name = \"usage\" }} }}\n"
        )
    };
    let event = "metadata.units = \"{usage.units}\"\nmetadata.zip = \"{zip}\"";
    let text = config(JSON, "", event, &test("\"12\""));
    let loaded = load_texts(&[("floe.toml", &text)], &[]).unwrap_or_else(|faults| panic!("{faults}"));
    insta::assert_snapshot!(loaded.warnings.render(false));
    assert_eq!(codes(&config(JSON, "", event, &test("12"))), [""; 0]);
    assert_eq!(codes(&config(JSON, "", event, &test("\"twelve\""))), [""; 0]);
    let number = event.replace("{usage.units}", "{usage.units | int}");
    assert_eq!(codes(&config(JSON, "", &number, &test("\"12\""))), [""; 0]);
}

#[test]
fn what_looks_personal_is_told_where_it_is_not_masked() {
    let told = &["personal"];
    check(JSON, r#"metadata.contact = "{user.email}""#, told);
    check(JSON, r#"metadata.email = "{contact}""#, told);
    check(JSON, r#"metadata.from = "{remote_addr}""#, told);
    check(JSON, r#"metadata.from = "{client.ip | lower}""#, told);
    check(JSON, r#"metadata.who = "{user.name}""#, told);
    check(JSON, r#"metadata.agent = "{http_user_agent}""#, told);
    check(JSON, r#"metadata.came_from = "{http_referer}""#, told);
    check(JSON, r#"metadata.route = "{request_uri}""#, told);
    check(JSON, r#"metadata.asked = "{messages[0].content | truncate(100)}""#, told);
    check(JSON, r#"metadata.nick = "{nick | default(email)}""#, told);
    check(JSON, r#"metadata.mail = "{blob | parse_json(user.email)}""#, told);
    check(NGINX, r#"metadata.route = "{request}""#, told);
    let llm = |more: &str| {
        format!(
            "metadata._llm = {{ vendor = \"v\", model = \"m\", input_tokens = 1, output_tokens = 1, total_tokens = 2{more} }}"
        )
    };
    check(JSON, &llm(", prompt = \"{p}\", response = \"{r}\""), &["personal", "personal"]);

    check(JSON, &llm(""), &[]);
    check(JSON, r#"metadata.from = "{remote_addr | mask_ip}""#, &[]);
    check(JSON, r#"metadata.route = "{request_uri | path_only}""#, &[]);
    check(JSON, r#"metadata.route = "{request_uri | split('?', 0)}""#, &[]);
    check(NGINX, r#"metadata.method = "{request | split(' ', 0)}""#, &[]);
    check(NGINX, r#"metadata.route = "{request | split(' ', 1) | path_only}""#, &[]);
    check(JSON, r#"metadata.route = "{uri}""#, &[]);
    check(JSON, r#"metadata.domain = "{email | split('@', 1)}""#, &[]);
    check(JSON, r#"metadata.prompt_tokens = "{prompt_tokens | int}""#, &[]);
    check(JSON, r#"metadata.verified = "{email_verified | bool}""#, &[]);
    check(JSON, r#"metadata.kind = "{content_type}""#, &[]);
    check(JSON, r#"metadata.backend = "{upstream_addr}""#, &[]);
    check(JSON, r#"metadata.prompt = "fixed""#, &[]);
    check(JSON, r#"metadata.agent = "{user_agent | enum('sdk', 'web')}""#, &[]);
    check(JSON, r#"metadata.product = "{product.name}""#, &[]);
}

#[test]
fn who_pays_is_not_for_the_client_to_say() {
    let told = &["client_controlled"];
    let customer = |field: &str| format!("external_customer_id = \"{field}\"");
    for field in [
        "{http_x_customer}",
        "{x_customer_id}",
        "{req.headers.\\\"x-org-id\\\"}",
        "{request.headers.X-Customer}",
        "{arg_customer}",
        "{request.query.customer}",
        "{request.body.user}",
        "{proxy_server_request.body.user}",
        "{end_user}",
        "{cookie_customer}",
        "{org | default(x_org)}",
        "{remote_user}",
    ] {
        check(JSON, &customer(field), told);
    }
    for field in [
        "{org}",
        "{user}",
        "{user.id}",
        "{customer}",
        "{api_key_owner}",
        "{http_host}",
        "{status}",
        "{@source}",
    ] {
        check(JSON, &customer(field), &[]);
    }
    check(JSON, &format!("{}\nmetadata.cost = \"{{response_cost}}\"", customer("{user}")), told);
    check(JSON, r#"external_id = "app:{x_request_id}""#, told);
    check(JSON, r#"external_id = "app:{http_x_request_id}""#, told);
    check(JSON, r#"external_id = "app:{request_id}""#, &[]);
    check(JSON, r#"external_id = "{trace.id}:{x_request_id}""#, &[]);
    check(JSON, r#"external_member_id = "{x_user}""#, &[]);
    // A name that HTTP's Basic authentication has let in.
    let rule = "when = { status = { lt = 400 } }";
    assert_eq!(codes(&config(NGINX, rule, &customer("{remote_user}"), TESTED)), [""; 0]);
}

/// The codes of a rule for a preset's lines.
#[track_caller]
fn check_preset(preset: &str, rule: &str, expected: &[&str]) {
    let text = format!(
        "[[sources]]\nid = \"app\"\ninclude = \"/var/log/app.log\"\nformat = \"{preset}\"\naccept_estimates = true\n\n\
         [[rules]]\nid = \"usage\"\n{rule}\n\n{TESTED}"
    );
    assert_eq!(codes(&text), expected, "{preset}: {rule}");
}

#[test]
fn the_example_of_a_preset_needs_no_warning() {
    for preset in floe::config::presets::built_in() {
        check_preset(&preset.name, &preset.example.as_ref().expect("each has one").rule, &[]);
    }
}

#[test]
fn what_a_preset_says_of_a_field_goes_before_its_name() {
    let postgres = |event: &str, expected: &[&str]| {
        let event = format!(
            "[rules.event]\nname = \"e\"\nexternal_customer_id = \"{{database_name}}\"\ntimestamp = \"{{log_time}}\"\n{event}"
        );
        check_preset("postgres-csvlog", &event, expected);
    };
    postgres(r#"metadata.from = "{connection_from}""#, &["personal"]);
    postgres(r#"metadata.asked = "{query}""#, &["personal"]);
    postgres(r#"metadata.said = "{@preset.message}""#, &["personal"]);
    postgres(r#"metadata.by = "{user_name}""#, &[]);
    postgres(r#"metadata.units = "{session_line_num}""#, &[]);
    postgres(r#"metadata.units = "{query_id}""#, &["text_number"]);
    postgres(r#"external_id = "pg:{application_name}""#, &["client_controlled"]);

    let litellm = |id: &str, expected: &[&str]| {
        let event = format!(
            "[rules.event]\nname = \"e\"\nexternal_customer_id = \"{{@preset.team}}\"\ntimestamp = \"{{@preset.time}}\"\nexternal_id = \"{id}\""
        );
        check_preset("litellm", &event, expected);
    };
    litellm("{@preset.id}", &["client_controlled"]);
    litellm("llm:{id}", &["client_controlled"]);
    litellm("{@preset.id}:{trace_id}", &[]);
}

#[test]
fn the_configs_of_the_golden_logs_are_warned_of_nothing_else_than_missing_tests() {
    let folder = format!("{}/tests/data/golden", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("a file").path());
    let configs: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    assert!(configs.len() >= 5);
    for path in configs {
        let codes = codes(&std::fs::read_to_string(&path).expect("it is there"));
        assert!(codes.iter().all(|code| *code == "untested"), "{}: {codes:?}", path.display());
    }
}

#[test]
fn a_warning_says_what_it_costs_and_what_to_do() {
    let event = "external_customer_id = \"{http_x_customer}\"\nexternal_id = \"app:{x_request_id}\"\n\
                 metadata.units = \"{units}\"\nmetadata.route = \"{request_uri}\"";
    let text = config(LOGFMT, "", event, TESTED);
    let loaded = load_texts(&[("floe.toml", &text)], &[]).unwrap_or_else(|faults| panic!("{faults}"));
    insta::assert_snapshot!(loaded.warnings.render(false));
}

#[test]
fn a_rule_silences_what_is_meant_and_nothing_else() {
    let event = "external_customer_id = \"{x_org}\"\nmetadata.route = \"{request_uri}\"";
    let codes = |rule| codes(&config(JSON, rule, event, TESTED));
    assert_eq!(codes(""), ["client_controlled", "personal"]);
    assert_eq!(codes("allow = [\"personal\"]"), ["client_controlled"]);
    assert_eq!(codes("allow = [\"personal\", \"client_controlled\"]"), [""; 0]);
    assert_eq!(codes("allow = [\"untested\", \"personal\"]"), ["unused_allow", "client_controlled"]);
    let text = config(JSON, "allow = [\"persnal\", \"unread_source\"]", event, TESTED);
    let faults = load_texts(&[("floe.toml", &text)], &[]).expect_err("unknown codes");
    insta::assert_snapshot!(faults.render(false));
}
