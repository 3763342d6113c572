//! `firedrill gate`: the CI verdict; and `firedrill merge`, the same of what its partitions have played.

mod thresholds;
mod side;
pub mod judge;
mod changes;
mod terms;
mod contest;
mod chaos;
mod repeating;
mod plan;
mod prepared;
mod rounds;
mod notes;
mod mutants;
mod worth;
mod edits;
mod report;
mod partition;

use std::path::Path;

use firedrill_reports::verdict::{IncidentResult, Judgement, Look, Verdict};

use self::partition::Merged;
use self::prepared::{At, Prepared};
use self::report::Report;
use crate::cli::{GateArgs, MergeArgs};
use crate::coverage;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::judged;
use crate::known::{Cache, Entries, Known};
use crate::output::{Output, Room};

/// Pairs a class from which on the guard on catastrophes can hold (MEASURES: none seen of 299 leaves at most 1 %).
const TAIL_PAIRS: u64 = 299;

/// Judges a candidate, or plays a share of what that takes.
pub fn execute(arguments: &GateArgs, output: Output) -> Result<Exit, Failure> {
    let _rooms =
        [Some(Room::make("--out", &arguments.out)?), arguments.cache.as_deref().map(|folder| Room::make("--cache", folder)).transpose()?];
    let named = arguments.accept_judge_change.as_deref().map_or(Ok(()), is_a_name);
    let prepared = or_removed(&arguments.out, named.and_then(|()| Prepared::of(arguments, output)))?;
    remembering(arguments, &prepared, output, |known| match arguments.partition {
        Some(share) => partition::write(arguments, &prepared, share, known.0, output),
        None => verdict(arguments, &prepared, known, output),
    })
}

/// Where nothing can be judged, what an earlier gate found would be taken for it, and is removed.
fn or_removed<T>(out: &Path, done: Result<T, Failure>) -> Result<T, Failure> {
    done.inspect_err(|_| report::remove(out))
}

/// An approval stands in every output, so it is one line of plain text: a name, an address, a ticket.
fn is_a_name(approval: &str) -> Result<(), Failure> {
    let is_plain = |letter: char| letter.is_alphanumeric() || " .,;:@/#+-_=?&()'".contains(letter);
    if !approval.trim().is_empty() && approval.chars().count() <= 200 && approval.chars().all(is_plain) {
        return Ok(());
    }
    let message = format!("`--accept-judge-change` names nobody: {approval:?}");
    Err(Failure::argument(message, "write who approves, in letters, digits and spaces, such as `ada` or `ada in PR #12`"))
}

/// Judges for a promotion: the same, its reports written, and nothing of it told.
pub(super) fn quietly(arguments: &GateArgs, output: Output) -> Result<(Exit, Judgement), Failure> {
    let _room = Room::make("--out", &arguments.out)?;
    let prepared = or_removed(&arguments.out, Prepared::of(arguments, output))?;
    remembering(arguments, &prepared, output, |known| judged((arguments, output), &prepared, known, false))
}

/// Plays with what is known already, and keeps what was played whatever came of it; where it cannot be kept, the next gate plays it again.
fn remembering<T>(
    arguments: &GateArgs,
    prepared: &Prepared,
    output: Output,
    play: impl FnOnce((&Known, Option<&Cache>)) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let cache = cache(arguments);
    let known = recalled(cache.as_ref(), prepared, output);
    let done = play((&known, cache.as_ref()));
    if let Some(Err(error)) = cache.map(|cache| cache.save(&known)) {
        output.talk(&format!("outcomes were not kept for the next time: {error:#}"));
    }
    done
}

/// Judges what partitions have played.
pub fn merge(arguments: &MergeArgs, output: Output) -> Result<Exit, Failure> {
    let _room = Room::make("--out", &arguments.out)?;
    let merged = or_removed(&arguments.out, Merged::read(&arguments.files))?;
    let arguments = merged.arguments(arguments.out.clone());
    let prepared = or_removed(&arguments.out, Prepared::of(&arguments, output))?;
    let known = or_removed(&arguments.out, merged.known(&prepared))?;
    verdict(&arguments, &prepared, (&known, None), output)
}

