//! What followed each action: how users fared after it, beside how they fared at that time where nobody acted.

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
            let state = state(&arms.policy.ledger, deed).map_or_else(String::new, |state| format!(" {state}"));
            format!(
                "{} on {} at {}:{state} {}.",
                deed.what,
                deed.target,
                Unit::Seconds.show(deed.started_seconds),
                after(deed, &policy, &nothing)
            )
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

/// What the service was like that an action was for, when it was decided; `None` for what is not one service.
fn state(ledger: &Ledger, deed: &DeedOutcome) -> Option<String> {
    let service: Name = deed.target.service()?;
    let found = ledger.services.iter().find(|ledger| ledger.service == service)?;
    // The state at the end of the bin before.
    let bin: &ServiceBin = found.bins.get(bin_of(deed.started_seconds).checked_sub(1)?)?;
    let (ready, busy) = (counted(u64::from(bin.ready), "ready replica"), counted(bin.in_service, "request"));
    let waiting = if bin.queued > 0 { "waiting for a free worker" } else { "waiting" };
    Some(format!("{service} had {ready} then, {busy} in service and {} {waiting};", bin.queued))
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{Action, RestartMode};

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
    fn an_action_at_the_end_has_nothing_after_it() {
        let (nothing, policy, _) = sample::storm();
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
        let mut outcome = crate::outcome::measure(&arms, &OutcomeSettings::default());
        outcome.deeds[0].started_seconds = policy.ledger.ended.as_seconds();
        assert!(tell(&arms, &outcome)[0].ends_with("too little of the run is left to say what followed."));
    }
}
