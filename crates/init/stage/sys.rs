//! System calls, each a safe function with the kernel's name; with the architecture's file, the only unsafe code here.
//!
//! File descriptors are plain numbers: `init` keeps them in slots or lets its exit or execve close them.

use core::ffi::CStr;

#[cfg(target_arch = "aarch64")]
#[path = "arch_aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "arch_x86_64.rs"]
mod arch;

pub use arch::{ELF_MACHINE, O_DIRECTORY, O_NOFOLLOW, nr, syscall};

/// A file descriptor.
pub type Fd = i32;
/// The kernel's error number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);
/// What a system call answers.
pub type Answer = Result<usize, Errno>;

pub const EPERM: Errno = Errno(1);
pub const ENOENT: Errno = Errno(2);
pub const EINTR: Errno = Errno(4);
pub const E2BIG: Errno = Errno(7);
pub const EAGAIN: Errno = Errno(11);
pub const ENOEXEC: Errno = Errno(8);
pub const EACCES: Errno = Errno(13);
pub const EEXIST: Errno = Errno(17);
pub const EXDEV: Errno = Errno(18);
pub const ENODEV: Errno = Errno(19);
pub const ENOTDIR: Errno = Errno(20);
pub const EISDIR: Errno = Errno(21);
pub const EINVAL: Errno = Errno(22);
pub const ENOSYS: Errno = Errno(38);
pub const EPIPE: Errno = Errno(32);
pub const ENAMETOOLONG: Errno = Errno(36);
pub const ELOOP: Errno = Errno(40);
pub const EPROTO: Errno = Errno(71);
pub const EOPNOTSUPP: Errno = Errno(95);

pub const AT_FDCWD: Fd = -100;
pub const AT_EMPTY_PATH: u32 = 0x1000;
pub const AT_RECURSIVE: u32 = 0x8000;
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
pub const AT_EACCESS: u32 = 0x200;
pub const O_RDONLY: u64 = 0;
pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_NOCTTY: u64 = 0x100;
pub const O_NONBLOCK: u64 = 0x800;
pub const O_CLOEXEC: u64 = 0x8_0000;
pub const O_PATH: u64 = 0x20_0000;

pub const S_IFMT: u32 = 0o170_000;
pub const S_IFDIR: u32 = 0o040_000;
pub const S_IFCHR: u32 = 0o020_000;
pub const S_IFBLK: u32 = 0o060_000;
pub const S_IFREG: u32 = 0o100_000;
pub const S_IFLNK: u32 = 0o120_000;

/// The kernel's answer, told apart from an errno.
pub fn answer(result: isize) -> Answer {
    if result < 0 {
        Err(Errno(-result as i32))
    } else {
        Ok(result as usize)
    }
}

/// Makes a system call. Its arguments are in registers all the way, and what all calls have in common is there once.
macro_rules! call {
    (@ $number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr $(, 0)*) => {
        // SAFETY: every pointer comes from a reference that lives through the call, with the length of what it points to.
        unsafe { $crate::sys::five($number, $a as usize, $b as usize, $c as usize, $d as usize, $e as usize) }
    };
    (@ $number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr $(, 0)*) => {
        // SAFETY: as above.
        $crate::sys::answer(unsafe {
            $crate::sys::syscall(
                $number,
                [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize, $f as usize],
            )
        })
    };
    ($number:expr $(, $argument:expr)*) => {
        $crate::sys::call!(@ $number $(, $argument)*, 0, 0, 0, 0, 0)
    };
}
pub(crate) use call;

/// A system call of at most five arguments.
///
/// # Safety
/// As of [`syscall`].
#[inline(never)]
pub unsafe fn five(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> Answer {
    // SAFETY: the caller's promise.
    answer(unsafe { syscall(number, [a, b, c, d, e, 0]) })
}

/// The first argument on the initial stack, of up to 16 bytes.
///
/// # Safety
/// `stack` is the stack pointer that the kernel started the program with.
pub unsafe fn first_argument(stack: *const usize) -> Option<&'static [u8]> {
    // SAFETY: there stands argc, then argc pointers to strings with a NUL, which live as long as the program.
    unsafe {
        if *stack < 2 {
            return None;
        }
        let text = *stack.add(2) as *const u8;
        // No strlen below us, and none that the compiler may put in its place.
        let length = (0..16).find(|at| core::ptr::read_volatile(text.add(*at)) == 0)?;
        Some(core::slice::from_raw_parts(text, length))
    }
}

