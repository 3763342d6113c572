//! The gate as a CI job meets it: exit codes, reports, the command that shows what broke, and nothing written when the input is wrong.

use crate::common;
use std::fs;
use std::path::Path;

use crate::common::{firedrill, release_project as project, words};
use serde_json::Value;

fn judged(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("out/gate.json")).unwrap()).unwrap()
}

/// The commands that a gate told to repeat what broke, without the word `firedrill`.
fn repeats(told: &str) -> Vec<Vec<&str>> {
    told.lines().filter_map(|line| line.trim().strip_prefix("repeat: firedrill ")).map(words).collect()
}

#[test]
fn a_policy_that_helps_and_harms_nobody_is_held_and_the_reports_are_written() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --out out --quiet")).exits(0).says("held: every threshold holds in every class");
    assert_eq!(done.stderr, "", "quiet means quiet");
    let mut names: Vec<_> =
        fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["gate.html", "gate.json", "gate.junit.xml", "gate.md"], "nothing half-written stays behind");
    let report = judged(folder.path());
    assert_eq!((&report["schema"], &report["judgement"]["verdict"]), (&Value::from("firedrill.gate/1"), &Value::from("held")));
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    assert!(read("gate.md").contains("bad-release") && read("gate.md").contains("calm-release"));
    let html = read("gate.html");
    assert!(html.contains("<svg") && html.contains("bad-release"));
    // Self-contained: it opens anywhere, and asks no one for anything.
    for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!html.contains(outside), "gate.html loads something by {outside}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_made_is_told_before_the_first_run() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --out /proc/1/reports")).exits(2).says("files cannot be written there");
    assert!(!done.stderr.contains("runs"), "{}", done.stderr);
}

#[test]
fn a_harmful_candidate_exits_1_and_names_measure_scenario_and_seed() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml --out out")).exits(1).says("broken: see ✗ above");
    let place = done
        .stdout
        .lines()
        .position(|line| line.starts_with("✗ bad-release: harm max < 1 user-min: found "))
        .expect("the measure is named");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[place + 1].starts_with("  seen in bad-release, seed "), "scenario and seed are named: {}", lines[place + 1]);
    assert!(lines[place + 2].starts_with("  repeat: firedrill run "), "the command is named: {}", lines[place + 2]);
    let report = judged(folder.path());
    assert_eq!(report["judgement"]["verdict"], "broken");
    let summary = fs::read_to_string(folder.path().join("out/gate.md")).unwrap();
    assert!(summary.contains("harm") && summary.contains("bad-release"), "the summary for CI says so too:\n{summary}");
}

#[test]
fn the_very_command_that_a_gate_prints_shows_what_broke() {
    let folder = project();
    for (candidate, count) in [("harmful", 1), ("worse", 2)] {
        let gate = firedrill(folder.path(), &words(&format!("gate --candidate candidates/{candidate}.yaml --out out"))).exits(1);
        let report = judged(folder.path());
        let runs = report["runs"].as_array().unwrap();
        let repeats = repeats(&gate.stdout);
        assert!(repeats.len() >= count, "{}\n{}", gate.told, gate.stdout);
        for repeat in repeats {
            let seed: u64 = repeat[repeat.iter().position(|word| *word == "--seed").unwrap() + 1].parse().unwrap();
            let run = runs.iter().find(|run| run["outcome"]["scenario"] == "bad-release" && run["outcome"]["seed"] == seed).unwrap();
            let mut shown = firedrill(folder.path(), &[&repeat[..], &["--format", "json"]].concat()).exits(0).json();
            // A run is shown beside a person on call, whom the gate was not asked for.
            shown["outcome"].as_object_mut().unwrap().remove("human");
            shown["outcome"]["benefit_over_human"] = serde_json::Value::Null;
            // The same run to the byte, not one like it.
            assert_eq!(shown["outcome"], run["outcome"], "firedrill {} shows another run than the gate judged", repeat.join(" "));
        }
    }
}

