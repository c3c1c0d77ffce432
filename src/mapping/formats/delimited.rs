//! `delimited`: CSV, TSV and their kin, quoted as RFC 4180 says.
//!
//! A column that a line has not is missing, and one that the header has not is read past: writers add columns over
//! time. Only what would move a value into another column is refused.

use std::ops::Range;

use super::scan::Scan;
use super::{Names, NotParsed};
use crate::config::settings;
use crate::mapping::escapes;
use crate::mapping::slots::{Slots, Written};

/// What a file says of its columns: their names, in order. The default is that it has said nothing yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::mapping) struct Header(Vec<Box<str>>);

#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: u8,
    columns: Columns,
    names: Names,
}

/// Where the columns have their names from.
#[derive(Debug)]
enum Columns {
    Config(Header),
    FirstLine,
    Directive,
}

impl Delimited {
    pub fn new(settings: &settings::Delimited, names: Names) -> Self {
        let columns = match &settings.columns {
            settings::Columns::Named(names) => {
                Columns::Config(Header(names.iter().map(|name| name.as_str().into()).collect()))
            }
            settings::Columns::FirstLine => Columns::FirstLine,
            settings::Columns::Directive => Columns::Directive,
        };
        Self { delimiter: settings.delimiter, columns, names }
    }

    /// The names that a line gives to the columns: a first line, or one that begins with `#Fields:`. Whether a line is
    /// one of these the caller knows.
    pub fn parse_header(&self, text: &str, from: usize) -> Header {
        let mut names: Vec<Box<str>> = Vec::new();
        if let Columns::Directive = self.columns {
            // The W3C's extended log format: names stand between spaces, whatever the delimiter is.
            let said = text[from..].split_once(':').map_or("", |(_, said)| said);
            names.extend(said.split_whitespace().map(Into::into));
            return Header(names);
        }
        // Of a header with an open quote the names before it are known; the others are missing in each line behind.
        let _ = self.each_column(text, from, |range, written| {
            let name = match written {
                Written::Doubled => escapes::doubled_quotes(&text[range], false).text,
                _ => text[range].into(),
            };
            names.push(name.trim().into());
        });
        Header(names)
    }

    pub fn read(&self, text: &str, from: usize, header: &Header, slots: &mut Slots) -> Result<(), NotParsed> {
        let Header(columns) = match &self.columns {
            Columns::Config(columns) => columns,
            Columns::FirstLine | Columns::Directive => header,
        };
        if columns.is_empty() {
            return Err(NotParsed("no line before this one names the columns".to_owned()));
        }
        let mut columns = columns.iter();
        self.each_column(text, from, |range, written| {
            if let Some(name) = columns.next() {
                self.names.put(slots, name, range, written);
            }
        })
    }

    /// Calls `column` with where each column's value stands and how it is written.
    fn each_column(
        &self,
        text: &str,
        from: usize,
        mut column: impl FnMut(Range<usize>, Written),
    ) -> Result<(), NotParsed> {
        let mut line = Scan::new(text, from);
        loop {
            if line.take("\"") {
                let (value, written) = quoted(&mut line)?;
                column(value, written);
            } else {
                column(line.until(|byte| byte == self.delimiter), Written::Plain);
            }
            if line.is_at_end() {
                return Ok(());
            }
            if !line.take_byte(self.delimiter) {
                return Err(line.expected("a delimiter"));
            }
        }
    }
}

