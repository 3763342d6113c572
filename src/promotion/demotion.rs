//! What takes a policy back without anybody asking.
//!
//! Harm, and what must never happen, take back the policy, whichever version did it. All else is of the version that decided it: one that looks on in dry-run takes
//! nothing back, and one that is at a lower stage than another goes back from there.

use std::collections::BTreeMap;

use firedrill_core::action::Action;
use firedrill_core::journal::{Event, ProposalChange, Verification};
use firedrill_core::time::Span;
use firedrill_policies::guard::breaker;
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;

use super::bake;
use super::evidence::acted_where_nothing_may;
use super::profile::{Promotions, before};
use super::standing::{Standing, between};
use crate::ledger::{Chain, Hashes, Labelled, Recorded, What};

/// Who writes what no person does.
pub const ITSELF: &str = "firedrill";

/// So many of the last are looked at.
const LAST: usize = 20;

/// More than this share of them is too many: 10 %.
const TOO_MANY: usize = LAST / 10;

/// What a person undoes within this time gives a hint.
const REVERTED_WITHIN: Span = Span::from_minutes(60);

/// Within this time two trips of the breaker are too many.
const TRIPS_WITHIN: Span = Span::from_seconds(7 * 86_400);

/// A demotion that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// To which stage.
    pub to: Stage,
    /// Why, as it will stand in the ledger.
    pub because: String,
}

/// What has happened since a version of a policy came to its stage.
#[derive(Default)]
struct Since<'c> {
    /// What people say last of each event, by the hash of its entry.
    last: BTreeMap<&'c str, Labelled>,
    /// Verifications, oldest first: whether each failed.
    verified: Vec<bool>,
    /// Answers to proposals: whether each was refused.
    answered: Vec<bool>,
    /// What people said last of each event, in the order in which they first said anything: whether it was wrong.
    labelled: Vec<(String, bool)>,
    /// What hints that an action was wrong, in words.
    hinted: Option<String>,
    trips: Vec<Timestamp>,
    is_breaker_open: bool,
    /// Actions, each with its incident and time.
    acted: Vec<(String, Timestamp, Action)>,
    /// What people said last to proposals of which nothing has become yet: whether it was no.
    said: BTreeMap<u64, bool>,
}

/// The demotion that is due by what stands in a chain; `None`: none is. More than the share `false_positives` of what people label may not be wrong;
/// `is_baking` is whether a version that stands so is on trial after a promotion.
#[must_use]
pub fn due(chain: &Chain, false_positives: f64, is_baking: impl Fn(&Standing) -> bool) -> Option<Due> {
    let standing = Standing::of(chain);
    if standing.stage <= Stage::DryRun {
        // Nothing acts there, and a write in dry-run is told where it happens: there is no stage to go back to but a draft.
        return None;
    }
    if let Some(because) = chain.since(standing.entry.as_deref()).find_map(grave) {
        return Some(Due { to: Stage::DryRun, because });
    }
    let (labels, versions) = (chain.labels(), Versions::of(chain, &standing));
    // Two incidents have one name only where branches are.
    let incidents = if chain.is_forked() { chain.incidents() } else { BTreeMap::new() };
    let of_version = |(hashes, own): &(Hashes, Standing)| {
        let mut since = Since { last: labels.clone(), ..Since::default() };
        for entry in chain.since(own.tried().1).filter(|entry| versions.is_of(entry, hashes)) {
            since.take(entry, incidents.get(entry.hash.as_str()).copied());
        }
        if let Some(because) = since.tripped() {
            return Some(Due { to: Stage::DryRun, because });
        }
        let because = since.gradual(false_positives, is_baking(own))?;
        Some(Due { to: before(own.stage).unwrap_or(Stage::Draft), because })
    };
    Standing::of_versions(chain).iter().filter_map(of_version).min_by_key(|due| due.to)
}

/// Which version decided what.
struct Versions<'c> {
    /// By the hash of a decision.
    by: BTreeMap<&'c str, &'c Hashes>,
    /// By the number of a proposal.
    proposals: BTreeMap<u64, &'c Hashes>,
    /// The one that came last to the highest stage: what is of no decision that is known is its own.
    promoted: Option<&'c Hashes>,
}

