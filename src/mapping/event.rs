//! Fields → one event as Polar takes it, written straight into the body.
//!
//! What Polar would refuse is refused here, with a reason: one bad event costs its whole batch there.

use jiff::Timestamp;
use rust_decimal::Decimal;
use uuid::{Uuid, Version};

use super::expression::{self, is_finite};
use super::found::{Bad, Found, Text};
use super::identity::ID_BYTES;
use super::instant;
use super::plain::{self, MOST_PLAIN_DIGITS, is_plain, write_text};
use super::scope::{Field, Scope};
use crate::config::language::{Cost, Customer, EventTemplate, Llm, Value};
use crate::model::Quarantined;
use crate::polar::limits;

/// What a written event has that its line must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    pub timestamp: Option<Timestamp>,
    /// The rule gave the `external_id`.
    pub natural_id: bool,
    /// Values in which something that is not UTF-8 became U+FFFD.
    pub replaced: u32,
}

/// Why there is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: Quarantined,
    /// For an operator: which field, and what is wrong with it.
    pub detail: String,
}

/// Writes the event and a `,`. `position_id` gives an id for a place in `out`. On a refusal `out` holds the event's first part, which the caller takes off.
pub(super) fn write(
    out: &mut Vec<u8>,
    template: &EventTemplate<Field>,
    scope: &Scope<'_>,
    position_id: impl FnOnce(usize) -> [u8; ID_BYTES],
) -> Result<Written, Refusal> {
    let mut event = EventWriter { out, scope, written: Written::default() };
    event.out.extend_from_slice(b"{\"name\":");
    event.name(&template.name)?;
    event.customer(&template.customer)?;
    if let Some(timestamp) = &template.timestamp {
        event.timestamp(timestamp)?;
    }
    match &template.external_id {
        Some(id) => {
            let id = event.required(
                id,
                "external_id",
                Quarantined::MissingExternalId,
                Quarantined::BadExternalId,
            )?;
            event.id(",\"external_id\":", &id, "external_id", Quarantined::BadExternalId)?;
            event.written.natural_id = true;
        }
        None => {
            event.out.extend_from_slice(b",\"external_id\":\"");
            let id = position_id(event.out.len());
            event.out.extend_from_slice(&id);
            event.out.push(b'"');
        }
    }
    if let Some(parent) = &template.parent_id
        && let Some(id) = event.optional(parent, "parent_id", Quarantined::BadParent)?
    {
        event.id(",\"parent_id\":", &id, "parent_id", Quarantined::BadParent)?;
    }
    if let Some(organization) = &template.organization_id {
        let reason = Quarantined::BadCustomer;
        let id = event.required(organization, "organization_id", reason, reason)?;
        event.uuid(",\"organization_id\":", &id, "organization_id", reason)?;
    }
    event.metadata(template)?;
    event.out.extend_from_slice(b"}},");
    Ok(event.written)
}

struct EventWriter<'a, 's> {
    out: &'a mut Vec<u8>,
    scope: &'a Scope<'s>,
    written: Written,
}

