//! The events that Polar makes itself. Source: Polar's OpenAPI.

pub mod metadata;
mod words;

use serde::Deserialize;
use serde_json::{Map, Value};

macro_rules! system_events {
    ($($variant:ident($metadata:ident) = $name:literal,)*) => {
        /// What a system event says. A name that is not here must not break reading.
        #[derive(Debug, Clone, PartialEq)]
        pub enum SystemEvent { $($variant(metadata::$metadata),)* }

        /// All names known today, in order.
        pub const SYSTEM_EVENT_NAMES: &[&str] = &[$($name),*];

        impl SystemEvent {
            /// `None` for a name that is not known, and where the metadata is not what the name promises: then it is
            /// Polar that has grown, and the event is still there as it came.
            #[must_use]
            pub fn read(name: &str, metadata: &Map<String, Value>) -> Option<Self> {
                match name {
                    $($name => metadata::$metadata::deserialize(metadata).ok().map(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

system_events! {
    BalanceCreditOrder(BalanceCreditOrder) = "balance.credit_order",
    BalanceDispute(BalanceDispute) = "balance.dispute",
    BalanceDisputeReversal(BalanceDispute) = "balance.dispute_reversal",
    BalanceOrder(BalanceOrder) = "balance.order",
    BalanceRefund(BalanceRefund) = "balance.refund",
    BalanceRefundReversal(BalanceRefund) = "balance.refund_reversal",
    BenefitCycled(BenefitGrant) = "benefit.cycled",
    BenefitGranted(BenefitGrant) = "benefit.granted",
    BenefitRevoked(BenefitGrant) = "benefit.revoked",
    BenefitUpdated(BenefitGrant) = "benefit.updated",
    CheckoutCreated(CheckoutCreated) = "checkout.created",
    CustomerCreated(CustomerCreated) = "customer.created",
    CustomerDeleted(CustomerDeleted) = "customer.deleted",
    CustomerUpdated(CustomerUpdated) = "customer.updated",
    MeterCredited(MeterCredited) = "meter.credited",
    MeterReset(MeterReset) = "meter.reset",
    OrderPaid(OrderPaid) = "order.paid",
    OrderRefunded(OrderRefunded) = "order.refunded",
    OrderUnvoided(OrderUnvoided) = "order.unvoided",
    OrderVoided(OrderVoided) = "order.voided",
    SubscriptionBillingPeriodUpdated(SubscriptionBillingPeriodUpdated) = "subscription.billing_period_updated",
    SubscriptionCanceled(SubscriptionCanceled) = "subscription.canceled",
    SubscriptionCreated(SubscriptionCreated) = "subscription.created",
    SubscriptionCycled(SubscriptionCycled) = "subscription.cycled",
    SubscriptionPastDue(SubscriptionPastDue) = "subscription.past_due",
    SubscriptionPaused(SubscriptionPaused) = "subscription.paused",
    SubscriptionProductUpdated(SubscriptionProductUpdated) = "subscription.product_updated",
    SubscriptionReactivated(SubscriptionReactivated) = "subscription.reactivated",
    SubscriptionReinstated(SubscriptionReinstated) = "subscription.reinstated",
    SubscriptionResumed(SubscriptionResumed) = "subscription.resumed",
    SubscriptionRevoked(SubscriptionRevoked) = "subscription.revoked",
    SubscriptionSeatsUpdated(SubscriptionSeatsUpdated) = "subscription.seats_updated",
    SubscriptionUncanceled(SubscriptionUncanceled) = "subscription.uncanceled",
    SubscriptionUnitsUpdated(SubscriptionUnitsUpdated) = "subscription.units_updated",
    SubscriptionUpdateCleared(SubscriptionUpdateCleared) = "subscription.update_cleared",
    SubscriptionUpdated(SubscriptionUpdated) = "subscription.updated",
}

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

    #[track_caller]
    fn read(name: &str, metadata: &str) -> Option<SystemEvent> {
        SystemEvent::read(name, &serde_json::from_str(metadata).unwrap())
    }

    #[test]
    fn what_polar_adds_is_kept_and_what_it_leaves_out_is_none() {
        let Some(SystemEvent::OrderPaid(paid)) =
            read("order.paid", r#"{"order_id":"o","amount":1200,"currency":null,"carrier":"pigeon"}"#)
        else {
            panic!("an order that was paid")
        };
        assert_eq!((paid.order_id.as_str(), paid.amount, paid.currency), ("o", 1200, None));
        assert_eq!(paid.rest["carrier"], "pigeon");
        assert_eq!(read("order.paid", r#"{"order_id":"o"}"#), None);
        assert_eq!(read("order.teleported", "{}"), None);
    }

    /// Names, and the schemas of their metadata, as they stand in Polar's OpenAPI.
    const OPENAPI: &str = include_str!("../../../tests/data/polar/system-events.json");

    fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
        let Some(name) = schema["$ref"].as_str() else { return schema };
        &schemas[name.rsplit('/').next().expect("a reference ends with a name")]
    }

    /// A value that the schema allows; `whole` has all keys, else only those that are required.
    fn example(schema: &Value, schemas: &Value, whole: bool) -> Value {
        let schema = resolved(schema, schemas);
        if let Some(any) = schema["anyOf"].as_array() {
            let chosen = if whole { any.first() } else { any.last() };
            return example(chosen.expect("there is a choice"), schemas, whole);
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        match schema["type"].as_str() {
            Some("string") => "text".into(),
            Some("integer") => 7.into(),
            Some("number") => 0.5.into(),
            Some("boolean") => true.into(),
            Some("null") => Value::Null,
            Some("object") => {
                let is_required = |key: &str| {
                    schema["required"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key))
                };
                let properties = schema["properties"].as_object().into_iter().flatten();
                let chosen = properties.filter(|(key, _)| whole || is_required(key));
                chosen.map(|(key, of)| (key.clone(), example(of, schemas, whole))).collect()
            }
            other => panic!("no example of {other:?} in {schema}"),
        }
    }

    #[test]
    fn every_system_event_of_the_openapi_is_read_from_an_example_of_its_schema() {
        let openapi: Value = serde_json::from_str(OPENAPI).unwrap();
        let events = openapi["events"].as_object().unwrap();
        assert_eq!(events.keys().collect::<Vec<_>>(), SYSTEM_EVENT_NAMES);
        for (name, schema) in events {
            let schema = &openapi["schemas"][schema.as_str().unwrap()];
            for whole in [true, false] {
                let metadata = example(schema, &openapi["schemas"], whole);
                let event = SystemEvent::read(name, metadata.as_object().unwrap());
                let event = event.unwrap_or_else(|| panic!("{name} of {metadata}"));
                // All keys are known, so none is left over.
                assert!(!format!("{event:?}").contains("rest: {\""), "{name}: {event:?}");
                assert!(!event.to_string().is_empty(), "{name}");
            }
        }
    }
}
