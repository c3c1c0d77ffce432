//! What an endpoint, a proxy or a network may answer. Whatever it is, each line is billed once; only what the
//! endpoint says of one event costs that event's line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use floe::sandbox::FaultPlan;
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use crate::front::{Answer, Front, Request};
use crate::world::{World, line, lines};

/// A world whose requests go through a front, by a further key of `[polar]` where given.
fn world_behind(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static, key: &str) -> (World, Front) {
    let world = World::new();
    let front = Front::start(world.sandbox.address(), rule);
    let server = format!("{}\"\n{key}\n", front.url());
    let config = world.config().replace(&format!("{}\"\n", world.sandbox.url()), &server);
    world.write_config(&config);
    (world, front)
}

/// For a while every request is answered in this way, then all is well.
#[track_caller]
fn check_passing(name: &str, answer: Answer, expected_notice: Option<&str>) {
    let odd = move |request: &Request| if request.number < 3 { answer.clone() } else { Answer::Through };
    let (world, front) = world_behind(odd, "request_timeout = \"1s\"");
    world.append(&lines(0..20));
    let floe = world.start();
    world.wait_for_billed(0..20);
    if let Some(code) = expected_notice {
        floe.wait_for_notice(code);
        floe.wait_for_notice("polar_accepts");
    }
    world.finish(floe, 0..20);
    assert_eq!(world.quarantined(), [""; 0], "{name}");
    assert!(front.seen().len() > 3, "{name}");
}

/// All at once: they only wait.
#[track_caller]
fn check_all_passing(cases: Vec<(&'static str, Answer, Option<&'static str>)>) {
    let running: Vec<_> = cases
        .into_iter()
        .map(|(name, answer, notice)| (name, thread::spawn(move || check_passing(name, answer, notice))))
        .collect();
    let failed: Vec<&str> =
        running.into_iter().filter_map(|(name, case)| case.join().is_err().then_some(name)).collect();
    assert_eq!(failed, [""; 0]);
}

const PAGE: &str = "<html><body><h1>Bad Gateway</h1></body></html>";

#[test]
fn s23_a_status_that_is_not_about_the_data_costs_no_line() {
    let of = |status| Answer::of(status, "", "{\"detail\":\"whatever\"}");
    check_all_passing(vec![
        ("400", of(400), Some("polar_refuses")),
        ("401", of(401), Some("polar_refuses")),
        ("403", of(403), Some("polar_refuses")),
        ("404", of(404), Some("polar_refuses")),
        ("408", of(408), None),
        ("500", Answer::of(500, "", "Internal Server Error"), None),
        ("502 with HTML", Answer::of(502, "content-type: text/html\r\n", PAGE), None),
        ("503 with HTML", Answer::of(503, "content-type: text/html\r\n", PAGE), None),
        ("504 with HTML", Answer::of(504, "content-type: text/html\r\n", PAGE), None),
    ]);
}

#[test]
fn s23_an_answer_that_is_none_costs_no_line() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"inserted\":20,".to_vec();
    let slow = b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{\"inserted\":20,\"duplicates\":0}".to_vec();
    check_all_passing(vec![
        ("the connection ends", Answer::Nothing, None),
        ("half an answer", Answer::Bytes(half), None),
        ("a time-out", Answer::Drip(b"H".to_vec(), Duration::from_secs(3)), None),
        ("a slow drip", Answer::Drip(slow, Duration::from_millis(200)), None),
        ("no HTTP", Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), None),
        ("a 200 that is a page", Answer::of(200, "content-type: text/html\r\n", PAGE), None),
        ("a 200 that is other JSON", Answer::of(200, "", "{\"ok\":true}"), None),
        ("a 200 whose counts do not add up", Answer::of(200, "", "{\"inserted\":7,\"duplicates\":0}"), None),
    ]);
}

#[test]
fn s23_an_answer_that_was_lost_after_polar_took_the_events_bills_nothing_twice() {
    for fault in ["lost-answer:1", "half-answer:1", "not-json:1"] {
        let world = World::new();
        world.append(&lines(0..10));
        let floe = world.start();
        world.wait_for_billed(0..10);
        world.sandbox.set_faults(fault.parse().unwrap());
        world.append(&lines(10..20));
        world.wait_for_billed(0..20);
        world.sandbox.set_faults(FaultPlan::none());
        world.finish(floe, 0..20);
        let (account, _) = world.account();
        assert_eq!(account["events"]["unexpected_duplicates"], 0, "{fault}: {account:#}");
    }
}

