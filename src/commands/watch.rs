//! `firedrill watch`: policies look on at a live system, and what they decide goes to the ledger.

#![allow(clippy::disallowed_methods, reason = "a watcher has threads; one of them decides")]

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use firedrill_core::inventory::Inventory;
use firedrill_core::problem::Problem;
use firedrill_core::words::counted;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::setting::RuleNames;
use crate::cli::{WatchArgs, WatchStage};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::ledger::{Bound, FOLDER, Ledger};
use crate::output::Output;
use crate::prometheus::{self, Prometheus};
use crate::promotion::bake;
use crate::promotion::profile::Promotions;
use crate::promotion::standing::Standing;
use crate::sources;
use crate::watch::{
    Access, Connections, Files, Inbox, Keeper, KeeperSetup, Metrics, Patience, Server, SystemClock, acceptor, answer_all, ask_anything,
    is_loopback, router,
};

/// Threads that ask Prometheus.
const ASKERS: usize = 8;

/// Bytes of webhooks that may wait.
const MOST_BYTES: usize = 64 << 20;

/// One answer of Prometheus has at most so many bytes.
const LARGEST_ANSWER: u64 = 16 << 20;

/// Connections that are open when the watcher is told to stop are waited for so long.
const FAREWELL: Duration = Duration::from_secs(10);

/// Watches until it is told to stop.
pub fn execute(arguments: &WatchArgs, output: Output) -> Result<Exit, Failure> {
    let access = access(arguments)?;
    let acceptor = files(arguments).map(|files| acceptor(&files)).transpose()?;
    let prometheus = prometheus(arguments)?;
    let metrics = Arc::new(Metrics::default());
    let (setup, drafts) = setup(arguments, Arc::clone(&metrics))?;
    // Before anything is written.
    let listener = TcpListener::bind(arguments.listen).map_err(|error| cannot_listen(arguments, &error))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let (keeper, notes) = Keeper::open(setup)?;
    for note in drafts.into_iter().chain(notes) {
        output.talk(&note);
    }
    let names: Vec<&str> = keeper.watcher().policies().map(|(policy, ..)| policy.name.as_str()).collect();
    let looks = if names.len() == 1 { "looks" } else { "look" };
    output.talk(&format!("{} {looks} on: {}", counted(names.len() as u64, "policy"), names.join(", ")));
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    output.talk(&format!("webhooks of Alertmanager's come in at {scheme}://{address}/webhook; nothing here can act"));
    let inbox = Arc::new(Inbox::new(usize::from(arguments.most_waiting), MOST_BYTES));
    let server = Arc::new(Server::new(Arc::clone(&inbox), metrics, access, keeper.watcher().start()));
    let patience = Arc::new(Patience::new(arguments.timeout));
    for _ in 0..ASKERS {
        let (prometheus, patience, inbox) = (prometheus.clone(), Arc::clone(&patience), Arc::clone(&inbox));
        thread::spawn(move || answer_all(&patience, &prometheus, &inbox));
    }
    let (asked, patiently, inward) = (prometheus.clone(), Arc::clone(&patience), Arc::clone(&inbox));
    thread::spawn(move || ask_anything(&patiently, &asked, &inward, &|| Timestamp::now().as_millisecond()));
    let (ended, end) = oneshot::channel();
    let keeping = keep(keeper, (&inbox, &patience), &server, ended);
    let served = serve((listener, usize::from(arguments.most_connections)), acceptor, &server, end);
    inbox.stop();
    let kept = keeping.join().map_err(|_| anyhow::anyhow!("the ledger's writer found a bug in itself"))?;
    patience.stop();
    kept?;
    served?;
    output.talk("stopped: all that was acknowledged is in the ledger");
    Ok(Exit::Held)
}

