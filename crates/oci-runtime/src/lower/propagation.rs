//! Propagation of mounts: what the root and bind mounts begin with, by linux.rootfsPropagation (mount_namespaces(7)).

use oci_runtime_init::op::Propagation;

use crate::spec::Linux;

/// Changes go to the mounts below too.
pub(super) const MS_REC: u64 = libc::MS_REC;

/// What the inherited mounts and the root become at first. Shared is no choice here, pivot_root(2) refuses it.
pub(super) fn root_propagation(linux: &Linux<'_>) -> Propagation {
    match &*linux.rootfs_propagation {
        "private" | "rprivate" => Propagation(libc::MS_PRIVATE | MS_REC),
        _ => Propagation(libc::MS_SLAVE | MS_REC),
    }
}

/// What a bind mount's tree becomes where the configuration does not say; `None` leaves it with its peers.
pub(super) fn bind_propagation(linux: &Linux<'_>) -> Option<Propagation> {
    match &*linux.rootfs_propagation {
        "shared" | "rshared" => None,
        _ => Some(root_propagation(linux)),
    }
}
