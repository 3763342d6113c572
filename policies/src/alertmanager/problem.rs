//! What can be wrong with an Alertmanager configuration or a file of silences (FD0700 to FD0729): one constructor a problem.

use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::Span;

/// A matcher that neither notation reads.
pub(super) fn not_a_matcher(place: &Place, message: &str) -> Problem {
    Problem::at("FD0700", place, message.to_owned()).remedy("write `severity=\"critical\"` or `severity=~\"critical|page\"`")
}

/// A name that is none of a label.
pub(super) fn not_a_label(place: &Place, text: &str) -> Problem {
    Problem::at("FD0701", place, format!("`{text}` is not the name of a label")).remedy("use letters, digits and `_`, not a digit first")
}

/// A root that does not take every alert.
pub(super) fn root_restricted(place: &Place, key: &str) -> Problem {
    Problem::at("FD0702", place, format!("the root route has `{key}`"))
        .remedy("move it to a child below `routes:`; the root takes every alert")
}

/// A route to nobody.
pub(super) fn no_such_receiver(place: &Place, name: &str, near: Option<&str>) -> Problem {
    let problem = Problem::at("FD0703", place, format!("no receiver is called `{name}`"));
    problem.remedy(near.map_or_else(|| format!("add `- name: {name}` below `receivers:`"), |near| format!("did you mean `{near}`?")))
}

/// Two of one name.
pub(super) fn twice(place: &Place, what: &str, name: &str) -> Problem {
    Problem::at("FD0704", place, format!("{what} `{name}` stands here a second time")).remedy("rename one of the two")
}

/// A route muted at a time that nobody defines.
pub(super) fn no_such_interval(place: &Place, name: &str, near: Option<&str>) -> Problem {
    let problem = Problem::at("FD0705", place, format!("no time interval is called `{name}`"));
    problem.remedy(near.map_or_else(|| format!("add `- name: {name}` below `time_intervals:`"), |near| format!("did you mean `{near}`?")))
}

/// An interval that would never end.
pub(super) fn zero(place: &Place, key: &str) -> Problem {
    Problem::at("FD0706", place, format!("`{key}` is zero")).remedy("leave it out, or write `5m`")
}

/// `...` beside other labels.
pub(super) fn all_and_some(place: &Place) -> Problem {
    Problem::at("FD0707", place, "`...` means all labels, and others stand beside it").remedy("keep `...`, or the others")
}

/// A range of the calendar that cannot be.
pub(super) fn not_a_range(place: &Place, message: String, example: &str) -> Problem {
    Problem::at("FD0708", place, message).remedy(format!("write {example}"))
}

/// A place of no clock.
pub(super) fn no_such_location(place: &Place, name: &str, own: Option<&str>) -> Problem {
    let remedy = own.map_or_else(|| "write one such as `Europe/Berlin`, or `UTC`".to_owned(), |own| format!("write `{own}`"));
    Problem::at("FD0709", place, format!("`{name}` is no location of the time-zone database")).remedy(remedy)
}

/// An integration that lacks what Alertmanager insists on.
pub(super) fn missing(place: &Place, what: &str, keys: &[&str], global: &[&str]) -> Problem {
    let listed = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
    let mut remedy = format!("add {}", listed(keys));
    if !global.is_empty() {
        remedy = format!("{remedy}, or {} below `global:`", listed(global));
    }
    Problem::at("FD0710", place, format!("{what} has no {}", listed(keys))).remedy(remedy)
}

/// Two keys of which Alertmanager takes one.
pub(super) fn both(place: &Place, what: &str, keys: &[&str]) -> Problem {
    let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
    Problem::at("FD0711", place, format!("{what} has {keys}")).remedy("keep one of them")
}

/// A manifest without a configuration in plain text.
pub(super) fn no_configuration(place: &Place, found: &str) -> Problem {
    Problem::at("FD0712", place, format!("{found} holds no Alertmanager configuration in plain text"))
        .remedy("give the `alertmanager.yml` itself, or a Secret with it below `stringData:`")
}

/// An expression that does not compile.
pub(super) fn not_an_expression(place: &Place, message: &str) -> Problem {
    Problem::at("FD0713", place, message.to_owned()).remedy("correct the expression; it must match the whole value")
}

/// A silence without an end, or one that ends before it starts.
pub(super) fn not_a_stretch(place: &Place) -> Problem {
    Problem::at("FD0714", place, "the silence ends before it starts").remedy("give its end a later time than its begin")
}

