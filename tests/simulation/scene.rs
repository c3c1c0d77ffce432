//! What a history plays with: settings, and which lines, moves and faults it may have.
//!
//! Each seed switches a random part of everything off. Histories that do few things do them deeply, and meet
//! combinations that histories which do everything never meet.

use std::sync::Arc;
use std::time::Duration;

use floe::config::Settings;
use floe::config::language::{Condition, Customer, EventTemplate, Literal, Operand, Test, Value};
use floe::config::language::{parse_path, parse_template};
use floe::config::settings::{
    AdminListen, Container, DeliverySettings, FilePattern, FilePatterns, Format, Input, LimitSettings, Mode,
    PolarSettings, ReadFrom, RuleSettings, SourceSettings, TokenSource,
};

use crate::lines::{Kind, MAX_LINE_BYTES};
use crate::random::Random;
use crate::storm::Move;

#[derive(Debug)]
pub struct Scene {
    pub settings: Arc<Settings>,
    pub kinds: Vec<(Kind, u64)>,
    pub moves: Vec<(Move, u64)>,
    /// How many moves the storm makes.
    pub moves_count: u64,
    /// Usual and rare waits between two moves.
    pub pause_ms: (u64, u64),
    /// Each new file of these logs begins with the same line.
    pub equal_first_lines: bool,
    /// A container's runtime writes the logs, and cuts some lines.
    pub wraps: bool,
    /// Checkpoints may be lost as a whole.
    pub loses_checkpoints: bool,
    /// Of a hundred starts of the daemon, before how many a backfill runs.
    pub backfills: u64,
    /// Inodes of deleted files are given to new ones.
    pub reuses_inodes: bool,
    /// The file system knows when a file was made.
    pub tells_births: bool,
    /// Copies of copytruncate match the glob.
    pub copies_match: bool,
    /// Of a hundred changes, how many the daemon is told of at once.
    pub nudges: u64,
    /// Of a hundred requests, how many go astray.
    pub astray: u64,
    /// How long one disk operation takes.
    pub disk_ms: (u64, u64),
    pub request_ms: (u64, u64),
}

/// Folder, include, and the name of a log in it.
const SOURCES: &[(&str, &str, &str, ReadFrom)] = &[
    ("app", "/var/log/app/", "app*.log", ReadFrom::Beginning),
    ("web", "/var/log/web/", "*.log", ReadFrom::Beginning),
    // In the folder of `app`.
    ("job", "/var/log/app/", "job*.log", ReadFrom::Beginning),
    ("old", "/var/log/old/", "old*.log", ReadFrom::End),
];

impl Scene {
    pub fn new(random: &mut Random) -> Self {
        let equal_first_lines = random.chance(25);
        let wraps = random.chance(25);
        let settings = Arc::new(settings(wraps, random));
        Self {
            settings,
            wraps,
            kinds: some_of(Kind::COMMON, 60, random),
            moves: some_of(Move::COMMON, 60, random),
            moves_count: random.between(120, 400),
            pause_ms: *random.pick(&[(20, 500), (200, 5_000), (1_000, 40_000), (5, 20_000)]),
            equal_first_lines,
            loses_checkpoints: !equal_first_lines && random.chance(30),
            backfills: *random.clone().pick(&[0, 0, 20, 60]),
            reuses_inodes: random.chance(60),
            tells_births: random.chance(70),
            copies_match: random.chance(40),
            nudges: *random.pick(&[0, 30, 100]),
            astray: *random.pick(&[0, 0, 5, 30]),
            disk_ms: *random.pick(&[(0, 0), (1, 20), (20, 1_000), (100, 10_000)]),
            request_ms: *random.pick(&[(1, 50), (50, 500), (500, 20_000)]),
        }
    }
}

impl Scene {
    /// A copy with the inode of what it was copied from is, without a time of birth, that file under another name.
    pub fn copies_reuse_inodes(&self) -> bool {
        self.reuses_inodes && self.tells_births
    }
}

/// The whole list's first entry, and each other one with this chance.
fn some_of<T: Copy>(all: &[(T, u64)], percent: u64, random: &mut Random) -> Vec<(T, u64)> {
    all.iter().enumerate().filter(|(at, _)| *at == 0 || random.chance(percent)).map(|(_, one)| *one).collect()
}

