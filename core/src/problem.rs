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

    /// The same in other words, path and all: for a file that was read from another place than people know it by.
    #[must_use]
    pub fn reworded(self, words: impl Fn(&str) -> String) -> Self {
        let place = self.place.map(|place| {
            let file = Arc::new(SourceFile { path: words(&place.file.path), text: place.file.text.clone() });
            Place { file, ..place }
        });
        let (message, path, remedy) = (words(&self.message), words(&self.path), self.remedy.as_deref().map(&words));
        Self { message, path, remedy, place, ..self }
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

/// The known word nearest to `given`, if one is near enough to be a slip of the finger: at most a third of its letters are other ones.
#[must_use]
pub fn near_miss<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = given.chars().count();
    let allowed = length / 3;
    let mut distance = Distance::from(given);
    let mut nearest: Option<(usize, &str)> = None;
    for word in known {
        // A word that is longer or shorter by more is further away than that, and most known words are.
        if length.abs_diff(word.chars().count()) > allowed {
            continue;
        }
        let most = nearest.map_or(allowed, |(least, _)| least);
        if let Some(found) = distance.to(word, most) {
            nearest = Some(nearest.map_or((found, *word), |nearest| nearest.min((found, *word))));
        }
    }
    nearest.map(|(_, word)| word)
}

/// How far words are from one: insertions, deletions, replacements and swaps of neighbours that turn it into them, letters of either case alike
/// (optimal string alignment: Boytsov 2011, "Indexing methods for approximate dictionary searching", section 2.1).
struct Distance {
    from: Vec<char>,
    kinds: u64,
    to: Vec<char>,
    /// The row that is being filled and the two before it, the latest last.
    rows: [Vec<usize>; 3],
}

impl Distance {
    fn from(word: &str) -> Self {
        Self { from: lowered(word).collect(), kinds: kinds(word), to: Vec::new(), rows: Default::default() }
    }

    /// The distance to a word, if it is at most so much.
    fn to(&mut self, word: &str, most: usize) -> Option<usize> {
        // An edit brings in one letter and takes out one at most.
        let (own, other) = (self.kinds, kinds(word));
        if (own & !other).count_ones().max((other & !own).count_ones()) as usize > most {
            return None;
        }
        self.to.clear();
        self.to.extend(lowered(word));
        let [before, above, row] = &mut self.rows;
        above.clear();
        above.extend(0..=self.to.len());
        for (i, letter) in self.from.iter().enumerate() {
            row.clear();
            row.push(i + 1);
            for (j, other) in self.to.iter().enumerate() {
                let replaced = above[j] + usize::from(letter != other);
                let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
                if i > 0 && j > 0 && *letter == self.to[j - 1] && self.from[i - 1] == *other {
                    best = best.min(before[j - 1] + 1);
                }
                row.push(best);
            }
            // What follows builds on this row and the one before it, and never becomes less.
            if row.iter().chain(above.iter()).all(|distance| *distance > most) {
                return None;
            }
            std::mem::swap(before, above);
            std::mem::swap(above, row);
        }
        above.last().copied().filter(|distance| *distance <= most)
    }
}

fn lowered(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase)
}

/// Which of 64 kinds of letters a word has, letters of either case alike.
fn kinds(word: &str) -> u64 {
    let with = |kinds: u64, letter: u32| kinds | 1 << (letter % 64);
    if word.is_ascii() {
        return word.bytes().fold(0, |kinds, letter| with(kinds, u32::from(letter.to_ascii_lowercase())));
    }
    lowered(word).fold(0, |kinds, letter| with(kinds, u32::from(letter)))
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
    fn a_short_word_is_no_slip_of_another() {
        let check = |given: &str, known: &[&'static str], expected: Option<&str>| assert_eq!(near_miss(given, known), expected, "{given}");
        check("x", &["y", "le", "a"], None);
        check("uq", &["up", "u", "q"], None);
        check("upp", &["up", "pp"], Some("pp"));
        check("upp", &["up", "app"], Some("app"));
        check("ma", &["max", "m"], None);
        check("maxx", &["max", "m"], Some("max"));
        check("go_gc_seconds", &["http_requests_seconds"], None);
        check("API", &["apt", "api"], Some("api"));
        check("burn", &["born", "turf"], Some("born"));
        check("pods", &["nods", "podcast"], Some("nods"));
        check("hours", &["house", "flour"], None);
    }

    #[test]
    fn a_distance_is_told_if_it_is_near_enough() {
        let check = |from: &str, to: &str, distance: usize| {
            let mut from = Distance::from(from);
            assert_eq!(from.to(to, distance), Some(distance), "{to}");
            assert_eq!(from.to(to, distance + 5), Some(distance), "{to}");
            assert_eq!(distance.checked_sub(1).and_then(|most| from.to(to, most)), None, "{to}");
        };
        check("", "", 0);
        check("", "ab", 2);
        check("Größe", "GRÖSSE", 2);
        check("kitten", "sitting", 3);
        check("ab", "ba", 1);
        check("replcias", "replicas", 1);
        check("ca", "abc", 3);
        check("abcdef", "badcfe", 3);
        check("aaaa", "bbbb", 4);
        check("http_requests_total", "http_request_totals", 2);
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
