//! System calls for what few steps do: reading a directory tree and copying it, superblocks that exist, id maps of mounts.

use crate::sys::{AT_EMPTY_PATH, AT_RECURSIVE, Answer, Errno, Fd, call, nr};
use core::ffi::CStr;

/// Fills `into` with `struct linux_dirent64`; 0 at the end of the directory.
pub fn getdents64(directory: Fd, into: &mut [u8]) -> Answer {
    call!(nr::GETDENTS64, directory, into.as_mut_ptr(), into.len())
}

/// Goes on reading a directory after the entry that has this `d_off`.
pub fn resume_after(directory: Fd, offset: u64) -> Answer {
    const SEEK_SET: usize = 0;
    call!(nr::LSEEK, directory, offset, SEEK_SET)
}

/// The text of a symbolic link in `directory`, or of the link that the fd itself is where `name` is empty.
pub fn readlinkat(directory: Fd, name: &CStr, into: &mut [u8]) -> Answer {
    call!(
        nr::READLINKAT,
        directory,
        name.as_ptr(),
        into.as_mut_ptr(),
        into.len()
    )
}

/// Makes a file that must not be there yet, without any permission, and opens it for writing.
pub fn create_new(directory: Fd, name: &CStr) -> Result<Fd, Errno> {
    const O_WRONLY_CREAT_EXCL_CLOEXEC: u64 = 0x8_00c1;
    call!(
        nr::OPENAT,
        directory,
        name.as_ptr(),
        O_WRONLY_CREAT_EXCL_CLOEXEC,
        0
    )
    .map(|fd| fd as Fd)
}

/// Copies from where `from` is read to where `to` is written; 0 at the end.
pub fn sendfile(to: Fd, from: Fd) -> Answer {
    const MOST: usize = 0x4000_0000;
    call!(nr::SENDFILE, to, from, 0, MOST)
}

pub fn fchmod(fd: Fd, mode: u32) -> Answer {
    call!(nr::FCHMOD, fd, mode)
}

/// Sets the times of what `fd` is, a symbolic link included: seconds and nanoseconds of access, then of change.
pub fn set_times(fd: Fd, times: &[u64; 4]) -> Answer {
    call!(
        nr::UTIMENSAT,
        fd,
        c"".as_ptr(),
        times.as_ptr(),
        AT_EMPTY_PATH
    )
}

/// Names of extended attributes, each with a NUL.
pub fn flistxattr(fd: Fd, into: &mut [u8]) -> Answer {
    call!(nr::FLISTXATTR, fd, into.as_mut_ptr(), into.len())
}

pub fn fgetxattr(fd: Fd, name: &CStr, into: &mut [u8]) -> Answer {
    call!(
        nr::FGETXATTR,
        fd,
        name.as_ptr(),
        into.as_mut_ptr(),
        into.len()
    )
}

pub fn fsetxattr(fd: Fd, name: &CStr, value: &[u8]) -> Answer {
    call!(
        nr::FSETXATTR,
        fd,
        name.as_ptr(),
        value.as_ptr(),
        value.len(),
        0
    )
}

/// The superblock of what is mounted at an open path, to be changed.
pub fn fspick(mounted: Fd) -> Result<Fd, Errno> {
    const FSPICK_CLOEXEC: u32 = 1;
    const FSPICK_EMPTY_PATH: u32 = 8;
    let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
    call!(433, mounted, c"".as_ptr(), flags).map(|fd| fd as Fd)
}

pub fn fsconfig_reconfigure(context: Fd) -> Answer {
    const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
    call!(431, context, FSCONFIG_CMD_RECONFIGURE, 0, 0, 0)
}

/// A parameter whose value is an open file.
pub fn fsconfig_fd(context: Fd, key: &CStr, value: Fd) -> Answer {
    const FSCONFIG_SET_FD: u32 = 5;
    call!(431, context, FSCONFIG_SET_FD, key.as_ptr(), 0, value)
}

/// Maps the ids of a detached tree by a user namespace.
pub fn id_map(tree: Fd, namespace: Fd, recursive: bool) -> Answer {
    const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let attributes = [MOUNT_ATTR_IDMAP, 0, 0, namespace as u64];
    call!(
        442,
        tree,
        c"".as_ptr(),
        flags,
        attributes.as_ptr(),
        size_of_val(&attributes)
    )
}
