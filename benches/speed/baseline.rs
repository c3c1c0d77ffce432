//! The loops that Floe is measured against: the least that a program for this one log could do.
//!
//! One reads half a megabyte at a time, parses each line by serde_json into a struct of just the fields that the
//! rule names (text borrowed from the line where it holds no escape, the cost kept as it is written), asks whether
//! it is billable, writes the event's JSON, and posts a thousand at a time over one connection, waiting for each
//! answer. It has no config, no account, no checkpoint, no limits, no arithmetic on the cost, and an id which is
//! the line's offset, so that no crash, rotation or second file is survived.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use memchr::{memchr, memmem, memrchr};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::generate::Workload;
use crate::poster::Poster;

/// How much of the work a loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Parses each line into [`Line`] and counts the billable ones.
    Parse,
    /// The same, and posts an event for each.
    ParseAndPost,
    /// Parses only lines in which the literal was found, and posts.
    PrefilterAndPost,
}

impl Baseline {
    const ALL: [Self; 3] = [Self::Parse, Self::ParseAndPost, Self::PrefilterAndPost];

    /// As it is called on the command line of the process that runs it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::ParseAndPost => "parse-and-post",
            Self::PrefilterAndPost => "prefilter-and-post",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|baseline| baseline.name() == name)
    }
}

/// What the rule of `floe.toml` reads of a line.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    status: u16,
    #[serde(borrow)]
    org_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    usage: Option<Usage>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// Events in one request, as Floe's config has it.
const BATCH: u32 = 1_000;

/// Runs the loop over the file; returns how many lines were billable.
pub fn run(baseline: Baseline, path: &Path, sink: Option<SocketAddr>) -> io::Result<u64> {
    let mut batch = match baseline {
        Baseline::Parse => None,
        Baseline::ParseAndPost | Baseline::PrefilterAndPost => {
            let address = sink.ok_or_else(|| io::Error::other("give the address of a sink"))?;
            Some(Batch { poster: Poster::connect(address)?, body: Vec::new(), events: 0 })
        }
    };
    let finder = memmem::Finder::new(Workload::All.literal());
    let mut billable = 0;
    each_block(path, |block, base| {
        let mut at = 0;
        while at < block.len() {
            if baseline == Baseline::PrefilterAndPost {
                let Some(hit) = finder.find(&block[at..]) else { break };
                at += memrchr(b'\n', &block[at..at + hit]).map_or(0, |newline| newline + 1);
            }
            let end = at + memchr(b'\n', &block[at..]).expect("a block ends with a line");
            let line: Line<'_> = serde_json::from_slice(&block[at..end])?;
            if line.event == "llm.completion" && line.status < 500 {
                billable += 1;
                if let Some(batch) = &mut batch {
                    batch.add(base + at as u64, &line)?;
                }
            }
            at = end + 1;
        }
        Ok(())
    })?;
    if let Some(batch) = &mut batch {
        batch.flush()?;
    }
    Ok(billable)
}

/// Gives whole lines, half a megabyte or so at a time, with their offset.
fn each_block(path: &Path, mut take: impl FnMut(&[u8], u64) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 512 * 1024];
    let (mut filled, mut base) = (0, 0);
    loop {
        let read = file.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let whole = memrchr(b'\n', &buffer[..filled]).map_or(0, |newline| newline + 1);
        take(&buffer[..whole], base)?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        base += whole as u64;
    }
}

struct Batch {
    poster: Poster,
    body: Vec<u8>,
    events: u32,
}

impl Batch {
    fn add(&mut self, offset: u64, line: &Line<'_>) -> io::Result<()> {
        let usage = line.usage.as_ref().ok_or_else(|| io::Error::other("a completion has its usage"))?;
        let (customer, model) = (text(line.org_id.as_ref())?, text(line.model.as_ref())?);
        let cost = line.cost_usd.map_or("0", RawValue::get);
        self.body.extend_from_slice(if self.events == 0 { b"{\"events\":[" } else { b"," });
        write!(
            self.body,
            "{{\"name\":\"llm_usage\",\"external_customer_id\":{customer},\"timestamp\":\"{}\",\
             \"external_id\":\"{offset:026}\",\"metadata\":{{\"model\":{model},\"total_tokens\":{},\
             \"_llm\":{{\"vendor\":\"openai\",\"model\":{model},\"input_tokens\":{},\"output_tokens\":{},\
             \"total_tokens\":{}}},\"cost_usd\":{cost}}}}}",
            line.ts, usage.total_tokens, usage.prompt_tokens, usage.completion_tokens, usage.total_tokens,
        )?;
        self.events += 1;
        if self.events == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.events == 0 {
            return Ok(());
        }
        self.body.extend_from_slice(b"]}");
        self.poster.post(&self.body)?;
        self.body.clear();
        self.events = 0;
        Ok(())
    }
}

fn text(value: Option<&Cow<'_, str>>) -> io::Result<String> {
    Ok(serde_json::to_string(value.ok_or_else(|| io::Error::other("a completion has it"))?)?)
}
