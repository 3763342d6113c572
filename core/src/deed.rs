//! What actions need beside their target, as scenarios and policies write it.

use std::ops::RangeInclusive;

use crate::action::{Action, Keys, Limit, Priority, Restraint};
use crate::problem::Problem;
use crate::quantity::{Bytes, Ratio};
use crate::time::Span;
use crate::yaml::{Fields, Node, Reader};

/// The actions that are read here, by their words: those after `wait` in the order of [`Action::WORDS`].
pub const WORDS: &[&str] = Action::WORDS.as_slice().split_at(10).1;

/// Nothing that is laid on a system holds longer than this.
const LONGEST: Span = Span::from_minutes(30 * 24 * 60);

/// How many of something there may be.
const COUNTS: RangeInclusive<i64> = 1..=100_000;

/// The kinds of target that an action can be aimed at, by its word; empty for what is not read here.
#[must_use]
pub fn targets(word: &str) -> &'static [&'static str] {
    match word {
        "rate_limit" => &["client"],
        "lift" => &["service", "client", "zone"],
        "reset_pool" | "clear_disk" | "expand_volume" | "kill" => &["service", "replica"],
        "shift_traffic" => &["zone"],
        "undrain" => &["zone", "node"],
        "cordon" | "reboot_node" | "replace_node" => &["node"],
        word if WORDS.contains(&word) => &["service"],
        _ => &[],
    }
}

/// An action that needs nothing beside its target; `None`: it needs something, or is not read here.
#[must_use]
pub fn plain(word: &str) -> Option<Action> {
    match word {
        "undrain" => Some(Action::Undrain),
        "cordon" => Some(Action::Cordon),
        "reboot_node" => Some(Action::RebootNode),
        "replace_node" => Some(Action::ReplaceNode),
        "clear_disk" => Some(Action::ClearDisk),
        "renew_certificate" => Some(Action::RenewCertificate),
        "revert_drift" => Some(Action::RevertDrift),
        "pause_rollout" => Some(Action::PauseRollout),
        "kill" => Some(Action::Kill),
        "skip_message" => Some(Action::SkipMessage),
        "replay_dead_letters" => Some(Action::ReplayDeadLetters),
        "warm_cache" => Some(Action::WarmCache { cache: None, share: all() }),
        "reset_pool" => Some(Action::ResetPool { to: None }),
        "kill_queries" => Some(Action::KillQueries { older: Span::ZERO }),
        "flush_cache" => Some(Action::FlushCache { cache: None, keys: Keys::Share(all()) }),
        _ => None,
    }
}

/// How the parameters of an action are written, for messages; empty for what needs none.
#[must_use]
pub fn example(word: &str) -> &'static str {
    match word {
        "circuit_break" | "degrade" => "{ lasting: 5m }",
        "isolate" => "{ calls: 5, lasting: 5m }",
        "shed_load" => "{ share: 50%, lasting: 5m }",
        "rate_limit" => "{ rate: 50/s, lasting: 5m }",
        "lift" => "{ what: circuit_break }",
        "set_limit" => "{ of: pool, to: 20 }",
        "shift_traffic" => "{ share: 0% }",
        "expand_volume" => "{ by: 10GiB }",
        "resize" => "{ memory: 2GiB }",
        "set_flag" => "{ flag: fast-path, to: off }",
        _ => "{}",
    }
}

