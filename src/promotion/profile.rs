//! What each step of a promotion asks for, as data, and what a project asks for instead.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_core::problem::{Problem, near_miss};
use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_core::yaml::{Node, Reader, Value};
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{Chain, Labelled, PublicKey, REFUSED, Recorded, Signed, What, is_machine, sides};

/// A set of demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// For a team with a few incidents a month.
    #[default]
    Small,
    /// For a team with many.
    Large,
}

impl ProfileName {
    /// The word in files and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// What is counted at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Decisions to act that the stage kept from being carried out.
    WouldActs,
    /// Incidents in which what the policy would have done is compared with what people did.
    Compared,
    /// Actions that people allowed.
    Runs,
    /// Actions.
    Actions,
}

impl Counted {
    /// One of them, as people call it.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::WouldActs => "would-act event",
            Self::Compared => "compared incident",
            Self::Runs => "run",
            Self::Actions => "action",
        }
    }
}

/// What is asked for before a policy may leave a stage for the next one. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The stage that it leaves.
    pub from: Stage,
    /// What is counted there.
    pub counted: Counted,
    /// How long it must have been watched at this stage.
    pub live: Span,
    /// Or so long live, and so long on recorded history; `None`: history is no help.
    pub backtest: Option<(Span, Span)>,
    /// How many there must be.
    pub events: u64,
    /// At most this share of them may be wrong; of actions, harmful.
    pub wrong: f64,
    /// At least this share of compared incidents agree.
    pub agreement: Option<f64>,
    /// Live detection takes at most so many times as long as in simulation, and at least that part of it.
    pub detection: Option<f64>,
    /// At least this share of proposals is approved.
    pub approved: Option<f64>,
    /// At least this share of verifications holds.
    pub verified: Option<f64>,
    /// At least so many are of deliberate drills.
    pub drills: u64,
}

/// The share of recorded firings that our ruler must reproduce before what it decides on them counts.
pub const REPRODUCED: f64 = 0.95;

/// Without a label for so long an event counts as wrong.
pub const UNLABELLED: Span = days(14);

const fn days(count: u64) -> Span {
    Span::from_seconds(count * 86_400)
}

const NOTHING: Asked = Asked {
    from: Stage::DryRun,
    counted: Counted::WouldActs,
    live: Span::ZERO,
    backtest: None,
    events: 0,
    wrong: 0.0,
    agreement: None,
    detection: None,
    approved: None,
    verified: None,
    drills: 0,
};

/// What the profile `small` asks for, from dry-run on.
pub const SMALL: [Asked; 5] = [
    Asked { live: days(14), backtest: Some((days(7), days(30))), events: 5, ..NOTHING },
    Asked { from: Stage::Shadow, counted: Counted::Compared, events: 5, ..NOTHING },
    Asked { from: Stage::Approval, counted: Counted::Runs, events: 5, drills: 1, ..NOTHING },
    Asked { from: Stage::Limited, counted: Counted::Actions, events: 10, ..NOTHING },
    Asked { from: Stage::Guarded, counted: Counted::Actions, events: 20, ..NOTHING },
];

/// What the profile `large` asks for, from dry-run on.
pub const LARGE: [Asked; 5] = [
    Asked { live: days(7), events: 20, wrong: 0.05, ..NOTHING },
    Asked {
        from: Stage::Shadow,
        counted: Counted::Compared,
        live: days(14),
        events: 1,
        wrong: 1.0,
        agreement: Some(0.9),
        detection: Some(2.0),
        ..NOTHING
    },
    Asked { from: Stage::Approval, counted: Counted::Runs, events: 30, wrong: 1.0, approved: Some(0.95), verified: Some(0.9), ..NOTHING },
    Asked { from: Stage::Limited, counted: Counted::Actions, events: 100, ..NOTHING },
    Asked { from: Stage::Guarded, counted: Counted::Actions, events: 300, ..NOTHING },
];

/// The stage after this one; `None` after `full`.
#[must_use]
pub fn next(stage: Stage) -> Option<Stage> {
    Stage::WORDS.iter().map(|(_, own)| *own).find(|own| *own > stage)
}

