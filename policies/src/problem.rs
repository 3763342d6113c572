//! What can be wrong with policy files (FD03xx) and rule files (FD04xx): one constructor a problem.

use std::collections::BTreeSet;
use std::ops::Range;

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_telemetry::promql::Mistake;

/// A key whose meaning is known and that this version does not carry out. Accepting it would be to ignore it.
pub(crate) fn not_supported_yet(place: &Place, what: &str) -> Problem {
    Problem::at("FD0301", place, format!("`{what}` is not supported yet"))
        .label("this would be ignored, so it is refused")
        .remedy("remove it; the policy runs without it")
}

/// An expression of a condition that is no PromQL.
pub(crate) fn not_promql_condition(place: &Place, text: &str, mistake: &Mistake) -> Problem {
    let problem = misread("FD0302", place, text, mistake, mistake.message.clone());
    // What is written with `bool` is the same condition, so that would be no answer here.
    match mistake.message.starts_with("two numbers are compared") {
        true => problem.remedy("a condition asks for something measured: compare a series; the clock is one as `vector(time())`"),
        false => problem,
    }
}

/// A problem with a piece of PromQL, at the mistake itself where its place is known.
fn misread(code: &'static str, place: &Place, text: &str, mistake: &Mistake, message: String) -> Problem {
    let problem = Problem::at(code, &within(place, text, mistake.at.clone()), message).label("not PromQL");
    match &mistake.remedy {
        Some(remedy) => problem.remedy(remedy.clone()),
        None => problem.remedy("see https://prometheus.io/docs/prometheus/latest/querying/basics/"),
    }
}

