//! The corpus: what engines really send, recorded and scrubbed by `cargo xtask record`. All of it is accepted, and what it
//! becomes is pinned.

use std::fs;
use std::path::PathBuf;

use super::super::exec;
use super::exec::join;
use super::{HYBRID, UNIFIED, create, golden, host, request};
use crate::check::{Severity, check};
use crate::spec::{self, Process};

const PROCESS: &str = ".process.json";

/// Name and text of each record, in the order of names.
fn records() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut names: Vec<String> = fs::read_dir(&directory)
        .expect("the corpus")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into()
        })
        .filter(|name: &String| name.ends_with(".json"))
        .collect();
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(directory.join(&name)).expect("a record");
        (name, text)
    };
    names.into_iter().map(read).collect()
}

fn configurations() -> impl Iterator<Item = (String, String)> {
    let all = records().into_iter();
    all.filter(|(name, _)| !name.ends_with(PROCESS))
        .map(|(name, text)| (name.trim_end_matches(".json").to_owned(), text))
}

#[test]
fn the_corpus_is_not_empty() {
    for engine in [
        "buildah",
        "buildkit",
        "containerd",
        "cri",
        "docker",
        "podman",
    ] {
        assert!(
            configurations().any(|(name, _)| name.starts_with(engine)),
            "{engine}"
        );
    }
}

#[test]
fn golden_plans_of_the_corpus() {
    for (name, json) in configurations() {
        let spec = spec::parse(json.as_bytes()).expect(&name);
        for (layout, suffix) in [(HYBRID, "hybrid"), (UNIFIED, "v2")] {
            let host = host(layout);
            let errors: Vec<String> = check(&spec, &host)
                .into_iter()
                .filter(|problem| problem.severity == Severity::Error)
                .map(|problem| problem.to_string())
                .collect();
            assert_eq!(errors, [""; 0], "{name}");
            let lowered = create(&spec, &host, request(true)).expect(&name);
            golden(&format!("corpus/{name}-{suffix}"), &lowered.plan);
        }
    }
}

/// The process that an engine sends to `exec`, in the container that the same engine makes by default.
#[test]
fn golden_plans_of_the_corpus_s_processes() {
    let all = records();
    for (name, json) in all.iter().filter(|(name, _)| name.ends_with(PROCESS)) {
        let name = name.trim_end_matches(PROCESS);
        let engine = name.split('-').next().unwrap_or_default();
        let of = format!("{engine}-default.json");
        let (_, container) = all.iter().find(|(name, _)| *name == of).expect(&of);
        let spec = spec::parse(container.as_bytes()).expect("it parses");
        let process: Process<'_> = spec::parse_as(json.as_bytes()).expect("it parses");
        let host = host(HYBRID);
        let cgroup =
            oci_runtime_cgroups::resolve(&host.cgroups, None, "golden").expect("it resolves");
        let (plan, _) = exec(&spec, &process, &host, join(&cgroup)).expect("it lowers");
        golden(&format!("corpus/{name}-hybrid"), &plan);
    }
}
