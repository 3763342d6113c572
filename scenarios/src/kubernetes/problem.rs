//! What can be wrong with manifests, one constructor a problem.

use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::Span;

/// A file that was named as a manifest and holds none.
#[must_use]
pub fn no_manifest(place: &Place) -> Problem {
    Problem::at("FD0930", place, "this is no Kubernetes manifest: `apiVersion` and `kind` do not say what it is")
        .remedy("name files that `kubectl apply` would take")
}

/// A file that is a manifest only after something has filled it in.
#[must_use]
pub fn template(place: &Place) -> Problem {
    Problem::at("FD0931", place, "this is a template and no manifest yet")
        .remedy("save what `helm template CHART` prints, and import that file")
}

/// A quantity that Kubernetes would not read.
#[must_use]
pub fn quantity(place: &Place, what: &str) -> Problem {
    Problem::at("FD0932", place, format!("{what} is no quantity of Kubernetes")).remedy("write it as `500m`, `2`, `256Mi` or `1G`")
}

/// A request that is more than the limit.
#[must_use]
pub fn request_above_limit(place: &Place, (who, what): (&str, &str), request: &str, limit: &str) -> Problem {
    Problem::at("FD0933", place, format!("a {who} asks for {request} of {what}, and may have {limit}"))
        .remedy("Kubernetes refuses this: let the request be no more than the limit")
}

/// The same object twice, as in a base and its overlays.
#[must_use]
pub fn second_time(place: &Place, object: &str, first: &Place) -> Problem {
    let first = format!("{}:{}", first.file().path, first.line());
    Problem::at("FD0934", place, format!("the {object} stands here a second time, after {first}"))
        .remedy("name the files of one environment only; of overlays, save what `kubectl kustomize FOLDER` prints and import that")
}

/// Neither a number nor a percentage.
#[must_use]
pub fn number_or_share(place: &Place, what: &str) -> Problem {
    Problem::at("FD0935", place, format!("{what} is neither a number of pods nor a share of them")).remedy("write it as `1` or `25%`")
}

/// Files of which no service can be made; `first` is what was said of the first workload, if there is one.
#[must_use]
pub fn nothing_that_answers(path: &str, first: Option<&String>) -> Problem {
    let first = first.map_or_else(String::new, |first| format!("; {first}"));
    Problem::in_file("FD0936", path, format!("no workload here can be a service{first}"))
        .remedy("name the files with your Deployments and StatefulSets, and with the Services that lead to them")
}

/// An autoscaler whose bounds cross.
#[must_use]
pub fn more_than_most(place: &Place, min: u32, max: u32) -> Problem {
    Problem::at("FD0937", place, format!("at least {min} replicas, and at most {max}"))
        .remedy("Kubernetes refuses this: let `minReplicas` be no more than `maxReplicas`")
}

/// A scenario refuses what was drafted, of which nobody has seen a line: the whole of it, where `part` is `None`, or what stands of one part.
#[must_use]
pub fn refused(path: &str, part: Option<&str>, problem: &Problem) -> Problem {
    let (what, remedy) = match part {
        Some(part) => (format!("what is said of `{part}` makes no scenario"), "change it there"),
        None => ("what these files say makes no scenario".to_owned(), "import fewer of them, or change them"),
    };
    let refused = Problem::in_file("FD0938", path, format!("{what}: {}", problem.message));
    match &problem.remedy {
        Some(said) => refused.remedy(format!("{remedy}; of a scenario: {said}")),
        None => refused.remedy(remedy),
    }
}

/// A share of pods that may be missing, or must stay, that is more than all of them.
#[must_use]
pub fn more_than_all(place: &Place, what: &str, percent: u32) -> Problem {
    Problem::at("FD0945", place, format!("{what} is {percent}% of the pods, which is more than all"))
        .remedy("Kubernetes refuses this: write at most `100%`")
}

/// A name that the API server does not take; `rule` says what it would.
#[must_use]
pub fn no_name(place: &Place, object: &str, rule: &str) -> Problem {
    Problem::at("FD0946", place, format!("this can be the name of no {object}")).remedy(format!("Kubernetes refuses this: write {rule}"))
}