/// The place of a stretch of a text that stands at a place, perhaps indented or over several lines; all of it if the text is not found there.
fn within(place: &Place, text: &str, at: Range<usize>) -> Place {
    let written = &place.file().text[place.range()];
    if at.start == 0 && at.end == text.len() {
        return place.clone();
    }
    if let Some(start) = written.find(text) {
        return place.part(start + at.start, start + at.end);
    }
    let from = text[..at.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[from..].lines().next().unwrap_or_default();
    match written.find(line).filter(|_| !line.trim().is_empty()) {
        Some(start) => place.part(start + at.start - from, start + (at.end - from).min(line.len())),
        None => place.clone(),
    }
}

/// An expression that is a value and asks nothing.
pub(crate) fn not_a_condition(place: &Place, value: &str) -> Problem {
    Problem::at("FD0302", place, format!("`{value}` is a value, not a condition"))
        .remedy(format!("compare it, as in `{value} > 0`, or use and, or, unless or absent()"))
}

/// A condition of which a comparison within it leaves out what it fails for.
pub(crate) fn leaves_out(place: &Place, text: &str) -> Problem {
    Problem::at("FD0349", place, format!("a comparison within `{text}` leaves out what it fails for, so that nobody sees that it fails"))
        .remedy("write it with `bool`, as in `min_over_time((x == bool 1)[5m:]) == 1`, or put comparisons together by `and`")
}

/// An expression that is PromQL and cannot be evaluated yet.
pub(crate) fn not_evaluated(place: &Place, message: &str) -> Problem {
    Problem::at("FD0302", place, message).remedy("write the condition without it, or record what it gives by a rule and ask for that")
}

/// A target that an action cannot be aimed at.
pub(crate) fn wrong_target(place: &Place, action: &str, kind: &str, fit: &[&str]) -> Problem {
    Problem::at("FD0303", place, format!("`{action}` cannot be aimed at a {kind}")).remedy(format!("aim it at a {}", fit.join(" or a ")))
}

/// `on_failure: revert` for an action without an opposite.
pub(crate) fn no_inverse(place: &Place, action: &str) -> Problem {
    Problem::at("FD0304", place, format!("`{action}` cannot be reverted")).remedy("write `on_failure: next` or `on_failure: escalate`")
}

/// `on_failure: next` on the last step.
pub(crate) fn no_next_step(place: &Place) -> Problem {
    Problem::at("FD0305", place, "there is no next step").remedy("write `on_failure: escalate`, or add a step")
}

/// A verification that cannot hold in time.
pub(crate) fn hold_beyond_within(place: &Place, hold: &str, within: &str) -> Problem {
    Problem::at("FD0306", place, format!("the condition cannot hold for {hold} within {within}"))
        .remedy("make `within` at least as long as `hold`")
}

/// A step that does nothing, or two things.
pub(crate) fn not_one_deed(place: &Place, found: usize, known: &str) -> Problem {
    let message = if found == 0 { "a step does nothing".to_owned() } else { format!("a step does {found} things") };
    Problem::at("FD0307", place, message).remedy(format!("give it exactly one of {known}"))
}

/// A step that can never be reached.
pub(crate) fn after_escalation(place: &Place) -> Problem {
    Problem::at("FD0308", place, "this step comes after an escalation, which ends the policy").remedy("move the escalation to the end")
}

/// A setting that has no meaning for this kind of step.
pub(crate) fn meaningless(place: &Place, key: &str, step: &str) -> Problem {
    Problem::at("FD0309", place, format!("`{key}` means nothing for `{step}`")).remedy(format!("remove `{key}`"))
}

/// A list that must not be empty.
pub(crate) fn empty_list(place: &Place, what: &str) -> Problem {
    Problem::at("FD0310", place, format!("{what} is empty")).remedy("give at least one")
}

/// A key of a guard that stands there without a value.
pub(crate) fn no_value(place: &Place, key: &str) -> Problem {
    Problem::at("FD0345", place, format!("`{key}` has no value, so it would guard nothing"))
        .remedy("write what it asks for, or remove the key")
}

/// A matcher that cannot be read.
pub(crate) fn not_a_matcher(place: &Place, message: &str) -> Problem {
    Problem::at("FD0311", place, message.to_owned()).remedy("write `severity: critical` or `severity: '=~ critical|page'`")
}

/// A `$` that does not stand for a whole label name.
pub(crate) fn not_a_parameter(place: &Place, text: &str) -> Problem {
    Problem::at("FD0312", place, format!("`{text}` is neither a name nor a label of the alert"))
        .remedy("write a name, or `$label` for the value of a label")
}

/// A template where a label of the alert is meant.
pub(crate) fn template(place: &Place, template: &str) -> Problem {
    Problem::at("FD0341", place, format!("`{template}` is not filled in here: templates are for the annotations of rules"))
        .remedy("write `$label` for the value of a label, in PromQL without quotes: `up{pod=$pod}`")
}

/// A target that does not say of what kind it is.
pub(crate) fn target_without_a_kind(place: &Place, text: &str) -> Problem {
    Problem::at("FD0342", place, format!("`{text}` does not say what kind of target it is"))
        .remedy(format!("write `{{ service: {text} }}` or `{{ replica: {text} }}`; other kinds are zone, client and node"))
}

/// A guard at the top of a policy.
pub(crate) fn guard_beside_guards(place: &Place, word: &str) -> Problem {
    Problem::at("FD0343", place, format!("`{word}` is a guard, and stands outside of `guard:`"))
        .remedy(format!("write it below `guard:`, as in `guard: {{ {word}: … }}`"))
}

/// A label where the alert is named.
pub(crate) fn label_beside_match(place: &Place, label: &str) -> Problem {
    Problem::at("FD0344", place, format!("`{label}` asks for a label, and stands outside of `match:`"))
        .remedy("write it below `match:`, as in `match: { severity: critical }`")
}

/// A gate that counts the nodes of a service.
pub(crate) fn nodes_of_a_service(place: &Place) -> Problem {
    Problem::at("FD0350", place, "no nodes belong to a service").remedy("count them by `scope: zone` or `scope: all`")
}

/// A share that does not say how it rounds, or a number that says it.
pub(crate) fn rounding(place: &Place, share: bool) -> Problem {
    if share {
        Problem::at("FD0313", place, "a share does not say how it rounds").remedy("add `rounding: floor` or `rounding: ceil`")
    } else {
        Problem::at("FD0313", place, "a whole number does not round").remedy("remove `rounding`")
    }
}

/// A share of targets, of which no declared number exists.
pub(crate) fn share_of_targets(place: &Place) -> Problem {
    Problem::at("FD0314", place, "a share of targets has no number to be taken of").remedy("write a whole number, or `of: replicas`")
}

/// A cap that would allow nothing.
pub(crate) fn out_of_range(place: &Place, message: &str, remedy: &str) -> Problem {
    Problem::at("FD0315", place, message.to_owned()).remedy(remedy.to_owned())
}

/// A setting without which nothing happens by itself.
pub(crate) fn unbounded_limit(place: &Place) -> Problem {
    Problem::at("FD0316", place, "the limit of retries never ends").remedy("add `lasting: 20s`")
}

/// A label that the policy needs and its incidents do not have.
pub(crate) fn not_of_the_incident(place: &Place, label: &str, known: &BTreeSet<Name>) -> Problem {
    let known: Vec<&str> = known.iter().map(Name::as_str).collect();
    let remedy = format!("its labels are {}; a list of labels as `scope:` gives others", known.join(", "));
    Problem::at("FD0317", place, format!("the incident has no label `{label}`")).remedy(remedy)
}

/// A condition that yields no element for what is not healthy, so that nothing can be counted by it.
pub(crate) fn not_countable(place: &Place) -> Problem {
    Problem::at("FD0318", place, "what is healthy cannot be counted by this")
        .remedy("write a comparison with one element for each replica, as in `up{job=\"api\"} == 1`")
}

/// A freeze that cannot be.
pub(crate) fn freeze(place: &Place, message: &str, remedy: &str) -> Problem {
    Problem::at("FD0319", place, message).remedy(remedy)
}

/// A name of which no name of a file can be made.
pub(crate) fn policy_name(place: &Place, name: &str) -> Problem {
    if name.eq_ignore_ascii_case("watch") {
        let message = format!("`{name}` cannot be a policy's name: it is that of the ledger of what a watcher was told");
        return Problem::at("FD0329", place, message).remedy("name it after what it does, such as `restart-on-hang`");
    }
    let message = format!("`{name}` cannot be a policy's name: reports and ledgers are files of that name");
    Problem::at("FD0329", place, message).remedy("use letters, digits and _ . -, and begin with none of the dots")
}

/// A name of which a file's name would be too long, or an option on a command line.
pub(crate) fn policy_name_of_a_file(place: &Place, name: &str, longest: usize) -> Problem {
    let message = match name.len() {
        length if length > longest => {
            format!(
                "a policy's name cannot have {length} bytes: reports and ledgers are files of that name, and its bytes are at most {longest}"
            )
        }
        _ => format!("`{name}` cannot be a policy's name: commands take what begins with a dash for an option"),
    };
    Problem::at("FD0329", place, message).remedy("name it after what it does, such as `restart-on-hang`")
}

/// A guard without any of what it could hold.
pub(crate) fn asks_nothing(place: &Place, guard: &str, keys: &str) -> Problem {
    Problem::at("FD0320", place, format!("`{guard}` asks for nothing")).remedy(format!("give {keys}"))
}

/// What becomes of one start too many, half said.
pub(crate) fn overflow(place: &Place, word: &str) -> Problem {
    let message = if word == "queue" { "`queue` does not say for how long" } else { "`refuse` has nothing to say more" };
    Problem::at("FD0321", place, message).remedy("write `overflow: refuse` or `overflow: { queue: 5m }`")
}

/// An escalation that says nobody, or somebody in two ways.
pub(crate) fn whom_to_call(place: &Place, both: bool) -> Problem {
    let message = if both { "whom to call is said twice" } else { "`escalate` does not say whom to call" };
    Problem::at("FD0370", place, message).remedy("write `to: oncall`, or `ladder: [{ to: oncall }, { to: lead, after: 15m }]`")
}

/// A ladder that does not climb.
pub(crate) fn ladder(place: &Place, message: &str) -> Problem {
    Problem::at("FD0371", place, message).remedy("count `after` from the first call, each longer than the one before")
}

/// An expression that yields no numbers at one time.
pub(crate) fn not_a_number(place: &Place, text: &str) -> Problem {
    Problem::at("FD0372", place, format!("`{text}` is no number at one time"))
        .remedy("write an expression that yields numbers, as in `max_over_time(up[5m])`")
}

/// A candidate that does nothing, or two things, or what cannot be chosen.
pub(crate) fn not_one_candidate(place: &Place, found: usize, known: &str) -> Problem {
    let message = if found == 0 { "a candidate does nothing".to_owned() } else { format!("a candidate does {found} things") };
    Problem::at("FD0373", place, message).remedy(format!("give it exactly one of {known}"))
}

/// A candidate that nobody can compare.
pub(crate) fn no_score(place: &Place, word: &str, example: &str) -> Problem {
    Problem::at("FD0374", place, format!("`{word}` has no score, so it cannot be compared"))
        .remedy(format!("add a number or PromQL, as in `{{ {word}: {example}, score: 'hung:share1m', risk: low }}`"))
}

/// A candidate whose risk nobody stated.
pub(crate) fn no_risk(place: &Place, word: &str) -> Problem {
    Problem::at("FD0375", place, format!("`{word}` does not say its risk"))
        .remedy("add `risk: low`, `medium`, `high`, or a number from 0 to 1")
}

/// A risk that is none.
pub(crate) fn risk_beyond(place: &Place, risk: f64) -> Problem {
    Problem::at("FD0375", place, format!("a risk of {risk} is not between 0 and 1"))
        .remedy("write `low`, `medium`, `high`, or a number from 0 to 1")
}

/// A choice that waits in two ways.
pub(crate) fn waits_twice(place: &Place) -> Problem {
    Problem::at("FD0376", place, "`wait` stands twice among the candidates").remedy("keep one of the two")
}

/// A choice with nothing but waiting in it.
pub(crate) fn nothing_to_choose(place: &Place) -> Problem {
    Problem::at("FD0376", place, "there is nothing to choose but to wait").remedy("add an action, or write the wait as a step of its own")
}

/// A parallel step with less than two actions.
pub(crate) fn not_several(place: &Place, found: usize) -> Problem {
    Problem::at("FD0377", place, format!("`parallel` has {}", firedrill_core::words::counted(found as u64, "action")))
        .remedy("give it two or more, or write one as a step of its own")
}

/// One thing that would be done twice at the same time.
pub(crate) fn twice_at_a_time(place: &Place, action: &str) -> Problem {
    Problem::at("FD0377", place, format!("`{action}` stands twice for one target"))
        .remedy("keep one of the two, or give one another target")
}

/// A staged step that nobody looks at.
pub(crate) fn staged_unverified(place: &Place) -> Problem {
    Problem::at("FD0378", place, "`staged` goes on without looking whether the first wave has helped")
        .remedy("add `verify: { expr: …, hold: 30s, within: 3m }` to the step")
}

/// Where an action is asked for and none or several stand.
pub(crate) fn not_one_action(place: &Place, what: &str, found: usize, known: &str) -> Problem {
    let message = if found == 0 { format!("{what} has no action") } else { format!("{what} has {found} actions") };
    Problem::at("FD0379", place, message).remedy(format!("give it exactly one of {known}"))
}

/// Targets of a staged step that have no kind, or several.
pub(crate) fn each_of_what(place: &Place, found: usize) -> Problem {
    let message = if found == 0 { "`each` does not say what each target is" } else { "`each` says several times what each target is" };
    Problem::at("FD0360", place, message)
        .remedy("write the kind with the label that names it, as in `each: { replica: pod, from: 'up == 0' }`")
}

/// Declared replicas of what has none.
pub(crate) fn declared_of_what(place: &Place) -> Problem {
    Problem::at("FD0361", place, "`target` stands for the declared replicas of a service")
        .remedy("aim the step at a service and write `each: { replica: pod, from: target }`, or give an expression")
}

/// An order by calls of what does not call.
pub(crate) fn no_dependencies(place: &Place, kind: &str) -> Problem {
    Problem::at("FD0362", place, format!("a {kind} calls nothing, so there is no such order"))
        .remedy("remove `order`, or come to services or replicas")
}

/// An action by a name that nobody defined.
pub(crate) fn no_such_action(place: &Place, name: &str, near: Option<&str>, none: bool) -> Problem {
    let remedy = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if none => format!("define it: `actions: {{ {name}: {{ models: [{{ drain: {{}}, takes: 30s, fails: 2% }}] }} }}`"),
        None => "define it among `actions`".to_owned(),
    };
    Problem::at("FD0363", place, format!("nobody has defined the action `{name}`")).remedy(remedy)
}

