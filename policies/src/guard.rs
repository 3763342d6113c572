//! Guards: each a small pure unit that says yes or no to a proposed action, with the figures that it compared (docs/policies.md, "Guards").
//!
//! They are asked in the order of [`ORDER`]. What they remember is shared by all policies of a run, is plain data, and survives a restart of
//! the engine: see [`Guards`].

pub mod stage;
pub mod dedup;
pub mod precheck;
pub mod caps;
pub mod rate_limit;
pub mod cooldown;

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::GuardVerdict;
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use serde::{Deserialize, Serialize};

use caps::Cap;
use cooldown::{Cooldown, Ends};
use dedup::Remediations;
use rate_limit::{RateLimit, Starts};

/// The guards in the order in which they are asked.
pub const ORDER: [&str; 6] = [stage::NAME, dedup::NAME, precheck::NAME, caps::NAME, rate_limit::NAME, cooldown::NAME];

/// The limits that a policy sets itself. What is absent is not configured: it passes, and the journal says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardSettings {
    /// A rest for the target after an action.
    pub cooldown: Option<Cooldown>,
    /// Starts within a window of time.
    pub rate_limits: Vec<RateLimit>,
    /// How much may be touched at a time.
    pub caps: Vec<Cap>,
}

/// An action that a policy wants to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Which policy.
    pub policy: Name,
    /// Which of its incidents.
    pub incident: u64,
    /// What to do.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// What the incident's target belongs to: the service of a replica, otherwise the target itself.
    pub owner: Target,
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Passed, not configured, or refused.
    pub verdict: GuardVerdict,
    /// The figures that it compared, for people; empty if it is not configured.
    pub figures: String,
    /// The earliest time at which a refusal could turn into a pass; `None` if the guard cannot know.
    pub again: Option<Time>,
}

impl Answer {
    /// Within its limits.
    #[must_use]
    pub fn passed(figures: impl Into<String>) -> Self {
        Self { verdict: GuardVerdict::Passed, figures: figures.into(), again: None }
    }

    /// The policy does not ask for this guard.
    #[must_use]
    pub const fn not_configured() -> Self {
        Self { verdict: GuardVerdict::NotConfigured, figures: String::new(), again: None }
    }

    /// Forbidden; `again` is when asking anew could help.
    #[must_use]
    pub fn refused(figures: impl Into<String>, again: Option<Time>) -> Self {
        Self { verdict: GuardVerdict::Refused, figures: figures.into(), again }
    }

    /// Whether it forbids the action.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.verdict == GuardVerdict::Refused
    }

    /// Several answers of one guard as one: the first refusal, otherwise all figures together.
    #[must_use]
    fn all(answers: Vec<Self>) -> Self {
        if let Some(refusal) = answers.iter().find(|answer| answer.is_refusal()) {
            return refusal.clone();
        }
        if answers.is_empty() {
            return Self::not_configured();
        }
        Self::passed(answers.iter().map(|answer| answer.figures.as_str()).collect::<Vec<_>>().join("; "))
    }
}

/// The version of what guards remember.
pub const STATE_VERSION: u32 = 1;

/// What guards remember: remediations in flight, starts, and ends, of all policies together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    version: u32,
    /// What is being worked on.
    pub remediations: Remediations,
    /// When actions started.
    pub starts: Starts,
    /// When actions ended.
    pub ends: Ends,
}

impl Default for Guards {
    fn default() -> Self {
        let (remediations, starts, ends) = Default::default();
        Self { version: STATE_VERSION, remediations, starts, ends }
    }
}

impl Guards {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it was saved by this version of the engine, so that it can be gone on with.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.version == STATE_VERSION
    }

    /// An action starts.
    pub fn started(&mut self, proposal: &Proposal, now: Time) {
        self.remediations.started(proposal);
        self.starts.record(proposal, now);
    }

    /// The running action of an incident has ended.
    pub fn ended(&mut self, policy: &Name, incident: u64, now: Time) {
        if let Some(target) = self.remediations.ended(policy, incident) {
            self.ends.record(policy, incident, target, now);
        }
    }

    /// An incident is closed: what it touched is free again.
    pub fn released(&mut self, policy: &Name, incident: u64) {
        self.remediations.released(policy, incident);
    }
}

