//! Reading `alertmanager.yml` as people have it: what Alertmanager would refuse is refused here, with its place and the remedy.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem, near_miss};
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::labels::{Matcher, is_label_name};
use jiff::tz::TimeZone;

use super::config::{Config, GroupBy, InhibitRule, Integration, Receiver, Route, RouteOptions};
use super::integrations::{GLOBAL, GLOBAL_EXCLUDES, KINDS, Kind};
use super::interval::{TimeInterval, TimeRange};
use super::matcher::{self, Matchers};
use super::problem;
use crate::rules::prometheus_duration;

/// Reads an Alertmanager configuration, or a Kubernetes Secret that holds one in plain text.
///
/// # Errors
/// Everything that is wrong with it. What is accepted and has no effect is no error: see [`Config::warnings`].
pub fn read_config(path: &str, text: &str) -> Result<Config, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    if let Some(inner) = of_manifest(&node)? {
        return read_config(&format!("{path} (stringData)"), &inner);
    }
    let mut draft = Draft { reader: Reader::new(), routes: Vec::new(), named: Vec::new(), warnings: Vec::new() };
    let config = draft.config(&node);
    draft.reader.finish()?;
    Ok(config.expect("a configuration without problems is whole"))
}

/// The text inside a Secret manifest; `None` if the document is a configuration itself.
fn of_manifest(node: &Node) -> Result<Option<String>, Vec<Problem>> {
    let Value::Map(entries) = &node.value else { return Ok(None) };
    let get = |entries: &'_ [(yaml::Key, Node)], wanted: &[&str]| -> Option<Node> {
        entries.iter().find(|(key, _)| wanted.contains(&&*key.text)).map(|(_, value)| value.clone())
    };
    let Some(kind) = get(entries, &["kind"]) else { return Ok(None) };
    let Value::Text(word) = &kind.value else { return Ok(None) };
    let data = get(entries, &["stringData"]).and_then(|data| match data.value {
        Value::Map(entries) => get(&entries, &["alertmanager.yaml", "alertmanager.yml"]),
        _ => None,
    });
    match data.map(|data| data.value) {
        Some(Value::Text(text)) if &**word == "Secret" => Ok(Some(text.to_string())),
        _ => Err(vec![problem::no_configuration(&kind.place, &format!("a manifest of kind `{word}`"))]),
    }
}

/// What is gathered while a file is read.
struct Draft {
    reader: Reader,
    routes: Vec<Route>,
    /// Receivers and time intervals that routes name, to be looked up at the end.
    named: Vec<(Named, Name, Place)>,
    warnings: Vec<Problem>,
}

#[derive(Clone, Copy, PartialEq)]
enum Named {
    Receiver,
    Interval,
}