impl<'c> Versions<'c> {
    fn of(chain: &'c Chain, standing: &'c Standing) -> Self {
        let mut own = Self { by: BTreeMap::new(), proposals: BTreeMap::new(), promoted: standing.promoted.as_ref().map(|own| &own.hashes) };
        for entry in &chain.entries {
            let What::Decision { hashes, event, .. } = &entry.entry.what else { continue };
            own.by.insert(&entry.hash, hashes);
            let proposal = event.get("proposed").and_then(|event| event.get("proposal")).and_then(serde_json::Value::as_u64);
            own.proposals.extend(proposal.map(|proposal| (proposal, hashes)));
        }
        own
    }

    /// Whether an entry is a decision of a version, or speaks of one, as far as it speaks of any.
    fn is_of(&self, own: &Recorded, version: &Hashes) -> bool {
        let of = match &own.entry.what {
            What::Decision { hashes, .. } => Some(hashes),
            What::Label { event, .. } | What::Hint { event, .. } => self.by.get(event.as_str()).copied().or(self.promoted),
            What::Approval { proposal, .. } => self.proposals.get(proposal).copied().or(self.promoted),
            _ => return true,
        };
        of == Some(version)
    }
}

/// What can never be excused, whichever version did it, in words.
fn grave(own: &Recorded) -> Option<String> {
    let number = own.number;
    match &own.entry.what {
        What::Violation { what } => Some(format!("what must never happen did (entry {number}): {what}")),
        What::Label { says: Labelled::Harmful, .. } => Some(format!("it did harm (entry {number})")),
        What::Hint { what, is_harm: true, .. } => Some(format!("it did harm (entry {number}): {what}")),
        What::Decision { stage, .. } => {
            acted_where_nothing_may(own).map(|_| format!("it acted at the stage {} (entry {number})", stage.word()))
        }
        _ => None,
    }
}

/// As [`due`], by what a project asks for, now, of a chain as far as it is to be believed.
#[must_use]
pub fn due_now(chain: &Chain, promotions: &Promotions, now: Timestamp) -> Option<Due> {
    due(chain, promotions.false_positives(promotions.profile.unwrap_or_default()), |own| bake::of_standing(chain, own, now).is_some())
}

