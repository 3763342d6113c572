//! Drawing: a variant for each number of a seed.

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, below, hash64, unit};
use firedrill_core::time::Span;

use crate::variants::entry::Entry;
use crate::variants::plan::{Origin, Plan};
use crate::variants::possible::{Group, Possible, possible};
use crate::variants::quantity::round_span;
use crate::variants::ranges::Ranges;

/// So often a variant that is no sound scenario is drawn again; then there is none of this number.
const ATTEMPTS: u64 = 20;

/// A variant, and what was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// What happens in it.
    pub plan: Plan,
    /// What was changed, a few words each.
    pub changed: Vec<String>,
}

/// Luck in the order in which it is asked for; another one for each address.
#[derive(Clone, Debug)]
pub struct Dice {
    stream: Stream,
    thrown: u64,
}

impl Dice {
    /// The dice of an address.
    #[must_use]
    pub fn new(seed: u64, address: &str) -> Self {
        Self { stream: Stream::new(Seed(seed), Purpose::Fault, hash64(address)), thrown: 0 }
    }

    /// A number from 0 up to and without `count`, which is not zero.
    pub fn below(&mut self, count: usize) -> usize {
        below(self.word(), count as u64) as usize
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        unit(self.word())
    }

    /// True with this chance.
    pub fn chance(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// A number between two.
    pub fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A time between two, as somebody would say it.
    pub fn span(&mut self, low: Span, high: Span) -> Span {
        round_span(Span::from_seconds_f64(self.between((low.as_seconds(), high.as_seconds()))))
    }

    /// One of several; `None` of none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.below(all.len())])
    }

    fn word(&mut self) -> u64 {
        self.thrown += 1;
        self.stream.block(self.thrown).word64(0)
    }
}

/// The variant of a number. The same seed gives the same one. What is no sound scenario is drawn again; `None` if nothing sound was found.
#[must_use]
pub fn draw(origin: &Origin, ranges: &Ranges, (seed, number): (u64, u32), is_sound: &dyn Fn(&Plan) -> bool) -> Option<Drawn> {
    let possible = possible(&origin.spec, ranges);
    (0..ATTEMPTS).find_map(|attempt| {
        let dice = Dice::new(seed, &format!("variant/{}/{number}/{attempt}", origin.name));
        let mut drawing = Drawing { origin, ranges, dice, plan: origin.as_is(), changed: Vec::new() };
        drawing.change_own();
        drawing.add(&possible);
        let Drawing { plan, changed, .. } = drawing;
        let plan = plan.called(&format!("{}-{seed}-{number}", origin.name));
        (!changed.is_empty() && is_sound(&plan)).then_some(Drawn { plan, changed })
    })
}

struct Drawing<'a> {
    origin: &'a Origin,
    ranges: &'a Ranges,
    dice: Dice,
    plan: Plan,
    changed: Vec<String>,
}

impl Drawing<'_> {
    /// What the scenario has itself: each of it perhaps elsewhere, at another time, for another time, or of another size.
    fn change_own(&mut self) {
        for index in 0..self.plan.entries.len() {
            let before = self.plan.entries[index].clone();
            // All four are drawn whether they are used or not, so that one more range does not change the others.
            let [sized, started, lasted, moved] = std::array::from_fn(|_| self.dice.chance(0.5));
            let times = self.dice.between(self.ranges.magnitude);
            let longer = self.dice.between(self.ranges.duration);
            let shift = self.dice.between((-1.0, 1.0));
            let mut after = before.clone();
            if sized {
                after = after.scaled(times);
            }
            if started {
                after = self.shifted(&after, shift);
            }
            if let Some(lasting) = after.lasting().filter(|_| lasted) {
                after = after.with_lasting(Some(round_span(Span::from_seconds_f64(lasting.as_seconds() * longer))));
            }
            if moved && self.ranges.targets && Group::of(&before) == Group::Fault {
                after = self.moved(&after);
            }
            if after != before {
                self.changed.push(format!("{}, where it was {}", after.words(), before.words()));
                self.plan.entries[index] = after;
            }
        }
    }

    /// Earlier or later by a share of what the ranges allow, and within the run.
    fn shifted(&self, entry: &Entry, shift: f64) -> Entry {
        let latest = (self.plan.horizon.as_seconds() - 60.0).max(0.0);
        let at = (entry.at().as_seconds() + shift * self.ranges.start.as_seconds()).clamp(0.0, latest);
        entry.with_at(Span::from_seconds(libm::round(at) as u64))
    }

    /// At another replica of the service; the cure follows.
    fn moved(&mut self, entry: &Entry) -> Entry {
        let Some((kind, name)) = entry.target().map(|(kind, name)| (kind.clone(), name.clone())) else { return entry.clone() };
        let others = others(self.origin, &kind, &name);
        let Some(other) = self.dice.one_of(&others) else { return entry.clone() };
        self.plan.renamed.insert(name, other.clone());
        entry.with_target(other)
    }

    /// What comes besides: nothing or one of each group. A scenario in which nothing breaks stays one.
    fn add(&mut self, possible: &[Possible]) {
        let chances = [(Group::Fault, 0.5), (Group::Change, 0.3), (Group::Monitoring, 0.3), (Group::Actuator, 0.2)];
        for (group, chance) in chances {
            let is_wanted = self.dice.chance(chance);
            if !is_wanted || group == Group::Fault && self.origin.calm {
                continue;
            }
            if let Some(entry) = one_more(&mut self.dice, possible, group, &self.plan) {
                self.changed.push(format!("{} besides", entry.words()));
                self.plan.entries.push(entry);
            }
        }
    }
}

