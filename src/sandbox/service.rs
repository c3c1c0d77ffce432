//! The sandbox without its network: a call goes in, a reply comes out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};

use crate::polar::json::write_string;
use crate::polar::limits::BODY_MAX_BYTES;
use crate::polar::request::{EVENTS_INGEST_PATH, EVENTS_LIST_PATH, SCOPE_EVENTS_READ, SCOPE_EVENTS_WRITE};
use crate::polar::validate::parse_uuid;
use crate::sandbox::access::{RateLimit, authenticate, require};
use crate::sandbox::faults::{Dice, FaultKind, FaultPlan};
use crate::sandbox::fixtures::{Access, Customer, Directory, OrganizationIndex};
use crate::sandbox::ingest;
use crate::sandbox::meters::Meters;
use crate::sandbox::reading::{self, LastSearch};
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{EventNumber, Store};
use crate::sandbox::tamper::{self, Tampered, Tampering, tamper};

/// A request that has been read.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub host: &'a str,
    pub authorization: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub body: CallBody<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum CallBody<'a> {
    Read(&'a [u8]),
    /// There is one, and no `Content-Length`.
    WithoutLength,
    /// It is longer than the server takes.
    TooLong,
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxStats {
    /// Events that are stored, those of an earlier run included.
    pub events: u64,
    pub inserted: u64,
    pub duplicates: u64,
    pub requests: u64,
    /// Answers to the API's paths, by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Faults on demand, by kind.
    pub by_fault: BTreeMap<FaultKind, u64>,
}

/// Everything behind the door.
pub struct Service {
    /// A customer that is added makes another one, so that nobody waits for who reads.
    directory: RwLock<Arc<Directory>>,
    rate_limit_per_minute: Option<u32>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) store: Store,
    pub(super) meters: Meters,
    stats: SandboxStats,
    rate_limit: RateLimit,
    pub(super) last_search: LastSearch,
    faults: FaultPlan,
    dice: Dice,
    clock_offset: SignedDuration,
}

impl State {
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now().checked_add(self.clock_offset).unwrap_or(Timestamp::MAX)
    }
}

const PAGE: &str = include_str!("page.html");

/// How many events the page is given at most.
const LATEST_EVENTS: usize = 30;

impl Service {
    pub fn new(
        directory: Directory,
        store: Store,
        rate_limit_per_minute: Option<u32>,
        faults: FaultPlan,
        seed: u64,
    ) -> Service {
        let state = State {
            store,
            meters: Meters::of(&directory, Timestamp::now()),
            stats: SandboxStats::default(),
            rate_limit: RateLimit::default(),
            last_search: LastSearch::default(),
            faults,
            dice: Dice::new(seed),
            clock_offset: SignedDuration::ZERO,
        };
        Service {
            directory: RwLock::new(Arc::new(directory)),
            rate_limit_per_minute,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it looked leaves the state as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add_customer(&self, index: OrganizationIndex, customer: Customer) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut directory).add_customer(index, customer);
    }