/// The stage before this one; `None` before `draft`.
#[must_use]
pub fn before(stage: Stage) -> Option<Stage> {
    Stage::WORDS.iter().map(|(_, own)| *own).rfind(|own| *own < stage)
}

/// What a project says about promotions: `promotion:` and `people:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promotions {
    /// The profile; `None`: the project does not say.
    pub profile: Option<ProfileName>,
    /// Whether what was seen of a simulation counts as what was seen live.
    pub do_rehearsals_count: bool,
    /// What it asks for instead, by stage.
    instead: BTreeMap<Stage, Instead>,
    /// Who there is; empty: the project does not say, and anybody may be named.
    pub people: BTreeMap<Name, Person>,
}

/// What a project says of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The teams that they are in, as policies name their owners.
    pub teams: Vec<Name>,
    /// What they sign with, and have signed with.
    pub keys: Vec<PersonalKey>,
}

/// A key of a person, and the time in which it is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalKey {
    /// The key.
    pub key: PublicKey,
    /// From when on; `None`: always. Before the first key of a person nothing of theirs needs to be signed.
    pub from: Option<Timestamp>,
    /// Until when; `None`: it still is. What is signed by it later does not count.
    pub until: Option<Timestamp>,
}

impl PersonalKey {
    fn is_theirs(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl Person {
    /// Whether they have a key at all.
    #[must_use]
    pub const fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a key is theirs at a time.
    #[must_use]
    pub fn signs_with(&self, key: &PublicKey, at: Timestamp) -> bool {
        self.keys.iter().any(|own| own.key == *key && own.is_theirs(at))
    }

    /// Whether what they say at a time must be signed: it need not be before their first key.
    #[must_use]
    pub fn must_sign(&self, at: Timestamp) -> bool {
        self.has_key() && !self.keys.iter().all(|own| own.from.is_some_and(|from| at < from))
    }
}

/// What a project asks for instead of what its profile does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Instead {
    live: Option<Span>,
    events: Option<u64>,
    wrong: Option<f64>,
    agreement: Option<f64>,
    detection: Option<f64>,
    approved: Option<f64>,
    verified: Option<f64>,
    drills: Option<u64>,
}

impl Promotions {
    /// What is asked for before a policy may leave a stage by a profile, and what of that is less than the profile asks for, a sentence each.
    /// `None`: nothing live is asked for before leaving a draft, and nothing follows `full`.
    #[must_use]
    pub fn asked(&self, from: Stage, profile: ProfileName) -> Option<(Asked, Vec<String>)> {
        let table = if profile == ProfileName::Small { SMALL } else { LARGE };
        let usual = table.into_iter().find(|own| own.from == from)?;
        let Some(instead) = self.instead.get(&from) else { return Some((usual, Vec::new())) };
        let own = Asked {
            live: instead.live.unwrap_or(usual.live),
            // Who names a time means that time.
            backtest: usual.backtest.filter(|_| instead.live.is_none()),
            events: instead.events.unwrap_or(usual.events),
            wrong: instead.wrong.unwrap_or(usual.wrong),
            agreement: instead.agreement.or(usual.agreement),
            detection: instead.detection.or(usual.detection),
            approved: instead.approved.or(usual.approved),
            verified: instead.verified.or(usual.verified),
            drills: instead.drills.unwrap_or(usual.drills),
            ..usual
        };
        let weakened = weakened(&own, &usual, profile);
        Some((own, weakened))
    }

    /// Of what people labelled at a stage, whichever it is, more than this share being wrong or harmful takes a policy back: what its profile asks of dry-run.
    #[must_use]
    pub fn false_positives(&self, profile: ProfileName) -> f64 {
        let [usual, ..] = if profile == ProfileName::Small { SMALL } else { LARGE };
        self.instead.get(&Stage::DryRun).and_then(|instead| instead.wrong).unwrap_or(usual.wrong)
    }

    /// What is said if a profile asks for less than the one that the project names.
    #[must_use]
    pub fn is_less_than_named(&self, profile: ProfileName) -> Option<String> {
        let named = self.profile.filter(|named| *named == ProfileName::Large && profile == ProfileName::Small)?;
        Some(format!("the profile {} instead of {}, which firedrill.yaml names", profile.word(), named.word()))
    }

