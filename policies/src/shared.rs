//! What a project says for all its policies: actions of its own, kill switches, and policy as code.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::name::Name;

use crate::code::Bundle;
use crate::guard::estate::Estate;
use crate::guard::switch::Halt;
use crate::policy::{OwnAction, Policy};

/// What all policies of a project have beside what stands in their files.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Actions of the project's own, by name.
    pub actions: BTreeMap<Name, OwnAction>,
    /// What turns policies off, in the order of the project.
    pub kill_switches: Vec<KillSwitch>,
    /// What its services and zones are.
    pub estate: Arc<Estate>,
    /// The rules that every action is offered to.
    pub code: Option<Arc<Bundle>>,
}

/// A kill switch of a project, and whom it stops. If it names nobody it stops all; else whoever is named in any of its lists.
#[derive(Clone, Debug)]
pub struct KillSwitch {
    /// When it is thrown, and what happens then. Which services it names stands there too.
    pub halt: Halt,
    /// These policies are stopped.
    pub policies: Vec<Name>,
    /// The policies of these owners are.
    pub owners: Vec<Name>,
}

impl Shared {
    /// Whether there is nothing of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.kill_switches.is_empty() && self.estate.is_empty() && self.code.is_none()
    }

    /// A policy of the project. Its actions were there when it was read.
    #[must_use]
    pub fn around(&self, mut policy: Arc<Policy>) -> Arc<Policy> {
        let halts: Vec<Halt> = self.kill_switches.iter().filter_map(|switch| switch.of(&policy)).collect();
        if halts.is_empty() && self.estate.is_empty() && self.code.is_none() {
            return policy;
        }
        let own = Arc::make_mut(&mut policy);
        own.guards.halts = halts;
        own.guards.estate = Arc::clone(&self.estate);
        own.guards.code = self.code.clone();
        policy
    }
}

impl KillSwitch {
    /// What it is to a policy; `None` if it never stops it.
    fn of(&self, policy: &Policy) -> Option<Halt> {
        let names_somebody = !self.policies.is_empty() || !self.owners.is_empty();
        if self.policies.contains(&policy.name) || self.owners.contains(&policy.owner) {
            return Some(Halt { services: Vec::new(), ..self.halt.clone() });
        }
        (!names_somebody || !self.halt.services.is_empty()).then(|| self.halt.clone())
    }
}
