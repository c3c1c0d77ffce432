//! A CSV file as a table that `lookup` looks into: the text of a cell by the key of its row.
//!
//! The rules that hold for the file are RFC 4180's, strictly: an unclosed quote would swallow rows without a word, and
//! a row that is missing here bills by another price. All cells stand in one text, and rows are found by a binary
//! search in the order of their keys, so a million rows cost little more than the file itself.

use std::fmt;
use std::ops::Range;

/// Bytes of a file.
pub const MAX_BYTES: u64 = 64 << 20;
const MAX_ROWS: usize = 1_000_000;
/// Faults of one file that are told.
const MAX_FAULTS: usize = 5;

pub struct Table {
    columns: Vec<String>,
    /// The column that is compared.
    key: usize,
    /// All cells, one after the other, row by row.
    cells: String,
    /// Where each cell ends in `cells`.
    ends: Vec<u32>,
    /// The rows, ascending by their keys, which are unique and not empty.
    by_key: Vec<u32>,
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct TableFault {
    /// Bytes of the text.
    pub span: Range<usize>,
    pub message: String,
    pub hint: &'static str,
    /// A second place that belongs to it.
    pub beside: Option<(Range<usize>, &'static str)>,
}

/// The columns of a file whose rows are not read yet.
#[derive(Debug)]
pub struct Header {
    pub columns: Vec<String>,
}

impl Table {
    /// What the first line says. `text` has no byte order mark.
    ///
    /// # Errors
    /// When the text is empty, or two columns have one name.
    pub fn header(text: &str) -> Result<Header, TableFault> {
        let fault =
            |message: String, hint| TableFault { span: first_line(text), message, hint, beside: None };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let columns: Vec<String> = match reader.headers() {
            Ok(header) if !header.is_empty() => header.iter().map(str::to_owned).collect(),
            _ => {
                return Err(fault("this file is empty".to_owned(), "begin it with the names of the columns"));
            }
        };
        for (at, name) in columns.iter().enumerate() {
            if !name.is_empty() && columns[..at].contains(name) {
                let message = format!("two columns have the name \"{name}\"");
                return Err(fault(message, "give each column its own name"));
            }
        }
        Ok(Header { columns })
    }

    /// Reads the rows. `key` is the place of the column that is compared.
    ///
    /// # Errors
    /// The first faults of the file, in the order of its lines.
    pub fn read(text: &str, header: Header, key: usize) -> Result<Self, Vec<TableFault>> {
        if let Some(fault) = quote_fault(text) {
            return Err(vec![fault]);
        }
        let mut table = Self {
            columns: header.columns,
            key,
            cells: String::with_capacity(text.len()),
            ends: Vec::new(),
            by_key: Vec::new(),
        };
        let mut rows = Rows { text, spans: Vec::new(), faults: Vec::new() };
        table.fill(text, &mut rows);
        table.sort(&mut rows);
        if rows.faults.is_empty() {
            return Ok(table);
        }
        rows.faults.sort_by_key(|fault| fault.span.start);
        rows.faults.truncate(MAX_FAULTS);
        Err(rows.faults)
    }

    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The cell of a column in the row with this key; `None` where there is no such row, or the cell is empty.
    #[must_use]
    pub fn find(&self, key: &str, column: usize) -> Option<&str> {
        let at = self.by_key.binary_search_by(|row| self.cell(*row, self.key).cmp(key)).ok()?;
        Some(self.cell(self.by_key[at], column)).filter(|cell| !cell.is_empty())
    }

    fn cell(&self, row: u32, column: usize) -> &str {
        let at = row as usize * self.columns.len() + column;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.cells[start as usize..self.ends[at] as usize]
    }

    fn fill(&mut self, text: &str, rows: &mut Rows<'_>) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        while let Ok(true) = reader.read_record(&mut record) {
            let start = record.position().map_or(0, csv::Position::byte) as usize;
            let span = rows.line(start);
            if rows.spans.len() == MAX_ROWS {
                let hint = "split the table, or leave out the rows that nobody looks up";
                return rows.fault(span, format!("this file has more than {MAX_ROWS} rows"), hint);
            }
            if record.len() != self.columns.len() {
                let (found, wanted) = (record.len(), self.columns.len());
                let message = if found < wanted {
                    format!("this row has {found} of {wanted} cells")
                } else {
                    format!("this row has {found} cells, the header {wanted}")
                };
                rows.fault(span, message, "a text with a comma in it stands in double quotes");
                continue;
            }
            if record[self.key].is_empty() {
                rows.fault(span, "this row has no key".to_owned(), "give it one, or take the row out");
                continue;
            }
            for cell in &record {
                self.cells.push_str(cell);
                self.ends.push(u32::try_from(self.cells.len()).expect("a file of at most 64 MiB"));
            }
            self.by_key.push(u32::try_from(rows.spans.len()).expect("at most a million rows"));
            rows.spans.push(span.start);
        }
    }

    fn sort(&mut self, rows: &mut Rows<'_>) {
        let mut by_key = std::mem::take(&mut self.by_key);
        // Stable: of equal keys the one that stands first comes first.
        by_key.sort_by(|a, b| self.cell(*a, self.key).cmp(self.cell(*b, self.key)));
        for pair in by_key.windows(2) {
            let [first, second] = pair else { continue };
            let key = self.cell(*second, self.key);
            if self.cell(*first, self.key) == key {
                let span = rows.line(rows.spans[*second as usize]);
                let beside = rows.line(rows.spans[*first as usize]);
                rows.faults.push(TableFault {
                    span,
                    message: format!("two rows have the key \"{}\"", shortened(key)),
                    hint: "keep one of them: which of two prices holds is not a thing to guess",
                    beside: Some((beside, "first here")),
                });
            }
        }
        self.by_key = by_key;
    }
}

/// A table may have a million rows: none of them is printed.
impl fmt::Debug for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Table({} rows of {})", self.by_key.len(), self.columns.join(", "))
    }
}