/// Silences where nothing is told that they could mute.
pub fn nothing_to_silence(place: &Place) -> Problem {
    Problem::at("FD0726", place, "silences mute what an Alertmanager tells, and none is named")
        .remedy("write `alertmanager: alertmanager.yml` beside it, or give `--alertmanager FILE`")
}

/// A time that is none.
pub(super) fn not_a_time(place: &Place, message: &str) -> Problem {
    Problem::at("FD0715", place, message.to_owned()).remedy("write it as in 2026-01-05T09:00:00Z")
}

/// A silence of everything.
pub(super) fn silences_everything(place: &Place) -> Problem {
    Problem::at("FD0716", place, "the silence matches alerts that have none of its labels, so it would silence everything")
        .remedy("give at least one matcher that an absent label does not satisfy")
}

/// A policy behind a receiver that is not there.
pub(crate) fn no_receiver_to_listen_at(place: &Place, name: &str, near: Option<&str>) -> Problem {
    let remedy = near
        .map_or_else(|| format!("add `- name: {name}` below `receivers:`, or name another here"), |near| format!("did you mean `{near}`?"));
    Problem::at("FD0717", place, format!("the Alertmanager configuration has no receiver `{name}`")).remedy(remedy)
}

/// A policy behind a receiver where there are none.
pub(crate) fn no_receivers(place: &Place, name: &str) -> Problem {
    Problem::at("FD0718", place, format!("the policy listens at the receiver `{name}`, and there is no Alertmanager configuration"))
        .remedy("write `alertmanager: alertmanager.yml` in firedrill.yaml, or give `--alertmanager FILE`")
}

/// An alert that would be over before it fires.
pub(super) fn over_before_it_fires(place: &Place) -> Problem {
    Problem::at("FD0723", place, "the alert is over before it fires").remedy("give its end a later time than its begin")
}

/// A batch of nothing.
pub(super) fn no_alerts(place: &Place) -> Problem {
    Problem::at("FD0724", place, "there is no alert to route").remedy("write `alerts: [{ labels: { alertname: NAME } }]`")
}

/// An alert that is about nothing.
pub(super) fn no_labels(place: &Place) -> Problem {
    Problem::at("FD0725", place, "the alert has no labels").remedy("write `labels: { alertname: NAME }`")
}

/// A batch that lasts so long that routing it would take for ever.
pub(super) fn too_many_flushes(path: &str, flushes: u64, most: u64) -> Problem {
    Problem::in_file("FD0727", path, format!("its groups would be looked at {flushes} times, and {most} is the most"))
        .remedy("make `until` or the last `eval_time` earlier, or `group_interval` longer")
}

/// An expectation at a moment that the batch does not reach.
pub(super) fn after_the_end(place: &Place, eval_time: Span, until: Span) -> Problem {
    Problem::at("FD0728", place, format!("what is expected at {eval_time} comes after the end of the batch, which is at {until}"))
        .remedy("make `until` later, or leave it out")
}

/// Secrets, texts and addresses: nothing is sent from here.
pub(super) fn delivery_ignored(place: &Place, kinds: &str) -> Problem {
    Problem::at("FD0720", place, format!("nothing is sent from here: addresses, secrets and texts of {kinds} have no effect")).as_warning()
}

/// Templates: nothing is written with them.
pub(super) fn templates_ignored(place: &Place, count: usize) -> Problem {
    let templates = if count == 1 { "one template file is".to_owned() } else { format!("{count} template files are") };
    Problem::at("FD0721", place, format!("{templates} not read: messages are compared by their alerts, not by their words")).as_warning()
}

/// The code of [`local_is_utc`], the one warning about what becomes of alerts.
pub(super) const LOCAL_IS_UTC: &str = "FD0722";

/// What Alertmanager reads since it knows names beyond letters, digits and `_`, and refused before.
pub(super) fn newer_name(place: &Place, text: &str) -> Problem {
    Problem::at(
        "FD0729",
        place,
        format!("Alertmanager reads `{text}` from 0.27 on; older ones, and newer in classic mode, refuse the file"),
    )
    .as_warning()
    .remedy("write names with letters, digits and `_` alone, and without quotes, if the alerts have them so")
}

/// The clock of a machine that is not there.
pub(super) fn local_is_utc(place: &Place) -> Problem {
    Problem::at(LOCAL_IS_UTC, place, "`Local` is the clock of the machine that Alertmanager runs on; UTC is taken here")
        .as_warning()
        .remedy("name the location, such as `Europe/Berlin`")
}
