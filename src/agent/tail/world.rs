//! A few files in memory, and an agent that follows them: for tests of which file is which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::border::{
    Against, Agreement, Asked, Effect, Input, Now, Outcome, ReadBytes, Sighting, Whom,
};
use crate::agent::checkpoint::Checkpoint;
use crate::agent::{Agent, Restored};
use crate::config::Settings;
use crate::mapping::identity::HEAD_BYTES;
use crate::mapping::{Rules, Scratch};
use crate::model::chunk::Outputs;
use crate::model::{FileKey, Guard, Moment, Offset, SourceIndex, StreamId};
use crate::polar::answer::{AnswerHead, read_answer};

const SECOND: u64 = 1_000_000_000;

/// More steps than any of these tests needs.
const MOST_STEPS: u32 = 100_000;

pub(super) struct World {
    settings: Arc<Settings>,
    agent: Agent,
    nanos: u64,
    /// By path: inode and content.
    files: BTreeMap<String, (u64, Vec<u8>)>,
    open: BTreeMap<StreamId, u64>,
    /// Paths that cannot be opened for now, and who waits for them.
    slow: BTreeSet<String>,
    waiting: Vec<(StreamId, FileKey)>,
    scratch: Scratch,
    /// Polar answers nothing.
    pub is_polar_silent: bool,
    /// Reads from the beginning of a file: which, when (in seconds), and what went on in it.
    pub begun: Vec<(String, u64, Outputs)>,
    /// What the operator was told.
    pub said: Vec<String>,
    pub has_stopped: bool,
    checkpoint: Option<Vec<u8>>,
}

impl World {
    /// `source`: its keys, as a config says them.
    pub(super) fn new(source: &str) -> Self {
        let config = format!(
            "instance = \"world\"\nstate_dir = \"/s\"\n[polar]\nserver = \"https://polar.invalid\"\ntoken_env = \"T\"\n\
             [[sources]]\nid = \"app\"\ninclude = [\"/logs/*.log\"]\nformat = \"json\"\n{source}\n\
             [[rules]]\nid = \"use\"\nwhen = {{ event = \"use\" }}\n\
             [rules.event]\nname = \"use\"\nexternal_customer_id = \"{{who}}\"\n"
        );
        let texts = [(PathBuf::from("floe.toml"), config)];
        let loaded = crate::config::load_from_texts(&texts, &crate::config::Environment::new(), Some("test"));
        let settings = Arc::new(loaded.unwrap_or_else(|faults| panic!("{faults}")).settings);
        Self {
            agent: agent(&settings, None, 0),
            settings,
            nanos: 0,
            files: BTreeMap::new(),
            open: BTreeMap::new(),
            slow: BTreeSet::new(),
            waiting: Vec::new(),
            scratch: Scratch::default(),
            is_polar_silent: false,
            begun: Vec::new(),
            said: Vec::new(),
            has_stopped: false,
            checkpoint: None,
        }
    }

    pub(super) fn write(&mut self, path: &str, inode: u64, content: &str) {
        self.files.insert(path.to_owned(), (inode, content.as_bytes().to_vec()));
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.files.remove(path).expect("a file that is removed stands there");
    }

    /// Opening the file has no answer until [`World::opens`].
    pub(super) fn opens_slowly(&mut self, path: &str) {
        self.slow.insert(path.to_owned());
    }

    pub(super) fn opens(&mut self) {
        self.slow.clear();
        for (stream, file) in std::mem::take(&mut self.waiting) {
            self.open.insert(stream, file.inode);
            self.agent.handle(self.now(), Input::Opened { stream, result: Ok(()) });
        }
    }

    /// The process is killed, and another one begins with the last checkpoint.
    pub(super) fn restart(&mut self) {
        let checkpoint =
            self.checkpoint.as_deref().map(|bytes| Checkpoint::read(bytes).expect("it is whole"));
        self.open.clear();
        self.agent = agent(&self.settings, checkpoint, self.nanos);
    }

    pub(super) fn drain(&mut self, seconds: u64) {
        let by = Moment::from_nanos(self.nanos + seconds * SECOND);
        self.agent.handle(self.now(), Input::Drain { by });
    }

    pub(super) fn seconds(&self) -> u64 {
        self.nanos / SECOND
    }

    /// All that happens within so many seconds.
    pub(super) fn run_for(&mut self, seconds: u64) {
        let until = self.nanos + seconds * SECOND;
        let mut inputs = VecDeque::new();
        for _ in 0..MOST_STEPS {
            while let Some(effect) = self.agent.poll() {
                inputs.extend(self.perform(effect));
            }
            let input = match inputs.pop_front() {
                Some(input) => input,
                None => match self.agent.deadline().map(Moment::as_nanos).filter(|due| *due <= until) {
                    Some(due) => {
                        self.nanos = due.max(self.nanos);
                        Input::Tick
                    }
                    None => {
                        self.nanos = until;
                        return;
                    }
                },
            };
            self.agent.handle(self.now(), input);
            self.agent.check_invariants();
        }
        panic!("the agent runs in circles: {:?}", self.said);
    }

