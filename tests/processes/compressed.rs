//! Rotated files that were compressed before they were read to their end.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use floe::model::Compression;
use rustix::process::Signal;

use crate::world::{World, line, lines};

const BOTH: [(Compression, &str); 2] = [(Compression::Gzip, "gz"), (Compression::Zstd, "zst")];

fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 3).unwrap(),
    }
}

/// As `gzip` does it: the compressed file grows beside the plain one, which goes in the end.
fn compress(compression: Compression, from: &Path, to: &Path) {
    let packed = compressed(compression, &fs::read(from).unwrap());
    let mut file = OpenOptions::new().write(true).create_new(true).open(to).unwrap();
    for piece in packed.chunks(packed.len() / 3 + 1) {
        file.write_all(piece).unwrap();
    }
    fs::remove_file(from).unwrap();
}

#[track_caller]
fn check_account(world: &World, inserted: u64) {
    let (account, right) = world.account();
    assert!(right, "{account:#}");
    assert_eq!(account["events"]["inserted"], inserted);
    assert_eq!(account["events"]["duplicates"], 0);
}

#[test]
fn s10_a_half_read_log_that_was_rotated_and_compressed_while_stopped_is_read_on() {
    for (compression, suffix) in BOTH {
        let world = World::new();
        world.append(&lines(0..1000));
        let floe = world.start();
        world.wait_for_billed(0..1000);
        floe.stop();
        world.append(&lines(1000..5000));
        let rotated = world.path("logs/app.log.1");
        fs::rename(world.log(), &rotated).unwrap();
        compress(compression, &rotated, &world.path(&format!("logs/app.log.1.{suffix}")));
        world.append(&lines(5000..5100));
        let floe = world.start();
        world.wait_for_billed(0..5100);
        floe.stop();
        check_account(&world, 5100);
    }
}

#[test]
fn s10_a_log_that_was_never_seen_and_compressed_while_stopped_is_read() {
    let world = World::new();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    floe.stop();
    for (number, unread) in [(2, 10..20), (1, 20..30)] {
        fs::remove_file(world.log()).unwrap();
        world.append(&lines(unread));
        let to = world.path(&format!("logs/app.log.{number}.gz"));
        compress(Compression::Gzip, &world.log(), &to);
        world.append("");
    }
    let floe = world.start();
    world.wait_for_billed(0..30);
    floe.stop();
}

#[test]
fn s10_s20_a_log_is_compressed_again_and_again_while_floe_runs_and_dies() {
    let world = World::new();
    world.append(&line(0));
    let mut floe = world.start();
    world.wait_for_billed(0..1);
    for round in 0..6_u64 {
        let (from, middle, to) = (round * 100 + 1, round * 100 + 50, round * 100 + 101);
        world.append(&lines(from..middle));
        if round % 3 == 0 {
            floe.kill();
            floe = world.start_unready();
        }
        // It sleeps while the rest is written, rotated and compressed.
        floe.signal(Signal::STOP);
        world.append(&lines(middle..to));
        for number in (1..=round).rev() {
            let name = |number: u64| world.path(&format!("logs/app.log.{number}.gz"));
            fs::rename(name(number), name(number + 1)).unwrap();
        }
        let rotated = world.path("logs/app.log.1");
        fs::rename(world.log(), &rotated).unwrap();
        compress(Compression::Gzip, &rotated, &world.path("logs/app.log.1.gz"));
        if round % 3 == 2 {
            floe.kill();
            floe = world.start_unready();
        } else {
            floe.signal(Signal::CONT);
        }
    }
    world.append(&line(601));
    world.wait_for_billed(0..602);
    floe.stop();
    assert!(world.account().1);
    assert!(!world.notices().contains("identity_ambiguous"), "{}", world.notices());
}

#[test]
fn s10_members_and_frames_are_one_content() {
    for (compression, suffix) in BOTH {
        let world = World::new();
        world.append(&lines(0..50));
        let floe = world.start();
        world.wait_for_billed(0..50);
        floe.stop();
        world.append(&lines(50..200));
        let whole = fs::read(world.log()).unwrap();
        // The cuts are in the middle of lines.
        let packed: Vec<u8> = whole.chunks(777).flat_map(|piece| compressed(compression, piece)).collect();
        fs::write(world.path(&format!("logs/app.log.1.{suffix}")), packed).unwrap();
        fs::remove_file(world.log()).unwrap();
        let floe = world.start();
        world.wait_for_billed(0..200);
        floe.stop();
        check_account(&world, 200);
    }
}

#[test]
fn s10_of_a_file_that_is_cut_off_all_is_billed_that_is_there_and_the_rest_is_told() {
    let world = World::new();
    world.append(&lines(0..50));
    let floe = world.start();
    world.wait_for_billed(0..50);
    floe.stop();
    world.append(&lines(50..400));
    let mut packed = compressed(Compression::Gzip, &fs::read(world.log()).unwrap());
    packed.truncate(packed.len() / 2);
    let mut there = Vec::new();
    MultiGzDecoder::new(&packed[..]).read_to_end(&mut there).unwrap_err();
    let whole = memchr::memchr_iter(b'\n', &there).count() as u64;
    assert!((51..399).contains(&whole), "{whole}");
    fs::write(world.path("logs/app.log.1.gz"), packed).unwrap();
    fs::remove_file(world.log()).unwrap();
    let floe = world.start();
    world.wait_for_billed(0..whole);
    floe.wait_for_notice("file_damaged");
    floe.wait_for_words(&format!("app.log.1.gz\\\" beyond byte {} of its content", there.len()));
    floe.stop();
}

#[test]
fn s10_s11_a_copy_is_compressed_after_the_log_was_truncated() {
    let world = World::new();
    world.append(&lines(0..50));
    let floe = world.start();
    world.wait_for_billed(0..50);
    floe.stop();
    world.append(&lines(50..200));
    let copy = world.path("logs/app.log.1");
    fs::copy(world.log(), &copy).unwrap();
    OpenOptions::new().write(true).truncate(true).open(world.log()).unwrap();
    compress(Compression::Gzip, &copy, &world.path("logs/app.log.1.gz"));
    world.append(&lines(200..210));
    let floe = world.start();
    world.wait_for_billed(0..210);
    floe.stop();
    check_account(&world, 210);
}

#[test]
fn what_was_rotated_before_floe_first_looked_is_not_billed_when_it_is_compressed_later() {
    let world = World::new();
    let (old, older) = (world.path("logs/app.log.1"), world.path("logs/app.log.2.gz"));
    fs::write(&old, lines(1000..1020)).unwrap();
    fs::write(&older, compressed(Compression::Gzip, lines(2000..2020).as_bytes())).unwrap();
    world.append(&lines(0..10));
    let floe = world.start();
    world.wait_for_billed(0..10);
    floe.stop();
    fs::rename(&older, world.path("logs/app.log.3.gz")).unwrap();
    compress(Compression::Gzip, &old, &older);
    fs::rename(world.log(), &old).unwrap();
    world.append(&lines(10..20));
    let floe = world.start();
    world.wait_for_billed(0..20);
    compress(Compression::Zstd, &old, &world.path("logs/app.log.1.zst"));
    world.append(&lines(20..30));
    world.wait_for_billed(0..30);
    floe.stop();
    world.start().stop();
    check_account(&world, 30);
}
