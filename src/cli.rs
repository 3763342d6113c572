//! The command line: its words, and what each means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::remediation::Kind;

/// Tests auto-remediation policies in a deterministic simulator and on recorded incidents before they touch production.
///
/// Exit codes: 0 held, 1 broken, 2 the input is wrong, 3 inconclusive, 70 a bug of ours.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options that every command has.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Text for people, or JSON for programs; of `check` and `gate` also what code hosts read: SARIF, or text with GitHub's annotations
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub format: Written,
    /// How many runs go at a time; results do not depend on it [default: the machine's cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Colour in text
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
    /// Say less on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on stderr; twice for every span
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What is written to stdout, as the command line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Written {
    /// For people.
    Text,
    /// For programs; has a `schema` with a version.
    Json,
    /// Problems and findings of lints as SARIF 2.1.0, for code hosts; nothing else.
    Sarif,
    /// For people, and problems and what broke as annotations that GitHub shows beside the lines.
    Github,
}

/// How results are written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; has a `schema` with a version.
    Json,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a working project into this folder: rules, a policy, a scenario, firedrill.yaml, a CI workflow
    Init(InitArgs),
    /// Read everything, report every problem and every lint; change nothing
    Check(CheckArgs),
    /// Rule tests in promtool's format, and decision tests: what alerts and expressions yield on given series, and what policies decide
    Test(TestArgs),
    /// One run of a scenario, told as a timeline
    Run(RunArgs),
    /// Policies × scenarios × paired seeds, against doing nothing and an oracle
    Compare(CompareArgs),
    /// The CI verdict: a candidate against doing nothing, the baseline, thresholds and recorded incidents
    Gate(GateArgs),
    /// The verdict over what the partitions of a gate have played
    Merge(MergeArgs),
    /// Search the variants of scenarios for one in which a policy does harm, and make it as small as can be
    Explore(ExploreArgs),
    /// What policies claim to be sure of against what was right in drills, and what share of their actions is right at least
    Calibrate(CalibrateArgs),
    /// A recorded incident, open loop: what the rules would have said and what a policy would have done
    Replay(ReplayArgs),
    /// Look on live, and only that: Alertmanager's webhooks come in, a Prometheus is asked, decisions go to the ledger, nothing acts
    Watch(WatchArgs),
    /// What people did beside what a policy would have done, incident by incident
    Shadow(ShadowArgs),
    /// Drafts for a scenario, made from what a real system shows; and what a Prometheus remembers, as an incident
    Import(ImportArgs),
    /// Play a scenario as a live Prometheus and the webhooks of its Alertmanager, faster than it would go, to try out what watches
    RehearseLive(RehearseLiveArgs),
    /// What a watcher saw and decided of an incident, as an incident folder whose replay decides the same again
    Capture(CaptureArgs),
    /// What incidents teach: what each came to, what came too late, what nobody answers, and drafts of what could be written down
    Learn(LearnArgs),
    /// What the project here and the library hold
    List(ListArgs),
    /// Explain a scenario, a policy, rules, a fault, an action, a guard, a key of a file, a measure, or one of a few pages
    Explain(ExplainArgs),
    /// The JSON Schema of a kind of file, by which editors complete keys, show what they mean and mark what is wrong
    Schema(SchemaArgs),
    /// A script by which a shell completes commands and options
    Completions(CompletionsArgs),
    /// Let a policy do more: one stage at a time, on the evidence that its ledger holds; a refusal says what is missing and the shortest way to it
    Promote(PromoteArgs),
    /// Let a policy do less, from now on; needs no evidence
    Demote(DemoteArgs),
    /// Say what a decision was: right, wrong, redundant or harmful
    Label(LabelArgs),
    /// Where policies stand, and what their next stage asks for
    Status(StatusArgs),
    /// Verify the ledger: which entry is missing, altered, out of order, forked or unsigned; show or explain one
    Audit(AuditArgs),
    /// Allow what a policy that is running has proposed, or refuse it
    Approve(ApproveArgs),
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Where webhooks come in; what is not this machine's own needs `--token-file`, or `--client-ca`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9095")]
    pub listen: SocketAddr,
    /// The Prometheus that is asked, without `/api/v1`
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// A file with the token that is shown to Prometheus
    #[arg(long, value_name = "FILE")]
    pub prometheus_token_file: Option<PathBuf>,
    /// How long an answer of Prometheus may take; what takes longer is unknown
    #[arg(long, value_name = "TIME", value_parser = some_time, default_value = "10s")]
    pub timeout: Duration,
    /// A policy file or name; may be given several times [default: the policies of firedrill.yaml]
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// The project whose ledger is written, by its file or folder [default: the one here]
    #[arg(long, value_name = "DIR")]
    pub project: Option<String>,
    /// Rule files instead of those of firedrill.yaml or the library: evidence is bound to them
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// The scenario that models this system: what it declares is what guards count against
    #[arg(long, value_name = "SCENARIO")]
    pub system: Option<String>,
    /// The stage of all policies [default: what the ledger says of each, at most shadow]
    #[arg(long, value_enum)]
    pub stage: Option<WatchStage>,
    /// A file with the token that whoever sends webhooks must show
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The certificate of this watcher, as PEM: webhooks come over TLS then
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The authority that must have signed the certificates of those who send webhooks, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub client_ca: Option<PathBuf>,
    /// Webhooks that may wait to be written down; more are asked to come again
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    pub most_waiting: u16,
    /// Connections that may be open at a time; whoever comes beyond them is turned away
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub most_connections: u16,
    /// How it writes its log
    #[arg(long, value_enum, default_value = "text")]
    pub log: LogFormat,
}