    fn now(&self) -> Now {
        at(self.nanos)
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        Some(match effect {
            Effect::Look => Input::Looked(self.files.iter().map(|file| self.sighting(file)).collect()),
            Effect::Ask { ask, whom, at, against } => {
                Input::Told { ask, result: Ok(self.asked(&whom, &at, against)) }
            }
            Effect::Open { stream, path, file } if self.slow.contains(&path) => {
                self.waiting.push((stream, file));
                return None;
            }
            Effect::Open { stream, file, .. } => {
                self.open.insert(stream, file.inode);
                Input::Opened { stream, result: Ok(()) }
            }
            Effect::Close(stream) => {
                self.open.remove(&stream);
                return None;
            }
            Effect::Read(order) => {
                let bytes = self.content(self.open[&order.stream]).to_vec();
                if order.from == Offset::ZERO {
                    self.begun.push((order.path.to_string(), self.seconds(), order.carry.unfinished));
                }
                let from = usize::try_from(order.from.0).expect("these files are short");
                let beyond = order.beyond.map(|(stream, _)| self.content(self.open[&stream]).to_vec());
                let read = ReadBytes {
                    before: &bytes[from.saturating_sub(Guard::REACH)..from],
                    bytes: &bytes[from..],
                    beyond: beyond.as_deref().unwrap_or_default(),
                    ..ReadBytes::default()
                };
                let result = order.map(read, &mut self.scratch);
                Input::Mapped { read: order.read, result, size: bytes.len() as u64 }
            }
            Effect::Post { .. } if self.is_polar_silent => return None,
            Effect::Post { request, body } => {
                let body = String::from_utf8(body.to_bytes().to_vec()).expect("a body is JSON");
                let inserted = body.matches("\"external_id\"").count();
                let answer = format!("{{\"inserted\":{inserted},\"duplicates\":0}}");
                let head = AnswerHead { status: 200, ..AnswerHead::default() };
                let outcome = Outcome::Answer(read_answer(&head, answer.as_bytes()));
                Input::Answered { request, outcome, polar_clock: Some(self.now().wall) }
            }
            Effect::Quarantine { letters, .. } => Input::Quarantined { letters, result: Ok(()) },
            Effect::Save { save, checkpoint, .. } => {
                self.checkpoint = Some(checkpoint.to_vec());
                Input::Saved { save, result: Ok(()) }
            }
            Effect::SaveFloors { save, .. } => Input::Saved { save, result: Ok(()) },
            Effect::Tell(notice) => {
                self.said.push(notice.message);
                return None;
            }
            Effect::Stop => {
                self.has_stopped = true;
                return None;
            }
            Effect::Discard { .. } => unreachable!("there is no spool"),
        })
    }

    fn sighting(&self, (path, (inode, content)): (&String, &(u64, Vec<u8>))) -> Sighting {
        Sighting {
            source: SourceIndex(0),
            path: path.as_str().into(),
            file: key(*inode),
            size: content.len() as u64,
            modified: content.len() as u64,
            matched: self.settings.sources[0].files.captures(path).map(Arc::new),
        }
    }

    fn content(&self, inode: u64) -> &[u8] {
        let found = self.files.values().find(|(known, _)| *known == inode);
        &found.expect("no file of these tests is read that is gone").1
    }

    fn asked(&self, whom: &Whom, at: &[Offset], against: Option<Against>) -> Asked {
        let bytes = match whom {
            Whom::At { file, .. } => self.content(file.inode),
            Whom::Open(stream) => self.content(self.open[stream]),
        };
        let guard = |at: &Offset| {
            let before = bytes.get(..usize::try_from(at.0).ok()?)?;
            Some((Guard::at_end_of(before), before.last().copied()))
        };
        let agreement = against.map(|against| {
            let other = self.content(self.open[&against.stream]);
            let same = bytes.iter().zip(other).take_while(|(one, two)| one == two).count();
            let differs = same < bytes.len().min(other.len());
            Agreement { until: Offset(same as u64), differs }
        });
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        Asked { size: bytes.len() as u64, head, guards: at.iter().map(guard).collect(), agreement }
    }
}

const fn key(inode: u64) -> FileKey {
    FileKey { device: 1, inode, born: 1 }
}

fn at(nanos: u64) -> Now {
    let wall = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_nanos(i64::try_from(nanos).expect("hours"));
    Now { moment: Moment::from_nanos(nanos), wall }
}

fn agent(settings: &Arc<Settings>, checkpoint: Option<Checkpoint>, nanos: u64) -> Agent {
    let rules = Arc::new(Rules::compile(settings));
    Agent::new(Arc::clone(settings), rules, Restored { checkpoint, ..Restored::default() }, at(nanos), 1)
}
