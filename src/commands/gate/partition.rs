//! A share of a gate's runs, written down, and put together again by `firedrill merge`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firedrill_core::problem::Problem;
use firedrill_reports::words::counted;
use firedrill_scenarios::variants::Ranges;
use serde::{Deserialize, Serialize};

use super::prepared::Prepared;
use clap::ValueEnum as _;

use crate::cli::{GateArgs, MOST_SHARES, OnInconclusive, Share, StageArg};
use crate::commands::progress::Bar;
use crate::drill::ENGINE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known::{Entries, Known};
use crate::load;
use crate::output::{Output, write_files};

/// The version of the file.
const SCHEMA: &str = "firedrill.partition/2";

/// What a partition leaves behind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartitionDocument {
    schema: String,
    engine: String,
    number: u32,
    count: u32,
    arguments: ArgumentsDocument,
    /// What everything depends on that it has read: what it is, and the hash of it.
    inputs: BTreeMap<String, String>,
    entries: Entries,
    /// BLAKE3 of the entries as JSON with sorted keys and no spaces, hexadecimal: so that a file that was damaged on its way is noticed.
    checksum: String,
}

/// What of the command line decides what is played and how it is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArgumentsDocument {
    project: String,
    candidate: Vec<String>,
    scenarios: Vec<String>,
    alertmanager: Option<String>,
    pairs: Option<u32>,
    seed: Option<u64>,
    baseline: Option<String>,
    accept_judge_change: Option<String>,
    on_inconclusive: Option<String>,
    max_pairs: Option<u32>,
    chaos: Option<u32>,
    stage: String,
}

impl ArgumentsDocument {
    fn of(arguments: &GateArgs) -> Self {
        Self {
            project: arguments.project.clone(),
            candidate: arguments.candidate.clone(),
            scenarios: arguments.scenarios.clone(),
            alertmanager: arguments.alertmanager.clone(),
            pairs: arguments.pairs,
            seed: arguments.seed,
            baseline: arguments.baseline.clone(),
            accept_judge_change: arguments.accept_judge_change.clone(),
            on_inconclusive: arguments.on_inconclusive.map(|own| own.word().to_owned()),
            max_pairs: arguments.max_pairs,
            chaos: arguments.chaos,
            stage: arguments.stage.stage().word().to_owned(),
        }
    }

    fn arguments(&self, out: PathBuf) -> GateArgs {
        let all = [OnInconclusive::Fail, OnInconclusive::Extend, OnInconclusive::Warn];
        GateArgs {
            mutants: false,
            project: self.project.clone(),
            candidate: self.candidate.clone(),
            scenarios: self.scenarios.clone(),
            alertmanager: self.alertmanager.clone(),
            pairs: self.pairs,
            seed: self.seed,
            baseline: self.baseline.clone(),
            accept_judge_change: self.accept_judge_change.clone(),
            budget: None,
            on_inconclusive: all.into_iter().find(|own| Some(own.word()) == self.on_inconclusive.as_deref()),
            max_pairs: self.max_pairs,
            chaos: self.chaos,
            stage: StageArg::from_str(&self.stage, false).unwrap_or_default(),
            cache: None,
            no_cache: true,
            partition: None,
            out,
        }
    }
}

/// Plays a share of the planned runs and writes it down: of all scenarios and seeds in their order every n-th.
pub(super) fn write(arguments: &GateArgs, prepared: &Prepared, share: Share, known: &Known, output: Output) -> Result<Exit, Failure> {
    let plan = &prepared.plan;
    let places = plan.places(&plan.campaign.seeds);
    let all = places.len();
    let own = places.into_iter().skip(share.number as usize - 1).step_by(share.count as usize).collect::<Vec<_>>();
    let Share { number, count } = share;
    output.talk(&format!("partition {number} of {count}: {} of {all} scenarios and seeds", own.len()));
    let bar = Bar::new(own.len(), output);
    let played = plan.play(&own, known, &|| bar.step());
    bar.clear();
    let kept = Known::keeping(Entries::new());
    if let Some(chaos) = &prepared.chaos {
        let own: Vec<_> = chaos.variants.iter().skip(share.number as usize - 1).step_by(share.count as usize).cloned().collect();
        output.talk(&format!("{} of {}", own.len(), counted(chaos.variants.len() as u64, "variant")));
        chaos.share(&own, (known, &kept), output);
    }
    for ((scenario, seed), cases) in &played {
        let answers = plan.cells(*scenario).flat_map(|cell| cell.answers.iter().map(|answer| cell.key(answer)).collect::<Vec<_>>());
        answers.zip(cases).for_each(|(key, case)| kept.keep(&key, *seed, &case.outcome));
    }
    let entries = kept.entries();
    let document = PartitionDocument {
        schema: SCHEMA.to_owned(),
        engine: ENGINE.to_owned(),
        number,
        count,
        arguments: ArgumentsDocument::of(arguments),
        inputs: inputs(prepared),
        checksum: checksum(&entries),
        entries,
    };
    let name = format!("partition-{number}-of-{count}.json");
    let text = serde_json::to_string(&document).expect("outcomes are plain data");
    write_files(&arguments.out, &[(name.as_str(), text)])?;
    let path = arguments.out.join(name);
    output.data(&format!("wrote {}; `firedrill merge` puts all {} together", path.display(), counted(u64::from(count), "partition")))?;
    Ok(Exit::Held)
}

