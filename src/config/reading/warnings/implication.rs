//! Whether conditions follow from other conditions: what is known of every line that a rule matches.
//!
//! Sound and not complete. It says yes only where no line can tell otherwise, whatever a log may hold: so it follows
//! `mapping::condition` word by word, and a test holds both against each other by trying all lines of a small world.
//! Where it cannot tell it says so, and nobody is warned.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::config::language::{Condition, Literal, Operand, Path, Root, Test};
use crate::config::presets::Preset;

/// How often a choice (`any`) is followed into each of its cases.
const MOST_SPLITS: u8 = 2;

/// What holds of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts<'a> {
    tests: Vec<(&'a Path, Cow<'a, Test>)>,
    /// Of each, one holds.
    choices: Vec<&'a [Condition]>,
    presets: &'a [&'a Preset],
}

impl<'a> Facts<'a> {
    /// `presets`: those of the lines' sources.
    pub fn new(presets: &'a [&'a Preset]) -> Self {
        Self { presets, ..Self::default() }
    }

    /// Whether a preset makes something else of the text that the line has: a number or a time, which compares
    /// otherwise with a text.
    fn is_converted(&self, path: &Path) -> bool {
        match path.root {
            Root::Preset(_) => true,
            Root::Line => self.presets.iter().any(|preset| preset.type_of(&path.steps).is_some()),
            _ => false,
        }
    }

    /// The condition holds.
    pub fn assume(&mut self, condition: &'a Condition) {
        match condition {
            Condition::All(all) => all.iter().for_each(|each| self.assume(each)),
            Condition::Any(choices) => self.choices.push(choices),
            Condition::Tests { path, tests } => {
                self.tests.extend(tests.iter().map(|test| (path, Cow::Borrowed(test))));
            }
        }
    }

    /// The condition does not hold. Notes what that says of single fields, and leaves the rest.
    pub fn deny(&mut self, condition: &'a Condition) {
        match condition {
            Condition::All(all) => {
                if let [single] = all.as_slice() {
                    self.deny(single);
                }
            }
            Condition::Any(choices) => choices.iter().for_each(|each| self.deny(each)),
            Condition::Tests { path, tests } => {
                if let [single] = tests.as_slice() {
                    self.tests.extend(opposite(single).map(|test| (path, Cow::Owned(test))));
                }
            }
        }
    }

    /// Whether the condition holds of every such line.
    pub fn imply(&self, condition: &Condition) -> bool {
        self.decide(condition, true, MOST_SPLITS)
    }

    /// Whether the condition holds of no such line.
    pub fn exclude(&self, condition: &Condition) -> bool {
        self.decide(condition, false, MOST_SPLITS)
    }

    fn decide(&self, condition: &Condition, wanted: bool, splits: u8) -> bool {
        let decide = |condition| self.decide(condition, wanted, splits);
        let at_once = match (condition, wanted) {
            (Condition::All(parts), true) | (Condition::Any(parts), false) => parts.iter().all(decide),
            (Condition::All(parts), false) | (Condition::Any(parts), true) => parts.iter().any(decide),
            (Condition::Tests { path, tests }, true) => {
                tests.iter().all(|test| self.test(path, test) == Some(true))
            }
            (Condition::Tests { path, tests }, false) => {
                tests.iter().any(|test| self.test(path, test) == Some(false))
            }
        };
        at_once
            || (splits > 0
                && self.cases().any(|mut cases| cases.all(|case| case.decide(condition, wanted, splits - 1))))
    }

    /// For each choice, the cases that it has.
    fn cases(&self) -> impl Iterator<Item = impl Iterator<Item = Self>> {
        self.choices.iter().enumerate().map(move |(at, choice)| {
            choice.iter().map(move |condition| {
                let mut case = self.clone();
                case.choices.remove(at);
                case.assume(condition);
                case
            })
        })
    }

    /// Whether the test holds; `None` where that cannot be told.
    fn test(&self, path: &Path, test: &Test) -> Option<bool> {
        let mut facts: Vec<&Test> =
            self.tests.iter().filter(|(known, _)| *known == path).map(|(_, fact)| &**fact).collect();
        if self.is_converted(path) {
            if facts.iter().any(|fact| same(fact, test)) {
                return Some(true);
            }
            facts.retain(|fact| !has_text(fact));
            if has_text(test) {
                return None;
            }
        }
        let known = || facts.iter().copied();
        let equals = |literal: &Literal| known().find_map(|fact| equals(fact, literal));
        let one_of = |literals: &[Literal]| {
            let answers: Vec<_> = literals.iter().map(equals).collect();
            if answers.contains(&Some(true)) {
                return Some(true);
            }
            answers.iter().all(|answer| *answer == Some(false)).then_some(false)
        };
        let by_value = match test {
            Test::Eq(Operand::Literal(literal)) => equals(literal),
            Test::Ne(Operand::Literal(literal)) => equals(literal).map(|is| !is),
            Test::In(literals) => one_of(literals),
            Test::NotIn(literals) => one_of(literals).map(|is| !is),
            _ => None,
        };
        by_value.or_else(|| known().find_map(|fact| follows(fact, test)))
    }
}

