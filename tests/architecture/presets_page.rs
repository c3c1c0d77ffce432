//! The part of docs/presets.md that says what is in the files of the presets.

use std::fmt::Write as _;

use floe::config::presets::{self, Example, Field, Preset, Role};

/// Behind it nothing is written by hand.
pub const BEGIN: &str = "<!-- From here on this page is made of config/presets/. -->\n";

/// What stands behind [`BEGIN`].
pub fn text() -> String {
    let presets = presets::built_in();
    let mut page = String::from("\n## What there is\n\n| preset | grade | |\n|---|---|---|\n");
    for preset in &presets {
        let Preset { name, about, .. } = &**preset;
        line(&mut page, &format!("| [{name}](#{name}) | {} | {} |", preset.grade.letter(), cell(about)));
    }
    page.push_str("\nLoggers of applications:\n\n| logger | time | its type | level | message |\n|---|---|---|---|---|\n");
    for preset in presets.iter().filter(|preset| is_logger(preset)) {
        let time = of_role(preset, Role::Time);
        let row = [
            format!("[{0}](#{0})", preset.name),
            time.iter().map(|field| code(&field.path.to_string())).collect::<Vec<_>>().join(", "),
            time.iter().filter_map(|field| type_of(field)).collect::<Vec<_>>().join(", "),
            paths(preset, Role::Level),
            paths(preset, Role::Event),
        ];
        line(&mut page, &format!("| {} |", row.join(" | ")));
    }
    for preset in &presets {
        section(&mut page, preset);
    }
    page
}

/// Presets of software that writes logs for others.
fn is_logger(preset: &Preset) -> bool {
    preset.value("message").is_some() && ["id", "duration_ms"].iter().all(|name| preset.value(name).is_none())
}

fn section(page: &mut String, preset: &Preset) {
    let Preset { name, about, billing, .. } = preset;
    line(page, &format!("\n## {name}\n\n{about}. Grade {}.\n", preset.grade.letter()));
    line(page, billing.trim());
    if let Some(Example { line: example, rule, event }) = &preset.example {
        line(page, &format!("\nA line, a rule and the event:\n\n```text\n{example}\n```\n"));
        line(page, &format!("```toml\n[[rules]]\nid = \"example\"\n{rule}\n```\n\n```json\n{event}\n```"));
    }
    let values: Vec<_> = preset.values.iter().map(|(name, _)| code(&format!("@preset.{name}"))).collect();
    line(page, &format!("\nValues: {}.\n\n| field | type | role | |\n|---|---|---|---|", values.join(", ")));
    for field in &preset.fields {
        let role = field.role.map_or("", Role::name);
        let path = code(&field.path.to_string());
        let of_type = type_of(field).unwrap_or_default();
        line(page, &format!("| {path} | {of_type} | {role} | {} |", cell(&field.about)));
    }
}

fn of_role(preset: &Preset, role: Role) -> Vec<&Field> {
    preset.fields.iter().filter(|field| field.role == Some(role)).collect()
}

fn paths(preset: &Preset, role: Role) -> String {
    let fields = of_role(preset, role);
    fields.iter().map(|field| code(&field.path.to_string())).collect::<Vec<_>>().join(", ")
}

fn type_of(field: &Field) -> Option<String> {
    (!field.type_text.is_empty()).then(|| code(&field.type_text))
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// In a cell of a table `|` ends the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(page: &mut String, text: &str) {
    let _ = writeln!(page, "{text}");
}
