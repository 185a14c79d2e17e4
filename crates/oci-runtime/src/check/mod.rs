//! Judges a configuration before anything is done: a pure function of the [`Spec`] and the [`Host`] that finds all
//! that is wrong, each with its place, rather than the first. What passes can be lowered; what the kernel alone can
//! know, such as whether a path exists, is found out later.

mod fault;
mod id_maps;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod sysctl;
#[cfg(test)]
mod tests;
mod unsupported;

use std::fmt;

pub use self::fault::Fault;
pub use self::sysctl::{NameFault, path as sysctl_path};
use crate::host::Host;
use crate::pointer::{Part, at, pointer};
use crate::spec::{Process, Spec};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the value, or to where a missing one belongs.
    pub pointer: String,
    /// Whether it stops the container.
    pub severity: Severity,
    /// What is wrong.
    pub fault: Fault,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The container can run, but not quite as written.
    Warning,
    /// The container must not be created.
    Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.fault)
    }
}

impl std::error::Error for Problem {}

/// All problems of a configuration, in the order of the specification. The container can be created if none is an
/// [`Severity::Error`].
pub fn check(spec: &Spec<'_>, host: &Host) -> Vec<Problem> {
    let mut problems = Problems::under("");
    version(&mut problems, &spec.oci_version);
    match &spec.process {
        Some(process) => problems.append(process_problems(process, host, "/process")),
        None => problems.error(at!["process"], Fault::Missing),
    }
    paths::check(&mut problems, spec);
    mounts::check(&mut problems, &spec.mounts);
    namespaces::check(&mut problems, spec);
    id_maps::check(&mut problems, spec);
    sysctl::check(&mut problems, spec, host);
    unsupported::check(&mut problems, spec);
    problems.list
}

/// All problems of a process that comes alone, as it does to `exec`; pointers begin at it.
pub fn check_process(process: &Process<'_>, host: &Host) -> Vec<Problem> {
    process_problems(process, host, "").list
}

fn process_problems(process: &Process<'_>, host: &Host, place: &'static str) -> Problems {
    let mut problems = Problems::under(place);
    process::check(&mut problems, process, host);
    unsupported::check_process(&mut problems, process);
    problems
}

/// The specification promises compatibility within version 1, so any 1.x.y will do (spec "ociVersion", semver.org).
fn version(problems: &mut Problems, version: &str) {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u32>> = core.split('.').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        _ if version.is_empty() => problems.error(at!["ociVersion"], Fault::Missing),
        Some([1, _, _]) => {}
        Some([_, _, _]) => problems.error(at!["ociVersion"], Fault::Version(version.into())),
        _ => problems.error(at!["ociVersion"], Fault::NotAVersion(version.into())),
    }
}

/// A list of problems of one part of the document.
struct Problems {
    place: &'static str,
    list: Vec<Problem>,
}

impl Problems {
    fn under(place: &'static str) -> Self {
        Problems {
            place,
            list: Vec::new(),
        }
    }

    fn error(&mut self, place: &[Part<'_>], fault: Fault) {
        self.push(place, Severity::Error, fault);
    }

    fn warning(&mut self, place: &[Part<'_>], fault: Fault) {
        self.push(place, Severity::Warning, fault);
    }

    fn push(&mut self, place: &[Part<'_>], severity: Severity, fault: Fault) {
        let pointer = format!("{}{}", self.place, pointer(place));
        self.list.push(Problem {
            pointer,
            severity,
            fault,
        });
    }

    fn append(&mut self, other: Problems) {
        self.list.extend(other.list);
    }

    /// Complains of a NUL byte, which no text that goes to the kernel can carry.
    fn no_nul(&mut self, place: &[Part<'_>], text: &str) {
        if text.contains('\0') {
            self.error(place, Fault::Nul);
        }
    }
}
