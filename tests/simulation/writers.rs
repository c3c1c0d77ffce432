//! The programs that write the logs: at once, in parts, late, and for the last time.

use jiff::Timestamp;

use crate::disk::{ContentId, LineId, NodeId};
use crate::lines::{self, Clocks, Draft, Kind};
use crate::oracle::Expected;
use crate::simulation::{Event, Simulation};
use crate::storm::{Log, QUIET_TIME, RELOAD_REACHES_ALL, Rest, TRICKLE, Writer};

impl Simulation {
    fn draw_draft(&mut self) -> Draft {
        let total: u64 = self.scene.kinds.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(total);
        let mut kind = Kind::Use;
        for (candidate, weight) in &self.scene.kinds {
            kind = *candidate;
            if drawn < *weight {
                break;
            }
            drawn -= weight;
        }
        // Each of them takes many requests until it is known for what it is.
        if kind == Kind::PoisonFailing {
            self.storm.poisons_left = self.storm.poisons_left.saturating_sub(1);
            if self.storm.poisons_left == 0 {
                kind = Kind::Use;
            }
        }
        self.draft(kind)
    }

    fn draft(&mut self, kind: Kind) -> Draft {
        let clocks = self.clocks();
        let draft = lines::draft(kind, self.oracle.next_number(), clocks, &mut self.random);
        if self.scene.wraps { draft.wrapped(clocks.host, &mut self.random) } else { draft }
    }

    pub fn write_lines(&mut self, log: usize, most: u64) {
        self.finish_rest(log);
        for _ in 0..self.random.between(1, most) {
            let draft = self.draw_draft();
            self.write_draft(log, draft);
        }
        self.excuse_what_is_gone();
        self.nudge(log);
    }

    /// A slow writer: the beginning of a line, for now.
    pub fn write_part(&mut self, log: usize) {
        self.finish_rest(log);
        let draft = self.draw_draft();
        if draft.bytes.len() < 2 {
            return;
        }
        let node = self.writable(log);
        let bytes = draft.bytes.clone();
        let is_extra = matches!(draft.expected, Expected::BilledIfWanted(_));
        if is_extra {
            return;
        }
        let line = self.oracle.begin(draft);
        let at = 1 + self.random.place(bytes.len() - 1);
        let start = self.disk.size(node);
        let content = self.disk.append(node, &bytes[..at]);
        self.oracle.begun(line, content, start);
        let rest = Rest { line, bytes: bytes[at..].to_vec(), content, start, begun: self.clock };
        self.storm.logs[log].writer.rest = Some(rest);
        self.nudge(log);
    }

    fn write_draft(&mut self, log: usize, draft: Draft) {
        let node = self.writable(log);
        self.write_to(node, draft);
    }

    fn write_to(&mut self, node: NodeId, draft: Draft) {
        let bytes = draft.bytes.clone();
        let start = self.disk.size(node);
        let line = self.oracle.begin(draft);
        let content = self.disk.append(node, &bytes);
        self.stands(line, content, start);
    }

    fn stands(&mut self, line: LineId, content: ContentId, start: u64) {
        self.disk.place_line(content, start, line);
        if self.storm.wants_extra_since.is_some_and(|since| since + RELOAD_REACHES_ALL < self.clock) {
            self.oracle.wanted(line);
        }
        self.oracle.stands(line, content, start);
        self.skip_below_floor(line, content, start);
    }

    /// The file that the log's writer writes to; made if need be.
    fn writable(&mut self, log: usize) -> NodeId {
        if let Some(node) = self.storm.logs[log].writer.node {
            return node;
        }
        let path = self.storm.logs[log].path.clone();
        let node = match self.disk.at(&path) {
            Some(node) => node,
            None => self.disk.create(&path, self.scene.reuses_inodes),
        };
        self.disk.open_for_writing(node);
        self.storm.logs[log].writer.node = Some(node);
        // A runtime goes on with a line that it has begun in the file before.
        let goes_on = self.scene.wraps && self.storm.logs[log].writer.rest.is_some();
        if goes_on && self.disk.size(node) == 0 {
            self.storm.logs[log].begins_inside = Some(self.disk.node(node).content);
        } else if self.scene.equal_first_lines && self.disk.size(node) == 0 {
            let boot = match self.scene.wraps {
                true => lines::boot().wrapped(Timestamp::UNIX_EPOCH, &mut self.random),
                false => lines::boot(),
            };
            self.write_to(node, boot);
        }
        node
    }

    pub fn finish_rest(&mut self, log: usize) {
        let node = self.writable(log);
        if let Some(rest) = self.storm.logs[log].writer.rest.take() {
            self.write_rest(node, rest);
        }
    }

