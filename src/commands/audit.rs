//! `firedrill audit`: whether the ledger is what was written, what stands in it, and what an entry means.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use firedrill_core::name::Name;
use firedrill_core::words::{counted, in_one_line};
use serde_json::{Value, json};

use crate::cli::{AuditArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::ledger::{
    ASIDE, Chain, FOLDER, Finding, Ledger, REFUSED, REHEARSAL, Recorded, SCHEMA as LEDGER_SCHEMA, SHOWN_DIGITS, Signed, UNTOLD, WATCH,
    What, digits, name_of,
};
use crate::output::Output;
use crate::watch::observations;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.audit/1";

/// Verifies chains, or shows or explains an entry of one.
///
/// # Errors
/// There is no such chain or entry, or a file cannot be read.
pub fn execute(arguments: &AuditArgs, output: Output) -> Result<Exit, Failure> {
    let home = Home::here()?;
    let folder = home.base.join(FOLDER);
    let names = match &arguments.policy {
        Some(policy) => vec![name_of(policy)?],
        None => all_chains(&folder)?,
    };
    let chains = names.iter().map(|name| read(&folder, name)).collect::<Result<Vec<_>, Failure>>()?;
    if let (Some(policy), [chain]) = (&arguments.policy, chains.as_slice())
        && chain.entries.is_empty()
        && chain.findings.is_empty()
        && chain.torn_bytes == 0
    {
        return Err(Failure::argument(
            format!("the ledger holds nothing of `{policy}`"),
            "`firedrill audit` without a name tells which chains there are",
        ));
    }
    let one = arguments.show.map(|number| (number, show as Shown)).or(arguments.explain.map(|number| (number, explain as Shown)));
    if let Some((number, shown)) = one {
        let [chain] = chains.as_slice() else {
            return Err(Failure::argument("an entry is shown of one chain", "name the policy: `firedrill audit POLICY --show 3`"));
        };
        let believed = home.believed(&folder, chain.clone());
        let both = chain.entries.iter().zip(&believed.entries);
        let uncounted = both.filter(|(own, read)| own.entry.what != read.entry.what).map(|(own, _)| own.hash.as_str()).collect();
        return one_entry((chain, &uncounted), number, shown, output);
    }
    arguments.contains.iter().try_for_each(|hash| is_enough(hash))?;
    let is_contained = arguments.contains.as_ref().map(|hash| chains.iter().any(|chain| chain.by_hash(hash).is_some()));
    tell(&chains, arguments.contains.as_ref().zip(is_contained), output)?;
    let is_sound = chains.iter().all(|chain| chain.findings.is_empty()) && is_contained != Some(false);
    Ok(if is_sound { Exit::Held } else { Exit::Broken })
}

/// Those that are there, and those of which this machine has seen an end and that are gone.
fn all_chains(folder: &Path) -> Result<Vec<Name>, Failure> {
    let mut names = Ledger::chains(folder)?;
    for name in Ledger::noted(folder)? {
        let is_gone = !names.contains(&name) && name_of(&name).is_ok() && !Ledger::read(folder, &name)?.findings.is_empty();
        names.extend(is_gone.then_some(name));
    }
    names.sort();
    Ok(names)
}

/// That the beginning of a hash is as long as it is ever shown: a shorter one may be that of any entry.
fn is_enough(hash: &str) -> Result<(), Failure> {
    let own = digits(hash);
    if own.len() >= SHOWN_DIGITS && own.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    let message = format!("`--contains {hash}` is neither a hash nor the first {SHOWN_DIGITS} digits of one");
    Err(Failure::argument(message, "`firedrill audit` tells the last entry of each chain with its hash"))
}

/// A chain with all that is wrong with it: what was altered, and what cannot be though nothing was.
fn read(folder: &Path, name: &Name) -> Result<Chain, Failure> {
    let mut chain = Ledger::read(folder, name)?;
    if chain.findings.is_empty() {
        chain.findings = chain.impossible();
    }
    // What promotions read of it.
    if chain.findings.is_empty()
        && name.as_str() == WATCH
        && let (Some(last), Err(failure)) = (chain.entries.last(), observations(&chain))
    {
        let why = match failure {
            Failure::Input(problems) => problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; "),
            Failure::Machine(error) => format!("{error:#}"),
        };
        chain.findings.push(Finding::Impossible { line: last.line, why });
    }
    Ok(chain)
}

/// What is said of an entry.
type Shown = fn(Read<'_>, &Recorded) -> Result<String, Failure>;

/// A chain, and the hashes of its entries that do not count, because of who wrote them.
type Read<'c> = (&'c Chain, &'c BTreeSet<&'c str>);

fn one_entry((chain, uncounted): Read<'_>, number: u64, shown: Shown, output: Output) -> Result<Exit, Failure> {
    let found: Vec<&Recorded> = chain.entries.iter().filter(|own| own.number == number).collect();
    if found.is_empty() {
        let most = chain.entries.iter().map(|own| own.number).max().unwrap_or(0);
        let message = format!("{} has no entry {number}: they count from 1 to {most}", chain.name);
        return Err(Failure::argument(message, "`firedrill audit POLICY` tells what is missing"));
    }
    // In a fork two entries have a number, and which one is meant nobody can tell.
    for own in &found {
        match output.format {
            Format::Json => output.data(&serde_json::to_string_pretty(&as_json(own)).expect("an entry is plain data"))?,
            Format::Text => output.data(&shown((chain, uncounted), own)?)?,
        }
    }
    if !chain.findings.is_empty() {
        output.problems(&chain.problems());
        return Ok(Exit::Broken);
    }
    Ok(Exit::Held)
}

fn as_json(own: &Recorded) -> Value {
    let key = match &own.signed {
        Signed::No => Value::Null,
        Signed::By(key) => json!(key),
    };
    json!({
        "schema": LEDGER_SCHEMA, "n": own.number, "line": own.line, "previous": own.previous, "at": own.entry.at.to_string(),
        "by": own.entry.by, "key": key, "what": own.entry.what, "hash": own.hash,
    })
}

/// The line as it stands there: what is hashed are its bytes.
fn show((chain, _): Read<'_>, own: &Recorded) -> Result<String, Failure> {
    let text = fs::read_to_string(&chain.path).with_context(|| format!("cannot read {}", chain.path))?;
    let line = text.lines().nth(own.line - 1).with_context(|| format!("{} has no line {} any more", chain.path, own.line))?;
    Ok(format!("{line}\n"))
}

/// The entry in words, with what it follows, what it speaks of, and what speaks of it.
fn explain((chain, uncounted): Read<'_>, own: &Recorded) -> Result<String, Failure> {
    let signed = match &own.signed {
        Signed::No => "not signed: who wrote it is not verified".to_owned(),
        Signed::By(key) => format!("signed by {key}"),
    };
    let mut text = format!("entry {} of {}, line {}\n", own.number, chain.name, own.line);
    text += &format!("  {} at {}, by {}; {signed}\n", own.entry.what.kind(), own.entry.at, in_one_line(&own.entry.by));
    text += &format!("  {}\n", in_one_line(&sentence(chain, &own.entry.what)));
    if uncounted.contains(own.hash.as_str()) {
        text += "  it does not count: by `people:` of firedrill.yaml that is nobody, or somebody who signs\n";
    }
    let before = chain.entries.iter().find(|other| other.hash == own.previous);
    text += &match before {
        Some(before) => format!("  it follows entry {} ({})\n", before.number, own.previous),
        None if own.number == 1 => "  it is the first of its chain\n".to_owned(),
        None => format!("  what it follows is not here ({})\n", own.previous),
    };
    text += &format!("  its hash is {}\n", own.hash);
    for other in chain.entries.iter().filter(|other| speaks_of(&other.entry.what) == Some(&own.hash)) {
        let counts = if uncounted.contains(other.hash.as_str()) { ", which does not count" } else { "" };
        text += &format!("  entry {} speaks of it{counts}: {}\n", other.number, in_one_line(&sentence(chain, &other.entry.what)));
    }
    Ok(text)
}

/// The entry that another one is about.
fn speaks_of(what: &What) -> Option<&String> {
    match what {
        What::Label { event, .. } | What::Drill { event, .. } | What::Hint { event, .. } => Some(event),
        _ => None,
    }
}

fn sentence(chain: &Chain, what: &What) -> String {
    let entry = |hash: &str| {
        chain.by_hash(hash).map_or_else(|| format!("an entry that is not here ({hash})"), |own| format!("entry {}", own.number))
    };
    let with = |text: &Option<String>| text.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    match what {
        What::Observation { incident, question, input } => {
            let of = incident.as_ref().map_or_else(String::new, |incident| format!(" of incident {incident}"));
            format!("the watcher was told{of}{}: {input}", with(question))
        }
        What::State { of, value } => state(of, value),
        What::Decision { incident, stage, event, hashes, is_backtest } => {
            let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
            let by = format!("policy {}, rules {}, guards {}", short(&hashes.policy), short(&hashes.rules), short(&hashes.guards));
            let of = if *is_backtest { "of a backtest" } else { "live" };
            format!("{of}, in incident {incident}, at the stage {}, by {by}: {event}", stage.word())
        }
        What::Label { event, says, cause } => format!("{} was {}{}", entry(event), says.word(), with(cause)),
        What::Approval { proposal, role, yes } => {
            format!("{} to proposal {proposal}, as {role}", if *yes { "yes" } else { "no" })
        }
        What::Promotion { from, to, profile, weakened, evidence, .. } => {
            let needs = evidence["needs"].as_array().into_iter().flatten();
            let needs: Vec<String> =
                needs.filter_map(|need| Some(format!("{}: {}", need["what"].as_str()?, need["told"].as_str()?))).collect();
            let needs = if needs.is_empty() { String::new() } else { format!(": {}", needs.join("; ")) };
            let weakened = if weakened.is_empty() { String::new() } else { format!("; weakened: {}", weakened.join("; ")) };
            format!("promoted from {} to {} on evidence of the profile {profile}{needs}{weakened}", from.word(), to.word())
        }
        What::Demotion { from, to, because, automatic } => {
            let by = if *automatic { "by itself" } else { "by a person" };
            format!("demoted from {} to {} {by}: {because}", from.word(), to.word())
        }
        What::Drill { event, fault, target } => format!("{} came of a drill: {fault} in {target}", entry(event)),
        What::Person { incident, at, did } if did.is_empty() => format!("in incident {incident} people did nothing ({at})"),
        What::Person { incident, at, did } => format!("in incident {incident} people did: {did} ({at})"),
        What::Compared { incident, agrees, detail, .. } => {
            format!("in incident {incident} the policy and people {}: {detail}", if *agrees { "agree" } else { "differ" })
        }
        What::Backtest { from, until, recorded, reproduced, gaps, .. } => {
            let gaps: Vec<String> = gaps.iter().map(|(from, until)| format!("{from} to {until}")).collect();
            let gaps = if gaps.is_empty() { String::new() } else { format!("; nothing was recorded {}", gaps.join(", ")) };
            format!("replayed {from} to {until}: {reproduced} of {recorded} firings of alerts reproduced{gaps}")
        }
        What::Violation { what } => format!("what must never happen did: {what}"),
        What::Hint { event, what, is_harm } => format!("{}: {what}{}", entry(event), if *is_harm { ", which is harm" } else { "" }),
        What::Merge { heads } => {
            let heads: Vec<String> = heads.iter().map(|head| entry(head)).collect();
            format!("two branches become one: {}", heads.join(" and "))
        }
    }
}

/// A state in words.
fn state(of: &str, value: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match of {
        REHEARSAL => format!("what follows in this session is of a simulation: {}", text(value, "told")),
        ASIDE => {
            let (policy, why) = (text(value, "policy"), text(value, "why"));
            format!("the chain of {policy} cannot be written, and nothing of it is until this session ends: {why}")
        }
        REFUSED => {
            let missing = value["missing"].as_array().into_iter().flatten();
            let missing: Vec<String> = missing.map(|need| format!("{}: {}", text(need, "what"), text(need, "told"))).collect();
            format!("not promoted to {}: {}", text(value, "to"), missing.join("; "))
        }
        UNTOLD => format!("the story {} is told of incident {} no more", text(value, "story"), text(value, "incident")),
        _ => format!("the state of {of}, from which the watcher can go on"),
    }
}

fn tell(chains: &[Chain], contains: Option<(&String, bool)>, output: Output) -> Result<(), Failure> {
    match output.format {
        Format::Json => {
            let all: Vec<Value> = chains.iter().map(chain_as_json).collect();
            let contains = contains.map(|(hash, found)| json!({ "hash": hash, "found": found }));
            let document = json!({ "schema": SCHEMA, "chains": all, "contains": contains });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let mut text: String = chains.iter().map(chain_as_text).collect();
            if chains.is_empty() {
                text += "the ledger is empty: nothing was watched, labelled or promoted here\n";
            }
            if let Some((hash, found)) = contains {
                text += &if found { format!("✓ {hash} is in it\n") } else { format!("✗ {hash} is not in it\n") };
            }
            output.data(&text)?;
        }
    }
    Ok(())
}

/// How many entries each key has signed.
fn signers(chain: &Chain) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for own in &chain.entries {
        if let Signed::By(key) = &own.signed {
            *all.entry(key.to_string()).or_default() += 1;
        }
    }
    all
}

