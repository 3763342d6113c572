//! What people did beside what a policy would have done, incident by incident (docs/shadow.md).
//!
//! What people did comes from an incident folder, from an export of PagerDuty's log entries, or from labels. Nothing here judges an effect: nobody has
//! carried out what the policy would have done.

mod pagerduty;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, Target};
use firedrill_core::journal::{Event, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_scenarios::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::ledger::{A_LABEL, Chain, Hashes, Labelled, UNTOLD, UnreadAct, What, source_of, with_source};

pub use pagerduty::read_pagerduty;
pub use words::{Told, told_of};

/// What is shorter may be a word that names nothing, such as an article.
const SHORT: usize = 3;

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
    /// The services that were called for it: they tell what it is about where those words name nothing.
    pub services: String,
    /// Notes of people: they tell it where the services name nothing either.
    pub notes: String,
    /// Whether it was named for this, so that the time alone tells whether it is the same incident.
    pub is_named: bool,
    /// Where it was, if that is told.
    pub target: Option<Target>,
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
    /// Whether the words are not understood: nobody knows what they did.
    pub is_unclear: bool,
}

impl Deed {
    /// Of words.
    fn of(at: String, who: String, words: String) -> Self {
        let told = told_of(&words);
        let is_unclear = told == Told::Unclear;
        let action = if let Told::Did(action) = told { Some(action) } else { None };
        Self { at, who, words, action, is_unclear }
    }
}

/// An incident that a policy took up.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenUp {
    /// As the ledger calls it: `restart#3`; where two branches have each one of that name, the hash of the entry that opened it.
    pub incident: String,
    /// What tells it from others, as [`Chain::incidents`] has it.
    pub opened: String,
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
    /// What the ledger has of what people did, each when and what; empty: nobody has told a story.
    pub people: BTreeSet<(String, String)>,
    /// How it stands in the ledger as compared; `None`: it was not.
    pub before: Option<Before>,
}

/// How an incident was compared before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// As of [`Compared`].
    pub agrees: bool,
    /// As of [`Compared`].
    pub wrong: bool,
    /// Live detection time as a multiple of the one in simulation.
    pub detection_ratio: Option<f64>,
    /// Where people's side came from, of every time that it was compared.
    pub by: BTreeSet<String>,
    /// The story by which it was compared last; `None`: by none.
    pub story: Option<String>,
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
    /// Those of which somebody says something that is not understood, with the words.
    pub unclear: Vec<(String, String)>,
    /// Stories of people that the policy did not take up.
    pub unseen: Vec<String>,
}

impl Shadow {
    /// A policy's chain beside what people tell.
    #[must_use]
    pub fn of(taken: &[TakenUp], stories: &[Story]) -> Self {
        let mut shadow = Self::default();
        let told = each_once(taken, stories);
        for (own, index) in taken.iter().zip(&told) {
            let story = index.map(|index| &stories[index]);
            // A story in which nobody is told of does not say that nobody did anything, nor does one whose words are not understood.
            let clear = story.filter(|story| story.is_clear());
            let unclear = story.filter(|story| story.is_unclear());
            shadow.unclear.extend(unclear.map(|story| (own.incident.clone(), story.words())));
            if clear.is_some() || own.label.is_some() || own.told_before().is_some() {
                shadow.compared.push(compared(own, clear));
            } else if unclear.is_none() {
                shadow.untold.push(own.incident.clone());
            }
        }
        let unseen = stories.iter().enumerate().filter(|(index, _)| !told.contains(&Some(*index))).map(|(_, story)| story.name.clone());
        shadow.unseen = unseen.collect();
        shadow
    }

    /// How many agree.
    #[must_use]
    pub fn agreeing(&self) -> usize {
        self.compared.iter().filter(|own| own.agrees).count()
    }
}

/// Stories of several exports, of which some may have the same: one of each. What several exports have of one is put together.
#[must_use]
pub fn once(stories: Vec<Story>) -> Vec<Story> {
    let mut all: Vec<Story> = Vec::new();
    for story in stories {
        let is_same = |own: &&mut Story| **own == story || !own.is_named && !story.is_named && own.name == story.name;
        match all.iter_mut().find(is_same) {
            Some(own) => own.join(story),
            None => all.push(story),
        }
    }
    all
}

/// Adds the lines that words do not have.
fn add(words: &mut String, said: &str) {
    for line in said.lines().filter(|line| !line.is_empty()) {
        if !words.lines().any(|own| own == line) {
            words.push_str(line);
            words.push('\n');
        }
    }
}

