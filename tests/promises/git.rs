//! What a revision is, whatever a change commits, a workflow fetches or a variable says: nobody puts another judge into its place, and nothing is run.

use std::fs;
use std::path::Path;

use crate::common::{Done, firedrill, release_project, words, write};
use crate::judge::{committed, edit, git};
use tempfile::TempDir;

/// A repository with the release project in `ops`, committed on `main`, and the branch `change`.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "ops");
    committed(folder.path());
    git(folder.path(), &["checkout", "--quiet", "-b", "change"]);
    folder
}

/// The release project in a folder.
fn put(folder: &Path, name: &str) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::rename(release_project().keep(), folder.join(name)).unwrap();
}

/// What a change must not get through: fewer pairs.
fn loosen(folder: &Path) {
    edit(folder, "firedrill.yaml", "pairs: 2", "pairs: 1");
}

const LOOSENED: &str = "✗ pairs were 2, and are 1";

fn commit(folder: &Path) {
    git(folder, &["add", "--all", "--force"]);
    git(folder, &["commit", "--quiet", "--message", "a change"]);
}

fn gate(folder: &Path, more: &str) -> Done {
    firedrill(folder, &words(&format!("gate --baseline git:main --out out --pairs 1 {more}")))
}

/// A gate with variables of its own.
fn gate_where(folder: &Path, variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = assert_cmd::Command::cargo_bin("firedrill").unwrap();
    command.current_dir(folder).env_remove("HOME").env_remove("XDG_CACHE_HOME").envs(variables.iter().copied());
    let done = command.args(words("gate --baseline git:main --out out --pairs 1 --no-cache")).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// Commits what git would take for a bare repository: its branch `main` holds the folder's own files, and a filter makes a file `run` above it.
fn bare_repository(folder: &Path, above: &Path) {
    let inner = tempfile::tempdir().unwrap();
    fs::copy(folder.join("firedrill.yaml"), inner.path().join("firedrill.yaml")).unwrap();
    write(inner.path(), ".gitattributes", "*.yaml filter=e\n");
    committed(inner.path());
    for name in ["HEAD", "objects", "refs"] {
        let done = std::process::Command::new("cp").arg("-r").arg(inner.path().join(".git").join(name)).arg(folder).status().unwrap();
        assert!(done.success());
    }
    let run = above.join("run").display().to_string();
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"touch {run}\"\n[filter \"e\"]\n\tsmudge = \"touch {run}; cat\"\n"
    );
    write(folder, "config", &config);
    for kept in ["objects/info", "objects/pack", "refs/tags"] {
        write(folder, &format!("{kept}/.keep"), "");
    }
}

#[cfg(unix)]
#[test]
fn a_committed_repository_is_a_folder_like_any_other_and_nothing_in_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "services/ops");
    committed(folder.path());
    git(folder.path(), &["checkout", "--quiet", "-b", "change"]);
    let ops = folder.path().join("services/ops");
    loosen(&ops);
    bare_repository(&ops, folder.path());
    fs::copy(ops.join("firedrill.yaml"), folder.path().join("services/firedrill.yaml")).unwrap();
    bare_repository(&folder.path().join("services"), folder.path());
    commit(folder.path());
    let told = git(&ops, &["rev-parse", "--show-toplevel"]);
    assert!(told.trim_end().ends_with("services/ops"), "git alone falls for it: {told}");
    fs::remove_file(folder.path().join("run")).unwrap_or_default();
    gate(folder.path(), "--project services/ops").exits(1).says(LOOSENED);
    gate(&ops, "").exits(1).says(LOOSENED);
    assert!(!folder.path().join("run").exists(), "what a change commits was run");
}

