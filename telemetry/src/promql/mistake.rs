//! What somebody likely meant who wrote what is no PromQL: where the mistake stands, what it is, and what would be right.
//!
//! The parser stops with few words and no place. The commonest mistakes are looked for in the text itself; for the rest its words stand.

use std::ops::Range;

use firedrill_core::problem::near_miss;

/// A mistake in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// Where in the text, in bytes; the whole text if that is not known.
    pub at: Range<usize>,
    /// What would be right, if that can be told.
    pub remedy: Option<String>,
}

/// What the parser says when it has nothing to say.
const UNREAD: &str = "invalid promql query";

/// The functions of PromQL, for those who slip.
const FUNCTIONS: [&str; 76] = [
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "exp",
    "first_over_time",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "idelta",
    "increase",
    "info",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_by_label",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "time",
    "timestamp",
    "vector",
    "year",
];

/// The aggregations, which stand before parentheses as functions do.
const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];

/// Words that need labels in parentheses after them.
const LABEL_LISTS: [&str; 4] = ["by", "without", "on", "ignoring"];

/// Words that stand between two operands.
const WORD_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];

/// Other words of the language that are no names.
const OTHER_WORDS: [&str; 6] = ["group_left", "group_right", "bool", "offset", "start", "end"];

impl Mistake {
    /// The mistake in a text that the parser refused with these words.
    #[must_use]
    pub fn of(text: &str, words: &str) -> Mistake {
        let scene = Scene { text, words, tokens: tokens(text) };
        let found = scene
            .open_string()
            .or_else(|| scene.unbalanced())
            .or_else(|| scene.foreign_operator())
            .or_else(|| scene.bare_labels())
            .or_else(|| scene.unknown_function())
            .or_else(|| scene.told_by_the_parser())
            .or_else(|| scene.bad_neighbours());
        found.unwrap_or_else(|| {
            let message = if words == UNREAD { "this does not read as PromQL" } else { words };
            Mistake { message: message.to_owned(), at: 0..text.len(), remedy: None }
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Text,
    /// A string without its end.
    Open,
    Symbol,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    at: Range<usize>,
    /// Inside braces or brackets, where other rules hold.
    inside: bool,
}

struct Scene<'a> {
    text: &'a str,
    words: &'a str,
    tokens: Vec<Token>,
}

impl<'a> Scene<'a> {
    fn written(&self, token: &Token) -> &'a str {
        &self.text[token.at.clone()]
    }

    fn is(&self, index: usize, symbol: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == Kind::Symbol && self.written(token) == symbol)
    }

    /// A word of the language, whatever its case.
    fn is_word(&self, index: usize, words: &[&str]) -> bool {
        let token = self.tokens.get(index).filter(|token| token.kind == Kind::Word);
        token.is_some_and(|token| words.iter().any(|word| word.eq_ignore_ascii_case(self.written(token))))
    }

    fn mistake(&self, token: &Token, message: impl Into<String>, remedy: impl Into<String>) -> Option<Mistake> {
        Some(Mistake { message: message.into(), at: token.at.clone(), remedy: Some(remedy.into()) })
    }

    fn open_string(&self) -> Option<Mistake> {
        let token = self.tokens.iter().find(|token| token.kind == Kind::Open)?;
        let quote = &self.text[token.at.start..=token.at.start];
        self.mistake(token, "this string is never closed", format!("close it with {quote}"))
    }

    fn unbalanced(&self) -> Option<Mistake> {
        let mut open: Vec<&Token> = Vec::new();
        for token in self.tokens.iter().filter(|token| token.kind == Kind::Symbol) {
            let symbol = self.written(token);
            match symbol {
                "(" | "[" | "{" => open.push(token),
                ")" | "]" | "}" => match open.pop() {
                    Some(opening) if closing(self.written(opening)) == symbol => {}
                    Some(opening) => {
                        let wanted = closing(self.written(opening));
                        return self.mistake(
                            opening,
                            format!("this is never closed: `{symbol}` comes first"),
                            format!("close it with `{wanted}`"),
                        );
                    }
                    None => return self.mistake(token, format!("nothing opens this `{symbol}`"), "remove it, or open it before"),
                },
                _ => {}
            }
        }
        let opening = open.last()?;
        self.mistake(opening, "this is never closed", format!("close it with `{}`", closing(self.written(opening))))
    }

