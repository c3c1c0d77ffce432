//! A local stand-in for Polar's event API: the same validation, the same error bodies, permanent dedupe, the rate
//! limit, and faults on demand. Behind `floe sandbox`, `floe demo` and the tests.
//!
//! It judges events with [`crate::polar`], as Floe itself does, and 119 recorded cases of the real server hold both to
//! the truth (`tests/conformance.rs`). It runs on a thread of its own, so that any caller can start it.

mod access;
mod customers;
mod faults;
mod fixtures;
mod ingest;
mod meters;
mod query;
mod reading;
mod reply;
mod resources;
mod server;
mod service;
mod store;
mod tamper;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::SignedDuration;
use tokio::sync::oneshot;

pub use faults::{FaultKind, FaultPlan};
pub use fixtures::{Customer, DEFAULT_TOKEN, Fixtures, Member, MeterFixture, Organization, Token, User};
pub use service::SandboxStats;
pub use tamper::{Tampered, Tampering};

use fixtures::Directory;
use service::Service;
use store::Store;

/// How a sandbox is to be. The default listens on any free port, holds its events in memory, has one organization
/// with [`DEFAULT_TOKEN`] and makes no trouble.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    pub listen: SocketAddr,
    pub fixtures: Fixtures,
    /// Where the events are kept; in memory alone if None.
    pub store: Option<PathBuf>,
    /// Requests a minute for each organization; any number if None.
    pub rate_limit_per_minute: Option<u32>,
    pub faults: FaultPlan,
    /// Of the dice for the faults.
    pub seed: u64,
}

impl Default for SandboxOptions {
    fn default() -> SandboxOptions {
        SandboxOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            fixtures: Fixtures::default(),
            store: None,
            rate_limit_per_minute: None,
            faults: FaultPlan::none(),
            seed: 0,
        }
    }
}

/// The sandbox; see [`Sandbox::start`].
pub struct Sandbox;

/// A sandbox that runs. Dropping it stops it.
#[must_use = "the sandbox stops when its handle is dropped"]
pub struct SandboxHandle {
    address: SocketAddr,
    token: String,
    service: Arc<Service>,
    /// Dropped to say "stop".
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox on a thread of its own. It listens when this returns.
    ///
    /// # Errors
    /// The address is taken, or the store cannot be read.
    pub fn start(options: SandboxOptions) -> io::Result<SandboxHandle> {
        let token = options.fixtures.ingest_token().unwrap_or_default().to_owned();
        let directory = Directory::new(options.fixtures);
        let store = match &options.store {
            Some(path) => Store::open(path, &directory)?,
            None => Store::default(),
        };
        let service =
            Service::new(directory, store, options.rate_limit_per_minute, options.faults, options.seed);
        let service = Arc::new(service);

        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&service);
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || runtime.block_on(server::serve(listener, served, stopped)))?;
        Ok(SandboxHandle { address, token, service, stop: Some(stop), thread: Some(thread) })
    }
}

impl SandboxHandle {
    /// Without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first token that may ingest; empty if the fixtures have none.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn stats(&self) -> SandboxStats {
        self.service.stats()
    }

    /// Every stored event as it was sent, in the order of arrival.
    pub fn events(&self) -> Vec<String> {
        self.service.events()
    }

    /// The `external_id` of every stored event that has one, in the order of arrival.
    pub fn external_ids(&self) -> Vec<String> {
        self.service.external_ids()
    }

    /// Whether an event with this `external_id` is stored.
    pub fn has(&self, external_id: &str) -> bool {
        self.service.has(external_id)
    }

    /// Loses, alters and doubles stored events, and says which. What a store's file holds stays as it is.
    pub fn tamper(&self, tampering: Tampering) -> Vec<Tampered> {
        self.service.tamper(tampering)
    }

    /// From the next request on.
    pub fn set_faults(&self, faults: FaultPlan) {
        self.service.set_faults(faults);
    }

    /// How far the sandbox's clock is ahead of the machine's; negative is behind.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.service.set_clock_offset(offset);
    }

    /// Stops it and drops the connections that are open.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed, and there is nothing left to save.
            let _ = thread.join();
        }
    }
}

impl Drop for SandboxHandle {
    fn drop(&mut self) {
        self.end();
    }
}
