//! What followed each action: how users fared after it, beside how they fared at that time where nobody acted.

use firedrill_core::journal::{Event, Journal};
use firedrill_core::ledger::{BIN, Ledger, ServiceBin};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

use crate::outcome::{Arms, DeedOutcome, Outcome, OutcomeSettings, UserSeries};
use crate::verdict::Unit;
use crate::words::counted;

/// How long after an action is looked at.
pub const WINDOW: Span = Span::from_minutes(5);

/// Shares of bad requests that differ by less are about alike: half a point.
const ALIKE: f64 = 0.005;

/// Requests that an action cuts off arrived shortly before it. Before it both arms are the same, so that looking so far back blames it for nothing.
const UNDER_WAY: Span = Span::from_seconds(5);

/// At most so many actions are told; a policy that did more is a hazard for that alone.
const TOLD: usize = 12;

/// A sentence or two for each of the policy's actions, in their order.
///
/// Both arms meet the same requests. Of actions whose windows overlap each is told with what the others did as well.
#[must_use]
pub fn tell(arms: &Arms, outcome: &Outcome) -> Vec<String> {
    let settings = OutcomeSettings::default();
    let policy = UserSeries::of(&arms.policy.ledger, &settings);
    let nothing = UserSeries::of(&arms.nothing.ledger, &settings);
    let mut told: Vec<String> = outcome
        .deeds
        .iter()
        .take(TOLD)
        .map(|deed| {
            let place = format!("{} on {} at {}:", deed.what, deed.target, Unit::Seconds.show(libm::floor(deed.started_seconds)));
            let (state, scaled) = (state(&arms.policy.ledger, deed), scaled(&arms.policy.journal, deed));
            if let Some((_, to)) = scaled.filter(|(from, to)| from == to) {
                return format!("{place} it changed nothing: {} wanted before it, too.", wanted(to));
            }
            let queued = state.as_ref().map_or(0, |(_, queued)| *queued);
            let state = state.map_or_else(String::new, |(words, _)| format!(" {words};"));
            let scaled = scaled.map_or_else(String::new, |change| format!(" {};", change_in_words(change, queued)));
            format!("{place}{state}{scaled} {}.", after(deed, &policy, &nothing))
        })
        .collect();
    if outcome.deeds.len() > TOLD {
        told.push(format!("and {} more.", counted((outcome.deeds.len() - TOLD) as u64, "action")));
    }
    told
}

/// The bins of the window after an action, the one in which it strikes among them: what a restart costs is over within seconds. `None` if there is
/// none left of the run after it.
fn window(deed: &DeedOutcome, bins: usize) -> Option<std::ops::Range<usize>> {
    let struck = bin_of(deed.started_seconds);
    let first = bin_of((deed.started_seconds - UNDER_WAY.as_seconds()).max(0.0));
    let end = (struck + (WINDOW.as_nanos() / BIN.as_nanos()) as usize + 1).min(bins);
    (struck < end).then_some(first..end)
}

/// The bin in which an instant lies.
fn bin_of(seconds: f64) -> usize {
    ((Time::ZERO + Span::from_seconds_f64(seconds)).since(Time::ZERO).as_nanos() / BIN.as_nanos()) as usize
}

fn after(deed: &DeedOutcome, policy: &UserSeries, nothing: &UserSeries) -> String {
    let shares = window(deed, policy.len().min(nothing.len()))
        .and_then(|bins| Some((policy.bad_share_within(bins.clone())?, nothing.bad_share_within(bins)?)));
    let Some((with, without)) = shares else { return "too little of the run is left to say what followed".to_owned() };
    let show = |share| Unit::Ratio.show(share);
    if show(with) == show(without) {
        return format!("in the five minutes after it {} of requests were bad, as many as where nobody acted", show(with));
    }
    let verdict = match with > without {
        _ if (with - without).abs() < ALIKE => "about as many as",
        true => "worse than",
        false => "better than",
    };
    format!("in the five minutes after it {} of requests were bad, {verdict} the {} where nobody acted", show(with), show(without))
}

/// How many replicas an action changed the wanted number from, and to; `None` if it was no such action, or did not come to it.
fn scaled(journal: &Journal, deed: &DeedOutcome) -> Option<(u32, u32)> {
    let is_start = |event: &Event| matches!(event, Event::ActionStarted { action, .. } if *action == deed.action);
    let from = journal.records().iter().position(|record| is_start(&record.event))?;
    let records = &journal.records()[from..];
    let at_once = records.iter().take_while(|record| record.at == records[0].at);
    let service = deed.target.service()?;
    at_once.into_iter().find_map(|record| match &record.event {
        Event::Scaled { service: own, from, to } if *own == service => Some((*from, *to)),
        _ => None,
    })
}

