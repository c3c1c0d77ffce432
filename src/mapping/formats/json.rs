//! A line of JSON → the source texts of the fields that rules name, and nothing else.
//!
//! serde_json drives the parse and proves that the whole line is valid; a trie of the wanted paths says what is
//! kept. A kept value is a range of the line: numbers keep their source text, and a text is decoded only where it
//! is used. Of a duplicate key the last one counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::language::Step;
use crate::mapping::slots::{Slots, Written};

/// The wanted paths of one kind of line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct Trie {
    root: Node,
    /// The slot of each path in the order in which it was added.
    slots: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    slot: Option<u16>,
    keys: Vec<(Box<str>, Node)>,
    indexes: Vec<(u32, Node)>,
}

/// Why a text gave no fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mapping) struct NotJson(pub String);

impl Trie {
    /// The slot of a path; the same for the same path.
    pub fn add(&mut self, steps: &[Step]) -> u16 {
        let mut node = &mut self.root;
        for step in steps {
            node = node.child(step);
        }
        let next = u16::try_from(self.slots).expect("a config names fewer than 65,536 fields");
        if node.slot.is_none() {
            self.slots += 1;
        }
        *node.slot.get_or_insert(next)
    }

    /// The paths with their slots.
    pub fn paths(&self) -> Vec<(Vec<Step>, u16)> {
        let mut paths = Vec::with_capacity(self.slots);
        self.root.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    /// How many slots it fills.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Finds the fields of `text`, which must be one JSON value.
    ///
    /// # Errors
    /// When it is not.
    pub fn read(&self, text: &str, slots: &mut Slots) -> Result<(), NotJson> {
        slots.clear(self.slots);
        self.read_from(text, 0, slots)
    }

    /// As [`Trie::read`], of what stands from `from` on in `text`. `slots` are cleared already.
    ///
    /// # Errors
    /// When it is not one JSON value.
    pub fn read_from(&self, text: &str, from: usize, slots: &mut Slots) -> Result<(), NotJson> {
        // What serde_json refuses on its quick way is not always invalid: a lone surrogate or 1e999 where an
        // object was expected. The exact way looks at such a value as text first.
        if self.read_by(text, from, slots, false).is_ok() {
            return Ok(());
        }
        // What a prefix said stays.
        slots.forget_json();
        slots.note_duplicate_key(false);
        self.read_by(text, from, slots, true)
            // A line is one line: only the column says something.
            .map_err(|error| NotJson(error.to_string().replace(" at line 1 column ", " at column ")))
    }

    fn read_by(
        &self,
        text: &str,
        from: usize,
        slots: &mut Slots,
        exact: bool,
    ) -> Result<(), serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(&text[from..]);
        let origin = text.as_ptr() as usize;
        Seed { node: &self.root, slots, origin, exact }.deserialize(&mut parser)?;
        parser.end()
    }
}

impl Node {
    fn child(&mut self, step: &Step) -> &mut Self {
        match step {
            Step::Key(key) => {
                let at = self.keys.iter().position(|(known, _)| **known == **key).unwrap_or_else(|| {
                    self.keys.push((key.as_str().into(), Self::default()));
                    self.keys.len() - 1
                });
                &mut self.keys[at].1
            }
            Step::Index(index) => {
                let at = self.indexes.iter().position(|(known, _)| known == index).unwrap_or_else(|| {
                    self.indexes.push((*index, Self::default()));
                    self.indexes.len() - 1
                });
                &mut self.indexes[at].1
            }
        }
    }

    fn is_leaf(&self) -> bool {
        self.keys.is_empty() && self.indexes.is_empty()
    }

    fn collect_paths(&self, steps: &mut Vec<Step>, paths: &mut Vec<(Vec<Step>, u16)>) {
        paths.extend(self.slot.map(|slot| (steps.clone(), slot)));
        let keys = self.keys.iter().map(|(key, child)| (Step::Key(key.to_string()), child));
        let indexes = self.indexes.iter().map(|(index, child)| (Step::Index(*index), child));
        for (step, child) in keys.chain(indexes) {
            steps.push(step);
            child.collect_paths(steps, paths);
            steps.pop();
        }
    }

