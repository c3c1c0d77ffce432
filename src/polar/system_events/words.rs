//! What a system event says, in a few words for a list.

use std::fmt;

use super::SystemEvent;

/// Currencies that have no smaller unit. Source: ISO 4217.
const WITHOUT_CENTS: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xpf"];

/// An amount in the smallest unit of its currency, as people write it.
struct Money<'a>(i64, &'a str);

impl fmt::Display for Money<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(amount, currency) = *self;
        let currency_name = currency.to_uppercase();
        if WITHOUT_CENTS.contains(&currency.to_lowercase().as_str()) {
            return write!(out, "{amount} {currency_name}");
        }
        let sign = if amount < 0 { "-" } else { "" };
        let amount = amount.unsigned_abs();
        write!(out, "{sign}{}.{:02} {currency_name}", amount / 100, amount % 100)
    }
}

impl fmt::Display for SystemEvent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MeterCredited(of) => write!(out, "{} units to meter {}", of.units, of.meter_id),
            Self::MeterReset(of) => write!(out, "meter {}", of.meter_id),
            Self::BenefitGranted(of)
            | Self::BenefitCycled(of)
            | Self::BenefitRevoked(of)
            | Self::BenefitUpdated(of) => {
                write!(out, "{} benefit {}", of.benefit_type, of.benefit_id)
            }
            Self::OrderPaid(of) => {
                write!(out, "{}", Money(of.amount, of.currency.as_deref().unwrap_or("usd")))?;
                write!(out, " for order {}", of.order_id)?;
                of.billing_type.as_ref().map_or(Ok(()), |kind| write!(out, ", {kind}"))
            }
            Self::OrderRefunded(of) => {
                write!(out, "{} of order {}", Money(of.refunded_amount, &of.currency), of.order_id)
            }
            Self::OrderVoided(of) => {
                write!(out, "{} of order {}", Money(of.amount, &of.currency), of.order_id)
            }
            Self::OrderUnvoided(of) => {
                write!(out, "{} of order {}", Money(of.amount, &of.currency), of.order_id)
            }
            Self::CheckoutCreated(of) => write!(out, "checkout {}, {}", of.checkout_id, of.checkout_status),
            Self::CustomerCreated(of) => customer(out, &of.customer_id, of.customer_email.as_deref()),
            Self::CustomerUpdated(of) => customer(out, &of.customer_id, of.customer_email.as_deref()),
            Self::CustomerDeleted(of) => customer(out, &of.customer_id, of.customer_email.as_deref()),
            Self::BalanceOrder(of) => {
                write!(out, "{} of order {}", Money(of.amount, &of.currency), of.order_id)
            }
            Self::BalanceCreditOrder(of) => {
                write!(out, "{} of order {}", Money(of.amount, &of.currency), of.order_id)
            }
            Self::BalanceRefund(of) | Self::BalanceRefundReversal(of) => {
                write!(out, "{} by refund {}", Money(of.amount, &of.currency), of.refund_id)
            }
            Self::BalanceDispute(of) | Self::BalanceDisputeReversal(of) => {
                write!(out, "{} by dispute {}", Money(of.amount, &of.currency), of.dispute_id)
            }
            Self::SubscriptionSeatsUpdated(of) => {
                subscription(out, &of.subscription_id)?;
                write!(out, ", {} seats instead of {}", of.new_seats, of.old_seats)
            }
            Self::SubscriptionUnitsUpdated(of) => {
                subscription(out, &of.subscription_id)?;
                write!(out, ", {} units instead of {}", of.new_units, of.old_units)
            }
            Self::SubscriptionProductUpdated(of) => {
                subscription(out, &of.subscription_id)?;
                write!(out, ", product {} instead of {}", of.new_product_id, of.old_product_id)
            }
            Self::SubscriptionBillingPeriodUpdated(of) => {
                subscription(out, &of.subscription_id)?;
                write!(out, ", until {} instead of {}", of.new_period_end, of.old_period_end)
            }
            Self::SubscriptionCreated(of) => {
                subscription(out, &of.subscription_id)?;
                write!(out, ", {} a {}", Money(of.amount, &of.currency), of.recurring_interval)
            }
            Self::SubscriptionCanceled(of) => {
                subscription(out, &of.subscription_id)?;
                of.ends_at.as_ref().map_or(Ok(()), |end| write!(out, ", ends {end}"))
            }
            Self::SubscriptionUpdated(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionCycled(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionRevoked(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionPastDue(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionReactivated(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionReinstated(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionPaused(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionResumed(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionUncanceled(of) => subscription(out, &of.subscription_id),
            Self::SubscriptionUpdateCleared(of) => subscription(out, &of.subscription_id),
        }
    }
}

fn customer(out: &mut fmt::Formatter<'_>, id: &str, email: Option<&str>) -> fmt::Result {
    write!(out, "customer {id}")?;
    email.map_or(Ok(()), |email| write!(out, ", {email}"))
}

fn subscription(out: &mut fmt::Formatter<'_>, id: &str) -> fmt::Result {
    write!(out, "subscription {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, metadata: &str, expected: &str) {
        let metadata = serde_json::from_str(metadata).unwrap();
        let event = SystemEvent::read(name, &metadata).expect("the metadata is what the name promises");
        assert_eq!(event.to_string(), expected);
    }

    #[test]
    fn money_and_what_it_is_for_come_first() {
        check(
            "order.paid",
            r#"{"order_id":"o1","amount":1205,"currency":"eur","billing_type":"recurring"}"#,
            "12.05 EUR for order o1, recurring",
        );
        check("order.paid", r#"{"order_id":"o1","amount":7}"#, "0.07 USD for order o1");
        check(
            "order.refunded",
            r#"{"order_id":"o1","refunded_amount":1200,"currency":"jpy"}"#,
            "1200 JPY of order o1",
        );
        check(
            "balance.dispute",
            r#"{"transaction_id":"t","dispute_id":"d","amount":-150,"currency":"usd","presentment_amount":0,
                "presentment_currency":"usd","tax_amount":0,"fee":0}"#,
            "-1.50 USD by dispute d",
        );
        check(
            "subscription.seats_updated",
            r#"{"subscription_id":"s","old_seats":2,"new_seats":5,"proration_behavior":"invoice"}"#,
            "subscription s, 5 seats instead of 2",
        );
    }
}