impl Draft {
    fn config(&mut self, node: &Node) -> Option<Config> {
        let mut fields = self.reader.fields(node, "an Alertmanager configuration")?;
        let global = fields.optional("global");
        let resolve_timeout = global.and_then(|node| self.global(node));
        let global = global.map_or(&[][..], |node| entries(node));
        let receivers = fields.optional("receivers").map(|node| self.receivers(node, global)).unwrap_or_default();
        let mut time_intervals = BTreeMap::new();
        for key in ["mute_time_intervals", "time_intervals"] {
            if let Some(node) = fields.optional(key) {
                self.named_intervals(node, &mut time_intervals);
            }
        }
        let inhibit_rules = fields.optional("inhibit_rules").map(|node| self.inhibit_rules(node)).unwrap_or_default();
        if let Some(node) = fields.optional("templates")
            && let Some(items) = self.reader.list(node, "`templates`")
            && !items.is_empty()
        {
            self.warnings.push(problem::templates_ignored(&node.place, items.len()));
        }
        if let Some(node) = fields.required(&mut self.reader, "route") {
            self.root(node);
        }
        fields.finish(&mut self.reader);
        self.resolve_names(&receivers, &time_intervals);
        Some(Config {
            resolve_timeout: resolve_timeout.unwrap_or(Span::from_minutes(5)),
            routes: std::mem::take(&mut self.routes),
            receivers,
            inhibit_rules,
            time_intervals,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    fn global(&mut self, node: &Node) -> Option<Span> {
        let mut fields = self.reader.fields(node, "`global`")?;
        let resolve_timeout = fields.optional("resolve_timeout").and_then(|node| self.duration(node));
        for key in GLOBAL {
            fields.optional(key);
        }
        self.refuse_both(&fields, "`global`", GLOBAL_EXCLUDES);
        fields.finish(&mut self.reader);
        resolve_timeout
    }

    fn refuse_both(&mut self, fields: &Fields<'_>, what: &str, excludes: &[&[&str]]) {
        for keys in excludes.iter().filter(|keys| keys.iter().filter(|key| fields.has(key)).count() > 1) {
            self.reader.problem(problem::both(fields.place(), what, keys));
        }
    }

    fn resolve_names(&mut self, receivers: &[Receiver], intervals: &BTreeMap<Name, Vec<TimeInterval>>) {
        for (what, name, place) in std::mem::take(&mut self.named) {
            let known: Vec<&str> = match what {
                Named::Receiver => receivers.iter().map(|receiver| &*receiver.name).collect(),
                Named::Interval => intervals.keys().map(|name| &**name).collect(),
            };
            if !known.contains(&&*name) {
                let near = near_miss(&name, &known);
                self.reader.problem(match what {
                    Named::Receiver => problem::no_such_receiver(&place, &name, near),
                    Named::Interval => problem::no_such_interval(&place, &name, near),
                });
            }
        }
    }
}

/// Routes.
impl Draft {
    fn root(&mut self, node: &Node) {
        let Some(fields) = self.reader.fields(node, "the root route") else { return };
        for key in ["match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"] {
            if let Some((key, value)) = fields.entries().iter().find(|(candidate, _)| &*candidate.text == key)
                && !is_empty(value)
            {
                self.reader.problem(problem::root_restricted(&key.place, &key.text));
            }
        }
        if let Some((key, _)) =
            fields.entries().iter().find(|(key, value)| &*key.text == "continue" && matches!(value.value, Value::Bool(true)))
        {
            self.reader.problem(problem::root_restricted(&key.place, &key.text));
        }
        if !fields.has("receiver") {
            self.reader.problem(problem::missing(fields.place(), "the root route", &["receiver"], &[]));
        }
        self.route(node, None);
    }

    /// Reads a node and those below it; gives its place among the routes.
    fn route(&mut self, node: &Node, parent: Option<usize>) -> Option<usize> {
        let mut fields = self.reader.fields(node, "a route")?;
        let inherited = parent.map_or_else(RouteOptions::default, |parent| self.routes[parent].options.clone());
        let options = self.options(&mut fields, inherited);
        let matchers = Matchers::new(self.matchers(&mut fields, ["match", "match_re", "matchers"]));
        let goes_on = fields.optional("continue").and_then(|node| self.reader.boolean(node, "`continue`")).unwrap_or(false);
        let mute_time_intervals = self.interval_names(&mut fields, "mute_time_intervals");
        let active_time_intervals = self.interval_names(&mut fields, "active_time_intervals");
        let children = fields.optional("routes").and_then(|node| self.reader.list(node, "`routes`")).unwrap_or_default();
        fields.finish(&mut self.reader);
        let key = parent.map_or_else(|| matchers.to_string(), |parent| format!("{}/{matchers}", self.routes[parent].key));
        let index = self.routes.len();
        let children_of = Vec::with_capacity(children.len());
        self.routes.push(Route { matchers, goes_on, children: children_of, key, options, mute_time_intervals, active_time_intervals });
        for child in children {
            if let Some(child) = self.route(child, Some(index)) {
                self.routes[index].children.push(child);
            }
        }
        Some(index)
    }

    fn options(&mut self, fields: &mut Fields<'_>, inherited: RouteOptions) -> RouteOptions {
        let receiver = fields.optional("receiver").and_then(|node| {
            let name = self.scalar(node, "a receiver's name")?;
            self.named.push((Named::Receiver, name.clone(), node.place.clone()));
            Some(name)
        });
        let group_by = fields.optional("group_by").and_then(|node| self.group_by(node));
        let group_wait = fields.optional("group_wait").and_then(|node| self.duration(node));
        let group_interval = fields.optional("group_interval").and_then(|node| self.positive(node, "group_interval"));
        let repeat_interval = fields.optional("repeat_interval").and_then(|node| self.positive(node, "repeat_interval"));
        RouteOptions {
            receiver: receiver.unwrap_or(inherited.receiver),
            group_by: group_by.unwrap_or(inherited.group_by),
            group_wait: group_wait.unwrap_or(inherited.group_wait),
            group_interval: group_interval.unwrap_or(inherited.group_interval),
            repeat_interval: repeat_interval.unwrap_or(inherited.repeat_interval),
        }
    }

    fn group_by(&mut self, node: &Node) -> Option<GroupBy> {
        let items = self.reader.list(node, "`group_by`")?;
        // An empty list says nothing, as in Alertmanager: a child cannot take back what its parent groups by.
        if items.is_empty() {
            return None;
        }
        let mut names: Vec<(Name, &Place)> = Vec::new();
        for item in items {
            let Some(name) = self.scalar(item, "a label's name") else { continue };
            if names.iter().any(|(other, _)| *other == name) {
                self.reader.problem(problem::twice(&item.place, "the label", &name));
            } else if *name != *"..." {
                self.name_of_label(&item.place, &name);
            }
            names.push((name, &item.place));
        }
        if let Some((_, place)) = names.iter().find(|(name, _)| &**name == "...") {
            if names.len() > 1 {
                self.reader.problem(problem::all_and_some(place));
            }
            return Some(GroupBy::All);
        }
        let mut names: Vec<Name> = names.into_iter().map(|(name, _)| name).collect();
        names.sort();
        Some(GroupBy::Labels(names))
    }

    /// Refuses what is no label's name anywhere, and tells what is one since names can be any UTF-8.
    fn name_of_label(&mut self, place: &Place, name: &Name) {
        if name.is_empty() {
            self.reader.problem(problem::not_a_label(place, name));
        } else if !is_label_name(name) {
            self.warnings.push(problem::newer_name(place, name));
        }
    }

    fn interval_names(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Vec<Name> {
        let Some(node) = fields.optional(key) else { return Vec::new() };
        let mut names = Vec::new();
        for item in self.reader.list(node, &format!("`{key}`")).unwrap_or_default() {
            let Some(name) = self.scalar(item, "a time interval's name") else { continue };
            self.named.push((Named::Interval, name.clone(), item.place.clone()));
            names.push(name);
        }
        names
    }

    /// The matchers under the two older keys (equalities, expressions) and the newer one.
    fn matchers(&mut self, fields: &mut Fields<'_>, [equal, expression, listed]: [&'static str; 3]) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (key, operator) in [(equal, "="), (expression, "=~")] {
            let Some(node) = fields.optional(key) else { continue };
            let Some(map) = self.reader.fields(node, &format!("`{key}`")) else { continue };
            for (label, value) in map.entries() {
                if !is_label_name(&label.text) {
                    self.reader.problem(problem::not_a_label(&label.place, &label.text));
                }
                let Some(text) = self.scalar(value, "a label's value") else { continue };
                match matcher::matcher(&label.text, operator, &text) {
                    Ok(matcher) => matchers.push(matcher),
                    Err(error) => self.reader.problem(problem::not_an_expression(&value.place, &error.to_string())),
                }
            }
        }
        let Some(node) = fields.optional(listed) else { return matchers };
        for item in self.reader.list(node, &format!("`{listed}`")).unwrap_or_default() {
            let Some(text) = self.scalar(item, "a matcher") else { continue };
            match matcher::parse(&text) {
                Ok(read) => {
                    matchers.extend(read);
                    if matcher::is_newer(&text) {
                        self.warnings.push(problem::newer_name(&item.place, &text));
                    }
                }
                Err(error) => self.reader.problem(problem::not_a_matcher(&item.place, &error.to_string())),
            }
        }
        matchers
    }
}

/// Inhibitions and receivers.
impl Draft {
    fn inhibit_rules(&mut self, node: &Node) -> Vec<InhibitRule> {
        let items = self.reader.list(node, "`inhibit_rules`").unwrap_or_default();
        items.iter().filter_map(|item| self.inhibit_rule(item)).collect()
    }

    fn inhibit_rule(&mut self, node: &Node) -> Option<InhibitRule> {
        // A dash with nothing behind it is a rule without conditions, in which every alert is on both sides.
        if matches!(node.value, Value::Null) {
            return Some(InhibitRule { source: Matchers::default(), target: Matchers::default(), equal: Vec::new() });
        }
        let mut fields = self.reader.fields(node, "an inhibition rule")?;
        fields.optional("name");
        let source = Matchers::new(self.matchers(&mut fields, ["source_match", "source_match_re", "source_matchers"]));
        let target = Matchers::new(self.matchers(&mut fields, ["target_match", "target_match_re", "target_matchers"]));
        let equal = fields.optional("equal").and_then(|node| self.reader.list(node, "`equal`")).unwrap_or_default();
        let equal = equal.iter().filter_map(|item| {
            let name = self.scalar(item, "a label's name")?;
            self.name_of_label(&item.place, &name);
            Some(name)
        });
        let equal = equal.collect();
        fields.finish(&mut self.reader);
        Some(InhibitRule { source, target, equal })
    }

    fn receivers(&mut self, node: &Node, global: &[(yaml::Key, Node)]) -> Vec<Receiver> {
        let mut receivers: Vec<Receiver> = Vec::new();
        for item in self.reader.list(node, "`receivers`").unwrap_or_default() {
            let Some(mut fields) = self.reader.fields(item, "a receiver") else { continue };
            let name_node = fields.required(&mut self.reader, "name");
            let name = name_node.and_then(|node| self.scalar(node, "a receiver's name"));
            let mut integrations = Vec::new();
            for kind in KINDS {
                if let Some(node) = fields.optional(kind.key) {
                    integrations.extend(self.integrations(node, kind, global));
                }
            }
            fields.finish(&mut self.reader);
            if let (Some(name), Some(node)) = (name, name_node) {
                if receivers.iter().any(|receiver| receiver.name == name) {
                    self.reader.problem(problem::twice(&node.place, "the receiver", &name));
                }
                receivers.push(Receiver { name, integrations });
            }
        }
        let mut kinds: Vec<&str> = receivers.iter().flat_map(|receiver| &receiver.integrations).map(|it| &*it.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if !kinds.is_empty() {
            self.warnings.push(problem::delivery_ignored(&node.place, &kinds.join(", ")));
        }
        receivers
    }

    fn integrations(&mut self, node: &Node, kind: &Kind, global: &[(yaml::Key, Node)]) -> Vec<Integration> {
        let items = self.reader.list(node, &format!("`{}`", kind.key)).unwrap_or_default();
        items.iter().enumerate().filter_map(|(index, item)| self.integration(item, kind, (index, global))).collect()
    }

    fn integration(&mut self, node: &Node, kind: &Kind, (index, global): (usize, &[(yaml::Key, Node)])) -> Option<Integration> {
        let article = if kind.word.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        let what = format!("{article} {} configuration", kind.word);
        let mut fields = self.reader.fields(node, &what)?;
        let send_resolved = fields.optional("send_resolved").and_then(|node| self.reader.boolean(node, "`send_resolved`"));
        fields.optional("http_config");
        let (mut max_alerts, mut timeout) = (0, None);
        for key in kind.keys {
            let Some(node) = fields.optional(key) else { continue };
            match *key {
                "max_alerts" => {
                    let count = self.reader.integer(node, "`max_alerts`", 0..=i64::MAX);
                    max_alerts = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
                }
                "timeout" => timeout = self.duration(node).filter(|span| *span > Span::ZERO),
                _ => {}
            }
        }
        for (keys, fallback) in kind.needs {
            let is_global = fallback.iter().any(|key| global.iter().any(|(candidate, _)| &*candidate.text == *key));
            if !is_global && !keys.iter().any(|key| fields.has(key)) {
                self.reader.problem(problem::missing(fields.place(), &what, keys, fallback));
            }
        }
        self.refuse_both(&fields, &what, kind.excludes);
        fields.finish(&mut self.reader);
        let send_resolved = send_resolved.unwrap_or(kind.send_resolved);
        Some(Integration { kind: Name::new(kind.word), index, send_resolved, max_alerts, timeout })
    }
}

/// The calendar.
impl Draft {
    fn named_intervals(&mut self, node: &Node, intervals: &mut BTreeMap<Name, Vec<TimeInterval>>) {
        for item in self.reader.list(node, "time intervals").unwrap_or_default() {
            let Some(mut fields) = self.reader.fields(item, "a time interval") else { continue };
            let name_node = fields.required(&mut self.reader, "name");
            let name = name_node.and_then(|node| self.scalar(node, "a time interval's name"));
            let stretches = fields.optional("time_intervals").and_then(|node| self.reader.list(node, "`time_intervals`"));
            let stretches = stretches.unwrap_or_default().iter().filter_map(|item| self.time_interval(item)).collect();
            fields.finish(&mut self.reader);
            if let (Some(name), Some(node)) = (name, name_node)
                && intervals.insert(name.clone(), stretches).is_some()
            {
                self.reader.problem(problem::twice(&node.place, "the time interval", &name));
            }
        }
    }

    fn time_interval(&mut self, node: &Node) -> Option<TimeInterval> {
        let mut fields = self.reader.fields(node, "a stretch of time")?;
        let times = fields.optional("times").and_then(|node| self.reader.list(node, "`times`"));
        let times = times.map(|items| items.iter().filter_map(|item| self.time_range(item)).collect());
        let weekdays = self.ranges(&mut fields, "weekdays", &WEEKDAYS);
        let days_of_month = self.ranges(&mut fields, "days_of_month", &DAYS);
        let months = self.ranges(&mut fields, "months", &MONTHS);
        let years = self.ranges(&mut fields, "years", &YEARS);
        let location = fields.optional("location").and_then(|node| self.location(node)).unwrap_or(TimeZone::UTC);
        fields.finish(&mut self.reader);
        Some(TimeInterval { times, weekdays, days_of_month, months, years, location })
    }

    fn time_range(&mut self, node: &Node) -> Option<TimeRange> {
        let mut fields = self.reader.fields(node, "a time range")?;
        let mut minute = |draft: &mut Self, key: &'static str| {
            let node = fields.required(&mut draft.reader, key)?;
            let text = draft.scalar(node, "a time of the day")?;
            let minute = minute_of(&text);
            if minute.is_none() {
                let message = format!("`{text}` is not a time of the day");
                draft.reader.problem(problem::not_a_range(&node.place, message, "`09:00`, and `24:00` for the end of the day"));
            }
            minute
        };
        let (from, to) = (minute(self, "start_time"), minute(self, "end_time"));
        fields.finish(&mut self.reader);
        let (from, to) = (from?, to?);
        if from >= to {
            let message = "the time range ends before it starts".to_owned();
            self.reader.problem(problem::not_a_range(&node.place, message, "two ranges for a night: one to `24:00` and one from `00:00`"));
        }
        Some(TimeRange { from, to })
    }

    fn ranges(&mut self, fields: &mut Fields<'_>, key: &'static str, unit: &Unit) -> Option<Vec<RangeInclusive<i16>>> {
        let node = fields.optional(key)?;
        let items = self.reader.list(node, &format!("`{key}`"))?;
        let mut ranges = Vec::new();
        for item in items {
            let Some(text) = self.scalar(item, unit.what) else { continue };
            match unit.range(&text) {
                Ok(range) => ranges.push(range),
                Err(message) => self.reader.problem(problem::not_a_range(&item.place, message, unit.example)),
            }
        }
        Some(ranges)
    }

    fn location(&mut self, node: &Node) -> Option<TimeZone> {
        let name = self.scalar(node, "a location")?;
        match &*name {
            "" | "UTC" => Some(TimeZone::UTC),
            "Local" => {
                self.warnings.push(problem::local_is_utc(&node.place));
                Some(TimeZone::UTC)
            }
            name => {
                let found = TimeZone::get(name).ok();
                let own = found.as_ref().and_then(TimeZone::iana_name);
                // Go looks for a file of the name, which its case is part of.
                if own != Some(name) {
                    self.reader.problem(problem::no_such_location(&node.place, name, own));
                }
                found
            }
        }
    }
}

/// Scalars.
impl Draft {
    /// Any scalar as its text, because Alertmanager reads scalars into strings.
    fn scalar(&mut self, node: &Node, what: &str) -> Option<Name> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => Some(Name::new(node.place.file().text[node.place.range()].trim())),
            Value::Null => Some(Name::new("")),
            Value::List(_) | Value::Map(_) => self.reader.text(node, what).cloned(),
        }
    }