    fn foreign_operator(&self) -> Option<Mistake> {
        self.tokens.iter().filter(|token| token.kind == Kind::Symbol && !token.inside).find_map(|token| match self.written(token) {
            "&&" => self.mistake(token, "`&&` is no operator", "write `and`"),
            "||" => self.mistake(token, "`||` is no operator", "write `or`"),
            "<>" => self.mistake(token, "`<>` is no operator", "write `!=`"),
            "!" => self.mistake(token, "`!` is no operator", "write `unless` between two series, or `!=` before a number"),
            "=" => self.mistake(token, "`=` compares labels, in braces only", "write `==` to compare values"),
            "=~" | "!~" => self.mistake(token, "patterns are for labels, in braces only", "write `==` or `!=` to compare values"),
            _ => None,
        })
    }

    fn bare_labels(&self) -> Option<Mistake> {
        let index = (0..self.tokens.len()).find(|index| {
            self.is_word(*index, &LABEL_LISTS) && !self.tokens[*index].inside && !self.is(index + 1, "(") && !self.is_name(*index)
        })?;
        let word = self.written(&self.tokens[index]);
        let is_label = |token: &&Token| token.kind == Kind::Word || self.written(token) == ",";
        let names: Vec<&str> =
            self.tokens[index + 1..].iter().take_while(is_label).map(|token| self.written(token)).filter(|name| *name != ",").collect();
        let names = if names.is_empty() { "job".to_owned() } else { names.join(", ") };
        self.mistake(&self.tokens[index], format!("`{word}` needs its labels in parentheses"), format!("write `{word} ({names})`"))
    }

    /// Whether a word of the language is used as a metric's name: nothing that it could belong to stands around it.
    fn is_name(&self, index: usize) -> bool {
        self.tokens.len() == 1 || self.is(index + 1, "{") || self.is(index + 1, "[")
    }

    fn unknown_function(&self) -> Option<Mistake> {
        let known: Vec<&str> = FUNCTIONS.iter().chain(&AGGREGATIONS).copied().collect();
        let words = [&LABEL_LISTS[..], &WORD_OPERATORS, &OTHER_WORDS].concat();
        let is_unknown = |index: &usize| {
            let token = &self.tokens[*index];
            let says_so = self.words.contains(&format!("function with name \"{}\"", self.written(token)));
            let is_known = self.is_word(*index, &known) || self.is_word(*index, &words);
            token.kind == Kind::Word && !token.inside && self.is(index + 1, "(") && (says_so || !is_known && self.words == UNREAD)
        };
        let token = &self.tokens[(0..self.tokens.len()).find(is_unknown)?];
        let name = self.written(token);
        // Whoever stops short means the longer word, and a shorter name is as near by chance.
        let longer = known.iter().copied().find(|known| name.len() >= 3 && known.strip_prefix(name).is_some_and(|rest| rest.len() == 1));
        let remedy = longer.or_else(|| near_miss(name, &known)).map(|near| format!("did you mean `{near}`?"));
        Some(Mistake { message: format!("there is no function `{name}`"), at: token.at.clone(), remedy })
    }

