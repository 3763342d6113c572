//! An entry of `faults` or `changes` as a part of a tree, with what can be changed in it.

use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Key, Node, Value};

use crate::document::fault::entries as words;
use crate::variants::quantity::{one_figure, round_span, unit};
use crate::variants::written::flow;

/// The keys of an entry that say when it happens, and what it is called.
const WHEN: [&str; 3] = ["name", "at", "lasting"];
/// The parameters that say whom a fault strikes.
const TARGETS: [&str; 6] = ["service", "replica", "zone", "node", "client", "topic"];

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// `faults`
    Faults,
    /// `changes`
    Changes,
}

impl List {
    /// The key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Changes => "changes",
        }
    }
}

/// An entry of `faults` or `changes`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub list: List,
    node: Node,
    is_own: bool,
}

impl Entry {
    /// The entry of a node of such a list; `None` if it does not say what happens.
    #[must_use]
    pub fn of(list: List, node: &Node) -> Option<Self> {
        let entry = Self { list, node: node.clone(), is_own: false };
        entry.found().is_some().then_some(entry)
    }

    /// The entry that a text such as `{ hang: { replica: api-1 }, at: 5m }` says.
    ///
    /// # Panics
    /// If it is no entry: such texts are ours.
    #[must_use]
    pub fn written(list: List, text: &str) -> Self {
        let node = yaml::parse("an entry", text).expect("an entry of ours is YAML");
        Self::of(list, &node).expect("an entry of ours says what happens")
    }

    /// The same as an entry of the scenario that a variant is made from.
    #[must_use]
    pub fn owned(self) -> Self {
        Self { is_own: true, ..self }
    }

    /// Whether the scenario that a variant is made from has it, be it otherwise in size, time or target.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.is_own
    }

    /// The word that says what happens.
    #[must_use]
    pub fn word(&self) -> &Name {
        &self.found().expect("an entry says what happens").0.text
    }

    /// When it sets in.
    #[must_use]
    pub fn at(&self) -> Span {
        self.span("at").unwrap_or_default()
    }

    /// How long it lasts; `None`: it does not say.
    #[must_use]
    pub fn lasting(&self) -> Option<Span> {
        self.span("lasting")
    }

    /// Whom it strikes: the kind of target and its name. `None` if it says none.
    #[must_use]
    pub fn target(&self) -> Option<(&Name, &Name)> {
        let target = self.parameters().iter().find(|(key, _)| TARGETS.contains(&key.text.as_str()));
        target.and_then(|(key, node)| text_of(node).map(|name| (&key.text, name)))
    }

    /// Its sizes: the keys and how they are written.
    #[must_use]
    pub fn sizes(&self) -> Vec<(Name, Name)> {
        let sizes = self.parameters().iter().filter(|(key, _)| unit(self.word(), &key.text).is_some());
        sizes.filter_map(|(key, node)| Some((key.text.clone(), text_of(node)?.clone()))).collect()
    }

    /// The same at another time.
    #[must_use]
    pub fn with_at(&self, at: Span) -> Self {
        self.with("at", Some(&at.to_string()))
    }

    /// The same for another time.
    #[must_use]
    pub fn with_lasting(&self, lasting: Option<Span>) -> Self {
        self.with("lasting", lasting.map(|lasting| lasting.to_string()).as_deref())
    }

    /// The same at another target of the kind.
    #[must_use]
    pub fn with_target(&self, name: &str) -> Self {
        let Some(key) = self.target().map(|(key, _)| key.clone()) else { return self.clone() };
        self.with_parameter(&key, name)
    }

    /// The same, each size so many times as bad.
    #[must_use]
    pub fn scaled(&self, times: f64) -> Self {
        let mut entry = self.clone();
        let sizes = self.sizes();
        for (key, text) in &sizes {
            let unit = unit(self.word(), key).expect("a size has a unit");
            if let Some(scaled) = unit.scaled(text, times) {
                entry = entry.with_parameter(key, &scaled);
            }
        }
        entry
    }

    /// The same with round times.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let whole = |span: Span| Span::from_seconds(libm::round(span.as_seconds() / 60.0) as u64 * 60);
        let entry = self.with_at(whole(self.at()));
        match self.lasting() {
            Some(lasting) => entry.with_lasting(Some(round_span(lasting))),
            None => entry,
        }
    }

    /// The same with sizes of one figure.
    #[must_use]
    pub fn plain(&self) -> Self {
        let mut entry = self.clone();
        for (key, text) in &self.sizes() {
            let unit = unit(self.word(), key).expect("a size has a unit");
            if let Some(size) = unit.read(text) {
                entry = entry.with_parameter(key, &unit.show(one_figure(size)));
            }
        }
        entry
    }

    /// Its node, to be put into a tree.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// In a few words: `hang of replica api-1 at 5m`.
    #[must_use]
    pub fn words(&self) -> String {
        let target = self.target().map_or_else(String::new, |(kind, name)| format!(" of {kind} {name}"));
        let sizes: Vec<String> = self.sizes().iter().map(|(key, text)| format!("{key} {text}")).collect();
        let sizes = if sizes.is_empty() { String::new() } else { format!(" ({})", sizes.join(", ")) };
        let lasting = self.lasting().map_or_else(String::new, |lasting| format!(" for {lasting}"));
        format!("{}{target}{sizes} at {}{lasting}", self.word().replace('_', " "), self.at())
    }

    fn found(&self) -> Option<&(Key, Node)> {
        let Value::Map(entries) = &self.node.value else { return None };
        let known = words();
        entries.iter().find(|(key, _)| !WHEN.contains(&key.text.as_str()) && known.contains(&key.text.as_str()))
    }

    fn parameters(&self) -> &[(Key, Node)] {
        match self.found().map(|(_, node)| &node.value) {
            Some(Value::Map(parameters)) => parameters,
            _ => &[],
        }
    }

    fn span(&self, key: &str) -> Option<Span> {
        let Value::Map(entries) = &self.node.value else { return None };
        let (_, node) = entries.iter().find(|(own, _)| *own.text == *key)?;
        Span::parse(text_of(node)?).ok()
    }

    fn with(&self, key: &str, text: Option<&str>) -> Self {
        Self { node: set(&self.node, key, text.map(|text| scalar(&self.node, text))), ..self.clone() }
    }

    fn with_parameter(&self, key: &str, text: &str) -> Self {
        let (word, parameters) = self.found().expect("an entry says what happens");
        let node = parameters.clone();
        let value = scalar(&node, text);
        Self { node: set(&self.node, &word.text, Some(set(&node, key, Some(value)))), ..self.clone() }
    }
}

