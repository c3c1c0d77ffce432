//! The admin endpoint and `floe status`, of real daemons.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use floe::config::settings::AdminListen;
use floe::sandbox::SandboxOptions;
use floe::shell::admin::ask::{self, Answer};
use floe::shell::admin::exposition::Kind;
use floe::shell::admin::metrics::FAMILIES;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Floe, World, exists, lines, noise};

const TCP: &str = "\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A world whose daemon listens on a port that the operating system chooses.
fn world_on_tcp() -> World {
    let world = World::new();
    world.write_config(&(world.config() + TCP));
    world
}

/// Where the daemon says that it listens.
fn address_of(floe: &Floe<'_>) -> AdminListen {
    floe.wait_for_notice("admin_open");
    let said = floe.said();
    let (_, rest) = said.rsplit_once("listens on http://").expect("it says where");
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    AdminListen::Tcp(address.parse::<SocketAddr>().unwrap())
}

#[track_caller]
fn get(listen: &AdminListen, path: &str) -> Answer {
    ask::get(listen, path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn status(listen: &AdminListen) -> Value {
    serde_json::from_str(&get(listen, "/status").body).unwrap()
}

/// The value of a series, written as the endpoint writes it.
fn metric(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn numbers_of_the_account_stand_on_every_page() {
    let world = world_on_tcp();
    world.append(
        &(lines(0..30) + &noise(30) + "{\"event\":\"use\",\"n\":1,\"ts\":\"2026-01-01T00:00:00Z\"}\n"),
    );
    let floe = world.start();
    let admin = address_of(&floe);
    world.wait_for_billed(0..30);
    world.wait("the account", || {
        status(&admin)["sources"]["app"]["in_flight"]["lines"] == 0
            && status(&admin)["sources"]["app"]["read"]["lines"] == 32
    });
    let now = status(&admin);
    let app = &now["sources"]["app"];
    assert_eq!((&app["billed"]["lines"], &app["billed_by_rule"]["use"]), (&30.into(), &30.into()), "{now:#}");
    assert_eq!(app["ignored"]["no_rule"]["lines"], 1);
    assert_eq!(app["quarantined"]["missing_customer"]["lines"], 1);
    assert_eq!((&app["oldest_unbilled_seconds"], &app["lag_bytes"]), (&Value::Null, &0.into()));
    assert_eq!((&now["version"], &now["ready"], &now["held_back"]), (&1.into(), &true.into(), &Value::Null));
    assert_eq!(now["events"]["inserted"], 30);
    assert!(now["quarantine"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(now["polar"]["last_answers"][0]["code"], "2xx");

    let metrics = get(&admin, "/metrics").body;
    for (series, expected) in [
        ("floe_read_lines_total{source=\"app\"}", 32.0),
        ("floe_lines_total{source=\"app\",fate=\"billed\",reason=\"\"}", 30.0),
        ("floe_lines_total{source=\"app\",fate=\"ignored\",reason=\"no_rule\"}", 1.0),
        ("floe_lines_total{source=\"app\",fate=\"quarantined\",reason=\"missing_customer\"}", 1.0),
        ("floe_rule_lines_total{source=\"app\",rule=\"use\"}", 30.0),
        ("floe_events_total{result=\"inserted\"}", 30.0),
        ("floe_unexpected_duplicates_total", 0.0),
        ("floe_oldest_unbilled_seconds{source=\"app\"}", 0.0),
        ("floe_files{source=\"app\"}", 1.0),
        ("floe_ready", 1.0),
        ("floe_held_back", 0.0),
    ] {
        assert_eq!(metric(&metrics, series), expected, "{series}\n{metrics}");
    }
    assert!(
        metric(&metrics, "floe_request_duration_seconds_count") >= 2.0,
        "the first asks for Polar's clock"
    );
    assert_eq!(get(&admin, "/healthz"), Answer { status: 200, body: "ok\n".to_owned() });
    assert_eq!(get(&admin, "/readyz"), Answer { status: 200, body: "ready\n".to_owned() });
    assert!(get(&admin, "/").body.contains("<title>Floe</title>"));
    let missing = get(&admin, "/account");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("/metrics"), "{}", missing.body);
    world.finish_somehow(floe, 0..30);
}

/// Each family is there, whatever has happened or not, and nothing that is not of the list.
#[test]
fn the_metrics_are_those_of_the_list() {
    let world = world_on_tcp();
    let floe = world.start();
    let admin = address_of(&floe);
    let text = get(&admin, "/metrics").body;
    let found: BTreeSet<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let expected: BTreeSet<(&str, &str)> =
        FAMILIES.iter().map(|family| (family.name, family.kind.word())).collect();
    assert_eq!(found, expected);
    for family in FAMILIES {
        assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
    }
}

/// Counters begin with the process: one that goes back a little would count as a whole new one.
#[test]
fn counters_begin_with_the_process_and_the_account_goes_on() {
    let world = world_on_tcp();
    let floe = world.start();
    world.append(&lines(0..20));
    world.wait_for_billed(0..20);
    floe.stop();
    let floe = world.start();
    let admin = address_of(&floe);
    world.append(&lines(20..25));
    world.wait_for_billed(0..25);
    world.wait("the account", || status(&admin)["sources"]["app"]["billed"]["lines"] == 25);
    let metrics = get(&admin, "/metrics").body;
    for (series, expected) in [
        ("floe_lines_total{source=\"app\",fate=\"billed\",reason=\"\"}", 5.0),
        ("floe_rule_lines_total{source=\"app\",rule=\"use\"}", 5.0),
        ("floe_events_total{result=\"inserted\"}", 5.0),
    ] {
        assert_eq!(metric(&metrics, series), expected, "{series}");
    }
    world.finish(floe, 0..25);
}

#[test]
fn the_oldest_unbilled_line_ages_while_polar_is_away_and_it_is_said_why() {
    let options = SandboxOptions::default();
    let world = World::with_sandbox(options);
    // Nobody answers there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = world.config().replace(world.sandbox.url().as_str(), &format!("http://{port}"));
    world.write_config(&(config + TCP));
    let floe = world.start();
    let admin = address_of(&floe);
    let begun = Instant::now();
    world.append(&lines(0..5));
    world.wait("an age", || status(&admin)["oldest_unbilled_seconds"].as_f64().is_some_and(|age| age >= 1.0));
    let now = status(&admin);
    let age = now["sources"]["app"]["oldest_unbilled_seconds"].as_f64().unwrap();
    assert!(age <= begun.elapsed().as_secs_f64(), "{age}");
    assert!(now["held_back"].as_str().is_some_and(|why| why.contains(&port.to_string())), "{now:#}");
    assert_eq!(now["ready"], true, "an application beside Floe stays in service");
    floe.wait_for_notice("polar_unreachable");
    world.wait("the condition", || status(&admin)["conditions"][0]["code"] == "polar_unreachable");
    let ready = get(&admin, "/readyz");
    assert!(ready.status == 200 && ready.body.contains("polar_unreachable"), "{ready:?}");
    let metrics = get(&admin, "/metrics").body;
    assert_eq!(metric(&metrics, "floe_held_back"), 1.0);
    assert!(metric(&metrics, "floe_requests_total{code=\"none\"}") >= 1.0);
    assert!(metric(&metrics, "floe_lag_bytes{source=\"app\"}") > 0.0);
}

#[test]
fn a_line_without_its_end_has_no_age() {
    let world = world_on_tcp();
    let floe = world.start();
    let admin = address_of(&floe);
    world.append(&lines(0..3));
    world.append("{\"event\":\"use\",\"n\":");
    world.wait_for_billed(0..3);
    world.wait("no age", || status(&admin)["oldest_unbilled_seconds"].is_null());
    assert_eq!(status(&admin)["sources"]["app"]["lag_bytes"], 0);
    drop(floe);
}

#[test]
fn without_a_word_in_the_config_status_asks_a_socket_of_the_users_own() {
    let world = World::new();
    let socket = world.path("state/admin.sock");
    let floe = world.start();
    floe.wait_for_notice("admin_open");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    world.append(&lines(0..7));
    world.wait_for_billed(0..7);
    for arguments in [&["status"][..], &["status", "--state-dir", socket.parent().unwrap().to_str().unwrap()]]
    {
        let output = world.output(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("source app: 1 file"), "{arguments:?}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "a screen has 80 columns:\n{text}");
    }
    let json: Value = serde_json::from_slice(&world.output(&["status", "--json"]).stdout).unwrap();
    assert_eq!((&json["version"], &json["instance"]), (&1.into(), &"test".into()));
    world.finish(floe, 0..7);
    assert!(!exists(&socket), "nothing is left of it");
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let world = World::new();
    let floe = world.start();
    floe.wait_for_notice("admin_open");
    floe.kill();
    assert!(exists(&world.path("state/admin.sock")));
    let floe = world.start();
    floe.wait_for_notice("admin_open");
    assert!(world.output(&["status"]).status.success());
    floe.stop();
}

#[test]
fn who_finds_no_daemon_is_told_the_cure() {
    let world = World::new();
    for (config, words) in [
        (world.config(), "does `floe run` run with this config?"),
        (world.config() + "\n[admin]\nlisten = \"off\"\n", "set admin.listen"),
        (world.config() + "\n[admin]\nlisten = \"127.0.0.1:1\"\n", "http://127.0.0.1:1: "),
    ] {
        world.write_config(&config);
        let output = world.output(&["status"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{text}");
        assert!(text.starts_with("error: no daemon answers at ") && text.contains(words), "{text}");
    }
}

#[test]
fn a_place_that_is_taken_hinders_no_billing_and_is_tried_again() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    world.write_config(&(world.config() + &format!("\n[admin]\nlisten = \"{address}\"\n")));
    let floe = world.start();
    floe.wait_for_notice("admin_unavailable");
    world.append(&lines(0..5));
    world.wait_for_billed(0..5);
    drop(taken);
    floe.wait_for_notice("admin_open");
    assert_eq!(get(&AdminListen::Tcp(address), "/healthz").status, 200);
    world.finish(floe, 0..5);
}

/// Whoever holds connections open and says nothing, or asks for what there is not, holds nobody up.
#[test]
fn a_hostile_client_holds_up_neither_lines_nor_others_for_long() {
    let world = world_on_tcp();
    let floe = world.start();
    let admin = address_of(&floe);
    let AdminListen::Tcp(address) = admin else { unreachable!() };
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    world.append(&lines(0..20));
    world.wait_for_billed(0..20);
    world.wait("an answer", || ask::get(&admin, "/healthz").is_ok_and(|answer| answer.status == 200));
    drop(silent);
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "DELETE /status HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    world.finish(floe, 0..20);
}

#[test]
fn a_daemon_that_stands_still_is_told_from_one_that_works() {
    let world = World::new();
    let floe = world.start();
    floe.wait_for_notice("admin_open");
    floe.signal(Signal::STOP);
    // The operating system lets the client in; nobody answers.
    let mut stream = UnixStream::connect(world.path("state/admin.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: floe\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 16]).is_err());
    floe.signal(Signal::CONT);
    let healthy = || {
        let answer = ask::get(&AdminListen::Socket(world.path("state/admin.sock")), "/healthz");
        answer.is_ok_and(|answer| answer.status == 200)
    };
    world.wait("an answer", healthy);
    floe.stop();
}

#[test]
fn a_refused_reload_is_seen_until_one_is_taken_over() {
    let world = world_on_tcp();
    let floe = world.start();
    let admin = address_of(&floe);
    let good = world.config() + TCP;
    world.write_config("version = 1\nnonsense");
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reload_refused");
    let value = |series: &str| metric(&get(&admin, "/metrics").body, series);
    world.wait("the refusal", || value("floe_config_last_reload_successful") == 0.0);
    world.write_config(&good.replace("127.0.0.1:0", "127.0.0.1:1"));
    floe.signal(Signal::HUP);
    floe.wait_for_words("admin.listen is another one, and that needs a restart");
    world.write_config(&good);
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.wait("the reload", || value("floe_config_last_reload_successful") == 1.0);
    assert_eq!(value("floe_config_reloads_total{result=\"ok\"}"), 1.0);
    assert_eq!(value("floe_config_reloads_total{result=\"refused\"}"), 2.0);
    floe.stop();
}

/// `floe status --watch` shows it again and again.
#[test]
fn watching_goes_on_until_nobody_listens() {
    let world = World::new();
    let floe = world.start();
    floe.wait_for_notice("admin_open");
    let mut command = world.command(&["status", "--watch"]);
    let mut watching = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = watching.stdout.take().unwrap();
    let mut text = String::new();
    let screens = |text: &str| text.matches("oldest unbilled line  ").count();
    while screens(&text) < 3 {
        let mut some = [0; 4096];
        let length = out.read(&mut some).unwrap();
        assert!(length > 0, "it ended: {text}");
        text.push_str(&String::from_utf8_lossy(&some[..length]));
    }
    assert!(text.contains("in a second"), "{text}");
    drop(out);
    assert!(watching.wait().unwrap().success());
    floe.stop();
}
