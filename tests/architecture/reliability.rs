//! `docs/reliability.md` against the tests there are: each point has a row, what a row names exists, and a test
//! whose name has a number stands in the row of that number.

use std::collections::{BTreeMap, BTreeSet};

/// The points, from the first to the last.
const POINTS: std::ops::RangeInclusive<u32> = 1..=29;

/// What may be written where nothing shows a point yet.
const NOT_YET: &str = "not yet";

/// What can be named in the page.
#[derive(Debug, Default)]
pub struct Proofs {
    /// Tests whose names begin with numbers: `s07_`, or `s20_s27_` for two.
    tests: BTreeSet<String>,
    /// Moves of the simulation.
    moves: BTreeSet<String>,
    /// Parts of `.ci/system`, with their arguments.
    parts: BTreeSet<String>,
}

impl Proofs {
    /// `texts`: all Rust files; `storm`: the one with the moves; `system`: the script that runs the parts.
    pub fn of(texts: &[String], storm: &str, system: &str) -> Self {
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        let tests = lines.filter_map(|line| {
            let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
            let name = name.split('(').next()?;
            (!points_of(name).is_empty()).then(|| name.to_owned())
        });
        let moves = storm.lines().filter_map(|line| line.trim().strip_prefix("(Self::")?.split(',').next());
        let parts =
            system.lines().filter_map(|line| line.strip_prefix("part ")).filter(|part| !part.contains('('));
        Self {
            tests: tests.collect(),
            moves: moves.map(str::to_owned).collect(),
            parts: parts.map(str::to_owned).collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.tests.contains(name) || self.moves.contains(name) || self.parts.contains(name)
    }
}

/// What is wrong with the page.
pub fn faults(page: &str, proofs: &Proofs) -> Vec<String> {
    let rows = rows(page);
    let mut faults: Vec<String> = Vec::new();
    for point in POINTS {
        match rows.get(&point) {
            None => faults.push(format!("docs/reliability.md has no row for point {point}")),
            Some(shown) if named(shown).next().is_none() && shown.trim() != NOT_YET => {
                faults.push(format!(
                    "docs/reliability.md, point {point}: name what shows it, or write `{NOT_YET}`"
                ));
            }
            Some(_) => {}
        }
    }
    for (point, shown) in &rows {
        let unknown = named(shown).filter(|name| !proofs.has(name));
        faults.extend(unknown.map(|name| format!("docs/reliability.md, point {point}: there is no {name}")));
    }
    for test in &proofs.tests {
        for point in points_of(test) {
            if !rows.get(&point).is_some_and(|shown| named(shown).any(|name| name == test)) {
                faults.push(format!("docs/reliability.md, point {point}, does not name {test}"));
            }
        }
    }
    faults
}

/// The last cell of each row that begins with a number.
fn rows(page: &str) -> BTreeMap<u32, &str> {
    let row = |line: &'_ str| -> Option<(u32, usize)> {
        let point = line.strip_prefix("| ")?.split(' ').next()?.parse().ok()?;
        Some((point, line.trim_end_matches([' ', '|']).rfind('|')? + 1))
    };
    page.lines()
        .filter_map(|line| row(line).map(|(point, at)| (point, line[at..].trim_end_matches([' ', '|']))))
        .collect()
}

fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// 20 and 27 of `s20_s27_a_test`.
fn points_of(name: &str) -> Vec<u32> {
    let number = |part: &str| part.strip_prefix('s').filter(|digits| digits.len() == 2)?.parse().ok();
    name.split('_').map_while(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> Proofs {
        let test = "    fn s07_one_thing() {\n    async fn s07_s08_another() {\nfn plain() {\n".to_owned();
        Proofs::of(&[test], "        (Self::Rotate, 6),\n", "part() {\npart disk.sh full\n")
    }

    fn page(seven: &str, eight: &str) -> String {
        let shown = |point: u32| match point {
            7 => seven.to_owned(),
            8 => eight.to_owned(),
            _ => NOT_YET.to_owned(),
        };
        let rows: Vec<String> =
            POINTS.map(|point| format!("| {point} | what | then | {} |", shown(point))).collect();
        rows.join("\n")
    }

    #[track_caller]
    fn check(page: &str, expected: usize) {
        let faults = faults(page, &proofs());
        assert_eq!(faults.len(), expected, "{faults:?}");
    }

    #[test]
    fn a_page_that_names_what_there_is_is_right() {
        check(&page("`Rotate`, `disk.sh full`; `s07_one_thing`, `s07_s08_another`", "`s07_s08_another`"), 0);
    }

    #[test]
    fn what_is_missing_or_does_not_exist_is_found() {
        let seven = "`s07_one_thing`, `s07_s08_another`";
        check(&page(seven, "nothing"), 2);
        check(&page(seven, NOT_YET), 1);
        check(&page("`s07_one_thing`", "`s07_s08_another`"), 1);
        check(&page(seven, "`s07_s08_another`, `disk.sh`, `Turn`, `s08_made_up`"), 3);
        check(&page(seven, "`s07_s08_another`").replacen("| 29 |", "| 30 |", 1), 1);
    }
}
