//! Labelled faults of a long recording, and how well rules and policies told them apart.

use std::fmt;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Journal;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::words::counted;
use firedrill_core::yaml::{self, Node, Reader, Value};
use serde::Serialize;

use super::expect::{Proposed, Stretch, first_notification, proposals};
use super::{Files, instant, problem, target};

/// Something that went wrong in a recording, as someone labelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledFault {
    /// What it is called, unique in the recording: its number if the file gives no name.
    pub name: Name,
    /// When it began.
    pub at: Start,
    /// Where it lay.
    pub target: Target,
    /// What kind of fault, in the words of whoever labelled it.
    pub kind: Name,
    /// Whether people noticed. What nobody noticed need not be acted on.
    pub moved_users: bool,
}

/// What a replay is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// Within what time of its onset a fault must be detected.
    pub detect_within: Span,
    /// For how long after its onset a proposal is taken as an answer to a fault, unless the next one begins before.
    pub answer_within: Span,
    /// When nothing is wrong, and every action is.
    pub quiet: Vec<Stretch>,
}

impl Default for Scoring {
    /// Three minutes to detect, five to answer, and nothing said about quiet.
    fn default() -> Self {
        Self { detect_within: Span::from_minutes(3), answer_within: Span::from_minutes(5), quiet: Vec::new() }
    }
}

/// How well a replay did on labelled faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Within what time of its onset a fault had to be detected.
    pub detect_within: Span,
    /// One line a fault, in order of time.
    pub faults: Vec<FaultScore>,
    /// Actions that would have been started in quiet stretches, with their time.
    pub in_quiet: Vec<String>,
    /// Actions that would have been started outside the answer to any fault.
    pub stray: Vec<String>,
}

/// What happened after one fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultScore {
    /// Its name.
    pub fault: Name,
    /// Its kind.
    pub kind: Name,
    /// Where it lay.
    pub target: Target,
    /// Whether people noticed.
    pub moved_users: bool,
    /// From its onset to the first notification, if that came in time.
    pub detected_after: Option<Span>,
    /// The first action that would have been started in answer, and how long after the onset.
    pub would_act: Option<(String, Target, Span)>,
}

impl FaultScore {
    /// Whether it was detected in time.
    #[must_use]
    pub const fn detected(&self) -> bool {
        self.detected_after.is_some()
    }

    /// Whether the first action would have hit exactly what was broken.
    #[must_use]
    pub fn right_target(&self) -> bool {
        self.would_act.as_ref().is_some_and(|(_, target, _)| *target == self.target)
    }
}

impl Score {
    /// The faults that people noticed.
    pub fn moved_users(&self) -> impl Iterator<Item = &FaultScore> {
        self.faults.iter().filter(|fault| fault.moved_users)
    }
}

/// Scores a replay that began at `start`. Faults are in order of time.
#[must_use]
pub fn score(journal: &Journal, start: Start, faults: &[LabelledFault], scoring: &Scoring) -> Score {
    let acts: Vec<(Time, String, Target)> = proposals(journal)
        .into_iter()
        .filter_map(|proposal| match proposal.what {
            Proposed::Act(action, target) => Some((proposal.at, action.word().to_owned(), target)),
            Proposed::Page(_) => None,
        })
        .collect();
    let onsets: Vec<Time> = faults.iter().map(|fault| start.time_of(fault.at.unix_millis()).unwrap_or(Time::ZERO)).collect();
    let answers: Vec<(Time, Time)> = onsets
        .iter()
        .enumerate()
        .map(|(index, onset)| (*onset, (*onset + scoring.answer_within).min(onsets.get(index + 1).copied().unwrap_or(Time::MAX))))
        .collect();
    let fault_score = |(fault, (from, to)): (&LabelledFault, &(Time, Time))| FaultScore {
        fault: fault.name.clone(),
        kind: fault.kind.clone(),
        target: fault.target.clone(),
        moved_users: fault.moved_users,
        detected_after: first_notification(journal, *from, *from + scoring.detect_within).map(|(at, _)| at - *from),
        would_act: acts.iter().find(|(at, ..)| from <= at && at < to).map(|(at, word, target)| (word.clone(), target.clone(), *at - *from)),
    };
    let told = |(at, word, target): &(Time, String, Target)| format!("{word} {target} at {}", calendar(start, *at));
    Score {
        detect_within: scoring.detect_within,
        faults: faults.iter().zip(&answers).map(fault_score).collect(),
        in_quiet: acts.iter().filter(|(at, ..)| scoring.quiet.iter().any(|stretch| stretch.holds(*at, start))).map(told).collect(),
        stray: acts.iter().filter(|(at, ..)| !answers.iter().any(|(from, to)| from <= at && at < to)).map(told).collect(),
    }
}

