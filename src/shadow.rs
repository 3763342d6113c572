//! What people did beside what a policy would have done, incident by incident (docs/shadow.md).
//!
//! What people did comes from an incident folder, from an export of PagerDuty's log entries, or from labels. Nothing here judges an effect: nobody has
//! carried out what the policy would have done.

mod pagerduty;
mod words;

use firedrill_core::action::Target;
use firedrill_core::journal::{Event, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_scenarios::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ledger::{Chain, Hashes, Labelled, What};

pub use pagerduty::read_pagerduty;
pub use words::deed_of;

/// People are told of an incident, and end it, at most so long before or after a policy takes it up: 15 minutes.
const APART: SignedDuration = SignedDuration::from_mins(15);

/// An incident as people tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What it is called there.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was over; `None`: nobody says.
    pub over: Option<Timestamp>,
    /// What it is about, in words: alerts, services.
    pub about: String,
    /// Whether it was named for this, so that the time alone tells whether it is the same incident.
    pub is_named: bool,
    /// What people did, in order.
    pub deeds: Vec<Deed>,
}

/// Something that a person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// When.
    pub at: String,
    /// Who; empty: nobody says.
    pub who: String,
    /// In their words, or the kind of entry.
    pub words: String,
    /// The action that the words tell of; `None`: they looked at it, talked about it, or ended it.
    pub action: Option<String>,
}

/// An incident that a policy took up.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenUp {
    /// As the ledger calls it: `restart#3`.
    pub incident: String,
    /// When.
    pub at: Timestamp,
    /// The alert.
    pub alert: Name,
    /// Its labels.
    pub labels: LabelSet,
    /// What it would act on.
    pub target: Option<Target>,
    /// The first action that it would have started, and when.
    pub would: Option<(Timestamp, String)>,
    /// What people say of that.
    pub label: Option<Labelled>,
    /// What it was decided by.
    pub hashes: Hashes,
    /// Whether it stands in the ledger as compared.
    pub is_compared: bool,
}

/// A policy beside people, in one incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// As the ledger calls it.
    pub incident: String,
    /// When the policy took it up.
    pub at: String,
    /// What the policy would have done; `None`: nothing.
    pub policy: Option<String>,
    /// The first action of people; `None`: none.
    pub people: Option<String>,
    /// Whether both acted, or neither did.
    pub agrees: bool,
    /// Whether people say that what it would have done is wrong or harmful.
    pub wrong: bool,
    /// By how many seconds the policy was sooner than people; negative: later. `None`: not both acted, or nobody says when.
    pub sooner_seconds: Option<f64>,
    /// From the onset, where an incident folder tells it, until the policy took the incident up, seconds.
    pub detected_seconds: Option<f64>,
    /// What people say of it.
    pub label: Option<Labelled>,
    /// Where people's side comes from.
    pub source: String,
    /// All that they did.
    pub deeds: Vec<Deed>,
}

/// What became of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shadow {
    /// Incidents of which both sides are known.
    pub compared: Vec<Compared>,
    /// Incidents of the policy of which nobody says what people did.
    pub untold: Vec<String>,
    /// Stories of people that the policy did not take up.
    pub unseen: Vec<String>,
}

impl Shadow {
    /// A policy's chain beside what people tell.
    #[must_use]
    pub fn of(taken: &[TakenUp], stories: &[Story]) -> Self {
        let mut shadow = Self::default();
        let mut seen = vec![false; stories.len()];
        for own in taken {
            let same = stories.iter().enumerate().filter(|(_, story)| story.is_about(own));
            let nearest = same.min_by_key(|(_, story)| story.began.duration_since(own.at).abs());
            if let Some((index, _)) = nearest {
                seen[index] = true;
            }
            // A story in which nobody is told of does not say that nobody did anything.
            match (nearest.filter(|(_, story)| !story.deeds.is_empty()), own.label) {
                (Some((_, story)), _) => shadow.compared.push(compared(own, Some(story))),
                (None, Some(_)) => shadow.compared.push(compared(own, None)),
                (None, None) => shadow.untold.push(own.incident.clone()),
            }
        }
        let unseen = stories.iter().zip(seen).filter(|(_, seen)| !seen).map(|(story, _)| story.name.clone());
        shadow.unseen = unseen.collect();
        shadow
    }

    /// How many agree.
    #[must_use]
    pub fn agreeing(&self) -> usize {
        self.compared.iter().filter(|own| own.agrees).count()
    }
}

