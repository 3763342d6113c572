//! A policy in prose, for reviewers who do not read YAML.

use std::fmt::Write as _;

use firedrill_core::action::{Action, Keys, Limit, Modelled, RestartMode, Scale};
use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_telemetry::labels::Matcher;

use crate::controller::{REOPEN_AFTER, RETRY_AFTER, VERIFY_PERIOD};
use crate::correlation::{SUBJECT, Sharing};
use crate::guard::approval::{Approval, Covered};
use crate::guard::backoff::Backoff;
use crate::guard::caps::{self, CapOf};
use crate::guard::confidence::{Confidence, Source};
use crate::guard::correlated_failure::Correlated;
use crate::guard::freeze::Written;
use crate::guard::population::{Element, Watch};
use crate::guard::stage::Stage;
use crate::guard::{GuardSettings, Instead, Scope};
use crate::policy::{
    Candidate, Deed, Each, Escalation, NameSource, Notice, OnFailure, Order, Policy, RISKS, Rung, Score, Staged, Step, TargetKind,
    TargetSource,
};

/// The policy as a runbook; ends with a newline.
#[must_use]
pub fn policy(policy: &Policy) -> String {
    let mut text = format!("{} (owner: {})\n", policy.name, policy.owner);
    if !policy.description.is_empty() {
        text.push('\n');
        for line in policy.description.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    push(&mut text, &format!("\nWhen {}, for {}:\n", occasion(policy), aimed(&policy.target)));
    maintenance(&mut text, policy);
    prechecks(&mut text, policy);
    text.push('\n');
    for (index, step) in policy.steps.iter().enumerate() {
        push(&mut text, &format!("{}. {}\n", index + 1, deed(policy, step)));
        outcome(&mut text, policy, index, step);
    }
    shown(&mut text, policy);
    let escalation = policy.escalation(0);
    if let Some(after) = policy.escalate_after {
        push(&mut text, &format!("\nIf it is not resolved after {after}, call {}, whatever the steps are doing.\n", escalation.to));
    }
    limits(&mut text, policy);
    text
}

fn push(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes everything");
}

fn listed(names: &[Name], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.to_string(),
        [all @ .., last] => format!("{} {word} {last}", all.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// What must happen for the policy to begin.
fn occasion(policy: &Policy) -> String {
    let named = if policy.alerts.is_empty() { "any alert".to_owned() } else { listed(&policy.alerts, "or") };
    let alerts = format!("{named}{}", matching(policy));
    let reaches = policy.receiver.as_ref().map_or_else(|| "fires".to_owned(), |receiver| format!("reaches the receiver {receiver}"));
    let Some(correlation) = &policy.correlation else { return format!("{alerts} {reaches}") };
    let names = if correlation.names > 1 { format!(" of {} names or more", correlation.names) } else { String::new() };
    let together = match &correlation.scope {
        Sharing::Finest => " of one service (else of one zone, else of no place)".to_owned(),
        Sharing::Service => " of one service".to_owned(),
        Sharing::Zone => " of one zone".to_owned(),
        Sharing::All => ", wherever they are,".to_owned(),
        Sharing::Labels(labels) => format!(" that agree in {}", listed(labels, "and")),
    };
    format!("{} alerts or more{names}{together} begin within {} of each other, out of {alerts}", correlation.min, correlation.window)
}

fn matching(policy: &Policy) -> String {
    let matchers: Vec<String> = policy.matchers.iter().map(Matcher::to_string).collect();
    if matchers.is_empty() { String::new() } else { format!(" with {}", matchers.join(", ")) }
}

fn aimed(target: &TargetSource) -> String {
    match &target.name {
        NameSource::Literal(name) => format!("the {} {name}", target.kind.word()),
        NameSource::Label(label) if label.as_str() == SUBJECT => format!("the {} that is probably the cause", target.kind.word()),
        NameSource::Label(label) => format!("the {} that the alert's label `{label}` names", target.kind.word()),
    }
}

/// When nothing is answered.
fn maintenance(text: &mut String, policy: &Policy) {
    for window in &policy.maintenance {
        push(text, &format!("It answers nothing {}; what still fires then is taken up.\n", window_of(window.written())));
    }
}

/// A window of the calendar: `from 2026-12-18T00:00 (Europe/Berlin) for 16d, again by FREQ=YEARLY: the end of the year`.
fn window_of(Written { from, zone, lasting, repeats, because }: &Written) -> String {
    let again = repeats.as_ref().map_or_else(String::new, |rule| format!(", again by {rule}"));
    let why = if because.is_empty() { String::new() } else { format!(": {because}") };
    format!("from {from} ({zone}) for {lasting}{again}{why}")
}

/// What people are shown besides.
fn shown(text: &mut String, policy: &Policy) {
    if policy.evidence.is_empty() {
        return;
    }
    push(text, "\nWho is given metrics is also shown\n");
    for shown in &policy.evidence {
        push(text, &format!("  - {}\n      {}\n", shown.because, flat(shown.formula.plan().text())));
    }
}

/// Who is called: `Call oncall, after 15m lead, with metrics`.
fn called(escalation: &Escalation) -> String {
    let then: Vec<String> = escalation.then.iter().map(|Rung { to, after }| format!("after {after} {to}")).collect();
    let until = if then.is_empty() { String::new() } else { format!(", as long as the alert is on {}", then.join(", ")) };
    let with = if escalation.with.is_empty() { String::new() } else { format!(", with {}", listed(&escalation.with, "and")) };
    format!("Call {}{until}{with}.", escalation.to)
}

/// What is done to each of several.
fn staged_line(staged: &Staged) -> String {
    let kind = staged.each.kind;
    format!("{}:", done_to(&staged.action, kind, &format!("each of several {}s", kind.word())).trim_end_matches('.'))
}

/// Where the targets of a staged step are found, and in which waves it comes to them.
fn waves(text: &mut String, staged: &Staged) {
    let label = match &staged.each.name {
        NameSource::Label(label) | NameSource::Literal(label) => label,
    };
    let from = match &staged.from {
        Each::Series(formula) => format!("those that the label `{label}` names in\n     {}", flat(formula.plan().text())),
        Each::Alerts => format!("those that the label `{label}` names in the alerts that are on"),
        Each::Declared => "those that are declared".to_owned(),
    };
    let order = match staged.order {
        Order::Name => "by name",
        Order::Dependencies => "what others call before those that call it",
    };
    push(
        text,
        &format!(
            "   {from}\n   First {}, then each time {}, {order}; each wave only when the one before has worked.\n",
            staged.first,
            staged.then.describe()
        ),
    );
}

/// The actions of which a step consists.
fn parts(text: &mut String, policy: &Policy, index: usize, step: &Step) {
    for part in policy.parts(index) {
        let own = part.target.as_ref().or(step.target.as_ref());
        let modelled = part
            .modelled
            .map_or_else(String::new, |Modelled { takes, fails }| format!(" It takes {takes}, and fails {fails} of the time."));
        push(text, &format!("   - {}{modelled}\n", aimed_at(&part.action, own, policy)));
    }
    if let Deed::Own(own) = &step.deed
        && let Some(runs) = &own.runs
    {
        push(text, &format!("   It stands for {}, which is never executed here.\n", runs.path));
    }
}

/// What is chosen from.
fn choice(text: &mut String, policy: &Policy, step: &Step, candidates: &[Candidate]) {
    for candidate in candidates {
        let one = Step {
            deed: candidate.deed.clone(),
            target: candidate.target.clone().or_else(|| step.target.clone()),
            verify: None,
            on_failure: step.on_failure,
        };
        let what = deed(policy, &one);
        let score = match &candidate.score {
            Score::Fixed(value) => value.to_string(),
            Score::Asked(formula) => flat(formula.plan().text()),
        };
        let risk = RISKS.iter().find(|(_, risk)| risk.total_cmp(&candidate.risk).is_eq());
        let risk = risk.map_or_else(|| candidate.risk.to_string(), |(word, risk)| format!("{word}, {risk}"));
        push(text, &format!("   - {what}\n     Score: {score}; risk: {risk}.\n"));
        if let Some(when) = &candidate.when {
            let fresh = when.max_age.map_or_else(String::new, |max_age| format!(", on samples that are at most {max_age} old"));
            push(text, &format!("     Only if {}, because {}{fresh}.\n", flat(when.condition.plan().text()), when.because));
        }
    }
    if !candidates.iter().any(|candidate| matches!(candidate.deed, Deed::Wait(_))) {
        push(text, &format!("   - Wait for {RETRY_AFTER}, and choose again.\n     Score: 0; risk: 0.\n"));
    }
}

fn prechecks(text: &mut String, policy: &Policy) {
    if policy.prechecks.is_empty() {
        return push(text, "\nNothing is checked before an action but the limits below.\n");
    }
    push(text, "\nBefore each action, check that\n");
    for precheck in &policy.prechecks {
        push(text, &format!("  - {}\n    because {}\n", flat(precheck.condition.plan().text()), precheck.because));
        if let Some(max_age) = precheck.max_age {
            push(text, &format!("    on samples that are at most {max_age} old\n"));
        }
    }
    push(text, "Where one of them cannot be told for want of data, nothing is done.\n");
}

/// An expression on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn deed(policy: &Policy, step: &Step) -> String {
    let action = match &step.deed {
        Deed::Wait(span) => return format!("Wait for {span}."),
        Deed::Escalate(escalation) => return called(escalation),
        Deed::Notify(Notice { to, with }) if with.is_empty() => return format!("Tell {to}."),
        Deed::Notify(Notice { to, with }) => return format!("Tell {to}, with {}.", listed(with, "and")),
        Deed::Collect(kinds) => return format!("Write down {}.", listed(kinds, "and")),
        Deed::Parallel(_) => return "Do these at one time, each within the limits by itself:".to_owned(),
        Deed::Staged(staged) => return staged_line(staged),
        Deed::Own(own) => return format!("Do {}, which counts as one action:", own.name),
        Deed::Choose(_) => {
            return "Do the best of these by score less risk that the limits let pass; without a score one is out.".to_owned();
        }
        Deed::Act(action) => action,
    };
    aimed_at(action, step.target.as_ref(), policy)
}

/// An action in a sentence; a target that is not the policy's is told in full.
fn aimed_at(action: &Action, own: Option<&TargetSource>, policy: &Policy) -> String {
    let whom = own.map_or_else(|| format!("the {}", policy.target.kind.word()), aimed);
    done_to(action, own.unwrap_or(&policy.target).kind, &whom)
}

/// An action in a sentence.
fn done_to(action: &Action, kind: TargetKind, whom: &str) -> String {
    match action {
        Action::Restart { mode: RestartMode::Rolling } if kind == TargetKind::Replica => format!("Restart {whom}."),
        Action::Restart { mode: RestartMode::Rolling } => format!("Restart {whom}, one replica after the other."),
        Action::Restart { mode: RestartMode::AtOnce } => format!("Restart {whom} at once."),
        Action::Scale { replicas: Scale::To(count) } => format!("Give {whom} {}.", counted(u64::from(*count), "replica")),
        Action::Scale { replicas: Scale::By(count) } if *count < 0 => {
            format!("Take {} from {whom}.", counted(u64::from(count.unsigned_abs()), "replica"))
        }
        Action::Scale { replicas: Scale::By(count) } => {
            format!("Give {whom} {} more.", counted(u64::from(count.unsigned_abs()), "replica"))
        }
        Action::Scale { replicas: Scale::Times(factor) } => format!("Give {whom} {} times its declared replicas.", factor.get()),
        Action::Rollback => format!("Roll {whom} back to the version before the last deploy."),
        Action::Drain => format!("Drain {whom}: it gets no more requests, and others take its place."),
        Action::ParkMessages => format!("Move the messages that {whom} has failed on to the dead letters."),
        Action::PurgeQueue => format!("Throw away all requests that wait at {whom}."),
        Action::LimitRetries { retries: 0, lasting } => format!("For {lasting}, let whoever calls {whom} retry nothing."),
        Action::LimitRetries { retries, lasting } => {
            format!("Allow whoever calls {whom} {} a request for {lasting}.", counted(u64::from(*retries), "retry"))
        }
        Action::FailOver => format!("Let a standby take the place of the primary of {whom}; writes that it does not have are lost."),
        Action::RevertFlag => format!("Turn off the flag of {whom} that was turned on last."),
        Action::Wait { span } => format!("Wait for {span}."),
        other => on_calls(other, whom).unwrap_or_else(|| on_parts(other, whom)),
    }
}

/// What is done to the calls of something, by whoever makes them; `None`: something else is done.
fn on_calls(action: &Action, whom: &str) -> Option<String> {
    Some(match action {
        Action::CircuitBreak { from, lasting } => {
            let from = from.as_ref().map_or_else(String::new, |from| format!(" by `{from}`"));
            format!("Let no call of {whom}{from} through for {lasting}; who can do without the answer goes on.")
        }
        Action::Isolate { calls, from, lasting } => {
            let from = from.as_ref().map_or_else(|| "any service".to_owned(), |from| format!("`{from}`"));
            let calls = counted(u64::from(*calls), "call");
            format!("Let each process of {from} have {calls} of {whom} under way at a time, for {lasting}.")
        }
        Action::ShedLoad { share, spare: None, lasting } => format!("Turn {share} of the requests of {whom} away for {lasting}."),
        Action::ShedLoad { share, spare: Some(spare), lasting } => {
            format!("Turn {share} of the requests of {whom} away that are less important than `{}`, for {lasting}.", spare.word())
        }
        Action::RateLimit { rate, lasting } => format!("Let {whom} ask no more than {rate} for {lasting}."),
        Action::Degrade { lasting } => format!("Let {whom} leave out the calls that it can do without, for {lasting}."),
        Action::Lift { what } => format!("End the {} of {whom}.", what.word()),
        Action::ShiftTraffic { share } => format!("Send {whom} {share} of the requests that it would get; others get the rest."),
        _ => return None,
    })
}

/// What is done to the parts of something.
fn on_parts(action: &Action, whom: &str) -> String {
    match action {
        Action::ResetPool { to: None } => format!("Close the connections of {whom} to others, and open new ones."),
        Action::ResetPool { to: Some(to) } => format!("Close the connections of {whom} to `{to}`, and open new ones."),
        Action::SetLimit { limit: Limit::Workers, to } => {
            format!("Let each replica of {whom} serve {} at a time.", counted(u64::from(*to), "request"))
        }
        Action::SetLimit { limit: Limit::Pool, to } => format!("Give each pool of {whom} {}.", counted(u64::from(*to), "connection")),
        Action::SetLimit { limit: Limit::Threads, to } => {
            format!("Give each process of {whom} that starts from now on {}.", counted(u64::from(*to), "thread"))
        }
        Action::KillQueries { older } if older.as_nanos() == 0 => format!("End all queries that {whom} works on."),
        Action::KillQueries { older } => format!("End the queries of {whom} that have run for {older}."),
        Action::FlushCache { cache, keys } => {
            let cache = cache.as_ref().map_or_else(|| "the caches".to_owned(), |cache| format!("the cache `{cache}`"));
            match keys {
                Keys::Share(share) => format!("Let {cache} of {whom} forget {share} of the keys."),
                Keys::Prefix(prefix) => format!("Let {cache} of {whom} forget the keys that begin with `{prefix}`."),
            }
        }
        Action::Undrain => format!("Let {whom} take new replicas again."),
        Action::Cordon => format!("Let nothing new come to {whom}; what is there stays."),
        Action::RebootNode => format!("Switch {whom} off and on again, with all that runs there."),
        Action::ReplaceNode => format!("Move everything off {whom}, and put another machine in its place."),
        Action::ClearDisk => format!("Delete what has filled the volumes of {whom}, and stop what fills them."),
        Action::ExpandVolume { by } => format!("Make the volumes of {whom} larger by {by}."),
        Action::RenewCertificate => format!("Give {whom} a new certificate."),
        Action::RevertDrift => format!("Set the configuration of all replicas of {whom} to what is declared."),
        Action::PauseRollout => format!("Hold the rollout of {whom} where it is."),
        Action::Kill => format!("End the processes of {whom} without a word; they are started again."),
        Action::Resize { memory } => format!("Give each replica of {whom} {memory} of memory, without a restart."),
        Action::WarmCache { cache, share } => {
            let cache = cache.as_ref().map_or_else(|| "the caches".to_owned(), |cache| format!("the cache `{cache}`"));
            format!("Load {cache} of {whom} with the {share} of keys that are asked for most.")
        }
        Action::SkipMessage => format!("Throw away the messages that {whom} has failed on."),
        Action::ReplayDeadLetters => format!("Publish the dead letters of {whom} again."),
        Action::SetFlag { flag, on } => format!("Turn the flag `{flag}` of {whom} {}.", if *on { "on" } else { "off" }),
        other => format!("Do {other} to {whom}."),
    }
}

/// What follows a step.
fn outcome(text: &mut String, policy: &Policy, index: usize, step: &Step) {
    match &step.deed {
        Deed::Escalate(_) | Deed::Notify(_) | Deed::Collect(_) => return,
        Deed::Choose(candidates) => choice(text, policy, step, candidates),
        Deed::Parallel(_) | Deed::Own(_) => parts(text, policy, index, step),
        Deed::Staged(staged) => waves(text, staged),
        Deed::Act(_) | Deed::Wait(_) => {}
    }
    let is_last = index + 1 == policy.steps.len();
    match &step.verify {
        Some(verify) => {
            let hold =
                if verify.hold.as_nanos() == 0 { "is true once".to_owned() } else { format!("is true for {} at a stretch", verify.hold) };
            let condition = flat(verify.condition.plan().text());
            push(
                text,
                &format!(
                    "   It has worked if\n     {condition}\n   {hold}, at the latest {} after the action; that is looked at every {VERIFY_PERIOD}. Then the policy is done.\n",
                    verify.within
                ),
            );
        }
        None if is_last => push(text, "   Nobody looks whether it helped. Then the policy is done.\n"),
        None => push(text, "   Then go on.\n"),
    }
    if matches!(step.deed, Deed::Wait(_)) && step.verify.is_none() {
        return;
    }
    // The step that says with what they are called, if it is another one than whoever owns the policy.
    let calling = policy.steps.iter().skip(index).position(|step| matches!(step.deed, Deed::Escalate(_)));
    let as_in = calling.map_or_else(String::new, |offset| format!(", as step {} says", index + offset + 1));
    let to = format!("{}{as_in}", policy.escalation(index).to);
    match step.on_failure {
        OnFailure::Next => push(text, "   If it fails: go on.\n"),
        OnFailure::Revert => push(text, &format!("   If it fails: undo it, and call {to}.\n")),
        OnFailure::Escalate => push(text, &format!("   If it fails: call {to}.\n")),
    }
}

/// What a policy may do at a stage.
const fn may(stage: Stage) -> &'static str {
    match stage {
        Stage::Draft => "it decides nothing",
        Stage::DryRun => "it decides, and starts nothing",
        Stage::Shadow => "it decides and starts nothing, and what people do is compared with it",
        Stage::Approval => "it acts on what is not critical, after a person has said yes",
        Stage::Limited => "it acts on what is not critical, by what can be undone, one at a time",
        Stage::Guarded => "it acts on what is critical too",
        Stage::Full => "it does whatever these limits allow",
    }
}

fn limits(text: &mut String, policy: &Policy) {
    push(text, "\nLimits\n");
    // What a replica's remediation claims is its service.
    let owner = if policy.target.kind == TargetKind::Replica { TargetKind::Service } else { policy.target.kind };
    push(text, &format!("  - one remediation at a time for each {}\n", owner.word()));
    let guards = &policy.guards;
    times(text, guards);
    health(text, guards);
    if let Some(cooldown) = guards.cooldown {
        let (own, any) = (cooldown.same_policy, cooldown.any_policy);
        let rest = match any.as_nanos() {
            0 => format!("{own} after an action of this policy"),
            // What is asked for after any policy holds after this one too.
            _ if any >= own => format!("{any} after an action of any policy"),
            _ => format!("{own} after an action of this policy, and {any} after one of another policy"),
        };
        push(text, &format!("  - a target rests for {rest}\n"));
    }
    for limit in &guards.rate_limits {
        let over = match limit.scope {
            Scope::All => "altogether".to_owned(),
            scope => format!("for each {}", scope.word()),
        };
        let overflow = match limit.patience {
            None => String::new(),
            Some(Span::ZERO) => "; one too many is left to people".to_owned(),
            Some(patience) => format!("; one too many waits for at most {patience}, and is then left to people"),
        };
        push(text, &format!("  - at most {} within {}, {over}{overflow}\n", counted(limit.max.into(), "action"), limit.window));
    }
    for cap in &guards.caps {
        let place = match cap.scope {
            Scope::All | Scope::Target => "everything".to_owned(),
            Scope::Owner => "one owner's services".to_owned(),
            scope => format!("a {}", scope.word()),
        };
        push(text, &format!("  - touched at a time, by all policies: {}\n", cap.describe(&place)));
    }
    automation(text, guards);
    people(text, policy);
    let takes = policy.actions().any(|(action, _)| caps::may_take_replicas(action));
    if takes && guards.caps.iter().all(|cap| cap.of == CapOf::Targets) {
        push(text, "  - nothing limits how many replicas are touched at a time\n");
    }
    push(text, &format!("  - stage {}: {}\n", policy.stage.word(), may(policy.stage)));
    let reopening = guards.cooldown.map_or(REOPEN_AFTER, |cooldown| REOPEN_AFTER.max(cooldown.same_policy));
    push(text, &format!("\nA refused first action is proposed again after {RETRY_AFTER}, or when its limit allows. "));
    push(text, &format!("If the alert still fires {reopening} after the policy was done, it begins anew.\n"));
}

/// What happens instead of a refused action.
const fn instead(instead: Instead) -> &'static str {
    match instead {
        Instead::Wait => "",
        Instead::Ask => "; a person is asked instead",
        Instead::Approve => "; people are asked to allow it",
        Instead::Alert => "; a person is called instead, and the alert left to people",
    }
}

