//! `firedrill check` tells the truth about what can fire: never "cannot" of what can, and "cannot" of what people get wrong.

use crate::common;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::common::{Done, each, firedrill, holds, write};
use firedrill::drill::{Answer, Arm, Drill, Played, Remembered};
use firedrill::sources;
use firedrill_core::journal::Event;
use firedrill_core::time::{Span, Time};
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::rules::Outlook;
use firedrill_scenarios::{Scenario, library, read_scenario};
use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::universe::{Held, Shape};

/// Every scenario of the library but the long ones that test the engine.
fn scenarios() -> impl Iterator<Item = Arc<Scenario>> {
    // Of the scenarios of one large system, one says as much as all.
    let others = ["shop-cart", "shop-loses", "payments-fraud", "payments-l", "feed-evening", "feed-l"];
    let wanted = library::ENTRIES.iter().filter(|entry| !entry.path.contains("reference"));
    let wanted = wanted.filter(move |entry| !others.iter().any(|other| entry.name.starts_with(other)));
    wanted.map(|entry| {
        let mut scenario = read_scenario(entry.path, entry.text).unwrap();
        let spec = Arc::make_mut(&mut scenario.spec);
        // Long enough for what breaks and for what answers it.
        let onset = spec.faults.iter().chain(&spec.changes).map(|fault| fault.at).min().unwrap_or(Time::from_seconds(360));
        let minutes = if spec.services.len() > 5 { 2 } else { 5 };
        spec.horizon = spec.horizon.min((onset + Span::from_minutes(minutes)).since(Time::ZERO));
        Arc::new(scenario)
    })
}

/// Plays a scenario with all of the library's rules watching, once with nobody at work and once with all of its policies: that nothing came that was not
/// foreseen.
fn is_foreseen(scenario: &Arc<Scenario>, answer: &Arc<Answer>) -> Result<(), String> {
    let names = firedrill::library::rule_shelf().names;
    let rules = sources::rules(&names, Path::new(".")).unwrap();
    let drill = Drill {
        scenario: Arc::clone(scenario),
        rules: Arc::clone(&rules),
        answer: Arc::clone(answer),
        stage: Stage::Full,
        past: Remembered::default(),
    };
    let outlook = Outlook::new(&rules.set, firedrill_sim::universe(&scenario.spec));
    Drill::play_together(&[(&drill, Arm::Nothing), (&drill, Arm::Policy)], 1)
        .iter()
        .try_for_each(|played| was_foreseen(&scenario.name, &outlook, played))
}

fn was_foreseen(scenario: &str, outlook: &Outlook, played: &Played) -> Result<(), String> {
    for series in played.telemetry.ids() {
        let labels = played.telemetry.labels(series);
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name.clone(), value.clone())).collect();
        holds(outlook.universe().find(&matchers, &[]).is_ok(), || format!("{scenario}: {labels} was not foreseen"))?;
    }
    for record in played.transcript.journal.records() {
        let Event::AlertFiring { alert, labels, .. } = &record.event else { continue };
        let is_foreseen =
            |shape: &Shape| labels.iter().all(|(name, value)| Held::meets(shape.held(name), Some(&Held::Exactly(value.as_str().into()))));
        holds(outlook.alerts(alert).iter().any(is_foreseen), || format!("{scenario}: {alert} {labels:?} was not foreseen"))?;
        let able = outlook.coverage().any(|(_, rule, coverage)| rule.name == *alert && coverage.is_able());
        holds(able, || format!("{scenario}: {alert} fired, and check says that it cannot"))?;
    }
    Ok(())
}

#[test]
fn whatever_comes_in_a_run_was_foreseen_whether_anybody_acts_or_not() {
    let answer = sources::answer(&firedrill::library::policy_shelf().names, Path::new(".")).unwrap();
    let scenarios: Vec<Arc<Scenario>> = scenarios().collect();
    assert!(scenarios.len() >= 10, "only {} scenarios were played", scenarios.len());
    each(&scenarios, |scenario| is_foreseen(scenario, &answer));
}

