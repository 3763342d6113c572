//! Values of manifests, of which most keys are not for us: what is asked for must be right, and all else is passed over.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::kubernetes::problem;
use crate::problem::LONGEST_DAYS;

/// The value at the end of a path of keys; nothing if a key is missing or has no value.
pub fn at<'n>(reader: &mut Reader, node: &'n Node, path: &[&'static str]) -> Option<&'n Node> {
    let mut found = node;
    let mut what = "this part of a manifest".to_owned();
    for key in path {
        found = reader.fields(found, &what)?.optional(key)?;
        what = format!("`{key}`");
    }
    Some(found)
}

/// A text at the end of a path.
pub fn text(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Name> {
    let node = at(reader, node, path)?;
    reader.text(node, &last(path)).cloned()
}

/// A whole number from 0 on at the end of a path.
pub fn count(reader: &mut Reader, node: &Node, path: &[&'static str], most: i64) -> Option<u32> {
    within(reader, node, path, 0..=most)
}

/// A whole number within bounds at the end of a path.
pub fn within(reader: &mut Reader, node: &Node, path: &[&'static str], range: RangeInclusive<i64>) -> Option<u32> {
    let node = at(reader, node, path)?;
    reader.integer(node, &last(path), range).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Whole seconds at the end of a path.
pub fn seconds(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Span> {
    let longest = LONGEST_DAYS * 24 * 60 * 60;
    count(reader, node, path, longest as i64).map(|seconds| Span::from_seconds(u64::from(seconds)))
}

/// The items of a list at the end of a path; none if there is no such list.
pub fn items<'n>(reader: &mut Reader, node: &'n Node, path: &[&'static str]) -> &'n [Node] {
    at(reader, node, path).and_then(|node| reader.list(node, &last(path))).unwrap_or_default()
}

/// A map of texts at the end of a path; entries that are no texts are passed over.
pub fn texts(reader: &mut Reader, node: &Node, path: &[&'static str]) -> BTreeMap<Name, Name> {
    let Some(node) = at(reader, node, path) else { return BTreeMap::new() };
    let Some(fields) = reader.fields(node, &last(path)) else { return BTreeMap::new() };
    let entry = |(key, node): &(firedrill_core::yaml::Key, Node)| match &node.value {
        Value::Text(text) => Some((key.text.clone(), text.clone())),
        _ => None,
    };
    fields.entries().iter().filter_map(entry).collect()
}

/// A number of pods, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many.
    Pods(u32),
    /// So many in a hundred.
    Percent(u32),
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pods(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// An amount at the end of a path.
pub fn amount(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Amount> {
    let node = at(reader, node, path)?;
    let found = match &node.value {
        Value::Integer(count) => u32::try_from(*count).ok().map(Amount::Pods),
        Value::Text(text) => text.strip_suffix('%').and_then(|number| number.parse().ok()).map(Amount::Percent),
        _ => None,
    };
    if found.is_none() {
        reader.problem(problem::number_or_share(&node.place, &last(path)));
    }
    found
}

/// An amount at the end of a path that is no more than all, as the API server has it of pods that may be missing or must stay.
pub fn part(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Amount> {
    let found = amount(reader, node, path)?;
    if let (Amount::Percent(percent), Some(node)) = (found, at(reader, node, path))
        && percent > 100
    {
        reader.problem(problem::more_than_all(&node.place, &last(path), percent));
    }
    Some(found)
}

/// A quantity at the end of a path, such as `500m` or `256Mi`, in ones.
pub fn quantity(reader: &mut Reader, node: &Node, path: &[&'static str]) -> Option<Located<f64>> {
    let node = at(reader, node, path)?;
    let found = match &node.value {
        Value::Integer(count) => Some(*count as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => parsed(text),
        _ => None,
    };
    let found = found.filter(|number| (0.0..9e18).contains(number));
    if found.is_none() {
        reader.problem(problem::quantity(&node.place, &last(path)));
    }
    found.map(|value| Located { place: node.place.clone(), value })
}

/// A quantity as Kubernetes writes it: a number, and an SI or binary suffix or an exponent (`resource.Quantity`).
fn parsed(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let (number, scale) = SUFFIXES.iter().find_map(|(suffix, scale)| Some((text.strip_suffix(suffix)?, *scale))).unwrap_or((text, 1.0));
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || "+.".contains(c));
    number.parse::<f64>().ok().filter(|_| is_number).map(|number| number * scale)
}

/// How messages call the value at the end of a path.
fn last(path: &[&'static str]) -> String {
    format!("`{}`", path.last().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let check = |text: &str, want: Option<f64>| assert_eq!(parsed(text), want, "{text}");
        check("500m", Some(0.5));
        check("2", Some(2.0));
        check("0.25", Some(0.25));
        check("256Mi", Some(268_435_456.0));
        check("1G", Some(1e9));
        check("1e3", Some(1000.0));
        check("128974848", Some(128_974_848.0));
        check("1.5Gi", Some(1_610_612_736.0));
        for wrong in ["", "Mi", "12 Mi", "inf", "nan", "-1", "1MB", "half"] {
            check(wrong, None);
        }
    }
}
