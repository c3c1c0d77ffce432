//! What another system billed, held against what Floe would have billed, or has: by event ids, or by sums for each
//! customer.
//!
//! The other system's list is a CSV file with a header. A column `external_id` makes it a list of events; without one
//! each row is a sum: of a customer, of one event name where there is such a column, of `events` or of any metadata.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

const IDS: [&str; 2] = ["external_id", "event_id"];
const CUSTOMERS: [&str; 3] = ["external_customer_id", "customer_id", "customer"];
const NAMES: [&str; 3] = ["name", "event_name", "event"];
const COUNTS: [&str; 2] = ["events", "count"];

/// Whose, and of which event; `None` where the other system does not tell names apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Whose {
    pub customer: String,
    pub name: Option<String>,
}

/// What is wrong with the CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadList {
    /// The first is 1.
    pub line: u64,
    pub what: String,
}

/// An event that Floe makes.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
    pub external_id: &'a str,
    pub customer: &'a str,
    pub name: &'a str,
    pub metadata: &'a RawValue,
    /// Where its line stands, as far as that is known.
    pub place: Option<(&'a str, u64)>,
}

/// An event that one side alone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    pub external_id: String,
    pub whose: Whose,
    /// File and offset.
    pub place: Option<(String, u64)>,
}

/// What is summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Summed {
    Events,
    /// A path into the metadata, by its keys.
    Metadata(String),
}

impl Summed {
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Events => "events",
            Self::Metadata(path) => path,
        }
    }
}

/// The two systems' sums for one customer (and event).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    /// `None`: this side knows nothing of them. In the order of what is summed.
    pub here: Option<Vec<Decimal>>,
    pub there: Option<Vec<Decimal>>,
    /// Where the first of Floe's events stands.
    pub first: Option<(String, u64)>,
}

impl Pair {
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.here == self.there
    }
}

/// The comparison, to which Floe's events are added one by one.
#[derive(Debug)]
pub struct Comparison {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Events {
        /// By id: whose, and whether Floe has it.
        theirs: BTreeMap<String, (Whose, bool)>,
        here_alone: Vec<Single>,
        equal: BTreeMap<Whose, u64>,
    },
    Sums {
        summed: Vec<Summed>,
        by_name: bool,
        pairs: BTreeMap<Whose, Pair>,
        /// Values that are no numbers, by what is summed.
        no_numbers: BTreeMap<String, u64>,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    Events {
        /// Events that both have.
        equal: BTreeMap<Whose, u64>,
        /// Floe has them, the other system has not.
        missing_there: Vec<Single>,
        /// The other system has them, Floe has not.
        missing_here: Vec<Single>,
    },
    Sums {
        summed: Vec<Summed>,
        pairs: BTreeMap<Whose, Pair>,
        no_numbers: BTreeMap<String, u64>,
    },
}

impl Compared {
    /// Whether both have billed the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        match self {
            Self::Events { missing_there, missing_here, .. } => {
                missing_there.is_empty() && missing_here.is_empty()
            }
            Self::Sums { pairs, no_numbers, .. } => {
                pairs.values().all(Pair::is_equal) && no_numbers.is_empty()
            }
        }
    }
}