    /// What the parser tells in its own words, with a place and a remedy.
    fn told_by_the_parser(&self) -> Option<Mistake> {
        let words = self.words;
        if let Some(function) = quoted_after(words, "in call to function ") {
            return self.range_mistake(function);
        }
        if let Some(function) = quoted_after(words, "in call to ") {
            return self.mistake(
                self.word(function)?,
                words,
                format!("see how `{function}` is called: its arguments stand apart by commas"),
            );
        }
        if words.starts_with("wrong number of arguments for aggregate") {
            let index = (0..self.tokens.len()).find(|index| self.is_word(*index, &AGGREGATIONS) && self.is(index + 1, "("))?;
            let name = self.written(&self.tokens[index]);
            let remedy = match name {
                "topk" | "bottomk" | "limitk" => format!("write `{name}(5, …)`"),
                "quantile" | "limit_ratio" => format!("write `{name}(0.9, …)`"),
                "count_values" => "write `count_values(\"value\", …)`".to_owned(),
                _ => format!("`{name}` takes one expression"),
            };
            return self.mistake(&self.tokens[index], words, remedy);
        }
        if words.starts_with("ranges only allowed") {
            let index = (1..self.tokens.len()).find(|index| self.is(*index, "[") && self.is(index - 1, ")"))?;
            return self.mistake(
                &self.tokens[index],
                "only selectors have ranges",
                "a range of an expression is a subquery: write `[5m:]`",
            );
        }
        if words.starts_with("timestamp out of bounds") || words.starts_with("a moment over a thousand years") {
            let at = (0..self.tokens.len()).find(|index| self.is(*index, "@"))?;
            let token = self.tokens[at + 1..].iter().find(|token| token.kind != Kind::Symbol)?;
            let message = format!("`{}` is over a thousand years away from 1970", self.written(token));
            return self.mistake(token, message, "write seconds since 1970, as in `@ 1767603600`, or `@ start()`");
        }
        if let Some(literal) = words.strip_prefix("bad number or duration syntax: ") {
            let token = self.tokens.iter().find(|token| token.kind == Kind::Number && self.written(token).starts_with(literal.trim()))?;
            let message = format!("`{}` is neither a number nor a duration", self.written(token));
            return self.mistake(token, message, "write durations as `30s`, `5m` or `1h30m`, and numbers without a unit");
        }
        if let Some(name) = quoted_after(words, "unexpected identifier ") {
            let token = self
                .tokens
                .iter()
                .find(|token| token.inside && token.kind == Kind::Word && self.written(token) == name && self.follows_operator(token))?;
            return self.mistake(token, format!("the value `{name}` has no quotes"), format!("write \"{name}\""));
        }
        if let Some((pattern, _)) = words.strip_prefix("the regular expression `").and_then(|rest| rest.split_once("` is wrong: ")) {
            // A backslash in it may be written as two.
            let is_it = |written: &str| written.contains(pattern) || written.replace(r"\\", r"\").contains(pattern);
            let token = self.tokens.iter().find(|token| token.kind == Kind::Text && is_it(self.written(token)))?;
            return self.mistake(token, words, "write a regular expression as RE2 has it");
        }
        if words.contains("must use BOOL modifier") {
            let index =
                (0..self.tokens.len()).find(|index| ["==", "!=", "<", ">", "<=", ">="].iter().any(|symbol| self.is(*index, symbol)))?;
            let symbol = self.written(&self.tokens[index]);
            return self.mistake(
                &self.tokens[index],
                "two numbers are compared, which leaves no series",
                format!("write `{symbol} bool`, or compare series"),
            );
        }
        None
    }

    /// A function that wants a range and has none, or the other way round.
    fn range_mistake(&self, function: &str) -> Option<Mistake> {
        let token = self.word(function)?;
        if self.words.contains("expected type matrix") {
            let rest = self.text[token.at.end..].trim_start();
            let inner = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inner, _)| inner.trim());
            let example = inner.filter(|inner| inner.len() < 30 && !inner.contains(['(', '[', ','])).unwrap_or("x");
            return self.mistake(
                token,
                format!("`{function}` looks back over a range, and there is none"),
                format!("write `{function}({example}[5m])`"),
            );
        }
        if self.words.contains("got matrix") {
            let over_time = format!("{function}_over_time");
            let remedy = if FUNCTIONS.contains(&over_time.as_str()) {
                format!("remove the range, or write `{over_time}`")
            } else {
                "remove the range".to_owned()
            };
            return self.mistake(token, format!("`{function}` takes no range"), remedy);
        }
        None
    }

    fn word(&self, name: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.kind == Kind::Word && self.written(token) == name)
    }

    fn follows_operator(&self, token: &Token) -> bool {
        self.text[..token.at.start].trim_end().ends_with(['=', '~'])
    }

    /// Two things side by side that cannot be.
    fn bad_neighbours(&self) -> Option<Mistake> {
        for (index, token) in self.tokens.iter().enumerate().filter(|(_, token)| !token.inside) {
            let written = self.written(token);
            let is_operator = self.is_operator(index);
            let is_sign = is_operator && matches!(written, "+" | "-");
            let opens = index == 0 || self.is(index - 1, "(") || self.is(index - 1, ",");
            if is_operator && !is_sign && (opens || self.is_operator(index - 1)) {
                return self.mistake(token, format!("`{written}` has nothing on its left"), "an operator stands between two operands");
            }
            let ends = index + 1 == self.tokens.len() || self.is(index + 1, ")") || self.is(index + 1, ",");
            if is_operator && ends {
                let percent = if written == "%" { "; a share is written as a number: `0.05`" } else { "" };
                return self.mistake(
                    token,
                    format!("`{written}` has nothing on its right"),
                    format!("an operator stands between two operands{percent}"),
                );
            }
            if index > 0 && self.begins_operand(index) && self.ends_operand(index - 1) {
                let before = self.written(&self.tokens[index - 1]);
                let message = format!("nothing stands between `{before}` and `{written}`");
                return self.mistake(token, message, "put an operator between them, a comma, or parentheses around what belongs together");
            }
        }
        None
    }

    fn is_operator(&self, index: usize) -> bool {
        let symbols = ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="];
        self.is_word(index, &WORD_OPERATORS) || symbols.iter().any(|symbol| self.is(index, symbol))
    }

    fn is_language(&self, index: usize) -> bool {
        self.is_word(index, &LABEL_LISTS) || self.is_word(index, &WORD_OPERATORS) || self.is_word(index, &OTHER_WORDS)
    }

    fn begins_operand(&self, index: usize) -> bool {
        let token = &self.tokens[index];
        match token.kind {
            Kind::Word => !self.is_language(index),
            Kind::Number | Kind::Text | Kind::Open => true,
            Kind::Symbol => false,
        }
    }

    fn ends_operand(&self, index: usize) -> bool {
        let token = &self.tokens[index];
        match token.kind {
            Kind::Word => !self.is_language(index),
            Kind::Number | Kind::Text | Kind::Open => true,
            Kind::Symbol if self.is(index, ")") => !self.closes_matching(index),
            Kind::Symbol => self.is(index, "]") || self.is(index, "}"),
        }
    }

    /// Whether a parenthesis closes the labels of `on`, `ignoring`, `group_left` or `group_right`, after which an operand comes.
    fn closes_matching(&self, index: usize) -> bool {
        let mut depth = 0;
        for earlier in (0..=index).rev() {
            if self.is(earlier, ")") {
                depth += 1;
            } else if self.is(earlier, "(") {
                depth -= 1;
                if depth == 0 {
                    return earlier > 0 && self.is_word(earlier - 1, &["on", "ignoring", "group_left", "group_right"]);
                }
            }
        }
        false
    }
}

