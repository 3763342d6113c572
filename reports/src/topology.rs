//! The system as a picture: who asks whom, which messages go where, what the fault was attached to, how far the incident reached, and what
//! was acted upon.
//!
//! Callers stand left of what they call, in layers. Within a layer everything stands near what it is joined to, so that few lines cross;
//! a line that passes a layer has a place of its own there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use firedrill_core::action::Target;
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::ledger::{Ledger, ServiceLedger};
use firedrill_core::name::Name;
use firedrill_core::transcript::Transcript;
use firedrill_core::words::counted;

use crate::outcome::{Arms, Outcome, Scope};

/// A picture of more services and clients than this would show nothing.
const MOST: usize = 150;
/// Sizes, pixels at full size.
const WIDTH: f64 = 186.0;
/// The height of a box with a name of one line; each further line of text takes as much as `ROW`.
const HEIGHT: f64 = 66.0;
const ROW: f64 = 16.0;
const GAP: f64 = 18.0;
const STEP: f64 = WIDTH + 62.0;
const MARGIN: f64 = 14.0;
/// What a line takes of a layer that it passes.
const LANE: f64 = 16.0;
/// The most replicas that are drawn one by one.
const MOST_DOTS: u32 = 12;
/// The most letters of a name that fit in a line, and the most lines that a name is given.
const ROOM: usize = 18;
const NAME_LINES: usize = 2;
/// The most letters of the smaller text that fit in a line.
const SMALL_ROOM: usize = 26;

/// Something that stands in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    Client(usize),
    Service(usize),
    /// A topic, by its number among those that have one.
    Topic(usize),
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

/// Why there is no picture of an example; `None` if there is one, or nothing to draw.
#[must_use]
pub fn too_large(arms: &Arms) -> Option<String> {
    let ledger = &arms.policy.ledger;
    let [services, clients] = [ledger.services.len(), ledger.clients.len()].map(|count| count as u64);
    (services > 0 && services + clients > MOST as u64).then(|| {
        let what = format!("{} and {}", counted(services, "service"), counted(clients, "client"));
        format!("The system has {what}: of more than {MOST} in all no picture is drawn, which nobody could read.")
    })
}