/// When nothing is started.
fn times(text: &mut String, guards: &GuardSettings) {
    for halt in &guards.halts {
        let condition = flat(halt.switch.condition.plan().text());
        let services: Vec<&str> = halt.services.iter().map(|service| service.as_str()).collect();
        let to = if services.is_empty() { String::new() } else { format!(" to {}", services.join(", ")) };
        let then = instead(halt.switch.instead);
        push(
            text,
            &format!(
                "  - nothing is done{to} while the project's kill switch is thrown, or that cannot be told{then}:\n      {condition}\n"
            ),
        );
    }
    for (switch, why) in [(&guards.kill_switch, "it is turned off"), (&guards.change, "a change is under way")] {
        let Some(switch) = switch else { continue };
        let condition = flat(switch.condition.plan().text());
        push(text, &format!("  - nothing is done while {why}, or that cannot be told{}:\n      {condition}\n", instead(switch.instead)));
    }
    for freeze in &guards.freezes {
        push(text, &format!("  - nothing is started {}{}\n", window_of(freeze.written()), instead(freeze.instead())));
    }
}

fn scoped(watch: &Watch) -> String {
    let scope = if watch.scope == Scope::All { "of everything".to_owned() } else { format!("of the {}", watch.scope.word()) };
    format!("{scope}, healthy being\n      {}\n", flat(watch.healthy.plan().text()))
}

