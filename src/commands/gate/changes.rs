//! What a change does to the judge besides what a project file says: by its policies, and by where its projects lie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_policies::policy::{Deed, Part, Policy};
use firedrill_policies::shared::Shared;
use firedrill_reports::verdict::{JudgeChange, JudgePart};

use super::judge::other_models;
use crate::failure::Failure;
use crate::revision::Revision;
use crate::sources::PROJECT_FILE;

/// The own actions of policies before a change.
pub(super) struct OwnActions<'a> {
    /// The policies.
    pub old: &'a [Arc<Policy>],
    /// What the project says for all of them.
    pub shared: &'a Shared,
    /// Whether the change is judged by all of its policies, so that what none of them does is gone.
    pub is_whole: bool,
}

impl OwnActions<'_> {
    /// What the change does to them, wherever what an action does to a simulated system was said before: in `actions:` of the project or in a policy,
    /// whatever that is called now. A policy's own word for it comes first. Likewise of an action that stands in the place of one that is gone: nobody but
    /// the change says what it does.
    pub fn changed_by(&self, new: &[Arc<Policy>]) -> Vec<JudgeChange> {
        let mut known: BTreeMap<&Name, Vec<&[Part]>> = BTreeMap::new();
        let of_project = self.shared.actions.iter().map(|(name, own)| (name, own.models.as_slice()));
        let of_policies = self.old.iter().flat_map(|policy| models(policy));
        of_project.chain(of_policies).for_each(|(name, models)| known.entry(name).or_default().push(models));
        let dropped = self.dropped_by(new);
        let mut found = Vec::new();
        for policy in new {
            let before = self.old.iter().find(|own| own.name == policy.name).map(|own| models(own)).unwrap_or_default();
            let now = models(policy);
            let is_other = |name: &Name, models: &[Part]| match before.get(name) {
                Some(own) => *own != models,
                None => known.get(name).is_some_and(|all| all.iter().any(|own| *own != models)),
            };
            found.extend(now.iter().filter(|(name, models)| is_other(name, models)).map(|(name, _)| other_models(name)));
            let unknown: Vec<&str> = now.keys().filter(|name| !known.contains_key(**name)).map(|name| name.as_str()).collect();
            let gone: BTreeSet<&Name> = before.into_keys().filter(|name| !now.contains_key(*name)).chain(dropped.iter().copied()).collect();
            let told = |name: &Name| {
                let what = format!("in policy {} another own action stands in the place of {name}: {}", policy.name, unknown.join(", "));
                JudgeChange::new(JudgePart::Models, what)
            };
            found.extend(gone.into_iter().filter(|_| !unknown.is_empty()).map(told));
        }
        found
    }

    /// Those that no policy does any more, whatever policies are called.
    fn dropped_by(&self, new: &[Arc<Policy>]) -> BTreeSet<&Name> {
        let kept = own_actions(new);
        let had = self.old.iter().flat_map(|policy| models(policy).into_keys());
        had.filter(|name| self.is_whole && !kept.contains(*name)).collect()
    }
}

/// The own actions of a policy's steps, and what each does.
fn models(policy: &Policy) -> BTreeMap<&Name, &[Part]> {
    let own = policy.steps.iter().filter_map(|step| if let Deed::Own(own) = &step.deed { Some(own) } else { None });
    own.map(|own| (&own.name, own.models.as_slice())).collect()
}

/// The names of the own actions of policies' steps.
pub(super) fn own_actions(policies: &[Arc<Policy>]) -> BTreeSet<Name> {
    policies.iter().flat_map(|policy| models(policy).into_keys().cloned()).collect()
}

/// What became of the projects of a revision that judge nothing because another one is asked for: where that was not there, it may have had another name, or
/// lain elsewhere; where it was, a folder may have become a link to it.
pub(super) fn of_moved(revision: &Revision, path: &str, is_there: bool) -> Result<Vec<JudgeChange>, Failure> {
    let unasked = "and what it asked for does not judge this one";
    let told = |name: String, what: &str| {
        let what = format!("the project {name} of {} {what}, {unasked}", revision.told());
        JudgeChange::new(JudgePart::Project, what)
    };
    if is_there {
        return Ok(revision.projects_led_here(path, PROJECT_FILE)?.into_iter().map(|name| told(name, "leads here now")).collect());
    }
    let of_module = revision.module_above(path).map(|module| {
        let what = format!("{module} was another repository (a git submodule) at {}, {unasked}", revision.told());
        JudgeChange::new(JudgePart::Project, what)
    });
    Ok(revision.projects_gone(path, PROJECT_FILE)?.into_iter().map(|name| told(name, "is gone")).chain(of_module).collect())
}
