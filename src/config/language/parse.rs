//! Text → paths and templates, with the place of each fault.
//!
//! Written by hand: the language fits on a page, and a fault has to name its place and its cure.

use super::cursor::Cursor;
use super::pipes::{Arguments, read_pipe};
use super::{Argument, Expression, LanguageFault, Lookups, Part, Path, Pipe, Start, Template};

static NO_LOOKUPS: Lookups = Lookups::none();

/// Reads a path.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_path(text: &str) -> Result<Path, LanguageFault> {
    let mut cursor = Cursor::new(text, &NO_LOOKUPS);
    let path = cursor.path()?;
    if cursor.rest().is_empty() {
        return Ok(path);
    }
    Err(LanguageFault {
        span: cursor.at..text.len(),
        message: "the path ends here, but the text goes on".to_owned(),
        hint: Some("keys with spaces or signs are written in double quotes: a.\"odd key\"".to_owned()),
    })
}

/// Reads a text with placeholders. `{{` and `}}` stand for braces.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_template(text: &str) -> Result<Template, LanguageFault> {
    parse_template_with(text, &NO_LOOKUPS)
}

/// As [`parse_template`]; `lookup` knows these tables.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_template_with(text: &str, lookups: &Lookups) -> Result<Template, LanguageFault> {
    let mut cursor = Cursor::new(text, lookups);
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(next) = cursor.next() {
        match next {
            '{' if cursor.eat('{') => literal.push('{'),
            '{' => {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(placeholder(&mut cursor)?));
            }
            '}' if cursor.eat('}') => literal.push('}'),
            '}' => {
                return Err(cursor
                    .fault_from(cursor.at - 1, "this brace closes nothing")
                    .with_hint("write }} for the character }"));
            }
            other => literal.push(other),
        }
    }
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(Template { parts })
}

/// Reads pipes alone: `trim | int`.
///
/// # Errors
/// The first fault, with its place in `text`.
pub fn parse_pipes(text: &str) -> Result<Vec<Pipe>, LanguageFault> {
    let mut cursor = Cursor::new(text, &NO_LOOKUPS);
    let mut pipes = vec![pipe(&mut cursor)?];
    loop {
        cursor.skip_space();
        if cursor.eat('|') {
            pipes.push(pipe(&mut cursor)?);
        } else if cursor.rest().is_empty() {
            return Ok(pipes);
        } else {
            return Err(cursor.fault_here("a | is expected here").with_hint("write int, or trim | int"));
        }
    }
}

/// What stands between braces; the cursor is behind the opening one.
fn placeholder(cursor: &mut Cursor<'_>) -> Result<Expression, LanguageFault> {
    let opening = cursor.at - 1;
    cursor.skip_space();
    if cursor.eat('}') {
        return Err(cursor
            .fault_from(opening, "this placeholder is empty")
            .with_hint("write the path of a field: {org_id}"));
    }
    if cursor.rest().is_empty() {
        return Err(unclosed(cursor, opening));
    }
    let start = start(cursor)?;
    let mut pipes = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.eat('}') {
            return Ok(Expression { start, pipes });
        }
        if cursor.eat('|') {
            pipes.push(pipe(cursor)?);
        } else if cursor.rest().is_empty() {
            return Err(unclosed(cursor, opening));
        } else {
            return Err(cursor
                .fault_here("a | or a } is expected here")
                .with_hint("keys with spaces or signs are written in double quotes: {a.\"odd key\"}"));
        }
    }
}

fn unclosed(cursor: &Cursor<'_>, opening: usize) -> LanguageFault {
    cursor
        .fault_from(opening, "this brace is never closed")
        .with_hint("write } after the placeholder, or {{ for the character {")
}

fn start(cursor: &mut Cursor<'_>) -> Result<Start, LanguageFault> {
    if let Some(literal) = cursor.literal()? {
        return Ok(Start::Literal(literal));
    }
    let begin = cursor.at;
    let mut ahead = cursor.clone();
    let name = ahead.word();
    if name.is_empty() || ahead.peek() != Some('(') {
        return cursor.path().map(Start::Path);
    }
    if name != "sum" {
        return Err(ahead
            .fault_from(begin, format!("`{name}` does not start an expression"))
            .with_hint(format!("pipes follow a value: {{path | {name}(…)}}")));
    }
    *cursor = ahead;
    let arguments = arguments(cursor, begin, name)?;
    let mut paths = Vec::with_capacity(arguments.given.len());
    for (argument, span) in &arguments.given {
        match argument {
            Argument::Path(path) => paths.push(path.clone()),
            Argument::Literal(_) => {
                return Err(LanguageFault {
                    span: span.clone(),
                    message: "`sum` adds fields, so it takes paths only".to_owned(),
                    hint: Some("add a constant afterwards: {sum(a, b) | add(1)}".to_owned()),
                });
            }
        }
    }
    if paths.is_empty() {
        return Err(cursor.fault_from(begin, "`sum` needs a path").with_hint("write {sum(a, b)}"));
    }
    Ok(Start::Sum(paths))
}

fn pipe(cursor: &mut Cursor<'_>) -> Result<Pipe, LanguageFault> {
    cursor.skip_space();
    let begin = cursor.at;
    let name = cursor.word();
    if name.is_empty() {
        return Err(cursor.fault_here("the name of a pipe is expected here").with_hint("write {path | int}"));
    }
    let name_end = cursor.at;
    cursor.skip_space();
    let given = if cursor.peek() == Some('(') {
        arguments(cursor, begin, name)?
    } else {
        cursor.at = name_end;
        Arguments { given: Vec::new(), name, span: begin..name_end }
    };
    read_pipe(&given, cursor.lookups)
}

/// `(a, 'b', 5)`; the cursor is at the opening parenthesis.
fn arguments<'a>(
    cursor: &mut Cursor<'a>,
    begin: usize,
    name: &'a str,
) -> Result<Arguments<'a>, LanguageFault> {
    let opening = cursor.at;
    cursor.next();
    let mut given = Vec::new();
    cursor.skip_space();
    if cursor.eat(')') {
        return Ok(Arguments { given, name, span: begin..cursor.at });
    }
    loop {
        cursor.skip_space();
        if cursor.rest().is_empty() {
            return Err(cursor.fault_from(opening, "this parenthesis is never closed").with_hint("write )"));
        }
        let start = cursor.at;
        let argument = match cursor.literal()? {
            Some(literal) => Argument::Literal(literal),
            None => Argument::Path(cursor.path()?),
        };
        given.push((argument, start..cursor.at));
        cursor.skip_space();
        if cursor.eat(')') {
            return Ok(Arguments { given, name, span: begin..cursor.at });
        }
        if !cursor.eat(',') {
            if cursor.rest().is_empty() {
                return Err(cursor
                    .fault_from(opening, "this parenthesis is never closed")
                    .with_hint("write )"));
            }
            return Err(cursor.fault_here("a , or a ) is expected here"));
        }
    }
}
