//! Which file a candidate is: a known stream elsewhere, a copy that must wait, or a new one.
//!
//! It is weighed against each stream of its source with an equal print:
//!
//! | the stream | the candidate | then |
//! |---|---|---|
//! | may be at its file still (`Expected`, `Verifying`) | | waits |
//! | was read less far than the candidate's own floor | | is another |
//! | is there | stands at the path that the stream's very file was renamed from | is another |
//! | is there | differs from it somewhere, and the stream is still what it was | is another |
//! | is there | is wholly its beginning | waits: it is a copy |
//! | is there | one of the two is compressed, and a place that is remembered differs | is another |
//! | is there | one of the two is compressed, they agree up to the end of the stream's own, which was read, and it is longer than all such | is the file; the stream's own is the copy |
//! | is there | one of the two is compressed, and they agree | waits: it is a copy |
//! | is there | begins wholly with it, and is longer than all such | is the file; the stream's own is the copy |
//! | is lost | is the very file that has other content now | is another |
//! | is lost | its first two lines end elsewhere, or a place that is remembered differs | is another |
//! | is lost | agrees weakly, and other files begin so, and it stands where the stream was truncated, or the stream was left inside its second line, or is given up | is another |
//! | is lost | agrees up to where was read | is it; of several streams the one that is known to agree furthest |
//! | was numbered by others | agrees weakly | waits for more of its lines, unless many begin so |
//! | is lost, searched for | agrees, but is shorter than what is known to have stood there | waits for a fuller copy |
//! | is lost | ends before the place up to which was read | waits; given up, unless another is known to agree as far |
//! | is given up | ends before it, with the first line alone in common, which other files begin with too | is another |
//!
//! A compressed candidate is never compared byte by byte, nor is any with an archived stream (`archive.rs`): only what
//! is remembered of the stream is looked for in it.
//!
//! A candidate that is none of them is a new file, or the compressed copy of a stranger (`strangers.rs`). Whoever waits is asked about again when a stream with its
//! print is found, opened, lost or given up, or when one of the two grows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::{Candidate, Step};
use super::claims::{Claims, agreed_until};
use super::evidence::{Head, Judgement, has_other_lines, is_strong, judge, told_by_offset};
use super::floors::Start;
use super::strangers::CopyOfStranger;
use super::stream::{Handle, Identity, Place, Stream};
use super::{Asking, CandidateKey, DISK_RETRY, Outbox, QUIET_TIME, Tail, index_of, say_unreadable};
use crate::agent::books::{Books, Standing};
use crate::agent::border::{Against, Agreement, AskId, Asked, DiskFault, Effect, Now, Whom};
use crate::agent::notice::NoticeCode;
use crate::agent::words;
use crate::mapping::identity;
use crate::model::chunk::Carry;
use crate::model::{Guard, Mark, Moment, Offset, Print, StreamId};

/// Bytes that one question compares at most.
const COMPARE_BYTES: u64 = 4 * 1024 * 1024;

/// What is known of a candidate after an answer.
pub(super) struct Facts<'a> {
    /// In the order of the answer's guards.
    pub at: &'a [Offset],
    pub asked: &'a Asked,
    pub head: Head,
    pub print: Print,
    pub told: BTreeMap<Offset, Option<Guard>>,
}

enum Finding {
    /// It is this stream.
    Is(StreamId),
    /// This stream's file is wholly the beginning of it: the stream goes on there.
    Continues(StreamId),
    /// It is none that is known.
    New,
    /// Another question may tell.
    Ask { at: Vec<Offset>, against: Option<StreamId> },
    /// It can be told then, if nothing changes before.
    Later(Moment),
    /// It cannot be told yet; `rival` is whom it may be.
    Wait { rival: StreamId },
}

