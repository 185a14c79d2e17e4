//! The few system calls that no crate of ours wraps, as safe functions.
#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Has every fd from `first` on closed by execve(2) (close_range(2), `CLOSE_RANGE_CLOEXEC`).
pub(crate) fn close_on_exec_from(first: u32) {
    // SAFETY: plain numbers; no fd is closed or made.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}

/// Has a write to a pipe without a reader fail with EPIPE, and no more than that.
pub(crate) fn ignore_sigpipe() {
    // SAFETY: no handler of ours comes into it. The call cannot fail for a signal that exists and can be ignored.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Has the kernel keep the status of a child that has ended, whatever the caller did with its own.
pub(crate) fn default_sigchld() {
    // SAFETY: no handler of ours comes into it. The call cannot fail for a signal that exists.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Whether a signal is ignored (sigaction(2)).
pub(crate) fn is_ignored(signal: i32) -> bool {
    // SAFETY: a structure of plain numbers, of which zero is one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, and writes one structure.
    let told = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    told == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// An fd that the caller has left us, if it is open.
pub(crate) fn inherited(fd: i32) -> Result<BorrowedFd<'static>, Errno> {
    // SAFETY: a plain number.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open, and nothing here closes an fd that it did not make.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The size of a terminal (ioctl_tty(2), `TIOCGWINSZ`).
pub(crate) fn window_size(terminal: BorrowedFd<'_>) -> Result<libc::winsize, Errno> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request writes one winsize.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(size)
}

/// Sets the size of a terminal, which tells the processes on it (ioctl_tty(2), `TIOCSWINSZ`).
pub(crate) fn set_window_size(terminal: BorrowedFd<'_>, size: &libc::winsize) -> Result<(), Errno> {
    // SAFETY: the request reads one winsize.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const *size) })
        .map(drop)
}

/// Takes the one fd that was sent over `socket` (unix(7), `SCM_RIGHTS`), without waiting for it; `None` when there is none.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut name = [0; 256];
    let mut payload = [IoSliceMut::new(&mut name)];
    let mut space = nix::cmsg_space!([i32; 4]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut space), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let received = message.cmsgs()?.filter_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => Some(fds),
        _ => None,
    });
    // SAFETY: the kernel has just made these fds for us, so nobody else owns them.
    let mut owned = received
        .flatten()
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let first = owned.next();
    owned.for_each(drop);
    Ok(first)
}
