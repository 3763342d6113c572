//! The tables of the documentation, row by row.

/// A row of a table.
pub(super) struct Row<'a> {
    /// The heading above its table.
    pub(super) section: &'a str,
    /// What its columns are called.
    pub(super) head: Vec<&'a str>,
    pub(super) cells: Vec<&'a str>,
}

/// The rows of all tables of a page, their heads among them, in the order of the page.
pub(super) fn rows(page: &str) -> Vec<Row<'_>> {
    let (mut section, mut head, mut before, mut rows) = ("", Vec::new(), Vec::new(), Vec::new());
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else {
            if line.starts_with("|---") {
                head = std::mem::take(&mut before);
            }
            continue;
        };
        let cells: Vec<&str> = row.split(" | ").collect();
        rows.push(Row { section, head: head.clone(), cells: cells.clone() });
        before = cells;
    }
    rows
}