/// Checks alerts of these expressions in an empty folder, where the library's scenarios are at hand.
fn checked(expressions: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let rule = |expression: &&str| format!("      - alert: A\n        expr: |\n          {expression}\n");
    let rules: String = expressions.iter().map(rule).collect();
    write(folder.path(), "rules.yml", &format!("groups:\n  - name: g\n    rules:\n{rules}"));
    firedrill(folder.path(), &["check", "rules.yml", "--format", "json"]).exits(0)
}

/// Expressions with their verdicts and the first reason of each.
#[track_caller]
fn check(rows: &[(&str, &str, &str)]) {
    let expressions: Vec<&str> = rows.iter().map(|(expression, ..)| *expression).collect();
    let json = checked(&expressions).json();
    assert_eq!(json["rules"].as_array().unwrap().len(), rows.len());
    for (index, (expression, verdict, why)) in rows.iter().enumerate() {
        let rule = &json["rules"][index];
        assert_eq!(rule["verdict"], *verdict, "{expression}: {rule}");
        assert_eq!(rule["why"][0].as_str().unwrap_or_default(), *why, "{expression}: {rule}");
        assert_eq!(rule["why"].as_array().unwrap().len(), rule["remedy"].as_array().unwrap().len(), "each reason has a remedy");
    }
}

#[test]
fn a_default_keeps_a_rule_alive_and_an_operator_with_an_empty_side_does_not() {
    let nope = "nothing here exposes `nope`";
    check(&[
        ("(count(nope) or vector(0)) == 0", "always_fires", ""),
        ("nope * on (pod) group_left () up", "cannot_fire", nope),
        ("nope / up > 1", "cannot_fire", nope),
        ("nope > 1 and up", "cannot_fire", nope),
        ("nope > 1 or up == 0", "may_fire", nope),
        ("absent(nope)", "always_fires", nope),
        ("up == 0 unless nope", "may_fire", nope),
    ]);
}

