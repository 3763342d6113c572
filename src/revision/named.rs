//! Which commit the name of a revision is: one thing, whatever else somebody gave the same name to.

use std::collections::BTreeSet;

use firedrill_core::problem::Problem;

use super::PREFIX;
use super::git::Repository;
use crate::failure::Failure;

/// The lines that a workflow needs for history to be there.
const WHOLE_HISTORY: &str =
    "let the workflow fetch all of it: under `- uses: actions/checkout@v4` write `with:` and below it `fetch-depth: 0`";

/// Where git looks for a name, in its order.
const PLACES: [(&str, &str); 5] =
    [("refs/", ""), ("refs/tags/", ""), ("refs/heads/", ""), ("refs/remotes/", ""), ("refs/remotes/", "/HEAD")];

/// The commit that a revision is.
///
/// # Errors
/// There is none of this name, or there are several.
pub(super) fn commit_of(name: &str, repository: &Repository) -> Result<String, Failure> {
    if let Some(problem) = ambiguous(name, repository)? {
        return Err(vec![problem].into());
    }
    // A full name is no other one's end: git would look for a tag called `refs/heads/main`, too.
    let base = base(name);
    let is_there = !base.starts_with("refs/") || is_there(base, repository)?;
    if let Some(commit) = commit(name, repository)?.filter(|_| is_there && !name.is_empty()) {
        return Ok(commit);
    }
    let is_shallow = String::from_utf8_lossy(&repository.ask(&["rev-parse", "--is-shallow-repository"])?.stdout).trim() == "true";
    let (why, remedy) = match is_shallow {
        true => (", which is a shallow clone", WHOLE_HISTORY.to_owned()),
        false => ("", "`git branch --all` and `git tag` show what there is; `git fetch` brings what a remote has".to_owned()),
    };
    let message = format!("there is no revision `{name}` in this repository{why}");
    Err(vec![Problem::in_file("FD0612", &format!("{PREFIX}{name}"), message).remedy(remedy)].into())
}

/// Whether there is something of a full name.
fn is_there(full: &str, repository: &Repository) -> Result<bool, Failure> {
    Ok(repository.ask(&["show-ref", "--verify", "--quiet", "--", full])?.status.success())
}

/// Whether a name begins like those of a remote's branches: it is configured, or some branch of it was fetched.
fn is_of_remote(base: &str, repository: &Repository) -> Result<bool, Failure> {
    let Some((first, _)) = base.split_once('/') else { return Ok(false) };
    let fetched = repository.ask(&["for-each-ref", "--count=1", "--format=%(refname)", &format!("refs/remotes/{first}/")])?;
    let remotes = repository.ask(&["remote"])?;
    let is_one = |remote: &str| base.strip_prefix(remote).is_some_and(|rest| rest.starts_with('/'));
    Ok(!fetched.stdout.is_empty() || String::from_utf8_lossy(&remotes.stdout).lines().any(is_one))
}

/// The commit behind a name, as git finds it; `None` if there is none.
pub(super) fn commit(name: &str, repository: &Repository) -> Result<Option<String>, Failure> {
    let wanted = format!("{name}^{{commit}}");
    let found = repository.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
    let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    Ok((found.status.success() && !commit.is_empty()).then_some(commit))
}

/// A name without what says how far from it, as in `main~2`; an `@` may be a part of it, and `@{` may not.
fn base(name: &str) -> &str {
    let end = [name.find(['~', '^', ':']), name.find("@{")].into_iter().flatten().min().unwrap_or(name.len());
    &name[..end]
}

/// That several things have a name and are not the same: git would take a tag before a branch, and both before a commit whose number begins like that;
/// whoever may push a tag would choose the judge. Likewise a tag or a branch that is called like the branch of a remote, where that is not here.
fn ambiguous(name: &str, repository: &Repository) -> Result<Option<Problem>, Failure> {
    let base = base(name);
    if base.is_empty() {
        return Ok(None);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (before, after) in PLACES {
        let full = format!("{before}{base}{after}");
        // Asked for exactly: git would look for a tag called `refs/remotes/origin/main`, too.
        let is_there = is_there(&full, repository)?;
        found.extend(commit(&full, repository)?.filter(|_| is_there).map(|commit| (full, commit)));
    }
    let Some((taken, _)) = found.first().cloned() else { return Ok(None) };
    for id in numbered(base, repository)? {
        found.push((format!("the commit {id}"), id));
    }
    let problem =
        |message: String, remedy: String| Ok(Some(Problem::in_file("FD0625", &format!("{PREFIX}{name}"), message).remedy(remedy)));
    if !found.iter().any(|(full, _)| full.starts_with("refs/remotes/")) && is_of_remote(base, repository)? {
        let message = format!("`{base}` looks like a branch of a remote, and only {taken} is called so here");
        return problem(message, format!("fetch that branch; or name what judges in full, `{PREFIX}{taken}`, if it is meant"));
    }
    let commits: BTreeSet<&String> = found.iter().map(|(_, commit)| commit).collect();
    if commits.len() < 2 {
        return Ok(None);
    }
    let mut named: Vec<&str> = Vec::new();
    let mut known = BTreeSet::new();
    found.iter().filter(|(_, commit)| known.insert(commit)).for_each(|(full, _)| named.push(full));
    let last = named.last().map_or(base, |full| full.trim_start_matches("the commit "));
    let message = format!("`{base}` is several things that are not the same here: {}", named.join(", "));
    problem(message, format!("name the one that judges in full, such as `{PREFIX}{last}`; {taken} may have been made to be taken for it"))
}

/// The commits whose numbers begin with a name, or with the end of one that `git describe` would make.
fn numbered(base: &str, repository: &Repository) -> Result<Vec<String>, Failure> {
    let number = base.rsplit_once("-g").map_or(base, |(_, number)| number);
    // A whole number is what it is, whatever is called so, and nobody names a commit by less than seven digits.
    if !(7..40).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let told = repository.ask(&["rev-parse", &format!("--disambiguate={number}")])?;
    let mut found = Vec::new();
    for id in String::from_utf8_lossy(&told.stdout).lines() {
        let is_commit = repository.ask(&["cat-file", "-t", id])?.stdout.trim_ascii() == b"commit";
        found.extend(is_commit.then(|| id.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn what_says_how_far_from_a_name_is_no_part_of_it() {
        for (name, expected) in
            [("main~2", "main"), ("main^{commit}", "main"), ("main@{1}", "main"), ("release@2", "release@2"), ("a@b~1", "a@b")]
        {
            assert_eq!(base(name), expected);
        }
    }
}
