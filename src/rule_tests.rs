//! Rule tests from files: the tests, the rules that they name, and what becomes of each test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::journal::Journal;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem, near_miss};
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::alertmanager::{
    Config, PostedAlert, Rehearsal, Silence, nothing_to_silence, posted, read_config, read_silences, rehearse, told,
};
use firedrill_policies::decisions::{Rehearsing, decided, rehearse_decisions};
use firedrill_policies::lints::twins;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::RuleSet;
use firedrill_policies::rules::unit_test::{
    DecisionGot, DecisionTest, ExpectedDecision, ExpectedNotification, NotificationGot, NotificationTest, Outcome, RecordedFormat,
    RecordedInput, Test, TestFile, read_test_file, run_test,
};
use firedrill_policies::shared::Shared;
use firedrill_telemetry::exposition::{self, Dialect};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::Store;
use rayon::prelude::*;

use crate::failure::Failure;
use crate::home::Home;
use crate::kind::{self, Kind};
use crate::library;
use crate::load::{self, Source};
use crate::sources;

/// A file of rule tests with the rules that it names.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file, as it was asked for.
    pub path: String,
    /// The tests.
    pub file: TestFile,
    /// The rules of all files that it names.
    pub rules: Arc<RuleSet>,
    /// How alerts are routed, if the file says so.
    pub alertmanager: Option<Arc<Config>>,
    /// What is muted, if the file says so; sound, whenever a test starts.
    pub silences: Option<Source>,
    /// What decides in decision tests; no two have one name.
    pub policies: Vec<Arc<Policy>>,
    /// What is likely not meant, such as a pattern that no file matches.
    pub warnings: Vec<Problem>,
}

/// What became of one test.
#[derive(Clone, Debug)]
pub struct Ran<'a> {
    /// The test.
    pub test: &'a Test,
    /// Its outcome.
    pub outcome: Outcome,
    /// Receivers that were told something else than expected.
    pub notifications: Vec<Misheard>,
    /// Policies that decided something else than expected.
    pub decisions: Vec<Misjudged>,
}

/// A policy that decided something else than expected.
#[derive(Clone, Debug)]
pub struct Misjudged {
    /// Which.
    pub policy: Name,
    /// The expectation's place.
    pub place: Place,
    /// Until when, after the start.
    pub until: Span,
    /// What is expected and was not decided.
    pub missing: Vec<ExpectedDecision>,
    /// What was decided and is not expected.
    pub surplus: Vec<DecisionGot>,
    /// All that was decided until then; or why nothing could be.
    pub decided: Result<Vec<DecisionGot>, String>,
}

impl Ran<'_> {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcome.failures.is_empty() && self.notifications.is_empty() && self.decisions.is_empty()
    }

    /// How many expectations were compared.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.outcome.checks + self.test.notifications.len() + self.test.decisions.len()
    }
}

/// A receiver that was told something else than expected.
#[derive(Clone, Debug)]
pub struct Misheard {
    /// Who.
    pub receiver: String,
    /// The expectation's place.
    pub place: Place,
    /// Until when, after the start.
    pub until: Time,
    /// What is expected and was not told.
    pub missing: Vec<ExpectedNotification>,
    /// What was told and is not expected.
    pub surplus: Vec<NotificationGot>,
    /// What became of the alerts on their way.
    pub journal: Arc<Journal>,
}

/// Holds what receivers were told against what is expected.
#[must_use]
pub fn misheard(tests: &[NotificationTest], journal: &Arc<Journal>, config: &Config) -> Vec<Misheard> {
    let compare = |test: &NotificationTest| {
        let got = told(journal, config, &test.receiver);
        let (missing, surplus) = test.compare(&got);
        let passed = missing.is_empty() && surplus.is_empty();
        (!passed).then(|| Misheard {
            receiver: test.receiver.to_string(),
            place: test.place.clone(),
            until: Time::ZERO + test.eval_time,
            missing: missing.into_iter().cloned().collect(),
            surplus: surplus.into_iter().cloned().collect(),
            journal: Arc::clone(journal),
        })
    };
    tests.iter().filter_map(compare).collect()
}

/// The problems of expectations at receivers that are not there.
pub fn unknown_receivers<'t>(tests: impl Iterator<Item = &'t NotificationTest>, config: &Config) -> Vec<Problem> {
    let names: Vec<&str> = config.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    let unknown = tests.filter(|test| !names.contains(&test.receiver.as_str()));
    let problem = |test: &NotificationTest| {
        let problem =
            Problem::at("FD0914", &test.receiver_place, format!("the Alertmanager configuration has no receiver `{}`", test.receiver));
        let known = || format!("its receivers are {}", names.join(", "));
        problem.remedy(near_miss(&test.receiver, &names).map_or_else(known, |near| format!("did you mean `{near}`?")))
    };
    unknown.map(problem).collect()
}