/// An own action with the name of one that is known.
pub(crate) fn known_action(place: &Place, name: &str) -> Problem {
    Problem::at("FD0363", place, format!("`{name}` is an action already")).remedy("choose another name")
}

/// A script of which nothing else is known.
pub(crate) fn runs_without_models(place: &Place) -> Problem {
    Problem::at("FD0364", place, "firedrill does not know what this does to your system")
        .label("never executed, so it must be modelled")
        .remedy("add `models:`, the actions that it amounts to: `models: [{ drain: {}, takes: 30s, fails: 2% }]`")
}

/// A script that cannot be read.
pub(crate) fn script_not_read(place: &Place, path: &str, why: &str) -> Problem {
    Problem::at("FD0365", place, format!("`{path}` cannot be read: {why}"))
        .remedy("give its path from the policy's folder; it is read and never executed")
}

/// A document that holds no rules.
pub(crate) fn no_rules(place: &Place, found: &str) -> Problem {
    Problem::at("FD0401", place, format!("{found} holds no rules"))
        .remedy("give a Prometheus rule file (`groups:`) or a PrometheusRule manifest")
}

/// An expression that is no PromQL.
pub(crate) fn not_promql(place: &Place, rule: &str, text: &str, mistake: &Mistake) -> Problem {
    misread("FD0402", place, text, mistake, format!("`{rule}`: {}", mistake.message))
}

