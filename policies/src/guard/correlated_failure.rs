//! Much that fails together is one incident, and not many targets to work on one by one.

use std::collections::BTreeMap;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Ratio, Rounding};
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::caps::{Part, declared};
use super::fading::Fading;
use super::standing::Standing;
use super::{Answer, Instead, Scope, is_declared, is_of_another, service_of, sorted, zones_touched};
use crate::figures::{Figure, figures};

/// The name in journals.
pub const NAME: &str = "correlated_failure";

/// From when on failures are one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlated {
    /// So many services, or more. `None`: not asked.
    pub services: Option<u64>,
    /// Such a share of the declared replicas of one zone or one service, or more; never a single replica. `None`: not asked.
    pub share: Option<(Ratio, Scope)>,
    /// That began within so long: before now, or before or after the failure in question and are still on.
    pub within: Span,
}

/// When each target last failed: an alert for it began, whether or not a policy hears it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    targets: Fading,
    /// The alerts that are on.
    #[serde(default, skip_serializing_if = "Standing::is_empty")]
    on: Standing,
}

impl Failures {
    /// An alert for a target began at an instant, as is known now. The last time counts; there is one entry for a target. What is told to begin later began
    /// now at the latest, and is forgotten in its time however far ahead the clock of whoever told it was.
    pub fn record(&mut self, target: &Target, at: Time, now: Time) {
        self.targets.forget(now);
        self.targets.touch(target, at.min(now));
    }

    /// The same of an alert that is to be counted for as long as it is on. `alert`: one text for one alert.
    pub fn begin(&mut self, alert: Name, target: &Target, at: Time, now: Time) {
        self.record(target, at, now);
        self.on.begin(alert, target, at);
    }

    /// An alert is over. Of one that nobody told of nothing changes.
    pub fn end(&mut self, alert: &str) {
        self.on.end(alert);
    }

    /// An alert of the rules is on or over, whoever hears it. One that names nothing that is declared is nobody's failure.
    pub fn hear(&mut self, notification: &Notification, inventory: &Inventory, now: Time) {
        let alert = Name::from(format!("{:?}", notification.labels));
        match (notification.status, failing(&notification.labels, inventory)) {
            (AlertStatus::Firing, Some(target)) => self.begin(alert, &target, notification.starts_at, now),
            (AlertStatus::Firing, None) => {}
            (AlertStatus::Resolved, _) => self.end(&alert),
        }
    }
}

/// What an alert is about by its labels: the replica that `pod` names, or else the service that `service` does, as declared. A pod that `service` says is
/// of another service is no replica of the one that its name begins with. Where nothing is declared every name counts.
fn failing(labels: &LabelSet, inventory: &Inventory) -> Option<Target> {
    let named = |label: &str| labels.get(label).filter(|name| !name.is_empty()).cloned();
    let is_known = |target: &Target| is_declared(target, inventory) != Some(false);
    let is_own = |replica: &Target| {
        let service = service_of(replica, inventory).filter(|service| inventory.services.contains_key(service));
        !service.is_some_and(|service| is_of_another(replica.name(), &service, labels.get("service").map(Name::as_str), inventory))
    };
    let replica = named("pod").map(Target::Replica).filter(is_known).filter(is_own);
    replica.or_else(|| named("service").map(Target::Service).filter(is_known))
}

/// Asks the guard: failures that began in `(now - within, now]`, that of the target among them, and those that began less than `within` before or
/// after it and are still on: what failed together does not become many by lasting. `since` is when the target's alert began. An action on a whole
/// zone is not one of many.
#[must_use]
pub fn check(
    correlated: Option<&Correlated>,
    target: &Target,
    failures: &Failures,
    inventory: &Inventory,
    (now, since): (Time, Option<Time>),
) -> Answer {
    let Some(correlated) = correlated else { return Answer::not_configured() };
    let together = failures.on.together(since.unwrap_or(now), correlated.within);
    let mut failed: Vec<&Target> = failures.targets.within(correlated.within, now).chain(together).chain([target]).collect();
    failed.sort();
    failed.dedup();
    let mut answers = Vec::new();
    if let Some(limit) = correlated.services {
        let failed = sorted(failed.iter().filter_map(|target| service_of(target, inventory)).collect()).len();
        let failed = failed as u64;
        answers.push(judged(failed >= limit, |sign| {
            figures(&[&failed, &" services failed within ", &correlated.within, &" ", &sign, &" ", &limit])
        }));
    }
    if let Some((share, scope)) = correlated.share {
        answers.push(share_of_domains(&failed, target, (share, scope), correlated.within, inventory));
    }
    Answer::all(answers)
}