    /// A container's runtime is told that its file was renamed: what it writes from now on goes to a new one. It may
    /// be in the middle of an application's line, but never of one of its own.
    pub fn reopen(&mut self, log: usize) {
        let none = Writer { node: None, rest: None };
        let Writer { node, rest } = std::mem::replace(&mut self.storm.logs[log].writer, none);
        let Some(node) = node else { return };
        if let Some(mut rest) = rest {
            if !self.disk.bytes(node).ends_with(b"\n") {
                let own_end = rest.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let after = rest.bytes.split_off(own_end);
                if after.is_empty() {
                    self.write_rest(node, rest);
                    return self.disk.close_writer(node);
                }
                self.disk.append(node, &rest.bytes);
                rest.bytes = after;
            }
            self.storm.logs[log].writer.rest = Some(rest);
        }
        self.disk.close_writer(node);
    }

    /// The rest goes where the writer writes now; where the beginning is gone, both are pieces.
    fn write_rest(&mut self, node: NodeId, rest: Rest) {
        let content = self.disk.append(node, &rest.bytes);
        // A file that was renamed or deleted ends where it has been quiet for a while.
        let is_over = !self.disk.paths_of(content).any(|path| self.storm.matches(path));
        let is_too_late = is_over && rest.begun + QUIET_TIME < self.clock;
        if content == rest.content && !is_too_late {
            self.stands(rest.line, content, rest.start);
        } else {
            self.oracle.abandon(rest.line);
        }
    }

    pub fn write_late(&mut self) {
        let was_renamed = |log: &usize| {
            let Log { path, writer, .. } = &self.storm.logs[*log];
            writer.node.is_some_and(|node| self.disk.at(path) != Some(node))
        };
        if let Some(log) = (0..self.storm.logs.len()).find(was_renamed) {
            self.write_lines(log, 2);
            self.reopen(log);
        }
        if self.storm.late.is_empty() {
            return;
        }
        let at = self.random.place(self.storm.late.len());
        let mut writer = self.storm.late.remove(at);
        if let Some(node) = writer.node {
            if let Some(rest) = writer.rest.take() {
                self.write_rest(node, rest);
            }
            let draft = self.draw_draft();
            self.write_to(node, draft);
        }
        if self.random.chance(50) {
            self.storm.late.push(writer);
        } else {
            self.close(writer);
        }
        self.excuse_what_is_gone();
    }

    /// The writer ends; what it has begun stays a piece.
    pub fn close(&mut self, writer: Writer) {
        if let Some(rest) = writer.rest {
            self.oracle.abandon(rest.line);
        }
        if let Some(node) = writer.node {
            self.disk.close_writer(node);
        }
    }

    /// A little traffic: what keeps failing is known by what succeeds meanwhile.
    pub fn trickle(&mut self) {
        if self.storm.trickles {
            self.after(TRICKLE, Event::Trickle);
            let draft = self.draft(Kind::Use);
            self.write_draft(0, draft);
            // The log may be held for ever.
            self.excuse_what_is_gone();
        }
    }

    /// What is written to files that are followed just before the end is asked for, and told to nobody.
    pub fn last_words(&mut self) {
        for log in 0..self.storm.logs.len() {
            let Some(node) = self.disk.at(&self.storm.logs[log].path) else { continue };
            let Some(process) = &self.process else { return };
            let is_followed = process.has_open(&self.disk, self.disk.node(node).content) && !process.draining;
            if is_followed && self.disk.bytes(node).ends_with(b"\n") {
                let draft = self.past_draft();
                self.write_to(node, draft);
            }
        }
    }

    /// A line that Polar's clock has passed for sure.
    fn past_draft(&mut self) -> Draft {
        let minute = jiff::SignedDuration::from_mins(1);
        let host = self.host_now().checked_sub(minute).expect("the year is near 2026");
        let clocks = Clocks { host, ..self.clocks() };
        let draft = lines::draft(Kind::Use, self.oracle.next_number(), clocks, &mut self.random);
        if self.scene.wraps { draft.wrapped(host, &mut self.random) } else { draft }
    }

    /// The storm is over: all writers end their lines, and say one more thing.
    pub fn writers_finish(&mut self) {
        for writer in std::mem::take(&mut self.storm.late) {
            let Writer { node, rest } = writer;
            if let (Some(node), Some(rest)) = (node, rest) {
                self.write_rest(node, rest);
            }
            self.close(Writer { node, rest: None });
        }
        for (_, event) in self.take_events(|event| matches!(event, Event::Truncate { .. })) {
            if let Event::Truncate { log, node } = event {
                self.finish_copytruncate(log, node);
            }
        }
        for (_, event) in self.take_events(|event| matches!(event, Event::Compress { .. })) {
            if let Event::Compress { from, to } = event {
                self.finish_compressing(from, to);
            }
        }
        for log in 0..self.storm.logs.len() {
            self.finish_rest(log);
            let draft = self.draft(Kind::Use);
            self.write_draft(log, draft);
        }
        let nodes: Vec<NodeId> = self.disk.names().map(|(_, node)| node).collect();
        for node in nodes {
            self.disk.node_mut(node).denied = false;
        }
        self.excuse_what_is_gone();
    }
}
