//! `docs/reasons.md` says what the program says.

use std::fmt::Write as _;

use floe::model::{Dropped, Ignored, Quarantined};

fn document() -> String {
    let mut text = String::from(
        "# Why a line was not billed\n\n\
         Every line is billed, ignored or quarantined; `floe account` counts them by these codes. The lists are closed.\n\n\
         ## Ignored\n\nAn ignored line costs nobody anything.\n\n| code | meaning |\n|---|---|\n",
    );
    for reason in Ignored::ALL {
        writeln!(text, "| `{reason}` | {} |", reason.meaning()).unwrap();
    }
    text.push_str(
        "\n## Quarantined\n\nA rule wants the line, but it cannot be billed. It is kept with its place and its text: `floe quarantine list` says how many,\n\
         `floe quarantine show` which, and `floe quarantine retry` bills what can be billed by now ([quarantine.md](quarantine.md)).\n\n\
         | code | meaning | what to do |\n|---|---|---|\n",
    );
    for reason in Quarantined::ALL {
        writeln!(text, "| `{reason}` | {} | {} |", reason.meaning(), reason.cure()).unwrap();
    }
    text.push_str(
        "\n## Dropped\n\nWhat came as a datagram and could not be kept. It never was in the account's lines; `floe account` counts it apart, and exits with 1.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for reason in Dropped::ALL {
        writeln!(text, "| `{reason}` | {} |", reason.meaning()).unwrap();
    }
    text
}

#[test]
fn the_document_lists_every_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons.md");
    if std::env::var_os("FLOE_WRITE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, document(), "run this test with FLOE_WRITE_DOCS=1");
}