#[test]
fn a_policy_whose_alert_can_never_fire_exits_3_not_exercised_with_the_reason() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --candidate candidates/deaf.yaml --out out")).exits(3);
    done.says("? undo-release-by-latency never acted: it acted in none of 2 runs with a fault: alert ManySlowAnswers never fired")
        .says("not exercised: a policy that never acts proves nothing")
        .says("· `undo-release-by-latency` waits for `ManySlowAnswers`, and no rule alerts so");
    assert_eq!(judged(folder.path())["judgement"]["verdict"], "not_exercised");
    // On duty it is a mistake of the project, unless it says why.
    let deaf = fs::read_to_string(folder.path().join("candidates/deaf.yaml")).unwrap();
    let path = folder.path().join("policies/deaf.yaml");
    fs::write(&path, &deaf).unwrap();
    firedrill(folder.path(), &words("gate --out other")).exits(2).says("error[FD0330]").says("no rule alerts so");
    fs::write(&path, format!("# firedrill: allow FD0330 its rules stand elsewhere\n{deaf}")).unwrap();
    firedrill(folder.path(), &words("gate --out other")).exits(3).says("undo-release-by-latency never acted");
}

#[test]
fn where_nothing_has_a_fault_a_policy_is_not_exercised() {
    let folder = project();
    fs::remove_file(folder.path().join("scenarios/bad-release.yaml")).unwrap();
    let done = firedrill(folder.path(), &words("gate --out out")).exits(3);
    done.says(
        "not exercised: a policy that never acts proves nothing: undo-release: it did not act: nothing that is rehearsed has a fault",
    );
}

#[test]
fn what_the_command_line_asks_less_of_than_the_project_stands_beside_the_verdict() {
    let folder = project();
    let path = folder.path().join("firedrill.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}chaos: {{ variants: 1 }}\n")).unwrap();
    let told = "the command line asks for less than the project file, or for something else: 1 pair a scenario instead of 2 (`--pairs`), \
                seeds from 7 on instead of 1 (`--seed`), 0 variants a scenario instead of 1 (`--chaos`)";
    firedrill(folder.path(), &words("gate --out out --pairs 1 --seed 7 --chaos 0")).exits(0).says(told);
    assert!(fs::read_to_string(folder.path().join("out/gate.md")).unwrap().contains(told), "the summary for CI says so too");
    assert_eq!(judged(folder.path())["notes"][0], told);
    let whole = firedrill(folder.path(), &words("gate --out out --pairs 2 --seed 1 --chaos 1"));
    assert!(!whole.stdout.contains("the command line"), "{}", whole.stdout);
}

#[test]
fn the_report_of_an_earlier_gate_goes_where_nothing_is_judged() {
    let folder = project();
    firedrill(folder.path(), &words("gate --out out --pairs 1")).exits(0);
    fs::write(folder.path().join("out/mine.txt"), "mine\n").unwrap();
    fs::write(folder.path().join("policies/wrong.yaml"), "x: y\n").unwrap();
    let left = || fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    firedrill(folder.path(), &words("gate --out out")).exits(2);
    assert_eq!(left(), ["mine.txt"]);
    // What is not ours stays.
    fs::write(folder.path().join("out/gate.md"), "mine\n").unwrap();
    firedrill(folder.path(), &words("gate --out out")).exits(2);
    assert_eq!(left().len(), 2);
}

