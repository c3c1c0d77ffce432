//! Whether a condition holds. On a missing field `ne`, `not_in` and `exists = false` hold, all others do not.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::found::{Found, is_number, read_decimal, read_short};
use super::scope::{Field, Scope};
use super::{expression, instant};
use crate::config::language::{Condition, Literal, Operand, Test};

pub(super) fn holds(condition: &Condition<Field>, scope: &Scope<'_>) -> bool {
    match condition {
        Condition::All(all) => all.iter().all(|condition| holds(condition, scope)),
        Condition::Any(any) => any.iter().any(|condition| holds(condition, scope)),
        Condition::Tests { path, tests } => {
            // What most rules ask, and most lines answer as they stand.
            if let [Test::Eq(Operand::Literal(Literal::Text(wanted)))] = tests.as_slice()
                && let Some(quoted) = scope.json_text(path)
            {
                return quoted[1..quoted.len() - 1] == **wanted;
            }
            if let [test] = tests.as_slice()
                && let Some(source) = scope.json_value(path)
                && let Some(holds) = short_holds(test, source)
            {
                return holds;
            }
            let found = scope.get(path);
            tests.iter().all(|test| test_holds(test, &found, scope))
        }
    }
}

pub(super) fn test_holds(test: &Test<Field>, found: &Found<'_>, scope: &Scope<'_>) -> bool {
    let missing = *found == Found::Missing;
    match test {
        Test::Ne(operand) => missing || compare(found, operand, scope).is_some_and(Ordering::is_ne),
        Test::NotIn(literals) => missing || !literals.iter().any(|literal| equals(found, literal)),
        Test::Exists(wanted) => *wanted != missing,
        _ if missing => false,
        Test::Eq(operand) => compare(found, operand, scope).is_some_and(Ordering::is_eq),
        Test::In(literals) => literals.iter().any(|literal| equals(found, literal)),
        Test::Lt(operand) => ordered(found, operand, scope).is_some_and(Ordering::is_lt),
        Test::Le(operand) => ordered(found, operand, scope).is_some_and(Ordering::is_le),
        Test::Gt(operand) => ordered(found, operand, scope).is_some_and(Ordering::is_gt),
        Test::Ge(operand) => ordered(found, operand, scope).is_some_and(Ordering::is_ge),
        Test::Prefix(prefix) => text_of(found).is_some_and(|text| text.starts_with(prefix.as_str())),
        Test::Suffix(suffix) => text_of(found).is_some_and(|text| text.ends_with(suffix.as_str())),
        Test::Contains(part) => text_of(found).is_some_and(|text| text.contains(part.as_str())),
        Test::Matches(regex) => text_of(found).is_some_and(|text| regex.is_match(&text)),
    }
}

