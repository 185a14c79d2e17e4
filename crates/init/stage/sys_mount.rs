//! System calls on mounts: trees, new file systems, attributes, propagation.

use crate::sys::{AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Answer, Errno, Fd, O_CLOEXEC, call, nr};
use core::ffi::CStr;

pub const OPEN_TREE_CLONE: u32 = 1;

pub fn open_tree(directory: Fd, path: &CStr, flags: u32) -> Result<Fd, Errno> {
    call!(428, directory, path.as_ptr(), flags | O_CLOEXEC as u32).map(|fd| fd as Fd)
}

/// [`open_tree`], with a change of propagation for all that is cloned (Linux 6.15).
pub fn open_tree_attr(path: &CStr, flags: u32, propagation: u64) -> Result<Fd, Errno> {
    let attributes = [0, 0, propagation & !MS_REC, 0];
    call!(
        467,
        AT_FDCWD,
        path.as_ptr(),
        flags | O_CLOEXEC as u32,
        attributes.as_ptr(),
        size_of_val(&attributes)
    )
    .map(|fd| fd as Fd)
}

/// For [`mount_propagation`]: the mounts below too.
pub const MS_REC: u64 = 0x4000;

/// Attaches the tree `from` on the directory or file `to`, both by fd; `AT_FDCWD` stands for `/`.
pub fn move_mount(from: Fd, to: Fd) -> Answer {
    move_mount_to(from, to, if to == AT_FDCWD { c"/" } else { c"" })
}

/// Attaches it on a name in the directory `to`. A symbolic link there is not followed.
pub fn move_mount_to(from: Fd, to: Fd, name: &CStr) -> Answer {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    let flags = if name.is_empty() {
        F_EMPTY_PATH | T_EMPTY_PATH
    } else {
        F_EMPTY_PATH
    };
    call!(429, from, c"".as_ptr(), to, name.as_ptr(), flags)
}

pub fn mount_setattr(fd: Fd, recursive: bool, set: u64, clear: u64, propagation: u64) -> Answer {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let attributes = [set, clear, propagation, 0];
    call!(
        442,
        fd,
        c"".as_ptr(),
        flags,
        attributes.as_ptr(),
        size_of_val(&attributes)
    )
}

pub fn fsopen(fstype: &CStr) -> Result<Fd, Errno> {
    call!(430, fstype.as_ptr(), 1).map(|fd| fd as Fd)
}

pub fn fsconfig_flag(fd: Fd, key: &CStr) -> Answer {
    call!(431, fd, 0, key.as_ptr(), 0, 0)
}

pub fn fsconfig_string(fd: Fd, key: &CStr, value: &CStr) -> Answer {
    call!(431, fd, 1, key.as_ptr(), value.as_ptr(), 0)
}

pub fn fsconfig_create(fd: Fd) -> Answer {
    call!(431, fd, 6, 0, 0, 0)
}

pub fn fsmount(fd: Fd, attributes: u64) -> Result<Fd, Errno> {
    call!(432, fd, 1, attributes).map(|fd| fd as Fd)
}

/// Changes the propagation of what is mounted at `path`.
pub fn mount_propagation(path: &CStr, flags: u64) -> Answer {
    call!(nr::MOUNT, 0, path.as_ptr(), 0, flags, 0)
}

/// Detaches what is mounted at `path`, with all below it.
pub fn umount_detach(path: &CStr) -> Answer {
    call!(nr::UMOUNT2, path.as_ptr(), 2)
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Answer {
    call!(nr::PIVOT_ROOT, new.as_ptr(), old.as_ptr())
}
