//! The system as a picture: who asks whom, what the fault was attached to, how far the incident reached, and what was acted upon.
//!
//! Callers stand left of what they call, in layers. Within a layer everything stands near what it is joined to, so that few lines cross;
//! a line that passes a layer has a place of its own there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use firedrill_core::action::Target;
use firedrill_core::journal::Event;
use firedrill_core::ledger::{Ledger, ServiceLedger};
use firedrill_core::name::Name;
use firedrill_core::words::counted;

use crate::outcome::{Arms, Outcome, Scope};

/// A picture of more services than this would show nothing.
const MOST: usize = 60;
/// Sizes, pixels at full size.
const WIDTH: f64 = 168.0;
const HEIGHT: f64 = 66.0;
const GAP: f64 = 18.0;
const STEP: f64 = WIDTH + 62.0;
const MARGIN: f64 = 14.0;
/// What a line takes of a layer that it passes.
const LANE: f64 = 16.0;
/// The most replicas that are drawn one by one.
const MOST_DOTS: u32 = 12;
/// The most letters of a name that fit.
const ROOM: usize = 19;

/// Something that stands in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    Client(usize),
    Service(usize),
    /// A line that passes, by its number.
    Lane(usize),
}

/// The system of an example, drawn; `None` if it is too large to be.
#[must_use]
pub fn picture(arms: &Arms, outcome: &Outcome, title: &str) -> Option<String> {
    let ledger = &arms.policy.ledger;
    if ledger.services.is_empty() || ledger.services.len() + ledger.clients.len() > MOST {
        return None;
    }
    let told = Told::of(arms, outcome);
    let layout = Layout::of(ledger);
    Some(draw(ledger, &told, &layout, title))
}

/// What the picture says beside the structure.
struct Told<'a> {
    /// What faults were attached to, by service or client, in words.
    faults: BTreeMap<&'a Name, Vec<String>>,
    /// What the incidents concern.
    scopes: Vec<&'a Scope>,
    /// What was done, by service or client, in words.
    deeds: BTreeMap<&'a Name, BTreeMap<String, u64>>,
    /// Share of bad requests of each client.
    bad: Vec<f64>,
}

impl<'a> Told<'a> {
    fn of(arms: &Arms<'a>, outcome: &'a Outcome) -> Self {
        let ledger = &arms.policy.ledger;
        let mut told = Self {
            faults: BTreeMap::new(),
            scopes: outcome.policy.incidents.iter().map(|incident| &incident.scope).collect(),
            deeds: BTreeMap::new(),
            bad: ledger.clients.iter().map(|client| bad_share(&client.outcomes)).collect(),
        };
        for fault in &ledger.faults {
            let word = fault.kind.replace('_', " ");
            let word = match &fault.target {
                Target::Replica(replica) => format!("{word} of {replica}"),
                Target::Zone(place) | Target::Node(place) => format!("{word} of {place}"),
                Target::Service(_) | Target::Client(_) => word,
            };
            for name in touched(ledger, &fault.target) {
                let words = told.faults.entry(name).or_default();
                if !words.contains(&word) {
                    words.push(word.clone());
                }
            }
        }
        for record in arms.policy.journal.records() {
            if let Event::ActionStarted { what, target, .. } = &record.event {
                for name in touched(ledger, target) {
                    *told.deeds.entry(name).or_default().entry(what.word().replace('_', " ")).or_default() += 1;
                }
            }
        }
        told
    }

    fn is_in_scope(&self, service: &Name) -> bool {
        self.scopes.iter().any(|scope| scope.is_felt_at(&Target::Service(service.clone())))
    }
}

fn bad_share(outcomes: &[u8]) -> f64 {
    // Good and not yet known are the others.
    let bad = outcomes.iter().filter(|byte| **byte >= 2).count();
    if outcomes.is_empty() { 0.0 } else { bad as f64 / outcomes.len() as f64 }
}