/// A test of a whole number of few digits beside another one.
fn short_holds(test: &Test<Field>, source: &str) -> Option<bool> {
    let (Test::Eq(operand)
    | Test::Ne(operand)
    | Test::Lt(operand)
    | Test::Le(operand)
    | Test::Gt(operand)
    | Test::Ge(operand)) = test
    else {
        return None;
    };
    let Operand::Literal(Literal::Number(wanted)) = operand else { return None };
    let (value, 0) = read_short(source)? else { return None };
    let wanted = i64::try_from(wanted.mantissa()).ok().filter(|_| wanted.scale() == 0)?;
    let order = value.cmp(&wanted);
    Some(match test {
        Test::Eq(_) => order.is_eq(),
        Test::Ne(_) => order.is_ne(),
        Test::Lt(_) => order.is_lt(),
        Test::Le(_) => order.is_le(),
        Test::Gt(_) => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn equals(found: &Found<'_>, literal: &Literal) -> bool {
    compare_found(found, &Found::of_literal(literal)) == Some(Ordering::Equal)
}

/// `None`: the right side has no value, so nothing can be said; values of different kinds are not equal.
fn compare(found: &Found<'_>, operand: &Operand<Field>, scope: &Scope<'_>) -> Option<Ordering> {
    let right = operand_of(operand, found, scope)?;
    if right == Found::Missing {
        return Some(Ordering::Less);
    }
    Some(compare_found(found, &right).unwrap_or(Ordering::Less))
}

/// `None` where the two have no order.
fn ordered(found: &Found<'_>, operand: &Operand<Field>, scope: &Scope<'_>) -> Option<Ordering> {
    compare_found(found, &operand_of(operand, found, scope)?)
}

/// A number that the line has as text counts as one beside a number; a text of the config stays a text, because the
/// literal test looks for it as such.
fn operand_of<'a>(operand: &'a Operand<Field>, left: &Found<'_>, scope: &Scope<'a>) -> Option<Found<'a>> {
    match operand {
        Operand::Literal(literal) => Some(Found::of_literal(literal)),
        Operand::Template(template) => match (left, expression::template(template, scope).ok()?) {
            (Found::Number(_), Found::Text(text)) if is_number(&text.text) => Some(Found::Number(text.text)),
            (_, right) => Some(right),
        },
    }
}

/// Numbers compare as numbers, also with one that is written as text; a text compares with a number's source text
/// where the right side is a text.
fn compare_found(left: &Found<'_>, right: &Found<'_>) -> Option<Ordering> {
    match (left, right) {
        (Found::Bool(left), Found::Bool(right)) => Some(left.cmp(right)),
        (Found::Instant(left), Found::Instant(right)) => Some(left.cmp(right)),
        (_, Found::Number(_) | Found::Decimal(_)) | (Found::Decimal(_), Found::Text(_)) => {
            let (left, right) = (number_of(left)?, number_of(right)?);
            Some(left.cmp(&right))
        }
        (Found::Instant(left), Found::Text(right)) => {
            instant::read_rfc3339(&right.text).map(|right| left.cmp(&right))
        }
        (_, Found::Text(right)) => text_of(left).map(|left| (*left).cmp(&*right.text)),
        _ => None,
    }
}

fn number_of(found: &Found<'_>) -> Option<rust_decimal::Decimal> {
    match found {
        Found::Decimal(number) => Some(*number),
        Found::Number(source) => read_decimal(source),
        Found::Text(text) => read_decimal(&text.text),
        _ => None,
    }
}

/// A text, or the text of a number or a time.
fn text_of<'a>(found: &'a Found<'_>) -> Option<Cow<'a, str>> {
    match found {
        Found::Text(text) => Some(Cow::Borrowed(&text.text)),
        Found::Number(source) => Some(Cow::Borrowed(source)),
        Found::Decimal(_) | Found::Instant(_) => {
            Some(found.clone().into_text().ok()??.text.into_owned().into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::language::{parse_path, parse_template};
    use crate::config::settings::Captures;
    use crate::mapping::scope::{Record, Tries};
    use crate::mapping::slots::Slots;

    const LINE: &str =
        r#"{"n":9,"q":"9","ten":"10","big":10,"f":200.0,"t":"b","e":"","null":null,"yes":true,"o":{}}"#;

    fn text(text: &str) -> Operand {
        Operand::Literal(Literal::Text(text.to_owned()))
    }

    fn number(number: i64) -> Operand {
        Operand::Literal(Literal::Number(number.into()))
    }

    fn field(field: &str) -> Operand {
        Operand::Template(parse_template(field).unwrap())
    }

    #[track_caller]
    fn check(path: &str, test: Test, wanted: bool) {
        let said = format!("{path} {test:?}");
        let mut tries = Tries::default();
        let condition = Condition::Tests { path: parse_path(path).unwrap(), tests: vec![test] };
        let resolved = condition.resolve(&mut tries);
        let mut slots = Slots::default();
        tries.line.read(LINE, &mut slots).unwrap();
        let line = Record { text: LINE, slots: &slots, origin: 0, replaced: &[] };
        let scope = Scope { line, item: None, captures: &Captures::new(), container: None, source: "app" };
        assert_eq!(holds(&resolved, &scope), wanted, "{said}");
    }

    #[test]
    fn numbers_compare_as_numbers_and_texts_as_texts() {
        check("n", Test::Eq(number(9)), true);
        check("q", Test::Eq(number(9)), true);
        check("f", Test::Eq(number(200)), true);
        check("f", Test::Eq(text("200")), false);
        check("f", Test::Eq(text("200.0")), true);
        check("n", Test::Lt(number(10)), true);
        check("q", Test::Lt(number(10)), true);
        check("t", Test::Lt(number(10)), false);
        check("t", Test::Gt(text("a")), true);
        check("n", Test::Le(field("{ten}")), true);
        check("n", Test::Lt(field("{big}")), true);
        check("q", Test::Lt(field("{ten | int}")), true);
        check("big", Test::Eq(field("{ten}")), true);
        check("n", Test::Ne(number(9)), false);
        check("t", Test::Ne(number(9)), true);
        check("yes", Test::Eq(Operand::Literal(Literal::Bool(true))), true);
        check("yes", Test::Eq(text("true")), false);
        check("n", Test::In(vec![Literal::Text("8".to_owned()), Literal::Number(9.into())]), true);
    }

    #[test]
    fn on_a_missing_field_only_the_negative_tests_hold() {
        for path in ["nope", "null", "n.x"] {
            check(path, Test::Ne(number(1)), true);
            check(path, Test::NotIn(vec![Literal::Number(1.into())]), true);
            check(path, Test::Exists(false), true);
            check(path, Test::Exists(true), false);
            check(path, Test::Eq(field("{nope}")), false);
            check(path, Test::Lt(number(1)), false);
            check(path, Test::Prefix(String::new()), false);
        }
        check("e", Test::Exists(true), true);
        check("o", Test::Exists(true), true);
        check("n", Test::Eq(field("{nope}")), false);
        check("n", Test::Ne(field("{nope}")), true);
        check("n", Test::Ge(field("{nope}")), false);
        check("n", Test::Ge(field("{nope | default(0)}")), true);
    }
}