/// A duration that Prometheus would not read.
pub(crate) fn not_a_prometheus_duration(place: &Place, text: &str) -> Problem {
    Problem::at("FD0403", place, format!("`{text}` is not a duration as Prometheus writes it")).remedy("write `30s`, `5m` or `1h30m`")
}

/// A rule that is neither recording nor alerting, or both.
pub(crate) fn not_one_rule(place: &Place, both: bool) -> Problem {
    let message = if both { "a rule has both `record` and `alert`" } else { "a rule has neither `record` nor `alert`" };
    Problem::at("FD0404", place, message).remedy("give it exactly one of the two")
}

/// A key that a recording rule cannot have.
pub(crate) fn not_for_recording(place: &Place, key: &str) -> Problem {
    Problem::at("FD0405", place, format!("a recording rule has no `{key}`")).remedy("remove it, or write `alert` instead of `record`")
}

/// A name that Prometheus would not accept.
pub(crate) fn invalid_name(place: &Place, what: &str, text: &str) -> Problem {
    Problem::at("FD0406", place, format!("`{text}` is not {what}")).remedy("choose another name, of letters, digits and _")
}

/// Two groups of a file with one name.
pub(crate) fn group_twice(place: &Place, name: &str) -> Problem {
    Problem::at("FD0407", place, format!("the group `{name}` stands twice in this file")).remedy("rename one of the two")
}

/// A group without a name, with which Prometheus refuses the whole file.
pub(crate) fn nameless_group(place: &Place) -> Problem {
    Problem::at("FD0408", place, "a group's name is empty").remedy("give it a name")
}

/// What Prometheus would not read of a rule file.
pub(crate) fn second_document(place: &Place) -> Problem {
    Problem::at("FD0410", place, "a second document begins here, and of a rule file Prometheus reads the first alone")
        .remedy("write its groups below the `groups:` of the first, or in a file of their own")
}

/// A text that is no template.
pub(crate) fn not_a_template(place: &Place, alert: &str, why: &str) -> Problem {
    Problem::at("FD0409", place, format!("a text of `{alert}` is no template: {why}")).remedy(
        "Prometheus refuses the whole file for it; see https://prometheus.io/docs/prometheus/latest/configuration/template_reference/",
    )
}

/// A policy that waits for an alert that no rule gives.
pub(crate) fn no_such_alert(place: &Place, policy: &str, alert: &str, near: Option<&str>) -> Problem {
    let problem = Problem::at("FD0330", place, format!("`{policy}` waits for `{alert}`, and no rule alerts so"));
    match near {
        Some(near) => problem.remedy(format!("did you mean `{near}`?")),
        None => problem.remedy("name an alert of the rules, or give the rules that have it"),
    }
}

/// A policy that waits for an alert which the library does not have, where nobody said which rules it goes with.
pub(crate) fn not_held_against_rules(place: &Place, policy: &str, alert: &str, near: Option<&str>) -> Problem {
    let what = format!("`{policy}` waits for `{alert}`, and no rule of the library alerts so; no other rules are here to look in");
    let meant = near.map(|near| format!("did you mean `{near}`? else ")).unwrap_or_default();
    Problem::at("FD0330", place, what).as_warning().remedy(format!("{meant}name the rule files too, as in `firedrill check POLICY RULES`"))
}

/// A policy that waits for an alert whose rule cannot be evaluated yet.
pub(crate) fn alert_never_fires(path: &str, policy: &str, alert: &str, why: &str) -> Problem {
    Problem::in_file("FD0331", path, format!("`{policy}` waits for `{alert}`, which never fires here: {why}"))
        .as_warning()
        .remedy("mend the rule, or wait for an alert that can fire")
}

/// A policy whose matchers exclude the alert that it waits for.
pub(crate) fn never_matches(path: &str, policy: &str, alert: &str, matcher: &str) -> Problem {
    Problem::in_file("FD0332", path, format!("`{policy}` asks for {matcher}, and `{alert}` never has it"))
        .as_warning()
        .remedy("match the labels that the alert has")
}

/// Caps that refuse everything in some services; the action and the figures are those of the first.
pub(crate) fn can_never_act(place: &Place, policy: &str, services: &[&str], (action, figures): (&str, &str)) -> Problem {
    Problem::at("FD0333", place, format!("`{policy}` can never {action} in {}: {figures}", quoted(services)))
        .as_warning()
        .remedy("raise the cap, or give it `at_least: 1`")
}

/// Caps that allow everything in some services, or no caps.
pub(crate) fn can_act_on_all(place: &Place, policy: &str, (services, has_cap): (&[&str], bool)) -> Problem {
    let remedy = match has_cap {
        true => "lower its `max` or its `at_least`, so that not all of a service are taken together",
        false => "add a cap, such as `caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]`",
    };
    Problem::at("FD0334", place, format!("`{policy}` can take all replicas at a time of {}", quoted(services))).as_warning().remedy(remedy)
}

/// A cap or a gate that is never reached.
pub(crate) fn keeps_nothing_back(place: &Place, policy: &str, guard: &str) -> Problem {
    Problem::at("FD0325", place, format!("{guard} in `{policy}` keeps nothing back: there are no more than that"))
        .as_warning()
        .remedy("lower it, or remove it if everything may be worked on")
}

/// A disruption budget that refuses whatever takes something.
pub(crate) fn leaves_nothing(place: &Place, policy: &str, (action, desired): (&str, &str)) -> Problem {
    Problem::at(
        "FD0324",
        place,
        format!("`{policy}` can never {action}: of the declared {desired} must stay healthy, so none may be taken"),
    )
    .as_warning()
    .remedy("lower `desired`, or write `target: unhealthy` if it acts on replicas that are broken anyway")
}