/// Whether a test compares with a text, or with what may be one.
fn has_text(test: &Test) -> bool {
    let is_text = |literal: &Literal| matches!(literal, Literal::Text(_));
    match test {
        Test::Prefix(_) | Test::Suffix(_) | Test::Contains(_) | Test::Matches(_) => true,
        Test::In(literals) | Test::NotIn(literals) => literals.iter().any(is_text),
        Test::Exists(_) => false,
        _ => operand(test).is_none_or(|operand| match operand {
            Operand::Literal(literal) => is_text(literal),
            Operand::Template(_) => true,
        }),
    }
}

/// The test that holds where this one does not.
fn opposite(test: &Test) -> Option<Test> {
    Some(match test {
        Test::Eq(Operand::Literal(literal)) => Test::Ne(Operand::Literal(literal.clone())),
        Test::Ne(Operand::Literal(literal)) => Test::Eq(Operand::Literal(literal.clone())),
        Test::In(literals) => Test::NotIn(literals.clone()),
        Test::NotIn(literals) => Test::In(literals.clone()),
        Test::Exists(there) => Test::Exists(!there),
        // "Not less than 5" holds of a text as well, and "at least 5" does not.
        _ => return None,
    })
}

/// What a test says by holding of a value.
#[derive(Debug, Clone, Copy)]
enum Said<'a> {
    /// Nothing but that it is there.
    There,
    Missing,
    Is(&'a Literal),
    /// A number within bounds.
    Within(Range),
    /// A text, or a number as it is written.
    Text(&'a Test),
    /// It compares so with what a placeholder gives.
    Against(&'a Test),
    /// It is none of these; it may be missing.
    IsNot(&'a [Literal]),
    Nothing,
}

fn said(fact: &Test) -> Said<'_> {
    match fact {
        Test::Exists(true) => Said::There,
        Test::Exists(false) => Said::Missing,
        Test::Eq(Operand::Literal(literal)) => Said::Is(literal),
        Test::Ne(Operand::Literal(literal)) => Said::IsNot(std::slice::from_ref(literal)),
        Test::NotIn(literals) => Said::IsNot(literals),
        Test::Lt(_) | Test::Le(_) | Test::Gt(_) | Test::Ge(_) => match Range::of(fact) {
            Some(range) => Said::Within(range),
            None => Said::Against(fact),
        },
        Test::Eq(Operand::Template(_)) | Test::Ne(Operand::Template(_)) => Said::Against(fact),
        Test::Prefix(_) | Test::Suffix(_) | Test::Contains(_) | Test::Matches(_) => Said::Text(fact),
        // Followed literal by literal.
        Test::In(_) => Said::Nothing,
    }
}

/// Whether a value of which `fact` holds equals the literal.
fn equals(fact: &Test, literal: &Literal) -> Option<bool> {
    if let Test::In(values) = fact {
        return in_each(values, |value| equals_value(value, literal));
    }
    match said(fact) {
        Said::Missing => Some(false),
        Said::Is(value) => equals_value(value, literal),
        Said::IsNot(values) => values.contains(literal).then_some(false),
        Said::Within(range) => match number(literal) {
            Numeral::No => Some(false),
            Numeral::Is(number) if matches!(literal, Literal::Number(_)) => {
                (!range.holds(number)).then_some(false)
            }
            _ => None,
        },
        Said::Text(fact) => match literal {
            Literal::Text(text) => (!text_holds(fact, text)).then_some(false),
            Literal::Bool(_) => Some(false),
            Literal::Number(_) => None,
        },
        Said::There | Said::Against(_) | Said::Nothing => None,
    }
}

/// Whether a value that equals `value` equals the other literal. One that equals a number may be written in many ways.
fn equals_value(value: &Literal, other: &Literal) -> Option<bool> {
    match (value, other) {
        (Literal::Bool(value), Literal::Bool(other)) => Some(value == other),
        (Literal::Text(value), Literal::Text(other)) => Some(value == other),
        (Literal::Number(value), Literal::Number(other)) => Some(value == other),
        (Literal::Bool(_), _) | (_, Literal::Bool(_)) => Some(false),
        (Literal::Text(text), Literal::Number(other)) => match numeral(text) {
            Numeral::Is(number) => Some(number == *other),
            Numeral::No => Some(false),
            Numeral::Unclear => None,
        },
        (Literal::Number(_), Literal::Text(text)) => matches!(numeral(text), Numeral::No).then_some(false),
    }
}

/// Whether a value of which `fact` holds passes the test.
fn follows(fact: &Test, test: &Test) -> Option<bool> {
    if same(fact, test) {
        return Some(true);
    }
    if let Test::In(values) = fact {
        return in_each(values, |value| of_value(value, test));
    }
    let there =
        !matches!(said(fact), Said::Missing | Said::IsNot(_) | Said::Nothing) && !matches!(fact, Test::Ne(_));
    if let Test::Exists(wanted) = test {
        return match said(fact) {
            Said::Missing => Some(!wanted),
            _ if there => Some(*wanted),
            _ => None,
        };
    }
    match said(fact) {
        Said::Missing => Some(matches!(test, Test::Ne(_) | Test::NotIn(_))),
        Said::Is(value) => of_value(value, test),
        Said::Within(range) => Range::of(test).and_then(|wanted| range.decides(wanted)),
        Said::Text(fact) => of_text_fact(fact, test),
        Said::Against(fact) => of_comparison(fact, test),
        Said::There | Said::IsNot(_) | Said::Nothing => None,
    }
}

/// Whether a value that equals the literal passes the test.
fn of_value(value: &Literal, test: &Test) -> Option<bool> {
    if let Test::Exists(wanted) = test {
        return Some(*wanted);
    }
    if let Some(range) = Range::of(test) {
        return match number(value) {
            Numeral::Is(number) => Some(range.holds(number)),
            Numeral::No => Some(false),
            Numeral::Unclear => None,
        };
    }
    match (test, value) {
        (Test::Prefix(_) | Test::Suffix(_) | Test::Contains(_) | Test::Matches(_), _) => match value {
            Literal::Text(text) => Some(text_holds(test, text)),
            Literal::Bool(_) => Some(false),
            Literal::Number(_) => None,
        },
        (Test::In(literals), _) => one_of(literals, |literal| equals_value(value, literal)),
        (Test::NotIn(literals), _) => one_of(literals, |literal| equals_value(value, literal)).map(|is| !is),
        (Test::Eq(Operand::Literal(literal)), _) => equals_value(value, literal),
        (Test::Ne(Operand::Literal(literal)), _) => equals_value(value, literal).map(|is| !is),
        _ => None,
    }
}

fn one_of(literals: &[Literal], equals: impl Fn(&Literal) -> Option<bool>) -> Option<bool> {
    let answers: Vec<_> = literals.iter().map(equals).collect();
    if answers.contains(&Some(true)) {
        return Some(true);
    }
    answers.iter().all(|answer| *answer == Some(false)).then_some(false)
}

/// The answer that all of the values give.
fn in_each(values: &[Literal], answer: impl Fn(&Literal) -> Option<bool>) -> Option<bool> {
    let mut answers = values.iter().map(answer);
    let first = answers.next()??;
    answers.all(|answer| answer == Some(first)).then_some(first)
}

/// `prefix`, `suffix`, `contains` and `matches` of a text.
fn text_holds(test: &Test, text: &str) -> bool {
    match test {
        Test::Prefix(part) => text.starts_with(part.as_str()),
        Test::Suffix(part) => text.ends_with(part.as_str()),
        Test::Contains(part) => text.contains(part.as_str()),
        Test::Matches(regex) => regex.is_match(text),
        _ => false,
    }
}

fn of_text_fact(fact: &Test, test: &Test) -> Option<bool> {
    let holds = match (fact, test) {
        (Test::Prefix(fact), Test::Prefix(wanted)) => {
            if !fact.starts_with(wanted.as_str()) && !wanted.starts_with(fact.as_str()) {
                return Some(false);
            }
            fact.starts_with(wanted.as_str())
        }
        (Test::Suffix(fact), Test::Suffix(wanted)) => {
            if !fact.ends_with(wanted.as_str()) && !wanted.ends_with(fact.as_str()) {
                return Some(false);
            }
            fact.ends_with(wanted.as_str())
        }
        (Test::Prefix(fact) | Test::Suffix(fact) | Test::Contains(fact), Test::Contains(wanted)) => {
            fact.contains(wanted.as_str())
        }
        _ => false,
    };
    holds.then_some(true)
}

/// Of two comparisons with the same placeholder.
fn of_comparison(fact: &Test, test: &Test) -> Option<bool> {
    let (fact_operand, test_operand) = (operand(fact)?, operand(test)?);
    if !same_operand(fact_operand, test_operand) {
        return None;
    }
    match (fact, test) {
        (Test::Eq(_), Test::Le(_) | Test::Ge(_))
        | (Test::Lt(_), Test::Le(_) | Test::Ne(_))
        | (Test::Gt(_), Test::Ge(_) | Test::Ne(_)) => Some(true),
        (Test::Eq(_), Test::Lt(_) | Test::Gt(_) | Test::Ne(_))
        | (Test::Ne(_), Test::Eq(_))
        | (Test::Lt(_), Test::Eq(_) | Test::Gt(_) | Test::Ge(_))
        | (Test::Gt(_), Test::Eq(_) | Test::Lt(_) | Test::Le(_))
        | (Test::Le(_), Test::Gt(_))
        | (Test::Ge(_), Test::Lt(_)) => Some(false),
        _ => None,
    }
}

fn operand(test: &Test) -> Option<&Operand> {
    match test {
        Test::Eq(operand)
        | Test::Ne(operand)
        | Test::Lt(operand)
        | Test::Le(operand)
        | Test::Gt(operand)
        | Test::Ge(operand) => Some(operand),
        _ => None,
    }
}

fn same_operand(one: &Operand, other: &Operand) -> bool {
    match (one, other) {
        (Operand::Literal(one), Operand::Literal(other)) => one == other,
        (Operand::Template(one), Operand::Template(other)) => one == other,
        _ => false,
    }
}

fn same(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::In(one), Test::In(other)) | (Test::NotIn(one), Test::NotIn(other)) => one == other,
        (Test::Exists(one), Test::Exists(other)) => one == other,
        (Test::Prefix(one), Test::Prefix(other))
        | (Test::Suffix(one), Test::Suffix(other))
        | (Test::Contains(one), Test::Contains(other)) => one == other,
        (Test::Matches(one), Test::Matches(other)) => one.as_str() == other.as_str(),
        _ if std::mem::discriminant(one) == std::mem::discriminant(other) => {
            operand(one).zip(operand(other)).is_some_and(|(one, other)| same_operand(one, other))
        }
        _ => false,
    }
}