/// The services and clients that a target is, or that stand in it.
fn touched<'a>(ledger: &'a Ledger, target: &Target) -> Vec<&'a Name> {
    let services = |is: &dyn Fn(&ServiceLedger) -> bool| ledger.services.iter().filter(|own| is(own)).map(|own| &own.service).collect();
    match target {
        Target::Service(service) => services(&|own| own.service == *service),
        Target::Replica(_) => services(&|own| Some(&own.service) == target.service().as_ref()),
        Target::Zone(zone) => services(&|own| own.zones.contains(zone)),
        Target::Node(node) => services(&|own| ledger.nodes.get(node).is_some_and(|zone| own.zones.contains(zone))),
        Target::Client(client) => {
            let clients = ledger.clients.iter().map(|own| &own.client);
            clients.chain(ledger.services.iter().map(|own| &own.service)).filter(|name| *name == client).take(1).collect()
        }
    }
}

/// Where everything stands.
struct Layout {
    /// The things of each layer, from top to bottom.
    layers: Vec<Vec<Thing>>,
    /// The middle of each thing, from the top.
    middles: Vec<Vec<f64>>,
    /// From whom, to whom: things of two layers and all lanes between, each as (layer, place).
    lines: Vec<Vec<(usize, usize)>>,
    height: f64,
}

/// An edge between nodes: clients first, then services.
type Edge = (usize, usize);

impl Layout {
    fn of(ledger: &Ledger) -> Self {
        let clients = ledger.clients.len();
        let edges = edges(ledger);
        let depth = depths(clients + ledger.services.len(), &edges);
        let mut layers: Vec<Vec<Thing>> = vec![Vec::new(); depth.iter().max().map_or(0, |deepest| deepest + 1)];
        for (node, depth) in depth.iter().enumerate() {
            layers[*depth].push(if node < clients { Thing::Client(node) } else { Thing::Service(node - clients) });
        }
        for (line, (from, to)) in edges.iter().enumerate() {
            let between = depth[*from].min(depth[*to]) + 1..depth[*from].max(depth[*to]);
            between.for_each(|layer| layers[layer].push(Thing::Lane(line)));
        }
        let joined = |thing: &Thing| -> Vec<Edge> {
            match thing {
                Thing::Lane(line) => vec![edges[*line]],
                Thing::Client(node) => edges.iter().filter(|(from, to)| from == node || to == node).copied().collect(),
                Thing::Service(service) => {
                    let node = clients + service;
                    edges.iter().filter(|(from, to)| *from == node || *to == node).copied().collect()
                }
            }
        };
        let node_of = |thing: &Thing| match thing {
            Thing::Client(node) => Some(*node),
            Thing::Service(service) => Some(clients + service),
            Thing::Lane(_) => None,
        };
        untangle(&mut layers, &edges, &joined, &node_of);
        let height = layers.iter().map(|layer| layer_height(layer)).fold(0.0, f64::max);
        let middles = layers.iter().map(|layer| middles(layer, height)).collect();
        let place = |wanted: &Thing, layer: usize| layers[layer].iter().position(|thing| thing == wanted).expect("everything has a place");
        let thing = |node: usize| if node < clients { Thing::Client(node) } else { Thing::Service(node - clients) };
        let lines = edges.iter().enumerate().map(|(line, (from, to))| {
            let (first, last) = (depth[*from], depth[*to]);
            let mut points = vec![(first, place(&thing(*from), first))];
            let lane = |layer: usize| (layer, place(&Thing::Lane(line), layer));
            if first < last {
                points.extend((first + 1..last).map(lane));
            } else {
                points.extend((last + 1..first).rev().map(lane));
            }
            points.push((last, place(&thing(*to), last)));
            points
        });
        Self { lines: lines.collect(), middles, layers, height }
    }

    fn width(&self) -> f64 {
        STEP * (self.layers.len() as f64 - 1.0) + WIDTH + 2.0 * MARGIN
    }
}