/// What must be seen of health.
fn health(text: &mut String, guards: &GuardSettings) {
    if let Some(sanity) = &guards.detector_sanity {
        if let Some(fresh) = &sanity.fresh {
            push(text, &format!("  - what is seen is believed only if\n      {}\n", flat(fresh.plan().text())));
        }
        if let Some(clock) = sanity.clock {
            push(text, &format!("  - nothing is done about an alert that is told to begin more than {clock} after now\n"));
        }
        if let Some(watch) = &sanity.watch {
            push(
                text,
                &format!(
                    "  - if {} or more are unhealthy at once, the detector is suspected and nothing done: {}",
                    sanity.suspect,
                    scoped(watch)
                ),
            );
        }
    }
    if let Some(Correlated { services, share, within }) = &guards.correlated_failure {
        let services = services.map(|services| format!("{services} services"));
        let share = share.map(|(share, scope)| format!("{share} of the replicas of a {}", scope.word()));
        let limits: Vec<String> = services.into_iter().chain(share).collect();
        push(text, &format!("  - if {} fail within {within}, that is one incident: a person is asked instead\n", limits.join(" or ")));
    }
    if let Some(gate) = &guards.max_unhealthy {
        let what = if gate.watch.of == Element::Nodes { "nodes " } else { "" };
        push(text, &format!("  - nothing is done while more {what}are unhealthy than {}, {}", gate.max.describe(), scoped(&gate.watch)));
    }
    if let Some(budget) = &guards.disruption_budget {
        let target = if budget.target_is_unhealthy { " (to take one that is not costs nothing)" } else { "" };
        push(text, &format!("  - at least {} must stay healthy{target}, {}", budget.desired.describe(), scoped(&budget.watch)));
        if let Some(headroom) = &budget.headroom {
            let busy = flat(headroom.busy.plan().text());
            push(text, &format!("  - those that stay healthy must not become busier than {}, being now\n      {busy}\n", headroom.at_most));
        }
    }
}