pub fn exit(status: i32) -> ! {
    loop {
        let _ = call!(nr::EXIT_GROUP, status);
    }
}

pub fn read(fd: Fd, into: &mut [u8]) -> Answer {
    retry(|| call!(nr::READ, fd, into.as_mut_ptr(), into.len()))
}

/// Reads at a place in a file.
pub fn pread(fd: Fd, into: &mut [u8], at: u64) -> Answer {
    retry(|| call!(nr::PREAD64, fd, into.as_mut_ptr(), into.len(), at))
}

pub fn write(fd: Fd, bytes: &[u8]) -> Answer {
    retry(|| call!(nr::WRITE, fd, bytes.as_ptr(), bytes.len()))
}

/// Repeats a call that a signal interrupted.
pub fn retry(mut attempt: impl FnMut() -> Answer) -> Answer {
    loop {
        match attempt() {
            Err(EINTR) => {}
            other => return other,
        }
    }
}

pub fn close(fd: Fd) {
    let _ = call!(nr::CLOSE, fd);
}

pub fn close_range(first: u32, last: u32) -> Answer {
    call!(436, first, last, 0)
}

pub fn dup3(from: Fd, to: Fd) -> Answer {
    call!(nr::DUP3, from, to, 0)
}

/// Duplicates to the lowest free number from `least` on, close-on-exec.
pub fn dup_from(fd: Fd, least: u32) -> Result<Fd, Errno> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    call!(nr::FCNTL, fd, F_DUPFD_CLOEXEC, least).map(|new| new as Fd)
}

pub fn set_cloexec(fd: Fd) -> Answer {
    call!(nr::FCNTL, fd, 2, 1)
}

pub fn is_open(fd: Fd) -> bool {
    call!(nr::FCNTL, fd, 1).is_ok()
}

pub fn open(path: &CStr, flags: u64) -> Result<Fd, Errno> {
    call!(nr::OPENAT, AT_FDCWD, path.as_ptr(), flags | O_CLOEXEC, 0).map(|fd| fd as Fd)
}

pub const RESOLVE_NO_XDEV: u64 = 0x01;
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub const RESOLVE_BENEATH: u64 = 0x08;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

pub fn openat2(directory: Fd, path: &CStr, flags: u64, resolve: u64) -> Result<Fd, Errno> {
    let how = [flags | O_CLOEXEC, 0, resolve];
    call!(
        437,
        directory,
        path.as_ptr(),
        how.as_ptr(),
        size_of_val(&how)
    )
    .map(|fd| fd as Fd)
}

pub fn chdir(path: &CStr) -> Answer {
    call!(nr::CHDIR, path.as_ptr())
}

pub fn fchdir(fd: Fd) -> Answer {
    call!(nr::FCHDIR, fd)
}

pub fn getcwd(into: &mut [u8]) -> Answer {
    call!(nr::GETCWD, into.as_mut_ptr(), into.len())
}

pub fn mkdirat(directory: Fd, name: &CStr, mode: u32) -> Answer {
    call!(nr::MKDIRAT, directory, name.as_ptr(), mode)
}

pub fn mknodat(directory: Fd, name: &CStr, mode: u32, device: u64) -> Answer {
    call!(nr::MKNODAT, directory, name.as_ptr(), mode, device)
}

pub fn symlinkat(target: &CStr, directory: Fd, name: &CStr) -> Answer {
    call!(nr::SYMLINKAT, target.as_ptr(), directory, name.as_ptr())
}

pub fn unlinkat(directory: Fd, name: &CStr) -> Answer {
    call!(nr::UNLINKAT, directory, name.as_ptr(), 0)
}

/// Changes the owner of an open file; `u32::MAX` leaves the group.
pub fn fchown(fd: Fd, uid: u32, gid: u32) -> Answer {
    call!(nr::FCHOWNAT, fd, c"".as_ptr(), uid, gid, AT_EMPTY_PATH)
}

