//! logfmt.

use super::{Names, NotParsed};
use crate::mapping::slots::Slots;

pub(super) fn read(_text: &str, _from: usize, _names: &Names, _slots: &mut Slots) -> Result<(), NotParsed> {
    Err(NotParsed("is not read yet".to_owned()))
}
