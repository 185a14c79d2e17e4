//! What differs from architecture to architecture, for aarch64: entry, system call, memory functions, numbers.

use core::arch::{asm, naked_asm};

/// `e_machine` of this machine's programs (elf(5)).
pub const ELF_MACHINE: u16 = 183;

/// The entry point: hands the initial stack pointer (argc, argv, envp) to `init_entry`.
///
/// # Safety
/// Called by the kernel only.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "mov x29, xzr",
        "mov x30, xzr",
        "mov x0, sp",
        "bl init_entry",
        "brk #1"
    )
}

/// Makes a system call; a negative result is an errno.
///
/// # Safety
/// As the kernel says for `number`: every pointer must be valid for what the call does with it.
#[inline]
pub unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but x0; memory is the caller's promise.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a[0] => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

/// memcpy of the C runtime, which the compiler may call.
///
/// # Safety
/// `count` bytes are readable at `from`, writable at `to`, and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("cbz {n}, 3f", "2:", "ldrb {b:w}, [{f}], #1", "strb {b:w}, [{t}], #1", "subs {n}, {n}, #1", "b.ne 2b", "3:",
            n = inout(reg) count => _, f = inout(reg) from => _, t = inout(reg) to => _, b = out(reg) _, options(nostack));
    }
    to
}

/// memmove of the C runtime, which the compiler may call.
///
/// # Safety
/// `count` bytes are readable at `from` and writable at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: the caller's promise; forward copying reads each byte before it is overwritten.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: the caller's promise; backward copying does the same where `to` lies inside.
    unsafe {
        asm!("2:", "subs {n}, {n}, #1", "ldrb {b:w}, [{f}, {n}]", "strb {b:w}, [{t}, {n}]", "b.ne 2b",
            n = inout(reg) count => _, f = in(reg) from, t = in(reg) to, b = out(reg) _, options(nostack));
    }
    to
}

/// memset of the C runtime, which the compiler may call.
///
/// # Safety
/// `count` bytes are writable at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("cbz {n}, 3f", "2:", "strb {b:w}, [{t}], #1", "subs {n}, {n}, #1", "b.ne 2b", "3:",
            n = inout(reg) count => _, t = inout(reg) to => _, b = in(reg) byte, options(nostack));
    }
    to
}

/// bcmp of the C runtime, which the compiler may call: 0 where all bytes are the same.
///
/// # Safety
/// `count` bytes are readable at `one` and at `other`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    let differ: u32;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("mov {d:w}, wzr", "cbz {n}, 3f", "2:", "ldrb {d:w}, [{a}], #1", "ldrb {e:w}, [{b}], #1",
            "subs {d:w}, {d:w}, {e:w}", "b.ne 3f", "subs {n}, {n}, #1", "b.ne 2b", "3:",
            n = inout(reg) count => _, a = inout(reg) one => _, b = inout(reg) other => _, d = out(reg) differ, e = out(reg) _,
            options(nostack, readonly));
    }
    differ.cast_signed()
}

/// `O_DIRECTORY` of open(2).
pub const O_DIRECTORY: u64 = 0x4000;
/// `O_NOFOLLOW` of open(2).
pub const O_NOFOLLOW: u64 = 0x8000;

/// System call numbers.
pub mod nr {
    pub const CLONE: usize = 220;
    pub const SCHED_SETAFFINITY: usize = 122;
    pub const PERSONALITY: usize = 92;
    pub const SET_MEMPOLICY: usize = 237;
    pub const GETCWD: usize = 17;
    pub const PIPE2: usize = 59;
    pub const PWRITE64: usize = 68;
    pub const PPOLL: usize = 73;
    pub const WAITID: usize = 95;
    pub const KILL: usize = 129;
    pub const SETPGID: usize = 154;
    pub const GETPID: usize = 172;
    pub const MEMFD_CREATE: usize = 279;
    pub const DUP3: usize = 24;
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const MKNODAT: usize = 33;
    pub const MKDIRAT: usize = 34;
    pub const UNLINKAT: usize = 35;
    pub const SYMLINKAT: usize = 36;
    pub const UMOUNT2: usize = 39;
    pub const MOUNT: usize = 40;
    pub const PIVOT_ROOT: usize = 41;
    pub const FSTATFS: usize = 44;
    pub const CHDIR: usize = 49;
    pub const FCHDIR: usize = 50;
    pub const FCHOWNAT: usize = 54;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const PREAD64: usize = 67;
    pub const WRITE: usize = 64;
    pub const CAPGET: usize = 90;
    pub const CAPSET: usize = 91;
    pub const EXIT_GROUP: usize = 94;
    pub const UNSHARE: usize = 97;
    pub const CLOCK_GETTIME: usize = 113;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SETRESUID: usize = 147;
    pub const GETRESUID: usize = 148;
    pub const SETRESGID: usize = 149;
    pub const GETRESGID: usize = 150;
    pub const SETSID: usize = 157;
    pub const GETGROUPS: usize = 158;
    pub const SETGROUPS: usize = 159;
    pub const SETHOSTNAME: usize = 161;
    pub const SETDOMAINNAME: usize = 162;
    pub const UMASK: usize = 166;
    pub const PRCTL: usize = 167;
    pub const SOCKET: usize = 198;
    pub const SENDMSG: usize = 211;
    pub const RECVMSG: usize = 212;
    pub const KEYCTL: usize = 219;
    pub const EXECVE: usize = 221;
    pub const MMAP: usize = 222;
    pub const PRLIMIT64: usize = 261;
    pub const SETNS: usize = 268;
    pub const SECCOMP: usize = 277;
    pub const STATX: usize = 291;
    pub const GETDENTS64: usize = 61;
    pub const LSEEK: usize = 62;
    pub const READLINKAT: usize = 78;
    pub const UTIMENSAT: usize = 88;
    pub const FCHMOD: usize = 52;
    pub const FLISTXATTR: usize = 13;
    pub const FGETXATTR: usize = 10;
    pub const FSETXATTR: usize = 7;
    pub const SENDFILE: usize = 71;
}
