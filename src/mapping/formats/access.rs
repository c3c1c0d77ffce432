//! access.

use super::{Names, NotParsed};
use crate::mapping::slots::Slots;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Nginx,
    Apache,
}

pub(super) fn read(
    _dialect: Dialect,
    _text: &str,
    _from: usize,
    _names: &Names,
    _slots: &mut Slots,
) -> Result<(), NotParsed> {
    Err(NotParsed("is not read yet".to_owned()))
}