/// All that outcomes and the verdict depend on.
fn inputs(prepared: &Prepared) -> BTreeMap<String, String> {
    let (terms, contest, plan) = (&prepared.terms, &prepared.contest, &prepared.plan);
    let mut inputs = BTreeMap::new();
    let mut add = |what: String, hash: &str| drop(inputs.insert(what, hash.to_owned()));
    for ((scenario, rules), theirs) in plan.campaign.scenarios.iter().zip(&plan.baseline_rules) {
        add(format!("scenario {}", scenario.name), &scenario.hash);
        add(format!("the rules over {}", scenario.name), &rules.hash);
        add(format!("the baseline's rules over {}", scenario.name), &theirs.hash);
    }
    add("the policies".to_owned(), &contest.candidate.hash);
    add("the baseline".to_owned(), contest.baseline.as_ref().map_or("none", |baseline| baseline.hash.as_str()));
    for replay in &prepared.replays {
        let (name, hash) = replay.identity();
        add(format!("incident {name}"), &hash);
    }
    let thresholds: Vec<String> = terms.thresholds.all.iter().map(ToString::to_string).collect();
    add("the thresholds".to_owned(), &thresholds.join(", "));
    add("the seeds".to_owned(), &format!("{} from {} on, at most {}", terms.pairs, terms.first, terms.max_pairs));
    add("what variants are played".to_owned(), &format!("{:?}", terms.chaos.as_ref().map(|own| Ranges::of(&[Some(own)]))));
    add("what becomes of an inconclusive verdict".to_owned(), terms.on_inconclusive.word());
    let changes: Vec<&str> = terms.changes.iter().map(|change| change.what.as_str()).collect();
    add("the changes of the judge".to_owned(), &format!("{} {:?}", changes.join("; "), terms.approval));
    inputs
}

/// A gate's partitions, all there and of one gate.
pub(super) struct Merged {
    first: PartitionDocument,
    /// Where the first stands.
    path: PathBuf,
    /// The outcomes of all.
    entries: Entries,
}

impl Merged {
    /// Reads the files.
    ///
    /// # Errors
    /// One is no partition; or some are missing, doubled, or of another gate.
    pub fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut read = Vec::new();
        let mut problems = Vec::new();
        for path in files {
            match document(path) {
                Ok(document) => read.push((path, document)),
                Err(Failure::Input(found)) => problems.extend(found),
                Err(other) => return Err(other),
            }
        }
        if problems.is_empty() {
            problems = unlike(&read);
        }
        if !problems.is_empty() {
            return Err(Failure::Input(problems));
        }
        let mut read = read.into_iter();
        let (path, first) =
            read.next().ok_or_else(|| Failure::argument("there is nothing to merge", "name the files of all partitions"))?;
        let mut merged = Self { entries: first.entries.clone(), first, path: path.clone() };
        for (key, seeds) in read.flat_map(|(_, document)| document.entries) {
            merged.entries.entry(key).or_default().extend(seeds);
        }
        Ok(merged)
    }

    /// The arguments of the gate.
    pub fn arguments(&self, out: PathBuf) -> GateArgs {
        self.first.arguments.arguments(out)
    }

    /// What is known from the partitions, if what they played is what the project here asks for.
    ///
    /// # Errors
    /// Something differs; or a partition does not hold what it should.
    pub fn known(self, prepared: &Prepared) -> Result<Known, Failure> {
        let shown = self.path.display().to_string();
        let own = inputs(prepared);
        let problem = |what: &str| {
            let message = format!("{what} in {shown} is not what it is here");
            Problem::in_file("FD0623", &shown, message)
                .remedy("merge with the same checkout and the same firedrill that played the partitions")
        };
        let all = own.keys().chain(self.first.inputs.keys().filter(|what| !own.contains_key(*what)));
        let problems: Vec<Problem> = all.filter(|what| own.get(*what) != self.first.inputs.get(*what)).map(|what| problem(what)).collect();
        if !problems.is_empty() {
            return Err(Failure::Input(problems));
        }
        let known = Known::keeping(self.entries);
        let plan = &prepared.plan;
        let missing = plan.places(&plan.campaign.seeds).into_iter().find(|place| plan.run_count(&[*place], &known) > 0);
        let missing = missing.map(|(scenario, seed)| format!("{} on seed {seed}", plan.campaign.scenarios[scenario].0.name));
        let variant = || Some(format!("the variant {}", prepared.chaos.as_ref()?.unknown(&known).first()?.name()));
        match missing.or_else(variant) {
            None => Ok(known),
            Some(missing) => {
                let problem = Problem::in_file("FD0620", &shown, format!("no partition has played {missing}"));
                Err(vec![problem.remedy("play the partitions again")].into())
            }
        }
    }
}