/// What a limit is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each target by itself.
    Target,
    /// Each service by itself; what lies in no service counts by itself.
    Service,
    /// Each zone by itself.
    Zone,
    /// Everything together.
    All,
}

impl Scope {
    /// The word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Service => "service",
            Self::Zone => "zone",
            Self::All => "all",
        }
    }
}

/// The service that a target belongs to, as declared; `None` for zones and clients.
///
/// Pods of a Deployment are named `SERVICE-HASH-HASH`, so the longest declared name that the replica's name continues with a dash is taken;
/// where nothing is declared, what stands before the last dash.
#[must_use]
pub fn service_of(target: &Target, inventory: &Inventory) -> Option<Name> {
    let Target::Replica(replica) = target else { return target.service() };
    let continues = |service: &&Name| replica.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('-'));
    inventory.services.keys().filter(continues).max_by_key(|service| service.len()).cloned().or_else(|| target.service())
}

/// What a target belongs to: the service of a replica, otherwise the target itself.
#[must_use]
pub fn owner_of(target: &Target, inventory: &Inventory) -> Target {
    match target {
        Target::Replica(_) => service_of(target, inventory).map_or_else(|| target.clone(), Target::Service),
        other => other.clone(),
    }
}

/// Whether the inventory knows a target. A replica is known by its service, because their number changes. Nothing is known to an empty
/// inventory, which is what a recording without declarations has; then the answer is `None`.
#[must_use]
pub fn is_declared(target: &Target, inventory: &Inventory) -> Option<bool> {
    if inventory.services.is_empty() {
        return None;
    }
    Some(match target {
        Target::Service(service) => inventory.services.contains_key(service),
        Target::Replica(_) => service_of(target, inventory).is_some_and(|service| inventory.services.contains_key(&service)),
        Target::Zone(zone) => inventory.zones().contains(zone),
        Target::Node(node) => inventory.nodes.contains_key(node),
        // A calling service retries too.
        Target::Client(client) => inventory.clients.contains(client) || inventory.services.contains_key(client),
    })
}

/// The services that an action on a target touches, as declared; empty for clients.
fn services_touched(target: &Target, inventory: &Inventory) -> Vec<Name> {
    match target {
        Target::Zone(zone) => {
            inventory.services.iter().filter(|(_, entry)| entry.zones.contains(zone)).map(|(service, _)| service.clone()).collect()
        }
        Target::Node(node) => match inventory.nodes.get(node) {
            Some(zone) => services_touched(&Target::Zone(zone.clone()), inventory),
            None => Vec::new(),
        },
        other => service_of(other, inventory).into_iter().collect(),
    }
}

/// The zones that an action on a target touches, as declared. A replica whose zone cannot be told touches all zones of its service.
fn zones_touched(target: &Target, inventory: &Inventory) -> Vec<Name> {
    let zones_of = |service: &Name| inventory.services.get(service).map(|entry| entry.zones.clone()).unwrap_or_default();
    match target {
        Target::Zone(zone) => vec![zone.clone()],
        Target::Node(node) => inventory.nodes.get(node).cloned().into_iter().collect(),
        Target::Client(_) => Vec::new(),
        Target::Service(service) => sorted(zones_of(service)),
        Target::Replica(_) => match (replica_zone(target, inventory), service_of(target, inventory)) {
            (Some(zone), _) => vec![zone],
            (None, Some(service)) => sorted(zones_of(&service)),
            (None, None) => Vec::new(),
        },
    }
}

/// The zone of a replica: replica `i` stands in zone `i % zones`. `None` if its name carries no index or its zones are not declared.
fn replica_zone(target: &Target, inventory: &Inventory) -> Option<Name> {
    let service = service_of(target, inventory)?;
    let index: usize = target.name().strip_prefix(service.as_str())?.strip_prefix('-')?.parse().ok()?;
    let zones = &inventory.services.get(&service)?.zones;
    zones.get(index.checked_rem(zones.len())?).cloned()
}