#[test]
fn that_everything_begins_at_one_date_is_told_where_that_matters() {
    let folder = project();
    let path = folder.path().join("policies/undo-release.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let choice = "  - choose:\n      - { rollback: {}, score: '1768000000 - time()', risk: low }\n      - { restart: { mode: at_once }, score: 'time() - 1768000000', risk: low }\n";
    fs::write(&path, text.replace("  - rollback: {}\n", choice)).unwrap();
    let done = firedrill(folder.path(), &words("gate --out out")).exits(0).says("policy undo-release");
    done.says("other dates and times of day were not tested: all that is rehearsed begins at 2026-01-05T00:00:00Z (`start:`)");
    let never = "candidate 2 of step 1 (restart (at once))";
    assert!(fs::read_to_string(folder.path().join("out/gate.md")).unwrap().contains(never), "what was never tried is named");
}

#[test]
fn a_candidate_of_another_name_need_not_answer_every_recording() {
    let folder = project();
    let path = folder.path().join("firedrill.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let incident = common::root().join("incidents/hang-one-replica");
    fs::write(&path, format!("{text}incidents: ['{}']\n", incident.display())).unwrap();
    let other = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap().replace("undo-release", "undo-soon");
    fs::write(folder.path().join("soon.yaml"), other).unwrap();
    let done = firedrill(folder.path(), &words("gate --candidate soon.yaml --out out")).exits(0);
    done.says("every class; 1 recorded incident has nothing that the policy answers");
    firedrill(folder.path(), &words("gate --out out")).exits(3).says("not exercised: nothing was learnt of incident hang-recorded: ");
}

#[test]
fn a_candidate_with_the_name_of_a_project_policy_takes_its_place_and_is_compared_with_it() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --candidate candidates/worse.yaml --out out")).exits(1);
    done.says("✗ bad-release: user_minutes_lost against the baseline: mean ");
    let report = judged(folder.path());
    assert_eq!(report["runs"][0]["outcome"]["policies"], serde_json::json!(["undo-release"]), "one of the two plays, not both");
    // A comparison can be made again from the report, and the baseline stands in its charts.
    let keys = |runs: &Value| {
        let key = |run: &Value| (run["outcome"]["scenario"].to_string(), run["outcome"]["seed"].to_string());
        runs.as_array().unwrap().iter().map(key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&report["runs"]), keys(&report["baseline_runs"]), "each run has the baseline's beside it");
    let html = fs::read_to_string(folder.path().join("out/gate.html")).unwrap();
    assert!(
        html.contains("--policy-2)\"></span>baseline") && html.contains("user_minutes_lost is share of bad requests"),
        "the chart names it, and the measure is explained"
    );
    // Itself against itself is no worse; two pairs are too few to exclude a catastrophe, and the gate says how many would do.
    firedrill(folder.path(), &words("gate --candidate policies/undo-release.yaml --out out"))
        .exits(0)
        .says("rare catastrophes were not tested against the baseline: that takes `--pairs 299`");
}

#[test]
fn a_wrong_input_exits_2_and_writes_nothing() {
    let folder = project();
    let edit = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
        assert!(text.contains(from));
        fs::write(folder.path().join(name), text.replacen(from, to, 1)).unwrap();
    };
    edit("limit.yaml", "max < 1 user-minutes", "max < 1 apples");
    edit("measure.yaml", "  harm:", "  harmm:");
    edit("scenarios.yaml", "[scenarios]", "[scenariso]");
    edit("incidents.yaml", "[scenarios]", "[scenarios]\nincidents: [candidates]");
    for (line, said) in [
        ("gate --project limit.yaml", "`1 apples` is no limit for harm"),
        ("gate --project measure.yaml", "did you mean `harm`?"),
        ("gate --project scenarios.yaml", "no scenario is called `scenariso`, and no file is there"),
        ("gate --project incidents.yaml", "holds no incident"),
        ("gate --project nowhere.yaml", "no project file `nowhere.yaml` is here"),
        ("gate --candidate undo-relaese", "no policy is called `undo-relaese`, and no file is there"),
        ("gate --candidate scenarios/bad-release.yaml", "error[FD"),
        ("gate --pairs 0", "--pairs"),
        ("gate --jobs none", "--jobs"),
        ("gate --no-such-flag", "--no-such-flag"),
    ] {
        let done = firedrill(folder.path(), &words(&format!("{line} --out out"))).exits(2).says(said);
        assert_eq!(done.stdout, "", "{}: problems are no data", done.told);
        assert!(!folder.path().join("out").exists(), "{} wrote something", done.told);
    }
    let empty = tempfile::tempdir().unwrap();
    firedrill(empty.path(), &["gate"]).exits(2).says("no project file `firedrill.yaml` is here").says("firedrill init");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "a gate without a project wrote something");
}