fn calendar(start: Start, at: Time) -> Start {
    Start::from_unix_millis(start.prometheus_millis(at))
}

impl fmt::Display for Score {
    /// A table: fault, when it was detected, what would have been done, whether that was right; then the sums.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            let users = if fault.moved_users { "users" } else { "-" };
            let detected = fault.detected_after.map_or("not detected".to_owned(), |span| format!("after {}", span.clock()));
            let answer = fault
                .would_act
                .as_ref()
                .map_or("nothing".to_owned(), |(word, target, after)| format!("{word} {target} after {}", after.clock()));
            let right = if fault.right_target() { "right" } else { "" };
            writeln!(
                f,
                "{:<5} {:<16} {:<46} {users:<6} {detected:<16} {right:<6} {answer}",
                fault.fault,
                fault.kind,
                fault.target.to_string()
            )?;
        }
        let count = |is_it: fn(&FaultScore) -> bool| self.moved_users().filter(|fault| is_it(fault)).count();
        let noticed = self.moved_users().count();
        writeln!(
            f,
            "of {noticed} faults that people noticed: {} detected within {}, {} answered on the right target; {} in quiet stretches, {} in answer to nothing that is labelled",
            count(FaultScore::detected),
            self.detect_within,
            count(FaultScore::right_target),
            counted(self.in_quiet.len() as u64, "action"),
            self.stray.len(),
        )
    }
}

/// Reads labelled faults: a list, or the name of a file with `schema: faults/1` and a list under `faults:`.
pub(super) fn read_faults(reader: &mut Reader, node: &Node, files: &dyn Files, inventory: &Inventory) -> Vec<LabelledFault> {
    let Value::Text(path) = &node.value else { return read_list(reader, node, inventory) };
    let text = match files.read(path) {
        Ok(text) => text,
        Err(reason) => {
            reader.problem(problem::unreadable(&node.place, path, &reason));
            return Vec::new();
        }
    };
    let shown = super::beside(&node.place.file().path, path);
    match yaml::parse(&shown, &text) {
        Ok(root) => {
            let Some(mut fields) = reader.fields(&root, "a file of faults") else { return Vec::new() };
            reader.schema(&mut fields, "faults", 1);
            let list = fields.required(reader, "faults");
            fields.finish(reader);
            list.map(|node| read_list(reader, node, inventory)).unwrap_or_default()
        }
        Err(problems) => {
            problems.into_iter().for_each(|problem| reader.problem(problem));
            Vec::new()
        }
    }
}