/// The stages at which nothing acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchStage {
    /// Decide and record.
    DryRun,
    /// The same, to be compared with what people do.
    Shadow,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for programs.
    Json,
}

/// Arguments of `shadow`.
#[derive(Debug, Args)]
pub struct ShadowArgs {
    /// The policy, by name or file
    pub policy: String,
    /// What people did: an incident, by name or folder, or an export of PagerDuty's log entries; may be given several times [default: labels alone]
    #[arg(long, value_name = "FILE")]
    pub people: Vec<String>,
    /// A scenario or family that models these incidents: what the policy comes to there, over five seeds; may be given several times
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Who answers for it: writes what is new into the ledger
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub by: Option<String>,
    /// Sign with this ed25519 private key (PEM) [default: the one that FIREDRILL_KEY names]
    #[arg(long, value_name = "FILE", requires = "by")]
    pub key: Option<PathBuf>,
}

impl ShadowArgs {
    /// Who writes, if anybody does.
    #[must_use]
    pub fn writer(&self) -> Option<Writer> {
        Some(Writer { by: self.by.clone()?, key: self.key.clone() })
    }
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The chain: a policy's name, or `watch` for what the watcher was told [default: all]
    pub policy: Option<String>,
    /// Show the entry with this number as it stands there
    #[arg(long, value_name = "N", requires = "policy", conflicts_with = "explain")]
    pub show: Option<u64>,
    /// Say in words what the entry with this number is, what it follows and what speaks of it
    #[arg(long, value_name = "N", requires = "policy")]
    pub explain: Option<u64>,
    /// Fail unless the entry with this hash, or with the first 12 digits or more of it, is there: a head that somebody noted shows that no end was cut off
    #[arg(long, value_name = "HASH", conflicts_with_all = ["show", "explain"])]
    pub contains: Option<String>,
}