fn sorted(mut names: Vec<Name>) -> Vec<Name> {
    names.sort();
    names.dedup();
    names
}

/// The parts of the system that a target counts towards under a scope. Under `service` a target without a service counts as itself.
fn scope_keys(scope: Scope, target: &Target, inventory: &Inventory) -> Vec<Target> {
    match scope {
        Scope::Target | Scope::All => vec![target.clone()],
        Scope::Service => {
            let services = services_touched(target, inventory);
            if services.is_empty() { vec![target.clone()] } else { services.into_iter().map(Target::Service).collect() }
        }
        Scope::Zone => zones_touched(target, inventory).into_iter().map(Target::Zone).collect(),
    }
}

/// What the tests of the guards share.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;
    use firedrill_core::action::RestartMode;
    use firedrill_core::inventory::ServiceEntry;

    /// api: 6 replicas in zones a, b, c; cart: 3 replicas in zones a, b; the client users.
    pub(crate) fn inventory() -> Inventory {
        let entry = |replicas, zones: &[&str], critical| ServiceEntry {
            replicas,
            zones: zones.iter().map(|zone| Name::new(zone)).collect(),
            critical,
            calls: Vec::new(),
        };
        Inventory {
            services: [(Name::new("api"), entry(6, &["a", "b", "c"], true)), (Name::new("cart"), entry(3, &["a", "b"], false))].into(),
            clients: vec![Name::new("users")],
            // Two machines in zone a, of which each has one of the two replicas of api and of cart that stand there.
            nodes: [(Name::new("blue-0"), Name::new("a")), (Name::new("blue-1"), Name::new("a"))].into(),
        }
    }

    /// Restart `target` at once, by `policy` in its incident `incident`.
    pub(crate) fn proposal(policy: &str, incident: u64, target: &str) -> Proposal {
        let target: Target = target.parse().unwrap();
        let owner = owner_of(&target, &inventory());
        Proposal { policy: Name::new(policy), incident, action: Action::Restart { mode: RestartMode::AtOnce }, target, owner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_belongs_to_the_longest_declared_service_that_its_name_continues() {
        let mut inventory = fixture::inventory();
        let entry = inventory.services[&Name::new("cart")].clone();
        inventory.services.insert(Name::new("cart-redis"), entry);
        let check = |replica: &str, service: &str| {
            assert_eq!(service_of(&Target::Replica(Name::new(replica)), &inventory), Some(Name::new(service)), "{replica}");
        };
        check("cart-0", "cart");
        check("cart-redis-0", "cart-redis");
        check("cart-5f6c9d-abcde", "cart");
        check("unknown-7", "unknown");
    }

    #[test]
    fn an_unknown_target_is_not_declared_and_an_empty_inventory_cannot_tell() {
        let check = |target: &str, want| assert_eq!(is_declared(&target.parse().unwrap(), &fixture::inventory()), Some(want), "{target}");
        check("service/api", true);
        check("service/apl", false);
        check("replica/api-17", true);
        check("replica/apl-0", false);
        check("zone/b", true);
        check("zone/z", false);
        check("client/users", true);
        check("client/api", true);
        assert_eq!(is_declared(&"service/api".parse().unwrap(), &Inventory::default()), None);
    }

    #[test]
    fn guards_are_plain_data_that_reads_back() {
        let mut guards = Guards::new();
        guards.remediations.claim(&fixture::proposal("p", 0, "replica/api-1"));
        guards.started(&fixture::proposal("p", 0, "replica/api-1"), Time::from_seconds(1));
        guards.ended(&Name::new("p"), 0, Time::from_seconds(2));
        let text = serde_json::to_string(&guards).unwrap();
        assert_eq!(serde_json::from_str::<Guards>(&text).unwrap(), guards);
        let other = text.replacen("\"version\":1", "\"version\":9", 1);
        assert!(guards.is_current() && !serde_json::from_str::<Guards>(&other).unwrap().is_current());
    }
}