impl Suite {
    /// Reads a file of rule tests and the rules that it names.
    ///
    /// # Errors
    /// A file cannot be read, or is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::read_in(path, Home::here)
    }

    /// The same for a project, whose rules are those of every policy in the file.
    fn read_in(path: &Path, home: impl FnOnce() -> Result<Home, Failure>) -> Result<Self, Failure> {
        let source = load::read_file(path)?;
        let mut file = read_test_file(&source.path, &source.text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut sources, mut problems, mut warnings): (Vec<Source>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, place) in &file.rule_files {
            let paths = match matching(folder, pattern, place) {
                Ok(paths) => paths,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            if paths.is_empty() {
                warnings.push(no_match(place, pattern).as_warning());
            }
            for path in paths {
                let source = load::read_file(&path)?;
                // A file that two patterns name is read once, as promtool does.
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        }
        for test in &mut file.tests {
            problems.extend(read_recording(test, folder)?);
        }
        let alertmanager = match alertmanager(&file, folder) {
            Ok(config) => config,
            Err(Failure::Input(found)) => {
                problems.extend(found);
                None
            }
            Err(machine) => return Err(machine),
        };
        let silences = match silences(&file, folder) {
            Ok(source) => source,
            Err(Failure::Input(found)) => {
                problems.extend(found);
                None
            }
            Err(machine) => return Err(machine),
        };
        warnings.extend(alertmanager.iter().flat_map(|config| config.departures()).cloned());
        let rules = match RuleSet::read(sources.iter().map(|source| (source.path.as_str(), source.text.as_str()))) {
            Ok(rules) => rules.with_subquery_step(file.evaluation_interval),
            Err(found) => {
                problems.extend(found);
                RuleSet::default()
            }
        };
        warnings.extend(unknown_groups(&file, &rules));
        let policies = match policies(&file, folder, home) {
            Ok(policies) => policies,
            Err(Failure::Input(found)) => {
                problems.extend(found);
                Vec::new()
            }
            Err(machine) => return Err(machine),
        };
        if problems.is_empty() {
            Ok(Self { path: source.path, file, rules: Arc::new(rules), alertmanager, silences, policies, warnings })
        } else {
            Err(Failure::Input(problems))
        }
    }

    /// The tests that a project names, read.
    ///
    /// # Errors
    /// One is not there, cannot be read, or is wrong.
    pub fn of_project(home: &Home) -> Result<Vec<Self>, Failure> {
        let named = home.project.as_ref().map_or(&[][..], |project| &project.tests);
        let files = sources::test_files(named, &home.base)?;
        files.iter().map(|path| Self::read_in(path, || Ok(home.clone()))).collect()
    }

    /// The decision tests that a policy passes in the place of its namesake, in their order.
    #[must_use]
    pub fn passed_by(&self, policy: &Arc<Policy>) -> Vec<&Test> {
        let of_policy = |test: &&Test| test.decisions.iter().any(|own| own.policy == policy.name);
        self.file.tests.iter().filter(of_policy).filter(|test| self.is_passed_by(test, policy)).collect()
    }

    /// Whether a policy decides all that a test expects of it in the place of its namesake.
    #[must_use]
    pub fn is_passed_by(&self, test: &Test, policy: &Arc<Policy>) -> bool {
        let place = |own: &Arc<Policy>| if own.name == policy.name { Arc::clone(policy) } else { Arc::clone(own) };
        let policies: Vec<Arc<Policy>> = self.policies.iter().map(place).collect();
        !self.misjudged(test, &policies).iter().any(|found| found.policy == policy.name)
    }

    /// Runs the tests whose names are wanted, several at a time; the results stand in the order of the file.
    #[must_use]
    pub fn run(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Ran<'_>> {
        let wanted: Vec<&Test> = self.file.tests.iter().filter(|test| is_wanted(&test.name)).collect();
        wanted.into_par_iter().map(|test| self.run_one(test)).collect()
    }

    /// What is muted in a test that starts at a moment.
    fn silenced(&self, start: Start) -> Vec<Silence> {
        let read = |source: &Source| read_silences(&source.path, &source.text, start).expect("silences that were read before");
        self.silences.as_ref().map(read).unwrap_or_default()
    }

    /// Plays a test to the policies, and gives those that decided something else than expected.
    fn misjudged(&self, test: &Test, policies: &[Arc<Policy>]) -> Vec<Misjudged> {
        let Some(until) = test.decisions.iter().map(|test| test.eval_time).max() else { return Vec::new() };
        let journal = rehearse_decisions(&Rehearsing {
            test,
            rules: &self.rules,
            evaluation_interval: self.file.evaluation_interval,
            alertmanager: self.alertmanager.clone(),
            silences: self.silenced(Start::from_unix_millis(test.start_ms)),
            policies,
            inventory: &self.file.inventory,
            until,
        });
        let compare = |test: &DecisionTest| {
            let (policy, place, until) = (test.policy.clone(), test.place.clone(), test.eval_time);
            let got = match &journal {
                Ok(journal) => decided(journal, &policy),
                Err(why) => {
                    let decided = Err(why.clone());
                    return Some(Misjudged { policy, place, until, missing: Vec::new(), surplus: Vec::new(), decided });
                }
            };
            let (missing, surplus) = test.compare(&got);
            let passed = missing.is_empty() && surplus.is_empty();
            let (missing, surplus) = (missing.into_iter().cloned().collect(), surplus.into_iter().cloned().collect());
            (!passed).then_some(Misjudged { policy, place, until, missing, surplus, decided: Ok(got) })
        };
        test.decisions.iter().filter_map(compare).collect()
    }

    fn run_one<'t>(&'t self, test: &'t Test) -> Ran<'t> {
        let mut outcome = run_test(&self.file, test, &self.rules);
        // A rule that failed has ended the test.
        let notifications = match &self.alertmanager {
            Some(config) if !test.notifications.is_empty() && !outcome.ended_early => {
                let start = Start::from_unix_millis(test.start_ms);
                let post = |(at, alert): &(_, _)| (Time::ZERO + *at, with_external_labels(posted(alert, start), test));
                let posts = std::mem::take(&mut outcome.sent).iter().map(post).collect();
                let silences = self.silenced(start);
                let until = test.notifications.iter().map(|test| test.eval_time).max().map_or(Time::ZERO, |last| Time::ZERO + last);
                misheard(&test.notifications, &Arc::new(rehearse(config, Rehearsal { start, posts, silences, until })), config)
            }
            _ => Vec::new(),
        };
        let decisions = if outcome.ended_early { Vec::new() } else { self.misjudged(test, &self.policies) };
        Ran { test, outcome, notifications, decisions }
    }
}

/// Groups that the order of evaluation names and no rule file has. promtool says nothing of them, so they are no errors.
fn unknown_groups(file: &TestFile, rules: &RuleSet) -> Vec<Problem> {
    let names: Vec<&str> = rules.groups.iter().map(|group| &*group.name).collect();
    let unknown = file.group_order.iter().filter(|named| !names.contains(&&*named.value));
    let problem = |named: &Located<Name>| {
        let message = format!("no rule file has a group `{}`, so the order says nothing of it", named.value);
        let near = near_miss(&named.value, &names).map_or_else(|| "remove it".to_owned(), |near| format!("did you mean `{near}`?"));
        Problem::at("FD0917", &named.place, message).as_warning().remedy(near)
    };
    unknown.map(problem).collect()
}

/// The Alertmanager configuration that a file names; every receiver that its tests speak of is there.
fn alertmanager(file: &TestFile, folder: &Path) -> Result<Option<Arc<Config>>, Failure> {
    let Some((path, place)) = &file.alertmanager else { return Ok(None) };
    let whole = folder.join(path);
    if !whole.is_file() {
        return Err(Failure::Input(vec![no_match(place, path)]));
    }
    let source = load::read_file(&whole)?;
    let config = read_config(&source.path, &source.text)?;
    let unknown = unknown_receivers(file.tests.iter().flat_map(|test| &test.notifications), &config);
    if unknown.is_empty() { Ok(Some(Arc::new(config))) } else { Err(Failure::Input(unknown)) }
}

/// The policies that a file names, by path or, where no file is, by name in the library; every one that its tests speak of is there.
fn policies(file: &TestFile, folder: &Path, home: impl FnOnce() -> Result<Home, Failure>) -> Result<Vec<Arc<Policy>>, Failure> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    // A policy of the project here may do what the project defines, and is under its rules.
    let shared = if file.policies.is_empty() { Shared::default() } else { home()?.shared()? };
    for (name, place) in &file.policies {
        let path = folder.join(name);
        let source = if path.is_file() {
            load::read_file(&path)?
        } else if let Some((path, text)) = (library::policy_shelf().get)(name) {
            Source { path, text }
        } else {
            problems.push(no_policy(place, name));
            continue;
        };
        match kind::expect(&source, Kind::Policy).map_err(|problem| vec![problem]).and_then(|()| load::read_policy(&source, &shared)) {
            Ok(policy) => found.push(policy),
            Err(wrong) => problems.extend(wrong),
        }
    }
    problems.extend(twins(&found));
    let names: Vec<&str> = found.iter().map(|policy| policy.name.as_str()).collect();
    // What could not be read may be the one that is meant.
    if problems.is_empty() {
        let unknown = file.tests.iter().flat_map(|test| &test.decisions).filter(|test| !names.contains(&test.policy.as_str()));
        let problem = |test: &DecisionTest| {
            let problem = Problem::at("FD0941", &test.policy_place, format!("the file names no policy `{}`", test.policy));
            let known = || format!("its policies are {}", names.join(", "));
            problem.remedy(near_miss(&test.policy, &names).map_or_else(known, |near| format!("did you mean `{near}`?")))
        };
        problems.extend(unknown.map(problem));
    }
    if problems.is_empty() { Ok(found) } else { Err(Failure::Input(problems)) }
}