fn judged(is_one: bool, figures: impl Fn(&'static str) -> String) -> Answer {
    if is_one { Answer::refused(figures(">="), None).instead(Instead::Ask) } else { Answer::passed(figures("<")) }
}

/// The worst of the failure domains that the target stands in.
fn share_of_domains(failed: &[&Target], target: &Target, (share, scope): (Ratio, Scope), within: Span, inventory: &Inventory) -> Answer {
    if !matches!(target, Target::Replica(_)) {
        return Answer::passed(figures(&[target, &" is not one replica of a ", &scope.word()]));
    }
    let mut domains: BTreeMap<Target, u64> = domains_of(target, scope, inventory).into_iter().map(|domain| (domain, 0)).collect();
    for replica in failed.iter().filter(|target| matches!(target, Target::Replica(_))) {
        for domain in domains_of(replica, scope, inventory) {
            domains.entry(domain).and_modify(|count| *count += 1);
        }
    }
    let judge = |(domain, count): (&Target, &u64)| {
        let part = match domain {
            Target::Zone(zone) => Part::Zone(zone.clone()),
            other => Part::Service(other.name().clone()),
        };
        let Some(declared) = declared(&part, inventory).filter(|declared| *declared > 0) else {
            return Answer::refused(format!("the replicas of {domain} are not declared"), None);
        };
        // One replica is no correlation, whatever its share.
        let limit = share.of(declared, Rounding::Ceil).max(2);
        judged(*count >= limit, |sign| {
            let failed: [&dyn Figure; 6] = [count, &" of the ", &declared, &" replicas of ", domain, &" failed within "];
            figures(&[&failed[..], &[&within, &" ", &sign, &" ", &limit, &" (", &share, &")"]].concat())
        })
    };
    match domains.is_empty() {
        true => Answer::refused(format!("the {} of {target} is not declared", scope.word()), None),
        false => Answer::all(domains.iter().map(judge)),
    }
}

fn domains_of(target: &Target, scope: Scope, inventory: &Inventory) -> Vec<Target> {
    match scope {
        Scope::Zone => zones_touched(target, inventory).into_iter().map(Target::Zone).collect(),
        _ => service_of(target, inventory).into_iter().map(Target::Service).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::inventory;
    use super::super::rate_limit::LONGEST_WINDOW;
    use super::*;

    fn failures(list: &[(u64, &str)]) -> Failures {
        let mut failures = Failures::default();
        for (second, target) in list {
            failures.record(&target.parse().unwrap(), Time::from_seconds(*second), Time::from_seconds(*second));
        }
        failures
    }

    const MINUTE: Span = Span::from_seconds(60);

    #[track_caller]
    fn check_at(correlated: Correlated, list: &[(u64, &str)], target: &str, second: u64) -> Answer {
        check(Some(&correlated), &target.parse().unwrap(), &failures(list), &inventory(), (Time::from_seconds(second), None))
    }

    #[test]
    fn so_many_services_within_the_window_are_one_incident_and_the_window_is_open_on_its_left() {
        let two = Correlated { services: Some(2), share: None, within: MINUTE };
        let list = [(10, "service/api"), (40, "replica/cart-0"), (41, "replica/cart-1")];
        let refused = check_at(two, &list, "replica/cart-0", 69);
        assert_eq!(refused, Answer::refused("2 services failed within 1m >= 2", None).instead(Instead::Ask));
        assert!(!check_at(two, &list, "replica/cart-0", 70).is_refusal(), "the failure at 10 s is outside (10 s, 70 s]");
        assert!(!check_at(two, &list[1..], "replica/cart-0", 50).is_refusal(), "two replicas of one service");
        let three = Correlated { services: Some(3), ..two };
        assert!(!check_at(three, &list, "replica/cart-0", 50).is_refusal());
    }

    #[test]
    fn such_a_share_of_a_zone_is_one_incident() {
        // Zone a holds api-0, api-3, cart-0 and cart-2.
        let half = Correlated { services: None, share: Some((Ratio::parse("50%").unwrap(), Scope::Zone)), within: MINUTE };
        let two = [(10, "replica/api-0"), (11, "replica/cart-2")];
        let refused = check_at(half, &two, "replica/api-0", 20);
        assert_eq!(refused.figures, "2 of the 4 replicas of zone/a failed within 1m >= 2 (50%)");
        assert!(!check_at(half, &[(10, "replica/api-0"), (11, "replica/api-1")], "replica/api-0", 20).is_refusal(), "zones a and b");
        let more = Correlated { share: Some((Ratio::parse("51%").unwrap(), Scope::Zone)), ..half };
        assert!(!check_at(more, &two, "replica/api-0", 20).is_refusal(), "51 % of 4 is 3");
    }

    #[test]
    fn one_replica_is_no_correlation_and_a_whole_zone_is_not_one_of_many() {
        let any = Correlated { services: None, share: Some((Ratio::parse("1%").unwrap(), Scope::Service)), within: MINUTE };
        assert!(!check_at(any, &[], "replica/cart-0", 0).is_refusal());
        assert!(check_at(any, &[(0, "replica/cart-1")], "replica/cart-0", 0).is_refusal());
        assert!(!check_at(any, &[(0, "replica/cart-1")], "zone/a", 0).is_refusal());
        assert!(check_at(any, &[], "replica/unknown-0", 0).is_refusal(), "what is not declared has no share");
    }

    #[test]
    fn unless_asked_for_it_is_not_configured() {
        let asked = check(None, &"service/api".parse().unwrap(), &Failures::default(), &inventory(), (Time::ZERO, None));
        assert_eq!(asked, Answer::not_configured());
    }

    fn told(status: AlertStatus, labels: &[(&str, &str)], second: u64) -> Notification {
        let labels = labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect();
        Notification { alert: Name::new("Down"), status, labels, starts_at: Time::from_seconds(second), receiver: None }
    }

    #[test]
    fn every_alert_that_names_what_is_declared_counts_whoever_hears_it() {
        let two = Correlated { services: Some(2), share: None, within: MINUTE };
        let refuses = |labels: &[(&str, &str)]| {
            let mut failures = Failures::default();
            failures.hear(&told(AlertStatus::Firing, labels, 5), &inventory(), Time::from_seconds(5));
            let at = (Time::from_seconds(10), Some(Time::from_seconds(10)));
            check(Some(&two), &"replica/api-1".parse().unwrap(), &failures, &inventory(), at).is_refusal()
        };
        assert!(refuses(&[("service", "cart")]) && refuses(&[("pod", "cart-0")]));
        assert!(refuses(&[("pod", "prometheus-0"), ("service", "cart")]));
        assert!(refuses(&[("pod", "api-0"), ("service", "cart")]), "it is of cart");
        assert!(!refuses(&[("pod", "cart-exporter-0"), ("service", "cart-exporter")]), "no replica of cart");
        assert!(refuses(&[("pod", "cart-0"), ("service", "kube-state-metrics")]), "whoever tells of it");
        assert!(!refuses(&[("service", "unknown")]) && !refuses(&[("alertname", "Watchdog")]) && !refuses(&[("pod", "api-0")]));
    }

    #[test]
    fn what_is_told_to_begin_in_the_future_is_forgotten_like_everything_else() {
        let two = Correlated { services: Some(2), share: None, within: MINUTE };
        let mut failures = Failures::default();
        let year = 365 * 24 * 3600;
        let cart = [("service", "cart")];
        failures.hear(&told(AlertStatus::Firing, &cart, 70 * year), &inventory(), Time::from_seconds(10));
        failures.hear(&told(AlertStatus::Resolved, &cart, 70 * year), &inventory(), Time::from_seconds(20));
        let refuses = |second| {
            let at = (Time::from_seconds(second), Some(Time::from_seconds(second)));
            check(Some(&two), &"service/api".parse().unwrap(), &failures, &inventory(), at).is_refusal()
        };
        assert!(refuses(69) && !refuses(70));
        failures.record(&"service/api".parse().unwrap(), Time::ZERO, Time::from_seconds(10) + LONGEST_WINDOW);
        let kept = failures.targets.within(LONGEST_WINDOW, Time::ZERO).count();
        assert_eq!(kept, 1, "only what was recorded last");
    }

    #[test]
    fn what_began_together_and_is_still_on_stays_one_incident_when_the_window_is_over() {
        let two = Correlated { services: Some(2), share: None, within: MINUTE };
        let mut failures = Failures::default();
        let mut hear = |status, service: &str, began: u64, now: u64| {
            failures.hear(&told(status, &[("service", service)], began), &inventory(), Time::from_seconds(now));
            failures.clone()
        };
        let ask = |failures: &Failures, began: u64, second: u64| {
            let at = (Time::from_seconds(second), Some(Time::from_seconds(began)));
            check(Some(&two), &"service/api".parse().unwrap(), failures, &inventory(), at).is_refusal()
        };
        hear(AlertStatus::Firing, "api", 100, 100);
        let both = hear(AlertStatus::Firing, "cart", 130, 130);
        assert!(ask(&both, 100, 130) && ask(&both, 100, 189) && ask(&both, 100, 100_000), "both are still on");
        assert!(!ask(&both, 100_000, 100_000), "what fails much later is not one with what has been failing for long");
        assert!(ask(&both, 189, 189) && !ask(&both, 190, 190), "less than a minute after the other began");
        let one = hear(AlertStatus::Resolved, "cart", 130, 150);
        assert!(ask(&one, 100, 189) && !ask(&one, 100, 190), "the other has recovered, and is forgotten after a minute");
        let again: Failures = serde_json::from_str(&serde_json::to_string(&both).unwrap()).unwrap();
        assert_eq!(again, both);
    }
}
