//! Most events are one text with gaps, and most gaps take what the line has, as it stands there.
//!
//! A rule's template is made a stencil once. It writes the event of a line whose values are plain: few copies, and no
//! expression to evaluate. What it does not know to be plain it leaves to `event`, which writes the same and has the
//! last word: a property below compares them. So a stencil need not be complete, only right.

use rust_decimal::Decimal;

use super::event::{self, Written};
use super::found::{read_decimal, read_short};
use super::identity::ID_BYTES;
use super::instant;
use super::plain::{self, MOST_PLAIN_DIGITS, Shape, is_plain, shape_of};
use super::scope::{Field, Scope};
use super::slots::Written as As;
use crate::config::language::{Argument, Customer, EventTemplate, Literal, Llm, Pipe, Value};
use crate::polar::limits;

/// An event with gaps.
#[derive(Debug)]
pub(super) struct Stencil {
    gaps: Vec<Gap>,
    /// What stands behind the last gap.
    end: Vec<u8>,
    natural_id: bool,
}

#[derive(Debug)]
struct Gap {
    /// What stands before it in every event.
    before: Vec<u8>,
    /// Written before the value. Where the field is missing it is left out with it.
    key: Option<Vec<u8>>,
    slot: u16,
    fill: Fill,
}

/// What may stand in a gap.
#[derive(Debug)]
enum Fill {
    /// The id of the line's place.
    Id,
    /// A text of at most so many bytes, or what is written as one.
    Text { most: usize },
    /// A value of metadata.
    Any,
    /// A whole number that is not negative.
    Whole,
    /// RFC 3339.
    Time,
    /// A number that is computed.
    Number(Vec<Step>),
    /// The same, of `_cost`.
    Cost(Vec<Step>),
}

/// What is done with a number.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It must be whole.
    Int,
    Mul(Short),
    /// It must have no more decimals.
    Round(u32),
}

/// A number of few digits that is not negative: `value` × 10^-`scale`, without needless zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    value: u64,
    scale: u32,
}

/// The template's shape is one that only `event` knows.
struct Other;

impl Stencil {
    /// `None`, where the template has something that a stencil never writes.
    pub fn new(template: &EventTemplate<Field>) -> Option<Self> {
        let mut maker = Maker { gaps: Vec::new(), text: Vec::new() };
        maker.event(template).ok()?;
        Some(Self { gaps: maker.gaps, end: maker.text, natural_id: template.external_id.is_some() })
    }

    /// Writes the event and a `,`. On `None` `out` is as it was, and nothing is known of the event.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        scope: &Scope<'_>,
        position_id: impl FnOnce(usize) -> [u8; ID_BYTES],
    ) -> Option<Written> {
        if !scope.line.replaced.is_empty() {
            return None;
        }
        let start = out.len();
        let mut written = Written { natural_id: self.natural_id, ..Written::default() };
        let mut id_at = None;
        for gap in &self.gaps {
            if gap.write(out, scope, &mut written, &mut id_at).is_none() {
                out.truncate(start);
                return None;
            }
        }
        out.extend_from_slice(&self.end);
        // Each key of metadata is written with a comma behind its value.
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.extend_from_slice(b"}},");
        if let Some(at) = id_at {
            out[at..at + ID_BYTES].copy_from_slice(&position_id(at));
        }
        Some(written)
    }
}

impl Gap {
    fn write(
        &self,
        out: &mut Vec<u8>,
        scope: &Scope<'_>,
        written: &mut Written,
        id_at: &mut Option<usize>,
    ) -> Option<()> {
        out.extend_from_slice(&self.before);
        if let Fill::Id = self.fill {
            *id_at = Some(out.len());
            out.extend_from_slice(&[b'-'; ID_BYTES]);
            return Some(());
        }
        let Some((raw, kind)) = scope.line.slots.source(scope.line.text, self.slot) else {
            return self.key.is_some().then_some(());
        };
        out.extend_from_slice(self.key.as_deref().unwrap_or_default());
        match &self.fill {
            Fill::Id => {}
            Fill::Text { most } => text(out, raw, kind, *most)?,
            Fill::Any => match kind {
                As::Json => out.extend_from_slice(json_value(raw)?),
                As::Number => out.extend_from_slice(whole(raw, kind)?),
                _ => text(out, raw, kind, limits::METADATA_STRING_MAX_CHARS)?,
            },
            Fill::Whole => out.extend_from_slice(whole(raw, kind)?),
            Fill::Time => {
                let text = bare(raw, kind)?;
                let instant = instant::read_rfc3339(text).filter(|instant| instant::is_sane(*instant))?;
                written.timestamp = Some(instant);
                instant::write_again(out, text, instant);
            }
            Fill::Number(steps) => Short::computed(raw, kind, steps)?.write(out),
            Fill::Cost(steps) => Short::computed(raw, kind, steps).filter(Short::is_cost)?.write(out),
        }
        if self.key.is_some() {
            out.push(b',');
        }
        Some(())
    }
}

