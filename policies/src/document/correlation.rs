//! `on: { incident: … }`: which alerts become the incident that a policy answers.

use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};
use firedrill_telemetry::labels::Matcher;

use super::{Placed, all, names, positive_span};
use crate::correlation::{Correlation, DEFAULT_WINDOW, LONGEST_WINDOW, Sharing};
use crate::problem;

/// More alerts than this nobody waits for.
const MOST_ALERTS: i64 = 1_000;

/// `{ alerts: { min: 2, names: 2, of: [A, B] }, scope: service, window: 5m }`, with where the alerts stand.
pub(super) fn read(reader: &mut Reader, node: &Node, matchers: Vec<Matcher>) -> Option<(Correlation, Placed<Name>)> {
    let mut fields = reader.fields(node, "an incident")?;
    let alerts = fields.required(reader, "alerts").and_then(|node| alerts(reader, node));
    let scope = fields.optional("scope").map_or(Some(Sharing::Finest), |node| sharing(reader, node));
    let window = fields.optional("window").map_or(Some(DEFAULT_WINDOW), |node| window(reader, node));
    fields.finish(reader);
    let Alerts { min, names, of: (of, places) } = alerts?;
    let mut sorted = of.clone();
    sorted.sort();
    sorted.dedup();
    Some((Correlation { alerts: sorted, matchers, min, names, scope: scope?, window: window? }, (of, places)))
}

struct Alerts {
    min: u32,
    names: u32,
    of: Placed<Name>,
}

fn alerts(reader: &mut Reader, node: &Node) -> Option<Alerts> {
    let mut fields = reader.fields(node, "the alerts of an incident")?;
    let of = fields.required(reader, "of").and_then(|node| names(reader, node));
    let min = fields.optional("min").map_or(Some(2), |node| reader.integer(node, "the number of alerts", 2..=MOST_ALERTS));
    let different =
        fields.optional("names").map(|node| (reader.integer(node, "the number of different alerts", 1..=MOST_ALERTS), &node.place));
    fields.finish(reader);
    let (of, min) = (of?, min?);
    let names = match different {
        Some((names, place)) => check_names(reader, place, names?, (min, of.0.len()))?,
        None => 1,
    };
    Some(Alerts { min: u32::try_from(min).ok()?, names: u32::try_from(names).ok()?, of })
}

/// There cannot be more names among some alerts than alerts, or than names to choose from.
fn check_names(reader: &mut Reader, place: &Place, names: i64, (min, listed): (i64, usize)) -> Option<i64> {
    let listed = i64::try_from(listed).unwrap_or(i64::MAX);
    if names <= min.min(listed) {
        return Some(names);
    }
    let (what, remedy) = if names > listed {
        (format!("{names} different alerts are asked for, and {listed} are listed"), "list more alerts in `of:`, or ask for fewer `names:`")
    } else {
        (format!("{min} alerts cannot have {names} different names"), "raise `min:`, or ask for fewer `names:`")
    };
    reader.problem(problem::out_of_range(place, &what, remedy));
    None
}

/// `service`, `zone`, `all`, or a list of labels.
fn sharing(reader: &mut Reader, node: &Node) -> Option<Sharing> {
    let Value::List(items) = &node.value else {
        let words = [("service", 0), ("zone", 1), ("all", 2)];
        let word = reader.one_of(node, "what the alerts share (a list is of labels)", &words)?;
        return [Sharing::Service, Sharing::Zone, Sharing::All].into_iter().nth(word);
    };
    if items.is_empty() {
        reader.problem(problem::empty_list(&node.place, "the list of labels"));
        return None;
    }
    let mut labels = all(items.iter().map(|item| reader.name(item, "the name of a label")).collect())?;
    labels.sort();
    labels.dedup();
    Some(Sharing::Labels(labels))
}

fn window(reader: &mut Reader, node: &Node) -> Option<Span> {
    let window = positive_span(reader, node, "`window`")?;
    if window > LONGEST_WINDOW {
        let what = format!("a window of {window} is longer than {LONGEST_WINDOW}");
        reader.problem(problem::out_of_range(
            &node.place,
            &what,
            "alerts that are a day apart are not one incident; write a span such as `5m`",
        ));
        return None;
    }
    Some(window)
}