#[test]
fn a_gate_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = project();
    let gate = |jobs: u8| {
        firedrill(folder.path(), &words(&format!("gate --candidate candidates/harmful.yaml --out out --jobs {jobs}"))).exits(1);
        ["gate.html", "gate.json", "gate.md"].map(|name| fs::read_to_string(folder.path().join("out").join(name)).unwrap())
    };
    assert!(gate(1) == gate(2), "firedrill gate --candidate candidates/harmful.yaml --jobs 1 and --jobs 2 differ");
}

#[test]
fn a_new_project_is_sound_passes_its_gate_and_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &["init"]).exits(0).says("next: firedrill gate");
    let checked = firedrill(folder.path(), &["check"]).exits(0).says("all sound").says("2 of 2 of your rules can fire here");
    assert_eq!(checked.stderr, "", "{}: a new project has no lint", checked.told);
    firedrill(folder.path(), &words("gate --pairs 1")).exits(0).says("held: every threshold holds in every class");
    // Its example verifies what it did. Where a rule has no series once nothing fails any more, every good rollback would end with a call.
    let rules = folder.path().join("rules/checkout.yaml");
    let sound = fs::read_to_string(&rules).unwrap();
    let blind = sound.replace("or 0 * sum by (service) (rate(http_requests_total[1m]))", "");
    assert!(blind.len() < sound.len());
    fs::write(&rules, blind).unwrap();
    firedrill(folder.path(), &words("gate --pairs 1 --out blind")).exits(1).says("✗ bad-deploy: pages p99 == 0: found 1");
    assert!(folder.path().join("firedrill-out/gate.html").is_file());
    let mine = "# mine now\n";
    fs::write(folder.path().join("rules/checkout.yaml"), mine).unwrap();
    firedrill(folder.path(), &["init"]).exits(2).says("exists already").says("nothing was written");
    assert_eq!(fs::read_to_string(folder.path().join("rules/checkout.yaml")).unwrap(), mine);
    // One file in the way is enough, and then none of the others is written either.
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("firedrill.yaml"), mine).unwrap();
    firedrill(other.path(), &["init"]).exits(2);
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn a_project_without_thresholds_is_judged_by_defaults_and_told_so() {
    let folder = project();
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    let (before, _) = text.split_once("thresholds:").unwrap();
    fs::write(folder.path().join("firedrill.yaml"), before).unwrap();
    let told =
        "write `thresholds: { harm: max < 1 user-minutes, missed: max == 0, noop_false_positives: max == 0 }` to keep or change them";
    firedrill(folder.path(), &words("gate --out out")).exits(0).says(told);
    firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml --out out"))
        .exits(1)
        .says("bad-release: harm max < 1 user-min: found ")
        .says(told);
    assert!(fs::read_to_string(folder.path().join("out/gate.md")).unwrap().contains(told), "the summary for CI says so too");
}

#[test]
fn an_inconclusive_gate_says_which_figure_is_missing_and_why() {
    let folder = project();
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    fs::write(folder.path().join("firedrill.yaml"), format!("{text}  false_positive_rate: mean < 2%\n")).unwrap();
    fs::remove_file(folder.path().join("scenarios/bad-release.yaml")).unwrap();
    let done = firedrill(folder.path(), &words("gate --out out")).exits(3);
    let done = done.says("? all classes: false_positive_rate mean < 2 % has no figure: nobody acted in these runs");
    assert!(!done.stdout.contains("more pairs may"), "more of the same would not tell:\n{}", done.stdout);
}

#[test]
fn a_narrowed_gate_does_not_ask_every_policy_to_act() {
    let folder = project();
    let deaf = fs::read_to_string(folder.path().join("candidates/deaf.yaml")).unwrap();
    fs::write(folder.path().join("policies/deaf.yaml"), deaf).unwrap();
    let rule = "{ alert: ManySlowAnswers, expr: 'up == 0' }";
    fs::write(folder.path().join("rules/slow.yaml"), format!("groups: [{{ name: slow, rules: [{rule}] }}]\n")).unwrap();
    firedrill(folder.path(), &words("gate --out out")).exits(3).says("never acted");
    let narrowed = firedrill(folder.path(), &words("gate --scenarios bad-release --out out")).exits(0);
    narrowed
        .says("narrowed to bad-release: whether each policy acts somewhere is judged over all that the project rehearses")
        .says("not tested there: noop_false_positives max == 0");
}

