//! What `floe check` warns of: a closed list, documented for operators in `docs/warnings.md`.

/// What is allowed and yet probably not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningCode {
    Shadowed,
    Untested,
    NoTimestamp,
    TextNumber,
    Personal,
    ClientControlled,
    SystemName,
    UnreadSource,
    Estimate,
    UnusedAllow,
    PublicAdmin,
    Unmetered,
    NearName,
    NotANumber,
    NotSent,
    OtherType,
    ArchivedMeter,
    CountedAsOne,
    CountedTwice,
    UnknownCustomer,
}

impl WarningCode {
    pub const ALL: &'static [Self] = &[
        Self::Shadowed,
        Self::Untested,
        Self::NoTimestamp,
        Self::TextNumber,
        Self::Personal,
        Self::ClientControlled,
        Self::SystemName,
        Self::UnreadSource,
        Self::Estimate,
        Self::UnusedAllow,
        Self::PublicAdmin,
        Self::Unmetered,
        Self::NearName,
        Self::NotANumber,
        Self::NotSent,
        Self::OtherType,
        Self::ArchivedMeter,
        Self::CountedAsOne,
        Self::CountedTwice,
        Self::UnknownCustomer,
    ];

    /// Those that only `floe check --against-polar` can say.
    pub const OF_METERS: &'static [Self] = &[
        Self::Unmetered,
        Self::NearName,
        Self::NotANumber,
        Self::NotSent,
        Self::OtherType,
        Self::ArchivedMeter,
        Self::CountedAsOne,
        Self::CountedTwice,
        Self::UnknownCustomer,
    ];

    /// Those that are said of a rule, and so may stand in its `allow`.
    pub fn of_rules() -> impl Iterator<Item = Self> {
        let of_others = [Self::UnreadSource, Self::Estimate, Self::UnusedAllow, Self::PublicAdmin];
        Self::ALL.iter().copied().filter(move |code| !of_others.contains(code))
    }

    /// The word that `allow` takes.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Shadowed => "shadowed",
            Self::Untested => "untested",
            Self::NoTimestamp => "no_timestamp",
            Self::TextNumber => "text_number",
            Self::Personal => "personal",
            Self::ClientControlled => "client_controlled",
            Self::SystemName => "system_name",
            Self::UnreadSource => "unread_source",
            Self::Estimate => "estimate",
            Self::UnusedAllow => "unused_allow",
            Self::PublicAdmin => "public_admin",
            Self::Unmetered => "unmetered",
            Self::NearName => "near_name",
            Self::NotANumber => "not_a_number",
            Self::NotSent => "not_sent",
            Self::OtherType => "other_type",
            Self::ArchivedMeter => "archived_meter",
            Self::CountedAsOne => "counted_as_one",
            Self::CountedTwice => "counted_twice",
            Self::UnknownCustomer => "unknown_customer",
        }
    }

    /// One sentence for an operator.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Shadowed => "An earlier rule takes every line that this one wants.",
            Self::Untested => "No test shows what the rule bills.",
            Self::NoTimestamp => "The events have no timestamp: they count from when they arrive at Polar.",
            Self::TextNumber => "A quantity is sent as text: a meter that sums it counts 0.",
            Self::Personal => "A value looks as if it told something of a person.",
            Self::ClientControlled => {
                "A client chooses the value that decides who pays, or what counts once."
            }
            Self::SystemName => "Polar itself makes events with this name.",
            Self::UnreadSource => "No rule reads the source.",
            Self::Estimate => "The logs of this preset are an estimate: lines of them may be missing.",
            Self::UnusedAllow => "A rule allows a warning that it does not cause.",
            Self::PublicAdmin => "The admin endpoint answers whoever can reach the machine.",
            Self::Unmetered => "No meter counts the events of the rule.",
            Self::NearName => "The event is called almost as a meter wants it.",
            Self::NotANumber => "A meter adds up what the rule sends as a text or a truth value.",
            Self::NotSent => "A meter looks at a property that the rule does not send.",
            Self::OtherType => "A meter's filter compares a property with another type than the rule sends.",
            Self::ArchivedMeter => "Only a meter that is archived counts the events.",
            Self::CountedAsOne => "A line stands for several, and the meter counts it as one.",
            Self::CountedTwice => "What a line says is counted twice.",
            Self::UnknownCustomer => "Polar knows no customer with an id that the lines have.",
        }
    }
}