/// What the picture says beside the structure.
struct Told<'a> {
    /// What faults were attached to, by service or client, in words.
    faults: BTreeMap<&'a Name, Vec<String>>,
    /// What the incidents concern.
    scopes: Vec<&'a Scope>,
    /// What was done, by service or client, in words.
    deeds: BTreeMap<&'a Name, BTreeMap<String, u64>>,
    /// What struck each zone and node itself, in words.
    places: BTreeMap<&'a Name, BTreeSet<String>>,
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
            places: BTreeMap::new(),
            bad: ledger.clients.iter().map(|client| bad_share(&client.outcomes)).collect(),
        };
        for fault in &ledger.faults {
            let word = fault.kind.replace('_', " ");
            let word = match &fault.target {
                Target::Replica(replica) => format!("{word} of {replica}"),
                Target::Zone(place) | Target::Node(place) => format!("{word} of {place}"),
                Target::Service(_) | Target::Client(_) => word,
            };
            if let Target::Zone(place) | Target::Node(place) = &fault.target {
                told.places.entry(place).or_default().insert(fault.kind.replace('_', " "));
            }
            for name in touched(arms.policy, &fault.target) {
                let words = told.faults.entry(name).or_default();
                if !words.contains(&word) {
                    words.push(word.clone());
                }
            }
        }
        for record in arms.policy.journal.records() {
            if let Event::ActionStarted { what, target, .. } = &record.event {
                for name in touched(arms.policy, target) {
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

/// The services that lost replicas with a node, as the journal tells it; `None` if it tells of no loss.
fn lost_with(transcript: &Transcript, node: &Name) -> Option<BTreeSet<Name>> {
    let mut found: Option<BTreeSet<Name>> = None;
    let mut at = None;
    for record in transcript.journal.records() {
        match &record.event {
            Event::NodeChanged { node: changed, state, .. } if changed == node => {
                let is_loss = matches!(state.as_str(), "lost" | "unknown" | "evicted");
                at = is_loss.then_some(record.at);
                if is_loss {
                    found.get_or_insert_default();
                }
            }
            Event::NodeChanged { .. } => at = None,
            // What follows of it at once. What comes instead elsewhere is created then, too.
            Event::ReplicaChanged { replica, state: ReplicaState::Unready | ReplicaState::Gone, .. } if at == Some(record.at) => {
                found.get_or_insert_default().extend(Target::Replica(replica.clone()).service());
            }
            _ => {}
        }
    }
    found
}

/// The services and clients that a target is, or that stand in it. Of a node that was lost the journal says which; of another one all may that have
/// replicas in its zone.
fn touched<'a>(transcript: &'a Transcript, target: &Target) -> Vec<&'a Name> {
    let ledger = &transcript.ledger;
    let services = |is: &dyn Fn(&ServiceLedger) -> bool| ledger.services.iter().filter(|own| is(own)).map(|own| &own.service).collect();
    match target {
        Target::Service(service) => services(&|own| own.service == *service),
        Target::Replica(_) => services(&|own| Some(&own.service) == target.service().as_ref()),
        Target::Zone(zone) => services(&|own| own.zones.contains(zone)),
        Target::Node(node) => match lost_with(transcript, node) {
            Some(lost) => services(&|own| lost.contains(&own.service)),
            None => services(&|own| ledger.nodes.get(node).is_some_and(|zone| own.zones.contains(zone))),
        },
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
    /// Whether each line stands for messages, and not for a call.
    messages: Vec<bool>,
    height: f64,
    /// The height of a box.
    tall: f64,
    /// The number of lines that names take.
    name_lines: usize,
}

/// An edge between nodes: clients first, then services, then topics.
type Edge = (usize, usize);

impl Layout {
    fn of(ledger: &Ledger) -> Self {
        let nodes = Nodes::of(ledger);
        let edges = edges(ledger);
        let depth = depths(nodes.count(), &edges);
        let mut layers: Vec<Vec<Thing>> = vec![Vec::new(); depth.iter().max().map_or(0, |deepest| deepest + 1)];
        for (node, depth) in depth.iter().enumerate() {
            layers[*depth].push(nodes.thing(node));
        }
        for (line, (from, to)) in edges.iter().enumerate() {
            let between = depth[*from].min(depth[*to]) + 1..depth[*from].max(depth[*to]);
            between.for_each(|layer| layers[layer].push(Thing::Lane(line)));
        }
        let joined = |thing: &Thing| -> Vec<Edge> {
            match (thing, nodes.node(thing)) {
                (Thing::Lane(line), _) => vec![edges[*line]],
                (_, Some(node)) => edges.iter().filter(|(from, to)| *from == node || *to == node).copied().collect(),
                (_, None) => Vec::new(),
            }
        };
        let name_lines = name_lines(ledger);
        let tall =
            HEIGHT + ROW * (name_lines as f64 - 1.0) + if ledger.services.iter().any(|own| !notes(own).is_empty()) { ROW } else { 0.0 };
        untangle(&mut layers, &edges, tall, &joined, &|thing| nodes.node(thing));
        let height = layers.iter().map(|layer| layer_height(layer, tall)).fold(0.0, f64::max);
        let middles = layers.iter().map(|layer| middles(layer, height, tall)).collect();
        let lines = edges.iter().enumerate().map(|(line, edge)| points(line, *edge, &depth, &layers, nodes)).collect();
        let is_topic = |node: usize| matches!(nodes.thing(node), Thing::Topic(_));
        let messages = edges.iter().map(|(from, to)| is_topic(*from) || is_topic(*to)).collect();
        Self { lines, messages, middles, layers, height, tall, name_lines }
    }

    fn width(&self) -> f64 {
        STEP * (self.layers.len() as f64 - 1.0) + WIDTH + 2.0 * MARGIN
    }
}

/// How nodes are numbered.
#[derive(Clone, Copy)]
struct Nodes {
    clients: usize,
    services: usize,
    topics: usize,
}

impl Nodes {
    fn of(ledger: &Ledger) -> Self {
        Self { clients: ledger.clients.len(), services: ledger.services.len(), topics: topics(ledger).len() }
    }

    const fn count(self) -> usize {
        self.clients + self.services + self.topics
    }

    const fn thing(self, node: usize) -> Thing {
        if node < self.clients {
            Thing::Client(node)
        } else if node < self.clients + self.services {
            Thing::Service(node - self.clients)
        } else {
            Thing::Topic(node - self.clients - self.services)
        }
    }

    const fn node(self, thing: &Thing) -> Option<usize> {
        match thing {
            Thing::Client(client) => Some(*client),
            Thing::Service(service) => Some(self.clients + *service),
            Thing::Topic(topic) => Some(self.clients + self.services + *topic),
            Thing::Lane(_) => None,
        }
    }
}

/// The places of a line: its ends, and its lanes in all layers between them.
fn points(line: usize, (from, to): Edge, depth: &[usize], layers: &[Vec<Thing>], nodes: Nodes) -> Vec<(usize, usize)> {
    let place = |wanted: &Thing, layer: usize| layers[layer].iter().position(|thing| thing == wanted).expect("everything has a place");
    let lane = |layer: usize| (layer, place(&Thing::Lane(line), layer));
    let (first, last) = (depth[from], depth[to]);
    let mut points = vec![(first, place(&nodes.thing(from), first))];
    if first < last {
        points.extend((first + 1..last).map(lane));
    } else {
        points.extend((last + 1..first).rev().map(lane));
    }
    points.push((last, place(&nodes.thing(to), last)));
    points
}

/// The topics, each once, in order.
fn topics(ledger: &Ledger) -> Vec<&Name> {
    ledger.topics.iter().map(|own| &own.topic).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Who asks whom and which messages go where, clients before services before topics, each pair once.
fn edges(ledger: &Ledger) -> Vec<Edge> {
    let clients = ledger.clients.len();
    let topics = topics(ledger);
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
    let told = ledger.topics.iter().flat_map(|own| {
        let topic = clients + ledger.services.len() + topics.iter().position(|topic| **topic == own.topic).expect("every topic is known");
        let put_in = own.publishers.iter().filter_map(move |publisher| Some((service(publisher)?, topic)));
        put_in.chain(service(&own.service).map(|taker| (topic, taker)))
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
fn untangle(
    layers: &mut [Vec<Thing>],
    edges: &[Edge],
    tall: f64,
    joined: &dyn Fn(&Thing) -> Vec<Edge>,
    node_of: &dyn Fn(&Thing) -> Option<usize>,
) {
    for sweep in 0..8 {
        let order: Vec<usize> =
            if sweep % 2 == 0 { (1..layers.len()).collect() } else { (0..layers.len().saturating_sub(1)).rev().collect() };
        for layer in order {
            let beside = if sweep % 2 == 0 { layer - 1 } else { layer + 1 };
            // A thing beside is joined to this one by a common line, or by being an end of its line.
            let heights = middles(&layers[beside], layers.iter().map(|layer| layer_height(layer, tall)).fold(0.0, f64::max), tall);
            let wish = |thing: &Thing| -> Option<f64> {
                let lines = joined(thing);
                let near = layers[beside].iter().zip(&heights).filter(|(other, _)| match other {
                    Thing::Lane(line) => lines.contains(&edges[*line]),
                    _ => node_of(other).is_some_and(|node| lines.iter().any(|(from, to)| *from == node || *to == node)),
                });
                let near: Vec<f64> = near.map(|(_, height)| *height).collect();
                (!near.is_empty()).then(|| near.iter().sum::<f64>() / near.len() as f64)
            };
            let own = middles(&layers[layer], layers.iter().map(|layer| layer_height(layer, tall)).fold(0.0, f64::max), tall);
            let mut ranked: Vec<(f64, usize)> =
                layers[layer].iter().enumerate().map(|(place, thing)| (wish(thing).unwrap_or(own[place]), place)).collect();
            ranked.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            layers[layer] = ranked.iter().map(|(_, place)| layers[layer][*place].clone()).collect();
        }
    }
}

const fn height_of(thing: &Thing, tall: f64) -> f64 {
    match thing {
        Thing::Client(_) | Thing::Service(_) | Thing::Topic(_) => tall + GAP,
        Thing::Lane(_) => LANE,
    }
}

fn layer_height(layer: &[Thing], tall: f64) -> f64 {
    layer.iter().map(|thing| height_of(thing, tall)).sum()
}

/// The middles of a layer's things, all of them together in the middle of the picture.
fn middles(layer: &[Thing], height: f64, tall: f64) -> Vec<f64> {
    let mut top = MARGIN + (height - layer_height(layer, tall)) / 2.0;
    let place = |thing: &Thing| {
        let middle = top + height_of(thing, tall) / 2.0;
        top += height_of(thing, tall);
        middle
    };
    layer.iter().map(place).collect()
}

/// The lines that names take: the same for all, so that boxes are alike.
fn name_lines(ledger: &Ledger) -> usize {
    let names = ledger.clients.iter().map(|own| &own.client).chain(ledger.services.iter().map(|own| &own.service)).chain(topics(ledger));
    names.map(|name| name_in_lines(name).len()).max().unwrap_or(1)
}

/// A name in as many lines as it needs, broken behind a `-`, `_`, `.` or `/` if there is one. Of what is too long even so the middle is left
/// out: names of one family differ at their ends.
fn name_in_lines(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let room = ROOM * NAME_LINES;
    let letters: Vec<char> = if letters.len() > room {
        let (head, tail) = (ROOM - 1, room - ROOM);
        letters[..head].iter().copied().chain(['…']).chain(letters[letters.len() - tail..].iter().copied()).collect()
    } else {
        letters
    };
    let mut lines = Vec::new();
    let mut rest = letters.as_slice();
    while rest.len() > ROOM {
        let left = NAME_LINES - lines.len() - 1;
        // What stands behind the break has to fit in the lines that are left.
        let least = rest.len().saturating_sub(left * ROOM).max(1);
        let at = (least..=ROOM).rev().find(|at| matches!(rest[at - 1], '-' | '_' | '.' | '/')).unwrap_or(ROOM);
        lines.push(rest[..at].iter().collect());
        rest = &rest[at..];
    }
    lines.push(rest.iter().collect());
    lines
}

/// What a service is beside its replicas, in a few words; empty if nothing.
fn notes(own: &ServiceLedger) -> String {
    let primary = own.primary.iter().map(|primary| format!("primary {primary}"));
    let caches = own.caches.iter().map(|cache| format!("cache {cache}"));
    let zones = (own.zones.len() > 1).then(|| format!("zones {}", listed(&own.zones)));
    primary.chain(caches).chain(zones).collect::<Vec<_>>().join("; ")
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// The zones with their nodes, and what struck them; empty where there is one zone and no nodes.
fn place_lines(ledger: &Ledger, told: &Told) -> Vec<(bool, String)> {
    let zones: BTreeSet<&Name> = ledger.services.iter().flat_map(|own| &own.zones).chain(ledger.nodes.values()).collect();
    if zones.len() < 2 && ledger.nodes.is_empty() {
        return Vec::new();
    }
    let struck = |place: &Name| {
        told.places.get(place).map(|words| format!(" ({})", words.iter().cloned().collect::<Vec<_>>().join(", "))).unwrap_or_default()
    };
    let line = |zone: &Name| {
        let nodes: Vec<&Name> = ledger.nodes.iter().filter(|(_, stands)| *stands == zone).map(|(node, _)| node).collect();
        let is_hit = told.places.contains_key(zone) || nodes.iter().any(|node| told.places.contains_key(*node));
        let nodes: Vec<String> = nodes.into_iter().map(|node| format!("{node}{}", struck(node))).collect();
        let nodes = if nodes.is_empty() { String::new() } else { format!(": {}", nodes.join(", ")) };
        (is_hit, format!("zone {zone}{}{nodes}", struck(zone)))
    };
    zones.into_iter().map(line).collect()
}

fn draw(ledger: &Ledger, told: &Told, layout: &Layout, title: &str) -> String {
    let places = place_lines(ledger, told);
    let width = layout.width().max(if places.is_empty() { 0.0 } else { 3.0 * STEP });
    let height = layout.height + 2.0 * MARGIN + ROW * places.len() as f64;
    let (title, words) = (escape(title), escape(&in_words(ledger, told)));
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{width:.0}px;min-width:{:.0}px\" role=\"img\" aria-label=\"{title}. {words}\" xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title><desc>{words}</desc>",
        layout.width() * 0.8
    );
    for (line, is_message) in layout.lines.iter().zip(&layout.messages) {
        draw_line(&mut svg, layout, line, *is_message);
    }
    let boxes = Boxes { ledger, told, tall: layout.tall, name_lines: layout.name_lines };
    for (layer, things) in layout.layers.iter().enumerate() {
        for (thing, middle) in things.iter().zip(&layout.middles[layer]) {
            let at = (MARGIN + STEP * layer as f64, middle - layout.tall / 2.0);
            match thing {
                Thing::Client(client) => boxes.draw_client(&mut svg, *client, at),
                Thing::Service(service) => boxes.draw_service(&mut svg, &ledger.services[*service], at),
                Thing::Topic(topic) => boxes.draw_topic(&mut svg, topics(ledger)[*topic], at),
                Thing::Lane(_) => {}
            }
        }
    }
    // Some six pixels a letter; what is cut is in the words of the picture.
    let room = ((width - 2.0 * MARGIN) / 6.0) as usize;
    for (row, (is_hit, words)) in places.iter().enumerate() {
        let y = layout.height + 2.0 * MARGIN + ROW * row as f64;
        put_text(&mut svg, if *is_hit { "m-fault" } else { "m-text" }, (MARGIN, y), "start", &cut(words, room));
    }
    svg.push_str("</svg>");
    svg
}

/// A line from the right of the first to the left of the last; one that leads back goes from left to right.
fn draw_line(svg: &mut String, layout: &Layout, points: &[(usize, usize)], is_message: bool) {
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
    let class = if is_message { "m-line m-message" } else { "m-line" };
    let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/><path class=\"m-tip\" d=\"{tip}\"/>");
}

/// What boxes are drawn from.
struct Boxes<'a> {
    ledger: &'a Ledger,
    told: &'a Told<'a>,
    tall: f64,
    name_lines: usize,
}

impl Boxes<'_> {
    /// The name, and the height of the line below it.
    fn draw_name(&self, svg: &mut String, name: &str, (x, y): (f64, f64), anchor: &str) -> f64 {
        for (row, line) in name_in_lines(name).iter().enumerate() {
            put_text(svg, "m-name", (x, y + 21.0 + ROW * row as f64), anchor, line);
        }
        y + 21.0 + ROW * (self.name_lines as f64 - 1.0)
    }

    fn draw_client(&self, svg: &mut String, client: usize, (x, y): (f64, f64)) {
        let own = &self.ledger.clients[client];
        let class = if self.told.faults.contains_key(&own.client) { "m-box m-hit" } else { "m-box" };
        let (tall, title) = (self.tall, escape(&client_words(self.ledger, self.told, client)));
        let _ = write!(
            svg,
            "<g><title>{title}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{tall}\" rx=\"33\"/>"
        );
        let middle = x + WIDTH / 2.0;
        let below = self.draw_name(svg, &own.client, (middle, y + 3.0), "middle");
        put_text(svg, "m-text", (middle, below + 17.0), "middle", &bad_words(self.told.bad[client]));
        if let Some(words) = self.told.faults.get(&own.client) {
            put_text(svg, "m-fault", (middle, below + 32.0), "middle", &cut(&words.join(", "), ROOM));
        }
        svg.push_str("</g>");
    }

    fn draw_service(&self, svg: &mut String, own: &ServiceLedger, (x, y): (f64, f64)) {
        let (told, tall) = (self.told, self.tall);
        let faults = told.faults.get(&own.service);
        let mut class = "m-box".to_owned();
        class += if told.is_in_scope(&own.service) { " m-scope" } else { "" };
        class += if faults.is_some() { " m-hit" } else { "" };
        let title = escape(&service_words(self.ledger, told, own));
        let _ = write!(
            svg,
            "<g><title>{title}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{tall}\" rx=\"8\"/>"
        );
        if told.deeds.contains_key(&own.service) {
            let (x, y, width, height) = (x - 4.0, y - 4.0, WIDTH + 8.0, tall + 8.0);
            let _ = write!(svg, "<rect class=\"m-act\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"11\"/>");
        }
        let below = self.draw_name(svg, &own.service, (x + 12.0, y), "start");
        draw_replicas(svg, own, (x + 12.0, below + 13.0));
        put_text(svg, "m-text", (x + 12.0, below + 36.0), "start", &cut(&notes(own), SMALL_ROOM));
        let words = match (faults, told.deeds.get(&own.service)) {
            (Some(faults), Some(deeds)) => Some(("m-fault", format!("{}; {}", faults.join(", "), deeds_words(deeds)))),
            (Some(faults), None) => Some(("m-fault", faults.join(", "))),
            (None, Some(deeds)) => Some(("m-deed", deeds_words(deeds))),
            (None, None) => None,
        };
        if let Some((class, words)) = words {
            put_text(svg, class, (x + 12.0, y + tall - 9.0), "start", &cut(&words, SMALL_ROOM));
        }
        svg.push_str("</g>");
    }

    fn draw_topic(&self, svg: &mut String, topic: &Name, (x, y): (f64, f64)) {
        let (tall, title) = (self.tall, escape(&topic_words(self.ledger, topic)));
        let _ =
            write!(svg, "<g><title>{title}</title><rect class=\"m-box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{tall}\"/>");
        // Messages in a row, as a queue is drawn.
        for bar in 1..=3 {
            let left = x + WIDTH - 7.0 * f64::from(bar);
            let _ = write!(svg, "<path class=\"m-bar\" d=\"M{left:.1} {y:.1}v{tall}\"/>");
        }
        let below = self.draw_name(svg, topic, (x + 12.0, y), "start");
        let waiting: u64 = waiting(self.ledger, topic);
        put_text(svg, "m-text", (x + 12.0, below + 17.0), "start", "topic");
        if waiting > 0 {
            put_text(svg, "m-text", (x + 12.0, y + tall - 9.0), "start", &format!("{waiting} waiting"));
        }
        svg.push_str("</g>");
    }
}

/// Messages that are not worked off at the end, for all who take them.
fn waiting(ledger: &Ledger, topic: &Name) -> u64 {
    ledger.topics.iter().filter(|own| own.topic == *topic).map(|own| own.totals.waiting).sum()
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
    let clients = (0..ledger.clients.len()).map(|client| client_words(ledger, told, client));
    let services = ledger.services.iter().map(|own| service_words(ledger, told, own));
    let topics = topics(ledger).into_iter().map(|topic| topic_words(ledger, topic));
    let places = place_lines(ledger, told).into_iter().map(|(_, words)| words);
    clients.chain(services).chain(topics).chain(places).collect::<Vec<_>>().join(". ")
}

fn client_words(ledger: &Ledger, told: &Told, client: usize) -> String {
    let own = &ledger.clients[client].client;
    let asked: Vec<Name> = ledger.services.iter().filter(|service| service.clients.contains(own)).map(|own| own.service.clone()).collect();
    let fault = told.faults.get(own).map_or_else(String::new, |faults| format!("; fault: {}", faults.join(", ")));
    format!("{own} asks {}: {}{fault}", listed(&asked), bad_words(told.bad[client]))
}

fn service_words(ledger: &Ledger, told: &Told, own: &ServiceLedger) -> String {
    let mut sentence = format!("{}, {}", own.service, replica_words(own));
    let notes = notes(own);
    if !notes.is_empty() {
        let _ = write!(sentence, ", {notes}");
    }
    if !own.calls.is_empty() {
        let _ = write!(sentence, ", calls {}", listed(&own.calls));
    }
    for topic in ledger.topics.iter().filter(|topic| topic.service == own.service) {
        let _ = write!(sentence, ", takes messages of {} from {}", topic.topic, listed(&topic.publishers));
    }
    if let Some(faults) = told.faults.get(&own.service) {
        let _ = write!(sentence, "; fault: {}", faults.join(", "));
    } else if told.is_in_scope(&own.service) {
        sentence.push_str("; within the incident");
    }
    if let Some(deeds) = told.deeds.get(&own.service) {
        let _ = write!(sentence, "; acted upon: {}", deeds_words(deeds));
    }
    sentence
}

fn topic_words(ledger: &Ledger, topic: &Name) -> String {
    let of = ledger.topics.iter().filter(|own| own.topic == *topic);
    let published = of.clone().map(|own| own.totals.published).max().unwrap_or(0);
    let takers: Vec<Name> = of.map(|own| own.service.clone()).collect();
    let waiting = waiting(ledger, topic);
    format!("topic {topic}, taken by {}: {}, {waiting} waiting at the end", listed(&takers), counted(published, "message"))
}

fn put_text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text));
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
        let arms = Arms { nothing: &nothing, policy: &story, oracle: Some(&oracle), human: None };
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
    fn a_large_system_is_drawn_and_of_one_that_is_too_large_the_reason_is_told() {
        let (mut run, ..) = sample::storm();
        let one = run.ledger.services[0].clone();
        let more = |count: usize| {
            let named = |number| ServiceLedger { service: Name::from(format!("s{number}")), calls: Vec::new(), ..one.clone() };
            (0..count).map(named).collect::<Vec<_>>()
        };
        let here = run.ledger.services.len() + run.ledger.clients.len();
        run.ledger.services.extend(more(MOST - here));
        let arms = Arms { nothing: &run, policy: &run, oracle: None, human: None };
        let outcome = measure(&arms, &OutcomeSettings::default());
        assert!(picture(&arms, &outcome, "x").is_some_and(|svg| svg.contains(">s100</text>")));
        assert_eq!(too_large(&arms), None);
        run.ledger.services.extend(more(1));
        let arms = Arms { nothing: &run, policy: &run, oracle: None, human: None };
        assert_eq!(picture(&arms, &outcome, "x"), None);
        assert!(too_large(&arms).is_some_and(|told| told.contains(": of more than 150 in all no picture is drawn")));
    }

    #[test]
    fn who_takes_messages_stands_right_of_who_puts_them_in() {
        let (nothing, ..) = sample::storm();
        let mut ledger = nothing.ledger;
        let mut taker = ledger.services[0].clone();
        (taker.service, taker.calls, taker.clients) = (Name::new("taker"), Vec::new(), Vec::new());
        let publisher = ledger.services[0].service.clone();
        ledger.services.push(taker);
        let (topic, service) = (Name::new("jobs"), Name::new("taker"));
        ledger.topics.push(firedrill_core::ledger::TopicLedger { topic, service, publishers: vec![publisher], totals: Default::default() });
        let nodes = Nodes::of(&ledger);
        let (topic, taker) = (nodes.count() - 1, nodes.count() - 2);
        let edges = edges(&ledger);
        assert!(edges.contains(&(ledger.clients.len(), topic)) && edges.contains(&(topic, taker)), "through the topic: {edges:?}");
        assert!(!edges.contains(&(ledger.clients.len(), taker)), "a message is no call");
        assert_eq!(Layout::of(&ledger).messages.iter().filter(|is_message| **is_message).count(), 2);
    }

    #[test]
    fn a_topic_a_primary_a_cache_and_nodes_are_drawn_and_said() {
        let (nothing, policy, _) = sample::storm();
        let (mut nothing, mut policy) = (nothing, policy);
        for run in [&mut nothing, &mut policy] {
            let (topic, service, publishers) = (Name::new("jobs"), Name::new("web"), vec![Name::new("api")]);
            let totals = firedrill_core::ledger::TopicTotals { waiting: 7, ..Default::default() };
            run.ledger.topics.push(firedrill_core::ledger::TopicLedger { topic, service, publishers, totals });
            run.ledger.services[1].primary = Some(Name::new("db-0"));
            run.ledger.services[0].caches.push(Name::new("prices"));
            run.ledger.nodes.insert(Name::new("blue-0"), Name::new("a"));
            run.ledger.faults[0].target = Target::Node(Name::new("blue-0"));
        }
        let arms = Arms { nothing: &nothing, policy: &policy, oracle: None, human: None };
        let svg = picture(&arms, &measure(&arms, &OutcomeSettings::default()), "x").unwrap();
        for shown in [">jobs</text>", ">7 waiting</text>", ">primary db-0</text>", "m-message", "cache prices", ">zone b</text>"] {
            assert!(svg.contains(shown), "{shown}: {svg}");
        }
        assert!(svg.contains("class=\"m-fault\" x=\"14.0\"") && svg.contains(">zone a: blue-0 (crash)</text>"), "{svg}");
    }

    #[test]
    fn a_long_name_takes_two_lines_and_loses_its_middle_only_then() {
        assert_eq!(name_in_lines("api"), ["api"]);
        assert_eq!(name_in_lines("layer-0-service-with-a-long-name-0"), ["layer-0-service-", "with-a-long-name-0"]);
        assert_eq!(name_in_lines("abcdefghijklmnopqrstuvwxyz"), ["abcdefghijklmnopqr", "stuvwxyz"]);
        let longest = name_in_lines(&format!("{}-7", "x".repeat(60)));
        assert_eq!(longest, [format!("{}…", "x".repeat(17)), format!("{}-7", "x".repeat(16))]);
        assert!(drawn().contains("<title>web, 2 replicas"), "a box says everything to who points at it");
    }

    #[test]
    fn a_node_that_is_lost_strikes_those_that_stood_on_it() {
        let (mut nothing, ..) = sample::storm();
        let node = Name::new("blue-0");
        nothing.ledger.nodes.insert(node.clone(), Name::new("a"));
        let of = |transcript: &Transcript| -> Vec<String> {
            touched(transcript, &Target::Node(Name::new("blue-0"))).into_iter().map(|name| name.to_string()).collect()
        };
        assert_eq!(of(&nothing), ["api", "db", "web"], "nothing says who stood there");
        let mut journal = firedrill_core::journal::Journal::new();
        let (second, reason) = (firedrill_core::time::Time::from_seconds, String::new());
        let changed = |state: &str| Event::NodeChanged { node: node.clone(), state: Name::new(state), reason: reason.clone() };
        let replica = |name: &str, state| Event::ReplicaChanged { replica: Name::new(name), state, reason: reason.clone() };
        journal.write(second(10), changed("lost"));
        journal.write(second(20), replica("web-0", ReplicaState::Unready));
        journal.write(second(50), changed("unknown"));
        journal.write(second(50), replica("api-0", ReplicaState::Unready));
        nothing.journal = journal;
        assert_eq!(of(&nothing), ["api"], "what happens at other times is no part of it");
    }

    #[test]
    fn a_zone_that_holds_none_of_a_service_s_replicas_does_not_strike_it() {
        let (nothing, ..) = sample::storm();
        let touched: Vec<_> = touched(&nothing, &Target::Zone(Name::new("b"))).into_iter().map(Name::as_str).collect();
        assert_eq!(touched, ["api", "web"], "the single replica of db stands in a");
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
                assert!(apart >= (height_of(pair[0].0, layout.tall) + height_of(pair[1].0, layout.tall)) / 2.0 - 1e-9);
            }
        }
    }
}