#[test]
fn a_narrowed_gate_knows_the_rules_of_the_scenarios_that_it_leaves_out() {
    let folder = project();
    let deaf = fs::read_to_string(folder.path().join("candidates/deaf.yaml")).unwrap();
    fs::write(folder.path().join("policies/deaf.yaml"), deaf).unwrap();
    firedrill(folder.path(), &words("gate --scenarios bad-release --out out")).exits(2).says("error[FD0330]");
    let rule = "{ alert: ManySlowAnswers, expr: 'up == 0' }";
    fs::create_dir(folder.path().join("besides")).unwrap();
    fs::write(folder.path().join("besides/slow.yaml"), format!("groups: [{{ name: slow, rules: [{rule}] }}]\n")).unwrap();
    let calm = folder.path().join("scenarios/calm-release.yaml");
    fs::write(&calm, fs::read_to_string(&calm).unwrap() + "rules: [../besides/slow.yaml]\n").unwrap();
    firedrill(folder.path(), &["check"]).exits(0);
    let narrowed = firedrill(folder.path(), &words("gate --scenarios bad-release --out out")).exits(0);
    assert!(!narrowed.stdout.contains("no rule alerts so"), "{}", narrowed.stdout);
}

#[test]
fn a_gate_finds_what_is_in_the_way_before_it_runs_anything() {
    let folder = project();
    fs::write(folder.path().join("taken"), "mine\n").unwrap();
    for line in ["gate --out taken", "gate --out taken/below", "compare undo-release --out taken", "run bad-release --out taken"] {
        let done = firedrill(folder.path(), &words(line)).exits(2).says("needs a folder, and taken is a file");
        assert!(!done.stderr.contains("runs"), "{}: nothing was run\n{}", done.told, done.stderr);
    }
    for (line, said) in [
        ("gate --seed 18446744073709551615", "there are no 2 seeds from 18446744073709551615 on"),
        ("compare undo-release --seed 18446744073709551615", "there are no 5 seeds from 18446744073709551615 on"),
        ("compare undo-release --seeds 3,1,3", "the seed 3 stands twice"),
        ("compare undo-release --seeds 1..5", "--seed FIRST --pairs COUNT"),
    ] {
        firedrill(folder.path(), &words(line)).exits(2).says(said);
    }
}

#[test]
fn a_gate_takes_a_folder_for_its_project_and_its_commands_survive_a_shell() {
    let folder = project();
    let above = tempfile::tempdir().unwrap();
    let spaced = above.path().join("my shop");
    fs::rename(folder.path(), &spaced).unwrap();
    let gate = firedrill(above.path(), &["gate", "--project", "my shop", "--candidate", "my shop/candidates/harmful.yaml", "--out", "out"]);
    let gate = gate.exits(1);
    let line = gate.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: firedrill ")).unwrap();
    let repeat = shlex::split(line).unwrap();
    assert!(repeat.contains(&"my shop/candidates/harmful.yaml".to_owned()), "{line}");
    firedrill(above.path(), &repeat).exits(0).says("restart-on-errors");
}

/// A policy of another name than the project's, on the alert of its release.
fn candidate(name: &str, step: &str, matched: &str) -> String {
    format!(
        "schema: policy/1\npolicy: {name}\nowner: shop\non: {{ alert: BadRelease{matched} }}\ntarget: {{ service: $service }}\nsteps: [{step}]\n"
    )
}