fn settings(wraps: bool, random: &mut Random) -> Settings {
    let sources: Vec<SourceSettings> = SOURCES
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || random.chance(50))
        // Where a floor stands in the middle of a wrapped line, nothing tells so.
        .filter(|(_, (_, _, _, read_from))| !wraps || *read_from == ReadFrom::Beginning)
        .map(|(_, (id, folder, include, read_from))| SourceSettings {
            container: if wraps { Container::Cri } else { Container::None },
            ..source(id, folder, include, *read_from)
        })
        .collect();
    let every_source: Vec<u16> = (0..).take(sources.len()).collect();
    Settings {
        state_dir: "/var/lib/floe".into(),
        instance: "simulation".to_owned(),
        polar: PolarSettings {
            base_url: "https://polar.invalid".to_owned(),
            token: TokenSource::Credential,
            mode: Mode::Live,
            proxy: None,
            ca_file: None,
            request_timeout: REQUEST_TIMEOUT,
            live_from: None,
            reconcile_key: None,
        },
        delivery: DeliverySettings {
            batch_max_events: *random.pick(&[1, 3, 20, 500]),
            batch_max_bytes: *random.pick(&[64 * 1024, 1024 * 1024]),
            batch_max_wait: Duration::from_millis(*random.pick(&[0, 50, 1_000, 5_000])),
            concurrency: *random.pick(&[1, 2, 4, 16]),
            requests_per_minute: *random.pick(&[30, 60, 300, 3_000]),
            max_future: MAX_FUTURE,
        },
        limits: LimitSettings {
            memory: *random.pick(&[512 * 1024, 2 * 1024 * 1024]),
            window: *random.pick(&[2 * 1024, 64 * 1024, 1024 * 1024]),
            quarantine_max_bytes: 1 << 30,
            quarantine_malformed_max_bytes: 1 << 30,
            shadow_max_bytes: 1 << 30,
            mapping_threads: 2,
            open_files: *random.pick(&[2, 5, 1_000]),
            drain_timeout: Duration::from_secs(20),
            sweep_interval: Duration::from_millis(*random.pick(&[2_000, 5_000, 10_000])),
        },
        admin: AdminListen::Off,
        sources,
        rules: rules(&every_source, 0, false),
        tests: Vec::new(),
    }
}

pub const MAX_FUTURE: Duration = Duration::from_secs(600);
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

fn source(id: &str, folder: &str, include: &str, read_from: ReadFrom) -> SourceSettings {
    let stem = include.strip_suffix("*.log").expect("all names are alike");
    let pattern = FilePattern {
        text: format!("{folder}{include}"),
        base: folder.into(),
        depth: Some(0),
        regex: regex::Regex::new(&format!("^{folder}{stem}[^/]*\\.log$")).expect("a plain expression"),
    };
    SourceSettings {
        id: id.to_owned(),
        input: Input::Files,
        files: FilePatterns::new(vec![pattern], Vec::new()),
        container: Container::None,
        multiline: None,
        prefix: None,
        format: Format::Json,
        preset: None,
        read_from,
        max_line_bytes: MAX_LINE_BYTES,
    }
}

/// The settings after an edit: rules in another order, other values in them, and maybe one more.
pub fn edited(settings: &Settings, edition: u64, wants_extra: bool) -> Settings {
    let every_source: Vec<u16> = (0..).take(settings.sources.len()).collect();
    Settings { rules: rules(&every_source, edition, wants_extra), ..settings.clone() }
}

fn rules(sources: &[u16], edition: u64, wants_extra: bool) -> Vec<RuleSettings> {
    let edition_value = ("edition", Value::Literal(Literal::Number(edition.into())));
    let ends = |mut rule: RuleSettings| {
        rule.sources = sources.to_vec();
        let (key, value) = edition_value.clone();
        rule.event.metadata.push((key.to_owned(), value));
        rule
    };
    let external = || Customer::External { id: template("{org}"), member: None };
    let audit = RuleSettings {
        also: true,
        when: Condition::All(vec![
            is("event", "use"),
            holds("audit", Test::Eq(Operand::Literal(Literal::Bool(true)))),
        ]),
        ..rule("audit", "use", external(), &[("n", "{n}"), ("via", "also")])
    };
    let mut usage = rule(
        "use",
        "use",
        external(),
        &[("n", "{n}"), ("amount", "{amount | decimal}"), ("agent", "{agent}")],
    );
    usage.event.timestamp = Some(template("{ts}"));
    let polar = Customer::Polar { id: template("{customer}"), member: None };
    let seat = rule("seat", "seat", polar, &[("n", "{n}")]);
    let mut paid = rule("paid", "paid", external(), &[("request", "{request}")]);
    paid.event.external_id = Some(template("{request}"));
    let boot = rule("boot", "boot", external(), &[]);
    let mut rules = vec![audit, usage, seat, paid, boot];
    if wants_extra {
        rules.push(rule("extra", "extra", external(), &[("n", "{n}")]));
    }
    // `audit` stays before `use`, as an `also` rule must.
    let turn = usize::try_from(edition % 3).expect("a remainder is small");
    rules[2..].rotate_left(turn);
    if edition % 2 == 1 {
        let first_two: Vec<RuleSettings> = rules.drain(..2).collect();
        rules.extend(first_two);
    }
    rules.into_iter().map(ends).collect()
}

fn rule(id: &str, event: &str, customer: Customer, metadata: &[(&str, &str)]) -> RuleSettings {
    RuleSettings {
        id: id.to_owned(),
        sources: Vec::new(),
        when: is("event", event),
        unless: None,
        must: None,
        also: false,
        explode: None,
        event: EventTemplate {
            name: Value::Literal(Literal::Text(id.to_owned())),
            customer,
            timestamp: None,
            external_id: None,
            parent_id: None,
            metadata: metadata.iter().map(|(key, text)| ((*key).to_owned(), template(text))).collect(),
            cost: None,
            llm: None,
            organization_id: None,
        },
        place: format!("simulation:{id}"),
    }
}

fn template(text: &str) -> Value {
    Value::Template(parse_template(text).expect("the simulation's templates are good"))
}

fn is(path: &str, text: &str) -> Condition {
    holds(path, Test::Eq(Operand::Literal(Literal::Text(text.to_owned()))))
}

fn holds(path: &str, test: Test) -> Condition {
    Condition::Tests { path: parse_path(path).expect("the simulation's paths are good"), tests: vec![test] }
}
