//! Why a socket cannot be opened, and the cure.

use std::fmt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeFault {
    /// Somebody listens there.
    InUse {
        path: PathBuf,
    },
    /// Something else stands at the socket's path.
    NotASocket {
        path: PathBuf,
    },
    NoFolder {
        path: PathBuf,
    },
    /// The config names a user or group that is not on this machine.
    Unknown {
        what: &'static str,
        name: String,
    },
    Unusable {
        path: PathBuf,
        why: String,
    },
    /// The folder of the spool.
    Spool {
        path: PathBuf,
        why: String,
    },
}

impl IntakeFault {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } => 75,
            Self::NotASocket { .. } | Self::NoFolder { .. } | Self::Unusable { .. } | Self::Spool { .. } => {
                73
            }
            Self::Unknown { .. } => 78,
        }
    }

    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { .. } => "stop the other process, or give this source a socket of its own".into(),
            Self::NotASocket { path } => {
                format!("move {path:?} away, or give the source another path; Floe replaces sockets alone")
            }
            Self::NoFolder { path } => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                format!("make the folder {folder:?}; under systemd, RuntimeDirectory=floe makes /run/floe")
            }
            Self::Unknown { what, .. } => format!("name a {what} of this machine, or give its number"),
            Self::Unusable { .. } => {
                "give the user that Floe runs as the right to write the socket's folder; only root gives a socket to \
                 others, but anybody to a group of his own"
                    .into()
            }
            Self::Spool { .. } => {
                "set state_dir to a folder that the user of Floe may write, or change its owner".into()
            }
        }
    }
}

impl fmt::Display for IntakeFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => {
                write!(out, "cannot listen on {path:?}: another process listens there")
            }
            Self::NotASocket { path } => {
                write!(out, "cannot listen on {path:?}: something that is no socket stands there")
            }
            Self::NoFolder { path } => write!(out, "cannot listen on {path:?}: its folder is not there"),
            Self::Unknown { what, name } => write!(out, "there is no {what} {name:?}"),
            Self::Unusable { path, why } => write!(out, "cannot listen on {path:?}: {why}"),
            Self::Spool { path, why } => write!(out, "cannot use the spool {path:?}: {why}"),
        }
    }
}
