//! Checks of the list of namespaces and of the clocks of a new time namespace.

use super::Fault;
use super::problem::Problems;
use crate::pointer::at;
use crate::spec::{Linux, Spec};

/// The names of namespaces (config-linux.md, "Namespaces").
const NAMESPACES: &[&str] = &[
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
];

/// The clocks that a time namespace can shift, see time_namespaces(7).
const CLOCKS: &[&str] = &["boottime", "monotonic"];

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    let linux = &spec.linux;
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let (kind, path) = (&*namespace.kind, &*namespace.path);
        if !NAMESPACES.contains(&kind) {
            problems.error(
                at!["linux", "namespaces", index, "type"],
                Fault::UnknownNamespace(kind.into()),
            );
        }
        if linux.namespaces[..index]
            .iter()
            .any(|other| other.kind == *kind)
        {
            problems.error(
                at!["linux", "namespaces", index, "type"],
                Fault::DuplicateNamespace(kind.into()),
            );
        }
        if !path.is_empty() && !path.starts_with('/') {
            problems.error(
                at!["linux", "namespaces", index, "path"],
                Fault::RelativePath(path.into()),
            );
        }
        problems.no_nul(at!["linux", "namespaces", index, "path"], path);
    }
    if linux.namespace("mount").is_none() {
        problems.error(at!["linux", "namespaces"], Fault::NoMountNamespace);
    }
    if !linux.time_offsets.is_empty() {
        time_offsets(problems, linux);
    }
}

/// Offsets can only be written before the first process is in the namespace, so joining one will not do.
fn time_offsets(problems: &mut Problems, linux: &Linux<'_>) {
    if linux
        .namespace("time")
        .is_none_or(|namespace| !namespace.path.is_empty())
    {
        problems.error(at!["linux", "timeOffsets"], Fault::OffsetsWithoutNamespace);
    }
    for (clock, offset) in &linux.time_offsets {
        if !CLOCKS.contains(&&**clock) {
            problems.error(
                at!["linux", "timeOffsets", &**clock],
                Fault::UnknownClock(clock.to_string()),
            );
        }
        if offset.nanosecs >= 1_000_000_000 {
            let place = at!["linux", "timeOffsets", &**clock, "nanosecs"];
            problems.error(place, Fault::Nanoseconds(offset.nanosecs));
        }
    }
}
