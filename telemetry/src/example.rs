//! Values that satisfy matchers, for label sets that nobody has seen yet.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::labels::{MatchOp, Matcher};

/// A label value that satisfies all of these matchers, which are on one label; the empty text stands for an absent label and is taken only if
/// nothing else is asked for. `None` if none was found: that is no proof that there is none.
#[must_use]
pub fn value(matchers: &[&Matcher]) -> Option<String> {
    let mut candidates: Vec<String> = Vec::new();
    for matcher in matchers {
        match &matcher.op {
            MatchOp::Equal => candidates.push(matcher.value.to_string()),
            // As it was compiled, for as it was written it is in another notation.
            MatchOp::Matches(regex) => candidates.extend(texts(regex.as_str())),
            MatchOp::NotEqual | MatchOp::MatchesNot(_) => {}
        }
    }
    // A preference for a value that is there.
    candidates.sort_by_key(String::is_empty);
    candidates.extend(["", "x", "a", "1", "other"].map(str::to_owned));
    candidates.into_iter().find(|candidate| matchers.iter().all(|matcher| matcher.matches(candidate)))
}

/// Whether no value satisfies both of two matchers, which are on one label. `false` is no proof that one does.
#[must_use]
pub fn exclude(one: &Matcher, other: &Matcher) -> bool {
    let misses = |own: &Matcher, other: &Matcher| all_values(own).is_some_and(|values| values.iter().all(|value| !other.matches(value)));
    let negates = match (&one.op, &other.op) {
        (MatchOp::Equal, MatchOp::NotEqual) | (MatchOp::NotEqual, MatchOp::Equal) => one.value == other.value,
        (MatchOp::Matches(_), MatchOp::MatchesNot(_)) | (MatchOp::MatchesNot(_), MatchOp::Matches(_)) => one.value == other.value,
        _ => false,
    };
    // Patterns are of whole values, so what begins or ends otherwise is another one.
    let are_apart = |kind: ExtractKind| match (ends(one, kind.clone()), ends(other, kind.clone())) {
        (Some(own), Some(others)) => own.iter().all(|own| others.iter().all(|other| differ(own, other, &kind))),
        _ => false,
    };
    negates || misses(one, other) || misses(other, one) || are_apart(ExtractKind::Prefix) || are_apart(ExtractKind::Suffix)
}

/// All values that satisfy a matcher, if they are a few.
fn all_values(matcher: &Matcher) -> Option<Vec<String>> {
    match &matcher.op {
        MatchOp::Equal => Some(vec![matcher.value.to_string()]),
        MatchOp::Matches(_) => {
            let all = ends(matcher, ExtractKind::Prefix)?;
            all.iter().all(Literal::is_exact).then(|| all.iter().map(|own| String::from_utf8_lossy(own.as_bytes()).into_owned()).collect())
        }
        MatchOp::NotEqual | MatchOp::MatchesNot(_) => None,
    }
}

/// What values that satisfy a matcher begin or end with, one of a few; an exact one is the whole value.
fn ends(matcher: &Matcher, kind: ExtractKind) -> Option<Vec<Literal>> {
    match &matcher.op {
        MatchOp::Equal => Some(vec![Literal::exact(matcher.value.as_bytes())]),
        MatchOp::Matches(regex) => {
            let parsed = regex_syntax::Parser::new().parse(regex.as_str()).ok()?;
            Extractor::new().kind(kind).extract(&parsed).literals().map(<[Literal]>::to_vec)
        }
        MatchOp::NotEqual | MatchOp::MatchesNot(_) => None,
    }
}

/// Whether no value begins, or ends, with both.
fn differ(one: &Literal, other: &Literal, kind: &ExtractKind) -> bool {
    let has = |whole: &Literal, part: &Literal| match kind {
        ExtractKind::Suffix => whole.as_bytes().ends_with(part.as_bytes()),
        _ => whole.as_bytes().starts_with(part.as_bytes()),
    };
    match (one.is_exact(), other.is_exact()) {
        (true, true) => one.as_bytes() != other.as_bytes(),
        (true, false) => !has(one, other),
        (false, true) => !has(other, one),
        (false, false) => !has(one, other) && !has(other, one),
    }
}

/// At most so many texts are made of one expression.
const MOST_TEXTS: usize = 64;

/// Texts that match a regular expression, one for each of its alternatives.
fn texts(pattern: &str) -> Vec<String> {
    let Ok(parsed) = regex_syntax::Parser::new().parse(pattern) else { return Vec::new() };
    let mut all = made(&parsed, vec![String::new()]);
    all.dedup();
    all
}

