//! What right would have been, and the judgement of a replay by it (docs/MEASURES.md, "A recorded incident").
//!
//! A replay is open loop: a recording cannot react. So the verdict is about decisions, and no claim about recovery comes from it.

use std::fmt::Write as _;

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Event, Journal, Record};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::yaml::{Node, Reader, quoted};
use serde::Serialize;

use super::problem;
use super::{instant, target};

/// How every passed replay is called: what a recording can show, and what it cannot.
pub const CLAIM: &str = "decisions right; effect unproven";

/// What is expected of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// The first notification comes within this from the onset; `None`: whenever.
    pub detect_within: Option<Span>,
    /// What must be proposed.
    pub must: Vec<Expected>,
    /// What may be proposed. It changes no verdict; what is proposed beyond it is told as unlisted.
    pub may: Vec<Pattern>,
    /// What must not be proposed, at any time.
    pub must_not: Vec<Pattern>,
    /// When nothing at all may be proposed and nobody paged.
    pub quiet: Vec<Stretch>,
}

/// A proposal that must come, and by when.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// What.
    pub pattern: Pattern,
    /// From the onset; `None`: at any time after it.
    pub within: Option<Span>,
}

/// What a proposal is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// An action; what is `None` may be anything.
    Act {
        /// The action's word.
        action: Option<Name>,
        /// Its target.
        target: Option<Target>,
    },
    /// A page; to anyone if `None`.
    Page {
        /// Who is paged.
        to: Option<Name>,
    },
}

/// A stretch of the calendar, its end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first instant.
    pub from: Start,
    /// The first instant after it.
    pub to: Start,
}

impl Stretch {
    /// Whether an instant of a replay that began at `start` lies in it.
    #[must_use]
    pub fn holds(&self, at: Time, start: Start) -> bool {
        let at_ms = start.prometheus_millis(at);
        self.from.unix_millis() <= at_ms && at_ms < self.to.unix_millis()
    }

    /// Whether a replay from `start` to `end` has any of it; without an end it goes on for ever.
    fn is_seen(&self, start: Start, end: Option<Start>) -> bool {
        start.unix_millis() < self.to.unix_millis() && end.is_none_or(|end| self.from.unix_millis() <= end.unix_millis())
    }
}

/// Something that a policy proposed in a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// When, from the start of the replay.
    pub at: Time,
    /// Which policy.
    pub policy: Name,
    /// What.
    pub what: Proposed,
}

/// An action on a target, or a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposed {
    /// It would have acted.
    Act(Action, Target),
    /// It called someone.
    Page(Name),
}

impl std::fmt::Display for Proposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Act(action, target) => write!(f, "{action} {target}"),
            Self::Page(to) => write!(f, "page {to}"),
        }
    }
}

/// Everything that was proposed in a replay, in order.
#[must_use]
pub fn proposals(journal: &Journal) -> Vec<Proposal> {
    let proposal = |record: &Record| {
        let (policy, what) = match &record.event {
            Event::WouldAct { policy, what, target, .. }
            | Event::Decided { policy, what, target, .. }
            // Nobody answers a recording: what is proposed to people stands as proposed.
            | Event::Proposed { policy, what, target, .. } => {
                (policy, Proposed::Act(what.clone(), target.clone()))
            }
            Event::Paged { policy, to, .. } => (policy, Proposed::Page(to.clone())),
            _ => return None,
        };
        Some(Proposal { at: record.at, policy: policy.clone(), what })
    };
    journal.records().iter().filter_map(proposal).collect()
}

/// When the first notification of a firing alert came in `from..=to`.
#[must_use]
pub fn first_notification(journal: &Journal, from: Time, to: Time) -> Option<(Time, Name)> {
    journal.records().iter().find_map(|record| match &record.event {
        Event::Notified { notification } if notification.status == AlertStatus::Firing && from <= record.at && record.at <= to => {
            Some((record.at, notification.alert.clone()))
        }
        _ => None,
    })
}