impl Story {
    /// What people did in a recorded incident.
    #[must_use]
    pub fn of_incident(incident: &Incident) -> Self {
        let stamp = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or_default();
        let deed = |deed: &firedrill_scenarios::incident::HumanDeed| Deed {
            at: stamp(deed.at.unix_millis()).to_string(),
            who: String::new(),
            words: deed.what.clone(),
            action: deed_of(&deed.what),
        };
        Self {
            name: incident.name.to_string(),
            began: stamp(incident.onset.unix_millis()),
            over: incident.end.map(|end| stamp(end.unix_millis())),
            about: incident.what.clone(),
            is_named: true,
            deeds: incident.people.iter().map(deed).collect(),
        }
    }

    /// Whether it is the incident that a policy took up: at that time, and about the same alert or something that the alert names.
    fn is_about(&self, own: &TakenUp) -> bool {
        let last = self.deeds.last().and_then(|deed| deed.at.parse().ok());
        let end = self.over.or(last).unwrap_or(self.began);
        let is_then =
            self.began.saturating_sub(APART).is_ok_and(|from| from <= own.at) && end.saturating_add(APART).is_ok_and(|to| own.at <= to);
        let named = own.labels.iter().filter(|(name, _)| matches!(name.as_str(), "pod" | "service" | "node" | "zone" | "instance"));
        let mut words = std::iter::once(&own.alert).chain(named.map(|(_, value)| value)).chain(own.target.as_ref().map(Target::name));
        is_then && (self.is_named || words.any(|word| !word.is_empty() && words::mentions(&self.about, word)))
    }
}

/// The incidents that a policy took up live, in order.
#[must_use]
pub fn taken_up(chain: &Chain) -> Vec<TakenUp> {
    let mut taken: Vec<TakenUp> = Vec::new();
    let mut events: Vec<(String, usize)> = Vec::new();
    for recorded in &chain.entries {
        match &recorded.entry.what {
            What::Decision { incident, hashes, event, is_backtest: false, .. } => {
                let Ok(event) = serde_json::from_value::<Event>(event.clone()) else { continue };
                let index = taken.iter().rposition(|own| own.incident == *incident);
                match (event, index) {
                    (Event::IncidentOpened { alert, target, labels, .. }, _) => taken.push(TakenUp {
                        incident: incident.clone(),
                        at: recorded.entry.at,
                        alert,
                        labels,
                        target,
                        would: None,
                        label: None,
                        hashes: hashes.clone(),
                        is_compared: false,
                    }),
                    (Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. }, Some(index)) => {
                        events.push((recorded.hash.clone(), index));
                        taken[index].would.get_or_insert((recorded.entry.at, format!("{what} {target}")));
                    }
                    _ => {}
                }
            }
            What::Label { event, says, .. } => {
                if let Some((_, index)) = events.iter().find(|(hash, _)| hash == event) {
                    taken[*index].label = Some(*says);
                }
            }
            What::Compared { incident, .. } => {
                taken.iter_mut().filter(|own| own.incident == *incident).for_each(|own| own.is_compared = true);
            }
            _ => {}
        }
    }
    taken
}

fn compared(own: &TakenUp, story: Option<&Story>) -> Compared {
    let acted = story.and_then(|story| story.deeds.iter().find(|deed| deed.action.is_some()));
    let wrong = matches!(own.label, Some(Labelled::Wrong | Labelled::Harmful));
    // Without a story a label tells whether people would have acted so.
    let agrees = match (story, own.label) {
        (Some(_), _) => acted.is_some() == own.would.is_some(),
        (None, label) => !matches!(label, Some(Labelled::Wrong | Labelled::Harmful)),
    };
    let sooner = || {
        let (policy, people) = (own.would.as_ref()?.0, acted?.at.parse::<Timestamp>().ok()?);
        Some(people.duration_since(policy).as_secs_f64())
    };
    Compared {
        incident: own.incident.clone(),
        at: own.at.to_string(),
        policy: own.would.as_ref().map(|(_, what)| what.clone()),
        people: acted.and_then(|deed| deed.action.clone()),
        agrees,
        wrong,
        sooner_seconds: sooner(),
        detected_seconds: story.filter(|story| story.is_named).map(|story| own.at.duration_since(story.began).as_secs_f64().max(0.0)),
        label: own.label,
        source: story.map_or_else(|| "a label".to_owned(), |story| story.name.clone()),
        deeds: story.map_or_else(Vec::new, |story| story.deeds.clone()),
    }
}