/// What a literal is as a number.
enum Numeral {
    Is(Decimal),
    No,
    /// It has digits, and mapping may read it otherwise than this does.
    Unclear,
}

fn number(literal: &Literal) -> Numeral {
    match literal {
        Literal::Number(number) => Numeral::Is(*number),
        Literal::Text(text) => numeral(text),
        Literal::Bool(_) => Numeral::No,
    }
}

fn numeral(text: &str) -> Numeral {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Numeral::No;
    }
    let is_plain = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_plain => Numeral::Is(number),
        _ => Numeral::Unclear,
    }
}

/// One bound, or both at the same number: what `lt`, `le`, `gt` and `ge` of a number hold for.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: Option<(Decimal, bool)>,
    high: Option<(Decimal, bool)>,
}

impl Range {
    fn of(test: &Test) -> Option<Self> {
        let Operand::Literal(Literal::Number(bound)) = operand(test)? else { return None };
        Some(match test {
            Test::Lt(_) => Self { low: None, high: Some((*bound, false)) },
            Test::Le(_) => Self { low: None, high: Some((*bound, true)) },
            Test::Gt(_) => Self { low: Some((*bound, false)), high: None },
            Test::Ge(_) => Self { low: Some((*bound, true)), high: None },
            _ => return None,
        })
    }

    fn holds(&self, number: Decimal) -> bool {
        self.low.is_none_or(|(low, with)| number > low || (with && number == low))
            && self.high.is_none_or(|(high, with)| number < high || (with && number == high))
    }

    /// Whether all numbers of this range lie in the other, or none does.
    fn decides(&self, other: Self) -> Option<bool> {
        // `low` is no tighter than `inner`, seen from above; the mirror image serves for the high ends.
        let contains = |outer: Option<(Decimal, bool)>, inner: Option<(Decimal, bool)>, above: bool| match (
            outer, inner,
        ) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((outer, outer_with)), Some((inner, inner_with))) => {
                let further = if above { inner > outer } else { inner < outer };
                further || (inner == outer && (outer_with || !inner_with))
            }
        };
        if contains(other.low, self.low, true) && contains(other.high, self.high, false) {
            return Some(true);
        }
        let apart = |low: Option<(Decimal, bool)>, high: Option<(Decimal, bool)>| match (low, high) {
            (Some((low, low_with)), Some((high, high_with))) => {
                low > high || (low == high && !(low_with && high_with))
            }
            _ => false,
        };
        (apart(self.low, other.high) || apart(other.low, self.high)).then_some(false)
    }
}
