//! An entry as a line: the bytes that are hashed are those that stand in the file.
//!
//! `{"schema":…,"n":…,"previous":…,"at":…,"by":…,"key":…,"what":{…},"hash":"blake3:…","signature":"ed25519:…"}`, keys in this order, `key` and
//! `signature` only where an entry is signed. The hash is that of the object without `hash` and `signature`, byte by byte as written, and what
//! is signed is the hash with the schema before it. So nothing is ever written anew to be checked, and no float has to come out the same.

use firedrill_core::name::Name;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Recorded, Signed, What};
use super::key::{Key, PublicKey};

/// The version of the format.
pub const SCHEMA: &str = "firedrill.ledger/1";

/// A line is at most this long: 1 MiB.
pub const MOST_BYTES: usize = 1 << 20;

const HASH: &str = ",\"hash\":\"blake3:";
const SIGNATURE: &str = ",\"signature\":\"ed25519:";

/// All that is hashed of an entry, written.
#[derive(Serialize)]
struct Content<'a> {
    schema: &'a str,
    n: u64,
    previous: &'a str,
    at: String,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PublicKey>,
    what: &'a What,
}

/// The same, read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentRead {
    schema: String,
    n: u64,
    previous: String,
    at: String,
    by: String,
    #[serde(default)]
    key: Option<PublicKey>,
    what: What,
}

/// What is wrong with a line by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is none of git's own lines, and no entry.
    #[error("it is no entry: {0}")]
    NoEntry(String),
    /// It is what git leaves where two branches changed the same place.
    #[error("it is a conflict marker of git")]
    Marker,
    /// The hash is not that of what stands there.
    #[error("its hash is not that of what stands there")]
    Altered {
        /// The hash that it says it has, and the one that it has: others may follow either, as one or the other was altered.
        hashes: [String; 2],
        /// The hash of the entry that it says it follows, as far as that can be read.
        previous: Option<String>,
        /// Its number, as far as that can be read.
        number: Option<u64>,
    },
}

/// What a chain's first entry has as the hash of the one before it: it names the chain, so that no file can stand for another.
#[must_use]
pub fn first_previous(chain: &Name) -> String {
    hash_of(&format!("{SCHEMA} {chain}"))
}

fn hash_of(text: &str) -> String {
    format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex())
}

/// What is signed.
fn signed_text(hash: &str) -> String {
    format!("{SCHEMA} {hash}")
}

/// The line of an entry, with its newline, and its hash.
pub(super) fn write(entry: &Entry, number: u64, previous: &str, key: Option<&Key>) -> (String, String) {
    let Entry { at, by, what } = entry;
    let content = Content { schema: SCHEMA, n: number, previous, at: at.to_string(), by, key: key.map(Key::public), what };
    let mut line = serde_json::to_string(&content).expect("an entry is plain data");
    let hash = hash_of(&line);
    assert_eq!(line.pop(), Some('}'), "an entry is an object");
    line.push_str(&format!(",\"hash\":\"{hash}\""));
    if let Some(key) = key {
        line.push_str(&format!(",\"signature\":\"{}\"", key.sign(&signed_text(&hash))));
    }
    line.push_str("}\n");
    (line, hash)
}

/// Reads a line without its newline. The second part says whether the signature is sound; `true` where there is none to be.
pub(super) fn read(text: &str, line: usize) -> Result<(Recorded, bool), LineError> {
    if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|marker| text.starts_with(marker)) {
        return Err(LineError::Marker);
    }
    let no_entry = |why: &str| LineError::NoEntry(why.to_owned());
    if text.ends_with('\r') {
        return Err(no_entry(
            "its line ends with CR LF, and was written with LF: something has changed line ends, such as `core.autocrlf` of git",
        ));
    }
    let rest = text.strip_suffix('}').ok_or_else(|| no_entry("it does not end as one"))?;
    let (rest, signature) = tail(rest, SIGNATURE, 128);
    let (content, hash) = tail(rest, HASH, 64);
    let hash = format!("blake3:{}", hash.ok_or_else(|| no_entry("it has no hash at its end"))?);
    let content = format!("{content}}}");
    let read = serde_json::from_str::<ContentRead>(&content);
    let found = hash_of(&content);
    if found != hash {
        let (previous, number) = read.map_or((None, None), |own| (Some(own.previous), Some(own.n)));
        return Err(LineError::Altered { hashes: [hash, found], previous, number });
    }
    let own = read.map_err(|error| LineError::NoEntry(format!("{error}; a newer firedrill may have written it")))?;
    if own.schema != SCHEMA {
        return Err(LineError::NoEntry(format!("its schema is `{}`, and this firedrill reads `{SCHEMA}`", own.schema)));
    }
    let at: Timestamp = own.at.parse().map_err(|_| LineError::NoEntry(format!("`{}` is no time", own.at)))?;
    let is_sound = match (&own.key, signature) {
        (None, None) => true,
        (Some(key), Some(signature)) => key.verifies(&signed_text(&hash), &format!("ed25519:{signature}")),
        // A signature that was taken away, or one that nobody is named for.
        (Some(_), None) | (None, Some(_)) => false,
    };
    let signed = own.key.map_or(Signed::No, Signed::By);
    let entry = Entry { at, by: own.by, what: own.what };
    Ok((Recorded { number: own.n, line, previous: own.previous, hash, signed, entry }, is_sound))
}

