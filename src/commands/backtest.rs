//! What a replay leaves in the ledger when it is to count as a backtest: how well our ruler reproduces what was recorded, and what would have been done.

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, Journal};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start};
use firedrill_core::words::counted;
use firedrill_policies::guard::stage::Stage;
use firedrill_telemetry::promql::LOOKBACK_MS;
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::is_stale;
use jiff::{SignedDuration, Timestamp};

use super::promoting::Books;
use crate::cli::{ReplayArgs, Writer};
use crate::failure::Failure;
use crate::fidelity::{Fidelity, fidelity, firings};
use crate::importing::SIMULATED;
use crate::ledger::{Chain, Hashes, Ledger, What, name_of};
use crate::output::Output;
use crate::promotion::evidence::counts;
use crate::promotion::heard::outside;
use crate::promotion::standing::{Standing, between};
use crate::replaying::Replay;

/// So many stretches without a sample fit into an entry with what it holds beside them.
const MOST_GAPS: usize = 10_000;

/// That a replay can be written down as a backtest, if it is to be, as far as its recording tells: before it is played.
///
/// # Errors
/// The recording is of a simulation, or has too many gaps.
pub fn admit(arguments: &ReplayArgs, replay: &Replay) -> Result<(), Failure> {
    if !arguments.backtest {
        return Ok(());
    }
    if replay.recording.source.starts_with(SIMULATED) {
        let message =
            format!("{} is a recording of a simulation, and no history: what is decided on it is no evidence", replay.incident.name);
        return Err(Failure::argument(message, "record what your monitoring has seen: `firedrill explain recordings`"));
    }
    let gaps = gaps(&replay.recording).len();
    if gaps > MOST_GAPS {
        let message = format!("the recording has {gaps} gaps of more than 5 minutes, and a backtest can tell of {MOST_GAPS}");
        return Err(Failure::argument(message, "replay a shorter stretch, or record a sample at least every 5 minutes"));
    }
    Ok(())
}

/// Writes a replay down as a backtest of each of its policies.
///
/// # Errors
/// Its history is in the ledger already, or the ledger is not sound.
pub fn record(arguments: &ReplayArgs, (replay, journal): (&Replay, &Journal), output: Output) -> Result<(), Failure> {
    let Some(by) = arguments.by.clone().filter(|_| arguments.backtest) else { return Ok(()) };
    let books = Books::here()?;
    // What was imported keeps its alerts beside the samples.
    let alerts = replay.alerts.as_deref().unwrap_or(&replay.recording.store);
    let found = fidelity(&replay.recording, &replay.rules, alerts);
    let elsewhere = firings(alerts).len() - found.recorded - found.before.len();
    let (from, until) = (instant(replay.recording.start), instant(Start::from_unix_millis(replay.recording.end_ms)));
    let gaps: Vec<(Timestamp, Timestamp)> = gaps(&replay.recording).into_iter().map(|(from, until)| (at_ms(from), at_ms(until))).collect();
    let mut of_all = Vec::new();
    for policy in &replay.answer.policies {
        let hashes = Hashes::of(policy, &replay.rules.set);
        let chain = books.promotions().believed(Ledger::read(&books.folder, &name_of(&policy.name)?)?.sound()?);
        let standing = Standing::of_version(&chain, &hashes);
        can_count(&policy.name, &standing, from)?;
        if is_counted((&chain, &standing), &hashes, (from, until)) {
            let message = format!("the history from {from} to {until}, or some of it, is in the ledger of {} already", policy.name);
            return Err(Failure::argument(message, "replay another stretch: none counts twice"));
        }
        let mut whats = vec![What::Backtest {
            from: from.to_string(),
            until: until.to_string(),
            recorded: found.recorded as u64,
            reproduced: found.reproduced as u64,
            gaps: gaps.iter().map(|(from, until)| (from.to_string(), until.to_string())).collect(),
            hashes: hashes.clone(),
        }];
        whats.extend(decisions(journal, (&policy.name, from), &hashes));
        of_all.push((policy.name.clone(), whats));
    }
    let writer = Writer { by, key: arguments.key.clone() };
    for (policy, whats) in of_all {
        let acts = whats.len() - 1;
        books.write(&policy, whats, (&writer, output))?;
        output.talk(&(told(&policy, (&found, elsewhere), acts as u64) + &unrecorded(&gaps)));
    }
    Ok(())
}

fn told(policy: &Name, (found, elsewhere): (&Fidelity, usize), acts: u64) -> String {
    let elsewhere = if elsewhere > 0 { format!(", {elsewhere} of alerts that no rule here has") } else { String::new() };
    let counts = found.recorded > 0 && found.is_good();
    let counts = if counts { "it counts" } else { "it does not count: 95 % must be reproduced, of at least one" };
    format!(
        "backtest of {policy}: {} of {} reproduced{elsewhere}; {} to label; {counts}",
        found.reproduced,
        counted(found.recorded as u64, "recorded firing"),
        counted(acts, "event")
    )
}