/// Reads the parameters of an action of [`WORDS`] from a map that may hold others; what is wrong with them is recorded.
pub fn read(reader: &mut Reader, word: &str, fields: &mut Fields<'_>) -> Option<Action> {
    match word {
        "circuit_break" => {
            let from = optional(reader, fields, "from", |r, n| r.name(n, "the name of a caller"));
            let lasting = lasting(reader, fields);
            Some(Action::CircuitBreak { from: from?, lasting: lasting? })
        }
        "isolate" => {
            let calls =
                fields.required(reader, "calls").and_then(|node| reader.integer(node, "the number of calls of one process", COUNTS));
            let from = optional(reader, fields, "from", |r, n| r.name(n, "the name of a caller"));
            let lasting = lasting(reader, fields);
            Some(Action::Isolate { calls: count(calls?), from: from?, lasting: lasting? })
        }
        "shed_load" => {
            let share = fields.required(reader, "share").and_then(|node| share(reader, node));
            let words = Priority::ALL.map(|priority| (priority.word(), priority));
            let spare = optional(reader, fields, "spare", |r, n| r.one_of(n, "a priority", &words));
            let lasting = lasting(reader, fields);
            Some(Action::ShedLoad { share: share?, spare: spare?, lasting: lasting? })
        }
        "rate_limit" => {
            let rate = fields.required(reader, "rate").and_then(|node| {
                let rate = reader.rate(node, "the rate")?;
                positive(reader, node, "the rate", (rate.get() > 0.0).then_some(rate))
            });
            let lasting = lasting(reader, fields);
            Some(Action::RateLimit { rate: rate?, lasting: lasting? })
        }
        "degrade" => Some(Action::Degrade { lasting: lasting(reader, fields)? }),
        "lift" => {
            let what = fields.required(reader, "what").and_then(|node| reader.one_of(node, "what can be lifted", &Restraint::WORDS));
            Some(Action::Lift { what: what? })
        }
        "shift_traffic" => {
            let share = fields.required(reader, "share").and_then(|node| reader.ratio(node, "the share"));
            Some(Action::ShiftTraffic { share: share? })
        }
        "expand_volume" => Some(Action::ExpandVolume { by: size(reader, fields, "by")? }),
        word => read_of_service(reader, word, fields),
    }
}

/// Those of a service's pools, limits, queries and caches.
fn read_of_service(reader: &mut Reader, word: &str, fields: &mut Fields<'_>) -> Option<Action> {
    match word {
        "reset_pool" => {
            let to = optional(reader, fields, "to", |r, n| r.name(n, "the name of a service"));
            Some(Action::ResetPool { to: to? })
        }
        "set_limit" => {
            let limit = fields.required(reader, "of").and_then(|node| reader.one_of(node, "a limit", &Limit::WORDS));
            let to = fields.required(reader, "to").and_then(|node| reader.integer(node, "the limit", COUNTS));
            Some(Action::SetLimit { limit: limit?, to: count(to?) })
        }
        "kill_queries" => {
            let older = optional(reader, fields, "older", |r, n| r.span(n, "the age of a query"));
            Some(Action::KillQueries { older: older?.unwrap_or(Span::ZERO) })
        }
        "flush_cache" => {
            let cache = optional(reader, fields, "cache", |r, n| r.name(n, "the name of a cache"));
            let has_both = fields.has("share") && fields.has("prefix");
            let part = optional(reader, fields, "share", share);
            let prefix = optional(reader, fields, "prefix", |r, n| r.name(n, "a prefix of keys"));
            if has_both {
                let problem = Problem::at("FD0112", fields.place(), "`flush_cache` takes `share` or `prefix`, and not both");
                reader.problem(problem.remedy("keep one of the two"));
                return None;
            }
            let keys = match (prefix?, part?) {
                (Some(prefix), _) => Keys::Prefix(prefix),
                (None, part) => Keys::Share(part.unwrap_or_else(all)),
            };
            Some(Action::FlushCache { cache: cache?, keys })
        }
        "resize" => Some(Action::Resize { memory: size(reader, fields, "memory")? }),
        "warm_cache" => {
            let cache = optional(reader, fields, "cache", |r, n| r.name(n, "the name of a cache"));
            let share = optional(reader, fields, "share", share);
            Some(Action::WarmCache { cache: cache?, share: share?.unwrap_or_else(all) })
        }
        "set_flag" => {
            let flag = fields.required(reader, "flag").and_then(|node| reader.name(node, "the name of a flag"));
            let to =
                fields.required(reader, "to").and_then(|node| reader.one_of(node, "a state of a flag", &[("on", true), ("off", false)]));
            Some(Action::SetFlag { flag: flag?, on: to? })
        }
        word => plain(word),
    }
}

