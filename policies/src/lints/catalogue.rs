//! Every lint of policies: its code, what it finds, why that hurts, what helps. `docs/check.md` has the same table.

use firedrill_core::problem::Severity;

/// One kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct PolicyLint {
    /// Its code, stable across versions.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is found, a lowercase fragment.
    pub what: &'static str,
    /// Whether it is found in a policy alone; else rules, scenarios, other policies or a routing are needed to look for it.
    pub is_of_the_policy: bool,
}

impl PolicyLint {
    /// Its severity in a word.
    #[must_use]
    pub const fn severity_word(&self) -> &'static str {
        match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

const fn lint(code: &'static str, severity: Severity, is_of_the_policy: bool, what: &'static str) -> PolicyLint {
    PolicyLint { code, severity, what, is_of_the_policy }
}

/// Every lint of policies, by code.
pub const POLICY_LINTS: [PolicyLint; 33] = [
    lint("FD0324", Severity::Warning, false, "a disruption budget that lets nothing be taken"),
    lint("FD0325", Severity::Warning, false, "a cap or a gate beyond what there is"),
    lint("FD0326", Severity::Warning, false, "a cap by region, cluster or owner that the project does not declare of everything"),
    lint("FD0327", Severity::Warning, true, "a verification of the replica that its action drains"),
    lint("FD0328", Severity::Warning, true, "an action that nothing undoes, at the stage `limited`, without `approval`"),
    lint("FD0330", Severity::Error, false, "an alert that no rule has"),
    lint("FD0331", Severity::Warning, false, "an alert that cannot fire here"),
    lint("FD0332", Severity::Warning, false, "a matcher that no alert of the name meets"),
    lint("FD0333", Severity::Warning, false, "a cap that refuses every action in a service"),
    lint("FD0334", Severity::Warning, false, "caps that allow all replicas of a service at a time"),
    lint("FD0335", Severity::Warning, true, "a policy that acts and never looks whether it helped"),
    lint("FD0336", Severity::Error, false, "two policies of one name"),
    lint("FD0337", Severity::Warning, false, "a label that the policy needs and its alerts never have"),
    lint("FD0338", Severity::Warning, false, "a label that never names a target of its kind"),
    lint("FD0339", Severity::Warning, false, "a target that no scenario here has"),
    lint("FD0340", Severity::Warning, false, "a condition that finds nothing, or says the same at all times"),
    lint("FD0346", Severity::Warning, true, "a guard that goes by what helped, beside a step that is not verified"),
    lint("FD0347", Severity::Warning, true, "guards of a policy that only calls and tells people"),
    lint("FD0348", Severity::Warning, true, "a staged step that is verified by a label of its alert"),
    lint("FD0351", Severity::Info, true, "an action that could be undone, and is left as it is when it has not helped"),
    lint("FD0352", Severity::Warning, true, "a policy that acts as often as its alert comes"),
    lint("FD0353", Severity::Warning, true, "a scaling that nothing bounds"),
    lint("FD0354", Severity::Warning, true, "a gate without a cap"),
    lint("FD0355", Severity::Warning, true, "a policy that answers every alert, or a matcher that everything meets"),
    lint("FD0356", Severity::Warning, false, "two policies that answer one alert, and no locks between them"),
    lint("FD0357", Severity::Warning, false, "an escalation that nobody receives, or a quorum of more people than there are"),
    lint("FD0358", Severity::Warning, true, "an action that cannot be undone, done without asking anybody"),
    lint("FD0359", Severity::Warning, false, "prechecks that never hold, for no value can be as they ask"),
    lint("FD0366", Severity::Warning, false, "two policies of which one undoes or disturbs what the other does, and no locks between them"),
    lint("FD0367", Severity::Warning, false, "a score, a list of targets, evidence or a guard's number that finds nothing"),
    lint("FD0368", Severity::Warning, false, "a list of targets without the label that names them"),
    lint("FD0369", Severity::Warning, false, "a service that is scaled by the policy and by an autoscaler"),
    lint("FD0399", Severity::Warning, true, "a limit that another one beside it leaves without effect"),
];