    /// The sandbox's clock.
    pub fn now(&self) -> Timestamp {
        self.state().now()
    }

    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.state().clock_offset = offset;
    }

    pub fn set_faults(&self, faults: FaultPlan) {
        self.state().faults = faults;
    }

    pub fn tamper(&self, tampering: Tampering) -> Vec<Tampered> {
        let mut state = self.state();
        let State { store, dice, last_search, .. } = &mut *state;
        *last_search = LastSearch::default();
        tamper(store, dice, tampering)
    }

    /// What is to go wrong with the next request, and how long any answer takes.
    pub fn draw_fault(&self) -> (Option<FaultKind>, std::time::Duration) {
        let mut state = self.state();
        let dice = state.dice.throw();
        let fault = state.faults.draw(dice);
        if let Some(kind) = fault {
            *state.stats.by_fault.entry(kind).or_default() += 1;
        }
        (fault, state.faults.latency)
    }

    /// The status that a body has by a mark in it.
    pub fn fault_of(&self, body: &[u8]) -> Option<u16> {
        self.state().faults.of_body(body)
    }

    /// A request to a path of the API came.
    pub fn count_request(&self) {
        self.state().stats.requests += 1;
    }

    /// An answer to it goes out.
    pub fn count_status(&self, status: u16) {
        *self.state().stats.by_status.entry(status).or_default() += 1;
    }

    pub fn stats(&self) -> SandboxStats {
        let state = self.state();
        SandboxStats { events: state.store.len() as u64, ..state.stats.clone() }
    }

    /// The events as they were sent, in the order of their arrival.
    pub fn events(&self) -> Vec<String> {
        let state = self.state();
        state.store.numbers().map(|number| state.store.text(number).to_owned()).collect()
    }

    /// In the order of the events; those without one are left out.
    pub fn external_ids(&self) -> Vec<String> {
        let state = self.state();
        let external_id = |number| {
            let event = state.store.event(number);
            Some(event.as_object()?.get("external_id")?.as_str()?.to_owned())
        };
        state.store.numbers().filter_map(external_id).collect()
    }

    /// Whether any organization has it.
    pub fn has(&self, external_id: &str) -> bool {
        let (state, directory) = (self.state(), self.directory());
        directory.indexes().any(|index| state.store.by_external_id(index, external_id).is_some())
    }

    /// Answers a call, faults aside.
    pub fn answer(&self, call: &Call<'_>) -> Reply {
        match call.path {
            EVENTS_INGEST_PATH if call.method == "POST" => {
                self.ingest(call).unwrap_or_else(|refusal| refusal)
            }
            EVENTS_LIST_PATH => self.read(call, |state, directory, access| {
                let State { store, meters, last_search, .. } = state;
                reading::list(store, directory, meters, access, call.query, last_search)
            }),
            "/v1/events/names" => self.read(call, |state, directory, access| {
                let State { store, meters, last_search, .. } = state;
                reading::names(store, directory, meters, access, call.query, last_search)
            }),
            "/" => Reply::html(PAGE),
            "/sandbox/stats" => Reply::json(200, self.stats().to_json()),
            "/sandbox/external-ids" => Reply::text(self.external_ids().join("\n") + "\n"),
            "/sandbox/tamper" if call.method == "POST" => match call.query.parse() {
                Ok(tampering) => Reply::json(200, tamper::to_json(&self.tamper(tampering))),
                Err(why) => Reply::json(422, serde_json::json!({ "detail": why }).to_string()),
            },
            "/sandbox/latest" => Reply::json(200, self.latest()),
            "/v1/events" => redirect(call, EVENTS_LIST_PATH),
            path => match path.strip_prefix(EVENTS_LIST_PATH) {
                Some(rest) => match rest.strip_suffix('/') {
                    Some(id) if !id.is_empty() && !id.contains('/') => {
                        redirect(call, path.strip_suffix('/').unwrap_or(path))
                    }
                    None if !rest.contains('/') => self.one(call, rest),
                    _ => Reply::not_found(),
                },
                None => self.resource(call).unwrap_or_else(Reply::not_found),
            },
        }
    }

    fn ingest(&self, call: &Call<'_>) -> Result<Reply, Reply> {
        let body = match call.body {
            CallBody::Read(body) => body,
            CallBody::WithoutLength => return Err(Reply::length_required()),
            CallBody::TooLong => return Err(Reply::too_large()),
        };
        self.limit(call)?;
        let is_json = call.content_type.is_none_or(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
        });
        let body = ingest::read_body(body, is_json)?;
        let now = self.now();
        let directory = self.directory();
        let access = authenticate(&directory, call.authorization, now)?;
        require(access, &[SCOPE_EVENTS_WRITE])?;
        let mut state = self.state();
        let counts = ingest::ingest(&mut state.store, &directory, access, &body, now)?;
        state.stats.inserted += counts.inserted;
        state.stats.duplicates += counts.duplicates;
        Ok(ingest::accepted(counts))
    }

    fn one(&self, call: &Call<'_>, id: &str) -> Reply {
        self.read(call, |state, directory, access| {
            let id = parse_uuid(id).map_err(|why| {
                let message = format!("Input should be a valid UUID, {why}");
                Reply::invalid_text("uuid_parsing", "path", "id", &message, id, Some(&why))
            })?;
            reading::one(&state.store, directory, access, id)
        })
    }

    fn read(
        &self,
        call: &Call<'_>,
        answer: impl FnOnce(&mut State, &Directory, &Access) -> Result<Reply, Reply>,
    ) -> Reply {
        if call.method != "GET" {
            return Reply::method_not_allowed("GET");
        }
        self.allowed(call, &[SCOPE_EVENTS_READ, SCOPE_EVENTS_WRITE], answer)
    }

    /// Answers where the token has one of the scopes.
    pub(super) fn allowed(
        &self,
        call: &Call<'_>,
        scopes: &[&str],
        answer: impl FnOnce(&mut State, &Directory, &Access) -> Result<Reply, Reply>,
    ) -> Reply {
        let reply = self.limit(call).and_then(|()| {
            let directory = self.directory();
            let access = authenticate(&directory, call.authorization, self.now())?;
            require(access, scopes)?;
            answer(&mut self.state(), &directory, access)
        });
        reply.unwrap_or_else(|refusal| refusal)
    }

    /// Only what has a good token counts against an organization.
    fn limit(&self, call: &Call<'_>) -> Result<(), Reply> {
        let Some(per_minute) = self.rate_limit_per_minute else { return Ok(()) };
        let now = self.now();
        let directory = self.directory();
        match authenticate(&directory, call.authorization, now) {
            Ok(access) => self.state().rate_limit.count(access, per_minute, now),
            Err(_) => Ok(()),
        }
    }

    /// The last events, newest first, for the page.
    fn latest(&self) -> String {
        let state = self.state();
        let mut out = String::from("[");
        for number in state.store.numbers().rev().take(LATEST_EVENTS) {
            if out.len() > 1 {
                out.push(',');
            }
            write_latest(&state.store, number, &mut out);
        }
        out.push(']');
        out
    }
}

fn write_latest(store: &Store, number: EventNumber, out: &mut String) {
    out.push_str("{\"number\":");
    out.push_str(&number.0.to_string());
    out.push_str(",\"timestamp\":");
    write_string(&store.timestamp(number).to_string(), out);
    out.push_str(",\"event\":");
    out.push_str(store.text(number));
    out.push('}');
}

pub(super) fn redirect(call: &Call<'_>, path: &str) -> Reply {
    let question_mark = if call.query.is_empty() { "" } else { "?" };
    Reply::empty(307).with("location", format!("http://{}{path}{question_mark}{}", call.host, call.query))
}

/// Whether a body of this many bytes is more than the server takes.
pub fn is_too_long(bytes: u64) -> bool {
    bytes > BODY_MAX_BYTES as u64
}

impl SandboxStats {
    pub fn to_json(&self) -> String {
        let by_status = self.by_status.iter().map(|(status, count)| (status.to_string(), *count));
        let by_fault = self.by_fault.iter().map(|(kind, count)| (kind.to_string(), *count));
        serde_json::json!({
            "events": self.events,
            "inserted": self.inserted,
            "duplicates": self.duplicates,
            "requests": self.requests,
            "by_status": by_status.collect::<BTreeMap<_, _>>(),
            "by_fault": by_fault.collect::<BTreeMap<_, _>>(),
        })
        .to_string()
    }
}
