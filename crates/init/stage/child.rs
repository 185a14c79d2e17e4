//! System calls for processes of our own: making one, feeding it, waiting for it within a time, ending it.

use crate::sys::{Answer, ENOSYS, EPERM, Errno, Fd, call, nr, retry};
use core::ffi::CStr;

/// fork(2) with a pidfd: `None` in the new process, pid and pidfd in the old.
pub fn fork() -> Result<Option<(i32, Fd)>, Errno> {
    fork_into(0)
}

/// [`fork`] into new namespaces.
pub fn fork_into(namespaces: u64) -> Result<Option<(i32, Fd)>, Errno> {
    const CLONE_PIDFD: u64 = 0x1000;
    const SIGCHLD: u64 = 17;
    let mut pidfd: Fd = 0;
    let mut arguments = [0u64; 11];
    arguments[0] = CLONE_PIDFD | namespaces;
    arguments[1] = (&raw mut pidfd) as u64;
    arguments[4] = SIGCHLD;
    let pid = match call!(435, arguments.as_ptr(), size_of_val(&arguments)) {
        // A filter may answer so to clone3(2), because it cannot look into its arguments or does not know it.
        Err(ENOSYS | EPERM) => call!(
            nr::CLONE,
            CLONE_PIDFD | namespaces | SIGCHLD,
            0,
            &raw mut pidfd
        )?,
        other => other?,
    };
    Ok((pid != 0).then_some((pid as i32, pidfd)))
}

/// Our pid, in our pid namespace.
pub fn getpid() -> u32 {
    call!(nr::GETPID).unwrap_or(0) as u32
}

/// Lets the signals that would end any other process end this one as well, until it executes a program: the kernel spares the
/// first process of a pid namespace whatever it has not asked for.
pub fn die_of_signals() {
    const ENDING: [i32; 4] = [1, 2, 3, 15]; // HUP, INT, QUIT, TERM
    const SA_RESTORER: usize = 0x0400_0000;
    extern "C" fn die(signal: i32) -> ! {
        crate::sys::exit(128 + signal)
    }
    let handler = die as extern "C" fn(i32) -> ! as usize;
    // Nobody comes back from it, but x86-64 wants to know where to.
    let action = [handler, SA_RESTORER, handler, 0];
    for signal in ENDING {
        let _ = call!(nr::RT_SIGACTION, signal, action.as_ptr(), 0, 8);
    }
}

/// Makes the process the leader of a group of its own.
pub fn setpgid() -> Answer {
    call!(nr::SETPGID, 0, 0)
}

/// Ends a process and its group.
pub fn kill_group(pid: i32) {
    const SIGKILL: i32 = 9;
    let _ = call!(nr::KILL, -pid, SIGKILL);
    let _ = call!(nr::KILL, pid, SIGKILL);
}

/// Waits until `pidfd` is readable: its process has ended. `false` when `milliseconds`, if not 0, have passed before.
pub fn poll_ended(pidfd: Fd, milliseconds: u32) -> Result<bool, Errno> {
    const POLLIN: u64 = 1;
    // struct pollfd: fd, events, revents.
    let mut entry = [pidfd as u32 as u64 | POLLIN << 32];
    // The kernel leaves the remaining time here, for the case that a signal interrupts.
    let mut time = [
        u64::from(milliseconds / 1000),
        u64::from(milliseconds % 1000) * 1_000_000,
    ];
    let limit = if milliseconds == 0 {
        core::ptr::null_mut()
    } else {
        time.as_mut_ptr()
    };
    retry(|| call!(nr::PPOLL, entry.as_mut_ptr(), 1, limit, 0, 0)).map(|ready| ready == 1)
}

/// Reaps a process: how it ended (`CLD_*`), and its status or signal.
pub fn wait(pidfd: Fd) -> Result<(i32, i32), Errno> {
    const P_PIDFD: u32 = 3;
    const WEXITED: u32 = 4;
    let mut information = [0i32; 32];
    retry(|| {
        call!(
            nr::WAITID,
            P_PIDFD,
            pidfd,
            information.as_mut_ptr(),
            WEXITED,
            0
        )
    })?;
    // siginfo_t of SIGCHLD: signo, errno, code, padding, pid, uid, status.
    Ok((information[2], information[6]))
}

/// Both ends of a pipe, close-on-exec: to read from, to write to.
pub fn pipe() -> Result<[Fd; 2], Errno> {
    const O_CLOEXEC: u32 = 0x8_0000;
    let mut ends: [Fd; 2] = [0; 2];
    call!(nr::PIPE2, ends.as_mut_ptr(), O_CLOEXEC).map(|_| ends)
}

/// A file in memory, close-on-exec.
pub fn memfd(name: &CStr) -> Result<Fd, Errno> {
    const MFD_CLOEXEC: u32 = 1;
    call!(nr::MEMFD_CREATE, name.as_ptr(), MFD_CLOEXEC).map(|fd| fd as Fd)
}

/// Writes without moving the file's offset.
pub fn pwrite(fd: Fd, bytes: &[u8], offset: usize) -> Answer {
    retry(|| call!(nr::PWRITE64, fd, bytes.as_ptr(), bytes.len(), offset))
}

/// Makes every fd from `first` on close-on-exec.
pub fn cloexec_from(first: u32) -> Answer {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    call!(436, first, u32::MAX, CLOSE_RANGE_CLOEXEC)
}