pub fn faccess_exec(path: &CStr) -> Answer {
    call!(439, AT_FDCWD, path.as_ptr(), 1, AT_EACCESS)
}

/// clone3(2) without shared memory: 0 in the new process, its pid in the old.
pub fn clone3_parent(namespaces: u64, cgroup: Option<Fd>) -> Answer {
    const CLONE_PARENT: u64 = 0x8000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut arguments = [0u64; 11];
    arguments[0] = namespaces | CLONE_PARENT;
    if let Some(fd) = cgroup {
        arguments[0] |= CLONE_INTO_CGROUP;
        arguments[10] = fd as u64;
    }
    call!(435, arguments.as_ptr(), size_of_val(&arguments))
}

pub fn setns(fd: Fd, namespaces: u64) -> Answer {
    call!(nr::SETNS, fd, namespaces)
}

pub fn unshare(namespaces: u64) -> Answer {
    call!(nr::UNSHARE, namespaces)
}

pub fn setsid() -> Answer {
    call!(nr::SETSID)
}

pub fn keyctl_join_session(name: &CStr) -> Answer {
    call!(nr::KEYCTL, 1, name.as_ptr(), 0, 0, 0)
}

pub fn prctl(option: u32, argument: u64, second: u64) -> Answer {
    call!(nr::PRCTL, option, argument, second, 0, 0)
}

/// Whether others may look into the process's memory and files.
pub fn set_dumpable(on: bool) -> Answer {
    const PR_SET_DUMPABLE: u32 = 4;
    prctl(PR_SET_DUMPABLE, u64::from(on), 0)
}

pub fn set_name(name: &CStr) {
    let _ = call!(nr::PRCTL, 15, name.as_ptr(), 0, 0, 0);
}

pub fn prlimit(resource: u32, soft: u64, hard: u64) -> Answer {
    let limit = [soft, hard];
    call!(nr::PRLIMIT64, 0, resource, limit.as_ptr(), 0)
}

/// The soft and hard limit in force.
pub fn getrlimit(resource: u32) -> Result<[u64; 2], Errno> {
    let mut limit = [0u64; 2];
    call!(nr::PRLIMIT64, 0, resource, 0, limit.as_mut_ptr())?;
    Ok(limit)
}

pub fn sethostname(name: &CStr) -> Answer {
    call!(nr::SETHOSTNAME, name.as_ptr(), name.count_bytes())
}

pub fn setdomainname(name: &CStr) -> Answer {
    call!(nr::SETDOMAINNAME, name.as_ptr(), name.count_bytes())
}

/// Sets `count` groups; `groups` are their numbers in the machine's byte order.
pub fn setgroups(count: usize, groups: &[u8]) -> Answer {
    call!(nr::SETGROUPS, count, groups.as_ptr())
}

pub fn getgroups(into: &mut [u32]) -> Answer {
    call!(nr::GETGROUPS, into.len(), into.as_mut_ptr())
}

pub fn setresuid(uid: u32) -> Answer {
    call!(nr::SETRESUID, uid, uid, uid)
}

pub fn setresgid(gid: u32) -> Answer {
    call!(nr::SETRESGID, gid, gid, gid)
}

/// Real, effective and saved user id.
pub fn getresuid() -> Result<[u32; 3], Errno> {
    let mut ids = [0u32; 3];
    let at = ids.as_mut_ptr();
    call!(nr::GETRESUID, at, at.wrapping_add(1), at.wrapping_add(2))?;
    Ok(ids)
}

/// Real, effective and saved group id.
pub fn getresgid() -> Result<[u32; 3], Errno> {
    let mut ids = [0u32; 3];
    let at = ids.as_mut_ptr();
    call!(nr::GETRESGID, at, at.wrapping_add(1), at.wrapping_add(2))?;
    Ok(ids)
}

const CAP_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Effective, permitted, inheritable.
pub fn capget() -> Result<[u64; 3], Errno> {
    let mut header = CAP_HEADER;
    let mut data = [0u32; 6];
    call!(nr::CAPGET, header.as_mut_ptr(), data.as_mut_ptr())?;
    let set = |index: usize| u64::from(data[index]) | u64::from(data[index + 3]) << 32;
    Ok([set(0), set(1), set(2)])
}