impl<'s> EventWriter<'_, 's> {
    fn evaluate<'v>(
        &self,
        value: &'v Value<Field>,
        field: &str,
        reason: Quarantined,
    ) -> Result<Found<'v>, Refusal>
    where
        's: 'v,
    {
        expression::value(value, self.scope).map_err(|bad| refuse(reason, field, &bad))
    }

    /// The text of a field that may be missing; an empty one is.
    fn optional<'v>(
        &self,
        value: &'v Value<Field>,
        field: &str,
        reason: Quarantined,
    ) -> Result<Option<Text<'v>>, Refusal>
    where
        's: 'v,
    {
        let text =
            self.evaluate(value, field, reason)?.into_text().map_err(|bad| refuse(reason, field, &bad))?;
        Ok(text.filter(|text| !text.text.is_empty()))
    }

    fn required<'v>(
        &self,
        value: &'v Value<Field>,
        field: &str,
        missing: Quarantined,
        bad: Quarantined,
    ) -> Result<Text<'v>, Refusal>
    where
        's: 'v,
    {
        self.optional(value, field, bad)?
            .ok_or_else(|| Refusal { reason: missing, detail: format!("{field} is missing or empty") })
    }

    fn plain_text(&mut self, key: &str, value: &Value<Field>, most: usize) -> bool {
        plain::write_plain_text(self.out, key, value, self.scope, most)
    }

    fn text(&mut self, text: &Text<'_>, field: impl std::fmt::Display) -> Result<(), Refusal> {
        self.written.replaced += u32::from(text.replaced);
        if is_plain(&text.text) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.text.as_bytes());
            self.out.push(b'"');
            return Ok(());
        }
        if memchr::memchr(0, text.text.as_bytes()).is_some() {
            let detail = format!("{field} holds a NUL character");
            return Err(Refusal { reason: Quarantined::Nul, detail });
        }
        write_text(self.out, &text.text);
        Ok(())
    }

    fn name(&mut self, value: &Value<Field>) -> Result<(), Refusal> {
        if self.plain_text("", value, limits::NAME_MAX_CHARS) {
            return Ok(());
        }
        let name = self.required(value, "name", Quarantined::BadName, Quarantined::BadName)?;
        if !fits(&name.text, limits::NAME_MAX_CHARS) {
            let detail = format!("name is longer than {} characters", limits::NAME_MAX_CHARS);
            return Err(Refusal { reason: Quarantined::BadName, detail });
        }
        self.text(&name, "name")
    }

    fn customer(&mut self, customer: &Customer<Field>) -> Result<(), Refusal> {
        let (missing, bad, bad_member) =
            (Quarantined::MissingCustomer, Quarantined::BadCustomer, Quarantined::BadMember);
        let member = match customer {
            Customer::External { id, member } => {
                let key = ",\"external_customer_id\":";
                if !self.plain_text(key, id, limits::ID_MAX_BYTES) {
                    let id = self.required(id, "external_customer_id", missing, bad)?;
                    self.id(key, &id, "external_customer_id", bad)?;
                }
                member.as_ref().map(|member| (member, ",\"external_member_id\":", "external_member_id"))
            }
            Customer::Polar { id, member } => {
                let id = self.required(id, "customer_id", missing, bad)?;
                self.uuid(",\"customer_id\":", &id, "customer_id", bad)?;
                member.as_ref().map(|member| (member, ",\"member_id\":", "member_id"))
            }
        };
        let Some((value, key, field)) = member else { return Ok(()) };
        let Some(id) = self.optional(value, field, bad_member)? else { return Ok(()) };
        if matches!(customer, Customer::Polar { .. }) {
            return self.uuid(key, &id, field, bad_member);
        }
        self.id(key, &id, field, bad_member)
    }

    fn id(&mut self, key: &str, id: &Text<'_>, field: &str, reason: Quarantined) -> Result<(), Refusal> {
        if id.replaced {
            return Err(Refusal { reason, detail: format!("{field} holds bytes that are not UTF-8") });
        }
        if id.text.len() > limits::ID_MAX_BYTES {
            let detail = format!("{field} is longer than {} bytes", limits::ID_MAX_BYTES);
            return Err(Refusal { reason, detail });
        }
        self.out.extend_from_slice(key.as_bytes());
        self.text(id, field)
    }

    fn uuid(&mut self, key: &str, id: &Text<'_>, field: &str, reason: Quarantined) -> Result<(), Refusal> {
        let uuid = Uuid::try_parse(&id.text).ok().filter(|uuid| uuid.get_version() == Some(Version::Random));
        let Some(uuid) = uuid else {
            let detail =
                format!("{field} is {:?}, not a UUID of version 4", super::found::shortened(&id.text));
            return Err(Refusal { reason, detail });
        };
        self.out.extend_from_slice(key.as_bytes());
        write_text(self.out, uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        Ok(())
    }

    fn timestamp(&mut self, value: &Value<Field>) -> Result<(), Refusal> {
        let reason = Quarantined::BadTimestamp;
        let bad = |detail: String| Refusal { reason, detail: format!("timestamp {detail}") };
        let plain = plain::plain_text(value, self.scope);
        let found = match plain.and_then(instant::read_rfc3339) {
            Some(instant) => Found::Instant(instant),
            None => self.evaluate(value, "timestamp", reason)?,
        };
        let instant = match found {
            Found::Instant(instant) => instant,
            Found::Text(text) if !text.text.is_empty() => {
                instant::read_rfc3339(&text.text).ok_or_else(|| bad(not_rfc3339(&text.text)))?
            }
            Found::Missing | Found::Text(_) => {
                let detail = "timestamp is missing or empty".to_owned();
                return Err(Refusal { reason: Quarantined::MissingTimestamp, detail });
            }
            number @ (Found::Number(_) | Found::Decimal(_)) => {
                return Err(bad(format!(
                    "is {}: a number needs a unit, such as `| epoch_ms`",
                    number.show()
                )));
            }
            other => return Err(bad(format!("is {}", other.kind()))),
        };
        if !instant::is_sane(instant) {
            return Err(bad(format!("is {instant}, before the year 2000: is its unit right?")));
        }
        self.written.timestamp = Some(instant);
        self.out.extend_from_slice(b",\"timestamp\":\"");
        match plain {
            Some(text) => instant::write_again(self.out, text, instant),
            None => instant::write(self.out, instant),
        }
        self.out.push(b'"');
        Ok(())
    }

    /// Leaves the object open.
    fn metadata(&mut self, template: &EventTemplate<Field>) -> Result<(), Refusal> {
        self.out.extend_from_slice(b",\"metadata\":{");
        let mut first = true;
        for (key, value) in &template.metadata {
            let start = self.out.len();
            self.separate(first);
            write_text(self.out, key);
            self.out.push(b':');
            if self.plain_text("", value, limits::METADATA_STRING_MAX_CHARS)
                || plain::write_plain_number(self.out, "", value, self.scope)
            {
                first = false;
                continue;
            }
            let found = expression::value(value, self.scope)
                .map_err(|bad| refuse(Quarantined::BadMetadata, &format!("metadata.{key}"), &bad))?;
            if found.is_missing_or_empty() {
                self.out.truncate(start);
                continue;
            }
            first = false;
            self.metadata_value(key, found)?;
        }
        if let Some(llm) = &template.llm {
            self.separate(first);
            first = false;
            self.llm(llm)?;
        }
        if let Some(cost) = &template.cost {
            self.separate(first);
            self.cost(cost)?;
        }
        Ok(())
    }

    fn separate(&mut self, first: bool) {
        if !first {
            self.out.push(b',');
        }
    }

    fn metadata_value(&mut self, key: &str, found: Found<'_>) -> Result<(), Refusal> {
        match found {
            Found::Text(text) => {
                if !fits(&text.text, limits::METADATA_STRING_MAX_CHARS) {
                    let most = limits::METADATA_STRING_MAX_CHARS;
                    let detail =
                        format!("metadata.{key} is longer than {most} characters: `| truncate({most})`?");
                    return Err(Refusal { reason: Quarantined::MetadataTooLong, detail });
                }
                self.text(&text, format_args!("metadata.{key}"))?;
            }
            Found::Number(source) => {
                // Only many digits or an exponent can make a number too large.
                let short = source.len() <= MOST_PLAIN_DIGITS && !source.contains(['e', 'E']);
                if !short && !is_finite(&source) {
                    let bad = Bad(format!("is {}, which is too large", super::found::shortened(&source)));
                    return Err(refuse(Quarantined::BadMetadata, &format!("metadata.{key}"), &bad));
                }
                self.out.extend_from_slice(source.as_bytes());
            }
            Found::Decimal(number) => self.number(number),
            Found::Bool(says) => self.out.extend_from_slice(if says { b"true" } else { b"false" }),
            Found::Instant(instant) => {
                self.out.push(b'"');
                instant::write(self.out, instant);
                self.out.push(b'"');
            }
            Found::Missing | Found::Composite(_) => {
                let bad = Bad(format!("is {}: name a field inside it", found.kind()));
                return Err(refuse(Quarantined::BadMetadata, &format!("metadata.{key}"), &bad));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: Decimal) {
        plain::write_number(self.out, number);
    }

    fn llm(&mut self, llm: &Llm<Field>) -> Result<(), Refusal> {
        let reason = Quarantined::BadLlm;
        for (key, field, value) in
            [("\"_llm\":{\"vendor\":", "_llm.vendor", &llm.vendor), (",\"model\":", "_llm.model", &llm.model)]
        {
            if !self.plain_text(key, value, usize::MAX) {
                let text = self.required(value, field, reason, reason)?;
                self.out.extend_from_slice(key.as_bytes());
                self.text(&text, field)?;
            }
        }
        let required = |value| (value, true);
        let cached = llm.cached_input_tokens.as_ref().map(|value| (value, false));
        for (key, field, value) in [
            (",\"input_tokens\":", "_llm.input_tokens", Some(required(&llm.input_tokens))),
            (",\"cached_input_tokens\":", "_llm.cached_input_tokens", cached),
            (",\"output_tokens\":", "_llm.output_tokens", Some(required(&llm.output_tokens))),
            (",\"total_tokens\":", "_llm.total_tokens", Some(required(&llm.total_tokens))),
        ] {
            let Some((value, required)) = value else { continue };
            if plain::write_plain_number(self.out, key, value, self.scope) {
                continue;
            }
            let found = self.evaluate(value, field, reason)?;
            if found.is_missing_or_empty() {
                if required {
                    return Err(Refusal { reason, detail: format!("{field} is missing or empty") });
                }
                continue;
            }
            if let Found::Number(source) = &found
                && source.bytes().all(|byte| byte.is_ascii_digit())
                && source.len() <= MOST_PLAIN_DIGITS
            {
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(source.as_bytes());
                continue;
            }
            let number = found.to_number().map_err(|bad| refuse(reason, field, &bad))?.unwrap_or_default();
            if !number.is_integer() {
                return Err(refuse(reason, field, &Bad(format!("is {number}, not a whole number"))));
            }
            self.out.extend_from_slice(key.as_bytes());
            self.number(number);
        }
        for (key, field, value) in
            [(",\"prompt\":", "_llm.prompt", &llm.prompt), (",\"response\":", "_llm.response", &llm.response)]
        {
            let Some(value) = value else { continue };
            let Some(text) = self.optional(value, field, reason)? else { continue };
            self.out.extend_from_slice(key.as_bytes());
            self.text(&text, field)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn cost(&mut self, cost: &Cost<Field>) -> Result<(), Refusal> {
        let reason = Quarantined::BadCost;
        let found = self.evaluate(&cost.amount, "_cost.amount", reason)?;
        if found.is_missing_or_empty() {
            return Err(Refusal { reason, detail: "_cost.amount is missing or empty".to_owned() });
        }
        let amount =
            found.to_number().map_err(|bad| refuse(reason, "_cost.amount", &bad))?.unwrap_or_default();
        let bad =
            |why: String| refuse(reason, "_cost.amount", &Bad(format!("is {}, {why}", amount.normalize())));
        if amount.scale() > limits::COST_MAX_DECIMALS
            && amount.normalize().scale() > limits::COST_MAX_DECIMALS
        {
            let most = limits::COST_MAX_DECIMALS;
            return Err(bad(format!("which has more than {most} decimals: `| round({most})`?")));
        }
        // Below this bound there are at most five digits before the point.
        if amount.abs() >= limits::COST_AMOUNT_BOUND {
            return Err(bad("which is too large: Polar takes less than 100,000 cents".to_owned()));
        }
        let currency = self.required(&cost.currency, "_cost.currency", reason, reason)?;
        if currency.text != limits::COST_CURRENCY {
            let detail = format!(
                "_cost.currency is {:?}, and Polar takes {:?} only",
                super::found::shortened(&currency.text),
                limits::COST_CURRENCY
            );
            return Err(Refusal { reason, detail });
        }
        self.out.extend_from_slice(b"\"_cost\":{\"amount\":\"");
        self.number(amount);
        self.out.extend_from_slice(b"\",\"currency\":");
        self.text(&currency, "_cost.currency")?;
        self.out.push(b'}');
        Ok(())
    }
}

fn not_rfc3339(text: &str) -> String {
    let shown = super::found::shortened(text);
    match instant::pipe_for_zoneless(text) {
        Some(pipe) => format!("is {shown:?}, without a time zone: say which it is, `| {pipe}`"),
        None => format!("is {shown:?}, which is not RFC 3339 with an offset"),
    }
}

fn refuse(reason: Quarantined, field: &str, bad: &Bad) -> Refusal {
    Refusal { reason, detail: format!("{field} {}", bad.0) }
}

/// Whether `text` has at most `most` characters.
fn fits(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().nth(most).is_none()
}
