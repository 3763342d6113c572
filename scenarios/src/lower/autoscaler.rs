//! Autoscalers with every default filled in.

use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{
    AutoscalerBehaviour, AutoscalerSpec, MetricTarget, PolicySelect, ScalingPolicy, ScalingRules, ScalingStep, Tolerance,
};

use crate::defaults;
use crate::document::autoscaler::{AutoscalerDocument, RulesDocument, SELECTS};
use crate::document::service::ServiceDocument;
use crate::lower::lifecycle::{request_memory, request_millicores};
use crate::lower::or;
use crate::problem;

/// Lowers the autoscaler of a service, if it has one.
pub fn lower(reader: &mut Reader, service: &ServiceDocument) -> Option<Box<AutoscalerSpec>> {
    let said = service.autoscaler.as_ref()?;
    let metrics = lower_metrics(reader, service, said);
    let said = &said.value;
    let behaviour = (said.scale_up.is_some() || said.scale_down.is_some()).then(|| AutoscalerBehaviour {
        up: lower_rules(said.scale_up.as_ref(), "scale_up", &documented(true)),
        down: lower_rules(said.scale_down.as_ref(), "scale_down", &documented(false)),
    });
    Some(Box::new(AutoscalerSpec {
        min: or(said.min.as_ref(), || defaults::count("autoscaler.min")),
        // Without a `max` the file is refused already.
        max: or(said.max.as_ref(), || defaults::count("autoscaler.min")),
        metrics,
        tolerance: or(said.tolerance.as_ref(), || Tolerance::Current),
        behaviour,
        sync: or(said.sync.as_ref(), || defaults::span("autoscaler.sync")),
        resolution: or(said.resolution.as_ref(), || defaults::span("autoscaler.resolution")),
        cpu_initialization: defaults::span("autoscaler.cpu_initialization"),
        initial_readiness: defaults::span("autoscaler.initial_readiness"),
    }))
}

fn lower_metrics(reader: &mut Reader, service: &ServiceDocument, autoscaler: &Located<AutoscalerDocument>) -> Vec<MetricTarget> {
    let said = &autoscaler.value;
    let mut metrics = Vec::new();
    let nothing_said = said.cpu.is_none() && said.memory.is_none() && said.requests.is_none();
    let default_percent =
        || defaults::text("autoscaler.cpu").trim_end_matches('%').parse().expect("defaults are shares where they should be");
    let percent = said.cpu.as_ref().map(|percent| percent.value).or_else(|| nothing_said.then(default_percent));
    if let Some(percent) = percent {
        match request_millicores(service) {
            Some(request_millicores) => metrics.push(MetricTarget::Cpu { request_millicores, percent }),
            None => {
                let place = said.cpu.as_ref().map_or(&autoscaler.place, |percent| &percent.place);
                let fault = format!("nothing says how much CPU a replica of `{}` asks for, so there is no share of it", service.name.value);
                reader.problem(problem::impossible(place, &fault, "add `cpu_request: 0.5` to the service, or `cores`, which stand for it"));
            }
        }
    }
    if let Some(percent) = &said.memory {
        match request_memory(service).filter(|request| request.get() > 0) {
            Some(request) => metrics.push(MetricTarget::Memory { request, percent: percent.value }),
            None => {
                let fault =
                    format!("nothing says how much memory a replica of `{}` asks for, so there is no share of it", service.name.value);
                let remedy = "add `request: 512MiB` to its `memory`, or `limit`, which stands for it";
                reader.problem(problem::impossible(&percent.place, &fault, remedy));
            }
        }
    }
    if let Some(rate) = &said.requests {
        metrics.push(MetricTarget::Requests { per_replica_milli: ((rate.value.get() * 1e3).round() as u64).max(1) });
    }
    metrics
}

/// What Kubernetes documents for a direction of which a `behavior` says nothing.
fn documented(up: bool) -> Vec<ScalingPolicy> {
    let every = |step| ScalingPolicy { step, period: Span::from_seconds(15) };
    let all = every(ScalingStep::Percent(100));
    if up { vec![all, every(ScalingStep::Replicas(4))] } else { vec![all] }
}

fn selected(word: &str) -> PolicySelect {
    let known = SELECTS.iter().find(|(known, _)| *known == word);
    known.expect("defaults are choices where they should be").1
}

fn lower_rules(said: Option<&Located<RulesDocument>>, direction: &str, policies: &[ScalingPolicy]) -> ScalingRules {
    let nothing = RulesDocument::default();
    let said = said.map_or(&nothing, |said| &said.value);
    ScalingRules {
        window: or(said.window.as_ref(), || defaults::span(&format!("{direction}.window"))),
        policies: said.policies.as_ref().map_or_else(|| policies.to_vec(), |policies| policies.value.clone()),
        select: or(said.select.as_ref(), || selected(defaults::text(&format!("{direction}.select")))),
    }
}