/// Takes `…"key":"kind:HEX"` off the end, if it stands there with so many digits.
fn tail<'a>(text: &'a str, key: &str, digits: usize) -> (&'a str, Option<&'a str>) {
    let parts = text.len().checked_sub(key.len() + digits + 1).and_then(|at| text.split_at_checked(at));
    let found = parts.and_then(|(rest, end)| {
        let hex = end.strip_prefix(key)?.strip_suffix('"')?;
        hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some((rest, Some(hex)))
    });
    found.unwrap_or((text, None))
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::PRIVATE;
    use super::*;

    fn entry() -> Entry {
        let what = What::Violation { what: "two \"writers\",\"hash\":\"blake3:\" {\u{1f525}}\n".to_owned() };
        Entry { at: "2026-01-05T00:00:00.123456789Z".parse().unwrap(), by: "ada".to_owned(), what }
    }

    #[test]
    fn a_line_reads_back_signed_or_not() {
        for key in [None, Some(Key::read(PRIVATE).unwrap())] {
            let (line, hash) = write(&entry(), 3, "blake3:00", key.as_ref());
            assert_eq!(line.matches('\n').count(), 1, "an entry is one line");
            let (found, is_sound) = read(line.trim_end(), 7).unwrap();
            let signed = key.map_or(Signed::No, |key| Signed::By(key.public()));
            assert_eq!(found, Recorded { number: 3, line: 7, previous: "blake3:00".to_owned(), hash, signed, entry: entry() });
            assert!(is_sound);
        }
    }

    #[test]
    fn the_format_is_what_the_documentation_says() {
        let entry = Entry { what: What::Merge { heads: vec!["blake3:aa".to_owned()] }, ..entry() };
        let (line, _) = write(&entry, 1, &first_previous(&Name::new("restart")), None);
        let content = concat!(
            r#"{"schema":"firedrill.ledger/1","n":1,"previous":"blake3:b83f0b598d4e2b530aa7d866a7977db299be716e2ea8202dda21ac4828bfe59f","#,
            r#""at":"2026-01-05T00:00:00.123456789Z","by":"ada","what":{"merge":{"heads":["blake3:aa"]}}}"#
        );
        let hash = blake3::hash(content.as_bytes()).to_hex();
        assert_eq!(line, format!("{},\"hash\":\"blake3:{hash}\"}}\n", content.strip_suffix('}').unwrap()));
        assert!(content.contains(&format!("blake3:{}", blake3::hash(b"firedrill.ledger/1 restart").to_hex())), "it begins with its name");
    }

    #[test]
    fn a_signature_that_is_taken_away_or_given_is_not_sound() {
        let key = Key::read(PRIVATE).unwrap();
        let (signed, hash) = write(&entry(), 1, "", Some(&key));
        let at = signed.rfind(SIGNATURE).unwrap();
        let sound = |line: &str| read(line, 1).unwrap().1;
        assert!(!sound(&format!("{}}}", &signed[..at])));
        let (unsigned, _) = write(&entry(), 1, "", None);
        let own = key.sign(&signed_text(&hash));
        assert!(!sound(&format!("{},\"signature\":\"{own}\"}}", unsigned.trim_end().strip_suffix('}').unwrap())));
    }

    proptest::proptest! {
        #[test]
        fn a_changed_byte_is_never_read_as_the_entry_that_it_was(at in 0_usize..200, byte in proptest::prelude::any::<u8>()) {
            let (line, hash) = write(&entry(), 1, "blake3:00", None);
            let mut bytes = line.trim_end().as_bytes().to_vec();
            let at = at % bytes.len();
            proptest::prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            if let Ok((found, _)) = read(&text, 1) {
                // Only the hash itself can be another, and then the content is not its own.
                proptest::prop_assert!(found.hash != hash, "{text}");
                proptest::prop_assert!(false, "{text} was read");
            }
        }
    }
}
