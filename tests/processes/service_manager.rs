//! What systemd hears on `NOTIFY_SOCKET`, and when.

use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::world::{Floe, World, line, lines};

/// A service manager: hears all that is said to it, in order.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(world: &World) -> Self {
        let socket = UnixDatagram::bind(world.path("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Vec::new() }
    }

    fn listen(&mut self) {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            self.heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
    }

    fn count(&mut self, what: &str) -> usize {
        self.listen();
        self.heard.iter().filter(|message| message.contains(what)).count()
    }

    #[track_caller]
    fn wait_for(&mut self, world: &World, what: &str, times: usize) {
        world.wait(&format!("{what}, {times} times"), || self.count(what) >= times);
    }

    /// Where this was said first.
    #[track_caller]
    fn place(&self, what: &str) -> usize {
        let place = self.heard.iter().position(|message| message.contains(what));
        place.unwrap_or_else(|| panic!("{what} was not said: {:?}", self.heard))
    }
}

/// A daemon that has to say every 300 ms that it lives.
fn start(world: &World) -> Floe<'_> {
    let mut command = world.command(&["run", "--log-format", "json"]);
    command.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "300000");
    world.spawn(command)
}

#[test]
fn s28_systemd_hears_of_start_reload_and_end() {
    let world = World::new();
    let mut manager = Manager::new(&world);
    world.append(&lines(0..3));
    let floe = start(&world);
    manager.wait_for(&world, "READY=1", 1);
    world.wait_for_billed(0..3);
    manager.wait_for(&world, "STATUS=Following 1 file: 3 lines billed, nothing waits", 1);
    // A config with a fault ends the reload as well: nothing waits for it.
    for (config, notice) in [(world.config(), "reloaded"), ("version = 7".to_owned(), "reload_refused")] {
        let before = manager.count("READY=1");
        world.write_config(&config);
        floe.signal(Signal::HUP);
        floe.wait_for_notice(notice);
        manager.wait_for(&world, "READY=1", before + 1);
        let reloading = manager.heard.iter().rfind(|message| message.contains("RELOADING=1")).unwrap();
        assert!(reloading.contains("MONOTONIC_USEC="), "one message: {reloading:?}");
    }
    assert_eq!(manager.count("RELOADING=1"), 2);
    world.append(&line(3));
    floe.stop();
    manager.wait_for(&world, "STOPPING=1", 1);
    let ending = manager.place("STOPPING=1");
    assert!(manager.heard[ending].contains("EXTEND_TIMEOUT_USEC=30000000"), "{:?}", manager.heard[ending]);
    assert!(manager.place("READY=1") < manager.place("RELOADING=1"));
    assert!(manager.place("RELOADING=1") < ending);
    world.wait_for_billed(0..4);
}

#[test]
fn s24_floe_is_ready_while_polar_is_away() {
    let world = World::new();
    let mut manager = Manager::new(&world);
    let config = world.config();
    // A port at which nobody listens.
    let server = config.lines().find(|line| line.starts_with("server")).unwrap();
    world.write_config(&config.replace(server, "server = \"http://127.0.0.1:9\""));
    world.append(&lines(0..3));
    let floe = start(&world);
    manager.wait_for(&world, "READY=1", 1);
    manager.wait_for(&world, "held back: ", 1);
    floe.kill();
}

#[test]
fn s28_the_watchdog_is_fed_while_the_loop_turns_and_not_when_it_does_not() {
    let world = World::new();
    let mut manager = Manager::new(&world);
    let floe = start(&world);
    manager.wait_for(&world, "WATCHDOG=1", 5);
    floe.signal(Signal::STOP);
    // Until it has stopped; nobody says anything then, for longer than the watchdog waits.
    world.wait("silence", || {
        let before = manager.count("");
        thread::sleep(Duration::from_millis(400));
        manager.count("") == before
    });
    let before = manager.count("WATCHDOG=1");
    floe.signal(Signal::CONT);
    manager.wait_for(&world, "WATCHDOG=1", before + 1);
    floe.stop();
}