impl Since<'_> {
    /// `incident` tells the incident of an entry from others of its name, where there may be any.
    fn take(&mut self, own: &Recorded, incident: Option<&str>) {
        let number = own.number;
        match &own.entry.what {
            What::Label { event, says, .. } => {
                let is_wrong = matches!(self.last.get(event.as_str()).unwrap_or(says), Labelled::Wrong | Labelled::Harmful);
                match self.labelled.iter_mut().find(|(own, _)| own == event) {
                    Some((_, own)) => *own = is_wrong,
                    None => self.labelled.push((event.clone(), is_wrong)),
                }
            }
            What::Hint { what, .. } => _ = self.hinted.get_or_insert_with(|| format!("{what} (entry {number})")),
            What::Decision { incident: name, event, is_backtest: false, .. } => {
                let Ok(event) = serde_json::from_value(event.clone()) else { return };
                if let Event::Decided { what, .. } = &event {
                    self.acted.push((incident.unwrap_or(name).to_owned(), own.entry.at, what.clone()));
                }
                self.take_event(own.entry.at, &event);
            }
            What::Person { incident: name, at, did } => self.take_deed(number, incident.unwrap_or(name), (at, did)),
            What::Approval { proposal, yes, .. } => _ = self.said.insert(*proposal, !*yes),
            _ => {}
        }
    }

    fn take_event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Decided { what: Action::Wait { .. }, .. } => {}
            Event::Decided { .. } | Event::WouldAct { .. } => self.is_breaker_open = false,
            Event::Verified { verdict, .. } => self.verified.push(*verdict == Verification::Failed),
            Event::ProposalChanged { change, proposal, .. } => {
                self.said.remove(proposal);
                if let ProposalChange::Granted | ProposalChange::Denied = change {
                    self.answered.push(*change == ProposalChange::Denied);
                }
            }
            // It trips once, and refuses for as long as it is open.
            Event::Refused { guard, .. } if guard.as_str() == breaker::NAME && !self.is_breaker_open => {
                self.is_breaker_open = true;
                self.trips.push(at);
            }
            _ => {}
        }
    }

    /// A person who undoes within the hour what the policy did gives a hint that it was wrong.
    fn take_deed(&mut self, number: u64, incident: &str, (at, did): (&str, &str)) {
        let Ok(at) = at.parse::<Timestamp>() else { return };
        let is_undone = |(own, acted, what): &&(String, Timestamp, Action)| {
            own == incident && at >= *acted && between(*acted, at) <= REVERTED_WITHIN && undoes(did, what)
        };
        if let Some((_, _, what)) = self.acted.iter().rev().find(is_undone) {
            self.hinted.get_or_insert_with(|| format!("a person did {did} within an hour after its {what} (entry {number})"));
        }
    }

    fn tripped(&self) -> Option<String> {
        let is_twice = |pair: &[Timestamp]| between(pair[0], pair[1]) <= TRIPS_WITHIN;
        self.trips.windows(2).any(is_twice).then(|| "its breaker tripped twice within 7 days".to_owned())
    }

    fn gradual(&self, false_positives: f64, is_baking: bool) -> Option<String> {
        let last = |all: &[bool]| all.iter().rev().take(LAST).filter(|is_bad| **is_bad).count();
        let answered: Vec<bool> = self.answered.iter().chain(self.said.values()).copied().collect();
        let labelled: Vec<bool> = self.labelled.iter().map(|(_, is_wrong)| *is_wrong).collect();
        let (failed, refused, wrong) = (last(&self.verified), last(&answered), last(&labelled));
        if is_baking && failed > 0 {
            return Some("a verification failed while it was on trial after its promotion".to_owned());
        }
        if is_baking && wrong > 0 {
            return Some("it was wrong while it was on trial after its promotion".to_owned());
        }
        if let Some(hinted) = self.hinted.as_ref().filter(|_| is_baking) {
            return Some(format!("while it was on trial after its promotion: {hinted}"));
        }
        if failed > TOO_MANY {
            return Some(format!("{failed} of its last {} verifications failed", self.verified.len().min(LAST)));
        }
        if refused > TOO_MANY {
            return Some(format!("people refused {refused} of its last {} proposals", answered.len().min(LAST)));
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
        let is_over = wrong as f64 > false_positives * LAST as f64;
        let were = if wrong == 1 { "was" } else { "were" };
        is_over.then(|| match labelled.len().min(LAST) {
            1 => "its only labelled event was wrong".to_owned(),
            last => format!("{wrong} of its last {last} labelled events {were} wrong"),
        })
    }
}

