//! Trees of the caller's for a container with a user namespace of its own.
//!
//! The kernel locks the flags of mounts, and mounts below mounts, when a less privileged mount namespace is copied from
//! the one they are in. A tree that is handed over detached escapes that: the container's root could remount it
//! writable or uncover what the caller has covered. So the outer lane attaches the trees in a mount namespace of its own,
//! on a tmpfs that is its working directory; the inner lane is born with a locked copy of it, as its working directory.

use crate::caller;
use crate::filesystem::{self, New};
use crate::op::{MountAttr, Slot};
use crate::report::Part;
use crate::stat;
use crate::step::{At, Done, Init};
use crate::sys::{self, Fd};
use crate::sys_mount;
use crate::wire::List;
use core::ffi::CStr;

/// Attaches the trees of `slots` below a new working directory, named by their numbers. It covers `path`.
pub fn lock(init: &mut Init, path: &CStr, slots: List<'static, Slot>) -> Done {
    const CLONE_NEWNS: u64 = 0x2_0000;
    const MS_REC_SLAVE: u64 = 0x8_4000;
    sys::unshare(CLONE_NEWNS).at(Part::Unshare)?;
    sys_mount::mount_propagation(c"/", MS_REC_SLAVE).at(Part::Mount)?;
    let directory = New {
        fstype: c"tmpfs",
        source: c"tmpfs",
        options: List::Items(&[(c"mode", c"0755")]),
        attributes: MountAttr(0),
    };
    let directory = filesystem::create(&directory, None)?;
    let flags = sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    let place = sys::open(path, flags).at(Part::Open)?;
    sys_mount::move_mount(directory, place).at(Part::MoveMount)?;
    sys::close(place);
    sys::fchdir(directory).at(Part::Chdir)?;
    slots.iter().try_for_each(|slot| attach(init, slot))
}

fn attach(init: &mut Init, slot: Slot) -> Done {
    let tree = init.fd(slot)?;
    let mut name = [0; 6];
    let name = number(slot, &mut name);
    let kind = stat::stat(tree, c"").at(Part::Stat)?.mode & sys::S_IFMT;
    if kind == sys::S_IFDIR {
        sys::mkdirat(sys::AT_FDCWD, name, 0o755).at(Part::Mkdirat)?;
    } else {
        sys::mknodat(sys::AT_FDCWD, name, sys::S_IFREG | 0o644, 0).at(Part::Mknodat)?;
    }
    let strict = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS;
    let place = sys::openat2(sys::AT_FDCWD, name, sys::O_PATH, strict).at(Part::Openat2)?;
    sys_mount::move_mount(tree, place).at(Part::MoveMount)?;
    sys::close(place);
    sys::close(tree);
    Ok(())
}

/// Clones them out of our copy of that directory.
pub fn take(init: &mut Init, slots: List<'static, Slot>) -> Done {
    for slot in slots.iter() {
        let mut name = [0; 6];
        // The tree may be a symbolic link that is meant itself.
        let flags = sys_mount::OPEN_TREE_CLONE | sys::AT_RECURSIVE | sys::AT_SYMLINK_NOFOLLOW;
        let tree: Fd = sys_mount::open_tree(sys::AT_FDCWD, number(slot, &mut name), flags)
            .at(Part::OpenTree)?;
        caller::put(init, slot, tree)?;
    }
    // Hooks have no business in there.
    sys::chdir(c"/").at(Part::Chdir).map(drop)
}

fn number(slot: Slot, buffer: &mut [u8; 6]) -> &CStr {
    let mut digits = [0; 10];
    let digits = caller::decimal(u32::from(slot.0), &mut digits);
    buffer[..digits.len()].copy_from_slice(digits);
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}
