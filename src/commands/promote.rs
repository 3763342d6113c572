//! `firedrill promote`: one stage at a time, on evidence; a refusal says what is missing and the shortest way to it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use firedrill_core::problem::{Problem, Severity};
use firedrill_core::words::counted;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::verdict::{IncidentStatus, Judgement, Verdict};
use serde_json::{Value, json};

use super::gate::judge::Judge;
use super::promoting::{Books, Outlook, Subject, folder_and_name, lines, needs_another};
use super::{check, gate};
use crate::cli::{CheckArgs, Format, GateArgs, LintLevel, PromoteArgs, StageArg};
use crate::drill::ENGINE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::inputs;
use crate::ledger::{REFUSED, What};
use crate::load;
use crate::output::{Output, Staged, stage_file};
use crate::promotion::needs::{Need, UNCHECKED};
use crate::promotion::profile::{ProfileName, before, next};
use crate::promotion::statement::{Stated, is_statement, statement};
use crate::sources::PROJECT_FILE;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.promotion/1";

/// At most so many problems and incidents are named.
const SHOWN: usize = 3;

/// Promotes a policy, or says what is missing.
///
/// # Errors
/// The policy is unknown, the stage is not the next one, or the ledger is not sound.
pub fn execute(arguments: &PromoteArgs, output: Output) -> Result<Exit, Failure> {
    let books = Books::here()?;
    let subject = books.subject(&arguments.policy)?;
    arguments.statement.as_deref().map_or(Ok(()), is_for_a_statement)?;
    // Before what takes its time.
    if books.key(&arguments.writer)?.is_none() {
        books.needs_no_key(&arguments.writer)?;
    }
    books.settle(&subject.policy.name, output)?;
    let subject = books.subject(&subject.argument)?;
    let to = target(&subject, arguments.to)?;
    let mut outlook = books.outlook(&subject, arguments.profile);
    let mut needs = vec![author(&books, &subject, (&arguments.writer.by, to))];
    needs.extend(own_stage(&subject, to));
    needs.extend(outlook.needs.iter().cloned());
    needs.extend(rehearsed(&books, (&subject, to), output)?);
    // Where something is wrong with what it judges by, `check` has said so.
    let is_checked = needs.iter().any(|need| need.what == "gate");
    let judge = if is_checked { Some(Judge::of(&gate_arguments(Vec::new()))?) } else { None };
    if let Some((less, uncompared)) = judge.as_ref().and_then(|judge| less_than_before(judge, &subject, outlook.profile)) {
        outlook.weakened.extend(less);
        needs.extend(uncompared);
    }
    let report = report((&subject, judge.as_ref()), (&outlook, to), &needs, &arguments.writer.by);
    // It is known before anything is promoted that it can be written, and written when that has happened.
    let stated = arguments.statement.as_ref();
    let stated = stated.map(|path| stage_statement((path, &books), &subject, (&outlook, to, &needs))).transpose()?;
    outlook.weakened.iter().for_each(|told| output.talk(&format!("warning: less is asked for than usual: {told}")));
    let is_enough = needs.iter().all(|need| need.is_met);
    if is_enough {
        let what = What::Promotion {
            from: subject.standing.stage,
            to,
            profile: outlook.profile.word().to_owned(),
            hashes: subject.hashes.clone(),
            evidence: in_brief(&report, &subject),
            weakened: outlook.weakened.clone(),
        };
        books.write_after(&subject.policy.name, Some(&subject.chain.heads), vec![what], (&arguments.writer, output))?;
    } else if let Some(what) = judge.as_ref().and_then(|judge| refusal(judge, &subject, (to, &needs))) {
        books.write(&subject.policy.name, vec![what], (&arguments.writer, output))?;
        output.talk("what it was refused by stands in the ledger: where that asks less when it is promoted, it is told");
    }
    if let Some((stated, path)) = stated.zip(arguments.statement.as_ref()) {
        stated.put().map_err(|error| {
            let then = if is_enough { "the policy is promoted all the same" } else { "nothing was promoted" };
            unwritten(path, &error, then)
        })?;
        output.talk(&format!("wrote {}", path.display()));
    }
    tell(&subject, (&outlook, to), (&needs, &report), output)?;
    Ok(if is_enough { Exit::Held } else { Exit::Broken })
}