/// For each incident the story that is told of it: a story is of one incident. That is the one that was compared by it before; else one that it names, and not
/// only its alert; and of those the one that is nearest in time.
fn each_once(taken: &[TakenUp], stories: &[Story]) -> Vec<Option<usize>> {
    let mut pairs: Vec<((bool, bool, SignedDuration, usize), usize)> = Vec::new();
    for (index, story) in stories.iter().enumerate() {
        let then: Vec<(usize, &TakenUp)> = taken.iter().enumerate().filter(|(_, own)| story.is_then(own)).collect();
        let (about, told) = story.names(&then);
        let others: BTreeSet<Named<'_>> = then.iter().map(|(_, own)| own.named_in(&told)).collect();
        for (place, own) in &then {
            let named = own.named_in(&told);
            let is_of_another = !story.is_named && others.iter().any(|other| own.is_rather(other, &named));
            if is_of_another || !story.is_about(own, (&about, &named)) {
                continue;
            }
            let is_new = !own.before.as_ref().is_some_and(|before| before.by.contains(&story.name));
            pairs.push(((is_new, named.is_empty(), story.began.duration_since(own.at).abs(), *place), index));
        }
    }
    pairs.sort_unstable();
    let (mut told, mut used) = (vec![None; taken.len()], vec![false; stories.len()]);
    for ((.., place), index) in pairs {
        if told[place].is_none() && !used[index] {
            (told[place], used[index]) = (Some(index), true);
        }
    }
    told
}

/// Takes back what incidents were compared by, of stories that are told anew and are of them no more: a folder is told as a whole, and an export may be a part,
/// and counts only where it is of another incident, or says itself that it is of something else. Gives what is to be written down of that.
#[must_use]
pub fn take_back(taken: &mut [TakenUp], stories: &[Story]) -> Vec<What> {
    let mut whats = Vec::new();
    let told = each_once(taken, stories);
    for (own, index) in taken.iter_mut().zip(&told) {
        let Some(name) = own.before.as_ref().and_then(|before| before.story.clone()) else { continue };
        let Some(place) = stories.iter().position(|story| story.name == name) else { continue };
        let story = &stories[place];
        let is_told = *index == Some(place) && story.is_clear();
        let is_moved = *index != Some(place) && told.contains(&Some(place)) && story.is_clear();
        if !is_told && (story.is_named || story.is_elsewhere(own) || is_moved) {
            let value = json!({ "story": name, "incident": own.incident });
            whats.push(What::State { of: UNTOLD.to_owned(), value });
            (own.before, own.people) = (None, BTreeSet::new());
        }
    }
    whats
}

/// Labels with their values.
type Named<'t> = BTreeSet<(&'t Name, &'t Name)>;

impl TakenUp {
    /// Whether a story that names `own` of it is of another incident, of which it names all that and, by one of the same labels, something else.
    fn is_rather(&self, other: &Named<'_>, own: &Named<'_>) -> bool {
        let is_else = |(label, value): (&Name, &Name)| other.iter().any(|(of, told)| *of == label && *told != value);
        own.is_subset(other) && self.named().any(is_else)
    }

    /// How it was compared before, if somebody told a story of it then.
    fn told_before(&self) -> Option<&Before> {
        self.before.as_ref().filter(|_| !self.people.is_empty())
    }

    /// What the ledger has of what people did, in order of time: that they acted, or that they did not.
    fn deeds(&self, acted: bool) -> Vec<Deed> {
        let deed = |(at, did): &(String, String)| {
            let action = acted.then(|| did.clone());
            Deed { at: at.clone(), who: String::new(), words: did.clone(), action, is_unclear: false }
        };
        let mut all: Vec<Deed> = self.people.iter().filter(|(_, did)| did.is_empty() != acted).map(deed).collect();
        all.sort_by_key(|deed| deed.at.parse::<Timestamp>().ok());
        all
    }

    /// The labels that name something which can be acted on.
    fn named(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.labels.iter().filter(|(name, _)| matches!(name.as_str(), "pod" | "service" | "node" | "zone" | "instance"))
    }

    /// Those of them that are told.
    fn named_in<'t>(&'t self, told: &Named<'t>) -> Named<'t> {
        self.named().filter(|value| told.contains(value)).collect()
    }

    /// Whether something of this name is what it is about: its target or a replica of that service, or something that the alert's labels name.
    fn concerns(&self, name: &str) -> bool {
        let own = self.target.as_ref().map(Target::name);
        let would = self.would.as_ref().and_then(|(_, what)| words::target_of(what));
        let names = own.into_iter().chain(would.as_ref().map(Target::name)).chain(self.labels.values());
        let name = name.to_lowercase();
        let is_of = |own: &Name| own.to_lowercase().strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        names.into_iter().any(is_of)
    }
}

impl Story {
    /// Whether nobody is told to have acted, and something that is told is not understood.
    fn is_unclear(&self) -> bool {
        self.deeds.iter().all(|deed| deed.action.is_none()) && self.deeds.iter().any(|deed| deed.is_unclear)
    }

