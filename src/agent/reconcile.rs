//! What a segment of a file gives, held against what Polar has of it.
//!
//! Polar shows no `external_id`, so events are compared by what they say: name, customer, time and metadata. Where one
//! of the four differs, and the event without it would be missing, it is taken for the same event, altered. Of events
//! that say the same, one is as good as another.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::model::Offset;
use crate::model::file::short_print;

/// What an event says, each part as a print. The time is 0 where an event has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Says {
    pub name: u64,
    pub customer: u64,
    pub time: u64,
    pub metadata: u64,
}

impl Says {
    /// `own_key` is Floe's and says nothing of the line.
    #[must_use]
    pub fn of(
        name: &str,
        customer: &str,
        time: Option<Timestamp>,
        metadata: &Map<String, Value>,
        own_key: Option<&str>,
    ) -> Self {
        Self {
            name: short_print(name.as_bytes()),
            customer: short_print(customer.as_bytes()),
            // Polar keeps microseconds.
            time: time.map_or(0, |time| short_print(&time.as_microsecond().to_le_bytes())),
            metadata: print_of_metadata(metadata, own_key),
        }
    }

    fn without(self, part: Part) -> (Part, Self) {
        let says = match part {
            Part::Metadata => Self { metadata: 0, ..self },
            Part::Time => Self { time: 0, ..self },
            Part::Customer => Self { customer: 0, ..self },
            Part::Name => Self { name: 0, ..self },
        };
        (part, says)
    }
}

/// What an altered event says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Metadata,
    Time,
    Customer,
    Name,
}

impl Part {
    const ALL: [Self; 4] = [Self::Metadata, Self::Time, Self::Customer, Self::Name];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Time => "timestamp",
            Self::Customer => "customer",
            Self::Name => "name",
        }
    }
}

/// Numbers are compared by what they are worth: `1`, `1.0` and, as an amount, `"1.00"` say the same.
fn print_of_metadata(metadata: &Map<String, Value>, own_key: Option<&str>) -> u64 {
    let ordered: BTreeMap<&String, &Value> =
        metadata.iter().filter(|(key, _)| Some(key.as_str()) != own_key).collect();
    let mut text = String::new();
    for (key, value) in ordered {
        write_value(&Value::String(key.clone()), false, &mut text);
        write_value(value, key == "_cost", &mut text);
    }
    short_print(text.as_bytes())
}

fn write_value(value: &Value, amounts: bool, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&worth(number)),
        Value::String(text) if amounts && text.parse::<f64>().is_ok() => {
            out.push_str(&text.parse().map(worth_of_float).unwrap_or_default());
        }
        Value::Object(members) => {
            let ordered: BTreeMap<&String, &Value> =
                members.iter().filter(|(_, value)| !value.is_null()).collect();
            out.push('{');
            for (key, value) in ordered {
                write_value(&Value::String(key.clone()), false, out);
                write_value(value, amounts && key == "amount", out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push(',');
}

fn worth(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    number.as_f64().map_or_else(|| number.to_string(), worth_of_float)
}

fn worth_of_float(number: f64) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return (number as i64).to_string();
    }
    format!("{number:?}")
}

/// An event that a line gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub line: Offset,
    /// Its place among the events of the line.
    pub number: u16,
    pub says: Says,
    /// In microseconds, where it has a time of its own.
    pub time_us: Option<i64>,
    /// Of [`Sheet::whose`].
    pub whose: u32,
    /// Its line is settled as billed. Else it stands in the quarantine, and need not be there.
    pub is_sent: bool,
    pub found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    No,
    Yes,
    /// It was sent before events carried the key.
    WithoutKey,
    /// It is there, but for this part.
    But(Part),
}

/// Customer and name.
pub type Whose = (String, String);

