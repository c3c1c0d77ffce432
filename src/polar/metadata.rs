//! What may stand in an event's `metadata`, with Polar's two structured keys `_cost` and `_llm`.

use std::borrow::Cow;

use crate::polar::fault::Finding;
use crate::polar::json::{Json, Object};
use crate::polar::limits::{
    COST_CURRENCY, COST_MAX_DECIMALS, COST_MAX_DIGITS, COST_MAX_INTEGER_DIGITS, METADATA_STRING_MAX_CHARS,
};

const STRUCTURED_KEYS: [&str; 2] = ["_cost", "_llm"];

/// Everything wrong with `value` as a `metadata`, with places from `metadata` on.
pub fn findings<'a>(value: &'a Json<'a>) -> Vec<Finding<'a>> {
    let Json::Object(metadata) = value else {
        return vec![not_a_dictionary(value).at("metadata")];
    };
    let mut found = Vec::new();
    if let Some(cost) = metadata.get("_cost") {
        found.extend(cost_findings(cost).into_iter().map(|finding| finding.at("_cost")));
    }
    if let Some(llm) = metadata.get("_llm") {
        found.extend(llm_findings(llm).into_iter().map(|finding| finding.at("_llm")));
    }
    for (key, value) in &metadata.members {
        if !STRUCTURED_KEYS.contains(&key.as_ref()) && !is_plain_value(value) {
            found.extend(plain_findings(value).into_iter().map(|finding| finding.at(key.as_ref())));
        }
    }
    if found.is_empty() && value.contains_nul() {
        found.push(Finding::value_error("This value contains invalid characters", value));
    }
    found.into_iter().map(|finding| finding.at("metadata")).collect()
}

fn not_a_dictionary<'a>(value: &'a Json<'a>) -> Finding<'a> {
    Finding::new("dict_type", "Input should be a valid dictionary", value)
}

fn is_plain_value(value: &Json<'_>) -> bool {
    match value {
        Json::Bool(_) | Json::Number(_) | Json::NotFinite(_) => true,
        Json::String(text) => is_plain_text(text) || reads_as_another_type(text),
        Json::Null | Json::Broken(_) | Json::Array(_) | Json::Object(_) => false,
    }
}

fn is_plain_text(text: &str) -> bool {
    !text.is_empty()
        && (text.len() <= METADATA_STRING_MAX_CHARS || text.chars().count() <= METADATA_STRING_MAX_CHARS)
}

/// A text of the wrong length may still be a number: the server tries each type of the union.
fn reads_as_another_type(text: &str) -> bool {
    !text.is_empty() && text.trim().parse::<f64>().is_ok()
}

/// One finding for each type that a value may have.
fn plain_findings<'a>(value: &'a Json<'a>) -> Vec<Finding<'a>> {
    let kinds = match value {
        Json::String(text) => {
            let length = if text.is_empty() {
                Finding::new("string_too_short", "String should have at least 1 character", value)
                    .with("{\"min_length\":1}")
            } else {
                too_long(METADATA_STRING_MAX_CHARS, value)
            };
            [
                length,
                Finding::new("int_parsing", INT_PARSING, value),
                Finding::new(
                    "float_parsing",
                    "Input should be a valid number, unable to parse string as a number",
                    value,
                ),
                Finding::new(
                    "bool_parsing",
                    "Input should be a valid boolean, unable to interpret input",
                    value,
                ),
            ]
        }
        _ => [
            not_a_string(value),
            not_an_integer(value),
            Finding::new("float_type", "Input should be a valid number", value),
            Finding::new("bool_type", "Input should be a valid boolean", value),
        ],
    };
    let types = ["constrained-str", "int", "float", "bool"];
    kinds.into_iter().zip(types).map(|(finding, name)| finding.at(name)).collect()
}

const INT_PARSING: &str = "Input should be a valid integer, unable to parse string as an integer";

/// The finding for a text of more than `max_chars` characters.
pub(super) fn too_long<'a>(max_chars: usize, value: &'a Json<'a>) -> Finding<'a> {
    Finding::new("string_too_long", format!("String should have at most {max_chars} characters"), value)
        .with(format!("{{\"max_length\":{max_chars}}}"))
}

/// The finding for anything but a string.
pub(super) fn not_a_string<'a>(value: &'a Json<'a>) -> Finding<'a> {
    match value {
        Json::Broken(_) => {
            let message = "Input should be a valid string, unable to parse raw data as a unicode string";
            Finding::new("string_unicode", message, value)
        }
        _ => Finding::new("string_type", "Input should be a valid string", value),
    }
}

fn not_an_integer<'a>(value: &'a Json<'a>) -> Finding<'a> {
    Finding::new("int_type", "Input should be a valid integer", value)
}