    /// Whether it says whether people acted.
    fn is_clear(&self) -> bool {
        !self.deeds.is_empty() && !self.is_unclear()
    }

    /// Takes in what another export has of the same.
    fn join(&mut self, other: Self) {
        self.began = self.began.min(other.began);
        self.over = self.over.max(other.over);
        add(&mut self.about, &other.about);
        add(&mut self.services, &other.services);
        add(&mut self.notes, &other.notes);
        for deed in other.deeds {
            if !self.deeds.contains(&deed) {
                self.deeds.push(deed);
            }
        }
        // As the calendar has them, whatever their fractions.
        self.deeds.sort_by_key(|deed| deed.at.parse::<Timestamp>().ok());
    }

    /// Of what incidents of its time are about what it names: `about` is its words in lower case. What is as short as a word that means nothing must stand there
    /// as a label's value; and where a name is the beginning of another one, such as `cart` of `cart-db`, it must stand there by itself.
    fn told<'t>(&self, about: &str, then: impl Iterator<Item = &'t TakenUp>) -> Named<'t> {
        let is_told = |(label, value): &(&Name, &Name)| {
            let has = |is_one: fn(char) -> bool| value.chars().any(is_one);
            let is_name = value.chars().count() >= SHORT || has(char::is_numeric) && has(char::is_alphabetic);
            is_name && words::mentions(about, value) || words::values_of(&self.about, label).iter().any(|told| **told == ***value)
        };
        let values: Named<'t> = then.flat_map(TakenUp::named).collect();
        let told: Named<'t> = values.into_iter().filter(is_told).collect();
        let is_within = |(label, value): &(&Name, &Name)| {
            let longer = told.iter().filter(|(of, other)| of == label && other != value).map(|(_, other)| other.to_lowercase());
            let mut longer = longer.filter(|other| words::mentions(other, value));
            longer.any(|other| !words::mentions(&about.replace(&other, " "), value))
        };
        told.iter().filter(|named| !is_within(named)).copied().collect()
    }

    /// The words, in lower case, that say what it is about, and of what incidents of its time are about what they name. Where those of the incident itself name
    /// nothing its services do, and then its notes.
    fn names<'t>(&self, then: &[(usize, &'t TakenUp)]) -> (String, Named<'t>) {
        let all = || then.iter().map(|(_, own)| *own);
        let about = self.about.to_lowercase();
        let mut told = self.told(&about, all());
        let mut more = about.clone();
        for words in [&self.services, &self.notes].into_iter().filter(|words| !words.is_empty()) {
            if !told.is_empty() {
                break;
            }
            more = format!("{more}\n{}", words.to_lowercase());
            told = self.told(&more, all());
        }
        // That an alert is spoken of in a note makes nothing of it by itself.
        (if told.is_empty() { about } else { more }, told)
    }

    /// The words that are not understood.
    fn words(&self) -> String {
        let unclear: Vec<String> = self.deeds.iter().filter(|deed| deed.is_unclear).map(|deed| deed.words.replace('\n', " ")).collect();
        unclear.join("; ")
    }

    /// Whether it says itself that it is about something else: where it was, on what people acted, or by the labels of another alert.
    fn is_elsewhere(&self, own: &TakenUp) -> bool {
        if self.target.as_ref().is_some_and(|target| !own.concerns(target.name())) {
            return true;
        }
        let acted: Vec<Option<Target>> =
            self.deeds.iter().filter_map(|deed| deed.action.as_ref()).map(|told| words::target_of(told)).collect();
        if !acted.is_empty() && acted.iter().all(|target| target.as_ref().is_some_and(|target| !own.concerns(target.name()))) {
            return true;
        }
        own.named().any(|(name, value)| {
            let told = words::values_of(&self.about, name);
            !told.is_empty() && !told.iter().any(|told| **told == **value)
        })
    }

    /// What people did in a recorded incident.
    #[must_use]
    pub fn of_incident(incident: &Incident) -> Self {
        let stamp = |millis: i64| Timestamp::from_millisecond(millis).unwrap_or_default();
        let deed = |deed: &firedrill_scenarios::incident::HumanDeed| {
            Deed::of(stamp(deed.at.unix_millis()).to_string(), String::new(), deed.what.clone())
        };
        Self {
            name: incident.name.to_string(),
            began: stamp(incident.onset.unix_millis()),
            over: incident.end.map(|end| stamp(end.unix_millis())),
            about: incident.what.clone(),
            services: String::new(),
            notes: String::new(),
            is_named: true,
            target: incident.target.clone(),
            deeds: incident.people.iter().map(deed).collect(),
        }
    }

    /// Whether it was at the time at which a policy took an incident up.
    fn is_then(&self, own: &TakenUp) -> bool {
        let last = self.deeds.last().and_then(|deed| deed.at.parse().ok());
        let end = self.over.or(last).unwrap_or(self.began);
        self.began.saturating_sub(APART).is_ok_and(|from| from <= own.at) && end.saturating_add(APART).is_ok_and(|to| own.at <= to)
    }

    /// Whether it may be such an incident: about the same alert, its target, or something that the alert names: `named`. `about` is its words in lower case.
    fn is_about(&self, own: &TakenUp, (about, named): (&str, &Named<'_>)) -> bool {
        let mut words = std::iter::once(&own.alert).chain(own.target.as_ref().map(Target::name));
        !self.is_elsewhere(own) && (self.is_named || !named.is_empty() || words.any(|word| words::mentions(about, word)))
    }
}

