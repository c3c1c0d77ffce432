//! The page of metrics, the alert rules and the dashboard against the list in the code.

use std::collections::BTreeSet;

use floe::shell::admin::exposition::{Family, Kind};
use floe::shell::admin::metrics::FAMILIES;

/// A metric without its row, a row that says something else than the code, a row without its metric.
pub fn page_faults(page: &str) -> Vec<String> {
    let row = |family: &Family| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", family.name, family.kind.word(), labels.join(", "), family.help)
    };
    let expected: Vec<String> = FAMILIES.iter().map(row).collect();
    let missing = expected.iter().filter(|row| !page.lines().any(|line| line == row.as_str()));
    let rows = page.lines().filter(|line| line.starts_with("| `floe_"));
    let unknown = rows.filter(|row| !expected.iter().any(|known| known == row));
    let missing = missing.map(|row| format!("docs/metrics.md needs the row: {row}"));
    missing.chain(unknown.map(|row| format!("docs/metrics.md: the code has no such metric: {row}"))).collect()
}

/// Metrics that a query names and that there are not.
pub fn query_faults(name: &str, text: &str) -> Vec<String> {
    let known: BTreeSet<String> = FAMILIES.iter().flat_map(series).collect();
    let named = names(text);
    assert!(!named.is_empty(), "{name} names no metric");
    let unknown = named.into_iter().filter(|metric| !known.contains(*metric));
    unknown.map(|metric| format!("{name}: there is no metric {metric}")).collect()
}

fn series(family: &Family) -> Vec<String> {
    match family.kind {
        Kind::Histogram => {
            ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)).into()
        }
        Kind::Counter | Kind::Gauge => vec![family.name.to_owned()],
    }
}

/// Words that begin as metrics do.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("floe_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_is_missing_or_unknown_is_found() {
        assert_eq!(page_faults("").len(), FAMILIES.len());
        assert_eq!(page_faults("| `floe_made_up_total` | counter |  | Nothing. |").len(), FAMILIES.len() + 1);
        assert_eq!(query_faults("x", "rate(floe_lines_total{source=\"a\"}[5m])"), [""; 0]);
        assert_eq!(query_faults("x", "floe_lines / floe_request_duration_seconds_bucket").len(), 1);
    }
}
