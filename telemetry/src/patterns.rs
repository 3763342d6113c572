//! Regular expressions as Prometheus reads them, which is as Go does (<https://pkg.go.dev/regexp/syntax>): translated for a library that reads
//! some of them otherwise.

use std::iter::Peekable;
use std::str::CharIndices;

use regex::Regex;
use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};

/// The categories of Unicode, by the names that Go knows.
const CATEGORIES: &str = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs";

/// The scripts of Unicode 15, by the names that Go knows.
const SCRIPTS: &str = "\
    Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi \
    Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform \
    Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic \
    Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew \
    Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi \
    Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian \
    Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive \
    Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu \
    Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian \
    Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician \
    Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo \
    Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan \
    Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square";

/// The classes of POSIX, which stand within brackets.
const POSIX: &str = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit";

/// How often Go lets a pattern be repeated, repetitions of repetitions multiplied.
const MOST_REPETITIONS: u32 = 1_000;

/// Compiles a pattern of Go's.
///
/// # Errors
/// It is none; why, in one line.
pub fn compiled(pattern: &str) -> Result<Regex, String> {
    compiled_within("", pattern, "")
}

/// Compiles a pattern of Go's that stands between two texts.
///
/// # Errors
/// It is no pattern; why, in one line.
pub(crate) fn compiled_within(before: &str, pattern: &str, after: &str) -> Result<Regex, String> {
    // Translated as a whole, for a `\Q` without an end swallows what comes after.
    Regex::new(&translated(&format!("{before}{pattern}{after}"))?).map_err(|error| {
        let reason = error.to_string();
        reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// The same in the library's notation: what stands for itself in Go is escaped, and `\d`, `\w`, `\s` and `\b` mean ASCII.
///
/// Known difference: `\B` next to a letter beyond ASCII, for which the library has no notation.
fn translated(pattern: &str) -> Result<String, String> {
    let mut translation = Translation { pattern, rest: pattern.char_indices().peekable(), out: String::with_capacity(pattern.len() + 8) };
    translation.all()?;
    let repetitions = regex_syntax::ast::parse::Parser::new().parse(&translation.out).map_or(0, |pattern| repetitions(&pattern));
    if repetitions > MOST_REPETITIONS { Err(format!("more than {MOST_REPETITIONS} repetitions")) } else { Ok(translation.out) }
}

struct Translation<'p> {
    pattern: &'p str,
    rest: Peekable<CharIndices<'p>>,
    out: String,
}

/// What one step of a class is.
enum Item {
    /// A class of its own, in the library's notation.
    Class(String),
    Character(char),
}

impl<'p> Translation<'p> {
    fn all(&mut self) -> Result<(), String> {
        let mut is_repeated = false;
        while let Some((_, c)) = self.rest.next() {
            let repeats = match c {
                '\\' => {
                    self.escape()?;
                    false
                }
                '[' => {
                    self.class()?;
                    false
                }
                '*' | '+' | '?' => {
                    self.out.push(c);
                    true
                }
                '{' => self.braces(),
                '(' if self.skip("?") => {
                    self.flags()?;
                    false
                }
                '}' | ']' => {
                    self.put(c);
                    false
                }
                _ => {
                    self.out.push(c);
                    false
                }
            };
            if repeats && is_repeated {
                return Err("a repetition of a repetition".to_owned());
            }
            if repeats && self.skip("?") {
                self.out.push('?');
            }
            is_repeated = repeats;
        }
        Ok(())
    }

    /// What is still to be read.
    fn tail(&mut self) -> &'p str {
        let pattern = self.pattern;
        self.rest.peek().map_or("", |(index, _)| &pattern[*index..])
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_next = self.tail().starts_with(text);
        if is_next {
            self.take(text.len());
        }
        is_next
    }

    /// So many bytes.
    fn take(&mut self, length: usize) -> &'p str {
        let taken = &self.tail()[..length];
        for _ in taken.chars() {
            self.rest.next();
        }
        taken
    }

    /// A character that stands for itself.
    fn put(&mut self, c: char) {
        self.out.extend(regex_syntax::is_meta_character(c).then_some('\\'));
        self.out.push(c);
    }

    /// After a `{`: a count of repetitions if it reads as one, else the brace itself.
    fn braces(&mut self) -> bool {
        let counts = self.tail().split_once('}').map(|(counts, _)| counts);
        let Some(counts) = counts.filter(|counts| is_repetition(counts)) else {
            self.out.push_str(r"\{");
            return false;
        };
        self.take(counts.len() + 1);
        self.out.extend(["{", counts, "}"]);
        true
    }

    /// After `(?`: flags and names. The library knows flags that Go refuses.
    fn flags(&mut self) -> Result<(), String> {
        let tail = self.tail();
        let flags = &tail[..tail.find([':', ')', '<']).unwrap_or(tail.len())];
        if let Some(unknown) = flags.chars().find(|flag| !"imsU-P".contains(*flag)) {
            return Err(format!("unknown flag `{unknown}`"));
        }
        self.out.push_str("(?");
        Ok(())
    }

    /// After a backslash that stands in no class.
    fn escape(&mut self) -> Result<(), String> {
        if self.skip("Q") {
            let tail = self.tail();
            let quoted = &tail[..tail.find(r"\E").unwrap_or(tail.len())];
            self.take(quoted.len());
            self.skip(r"\E");
            quoted.chars().for_each(|c| self.put(c));
            return Ok(());
        }
        let position = self.tail().chars().next().and_then(|kind| match kind {
            'A' => Some(r"\A"),
            'z' => Some(r"\z"),
            'b' => Some(r"(?-u:\b)"),
            'B' => Some(r"\B"),
            _ => None,
        });
        if let Some(position) = position {
            self.take(1);
            self.out.push_str(position);
            return Ok(());
        }
        match self.escaped()? {
            Item::Class(class) => self.out.push_str(&class),
            Item::Character(c) => self.put(c),
        }
        Ok(())
    }

    /// After a backslash, in a class or not.
    fn escaped(&mut self) -> Result<Item, String> {
        let tail = self.tail();
        let (_, kind) = self.rest.next().ok_or("a backslash at the end")?;
        let class = |text: &str| Ok(Item::Class(text.to_owned()));
        let character = |c: char| Ok(Item::Character(c));
        match kind {
            'd' => class("[0-9]"),
            'D' => class("[^0-9]"),
            'w' => class("[0-9A-Za-z_]"),
            'W' => class("[^0-9A-Za-z_]"),
            's' => class(r"[\t\n\f\r ]"),
            'S' => class(r"[^\t\n\f\r ]"),
            'p' | 'P' => self.unicode_class(kind),
            'a' => character('\u{7}'),
            'f' => character('\u{c}'),
            'n' => character('\n'),
            'r' => character('\r'),
            't' => character('\t'),
            'v' => character('\u{b}'),
            'x' => self.hexadecimal(),
            '0'..='7' => {
                let digits = tail.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                if kind != '0' && digits == 1 {
                    return Err(format!("`\\{kind}` would refer to a group, which is not supported"));
                }
                self.take(digits - 1);
                u32::from_str_radix(&tail[..digits], 8).ok().and_then(char::from_u32).map(Item::Character).ok_or_else(|| unknown(kind))
            }
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => character(other),
            other => Err(unknown(other)),
        }
    }

    /// After `\p` or `\P`: one letter, or a name in braces which `^` negates.
    fn unicode_class(&mut self, kind: char) -> Result<Item, String> {
        let tail = self.tail();
        let name = match tail.strip_prefix('{') {
            Some(inner) => {
                let name = inner.split_once('}').ok_or_else(|| unknown(kind))?.0;
                self.take(name.len() + 2);
                name
            }
            None => {
                let length = tail.chars().next().ok_or_else(|| unknown(kind))?.len_utf8();
                self.take(length)
            }
        };
        let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let sign = if negated == (kind == 'p') { 'P' } else { 'p' };
        let is_among = |names: &str| names.split(' ').any(|known| known == name);
        match name {
            // No text holds a surrogate.
            "Cs" => Ok(Item::Class(if sign == 'p' { r"[^\x{0}-\x{10FFFF}]" } else { r"[\x{0}-\x{10FFFF}]" }.to_owned())),
            "Any" => Ok(Item::Class(format!("\\{sign}{{Any}}"))),
            _ if is_among(CATEGORIES) => Ok(Item::Class(format!("\\{sign}{{gc={name}}}"))),
            _ if is_among(SCRIPTS) => Ok(Item::Class(format!("\\{sign}{{sc={name}}}"))),
            _ => Err(format!("`{name}` is no category and no script of Unicode")),
        }
    }

    /// After `\x`: two digits, or some in braces.
    fn hexadecimal(&mut self) -> Result<Item, String> {
        let tail = self.tail();
        let (digits, length) = match tail.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map(|(digits, _)| (digits, digits.len() + 2)),
            None => tail.get(..2).map(|digits| (digits, 2)),
        }
        .ok_or_else(|| unknown('x'))?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let c = u32::from_str_radix(digits, 16).ok().filter(|_| is_number).and_then(char::from_u32).ok_or_else(|| unknown('x'))?;
        self.take(length);
        Ok(Item::Character(c))
    }

    /// After a `[`. A `]` that comes first is one of the characters, and so is every `[`, `&`, `~` and `-` that is no range.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.skip("]") {
            is_first = false;
            if self.tail().starts_with("[:")
                && let Some(end) = self.tail().find(":]")
            {
                let named = self.take(end + 2);
                let name = named[2..named.len() - 2].trim_start_matches('^');
                if !POSIX.split(' ').any(|known| known == name) {
                    return Err(format!("`{named}` is no class of characters"));
                }
                self.out.push_str(named);
                continue;
            }
            match self.item()? {
                Item::Class(class) => self.out.push_str(&class),
                Item::Character(least) => {
                    self.put(least);
                    self.range(least)?;
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// After a character in a class: `-` and another if they make a range.
    fn range(&mut self, least: char) -> Result<(), String> {
        let tail = self.tail();
        if !tail.starts_with('-') || tail.starts_with("-]") || tail.len() == 1 {
            return Ok(());
        }
        self.skip("-");
        match self.item()? {
            Item::Character(most) if most >= least => {
                self.out.push('-');
                self.put(most);
                Ok(())
            }
            _ => Err("a range of characters that ends before it begins".to_owned()),
        }
    }

    fn item(&mut self) -> Result<Item, String> {
        match self.rest.next() {
            None => Err("unclosed character class".to_owned()),
            Some((_, '\\')) => self.escaped(),
            Some((_, c)) => Ok(Item::Character(c)),
        }
    }
}

fn unknown(kind: char) -> String {
    format!("`\\{kind}` is no escape of regular expressions here")
}

/// The most that a pattern's counted repetitions come to, those within each other multiplied, as Go counts them.
fn repetitions(pattern: &Ast) -> u32 {
    match pattern {
        Ast::Repetition(repetition) => {
            let inner = repetitions(&repetition.ast);
            let most = match &repetition.op.kind {
                RepetitionKind::Range(
                    RepetitionRange::Exactly(most) | RepetitionRange::AtLeast(most) | RepetitionRange::Bounded(_, most),
                ) => *most,
                _ => 1,
            };
            inner.saturating_mul(most.max(1))
        }
        Ast::Group(group) => repetitions(&group.ast),
        Ast::Alternation(parts) => parts.asts.iter().map(repetitions).max().unwrap_or(1),
        Ast::Concat(parts) => parts.asts.iter().map(repetitions).max().unwrap_or(1),
        _ => 1,
    }
}

/// Whether the text between braces reads `n`, `n,` or `n,m`.
fn is_repetition(counts: &str) -> bool {
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    !least.is_empty() && [least, most].iter().all(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = compiled(pattern).expect(pattern);
        for text in matching {
            assert!(regex.is_match(text), "{pattern} on {text}, read as {regex}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} not on {text}, read as {regex}");
        }
    }

    #[test]
    fn classes_mean_ascii() {
        check(r"^\d+$", &["12"], &["١٢", "१"]);
        check(r"^\D$", &["١", "x"], &["1"]);
        check(r"^[\w.]+$", &["a_1.b"], &["é"]);
        check(r"^\W$", &["é", "-"], &["e"]);
        check(r"^\s$", &[" ", "\t"], &["\u{b}", "\u{a0}"]);
        check(r"^[^\s]$", &["\u{a0}"], &[" "]);
        check(r"\bab\b", &["x ab.", "éab"], &["xab"]);
        check(r"^[[:alpha:]]$", &["a"], &["é"]);
    }

    #[test]
    fn case_is_ignored_beyond_ascii_too() {
        check("^(?i)ready$", &["READY", "Ready"], &["readx"]);
        check("^(?i:é)b$", &["Éb"], &["ÉB"]);
        // The Kelvin sign is a k, and the long s an s, also within a class.
        check("^(?i)k$", &["K", "\u{212a}"], &[]);
        check(r"^(?i)\w$", &["\u{17f}"], &["é"]);
    }

    #[test]
    fn what_stands_for_itself_in_go_does_so_here() {
        check("^[a[b]+$", &["a[b"], &["c"]);
        check("^[]x]+$", &["]x"], &["y"]);
        check("^[^]x]$", &["y"], &["]", "x"]);
        check("^[[:alpha:]&&~]+$", &["a&~"], &["1"]);
        check("^[a-c--/]+$", &["b-./"], &["d"]);
        check("^[a-]+$", &["a-"], &["b"]);
        check("^a{2}{,3}$", &["aa{,3}"], &["a{,3}", "aaaaaa"]);
        check("^a{b}]}$", &["a{b}]}"], &[]);
        check(r"^\<a\>\_\-$", &["<a>_-"], &["a_-"]);
        check(r"^\b{start}a$", &[], &["a"]);
    }

    #[test]
    fn quoted_texts_and_escapes_are_read() {
        check(r"^\Qa.b{2}[\E+$", &["a.b{2}[", "a.b{2}[["], &["axb{2}["]);
        check(r"^x\Q(\", &[], &[]);
        check(r"^\x41\x{1F600}\101\0$", &["A😀A\0"], &[]);
        check(r"^[\x41-\103]$", &["B"], &["D"]);
        check(r"^\pL\p{Greek}\p{^Lu}\P{^Lu}$", &["xαaA"], &["xαAA"]);
        check(r"^\a\f\n\r\t\v$", &["\u{7}\u{c}\n\r\t\u{b}"], &[]);
        check("^(?P<a>x+?)(?<b>y)(?s-i:.)*$", &["xxy\n"], &[]);
    }

    #[test]
    fn all_categories_and_scripts_that_go_knows_are_there() {
        for name in CATEGORIES.split(' ').chain(SCRIPTS.split(' ')) {
            check(&format!(r"^(\p{{{name}}}|\P{{{name}}})$"), &["x"], &["xx"]);
        }
        check(r"^\p{Any}[[:^alpha:]][\d-a]{1000}$", &[&format!("é1{}", "-".repeat(1000))], &["é1-"]);
    }

    #[test]
    fn what_stands_around_a_pattern_is_part_of_it() {
        assert_eq!(compiled_within("^(?s:", r"\Q[", ")$").unwrap_err(), "unclosed group");
        assert!(compiled_within("^(?s:", r"a)(b\Q[\E", ")$").unwrap().is_match("ab["));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (pattern, reason) in [
            ("(", "unclosed group"),
            ("a**", "a repetition of a repetition"),
            ("a{2}{3}", "a repetition of a repetition"),
            (r"\u0041", r"`\u` is no escape of regular expressions here"),
            (r"a\Z", r"`\Z` is no escape of regular expressions here"),
            (r"\E", r"`\E` is no escape of regular expressions here"),
            (r"(a)\1", r"`\1` would refer to a group, which is not supported"),
            ("(?x)a b", "unknown flag `x`"),
            ("(?=a)", "unknown flag `=`"),
            ("[a", "unclosed character class"),
            ("a{1001}", "more than 1000 repetitions"),
            ("(a{1000}){2}", "more than 1000 repetitions"),
            ("((a{10}){10}b){11}", "more than 1000 repetitions"),
            ("[a--b]", "a range of characters that ends before it begins"),
            ("[[:foo:]]", "`[:foo:]` is no class of characters"),
            ("(?u:a)", "unknown flag `u`"),
            (r"\p{Alphabetic}", "`Alphabetic` is no category and no script of Unicode"),
            (r"\p{Script=Greek}", "`Script=Greek` is no category and no script of Unicode"),
            (r"\p{greek}", "`greek` is no category and no script of Unicode"),
            (r"\pX", "`X` is no category and no script of Unicode"),
            ("[b-a]", "a range of characters that ends before it begins"),
            ("a\\", "a backslash at the end"),
        ] {
            assert_eq!(compiled(pattern).expect_err(pattern), reason, "{pattern}");
        }
    }
}
