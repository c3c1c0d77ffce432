//! The report for people and for programs.

use std::fmt::Write as _;

use crate::cli::numbers::{bytes, grouped};
use crate::cli::pretty::plain;
use crate::shell::reconcile::{Counts, Mended, Own, Report, Row, Surplus};

pub(super) fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("plain records are always JSON");
    text.push('\n');
    text
}

pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    rows(&report.rows, report.rows_left, &mut text);
    own("missing", "Polar does not have it", &report.missing, report.counts.missing, &mut text);
    own("altered", "Polar has it otherwise", &report.altered, report.counts.altered, &mut text);
    surplus(&report.surplus, report.counts.surplus, &mut text);
    what_was_not_compared(report, &mut text);
    sums(report, &mut text);
    cures(report, &mut text);
    text
}

fn rows(rows: &[Row], left: u64, text: &mut String) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "{:>9} {:>9} {:>9} {:>8} {:>8} {:>8}  name, customer, segment",
        "expected", "sent", "present", "missing", "altered", "surplus"
    );
    for row in rows {
        let Counts { expected, sent, present, missing, altered, surplus } = row.counts;
        let _ = writeln!(
            text,
            "{:>9} {:>9} {:>9} {:>8} {:>8} {:>8}  {}, {}, {} bytes {} to {}",
            grouped(expected),
            grouped(sent),
            grouped(present),
            grouped(missing),
            grouped(altered),
            grouped(surplus),
            plain(&row.name),
            plain(&row.customer),
            plain(&row.path),
            row.from,
            row.to
        );
    }
    and_more(rows.len(), rows.len() as u64 + left, text);
}

fn own(word: &str, meaning: &str, events: &[Own], total: u64, text: &mut String) {
    if total == 0 {
        return;
    }
    let _ = writeln!(text, "{word}, {meaning}:");
    for event in events {
        let Own { path, offset, external_id, name, customer, differs, polar_id, .. } = event;
        let _ = write!(
            text,
            "  {} at byte {offset}: {} of {}, id {}",
            plain(path),
            plain(name),
            plain(customer),
            plain(external_id)
        );
        if let (Some(part), Some(id)) = (differs, polar_id) {
            let _ = write!(text, "; its {part} differs in Polar's event {}", plain(id));
        }
        text.push('\n');
    }
    and_more(events.len(), total, text);
}

fn surplus(events: &[Surplus], total: u64, text: &mut String) {
    if total == 0 {
        return;
    }
    text.push_str("surplus, Polar has it and no line gives it (once more):\n");
    for event in events {
        let Surplus { polar_id, name, customer, timestamp, path, offset, .. } = event;
        let _ = write!(
            text,
            "  Polar's event {}: {} of {} at {timestamp}, ",
            plain(polar_id),
            plain(name),
            plain(customer)
        );
        let _ = match offset {
            Some(offset) => writeln!(text, "twice there: {} at byte {offset}", plain(path)),
            None => writeln!(text, "named as of {}", plain(path)),
        };
    }
    and_more(events.len(), total, text);
}

fn and_more(shown: usize, total: u64, text: &mut String) {
    let left = total.saturating_sub(shown as u64);
    if left > 0 {
        let _ = writeln!(text, "  … and {} more: `--all` names all", grouped(left));
    }
    text.push('\n');
}

fn what_was_not_compared(report: &Report, text: &mut String) {
    for file in &report.uncompared {
        let _ = writeln!(text, "not compared: {} of {}: {}", bytes(file.bytes), plain(&file.path), file.why);
    }
    for (source, count) in &report.forgotten_bytes {
        let _ = writeln!(
            text,
            "not compared: {} of source {source}, in files that are gone and that the checkpoint has forgotten",
            bytes(*count)
        );
    }
    if report.without_time > 0 {
        let _ = writeln!(
            text,
            "not compared: {} events without a time of their own: set `reconcile = true` under [polar]",
            grouped(report.without_time)
        );
    }
}

fn sums(report: &Report, text: &mut String) {
    let Counts { expected, sent, present, missing, altered, surplus } = report.counts;
    let _ = writeln!(
        text,
        "{} events expected of the files, {} sent, {} at Polar as they were sent",
        grouped(expected),
        grouped(sent),
        grouped(present)
    );
    if report.without_key > 0 {
        let _ = writeln!(
            text,
            "  {} of them without the key: sent before it was set",
            grouped(report.without_key)
        );
    }
    let is_whole =
        report.uncompared.is_empty() && report.forgotten_bytes.is_empty() && report.segments_asked > 0;
    let account: u64 = report.account_events.values().sum();
    if is_whole && report.began_later.is_empty() && account != sent {
        let _ = writeln!(
            text,
            "  the account counts {}: rules were edited since, a part of the time was asked for, or lines were retried",
            grouped(account)
        );
    }
    let _ = match missing + altered + surplus {
        0 => writeln!(text, "nothing is missing, altered or surplus"),
        _ => writeln!(
            text,
            "{} missing, {} altered, {} surplus",
            grouped(missing),
            grouped(altered),
            grouped(surplus)
        ),
    };
    if report.accepted > 0 {
        let _ = writeln!(text, "{} altered or surplus events were accepted before", grouped(report.accepted));
    }
    if report.key.is_none() {
        text.push_str("without `reconcile = true` under [polar] only what is missing can be told\n");
    }
    let _ = writeln!(
        text,
        "segments: {} asked for in {} requests, {} settled before; the checkpoint is of {}",
        grouped(report.segments_asked),
        grouped(report.requests),
        grouped(report.segments_remembered),
        report.saved_at
    );
}