/// A workload that does not say which pods are its own.
#[must_use]
pub fn no_selector(place: &Place, kind: &str) -> Problem {
    Problem::at("FD0947", place, format!("the `spec` of a {kind} has no `selector`"))
        .remedy("Kubernetes refuses this: add `selector: { matchLabels: … }` with the labels of its template")
}

/// A workload that says that others than its own pods are its own.
#[must_use]
pub fn other_pods(place: &Place, key: &str, value: &str) -> Problem {
    Problem::at("FD0947", place, format!("the selector wants `{key}: {value}`, and the pods of the template have no such label"))
        .remedy("Kubernetes refuses this: let the labels of `template.metadata` be those of the selector")
}

/// A probe that asks in no way, or in several.
#[must_use]
pub fn one_handler(place: &Place, what: &str, handlers: &[&str]) -> Problem {
    let said = if handlers.is_empty() { "nothing to ask".to_owned() } else { handlers.join(" and ") };
    Problem::at("FD0948", place, format!("the {what} has {said}"))
        .remedy("Kubernetes refuses this: write one of `httpGet`, `tcpSocket`, `grpc` and `exec`")
}

/// A probe that wants more than one success and may not.
#[must_use]
pub fn one_success(place: &Place, what: &str) -> Problem {
    Problem::at("FD0948", place, format!("the `successThreshold` of the {what} is not 1"))
        .remedy("Kubernetes refuses this: only a readiness probe may want more than one success")
}

/// A rollout that may begin with nothing.
#[must_use]
pub fn no_way_to_roll(place: &Place) -> Problem {
    Problem::at("FD0949", place, "no pod may be more than wanted, and none may be missing")
        .remedy("Kubernetes refuses this: let `maxSurge` or `maxUnavailable` be above 0")
}

/// A rollout that would be late before its first pod counts.
#[must_use]
pub fn late_at_once(place: &Place, ready: Span, deadline: Span) -> Problem {
    Problem::at("FD0949", place, format!("a pod counts after {ready}, and a rollout may stand for {deadline}"))
        .remedy("Kubernetes refuses this: let `progressDeadlineSeconds`, which is 600 unless it is said, be above `minReadySeconds`")
}

/// A sleep before the end that is longer than there is time for.
#[must_use]
pub fn sleeps_beyond_grace(place: &Place, sleep: Span, grace: Span) -> Problem {
    Problem::at("FD0949", place, format!("it sleeps for {sleep} before it is told to stop, and is killed after {grace}"))
        .remedy("Kubernetes refuses this: let it sleep for no longer than `terminationGracePeriodSeconds`, which is 30 unless it is said")
}

/// A budget that says two things.
#[must_use]
pub fn two_budgets(place: &Place) -> Problem {
    Problem::at("FD0949", place, "a PodDisruptionBudget has both `minAvailable` and `maxUnavailable`")
        .remedy("Kubernetes refuses this: write one of them")
}

/// An aim of nothing.
#[must_use]
pub fn no_aim(place: &Place) -> Problem {
    Problem::at("FD0949", place, "an autoscaler aims at 0").remedy("Kubernetes refuses this: write more than 0")
}

/// A metric of a resource that aims at a share and at a size.
#[must_use]
pub fn two_aims(place: &Place) -> Problem {
    Problem::at("FD0949", place, "a metric has both `averageUtilization` and `averageValue`")
        .remedy("Kubernetes refuses this: write one of them")
}

/// A metric of a resource that aims at neither.
#[must_use]
pub fn no_share_or_size(place: &Place) -> Problem {
    Problem::at("FD0949", place, "a metric of a resource has neither `averageUtilization` nor `averageValue`")
        .remedy("Kubernetes refuses this: write one of them")
}

/// A container that is called as another one of its pod.
#[must_use]
pub fn second_container(place: &Place, name: &str) -> Problem {
    Problem::at("FD0949", place, format!("a second container of the pod is called `{name}`"))
        .remedy("Kubernetes refuses this: let each have a name of its own, those of `initContainers` too")
}

/// An autoscaler that says no bound.
#[must_use]
pub fn no_most(place: &Place) -> Problem {
    Problem::at("FD0104", place, "the `spec` of a HorizontalPodAutoscaler has no `maxReplicas`").remedy("add `maxReplicas:`")
}