/// Who writes to the ledger.
#[derive(Clone, Debug, Args)]
pub struct Writer {
    /// Who you are; where `people:` of firedrill.yaml names anybody, one of them
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub by: String,
    /// Sign with this ed25519 private key (PEM), as `openssl genpkey -algorithm ed25519` makes it [default: the one that FIREDRILL_KEY names]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Arguments of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The policy, by name or file
    pub policy: String,
    /// The stage; only the next one can be meant [default: the next one]
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub to: Option<Stage>,
    /// How much evidence is asked for [default: `promotion:` of firedrill.yaml, else small]
    #[arg(long, value_enum)]
    pub profile: Option<ProfileArg>,
    /// Write the evidence into this file as an in-toto statement (test-result v0.1), whether or not it is enough
    #[arg(long, value_name = "FILE")]
    pub statement: Option<PathBuf>,
    /// Who promotes
    #[command(flatten)]
    pub writer: Writer,
}

/// Arguments of `demote`.
#[derive(Debug, Args)]
pub struct DemoteArgs {
    /// The policy, by name or file
    pub policy: String,
    /// The stage
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub to: Stage,
    /// Why; it stands in the ledger
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub because: String,
    /// Who demotes
    #[command(flatten)]
    pub writer: Writer,
}

/// Arguments of `label`.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// The event: `POLICY#NUMBER`, the number of its entry in the policy's chain, as `firedrill status` and `audit` tell it; or the entry's hash, or the first 8 digits or more of it
    #[arg(value_name = "EVENT")]
    pub event: String,
    /// What it was
    #[arg(value_enum)]
    pub says: Says,
    /// What was the cause of the incident
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,
    /// Somebody made this fault on purpose, such as `crash`: a drill
    #[arg(long, value_name = "FAULT")]
    pub drill: Option<String>,
    /// Who says so
    #[command(flatten)]
    pub writer: Writer,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The policy, by name or file [default: all of the project]
    pub policy: Option<String>,
    /// How much evidence is asked for [default: `promotion:` of firedrill.yaml, else small]
    #[arg(long, value_enum)]
    pub profile: Option<ProfileArg>,
}

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// What a call names, such as `restart#3`
    #[arg(value_name = "POLICY#NUMBER")]
    pub proposal: String,
    /// As what you answer, such as `oncall` [default: your name]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Refuse it
    #[arg(long)]
    pub no: bool,
    /// Who answers; where `people:` of firedrill.yaml names anybody, one of them
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub by: Option<String>,
    /// Sign with this ed25519 private key (PEM) [default: the one that FIREDRILL_KEY names]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// What people say that a decision was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Says {
    /// It was what should be done.
    Right,
    /// Something else should be done, or nothing.
    Wrong,
    /// It would have got well without it; no harm is in it.
    Redundant,
    /// It made things worse, or would have.
    Harmful,
}

/// How much evidence is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// For a team with a few incidents a month.
    Small,
    /// For a team with many.
    Large,
}

fn stage(text: &str) -> Result<Stage, String> {
    let found = Stage::WORDS.iter().find(|(word, _)| *word == text).map(|(_, stage)| *stage);
    found.ok_or_else(|| format!("a stage is one of {}", Stage::WORDS.map(|(word, _)| word).join(", ")))
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Write the schemas into .firedrill/schema as well, and into each file the line by which editors find its own
    #[arg(long)]
    pub editor: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files or folders [default: all that firedrill.yaml names]
    pub paths: Vec<String>,
    /// What lints do: `off` says nothing of them, `warn` tells them, `error` fails on every warning
    #[arg(long, value_enum, default_value = "warn", value_name = "LEVEL")]
    pub lint: LintLevel,
    /// Play every scenario and every recording as well, and tell which rules never fire in them; takes about as long as one run of each
    #[arg(long)]
    pub fire: bool,
}

