//! `firedrill rehearse-live`: a scenario as a live Prometheus and the webhooks of its Alertmanager.

use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::words::counted;
use serde_json::json;

use super::setting::{Named, Setting, warn};
use crate::cli::{Format, RehearseLiveArgs};
use crate::drill::{Drill, Remembered};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::Output;
use crate::rehearsal::{Delivery, Pace, Poster, Rehearsal, Served, Webhook, serve};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.rehearse-live/1";

/// Plays until it is over, or until somebody interrupts it.
pub fn execute(arguments: &RehearseLiveArgs, output: Output) -> Result<Exit, Failure> {
    let poster = Poster::to(&arguments.webhook, arguments.token_file.clone())?;
    let drill = drill(arguments)?;
    warn(std::iter::once(&drill.rules), output);
    let rehearsal = Rehearsal::of(&drill, arguments.seed);
    let pace = arguments.speed.0.map_or(Pace::Max, Pace::Times);
    let opening = opening(arguments, &rehearsal, pace);
    let ready = |address| {
        output.talk(&format!("a Prometheus listens at http://{address}, and {opening}"));
    };
    let tell = move |webhook: &Webhook, delivery: &Delivery| output.talk(&line(webhook, delivery));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let served = runtime.block_on(serve(rehearsal, (arguments.listen, pace), poster, ready, tell));
    let served = served.map_err(|error| {
        let message = format!("`--listen {}`: {error}", arguments.listen);
        Failure::argument(message, "name an address of this machine and a port that is free; port 0 is any")
    })?;
    match output.format {
        Format::Text => output.data(&conclusion(&served, arguments))?,
        Format::Json => output.data(&document(&served, &drill, arguments))?,
    }
    Ok(if served.lost > 0 { Exit::Broken } else { Exit::Held })
}

fn drill(arguments: &RehearseLiveArgs) -> Result<Drill, Failure> {
    let home = Home::here()?;
    let scenario = std::slice::from_ref(&arguments.scenario);
    let named = Named::with(scenario, &arguments.alerting);
    let mut scenarios = Setting::of(&home, named)?.scenarios;
    // A family may be called like one of its scenarios.
    if let Some(exact) = scenarios.iter().position(|(scenario, _)| *scenario.name == *arguments.scenario) {
        scenarios = vec![scenarios.swap_remove(exact)];
    }
    if scenarios.len() > 1 {
        let names: Vec<&str> = scenarios.iter().map(|(scenario, _)| &*scenario.name).collect();
        let message = format!("`{}` is {} scenarios: {}", arguments.scenario, names.len(), names.join(", "));
        return Err(Failure::argument(message, "name one of them"));
    }
    let (scenario, rules) = scenarios.into_iter().next().expect("a name finds at least one scenario");
    // Nobody acts, so nobody is asked.
    let answer = home.answer::<String>(&[])?;
    Ok(Drill { scenario, rules, answer, stage: Stage::DryRun, past: Remembered::default() })
}

/// What is about to happen.
fn opening(arguments: &RehearseLiveArgs, rehearsal: &Rehearsal, pace: Pace) -> String {
    let length = Span::from_nanos(rehearsal.end().as_nanos());
    let pace = match pace {
        Pace::Times(speed) => {
            let takes = Span::from_seconds_f64(length.as_seconds() / speed);
            format!("{length} of {} begin at {}, {speed} times as fast, for {takes}", rehearsal.name(), rehearsal.start())
        }
        Pace::Max => format!("{length} of {} begin at {}, as fast as webhooks are taken", rehearsal.name(), rehearsal.start()),
    };
    format!("{pace}; webhooks go to {}", arguments.webhook)
}

/// A webhook and what became of it.
fn line(webhook: &Webhook, delivery: &Delivery) -> String {
    let names = |names: &[firedrill_core::name::Name], word: &str| match names {
        [] => None,
        all => Some(format!("{word}: {}", all.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "))),
    };
    let told: Vec<String> = names(&webhook.firing, "firing").into_iter().chain(names(&webhook.resolved, "over")).collect();
    format!("{} {} is told {}; {}", webhook.at, webhook.receiver, told.join("; "), delivery.words())
}

fn conclusion(served: &Served, arguments: &RehearseLiveArgs) -> String {
    let mut text = format!("{} sent and taken", counted(served.taken, "webhook"));
    if served.lost > 0 {
        text += &format!(", {} not taken", served.lost);
    }
    text += &format!(", until {}\n", served.until);
    for (alert, (firing, over)) in &served.alerts {
        text += &format!("  {alert}: told {firing}× to fire, {over}× to be over\n");
    }
    if served.taken == 0 && served.lost == 0 {
        text += "nothing was sent: no rule fires here that its Alertmanager tells anybody of\n";
    }
    if served.lost > 0 {
        text += &format!("hint: does somebody listen at {}? such as `firedrill watch`\n", arguments.webhook);
    }
    text + "look with `firedrill status` and `firedrill audit`"
}

fn document(served: &Served, drill: &Drill, arguments: &RehearseLiveArgs) -> String {
    let alerts: serde_json::Map<String, serde_json::Value> =
        served.alerts.iter().map(|(name, (firing, over))| (name.to_string(), json!({ "firing": firing, "over": over }))).collect();
    let document = json!({
        "schema": SCHEMA, "scenario": drill.scenario.name, "seed": arguments.seed, "taken": served.taken, "lost": served.lost,
        "until": served.until, "alerts": alerts,
    });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}