/// The incidents that a policy took up live, in order.
#[must_use]
pub fn taken_up(chain: &Chain) -> Vec<TakenUp> {
    let (incidents, retold) = (chain.incidents(), chain.retold());
    let mut taken: Vec<TakenUp> = Vec::new();
    // By what tells an incident from others, and by the hash of what was done in it, its place.
    let (mut known, mut events): (BTreeMap<&str, usize>, BTreeMap<&str, usize>) = Default::default();
    for recorded in &chain.entries {
        let Some(key) = incidents.get(recorded.hash.as_str()).copied() else { continue };
        if retold.contains_key(recorded.hash.as_str()) {
            continue;
        }
        let index = known.get(key).copied();
        match &recorded.entry.what {
            What::Decision { incident, hashes, event, is_backtest: false, .. } => {
                let told = match (serde_json::from_value::<Event>(event.clone()), index) {
                    (Ok(Event::IncidentOpened { alert, target, labels, .. }), _) => {
                        let (incident, opened, at, hashes) = (incident.clone(), key.to_owned(), recorded.entry.at, hashes.clone());
                        let (would, label, people, before) = (None, None, BTreeSet::new(), None);
                        known.insert(key, taken.len());
                        taken.push(TakenUp { incident, opened, at, alert, labels, target, would, label, hashes, people, before });
                        continue;
                    }
                    // To wait is nothing that it would do; what people say of it they say of the incident.
                    (Ok(Event::Decided { what: Action::Wait { .. }, .. }), Some(index)) => {
                        events.insert(&recorded.hash, index);
                        None
                    }
                    (Ok(Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. }), Some(_)) => {
                        Some(format!("{what} {target}"))
                    }
                    (Ok(_), _) => None,
                    // What it is called nobody knows here, but that it would have acted.
                    (Err(_), _) => UnreadAct::of(event).map(|act| act.to_string()),
                };
                if let (Some(told), Some(index)) = (told, index) {
                    events.insert(&recorded.hash, index);
                    taken[index].would.get_or_insert((recorded.entry.at, told));
                }
            }
            What::Compared { agrees, wrong, detection_ratio, detail, .. } => {
                if let Some(index) = index {
                    let Before { mut by, story, .. } = taken[index].before.take().unwrap_or_default();
                    let source = source_of(detail).map(str::to_owned);
                    by.extend(source.clone());
                    let story = source.filter(|source| source != A_LABEL).or(story);
                    taken[index].before = Some(Before { agrees: *agrees, wrong: *wrong, detection_ratio: *detection_ratio, by, story });
                }
            }
            What::Person { at, did, .. } => {
                if let Some(index) = index {
                    taken[index].people.insert((at.clone(), did.clone()));
                }
            }
            _ => {}
        }
    }
    told_apart(&mut taken);
    // An incident is what the worst of its decisions was.
    for (event, says) in chain.labels() {
        if let Some(index) = events.get(event) {
            let label = &mut taken[*index].label;
            *label = Some(label.filter(|own| own.gravity() > says.gravity()).unwrap_or(says));
        }
    }
    taken
}

/// Names by its hash what has the name of another.
fn told_apart(taken: &mut [TakenUp]) {
    let mut known = BTreeSet::new();
    let several: BTreeSet<String> =
        taken.iter().filter(|own| !known.insert(own.incident.clone())).map(|own| own.incident.clone()).collect();
    for own in taken.iter_mut().filter(|own| several.contains(&own.incident)) {
        own.incident.clone_from(&own.opened);
    }
}