/// That nothing but a statement is lost where one will be written.
fn is_for_a_statement(path: &Path) -> Result<(), Failure> {
    let shown = format!("--statement {}", path.display());
    inputs::spared(&shown, path)?;
    let what = match load::regular(path).and_then(|()| fs::read(path)) {
        Ok(bytes) if bytes.is_empty() || is_statement(&bytes) => return Ok(()),
        Ok(_) => "that is no statement".to_owned(),
        // Whoever writes it says what is in the way.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || path.is_dir() => return Ok(()),
        Err(error) => format!("that cannot be read: {}", load::reason(&error)),
    };
    let message = format!("`{shown}` would write over what is there, and {what}");
    Err(vec![Problem::in_file("FD0818", &path.display().to_string(), message).remedy("name a new file; nothing was promoted")].into())
}

/// What a policy was judged by before.
struct JudgedBefore<'c> {
    /// Since when, for people.
    since: String,
    /// The profile that it was promoted by; `None`: it was refused.
    profile: Option<&'c str>,
    /// As it was written down.
    judge: &'c Value,
}

/// What a policy was promoted by last, and what it was refused by since, in order.
fn judged_before(subject: &Subject) -> Vec<JudgedBefore<'_>> {
    let mut all = Vec::new();
    for own in &subject.chain.entries {
        let day = own.entry.at.strftime("%Y-%m-%d");
        let judge = |value: &Value| !value["judge"].is_null();
        match &own.entry.what {
            What::Promotion { to, profile, evidence, .. } if judge(evidence) => {
                let since = format!("since the promotion to {} ({day})", to.word());
                all = vec![JudgedBefore { since, profile: Some(profile), judge: &evidence["judge"] }];
            }
            What::State { of, value } if of == REFUSED && judge(value) => {
                let to = value["to"].as_str().unwrap_or_default();
                let since = format!("since it was refused for {to} ({day})");
                all.push(JudgedBefore { since, profile: None, judge: &value["judge"] });
            }
            _ => {}
        }
    }
    all
}

/// What is written down where something of the judge's stands in the way, so that whoever takes that out of it is seen; `None`: nothing does, or that stands there
/// already.
fn refusal(judge: &Judge, subject: &Subject, (to, needs): (Stage, &[Need])) -> Option<What> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met && matches!(need.what, "gate" | "incidents" | "entered")).collect();
    let judge = serde_json::to_value(judge).expect("a judge is plain data");
    let is_known = judged_before(subject).iter().any(|before| *before.judge == judge);
    let value = json!({ "to": to, "missing": missing, "judge": judge });
    (!missing.is_empty() && !is_known).then(|| What::State { of: REFUSED.to_owned(), value })
}

/// What the judge and the profile ask less than those of the promotion before, and than those of refusals since, a sentence each, and what cannot be compared;
/// `None` where none of them wrote a judge down.
fn less_than_before(judge: &Judge, subject: &Subject, profile: ProfileName) -> Option<(Vec<String>, Option<Need>)> {
    let (mut less, mut known, mut uncompared) = (Vec::new(), BTreeSet::new(), None);
    let all = judged_before(subject);
    for JudgedBefore { since, profile: before_by, judge: before } in &all {
        let unknown =
            |told: &str| Some(Need::new("judge", true, format!("{UNCHECKED}: {told} {since}, for another firedrill wrote it down"), ""));
        if profile == ProfileName::Small && *before_by == Some(ProfileName::Large.word()) {
            less.push(format!("{since}: the profile was {}, and is {}", ProfileName::Large.word(), profile.word()));
        }
        let Ok(before) = serde_json::from_value::<Judge>((*before).clone()) else {
            uncompared = uncompared.or_else(|| unknown("whether what judges asks for less"));
            continue;
        };
        let changes = judge.less_than(&before).into_iter().filter(|change| known.insert(change.what.clone()));
        less.extend(changes.map(|change| format!("by the judge, {since}: {}", change.what)));
        if !judge.is_of_program_of(&before) {
            uncompared = uncompared.or_else(|| unknown("whether what is rehearsed and recorded has changed"));
        }
    }
    (!all.is_empty()).then_some((less, uncompared))
}