/// What lints do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LintLevel {
    /// Nothing; what cannot work is told all the same.
    Off,
    /// They are told.
    Warn,
    /// They are told, and a warning fails.
    Error,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files of rule tests, as promtool reads them
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Only tests whose name matches this regular expression; may be given several times
    #[arg(long, alias = "filter", value_name = "NAME")]
    pub run: Vec<String>,
    /// The files are alerts to be routed by this Alertmanager configuration: who is told what and when
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "promql"])]
    pub alertmanager: Option<String>,
    /// The files are scripts in the PromQL test language (load, eval, expect)
    #[arg(long, conflicts_with = "run")]
    pub promql: bool,
    /// Evaluations that are known to be unsupported, FILE:LINE and the reason a line; one that passes all the same is a failure
    #[arg(long, value_name = "FILE", requires = "promql")]
    pub unsupported: Option<String>,
}

/// What tells policies of trouble where scenarios are played.
#[derive(Debug, Args)]
pub struct Alerting {
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// Route alerts by this Alertmanager configuration instead of that of the scenario or of firedrill.yaml
    #[arg(long, value_name = "FILE")]
    pub alertmanager: Option<String>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A scenario file, or a name from `firedrill list`
    pub scenario: String,
    /// A policy file or name; may be given several times; none watches and does nothing
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Act as the gate of this project would: all its policies, `--policy` in the place of its namesake, or a new one alone
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "firedrill.yaml")]
    pub project: Option<String>,
    /// Take the scenario from the project as it was at a revision, as `gate --baseline git:REF` does
    #[arg(long, value_name = "git:REF", requires = "project")]
    pub judge: Option<String>,
    /// What tells policies of trouble
    #[command(flatten)]
    pub alerting: Alerting,
    /// The seed: everything that is luck follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What the policies may do: `full` acts, `dry-run` only decides, and those in between are the stages of a promotion
    #[arg(long, value_enum, default_value = "full")]
    pub stage: StageArg,
    /// Play the run again without each of its actions, the first twelve, and say what each was worth
    #[arg(long)]
    pub worth: bool,
    /// Write the run's telemetry into this folder as an incident that `replay` reads; one that is there is never written over
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Write the journal, the outcome and an HTML report into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the spans of a sample of requests into this file, one a line, in the words of OpenTelemetry
    #[arg(long, value_name = "FILE")]
    pub traces: Option<PathBuf>,
    /// Write log records into this file, one a line: changes, alerts, decisions, actions, and requests of the sample that failed
    #[arg(long, value_name = "FILE")]
    pub logs: Option<PathBuf>,
    /// The sample of `--traces` and `--logs`: one request of so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
}

/// The stages that a rehearsal can be played at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// Decide and record; nothing acts.
    DryRun,
    /// The same; live it is compared with what people did.
    Shadow,
    /// Act on what is not critical, after a person says yes.
    Approval,
    /// Act on what is not critical, by actions that can be undone, one at a time.
    Limited,
    /// Act on what is critical too.
    Guarded,
    /// Act as far as the guards allow.
    #[default]
    Full,
}

impl StageArg {
    /// The stage.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::DryRun => Stage::DryRun,
            Self::Shadow => Stage::Shadow,
            Self::Approval => Stage::Approval,
            Self::Limited => Stage::Limited,
            Self::Guarded => Stage::Guarded,
            Self::Full => Stage::Full,
        }
    }

    /// The argument for a stage; a draft does as little as a dry run.
    #[must_use]
    pub const fn of(stage: Stage) -> Self {
        match stage {
            Stage::Draft | Stage::DryRun => Self::DryRun,
            Stage::Shadow => Self::Shadow,
            Stage::Approval => Self::Approval,
            Stage::Limited => Self::Limited,
            Stage::Guarded => Self::Guarded,
            Stage::Full => Self::Full,
        }
    }
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Policy files or names; each is compared with doing nothing and the oracle, and with the others
    #[arg(required = true)]
    pub policies: Vec<String>,
    /// Scenarios or families (of one name: the scenario) [default: those of firedrill.yaml, else the library's]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// What tells policies of trouble
    #[command(flatten)]
    pub alerting: Alerting,
    /// Seeds for each scenario: SEED, SEED+1, …
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pairs: u32,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Exactly these seeds, each once, such as `3,7,20`; for a row of them use --seed FIRST --pairs COUNT
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = seed, conflicts_with_all = ["pairs", "seed"])]
    pub seeds: Vec<u64>,
    /// Write the results and an HTML report into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn seed(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| "a seed is a whole number; several stand as 3,7,20, and a row of them as --seed FIRST --pairs COUNT".to_owned())
}

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Policy files or names; each is played by itself [default: the policies of firedrill.yaml]
    pub policies: Vec<String>,
    /// Scenarios or families (of one name: the scenario) [default: those of firedrill.yaml, else the library's]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// Seeds for each scenario: SEED, SEED+1, …
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pairs: u32,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write what was right into this file, for `confidence: measured`; `confidence: FILE` in firedrill.yaml names it
    #[arg(long, value_name = "FILE")]
    pub write: Option<String>,
}

