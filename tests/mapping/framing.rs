//! Records of several lines: the same events, whatever the cuts.

use floe::config::Settings;
use floe::config::settings::Captures;
use floe::mapping::{End, MapContext, ReadWindow, Rules, Scratch, map};
use floe::model::chunk::{Carry, Outputs};
use floe::model::{
    Fate, Generation, Guard, Ignored, MappedChunk, Offset, Quarantined, SourceIndex, Stop, Tally,
};

use crate::support::{NOW, events, letters};

const TIME: &str = "2026-11-20T10:15:32.200000001Z";

/// A source with these keys, and a rule that makes an event of each line with `usage` in it.
fn rules(source: &str) -> Rules {
    let wrapped = if source.contains("container") {
        "metadata.at = \"{@container.time}\"\nmetadata.stream = \"{@container.stream}\"\n"
    } else {
        ""
    };
    let config = format!(
        "version = 1\nstate_dir = \"/var/lib/floe\"\ninstance = \"test\"\n\
         [[sources]]\nid = \"app\"\ninclude = [\"/var/log/*.log\"]\n{source}\n\
         [[rules]]\nid = \"usage\"\nwhen = {{ event = \"usage\" }}\n[rules.event]\nname = \"usage\"\n\
         external_customer_id = \"{{customer}}\"\nmetadata.units = \"{{units}}\"\n{wrapped}"
    );
    let settings = Settings::from_toml(&config).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    Rules::compile(&settings)
}

fn map_window(rules: &Rules, window: ReadWindow<'_>, room: usize) -> MappedChunk {
    let context = MapContext {
        rules,
        source: SourceIndex(0),
        stream_key: &[7; 32],
        generation: Generation::default(),
        path: "/var/log/a.log",
        captures: &Captures::new(),
        expected: None,
        long_line: None,
        polar_now: NOW.parse().unwrap(),
        room,
    };
    map(&context, window, &mut Scratch::default()).unwrap()
}

/// What came of a file, however it was read.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sum {
    body: Vec<u8>,
    letters: Vec<u8>,
    tally: Tally,
    billed: u64,
    at: u64,
    carry: Carry,
}

impl Sum {
    /// Takes what may be read up to `until`.
    fn read(&mut self, rules: &Rules, file: &[u8], until: usize, end: End<'_>, room: usize) {
        loop {
            let from = usize::try_from(self.at).unwrap();
            let before = &file[from.saturating_sub(Guard::REACH)..from];
            let header = self.carry.header.map_or(&b""[..], |at| {
                let rest = &file[usize::try_from(at.0).unwrap()..];
                &rest[..rest.iter().position(|byte| *byte == b'\n').unwrap()]
            });
            let window = ReadWindow {
                end,
                carry: self.carry,
                header,
                ..ReadWindow::new(before, Offset(self.at), &file[from..until])
            };
            let chunk = map_window(rules, window, room);
            self.body.extend(&chunk.body);
            self.letters.extend(&chunk.letters);
            let mut tally = chunk.settled.clone();
            tally.merge(&chunk.in_letters);
            for line in &chunk.lines {
                tally.add(Fate::Billed, 1, line.len.into());
            }
            if let Some(span) = chunk.span {
                assert_eq!(span.start.0, self.at);
                assert_eq!(tally.total().bytes, span.len(), "the account of a chunk adds up");
                self.at = span.end.0;
                self.carry = chunk.carry;
            } else {
                assert_eq!(tally.total().bytes, 0);
            }
            self.billed += chunk.lines.len() as u64;
            self.tally.merge(&tally);
            if chunk.stop != Stop::BodyFull {
                return;
            }
        }
    }
}

/// The outcome of the whole file at once.
fn at_once(rules: &Rules, file: &[u8]) -> Sum {
    let mut sum = Sum::default();
    sum.read(rules, file, file.len(), End::File { beyond: b"" }, usize::MAX);
    assert_eq!(sum.at, file.len() as u64);
    sum
}

/// The file, seen first up to each of its bytes, in one chunk and line by line, gives the same.
#[track_caller]
fn check_cuts(rules: &Rules, file: &[u8]) -> Sum {
    let wanted = at_once(rules, file);
    for until in 0..=file.len() {
        for room in [1, usize::MAX] {
            let mut sum = Sum::default();
            sum.read(rules, file, until, End::More, room);
            sum.read(rules, file, file.len(), End::More, room);
            sum.read(rules, file, file.len(), End::File { beyond: b"" }, room);
            assert_eq!(sum, wanted, "cut at {until}, room {room}");
        }
    }
    wanted
}