/// Where the rows stand that were taken, and what is wrong with the others.
struct Rows<'a> {
    text: &'a str,
    spans: Vec<usize>,
    faults: Vec<TableFault>,
}

impl Rows<'_> {
    fn fault(&mut self, span: Range<usize>, message: String, hint: &'static str) {
        self.faults.push(TableFault { span, message, hint, beside: None });
    }

    /// The line that starts at `start`.
    fn line(&self, start: usize) -> Range<usize> {
        let length = self.text[start..].find(['\r', '\n']).unwrap_or(self.text.len() - start);
        start..start + length
    }
}

fn first_line(text: &str) -> Range<usize> {
    0..text.find(['\r', '\n']).unwrap_or(text.len())
}

/// RFC 4180: a quote opens a cell or closes it, and one inside of a cell is doubled.
fn quote_fault(text: &str) -> Option<TableFault> {
    enum At {
        Start,
        Plain,
        Quoted { since: usize },
        Closed,
    }
    memchr::memchr(b'"', text.as_bytes())?;
    let fault = |at: usize, message: &str, hint| {
        Some(TableFault { span: at..at + 1, message: message.to_owned(), hint, beside: None })
    };
    let double = "write a quote inside of a cell twice, and the cell in quotes: \"5\"\" screen\"";
    let mut state = At::Start;
    for (at, byte) in text.bytes().enumerate() {
        state = match (state, byte) {
            // Two quotes are one.
            (At::Start | At::Closed, b'"') => At::Quoted { since: at },
            (At::Quoted { .. }, b'"') => At::Closed,
            (At::Quoted { since }, _) => At::Quoted { since },
            (_, b',' | b'\r' | b'\n') => At::Start,
            (At::Plain, b'"') => return fault(at, "a quote in the middle of a cell", double),
            (At::Closed, _) => return fault(at, "this cell goes on after its closing quote", double),
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    match state {
        At::Quoted { since } => fault(since, "this quote is never closed", "close it, or take it away"),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, key: usize) -> Result<Table, Vec<String>> {
        let said = |fault: &TableFault| {
            let beside = fault.beside.as_ref().map(|(span, _)| format!(" beside {:?}", &text[span.clone()]));
            format!("{:?}: {}{}", &text[fault.span.clone()], fault.message, beside.unwrap_or_default())
        };
        let header = Table::header(text).map_err(|fault| vec![said(&fault)])?;
        Table::read(text, header, key).map_err(|faults| faults.iter().map(said).collect())
    }

    #[test]
    fn a_cell_is_found_by_its_key_and_column() {
        let text = "org,tier,price\r\nbeta,\"pro, \"\"x\"\"\",2.50\r\n\r\nacme,free,\r\n";
        let table = read(text, 0).unwrap();
        assert_eq!(table.find("beta", 1), Some("pro, \"x\""));
        assert_eq!(table.find("beta", 2), Some("2.50"));
        assert_eq!(table.find("acme", 1), Some("free"));
        assert_eq!(table.find("acme", 2), None, "an empty cell");
        assert_eq!(table.find("Acme", 1), None);
        assert_eq!(table.find("", 1), None);
        assert_eq!((table.column("price"), table.column("nope")), (Some(2), None));
        assert_eq!(read(text, 1).unwrap().find("free", 0), Some("acme"));
        assert_eq!(format!("{table:?}"), "Table(2 rows of org, tier, price)");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        #[track_caller]
        fn check(text: &str, wanted: &[&str]) {
            assert_eq!(read(text, 0).map(|_| ()).unwrap_err(), wanted, "{text:?}");
        }
        check("", &["\"\": this file is empty"]);
        check("a,a\n1,2\n", &["\"a,a\": two columns have the name \"a\""]);
        check(
            "a,b\n1\n2,3\n4,5,6",
            &["\"1\": this row has 1 of 2 cells", "\"4,5,6\": this row has 3 cells, the header 2"],
        );
        check("a,b\n,1\n", &["\",1\": this row has no key"]);
        check(
            "a,b\nx,1\ny,2\nx,3\nx,4\n",
            &[
                "\"x,3\": two rows have the key \"x\" beside \"x,1\"",
                "\"x,4\": two rows have the key \"x\" beside \"x,3\"",
            ],
        );
        check("a,b\nx,\"1\ny,2\nz,3\n", &["\"\\\"\": this quote is never closed"]);
        check("a,b\nx,5\" wide\n", &["\"\\\"\": a quote in the middle of a cell"]);
        check("a,b\nx,\"5\" wide\n", &["\" \": this cell goes on after its closing quote"]);
    }

    #[test]
    fn too_many_rows_are_a_fault() {
        let keys: Vec<String> = (0..=MAX_ROWS).map(|row| row.to_string()).collect();
        let faults = read(&format!("a\n{}\n", keys.join("\n")), 0).unwrap_err();
        assert_eq!(faults, ["\"1000000\": this file has more than 1000000 rows"]);
    }

    proptest::proptest! {
        #[test]
        fn every_row_is_found_whatever_stands_in_it(
            rows in proptest::collection::btree_map("[a-c\", \n]{1,4}", "[a-c\", \r\né]{0,4}", 0..20)
        ) {
            let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
            let lines = rows.iter().rev().map(|(key, cell)| format!("{},{}\n", quoted(key), quoted(cell)));
            let table = read(&format!("k,v\n{}", lines.collect::<String>()), 0).unwrap();
            for (key, cell) in &rows {
                proptest::prop_assert_eq!(table.find(key, 1).unwrap_or_default(), cell);
            }
        }
    }
}