/// Arguments of `gate`.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// The project file, or its folder
    #[arg(long, value_name = "FILE", default_value = "firedrill.yaml")]
    pub project: String,
    /// The policy to judge [default: the policies of the project file]; one with the name of a project policy takes its place
    #[arg(long, value_name = "POLICY")]
    pub candidate: Vec<String>,
    /// Scenarios or families (of one name: the scenario) instead of those of the project file
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// Route alerts by this Alertmanager configuration instead of those of scenarios, incidents or the project file
    #[arg(long, value_name = "FILE")]
    pub alertmanager: Option<String>,
    /// Seeds for each scenario instead of the project file's
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pairs: Option<u32>,
    /// So many variants of each scenario besides, drawn from the seed, instead of as many as `chaos:` of the project file or the scenario says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub chaos: Option<u32>,
    /// The first seed instead of the project file's
    #[arg(long)]
    pub seed: Option<u64>,
    /// What the candidate is compared with: policies by file, folder or name; or `git:REF`, the project as it was there, which then is the
    /// judge too: its thresholds, seeds, scenarios, incidents and evidence count, and what the change adds to them [default: `baseline` of the
    /// project file]
    #[arg(long, value_name = "FILE|FOLDER|git:REF")]
    pub baseline: Option<String>,
    /// Judge by the change's own judge; NAME is who approved what it does to the judge at git:REF, and stands in the result
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub accept_judge_change: Option<String>,
    /// Begin no more pairs when this time is over, such as `60s`; too few for a verdict are exit code 3
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "partition")]
    pub budget: Option<Duration>,
    /// What becomes of a verdict that these runs do not tell, instead of the project file's
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_inconclusive: Option<OnInconclusive>,
    /// To how many seeds for each scenario pairs are added at most to what is inconclusive, instead of the project file's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_pairs: Option<u32>,
    /// Where outcomes are kept that need not be played again [default: `firedrill` in the folder of this user's caches]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,
    /// Play everything, and keep nothing
    #[arg(long)]
    pub no_cache: bool,
    /// Play only the i-th of n shares of the runs, and write what they came to into a file for `firedrill merge`
    #[arg(long, value_name = "i/n", value_parser = share, conflicts_with = "mutants")]
    pub partition: Option<Share>,
    /// Judge what the policies do at this stage, as `promote` does at the one that a policy would enter: only thresholds on what they do count there, and
    /// no variants are played
    #[arg(long, value_enum, default_value = "full")]
    pub stage: StageArg,
    /// Also weaken each judged policy in every way that is known, and tell which of these mistakes the scenarios and incidents would notice
    #[arg(long)]
    pub mutants: bool,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "firedrill-out")]
    pub out: PathBuf,
}

/// What becomes of a verdict that these runs do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnInconclusive {
    /// It fails, with exit code 3.
    Fail,
    /// Pairs are added as far as that settles it, and then it fails.
    #[default]
    Extend,
    /// It passes, with a warning.
    Warn,
}

impl OnInconclusive {
    /// The word for it, in files and arguments.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Extend => "extend",
            Self::Warn => "warn",
        }
    }
}

