//! The events that Polar makes itself.

/// All names known today. Source: Polar's OpenAPI. A name that is not here must not break reading.
pub const SYSTEM_EVENT_NAMES: [&str; 36] = [
    "balance.credit_order",
    "balance.dispute",
    "balance.dispute_reversal",
    "balance.order",
    "balance.refund",
    "balance.refund_reversal",
    "benefit.cycled",
    "benefit.granted",
    "benefit.revoked",
    "benefit.updated",
    "checkout.created",
    "customer.created",
    "customer.deleted",
    "customer.updated",
    "meter.credited",
    "meter.reset",
    "order.paid",
    "order.refunded",
    "order.unvoided",
    "order.voided",
    "subscription.billing_period_updated",
    "subscription.canceled",
    "subscription.created",
    "subscription.cycled",
    "subscription.past_due",
    "subscription.paused",
    "subscription.product_updated",
    "subscription.reactivated",
    "subscription.reinstated",
    "subscription.resumed",
    "subscription.revoked",
    "subscription.seats_updated",
    "subscription.uncanceled",
    "subscription.units_updated",
    "subscription.update_cleared",
    "subscription.updated",
];

/// Whether Polar uses `name` for an event of its own. It accepts such a user event all the same; avoid it.
pub fn is_system_event_name(name: &str) -> bool {
    SYSTEM_EVENT_NAMES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        assert!(SYSTEM_EVENT_NAMES.is_sorted());
        assert!(SYSTEM_EVENT_NAMES.iter().all(|name| is_system_event_name(name)));
        assert!(!is_system_event_name("llm_usage"));
    }
}
