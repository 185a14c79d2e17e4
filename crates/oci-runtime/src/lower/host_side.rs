//! What the outer lane opens on the host's side for the inner one.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_runtime_init::op::{Op, Slot};

use super::text::c;
use crate::error::{Error, LowerProblem, Result};
use crate::plan::Plan;

/// A slot for a step of the outer lane.
pub(super) fn later_slot(plan: &mut Plan, origin: &str) -> Result<Slot> {
    plan.later_slot()
        .ok_or_else(|| Error::lower(origin, LowerProblem::TooManySlots))
}

/// A detached clone of what is at `path` of the host, in a slot.
pub(super) fn open_tree(
    plan: &mut Plan,
    origin: &str,
    path: &Path,
    recursive: bool,
) -> Result<Slot> {
    clone_tree(plan, origin, path, recursive, false)
}

/// [`open_tree`], with `nofollow` of a symbolic link itself where the path ends in one.
pub(super) fn clone_tree(
    plan: &mut Plan,
    origin: &str,
    path: &Path,
    recursive: bool,
    nofollow: bool,
) -> Result<Slot> {
    let slot = later_slot(plan, origin)?;
    let path = c(origin, path.as_os_str().as_bytes())?;
    plan.outer(
        origin.to_owned(),
        Op::OpenTree {
            path: &path,
            recursive,
            nofollow,
            slot,
        },
    );
    Ok(slot)
}