/// The judgement of one replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectVerdict {
    /// Whether every check held. Then the replay is called [`CLAIM`].
    pub passed: bool,
    /// What was checked, in the order of the `expect` block.
    pub checks: Vec<Check>,
    /// Proposals that the block does not mention; they change nothing, and a person should look at them.
    pub unlisted: Vec<String>,
}

/// One thing that was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was expected, in words.
    pub expected: String,
    /// Whether it came so; what could not be checked counts as if it had.
    pub held: bool,
    /// Whether the recording has anything of the time that it is about.
    pub checked: bool,
    /// What was found.
    pub found: String,
}

impl ExpectVerdict {
    /// How many of the checks could not be made, because the recording has nothing of their time.
    #[must_use]
    pub fn unchecked(&self) -> usize {
        self.checks.iter().filter(|check| !check.checked).count()
    }
}

impl Check {
    const fn new(expected: String, held: bool, found: String) -> Self {
        Self { expected, held, checked: true, found }
    }
}

impl Expect {
    /// How many expectations the block has.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.detect_within.is_some()) + self.must.len() + self.must_not.len() + self.quiet.len()
    }

    /// Judges a replay that began at `start`, of an incident that began at `onset`.
    #[must_use]
    pub fn judge(&self, journal: &Journal, start: Start, onset: Start) -> ExpectVerdict {
        // An onset before the recording counts as its start.
        let onset = start.time_of(onset.unix_millis()).unwrap_or(Time::ZERO);
        let proposals = proposals(journal);
        let mut checks = Vec::new();
        checks.extend(self.detect_within.map(|within| detected(journal, onset, within)));
        checks.extend(self.must.iter().map(|expected| expected.check(&proposals, onset)));
        checks.extend(self.must_not.iter().map(|pattern| absent(pattern, &proposals)));
        let end = end_of(journal, start);
        let stillness = |stretch: &Stretch| if stretch.is_seen(start, end) { silent(stretch, &proposals, start) } else { unseen(stretch) };
        checks.extend(self.quiet.iter().map(stillness));
        checks.push(nothing_missing(journal));
        let listed = |proposal: &Proposal| self.must.iter().map(|must| &must.pattern).chain(&self.may).any(|p| p.matches(&proposal.what));
        let unlisted =
            proposals.iter().filter(|proposal| !listed(proposal)).map(|proposal| format!("{} at {}", proposal.what, clock(proposal.at)));
        ExpectVerdict { passed: checks.iter().all(|check| check.held), unlisted: unlisted.collect(), checks }
    }
}

impl Expect {
    /// Whether something that was proposed in a replay was right: what must or may be was, what must not be or came while all was quiet was not.
    /// `None`: the block does not say.
    #[must_use]
    pub fn is_right(&self, proposal: &Proposal, start: Start) -> Option<bool> {
        let is_wrong = self.must_not.iter().any(|pattern| pattern.matches(&proposal.what))
            || self.quiet.iter().any(|stretch| stretch.holds(proposal.at, start));
        let mut allowed = self.must.iter().map(|expected| &expected.pattern).chain(&self.may);
        let is_right = allowed.any(|pattern| pattern.matches(&proposal.what));
        if is_wrong { Some(false) } else { is_right.then_some(true) }
    }
}

impl Pattern {
    /// Whether a proposal is what the pattern says.
    #[must_use]
    pub fn matches(&self, proposed: &Proposed) -> bool {
        match (self, proposed) {
            (Self::Act { action, target }, Proposed::Act(what, to)) => {
                action.as_ref().is_none_or(|action| **action == *what.word()) && target.as_ref().is_none_or(|target| target == to)
            }
            (Self::Page { to }, Proposed::Page(whom)) => to.as_ref().is_none_or(|to| to == whom),
            _ => false,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Act { action, target } => {
                f.write_str(action.as_deref().unwrap_or("any action"))?;
                target.as_ref().map_or(Ok(()), |target| write!(f, " on {target}"))
            }
            Self::Page { to } => write!(f, "page {}", to.as_deref().unwrap_or("anyone")),
        }
    }
}