#[test]
fn a_candidate_that_only_waits_pages_or_matches_nothing_is_not_exercised_and_the_reason_is_its_own() {
    let folder = project();
    let alert = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap();
    let alert = alert.lines().find_map(|line| line.trim().split_once("alert: ")).unwrap().1.trim_end_matches([' ', '}']).to_owned();
    for (step, matched, reason) in [
        ("wait: 30s", "", "idler waited and did nothing else"),
        ("escalate: { to: oncall }", "", "and did nothing"),
        ("lift: { what: degrade }", "", "the platform turned away the one action of idler: "),
        ("rollback: {}", ", match: { severity: nonsense }", "does not come to what the policy asks for (`match`, `incident`)"),
    ] {
        fs::write(folder.path().join("idler.yaml"), candidate("idler", step, matched).replace("BadRelease", &alert)).unwrap();
        let done = firedrill(folder.path(), &words("gate --candidate idler.yaml --out out")).exits(3);
        done.says("not exercised: a policy that never acts proves nothing").says(reason);
    }
}

#[test]
fn a_project_may_say_what_candidates_are_compared_with() {
    let folder = project();
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    fs::write(folder.path().join("firedrill.yaml"), format!("{text}baseline: [candidates/worse.yaml]\n")).unwrap();
    firedrill(folder.path(), &words("gate --out out")).exits(0).says("comparisons with the baseline hold");
    let better = judged(folder.path());
    assert_eq!(better["judgement"]["pairs"], 4);
    fs::write(folder.path().join("firedrill.yaml"), format!("{text}baseline: [nowhere.yaml]\n")).unwrap();
    firedrill(folder.path(), &words("gate --out out")).exits(2).says("firedrill.yaml:");
    firedrill(folder.path(), &words("check firedrill.yaml")).exits(2).says("no policy is called `nowhere.yaml`");
}

#[test]
fn the_project_file_named_alone_is_the_whole_project() {
    let folder = project();
    let whole = firedrill(folder.path(), &["check"]).exits(0).stdout;
    assert_eq!(firedrill(folder.path(), &["check", "firedrill.yaml"]).exits(0).stdout, whole);
}

#[test]
fn a_policy_that_takes_up_nothing_of_a_recording_is_not_exercised_by_it() {
    let folder = project();
    // Calm is rehearsed, so that the recording alone can say anything of the policy.
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    let text = text.replace("scenarios: [scenarios]", "scenarios: [calm]\nincidents: [retry-storm]").replace("rules: [rules]\n", "");
    let policy = fs::read_to_string(common::root().join("policies/library/break-retry-storm.yaml")).unwrap();
    assert!(policy.contains("match: { severity: critical }"));
    let deaf = policy.replace("match: { severity: critical }", "match: { severity: nobody-says-this }");
    fs::write(folder.path().join("firedrill.yaml"), text.replace("policies: [policies]", "policies: [deaf.yaml]")).unwrap();
    fs::write(folder.path().join("deaf.yaml"), deaf).unwrap();
    let done = firedrill(folder.path(), &words("gate --out out --pairs 1")).exits(3);
    done.says("incident retry-storm-recorded   not exercised").says("no alert that the policies answer reaches");
}

#[test]
fn a_rule_that_fails_when_it_is_evaluated_stands_beside_the_verdict() {
    let folder = project();
    let rule = "{ alert: ManyToMany, expr: 'up * on (service) http_requests_total > 0' }";
    fs::write(folder.path().join("rules/many.yaml"), format!("groups: [{{ name: many, rules: [{rule}] }}]\n")).unwrap();
    let told = "1 rule could not be evaluated in what is rehearsed here, so nothing was learnt of it: ManyToMany (";
    firedrill(folder.path(), &words("gate --out out")).exits(0).says(told);
    assert!(fs::read_to_string(folder.path().join("out/gate.md")).unwrap().contains(told), "the summary for CI says so too");
    assert!(fs::read_to_string(folder.path().join("out/gate.json")).unwrap().contains("ManyToMany"), "and the data");
}