fn cri(output: &str, tag: &str, text: &str) -> String {
    format!("{TIME} {output} {tag} {text}\n")
}

fn docker(output: &str, text: &str) -> String {
    format!(
        "{{\"log\":{},\"stream\":\"{output}\",\"time\":\"{TIME}\"}}\n",
        serde_json::to_string(text).unwrap()
    )
}

const USAGE: &str = r#"{"event":"usage","customer":"acme","units":3}"#;

#[test]
fn fragments_of_both_outputs_are_joined_wherever_they_are_cut() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"");
    for cut in 0..=USAGE.len() {
        let (head, tail) = USAGE.split_at(cut);
        let file = [
            cri("stdout", "P", head),
            cri("stderr", "P", "{\"event\":\"usage\",\"customer\":\"glo"),
            cri("stdout", "F", tail),
            cri("stderr", "P", "bex\",\"uni"),
            cri("stdout", "F", "noise"),
            cri("stderr", "F", "ts\":4}"),
            cri("stdout", "F", USAGE),
        ]
        .concat();
        // Every cut of the file for some cuts of the line, one for the others.
        let sum =
            if cut % 9 == 0 { check_cuts(&rules, file.as_bytes()) } else { at_once(&rules, file.as_bytes()) };
        let found: Vec<_> = events(&sum.body)
            .iter()
            .map(|event| {
                (
                    event["external_customer_id"].clone(),
                    event["metadata"]["units"].clone(),
                    event["metadata"]["stream"].clone(),
                )
            })
            .collect();
        let event = |customer: &str, units: u32, stream: &str| (customer.into(), units.into(), stream.into());
        assert_eq!(
            found,
            [event("acme", 3, "stdout"), event("globex", 4, "stderr"), event("acme", 3, "stdout")],
            "{cut}"
        );
        assert_eq!(sum.tally.get(Fate::Ignored(Ignored::NoRule)).lines, 1);
        assert_eq!(events(&sum.body)[0]["metadata"]["at"], TIME);
    }
}

#[test]
fn fragments_of_docker_are_joined_wherever_they_are_cut() {
    let rules = rules("format = \"json\"\ncontainer = \"docker\"");
    let with_escapes = r#"{"event":"usage","customer":"a\"c\u00e9\n","units":3}"#;
    for cut in (0..=with_escapes.len()).filter(|cut| with_escapes.is_char_boundary(*cut)) {
        let (head, tail) = with_escapes.split_at(cut);
        let file = [docker("stdout", head), docker("stderr", "x\n"), docker("stdout", &format!("{tail}\n"))]
            .concat();
        let sum =
            if cut % 9 == 0 { check_cuts(&rules, file.as_bytes()) } else { at_once(&rules, file.as_bytes()) };
        let found = events(&sum.body);
        assert_eq!(found.len(), 1, "{cut}");
        assert_eq!(found[0]["external_customer_id"], "a\"cé\n");
    }
}

#[test]
fn the_id_of_a_record_is_that_of_its_first_line() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"");
    let (head, tail) = USAGE.split_at(20);
    let first = cri("stdout", "P", head);
    let file = [cri("stdout", "F", "noise"), first.clone(), cri("stdout", "F", tail)].concat();
    let sum = at_once(&rules, file.as_bytes());
    let at = Offset(cri("stdout", "F", "noise").len() as u64);
    let id =
        floe::mapping::identity::external_id(&[7; 32], at, first.trim_end_matches('\n').as_bytes(), "", 0);
    assert_eq!(events(&sum.body)[0]["external_id"], std::str::from_utf8(&id).unwrap());
}

