//! What a person on call does, and when.

use crate::common;
use std::sync::Arc;

use firedrill_core::action::{Action, Command};
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{AlertStatus, Event, Journal, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Desk;
use firedrill_sim::automation::{AFTERMATH, Person, PersonSpec};

fn person(spec: PersonSpec, seed: u64) -> Person {
    let mut world = common::world(3600, vec![common::service("api", Vec::new())], vec![common::client("users", "api", 1.0)]);
    let cure = |at, action| common::cure(at, action, common::service_target("api"));
    world.cures = vec![cure(60, Action::PurgeQueue), cure(75, Action::Rollback)];
    Person::new(Arc::new(spec), Arc::new(world), Seed(seed))
}

/// Everything takes its number of seconds.
fn spec() -> PersonSpec {
    let constant = |seconds| Distribution::constant(seconds).unwrap();
    PersonSpec {
        detect: constant(1.0),
        acknowledge: constant(2.0),
        investigate: constant(4.0),
        diagnose: constant(8.0),
        act: constant(16.0),
        verify: constant(32.0),
        wrong_action: Ratio::ZERO,
        no_answer: Ratio::ZERO,
        escalate_after: Span::from_seconds(100),
    }
}

fn alert(status: AlertStatus) -> Notification {
    let labels = LabelSet::from([(Name::new("service"), Name::new("api"))]);
    Notification { alert: Name::new("Down"), status, labels, starts_at: Time::ZERO, receiver: None }
}

/// What the person does until nothing is due, or `until`: seconds with what was said or ordered.
fn does(person: &mut Person, until: u64) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(at) = person.due().filter(|at| *at <= Time::from_seconds(until)) {
        let (mut journal, mut commands): (Journal, Vec<Command>) = (Journal::new(), Vec::new());
        person.advance(&mut Desk { journal: &mut journal, commands: &mut commands });
        let said = journal.records().iter().map(|record| match &record.event {
            Event::Person { what } => what.clone(),
            other => panic!("a person wrote {other:?}"),
        });
        let ordered = commands.iter().map(|command| format!("{} {}", command.id(), command.action()));
        told.extend(said.chain(ordered).map(|what| format!("{} {what}", at.as_seconds())));
    }
    told
}

#[test]
fn an_alert_calls_a_person_who_does_what_the_oracle_does_in_its_order_and_looks_whether_it_helped() {
    let mut person = person(spec(), 1);
    person.hear(Time::from_seconds(10), &alert(AlertStatus::Firing));
    assert_eq!(does(&mut person, 60), ["13 somebody on call acknowledges", "41 human#0 purge_queue", "56 human#1 rollback"]);
    person.hear(Time::from_seconds(70), &alert(AlertStatus::Resolved));
    assert_eq!(does(&mut person, 1000), ["88 the alert is over, and the person is done"]);
    assert_eq!(person.until(), Some(Time::from_seconds(56) + AFTERMATH));
}

#[test]
fn whose_alert_is_over_before_they_act_stands_down_and_is_called_again_by_the_next() {
    let mut person = person(spec(), 1);
    person.hear(Time::from_seconds(10), &alert(AlertStatus::Firing));
    person.hear(Time::from_seconds(20), &alert(AlertStatus::Resolved));
    let stands_down = ["13 somebody on call acknowledges", "41 the alert is over, and the person stands down"];
    assert_eq!(does(&mut person, 1000), stands_down);
    assert_eq!((person.due(), person.until()), (None, None), "nothing was done, so nothing has to be waited for");
    person.hear(Time::from_seconds(100), &alert(AlertStatus::Firing));
    assert_eq!(person.due(), Some(Time::from_seconds(103)));
}

#[test]
fn what_does_not_help_is_tried_five_times_and_then_handed_on() {
    let mut person = person(spec(), 1);
    person.hear(Time::ZERO, &alert(AlertStatus::Firing));
    let told = does(&mut person, 10_000);
    assert_eq!(told.iter().filter(|line| line.contains("purge_queue")).count(), 5);
    assert!(told.last().unwrap().ends_with("the alert is still on after 5 attempts, and the person hands it on"), "{told:?}");
}

#[test]
fn who_hands_on_beyond_the_horizon_is_waited_for_no_longer() {
    let mut person = person(PersonSpec { investigate: Distribution::constant(3_600.0).unwrap(), ..spec() }, 1);
    person.hear(Time::ZERO, &alert(AlertStatus::Firing));
    let told = does(&mut person, 10_000);
    assert!(told.last().unwrap().contains("hands it on"), "{told:?}");
    let until = person.until().unwrap();
    // The alert ends and begins again: somebody is called, but the run does not go on for them.
    person.hear(Time::from_seconds(5_000), &alert(AlertStatus::Resolved));
    person.hear(Time::from_seconds(5_001), &alert(AlertStatus::Firing));
    assert!(person.due().is_some());
    assert_eq!(person.until(), Some(until));
}

#[test]
fn a_wrong_action_comes_first_and_an_unanswered_call_goes_to_the_next_person() {
    let mut wrong = person(PersonSpec { wrong_action: Ratio::ONE, ..spec() }, 1);
    wrong.hear(Time::ZERO, &alert(AlertStatus::Firing));
    let told = does(&mut wrong, 100);
    let expected = [
        "3 somebody on call acknowledges",
        "31 the person tries what does not help: restart (rolling) of service/api",
        "31 human#0 restart (rolling)",
        "63 the alert is still on, and the person looks again",
        "87 human#1 purge_queue",
    ];
    assert_eq!(told, expected);
    let mut away = person(PersonSpec { no_answer: Ratio::ONE, ..spec() }, 1);
    away.hear(Time::ZERO, &alert(AlertStatus::Firing));
    let told = does(&mut away, 404);
    assert_eq!(
        told[..2],
        ["101 call 1 is not answered, and the next person is called", "201 call 2 is not answered, and the next person is called"]
    );
    assert_eq!(told.last().unwrap(), "403 somebody on call acknowledges", "the fifth is there: {told:?}");
}

#[test]
fn a_seed_is_one_person_and_another_seed_another() {
    let luck = |seed| {
        let spec = PersonSpec { acknowledge: Distribution::log_uniform(30.0, 300.0).unwrap(), ..spec() };
        let mut person = person(spec, seed);
        person.hear(Time::ZERO, &alert(AlertStatus::Firing));
        person.due()
    };
    assert_eq!(luck(1), luck(1));
    assert_ne!(luck(1), luck(2));
}