/// A text that needs no escape, without its quotes.
fn bare(raw: &str, kind: As) -> Option<&str> {
    match kind {
        As::JsonText => Some(&raw[1..raw.len() - 1]),
        // Without a backslash there is no escape in it.
        As::Plain | As::Escaped if raw != "-" && is_plain(raw) => Some(raw),
        _ => None,
    }
}

fn text(out: &mut Vec<u8>, raw: &str, kind: As, most: usize) -> Option<()> {
    if let As::JsonText = kind {
        if raw.len() == 2 || raw.len() - 2 > most {
            return None;
        }
        out.extend_from_slice(raw.as_bytes());
        return Some(());
    }
    let text = match kind {
        As::Json | As::Number => whole(raw, kind)?,
        _ => bare(raw, kind)?.as_bytes(),
    };
    if text.is_empty() || text.len() > most {
        return None;
    }
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
    Some(())
}

/// The digits of a whole number that are written as they stand.
fn whole(raw: &str, kind: As) -> Option<&[u8]> {
    let digits = raw.as_bytes();
    let is_whole =
        digits.len() <= MOST_PLAIN_DIGITS && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_short = match kind {
        As::Json => true,
        // JSON has no zeros before a number.
        As::Number | As::Plain => digits.len() == 1 || digits.first() != Some(&b'0'),
        _ => false,
    };
    (is_whole && is_short).then_some(digits)
}

/// A number of few digits, `true` or `false`.
fn json_value(raw: &str) -> Option<&[u8]> {
    let bytes = raw.as_bytes();
    match bytes.first()? {
        b't' | b'f' => Some(bytes),
        b'-' | b'0'..=b'9' => {
            let is_short =
                bytes.len() <= MOST_PLAIN_DIGITS && !bytes.iter().any(|byte| matches!(byte, b'e' | b'E'));
            is_short.then_some(bytes)
        }
        _ => None,
    }
}

impl Short {
    fn of(number: Decimal) -> Option<Self> {
        let number = number.normalize();
        let value = u64::try_from(number.mantissa()).ok()?;
        Some(Self { value, scale: number.scale() })
    }

    fn computed(raw: &str, kind: As, steps: &[Step]) -> Option<Self> {
        let text = match kind {
            As::Json | As::Number => raw,
            _ => bare(raw, kind)?,
        };
        let (value, scale) = read_short(text)?;
        let first = Self { value: u64::try_from(value).ok()?, scale };
        steps.iter().try_fold(first, |number, step| number.step(*step))
    }

    fn step(self, step: Step) -> Option<Self> {
        match step {
            Step::Int => (self.scale == 0).then_some(self),
            Step::Round(places) => (self.scale <= places).then_some(self),
            Step::Mul(by) => {
                // Beyond 18 digits, or 18 decimals, `event` knows what fits.
                let value = self.value.checked_mul(by.value).filter(|value| *value < 10_u64.pow(18))?;
                let scale = self.scale + by.scale;
                (scale <= 18).then_some(Self { value, scale }.normalized())
            }
        }
    }

    fn normalized(mut self) -> Self {
        while self.scale > 0 && self.value.is_multiple_of(10) {
            self.value /= 10;
            self.scale -= 1;
        }
        self
    }

    fn is_cost(&self) -> bool {
        const BOUND: i128 = limits::COST_AMOUNT_BOUND.mantissa();
        self.scale <= limits::COST_MAX_DECIMALS
            && i128::from(self.value) * 10_i128.pow(limits::COST_MAX_DECIMALS - self.scale) < BOUND
    }

    fn write(self, out: &mut Vec<u8>) {
        plain::write_digits(out, self.value, self.scale as usize);
    }
}

/// Makes the gaps, and the texts between them.
struct Maker {
    gaps: Vec<Gap>,
    /// Behind the last gap.
    text: Vec<u8>,
}

