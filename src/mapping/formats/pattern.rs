//! `regex` and `prefix`: the named groups are the fields.

use regex::Regex;

use super::{Names, NotParsed};
use crate::mapping::slots::{Slots, Written};

/// An expression, and which of its groups are wanted.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The number of a group, and the slots that it fills.
    groups: Vec<(usize, Vec<u16>)>,
}

impl Pattern {
    pub fn new(regex: &Regex, names: &Names) -> Self {
        let named = regex.capture_names().enumerate();
        let wanted =
            named.filter_map(|(group, name)| Some((group, names.slots_of(name?).collect::<Vec<_>>())));
        let groups = wanted.filter(|(_, slots)| !slots.is_empty()).collect();
        Self { regex: regex.clone(), groups }
    }

    /// Matches at the start only.
    pub fn at_start(regex: &Regex, names: &Names) -> Self {
        let anchored = Regex::new(&format!("^(?:{regex})")).expect("an expression stays one in a group");
        Self::new(&anchored, names)
    }

    /// Finds the groups in what stands from `from` on; says where the match ends.
    pub fn read(&self, text: &str, from: usize, slots: &mut Slots) -> Result<usize, NotParsed> {
        let not_there = || NotParsed("does not match the line".to_owned());
        let found = self.regex.captures(&text[from..]).ok_or_else(not_there)?;
        for (group, wanted) in &self.groups {
            let Some(group) = found.get(*group) else { continue };
            for slot in wanted {
                slots.put(*slot, from + group.start()..from + group.end(), Written::Plain);
            }
        }
        Ok(from + found.get(0).map_or(0, |whole| whole.end()))
    }
}
