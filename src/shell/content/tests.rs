use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flate2::write::GzEncoder;

use super::*;
use crate::shell::disk::{guard_before, peek_fully_at, read_fully_at};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => gzip(bytes),
        Compression::Zstd => zstd(bytes),
    }
}

const BOTH: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

/// Lines that do not compress to nothing.
fn lines(count: u64) -> Vec<u8> {
    let line = |n: u64| format!("{{\"n\":{n},\"id\":\"{:x}\"}}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..count).flat_map(|n| line(n).into_bytes()).collect()
}

struct Scene {
    writer: File,
    content: Content,
    extents: Extents,
}

/// A compressed file that somebody writes.
fn scene(compression: Compression, bytes: &[u8]) -> Scene {
    let mut writer = tempfile::tempfile().unwrap();
    writer.write_all(bytes).unwrap();
    let extents = Extents::default();
    let content = Content::compressed(writer.try_clone().unwrap(), compression, &extents).unwrap();
    Scene { writer, content, extents }
}

/// All that can be read from its start on, in pieces.
fn all_of(content: &Content) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 1000];
    loop {
        let filled = read_fully_at(content, &mut piece, all.len() as u64).unwrap();
        if filled == 0 {
            return all;
        }
        all.extend_from_slice(&piece[..filled]);
    }
}

#[test]
fn every_cut_gives_a_prefix_and_the_whole_is_whole() {
    let parts = [lines(40), lines(3), Vec::new(), lines(20)];
    let whole = parts.concat();
    for compression in BOTH {
        let packed: Vec<Vec<u8>> = parts.iter().map(|part| compress(compression, part)).collect();
        let packed = packed.concat();
        let mut longest = 0;
        for cut in 0..=packed.len() {
            let Scene { content, .. } = scene(compression, &packed[..cut]);
            let read = all_of(&content);
            assert!(whole.starts_with(&read), "{compression:?} cut at {cut}");
            assert!(read.len() >= longest, "{compression:?} cut at {cut} gives less than before");
            longest = read.len();
            let ends = matches!(content.ending(), Ending::Whole | Ending::CutOff);
            assert!(ends, "{compression:?} cut at {cut}: {:?}", content.ending());
        }
        let Scene { content, .. } = scene(compression, &packed);
        assert_eq!(all_of(&content), whole);
        assert_eq!(content.ending(), Ending::Whole);
    }
}

#[test]
fn a_file_that_grows_byte_by_byte_is_read_on() {
    let whole = [lines(10), lines(30)].concat();
    for compression in BOTH {
        let packed = [compress(compression, &lines(10)), compress(compression, &lines(30))].concat();
        let Scene { mut writer, content, .. } = scene(compression, &[]);
        let (mut read, mut known) = (Vec::new(), 0);
        for byte in packed {
            writer.write_all(&[byte]).unwrap();
            let size = content.size_beyond(read.len() as u64, u64::MAX - 1).unwrap();
            assert!(size >= known, "a size that was told became less");
            known = size;
            let mut piece = vec![0; 10_000];
            let filled = read_fully_at(&content, &mut piece, read.len() as u64).unwrap();
            read.extend_from_slice(&piece[..filled]);
            assert_eq!(read.len() as u64, size);
        }
        assert_eq!(read, whole, "{compression:?}");
        assert_eq!(content.ending(), Ending::Whole);
    }
}

#[test]
fn zeros_and_other_things_behind_the_last_member_are_no_content() {
    for compression in BOTH {
        for behind in [&[0; 512][..], b"-- end --", b"\n"] {
            let packed = [&compress(compression, &lines(5)), behind].concat();
            let Scene { content, .. } = scene(compression, &packed);
            assert_eq!(all_of(&content), lines(5));
            assert_eq!(content.ending(), Ending::Whole, "{compression:?} {behind:?}");
        }
    }
}

#[test]
fn what_is_not_compressed_has_no_content_whatever_its_name() {
    for compression in BOTH {
        let Scene { content, .. } = scene(compression, &lines(5));
        assert_eq!(all_of(&content), b"");
    }
}