impl Expected {
    fn check(&self, proposals: &[Proposal], onset: Time) -> Check {
        let deadline = self.within.map_or(Time::MAX, |within| onset + within);
        let expected = match self.within {
            Some(within) => format!("{} within {within}", self.pattern),
            None => self.pattern.to_string(),
        };
        let first = proposals.iter().find(|proposal| proposal.at >= onset && self.pattern.matches(&proposal.what));
        let found =
            first.map_or("not proposed".to_owned(), |proposal| format!("proposed after {}", after(proposal.at - onset, self.within)));
        Check::new(expected, first.is_some_and(|proposal| proposal.at <= deadline), found)
    }
}

/// Time since the recording began, as the story tells it.
fn clock(at: Time) -> String {
    at.since(Time::ZERO).clock()
}

/// How long something took, as the story tells it; exactly where it was late by less than a second.
fn after(took: Span, within: Option<Span>) -> String {
    let is_close = within.is_some_and(|within| took > within && took.clock() == within.clock());
    if is_close { took.to_string() } else { took.clock() }
}

fn detected(journal: &Journal, onset: Time, within: Span) -> Check {
    let first = first_notification(journal, onset, Time::MAX);
    let found = first
        .as_ref()
        .map_or("nothing was notified".to_owned(), |(at, alert)| format!("{alert} after {}", after(*at - onset, Some(within))));
    Check::new(format!("a notification within {within}"), first.is_some_and(|(at, _)| at <= onset + within), found)
}

fn absent(pattern: &Pattern, proposals: &[Proposal]) -> Check {
    let first = proposals.iter().find(|proposal| pattern.matches(&proposal.what));
    let found = first.map_or("not proposed".to_owned(), |proposal| format!("{} at {}", proposal.what, clock(proposal.at)));
    let what = pattern.to_string();
    Check::new(format!("no {}", what.strip_prefix("any ").unwrap_or(&what)), first.is_none(), found)
}

fn silent(stretch: &Stretch, proposals: &[Proposal], start: Start) -> Check {
    let first = proposals.iter().find(|proposal| stretch.holds(proposal.at, start));
    let found = first.map_or("nothing".to_owned(), |proposal| format!("{} at {}", proposal.what, clock(proposal.at)));
    Check::new(stillness(stretch), first.is_none(), found)
}

/// A stretch of which the recording has nothing: that nothing was proposed in it says nothing.
fn unseen(stretch: &Stretch) -> Check {
    Check { checked: false, ..Check::new(stillness(stretch), true, "not checked, for the recording has nothing of that time".to_owned()) }
}

fn stillness(stretch: &Stretch) -> String {
    format!("nothing from {} to {}", stretch.from, stretch.to)
}

/// When the replay ended; `None`: the journal does not say.
fn end_of(journal: &Journal, start: Start) -> Option<Start> {
    let ended = journal.records().iter().rev().find(|record| matches!(record.event, Event::RunEnded { .. }));
    ended.map(|record| Start::from_unix_millis(start.prometheus_millis(record.at)))
}

/// No proposal may have been refused because its input was missing: what the recording lacks says nothing about the policy.
fn nothing_missing(journal: &Journal) -> Check {
    let refused = journal.records().iter().find_map(|record| match &record.event {
        Event::Refused { target, guard, figures, .. } if target.is_none() || lacks_input(figures) => {
            Some(format!("{guard} at {}: {figures}", clock(record.at)))
        }
        _ => None,
    });
    Check::new("nothing refused for missing input".to_owned(), refused.is_none(), refused.unwrap_or_else(|| "nothing".to_owned()))
}

/// The words in which guards say that they could not tell.
fn lacks_input(figures: &str) -> bool {
    figures.starts_with("cannot tell") || figures.contains("not declared")
}