fn document(path: &Path) -> Result<PartitionDocument, Failure> {
    let source = load::read_file(path)?;
    let wrong = |message: String| {
        let problem = Problem::in_file("FD0620", &source.path, format!("{} {message}", source.path));
        Failure::from(vec![problem.remedy("name the files that `firedrill gate --partition i/n` has written")])
    };
    let document: PartitionDocument =
        serde_json::from_str(&source.text).map_err(|error| wrong(format!("is no whole file of a partition: {error}")))?;
    if document.schema != SCHEMA || document.engine != ENGINE {
        return Err(wrong(format!("is of {} and {}, and this is {ENGINE} with {SCHEMA}", document.engine, document.schema)));
    }
    if document.count == 0 || document.count > MOST_SHARES || document.number == 0 || document.number > document.count {
        return Err(wrong(format!("says that it is partition {} of {}", document.number, document.count)));
    }
    if document.checksum != checksum(&document.entries) {
        return Err(wrong("is not as it was written: its outcomes do not have its checksum".to_owned()));
    }
    Ok(document)
}

fn checksum(entries: &Entries) -> String {
    // As a value, so that the order of keys does not matter.
    let value = serde_json::to_value(entries).expect("outcomes are plain data");
    blake3::hash(value.to_string().as_bytes()).to_hex().to_string()
}

/// What keeps files from being the partitions of one gate.
fn unlike(read: &[(&PathBuf, PartitionDocument)]) -> Vec<Problem> {
    let Some((first_path, first)) = read.first() else { return Vec::new() };
    let mut problems = Vec::new();
    let mut seen: BTreeMap<u32, &PathBuf> = BTreeMap::new();
    for (path, document) in read {
        let shown = path.display().to_string();
        if document.count != first.count {
            let message = format!("{shown} is one of {}, and {} one of {}", document.count, first_path.display(), first.count);
            problems.push(Problem::in_file("FD0624", &shown, message).remedy("name the partitions of one gate"));
            continue;
        }
        if let Some(other) = seen.insert(document.number, *path) {
            let message = format!("{shown} and {} are both partition {} of {}", other.display(), document.number, document.count);
            problems.push(Problem::in_file("FD0622", &shown, message).remedy("name each partition once"));
        }
        let all = first.inputs.keys().chain(document.inputs.keys().filter(|what| !first.inputs.contains_key(*what)));
        let differing = all.filter(|what| first.inputs.get(*what) != document.inputs.get(*what)).map(String::as_str);
        let arguments = (first.arguments != document.arguments).then_some("the command line");
        for what in differing.chain(arguments) {
            let message = format!("{what} differs between {} and {shown}", first_path.display());
            problems.push(Problem::in_file("FD0623", &shown, message).remedy("play all partitions on one checkout with one command line"));
        }
    }
    let missing: Vec<String> = (1..=first.count).filter(|number| !seen.contains_key(number)).map(|number| number.to_string()).collect();
    if !missing.is_empty() && problems.is_empty() {
        let word = if missing.len() == 1 { "partition" } else { "partitions" };
        let message = format!("{word} {} of {} is missing", missing.join(", "), first.count);
        let message = if missing.len() == 1 { message } else { message.replace(" is missing", " are missing") };
        problems.push(Problem::in_file("FD0621", "the command line", message).remedy("name the files of all partitions"));
    }
    problems
}