/// Sets effective, permitted, inheritable.
pub fn capset(sets: [u64; 3]) -> Answer {
    let mut header = CAP_HEADER;
    let low = sets.map(|set| set as u32);
    let high = sets.map(|set| (set >> 32) as u32);
    let data = [low[0], low[1], low[2], high[0], high[1], high[2]];
    call!(nr::CAPSET, header.as_mut_ptr(), data.as_ptr())
}

pub fn umask(mask: u32) {
    let _ = call!(nr::UMASK, mask);
}

/// Installs a filter: `program` is an array of 8-byte `struct sock_filter`.
pub fn seccomp_filter(program: &[u8], flags: u32) -> Answer {
    #[repr(C)]
    struct SockFprog {
        length: u16,
        filter: *const u8,
    }
    let length = u16::try_from(program.len() / 8).map_err(|_| EINVAL)?;
    let fprog = SockFprog {
        length,
        filter: program.as_ptr(),
    };
    call!(nr::SECCOMP, 1, flags, &raw const fprog)
}

/// Sets every signal to its default action and unblocks all.
pub fn reset_signals() {
    let default = [0u64; 4];
    for signal in 1..=64 {
        let _ = call!(nr::RT_SIGACTION, signal, default.as_ptr(), 0, 8);
    }
    let _ = call!(nr::RT_SIGPROCMASK, 2, default.as_ptr(), 0, 8);
}

/// Maps a whole file read-only, for as long as the program lives.
pub fn map_file(fd: Fd, size: usize) -> Result<&'static [u8], Errno> {
    let address = call!(nr::MMAP, 0, size, 1, 2, fd, 0)?;
    // SAFETY: the mapping has `size` readable bytes, is never unmapped, and the file is sealed against writing and shrinking.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, size) })
}

/// Zeroed memory for `count` numbers, for as long as the program lives.
pub fn words(count: usize) -> Result<&'static mut [u32], Errno> {
    let address = call!(
        nr::MMAP,
        0,
        count * size_of::<u32>(),
        3,
        0x22,
        usize::MAX,
        0
    )?;
    // SAFETY: the mapping is fresh, writable, zeroed, page-aligned and never unmapped.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u32, count) })
}

/// Zeroed memory for `count` pointers, for as long as the program lives.
pub fn pointers(count: usize) -> Result<&'static mut [*const u8], Errno> {
    let address = call!(
        nr::MMAP,
        0,
        count * size_of::<usize>(),
        3,
        0x22,
        usize::MAX,
        0
    )?;
    // SAFETY: the mapping is fresh, writable, zeroed (null pointers), page-aligned and never unmapped.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut *const u8, count) })
}

/// execve(2); both arrays end with a null pointer, and every other pointer is a string with a NUL.
pub fn execve(path: &CStr, args: &'static [*const u8], env: &'static [*const u8]) -> Errno {
    match call!(nr::EXECVE, path.as_ptr(), args.as_ptr(), env.as_ptr()) {
        Ok(_) => ENOSYS,
        Err(errno) => errno,
    }
}

pub fn ioctl_int(fd: Fd, request: u32, argument: usize) -> Answer {
    call!(nr::IOCTL, fd, request, argument)
}

pub fn ioctl_bytes(fd: Fd, request: u32, argument: &mut [u8]) -> Answer {
    call!(nr::IOCTL, fd, request, argument.as_mut_ptr())
}

/// A socket of a family (`AF_*`) and a type (`SOCK_*`), close-on-exec.
pub fn socket(family: i32, kind: i32) -> Result<Fd, Errno> {
    const SOCK_CLOEXEC: i32 = 0x8_0000;
    call!(nr::SOCKET, family, kind | SOCK_CLOEXEC, 0).map(|fd| fd as Fd)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic() -> u64 {
    let mut time = [0u64; 2];
    let _ = call!(nr::CLOCK_GETTIME, 1, time.as_mut_ptr());
    time[0] * 1_000_000_000 + time[1]
}