fn wanted(replicas: u32) -> String {
    format!("{} {}", counted(u64::from(replicas), "replica"), if replicas == 1 { "was" } else { "were" })
}

/// What a change of the wanted number of replicas did, where so many requests waited for a free worker.
fn change_in_words((from, to): (u32, u32), queued: u64) -> String {
    let replicas = counted(u64::from(from.abs_diff(to)), "replica");
    match (from > to, queued) {
        (false, _) => format!("it added {replicas} to {from}"),
        (true, 0) => format!("it took {replicas} of {from} away"),
        (true, _) => format!("it took {replicas} of {from} away, and their workers, while requests waited for one"),
    }
}

/// What the service was like that an action was for, when it was decided, and how many requests waited there; `None` for what is not one service.
fn state(ledger: &Ledger, deed: &DeedOutcome) -> Option<(String, u64)> {
    let service: Name = deed.target.service()?;
    let found = ledger.services.iter().find(|ledger| ledger.service == service)?;
    // The state at the end of the bin before.
    let bin: &ServiceBin = found.bins.get(bin_of(deed.started_seconds).checked_sub(1)?)?;
    let (ready, busy) = (counted(u64::from(bin.ready), "ready replica"), counted(bin.in_service, "request"));
    let waiting = if bin.queued > 0 { "waiting for a free worker" } else { "waiting" };
    Some((format!("{service} had {ready} then, {busy} in service and {} {waiting}", bin.queued), bin.queued))
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{Action, RestartMode, Scale};

    use super::*;
    use crate::sample;

    #[test]
    fn an_action_is_told_with_what_followed_in_both_arms() {
        let (nothing, policy, oracle) = sample::storm();
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: Some(&oracle), human: None };
        let outcome = crate::outcome::measure(&arms, &OutcomeSettings::default());
        assert!(!outcome.deeds.is_empty());
        insta::assert_snapshot!(tell(&arms, &outcome).join("\n"));
    }

    #[test]
    fn harm_in_the_very_seconds_of_an_action_is_told() {
        let outage = || sample::Sample::new(900).fault("db", 60, 900).bad(60, 900, 20);
        let restart = Action::Restart { mode: RestartMode::AtOnce };
        let (nothing, policy) = (outage().build(), outage().bad(120, 130, 100).act(122, restart, "service/api").build());
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
        let outcome = crate::outcome::measure(&arms, &OutcomeSettings::default());
        assert!(outcome.harm > 0.0);
        let told = tell(&arms, &outcome).join("\n");
        assert!(told.contains("worse than the 20 % where nobody acted"), "{told}");
    }

    #[test]
    fn a_change_of_replicas_is_told_as_what_became_of_it() {
        let scale = || Action::Scale { replicas: Scale::Times(firedrill_core::quantity::Factor::new(0.67).unwrap()) };
        let told = |from: u32, to: u32| {
            let nothing = sample::Sample::new(900).fault("db", 60, 900).bad(60, 900, 20).build();
            let scaled = Event::Scaled { service: Name::new("api"), from, to };
            let policy =
                sample::Sample::new(900).fault("db", 60, 900).bad(60, 900, 40).act(122, scale(), "service/api").record(122, scaled).build();
            let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
            tell(&arms, &crate::outcome::measure(&arms, &OutcomeSettings::default())).remove(0)
        };
        assert_eq!(told(3, 3), "scale (x0.67) on service/api at 2m2s: it changed nothing: 3 replicas were wanted before it, too.");
        assert!(told(1, 1).ends_with("it changed nothing: 1 replica was wanted before it, too."), "{}", told(1, 1));
        assert!(told(6, 5).contains("it took 1 replica of 6 away"), "{}", told(6, 5));
        assert!(told(2, 4).contains("it added 2 replicas to 2; in the five minutes"), "{}", told(2, 4));
        let waiting = "it took 3 replicas of 9 away, and their workers, while requests waited for one";
        assert_eq!(change_in_words((9, 6), 15), waiting);
    }

    #[test]
    fn an_action_at_the_end_has_nothing_after_it() {
        let (nothing, policy, _) = sample::storm();
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
        let mut outcome = crate::outcome::measure(&arms, &OutcomeSettings::default());
        outcome.deeds[0].started_seconds = policy.ledger.ended.as_seconds();
        assert!(tell(&arms, &outcome)[0].ends_with("too little of the run is left to say what followed."));
    }
}