/// Who asks whom, clients before services, each pair once.
fn edges(ledger: &Ledger) -> Vec<Edge> {
    let clients = ledger.clients.len();
    let service = |name: &Name| ledger.services.iter().position(|own| own.service == *name).map(|place| clients + place);
    let asked = ledger.services.iter().enumerate().flat_map(|(place, own)| {
        let asking = ledger.clients.iter().enumerate().filter(|(_, client)| own.clients.contains(&client.client));
        asking.map(move |(client, _)| (client, clients + place))
    });
    let calls = ledger
        .services
        .iter()
        .enumerate()
        .flat_map(|(place, own)| own.calls.iter().filter_map(move |callee| Some((clients + place, service(callee)?))));
    let told = ledger.topics.iter().flat_map(|topic| {
        let taker = service(&topic.service);
        topic.publishers.iter().filter_map(move |publisher| Some((service(publisher)?, taker?)))
    });
    let all: BTreeSet<Edge> = asked.chain(calls).chain(told).filter(|(from, to)| from != to).collect();
    all.into_iter().collect()
}

/// How far right each node stands: right of all that ask it, but for those who ask back.
fn depths(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    let mut depth = vec![0; nodes];
    // Without a circle the longest way has fewer steps than there are nodes; a circle is left where it first closes.
    let forward: Vec<Edge> = {
        let mut kept: Vec<Edge> = Vec::new();
        for (from, to) in edges {
            if !leads(&kept, *to, *from) {
                kept.push((*from, *to));
            }
        }
        kept
    };
    for _ in 0..nodes {
        for (from, to) in &forward {
            depth[*to] = depth[*to].max(depth[*from] + 1);
        }
    }
    depth
}

/// Whether there is a way along edges.
fn leads(edges: &[Edge], from: usize, to: usize) -> bool {
    let (mut seen, mut waiting) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = waiting.pop() {
        if at == to {
            return true;
        }
        waiting.extend(edges.iter().filter(|(begin, _)| *begin == at).map(|(_, end)| *end).filter(|end| seen.insert(*end)));
    }
    false
}

/// Puts what is joined side by side: each thing at the mean place of what it is joined to in the layer before, then in the layer after, and again.
fn untangle(layers: &mut [Vec<Thing>], edges: &[Edge], joined: &dyn Fn(&Thing) -> Vec<Edge>, node_of: &dyn Fn(&Thing) -> Option<usize>) {
    for sweep in 0..8 {
        let order: Vec<usize> =
            if sweep % 2 == 0 { (1..layers.len()).collect() } else { (0..layers.len().saturating_sub(1)).rev().collect() };
        for layer in order {
            let beside = if sweep % 2 == 0 { layer - 1 } else { layer + 1 };
            // A thing beside is joined to this one by a common line, or by being an end of its line.
            let heights = middles(&layers[beside], layers.iter().map(|layer| layer_height(layer)).fold(0.0, f64::max));
            let wish = |thing: &Thing| -> Option<f64> {
                let lines = joined(thing);
                let near = layers[beside].iter().zip(&heights).filter(|(other, _)| match other {
                    Thing::Lane(line) => lines.contains(&edges[*line]),
                    _ => node_of(other).is_some_and(|node| lines.iter().any(|(from, to)| *from == node || *to == node)),
                });
                let near: Vec<f64> = near.map(|(_, height)| *height).collect();
                (!near.is_empty()).then(|| near.iter().sum::<f64>() / near.len() as f64)
            };
            let own = middles(&layers[layer], layers.iter().map(|layer| layer_height(layer)).fold(0.0, f64::max));
            let mut ranked: Vec<(f64, usize)> =
                layers[layer].iter().enumerate().map(|(place, thing)| (wish(thing).unwrap_or(own[place]), place)).collect();
            ranked.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            layers[layer] = ranked.iter().map(|(_, place)| layers[layer][*place].clone()).collect();
        }
    }
}

const fn height_of(thing: &Thing) -> f64 {
    match thing {
        Thing::Client(_) | Thing::Service(_) => HEIGHT + GAP,
        Thing::Lane(_) => LANE,
    }
}

