//! Judges a configuration before anything is done: a pure function of the [`Spec`] and the [`Host`] that finds all
//! that is wrong, each with its place, rather than the first. What passes can be lowered; what the kernel alone can
//! know, such as whether a path exists, is found out later.

mod fault;
mod hooks;
mod id_maps;
mod intel_rdt;
mod labels;
mod memory_policy;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod paths;
mod personality;
mod problem;
mod process;
mod scheduling;
mod seccomp;
mod sysctl;
mod sysctl_name;
#[cfg(test)]
mod tests;
mod version;

pub use self::fault::Fault;
pub use self::hooks::KINDS as HOOK_KINDS;
use self::problem::Problems;
pub use self::problem::{Problem, Severity};
pub use self::sysctl_name::{NameFault, path as sysctl_path};
use crate::host::Host;
use crate::spec::{Process, Spec};

/// All problems of a configuration, in the order of the specification. The container can be created if none is an
/// [`Severity::Error`].
pub fn check(spec: &Spec<'_>, host: &Host) -> Vec<Problem> {
    let mut problems = Problems::under("");
    version::check(&mut problems, &spec.oci_version);
    // Needed by `start` alone (config.md, "Process").
    if let Some(process) = &spec.process {
        problems.append(process_problems(process, host, "/process"));
    }
    paths::check(&mut problems, spec);
    mounts::check(&mut problems, &spec.mounts);
    mount_options::check(&mut problems, spec, host);
    namespaces::check(&mut problems, spec);
    id_maps::check(&mut problems, spec);
    intel_rdt::check(&mut problems, spec, host);
    net_devices::check(&mut problems, spec, host);
    sysctl::check(&mut problems, spec, host);
    personality::check(&mut problems, &spec.linux);
    memory_policy::check(&mut problems, &spec.linux);
    hooks::check(&mut problems, spec);
    seccomp::check(&mut problems, spec);
    problems.list
}

/// All problems of a process that comes alone, as it does to `exec`; pointers begin at it.
pub fn check_process(process: &Process<'_>, host: &Host) -> Vec<Problem> {
    process_problems(process, host, "").list
}

fn process_problems(process: &Process<'_>, host: &Host, place: &'static str) -> Problems {
    let mut problems = Problems::under(place);
    process::check(&mut problems, process, host);
    scheduling::check(&mut problems, process);
    labels::check(&mut problems, process, host);
    problems
}
