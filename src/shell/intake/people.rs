//! Names of users and groups → their numbers.

use nix::unistd::{Group, User};

use super::IntakeFault;
use crate::config::settings::UnixId;

/// # Errors
/// [`IntakeFault::Unknown`].
pub fn user(id: &UnixId) -> Result<u32, IntakeFault> {
    number(id, "user", |name| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()))
}

/// # Errors
/// [`IntakeFault::Unknown`].
pub fn group(id: &UnixId) -> Result<u32, IntakeFault> {
    number(id, "group", |name| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()))
}

fn number(
    id: &UnixId,
    what: &'static str,
    look_up: impl FnOnce(&str) -> Option<u32>,
) -> Result<u32, IntakeFault> {
    match id {
        UnixId::Number(number) => Ok(*number),
        UnixId::Name(name) => look_up(name).ok_or_else(|| IntakeFault::Unknown { what, name: name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_number_is_not() {
        let name = |name: &str| UnixId::Name(name.to_owned());
        assert_eq!((user(&name("root")), group(&name("root"))), (Ok(0), Ok(0)));
        assert_eq!(user(&UnixId::Number(4_000_000_000)), Ok(4_000_000_000));
        let fault = user(&name("nobody at all")).unwrap_err();
        assert_eq!(fault.to_string(), "there is no user \"nobody at all\"");
        assert_eq!(fault.exit_code(), 78);
    }
}
