//! Check of the version of the specification that the configuration follows.

use super::Fault;
use super::problem::Problems;
use crate::pointer::at;

/// The specification promises compatibility within version 1, so any 1.x.y will do (spec "ociVersion", semver.org).
pub(super) fn check(problems: &mut Problems, version: &str) {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u32>> = core.split('.').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        _ if version.is_empty() => problems.error(at!["ociVersion"], Fault::Missing),
        Some([1, _, _]) => {}
        Some([_, _, _]) => problems.error(at!["ociVersion"], Fault::Version(version.into())),
        _ => problems.error(at!["ociVersion"], Fault::NotAVersion(version.into())),
    }
}
