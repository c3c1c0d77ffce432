//! Why a line was not billed: closed lists, documented for operators in `docs/reasons.md`.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[doc = $doc])+ #[serde(rename = $code)] $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub const COUNT: usize = Self::ALL.len();

            /// The code that logs, accounts and tests use.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// One sentence for an operator.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start()),+ }
            }

            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.code())
            }
        }
    };
}

reasons! {
    /// Why a line costs nobody anything.
    Ignored {
        /// No rule wants the line.
        NoRule = "no_rule",
        /// The line is empty or holds white space only.
        Empty = "empty",
        /// The rest of a line whose beginning is not Floe's to bill: it stands before the place where `read_from = "end"` began, or its file had ended.
        RestOfLine = "rest_of_line",
        /// A header or comment line of the format: names of columns, a directive.
        Header = "header",
        /// A line that continues a multi-line record, but came too late or stands where no record is open.
        Continuation = "continuation",
        /// A backfill was asked for another time: all events of the line lie before `--since`, or not before `--until`.
        OutOfRange = "out_of_range",
    }
}

reasons! {
    /// Why a datagram was dropped: it could not wait where it was.
    Dropped {
        /// The spool of its source held `spool_max_bytes`.
        SpoolFull = "spool_full",
        /// It was larger than the room for one datagram.
        DatagramTooLarge = "datagram_too_large",
    }
}

reasons! {
    /// Why a line that a rule wants could not be billed.
    Quarantined {
        /// A rule wants the line, but it is not valid JSON.
        InvalidJson = "invalid_json",
        /// A rule wants the line, but it is not of the source's format, or has not its prefix.
        InvalidFormat = "invalid_format",
        /// A rule wants the line, but no container runtime has wrapped it.
        InvalidContainer = "invalid_container",
        /// The line is longer than `max_line_bytes`, or the record has more lines than `max_lines`.
        LineTooLong = "line_too_long",
        /// The last line of a file that is gone, or of a writer that left, has no newline and is not a closed JSON object.
        PartialEof = "partial_eof",
        /// The line came in by a socket or the standard input, and the disk gave back other bytes than were written.
        Damaged = "damaged",
        /// The event's name is missing, empty, or longer than 128 characters.
        BadName = "bad_name",
        /// The customer is missing or empty.
        MissingCustomer = "missing_customer",
        /// The customer is no UUID where one is due, too long, or holds bytes that are not UTF-8.
        BadCustomer = "bad_customer",
        /// The member is too long or holds bytes that are not UTF-8.
        BadMember = "bad_member",
        /// The rule gives a timestamp, but the line has none.
        MissingTimestamp = "missing_timestamp",
        /// The timestamp cannot be read or is out of range.
        BadTimestamp = "bad_timestamp",
        /// The timestamp is further in the future than `max_future`.
        FutureTimestamp = "future_timestamp",
        /// The rule gives an `external_id`, but the line has none.
        MissingExternalId = "missing_external_id",
        /// The `external_id` is too long or holds bytes that are not UTF-8.
        BadExternalId = "bad_external_id",
        /// The `parent_id` is too long or holds bytes that are not UTF-8.
        BadParent = "bad_parent",
        /// A value of `metadata` is of a type that Polar refuses, or an expression failed on it.
        BadMetadata = "bad_metadata",
        /// A text in `metadata` is longer than 500 characters.
        MetadataTooLong = "metadata_too_long",
        /// `_cost` lacks a value or its amount is outside of what Polar takes.
        BadCost = "bad_cost",
        /// `_llm` lacks a value or one of its token counts is no integer.
        BadLlm = "bad_llm",
        /// A condition under `must` does not hold.
        Invariant = "invariant",
        /// A text holds a NUL character, which Polar refuses.
        Nul = "nul",
        /// Polar does not know the customer.
        UnknownCustomer = "unknown_customer",
        /// Polar does not know the member.
        UnknownMember = "unknown_member",
        /// Polar refused this event while it took the others of its batch.
        RefusedByPolar = "refused_by_polar",
        /// The events of the line are together larger than one request may be.
        TooLarge = "too_large",
    }
}

impl Quarantined {
    /// What an operator does about it, in a sentence or two.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::InvalidJson | Self::InvalidFormat => {
                "Mend the writer, or set `format` and `prefix` of the source to how it writes; then retry."
            }
            Self::InvalidContainer => {
                "Set the source's `container` to the runtime that writes the file; then retry."
            }
            Self::LineTooLong => "Raise `max_line_bytes` (or `max_lines`) of the source; then retry.",
            Self::PartialEof => {
                "Nothing bills it: the rest was never written. Export it, and bill by hand what it says."
            }
            Self::Damaged => {
                "Check the disk that holds `state_dir`. Export the line, and bill by hand what it says; its writer \
                 may have it still."
            }
            Self::BadName => "Mend `name` of the rule; then retry.",
            Self::MissingCustomer => {
                "Point the rule's customer at a field that these lines have, or leave them out with `when`; then retry."
            }
            Self::BadCustomer => {
                "Use `external_customer_id` for ids of your own (`customer_id` is Polar's UUID); then retry."
            }
            Self::BadMember => "Mend `external_member_id` of the rule; then retry.",
            Self::MissingTimestamp => {
                "Point `timestamp` at a field that these lines have, or give it a `default`; then retry."
            }
            Self::BadTimestamp => {
                "Say how the time is written: by the pipe `timestamp(format, zone)`, or `epoch_s`; then retry."
            }
            Self::FutureTimestamp => {
                "Set the writer's clock right. Once Polar's clock has passed the time, retry."
            }
            Self::MissingExternalId | Self::BadExternalId => {
                "Mend `external_id` of the rule, or leave it out: then Floe makes one; then retry."
            }
            Self::BadParent => "Mend `parent_id` of the rule; then retry.",
            Self::BadMetadata => "Mend the value that the detail names, or give it a `default`; then retry.",
            Self::MetadataTooLong => "Cut the value that the detail names with `truncate(500)`; then retry.",
            Self::BadCost => {
                "Mend `_cost` of the rule: it needs an amount in cents and a currency; then retry."
            }
            Self::BadLlm => "Mend `_llm` of the rule: its counts are whole numbers; then retry.",
            Self::Invariant => {
                "Find out why the line contradicts itself. If it is to be billed, mend the rule's `must`; then retry."
            }
            Self::Nul => {
                "Leave the value that the detail names out of the rule, or mend the writer; then retry."
            }
            Self::UnknownCustomer => {
                "Make the customer in Polar, or mend the rule's `customer_id`; then retry."
            }
            Self::UnknownMember => "Make the member in Polar, or mend the rule's `member_id`; then retry.",
            Self::RefusedByPolar => {
                "The detail is Polar's word. Mend the rule by it, or ask Polar; then retry."
            }
            Self::TooLarge => "Let the rule send less of the line; then retry.",
        }
    }
}