    /// What is said where evidence of a simulation counts.
    #[must_use]
    pub fn counts_rehearsals(&self) -> Option<String> {
        self.do_rehearsals_count.then(|| "what was seen of a simulation counts as what was seen live (`rehearsed: counts`)".to_owned())
    }

    /// That a name can be taken for no other one, and is one of those that the project knows, if it knows any.
    ///
    /// # Errors
    /// It can, or is none.
    pub fn knows(&self, person: &str) -> Result<(), Vec<Problem>> {
        if !is_plain_name(person) {
            let message = unplain(person);
            return Err(vec![Problem::in_file("FD0825", "the command line", message).remedy(PLAINLY)]);
        }
        if self.people.is_empty() || self.person(person).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = self.people.keys().map(Name::as_str).collect();
        let problem = Problem::in_file("FD0821", "the command line", format!("`people:` of firedrill.yaml has no `{person}`"));
        Err(vec![match near_miss(person, &known) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None => problem.remedy(format!("name one of {}, or add them there", known.join(", "))),
        }])
    }

    /// What the project says of a person, however their name is written; `None`: nothing.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<&Person> {
        let name = same_person(name);
        self.people.iter().find(|(own, _)| same_person(own) == name).map(|(_, person)| person)
    }

    /// Whether a person may be who wrote a policy: they are its author; or it names none, and its owner is they or a team of theirs.
    #[must_use]
    pub fn is_author(&self, person: &str, owner: &Name, author: Option<&Name>) -> bool {
        let is_same = |name: &Name| same_person(name) == same_person(person);
        if let Some(author) = author {
            return is_same(author);
        }
        is_same(owner) || self.person(person).is_some_and(|own| own.teams.iter().any(|team| folded(team) == folded(owner)))
    }

    /// Whether anybody has a key.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.people.values().any(Person::has_key)
    }

    /// The entries that are in the name of somebody who had a key when they were written, and are not signed by it, by hash. They were written no sooner than
    /// what they follow, whatever the clock of their writer said; and what stands on a branch alone no sooner than that was joined with another one, unless
    /// they have signed something on it since: a date is what anybody can write.
    #[must_use]
    pub fn unverified(&self, chain: &Chain) -> BTreeSet<String> {
        if !self.has_keys() {
            return BTreeSet::new();
        }
        let mut written_at = chain.written_at();
        for side in sides(chain) {
            let vouched: BTreeMap<String, BTreeSet<&str>> = (self.people.iter().filter(|(_, person)| person.has_key()))
                .map(|(name, person)| {
                    let name = same_person(name);
                    let signs = |own: &Recorded| {
                        let is_theirs = matches!(&own.signed, Signed::By(key) if person.signs_with(key, side.joined));
                        is_theirs && same_person(&own.entry.by) == name && !matches!(own.entry.what, What::Merge { .. })
                    };
                    (name.clone(), side.up_from(signs))
                })
                .collect();
            for own in &side.entries {
                let is_vouched = vouched.get(&same_person(&own.entry.by)).is_some_and(|vouched| vouched.contains(own.hash.as_str()));
                if let Some(at) = written_at.get_mut(own.hash.as_str()).filter(|_| !is_vouched) {
                    *at = side.joined.max(*at);
                }
            }
        }
        let is_unverified = |own: &&Recorded| {
            let Some(person) = self.person(&own.entry.by) else { return false };
            let at = written_at.get(own.hash.as_str()).copied().unwrap_or(own.entry.at);
            let is_signed = matches!(&own.signed, Signed::By(key) if person.signs_with(key, at));
            person.must_sign(at) && !is_signed
        };
        chain.entries.iter().filter(is_unverified).map(|own| own.hash.clone()).collect()
    }

    /// Names that stand in a chain and are those of nobody among the people, where the project names any, each with how many entries in it do not count.
    #[must_use]
    pub fn strangers(&self, chain: &Chain) -> BTreeMap<String, usize> {
        let mut all: BTreeMap<&str, usize> = BTreeMap::new();
        let counts = |own: &Recorded| counts_of_anybody(own) || speaks_against(own);
        for own in chain.entries.iter().filter(|own| !self.people.is_empty() && !counts(own)) {
            *all.entry(&own.entry.by).or_default() += 1;
        }
        all.into_iter().filter(|(by, _)| self.is_stranger(by)).map(|(by, count)| (by.to_owned(), count)).collect()
    }

    /// Whether a name is that of nobody whom the project names, though it names people, and of none of our own writers.
    fn is_stranger(&self, by: &str) -> bool {
        !self.people.is_empty() && !is_machine(by) && self.person(by).is_none()
    }

    /// A chain as far as it is to be believed: what is said in the name of somebody who has a key, and is not signed by it, does not count, nor what is said by
    /// somebody who is not among the people, unless it speaks against the policy. Anybody may take a policy back, and needs no key for that.
    #[must_use]
    pub fn believed(&self, chain: Chain) -> Chain {
        let (unverified, strangers) = (self.unverified(&chain), self.strangers(&chain));
        let is_strange = |own: &Recorded| strangers.contains_key(&own.entry.by) && !speaks_against(own);
        chain.without(|own| !counts_of_anybody(own) && (unverified.contains(&own.hash) || is_strange(own)))
    }
}

