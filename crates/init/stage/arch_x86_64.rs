//! What differs from architecture to architecture, for x86_64: entry, system call, memory functions, numbers.

use core::arch::{asm, naked_asm};

/// `e_machine` of this machine's programs (elf(5)).
pub const ELF_MACHINE: u16 = 62;

/// The entry point: hands the initial stack pointer (argc, argv, envp) to `init_entry`, on an aligned stack.
///
/// # Safety
/// Called by the kernel only.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call init_entry",
        "ud2"
    )
}

/// Makes a system call; a negative result is an errno.
///
/// # Safety
/// As the kernel says for `number`: every pointer must be valid for what the call does with it.
#[inline]
pub unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; memory is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// memcpy of the C runtime, which the compiler may call.
///
/// # Safety
/// `count` bytes are readable at `from`, writable at `to`, and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
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
    // SAFETY: the caller's promise; backward copying does the same where `to` lies inside; the direction flag is cleared again.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _,
            inout("rdi") to.add(count).sub(1) => _, inout("rsi") from.add(count).sub(1) => _, options(nostack));
    }
    to
}

/// memset of the C runtime, which the compiler may call.
///
/// # Safety
/// `count` bytes are writable at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    to
}

/// bcmp of the C runtime, which the compiler may call: 0 where all bytes are the same.
///
/// # Safety
/// `count` bytes are readable at `one` and at `other`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    let differ: u8;
    // SAFETY: the caller's promise; the direction flag is clear by the ABI. The first comparison is for no bytes at all.
    unsafe {
        asm!("cmp rcx, rcx", "repe cmpsb", "setne al", inout("rcx") count => _, inout("rsi") one => _,
            inout("rdi") other => _, out("al") differ, options(nostack, readonly));
    }
    i32::from(differ)
}

/// `O_DIRECTORY` of open(2).
pub const O_DIRECTORY: u64 = 0x1_0000;
/// `O_NOFOLLOW` of open(2).
pub const O_NOFOLLOW: u64 = 0x2_0000;

/// System call numbers.
pub mod nr {
    pub const CLONE: usize = 56;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const PERSONALITY: usize = 135;
    pub const SET_MEMPOLICY: usize = 238;
    pub const READ: usize = 0;
    pub const PREAD64: usize = 17;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const RT_SIGACTION: usize = 13;
    pub const PWRITE64: usize = 18;
    pub const GETPID: usize = 39;
    pub const KILL: usize = 62;
    pub const SETPGID: usize = 109;
    pub const WAITID: usize = 247;
    pub const PPOLL: usize = 271;
    pub const PIPE2: usize = 293;
    pub const MEMFD_CREATE: usize = 319;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const SOCKET: usize = 41;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const EXECVE: usize = 59;
    pub const FCNTL: usize = 72;
    pub const GETCWD: usize = 79;
    pub const CHDIR: usize = 80;
    pub const FCHDIR: usize = 81;
    pub const UMASK: usize = 95;
    pub const SETSID: usize = 112;
    pub const GETGROUPS: usize = 115;
    pub const SETGROUPS: usize = 116;
    pub const SETRESUID: usize = 117;
    pub const GETRESUID: usize = 118;
    pub const SETRESGID: usize = 119;
    pub const GETRESGID: usize = 120;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const FSTATFS: usize = 138;
    pub const PIVOT_ROOT: usize = 155;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const SETDOMAINNAME: usize = 171;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const KEYCTL: usize = 250;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const MKNODAT: usize = 259;
    pub const FCHOWNAT: usize = 260;
    pub const UNLINKAT: usize = 263;
    pub const SYMLINKAT: usize = 266;
    pub const UNSHARE: usize = 272;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const SECCOMP: usize = 317;
    pub const STATX: usize = 332;
    pub const GETDENTS64: usize = 217;
    pub const LSEEK: usize = 8;
    pub const READLINKAT: usize = 267;
    pub const UTIMENSAT: usize = 280;
    pub const FCHMOD: usize = 91;
    pub const FLISTXATTR: usize = 196;
    pub const FGETXATTR: usize = 193;
    pub const FSETXATTR: usize = 190;
    pub const SENDFILE: usize = 40;
}
