//! syslog.

use super::{Names, NotParsed};
use crate::mapping::slots::Slots;

pub(super) fn read_rfc5424(
    _text: &str,
    _from: usize,
    _names: &Names,
    _slots: &mut Slots,
) -> Result<(), NotParsed> {
    Err(NotParsed("is not read yet".to_owned()))
}

pub(super) fn read_rfc3164(
    _text: &str,
    _from: usize,
    _names: &Names,
    _slots: &mut Slots,
) -> Result<(), NotParsed> {
    Err(NotParsed("is not read yet".to_owned()))
}
