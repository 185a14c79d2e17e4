//! Propagation of mounts: what the root and bind mounts begin with, by linux.rootfsPropagation (mount_namespaces(7)).

use std::ffi::CStr;

use oci_runtime_init::op::{Op, Propagation, Slot};

use crate::mount_options;
use crate::plan::Plan;
use crate::spec::Linux;

/// Changes go to the mounts below too.
pub(super) const MS_REC: u64 = libc::MS_REC;

/// What the inherited mounts and the root become at first. Shared is no choice here, pivot_root(2) refuses it.
fn root_propagation(linux: &Linux<'_>) -> Propagation {
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

const ORIGIN: &str = "/linux/rootfsPropagation";

/// The steps that cut the inherited mounts off and put the container's root over them.
pub(super) fn attach_root(plan: &mut Plan, linux: &Linux<'_>, slot: Slot, place: &CStr) {
    let propagation = root_propagation(linux);
    plan.inner(ORIGIN, Op::Propagation { flags: propagation });
    let path = place;
    plan.inner(
        "/root/path",
        Op::AttachRoot {
            slot,
            path,
            propagation,
        },
    );
}

/// The step that gives the root what the configuration asks for, once the host's is out of reach and nothing more is to be bound: what
/// is unbindable cannot be.
pub(super) fn finish_root(plan: &mut Plan, linux: &Linux<'_>) {
    if let Some(asked) = mount_options::propagation(&linux.rootfs_propagation) {
        let flags = Propagation(asked.flag | if asked.recursive { MS_REC } else { 0 });
        plan.inner(ORIGIN, Op::RootPropagation { flags });
    }
}