/// Equal where the same is said.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list && flow(&self.node) == flow(&other.node)
    }
}

fn text_of(node: &Node) -> Option<&Name> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// A number where it is written as one, and else a text.
pub(super) fn scalar(beside: &Node, text: &str) -> Node {
    let value = text.parse().map_or_else(|_| Value::Text(Name::new(text)), Value::Integer);
    Node { place: beside.place.clone(), value }
}

/// A map with a key set, or without it. The key keeps its place in the order.
pub(super) fn set(node: &Node, key: &str, value: Option<Node>) -> Node {
    let mut entries = match &node.value {
        Value::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let at = entries.iter().position(|(own, _)| *own.text == *key);
    match (at, value) {
        (Some(at), Some(value)) => entries[at].1 = value,
        (Some(at), None) => drop(entries.remove(at)),
        (None, Some(value)) => entries.push((Key { place: node.place.clone(), text: Name::new(key) }, value)),
        (None, None) => {}
    }
    Node { place: node.place.clone(), value: Value::Map(entries) }
}

/// The value of a key of a map.
pub(super) fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(own, _)| *own.text == *key).map(|(_, node)| node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &Entry, expected: &str) {
        assert_eq!(flow(entry.node()), expected);
    }

    #[test]
    fn an_entry_changes_where_it_is_told_to_and_nowhere_else() {
        let slow = Entry::written(List::Faults, "{ slow: { service: db, factor: x12 }, at: 5m, lasting: 4m }");
        check(&slow.scaled(0.5), "{ slow: { service: db, factor: x6.5 }, at: 5m, lasting: 4m }");
        check(&slow.with_at(Span::from_minutes(6)).with_lasting(None), "{ slow: { service: db, factor: x12 }, at: 6m }");
        check(&slow.with_target("shop"), "{ slow: { service: shop, factor: x12 }, at: 5m, lasting: 4m }");
        assert_eq!(slow.words(), "slow of service db (factor x12) at 5m for 4m");
        let scaled = Entry::written(List::Faults, "{ scale_out: { service: a, by: 4 }, at: 301s }").scaled(2.0);
        check(&scaled, "{ scale_out: { service: a, by: 4 }, at: 301s }");
    }

    #[test]
    fn sizes_are_rounded_to_one_figure() {
        let entry = Entry::written(List::Faults, "{ crash: { replica: api-0, every: 48s }, at: 5m, lasting: 8m }");
        check(&entry.plain(), "{ crash: { replica: api-0, every: 50s }, at: 5m, lasting: 8m }");
        let entry = Entry::written(List::Faults, "{ hang: { replica: api-0 }, at: 5m }");
        assert_eq!(entry.plain(), entry);
    }

    #[test]
    fn times_are_rounded_to_minutes() {
        let entry = Entry::written(List::Changes, "{ surge: { client: users, factor: x1.2 }, at: 4m52s, lasting: 127s }");
        check(&entry.rounded(), "{ surge: { client: users, factor: x1.2 }, at: 5m, lasting: 2m10s }");
    }
}