/// The i-th of n shares, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub number: u32,
    /// Of how many.
    pub count: u32,
}

/// So many partitions are enough for anybody.
pub const MOST_SHARES: u32 = 10_000;

fn share(text: &str) -> Result<Share, String> {
    let found = text.split_once('/').and_then(|(number, count)| Some(Share { number: number.parse().ok()?, count: count.parse().ok()? }));
    let written = "a share is written as 2/4, the second of four";
    let share = found.ok_or_else(|| written.to_owned())?;
    match share.count {
        count if count > MOST_SHARES => Err(format!("{written}, and of at most {MOST_SHARES}")),
        count if !(1..=count).contains(&share.number) => Err(format!("{written}; here the first is 1 and the last is {count}")),
        _ => Ok(share),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let span = Span::parse(text).map_err(|_| "a time is written as 60s or 5m".to_owned())?;
    Ok(Duration::from_millis(span.as_millis()))
}

/// A time in which something can happen.
fn some_time(text: &str) -> Result<Duration, String> {
    time(text).and_then(
        |time| if time.is_zero() { Err("nothing is answered in no time: give it some, such as 10s".to_owned()) } else { Ok(time) },
    )
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The files that `gate --partition` wrote, all of them
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "firedrill-out")]
    pub out: PathBuf,
}

/// Arguments of `explore`.
#[derive(Debug, Args)]
pub struct ExploreArgs {
    /// A policy file or name; may be given several times [default: the policies of firedrill.yaml]
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Act as the gate of this project would: all its policies, `--policy` in the place of its namesake, or a new one alone
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "firedrill.yaml")]
    pub project: Option<String>,
    /// Scenarios or families (of one name: the scenario) [default: those of firedrill.yaml, else the library's]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// What tells policies of trouble
    #[command(flatten)]
    pub alerting: Alerting,
    /// How long to search and to make smaller what is found; how far that comes depends on the machine
    #[arg(long, value_name = "DURATION", value_parser = budget, default_value = "60s")]
    pub budget: Span,
    /// Try exactly so many variants, however long that takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000), conflicts_with = "budget")]
    pub runs: Option<u64>,
    /// The seed of the search and of every run [default: that of firedrill.yaml, else 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Write what was found into this folder, a scenario file each
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn budget(text: &str) -> Result<Span, String> {
    let span = Span::parse(text).map_err(|error| error.to_string())?;
    if span == Span::ZERO { Err("no time is too little to search in".to_owned()) } else { Ok(span) }
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// An incident folder or its incident.yaml, or a name from `firedrill list`
    pub incident: String,
    /// A policy file or name; may be given several times [default: the incident's own, else the project's]
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Take the incident's folder as it was at a revision, as `gate --baseline git:REF` does
    #[arg(long, value_name = "git:REF")]
    pub judge: Option<String>,
    /// Rule files instead of the incident's own
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// Route alerts by this Alertmanager configuration instead of the incident's own or that of firedrill.yaml
    #[arg(long, value_name = "FILE")]
    pub alertmanager: Option<String>,
    /// Print an `expect:` block drafted from what happened, for a person to edit
    #[arg(long)]
    pub write_expect: bool,
    /// Write the decisions into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the decisions into the ledger as evidence for a promotion; they count if the recorded ALERTS are reproduced
    #[arg(long, requires = "by", conflicts_with_all = ["write_expect", "judge"])]
    pub backtest: bool,
    /// Who writes that
    #[arg(long, value_name = "NAME", requires = "backtest", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub by: Option<String>,
    /// Sign it with this ed25519 private key (PEM) [default: the one that FIREDRILL_KEY names]
    #[arg(long, value_name = "FILE", requires = "backtest")]
    pub key: Option<PathBuf>,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What is drafted
    #[command(subcommand)]
    pub what: Imported,
}