#[test]
fn s23_duplicates_that_floe_never_sent_are_told() {
    let world = World::new();
    let one = world.start();
    // A second Floe of the same instance reads the same file.
    let folder = world.folder.path().display();
    let elsewhere = format!("state_dir = \"{folder}/elsewhere\"");
    world.write_config(&world.config().replace(&format!("state_dir = \"{folder}/state\""), &elsewhere));
    let other = world.start();
    world.append(&line(0));
    // What a file holds when it is first seen may have been sent before the state was lost. What comes later was not.
    world.wait("both", || world.notices().matches("file_found").count() == 2);
    world.append(&lines(1..10));
    world.wait_for_billed(0..10);
    world.wait("the alarm", || world.notices().contains("unexpected_duplicates"));
    one.stop();
    other.stop();
    world.wait_for_billed(0..10);
}

#[test]
fn s23_a_redirect_is_not_followed_and_the_token_goes_nowhere_else() {
    let elsewhere = Front::start(World::new().sandbox.address(), |_| Answer::of(200, "", "{}"));
    for status in [301, 302, 307, 308] {
        let location = format!("location: {}/v1/events/ingest\r\n", elsewhere.url());
        check_passing("a redirect", Answer::of(status, &location, ""), Some("polar_refuses"));
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[test]
fn s23_a_rate_limit_is_waited_for_as_long_as_polar_says() {
    let date = |seconds: i64| {
        let time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds);
        time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for retry_after in ["2".to_owned(), date(2)] {
        let limited = Answer::of(429, &format!("date: {}\r\nretry-after: {retry_after}\r\n", date(0)), "");
        let rule = move |request: &Request| match request.number {
            1 => limited.clone(),
            _ => Answer::Through,
        };
        let (world, front) = world_behind(rule, "");
        world.append(&lines(0..20));
        let floe = world.start();
        floe.wait_for_notice("rate_limited");
        world.finish(floe, 0..20);
        let seen = front.seen();
        let waited = seen[2].at - seen[1].at;
        assert!(waited > Duration::from_millis(1900), "{retry_after}: {waited:?}");
    }
}

#[test]
fn s23_a_batch_that_is_too_large_is_split() {
    let rule = |request: &Request| match request.body.len() {
        0..2000 => Answer::Through,
        _ => Answer::of(413, "", "{\"error\":\"RequestBodyTooLarge\"}"),
    };
    let (world, front) = world_behind(rule, "");
    world.append(&lines(0..100));
    let floe = world.start();
    world.finish(floe, 0..100);
    assert_eq!(world.quarantined(), [""; 0]);
    assert!(front.seen().iter().any(|request| request.body.len() > 2000));
}

/// An endpoint that does not want line 7, and lets all batches without it pass.
#[track_caller]
fn check_one_refused(refusal: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
    let rule = move |request: &Request| {
        if request.lines().contains(&7) { refusal(request) } else { Answer::Through }
    };
    let (world, _front) = world_behind(rule, "");
    world.append(&lines(0..20));
    let floe = world.start();
    let sound: Vec<u64> = (0..20).filter(|number| *number != 7).collect();
    // What keeps failing is known by what succeeds meanwhile.
    let mut next = 20;
    let known = World::awaits_for(Duration::from_secs(60), || {
        world.append(&line(next));
        next += 1;
        thread::sleep(Duration::from_millis(200));
        !world.quarantined().is_empty()
    });
    assert!(known, "{}", world.notices());
    world.finish(floe, sound.into_iter().chain(20..next).collect::<Vec<_>>());
    assert_eq!(world.quarantined(), ["refused_by_polar"]);
}

#[test]
fn s23_a_422_that_names_its_event_costs_that_line_alone() {
    check_one_refused(|request| {
        let place = request.lines().iter().position(|line| *line == 7).unwrap();
        let detail = format!(
            "{{\"error\":\"RequestValidationError\",\"detail\":[{{\"type\":\"value_error\",\"loc\":[\"body\",\"events\",\
             {place},\"name\"],\"msg\":\"no\",\"input\":\"use\"}}]}}"
        );
        Answer::of(422, "content-type: application/json\r\n", &detail)
    });
}

#[test]
fn s23_a_422_that_names_nothing_costs_the_line_it_is_about_alone() {
    check_one_refused(|_| Answer::of(422, "", "{\"detail\":\"no\"}"));
}

#[test]
fn s23_a_500_for_one_event_costs_that_line_alone() {
    check_one_refused(|_| Answer::of(500, "", "Internal Server Error"));
}

#[test]
fn s23_a_name_that_is_not_resolved_and_a_proxy_that_fails_hold_the_lines() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let world = World::new();
    let proxy = Front::start(world.sandbox.address(), move |_| {
        if is_well.load(Ordering::Acquire) { Answer::Through } else { Answer::of(502, "", PAGE) }
    });
    let nowhere = world.config().replace(&world.sandbox.url(), "http://polar.invalid");
    world.write_config(&nowhere);
    world.append(&lines(0..20));
    let floe = world.start();
    floe.wait_for_words("its name cannot be resolved");
    let by_proxy = format!("[polar]\nproxy = \"{}\"", proxy.url());
    world.write_config(&nowhere.replace("[polar]", &by_proxy));
    floe.signal(Signal::HUP);
    floe.wait_for_notice("reloaded");
    world.wait("a request to the proxy", || !proxy.seen().is_empty());
    assert_eq!(world.billed().len(), 0);
    well.store(true, Ordering::Release);
    world.finish(floe, 0..20);
    assert_eq!(world.quarantined(), [""; 0]);
}

#[test]
fn s24_after_an_outage_floe_catches_up_within_its_budget_and_its_memory() {
    const PER_MINUTE: u32 = 600;
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let rule = move |_: &Request| {
        if is_down.load(Ordering::Acquire) { Answer::Nothing } else { Answer::Through }
    };
    let (world, front) = world_behind(rule, "");
    let config = std::fs::read_to_string(world.path("floe.toml")).unwrap();
    let budget = format!("requests_per_minute = {PER_MINUTE}\nbatch_max_events = 100");
    world.write_config(&config.replace("requests_per_minute = 60000", &budget));
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    down.store(true, Ordering::Release);
    let padded =
        |number| line(number).replace("\"use\"", &format!("\"use\",\"text\":\"{}\"", "x".repeat(1000)));
    for hundreds in 0..100 {
        world.append(&(10 + 100 * hundreds..110 + 100 * hundreds).map(padded).collect::<String>());
    }
    floe.wait_for_notice("polar_unreachable");
    down.store(false, Ordering::Release);
    world.wait_for_billed(0..10_010);
    let peak = floe.peak_memory_kib();
    assert!(peak < 96 * 1024, "{peak} KiB");
    world.finish(floe, 0..10_010);
    // A tenth of the budget may go at once, the rest is spread over the minute.
    let seen = front.seen();
    let per_second = f64::from(PER_MINUTE) * 0.9 / 60.0;
    for (first, request) in seen.iter().enumerate() {
        for (last, later) in seen.iter().enumerate().skip(first) {
            let allowed =
                f64::from(PER_MINUTE) / 10.0 + per_second * (later.at - request.at).as_secs_f64() + 2.0;
            assert!(
                ((last - first) as f64) < allowed,
                "requests {first} to {last} came within too little time"
            );
        }
    }
}

#[test]
fn s25_a_host_whose_clock_is_ahead_sends_nothing_of_the_future() {
    let world = World::new();
    world.write_config(&world.config().replace("[delivery]", "[delivery]\nmax_future = \"2h\""));
    world.sandbox.set_clock_offset(SignedDuration::from_hours(-1));
    world.append(&lines(0..10));
    let floe = world.start();
    floe.wait_for_notice("future_held");
    floe.wait_for_notice("clock_differs");
    assert_eq!(world.billed().len(), 0);
    // Polar's clock jumps forth, back, and forth again: its answers tell.
    for (number, hours) in [(10, 0), (11, -1), (12, 0)] {
        world.sandbox.set_clock_offset(SignedDuration::from_hours(hours));
        world.append(&old_line(number));
        world.wait("an old line", || world.billed().contains_key(&number));
    }
    world.finish(floe, 0..13);
    assert_eq!(world.quarantined(), [""; 0]);
}

/// A line that is not of the future of any clock.
fn old_line(number: u64) -> String {
    format!("{{\"ts\":\"2025-11-20T10:15:32Z\",\"event\":\"use\",\"who\":\"customer_1\",\"n\":{number}}}\n")
}
