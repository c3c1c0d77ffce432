//! JSON for people: indented, in the order in which it is sent.

/// Indents a JSON text by `margin` spaces and two more a level. The text must be valid and without white space
/// between its tokens, as mapping writes it.
#[must_use]
pub fn pretty(json: &str, margin: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_text = false;
    let mut escaped = false;
    let mut last = ' ';
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', margin + 2 * depth));
    };
    for c in json.chars() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            last = c;
            continue;
        }
        match c {
            '}' | ']' => {
                depth -= 1;
                if !matches!(last, '{' | '[') {
                    new_line(&mut out, depth);
                }
            }
            _ if matches!(last, '{' | '[') => new_line(&mut out, depth),
            _ => {}
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            '"' => in_text = true,
            _ => {}
        }
        last = c;
    }
    out
}

/// Takes the white space between the tokens of a valid JSON text out.
#[must_use]
pub fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            if !in_text {
                in_text = *c == '"';
                return !c.is_ascii_whitespace();
            }
            in_text = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            true
        })
        .collect()
}

/// What a terminal would act on is escaped: whoever writes a log must not write to the screen of its reader.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{compact, pretty};

    #[test]
    fn white_space_is_taken_out_but_not_of_texts() {
        assert_eq!(compact(" { \"a \\\" b\" :\n [ 1 , \"\\\\\" ] } "), "{\"a \\\" b\":[1,\"\\\\\"]}");
    }

    #[test]
    fn an_event_is_indented_in_its_own_order() {
        let event = r#"{"name":"a {\"b\"}","z":1,"metadata":{"units":[1,2],"none":{}}}"#;
        let wanted = "{\n  \"name\": \"a {\\\"b\\\"}\",\n  \"z\": 1,\n  \"metadata\": {\n    \"units\": [\n      1,\n      2\n    ],\n    \"none\": {}\n  }\n}";
        assert_eq!(pretty(event, 0), wanted);
        assert_eq!(pretty(event, 3), wanted.replace('\n', "\n   "));
    }
}
