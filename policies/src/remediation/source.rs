//! Values of other programs' files, of which most keys are not for us: what is asked for is looked up, and all else is passed over.

use firedrill_core::time::Span;
use firedrill_core::yaml::{Key, Node, Value};

use super::deed::shortened;

/// The value at the end of a path of keys; `None` if a key is missing.
pub fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| entries(node).iter().find(|(name, _)| &*name.text == *key).map(|(_, value)| value))
}

/// The entries of a map; none of anything else.
pub fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// The items of a list at the end of a path; none if there is no such list.
pub fn items<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// A scalar at the end of a path, as text.
pub fn text(node: &Node, path: &[&str]) -> Option<String> {
    scalar(at(node, path)?)
}

/// A scalar as text; `None` of a list, a map or nothing.
pub fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Integer(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// The texts of a value: one, or each of a list; none of nothing. `None` of a map, and of a list with anything but texts.
pub fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Null => Some(Vec::new()),
        Value::List(items) => items.iter().map(scalar).collect(),
        _ => scalar(node).map(|text| vec![text]),
    }
}

/// What a key says as one text; `None` if it says nothing.
///
/// # Errors
/// It says a list or a map: a sentence.
pub fn one_text(node: &Node, key: &str) -> Result<Option<String>, String> {
    match at(node, &[key]) {
        None => Ok(None),
        Some(value) if is_nothing(value) => Ok(None),
        Some(value) => scalar(value).map(Some).ok_or_else(|| format!("`{key}: {}` is no one text", shortened(&told(value)))),
    }
}

/// What a key says that is true or false, in the words that people write; `None` if it says nothing.
///
/// # Errors
/// It says neither: a sentence.
pub fn switch(key: &str, value: &Node) -> Result<Option<bool>, String> {
    if is_nothing(value) {
        return Ok(None);
    }
    match &*scalar(value).unwrap_or_default().to_ascii_lowercase() {
        "true" | "yes" | "on" | "y" | "1" => Ok(Some(true)),
        "false" | "no" | "off" | "n" | "0" => Ok(Some(false)),
        _ => Err(format!("`{key}: {}` is neither true nor false", told(value))),
    }
}

/// Whether a key stands there and says nothing.
pub fn is_nothing(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}

/// What stands below a key, on one line.
pub fn told(node: &Node) -> String {
    match &node.value {
        Value::List(items) => items.iter().map(told).collect::<Vec<_>>().join(", "),
        Value::Map(entries) => entries.iter().map(|(key, value)| format!("{}: {}", key.text, told(value))).collect::<Vec<_>>().join(", "),
        _ => scalar(node).unwrap_or_default(),
    }
}

/// The entries of a map whose keys are none of the known, and that say something.
pub fn others<'n>(node: &'n Node, known: &[&str]) -> impl Iterator<Item = (&'n str, &'n Node)> {
    let is_other = move |key: &str| !known.contains(&key);
    entries(node).iter().map(|(key, value)| (&*key.text, value)).filter(move |(key, value)| is_other(key) && !is_nothing(value))
}

/// A duration as Go and Ansible write it (`5m0s`, `10 seconds`), or a bare number of seconds.
pub fn duration(text: &str) -> Option<Span> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Span::from_seconds(seconds));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [number, unit] = words[..] {
        let seconds = match unit.trim_end_matches('s') {
            "second" | "sec" => 1,
            "minute" | "min" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            _ => return None,
        };
        return Some(Span::from_seconds(number.parse::<u64>().ok()?.checked_mul(seconds)?));
    }
    Span::parse(text).ok()
}

/// What a share or a number of something may be: `40%` or `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many in a hundred, at most all.
    Percent(u32),
}

/// An amount as Kubernetes' `IntOrString` has it; `None` if it is neither a count nor a whole share of at most all.
pub fn amount(node: &Node) -> Option<Amount> {
    match &node.value {
        Value::Integer(count) => u32::try_from(*count).ok().map(Amount::Count),
        Value::Text(text) => {
            let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
            (percent <= 100).then_some(Amount::Percent(percent))
        }
        _ => None,
    }
}

/// A quantity as Kubernetes writes CPU: `500m` or `0.5`, in cores above none.
pub fn cores(text: &str) -> Option<f64> {
    let cores = match text.strip_suffix('m') {
        Some(millis) => millis.parse::<f64>().ok()? / 1e3,
        None => text.parse::<f64>().ok()?,
    };
    (cores > 0.0 && cores.is_finite()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_their_owners_write_them() {
        let check = |text: &str, seconds: Option<u64>| assert_eq!(duration(text), seconds.map(Span::from_seconds), "{text}");
        check("300s", Some(300));
        check("5m0s", Some(300));
        check("2 seconds", Some(2));
        check("1 minutes", Some(60));
        check("3600", Some(3600));
        check("soon", None);
        check("18446744073709551615 days", None);
        check("-5m", None);
    }

    #[test]
    fn amounts_are_counts_or_whole_shares() {
        let check = |text: &str, expected: Option<Amount>| {
            let node = firedrill_core::yaml::parse("a.yaml", &format!("a: {text}")).unwrap();
            assert_eq!(amount(at(&node, &["a"]).unwrap()), expected, "{text}");
        };
        check("40%", Some(Amount::Percent(40)));
        check("'40%'", Some(Amount::Percent(40)));
        check("2", Some(Amount::Count(2)));
        check("101%", None);
        check("-1", None);
        check("'[3-5]'", None);
    }
}
