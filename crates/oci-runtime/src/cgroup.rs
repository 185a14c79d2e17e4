//! Who makes a container's cgroup, and who is told when it ends.

use log::warn;
use oci_runtime_cgroups::Paths;
use oci_runtime_cgroups::systemd::{self, Unit};

use crate::error::Result;

/// Who makes the cgroup of a new container. Its state remembers that for all later commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// The runtime itself, by the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus: `linux.cgroupsPath` is then `slice:prefix:name`. The system's for root, the user's own for
    /// others.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup, and a configuration that limits something is refused.
    Disabled,
}

/// Removes the directories of a cgroup in which nothing runs, and before that the unit that they are of.
pub(crate) fn remove(paths: &Paths, unit: Option<&Unit>) -> Result<()> {
    if let Some(unit) = unit {
        stop_unit(unit);
    }
    Ok(oci_runtime_cgroups::remove(paths)?)
}

/// A unit without processes ends by itself; to wait for it is to have its name free. Without a bus nobody can be asked, and
/// what counts is whether the directories can be removed.
pub(crate) fn stop_unit(unit: &Unit) {
    if let Err(error) = systemd::stop(unit) {
        warn!("cannot stop the unit {}: {error}", unit.name);
    }
}
