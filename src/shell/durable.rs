//! Files that are there whole after a power cut: written beside, synced, renamed, and the folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;

use rustix::process::geteuid;

/// Puts `bytes` in place of the file `name` in `folder`.
///
/// # Errors
/// What the operating system says; the old file is then still there, or the new one is.
pub fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_for_now(folder, name, bytes)?;
    sync_folder(folder)
}

/// As [`replace`], but for the folder: after a power cut the old file may be there, until [`sync_folder`].
///
/// # Errors
/// As [`replace`].
pub fn replace_for_now(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = write_beside(folder, name, bytes)?;
    fs::rename(new, folder.join(name))
}

/// As [`replace_for_now`], and the old file, where there is one, is kept as `previous`.
///
/// # Errors
/// As [`replace`].
pub fn replace_and_keep(folder: &Path, name: &str, previous: &str, bytes: &[u8]) -> io::Result<()> {
    let new = write_beside(folder, name, bytes)?;
    let (current, previous) = (folder.join(name), folder.join(previous));
    if current.try_exists()? {
        // A second name for the old file, so that at no moment there is none under `name`.
        let kept = remove_if_there(&previous).and_then(|()| fs::hard_link(&current, &previous));
        // Not every file system knows hard links.
        kept.or_else(|_| fs::rename(&current, &previous))?;
    }
    fs::rename(new, current)
}

/// Makes renames in the folder durable.
///
/// # Errors
/// What the operating system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives a file to the owner of its folder: what root makes in the folder of the daemon's user, the daemon must be
/// able to open. Nobody else may, nor needs to: a folder may be another's and writable by a group, as a pod's volumes are.
///
/// # Errors
/// What the operating system says.
pub fn give_to_owner_of(folder: &Path, file: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (owner, own) = (fs::metadata(folder)?, fs::metadata(file)?);
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    chown(file, Some(owner.uid()), Some(owner.gid()))
}

fn write_beside(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<std::path::PathBuf> {
    let path = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}

/// Removes a file; that there is none is no fault.
///
/// # Errors
/// What the operating system says.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["one", "two", "three"] {
            replace_and_keep(folder.path(), "state", "state.previous", content.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("state")).unwrap(), "three");
        assert_eq!(fs::read_to_string(folder.path().join("state.previous")).unwrap(), "two");
        fs::remove_file(folder.path().join("state")).unwrap();
        replace_and_keep(folder.path(), "state", "state.previous", b"four").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("state.previous")).unwrap(), "two");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        assert_eq!(replace(&gone, "state", b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