/// What one segment gives.
#[derive(Debug, Default)]
pub struct Sheet {
    pub expected: Vec<Expected>,
    whose: Vec<Whose>,
    places: HashMap<Whose, u32>,
    /// Events with a time of their own lie between these.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Sheet {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    pub fn add(
        &mut self,
        line: Offset,
        number: u16,
        says: Says,
        whose: Whose,
        time: Option<Timestamp>,
        is_sent: bool,
    ) {
        let place = match self.places.get(&whose) {
            Some(place) => *place,
            None => {
                let place =
                    u32::try_from(self.whose.len()).expect("a segment has fewer customers than bytes");
                self.whose.push(whose.clone());
                self.places.insert(whose, place);
                place
            }
        };
        if let Some(time) = time {
            self.times = Some(self.times.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        }
        let time_us = time.map(Timestamp::as_microsecond);
        self.expected.push(Expected { line, number, says, time_us, whose: place, is_sent, found: Found::No });
    }

    #[must_use]
    pub fn whose(&self, place: u32) -> &Whose {
        &self.whose[place as usize]
    }

    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.whose.iter().map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Of what it gives, in any order.
    #[must_use]
    pub fn print(&self) -> u64 {
        let mut says: Vec<(Says, bool)> =
            self.expected.iter().map(|expected| (expected.says, expected.is_sent)).collect();
        says.sort_unstable();
        let mut bytes = Vec::with_capacity(says.len() * 33);
        for (Says { name, customer, time, metadata }, is_sent) in says {
            for part in [name, customer, time, metadata] {
                bytes.extend_from_slice(&part.to_le_bytes());
            }
            bytes.push(u8::from(is_sent));
        }
        short_print(&bytes)
    }

    /// Events that are sent and not found.
    pub fn missing(&self) -> impl Iterator<Item = &Expected> {
        self.expected.iter().filter(|expected| expected.is_sent && expected.found == Found::No)
    }

    /// Forgets what was found.
    pub fn forget(&mut self) {
        self.expected.iter_mut().for_each(|expected| expected.found = Found::No);
    }
}

/// What is there of the segment, as it comes in.
#[derive(Debug)]
pub struct Comparison<'a> {
    sheet: &'a mut Sheet,
    /// What is not found yet, by what it says: the last first.
    open: HashMap<Says, Vec<usize>>,
}

impl<'a> Comparison<'a> {
    #[must_use]
    pub fn new(sheet: &'a mut Sheet) -> Self {
        let mut open: HashMap<Says, Vec<usize>> = HashMap::new();
        // What was sent is found before what stands in the quarantine, and the first before the last.
        for is_sent in [false, true] {
            for (at, expected) in sheet.expected.iter().enumerate().rev() {
                if expected.is_sent == is_sent && expected.found == Found::No {
                    open.entry(expected.says).or_default().push(at);
                }
            }
        }
        Self { sheet, open }
    }

    /// An event that is there. `ways`: what it says, by each id of its customer. False where nothing like it is wanted any
    /// more.
    pub fn found(&mut self, ways: &[Says], as_what: Found) -> bool {
        let timeless = ways.iter().map(|says| Says { time: 0, ..*says });
        for says in ways.iter().copied().chain(timeless) {
            if let Some(at) = self.open.get_mut(&says).and_then(Vec::pop) {
                self.sheet.expected[at].found = as_what;
                return true;
            }
        }
        false
    }

