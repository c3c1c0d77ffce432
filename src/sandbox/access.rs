//! Who may do what: tokens, scopes, and the rate limit of an organization.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::sandbox::fixtures::{Access, Directory, OrganizationIndex};
use crate::sandbox::reply::Reply;

/// The token of an `Authorization` header, if it is one for us.
///
/// # Errors
/// The 401 that the real server gives.
pub fn authenticate<'d>(
    directory: &'d Directory,
    authorization: Option<&str>,
    now: Timestamp,
) -> Result<&'d Access, Reply> {
    let (scheme, token) = authorization.and_then(|header| header.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Reply::unauthorized());
    }
    let access = directory.access(token.trim()).ok_or_else(Reply::invalid_token)?;
    if access.expires_at.is_some_and(|end| end <= now) {
        return Err(Reply::invalid_token());
    }
    Ok(access)
}

/// Any of `scopes` will do.
///
/// # Errors
/// The 403 that the real server gives.
pub fn require(access: &Access, scopes: &[&str]) -> Result<(), Reply> {
    let has_one = access.scopes.iter().any(|scope| scopes.contains(&scope.as_str()));
    if has_one { Ok(()) } else { Err(Reply::insufficient_scope(scopes)) }
}

/// Seconds of a window, and what every 429 says, however little is left.
const WINDOW_S: u64 = 60;

/// A fixed window of a minute from the first request, for each organization.
#[derive(Default)]
pub struct RateLimit {
    windows: BTreeMap<OrganizationIndex, Window>,
}

struct Window {
    end: Timestamp,
    requests: u32,
}

impl RateLimit {
    /// Counts a request of whoever holds `access`.
    ///
    /// # Errors
    /// The 429, when there are more than `per_minute` in this window.
    pub fn count(&mut self, access: &Access, per_minute: u32, now: Timestamp) -> Result<(), Reply> {
        let Some(&organization) = access.holder.organizations().first() else { return Ok(()) };
        let end = now + SignedDuration::from_secs(WINDOW_S as i64);
        let window = self.windows.entry(organization).or_insert(Window { end, requests: 0 });
        if window.end <= now {
            *window = Window { end, requests: 0 };
        }
        if window.requests == per_minute {
            return Err(Reply::throttled(WINDOW_S));
        }
        window.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::fixtures::{DEFAULT_TOKEN, Fixtures};

    #[test]
    fn a_window_lasts_a_minute_from_its_first_request() {
        let directory = Directory::new(Fixtures::default());
        let access = directory.access(DEFAULT_TOKEN).expect("the default token is there");
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().expect("the test's time is right");
        let mut limit = RateLimit::default();
        let mut allowed = |second| limit.count(access, 2, start + SignedDuration::from_secs(second)).is_ok();
        let answers = [0, 30, 59, 60, 61, 119, 120].map(|second| (second, allowed(second)));
        let expected =
            [(0, true), (30, true), (59, false), (60, true), (61, true), (119, false), (120, true)];
        assert_eq!(answers, expected);
    }
}
