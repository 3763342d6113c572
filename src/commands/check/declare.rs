//! The shortest `metrics:` that would make more rules able to fire: profiles of exporters that have what is missing, and then metrics that nothing
//! exposes, chosen one by one for the rules that they free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_policies::rules::{Coverage, Outlook, Rule, RuleSet};
use firedrill_scenarios::Scenario;
use firedrill_scenarios::lower::shown_by;
use firedrill_sim::spec::{Profile, WorldSpec};
use firedrill_telemetry::labels::is_metric_name;
use firedrill_telemetry::universe::Universe;

use super::linting::Ground;
use crate::draft::{self, Entry, Use};

/// At most so many metrics are proposed: whoever pastes them has to put each right.
const MOST: usize = 10;

/// Metrics that would make more rules able to fire.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    /// The scenario that they could be pasted into.
    pub scenario: String,
    /// The service that would expose them.
    pub service: String,
    /// Whether it exposes metrics of its own already.
    pub has_metrics: bool,
    /// Profiles of the scenario, which bring what real exporters say.
    pub profiles: Vec<Profile>,
    /// The metrics.
    pub entries: Vec<Entry>,
    /// How many more rules could fire.
    pub more: usize,
    /// How many rules would need more than these.
    pub left: usize,
}

impl Declaration {
    /// What can be pasted: below the service, or below its `metrics:` where it has some.
    pub fn yaml(&self) -> String {
        if self.entries.is_empty() {
            return String::new();
        }
        let entries = draft::yaml(&self.entries, 6);
        if self.has_metrics { entries } else { format!("    metrics:\n{entries}") }
    }
}

/// What profiles would bring to the first scenario that rules miss: by metric, the first profile that has it.
pub(super) fn in_profiles(ground: Ground<'_>) -> BTreeMap<String, Profile> {
    let reasons =
        ground.coverage.iter().filter(|(_, _, coverage)| matches!(coverage, Coverage::Never(_))).flat_map(|(.., told)| told.reasons());
    let missing: BTreeSet<&str> = reasons.filter_map(|reason| reason.word.as_deref()).collect();
    let mut found = BTreeMap::new();
    let Some(scenario) = ground.scenarios.first().filter(|_| !missing.is_empty()) else { return found };
    for profile in Profile::ALL {
        let Some(shown) = shown_by(&scenario.spec, profile) else { continue };
        let universe = firedrill_sim::universe(&Arc::new(shown));
        for metric in missing.iter().filter(|metric| is_in(&universe, metric)) {
            found.entry((*metric).to_owned()).or_insert(profile);
        }
    }
    let known = firedrill_sim::universe(&scenario.spec);
    found.retain(|metric, _| !is_in(&known, metric));
    found
}

/// Whether a metric, or a part of a histogram of this name, can be seen.
fn is_in(universe: &Universe, metric: &str) -> bool {
    ["", "_bucket", "_count", "_sum"].iter().any(|part| universe.shapes(&format!("{metric}{part}")).next().is_some())
}

/// The declaration for the rules that cannot fire, in the first scenario; `None` if no metric would help.
pub(super) fn shortest(ground: Ground<'_>, in_profiles: &BTreeMap<String, Profile>) -> Option<Declaration> {
    let scenario = ground.scenarios.first()?;
    let host = host(scenario)?;
    let stuck: BTreeSet<usize> =
        (0..ground.coverage.len()).filter(|index| matches!(ground.coverage[*index].2, Coverage::Never(_))).collect();
    let uses = draft::uses(ground.rules);
    let needs = needs(ground, &stuck, &uses);
    // What a real exporter says is not made up.
    let profile_of = |metric: &str| {
        let of = |part: &str| in_profiles.get(&format!("{metric}{part}")).copied();
        ["", "_bucket", "_count", "_sum"].into_iter().find_map(of)
    };
    let made_up = |needs: &BTreeSet<String>| needs.iter().filter(|metric| profile_of(metric).is_none()).cloned().collect();
    let chosen = chosen(&needs.iter().map(|(index, needs)| (*index, made_up(needs))).collect());
    let profiles: BTreeSet<Profile> = needs.values().flatten().filter_map(|metric| profile_of(metric)).collect();
    let entries: Vec<Entry> = chosen.iter().map(|name| draft::from_use(name, &uses[name])).collect();
    let freed = freed(ground.rules, (scenario, host), (&profiles, &entries), &stuck);
    // What frees nothing after all, for its values do not meet, is left out.
    let is_needed = |is_it: &dyn Fn(&str) -> bool| freed.iter().filter_map(|index| needs.get(index)).flatten().any(|metric| is_it(metric));
    let entries: Vec<Entry> = entries.into_iter().filter(|entry| is_needed(&|metric| *entry.metric.name == *metric)).collect();
    let profiles: BTreeSet<Profile> =
        profiles.into_iter().filter(|profile| is_needed(&|metric| profile_of(metric) == Some(*profile))).collect();
    let freed = self::freed(ground.rules, (scenario, host), (&profiles, &entries), &stuck);
    if freed.is_empty() {
        return None;
    }
    let service = &scenario.spec.services[host];
    Some(Declaration {
        scenario: scenario.name.to_string(),
        service: service.name.to_string(),
        has_metrics: !service.metrics.is_empty(),
        profiles: profiles.into_iter().collect(),
        entries,
        more: freed.len(),
        left: stuck.len() - freed.len(),
    })
}