/// Who must say yes.
fn people(text: &mut String, policy: &Policy) {
    if let Some(Confidence { source, act_at, ask_at }) = &policy.guards.confidence {
        let from = match source {
            Source::Claimed(formula) => {
                format!("as the policy claims by\n      {}\n    which must give one number", flat(formula.plan().text()))
            }
            Source::Measured => "as drills have shown for the alert and the action".to_owned(),
        };
        push(
            text,
            &format!(
                "  - how sure it is that an action is right, {from}:\n    from {act_at} on it acts;\n    from {ask_at} on it tells people, does what can be undone \
                 and is verified, undoes what has not helped, and asks people of the rest;\n    below, or if that cannot be told, a person is called instead, and the alert left to people\n"
            ),
        );
    }
    let asked = match (&policy.guards.approval, policy.stage) {
        (Some(approval), _) => approval.clone(),
        (None, Stage::Approval) => Approval::default(),
        (None, _) => return,
    };
    let of = match asked.of {
        _ if policy.stage == Stage::Approval => "each action",
        Covered::All => "each action",
        Covered::Irreversible => "each action that cannot be undone",
        Covered::Critical => "each action on something critical",
    };
    let people = if asked.quorum == 1 { "one person".to_owned() } else { format!("{} different people", asked.quorum) };
    let whose = policy.author.as_ref().map_or_else(|| policy.owner.to_string(), |author| format!("{} or {author}", policy.owner));
    push(
        text,
        &format!(
            "  - before {of}, {people} of {} must say yes within {}, and not {whose};\n    a no, or too few by then, leaves the alert to people. \
             Before it starts all of this is asked again, and if what was asked about has changed, so are they\n",
            listed(&asked.from, "or"),
            asked.expires
        ),
    );
}

