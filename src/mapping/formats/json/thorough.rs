//! The thorough way through a line of JSON: serde_json drives the parse.
//!
//! What serde_json refuses on its quick way is not always invalid: a lone surrogate, or 1e999 where an object was
//! expected. The exact way looks at such a value as text first.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Node;
use crate::mapping::slots::{Slots, Written};

/// Finds the fields of `text[from..]`, which must be one JSON value.
pub(super) fn read(node: &Node, text: &str, from: usize, slots: &mut Slots) -> Result<(), serde_json::Error> {
    if read_by(node, text, from, slots, false).is_ok() {
        return Ok(());
    }
    forget(slots);
    read_by(node, text, from, slots, true)
}

/// What a prefix said stays.
pub(super) fn forget(slots: &mut Slots) {
    slots.forget_json();
    slots.note_duplicate_key(false);
}

fn read_by(
    node: &Node,
    text: &str,
    from: usize,
    slots: &mut Slots,
    exact: bool,
) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(&text[from..]);
    let origin = text.as_ptr() as usize;
    Seed { node, slots, origin, exact }.deserialize(&mut parser)?;
    parser.end()
}

struct Seed<'a> {
    node: &'a Node,
    slots: &'a mut Slots,
    /// The address of the text's first byte: raw values borrow from it, so their places follow.
    origin: usize,
    exact: bool,
}

impl Seed<'_> {
    fn keep(&mut self, raw: &str) {
        if let Some(slot) = self.node.slot {
            let start = raw.as_ptr() as usize - self.origin;
            self.slots.put(slot, start..start + raw.len(), Written::Json);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, parser: D) -> Result<(), D::Error> {
        if !self.node.is_leaf() && self.node.slot.is_none() && !self.exact {
            return parser.deserialize_any(self);
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(parser)?.get();
        self.keep(raw);
        if !self.node.is_leaf() && raw.starts_with(['{', '[']) {
            // The raw value is valid already, so this reads it again only to go down.
            let mut inner = serde_json::Deserializer::from_str(raw);
            inner.deserialize_any(self).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // One bit for each wanted key of this object; beyond 128 of them nobody counts.
        let mut seen = 0_u128;
        while let Some(wanted) = map.next_key_seed(KeySeed { keys: &self.node.keys })? {
            let Some((at, child)) = wanted else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = u32::try_from(at).ok().and_then(|at| 1_u128.checked_shl(at)).unwrap_or(0);
            if seen & bit != 0 {
                self.slots.note_duplicate_key(true);
            }
            seen |= bit;
            if !child.is_leaf() {
                child.forget(self.slots);
            }
            let seed = Seed { node: child, slots: self.slots, origin: self.origin, exact: self.exact };
            map.next_value_seed(seed)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0_u32.. {
            let wanted = self.node.indexes.iter().find(|(known, _)| *known == index);
            let went_on = match wanted {
                Some((_, child)) => elements
                    .next_element_seed(Seed {
                        node: child,
                        slots: self.slots,
                        origin: self.origin,
                        exact: self.exact,
                    })?
                    .is_some(),
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds a key among the wanted ones, and says which it is. Bytes, because a key with a lone surrogate is valid JSON as well.
struct KeySeed<'a> {
    keys: &'a [(Box<str>, Node)],
}

impl<'de, 'a> DeserializeSeed<'de> for KeySeed<'a> {
    type Value = Option<(usize, &'a Node)>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_bytes(self)
    }
}

impl<'a> Visitor<'_> for KeySeed<'a> {
    type Value = Option<(usize, &'a Node)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        let at = self.keys.iter().position(|(known, _)| known.as_bytes() == key);
        Ok(at.map(|at| (at, &self.keys[at].1)))
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        self.visit_bytes(key.as_bytes())
    }
}
