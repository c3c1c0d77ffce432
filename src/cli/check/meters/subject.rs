//! A rule, what its events look like, and what a meter has to do with them.

use serde_json::{Map, Value};

use super::outline::Outline;
use crate::config::settings::RuleSettings;
use crate::config::{Place, RulePlaces};
use crate::polar::meters::{Meter, Metered, Truth};

/// A rule, and what is known of its events.
#[derive(Debug)]
pub struct Subject<'a> {
    pub rule: &'a RuleSettings,
    pub places: &'a RulePlaces,
    pub outline: Outline,
    pub seen: Vec<Seen>,
}

/// An event that a line made.
#[derive(Debug, Clone)]
pub struct Seen {
    pub name: String,
    /// As Polar would store it.
    pub metadata: Map<String, Value>,
    /// Equal for all events of one line.
    pub line: usize,
    /// `app.log:7`
    pub place: String,
    pub customer: Option<Customer>,
}

/// Whom an event of a log is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Customer {
    External(String),
    Polar(String),
}

/// What a meter has to do with the events of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Its filter takes so many of those that were seen; with none seen, all that the rule makes.
    Takes,
    /// It depends on the line, and no line was seen.
    Perhaps,
    /// It depends on the line, and it takes none of those that were seen.
    NoneSeen,
    No,
}

impl Link {
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Takes | Self::Perhaps)
    }
}

impl Subject<'_> {
    #[must_use]
    pub fn link(&self, meter: &Meter) -> Link {
        match meter.filter.holds(&|clause| self.outline.test(clause)) {
            Truth::No => Link::No,
            Truth::Yes => Link::Takes,
            Truth::Unknown if self.seen.is_empty() => Link::Perhaps,
            Truth::Unknown => match self.taken(meter).next() {
                Some(_) => Link::Takes,
                None => Link::NoneSeen,
            },
        }
    }

    /// The events that were seen and the filter takes, or may take.
    pub fn taken<'s>(&'s self, meter: &'s Meter) -> impl Iterator<Item = &'s Seen> {
        self.seen.iter().filter(|seen| {
            let event = seen.metered();
            meter.filter.holds(&|clause| event.test(clause)) != Truth::No
        })
    }

    /// Where the property stands in the rule, else where the event does.
    pub fn place(&self, property: &str) -> &Place {
        self.places.metadata.get(property).unwrap_or(&self.places.event)
    }

    pub fn id(&self) -> &str {
        &self.rule.id
    }
}

impl Seen {
    pub fn metered(&self) -> Metered<'_> {
        Metered::of_user(&self.name, &self.metadata)
    }
}