/// A cap by what the project does not say of everything.
pub(crate) fn in_no_part(place: &Place, policy: &str, (scope, kind, missing): (&str, &str, &[&str])) -> Problem {
    let message = format!("the cap by {scope} of `{policy}` refuses everything in {}, of which no {scope} is declared", quoted(missing));
    let remedy = format!("say it below `{kind}s:` of firedrill.yaml, or cap by another scope");
    Problem::at("FD0326", place, message).as_warning().remedy(remedy)
}

/// A verification of what the action itself takes away.
pub(crate) fn verifies_what_is_gone(place: &Place, policy: &str, label: &str) -> Problem {
    Problem::at(
        "FD0327",
        place,
        format!("`{policy}` drains a replica and then asks for that replica, which is gone: another comes up under another name"),
    )
    .as_warning()
    .remedy(format!("ask for what all of the service show, and not for `${label}`"))
}

/// An action at a stage that never allows it.
pub(crate) fn never_at_stage(place: &Place, policy: &str, action: &str) -> Problem {
    let message = format!(
        "at the stage `limited` `{policy}` does `{action}`, which nothing undoes, only if people allow it, and it names nobody who may"
    );
    Problem::at("FD0328", place, message)
        .as_warning()
        .remedy("name them by `approval:`, write `stage: approval` or `stage: guarded`, or do something that can be undone")
}

/// A precheck whose comparison holds for no value that there can be.
pub(crate) fn precheck_has_no_value(place: &Place, policy: &str, why: &str) -> Problem {
    Problem::at("FD0359", place, format!("this precheck of `{policy}` never holds: {why}; so it never acts"))
        .as_warning()
        .remedy("compare with a value that it can have")
}

/// Two prechecks of which one holds where the other does not.
pub(crate) fn prechecks_oppose(place: &Place, policy: &str, why: &str) -> Problem {
    Problem::at("FD0359", place, format!("this precheck of `{policy}` and one before it never hold together: {why}; so it never acts"))
        .as_warning()
        .remedy("remove one of the two, or ask for different series")
}

/// A condition whose comparison has one outcome for all values that there can be.
pub(crate) fn condition_has_one_value(place: &Place, policy: &str, why: &str) -> Problem {
    Problem::at("FD0340", place, format!("this condition of `{policy}` says the same whatever is seen: {why}"))
        .as_warning()
        .remedy("compare with a value that it can have and can be without")
}

/// What must be off, as a text or a list.
pub(crate) fn switch_is_a_map(place: &Place, is_list: bool) -> Problem {
    let remedy = match is_list {
        true => {
            "write one, `{ expr: 'automation_off == 1' }`, with `or` between conditions; a list of kill switches stands in firedrill.yaml"
        }
        false => "write it as `{ expr: 'automation_off == 1' }`",
    };
    Problem::at("FD0431", place, "what must be off must be a map with its `expr`").remedy(remedy)
}

/// Neither an alert nor anything else to wait for.
pub(crate) fn waits_for_nothing(place: &Place) -> Problem {
    Problem::at("FD0104", place, "`on` has no `alert`")
        .remedy("add `alert:`; or `incident:`, to answer several alerts as one; or `receiver:`, to answer what a receiver is told")
}

/// A guard's condition whose comparison has one outcome for all values that there can be.
pub(crate) fn guard_has_one_value(path: &str, policy: &str, why: &str) -> Problem {
    Problem::in_file("FD0340", path, format!("this condition of a guard of `{policy}` says the same whatever is seen: {why}"))
        .as_warning()
        .remedy("compare with a value that it can have and can be without")
}

/// A quorum that is more people than can answer.
pub(crate) fn quorum_of_nobody(place: &Place, policy: &str, (quorum, most): (u32, u64)) -> Problem {
    let message = format!("`{policy}` asks until {quorum} people have said yes, and of those it asks there are {most} at most");
    Problem::at("FD0357", place, message)
        .as_warning()
        .remedy("lower `quorum`, or declare the people in the scenarios: `human: { approvers: … }`")
}

/// A freeze whose windows follow each other without a gap.
pub(crate) fn freezes_always(place: &Place, policy: &str, from: &str) -> Problem {
    Problem::at("FD0340", place, format!("the freeze of `{policy}` from {from} on leaves no time at which it may act"))
        .as_warning()
        .remedy("make `lasting` shorter than the time from one window to the next, or remove the policy")
}

/// A limit that is never the one that counts.
pub(crate) fn limit_without_meaning(place: &Place, policy: &str, (what, why): (&str, &str)) -> Problem {
    Problem::at("FD0399", place, format!("{what} in `{policy}` is of no effect: {why}")).as_warning().remedy("remove it, or the other one")
}