/// What can be drafted.
#[derive(Debug, Subcommand)]
pub enum Imported {
    /// Draft `metrics:` for a scenario from a /metrics page and from rules that ask for what is on it
    Metrics(ImportMetricsArgs),
    /// Draft a scenario from Kubernetes manifests: Deployments, Services, autoscalers, probes, limits and what calls what
    Kubernetes(ImportKubernetesArgs),
    /// An incident folder from a Prometheus: raw samples of all that rules and policies read, the alerts that it recorded, what changed
    Prometheus(ImportPrometheusArgs),
    /// Draft policies from remediations that run elsewhere: liveness probes, autoscalers, machine and node health checks, rulebooks of
    /// Event-Driven Ansible, rules of StackStorm, playbooks of Robusta, composite alerts
    Remediation(ImportRemediationArgs),
}

/// Arguments of `import metrics`.
#[derive(Debug, Args)]
pub struct ImportMetricsArgs {
    /// A page as a target shows it, in Prometheus' text format or OpenMetrics
    #[arg(value_name = "METRICS_PAGE")]
    pub page: String,
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub rules: Vec<String>,
    /// Metrics that no rule asks for, too
    #[arg(long)]
    pub all: bool,
    /// Write the draft into this file; one that is there is never written over
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `import prometheus`.
#[derive(Debug, Args)]
pub struct ImportPrometheusArgs {
    /// Where it is, such as `http://prometheus:9090`; whatever speaks its API will do
    pub url: String,
    /// When the recording begins: `2026-01-05T09:00:00Z`, or how long ago, such as `2h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: String,
    /// When it ends; likewise
    #[arg(long, value_name = "TIME", default_value = "0s", allow_hyphen_values = true)]
    pub to: String,
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub rules: Vec<String>,
    /// Policies whose conditions are to be recorded for, too [default: those of firedrill.yaml]
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Series whose value changes where somebody changes the system [default: generations and replicas of Kubernetes Deployments, if it has any]
    #[arg(long, value_name = "SELECTOR")]
    pub changes: Vec<String>,
    /// What the incident is called [default: by its first alert and its time]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A file with a bearer token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How long one answer may take
    #[arg(long, value_name = "TIME", value_parser = some_time, default_value = "60s")]
    pub timeout: Duration,
    /// How large one answer may be, MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=16_384))]
    pub largest: u64,
    /// How many series at most
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub most_series: u64,
    /// How many samples at most
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    pub most_samples: u64,
    /// Write the incident into this folder, a new or an empty one [default: a folder of its name, in `incidents`]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// The incident, as the ledger calls it: `POLICY#NUMBER`, the number of the incident, as `firedrill shadow` tells it
    #[arg(value_name = "INCIDENT")]
    pub incident: String,
    /// The folder of the ledger [default: `ledger` beside firedrill.yaml]
    #[arg(long, value_name = "DIR")]
    pub ledger: Option<PathBuf>,
    /// A Prometheus that has the samples of that time; without it only what the watcher was told is kept
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// A file with a bearer token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// Series whose value changes where somebody changes the system [default: generations and replicas of Kubernetes Deployments, if it has any]
    #[arg(long, value_name = "SELECTOR", requires = "prometheus")]
    pub changes: Vec<String>,
    /// Write the incident into this folder, a new or an empty one [default: a folder of its name, in `incidents`]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `learn`.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// Journals (`journal.jsonl`), incident folders, or folders with several of them [default: the incidents of firedrill.yaml]
    #[arg(value_name = "JOURNAL|INCIDENT")]
    pub told: Vec<String>,
    /// The folder of the ledger [default: `ledger` beside firedrill.yaml, if it is there]
    #[arg(long, value_name = "DIR")]
    pub ledger: Option<PathBuf>,
    /// Policies that answer today [default: those of firedrill.yaml]
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Rule files instead of those of firedrill.yaml or the library
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<String>,
    /// Print the drafts alone, as one diff that `git apply` takes
    #[arg(long)]
    pub diff: bool,
}

/// Arguments of `rehearse-live`.
#[derive(Debug, Args)]
pub struct RehearseLiveArgs {
    /// A scenario file, or a name from `firedrill list`
    pub scenario: String,
    /// Where Alertmanager's webhooks are sent, such as `http://127.0.0.1:9095/webhook`
    #[arg(long, value_name = "URL")]
    pub webhook: String,
    /// A file with a bearer token for the webhooks
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where its Prometheus listens; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// How many times faster than the clock it goes; `max` only waits for webhooks to be taken
    #[arg(long, value_name = "FACTOR", value_parser = speed, default_value = "60")]
    pub speed: Speed,
    /// The seed: everything that is luck follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What tells policies of trouble
    #[command(flatten)]
    pub alerting: Alerting,
}

/// How fast a rehearsal goes; `None`: as fast as it can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub Option<f64>);

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed(None));
    }
    let factor = text.parse::<f64>().ok().filter(|factor| (0.01..=100_000.0).contains(factor));
    factor.map(|factor| Speed(Some(factor))).ok_or_else(|| "a speed is a number such as 60, or `max`".to_owned())
}