/// Whether an entry counts whoever wrote it: it takes a policy back, or joins two branches.
const fn counts_of_anybody(own: &Recorded) -> bool {
    matches!(own.entry.what, What::Demotion { .. } | What::Merge { .. })
}

/// Whether an entry speaks against the policy: to take a name out of the people must not make that unsaid.
fn speaks_against(own: &Recorded) -> bool {
    use Labelled::{Harmful, Wrong};
    match &own.entry.what {
        What::Label { says: Wrong | Harmful, .. } | What::Compared { wrong: true, .. } | What::Violation { .. } | What::Hint { .. } => true,
        What::State { of, .. } => of == REFUSED,
        _ => false,
    }
}

/// A text as it is compared: people write it now so and now so.
#[must_use]
pub fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A person's name as it is compared: capitals, and what stands before or after the letters of it, such as `@`, make nobody else of them.
#[must_use]
pub fn same_person(name: &str) -> String {
    let folded = folded(name);
    let plain = folded.trim_matches(|c: char| !c.is_alphanumeric());
    if plain.is_empty() { folded } else { plain.to_owned() }
}

/// How a name is written that nobody takes for another one.
const PLAINLY: &str = "write it in plain ASCII: letters, digits, `-`, `_`, `.`, `@`";

fn unplain(name: &str) -> String {
    format!("the name `{}` has letters that can be taken for others, or cannot be seen", name.escape_default())
}

/// Whether a name has only letters that cannot be taken for others, and that everybody sees.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

/// What is less than usual, a sentence each.
fn weakened(own: &Asked, usual: &Asked, profile: ProfileName) -> Vec<String> {
    let share = |value: f64| format!("{}%", value * 100.0);
    let pair = |own: Option<f64>, usual: Option<f64>, told: fn(f64) -> String| {
        (own.map_or_else(String::new, told), usual.map_or_else(String::new, told))
    };
    let percent: fn(f64) -> String = |value| format!("{}%", value * 100.0);
    let all = [
        ("live", own.live < usual.live, (days_told(own.live), days_told(usual.live))),
        ("events", own.events < usual.events, (own.events.to_string(), usual.events.to_string())),
        ("wrong", own.wrong > usual.wrong, (share(own.wrong), share(usual.wrong))),
        ("agreement", own.agreement < usual.agreement, pair(own.agreement, usual.agreement, percent)),
        (
            "detection",
            own.detection > usual.detection && usual.detection.is_some(),
            pair(own.detection, usual.detection, |value| format!("x{value}")),
        ),
        ("approved", own.approved < usual.approved, pair(own.approved, usual.approved, percent)),
        ("verified", own.verified < usual.verified, pair(own.verified, usual.verified, percent)),
        ("drills", own.drills < usual.drills, (own.drills.to_string(), usual.drills.to_string())),
    ];
    let weaker = all.into_iter().filter(|(_, is_weaker, _)| *is_weaker);
    let told = weaker.map(|(what, _, (own, usual))| format!("{what} {own} instead of {usual}"));
    told.map(|told| format!("{}: {told} of the profile {}", own.from.word(), profile.word())).collect()
}

