//! What the quarantine holds, read as an operator would read it.

use serde_json::Value;

use floe::model::Quarantined;

#[derive(Debug)]
pub struct Letter {
    pub reason: Quarantined,
    /// The number that the world gave the line, where it stands in the letter.
    pub number: Option<String>,
    pub offset: u64,
    #[expect(dead_code, reason = "for the words of a violation")]
    pub text: String,
}

/// The letters of some whole JSON lines.
pub fn read(bytes: &[u8]) -> Result<Vec<Letter>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "letters are not UTF-8".to_owned())?;
    if !text.ends_with('\n') {
        return Err(format!("letters end without a newline: {text:?}"));
    }
    text.lines().map(read_one).collect()
}

fn read_one(line: &str) -> Result<Letter, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    let code = value["reason"].as_str().ok_or_else(|| format!("a letter without a reason: {line}"))?;
    let reason = Quarantined::from_code(code).ok_or_else(|| format!("an unknown reason: {line}"))?;
    let text = value["text"].as_str().unwrap_or(line).chars().take(100).collect();
    let offset = value["offset"].as_u64().ok_or_else(|| format!("a letter without its place: {line}"))?;
    Ok(Letter { reason, number: number_in(line), offset, text })
}

/// The digits after `"n":`, however often the quotes are escaped.
fn number_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("\"n\":").or_else(|| line.split_once("\\\"n\\\":"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    // A number that a cut goes through is another one.
    let is_whole = rest[digits.len()..].starts_with([',', '}']);
    (!digits.is_empty() && is_whole).then_some(digits)
}
