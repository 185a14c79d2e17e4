//! What the outer lane opens on the host's side for the inner one.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_runtime_init::op::{List, MountAttr, Op, Propagation, Slot};

use super::text::c;
use crate::error::{Error, LowerProblem, Result};
use crate::plan::Plan;

/// A slot for a step of the outer lane.
pub(super) fn later_slot(plan: &mut Plan, origin: &str) -> Result<Slot> {
    plan.later_slot()
        .ok_or_else(|| Error::lower(origin, LowerProblem::TooManySlots))
}

/// What is cloned of a tree.
#[derive(Clone, Copy)]
pub(super) struct Clone {
    /// The mounts below it too.
    pub recursive: bool,
    /// A symbolic link itself where the path ends in one.
    pub nofollow: bool,
    /// Whether it is of use to know that it is a directory.
    pub directory: bool,
    /// What becomes of its propagation; 0 leaves it with its peers.
    pub propagation: Propagation,
}

/// A detached clone of the one mount or file at `path` of the host, without peers, in a slot.
pub(super) fn open_one(plan: &mut Plan, origin: &str, path: &Path) -> Result<Slot> {
    let one = Clone {
        recursive: false,
        nofollow: false,
        directory: false,
        propagation: Propagation(libc::MS_PRIVATE),
    };
    open_tree(plan, origin, path, one)
}

/// The step that attaches what [`open_one`] has opened.
pub(super) fn bind_one(plan: &mut Plan, origin: &str, target: &CStr, slot: Slot, set: MountAttr) {
    let none = MountAttr(0);
    plan.inner(
        origin.to_owned(),
        Op::MountBind {
            target,
            slot,
            copy_symlink: false,
            nofollow: false,
            beside_previous: false,
            beside_next: false,
            set,
            clear: none,
            set_recursive: none,
            clear_recursive: none,
            propagation: List::Items(&[]),
        },
    );
}

/// A detached clone of what is at `path` of the host, in a slot.
pub(super) fn open_tree(plan: &mut Plan, origin: &str, path: &Path, clone: Clone) -> Result<Slot> {
    let slot = later_slot(plan, origin)?;
    let mut path = path.as_os_str().as_bytes().to_vec();
    if clone.directory {
        path.push(b'/');
    }
    let path = c(origin, path)?;
    plan.outer(
        origin.to_owned(),
        Op::OpenTree {
            path: &path,
            recursive: clone.recursive,
            nofollow: clone.nofollow,
            directory: clone.directory,
            propagation: clone.propagation,
            slot,
        },
    );
    Ok(slot)
}
