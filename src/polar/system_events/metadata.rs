//! What the events that Polar makes itself say. Source: Polar's OpenAPI.
//!
//! What is not known here stays in `rest`, and what is only sometimes there is an `Option`: a key that Polar adds breaks nothing.

use serde::Deserialize;
use serde_json::{Map, Value};

macro_rules! metadata {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Deserialize)]
            pub struct $name {
                $(pub $field: $type,)*
                /// Keys that are not known here.
                #[serde(flatten)]
                pub rest: Map<String, Value>,
            }
        )*
    };
}

metadata! {
    /// Units were added to what a customer may use.
    MeterCredited {
        meter_id: String,
        units: i64,
        rollover: bool,
    }
    /// A customer's meter begins at zero again.
    MeterReset {
        meter_id: String,
    }
    /// A benefit was granted to a customer, or what became of the grant.
    BenefitGrant {
        benefit_id: String,
        benefit_grant_id: String,
        benefit_type: String,
        member_id: Option<String>,
    }
    /// A subscription begins.
    SubscriptionCreated {
        subscription_id: String,
        product_id: String,
        amount: i64,
        currency: String,
        recurring_interval: String,
        recurring_interval_count: i64,
        started_at: String,
    }
    /// Something of a subscription was changed; only what was is there.
    SubscriptionUpdated {
        product_id: Option<String>,
        proration_behavior: Option<String>,
        discount_id: Option<String>,
        trial_end: Option<String>,
        seats: Option<i64>,
        units: Option<i64>,
        billing_period_end: Option<String>,
        subscription_id: String,
    }
    /// A period of a subscription ended and the next one begins.
    SubscriptionCycled {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A subscription was canceled, maybe for the end of its period.
    SubscriptionCanceled {
        subscription_id: String,
        product_id: Option<String>,
        amount: i64,
        currency: String,
        recurring_interval: String,
        recurring_interval_count: i64,
        customer_cancellation_reason: Option<String>,
        customer_cancellation_comment: Option<String>,
        canceled_at: String,
        ends_at: Option<String>,
        cancel_at_period_end: Option<bool>,
    }
    /// A subscription ended.
    SubscriptionRevoked {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A payment of a subscription is due.
    SubscriptionPastDue {
        subscription_id: String,
        product_id: Option<String>,
        past_due_at: String,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A subscription that was past due is paid.
    SubscriptionReactivated {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A subscription that had ended goes on.
    SubscriptionReinstated {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A subscription rests.
    SubscriptionPaused {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
        paused_at: String,
        resumes_at: Option<String>,
    }
    /// A subscription that rested goes on.
    SubscriptionResumed {
        subscription_id: String,
        product_id: Option<String>,
        amount: Option<i64>,
        currency: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// A cancellation was taken back.
    SubscriptionUncanceled {
        subscription_id: String,
        product_id: String,
        amount: i64,
        currency: String,
        recurring_interval: String,
        recurring_interval_count: i64,
    }
    /// A subscription is of another product now.
    SubscriptionProductUpdated {
        subscription_id: String,
        old_product_id: String,
        new_product_id: String,
    }
    /// A subscription has another number of seats.
    SubscriptionSeatsUpdated {
        subscription_id: String,
        old_seats: i64,
        new_seats: i64,
        proration_behavior: String,
    }
    /// A subscription has another number of units.
    SubscriptionUnitsUpdated {
        subscription_id: String,
        old_units: i64,
        new_units: i64,
        proration_behavior: String,
    }
    /// A period of a subscription ends at another time.
    SubscriptionBillingPeriodUpdated {
        subscription_id: String,
        old_period_end: String,
        new_period_end: String,
    }
    /// A change that was to come was taken back.
    SubscriptionUpdateCleared {
        subscription_id: String,
    }
    /// An order was paid. Amounts are in the smallest unit of the currency.
    OrderPaid {
        order_id: String,
        product_id: Option<String>,
        billing_type: Option<String>,
        amount: i64,
        currency: Option<String>,
        net_amount: Option<i64>,
        tax_amount: Option<i64>,
        applied_balance_amount: Option<i64>,
        discount_amount: Option<i64>,
        discount_id: Option<String>,
        platform_fee: Option<i64>,
        subscription_id: Option<String>,
        recurring_interval: Option<String>,
        recurring_interval_count: Option<i64>,
    }
    /// Money of an order was given back.
    OrderRefunded {
        order_id: String,
        refunded_amount: i64,
        currency: String,
    }
    /// An order is not to be paid any more.
    OrderVoided {
        order_id: String,
        amount: i64,
        currency: String,
    }
    /// An order that was void is to be paid again.
    OrderUnvoided {
        order_id: String,
        amount: i64,
        currency: String,
    }
    /// Somebody is about to buy.
    CheckoutCreated {
        checkout_id: String,
        checkout_status: String,
        product_id: Option<String>,
    }
    /// A customer was made.
    CustomerCreated {
        customer_id: String,
        customer_email: Option<String>,
        customer_name: Option<String>,
        customer_external_id: Option<String>,
    }
    /// Something of a customer was changed.
    CustomerUpdated {
        customer_id: String,
        customer_email: Option<String>,
        customer_name: Option<String>,
        customer_external_id: Option<String>,
        updated_fields: CustomerUpdatedFields,
    }
    /// A customer was deleted.
    CustomerDeleted {
        customer_id: String,
        customer_email: Option<String>,
        customer_name: Option<String>,
        customer_external_id: Option<String>,
    }
    /// Money of an order came in.
    BalanceOrder {
        transaction_id: String,
        order_id: String,
        product_id: Option<String>,
        subscription_id: Option<String>,
        amount: i64,
        net_amount: Option<i64>,
        currency: String,
        presentment_amount: i64,
        presentment_currency: String,
        tax_amount: i64,
        tax_state: Option<String>,
        tax_country: Option<String>,
        fee: i64,
        exchange_rate: Option<f64>,
    }
    /// An order was paid from what its customer had left.
    BalanceCreditOrder {
        order_id: String,
        product_id: Option<String>,
        subscription_id: Option<String>,
        amount: i64,
        currency: String,
        tax_amount: i64,
        tax_state: Option<String>,
        tax_country: Option<String>,
        fee: i64,
        exchange_rate: Option<f64>,
    }
    /// Money went out for a refund, or came back.
    BalanceRefund {
        transaction_id: String,
        refund_id: String,
        order_id: Option<String>,
        order_created_at: Option<String>,
        product_id: Option<String>,
        subscription_id: Option<String>,
        amount: i64,
        currency: String,
        presentment_amount: i64,
        presentment_currency: String,
        refundable_amount: Option<i64>,
        tax_amount: i64,
        tax_state: Option<String>,
        tax_country: Option<String>,
        fee: i64,
        exchange_rate: Option<f64>,
    }
    /// Money went out for a dispute, or came back.
    BalanceDispute {
        transaction_id: String,
        dispute_id: String,
        order_id: Option<String>,
        order_created_at: Option<String>,
        product_id: Option<String>,
        subscription_id: Option<String>,
        amount: i64,
        currency: String,
        presentment_amount: i64,
        presentment_currency: String,
        tax_amount: i64,
        tax_state: Option<String>,
        tax_country: Option<String>,
        fee: i64,
        exchange_rate: Option<f64>,
    }
    /// What of a customer was changed: its new values.
    CustomerUpdatedFields {
        name: Option<String>,
        billing_name: Option<String>,
        email: Option<String>,
        billing_address: Option<Address>,
        tax_id: Option<String>,
        metadata: Option<Map<String, Value>>,
    }
    /// An address.
    Address {
        line1: Option<String>,
        line2: Option<String>,
        postal_code: Option<String>,
        city: Option<String>,
        state: Option<String>,
        country: String,
    }
}
