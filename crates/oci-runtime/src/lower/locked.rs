//! Trees of the host in a container with other privileges: they pass through a mount namespace in between, so that the
//! kernel locks them (mount_namespaces(7), "Restrictions on mount namespaces").

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_runtime_init::op::{List, Op, Slot};

use super::namespaces::{self, Namespaces};
use super::text::c;
use crate::error::Result;
use crate::plan::Plan;

/// The step that attaches all trees opened so far in a mount namespace of the outer lane. Answers their slots, none where the
/// container has the caller's user namespace, or joins a mount namespace that exists.
pub(super) fn lock(plan: &mut Plan, namespaces: &Namespaces, place: &Path) -> Result<Vec<Slot>> {
    // A namespace that was entered early has locked copies of all trees.
    if !namespaces.other_user() || namespaces.early || namespaces.new & namespaces::MOUNT == 0 {
        return Ok(Vec::new());
    }
    let slots = plan.trees();
    let path = c("", place.as_os_str().as_bytes())?;
    let slots_list = List::Items(&slots[..]);
    plan.outer(
        namespaces::ORIGIN,
        Op::LockTrees {
            path: &path,
            slots: slots_list,
        },
    );
    Ok(slots)
}

/// The step that takes them out of the copy.
pub(super) fn take(plan: &mut Plan, slots: &[Slot]) {
    if !slots.is_empty() {
        plan.inner(
            namespaces::ORIGIN,
            Op::TakeTrees {
                slots: List::Items(slots),
            },
        );
    }
}
