//! The virtual file system: names, inodes and what was ever written into them.
//!
//! Bytes live in [`Content`]s. Truncation gives a node a new content and leaves the old one in the archive, so
//! that invariants can still be checked against bytes that no process can read any more.

use std::collections::{BTreeMap, BTreeSet};

use floe::model::FileKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub usize);

/// A line of the [`Oracle`](crate::oracle::Oracle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub usize);

/// A whole line in a content, its line end included.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    pub start: u64,
    pub end: u64,
    pub line: LineId,
}

#[derive(Debug, Default, Clone)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// In the order of their places.
    pub lines: Vec<Placed>,
    /// The inode and the path under which it was first written.
    born: (u64, String),
}

#[derive(Debug)]
pub struct Node {
    pub key: FileKey,
    pub content: ContentId,
    pub links: u32,
    /// Programs that have it open for writing.
    pub writers: u32,
    /// Streams of the running daemon that have it open.
    pub readers: u32,
    /// Opening it is refused.
    pub denied: bool,
    /// Counts the changes of its content and of all others before.
    pub modified: u64,
    freed: bool,
}

const DEVICE: u64 = 66;

#[derive(Debug, Default)]
pub struct Disk {
    nodes: Vec<Node>,
    contents: Vec<Content>,
    names: BTreeMap<String, NodeId>,
    free_inodes: Vec<u64>,
    kept_inodes: BTreeSet<u64>,
    last_inode: u64,
    changes: u64,
    tells_births: bool,
}

impl Disk {
    /// `tells_births`: whether the file system knows when a file was made.
    pub fn new(tells_births: bool) -> Self {
        Self { tells_births, ..Self::default() }
    }

    pub fn names(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.names.iter().map(|(path, node)| (path.as_str(), *node))
    }