/// A time as people say it: `14 days`, or `36h`.
#[must_use]
pub fn days_told(span: Span) -> String {
    let seconds = span.as_millis() / 1000;
    if seconds > 0 && seconds.is_multiple_of(86_400) { counted(seconds / 86_400, "day") } else { span.to_string() }
}

/// Reads `promotion:`.
pub fn read(reader: &mut Reader, node: &Node, promotions: &mut Promotions) {
    let Some(mut fields) = reader.fields(node, "`promotion`") else { return };
    let words = [("small", ProfileName::Small), ("large", ProfileName::Large)];
    promotions.profile = fields.optional("profile").and_then(|node| reader.one_of(node, "a profile", &words));
    let words = [("counts", true)];
    promotions.do_rehearsals_count =
        fields.optional("rehearsed").and_then(|node| reader.one_of(node, "what is rehearsed", &words)).unwrap_or(false);
    for (key, stage) in [
        ("dry-run", Stage::DryRun),
        ("shadow", Stage::Shadow),
        ("approval", Stage::Approval),
        ("limited", Stage::Limited),
        ("guarded", Stage::Guarded),
    ] {
        if let Some(instead) = fields.optional(key).and_then(|node| read_instead(reader, node)) {
            promotions.instead.insert(stage, instead);
        }
    }
    fields.finish(reader);
}

fn read_instead(reader: &mut Reader, node: &Node) -> Option<Instead> {
    let mut fields = reader.fields(node, "what a stage asks for")?;
    let count =
        |reader: &mut Reader, node: &Node, what: &str, least: i64| reader.integer(node, what, least..=1_000_000).map(i64::unsigned_abs);
    let instead = Instead {
        live: fields.optional("live").and_then(|node| reader.span(node, "`live`")),
        events: fields.optional("events").and_then(|node| count(reader, node, "`events`", 1)),
        wrong: fields.optional("wrong").and_then(|node| reader.ratio(node, "`wrong`")).map(|ratio| ratio.get()),
        agreement: fields.optional("agreement").and_then(|node| reader.ratio(node, "`agreement`")).map(|ratio| ratio.get()),
        detection: fields.optional("detection").and_then(|node| reader.factor(node, "`detection`")).map(|factor| factor.get()),
        approved: fields.optional("approved").and_then(|node| reader.ratio(node, "`approved`")).map(|ratio| ratio.get()),
        verified: fields.optional("verified").and_then(|node| reader.ratio(node, "`verified`")).map(|ratio| ratio.get()),
        drills: fields.optional("drills").and_then(|node| count(reader, node, "`drills`", 0)),
    };
    fields.finish(reader);
    Some(instead)
}

/// Reads `people:`.
pub fn read_people(reader: &mut Reader, node: &Node, promotions: &mut Promotions) {
    let Some(entries) = reader.fields(node, "people by name") else { return };
    for (key, value) in entries.entries() {
        let Some(mut fields) = reader.fields(value, "a person") else { continue };
        let teams = fields.optional("teams").and_then(|node| reader.list(node, "`teams`")).unwrap_or_default();
        let teams = teams.iter().filter_map(|node| reader.name(node, "a team")).collect();
        let always = |key| PersonalKey { key, from: None, until: None };
        let mut keys: Vec<PersonalKey> =
            fields.optional("key").and_then(|node| read_key(reader, node, &key.text)).map(always).into_iter().collect();
        for node in fields.optional("keys").and_then(|node| reader.list(node, "`keys`")).unwrap_or_default() {
            keys.extend(read_personal(reader, node, &key.text));
        }
        fields.finish(reader);
        // Two spellings that look the same would be two people.
        if let Some(other) = promotions.people.keys().find(|own| same_person(own) == same_person(&key.text)) {
            let message = format!("`{}` and `{other}` are one name: capitals and signs around it make nobody else of them", key.text);
            reader.problem(Problem::at("FD0825", &key.place, message).remedy("write each person once, with all of their teams and keys"));
        }
        if !is_plain_name(&key.text) {
            reader.problem(Problem::at("FD0825", &key.place, unplain(&key.text)).remedy(PLAINLY));
        }
        promotions.people.insert(key.text.clone(), Person { teams, keys });
    }
}