#[test]
fn damage_is_the_end_and_says_so() {
    for compression in BOTH {
        let mut packed = compress(compression, &lines(20_000));
        let middle = packed.len() / 2;
        packed[middle..middle + 64].fill(0xff);
        let Scene { content, .. } = scene(compression, &packed);
        let read = all_of(&content);
        // Before it is noticed, some of what comes out may be wrong.
        let sure = lines(20_000).len() / 4;
        assert_eq!(read[..sure], lines(20_000)[..sure]);
        assert!(matches!(content.ending(), Ending::Damaged(_)), "{compression:?} {:?}", content.ending());
    }
}

#[test]
fn a_window_that_takes_too_much_memory_is_refused_in_words() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(&lines(10)).unwrap();
    let packed = encoder.finish().unwrap();
    let Scene { content, .. } = scene(Compression::Zstd, &packed);
    assert_eq!(all_of(&content), b"");
    let Ending::Damaged(why) = content.ending() else { panic!("{:?}", content.ending()) };
    assert!(why.contains("memory"), "{why}");
}

#[test]
fn going_back_and_peeking_read_what_stands_there() {
    let whole = lines(20_000);
    for compression in BOTH {
        let Scene { content, .. } = scene(compression, &compress(compression, &whole));
        let check = |from: usize, peek: bool| {
            let mut piece = [0; 5000];
            let read = if peek { peek_fully_at } else { read_fully_at };
            let filled = read(&content, &mut piece, from as u64).unwrap();
            assert_eq!(piece[..filled], whole[from..whole.len().min(from + 5000)], "{compression:?} {from}");
        };
        for from in [0, 300_000, 400_000, 100, 700_000] {
            check(from, false);
            check(50, true);
            check(from, false);
            check(whole.len() - 10, true);
        }
        check(whole.len(), false);
        let at = Offset(whole.len() as u64);
        assert!(guard_before(&content, at).unwrap().is_some());
        assert_eq!(guard_before(&content, at.plus(1)).unwrap(), None);
    }
}

#[test]
fn the_size_is_known_a_little_further_than_was_asked_and_never_less() {
    for compression in BOTH {
        let whole = lines(50_000);
        let Scene { writer, content, extents } = scene(compression, &compress(compression, &whole));
        let metadata = writer.metadata().unwrap();
        assert_eq!(extents.size(&metadata), 0);
        let size = content.size_beyond(0, 1000).unwrap();
        assert!(size > 1000 && size < whole.len() as u64, "{size}");
        assert_eq!(extents.size(&metadata), size);
        let again = Content::compressed(writer.try_clone().unwrap(), compression, &extents).unwrap();
        assert!(again.size_beyond(0, 0).unwrap() >= size);
        assert_eq!(content.size_beyond(1000, u64::MAX - 1).unwrap(), whole.len() as u64);
    }
}

#[test]
fn what_was_read_ahead_is_read_as_it_stands_there_and_is_bounded() {
    for compression in BOTH {
        let whole = lines(300_000);
        let Scene { content, .. } = scene(compression, &compress(compression, &whole));
        let end = || content.view.as_ref().unwrap().lock().unpacked.end();
        let mut piece = vec![0; 300_000];
        for from in [0, 250_000, 500_000, 100] {
            let filled = read_fully_at(&content, &mut piece, from as u64).unwrap();
            assert_eq!(piece[..filled], whole[from..from + 300_000], "{compression:?} {from}");
            content.read_ahead().unwrap();
            let ahead = end() - from as u64;
            assert!(ahead >= MOST_AHEAD as u64 && ahead < 2 * MOST_AHEAD as u64, "{compression:?} {ahead}");
        }
        let filled = read_fully_at(&content, &mut piece, whole.len() as u64 - 1000).unwrap();
        assert_eq!(piece[..filled], whole[whole.len() - 1000..]);
        content.read_ahead().unwrap();
        assert_eq!((end(), content.ending()), (whole.len() as u64, Ending::Whole));
    }
}

