//! What applications write: each line with what must become of it, told without Floe's code.

use jiff::{SignedDuration, Timestamp};

use floe::model::Quarantined;

use crate::oracle::{Billing, Expected, Key, Via};
use crate::random::Random;

/// The kinds of lines; a history picks some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Use,
    /// Two rules want it, one of them `also`.
    Audited,
    /// The customer is known to Polar by its own id.
    Seat,
    /// As `Seat`, with a customer that Polar does not know.
    UnknownSeat,
    /// With an id of its own; may be written twice.
    Paid,
    /// Rules want it only after a reload.
    Extra,
    /// A few minutes in the future.
    Early,
    /// Hours in the future.
    FarFuture,
    NoCustomer,
    BadTimestamp,
    Broken,
    /// Not JSON, and no rule's words in it.
    PlainText,
    OtherEvent,
    Blank,
    TooLong,
    TooLongUnwanted,
    /// Bytes that are not UTF-8 in a value that is used.
    NotUtf8,
    NotUtf8Customer,
    /// Polar refuses it, and says which it is.
    PoisonNamed,
    /// Polar refuses the batch that it is in, and does not say why.
    PoisonUnnamed,
    /// Polar answers 500 to each batch that it is in.
    PoisonFailing,
    /// Another line is quoted at its end, and a container's runtime cuts it there.
    Relayed,
}

impl Kind {
    /// With how often they are written, of all that a history may write.
    pub const COMMON: &'static [(Self, u64)] = &[
        (Self::Use, 40),
        (Self::Audited, 6),
        (Self::Seat, 6),
        (Self::UnknownSeat, 2),
        (Self::Paid, 6),
        (Self::Extra, 4),
        (Self::Early, 3),
        (Self::FarFuture, 1),
        (Self::NoCustomer, 2),
        (Self::BadTimestamp, 1),
        (Self::Broken, 3),
        (Self::PlainText, 10),
        (Self::OtherEvent, 15),
        (Self::Blank, 4),
        (Self::TooLong, 2),
        (Self::TooLongUnwanted, 2),
        (Self::NotUtf8, 2),
        (Self::NotUtf8Customer, 1),
        (Self::PoisonNamed, 1),
        (Self::PoisonUnnamed, 1),
        (Self::PoisonFailing, 1),
    ];
}

/// A line over this is over the limit of every source of the simulation.
pub const MAX_LINE_BYTES: u32 = 1024;

/// Customers that Polar knows by its own id end in a digit below this.
pub const KNOWN_CUSTOMERS: u64 = 5;

pub const CUSTOMER_STEM: &str = "0a6e1c52-9c1b-4d4e-8d77-00000000000";

/// Before the line that is quoted.
const RELAYED: &[u8] = b"relayed from another host: ";

/// One line before it is written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// With its line end.
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

/// What a writer's clock and Polar's say.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    pub host: Timestamp,
    pub polar: Timestamp,
    pub max_future: SignedDuration,
}

impl Draft {
    /// The line as a container's runtime writes it: whole, or cut behind what tells it from others.
    pub fn wrapped(self, time: Timestamp, random: &mut Random) -> Self {
        let output = *random.pick(&["stdout", "stderr"]);
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut bytes = Vec::new();
        let mut rest = line;
        let quoted = line.strip_prefix(RELAYED);
        if let Some(quoted) = quoted {
            bytes.extend(format!("{time} {output} P ").bytes());
            bytes.extend(RELAYED);
            bytes.push(b'\n');
            rest = quoted;
        }
        while quoted.is_none() && rest.len() > 80 && random.chance(40) {
            let (piece, after) =
                rest.split_at(if bytes.is_empty() { 60 } else { 1 } + random.place(rest.len() - 70));
            bytes.extend(format!("{time} {output} P ").bytes());
            bytes.extend(piece);
            bytes.push(b'\n');
            rest = after;
        }
        bytes.extend(format!("{time} {output} F ").bytes());
        bytes.extend(rest);
        bytes.push(b'\n');
        Self { bytes, ..self }
    }
}