fn chain_as_json(chain: &Chain) -> Value {
    let heads: Vec<Value> = chain.heads.iter().map(|head| json!({ "n": head.number, "hash": head.hash })).collect();
    let findings: Vec<Value> = chain
        .findings
        .iter()
        .map(
            |finding| json!({ "kind": finding.word(), "code": finding.code(), "message": finding.to_string(), "remedy": finding.remedy() }),
        )
        .collect();
    let forks: Vec<Value> = chain.forks.iter().map(|fork| json!({ "after": fork.after, "lines": fork.lines })).collect();
    json!({
        "chain": chain.name, "path": chain.path, "verified": chain.findings.is_empty(), "entries": chain.entries.len(),
        "unsigned": chain.unsigned(), "signed_by": signers(chain), "heads": heads, "findings": findings, "forks": forks,
        "torn_bytes": chain.torn_bytes, "kinds": kinds(chain),
    })
}

/// How many entries there are of each kind.
fn kinds(chain: &Chain) -> BTreeMap<&'static str, usize> {
    let mut all = BTreeMap::new();
    for own in &chain.entries {
        *all.entry(own.entry.what.kind()).or_default() += 1;
    }
    all
}

fn chain_as_text(chain: &Chain) -> String {
    let kinds: Vec<String> = kinds(chain).into_iter().map(|(kind, count)| counted(count as u64, kind)).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let mut text = format!("{}: {}{kinds}\n", chain.name, counted_entries(chain.entries.len()));
    if chain.findings.is_empty() {
        text += "  ✓ verified: nothing is altered, missing or out of order\n";
    }
    for finding in &chain.findings {
        text += &format!("  ✗ {finding} [{}] ({})\n    → {}\n", finding.code(), chain.path, finding.remedy());
    }
    for note in chain.notes() {
        text += &format!("  · {note}\n");
    }
    for (key, count) in signers(chain) {
        text += &format!("  · {} signed by {key}\n", counted_entries(count));
    }
    let rehearsed = chain.entries.iter().filter(|own| matches!(&own.entry.what, What::State { of, .. } if of == REHEARSAL)).count();
    if rehearsed > 0 {
        text += &format!("  · {} of a simulation: `firedrill rehearse-live` was watched\n", counted(rehearsed as u64, "session"));
    }
    if chain.unsigned() > 0 {
        text += &format!("  · {} not signed: who wrote them is unverified\n", counted_entries(chain.unsigned()));
    }
    for head in &chain.heads {
        text += &format!("  · the last is entry {} {}\n", head.number, head.hash);
    }
    text
}

fn counted_entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