/// Reads an `expect` block.
pub(super) fn read_expect(reader: &mut Reader, node: &Node, inventory: &Inventory) -> Option<Expect> {
    let mut fields = reader.fields(node, "an expectation")?;
    let detect_within = fields.optional("detect_within").and_then(|node| reader.span(node, "`detect_within`"));
    let mut patterns = |reader: &mut Reader, key: &'static str| {
        let Some(node) = fields.optional(key) else { return Vec::new() };
        let items = reader.list(node, key).unwrap_or_default();
        items.iter().filter_map(|item| read_expected(reader, item, key == "must", inventory)).collect::<Vec<Expected>>()
    };
    let must = patterns(reader, "must");
    let may = patterns(reader, "may").into_iter().map(|expected| expected.pattern).collect();
    let must_not = patterns(reader, "must_not").into_iter().map(|expected| expected.pattern).collect();
    let quiet = fields.optional("quiet").map(|node| read_stretches(reader, node)).unwrap_or_default();
    fields.finish(reader);
    Some(Expect { detect_within, must, may, must_not, quiet })
}

fn read_expected(reader: &mut Reader, node: &Node, timed: bool, inventory: &Inventory) -> Option<Expected> {
    let mut fields = reader.fields(node, "what is expected")?;
    let words = Action::WORDS.map(|word| (word, word));
    let action = fields.optional("action").and_then(|node| reader.one_of(node, "an action", &words)).map(Name::new);
    let to = fields.optional("target").and_then(|node| target(reader, node, inventory));
    let page = fields.optional("page").and_then(|node| reader.name(node, "who is paged, or `anyone`"));
    let within = if timed { fields.optional("within").and_then(|node| reader.span(node, "`within`")) } else { None };
    let says_action = fields.has("action") || fields.has("target");
    if fields.has("page") && says_action {
        reader.problem(problem::page_and_action(fields.place()));
    } else if !fields.has("page") && !says_action {
        reader.problem(problem::expects_nothing(fields.place()));
    }
    fields.finish(reader);
    let pattern = match page {
        Some(page) => Pattern::Page { to: Some(page).filter(|page| **page != *"anyone") },
        None => Pattern::Act { action, target: to },
    };
    Some(Expected { pattern, within })
}

fn read_stretches(reader: &mut Reader, node: &Node) -> Vec<Stretch> {
    let items = reader.list(node, "quiet stretches").unwrap_or_default();
    let read = |item: &Node| {
        let mut fields = reader.fields(item, "a quiet stretch")?;
        let from = fields.required(reader, "from").and_then(|node| instant(reader, node));
        let to = fields.required(reader, "to").and_then(|node| Some((instant(reader, node)?, &node.place)));
        if let (Some(from), Some((to, place))) = (from, to)
            && to <= from
        {
            reader.problem(problem::backwards(place, "the quiet stretch", &from.to_string()));
        }
        fields.finish(reader);
        Some(Stretch { from: from?, to: to?.0 })
    };
    items.iter().filter_map(read).collect()
}

/// An `expect` block drafted from what a replay proposed, for a person to edit: what happened is not yet what was right.
#[must_use]
pub fn draft_expect(journal: &Journal, start: Start, onset: Start) -> String {
    let onset = start.time_of(onset.unix_millis()).unwrap_or(Time::ZERO);
    let mut text =
        String::from("# Drafted from one replay. Read every line: it says what was proposed, not what would have been right.\nexpect:\n");
    match first_notification(journal, onset, Time::MAX) {
        Some((at, alert)) => writeln!(text, "  detect_within: {} # {} came after {}", rounded_up(at - onset), quoted(&alert), at - onset),
        None => writeln!(text, "  # detect_within: nothing was notified"),
    }
    .expect("a string takes all");
    let mut seen: Vec<Proposed> = Vec::new();
    let mut lines = [String::new(), String::new()];
    for proposal in proposals(journal) {
        if seen.contains(&proposal.what) {
            continue;
        }
        let early = proposal.at < onset;
        let what = match &proposal.what {
            Proposed::Act(action, target) => format!("action: {}, target: {}", action.word(), quoted(&target.to_string())),
            Proposed::Page(to) => format!("page: {}", quoted(to)),
        };
        let after = if early { "before the onset".to_owned() } else { format!("after {}", (proposal.at - onset).clock()) };
        let within = if early { String::new() } else { format!(", within: {}", rounded_up(proposal.at - onset)) };
        writeln!(lines[usize::from(early)], "    - {{ {what}{within} }} # {} {after}", quoted(&proposal.policy))
            .expect("a string takes all");
        seen.push(proposal.what);
    }
    for (key, lines) in [("must", &lines[0]), ("must_not", &lines[1])] {
        if lines.is_empty() {
            writeln!(text, "  {key}: []").expect("a string takes all");
        } else {
            write!(text, "  {key}:\n{lines}").expect("a string takes all");
        }
    }
    text.push_str("  may: []\n  quiet: []\n");
    text
}

