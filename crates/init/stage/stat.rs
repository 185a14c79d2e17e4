//! What a file is, by statx(2), and what it is on, by fstatfs(2).

use crate::report::Part;
use crate::step::{At, Done};
use crate::sys::{AT_EMPTY_PATH, Errno, Fd, S_IFMT, call, nr};
use core::ffi::CStr;

/// What statx(2) says of a file, as far as it is needed here.
#[derive(Clone, Copy)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds of the last access, then of the last change.
    pub times: [u64; 4],
    pub major: u32,
    pub minor: u32,
    pub size: u64,
}

#[repr(C)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    rdev_major: u32,
    rdev_minor: u32,
    rest: [u64; 15],
}

const _: () = assert!(size_of::<Statx>() == 256);

/// stat of an fd (with an empty path) or of a path from `directory`.
pub fn stat(directory: Fd, path: &CStr) -> Result<Stat, Errno> {
    let mut found = core::mem::MaybeUninit::<Statx>::zeroed();
    call!(
        nr::STATX,
        directory,
        path.as_ptr(),
        AT_EMPTY_PATH,
        0x7ff,
        found.as_mut_ptr()
    )?;
    // SAFETY: all zeroes is a valid Statx, and the kernel has filled it since.
    let found = unsafe { found.assume_init() };
    // struct statx_timestamp: seconds, nanoseconds in half of what follows.
    let nanoseconds = |at: usize| found.times[at] & 0xffff_ffff;
    Ok(Stat {
        mode: u32::from(found.mode),
        uid: found.uid,
        gid: found.gid,
        times: [
            found.times[0],
            nanoseconds(1),
            found.times[6],
            nanoseconds(7),
        ],
        major: found.rdev_major,
        minor: found.rdev_minor,
        size: found.size,
    })
}

/// The kind of the file that an fd is, `S_IF*`.
pub fn kind(fd: Fd) -> Done<u32> {
    Ok(stat(fd, c"").at(Part::Stat)?.mode & S_IFMT)
}

/// The magic number of the file system that an fd is on.
pub fn fstatfs_magic(fd: Fd) -> Result<u64, Errno> {
    Ok(fstatfs(fd)?[0])
}

/// Whether nothing can be executed on the mount that an fd is on.
pub fn is_noexec(fd: Fd) -> bool {
    const ST_NOEXEC: u64 = 8;
    // f_flags is the eleventh word of struct statfs.
    fstatfs(fd).is_ok_and(|found| found[10] & ST_NOEXEC != 0)
}

fn fstatfs(fd: Fd) -> Result<[u64; 16], Errno> {
    let mut found = [0u64; 16];
    call!(nr::FSTATFS, fd, found.as_mut_ptr())?;
    Ok(found)
}