    fn forget(&self, slots: &mut Slots) {
        if let Some(slot) = self.slot {
            slots.forget(slot);
        }
        self.keys.iter().for_each(|(_, child)| child.forget(slots));
        self.indexes.iter().for_each(|(_, child)| child.forget(slots));
    }
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

/// The source texts of an array's elements and where they stand in `text`; `None` if it is no array.
pub(in crate::mapping) fn elements(text: &str) -> Option<Vec<&str>> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(raw.into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::language::parse_path;

    #[track_caller]
    fn check(path: &str, text: &str, wanted: Result<Option<&str>, ()>) {
        let mut trie = Trie::default();
        let slot = trie.add(&parse_path(path).unwrap().steps);
        // A sibling and a parent, so that inner nodes are met as well.
        trie.add(&parse_path("a.b.sibling").unwrap().steps);
        let mut slots = Slots::default();
        let found = trie.read(text, &mut slots).map_err(|_| ());
        assert_eq!(found.map(|()| slots.get(text, slot).map(|field| field.raw)), wanted, "{path} in {text}");
    }

    #[test]
    fn fields_are_found_with_their_source_text() {
        check("n", r#"{"n":1.50e+2}"#, Ok(Some("1.50e+2")));
        check(
            "n",
            r#" {"x":[{"n":1}],"n" : 123456789012345678901234567890 } "#,
            Ok(Some("123456789012345678901234567890")),
        );
        check("a.b.c", r#"{"a":{"b":{"c":"x\"y"}}}"#, Ok(Some(r#""x\"y""#)));
        check("a.b", r#"{"a":{"b":{"c":1, "sibling":2}}}"#, Ok(Some(r#"{"c":1, "sibling":2}"#)));
        check("a[1].x", r#"{"a":[{"x":1},{"x":2},{"x":3}]}"#, Ok(Some("2")));
        check("a[3].x", r#"{"a":[{"x":1}]}"#, Ok(None));
        check("[1]", "[1,2]", Ok(Some("2")));
        check("\"gen_ai.usage\"", r#"{"gen_ai":{"usage":1},"gen_ai.usage":2}"#, Ok(Some("2")));
        check("n", r#"{"\u006e":1}"#, Ok(Some("1")));
    }

    #[test]
    fn of_a_duplicate_key_the_last_counts() {
        check("n", r#"{"n":1,"n":2}"#, Ok(Some("2")));
        check("n", r#"{"n":1,"n":null}"#, Ok(Some("null")));
        check("a.b.c", r#"{"a":{"b":{"c":1}},"a":{"b":5}}"#, Ok(None));
        check("a.b.c", r#"{"a":{"b":{"c":1}},"a":{}}"#, Ok(None));
        check("a.b.c", r#"{"a":{"b":{"c":1}},"a":7}"#, Ok(None));
    }

    #[test]
    fn a_wanted_key_that_stands_twice_is_noted() {
        let mut trie = Trie::default();
        for path in ["n", "a.b", "c[1].d", "e"] {
            trie.add(&parse_path(path).unwrap().steps);
        }
        trie.add(&parse_path("e.f").unwrap().steps);
        let mut slots = Slots::default();
        for (text, wanted) in [
            (r#"{"n":1,"n":1}"#, true),
            (r#"{"n":null,"n":1}"#, true),
            (r#"{"n":1,"\u006e":1}"#, true),
            (r#"{"n":1,"n":1,"x":"\ud800"}"#, true),
            (r#"{"a":{"b":1},"a":{"b":2}}"#, true),
            (r#"{"a":{},"a":{"b":2}}"#, true),
            (r#"{"a":{"b":1,"b":1}}"#, true),
            (r#"{"c":[0,{"d":1,"d":2}]}"#, true),
            (r#"{"e":{"f":1,"f":2}}"#, true),
            (r#"{"n":1,"a":{"b":1},"x":1,"x":2}"#, false),
            (r#"{"a":{"n":1},"n":1}"#, false),
            (r#"{"c":[{"d":1},{"d":2}]}"#, false),
            (r#"{"c":[{"d":1,"d":1},{"d":2}]}"#, false),
            (r#"{"a":"\ud800","n":1}"#, false),
        ] {
            trie.read(text, &mut slots).unwrap();
            assert_eq!(slots.has_duplicate_key(), wanted, "{text}");
        }
    }

    #[test]
    fn valid_json_that_serde_json_would_rather_refuse_is_taken() {
        check("n", r#"{"n":1,"s":"\ud800"}"#, Ok(Some("1")));
        check("n", r#"{"n":1,"\ud800":1}"#, Ok(Some("1")));
        check("n", r#"{"n":1,"a":"\ud800"}"#, Ok(Some("1")));
        check("n", r#"{"n":1,"a":1e999}"#, Ok(Some("1")));
        check("n", r#"{"n":1e999}"#, Ok(Some("1e999")));
        let deep = format!(r#"{{"x":{}{},"n":1}}"#, "[".repeat(500), "]".repeat(500));
        check("n", &deep, Ok(Some("1")));
        check("n", "5", Ok(None));
        check("n", "\"n\"", Ok(None));
    }

    #[test]
    fn what_is_not_json_is_refused_wherever_the_fault_is() {
        for text in [
            "",
            " ",
            "{",
            r#"{"n":1"#,
            r#"{"n":1}x"#,
            r#"{"n":1}{"n":1}"#,
            r#"{"n":1,}"#,
            r#"{"n":01}"#,
            r#"{"x":tru,"n":1}"#,
            r#"{"x":"\x","n":1}"#,
            r#"{"x":[1,],"n":1}"#,
            "{\"x\":\"\t\",\"n\":1}",
            r#"{"n":-}"#,
            r#"{"n":1,"x":0.010, 0.020}"#,
            r#"{"n":1,"a":}"#,
            "{n:1}",
            "hello",
            r#"{"n":NaN}"#,
        ] {
            check("n", text, Err(()));
        }
    }
}