/// Keeps the ledger on a thread of its own, until the inbox is stopped; says so if it ends before.
fn keep(
    mut keeper: Keeper,
    (inbox, patience): (&Arc<Inbox>, &Arc<Patience>),
    server: &Arc<Server>,
    ended: oneshot::Sender<()>,
) -> thread::JoinHandle<Result<(), Failure>> {
    let (inbox, patience, is_alive) = (Arc::clone(inbox), Arc::clone(patience), Arc::clone(&server.is_alive));
    thread::spawn(move || {
        // Also where it panics.
        let _ended = ended;
        let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keeper.run(&inbox, &patience)));
        is_alive.store(false, Ordering::Relaxed);
        inbox.stop();
        match kept {
            Ok(kept) => kept,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Serves until a signal comes or the keeper ends.
fn serve(
    (listener, most): (TcpListener, usize),
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    server: &Arc<Server>,
    end: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        listener.set_nonblocking(true).context("the listener cannot be shared")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("the listener cannot be used")?;
        let connections =
            Connections::of(listener, acceptor, (most, Arc::clone(&server.metrics))).context("the listener has no address")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(connections, router(Arc::clone(server))).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let serving = tokio::spawn(async move { serving.await });
        tokio::select! {
            signal = signal() => tracing::info!(signal = signal?, "told to stop"),
            _ = end => tracing::error!("the ledger's writer has ended"),
        }
        let _ = stop.send(());
        // What is under way is acknowledged or turned away; whoever keeps a connection open without a word is not waited for.
        let _ = tokio::time::timeout(FAREWELL, serving).await;
        Ok(())
    })
}

async fn signal() -> anyhow::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
        tokio::select! {
            _ = terminate.recv() => Ok("SIGTERM"),
            pressed = tokio::signal::ctrl_c() => pressed.map(|()| "SIGINT").context("signals cannot be heard"),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| "interrupt").context("signals cannot be heard")
}

/// Who may send webhooks; from other machines nobody without a token or a certificate.
fn access(arguments: &WatchArgs) -> Result<Access, Failure> {
    if !is_loopback(arguments.listen) && arguments.token_file.is_none() && arguments.client_ca.is_none() {
        let message = format!("anybody who reaches {} could send alerts", arguments.listen);
        let remedy = "name a `--token-file`, or `--tls-cert`, `--tls-key` and `--client-ca`; or listen on 127.0.0.1 behind a proxy";
        return Err(vec![Problem::in_file("FD0840", "the command line", message).remedy(remedy)].into());
    }
    arguments.token_file.as_deref().map_or_else(|| Ok(Access::open()), Access::by_token)
}

fn files(arguments: &WatchArgs) -> Option<Files> {
    let (certificate, key) = (arguments.tls_cert.clone()?, arguments.tls_key.clone()?);
    Some(Files { certificate, key, client_authority: arguments.client_ca.clone() })
}

fn prometheus(arguments: &WatchArgs) -> Result<Prometheus, Failure> {
    let access = prometheus::Access {
        token_file: arguments.prometheus_token_file.clone(),
        timeout: arguments.timeout,
        largest: LARGEST_ANSWER,
        ..prometheus::Access::to(&arguments.prometheus)
    };
    Ok(Prometheus::at(&access)?)
}

fn cannot_listen(arguments: &WatchArgs, error: &std::io::Error) -> Failure {
    let message = format!("cannot listen on {}: {error}", arguments.listen);
    vec![Problem::in_file("FD0843", "the command line", message).remedy("name another address with `--listen`")].into()
}

/// What a keeper is made of, and what is to be said of policies whose watching counts for nothing.
fn setup(arguments: &WatchArgs, metrics: Arc<Metrics>) -> Result<(KeeperSetup, Vec<String>), Failure> {
    let home = arguments.project.as_deref().map_or_else(Home::here, Home::at)?;
    let answer = if arguments.policy.is_empty() { home.policies()? } else { home.answer(&arguments.policy)? };
    if answer.policies.is_empty() {
        let problem = Problem::in_file("FD0844", "the command line", "there is no policy that could look on");
        return Err(vec![problem.remedy("name one with `--policy`, or in firedrill.yaml")].into());
    }
    let rules = RuleNames::chosen(&home, &arguments.rules)?.load(&[])?;
    let folder = home.base.join(FOLDER);
    let stage = match arguments.stage {
        Some(WatchStage::DryRun) => Some(Stage::DryRun),
        Some(WatchStage::Shadow) => Some(Stage::Shadow),
        None => None,
    };
    let promotions = home.project.as_ref().map(|project| project.promotions.clone()).unwrap_or_default();
    let mut drafts = Vec::new();
    let mut watched = |policy: &Arc<Policy>| {
        // What is written down of its decisions is bound to the policy as it is written.
        let bound = Bound::of(policy, &rules.set);
        match stage {
            Some(stage) => {
                drafts.extend(elsewhere((&folder, &promotions), (policy, &bound), stage));
                Ok((Arc::clone(policy), stage, bound))
            }
            None => standing((&folder, &promotions), (policy, &bound), &mut drafts).map(|(policy, stage)| (policy, stage, bound)),
        }
    };
    let policies = answer.policies.iter().map(&mut watched).collect::<Result<Vec<_>, Failure>>()?;
    let inventory = Arc::new(match &arguments.system {
        Some(scenario) => declared(scenario, &home.base)?,
        None => Inventory::default(),
    });
    Ok((KeeperSetup { folder, policies, inventory, clock: Arc::new(SystemClock::default()), metrics, promotions }, drafts))
}

