//! A tree of YAML as a text that people can read and edit.

use firedrill_core::name::Name;
use firedrill_core::yaml::{self, Key, Node, Value};

/// What fits into a line is written as one.
const WIDTH: usize = 110;

/// A map as a document. What is read from it again is the same tree, but for the places.
#[must_use]
pub fn document(node: &Node) -> String {
    let mut text = String::new();
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => block_map(&mut text, entries, 0),
        _ => {
            text.push_str(&flow(node));
            text.push('\n');
        }
    }
    text
}

fn block_map(text: &mut String, entries: &[(Key, Node)], indent: usize) {
    for (index, (key, node)) in entries.iter().enumerate() {
        // The first entry of a list's item stands behind its dash.
        if index > 0 || text.is_empty() || text.ends_with('\n') {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&scalar(&key.text));
        text.push(':');
        value(text, node, indent);
    }
}

/// What stands behind a key, with the line's end.
fn value(text: &mut String, node: &Node, indent: usize) {
    if let Value::Text(said) = &node.value
        && let Some(lines) = literal(said)
    {
        text.push_str(" |\n");
        for line in lines {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent + 2)));
        }
        return;
    }
    let line = flow(node);
    let fits = line.len() + indent < WIDTH && !is_list_of_maps(node);
    match &node.value {
        Value::Map(entries) if !fits && !entries.is_empty() => {
            text.push('\n');
            block_map(text, entries, indent + 2);
        }
        Value::List(items) if !fits && !items.is_empty() => {
            text.push('\n');
            for item in items {
                text.push_str(&format!("{}- ", " ".repeat(indent + 2)));
                match &item.value {
                    Value::Map(entries) if entries.len() > 1 || flow(item).len() + indent >= WIDTH => block_map(text, entries, indent + 4),
                    _ => text.push_str(&format!("{}\n", flow(item))),
                }
            }
        }
        _ => text.push_str(&format!(" {line}\n")),
    }
}

/// Faults and the like stand one below the other.
fn is_list_of_maps(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.iter().any(|item| matches!(&item.value, Value::Map(entries) if entries.len() > 1)))
}

/// The lines of a text of several lines that a block can hold as it is.
fn literal(text: &str) -> Option<Vec<&str>> {
    let body = text.strip_suffix('\n')?;
    let lines: Vec<&str> = body.lines().collect();
    let is_plain = |line: &&str| !line.contains(|letter: char| letter.is_control()) && !line.ends_with(' ');
    let is_sound = lines.first().is_some_and(|line| !line.is_empty() && !line.starts_with(' '));
    (is_sound && body == lines.join("\n") && !body.ends_with('\n') && lines.iter().all(is_plain)).then_some(lines)
}

/// A node in one line.
#[must_use]
pub fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) => scalar(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, node)| format!("{}: {}", scalar(&key.text), flow(node))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A text as a scalar: as it is where YAML reads it back as the same text, and quoted else.
fn scalar(text: &Name) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "_./-%+".contains(letter);
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || "_/.".contains(letter)) && text.chars().all(is_safe);
    let reads_back = || yaml::parse("a scalar", text).is_ok_and(|node| matches!(&node.value, Value::Text(read) if read == text));
    if is_plain && reads_back() { text.to_string() } else { serde_json::to_string(text.as_str()).expect("a text can be quoted") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{library, systems};

    #[test]
    fn what_is_written_is_read_as_the_same_tree() {
        let texts = library::ENTRIES.iter().chain(systems::ENTRIES).map(|entry| entry.text);
        let odd = "a: ['', ' b', 'yes', 'true', '1', 1, 1.5, -2, ~, 'x: y', '#', 'a\\b', {}, [], { k: [1, [2]] }]\nb: |\n  one\n   two\n\n  three\nc: \"one\\n two \\n\"\n";
        for text in texts.chain([odd]) {
            let first = yaml::parse("first.yaml", text).unwrap();
            let page = document(&first);
            let again = yaml::parse("again.yaml", &page).unwrap_or_else(|problems| panic!("{problems:?}\n{page}"));
            assert_eq!(flow(&first), flow(&again), "{page}");
        }
    }

    #[test]
    fn what_happens_stands_line_by_line() {
        let node = yaml::parse(
            "x",
            "{ scenario: a, faults: [{ hang: { replica: api-1 }, at: 5m }, { crash: { replica: api-0 }, at: 6m }], n: [1, 2] }",
        );
        let expected =
            "scenario: a\nfaults:\n  - hang: { replica: api-1 }\n    at: 5m\n  - crash: { replica: api-0 }\n    at: 6m\nn: [1, 2]\n";
        assert_eq!(document(&node.unwrap()), expected);
    }
}
