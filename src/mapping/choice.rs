//! Which rules may match a line, by the text of the field that tells most of them apart: a hundred rules that tell lines
//! apart by the name of an event are then asked as one.

use std::collections::{BTreeMap, BTreeSet};

use super::found::Found;
use super::rules::Rule;
use super::scope::{Field, Scope};
use crate::config::language::{Condition, Literal, Operand, Test};

/// Rules for fewer texts than this are asked one by one as soon.
const WORTHWHILE: usize = 4;

/// Chooses among the rules of a source.
#[derive(Debug)]
pub(super) struct Choice {
    all: Box<[u16]>,
    by: Option<ByText>,
}

#[derive(Debug)]
struct ByText {
    field: Field,
    /// Those that ask for this text, and those that ask for none.
    rules: BTreeMap<Box<str>, Box<[u16]>>,
    /// Those that ask for none.
    others: Box<[u16]>,
}

impl Choice {
    pub fn new(rules: &[Rule]) -> Self {
        let all = (0_u16..).zip(rules).map(|(at, _)| at).collect();
        Self { all, by: ByText::new(rules) }
    }

    /// The places of the rules that may match, ascending. All others do not.
    pub fn of(&self, scope: &Scope<'_>) -> &[u16] {
        let Some(by) = &self.by else { return &self.all };
        match scope.get(&by.field) {
            Found::Text(text) => by.rules.get(&*text.text).unwrap_or(&by.others),
            Found::Missing => &by.others,
            _ => &self.all,
        }
    }
}

impl ByText {
    fn new(rules: &[Rule]) -> Option<Self> {
        let asked: Vec<BTreeMap<u16, Vec<&str>>> = rules.iter().map(texts_by_slot).collect();
        let slots: BTreeSet<u16> = asked.iter().flat_map(BTreeMap::keys).copied().collect();
        let texts_of = |slot: u16| -> BTreeSet<&str> {
            asked.iter().filter_map(|asked| asked.get(&slot)).flatten().copied().collect()
        };
        let (slot, texts) = slots
            .into_iter()
            .map(|slot| (slot, texts_of(slot)))
            .max_by_key(|(_, texts)| texts.len())
            .filter(|(_, texts)| texts.len() >= WORTHWHILE)?;
        let places = || (0_u16..).zip(&asked);
        let of_text = |text: &str| {
            let may =
                |asked: &BTreeMap<u16, Vec<&str>>| asked.get(&slot).is_none_or(|texts| texts.contains(&text));
            places().filter(|(_, asked)| may(asked)).map(|(place, _)| place).collect()
        };
        Some(Self {
            field: Field::Line(slot),
            rules: texts.iter().map(|text| ((*text).into(), of_text(text))).collect(),
            others: places()
                .filter(|(_, asked)| !asked.contains_key(&slot))
                .map(|(place, _)| place)
                .collect(),
        })
    }
}

/// By field of the line: the texts of which it must be one for the rule to match.
fn texts_by_slot(rule: &Rule) -> BTreeMap<u16, Vec<&str>> {
    let mut texts = BTreeMap::new();
    // A rule over an array looks at its elements, and says so, before it asks anything.
    if rule.explode.is_none() {
        add_texts(&rule.when, &mut texts);
    }
    texts
}

fn add_texts<'a>(condition: &'a Condition<Field>, texts: &mut BTreeMap<u16, Vec<&'a str>>) {
    match condition {
        Condition::All(all) => all.iter().for_each(|condition| add_texts(condition, texts)),
        Condition::Tests { path: Field::Line(slot), tests } => {
            if let Some(asked) = tests.iter().find_map(texts_of) {
                texts.entry(*slot).or_insert(asked);
            }
        }
        Condition::Any(_) | Condition::Tests { .. } => {}
    }
}