fn cost_findings<'a>(value: &'a Json<'a>) -> Vec<Finding<'a>> {
    let Json::Object(cost) = value else {
        return vec![not_a_dictionary(value)];
    };
    let amount = match cost.get("amount") {
        None => Some(Finding::missing("amount", value)),
        Some(amount) => amount_finding(amount).map(|finding| finding.at("amount")),
    };
    let currency = match cost.get("currency") {
        None => Some(Finding::missing("currency", value)),
        // The server's pattern is not anchored.
        Some(Json::String(text)) if text.contains(COST_CURRENCY) => None,
        Some(text @ Json::String(_)) => Some(
            Finding::new(
                "string_pattern_mismatch",
                format!("String should match pattern '{COST_CURRENCY}'"),
                text,
            )
            .with(format!("{{\"pattern\":\"{COST_CURRENCY}\"}}"))
            .at("currency"),
        ),
        Some(other) => Some(not_a_string(other).at("currency")),
    };
    amount.into_iter().chain(currency).collect()
}

fn amount_finding<'a>(value: &'a Json<'a>) -> Option<Finding<'a>> {
    let text: Cow<'_, str> = match value {
        Json::String(text) => Cow::Borrowed(text.trim()),
        Json::Number(text) if text.contains(['.', 'e', 'E']) => {
            // The server goes by the shortest text of the double, not by the text that was sent.
            Cow::Owned(text.parse::<f64>().expect("JSON numbers are Rust numbers").to_string())
        }
        Json::Number(text) => Cow::Borrowed(*text),
        Json::NotFinite(_) => {
            return Some(Finding::new("finite_number", "Input should be a finite number", value));
        }
        _ => {
            let message = "Decimal input should be an integer, float, string or Decimal object";
            return Some(Finding::new("decimal_type", message, value));
        }
    };
    let Some(shape) = DecimalShape::of(&text) else {
        return Some(Finding::new("decimal_parsing", "Input should be a valid decimal", value));
    };
    if shape.digits > u64::from(COST_MAX_DIGITS) {
        let message = format!("Decimal input should have no more than {COST_MAX_DIGITS} digits in total");
        let context = format!("{{\"max_digits\":{COST_MAX_DIGITS}}}");
        return Some(Finding::new("decimal_max_digits", message, value).with(context));
    }
    if shape.decimals > u64::from(COST_MAX_DECIMALS) {
        let message = format!("Decimal input should have no more than {COST_MAX_DECIMALS} decimal places");
        let context = format!("{{\"decimal_places\":{COST_MAX_DECIMALS}}}");
        return Some(Finding::new("decimal_max_places", message, value).with(context));
    }
    if shape.digits - shape.decimals > u64::from(COST_MAX_INTEGER_DIGITS) {
        let message = format!(
            "Decimal input should have no more than {COST_MAX_INTEGER_DIGITS} digits before the decimal point"
        );
        let context = format!("{{\"whole_digits\":{COST_MAX_INTEGER_DIGITS}}}");
        return Some(Finding::new("decimal_whole_digits", message, value).with(context));
    }
    None
}

/// How large a decimal number is in digits, once its trailing zeros are off.
struct DecimalShape {
    /// Significant digits, and at least as many as there are decimals.
    digits: u64,
    /// Digits after the point.
    decimals: u64,
}

impl DecimalShape {
    /// None if `text` is no finite decimal number. Underscores between digits are Python's.
    fn of(text: &str) -> Option<DecimalShape> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = whole.chars().chain(fraction.chars()).filter(|&digit| digit != '_').collect();
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0').trim_end_matches('0').len() as u64;
        if significant == 0 {
            return Some(DecimalShape { digits: 1, decimals: 0 });
        }
        let trailing_zeros = digits.len() - digits.trim_end_matches('0').len();
        let fraction_digits = fraction.bytes().filter(u8::is_ascii_digit).count();
        let exponent = i64::from(exponent) - fraction_digits as i64 + trailing_zeros as i64;
        let decimals = exponent.min(0).unsigned_abs();
        let digits = (significant + exponent.max(0).unsigned_abs()).max(decimals);
        Some(DecimalShape { digits, decimals })
    }
}

fn llm_findings<'a>(value: &'a Json<'a>) -> Vec<Finding<'a>> {
    let Json::Object(llm) = value else {
        return vec![not_a_dictionary(value)];
    };
    let fields: [(&'static str, Need, FieldCheck); 8] = [
        ("vendor", Need::Required, text_finding),
        ("model", Need::Required, text_finding),
        ("prompt", Need::Nullable, text_finding),
        ("response", Need::Nullable, text_finding),
        ("input_tokens", Need::Required, integer_finding),
        ("cached_input_tokens", Need::Optional, integer_finding),
        ("output_tokens", Need::Required, integer_finding),
        ("total_tokens", Need::Required, integer_finding),
    ];
    fields.into_iter().filter_map(|(key, need, check)| field_finding(llm, value, key, need, check)).collect()
}

#[derive(PartialEq)]
enum Need {
    Required,
    Optional,
    /// Optional, and null is as good as nothing.
    Nullable,
}

type FieldCheck = for<'a> fn(&'a Json<'a>) -> Option<Finding<'a>>;

fn field_finding<'a>(
    object: &'a Object<'a>,
    value: &'a Json<'a>,
    key: &'static str,
    need: Need,
    check: FieldCheck,
) -> Option<Finding<'a>> {
    match object.get(key) {
        None => (need == Need::Required).then(|| Finding::missing(key, value)),
        Some(Json::Null) if need == Need::Nullable => None,
        Some(field) => check(field).map(|finding| finding.at(key)),
    }
}

