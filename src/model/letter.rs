//! A letter: one quarantined line in the quarantine's files, a JSON object on a line of its own.
//!
//! It holds what it takes to map the line again under the very same ids: whose stream it is, where it stands there,
//! and its bytes. What an earlier release wrote lacks some of that and is read all the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::{Generation, Offset, Print, short_print};
use super::reason::Quarantined;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Letter<'a> {
    /// RFC 3339; whoever writes the file adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_at: Option<Cow<'a, str>>,
    pub reason: Quarantined,
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Where the file stood then.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    pub offset: Offset,
    /// Of the line as it stands in the file, its line end included.
    pub length: u64,
    /// 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// `@path.name` values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// The line before it that names the columns, where its format has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
    /// Set where the text is not all of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_bytes_kept: Option<u64>,
    /// 16 hex digits: [`short_print`] of the line's bytes, where they are known and not all here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_print: Option<Cow<'a, str>>,
    /// The line without its line end; of a record of several lines all of them, as they stand in the file. What is
    /// not UTF-8 is U+FFFD here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    /// The same in base64, where the text is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Cow<'a, str>>,
    /// What Polar refused, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Box<RawValue>>,
}

impl Letter<'_> {
    /// The letter as a line of the file.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("plain records are always JSON");
        line.push(b'\n');
        line
    }

    #[must_use]
    pub fn id(&self) -> LetterId {
        let mut hasher = blake3::Hasher::new();
        let name = self.print.as_ref().unwrap_or(&self.path);
        for text in [&self.source, name] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&self.ordinal.unwrap_or(0).to_le_bytes());
        hasher.update(&self.offset.0.to_le_bytes());
        let first = hasher.finalize().as_bytes()[..8].try_into().expect("a hash has 32 bytes");
        LetterId(u64::from_be_bytes(first) >> 4)
    }

    /// Whose line it is; `None` in letters of before this was written.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        Some(Generation { print: Print::from_hex(self.print.as_deref()?)?, ordinal: self.ordinal? })
    }

    /// What is kept of the line: its bytes, without the line end.
    #[must_use]
    pub fn kept(&self) -> Option<Cow<'_, [u8]>> {
        match (&self.bytes, &self.text) {
            (Some(bytes), _) => BASE64.decode(bytes.as_bytes()).ok().map(Cow::Owned),
            (None, Some(text)) => Some(Cow::Borrowed(text.as_bytes())),
            (None, None) => None,
        }
    }

    /// All bytes of the line, where they are kept.
    #[must_use]
    pub fn whole(&self) -> Option<Cow<'_, [u8]>> {
        // A letter of before has U+FFFD in the place of bytes, and nothing tells where the line had it itself.
        let is_exact = self.bytes.is_some() || !self.text.as_ref()?.contains(char::REPLACEMENT_CHARACTER);
        let is_known = self.text_bytes_kept.is_none() && (is_exact || self.print.is_some());
        is_known.then(|| self.kept())?
    }

    /// Keeps these bytes of the line.
    pub fn keep(&mut self, kept: &[u8]) {
        let text = String::from_utf8_lossy(kept);
        self.bytes = matches!(text, Cow::Owned(_)).then(|| BASE64.encode(kept).into());
        self.text = Some(text.into_owned().into());
    }

    /// Forgets the line's bytes, but not how to know them again.
    pub fn forget_text(&mut self) {
        if let Some(whole) = self.whole() {
            self.text_print = Some(text_print(&whole).into());
        }
        self.text = None;
        self.bytes = None;
        self.text_bytes_kept = Some(0);
    }
}

/// What a line's bytes are known again by.
#[must_use]
pub fn text_print(record: &[u8]) -> String {
    format!("{:016x}", short_print(record))
}

/// The short name of a letter: the same for the same line, whatever is wrong with it. 60 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(u64);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID_CHARS: u32 = 12;

impl fmt::Display for LetterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..ID_CHARS)
            .map(|at| char::from(ALPHABET[(self.0 >> (5 * (ID_CHARS - 1 - at)) & 31) as usize]))
            .collect();
        // Padded where a column is asked for.
        out.pad(&text)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte.to_ascii_lowercase());
        let digits: Option<Vec<usize>> = text.bytes().map(digit).collect();
        match digits {
            Some(digits) if digits.len() == ID_CHARS as usize => {
                Ok(Self(digits.iter().fold(0, |id, digit| id << 5 | *digit as u64)))
            }
            _ => Err(format!("{text:?} is no id of a quarantined line: `floe quarantine show` says them")),
        }
    }
}

impl Serialize for LetterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LetterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter<'static> {
        let line = r#"{"reason":"missing_customer","source":"app","path":"/a","offset":7,"length":9,"detail":"why"}"#;
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn an_id_is_the_same_for_the_same_line_and_is_read_back() {
        let print: Cow<'_, str> = "07".repeat(16).into();
        let here = Letter { print: Some(print), ordinal: Some(0), ..letter() };
        let id = here.id();
        assert_eq!(id.to_string().len(), 12);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert!("abc".parse::<LetterId>().unwrap_err().contains("\"abc\" is no id"));
        let renamed = Letter { path: "/b".into(), reason: Quarantined::BadCost, ..here.clone() };
        assert_eq!(renamed.id(), id, "a rotated file and another reason make no other line");
        for other in [
            Letter { offset: Offset(8), ..here.clone() },
            Letter { ordinal: Some(1), ..here.clone() },
            Letter { source: "b".into(), ..here.clone() },
            Letter { print: Some("08".repeat(16).into()), ..here.clone() },
        ] {
            assert_ne!(other.id(), id);
        }
        assert_ne!(
            letter().id(),
            Letter { path: "/b".into(), ..letter() }.id(),
            "of before prints were kept"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_they_are() {
        for (kept, has_bytes) in [(&b"plain"[..], false), (b"caf\xe9", true), ("\u{fffd}".as_bytes(), false)]
        {
            let mut letter = Letter { print: Some("07".repeat(16).into()), ..letter() };
            letter.keep(kept);
            let line = letter.to_line();
            let read: Letter<'_> = serde_json::from_slice(&line).unwrap();
            assert_eq!(read.bytes.is_some(), has_bytes);
            assert_eq!(read.whole().as_deref(), Some(kept));
            assert_eq!(read.to_line(), line);
        }
    }

    #[test]
    fn a_text_that_is_cut_is_not_the_whole_line() {
        let mut cut = letter();
        cut.keep(b"abc");
        assert_eq!(cut.whole().as_deref(), Some(&b"abc"[..]));
        cut.text_bytes_kept = Some(3);
        assert_eq!((cut.whole(), cut.kept().as_deref()), (None, Some(&b"abc"[..])));
        let mut lossy = letter();
        lossy.text = Some("caf\u{fffd}".into());
        assert_eq!(lossy.whole(), None, "nobody knows what the byte was");
    }

    #[test]
    fn a_forgotten_text_is_known_again() {
        let mut letter = letter();
        letter.keep(b"caf\xe9");
        letter.forget_text();
        assert_eq!((letter.kept(), letter.whole()), (None, None));
        assert_eq!(letter.text_print, Some(text_print(b"caf\xe9").into()));
    }
}
