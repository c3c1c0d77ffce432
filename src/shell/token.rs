//! The token: read where the operator put it, read again when it changes there, and shown to nobody.
//!
//! Tokens are rotated under a running daemon. So the file is looked at before a request (at most once a second),
//! and after Polar refused the token it is read whatever the file system says.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::disk::words_of;
use crate::config::settings::TokenSource;

/// How long a look at the file is believed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The name of the systemd credential.
const CREDENTIAL: &str = "polar-token";

/// A token that follows its source.
#[derive(Debug)]
pub struct Token {
    place: Place,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Environment(String),
    /// systemd sets the folder; without it there is no credential.
    NoCredential,
}

#[derive(Debug)]
struct Known {
    looked_at: Instant,
    stamp: Stamp,
    token: SecretString,
}

/// What tells that a file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Why there is no token, with the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken(String);

impl fmt::Display for NoToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Token {
    #[must_use]
    pub fn new(source: &TokenSource) -> Self {
        let place = match source {
            TokenSource::File(path) => Place::File(path.clone()),
            TokenSource::Environment(name) => Place::Environment(name.clone()),
            TokenSource::Credential => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map_or(Place::NoCredential, |folder| Place::File(Path::new(&folder).join(CREDENTIAL))),
        };
        Self { place, known: Mutex::new(None) }
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// [`NoToken`], when there is none or it cannot be one.
    pub fn current(&self, now: Instant) -> Result<SecretString, NoToken> {
        match &self.place {
            Place::File(path) => self.of_file(path, now),
            Place::Environment(name) => of_environment(name),
            Place::NoCredential => Err(NoToken(format!(
                "no token: systemd gives this process no credentials; add `LoadCredential={CREDENTIAL}:…` to the \
                 unit, or set polar.token_file"
            ))),
        }
    }

    /// Whether there is one now, for who does not wait for it.
    ///
    /// # Errors
    /// [`NoToken`].
    pub fn is_there(source: &TokenSource) -> Result<(), NoToken> {
        Self::new(source).current(Instant::now()).map(drop)
    }

    /// Polar refused the token: the next one is read anew.
    pub fn refused(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn of_file(&self, path: &Path, now: Instant) -> Result<SecretString, NoToken> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref()
            && now.saturating_duration_since(known.looked_at) < LOOK_EVERY
        {
            return Ok(known.token.clone());
        }
        let unreadable =
            |error: &std::io::Error| NoToken(format!("no token: cannot read {path:?}: {}", words_of(error)));
        let stamp = Stamp::of(path).map_err(|error| unreadable(&error))?;
        if let Some(known) = known.as_mut()
            && known.stamp == stamp
        {
            known.looked_at = now;
            return Ok(known.token.clone());
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let token = checked(text, &format!("{path:?}"))?;
        *known = Some(Known { looked_at: now, stamp, token: token.clone() });
        Ok(token)
    }
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

fn of_environment(name: &str) -> Result<SecretString, NoToken> {
    match std::env::var(name) {
        Ok(text) => checked(text, &format!("the environment variable {name}")),
        Err(_) => Err(NoToken(format!(
            "no token: the environment variable {name} is not set; set it, or polar.token_file in the config"
        ))),
    }
}

/// A token is one word of printable ASCII: anything else could not stand in a header.
fn checked(text: String, place: &str) -> Result<SecretString, NoToken> {
    let text = SecretString::from(text);
    let token = text.expose_secret().trim();
    if token.is_empty() {
        return Err(NoToken(format!("no token: {place} is empty")));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NoToken(format!(
            "no token: {place} holds more than one word; it should hold the token alone"
        )));
    }
    Ok(SecretString::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(content: &str) -> (tempfile::TempDir, PathBuf, Token) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        let token = Token::new(&TokenSource::File(path.clone()));
        (folder, path, token)
    }

    #[track_caller]
    fn check(token: &Token, now: Instant, expected: &str) {
        assert_eq!(token.current(now).unwrap().expose_secret(), expected);
    }

    #[test]
    fn a_token_written_anew_is_used_within_a_second() {
        let (_folder, path, token) = in_file("polar_oat_one\n");
        let start = Instant::now();
        check(&token, start, "polar_oat_one");
        fs::write(&path, "polar_oat_number_two\n").unwrap();
        check(&token, start + Duration::from_millis(10), "polar_oat_one");
        check(&token, start + LOOK_EVERY, "polar_oat_number_two");
    }

    #[test]
    fn after_a_refusal_the_token_is_read_at_once() {
        let (_folder, path, token) = in_file("polar_oat_one\n");
        let start = Instant::now();
        check(&token, start, "polar_oat_one");
        fs::write(&path, "polar_oat_two\n").unwrap();
        token.refused();
        check(&token, start, "polar_oat_two");
    }

    #[test]
    fn what_cannot_be_a_token_is_said_without_showing_it() {
        for (content, words) in
            [("", "is empty"), (" \n", "is empty"), ("polar oat secret", "more than one word")]
        {
            let (_folder, _path, token) = in_file(content);
            let error = token.current(Instant::now()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_said_with_its_path() {
        let token = Token::new(&TokenSource::File("/nowhere/token".into()));
        assert_eq!(
            token.current(Instant::now()).unwrap_err().to_string(),
            "no token: cannot read \"/nowhere/token\": no such file or directory"
        );
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let (_folder, _path, token) = in_file("polar_oat_one\n");
        check(&token, Instant::now(), "polar_oat_one");
        assert!(!format!("{token:?}").contains("polar_oat_one"));
    }
}
