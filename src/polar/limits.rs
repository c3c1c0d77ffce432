//! What Polar's server takes and what it does not, as numbers.
//!
//! "Polar's server" as a source means: read from its source (commit c6c3645e) and measured on it running.

use rust_decimal::Decimal;

/// Longest event name, in characters. Source: Polar's server (`max_length` of the schema).
pub const NAME_MAX_CHARS: usize = 128;

/// Most metadata keys of an event. Source: Polar's documentation; its server does not enforce it, Floe does.
pub const METADATA_MAX_KEYS: usize = 50;

/// Longest metadata key, in characters; the shortest has one. Source: Polar's documentation; its server does not
/// enforce it, Floe does.
pub const METADATA_KEY_MAX_CHARS: usize = 40;

/// Longest text among the metadata values, in characters and not bytes; the shortest has one. Source: Polar's server.
pub const METADATA_STRING_MAX_CHARS: usize = 500;

/// Longest `external_id`, `external_customer_id`, `external_member_id` and `parent_id` that is safe, in bytes.
///
/// They stand in B-tree indexes of Postgres. A row of such an index has to fit a third of a page, about 2,700
/// bytes once compressed; more than that and the whole batch gets a 500. 2,000 leaves room for the other columns.
pub const ID_MAX_BYTES: usize = 2_000;

/// From this length on Polar's server answers an incompressible id with a 500 (a B-tree row of Postgres).
pub const ID_BREAKING_BYTES: usize = 2_700;

/// Largest body of a request, in bytes; beyond it is a 413. Source: Polar's server.
pub const BODY_MAX_BYTES: usize = 10_485_760;

/// Most events in one request: one more is a 500, for Postgres numbers bound parameters with 16 bits. Source: Polar's
/// server. The best size is 100–500.
pub const EVENTS_MAX_PER_REQUEST: usize = 32_767;

/// Most event names new to the organization in one request, about: beyond it is a 500. Source: Polar's server.
pub const NEW_NAMES_MAX_PER_REQUEST: usize = 300;

/// Most digits of `_cost.amount` before the decimal point. Source: Polar's server.
pub const COST_MAX_INTEGER_DIGITS: u32 = 5;

/// Most digits of `_cost.amount` after the decimal point. Source: Polar's server.
pub const COST_MAX_DECIMALS: u32 = 12;

/// Most digits of `_cost.amount` in all. Source: Polar's server.
pub const COST_MAX_DIGITS: u32 = COST_MAX_INTEGER_DIGITS + COST_MAX_DECIMALS;

/// The amount from which on, in either direction, `_cost.amount` must be refused: 99,999.999999999993 cents.
///
/// Polar's server accepts it, stores it as the double 100000.0 and can then not read it back, because that has six
/// digits before the point. The doubles next to 100,000 are 2⁻³⁶ apart; this is the first amount of 12 decimals in
/// the upper half of the last gap.
pub const COST_AMOUNT_BOUND: Decimal = {
    const UNITS: u64 = 100_000 * 1_000_000_000_000 - 7;
    Decimal::from_parts((UNITS & 0xffff_ffff) as u32, (UNITS >> 32) as u32, 0, false, COST_MAX_DECIMALS)
};

/// The only currency of `_cost.currency`. Source: Polar's server.
pub const COST_CURRENCY: &str = "usd";

/// Largest page of a list; a larger `limit` is clamped to it. Source: Polar's server.
pub const LIST_MAX_ITEMS: usize = 100;

/// The keys of `_llm` that must be there. Source: Polar's server.
pub const LLM_REQUIRED_KEYS: [&str; 5] = ["vendor", "model", "input_tokens", "output_tokens", "total_tokens"];

/// Requests a minute that Polar allows an organization, all its tokens together. Source: Polar's server.
pub const REQUESTS_PER_MINUTE_PRODUCTION: u32 = 500;

/// The window in which Polar counts requests, in seconds: the wait of a 429 that names none. Source: Polar's server.
pub const RATE_WINDOW_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_bound_is_the_first_amount_that_becomes_a_hundred_thousand() {
        let step = Decimal::new(1, COST_MAX_DECIMALS);
        let as_double = |amount: Decimal| amount.to_string().parse::<f64>().expect("a decimal is a number");
        assert_eq!(COST_AMOUNT_BOUND.to_string(), "99999.999999999993");
        assert_eq!(as_double(COST_AMOUNT_BOUND), 100_000.0);
        assert!(as_double(COST_AMOUNT_BOUND - step) < 100_000.0);
    }
}