/// The service that people meet first: it sees their requests.
fn host(scenario: &Scenario) -> Option<usize> {
    let entry = scenario.spec.clients.first().map(|client| &client.service);
    let found = scenario.spec.services.iter().position(|service| Some(&service.name) == entry);
    found.or(if scenario.spec.services.is_empty() { None } else { Some(0) })
}

/// For each rule that cannot fire, the metrics that nothing exposes and that it needs, by way of recorded ones too.
fn needs(ground: Ground<'_>, stuck: &BTreeSet<usize>, uses: &BTreeMap<String, Use>) -> BTreeMap<usize, BTreeSet<String>> {
    let rules: Vec<&Rule> = ground.coverage.iter().map(|(_, rule, _)| *rule).collect();
    let known = |metric: &str| ground.outlooks.iter().any(|outlook| outlook.universe().shapes(metric).next().is_some());
    let declared = |metric: &str| {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part).filter(|base| uses.contains_key(*base)));
        part.unwrap_or(metric).to_owned()
    };
    let mut needs: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for index in stuck {
        let (mut waiting, mut seen, mut found) = (vec![*index], BTreeSet::new(), BTreeSet::new());
        while let Some(rule) = waiting.pop().filter(|_| seen.len() < rules.len()) {
            if !seen.insert(rule) {
                continue;
            }
            let metrics = rules[rule].plan.iter().flat_map(|plan| plan.selectors()).filter_map(|selector| selector.metric());
            for metric in metrics.filter(|metric| !known(metric)) {
                let recording = (0..rules.len()).filter(|other| !rules[*other].is_alerting() && *rules[*other].name == *metric);
                let recording: Vec<usize> = recording.collect();
                if recording.is_empty() {
                    found.insert(declared(metric));
                }
                waiting.extend(recording);
            }
        }
        if !found.is_empty() && found.iter().all(|metric| is_metric_name(metric) && uses.contains_key(metric)) {
            needs.insert(*index, found);
        }
    }
    needs
}

/// Metrics in the order in which they are worth declaring: first those that free most rules each by itself, then the smallest sets.
fn chosen(needs: &BTreeMap<usize, BTreeSet<String>>) -> BTreeSet<String> {
    let mut chosen: BTreeSet<String> = BTreeSet::new();
    while chosen.len() < MOST {
        let open: Vec<BTreeSet<&String>> =
            needs.values().map(|needs| needs.difference(&chosen).collect::<BTreeSet<_>>()).filter(|needs| !needs.is_empty()).collect();
        let Some(least) = open.iter().map(BTreeSet::len).min() else { break };
        if chosen.len() + least > MOST {
            break;
        }
        // Of the sets of the least size the one that most rules ask for.
        let mut asked: BTreeMap<&BTreeSet<&String>, usize> = BTreeMap::new();
        for set in open.iter().filter(|set| set.len() == least) {
            *asked.entry(set).or_default() += 1;
        }
        let Some((best, _)) = asked.into_iter().max_by_key(|(set, count)| (*count, std::cmp::Reverse(*set))) else { break };
        let best: Vec<String> = best.iter().map(ToString::to_string).collect();
        chosen.extend(best);
    }
    chosen
}

/// The rules that could fire if a scenario had these profiles, and a service exposed these metrics too: looked up as if they had been pasted.
fn freed(
    rules: &RuleSet,
    (scenario, host): (&Scenario, usize),
    (profiles, entries): (&BTreeSet<Profile>, &[Entry]),
    stuck: &BTreeSet<usize>,
) -> BTreeSet<usize> {
    if entries.is_empty() && profiles.is_empty() {
        return BTreeSet::new();
    }
    let mut spec: WorldSpec = (*scenario.spec).clone();
    for profile in profiles {
        spec = shown_by(&spec, *profile).unwrap_or(spec);
    }
    let metrics = &mut spec.services[host].metrics;
    metrics.extend(entries.iter().map(|entry| entry.metric.clone()));
    metrics.sort_by(|left, right| left.name.cmp(&right.name));
    let outlook = Outlook::new(rules, firedrill_sim::universe(&Arc::new(spec)));
    let able = outlook.coverage().enumerate().filter(|(_, (_, _, coverage))| coverage.is_able()).map(|(index, _)| index);
    able.filter(|index| stuck.contains(index)).collect()
}
