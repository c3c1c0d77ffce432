//! Which settings a running daemon can take over.

use crate::config::Settings;
use crate::config::settings::Input;

/// What differs that is bound to the state folder, and so needs a restart (or another folder); `None` when the new
/// settings can be taken over.
#[must_use]
pub fn bound_difference(old: &Settings, new: &Settings) -> Option<&'static str> {
    if old.instance != new.instance {
        Some("instance")
    } else if old.state_dir != new.state_dir {
        Some("state_dir")
    } else if old.polar.base_url != new.polar.base_url {
        Some("polar.server")
    } else if old.polar.mode != new.polar.mode {
        Some("polar.mode")
    } else if old.admin != new.admin {
        Some("admin.listen")
    } else if reads_stdin(old) != reads_stdin(new) {
        Some("the source with stdin")
    } else {
        None
    }
}

/// The source that reads the standard input: it is read once.
fn reads_stdin(settings: &Settings) -> Option<&str> {
    let mut sources = settings.sources.iter();
    let source = sources.find(|source| matches!(source.input, Input::Stdin(_)))?;
    Some(&source.id)
}