/// A size above zero.
fn size(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Bytes> {
    let node = fields.required(reader, key)?;
    let size = reader.bytes(node, "the size")?;
    positive(reader, node, "the size", (size.get() > 0).then_some(size))
}

fn all() -> Ratio {
    Ratio::new(1.0).expect("one is a share")
}

fn count(value: i64) -> u32 {
    u32::try_from(value).expect("a count within its range")
}

/// A value that may be missing: `None` if what is there is wrong, which has been recorded.
fn optional<T>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Reader, &Node) -> Option<T>,
) -> Option<Option<T>> {
    fields.optional(key).map_or(Some(None), |node| read(reader, node).map(Some))
}

/// For how long something holds; everything that is laid on a system has an end.
fn lasting(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Span> {
    let node = fields.required(reader, "lasting")?;
    let span = reader.span(node, "the time that it lasts")?;
    if span > LONGEST {
        reader.problem(Problem::at("FD0113", &node.place, format!("the time that it lasts is {span}, and must be at most {LONGEST}")));
        return None;
    }
    positive(reader, node, "the time that it lasts", (span > Span::ZERO).then_some(span))
}

fn share(reader: &mut Reader, node: &Node) -> Option<Ratio> {
    let share = reader.ratio(node, "the share")?;
    positive(reader, node, "the share", (share.get() > 0.0).then_some(share))
}

/// What is above zero; else a problem is recorded.
fn positive<T>(reader: &mut Reader, node: &Node, what: &str, value: Option<T>) -> Option<T> {
    if value.is_none() {
        reader.problem(Problem::at("FD0113", &node.place, format!("{what} is zero, and must be above zero")));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::quantity::Rate;
    use crate::yaml::parse;

    fn read_text(word: &str, text: &str) -> Result<Action, Vec<String>> {
        let node = parse("f.yaml", text).map_err(|problems| problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>())?;
        let mut reader = Reader::new();
        let mut fields = reader.fields(&node, word).expect("a map");
        let action = read(&mut reader, word, &mut fields);
        fields.finish(&mut reader);
        match reader.finish() {
            Ok(()) => Ok(action.expect("without a problem there is an action")),
            Err(problems) => Err(problems.iter().map(|problem| problem.render(false)).collect()),
        }
    }

    #[track_caller]
    fn reads(word: &str, text: &str, action: Action, told: &str) {
        assert_eq!(read_text(word, text), Ok(action.clone()));
        assert_eq!((action.word(), action.to_string().as_str()), (word, told));
    }

    #[test]
    fn actions_are_read_and_told() {
        let lasting = Span::from_minutes(5);
        let share = |share| Ratio::new(share).unwrap();
        reads("circuit_break", "{ lasting: 5m }", Action::CircuitBreak { from: None, lasting }, "circuit_break (for 5m)");
        let from = Some(Name::new("shop"));
        reads(
            "isolate",
            "{ calls: 5, from: shop, lasting: 5m }",
            Action::Isolate { calls: 5, from, lasting },
            "isolate (5 of shop for 5m)",
        );
        let shed = Action::ShedLoad { share: share(0.5), spare: Some(Priority::High), lasting };
        reads("shed_load", "{ share: 50%, spare: high, lasting: 5m }", shed, "shed_load (50% below high for 5m)");
        let limit = Action::RateLimit { rate: Rate::per_second(20.0).unwrap(), lasting };
        reads("rate_limit", "{ rate: 20/s, lasting: 5m }", limit, "rate_limit (20/s for 5m)");
        reads("degrade", "{ lasting: 5m }", Action::Degrade { lasting }, "degrade (for 5m)");
        reads("lift", "{ what: degrade }", Action::Lift { what: Restraint::Degrade }, "lift (degrade)");
        reads("reset_pool", "{ to: db }", Action::ResetPool { to: Some(Name::new("db")) }, "reset_pool (to db)");
        reads("set_limit", "{ of: pool, to: 20 }", Action::SetLimit { limit: Limit::Pool, to: 20 }, "set_limit (pool to 20)");
        reads("kill_queries", "{ older: 5m }", Action::KillQueries { older: lasting }, "kill_queries (older than 5m)");
        let flush = Action::FlushCache { cache: None, keys: Keys::Prefix(Name::new("user:")) };
        reads("flush_cache", "{ prefix: 'user:' }", flush, "flush_cache (user:)");
        let flush = Action::FlushCache { cache: Some(Name::new("items")), keys: Keys::Share(share(1.0)) };
        reads("flush_cache", "{ cache: items }", flush, "flush_cache (100% of items)");
        reads("shift_traffic", "{ share: 0% }", Action::ShiftTraffic { share: share(0.0) }, "shift_traffic (to 0%)");
        let by = Bytes::parse("10GiB").unwrap();
        reads("expand_volume", "{ by: 10GiB }", Action::ExpandVolume { by }, "expand_volume (by 10GiB)");
        reads("resize", "{ memory: 10GiB }", Action::Resize { memory: by }, "resize (memory to 10GiB)");
        let cache = Some(Name::new("items"));
        let warm = Action::WarmCache { cache: cache.clone(), share: share(0.5) };
        reads("warm_cache", "{ cache: items, share: 50% }", warm, "warm_cache (50% of items)");
        reads("warm_cache", "{}", Action::WarmCache { cache: None, share: share(1.0) }, "warm_cache (100%)");
        let flag = Name::new("fast-path");
        reads("set_flag", "{ flag: fast-path, to: on }", Action::SetFlag { flag: flag.clone(), on: true }, "set_flag (fast-path on)");
        reads("set_flag", "{ flag: fast-path, to: off }", Action::SetFlag { flag, on: false }, "set_flag (fast-path off)");
    }

    #[test]
    fn what_needs_nothing_is_told_by_its_word() {
        for word in WORDS.iter().filter(|word| plain(word).is_some()) {
            let action = plain(word).unwrap();
            assert_eq!(read_text(word, "{}"), Ok(action.clone()));
            assert_eq!(action.word(), *word);
        }
        for word in WORDS {
            assert!(read_text(word, example(word)).is_ok(), "{word}");
            assert!(!targets(word).is_empty() && Action::WORDS.contains(word), "{word}");
        }
        assert!(targets("restart").is_empty());
    }

    #[track_caller]
    fn refuses(word: &str, text: &str, told: &str) {
        let problems = read_text(word, text).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    }

    #[test]
    fn what_would_do_nothing_or_hold_for_ever_is_refused() {
        refuses("circuit_break", "{ from: shop }", "has no `lasting`");
        refuses("degrade", "{ lasting: 0s }", "the time that it lasts is zero");
        refuses("degrade", "{ lasting: 31d }", "must be at most 30d");
        refuses("shed_load", "{ share: 0%, lasting: 5m }", "the share is zero");
        refuses("rate_limit", "{ rate: 0/s, lasting: 5m }", "the rate is zero");
        refuses("isolate", "{ calls: 0, lasting: 5m }", "must be 1 to 100000");
        refuses("lift", "{ what: restart }", "`restart` is not what can be lifted");
        refuses("flush_cache", "{ share: 10%, prefix: a }", "and not both");
        refuses("set_limit", "{ of: queue, to: 5 }", "`queue` is not a limit");
        refuses("resize", "{ memory: 0B }", "the size is zero");
        refuses("set_flag", "{ flag: fast-path, to: maybe }", "`maybe` is not a state of a flag");
        refuses("set_flag", "{ to: on }", "has no `flag`");
    }
}