fn closing(opening: &str) -> &'static str {
    match opening {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// The text in double quotes that follows these words.
fn quoted_after<'t>(text: &'t str, words: &str) -> Option<&'t str> {
    let rest = &text[text.find(words)? + words.len()..];
    rest.strip_prefix('"')?.split_once('"').map(|(quoted, _)| quoted)
}

/// Cuts a text into tokens, whatever it is.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    while let Some(c) = text[from..].chars().next() {
        let rest = &text[from..];
        let while_word = |also: &[char]| rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || also.contains(&c))).unwrap_or(rest.len());
        let (kind, length) = match c {
            _ if c.is_whitespace() => (None, c.len_utf8()),
            '#' => (None, rest.find('\n').unwrap_or(rest.len())),
            '"' | '\'' | '`' => match string_end(rest, c) {
                Some(end) => (Some(Kind::Text), end),
                None => (Some(Kind::Open), rest.lines().next().map_or(rest.len(), str::len)),
            },
            '$' => (Some(Kind::Text), 1 + rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len() - 1)),
            _ if c.is_ascii_digit() => (Some(Kind::Number), while_word(&['.'])),
            // Within brackets a colon stands alone.
            _ if c.is_alphabetic() || c == '_' => (Some(Kind::Word), while_word(&[':'])),
            _ => {
                let double = ["==", "!=", "<=", ">=", "=~", "!~", "&&", "||", "<>"].iter().any(|symbol| rest.starts_with(symbol));
                (Some(Kind::Symbol), if double { 2 } else { c.len_utf8() })
            }
        };
        if let Some(kind) = kind {
            let closes = matches!(c, '}' | ']') && kind == Kind::Symbol;
            let opens = matches!(c, '{' | '[') && kind == Kind::Symbol;
            depth = if closes { depth.saturating_sub(1) } else { depth };
            tokens.push(Token { kind, at: from..from + length, inside: depth > 0 });
            depth += usize::from(opens);
        }
        from += length;
    }
    tokens
}

