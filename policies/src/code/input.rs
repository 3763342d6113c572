//! The input document as the engine of Rego has it: what [`Offered`] is in JSON, without the way through a text.

use std::collections::BTreeMap;

use regorus::Value;

use super::{Alert, Asked, Deed, InFlight, Offered, Owned, Target, Time};

/// The input document. A test holds it against its JSON.
pub(super) fn input(offered: &Offered) -> Value {
    let Offered { version, policy, alert, action, target, guards, in_flight, time, confidence } = offered;
    let guards = guards.iter().map(|(word, asked)| (Value::from(*word), guard(asked)));
    object([
        ("version", u64::from(*version).into()),
        ("policy", owned(policy)),
        ("alert", of_alert(alert)),
        ("action", deed(action)),
        ("target", of_target(target)),
        ("guards", guards.collect::<BTreeMap<_, _>>().into()),
        ("in_flight", in_flight.iter().map(under_way).collect::<Vec<_>>().into()),
        ("time", of_time(time)),
        ("confidence", number(*confidence)),
    ])
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect::<BTreeMap<_, _>>().into()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn texts(all: &[String]) -> Value {
    all.iter().map(|own| text(own)).collect::<Vec<_>>().into()
}

/// JSON has no number that is none or not finite, and no key without a value.
fn number(value: Option<f64>) -> Value {
    value.filter(|value| value.is_finite()).map_or(Value::Null, Value::from)
}

fn owned(Owned { name, owner, stage, incident, step }: &Owned) -> Value {
    object([
        ("name", text(name)),
        ("owner", text(owner)),
        ("stage", text(stage)),
        ("incident", (*incident).into()),
        ("step", (*step).into()),
    ])
}

fn of_alert(Alert { name, labels, since }: &Alert) -> Value {
    let labels = labels.iter().map(|(name, value)| (text(name), text(value)));
    object([("name", text(name)), ("labels", labels.collect::<BTreeMap<_, _>>().into()), ("since", number(*since))])
}

fn deed(Deed { word, parameters, text: words, is_reversible, replicas }: &Deed) -> Value {
    object([
        ("word", text(word)),
        ("parameters", parameters.clone().into()),
        ("text", text(words)),
        ("is_reversible", (*is_reversible).into()),
        ("replicas", (*replicas).into()),
    ])
}

fn of_target(Target { kind, name, services, zones, tier, owners, replicas }: &Target) -> Value {
    object([
        ("kind", text(kind)),
        ("name", text(name)),
        ("services", texts(services)),
        ("zones", texts(zones)),
        ("tier", text(tier)),
        ("owners", texts(owners)),
        ("replicas", (*replicas).into()),
    ])
}

fn guard(Asked { verdict, figures }: &Asked) -> Value {
    object([("verdict", text(verdict)), ("figures", text(figures))])
}

fn under_way(InFlight { policy, incident, action, target, is_running }: &InFlight) -> Value {
    object([
        ("policy", text(policy)),
        ("incident", (*incident).into()),
        ("action", text(action)),
        ("target", text(target)),
        ("is_running", (*is_running).into()),
    ])
}

fn of_time(Time { rfc3339, epoch, elapsed }: &Time) -> Value {
    object([("rfc3339", text(rfc3339)), ("epoch", number(Some(*epoch))), ("elapsed", number(Some(*elapsed)))])
}