/// Up to the next half minute, so that a draft does not break on the next change of a phase.
fn rounded_up(span: Span) -> Span {
    Span::from_seconds(span.as_nanos().div_ceil(30_000_000_000).max(1) * 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::action::RestartMode;
    use firedrill_core::inventory::Inventory;
    use firedrill_core::journal::{LabelSet, Notification};

    const START: Start = Start::from_unix_seconds(1_767_571_200);

    fn would(second: u64, target: &str) -> (u64, Event) {
        let what = Action::Restart { mode: RestartMode::AtOnce };
        let (policy, reason) = (Name::new("p"), String::new());
        (second, Event::WouldAct { policy, incident: 0, step: 0, what, target: target.parse().unwrap(), reason })
    }

    #[test]
    fn a_draft_quotes_what_alerts_have_in_their_labels() {
        let mut journal = Journal::new();
        let (_, event) = would(30, "service/x\" }, b\nexpect: {}\n#\u{1b}\u{85}");
        journal.write(Time::from_seconds(30), event);
        let draft = draft_expect(&journal, START, START);
        assert!(draft.contains("target: \"service/x\\\" }, b\\nexpect: {}\\n#\\u001b\\u0085\", within: 30s } # p after"), "{draft}");
    }

    fn paged(second: u64) -> (u64, Event) {
        (
            second,
            Event::Paged {
                policy: Name::new("p"),
                incident: 0,
                to: Name::new("oncall"),
                reason: String::new(),
                with: Vec::new(),
                evidence: Vec::new(),
            },
        )
    }

    fn notified(second: u64) -> (u64, Event) {
        let starts_at = Time::from_seconds(second);
        let notification =
            Notification { alert: Name::new("Slow"), status: AlertStatus::Firing, labels: LabelSet::default(), starts_at, receiver: None };
        (second, Event::Notified { notification })
    }

    fn refused(second: u64, figures: &str) -> (u64, Event) {
        let (policy, guard, target) = (Name::new("p"), Name::new("precheck"), Some("service/api".parse().unwrap()));
        (second, Event::Refused { policy, incident: 0, step: 0, what: None, target, guard, figures: figures.to_owned(), held_by: None })
    }

    fn journal(events: Vec<(u64, Event)>) -> Journal {
        let mut journal = Journal::new();
        for (second, event) in events {
            journal.write(Time::from_seconds(second), event);
        }
        journal
    }

    fn expect(text: &str) -> Expect {
        let node = firedrill_core::yaml::parse("e.yaml", text).unwrap();
        let mut reader = Reader::new();
        let expect = read_expect(&mut reader, &node, &Inventory::default());
        reader.finish().unwrap();
        expect.unwrap()
    }

    #[track_caller]
    fn check(text: &str, events: Vec<(u64, Event)>, broken: &[&str]) {
        let verdict = expect(text).judge(&journal(events), START, Start::from_unix_seconds(1_767_571_200 + 100));
        let told: Vec<String> = verdict.checks.iter().filter(|c| !c.held).map(|c| format!("{}: {}", c.expected, c.found)).collect();
        assert_eq!(told, broken);
        assert_eq!(verdict.passed, broken.is_empty());
    }

    const RIGHT: &str = "detect_within: 1m\nmust: [{ action: restart, target: service/api, within: 2m }, { page: anyone }]\nmust_not: [{ target: service/db }]\nquiet: [{ from: 2026-01-05T00:00:00Z, to: 2026-01-05T00:01:40Z }]\n";

    #[test]
    fn a_replay_passes_when_everything_came_as_it_had_to() {
        check(RIGHT, vec![notified(130), would(140, "service/api"), paged(900)], &[]);
        check(RIGHT, vec![notified(160), would(220, "service/api"), paged(900)], &[]);
    }

    #[test]
    fn what_is_proposed_to_people_counts_as_proposed_since_nobody_answers_a_recording() {
        let proposed = |second, target: &str| {
            let (what, target) = (Action::Restart { mode: RestartMode::AtOnce }, target.parse().unwrap());
            let (policy, reason, approve) = (Name::new("p"), String::new(), String::new());
            (second, Event::Proposed { policy, incident: 0, step: 0, proposal: 0, what, target, reason, approve, consent: None })
        };
        check(RIGHT, vec![notified(130), proposed(140, "service/api"), paged(900)], &[]);
        let told = "no action on service/db: restart (at once) service/db at 2m30s";
        check("must_not: [{ target: service/db }]", vec![proposed(150, "service/db")], &[told]);
    }

    #[test]
    fn each_thing_that_was_not_right_is_told_with_what_was_found() {
        check(
            RIGHT,
            vec![paged(99), would(150, "service/db"), notified(161), would(221, "service/api")],
            &[
                "a notification within 1m: Slow after 1m01s",
                "restart on service/api within 2m: proposed after 2m01s",
                "page anyone: not proposed",
                "no action on service/db: restart (at once) service/db at 2m30s",
                "nothing from 2026-01-05T00:00:00Z to 2026-01-05T00:01:40Z: page oncall at 1m39s",
            ],
        );
        check("detect_within: 1m", vec![], &["a notification within 1m: nothing was notified"]);
    }

    #[test]
    fn a_refusal_for_missing_input_is_no_pass_and_any_other_refusal_is() {
        check(
            "{}",
            vec![refused(200, "cannot tell: no data")],
            &["nothing refused for missing input: precheck at 3m20s: cannot tell: no data"],
        );
        check("{}", vec![refused(200, "3 of 3 within 1h")], &[]);
    }

    #[test]
    fn a_stretch_that_the_recording_has_nothing_of_is_told_as_unchecked() {
        let quiet = |from: &str, to: &str| {
            let text = format!("quiet: [{{ from: 2026-01-05T00:{from}Z, to: 2026-01-05T00:{to}Z }}]");
            let ended = (600, Event::RunEnded { reason: String::new() });
            let verdict = expect(&text).judge(&journal(vec![paged(500), ended]), START, START);
            (verdict.passed, verdict.unchecked())
        };
        assert_eq!(quiet("08:00", "20:00"), (false, 0));
        assert_eq!(quiet("09:59", "20:00"), (true, 0));
        assert_eq!(quiet("10:01", "20:00"), (true, 1));
        let before = "quiet: [{ from: 2026-01-04T00:00:00Z, to: 2026-01-05T00:00:00Z }]";
        assert_eq!(expect(before).judge(&Journal::new(), START, START).unchecked(), 1);
        assert_eq!(expect(RIGHT).count(), 5);
    }

    #[test]
    fn what_the_block_does_not_mention_is_told() {
        let events = vec![would(140, "service/api"), would(150, "service/web"), paged(160)];
        let verdict = expect("must: [{ target: service/api }]\nmay: [{ page: oncall }]").judge(&journal(events), START, START);
        assert_eq!((verdict.passed, verdict.unlisted), (true, vec!["restart (at once) service/web at 2m30s".to_owned()]));
    }

    #[test]
    fn a_drafted_block_reads_back_and_the_replay_that_it_came_from_passes_it() {
        let events = vec![would(50, "service/db"), notified(130), would(140, "service/api"), would(150, "service/api"), paged(900)];
        let onset = Start::from_unix_seconds(1_767_571_200 + 100);
        let draft = draft_expect(&journal(events.clone()), START, onset);
        assert!(draft.contains("  detect_within: 30s # Slow came after 30s\n"), "{draft}");
        assert!(draft.contains("    - { action: restart, target: service/api, within: 1m } # p after 40s\n"), "{draft}");
        let block = draft.split_once("expect:\n").unwrap().1;
        let verdict = expect(block).judge(&journal(events[1..].to_vec()), START, onset);
        assert!(verdict.passed, "{draft}\n{verdict:?}");
    }
}
