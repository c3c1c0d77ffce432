//! What a run has to say: tables as Markdown, printed when they are there, and put between the marks of
//! docs/performance.md; numbers for the plots; the goals.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::goals::Goals;

/// A table, and which mark of the page it belongs to.
#[derive(Debug)]
pub struct Table {
    pub key: &'static str,
    pub title: String,
    /// The first column is text, the others are numbers.
    pub head: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
    /// What a reader must know to read it rightly.
    pub notes: Vec<String>,
}

/// What `benches/plots` draws.
#[derive(Debug, Serialize)]
pub struct Chart {
    /// Of the picture, without its extension.
    pub file: &'static str,
    pub title: String,
    pub axis: &'static str,
    pub panels: Vec<Panel>,
}

/// Bars beside each other, or curves.
#[derive(Debug, Serialize)]
pub struct Panel {
    pub title: String,
    /// Where a goal is, there is a line.
    pub limit: Option<f64>,
    pub bars: Vec<(String, f64)>,
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

#[derive(Debug, Default)]
pub struct Report {
    pub goals: Goals,
    tables: Vec<(&'static str, String)>,
    charts: Vec<Chart>,
}

impl Report {
    pub fn table(&mut self, table: &Table) {
        let text = table.markdown();
        println!("\n## {}\n\n{text}", table.title);
        self.tables.push((table.key, format!("**{}**\n\n{text}", table.title)));
    }

    pub fn chart(&mut self, chart: Chart) {
        self.charts.push(chart);
    }

    /// Text between the marks of this key, as it is.
    pub fn text(&mut self, key: &'static str, text: String) {
        println!("{text}");
        self.tables.push((key, text));
    }

    pub fn print_goals(&mut self) {
        self.table(&Table {
            key: "goals",
            title: "Goals".to_owned(),
            head: &["goal", "limit", "measured", ""],
            rows: self.goals.rows(),
            notes: Vec::new(),
        });
    }

    pub fn write_charts(&self, file: &Path) -> io::Result<()> {
        fs::write(file, serde_json::to_vec(&self.charts)?)
    }

    /// Puts each table between its marks, `<!-- measured: KEY -->` and `<!-- end -->`. The rest stays as it is.
    pub fn write_page(&self, page: &Path) -> io::Result<()> {
        let mut text = fs::read_to_string(page)?;
        let mut keys: Vec<&str> = self.tables.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        for key in keys {
            let tables: Vec<&str> =
                self.tables.iter().filter(|(of, _)| *of == key).map(|(_, text)| text.trim_end()).collect();
            text = replaced(&text, key, &tables.join("\n\n"))
                .ok_or_else(|| io::Error::other(format!("{} has no marks for {key}", page.display())))?;
        }
        fs::write(page, text)
    }
}

fn replaced(page: &str, key: &str, table: &str) -> Option<String> {
    const END: &str = "<!-- end -->";
    let begin = format!("<!-- measured: {key} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{table}\n\n{END}{after}"))
}

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head: Vec<String> = self.head.iter().map(ToString::to_string).collect();
        let below = format!("|---|{}\n", "--:|".repeat(self.head.len() - 1));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let notes: String = self.notes.iter().flat_map(|note| ["\n- ", note]).collect();
        format!("{}{below}{rows}{notes}", line(&head))
    }
}