/// A public key.
fn read_key(reader: &mut Reader, node: &Node, person: &str) -> Option<PublicKey> {
    let text = reader.text(node, "a public key")?.clone();
    let read = PublicKey::read(&text);
    if let Err(error) = &read {
        let remedy = "`openssl pkey -in FILE -pubout` writes the public part of a key that `openssl genpkey -algorithm ed25519` has made";
        reader.problem(Problem::at("FD0820", &node.place, format!("the key of `{person}`: {error}")).remedy(remedy));
    }
    read.ok()
}

/// A key with the time in which it is somebody's: `{ key, from, until }`, or the key alone.
fn read_personal(reader: &mut Reader, node: &Node, person: &str) -> Option<PersonalKey> {
    if matches!(node.value, Value::Text(_)) {
        return read_key(reader, node, person).map(|key| PersonalKey { key, from: None, until: None });
    }
    let mut fields = reader.fields(node, "a key")?;
    let key = fields.required(reader, "key").and_then(|node| read_key(reader, node, person));
    let time = |reader: &mut Reader, node: Option<&Node>| {
        let node = node?;
        let text = reader.text(node, "a time")?.clone();
        let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
        let read = text.parse::<Timestamp>().ok().or_else(|| day().map(|zoned| zoned.timestamp()));
        if read.is_none() {
            let message = format!("`{text}` is no time at which a key of `{person}` could begin or end");
            reader.problem(
                Problem::at("FD0820", &node.place, message).remedy("write a day, `2026-03-01`, or a time, `2026-03-01T09:00:00Z`"),
            );
        }
        read
    };
    let (from, until) = (time(reader, fields.optional("from")), time(reader, fields.optional("until")));
    fields.finish(reader);
    Some(PersonalKey { key: key?, from, until })
}

#[cfg(test)]
mod tests {
    use firedrill_core::yaml;

    use super::*;

    fn promotions(text: &str) -> Result<Promotions, Vec<Problem>> {
        let node = yaml::parse("firedrill.yaml", text).unwrap();
        let (mut reader, mut promotions) = (Reader::new(), Promotions::default());
        let mut fields = reader.fields(&node, "a project").unwrap();
        if let Some(node) = fields.optional("promotion") {
            read(&mut reader, node, &mut promotions);
        }
        if let Some(node) = fields.optional("people") {
            read_people(&mut reader, node, &mut promotions);
        }
        reader.finish().map(|()| promotions)
    }

    #[test]
    fn each_profile_asks_for_what_the_table_says() {
        let of = |profile| {
            let stages = [Stage::DryRun, Stage::Shadow, Stage::Approval, Stage::Limited, Stage::Guarded];
            stages.map(|stage| Promotions::default().asked(stage, profile).unwrap().0.events)
        };
        assert_eq!((of(ProfileName::Small), of(ProfileName::Large)), ([5, 5, 5, 10, 20], [20, 1, 30, 100, 300]));
        assert_eq!(Promotions::default().asked(Stage::Draft, ProfileName::Small), None);
        assert_eq!(Promotions::default().asked(Stage::Full, ProfileName::Small), None);
        assert_eq!((next(Stage::Draft), next(Stage::Full), before(Stage::Draft)), (Some(Stage::DryRun), None, None));
    }

