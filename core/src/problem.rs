//! What is wrong with a file: place, fault, remedy. All problems of a file are reported at once.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// A file's path, as people gave it, and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as given.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A stretch of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<SourceFile>,
    from: usize,
    to: usize,
}

impl Place {
    /// Bytes `from..to` of a file; moved to the nearest character boundaries, and at least one character where there is one.
    #[must_use]
    pub fn new(file: &Arc<SourceFile>, from: usize, to: usize) -> Self {
        let text = &file.text;
        let mut from = from.min(text.len());
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let mut to = to.clamp(from, text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        if to == from {
            to = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
        }
        Self { file: Arc::clone(file), from, to }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &SourceFile {
        &self.file
    }

    /// The bytes meant.
    #[must_use]
    pub const fn range(&self) -> std::ops::Range<usize> {
        self.from..self.to
    }

    /// Bytes `from..to` of this stretch, counted from its start.
    #[must_use]
    pub fn part(&self, from: usize, to: usize) -> Self {
        Self::new(&self.file, (self.from + from).min(self.to), (self.from + to).min(self.to))
    }

    /// From where it begins up to a byte of the file, which may lie beyond its end.
    #[must_use]
    pub fn until(&self, to: usize) -> Self {
        Self::new(&self.file, self.from, to)
    }

    /// Counts from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.file.text[..self.from].matches('\n').count() + 1
    }

    /// Counts characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let line_start = self.file.text[..self.from].rfind('\n').map_or(0, |at| at + 1);
        self.file.text[line_start..self.from].chars().count() + 1
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.path, self.line(), self.column())
    }
}

/// Something read from a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub value: T,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and likely does not do what was meant.
    Warning,
    /// The file can be used, and there is something to know about it.
    Info,
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A code such as `FD0102`, stable across versions.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// Where; `None` if the file as a whole is meant.
    pub place: Option<Place>,
    /// What stands under the caret; may be empty.
    pub label: String,
    /// What would be right.
    pub remedy: Option<String>,
    /// The path, for problems without a place.
    pub path: String,
}

impl Problem {
    /// An error at a place.
    #[must_use]
    pub fn at(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        let path = place.file.path.clone();
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: Some(place.clone()),
            label: String::new(),
            remedy: None,
            path,
        }
    }

    /// An error about a file as a whole.
    #[must_use]
    pub fn in_file(code: &'static str, path: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: String::new(),
            remedy: None,
            path: path.to_owned(),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same as something to know.
    #[must_use]
    pub fn as_info(mut self) -> Self {
        self.severity = Severity::Info;
        self
    }

    /// The same with words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with what would be right.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The problem as a terminal shows it, the offending line with a caret under it; ends without a newline.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Info => Level::INFO,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = match &self.place {
            Some(place) => {
                let annotation = AnnotationKind::Primary.span(place.from..place.to).label(self.label.as_str());
                title.element(Snippet::source(place.file.text.as_str()).path(place.file.path.as_str()).annotation(annotation))
            }
            None => Group::with_title(title).element(annotate_snippets::Origin::path(self.path.as_str())),
        };
        if let Some(remedy) = &self.remedy {
            group = group.element(Level::HELP.message(remedy.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

/// The known word nearest to `given`, if one is near enough to be a slip of the finger.
#[must_use]
pub fn near_miss<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = given.chars().count();
    let allowed = (length / 3).max(1);
    // A word that is longer or shorter by more is further away than that, and most known words are.
    let near = known.iter().filter(|word| word.chars().count().abs_diff(length) <= allowed);
    near.map(|word| (edit_distance(given, word), *word)).filter(|(distance, _)| *distance <= allowed).min().map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other
/// (optimal string alignment: Boytsov 2011, "Indexing methods for approximate dictionary searching", section 2.1).
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.to_lowercase().chars().collect(), right.to_lowercase().chars().collect());
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let known = ["replicas", "workers", "queue", "retries"];
        assert_eq!(near_miss("replcias", &known), Some("replicas"));
        assert_eq!(near_miss("worker", &known), Some("workers"));
        assert_eq!(near_miss("quota", &known), None);
    }

    #[test]
    fn a_problem_shows_its_line_and_its_remedy() {
        let file = Arc::new(SourceFile { path: "shop.yaml".into(), text: "services:\n  api:\n    replcias: 3\n".into() });
        let place = Place::new(&file, 21, 29);
        assert_eq!((place.line(), place.column()), (3, 5));
        let text = Problem::at("FD0101", &place, "unknown key `replcias`")
            .label("not a key of a service")
            .remedy("did you mean `replicas`?")
            .render(false);
        assert!(
            text.contains("shop.yaml:3:5") && text.contains("replcias: 3") && text.contains("^^^^^^^^") && text.contains("did you mean"),
            "{text}"
        );
    }
}