    pub fn at(&self, path: &str) -> Option<NodeId> {
        self.names.get(path).copied()
    }

    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.0]
    }

    pub fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node.0]
    }

    pub fn content(&self, content: ContentId) -> &Content {
        &self.contents[content.0]
    }

    pub fn contents(&self) -> impl Iterator<Item = (ContentId, &Content)> {
        self.contents.iter().enumerate().map(|(at, content)| (ContentId(at), content))
    }

    pub fn bytes(&self, node: NodeId) -> &[u8] {
        &self.contents[self.nodes[node.0].content.0].bytes
    }

    pub fn size(&self, node: NodeId) -> u64 {
        self.bytes(node).len() as u64
    }

    pub fn birth_of(&self, content: ContentId) -> (u64, &str) {
        let (inode, path) = &self.contents[content.0].born;
        (*inode, path)
    }

    /// Whether the file was made at such a path.
    pub fn is_born_at(&self, node: NodeId, wanted: impl Fn(&str) -> bool) -> bool {
        wanted(self.birth_of(self.nodes[node.0].content).1)
    }

    /// Paths under which the content can be opened now.
    pub fn paths_of(&self, content: ContentId) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter(move |(_, node)| self.nodes[node.0].content == content)
            .map(|(path, _)| path.as_str())
    }

    /// A new empty file. Its inode is one that was freed, where `reuse` says so and there is one.
    pub fn create(&mut self, path: &str, reuse: bool) -> NodeId {
        let freed = if reuse { self.free_inodes.pop() } else { None };
        let inode = freed.unwrap_or_else(|| {
            self.last_inode += 1;
            self.last_inode
        });
        let node = NodeId(self.nodes.len());
        let born = if self.tells_births { node.0 as u64 + 1 } else { 0 };
        let content = self.new_content(inode, path);
        self.nodes.push(Node {
            key: FileKey { device: DEVICE, inode, born },
            content,
            links: 1,
            writers: 0,
            readers: 0,
            denied: false,
            modified: self.changes,
            freed: false,
        });
        let before = self.names.insert(path.to_owned(), node);
        assert!(before.is_none(), "the storm creates files at free paths only");
        node
    }

    pub fn append(&mut self, node: NodeId, bytes: &[u8]) -> ContentId {
        self.touch(node);
        let content = self.nodes[node.0].content;
        self.contents[content.0].bytes.extend_from_slice(bytes);
        content
    }

    /// Says that a whole line stands at the end of the content.
    pub fn place_line(&mut self, content: ContentId, start: u64, line: LineId) {
        let content = &mut self.contents[content.0];
        let end = content.bytes.len() as u64;
        content.lines.push(Placed { start, end, line });
    }

    fn touch(&mut self, node: NodeId) {
        self.changes += 1;
        self.nodes[node.0].modified = self.changes;
    }

    pub fn truncate(&mut self, node: NodeId) {
        self.touch(node);
        let born = &self.contents[self.nodes[node.0].content.0].born;
        let (inode, path) = (born.0, born.1.clone());
        self.nodes[node.0].content = self.new_content(inode, &path);
    }

    /// `cp from to`: a new inode with the same bytes.
    pub fn copy(&mut self, from: NodeId, to: &str, reuse: bool) -> NodeId {
        let copy = self.create(to, reuse);
        let Content { bytes, lines, .. } = self.content(self.node(from).content).clone();
        let own = &mut self.contents[self.nodes[copy.0].content.0];
        own.bytes = bytes;
        own.lines = lines;
        copy
    }

    /// Brings a copy that is being made up to date. Returns the lines that are whole in it now.
    pub fn copy_up_to(&mut self, from: NodeId, to: NodeId, until: u64) -> Vec<LineId> {
        let (from, own) = (self.nodes[from.0].content, self.nodes[to.0].content);
        let copied = self.contents[own.0].bytes.len();
        let until = usize::try_from(until).expect("virtual files fit in memory");
        let Content { bytes, lines, .. } = &self.contents[from.0];
        let Some(bytes) = bytes.get(copied..until).map(<[u8]>::to_vec) else { return Vec::new() };
        let is_new = |placed: &&Placed| placed.end > copied as u64 && placed.end <= until as u64;
        let lines: Vec<Placed> = lines.iter().filter(is_new).copied().collect();
        let new = lines.iter().map(|placed| placed.line).collect();
        self.append(to, &bytes);
        self.contents[own.0].lines.extend(lines);
        new
    }

    /// `mv from to`: replaces what stands at `to`.
    pub fn rename(&mut self, from: &str, to: &str) {
        let node = self.names.remove(from).expect("the storm renames files that stand there");
        if let Some(replaced) = self.names.insert(to.to_owned(), node) {
            self.nodes[replaced.0].links -= 1;
            self.free(replaced);
        }
    }

    pub fn unlink(&mut self, path: &str) {
        let node = self.names.remove(path).expect("the storm unlinks files that stand there");
        self.nodes[node.0].links -= 1;
        self.free(node);
    }

    pub fn open_for_writing(&mut self, node: NodeId) {
        self.nodes[node.0].writers += 1;
    }

    pub fn close_writer(&mut self, node: NodeId) {
        self.nodes[node.0].writers -= 1;
        self.free(node);
    }

    pub fn open_for_reading(&mut self, node: NodeId) {
        self.nodes[node.0].readers += 1;
    }

    pub fn close_reader(&mut self, node: NodeId) {
        self.nodes[node.0].readers -= 1;
        self.free(node);
    }

    /// The inode may be given to another file once nobody can reach it.
    fn free(&mut self, node: NodeId) {
        let node = &mut self.nodes[node.0];
        if node.links == 0 && node.writers == 0 && node.readers == 0 && !node.freed {
            node.freed = true;
            if !self.kept_inodes.contains(&node.key.inode) {
                self.free_inodes.push(node.key.inode);
            }
        }
    }

    /// The file's inode is not given out again. Floe knows a stranger by its inode alone, so a rotated file with
    /// the inode of a stranger that is gone cannot be told from it.
    pub fn keep_inode(&mut self, node: NodeId) {
        let inode = self.nodes[node.0].key.inode;
        self.kept_inodes.insert(inode);
        self.free_inodes.retain(|free| *free != inode);
    }

    fn new_content(&mut self, inode: u64, path: &str) -> ContentId {
        self.contents.push(Content { born: (inode, path.to_owned()), ..Content::default() });
        ContentId(self.contents.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_keeps_its_inode_after_unlink() {
        let mut disk = Disk::default();
        let node = disk.create("/a", true);
        disk.open_for_reading(node);
        disk.unlink("/a");
        let next = disk.create("/a", true);
        assert_ne!(disk.node(node).key, disk.node(next).key);
        disk.close_reader(node);
        let reused = disk.create("/b", true);
        assert_eq!(disk.node(node).key, disk.node(reused).key);
    }

    #[test]
    fn truncation_keeps_the_old_bytes_in_the_archive() {
        let mut disk = Disk::default();
        let node = disk.create("/a", false);
        let old = disk.append(node, b"one\n");
        disk.truncate(node);
        disk.append(node, b"two\n");
        assert_eq!(disk.bytes(node), b"two\n");
        assert_eq!(disk.content(old).bytes, b"one\n");
        assert_eq!(disk.paths_of(old).count(), 0);
    }
}