impl Compared {
    /// For people, in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let side = |what: &Option<String>| what.clone().unwrap_or_else(|| "nothing".to_owned());
        let people = match (&self.label, self.deeds.is_empty()) {
            (Some(label), true) => format!("people say {}", label.word()),
            (Some(label), false) => format!("people did {}, and say {}", side(&self.people), label.word()),
            (None, _) => format!("people did {}", side(&self.people)),
        };
        let when = match self.sooner_seconds {
            Some(seconds) if seconds >= 0.0 => format!(", {} sooner", Span::from_seconds_f64(seconds).clock()),
            Some(seconds) => format!(", {} later", Span::from_seconds_f64(-seconds).clock()),
            None => String::new(),
        };
        let verdict = if self.agrees { "agree" } else { "differ" };
        format!("{verdict}: the policy would do {}{when}; {people} ({})", side(&self.policy), self.source)
    }

    /// What the ledger keeps of it. `simulated` is how long detection takes in simulation, seconds, where a scenario tells.
    #[must_use]
    pub fn entries(&self, hashes: &Hashes, simulated: Option<f64>) -> Vec<What> {
        let person = |deed: &Deed| What::Person {
            incident: self.incident.clone(),
            at: deed.at.clone(),
            did: deed.action.clone().unwrap_or_default(),
        };
        let detection_ratio =
            self.detected_seconds.zip(simulated.filter(|seconds| *seconds > 0.0)).map(|(live, simulated)| live / simulated);
        let (incident, agrees, wrong, hashes) = (self.incident.clone(), self.agrees, self.wrong, hashes.clone());
        let compared = What::Compared { incident, agrees, wrong, hashes, detection_ratio, detail: self.told() };
        self.deeds.iter().map(person).chain([compared]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_571_200 + minute * 60).unwrap()
    }

    fn taken(would: Option<i64>, label: Option<Labelled>) -> TakenUp {
        let labels = LabelSet::from([(Name::new("alertname"), Name::new("Down")), (Name::new("pod"), Name::new("api-1"))]);
        let would = would.map(|minute| (stamp(minute), "restart (rolling) replica/api-1".to_owned()));
        let (incident, alert, hashes) = ("restart#0".to_owned(), Name::new("Down"), Hashes::default());
        TakenUp { incident, at: stamp(0), alert, labels, target: None, would, label, hashes, is_compared: false }
    }

    fn story(about: &str, deeds: &[(i64, &str)]) -> Story {
        let deed = |(minute, words): &(i64, &str)| Deed {
            at: stamp(*minute).to_string(),
            who: "Ada".into(),
            words: (*words).to_owned(),
            action: deed_of(words),
        };
        Story {
            name: "P1".into(),
            began: stamp(-1),
            over: None,
            about: about.into(),
            is_named: false,
            deeds: deeds.iter().map(deed).collect(),
        }
    }

    #[track_caller]
    fn check(taken: TakenUp, stories: &[Story], expected: &str) {
        let shadow = Shadow::of(&[taken], stories);
        let told: Vec<String> = shadow.compared.iter().map(Compared::told).collect();
        assert_eq!(told, [expected]);
    }

    #[test]
    fn who_acts_is_compared_by_whether_and_when() {
        let acted = [story("Down on api-1", &[(1, "acknowledged"), (5, "restarted api-1"), (9, "resolved")])];
        let would = "restart (rolling) replica/api-1";
        check(taken(Some(1), None), &acted, &format!("agree: the policy would do {would}, 4m00s sooner; people did restart (P1)"));
        check(taken(Some(7), None), &acted, &format!("agree: the policy would do {would}, 2m00s later; people did restart (P1)"));
        check(taken(None, None), &acted, "differ: the policy would do nothing; people did restart (P1)");
        let looked = [story("Down on api-1", &[(1, "acknowledged"), (9, "resolved")])];
        check(taken(Some(1), None), &looked, &format!("differ: the policy would do {would}; people did nothing (P1)"));
        check(taken(None, None), &looked, "agree: the policy would do nothing; people did nothing (P1)");
    }

    #[test]
    fn a_label_tells_where_nobody_told_a_story() {
        let would = "restart (rolling) replica/api-1";
        check(taken(Some(1), Some(Labelled::Right)), &[], &format!("agree: the policy would do {would}; people say right (a label)"));
        check(taken(Some(1), Some(Labelled::Harmful)), &[], &format!("differ: the policy would do {would}; people say harmful (a label)"));
    }

    #[test]
    fn stories_of_other_times_or_things_are_not_taken_for_it() {
        let shadow = |story: Story| Shadow::of(&[taken(Some(1), None)], &[story]);
        let elsewhere = shadow(story("Slow on cart", &[(2, "restarted cart")]));
        assert_eq!((elsewhere.compared.len(), elsewhere.untold.len(), elsewhere.unseen), (0, 1, vec!["P1".to_owned()]));
        let later = Story { began: stamp(60), ..story("Down on api-1", &[(61, "restarted")]) };
        assert_eq!(shadow(later).compared.len(), 0);
        let without_people = shadow(story("Down on api-1", &[]));
        assert_eq!(
            (without_people.compared.len(), without_people.untold, without_people.unseen.len()),
            (0, vec!["restart#0".to_owned()], 0)
        );
        let named = Story { is_named: true, ..story("", &[(2, "restarted")]) };
        assert_eq!(shadow(named).compared.len(), 1);
    }
}
