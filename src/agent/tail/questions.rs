//! How many questions are under way: each answer holds the head of a file, and ten thousand heads are much memory.
//!
//! What is asked about a stream waits in a queue; candidates wait where they are, since each says itself whether
//! there is something to ask.

use std::sync::Arc;

use super::stream::Place;
use super::{Asking, Outbox, Tail};
use crate::agent::border::{AskId, Effect, Whom};
use crate::model::{FileKey, Offset, StreamId};

/// Questions under way, at most, but for those that a question was answered with.
pub(super) const MOST_QUESTIONS: usize = 64;

/// What is to be asked about a stream.
#[derive(Debug)]
pub(super) enum Question {
    /// Whether this file is the stream's own. `path`: by which it was seen.
    Verify { stream: StreamId, file: FileKey, path: Arc<str> },
    /// Lines that tell it from files that begin like it.
    Marks { stream: StreamId, ask: AskId },
}

impl Tail {
    /// How many questions may be asked now.
    pub(super) fn room_for_questions(&self) -> usize {
        MOST_QUESTIONS.saturating_sub(self.asking.len())
    }

    /// Asks as soon as there is room.
    pub(super) fn put(&mut self, question: Question, out: &mut Outbox) {
        self.questions.push_back(question);
        self.ask_queued(out);
    }

    /// Asks what waited for answers to others.
    pub(in crate::agent) fn ask_more(&mut self, out: &mut Outbox) {
        self.ask_queued(out);
        // Not at each answer, for all candidates are gone through.
        if self.left_to_ask && self.asking.len() <= MOST_QUESTIONS / 2 {
            self.left_to_ask = false;
            self.resolve_wanted = true;
        }
    }

    fn ask_queued(&mut self, out: &mut Outbox) {
        while self.room_for_questions() > 0
            && let Some(question) = self.questions.pop_front()
        {
            match question {
                Question::Verify { stream, file, path } => self.ask_whether(stream, file, path, out),
                Question::Marks { stream, ask } => self.ask_marks_of(stream, ask, out),
            }
        }
    }

    fn ask_whether(&mut self, id: StreamId, file: FileKey, path: Arc<str>, out: &mut Outbox) {
        let ask = AskId(self.new_id());
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.place == Place::Verifying { file })
        else {
            return;
        };
        let at: Vec<Offset> = stream.tell_tales().iter().map(|(offset, _)| *offset).collect();
        let whom = Whom::At { path: path.to_string(), file };
        self.asking.insert(ask, Asking::Verify { stream: id, at: at.clone(), path });
        out.push(Effect::Ask { ask, whom, at, against: None });
    }

    fn ask_marks_of(&mut self, id: StreamId, ask: AskId, out: &mut Outbox) {
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.asking == Some(ask)) else { return };
        let known = stream.known();
        let at = vec![known.position];
        self.asking.insert(ask, Asking::Marks { stream: id, known });
        out.push(Effect::Ask { ask, whom: Whom::Open(id), at, against: None });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};
    use std::path::PathBuf;

    use jiff::Timestamp;

    use super::*;
    use crate::agent::checkpoint::Checkpoint;
    use crate::agent::{Agent, Asked, Input, Now, Restored, Sighting};
    use crate::mapping::Rules;
    use crate::model::{Guard, Moment, SourceIndex};

    const FILES: u64 = 500;

    const CONFIG: &str = r#"
instance = "many"
state_dir = "/s"
[polar]
server = "https://polar.invalid"
token_env = "T"
[[sources]]
id = "app"
include = ["/logs/*.log"]
format = "json"
[[rules]]
id = "use"
when = { event = "use" }
[rules.event]
name = "use"
external_customer_id = "{who}"
"#;

    fn sighting(number: u64) -> Sighting {
        Sighting {
            source: SourceIndex(0),
            path: format!("/logs/{number}.log").into(),
            file: FileKey { device: 1, inode: number, born: 1 },
            size: content(number).len() as u64,
            modified: 1,
            matched: Some(Arc::default()),
        }
    }

    fn content(number: u64) -> Vec<u8> {
        format!("{{\"who\":\"{number}\"}}\n{{\"again\":{number}}}\n").into_bytes()
    }

    fn answer(whom: &Whom, at: &[Offset]) -> Asked {
        let Whom::At { file, .. } = whom else { unreachable!("nothing is read here") };
        let bytes = content(file.inode);
        let guard = |at: &Offset| {
            let before = bytes.get(..at.0 as usize)?;
            Some((Guard::at_end_of(before), before.last().copied()))
        };
        let guards = at.iter().map(guard).collect();
        Asked { size: bytes.len() as u64, head: bytes, guards, agreement: None }
    }

    /// Lets an agent see all files at once, and answers one question after the other. The last checkpoint comes back.
    fn all_are_opened(restored: Restored) -> Vec<u8> {
        let texts = [(PathBuf::from("floe.toml"), CONFIG.to_owned())];
        let loaded = crate::config::load_from_texts(&texts, &crate::config::Environment::new(), Some("test"));
        let settings = Arc::new(loaded.unwrap_or_else(|faults| panic!("{faults}")).settings);
        let rules = Arc::new(Rules::compile(&settings));
        let wall = Timestamp::UNIX_EPOCH;
        let at = |nanos| Now { moment: Moment::from_nanos(nanos), wall };
        let mut agent = Agent::new(settings, rules, restored, at(0), 1);
        let (mut asked, mut most, mut opened, mut saved) = (VecDeque::new(), 0, BTreeSet::new(), Vec::new());
        for round in 1.. {
            let mut answers = Vec::new();
            while let Some(effect) = agent.poll() {
                match effect {
                    Effect::Look => answers.push(Input::Looked((1..=FILES).map(sighting).collect())),
                    Effect::Ask { ask, whom, at, .. } => asked.push_back((ask, answer(&whom, &at))),
                    Effect::Open { stream, .. } => {
                        assert!(opened.insert(stream), "a file is opened once");
                        answers.push(Input::Opened { stream, result: Ok(()) });
                    }
                    Effect::Save { save, checkpoint, .. } => {
                        saved = checkpoint.to_vec();
                        answers.push(Input::Saved { save, result: Ok(()) });
                    }
                    Effect::SaveFloors { save, .. } => answers.push(Input::Saved { save, result: Ok(()) }),
                    _ => {}
                }
            }
            most = most.max(asked.len());
            if answers.is_empty() {
                match asked.pop_front() {
                    Some((ask, asked)) => answers.push(Input::Told { ask, result: Ok(asked) }),
                    None if opened.len() as u64 == FILES => break,
                    None => answers.push(Input::Tick),
                }
            }
            assert!(round < 100 * FILES, "{} of {FILES} files are opened", opened.len());
            for input in answers {
                agent.handle(at(round * 10_000_000), input);
            }
        }
        assert_eq!(most, MOST_QUESTIONS);
        agent.handle(at(u64::MAX / 2), Input::Tick);
        while let Some(effect) = agent.poll() {
            if let Effect::Save { checkpoint, .. } = effect {
                saved = checkpoint.to_vec();
            }
        }
        saved
    }

    #[test]
    fn however_many_files_there_are_few_questions_are_asked_at_once() {
        let checkpoint = Checkpoint::read(&all_are_opened(Restored::default())).unwrap();
        assert_eq!(checkpoint.files.len() as u64, FILES);
        // Known ones, too.
        all_are_opened(Restored { checkpoint: Some(checkpoint), ..Restored::default() });
    }
}