#[test]
fn an_alert_that_fires_in_no_run_stands_beside_the_verdict() {
    let folder = project();
    let rules = "{ alert: LongFor, expr: 'up == 1', for: 30d }, { alert: ShortRate, expr: 'rate(http_requests_total[15s]) > 0' }";
    fs::write(folder.path().join("rules/quiet.yaml"), format!("groups: [{{ name: quiet, rules: [{rules}] }}]\n")).unwrap();
    firedrill(folder.path(), &words("gate --out out")).exits(0).says("1 of 3 alerts can fire and did in no simulated run: LongFor;");
}

#[test]
fn a_change_that_breaks_nothing_leaves_the_verdict_as_it_is() {
    let verdicts = |candidate: &str, with: &str| {
        let folder = project();
        let (bad, calm) = (folder.path().join("scenarios/bad-release.yaml"), folder.path().join("scenarios/calm-release.yaml"));
        let (bad_text, calm_text) = (fs::read_to_string(&bad).unwrap(), fs::read_to_string(&calm).unwrap());
        // The calm one has a sound deploy, which goes or stays; the other gets what is added.
        let (before, _) = calm_text.split_once("changes:\n").unwrap();
        fs::write(&calm, if with.is_empty() { format!("{before}changes: []\n") } else { format!("{calm_text}{with}") }).unwrap();
        fs::write(&bad, if with.is_empty() { bad_text } else { format!("{bad_text}changes:\n{with}") }).unwrap();
        firedrill(folder.path(), &words(&format!("gate --out out --quiet {candidate}")));
        let judgement = judged(folder.path())["judgement"].clone();
        let classes = judgement["classes"].as_array().unwrap().iter().map(|class| (class["class"].clone(), class["verdict"].clone()));
        (judgement["verdict"].clone(), classes.collect::<Vec<_>>())
    };
    let peak = "  - surge: { client: shoppers, factor: x1.5 }\n    at: 30s\n    lasting: 1m\n";
    for (candidate, verdict) in
        [("", "held"), ("--candidate candidates/harmful.yaml", "broken"), ("--candidate candidates/deaf.yaml", "not_exercised")]
    {
        let without = verdicts(candidate, "");
        assert_eq!(without.0, verdict, "{candidate}");
        assert_eq!(without, verdicts(candidate, peak), "{candidate}");
    }
}

#[test]
fn a_run_that_a_bound_ended_holds_nothing_wherever_it_is_played() {
    let folder = project();
    let path = folder.path().join("scenarios/bad-release.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    // At minute two the release goes out, and the policy acts before the bound is reached.
    let ended = |family: &str| {
        format!("{}\nbounds: {{ events: 11500 }}\n", whole.replace("scenario: bad-release", &format!("scenario: late\nfamily: {family}")))
    };
    let late = folder.path().join("scenarios/late.yaml");
    fs::write(&late, ended("late")).unwrap();
    // By a policy of another name: a class in which it does nothing would be left out.
    let other = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap().replace("undo-release", "undo-soon");
    fs::write(folder.path().join("candidates/soon.yaml"), other).unwrap();
    let run = "gate --candidate candidates/soon.yaml --out out --pairs 1";
    let done = firedrill(folder.path(), &words(run)).exits(3);
    done.says("late: the one run proves nothing: bound events ended the run of ");
    firedrill(folder.path(), &words(&format!("{run} --on-inconclusive warn"))).exits(3);
    let harmful = firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml --out out --pairs 1 --scenarios late"));
    harmful.exits(1).says("✗ late: harm max < 1 user-min: found ");
    // So it is where nothing is judged but searched: what happened before the end says nothing.
    firedrill(folder.path(), &words("explore --project firedrill.yaml --scenarios late --runs 1"))
        .exits(3)
        .says("no policy acted in any of them, which proves nothing: bound events ended the run of ");
    firedrill(folder.path(), &words("explore --project firedrill.yaml --scenarios bad-release,late --runs 2"))
        .says("policies acted in 1 variant\n1 variant that a bound ended proves nothing: bound events ended the run of ");
    // Its variants are ended like it.
    let chaos = firedrill(folder.path(), &words("gate --out out --pairs 1 --chaos 2 --scenarios late")).exits(3);
    chaos.says("late (chaos)").says("2 of 2 runs prove nothing: bound events ended the run of ");
}
