//! A template's text in tokens, as Go's `text/template` cuts it.

use super::fault::Fault;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// What stands outside of actions.
    Text(String),
    /// `{{`, trimming included.
    Left,
    /// `}}`, trimming included.
    Right,
    Space,
    Open,
    Close,
    Pipe,
    Comma,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    Dot,
    /// `.name`
    Field(String),
    /// `$` or `$name`
    Variable(String),
    /// A function, a keyword, or a truth value.
    Word(String),
    Character(String),
    /// A quoted or raw text, as it is written.
    Quoted(String),
    Number(String),
    End,
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), depth: 0 };
    lexer.text()?;
    lexer.tokens.push(Token::End);
    Ok(lexer.tokens)
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'t> {
    rest: &'t str,
    tokens: Vec<Token>,
    /// Parentheses that are open.
    depth: usize,
}

impl Lexer<'_> {
    fn text(&mut self) -> Result<(), Fault> {
        let mut is_trimmed = false;
        loop {
            let end = self.rest.find("{{").unwrap_or(self.rest.len());
            let (mut text, after) = self.rest.split_at(end);
            if is_trimmed {
                text = text.trim_start_matches(SPACES);
            }
            let is_trimming = after.strip_prefix("{{-").is_some_and(|rest| rest.starts_with(SPACES));
            if is_trimming {
                text = text.trim_end_matches(SPACES);
            }
            if !text.is_empty() {
                self.tokens.push(Token::Text(text.to_owned()));
            }
            if after.is_empty() {
                return Ok(());
            }
            self.rest = &after[if is_trimming { 3 } else { 2 }..];
            let inner = if is_trimming { &self.rest[1..] } else { self.rest };
            is_trimmed = if inner.starts_with("/*") {
                self.rest = inner;
                self.comment()?
            } else {
                self.tokens.push(Token::Left);
                self.action()?
            };
        }
    }

    /// A comment; whether what follows is trimmed.
    fn comment(&mut self) -> Result<bool, Fault> {
        let end = self.rest.find("*/").ok_or_else(|| Fault::go("unclosed comment"))?;
        self.rest = &self.rest[end + 2..];
        self.right().ok_or_else(|| Fault::go("comment ends before closing delimiter"))
    }

    /// Takes `}}`, if it is next; whether what follows is trimmed.
    fn right(&mut self) -> Option<bool> {
        let trimming = self.rest.strip_prefix(SPACES).and_then(|rest| rest.strip_prefix("-}}"));
        let plain = self.rest.strip_prefix("}}");
        self.rest = trimming.or(plain)?;
        Some(trimming.is_some())
    }

    /// What stands between `{{` and `}}`; whether what follows is trimmed.
    fn action(&mut self) -> Result<bool, Fault> {
        self.depth = 0;
        loop {
            if let Some(is_trimming) = self.right() {
                if self.depth > 0 {
                    return Err(Fault::go("unclosed left paren"));
                }
                self.tokens.push(Token::Right);
                return Ok(is_trimming);
            }
            let (token, length) = self.token()?;
            match token {
                Token::Open => self.depth += 1,
                Token::Close => self.depth = self.depth.checked_sub(1).ok_or_else(|| Fault::go("unexpected right paren"))?,
                _ => {}
            }
            self.tokens.push(token);
            self.rest = &self.rest[length..];
        }
    }

    /// The next token of an action, and how long it is.
    fn token(&self) -> Result<(Token, usize), Fault> {
        let rest = self.rest;
        let first = rest.chars().next().ok_or_else(|| Fault::go("unclosed action"))?;
        let after = &rest[first.len_utf8()..];
        Ok(match first {
            first if SPACES.contains(&first) => (Token::Space, self.spaces()),
            '=' => (Token::Assign, 1),
            ':' if after.starts_with('=') => (Token::Declare, 2),
            ':' => return Err(Fault::go("expected :=")),
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '\'' => {
                let length = quoted(rest, first)?;
                let literal = rest[..length].to_owned();
                (if first == '"' { Token::Quoted(literal) } else { Token::Character(literal) }, length)
            }
            '`' => {
                let length = after.find('`').ok_or_else(|| Fault::go("unterminated raw quoted string"))? + 2;
                (Token::Quoted(rest[..length].to_owned()), length)
            }
            '$' | '.' if !(first == '.' && after.starts_with(|c: char| c.is_ascii_digit())) => named(rest, first)?,
            '+' | '-' | '.' | '0'..='9' => {
                let length = number(rest)?;
                (Token::Number(rest[..length].to_owned()), length)
            }
            first if is_alphanumeric(first) => {
                let length = name(rest);
                check_end(&rest[length..])?;
                (Token::Word(rest[..length].to_owned()), length)
            }
            other => return Err(Fault::go(format!("unexpected `{other}` in an action"))),
        })
    }

    /// How long the run of spaces is. A last one that belongs to ` -}}` is left.
    fn spaces(&self) -> usize {
        let length = self.rest.len() - self.rest.trim_start_matches(SPACES).len();
        if length > 1 && self.rest[length..].starts_with("-}}") { length - 1 } else { length }
    }
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// How long the name is that a text begins with.
fn name(text: &str) -> usize {
    text.find(|c: char| !is_alphanumeric(c)).unwrap_or(text.len())
}