/// What is said of time in which nothing was recorded.
fn unrecorded(gaps: &[(Timestamp, Timestamp)]) -> String {
    let all = gaps.iter().fold(Span::ZERO, |all, (from, until)| all + between(*from, *until));
    if gaps.is_empty() {
        String::new()
    } else {
        format!(", but for {} in which nothing was recorded", Span::from_seconds(all.as_millis() / 1000))
    }
}

fn instant(start: Start) -> Timestamp {
    at_ms(start.unix_millis())
}

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// From when to when a recording has no sample for longer than a query looks back, milliseconds since 1970: nobody knows what was then.
fn gaps(recording: &Recording) -> Vec<(i64, i64)> {
    let (from, until) = (recording.start.unix_millis(), recording.end_ms);
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for id in recording.store.ids() {
        let samples = recording.store.samples(id);
        let of_series = stretches.len();
        for (at, _) in samples.times.iter().zip(samples.values).filter(|(at, value)| (from..=until).contains(*at) && !is_stale(**value)) {
            match stretches[of_series..].last_mut() {
                Some((_, end)) if *at - *end <= LOOKBACK_MS => *end = *at,
                _ => stretches.push((*at, *at)),
            }
        }
    }
    stretches.sort_unstable();
    let (mut seen, mut found) = (from, Vec::new());
    for (begin, end) in stretches.into_iter().chain([(until, until)]) {
        found.extend((begin - seen > LOOKBACK_MS).then_some((seen, begin)));
        seen = seen.max(end);
    }
    found
}

/// That history from an instant on can count for a policy where it stands: it shortens the wait in dry-run, as far as it was over by then.
fn can_count(policy: &Name, standing: &Standing, from: Timestamp) -> Result<(), Failure> {
    if standing.stage != Stage::DryRun {
        let message = format!("{policy} is at the stage {}, and recorded history counts in dry-run alone", standing.stage.word());
        let remedy = if standing.stage < Stage::DryRun {
            format!("`firedrill promote {policy}` first; or replay it without `--backtest`")
        } else {
            "replay it without `--backtest`; `--policy NAME` chooses others".to_owned()
        };
        return Err(Failure::argument(message, remedy));
    }
    match standing.since.filter(|since| *since <= from) {
        None => Ok(()),
        Some(since) => {
            let message = format!("{policy} is in dry-run since {since}, and what happened from then on is watched live");
            Err(Failure::argument(message, "replay what happened before; or replay it without `--backtest`"))
        }
    }
}

/// Whether some of the history is in a chain since the policy came to its stage, decided by the same version.
fn is_counted((chain, standing): (&Chain, &Standing), hashes: &Hashes, (from, until): (Timestamp, Timestamp)) -> bool {
    chain.since(standing.entry.as_deref()).any(|own| match &own.entry.what {
        // One that does not count uses up nothing: it can be replayed again, with more or other alerts.
        What::Backtest { from: begin, until: end, hashes: other, recorded, reproduced, gaps }
            if other == hashes && counts(*recorded, *reproduced) =>
        {
            let gaps: Vec<(Timestamp, Timestamp)> = gaps.iter().filter_map(parsed).collect();
            let known = parsed(&(begin.clone(), end.clone())).map_or_else(Vec::new, |stretch| outside(stretch, &gaps));
            known.iter().any(|(begin, end)| from < *end && *begin < until)
        }
        _ => false,
    })
}

/// From when to when, as it stands in the ledger.
fn parsed((from, until): &(String, String)) -> Option<(Timestamp, Timestamp)> {
    from.parse().ok().zip(until.parse().ok())
}

/// What a policy would have done, each with its incident.
fn decisions(journal: &Journal, (policy, from): (&Name, Timestamp), hashes: &Hashes) -> Vec<What> {
    let mut opened: BTreeMap<u64, String> = BTreeMap::new();
    let mut whats = Vec::new();
    for record in journal.records() {
        match &record.event {
            Event::IncidentOpened { policy: own, incident, alert, .. } if own == policy => {
                let since = Span::from_nanos(record.at.as_nanos());
                let at =
                    from.checked_add(SignedDuration::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))).unwrap_or(from);
                opened.insert(*incident, format!("{alert} at {at}"));
            }
            Event::WouldAct { policy: own, incident, .. } if own == policy => whats.push(What::Decision {
                incident: opened.get(incident).cloned().unwrap_or_default(),
                stage: Stage::DryRun,
                hashes: hashes.clone(),
                event: serde_json::to_value(&record.event).expect("an event is plain data"),
                is_backtest: true,
            }),
            _ => {}
        }
    }
    whats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Entry;

    #[test]
    fn as_many_gaps_as_are_admitted_fit_into_an_entry() {
        let (folder, at) = (tempfile::tempdir().unwrap(), Timestamp::from_millisecond(1_767_600_000_123).unwrap());
        let (from, until) = (at.to_string(), at.to_string());
        let (gaps, hashes) = (vec![(from.clone(), until.clone()); MOST_GAPS], Hashes::default());
        let what = What::Backtest { from, until, recorded: 1, reproduced: 1, gaps, hashes };
        let (mut ledger, _) = Ledger::open(folder.path(), &Name::new("p")).unwrap();
        assert!(ledger.append(vec![Entry { at, by: "ada".to_owned(), what }]).is_ok());
    }
}