    fn duration(&mut self, node: &Node) -> Option<Span> {
        let text = self.scalar(node, "a duration")?;
        let span = prometheus_duration(&text);
        if span.is_none() {
            self.reader.problem(crate::problem::not_a_prometheus_duration(&node.place, &text));
        }
        span
    }

    fn positive(&mut self, node: &Node, key: &str) -> Option<Span> {
        let span = self.duration(node)?;
        if span == Span::ZERO {
            self.reader.problem(problem::zero(&node.place, key));
        }
        Some(span)
    }
}

/// A unit of the calendar: how its ranges are written and what they may span.
struct Unit {
    what: &'static str,
    words: &'static [&'static str],
    /// What the first word stands for.
    first: i16,
    bounds: RangeInclusive<i16>,
    example: &'static str,
}

const WEEKDAYS: Unit = Unit {
    what: "a day of the week",
    words: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
    first: 0,
    bounds: 0..=6,
    example: "`monday:friday` or `sunday`; a week begins on Sunday",
};

const DAYS: Unit =
    Unit { what: "a day of the month", words: &[], first: 0, bounds: -31..=31, example: "`1:5`, `15` or `-3:-1`; -1 is the last day" };

const MONTHS: Unit = Unit {
    what: "a month",
    words: &["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"],
    first: 1,
    bounds: 1..=12,
    example: "`1:3` or `may:august`",
};