    #[test]
    fn what_is_asked_for_instead_is_told_where_it_is_less() {
        assert!(promotions("promotion: { rehearsed: counts }").unwrap().counts_rehearsals().is_some());
        let own =
            promotions("promotion: { profile: large, dry-run: { live: 3d, events: 30, wrong: 10% }, shadow: { detection: x3 } }").unwrap();
        assert_eq!(own.profile, Some(ProfileName::Large));
        let (asked, weakened) = own.asked(Stage::DryRun, ProfileName::Large).unwrap();
        assert_eq!((asked.events, asked.wrong), (30, 0.1));
        assert_eq!(
            weakened,
            ["dry-run: live 3 days instead of 7 days of the profile large", "dry-run: wrong 10% instead of 5% of the profile large"]
        );
        assert_eq!(own.asked(Stage::Shadow, ProfileName::Large).unwrap().1, ["shadow: detection x3 instead of x2 of the profile large"]);
        assert!(own.asked(Stage::Limited, ProfileName::Large).unwrap().1.is_empty());
    }

    #[test]
    fn who_wrote_a_policy_is_its_author_or_else_anybody_of_its_owner() {
        let own = promotions("people: { ada: { teams: [shop] }, ben: {} }").unwrap();
        let (shop, ada) = (Name::new("shop"), Name::new("ada"));
        assert!(own.is_author("ada", &shop, None) && !own.is_author("ben", &shop, None));
        assert!(own.is_author("shop", &shop, None));
        // Another spelling is nobody else.
        assert!(own.is_author("Ada ", &shop, Some(&ada)) && own.is_author("ADA", &shop, None));
        assert!(own.is_author("ada", &shop, Some(&ada)) && !own.is_author("ben", &shop, Some(&ada)));
        assert_eq!(own.knows("bem").unwrap_err()[0].remedy.as_deref(), Some("did you mean `ben`?"));
        assert!(Promotions::default().knows("anybody").is_ok());
    }

    #[test]
    fn a_person_has_several_keys_over_time_and_what_was_said_before_them_counts() {
        use crate::ledger::{Entry, Key, Ledger};
        use ed25519_dalek::SigningKey;
        use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};

        let key = |byte: u8| Key::read(&SigningKey::from_bytes(&[byte; 32]).to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
        let (old, new) = (key(1), key(2));
        let folder = tempfile::tempdir().unwrap();
        let name = Name::new("p");
        let add = |day: u32, key: Option<&Key>| {
            let at = format!("2026-01-{day:02}T00:00:00Z").parse().unwrap();
            let entry = Entry { at, by: "ada".to_owned(), what: What::Violation { what: day.to_string() } };
            Ledger::open(folder.path(), &name).unwrap().0.signed_by(key.cloned()).append(vec![entry]).unwrap();
        };
        // Unsigned before there was a key; by the old one; unsigned; by the new one; by the old one once it is not theirs any more; and one that says that it is
        // older than what it follows.
        add(2, None);
        add(6, Some(&old));
        add(7, None);
        add(12, Some(&new));
        add(13, Some(&old));
        add(3, None);
        let unverified = |keys: &str| {
            let own = promotions(&format!("people: {{ ada: {{ {keys} }} }}")).unwrap();
            let chain = Ledger::read(folder.path(), &name).unwrap();
            let found = own.unverified(&chain);
            let left = own.believed(chain.clone());
            assert_eq!(left.entries.iter().filter(|own| matches!(own.entry.what, What::Violation { .. })).count(), 6 - found.len());
            chain.entries.iter().filter(|own| found.contains(&own.hash)).map(|own| own.number).collect::<Vec<_>>()
        };
        let (old, new) = (old.public(), new.public());
        assert_eq!(unverified("teams: []"), [0_u64; 0]);
        assert_eq!(unverified(&format!("key: '{new}'")), [1, 2, 3, 5, 6]);
        assert_eq!(unverified(&format!("keys: ['{old}', '{new}']")), [1, 3, 6]);
        assert_eq!(unverified(&format!("key: '{new}', keys: ['{old}']")), [1, 3, 6]);
        let rotated = format!("keys: [{{ key: '{old}', from: 2026-01-05, until: 2026-01-10 }}, {{ key: '{new}', from: 2026-01-10 }}]");
        assert_eq!(unverified(&rotated), [3, 5, 6]);
    }

    #[test]
    fn what_stands_on_a_branch_alone_was_said_when_it_was_joined_whatever_it_says_itself() {
        use crate::ledger::{Entry, Key, Ledger};
        use ed25519_dalek::SigningKey;
        use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};

