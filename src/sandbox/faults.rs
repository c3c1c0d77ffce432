//! Faults on demand: what goes wrong with how many of the requests.
//!
//! Drawn from a seeded generator, so that the same seed and the same requests give the same history.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One way in which a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// This status, and nothing is stored. A 429 says `Retry-After: 1`.
    Status(u16),
    /// The connection is dropped, and nothing is stored.
    Reset,
    /// The events are stored, and the connection is dropped.
    LostAnswer,
    /// The events are stored, and the connection ends in the middle of the answer.
    HalfAnswer,
    /// No answer ever comes, and nothing is stored.
    Timeout,
    /// The answer takes five seconds longer.
    Slow,
    /// A 200 with a page of HTML, as from a login portal on the way; nothing is stored.
    Html,
    /// The events are stored, and the 200 is no JSON.
    NotJson,
}

/// How long [`FaultKind::Slow`] takes.
pub const SLOW: Duration = Duration::from_secs(5);

/// `500:0.1,reset:0.05,latency:200ms,500@acme`: kinds with the part of the requests they hit, what all answers take,
/// and what each request gets in which a text stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultPlan {
    /// The parts add up to at most 1.
    kinds: Vec<(FaultKind, f64)>,
    /// What a request gets that has this text in it: the fault of an event, not of a moment.
    marked: Vec<(String, u16)>,
    /// Every answer takes this long.
    pub latency: Duration,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> FaultPlan {
        FaultPlan::default()
    }

    /// The status of a request with this body, where a mark stands in it.
    pub fn of_body(&self, body: &[u8]) -> Option<u16> {
        let stands = |mark: &str| body.windows(mark.len()).any(|window| window == mark.as_bytes());
        self.marked.iter().find(|(mark, _)| stands(mark)).map(|(_, status)| *status)
    }

    /// What happens to a request for which `dice` fell, a number from 0 up to 1.
    pub fn draw(&self, dice: f64) -> Option<FaultKind> {
        let mut edge = 0.0;
        self.kinds.iter().find_map(|&(kind, part)| {
            edge += part;
            (dice < edge).then_some(kind)
        })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Status(status) => write!(f, "{status}"),
            FaultKind::Reset => f.write_str("reset"),
            FaultKind::LostAnswer => f.write_str("lost-answer"),
            FaultKind::HalfAnswer => f.write_str("half-answer"),
            FaultKind::Timeout => f.write_str("timeout"),
            FaultKind::Slow => f.write_str("slow"),
            FaultKind::Html => f.write_str("html"),
            FaultKind::NotJson => f.write_str("not-json"),
        }
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultKind, String> {
        const NAMED: [FaultKind; 7] = [
            FaultKind::Reset,
            FaultKind::LostAnswer,
            FaultKind::HalfAnswer,
            FaultKind::Timeout,
            FaultKind::Slow,
            FaultKind::Html,
            FaultKind::NotJson,
        ];
        if let Some(kind) = NAMED.into_iter().find(|kind| kind.to_string() == text) {
            return Ok(kind);
        }
        match text.parse() {
            Ok(status @ 300..=599) => Ok(FaultKind::Status(status)),
            _ => Err(format!(
                "no fault is called {text:?}; there are a status from 300 to 599, reset, lost-answer, half-answer, \
                 timeout, slow, html, not-json and latency"
            )),
        }
    }
}

impl FromStr for FaultPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultPlan, String> {
        let mut plan = FaultPlan::none();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if let Some((status, mark)) = item.split_once('@') {
                plan.marked.push(marked(status, mark)?);
                continue;
            }
            let Some((name, value)) = item.split_once(':') else {
                return Err(format!("{item:?} has no colon; write it like 500:0.1 or latency:200ms"));
            };
            if name == "latency" {
                plan.latency = duration(value)
                    .ok_or_else(|| format!("{value:?} is no time; write it like 200ms or 2s"))?;
                continue;
            }
            let part: f64 = match value.parse() {
                Ok(part) if (0.0..=1.0).contains(&part) => part,
                _ => return Err(format!("{value:?} is no part of the requests; write a number from 0 to 1")),
            };
            plan.kinds.push((name.parse()?, part));
        }
        let sum: f64 = plan.kinds.iter().map(|(_, part)| part).sum();
        if sum > 1.0 + 1e-9 {
            return Err(format!("the parts add up to {sum:.3}, more than all requests"));
        }
        Ok(plan)
    }
}

fn marked(status: &str, mark: &str) -> Result<(String, u16), String> {
    match status.parse() {
        Ok(status @ 300..=599) if !mark.is_empty() => Ok((mark.to_owned(), status)),
        _ => Err(format!(
            "{status:?}@{mark:?} is no fault of an event; write a status from 300 to 599 and a text of the event, like \
             500@acme"
        )),
    }
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().ok().map(Duration::from_millis);
    }
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// SplitMix64: small, and good enough to throw dice.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// From 0 up to, but not, 1.
    pub fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = text.parse::<FaultPlan>().expect_err("the plan is wrong");
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn a_plan_is_a_list_of_parts() {
        let plan: FaultPlan = "500:0.5, reset:0.25,latency:200ms".parse().expect("the plan is right");
        assert_eq!(plan.latency, Duration::from_millis(200));
        assert_eq!(plan.draw(0.0), Some(FaultKind::Status(500)));
        assert_eq!(plan.draw(0.6), Some(FaultKind::Reset));
        assert_eq!(plan.draw(0.8), None);
        assert_eq!("".parse(), Ok(FaultPlan::none()));
    }

    #[test]
    fn an_event_may_have_a_fault_of_its_own() {
        let plan: FaultPlan = "500@acme,413@globex".parse().expect("the plan is right");
        let of_body = |body: &str| plan.of_body(body.as_bytes());
        assert_eq!(of_body("{\"who\":\"globex\"}"), Some(413));
        assert_eq!(of_body("{\"who\":\"globex\"},{\"who\":\"acme\"}"), Some(500));
        assert_eq!((of_body("acm"), plan.draw(0.0)), (None, None));
    }

    #[test]
    fn a_wrong_plan_says_what_is_wrong() {
        check_error("500", "no colon");
        check_error("200@acme", "no fault of an event");
        check_error("500@", "no fault of an event");
        check_error("500:2", "from 0 to 1");
        check_error("explode:0.1", "no fault is called \"explode\"");
        check_error("200:0.1", "no fault is called \"200\"");
        check_error("latency:soon", "no time");
        check_error("500:0.6,reset:0.6", "add up to 1.200");
    }

    #[test]
    fn dice_fall_everywhere_and_the_same_way_for_the_same_seed() {
        let throws = |seed| {
            let mut dice = Dice::new(seed);
            std::array::from_fn::<f64, 1000, _>(|_| dice.throw())
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        let mean = throws(7).iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