fn texts_of(test: &Test<Field>) -> Option<Vec<&str>> {
    fn text(literal: &Literal) -> Option<&str> {
        match literal {
            Literal::Text(text) => Some(text),
            _ => None,
        }
    }
    match test {
        Test::Eq(Operand::Literal(literal)) => Some(vec![text(literal)?]),
        Test::In(literals) => literals.iter().map(text).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::settings::Captures;
    use crate::mapping::formats::delimited::Header;
    use crate::mapping::line::matches;
    use crate::mapping::rules::Rules;
    use crate::mapping::scope::Record;
    use crate::mapping::slots::Slots;

    /// Of rules with these keys, in one line each.
    fn rules_of(keys: &[impl AsRef<str>]) -> Rules {
        const SOURCE: &str =
            "version = 1\n[[sources]]\nid = \"app\"\ninclude = [\"/l\"]\nformat = \"json\"\n";
        let rules = keys.iter().enumerate().map(|(number, keys)| {
            let event = "event = { name = \"n\", external_customer_id = \"{a}\" }";
            format!("[[rules]]\nid = \"r{number}\"\n{}\n{event}\n", keys.as_ref())
        });
        let config: String = [SOURCE.to_owned()].into_iter().chain(rules).collect();
        Rules::compile(&Settings::from_toml(&config).map_err(|faults| faults.render(false)).unwrap())
    }

    /// The rules that are asked about the line; whichever are not do not match.
    #[track_caller]
    fn asked(rules: &Rules, line: &str) -> Vec<u16> {
        let source = &rules.sources[0];
        let mut slots = Slots::default();
        source.reader.read(line, &Header::default(), &mut slots).unwrap();
        let record = Record { text: line, slots: &slots, origin: 0, replaced: &[] };
        let captures = Captures::new();
        let scope = Scope { line: record, item: None, captures: &captures, container: None, source: "app" };
        let asked = source.choice.of(&scope).to_vec();
        for (place, rule) in (0_u16..).zip(&source.rules) {
            assert!(asked.contains(&place) || !matches(rule, &scope), "rule {place} matches {line}");
        }
        asked
    }

    #[test]
    fn only_rules_that_may_match_are_asked_in_their_order() {
        let rules = rules_of(&[
            r#"when = { e = "x" }"#,
            r#"when = { e = "y", s = "1" }"#,
            "when = { s = { gt = 3 } }",
            r#"when = { e = { in = ["y", "z", "w"] } }"#,
            r#"when = { e = { ne = "x" } }"#,
            r#"when = { any = [{ e = "x" }, { s = "1" }] }"#,
            r#"when = { e = { eq = "x", prefix = "x" } }"#,
            "explode = \"items\"\nwhen = { e = \"x\" }",
        ]);
        assert_eq!(asked(&rules, r#"{"e":"x"}"#), [0, 2, 4, 5, 6, 7]);
        assert_eq!(asked(&rules, r#"{"e":"\u0078"}"#), [0, 2, 4, 5, 6, 7]);
        assert_eq!(asked(&rules, r#"{"e":"y","s":"1"}"#), [1, 2, 3, 4, 5, 7]);
        assert_eq!(asked(&rules, r#"{"e":"z"}"#), [2, 3, 4, 5, 7]);
        for line in [r#"{"e":"other","s":4}"#, "{}", r#"{"e":null}"#] {
            assert_eq!(asked(&rules, line), [2, 4, 5, 7], "{line}");
        }
        // A number may be equal to a text.
        for line in [r#"{"e":1}"#, r#"{"e":true}"#, r#"{"e":{}}"#] {
            assert_eq!(asked(&rules, line), [0, 1, 2, 3, 4, 5, 6, 7], "{line}");
        }
    }

    #[test]
    fn few_rules_are_asked_one_by_one() {
        let few = [
            r#"when = { e = "x" }"#,
            r#"when = { e = "y" }"#,
            r#"when = { e = "z" }"#,
            r#"when = { e = "x" }"#,
        ];
        assert_eq!(asked(&rules_of(&few), r#"{"e":"y"}"#), [0, 1, 2, 3]);
    }

    #[test]
    fn the_field_with_the_most_texts_decides() {
        let of_both = (0..6).map(|number| format!(r#"when = {{ a = "one", b = "b{number}" }}"#));
        let of_one = [r#"when = { a = "one" }"#, r#"when = { a = "one", b = "b1" }"#].map(str::to_owned);
        let rules = rules_of(&of_both.chain(of_one).collect::<Vec<_>>());
        assert_eq!(asked(&rules, r#"{"a":"one","b":"b3"}"#), [3, 6]);
        assert_eq!(asked(&rules, r#"{"a":"one","b":"b1"}"#), [1, 6, 7]);
        assert_eq!(asked(&rules, r#"{"a":"two"}"#), [6]);
    }
}