/// Where a string ends, quotes included.
fn string_end(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        if c == quote {
            return Some(index + 1);
        }
        if c == '\\' && quote != '`' {
            characters.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Plan, PlanError};
    use proptest::prelude::*;

    /// Checks the words on a mistake, the stretch of text that it points at, and the remedy.
    #[track_caller]
    fn check(text: &str, message: &str, at: &str, remedy: &str) {
        let Err(PlanError::Parse { message: words }) = Plan::parse_with_parameters(text) else { panic!("{text} reads well") };
        let found = Mistake::of(text, &words);
        assert_eq!(
            (found.message.as_str(), &text[found.at.clone()], found.remedy.as_deref().unwrap_or_default()),
            (message, at, remedy),
            "{words}"
        );
    }

    #[test]
    fn labels_without_parentheses_are_recognised() {
        check("sum by service (up)", "`by` needs its labels in parentheses", "by", "write `by (service)`");
        check("sum(up) BY job, pod", "`BY` needs its labels in parentheses", "BY", "write `BY (job, pod)`");
        check("a / on pod b", "`on` needs its labels in parentheses", "on", "write `on (pod, b)`");
        check("sum by (service up)", "nothing stands between `service` and `up`", "up", NEIGHBOURS);
    }

    const NEIGHBOURS: &str = "put an operator between them, a comma, or parentheses around what belongs together";

    #[test]
    fn brackets_and_strings_are_paired() {
        check("sum(rate(up[5m])", "this is never closed", "(", "close it with `)`");
        check("sum(up))", "nothing opens this `)`", ")", "remove it, or open it before");
        check("sum(up{a=\"b\")", "this is never closed: `)` comes first", "{", "close it with `}`");
        check("rate(up[5m)", "this is never closed: `)` comes first", "[", "close it with `]`");
        check("up{job=\"a}", "this string is never closed", "\"a}", "close it with \"");
    }

    #[test]
    fn functions_are_recognised_by_what_they_are_like() {
        check("rat(up[5m])", "there is no function `rat`", "rat", "did you mean `rate`?");
        check("sum(incrase(up[5m]))", "there is no function `incrase`", "incrase", "did you mean `increase`?");
        check("frobnicate(up)", "there is no function `frobnicate`", "frobnicate", "");
    }

    #[test]
    fn ranges_are_where_they_belong() {
        check("rate(up) > 0", "`rate` looks back over a range, and there is none", "rate", "write `rate(up[5m])`");
        check(
            "sum(increase(up{a=\"b\"}))",
            "`increase` looks back over a range, and there is none",
            "increase",
            "write `increase(up{a=\"b\"}[5m])`",
        );
        let moment = "write seconds since 1970, as in `@ 1767603600`, or `@ start()`";
        check("up @ 1e300", "`1e300` is over a thousand years away from 1970", "1e300", moment);
        check("up @ -Inf", "`Inf` is over a thousand years away from 1970", "Inf", moment);
        check("absent(up[5m])", "`absent` takes no range", "absent", "remove the range, or write `absent_over_time`");
        check("rate(sum(up)[5m])", "only selectors have ranges", "[", "a range of an expression is a subquery: write `[5m:]`");
        let remedy = "write durations as `30s`, `5m` or `1h30m`, and numbers without a unit";
        check("rate(up[5minutes])", "`5minutes` is neither a number nor a duration", "5minutes", remedy);
        check("up > 5k", "`5k` is neither a number nor a duration", "5k", remedy);
    }

    #[test]
    fn operators_of_other_languages_are_translated() {
        check("up && up", "`&&` is no operator", "&&", "write `and`");
        check("up || up", "`||` is no operator", "||", "write `or`");
        check("up = 1", "`=` compares labels, in braces only", "=", "write `==` to compare values");
        check("up == ", "`==` has nothing on its right", "==", "an operator stands between two operands");
        check(
            "up > 5%",
            "`%` has nothing on its right",
            "%",
            "an operator stands between two operands; a share is written as a number: `0.05`",
        );
        check("up and or up", "`or` has nothing on its left", "or", "an operator stands between two operands");
        check("up{} up", "nothing stands between `}` and `up`", "up", NEIGHBOURS);
        check("sum by (job) rate(up[5m])", "nothing stands between `)` and `rate`", "rate", NEIGHBOURS);
        check("1 > 2", "two numbers are compared, which leaves no series", ">", "write `> bool`, or compare series");
    }

    #[test]
    fn matchers_and_arguments_are_placed() {
        check("up{job=a}", "the value `a` has no quotes", "a", "write \"a\"");
        check(
            "up{job=~\"a(\"}",
            "the regular expression `a(` is wrong: unclosed group",
            "\"a(\"",
            "write a regular expression as RE2 has it",
        );
        check(
            r#"up{job!~"a\\Z"}"#,
            r"the regular expression `a\Z` is wrong: `\Z` is no escape of regular expressions here",
            r#""a\\Z""#,
            "write a regular expression as RE2 has it",
        );
        let words = "wrong number of arguments for aggregate expression provided, expected 2, got 1";
        check("topk(up)", words, "topk", "write `topk(5, …)`");
        let words = "expected 2 argument(s) in call to \"histogram_quantile\", got 1";
        check(
            "histogram_quantile(up)",
            words,
            "histogram_quantile",
            "see how `histogram_quantile` is called: its arguments stand apart by commas",
        );
    }

    proptest! {
        #[test]
        fn any_text_has_its_mistake_within_it(text in "[a-z(){}\\[\\]\"'`$#=~<>&|!%,. 0-9\\\\ä\n]{0,40}") {
            let found = Mistake::of(&text, "invalid promql query");
            prop_assert!(text.get(found.at).is_some());
        }
    }
}