/// What stands up to the quote that ends it. Two quotes are one that does not.
fn quoted(line: &mut Scan<'_>) -> Result<(Range<usize>, Written), NotParsed> {
    let start = line.at();
    let mut written = Written::Plain;
    loop {
        let end = line.until(|byte| byte == b'"').end;
        if !line.take("\"") {
            return Err(NotParsed(format!("the quote at column {start} is not closed")));
        }
        if !line.take("\"") {
            return Ok((start..end, written));
        }
        written = Written::Doubled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Format;
    use crate::mapping::formats::tests::{check_with, reader, refused_with};

    fn format(delimiter: char, columns: &settings::Columns) -> Format {
        let delimiter = delimiter.try_into().unwrap();
        Format::Delimited(settings::Delimited { delimiter, columns: columns.clone() })
    }

    fn header(names: &[&str]) -> Header {
        Header(names.iter().map(|name| (*name).into()).collect())
    }

    fn named(names: &[&str]) -> settings::Columns {
        settings::Columns::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[track_caller]
    fn check(delimiter: char, line: &str, a: &str, b: &str, c: &str) {
        let names = ["a", "b", "", "c"];
        let wanted = [("a", a), ("b", b), ("c", c)];
        check_with(&format(delimiter, &named(&names)), &Header::default(), line, &wanted);
        check_with(&format(delimiter, &settings::Columns::FirstLine), &header(&names), line, &wanted);
    }

    #[test]
    fn values_stand_between_delimiters_and_quotes() {
        check(',', "1,2,3,4", "\"1\"", "\"2\"", "\"4\"");
        check(',', ",,,", "\"\"", "\"\"", "\"\"");
        check(',', "é, ü ,,€", "\"é\"", "\" ü \"", "\"€\"");
        check('\t', "1,2\t\t\t\"x\ty\"", "\"1,2\"", "\"\"", "\"x\\ty\"");
        check(',', r#""a,b","say ""hi""",,"""""#, r#""a,b""#, r#""say \"hi\"""#, r#""\"""#);
        check(',', r#""","""",,"\""#, "\"\"", r#""\"""#, r#""\\""#);
        check(',', "\"two\nlines\",,,", "\"two\\nlines\"", "\"\"", "\"\"");
        check(',', r#"a"b, "c",,d" "#, r#""a\"b""#, r#"" \"c\"""#, r#""d\" ""#);
        check(' ', "1  3 4", "\"1\"", "\"\"", "\"4\"");
        check(',', "-,\"-\",,x", "missing", "missing", "\"x\"");
    }

    #[test]
    fn columns_may_be_missing_and_others_added() {
        check(',', "1", "\"1\"", "missing", "missing");
        check(',', "", "\"\"", "missing", "missing");
        check(',', "1,2,3,4,5,\"6\"", "\"1\"", "\"2\"", "\"4\"");
    }

    #[test]
    fn of_two_columns_with_a_name_the_last_counts() {
        let format = format(',', &settings::Columns::FirstLine);
        check_with(&format, &header(&["a", "a"]), "1,2", &[("a", "\"2\"")]);
        check_with(&format, &header(&["a", "a"]), "1", &[("a", "\"1\"")]);
    }

    #[test]
    fn what_would_move_a_value_into_another_column_is_refused() {
        let config = format(',', &named(&["a"]));
        for (line, wanted) in [
            ("1,\"2", "the quote at column 3 is not closed"),
            ("\"", "the quote at column 1 is not closed"),
            ("\"a\"\"", "the quote at column 1 is not closed"),
            ("\"a\"b,2", "a delimiter is expected at column 4"),
            ("\"a\" ,2", "a delimiter is expected at column 4"),
        ] {
            refused_with(&config, &Header::default(), line, wanted);
        }
        let none = "no line before this one names the columns";
        refused_with(&format(',', &settings::Columns::FirstLine), &Header::default(), "1", none);
        refused_with(&format(',', &settings::Columns::Directive), &Header::default(), "1", none);
    }

    #[test]
    fn a_line_may_name_the_columns() {
        use settings::Columns::{Directive, FirstLine};
        for (columns, line, wanted) in [
            (&FirstLine, "a, b ,\"c \"\"d\"\"\",", header(&["a", "b", "c \"d\"", ""])),
            (&FirstLine, "#a,b", header(&["#a", "b"])),
            (&FirstLine, "a,\"b", header(&["a"])),
            (&Directive, "#Fields: date cs(User-Agent)  x,y", header(&["date", "cs(User-Agent)", "x,y"])),
            (&Directive, "#Fields:\ta b", header(&["a", "b"])),
            (&Directive, "#Fields:", header(&[])),
        ] {
            let found = reader(&format(',', columns), &["a"]).parse_header(line);
            assert_eq!(found, wanted, "{line}");
        }
        assert_eq!(reader(&Format::Json, &["a"]).parse_header("a,b"), Header::default());
    }
}