const YEARS: Unit = Unit { what: "a year", words: &[], first: 0, bounds: 0..=9999, example: "`2026` or `2026:2028`" };

impl Unit {
    fn range(&self, text: &str) -> Result<RangeInclusive<i16>, String> {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let (from, to) = (self.member(from)?, self.member(to)?);
        // Of days that count from different ends the shortest month decides what can never be.
        let in_shortest = |day: i16| if self.bounds.start() < &0 && day < 0 { 28 + day } else { day };
        if from < 0 && to > 0 {
            return Err(format!("`{text}` begins at the end of the month, and ends at its start"));
        }
        if in_shortest(from) > in_shortest(to) {
            return Err(format!("`{text}` ends before it starts"));
        }
        Ok(from..=to)
    }

    fn member(&self, text: &str) -> Result<i16, String> {
        let text = text.to_lowercase();
        let word = self.words.iter().position(|word| *word == text).and_then(|index| i16::try_from(index).ok()).map(|at| at + self.first);
        // Days of the week have no numbers.
        let number = || if self.first == 0 && !self.words.is_empty() { None } else { text.parse::<i16>().ok() };
        let is_day_zero = |number: &i16| *self.bounds.start() < 0 && *number == 0;
        word.or_else(number)
            .filter(|number| self.bounds.contains(number) && !is_day_zero(number))
            .ok_or_else(|| format!("`{text}` is not {}", self.what))
    }
}