/// The stage that is meant: the next one.
fn target(subject: &Subject, asked: Option<Stage>) -> Result<Stage, Failure> {
    let (name, now) = (&subject.policy.name, subject.standing.stage);
    let Some(next) = next(now) else {
        return Err(Failure::argument(
            format!("{name} is at the stage full, and there is none beyond"),
            "`firedrill demote` takes it back",
        ));
    };
    match asked {
        Some(stage) if stage <= now => {
            let remedy = format!("promote it to {}, or take it back with `firedrill demote`", next.word());
            Err(Failure::argument(format!("{name} is at the stage {} already", now.word()), remedy))
        }
        Some(stage) if stage != next => {
            let remedy = format!("promote it to {} first", next.word());
            Err(Failure::argument(format!("{name} is at the stage {}, and stages are entered one at a time", now.word()), remedy))
        }
        _ => Ok(next),
    }
}

/// Who wrote a policy does not say that it may act by itself.
fn author(books: &Books, subject: &Subject, (by, to): (&str, Stage)) -> Need {
    let policy = &subject.policy;
    let promotions = books.promotions();
    let is_author = promotions.is_author(by, &policy.owner, policy.author.as_ref());
    let from = before(Stage::Limited).map_or("", Stage::word);
    if !needs_another(to) {
        return Need::new("author", true, format!("anybody may promote up to {from}"), "");
    }
    if let Some(author) = policy.author.as_ref().filter(|author| !promotions.people.is_empty() && promotions.person(author).is_none()) {
        let told = format!("{author} wrote it, who is not among the `people:` of firedrill.yaml");
        return Need::new("author", false, told, "write the name as it stands there, or add it");
    }
    if policy.author.is_none() && promotions.people.is_empty() && !is_author {
        let told = format!("{UNCHECKED}: nobody says who wrote it; `author: NAME` in the policy does");
        return Need::new("author", true, told, "");
    }
    let who = match &policy.author {
        Some(author) => format!("{author} wrote it"),
        None => format!("it names no author, and belongs to {}", policy.owner),
    };
    let way = match &policy.author {
        Some(_) => "have somebody else promote it",
        None => "have somebody of another team promote it, or name who wrote it: `author: NAME` in the policy",
    };
    Need::new("author", !is_author, format!("{who}, and {by} promotes"), way)
}

/// A policy can say itself that it goes no further.
fn own_stage(subject: &Subject, to: Stage) -> Option<Need> {
    let most = subject.policy.stage;
    (most < to).then(|| {
        let told = format!("the policy says itself that it goes no further than {}", most.word());
        Need::new("stage", false, told, format!("change `stage:` in its file to {} or beyond", to.word()))
    })
}