/// What holds for the policy's own record.
fn automation(text: &mut String, guards: &GuardSettings) {
    if let Some(Backoff { base, factor, cap, jitter, reset_after }) = &guards.backoff {
        let spread = if jitter.get() > 0.0 { format!(", and up to {jitter} longer by chance") } else { String::new() };
        let rest = format!("a target rests for {base}, then each time for {} times as long up to {cap}{spread}", factor.get());
        push(text, &format!("  - {rest}; after {reset_after} without an action it begins anew\n"));
    }
    if let Some(chain) = &guards.ineffective_chain {
        let actions = counted(chain.actions.into(), "action");
        push(text, &format!("  - after {actions} on a target within {} that did not help, it is left to people\n", chain.within));
    }
    if let Some(lease) = guards.mutual_exclusion {
        push(text, &format!("  - it holds the locks of what it acts on, for at most {lease}, and waits for those of others\n"));
    }
    if let Some(breaker) = &guards.breaker {
        let share = breaker
            .failures
            .map(|share| format!("{share} of at least {} failed or did not help", counted(breaker.of_at_least.into(), "action")));
        let starts = breaker.actions.map(|most| format!("it has started {}", counted(most.into(), "action")));
        let limits: Vec<String> = share.into_iter().chain(starts).collect();
        let again = breaker.try_again_after.map_or_else(|| "for good".to_owned(), |after| format!("until one trial after {after} helps"));
        if !limits.is_empty() {
            push(text, &format!("  - when within {} {}, it may only call people, {again}\n", breaker.within, limits.join(" or ")));
        }
        if let Some(harm) = &guards.harm {
            let number = flat(harm.formula.plan().text());
            push(
                text,
                &format!(
                    "  - when this has grown by more than {} since an action was decided, it may only call people, {again}:\n",
                    harm.by
                ),
            );
            push(text, &format!("      {number}\n"));
        }
    }
    if guards.code.is_some() {
        push(text, "  - every action is offered to the project's rules, which may deny it or want it approved\n");
    }
    if let Some(trust) = guards.canary {
        push(text, &format!("  - one target first: others only when it has helped one within the last {trust}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;
    use crate::library;
    use std::sync::Arc;

    fn of_library(name: &str) -> Arc<Policy> {
        let (path, text) = library::policy(name).unwrap();
        read_policy(path, text).unwrap()
    }

    #[test]
    fn a_policy_that_answers_incidents_says_which_alerts_become_one() {
        let text = "
schema: policy/1
policy: p
owner: o
on: { incident: { alerts: { min: 3, names: 2, of: [Slow, Down] }, scope: zone, window: 2m }, match: { severity: page } }
target: { service: $subject }
steps: [{ restart: { mode: at_once } }]
";
        let prose = |scope: &str| {
            let policy = read_policy("p.yaml", &text.replace("scope: zone, ", scope)).unwrap_or_else(|problems| panic!("{problems:?}"));
            policy_line(&super::policy(&policy))
        };
        let policy = "When 3 alerts or more of 2 names or more of one zone begin within 2m of each other, out of Slow or Down with \
            severity=\"page\", for the service that is probably the cause:";
        assert_eq!(prose("scope: zone, "), policy);
        assert_eq!(prose("scope: all, "), policy.replace(" of one zone", ", wherever they are,"));
        assert_eq!(prose("scope: [team, env], "), policy.replace("of one zone", "that agree in env and team"));
        assert_eq!(prose(""), policy.replace("one zone", "one service (else of one zone, else of no place)"));
    }

    fn policy_line(prose: &str) -> String {
        prose.lines().find(|line| line.starts_with("When")).unwrap_or_default().to_owned()
    }

    #[test]
    fn every_guard_is_told() {
        let policy = read_policy("p.yaml", crate::document::EVERY_GUARD).unwrap_or_else(|problems| panic!("{problems:?}"));
        insta::assert_snapshot!(super::policy(&policy));
    }

    #[test]
    fn a_policy_reads_as_a_runbook() {
        insta::assert_snapshot!(policy(&of_library("scale-on-saturation")));
        insta::assert_snapshot!(policy(&of_library("restart-crashed-or-hung")));
        insta::assert_snapshot!(policy(&of_library("break-retry-storm")));
    }
}