/// A policy at the stage that the ledger says, as far as nothing acts there; without a word in dry-run. One that is on trial after a promotion is watched as it
/// would run.
fn standing(
    (folder, promotions): (&Path, &Promotions),
    (policy, bound): (&Arc<Policy>, &Bound),
    drafts: &mut Vec<String>,
) -> Result<(Arc<Policy>, Stage), Failure> {
    let chain = promotions.believed(Ledger::read(folder, &policy.name)?.sound()?);
    let (own, promoted) = (Standing::of_version(&chain, &bound.hashes).stage, Standing::of(&chain).stage);
    if own < promoted {
        let (name, own, promoted) = (&policy.name, own.word(), promoted.word());
        drafts.push(format!(
            "warning: `{name}` is not the version that was promoted to {promoted}: it is watched at {own}. hint: `firedrill status {name}` says what has changed; promote it anew, then start this again"
        ));
    }
    if own == Stage::Draft {
        let name = &policy.name;
        drafts.push(format!(
            "warning: `{name}` is a draft: it is watched as in dry-run, and nothing of it will count. hint: `firedrill promote {name} --by NAME`, then start this again"
        ));
    }
    let stage = own.clamp(Stage::DryRun, Stage::Shadow);
    let is_on_trial = bake::of_version(&chain, &bound.hashes, Timestamp::now()).is_some();
    Ok((if is_on_trial { Arc::new(bake::on_trial(policy)) } else { Arc::clone(policy) }, stage))
}

/// What is to be said where somebody names a stage at which nothing of a policy will count; `None`: it will.
fn elsewhere((folder, promotions): (&Path, &Promotions), (policy, bound): (&Policy, &Bound), asked: Stage) -> Option<String> {
    let chain = promotions.believed(Ledger::read(folder, &policy.name).ok()?.sound().ok()?);
    let own = Standing::of_version(&chain, &bound.hashes).stage;
    let is_its_own = own != Stage::Draft && own.clamp(Stage::DryRun, Stage::Shadow) == asked;
    let (name, own, asked) = (&policy.name, own.word(), asked.word());
    let told = format!(
        "warning: `{name}` is at the stage {own}, and is watched at {asked}: nothing of it will count. hint: leave out `--stage {asked}`"
    );
    (!is_its_own).then_some(told)
}

fn declared(scenario: &str, base: &Path) -> Result<Inventory, Failure> {
    let named = [scenario.to_owned()];
    match sources::scenarios(&named, base)?.as_slice() {
        [one] => Ok(one.spec.inventory()),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            Err(Failure::argument(format!("`{scenario}` is a family: {}", names.join(", ")), "name one of them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_policies::document::read_policy;

    use super::*;
    use crate::ledger::{Entry, What};

    #[test]
    fn a_stage_at_which_nothing_of_a_policy_counts_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = "schema: policy/1\npolicy: p\nowner: team\non: { alert: Down }\ntarget: { service: $service }\nsteps:\n  - restart: { mode: rolling }\n";
        let policy = read_policy("policy.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let bound = Bound::default();
        let (promotions, all) = (Promotions::default(), [Stage::DryRun, Stage::Shadow]);
        let told = || all.map(|asked| elsewhere((folder.path(), &promotions), (&policy, &bound), asked));
        assert!(told().iter().all(|told| told.as_ref().is_some_and(|told| told.contains("`p` is at the stage draft"))));
        let (profile, hashes, evidence, weakened) = (String::new(), bound.hashes.clone(), serde_json::Value::Null, Vec::new());
        let what = What::Promotion { from: Stage::Draft, to: Stage::DryRun, profile, hashes, evidence, weakened };
        let entry = Entry { at: Timestamp::UNIX_EPOCH, by: "ada".to_owned(), what };
        Ledger::open(folder.path(), &policy.name).unwrap().0.append(vec![entry]).unwrap();
        let expected =
            "warning: `p` is at the stage dry-run, and is watched at shadow: nothing of it will count. hint: leave out `--stage shadow`";
        assert_eq!(told(), [None, Some(expected.to_owned())]);
    }
}