/// What the rehearsal says, made anew: whatever is new among scenarios, incidents or engines takes part, and costs no live evidence.
fn rehearsed(books: &Books, (subject, to): (&Subject, Stage), output: Output) -> Result<Vec<Need>, Failure> {
    let own = books.home.policies()?;
    let is_own = own.policies.iter().any(|policy| policy.name == subject.policy.name);
    let is_file = Path::new(&subject.argument).exists();
    let mut problems = check::checked(&check_arguments(Vec::new()), output, false)?;
    if !is_own || is_file {
        let paths = if is_file { vec![subject.argument.clone()] } else { Vec::new() };
        problems.extend(if paths.is_empty() { Vec::new() } else { check::checked(&check_arguments(paths), output, false)? });
    }
    let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let shown: Vec<String> = errors.iter().take(SHOWN).map(|problem| format!("{} {}", problem.code, problem.message)).collect();
    let told =
        if errors.is_empty() { "clean".to_owned() } else { format!("{}: {}", counted(errors.len() as u64, "problem"), shown.join("; ")) };
    let checked = Need::new("check", errors.is_empty(), told, "`firedrill check` tells each with its place and its remedy");
    if !checked.is_met {
        return Ok(vec![checked]);
    }
    let candidate = if is_own && !is_file { Vec::new() } else { vec![subject.argument.clone()] };
    let arguments = gate_arguments(candidate);
    let (exit, judgement) = gate::quietly(&arguments, output)?;
    let told = format!("{}: {}", judgement.verdict, judgement.reason());
    let way = format!("`firedrill gate` tells what and the command that shows it; its report is {}", page(&arguments));
    let mut needs = vec![checked, Need::new("gate", exit == Exit::Held, told, way), incidents(&judgement)];
    if exit == Exit::Held {
        needs.extend(entered(arguments, to, output)?);
    }
    Ok(needs)
}

fn page(arguments: &GateArgs) -> String {
    arguments.out.join("gate.html").display().to_string()
}

/// The same at the stage that would be entered: half of what a policy does can be worse than all of it, or nothing. What is asked there is that it does
/// nothing wrong; whether it helps is asked at the stage full.
fn entered(arguments: GateArgs, to: Stage, output: Output) -> Result<Option<Need>, Failure> {
    const WHAT: &str = "entered";
    let word = to.word();
    if to == Stage::Full {
        return Ok(None);
    }
    if !to.may_act() {
        return Ok(Some(Need::new(WHAT, true, format!("at the stage {word} nothing acts"), "")));
    }
    let arguments = GateArgs { stage: StageArg::of(to), out: arguments.out.join(word), ..arguments };
    let (_, judgement) = gate::quietly(&arguments, output)?;
    let told = match judgement.verdict {
        Verdict::NotExercised => format!("{UNCHECKED}: at the stage {word} it does nothing in what is rehearsed"),
        verdict => format!("at the stage {word}: {verdict}: {}", judgement.reason()),
    };
    let way = format!("`firedrill gate --stage {word}` tells what and the command that shows it; its report is {}", page(&arguments));
    Ok(Some(Need::new(WHAT, judgement.verdict != Verdict::Broken, told, way)))
}

/// Recorded incidents, each by name if it fails.
fn incidents(judgement: &Judgement) -> Need {
    let with_expect =
        judgement.incidents.iter().filter(|own| matches!(own.status, IncidentStatus::Passed | IncidentStatus::Failed)).count();
    let idle: Vec<_> = judgement.incidents.iter().filter(|own| own.verdict() == Some(Verdict::NotExercised)).collect();
    let failed: Vec<_> = judgement.incidents.iter().filter(|own| own.status == IncidentStatus::Failed).collect();
    let names: Vec<&str> = failed.iter().take(SHOWN).map(|own| own.incident.as_str()).collect();
    if let (true, Some(first)) = (failed.is_empty(), idle.first()) {
        let names: Vec<&str> = idle.iter().take(SHOWN).map(|own| own.incident.as_str()).collect();
        let why = first.findings.first().map_or("", String::as_str);
        let told = format!("{} prove nothing: {} ({why})", counted(idle.len() as u64, "recorded incident"), names.join(", "));
        return Need::new("incidents", false, told, format!("see it with `{}`", first.command));
    }
    if failed.is_empty() {
        let told = format!("{} with `expect`, none fails", counted(with_expect as u64, "recorded incident"));
        return Need::new("incidents", true, told, "");
    }
    let findings = failed[0].findings.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let told = format!("{} of {} fail: {} ({findings})", failed.len(), counted(with_expect as u64, "recorded incident"), names.join(", "));
    Need::new("incidents", false, told, format!("see it with `{}`", failed[0].command))
}

