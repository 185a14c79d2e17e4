//! Each case is the example of a configuration with a few changes, and the problems they make.

mod empty;
mod execution;
mod hooks;
mod id_maps;
mod intel_rdt;
mod mounts;
mod namespaces;
mod net_devices;
mod paths;
mod process;
mod seccomp;
mod sysctl;
mod version;

use oci_runtime_cgroups::{Layout, Mode};
use serde_json::Value;

use super::{Problem, Severity, check};
use crate::host::{Host, Namespaces, SecurityModules};
use crate::spec::{Spec, parse};

/// A machine that needs none.
fn host() -> Host {
    Host {
        kernel: (6, 1),
        arch: "x86_64",
        cgroups: Layout {
            mode: Mode::V2,
            hierarchies: Vec::new(),
        },
        last_capability: 40,
        euid: 0,
        egid: 0,
        privileged: true,
        may_make_cgroups: true,
        outer_euid: 0,
        initial_user_namespace: true,
        own_namespaces: Namespaces::empty(),
        grantable: u64::MAX,
        modules: SecurityModules::default(),
        resctrl: None,
        kcore: true,
    }
}

/// The example, changed: each pointer gets its value, `null` takes it away.
fn example(changes: &[(&str, Value)]) -> String {
    let mut spec = serde_json::to_value(Spec::example()).unwrap();
    for (pointer, value) in changes {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        match spec
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{parent}"))
        {
            Value::Object(members) => {
                members.insert(member.replace("~1", "/"), value.clone());
            }
            Value::Array(items) if member == "-" => items.push(value.clone()),
            Value::Array(items) => items[member.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no members"),
        }
    }
    spec.to_string()
}

/// Problems as lines: `E /pointer: message` or `W ...`.
fn problems_on(host: &Host, json: &str) -> Vec<String> {
    let line = |problem: &Problem| {
        let letter = if problem.severity == Severity::Error {
            'E'
        } else {
            'W'
        };
        format!("{letter} {problem}")
    };
    check(&parse(json.as_bytes()).unwrap(), host)
        .iter()
        .map(line)
        .collect()
}

/// Changes to the example, and the problems they make.
type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);

fn assert_all(cases: &[Case<'_>]) {
    for (changes, expected) in cases {
        let json = example(changes);
        assert_eq!(problems_on(&host(), &json), *expected, "{changes:?}");
    }
}

#[test]
fn the_example_has_no_problem() {
    assert_all(&[(&[], &[])]);
}

#[test]
fn configurations_of_engines_are_accepted() {
    for json in [
        include_str!("../../spec/fixtures/containerd.json"),
        include_str!("../../spec/fixtures/podman.json"),
        include_str!("../../spec/fixtures/docker.json"),
    ] {
        assert_eq!(problems_on(&host(), json), [""; 0]);
    }
}
