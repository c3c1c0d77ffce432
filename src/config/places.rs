//! Where the parts of a rule stand, for who finds something about them once the config is read.

use std::collections::BTreeMap;

use super::fault::Place;
use super::warning::WarningCode;

/// The places of one rule, in the order of [`Settings::rules`](super::Settings).
#[derive(Debug, Clone)]
pub struct RulePlaces {
    pub event: Place,
    /// Of the event.
    pub name: Place,
    /// `external_customer_id` or `customer_id`.
    pub customer: Place,
    /// By key; what stands in `_cost` and `_llm` as `_llm.total_tokens`.
    pub metadata: BTreeMap<String, Place>,
    /// The warnings that it silences.
    pub allow: Vec<WarningCode>,
}