#[cfg(unix)]
#[test]
fn a_folder_that_becomes_a_link_does_not_hide_the_project_that_was_there() {
    use std::os::unix::fs::symlink;
    let folder = repository();
    let (ops, other) = (folder.path().join("ops"), folder.path().join("other"));
    fs::rename(&ops, &other).unwrap();
    loosen(&other);
    symlink("other", &ops).unwrap();
    // What says which files are text has no say in what is found.
    write(folder.path(), ".gitattributes", "*.yaml binary\n");
    commit(folder.path());
    gate(&ops, "")
        .exits(1)
        .says("✗ the project ops/firedrill.yaml of main (")
        .says(") is gone, and what it asked for does not judge this one");
    gate(folder.path(), "--project ops").exits(1).says(LOOSENED);
    // A shell knows the name by which somebody came.
    let (code, said) = gate_where(&ops, &[("PWD", &ops.display().to_string())]);
    assert!(code == 1 && said.contains(LOOSENED), "{said}");
    let (code, said) = gate_where(&ops, &[("PWD", "/")]);
    assert!(code == 1 && said.contains("is gone"), "another place is no name of this one: {said}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_leads_to_a_laxer_project_is_not_judged_by_that_alone() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "ops");
    put(folder.path(), "sandbox");
    loosen(&folder.path().join("sandbox"));
    symlink("ops", folder.path().join("current")).unwrap();
    committed(folder.path());
    git(folder.path(), &["checkout", "--quiet", "-b", "change"]);
    let sandbox = folder.path().join("sandbox");
    gate(&sandbox, "").exits(0);
    gate(&folder.path().join("current"), "").exits(0);
    // A link that leads elsewhere than it led.
    fs::remove_file(folder.path().join("current")).unwrap();
    symlink("sandbox", folder.path().join("current")).unwrap();
    let led = "✗ the project current/firedrill.yaml of main (";
    gate(&folder.path().join("current"), "").exits(1).says(led).says(") leads here now, and what it asked for does not judge this one");
    fs::remove_file(folder.path().join("current")).unwrap();
    // A folder that leads there.
    fs::remove_dir_all(folder.path().join("ops")).unwrap();
    symlink("sandbox", folder.path().join("ops")).unwrap();
    gate(&folder.path().join("ops"), "").exits(1).says("✗ the project ops/firedrill.yaml of main (");
    // One that is gone is no matter to another one.
    fs::remove_file(folder.path().join("ops")).unwrap();
    gate(&sandbox, "").exits(0);
}

#[test]
fn a_project_that_becomes_another_repository_has_no_judge_here() {
    let folder = repository();
    let ops = folder.path().join("ops");
    loosen(&ops);
    committed(&ops);
    // Fetched there by some step of the workflow, where the revision has the project.
    git(folder.path(), &["rm", "-r", "--quiet", "--cached", "ops"]);
    git(folder.path(), &["commit", "--quiet", "--message", "gone"]);
    let refused = |folder: &Path, more: &str| {
        let done = gate(folder, more).exits(2).says("error[FD0627]").says("ops is a repository inside of ");
        done.says("in a clone of its own");
        assert!(!folder.join("out").exists());
    };
    refused(&ops, "");
    git(folder.path(), &["add", "ops"]);
    git(folder.path(), &["commit", "--quiet", "--message", "a submodule"]);
    refused(&ops, "");
    refused(folder.path(), "--project ops");
    // A folder that was a submodule has had a judge that nobody here can ask.
    git(folder.path(), &["branch", "--force", "main"]);
    fs::remove_dir_all(ops.join(".git")).unwrap();
    git(folder.path(), &["rm", "--quiet", "--cached", "ops"]);
    git(folder.path(), &["add", "ops"]);
    gate(&ops, "").exits(1).says("✗ ops was another repository (a git submodule) at main (");
}

#[cfg(unix)]
#[test]
fn a_clone_inside_of_a_repository_has_its_own_judge_unless_a_link_leads_there() {
    let folder = repository();
    put(folder.path(), "vendor/tool");
    committed(&folder.path().join("vendor/tool"));
    gate(&folder.path().join("vendor/tool"), "").exits(0);
    fs::remove_dir_all(folder.path().join("ops")).unwrap();
    std::os::unix::fs::symlink("vendor/tool", folder.path().join("ops")).unwrap();
    git(folder.path(), &["add", "ops"]);
    for (place, more) in [("ops", ""), (".", "--project ops"), ("vendor/tool", "")] {
        gate(&folder.path().join(place), more).exits(2).says("error[FD0628]").says("the link ops of the repository ");
    }
    // Outside of it as well, where the name is told.
    let outside = release_project();
    committed(outside.path());
    fs::remove_file(folder.path().join("ops")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("ops")).unwrap();
    git(folder.path(), &["add", "ops"]);
    gate(folder.path(), "--project ops").exits(2).says("error[FD0628]").says("leads to another repository");
}

#[test]
fn a_revision_is_read_as_it_was_committed_whatever_attributes_say_now() {
    let folder = repository();
    write(folder.path(), ".gitattributes", "*.yaml working-tree-encoding=UTF-16 filter=e ident eol=crlf\n");
    git(folder.path(), &["config", "filter.e.smudge", "sed s/2/1/"]);
    let ops = folder.path().join("ops");
    gate(&ops, "").exits(0);
    loosen(&ops);
    gate(&ops, "").exits(1).says(LOOSENED);
}

#[test]
fn variables_replacements_and_configuration_do_not_choose_the_judge() {
    let folder = repository();
    let ops = folder.path().join("ops");
    loosen(&ops);
    commit(folder.path());
    let other = tempfile::tempdir().unwrap();
    put(other.path(), "ops");
    loosen(&other.path().join("ops"));
    committed(other.path());
    let records = other.path().join(".git").display().to_string();
    let objects = format!("{records}/objects");
    let top = other.path().display().to_string();
    let marker = folder.path().join("run").display().to_string();
    let own = format!("touch {marker}");
    // A home in the working tree is the change's, and so is what git would be told there.
    write(folder.path(), ".gitconfig", &format!("[core]\n\tworktree = {top}\n\tfsmonitor = \"touch {marker}\"\n"));
    let told = [
        vec![("GIT_DIR", records.as_str()), ("GIT_WORK_TREE", top.as_str())],
        vec![("GIT_DIR", &records), ("GIT_INDEX_FILE", "/nonexistent")],
        vec![("GIT_OBJECT_DIRECTORY", &objects), ("GIT_COMMON_DIR", &records), ("GIT_NAMESPACE", "x")],
        vec![("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.fsmonitor"), ("GIT_CONFIG_VALUE_0", own.as_str())],
        vec![("HOME", folder.path().to_str().unwrap()), ("GIT_CEILING_DIRECTORIES", folder.path().to_str().unwrap())],
    ];
    for variables in told {
        let (code, said) = gate_where(&ops, &variables);
        assert!(code == 1 && said.contains(LOOSENED), "{variables:?}: {said}");
    }
    assert!(!Path::new(&marker).exists(), "a configuration was obeyed that the change brings along");
    git(folder.path(), &["replace", "main", "change"]);
    gate(&ops, "").exits(1).says(LOOSENED);
    git(folder.path(), &["replace", "--delete", "main"]);
    git(folder.path(), &["config", "core.worktree", &top]);
    gate(&ops, "").exits(2).says("error[FD0626]").says("core.worktree");
}

/// Whoever may push a tag or a branch would choose the judge by its name.
#[test]
fn a_name_that_somebody_else_took_is_refused() {
    let folder = repository();
    let top = folder.path();
    loosen(&top.join("ops"));
    commit(top);
    let main = git(top, &["rev-parse", "main"]).trim().to_owned();
    let asked = |name: &str| firedrill(&top.join("ops"), &["gate", "--out", "out", "--pairs", "1", "--baseline", &format!("git:{name}")]);
    // An `@` is a part of a name.
    git(top, &["branch", "release@2", "main"]);
    git(top, &["tag", "release@2", "change"]);
    asked("release@2").exits(2).says("error[FD0625]").says("refs/tags/release@2, refs/heads/release@2");
    // What a commit's number begins with.
    git(top, &["tag", &main[..10], "change"]);
    asked(&main[..10]).exits(2).says("error[FD0625]").says(&format!("the commit {main}"));
    git(top, &["tag", &format!("v1-3-g{}", &main[..10]), "change"]);
    asked(&format!("v1-3-g{}", &main[..10])).exits(2).says("error[FD0625]");
    git(top, &["tag", "--delete", &main[..10]]);
    asked(&main[..10]).exits(1).says(LOOSENED);
    asked(&main).exits(1).says(LOOSENED);
    // The branch of a remote that was not fetched.
    git(top, &["update-ref", "refs/remotes/origin/next", "main"]);
    asked("origin/next").exits(1).says(LOOSENED);
    git(top, &["tag", "origin/main", "change"]);
    asked("origin/main")
        .exits(2)
        .says("error[FD0625]")
        .says("`origin/main` looks like a branch of a remote, and only refs/tags/origin/main is called so here");
    asked("refs/tags/origin/main").exits(0);
    // A tag with the full name of that branch is not that branch; and a remote of which nothing was fetched is one.
    let only_a_tag = || asked("origin/main").exits(2).says("error[FD0625]").says("and only refs/tags/origin/main is called so here");
    git(top, &["update-ref", "refs/tags/refs/remotes/origin/main", "change"]);
    only_a_tag();
    git(top, &["update-ref", "-d", "refs/remotes/origin/next"]);
    git(top, &["remote", "add", "origin", "https://git.example.org/own.git"]);
    only_a_tag();
    // A full name is nothing but itself.
    git(top, &["update-ref", "refs/tags/refs/heads/gone", "change"]);
    asked("refs/heads/gone").exits(2).says("error[FD0612]");
}

/// What comes with firedrill is the same at any revision, whatever a change puts where it would lie.
#[test]
fn files_called_like_the_library_do_not_take_its_place() {
    let folder = release_project();
    edit(folder.path(), "firedrill.yaml", "scenarios: [scenarios]", "scenarios: [calm]");
    edit(folder.path(), "firedrill.yaml", "rules: [rules]", "incidents: [retry-storm-recorded]");
    edit(folder.path(), "firedrill.yaml", "policies: [policies]", "policies: [break-retry-storm]");
    committed(folder.path());
    let explained = |folder: &Path| firedrill(folder, &["explain", "payments-bad-ledger"]).exits(0).stdout;
    let before = explained(folder.path());
    write(folder.path(), "scenarios/library/payments/payments", "schema: scenario/1\nnothing: here\n");
    assert_eq!(explained(folder.path()), before);
    let incident = crate::common::root().join("incidents/retry-storm");
    for name in ["incident.yaml", "recording.jsonl"] {
        write(folder.path(), &format!("retry-storm-recorded/{name}"), &fs::read_to_string(incident.join(name)).unwrap());
    }
    let text = fs::read_to_string(folder.path().join("retry-storm-recorded/incident.yaml")).unwrap();
    let (before, _) = text.split_once("expect:").unwrap();
    write(folder.path(), "retry-storm-recorded/incident.yaml", before);
    gate(folder.path(), "").exits(1).says("✗ `expect` of incident retry-storm-recorded was removed");
    let report = fs::read_to_string(folder.path().join("out/gate.json")).unwrap();
    assert!(report.contains("firedrill replay library:retry-storm-recorded"), "{report}");
    firedrill(folder.path(), &words("replay library:retry-storm-recorded")).says("decisions right");
}

#[test]
fn line_ends_that_git_changes_in_a_working_tree_are_no_change_of_an_incident() {
    let folder = release_project();
    let incident = crate::common::root().join("incidents/retry-storm");
    let read = |name: &str| fs::read_to_string(incident.join(name)).unwrap();
    for name in ["incident.yaml", "recording.jsonl"] {
        write(folder.path(), &format!("incidents/storm/{name}"), &read(name));
    }
    edit(folder.path(), "firedrill.yaml", "rules: [rules]", "incidents: [incidents]");
    edit(folder.path(), "firedrill.yaml", "policies: [policies]", "policies: [break-retry-storm]");
    edit(folder.path(), "firedrill.yaml", "scenarios: [scenarios]", "scenarios: [calm]");
    committed(folder.path());
    write(folder.path(), "incidents/storm/incident.yaml", &read("incident.yaml").replace('\n', "\r\n"));
    gate(folder.path(), "").exits(0);
}

#[test]
fn a_first_project_in_a_folder_that_was_there_brings_its_judge() {
    let folder = repository();
    write(folder.path(), "docs/README.md", "nothing yet\n");
    // To quote what a project begins with makes no project.
    let guide = "# How to begin\n\nA project says what it is:\n\n```yaml\nschema: project/1\npolicies: []\n```\n";
    write(folder.path(), "handbook/guide.md", guide);
    write(folder.path(), "docs/notes.yaml", "notes:\n  - |\n    schema: project/1\n");
    commit(folder.path());
    git(folder.path(), &["branch", "--force", "main"]);
    let second = release_project();
    fs::rename(second.path().join("firedrill.yaml"), folder.path().join("docs/firedrill.yaml")).unwrap();
    for name in ["rules", "policies", "scenarios"] {
        fs::rename(second.path().join(name), folder.path().join("docs").join(name)).unwrap();
    }
    fs::remove_file(folder.path().join("handbook/guide.md")).unwrap();
    fs::remove_file(folder.path().join("docs/notes.yaml")).unwrap();
    gate(folder.path(), "--project docs").exits(0).says("there was no project yet, so there is no baseline");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_projects_folder_finds_what_it_found() {
    let folder = repository();
    let ops = folder.path().join("ops");
    fs::create_dir(folder.path().join("shared")).unwrap();
    fs::rename(ops.join("scenarios/bad-release.yaml"), folder.path().join("shared/bad.yaml")).unwrap();
    std::os::unix::fs::symlink("../../shared/bad.yaml", ops.join("scenarios/bad.yaml")).unwrap();
    commit(folder.path());
    git(folder.path(), &["branch", "--force", "main"]);
    gate(&ops, "").exits(0);
    edit(folder.path(), "shared/bad.yaml", "horizon:", "family: soft\nhorizon:");
    gate(&ops, "").exits(1).says("✗ scenario bad-release was of class bad-release, and is of class soft");
}
