//! How many of what is declared are healthy, by a condition that is true for each healthy element.
//!
//! What is declared and not seen counts as unhealthy: a replica that shows nothing may be gone.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_telemetry::promql::Condition;

use super::caps::{Part, declared, parts_touched};
use super::{Answer, Scope};

/// What is counted, and how health is told.
#[derive(Clone, Debug)]
pub struct Watch {
    /// A comparison with one element for each replica, true for the healthy ones.
    pub healthy: Condition,
    /// What is counted together.
    pub scope: Scope,
}

/// What the condition of a [`Watch`] said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Elements that are healthy.
    pub holding: u64,
    /// Elements that are healthy or are not.
    pub elements: u64,
    /// Why it could not be evaluated; otherwise empty.
    pub error: &'a str,
}

/// The declared replicas of the parts of the system that a proposal touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Population {
    /// The parts themselves.
    pub parts: Vec<Part>,
    /// Declared replicas, at least 1.
    pub declared: u64,
    /// Those that are seen to be healthy.
    pub healthy: u64,
    /// The others, and those beyond what is declared that are seen not to be healthy.
    pub unhealthy: u64,
}

impl Population {
    /// The population that an action on a target touches.
    ///
    /// # Errors
    /// The refusal of a guard that lacks its input: nobody has counted, nothing was seen, or nothing is declared.
    pub fn of(watch: &Watch, target: &Target, inventory: &Inventory, counted: Option<Counted<'_>>) -> Result<Self, Answer> {
        let undeclared = || Answer::refused(format!("the {} of {target} is not declared", watch.scope.word()), None);
        let parts = parts_touched(watch.scope, target, inventory).filter(|parts| !parts.is_empty()).ok_or_else(undeclared)?;
        let declared: u64 =
            parts.iter().map(|part| declared(part, inventory)).sum::<Option<u64>>().filter(|count| *count > 0).ok_or_else(undeclared)?;
        match counted {
            None => Err(Answer::refused("cannot tell: nobody has counted", None)),
            Some(Counted { error, .. }) if !error.is_empty() => Err(Answer::refused(format!("cannot tell: {error}"), None)),
            Some(Counted { elements: 0, .. }) => Err(Answer::refused("cannot tell: no element", None)),
            Some(Counted { holding, elements, .. }) => {
                let unhealthy = declared.max(elements).saturating_sub(holding);
                Ok(Self { parts, declared, healthy: holding, unhealthy })
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::fixture::inventory;
    use super::*;

    pub(crate) fn watch(scope: Scope) -> Watch {
        Watch { healthy: Condition::parse("up == 1").unwrap(), scope }
    }

    pub(crate) const fn counted(holding: u64, elements: u64) -> Option<Counted<'static>> {
        Some(Counted { holding, elements, error: "" })
    }

    #[track_caller]
    fn check(scope: Scope, target: &str, seen: Option<Counted<'_>>, expected: Result<(u64, u64, u64), &str>) {
        let found = Population::of(&watch(scope), &target.parse().unwrap(), &inventory(), seen);
        let told = found.map(|found| (found.declared, found.healthy, found.unhealthy)).map_err(|answer| answer.figures);
        assert_eq!(told, expected.map_err(str::to_owned));
    }

    #[test]
    fn what_is_declared_and_not_seen_is_unhealthy_and_so_is_what_is_seen_beyond() {
        check(Scope::Service, "replica/api-1", counted(4, 6), Ok((6, 4, 2)));
        check(Scope::Service, "replica/api-1", counted(4, 4), Ok((6, 4, 2)));
        check(Scope::Service, "replica/api-1", counted(8, 9), Ok((6, 8, 1)));
        check(Scope::Zone, "replica/api-0", counted(4, 4), Ok((4, 4, 0)));
        check(Scope::All, "replica/api-0", counted(9, 9), Ok((9, 9, 0)));
    }

    #[test]
    fn without_its_input_it_refuses() {
        check(Scope::Service, "service/api", None, Err("cannot tell: nobody has counted"));
        check(Scope::Service, "service/api", counted(0, 0), Err("cannot tell: no element"));
        let error = Some(Counted { holding: 0, elements: 0, error: "too many series" });
        check(Scope::Service, "service/api", error, Err("cannot tell: too many series"));
        check(Scope::Service, "service/unknown", counted(1, 1), Err("the service of service/unknown is not declared"));
        check(Scope::Service, "client/users", counted(1, 1), Err("the service of client/users is not declared"));
    }
}