    /// Of the events that are there and not wanted, those that are missing ones but for a part. Gives for each the place
    /// of the one that it was.
    pub fn altered(&mut self, strangers: &[Vec<Says>]) -> Vec<Option<usize>> {
        let mut nearly: HashMap<(Part, Says), Vec<usize>> = HashMap::new();
        for at in self.open.values().flatten().copied() {
            let expected = &self.sheet.expected[at];
            for part in Part::ALL.into_iter().filter(|_| expected.is_sent) {
                nearly.entry(expected.says.without(part)).or_default().push(at);
            }
        }
        // The same whatever the order of the map was.
        nearly.values_mut().for_each(|places| places.sort_unstable_by(|a, b| b.cmp(a)));
        let mut origins = vec![None; strangers.len()];
        for part in Part::ALL {
            for (origin, ways) in origins.iter_mut().zip(strangers).filter(|(origin, _)| origin.is_none()) {
                *origin = ways.iter().find_map(|says| {
                    let places = nearly.get_mut(&says.without(part))?;
                    while let Some(at) = places.pop() {
                        let expected = &mut self.sheet.expected[at];
                        if expected.found == Found::No {
                            expected.found = Found::But(part);
                            return Some(at);
                        }
                    }
                    None
                });
            }
        }
        origins
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(name: &str, customer: &str, second: i64, metadata: &Value) -> Says {
        let time = Timestamp::from_second(second).ok();
        let metadata = metadata.as_object().expect("metadata is an object");
        Says::of(name, customer, time, metadata, Some("floe_segment"))
    }

    #[track_caller]
    fn check_same(one: &Value, other: &Value, expected: bool) {
        let is_same = says("a", "c", 1, one).metadata == says("a", "c", 1, other).metadata;
        assert_eq!(is_same, expected, "{one} {other}");
    }

    #[test]
    fn numbers_are_compared_by_their_worth_and_texts_by_their_signs() {
        check_same(&json!({"a": 1, "b": "x"}), &json!({"b": "x", "a": 1.0}), true);
        check_same(&json!({"a": 1}), &json!({"a": "1"}), false);
        check_same(&json!({"a": 0.1}), &json!({"a": 0.100_000_1}), false);
        check_same(&json!({"a": u64::MAX}), &json!({"a": u64::MAX - 1}), false);
        check_same(&json!({"a": 1}), &json!({"a": 1, "floe_segment": "x-0"}), true);
        check_same(&json!({"a": 1}), &json!({"a": 1, "other": "x-0"}), false);
        let cost = |amount: Value| json!({"_cost": {"amount": amount, "currency": "usd"}});
        check_same(&cost(json!("0.10")), &cost(json!(0.1)), true);
        check_same(&cost(json!("0.10")), &cost(json!(0.2)), false);
        check_same(&json!({"_llm": {"model": "1.0"}}), &json!({"_llm": {"model": "1"}}), false);
        check_same(&json!({"_llm": {"n": 1, "prompt": null}}), &json!({"_llm": {"n": 1}}), true);
    }

    /// A sheet of one line for each number, and what is there of it.
    fn sheet(lines: &[(&str, i64)]) -> Sheet {
        let mut sheet = Sheet::default();
        for (at, (customer, second)) in lines.iter().enumerate() {
            let says = says("use", customer, *second, &json!({"n": 1}));
            let whose = ((*customer).to_owned(), "use".to_owned());
            sheet.add(Offset(at as u64), 0, says, whose, Timestamp::from_second(*second).ok(), true);
        }
        sheet
    }

    #[test]
    fn of_events_that_say_the_same_as_many_are_missing_as_are_not_there() {
        let mut sheet = sheet(&[("a", 1), ("a", 1), ("b", 1)]);
        let mut comparison = Comparison::new(&mut sheet);
        let a = says("use", "a", 1, &json!({"n": 1}));
        assert!(comparison.found(&[a], Found::Yes));
        let mut missing: Vec<u64> = sheet.missing().map(|expected| expected.line.0).collect();
        missing.sort_unstable();
        assert_eq!(missing.len(), 2);
        assert!(missing.contains(&2));
        let mut comparison = Comparison::new(&mut sheet);
        assert!(comparison.found(&[a], Found::Yes));
        assert!(!comparison.found(&[a], Found::Yes), "a third one is too many");
    }

    #[test]
    fn an_event_that_differs_in_one_part_is_altered_and_one_that_differs_in_two_is_another() {
        for (name, customer, second, n, expected) in [
            ("use", "a", 1, 2, Some(Part::Metadata)),
            ("use", "a", 2, 1, Some(Part::Time)),
            ("use", "x", 1, 1, Some(Part::Customer)),
            ("other", "a", 1, 1, Some(Part::Name)),
            ("other", "a", 1, 2, None),
        ] {
            let mut sheet = sheet(&[("a", 1)]);
            let mut comparison = Comparison::new(&mut sheet);
            let stranger = says(name, customer, second, &json!({"n": n}));
            assert!(!comparison.found(&[stranger], Found::Yes));
            let origins = comparison.altered(&[vec![stranger]]);
            assert_eq!(origins, [expected.map(|_| 0)]);
            let found = expected.map_or(Found::No, Found::But);
            assert_eq!(
                (sheet.expected[0].found, sheet.missing().count()),
                (found, usize::from(expected.is_none()))
            );
        }
    }

    #[test]
    fn an_event_without_a_time_is_found_at_any_time_and_one_of_the_quarantine_is_not_missing() {
        let mut sheet = Sheet::default();
        let own = Says { time: 0, ..says("use", "a", 0, &json!({})) };
        sheet.add(Offset(0), 0, own, ("a".into(), "use".into()), None, true);
        sheet.add(Offset(9), 0, own, ("a".into(), "use".into()), None, false);
        let before = sheet.print();
        assert_eq!(sheet.missing().count(), 1);
        assert!(Comparison::new(&mut sheet).found(&[says("use", "a", 77, &json!({}))], Found::Yes));
        assert_eq!(sheet.missing().count(), 0);
        assert_eq!((sheet.print(), sheet.names()), (before, vec!["use".to_owned()]));
    }
}