fn read_list(reader: &mut Reader, node: &Node, inventory: &Inventory) -> Vec<LabelledFault> {
    let items = reader.list(node, "faults").unwrap_or_default();
    let read = |(index, item): (usize, &Node)| read_fault(reader, item, index, inventory);
    let mut faults: Vec<LabelledFault> = items.iter().enumerate().filter_map(read).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn read_fault(reader: &mut Reader, node: &Node, index: usize, inventory: &Inventory) -> Option<LabelledFault> {
    let mut fields = reader.fields(node, "a labelled fault")?;
    let name = fields.optional("name").and_then(|node| reader.name(node, "the name of a fault"));
    let at = fields.required(reader, "at").and_then(|node| instant(reader, node));
    let to = fields.required(reader, "target").and_then(|node| target(reader, node, inventory));
    let kind = fields.required(reader, "kind").and_then(|node| reader.name(node, "a kind of fault"));
    let moved_users = fields.optional("moved_users").and_then(|node| reader.boolean(node, "`moved_users`"));
    fields.finish(reader);
    let name = name.unwrap_or_else(|| Name::from(format!("#{index:02}")));
    Some(LabelledFault { name, at: at?, target: to?, kind: kind?, moved_users: moved_users.unwrap_or(true) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::tests::InMemory;
    use firedrill_core::action::{Action, RestartMode};
    use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification};
    use std::collections::BTreeMap;

    const START: Start = Start::from_unix_seconds(1_767_571_200);

    fn faults(text: &str) -> Vec<LabelledFault> {
        let node = yaml::parse("f.yaml", text).unwrap();
        let mut reader = Reader::new();
        let files = InMemory(BTreeMap::from([("more.yaml", format!("schema: faults/1\nfaults:\n{LIST}"))]));
        let faults = read_faults(&mut reader, &node, &files, &Inventory::default());
        reader.finish().unwrap();
        faults
    }

    const LIST: &str = "- { at: 2026-01-05T00:10:00Z, target: replica/b-1, kind: network }\n- { at: 2026-01-05T00:01:00Z, target: replica/a-1, kind: cpu }\n- { at: 2026-01-05T00:20:00Z, target: replica/c-1, kind: cpu, moved_users: false, name: c }\n";

    #[test]
    fn faults_stand_in_the_incident_or_in_a_file_of_their_own_and_come_in_order_of_time() {
        assert_eq!(faults(LIST), faults("more.yaml"));
        assert_eq!(faults(LIST).iter().map(|fault| fault.name.to_string()).collect::<Vec<_>>(), ["#01", "#00", "c"]);
    }

    #[test]
    fn a_fault_is_detected_by_the_first_notification_and_answered_by_the_first_action_after_it() {
        let mut journal = Journal::new();
        let notify = |at: u64| Event::Notified {
            notification: Notification {
                alert: Name::new("Slow"),
                status: AlertStatus::Firing,
                labels: LabelSet::default(),
                starts_at: Time::from_seconds(at),
                receiver: None,
            },
        };
        let act = |target: &str| Event::WouldAct {
            policy: Name::new("p"),
            incident: 0,
            step: 0,
            what: Action::Restart { mode: RestartMode::AtOnce },
            target: target.parse().unwrap(),
            reason: String::new(),
        };
        for (at, event) in [
            (30, act("replica/a-1")),
            (90, notify(90)),
            (120, act("replica/a-1")),
            (130, act("replica/b-1")),
            (781, notify(781)),
            (800, act("replica/a-1")),
            (950, act("replica/a-1")),
        ] {
            journal.write(Time::from_seconds(at), event);
        }
        let quiet = vec![Stretch { from: START, to: Start::from_unix_seconds(1_767_571_260) }];
        let score = score(&journal, START, &faults(LIST), &Scoring { quiet, ..Scoring::default() });
        let rows: Vec<_> = score.faults.iter().map(|f| (f.detected_after, f.right_target(), f.would_act.is_some())).collect();
        assert_eq!(rows, [(Some(Span::from_seconds(30)), true, true), (None, false, true), (None, false, false)]);
        assert_eq!(score.in_quiet, ["restart replica/a-1 at 2026-01-05T00:00:30Z"]);
        assert_eq!(score.stray, ["restart replica/a-1 at 2026-01-05T00:00:30Z", "restart replica/a-1 at 2026-01-05T00:15:50Z"]);
        let told = score.to_string();
        assert!(told.ends_with("of 2 faults that people noticed: 1 detected within 3m, 1 answered on the right target; 1 action in quiet stretches, 2 in answer to nothing that is labelled\n"), "{told}");
    }
}