fn check_arguments(paths: Vec<String>) -> CheckArgs {
    CheckArgs { paths, lint: LintLevel::Warn, fire: false }
}

/// What `firedrill gate` is when nobody gives it anything.
fn gate_arguments(candidate: Vec<String>) -> GateArgs {
    GateArgs {
        project: PROJECT_FILE.to_owned(),
        candidate,
        scenarios: Vec::new(),
        alertmanager: None,
        pairs: None,
        chaos: None,
        seed: None,
        baseline: None,
        accept_judge_change: None,
        budget: None,
        on_inconclusive: None,
        max_pairs: None,
        cache: None,
        no_cache: false,
        partition: None,
        stage: StageArg::Full,
        mutants: false,
        out: PathBuf::from("firedrill-out"),
    }
}

/// All of it, for programs and for the ledger.
fn report((subject, judge): (&Subject, Option<&Judge>), (outlook, to): (&Outlook, Stage), needs: &[Need], by: &str) -> Value {
    json!({
        "schema": SCHEMA, "engine": ENGINE, "policy": subject.policy.name, "from": subject.standing.stage, "to": to, "by": by,
        "profile": outlook.profile.word(), "hashes": subject.hashes, "needs": needs, "weakened": outlook.weakened,
        "promoted": needs.iter().all(|need| need.is_met), "evidence": subject.evidence, "judge": judge,
    })
}

/// The same as the ledger keeps it.
fn in_brief(report: &Value, subject: &Subject) -> Value {
    let mut brief = report.clone();
    brief["evidence"] = subject.evidence.in_brief();
    brief
}

fn stage_statement(
    (path, books): (&Path, &Books),
    subject: &Subject,
    (outlook, to, needs): (&Outlook, Stage, &[Need]),
) -> Result<Staged, Failure> {
    let stated = Stated {
        policy: &subject.policy.name,
        hashes: &subject.hashes,
        head: subject.chain.heads.first().map(|head| head.hash.as_str()),
        from: subject.standing.stage,
        to,
        needs,
        weakened: &outlook.weakened,
        unverified: books.unverified(&subject.chain),
        strangers: books.strangers(&subject.chain).into_values().sum(),
    };
    let text = serde_json::to_string_pretty(&statement(&stated)).expect("a statement is plain data");
    let (folder, name) = folder_and_name(path)?;
    stage_file(&folder.join(name), &text).map_err(|error| unwritten(path, &error, "nothing was promoted"))
}

/// `then` says what became of the promotion.
fn unwritten(path: &Path, error: &anyhow::Error, then: &str) -> Failure {
    let shown = path.display().to_string();
    let problem = Problem::in_file("FD0818", &shown, format!("`--statement {shown}` cannot be written: {error:#}"));
    vec![problem.remedy(format!("name a file in a folder that can be written to; {then}"))].into()
}

fn tell(subject: &Subject, (outlook, to): (&Outlook, Stage), (needs, report): (&[Need], &Value), output: Output) -> Result<(), Failure> {
    if output.format == Format::Json {
        output.data(&serde_json::to_string_pretty(report).expect("results are plain data"))?;
        return Ok(());
    }
    let (name, from) = (&subject.policy.name, subject.standing.stage.word());
    let missing = needs.iter().filter(|need| !need.is_met).count();
    let heading = match missing {
        0 => format!("{name} is promoted from {from} to {} (profile {})\n", to.word(), outlook.profile.word()),
        _ => {
            let missing = counted(missing as u64, "thing");
            format!("{name} stays at {from}: {missing} missing for {} (profile {})\n", to.word(), outlook.profile.word())
        }
    };
    let after = if missing == 0 && to.may_act() {
        "  · for its first 5 actions or 7 days it is on trial: halved caps, verifications held twice as long, back at the first failure\n"
    } else {
        ""
    };
    output.data(&format!("{heading}{}{after}", lines(needs)))?;
    Ok(())
}