#[test]
fn a_fragment_whose_file_ends_goes_on_in_the_next_file() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"");
    let (head, tail) = USAGE.split_at(20);
    let old = [cri("stdout", "P", head), cri("stderr", "F", USAGE)].concat();
    let new = [cri("stderr", "F", USAGE), cri("stdout", "F", tail), cri("stdout", "F", USAGE)].concat();

    let mut sum = Sum::default();
    sum.read(&rules, old.as_bytes(), old.len(), End::File { beyond: new.as_bytes() }, usize::MAX);
    assert_eq!(sum.billed, 2);
    assert_eq!(sum.tally.total().bytes, old.len() as u64);
    assert!(sum.carry.unfinished.stdout && !sum.carry.unfinished.stderr);

    let mut next = Sum { carry: sum.carry, ..Sum::default() };
    next.read(&rules, new.as_bytes(), new.len(), End::More, usize::MAX);
    assert_eq!(next.billed, 2, "the rest of the old file's record is not billed again");
    assert_eq!(next.tally.get(Fate::Ignored(Ignored::RestOfLine)).lines, 1);
    assert!(next.carry.unfinished.is_empty());

    let mut alone = Sum::default();
    alone.read(&rules, old.as_bytes(), old.len(), End::File { beyond: b"" }, usize::MAX);
    assert_eq!(alone.billed, 1);
    assert_eq!(
        letters(&MappedChunk {
            letters: alone.letters,
            ..MappedChunk::empty(Guard::NOTHING, Stop::BodyFull)
        })[0]["reason"],
        "partial_eof"
    );
}

#[test]
fn behind_a_line_that_was_torn_off_at_the_end_of_its_file_stand_other_lines() {
    let rules = rules("container = \"cri\"\nformat = \"json\"");
    let first = cri("stdout", "P", "{\"event\":\"usage\",\"customer\":\"a\",");
    for torn in 1..TIME.len() + " stdout F ".len() {
        let end = cri("stdout", "F", "\"units\":1}");
        let ended = format!("{first}{}", &end[..torn]);
        let mut sum = Sum::default();
        sum.read(&rules, ended.as_bytes(), ended.len(), End::File { beyond: b"" }, usize::MAX);
        assert_eq!((sum.billed, sum.carry.unfinished), (0, Outputs::NONE), "torn off after {torn} bytes");
    }
}

#[test]
fn a_fragment_that_never_ends_holds_nothing_up_for_ever() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"\nmax_line_bytes = \"1KiB\"");
    let mut file = cri("stderr", "P", "{\"event\":\"usage\",");
    while file.len() < 140 * 1024 {
        file += &cri("stdout", "F", USAGE);
    }
    file += &cri("stderr", "F", "\"customer\":\"acme\",\"units\":3}");
    file += &cri("stderr", "F", USAGE);
    let mut sum = Sum::default();
    sum.read(&rules, file.as_bytes(), 64 * 1024, End::More, usize::MAX);
    assert_eq!(sum.at, 0, "its end may still come");
    sum.read(&rules, file.as_bytes(), 136 * 1024, End::More, usize::MAX);
    assert!(sum.at > 130 * 1024);
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::LineTooLong)).lines, 1);
    sum.read(&rules, file.as_bytes(), file.len(), End::More, usize::MAX);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::RestOfLine)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::LineTooLong)).lines, 1);
    assert_eq!(sum.at, file.len() as u64);
}

#[test]
fn a_line_beyond_what_is_read_for_one_record_holds_nothing_up() {
    let rules = rules(&format!("format = \"regex\"\n{PATTERN}\n{STARTS}\nmax_line_bytes = \"100KiB\""));
    // An open record, and a line behind it that ends beyond the largest window: reach and 64 KiB.
    let reach = 2 * 100 * 1024 + 128 * 1024;
    let open = format!("2026-11-20 usage acme 3 {}\n", "x".repeat(70_000));
    let file = format!("{open}  {}\n2026-11-20 usage acme 4\n", "y".repeat(reach + 50_000));
    let mut sum = Sum::default();
    sum.read(&rules, file.as_bytes(), reach + 64 * 1024, End::More, usize::MAX);
    assert_eq!(sum.at, open.len() as u64, "the record is cut off before the line");
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::LineTooLong)).lines, 1);

    // A line that begins a record ends the one before it, however long it is.
    let file = format!("2026-11-20 usage acme 3\n2026-11-20 usage acme {}", "4".repeat(reach + 50_000));
    let mut sum = Sum::default();
    sum.read(&rules, file.as_bytes(), file.len(), End::More, usize::MAX);
    assert_eq!(sum.billed, 1);
}

#[test]
fn a_prefix_is_read_also_of_a_line_that_is_read_twice() {
    let rules = rules("format = \"json\"\nprefix = '(?<customer>\\S+) '");
    let sum =
        at_once(&rules, b"acme {\"event\":\"usage\",\"units\":3,\"more\":{\"a\":1e999},\"x\":\"\\ud800\"}\n");
    assert_eq!(events(&sum.body)[0]["external_customer_id"], "acme");
}

