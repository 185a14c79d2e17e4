//! Starting `init` from a process that may have threads: vfork semantics, and not one instruction of Rust in the child.
//!
//! The child shares the caller's memory until it executes, so all it may do is make system calls: it lets one end of the socket
//! survive execve, then executes the sealed memfd. Both are written in assembly, in one block with the clone3(2), because a
//! compiler may use the shared stack for anything else.
#![allow(unsafe_code)]

use std::arch::asm;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// The status that the child exits with when execveat(2) fails is this plus the errno.
pub(super) const EXEC_FAILED: i32 = 100;

/// Starts `program`, with the number of `socket` as its argument and an empty environment. Signal handlers are reset; the
/// program itself takes care of the mask and of ignored signals. Answers its pid and its pidfd: a caller with a thread that reaps
/// whatever ends could make a number mean another process.
pub(super) fn spawn(
    program: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
) -> Result<(i32, OwnedFd), Errno> {
    let number = CString::new(socket.as_raw_fd().to_string()).map_err(|_| Errno::EINVAL)?;
    let argv = [c"oci-init".as_ptr(), number.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    let mut pidfd: RawFd = -1;
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, ...
    let mut arguments = [0u64; 11];
    arguments[0] =
        (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64 | CLONE_CLEAR_SIGHAND;
    arguments[1] = (&raw mut pidfd) as u64;
    arguments[4] = libc::SIGCHLD as u64;
    // SAFETY: the arguments, both arrays and the strings live until the child has executed or exited, because
    // CLONE_VFORK suspends us until then; the child runs only the block below, which does not touch the stack.
    let result = unsafe {
        clone_and_exec(
            &arguments,
            program.as_raw_fd(),
            socket.as_raw_fd(),
            &argv,
            &envp,
        )
    };
    match i32::try_from(result) {
        // SAFETY: clone3(2) has just made this fd, so nobody else owns it. The block has no `nomem`, so it is read anew.
        Ok(pid) if pid > 0 => Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) })),
        Ok(errno) => Err(Errno::from_raw(-errno)),
        Err(_) => Err(Errno::EOVERFLOW),
    }
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_exec(
    arguments: &[u64; 11],
    program: i32,
    socket: i32,
    argv: &[*const libc::c_char; 3],
    envp: &[*const libc::c_char; 1],
) -> isize {
    let result: isize;
    // SAFETY: see `spawn`.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // fcntl(socket, F_SETFD, 0)
            "mov edi, r12d", "mov esi, 2", "xor edx, edx", "mov eax, {fcntl}", "syscall",
            // execveat(program, "", argv, envp, AT_EMPTY_PATH)
            "mov edi, r13d", "mov rsi, r9", "mov rdx, r14", "mov r10, r15", "mov r8d, 0x1000",
            "mov eax, {execveat}", "syscall",
            // exit_group(EXEC_FAILED + errno)
            "mov edi, {failed}", "sub edi, eax", "mov eax, {exit_group}", "syscall",
            "ud2",
            "2:",
            fcntl = const libc::SYS_fcntl,
            execveat = const libc::SYS_execveat,
            exit_group = const libc::SYS_exit_group,
            failed = const EXEC_FAILED,
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") arguments.as_ptr(),
            in("rsi") size_of_val(arguments),
            in("r9") c"".as_ptr(),
            in("r12") socket,
            in("r13") program,
            in("r14") argv.as_ptr(),
            in("r15") envp.as_ptr(),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_exec(
    arguments: &[u64; 11],
    program: i32,
    socket: i32,
    argv: &[*const libc::c_char; 3],
    envp: &[*const libc::c_char; 1],
) -> isize {
    let result: isize;
    // SAFETY: see `spawn`.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            // fcntl(socket, F_SETFD, 0)
            "mov w0, w20", "mov w1, #2", "mov w2, wzr", "mov x8, #{fcntl}", "svc #0",
            // execveat(program, "", argv, envp, AT_EMPTY_PATH)
            "mov w0, w21", "mov x1, x22", "mov x2, x23", "mov x3, x24", "mov w4, #0x1000",
            "mov x8, #{execveat}", "svc #0",
            // exit_group(EXEC_FAILED + errno)
            "mov w1, #{failed}", "sub w0, w1, w0", "mov x8, #{exit_group}", "svc #0",
            "brk #1",
            "2:",
            fcntl = const libc::SYS_fcntl,
            execveat = const libc::SYS_execveat,
            exit_group = const libc::SYS_exit_group,
            failed = const EXEC_FAILED,
            in("x8") libc::SYS_clone3,
            inlateout("x0") arguments.as_ptr() as isize => result,
            in("x1") size_of_val(arguments),
            in("x20") socket,
            in("x21") program,
            in("x22") c"".as_ptr(),
            in("x23") argv.as_ptr(),
            in("x24") envp.as_ptr(),
        );
    }
    result
}