/// Where outcomes are kept; `None`: nowhere.
fn cache(arguments: &GateArgs) -> Option<Cache> {
    if arguments.no_cache {
        return None;
    }
    arguments.cache.clone().or_else(Cache::usual_folder).and_then(Cache::at)
}

/// What is known already.
fn recalled(cache: Option<&Cache>, prepared: &Prepared, output: Output) -> Known {
    let Some(cache) = cache else { return Known::keeping(Entries::new()) };
    let (entries, damage) = cache.load(&prepared.keys());
    damage.iter().for_each(|told| output.talk(&format!("warning: {told}")));
    Known::keeping(entries)
}

/// Plays what is not known, judges, and tells.
fn verdict(arguments: &GateArgs, prepared: &Prepared, known: (&Known, Option<&Cache>), output: Output) -> Result<Exit, Failure> {
    judged((arguments, output), prepared, known, true).map(|(exit, _)| exit)
}

/// The same, telling or not.
fn judged(
    (arguments, output): (&GateArgs, Output),
    prepared: &Prepared,
    (known, cache): (&Known, Option<&Cache>),
    is_told: bool,
) -> Result<(Exit, Judgement), Failure> {
    let replayed: Vec<IncidentResult> = prepared.replays.iter().map(judged::Replayed::judge).collect();
    let played = rounds::play(prepared, &replayed, known, arguments.budget, output)?;
    let watched = prepared.replays.iter().map(judged::Replayed::watched);
    let watched: Vec<_> = watched.map(|(recording, rules, is_by_copies)| coverage::Recorded { recording, rules, is_by_copies }).collect();
    let campaign = &prepared.plan.campaign;
    let with_variants = chaos::with_variants(
        notes::with_reasons(played.judgement.clone(), &played.candidate),
        (arguments, output),
        prepared,
        (known, played.time_left),
    )?;
    let judgement = &with_variants.judgement;
    let (unable, rules) = coverage::unable(&campaign.scenarios, &watched);
    let mut notes = [prepared.notes.clone(), played.notes.clone(), with_variants.notes].concat();
    notes.extend(notes::notes(arguments, judgement, &prepared.terms.thresholds));
    notes.extend(notes::untested(&unable, rules));
    notes.extend(notes::calendar(campaign, &prepared.contest.candidate.policies));
    notes.extend(notes::failed(&played.candidate));
    notes.extend(notes::quiet(campaign, &played.candidate, &unable));
    let passes_with_warning = played.passes_with_warning(prepared, judgement);
    notes.extend(passes_with_warning.then(|| "`on_inconclusive: warn` lets this pass although it is inconclusive".to_owned()));
    let ground = mutants::Ground {
        campaign,
        contest: &prepared.contest,
        cases: &played.candidate,
        replays: &prepared.replays,
        results: &replayed,
        settings: &prepared.settings(At { look: Look::Planned, planned: 1, cut_short: None }),
    };
    let scrutiny = mutants::scrutiny(&ground, arguments, output)?;
    let scrutiny = worth::add(scrutiny, &prepared.plan, &prepared.contest.candidate, &played.candidate, (known, cache));
    let report = Report {
        scrutiny: &scrutiny,
        unable: &unable,
        arguments,
        command: repeating::command(arguments, &played.repeat.iter().copied().chain(with_variants.repeat).collect::<Vec<_>>()),
        repeat: &prepared.command,
        campaign,
        contest: &prepared.contest,
        candidate: &played.candidate,
        baseline: played.baseline.as_deref(),
        judgement,
        grounds: &prepared.grounds,
        notes: &notes,
    };
    report.write()?;
    if is_told {
        report.tell(output)?;
    }
    let exit = match judgement.verdict {
        Verdict::Held => Exit::Held,
        Verdict::Inconclusive if passes_with_warning => Exit::Held,
        Verdict::Broken => Exit::Broken,
        Verdict::Inconclusive | Verdict::NotExercised => Exit::Inconclusive,
    };
    Ok((exit, judgement.clone()))
}
