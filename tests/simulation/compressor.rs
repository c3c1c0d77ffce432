//! gzip, as logrotate and the kubelet run it on a rotated file: another file grows beside it, and in the end the first
//! one goes. What stands in a compressed file is, on the virtual disk, its content.

use crate::disk::{LineId, NodeId};
use crate::simulation::{Event, Simulation};
use crate::storm::is_rotated;

pub const COMPRESSED: &str = ".gz";

impl Simulation {
    pub fn begin_compressing(&mut self, slowly: bool) {
        let is_sure = |node: NodeId| !self.floors.is_unsure(self.disk.node(node).content);
        let free = |path: &str| self.disk.at(&format!("{path}{COMPRESSED}")).is_none();
        let rotated: Vec<(String, NodeId)> = self
            .disk
            .names()
            .filter(|(path, node)| is_rotated(path) && !path.ends_with(COMPRESSED) && is_sure(*node))
            .filter(|(path, node)| free(path) && !self.is_being_compressed(*node))
            .map(|(path, node)| (path.to_owned(), node))
            .collect();
        if rotated.is_empty() {
            return;
        }
        let (path, from) = self.random.pick(&rotated).clone();
        self.note(format!("compress {path}"));
        let to = self.disk.create(&format!("{path}{COMPRESSED}"), self.scene.reuses_inodes);
        self.disk.open_for_reading(from);
        self.disk.open_for_writing(to);
        if self.storm.strangers.contains(&from) {
            self.storm.strangers.insert(to);
            self.disk.keep_inode(to);
        }
        if self.storm.held.contains(&from) {
            self.storm.held.insert(to);
        }
        if slowly {
            self.after(0, Event::Compress { from, to });
        } else {
            self.finish_compressing(from, to);
        }
    }

    fn is_being_compressed(&self, node: NodeId) -> bool {
        self.any_event(|event| matches!(event, Event::Compress { from, .. } if *from == node))
    }

    /// A piece more.
    pub fn compress(&mut self, from: NodeId, to: NodeId) {
        let left = self.disk.size(from).saturating_sub(self.disk.size(to));
        if left == 0 || self.random.chance(10) {
            return self.finish_compressing(from, to);
        }
        let until = self.disk.size(to) + self.random.between(1, left);
        self.copy_up_to(from, to, until);
        let wait = self.random.delay_nanos(200, 20_000);
        self.after(wait, Event::Compress { from, to });
    }

    /// The rest, and the first file goes.
    pub fn finish_compressing(&mut self, from: NodeId, to: NodeId) {
        self.copy_up_to(from, to, self.disk.size(from));
        self.cut_what_is_unfinished(from);
        self.cut_where_it_ends(to);
        let name = self.disk.names().find(|(_, node)| *node == from).map(|(path, _)| path.to_owned());
        if let Some(name) = name {
            self.note(format!("compressed {name}"));
            self.disk.unlink(&name);
        }
        self.disk.close_reader(from);
        self.disk.close_writer(to);
        self.excuse_what_is_gone();
        self.nudge(0);
    }

    fn copy_up_to(&mut self, from: NodeId, to: NodeId, until: u64) {
        let whole: Vec<LineId> = self.disk.copy_up_to(from, to, until);
        let content = self.disk.node(to).content;
        for line in whole {
            let placed = self.disk.content(content).lines.iter().find(|placed| placed.line == line);
            let start = placed.expect("it was just placed").start;
            self.oracle.stands(line, content, start);
        }
    }

    /// What was compressed may have been written anew meanwhile: then the copy ends anywhere.
    fn cut_where_it_ends(&mut self, to: NodeId) {
        let copied = self.disk.bytes(to);
        let end = copied.len() as u64;
        let origins = self.disk.contents().filter(|(_, content)| content.bytes.starts_with(copied));
        let lines = origins.flat_map(|(_, content)| &content.lines);
        let torn: Vec<LineId> =
            lines.filter(|placed| placed.start < end && end < placed.end).map(|placed| placed.line).collect();
        torn.into_iter().for_each(|line| self.oracle.cut(line));
    }

    /// The copy has the beginning of a line that a late writer has not ended.
    fn cut_what_is_unfinished(&mut self, from: NodeId) {
        let content = self.disk.node(from).content;
        let late = self.storm.late.iter();
        let writers = late.chain(self.storm.logs.iter().map(|log| &log.writer));
        let unfinished =
            writers.filter_map(|writer| writer.rest.as_ref()).filter(|rest| rest.content == content);
        let lines: Vec<LineId> = unfinished.map(|rest| rest.line).collect();
        lines.into_iter().for_each(|line| self.oracle.cut(line));
    }
}