#[test]
fn a_record_that_is_too_long_is_quarantined_whole() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"\nmax_line_bytes = \"1KiB\"");
    let pad = "x".repeat(600);
    let file = [
        cri("stdout", "P", &format!("{{\"event\":\"usage\",\"pad\":\"{pad}")),
        cri("stdout", "P", &pad),
        cri("stdout", "P", &pad),
        cri("stdout", "F", "\"}"),
        cri("stdout", "F", USAGE),
    ]
    .concat();
    let sum = check_cuts(&rules, file.as_bytes());
    assert_eq!(sum.billed, 1);
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::LineTooLong)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::RestOfLine)).lines, 2);
}

#[test]
fn a_line_that_no_runtime_wrapped_is_quarantined_only_where_it_is_wanted() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"");
    let file =
        [USAGE.to_owned() + "\n", "hello\n".to_owned(), "\n".to_owned(), cri("stdout", "F", USAGE)].concat();
    let sum = check_cuts(&rules, file.as_bytes());
    assert_eq!(sum.billed, 1);
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::InvalidContainer)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::NoRule)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::Empty)).lines, 1);
}

const STARTS: &str = "multiline = { start = '^\\d{4}-', max_lines = 4 }";
const PATTERN: &str = r"pattern = '(?s)^(?<ts>\S+) (?<event>\w+) (?<customer>\w+) (?<units>\d+)(?<rest>.*)$'";

#[test]
fn lines_that_do_not_start_a_record_continue_it() {
    let rules = rules(&format!("format = \"regex\"\n{PATTERN}\n{STARTS}"));
    let file = "  a stray one\n\n2026-11-20 usage acme 3\n2026-11-20 other x 1\n  at a\n\n  at b\n2026-11-20 usage globex 4\n  more\n  usage\n";
    let sum = check_cuts(&rules, file.as_bytes());
    assert_eq!(sum.billed, 2);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::Continuation)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::Empty)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::NoRule)).lines, 1, "the record of four lines");
}

#[test]
fn quiet_ends_the_last_record_and_what_comes_late_is_counted() {
    let rules = rules(&format!("format = \"regex\"\n{PATTERN}\n{STARTS}"));
    let file = "2026-11-20 usage acme 3\n  more\n  late\n2026-11-20 usage acme 4\n";
    let until = file.find("  late").unwrap();
    let mut sum = Sum::default();
    sum.read(&rules, file.as_bytes(), until, End::More, usize::MAX);
    assert_eq!((sum.billed, sum.at), (0, 0));
    sum.read(&rules, file.as_bytes(), until + 3, End::Quiet, usize::MAX);
    assert_eq!((sum.billed, sum.at), (0, 0), "a line that has no end yet is never cut off");
    sum.read(&rules, file.as_bytes(), until, End::Quiet, usize::MAX);
    assert_eq!((sum.billed, sum.at), (1, until as u64));
    sum.read(&rules, file.as_bytes(), file.len(), End::Quiet, usize::MAX);
    assert_eq!(sum.billed, 2);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::Continuation)).lines, 1);
    assert_eq!(at_once(&rules, file.as_bytes()).billed, 2);
}

#[test]
fn a_record_of_too_many_lines_is_quarantined_and_what_follows_is_not() {
    let rules = rules(&format!("format = \"regex\"\n{PATTERN}\n{STARTS}"));
    let file = "2026-11-20 usage acme 3\na\nb\nc\nd\ne\n2026-11-20 usage acme 4\n";
    let sum = check_cuts(&rules, file.as_bytes());
    assert_eq!(sum.billed, 1);
    assert_eq!(sum.tally.get(Fate::Quarantined(Quarantined::LineTooLong)).lines, 1);
    assert_eq!(sum.tally.get(Fate::Ignored(Ignored::Continuation)).lines, 1);
}

#[test]
fn records_of_several_lines_are_joined_inside_a_container() {
    let rules = rules(&format!("format = \"regex\"\n{PATTERN}\n{STARTS}\ncontainer = \"cri\""));
    let file = [
        cri("stdout", "F", "2026-11-20 other x 1"),
        cri("stdout", "F", "  at a"),
        cri("stderr", "F", "2026-11-20 usage acme 3"),
        cri("stderr", "P", "  one "),
        cri("stderr", "F", "line"),
        cri("stdout", "P", "2026-11-20 usa"),
        cri("stdout", "F", "ge globex 4"),
    ]
    .concat();
    let sum = check_cuts(&rules, file.as_bytes());
    assert_eq!(sum.billed, 2);
}