/// Whether the candidate differs from the rival's file and yet holds, behind that place, what is remembered of
/// the rival: then that file may have been written anew, and the candidate is what it was. A log that was copied
/// and truncated may be written anew before anybody looks; then its copy is the stream, and not another file.
fn holds_what_rival_was(
    told: &BTreeMap<Offset, Option<Guard>>,
    tales: &[Mark],
    agreement: Agreement,
) -> bool {
    agreement.differs
        && judge(tales, told, Offset::ZERO) != Judgement::Other
        && tales.iter().any(|(at, guard)| *at > agreement.until && told.get(at) == Some(&Some(*guard)))
}

impl Facts<'_> {
    /// Whether all of the candidate was found to be the beginning of a stream: compared with it while it was
    /// there, or by a mark where the candidate ends.
    fn ends_in_agreement(&self, tales: &[Mark], agreed: Offset) -> bool {
        let end = Offset(self.asked.size);
        let is_marked =
            tales.iter().any(|(at, guard)| *at == end && self.told.get(at) == Some(&Some(*guard)));
        is_marked || agreed >= end
    }
}

impl Tail {
    /// Asks about every candidate that has something to ask.
    pub(super) fn resolve_all(&mut self, now: Now, out: &mut Outbox) {
        let due: Vec<CandidateKey> = self
            .candidates
            .iter()
            .filter(|(key, candidate)| match candidate.step {
                Step::New => true,
                Step::Denied { retry_at } => retry_at <= now.moment,
                Step::Held { since_size, rival_size, .. } => {
                    candidate.size != since_size || self.rival_size(key) != rival_size
                }
                Step::Asking(_) | Step::Young | Step::Stuck { .. } => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        let room = self.room_for_questions();
        for key in due.iter().skip(room) {
            self.candidates.get_mut(key).expect("the candidate was just listed").step = Step::New;
            self.left_to_ask = true;
        }
        for key in due.into_iter().take(room) {
            let candidate = self.candidates.get_mut(&key).expect("the candidate was just listed");
            candidate.in_vain.clear();
            let at = candidate.floor.as_ref().map(|floor| floor.floor).into_iter().collect();
            self.ask(&key, at, None, out);
        }
    }

    /// The sizes of all streams that a candidate of the source is compared with: when they change, ask again.
    fn rival_size(&self, key: &CandidateKey) -> u64 {
        let Some(Step::Held { print, .. }) = self.candidates.get(key).map(|candidate| candidate.step) else {
            return 0;
        };
        self.with_print(&key.0, print).map(|(_, stream)| stream.size).sum()
    }

    /// Something about a stream changed: candidates that are held because of its like are asked about again.
    pub(super) fn wake_held(&mut self, stream: StreamId) {
        if self.held.is_empty() {
            return;
        }
        let (source, print) = (Arc::clone(&self.streams[&stream].source), self.streams[&stream].print);
        for key in &self.held {
            let Some(candidate) = self.candidates.get_mut(key) else { continue };
            if key.0 == source && matches!(candidate.step, Step::Held { print: held, .. } if held == print) {
                candidate.step = Step::New;
                self.resolve_wanted = true;
            }
        }
        let candidates = &self.candidates;
        self.held.retain(|key| {
            candidates.get(key).is_some_and(|candidate| matches!(candidate.step, Step::Held { .. }))
        });
    }

    /// Asks what [`Tail::wake_held`] and others left to ask.
    pub(in crate::agent) fn resolve_if_wanted(&mut self, now: Now, out: &mut Outbox) {
        if std::mem::take(&mut self.resolve_wanted) {
            self.resolve_all(now, out);
        }
    }

    pub(super) fn ask(
        &mut self,
        key: &CandidateKey,
        at: Vec<Offset>,
        against: Option<StreamId>,
        out: &mut Outbox,
    ) {
        let ask = AskId(self.new_id());
        let candidate = self.candidates.get_mut(key).expect("a candidate that is asked about is known");
        candidate.step = Step::Asking(ask);
        let from = against.map_or(Offset::ZERO, |stream| candidate.agreed_with(stream));
        let whom = Whom::At { path: candidate.path.to_string(), file: key.1 };
        let mut at = at;
        at.push(Offset(candidate.size));
        at.extend(candidate.anchor.map(|(offset, _)| offset));
        let left = against.map(|stream| {
            let rival = &self.streams[&stream];
            let tales = rival.tell_tales();
            at.extend(tales.iter().map(|(offset, _)| *offset));
            (stream, tales)
        });
        self.asking.insert(ask, Asking::Candidate { key: key.clone(), at: at.clone(), against: left });
        let against = against.map(|stream| Against { stream, from, limit: COMPARE_BYTES });
        out.push(Effect::Ask { ask, whom, at, against });
    }

    /// Takes an answer in.
    pub(in crate::agent) fn told(
        &mut self,
        ask: AskId,
        result: Result<Asked, DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        match self.asking.remove(&ask) {
            Some(Asking::Verify { stream, at, path }) => {
                self.verified(stream, &at, path, result, now, books, out);
            }
            Some(Asking::Marks { stream, known }) => {
                self.marks_told(stream, ask, known, result, now, books, out);
            }
            Some(Asking::Candidate { key, at, against }) => {
                self.told_of_candidate(&key, ask, &at, against, result, now, books, out);
            }
            None => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one answer with what was asked")]
    fn told_of_candidate(
        &mut self,
        key: &CandidateKey,
        ask: AskId,
        at: &[Offset],
        against: Option<(StreamId, Vec<Mark>)>,
        result: Result<Asked, DiskFault>,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let Some(candidate) = self.candidates.get_mut(key) else { return };
        if candidate.step != Step::Asking(ask) {
            return;
        }
        let asked = match result {
            Ok(asked) => asked,
            Err(DiskFault::Gone) => {
                // The next look knows more; what was seen of it counts until then.
                self.ask_later(key, now);
                self.look_soon(now);
                return;
            }
            Err(fault) => {
                if !std::mem::replace(&mut candidate.said, true) {
                    say_unreadable(out, &candidate.path, &words(&fault));
                }
                self.ask_later(key, now);
                return;
            }
        };
        candidate.size = asked.size;
        let told = told_by_offset(at, &asked);
        let has_changed =
            candidate.anchor.is_some_and(|(offset, guard)| told.get(&offset) != Some(&Some(guard)));
        if has_changed {
            candidate.begin_again();
        }
        candidate.anchor = told.iter().rev().find_map(|(offset, guard)| Some((*offset, (*guard)?)));
        if let (Some((stream, tales)), Some(agreement), false) = (against, asked.agreement, has_changed)
            && let Some(rival) = self.streams.get_mut(&stream)
        {
            let is_doubtful = holds_what_rival_was(&told, &tales, agreement) && {
                // The rival's next read tells whether it is what it was.
                let doubt = *candidate.doubts.entry(stream).or_insert_with(|| {
                    rival.doubts += 1;
                    rival.doubts
                });
                rival.sure_of < doubt
            };
            let before = candidate.agreed_with(stream);
            if is_doubtful {
                self.make_ready(stream);
            } else {
                candidate.compared(stream, agreement);
            }
            if is_doubtful || !(agreement.differs || agreement.until > before) {
                let candidate = self.candidates.get_mut(key).expect("the candidate was just seen");
                candidate.in_vain.insert(stream);
            }
        }
        let source = index_of(&self.sources, &key.0).expect("a candidate is of a source that is known");
        let print = self.print_of(source, &asked);
        let candidate = self.candidates.get_mut(key).expect("the candidate was just seen");
        let Some(print) = print else {
            candidate.step = Step::Young;
            self.release_stuck(&key.0, out);
            return;
        };
        if candidate.awaits_others {
            candidate.step = Step::Stuck { print, is_told: false };
            self.release_stuck(&key.0, out);
            return;
        }
        // Where a file with a floor begins like none that is known here, its place is told by the floor.
        if candidate.floor.is_none() || self.next_ordinal(&key.0, print) > 0 {
            self.recall(&key.0, print, now, books);
        }
        let facts = Facts { at, asked: &asked, head: Head::read(&asked.head), print, told };
        let found = self.find(key, &facts, now);
        if let Finding::Is(rival) | Finding::Continues(rival) = found
            && !self.reopen_last_line(rival, asked.size, books)
        {
            self.ask_later(key, now);
            return;
        }
        match found {
            Finding::Is(stream) => {
                if self.starts_at_its_floor(key, stream, &facts, books, out) {
                    self.adopt(key, stream, asked.size, now, books, out);
                }
            }
            Finding::Continues(stream) => self.move_on(key, stream, asked.size, now, out),
            Finding::New if self.candidates[key].adopt_only => {
                self.learn_stranger(key, &facts);
                self.leave_to_strangers(key);
            }
            Finding::New => match self.copy_of_stranger(key, &facts) {
                CopyOfStranger::No => self.admit(key, facts, now, books, out),
                CopyOfStranger::Yes => self.leave_to_strangers(key),
                CopyOfStranger::Ask(mut at) => {
                    at.extend(facts.told.keys());
                    self.ask(key, at.into_iter().collect(), None, out);
                }
                CopyOfStranger::Grows => {
                    self.candidates.get_mut(key).expect("it was just seen").step = Step::Young;
                }
            },
            Finding::Ask { at, against } => self.ask(key, at, against, out),
            Finding::Later(at) => self.ask_at(key, at),
            Finding::Wait { rival } => self.hold(key, print, rival, out),
        }
    }

    fn ask_later(&mut self, key: &CandidateKey, now: Now) {
        self.ask_at(key, now.moment + DISK_RETRY);
    }

    fn ask_at(&mut self, key: &CandidateKey, retry_at: Moment) {
        let candidate = self.candidates.get_mut(key).expect("a candidate that is asked about is known");
        candidate.step = Step::Denied { retry_at };
        self.retries.insert((retry_at, None));
    }

    /// With the table of ordinals lost, files with equal prints at the first look cannot be told apart: once
    /// the prints of all are known, who is alone with its print goes on, and the others are held.
    pub(super) fn release_stuck(&mut self, source: &Arc<str>, out: &mut Outbox) {
        let mut by_print: BTreeMap<Print, Vec<CandidateKey>> = BTreeMap::new();
        for (key, candidate) in self.candidates.iter().filter(|(key, _)| key.0 == *source) {
            match candidate.step {
                Step::New | Step::Asking(_) | Step::Denied { .. } if candidate.awaits_others => return,
                Step::Stuck { print, .. } => by_print.entry(print).or_default().push(key.clone()),
                _ => {}
            }
        }
        for (print, keys) in by_print {
            let is_alone = keys.len() == 1;
            for key in keys {
                let candidate = self.candidates.get_mut(&key).expect("the candidate was just listed");
                if candidate.step == (Step::Stuck { print, is_told: true }) {
                    continue;
                }
                if is_alone {
                    candidate.awaits_others = false;
                    self.changes += 1;
                    candidate.step = Step::New;
                    self.resolve_wanted = true;
                } else {
                    candidate.step = Step::Stuck { print, is_told: true };
                    candidate.said = true;
                    out.say_with_hint(
                        NoticeCode::IdentityAmbiguous,
                        format!(
                            "{:?} begins like another file, and the checkpoint that told them apart is lost; it is held",
                            candidate.path
                        ),
                        "restore the state folder, or move the files that are already billed away",
                    );
                }
            }
        }
    }

    /// Weighs the candidate against every stream with an equal print.
    ///
    /// Of the lost streams whose content it holds it is the one that agrees furthest: a stream of which
    /// only the first line is known is like every file that begins so. While it may be a copy of a file that
    /// is still there, nothing is decided.
    fn find(&mut self, key: &CandidateKey, facts: &Facts<'_>, now: Now) -> Finding {
        let rivals: Vec<StreamId> = self.with_print(&key.0, facts.print).map(|(id, _)| id).collect();
        let begins_like_others = self.next_ordinal(&key.0, facts.print) > 1;
        let mut claims = Claims::default();
        let mut waits_for: Option<StreamId> = None;
        // The largest live file of which the candidate may be a copy, or which may be the start of it.
        let mut live: Option<(u64, StreamId)> = None;
        let mut compare: Option<StreamId> = None;
        let mut outgrown: Option<(u64, StreamId)> = None;
        let mut quiet: Option<Moment> = None;
        let mut questions: BTreeSet<Offset> = BTreeSet::new();
        let mut distinct: Vec<StreamId> = Vec::new();
        let candidate = &self.candidates[key];
        let own_floor = self.own_floor(key, candidate, facts);
        let is_compressed = candidate.is_compressed();
        for id in rivals {
            let rival = &self.streams[&id];
            if rival.position < own_floor {
                distinct.push(id);
                continue;
            }
            if !candidate.may_be(id, rival) {
                continue;
            }
            match rival.place {
                Place::Expected { .. } | Place::Verifying { .. } => waits_for = Some(id),
                // Nothing was compressed into the file that was written: its inode was given to another one.
                Place::Nowhere { not: Some(file), .. } if file == key.1 && !is_compressed => {
                    distinct.push(id);
                }
                Place::Nowhere { .. } if has_other_lines(&rival.marks, rival.position, &facts.head) => {
                    distinct.push(id);
                }
                Place::Nowhere { not, given_up, .. } => {
                    let tales = rival.tell_tales();
                    let mut places: Vec<Offset> = tales.iter().map(|(offset, _)| *offset).collect();
                    // How long a compressed file is, is known only as far as somebody has asked.
                    places.extend(is_compressed.then_some(Offset(rival.size)));
                    if !places.iter().all(|offset| facts.told.contains_key(offset)) {
                        questions.extend(places);
                        continue;
                    }
                    // A copy of a truncated file is never where the file itself is.
                    let in_its_place = not.is_some() && candidate.path == rival.path;
                    let agreed = candidate.agreed_with(id);
                    // Of nothing nothing was billed, so a stream that was not read at all may be anywhere. One
                    // whose marks allowed it may have been read by the process before.
                    let was_read = rival.position > Offset::ZERO || is_strong(&rival.marks);
                    // A first line that only one file ever began with is as good as a name.
                    let too_weak = given_up && begins_like_others;
                    let common = rival.said_by_many().max(facts.head.common);
                    let judgement = judge(&tales, &facts.told, common);
                    let (holds_position, agrees_strongly) = match judgement {
                        Judgement::Other => {
                            distinct.push(id);
                            continue;
                        }
                        Judgement::Same { is_strong } => (true, is_strong),
                        Judgement::Shorter { holds_position, is_strong } => (holds_position, is_strong),
                    };
                    // Nor may the next line's beginning be taken for one that was skipped.
                    let is_inside = rival.is_inside_foreign_line();
                    let is_other = too_weak || (begins_like_others && (in_its_place || is_inside));
                    let claim = (agreed_until(&tales, &facts.told), rival.position, id);
                    if holds_position && was_read && !agrees_strongly && is_other {
                        distinct.push(id);
                    } else if self.reads_once() && begins_like_others && !agrees_strongly {
                        // A first line that several files begin with does not tell which of them it is.
                        claims.may_come_fuller(claim);
                    } else if self.reads_once() && holds_position {
                        // Nothing fuller comes.
                        claims.is(claim);
                    } else if rival.is_recalled && was_read && !agrees_strongly {
                        // Others have read more of it than this one shows yet.
                        claims.may_come_fuller(claim);
                    } else if holds_position && !given_up && facts.asked.size < rival.size {
                        // Shorter than what is known to have stood there: a fuller copy may come yet.
                        claims.may_come_fuller(claim);
                    } else if holds_position {
                        claims.is(claim);
                    } else if too_weak && !agrees_strongly && !facts.ends_in_agreement(&tales, agreed) {
                        // Shorter than what was read of a stream that is long gone, and not known to be its
                        // beginning: another file whose first line is the same.
                        distinct.push(id);
                    } else if given_up {
                        claims.is_beginning_of(claim);
                    } else {
                        waits_for = Some(id);
                    }
                }
                // A stranger is only searched for what is lost.
                Place::At { .. } if candidate.adopt_only => {}
                Place::At { .. } if is_compressed || rival.is_archived() => {
                    let tales: Vec<Mark> =
                        rival.beginning_behind().into_iter().chain(rival.tell_tales()).collect();
                    if has_other_lines(&rival.marks, rival.position, &facts.head) {
                        distinct.push(id);
                        continue;
                    }
                    if !tales.iter().all(|(offset, _)| facts.told.contains_key(offset)) {
                        questions.extend(tales.iter().map(|(offset, _)| *offset));
                        continue;
                    }
                    let common = rival.said_by_many().max(facts.head.common);
                    match judge(&tales, &facts.told, common) {
                        Judgement::Other => distinct.push(id),
                        judgement => {
                            if rival.ends_before(facts.asked.size, judgement) {
                                outgrown = outgrown.max(Some((rival.size, id)));
                                // Who writes to it yet would be heard no more.
                                let quiet_at = rival.last_growth + QUIET_TIME;
                                let may_grow = !rival.is_compressed() && !self.reads_once();
                                quiet = quiet.max((may_grow && quiet_at > now.moment).then_some(quiet_at));
                            }
                            live = live.max(Some((rival.size, id)));
                        }
                    }
                }
                Place::At { handle, .. } => {
                    let agreed = candidate.agreed_with(id);
                    let both = facts.asked.size.min(rival.size);
                    let open = handle == Handle::Open;
                    if open && agreed.0 < both && !candidate.in_vain.contains(&id) {
                        compare = Some(id);
                    }
                    if open && agreed.0 >= rival.size && facts.asked.size > rival.size {
                        outgrown = outgrown.max(Some((rival.size, id)));
                    }
                    live = live.max(Some((rival.size, id)));
                }
            }
        }
        let candidate = self.candidates.get_mut(key).expect("the candidate was just seen");
        candidate.distinct_from.extend(distinct);
        if !questions.is_empty() {
            questions.extend(facts.told.keys());
            return Finding::Ask { at: questions.into_iter().collect(), against: None };
        }
        let same = match (waits_for, claims.decide()) {
            (Some(rival), _) | (None, Err(rival)) => return Finding::Wait { rival },
            (None, Ok(same)) => same,
        };
        if let Some((agreed, stream)) = same
            && live.is_none_or(|(size, _)| agreed.0 > size)
        {
            return Finding::Is(stream);
        }
        if let Some(stream) = compare {
            return Finding::Ask { at: facts.told.keys().copied().collect(), against: Some(stream) };
        }
        // Only the longest of those that it may be a copy of tells whether it goes on from there.
        if let Some((size, stream)) = outgrown
            && live.is_none_or(|(longest, _)| longest == size)
        {
            return quiet.map_or(Finding::Continues(stream), Finding::Later);
        }
        live.map_or(Finding::New, |(_, rival)| Finding::Wait { rival })
    }

    /// The stream goes on in the candidate, of which its own file is wholly the beginning; that one is the
    /// copy, then, and held until they differ.
    fn move_on(&mut self, key: &CandidateKey, id: StreamId, size: u64, now: Now, out: &mut Outbox) {
        let candidate = self.candidates.remove(key).expect("a candidate that goes on is known");
        let Some(file) = self.detach(id, out) else { return };
        self.drop_read(id);
        let stream = self.streams.get_mut(&id).expect("a stream that goes on is known");
        out.say(
            NoticeCode::IdentityResolved,
            format!("{:?} is the beginning of {:?}, which is read on", stream.path, candidate.path),
        );
        let before = std::mem::replace(&mut stream.path, Arc::clone(&candidate.path));
        stream.first_path = candidate.path;
        stream.was_moved = false;
        let captures = std::mem::replace(&mut stream.captures, candidate.captures);
        let left = Candidate {
            modified: stream.modified,
            agreed: [(id, Offset(stream.size))].into(),
            said: true,
            ..Candidate::new(before, captures, stream.size, now.moment)
        };
        self.candidates.insert((Arc::clone(&key.0), file), Box::new(left));
        self.resolve_wanted = true;
        self.settle_at(id, key.1, size, now, out);
    }

    fn hold(&mut self, key: &CandidateKey, print: Print, rival: StreamId, out: &mut Outbox) {
        let waits_for_others = self.streams[&rival].is_undecided();
        let rival_path = Arc::clone(&self.streams[&rival].path);
        let rival_size = self.streams[&rival].size;
        let candidate = self.candidates.get_mut(key).expect("a candidate that is held is known");
        candidate.step = Step::Held { print, since_size: candidate.size, rival_size: 0 };
        // That a file is there twice while it is compressed is as it should be.
        let is_usual = candidate.is_compressed() && candidate.size <= rival_size;
        if !waits_for_others && !is_usual && !std::mem::replace(&mut candidate.said, true) {
            out.say_with_hint(
                NoticeCode::IdentityAmbiguous,
                format!(
                    "{:?} may be a copy of {rival_path:?}; it is held until they differ or the other one goes",
                    candidate.path
                ),
                "lines that carry a time of their own make files tell apart at their first line",
            );
        }
        self.held.insert(key.clone());
        // It can be compared with an open file alone, and only of an open one is it known that it goes on here.
        let candidate = &self.candidates[key];
        let is_uncompared = |id: StreamId, stream: &Stream| {
            let goes_on_here =
                id == rival && candidate.agreed_with(id).0 >= stream.size && candidate.size > stream.size;
            candidate.may_be(id, stream) && (goes_on_here || candidate.is_uncompared_with(id, stream))
        };
        let alike = self.with_print(&key.0, print).filter(|(id, stream)| is_uncompared(*id, stream));
        // While it waits for one that is nowhere it is compared with none, and what is compressed never is.
        let is_at_file = matches!(self.streams[&rival].place, Place::At { .. });
        let is_to_compare = is_at_file && !candidate.is_compressed();
        let alike: Vec<StreamId> = alike.filter(|_| is_to_compare).map(|(id, _)| id).collect();
        alike.into_iter().for_each(|id| self.unpark(id, out));
        let rival_size = self.rival_size(key);
        if let Some(Step::Held { rival_size: held, .. }) =
            self.candidates.get_mut(key).map(|candidate| &mut candidate.step)
        {
            *held = rival_size;
        }
    }

    /// Whether a candidate that is held waits for a file to be opened, with which it is to be compared.
    pub(super) fn is_to_be_compared(&self, key: &CandidateKey, candidate: &Candidate) -> bool {
        let Step::Held { print, .. } = candidate.step else { return false };
        let is_coming = |stream: &Stream| {
            matches!(stream.place, Place::At { .. }) && !stream.unreadable && !stream.is_compressed()
        };
        !candidate.is_compressed()
            && self.with_print(&key.0, print).any(|(id, stream)| {
                is_coming(stream) && candidate.may_be(id, stream) && candidate.is_uncompared_with(id, stream)
            })
    }

    /// The candidate is a stream that was lost: it goes on there.
    fn adopt(
        &mut self,
        key: &CandidateKey,
        id: StreamId,
        size: u64,
        now: Now,
        books: &mut Books,
        out: &mut Outbox,
    ) {
        let candidate = self.candidates.remove(key).expect("a candidate that is adopted is known");
        let source = index_of(&self.sources, &key.0).expect("a candidate is of a source that is known");
        let is_matched = self.settings.sources[source].files.captures(&candidate.path).is_some();
        let stream = self.streams.get_mut(&id).expect("a stream that is found is known");
        let given_up = matches!(stream.place, Place::Nowhere { given_up: true, .. });
        out.say(NoticeCode::IdentityResolved, format!("{:?} is what was {:?}", candidate.path, stream.path));
        if given_up && stream.size > stream.position.0 {
            books.found_again(&stream.source, stream.position);
        }
        // What stood beyond need not come true in a file that is shorter.
        stream.marks.retain(|(offset, _)| offset.0 <= size);
        let passed_by = stream.inside.take_if(|line| line.searched.0 > size);
        if passed_by.is_some_and(|line| line.is_foreign) {
            stream.enter_foreign_line();
        }
        stream.path = candidate.path;
        stream.was_moved = false;
        stream.is_recalled = false;
        if is_matched {
            // It lives on at a path of its own: it was not rotated away.
            stream.first_path = Arc::clone(&stream.path);
        }
        stream.is_old_up_to(stream.fresh_from.max(size));
        let size = size.max(stream.position.0);
        self.settle_at(id, key.1, size, now, out);
    }

    /// The candidate is a new file of its source.
    fn admit(&mut self, key: &CandidateKey, facts: Facts<'_>, now: Now, books: &mut Books, out: &mut Outbox) {
        let mut candidate = self.candidates.remove(key).expect("a candidate that is admitted is known");
        let (position, guard, inside) = match self.start_of(key, &mut candidate, false, &facts) {
            Start::At { position, guard, inside } => (position, guard, inside),
            Start::Ask(mut at) => {
                at.extend(facts.at);
                self.candidates.insert(key.clone(), candidate);
                self.ask(key, at.into_iter().collect(), None, out);
                return;
            }
        };
        let ordinal = self.next_ordinal(&key.0, facts.print);
        if self.may_not_number(ordinal) {
            self.candidates.insert(key.clone(), candidate);
            self.leave_unnumbered(key, facts.print, out);
            return;
        }
        let id = self.new_stream_id();
        let source = Arc::clone(&key.0);
        let stream_key = identity::stream_key(&self.settings.instance, &source, facts.print, ordinal);
        books.open(id, &source, Standing { frontier: position, guard, carry: Carry::default() });
        self.vanished_is_found(&source, &candidate.path);
        // Segments of a spool come and go as lines do.
        if candidate.said || !self.is_spooled(&source) {
            let verb = if candidate.said { NoticeCode::IdentityResolved } else { NoticeCode::FileFound };
            out.say(verb, format!("{:?} is followed from byte {position}", candidate.path));
        }
        let identity = Identity {
            source,
            path: candidate.path,
            captures: candidate.captures,
            print: facts.print,
            ordinal,
            key: stream_key,
            marks: facts.head.marks,
            size: facts.asked.size,
        };
        let mut stream = Stream::new(identity, position, guard, now.moment);
        stream.common = facts.head.common;
        if inside {
            stream.enter_foreign_line();
        }
        stream.is_old_up_to(if candidate.initial { facts.asked.size } else { 0 });
        self.remember(id, stream);
        self.unregistered = true;
        self.settle_at(id, key.1, facts.asked.size, now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;

    const START: &str = "{\"event\":\"start\"}\n";

    /// A stream that was read far, of which little is settled, and one of which only the first line is known, which is the
    /// same, are lost. The file that is left holds what was read of the first one but for its last line.
    #[test]
    fn s10_a_compressed_file_is_not_taken_for_one_of_which_only_the_first_line_is_known() {
        let mut world = World::new("");
        let used = |who: u32| format!("{{\"event\":\"use\",\"who\":\"customer {who}\"}}\n");
        let lines: Vec<String> = (0..9).map(used).collect();
        let read = |count: usize| format!("{START}{}", lines[..count].concat());
        world.write("/logs/read.log", 1, &read(2));
        world.run_for(5);
        world.write("/logs/seen.log", 2, &format!("{START}{{\"other"));
        world.run_for(15);
        world.is_polar_silent = true;
        world.write("/logs/read.log", 1, &read(9));
        world.run_for(15);
        // It is saved with this one how far the other goes.
        world.write("/logs/next.log", 4, "{\"event\":\"next\"}\n{}\n");
        world.run_for(15);
        for path in ["/logs/read.log", "/logs/seen.log", "/logs/next.log"] {
            world.remove(path);
        }
        world.write("/logs/read.log.1.gz", 3, &read(8));
        world.restart();
        world.is_polar_silent = false;
        world.said.clear();
        world.run_for(60);
        let expected = "\"/logs/read.log.1.gz\" is what was \"/logs/read.log\"";
        assert!(world.said.iter().any(|said| said == expected), "{:?}", world.said);
    }
}