#[test]
fn readers_and_a_thread_that_is_ahead_of_them_do_not_disturb_each_other() {
    for compression in BOTH {
        let whole = lines(300_000);
        let Scene { content, .. } = scene(compression, &compress(compression, &whole));
        let is_over = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    content.read_ahead().unwrap();
                }
            });
            let mut piece = vec![0; 200_000];
            // Onwards, back by a little that is kept and by much that is not, and beyond the end.
            let mut from = 0;
            for round in 0..150 {
                let size = content.size_beyond(from as u64, (from + piece.len()) as u64).unwrap();
                let filled = read_fully_at(&content, &mut piece, from as u64).unwrap();
                let until = whole.len().min(from + piece.len());
                assert_eq!(piece[..filled], whole[from.min(until)..until], "{compression:?} {from}");
                assert!(size >= until as u64, "{compression:?} {from}: {size}");
                from = match round % 40 {
                    39 => from / 3,
                    _ => from + piece.len() - 64,
                };
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_file_that_was_written_anew_is_read_from_its_start() {
    for compression in BOTH {
        let Scene { mut writer, content, .. } = scene(compression, &compress(compression, &lines(3000)));
        assert_eq!(all_of(&content), lines(3000));
        let anew = b"{\"other\":1}\n";
        writer.set_len(0).unwrap();
        io::Seek::rewind(&mut writer).unwrap();
        writer.write_all(&compress(compression, anew)).unwrap();
        assert_eq!(content.size_beyond(0, u64::MAX - 1).unwrap(), anew.len() as u64);
        assert_eq!(all_of(&content), anew);
    }
}

#[test]
fn after_a_rest_it_goes_on_where_it_was() {
    for compression in BOTH {
        let whole = lines(20_000);
        let packed = compress(compression, &whole);
        let (first, second) = packed.split_at(packed.len() / 2);
        let Scene { mut writer, content, .. } = scene(compression, first);
        let mut read = all_of(&content);
        content.view.as_ref().unwrap().lock().unpacked.rest();
        writer.write_all(second).unwrap();
        let mut piece = vec![0; whole.len()];
        let filled = read_fully_at(&content, &mut piece, read.len() as u64).unwrap();
        read.extend_from_slice(&piece[..filled]);
        assert_eq!(read.len(), whole.len(), "{compression:?}");
        assert_eq!(read, whole);
    }
}

#[test]
fn where_a_file_breaks_off_is_told_once_and_not_while_it_grows() {
    let packed = gzip(&lines(100));
    let Scene { mut writer, content, extents } = scene(Compression::Gzip, &packed[..packed.len() / 2]);
    let read = all_of(&content).len();
    let told = |after: u64| {
        let now = Instant::now() + Duration::from_secs(after);
        extents.seen("/logs/app.log.1.gz", &content.file().metadata().unwrap(), now)
    };
    assert_eq!(told(0), None);
    let notice = told(60).expect("it has not grown for a minute");
    let words = format!("beyond byte {read} of its content");
    assert!(notice.message.contains(&words), "{}", notice.message);
    assert_eq!(told(120), None);
    writer.write_all(&packed[packed.len() / 2..]).unwrap();
    assert_eq!(all_of(&content), lines(100));
    assert_eq!(told(180), None);
}

#[test]
fn what_is_known_of_a_file_goes_when_it_is_gone_and_closed() {
    let Scene { writer, content, extents } = scene(Compression::Gzip, &gzip(&lines(100)));
    let size = content.size_beyond(0, 0).unwrap();
    let metadata = writer.metadata().unwrap();
    for _ in 0..10 {
        extents.forget_unseen();
    }
    assert_eq!(extents.size(&metadata), size, "it is open");
    drop(content);
    extents.forget_unseen();
    assert_eq!(extents.size(&metadata), 0);
}

#[test]
fn only_a_name_that_says_so_makes_a_file_compressed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("app.log.1.gz", lines(5)), ("app.log", gzip(&lines(5))), ("app.log.gz.1", gzip(&lines(5)))]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, gzip(&lines(5))).unwrap();
        let content = Content::open(&path, &Extents::default()).unwrap();
        assert_eq!(all_of(&content), bytes, "{name}");
    }
}