fn compared(own: &TakenUp, story: Option<&Story>) -> Compared {
    let wrong = matches!(own.label, Some(Labelled::Wrong | Labelled::Harmful));
    // Without a story a label tells whether people would have acted so. One that was told before tells more, and is not to be forgotten for want of its file.
    let (agrees, deeds, source) = match (story, own.told_before()) {
        (Some(story), _) => {
            let acted = story.deeds.iter().any(|deed| deed.action.is_some());
            (acted == own.would.is_some(), story.deeds.clone(), story.name.clone())
        }
        (None, Some(before)) => {
            let source = before.story.clone().unwrap_or_else(|| A_LABEL.to_owned());
            (before.agrees, own.deeds(before.agrees == own.would.is_some()), source)
        }
        (None, None) => (!wrong, Vec::new(), A_LABEL.to_owned()),
    };
    let acted = deeds.iter().find(|deed| deed.action.is_some());
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
        source,
        deeds,
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
        with_source(&format!("{verdict}: the policy would do {}{when}; {people}", side(&self.policy)), &self.source)
    }

    /// What is new of it for the ledger; empty: it stands there so already. `own` is the incident; `simulated` is how long detection takes in simulation,
    /// seconds, where a scenario tells.
    #[must_use]
    pub fn entries(&self, own: &TakenUp, simulated: Option<f64>) -> Vec<What> {
        let detection_ratio =
            self.detected_seconds.zip(simulated.filter(|seconds| *seconds > 0.0)).map(|(live, simulated)| live / simulated);
        let is_there = |before: &Before| {
            (before.agrees, before.wrong) == (self.agrees, self.wrong) && (before.detection_ratio.is_some() || detection_ratio.is_none())
        };
        let deeds = self.deeds.iter().filter(|deed| !deed.is_unclear);
        let deeds = deeds.map(|deed| (deed.at.clone(), deed.action.clone().unwrap_or_default()));
        let mut deeds = deeds.filter(|deed| !own.people.contains(deed)).peekable();
        // What a story tells is kept, whether or not it comes out as a label did.
        let is_told = |before: &Before| deeds.peek().is_none() && (self.source == A_LABEL || before.by.contains(&self.source));
        if own.before.as_ref().is_some_and(is_there) && own.before.as_ref().is_some_and(is_told) {
            return Vec::new();
        }
        let detection_ratio = detection_ratio.or_else(|| own.before.as_ref()?.detection_ratio);
        let person = |(at, did)| What::Person { incident: self.incident.clone(), at, did };
        let (incident, agrees, wrong, hashes) = (self.incident.clone(), self.agrees, self.wrong, own.hashes.clone());
        let compared = What::Compared { incident, agrees, wrong, hashes, detection_ratio, detail: self.told() };
        deeds.map(person).chain([compared]).collect()
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::ActionId;
    use firedrill_policies::guard::stage::Stage;

    use super::*;
    use crate::ledger::{Entry, Ledger};

    fn decision(event: Event) -> What {
        let (stage, hashes, event) = (Stage::Shadow, Hashes::default(), serde_json::to_value(event).unwrap());
        What::Decision { incident: "p#0".into(), stage, hashes, event, is_backtest: false }
    }

    /// Adds to the chain `p` of a folder.
    fn append(folder: &std::path::Path, whats: Vec<What>) {
        let entry = |what| Entry { at: stamp(0), by: "watch".to_owned(), what };
        Ledger::open(folder, &Name::new("p")).unwrap().0.append(whats.into_iter().map(entry).collect()).unwrap();
    }

    fn stamp(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_571_200 + minute * 60).unwrap()
    }

    fn taken(would: Option<i64>, label: Option<Labelled>) -> TakenUp {
        let labels = LabelSet::from([(Name::new("alertname"), Name::new("Down")), (Name::new("pod"), Name::new("api-1"))]);
        let would = would.map(|minute| (stamp(minute), "restart (rolling) replica/api-1".to_owned()));
        let (incident, opened, alert) = ("restart#0".to_owned(), "blake3:00".to_owned(), Name::new("Down"));
        let (at, target, hashes, people, before) = (stamp(0), None, Hashes::default(), BTreeSet::new(), None);
        TakenUp { incident, opened, at, alert, labels, target, would, label, hashes, people, before }
    }

    fn story(about: &str, deeds: &[(i64, &str)]) -> Story {
        let deed = |(minute, words): &(i64, &str)| Deed::of(stamp(*minute).to_string(), "Ada".into(), (*words).to_owned());
        Story {
            name: "P1".into(),
            began: stamp(-1),
            over: None,
            about: about.into(),
            services: String::new(),
            notes: String::new(),
            is_named: false,
            target: None,
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
        assert_eq!(shadow(named.clone()).compared.len(), 1);
        // What it names is another thing, however near in time.
        for other in [
            Story { target: "service/cart".parse().ok(), ..named.clone() },
            Story { is_named: true, ..story("", &[(2, "did: restart replica/api-2")]) },
            story("Down\n - pod = api-2", &[(2, "restarted")]),
        ] {
            assert_eq!(shadow(other.clone()).compared.len(), 0, "{other:?}");
        }
        for same in [
            Story { target: "service/api".parse().ok(), ..named.clone() },
            Story { is_named: true, ..story("", &[(1, "did: restart replica/api-2"), (2, "did: restart replica/api-1")]) },
            story("Down\n - pod = api-2\n - pod = api-1", &[(2, "restarted")]),
        ] {
            assert_eq!(shadow(same.clone()).compared.len(), 1, "{same:?}");
        }
    }

    #[test]
    fn a_story_is_of_one_incident() {
        let another = |incident: &str, minute: i64| TakenUp { incident: incident.into(), at: stamp(minute), ..taken(Some(minute), None) };
        let story = story("Down on api-1", &[(5, "restarted api-1")]);
        let compared = |taken: &[TakenUp]| {
            let shadow = Shadow::of(taken, std::slice::from_ref(&story));
            (shadow.compared.into_iter().map(|own| own.incident).collect::<Vec<_>>(), shadow.untold)
        };
        let nearest = (vec!["restart#1".to_owned()], vec!["restart#0".to_owned(), "restart#2".to_owned()]);
        assert_eq!(compared(&[another("restart#0", 3), another("restart#1", 0), another("restart#2", 9)]), nearest);
        // One that was compared by it before keeps it.
        let by = source_of("agree: the policy would do nothing; people did nothing (P1)").map(str::to_owned);
        let before = Before { by: by.into_iter().collect(), ..Before::default() };
        let kept = TakenUp { before: Some(before), ..another("restart#0", 3) };
        assert_eq!(compared(&[kept, another("restart#1", 0)]).0, ["restart#0"]);
    }

    #[test]
    fn what_was_compared_is_written_again_only_if_it_says_something_else() {
        // What is written for an incident that was compared before, as agreeing and wrong or not, by a story or by a label alone.
        let written = |label: Option<Labelled>, people: &[(String, String)], before: Before, stories: &[Story]| -> Vec<String> {
            let own = TakenUp { people: people.iter().cloned().collect(), before: Some(before), ..taken(Some(1), label) };
            let shadow = Shadow::of(std::slice::from_ref(&own), stories);
            let told = |what: What| match what {
                What::Compared { agrees, wrong, detection_ratio, .. } => format!("agrees {agrees}, wrong {wrong}, {detection_ratio:?}"),
                What::Person { did, .. } => did,
                other => other.kind().to_owned(),
            };
            shadow.compared.iter().flat_map(|compared| compared.entries(&own, None)).map(told).collect()
        };
        let agreed = Before { agrees: true, wrong: false, detection_ratio: Some(1.5), ..Before::default() };
        assert!(written(Some(Labelled::Right), &[], agreed.clone(), &[]).is_empty());
        assert_eq!(written(Some(Labelled::Wrong), &[], agreed.clone(), &[]), ["agrees false, wrong true, Some(1.5)"]);
        // What a story told stays, whether or not its file is named again; a label says what was wrong in it.
        let did = [(stamp(5).to_string(), "restart".to_owned())];
        assert!(written(Some(Labelled::Right), &did, agreed.clone(), &[]).is_empty());
        assert_eq!(written(Some(Labelled::Wrong), &did, agreed.clone(), &[]), ["agrees true, wrong true, Some(1.5)"]);
        let differed = Before { agrees: false, ..agreed.clone() };
        assert!(written(Some(Labelled::Right), &did, differed.clone(), &[]).is_empty());
        // What a story says as the label did is kept; what it told before is told without its file.
        let acted = story("Down on api-1", &[(5, "restarted api-1")]);
        let same = written(Some(Labelled::Right), &[], agreed.clone(), std::slice::from_ref(&acted));
        assert_eq!(same, ["restart", "agrees true, wrong false, Some(1.5)"]);
        let known = Before { by: ["P1".to_owned()].into(), story: Some("P1".to_owned()), ..agreed.clone() };
        assert!(written(Some(Labelled::Right), &did, known.clone(), &[acted]).is_empty());
        let own = TakenUp { people: did.iter().cloned().collect(), before: Some(known), ..taken(Some(1), Some(Labelled::Right)) };
        let would = "agree: the policy would do restart (rolling) replica/api-1, 4m00s sooner";
        check(own.clone(), &[], &format!("{would}; people did restart, and say right (P1)"));
        check(TakenUp { label: None, ..own }, &[], &format!("{would}; people did restart (P1)"));
        // A story that is put right is told anew, and what is known of it is not said twice.
        let story = story("Down on api-1", &[(5, "restarted api-1"), (6, "scaled it")]);
        assert_eq!(written(None, &did, differed, &[story]), ["scale", "agrees true, wrong false, Some(1.5)"]);
    }

    #[test]
    fn a_story_is_of_the_incident_that_it_names_whichever_is_nearer() {
        let of = |service: &str, minute: i64, before: Option<Before>| {
            let labels = LabelSet::from([(Name::new("service"), Name::new(service))]);
            TakenUp { incident: service.into(), labels, at: stamp(minute), before, ..taken(Some(minute), None) }
        };
        let named = |name: &str, service: &str, minute: i64| Story {
            name: name.into(),
            began: stamp(minute),
            ..story(&format!("Down {service}"), &[(minute + 1, "did: nothing")])
        };
        let compared = |taken: &[TakenUp], stories: &[Story]| -> Vec<(String, String)> {
            Shadow::of(taken, stories).compared.into_iter().map(|own| (own.incident, own.source)).collect()
        };
        let pairs = |all: &[(&str, &str)]| all.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect::<Vec<_>>();
        let taken = [of("a1", 0, None), of("b1", 1, None), of("c1", 2, None)];
        // Nobody wrote of the second one, however near it is.
        let stories = [named("A", "a1", 1), named("C", "c1", 1)];
        assert_eq!(compared(&taken, &stories), pairs(&[("a1", "A"), ("c1", "C")]));
        // What names none of them is of the nearest that nobody names.
        let stories = [named("A", "a1", 1), Story { about: "Down".into(), ..named("X", "", 0) }];
        assert_eq!(compared(&taken, &stories), pairs(&[("a1", "A"), ("b1", "X")]));
        // Told twice, it is told once; and what one export has and another one lacks is of the same story.
        let part = Story { deeds: Vec::new(), ..named("A", "a1", 1) };
        let told = once(vec![part, named("A", "a1", 1), named("A", "a1", 1)]);
        assert_eq!((told.len(), told[0].deeds.len()), (1, 1));
        assert_eq!(compared(&taken[..2], &told), pairs(&[("a1", "A")]));
    }

    #[test]
    fn a_story_is_kept_from_no_incident_for_words_that_name_nothing_or_somewhere_else_beside_it() {
        let of = |incident: &str, minute: i64, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
            TakenUp { incident: incident.into(), labels, at: stamp(minute), ..taken(Some(minute), None) }
        };
        let told = |about: &str| Story { began: stamp(0), ..story(about, &[(1, "did: nothing")]) };
        let compared = |taken: &[TakenUp], about: &str| -> Vec<String> {
            Shadow::of(taken, &[told(about)]).compared.into_iter().map(|own| own.incident).collect()
        };
        let (a, b) = (of("a", 5, &[("zone", "a")]), of("b", 1, &[("zone", "b")]));
        let both = [a, b];
        assert_eq!(compared(&both, "Down: a disk is full"), ["b"], "the article names no zone");
        assert_eq!(compared(&both, "Down, zone = a"), ["a"]);
        // The same service elsewhere, and another one that is spoken of beside it.
        let (shop, cart) = ([("service", "shop"), ("zone", "eu-1")], [("service", "cart"), ("zone", "eu-2")]);
        let both = [of("shop", 1, &shop), of("cart", 9, &cart)];
        assert_eq!(compared(&both, "Down: shop is slow in the whole region, see eu-2 too"), ["shop"]);
        let there = [("service", "shop"), ("zone", "eu-2")];
        assert_eq!(compared(&[of("shop", 1, &shop), of("there", 9, &there)], "Down: shop in eu-2"), ["there"]);
        // What was long ago names nothing today.
        let old = TakenUp { at: stamp(-9_000), ..of("old", 0, &[("service", "search")]) };
        assert_eq!(compared(&[old, of("cart", 1, &cart)], "Down, in search of the cause"), ["cart"]);
        // A name within another one.
        let (whole, part) = (of("cart-db", 5, &[("service", "cart-db")]), of("cart", 1, &[("service", "cart")]));
        let both = [whole, part];
        assert_eq!([compared(&both, "Down on cart-db"), compared(&both, "Down on cart")], [["cart-db"], ["cart"]]);
    }

    #[test]
    fn what_the_words_of_an_incident_do_not_name_its_services_and_then_its_notes_do() {
        let of = |service: &str, minute: i64| {
            let labels = LabelSet::from([(Name::new("service"), Name::new(service))]);
            TakenUp { incident: service.into(), labels, at: stamp(minute), ..taken(Some(minute), None) }
        };
        let both = [of("cart", 8), of("web", 1)];
        let told = |about: &str, services: &str, notes: &str| -> Vec<String> {
            let story = Story { services: services.into(), notes: notes.into(), ..story(about, &[(10, "did: nothing")]) };
            Shadow::of(&both, &[Story { began: stamp(0), ..story }]).compared.into_iter().map(|own| own.incident).collect()
        };
        assert_eq!(told("Down", "", ""), ["web"], "the nearest in time");
        assert_eq!(told("Down", "cart", "looks like web"), ["cart"]);
        assert_eq!(told("Down", "platform", "Down, service/cart"), ["cart"]);
        assert_eq!(told("Down on web", "cart", "cart"), ["web"], "what its own words name");
        assert_eq!(told("slow", "", "it is cart"), ["cart"]);
        assert!(told("slow", "", "Down is another story").is_empty(), "an alert that is spoken of");
    }

    #[test]
    fn what_was_compared_by_a_story_stays_so_after_a_label_was_changed() {
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("p"));
        let compared = |people: &str| {
            let detail = format!("agree: the policy would do nothing; {people}");
            What::Compared { incident: "p#0".into(), agrees: true, wrong: false, hashes: Hashes::default(), detection_ratio: None, detail }
        };
        let opened = decision(Event::IncidentOpened {
            policy: name.clone(),
            incident: 0,
            alert: Name::new("Down"),
            target: None,
            labels: LabelSet::default(),
        });
        append(folder.path(), vec![opened, compared("people did nothing (P1)"), compared("people say wrong (a label)")]);
        let before = taken_up(&Ledger::read(folder.path(), &name).unwrap())[0].before.clone().unwrap();
        assert!(before.by.contains("P1") && before.by.contains("a label"), "{before:?}");
    }

    #[test]
    fn a_policy_that_waits_would_do_nothing() {
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("p"));
        let target = Target::Service(Name::new("shop"));
        let action = ActionId { policy: name.clone(), ordinal: 0 };
        let what = Action::Wait { span: Span::from_seconds(30) };
        let opened = Event::IncidentOpened {
            policy: name.clone(),
            incident: 0,
            alert: Name::new("Down"),
            target: None,
            labels: LabelSet::default(),
        };
        let waits =
            Event::Decided { policy: name.clone(), incident: 0, step: 0, action, what, target: target.clone(), reason: String::new() };
        append(folder.path(), vec![decision(opened), decision(waits)]);
        let read = || taken_up(&Ledger::read(folder.path(), &name).unwrap());
        assert_eq!(read()[0].would, None);
        let (policy, what, reason) = (name.clone(), Action::Rollback, String::new());
        append(folder.path(), vec![decision(Event::WouldAct { policy, incident: 0, step: 1, what, target, reason })]);
        assert_eq!(read()[0].would.as_ref().map(|(_, what)| what.as_str()), Some("rollback service/shop"));
    }

    #[test]
    fn the_same_stories_are_of_the_same_incidents_when_they_are_told_again() {
        let of = |incident: &str, minute: i64| TakenUp { incident: incident.into(), at: stamp(minute), ..taken(Some(minute), None) };
        let told = |name: &str, minute: i64, words: &str| Story {
            name: name.into(),
            began: stamp(minute),
            ..story("Down on api-1", &[(minute, words)])
        };
        // The first story is not understood, so that its incident is not compared.
        let stories = [told("Q1", 0, "kicked it"), told("Q2", 4, "did: nothing"), told("Q3", 3, "did: nothing")];
        let mut taken = [of("p#0", 0), of("p#1", 1), of("p#2", 5)];
        let first = Shadow::of(&taken, &stories);
        for own in &mut taken {
            let compared = first.compared.iter().find(|compared| compared.incident == own.incident);
            let by = |own: &Compared| source_of(&own.told()).map(str::to_owned).into_iter().collect();
            own.before = compared.map(|own| Before { agrees: own.agrees, by: by(own), ..Before::default() });
            let deeds = compared.iter().flat_map(|own| &own.deeds);
            own.people = deeds.map(|deed| (deed.at.clone(), deed.action.clone().unwrap_or_default())).collect();
        }
        assert_eq!(Shadow::of(&taken, &stories), first);
        assert!(first.compared.iter().zip(&taken[1..]).all(|(compared, own)| compared.entries(own, None).is_empty()));
    }

    #[test]
    fn words_that_are_not_understood_are_compared_with_nothing() {
        let shadow = |label, words| Shadow::of(&[taken(Some(1), label)], &[story("Down on api-1", &[(1, "acknowledged"), (2, words)])]);
        let unclear = shadow(None, "kicked it");
        assert_eq!((unclear.compared.len(), &unclear.unclear), (0, &vec![("restart#0".to_owned(), "kicked it".to_owned())]));
        // A label tells all the same, and the words are told beside it.
        let labelled = shadow(Some(Labelled::Right), "kicked it");
        assert_eq!((labelled.compared.len(), labelled.unclear, labelled.untold.len()), (1, unclear.unclear, 0));
        assert_eq!(shadow(None, "did: restart replica/api-1").compared.len(), 1);
    }
}
