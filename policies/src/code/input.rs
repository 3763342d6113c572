//! The input document as the engine of Rego has it: what [`Offered`] is in JSON, without the way through a text.

use std::collections::BTreeMap;

use regorus::Value;

use super::reads::Reads;
use super::{Alert, Asked, Deed, InFlight, Offered, Owned, Target, Time};

/// The input document, of which only what is read has to be there. A test holds it against its JSON.
pub(super) fn input(offered: &Offered, reads: &Reads) -> Value {
    let Offered { version, policy, alert, action, target, guards, in_flight, time, confidence } = offered;
    let guarded = || guards.iter().map(|(word, asked)| (Value::from(*word), guard(asked))).collect::<BTreeMap<_, _>>().into();
    Object::new(|name| reads.field(name))
        .with("version", || u64::from(*version).into())
        .with("policy", || owned(policy, reads))
        .with("alert", || of_alert(alert, reads))
        .with("action", || deed(action, reads))
        .with("target", || of_target(target, reads))
        .with("guards", guarded)
        .with("in_flight", || in_flight.iter().map(under_way).collect::<Vec<_>>().into())
        .with("time", || of_time(time, reads))
        .with("confidence", || number(*confidence))
        .into()
}

/// An object that is put together from those of its fields that are read.
struct Object<R> {
    is_read: R,
    fields: BTreeMap<Value, Value>,
}

impl<R: Fn(&str) -> bool> Object<R> {
    const fn new(is_read: R) -> Self {
        Self { is_read, fields: BTreeMap::new() }
    }

    fn with(mut self, name: &str, value: impl FnOnce() -> Value) -> Self {
        if (self.is_read)(name) {
            self.fields.insert(Value::from(name), value());
        }
        self
    }
}

impl<R> From<Object<R>> for Value {
    fn from(object: Object<R>) -> Self {
        object.fields.into()
    }
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

fn owned(Owned { name, owner, stage, incident, step }: &Owned, reads: &Reads) -> Value {
    Object::new(|name| reads.inner("policy", name))
        .with("name", || text(name))
        .with("owner", || text(owner))
        .with("stage", || text(stage))
        .with("incident", || (*incident).into())
        .with("step", || (*step).into())
        .into()
}

fn of_alert(Alert { name, labels, since }: &Alert, reads: &Reads) -> Value {
    let labels = labels.iter().map(|(name, value)| (text(name), text(value)));
    Object::new(|name| reads.inner("alert", name))
        .with("name", || text(name))
        .with("labels", || labels.collect::<BTreeMap<_, _>>().into())
        .with("since", || number(*since))
        .into()
}

fn deed(Deed { word, parameters, text: words, is_reversible, replicas }: &Deed, reads: &Reads) -> Value {
    Object::new(|name| reads.inner("action", name))
        .with("word", || text(word))
        .with("parameters", || parameters.clone().into())
        .with("text", || text(words))
        .with("is_reversible", || (*is_reversible).into())
        .with("replicas", || (*replicas).into())
        .into()
}

fn of_target(Target { kind, name, services, zones, tier, owners, replicas }: &Target, reads: &Reads) -> Value {
    Object::new(|name| reads.inner("target", name))
        .with("kind", || text(kind))
        .with("name", || text(name))
        .with("services", || texts(services))
        .with("zones", || texts(zones))
        .with("tier", || text(tier))
        .with("owners", || texts(owners))
        .with("replicas", || (*replicas).into())
        .into()
}

fn guard(Asked { verdict, figures }: &Asked) -> Value {
    Object::new(|_| true).with("verdict", || text(verdict)).with("figures", || text(figures)).into()
}

fn under_way(InFlight { policy, incident, action, target, is_running }: &InFlight) -> Value {
    Object::new(|_| true)
        .with("policy", || text(policy))
        .with("incident", || (*incident).into())
        .with("action", || text(action))
        .with("target", || text(target))
        .with("is_running", || (*is_running).into())
        .into()
}

fn of_time(Time { rfc3339, epoch, elapsed }: &Time, reads: &Reads) -> Value {
    Object::new(|name| reads.inner("time", name))
        .with("rfc3339", || text(rfc3339))
        .with("epoch", || number(Some(*epoch)))
        .with("elapsed", || number(Some(*elapsed)))
        .into()
}