impl Maker {
    fn say(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn gap(&mut self, key: Option<Vec<u8>>, slot: u16, fill: Fill) {
        let before = std::mem::take(&mut self.text);
        self.gaps.push(Gap { before, key, slot, fill });
    }

    fn event(&mut self, template: &EventTemplate<Field>) -> Result<(), Other> {
        if template.parent_id.is_some() || template.organization_id.is_some() {
            return Err(Other);
        }
        self.say("{\"name\":");
        self.required(&template.name, limits::NAME_MAX_CHARS)?;
        let Customer::External { id, member: None } = &template.customer else { return Err(Other) };
        self.say(",\"external_customer_id\":");
        self.required(id, limits::ID_MAX_BYTES)?;
        if let Some(timestamp) = &template.timestamp {
            self.say(",\"timestamp\":\"");
            let (slot, []) = field_of(timestamp)? else { return Err(Other) };
            self.gap(None, slot, Fill::Time);
            self.say("\"");
        }
        self.say(",\"external_id\":");
        match &template.external_id {
            Some(id) => self.required(id, limits::ID_MAX_BYTES)?,
            None => {
                self.say("\"");
                self.gap(None, 0, Fill::Id);
                self.say("\"");
            }
        }
        self.say(",\"metadata\":{");
        for (key, value) in &template.metadata {
            self.metadata(key, value)?;
        }
        if let Some(llm) = &template.llm {
            self.llm(llm)?;
        }
        if let Some(cost) = &template.cost {
            if constant_of(&cost.currency) != Some(limits::COST_CURRENCY) {
                return Err(Other);
            }
            self.say("\"_cost\":{\"amount\":\"");
            let (slot, pipes) = field_of(&cost.amount)?;
            self.gap(None, slot, Fill::Cost(steps_of(pipes)?));
            self.say("\",\"currency\":\"");
            self.say(limits::COST_CURRENCY);
            self.say("\"},");
        }
        Ok(())
    }

    /// A text that must be there.
    fn required(&mut self, value: &Value<Field>, most: usize) -> Result<(), Other> {
        if let Some(text) = constant_of(value) {
            return self.constant(text, most);
        }
        match field_of(value)? {
            (slot, []) => self.gap(None, slot, Fill::Text { most }),
            _ => return Err(Other),
        }
        Ok(())
    }

    fn constant(&mut self, text: &str, most: usize) -> Result<(), Other> {
        if text.is_empty() || text.len() > most || !is_plain(text) {
            return Err(Other);
        }
        plain::write_text(&mut self.text, text);
        Ok(())
    }

    fn metadata(&mut self, key: &str, value: &Value<Field>) -> Result<(), Other> {
        let mut written_key = Vec::new();
        plain::write_text(&mut written_key, key);
        written_key.push(b':');
        if let Some(text) = constant_of(value) {
            self.text.append(&mut written_key);
            self.constant(text, limits::METADATA_STRING_MAX_CHARS)?;
            self.say(",");
            return Ok(());
        }
        if let Value::Literal(literal) = value {
            self.text.append(&mut written_key);
            match literal {
                Literal::Bool(says) => self.say(if *says { "true," } else { "false," }),
                Literal::Number(number) => {
                    plain::write_number(&mut self.text, *number);
                    self.say(",");
                }
                Literal::Text(_) => return Err(Other),
            }
            return Ok(());
        }
        let (slot, fill) = match field_of(value)? {
            (slot, []) => (slot, Fill::Any),
            (slot, [Pipe::Int]) => (slot, Fill::Whole),
            (slot, pipes) => (slot, Fill::Number(steps_of(pipes)?)),
        };
        self.gap(Some(written_key), slot, fill);
        Ok(())
    }

    fn llm(&mut self, llm: &Llm<Field>) -> Result<(), Other> {
        if llm.cached_input_tokens.is_some() || llm.prompt.is_some() || llm.response.is_some() {
            return Err(Other);
        }
        self.say("\"_llm\":{\"vendor\":");
        self.required(&llm.vendor, usize::MAX)?;
        self.say(",\"model\":");
        self.required(&llm.model, usize::MAX)?;
        for (key, value) in [
            (",\"input_tokens\":", &llm.input_tokens),
            (",\"output_tokens\":", &llm.output_tokens),
            (",\"total_tokens\":", &llm.total_tokens),
        ] {
            self.say(key);
            match field_of(value)? {
                (slot, [] | [Pipe::Int]) => self.gap(None, slot, Fill::Whole),
                _ => return Err(Other),
            }
        }
        self.say("},");
        Ok(())
    }
}

fn constant_of(value: &Value<Field>) -> Option<&str> {
    match shape_of(value) {
        Shape::Constant(text) => Some(text),
        Shape::Field(..) | Shape::Other => None,
    }
}

/// The field of the line that a value is, and what is made of it.
fn field_of(value: &Value<Field>) -> Result<(u16, &[Pipe<Field>]), Other> {
    match shape_of(value) {
        Shape::Field(Field::Line(slot), pipes) => Ok((*slot, pipes)),
        _ => Err(Other),
    }
}

/// Of pipes that compute with a number.
fn steps_of(pipes: &[Pipe<Field>]) -> Result<Vec<Step>, Other> {
    // What is a number is a decimal already.
    let steps = pipes.iter().filter(|pipe| !matches!(pipe, Pipe::Decimal)).map(|pipe| match pipe {
        Pipe::Int => Ok(Step::Int),
        Pipe::Round(places) => Ok(Step::Round(*places)),
        Pipe::Mul(Argument::Literal(by)) => {
            let by = match by {
                Literal::Number(number) => Some(*number),
                Literal::Text(text) => read_decimal(text),
                Literal::Bool(_) => None,
            };
            by.and_then(Short::of).map(Step::Mul).ok_or(Other)
        }
        _ => Err(Other),
    });
    steps.collect()
}

/// Writes the event by the rule's stencil where that can, else by its template.
pub(super) fn write(
    out: &mut Vec<u8>,
    stencil: Option<&Stencil>,
    template: &EventTemplate<Field>,
    scope: &Scope<'_>,
    mut position_id: impl FnMut(usize) -> [u8; ID_BYTES],
) -> Result<Written, event::Refusal> {
    if let Some(written) = stencil.and_then(|stencil| stencil.write(out, scope, &mut position_id)) {
        return Ok(written);
    }
    event::write(out, template, scope, position_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::settings::Captures;
    use crate::mapping::formats::delimited::Header;
    use crate::mapping::rules::Rules;
    use crate::mapping::scope::Record;
    use crate::mapping::slots::Slots;

    /// Values as an application would log them, and as it never should.
    const VALUES: &[&str] = &[
        "\"acme\"",
        "\"\"",
        "\"-\"",
        "\"a b\"",
        "\"é\"",
        "\"\\u0041\\n\"",
        "\"\\u0000\"",
        "\"2026-11-20T10:15:32.120Z\"",
        "\"2026-11-20T12:15:32+02:00\"",
        "\"1970-01-01T00:00:00Z\"",
        "\"12\"",
        "\"0.000225\"",
        "0",
        "7",
        "-7",
        "-0",
        "1.50",
        "0.000225",
        "0.00022500000000000002",
        "99999.99",
        "999.999999999999",
        "1e3",
        "1E400",
        "123456789012345678",
        "1234567890123456789",
        "true",
        "false",
        "null",
        "{\"x\":1}",
        "[1]",
    ];

    const EVENTS: &[&str] = &[
        "external_customer_id = \"{a}\"",
        "external_customer_id = \"acme\"\ntimestamp = \"{a}\"\nmetadata.n = 1.50\nmetadata.t = \"x\"\nmetadata.yes = true",
        "external_customer_id = \"acme\"\nexternal_id = \"{a}\"\nmetadata.b = \"{b}\"\nmetadata.c = \"{c}\"",
        "external_customer_id = \"{a}\"\nmetadata.b = \"{b}\"\nmetadata.c = \"{c | int}\"\nmetadata.d = \"{d | decimal | mul('100') | round(4)}\"",
        "external_customer_id = \"acme\"\nmetadata._cost = { amount = \"{a | decimal | mul('100') | round(12)}\", currency = \"usd\" }",
        "external_customer_id = \"acme\"\nmetadata.c = \"{c | int | mul(1000)}\"\nmetadata._cost = { amount = \"{a}\", currency = \"usd\" }",
        "external_customer_id = \"acme\"\nmetadata._llm = { vendor = \"openai\", model = \"{a}\", input_tokens = \"{b | int}\", output_tokens = \"{c}\", total_tokens = \"{d}\" }",
    ];

    fn rules_of(format: &str, event: &str) -> Rules {
        let settings = Settings::from_toml(&format!(
            "version = 1\nstate_dir = \"/nowhere\"\n[[sources]]\nid = \"app\"\ninclude = [\"/logs/*.log\"]\n\
             format = \"{format}\"\n[[rules]]\nid = \"use\"\n[rules.event]\nname = \"use\"\n{event}\n",
        ));
        Rules::compile(&settings.map_err(|faults| faults.render(false)).unwrap())
    }

    /// Whether the stencil wrote the event. What it writes must be what `event` writes.
    #[track_caller]
    fn check(rules: &Rules, line: &str) -> bool {
        let source = &rules.sources[0];
        let rule = &source.rules[0];
        let stencil = rule.stencil.as_ref().expect("these events are plain");
        let mut slots = Slots::default();
        source.reader.read(line, &Header::default(), &mut slots).unwrap();
        let record = Record { text: line, slots: &slots, origin: 0, replaced: &[] };
        let scope =
            Scope { line: record, item: None, captures: &Captures::new(), container: None, source: "app" };
        let id = |place: usize| std::array::from_fn(|at| b'a' + ((place + at) % 26) as u8);
        let mut quick = b"before,".to_vec();
        let mut thorough = quick.clone();
        let Some(written) = stencil.write(&mut quick, &scope, id) else {
            assert_eq!(quick, b"before,", "{line}");
            return false;
        };
        let wanted = event::write(&mut thorough, &rule.event, &scope, id);
        assert_eq!(wanted.as_ref(), Ok(&written), "{line}");
        assert_eq!(String::from_utf8(quick).unwrap(), String::from_utf8(thorough).unwrap(), "{line}");
        true
    }

    #[test]
    fn a_stencil_writes_what_the_template_says_or_nothing() {
        for event in EVENTS {
            let (json, logfmt) = (rules_of("json", event), rules_of("logfmt", event));
            let mut written = [0, 0];
            for (at, (a, b)) in VALUES.iter().flat_map(|a| VALUES.iter().map(move |b| (a, b))).enumerate() {
                for (c, d) in
                    VALUES.iter().zip(VALUES.iter().cycle().skip((at + at / VALUES.len()) % VALUES.len()))
                {
                    let line = format!("{{\"a\":{a},\"b\":{b},\"c\":{c},\"d\":{d}}}");
                    written[0] += u32::from(check(&json, &line));
                    let line = format!("a={a} b={b} c={c} d={d}");
                    written[1] += u32::from(check(&logfmt, &line));
                }
            }
            assert!(written.iter().all(|count| *count > 0), "{written:?} {event}");
        }
    }

    #[test]
    fn a_field_that_is_missing_is_left_out_with_its_key() {
        let rules = rules_of("json", EVENTS[2]);
        for line in [
            "{\"a\":\"x\"}",
            "{\"a\":\"x\",\"c\":1}",
            "{\"a\":\"x\",\"b\":1}",
            "{\"c\":1,\"b\":2,\"a\":\"x\"}",
        ] {
            assert!(check(&rules, line), "{line}");
        }
        assert!(!check(&rules, "{\"b\":1}"), "an id must be there");
    }

    #[test]
    fn what_a_stencil_never_writes_has_none() {
        for event in [
            "customer_id = \"{a}\"",
            "external_customer_id = \"{a | lower}\"",
            "external_customer_id = \"x{a}\"",
            "external_customer_id = \"{a}\"\nparent_id = \"{b}\"",
            "external_customer_id = \"{a}\"\nmetadata.b = \"{b | default(1)}\"",
            "external_customer_id = \"{a}\"\nmetadata.b = \"{b | mul(c)}\"",
        ] {
            assert!(rules_of("json", event).sources[0].rules[0].stencil.is_none(), "{event}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_values_are_a_stencil_is_right(
            event in 0..EVENTS.len(),
            values in proptest::collection::vec(
                "\"[ -~é]{0,6}\"|-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,14})?(e[0-9])?|true|null|\"20[0-9]{2}-1[0-2]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+]0[0-9]:00)\"",
                4,
            ),
        ) {
            let line = format!("{{\"a\":{},\"b\":{},\"c\":{},\"d\":{}}}", values[0], values[1], values[2], values[3]);
            proptest::prop_assume!(serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok());
            check(&rules_of("json", EVENTS[event]), &line);
        }
    }
}