/// The texts that grow out of `begun` by an expression.
fn made(hir: &Hir, begun: Vec<String>) -> Vec<String> {
    let grown = |more: &str| begun.iter().map(|text| format!("{text}{more}")).collect();
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => begun,
        HirKind::Literal(literal) => grown(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => {
            let mut all: Vec<String> =
                begun.iter().flat_map(|text| of_class(class, text).into_iter().map(move |c| format!("{text}{c}"))).collect();
            all.truncate(MOST_TEXTS);
            all
        }
        HirKind::Repetition(repetition) => (0..repetition.min.min(32)).fold(begun, |texts, _| made(&repetition.sub, texts)),
        HirKind::Capture(capture) => made(&capture.sub, begun),
        HirKind::Concat(parts) => parts.iter().fold(begun, |texts, part| made(part, texts)),
        HirKind::Alternation(parts) => {
            let mut all: Vec<String> = parts.iter().flat_map(|part| made(part, begun.clone())).collect();
            all.truncate(MOST_TEXTS);
            all
        }
    }
}

/// The characters of a class of a few, which is how alternatives of one character are read; of a large one a character that reads well after
/// what stands before it.
fn of_class(class: &Class, before: &str) -> Vec<char> {
    const FEW: usize = 8;
    let liked =
        if before.ends_with(|c: char| c.is_ascii_digit()) { ['0', '1', 'x', 'X', '_', '-'] } else { ['x', 'X', '1', '0', '_', '-'] };
    match class {
        Class::Unicode(class) => {
            let all = || class.ranges().iter().flat_map(|range| range.start()..=range.end());
            if all().nth(FEW).is_none() {
                return all().collect();
            }
            let has = |c: &char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(c));
            vec![liked.into_iter().find(has).or_else(|| all().next()).unwrap_or('x')]
        }
        Class::Bytes(class) => vec![class.ranges().first().map_or('x', |range| char::from(range.start()))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse_matchers;

    #[track_caller]
    fn check(matchers: &str, expected: Option<&str>) {
        let matchers = parse_matchers(matchers).expect("matchers");
        assert_eq!(value(&matchers.iter().collect::<Vec<_>>()).as_deref(), expected, "{matchers:?}");
    }

    #[test]
    fn matchers_that_no_value_satisfies_exclude_each_other() {
        let check = |matchers: &str, expected: bool| {
            let matchers = parse_matchers(matchers).expect("matchers");
            let [one, other] = &matchers[..] else { panic!("{matchers:?}") };
            assert_eq!((exclude(one, other), exclude(other, one)), (expected, expected), "{matchers:?}");
            if expected {
                assert_eq!(value(&[one, other]), None, "{matchers:?}");
            }
        };
        check(r#"a="b",a="c""#, true);
        check(r#"a="b",a!="c""#, false);
        check(r#"a="b",a!="b""#, true);
        check(r#"a=~"ap.*",a=~"t.*""#, true);
        check(r#"a=~"ap.*",a=~"a.*""#, false);
        check(r#"a=~"api|web",a=~"db|cache""#, true);
        check(r#"a=~"api|web",a=~"web|cache""#, false);
        check(r#"a=~".*-api",a=~".*-web""#, true);
        check(r#"a=~"ap.*",a!~"ap.*""#, true);
        check(r#"a=~"api|app",a!~"ap.*""#, true);
        check(r#"a=~".*",a=~"x""#, false);
        check(r#"a!="b",a!="c""#, false);
        check(r#"a=~"(?i)api",a=~"API""#, false);
        check(r#"a=~"",a=~"b""#, true);
    }

    #[test]
    fn a_value_satisfies_every_matcher_on_its_label() {
        check(r#"a="b""#, Some("b"));
        check(r#"a=~"5..""#, Some("500"));
        check(r#"a=~"4..|5..",a!~"4..""#, Some("500"));
        check(r#"a=~"web-[0-9]+""#, Some("web-1"));
        check(r#"a=~"(GET|PUT)",a!="GET""#, Some("PUT"));
        check(r#"a=~"a|b",a!="a""#, Some("b"));
        check(r#"a=~".+""#, Some("x"));
        check(r#"a=~".*",a!="""#, Some("x"));
        check(r#"a!="b""#, Some(""));
        check(r#"a="b",a="c""#, None);
        check(r#"a=~"(?i)ready""#, Some("READY"));
        check(r#"a=~"\\Qa.b\\E\\d""#, Some("a.b1"));
    }
}