fn text_finding<'a>(value: &'a Json<'a>) -> Option<Finding<'a>> {
    value.as_str().is_none().then(|| not_a_string(value))
}

fn integer_finding<'a>(value: &'a Json<'a>) -> Option<Finding<'a>> {
    match value {
        Json::Bool(_) => None,
        Json::Number(text) => {
            let whole = !text.contains(['.', 'e', 'E'])
                || text.parse::<f64>().expect("JSON numbers are Rust numbers").fract() == 0.0;
            let message = "Input should be a valid integer, got a number with a fractional part";
            (!whole).then(|| Finding::new("int_from_float", message, value))
        }
        Json::NotFinite(_) => Some(Finding::new("finite_number", "Input should be a finite number", value)),
        Json::String(text) => {
            (!reads_as_integer(text)).then(|| Finding::new("int_parsing", INT_PARSING, value))
        }
        _ => Some(not_an_integer(value)),
    }
}

/// `12`, ` +12 ` and `12.00`, as the server's schema library reads integers from text.
fn reads_as_integer(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = match digits.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        Some(_) => return false,
        None => digits,
    };
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polar::json::parse;

    #[track_caller]
    fn check(json: &str, expected: &[&str]) {
        let value = parse(json.as_bytes()).expect("the test's JSON is right");
        let found: Vec<String> = findings(&value)
            .into_iter()
            .map(|finding| format!("{} {}", finding.path.join("."), finding.kind))
            .collect();
        assert_eq!(found, expected, "{json}");
    }

    #[track_caller]
    fn check_amount(amount: &str, expected: &[&str]) {
        let expected: Vec<String> =
            expected.iter().map(|kind| format!("metadata._cost.amount {kind}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&format!(r#"{{"_cost":{{"amount":{amount},"currency":"usd"}}}}"#), &expected);
    }

    #[test]
    fn plain_values_are_short_texts_numbers_and_booleans() {
        check(r#"{"a":"x","b":1,"c":1.5,"d":true," ":" "}"#, &[]);
        check(&format!(r#"{{"a":"{}"}}"#, "é".repeat(500)), &[]);
        check(
            &format!(r#"{{"a":"{}"}}"#, "é".repeat(501)),
            &[
                "metadata.a.constrained-str string_too_long",
                "metadata.a.int int_parsing",
                "metadata.a.float float_parsing",
                "metadata.a.bool bool_parsing",
            ],
        );
        check(
            r#"{"a":null}"#,
            &[
                "metadata.a.constrained-str string_type",
                "metadata.a.int int_type",
                "metadata.a.float float_type",
                "metadata.a.bool bool_type",
            ],
        );
        check("[]", &["metadata dict_type"]);
        check(r#"{"a":"x\u0000"}"#, &["metadata value_error"]);
    }

    #[test]
    fn an_amount_has_five_digits_before_the_point_and_twelve_after_it() {
        for amount in [
            "1.5",
            "-1",
            "\"0.000000000001\"",
            "\"99998.5\"",
            "\"1e2\"",
            "0",
            "\"1.50000000000000000\"",
            "1e-12",
        ] {
            check_amount(amount, &[]);
        }
        check_amount("100000", &["decimal_whole_digits"]);
        check_amount("1e5", &["decimal_whole_digits"]);
        check_amount("0.30000000000000004", &["decimal_max_places"]);
        check_amount("\"12345.1234567890123\"", &["decimal_max_digits"]);
        check_amount("\"abc\"", &["decimal_parsing"]);
        check_amount("\"\"", &["decimal_parsing"]);
        check_amount("true", &["decimal_type"]);
        check_amount("NaN", &["finite_number"]);
    }

    #[test]
    fn the_currency_is_usd() {
        check(
            r#"{"_cost":{"amount":1,"currency":"eur"}}"#,
            &["metadata._cost.currency string_pattern_mismatch"],
        );
        check(r#"{"_cost":{}}"#, &["metadata._cost.amount missing", "metadata._cost.currency missing"]);
        check(r#"{"_cost":1}"#, &["metadata._cost dict_type"]);
    }

    #[test]
    fn llm_needs_vendor_model_and_three_token_counts() {
        check(
            r#"{"_llm":{"vendor":"","model":"m","input_tokens":-1,"output_tokens":"2","total_tokens":3.0,"x":[]}}"#,
            &[],
        );
        check(
            r#"{"_llm":{"model":5,"prompt":null,"input_tokens":1.5,"cached_input_tokens":null,"output_tokens":2}}"#,
            &[
                "metadata._llm.vendor missing",
                "metadata._llm.model string_type",
                "metadata._llm.input_tokens int_from_float",
                "metadata._llm.cached_input_tokens int_type",
                "metadata._llm.total_tokens missing",
            ],
        );
    }
}
