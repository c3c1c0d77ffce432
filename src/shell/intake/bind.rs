//! A socket at a path, with its mode and owner before anybody can connect.
//!
//! It is made under another name in the same folder and renamed. So a stale one is replaced in one step, and at no
//! moment does a socket stand at the path to which more people could write than may.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt,
};

use super::IntakeFault;
use super::people;
use crate::config::settings::{SocketKind, SocketSettings};
use crate::model::FileKey;
use crate::shell::disk::{key_of, words_of};

/// Writers who have connected and are not yet heard. The operating system takes less where `somaxconn` says so.
const BACKLOG: i32 = 1024;

/// A socket that takes writers in.
#[derive(Debug)]
pub enum Listening {
    Stream(UnixListener),
    Datagram(UnixDatagram),
}

impl Listening {
    /// Makes it so that nothing waits in it: whoever passed it on may have left it otherwise.
    pub fn never_blocks(&self) -> bool {
        match self {
            Self::Stream(listener) => listener.set_nonblocking(true),
            Self::Datagram(socket) => socket.set_nonblocking(true),
        }
        .is_ok()
    }

    /// # Errors
    /// What the operating system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Stream(listener) => Self::Stream(listener.try_clone()?),
            Self::Datagram(socket) => Self::Datagram(socket.try_clone()?),
        })
    }
}

/// The file of a socket that this process made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    path: PathBuf,
    file: FileKey,
}

