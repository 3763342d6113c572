//! What the terminal can show: its width, its colours.

use firedrill_reports::timeline::Kind;

use crate::output::Output;

/// Columns of the terminal, from `COLUMNS`, else 120.
pub fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| (40..=400).contains(columns)).unwrap_or(120)
}

/// The same, for tables.
pub fn columns() -> Option<u16> {
    u16::try_from(width()).ok()
}

/// A word in the colour of its kind.
pub fn paint(output: Output, kind: Kind, text: &str) -> String {
    let code = match kind {
        Kind::Fault => "1;31",
        Kind::Users => "31",
        Kind::Alert => "33",
        Kind::Action => "1;36",
        Kind::Recovery => "1;32",
        _ => return text.to_owned(),
    };
    if output.color() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
