//! The tables of the documentation, row by row.

/// A row of a table.
pub(in crate::commands) struct Row<'a> {
    /// The heading above its table.
    pub(in crate::commands) section: &'a str,
    /// What its columns are called.
    pub(in crate::commands) head: Vec<&'a str>,
    pub(in crate::commands) cells: Vec<&'a str>,
}

/// Columns that say what a word means; the others say how it is used.
const MEANINGS: [&str; 5] = ["meaning", "means", "what it does", "what it reads", "how it is written"];

impl<'a> Row<'a> {
    /// The words that it is about, without what they stand in: `alerts.of` is about `of`, and `csv: { … }` about `csv`.
    pub(in crate::commands) fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_value = self.head.contains(&"how it is written");
        let cell = self.cells[0];
        let is_code = cell.starts_with('`') && cell.ends_with('`');
        let code = cell.split('`').skip(1).step_by(2).take(if is_code { usize::MAX } else { 0 });
        code.map(last).chain(is_value.then_some(cell))
    }

    /// What it says of them: what they mean, then how they are used, a line for each column.
    pub(in crate::commands) fn told(&self) -> String {
        let columns = || self.head.iter().zip(&self.cells).skip(1).filter(|(_, cell)| !cell.trim().is_empty());
        let meaning = columns().filter(|(title, _)| MEANINGS.contains(title)).map(|(_, cell)| plain(cell));
        let others = columns().filter(|(title, _)| !MEANINGS.contains(title)).map(|(title, cell)| format!("{title}: {}", plain(cell)));
        meaning.chain(others).collect::<Vec<_>>().join("\n")
    }
}

/// The key alone, of a path or of a key with its value.
fn last(word: &str) -> &str {
    let key = word.split(':').next().unwrap_or(word);
    key.rsplit('.').next().unwrap_or(key)
}

/// A cell without its marks: links are their text.
pub(in crate::commands) fn plain(cell: &str) -> String {
    without_links(cell).replace('`', "")
}

/// A cell of which links are their text.
pub(in crate::commands) fn without_links(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").and_then(|(shown, target)| Some((shown, target.split_once(')')?.1)));
        match link {
            Some((shown, left)) if !shown.contains(']') => {
                text += before;
                text += shown;
                rest = left;
            }
            _ => {
                text += before;
                text.push('[');
                rest = after;
            }
        }
    }
    text += rest;
    text
}

/// The rows of all tables of a page, in its order.
pub(in crate::commands) fn rows(page: &str) -> Vec<Row<'_>> {
    let (mut section, mut head, mut before, mut rows) = ("", Vec::new(), Vec::new(), Vec::new());
    let mut is_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            section = title;
        }
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else {
            if line.starts_with("|---") {
                head = std::mem::take(&mut before);
                rows.pop();
            }
            continue;
        };
        let cells: Vec<&str> = row.split(" | ").collect();
        rows.push(Row { section, head: head.clone(), cells: cells.clone() });
        before = cells;
    }
    rows
}