impl OwnFile {
    /// Whether it stands at its path.
    #[must_use]
    pub fn stands(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| key_of(&metadata) == self.file)
    }

    /// Removes it, unless another one stands there by now.
    pub fn remove(&self) {
        if self.stands() {
            // Nobody answers there any more; the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that is ready, under another name. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Bound {
    listening: Option<Listening>,
    beside: PathBuf,
    path: PathBuf,
}

impl Bound {
    /// Puts it at its path.
    ///
    /// # Errors
    /// [`IntakeFault`]; what stands at the path is then as it was.
    pub fn place(mut self) -> Result<(Listening, OwnFile), IntakeFault> {
        let renamed = fs::symlink_metadata(&self.beside)
            .and_then(|metadata| fs::rename(&self.beside, &self.path).map(|()| key_of(&metadata)));
        let path = self.path.clone();
        match renamed {
            Ok(file) => {
                let listening = self.listening.take().expect("a socket is placed once");
                Ok((listening, OwnFile { path, file }))
            }
            Err(error) => Err(IntakeFault::Unusable { path, why: words_of(&error) }),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.listening.is_some() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes the socket, beside its path. `is_ours`: whether what stands at the path is this process's own, and may be
/// replaced. `index` tells sockets that are made together apart.
///
/// # Errors
/// [`IntakeFault`].
pub fn open(settings: &SocketSettings, is_ours: bool, index: usize) -> Result<Bound, IntakeFault> {
    let path = settings.path.as_path();
    let owner = settings.owner.as_ref().map(people::user).transpose()?;
    let group = settings.group.as_ref().map(people::group).transpose()?;
    let unusable = |error: &io::Error| IntakeFault::Unusable { path: path.to_owned(), why: words_of(error) };
    check_place(path, is_ours)?;
    let beside = path.with_file_name(format!(".{:x}-{index}", std::process::id()));
    match make(settings, &beside, owner, group) {
        Ok(listening) => Ok(Bound { listening: Some(listening), beside, path: path.to_owned() }),
        Err(error) => {
            let _ = fs::remove_file(&beside);
            Err(unusable(&error))
        }
    }
}

/// What may stand at the path: nothing, or a socket that nobody listens on.
fn check_place(path: &Path, is_ours: bool) -> Result<(), IntakeFault> {
    let owned = || path.to_owned();
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(IntakeFault::NotASocket { path: owned() }),
        Ok(_) if is_ours => Ok(()),
        Ok(_) => match is_live(path) {
            Ok(false) => Ok(()),
            Ok(true) => Err(IntakeFault::InUse { path: owned() }),
            Err(error) => Err(IntakeFault::Unusable { path: owned(), why: words_of(&error) }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match path.parent().is_some_and(Path::is_dir) {
                true => Ok(()),
                false => Err(IntakeFault::NoFolder { path: owned() }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(IntakeFault::NoFolder { path: owned() })
        }
        Err(error) => Err(IntakeFault::Unusable { path: owned(), why: words_of(&error) }),
    }
}

/// Whether somebody has the socket at the path open. Never waits.
fn is_live(path: &Path) -> io::Result<bool> {
    let address = SocketAddrUnix::new(path)?;
    let probe = new_socket(SocketType::STREAM)?;
    match connect(&probe, &address) {
        // A full backlog, and a socket of another type, are somebody's.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn make(
    settings: &SocketSettings,
    path: &Path,
    owner: Option<u32>,
    group: Option<u32>,
) -> io::Result<Listening> {
    // Left by a process with the same number that was killed between two steps.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let kind = match settings.kind {
        SocketKind::Stream => SocketType::STREAM,
        SocketKind::Datagram => SocketType::DGRAM,
    };
    let socket = new_socket(kind)?;
    // On Linux the file takes its mode from here: until it has the right one, nobody but root may write to it.
    rustix::fs::fchmod(&socket, Mode::empty())?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    give(path, owner, group, settings.mode)?;
    // From the first datagram on: one that is sent before has no sender.
    if settings.kind == SocketKind::Datagram && settings.allowed.is_some() {
        sockopt::set_socket_passcred(&socket, true)?;
    }
    Ok(match settings.kind {
        SocketKind::Stream => {
            listen(&socket, BACKLOG)?;
            Listening::Stream(socket.into())
        }
        SocketKind::Datagram => Listening::Datagram(socket.into()),
    })
}

/// Gives the file of a socket its owner and mode. By a handle: who may write to the folder could put a link to another
/// file in its place meanwhile.
fn give(path: &Path, owner: Option<u32>, group: Option<u32>, mode: u32) -> io::Result<()> {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let file = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
    if !fs::metadata(&file)?.file_type().is_socket() {
        return Err(io::Error::other("another file was put in its place"));
    }
    if owner.is_some() || group.is_some() {
        chown(&file, owner, group)?;
    }
    fs::set_permissions(&file, Permissions::from_mode(mode))
}

fn new_socket(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, kind, flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{SpoolSettings, UnixId};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    fn settings(path: &Path, kind: SocketKind) -> SocketSettings {
        SocketSettings {
            path: path.to_owned(),
            kind,
            mode: 0o640,
            owner: None,
            group: None,
            allowed: None,
            acknowledges: false,
            spool: SpoolSettings { folder: "/nowhere".into(), max_bytes: 1 << 20 },
        }
    }

    fn place(settings: &SocketSettings, is_ours: bool) -> Result<(Listening, OwnFile), IntakeFault> {
        open(settings, is_ours, 0)?.place()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn s27_a_socket_has_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        for kind in [SocketKind::Stream, SocketKind::Datagram] {
            let (_socket, own) = place(&settings(&path, kind), false).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
            assert_eq!(names(folder.path()), ["app.sock"]);
            own.remove();
            assert_eq!(names(folder.path()), [""; 0]);
        }
    }

    #[test]
    fn s27_a_stale_socket_is_replaced_and_a_live_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        for kind in [SocketKind::Stream, SocketKind::Datagram] {
            let settings = settings(&path, kind);
            drop(place(&settings, false).unwrap());
            let (live, own) = place(&settings, false).expect("nobody listens on the first one");
            let fault = open(&settings, false, 0).unwrap_err();
            assert_eq!(fault, IntakeFault::InUse { path: path.clone() });
            assert_eq!(fault.exit_code(), 75);
            assert_eq!(names(folder.path()), ["app.sock"]);
            let (again, newer) = place(&settings, true).expect("its own may be replaced");
            own.remove();
            assert!(path.exists(), "what replaced it is not its own");
            drop((live, again));
            newer.remove();
        }
    }

    #[test]
    fn s27_nobody_connects_before_the_socket_is_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let (listening, _own) = place(&settings(&path, SocketKind::Stream), false).unwrap();
        let Listening::Stream(listener) = listening else { panic!("a stream was asked for") };
        UnixStream::connect(&path).unwrap();
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn what_is_not_placed_leaves_nothing_and_touches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let (_first, own) = place(&settings(&path, SocketKind::Stream), false).unwrap();
        let bound = open(&settings(&path, SocketKind::Datagram), true, 7).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(bound);
        assert_eq!(names(folder.path()), ["app.sock"]);
        assert_eq!(key_of(&fs::metadata(&path).unwrap()), own.file);
    }

    #[test]
    fn s27_a_link_in_the_place_of_a_socket_gives_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, link) = (folder.path().join("secret"), folder.path().join("link"));
        fs::write(&secret, "mine").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        for path in [&secret, &link] {
            assert!(give(path, None, None, 0o666).is_err(), "{path:?}");
            assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn s27_the_first_datagram_has_a_sender_where_it_matters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        for allowed in [None, Some(vec![UnixId::Number(0)])] {
            let settings =
                SocketSettings { allowed: allowed.clone(), ..settings(&path, SocketKind::Datagram) };
            let Listening::Datagram(socket) = place(&settings, false).unwrap().0 else { panic!("as asked") };
            assert_eq!(sockopt::socket_passcred(&socket).unwrap(), allowed.is_some());
        }
    }

    #[test]
    fn what_stands_in_the_way_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        let fault = |path: &Path| open(&settings(path, SocketKind::Stream), false, 0).unwrap_err();
        assert_eq!(fault(&file), IntakeFault::NotASocket { path: file.clone() });
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        for below in [folder.path().join("gone/app.sock"), file.join("app.sock")] {
            assert_eq!(fault(&below), IntakeFault::NoFolder { path: below.clone() });
        }
        let unknown = SocketSettings {
            group: Some(UnixId::Name("no such group".into())),
            ..settings(&folder.path().join("a"), SocketKind::Stream)
        };
        assert_eq!(open(&unknown, false, 0).unwrap_err().exit_code(), 78);
        assert_eq!(names(folder.path()), ["file"]);
    }
}