/// A field, a variable, or one of the characters alone.
fn named(text: &str, first: char) -> Result<(Token, usize), Fault> {
    let length = 1 + name(&text[1..]);
    let is_field = first == '.';
    if length == 1 && is_field {
        check_end(&text[1..])?;
        return Ok((Token::Dot, 1));
    }
    check_end(&text[length..])?;
    Ok(if is_field { (Token::Field(text[1..length].to_owned()), length) } else { (Token::Variable(text[..length].to_owned()), length) })
}

/// What can stand right after a name.
fn check_end(after: &str) -> Result<(), Fault> {
    match after.chars().next() {
        None => Ok(()),
        Some(c) if SPACES.contains(&c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(') || after.starts_with("}}") => Ok(()),
        Some(c) => Err(Fault::go(format!("bad character `{c}`"))),
    }
}

/// How long the quoted text or character is.
fn quoted(text: &str, quote: char) -> Result<usize, Fault> {
    let unterminated = || Fault::go(if quote == '"' { "unterminated quoted string" } else { "unterminated character constant" });
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next().filter(|(_, c)| *c != '\n').ok_or_else(unterminated)?;
            }
            '\n' => return Err(unterminated()),
            c if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err(unterminated())
}

/// How long the number is; a sum of a real and an imaginary one is one number.
fn number(text: &str) -> Result<usize, Fault> {
    let bad = |length: usize| {
        let next = text[length..].chars().next().map_or(0, char::len_utf8);
        Fault::go(format!("bad number syntax: \"{}\"", &text[..length + next]))
    };
    let is_continued = |length: usize| text[length..].starts_with(is_alphanumeric);
    let first = scanned(text);
    if is_continued(first) {
        return Err(bad(first));
    }
    if !text[first..].starts_with(['+', '-']) {
        return Ok(first);
    }
    let length = first + scanned(&text[first..]);
    if is_continued(length) || !text[..length].ends_with('i') {
        return Err(bad(length));
    }
    Err(Fault::ours(format!("the complex number {}", &text[..length])))
}

/// How far what looks like a number goes.
fn scanned(text: &str) -> usize {
    let mut at = usize::from(text.starts_with(['+', '-']));
    let bytes = text.as_bytes();
    let accept = |at: &mut usize, of: &[u8]| {
        let is_next = bytes.get(*at).is_some_and(|byte| of.contains(byte));
        *at += usize::from(is_next);
        is_next
    };
    let (mut digits, mut exponent): (&[u8], &[u8]) = (b"0123456789_", b"eE");
    if accept(&mut at, b"0") {
        for (letter, its_digits, its_exponent) in
            [(b"xX", &b"0123456789abcdefABCDEF_"[..], &b"pP"[..]), (b"oO", b"01234567_", b""), (b"bB", b"01_", b"")]
        {
            if accept(&mut at, letter) {
                (digits, exponent) = (its_digits, its_exponent);
                break;
            }
        }
    }
    while accept(&mut at, digits) {}
    if accept(&mut at, b".") {
        while accept(&mut at, digits) {}
    }
    if accept(&mut at, exponent) {
        accept(&mut at, b"+-");
        while accept(&mut at, b"0123456789_") {}
    }
    accept(&mut at, b"i");
    at
}
