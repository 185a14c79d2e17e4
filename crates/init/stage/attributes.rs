//! Attributes of a mount, `MOUNT_ATTR_*` of mount_setattr(2).

use crate::op::MountAttr;
use crate::report::Part;
use crate::step::{At, Done};
use crate::sys::{self, Fd};
use crate::sys_mount;

/// `MOUNT_ATTR_RDONLY`.
pub const READONLY: u64 = 1;

/// Changes them on a mount, or on all of a tree.
pub fn apply(tree: Fd, set: MountAttr, clear: MountAttr, recursive: bool) -> Done {
    const ATIME: u64 = 0x70;
    if set.0 | clear.0 == 0 {
        return Ok(());
    }
    // The kinds of access time exclude one another: setting one means clearing the group.
    let clear = if (set.0 | clear.0) & ATIME != 0 {
        clear.0 | ATIME
    } else {
        clear.0
    };
    match sys_mount::mount_setattr(tree, recursive, set.0, clear, 0) {
        // What the host has set is locked in a user namespace: it stays, and so the mount is stricter than asked for.
        Err(sys::EPERM) if clear & !ATIME != 0 => {
            let clear = if set.0 & ATIME != 0 { ATIME } else { 0 };
            sys_mount::mount_setattr(tree, recursive, set.0, clear, 0)
        }
        other => other,
    }
    .at(Part::MountSetattr)
    .map(drop)
}
