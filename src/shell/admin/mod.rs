//! The admin endpoint: metrics, health, status and a page, for whoever looks after the daemon. Read-only.
//!
//! It has a thread of its own, so that no scrape, slow reader or hostile client holds the lines up, and so that it can
//! say when the agent is stuck. It asks the agent when it is asked itself: while nobody asks it costs nothing. Where it
//! cannot listen lines are billed all the same, and it tries again.

pub mod ask;
pub mod exposition;
pub mod metrics;
pub mod routes;
mod server;
pub mod snapshot;
pub mod status;

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, oneshot};

use self::server::{Listener, Source};
use self::snapshot::About;
use super::disk::words_of;
use super::event::Reports;
use super::logs;
use super::quarantine::letters_path;
use crate::agent::{Notice, NoticeCode};
use crate::config::Settings;
use crate::config::settings::AdminListen;

/// How long to wait after it could not listen.
const RETRY: Duration = Duration::from_secs(5);

/// The endpoint while it answers. Dropped, it ends, and its socket is gone.
#[derive(Debug)]
pub struct Admin {
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// `None` where the config turns it off.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(settings: &Settings, about: About, reports: &Reports) -> io::Result<Option<Self>> {
        let listen = settings.admin.clone();
        if listen == AdminListen::Off {
            return Ok(None);
        }
        let letters = letters_path(&settings.state_dir);
        let source = Source { about, letters, reports: reports.clone(), last: Mutex::new(None) };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let work = move || runtime.block_on(run(&listen, Arc::new(source), stopped));
        let thread = thread::Builder::new().name("floe-admin".into()).spawn(work)?;
        Ok(Some(Self { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(listen: &AdminListen, source: Arc<Source>, mut stop: oneshot::Receiver<Infallible>) {
    let mut is_told = false;
    let listener = loop {
        match open(listen).await {
            Ok(listener) => break listener,
            Err(why) => {
                if !std::mem::replace(&mut is_told, true) {
                    logs::say(&unavailable(listen, &why));
                }
                tokio::select! {
                    _ = &mut stop => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    };
    logs::say(&Notice {
        code: NoticeCode::AdminOpen,
        message: format!("the admin endpoint listens on {}", place(listen, &listener)),
        hint: None,
    });
    server::serve(listener, source, &mut stop).await;
    if let AdminListen::Socket(path) = listen {
        // The next start replaces what is left.
        let _ = fs::remove_file(path);
    }
}

async fn open(listen: &AdminListen) -> Result<Listener, String> {
    match listen {
        AdminListen::Off => unreachable!("nothing is started for it"),
        AdminListen::Tcp(address) => {
            TcpListener::bind(address).await.map(Listener::Tcp).map_err(|error| words_of(&error))
        }
        AdminListen::Socket(path) => bind(path).map(Listener::Unix),
    }
}

/// A socket for this user alone. One that nobody answers at is left of a process that was killed, and replaced.
fn bind(path: &Path) -> Result<UnixListener, String> {
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err("something that is no socket stands there".to_owned());
        }
        if UnixStream::connect(path).is_ok() {
            return Err("another process listens there".to_owned());
        }
    }
    // Under another name until nobody else may connect.
    let beside = path.with_file_name(format!(".admin-{:x}", std::process::id()));
    let _ = fs::remove_file(&beside);
    let made = UnixListener::bind(&beside).and_then(|listener| {
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&beside, path)?;
        Ok(listener)
    });
    made.map_err(|error| {
        let _ = fs::remove_file(&beside);
        words_of(&error)
    })
}

fn place(listen: &AdminListen, listener: &Listener) -> String {
    match (listen, listener) {
        // With port 0 the operating system has chosen one.
        (AdminListen::Tcp(address), Listener::Tcp(listener)) => {
            format!("http://{}", listener.local_addr().unwrap_or(*address))
        }
        _ => shown(listen),
    }
}

/// Where it listens, as people read it.
#[must_use]
pub fn shown(listen: &AdminListen) -> String {
    match listen {
        AdminListen::Off => "nothing".to_owned(),
        AdminListen::Tcp(address) => format!("http://{address}"),
        AdminListen::Socket(path) => format!("{path:?}"),
    }
}

fn unavailable(listen: &AdminListen, why: &str) -> Notice {
    Notice {
        code: NoticeCode::AdminUnavailable,
        message: format!("the admin endpoint cannot listen on {}: {why}", shown(listen)),
        hint: Some(
            "it is tried again; lines are billed all the same; set admin.listen to another place".to_owned(),
        ),
    }
}

/// The socket of a daemon that was told nothing else.
#[must_use]
pub fn default_socket(state_dir: &Path) -> PathBuf {
    state_dir.join(crate::config::settings::ADMIN_SOCKET)
}
