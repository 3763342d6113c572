//! Drafts of scenarios from Kubernetes manifests: what the files say is taken, and what no file says is assumed and marked.

mod assumption;
mod autoscaler;
mod cluster;
mod field;
mod page;
mod problem;
mod topology;
mod workload;

use firedrill_core::problem::{Place, Problem, SourceFile};
use firedrill_core::words::counted;
use firedrill_core::yaml::{self, Reader};
use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Cluster;

use crate::scenario::read_scenario;

/// A file with manifests.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// The path, for messages and comments.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Whether it was named by itself, so that it must hold manifests; of a folder not every file need.
    pub named: bool,
}

/// A scenario as far as manifests tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The scenario file; [`read_scenario`] takes it.
    pub yaml: String,
    /// How many services it has.
    pub services: u64,
    /// How many of its lines hold a guess.
    pub assumed: u64,
    /// What was not taken, a sentence each, lowercase and without an end.
    pub left_out: Vec<String>,
}

/// Drafts a scenario of this name.
///
/// # Errors
/// Every problem of every file: what is no YAML or no manifest, what Kubernetes would refuse of what is taken,
/// an object that stands in the files twice; or nothing in them can be a service.
pub fn draft(name: &str, files: &[ManifestFile]) -> Result<Draft, Vec<Problem>> {
    let mut cluster = Cluster::default();
    let mut problems = Vec::new();
    for file in files {
        if let Err(faults) = add(&mut cluster, file) {
            problems.extend(faults);
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let topology = topology::topology(&cluster);
    let paths: Vec<&str> = files.iter().map(|file| &*file.path).filter(|path| !cluster.strangers.contains(*path)).collect();
    if topology.parts.is_empty() {
        return Err(vec![problem::nothing_that_answers(files.first().map_or("", |file| &file.path))]);
    }
    let page = page::page(name, &paths, &cluster, &topology);
    // What a scenario refuses of a sound cluster, such as a thousand services and more, is told in its words.
    read_scenario("the draft", &page.text)?;
    let mut left_out: Vec<String> = cluster.others.iter().map(|(kind, names)| kind_left_out(kind, names)).collect();
    left_out.extend(topology.left_out.iter().cloned());
    left_out.extend(page.left_out);
    if !cluster.strangers.is_empty() {
        let names: Vec<&str> = cluster.strangers.iter().map(String::as_str).collect();
        left_out.push(format!("{} of folders with what is no manifest: {}", counted(names.len() as u64, "file"), few(&names)));
    }
    if !cluster.beside.is_empty() {
        let kinds: Vec<String> = cluster.beside.iter().map(|(kind, count)| counted(*count, kind)).collect();
        left_out.push(format!("what says nothing of how a system behaves: {}", kinds.join(", ")));
    }
    Ok(Draft { services: topology.parts.len() as u64, assumed: page.assumed, yaml: page.text, left_out })
}

fn add(cluster: &mut Cluster, file: &ManifestFile) -> Result<(), Vec<Problem>> {
    let documents =
        yaml::parse_many(&file.path, &file.text).map_err(|problems| template(file).map_or(problems, |problem| vec![problem]))?;
    let mut reader = Reader::new();
    for document in &documents {
        cluster.add(&mut reader, document, file.named);
    }
    reader.finish().map_err(|problems| {
        // Two questions about one part find the same fault in it.
        let mut told = BTreeSet::new();
        let key = |problem: &Problem| (problem.place.as_ref().map(|place| place.range().start), problem.message.clone());
        problems.into_iter().filter(|problem| told.insert(key(problem))).collect()
    })
}

/// The problem of a file that is no YAML because something is to be filled in first.
fn template(file: &ManifestFile) -> Option<Problem> {
    let start = file.text.find("{{")?;
    let end = start + file.text[start..].find("}}")? + 2;
    let source = Arc::new(SourceFile { path: file.path.clone(), text: file.text.clone() });
    Some(problem::template(&Place::new(&source, start, end)))
}

fn kind_left_out(kind: &str, names: &[firedrill_core::name::Name]) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    format!("{}: {}", counted(names.len() as u64, kind), few(&names))
}

/// A few of many names.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