/// Whether what a person did takes back an action: it is called so, or it is the action's opposite. `did` begins with the word of an action, as a comparison
/// writes it down.
fn undoes(did: &str, what: &Action) -> bool {
    let (word, acted) = (did.split_whitespace().next().unwrap_or_default(), what.word());
    match word {
        "undo" | "revert" | "reverted" | "lift" => true,
        "undrain" => acted == "drain",
        // Scaled by a policy and scaled again, turned on and off again, deployed again after it was undone.
        "scale" | "set_flag" | "resize" | "shift_traffic" | "set_limit" | "fail_over" => word == acted,
        "deploy" => acted == "rollback",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firedrill_core::action::{ActionId, Target};
    use firedrill_core::name::Name;

    use super::super::profile::{ProfileName, Promotions};
    use super::*;
    use crate::ledger::{Entry, Hashes, Ledger};

    fn at(day: u32) -> Timestamp {
        format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()
    }

    fn entry(day: u32, what: What) -> Entry {
        Entry { at: at(day), by: "watch".to_owned(), what }
    }

    fn event(day: u32, stage: Stage, event: &Event) -> Entry {
        let event = serde_json::to_value(event).unwrap();
        let (incident, hashes) = ("i".to_owned(), Hashes::default());
        entry(day, What::Decision { incident, stage, hashes, event, is_backtest: false })
    }

    fn would_act() -> Event {
        let (policy, target, reason) = (Name::new("p"), Target::Service(Name::new("s")), String::new());
        Event::WouldAct { policy, incident: 0, step: 0, what: Action::Rollback, target, reason }
    }

    fn refused_by_breaker() -> Event {
        let (policy, guard, figures) = (Name::new("p"), Name::new(breaker::NAME), String::new());
        Event::Refused { policy, incident: 0, step: 0, what: None, target: None, guard, figures, held_by: None }
    }

    fn answer(change: ProposalChange) -> Event {
        Event::ProposalChanged { policy: Name::new("p"), incident: 0, proposal: 0, change, figures: String::new(), waited: Span::ZERO }
    }

    /// What is due after these entries at a stage, as `to: because`.
    #[track_caller]
    fn check(stage: Stage, is_baking: bool, entries: Vec<Entry>, expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let name = Name::new("p");
        let (profile, hashes, evidence) = ("small".to_owned(), Hashes::default(), serde_json::Value::Null);
        let promotion = What::Promotion { from: Stage::Draft, to: stage, profile, hashes, evidence, weakened: Vec::new() };
        let mut all = vec![entry(1, promotion)];
        all.extend(entries);
        Ledger::open(folder.path(), &name).unwrap().0.append(all).unwrap();
        let due =
            due(&Ledger::read(folder.path(), &name).unwrap(), Promotions::default().false_positives(ProfileName::Small), |_| is_baking);
        assert_eq!(due.map(|due| format!("{}: {}", due.to.word(), due.because)).as_deref(), expected);
    }

    #[test]
    fn what_must_never_happen_takes_a_policy_back_to_dry_run() {
        let violation = || entry(2, What::Violation { what: "two writers".to_owned() });
        check(Stage::Full, false, vec![violation()], Some("dry-run: what must never happen did (entry 2): two writers"));
        check(Stage::DryRun, false, vec![violation()], None);
        let hint = |is_harm| entry(2, What::Hint { event: "blake3:00".to_owned(), what: "a person reverted it".to_owned(), is_harm });
        check(Stage::Limited, false, vec![hint(true)], Some("dry-run: it did harm (entry 2): a person reverted it"));
        check(Stage::Limited, false, vec![hint(false)], None);
        check(
            Stage::Limited,
            true,
            vec![hint(false)],
            Some("approval: while it was on trial after its promotion: a person reverted it (entry 2)"),
        );
    }

    #[test]
    fn two_trips_of_the_breaker_within_a_week_are_too_many() {
        let trip = |day| event(day, Stage::Full, &refused_by_breaker());
        let acts = |day| event(day, Stage::Full, &would_act());
        let told = Some("dry-run: its breaker tripped twice within 7 days");
        check(Stage::Full, false, vec![trip(2), acts(3), trip(8)], told);
        check(Stage::Full, false, vec![trip(2), acts(3), trip(10)], None);
        // It refuses as long as it is open: that is one trip.
        check(Stage::Full, false, vec![trip(2), trip(3), trip(4)], None);
    }

    #[test]
    fn to_wait_is_no_action_and_to_act_where_nothing_may_is_one_too_many() {
        let decided = |what: Action| {
            let (policy, target, action) =
                (Name::new("p"), Target::Service(Name::new("s")), ActionId { policy: Name::new("p"), ordinal: 0 });
            event(2, Stage::Shadow, &Event::Decided { policy, incident: 0, step: 0, action, what, target, reason: String::new() })
        };
        check(Stage::Shadow, false, vec![decided(Action::Wait { span: Span::from_seconds(5) })], None);
        let told = Some("dry-run: it acted at the stage shadow (entry 2)");
        check(Stage::Shadow, false, vec![decided(Action::Rollback)], told);
        // An action that a newer version knows is one all the same.
        let mut unread = decided(Action::Rollback);
        if let What::Decision { event, .. } = &mut unread.what {
            event["decided"]["what"] = "undo_release".into();
        }
        check(Stage::Shadow, false, vec![unread], told);
    }

    #[test]
    fn people_who_say_no_too_often_take_it_back_a_stage() {
        let answers = |denied: usize, granted: usize| {
            let denied = (0..denied).map(|_| event(2, Stage::Approval, &answer(ProposalChange::Denied)));
            denied.chain((0..granted).map(|_| event(3, Stage::Approval, &answer(ProposalChange::Granted)))).collect::<Vec<_>>()
        };
        check(Stage::Approval, false, answers(2, 3), None);
        check(Stage::Approval, false, answers(3, 3), Some("shadow: people refused 3 of its last 6 proposals"));
        // What is longer ago than twenty answers is forgiven.
        check(Stage::Approval, false, answers(3, 20), None);
        // Whoever does not answer has not refused.
        let expired = (0..4).map(|_| event(2, Stage::Approval, &answer(ProposalChange::Expired))).collect();
        check(Stage::Approval, false, expired, None);
    }

    #[test]
    fn more_wrong_than_its_profile_allows_takes_it_back_a_stage() {
        let label = |event: usize, says| entry(2, What::Label { event: format!("blake3:{event}"), says, cause: None });
        check(
            Stage::Guarded,
            false,
            vec![label(1, Labelled::Right), label(2, Labelled::Wrong)],
            Some("limited: 1 of its last 2 labelled events was wrong"),
        );
        // Nothing is asked for beyond `full`, and what is wrong is wrong there too.
        let one = vec![label(1, Labelled::Wrong)];
        check(Stage::Full, false, one, Some("guarded: its only labelled event was wrong"));
        check(Stage::Guarded, false, vec![label(1, Labelled::Redundant)], None);
        // A label that was changed counts as what it is now.
        check(Stage::Guarded, false, vec![label(1, Labelled::Wrong), label(1, Labelled::Right)], None);
        // What is long ago is forgiven.
        let old = (0..21).map(|event| label(event, if event == 0 { Labelled::Wrong } else { Labelled::Right })).collect();
        check(Stage::Guarded, false, old, None);
    }

    #[test]
    fn the_large_profile_forgives_one_of_twenty() {
        let share = Promotions::default().false_positives(ProfileName::Large);
        let wrong =
            |count: usize| Since { labelled: (0..20).map(|event| (event.to_string(), event < count)).collect(), ..Since::default() };
        assert_eq!(wrong(1).gradual(share, false), None);
        assert_eq!(wrong(2).gradual(share, false).as_deref(), Some("2 of its last 20 labelled events were wrong"));
    }

    #[test]
    fn a_person_who_undoes_it_within_the_hour_takes_it_back_while_it_is_on_trial() {
        let (policy, action) = (Name::new("p"), ActionId { policy: Name::new("p"), ordinal: 0 });
        let (what, target, reason) = (Action::Drain, Target::Zone(Name::new("a")), String::new());
        let decided = || {
            event(
                3,
                Stage::Limited,
                &Event::Decided {
                    policy: policy.clone(),
                    incident: 0,
                    step: 0,
                    action: action.clone(),
                    what: what.clone(),
                    target: target.clone(),
                    reason: reason.clone(),
                },
            )
        };
        let person = |at: &str, did: &str| entry(4, What::Person { incident: "i".to_owned(), at: at.to_owned(), did: did.to_owned() });
        let told =
            "approval: while it was on trial after its promotion: a person did undrain zone/a within an hour after its drain (entry 3)";
        check(Stage::Limited, true, vec![decided(), person("2026-01-03T00:59:00Z", "undrain zone/a")], Some(told));
        check(Stage::Limited, false, vec![decided(), person("2026-01-03T00:59:00Z", "undrain zone/a")], None);
        check(Stage::Limited, true, vec![decided(), person("2026-01-03T01:01:00Z", "undrain zone/a")], None);
        check(Stage::Limited, true, vec![decided(), person("2026-01-03T00:10:00Z", "restart service/s")], None);
    }

    #[test]
    fn a_no_counts_until_it_is_known_what_became_of_the_proposal() {
        let no = |proposal| entry(2, What::Approval { proposal, role: "oncall".to_owned(), yes: false });
        let told = Some("shadow: people refused 3 of its last 3 proposals");
        check(Stage::Approval, false, vec![no(1), no(2)], None);
        check(Stage::Approval, false, vec![no(1), no(2), no(3)], told);
        // One who may not answer changes nothing, and is told so.
        check(Stage::Approval, false, vec![no(0), no(2), no(3), event(3, Stage::Approval, &answer(ProposalChange::Granted))], None);
    }
    fn version(policy: &str) -> Hashes {
        Hashes { policy: policy.to_owned(), ..Hashes::default() }
    }

    fn promotion(day: u32, to: Stage, policy: &str) -> Entry {
        let (profile, evidence) = ("small".to_owned(), serde_json::Value::Null);
        entry(day, What::Promotion { from: before(to).unwrap(), to, profile, hashes: version(policy), evidence, weakened: Vec::new() })
    }

    /// `one` is at approval, and `two`, or nobody, at limited.
    fn with_versions(is_two_there: bool) -> (tempfile::TempDir, impl Fn(&Path, Entry) -> String) {
        let folder = tempfile::tempdir().unwrap();
        let write = |folder: &Path, entry: Entry| {
            let (mut ledger, _) = Ledger::open(folder, &Name::new("p")).unwrap();
            ledger.append(vec![entry]).unwrap();
            ledger.entries().last().unwrap().hash.clone()
        };
        for stage in [Stage::DryRun, Stage::Shadow, Stage::Approval] {
            write(folder.path(), promotion(1, stage, "one"));
        }
        for stage in [Stage::Shadow, Stage::Approval, Stage::Limited].into_iter().filter(|_| is_two_there) {
            write(folder.path(), promotion(1, stage, "two"));
        }
        (folder, write)
    }

    fn due_there(folder: &Path, is_baking: bool) -> Option<String> {
        let due = due(&Ledger::read(folder, &Name::new("p")).unwrap(), 0.0, |_| is_baking);
        due.map(|due| format!("{}: {}", due.to.word(), due.because))
    }

    fn decided_by(policy: &str, stage: Stage, own: &Event) -> Entry {
        let mut entry = event(2, stage, own);
        if let What::Decision { hashes, .. } = &mut entry.what {
            *hashes = version(policy);
        }
        entry
    }

    #[test]
    fn a_version_that_looks_on_costs_the_one_that_was_promoted_nothing_but_for_harm() {
        let (folder, write) = with_versions(false);
        let act = write(folder.path(), decided_by("draft", Stage::DryRun, &would_act()));
        let label = |says| entry(3, What::Label { event: act.clone(), says, cause: None });
        write(folder.path(), label(Labelled::Wrong));
        for day in [3, 4] {
            write(folder.path(), Entry { at: at(day), ..decided_by("draft", Stage::DryRun, &refused_by_breaker()) });
            write(folder.path(), Entry { at: at(day), ..decided_by("draft", Stage::DryRun, &would_act()) });
        }
        assert_eq!([due_there(folder.path(), true), due_there(folder.path(), false)], [None, None]);
        let own = write(folder.path(), decided_by("one", Stage::Shadow, &would_act()));
        write(folder.path(), entry(3, What::Label { event: own, says: Labelled::Wrong, cause: None }));
        assert_eq!(due_there(folder.path(), false).as_deref(), Some("shadow: its only labelled event was wrong"));
        write(folder.path(), label(Labelled::Harmful));
        assert!(due_there(folder.path(), false).is_some_and(|due| due.starts_with("dry-run: it did harm")));
    }

    #[test]
    fn a_version_that_is_at_a_lower_stage_than_another_is_taken_back_from_there() {
        let (folder, write) = with_versions(true);
        let own = write(folder.path(), decided_by("one", Stage::Shadow, &would_act()));
        write(folder.path(), entry(3, What::Label { event: own, says: Labelled::Wrong, cause: None }));
        assert_eq!(due_there(folder.path(), false).as_deref(), Some("shadow: its only labelled event was wrong"));
        // What it did before it was promoted itself is no matter then, though another one was at its stage by then.
        let (folder, write) = with_versions(false);
        let own = write(folder.path(), decided_by("two", Stage::DryRun, &would_act()));
        write(folder.path(), entry(3, What::Label { event: own, says: Labelled::Wrong, cause: None }));
        write(folder.path(), promotion(4, Stage::Shadow, "two"));
        assert_eq!(due_there(folder.path(), false), None);
        let (folder, write) = with_versions(true);
        let own = write(folder.path(), decided_by("two", Stage::Shadow, &would_act()));
        write(folder.path(), entry(3, What::Label { event: own, says: Labelled::Wrong, cause: None }));
        assert_eq!(due_there(folder.path(), false).as_deref(), Some("approval: its only labelled event was wrong"));
    }
}