/// What is done about it, and what is left to do.
fn cures(report: &Report, text: &mut String) {
    for source in &report.began_later {
        let _ = writeln!(
            text,
            "the account of {source} began behind what its files hold, as when going live: what is missing may never have \
             been due, and nothing is sent for it"
        );
    }
    if let Some(Mended { sent, had_already, refused, why }) = &report.mended {
        let _ = writeln!(text, "sent again: {} events", grouped(*sent));
        if *had_already > 0 {
            let _ = writeln!(
                text,
                "  {} more Polar has under their ids: what it has first stays",
                grouped(*had_already)
            );
        }
        if *refused > 0 {
            let why = why.as_deref().unwrap_or("nothing was decided");
            let _ = writeln!(text, "  {} lines were not taken: {}", grouped(*refused), plain(why));
        }
    } else if report.counts.missing > 0 {
        text.push_str(
            "missing events were not billed: `floe reconcile --fix` sends them, with the same ids\n",
        );
    }
    if report.accepted_now > 0 {
        let _ = writeln!(
            text,
            "accepted: {} altered or surplus events, which are not told again",
            grouped(report.accepted_now)
        );
        return;
    }
    if report.counts.altered > 0 {
        text.push_str(
            "altered events bill as they are there: Polar takes an id once and changes nothing; correct the customer's \
             balance by hand, or send the difference as an event of its own\n",
        );
    }
    if report.counts.surplus > 0 {
        text.push_str(
            "surplus events bill as well: Polar deletes none; credit the customer by hand, or send the negative as an event \
             of its own where a meter sums\n",
        );
    }
    if report.counts.altered + report.counts.surplus > 0 {
        text.push_str("once that is dealt with, `floe reconcile --accept` lets it rest\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let counts = Counts { expected: 1205, sent: 1204, present: 1202, missing: 1, altered: 1, surplus: 1 };
        let own = Own {
            source: "app".into(),
            path: "/logs/app.log".into(),
            offset: 77,
            external_id: "abc".into(),
            name: "use".into(),
            customer: "acme".into(),
            timestamp: None,
            differs: None,
            polar_id: None,
        };
        Report {
            saved_at: "2026-11-21T10:00:00Z".into(),
            key: Some("floe_segment".into()),
            counts,
            segments_asked: 1,
            requests: 14,
            account_events: [("app".to_owned(), 1204)].into(),
            missing: vec![own.clone()],
            altered: vec![Own { differs: Some("metadata"), polar_id: Some("p1".into()), offset: 99, ..own }],
            surplus: vec![Surplus {
                polar_id: "p2".into(),
                name: "use".into(),
                customer: "acme".into(),
                timestamp: "2026-11-20T10:00:00Z".parse().unwrap(),
                source: "app".into(),
                path: "/logs/app.log".into(),
                offset: Some(5),
            }],
            ..Report::default()
        }
    }

    #[test]
    fn a_report_names_each_event_its_place_and_what_to_do() {
        let text = of(&report());
        for expected in [
            "/logs/app.log at byte 77: use of acme, id abc\n",
            "/logs/app.log at byte 99: use of acme, id abc; its metadata differs in Polar's event p1\n",
            "Polar's event p2: use of acme at 2026-11-20T10:00:00Z, twice there: /logs/app.log at byte 5\n",
            "1,205 events expected of the files, 1,204 sent, 1,202 at Polar as they were sent\n",
            "1 missing, 1 altered, 1 surplus\n",
            "`floe reconcile --fix` sends them",
            "segments: 1 asked for in 14 requests",
        ] {
            assert!(text.contains(expected), "{expected:?} in:\n{text}");
        }
        assert!(!text.contains("the account counts"), "{text}");
    }

    #[test]
    fn what_is_mended_is_no_drift_and_what_cannot_be_stays_one() {
        let mut mended = report();
        assert_eq!(mended.drift(), 3);
        mended.mended = Some(Mended { sent: 1, had_already: 1, ..Mended::default() });
        assert_eq!(mended.drift(), 2);
        assert!(
            of(&mended).contains("sent again: 1 events\n  1 more Polar has under their ids"),
            "{}",
            of(&mended)
        );
        let clean = Report {
            counts: Counts { expected: 1, sent: 1, present: 1, ..Counts::default() },
            ..Report::default()
        };
        assert!(of(&clean).contains("nothing is missing, altered or surplus"));
        assert!(of(&clean).contains("without `reconcile = true`"));
    }
}