impl Comparison {
    /// Reads the other system's list.
    ///
    /// # Errors
    /// [`BadList`]: the first thing that is wrong with it.
    pub fn read(text: &str) -> Result<Self, BadList> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| bad(&error))?.clone();
        let place = |names: &[&str]| header.iter().position(|column| names.contains(&column));
        let (id, customer, name) = (place(&IDS), place(&CUSTOMERS), place(&NAMES));
        if id.is_none() && customer.is_none() {
            let what = format!(
                "no column says whose a row is: the header is to have \"{}\" for a list of events, or \"{}\" for sums",
                IDS[0], CUSTOMERS[0]
            );
            return Err(BadList { line: 1, what });
        }
        let mut against = match id {
            Some(_) => Self::of_events(),
            None => Self::of_sums(&header, name.is_some())?,
        };
        for row in reader.records() {
            let row = row.map_err(|error| bad(&error))?;
            let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).unwrap_or_default();
            let whose = Whose {
                customer: cell(customer).to_owned(),
                name: name.map(|_| cell(name).to_owned()).filter(|name| !name.is_empty()),
            };
            let line = row.position().map_or(0, csv::Position::line);
            against.enter(cell(id), whose, &header, &row).map_err(|what| BadList { line, what })?;
        }
        Ok(against)
    }

    fn of_events() -> Self {
        let kind = Kind::Events { theirs: BTreeMap::new(), here_alone: Vec::new(), equal: BTreeMap::new() };
        Self { kind }
    }

    fn of_sums(header: &csv::StringRecord, by_name: bool) -> Result<Self, BadList> {
        let is_key = |column: &&str| CUSTOMERS.contains(column) || NAMES.contains(column);
        let summed: Vec<Summed> = header
            .iter()
            .filter(|column| !is_key(column))
            .map(|column| match COUNTS.contains(&column) {
                true => Summed::Events,
                false => Summed::Metadata(column.strip_prefix("metadata.").unwrap_or(column).to_owned()),
            })
            .collect();
        if summed.is_empty() {
            let what =
                "no column has a sum: name one \"events\", or like the metadata that is summed".to_owned();
            return Err(BadList { line: 1, what });
        }
        let kind = Kind::Sums { summed, by_name, pairs: BTreeMap::new(), no_numbers: BTreeMap::new() };
        Ok(Self { kind })
    }

    /// Takes a row in.
    fn enter(
        &mut self,
        id: &str,
        whose: Whose,
        header: &csv::StringRecord,
        row: &csv::StringRecord,
    ) -> Result<(), String> {
        match &mut self.kind {
            Kind::Events { theirs, .. } => {
                if id.is_empty() {
                    return Err("the row has no event id".to_owned());
                }
                if theirs.insert(id.to_owned(), (whose, false)).is_some() {
                    return Err(format!("the event {id:?} stands there twice"));
                }
            }
            Kind::Sums { pairs, by_name, .. } => {
                if whose.customer.is_empty() || (*by_name && whose.name.is_none()) {
                    return Err("the row does not say whose, or of which event, it is".to_owned());
                }
                let columns = header.iter().zip(row);
                let is_sum = |column: &str| !CUSTOMERS.contains(&column) && !NAMES.contains(&column);
                let numbers = columns.filter(|(column, _)| is_sum(column)).map(|(column, cell)| {
                    number(cell).ok_or_else(|| format!("{cell:?} in the column \"{column}\" is no number"))
                });
                let numbers: Vec<Decimal> = numbers.collect::<Result<_, _>>()?;
                let there = &mut pairs.entry(whose).or_default().there;
                if there.replace(numbers).is_some() {
                    return Err("there is a row for the same customer and event before".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Whether events are compared one by one.
    #[must_use]
    pub fn is_of_events(&self) -> bool {
        matches!(self.kind, Kind::Events { .. })
    }

    /// Adds an event of Floe's. Each is to be added once.
    pub fn add(&mut self, ours: &Ours<'_>) {
        let place = || ours.place.map(|(path, offset)| (path.to_owned(), offset));
        let whose = |by_name: bool| Whose {
            customer: ours.customer.to_owned(),
            name: by_name.then(|| ours.name.to_owned()),
        };
        match &mut self.kind {
            Kind::Events { theirs, here_alone, equal } => match theirs.get_mut(ours.external_id) {
                Some((_, is_ours)) => {
                    *is_ours = true;
                    *equal.entry(whose(true)).or_default() += 1;
                }
                None => here_alone.push(Single {
                    external_id: ours.external_id.to_owned(),
                    whose: whose(true),
                    place: place(),
                }),
            },
            Kind::Sums { summed, by_name, pairs, no_numbers } => {
                let pair = pairs.entry(whose(*by_name)).or_default();
                pair.first = pair.first.take().or_else(place);
                let sums = pair.here.get_or_insert_with(|| vec![Decimal::ZERO; summed.len()]);
                for (sum, summed) in sums.iter_mut().zip(summed.iter()) {
                    let value = match summed {
                        Summed::Events => Ok(Decimal::ONE),
                        Summed::Metadata(path) => of_metadata(ours.metadata, path),
                    };
                    match value.ok().and_then(|value| sum.checked_add(value)) {
                        Some(more) => *sum = more,
                        None => *no_numbers.entry(summed.name().to_owned()).or_default() += 1,
                    }
                }
            }
        }
    }

    #[must_use]
    pub fn finish(self) -> Compared {
        match self.kind {
            Kind::Events { theirs, here_alone, equal } => {
                let missing_here = theirs.into_iter().filter(|(_, (_, is_ours))| !is_ours);
                let missing_here = missing_here
                    .map(|(external_id, (whose, _))| Single { external_id, whose, place: None })
                    .collect();
                Compared::Events { equal, missing_there: here_alone, missing_here }
            }
            Kind::Sums { summed, pairs, no_numbers, .. } => Compared::Sums { summed, pairs, no_numbers },
        }
    }
}

fn bad(error: &csv::Error) -> BadList {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, and the header {expected_len}")
        }
        _ => "the row cannot be read as CSV".to_owned(),
    };
    BadList { line, what }
}

/// Exact, as long as 28 digits hold it.
fn number(text: &str) -> Option<Decimal> {
    let decimal = text.parse().or_else(|_| Decimal::from_scientific(text));
    decimal.ok().map(|decimal: Decimal| decimal.normalize())
}

/// The number at a path, which may be written as text. What is missing sums as 0.
fn of_metadata(metadata: &RawValue, path: &str) -> Result<Decimal, ()> {
    let mut value = metadata;
    let mut rest = path;
    loop {
        let Ok(table) = serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) else {
            return Err(());
        };
        // A key may have dots of its own.
        if let Some(found) = table.get(rest) {
            let text = found.get().trim_matches('"');
            return if text == "null" { Ok(Decimal::ZERO) } else { number(text).ok_or(()) };
        }
        let Some((key, inner)) = rest.split_once('.') else { return Ok(Decimal::ZERO) };
        let Some(found) = table.get(key) else { return Ok(Decimal::ZERO) };
        (value, rest) = (found, inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(against: &mut Comparison, id: &str, customer: &str, name: &str, metadata: &str, offset: u64) {
        let metadata = RawValue::from_string(metadata.to_owned()).unwrap();
        let place = Some(("/logs/app.log", offset));
        against.add(&Ours { external_id: id, customer, name, metadata: &metadata, place });
    }

    #[test]
    fn lists_of_events_are_compared_one_by_one() {
        let list = "external_id,customer,name\nid1,acme,call\nid9,beta,call\n";
        let mut against = Comparison::read(list).unwrap();
        assert!(against.is_of_events());
        add(&mut against, "id1", "acme", "call", "{}", 0);
        add(&mut against, "id2", "acme", "call", "{}", 70);
        let compared = against.finish();
        assert!(!compared.is_equal());
        let Compared::Events { equal, missing_there, missing_here } = compared else { panic!("of events") };
        let whose = |customer: &str| Whose { customer: customer.to_owned(), name: Some("call".to_owned()) };
        assert_eq!(equal, BTreeMap::from([(whose("acme"), 1)]));
        let place = Some(("/logs/app.log".to_owned(), 70));
        assert_eq!(missing_there, [Single { external_id: "id2".to_owned(), whose: whose("acme"), place }]);
        let theirs = Single { external_id: "id9".to_owned(), whose: whose("beta"), place: None };
        assert_eq!(missing_here, [theirs]);
    }

    #[test]
    fn sums_are_compared_exactly_and_by_name_where_there_are_names() {
        let list = "\u{feff}customer,event,events,metadata.tokens,_cost.amount\r\nacme,call,2,30,0.3\r\nbeta,call,1,5,0\r\n";
        let mut against = Comparison::read(list).unwrap();
        add(&mut against, "a", "acme", "call", r#"{"tokens":10,"_cost":{"amount":"0.1"}}"#, 5);
        add(&mut against, "b", "acme", "call", r#"{"tokens":2e1,"_cost":{"amount":"0.20"}}"#, 6);
        add(&mut against, "c", "gamma", "call", r#"{"tokens":1}"#, 7);
        let Compared::Sums { summed, pairs, no_numbers } = against.finish() else { panic!("of sums") };
        let names: Vec<&str> = summed.iter().map(Summed::name).collect();
        assert_eq!((names, no_numbers.len()), (vec!["events", "tokens", "_cost.amount"], 0));
        let told: Vec<_> = pairs
            .iter()
            .map(|(whose, pair)| {
                (whose.customer.as_str(), pair.is_equal(), pair.here.is_some(), pair.there.is_some())
            })
            .collect();
        let wanted =
            [("acme", true, true, true), ("beta", false, false, true), ("gamma", false, true, false)];
        assert_eq!(told, wanted);
        assert_eq!(pairs.values().last().unwrap().first, Some(("/logs/app.log".to_owned(), 7)));

        let mut against = Comparison::read("customer,tokens\nacme,3\n").unwrap();
        add(&mut against, "a", "acme", "call", r#"{"tokens":1}"#, 5);
        add(&mut against, "b", "acme", "other", r#"{"tokens":2,"x":1}"#, 6);
        assert!(against.finish().is_equal(), "names are not told apart");
        let mut against = Comparison::read("customer,tokens\nacme,0\n").unwrap();
        add(&mut against, "a", "acme", "call", r#"{"tokens":"many"}"#, 5);
        assert!(!against.finish().is_equal(), "what is no number cannot be compared");
    }

    #[test]
    fn a_list_that_cannot_be_read_is_told_with_its_line() {
        for (list, line, what) in [
            ("", 1, "no column says whose a row is"),
            ("when,what\n1,2\n", 1, "no column says whose a row is"),
            ("customer,name\nacme,call\n", 1, "no column has a sum"),
            ("customer,events\nacme,1\nbeta,many\n", 3, "is no number"),
            ("customer,events\nacme,1\nacme,2\n", 3, "a row for the same customer"),
            ("customer,events\nacme\n", 2, "has 1 cells, and the header 2"),
            ("customer,event,events\nacme,,1\n", 2, "does not say whose"),
            ("external_id\nx\nx\n", 3, "stands there twice"),
            ("external_id,customer\n,a\n", 2, "has no event id"),
        ] {
            let bad = Comparison::read(list).unwrap_err();
            assert!(bad.line == line && bad.what.contains(what), "{list:?}: {bad:?}");
        }
    }
}