fn layer_height(layer: &[Thing]) -> f64 {
    layer.iter().map(height_of).sum()
}

/// The middles of a layer's things, all of them together in the middle of the picture.
fn middles(layer: &[Thing], height: f64) -> Vec<f64> {
    let mut top = MARGIN + (height - layer_height(layer)) / 2.0;
    let place = |thing: &Thing| {
        let middle = top + height_of(thing) / 2.0;
        top += height_of(thing);
        middle
    };
    layer.iter().map(place).collect()
}

fn draw(ledger: &Ledger, told: &Told, layout: &Layout, title: &str) -> String {
    let (width, height) = (layout.width(), layout.height + 2.0 * MARGIN);
    let (title, words) = (escape(title), escape(&in_words(ledger, told)));
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{width:.0}px;min-width:{:.0}px\" role=\"img\" aria-label=\"{title}. {words}\" xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title><desc>{words}</desc>",
        width * 0.8
    );
    for line in &layout.lines {
        draw_line(&mut svg, layout, line);
    }
    for (layer, things) in layout.layers.iter().enumerate() {
        for (thing, middle) in things.iter().zip(&layout.middles[layer]) {
            let at = (MARGIN + STEP * layer as f64, middle - HEIGHT / 2.0);
            match thing {
                Thing::Client(client) => draw_client(&mut svg, ledger, told, *client, at),
                Thing::Service(service) => draw_service(&mut svg, &ledger.services[*service], told, at),
                Thing::Lane(_) => {}
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A line from the right of the first to the left of the last; one that leads back goes from left to right.
fn draw_line(svg: &mut String, layout: &Layout, points: &[(usize, usize)]) {
    let forward = points.first().map(|first| first.0) < points.last().map(|last| last.0);
    let (out, into) = if forward { (WIDTH, 0.0) } else { (0.0, WIDTH) };
    let at = |(layer, place): (usize, usize), side: f64| (MARGIN + STEP * layer as f64 + side, layout.middles[layer][place]);
    let (first, last) = (points[0], points[points.len() - 1]);
    let (x, y) = at(first, out);
    let mut path = format!("M{x:.1} {y:.1}");
    let mut from = (x, y);
    for point in &points[1..] {
        let to = at(*point, into);
        let bend = (to.0 - from.0) / 2.0;
        let _ = write!(path, "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}", from.0 + bend, from.1, to.0 - bend, to.1, to.0, to.1);
        from = to;
        if *point != last {
            from = at(*point, out);
            let _ = write!(path, "L{:.1} {:.1}", from.0, from.1);
        }
    }
    let (x, y) = at(last, into);
    let back = if forward { -7.0 } else { 7.0 };
    let tip = format!("M{:.1} {:.1}L{x:.1} {y:.1}L{:.1} {:.1}z", x + back, y - 3.5, x + back, y + 3.5);
    let _ = write!(svg, "<path class=\"m-line\" d=\"{path}\"/><path class=\"m-tip\" d=\"{tip}\"/>");
}

fn draw_client(svg: &mut String, ledger: &Ledger, told: &Told, client: usize, (x, y): (f64, f64)) {
    let own = &ledger.clients[client];
    let is_hit = told.faults.contains_key(&own.client);
    let class = if is_hit { "m-box m-hit" } else { "m-box" };
    let _ = write!(svg, "<g><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"33\"/>");
    let middle = x + WIDTH / 2.0;
    put_text(svg, "m-name", (middle, y + 24.0), "middle", &short(&own.client));
    put_text(svg, "m-text", (middle, y + 41.0), "middle", &bad_words(told.bad[client]));
    if let Some(words) = told.faults.get(&own.client) {
        put_text(svg, "m-fault", (middle, y + 56.0), "middle", &short(&words.join(", ")));
    }
    svg.push_str("</g>");
}

fn draw_service(svg: &mut String, own: &ServiceLedger, told: &Told, (x, y): (f64, f64)) {
    let faults = told.faults.get(&own.service);
    let mut class = "m-box".to_owned();
    class += if told.is_in_scope(&own.service) { " m-scope" } else { "" };
    class += if faults.is_some() { " m-hit" } else { "" };
    let _ = write!(svg, "<g><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>");
    if told.deeds.contains_key(&own.service) {
        let (x, y, width, height) = (x - 4.0, y - 4.0, WIDTH + 8.0, HEIGHT + 8.0);
        let _ = write!(svg, "<rect class=\"m-act\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"11\"/>");
    }
    put_text(svg, "m-name", (x + 12.0, y + 21.0), "start", &short(&own.service));
    draw_replicas(svg, own, (x + 12.0, y + 34.0));
    let below = match (faults, told.deeds.get(&own.service)) {
        (Some(faults), Some(deeds)) => Some(("m-fault", format!("{}; {}", faults.join(", "), deeds_words(deeds)))),
        (Some(faults), None) => Some(("m-fault", faults.join(", "))),
        (None, Some(deeds)) => Some(("m-deed", deeds_words(deeds))),
        (None, None) => None,
    };
    if let Some((class, words)) = below {
        put_text(svg, class, (x + 12.0, y + 57.0), "start", &cut(&words, 26));
    }
    svg.push_str("</g>");
}

/// A square for each declared replica; those that were missing at the worst moment are empty.
fn draw_replicas(svg: &mut String, own: &ServiceLedger, (x, y): (f64, f64)) {
    let missing = missing(own);
    if own.declared > MOST_DOTS {
        put_text(svg, "m-text", (x, y + 6.0), "start", &replica_words(own));
        return;
    }
    for index in 0..own.declared {
        let class = if index < own.declared - missing { "m-up" } else { "m-down" };
        let left = x + f64::from(index) * 12.0;
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" rx=\"2\"/>", y - 2.0);
    }
}

/// Replicas that were missing at the worst moment, of those declared.
fn missing(own: &ServiceLedger) -> u32 {
    own.bins.iter().map(|bin| own.needed(bin).saturating_sub(bin.ready)).max().unwrap_or(0).min(own.declared)
}

fn replica_words(own: &ServiceLedger) -> String {
    let all = counted(u64::from(own.declared), "replica");
    match missing(own) {
        0 => all,
        missing => format!("{all}, {missing} missing"),
    }
}

fn bad_words(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        share if share <= 0.0 => "all requests good".to_owned(),
        share if share < 0.1 => "< 0.1 % bad".to_owned(),
        share => format!("{share:.1} % bad"),
    }
}

fn deeds_words(deeds: &BTreeMap<String, u64>) -> String {
    let one = |(word, count): (&String, &u64)| if *count == 1 { word.clone() } else { format!("{word} x{count}") };
    deeds.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The same for those who cannot see it.
fn in_words(ledger: &Ledger, told: &Told) -> String {
    let list = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let mut sentences = Vec::new();
    for (client, bad) in ledger.clients.iter().zip(&told.bad) {
        let asked: Vec<Name> =
            ledger.services.iter().filter(|own| own.clients.contains(&client.client)).map(|own| own.service.clone()).collect();
        let fault = told.faults.get(&client.client).map_or_else(String::new, |faults| format!("; fault: {}", faults.join(", ")));
        sentences.push(format!("{} asks {}: {}{fault}", client.client, list(&asked), bad_words(*bad)));
    }
    for own in &ledger.services {
        let mut sentence = format!("{}, {}", own.service, replica_words(own));
        if !own.calls.is_empty() {
            let _ = write!(sentence, ", calls {}", list(&own.calls));
        }
        for topic in ledger.topics.iter().filter(|topic| topic.service == own.service) {
            let _ = write!(sentence, ", takes messages of {} from {}", topic.topic, list(&topic.publishers));
        }
        if let Some(faults) = told.faults.get(&own.service) {
            let _ = write!(sentence, "; fault: {}", faults.join(", "));
        } else if told.is_in_scope(&own.service) {
            sentence.push_str("; within the incident");
        }
        if let Some(deeds) = told.deeds.get(&own.service) {
            let _ = write!(sentence, "; acted upon: {}", deeds_words(deeds));
        }
        sentences.push(sentence);
    }
    sentences.join(". ")
}

fn put_text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text));
}