/// Arguments of `import kubernetes`.
#[derive(Debug, Args)]
pub struct ImportKubernetesArgs {
    /// Manifests: files, folders with all below them, or patterns such as `'deploy/**/*.yaml'`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// What the scenario is called [default: by the first file or folder]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write the draft into this file; one that is there is never written over
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `import remediation`.
#[derive(Debug, Args)]
pub struct ImportRemediationArgs {
    /// Files, folders with all below them, or patterns such as `'rules/**/*.yaml'`; what they hold is told by their content
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Only remediations of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<RemediationKind>,
    /// Who answers for policies whose source names nobody
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Write a file for each policy, and one for the rules that it needs, into this folder; none that is there is written over
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// What policies are drafted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RemediationKind {
    /// Liveness probes of Kubernetes.
    LivenessProbe,
    /// `HorizontalPodAutoscaler`s of Kubernetes.
    Autoscaler,
    /// `MachineHealthCheck`s of the Cluster API.
    MachineHealthCheck,
    /// `NodeHealthCheck`s of Medik8s.
    NodeHealthCheck,
    /// Rulebooks of Event-Driven Ansible.
    AnsibleRulebook,
    /// Rules of `StackStorm`.
    StackstormRule,
    /// Playbooks of Robusta.
    RobustaPlaybook,
    /// Alerts with conditions and actions, as articles write them.
    CompositeAlert,
}

impl RemediationKind {
    /// The kind itself.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::LivenessProbe => Kind::LivenessProbe,
            Self::Autoscaler => Kind::Autoscaler,
            Self::MachineHealthCheck => Kind::MachineHealthCheck,
            Self::NodeHealthCheck => Kind::NodeHealthCheck,
            Self::AnsibleRulebook => Kind::Rulebook,
            Self::StackstormRule => Kind::StackStormRule,
            Self::RobustaPlaybook => Kind::RobustaPlaybook,
            Self::CompositeAlert => Kind::CompositeAlert,
        }
    }
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only these
    #[arg(value_enum)]
    pub what: Option<Listed>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Scenarios.
    Scenarios,
    /// Policies.
    Policies,
    /// Incidents.
    Incidents,
    /// Rule files.
    Rules,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A file; a scenario, policy or rule file by name; a fault, action, guard or key of a file; a measure or another word of the glossary; or
    /// one of the pages `policy`, `scenarios`, `policies`, `recordings`, `context`, `defaults`, `measures`, `exit-codes`
    pub name: String,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which files
    #[arg(value_enum)]
    pub name: SchemaName,
}

/// The kinds of file that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// `firedrill.yaml`.
    Project,
    /// Policies.
    Policy,
    /// Scenarios.
    Scenario,
    /// The `incident.yaml` of incident folders.
    Incident,
    /// Mappings of CSV files.
    Mapping,
    /// Rule tests and decision tests.
    Tests,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}