/// A policy that scales services to fewer replicas than are declared, and no cap says how far. `taken` says what is taken of each.
pub(crate) fn can_scale_down(place: &Place, policy: &str, taken: &[String]) -> Problem {
    Problem::at("FD0334", place, format!("`{policy}` can take replicas at a time: {}", taken.join(", "))).as_warning().remedy(
        "scale `by:` or `times:` instead, or add a cap, such as `caps: [{ scope: service, of: replicas, max: 25%, rounding: floor }]`",
    )
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A guard that rests on verifications, beside steps that have none.
pub(crate) fn guard_of_verifications(place: &Place, policy: &str, (guard, action): (&str, &str)) -> Problem {
    Problem::at("FD0346", place, format!("`{guard}` of `{policy}` goes by what helped, and nobody looks whether `{action}` does"))
        .as_warning()
        .remedy("add `verify: { expr: …, hold: 30s, within: 3m }` to that step, or remove the guard")
}

/// Guards of a policy without actions.
pub(crate) fn guards_of_nothing(place: &Place, policy: &str) -> Problem {
    Problem::at("FD0347", place, format!("`{policy}` only calls and tells people, and guards keep back actions, not calls"))
        .as_warning()
        .remedy("remove the guards; let the alerts' routing say how often people are told (`group_interval`, `repeat_interval`)")
}

/// A staged step that is verified by a label of the alert where it acts on others.
pub(crate) fn verifies_the_alerts_own(place: &Place, policy: &str, label: &str) -> Problem {
    Problem::at("FD0348", place, format!("`{policy}` acts on one after another, and looks each time at the `${label}` of its alert"))
        .as_warning()
        .remedy(format!("verify what all of them have in common, and leave `${label}` out"))
}

/// A policy that never looks at what it did.
pub(crate) fn nothing_verified(place: &Place, policy: &str) -> Problem {
    Problem::at("FD0335", place, format!("no step of `{policy}` verifies that it helped"))
        .as_warning()
        .remedy("add `verify: { expr: …, hold: 30s, within: 3m }` to the step that should help")
}

/// Two policies of one name; the first stands in `other`.
pub(crate) fn policy_twice(place: &Place, policy: &str, other: &str) -> Problem {
    Problem::at("FD0336", place, format!("two policies are called `{policy}`: the other stands in {other}"))
        .remedy("give one of them another name")
}

/// A series of a rule test that is none.
pub(crate) fn not_a_series(place: &Place, message: &str) -> Problem {
    Problem::at("FD0420", place, format!("this is no series: {message}")).remedy("write `name{label=\"value\"}`")
}

/// Values of a rule test that are none.
pub(crate) fn not_values(place: &Place, text: &str, mistake: &Mistake) -> Problem {
    let problem = Problem::at("FD0421", &within(place, text, mistake.at.clone()), format!("these are no values: {}", mistake.message));
    Problem { remedy: mistake.remedy.clone(), ..problem }
}

/// An alert test that does not say of which alert.
pub(crate) fn no_alert_name(place: &Place) -> Problem {
    Problem::at("FD0422", place, "the alert's name is empty").remedy("write the name of an alert, as in `alertname: InstanceDown`")
}

/// An expression of a rule test that is no PromQL.
pub(crate) fn test_not_promql(place: &Place, text: &str, mistake: &Mistake) -> Problem {
    misread("FD0423", place, text, mistake, mistake.message.clone())
}

/// A group that stands twice in the order of evaluation.
pub(crate) fn ordered_twice(place: &Place, name: &str) -> Problem {
    Problem::at("FD0424", place, format!("the group `{name}` stands twice in the order of evaluation")).remedy("keep one of the two")
}

/// A moment so late that reaching it would take for ever.
pub(crate) fn too_many_steps(place: &Place, most: u64) -> Problem {
    Problem::at("FD0425", place, format!("this is more than {most} evaluations after the start"))
        .remedy("make `evaluation_interval` longer, or `eval_time` shorter")
}

/// A recording as a rule test's input, of no format or of several.
pub(crate) fn not_one_recording(place: &Place) -> Problem {
    Problem::at("FD0430", place, "a recording is one file of one format")
        .remedy("write `recording: { openmetrics: metrics.txt }`; there are openmetrics, prometheus and firedrill")
}

/// A start that is no moment.
pub(crate) fn not_a_start(place: &Place, text: &str) -> Problem {
    Problem::at("FD0426", place, format!("`{text}` is no moment")).remedy("write seconds since 1970, or `2026-01-05T00:00:00Z`")
}

/// A notification that lists no alert.
pub(crate) fn expects_nothing(place: &Place) -> Problem {
    Problem::at("FD0427", place, "a notification lists at least one alert, and none is expected here")
        .remedy("write `firing: [{ alertname: NAME }]` or `resolved:`; that nothing is sent is expected by leaving the notification out")
}

/// A notification after the moment until which a receiver's are compared.
pub(crate) fn expects_later(place: &Place) -> Problem {
    Problem::at("FD0428", place, "this is expected after the test's `eval_time`").remedy("raise `eval_time:`, or correct `at:`")
}

/// Decision tests in a file that names no policies.
pub(crate) fn no_policies(place: &Place) -> Problem {
    Problem::at("FD0380", place, "the file names no policies, so nothing decides")
        .remedy("write `policies: [policy.yaml]` at the top of the file")
}

/// An expected decision that is none, or several.
pub(crate) fn not_one_decision(place: &Place, kinds: &[&str]) -> Problem {
    Problem::at("FD0381", place, "this does not expect one decision").remedy(format!("give it exactly one of {}", kinds.join(", ")))
}

/// A text that is no target.
pub(crate) fn not_a_target(place: &Place, message: &str) -> Problem {
    Problem::at("FD0382", place, message.to_owned())
}

/// Notifications without an Alertmanager that would send them.
pub(crate) fn no_alertmanager(place: &Place) -> Problem {
    Problem::at("FD0429", place, "notifications are expected, and the file names no Alertmanager configuration")
        .remedy("add `alertmanager: alertmanager.yml` at the top of the file")
}

/// A policy that needs a label which its alert never has; with the nearest label that it has, and all of them.
pub(crate) fn label_never_there(path: &str, policy: &str, alert: &str, (label, near, carried): (&str, Option<&str>, &[&str])) -> Problem {
    let message = format!("`{policy}` needs the label `{label}`, and `{alert}` never has it");
    let remedy = near.map_or_else(|| format!("its labels are {}", carried.join(", ")), |near| format!("did you mean `{near}`?"));
    Problem::in_file("FD0337", path, message).as_warning().remedy(remedy)
}

/// A target by a label that never names one.
pub(crate) fn label_names_none(path: &str, alert: &str, (kind, label, held): (&str, &str, &[String])) -> Problem {
    let message = format!("the label `{label}` of `{alert}` never names a {kind}");
    Problem::in_file("FD0338", path, message).as_warning().remedy(format!("it is {}", held.join(", ")))
}

/// A target by a name that no scenario declares.
pub(crate) fn no_such_target(path: &str, kind: &str, name: &str, known: &[&str]) -> Problem {
    let near = firedrill_core::problem::near_miss(name, known);
    let remedy = near.map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    Problem::in_file("FD0339", path, format!("no scenario here has a {kind} `{name}`")).as_warning().remedy(remedy)
}

/// A condition that never finds anything, or that always does because it asks for the absence of what is never there.
pub(crate) fn condition_decided(path: &str, policy: &str, always: bool, (why, remedy): (&str, &str)) -> Problem {
    let says = if always { "says the same at all times" } else { "never finds anything" };
    Problem::in_file("FD0340", path, format!("this condition of `{policy}` {says}: {why}")).as_warning().remedy(remedy)
}

/// An action that has an opposite, after whose failure it is left as it is.
pub(crate) fn never_undone(place: &Place, policy: &str, action: &str) -> Problem {
    Problem::at("FD0351", place, format!("`{policy}` leaves `{action}` as it is when it has not helped"))
        .as_info()
        .remedy("write `on_failure: revert`: what is undone is one thing less for people to find")
}

/// A policy that nothing keeps from acting again and again.
pub(crate) fn no_rate_limit(place: &Place, policy: &str) -> Problem {
    Problem::at("FD0352", place, format!("nothing limits how often `{policy}` acts"))
        .as_warning()
        .remedy("add a limit, such as `rate_limit: [{ max: 3, window: 1h, scope: target }]`")
}

/// A scaling that may be repeated without an end, outwards or inwards.
pub(crate) fn unbounded_scaling(place: &Place, policy: &str, is_out: bool) -> Problem {
    let (what, bound) = if is_out {
        ("gives more replicas each time, and nothing says how many are enough", "< 10")
    } else {
        ("takes replicas away each time, and nothing says how few are enough", "> 3")
    };
    let remedy =
        format!("scale `to:` or `times:`, or add a precheck, such as `kube_deployment_spec_replicas{{deployment=$service}} {bound}`");
    Problem::at("FD0353", place, format!("`{policy}` {what}")).as_warning().remedy(remedy)
}

/// A gate where a cap is needed as well.
pub(crate) fn gate_without_cap(place: &Place, policy: &str) -> Problem {
    Problem::at(
        "FD0354",
        place,
        format!("`{policy}` has a gate and no cap: `max_unhealthy` counts what is broken, not what is being worked on"),
    )
    .as_warning()
    .remedy("add a cap, such as `caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]`")
}

/// A policy that hears a receiver and names no alert.
pub(crate) fn answers_every_alert(place: &Place, policy: &str) -> Problem {
    Problem::at("FD0355", place, format!("`{policy}` acts on every alert that reaches this receiver"))
        .as_warning()
        .remedy("name alerts (`alert:`) or labels (`match:`), or route to a receiver that gets no others")
}

/// A matcher that asks for nothing.
pub(crate) fn matcher_of_everything(place: &Place, policy: &str, matcher: &str) -> Problem {
    Problem::at("FD0355", place, format!("every alert meets {matcher} of `{policy}`"))
        .as_warning()
        .remedy("remove it, or ask for what is meant")
}

/// Two policies that may work on one target without knowing of each other.
pub(crate) fn policies_overlap(place: &Place, (policy, other): (&str, &str), alert: &str) -> Problem {
    Problem::at("FD0356", place, format!("`{policy}` and `{other}` both act on `{alert}`, and nothing keeps them apart"))
        .as_warning()
        .remedy("give both `mutual_exclusion: { lease: 15m }`, or let them match different labels")
}

/// Policies of which one does what the other undoes or disturbs.
pub(crate) fn policies_oppose(place: &Place, (policy, action): (&str, &str), (other, against): (&str, &str)) -> Problem {
    let message = format!("`{policy}` may {action} what `{other}` wants to {against}, and nothing keeps them apart");
    Problem::at("FD0366", place, message)
        .as_warning()
        .remedy("give both `mutual_exclusion: { lease: 15m }`, or a `cooldown:` for any policy")
}

/// A score, a list of targets or evidence that yields nothing wherever the policy is played.
pub(crate) fn formula_finds_nothing(path: &str, (what, policy): (&str, &str), (why, remedy): (&str, &str)) -> Problem {
    Problem::in_file("FD0367", path, format!("this {what} of `{policy}` never finds anything: {why}")).as_warning().remedy(remedy)
}

/// A list of targets without the label that names them.
pub(crate) fn list_names_nothing(path: &str, policy: &str, (label, carried): (&str, &[&str])) -> Problem {
    let message = format!("`{policy}` reads its targets from the label `{label}`, and what this finds never has it");
    let labels = if carried.is_empty() { "it has no labels".to_owned() } else { format!("its labels are {}", carried.join(", ")) };
    Problem::in_file("FD0368", path, message).as_warning().remedy(labels)
}

/// A receiver that is called and has no way to be told.
pub(crate) fn receiver_without_a_way(place: &Place, policy: &str, to: &str) -> Problem {
    Problem::at("FD0357", place, format!("`{policy}` calls `{to}`, and the receiver of this name tells nobody"))
        .as_warning()
        .remedy("give the receiver a way to be told, such as `pagerduty_configs:`, or call another")
}

/// An action that nothing undoes, of which nobody is asked.
pub(crate) fn irreversible_unasked(place: &Place, policy: &str, action: &str) -> Problem {
    Problem::at("FD0358", place, format!("`{policy}` does `{action}` without asking anybody, and nothing undoes it"))
        .as_warning()
        .remedy("write `stage: approval` or `approval: { from: [oncall], of: irreversible }`, or allow it here with the reason: `# firedrill: allow FD0358 …`")
}

/// A scaling of what an autoscaler scales.
pub(crate) fn scales_what_is_scaled(place: &Place, policy: &str, services: &[&str]) -> Problem {
    let services = services.join(", ");
    let told =
        format!("`{policy}` scales {services}, which an autoscaler scales too: it takes away what this adds, or adds what this takes away");
    Problem::at("FD0369", place, told)
        .as_warning()
        .remedy("ask first what it is at, as by `kube_horizontalpodautoscaler_spec_max_replicas`, or leave the service to it")
}

/// A precheck that compares numbers with numbers and never holds.
pub(crate) fn precheck_never_holds(place: &Place, policy: &str) -> Problem {
    Problem::at("FD0359", place, format!("this precheck of `{policy}` never holds, whatever is seen, so it never acts"))
        .as_warning()
        .remedy("compare what is measured, or remove the policy")
}

/// A role that is named twice among those who may say yes.
pub(crate) fn role_twice(place: &Place, role: &str) -> Problem {
    Problem::at("FD0383", place, format!("`{role}` stands twice among those who may say yes"))
        .remedy("name each role once; how many people must say yes is said by `quorum:`")
}

/// A policy that its own people would approve.
pub(crate) fn own_approval(place: &Place, policy: &str, role: &str) -> Problem {
    Problem::at("FD0384", place, format!("`{role}` may not say yes to what `{policy}` does: nobody approves their own policy"))
        .remedy("name a role of other people, such as `from: [oncall]`")
}

/// A confidence that comes from nowhere, or from two places.
pub(crate) fn source_of_confidence(place: &Place, both: bool) -> Problem {
    let message = if both { "this confidence is claimed and measured" } else { "this confidence comes from nowhere" };
    Problem::at("FD0386", place, message)
        .remedy("write `confidence: measured`, or `confidence: { expr: … }` with PromQL that gives one number")
}

/// A confidence that is a number, and so the same whatever is seen.
pub(crate) fn constant_confidence(place: &Place) -> Problem {
    Problem::at("FD0389", place, "a confidence that is the same whatever is seen says nothing")
        .remedy("write `confidence: measured`, or `confidence: { expr: … }` with PromQL that gives one number")
}

/// A claim that is a comparison, which filters.
pub(crate) fn claim_compares(place: &Place, text: &str) -> Problem {
    Problem::at("FD0388", place, format!("`{text}` compares, and gives no number where it does not hold"))
        .remedy("write the number itself; from where on it suffices is said by `act_at:` and `ask_at:`")
}

/// Bounds of a confidence that cross.
pub(crate) fn bounds_of_confidence(place: &Place, ask_at: f64, act_at: f64) -> Problem {
    Problem::at("FD0387", place, format!("it would ask from {ask_at} on and act from {act_at} on, so it would never ask"))
        .remedy("let `ask_at` be at most `act_at`")
}

/// People who would never be asked.
pub(crate) fn nothing_to_approve(place: &Place, why: &str) -> Problem {
    Problem::at("FD0385", place, format!("people are asked of nothing: {why}")).remedy("write `of: all`, or remove `approval`")
}

/// A policy defines an action that its project defines too.
pub(crate) fn action_of_project(place: &Place, name: &str) -> Problem {
    Problem::at("FD0322", place, format!("the project defines an action `{name}` too"))
        .label("which of them is meant could not be told from a step")
        .remedy("call it by another name, or remove it and use the project's")
}

/// A kill switch of a project that asks for a label of the alert.
pub(crate) fn label_in_project(place: &Place, label: &str) -> Problem {
    Problem::at("FD0323", place, format!("a kill switch of the project cannot ask for `${label}`: not every alert has it"))
        .remedy("name `services`, `owners` or `policies` that it stops, or write it as `guard: { kill_switch: … }` of a policy")
}

/// A project names a bundle of Rego, and this program was built without what reads it.
pub(crate) fn code_not_built(place: &Place) -> Problem {
    Problem::at("FD0393", place, "this firedrill was built without policy as code")
        .label("without these rules more would be allowed than the project wants")
        .remedy("build it with `cargo build --release --features rego`")
}

/// A text that is no Rego, or Rego that cannot be compiled.
#[cfg(feature = "rego")]
pub(crate) fn code_misread(place: &Place, what: &str) -> Problem {
    Problem::at("FD0394", place, what).remedy("see https://www.openpolicyagent.org/docs/policy-language; rules are written as in OPA 1")
}

/// A bundle without any rule that is asked; `near` is one that may have been meant as one.
#[cfg(feature = "rego")]
pub(crate) fn code_without_rules(place: &Place, near: Option<(Place, &str, &str)>) -> Problem {
    let what = "no rule here is asked about actions";
    match near {
        Some((place, name, near)) => {
            Problem::at("FD0395", &place, format!("`{name}` is never asked, and {what}")).remedy(format!("did you mean `{near}`?"))
        }
        None => Problem::at("FD0395", place, what)
            .remedy("write `package firedrill` and one of `deny contains message if {`, `require_approval contains …`, `warn contains …`"),
    }
}

/// A function that a bundle may not call.
#[cfg(feature = "rego")]
pub(crate) fn code_forbidden(place: &Place, word: &str, why: &str) -> Problem {
    Problem::at("FD0396", place, format!("`{word}` must not be called here: {why}")).remedy("write the rule without it")
}

/// A package that is never asked.
#[cfg(feature = "rego")]
pub(crate) fn code_elsewhere(place: &Place, package: &str) -> Problem {
    Problem::at("FD0397", place, format!("the rules of package `{package}` are never asked, and nothing here reads them"))
        .as_warning()
        .remedy("write `package firedrill`, or remove the file from the bundle")
}

/// A rule whose name is near one that is asked.
#[cfg(feature = "rego")]
pub(crate) fn code_near_miss(place: &Place, name: &str, near: &str) -> Problem {
    Problem::at("FD0398", place, format!("`{name}` is never asked, and nothing here reads it"))
        .as_warning()
        .remedy(format!("did you mean `{near}`?"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What is wrong with a sound file after one replacement: line, code and message of each problem.
    #[track_caller]
    pub(crate) fn check<T>(read: impl Fn(&str) -> Result<T, Vec<Problem>>, sound: &str, (from, to): (&str, &str), expected: &[&str]) {
        assert!(sound.contains(from), "{from}");
        let problems = read(&sound.replacen(from, to, 1)).err().unwrap_or_default();
        let told = |problem: &Problem| format!("{}:{} {}", problem.place.as_ref().map_or(0, Place::line), problem.code, problem.message);
        assert_eq!(problems.iter().map(told).collect::<Vec<_>>(), expected);
    }
}