/// Minutes since midnight of `HH:MM`, `24:00` included.
fn minute_of(text: &str) -> Option<u16> {
    if text == "24:00" {
        return Some(1440);
    }
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<u16>().ok()).flatten().filter(|number| *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

fn entries(node: &Node) -> &[(yaml::Key, Node)] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
global:
  resolve_timeout: 6m
  slack_api_url: https://example.com/hook
route:
  receiver: all
  group_by: [job, alertname]
  repeat_interval: 12h
  routes:
  - receiver: pager
    matchers: [ severity = page, '{team!=\"x\"}' ]
    group_by: ['...']
    group_wait: 10s
    active_time_intervals: [week]
    continue: true
    routes:
    - match_re: { job: a|b }
      group_by: []
  - receiver: chat
    mute_time_intervals: [week]
receivers:
- name: all
- name: pager
  pagerduty_configs: [ { routing_key: secret }, { service_key: other, send_resolved: false } ]
  webhook_configs: [ { url: http://x, max_alerts: 5, timeout: 2s } ]
- name: chat
  slack_configs: [ { channel: x } ]
inhibit_rules:
- source_matchers: [ severity = page ]
  target_match: { severity: ticket }
  target_match_re: { team: a|b }
  equal: [ job ]
time_intervals:
- name: week
  time_intervals:
  - times: [ { start_time: 09:00, end_time: 17:00 } ]
    weekdays: ['monday:Friday']
    days_of_month: ['1:15', '-3:-1', 20]
    months: ['1:3', may:August]
    years: [2026, 2027:2028]
    location: Europe/Berlin
templates: [ a.tmpl, b.tmpl ]
";

    #[test]
    fn a_configuration_reads_with_everything_that_it_says() {
        let config = read_config("alertmanager.yml", FILE).unwrap();
        assert_eq!(config.resolve_timeout, Span::from_minutes(6));
        let told: Vec<String> = config
            .routes
            .iter()
            .map(|Route { key, options, .. }| {
                let RouteOptions { receiver, group_by, group_wait, group_interval, repeat_interval } = options;
                format!("{key} {receiver} {group_by:?} {group_wait} {group_interval} {repeat_interval}")
            })
            .collect();
        let expected = [
            r#"{} all Labels(["alertname", "job"]) 30s 5m 12h"#,
            r#"{}/{severity="page",team!="x"} pager All 10s 5m 12h"#,
            r#"{}/{severity="page",team!="x"}/{job=~"a|b"} pager All 10s 5m 12h"#,
            r#"{}/{} chat Labels(["alertname", "job"]) 30s 5m 12h"#,
        ];
        assert_eq!(told, expected);
        assert_eq!((config.routes[0].children.as_slice(), config.routes[1].children.as_slice()), (&[1, 3][..], &[2][..]));
        assert!(config.routes[1].goes_on && config.routes[2].active_time_intervals.is_empty());
        let pager = config.receiver("pager").unwrap();
        let ways: Vec<String> =
            pager.integrations.iter().map(|it| format!("{}{} {} {}", it.kind, it.index, it.send_resolved, it.max_alerts)).collect();
        assert_eq!(ways, ["pagerduty0 true 0", "pagerduty1 false 0", "webhook0 true 5"]);
        assert!(!config.receiver("chat").unwrap().integrations[0].send_resolved);
        let rule = &config.inhibit_rules[0];
        assert_eq!(
            format!("{} {} {:?}", rule.source, rule.target, rule.equal),
            r#"{severity="page"} {severity="ticket",team=~"a|b"} ["job"]"#
        );
        let week = &config.time_intervals["week"][0];
        assert_eq!(week.times.as_ref().unwrap()[0], TimeRange { from: 540, to: 1020 });
        assert_eq!(week.weekdays, Some(vec![1..=5]));
        assert_eq!(week.days_of_month, Some(vec![1..=15, -3..=-1, 20..=20]));
        assert_eq!((week.months.clone(), week.years.clone()), (Some(vec![1..=3, 5..=8]), Some(vec![2026..=2026, 2027..=2028])));
        let warnings: Vec<&str> = config.warnings.iter().map(|problem| problem.code).collect();
        assert_eq!(warnings, ["FD0720", "FD0721"]);
    }

    #[test]
    fn a_secret_of_kubernetes_is_read_where_it_is_plain_text() {
        let inner = FILE.replace('\n', "\n    ");
        let secret = format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: x }}\nstringData:\n  alertmanager.yaml: |-\n    {inner}\n");
        assert_eq!(read_config("secret.yaml", &secret).unwrap().routes.len(), 4);
        let problems = read_config("secret.yaml", "kind: Secret\ndata: { alertmanager.yaml: eA== }\n").unwrap_err();
        assert_eq!(problems[0].code, "FD0712");
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        assert!(FILE.contains(from), "{from}");
        let problems = read_config("alertmanager.yml", &FILE.replacen(from, to, 1)).err().unwrap_or_default();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| {
                let line = problem.place.as_ref().map_or(0, Place::line);
                let remedy = problem.remedy.as_ref().map(|remedy| format!(" | {remedy}")).unwrap_or_default();
                format!("{line}:{} {}{remedy}", problem.code, problem.message)
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_alertmanager_refuses_in_routes_is_refused() {
        check("receiver: chat", "receiver: caht", &["19:FD0703 no receiver is called `caht` | did you mean `chat`?"]);
        check("    continue: true", "    contniue: true", &["15:FD0105 a route has no key `contniue` | did you mean `continue`?"]);
        check(
            "  receiver: all",
            "  receiver: all\n  match: { a: b }",
            &["7:FD0702 the root route has `match` | move it to a child below `routes:`; the root takes every alert"],
        );
        check("  receiver: all\n", "", &["6:FD0710 the root route has no `receiver` | add `receiver`"]);
        check(
            "group_by: ['...']",
            "group_by: ['...', a, a]",
            &[
                "12:FD0707 `...` means all labels, and others stand beside it | keep `...`, or the others",
                "12:FD0704 the label `a` stands here a second time | rename one of the two",
            ],
        );
        check("repeat_interval: 12h", "repeat_interval: 0s", &["8:FD0706 `repeat_interval` is zero | leave it out, or write `5m`"]);
        check(
            "group_wait: 10s",
            "group_wait: 10",
            &["13:FD0403 `10` is not a duration as Prometheus writes it | write `30s`, `5m` or `1h30m`"],
        );
        check(
            "severity = page, '{",
            "severity, '{",
            &[
                "11:FD0700 `severity` is no matcher such as `severity=\"critical\"` | write `severity=\"critical\"` or `severity=~\"critical|page\"`",
            ],
        );
        check(
            "job: a|b",
            "job: '('",
            &["17:FD0713 the regular expression `(` is wrong: unclosed group | correct the expression; it must match the whole value"],
        );
    }

    #[test]
    fn names_that_older_releases_refuse_are_read_and_told() {
        let text = FILE
            .replace("'{team!=\"x\"}'", "'team-name!=x'")
            .replace("[job, alertname]", "[job-name, ä]")
            .replace("[ job ]", "[ \"a b\" ]");
        let config = read_config("alertmanager.yml", &text).unwrap();
        assert_eq!(config.routes[1].matchers.to_string(), r#"{severity="page",team-name!="x"}"#);
        let told = config.warnings.iter().filter(|problem| problem.code == "FD0729");
        let told: Vec<_> =
            told.map(|problem| (problem.place.as_ref().unwrap().line(), problem.message.split('`').nth(1).unwrap())).collect();
        assert_eq!(told, [(32, "a b"), (7, "job-name"), (7, "ä"), (11, "team-name!=x")]);
        let refused = read_config("alertmanager.yml", &FILE.replace("[ job ]", "[ '' ]").replace("[job, alertname]", "['']")).unwrap_err();
        assert_eq!(refused.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["FD0701", "FD0701"]);
    }

    #[test]
    fn what_alertmanager_refuses_in_receivers_is_refused() {
        check(
            "- name: pager",
            "- name: all",
            &[
                "10:FD0703 no receiver is called `pager` | add `- name: pager` below `receivers:`",
                "23:FD0704 the receiver `all` stands here a second time | rename one of the two",
            ],
        );
        check("{ url: http://x,", "{", &["25:FD0710 a webhook configuration has no `url` or `url_file` | add `url` or `url_file`"]);
        check(
            "  slack_api_url: https://example.com/hook\n",
            "",
            &[concat!(
                "26:FD0710 a slack configuration has no `api_url` or `api_url_file` or `app_token` or `app_token_file` | add `api_url` or `api_url_file` or ",
                "`app_token` or `app_token_file`, or `slack_api_url` or `slack_api_url_file` or `slack_app_token` or `slack_app_token_file` below `global:`"
            )],
        );
        check(
            "{ channel: x }",
            "{ chanel: x, api_url: a, api_url_file: b }",
            &[
                "27:FD0711 a slack configuration has `api_url` and `api_url_file` | keep one of them",
                "27:FD0105 a slack configuration has no key `chanel` | did you mean `channel`?",
            ],
        );
    }

    #[test]
    fn what_alertmanager_refuses_in_the_calendar_is_refused() {
        let berlin = "`Europe/Berlin`";
        check(
            "active_time_intervals: [week]",
            "active_time_intervals: [weak]",
            &["14:FD0705 no time interval is called `weak` | did you mean `week`?"],
        );
        check(
            "location: Europe/Berlin",
            "location: europe/berlin",
            &["41:FD0709 `europe/berlin` is no location of the time-zone database | write `Europe/Berlin`"],
        );
        check(
            "location: Europe/Berlin",
            "location: Europe/Bonn",
            &[&format!("41:FD0709 `Europe/Bonn` is no location of the time-zone database | write one such as {berlin}, or `UTC`")],
        );
        let days = "`monday:friday` or `sunday`; a week begins on Sunday";
        check("'monday:Friday'", "friday:monday", &[&format!("37:FD0708 `friday:monday` ends before it starts | write {days}")]);
        check("'monday:Friday'", "1:5", &[&format!("37:FD0708 `1` is not a day of the week | write {days}")]);
        let month_days = "`1:5`, `15` or `-3:-1`; -1 is the last day";
        check("'1:15'", "0", &[&format!("38:FD0708 `0` is not a day of the month | write {month_days}")]);
        check(
            "'1:15'",
            "'-1:5'",
            &[&format!("38:FD0708 `-1:5` begins at the end of the month, and ends at its start | write {month_days}")],
        );
        check("'1:15'", "'29:-1'", &[&format!("38:FD0708 `29:-1` ends before it starts | write {month_days}")]);
        check("2027:2028", "2028:2027", &["40:FD0708 `2028:2027` ends before it starts | write `2026` or `2026:2028`"]);
        let night = "two ranges for a night: one to `24:00` and one from `00:00`";
        check("end_time: 17:00", "end_time: 08:00", &[&format!("36:FD0708 the time range ends before it starts | write {night}")]);
        let time = "`09:00`, and `24:00` for the end of the day";
        check("start_time: 09:00", "start_time: 9:00", &[&format!("36:FD0708 `9:00` is not a time of the day | write {time}")]);
    }
}