fn no_policy(place: &Place, name: &str) -> Problem {
    let near = near_miss(name, &library::policy_shelf().names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Problem::at("FD0942", place, format!("no file is at `{name}`, and no policy of the library is called so"))
        .remedy(format!("paths are relative to the folder of the test file{near}"))
}

/// The silences that a file names.
fn silences(file: &TestFile, folder: &Path) -> Result<Option<Source>, Failure> {
    let Some((path, place)) = &file.silences else { return Ok(None) };
    if file.alertmanager.is_none() {
        return Err(vec![nothing_to_silence(place)].into());
    }
    let whole = folder.join(path);
    if !whole.is_file() {
        return Err(Failure::Input(vec![no_match(place, path)]));
    }
    let source = load::read_file(&whole)?;
    read_silences(&source.path, &source.text, Start::default())?;
    Ok(Some(source))
}

/// An alert as it leaves Prometheus: external labels stand where it has none of the name.
fn with_external_labels(mut alert: PostedAlert, test: &Test) -> PostedAlert {
    for (name, value) in &test.external_labels {
        alert.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    alert
}

/// Reads the recording that is a test's input, if there is one; gives what is wrong with it.
fn read_recording(test: &mut Test, folder: &Path) -> Result<Vec<Problem>, Failure> {
    let Some(RecordedInput { format, path, place, gives_start, samples }) = &mut test.recording else { return Ok(Vec::new()) };
    let whole = folder.join(&*path);
    if !whole.is_file() {
        return Ok(vec![no_match(place, path)]);
    }
    let source = load::read_file(&whole)?;
    let mut read = |dialect| {
        let errors = exposition::read(&source.text, dialect, samples).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let errors = match format {
        RecordedFormat::OpenMetrics => read(Dialect::OpenMetrics),
        RecordedFormat::Prometheus => read(Dialect::Prometheus),
        RecordedFormat::Firedrill => match Recording::parse(&source.text) {
            Ok(recording) => {
                *samples = recording.store;
                Vec::new()
            }
            Err(error) => vec![error.to_string()],
        },
    };
    if *gives_start {
        test.start_ms = first_ms(samples).unwrap_or(0);
    }
    let wrong = |reason: &String| {
        Problem::in_file("FD0915", &source.path, reason).remedy("export the recording anew; docs/recordings.md shows the formats")
    };
    Ok(errors.iter().map(wrong).collect())
}

/// The time of the first sample of all, Unix milliseconds.
fn first_ms(samples: &Store) -> Option<i64> {
    samples.ids().filter_map(|id| samples.times(id).first().copied()).min()
}

/// The files that a pattern names, sorted; a plain path must be there.
#[expect(clippy::result_large_err, reason = "a problem is made once and then told")]
fn matching(folder: &Path, pattern: &str, place: &Place) -> Result<Vec<PathBuf>, Problem> {
    let path = folder.join(pattern);
    if path.is_file() {
        return Ok(vec![path]);
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(no_match(place, pattern));
    }
    // Of the folder's own name nothing is a pattern.
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        Path::new(&glob::Pattern::escape(&folder.display().to_string())).join(pattern).display().to_string()
    };
    let found = glob::glob(&whole).map_err(|error| {
        Problem::at("FD0910", place, format!("`{pattern}` is no pattern: {}", error.msg)).remedy("write `rules/*.yaml`")
    })?;
    Ok(found.filter_map(Result::ok).filter(|path| path.is_file()).collect())
}

fn no_match(place: &Place, pattern: &str) -> Problem {
    Problem::at("FD0911", place, format!("no file is at `{pattern}`"))
        .remedy("paths and patterns are relative to the folder of the test file")
}
