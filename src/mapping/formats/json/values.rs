//! Steps over values of JSON, sixteen bytes at a time: from the place where one starts to the place behind it.
//!
//! `None` is what is no value, or one that is too deep for this way. Nothing is taken that serde_json would refuse.

use wide::u8x16;

/// So deep may objects and arrays be that nobody asks for.
const DEEPEST: u32 = 64;

/// Over white space.
#[inline]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Over any value.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string(bytes, at).map(|(end, _)| end),
        b'{' | b'[' => nested(bytes, at),
        _ => scalar(bytes, at),
    }
}

/// Over a string, from its first quote on. Says too whether there is an escape in it.
#[inline]
pub(super) fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let mut at = at + 1;
    let mut escaped = false;
    loop {
        at = special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => {
                escaped = true;
                at += match bytes.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
}

/// The first quote, backslash or control character at or after `at`.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(sixteen) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        match special_of(*sixteen) {
            0 => at += 16,
            found => return Some(at + found.trailing_zeros() as usize),
        }
    }
    special_in_eights(bytes, at)
}

/// A bit for each byte that is a quote, a backslash or a control character.
#[inline]
fn special_of(sixteen: [u8; 16]) -> u32 {
    let sixteen = u8x16::new(sixteen);
    let is = |byte: u8| sixteen.simd_eq(u8x16::splat(byte));
    let is_control = sixteen.min(u8x16::splat(0x1f)).simd_eq(sixteen);
    (is(b'"') | is(b'\\') | is_control).to_bitmask()
}

/// As [`special`], of few bytes.
#[inline]
fn special_in_eights(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        // The high bit of each byte that is zero. A borrow may set it above such a byte, never below the first.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let quotes = zeros(eight ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(eight ^ (ONES * u64::from(b'\\')));
        let controls = eight.wrapping_sub(ONES * 0x20) & !eight;
        let found = (quotes | backslashes | controls) & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    Some(at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?)
}

/// Over a number, `true`, `false` or `null`.
#[inline]
pub(super) fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let word: &[u8] = match bytes.get(at)? {
        b'-' | b'0'..=b'9' => return number(bytes, at),
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => return None,
    };
    bytes[at..].starts_with(word).then_some(at + word.len())
}

#[inline]
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(bytes[at] == b'-');
    let whole = at;
    at = digits(bytes, at)?;
    if bytes[whole] == b'0' && at > whole + 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// Over digits, of which there must be one.
#[inline]
fn digits(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (at > from).then_some(at)
}

/// Over an object or an array. No recursion: whoever writes the line chooses the depth.
fn nested(bytes: &[u8], mut at: usize) -> Option<usize> {
    // A bit for each that is open, the innermost lowest: whether it is an object.
    let mut open = 0_u64;
    let mut depth = 0_u32;
    loop {
        // At the start of a value.
        let kind = *bytes.get(at)?;
        if let b'{' | b'[' = kind {
            if depth == DEEPEST {
                return None;
            }
            let is_object = kind == b'{';
            open = open << 1 | u64::from(is_object);
            depth += 1;
            at = space(bytes, at + 1);
            // In ASCII a closing bracket is two behind its opening one.
            if *bytes.get(at)? != kind + 2 {
                if is_object {
                    at = key(bytes, at)?;
                }
                continue;
            }
            at += 1;
            open >>= 1;
            depth -= 1;
        } else if kind == b'"' {
            at = string(bytes, at)?.0;
        } else {
            at = scalar(bytes, at)?;
        }
        // Behind a value: to the next one, or to the end of all.
        while depth > 0 {
            at = space(bytes, at);
            let is_object = open & 1 == 1;
            match bytes.get(at)? {
                b',' => {
                    at = space(bytes, at + 1);
                    if is_object {
                        at = key(bytes, at)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            open >>= 1;
            depth -= 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// From a key to its value.
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    to_value(bytes, string(bytes, at)?.0)
}

/// From the end of a key to its value.
pub(super) fn to_value(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    (*bytes.get(at)? == b':').then(|| space(bytes, at + 1))
}
