//! A story of people's is of one incident: what was said of another one by it counts no more once it is told of this one.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::{Chain, shown_incident};
use super::entry::{UNTOLD, What};

/// Where people's side of a comparison comes from if nobody told a story.
pub const A_LABEL: &str = "a label";

/// What is said of a comparison, with where people's side came from: [`source_of`] reads that again.
#[must_use]
pub fn with_source(told: &str, source: &str) -> String {
    format!("{told} ({source})")
}

/// Where people's side came from, of what was said of a comparison: it ends with that. `None`: it does not.
#[must_use]
pub fn source_of(detail: &str) -> Option<&str> {
    Some(detail.strip_suffix(')')?.rsplit_once(" (")?.1)
}

/// The story by which something was said of an incident, and the incident that it is told of by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retold<'c> {
    /// The story.
    pub story: &'c str,
    /// The incident, as the ledger calls it; `None`: none.
    pub incident: Option<&'c str>,
}

impl fmt::Display for Retold<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the story by which it was compared, {}, is told of ", self.story)?;
        match self.incident {
            Some(incident) => write!(f, "{} by now", shown_incident(incident)),
            None => write!(f, "it no more"),
        }
    }
}

impl Chain {
    /// What was compared, and what people did, in an incident that a story stood at which is told of another one since, or of none: by the hash of the entry. What
    /// was said of that incident before counts with it, and what is said of it later stands by itself.
    #[must_use]
    pub fn retold(&self) -> BTreeMap<&str, Retold<'_>> {
        let incidents = self.incidents();
        // Of each story the incident that it stands at, and of each incident what was said of it.
        let (mut stands, mut said): (BTreeMap<&str, &str>, BTreeMap<&str, Vec<&str>>) = Default::default();
        let mut all = BTreeMap::new();
        let mut forget = |said: Option<Vec<_>>, retold| all.extend(said.into_iter().flatten().map(|hash| (hash, retold)));
        for own in &self.entries {
            let (incident, story) = match &own.entry.what {
                What::Person { incident, .. } => (incident, None),
                What::Compared { incident, detail, .. } => (incident, source_of(detail).filter(|source| *source != A_LABEL)),
                What::State { of, value } if of == UNTOLD => {
                    let story = value["story"].as_str().unwrap_or_default();
                    let before = stands.remove(story);
                    forget(before.and_then(|before| said.remove(before)), Retold { story, incident: None });
                    continue;
                }
                _ => continue,
            };
            let key = incidents.get(own.hash.as_str()).copied().unwrap_or(incident);
            said.entry(key).or_default().push(&own.hash);
            let Some(story) = story else { continue };
            if let Some(before) = stands.insert(story, key).filter(|before| *before != key) {
                forget(said.remove(before), Retold { story, incident: Some(incident) });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::name::Name;
    use jiff::Timestamp;

    use super::super::{Entry, Hashes, Ledger};
    use super::*;

    #[test]
    fn what_was_said_of_an_incident_by_a_story_counts_until_the_story_is_told_of_another_one() {
        let compared = |incident: &str, source: &str| {
            let (hashes, detail) = (Hashes::default(), with_source("agree: the policy would do nothing; people did nothing", source));
            What::Compared { incident: incident.to_owned(), agrees: true, wrong: false, hashes, detection_ratio: None, detail }
        };
        let person = |incident: &str| What::Person { incident: incident.to_owned(), at: String::new(), did: String::new() };
        // What stands in a chain, and of which of it, from 1, the story is told of which incident by now.
        let check = |whats: Vec<What>, expected: &[(u64, &str)]| {
            let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("p"));
            let entry = |what| Entry { at: Timestamp::UNIX_EPOCH, by: "ada".to_owned(), what };
            Ledger::open(folder.path(), &name).unwrap().0.append(whats.into_iter().map(entry).collect()).unwrap();
            let chain = Ledger::read(folder.path(), &name).unwrap();
            let retold = chain.retold();
            let found =
                chain.entries.iter().filter_map(|own| Some((own.number, retold.get(own.hash.as_str())?.incident.unwrap_or("none"))));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        };
        let at_one = || vec![person("p#1"), compared("p#1", "Q1"), compared("p#1", A_LABEL)];
        check(at_one(), &[]);
        let moved = || [at_one(), vec![person("p#2"), compared("p#2", "Q1")]].concat();
        check(moved(), &[(1, "p#2"), (2, "p#2"), (3, "p#2")]);
        // What a label says of the first one since stands, whatever the story is told of.
        check([moved(), vec![compared("p#1", A_LABEL), compared("p#2", "Q1")]].concat(), &[(1, "p#2"), (2, "p#2"), (3, "p#2")]);
        // And back.
        let back = [moved(), vec![compared("p#1", "Q1")]].concat();
        check(back, &[(1, "p#2"), (2, "p#2"), (3, "p#2"), (4, "p#1"), (5, "p#1")]);
        // It is of none.
        let untold = What::State { of: UNTOLD.to_owned(), value: serde_json::json!({ "story": "Q1", "incident": "p#1" }) };
        check([at_one(), vec![untold, compared("p#1", A_LABEL)]].concat(), &[(1, "none"), (2, "none"), (3, "none")]);
        // Labels are no story, and another story is another one.
        check(vec![compared("p#1", A_LABEL), compared("p#2", A_LABEL), compared("p#1", "Q1"), compared("p#2", "Q2")], &[]);
    }
}
