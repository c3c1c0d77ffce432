//! To whom a state folder belongs: the instance, the server and the mode that it was made for.
//!
//! The instance is part of every id and the checkpoint says what *this* server has, so another value would bill
//! twice or not at all. The only change that is allowed is from shadow to live, and the operator says from where.

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::config::settings::{LiveFrom, Mode};

/// What `identity.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub version: u32,
    pub instance: String,
    pub server: String,
    pub mode: RecordedMode,
    /// True once a checkpoint was saved: from then on its absence is a loss.
    pub saved_checkpoint: bool,
    /// True once floors were saved: without them old lines would be billed.
    pub saved_floors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedMode {
    Live,
    Shadow,
}

/// The version that this release writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// What the folder and the settings make of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    Same,
    /// The folder was in shadow mode and goes live now.
    GoesLive(LiveFrom),
}

/// Why they do not fit: what is different, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub what: String,
    pub cure: String,
}

impl Identity {
    /// Of a new folder.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            version: VERSION,
            instance: settings.instance.clone(),
            server: settings.polar.base_url.clone(),
            mode: RecordedMode::of(settings.polar.mode),
            saved_checkpoint: false,
            saved_floors: false,
        }
    }

    /// # Errors
    /// [`Misfit`], when the settings belong to another folder.
    pub fn fits(&self, settings: &Settings) -> Result<Match, Misfit> {
        let cure = "set state_dir to a new, empty folder, or the old value again";
        if self.instance != settings.instance {
            return Err(Misfit {
                what: format!(
                    "the state belongs to instance {:?}, but the config says {:?}; the instance is part of every id, \
                     so all lines would be billed again",
                    self.instance, settings.instance
                ),
                cure: format!("set instance = {:?}; for another instance {cure}", self.instance),
            });
        }
        let mode = RecordedMode::of(settings.polar.mode);
        match (self.mode, mode) {
            (RecordedMode::Shadow, RecordedMode::Live) => {
                settings.polar.live_from.map(Match::GoesLive).ok_or_else(|| Misfit {
                    what: "the state was in shadow mode, and nothing says from where it goes live".into(),
                    cure: "set polar.live_from to \"shadow\" (bill what comes from now on), \"beginning\" (bill all that \
                           the files still hold) or a time (of that, the events from then on)"
                        .into(),
                })
            }
            (RecordedMode::Live, RecordedMode::Shadow) => Err(Misfit {
                what: "the state is live, but the config says shadow mode".into(),
                cure: "set state_dir to another folder for shadow mode".into(),
            }),
            // In shadow mode nothing was sent to any server.
            (RecordedMode::Shadow, RecordedMode::Shadow) => Ok(Match::Same),
            (RecordedMode::Live, RecordedMode::Live) if self.server == settings.polar.base_url => Ok(Match::Same),
            (RecordedMode::Live, RecordedMode::Live) => Err(Misfit {
                what: format!(
                    "the state says what {} has, but the config says {}",
                    self.server, settings.polar.base_url
                ),
                cure: cure.into(),
            }),
        }
    }
}

impl RecordedMode {
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        match mode {
            Mode::Live => Self::Live,
            Mode::Shadow => Self::Shadow,
        }
    }

    /// The name of the checkpoint file: shadow has its own.
    #[must_use]
    pub fn checkpoint(self) -> &'static str {
        match self {
            Self::Live => "checkpoint.json",
            Self::Shadow => "shadow-checkpoint.json",
        }
    }

    /// The name of the checkpoint before the last one.
    #[must_use]
    pub fn previous_checkpoint(self) -> &'static str {
        match self {
            Self::Live => "checkpoint.previous.json",
            Self::Shadow => "shadow-checkpoint.previous.json",
        }
    }
}