/// The first line of a log whose writers begin alike.
pub fn boot() -> Draft {
    Draft { bytes: b"{\"event\":\"boot\",\"org\":\"c1\"}\n".to_vec(), expected: Expected::Counted }
}

/// The line number `n` of the world.
pub fn draft(kind: Kind, n: u64, clocks: Clocks, random: &mut Random) -> Draft {
    let at = match kind {
        Kind::Early => plus(clocks.host, random.between(30, 300)),
        Kind::FarFuture => plus(clocks.polar, 6 * 3600),
        _ => clocks.host,
    };
    let mut line = Composer { n, at, clocks, org: format!("c{}", random.below(7)), random };
    let (mut bytes, expected) = line.compose(kind);
    if line.random.chance(10) {
        bytes.push(b'\r');
    }
    bytes.push(b'\n');
    Draft { bytes, expected }
}

struct Composer<'a> {
    n: u64,
    at: Timestamp,
    clocks: Clocks,
    org: String,
    random: &'a mut Random,
}

impl Composer<'_> {
    fn compose(&mut self, kind: Kind) -> (Vec<u8>, Expected) {
        let n = self.n;
        let amount = format!("{}.{:02}", self.random.below(50), self.random.below(100));
        match kind {
            Kind::Use | Kind::Early | Kind::FarFuture => {
                let bytes = self.usage(&self.org, &amount, "");
                let billing = self.billing(Via::End, &self.org, Some(&amount));
                (bytes, self.by_time(vec![billing]))
            }
            Kind::Audited => {
                let bytes = self.usage(&self.org, &amount, ",\"audit\":true");
                let also = Billing { timestamp: None, ..self.billing(Via::Also, &self.org, None) };
                let billings = vec![also, self.billing(Via::End, &self.org, Some(&amount))];
                (bytes, self.by_time(billings))
            }
            Kind::Seat | Kind::UnknownSeat => {
                let known = kind == Kind::Seat;
                let digit = if known { self.random.below(KNOWN_CUSTOMERS) } else { 9 };
                let customer = format!("{CUSTOMER_STEM}{digit}");
                let bytes =
                    format!("{{\"event\":\"seat\",\"n\":{n},\"customer\":\"{customer}\"}}").into_bytes();
                let billing = Billing { timestamp: None, ..self.billing(Via::End, &customer, None) };
                let expected = if known {
                    Expected::Billed(vec![billing])
                } else {
                    Expected::Quarantined(vec![Quarantined::UnknownCustomer])
                };
                (bytes, expected)
            }
            Kind::Paid => {
                // Neighbours may ask for the same thing twice. No two lines are equal: files that begin alike cannot be
                // told apart once the checkpoint is lost.
                let request = n - n % 5;
                let bytes =
                    format!("{{\"event\":\"paid\",\"request\":\"r{request}\",\"org\":\"c2\",\"k\":{n}}}")
                        .into_bytes();
                let key = Key { tag: format!("r{request}"), via: Via::End };
                let billing = Billing { key, customer: "c2".to_owned(), amount: None, timestamp: None };
                (bytes, Expected::Billed(vec![billing]))
            }
            Kind::Extra => {
                let bytes = format!("{{\"event\":\"extra\",\"n\":{n},\"org\":\"c3\"}}").into_bytes();
                let billing = Billing { timestamp: None, ..self.billing(Via::End, "c3", None) };
                (bytes, Expected::BilledIfWanted(vec![billing]))
            }
            Kind::NoCustomer => {
                let bytes =
                    format!("{{\"event\":\"use\",\"n\":{n},\"amount\":\"1\",\"ts\":\"{}\"}}", self.at);
                (bytes.into_bytes(), Expected::Quarantined(vec![Quarantined::MissingCustomer]))
            }
            Kind::BadTimestamp => {
                let bytes = format!(
                    "{{\"event\":\"use\",\"n\":{n},\"org\":\"c1\",\"amount\":\"1\",\"ts\":\"soon\"}}"
                );
                (bytes.into_bytes(), Expected::Quarantined(vec![Quarantined::BadTimestamp]))
            }
            Kind::Broken => {
                let bytes = format!("{{\"event\":\"use\",\"n\":{n},\"org\":\"c1\",").into_bytes();
                (bytes, Expected::Quarantined(vec![Quarantined::InvalidJson]))
            }
            Kind::PlainText => (format!("GET /health 200 {n}").into_bytes(), Expected::Ignored),
            Kind::OtherEvent => {
                (format!("{{\"event\":\"noise\",\"k\":{n},\"org\":\"c1\"}}").into_bytes(), Expected::Ignored)
            }
            Kind::Blank => (b" ".repeat(self.random.place(3)), Expected::Ignored),
            Kind::TooLong => {
                let length = MAX_LINE_BYTES as usize + self.random.place(6000);
                let bytes = self.usage(&self.org, &amount, &format!(",\"pad\":\"{}\"", "x".repeat(length)));
                (bytes, Expected::Quarantined(vec![Quarantined::LineTooLong]))
            }
            Kind::TooLongUnwanted => {
                let length = MAX_LINE_BYTES as usize + self.random.place(6000);
                (format!("{n} {}", "y".repeat(length)).into_bytes(), Expected::Ignored)
            }
            Kind::NotUtf8 => {
                let mut bytes = self.usage(&self.org, &amount, ",\"agent\":\"a?b\"");
                not_utf8(&mut bytes);
                let billing = self.billing(Via::End, &self.org, Some(&amount));
                (bytes, self.by_time(vec![billing]))
            }
            Kind::NotUtf8Customer => {
                let mut bytes = self.usage("c?", &amount, "");
                not_utf8(&mut bytes);
                (bytes, Expected::Quarantined(vec![Quarantined::BadCustomer, Quarantined::FutureTimestamp]))
            }
            Kind::PoisonNamed => self.poison("poison-named", &amount),
            Kind::PoisonUnnamed => self.poison("poison-unnamed", &amount),
            Kind::PoisonFailing => self.poison("poison-failing", &amount),
            Kind::Relayed => {
                let bytes = [RELAYED, &self.usage(&self.org, &amount, "")].concat();
                (bytes, Expected::Quarantined(vec![Quarantined::InvalidJson]))
            }
        }
    }

    fn usage(&self, org: &str, amount: &str, more: &str) -> Vec<u8> {
        let Self { n, at, .. } = self;
        format!(
            "{{\"event\":\"use\",\"n\":{n},\"org\":\"{org}\",\"amount\":\"{amount}\",\"ts\":\"{at}\"{more}}}"
        )
        .into_bytes()
    }

    fn poison(&self, org: &str, amount: &str) -> (Vec<u8>, Expected) {
        let reasons = vec![Quarantined::RefusedByPolar, Quarantined::FutureTimestamp];
        (self.usage(org, amount, ""), Expected::Quarantined(reasons))
    }

    fn billing(&self, via: Via, customer: &str, amount: Option<&str>) -> Billing {
        Billing {
            key: Key { tag: self.n.to_string(), via },
            customer: customer.to_owned(),
            amount: amount.map(|text| text.parse().expect("amounts are numbers")),
            timestamp: Some(self.at),
        }
    }

    /// An event that Polar's clock comes to within `max_future` must be billed. One beyond it may be
    /// quarantined, or billed where it was read late.
    fn by_time(&self, billings: Vec<Billing>) -> Expected {
        let limit = self.clocks.polar.checked_add(self.clocks.max_future).expect("the year is near 2026");
        // A second for the grain of the `Date` header.
        if self.at.as_second() < limit.as_second() {
            Expected::Billed(billings)
        } else {
            Expected::BilledOrFuture(billings)
        }
    }
}

fn not_utf8(bytes: &mut [u8]) {
    let at = bytes.iter().position(|byte| *byte == b'?').expect("the composer left a place");
    bytes[at] = 0xFF;
}

fn plus(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).expect("hours are few seconds");
    time.checked_add(SignedDuration::from_secs(seconds)).expect("the year is near 2026")
}
