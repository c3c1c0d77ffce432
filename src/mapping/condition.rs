//! Whether a condition holds. On a missing field `ne`, `not_in` and `exists = false` hold, all others do not.

use std::cmp::Ordering;

use super::expression;
use super::found::{Found, read_decimal};
use super::scope::{Field, Scope};
use crate::config::language::{Condition, Literal, Operand, Test};

pub(super) fn holds(condition: &Condition<Field>, scope: &Scope<'_>) -> bool {
    match condition {
        Condition::All(all) => all.iter().all(|condition| holds(condition, scope)),
        Condition::Any(any) => any.iter().any(|condition| holds(condition, scope)),
        Condition::Tests { path, tests } => {
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
        Test::Matches(regex) => text_of(found).is_some_and(|text| regex.is_match(text)),
    }
}

fn equals(found: &Found<'_>, literal: &Literal) -> bool {
    compare_found(found, &Found::of_literal(literal)) == Some(Ordering::Equal)
}

/// `None`: the right side has no value, so nothing can be said; values of different kinds are not equal.
fn compare(found: &Found<'_>, operand: &Operand<Field>, scope: &Scope<'_>) -> Option<Ordering> {
    let right = operand_of(operand, scope)?;
    if right == Found::Missing {
        return Some(Ordering::Less);
    }
    Some(compare_found(found, &right).unwrap_or(Ordering::Less))
}

/// `None` where the two have no order.
fn ordered(found: &Found<'_>, operand: &Operand<Field>, scope: &Scope<'_>) -> Option<Ordering> {
    compare_found(found, &operand_of(operand, scope)?)
}

fn operand_of<'a>(operand: &'a Operand<Field>, scope: &Scope<'a>) -> Option<Found<'a>> {
    match operand {
        Operand::Literal(literal) => Some(Found::of_literal(literal)),
        Operand::Template(template) => expression::template(template, scope).ok(),
    }
}

/// Numbers compare as numbers, also with one that is written as text; a text compares with a number's source text
/// where the right side is a text.
fn compare_found(left: &Found<'_>, right: &Found<'_>) -> Option<Ordering> {
    match (left, right) {
        (Found::Bool(left), Found::Bool(right)) => Some(left.cmp(right)),
        (Found::Instant(left), Found::Instant(right)) => Some(left.cmp(right)),
        (_, Found::Number(_) | Found::Decimal(_)) => {
            let (left, right) = (number_of(left)?, number_of(right)?);
            Some(left.cmp(&right))
        }
        (Found::Decimal(_), Found::Text(_)) => {
            let (left, right) = (number_of(left)?, number_of(right)?);
            Some(left.cmp(&right))
        }
        (_, Found::Text(right)) => text_of(left).map(|left| left.cmp(&right.text)),
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

/// A text, or the source text of a number.
fn text_of<'a>(found: &'a Found<'_>) -> Option<&'a str> {
    match found {
        Found::Text(text) => Some(&text.text),
        Found::Number(source) => Some(source),
        _ => None,
    }
}