/// Other targets of the kind: other replicas of the service, other zones, other machines of the pool.
fn others(origin: &Origin, kind: &str, name: &Name) -> Vec<Name> {
    let of = |service: &firedrill_sim::spec::ServiceSpec| {
        (0..service.replicas).map(|index| Inventory::replica_name(&service.name, index)).collect()
    };
    let all: Vec<Name> = match kind {
        "replica" => origin.spec.services.iter().map(of).find(|replicas: &Vec<Name>| replicas.contains(name)).unwrap_or_default(),
        "zone" => {
            let mut zones: Vec<Name> = origin.spec.services.iter().flat_map(|service| service.zones.clone()).collect();
            zones.sort();
            zones.dedup();
            zones
        }
        "node" => {
            let pools = origin.spec.nodes.iter();
            let of = |pool: &firedrill_sim::spec::NodePoolSpec| {
                (0..pool.count).map(|index| Name::new(&format!("{}-{index}", pool.name))).collect()
            };
            pools.map(of).find(|nodes: &Vec<Name>| nodes.contains(name)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    all.into_iter().filter(|other| other != name).collect()
}

/// One of what is possible of a group, of any size, at any time in which the run still shows what comes of it.
pub fn one_more(dice: &mut Dice, possible: &[Possible], group: Group, plan: &Plan) -> Option<Entry> {
    let of_group: Vec<&Possible> = possible.iter().filter(|possible| possible.group == group).collect();
    // First the kind, so that a kind with many targets does not come more often.
    let mut words: Vec<&str> = of_group.iter().map(|possible| possible.word).collect();
    words.sort_unstable();
    words.dedup();
    let word = *dice.one_of(&words)?;
    let of_word: Vec<&Possible> = of_group.into_iter().filter(|possible| possible.word == word).collect();
    let chosen = *dice.one_of(&of_word)?;
    let horizon = plan.horizon.as_seconds();
    let at = dice.span(Span::from_minutes(2), Span::from_seconds_f64((horizon * 0.6).max(121.0)));
    let how = dice.unit();
    let lasting = dice.span(Span::from_minutes(1), Span::from_minutes(10));
    Some(chosen.entry(how, at, lasting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::scenario::read_scenario;

    fn origin(name: &str) -> Origin {
        let (path, text) = library::get(name).unwrap();
        Origin::of(&read_scenario(path, text).unwrap())
    }

    fn drawn(name: &str, seed: u64, number: u32) -> (String, Drawn) {
        let origin = origin(name);
        let is_sound = |plan: &Plan| read_scenario("variant.yaml", &origin.text(plan)).is_ok();
        let drawn = draw(&origin, &Ranges::of(&[]), (seed, number), &is_sound).unwrap();
        (origin.text(&drawn.plan), drawn)
    }

    #[test]
    fn the_same_seed_gives_the_same_variant_and_another_one_another() {
        for name in ["hang-one-replica", "shop-slow-catalog", "primary-lost"] {
            assert_eq!(drawn(name, 7, 3), drawn(name, 7, 3));
            assert_ne!(drawn(name, 7, 3).0, drawn(name, 8, 3).0);
            assert_ne!(drawn(name, 7, 3).0, drawn(name, 7, 4).0);
        }
    }

    #[test]
    fn every_scenario_of_the_library_has_variants_and_a_calm_one_stays_calm() {
        let ranges = Ranges::of(&[]);
        for entry in library::ENTRIES.iter().filter(|entry| !entry.path.contains("/reference/")) {
            let scenario = read_scenario(entry.path, entry.text).unwrap();
            let origin = Origin::of(&scenario);
            let read = |plan: &Plan| read_scenario(entry.path, &origin.text(plan));
            let drawn = draw(&origin, &ranges, (1, 0), &|plan| read(plan).is_ok());
            let drawn = drawn.unwrap_or_else(|| panic!("{} has no variant", entry.name));
            let variant = read(&drawn.plan).unwrap();
            assert_eq!((variant.calm, &variant.family), (scenario.calm, &scenario.family), "{}", entry.name);
            assert!(variant.name.starts_with(entry.name) && !drawn.changed.is_empty());
            assert_ne!(variant.hash, scenario.hash, "{}", entry.name);
        }
    }

    #[test]
    fn the_cure_follows_the_fault_to_another_replica() {
        let origin = origin("hang-one-replica");
        let moved = (0..40).map(|number| drawn("hang-one-replica", 1, number)).find(|(_, drawn)| !drawn.plan.renamed.is_empty());
        let (text, drawn) = moved.expect("one of forty strikes another replica");
        let other = &drawn.plan.renamed[&Name::new("api-1")];
        assert!(
            text.contains(&format!("- restart: {{ replica: {other} }}"))
                || text.contains(&format!("[{{ restart: {{ replica: {other} }} }}]")),
            "{text}"
        );
        assert_eq!(origin.as_is().renamed.len(), 0);
    }

    #[test]
    fn ranges_that_allow_nothing_allow_no_variant() {
        let origin = origin("hang-one-replica");
        let ranges = Ranges {
            start: Span::ZERO,
            targets: false,
            faults: Vec::new(),
            changes: Vec::new(),
            monitoring: Vec::new(),
            actuator: Vec::new(),
            ..Ranges::of(&[])
        };
        assert_eq!(draw(&origin, &ranges, (1, 1), &|_| true), None);
    }
}