fn short(name: &str) -> String {
    cut(name, ROOM)
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() > room { format!("{}…", text.chars().take(room - 1).collect::<String>()) } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{OutcomeSettings, measure};
    use crate::sample;

    fn drawn() -> String {
        let (nothing, _, oracle) = sample::storm();
        let story = sample::story();
        let arms = Arms { nothing: &nothing, policy: &story, oracle: Some(&oracle) };
        let outcome = measure(&arms, &OutcomeSettings::default());
        picture(&arms, &outcome, "the <system>").unwrap()
    }

    #[test]
    fn a_picture_shows_every_service_the_fault_and_its_reach_and_says_so_in_words() {
        let svg = drawn();
        for name in ["users", "web", "api", "db"] {
            assert!(svg.contains(&format!(">{name}</text>")), "{name}: {svg}");
        }
        assert!(svg.contains("m-hit") && svg.contains("m-scope") && svg.contains("role=\"img\""), "{svg}");
        assert!(svg.contains("the &lt;system&gt;") && svg.contains("web, 2 replicas") && svg.contains("calls api"), "{svg}");
        assert_eq!(svg, drawn(), "the same run gives the same bytes");
    }

    #[test]
    fn who_takes_messages_stands_right_of_who_puts_them_in() {
        let (nothing, ..) = sample::storm();
        let mut ledger = nothing.ledger;
        let mut taker = ledger.services[0].clone();
        (taker.service, taker.calls, taker.clients) = (Name::new("taker"), Vec::new(), Vec::new());
        let publisher = ledger.services[0].service.clone();
        ledger.services.push(taker);
        assert!(!edges(&ledger).iter().any(|(_, to)| *to == ledger.clients.len() + ledger.services.len() - 1));
        let (topic, service) = (Name::new("jobs"), Name::new("taker"));
        ledger.topics.push(firedrill_core::ledger::TopicLedger { topic, service, publishers: vec![publisher], totals: Default::default() });
        assert!(edges(&ledger).contains(&(ledger.clients.len(), ledger.clients.len() + ledger.services.len() - 1)));
    }

    #[test]
    fn callers_stand_left_of_what_they_call_even_where_calls_come_back() {
        // Client 0 asks 1, which asks 2 and 3; 2 asks 3, and 3 asks 1 back.
        let edges = [(0, 1), (1, 2), (1, 3), (2, 3), (3, 1)];
        assert_eq!(depths(4, &edges), [0, 1, 2, 3]);
    }

    #[test]
    fn a_line_that_passes_a_layer_has_a_place_there() {
        let (nothing, ..) = sample::storm();
        let mut ledger = nothing.ledger;
        let web = ledger.services.iter_mut().find(|own| &*own.service == "web").unwrap();
        web.calls.push(Name::new("db"));
        let layout = Layout::of(&ledger);
        let lanes = layout.layers.iter().flatten().filter(|thing| matches!(thing, Thing::Lane(_))).count();
        assert_eq!((lanes, layout.layers.len()), (1, 4), "web to db passes the layer of api");
        assert!(layout.lines.iter().any(|line| line.len() == 3));
    }

    #[test]
    fn nothing_stands_on_something_else() {
        let (nothing, ..) = sample::storm();
        let layout = Layout::of(&nothing.ledger);
        for (things, middles) in layout.layers.iter().zip(&layout.middles) {
            for pair in things.iter().zip(middles).collect::<Vec<_>>().windows(2) {
                let apart = pair[1].1 - pair[0].1;
                assert!(apart >= (height_of(pair[0].0) + height_of(pair[1].0)) / 2.0 - 1e-9);
            }
        }
    }
}
