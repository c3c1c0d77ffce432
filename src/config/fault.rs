//! What is wrong with a config: where, why and the cure. All of it is told at once, so nothing here stops at the
//! first.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::warning::WarningCode;

/// A piece of one of the texts that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: FileIndex,
    /// Bytes of the file's text.
    pub span: Range<usize>,
}

impl Place {
    /// What stands earlier comes first.
    #[must_use]
    pub fn order(&self) -> (FileIndex, usize) {
        (self.file, self.span.start)
    }
}

/// Which of the texts of [`Faults`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIndex(pub usize);

/// A text that was read, under the name that the operator knows it by.
#[derive(Debug, Clone)]
pub struct SourceText {
    pub name: String,
    pub text: String,
}

/// In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Floe does not start with it.
    Fault,
    /// Floe starts, but somebody should look.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    pub severity: Severity,
    /// Of a warning, what an operator silences it by.
    pub code: Option<WarningCode>,
    /// `None` where no text is to blame: a file that cannot be read.
    pub place: Option<Place>,
    pub message: String,
    /// Said at the underlined text.
    pub label: Option<String>,
    /// The cure.
    pub hint: Option<String>,
    /// A second place that belongs to it, and what it is.
    pub beside: Option<Box<(Place, String)>>,
}

impl Fault {
    #[must_use]
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), ..Self::nowhere(message) }
    }

    #[must_use]
    pub fn warning(code: WarningCode, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code: Some(code), ..Self::at(place, message) }
    }

    /// A fault that no text is to blame for.
    #[must_use]
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            code: None,
            place: None,
            message: message.into(),
            label: None,
            hint: None,
            beside: None,
        }
    }

    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint: hint.or(self.hint), ..self }
    }

    #[must_use]
    pub fn beside(self, place: &Place, label: impl Into<String>) -> Self {
        Self { beside: Some(Box::new((place.clone(), label.into()))), ..self }
    }
}

/// All that is wrong, with the texts that it is wrong in.
#[derive(Debug, Clone)]
pub struct Faults {
    texts: Vec<SourceText>,
    /// In the order of the texts and of their lines.
    list: Vec<Fault>,
}

impl Faults {
    #[must_use]
    pub fn new(texts: Vec<SourceText>, mut list: Vec<Fault>) -> Self {
        list.sort_by_key(|fault| (fault.severity, fault.place.as_ref().map(Place::order)));
        Self { texts, list }
    }

    /// The same with more, of the same texts.
    #[must_use]
    pub fn with(self, more: Vec<Fault>) -> Self {
        let Self { texts, mut list } = self;
        list.extend(more);
        Self::new(texts, list)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many keep Floe from starting.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.list.iter().filter(|fault| fault.severity == Severity::Fault).count()
    }

    #[must_use]
    pub fn warnings(&self) -> usize {
        self.list.len() - self.faults()
    }

    /// `floe.toml:3:14`; the name alone where no text is to blame.
    #[must_use]
    pub fn position(&self, place: &Place) -> String {
        position(&self.texts, place)
    }

    /// One line for each: `floe.toml:3:14: fault: unknown key "sorce"`, `…: warning[untested]: …`.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let line = |fault: &Fault| {
            let position = fault.place.as_ref().map_or_else(String::new, |place| self.position(place) + ": ");
            let code = fault.code.map_or_else(String::new, |code| format!("[{}]", code.code()));
            format!("{position}{}{code}: {}", severity_name(fault.severity), fault.message)
        };
        self.list.iter().map(line).collect()
    }

    /// The report as people read it; its last line counts.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut report = String::new();
        for fault in &self.list {
            report.push_str(self.render_one(fault, &renderer).trim_end());
            report.push_str("\n\n");
        }
        report + &self.count()
    }

    /// `2 faults, 1 warning`.
    #[must_use]
    pub fn count(&self) -> String {
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}", plural(self.faults(), "fault"), plural(self.warnings(), "warning"))
    }

    fn render_one(&self, fault: &Fault, renderer: &Renderer) -> String {
        let level = match fault.severity {
            Severity::Fault => Level::ERROR,
            Severity::Warning => Level::WARNING,
        }
        .with_name(severity_name(fault.severity));
        let title = level.primary_title(fault.message.as_str());
        let title = match fault.code {
            Some(code) => title.id(code.code()),
            None => title,
        };
        let mut group = title.elements(self.snippets(fault));
        let Some(hint) = &fault.hint else { return renderer.render(&[group]) };
        let level = Level::HELP.with_name("hint");
        if fault.place.is_none() {
            return renderer.render(&[group, Group::with_title(level.secondary_title(hint.as_str()))]);
        }
        group = group.element(level.message(hint.as_str()));
        renderer.render(&[group])
    }

    /// The text underlined; the second place in the same picture where it is of the same file.
    fn snippets<'a>(&'a self, fault: &'a Fault) -> Vec<Snippet<'a, Annotation<'a>>> {
        let Some(place) = &fault.place else { return Vec::new() };
        let mut main = self.snippet(place, AnnotationKind::Primary, fault.label.as_deref());
        let mut more = None;
        if let Some((other, label)) = fault.beside.as_deref() {
            if other.file == place.file {
                main = main.annotation(self.annotation(other, AnnotationKind::Context, Some(label)));
            } else {
                more = Some(self.snippet(other, AnnotationKind::Context, Some(label)));
            }
        }
        std::iter::once(main).chain(more).collect()
    }

    fn snippet<'a>(
        &'a self,
        place: &Place,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Snippet<'a, Annotation<'a>> {
        let source = &self.texts[place.file.0];
        Snippet::source(source.text.as_str())
            .path(source.name.as_str())
            .annotation(self.annotation(place, kind, label))
    }

    fn annotation<'a>(&self, place: &Place, kind: AnnotationKind, label: Option<&'a str>) -> Annotation<'a> {
        kind.span(one_line(&self.texts[place.file.0].text, &place.span)).label(label)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

/// `floe.toml:3:14`, lines and columns (of characters) counted from 1.
#[must_use]
pub fn position(texts: &[SourceText], place: &Place) -> String {
    let source = &texts[place.file.0];
    let before = &source.text[..one_line(&source.text, &place.span).start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}", source.name)
}

/// The word that best stands for a mistyped one.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let allowed = match word.chars().count() {
        0..=1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?", else the list of what there is.
#[must_use]
pub fn did_you_mean(word: &str, candidates: &[&str], what: &str) -> String {
    if let Some(candidate) = nearest(word, candidates.iter().copied()) {
        return format!("did you mean \"{candidate}\"?");
    }
    let list = candidates.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!("{what} {list}")
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Fault => "fault",
        Severity::Warning => "warning",
    }
}

/// The part of a span on its first line, on the borders of characters: a table that spans forty lines is pointed
/// at, not printed.
fn one_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let first = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
    start..first
}
