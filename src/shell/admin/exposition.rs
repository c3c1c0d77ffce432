//! The text that Prometheus reads: OpenMetrics, or the older format for those who do not ask for it.
//!
//! A writer of our own, because all numbers are in one snapshot already. A registry of live counters, as
//! `prometheus-client` has it, would be a second place for each of them, and writes one of the two formats.

use std::fmt::{Display, Write as _};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric: all series of one name.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// As queries name it. That of a counter ends with `_total`.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// One sentence for an operator.
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    OpenMetrics,
    /// Text format 0.0.4.
    Text,
}

impl Syntax {
    /// What a client asks for with its `Accept` header.
    #[must_use]
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text, family by family.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    syntax: Syntax,
    family: Option<Family>,
}

impl Exposition {
    #[must_use]
    pub fn new(syntax: Syntax) -> Self {
        Self { text: String::new(), syntax, family: None }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, family: Family) {
        let name = match (self.syntax, family.kind) {
            (Syntax::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
            _ => family.name,
        };
        let (help, kind) = (escaped(family.help), family.kind.word());
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.family = Some(family);
    }

    /// A sample of the family that was begun last, with the values of its labels.
    pub fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.write("", labels, None, value);
    }

    /// A family with one sample.
    pub fn one(&mut self, family: Family, value: impl Display) {
        self.family(family);
        self.sample(&[], value);
    }

    /// A histogram of seconds. `buckets`: upper bounds, each with what is within it and not within the one before.
    pub fn histogram(&mut self, buckets: impl Iterator<Item = (f64, u64)>, count: u64, sum: f64) {
        let mut within = 0;
        for (bound, more) in buckets {
            within += more;
            self.write("_bucket", &[], Some(&format!("{bound:?}")), within);
        }
        self.write("_bucket", &[], Some("+Inf"), count);
        self.write("_sum", &[], None, sum);
        self.write("_count", &[], None, count);
    }

    fn write(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: impl Display) {
        let family = self.family.expect("a family is begun before its samples");
        assert_eq!(labels.len(), family.labels.len(), "{} has its labels", family.name);
        self.text.push_str(family.name);
        self.text.push_str(suffix);
        let pairs =
            family.labels.iter().copied().zip(labels.iter().copied()).chain(bound.map(|bound| ("le", bound)));
        let mut opened = '{';
        for (name, value) in pairs {
            let _ = write!(self.text, "{opened}{name}=\"{}\"", escaped(value));
            opened = ',';
        }
        if opened == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    #[must_use]
    pub fn finish(mut self) -> String {
        if self.syntax == Syntax::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Family =
        Family { name: "floe_lines_total", kind: Kind::Counter, labels: &["source"], help: "Lines." };
    const TOOK: Family =
        Family { name: "floe_took_seconds", kind: Kind::Histogram, labels: &[], help: "How long." };

    fn text(syntax: Syntax) -> String {
        let mut out = Exposition::new(syntax);
        out.family(LINES);
        out.sample(&["a\"b\\c\nd"], 7);
        out.family(TOOK);
        out.histogram([(0.5, 2), (1.0, 1)].into_iter(), 4, 3.25);
        out.finish()
    }

    #[test]
    fn both_formats_are_as_their_readers_want_them() {
        let samples = "floe_lines_total{source=\"a\\\"b\\\\c\\nd\"} 7\n";
        let took = "# HELP floe_took_seconds How long.\n# TYPE floe_took_seconds histogram\n\
                    floe_took_seconds_bucket{le=\"0.5\"} 2\nfloe_took_seconds_bucket{le=\"1.0\"} 3\n\
                    floe_took_seconds_bucket{le=\"+Inf\"} 4\nfloe_took_seconds_sum 3.25\nfloe_took_seconds_count 4\n";
        let old = format!("# HELP floe_lines_total Lines.\n# TYPE floe_lines_total counter\n{samples}{took}");
        let new = format!("# HELP floe_lines Lines.\n# TYPE floe_lines counter\n{samples}{took}# EOF\n");
        assert_eq!(text(Syntax::Text), old);
        assert_eq!(text(Syntax::OpenMetrics), new);
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        for (accept, expected) in [
            (None, Syntax::Text),
            (Some("*/*"), Syntax::Text),
            (Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Syntax::OpenMetrics),
        ] {
            assert_eq!(Syntax::wanted(accept), expected, "{accept:?}");
        }
    }
}