#[test]
fn a_matcher_is_held_against_the_labels_that_there_can_be() {
    check(&[
        (r#"rate(http_requests_total{code=~"5.."}[5m]) > 0"#, "can_fire", ""),
        (r#"rate(http_requests_total{status=~"5.."}[5m]) > 0"#, "cannot_fire", "no series of `http_requests_total` has the label `status`"),
        (r#"rate(http_requests_total{code=~"3.."}[5m]) > 0"#, "cannot_fire", r#"no series of `http_requests_total` has code=~"3..""#),
        (r#"up{pod=~"prometheus-.*"} == 0"#, "cannot_fire", r#"no series of `up` has pod=~"prometheus-.*""#),
        // Only a fault brings these about.
        (r#"kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1"#, "can_fire", ""),
        (r#"kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1"#, "can_fire", ""),
    ]);
}

#[test]
fn every_rule_that_cannot_fire_has_place_reason_and_remedy_and_the_chain_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups:\n  - name: g\n    rules:\n      - record: job:nope:rate5m\n        expr: sum by (job) (rate(nope[5m]))\n      - alert: A\n        \
                 expr: job:nope:rate5m > 1\n";
    write(folder.path(), "rules.yml", rules);
    let told = firedrill(folder.path(), &["check", "rules.yml"]).exits(0).says("0 of 2 of your rules can fire here").stdout;
    let part = told.lines().skip_while(|line| *line != "cannot fire here (FD0460):").skip(1);
    let lines: Vec<&str> = part.take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "  rules.yml:5:34 record job:nope:rate5m (group g)",
            "    nothing here exposes `nope`",
            "    help: expose it by a scenario (`metrics:` of a service)",
            "  rules.yml:7:15 alert A (group g)",
            "    `job:nope:rate5m`, recorded at rules.yml:5, never has samples: nothing here exposes `nope`",
            "    help: expose it by a scenario (`metrics:` of a service)",
        ]
    );
}

#[test]
fn a_folder_is_read_to_its_end_and_what_is_no_rule_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sound = "groups: [{ name: g, rules: [{ alert: A, expr: up == 0 }] }]\n";
    write(folder.path(), "rules/sound.yml", sound);
    write(folder.path(), "rules/_data/site.yml", "groups:\n  - name: Hosts\n    services: [{ name: node }]\n");
    write(folder.path(), "rules/values.yaml", "replicas: 3\n");
    write(folder.path(), "rules/chart.yaml", "{{- if .Values.on }}\na: 1\n{{- end }}\n");
    let passed = "passed over 3 files, neither rules nor firedrill's own: rules/_data/site.yml, rules/chart.yaml, rules/values.yaml";
    firedrill(folder.path(), &["check", "rules"]).exits(0).says("1 of 1 of your rules can fire here").says(passed);
    write(folder.path(), "rules/broken.yml", "groups: [{ name: g, rules: [{ alert: A, expr: 'sum(up' }] }]\n");
    fs::write(folder.path().join("rules/latin.yml"), b"groups: # caf\xe9\n").unwrap();
    let done = firedrill(folder.path(), &["check", "rules"]).exits(2).says("1 of 1 of your rules can fire here");
    done.says("rules/broken.yml:1:")
        .says("this is never closed")
        .says("latin.yml is not UTF-8 text")
        .says("2 problems; nothing was written");
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_come_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/a.yml", "groups: [{ name: g, rules: [{ alert: A, expr: up == 0 }] }]\n");
    std::os::unix::fs::symlink(folder.path().join("rules"), folder.path().join("rules/again")).unwrap();
    firedrill(folder.path(), &["check", "rules", "rules/a.yml", "rules/again/a.yml"]).exits(0).says("read 1 rule in 1 file,");
}

const POLICY: &str = "schema: policy/1\npolicy: p\nowner: o\non: { alert: Down }\ntarget: { service: $service }\nsteps:\n  - restart: { mode: rolling }\n    \
                      verify: { expr: 'up{service=$service} == 1', within: 1m }\nguard:\n  caps: [{ scope: service, of: replicas, max: 1 }]\n";

/// What is said of a policy beside a rule on `up`; with the places.
#[track_caller]
fn check_policy(from: &str, to: &str, said: &[&str]) {
    assert!(from.is_empty() || POLICY.contains(from), "{from}");
    let folder = tempfile::tempdir().unwrap();
    let rule = "groups: [{ name: g, rules: [{ alert: Down, expr: 'up{service!=\"\"} == 0' }, { alert: Gone, expr: absent(nope) }] }]\n";
    write(folder.path(), "rules.yml", rule);
    write(folder.path(), "policy.yaml", &POLICY.replacen(from, to, 1));
    // Against one scenario, because the whole library takes its time.
    write(folder.path(), "firedrill.yaml", "schema: project/1\nscenarios: [hang-one-replica]\n");
    // Waiting for what nobody tells is the one that is no mere warning.
    let code = if said.contains(&"FD0330") { 2 } else { 0 };
    let done = firedrill(folder.path(), &["check", "rules.yml", "policy.yaml"]).exits(code);
    for text in said {
        assert!(done.stderr.contains(text), "{} does not say `{text}`\n{}", done.told, done.stderr);
    }
    assert!(!said.is_empty() || !done.stderr.contains("FD033") && !done.stderr.contains("FD0340"), "{}", done.stderr);
}

#[test]
fn what_a_policy_can_never_see_or_touch_is_told_with_its_place() {
    check_policy("", "", &[]);
    check_policy(
        "up{service=$service} == 1",
        "nope == 1",
        &["FD0340", "never finds anything: nothing here exposes `nope`", "policy.yaml:8:"],
    );
    check_policy("up{service=$service} == 1", "absent(nope)", &["FD0340", "says the same at all times: nothing here exposes `nope`"]);
    check_policy("service: $service", "service: $svc", &["FD0337", "`p` needs the label `svc`, and `Down` never has it", "policy.yaml:5:"]);
    check_policy("service: $service", "service: nobody", &["FD0339", "no scenario here has a service `nobody`", "policy.yaml:5:"]);
    check_policy("service: $service", "service: $job", &[]);
    check_policy("alert: Down", "alert: Gone", &["FD0337", "`p` needs the label `service`, and `Gone` never has it"]);
    check_policy("alert: Down", "alert: Dwon", &["FD0330", "did you mean `Down`?", "policy.yaml:4:"]);
}

#[test]
fn a_policy_that_waits_for_what_no_rule_alerts_is_told_wherever_it_is_read_or_played() {
    let folder = common::release_project();
    let policies = fs::read_dir(folder.path().join("policies")).unwrap();
    let path = policies.map(|entry| entry.unwrap().path()).find(|path| fs::read_to_string(path).unwrap().contains("alert: ")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find("alert: ").unwrap() + "alert: ".len();
    let alert: String = text[at..].chars().take_while(|c| c.is_alphanumeric()).collect();
    fs::write(&path, text.replace(&alert, &format!("{alert}x"))).unwrap();
    let path = path.display().to_string();
    let incident = common::root().join("incidents/hang-one-replica").display().to_string();
    let meant = format!("did you mean `{alert}`?");
    for arguments in [&["check"][..], &["check", &path]] {
        let done = firedrill(folder.path(), arguments).exits(2).says("FD0330").says(&meant);
        assert!(!done.stdout.contains("all sound") || done.stdout.contains("not all sound"), "{}", done.stdout);
    }
    let scenario = fs::read_dir(folder.path().join("scenarios")).unwrap().next().unwrap().unwrap().path().display().to_string();
    for arguments in [
        &["run", &scenario, "--policy", &path][..],
        &["compare", &path, "--scenarios", &scenario, "--seeds", "1"],
        &["gate", "--pairs", "1"],
        &["replay", &incident, "--policy", &path],
    ] {
        let done = firedrill(folder.path(), arguments);
        assert!(done.stderr.contains("FD0330") && done.stderr.contains(&meant), "{arguments:?}\n{}", done.stderr);
    }
    // What becomes an incident together is waited for as well.
    let together = text.replace(&format!("alert: {alert}"), &format!("incident: {{ alerts: {{ of: [{alert}, {alert}x] }} }}"));
    fs::write(&path, together).unwrap();
    for arguments in [&["check"][..], &["gate", "--pairs", "1"], &["replay", &incident, "--policy", &path]] {
        let done = firedrill(folder.path(), arguments);
        assert!(done.stderr.contains("FD0330") && done.stderr.contains(&meant), "{arguments:?}\n{}", done.stderr);
    }
    fs::write(&path, text.replace(&alert, &format!("{alert}x"))).unwrap();
    // On its own, with no project around it, it may go with rules that are not here.
    let alone = tempfile::tempdir().unwrap();
    fs::copy(&path, alone.path().join("policy.yaml")).unwrap();
    firedrill(alone.path(), &["check", "policy.yaml"]).exits(0).says("no rule of the library alerts so");
}

#[test]
fn the_rules_that_a_scenario_brings_along_are_read_too() {
    let folder = common::release_project();
    let path = folder.path().join("scenarios/bad-release.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\nrules: [own.yaml]\n")).unwrap();
    firedrill(folder.path(), &["check"]).exits(2).says("no rule file is called `own.yaml`").says("scenarios/bad-release.yaml:");
    write(folder.path(), "own.yaml", "groups: [{ name: own, rules: [{ alert: Own, expr: 'up ==' }] }]\n");
    for arguments in [&["check"][..], &["check", "scenarios/bad-release.yaml"]] {
        firedrill(folder.path(), arguments).exits(2).says("own.yaml:1").says("FD0402");
    }
    write(folder.path(), "own.yaml", "groups: [{ name: own, rules: [{ alert: Own, expr: 'up == 0', labels: { severity: page } }] }]\n");
    firedrill(folder.path(), &["check"]).exits(0).says("all sound");
}