        let key = |byte: u8| Key::read(&SigningKey::from_bytes(&[byte; 32]).to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
        let (old, new) = (key(1), key(2));
        let folder = tempfile::tempdir().unwrap();
        let (name, path) = (Name::new("p"), folder.path().join("p.jsonl"));
        let add = |day: u32, by: &str, key: Option<&Key>| {
            let at = format!("2026-01-{day:02}T00:00:00Z").parse().unwrap();
            let entry = Entry { at, by: by.to_owned(), what: What::Violation { what: day.to_string() } };
            std::fs::remove_file(folder.path().join("p.head")).ok();
            Ledger::open(folder.path(), &name).unwrap().0.signed_by(key.cloned()).append(vec![entry]).unwrap();
        };
        // Before anybody had a key; and a fork of that: what is said unsigned, and by a key that was somebody's once, dated before ada's key changed.
        add(1, "ada", None);
        let common = std::fs::read_to_string(&path).unwrap();
        add(2, "ada", None);
        add(20, "ada", Some(&new));
        add(21, "ada", None);
        let trunk = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &common).unwrap();
        add(3, "ada", None);
        add(7, "ada", Some(&old));
        let forged = std::fs::read_to_string(&path).unwrap()[common.len()..].to_owned();
        std::fs::write(&path, trunk + &forged).unwrap();
        std::fs::remove_file(folder.path().join("p.head")).ok();
        let (old, new) = (old.public(), new.public());
        let keys = format!("keys: [{{ key: '{old}', from: 2026-01-05, until: 2026-01-10 }}, {{ key: '{new}', from: 2026-01-10 }}]");
        let own = promotions(&format!("people: {{ ada: {{ {keys} }} }}")).unwrap();
        let unverified = || {
            let chain = Ledger::read(folder.path(), &name).unwrap();
            let found = own.unverified(&chain);
            let of = |own: &&Recorded| found.contains(&own.hash);
            chain.entries.iter().filter(of).map(|own| own.entry.at.strftime("%d").to_string()).collect::<BTreeSet<_>>()
        };
        // What she has signed something on since stays what it was.
        let told: BTreeSet<String> = ["03", "07", "21"].map(str::to_owned).into();
        assert_eq!(unverified(), told, "while both branches are open");
        add(22, "ben", None);
        assert_eq!(unverified(), told, "and when they are joined");
    }

    #[test]
    fn a_name_is_the_same_in_capitals_and_with_signs_around_it() {
        for (one, other, is_same) in [
            ("ada", "ADA", true),
            ("ada", "@ada", true),
            ("ada", "ada.", true),
            ("ada", " ada ", true),
            ("ada", "ada2", false),
            ("ada", "a.da", false),
        ] {
            assert_eq!(same_person(one) == same_person(other), is_same, "{other}");
        }
        assert!(is_plain_name("ada l@x.org") && !is_plain_name("\u{430}da") && !is_plain_name("ad\u{200b}a"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let codes = |text: &str| promotions(text).unwrap_err().iter().map(|problem| problem.code).collect::<Vec<_>>();
        assert_eq!(codes("people: { ada: { key: 'ssh-ed25519 AAAA' } }"), ["FD0820"]);
        assert_eq!(codes("people: { ada: { keys: [ 'ssh-ed25519 AAAA' ] } }"), ["FD0820"]);
        let key = format!("ed25519:{}", "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29");
        assert_eq!(codes(&format!("people: {{ ada: {{ keys: [ {{ key: '{key}', from: soon }} ] }} }}")), ["FD0820"]);
        // A Cyrillic a.
        assert_eq!(codes("people: { \u{430}da: {} }"), ["FD0825"]);
        assert_eq!(codes("people: { ada: {}, ADA: {} }"), ["FD0825"]);
        assert_eq!(codes("promotion: { rehearsed: sometimes }").len(), 1);
        assert_eq!(codes("promotion: { profile: medium }").len(), 1);
        assert_eq!(codes("promotion: { dry-run: { evnts: 3 } }").len(), 1);
    }
}