#[test]
fn a_line_without_its_end_is_billed_only_if_it_is_a_closed_object() {
    let rules = rules("format = \"json\"\ncontainer = \"cri\"");
    #[track_caller]
    fn check(rules: &Rules, file: &str, billed: u64) {
        let file = file.strip_suffix('\n').unwrap();
        let sum = at_once(rules, file.as_bytes());
        assert_eq!(sum.billed, billed, "{file}");
        let partial = sum.tally.get(Fate::Quarantined(Quarantined::PartialEof)).lines;
        assert_eq!(partial, 1 - billed, "{file}");
    }
    check(&rules, &cri("stdout", "F", USAGE), 1);
    check(&rules, &cri("stdout", "P", USAGE), 0);
    check(&rules, &cri("stdout", "F", &USAGE[..USAGE.len() - 1]), 0);
}

const QUOTED: &str =
    "format = \"delimited\"\ncolumns = [\"ts\", \"event\", \"customer\", \"units\", \"text\"]\n";

/// Billed customers and outcomes, as the quotes of the records say.
#[track_caller]
fn check_quotes(file: &str, billed: &[&str], outcomes: &[(Fate, u64)]) {
    let sum = check_cuts(&rules(&format!("{QUOTED}{STARTS}")), file.as_bytes());
    let found: Vec<_> = events(&sum.body).iter().map(|event| event["external_customer_id"].clone()).collect();
    assert_eq!(found, billed, "{file}");
    for (fate, lines) in outcomes {
        assert_eq!(sum.tally.get(*fate).lines, *lines, "{fate:?} of {file}");
    }
}

#[test]
fn a_line_inside_a_quote_begins_no_record() {
    const FORGED: &str = "2026-11-20,usage,globex,4,";
    let too_long = Fate::Quarantined(Quarantined::LineTooLong);
    let real = |text: &str| format!("2026-11-20,usage,acme,3,\"{text}\"\n");
    let next = "2026-11-20,usage,initech,5,\"\"\n";
    check_quotes(&(real(&format!("a\n{FORGED}")) + next), &["acme", "initech"], &[(too_long, 0)]);
    check_quotes(&(real(&format!("\"\"\n{FORGED}\"\"\"\"")) + next), &["acme", "initech"], &[]);
    // Nor behind the limit, where it is shown to people.
    let long = real(&format!("a\nb\nc\nd\ne\n{FORGED}\nf"));
    check_quotes(&(long + next), &["initech"], &[(too_long, 2), (Fate::Ignored(Ignored::RestOfLine), 1)]);
    // A quote inside of a value is text.
    check_quotes(
        "2026-11-20,usage,acme,3,5\" pipe\n2026-11-20,usage,initech,5,\n",
        &["acme", "initech"],
        &[],
    );
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_record() {
    let refused = Fate::Quarantined(Quarantined::InvalidFormat);
    let torn = "2026-11-20,usage,acme,3,\"a";
    check_quotes(&format!("{torn}\n2026-11-20,usage,\"initech\",5,\n"), &["initech"], &[(refused, 1)]);
    check_quotes(&format!("{torn}\n"), &[], &[(refused, 1)]);
    // Where nothing tells that it is lost, what follows is quarantined and not billed.
    let next = "2026-11-20,usage,initech,5,x\n";
    let too_long = Fate::Quarantined(Quarantined::LineTooLong);
    check_quotes(
        &format!("{torn}\n{}2026-11-20,usage,\"acme\",5,\n", next.repeat(6)),
        &["acme"],
        &[(too_long, 3)],
    );
}

#[test]
fn quiet_does_not_end_a_record_inside_a_quote() {
    let rules = rules(&format!("{QUOTED}{STARTS}"));
    let file = "2026-11-20,usage,acme,3,\"a\n2026-11-20,usage,globex,4,\n\"\n";
    let mut sum = Sum::default();
    sum.read(&rules, file.as_bytes(), file.find("2026-11-20,usage,globex").unwrap(), End::Quiet, usize::MAX);
    assert_eq!((sum.billed, sum.at), (0, 0));
    sum.read(&rules, file.as_bytes(), file.len(), End::Quiet, usize::MAX);
    assert_eq!((sum.billed, sum.at), (1, file.len() as u64));
}
